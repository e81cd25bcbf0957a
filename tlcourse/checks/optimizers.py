"""Checks of the exercises of the chapter on optimizers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tlcourse.checks._asking import (
    Ask,
    Wrong,
    digest,
    exercise,
    open_question,
    same,
    show,
)

__all__ = [
    "adamw",
    "momentum_path",
    "rates_of_run",
    "six_numbers",
    "stop_in_time",
    "sweep",
    "which_cause",
]

Array: TypeAlias = npt.NDArray[Any]
Values: TypeAlias = dict[str, Any]


@exercise(points=2)
def six_numbers(ask: Ask) -> None:
    """Ask for an edge, a factor, and what momentum, batch, schedule and Adam do."""
    mistakes: dict[str, dict[str, float]] = {
        "edge": {
            "1 / curvature leads to the bottom in one step; the edge is twice that": (
                1.25
            ),
            "multiplied by the curvature: divide by it": 1.6,
            "turned upside down: 2 divided by the curvature": 0.4,
            "the largest curvature sets the edge, not the smallest": 100.0,
            "this is the best rate for both directions, not the edge": 2 / 0.82,
            "this is the curvature: the edge is 2 divided by it": 0.8,
        },
        "crossing": {
            "the sign is missing: each step crosses the valley": 0.6,
            "this is the factor along the flattest direction": 0.96,
            "the rate is missing: 1 minus rate times curvature": 0.2,
            "this is rate times curvature: take it from 1": 1.6,
            "the curvature is missing: 1 minus rate times curvature": -1.0,
            "the step goes downhill: take rate times curvature from 1": 2.6,
        },
        "momentum": {
            "only two gradients are added up here: go on to the limit": 1.95,
            "this is the geometric series without its first term": 0.95 / 0.05,
            "divide by 1 - mu, not by mu": 1 / 0.95,
            "turned upside down: 1 divided by 1 - mu": 0.05,
            "this is the factor for a momentum of 0.9": 10.0,
            "mu is the share that the buffer keeps; add up the whole series": 0.95,
        },
        "batch": {
            "the error falls with the root of the batch size, not with the size": 64.0,
            "a smaller error needs a larger batch": 1.0,
            "this is the factor: multiply it by the batch of 16": 16.0,
            "the error falls with the root of the size, so square the factor": 32.0,
            "this is the ratio of the errors: square it, and multiply by 16": 4.0,
            "the ratio is raised to the power of 3: square it": 1024.0,
        },
        "worth": {
            "these are the calls at the first rate: the later ones count as well": 5.0,
            "each rate is used five times": 1.25,
            "divide by 1 - gamma, not by gamma": 25.0,
            "only two rates are added up here: go on to the limit": 6.0,
            "this is how often the rate falls": 600.0,
            "this would be the sum without a schedule": 3000.0,
            "gamma is what is left of a rate: divide by 1 - gamma": 5 * 0.8,
        },
        "uncorrected": {
            "with the correction it is 1: what do the hats divide by at t = 1?": 1.0,
            "take the root of the second moment": 125.0,
            "the first moment is 0.2 of the gradient; the second has a share too": 0.2,
            "the new gradient's share is 1 - beta, not beta": 0.8 / math.sqrt(0.9984),
            "the first moment starts at 0 too: it is 0.2 of the gradient": 25.0,
            "the second moment's share is 1 - beta_2: take the root of that": 0.2
            / math.sqrt(0.9984),
            "the root belongs to the second moment only": math.sqrt(0.2) / 0.04,
        },
    }
    expected = {"edge": 2.5, "crossing": -0.6, "momentum": 20.0, "batch": 256.0}
    ask.numbers(expected | {"worth": 6.25, "uncorrected": 5.0}, mistakes)


@exercise(points=2)
def which_cause(ask: Ask) -> None:
    """Ask what lies behind seven ways in which a training goes wrong."""
    right = {
        "explodes": "69b3efdded2d",
        "freezes": "f55ac6819d20",
        "leaps": "8442db2b477f",
        "hovers": "f0535b122ed2",
        "starves": "260f53f02c7d",
        "forgets": "198a6d80574f",
        "clings": "cb1749ff1c89",
    }
    needs = {
        "A": "A lets the loss fall first; what remains depends on the rate",
        "B": "B moves the body far from where it was",
        "C": "C is seen in the size of the weights, not in the loss",
        "D": "D shows at once, and on a bowl the loss grows at every step",
        "E": "E leaves the body where it was, and the head as well",
        "F": "F ends the training within the first epoch, without a message",
        "G": "G matters in the first steps only: later the hats divide by 1",
    }
    hints = {digest(key, c): said for key in right for c, said in needs.items()}
    ask.choices(right, "ABCDEFG", hints)


Rule: TypeAlias = Callable[..., tuple[Tensor, Tensor]]


def _walk(rule: Rule, shown: Callable[[Tensor], Any] = lambda rows: rows) -> Any:
    """Return a function that follows a rule down a bowl."""

    def path(
        start: Tensor, curvatures: Tensor, lr: float, mu: float, ahead: bool, steps: int
    ) -> Any:
        theta, c = start.double(), curvatures.double()
        rows, b = [theta], torch.zeros_like(theta)
        for _ in range(steps):
            theta, b = rule(theta, b, c, lr, mu, ahead)
            rows.append(theta)
        return shown(torch.stack(rows))

    return path


def _by(
    buffer: Callable[[Tensor, Tensor, float], Tensor] = lambda b, g, mu: mu * b + g,
    slope: Callable[[Tensor, Tensor], Tensor] = lambda theta, c: c * theta,
    ahead: Callable[[Tensor, Tensor, float], Tensor] = lambda b, g, mu: g + mu * b,
    plain: Callable[[Tensor, Tensor, float], Tensor] = lambda b, g, mu: b,
) -> Rule:
    """Return a step with momentum, some part of which may be changed."""

    def rule(
        theta: Tensor, b: Tensor, c: Tensor, lr: float, mu: float, nesterov: bool
    ) -> tuple[Tensor, Tensor]:
        g = slope(theta, c)
        b = buffer(b, g, mu)
        return theta - lr * (ahead if nesterov else plain)(b, g, mu), b

    return rule


def _other_variables(
    theta: Tensor, b: Tensor, c: Tensor, lr: float, mu: float, nesterov: bool
) -> tuple[Tensor, Tensor]:
    b = mu * b + c * (theta - lr * mu * b * nesterov)
    return theta - lr * b, b


def _late(
    theta: Tensor, b: Tensor, c: Tensor, lr: float, mu: float, nesterov: bool
) -> tuple[Tensor, Tensor]:
    return theta - lr * b, mu * b + c * theta


def _bowls() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield starts, curvatures, rates, momenta, kinds and numbers of steps."""
    rng = torch.Generator().manual_seed(20271)

    def draw(d: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(d, generator=rng, dtype=torch.float64)

    yield "momentum", (draw(3, -3, 3), draw(3, 0.5, 4), 0.2, 0.6, False, 4)
    yield "Nesterov", (draw(3, -3, 3), draw(3, 0.5, 4), 0.2, 0.6, True, 4)
    yield "no momentum", (draw(2, -3, 3), draw(2, 0.5, 4), 0.3, 0.0, False, 3)
    yield "a long way", (draw(2, -8, 8), draw(2, 1, 25), 0.02, 0.9, True, 40)
    yield "a rate above the edge", (draw(2, 1, 2), draw(2, 5, 6), 0.9, 0.3, False, 3)
    single = draw(5, -1, 1).float(), draw(5, 0.5, 4).float()
    yield "single precision", (*single, 0.1, 0.8, True, 10)
    yield "one step of one weight", (draw(1, 1, 2), draw(1, 1, 2), 0.5, 0.9, True, 1)


@exercise(points=2)
def momentum_path(ask: Ask) -> None:
    """Ask for every place on a walk with momentum, plain or Nesterov's."""
    right = _by()
    reference = _walk(right)
    mistakes = {
        "with nesterov, this is plain momentum: the step is g + mu b with the new b": (
            _walk(_by(ahead=lambda b, g, mu: b))
        ),
        "Nesterov's step is taken always: only where nesterov is True": _walk(
            _by(plain=lambda b, g, mu: g + mu * b)
        ),
        "with nesterov, the step is g + mu b; the gradient is missing": _walk(
            _by(ahead=lambda b, g, mu: mu * b)
        ),
        "with nesterov, g + mu b stands in the place of b: it is not added to b": (
            _walk(_by(ahead=lambda b, g, mu: b + mu * b))
        ),
        "with nesterov, it is g + mu b: the momentum belongs to the buffer": _walk(
            _by(ahead=lambda b, g, mu: mu * g + b)
        ),
        "with nesterov, it is g + mu b: multiply the buffer by the momentum": _walk(
            _by(ahead=lambda b, g, mu: g + b)
        ),
        "this is Nesterov's step in other variables: take the gradient at theta": (
            _walk(_other_variables)
        ),
        "no momentum: is the buffer kept from step to step?": _walk(
            _by(buffer=lambda b, g, mu: g)
        ),
        "the buffer is an average in yours: it adds up whole gradients": _walk(
            _by(buffer=lambda b, g, mu: mu * b + (1 - mu) * g)
        ),
        "momentum and its rest are exchanged: the buffer keeps the share mu": _walk(
            _by(buffer=lambda b, g, mu: (1 - mu) * b + g)
        ),
        "the momentum multiplies the new gradient as well: only the old buffer": (
            _walk(_by(buffer=lambda b, g, mu: mu * (b + g)))
        ),
        "the momentum multiplies the gradient: it multiplies the old buffer": _walk(
            _by(buffer=lambda b, g, mu: b + mu * g)
        ),
        "the buffer forgets nothing: multiply the old one by the momentum": _walk(
            _by(buffer=lambda b, g, mu: b + g)
        ),
        "the old buffer is subtracted: add the new gradient to its share": _walk(
            _by(buffer=lambda b, g, mu: g - mu * b)
        ),
        "the gradient divided by 1 - mu is only the limit of the buffer": _walk(
            _by(buffer=lambda b, g, mu: g / (1 - mu))
        ),
        "the old buffer is used for the step: renew it first": _walk(_late),
        "uphill: the step must go against the gradient": _walk(
            _by(slope=lambda theta, c: -c * theta)
        ),
        "the factor 1/2 of the height is lost: the gradient is curvature times theta": (
            _walk(_by(slope=lambda theta, c: 2 * c * theta))
        ),
        "this uses half the gradient: that of c theta^2 / 2 is c theta": _walk(
            _by(slope=lambda theta, c: c * theta / 2)
        ),
        "this uses the height as the gradient: differentiate it": _walk(
            _by(slope=lambda theta, c: c * theta**2 / 2)
        ),
        "the curvatures are not used": _walk(_by(slope=lambda theta, c: theta)),
        "one slope for all weights: each has its own curvature": _walk(
            _by(slope=lambda theta, c: c.mean() * theta)
        ),
        "every step uses the gradient of the start: compute it anew": (
            lambda start, *given: _walk(_by(slope=lambda theta, c: c * start.double()))(
                start, *given
            )
        ),
        "the rate counts twice, in the buffer and in the step": (
            lambda s, c, lr, *given: _walk(right)(s, c, lr * lr, *given)
        ),
        "the start is missing: the path has steps + 1 places": _walk(
            right, lambda rows: rows[1:]
        ),
        "the last place is missing: the path has steps + 1 places": _walk(
            right, lambda rows: rows[:-1]
        ),
        "this is the last place alone: return the whole path": _walk(
            right, lambda rows: rows[-1]
        ),
        "all places are the last one: was theta changed in place? note a copy": (
            _walk(right, lambda rows: rows[-1].expand_as(rows))
        ),
        "rows and columns are exchanged: one row for each place": _walk(
            right, lambda rows: rows.T
        ),
        "one step too many": lambda *given: reference(*given[:-1], given[-1] + 1),
        "these are steps: return the places": _walk(
            right, lambda rows: rows.diff(dim=0)
        ),
    }
    ask.each(_bowls(), reference, mistakes)


def _moments(m: Any, v: Any, g: Any, b1: float, b2: float) -> tuple[Any, Any]:
    return b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2


def _hats(m: Any, v: Any, t: int, b1: float, b2: float) -> tuple[Any, Any]:
    return m / (1 - b1**t), v / (1 - b2**t)


def _unit(m: Any, v: Any, eps: float) -> Any:
    return m / (v.sqrt() + eps)


def _decayed(theta: Any, unit: Any, lr: float, decay: float) -> Any:
    return theta - lr * (unit + decay * theta)


def _adamw(
    moments: Callable[..., tuple[Any, Any]] = _moments,
    hats: Callable[..., tuple[Any, Any]] = _hats,
    unit: Callable[..., Any] = _unit,
    decayed: Callable[..., Any] = _decayed,
    inside: float = 0.0,
    given: Callable[[Tensor], Tensor] = lambda gradients: gradients,
) -> Callable[..., Tensor]:
    """Return AdamW, some part of which may be changed."""

    def found(
        theta: Tensor,
        gradients: Tensor,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        decay: float,
    ) -> Tensor:
        theta = theta.double()
        m = v = torch.zeros_like(theta)
        for t, g in enumerate(given(gradients.double()), start=1):
            m, v = moments(m, v, g + inside * decay * theta, *betas)
            theta = decayed(theta, unit(*hats(m, v, t, *betas), eps), lr, decay)
        return theta

    return found


def _descents() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield weights, gradients, and all that AdamW may be told."""
    rng = torch.Generator().manual_seed(20272)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    usual = (0.9, 0.999)
    yield "four steps", (draw(3), draw(4, 3), 0.1, (0.8, 0.95), 0.05, 0.3)
    yield "the usual constants", (draw(2), draw(6, 2), 0.05, usual, 1e-8, 0.1)
    yield "no decay", (draw(2), 5 * draw(3, 2), 0.1, usual, 1e-8, 0.0)
    scales = torch.tensor([1e-4, 1.0, 1e4], dtype=torch.float64)
    yield "scales", (draw(3), draw(8, 3) * scales, 0.1, (0.9, 0.99), 1e-8, 0.5)
    yield "one step", (draw(3), draw(1, 3), 0.1, usual, 1e-8, 0.2)
    some = torch.tensor([0.0, 1.0], dtype=torch.float64)
    yield "a weight without gradient", (draw(2), draw(5, 2) * some, 0.1, usual, 1e-8, 1)
    long = draw(4).float(), (draw(60, 4) + 0.3).float()
    yield "single precision", (*long, 0.01, usual, 1e-8, 0.1)


@exercise(points=3)
def adamw(ask: Ask) -> None:
    """Ask where AdamW gets with given gradients."""
    reference = _adamw()

    def kept(change: Callable[..., tuple[Any, Any]]) -> Callable[..., Tensor]:
        return _adamw(moments=change)

    def hats(change: Callable[..., tuple[Any, Any]]) -> Callable[..., Tensor]:
        return _adamw(hats=change)

    def ends(change: Callable[..., Any]) -> Callable[..., Tensor]:
        return _adamw(decayed=change)

    mistakes = {
        "the decay is in the gradient, which is Adam with L2: keep it out": _adamw(
            decayed=lambda th, u, lr, w: th - lr * u, inside=1.0
        ),
        "the decay acts twice, in the gradient and in the step": _adamw(inside=1.0),
        "there is no decay in yours": ends(lambda th, u, lr, w: th - lr * u),
        "the rate must multiply the decay as well": ends(
            lambda th, u, lr, w: th - lr * u - w * th
        ),
        "the weights decay after the step: the decay takes the old weights": ends(
            lambda th, u, lr, w: (th - lr * u) * (1 - lr * w)
        ),
        "the decay makes the weights larger: its sign is wrong": ends(
            lambda th, u, lr, w: th - lr * (u - w * th)
        ),
        "the decay takes a constant: it must be a share of each weight": ends(
            lambda th, u, lr, w: th - lr * (u + w)
        ),
        "uphill: the step must be subtracted": ends(
            lambda th, u, lr, w: th + lr * u - lr * w * th
        ),
        "the rate counts twice in the decay": ends(
            lambda th, u, lr, w: th - lr * (u + lr * w * th)
        ),
        "there is no bias correction in yours": hats(lambda m, v, t, b, c: (m, v)),
        "the second moment is not corrected": hats(
            lambda m, v, t, b, c: (m / (1 - b**t), v)
        ),
        "the first moment is not corrected": hats(
            lambda m, v, t, b, c: (m, v / (1 - c**t))
        ),
        "the correction is that of the first step always: beta to the power t": hats(
            lambda m, v, t, b, c: (m / (1 - b), v / (1 - c))
        ),
        "t must be 1 in the first step, yours is 2": hats(
            lambda m, v, t, b, c: _hats(m, v, t + 1, b, c)
        ),
        "t must be 1 in the first step, yours is 0: the hats divide 0 by 0": hats(
            lambda m, v, t, b, c: _hats(m, v, t - 1, b, c)
        ),
        "multiplied by the correction: divide by it": hats(
            lambda m, v, t, b, c: (m * (1 - b**t), v * (1 - c**t))
        ),
        "divided by beta to the power t: divide by 1 minus that": hats(
            lambda m, v, t, b, c: (m / b**t, v / c**t)
        ),
        "each correction takes the other beta": hats(
            lambda m, v, t, b, c: (m / (1 - c**t), v / (1 - b**t))
        ),
        "the betas are exchanged: the first belongs to the gradient": (
            lambda th, g, lr, betas, *rest: reference(th, g, lr, betas[::-1], *rest)
        ),
        "beta and 1 - beta are exchanged: the old moment keeps the share beta": kept(
            lambda m, v, g, b, c: _moments(m, v, g, 1 - b, 1 - c)
        ),
        "the moments are sums: the new gradient's share is 1 - beta": kept(
            lambda m, v, g, b, c: (b * m + g, c * v + g**2)
        ),
        "the second moment is of the gradient itself: square it": kept(
            lambda m, v, g, b, c: (_moments(m, v, g, b, c)[0], c * v + (1 - c) * g)
        ),
        "the second moment is of the gradient's size: square it": kept(
            lambda m, v, g, b, c: (
                _moments(m, v, g, b, c)[0],
                c * v + (1 - c) * g.abs(),
            )
        ),
        "the second moment is not centred: square the gradient itself": kept(
            lambda m, v, g, b, c: (
                b * m + (1 - b) * g,
                c * v + (1 - c) * (g - b * m - (1 - b) * g) ** 2,
            )
        ),
        "the second moment is of m: square the gradient": kept(
            lambda m, v, g, b, c: (
                b * m + (1 - b) * g,
                c * v + (1 - c) * (b * m + (1 - b) * g) ** 2,
            )
        ),
        "one second moment for all weights: each has its own": kept(
            lambda m, v, g, b, c: (
                b * m + (1 - b) * g,
                c * v + (1 - c) * (g**2).mean(),
            )
        ),
        "the moments are not kept from step to step": _adamw(
            lambda m, v, g, b, c: (g, g**2), lambda m, v, t, b, c: (m, v)
        ),
        "there is no first moment: the gradient itself is used": _adamw(
            lambda m, v, g, b, c: (g, c * v + (1 - c) * g**2),
            lambda m, v, t, b, c: (m, v / (1 - c**t)),
        ),
        "eps belongs outside of the root": _adamw(
            unit=lambda m, v, e: m / (v + e).sqrt()
        ),
        "the root of the second moment is missing": _adamw(
            unit=lambda m, v, e: m / (v + e)
        ),
        "eps is missing: a weight without gradient divides 0 by 0": _adamw(
            unit=lambda m, v, e: m / v.sqrt()
        ),
        "eps is always 1e-8 in yours: use the argument": _adamw(
            unit=lambda m, v, e: m / (v.sqrt() + 1e-8)
        ),
        "the second moment is not used: this is momentum with decay": _adamw(
            unit=lambda m, v, e: m
        ),
        "only the first gradient is used": _adamw(given=lambda g: g[:1]),
        "only the last gradient is used": _adamw(given=lambda g: g[-1:]),
        "the gradients are averaged: each is a step of its own": _adamw(
            given=lambda g: g.mean(0, keepdim=True)
        ),
        "the last gradient is left out": _adamw(given=lambda g: g[:-1]),
        "the gradients are taken from the last to the first": _adamw(
            given=lambda g: g.flip(0)
        ),
        "this is how far the weights have moved: return the weights": (
            lambda theta, *rest: reference(theta, *rest) - theta.double()
        ),
    }
    ask.each(_descents(), reference, mistakes)


def _falls(
    lr: float, after: Callable[[int, int], float], gamma: float, count: int, size: int
) -> list[float]:
    """Return a rate for each batch, after as many falls as a function says."""
    places = ((e, e * size + i) for e in range(count) for i in range(size))
    return [lr * gamma ** after(e, step) for e, step in places]


def _run(
    by: Callable[..., Sequence[float]] | None = None, **changed: Callable[..., Any]
) -> Callable[..., Values]:
    """Return what a schedule does to a run, some part of which may be changed."""

    def found(lr: float, m: list[int], gamma: float, n: int, size: int) -> Values:
        given = lr, m, gamma, n, size
        rates = _falls(lr, lambda e, _: sum(e >= x for x in m), gamma, n, size)
        rates = list(by(*given)) if by else rates
        late = sum(x >= n for x in m)
        made = {"rates": rates, "worth": sum(rates) / lr, "unreached": late}
        return made | {key: make(made, *given) for key, make in changed.items()}

    return found


def _plans() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield rates, milestones, factors, epochs and batches."""
    yield "the last milestone is the number of epochs", (0.8, [2, 4], 0.4, 4, 3)
    yield "all milestones are reached", (0.4, [1, 4, 5], 0.3, 7, 4)
    yield "milestones far behind the end", (0.3, [5, 90, 120], 0.2, 10, 10)
    yield "no milestone", (0.5, [], 0.1, 3, 2)
    yield "one batch an epoch", (2.0, [3, 6], 0.1, 8, 1)
    yield "one epoch", (1.0, [1, 2], 0.1, 1, 6)


@exercise(points=3)
def rates_of_run(ask: Ask) -> None:
    """Ask for the rates of a run, what they are worth, and what is not reached."""

    def falls(
        after: Callable[[list[int], int, int], float],
    ) -> Callable[..., Sequence[float]]:
        return lambda lr, ms, gamma, n, size: _falls(
            lr, lambda e, step: after(ms, e, step), gamma, n, size
        )

    def late(m: list[int], e: int, step: int) -> int:
        return sum(step >= x for x in m)

    reference = _run()

    def printed(m: list[int], e: int, step: int) -> int:
        return late(m, e, step + 1)

    def by_batch(r: Values, lr: float, m: list[int], g: float, n: int, b: int) -> int:
        return sum(x >= n * b for x in m)

    every = "the scheduler is called after every batch: a milestone counts epochs"
    mistakes = {
        every: _run(falls(late)),
        f"{every}, in the count of the unreached ones as well": _run(
            falls(late), unreached=by_batch
        ),
        "called after every batch, and the rate noted after the call: two mistakes": (
            _run(falls(printed))
        ),
        "all three mistakes of the printed function are left": _run(
            falls(printed), unreached=lambda *_: 0
        ),
        "two mistakes: called after every batch, and no milestone is counted": _run(
            falls(late), unreached=lambda *_: 0
        ),
        "'unreached' is always 0: count the milestones that lie behind the end": _run(
            unreached=lambda *_: 0
        ),
        "the rate is noted after the scheduler's call: note what the step used": (
            lambda lr, m, g, n, b: _run(
                lambda *_: reference(lr, m, g, n + 1, b)["rates"][1:][: n * b]
            )(lr, m, g, n, b)
        ),
        "the rate falls one epoch early: epochs are numbered from 0": _run(
            falls(lambda m, e, step: sum(e + 1 >= x for x in m))
        ),
        "the rate falls one epoch late: it falls from the milestone on": _run(
            falls(lambda m, e, step: sum(e > x for x in m))
        ),
        "the rate falls in every epoch: only at the milestones": _run(
            falls(lambda m, e, step: e)
        ),
        "the rate goes on falling after a milestone: it falls once": _run(
            falls(lambda m, e, step: sum(e - x + 1 for x in m if e >= x))
        ),
        "the rate falls only once: every milestone counts": _run(
            falls(lambda m, e, step: any(e >= x for x in m))
        ),
        "the rate falls at the milestones only, and rises again": _run(
            falls(lambda m, e, step: e in m)
        ),
        "the rate never falls": _run(falls(lambda m, e, step: 0)),
        "the rate rises at the milestones": _run(
            falls(lambda m, e, step: -sum(e >= x for x in m))
        ),
        "gamma is the share that is left, not the share that is lost": (
            lambda lr, m, g, n, b: reference(lr, m, 1 - g, n, b)
        ),
        "gamma is subtracted: multiply by it": _run(
            lambda lr, m, g, n, b: [
                lr - g * sum(e >= x for x in m) for e in range(n) for _ in range(b)
            ]
        ),
        "one rate for an epoch: give one for each batch": _run(
            lambda lr, m, g, n, b: reference(lr, m, g, n, 1)["rates"]
        ),
        "look at 'rates': one for an epoch, but each batch needs its own": _run(
            rates=lambda r, lr, m, g, n, b: r["rates"][::b]
        ),
        "these are factors in 'rates': multiply them by the first rate": _run(
            rates=lambda r, lr, *_: [x / lr for x in r["rates"]]
        ),
        "one row for an epoch in 'rates': return them in one row": _run(
            rates=lambda r, lr, m, g, n, b: np.reshape(r["rates"], (n, b))
        ),
        "'worth' is the sum of the rates: divide it by the first one": _run(
            worth=lambda r, *_: sum(r["rates"])
        ),
        "'worth' is a mean in yours: it is the sum divided by the first rate": _run(
            worth=lambda r, lr, *_: sum(r["rates"]) / lr / len(r["rates"])
        ),
        "'worth' is the sum over epochs in yours: every batch is a step": _run(
            worth=lambda r, lr, m, g, n, b: sum(r["rates"]) / lr / b
        ),
        "'worth' counts the steps at the first rate: the others are worth less": _run(
            worth=lambda r, lr, *_: r["rates"].count(lr)
        ),
        "'worth' counts all steps alike: a step is worth its rate": _run(
            worth=lambda r, *_: len(r["rates"])
        ),
        "'worth' is divided by the last rate: divide by the first": _run(
            worth=lambda r, *_: sum(r["rates"]) / r["rates"][-1]
        ),
        "the milestone after the last epoch counts: epochs are numbered from 0": (
            _run(unreached=lambda r, lr, m, g, n, b: sum(x > n for x in m))
        ),
        "these milestones are reached: count the others": _run(
            unreached=lambda r, lr, m, g, n, b: sum(x < n for x in m)
        ),
        "'unreached' is how many, not which": _run(
            unreached=lambda r, lr, m, g, n, b: [x for x in m if x >= n]
        ),
        "'unreached' compares with the number of batches: milestones count epochs": (
            _run(unreached=by_batch)
        ),
        "'unreached' counts all milestones": _run(
            unreached=lambda r, lr, m, *_: len(m)
        ),
    }
    ask.each(_plans(), reference, mistakes)


_Weights: TypeAlias = tuple[Array, Array]
Measure: TypeAlias = Callable[[_Weights, _Weights, Mapping[str, Array]], float]
_DONE: dict[tuple[object, ...], _Weights] = {}  # most mistakes train as one should
Problem: TypeAlias = tuple[Tensor, Tensor, dict[str, Tensor], list[float], float]
_HEAD_RATE, _STEPS = 0.05, 60


def _softmax(z: Array) -> Array:
    e = np.exp(z - z.max(1, keepdims=True))
    shares: Array = e / e.sum(1, keepdims=True)
    return shares


def _tune(
    start: _Weights,
    x: Array,
    y: Array,
    rates: tuple[float, float],
    steps: int = _STEPS,
    kind: str = "",
) -> _Weights:
    """Return body and head after some steps of Adam, all rows in each of them."""
    key = (*(a.tobytes() for a in (*start, x)), rates, steps, kind)
    if key in _DONE:
        return _DONE[key]
    w, (m, v) = list(start), ([np.zeros_like(a) for a in start] for _ in range(2))
    labels = np.eye(start[1].shape[1])[y]
    for t in range(1, steps + 1):
        h = x @ w[0] if kind == "linear" else np.tanh(x @ w[0])
        p = _softmax(h @ w[1])
        wrong = (p - labels) / len(x)
        if kind == "twice":
            inner = (_softmax(p) - labels) / len(x)
            wrong = p * (inner - (inner * p).sum(1, keepdims=True))
        back = wrong @ w[1].T * (1.0 if kind == "linear" else 1 - h**2)
        for i, g in enumerate((x.T @ back, h.T @ wrong)):
            m[i], v[i] = _moments(m[i], v[i], g, 0.9, 0.999)
            first, second = _hats(m[i], v[i], t, 0.9, 0.999)
            unit = g if kind == "sgd" else first / (np.sqrt(second) + 1e-8)
            w[i] = w[i] - rates[i] * unit
    return _DONE.setdefault(key, (w[0], w[1]))


def _right(weights: _Weights, x: Array, y: Array) -> float:
    guesses = (np.tanh(x @ weights[0]) @ weights[1]).argmax(1)
    return float((guesses == y).mean())


def _problem(seed: int, rates: list[float], floor: float, turn: float) -> Problem:
    """Return a source network, data of source and target, rates and a floor."""
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((8, 8))

    def draw(n: int, turned: Array) -> tuple[Array, Array]:
        group = rng.integers(0, 8, n)
        return (centres[group] + rng.standard_normal((n, 8))) @ turned, group % 4

    a = turn * rng.standard_normal((8, 8))
    moved = np.linalg.solve(np.eye(8) - a + a.T, np.eye(8) + a - a.T)  # a rotation
    weights = 0.3 * rng.standard_normal((8, 16)), 0.3 * rng.standard_normal((16, 4))
    weights = _tune(weights, *draw(400, np.eye(8)), (0.02, 0.02), 150)
    data = {}
    for name, n in (("train", 40), ("validation", 400), ("test", 400), ("source", 400)):
        x, y = draw(n, np.eye(8) if name == "source" else moved)
        data[f"{name}_x"], data[f"{name}_y"] = torch.tensor(x).float(), torch.tensor(y)
    body, head = (torch.tensor(w).float() for w in weights)
    return body, head, data, rates, floor


@functools.cache
def _problems() -> tuple[tuple[str, Problem], ...]:
    """Return problems on which the choice is clear, whatever the rounding."""
    up, mixed = [0.0005, 0.005, 0.05, 0.3], [0.0005, 0.05, 0.3, 0.005]
    down = [0.3, 0.15, 0.05, 0.005, 0.0005]
    return (
        ("a rate that forgets too much", _problem(20273, up, 0.8, 0.2)),
        ("test rows that would choose otherwise", _problem(20291, mixed, 0.8, 0.2)),
        ("a low floor, and rates that fall", _problem(20307, down, 0.55, 0.1)),
    )


def _on(name: str, head: int = 0) -> Measure:
    """Return the accuracy on some data, with the new head or with the source's."""
    return lambda new, source, data: _right(
        (new[0], (new, source)[head][1]), data[f"{name}_x"], data[f"{name}_y"]
    )


def _norm(weights: Sequence[Array]) -> float:
    return math.sqrt(sum(float((w**2).sum()) for w in weights))


def _allowed(rows: dict[str, list[float]], floor: float) -> list[int]:
    """Return the places of the rates that keep enough, or all where none does."""
    found = [i for i, kept in enumerate(rows["kept"]) if kept >= floor]
    return found or list(range(len(rows["kept"])))


def _highest(rows: dict[str, list[float]], floor: float) -> int:
    return max(_allowed(rows, floor), key=rows["validation"].__getitem__)


_MEASURES: dict[str, Measure] = {
    "drift": lambda new, source, _: _norm([new[0] - source[0]]) / _norm([source[0]]),
    "kept": _on("source", head=1),
    "validation": _on("validation"),
    "test": _on("test"),
}


def _sweep(
    begin: Callable[[_Weights, _Weights], _Weights] = lambda s, last: (s[0], 0 * s[1]),
    both: Callable[[float], tuple[float, float]] = lambda rate: (rate, _HEAD_RATE),
    on: str = "train",
    steps: int = _STEPS,
    kind: str = "",
    choose: Callable[[dict[str, list[float]], float], int] = _highest,
    end: Callable[[Values, dict[str, list[float]]], Values] = lambda made, rows: made,
    **measures: Measure,
) -> Callable[..., Values]:
    """Return the whole experiment, some part of which may be changed."""

    def found(
        body: Tensor,
        old: Tensor,
        data: dict[str, Tensor],
        rates: list[float],
        floor: float,
    ) -> Values:
        d = {
            k: v.numpy().astype(np.float64 if k[-1] == "x" else int)
            for k, v in data.items()
        }
        last = source = body.double().numpy(), old.double().numpy()
        rows: dict[str, list[float]] = {key: [] for key in _MEASURES}
        for rate in rates:
            x, y = d[f"{on}_x"], d[f"{on}_y"]
            last = _tune(begin(source, last), x, y, both(rate), steps, kind)
            for key, measure in (_MEASURES | measures).items():
                rows[key].append(measure(last, source, d))
        chosen = choose(rows, floor)
        made = {**rows, "chosen": chosen, "test": rows["test"][chosen]}
        return end(made, rows)

    return found


@exercise(points=4)
def sweep(ask: Ask) -> None:
    """Ask for a sweep over the body's rate, and for a choice on validation data."""
    reference, problems = _sweep(), _problems()
    asked, given = problems[0]
    one, two = (ask.call(asked, given) for _ in range(2))
    if same(one, one, 0.0) and not same(two, one, 1e-3):
        hint = "two calls differ: nothing here is random, the new head starts at zero"
        raise Wrong("the same problem, twice", show(one), show(two), hint)

    def changed(key: str, value: Callable[..., Any]) -> Callable[..., Values]:
        return _sweep(end=lambda made, rows: made | {key: value(made, rows)})

    def each(key: str, value: Callable[[float], float]) -> Callable[..., Values]:
        return changed(key, lambda made, rows: [value(x) for x in made[key]])

    def chosen(by: Callable[[dict[str, list[float]], float], int]) -> Any:
        return _sweep(choose=by)

    mistakes = {
        "the head gets the body's rate: its own is 0.05": _sweep(both=lambda r: (r, r)),
        "the two rates are exchanged": _sweep(both=lambda r: (_HEAD_RATE, r)),
        "the body does not move: hand it to the optimizer, with its rate": _sweep(
            both=lambda r: (0.0, _HEAD_RATE)
        ),
        "the body has the head's rate in every run": _sweep(
            both=lambda r: (_HEAD_RATE, _HEAD_RATE)
        ),
        "the new head starts from the old one: it starts at zero": _sweep(
            lambda s, last: s
        ),
        "the body starts at zero: it starts from the source's": _sweep(
            lambda s, last: (0 * s[0], 0 * s[1])
        ),
        "each rate must start from the source's body: yours goes on from the last": (
            _sweep(lambda s, last: (last[0], 0 * s[1]))
        ),
        "each rate needs a new head: yours goes on with the last one's": _sweep(
            lambda s, last: (s[0], last[1] * (last is not s))
        ),
        "this is plain gradient descent: Adam was asked for": _sweep(kind="sgd"),
        **{
            f"{n} steps: take {_STEPS}": _sweep(steps=n)
            for n in (10, 30, 50, 59, 61, 100)
        },
        "only one step": _sweep(steps=1),
        "the tanh is missing while you train": _sweep(kind="linear"),
        "softmax applied twice: cross-entropy takes logits": _sweep(kind="twice"),
        "you train on the validation data": _sweep(on="validation"),
        "you train on the test data": _sweep(on="test"),
        "you train on the source's data: the target is to be learned": _sweep(
            on="source"
        ),
        "'drift' is not divided by the length of the source's body": _sweep(
            drift=lambda new, s, _: _norm([new[0] - s[0]])
        ),
        "'drift' is a ratio of squares: take the roots": _sweep(
            drift=lambda *w: _MEASURES["drift"](*w) ** 2
        ),
        "'drift' is divided by the new body's length: divide by the source's": _sweep(
            drift=lambda new, s, _: _norm([new[0] - s[0]]) / _norm([new[0]])
        ),
        "'drift' holds the head as well: only the body": _sweep(
            drift=lambda new, s, _: (
                _norm([a - b for a, b in zip(new, s, strict=True)]) / _norm(s)
            )
        ),
        "'drift' is a mean of sizes: take the lengths": _sweep(
            drift=lambda new, s, _: float(
                np.abs(new[0] - s[0]).mean() / np.abs(s[0]).mean()
            )
        ),
        "'drift' compares lengths: take the length of the difference": _sweep(
            drift=lambda new, s, _: abs(_norm([new[0]]) - _norm([s[0]])) / _norm([s[0]])
        ),
        "'drift' is the largest singular value's: take the norm over all weights": (
            _sweep(
                drift=lambda new, s, _: float(
                    np.linalg.norm(new[0] - s[0], 2) / np.linalg.norm(s[0], 2)
                )
            )
        ),
        "'validation' has the old head: the target is judged with the new one": _sweep(
            validation=_on("validation", head=1)
        ),
        "'validation' is taken on the rows you trained on": _sweep(
            validation=_on("train")
        ),
        "'validation' is taken on the test data": _sweep(validation=_on("test")),
        **{
            f"{key!r} is a percentage: accuracies are fractions": each(
                key, lambda x: 100 * x
            )
            for key in ("kept", "validation")
        },
        **{
            f"{key!r} is the share of wrong answers": each(key, lambda x: 1 - x)
            for key in ("kept", "validation")
        },
        "'drift' is a percentage: it is a fraction": each("drift", lambda x: 100 * x),
        "the floor is ignored: choose among the rates that keep enough": chosen(
            lambda rows, floor: int(np.argmax(rows["validation"]))
        ),
        "chosen on the test data: choose on validation, and test once": chosen(
            lambda rows, floor: max(_allowed(rows, floor), key=rows["test"].__getitem__)
        ),
        "chosen on the test data, and the floor ignored: choose on validation": chosen(
            lambda rows, floor: int(np.argmax(rows["test"]))
        ),
        "chosen by what is kept: that is a condition, validation decides": chosen(
            lambda rows, floor: int(np.argmax(rows["kept"]))
        ),
        "the first rate that keeps enough need not be the best": chosen(
            lambda rows, floor: _allowed(rows, floor)[0]
        ),
        "the last rate that keeps enough need not be the best": chosen(
            lambda rows, floor: _allowed(rows, floor)[-1]
        ),
        "the rate with the least drift need not be the best": chosen(
            lambda rows, floor: int(np.argmin(rows["drift"]))
        ),
        "the worst on validation data is chosen": chosen(
            lambda rows, floor: min(
                _allowed(rows, floor), key=rows["validation"].__getitem__
            )
        ),
        "'chosen' counts from 1: places count from 0": changed(
            "chosen", lambda made, rows: made["chosen"] + 1
        ),
        "'test' is one number, that of the chosen rate": changed(
            "test", lambda made, rows: rows["test"]
        ),
        "'test' is the best of all rates: test the chosen one alone": changed(
            "test", lambda made, rows: max(rows["test"])
        ),
        "'test' is the accuracy on validation data": changed(
            "test", lambda made, rows: made["validation"][made["chosen"]]
        ),
        "'test' is a percentage: accuracies are fractions": changed(
            "test", lambda made, rows: 100 * made["test"]
        ),
        "the numbers of the chosen rate alone: return those of every rate": _sweep(
            end=lambda made, rows: {
                k: v[made["chosen"]] if isinstance(v, list) else v
                for k, v in made.items()
            }
        ),
    }
    carried = _sweep(lambda s, last: (last[0], last[1] * (last is not s)))
    kept: dict[str, Measure] = {
        "'kept' has the new head: put the old one back on the new body": _on("source"),
        "'kept' has the old body: put the old head on the new one": (
            lambda new, source, d: _right(source, d["source_x"], d["source_y"])
        ),
        "'kept' asks for the target: take the source's rows": _on("validation", 1),
        "'kept' asks for the training rows: take the source's rows": _on("train", 1),
    }
    symptoms = (
        {
            hint: lambda came, *given, of=measure: same(
                came["kept"], _sweep(kept=of)(*given)["kept"], 3e-3
            )
            for hint, measure in kept.items()
        }
        | {
            "each rate starts afresh: yours goes on from the last one's weights": (
                lambda came, *given: same(  # what follows depends on the rounding
                    came["drift"][:2], carried(*given)["drift"][:2], 1e-3
                )
            ),
            "'chosen' is the place of the rate, not the rate": (
                lambda came, *given: came["chosen"] in given[3]
            ),
            "every rate drifts far: does the body start from the source's?": (
                lambda came, *_: min(map(float, came["drift"])) > 0.3
            ),
        }
    )
    ask.each(problems, reference, mistakes, symptoms, tolerance=3e-3)


stop_in_time = open_question(points=4)
