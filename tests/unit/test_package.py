"""The package as a whole: floors, public names, size, what importing it loads."""

from __future__ import annotations

import ast
import importlib
import io
import shutil
import subprocess
import sys
import tokenize
import zipfile
from pathlib import Path

import pytest

FLOORS = {
    "_checks": 0,
    "runtime": 0,
    "losses": 1,
    "optim": 1,
    "metrics": 1,
    "evidence": 1,
    "data": 2,
    "models": 2,
    # The loop and the parts it is made of.
    "_checkpoints": 1,
    "_loaders": 1,
    "_process": 1,
    "_schedules": 1,
    "_inference": 2,
    "training": 3,
    "adapt": 4,
    "analysis": 4,
    "objectives": 4,
    "pretrained": 4,
    "transfer": 4,
    "report": 5,
    "checks": 5,
    # The tools that run, check and render the book.
    "claims": 6,
    "execution": 6,
    "book": 7,
    "printing": 8,
    "sphinx_ext": 8,
    "exercises": 8,
    "_confined": 7,
    "_learner": 8,
    "grading": 9,
    "rendering": 9,
    "runner": 10,
    "cli": 11,
}
TEACHING_LINES, TOOL_LINES = 2500, 1300
# A tool of its own, for teachers: versions of the exercises, and grading them.
EXERCISE_TOOLS = ("exercises", "grading", "_learner", "_confined")
EXERCISE_TOOL_LINES = 650
# The checks grow with the number of exercises, and no learner reads them.
SHARED_CHECK_LINES, CHECK_LINES_AN_EXERCISE = 280, 60


def modules(root: Path) -> dict[str, Path]:
    """Return dotted names below tlcourse -> file, the package itself left out."""
    folder = root / "tlcourse"
    found = {
        ".".join(p.relative_to(folder).with_suffix("").parts): p
        for p in folder.rglob("*.py")
    }
    found = {n.removesuffix(".__init__"): p for n, p in found.items()}
    found.pop("__init__")
    return found


def imported(path: Path) -> set[str]:
    """Return the modules of tlcourse that a file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write absolute imports"
            names |= {f"{node.module}.{a.name}" for a in node.names}
    return {n.split(".")[1] for n in names if n.startswith("tlcourse.")} - {
        "__version__"
    }


def code_lines(path: Path) -> int:
    """Count logical lines: a statement once, however the formatter wraps it."""
    text = path.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    logical = sum(token.type == tokenize.NEWLINE for token in tokens)
    docstrings = sum(
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node) is not None
        for node in ast.walk(ast.parse(text))
    )
    return logical - docstrings


def test_every_module_has_a_floor_and_imports_only_lower_ones(root: Path) -> None:
    found = modules(root)
    assert {n.split(".")[0] for n in found} == set(FLOORS)
    for name, path in found.items():
        top = name.split(".")[0]
        for other in imported(path) - {top}:
            assert FLOORS[other] < FLOORS[top], f"{name} must not import {other}"


def test_public_names_are_declared_sorted_and_few(root: Path) -> None:
    for name in modules(root):
        if name.startswith("_") or "._" in name:
            continue
        module = importlib.import_module(f"tlcourse.{name}")
        names = getattr(module, "__all__", [])  # a folder of modules has none
        assert names == sorted(names), name
        assert len(names) <= 8, name
        public = {
            key
            for key, value in vars(module).items()
            if not key.startswith("_")
            and getattr(value, "__module__", None) == module.__name__
        }
        assert public <= set(names), f"{name}: {public - set(names)} not in __all__"
        assert all(hasattr(module, n) for n in names), name


def test_public_functions_are_documented(root: Path) -> None:
    for name in modules(root):
        module = importlib.import_module(f"tlcourse.{name}")
        assert module.__doc__, name
        for key in [] if name.startswith("_") else getattr(module, "__all__", []):
            value = getattr(module, key)
            if callable(value):
                assert value.__doc__, f"{name}.{key}"


def test_the_package_stays_small(root: Path) -> None:
    lines = {n: code_lines(p) for n, p in modules(root).items()}
    checks = {n: v for n, v in lines.items() if n.split(".")[0] == "checks"}
    for name in checks:
        del lines[name]
    shared = sum(checks.pop(n) for n in list(checks) if "._" in n)
    assert shared < SHARED_CHECK_LINES
    for name, size in checks.items():
        exercises = getattr(importlib.import_module(f"tlcourse.{name}"), "__all__", [])
        assert size <= CHECK_LINES_AN_EXERCISE * len(exercises), name
    assert sum(lines.pop(name) for name in EXERCISE_TOOLS) < EXERCISE_TOOL_LINES
    teaching = sum(v for n, v in lines.items() if FLOORS[n.split(".")[0]] <= 5)
    assert teaching < TEACHING_LINES, lines
    assert sum(lines.values()) - teaching < TOOL_LINES, lines


@pytest.mark.parametrize("name", ["tlcourse", "tlcourse.report", "tlcourse.training"])
def test_importing_loads_no_heavy_library(name: str) -> None:
    code = f"import sys, {name}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert name in loaded
    assert not {"transformers", "torchvision", "accelerate"} & set(loaded)


def test_the_wheel_works_elsewhere(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"  # building leaves files behind
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "tlcourse", copy / "tlcourse", ignore=ignore)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        + ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(copy)],
        check=True,
        cwd=tmp_path,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import tlcourse; from tlcourse.data import digits; "
        "print(tlcourse.__file__, len(digits.load_target('embedded').test))"
    )
    printed = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "", "HOME": str(tmp_path)},
    ).stdout.split()
    assert printed[0].startswith(str(tmp_path))
    assert int(printed[1]) > 0
