"""Checks of the exercises of the chapter on domain adaptation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tlcourse.checks._asking import Ask, Wrong, digest, exercise, open_question, show

__all__ = [
    "before_you_deliver",
    "class_frequencies",
    "coral",
    "reversed_gradient",
    "shares",
    "three_models",
    "which_method",
]

Array: TypeAlias = npt.NDArray[Any]


@exercise(points=2)
def shares(ask: Ask) -> None:
    """Ask for shares of the gap, one of them a mean, and for an accuracy."""
    helped = {
        "this is the gain: divide it by the gap between source only and oracle": 0.21,
        "divided by source only's accuracy: divide by the gap": 0.21 / 0.60,
        "divided by the oracle's accuracy: divide by the gap": 0.21 / 0.95,
        "this is a share of the oracle's accuracy: take source only from both": (
            0.81 / 0.95
        ),
        "this is the share of the gap that is left": 0.14 / 0.35,
        "the gap ends at the oracle, not at an accuracy of 1": 0.21 / 0.40,
        "a share is a fraction, not a percentage": 60.0,
    }
    harmed = {
        "the sign is wrong: this method lies below source only": 0.07 / 0.35,
        "this is the change: divide it by the gap": -0.07,
        "divided by source only's accuracy: divide by the gap": -0.07 / 0.60,
        "a share is not cut off at 0: harm must be seen": 0.0,
        "this is the share that is left: from the method to the oracle": 0.42 / 0.35,
        "the gap ends at the oracle, not at an accuracy of 1": -0.07 / 0.40,
        "a share is a fraction, not a percentage": -20.0,
    }
    needed = {
        "this is the gain: add source only's accuracy": 0.14,
        "this is a share of the oracle's accuracy: start at source only": 0.38,
        "this is 40 % more than source only: take 40 % of the gap": 0.84,
        "counted down from the oracle: a share is counted up from source only": 0.81,
        "the gap ends at the oracle, not at an accuracy of 1": 0.76,
        "the 40 % belong to the gap: multiply first, then add": 1.00,
    }
    averaged = {
        "gains and gaps were averaged first: take each seed's own share": 0.26 / 0.55,
        "this is the first seed's share alone": 0.6,
        "this is the second seed's share alone": 0.25,
        "this is the sum: divide by the number of seeds": 0.85,
        "this is the mean gain: divide each seed's gain by its gap": 0.13,
        "the second seed has its own ends: use them": 0.5 * (0.21 + 0.15) / 0.35,
        "a share is a fraction, not a percentage": 42.5,
    }
    expected = {"helped": 0.6, "harmed": -0.2, "needed": 0.74, "averaged": 0.425}
    mistakes = (helped, harmed, needed, averaged)
    ask.numbers(expected, dict(zip(expected, mistakes, strict=True)))


@exercise(points=2)
def which_method(ask: Ask) -> None:
    """Ask which statement is true of which method."""
    right = {
        "AdaBN": "29ca93bdaa58",
        "Deep CORAL": "fb328bf92ef5",
        "DANN": "00d610363ad1",
        "information maximisation": "bde96c41db3c",
        "pseudo-labels": "d94df22a6fbd",
        "neighbour labels": "b8ed42080177",
    }
    needs = {
        "A": "A needs guesses that are kept where they are sure, and trained on",
        "B": "B needs a method that takes no training step",
        "C": "C needs a graph of neighbours among the target's pictures",
        "D": "D needs a domain classifier",
        "E": "E needs a penalty on the answers, not on the features",
        "F": "F needs a penalty on covariances and on nothing else",
    }
    hints = {digest(key, c): said for key in right for c, said in needs.items()}
    ask.choices(right, "ABCDEF", hints)


def _covariance(x: Tensor) -> Tensor:
    return torch.cov(x.double().T).reshape(x.shape[1], x.shape[1])


def _samples() -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield an example by hand, random samples, and samples on which means matter."""
    rng = torch.Generator().manual_seed(20261)

    def sample(n: int, d: int) -> Tensor:
        mix = torch.randn(d, d, generator=rng, dtype=torch.float64)
        return torch.randn(n, d, generator=rng, dtype=torch.float64) @ mix + 2

    small = torch.tensor([[0.0, 0.0], [2.0, 2.0]], dtype=torch.float64)
    yield "random features", (sample(6, 3), sample(9, 3))
    yield "two rows, and the same doubled", (small, 2 * small)
    yield "single precision", (sample(8, 5).float(), sample(5, 5).float())
    yield "one feature", (sample(4, 1), sample(12, 1))
    moved = sample(20, 4)
    yield "the same rows, moved by 100", (moved, moved + 100)
    yield "many rows", (sample(300, 8), sample(200, 8))


@exercise(points=2)
def coral(ask: Ask) -> None:
    """Ask for the penalty of Deep CORAL."""

    def gap(
        covariance: Callable[[Tensor], Tensor],
        price: Callable[[Tensor, int], Tensor] = lambda c, d: (
            c.square().sum() / (4 * d * d)
        ),
    ) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda s, t: price(covariance(s) - covariance(t), s.shape[1])

    def common(s: Tensor, t: Tensor) -> Tensor:
        middle = torch.cat([s, t]).double().mean(0)
        s, t = s.double() - middle, t.double() - middle
        found = s.T @ s / (len(s) - 1) - t.T @ t / (len(t) - 1)
        return found.square().sum() / (4 * s.shape[1] ** 2)

    def raw(x: Tensor) -> Tensor:
        return x.double().T @ x.double() / (len(x) - 1)

    def means(s: Tensor, t: Tensor) -> Tensor:
        return (s.double().mean(0) - t.double().mean(0)).square()

    cov, reference = _covariance, gap(_covariance)
    mistakes: dict[str, Callable[..., Any]] = {
        "the covariance divides by n - 1, yours by n": gap(
            lambda x: cov(x) * (len(x) - 1) / len(x)
        ),
        "the features are not centred: take each domain's mean away first": gap(raw),
        "not centred, and divided by n: take the means away, divide by n - 1": gap(
            lambda x: raw(x) * (len(x) - 1) / len(x)
        ),
        "both domains are centred at their common mean: each has its own": common,
        "the factor 1 / (4 d^2) is missing": gap(cov, lambda c, d: c.square().sum()),
        "divided by d^2: the 4 is missing": gap(
            cov, lambda c, d: c.square().sum() / d**2
        ),
        "divided by 4 d: the d must be squared": gap(
            cov, lambda c, d: c.square().sum() / (4 * d)
        ),
        "divided by 4 only: the d^2 is missing": gap(
            cov, lambda c, d: c.square().sum() / 4
        ),
        "the mean over d^2 entries, and divided by d^2 once more": gap(
            cov, lambda c, d: c.square().mean() / (4 * d * d)
        ),
        "divided by (4 d)^2: only the d is squared": gap(
            cov, lambda c, d: c.square().sum() / (4 * d) ** 2
        ),
        "the norm is not squared": gap(
            cov, lambda c, d: c.square().sum().sqrt() / (4 * d * d)
        ),
        "the differences are not squared, only made positive": gap(
            cov, lambda c, d: c.abs().sum() / (4 * d * d)
        ),
        "the differences are summed with their signs: square each": gap(
            cov, lambda c, d: c.sum() / (4 * d * d)
        ),
        "the sum is squared: square each entry, then add": gap(
            cov, lambda c, d: c.sum() ** 2 / (4 * d * d)
        ),
        "this is the largest singular value: the norm adds all squared entries": gap(
            cov, lambda c, d: torch.linalg.matrix_norm(c, 2) ** 2 / (4 * d * d)
        ),
        "only the variances are compared: the covariances count as well": gap(
            cov, lambda c, d: c.diagonal().square().sum() / (4 * d * d)
        ),
        "these are correlations: do not divide by the deviations": gap(
            lambda x: torch.corrcoef(x.double().T).reshape(x.shape[1], x.shape[1])
        ),
        "the means are compared, which Deep CORAL does not see": (
            lambda s, t: means(s, t).sum()
        ),
        "the means are compared as well: leave them out": (
            lambda s, t: reference(s, t) + means(s, t).sum()
        ),
        "the mean difference is added, as a mean: leave it out": (
            lambda s, t: reference(s, t) + means(s, t).mean()
        ),
        "the covariances are added: take their difference": (
            lambda s, t: (cov(s) + cov(t)).square().sum() / (4 * s.shape[1] ** 2)
        ),
    }
    ask.each(_samples(), reference, mistakes)


def _played() -> Iterator[tuple[str, tuple[Tensor, Tensor, Tensor, float]]]:
    """Yield features, domains, a classifier's slope, and the weight of the reversal."""
    rng = torch.Generator().manual_seed(20262)
    for asked, n, d, weight, scale in (
        ("ten rows", 10, 4, 0.5, 1.0),
        ("a weight above 1", 7, 3, 2.0, 1.0),
        ("a weight of 0", 6, 3, 0.0, 1.0),
        ("single precision", 12, 5, 0.3, 1.0),
        ("one row", 1, 2, 1.0, 1.0),
        ("scores of some thousands", 8, 3, 0.7, 1000.0),
    ):
        features = scale * torch.randn(n, d, generator=rng, dtype=torch.float64)
        slope = torch.randn(d, generator=rng, dtype=torch.float64)
        is_target = (torch.arange(n) >= n // 3).double()
        if asked == "single precision":
            features, slope = features.float(), slope.float()
            is_target = is_target.float()
        yield asked, (features, is_target, slope, weight)


@exercise(points=3)
def reversed_gradient(ask: Ask) -> None:
    """Ask what comes back from DANN's domain loss, before and behind the reversal."""

    def both(
        change: Callable[..., Tensor] = lambda p, y: p - y,
        body: Callable[[float], float] = lambda weight: -weight,
        head: Callable[[float], float] = lambda weight: 1.0,
        count: Callable[[Tensor], float] = len,
    ) -> Callable[..., dict[str, Tensor]]:
        def found(x: Tensor, y: Tensor, a: Tensor, weight: float) -> dict[str, Tensor]:
            x, y, a = x.double(), y.double(), a.double()
            wrong = change((x @ a).sigmoid(), y) / count(x)
            return {
                "features": body(weight) * wrong[:, None] * a,
                "slope": head(weight) * x.T @ wrong,
            }

        return found

    reference = both()

    def scores(x: Tensor, y: Tensor, a: Tensor, weight: float) -> dict[str, Tensor]:
        wrong = (x @ a - y).double() / len(x)
        back = -weight * wrong[:, None] * a
        return {"features": back, "slope": x.double().T @ wrong}

    mistakes = {
        "nothing is turned round: before the reversal the sign must change": both(
            body=lambda w: w
        ),
        "neither turned nor weighted: before the reversal, times minus the weight": (
            both(body=lambda w: 1.0)
        ),
        "the weight is missing before the reversal": both(body=lambda w: -1.0),
        "the domain classifier's gradient is turned as well: it lies behind": both(
            head=lambda w: -w
        ),
        "the domain classifier's sign is turned: it must descend its loss": both(
            head=lambda w: -1.0
        ),
        "the weight counts for the domain classifier: it gets the full gradient": both(
            head=lambda w: w
        ),
        "the domain classifier is turned in place of the body": both(
            body=lambda w: 1.0, head=lambda w: -w
        ),
        "a plain loss times the weight: there is no reversal in yours": both(
            body=lambda w: w, head=lambda w: w
        ),
        "the loss is a mean: divide by the number of rows": both(count=lambda x: 1.0),
        "divided by n - 1: the mean divides by the number of rows": both(
            count=lambda x: max(len(x) - 1, 1)
        ),
        "divided by n times d: divide by the number of rows": both(
            count=lambda x: x.numel()
        ),
        "source and target are exchanged: 1 stands for the target": both(
            lambda p, y: p - (1 - y)
        ),
        "the labels are not subtracted: the slope of the loss is p - y": both(
            lambda p, y: p
        ),
        "y - p: the slope of the loss with respect to the score is p - y": both(
            lambda p, y: y - p
        ),
        "this is the squared error's slope, which fades where p is near 0 or 1": both(
            lambda p, y: 2 * (p - y) * p * (1 - p)
        ),
        "rounded to 0 or 1: take the loss of the score, not of the probability": both(
            lambda p, y: (p - y) * p * (1 - p) / (p * (1 - p)).clamp_min(1e-12)
        ),
        "the sigmoid's slope is too much: with the logarithm it cancels": both(
            lambda p, y: (p - y) * p * (1 - p)
        ),
        "the weight is squared": both(body=lambda w: -w * w),
        "1 minus the weight: the factor is minus the weight": both(
            body=lambda w: 1 - w
        ),
        "the sigmoid is missing: the score is not a probability": scores,
        "the slope is missing: the chain rule multiplies by it": (
            lambda x, y, a, w: (
                reference(x, y, a, w)
                | {"features": reference(x, y, a, w)["features"] / a}
            )
        ),
        "the two are exchanged: features have n rows, the slope has d numbers": (
            lambda x, y, a, w: dict(
                zip(("slope", "features"), reference(x, y, a, w).values(), strict=True)
            )
        ),
    }
    ask.each(_played(), reference, mistakes)


def _guessed() -> Iterator[tuple[str, tuple[Array, Array, Array, int]]]:
    """Yield guesses and labels of the source, guesses on the target, and classes."""
    rng = np.random.default_rng(20263)
    for asked, source, target, right in (
        ("two classes, the second rare", (0.5, 0.5), (0.9, 0.1), 0.8),
        ("three classes", (0.2, 0.3, 0.5), (0.6, 0.3, 0.1), 0.7),
        ("four classes, few guesses", (0.4, 0.1, 0.2, 0.3), (0.1, 0.1, 0.6, 0.2), 0.6),
        ("a class that the target lacks", (0.3, 0.3, 0.4), (0.0, 0.5, 0.5), 0.6),
    ):
        c = len(source)
        n, m = (400, 700) if c < 4 else (150, 90)
        labels, hidden = (
            np.repeat(np.arange(c), np.rint(size * np.array(part)).astype(int))
            for size, part in ((n, source), (m, target))
        )
        chance = np.eye(c) * right + (1 - right) * rng.dirichlet(np.ones(c), c)

        def guess(of: Array, chance: Array = chance, c: int = c) -> Array:
            return np.array([rng.choice(c, p=chance[k]) for k in of])

        guesses, seen = guess(labels), guess(hidden)
        if asked == "a class that the target lacks":
            seen = seen[seen > 0]  # fewer than the matrix can explain
        order = rng.permutation(len(labels))
        yield asked, (guesses[order], labels[order], rng.permutation(seen), c)


@exercise(points=3)
def class_frequencies(ask: Ask) -> None:
    """Ask for the target's class frequencies from guesses and a confusion matrix."""

    def counts(x: Array, c: int) -> Array:
        return np.bincount(x, minlength=c) / len(x)

    def joint(guesses: Array, labels: Array, c: int) -> Array:
        table: Array = np.zeros((c, c))
        np.add.at(table, (guesses, labels), 1 / len(labels))
        return table  # rows are guesses, columns are labels

    def tidy(p: Array) -> Array:
        kept: Array = np.clip(p, 0, None)
        kept /= np.maximum(kept.sum(), 1e-12)
        return kept

    def solved(table: Array, q: Array) -> Array:
        found: Array = np.linalg.pinv(table) @ q
        return found

    def bare(g: Array, y: Array, t: Array, c: int) -> Array:
        table = joint(g, y, c)
        return solved(table / table.sum(0), counts(t, c))

    def reference(g: Array, y: Array, t: Array, c: int) -> Array:
        return tidy(bare(g, y, t, c))

    def by_guess(g: Array, y: Array, c: int) -> Array:
        table = joint(g, y, c)
        number: Array = table.sum(1, keepdims=True)
        return table / np.maximum(number, 1e-12)

    mistakes: dict[str, Callable[..., Any]] = {
        "these are the frequencies of the guesses: undo the confusions": (
            lambda g, y, t, c: counts(t, c)
        ),
        "these are the source's frequencies": lambda g, y, t, c: counts(y, c),
        "these are the frequencies of the guesses on the source": (
            lambda g, y, t, c: counts(g, c)
        ),
        "equal shares are what should not be assumed": (
            lambda g, y, t, c: np.full(c, 1 / c)
        ),
        "a frequency below 0 is left: set it to 0, then divide by the sum": bare,
        "set to 0, but not divided by the sum afterwards": (
            lambda g, y, t, c: np.clip(bare(g, y, t, c), 0, None)
        ),
        "the sign of a negative frequency is dropped: set it to 0": (
            lambda g, y, t, c: np.abs(bare(g, y, t, c)) / np.abs(bare(g, y, t, c)).sum()
        ),
        "these are ratios of target to source: multiply by the source's frequencies": (
            lambda g, y, t, c: np.clip(solved(joint(g, y, c), counts(t, c)), 0, None)
        ),
        "these are ratios, made to sum to 1: multiply by the source's frequencies": (
            lambda g, y, t, c: tidy(solved(joint(g, y, c), counts(t, c)))
        ),
        "the matrix is transposed: a column belongs to a true class": (
            lambda g, y, t, c: tidy(
                solved((joint(g, y, c) / joint(g, y, c).sum(0)).T, counts(t, c))
            )
        ),
        "guesses and labels of the source are exchanged": (
            lambda g, y, t, c: reference(y, g, t, c)
        ),
        "each guess is divided by its own number: divide by that of the true class": (
            lambda g, y, t, c: tidy(solved(by_guess(g, y, c), counts(t, c)))
        ),
        "multiplied by the matrix: solve the system, the confusions are to be undone": (
            lambda g, y, t, c: tidy(
                joint(g, y, c) / joint(g, y, c).sum(0) @ counts(t, c)
            )
        ),
        "true classes given a guess, taken from the source: that share shifts too": (
            lambda g, y, t, c: tidy(by_guess(g, y, c).T @ counts(t, c))
        ),
        "only the right guesses are used: confusions count as well": (
            lambda g, y, t, c: tidy(
                counts(t, c)
                / np.maximum(np.diag(joint(g, y, c) / joint(g, y, c).sum(0)), 1e-12)
            )
        ),
        "these are numbers of pictures: divide by their sum": (
            lambda g, y, t, c: reference(g, y, t, c) * len(t)
        ),
        "these are percentages: frequencies sum to 1": (
            lambda g, y, t, c: 100 * reference(g, y, t, c)
        ),
        "a softmax is no way to make numbers sum to 1 here: divide by the sum": (
            lambda g, y, t, c: np.exp(bare(g, y, t, c)) / np.exp(bare(g, y, t, c)).sum()
        ),
    }
    ask.each(_guessed(), reference, mistakes, tolerance=1e-4)


class _Task(NamedTuple):
    """What a learner gets, and apart from it the labels of the test."""

    source_x: Array
    source_y: Array
    pool: Array
    hidden: Array
    test_x: Array
    test_y: Array
    print_x: Array
    print_y: Array


def _task(seed: int) -> _Task:
    """Return four classes whose features move and stretch on the way to the target."""
    rng = np.random.default_rng(seed)
    centres = 3.2 * np.linalg.qr(rng.standard_normal((8, 8)))[0][:4]

    def draw(n: int) -> tuple[Array, Array]:
        labels = rng.permutation(np.arange(n) % 4)
        return centres[labels] + rng.standard_normal((n, 8)), labels

    scale = rng.permutation(np.geomspace(0.4, 4.0, 8))
    offset = rng.permutation(np.linspace(2, 6, 8)) * rng.choice([-1, 1], 8)
    (sx, sy), (px, py), (tx, ty), (vx, vy) = (draw(n) for n in (240, 240, 200, 120))
    return _Task(sx, sy, px * scale + offset, py, tx * scale + offset, ty, vx, vy)


_KEYS = ("source only", "adapted", "oracle")
_MOVED = "a target whose features move and stretch"


def _answers(ask: Ask, asked: str, given: tuple[Array, ...]) -> dict[str, Array]:
    """Call, and return three rows of class indices."""
    came, n = ask.call(asked, given), len(given[-1])
    must = f"a dict of {n} class indices each for {', '.join(map(repr, _KEYS))}"
    if not isinstance(came, dict) or set(came) != set(_KEYS):
        hint = "return a dict with these three keys, spelled like this"
        raise Wrong(asked, must, show(came), hint)
    found = {}
    for key in _KEYS:
        try:
            found[key] = np.asarray(came[key], dtype=np.float64)
        except (TypeError, ValueError):
            hint = f"look at {key!r}: class indices are numbers"
            raise Wrong(asked, must, show(came[key]), hint) from None
        if found[key].shape != (n,):
            hint = f"look at {key!r}: one class index for each row of test_x"
            raise Wrong(asked, must, show(came[key]), hint)
    return found


@exercise(points=4)
def three_models(ask: Ask) -> None:
    """Ask for source only, an adapted model and an oracle that see what they may."""
    for number, seed in enumerate((20264, 20265, 20266)):
        task = _task(seed)
        first = _answers(ask, _MOVED, task[:5])
        questions = [] if number else _again(task, np.random.default_rng(seed))
        for asked, keys, hint, given, rows in questions:
            again = _answers(ask, asked, given)
            for key in keys:
                differ = int((again[key] != first[key][rows]).sum())
                if differ:
                    came = f"{differ} of {len(again[key])} answers of {key!r} differ"
                    must = "the same answers as before"
                    raise Wrong(asked, must, came, hint.replace("KEY", repr(key)))
        _judge(ask, task, first)


def _again(
    task: _Task, rng: np.random.Generator
) -> Iterator[tuple[str, Sequence[str], str, tuple[Array, ...], Array | slice]]:
    """Yield questions that must leave the answers of some models as they were."""
    every, given = slice(None), task[:5]
    hint = "look at KEY: fix each seed, a result must be repeatable"
    yield "the same arguments once more", _KEYS, hint, given, every
    hint = (
        "an answer of KEY depends on the other rows of test_x: take means and "
        "deviations from the rows to train on, or from the pool"
    )
    one = task.test_y == 0
    asked = "the rows of one class as test_x"
    yield asked, _KEYS, hint, (*given[:4], task.test_x[one]), one
    hint = "KEY uses hidden: only the oracle may see the target's labels"
    changed = (*given[:3], rng.permutation(task.hidden), given[4])
    yield "other labels in hidden", _KEYS[:2], hint, changed, every
    hint = "KEY uses the pool: it knows the source and nothing else"
    changed = (*given[:2], 3 * task.pool - 5, *given[3:])
    yield "another pool", _KEYS[:1], hint, changed, every
    hint = "KEY uses the source: it is trained on pool and hidden alone"
    changed = (given[0], rng.permutation(task.source_y), *given[2:])
    yield "other labels of the source", _KEYS[2:], hint, changed, every


def _judge(ask: Ask, task: _Task, first: dict[str, Array]) -> None:
    """Raise Wrong if a model is no good where it should be, or closes too little."""
    asked = "new rows of the source as test_x"
    printed = _answers(ask, asked, (*task[:4], task.print_x))["source only"]
    at_home = float((printed == task.print_y).mean())
    if at_home < 0.85:
        hint = (
            "'source only' fails on the source itself: train it on source_x, source_y"
        )
        raise Wrong(asked, "0.85 right or more", f"{at_home:.2f} right", hint)
    right = {key: float((first[key] == task.test_y).mean()) for key in _KEYS}
    came = ", ".join(f"{key} {value:.2f}" for key, value in right.items())
    gap = right["oracle"] - right["source only"]
    if right["oracle"] < 0.8:
        hint = "'oracle' is too often wrong: train it on pool and hidden"
        raise Wrong(_MOVED, "an oracle with 0.80 right or more", came, hint)
    closed = (right["adapted"] - right["source only"]) / max(gap, 0.01)
    if closed < 0.7:
        hint = "'adapted' closes too little of the gap"
        if (first["adapted"] == first["source only"]).all():
            hint = "'adapted' answers like 'source only': does it use the pool?"
        elif closed < 0:
            hint = "'adapted' does harm: is each domain brought to the same scale?"
        raise Wrong(_MOVED, "0.7 of the gap closed, or more", came, hint)


before_you_deliver = open_question(points=4)
