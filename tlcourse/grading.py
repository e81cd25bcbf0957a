"""Grade submissions: each in a process of its own, the checks in this one.

A submission's code runs in a process that has given up network, files and other
processes (`tlcourse._confined`), in an empty folder, under limits of time and memory.
The checks run here. When a check calls a learner's function, the arguments and the
result cross a pipe as data: JSON, never pickle. So a submission can neither change a
check nor write a score. What it prints is thrown away.

What this protects against: endless loops, crashes, memory, files of other people, the
network, forged scores, reading the checks. What it does not: a fault in the kernel, a
disk filled with very many files, a function that calls a library where the exercise
asked for its own formula, and answers copied from somebody else. Where the package lies
inside the environment, the checks can be read, though not changed. On a system without
namespaces or Landlock less is protected; every feedback file says what held.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import json
import os
import select
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tlcourse.book import Book, read_notebook, tree_hash
from tlcourse.checks._calls import decode, encode
from tlcourse.claims import replace_file
from tlcourse.execution import Guarded, Limits
from tlcourse.exercises import Question, questions

__all__ = ["Grade", "grade", "submissions", "table"]

_MB = 10**6
_MOST_BYTES = 20 * _MB  # of a submission
_MOST_ANSWER = 64 * _MB
_MOST_PROCESSES = 64
_MEMORY = 2 * 2**30
_CALL_SECONDS = 5.0
_PATIENCE = 4  # seconds by the clock for one of a processor, which others use as well
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "OMP_WAIT_POLICY")


class _Stopped(BaseException):
    """The submission's process is gone, and why; no check may catch it."""


@dataclass
class Grade:
    """What one submission earned.

    Attributes
    ----------
    student : str
        Name of the submission's folder, or of its file.
    points : dict of str to int or None
        Exercise -> points; None where a person grades.
    feedback : dict of str to str
        Exercise -> what its check said.
    reason : str
        Why the whole submission could not be graded, or what went wrong in its cells.
    held : dict of str to str
        What was protected while it ran, and by which means.
    seconds : float
        How long it took.
    """

    student: str
    points: dict[str, int | None] = field(default_factory=dict)
    feedback: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    held: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Points of all exercises that a check judged."""
        return sum(points or 0 for points in self.points.values())


class _Learner:
    """The process of a submission, and the two pipes that lead to it."""

    def __init__(self, cells: Sequence[str], module: str, names: Sequence[str]) -> None:
        self._cells = {"cells": list(cells), "module": module, "names": list(names)}
        self._number, self.held = 0, dict[str, str]()

    def start(self, folder: Path, book: Book, seconds: float) -> dict[str, Any]:
        """Run the cells; return what they said, and the values of the exercises."""
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        env = {k: v for k, v in book.environment().items() if k in _PASSED_ON}
        env |= {f"{n}_NUM_THREADS": "1" for n in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
        env |= {"HOME": str(folder), "TMPDIR": str(folder), "MPLBACKEND": "Agg"}
        command = ["-m", "tlcourse._learner", str(orders), str(answers)]
        self._seconds, fds = seconds, (orders, answers)
        limits = Limits(_PATIENCE * seconds, _MEMORY)
        self._guard = Guarded(command, folder, env, limits, fds)
        for number in fds:
            os.close(number)
        order = {"memory": _MEMORY, "cpu_seconds": int(seconds), "seconds": seconds / 3}
        self._send(self._cells | order)
        self.held = dict(self._receive(limits.seconds)["ready"])
        return self._receive(limits.seconds)

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Call a function there."""
        self._number += 1
        order = {"id": self._number, "name": name, "seconds": _CALL_SECONDS}
        self._send(order | {"arguments": encode(list(arguments))})
        found = self._receive(_PATIENCE * _CALL_SECONDS)
        if found.pop("id", None) != self._number:
            raise _Stopped("it wrote to the grader's pipe")
        return found

    def close(self) -> None:
        """End it and all that it started."""
        if hasattr(self, "_guard"):
            self._guard.kill()
            os.close(self._orders)
            os.close(self._answers)

    def _send(self, content: Mapping[str, Any]) -> None:
        frame = json.dumps(content).encode()
        whole = memoryview(struct.pack("<Q", len(frame)) + frame)
        try:
            while whole:
                _, ready, _ = select.select([], [self._orders], [], 0.05)
                if ready:  # a pipe takes this much at once when it can be written to
                    whole = whole[os.write(self._orders, whole[:4096]) :]
                elif self._over():
                    raise _Stopped(self._why())
        except OSError:
            raise _Stopped(self._why()) from None

    def _receive(self, seconds: float) -> dict[str, Any]:
        """Return an answer, which may be anything that a submission made up."""
        limit = time.monotonic() + seconds
        (size,) = struct.unpack("<Q", self._read(8, limit))
        if size > _MOST_ANSWER:
            raise _Stopped(f"it gave an answer of more than {_MOST_ANSWER // _MB} MB")
        try:
            found = json.loads(self._read(size, limit))
            assert isinstance(found, dict)
            return found
        except (ValueError, AssertionError, RecursionError):
            raise _Stopped("it wrote to the grader's pipe") from None

    def _read(self, size: int, limit: float) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            ready, _, _ = select.select([self._answers], [], [], 0.05)
            part = (
                os.read(self._answers, min(size - len(parts), 2**20)) if ready else b""
            )
            parts += part
            if ready and not part:
                raise _Stopped(self._why())
            if self._over() and not ready:
                raise _Stopped(self._why())
            if time.monotonic() > limit:
                raise _Stopped("it did not answer in time")
        return bytes(parts)

    def _over(self) -> bool:
        if len(self._guard.tree) > _MOST_PROCESSES and not self._guard.overrun:
            self._guard.overrun = f"started more than {_MOST_PROCESSES} processes"
            self._guard.kill()
        return bool(self._guard.overrun) or self._guard.is_over()

    def _why(self) -> str:
        limit = time.monotonic() + 2  # its pipe closes a little before it ends
        while not self._over() and time.monotonic() < limit:
            time.sleep(0.05)
        code = self._guard.process.returncode
        if code in (137, -9) and not self._guard.overrun:  # nobody else kills it
            return f"it used up its {self._seconds:g} s of a processor"
        return f"it {self._guard.overrun or f'ended by itself, with code {code}'}"


class _There:
    """A learner's function in another process, as a check calls it."""

    def __init__(self, learner: _Learner, name: str) -> None:
        self._learner, self._name = learner, name

    def call_there(self, arguments: Sequence[Any]) -> Any:
        """Return what `checks._calls.call` returns there."""
        return self._learner.call(self._name, arguments)


def submissions(folder: Path) -> dict[str, Path]:
    """Return student -> submission: a notebook, or a folder that holds one.

    Parameters
    ----------
    folder : Path
        Its entries are students.

    Returns
    -------
    dict of str to Path
        In the order of the names. A folder without just one notebook stands for itself.

    Raises
    ------
    ValueError
        If two entries are of one student.
    """
    found: dict[str, Path] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        is_folder = entry.is_dir() and not entry.is_symlink()
        student = entry.stem if entry.suffix == ".ipynb" else entry.name
        if student in found:
            raise ValueError(
                f"grading.submissions: each student must have one entry in {folder}, "
                f"got two of {student}; which one counts?"
            )
        notebooks = sorted(entry.glob("*.ipynb")) if is_folder else []
        found[student] = notebooks[0] if len(notebooks) == 1 else entry
    return found


def grade(
    book: Book,
    chapter: str,
    folder: Path,
    records: Path,
    *,
    seconds: float = 30.0,
    say: Callable[[str], None] = lambda line: None,
) -> list[Grade]:
    """Grade all submissions of a chapter, side by side; go on where a call stopped.

    Parameters
    ----------
    book : Book
        The book; its `jobs` is how many submissions run side by side.
    chapter : str
        Name, stem or path of the chapter.
    folder : Path
        The submissions, see `submissions`.
    records : Path
        Folder for one feedback file and one record a student. A record holds as long
        as neither the submission nor the exercises or their checks change.
    seconds : float, default=30.0
        Processor time of one submission, its start included. By the clock it may take
        four times as much, since other programs use the cores as well.
    say : callable, optional
        Called with a line about each submission.

    Returns
    -------
    list of Grade
        One for each student, in the order of the names.

    Raises
    ------
    ValueError
        If the chapter has no exercises.
    """
    chapter = book.find(chapter)
    name = "/exercises/".join(chapter.rsplit("/", 1))
    if name not in book.exercises:
        known = ", ".join(book.exercises) or "none"
        raise ValueError(f"grading.grade: {chapter} has no exercises; known: {known}")
    source = book.exercises[name]
    asked, module = questions(read_notebook(source)), source.stem.replace("-", "_")
    checks = [source.read_text(encoding="utf-8"), str(seconds)]
    checks.append(tree_hash(Path(__file__).parent / "checks"))

    def one(pair: tuple[str, Path]) -> Grade:
        student, path = pair
        content = path.read_bytes() if _problem(path) == "" else str(path).encode()
        key = hashlib.sha256("\n".join(checks).encode() + content).hexdigest()
        record = records / f"{student}.json"
        try:
            kept = json.loads(record.read_text(encoding="utf-8"))
            if kept.pop("key") == key:
                say(f"{student}: graded before")
                return Grade(**kept)
        except (OSError, ValueError, TypeError, KeyError):
            pass
        found = _grade_one(book, student, path, asked, module, seconds)
        replace_file(records / f"{student}.md", "\n".join(_feedback(found, asked)))
        replace_file(record, json.dumps({"key": key, **asdict(found)}, indent=1))
        say(f"{student}: {found.total} points, {found.seconds:.1f} s {found.reason}")
        return found

    records.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(book.jobs) as pool:
        return list(pool.map(one, submissions(folder).items()))


def _problem(path: Path) -> str:
    """Return why a file cannot be a submission; empty if it may be one."""
    if path.is_symlink() or not path.is_file():
        return "there must be one notebook, a plain file"
    if path.stat().st_size > _MOST_BYTES:
        return f"the file is larger than {_MOST_BYTES // _MB} MB; clear its outputs"
    return ""


def _cells(path: Path) -> tuple[list[str], dict[str, str]]:
    """Return the code cells, and the answers to open questions; raise ValueError."""
    if problem := _problem(path):
        raise ValueError(problem)
    try:
        notebook = read_notebook(path)
        code, opened = [], {}
        for cell in notebook["cells"]:
            text = "".join(cell["source"])
            name = cell.get("metadata", {}).get("tlcourse", {}).get("exercise")
            if cell["cell_type"] == "code":
                code.append(text)
            elif name:
                opened[str(name)] = text[:5000]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ValueError("this file is not a notebook") from None
    return code, opened


def _grade_one(
    book: Book,
    student: str,
    path: Path,
    asked: Sequence[Question],
    module: str,
    seconds: float,
) -> Grade:
    start, found, place = time.monotonic(), Grade(student), ""
    found.points = {q.name: None if q.kind == "open" else 0 for q in asked}
    judged = [q.name for q in asked if q.kind != "open"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        learner = None
        try:
            cells, opened = _cells(path)
            found.feedback |= {q: opened.get(q, "") for q in found.points}
            learner = _Learner(cells, module, judged)
            ran = learner.start(Path(folder), book, seconds)
            found.reason = "; ".join(map(str, list(ran["said"])))[:2000]
            for name in judged:
                place = f" at {name}"
                _judge(found, learner, module, name, ran["values"][name])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            said = str(error) if learner is None else "its answers make no sense"
        except _Stopped as error:
            said = f"the submission was stopped{place}: {error}"
        else:
            said = ""
        finally:
            if learner:
                found.held = learner.held
                learner.close()
    found.reason = "; ".join(filter(None, (found.reason, said)))
    found.seconds = time.monotonic() - start
    return found


def _judge(
    found: Grade, learner: _Learner, module: str, name: str, value: dict[str, Any]
) -> None:
    answer: Any
    if isinstance(value, dict) and "function" in value:
        answer = _There(learner, name)
    elif isinstance(value, dict) and "unreadable" in value:
        found.feedback[name] = f"{name}: not yet\n  {str(value['unreadable'])[:500]}"
        return
    else:
        answer = decode(value)
    check = getattr(importlib.import_module(f"tlcourse.checks.{module}"), name)
    result = check(answer)
    found.points[name], found.feedback[name] = result.points, str(result)


def _feedback(found: Grade, asked: Sequence[Question]) -> Iterator[str]:
    """Yield the lines of a student's feedback, all that came from outside quoted."""
    most = sum(q.points for q in asked if q.kind != "open")
    yield f"# {found.student}\n\n**{found.total} of {most} points** by the checks.\n"
    if found.reason:
        yield f"What went wrong:\n\n{_quoted(found.reason)}\n"
    for question in asked:
        points = found.points[question.name]
        yield f"## {question.name} ({question.kind}, {question.points} points)\n"
        if points is None:
            yield "A person grades this question.\n"
        yield f"{_quoted(found.feedback.get(question.name) or 'No answer.')}\n"
    held = "; ".join(f"{key}: {value}" for key, value in found.held.items())
    yield f"Graded in {found.seconds:.1f} s. Protected: {held or 'it did not run'}."


def _quoted(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def table(
    grades: Sequence[Grade], asked: Sequence[Question], title: str, form: str
) -> str:
    """Return grades as CSV.

    Parameters
    ----------
    grades : sequence of Grade
        One a student.
    asked : sequence of Question
        The exercises.
    title : str
        Of the assignment.
    form : {"plain", "canvas", "moodle"}
        ``plain`` has a column an exercise, empty where a person grades. ``canvas`` is
        what Canvas' gradebook imports, the students known by their SIS login. In
        ``moodle``, whose import asks which column is what, they are known by user name.

    Returns
    -------
    str
        The text of the file. A name that a spreadsheet would take for a formula is
        preceded by an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    most = sum(q.points for q in asked if q.kind != "open")
    if form == "canvas":
        head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title]
        writer.writerow(head)
        writer.writerow(["    Points Possible", "", "", "", "", most])
    elif form == "moodle":
        writer.writerow(["username", title, f"{title} feedback"])
    else:
        columns = [f"{q.name} ({q.points})" for q in asked]
        writer.writerow(["student", *columns, f"checked ({most})", "reason"])
    for found in grades:
        name = found.student
        name = f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
        said = " / ".join(found.reason.splitlines())
        points = ["" if p is None else p for p in found.points.values()]
        row: list[Any] = [name, *points, found.total, said and f"({said})"]
        if form == "canvas":
            row = [name, "", "", name, "", found.total]
        elif form == "moodle":
            row = [name, found.total, said and f"({said})"]
        writer.writerow(row)
    return text.getvalue()
