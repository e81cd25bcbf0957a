"""What the commands do without a kernel; tests/book runs them with kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlcourse import runner
from tlcourse.book import Book

CHECK = {"tags": ["keep_output", "nbval-check-output"]}
PRINTED = {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]}


def notebook(*cells: tuple[dict[str, Any], list[Any]]) -> dict[str, Any]:
    kind = {"cell_type": "code", "source": "x", "execution_count": 1}
    made = [{**kind, "metadata": m, "outputs": outputs} for m, outputs in cells]
    return {"cells": made}


# nbval takes a cell without a number for one that never ran, and fails.
NEVER_RAN = notebook((CHECK, [PRINTED]))
NEVER_RAN["cells"][0]["execution_count"] = None


def test_calibrate_wants_two_seeds(tmp_path: Path) -> None:
    for name, content in {"_toc.yml": "root: book/intro", "_config.yml": ""}.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match="runner.calibrate: seeds must be at least 2"):
        runner.calibrate(Book(tmp_path), (), 1)


@pytest.mark.parametrize(
    ("source", "causes"),
    [
        (notebook(({}, []), (CHECK, [PRINTED])), []),
        (notebook(), ["its last code cell must be the check cell"]),
        (notebook((CHECK, [PRINTED]), ({}, [])), ["its last", "code cell 1 (`x`) has"]),
        (notebook((CHECK, [])), ["its check cell has no stored output"]),
        (NEVER_RAN, ["its check cell has no stored output"]),
        (notebook(({}, [PRINTED]), (CHECK, [PRINTED])), ["code cell 1 (`x`) has stor"]),
    ],
)
def test_stored_outputs_belong_to_the_check_cell(
    source: dict[str, Any], causes: list[str]
) -> None:
    found = list(runner._form(source))
    assert len(found) == len(causes)
    assert all(f.startswith(c) for f, c in zip(found, causes, strict=True))


@pytest.mark.parametrize(
    ("text", "causes"),
    [
        ("one\ntwo", []),
        ("one\nthree", ["its check cell gives 'three' where 'two' is stored"]),
        ("one", ["its check cell gives '' where 'two' is stored"]),
        ("one\ntwo\nthree", ["its check cell gives 'three' where '' is stored"]),
    ],
)
def test_the_first_line_that_differs_is_told(text: str, causes: list[str]) -> None:
    executed = notebook((CHECK, [{**PRINTED, "text": text}]))
    assert runner._check_cell(notebook((CHECK, [PRINTED])), executed) == causes


def test_a_check_cell_is_stored_from_the_run_of_a_build(tmp_path: Path) -> None:
    for name, content in {"_toc.yml": "root: book/intro", "_config.yml": ""}.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match="runner.run: a stored check cell must come"):
        runner.run(Book(tmp_path), "x", {"SEED": 1}, store=True)
