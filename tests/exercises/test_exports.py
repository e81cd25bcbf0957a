"""Otter and nbgrader: from our source to their grade, with the solution and a blank."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tlcourse import exercises
from tlcourse.book import Book

CHAPTER, LINE = "loss-functions", "log_sum_exp = shifted.exp()"
POINTS = {
    "two_numbers": 2,
    "what_is_minimised": 2,
    "cross_entropy": 3,
    "cross_entropy_gradient": 2,
    "focal_loss": 3,
    "three_ways": 4,
}

pytestmark = pytest.mark.timeout(900)


def call(folder: Path, *command: str) -> str:
    """Run a command of theirs with our package."""
    root = Path(__file__).parents[2]
    env = Book(root).environment() | {"HOME": str(folder), "PYTHONWARNINGS": "ignore"}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_otter_from_assignment_to_grade(root: Path, tmp_path: Path) -> None:
    exercises.write(Book(root), tmp_path, "otter")
    folder = tmp_path / CHAPTER
    call(folder, "otter", "assign", f"{CHAPTER}.ipynb", "dist", "--no-run-tests")
    student = folder / "dist" / "student" / f"{CHAPTER}.ipynb"
    solved = folder / "dist" / "autograder" / f"{CHAPTER}.ipynb"
    assert LINE not in student.read_text() and LINE in solved.read_text()
    assert "your work goes here" in student.read_text()
    (zipped,) = (folder / "dist" / "autograder").glob("*.zip")

    def scores(submission: Path) -> dict[str, float]:
        call(folder, "otter", "run", "-a", str(zipped), "-o", ".", str(submission))
        tests = json.loads((folder / "results.json").read_text())["tests"]
        return {t["name"]: t.get("score", 0) for t in tests if t["name"] in POINTS}

    assert scores(solved) == POINTS
    assert scores(student) == dict.fromkeys(POINTS, 0)


def test_nbgrader_from_assignment_to_grade(root: Path, tmp_path: Path) -> None:
    from nbgrader.api import Gradebook

    exercises.write(Book(root), tmp_path, "nbgrader")
    make = ("nbgrader", "generate_assignment", CHAPTER, "--create")
    call(tmp_path, *make, "--IncludeHeaderFooter.header=")
    student = tmp_path / "release" / CHAPTER / f"{CHAPTER}.ipynb"
    assert LINE not in student.read_text() and "YOUR CODE HERE" in student.read_text()
    for name, path in (
        ("anna", tmp_path / "source" / CHAPTER / f"{CHAPTER}.ipynb"),
        ("ben", student),
    ):
        place = tmp_path / "submitted" / name / CHAPTER
        place.mkdir(parents=True)
        shutil.copy(path, place)
    call(tmp_path, "nbgrader", "autograde", CHAPTER, "--create")
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        for name, right in (("anna", 1), ("ben", 0)):
            found = book.find_submission_notebook(CHAPTER, CHAPTER, name).grades
            opened = next(g for g in found if g.name == "source_stays_inside")
            assert opened.needs_manual_grade or name == "ben"  # his is blank
            scores = {g.name.removesuffix("-test"): g.auto_score for g in found}
            del scores[opened.name]
            assert scores == {key: right * most for key, most in POINTS.items()}
