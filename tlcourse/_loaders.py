"""Loaders: cutting tensors into batches, and what a run must know about a loader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from tlcourse._checks import check_range, require

__all__ = ["Batch", "Loader", "batches", "generators", "is_shuffled", "length"]

Batch = tuple[Tensor, ...]
Loader = DataLoader[Batch] | Sequence[Batch]


def batches(
    *tensors: Tensor,
    batch_size: int = 32,
    shuffle: bool = False,
    generator: torch.Generator | None = None,
) -> DataLoader[Batch]:
    """Cut tensors of equal length into batches.

    Parameters
    ----------
    *tensors : Tensor, shape (n, ...)
        Inputs first, labels last, as `classification_step` expects them.
    batch_size : int, default 32
        Examples a batch; the last one may be shorter.
    shuffle : bool, default False
        Draw a new order for every pass.
    generator : torch.Generator, optional
        The only source of the order; required by `shuffle`.

    Returns
    -------
    DataLoader
        Yields tuples of tensors. Each batch is one indexing operation, which is
        several times faster than collecting examples one by one.

    Raises
    ------
    ValueError
        If there is no tensor or no example, lengths differ, `batch_size` is below
        1, or `shuffle` comes without a generator.

    Examples
    --------
    >>> [tuple(x.tolist()) for (x,) in batches(torch.arange(5), batch_size=2)]
    [(0, 1), (2, 3), (4,)]
    """
    where = "training.batches"
    lengths = {len(t) for t in tensors}
    require(
        len(lengths) == 1 and lengths != {0},
        where,
        "the tensors must have one length, at least 1",
        [tuple(t.shape) for t in tensors],
        "are inputs and labels from the same split?",
    )
    check_range(where, "batch_size", batch_size, 1)
    require(
        generator is not None or not shuffle,
        where,
        "shuffle must come with a generator",
        "none",
        'pass runtime.generator(SEED, "order")',
    )
    return DataLoader(
        _Rows(*tensors),
        batch_size,
        shuffle=shuffle,
        collate_fn=tuple,
        # Without one, the loader would draw from the global random state.
        generator=generator or torch.Generator(),
    )


class _Rows(TensorDataset):
    """Tensors that give a whole batch at once, so that nothing is left to collate."""

    def __getitems__(self, indices: list[int]) -> Batch:
        index = torch.tensor(indices)
        return tuple(tensor[index] for tensor in self.tensors)


def length(where: str, name: str, loader: Loader) -> int:
    """Return the number of batches of a pass, at least 1."""
    try:
        count = len(loader)
    except TypeError as error:
        raise TypeError(
            f"{where}: {name} must be a loader or a list of batches with a length, "
            f"got {type(loader).__name__}; make one with training.batches"
        ) from error
    require(
        count > 0,
        where,
        f"{name} must hold at least one batch",
        "none",
        "is the split empty, or the batch larger than the data with drop_last?",
    )
    return count


def generators(*loaders: Loader | None) -> list[torch.Generator]:
    """Return the random generators that loaders draw from, each once."""
    found: list[torch.Generator] = []
    for part in (p for loader in loaders for p in _parts(loader)):
        generator = getattr(part, "generator", None)
        if generator is not None and all(generator is not g for g in found):
            found.append(generator)
    return found


def is_shuffled(loader: Loader) -> bool:
    """Return whether another pass gives the examples in another order."""
    return any(isinstance(part, RandomSampler) for part in _parts(loader))


def _parts(item: object) -> Iterator[object]:
    """Yield a loader, its samplers, and the samplers below them."""
    if item is not None:
        yield item
        for name in ("sampler", "batch_sampler"):
            yield from _parts(getattr(item, name, None))
