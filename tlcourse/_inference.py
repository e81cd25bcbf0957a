"""Running a model without gradients: judging it, and reading its features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from tlcourse import runtime
from tlcourse._checkpoints import fingerprint
from tlcourse._checks import check_labels, check_logits, require
from tlcourse._loaders import Batch, Loader, is_shuffled, length
from tlcourse._process import OneProcess, modes_kept, placed

__all__ = ["Evaluation", "classification_step", "evaluate", "extract_features"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    loss : float
        Mean cross-entropy over the examples, in nats.
    accuracy : float
        Fraction of examples whose largest logit is at the label, in [0, 1].
    labels : Tensor, shape (n,), int64
        The labels in the order of the loader.
    logits : Tensor, shape (n, c)
        The logits in the same order.
    """

    loss: float
    accuracy: float
    labels: Tensor
    logits: Tensor


def classification_step(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    r"""Compute the mean cross-entropy of one batch, the step of plain fine-tuning.

    .. math:: \ell = -\frac{1}{n} \sum_{i=1}^{n} \log p_{i, y_i}

    Parameters
    ----------
    model : nn.Module
        Called as ``model(*inputs)``; returns logits of shape (n, c).
    batch : tuple of Tensor
        The inputs, then the labels of shape (n,), int64.

    Returns
    -------
    dict
        "loss": shape (), in nats, differentiable; "logits": shape (n, c).

    Raises
    ------
    TypeError
        If the labels are not int64.
    ValueError
        If the logits are not of shape (n, c), or a label lies outside [0, c).

    Examples
    --------
    >>> batch = (torch.zeros(2, 4), torch.tensor([0, 3]))
    >>> f"{classification_step(nn.Identity(), batch)['loss'].item():.4f}"  # log 4
    '1.3863'
    """
    where = "training.classification_step"
    *inputs, labels = batch
    logits = model(*inputs)  # (n, c)
    check_logits(where, logits)
    check_labels(where, labels, *logits.shape)
    return {"loss": functional.cross_entropy(logits, labels), "logits": logits}


def evaluate(
    model: nn.Module,
    loader: Loader,
    *,
    precision: Literal["float32", "auto"] = "float32",
) -> Evaluation:
    """Judge a classifier: evaluation mode, no gradients, every example counted once.

    Parameters
    ----------
    model : nn.Module
        Called as ``model(*inputs)``; returns logits of shape (n, c). Each of its
        modules is afterwards in the mode it was in.
    loader : DataLoader or sequence of batches
        Each batch a tuple, the inputs first and the labels last.
    precision : {"float32", "auto"}, default "float32"
        As for `fit`.

    Returns
    -------
    Evaluation
        Loss and accuracy over all examples (not a mean of batch means, which a short
        last batch would bias), labels and logits, on the model's device.

    Raises
    ------
    TypeError
        If the labels are not int64.
    ValueError
        If the loader is empty, the logits are not of shape (n, c), or a label lies
        outside [0, c).

    Examples
    --------
    >>> x, y = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0])
    >>> evaluate(nn.Identity(), [(x, y)]).accuracy
    0.5
    """
    where = "training.evaluate"
    length(where, "loader", loader)
    process = OneProcess(where, model, precision)
    losses, all_labels, all_logits = [], [], []
    with modes_kept(model), torch.no_grad():
        model.eval()
        for batch in loader:
            batch = placed(batch, process)
            with process.autocast():
                results = classification_step(model, batch)
            losses.append(results["loss"].double() * len(batch[-1]))
            all_labels.append(batch[-1])
            all_logits.append(results["logits"].float())
    labels, logits = torch.cat(all_labels), torch.cat(all_logits)
    return Evaluation(
        loss=torch.stack(losses).sum().item() / len(labels),
        accuracy=(logits.argmax(1) == labels).double().mean().item(),
        labels=labels,
        logits=logits,
    )


def extract_features(
    body: nn.Module, loader: Loader, *, cached: bool = False
) -> Tensor:
    """Run a body over all inputs: evaluation mode, no gradients.

    Parameters
    ----------
    body : nn.Module
        Called as ``body(*inputs)``; returns features of shape (n, d). Each of its
        modules is afterwards in the mode it was in.
    loader : DataLoader or sequence of batches
        Each batch a tuple, the inputs first and the labels, which are left out,
        last; a batch of one tensor is all input. It must not shuffle, since the
        features would then not belong to the labels of another pass.
    cached : bool, default False
        Keep the features on disk, and read them back when the body's weights and all
        inputs are the same to the last bit. Valid only without random augmentation:
        augmented inputs differ every time, so that nothing is ever read back.

    Returns
    -------
    Tensor, shape (n, d)
        Features in the loader's order, without gradients, on the body's device.

    Raises
    ------
    ValueError
        If the loader is empty or shuffles, or the features are not of shape (n, d).

    Examples
    --------
    >>> extract_features(nn.Flatten(), [(torch.zeros(5, 2, 2),)]).shape
    torch.Size([5, 4])
    """
    where = "training.extract_features"
    length(where, "loader", loader)
    require(
        not is_shuffled(loader),
        where,
        "the loader must keep the order of the examples",
        "one that shuffles",
        "make it with shuffle=False, so that features and labels belong together",
    )
    process = OneProcess(where, body, "float32")

    def inputs() -> Iterator[Batch]:
        for batch in loader:
            tensors = placed(batch, process)
            yield tensors[:-1] or tensors

    def features(batch: Batch) -> Tensor:
        found: Tensor = body(*batch)  # (n, d)
        require(
            found.ndim == 2,
            where,
            "the body must return features of shape (n, d)",
            f"shape {tuple(found.shape)}",
            "does it end in Flatten or global pooling?",
        )
        return found

    def parts() -> Iterator[tuple[str, Tensor]]:
        yield from body.state_dict().items()
        for number, batch in enumerate(inputs()):
            if number == 0:  # stands for the body's code, which has no bytes
                yield "features", features(batch)
            yield from (("input", tensor) for tensor in batch)

    def make(file: Path) -> None:
        torch.save(torch.cat([features(batch) for batch in inputs()]), file)

    with modes_kept(body), torch.no_grad():
        body.eval()
        if not cached:
            return torch.cat([features(batch) for batch in inputs()])
        path = runtime.artefact("features.pt", fingerprint(parts()), make)
    stored: Tensor = torch.load(path, map_location=process.device, weights_only=True)
    return stored
