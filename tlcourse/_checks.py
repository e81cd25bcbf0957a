"""Checks on arguments that raise the course's error messages.

Every message has one form, ``where: what must hold, got what came; likely cause``,
so that a learner can mend the call without opening the package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = [
    "check_choice",
    "check_float",
    "check_labels",
    "check_logits",
    "check_range",
    "check_same_shape",
    "require",
    "to_array",
]


def require(condition: bool, where: str, must: str, came: object, cause: str) -> None:
    """Raise ``ValueError`` with the course's message unless `condition` holds."""
    if not condition:
        raise ValueError(f"{where}: {must}, got {came}; {cause}")


def check_choice(where: str, name: str, value: str, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`, else raise and list them."""
    valid = list(choices)
    require(
        value in valid,
        where,
        f"{name} must be one of {', '.join(valid)}",
        repr(value),
        "is it misspelled?",
    )
    return value


def check_range(
    where: str,
    name: str,
    value: float,
    low: float,
    high: float = float("inf"),
    *,
    low_open: bool = False,
    high_open: bool = False,
    cause: str = "is the unit right?",
) -> None:
    """Raise unless `value` is a number between `low` and `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"{where}: {name} must be a number, got {type(value).__name__}; {cause}"
        )
    inside = (value > low if low_open else value >= low) and (
        value < high if high_open else value <= high
    )
    left, right = "(" if low_open else "[", ")" if high_open else "]"
    if high == float("inf"):
        right = ")"
    require(
        inside,
        where,
        f"{name} must lie in {left}{low:g}, {high:g}{right}",
        value,
        cause,
    )


def check_float(where: str, name: str, value: Tensor) -> None:
    """Raise ``TypeError`` unless `value` is a floating-point tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{where}: {name} must be a torch tensor, got {type(value).__name__}; "
            "convert it with torch.as_tensor"
        )
    if not value.is_floating_point():
        raise TypeError(
            f"{where}: {name} must be floating point, got {value.dtype}; "
            "were two arguments swapped?"
        )


def check_same_shape(
    where: str, name: str, value: Tensor, other_name: str, other: Tensor
) -> None:
    """Raise unless two tensors have one shape, so that nothing is broadcast."""
    require(
        value.shape == other.shape,
        where,
        f"{name} must have the shape of {other_name}, {tuple(other.shape)}",
        tuple(value.shape),
        "does one of them need squeeze or unsqueeze?",
    )


def check_logits(where: str, logits: Tensor) -> None:
    """Raise unless `logits` is a non-empty float tensor of shape (n, c)."""
    check_float(where, "logits", logits)
    require(
        logits.ndim == 2 and min(logits.shape) > 0,
        where,
        "logits must have shape (n, c) with n, c >= 1",
        f"shape {tuple(logits.shape)}",
        "is the batch empty or the class axis missing?",
    )


def check_labels(where: str, labels: Tensor, n: int, c: int) -> None:
    """Raise unless `labels` holds n class indices in [0, c)."""
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        came = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(
            f"{where}: labels must be an int64 tensor of class indices, got {came}; "
            "convert with labels.long(), one-hot rows with labels.argmax(1)"
        )
    require(
        labels.shape == (n,),
        where,
        f"labels must have shape ({n},)",
        f"shape {tuple(labels.shape)}",
        "are logits and labels from the same batch?",
    )
    if n == 0:
        return
    low, high = (int(label) for label in torch.aminmax(labels))
    require(
        low >= 0 and high < c,
        where,
        f"labels must lie in [0, {c}) for logits of shape ({n}, {c})",
        f"min {low}" if low < 0 else f"max {high}",
        "does the new head have one output per class?",
    )


def to_array(
    where: str, name: str, values: object, *, axes: str = "(n,)"
) -> npt.NDArray[np.float64]:
    """Return a tensor, array or sequence as a finite float64 array of that shape."""
    if isinstance(values, Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{where}: {name} must be numbers, got {type(values).__name__} ({error}); "
            "are all rows equally long?"
        ) from error
    require(
        array.ndim == len(re.findall(r"\w+", axes)),
        where,
        f"{name} must have shape {axes}",
        f"shape {array.shape}",
        "which of its axes is meant?",
    )
    require(
        bool(np.isfinite(array).all()),
        where,
        f"{name} must be finite",
        "NaN or infinity",
        "did a run diverge?",
    )
    return array
