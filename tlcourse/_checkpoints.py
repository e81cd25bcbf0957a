"""Checkpoint files: written whole or not at all, and read without running code."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlcourse._checks import require

__all__ = ["fingerprint", "load", "save"]

# First line of a file: this, then the SHA-256 of the rest. torch.load itself does not
# notice a flipped bit in a tensor.
_MAGIC = b"tlcourse checkpoint 1 "
_WHERE = "training.fit"


def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return a SHA-256 over named tensors: names, shapes, types and every byte."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"|{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint beside `path`, flush it to disk and rename it into place."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with open(unfinished, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(data).hexdigest().encode() + b"\n")
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: Path, settings: dict[str, str]) -> dict[str, Any]:
    """Read a checkpoint, once it is sure to be whole and of a run with `settings`."""
    remedy = f"delete {path} to start anew, or give another path"
    head, _, data = path.read_bytes().partition(b"\n")
    require(
        head.startswith(_MAGIC),
        _WHERE,
        "the checkpoint must be a file that training.fit wrote",
        f"{path} with another beginning",
        remedy,
    )
    require(
        head[len(_MAGIC) :] == hashlib.sha256(data).hexdigest().encode(),
        _WHERE,
        "the checkpoint must be whole",
        f"{path} with bytes missing or altered",
        remedy,
    )
    content: dict[str, Any] = torch.load(
        io.BytesIO(data), map_location="cpu", weights_only=True
    )
    for key, then in content["settings"].items():
        require(
            settings[key] == then,
            _WHERE,
            f"a checkpoint must be of this very run, written with {key} {then}",
            settings[key],
            f"build model, optimizer and loaders as at the start of that run; or "
            f"{remedy}",
        )
    return content
