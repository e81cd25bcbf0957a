"""What execution prepares, and what it makes of outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tlcourse import execution, runner


def code(source: str, outputs: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    basic = {"cell_type": "code", "metadata": {}, "execution_count": 1}
    return {**basic, "source": source, "outputs": outputs or [], **more}


def test_the_environment_of_a_kernel_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("TLCOURSE_CACHE", "cache")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.chdir(tmp_path)
    env = execution.environment(tmp_path, threads=3, offline=True)
    assert "MPLBACKEND" not in env and "MPLBACKEND" in os.environ
    assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "3"
    assert env["OPENBLAS_NUM_THREADS"] == "1"
    assert env["OMP_WAIT_POLICY"] == "PASSIVE" and env["PYTHONHASHSEED"] == "0"
    assert env["TLCOURSE_CACHE"] == str(tmp_path / "cache")
    assert env["HF_HUB_OFFLINE"] == env["TRANSFORMERS_OFFLINE"] == "1"
    alone = execution.environment(tmp_path, threads=3, offline=False, alone=True)
    assert not {"HF_HUB_OFFLINE", "OMP_WAIT_POLICY"} & alone.keys()
    place = subprocess.run(
        [sys.executable, "-P", "-c", "import tlcourse; print(tlcourse.__file__)"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert Path(place).parent == Path(execution.__file__).parent


def test_code_cells_are_numbered_as_the_author_sees_them() -> None:
    injected = {"tags": ["injected-parameters"]}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title"},
        code("SEED = 0"),
        code("SEED = 3", metadata=injected),
        code(["\n", "x = 1\n", "y = 2"]),
    ]
    names = [name for name, _ in execution.code_cells({"cells": cells})]
    assert names == ["code cell 1 (`SEED = 0`)", "code cell 2 (`x = 1`)"]


def test_output_text_joins_what_a_cell_printed_and_showed() -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]},
        {"output_type": "execute_result", "data": {"text/plain": "3"}},
    ]
    assert runner.output_text(code("x", outputs)) == "one\ntwo\n3"


def test_what_papermill_refuses_is_told(tmp_path: Path) -> None:
    source = tmp_path / "a.ipynb"
    source.write_text('{"cells": [], "metadata": {}}')
    job = execution.Job("a", source, tmp_path / "out.ipynb", {})
    env = execution.environment(tmp_path, threads=1, offline=True)
    (outcome,) = execution.execute(
        [job], side_by_side=1, env=env, limits=execution.Limits(seconds=60)
    )
    assert len(outcome.causes) == 1 and ": " in outcome.causes[0]
