"""Claims: the file, the recorded values, the comparison, the calibration."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tlcourse import claims
from tlcourse.claims import Claim

GOOD = """
# the first claim
[a-gain]
chapter = "part/a"
sentence = "It gains."
metric = "accuracy"
min = 0.1  # low
max = 0.2

[b-floor]
chapter = "part/b"
sentence = "It has a floor."
metric = "nats"
min = 1.46
max = 1.47
fixed = true
check_digits = 3
profiles = ["embedded", "hub"]
[b-floor.basis]
mean = 1.465
sd = 0.0
lowest = 1.465
highest = 1.465
seeds = 3
date = 2026-01-02
"""
CHAPTERS = {"part/a": Path("a.ipynb"), "part/b": Path("b.ipynb")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "book" / "claims.toml"
    file.parent.mkdir()
    file.write_text(GOOD)
    return file


def test_read_returns_claims_in_the_order_of_the_file(path: Path) -> None:
    found, defects = claims.read(path, CHAPTERS)
    assert defects == []
    assert list(found) == ["a-gain", "b-floor"]
    assert found["a-gain"].profiles == ["embedded"] and not found["a-gain"].fixed
    assert found["b-floor"].basis and found["b-floor"].check_digits == 3


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("min = 0.1", "min = 0.3", "its min 0.3 is above its max 0.2"),
        ("min = 0.1", "", "min: Field required"),
        ("min = 0.1", "min = nan", "min: Input should be a finite number"),
        ("min = 0.1", "min = true", "min: Input should be a valid number"),
        ('sentence = "It gains."', "", "sentence: Field required"),
        (
            'sentence = "It gains."',
            'sentence = ""',
            "sentence: String should have at l",
        ),
        ('metric = "accuracy"', "", "metric: Field required"),
        (
            "max = 0.2",
            "max = 0.2\nmaximum = 3",
            "maximum: Extra inputs are not permitted",
        ),
        ("part/a", "part/c", "its chapter 'part/c' is not listed in _toc"),
        ("[a-gain]", "[gain]", "its key must start with 'a-', its chapter"),
        ("seeds = 3", "", "basis.seeds: Field required"),
        (
            "check_digits = 3",
            "check_digits = 0.5",
            "check_digits: Input should be a valid int",
        ),
        ("\n[a-gain]", "\nloose = 1\n[a-gain]", "Input should be a valid dictionary"),
        (
            '["embedded", "hub"]',
            '["hubb"]',
            "profiles.0: Input should be 'embedded' or",
        ),
    ],
)
def test_read_tells_what_is_malformed(
    path: Path, old: str, new: str, cause: str
) -> None:
    path.write_text(GOOD.replace(old, new, 1))
    found, defects = claims.read(path, CHAPTERS)
    assert any(cause in str(defect) for defect in defects), defects
    assert all(str(defect).startswith("book/claims.toml: ") for defect in defects)
    assert len(found) < 2 or "dictionary" in cause


@pytest.mark.parametrize("text", ["[a\n", GOOD + "\n[a-gain]\n"])
def test_read_tells_of_invalid_toml(path: Path, text: str) -> None:
    path.write_text(text)
    assert "must be a file in TOML" in str(claims.read(path)[1])


def test_read_tells_of_a_missing_file(tmp_path: Path) -> None:
    assert "must be a file in TOML: [Errno 2]" in str(
        claims.read(tmp_path / "no.toml")[1]
    )


def glued(key: str, data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    return {
        "output_type": "display_data",
        "data": {prefix + kind: value for kind, value in data.items()},
        "metadata": {"scrapbook": {"name": key, "mime_prefix": prefix}},
    }


def notebook(*outputs: dict[str, Any]) -> dict[str, Any]:
    cell = {"cell_type": "code", "outputs": list(outputs)}
    return {"cells": [{"cell_type": "markdown", "source": "text"}, cell]}


def test_recorded_reads_numbers_and_leaves_figures_out() -> None:
    prefix = "application/papermill.record/"
    values, causes = claims.recorded(
        notebook(
            glued("a-gain", {"text/plain": ["0.25"]}, prefix),
            glued("a-count", {"text/plain": "3"}),
            glued("a-fig-x", {"image/png": "...", "text/plain": "<Figure>"}, prefix),
            {"output_type": "stream", "name": "stdout", "text": "hello"},
        )
    )
    assert values == {"a-gain": 0.25, "a-count": 3.0}
    assert causes == []


def test_recorded_tells_of_duplicates_and_of_what_is_no_number() -> None:
    values, causes = claims.recorded(
        notebook(
            glued("a-gain", {"text/plain": "0.25"}),
            glued("a-gain", {"text/plain": "0.25"}),
            glued("a-word", {"text/plain": "'about a half'"}),
            glued("a-fig-x", {"image/png": "..."}),
            glued("a-fig-x", {"image/png": "..."}),
        )
    )
    assert values == {"a-gain": 0.25}
    assert len(causes) == 3
    assert causes[0].startswith("'a-gain' is recorded twice")
    assert "'a-word' is glued as \"'about a half'\", which is no number" in causes[1]
    assert causes[2].startswith("'a-fig-x' is recorded twice")


def claim(**fields: Any) -> Claim:
    basic = {"key": "a-gain", "chapter": "part/a", "sentence": "s", "metric": "nats"}
    return Claim.model_validate({**basic, "min": 0.1, "max": 0.2, **fields})


@pytest.mark.parametrize(
    ("values", "causes"),
    [
        ({"a-gain": 0.1}, []),
        ({"a-gain": 0.2}, []),
        ({"a-gain": 0.09}, ["'a-gain' is 0.09, below: its range is 0.1 to 0.2 (nats)"]),
        ({"a-gain": 0.21}, ["'a-gain' is 0.21, above: its range is 0.1 to 0.2 (nats)"]),
        ({"a-gain": float("inf")}, ["'a-gain' is inf, not finite"]),
        ({}, ["'a-gain' is declared but not recorded"]),
        ({"a-gain": 0.1, "a-x": 2.0}, ["'a-x' is recorded (2) but not declared"]),
    ],
)
def test_check(values: dict[str, float], causes: list[str]) -> None:
    other = claim(key="b-gain", chapter="part/b")
    found = claims.check({"a-gain": claim(), "b-gain": other}, "part/a", values)
    assert len(found) == len(causes)
    for defect, cause in zip(found, causes, strict=True):
        assert defect.where == "part/a" and cause in defect.cause


def test_a_range_holds_for_the_profiles_that_it_names() -> None:
    assert claims.check({"a-gain": claim()}, "part/a", {"a-gain": 9.0}, "hub") == []
    assert claims.verdict(claim(), 9.0, "hub") == "no range for hub"
    both = claim(profiles=["embedded", "hub"])
    assert claims.check({"a-gain": both}, "part/a", {"a-gain": 9.0}, "hub")


def test_calibrate_writes_range_basis_and_seeds_and_keeps_the_rest(path: Path) -> None:
    runs = {0: {"a-gain": 0.30, "a-new": 1.0}, 1: {"a-gain": 0.34, "a-new": 2.0}}
    notes = claims.calibrate(path, "part/a", runs, {"python": "3.11"})
    assert [str(n) for n in notes] == ["part/a: 'a-new' is recorded but not declared"]
    text = path.read_text()
    assert "# the first claim" in text and "# low" in text
    assert text.index("[a-gain]") < text.index("[a-gain.basis]") < text.index("[b-fl")
    found, defects = claims.read(path, CHAPTERS)
    assert defects == []
    gain = found["a-gain"]
    assert gain.basis is not None
    assert gain.basis.mean == 0.32 and gain.basis.seeds == 2
    assert gain.basis.sd == pytest.approx(0.0282843)
    # 2 sd = 0.0566: 0.30 and 0.34 widened by it, outwards to two of its digits
    assert (gain.min, gain.max) == (0.243, 0.397)
    assert found["b-floor"] == claims.read(path, CHAPTERS)[0]["b-floor"]
    rows = (path.parent / "calibration" / "a.csv").read_text().splitlines()
    assert rows[0].startswith("# date: ") and rows[1] == "# python: 3.11"
    table = list(csv.DictReader(rows[2:]))
    assert table == [
        {"seed": "0", "a-gain": "0.3", "a-new": "1.0"},
        {"seed": "1", "a-gain": "0.34", "a-new": "2.0"},
    ]
    again = path.read_text()
    claims.calibrate(path, "part/a", runs, {"python": "3.11"})
    assert path.read_text() == again


def test_calibrate_can_write_a_range_for_the_first_time(path: Path) -> None:
    path.write_text(GOOD.replace("min = 0.1  # low\nmax = 0.2\n", ""))
    runs = {s: {"a-gain": 0.5} for s in range(3)}
    assert claims.calibrate(path, "part/a", runs, {}) == []
    found, defects = claims.read(path, CHAPTERS)
    assert defects == []
    # no spread: a thousandth of the mean stands in for it
    assert (found["a-gain"].min, found["a-gain"].max) == (0.4995, 0.5005)


def test_calibrate_leaves_fixed_ranges_alone_and_tells_when_they_fail(
    path: Path,
) -> None:
    runs = {0: {"b-floor": 1.465}, 1: {"b-floor": 1.5}}
    notes = claims.calibrate(path, "part/b", runs, {})
    assert "claim 'b-floor' is fixed to 1.46 to 1.47, seeds gave 1.465 to 1.5" in (
        str(notes[0])
    )
    floor = claims.read(path, CHAPTERS)[0]["b-floor"]
    assert (floor.min, floor.max) == (1.46, 1.47)
    assert floor.basis is not None and floor.basis.highest == 1.5


def test_calibrate_tells_of_claims_that_a_seed_did_not_record(path: Path) -> None:
    notes = claims.calibrate(path, "part/a", {0: {"a-gain": 0.1}, 1: {}}, {})
    assert str(notes[0]) == "part/a: claim 'a-gain' is not recorded by every seed"
    assert "basis" not in path.read_text().split("[b-floor]")[0]


def test_an_accuracy_cannot_be_claimed_beyond_one(path: Path) -> None:
    runs = {0: {"a-gain": 0.99}, 1: {"a-gain": 1.0}}
    claims.calibrate(path, "part/a", runs, {})
    assert claims.read(path)[0]["a-gain"].max == 1.0


def test_replace_file_leaves_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    claims.replace_file(path, "old")
    with pytest.raises(UnicodeEncodeError):
        claims.replace_file(path, "\udcff")
    assert path.read_text() == "old"
    claims.replace_file(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]
