"""Checks of the exercises on parameter, feature and structure transfer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from tlcourse.checks._asking import Ask, Wrong, exercise, open_question, show

__all__ = [
    "carry_over",
    "frozen_probe",
    "gains",
    "label_table",
    "reports",
    "three_starts",
    "where_to_spend",
]

State: TypeAlias = dict[str, Tensor]
Array: TypeAlias = npt.NDArray[np.float64]


@exercise(points=2)
def reports(ask: Ask) -> None:
    """Ask which answer belongs to which report of a colleague."""
    right = {
        "structure": "bf9bf3d07942",
        "input layer": "6fe38ac3ff48",
        "frozen body": "8af26ffb7c70",
        "stored features": "393043c4aef3",
        "rate": "0a03acd06098",
    }
    hints = {
        "7bc04b4c87b6": "the report names no choice: ask what came from the source",
        "2f5f5be2034d": "no layer was put in front; all weights were drawn anew",
        "6afb94d74f2d": "nothing was frozen: ask what came from the source",
        "297a80a6f861": "no features were stored: ask what came from the source",
        "f728c5b49c40": "all weights are new here, the head no more than the body",
        "4bf617b1a785": "no test was used; what do the frozen layers see now?",
        "5e36ce708788": "the frozen weights are carried over; what do they see now?",
        "2934e9d477ec": "freezing is not the trouble; what do the frozen layers see?",
        "e0e13dfffc77": "nothing is stored here; what do the frozen layers see now?",
        "de7f7d5ec6b5": "the new layer is the first one, and the others are frozen",
        "7abf4c83909f": "no choice was made here; what but gradients moves a body?",
        "1643507482dc": "the body was carried over; what else than gradients moves it?",
        "f8527b11cc93": "no layer was added; what but gradients moves a body?",
        "a110750740e5": "no features are stored; what but gradients moves a body?",
        "c8fe217fb556": "no gradient reaches a frozen body; what else can move it?",
        "23fd7c7ed5c9": "no test was used; of which pictures are the features?",
        "6db9dec53ea4": "the body is the source's; of which pictures are the features?",
        "534662786947": "no layer was added; of which pictures are the features?",
        "259f4c4a3c73": "the features were stored once, so nothing can move them",
        "4a99dd377b02": "the body is not trained; of which pictures are the features?",
        "d768e7a72fff": "the report names no structure; which pictures chose the rate?",
        "ba846915f8ac": "no layer was added; which pictures chose the rate?",
        "16f15ec0b095": "the choice is the trouble; on which pictures was it made?",
        "3a003c9d7eb1": "no features were stored; which pictures chose the rate?",
        "b6c0490c7624": "the head is not the trouble; which pictures chose the rate?",
    }
    ask.choices(right, "ABCDEF", hints)


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _fitting(source: State, target: State) -> list[str]:
    """Return the target's layers, in order, that fit as a whole."""
    fits: dict[str, bool] = {}
    for name, tensor in target.items():
        fit = name in source and source[name].shape == tensor.shape
        fits[_layer(name)] = fits.get(_layer(name), True) and fit
    return [layer for layer, fit in fits.items() if fit]


def _from_front(source: State, target: State) -> list[str]:
    """Return the layers up to the first that does not fit."""
    order, fitting = list(dict.fromkeys(map(_layer, target))), _fitting(source, target)
    missing = [k for k, layer in enumerate(order) if layer not in fitting]
    return order[: missing[0] if missing else None]


def _pairs() -> Iterator[tuple[str, tuple[State, State]]]:
    """Yield pairs of networks, from the chapter's to awkward ones."""
    rng = torch.Generator().manual_seed(20261)

    def network(**layers: Any) -> State:
        shapes = {name.replace("_", "."): shape for name, shape in layers.items()}
        state = {k: torch.randn(s, generator=rng) for k, s in shapes.items()}
        count = torch.randint(9, 99, (), generator=rng)
        return {k: count if "batches" in k else v for k, v in state.items()}

    def convolution(wide: int, out: int = 3) -> State:
        first = {"0_weight": (4, 1, 3, 3), "0_bias": (4,)}
        middle = {"4_weight": (6, wide), "4_bias": (6,)}
        return network(**first, **middle, **{"6_weight": (out, 6), "6_bias": (out,)})

    def normed(out: int) -> State:
        names = ("weight", "bias", "mean", "var")
        norm: dict[str, Any] = {f"body_1_{name}": (5,) for name in names}
        first: dict[str, Any] = {"body_0_weight": (5, 2), "body_0_bias": (5,)}
        norm["body_1_batches"] = ()
        head = {"head_bias": (out,), "head_weight": (out, 5)}
        return network(**first, **norm, **head)

    yield "the document's two networks", (convolution(16), convolution(4))
    yield "other classes", (normed(3), normed(4))
    yield "all layers fit", (convolution(4), convolution(4))
    yield (
        "as many weights in another shape",
        (
            network(a_weight=(4, 2), b_weight=(2, 6), c_weight=(3, 3)),
            network(a_weight=(4, 2), b_weight=(6, 2), c_weight=(3, 3)),
        ),
    )
    yield (
        "the first layer does not fit",
        (
            network(a_weight=(3, 2), a_bias=(4,), b_weight=(2, 4), c_weight=(3, 2)),
            network(a_weight=(4, 2), a_bias=(4,), b_weight=(2, 4), c_weight=(3, 2)),
        ),
    )
    yield (
        "a bias before a weight that does not fit",
        (
            network(a_weight=(3, 2), b_bias=(4,), b_weight=(4, 3), c_weight=(2, 4)),
            network(a_weight=(3, 2), b_bias=(4,), b_weight=(4, 2), c_weight=(2, 4)),
        ),
    )
    yield (
        "a layer that the source lacks",
        (
            network(a_weight=(3, 2), c_weight=(2, 3), d_weight=(9, 9)),
            network(a_weight=(3, 2), b_weight=(3, 3), c_weight=(2, 3)),
        ),
    )


@exercise(points=2)
def carry_over(ask: Ask) -> None:
    """Ask for a network that takes the layers that fit, from the front."""

    def taking(names: Callable[[State, State], list[str]]) -> Callable[..., State]:
        def make(source: State, target: State) -> State:
            taken = names(source, target)
            return {k: source[k] if k in taken else v for k, v in target.items()}

        return make

    def layers(choose: Callable[[State, State], list[str]]) -> Callable[..., State]:
        return taking(lambda s, t: [k for k in t if _layer(k) in choose(s, t)])

    def entries(source: State, target: State) -> list[str]:
        return [k for k in target if k in source and source[k].shape == target[k].shape]

    def until(source: State, target: State) -> list[str]:
        names, fits = list(target), entries(source, target)
        return names[: next((i for i, k in enumerate(names) if k not in fits), None)]

    def one_behind(source: State, target: State) -> list[str]:
        order, taken = dict.fromkeys(map(_layer, target)), _from_front(source, target)
        skipped = [k for k in order if k not in taken][:1]
        return [k for k in order if k in _fitting(source, target) and k not in skipped]

    def by_count(source: State, target: State) -> State:
        made = layers(_from_front)(source, target)
        for name, tensor in target.items():
            if name not in source or source[name].numel() != tensor.numel():
                break
            made[name] = source[name].reshape(tensor.shape)
        return made

    trained = ("weight", "bias")
    mistakes = {
        "a layer behind the one that does not fit is copied: it would read numbers "
        "that it was not trained on": layers(one_behind),
        "every entry that fits is copied, even a bias whose weights do not fit: a "
        "layer is taken as a whole, and none behind the first misfit": taking(entries),
        "the walk stops within a layer: take back the entries of a layer that does "
        "not fit as a whole": taking(until),
        "compare shapes, not the number of elements: a reshaped filter is noise": (
            by_count
        ),
        "weights and biases only: a layer's running statistics and counter belong to "
        "it": taking(
            lambda s, t: [
                k
                for k in t
                if _layer(k) in _from_front(s, t) and k.rpartition(".")[2] in trained
            ]
        ),
        "weights only: a layer's other entries belong to it": taking(
            lambda s, t: [
                k for k in t if _layer(k) in _from_front(s, t) and "weight" in k
            ]
        ),
        "only the first layer is taken: go on while the layers fit": layers(
            lambda s, t: _from_front(s, t)[:1]
        ),
        "the last layer that fits is left out": layers(
            lambda s, t: _from_front(s, t)[:-1]
        ),
        "the head is left out although all layers fit: same shapes are taken": layers(
            lambda s, t: [k for k in _from_front(s, t) if k != _layer(list(t)[-1])]
        ),
        "nothing is taken: these are the target's tensors": lambda s, t: t,
        "these are the source's tensors: the shapes must be the target's": (
            lambda s, t: s
        ),
        "only the layers taken are here: the others keep the target's tensors": (
            lambda s, t: {k: s[k] for k in t if _layer(k) in _from_front(s, t)}
        ),
        "the layers that do not fit come from the source, and those that do from the "
        "target: exchange them": lambda s, t: {
            k: v if _layer(k) in _from_front(s, t) else s.get(k, v)
            for k, v in t.items()
        },
        "the rest is zero: it keeps the target's tensors": lambda s, t: {
            k: s[k] if _layer(k) in _from_front(s, t) else 0 * v for k, v in t.items()
        },
    }
    ask.each(_pairs(), layers(_from_front), mistakes)


def _table(joint: Tensor) -> Tensor:
    total = joint.sum(0)  # (z,)
    even = torch.full_like(joint, 1 / len(joint))
    return torch.where(total > 0, joint / total.clamp_min(1e-300), even)


def _labelled() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield source probabilities with labels, and new ones."""
    rng = torch.Generator().manual_seed(20262)

    def probs(n: int, z: int) -> Tensor:
        logits = 3 * torch.randn(n, z, generator=rng, dtype=torch.float64)
        return logits.softmax(1)

    def task(n: int, z: int, c: int, m: int = 3) -> tuple[Any, ...]:
        drawn = torch.randint(c, (n - c,), generator=rng)
        labels = torch.cat([torch.arange(c), drawn])
        return probs(n, z), labels, c, probs(m, z)

    yield "three classes on both sides", task(7, 3, 3)
    yield "four source classes, two target classes", task(9, 4, 2)
    yield "two source classes, five target classes", task(20, 2, 5, 6)
    renamed = F.one_hot(torch.tensor([0, 1, 2, 0, 1, 2]), 3).double()
    yield (
        "sure answers under other names",
        (
            0.94 * renamed + 0.02,
            torch.tensor([2, 0, 1, 2, 0, 1]),
            3,
            probs(4, 3),
        ),
    )
    old, labels, c, new = task(8, 3, 4)
    yield "a target class without a label", (old, labels.clamp_max(2), c, new)
    unused = old * torch.tensor([1.0, 1.0, 0.0]).double()
    unused = unused / unused.sum(1, keepdim=True)
    yield "a source class that no labelled picture uses", (unused, labels, c, new)
    yield "single precision", (old.float(), labels, c, new.float())


@exercise(points=3)
def label_table(ask: Ask) -> None:
    """Ask for target probabilities from a source network's answers and a table."""

    def joint(probs: Tensor, labels: Tensor, c: int) -> Tensor:
        return F.one_hot(labels, c).double().T @ probs.double() / len(labels)

    def reference(probs: Tensor, labels: Tensor, c: int, new: Tensor) -> Tensor:
        return new.double() @ _table(joint(probs, labels, c)).T

    def table(make: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
        return lambda p, y, c, x: x.double() @ make(joint(p, y, c)).T

    def hard(probs: Tensor) -> Tensor:
        return F.one_hot(probs.argmax(1), probs.shape[1]).double()

    mistakes: dict[str, Callable[..., Any]] = {
        "each row of the table adds to 1, which is P(z | y): divide by the sum over "
        "y, so that each column does": table(
            lambda j: j / j.sum(1, keepdim=True).clamp_min(1e-300)
        ),
        "the joint frequencies are used as they are: divide each column by its sum": (
            table(lambda j: j)
        ),
        "the sums over the pictures are used: divide each column by its sum": (
            lambda p, y, c, x: x.double() @ (joint(p, y, c) * len(y)).T
        ),
        "the table counts the likeliest source class: add up the probabilities": (
            lambda p, y, c, x: reference(hard(p), y, c, x)
        ),
        "the likeliest source class answers alone: weigh the columns by p_z(x)": (
            lambda p, y, c, x: reference(p, y, c, hard(x))
        ),
        "likeliest classes instead of probabilities, in the table and behind it": (
            lambda p, y, c, x: reference(hard(p), y, c, hard(x))
        ),
        "this is the source's answer: its names are not the target's": (
            lambda p, y, c, x: x
        ),
        "the new pictures are not used: these are the target classes' shares": (
            lambda p, y, c, x: joint(p, y, c).sum(1).expand(len(x), c)
        ),
        "these are the classes chosen: return probabilities": (
            lambda p, y, c, x: reference(p, y, c, x).argmax(1)
        ),
        "0 divided by 0: a source class that no labelled picture uses gets a column "
        "of 1 / c": table(lambda j: j / j.sum(0)),
        "the column of a source class that nobody uses is 0: it must be 1 / c": table(
            lambda j: j / j.sum(0).clamp_min(1e-9)
        ),
        "every cell of the table got 1 more: no smoothing was asked for": (
            lambda p, y, c, x: x.double() @ _table(joint(p, y, c) * len(y) + 1).T
        ),
        "each target class counts alike in the table: it weighs as many pictures as "
        "it has": table(lambda j: _table(j / j.sum(1, keepdim=True).clamp_min(1e-300))),
        "rows and columns of the answer are exchanged: one row a picture": (
            lambda p, y, c, x: reference(p, y, c, x).T
        ),
        "this is the table, not the answer for the new pictures": (
            lambda p, y, c, x: _table(joint(p, y, c))
        ),
        "a softmax at the end: the rows add to 1 already": (
            lambda p, y, c, x: reference(p, y, c, x).softmax(1)
        ),
        "labels count from 0": (lambda p, y, c, x: reference(p, (y - 1) % c, c, x)),
        "the labelled pictures are answered again: answer for the new ones": (
            lambda p, y, c, x: reference(p, y, c, p)
        ),
        "all columns are divided by one number: each has its own sum": table(
            lambda j: j / j.sum() * j.shape[1]
        ),
    }
    symptoms = {
        "the table is turned: its entry (y, z) belongs to target class y": (
            lambda came, p, y, c, x: (
                p.shape[1] == c
                and torch.allclose(came.double(), x.double() @ _table(joint(p, y, c)))
            )
        ),
        "each picture's probabilities must add to 1": (
            lambda came, *_: bool((came.sum(1) - 1).abs().max() > 1e-3)
        ),
    }
    ask.each(_labelled(), reference, mistakes, symptoms)


def _small_net() -> nn.Sequential:
    first = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU()
    return nn.Sequential(*first, nn.Linear(8, 3))


def _probed(
    state: State,
    inputs: Tensor,
    labels: Tensor,
    steps: int,
    *,
    change: Callable[[nn.Sequential], object] = lambda model: None,
    rate: float = 0.5,
    reduction: str = "mean",
    **options: Any,
) -> State:
    """Return the state after a probe, in evaluation mode unless something changes."""
    model = _small_net()
    model.load_state_dict(state)
    model.eval()[:-1].requires_grad_(False)
    change(model)
    sgd = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], rate, **options
    )
    with torch.enable_grad():
        for _ in range(steps):
            sgd.zero_grad()
            loss = F.cross_entropy(model(inputs), labels, reduction=reduction)
            loss.backward()  # type: ignore[no-untyped-call]
            sgd.step()
    return {k: v.detach() for k, v in model.state_dict().items()}


def _probes() -> Iterator[tuple[str, tuple[State, Tensor, Tensor, int]]]:
    rng = torch.Generator().manual_seed(20263)
    for asked, n, steps in (
        ("12 pictures, 8 steps", 12, 8),
        ("5 pictures, 3 steps", 5, 3),
        ("30 pictures, 10 steps", 30, 10),
        ("one step", 8, 1),
    ):
        state = {
            k: torch.randn(v.shape, generator=rng) / (1 + 2 * (v.dim() > 1))
            for k, v in _small_net().state_dict().items()
        }
        state["1.running_var"] = 0.5 + state["1.running_var"] ** 2
        state["1.num_batches_tracked"] = torch.tensor(40)
        inputs = 1 + 2 * torch.randn(n, 6, generator=rng)
        yield asked, (state, inputs, torch.randint(3, (n,), generator=rng), steps)


@exercise(points=3)
def frozen_probe(ask: Ask) -> None:
    """Ask for a probe whose body stays as it is, batch normalisation included."""

    def probe(change: Callable[[Any], object]) -> Callable[..., State]:
        return lambda *task: _probed(*task, change=change)

    def everything(model: nn.Sequential) -> None:
        model.requires_grad_(True)

    def restored(state: State, *task: Any) -> State:
        moved = _probed(state, *task, change=nn.Module.train)
        return {k: v if k.startswith("3") else state[k] for k, v in moved.items()}

    def with_start(start: Callable[[Tensor], Tensor]) -> Callable[..., State]:
        return lambda state, *task: _probed(
            {k: start(v) if k.startswith("3") else v for k, v in state.items()}, *task
        )

    def kept(entry: str) -> Callable[..., State]:
        return lambda state, *t: {**_probed(state, *t), entry: state[entry]}

    def longer(by: int) -> Callable[..., State]:
        return lambda state, x, y, steps: _probed(state, x, y, steps + by)

    mistakes: dict[str, Callable[..., Any]] = {
        "batch normalisation follows the new pictures: requires_grad = False does not "
        "stop it, evaluation mode does": probe(nn.Module.train),
        "batch normalisation's running statistics are put back, but the head was "
        "trained on features normalised by the batch": restored,
        "the body moves: only the head's weights go to the optimizer": probe(
            everything
        ),
        "everything moves, and batch normalisation follows the pictures": probe(
            lambda model: everything(model.train())
        ),
        "batch normalisation's weight and bias move: they belong to the body": probe(
            lambda model: model[1].requires_grad_(True)
        ),
        "no step was made: this is the state that was given": lambda state, *_: state,
        "the head's bias stays as it was: it is trained too": kept("3.bias"),
        "the head's weight stays as it was: it is trained too": kept("3.weight"),
        "one step is missing": longer(-1),
        "one step too many": longer(1),
        "one step only: make as many as asked": lambda state, x, y, steps: _probed(
            state, x, y, 1
        ),
        "the sum over the pictures is followed: take the mean": (
            lambda *task: _probed(*task, reduction="sum")
        ),
        "the head starts at zero: it must start at the source's": with_start(
            torch.zeros_like
        ),
        "the rate is 0.1 in yours: it must be 0.5": lambda *t: _probed(*t, rate=0.1),
        "the rate is 0.05 in yours: it must be 0.5": lambda *t: _probed(*t, rate=0.05),
        "momentum was not asked for": lambda *t: _probed(*t, momentum=0.9),
        "weight decay was not asked for": lambda *t: _probed(*t, weight_decay=0.01),
        "the gradient is climbed: step against it": lambda *t: _probed(
            *t, maximize=True
        ),
        "only the head is returned: return the whole state dict": lambda *t: {
            k: v for k, v in _probed(*t).items() if k.startswith("3")
        },
    }

    def moved(*entries: str) -> Callable[..., bool]:
        def shows(came: State, state: State, *_: Any) -> bool:
            return any(not torch.equal(came[k], state[k]) for k in entries)

        return shows

    symptoms = {
        "batch normalisation's running statistics moved: evaluation mode stops them": (
            moved("1.running_mean", "1.running_var", "1.num_batches_tracked")
        ),
        "the body's weights moved: they must stay as they came": moved(
            "0.weight", "0.bias", "1.weight", "1.bias"
        ),
    }
    ask.each(_probes(), _probed, mistakes, symptoms, tolerance=1e-4)


def _accuracies() -> Iterator[tuple[str, tuple[Array, Array]]]:
    """Yield validation and test accuracies: methods, rates, repetitions, labels."""
    rng = np.random.default_rng(20264)
    for asked, rates, repetitions, labels in (
        ("2 rates, 5 repetitions, 3 numbers of labels", 2, 5, 3),
        ("4 rates, 3 repetitions, 2 numbers of labels", 4, 3, 2),
        ("3 rates, 10 repetitions, 4 numbers of labels", 3, 10, 4),
        ("one rate", 1, 6, 2),
    ):
        shape = 2, rates, repetitions, labels
        level = 0.7 + 0.04 * rng.standard_normal((2, rates, 1, labels))
        luck = 0.05 * rng.standard_normal((1, 1, repetitions, labels))
        noise = 0.03 * rng.standard_normal((2, *shape))
        validation, test = np.clip(level + luck + noise, 0, 1)
        yield asked, (validation, test)


@exercise(points=2)
def gains(ask: Ask) -> None:
    """Ask for paired gains at rates that validation chose."""

    def chosen(judged: Array, test: Array) -> Array:
        best = judged.mean(2).argmax(1)  # (methods, labels)
        rows: Array = np.take_along_axis(test, best[:, None, None, :], 1)[:, 0]
        return rows  # (methods, repetitions, labels)

    def summary(
        test: Array, ddof: int = 1, quantile: float = 0.975, mean: bool = True
    ) -> dict[str, Array]:
        gain = test[1] - test[0]  # (repetitions, labels)
        n = len(gain)
        half = stats.t.ppf(quantile, n - 1) * gain.std(0, ddof=ddof)
        half = half / math.sqrt(n) if mean else half
        middle = gain.mean(0)
        return {"gain": middle, "low": middle - half, "high": middle + half}

    def reference(validation: Array, test: Array) -> dict[str, Array]:
        return summary(chosen(validation, test))

    def other(**options: Any) -> Callable[..., dict[str, Array]]:
        return lambda v, t: summary(chosen(v, t), **options)

    def half(factor: Callable[[Array], Any]) -> Callable[..., dict[str, Array]]:
        def make(validation: Array, test: Array) -> dict[str, Array]:
            rows = chosen(validation, test)
            middle, wide = (rows[1] - rows[0]).mean(0), factor(rows)
            return {"gain": middle, "low": middle - wide, "high": middle + wide}

        return make

    def one_rate(validation: Array, test: Array) -> dict[str, Array]:
        best = validation.mean((0, 2)).argmax(0)  # (labels,)
        return summary(np.take_along_axis(test, best[None, None, None], 1)[:, 0])

    def for_all_labels(validation: Array, test: Array) -> dict[str, Array]:
        best = validation.mean((2, 3)).argmax(1)  # (methods,)
        return summary(test[[0, 1], best])

    def each_its_own(judged: Array, test: Array) -> dict[str, Array]:
        best = judged.argmax(1)[:, None]  # (methods, 1, repetitions, labels)
        return summary(np.take_along_axis(test, best, 1)[:, 0])

    def first(validation: Array, test: Array) -> dict[str, Array]:
        return summary(chosen(validation[:, :, :1], test))

    def normal(rows: Array) -> Any:
        gain = rows[1] - rows[0]
        return 1.96 * gain.std(0, ddof=1) / math.sqrt(len(gain))

    def unpaired(rows: Array) -> Any:
        n = rows.shape[1]
        wide = np.sqrt(rows.var(1, ddof=1).sum(0) / n)
        return stats.t.ppf(0.975, n - 1) * wide

    def unpaired_more(rows: Array) -> Any:
        n = rows.shape[1]
        wide = np.sqrt(rows.var(1, ddof=1).sum(0) / n)
        return stats.t.ppf(0.975, 2 * n - 2) * wide

    not_paired = "not paired: take the differences within a repetition, then their "
    mistakes = {
        "the rate is chosen on the test: choose it on validation": (
            lambda v, t: summary(chosen(t, t))
        ),
        "validation accuracies are reported: they chose the rate, report the test's": (
            lambda v, t: summary(chosen(v, v))
        ),
        "the best test accuracy of each repetition is taken: choose on validation": (
            lambda v, t: each_its_own(t, t)
        ),
        "each repetition has its own rate: choose one by the mean over repetitions": (
            each_its_own
        ),
        "the first repetition alone chooses: take the mean over all": first,
        "both methods share a rate: each chooses its own": one_rate,
        "all numbers of labels share a rate: choose anew for each": for_all_labels,
        "no rate is chosen: this is the mean over all": (
            lambda v, t: summary(t.mean(1))
        ),
        "always the first rate: choose by validation": lambda v, t: summary(t[:, 0]),
        "always the last rate: choose by validation": lambda v, t: summary(t[:, -1]),
        "the worst rate is chosen: take the largest validation accuracy": (
            lambda v, t: summary(chosen(-v, t))
        ),
        "scratch minus transfer: the gain is transfer minus scratch": (
            lambda v, t: summary(chosen(v, t)[::-1])
        ),
        f"{not_paired}interval": half(unpaired),
        f"{not_paired}interval, with n - 1 degrees": half(unpaired_more),
        "the deviation divides by n: with few repetitions divide by n - 1": other(
            ddof=0
        ),
        "1.96 belongs to many repetitions: take Student's t for n - 1 degrees": half(
            normal
        ),
        "the interval of one repetition: divide by the root of n for a mean": other(
            mean=False
        ),
        "one-sided: 95 % in the middle leave 2.5 % on each side": other(quantile=0.95),
        "this is one standard error on each side: times Student's t": half(
            lambda r: (r[1] - r[0]).std(0, ddof=1) / math.sqrt(r.shape[1])
        ),
        "low and high are exchanged": lambda v, t: {
            "gain": reference(v, t)["gain"],
            "low": reference(v, t)["high"],
            "high": reference(v, t)["low"],
        },
    }
    ask.each(_accuracies(), reference, mistakes)


def _plan() -> nn.Sequential:
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))


def _two_domains(seed: int, labels: int) -> tuple[list[Tensor], list[Tensor]]:
    """Return what is given, and what is kept: unseen source and target examples."""
    rng = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(20, 20, generator=rng))[0][:, :2]  # (20, 2)

    def draw(n: int, angle: float) -> tuple[Tensor, Tensor]:
        noise = torch.randn(n, 20, generator=rng)
        place = noise @ axes  # (n, 2): its quadrant is the class
        sin, cos = math.sin(angle), math.cos(angle)
        wide = place + 0.7 * place.sign()
        turned = wide @ torch.tensor([[cos, -sin], [sin, cos]])
        quadrant = 2 * (place[:, 0] > 0).long() + (place[:, 1] > 0).long()
        return noise + (turned - place) @ axes.T, quadrant

    source, unseen, test = draw(400, 0.0), draw(500, 0.0), draw(1000, 0.6)
    x, y = draw(400, 0.6)
    rows = torch.cat([(y == c).nonzero()[:labels, 0] for c in range(4)])
    return [*source, x[rows], y[rows]], [*unseen, *test]


@exercise(points=4)
def three_starts(ask: Ask) -> None:
    """Ask for networks after parameter, feature and structure transfer."""
    for seed in (20265, 20266):
        given, kept = _two_domains(seed, labels=2)
        asked = f"{'first' if seed == 20265 else 'second'} pair of domains"
        _judge_starts(asked, ask.call(asked, given), given, kept)


def _judge_starts(
    asked: str, came: Any, given: list[Tensor], kept: list[Tensor]
) -> None:
    """Raise `Wrong` for the first thing that does not hold of four networks."""
    names = ("source", "scratch", "feature", "parameter")
    must, models = f"a dict of state dicts {', '.join(names)}", {}
    if not isinstance(came, dict) or set(came) != set(names):
        raise Wrong(asked, must, show(came)[:200], "keep these four names")
    for name in names:
        models[name] = _plan()
        try:
            models[name].load_state_dict(came[name])
        except Exception as error:
            hint = f"{name!r} must be the state_dict() of a network of plan()"
            raise Wrong(asked, must, str(error)[:200], hint) from None

    def need(holds: bool, expected: str, value: object, hint: str) -> None:
        if not holds:
            raise Wrong(asked, expected, str(value), hint)

    def right(name: str, x: Tensor, y: Tensor) -> float:
        with torch.no_grad():
            return float((models[name](x).argmax(1) == y).double().mean())

    def apart(first: str, second: str, entry: str = "0.weight") -> float:
        a, b = (models[k].state_dict()[entry].double() for k in (first, second))
        return float((a - b).norm())

    unseen, test, own = kept[:2], kept[2:], given[2:]
    entries = list(_plan().state_dict())
    for name in names[1:]:
        need(
            any(apart("source", name, entry) > 0 for entry in entries),
            f"'source' and {name!r} differ",
            "equal networks",
            "one network under two names: train a copy.deepcopy of the source, as "
            "state_dict() holds the very tensors that training moves on",
        )
    reached = right("source", *unseen)
    need(
        reached >= 0.9,
        "a source network that is right in 0.9 of unseen source examples",
        f"{reached:.3f}",
        "train the source network on the source's examples only, and long enough",
    )
    still = [k for k in ("0.weight", "0.bias") if apart("source", "feature", k) == 0]
    need(
        len(still) == 2,
        "the body of 'feature' equals the source's, bit by bit",
        "other weights",
        "in feature transfer the optimizer gets the head's weights only",
    )
    frozen = [k for k in entries if apart("source", "parameter", k) == 0]
    need(
        not frozen,
        "all weights of 'parameter' moved",
        f"{', '.join(frozen)} stayed",
        "parameter transfer may change all weights: did a freeze stay on a copy, or "
        "does the optimizer hold another network's weights?",
    )
    away = apart("parameter", "source") / max(apart("scratch", "source"), 1e-9)
    first, second = (came[k]["0.weight"].double().flatten() for k in names[:2])
    alike = F.cosine_similarity(first, second, dim=0)
    need(
        alike.item() < 0.6,
        "a 'scratch' that knows nothing of the source",
        f"first layers of cosine {alike:.2f}",
        "scratch starts at new random weights, not at the source's",
    )
    need(
        away < 0.7,
        "'parameter' at less than 0.7 of 'scratch's distance from the source",
        f"{away:.2f} of it",
        "parameter transfer starts at the source's weights; and a short walk is enough",
    )
    for name in names[1:]:
        fitted = right(name, *own)
        need(
            fitted >= 0.9,
            f"{name!r} right in 0.9 of its own labelled examples",
            f"{fitted:.3f}",
            f"train {name!r} on the target's examples, and longer",
        )
    for name in ("feature", "parameter"):
        reached = right(name, *test)
        need(
            reached >= 0.8,
            f"{name!r} right in 0.8 of new target examples",
            f"{reached:.3f}",
            "smaller steps, or fewer: the start is good and labels are few",
        )
    gain = right("parameter", *test) - right("scratch", *test)
    need(
        gain >= 0.05,
        "a gain of 0.05 over scratch on new target examples",
        f"{gain:.3f}",
        "scratch may see the few labelled target examples only",
    )


where_to_spend = open_question(points=4)
