"""The only training loop of the course, and its two companions without gradients.

A method brings a step, ``step(model, batch) -> {"loss": tensor, ...}``, never a loop.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from tlcourse import _checkpoints
from tlcourse._checks import check_choice, check_range, require
from tlcourse._inference import (
    Evaluation,
    classification_step,
    evaluate,
    extract_features,
)
from tlcourse._loaders import Batch, Loader, batches, generators, length
from tlcourse._process import (
    OneProcess,
    from_main,
    modes_kept,
    placed,
    random_states,
)
from tlcourse._schedules import Schedule, schedule

if TYPE_CHECKING:
    from accelerate import Accelerator  # type: ignore[import-untyped]

__all__ = [
    "Evaluation",
    "History",
    "batches",
    "classification_step",
    "evaluate",
    "extract_features",
    "fit",
    "schedule",
]

Step = Callable[[nn.Module, Batch], dict[str, Tensor]]


@dataclass
class History:
    """What happened in a run of `fit`.

    Attributes
    ----------
    epochs : list of dict
        One row an epoch: "epoch" (counted from 1), "loss" and every other scalar of
        the step (means over the examples), "rate", "seconds" and, with validation,
        "validation_loss" and "validation_accuracy".
    losses : list of float
        The loss of every step, in nats for classification.
    rates : list of float
        The learning rate of every step, of the optimizer's first group; a schedule
        scales all groups alike.
    seconds : float
        Wall-clock time of all epochs, validation included.
    best_epoch : int or None
        The epoch of the lowest validation loss; None without validation.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    seconds: float = 0.0
    best_epoch: int | None = None

    def column(self, name: str) -> list[float]:
        """Return one value of every epoch.

        Parameters
        ----------
        name : str
            What the rows call it, such as "validation_accuracy".

        Returns
        -------
        list of float
            A value an epoch.

        Raises
        ------
        ValueError
            If the rows hold no such value; the message lists those they hold.
        """
        check_choice("training.History", "name", name, self.epochs[0])
        return [row[name] for row in self.epochs]


def fit(
    model: nn.Module,
    train: Loader,
    *,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    step: Step = classification_step,
    validation: Loader | None = None,
    patience: int | None = None,
    schedule: Schedule | None = None,
    precision: Literal["float32", "auto"] = "float32",
    checkpoint: str | Path | None = None,
    progress: bool = False,
    accelerator: Accelerator | None = None,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : nn.Module
        Trained in place, in training mode (frozen parts stay in evaluation mode,
        see `transfer.freeze`); afterwards each module is in the mode it was in.
    train : DataLoader or sequence of batches
        Each batch a tuple of tensors; moved to the model's device.
    optimizer : torch.optim.Optimizer
        Of tlcourse.optim or torch.optim, made after the last change to the model.
    epochs : int
        Passes over `train`.
    step : callable, default classification_step
        ``step(model, batch)`` returns a dict whose "loss" is a scalar with
        gradients; the epoch's mean of every other scalar goes to the history.
    validation : DataLoader or sequence of batches, optional
        Judged by `evaluate` after every epoch, whatever the training step.
    patience : int, optional
        Stop after so many epochs without a lower validation loss, and return to the
        weights of the best epoch. Equal to `epochs`: run on, but return to the best.
        None: run on and keep the last weights.
    schedule : Schedule, optional
        From `training.schedule`.
    precision : {"float32", "auto"}, default "float32"
        "auto": bfloat16 autocast and channels-last memory where the CPU has units
        for it, else float32.
    checkpoint : path, optional
        File that holds the state of the run after every epoch. If it exists, the
        run continues from it and ends with the weights, bit for bit, of one that
        was never interrupted.
    progress : bool, default False
        Show a progress bar on standard output.
    accelerator : accelerate.Accelerator, optional
        Run under ``accelerate launch``; every process trains on its share of each
        pass, evaluates the whole validation set, and the main one writes the
        checkpoint. It decides on precision.

    Returns
    -------
    History
        Rows an epoch, losses and rates a step, seconds and the best epoch. The
        epoch's loss is weighted by batch size (a batch's size is the length of its
        first tensor).

    Raises
    ------
    TypeError
        If the step returns no dict with a tensor "loss".
    ValueError
        If a loader is empty, the model has nothing to train, the optimizer holds
        other parameters, the loss is not a finite scalar with gradients, patience
        comes without validation, the schedule makes no sense for the run, or the
        checkpoint is damaged or of another run.

    Notes
    -----
    Exact resumption covers model, optimizer, schedule, early stopping, history,
    torch's global random state and the loaders' generators; data that draws from
    other sources (NumPy, Python's random) is not covered. The checkpoint is
    refused if settings, number of batches, seeds or initial weights differ.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> model = nn.Linear(2, 2)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> history = fit(model, batches(x, y), optimizer=sgd, epochs=50)
    >>> evaluate(model, batches(x, y)).accuracy
    1.0
    """
    where = "training.fit"
    check_range(where, "epochs", epochs, 1)
    length(where, "train", train)
    if validation is not None:
        length(where, "validation", validation)
    if patience is not None:
        check_range(where, "patience", patience, 1)
        require(
            validation is not None,
            where,
            "patience must come with validation",
            "none",
            "early stopping needs examples that are neither trained nor tested on",
        )
    require(
        accelerator is None
        or (precision == "float32" and accelerator.gradient_accumulation_steps == 1),
        where,
        'an accelerator must come with precision "float32" and without accumulation',
        accelerator and (precision, accelerator.gradient_accumulation_steps),
        "give mixed_precision to the Accelerator, and larger batches to the loader",
    )
    _check_optimizer(where, model, optimizer)

    process: Any = accelerator or OneProcess(where, model, precision)
    run = _Run(model, optimizer, generators(train, validation), process)
    settings: dict[str, str] = {}
    if checkpoint is not None:
        groups = [{**g, "params": len(g["params"])} for g in optimizer.param_groups]
        weights = _checkpoints.fingerprint(model.state_dict().items())
        settings = {
            "epochs": str(epochs),
            "patience": str(patience),
            "precision": precision,
            "schedule": str(schedule),
            "step": getattr(step, "__qualname__", type(step).__name__),
            "optimizer": f"{type(optimizer).__name__} {groups}",
            "batches": str(len(train)),
            "seeds": str([g.initial_seed() for g in run.generators]),
            "processes": str(process.num_processes),
            "initial weights": weights[:16],
        }
    wrapped, stepper, loader = process.prepare(model, optimizer, train)
    if schedule is not None:
        require(
            schedule.optimizer is optimizer,
            where,
            "the schedule must be made for the optimizer of the run",
            "one for another",
            "was the optimizer made anew after the schedule?",
        )
        run.factors = schedule.plan(len(loader), epochs)
    path = Path(checkpoint) if checkpoint is not None else None
    if path is not None and path.exists():
        run.restore(_checkpoints.load(path, settings))

    history = run.history
    with (
        modes_kept(model),
        run.rates_kept(),
        tqdm(
            total=epochs * len(loader),
            initial=len(history.losses),
            file=sys.stdout,
            disable=not (progress and process.is_main_process),
        ) as bar,
    ):
        for epoch in range(len(history.epochs) + 1, epochs + 1):
            if patience is not None and run.waited >= patience:
                break
            started = time.perf_counter()
            wrapped.train()
            if hasattr(loader, "set_epoch"):  # accelerate's loaders count passes
                loader.set_epoch(epoch - 1)
            row = {"epoch": epoch, **run.train(wrapped, stepper, step, loader, bar)}
            if validation is not None:
                judged = evaluate(wrapped, validation, precision=precision)
                if not math.isfinite(judged.loss):
                    raise _diverged("validation loss", judged.loss, f"epoch {epoch}")
                row["validation_loss"] = judged.loss
                row["validation_accuracy"] = judged.accuracy
            row["seconds"] = time.perf_counter() - started
            is_best = run.enter(from_main(process, row))
            if is_best and patience is not None:
                run.best = {k: v.clone() for k, v in model.state_dict().items()}
            if path is not None:
                content = run.content(settings)
                if process.is_main_process:
                    _checkpoints.save(path, content)
    if run.best is not None:
        model.load_state_dict(run.best)
    return history


@dataclass
class _Run:
    """The state of a run: what an epoch changes, and so what a checkpoint holds."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    generators: list[torch.Generator]
    process: Any  # an Accelerator, or what stands in for it
    factors: list[float] | None = None
    history: History = field(default_factory=History)
    best: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    @property
    def waited(self) -> int:
        """Epochs since the best one."""
        return len(self.history.epochs) - (self.history.best_epoch or 0)

    def train(
        self, model: nn.Module, stepper: Any, step: Step, loader: Loader, bar: Any
    ) -> dict[str, float]:
        """Pass once over the data; return the means of the step's scalars."""
        history, process = self.history, self.process
        first = self.optimizer.param_groups[0]
        totals: dict[str, float] = {}
        seen = 0
        for batch in loader:
            if self.factors is not None:
                self.scale(self.factors[len(history.losses)])
            batch = placed(batch, process)
            stepper.zero_grad()
            with process.autocast():
                results = step(model, batch)
            loss = _checked_loss(results)
            value = loss.item()
            if not math.isfinite(value):
                place = f"step {len(history.losses) + 1}, learning rate {first['lr']:g}"
                raise _diverged("loss", value, place)
            process.backward(loss)
            stepper.step()
            history.losses.append(value)
            history.rates.append(first["lr"])
            count = len(batch[0])
            seen += count
            for name, result in results.items():
                if result.ndim == 0:
                    totals[name] = totals.get(name, 0.0) + count * result.item()
            bar.update()
        sums = torch.tensor([seen, *totals.values()], dtype=torch.float64)
        if process.num_processes > 1:
            sums = process.reduce(sums.to(process.device), "sum")
        seen, *rest = sums.tolist()
        means = {k: v / seen for k, v in zip(totals, rest, strict=True)}
        return {**means, "rate": first["lr"]}

    def scale(self, factor: float) -> None:
        """Set every learning rate to its first value times `factor`."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    @contextlib.contextmanager
    def rates_kept(self) -> Iterator[None]:
        """Leave the learning rates as they were before the run."""
        try:
            yield
        finally:
            self.scale(1.0)

    def enter(self, row: dict[str, float]) -> bool:
        """Add an epoch's row to the history; return whether it is the best so far."""
        history = self.history
        history.epochs.append(row)
        history.seconds += row["seconds"]
        if "validation_loss" not in row:
            return False
        if history.best_epoch is not None:
            best = history.epochs[history.best_epoch - 1]["validation_loss"]
            if row["validation_loss"] >= best:
                return False
        history.best_epoch = len(history.epochs)
        return True

    def content(self, settings: dict[str, str]) -> dict[str, Any]:
        """Return the state in plain containers."""
        return {
            "settings": settings,
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "history": asdict(self.history),
            "best": self.best,
            "random": random_states(self.process),
            "generators": [g.get_state() for g in self.generators],
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Return to the state that `content` describes."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.history = History(**content["history"])
        self.best = content["best"]
        cpu, *gpus = content["random"][self.process.process_index]
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(gpus)
        for generator, state in zip(
            self.generators, content["generators"], strict=True
        ):
            generator.set_state(state)


def _checked_loss(results: dict[str, Tensor]) -> Tensor:
    loss = results.get("loss") if isinstance(results, dict) else None
    if not isinstance(loss, Tensor):
        came = list(results) if isinstance(results, dict) else type(results).__name__
        raise TypeError(
            f'training.fit: the step must return a dict with a tensor "loss", got '
            f"{came}; is a return missing?"
        )
    if loss.ndim or not loss.requires_grad:
        raise ValueError(
            "training.fit: the loss must be a scalar with gradients, got shape "
            f"{tuple(loss.shape)} and requires_grad {loss.requires_grad}; is a mean "
            "missing in the step, or a detach or no_grad too many?"
        )
    return loss


def _diverged(name: str, value: float, place: str) -> ValueError:
    return ValueError(
        f"training.fit: the {name} must stay finite, got {value} at {place}; is the "
        "learning rate too large, or does an input hold NaN?"
    )


def _check_optimizer(
    where: str, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    own = {id(p) for p in model.parameters()}
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    require(
        len(trainable) > 0,
        where,
        "the model must have something to train",
        f"{len(own)} parameters, all frozen",
        "freeze the body only, or replace the head after freezing",
    )
    require(
        len(trainable & held) > 0,
        where,
        f"the optimizer must hold some of the {len(trainable)} trainable parameters",
        "none of them",
        "was it made for another model?",
    )
    require(
        not (trainable - held and held - own),
        where,
        "the optimizer must hold the parameters that the model has now",
        f"{len(held - own)} others, while {len(trainable - held)} are missing",
        "was a layer replaced after the optimizer was made?",
    )
