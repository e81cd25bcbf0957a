"""The checks: right answers pass in every style, wrong ones get the right hint."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import pytest

from tlcourse.book import read_notebook
from tlcourse.exercises import questions

ROOT = Path(__file__).parents[2]
SOURCES = {
    path.stem.replace("-", "_"): questions(read_notebook(path))
    for path in sorted(ROOT.glob("book/*/exercises/*.ipynb"))
}
JUDGED = {c: [q.name for q in SOURCES[c] if q.kind != "open"] for c in SOURCES}
EXERCISES = [(c, name) for c, names in JUDGED.items() for name in names]


def check_and_variants(chapter: str) -> tuple[Any, Any]:
    """Import them for the test that asks: all of them would delay the first test."""
    checks = importlib.import_module(f"tlcourse.checks.{chapter}")
    return checks, importlib.import_module(f"exercises.variants.{chapter}")


@pytest.mark.parametrize(
    "folder", [ROOT / "tlcourse" / "checks", ROOT / "tests" / "exercises" / "variants"]
)
def test_every_source_has_checks_and_variants(folder: Path) -> None:
    assert {p.stem for p in folder.glob("[a-z]*.py")} == set(SOURCES)


@pytest.mark.parametrize("chapter", SOURCES)
def test_every_exercise_has_enough_variants(chapter: str) -> None:
    checks, variants = check_and_variants(chapter)
    assert sorted(checks.__all__) == sorted(q.name for q in SOURCES[chapter])
    assert sorted(variants.RIGHT) == sorted(variants.WRONG) == sorted(JUDGED[chapter])
    assert min(map(len, variants.RIGHT.values())) >= 5
    assert min(map(len, variants.WRONG.values())) >= 15


@pytest.mark.parametrize(("chapter", "name"), EXERCISES)
def test_right_answers_pass(chapter: str, name: str) -> None:
    checks, variants = check_and_variants(chapter)
    check = getattr(checks, name)
    for answer in variants.RIGHT[name]:
        start, result = time.monotonic(), check(answer)
        assert result.passed, f"{answer}: {result}"
        assert result.points == result.out_of == check.points
        assert time.monotonic() - start < 60, f"{answer} takes too long"


@pytest.mark.parametrize(("chapter", "name"), EXERCISES)
def test_wrong_answers_get_the_right_hint(chapter: str, name: str) -> None:
    checks, variants = check_and_variants(chapter)
    check, found = getattr(checks, name), list[Any]()
    for number, (hint, answer) in enumerate(variants.WRONG[name]):
        result = check(answer)
        assert not result.passed and result.points == 0, (number, hint)
        if hint not in result.hint:
            found.append((number, hint, str(result)))
    assert found == []
