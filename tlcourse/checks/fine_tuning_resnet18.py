"""Checks of the exercises of the chapter on fine-tuning ResNet18."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from tlcourse.checks._asking import Ask, digest, exercise, open_question

__all__ = [
    "batch_norm",
    "choose_rate",
    "costs",
    "fine_tune",
    "heat_inside",
    "two_cameras",
    "what_changed",
]

State: TypeAlias = dict[str, Tensor]


@exercise(points=2)
def what_changed(ask: Ask) -> None:
    """Ask which tensors of a body change that was frozen by halves."""
    right = {
        "convolution's weights": "82fd82ecef2c",
        "normalisation's scale and offset": "b36918bd5407",
        "running mean and variance": "861b239257f0",
        "head's weights": "47dffb8e8fe5",
        "cure": "21d290bbaddc",
    }
    learns = "a tensor without a gradient is not in reach of the optimizer"
    passes = "running averages need no gradient: each pass in training mode moves them"
    said = {
        "convolution's weights": learns,
        "normalisation's scale and offset": learns,
        "running mean and variance": passes,
        "head's weights": "the head is what was trained",
    }
    hints = {digest(key, c): hint for key, hint in said.items() for c in "CS"}
    cures = {
        "E": "no_grad keeps gradients away, and running averages need none",
        "F": "that was done already, and the averages moved all the same",
        "G": "model.train() puts the body back into training mode: when is yours run?",
        "H": "a small rate slows the head; the averages know no rate",
        "C": "the cure is one of the lines E to I",
        "S": "the cure is one of the lines E to I",
    }
    hints |= {digest("cure", c): hint for c, hint in cures.items()}
    letter = "choose C or S for a tensor, E to I for the cure"
    hints |= {digest(key, c): letter for key in said for c in "EFGHI"}
    ask.choices(right, "CSEFGHI", hints)


@exercise(points=2)
def costs(ask: Ask) -> None:
    """Ask for memory, time and rates that can be known before a run."""
    everything = {
        "these are the gradients alone: Adam keeps two averages as well": 40.0,
        "two numbers a weight: there is a gradient, and Adam keeps two averages": 80.0,
        "the weights themselves are not asked for": 160.0,
        "these are numbers, not bytes: a float32 number has four bytes": 30.0,
        "this is one number a weight, and not in bytes": 10.0,
        "these are bytes: divide by a million": 120e6,
    }
    top = {
        "what is frozen has no gradient and no averages": 120.0,
        "these are the gradients alone: Adam keeps two averages as well": 10.0,
        "two numbers a weight: there is a gradient, and Adam keeps two averages": 20.0,
        "the weights themselves are not asked for": 40.0,
        "this is what the frozen part would need": 90.0,
        "these are numbers, not bytes: a float32 number has four bytes": 7.5,
        "these are bytes: divide by a million": 30e6,
    }
    stored = {
        "the head's time is missing after storing: 50 epochs of it remain": 1505 / 30,
        "this is the number of epochs, a bound: the head takes time as well": 50.0,
        "the features must be computed once before they can be stored": 1505 / 5,
        "the head's time is missing before storing": 1500 / 35,
        "this is how long the stored way takes, in seconds": 35.0,
        "this is the saving in seconds: divide one time by the other": 1470.0,
        "the ratio is upside down: how many times as long?": 35 / 1505,
    }
    lower = {
        "one stage too far: the exponent is 6 - 2": 32.0,
        "one stage too few: the exponent is 6 - 2": 8.0,
        "this is the exponent, 6 - 2: raise 2 to its power": 4.0,
        "the ratio is upside down: how many times as large?": 1 / 16,
        "the rate is halved at each stage on the way, not once": 2.0,
    }
    expected = {"full": 120.0, "top": 30.0, "stored": 43.0, "layer-wise": 16.0}
    mistakes = (everything, top, stored, lower)
    ask.numbers(expected, dict(zip(expected, mistakes, strict=True)))


def _descend(
    stages: Mapping[int, Tensor],
    inputs: Tensor,
    labels: Tensor,
    rates: Sequence[float],
    steps: int,
    *,
    relu_last: bool = False,
    relu: bool = True,
    total: bool = False,
) -> dict[int, Tensor]:
    """Return the stages after gradient descent with a rate for each of them."""
    weights = [stages[j].clone().requires_grad_() for j in sorted(stages)]
    for _ in range(steps):
        x = inputs
        for j, w in enumerate(weights):
            x = x @ w
            if relu_last if j == len(weights) - 1 else relu:
                x = x.relu()
        loss = -x.log_softmax(1).gather(1, labels[:, None])
        grads = torch.autograd.grad(loss.sum() if total else loss.mean(), weights)
        with torch.no_grad():
            for w, grad, rate in zip(weights, grads, rates, strict=True):
                w -= rate * grad
    return {j: w.detach() for j, w in enumerate(weights, 1)}


def _chains() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield small networks in stages, data, a cut, rates and numbers of steps."""
    rng = torch.Generator().manual_seed(20267)
    for asked, sizes, cut, decay, steps in (
        ("five stages, two of them frozen", (5, 6, 6, 5, 5, 3), 2, 0.5, 3),
        ("full fine-tuning, four stages", (4, 6, 5, 4, 2), 0, 0.6, 4),
        ("a probe", (4, 8, 3), 1, 1.0, 5),
        ("equal rates", (6, 5, 5, 3), 0, 1.0, 2),
        ("one step", (3, 6, 4, 2), 1, 0.3, 1),
    ):
        stages = {
            j: 0.8 * torch.randn(a, b, generator=rng).double()
            for j, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False), 1)
        }
        inputs = torch.randn(12, sizes[0], generator=rng).double()
        labels = torch.randint(sizes[-1], (12,), generator=rng)
        yield asked, (stages, inputs, labels, cut, 0.2, decay, steps)


@exercise(points=3)
def fine_tune(ask: Ask) -> None:
    """Ask for training above a cut, with layer-wise rates."""

    def rated(
        factor: Callable[[int, int, float], float], shift: int = 0
    ) -> Callable[..., list[float]]:
        return lambda k, cut, rate, decay: [
            rate * factor(k, j, decay) * (j > cut + shift) for j in range(1, k + 1)
        ]

    def usual(k: int, j: int, decay: float) -> float:
        return decay ** (k - j)

    def trained(
        rates: Callable[..., list[float]] | None = None,
        more: int = 0,
        **changed: bool,
    ) -> Callable[..., dict[int, Tensor]]:
        def found(
            stages: dict[int, Tensor],
            x: Tensor,
            y: Tensor,
            cut: int,
            rate: float,
            decay: float,
            steps: int,
        ) -> dict[int, Tensor]:
            each = (rates or rated(usual))(len(stages), cut, rate, decay)
            return _descend(stages, x, y, each, steps + more, **changed)

        return found

    mistakes: dict[str, Callable[..., Any]] = {
        "nothing is frozen: the stages below the cut stay as they are": trained(
            rated(usual, -99)
        ),
        "one stage too many is frozen: the first `cut` stages stay": trained(
            rated(usual, 1)
        ),
        "one stage too few is frozen: the first `cut` stages stay": trained(
            rated(usual, -1)
        ),
        "what lies below the cut is trained, and the rest frozen": trained(
            lambda k, cut, rate, decay: [
                rate * decay ** (k - j) * (j <= cut) for j in range(1, k + 1)
            ]
        ),
        "only the head is trained: all stages above the cut are": trained(
            lambda k, cut, rate, decay: [rate * (j == k) for j in range(1, k + 1)]
        ),
        "decay is not used: stage j of J has rate * decay^(J - j)": trained(
            rated(lambda k, j, d: 1.0)
        ),
        "the rates fall towards the head: the head has the largest": trained(
            rated(lambda k, j, d: d ** (j - 1))
        ),
        "the head's rate is decayed, too: its exponent is 0": trained(
            rated(lambda k, j, d: d ** (k - j + 1))
        ),
        "the rate falls as decay times the distance: it must be a power": trained(
            rated(lambda k, j, d: d * (k - j) if k > j else 1.0)
        ),
        "all stages below the head have one rate: it falls from stage to stage": (
            trained(rated(lambda k, j, d: d if k > j else 1.0))
        ),
        "the weights climb: subtract the gradient": trained(
            rated(lambda k, j, d: -(d ** (k - j)))
        ),
        "the loss sums over the examples: take the mean": trained(total=True),
        "one step too many": trained(more=1),
        "one step too few": trained(more=-1),
        "there is a ReLU behind the head: logits may be negative": trained(
            relu_last=True
        ),
        "there is no ReLU between the stages": trained(relu=False),
        "nothing has moved: are the updated weights returned?": trained(
            rated(lambda k, j, d: 0.0)
        ),
    }

    ask.each(_chains(), trained(), mistakes)


def _normal(
    x: Tensor,
    state: Mapping[str, Tensor],
    training: bool,
    *,
    axes: tuple[int, ...] = (0, 2, 3),
    batch: bool | None = None,
    moves: bool | None = None,
    new: float = 0.1,
    unbiased: tuple[bool, bool] = (False, True),
    eps: float = 1e-5,
    form: str = "",
) -> State:
    """Return batch normalisation's output and averages, rightly or with a mistake."""
    x, s = x.double(), {k: v.double() for k, v in state.items()}

    def shaped(v: Tensor) -> Tensor:
        return v[:, None, None]

    step = new if (training if moves is None else moves) else 0.0
    whole = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=int(unbiased[1]))
    found = {}
    for key, value in zip(("running_mean", "running_var"), whole, strict=True):
        found[key] = (1 - step) * s[key] + step * value
    used = found if form == "updated" else s
    mean, var = shaped(used["running_mean"]), shaped(used["running_var"])
    if form != "updated" and (training if batch is None else batch):
        mean = x.mean(axes, keepdim=True)
        n = x.numel() // mean.numel() - unbiased[0]
        var = (x - mean).square().sum(axes, keepdim=True) / n
    root = {"std": var + eps, "outside": var.sqrt() + eps}
    z = (x - mean) / root.get(form, (var + eps).sqrt())
    if form != "plain":
        z = z * shaped(s["weight"]) + shaped(s["bias"])
    return {"output": z} | found


def _layers() -> Iterator[tuple[str, tuple[Tensor, State, bool]]]:
    """Yield maps, the state of a normalisation, and the mode."""
    rng = torch.Generator().manual_seed(20268)
    faint = "channels with hardly any contrast, the first one black"
    for asked, shape, training in (
        ("training mode", (4, 3, 2, 2), True),
        ("evaluation mode", (4, 3, 2, 2), False),
        ("training mode, two pictures", (2, 2, 3, 1), True),
        ("one picture in evaluation mode", (1, 4, 2, 3), False),
        ("training mode, single precision", (6, 2, 2, 2), True),
        (f"training mode, {faint}", (4, 3, 2, 2), True),
        (f"evaluation mode, {faint}", (3, 3, 2, 2), False),
    ):
        x = 2 * torch.randn(shape, generator=rng).double() + 3
        one = [torch.rand(shape[1], generator=rng).double() for _ in range(4)]
        names = "weight", "bias", "running_mean", "running_var"
        state = {k: v + 0.5 for k, v in zip(names, one, strict=True)}
        if faint in asked:
            x, state["running_var"] = 0.01 * x, 1e-4 * state["running_var"]
            x[:, 0] = 0.0
        if "single" in asked:
            x, state = x.float(), {k: v.float() for k, v in state.items()}
        yield asked, (x, state, training)


@exercise(points=3)
def batch_norm(ask: Ask) -> None:
    """Ask for batch normalisation in both modes, with its running averages."""

    def other(**changed: Any) -> Callable[..., State]:
        return lambda x, state, training: _normal(x, state, training, **changed)

    mistakes = {
        "the batch is used in evaluation mode: take the running averages": other(
            batch=True
        ),
        "the running averages are used in training mode: take the batch": other(
            batch=False
        ),
        "the running averages move in evaluation mode: nothing may change then": other(
            moves=True
        ),
        "the batch is used and the averages move, whatever the mode": other(
            batch=True, moves=True
        ),
        "the running averages stand still in training mode": other(moves=False),
        "old and new are exchanged: 0.9 of the old, 0.1 of the batch": other(new=0.9),
        "the old averages are thrown away: keep 0.9 of them": other(new=1.0),
        "the output's variance divides by n, yours by n - 1": other(
            unbiased=(True, True)
        ),
        "the running variance takes the batch's with n - 1, yours with n": other(
            unbiased=(False, False)
        ),
        "the two variances are exchanged: n for the output, n - 1 for the average": (
            other(unbiased=(True, False))
        ),
        "eps is missing: it belongs to the variance, under the root": other(eps=0.0),
        "eps stands outside the root: add it to the variance": other(form="outside"),
        "divided by the variance: divide by its root": other(form="std"),
        "weight and bias are missing": other(form="plain"),
        "each place has its own statistics: take a channel's over all places": other(
            axes=(0,)
        ),
        "each picture has its own statistics: take a channel's over the batch": other(
            axes=(2, 3)
        ),
        "the modes are exchanged": lambda x, s, t: _normal(x, s, not t),
        "the updated running averages are used in training mode: take the batch": (
            other(form="updated")
        ),
    }
    ask.each(_layers(), _normal, mistakes)


def _maps() -> Iterator[tuple[str, tuple[Tensor, Tensor, Tensor]]]:
    """Yield feature maps, slopes of a score, and masks of the animal."""
    rng = torch.Generator().manual_seed(20269)
    for asked, (n, m, h, w) in (
        ("three pictures", (3, 4, 3, 3)),
        ("maps that are not square", (2, 5, 2, 4)),
        ("many channels", (4, 32, 3, 3)),
        ("a picture without any heat", (3, 3, 3, 2)),
    ):
        maps = torch.rand(n, m, h, w, generator=rng).double()
        slopes = torch.randn(n, m, h, w, generator=rng).double() + 0.1
        if "without" in asked:
            slopes[0] = -slopes[0].abs()
        masks = torch.rand(n, h, w, generator=rng) < 0.4
        masks[:, 0, 0], masks[:, -1, -1] = True, False
        yield asked, (maps, slopes, masks)


@exercise(points=2)
def heat_inside(ask: Ask) -> None:
    """Ask for Grad-CAM's map, and for the share of its heat on the animal."""

    def share(heat: Tensor, mask: Tensor) -> Tensor:
        whole = heat.sum((1, 2))
        on = (heat * mask).sum((1, 2))
        return torch.where(whole == 0, torch.zeros_like(on), on / whole)

    def mapped(make: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., State]:
        def found(maps: Tensor, slopes: Tensor, mask: Tensor) -> State:
            heat = make(maps, slopes)
            return {"heat": heat, "inside": share(heat, mask)}

        return found

    def alpha(slopes: Tensor) -> Tensor:
        return slopes.mean((2, 3), keepdim=True)

    reference = mapped(lambda a, s: (alpha(s) * a).sum(1).relu())

    def scored(make: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., State]:
        def found(maps: Tensor, slopes: Tensor, mask: Tensor) -> State:
            right = reference(maps, slopes, mask)
            return right | {"inside": make(right["heat"], mask)}

        return found

    mistakes = {
        "the ReLU is missing: only what is positive counts": mapped(
            lambda a, s: (alpha(s) * a).sum(1)
        ),
        "what is negative is dropped before the sum: add first, then the ReLU": mapped(
            lambda a, s: (alpha(s) * a).relu().sum(1)
        ),
        "the weights are sums of slopes: take the mean over the places": mapped(
            lambda a, s: (s.sum((2, 3), keepdim=True) * a).sum(1).relu()
        ),
        "the slopes are not averaged: each map has one weight": mapped(
            lambda a, s: (s * a).sum(1).relu()
        ),
        "the slopes are missing: weigh each map by its mean slope": mapped(
            lambda a, s: a.sum(1).relu()
        ),
        "the mean over the maps: add them": mapped(
            lambda a, s: (alpha(s) * a).mean(1).relu()
        ),
        "the maps are missing: the weights belong to them": mapped(
            lambda a, s: s.mean(1).relu()
        ),
        "the slopes' sizes are taken, their signs lost": mapped(
            lambda a, s: (alpha(s).abs() * a).sum(1).relu()
        ),
        "the absolute value in place of the ReLU": mapped(
            lambda a, s: (alpha(s) * a).sum(1).abs()
        ),
        "the heat is divided by its largest value, which was not asked for": mapped(
            lambda a, s: (
                (h := (alpha(s) * a).sum(1).relu())
                / h.amax((1, 2), keepdim=True).clamp_min(1e-12)
            )
        ),
        "'inside' is the area of the animal, the chance level: weigh by heat": scored(
            lambda h, m: m.double().mean((1, 2))
        ),
        "'inside' is the heat outside the animal": scored(lambda h, m: share(h, ~m)),
        "'inside' is the heat on the animal: divide by all heat": scored(
            lambda h, m: (h * m).sum((1, 2))
        ),
        "'inside' divides by the animal's area: divide by all heat": scored(
            lambda h, m: (h * m).sum((1, 2)) / m.sum((1, 2))
        ),
        "'inside' counts places with heat: weigh them by their heat": scored(
            lambda h, m: share((h > 0).double(), m)
        ),
        "'inside' mixes all pictures: each has a share of its own": scored(
            lambda h, m: (h * m).sum() / h.sum() * torch.ones(len(h)).double()
        ),
    }
    ask.each(_maps(), reference, mistakes)


@functools.lru_cache(maxsize=64)  # most mistakes share their heads
def _heads(
    rates: tuple[float, ...], x: Tensor, y: Tensor, steps: int, on: bool
) -> Tensor:
    """Return a head for each rate; `on` goes on where the last one ended."""
    start = torch.zeros(1, x.shape[1], 2, dtype=torch.float64)
    found = []
    for some in [[rate] for rate in rates] if on else [rates]:
        weights, rate = start, torch.tensor(some, dtype=torch.float64)[:, None, None]
        for _ in range(steps):
            wrong = (x @ weights).softmax(2) - torch.eye(2, dtype=torch.float64)[y]
            weights = weights - rate * (x.T @ wrong) / len(x)
        start = weights if on else start
        found.append(weights)
    return torch.cat(found)


def _right(heads: Tensor, part: State) -> Tensor:
    guessed = (part["features"] @ heads).argmax(2)  # (rates, n)
    return guessed.eq(part["labels"]).double().mean(1)


def _trials() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield stored features, on which train, validation and test disagree."""
    for asked, seed, rates in (
        ("four rates", 408, [0.003, 0.03, 0.3, 3.0]),
        ("rates in falling order", 559, [3.0, 0.3, 0.03, 0.003]),
        ("five rates in no order", 1799, [0.1, 3.0, 0.01, 1.0, 0.001]),
        ("two rates that do equally well", 78, [1.0, 0.1, 0.01]),
    ):
        yield asked, (rates, *_drawn(seed))


def _drawn(seed: int) -> tuple[State, ...]:
    """Return few pictures to train on, a fifth mislabelled, and two more sets."""
    rng = torch.Generator().manual_seed(seed)
    slope = torch.randn(12, generator=rng).double()
    parts = []
    for n, wrong in ((40, 0.2), (50, 0.0), (60, 0.0)):
        x = torch.randn(n, 12, generator=rng).double()
        x[:, 0] *= 5  # of no use, and loud
        y = (x[:, 1:] @ slope[1:] > 0).long()
        flip = torch.rand(n, generator=rng) < wrong
        parts.append({"features": x, "labels": torch.where(flip, 1 - y, y)})
    return tuple(parts)


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones_like(x[:, :1])], 1) if x.dim() == 2 else x


@exercise(points=4)
def choose_rate(ask: Ask) -> None:
    """Ask for a rate chosen on validation pictures, and one look at the test."""

    def chosen(
        pick: Callable[..., int] | None = None,
        report: Callable[..., Tensor] = lambda r, k: r[2][k],
        steps: int = 50,
        on: bool = False,
        shown: int = 1,
        times: int = 1,
    ) -> Callable[..., dict[str, Any]]:
        def found(rates: Sequence[float], *parts: State) -> dict[str, Any]:
            scaled = tuple(times * rate for rate in rates)
            heads = _heads(scaled, *parts[0].values(), steps, on)
            right = [_right(heads, part) for part in parts]
            k = (pick or first(1))(rates, right)
            out = {"validation": right[shown], "rate": rates[k]}
            return out | {"test": report(right, k)}

        return found

    def first(part: int, sign: int = 1) -> Callable[..., int]:
        def best(rates: Sequence[float], right: Sequence[Tensor]) -> int:
            key = [
                (float(a), -sign * r) for a, r in zip(right[part], rates, strict=True)
            ]
            return max(range(len(key)), key=key.__getitem__)

        return best

    mistakes = {
        "the rate is chosen on the test: choose on validation": chosen(first(2)),
        "the rate is chosen on the pictures that were trained on": chosen(first(0)),
        "of two equally good rates the smaller is asked for": chosen(first(1, -1)),
        "the worst rate is chosen": chosen(
            lambda rates, right: int((-right[1]).argmax())
        ),
        "always the first rate": chosen(lambda *_: 0),
        "always the last rate": chosen(lambda rates, _: len(rates) - 1),
        "always the largest rate": chosen(lambda rates, _: rates.index(max(rates))),
        "always the smallest rate": chosen(lambda rates, _: rates.index(min(rates))),
        "'test' is the validation accuracy of the chosen rate, which flatters": chosen(
            report=lambda r, k: r[1][k]
        ),
        "'test' is the best of all test accuracies: look at the chosen one's": chosen(
            report=lambda r, k: r[2].max()
        ),
        "'test' is the mean over all rates: look at the chosen one's": chosen(
            report=lambda r, k: r[2].mean()
        ),
        "'test' is the accuracy on what was trained on": chosen(
            report=lambda r, k: r[0][k]
        ),
        "chosen on the test, and validation reported": chosen(
            first(2), report=lambda r, k: r[1][k]
        ),
        "each head goes on from the last one: each starts at zero": chosen(on=True),
        "these are test accuracies under the name of validation": chosen(shown=2),
        "these are accuracies of training under the name of validation": chosen(
            shown=0
        ),
        "the loss sums over the examples: take the mean": chosen(times=40),
        "there is a bias: the head has none": lambda r, *parts: chosen()(
            r, *({k: _with_one(v) for k, v in part.items()} for part in parts)
        ),
        "one step too few": chosen(steps=49),
        "one step too many": chosen(steps=51),
        "a percentage: accuracies are fractions": lambda *t: {
            k: v * 100 if k != "rate" else v for k, v in chosen()(*t).items()
        },
        "validation and test are exchanged": lambda r, a, b, c: chosen()(r, a, c, b),
        "trained on validation pictures": lambda r, a, b, c: chosen()(r, b, b, c),
        "trained on training and validation pictures together": lambda r, a, b, c: (
            chosen()(r, {k: torch.cat([a[k], b[k]]) for k in a}, b, c)
        ),
    }
    ask.each(_trials(), chosen(), mistakes)


two_cameras = open_question(points=4)
