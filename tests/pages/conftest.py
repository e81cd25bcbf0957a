"""The real book, built once for all processes of the tests, and a browser."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from pages.looking import Built

from tlcourse import runner
from tlcourse.book import Book

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Built:
    """Return the book as `tlcourse build` makes it, in a folder of its own.

    What an earlier build of the working copy ran is used again where it may be.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # then that folder is the process's own
        base = base.parent
    folder, result = base / "course", base / "course.json"
    with FileLock(base / "course.lock"):
        if not result.exists():
            folder.mkdir()
            for name in ("_config.yml", "_toc.yml", "requirements.lock"):
                shutil.copy(root / name, folder)
            unwanted = shutil.ignore_patterns(".*", "__pycache__")
            shutil.copytree(root / "book", folder / "book", ignore=unwanted)
            ran = root / "_build" / "tlcourse" / "executed"
            if ran.is_dir():
                shutil.copytree(ran, folder / "_build" / "tlcourse" / "executed")
            book = Book(folder)
            book.jobs = 1  # other tests have the other cores
            report = runner.build(book)
            defects = [f"{d.chapter}: {d.cause}" for d in report.defects]
            result.write_text(json.dumps([defects, sorted(report.executed)]))
        defects, chapters = json.loads(result.read_text())
    return Built(defects, chapters, folder / "_build" / "html")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return the installed Chromium without a window."""
    from playwright.sync_api import sync_playwright

    from tlcourse import printing

    with sync_playwright() as driver:
        try:
            chromium = printing.launch_browser(driver)
        except ValueError:
            pytest.skip(
                "no Chromium here: pages were not opened (apt install chromium)"
            )
        yield chromium
        chromium.close()
