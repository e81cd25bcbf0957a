"""What git holds: no outputs, nothing large, no path or host of one machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

LEAK = re.compile(
    r"(?<![\w.~}$/])/(?:work|root|home|opt)/[\w.]+"
    r"|https?://[\w.-]+/(?:simple|packages|pypi)/"
    r"|https?://(?:registry|deb)\."
)


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[Path]:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True
    ).stdout.decode()
    return [root / f for f in listed.split("\0") if f and (root / f).is_file()]


def test_files_are_small(tracked: list[Path]) -> None:
    sizes = {p: p.stat().st_size for p in tracked}
    assert sum(sizes.values()) < 10_000_000
    assert {p.name for p, size in sizes.items() if size > 1_000_000} == set()


def test_no_path_or_host_of_one_machine(tracked: list[Path]) -> None:
    for path in tracked:
        if path.suffix not in {".png", ".svg", ".ico"}:
            found = LEAK.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found.group()}"


def test_notebooks_carry_no_output_but_the_check_cell(tracked: list[Path]) -> None:
    notebooks = [p for p in tracked if p.suffix == ".ipynb"]
    assert notebooks
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [c for c in cells if c["cell_type"] == "code"]
        for cell in code:
            kept = "keep_output" in cell["metadata"].get("tags", [])
            assert kept == bool(cell["outputs"]), f"{path}: {cell['source']}"
            assert kept or cell["execution_count"] is None, path
        if "exercises" not in path.parts:
            assert "keep_output" in code[-1]["metadata"]["tags"], path


def test_workflows_are_valid(root: Path) -> None:
    files = sorted((root / ".github/workflows").glob("*.yml"))
    assert len(files) == 3
    subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
        + ["vendor.github-workflows", *map(str, files)],
        check=True,
    )


def test_readme_is_short_and_names_the_two_commands(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    assert "make book" in text and "make test" in text
    for target in re.findall(r"\]\(((?!http|#)[^)]+)\)", text):
        assert (root / target).exists(), target
