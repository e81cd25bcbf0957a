"""The book as files: chapters, settings, hashes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tlcourse import runner
from tlcourse.book import Book, find_root, read_notebook, tree_hash


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = {
        "_config.yml": "title: x\n",
        "_toc.yml": (
            "format: jb-book\nroot: book/intro\nparts:\n- caption: One\n  chapters:\n"
            "  - file: book/one/a\n    sections:\n    - file: book/one/b.ipynb\n"
            "    - file: book/one/exercises/c\n"
        ),
        "book/intro.md": "# x\n",
        "book/one/a.ipynb": json.dumps({"cells": [], "metadata": {}}),
        "book/one/b.ipynb": json.dumps({"cells": [], "metadata": {}}),
        "book/one/exercises/c.ipynb": "{}",
        "book/one/.ipynb_checkpoints/a.ipynb": "{}",
    }
    for name, content in pages.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_chapters_are_the_notebooks_of_the_contents(folder: Path) -> None:
    book = Book(folder)
    assert list(book.chapters) == ["one/a", "one/b"]
    assert list(book.exercises) == ["one/exercises/c"]
    assert list(book.notebooks) == [*book.chapters, *book.exercises]
    assert list(Book(folder, solutions=False).notebooks) == ["one/a", "one/b"]
    assert book.defects == []
    (folder / "book" / "one" / "a.ipynb").rename(folder / "book" / "one" / "d.ipynb")
    told = [str(defect) for defect in Book(folder).defects]
    assert told == [
        "book/one/a: is listed in _toc.yml but does not exist",
        "one/d: is a notebook in the folder but is not listed in _toc.yml",
    ]


def test_a_chapter_is_found_by_name_stem_and_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(folder)
    monkeypatch.chdir(folder / "book")
    for name in ("one/b", "b", "one/b.ipynb", str(book.chapters["one/b"])):
        assert book.find(name) == "one/b"
    with pytest.raises(
        ValueError, match="chapter must be one of one/a, one/b, got 'z'"
    ):
        book.find("z")


def test_find_root_walks_up(folder: Path, tmp_path_factory: Any) -> None:
    assert find_root(folder / "book" / "one") == folder
    with pytest.raises(ValueError, match="book.find_root: a folder with _toc.yml"):
        find_root(tmp_path_factory.mktemp("elsewhere"))


def test_the_cores_are_divided_between_the_notebooks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlcourse.book.cores", lambda: 8)
    monkeypatch.delenv("OMP_WAIT_POLICY")
    books = [Book(folder, jobs=n) for n in (1, 9)]
    assert [(book.jobs, book.threads) for book in books] == [(1, 8), (2, 4)]
    waits = [book.environment().get("OMP_WAIT_POLICY") for book in books]
    assert waits == [None, "PASSIVE"]  # threads spin only where nothing runs beside


def test_a_file_that_is_no_notebook_is_named(folder: Path) -> None:
    path = folder / "book" / "one" / "a.ipynb"
    path.write_text("<<<<<<< ours\n")
    with pytest.raises(ValueError, match=r"a\.ipynb must hold JSON, got Expecting"):
        read_notebook(path)
    with pytest.raises(ValueError, match=r"a\.ipynb must hold JSON"):
        runner.build(Book(folder))


def test_tree_hash_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    seen = {tree_hash(tmp_path)}
    (tmp_path / "a").write_text("2")
    seen.add(tree_hash(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(tree_hash(tmp_path))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b.pyc").write_text("3")
    seen.add(tree_hash(tmp_path))
    assert len(seen) == 3
