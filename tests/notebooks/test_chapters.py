"""Every chapter: another seed and the rules of its form; nbval on one of them."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sphinx_external_toc.parsing import parse_toc_yaml

from tlcourse import runner
from tlcourse.book import Book

BOOK = Book(Path(__file__).parents[2])
CHAPTERS = list(BOOK.chapters)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CHECK_TAGS = {"keep_output", "nbval-check-output"}
NBVAL = [
    "--nbval-lax",
    "--nbval-cell-timeout=600",  # a first run trains a network
    "--nbval-kernel-startup-timeout=180",
]

Cells = list[dict[str, Any]]


def load(chapter: str) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(BOOK.chapters[chapter].read_text("utf-8"))
    return notebook


def test_the_chapters_tested_are_the_notebooks_of_the_contents() -> None:
    listed = parse_toc_yaml(BOOK.root / "_toc.yml")
    notebooks = {n for n in listed if (BOOK.root / f"{n}.ipynb").is_file()}
    assert CHAPTERS
    assert {f"book/{name}" for name in [*CHAPTERS, *BOOK.exercises]} == notebooks


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_another_seed_fulfils_the_claims(chapter: str, tmp_path: Path) -> None:
    report = runner.run(BOOK, chapter, {"SEED": 101}, output=tmp_path / "x.ipynb")
    assert report.defects == []
    assert report.claims and report.values.keys() == report.claims.keys()


def nbval(notebook: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run nbval with a configuration of its own."""
    settings = folder / "pytest.ini"
    settings.write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(settings),
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*command, *NBVAL, str(notebook)],
        env=BOOK.environment(),
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_nbval_agrees_with_a_stored_check_cell(tmp_path: Path) -> None:
    # The build, in tests/pages, compares those of all chapters.
    done = nbval(BOOK.chapters["foundations/loss-functions"], tmp_path)
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.parametrize("stored", ["a half", "a third"])
def test_nbval_compares_the_check_cell(stored: str, tmp_path: Path) -> None:
    output = {"name": "stdout", "output_type": "stream", "text": f"{stored}\n"}
    cell = {
        "cell_type": "code",
        "execution_count": 1,
        "id": "check",
        "metadata": {"tags": sorted(CHECK_TAGS)},
        "outputs": [output],
        "source": "print('a half')",
    }
    notebook = {"cells": [cell], "metadata": {"kernelspec": KERNEL}}
    notebook |= {"nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "small.ipynb").write_text(json.dumps(notebook))
    done = nbval(tmp_path / "small.ipynb", tmp_path)
    assert done.returncode == (0 if stored == "a half" else 1), done.stdout[-5000:]


def words(cells: Cells) -> int:
    """Count the words of the text; formulas, option lines and fences are none."""
    count = 0
    for cell in (c for c in cells if c["cell_type"] == "markdown"):
        text = re.sub(
            r"\$\$.*?\$\$|\$[^$]*\$", " ", "".join(cell["source"]), flags=re.S
        )
        text = re.sub(r"^\s*(:[\w-]+:.*|[`:]{3,}.*)$", " ", text, flags=re.M)
        count += len(re.findall(r"[^\W\d_][\w'’-]*", text))
    return count


def problems(notebook: dict[str, Any]) -> list[str]:
    """Return how a notebook breaks the rules of form."""
    found = []
    cells = notebook["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    sources = ["".join(c["source"]) for c in code]
    lines = [[ln for ln in s.splitlines() if ln.strip()] for s in sources]
    tags = [set(c["metadata"].get("tags", [])) for c in code]
    # What the reader meets: plots are folded away, recording is left out.
    shown = [not t & {"hide-input", "remove-cell"} for t in tags]
    total = sum(len(ls) for ls, s in zip(lines, shown, strict=True) if s)
    if notebook["metadata"].get("kernelspec") != KERNEL:
        found.append("kernelspec")
    if "jupytext" in notebook["metadata"]:
        found.append("jupytext header")
    if (notebook["nbformat"], notebook["nbformat_minor"]) != (4, 5):
        found.append("nbformat")
    if not 8 <= len(code) <= 20:
        found.append(f"{len(code)} code cells")
    if max(map(len, lines), default=0) > 20:
        found.append("a cell of more than 20 lines")
    if total > 150:
        found.append(f"{total} lines of code")
    if words(cells) < 8 * total:
        found.append(f"{words(cells)} words for {total} lines of code")
    if any(len(line) > 79 for s in sources for line in s.splitlines()):
        found.append("a line of code of more than 79 columns")
    if any(
        "report.place(" in s and "remove-output" not in t
        for s, t in zip(sources, tags, strict=True)
    ):
        found.append("a figure that would be shown twice")
    if any(re.search(r"^\s*[!%]", s, re.M) for s in sources):
        found.append("a shell or magic command")
    knobs = [s for s, t in zip(sources, tags, strict=True) if "parameters" in t]
    if len(knobs) != 1 or not all(
        re.search(pattern, knobs[0], re.M)
        for pattern in (r'^PROFILE = "embedded"', r"^SEED = 0\b")
    ):
        found.append("parameters cell")
    if not code or not tags[-1] >= CHECK_TAGS or "check_table(" not in sources[-1]:
        found.append("check cell")
    elif not (code[-1]["outputs"] and code[-1]["execution_count"]):
        found.append("check cell without stored output")
    if any(c["outputs"] or c.get("execution_count") for c in code[:-1]):
        found.append("stored output")
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_form_of_a_chapter(chapter: str) -> None:
    assert problems(load(chapter)) == []


def first_code(cells: Cells) -> dict[str, Any]:
    return next(c for c in cells if c["cell_type"] == "code")


def plain(cells: Cells) -> dict[str, Any]:
    """Return a code cell without any tag."""
    code = [c for c in cells if c["cell_type"] == "code"]
    return next(c for c in code if not c["metadata"].get("tags"))


PLANTED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "kernelspec": lambda nb: nb["metadata"].pop("kernelspec"),
    "jupytext header": lambda nb: nb["metadata"].update(jupytext={}),
    "nbformat": lambda nb: nb.update(nbformat_minor=4),
    "code cells": lambda nb: nb["cells"].extend([plain(nb["cells"])] * 20),
    "a cell of more than 20 lines": lambda nb: plain(nb["cells"]).update(
        source="x = 1\n" * 21
    ),
    "lines of code": lambda nb: plain(nb["cells"]).update(source="x = 1\n" * 151),
    "words for": lambda nb: nb.update(
        cells=[c for c in nb["cells"] if c["cell_type"] == "code"]
    ),
    "a line of code of more than 79 columns": lambda nb: plain(nb["cells"]).update(
        source="x = 1" + " " * 75 + "# long"
    ),
    "a figure that would be shown twice": lambda nb: plain(nb["cells"]).update(
        source='report.place("x-fig-y", fig)'
    ),
    "a shell or magic command": lambda nb: plain(nb["cells"]).update(
        source="!pip install x"
    ),
    "parameters cell": lambda nb: first_code(nb["cells"]).update(source="SEED = 1"),
    "check cell": lambda nb: nb["cells"].append(plain(nb["cells"])),
    "check cell without stored output": lambda nb: [
        c.update(execution_count=None) for c in nb["cells"] if c["cell_type"] == "code"
    ],
    "stored output": lambda nb: plain(nb["cells"]).update(execution_count=3),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_rules_of_form_are_seen_to_fail(name: str) -> None:
    notebook = copy.deepcopy(load(CHAPTERS[0]))
    PLANTED[name](notebook)
    assert any(name in problem for problem in problems(notebook))
