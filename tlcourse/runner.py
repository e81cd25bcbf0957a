"""What the commands do: build, verify, run and calibrate.

A build runs each notebook at most once, checks everything, and renders only then.
What can be judged from files (structure, claims, check cells) is judged in every
build, whether the notebook ran now or earlier, so a red build stays red until it is
mended. All defects are collected; none hides another.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tlcourse import claims as _claims
from tlcourse.book import Book, read_notebook
from tlcourse.claims import Claim, Defect
from tlcourse.execution import Job, Outcome, Watch, code_cells
from tlcourse.rendering import render

__all__ = ["Report", "build", "calibrate", "output_text", "run", "verify"]

_CHECK_TAGS = {"keep_output", "nbval-check-output"}

Say = Callable[[str], None]


def _silent(_: str) -> None:
    pass


@dataclass
class Report:
    """What a command found.

    Attributes
    ----------
    defects : list of Defect
        Why the book is not good; empty when it is.
    claims : dict of str to Claim
        The declared claims that this command looked at.
    values : dict of str to float
        Recorded value of each key.
    executed : dict of str to Path
        Chapter -> executed notebook.
    """

    defects: list[Defect] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    executed: dict[str, Path] = field(default_factory=dict)


def build(
    book: Book, *, site: bool = True, watch: Watch | None = None, say: Say = _silent
) -> Report:
    """Run what must run, check everything, render the site.

    Parameters
    ----------
    book : Book
        The book.
    site : bool, default=True
        Whether the site is made after the notebooks.
    watch : callable, optional
        Called several times a second with the running chapters and their seconds.
    say : callable, optional
        Called with a line about each step.

    Returns
    -------
    Report
        All defects, not only the first. The site is replaced only if there are none.

    Raises
    ------
    TimeoutError
        If another build of this book is running.
    """
    book.work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(book.work / "build.lock", timeout=0):
            return _build(book, site, watch, say)
    except Timeout:
        raise TimeoutError(
            f"runner.build: one build at a time must work in {book.work}, got a "
            "second one; wait for the first"
        ) from None


def _build(
    book: Book, site: bool, watch: Watch | None, say: Say, *, execute: bool = True
) -> Report:
    claims, malformed = book.claims()
    report = Report(defects=[*book.defects, *malformed], claims=claims)
    inputs, jobs = book.inputs(claims), []
    for chapter, source in book.notebooks.items():
        executed = book.executed(chapter)
        changed = book.changed(chapter, inputs[chapter])
        if not execute:  # claims may have changed: that is what verify is for
            changed = [part for part in changed if part not in ("claims", "threads")]
        if not changed:
            report.executed[chapter] = executed
            say(f"{chapter}: unchanged since its last run")
        elif execute:
            output = executed.with_suffix(".unfinished.ipynb")
            parameters = book.parameters if chapter in book.chapters else {}
            jobs.append(Job(chapter, source, output, parameters))
        else:
            cause = f"must run again ({', '.join(changed)}): `tlcourse build`"
            report.defects.append(Defect(chapter, cause))
    for outcome in book.execute(jobs, watch):
        chapter = outcome.job.chapter
        report.defects += [Defect(chapter, cause) for cause in outcome.causes]
        if not outcome.causes:
            book.keep(outcome, inputs[chapter])
            report.executed[chapter] = book.executed(chapter)
        state = "failed after" if outcome.causes else "ran in"
        say(f"{chapter}: {state} {_cost(outcome)}")
    for chapter, source in book.chapters.items():
        notebook = read_notebook(source)
        report.defects += [Defect(chapter, cause) for cause in _form(notebook)]
        if chapter in report.executed:
            _examine(book, report, chapter)
    for name in report.executed.keys() & book.exercises.keys():
        notebook = read_notebook(report.executed[name])
        report.defects += [Defect(name, cause) for cause in _unsolved(notebook)]
    if site and report.executed.keys() == book.notebooks.keys():
        say("rendering the site, if anything changed")
        keep = not report.defects
        report.defects += render(book, report.executed, keep=keep)
    return report


def _cost(outcome: Outcome) -> str:
    return f"{outcome.seconds:.1f} s, {outcome.peak_bytes / 1e6:.0f} MB"


def verify(book: Book) -> Report:
    """Check claims and check cells against the last executed notebooks; run nothing.

    Parameters
    ----------
    book : Book
        The book.

    Returns
    -------
    Report
        A notebook that was executed from another source, package, lock file or
        version than there is now tells nothing, so it is a defect.
    """
    return _build(book, False, None, _silent, execute=False)


def run(
    book: Book,
    chapter: str,
    parameters: Mapping[str, Any],
    *,
    output: Path | None = None,
    store: bool = False,
    watch: Watch | None = None,
    say: Say = _silent,
) -> Report:
    """Run one chapter strictly with other parameters and check its claims.

    Ranges hold over seeds, so they are checked for every SEED. With any other
    parameter changed the chapter is another experiment: its values are reported but
    not checked.

    Parameters
    ----------
    book : Book
        The book, with the profile to run under.
    chapter : str
        Name, stem or path of the chapter.
    parameters : mapping
        Values for names of its cell tagged `parameters`.
    output : Path, optional
        Where the executed notebook goes; a place in `_build` when not given.
    store : bool, default=False
        Whether the chapter's file then takes over what its check cell printed, and no
        other output. Nothing is stored when a claim fails.
    watch, say : callable, optional
        As in `build`.

    Returns
    -------
    Report
        Of this chapter alone.

    Raises
    ------
    ValueError
        If `store` comes with another seed, parameter or profile than a build has.
    """
    if store and (parameters or book.profile != "embedded"):
        raise ValueError(
            "runner.run: a stored check cell must come from the run that a build "
            f"makes, got {dict(parameters)} under profile {book.profile!r}; "
            "store without other parameters"
        )
    chapter = book.find(chapter)
    source = book.chapters[chapter]
    output = (output or book.work / "runs" / f"{source.stem}.ipynb").resolve()
    job = Job(chapter, source, output, {**book.parameters, **parameters})
    (outcome,) = book.execute([job], watch)
    say(f"{chapter}: {_cost(outcome)}")
    claims, defects = book.claims()
    own = {key: claim for key, claim in claims.items() if claim.chapter == chapter}
    report = Report(defects=defects, claims=own)
    report.defects += [Defect(chapter, cause) for cause in outcome.causes]
    if not outcome.causes:
        report.executed[chapter] = output
        _examine(book, report, chapter, parameters, compare=not store)
        if store and not report.defects:
            _store_check(source, read_notebook(output))
            say(f"{chapter}: what its check cell printed is stored")
    return report


def _store_check(path: Path, executed: Mapping[str, Any]) -> None:
    """Put the executed check cell's output into a source, and remove all others."""
    source = read_notebook(path)
    cells = [cell for _, cell in code_cells(source)]
    for cell in cells:
        cell.update(execution_count=None, outputs=[])
    said = output_text([cell for _, cell in code_cells(executed)][-1])
    lines = [line + "\n" for line in said.splitlines()]
    output = {"name": "stdout", "output_type": "stream", "text": lines}
    # nbval takes a cell without a number for one that never ran.
    cells[-1].update(execution_count=len(cells), outputs=[output])
    text = json.dumps(source, indent=1, ensure_ascii=False)
    _claims.replace_file(path, text + "\n")


def _examine(
    book: Book,
    report: Report,
    chapter: str,
    changed: Iterable[str] = (),
    *,
    compare: bool = True,
) -> None:
    """Check claims and check cell of a chapter, as far as its parameters allow."""
    executed = read_notebook(report.executed[chapter])
    values, causes = _claims.recorded(executed)
    report.values |= values
    if compare and not changed and book.profile == "embedded":
        causes += _check_cell(read_notebook(book.chapters[chapter]), executed)
    report.defects += [Defect(chapter, cause) for cause in causes]
    if set(changed) <= {"SEED"}:
        report.defects += _claims.check(report.claims, chapter, values, book.profile)


def _form(notebook: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the stored outputs of a source."""
    code = list(code_cells(notebook))
    if not code or not set(code[-1][1]["metadata"].get("tags", [])) >= _CHECK_TAGS:
        tags = " and ".join(sorted(_CHECK_TAGS))
        yield f"its last code cell must be the check cell, tagged {tags}"
    elif not (code[-1][1].get("execution_count") and output_text(code[-1][1])):
        yield "its check cell has no stored output: `tlcourse run CHAPTER --store`"
    for name, cell in code[:-1]:
        if cell["outputs"]:
            yield f"{name} has stored output; only the check cell keeps its own"


def _unsolved(notebook: Mapping[str, Any]) -> Iterator[str]:
    """Yield the exercises whose own solution does not pass the check."""
    for _, cell in code_cells(notebook):
        name = cell["metadata"].get("tlcourse", {}).get("check")
        if name and f"{name}: passed (" not in output_text(cell):
            yield f"the solution of {name} does not pass: {output_text(cell)[:500]}"


def _check_cell(source: Mapping[str, Any], executed: Mapping[str, Any]) -> list[str]:
    """Compare the stored output of the last code cell with the executed one."""
    cells = [list(code_cells(notebook)) for notebook in (source, executed)]
    stored, found = (output_text(code[-1][1]) if code else "" for code in cells)
    if stored in ("", found):
        return []  # a missing output is told by _form
    lines = zip_longest(stored.splitlines(), found.splitlines(), fillvalue="")
    before, now = next((a, b) for a, b in lines if a != b)
    return [f"its check cell gives {now!r} where {before!r} is stored"]


def calibrate(
    book: Book,
    chapters: Iterable[str],
    seeds: int,
    *,
    watch: Watch | None = None,
    say: Say = _silent,
) -> Report:
    """Run chapters over seeds and write basis and range of their claims.

    Parameters
    ----------
    book : Book
        The book.
    chapters : iterable of str
        Names, stems or paths; all chapters when empty.
    seeds : int
        Runs SEED = 0 to seeds - 1; at least 2.
    watch, say : callable, optional
        As in `build`.

    Returns
    -------
    Report
        Its defects name the runs that failed (then nothing is written for that
        chapter), and what the author has to mend in `claims.toml`.
    """
    if seeds < 2:
        raise ValueError(
            f"runner.calibrate: seeds must be at least 2, got {seeds}; "
            "one run has no spread"
        )
    names = [book.find(name) for name in chapters] or list(book.chapters)
    report, runs = Report(), {name: dict[int, dict[str, float]]() for name in names}
    jobs, folder = [], book.work / "calibration"
    for name, seed in product(names, range(seeds)):
        label, output = f"{name} SEED={seed}", folder / f"{name}-{seed}.ipynb"
        jobs.append(Job(label, book.chapters[name], output, {"SEED": seed}))
    for outcome in book.execute(jobs, watch):
        label, causes = outcome.job.chapter, outcome.causes
        if not causes:
            name, _, number = label.partition(" SEED=")
            executed = read_notebook(outcome.job.output)
            runs[name][int(number)], causes = _claims.recorded(executed)
        say(f"{label}: {_cost(outcome)}")
        report.defects += [Defect(label, cause) for cause in causes]
    for name in names:
        if any(d.where.startswith(f"{name} SEED") for d in report.defects):
            cause = "nothing is written, because a seed failed"
            report.defects.append(Defect(name, cause))
        else:
            ordered, path = dict(sorted(runs[name].items())), book.root / _claims.FILE
            with FileLock(book.work / "claims.lock"):
                report.defects += _claims.calibrate(path, name, ordered, _machine(book))
    report.claims = {k: c for k, c in book.claims()[0].items() if c.chapter in names}
    for key, claim in report.claims.items():
        if claim.basis:
            report.values[key] = claim.basis.mean
    return report


def _machine(book: Book) -> dict[str, str]:
    versions = {n: version(n) for n in ("torch", "numpy", "scikit-learn")}
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.is_file() else ""
    found = re.search(r"model name\s*:\s*(.+)", text)
    processor = found[1] if found else platform.processor() or platform.machine()
    python, threads = platform.python_version(), str(book.threads)
    return {"python": python, **versions, "processor": processor, "threads": threads}


def output_text(cell: Mapping[str, Any]) -> str:
    """Return the text that a cell printed or showed, as nbval would compare it."""
    texts = [
        o.get("text", o.get("data", {}).get("text/plain", "")) for o in cell["outputs"]
    ]
    return "\n".join("".join(text).strip() for text in texts).strip()
