"""Checks of the exercises of the chapter on loss functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tlcourse.checks._asking import Ask, exercise, open_question

__all__ = [
    "cross_entropy",
    "cross_entropy_gradient",
    "focal_loss",
    "source_stays_inside",
    "three_ways",
    "two_numbers",
    "what_is_minimised",
]

Weights: TypeAlias = dict[str, Tensor]


@exercise(points=2)
def two_numbers(ask: Ask) -> None:
    """Ask what guessing costs with 100 classes, and for a second softmax's floor."""
    classes, e = 100, math.e
    guessing = {
        "the loss is in nats: take the natural logarithm, not that to base 10": 2.0,
        "the loss is in nats: take the natural logarithm, not that to base 2": (
            math.log2(classes)
        ),
        "this is the probability of a guess; the loss is minus its logarithm": 0.01,
        "this is the share of wrong guesses, not what they cost": 0.99,
        "this is the price for ten classes": math.log(10),
        "the sign is wrong: a loss is minus a logarithm": -math.log(classes),
        "this is the squared error of a guess at the right class": 0.99**2,
        "the right class is one of the hundred: log 100, not log 99": math.log(99),
    }
    floor = {
        "there are c - 1 wrong classes, not c": math.log(1 + classes / e),
        "this is the floor for ten classes": math.log(1 + 9 / e),
        "this is log c: read the softmax's best outputs, 1 and 0, as logits": (
            math.log(classes)
        ),
        "this is the probability of the right class; take minus its logarithm": (
            e / (e + classes - 1)
        ),
        "the wrong classes' logits are 0: e to the power 0 is 1": math.log(
            1 + (classes - 1) * e
        ),
        "the right class's logit is 1, so its share is e, not 1": math.log(classes - 1),
        "the logarithm is missing": 1 + (classes - 1) / e,
        "add the share of the right class itself: 1 + (c - 1) / e": math.log(
            (classes - 1) / e
        ),
        "a second softmax never lets the loss reach 0": 0.0,
        "the loss is in nats: take the natural logarithm, not that to base 2": (
            math.log2(1 + (classes - 1) / e)
        ),
        "the loss is in nats: take the natural logarithm, not that to base 10": (
            math.log10(1 + (classes - 1) / e)
        ),
        "3.7 is what she measured; compute what she could at best reach": 3.7,
    }
    expected = {"guessing": math.log(classes), "floor": math.log(1 + 99 / e)}
    ask.numbers(expected, {"guessing": guessing, "floor": floor})


@exercise(points=2)
def what_is_minimised(ask: Ask) -> None:
    """Ask which objective belongs to which method."""
    right = {
        "fine-tuning": "1339067839bc",
        "feature transfer": "bae072a06b0a",
        "structure transfer": "7c9530a4e3a6",
        "joint training": "42b36579a8e1",
        "L2-SP": "6dda20fad27a",
    }
    hints = {
        "c798001be2de": "fine-tuning minimises the target's loss alone",
        "ede3882a3f02": "in fine-tuning nothing ties the result to the source",
        "32dd1bf7913e": "fine-tuning moves all weights, not the head alone",
        "f925b53ec836": "fine-tuning starts at the source's weights",
        "817fd4431ae0": "feature transfer needs no data of the source",
        "f3bc6275342e": "in feature transfer the body stays as it is",
        "a8651e58ea60": "in feature transfer the body is fixed, not only held back",
        "d581fcfeb63c": "in feature transfer the body comes from the source",
        "ce2180d8929c": "structure transfer minimises the target's loss alone",
        "3ce03d721aec": "structure transfer takes the architecture only, no weights",
        "5e3cbf30e868": "structure transfer has no weights to stay near to",
        "e98375bbc61f": "in structure transfer every weight is learned anew",
        "fbf995c8543a": "joint training keeps the source's loss in the objective",
        "825c97bc3050": "this pulls to weights; joint training uses the source's data",
        "b4a96e70dba4": "joint training moves all weights",
        "633703b8fa24": "joint training keeps the source's loss in the objective",
        "5eeba7438294": "L2-SP needs no data of the source, only its weights",
        "ae6a71e42830": "L2-SP adds to the target's loss what holds the weights",
        "77d79fa00189": "L2-SP moves all weights",
        "fbcb587ea2b3": "L2-SP holds on to the source's weights",
    }
    ask.choices(right, "ABCDE", hints)


def _log_probs(logits: Tensor, labels: Tensor) -> Tensor:
    return F.log_softmax(logits.double(), 1).gather(1, labels[:, None])[:, 0]


def _one_hot(logits: Tensor, labels: Tensor) -> Tensor:
    return F.one_hot(labels, logits.shape[1]).double()


def _batches() -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield the chapter's example, random batches, and what breaks a naive formula."""
    rng = torch.Generator().manual_seed(20260)

    def batch(n: int, c: int, scale: float = 2.0) -> tuple[Tensor, Tensor]:
        logits = scale * torch.randn(n, c, generator=rng, dtype=torch.float64)
        return logits, torch.randint(c, (n,), generator=rng)

    example = torch.tensor([[5.0, 2.0, -1.0]], dtype=torch.float64)
    yield "the chapter's example", (example, torch.tensor([0]))
    yield "a random batch", batch(6, 4)
    logits, labels = batch(5, 3)
    yield "single precision", (logits.float(), labels)
    logits, labels = batch(7, 2)
    yield "two classes, all of the last", (logits, torch.ones_like(labels))
    yield "a class that never occurs", (batch(4, 9)[0], torch.tensor([0, 1, 1, 3]))
    yield "a large batch", batch(300, 12)
    huge = torch.tensor([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 0.0]])
    yield "logits of 1,000 and -1,000", (huge.double(), torch.tensor([1, 1]))
    yield "all logits at 800", (torch.full((3, 4), 800.0), torch.tensor([0, 1, 3]))


_CLIPPED = "the logarithm of a probability that is cut off: use log-sum-exp instead"
_FROM_ONE = "class indices count from 0: yours takes the class before the right one"


def _price_mistakes(
    price: Callable[[Tensor], Tensor], clipped: Callable[[Tensor], Tensor]
) -> dict[str, Callable[..., Any]]:
    """Return mistakes of a mean price of log-probabilities, made from logits."""

    def at(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Any]:
        return lambda z, y, *_: price(change(z.double(), y)).mean()

    found: dict[str, Callable[..., Any]] = {
        "one price for each example came: take the mean over the batch": (
            lambda z, y, *_: price(_log_probs(z, y))
        ),
        "the sum over the batch: divide by the number of examples": (
            lambda z, y, *_: price(_log_probs(z, y)).sum()
        ),
        "divided by n - 1: the mean divides by the number of examples": (
            lambda z, y, *_: price(_log_probs(z, y)).sum() / max(len(y) - 1, 1)
        ),
        "the mean over n times c numbers: divide by the number of examples": (
            lambda z, y, *_: price(_log_probs(z, y)).mean() / z.shape[1]
        ),
        "softmax applied twice: the logits go into one softmax only": at(
            lambda z, y: _log_probs(z.softmax(1), y)
        ),
        "softmax over the batch: normalise over the classes, dim=1": at(
            lambda z, y: z.log_softmax(0).gather(1, y[:, None])[:, 0]
        ),
        "a sigmoid for each class: the classes share one softmax": at(
            lambda z, y: F.logsigmoid(z).gather(1, y[:, None])[:, 0]
        ),
        "the likeliest class instead of the labelled one": at(
            lambda z, y: z.log_softmax(1).amax(1)
        ),
        "the least likely class instead of the labelled one": at(
            lambda z, y: z.log_softmax(1).amin(1)
        ),
        "every class counts in your mean: take the labelled one of each row": at(
            lambda z, y: z.log_softmax(1)
        ),
        _FROM_ONE: at(lambda z, y: _log_probs(z, (y - 1) % z.shape[1])),
        "the class after the labelled one: class indices count from 0": at(
            lambda z, y: _log_probs(z, (y + 1) % z.shape[1])
        ),
        "only the first example counts: take the mean over the batch": at(
            lambda z, y: _log_probs(z, y)[:1]
        ),
        "only the last example counts: take the mean over the batch": at(
            lambda z, y: _log_probs(z, y)[-1:]
        ),
        "the first class of each row instead of the labelled one": at(
            lambda z, y: _log_probs(z, 0 * y)
        ),
        "the loss is in nats: take the natural logarithm, not that to base 2": (
            lambda z, y, *_: price(_log_probs(z, y)).mean() / math.log(2)
        ),
        "the loss is in nats: take the natural logarithm, not that to base 10": (
            lambda z, y, *_: price(_log_probs(z, y)).mean() / math.log(10)
        ),
        "the mean is inside the logarithm: take the logarithm of each example first": (
            lambda z, y, *_: price(_log_probs(z, y).exp().mean().log())
        ),
    }
    for power in (*range(3, 17), 20, 30):  # the hints differ, as keys must
        found[f"{_CLIPPED} (cut off at 1e-{power})"] = (
            lambda z, y, *_, low=10.0**-power: clipped(
                _log_probs(z, y).exp().clamp_min(low).log()
            ).mean()
        )
    return found


@exercise(points=3)
def cross_entropy(ask: Ask) -> None:
    """Ask for the mean cross-entropy from logits and class indices."""
    mistakes = _price_mistakes(torch.neg, torch.neg)
    mistakes |= {
        "log-sum-exp is missing: the price is lse(z) minus the right logit": (
            lambda z, y: -z.gather(1, y[:, None]).mean()
        ),
        "the maximum instead of log-sum-exp: it is only close to it": (
            lambda z, y: (z.amax(1) - z.gather(1, y[:, None])[:, 0]).mean()
        ),
        "1 - p is no logarithm: the price of a probability is -log p": (
            lambda z, y: 1 - _log_probs(z, y).exp().mean()
        ),
        "this is the mean probability: the price is minus its logarithm": (
            lambda z, y: _log_probs(z, y).exp().mean()
        ),
        "this is the squared error on probabilities": (
            lambda z, y: F.mse_loss(z.double().softmax(1), _one_hot(z, y))
        ),
        "this is binary cross-entropy of each class": (
            lambda z, y: F.binary_cross_entropy_with_logits(z.double(), _one_hot(z, y))
        ),
        "the labels are smoothed here, which was not asked for": (
            lambda z, y: F.cross_entropy(z.double(), y, label_smoothing=0.1)
        ),
    }

    def reference(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.double(), labels)

    ask.each(_batches(), reference, mistakes)


@exercise(points=2)
def cross_entropy_gradient(ask: Ask) -> None:
    """Ask for its gradient with respect to the logits."""

    def softmax(z: Tensor) -> Tensor:
        return z.double().softmax(1)

    def reference(logits: Tensor, labels: Tensor) -> Tensor:
        return (softmax(logits) - _one_hot(logits, labels)) / len(labels)

    mistakes: dict[str, Callable[..., Any]] = {
        "the loss is a mean: divide by the number of examples": (
            lambda z, y: reference(z, y) * len(y)
        ),
        "divided by n times c: divide by the number of examples only": (
            lambda z, y: reference(z, y) / z.shape[1]
        ),
        "the one-hot labels are not subtracted": lambda z, y: softmax(z) / len(y),
        "the softmax is missing: only the labels are left": (
            lambda z, y: -_one_hot(z, y) / len(y)
        ),
        "softmax applied twice": (
            lambda z, y: (softmax(softmax(z)) - _one_hot(z, y)) / len(y)
        ),
        "logits minus labels: it is the probabilities from which they are taken": (
            lambda z, y: (z.double() - _one_hot(z, y)) / len(y)
        ),
        "softmax over the batch: normalise over the classes, dim=1": (
            lambda z, y: (z.double().softmax(0) - _one_hot(z, y)) / len(y)
        ),
        "a sigmoid for each class: the classes share one softmax": (
            lambda z, y: (z.double().sigmoid() - _one_hot(z, y)) / len(y)
        ),
        _FROM_ONE: lambda z, y: reference(z, (y - 1) % z.shape[1]),
        "the class after the labelled one: class indices count from 0": (
            lambda z, y: reference(z, (y + 1) % z.shape[1])
        ),
        "only the right class has a gradient here; the others get p / n": (
            lambda z, y: reference(z, y) * _one_hot(z, y)
        ),
        "only the wrong classes have a gradient here; the right one gets (p - 1) / n": (
            lambda z, y: reference(z, y) * (1 - _one_hot(z, y))
        ),
        "this is the gradient for the probabilities: go on to the logits": (
            lambda z, y: -_one_hot(z, y) / softmax(z) / len(y)
        ),
        "this is the squared error's gradient on the probabilities": (
            lambda z, y: 2 * (softmax(z) - _one_hot(z, y)) / z.numel()
        ),
        "summed over the batch: each example's logits have a gradient": (
            lambda z, y: reference(z, y).sum(0)
        ),
        "summed over the classes: every row of the gradient sums to 0": (
            lambda z, y: reference(z, y).sum(1)
        ),
        "rows and columns are exchanged": lambda z, y: reference(z, y).T,
        "this is the loss itself, not its gradient": (
            lambda z, y: F.cross_entropy(z.double(), y)
        ),
        "divided by n - 1: the mean divides by the number of examples": (
            lambda z, y: reference(z, y) * len(y) / max(len(y) - 1, 1)
        ),
    }
    ask.each(_batches(), reference, mistakes)


@exercise(points=3)
def focal_loss(ask: Ask) -> None:
    """Ask for the loss that forgives what is right already."""

    def focal(log_p: Tensor, gamma: float) -> Tensor:
        return -((1 - log_p.exp()) ** gamma) * log_p

    def reference(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
        return focal(_log_probs(logits, labels), gamma).mean()

    def with_gamma(gamma: float) -> dict[str, Callable[..., Any]]:
        def price(log_p: Tensor) -> Tensor:
            return focal(log_p, gamma)

        def other(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
            return lambda z, y, g: change(_log_probs(z, y)).mean()

        return {
            "gamma is not used: the factor is (1 - p) to the power gamma": other(
                torch.neg
            ),
            "p to the power gamma: it must be 1 - p, so that the sure count less": (
                other(lambda log_p: -(log_p.exp() ** gamma) * log_p)
            ),
            "gamma times (1 - p): it must be a power": other(
                lambda log_p: -gamma * (1 - log_p.exp()) * log_p
            ),
            "the power is gamma - 1: it must be gamma": other(
                lambda log_p: focal(log_p, gamma - 1)
            ),
            "the power is gamma + 1: it must be gamma": other(
                lambda log_p: focal(log_p, gamma + 1)
            ),
            "gamma is always 2 in yours: use the argument": other(
                lambda log_p: focal(log_p, 2.0)
            ),
            "the logarithm to the power gamma: the power belongs to 1 - p": other(
                lambda log_p: (1 - log_p.exp()) * (-log_p) ** gamma
            ),
            "only the factor came: multiply it by -log p": other(
                lambda log_p: (1 - log_p.exp()) ** gamma
            ),
            "the factor is added: multiply by it": other(
                lambda log_p: (1 - log_p.exp()) ** gamma - log_p
            ),
            "the mean is taken before the power: weight each example first": (
                lambda z, y, g: focal(_log_probs(z, y).mean(), gamma)
            ),
            "a weight of 0.25 that was not asked for": other(
                lambda log_p: 0.25 * focal(log_p, gamma)
            ),
            **_price_mistakes(price, price),
        }

    for gamma in (2.0, 0.0, 0.5, 5.0):
        inputs = [(f"{name}", (*pair, gamma)) for name, pair in _batches()]
        ask.each(inputs, reference, with_gamma(gamma))


def _ways(x: Tensor, y: Tensor, xs: Tensor, ys: Tensor, alpha: float) -> Weights:
    """Return where the three descents end, from linear algebra."""
    source = _least_squares(xs, ys)
    inverse = torch.linalg.pinv(x)
    return {
        "scratch": inverse @ y,
        "fine-tuned": source + inverse @ (y - x @ source),
        "joint": _joint(x, y, xs, ys, 1.0, alpha),
    }


def _least_squares(x: Tensor, y: Tensor) -> Tensor:
    weights: Tensor = torch.linalg.pinv(x) @ y
    return weights


def _joint(
    x: Tensor, y: Tensor, xs: Tensor, ys: Tensor, target: float, source: float
) -> Tensor:
    t, s = target / len(x), source / len(xs)
    pull = t * x.T @ y + s * xs.T @ ys
    solution: Tensor = torch.linalg.solve(t * x.T @ x + s * xs.T @ xs, pull)
    return solution


def _tasks() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield regression tasks on which gradient descent is quick."""
    rng = np.random.default_rng(20260)
    for asked, n, alpha in (
        ("3 target examples, 6 weights", 3, 0.5),
        ("60 target examples, 6 weights", 60, 2.0),
        ("one target example", 1, 1.0),
        ("20 target examples with much noise", 20, 0.1),
    ):
        x = rng.standard_normal((n, 6))
        u, _, v = np.linalg.svd(x, full_matrices=False)
        x = u @ np.diag(np.linspace(0.8, 1.3, len(v)) * math.sqrt(n)) @ v
        xs = rng.standard_normal((40, 6))
        weights = rng.standard_normal(6)
        y = x @ weights + (0.1 + (n == 20)) * rng.standard_normal(n)
        ys = xs @ (weights + 0.5 * rng.standard_normal(6))
        task = (*(torch.tensor(a) for a in (x, y, xs, ys)), alpha)
        yield asked, task


@exercise(points=4)
def three_ways(ask: Ask) -> None:
    """Ask where scratch, fine-tuning and joint training end, for a linear model."""

    def changed(name: str, weights: Callable[..., Tensor]) -> Callable[..., Any]:
        return lambda *task: {**_ways(*task), name: weights(*task)}

    def source(x: Tensor, y: Tensor, xs: Tensor, ys: Tensor, alpha: float) -> Tensor:
        return _least_squares(xs, ys)

    def moving(name: str) -> Callable[..., bool]:
        def still(came: Any, x: Tensor, y: Tensor, *_: Any) -> bool:
            if not isinstance(came, dict):
                return False
            w = torch.as_tensor(np.asarray(came[name], dtype=np.float64))
            return bool((x.T @ (x @ w - y) / len(x)).abs().max() > 1e-3)

        return still

    mistakes = {
        "the fine-tuned descent starts from zero: it must start at the source's": (
            changed("fine-tuned", lambda *t: _ways(*t)["scratch"])
        ),
        "the fine-tuned weights are the source's: no step was made on the target": (
            changed("fine-tuned", source)
        ),
        "the scratch descent starts at the source's weights: it must start at zero": (
            changed("scratch", lambda *t: _ways(*t)["fine-tuned"])
        ),
        "scratch and fine-tuned are exchanged": lambda *t: {
            **_ways(*t),
            "scratch": _ways(*t)["fine-tuned"],
            "fine-tuned": _ways(*t)["scratch"],
        },
        "the scratch weights are those of the source: use the target's examples": (
            changed("scratch", source)
        ),
        "the joint objective without alpha: it weighs the source's loss": changed(
            "joint", lambda x, y, xs, ys, a: _joint(x, y, xs, ys, 1.0, 1.0)
        ),
        "alpha weighs the target's loss in yours: it belongs to the source's": changed(
            "joint", lambda x, y, xs, ys, a: _joint(x, y, xs, ys, a, 1.0)
        ),
        "the joint loss sums over examples: take the mean of each task": changed(
            "joint", lambda x, y, xs, ys, a: _joint(x, y, xs, ys, len(x), a * len(xs))
        ),
        "the joint weights are a mean of two solutions: add the losses instead": (
            changed("joint", lambda *t: (_ways(*t)["scratch"] + source(*t)) / 2)
        ),
        "the joint weights are a weighted mean of two solutions: add the losses": (
            changed(
                "joint",
                lambda *t: (_ways(*t)["scratch"] + t[4] * source(*t)) / (1 + t[4]),
            )
        ),
        "the joint weights are the fine-tuned ones: the source's loss must stay in": (
            changed("joint", lambda *t: _ways(*t)["fine-tuned"])
        ),
        "the joint weights are the source's: the target's loss is missing": (
            changed("joint", source)
        ),
        "alpha is squared": changed(
            "joint", lambda x, y, xs, ys, a: _joint(x, y, xs, ys, 1.0, a**2)
        ),
        "1 - alpha weighs the target: its weight is 1": changed(
            "joint", lambda x, y, xs, ys, a: _joint(x, y, xs, ys, 1 - a + 1e-9, a)
        ),
        "all three are the target's solution from zero": lambda *t: dict.fromkeys(
            ("scratch", "fine-tuned", "joint"), _ways(*t)["scratch"]
        ),
        "source and target are exchanged": lambda x, y, xs, ys, a: _ways(
            xs, ys, x, y, a
        ),
    }
    symptoms = {
        f"the gradient of the target's loss is not 0 at {name!r}: descend longer": (
            moving(name)
        )
        for name in ("scratch", "fine-tuned")
    }
    ask.each(_tasks(), _ways, mistakes, symptoms, tolerance=2e-3)


source_stays_inside = open_question(points=4)
