"""Ways to reuse what was learned: freezing, copying layers, rates by part."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tlcourse._checks import check_range, require
from tlcourse.models import BodyHead

__all__ = ["CopyReport", "copy_layers", "freeze", "parameter_groups", "unfreeze"]


def freeze(module: nn.Module) -> nn.Module:
    """Keep a module exactly as it is, whatever trains around it.

    Parameters stop asking for gradients, and the module and all it holds go to
    evaluation mode and stay there: ``requires_grad = False`` alone would let batch
    normalisation go on updating its running mean and variance, and dropout go on
    dropping.

    Parameters
    ----------
    module : nn.Module
        Changed in place, such as ``model.body`` or one of its layers.

    Returns
    -------
    nn.Module
        `module` itself. A later ``model.train()`` leaves it in evaluation mode; so
        do copies made with ``copy.deepcopy``.

    Examples
    --------
    >>> model = nn.Sequential(freeze(nn.BatchNorm1d(2)), nn.Linear(2, 2))
    >>> [layer.training for layer in model.train()]
    [False, True]
    """
    for part in module.modules():
        part.training = False
        # On the instance, so that the class is left alone; a partial of a function
        # at module level, so that deepcopy and pickle bind the copy to itself.
        part.__dict__["train"] = functools.partial(_train_around, part)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    return module


def unfreeze(module: nn.Module) -> nn.Module:
    """Undo `freeze`, for all of a frozen module or for one of its layers.

    Parameters
    ----------
    module : nn.Module
        Changed in place. Its parameters ask for gradients again.

    Returns
    -------
    nn.Module
        `module` itself, in training mode. An optimizer made without its parameters
        does not train them.

    Examples
    --------
    >>> unfreeze(freeze(nn.Linear(2, 2))).weight.requires_grad
    True
    """
    for part in module.modules():
        part.__dict__.pop("train", None)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    return module.train()


def _train_around(part: nn.Module, mode: bool = True) -> nn.Module:
    """Stand in for a frozen module's ``train``: only thawed children follow it."""
    part.training = False
    for child in part.children():
        child.train(mode)
    return part


@dataclass(frozen=True)
class CopyReport:
    """What `copy_layers` did; print it.

    Attributes
    ----------
    copied : dict
        Layer name -> shapes of its tensors.
    skipped : dict
        Layer name -> why it was not copied, with both shapes.
    """

    copied: dict[str, tuple[tuple[int, ...], ...]]
    skipped: dict[str, str]

    def __str__(self) -> str:
        """Return one line a layer."""
        lines = [
            f"copied   {name or '(model)'}: {', '.join(map(str, shapes))}"
            for name, shapes in self.copied.items()
        ]
        lines += [
            f"skipped  {name or '(model)'}: {why}" for name, why in self.skipped.items()
        ]
        return "\n".join(lines)


def copy_layers(
    source: nn.Module, target: nn.Module, *, only: Sequence[str] | None = None
) -> CopyReport:
    """Copy weights and buffers between layers of the same name and shapes.

    Parameters
    ----------
    source : nn.Module
        The model whose weights are copied.
    target : nn.Module
        The model that receives them, in place.
    only : sequence of str, optional
        Names of layers, or of parts that hold them such as ``"body"``; all if None.

    Returns
    -------
    CopyReport
        Each layer of either model, copied or skipped and why. A layer goes over
        whole (weight, bias, running statistics) or not at all.

    Raises
    ------
    ValueError
        If no layer was copied, or a name of `only` is no layer of `source`.

    Notes
    -----
    ``load_state_dict(strict=False)`` loads what has the same name, says nothing if
    that is nothing at all, and fails where shapes differ.

    Examples
    --------
    >>> source = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 10))
    >>> target = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 3))
    >>> print(copy_layers(source, target))
    copied   0: (2, 4), (2,)
    skipped  1: (10, 2), (10,) in the source, (3, 2), (3,) in the target
    """
    where = "transfer.copy_layers"
    theirs, ours = _layers(source), _layers(target)
    for wanted in only or ():
        require(
            any(_is_in(name, wanted) for name in theirs),
            where,
            f"only must name layers of the source: {', '.join(theirs)}",
            repr(wanted),
            "is it misspelled?",
        )
    copied: dict[str, tuple[tuple[int, ...], ...]] = {}
    skipped: dict[str, str] = {}
    for name in theirs | ours:
        here, there = _shapes(theirs.get(name)), _shapes(ours.get(name))
        if only is not None and not any(_is_in(name, wanted) for wanted in only):
            skipped[name] = "not asked for"
        elif not there:
            skipped[name] = f"{_written(here)} in the source, missing in the target"
        elif not here:
            skipped[name] = f"missing in the source, {_written(there)} in the target"
        elif here != there:
            skipped[name] = (
                f"{_written(here)} in the source, {_written(there)} in the target"
            )
        else:
            with torch.no_grad():
                for key, tensor in theirs[name].items():
                    ours[name][key].copy_(tensor)
            copied[name] = tuple(here.values())
    report = CopyReport(copied, skipped)
    require(
        len(copied) > 0,
        where,
        "at least one layer must agree in name and shapes",
        "none:\n" + str(report),
        "do the two models name their layers alike?",
    )
    return report


def parameter_groups(
    model: BodyHead, *, lr_body: float, lr_head: float
) -> list[dict[str, Any]]:
    """Give body and head a learning rate each.

    Parameters
    ----------
    model : BodyHead
        The model to train. Frozen parameters are included: they have no gradient,
        so that no optimizer moves them until they are unfrozen.
    lr_body, lr_head : float
        Learning rates, above 0; the body's is usually the smaller.

    Returns
    -------
    list of dict
        Two groups, body first, for any optimizer of torch.optim or tlcourse.optim.

    Raises
    ------
    ValueError
        If a rate is not above 0.

    Examples
    --------
    >>> model = BodyHead(nn.Flatten(), nn.Linear(4, 3), feature_dim=4)
    >>> [g["lr"] for g in parameter_groups(model, lr_body=0.001, lr_head=0.01)]
    [0.001, 0.01]
    """
    where = "transfer.parameter_groups"
    groups = []
    for name, part, rate in (
        ("body", model.body, lr_body),
        ("head", model.head, lr_head),
    ):
        check_range(where, f"lr_{name}", rate, 0, low_open=True)
        groups.append({"params": list(part.parameters()), "lr": rate, "name": name})
    return groups


def _layers(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return layer name -> its own tensors by name, without those of its children."""
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in model.state_dict().items():
        name, _, last = key.rpartition(".")
        layers.setdefault(name, {})[last] = tensor
    return layers


def _shapes(tensors: dict[str, Tensor] | None) -> dict[str, tuple[int, ...]]:
    return {key: tuple(t.shape) for key, t in (tensors or {}).items()}


def _written(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes.values()))


def _is_in(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")
