"""What becomes of jupyter-book's warnings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlcourse import rendering
from tlcourse.claims import Defect


@pytest.mark.parametrize(
    ("line", "defect"),
    [
        (
            "{}/book/one/a.md:12: WARNING: unknown document: 'x' [ref.doc]",
            Defect("one/a", "line 12: unknown document: 'x' [ref.doc]"),
        ),
        (
            "{}/book/one/b.ipynb:30002: ERROR: no such thing",
            Defect("one/b", "cell 3: no such thing"),
        ),
        ("WARNING: something global", Defect("the site", "something global")),
        ("reading sources... [ 50%] book/intro", None),
    ],
)
def test_warnings_of_sphinx_become_defects(
    line: str, defect: Defect | None, tmp_path: Path
) -> None:
    found = rendering.defects([line.format(tmp_path)], tmp_path)
    assert found == ([defect] if defect else [])
