"""Checks of the exercises of the chapter on evaluating a transfer."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import special
from torch import Tensor, nn

from tlcourse.checks._asking import Ask, exercise, open_question

__all__ = [
    "careful_loop",
    "compare_runs",
    "f1_averages",
    "fair_report",
    "five_numbers",
    "twelve_backbones",
    "what_is_missing",
]

Array: TypeAlias = npt.NDArray[Any]
Mistakes: TypeAlias = dict[str, Callable[..., Any]]
Answer: TypeAlias = dict[str, Any]


@exercise(points=2)
def five_numbers(ask: Ask) -> None:
    """Ask what a blind program reaches, what a split tells, what an interval costs."""
    sound, rows = 388, 400
    f1 = 2 * sound / (rows + sound)
    accuracy = {
        "this is the share of cracked castings; the program calls all of them sound": (
            12 / rows
        ),
        "the castings are not half and half: 388 of 400 are sound": 0.5,
        "it is wrong on the twelve cracked ones": 1.0,
        "it is right on every sound casting, though it has no camera": 0.0,
        "this is a number of castings: divide by 400": 388.0,
        "write a fraction, not percent": 97.0,
    }
    auc = {
        "this is the accuracy; AUC looks at pairs of a cracked and a sound casting": (
            sound / rows
        ),
        "this is the share of cracked castings, where average precision starts": (
            12 / rows
        ),
        "every pair is a tie, and a tie counts one half, not 0": 0.0,
        "every pair is a tie, and a tie counts one half, not 1": 1.0,
        "both classes occur, so there are pairs: each of them is a tie": math.nan,
        "write a fraction, not percent": 50.0,
    }
    macro = {
        "this is the F1 of sound alone: take the mean with that of cracked": f1,
        "this is the F1 of cracked alone: take the mean with that of sound": 0.0,
        "this is micro F1, the accuracy: take the mean of the classes' F1": (
            sound / rows
        ),
        "this is weighted F1: in the macro mean both classes count alike": (
            sound / rows * f1
        ),
        "this is half of the accuracy: F1 of sound is not its precision": (
            sound / rows / 2
        ),
        "this is the mean recall: compute the F1 of each class": 0.5,
    }
    tails = {k: special.bdtr(k, 10, 0.5) for k in (1, 2)}
    p = {
        "this is one-sided: a split as uneven the other way counts as well": tails[2],
        "a split at least as uneven: 8 to 2 itself belongs to it": 2 * tails[1],
        "only 8 to 2 itself, on either side: more uneven ones count as well": (
            2 * (tails[2] - tails[1])
        ),
        "only 8 to 2 itself, on one side: add the more uneven ones and both sides": (
            tails[2] - tails[1]
        ),
        "one-sided, and 8 to 2 itself is left out": tails[1],
        "this is 1 - p": 1 - 2 * tails[2],
        "this is the chi-square approximation: add up the binomial": math.erfc(
            math.sqrt(36 / 10 / 2)
        ),
        "this is chi-square with continuity correction: add up the binomial": (
            math.erfc(math.sqrt(25 / 10 / 2))
        ),
        "this is the share of the ten that B alone gets right": 0.2,
        "this is the difference of the two accuracies": 6 / rows,
    }
    z2, spread = 1.96**2, 0.98 * 0.02
    castings = {
        "this is for z = 2: use 1.96": 4 * spread / 1e-4,
        "plus and minus 0.01: that is the half-width, not the whole width": (
            z2 * spread / 0.005**2
        ),
        "0.02 is the whole width: put the half-width 0.01 into the formula": (
            z2 * spread / 0.02**2
        ),
        "z must be squared": 1.96 * spread / 1e-4,
        "the half-width must be squared": z2 * spread / 0.01,
        "the spread is p (1 - p), not p": z2 * 0.98 / 1e-4,
        "the spread is p (1 - p), not 1 - p": z2 * 0.02 / 1e-4,
        "z is missing": spread / 1e-4,
        "p is 0.98 here, not the accuracy of the blind program": (
            z2 * 0.97 * 0.03 / 1e-4
        ),
        "p (1 - p) is under the root once: it is not squared": z2 * spread**2 / 1e-4,
        "the whole root came: square it": math.sqrt(z2 * spread / 1e-4),
        "fewer than needed: round up": 752.0,
    }
    expected = {
        "accuracy": sound / rows,
        "AUC": 0.5,
        "macro F1": f1 / 2,
        "p": 2 * tails[2],
        "castings": z2 * spread / 1e-4,
    }
    found = (accuracy, auc, macro, p, castings)
    ask.numbers(expected, dict(zip(expected, found, strict=True)), tolerance=1e-3)


@exercise(points=2)
def what_is_missing(ask: Ask) -> None:
    """Ask which measurement each of six messages leaves out."""
    right = {
        "product photos": "e4d9d5128b60",
        "best epoch": "55799cb9336f",
        "one duel": "6773d52f1d16",
        "fraud": "210088f71e28",
        "sorted list": "b953e70ebbf5",
        "old network": "d798981150e3",
    }
    hints = {
        "306db5b2364f": (
            "these photos were measured once, and nothing was chosen on them"
        ),
        "f1eb5b9b592b": (
            "what was forgotten does not say what the source was worth on the photos"
        ),
        "7e8b9c927177": "the products are equally frequent: no class is rare here",
        "ef175fd589a2": (
            "nothing here points to a wrong mode; against what is 0.95 compared?"
        ),
        "f8d49ffe7cc1": (
            "there are ten runs already; what would scratch have reached in them?"
        ),
        "6e4519073d3c": (
            "the old task does not change what was chosen here, and on what"
        ),
        "32d69f9337d7": "no class is rare here; which pictures elected the epoch?",
        "ab80df01e6be": (
            "scratch is the other method here; which pictures elected the epoch?"
        ),
        "ec71c40f315e": "a wrong mode does not make the best of many epochs too good",
        "6c3b04ea4674": (
            "there are ten paired runs already; which pictures elected the epoch?"
        ),
        "3563dcba29fa": (
            "nothing was chosen here; how many runs does the claim rest on?"
        ),
        "7f4c9ab8f881": (
            "the old task says nothing about which method is better on this one"
        ),
        "4668f6623da9": "McNemar's test counts pictures, however frequent a class is",
        "6520a19b4fab": (
            "two methods are compared; a third does not say which of them is better"
        ),
        "c6804d5bd20e": (
            "McNemar compares two networks in any mode; how many networks are there?"
        ),
        "da5d2e20ce2c": (
            "nothing was chosen here; what does it cost to answer no every time?"
        ),
        "4a8651a76daf": (
            "there is no old task here; what does it cost to answer no every time?"
        ),
        "c69f348dd562": (
            "scratch may be right as often; what about always answering no?"
        ),
        "05c880373c78": (
            "nothing here points to a wrong mode; what about always answering no?"
        ),
        "06c0d0acf369": "every run may look like this; what about always answering no?",
        "b883f1c3d9a0": (
            "nothing was chosen here; why should an answer depend on its neighbours?"
        ),
        "06a46f614329": (
            "no weight has changed; why should an answer depend on its neighbours?"
        ),
        "e262a7508280": "the same pictures have the same classes in any order",
        "805fafa917dd": (
            "no training plays a part; why should an answer depend on its neighbours?"
        ),
        "8fc03d1358f0": (
            "more runs do the same; why should an answer depend on its neighbours?"
        ),
        "f3d9fcc851f4": (
            "even an honest 0.96 speaks of the new products; what about the old ones?"
        ),
        "f1a6018a7fe5": "a metric on the new products says nothing about the old ones",
        "c79f763c6650": "scratch tells what the transfer was worth, not what was lost",
        "965f845a23fc": (
            "the mode is not in question; is what was learned before still there?"
        ),
        "18dc88897015": (
            "more runs say more about the new products; what about the old ones?"
        ),
    }
    ask.choices(right, "ABCDEF", hints)


def _tables() -> Iterator[tuple[str, tuple[Array]]]:
    """Yield confusion matrices: rows are true classes, columns are answers."""
    rng = np.random.default_rng(20270)
    rows: list[tuple[str, Any]] = [
        ("three classes", [[8, 2, 0], [1, 4, 0], [1, 0, 4]]),
        ("a rare class", [[90, 6, 1], [2, 5, 3], [9, 4, 30]]),
        ("two classes", [[50, 3], [4, 2]]),
        ("five classes", rng.integers(1, 40, (5, 5))),
        ("a class that is never answered", [[20, 5, 0], [4, 11, 0], [3, 6, 0]]),
        ("a class that is never true", [[12, 2, 3], [0, 0, 0], [5, 1, 9]]),
        ("a class that occurs nowhere", [[7, 0, 2], [0, 0, 0], [3, 0, 6]]),
        ("everything wrong", [[0, 5], [7, 0]]),
        ("everything right", np.diag([3, 50, 8, 1])),
    ]
    for asked, table in rows:
        yield asked, (np.array(table, dtype=np.int64),)


def _ratio(over: Array, under: Array) -> Array:
    found: Array = np.divide(over, under, out=np.zeros(len(under)), where=under > 0)
    return found


@exercise(points=2)
def f1_averages(ask: Ask) -> None:
    """Ask for macro, micro and weighted F1 of a confusion matrix."""

    def parts(table: Array) -> tuple[Array, Array, Array]:
        return table.diagonal().astype(float), table.sum(0), table.sum(1)

    def averaged(each: Callable[..., Array]) -> Callable[[Array], Answer]:
        def found(table: Array) -> Answer:
            right, guessed, actual = parts(table)
            f1 = each(right, guessed, actual)
            sums = [np.array([x.sum()]) for x in (right, guessed, actual)]
            weighted = f1 @ actual / actual.sum()
            return {"macro": f1.mean(), "micro": each(*sums)[0], "weighted": weighted}

        return found

    reference = averaged(lambda r, g, a: _ratio(2 * r, g + a))

    def changed(name: str, value: Callable[..., Any]) -> Callable[[Array], Answer]:
        return lambda t: {**reference(t), name: value(*parts(t))}

    def f1(right: Array, guessed: Array, actual: Array) -> Array:
        return _ratio(2 * right, guessed + actual)

    def harmonic(right: Array, guessed: Array, actual: Array) -> float:
        p, r = _ratio(right, guessed).mean(), _ratio(right, actual).mean()
        return float(2 * p * r / (p + r)) if p + r else 0.0

    def undefined(table: Array) -> Answer:
        right, guessed, actual = parts(table)
        with np.errstate(all="ignore"):
            each = 2 / (1 / (right / guessed) + 1 / (right / actual))
        mean, weighted = each.mean(), each @ actual / actual.sum()
        return {"macro": mean, "micro": reference(table)["micro"], "weighted": weighted}

    def silent(table: Array) -> Answer:
        return {k: 0.0 if np.isnan(v) else v for k, v in undefined(table).items()}

    mistakes: Mistakes = {
        "look at 'macro': this is the harmonic mean of macro precision and macro "
        "recall; take the mean of the classes' F1": changed("macro", harmonic),
        "look at 'macro': a class that occurs nowhere has F1 0, and counts": changed(
            "macro", lambda r, g, a: f1(r, g, a)[g + a > 0].mean()
        ),
        "look at 'macro': a class that is never true counts as well": changed(
            "macro", lambda r, g, a: f1(r, g, a)[a > 0].mean()
        ),
        "look at 'macro': a class that is never answered counts as well": changed(
            "macro", lambda r, g, a: f1(r, g, a)[g > 0].mean()
        ),
        "look at 'macro': a class without a hit has F1 0, and counts": changed(
            "macro", lambda r, g, a: f1(r, g, a)[r > 0].mean() if r.any() else 0.0
        ),
        "0/0 came out as nan: a class without a hit has F1 0": undefined,
        "a nan was set to 0 after the mean: set the class's F1 to 0 before": silent,
        "look at 'weighted': each class counts as often as it is true, a row's sum": (
            changed("weighted", lambda r, g, a: f1(r, g, a) @ g / g.sum())
        ),
        "look at 'weighted': divide by the number of all pictures": changed(
            "weighted", lambda r, g, a: f1(r, g, a) @ a / len(a)
        ),
        "look at 'weighted': the rarer classes do not count more": changed(
            "weighted", lambda r, g, a: f1(r, g, a) @ (a.sum() - a) / a.sum()
        ),
        "look at 'micro': add up the counts of all classes first": changed(
            "micro", lambda r, g, a: f1(r, g, a).mean()
        ),
        "look at 'micro': hits count twice in F1, 2 tp / (2 tp + fp + fn)": changed(
            "micro", lambda r, g, a: r.sum() / (g + a - r).sum()
        ),
        "hits count twice in F1: 2 tp / (2 tp + fp + fn)": averaged(
            lambda r, g, a: _ratio(r, g + a - r)
        ),
        "the factor 2 is missing: F1 is 2 tp / (2 tp + fp + fn)": averaged(
            lambda r, g, a: _ratio(r, g + a)
        ),
        "these are precisions: F1 is the harmonic mean with the recall": averaged(
            lambda r, g, a: _ratio(r, g)
        ),
        "these are recalls: F1 is the harmonic mean with the precision": averaged(
            lambda r, g, a: _ratio(r, a)
        ),
        "the plain mean of precision and recall: F1 is the harmonic one": averaged(
            lambda r, g, a: (_ratio(r, g) + _ratio(r, a)) / 2
        ),
        "the geometric mean of precision and recall: F1 is the harmonic one": averaged(
            lambda r, g, a: np.sqrt(_ratio(r, g) * _ratio(r, a))
        ),
        "all three are micro F1, the accuracy": lambda t: dict.fromkeys(
            reference(t), reference(t)["micro"]
        ),
        "macro and weighted are exchanged": lambda t: dict(
            zip(("weighted", "micro", "macro"), reference(t).values(), strict=True)
        ),
        "these are percentages: F1 lies between 0 and 1": lambda t: {
            k: 100 * v for k, v in reference(t).items()
        },
    }
    ask.each(_tables(), reference, mistakes)


def _network() -> nn.Sequential:
    """Return the network of the exercise; its weights come in a state."""
    body = nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU()
    return nn.Sequential(*body, nn.Linear(16, 3))


def _states() -> Iterator[tuple[str, tuple[dict[str, Tensor], Tensor, Tensor, int]]]:
    """Yield weights, inputs, labels and the size of a batch."""
    rng = torch.Generator().manual_seed(20271)

    def question(
        n: int, size: int, ordered: bool = False
    ) -> tuple[dict[str, Tensor], Tensor, Tensor, int]:
        state = {}
        for name, value in _network().state_dict().items():
            noise = torch.randn(value.shape, generator=rng)
            state[name] = noise if value.ndim == 2 else 0.3 * noise
        state["1.weight"] += 1
        state["1.running_var"] = 0.5 + state["1.running_var"].square()
        state["1.num_batches_tracked"] = torch.tensor(40)
        net = _network().eval()
        net.load_state_dict(state)
        inputs = 0.7 + torch.randn(n, 6, generator=rng)
        with torch.no_grad():
            logits: Tensor = net(inputs)
        labels = (logits + 2 * torch.randn(n, 3, generator=rng)).argmax(1)
        order = labels.argsort(stable=True) if ordered else torch.arange(n)
        return state, inputs[order], labels[order], size

    yield "batches of 20, the last one of 8", question(128, 20)
    yield "batches of 15, in order of class, the last one of 3", question(78, 15, True)
    yield "two batches of one size", question(40, 20)
    yield "in order of class, the last batch of 4", question(60, 28, True)
    yield "one batch", question(50, 64)
    yield "batches of one example", question(12, 1)


@exercise(points=3)
def careful_loop(ask: Ask) -> None:
    """Ask for accuracy and loss that do not depend on how a test set is batched."""

    def logits(
        state: dict[str, Tensor], x: Tensor, size: int, training: bool, learned: bool
    ) -> list[Tensor]:
        net = _network()
        net.load_state_dict(state)
        with torch.no_grad():
            if learned and size > 1:
                for part in torch.split(x, size):
                    net(part)
            net.train(training and size > 1)
            return [net(part).double() for part in torch.split(x, size)]

    def pooled(values: Sequence[Tensor], size: int) -> Tensor:
        return torch.cat([*values]).mean()

    def means(values: Sequence[Tensor], size: int) -> Tensor:
        return torch.stack([v.mean() for v in values]).mean()

    def added(values: Sequence[Tensor], size: int) -> Tensor:
        return torch.cat([*values]).sum()

    def padded(values: Sequence[Tensor], size: int) -> Tensor:
        return torch.cat([*values]).sum() / (size * len(values))

    def dropped(values: Sequence[Tensor], size: int) -> Tensor:
        kept = [v for v in values if len(v) == size]
        return pooled(kept or values, size)

    def made(
        hits: Callable[..., Tensor] = pooled,
        prices: Callable[..., Tensor] | None = None,
        change: Callable[[Tensor], Tensor] = lambda z: z,
        training: bool = False,
        learned: bool = False,
        whole: bool = False,
    ) -> Callable[..., Answer]:
        def found(state: dict[str, Tensor], x: Tensor, y: Tensor, size: int) -> Answer:
            size = len(x) if whole else size
            parts = logits(state, x, size, training, learned)
            pairs = [*zip(parts, torch.split(y, size), strict=True)]
            right = [(z.argmax(1) == t).double() for z, t in pairs]
            each = [F.cross_entropy(change(z), t, reduction="none") for z, t in pairs]
            return {"accuracy": hits(right, size), "loss": (prices or hits)(each, size)}

        return found

    reference = made()
    mistakes: Mistakes = {
        "two mistakes at once: eval() is missing, and a mean of batch means counts the "
        "last batch too much": made(means, training=True),
        "eval() is missing: an answer depends on who shares the batch": made(
            training=True
        ),
        "eval() is missing; one large batch does not mend that": made(
            training=True, whole=True
        ),
        "a mean of batch means counts the last batch too much: add up, divide by n": (
            made(means)
        ),
        "look at 'loss': a mean of batch means, and eval() is missing": made(
            pooled, means, training=True
        ),
        "look at 'loss': a mean of batch means counts the last batch too much": made(
            pooled, means
        ),
        "look at 'accuracy': a mean of batch means counts the last batch too much": (
            made(means, pooled)
        ),
        "the network has learned from the test: eval() comes before the first batch": (
            made(learned=True)
        ),
        "eval() comes too late, and a mean of batch means": made(means, learned=True),
        "the last, smaller batch is left out": made(dropped),
        "the last, smaller batch is left out, and eval() is missing": made(
            dropped, training=True
        ),
        "every batch counts as a full one: divide by the number of examples": made(
            padded
        ),
        "every batch counts as a full one, and eval() is missing": made(
            padded, training=True
        ),
        "these are sums: divide by the number of examples": made(added),
        "look at 'loss': this is a sum, divide by the number of examples": made(
            pooled, added
        ),
        "look at 'accuracy': this is the number of hits": made(added, pooled),
        "only the last batch counts": made(lambda v, size: v[-1].mean()),
        "only the first batch counts": made(lambda v, size: v[0].mean()),
        "look at 'loss': softmax applied twice, cross_entropy wants logits": made(
            change=lambda z: z.softmax(1)
        ),
        "look at 'accuracy': this is the share of mistakes": (
            lambda *a: {**reference(*a), "accuracy": 1 - reference(*a)["accuracy"]}
        ),
        "look at 'accuracy': write a fraction, not percent": (
            lambda *a: {**reference(*a), "accuracy": 100 * reference(*a)["accuracy"]}
        ),
        "accuracy and loss are exchanged": lambda *a: dict(
            zip(("loss", "accuracy"), reference(*a).values(), strict=True)
        ),
    }
    ask.each(_states(), reference, mistakes, tolerance=1e-4)


def _runs() -> Iterator[tuple[str, tuple[Array, Array]]]:
    """Yield accuracies of two methods, paired by what they share in a run."""
    rng = np.random.default_rng(20272)
    for asked, n, gain, shared, own in (
        ("five pairs that share much", 5, 0.04, 0.06, 0.02),
        ("ten pairs", 10, 0.02, 0.04, 0.04),
        ("three pairs", 3, 0.05, 0.05, 0.03),
        ("twenty pairs, the first method worse", 20, -0.03, 0.05, 0.03),
        ("two pairs", 2, 0.03, 0.04, 0.02),
        ("six pairs that share nothing", 6, 0.03, 0.0, 0.05),
    ):
        easy = shared * rng.standard_normal(n)
        first, second = 0.8 + easy + own * rng.standard_normal((2, n))
        yield asked, (np.round(first + gain, 2), np.round(second, 2))  # with ties


@exercise(points=3)
def compare_runs(ask: Ask) -> None:
    """Ask for a paired gain, its interval, and how often single runs mislead."""

    def duels(first: Array, second: Array, tie: float = 0.5) -> float:
        ahead = second[:, None] > first
        return float((ahead + tie * (second[:, None] == first)).mean())

    def spread(first: Array, second: Array, ddof: int = 1) -> float:
        return float((first - second).std(ddof=ddof))

    def made(half: Callable[..., float]) -> Callable[..., Answer]:
        def found(first: Array, second: Array) -> Answer:
            gain, wide = float((first - second).mean()), half(first, second)
            upset = duels(first, second)
            return {"gain": gain, "low": gain - wide, "high": gain + wide} | {
                "upset": upset
            }

        return found

    def t(df: float, share: float = 0.975) -> float:
        return float(special.stdtrit(df, share))

    def apart(first: Array, second: Array) -> float:
        total = first.var(ddof=1) + second.var(ddof=1)
        return math.sqrt(total / len(first))

    reference = made(lambda a, b: t(len(a) - 1) * spread(a, b) / math.sqrt(len(a)))

    def changed(**values: Callable[[Array, Array], float]) -> Callable[..., Answer]:
        return lambda a, b: reference(a, b) | {k: f(a, b) for k, f in values.items()}

    unpaired = "the interval is unpaired: take the spread of the differences"
    mistakes: Mistakes = {
        unpaired: made(lambda a, b: t(len(a) - 1) * apart(a, b)),
        f"{unpaired}, with n - 1 degrees of freedom": made(
            lambda a, b: t(2 * len(a) - 2) * apart(a, b)
        ),
        "this is the first method's own interval, moved: use the differences": made(
            lambda a, b: t(len(a) - 1) * a.std(ddof=1) / math.sqrt(len(a))
        ),
        "1.96 is for many runs: for few, use Student's factor": made(
            lambda a, b: 1.96 * spread(a, b) / math.sqrt(len(a))
        ),
        "1.96 is for many runs, and the standard deviation has divisor n - 1": made(
            lambda a, b: 1.96 * spread(a, b, 0) / math.sqrt(len(a))
        ),
        "the standard deviation has divisor n - 1": made(
            lambda a, b: t(len(a) - 1) * spread(a, b, 0) / math.sqrt(len(a))
        ),
        "divide the standard deviation by the root of n": made(
            lambda a, b: t(len(a) - 1) * spread(a, b)
        ),
        "divided by n: it is the root of n": made(
            lambda a, b: t(len(a) - 1) * spread(a, b) / len(a)
        ),
        "divided by the root of n - 1 with divisor n - 1: take one of the two": made(
            lambda a, b: t(len(a) - 1) * spread(a, b) / math.sqrt(len(a) - 1)
        ),
        "Student's factor has n - 1 degrees of freedom, not n": made(
            lambda a, b: t(len(a)) * spread(a, b) / math.sqrt(len(a))
        ),
        "a two-sided 95 % interval leaves 2.5 % on each side: ppf(0.975, n - 1)": made(
            lambda a, b: t(len(a) - 1, 0.95) * spread(a, b) / math.sqrt(len(a))
        ),
        "Student's factor is missing": made(
            lambda a, b: spread(a, b) / math.sqrt(len(a))
        ),
        "2.78 is for five runs: the factor depends on n": made(
            lambda a, b: t(4) * spread(a, b) / math.sqrt(len(a))
        ),
        "low and high are exchanged": changed(
            low=lambda a, b: reference(a, b)["high"],
            high=lambda a, b: reference(a, b)["low"],
        ),
        "low and high are distances in yours: add the gain": changed(
            low=lambda a, b: reference(a, b)["low"] - reference(a, b)["gain"],
            high=lambda a, b: reference(a, b)["high"] - reference(a, b)["gain"],
        ),
        "these are the worst and the best pair, not the ends of the interval": changed(
            low=lambda a, b: (a - b).min(), high=lambda a, b: (a - b).max()
        ),
        "the difference is turned round: first minus second": (
            lambda a, b: reference(b, a) | {"upset": duels(a, b)}
        ),
        "the methods are exchanged": lambda a, b: reference(b, a),
        "look at 'gain': keep its sign, a method may be worse": changed(
            gain=lambda a, b: abs((a - b).mean())
        ),
        "look at 'gain': the difference of the best runs is chosen; take the mean": (
            changed(gain=lambda a, b: a.max() - b.max())
        ),
        "look at 'gain': the mean over the runs, not their median": changed(
            gain=lambda a, b: float(np.median(a - b))
        ),
        "look at 'upset': this is how often the first is ahead": changed(
            upset=lambda a, b: duels(b, a)
        ),
        "look at 'upset': each run of one against each of the other, not pairs only": (
            changed(upset=lambda a, b: ((b > a) + (a == b) / 2).mean())
        ),
        "look at 'upset': not pairs only, and a tie counts one half": changed(
            upset=lambda a, b: (b > a).mean()
        ),
        "look at 'upset': a tie counts one half, not 0": changed(
            upset=lambda a, b: duels(a, b, 0)
        ),
        "look at 'upset': a tie counts one half, not 1": changed(
            upset=lambda a, b: duels(a, b, 1)
        ),
        "look at 'upset': this is the number of duels, divide by n times n": changed(
            upset=lambda a, b: duels(a, b) * len(a) ** 2
        ),
        "look at 'upset': divide by the number of duels, n times n": changed(
            upset=lambda a, b: duels(a, b) * len(a)
        ),
    }
    ask.each(_runs(), reference, mistakes, tolerance=1e-4)


Part: TypeAlias = dict[str, Array]
Parts: TypeAlias = dict[str, Part]


def _tasks() -> Iterator[tuple[str, tuple[Array, Parts, list[float], int]]]:
    """Yield a source's weights, and tasks on which few labels must do."""
    for asked, seed, n, far, steps in (
        ("a source that helps, 15 labels", 20409, 15, 0.6, 40),
        ("a source that helps, 40 labels", 20306, 40, 0.6, 40),
        ("a source that misleads, 30 labels", 20374, 30, 4.0, 4),
        ("the source's own task, 12 labels", 20367, 12, 0.0, 40),
    ):
        rng = np.random.default_rng(seed)
        target = rng.standard_normal((12, 3))
        source = target + far * rng.standard_normal((12, 3))

        def draw(
            rows: int, weights: Array, rng: np.random.Generator = rng
        ) -> dict[str, Array]:
            x = rng.standard_normal((rows, 12))
            noisy = x @ weights + rng.gumbel(size=(rows, 3))
            return {"x": x, "y": noisy.argmax(1)}

        sizes = {"train": n, "validation": 80, "test": 400}
        parts = {name: draw(rows, target) for name, rows in sizes.items()}
        parts["old"] = draw(400, source)
        start = 4.5 * source / np.linalg.norm(source)
        yield asked, (start, parts, [0.01, 0.1, 1.0], steps)


def _descended(weights: Array, part: Part, rate: float, steps: int) -> Array:
    """Return where the descent of the mean cross-entropy gets to."""
    x, y = part["x"].tobytes(), part["y"].tobytes()
    return _end(weights.tobytes(), x, y, rate, steps)


@functools.lru_cache(maxsize=1000)
def _end(weights: bytes, x: bytes, y: bytes, rate: float, steps: int) -> Array:
    """Compute it; kept, because the mistakes share most of their descents."""
    inputs, end = (
        np.frombuffer(raw).reshape(-1, k) for raw, k in ((x, 12), (weights, 3))
    )
    one_hot = np.eye(3)[np.frombuffer(y, np.int64)]
    for _ in range(steps):
        wrong = special.softmax(inputs @ end, axis=1) - one_hot
        end = end - rate * inputs.T @ wrong / len(inputs)
    return end


def _right(weights: Array, part: Part) -> float:
    return float(((part["x"] @ weights).argmax(1) == part["y"]).mean())


@exercise(points=4)
def fair_report(ask: Ask) -> None:
    """Ask for gain and forgetting, each arm with the rate that validation chose."""

    def arms(
        start: Array,
        parts: Parts,
        rates: list[float],
        steps: int,
        judge: str = "validation",
        on: str = "train",
        factor: float = 1.0,
        zero: float = 0.0,
    ) -> list[tuple[float, Array]]:
        """Return the chosen rate and the weights, for fine-tuned and for scratch."""
        found = []
        for weights in (start, zero * start):
            ends = [_descended(weights, parts[on], factor * r, steps) for r in rates]
            best = int(np.argmax([_right(w, parts[judge]) for w in ends]))
            found.append((rates[best], ends[best]))
        return found

    def told(start: Array, parts: Parts, pair: list[tuple[float, Array]]) -> Answer:
        (rate, tuned), (other, scratch) = pair
        return {
            "rate fine-tuned": rate,
            "rate scratch": other,
            "gain": _right(tuned, parts["test"]) - _right(scratch, parts["test"]),
            "forgotten": _right(start, parts["old"]) - _right(tuned, parts["old"]),
        }

    def made(**habits: Any) -> Callable[..., Answer]:
        return lambda s, p, r, n: told(s, p, arms(s, p, r, n, **habits))

    def fixed(*which: int | None) -> Callable[..., Answer]:
        """Return the report of one whose arms take a certain rate, None to choose."""

        def found(s: Array, p: Parts, r: list[float], n: int) -> Answer:
            pair = arms(s, p, r, n)
            starts = s, 0 * s
            for i, k in enumerate(which):
                if k is not None:
                    pair[i] = r[k], _descended(starts[i], p["train"], r[k], n)
            return told(s, p, pair)

        return found

    def shared(arm: int) -> Callable[..., Answer]:
        def found(s: Array, p: Parts, r: list[float], n: int) -> Answer:
            k = r.index(arms(s, p, r, n)[arm][0])
            return fixed(k, k)(s, p, r, n)

        return found

    reference = made()

    def changed(
        key: str, value: Callable[[Array, Parts, Array, Array], float]
    ) -> Callable[..., Answer]:
        def found(s: Array, p: Parts, r: list[float], n: int) -> Answer:
            pair = arms(s, p, r, n)
            return told(s, p, pair) | {key: value(s, p, pair[0][1], pair[1][1])}

        return found

    def joined(s: Array, p: Parts, r: list[float], n: int) -> Answer:
        """Make the report of one who trains the last time on validation as well."""
        both = {
            k: np.concatenate([p[a][k] for a in ("train", "validation")]) for k in "xy"
        }
        pair = [
            (rate, _descended(w, both, rate, n))
            for w, (rate, _) in zip((s, 0 * s), arms(s, p, r, n), strict=True)
        ]
        return told(s, p, pair)

    gain, lost = "look at 'gain': ", "look at 'forgotten': "
    mistakes: Mistakes = {
        "the rates are chosen on the test: choose on validation, then report": made(
            judge="test"
        ),
        "the rates are chosen on the training rows: choose on validation": made(
            judge="train"
        ),
        "the rates are chosen on the old task: choose on the target's validation": (
            made(judge="old")
        ),
        "one rate for both, chosen for fine-tuning: let scratch choose its own": (
            shared(0)
        ),
        "one rate for both, chosen for scratch: let fine-tuning choose its own": (
            shared(1)
        ),
        **{
            f"scratch always takes the rate at position {k}: let it choose as well": (
                fixed(None, k)
            )
            for k in range(3)
        },
        **{
            f"both always take the rate at position {k}: choose on validation": (
                fixed(k, k)
            )
            for k in range(3)
        },
        "scratch starts at the source's weights: it must start at zero": made(zero=1.0),
        "trained on the validation rows: they are there to choose": made(
            on="validation"
        ),
        "trained once more on training and validation rows: that was not asked": joined,
        "a sum over the rows: the loss is a mean, divide by their number": (
            lambda s, p, r, n: made(factor=len(p["train"]["x"]))(s, p, r, n)
        ),
        "divided by n times c: the gradient of the mean is divided by n": (
            lambda s, p, r, n: made(factor=1 / s.shape[1])(s, p, r, n)
        ),
        "one step too many": lambda s, p, r, n: reference(s, p, r, n + 1),
        "one step too few": lambda s, p, r, n: reference(s, p, r, n - 1),
        "a single step: make the number that is given": (
            lambda s, p, r, n: reference(s, p, r, 1)
        ),
        "the rates are exchanged": lambda *t: (
            reference(*t)
            | {
                "rate fine-tuned": reference(*t)["rate scratch"],
                "rate scratch": reference(*t)["rate fine-tuned"],
            }
        ),
        f"{gain}this is the difference on validation; report the test": changed(
            "gain",
            lambda s, p, a, b: _right(a, p["validation"]) - _right(b, p["validation"]),
        ),
        f"{gain}minus the source's accuracy on its own task, another task's figure": (
            changed(
                "gain", lambda s, p, a, b: _right(a, p["test"]) - _right(s, p["old"])
            )
        ),
        f"{gain}this is what training added; compare with scratch": changed(
            "gain", lambda s, p, a, b: _right(a, p["test"]) - _right(s, p["test"])
        ),
        f"{gain}this is the accuracy of fine-tuning; subtract that of scratch": changed(
            "gain", lambda s, p, a, b: _right(a, p["test"])
        ),
        f"{gain}scratch minus fine-tuned: turn it round": changed(
            "gain", lambda s, p, a, b: _right(b, p["test"]) - _right(a, p["test"])
        ),
        f"{gain}keep its sign, a transfer may harm": changed(
            "gain", lambda s, p, a, b: abs(_right(a, p["test"]) - _right(b, p["test"]))
        ),
        f"{gain}do not cut it off at 0, a transfer may harm": changed(
            "gain",
            lambda s, p, a, b: max(_right(a, p["test"]) - _right(b, p["test"]), 0),
        ),
        f"{gain}the difference of the best test accuracies, of rates not chosen": (
            lambda *t: reference(*t) | {"gain": made(judge="test")(*t)["gain"]}
        ),
        f"{lost}measure it on the old task": changed(
            "forgotten", lambda s, p, a, b: _right(s, p["test"]) - _right(a, p["test"])
        ),
        f"{lost}before minus after, so that a loss is positive": changed(
            "forgotten", lambda s, p, a, b: _right(a, p["old"]) - _right(s, p["old"])
        ),
        f"{lost}this is scratch, which had nothing to forget": changed(
            "forgotten", lambda s, p, a, b: _right(s, p["old"]) - _right(b, p["old"])
        ),
        f"{lost}scratch never knew the old task: compare with the source's weights": (
            changed(
                "forgotten",
                lambda s, p, a, b: _right(b, p["old"]) - _right(a, p["old"]),
            )
        ),
        f"{lost}old accuracy minus new: figures of two tasks cannot be subtracted": (
            changed(
                "forgotten",
                lambda s, p, a, b: _right(s, p["old"]) - _right(a, p["test"]),
            )
        ),
        f"{lost}this is what is left; subtract it from what was there before": changed(
            "forgotten", lambda s, p, a, b: _right(a, p["old"])
        ),
    }
    ask.each(_tasks(), reference, mistakes, tolerance=4e-3)


twelve_backbones = open_question(points=4)
