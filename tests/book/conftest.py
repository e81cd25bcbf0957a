"""The small book, executed once for all tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from book.smallbook import CLAIM, CONFIG, INVENTORY, PAGES, TERMS, SmallBook, chapter


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory, root: Path) -> SmallBook:
    """Return a small book whose notebooks ran; tests take copies of it."""
    small = SmallBook(tmp_path_factory.mktemp("healthy"))
    (small.root / "book" / "part").mkdir(parents=True)
    (small.root / "_config.yml").write_text(yaml.safe_dump(CONFIG))
    files = [{"file": f"book/{page}"} for page in PAGES]
    toc = {"format": "jb-book", "root": "book/intro", "chapters": files}
    (small.root / "_toc.yml").write_text(yaml.safe_dump(toc))
    (small.root / "requirements.lock").write_text("numpy==2\n")
    small.page.write_text("# A small book\n\nSee {doc}`part/alpha`.\n")
    for name in ("reproducibility.md", "run-times.md"):
        shutil.copy(root / "book" / name, small.root / "book")
    (small.root / "book" / "source-map.md").write_text(TERMS)
    small.inventory.write_text(INVENTORY)
    small.claims.write_text(CLAIM.format("alpha") + CLAIM.format("beta"))
    for name in ("alpha", "beta"):
        small.write(small.root / "book" / "part" / f"{name}.ipynb", chapter(name))
    small.store_check_outputs()
    assert small.build().defects == []
    return small


@pytest.fixture
def small(healthy: SmallBook, tmp_path: Path) -> SmallBook:
    """Return a copy of the small book, its notebooks executed already."""
    shutil.copytree(healthy.root, tmp_path / "small")
    return SmallBook(tmp_path / "small")
