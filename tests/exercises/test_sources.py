"""The sources of the exercises, and the versions that are made from them."""

from __future__ import annotations

import copy
import importlib
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tlcourse import exercises
from tlcourse.book import Book, read_notebook

BOOK = Book(Path(__file__).parents[2])
SOURCES = {name: read_notebook(path) for name, path in BOOK.exercises.items()}
REGION = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.S)
KINDS = {"recall", "code", "experiment", "open"}


def module(name: str) -> Any:
    stem = BOOK.exercises[name].stem.replace("-", "_")
    return importlib.import_module(f"tlcourse.checks.{stem}")


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """Run the cells as a kernel would; return what each check answered."""
    names: dict[str, Any] = {}
    found = {}
    for cell in (c for c in notebook["cells"] if c["cell_type"] == "code"):
        name = cell["metadata"].get("tlcourse", {}).get("check")
        text = "".join(cell["source"])
        if name:
            found[name] = eval(text, names)
        else:
            exec(text, names)
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_the_form_of_a_source(name: str) -> None:
    source, path = SOURCES[name], BOOK.exercises[name]
    chapter = name.replace("/exercises/", "/")
    assert chapter in BOOK.chapters
    asked = exercises.questions(source)
    assert len(asked) >= 4 and {q.kind for q in asked} == KINDS
    checks = module(name)
    assert sorted(q.name for q in asked) == checks.__all__
    text = "\n".join("".join(c["source"]) for c in source["cells"])
    headings = re.findall(r"^## \d+\. .+ \((\w+), (\d+) points?\)$", text, re.M)
    assert headings == [(q.kind, str(q.points)) for q in asked]
    for question in asked:
        assert getattr(checks, question.name).points == question.points
        call = f"check.{question.name}({question.name})"
        assert (call in text) == (question.kind != "open")
    assert len(REGION.findall(text)) == len(asked)
    total = sum(q.points for q in asked)
    assert f"{total} points" in "".join(source["cells"][0]["source"])
    assert path.stem in "".join(source["cells"][0]["source"])  # leads to its chapter
    for cell in source["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count")
        assert all(len(line) <= 79 for line in lines_of_code(cell))


def lines_of_code(cell: dict[str, Any]) -> list[str]:
    return "".join(cell["source"]).splitlines() if cell["cell_type"] == "code" else []


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("version", ["student", "otter", "nbgrader"])
def test_no_trace_of_a_solution_is_left(name: str, version: str) -> None:
    source = copy.deepcopy(SOURCES[name])
    for number, cell in enumerate(source["cells"]):
        cell["metadata"]["planted"] = f"planted-trace-{number}"
        cell["attachments"] = {"planted-trace": {}}
        if cell["cell_type"] == "code":
            cell["outputs"] = [
                {"output_type": "stream", "text": f"planted-trace-{number}"}
            ]
            cell["execution_count"] = 777777
    source["metadata"]["planted"] = "planted-trace"
    text = "\n".join("".join(c["source"]) for c in source["cells"])
    inside = {ln.strip() for body in REGION.findall(text) for ln in body.splitlines()}
    outside = {ln.strip() for ln in REGION.sub("", text).splitlines()}
    assert len(inside - outside) > 10
    if version == "student":
        made = json.dumps(exercises.student(source), ensure_ascii=False)
        for line in inside - outside:
            written = json.dumps(line, ensure_ascii=False)[1:-1]
            # A short one may begin a line that is to stay.
            assert (f"\\n{written}\\n" if len(line) < 20 else written) not in made
        assert "SOLUTION" not in made
    else:  # the other graders take the solutions out themselves, see their tests
        make = exercises._otter if version == "otter" else exercises._nbgrader
        made = json.dumps(make(source))
    assert "planted-trace" not in made and "777777" not in made


@pytest.mark.parametrize("name", SOURCES)
def test_the_solution_passes_every_check_in_time(name: str) -> None:
    start, solved = time.process_time(), exercises.solution(SOURCES[name])
    assert "SOLUTION" not in json.dumps(solved)
    found = run(solved)
    asked = {q.name for q in exercises.questions(SOURCES[name]) if q.kind != "open"}
    assert found.keys() == asked
    assert all(result.passed for result in found.values()), found
    assert time.process_time() - start < 60  # what a chapter may take


@pytest.mark.parametrize("name", SOURCES)
def test_the_student_version_fails_every_check_without_crashing(name: str) -> None:
    for result in run(exercises.student(SOURCES[name])).values():
        assert not result.passed and result.points == 0
        assert "has not been done yet" in result.hint


def test_derived_versions_keep_what_was_asked() -> None:
    for source in SOURCES.values():
        for made in (exercises.student(source), exercises.solution(source)):
            assert exercises.questions(made) == exercises.questions(source)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("x = 1\n### BEGIN SOLUTION\nx = 2", "student"),
        ("x = 2\n### END SOLUTION", "student"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", "solution"),
        ("## BEGIN SOLUTION\nx = 2\n## END SOLUTION", "student"),
    ],
)
def test_a_mark_without_a_partner_is_an_error(text: str, version: str) -> None:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": text}
    notebook = {"cells": [cell], "metadata": {"kernelspec": {}}}
    with pytest.raises(ValueError, match="must have an END SOLUTION in its cell, got"):
        getattr(exercises, version)(notebook)


def test_declarations_must_be_complete_and_names_differ() -> None:
    def declared(*cells: dict[str, Any]) -> dict[str, Any]:
        return {"cells": [{"metadata": {"tlcourse": own}} for own in cells]}

    whole = {"exercise": "a", "kind": "code", "points": 1}
    with pytest.raises(ValueError, match="exercise, kind and points, got"):
        exercises.questions(declared({"exercise": "a", "kind": "code"}))
    with pytest.raises(ValueError, match="names must differ, got a, a; was a cell"):
        exercises.questions(declared(whole, whole))


def test_the_files_are_written_in_three_forms(tmp_path: Path) -> None:
    for form, places in (
        ("plain", ["solutions/foundations", "student/foundations"]),
        ("otter", ["loss-functions"]),
        ("nbgrader", ["source/loss-functions"]),
    ):
        written = exercises.write(BOOK, tmp_path / form, form)
        found = {p.relative_to(tmp_path / form).as_posix() for p in written}
        assert {f"{place}/loss-functions.ipynb" for place in places} <= found
        assert all(path.is_file() for path in written)
