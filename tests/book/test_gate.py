"""The gate is seen to fail: each planted defect turns the build red, twice."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from book.smallbook import CLAIM, SmallBook

from tlcourse.execution import Limits


def alone(*lines: str) -> Callable[[SmallBook], None]:
    """Plant a cell into a chapter that has nothing else to do, which is quicker."""
    return lambda small: small.alone(*lines)


def late(*lines: str) -> Callable[[SmallBook], None]:
    """Plant a cell after the value was recorded."""
    return lambda small: small.insert(*lines)


def edit(old: str, new: str) -> Callable[[SmallBook], None]:
    """Change the text of the chapter beta."""
    return lambda small: small.replace(small.beta, old, new)


def declare(small: SmallBook) -> None:
    more = CLAIM.format("beta").replace("beta-value", "beta-more")
    small.claims.write_text(small.claims.read_text() + more)


def lose_check_output(small: SmallBook) -> None:
    small.cells(lambda cells: cells[-1].update(outputs=[]))


def store_output_elsewhere(small: SmallBook) -> None:
    small.cells(lambda cells: cells[2].update(outputs=cells[-1]["outputs"]))


def untag_check_cell(small: SmallBook) -> None:
    small.cells(lambda cells: cells[-1]["metadata"].update(tags=["keep_output"]))


def add_chapter(small: SmallBook) -> None:
    shutil.copy(small.beta, small.beta.with_name("gamma.ipynb"))


def lose_chapter(small: SmallBook) -> None:
    small.beta.unlink()


def lose_parameter(small: SmallBook) -> None:
    small.cells(lambda cells: cells[1].update(source="SEED = 0"))


SLEEP = ("import time", "time.sleep(300)")
DEFECTS: dict[str, tuple[Callable[[SmallBook], None], dict[str, Any], str]] = {
    "cell raises": (
        alone("x = 1", "1 / 0"),
        {},
        r"part/beta: code cell 2 \(`x = 1`\) raised ZeroDivisionError: division by",
    ),
    "cell exceeds its time": (
        alone(*SLEEP),
        {"limits": Limits(seconds=8.0)},
        r"part/beta: (code cell 2 .*: )?still ran after its limit of 8 s",
    ),
    "notebook exceeds its memory": (
        alone("x = b'1' * 2**30", *SLEEP),
        {"limits": Limits(memory=900 * 2**20)},
        r"part/beta: code cell 2 .*: took \d\.\d+ GiB of memory, over .* 0\.88 GiB",
    ),
    "kernel killed": (
        alone("import os, signal", "os.kill(os.getpid(), signal.SIGKILL)"),
        {},
        r"part/beta: code cell 2 \(`import os, signal`\): DeadKernelError: Kernel died",
    ),
    "sys.exit(0) in a cell": (
        alone("import sys", "sys.exit(0)"),
        {},
        r"part/beta: code cell 2 \(`import sys`\) raised SystemExit: 0",
    ),
    "unknown parameter": (
        lose_parameter,
        {"profile": "hub"},
        r"part/beta: unknown parameter PROFILE; its cell 'parameters' has SEED",
    ),
    "standard error output": (
        alone("import sys", "print('oh dear', file=sys.stderr)"),
        {},
        r"part/beta: code cell 2 \(`import sys`\) wrote to standard error: oh dear",
    ),
    "warning": (
        alone("import warnings", "warnings.warn('take care')"),
        {},
        r"part/beta: code cell 2 .* wrote to standard error: .*UserWarning: take care",
    ),
    "claim below its range": (
        edit("value = 0.5 + SEED / 1000", "value = 0.3"),
        {},
        r"part/beta: claim 'beta-value' is 0\.3, below: its range is 0\.4 to 0\.6",
    ),
    "claim above its range": (
        edit("value = 0.5 + SEED / 1000", "value = 0.7"),
        {},
        r"part/beta: claim 'beta-value' is 0\.7, above: its range is 0\.4 to 0\.6",
    ),
    "recorded but not declared": (
        late('report.record("beta-other", 1.5)'),
        {},
        r"part/beta: 'beta-other' is recorded \(1\.5\) but not declared",
    ),
    "declared but not recorded": (
        declare,
        {},
        r"part/beta: claim 'beta-more' is declared but not recorded",
    ),
    "recorded twice": (
        late('report.record("beta-value", 0.5)'),
        {},
        r"part/beta: 'beta-value' is recorded twice",
    ),
    "value NaN": (
        edit(
            r"report.record(\"beta-value\", value)",
            "from myst_nb import glue\\n"
            r"glue(\"beta-value\", float(\"nan\"), display=False)",
        ),
        {},
        r"part/beta: claim 'beta-value' is nan, not finite: its range is",
    ),
    "value NaN through record": (
        edit("value = 0.5 + SEED / 1000", "value = float('nan')"),
        {},
        r"part/beta: code cell 3 .* raised ValueError: .*beta-value: must be finite",
    ),
    "check cell without stored output": (
        lose_check_output,
        {},
        r"part/beta: its check cell has no stored output",
    ),
    "check cell whose stored output differs": (
        edit("0.4 to 0.6", "0.4 to 0.7"),
        {},
        r"part/beta: its check cell gives .*0\.4 to 0\.6.* where .*0\.4 to 0\.7",
    ),
    "check cell without its tags": (
        untag_check_cell,
        {},
        r"part/beta: its last code cell must be the check cell, tagged keep_output and",
    ),
    "stored output in another cell": (
        store_output_elsewhere,
        {},
        r"part/beta: code cell 2 \(`from tlcourse .*`\) has stored output",
    ),
    "chapter in the folder but not in _toc.yml": (
        add_chapter,
        {},
        r"part/gamma: is a notebook in the folder but is not listed in _toc\.yml",
    ),
    "chapter in _toc.yml but not in the folder": (
        lose_chapter,
        {},
        r"book/part/beta: is listed in _toc\.yml but does not exist",
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_turns_the_build_red(name: str, small: SmallBook) -> None:
    plant, settings, message = DEFECTS[name]
    plant(small)
    for attempt in ("first", "second"):
        found = [str(d) for d in small.build(**settings).defects]
        print(f"{name}: {found}")
        assert any(re.match(message, line) for line in found), (attempt, found)
        assert all(
            re.match(r"(book/)?part/(beta|gamma)|.* 'beta-", line) for line in found
        )


PICTURE = "```{figure} part/dot.png\nA dot.\n```"
RENDERING: dict[str, tuple[Callable[[SmallBook], None], str]] = {
    "broken internal link": (
        lambda small: small.replace(small.page, "part/alpha", "part/nowhere"),
        r"intro: line 3: unknown document: 'part/nowhere'",
    ),
    "missing glue key": (
        edit("{glue:text}`beta-value:.2f`", "{glue:text}`beta-none:.2f`"),
        r"part/beta: cell 1: No key 'beta-none' found in glue data",
    ),
    "figure without alt text": (
        lambda small: small.replace(small.page, "See", f"{PICTURE}\n\nSee"),
        r"intro: .*figure without alt text \(dot\.png\)",
    ),
    "source map with a heading that is gone": (
        lambda small: small.replace(small.inventory, "#the-value", "#the-worth"),
        r"source-map: source map: no such heading: part/alpha#the-worth",
    ),
    "source map with a chapter that is not there": (
        lambda small: small.replace(small.inventory, 'part/gamma"]', 'part/delta"]'),
        r"source-map: source map: no such heading: part/delta",
    ),
    "glued figure without alt text": (
        edit(r":alt: A rising line.\n", ""),
        r"part/beta: .*figure without alt text",
    ),
}


@pytest.mark.parametrize("name", RENDERING)
def test_a_defect_of_the_pages_turns_the_build_red(name: str, small: SmallBook) -> None:
    plant, message = RENDERING[name]
    shutil.copy(Path(__file__).parent / "dot.png", small.root / "book" / "part")
    plant(small)
    for attempt in ("first", "second"):
        report = small.build(site=True)
        found = [str(d) for d in report.defects]
        print(f"{name}: {found}")
        assert any(re.match(message, line) for line in found), (attempt, found)
        assert not (small.root / "_build" / "html").exists()


def test_all_defects_are_told_and_the_command_fails(small: SmallBook) -> None:
    small.replace(small.page, "part/alpha", "part/nowhere")
    edit("value = 0.5 + SEED / 1000", "value = 0.3")(small)
    add_chapter(small)
    command = [sys.executable, "-m", "tlcourse.cli", "build"]
    told = subprocess.run(
        command,
        cwd=small.beta.parent,
        env=small.environment(),
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1, told
    for part in (
        "defect part/gamma: is a notebook in the folder",
        "defect part/beta: claim 'beta-value' is 0.3, below: its range is",
        "defect part/beta: its check cell gives",
        "defect intro: line 3: unknown document",
        "4 defects",
    ):
        assert part in told.stdout


def test_a_changed_package_makes_a_cached_notebook_run_again(
    small: SmallBook, root: Path
) -> None:
    shutil.copytree(root / "tlcourse", small.root / "tlcourse")
    script = (
        "from pathlib import Path; from tlcourse.book import Book; "
        "from tlcourse.runner import build; said = []; "
        "report = build(Book(Path.cwd()), site=False, say=said.append); "
        "print(*said, *report.defects, sep='\\n')"
    )

    def build() -> str:
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            command, cwd=small.root, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert build().count("unchanged since its last run") == 2
    changed = small.root / "tlcourse" / "report.py"
    changed.write_text(
        changed.read_text() + "\ndef record(key, value):\n    raise OSError(key)\n"
    )
    for _ in range(2):
        told = build()
        assert "unchanged" not in told
        assert "part/alpha: code cell 3" in told and "OSError: alpha-value" in told
        assert "part/beta: code cell 3" in told and "OSError: beta-value" in told
