"""Call a learner's function carefully, and carry data between processes.

What goes to a function and what comes back is data and nothing else: numbers, strings,
lists, dicts, arrays, tensors, written as JSON. Nothing is ever unpickled, so reading an
answer runs no code of whoever wrote it.
"""

from __future__ import annotations

import base64
import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["call", "decode", "encode"]

_KINDS = "fiub"  # of arrays: float, int, unsigned, bool
_ADMITTED = "numbers, strings, lists, tuples, dicts, arrays or tensors"


def encode(value: object) -> Any:
    """Return data as what JSON can hold; raise TypeError for anything else."""
    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu()
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.float()  # numpy has no such numbers
        return {"tensor": encode(tensor.numpy())}
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"an array must hold numbers, got {array.dtype}")
        array = array.astype(array.dtype.newbyteorder("<"))
        raw = base64.b64encode(array.tobytes()).decode()
        return {"array": [array.dtype.str, list(array.shape), raw]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(k), encode(v)] for k, v in value.items()]}
    if value is ...:
        return {"blank": []}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"an answer must consist of {_ADMITTED}, got {_name(value)}")


def decode(value: Any) -> Any:
    """Return the data that `encode` wrote; raise ValueError where it is none."""
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise ValueError("a bare list is no encoded value")
        return value
    ((kind, content),) = value.items()
    if kind == "blank":
        return ...
    if kind == "tensor":
        return torch.from_numpy(decode(content))
    if kind in ("list", "tuple"):
        items = [decode(item) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {decode(k): decode(v) for k, v in content}
    if kind != "array":
        raise ValueError(f"no kind of value: {kind!r}")
    dtype, shape, raw = np.dtype(str(content[0])), content[1], content[2]
    content = base64.b64decode(raw, validate=True)
    if dtype.kind not in _KINDS or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError("type, shape and bytes of an array must fit")
    return np.frombuffer(content, dtype).reshape(shape).copy()


def call(function: Callable[..., object], arguments: Sequence[object]) -> Any:
    """Return what a call gave: a value, or an error; and which arguments it changed."""
    given = copy.deepcopy(list(arguments))
    before = encode(given)
    try:
        value = encode(function(*given))
    except (Exception, SystemExit) as error:
        return {"error": type(error).__name__, "said": str(error)[:500]}
    changed = encode(given) != before
    return {"value": value, "changed": changed}


def _name(value: object) -> str:
    return type(value).__name__
