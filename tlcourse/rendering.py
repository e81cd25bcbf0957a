"""Render the executed book: stage it, let jupyter-book build it, swap the site.

The stage is a copy of the book in which the executed notebooks have taken the places
of their sources and execution is off, so what the reader sees is what was checked.
Each render is a fresh one into a new folder: jupyter-book with ``-W --keep-going``
succeeds when it is called again on an unchanged, defective book. The site in
`_build/html` is replaced only by a render without a warning.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from tlcourse.book import Book, read_notebook, tree_hash, versions
from tlcourse.claims import Defect, replace_file
from tlcourse.execution import Guarded
from tlcourse.exercises import solution, student

__all__ = ["defects", "render"]

_TOOLS = ("jupyter-book", "myst-nb", "sphinx", "sphinx-book-theme")
_START = (
    "from tlcourse.execution import follow_parent; follow_parent(); "
    "from jupyter_book.cli.main import main; main(prog_name='jupyter-book')"
)
_FOR_COLAB = """\
# Installs the course in Google Colab; does nothing elsewhere.
import sys

if "google.colab" in sys.modules:
    !git clone --quiet --depth 1 {} course
    %cd course
    %pip install --quiet ."""
_WARNING = re.compile(
    r"(?:(?P<file>\S.*?)(?::(?P<line>\d+))?: )?(?:WARNING|ERROR|CRITICAL): (?P<text>.+)"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def render(book: Book, executed: Mapping[str, Path], *, keep: bool) -> list[Defect]:
    """Render into a new folder; replace the site if there is no defect.

    Parameters
    ----------
    book : Book
        The book.
    executed : mapping of str to Path
        Executed notebook of each chapter, and of the exercises if they are to be shown.
    keep : bool
        False when the book is known to be defective: the render then only tells what
        else is wrong.

    Returns
    -------
    list of Defect
        One for each warning: broken link, missing key, figure without alt text.
        Nothing is rendered when `_build/html` is what this book renders to, untouched.
    """
    stage, html, record = book.work / "stage", book.site.parent, book.work / "site.json"
    _fill(stage, book, executed)
    inputs = {**versions(book.root), **{tool: version(tool) for tool in _TOOLS}}
    inputs["stage"] = tree_hash(stage)

    def done() -> str:
        return json.dumps({"inputs": inputs, "html": tree_hash(html)})

    if record.is_file() and record.read_text(encoding="utf-8") == done():
        return []
    for leftover in book.work.glob("render-*"):
        shutil.rmtree(leftover)
    fresh = Path(tempfile.mkdtemp(prefix="render-", dir=book.work))
    found = _jupyter_book(book, stage, fresh)
    if keep and not found:
        record.unlink(missing_ok=True)
        if html.exists():
            html.rename(fresh / "old")
        (fresh / "_build" / "html").rename(html)
        replace_file(record, done())
    shutil.rmtree(fresh)
    return found


def _fill(stage: Path, book: Book, executed: Mapping[str, Path]) -> None:
    if stage.exists():
        shutil.rmtree(stage)
    unwanted = shutil.ignore_patterns(".*", "__pycache__")
    shutil.copytree(book.root / "book", stage / "book", ignore=unwanted)
    for chapter in book.chapters:
        source = book.chapters[chapter].relative_to(book.root)
        shutil.copy(executed[chapter], stage / source)
    toc = yaml.safe_load((book.root / "_toc.yml").read_text(encoding="utf-8"))
    pages = list(_exercises(book, stage, executed))
    if pages:
        toc.setdefault("parts", [{"chapters": toc.pop("chapters", [])}])
        toc["parts"].append({"caption": "Solutions", "chapters": pages})
    (stage / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False))
    if book.repository:
        for path in stage.rglob("*.ipynb"):
            _add_installing_cell(path, book.repository)
    config = yaml.safe_load((book.root / "_config.yml").read_text(encoding="utf-8"))
    config["execute"] = {**config.get("execute", {}), "execute_notebooks": "off"}
    if book.repository:
        config["repository"] = {"url": book.repository, "branch": "main"}
        buttons = ("repository", "issues", "edit_page")
        shown = {f"use_{name}_button": True for name in buttons}
        config["html"] = {**config.get("html", {}), **shown}
        launch = {"binderhub_url": "https://mybinder.org"}
        *_, host, owner, name = book.repository.split("/")
        if host == "github.com":  # Colab opens what lies there; pages get this address
            launch["colab_url"] = "https://colab.research.google.com"
            config["html"]["baseurl"] = f"https://{owner.lower()}.github.io/{name}/"
        config["launch_buttons"] = {**config.get("launch_buttons", {}), **launch}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (stage / "_config.yml").write_text(text, encoding="utf-8")


def _add_installing_cell(path: Path, repository: str) -> None:
    """Let the notebook of the page, which Colab opens, install what it imports."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "for-colab",
        "metadata": {"tags": ["remove-cell"]},  # of no use on the page
        "execution_count": None,
        "outputs": [],
        "source": _FOR_COLAB.format(repository),
    }
    notebook["cells"].insert(1, cell)  # behind the title
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")


def _exercises(
    book: Book, stage: Path, executed: Mapping[str, Path]
) -> Iterator[dict[str, str]]:
    """Stage the exercises without solutions; yield the pages of their solutions."""
    for name, path in book.exercises.items():
        source, place = read_notebook(path), stage / path.relative_to(book.root)
        replace_file(place, json.dumps(student(source)))
        if name in executed:
            made = solution(read_notebook(executed[name]), outputs=True)
            title = made["cells"][0]["source"].partition("\n")[0].lstrip("# ")
            made["cells"][0]["source"] = (
                f"# {title.replace('Exercises', 'Solutions')}\n\nThe exercises without "
                f"solutions have {{doc}}`their own page <../exercises/{path.stem}>`."
            )
            page = place.parent.parent / "solutions" / path.name
            replace_file(page, json.dumps(made))
            yield {"file": page.relative_to(stage).with_suffix("").as_posix()}


def _jupyter_book(book: Book, stage: Path, fresh: Path) -> list[Defect]:
    command = ["-c", _START, "build", str(stage), "--path-output", str(fresh)]
    command += ["-n", "-W", "--keep-going", "--all"]
    process = Guarded(command, fresh, book.environment(), book.limits)
    try:
        while not process.is_over():
            time.sleep(0.05)
    finally:
        process.kill()
    if process.process.returncode == 0:
        return []
    lines = [_COLOUR.sub("", line) for line in process.said]
    cause = process.overrun or f"failed: {' / '.join(lines[-12:])}"
    return defects(lines, stage) or [Defect("the site", f"jupyter-book {cause}")]


def defects(lines: Iterable[str], stage: Path) -> list[Defect]:
    """Return the warnings among the lines that jupyter-book printed.

    Parameters
    ----------
    lines : iterable of str
        Its output.
    stage : Path
        The folder that it built, to name pages as the book does.

    Returns
    -------
    list of Defect
        Each once, with the page and the line or the notebook's cell.
    """
    found = []
    for match in filter(None, map(_WARNING.match, lines)):
        where, cause = match["file"] or "the site", match["text"]
        number = int(match["line"] or 0)
        if where.startswith(str(stage)):
            path = Path(where).relative_to(stage).with_suffix("")
            where = path.as_posix().removeprefix("book/")
        if number >= 10_000:  # how myst-nb counts the lines of a notebook
            cause = f"cell {number // 10_000}: {cause}"
        elif number:
            cause = f"line {number}: {cause}"
        found.append(Defect(where, cause))
    return list(dict.fromkeys(found))
