"""The gate for pictures in raw HTML, and the tables as text."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("html", "bare"),
    [
        ('<img src="a.png" alt="A line.">', False),
        ("<p><img alt='A line.' src='a.png'/></p>", False),
        ('<img src="a.png">', True),
        ('<img src="a.png" alt="">', True),
        ('<IMG\nsrc="a.png"\n/>', True),
        ("<p>no picture</p>", False),
    ],
)
def test_pictures_in_raw_html_need_alt_text(html: str, bare: bool) -> None:
    from tlcourse import sphinx_ext

    assert bool(sphinx_ext._BARE_IMAGE.search(html)) == bare


def test_a_table_has_a_head_and_rows() -> None:
    from tlcourse import sphinx_ext

    text = sphinx_ext._table(["a", "b"], [["1", "2"], ["3", "4"]])
    assert text.count("<tr>") == 3 and text.count("<th") == 3
    assert "<td>3</td><td>4</td>" in text
