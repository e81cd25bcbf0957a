"""One source of a chapter's exercises, and all that is made from it.

The source, `book/<part>/exercises/<chapter>.ipynb`, holds the exercises with their
solutions, each between a line ``### BEGIN SOLUTION`` and a line ``### END SOLUTION``.
A cell that a learner works in names its exercise, kind and points in its metadata; a
cell that calls the check names the exercise as well. From this one file come the
student version, the solution version, and assignments for Otter and nbgrader. So they
never drift apart.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tlcourse.book import Book, read_notebook
from tlcourse.claims import replace_file

__all__ = ["Question", "questions", "solution", "student", "write"]

_REGION = re.compile(
    r"(?P<indent>[ \t]*)### BEGIN SOLUTION[ \t]*\n(?P<body>.*?)"
    r"^[ \t]*### END SOLUTION[ \t]*(?:\n|\Z)",
    re.M | re.S,
)
_MARK = re.compile(r"(BEGIN|END) SOLUTION")
_STUBS = {
    "inside": 'raise NotImplementedError("your work goes here")',
    "outside": "# Your work goes here.",
    "markdown": "*Your answer goes here.*",
}

Cell = dict[str, Any]
Notebook = dict[str, Any]


class Question(NamedTuple):
    """An exercise: name, kind (recall, code, experiment, open) and points."""

    name: str
    kind: str
    points: int


def questions(notebook: Mapping[str, Any]) -> list[Question]:
    """Return the exercises that a source declares.

    Parameters
    ----------
    notebook : mapping
        The source.

    Returns
    -------
    list of Question
        In the order of the notebook.

    Raises
    ------
    ValueError
        If the declaration of a cell is not complete, or a name occurs twice.
    """
    found = []
    for cell in notebook["cells"]:
        own = _declared(cell)
        if "exercise" in own:
            try:
                found.append(Question(own["exercise"], own["kind"], own["points"]))
            except KeyError as error:
                raise ValueError(
                    "exercises.questions: a cell must declare exercise, kind and points"
                    f", got {own}; is {error} misspelled?"
                ) from None
    if len({question.name for question in found}) < len(found):
        names = ", ".join(question.name for question in found)
        raise ValueError(
            f"exercises.questions: names must differ, got {names}; was a cell copied?"
        )
    return found


def student(notebook: Mapping[str, Any]) -> Notebook:
    """Return the version without solutions: a stub says where to work.

    Parameters
    ----------
    notebook : mapping
        The source.

    Returns
    -------
    dict
        A notebook without outputs, numbers of execution, attachments, or metadata but
        those that name the exercises.

    Raises
    ------
    ValueError
        If the mark of a solution has no partner.
    """
    return _derived(
        notebook, lambda cell, found: f"{found['indent']}{_stub(cell, found)}\n"
    )


def solution(notebook: Mapping[str, Any], *, outputs: bool = False) -> Notebook:
    """Return the version with solutions, without their marks.

    Parameters
    ----------
    notebook : mapping
        The source, or the source as it was executed.
    outputs : bool, default=False
        Whether outputs are kept.

    Returns
    -------
    dict
        A notebook.

    Raises
    ------
    ValueError
        If the mark of a solution has no partner.
    """
    made = _derived(notebook, lambda cell, found: found["body"])
    if outputs:
        for cell, ran in zip(made["cells"], notebook["cells"], strict=True):
            if cell["cell_type"] == "code":
                cell.update(
                    outputs=ran["outputs"], execution_count=ran["execution_count"]
                )
    return made


def write(book: Book, folder: Path, form: str = "plain") -> list[Path]:
    """Write the exercises of every chapter that has some.

    Parameters
    ----------
    book : Book
        The book.
    folder : Path
        Where the files go; what lies there beside them stays.
    form : {"plain", "otter", "nbgrader"}, default="plain"
        Student and solution versions, masters of ``otter assign``, or the folder of an
        nbgrader course.

    Returns
    -------
    list of Path
        The files.
    """
    written = []
    for name, path in book.exercises.items():
        source = read_notebook(path)
        part = name.replace("/exercises/", "/")
        made = {
            "plain": {
                f"student/{part}": student(source),
                f"solutions/{part}": solution(source),
            },
            "otter": {f"{path.stem}/{path.stem}": _otter(source)},
            "nbgrader": {f"source/{path.stem}/{path.stem}": _nbgrader(source)},
        }
        for place, notebook in made[form].items():
            target = folder / f"{place}.ipynb"
            replace_file(target, json.dumps(notebook, indent=1, ensure_ascii=False))
            written.append(target)
    return written


def _declared(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = cell["metadata"].get("tlcourse", {})
    return found


def _stub(cell: Mapping[str, Any], found: re.Match[str]) -> str:
    if cell["cell_type"] == "markdown":
        return _STUBS["markdown"]
    return _STUBS["inside" if found["indent"] else "outside"]


def _derived(
    notebook: Mapping[str, Any],
    replaced: Callable[[Mapping[str, Any], re.Match[str]], str],
) -> Notebook:
    """Return a notebook of clean cells, each solution region replaced by something."""
    cells = []
    for cell in notebook["cells"]:
        if "injected-parameters" in cell["metadata"].get("tags", []):
            continue
        text = "".join(cell["source"])
        bodies = [found["body"] for found in _REGION.finditer(text)]
        if any(map(_MARK.search, [_REGION.sub("", text), *bodies])):
            raise ValueError(
                "exercises: BEGIN SOLUTION must have an END SOLUTION in its cell, "
                f"got {text[:60]!r}...; is one misspelled?"
            )
        made = _REGION.sub(functools.partial(replaced, cell), text)
        kept = {"cell_type": cell["cell_type"], "id": cell["id"], "metadata": {}}
        if _declared(cell):
            kept["metadata"] = {"tlcourse": dict(_declared(cell))}
        if cell["cell_type"] == "code":
            kept |= {"execution_count": None, "outputs": []}
        cells.append(kept | {"source": made.strip("\n")})
    kernel = {"kernelspec": notebook["metadata"]["kernelspec"]}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, name: str, text: str) -> Cell:
    cell: Cell = {"cell_type": kind, "id": name, "metadata": {}, "source": text}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def _test(name: str) -> str:
    """Return what a grader runs: the same check, as an assertion that tells all."""
    return f'result = check.{name}({name})\nassert result.passed, f"\\n{{result}}"'


def _otter(source: Mapping[str, Any]) -> Notebook:
    """Return a master notebook for ``otter assign``."""
    made = _derived(
        source,
        lambda cell, found: (
            f"{found['indent']}# BEGIN SOLUTION NO PROMPT\n{found['body']}"
            f"{found['indent']}# END SOLUTION\n"
            f'{found["indent"]}""" # BEGIN PROMPT\n'
            f"{found['indent']}{_stub(cell, found)}\n"
            f'{found["indent"]}"""; # END PROMPT\n'
            if cell["cell_type"] == "code"
            else found["body"]
        ),
    )
    settings = "# ASSIGNMENT CONFIG\nexport_cell: false\ngenerate: true\n"
    cells = [_cell("raw", "assignment", settings)]
    points = {question.name: question for question in questions(source)}
    for cell in made["cells"]:
        name = _declared(cell).get("exercise")
        if not name:
            cells.append(cell)
            continue
        opened = points[name].kind == "open"
        begin = f"# BEGIN QUESTION\nname: {name}\npoints: {points[name].points}\n"
        raw = [begin + "manual: true\n" * opened, "# BEGIN SOLUTION", "# END SOLUTION"]
        raw += ["# BEGIN TESTS", "# END TESTS", "# END QUESTION"]
        marks = [_cell("raw", f"{name}-{i}", text) for i, text in enumerate(raw)]
        test = _cell("code", f"{name}-test", _test(name))
        tests = [] if opened else [marks[3], test, marks[4]]
        cells += [marks[0], marks[1], cell, marks[2], *tests, marks[5]]
    return {**made, "cells": cells}


def _nbgrader(source: Mapping[str, Any]) -> Notebook:
    """Return the source of an nbgrader assignment, which knows these marks itself."""
    made = _derived(source, lambda cell, found: found[0])
    return {**made, "cells": list(_with_tests(made["cells"], questions(source)))}


def _with_tests(cells: list[Cell], asked: list[Question]) -> Iterator[Cell]:
    points = {question.name: question for question in asked}
    common = {"schema_version": 3, "task": False}
    for cell in cells:
        name = _declared(cell).get("exercise")
        if name:
            opened = points[name].kind == "open"
            own = {"grade": opened, "solution": True, "locked": False, "grade_id": name}
            own |= {"points": points[name].points} if opened else {}
            cell["metadata"]["nbgrader"] = common | own
        yield cell
        if name and not opened:
            test = _cell("code", f"{name}-test", _test(name))
            own = {"grade": True, "solution": False, "locked": True}
            own |= {"grade_id": f"{name}-test", "points": points[name].points}
            test["metadata"]["nbgrader"] = common | own
            yield test
