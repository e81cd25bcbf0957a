"""The book as files: its chapters, what their outputs depend on, what ran before.

An executed notebook is used again only when everything that its outputs depend on is
the same: the notebook's source, the package with the data in it, the lock file, the
claims and calibration of the chapter, profile, parameters, threads, versions of
Python and torch. They stand in a record beside the executed notebook, together with
its SHA-256. The notebook is written first, then the record, each by a rename. So a
build that is killed at any moment leaves either a record that fits or one that is not
trusted, and a notebook that did not run well never gets one.

Everything that is derived lies in `_build/tlcourse`; it may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from tlcourse import claims as _claims
from tlcourse import execution as _execution
from tlcourse.claims import Claim, Defect
from tlcourse.execution import Job, Limits, Outcome

__all__ = ["Book", "cores", "find_root", "read_notebook", "tree_hash", "versions"]


def find_root(start: Path) -> Path:
    """Return the first folder from `start` upwards that holds a book.

    Parameters
    ----------
    start : Path
        Where to begin.

    Returns
    -------
    Path
        An absolute path.

    Raises
    ------
    ValueError
        If no folder holds both `_toc.yml` and `_config.yml`.
    """
    for folder in [start.resolve(), *start.resolve().parents]:
        if (folder / "_toc.yml").is_file() and (folder / "_config.yml").is_file():
            return folder
    raise ValueError(
        f"book.find_root: a folder with _toc.yml and _config.yml must lie at or above "
        f"{start}, got none; change to the course's folder or pass --root"
    )


class Book:
    """The chapters of a book and how they are to be run.

    Parameters
    ----------
    root : Path
        Folder with `_toc.yml`, `_config.yml` and `book/`.
    profile : str, default="embedded"
        Profile of the notebooks.
    jobs : int, optional
        Notebooks side by side; as many as there are cores when not given. The cores
        are divided between them.
    limits : Limits
        What one notebook may take.
    repository : str, optional
        Public address of the course's Git repository. With it the pages get buttons
        that lead there, to the editor of a page, and to Binder; without it, none.
    solutions : bool, default=True
        Whether the exercises' solutions run and are part of the site.

    Raises
    ------
    ValueError
        If the repository's address has another form than https://HOST/OWNER/NAME.

    Attributes
    ----------
    chapters : dict of str to Path
        Chapter name, such as ``"foundations/optimizers"``, -> its notebook.
    exercises : dict of str to Path
        Name, such as ``"foundations/exercises/optimizers"``, -> the exercises' source.
    notebooks : dict of str to Path
        All that a build runs: the chapters, and the exercises with their solutions.
    site : Path
        The page to open once the book is built.
    defects : list of Defect
        Where `_toc.yml` and the folder disagree.
    """

    def __init__(
        self,
        root: Path,
        *,
        profile: str = "embedded",
        jobs: int | None = None,
        limits: Limits | None = None,
        repository: str | None = None,
        solutions: bool = True,
    ) -> None:
        if repository and not re.fullmatch(r"https://[^/]+/[^/]+/[^/]+", repository):
            raise ValueError(
                "book.Book: repository must be an address like https://HOST/OWNER/NAME"
                f", got {repository!r}; leave out what follows the name"
            )
        self.repository, self.solutions = repository, solutions
        self.root, self.profile, self.limits = (
            root.resolve(),
            profile,
            limits or Limits(),
        )
        self.work = self.root / "_build" / "tlcourse"
        self.site = self.root / "_build" / "html" / "index.html"
        found, self.defects = _contents(self.root)
        apart = {name: set(name.split("/")) for name in found}
        self.exercises = {n: p for n, p in found.items() if "exercises" in apart[n]}
        pages = {"exercises", "solutions"}  # the latter in what is rendered only
        self.chapters = {n: p for n, p in found.items() if not pages & apart[n]}
        self.notebooks = self.chapters | (self.exercises if solutions else {})
        self.jobs = max(1, min(jobs or cores(), len(self.chapters)))
        self.threads = max(1, cores() // self.jobs)
        self.parameters = {} if profile == "embedded" else {"PROFILE": profile}

    def find(self, name: str) -> str:
        """Return the chapter that a name, stem or path means."""
        path = Path(name).resolve()
        for chapter, notebook in self.chapters.items():
            if name in (chapter, notebook.stem) or path == notebook:
                return chapter
        raise ValueError(
            f"book.Book: chapter must be one of {', '.join(self.chapters)}, "
            f"got {name!r}; is it listed in _toc.yml?"
        )

    def claims(self) -> tuple[dict[str, Claim], list[Defect]]:
        """Read the claims of the book."""
        return _claims.read(self.root / _claims.FILE, self.chapters)

    def execute(
        self, jobs: Sequence[Job], watch: _execution.Watch | None = None
    ) -> Iterator[Outcome]:
        """Run notebooks under the book's settings and limits."""
        return _execution.execute(
            jobs,
            side_by_side=self.jobs,
            env=self.environment(),
            limits=self.limits,
            watch=watch,
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of the processes that work on this book."""
        offline = self.profile != "hub"
        folder = self.work / "ipython"
        return _execution.environment(
            folder, threads=self.threads, offline=offline, alone=self.jobs == 1
        )

    def executed(self, chapter: str) -> Path:
        """Return where the executed notebook of a chapter lies, if it ran."""
        return self.work / "executed" / self.profile / f"{chapter}.ipynb"

    def changed(self, chapter: str, inputs: Mapping[str, Any]) -> list[str]:
        """Return why the executed notebook cannot be used again; empty if it can."""
        path = self.executed(chapter)
        try:
            record = read_notebook(path.with_suffix(".json"))
            if record["sha256"] != _file_hash(path):
                return ["executed notebook"]
            return [k for k, v in inputs.items() if record["inputs"].get(k) != v]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return ["no record of a run"]

    def keep(self, outcome: Outcome, inputs: Mapping[str, Any]) -> None:
        """Store an executed notebook, then the record that makes it trusted."""
        notebook = read_notebook(outcome.job.output)
        for part in [notebook, *notebook["cells"]]:
            part["metadata"].pop("papermill", None)  # it holds paths of this machine
        cost = {"seconds": outcome.seconds, "peak_bytes": outcome.peak_bytes}
        notebook["metadata"]["tlcourse"] = {"profile": self.profile, **cost}
        path = self.executed(outcome.job.chapter)
        _claims.replace_file(path, json.dumps(notebook, indent=1, ensure_ascii=False))
        record = {"sha256": _file_hash(path), "inputs": inputs}
        _claims.replace_file(path.with_suffix(".json"), json.dumps(record, indent=1))
        outcome.job.output.unlink()

    def inputs(self, claims: Mapping[str, Claim]) -> dict[str, dict[str, Any]]:
        """Return for each chapter all that its outputs depend on, part by part."""
        common: dict[str, Any] = {**versions(self.root), "profile": self.profile}
        common |= {"parameters": self.parameters, "threads": self.threads}
        found = {}
        for chapter, path in self.notebooks.items():
            notebook = read_notebook(path)
            parts = ("cell_type", "source", "metadata")
            cells = [[cell[part] for part in parts] for cell in notebook["cells"]]
            own = [c.model_dump() for c in claims.values() if c.chapter == chapter]
            seeds = self.root / "book" / "calibration" / f"{path.stem}.csv"
            found[chapter] = {
                "notebook": _hash([cells, notebook["metadata"]]),
                "claims": _hash([own, _file_hash(seeds)]),
                **common,
            }
        return found


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _contents(root: Path) -> tuple[dict[str, Path], list[Defect]]:
    """Compare `_toc.yml` with the folder `book`."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    listed = [re.sub(r"\.(ipynb|md)$", "", entry) for entry in _entries(toc)]
    chapters, defects = {}, []
    for entry in listed:
        notebook = root / f"{entry}.ipynb"
        if notebook.is_file():
            chapters[entry.removeprefix("book/")] = notebook
        elif not (root / f"{entry}.md").is_file():
            defects.append(Defect(entry, "is listed in _toc.yml but does not exist"))
    for notebook in sorted((root / "book").rglob("*.ipynb")):
        parts = notebook.relative_to(root).with_suffix("").parts
        if (
            not any(part.startswith(".") for part in parts)
            and "/".join(parts) not in listed
        ):
            cause = "is a notebook in the folder but is not listed in _toc.yml"
            defects.append(Defect("/".join(parts[1:]), cause))
    return chapters, defects


def _entries(node: Any) -> Iterator[str]:
    """Yield the files that a part of `_toc.yml` names."""
    if isinstance(node, dict):
        yield from (node[key] for key in ("root", "file") if key in node)
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from _entries(child)


def read_notebook(path: Path) -> dict[str, Any]:
    """Return the parsed content of a notebook, or of another JSON file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    ValueError
        If it holds no JSON.
    """
    try:
        notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"book.read_notebook: {path} must hold JSON, got {error}; "
            "was it cut off or merged with conflicts?"
        ) from None
    return notebook


def versions(root: Path) -> dict[str, str]:
    """Return what every notebook and the site depend on."""
    return {
        "package": tree_hash(Path(__file__).parent),
        "lock": _file_hash(root / "requirements.lock"),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def tree_hash(folder: Path) -> str:
    """Return a hash of the names and contents of a folder's files."""
    files = [p for p in sorted(folder.rglob("*")) if "__pycache__" not in p.parts]
    return _hash(
        [
            (p.relative_to(folder).as_posix(), _file_hash(p))
            for p in files
            if p.is_file()
        ]
    )


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
