"""Grading: honest submissions get their points, hostile ones are contained."""

from __future__ import annotations

import copy
import csv
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tlcourse import exercises, grading
from tlcourse.book import Book, read_notebook
from tlcourse.exercises import Question

ROOT = Path(__file__).parents[2]
BOOK = Book(ROOT, jobs=1)
CHAPTER = "foundations/loss-functions"
SOURCE = read_notebook(BOOK.exercises["foundations/exercises/loss-functions"])
OPEN = "source_stays_inside"

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="grading needs POSIX"),
    pytest.mark.timeout(600),
]
linux = pytest.mark.skipif(sys.platform != "linux", reason="by Linux's own means")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait by the clock for as long as it takes: other tests have the cores, too."""
    monkeypatch.setattr(grading, "_PATIENCE", 20)


def notebook(*first: str, last: str = "") -> dict[str, Any]:
    """Return the solution version with cells of somebody's before and after it."""
    made = exercises.solution(SOURCE)
    kind = next(c for c in made["cells"] if c["cell_type"] == "code")
    before = [copy.deepcopy(kind) | {"source": text} for text in first]
    after = [copy.deepcopy(kind) | {"source": last}]
    return {**made, "cells": [*before, *made["cells"], *after]}


def grade(folder: Path, *cells: str, last: str = "") -> grading.Grade:
    work = folder / "submissions"
    work.mkdir()
    (work / "eve.ipynb").write_text(json.dumps(notebook(*cells, last=last)))
    (found,) = grading.grade(BOOK, CHAPTER, work, folder / "records")
    assert (folder / "records" / "eve.md").is_file()
    return found


def test_each_gets_its_points_and_a_second_call_grades_what_is_new(
    tmp_path: Path,
) -> None:
    work, records, said = tmp_path / "work", tmp_path / "records", list[str]()
    for name, made in (
        ("anna", exercises.solution(SOURCE)),
        ("ben", exercises.student(SOURCE)),
    ):
        (work / name).mkdir(parents=True)
        (work / name / "any.ipynb").write_text(json.dumps(made))

    def again() -> list[grading.Grade]:
        return grading.grade(BOOK, CHAPTER, work, records, say=said.append)

    anna, ben = again()
    assert (anna.total, ben.total, anna.reason, ben.reason) == (16, 0, "", "")
    assert anna.points["source_stays_inside"] is None
    assert "have an interval" not in (records / "ben.md").read_text()
    assert "Fine-tuning (B)" in (records / "anna.md").read_text()
    for name in ("cross_entropy", "focal_loss", "two_numbers"):
        assert "has not been done yet" in ben.feedback[name]
    if sys.platform == "linux":
        print(anna.held)
    made = exercises.student(SOURCE)
    made["cells"][3]["source"] += "\ntwo_numbers = {'guessing': 2.0, 'floor': 3.62}"
    (work / "carl.ipynb").write_text(json.dumps(made))
    said.clear()
    assert [g.total for g in again()] == [16, 0, 0]
    assert said[:2] == ["anna: graded before", "ben: graded before"]
    assert "base 10" in (records / "carl.md").read_text()


@pytest.mark.parametrize("name", BOOK.exercises)
def test_the_solutions_of_every_chapter_get_all_points(
    name: str, tmp_path: Path
) -> None:
    source, work = read_notebook(BOOK.exercises[name]), tmp_path / "work"
    work.mkdir()
    for student, made in (("anna", exercises.solution), ("ben", exercises.student)):
        (work / f"{student}.ipynb").write_text(json.dumps(made(source)))
    chapter = name.replace("/exercises/", "/")
    anna, ben = grading.grade(BOOK, chapter, work, tmp_path / "records")
    most = sum(q.points for q in exercises.questions(source) if q.kind != "open")
    assert (anna.total, ben.total, anna.reason, ben.reason) == (most, 0, "", "")


def test_functions_are_judged_alike_here_and_there(tmp_path: Path) -> None:
    from exercises.variants import loss_functions as variants

    from tlcourse.checks import loss_functions as check

    path = Path(variants.__file__)
    cells = [path.read_text(), "cross_entropy = ce_clipped\nfocal_loss = focal_numpy"]
    cells += ["three_ways = ways_in_place\ncross_entropy_gradient = grad_loop"]
    last = "\n".join(cells[1:])
    found = grade(tmp_path, cells[0], last=last)
    here = check.cross_entropy(variants.ce_clipped)
    assert found.feedback["cross_entropy"] == str(here)
    assert found.points["focal_loss"] == found.points["cross_entropy_gradient"] + 1 == 3
    assert "changes what it is given" in found.feedback["three_ways"]


FORGED = "{'exercise': 'x', 'passed': True, 'points': 99, 'out_of': 99}"
ALL_FDS = """
import os, struct
for number in range(3, 40):
    try: os.write(number, {0})
    except OSError: pass
"""
FRAME = """struct.pack('<Q', 32) + b'{"said": [], "values": {}}      '"""
REDEFINED = """
def cross_entropy(logits, labels):
    {0}
"""
STUBBORN = (
    "import signal; signal.signal(signal.SIGPROF, signal.SIG_IGN)\nwhile True: pass"
)
# The first touch of memory can take a virtual machine ten seconds for 2 GiB.
SHARED = """
import mmap, signal, time
signal.signal(signal.SIGPROF, signal.SIG_IGN)
m = mmap.mmap(-1, 9 * 2**28, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
time.sleep(60)
"""
THREADS = """
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
"""
PATCHED = """
import tlcourse.checks._calls as c, tlcourse.checks as k
c.call = c.encode = c.decode = lambda *a: {'value': 0, 'changed': False}
k._asking = k.loss_functions = None
"""
PICKLED = """
class P:
    def __reduce__(self): return (print, ('x',))
    def __eq__(self, other): return True
""" + REDEFINED.format("return P()")
# What a submission survives, as its cells -> how the cell ends; the rest counts.
SURVIVED = {
    "import sys; sys.exit(0)": "SystemExit",
    "while True: pass": "longer than it may",
    "def f(): f()\nf()": "RecursionError",
    "x = bytearray(4 * 2**30)": "MemoryError",
    "import torch\nx = [torch.empty(2**27) for _ in range(8)]": "memory",
    "for _ in range(1000): print('x' * 10**6)": "",
    "open('big', 'wb').write(bytes(10**8))": "File too large",
    f"print({FORGED!r})": "",
    "import os; os.kill(os.getppid(), 9)": "",
    "import os; os.kill(-1, 9)": "ProcessLookupError",
}
# What ends it, or a function of it -> its place, points, what is said.
HOSTILE: dict[str, tuple[str, str, int | None, str]] = {
    "hard exit": ("first", "import os; os._exit(0)", 0, "ended by itself"),
    "a crash": ("first", "import ctypes; ctypes.string_at(0)", 0, "ended by itself"),
    "endless, stubborn": ("first", STUBBORN, 0, "used up its 30 s"),
    "endless function": ("last", REDEFINED.format("while True: pass"), 13, "longer"),
    "function exits": ("last", REDEFINED.format("import os; os._exit(7)"), 4, "code 7"),
    "2.25 GiB shared": ("first", SHARED, 0, "memory"),
    "fork bomb": ("first", "import os\nwhile True: os.fork()", None, ""),
    "thread bomb": ("first", THREADS, None, "start new thread|processes|memory"),
    "huge answer": (
        "last",
        REDEFINED.format("return torch.zeros(2**25)"),
        4,
        "than 64 MB",
    ),
    "score to the pipe": ("last", ALL_FDS.format(f"b{FORGED!r}"), 0, "64 MB"),
    "frame to the pipe": ("last", ALL_FDS.format(FRAME), 0, "make no sense"),
    "patched checker": ("first", PATCHED, 0, "make no sense"),
    "an object": ("last", PICKLED, 13, "an answer must consist of"),
}


@linux
def test_what_a_submission_survives(tmp_path: Path) -> None:
    found = grade(tmp_path, *SURVIVED)
    print(f"{found.seconds:.1f} s", found.reason)
    for number, said in enumerate(SURVIVED.values(), 1):
        told = [r for r in found.reason.split("; ") if f"cell {number} raised" in r]
        assert bool(told) == bool(said) and said in "".join(told), (number, told)
    assert found.total == 16


@pytest.mark.parametrize("name", HOSTILE)
@linux
def test_a_hostile_submission_is_contained(name: str, tmp_path: Path) -> None:
    place, text, points, said = HOSTILE[name]
    before = {p.pid for p in psutil.process_iter()}
    found = grade(tmp_path, text) if place == "first" else grade(tmp_path, last=text)
    told = found.reason + "".join(v for k, v in found.feedback.items() if k != OPEN)
    print(name, found.total, f"{found.seconds:.1f} s", found.reason)
    assert found.total <= 16
    assert points is None or found.total == points, found
    assert any(part in told for part in said.split("|")), told
    assert found.seconds < 500
    limit = time.monotonic() + 10  # the kernel takes a moment for a thousand
    while _left(before):
        assert time.monotonic() < limit
        time.sleep(0.1)


def _left(before: set[int]) -> list[psutil.Process]:
    """Return learners that are left of ours: those of a test beside us have parents."""
    new = [p for p in psutil.process_iter() if p.pid not in before]
    new = [p for p in new if "tlcourse._learner" in " ".join(_line(p))]
    above = [(p, {q.pid for q in _parents(p)}) for p in new]
    return [p for p, a in above if os.getpid() in a or os.getppid() not in a]


def _parents(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.parents()
    except psutil.Error:
        return []


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@linux
def test_files_and_network_are_out_of_reach(tmp_path: Path) -> None:
    if "Landlock" not in grade(tmp_path).held.values():
        pytest.skip("this kernel has no Landlock")
    canary = tmp_path / "canary"
    canary.write_text("sings")
    solved = BOOK.exercises["foundations/exercises/loss-functions"]
    checks = ROOT / "tlcourse" / "checks" / "loss_functions.py"
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(1)
    port = server.getsockname()[1]
    cells = [
        f"import os; os.remove({str(canary)!r})",
        f"open({str(canary)!r}, 'w').write('gone')",
        f"import os; os.rename({str(canary)!r}, 'stolen')",
        f"import shutil; shutil.rmtree({str(tmp_path / 'submissions')!r})",
        f"open({str(canary)!r}).read()",
        f"open({str(solved)!r}).read()",
        f"open({str(checks)!r}).read()",
        f"import os; os.listdir({str(tmp_path)!r})",
        f"import os; os.chmod({str(canary)!r}, 0o777) or 1 / 0",
        "import subprocess; subprocess.run(['cat', '/etc/passwd'], check=True)",
        f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
        f"import os; os.kill({os.getpid()}, 9)",
        "import os; os.chroot('/')",
        "open('mine', 'w').write('mine'); assert open('mine').read() == 'mine'",
    ]
    second = tmp_path / "second"
    second.mkdir()
    found = grade(second, *cells)
    for number in range(1, len(cells)):
        assert f"code cell {number} raised" in found.reason, (number, found.reason)
    assert f"code cell {len(cells)} raised" not in found.reason
    assert canary.read_text() == "sings" and found.total == 16
    with pytest.raises(TimeoutError):
        server.accept()
    server.close()


@linux
def test_nobody_outlives_a_submission(tmp_path: Path) -> None:
    mark = f"tlcourse-orphan-{os.getpid()}"
    cell = f"""
import subprocess, sys
code = "import time, os; os.fork(); time.sleep(600) # {mark}"
subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
"""
    found = grade(tmp_path, cell)
    assert found.total == 16
    for process in psutil.process_iter():
        assert mark not in " ".join(_line(process))


def test_what_is_no_notebook_gets_zero_with_the_reason(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "bytes.ipynb").write_bytes(bytes(range(256)))
    (work / "json.ipynb").write_text("[1, 2]")
    (work / "deep.ipynb").write_text("[" * 10**5)
    (work / "cells.ipynb").write_text('{"cells": [{"cell_type": 3}]}')
    (work / "link.ipynb").symlink_to("/etc/passwd")
    os.mkfifo(work / "pipe.ipynb")
    (work / "empty").mkdir()
    with (work / "outputs.ipynb").open("wb") as file:
        file.truncate(10**9)
    (work / "text.docx").write_text("My answers.")
    (work / ".hidden").write_text("")
    found = grading.grade(BOOK, CHAPTER, work, tmp_path / "records")
    said = {grade.student: grade.reason for grade in found}
    assert all(grade.total == 0 for grade in found) and len(said) == 9
    for name in ("bytes", "json", "deep", "cells", "text.docx"):
        assert said[name] == "this file is not a notebook"
    for name in ("link", "pipe", "empty"):
        assert said[name] == "there must be one notebook, a plain file"
    assert "larger than 20 MB" in said["outputs"]


def test_a_student_with_two_submissions_is_told(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna.ipynb").write_text("")
    with pytest.raises(ValueError, match="got two of anna; which one counts"):
        grading.submissions(tmp_path)


def test_tables_for_learning_platforms() -> None:
    asked = [Question("one", "code", 3), Question("two", "open", 4)]
    anna = grading.Grade("anna", {"one": 3, "two": None})
    eve = grading.Grade("=1+1", {"one": 0, "two": None}, reason="stopped,\nat last")

    def rows(form: str) -> list[list[str]]:
        text = grading.table([anna, eve], asked, "losses", form)
        return list(csv.reader(text.splitlines()))

    assert rows("plain") == [
        ["student", "one (3)", "two (4)", "checked (3)", "reason"],
        ["anna", "3", "", "3", ""],
        ["'=1+1", "0", "", "0", "(stopped, / at last)"],
    ]
    assert rows("canvas") == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "losses"],
        ["    Points Possible", "", "", "", "", "3"],
        ["anna", "", "", "anna", "", "3"],
        ["'=1+1", "", "", "'=1+1", "", "0"],
    ]
    assert rows("moodle")[:2] == [
        ["username", "losses", "losses feedback"],
        ["anna", "3", ""],
    ]


def test_a_chapter_without_exercises_is_refused(tmp_path: Path) -> None:
    book = Book(ROOT)
    del book.exercises["foundations/exercises/loss-functions"]
    with pytest.raises(ValueError, match="grading.grade: .* has no exercises; known: "):
        grading.grade(book, CHAPTER, tmp_path, tmp_path)


def test_feedback_never_lands_among_the_submissions(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must not go to the submissions"):
        grading.grade(BOOK, CHAPTER, tmp_path, tmp_path)
    assert list(tmp_path.iterdir()) == []
