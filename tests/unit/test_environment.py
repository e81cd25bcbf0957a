"""The lock, the declared dependencies and the conda file name the same versions."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement


@pytest.fixture(scope="module")
def environment(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "environment", root / "environment.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(environment: ModuleType) -> list[Requirement]:
    lines = [e.split("\n")[0].rstrip(" \\") for e in environment.locked().values()]
    return [Requirement(line) for line in lines]


def test_every_declared_dependency_is_locked_and_admitted(
    environment: ModuleType, root: Path
) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + sum(
        project["optional-dependencies"].values(), []
    )
    locked = {r.name: next(iter(r.specifier)).version for r in pins(environment)}
    assert len(declared) >= 25
    for line in declared:
        requirement = Requirement(line)
        assert requirement.name in locked, f"run `make lock`: {line} is not locked"
        assert requirement.specifier.contains(locked[requirement.name])


def test_every_locked_file_has_a_hash_and_no_address(root: Path) -> None:
    text = (root / "requirements.lock").read_text()
    assert "://" not in text and "index-url" not in text
    for entry in re.split(r"^(?=\S)", text, flags=re.M)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.split("\n")[0]


def test_one_version_of_each_package_for_all_systems(environment: ModuleType) -> None:
    lines = re.findall(
        r"^(\S+)==", environment.LOCK.read_text(encoding="utf-8"), flags=re.M
    )
    assert sorted(lines) == sorted(set(lines)) == sorted(environment.locked())


def test_conda_file_is_made_from_the_lock(environment: ModuleType, root: Path) -> None:
    text = (root / "environment.yml").read_text()
    assert text == environment.conda(), "run `make lock`"
    dependencies = yaml.safe_load(text)["dependencies"]
    assert dependencies[0] == "python=3.12"
    listed = dependencies[-1]["pip"]
    assert listed[-1] == "-e ."
    assert [str(Requirement(x)) for x in listed[:-1]] == [
        str(x) for x in pins(environment)
    ]


def test_other_pythons_are_refused(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment.sys, "version_info", (3, 10, 0))
    with pytest.raises(SystemExit, match="needs Python 3.11, 3.12 or 3.13"):
        environment.create(tmp_path / "venv", "")
    assert not (tmp_path / "venv").exists()
