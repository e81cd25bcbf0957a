"""The checks: right answers pass in every style, wrong ones get the right hint."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CHAPTERS = sorted(p.stem for p in (HERE / "variants").glob("[a-z]*.py"))
VARIANTS = {c: importlib.import_module(f"exercises.variants.{c}") for c in CHAPTERS}
CHECKS = {c: importlib.import_module(f"tlcourse.checks.{c}") for c in CHAPTERS}
EXERCISES = [(c, name) for c in CHAPTERS for name in VARIANTS[c].RIGHT]


def judged(chapter: str) -> list[str]:
    """Return the exercises that a check judges, the open ones left out."""
    module = CHECKS[chapter]
    opened = "open_question.<locals>"
    return [n for n in module.__all__ if opened not in getattr(module, n).__qualname__]


def test_every_chapter_with_checks_has_variants(root: Path) -> None:
    modules = (root / "tlcourse" / "checks").glob("[a-z]*.py")
    assert CHAPTERS == sorted(p.stem for p in modules)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_exercise_has_enough_variants(chapter: str) -> None:
    variants = VARIANTS[chapter]
    assert sorted(variants.RIGHT) == sorted(variants.WRONG) == judged(chapter)
    assert min(map(len, variants.RIGHT.values())) >= 5
    assert min(map(len, variants.WRONG.values())) >= 15


@pytest.mark.parametrize(("chapter", "name"), EXERCISES)
def test_right_answers_pass(chapter: str, name: str) -> None:
    check = getattr(CHECKS[chapter], name)
    for answer in VARIANTS[chapter].RIGHT[name]:
        start, result = time.monotonic(), check(answer)
        assert result.passed, f"{answer}: {result}"
        assert result.points == result.out_of == check.points
        assert time.monotonic() - start < 10, f"{answer} takes too long"


@pytest.mark.parametrize(("chapter", "name"), EXERCISES)
def test_wrong_answers_get_the_right_hint(chapter: str, name: str) -> None:
    check, found = getattr(CHECKS[chapter], name), list[Any]()
    for number, (hint, answer) in enumerate(VARIANTS[chapter].WRONG[name]):
        result = check(answer)
        assert not result.passed and result.points == 0, (number, hint)
        if hint not in result.hint:
            found.append((number, hint, str(result)))
    assert found == []
