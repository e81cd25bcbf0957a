"""Checks of the exercises of the chapter on concepts and theory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.stats import kstest
from sklearn.linear_model import LogisticRegression

from tlcourse.checks._asking import Ask, Wrong, exercise, open_question, show

__all__ = [
    "buy_labels",
    "misleading",
    "mmd",
    "proof_terms",
    "proxy_distance",
    "the_terms",
    "which_shift",
]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Question: TypeAlias = tuple[str, tuple[Any, ...]]


@exercise(points=2)
def which_shift(ask: Ask) -> None:
    """Ask for the kind of shift in five cases."""
    right = {
        "wording": "0b88c87235f2",
        "children": "2b9548835803",
        "churn": "80ff500d9f3c",
        "scratches": "be143aeb2511",
        "urgency": "3c5a635631a4",
    }
    hints = {
        "f8b088316420": "as many mails are spam as before; they read otherwise",
        "b28317b8a9e9": "what counts as spam has stayed; other mails occur",
        "0fd8172d24b4": "the labels are spam and no spam, before and after",
        "c8870df204be": "the findings are as frequent as before; the pictures differ",
        "23949233ad2d": "a finding is read off a picture in the same way",
        "594d7f78d84e": "the findings to choose from are the same",
        "e4ff7f8424c7": "P(X) moves, but only because P(Y) does; what stays?",
        "a79b4e72802e": "leavers look as they always did, so the other factor is P(Y)",
        "ce02588241eb": "to leave or to stay: these are the labels in both years",
        "afe6f83a859c": "the pictures are the same; it is their labels that change",
        "0a80fa3d0e81": "more are defective, but by a new rule for the same picture",
        "809a076d5f9f": "defective or not: the labels are the same two",
        "3960a6e8e48d": "the tickets are the same; what is asked about them?",
        "ea5dd023eb83": "departments and degrees of urgency are other labels",
        "d700623c07bb": "a new rule for old labels, or new labels?",
    }
    ask.choices(right, "ABCD", hints)


@exercise(points=2)
def the_terms(ask: Ask) -> None:
    """Ask for a distance, the bound's sum, and what joint error alone implies."""
    distance = {
        "this is 1 - 2 times the error: the distance is twice that": 0.9,
        "this is the accuracy of the domain classifier": 0.95,
        "this is the error of the domain classifier": 0.05,
        "this is twice the accuracy: the formula is 2 (1 - 2 error)": 1.9,
        "the accuracy stands where the error belongs": -1.8,
        "the error is 0.05, five of a hundred": 2 * (1 - 2 * 0.5),
        "the error is 0.05, not 0.005": 2 * (1 - 2 * 0.005),
    }
    total = {
        "the whole distance: the bound takes half of it": 1.94,
        "the joint error is missing: it is the bound's last term": 0.92,
        "the source error is missing: it is the bound's first term": 1.02,
        "the distance is missing: half of it is the bound's second term": 0.14,
        "the joint error is the sum over both sides, not their mean": 0.98,
        "only the head's target error: the joint error sums both sides": 1.01,
        "only the head's source error: the joint error sums both sides": 0.95,
        "a bound need not stop at 1: that it says nothing is the finding": 1.0,
        "a quarter of the distance: the bound takes half of it": 0.59,
    }
    least = {
        "this is the joint error: take the source error from it": 0.12,
        "you added the source error: subtract it": 0.14,
        "this is an upper bound; how small can the target error at least be?": 1.04,
        "0 is ruled out: both errors together are at least the joint error": 0.0,
        "the joint error is the sum of both sides; take the source error from it": (
            0.07
        ),
        "this is the target error of the other head: use the joint error": 0.09,
        "the sign is wrong: joint error minus source error": -0.1,
        "half of the joint error is no limit for the target alone": 0.06,
    }
    mistakes = {"distance": distance, "sum": total, "at least": least}
    ask.numbers({"distance": 1.8, "sum": 1.04, "at least": 0.1}, mistakes)


def _apart(first: Ints, second: Ints) -> float:
    return float(np.mean(np.asarray(first) != np.asarray(second)))


def _terms(ys: Ints, hs: Ints, bs: Ints, yt: Ints, ht: Ints, bt: Ints) -> Any:
    """Return the terms of the proof, from labels and two classifiers' answers."""
    return {
        "source": _apart(hs, ys),
        "target": _apart(ht, yt),
        "joint": _apart(bs, ys) + _apart(bt, yt),
        "bracket": _apart(ht, bt) - _apart(hs, bs),
    }


def _answers() -> Iterator[Question]:
    """Yield labels and answers of two classifiers, on samples of unequal size."""
    rng = np.random.default_rng(20271)

    def side(n: int, classes: int, wrong: float, best: float) -> tuple[Ints, ...]:
        labels = rng.integers(classes, size=n)
        found = [labels]
        for share in (wrong, best):
            other = (labels + rng.integers(1, classes, n)) % classes
            found.append(np.where(rng.random(n) < share, other, labels))
        return tuple(found)

    yield "40 and 60 examples", (*side(40, 3, 0.15, 0.2), *side(60, 3, 0.5, 0.3))
    yield "90 and 30 examples", (*side(90, 5, 0.4, 0.1), *side(30, 5, 0.2, 0.15))
    yield "two classes", (*side(50, 2, 0.3, 0.1), *side(35, 2, 0.45, 0.2))
    yield "ten classes", (*side(200, 10, 0.05, 0.1), *side(80, 10, 0.6, 0.4))
    yield "faultless on the source", (*side(20, 4, 0, 0), *side(30, 4, 0.5, 0.1))
    yield "one example each", (*side(1, 3, 1, 0), *side(1, 3, 0, 1))


@exercise(points=3)
def proof_terms(ask: Ask) -> None:
    """Ask for the terms of the proof's middle line, on samples."""

    def other(name: str, value: Callable[..., float]) -> Callable[..., Any]:
        return lambda *given: {**_terms(*given), name: value(*given)}

    def scaled(change: Callable[[float, int, int], float]) -> Callable[..., Any]:
        return lambda *given: {
            key: change(value, len(given[0]), len(given[3]))
            for key, value in _terms(*given).items()
        }

    def counts(ys: Ints, hs: Ints, bs: Ints, yt: Ints, ht: Ints, bt: Ints) -> Any:
        n, m = len(ys), len(yt)
        return {
            "source": n * _apart(hs, ys),
            "target": m * _apart(ht, yt),
            "joint": n * _apart(bs, ys) + m * _apart(bt, yt),
            "bracket": m * _apart(ht, bt) - n * _apart(hs, bs),
        }

    def pooled(ys: Ints, hs: Ints, bs: Ints, yt: Ints, ht: Ints, bt: Ints) -> float:
        return _apart(np.append(bs, bt), np.append(ys, yt))

    mistakes = {
        "these are counts: divide each by the number of its side's examples": counts,
        "these are shares of agreement: errors are shares of disagreement": (
            lambda *g: {
                "source": 1 - _terms(*g)["source"],
                "target": 1 - _terms(*g)["target"],
                "joint": 2 - _terms(*g)["joint"],
                "bracket": -_terms(*g)["bracket"],
            }
        ),
        "percent: errors are fractions": scaled(lambda value, n, m: 100 * value),
        "the bracket's sign is wrong: target minus source": other(
            "bracket", lambda *g: -_terms(*g)["bracket"]
        ),
        "the bracket has a sign: leave the absolute value out": other(
            "bracket", lambda *g: abs(_terms(*g)["bracket"])
        ),
        "the source error compares h with the labels; yours compares h with h*": other(
            "source", lambda ys, hs, bs, yt, ht, bt: _apart(hs, bs)
        ),
        "the bracket compares h with h*; yours compares h with the labels": other(
            "bracket", lambda ys, hs, bs, yt, ht, bt: _apart(ht, yt) - _apart(hs, ys)
        ),
        "the bracket compares h with h*; yours compares h* with the labels": other(
            "bracket", lambda ys, hs, bs, yt, ht, bt: _apart(bt, yt) - _apart(bs, ys)
        ),
        "the bracket is a difference; yours is a sum": other(
            "bracket", lambda ys, hs, bs, yt, ht, bt: _apart(ht, bt) + _apart(hs, bs)
        ),
        "the bracket stands alone in the proof: no factor of one half": other(
            "bracket", lambda *g: _terms(*g)["bracket"] / 2
        ),
        "twice the bracket: the factor 2 belongs to the distance of the bound": other(
            "bracket", lambda *g: 2 * _terms(*g)["bracket"]
        ),
        "the bracket needs both domains; yours has the target only": other(
            "bracket", lambda ys, hs, bs, yt, ht, bt: _apart(ht, bt)
        ),
        "the joint error is a sum; yours is the mean": other(
            "joint", lambda *g: _terms(*g)["joint"] / 2
        ),
        "the joint error pools all examples in yours: add the two errors": other(
            "joint", pooled
        ),
        "the joint error is that of h*; yours is that of h": other(
            "joint", lambda ys, hs, bs, yt, ht, bt: _apart(hs, ys) + _apart(ht, yt)
        ),
        "the joint error needs the target as well": other(
            "joint", lambda ys, hs, bs, yt, ht, bt: _apart(bs, ys)
        ),
        "the joint error needs the source as well": other(
            "joint", lambda ys, hs, bs, yt, ht, bt: _apart(bt, yt)
        ),
        "source and target are exchanged": lambda *g: _terms(*g[3:], *g[:3]),
        "h and h* are exchanged": lambda ys, hs, bs, yt, ht, bt: _terms(
            ys, bs, hs, yt, bt, ht
        ),
        "the source error is that of h; yours is that of h*": other(
            "source", lambda ys, hs, bs, yt, ht, bt: _apart(bs, ys)
        ),
        "the target error is that of h; yours is that of h*": other(
            "target", lambda ys, hs, bs, yt, ht, bt: _apart(bt, yt)
        ),
    }
    ask.each(_answers(), _terms, mistakes)


def _kernel(a: Floats, b: Floats, width: float) -> Floats:
    found: Floats = np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2))
    return found


def _own(k: Floats) -> float:
    """Return the mean over pairs of two different elements."""
    return float((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)))


def _mmd(
    source: Floats,
    target: Floats,
    width: float,
    *,
    kernel: Callable[..., Floats] = _kernel,
    own: Callable[[Floats], float] = _own,
    parts: tuple[float, float, float] = (1, 1, 2),
) -> float:
    x, y = np.asarray(source, dtype=float), np.asarray(target, dtype=float)
    within = parts[0] * own(kernel(x, x, width)) + parts[1] * own(kernel(y, y, width))
    return within - parts[2] * float(kernel(x, y, width).mean())


@exercise(points=3)
def mmd(ask: Ask) -> None:
    """Ask for the unbiased squared MMD with a Gaussian kernel."""
    rng = np.random.default_rng(20272)

    def other(**changed: Any) -> Callable[..., float]:
        return lambda *given: _mmd(*given, **changed)

    def gaussian(power: Callable[[Floats, float], Floats]) -> Callable[..., float]:
        return other(kernel=lambda a, b, w: np.exp(-power(cdist(a, b), w)))

    def root(*given: Any) -> float:
        return float(np.sqrt(max(_mmd(*given), 0)))

    x, y = rng.standard_normal((7, 3)), rng.standard_normal((5, 3)) + 1
    large = rng.standard_normal((2, 60, 4))
    questions: list[Question] = [
        ("7 and 5 rows", (x, y, 1.5)),
        ("a small width", (y, 2 * x, 0.6)),
        ("a large width", (2 * x, y + 1, 4.0)),
        ("two and three rows", (x[:2], y[:3], 1.0)),
        ("one distribution: the estimate may be below 0", (*large, 2.0)),
        ("single precision", (x.astype(np.float32), y.astype(np.float32), 1.0)),
        ("far apart", (x, y + 6, 1.0)),
        ("one feature", (x[:, :1], y[:, :1], 0.5)),
    ]
    mistakes = {
        "pairs of a row with itself are in the mean: leave the diagonal out": (
            other(own=lambda k: float(k.mean()))
        ),
        "the diagonal is left out of the sum, but n squared is still the divisor": (
            other(own=lambda k: float((k.sum() - np.trace(k)) / k.size))
        ),
        "each pair once: divide by n (n - 1) / 2, or count it twice": (
            other(own=lambda k: _own(k) / 2)
        ),
        "the diagonal is in the sum: divide by n (n - 1) after taking it out": (
            other(own=lambda k: float(k.sum() / (len(k) * (len(k) - 1))))
        ),
        "the mean between the samples counts twice": other(parts=(1, 1, 1)),
        "the mean between the samples is added: subtract it": other(parts=(1, 1, -2)),
        "the mean between the samples is missing": other(parts=(1, 1, 0)),
        "the mean within the target is missing": other(parts=(1, 0, 2)),
        "the mean within the source is missing": other(parts=(0, 1, 2)),
        "this is the mean within, halved, minus that between": (
            other(parts=(0.5, 0.5, 1))
        ),
        "distances must be squared in the kernel": gaussian(
            lambda d, w: d / (2 * w**2)
        ),
        "the 2 of 2 sigma^2 is missing in the kernel": gaussian(
            lambda d, w: (d / w) ** 2
        ),
        "the width must be squared: divide by 2 sigma^2": gaussian(
            lambda d, w: d**2 / (2 * w)
        ),
        "the width multiplies in yours: divide by 2 sigma^2": gaussian(
            lambda d, w: w * d**2
        ),
        "the width is not used": gaussian(lambda d, w: d**2 / 2),
        "this is a mean over features: sum the squared differences": other(
            kernel=lambda a, b, w: np.exp(
                -cdist(a, b, "sqeuclidean") / (2 * w**2 * a.shape[1])
            )
        ),
        "this is the MMD: the squared one is asked for": root,
        "a negative estimate is no error: leave it as it is": (
            lambda *given: max(_mmd(*given), 0.0)
        ),
        "this is the distance of the means, without a kernel": (
            lambda a, b, w: float(((a.mean(0) - b.mean(0)) ** 2).sum())
        ),
    }
    ask.each(questions, _mmd, mistakes)


@exercise(points=3)
def proxy_distance(ask: Ask) -> None:
    """Ask for a proxy A-distance, judged on rows that its classifier has not seen."""
    rng = np.random.default_rng(20273)

    def rows(n: int, d: int, mean: float = 0.0) -> Floats:
        found: Floats = rng.standard_normal((n, d))
        found[:, 0] += mean
        return found

    formulas: dict[str, Callable[[float], float]] = {
        "this is the accuracy of the domain classifier; use the formula": (
            lambda error: 1 - error
        ),
        "this is the error of the domain classifier; use the formula": (
            lambda error: error
        ),
        "this is 1 - 2 times the error: the distance is twice that": (
            lambda error: 1 - 2 * error
        ),
        "the sign is wrong: does the accuracy stand where the error belongs?": (
            lambda error: 2 * (2 * error - 1)
        ),
        "this is twice the accuracy: the formula is 2 (1 - 2 error)": (
            lambda error: 2 * (1 - error)
        ),
        "this is 4 (1 - 2 error): the formula is 2 (1 - 2 error)": (
            lambda error: 4 * (1 - 2 * error)
        ),
        "this is twice the error: the formula is 2 (1 - 2 error)": (
            lambda error: 2 * error
        ),
    }
    seen = "the classifier is judged on rows from which it has learned"
    same = "no rows differ here: is each row given the label of its own domain?"
    most = (
        "always to say the larger domain must not pay: take equally many rows of each"
    )
    blind = "these can be told apart: is every domain in both parts? shuffle the rows"
    cases: list[tuple[str, tuple[Floats, Floats], float, float, str, str]] = [
        (
            "two means 2 apart in one of 5 features, 800 rows each",
            *((rows(800, 5), rows(800, 5, 2.0)), 1.1, 1.6, blind, seen),
        ),
        (
            "one distribution with 200 features, 300 rows each",
            *((rows(300, 200), rows(300, 200)), -0.6, 0.6, same, seen),
        ),
        (
            "one distribution with 5 features, 900 and 150 rows",
            *((rows(900, 5), rows(150, 5)), -0.8, 0.8, same, most),
        ),
        (
            "one distribution with 5 features, 150 and 900 rows",
            *((rows(150, 5), rows(900, 5)), -0.8, 0.8, same, most),
        ),
        (
            "two means 8 apart in one of 5 features, 200 rows each",
            *((rows(200, 5), rows(200, 5, 8.0)), 1.8, 2.0001, blind, seen),
        ),
    ]
    for number, (asked, pair, low, high, below, above) in enumerate(cases):
        came, expected = ask.call(asked, (*pair, number)), f"from {low:g} to {high:g}"
        if isinstance(came, str | dict) or np.shape(came):
            raise Wrong(asked, "one number", show(came), "return one number")
        value = float(came)
        if low <= value <= high:
            continue
        hint = below if value < low else above
        if number == 0:  # the errors here are about 0.16, and 0 in the last case
            last = float(ask.call(cases[-1][0], (*cases[-1][1], number)))
            for said, turn in formulas.items():
                ends = sorted((turn(0.11), turn(0.21)))
                if ends[0] <= value <= ends[1] and abs(last - turn(0.0)) < 0.05:
                    hint = said
        hint = hint if np.isfinite(value) else "nan or inf: was a part left empty?"
        raise Wrong(asked, expected, show(came), hint)


def _square(x: Floats) -> Floats:
    centred = x - 0.5
    return np.stack([centred, centred**2], 1)


def _read(fitted: list[tuple[Floats, Ints]], asked: tuple[Floats, Ints]) -> float:
    """Return how much a classifier on an input and its square reads right."""
    inputs, labels = (np.concatenate(part) for part in zip(*fitted, strict=True))
    if len(set(labels.tolist())) < 2:
        return float(np.mean(asked[1] == labels[0]))
    model = LogisticRegression(C=1e6, max_iter=2000)
    return float(model.fit(_square(inputs), labels).score(_square(asked[0]), asked[1]))


_KEYS = "source_inputs", "source_labels", "target_inputs", "target_labels"


def _sides(asked: str, came: Any, n: int, starts: tuple[float, float]) -> Any:
    """Return both sides as arrays, or raise what is wrong with their form."""
    if not isinstance(came, dict) or set(came) != set(_KEYS):
        hint = f"return a dict with the keys {', '.join(map(repr, _KEYS))}"
        raise Wrong(asked, "a dict of four arrays", show(came), hint)
    sides = []
    for name, start in zip(("source", "target"), starts, strict=True):
        x = np.asarray(came[f"{name}_inputs"], dtype=float)
        y = np.asarray(came[f"{name}_labels"], dtype=float)
        if x.shape != (n,) or y.shape != (n,):
            hint = f"look at the {name}: both arrays must have shape ({n},)"
            raise Wrong(asked, f"shape ({n},)", f"{x.shape} and {y.shape}", hint)
        if not set(y.tolist()) <= {0.0, 1.0}:
            hint = f"look at the {name}'s labels: each must be 0 or 1"
            raise Wrong(asked, "labels 0 and 1", show(y), hint)
        if not kstest(x - start, "uniform").statistic < 0.15:
            hint = f"look at the {name}: its inputs must fill its own interval evenly"
            came = f"from {x.min():.2f} to {x.max():.2f}"
            raise Wrong(asked, f"uniform on ({start}, {start + 1})", came, hint)
        sides.append((x, y.astype(np.int64)))
    return sides


@exercise(points=3)
def misleading(ask: Ask) -> None:
    """Ask for two domains that one rule serves until they are aligned."""
    before = list[Floats]()
    cases = (400, -1.0, 1.0), (300, 3.0, 0.5), (400, 0.0, 1.5), (500, -2.0, -4.0)
    for number, (n, a, b) in enumerate(cases):
        asked = f"n = {n}, source from {a}, target from {b}, seed {number}"
        came = ask.call(asked, (n, a, b, number))
        (xs, ys), (xt, yt) = _sides(asked, came, n, (a, b))
        middle, wide = min(a, b), abs(a - b) + 1
        raw = [((xs - middle) / wide, ys), ((xt - middle) / wide, yt)]
        near = [(xs - a, ys), (xt - b, yt)]
        ones = [float(y.mean()) for y in (ys, yt)]
        rule = [_read(raw, side) for side in raw]
        aligned = [_read(near[:1], side) for side in near]
        shown = f"{aligned[0]:.2f} and {aligned[1]:.2f}"
        drawn = np.sort(np.round(xs - a, 6))  # rounded: a start is added to it
        again = "the answer is the same for every question: draw with the seed"
        hopeful = (
            "labels shuffled at random are read by nobody: no rule is left"
            if aligned[0] < 0.9
            else "after alignment the target is still read: its labels must be opposite"
        )
        for holds, expected, found, hint in (
            (
                not any(np.array_equal(earlier, drawn) for earlier in before),
                *("another draw for another seed", "the same one", again),
            ),
            (
                min(ones) >= 0.3 and max(ones) <= 0.7,
                "shares of ones from 0.3 to 0.7",
                f"{ones[0]:.2f} and {ones[1]:.2f}",
                "about half of each domain must have label 1",
            ),
            (
                aligned[0] >= 0.95 and aligned[1] <= 0.1,
                *("0.95 of the source, 0.1 of the target, aligned", shown, hopeful),
            ),
            (
                min(rule) >= 0.95,
                "0.95 on both sides before alignment, by one rule",
                f"{rule[0]:.2f} and {rule[1]:.2f}",
                "no one interval divides the labels: where must its ends lie?",
            ),
        ):
            if not holds:
                raise Wrong(asked, expected, found, hint)
        before.append(drawn)


buy_labels = open_question(points=4)
