"""Checks of the exercises of the chapter on routing tickets with few labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import log_softmax, softmax

from tlcourse.checks._asking import Ask, exercise, open_question

__all__ = [
    "afresh_or_continued",
    "hundred_labels",
    "known_shares",
    "review_cost",
    "stream_scores",
    "three_sums",
    "what_changes",
]

Array: TypeAlias = npt.NDArray[Any]
Split: TypeAlias = Mapping[str, Array]
Questions: TypeAlias = Iterator[tuple[str, tuple[Any, ...]]]


@exercise(points=2)
def three_sums(ask: Ask) -> None:
    """Ask for a threshold, a ratio of prices, and when the hours are paid back."""
    threshold = {
        "this is READ / WRONG; the threshold is 1 minus it": 0.12,
        "this is the threshold at the chapter's prices": 0.875,
        "the prices are exchanged: divide READ by WRONG": 1 - 5 / 0.6,
        "this is a ratio of prices, no probability": 5 / 0.6,
        "this is READ / (READ + WRONG); a wrong route costs WRONG only": 0.6 / 5.6,
        "WRONG / (READ + WRONG): a routed message is not read as well": 5 / 5.6,
        "write a probability, not percent": 88.0,
        "a threshold of 0.5 ignores both prices": 0.5,
    }
    ratio = {
        "this is the share of errors; the ratio is 1 over it": 0.08,
        "this is 1 / accuracy; divide 1 by the share of errors": 1 / 0.92,
        "this is right routes per wrong one; divide by the errors alone": 0.92 / 0.08,
        "this is the ratio of the chapter's prices": 8.0,
        "this is the ratio of the prices above; the vendor's accuracy decides": 5 / 0.6,
        "the accuracy itself is no ratio of prices": 0.92,
        "1 minus 1 over the errors: solve 0.92 = 1 - READ / WRONG again": 1 - 12.5,
    }
    messages = {
        "the labels are not on your bill": 1920 / 0.06,
        "the engineers' hours are not on your bill": 180 / 0.06,
        "divide by what a message saves, not by what reading it costs": 2100 / 0.5,
        "divide by what a message saves, not by what it still costs": 2100 / 0.44,
        "the labels are counted, not priced": 2220 / 0.06,
        "the hours are counted, not priced": 204 / 0.06,
        "this is the bill in euros: how many messages save as much?": 2100.0,
        "this is the chapter's number of messages": 20_000.0,
    }
    expected = {"threshold": 0.88, "ratio": 12.5, "messages": 35_000.0}
    mistakes = {"threshold": threshold, "ratio": ratio, "messages": messages}
    ask.numbers(expected, mistakes)


@exercise(points=2)
def what_changes(ask: Ask) -> None:
    """Ask which effect belongs to which change of a router."""
    right = {
        "temperature": "a518b21e335b",
        "threshold": "c223ee31cd85",
        "shares": "ddee84666d64",
        "mask": "8f2b4db68263",
        "sizes": "27f0865ff85e",
    }
    hints = {
        "a6c2b5ff46a0": "a temperature leaves every weight as it is",
        "15cbef5e1f76": "a temperature moves no message to another intent",
        "186f4fd00647": "a temperature changes the probabilities themselves",
        "31dcdcea62e5": "a temperature divides each message's own logits",
        "66278bcb46fe": "a threshold touches no weight",
        "ce1b246ce016": "a threshold does not change what the model predicts",
        "3c6b10dfc81b": "a threshold leaves the probabilities alone",
        "a4627a70dc54": "a threshold looks at one message at a time",
        "0510ba74fb97": "the correction adds to the head's outputs; the head stays",
        "0acaff8e883f": "each intent's logit moves by a number of its own: look again",
        "17c4998dfaa1": "each intent's logit moves by a number of its own: look again",
        "142c445cf8e3": "the correction looks at one message at a time",
        "5b7009bbdb37": "without the mask the head is still the trained one",
        "0f00628ae8f2": "the mask knows nothing of intents or shares",
        "1547baa977df": "the mask is not about who reads: the padding is read as text",
        "1164c7d2c936": "the mask changes the features: the padding is read as text",
        "20160844cf57": "what does the option do with a head that does not fit?",
        "38fd7e289deb": "the option acts when weights are loaded, not at routing",
        "35cfb83cb20b": "the option changes more than a scale: what of the head?",
        "b9825afc6e16": "padding is not touched: what of a head that does not fit?",
    }
    ask.choices(right, "ABCDE", hints)


def _streams() -> Questions:
    """Yield predictions, labels and shares: by hand, at random, and uneven."""
    rng = np.random.default_rng(20261)

    def noisy(labels: Array, c: int, wrong: float) -> Array:
        other = rng.integers(c, size=len(labels))
        return np.where(rng.random(len(labels)) < wrong, other, labels)

    small = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    answers = np.array([0, 0, 0, 1, 1, 1, 0, 0])
    yield "eight messages", (answers, small, np.array([0.9, 0.1]))
    labels = np.repeat(np.arange(8), 20)
    shares = rng.dirichlet(np.full(8, 3.0))
    yield "20 messages of each of 8 intents", (noisy(labels, 8, 0.5), labels, shares)
    labels = np.r_[np.arange(5), rng.choice(5, 95, p=[0.5, 0.2, 0.1, 0.1, 0.1])]
    shares = rng.dirichlet(np.full(5, 3.0))
    yield "an uneven test", (noisy(labels, 5, 0.4), labels, shares)
    labels = np.repeat(np.arange(4), 12)
    answers = np.minimum(noisy(labels, 4, 0.3), 2)
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    yield "the last intent is never predicted", (answers, labels, shares)
    yield "one intent is always predicted", (0 * labels + 1, labels, shares)


def _stream(
    predicted: Array,
    labels: Array,
    shares: Array,
    *,
    f1: Callable[..., Any] = lambda hits, true, found: 2 * hits / (true + found),
    scale: Callable[..., Any] = lambda counts, shares: (
        counts / counts.sum(1, keepdims=True) * shares[:, None]
    ),
    mean: Callable[..., Any] = lambda f1, shares: f1.mean(),
) -> dict[str, Any]:
    """Return the scores; a mistake changes one of the last three."""
    counts = np.zeros((len(shares), len(shares)))
    np.add.at(counts, (labels, predicted), 1)
    recall = counts.diagonal() / counts.sum(1)
    stream = scale(counts, shares)  # (c, c)
    parts = stream.diagonal(), stream.sum(1), stream.sum(0)
    return {
        "accuracy": shares @ recall,
        "balanced accuracy": recall.mean(),
        "macro F1": mean(f1(*parts), shares),
    }


@exercise(points=3)
def stream_scores(ask: Ask) -> None:
    """Ask for the scores on a stream, from a test with other shares."""

    def other(name: str, value: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *task: _stream(*task) | {name: value(*task)}

    def changed(**how: Any) -> Callable[..., Any]:
        return lambda *task: _stream(*task, **how)

    def plain(predicted: Array, labels: Array, shares: Array) -> Any:
        return (predicted == labels).mean()

    def precision(predicted: Array, labels: Array, shares: Array) -> Array:
        hits = np.bincount(predicted[predicted == labels], minlength=len(shares))
        found = np.bincount(predicted, minlength=len(shares))
        ratio: Array = hits / np.maximum(found, 1)
        return ratio

    def means(hits: Array, true: Array, found: Array) -> Any:
        p = (hits / np.where(found > 0, found, 1)).mean()
        r = (hits / true).mean()
        return np.array([2 * p * r / (p + r)])

    def seen_only(hits: Array, true: Array, found: Array) -> Array:
        return np.asarray(2 * hits / (true + found))[found > 0]

    def accuracy(task: Sequence[Any]) -> Any:
        return _stream(*task)["accuracy"]

    even = changed(scale=lambda counts, _: counts / counts.sum(1, keepdims=True))
    mistakes = {
        "the accuracy is the test's: weigh each intent's recall by its share": (
            other("accuracy", plain)
        ),
        "the balanced accuracy is the plain one: take the mean of the recalls": (
            other("balanced accuracy", plain)
        ),
        "accuracy and balanced accuracy are exchanged": lambda *t: {
            **_stream(*t),
            "accuracy": _stream(*t)["balanced accuracy"],
            "balanced accuracy": accuracy(t),
        },
        "the shares are not used: accuracy is the mean recall in yours": other(
            "accuracy", lambda *t: _stream(*t)["balanced accuracy"]
        ),
        "the balanced accuracy does not weigh by the shares": other(
            "balanced accuracy", lambda *t: accuracy(t)
        ),
        "recall times share is summed, not averaged": other(
            "accuracy", lambda *t: accuracy(t) / len(t[2])
        ),
        "this is precision: a recall divides by the messages of the intent": other(
            "accuracy", lambda *t: t[2] @ precision(*t)
        ),
        "precision instead of recall in the balanced accuracy": other(
            "balanced accuracy", lambda *t: precision(*t).mean()
        ),
        "the columns are scaled: row k, the messages of intent k, gets its share": (
            changed(
                scale=lambda counts, shares: (
                    counts / np.maximum(counts.sum(0), 1) * shares
                )
            )
        ),
        "macro F1 is the test's: scale row k of the confusion matrix to its share": (
            changed(scale=lambda counts, _: counts)
        ),
        "macro F1 has even shares: scale row k to its share, not to 1": even,
        "macro F1 is the plain mean over the intents, not weighted by shares": (
            changed(mean=lambda f1, shares: shares @ f1)
        ),
        "the F1 of mean precision and mean recall: take F1 for each intent first": (
            changed(f1=means)
        ),
        "an intent that is never predicted has F1 = 0 and counts in the mean": (
            changed(f1=seen_only)
        ),
        "the factor 2 of F1 is missing": changed(
            f1=lambda hits, true, found: hits / (true + found)
        ),
        "macro F1 is the accuracy in yours (micro F1)": other(
            "macro F1", lambda *t: accuracy(t)
        ),
        "macro F1 is the mean recall in yours": other(
            "macro F1", lambda *t: _stream(*t)["balanced accuracy"]
        ),
        "fractions in [0, 1] are asked for, not percent": lambda *t: {
            key: 100 * value for key, value in _stream(*t).items()
        },
    }
    symptoms = {
        "0 / 0: an intent that is never predicted has F1 = 0": lambda came, *_: bool(
            np.isnan(came["macro F1"])
        )
    }
    ask.each(_streams(), _stream, mistakes, symptoms)


def _corrections() -> Questions:
    rng = np.random.default_rng(20262)

    def log_probs(n: int, c: int, scale: float = 1.5) -> Array:
        return np.asarray(log_softmax(scale * rng.standard_normal((n, c)), axis=1))

    even, shares = np.full(3, 1 / 3), np.array([0.7, 0.2, 0.1])
    yield "one message", (np.log([[0.2, 0.3, 0.5]]), even, shares)
    both = rng.dirichlet(np.full(8, 2.0), size=2)
    yield "8 intents", (log_probs(6, 8), *both)
    yield "equal shares", (log_probs(4, 3), shares, shares)
    rare = np.array([0.5, 0.5 - 1e-6, 1e-6])
    yield "an intent that is rare in the stream", (log_probs(5, 3), even, rare)
    sure = np.array([[0.0, -1000.0], [-1000.0, 0.0]])
    yield (
        "a model that is very sure",
        (sure, np.array([0.5, 0.5]), np.array([0.9, 0.1])),
    )


@exercise(points=2)
def known_shares(ask: Ask) -> None:
    """Ask for log-probabilities that know the stream's shares."""

    def corrected(change: Callable[[Array, Array], Any]) -> Callable[..., Any]:
        return lambda lp, old, new: log_softmax(lp + change(old, new), axis=1)

    def raw(lp: Array, old: Array, new: Array) -> Array:
        return np.asarray(lp + np.log(new / old))

    reference = corrected(lambda old, new: np.log(new / old))
    mistakes: dict[str, Callable[..., Any]] = {
        "not normalised: the probabilities of a message must sum to 1": raw,
        "the ratio is turned round: new share over old": corrected(
            lambda old, new: np.log(old / new)
        ),
        "the shares of training are not divided out": corrected(
            lambda old, new: np.log(new)
        ),
        "only the shares of training are used": corrected(
            lambda old, new: -np.log(old)
        ),
        "the new shares are multiplied by the old ones: divide": corrected(
            lambda old, new: np.log(new * old)
        ),
        "the ratio is added to log-probabilities: add its logarithm": corrected(
            lambda old, new: new / old
        ),
        "the shares are subtracted: it is the ratio that counts": corrected(
            lambda old, new: new - old
        ),
        "corrected twice": corrected(lambda old, new: 2 * np.log(new / old)),
        "the logarithm to base 2: take the natural one": corrected(
            lambda old, new: np.log2(new / old)
        ),
        "the logarithm to base 10: take the natural one": corrected(
            lambda old, new: np.log10(new / old)
        ),
        "log-probabilities are multiplied by the ratio: add its logarithm": (
            lambda lp, old, new: log_softmax(lp * new / old, axis=1)
        ),
        "these are probabilities: return their logarithms": lambda *t: np.exp(
            reference(*t)
        ),
        "normalised over the messages: normalise over the intents, axis=1": (
            lambda *t: log_softmax(raw(*t), axis=0)
        ),
        "nothing is corrected": lambda lp, old, new: lp,
        "divided by a sum of logarithms: normalise the probabilities": (
            lambda *t: raw(*t) / raw(*t).sum(1, keepdims=True)
        ),
        "these are the shares themselves: what the model says is lost": (
            lambda lp, old, new: np.log(new) + 0 * lp
        ),
        "only the likeliest intent is returned: all log-probabilities are needed": (
            lambda *t: reference(*t).argmax(1)
        ),
    }
    ask.each(_corrections(), reference, mistakes)


def _reviews() -> Questions:
    rng = np.random.default_rng(20263)

    def task(counts: Sequence[int], *prices: float) -> tuple[Any, ...]:
        c = len(counts)
        labels = np.repeat(np.arange(c), counts)
        logits = rng.standard_normal((len(labels), c)) + 2.5 * np.eye(c)[labels]
        logits *= rng.choice([0.3, 1.0, 3.0], size=(len(labels), 1))
        shares = rng.dirichlet(np.full(c, 3.0))
        return (np.asarray(log_softmax(logits, axis=1)), labels, shares, *prices)

    probs = np.array([[0.95, 0.05], [0.6, 0.4], [0.9, 0.1], [0.3, 0.7]])
    small = np.log(probs), np.array([0, 0, 1, 1]), np.array([0.8, 0.2])
    yield "four messages, a reader without mistakes", (*small, 0.5, 4.0, 0.0)
    yield "reading costs more than a wrong route", task([20] * 4, 3.0, 2.0, 0.0)
    yield "30 messages of each of 8 intents", task([30] * 8, 0.5, 4.0, 0.03)
    yield "an uneven test", task([50, 20, 5, 5], 0.6, 3.0, 0.05)
    yield "a reader who errs in one message of five", task([40] * 4, 0.5, 2.0, 0.2)
    yield "wrong routes are very dear", task([20] * 3, 0.1, 1000.0, 0.0)


def _bill(
    log_probs: Array,
    labels: Array,
    shares: Array,
    read: float,
    wrong: float,
    slip: float,
    *,
    rule: Callable[..., Any] = lambda p, read, wrong, slip: (
        p >= 1 - read / wrong - slip
    ),
    routed: Callable[..., Any] = lambda p, miss, read, wrong: miss * wrong,
    review: Callable[..., Any] = lambda miss, read, wrong, slip: read + slip * wrong,
    weigh: Callable[..., Any] = lambda y, shares: (shares / np.bincount(y))[y],
) -> Any:
    """Return euros a message; a mistake changes one of the last four."""
    p, miss = np.exp(log_probs.max(1)), log_probs.argmax(1) != labels
    sure = rule(p, read, wrong, slip)
    by_model = routed(p, miss, read, wrong)
    by_hand = review(miss, read, wrong, slip)
    return np.sum(weigh(labels, shares) * np.where(sure, by_model, by_hand))


@exercise(points=3)
def review_cost(ask: Ask) -> None:
    """Ask what a message costs under Chow's rule with a reader who errs."""

    def changed(**how: Any) -> Callable[..., Any]:
        return lambda *task: _bill(*task, **how)

    def peeked(lp: Array, y: Array, shares: Array, *prices: float) -> Any:
        p = np.exp(lp[range(len(y)), y])
        return _bill(lp, y, shares, *prices, rule=lambda _, r, w, e: p >= 1 - r / w - e)

    mistakes: dict[str, Callable[..., Any]] = {
        "the rule forgets that the reader errs, too: compare both costs anew": (
            changed(rule=lambda p, r, w, e: p >= 1 - r / w)
        ),
        "the reader's mistakes are not on the bill": changed(
            review=lambda miss, r, w, e: r
        ),
        "the reader's mistakes are neither in the rule nor on the bill": (
            lambda lp, y, pi, r, w, e: _bill(lp, y, pi, r, w, 0.0)
        ),
        "a reader who errs lets the threshold fall, not rise": changed(
            rule=lambda p, r, w, e: p >= 1 - r / w + e
        ),
        "the threshold is READ / WRONG in yours: it is 1 minus that": changed(
            rule=lambda p, r, w, e: p >= r / w + e
        ),
        "sure and unsure are exchanged: the unsure messages are read": changed(
            rule=lambda p, r, w, e: p < 1 - r / w - e
        ),
        "everything is routed unread in yours": changed(rule=lambda p, *_: p >= 0),
        "everything is read in yours": changed(rule=lambda p, *_: p > 2),
        "a threshold of 0.5 ignores the prices": changed(rule=lambda p, *_: p >= 0.5),
        "0.875 is the chapter's threshold: derive it from the prices given": changed(
            rule=lambda p, *_: p >= 0.875
        ),
        "log-probabilities are compared with a probability": changed(
            rule=lambda p, r, w, e: np.log(p) >= 1 - r / w - e
        ),
        "the rule looks at the right intent's probability, which nobody knows yet": (
            peeked
        ),
        "what was expected is not what was paid: count the routes that are wrong": (
            changed(routed=lambda p, miss, r, w: (1 - p) * w)
        ),
        "a message that a person reads costs READ even where the model was right": (
            changed(review=lambda miss, r, w, e: miss * (r + e * w))
        ),
        "a message that the model routes is not read: it costs WRONG or nothing": (
            changed(routed=lambda p, miss, r, w: r + miss * w)
        ),
        "right routes cost nothing, wrong ones WRONG; it is the reverse in yours": (
            changed(routed=lambda p, miss, r, w: ~miss * w)
        ),
        "a wrong reading costs WRONG, not READ": changed(
            review=lambda miss, r, w, e: r + e * r
        ),
        "this is the test's mean: weigh the messages by their intents' shares": (
            changed(weigh=lambda y, pi: np.full(len(y), 1 / len(y)))
        ),
        "share divided by the number of messages of the intent is a message's weight": (
            changed(weigh=lambda y, pi: pi[y] / pi[y].sum())
        ),
        "this is a sum of shares over messages: divide by each intent's number": (
            changed(weigh=lambda y, pi: pi[y])
        ),
        "a mean, not a sum: the weights of all messages add up to 1": changed(
            weigh=lambda y, pi: (pi / np.bincount(y))[y] * len(y)
        ),
    }
    ask.each(_reviews(), _bill, mistakes)


_FITS: dict[tuple[Any, ...], Array] = {}


def _fit(
    x: Array, y: Array, strength: float, start: Array, free: bool = False
) -> Array:
    """Minimise the chapter's objective by Newton's steps, cut where they are long.

    A mistake: `free` leaves the bias without a penalty.
    """
    head, one_hot, same_class = start.copy(), np.eye(len(start))[y], np.eye(len(start))
    pull = strength * np.ones(x.shape[1])
    pull[-1] *= 1e-6 if free else 1
    for _ in range(50):
        probs = softmax(x @ head.T, axis=1)  # (n, c)
        slope = (probs - one_hot).T @ x + pull * (head - start)  # (c, d + 1)
        spread = probs[:, :, None] * (same_class - probs[:, None])  # (n, c, c)
        pairs = (x[:, :, None] * x[:, None]).reshape(len(x), -1)
        curve = spread.reshape(len(x), -1).T @ pairs  # (c * c, (d + 1) ** 2)
        curve = curve.reshape(*same_class.shape, *2 * x.shape[1:]).swapaxes(1, 2)
        curve = curve.reshape(head.size, -1) + np.diag(np.tile(pull, len(head)))
        step = np.linalg.solve(curve, slope.ravel())
        head -= step.reshape(head.shape) / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-8:
            break
    return head


def _fit_once(x: Array, y: Array, strength: float, start: Array) -> Array:
    """Return a fit, from memory where another mistake needed the same one."""
    key = (x.tobytes(), y.tobytes(), strength, start.tobytes())
    if key not in _FITS:
        _FITS[key] = _fit(x, y, strength, start)
    return _FITS[key]


def _loss(head: Array, split: Split) -> float:
    log_probs = log_softmax(split["x"] @ head.T, axis=1)
    return -float(log_probs[range(len(split["y"])), split["y"]].mean())


def _miss(head: Array, split: Split) -> float:
    return float(((split["x"] @ head.T).argmax(1) != split["y"]).mean())


def _tasks() -> Questions:
    rng = np.random.default_rng(20264)
    names = ("a unit like ours", "a unit far away", "a unit close by")
    for asked, n, away in zip(names, (6, 9, 6), (0.5, 0.9, 0.3), strict=True):
        means = rng.standard_normal((3, 4))

        def split(n: int, means: Array = means) -> dict[str, Array]:
            y = rng.permutation(np.arange(n) % 3)
            x = means[y] + rng.standard_normal((n, 4))
            return {"x": np.c_[x, np.ones(n)], "y": y}

        devices = split(200)
        head = _fit(devices["x"], devices["y"], 1.0, np.zeros((3, 5)))
        means += away * rng.standard_normal(means.shape)
        train, validation, test = split(120), split(40), split(1000)
        ways = [np.flatnonzero(train["y"] == k) for k in range(3)]
        draws = [
            np.concatenate([rng.permutation(w)[: n // 3] for w in ways])
            for _ in range(4)
        ]
        task = train, validation, test, draws, head, [0.1, 1.0, 10.0]
        yield f"{asked}, {n} labels in each of 4 draws", task


def _paired(probe: Array, continued: Array) -> list[float]:
    return _interval(continued - probe)


def _interval(gains: Array, ddof: int = 1, t: float = math.nan) -> list[float]:
    n = len(gains)
    t = stats.t.ppf(0.975, n - 1) if math.isnan(t) else t
    half = t * gains.std(ddof=ddof) / math.sqrt(n)
    return [gains.mean(), gains.mean() - half, gains.mean() + half]


def _compare(
    train: Split,
    validation: Split,
    test: Split,
    draws: Sequence[Array],
    head: Array,
    strengths: Sequence[float],
    *,
    pick: Callable[..., float] = lambda head, train, val, test: _loss(head, val),
    fit: Callable[..., Array] = _fit_once,
    gain: Callable[[Array, Array], Any] = _paired,
    judged: Callable[..., Split] = lambda validation, test: test,
    starts: Callable[[Array], Sequence[Array]] = lambda head: (0 * head, head),
    whole: bool = False,
) -> dict[str, Any]:
    """Return the comparison; a mistake changes one of the last six."""
    found: dict[str, Any] = {}
    for name, start in zip(("probe", "continued"), starts(head), strict=True):
        chosen, accuracies = [], []
        for rows in [slice(None)] * len(draws) if whole else draws:
            own = {key: values[rows] for key, values in train.items()}
            heads = [fit(own["x"], own["y"], s, start) for s in strengths]
            scores = [pick(h, own, validation, test) for h in heads]
            chosen.append(strengths[int(np.argmin(scores))])
            best = heads[int(np.argmin(scores))]
            accuracies.append(1 - _miss(best, judged(validation, test)))
        found[f"{name} strengths"] = np.array(chosen)
        found[name] = np.array(accuracies)
    return found | {"gain": gain(found["probe"], found["continued"])}


@exercise(points=4)
def afresh_or_continued(ask: Ask) -> None:
    """Ask for a paired comparison of a probe and a continued head."""

    def changed(**how: Any) -> Callable[..., Any]:
        return lambda *task: _compare(*task, **how)

    def unpaired(probe: Array, continued: Array) -> list[float]:
        n, mean = len(probe), (continued - probe).mean()
        spread = math.sqrt((probe.var(ddof=1) + continued.var(ddof=1)) / n)
        return [mean + k * stats.t.ppf(0.975, 2 * n - 2) * spread for k in (0, -1, 1)]

    def exchanged(*task: Any) -> dict[str, Any]:
        return _compare(*task, starts=lambda head: (head, 0 * head))

    mistakes = {
        "the strength is chosen on the test data: choose it on the validation data": (
            changed(pick=lambda h, train, val, test: _loss(h, test))
        ),
        "the strength is chosen by the test accuracy: use the validation log loss": (
            changed(pick=lambda h, train, val, test: _miss(h, test))
        ),
        "the strength is chosen by the validation accuracy: use the log loss": (
            changed(pick=lambda h, train, val, test: _miss(h, val))
        ),
        "the strength is chosen on the training messages: it then is the smallest": (
            changed(pick=lambda h, train, val, test: _loss(h, train))
        ),
        "the strength with the largest log loss is chosen: take the smallest loss": (
            changed(pick=lambda h, train, val, test: -_loss(h, val))
        ),
        "the accuracy is that of the validation messages: report the test accuracy": (
            changed(judged=lambda validation, test: validation)
        ),
        "the penalty pulls to zero in both: to start at the head is not enough": (
            changed(starts=lambda head: (0 * head, 0 * head))
        ),
        "the probe knows the source's head: it must start at and pull to zero": (
            changed(starts=lambda head: (head, head))
        ),
        "probe and continued are exchanged": exchanged,
        "the loss is a mean over messages: the objective sums": (
            changed(fit=lambda x, y, s, start: _fit_once(x, y, s * len(y), start))
        ),
        "the penalty has a factor 1/2": (
            changed(fit=lambda x, y, s, start: _fit_once(x, y, 2 * s, start))
        ),
        "1 / strength is used: the strength multiplies the penalty": (
            changed(fit=lambda x, y, s, start: _fit_once(x, y, 1 / s, start))
        ),
        "the bias, the last column, is penalised like the rest": (
            changed(fit=lambda x, y, s, start: _fit(x, y, s, start, free=True))
        ),
        "no penalty: the strength is not used": (
            changed(fit=lambda x, y, s, start: _fit_once(x, y, 1e-3, start))
        ),
        "nothing is trained: this is where the heads start": (
            changed(fit=lambda x, y, s, start: start)
        ),
        "the draws are not used: train on the drawn rows only": changed(whole=True),
        "the gain is continued minus probe, not the reverse": (
            changed(gain=lambda probe, continued: _paired(continued, probe))
        ),
        "1.96 belongs to many draws: use Student's t with one less than the draws": (
            changed(gain=lambda p, c: _interval(c - p, t=1.96))
        ),
        "the standard deviation has divisor n - 1 (ddof=1)": (
            changed(gain=lambda p, c: _interval(c - p, ddof=0))
        ),
        "divide the standard deviation by the root of the number of draws": (
            changed(
                gain=lambda p, c: _interval(
                    c - p, t=stats.t.ppf(0.975, len(p) - 1) * math.sqrt(len(p))
                )
            )
        ),
        "two separate spreads: take the differences on the same draws first": (
            changed(gain=unpaired)
        ),
    }
    ask.each(_tasks(), _compare, mistakes, tolerance=5e-3)


hundred_labels = open_question(points=4)
