"""Profiles, seeds, precision, the cache folder and verified downloads."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import operator
import os
import random
import re
import shutil
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import filelock
import numpy as np
import platformdirs
import torch

__all__ = [
    "PROFILES",
    "Source",
    "artefact",
    "autocast",
    "cache_dir",
    "check_profile",
    "generator",
    "seed_all",
]

#: The two profiles; `embedded` never uses the network.
PROFILES = ("embedded", "hub")

_BLOCK = 1 << 20  # bytes read at a time
_TIMEOUT = 60.0  # seconds without an answer from a server
_BROKEN = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException)


def check_profile(profile: str) -> str:
    """Return `profile` if it is one of `PROFILES`.

    Parameters
    ----------
    profile : str
        ``"embedded"`` (no network, ever) or ``"hub"`` (downloads once).

    Returns
    -------
    str
        The same name.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the valid ones.

    Examples
    --------
    >>> check_profile("embedded")
    'embedded'
    """
    if profile not in PROFILES:
        raise ValueError(
            f"runtime.check_profile: profile must be one of {', '.join(PROFILES)}, "
            f"got {profile!r}; is it misspelled?"
        )
    return profile


def seed_all(seed: int) -> None:
    """Set the global random state of Python, NumPy and torch.

    The course's own functions draw from a passed generator. This is for what
    they do not reach, such as the initial weights of ``torch.nn.Linear``.

    Parameters
    ----------
    seed : int
        In [0, 2**32), the range that NumPy takes.

    Raises
    ------
    ValueError
        If the seed lies outside that range.

    Examples
    --------
    >>> seed_all(0)
    >>> first = torch.rand(1)
    >>> seed_all(0)
    >>> bool(first == torch.rand(1))
    True
    """
    if not 0 <= seed < 2**32:
        raise ValueError(
            f"runtime.seed_all: seed must lie in [0, 2**32), got {seed}; "
            "NumPy takes no other"
        )
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global state is what is meant here
    torch.manual_seed(seed)


def generator(seed: int, *stream: str | int) -> torch.Generator:
    """Return a random generator of its own for each named stream.

    Seeds and names are mixed by SHA-256, so neighbouring seeds share nothing
    and a new stream never moves the numbers of another one. The same arguments
    give the same generator on every platform.

    Parameters
    ----------
    seed : int
        The run's seed.
    *stream : str or int
        What the numbers are for, such as ``"order", epoch``.

    Returns
    -------
    torch.Generator
        On the CPU.

    Notes
    -----
    torch's CPU generator keeps 32 bits of its seed: among 1,000 streams the
    chance that any two coincide is about 1 in 8,600.

    Examples
    --------
    >>> a = generator(0, "order", 1)
    >>> b = generator(0, "order", 1)
    >>> torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b))
    True
    """
    parts = [p if isinstance(p, str) else operator.index(p) for p in (seed, *stream)]
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


def autocast() -> AbstractContextManager[object]:
    """Return a bfloat16 autocast where this CPU has units for it, else nothing.

    Returns
    -------
    context manager
        ``torch.autocast("cpu", dtype=torch.bfloat16)``, or a null context on a
        CPU that would emulate bfloat16 and so be slower than float32.

    Notes
    -----
    The units are AVX512-BF16 or AMX-BF16 (x86) and BF16 (Arm); oneDNN, which
    drives them, must be part of this torch.

    Examples
    --------
    >>> with autocast():
    ...     y = torch.ones(2, 2) @ torch.ones(2, 2)
    >>> y.float().tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    if _has_bf16_units():
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _has_bf16_units() -> bool:
    # torch's own mkldnn test answers yes for any AVX512 processor, units or not.
    # An older torch (Colab) has no get_capabilities: float32 is right there too.
    probe: Callable[[], Mapping[str, object]] = getattr(
        torch.cpu, "get_capabilities", dict
    )
    units = probe()
    return bool(
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and any(units.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    )


def cache_dir() -> Path:
    """Return the folder for downloads and artefacts, made if missing.

    Returns
    -------
    Path
        The environment variable ``TLCOURSE_CACHE`` if set, else the user's
        cache folder of this system.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """
    chosen = os.environ.get("TLCOURSE_CACHE")
    if chosen:
        folder = Path(chosen).expanduser().absolute()
    else:
        folder = platformdirs.user_cache_path("tlcourse", appauthor=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"runtime.cache_dir: the cache must be a folder that can be written, "
            f"got {folder} ({error}); set TLCOURSE_CACHE to another folder"
        ) from error
    return folder


def artefact(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return a file or folder that is made once, whoever asks first.

    Parameters
    ----------
    name : str
        File or folder name, such as ``"resnet18-insects.safetensors"``.
    key : str
        All that the content depends on (settings, versions, hashes of inputs);
        another key is another artefact.
    make : callable
        ``make(path)`` writes the file, or makes and fills the folder, at `path`.

    Returns
    -------
    Path
        Where the finished artefact lies; do not write to it.

    Raises
    ------
    ValueError
        If `name` is not a plain file name.
    RuntimeError
        If `make` wrote nothing.

    Notes
    -----
    Processes that ask at once wait for one that makes it. The content is
    written beside its final place, flushed to disk and then renamed, so a
    process that dies at any moment leaves nothing that is trusted later.

    Examples
    --------
    >>> def make(path):
    ...     path.write_text("hello")
    >>> artefact("greeting.txt", "v1", make).read_text()
    'hello'
    """
    if name != Path(name).name or name in ("", ".."):
        raise ValueError(
            f"runtime.artefact: name must be a plain file name, got {name!r}; "
            "what the content depends on belongs in the key"
        )
    digest = hashlib.sha256(json.dumps([name, key]).encode()).hexdigest()[:16]
    path = cache_dir() / "artefacts" / digest / name

    def checked(unfinished: Path) -> None:
        make(unfinished)
        if not unfinished.exists():
            raise RuntimeError(
                f"runtime.artefact: make must write {name} at the path it is given, "
                "got nothing there; did it write to another path?"
            )

    _once(path, checked, path.exists)
    return path


def _once(
    path: Path, make: Callable[[Path], None], is_ready: Callable[[], bool]
) -> None:
    """Make `path` under a lock unless it is ready, and rename it into place."""
    if is_ready():
        return
    workshop = path.parent.with_suffix(".unfinished")
    workshop.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.parent.with_suffix(".lock")):
        if is_ready():  # another process made it while this one waited
            return
        # What a killed process left behind may go: the lock is ours.
        shutil.rmtree(workshop, ignore_errors=True)
        workshop.mkdir()
        try:
            unfinished = workshop / path.name
            make(unfinished)
            _flush(unfinished)
            path.parent.mkdir(exist_ok=True)
            os.replace(unfinished, path)
        finally:
            shutil.rmtree(workshop)


def _flush(path: Path) -> None:
    """Wait until a file, or every file of a folder, is on the disk."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file on the network, and how to know that it is the right one.

    Attributes
    ----------
    name : str
        What the file is, for people.
    url : str
        Its http or https address.
    revision : str
        Version, commit or date of the file at that address.
    size : int
        Its length in bytes.
    sha256 : str
        Its SHA-256, 64 lower-case hexadecimal digits.
    licence : str
        Under which terms it may be used.
    citation : str
        Whom to cite for it.

    Raises
    ------
    ValueError
        If the address, size or hash cannot be right.

    Examples
    --------
    >>> source = Source(
    ...     name="a small file", url="https://example.org/a.bin", revision="1",
    ...     size=3, sha256="0" * 64, licence="CC0", citation="none",
    ... )
    >>> source.size
    3
    """

    name: str
    url: str
    revision: str
    size: int
    sha256: str
    licence: str
    citation: str

    def __post_init__(self) -> None:
        """Refuse a record that no file could satisfy."""
        for right, must, came in (
            (
                self.url.startswith(("https://", "http://")) and self._file_name,
                "url must be the http or https address of a file",
                self.url,
            ),
            (self.size > 0, "size must be the length in bytes", self.size),
            (
                re.fullmatch(r"[0-9a-f]{64}", self.sha256),
                "sha256 must be 64 lower-case hexadecimal digits",
                repr(self.sha256),
            ),
        ):
            if not right:
                raise ValueError(
                    f"runtime.Source: {must}, got {came}; "
                    f"correct the record of {self.name}"
                )

    @property
    def _file_name(self) -> str:
        return urllib.parse.unquote(self.url.partition("?")[0]).rpartition("/")[2]

    def fetch(self) -> Path:
        """Return the file's path in the cache, downloading it if need be.

        The cached file is verified by size and SHA-256 at every call. A download
        is verified before it takes its place; one that fails leaves nothing.

        Returns
        -------
        Path
            The verified file, under its own name.

        Raises
        ------
        ConnectionError
            If there is no network, the server refuses, or the file came short.
        ValueError
            If what came is a web page or another file.
        """
        path = cache_dir() / "sources" / self.sha256[:16] / self._file_name
        _once(path, self._download, lambda: self._is_right(path))
        return path

    def _is_right(self, path: Path) -> bool:
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256

    def _download(self, path: Path) -> None:
        where = f"runtime.Source: {self.name} must come from {self.url}"
        digest, length, head = hashlib.sha256(), 0, b""
        with self._open(where) as answer, path.open("wb") as file:
            # A break shows in the length; one block too many is enough to know
            # that the file is another.
            with contextlib.suppress(*_BROKEN):
                while length <= self.size and (block := answer.read(_BLOCK)):
                    head = head or block[:64]
                    length += len(block)
                    digest.update(block)
                    file.write(block)
        if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
            raise ValueError(
                f"{where}, got a web page; does this network ask for a sign-in? "
                "Open the address in a browser, then run again"
            )
        if length < self.size:
            raise ConnectionError(
                f"{where} with {self.size} bytes, got {length}; the connection "
                "broke off: run again"
            )
        if length > self.size or digest.hexdigest() != self.sha256:
            raise ValueError(
                f"{where} with {self.size} bytes and SHA-256 {self.sha256}, got "
                f"another file; it was altered on the way or replaced at its origin: "
                "do not use it, run again, and report it if it stays so"
            )

    def _open(self, where: str) -> http.client.HTTPResponse:
        request = urllib.request.Request(self.url, headers={"User-Agent": "tlcourse"})
        try:
            answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            error.close()
            raise ConnectionError(
                f"{where}, got HTTP {error.code} {error.reason}; try again later, "
                "and if it stays so the file has moved: report it"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(
                f"{where}, got no connection ({error}); connect to the network once "
                'and run again, or use PROFILE = "embedded", which needs none'
            ) from error
        return cast(http.client.HTTPResponse, answer)
