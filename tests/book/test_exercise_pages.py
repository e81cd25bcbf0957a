"""Exercises in the book: a page without solutions, and one with, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from book.smallbook import SmallBook, code, text

from tlcourse import runner

NUMBERS = '{"guessing": math.log(100), "floor": math.log(1 + 99 / math.e)}'
SOLVED = ["### BEGIN SOLUTION", f"two_numbers = {NUMBERS}", "### END SOLUTION"]


def cells(solved: list[str]) -> list[dict[str, object]]:
    asked = code("two_numbers = ...", *solved)
    asked["metadata"] = {
        "tlcourse": {"exercise": "two_numbers", "kind": "recall", "points": 2}
    }
    check = code("check.two_numbers(two_numbers)")
    check["metadata"] = {"tlcourse": {"check": "two_numbers"}}
    start = code("import math", "from tlcourse.checks import loss_functions as check")
    return [text("# Exercises: beta\n\nTo {doc}`../beta`."), start, asked, check]


@pytest.fixture
def exercised(small: SmallBook) -> Path:
    """Return the source of exercises that belong to beta."""
    notebook = runner.read_notebook(small.beta)
    source = small.root / "book" / "part" / "exercises" / "beta.ipynb"
    small.write(source, {**notebook, "cells": cells(SOLVED)})
    toc = yaml.safe_load((small.root / "_toc.yml").read_text())
    entry = next(e for e in toc["chapters"] if e["file"] == "book/part/beta")
    entry["sections"] = [{"file": "book/part/exercises/beta"}]
    (small.root / "_toc.yml").write_text(yaml.safe_dump(toc))
    return source


def leaks(html: Path) -> list[Path]:
    files = [f for f in html.rglob("*") if f.is_file() and "_static" not in f.parts]
    said = ("99 / math", "math.log")
    return [f for f in files if any(s in f.read_text(errors="ignore") for s in said)]


def test_solutions_have_pages_of_their_own_or_none(
    small: SmallBook, exercised: Path
) -> None:
    html = small.root / "_build" / "html"
    page = html / "book" / "part" / "exercises" / "beta.html"
    solved = html / "book" / "part" / "solutions" / "beta.html"
    assert small.build(site=True).defects == []
    assert "Your work goes here" in page.read_text()
    assert page not in leaks(html)
    for part in ("Solutions: beta", "two_numbers: passed (2 of 2 points)"):
        assert part in solved.read_text()
    assert "SOLUTION" not in solved.read_text()

    assert small.build(site=True, solutions=False).defects == []
    assert "Your work goes here" in page.read_text() and not solved.exists()
    assert leaks(html) == []
    assert "Solutions" not in (html / "index.html").read_text()


def test_a_solution_that_does_not_pass_is_a_defect(
    small: SmallBook, exercised: Path
) -> None:
    small.replace(exercised, "1 + 99", "1 + 98")
    told = [str(defect) for defect in small.build().defects]
    assert len(told) == 1
    assert "part/exercises/beta: the solution of two_numbers does not pass" in told[0]
