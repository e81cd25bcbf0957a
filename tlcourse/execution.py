"""Execute notebooks strictly, each in a process tree of its own that can be killed.

``python -m tlcourse.execution SOURCE OUTPUT PARAMETERS`` is the worker: it runs one
notebook in a fresh kernel through papermill. `execute` starts workers side by side
and watches the wall clock and the memory of each tree, for papermill can do neither.
Afterwards the outputs are judged here and not by papermill, which calls
``sys.exit(0)``, a killed kernel's later cells and an unknown parameter a success.

Nobody outlives the command: a worker reads its standard input, a pipe that nobody
writes to, and kills its children and itself when the other end is gone, even when
the command was killed with SIGKILL.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

__all__ = [
    "Guarded",
    "Job",
    "Limits",
    "Outcome",
    "code_cells",
    "environment",
    "execute",
    "follow_parent",
]

_SAMPLE = 0.5  # seconds between two looks at the memory
_LIBRARIES = ("OMP", "MKL", "NUMEXPR")
_MARK = "tlcourse: "

Watch = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True)
class Job:
    """One notebook to run: where it lies, where the executed one goes, with what."""

    chapter: str
    source: Path
    output: Path
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a job. It went well exactly when `causes` is empty."""

    job: Job
    seconds: float
    peak_bytes: int
    causes: list[str]


def environment(
    folder: Path, *, threads: int, offline: bool, alone: bool = False
) -> dict[str, str]:
    """Return the environment of a kernel.

    Parameters
    ----------
    folder : Path
        A folder for IPython's own files, so that no start-up file of the user acts.
    threads : int
        Threads of each numeric library but OpenBLAS, which has one.
    offline : bool
        Whether the libraries of the model hub are told to stay off the network.
    alone : bool, default=False
        Whether no other notebook runs beside it; then the waiting of idle threads is
        left to the libraries and the user.

    Returns
    -------
    dict of str to str
        A copy of this process's environment with those settings. This package is
        the one that the kernel imports, wherever the kernel's working folder is.
    """
    env = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    env |= {f"{library}_NUM_THREADS": str(threads) for library in _LIBRARIES}
    # NumPy's and SciPy's products are small here: a second thread made fits by L-BFGS
    # ten times slower on two cores.
    env["OPENBLAS_NUM_THREADS"] = "1"
    if not alone:
        # Idle threads that spin slow small networks severalfold beside other work;
        # threads that sleep at once do so to a notebook that has the cores to itself.
        env["OMP_WAIT_POLICY"] = "PASSIVE"
    env |= {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "IPYTHONDIR": str(folder)}
    if "TLCOURSE_CACHE" in env:  # it may be relative, and kernels run elsewhere
        env["TLCOURSE_CACHE"] = str(Path(env["TLCOURSE_CACHE"]).expanduser().absolute())
    if offline:
        env |= {f"{n}_OFFLINE": "1" for n in ("HF_HUB", "TRANSFORMERS", "HF_DATASETS")}
    package = Path(__file__).resolve().parent.parent
    if package != Path(sysconfig.get_path("purelib")).resolve():
        paths = [str(package), env.get("PYTHONPATH", "")]
        env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return env


class Limits(NamedTuple):
    """What a process tree may take: wall-clock seconds and bytes of resident memory."""

    seconds: float = 900.0
    memory: int = 4 * 2**30


class Guarded:
    """A process whose whole tree is watched, and killed when it passes a limit.

    Parameters
    ----------
    arguments : sequence of str
        What Python is called with. The program must call `follow_parent`.
    cwd : Path
        Its working folder.
    env : mapping of str to str
        Its environment.
    limits : Limits
        What its tree may take together.
    pass_fds : sequence of int
        Open files that it inherits beside its standard ones.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        limits: Limits,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.limits = limits
        self.elapsed, self.sampled, self.peak, self.overrun = 0.0, 0.0, 0, ""
        self.log = tempfile.TemporaryFile()
        self.start = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-P", *arguments],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self.tree = [psutil.Process(self.process.pid)]

    def is_over(self) -> bool:
        """Look at the process, kill it if it passed a limit, say whether it ended."""
        ended = self.process.poll() is not None
        self.elapsed = time.monotonic() - self.start
        if self.elapsed - self.sampled >= _SAMPLE and not ended:
            self.sampled = self.elapsed
            self.peak = max(self.peak, self._resident())
        took, most = (f"{n / 2**30:.2f} GiB" for n in (self.peak, self.limits.memory))
        if self.elapsed > self.limits.seconds:
            self.overrun = f"still ran after its limit of {self.limits.seconds:g} s"
        elif self.peak > self.limits.memory:
            self.overrun = f"took {took} of memory, over its limit of {most}"
        if ended or self.overrun:
            self.kill()  # a kernel may outlive a worker that died
        return ended or bool(self.overrun)

    def _resident(self) -> int:
        total = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            self.tree = [self.tree[0], *self.tree[0].children(recursive=True)]
        for process in self.tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def kill(self) -> None:
        """End the whole tree and read what it printed."""
        self._resident()  # for who belongs to the tree now
        _kill(self.tree)
        self.process.communicate()
        if not self.log.closed:
            with self.log:
                self.log.seek(0)
                self.said = self.log.read().decode(errors="replace").splitlines()


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def follow_parent() -> None:
    """End this process and all that it started as soon as its parent is gone."""

    def wait() -> None:
        while os.read(0, 1):  # nobody writes: it returns at the end of the pipe
            continue
        _kill(psutil.Process().children(recursive=True))
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def execute(
    jobs: Sequence[Job],
    *,
    side_by_side: int,
    env: Mapping[str, str],
    limits: Limits,
    watch: Watch | None = None,
) -> Iterator[Outcome]:
    """Run notebooks and yield each outcome as it comes.

    Parameters
    ----------
    jobs : sequence of Job
        What to run, started in this order.
    side_by_side : int
        How many may run at once.
    env : mapping of str to str
        Environment of the kernels.
    limits : Limits
        What one notebook may take.
    watch : callable, optional
        Called several times a second with chapter -> seconds so far.

    Yields
    ------
    Outcome
        One for each job. Leaving the generator early kills what still runs.
    """
    waiting, running = list(jobs), list[tuple[Job, Guarded]]()
    try:
        while waiting or running:
            while waiting and len(running) < side_by_side:
                job = waiting.pop(0)
                job.output.parent.mkdir(parents=True, exist_ok=True)
                job.output.unlink(missing_ok=True)
                order = [
                    *map(str, (job.source, job.output)),
                    json.dumps(job.parameters),
                ]
                command = ["-m", "tlcourse.execution", *order]
                running.append((job, Guarded(command, job.source.parent, env, limits)))
            time.sleep(0.05)
            for job, run in [pair for pair in running if pair[1].is_over()]:
                running.remove((job, run))
                yield _outcome(job, run)
            if watch:
                watch({job.chapter: run.elapsed for job, run in running})
    finally:
        for _, run in running:
            run.kill()


def _outcome(job: Job, run: Guarded) -> Outcome:
    notebook = _parse(job.output) or {"cells": []}
    causes, raised = _judge(notebook)
    started = ""
    for name, cell in code_cells(notebook):
        if cell["metadata"].get("papermill", {}).get("start_time"):
            started = f"{name}: "
    if run.overrun:
        causes = [f"{started}{run.overrun}"]
    elif run.process.returncode != 0 and not raised:
        code = f"its process ended with code {run.process.returncode}"
        told = [ln.removeprefix(_MARK) for ln in run.said if ln.startswith(_MARK)]
        causes = [f"{started}{[code, *told][-1]}"]
    return Outcome(job, run.elapsed, run.peak, causes)


def _parse(path: Path) -> dict[str, Any] | None:
    """Read a notebook, or return None if it is missing or was cut off in writing."""
    try:
        notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return notebook


def code_cells(notebook: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a name and the cell for each code cell that the author wrote."""
    number = 0
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and "injected-parameters" not in tags:
            number += 1
            first = "".join(cell["source"]).strip().partition("\n")[0]
            yield f"code cell {number} (`{first[:50]}`)", cell


def _judge(notebook: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Return what is wrong with the outputs, and whether a cell raised."""
    causes: list[str] = []
    for name, cell in code_cells(notebook):
        noise = [
            "".join(o["text"]) for o in cell["outputs"] if o.get("name") == "stderr"
        ]
        for error in (o for o in cell["outputs"] if o["output_type"] == "error"):
            said = " ".join(f"{error['ename']}: {error['evalue']}".split())
            return [*causes, f"{name} raised {said:.500}"], True
        if "".join(cell["source"]).strip() and cell["execution_count"] is None:
            return [*causes, f"{name} did not run"], False
        if noise:
            said = " ".join("".join(noise).split())
            causes.append(f"{name} wrote to standard error: {said:.500}")
    return causes, False


def _parameter_names(notebook: Mapping[str, Any]) -> set[str]:
    names: set[str] = set()
    for _, cell in code_cells(notebook):
        if "parameters" in cell["metadata"].get("tags", []):
            nodes = ast.walk(ast.parse("".join(cell["source"])))
            stored = (n for n in nodes if isinstance(n, ast.Name))
            names |= {n.id for n in stored if isinstance(n.ctx, ast.Store)}
    return names


def _work(source: str, output: str, parameters: dict[str, Any]) -> None:
    follow_parent()
    known = _parameter_names(_parse(Path(source)) or {"cells": []})
    unknown = ", ".join(sorted(parameters.keys() - known))
    if unknown:
        valid = ", ".join(sorted(known)) or "none"
        sys.exit(
            f"{_MARK}unknown parameter {unknown}; its cell 'parameters' has {valid}"
        )
    # jsonschema takes it where it is there, to check a format that no notebook has,
    # and it builds its grammars when it is imported: seconds for each chapter.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    import papermill

    # A kernel takes seconds to leave in order, and all that it said is here already.
    settings = {"progress_bar": False, "shutdown_kernel": "immediate"}
    try:
        papermill.execute_notebook(source, output, parameters, **settings)
    except Exception as error:
        said = str(error).strip().rpartition("\n")[2]
        sys.exit(f"\n{_MARK}{type(error).__name__}: {said}")


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
