"""Dials that move the distribution of a data set, one for each kind of shift."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tlcourse._checks import check_choice, check_range
from tlcourse.data.records import Split

__all__ = ["KINDS", "shift"]

#: What the level of each kind means, and where its scale ends.
KINDS = {
    "blur": ("standard deviation in pixels", 8.0),
    "rotation": ("angle in degrees, counter-clockwise", 360.0),
    "noise": ("standard deviation, pixels being in [0, 1]", 8.0),
    "mixture": ("share of pictures that come from another split", 1.0),
    "labels": ("share that is dropped of the upper half of the classes", 1.0),
    "concept": ("number of classes that pass their labels on in a circle", math.inf),
}


def shift(
    split: Split,
    kind: str,
    level: float,
    *,
    generator: torch.Generator,
    other: Split | None = None,
) -> Split:
    """Shift the distribution of a split by a chosen amount.

    Blur, rotation and noise change the pictures and leave the labels: covariate
    shift. So does a mixture with pictures of the same classes from elsewhere.
    Dropping pictures of some classes changes P(Y) and leaves P(X | Y): label shift.
    Renaming classes leaves the pictures and changes P(Y | X): concept shift.

    Parameters
    ----------
    split : Split
        Pictures, grey or in colour, and labels; left as it is.
    kind : str
        A key of `KINDS`, which says what `level` means.
    level : float
        0 changes nothing.
    generator : torch.Generator
        Decides what is random; always advanced alike, whatever kind and level.
    other : Split, optional
        Where a mixture takes its pictures from, at least as many as `split` holds.

    Returns
    -------
    Split
        As many pictures as before, but for kind "labels". "concept" gives class c < k
        the label (c + 1) mod k.

    Raises
    ------
    ValueError
        If `kind` is unknown, `level` lies outside its scale, or a mixture has no
        `other` or too few pictures in it.

    Examples
    --------
    >>> split = Split(torch.zeros(4, 1, 8, 8), torch.arange(4))
    >>> rng = torch.Generator().manual_seed(0)
    >>> shift(split, "concept", 3, generator=rng).labels
    tensor([1, 2, 0, 3])
    >>> shift(split, "labels", 1, generator=rng).labels
    tensor([0, 1])
    """
    where = "data.shifts.shift"
    check_choice(where, "kind", kind, KINDS)
    meaning, most = KINDS[kind]
    images, labels = split.images, split.labels
    classes = int(labels.max()) + 1
    limit = min(most, classes) if kind == "concept" else most
    check_range(where, "level", level, 0, limit, cause=f"it is the {meaning}")
    dice = torch.rand(len(split), generator=generator)  # (n,)
    grain = torch.randn(images.shape, generator=generator)
    if level == 0:
        return split
    if kind == "blur":
        images = _blur(images, float(level))
    elif kind == "rotation":
        images = _rotate(images, float(level))
    elif kind == "noise":
        images = (images + level * grain).clamp(0, 1)
    elif kind == "mixture":
        if other is None or len(other) < len(split):
            came = "none" if other is None else len(other)
            raise ValueError(
                f"{where}: a mixture must have another split of {len(split)} pictures "
                f"or more, got {came}; pass it as other"
            )
        rows = torch.nonzero(dice < level).flatten()
        images = images.index_copy(0, rows, other.images[rows])
        labels = labels.index_copy(0, rows, other.labels[rows])
    elif kind == "labels":
        keep = (labels < classes / 2) | (dice >= level)
        images, labels = images[keep], labels[keep]
    else:
        labels = torch.where(labels < level, (labels + 1) % int(level), labels)
    return Split(images, labels)


def _blur(images: Tensor, deviation: float) -> Tensor:
    # SciPy's filters: torchvision, which has them too, takes seconds to import.
    from scipy import ndimage

    reach = min(math.ceil(3 * deviation), min(images.shape[2:]) - 1)
    blurred = ndimage.gaussian_filter(
        images.numpy(), deviation, mode="mirror", radius=reach, axes=(2, 3)
    )
    return torch.from_numpy(blurred).clamp(0, 1)


def _rotate(images: Tensor, degrees: float) -> Tensor:
    from scipy import ndimage

    turned = ndimage.rotate(
        images.numpy(), degrees, (2, 3), False, order=1, mode="grid-constant"
    )
    return torch.from_numpy(turned).clamp(0, 1)
