from __future__ import annotations

import hashlib
import http.server
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tlcourse import runtime
from tlcourse.runtime import Source

CONTENT = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setenv("TLCOURSE_CACHE", str(folder))
    return folder


def files(folder: Path) -> list[str]:
    """Every file but locks, and every folder of unfinished work."""
    found = sorted(
        p.name
        for p in folder.rglob("*")
        if p.suffix == ".unfinished" or (p.is_file() and p.suffix != ".lock")
    )
    return found


# Profiles, seeds, precision -------------------------------------------------


def test_check_profile() -> None:
    assert [runtime.check_profile(name) for name in runtime.PROFILES] == [
        "embedded",
        "hub",
    ]
    with pytest.raises(ValueError, match="one of embedded, hub, got 'Hub'"):
        runtime.check_profile("Hub")


def draw_globally() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002


def test_seed_all_sets_three_states() -> None:
    runtime.seed_all(7)
    first = draw_globally()
    second = draw_globally()
    runtime.seed_all(7)
    assert draw_globally() == first
    runtime.seed_all(8)
    third = draw_globally()
    assert all(a != b != c for a, b, c in zip(first, second, third, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_all_refuses(seed: int) -> None:
    with pytest.raises(ValueError, match=r"seed must lie in \[0, 2\*\*32\), got"):
        runtime.seed_all(seed)


def test_generator_is_the_same_on_every_platform() -> None:
    # The first eight bytes of the SHA-256 of these very texts.
    for arguments, text in [
        ((0,), "[0]"),
        ((3, "order", 2), '[3, "order", 2]'),
        ((3, "ordé"), '[3, "ord\\u00e9"]'),
    ]:
        digest = hashlib.sha256(text.encode("ascii")).digest()
        found = runtime.generator(*arguments)  # type: ignore[arg-type]
        assert found.initial_seed() == int.from_bytes(digest[:8], "big")
    assert runtime.generator(0, "order").initial_seed() == 0xDDC9F22D5B458123
    drawn = torch.randint(100, (6,), generator=runtime.generator(0, "order"))
    assert drawn.tolist() == [65, 6, 79, 70, 21, 74]


def test_generator_streams_are_told_apart() -> None:
    streams: list[tuple[str | int, ...]] = [
        (),
        ("a",),
        ("b",),
        ("a", "b"),
        ("ab",),
        ("a", 1),
        ("a", "1"),
        ("a1",),
        (1,),
        ("1",),
    ]
    seeds = {runtime.generator(s, *stream).initial_seed() & 0xFFFFFFFF
             for s in range(100) for stream in streams}  # fmt: skip
    assert len(seeds) == 1000


def test_generator_takes_numpy_integers_and_no_floats() -> None:
    same = runtime.generator(np.int64(3), np.int32(4))  # type: ignore[arg-type]
    assert same.initial_seed() == runtime.generator(3, 4).initial_seed()
    with pytest.raises(TypeError, match="float"):
        runtime.generator(0, 1.5)  # type: ignore[arg-type]


def test_generator_leaves_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(5, generator=runtime.generator(0, "x"))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("units", "onednn", "expected"),
    [
        ({"architecture": "x86_64", "avx512_bf16": True}, True, torch.bfloat16),
        ({"architecture": "x86_64", "amx_bf16": True}, True, torch.bfloat16),
        ({"architecture": "arm64", "bf16": True}, True, torch.bfloat16),
        # AVX512 alone is what torch's own test mistakes for bfloat16 units.
        ({"architecture": "x86_64", "avx512_f": True}, True, torch.float32),
        ({"architecture": "arm64", "bf16": False}, True, torch.float32),
        ({"architecture": "arm64", "bf16": True}, False, torch.float32),
    ],
)
def test_autocast_only_where_there_are_units(
    units: dict[str, object],
    onednn: bool,
    expected: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: onednn)
    with runtime.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_autocast_with_a_torch_that_cannot_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    with runtime.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_bf16_units_are_what_linux_says() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():  # other systems: the table above
        return
    said = set(cpuinfo.read_text().split())
    expected = bool(said & {"avx512_bf16", "amx_bf16", "bf16"})
    assert runtime._has_bf16_units() == expected


# The cache ------------------------------------------------------------------


def test_cache_dir_is_made_where_the_variable_says(cache: Path) -> None:
    assert runtime.cache_dir() == cache
    assert cache.is_dir()


def test_cache_dir_defaults_to_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TLCOURSE_CACHE")
    chosen: list[str] = []

    def user_cache_path(name: str, *, appauthor: bool) -> Path:
        chosen.append(name)
        return tmp_path / "users" / name

    monkeypatch.setattr(runtime.platformdirs, "user_cache_path", user_cache_path)
    assert runtime.cache_dir() == tmp_path / "users" / "tlcourse"
    assert chosen == ["tlcourse"]


def test_cache_dir_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TLCOURSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="set TLCOURSE_CACHE to another folder"):
        runtime.cache_dir()


# Artefacts ------------------------------------------------------------------


def write(text: str, calls: list[str]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        calls.append(text)
        path.write_text(text)

    return make


def test_artefact_is_made_once_for_each_key() -> None:
    calls: list[str] = []
    first = runtime.artefact("a.txt", "k1", write("one", calls))
    again = runtime.artefact("a.txt", "k1", write("two", calls))
    other = runtime.artefact("a.txt", "k2", write("three", calls))
    assert first == again != other
    assert (first.name, first.read_text(), other.read_text()) == (
        "a.txt",
        "one",
        "three",
    )
    assert calls == ["one", "three"]


def test_artefact_names_and_keys_do_not_run_together() -> None:
    calls: list[str] = []
    paths = {
        runtime.artefact(name, key, write(name + key, calls)).parent
        for name, key in [("ab", "c"), ("a", "bc"), ("abc", "")]
    }
    assert len(paths) == 3


def test_artefact_may_be_a_folder(cache: Path) -> None:
    def make(path: Path) -> None:
        (path / "deep").mkdir(parents=True)
        (path / "deep" / "b.txt").write_text("b")
        (path / "a.txt").write_text("a")

    path = runtime.artefact("both", "k", make)
    assert (path / "deep" / "b.txt").read_text() == "b"
    assert files(cache) == ["a.txt", "b.txt"]


def test_artefact_that_fails_leaves_nothing(cache: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise KeyError("no such species")

    with pytest.raises(KeyError, match="species"):
        runtime.artefact("a.txt", "k", fail)
    assert files(cache) == []
    calls: list[str] = []
    assert runtime.artefact("a.txt", "k", write("whole", calls)).read_text() == "whole"


def test_artefact_that_was_not_written() -> None:
    with pytest.raises(RuntimeError, match=r"make must write a\.txt at the path"):
        runtime.artefact("a.txt", "k", lambda path: None)


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a"])
def test_artefact_refuses_paths(name: str) -> None:
    with pytest.raises(ValueError, match="name must be a plain file name"):
        runtime.artefact(name, "k", lambda path: None)


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=Path(runtime.__file__).parents[1],
    )


MAKE = """
import sys, time
from pathlib import Path
from tlcourse import runtime

def make(path):
    path.mkdir()
    (path / "first").write_text("first")
    with open(sys.argv[1], "a") as log:
        log.write("made\\n")
    time.sleep(float(sys.argv[2]))
    (path / "second").write_text("second")

path = runtime.artefact("both", "k", make)
print(*sorted(p.name for p in path.iterdir()))
"""


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_processes_that_ask_at_once_make_one_artefact(tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = [start(MAKE, log, 1) for _ in range(3)]
    answers = [process.communicate(timeout=120)[0] for process in running]
    assert answers == ["first second\n"] * 3
    assert log.read_text() == "made\n"


def test_a_killed_process_leaves_nothing_trusted(tmp_path: Path, cache: Path) -> None:
    log = tmp_path / "log"
    killed = start(MAKE, log, 600)
    wait_for(log.exists)
    waiting = start(MAKE, log, 0)  # blocked by the lock of the first
    killed.kill()
    killed.communicate()
    assert waiting.communicate(timeout=120)[0] == "first second\n"
    assert files(cache) == ["first", "second"]
    assert log.read_text() == "made\nmade\n"


# Sources --------------------------------------------------------------------


class Server:
    """A web server on this machine whose next answers are set by the test."""

    def __init__(self) -> None:
        self.status = 200
        self.body = CONTENT
        self.length: int | None = None  # Content-Length, if not that of the body
        self.pause = 0.0
        self.requests = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(outer.status)
                length = len(outer.body) if outer.length is None else outer.length
                self.send_header("Content-Length", str(length))
                self.end_headers()
                half = len(outer.body) // 2
                try:
                    self.wfile.write(outer.body[:half])
                    self.wfile.flush()
                    time.sleep(outer.pause)
                    self.wfile.write(outer.body[half:])
                except OSError:  # the other side is gone, as some tests want
                    pass

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/files/data%201.bin?v=2"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def source(url: str, content: bytes = CONTENT) -> Source:
    return Source(
        name="the bytes",
        url=url,
        revision="1",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="CC0-1.0",
        citation="none",
    )


def test_fetch_downloads_once_under_the_files_name(server: Server) -> None:
    path = source(server.url).fetch()
    assert path.name == "data 1.bin"
    assert path.read_bytes() == CONTENT
    assert source(server.url).fetch() == path
    assert server.requests == 1


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], b"x" + CONTENT[1:]])
def test_fetch_verifies_the_cached_file_at_every_use(
    server: Server, damage: bytes
) -> None:
    path = source(server.url).fetch()
    path.write_bytes(damage)
    assert source(server.url).fetch().read_bytes() == CONTENT
    assert server.requests == 2


def test_fetch_never_returns_a_damaged_file_without_a_network(server: Server) -> None:
    path = source(server.url).fetch()
    path.write_bytes(b"x" + CONTENT[1:])
    server.status = 500
    with pytest.raises(ConnectionError, match="HTTP 500"):
        source(server.url).fetch()


def fails(error: type[Exception], message: str, record: Source, cache: Path) -> None:
    with pytest.raises(error, match=message) as caught:
        record.fetch()
    assert str(caught.value).startswith(
        f"runtime.Source: the bytes must come from {record.url}"
    )
    assert files(cache) == []


def test_fetch_without_a_network(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    record = source(f"http://127.0.0.1:{port}/data.bin")
    fails(ConnectionError, 'no connection .* PROFILE = "embedded"', record, cache)


def test_fetch_with_an_unknown_host(cache: Path) -> None:
    record = source("https://no-such-host.invalid/data.bin")
    fails(ConnectionError, "got no connection", record, cache)


@pytest.mark.parametrize(
    ("status", "message"), [(404, "HTTP 404 Not Found"), (503, "HTTP 503 Service")]
)
def test_fetch_with_an_http_error(
    server: Server, cache: Path, status: int, message: str
) -> None:
    server.status = status
    record = source(server.url)
    fails(ConnectionError, f"got {message}.*; try again later", record, cache)


@pytest.mark.parametrize("announced", [len(CONTENT), len(CONTENT) // 2])
def test_fetch_of_a_truncated_file(server: Server, cache: Path, announced: int) -> None:
    server.body = CONTENT[: len(CONTENT) // 2]
    server.length = announced
    message = "with 256000 bytes, got [0-9]+; the connection broke off: run again"
    fails(ConnectionError, message, source(server.url), cache)


def test_fetch_from_a_server_that_falls_silent(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_TIMEOUT", 0.2)
    server.pause = 1.0
    fails(ConnectionError, "the connection broke off", source(server.url), cache)


@pytest.mark.parametrize(
    "body",
    [b"x" + CONTENT[1:], CONTENT + b"x", CONTENT * 20],
    ids=["other", "+1", "x20"],
)
def test_fetch_of_another_file(server: Server, cache: Path, body: bytes) -> None:
    server.body = body
    message = "SHA-256 [0-9a-f]{64}, got another file.*do not use it"
    fails(ValueError, message, source(server.url), cache)


@pytest.mark.parametrize(
    "page",
    [b"<!DOCTYPE html><p>Sign in", b"\n <html lang='en'>", b"<!doctype HTML>" * 30000],
)
def test_fetch_of_a_web_page(server: Server, cache: Path, page: bytes) -> None:
    server.body = page
    message = "got a web page; does this network ask for a sign-in"
    fails(ValueError, message, source(server.url), cache)


def test_fetch_with_a_full_disk(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        source(server.url).fetch()
    assert files(cache) == []


FETCH = """
import sys
from tlcourse.runtime import Source
url, size, sha256 = sys.argv[1:]
source = Source(name="the bytes", url=url, revision="1", size=int(size),
                sha256=sha256, licence="CC0-1.0", citation="none")
print(source.fetch().stat().st_size)
"""


def test_processes_that_ask_at_once_download_once(server: Server) -> None:
    server.pause = 1.0
    record = source(server.url)
    running = [start(FETCH, record.url, record.size, record.sha256) for _ in range(3)]
    answers = [process.communicate(timeout=120)[0] for process in running]
    assert answers == ["256000\n"] * 3
    assert server.requests == 1


def test_a_download_killed_half_way_is_not_trusted(server: Server, cache: Path) -> None:
    server.pause = 60.0
    record = source(server.url)
    process = start(FETCH, record.url, record.size, record.sha256)
    wait_for(lambda: any(p.suffix == ".bin" for p in cache.rglob("*.unfinished/*")))
    process.kill()
    process.communicate()
    assert ".unfinished" in "".join(files(cache))
    server.pause = 0.0
    assert record.fetch().read_bytes() == CONTENT
    assert files(cache) == ["data 1.bin"]


def test_source_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        source("https://example.org/a").size = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "ftp://example.org/a"}, "url must be the http or https address"),
        ({"url": "https://example.org/"}, "url must be the http or https address"),
        ({"size": 0}, "size must be the length in bytes, got 0"),
        ({"sha256": "ABC"}, "sha256 must be 64 lower-case hexadecimal digits"),
    ],
)
def test_source_refuses_a_record_no_file_can_satisfy(
    change: dict[str, object], message: str
) -> None:
    record = source("https://example.org/a")
    with pytest.raises(ValueError, match=f"{message}.*; correct the record of"):
        replace(record, **change)  # type: ignore[arg-type]
