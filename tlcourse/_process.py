"""Where a model runs: its device, precision and modes, alone or under accelerate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from tlcourse import runtime
from tlcourse._checks import check_choice

__all__ = ["OneProcess", "from_main", "modes_kept", "placed", "random_states"]


class OneProcess:
    """What the loop asks of accelerate's Accelerator, for a run without one."""

    is_main_process = True
    num_processes = 1
    process_index = 0

    def __init__(self, where: str, model: nn.Module, precision: str) -> None:
        check_choice(where, "precision", precision, ("float32", "auto"))
        first = next(model.parameters(), None)
        self.device = torch.device("cpu") if first is None else first.device
        self.autocast: Callable[[], AbstractContextManager[object]] = (
            runtime.autocast if precision == "auto" else contextlib.nullcontext
        )
        with self.autocast():
            self.channels_last = torch.is_autocast_enabled("cpu")

    def prepare(self, model: nn.Module, *others: object) -> tuple[object, ...]:
        if self.channels_last:
            model.to(memory_format=torch.channels_last)
        return model, *others

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]


def placed(batch: tuple[Tensor, ...], process: Any) -> tuple[Tensor, ...]:
    """Move a batch to where the model is."""
    if not isinstance(batch, tuple | list):
        raise TypeError(
            "training: a batch must be a tuple of tensors, got "
            f"{type(batch).__name__}; make the loader with training.batches"
        )
    tensors = tuple(t.to(process.device) for t in batch)
    if getattr(process, "channels_last", False):
        tensors = tuple(
            t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t
            for t in tensors
        )
    return tensors


@contextlib.contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def from_main(process: Any, value: dict[str, float]) -> dict[str, float]:
    """Return what the main process has, so that all decide alike."""
    values = [value]
    if process.num_processes > 1:
        from accelerate.utils import (  # type: ignore[import-untyped]
            broadcast_object_list,
        )

        broadcast_object_list(values)
    return values[0]


def random_states(process: Any) -> list[list[Tensor]]:
    """Return torch's global random states of every process, its GPU's included."""
    states = [[torch.get_rng_state()]]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states[0] += torch.cuda.get_rng_state_all()
    if process.num_processes > 1:
        from accelerate.utils import gather_object

        states = gather_object(states)
    return states
