"""Checks of the exercises of the chapter that asks what transfer learning is."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from tlcourse.checks._asking import Ask, Wrong, exercise, open_question, show

__all__ = [
    "fair_test",
    "labels_needed",
    "labels_or_source",
    "passes_to_rest",
    "three_arms",
    "three_numbers",
    "what_differs",
]

Floats: TypeAlias = npt.NDArray[np.float64]
Networks: TypeAlias = dict[str, dict[str, Tensor]]
Question: TypeAlias = tuple[str, tuple[Any, ...]]


@exercise(points=2)
def what_differs(ask: Ask) -> None:
    """Ask what differs between source and target in five cases."""
    right = {
        "accent": "a71a2ccd7498",
        "parity": "c4a571cdf3b4",
        "sound": "39654881d00b",
        "spam": "4327c86fd00d",
        "more print": "3973d4fa836e",
    }
    hints = {
        "fe7478d72d18": "the ten commands are the same on both sides",
        "6bf72cfc69d0": "both sides are recordings of speech: the same kind of input",
        "7d2ecef8744e": "a command means the same whoever says it",
        "9a61c4437d41": "British speakers sound otherwise: other inputs are frequent",
        "c50551589a3e": "the pictures are the same, and occur equally often",
        "badca6f78c2d": "both sides are pictures of one size",
        "9a7e15ef8c11": "two answers in place of ten: the labels themselves are others",
        "f6d8149dbdf1": "the question is another one",
        "563ac87ddb5b": "a recording is no picture: there is no common space of inputs",
        "fc180138afd3": "the ten digits are the labels on both sides",
        "ba85d146ed10": "before the rule: what kind of thing is it applied to?",
        "8f76213d6bc3": "a network for pictures cannot even take a recording",
        "c24c0572d91f": "the mails are the same ones",
        "ca25947537e7": "the labels are still spam and no spam; which mails get them?",
        "11ebcf4513aa": "both sides are mails",
        "3895b4f6c96a": "some mails would now get another label",
        "f70f1b81c6c6": "one program printed both, so all pictures are as frequent",
        "ac59e7eefdd0": "both sides are the ten digits",
        "8e70c812037c": "both sides are pictures of one size",
        "18072833f3e1": "the question is the same one",
    }
    ask.choices(right, "ABCDE", hints)


@exercise(points=2)
def three_numbers(ask: Ask) -> None:
    """Ask for a gain, a ratio of labels, and how many targets must share a source."""
    expected = {"gain": 0.1, "ratio": math.sqrt(1000) / 10, "share": 500 * 4 / 80}
    gain = {
        "this is the gain with one label of each class": 0.2,
        "this is the gain with a hundred labels of each class": 0.02,
        "the sign is wrong: fine-tuning minus scratch": -0.1,
        "this is a ratio; the gain is a difference": 0.8 / 0.7,
        "this is the gain relative to scratch; it is a plain difference": 0.1 / 0.7,
        "this is the mean gain of the three columns": 0.32 / 3,
        "accuracies are fractions: write the gain as one as well": 10.0,
        "this is fine-tuning's accuracy: take scratch's from it": 0.8,
    }
    ratio = {
        "straight lines over the number: draw them over its logarithm": 5.5,
        "scratch reaches 0.80 between two columns, not only in the last": 10.0,
        "the ratio is upside down: scratch's labels over fine-tuning's": (
            10 / math.sqrt(1000)
        ),
        "these are scratch's labels: divide by those of fine-tuning": math.sqrt(1000),
        "this is a ratio of accuracies; it is labels that are divided": 0.8 / 0.7,
        "this is a difference of labels; a ratio is asked for": math.sqrt(1000) - 10,
        "this is a difference of logarithms: take the exponential": math.log(10) / 2,
        "this is a difference of logarithms, to base 10: 10 to this power": 0.5,
        "this is the ratio at an accuracy of 0.70": 10 ** (2 / 3),
        "an even number: neither curve has the same labels at 0.80": 1.0,
    }
    share = {
        "source and target have other batches: count in batches of 25": 500 / 80,
        "a batch of 100 is four batches of 25, not a quarter of one": 125 / 80,
        "divide by the steps saved, not by those from scratch": 2000 / 140,
        "divide by the steps saved, not by those of fine-tuning": 2000 / 60,
        "the quotient is upside down: the source's steps over the steps saved": 0.04,
        "these are the steps saved: divide the source's steps by them": 80.0,
        "these are the source's steps: divide them by the steps saved": 2000.0,
        "these are pictures over steps: count both in steps of 25": 50000 / 80,
        "the steps are added: subtract those of fine-tuning": 2000 / 200,
        "the sign is wrong: scratch's steps minus those of fine-tuning": -25.0,
    }
    mistakes = {"gain": gain, "ratio": ratio, "share": share}
    ask.numbers(expected, mistakes)


def _passes(
    inputs: Tensor,
    answers: Tensor,
    limit: int,
    *,
    constant: tuple[float, ...] = (1.0,),
    rule: Callable[[float, float], float] = lambda answer, guess: answer - guess,
    fires: Callable[[float, float], bool] = operator.gt,
    together: bool = False,
    start: float = 0.0,
) -> float:
    """Return the pass in which Rosenblatt's rule, or another, comes to rest."""
    rows = [(*row, *constant) for row in inputs.tolist()]
    weights = [start] * len(rows[0])
    for number in range(1, limit + 1):
        wrong, used = 0, weights
        for x, answer in zip(rows, answers.tolist(), strict=True):
            guess = fires(sum(map(operator.mul, x, used)), 0)
            wrong += guess != answer
            step = rule(answer, guess)
            weights = [w + step * v for w, v in zip(weights, x, strict=True)]
            used = used if together else weights
        if not wrong:
            return number
    return math.inf


def _cases() -> Iterator[Question]:
    """Yield what a single layer can learn, and what it cannot."""
    corners = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    product = torch.cat([corners, corners.prod(1, keepdim=True)], 1)
    rng = torch.Generator().manual_seed(20261)
    yield "both (AND)", (corners, torch.tensor([0, 0, 0, 1]), 25)
    points = [[0.0, -2], [-2, -2], [-1, -1], [-3, -1], [2, 3]]
    yield "five points", (torch.tensor(points), torch.tensor([1, 1, 1, 0, 1]), 30)
    points = [[-3.0, -1], [3, 3], [1, 1], [3, -3], [-3, 1]]
    yield "five others", (torch.tensor(points), torch.tensor([1, 1, 1, 0, 1]), 30)
    yield "exclusive OR", (corners, torch.tensor([0, 1, 1, 0]), 25)
    xor = torch.tensor([0, 1, 1, 0])
    yield "exclusive OR, with the product as an input", (product, xor, 50)
    for asked, n, d, limit in (
        ("thirty points that a plane divides", 30, 3, 200),
        ("five points in one dimension", 5, 1, 300),
    ):
        x = torch.randn(n, d, generator=rng)
        score = x @ torch.randn(d, generator=rng) - 0.3
        yield asked, (x, (score > score.median()).long(), limit)
    yield "neither (NOR)", (corners, torch.tensor([1, 0, 0, 0]), 25)
    yield "never one", (corners, torch.zeros(4), 25)
    yield "always one", (corners, torch.ones(4), 25)
    rest = int(_passes(corners, torch.tensor([0, 0, 0, 1]), 25))
    yield "AND with just enough passes", (corners, torch.tensor([0, 0, 0, 1]), rest)
    yield "AND with one pass less", (corners, torch.tensor([0, 0, 0, 1]), rest - 1)


@exercise(points=2)
def passes_to_rest(ask: Ask) -> None:
    """Ask when Rosenblatt's rule comes to rest."""

    def other(**changed: Any) -> Callable[..., float]:
        return lambda *case: _passes(*case, **changed)

    def never(value: Callable[[int], float]) -> Callable[..., float]:
        def answer(inputs: Tensor, answers: Tensor, limit: int) -> float:
            found = _passes(inputs, answers, limit)
            return found if math.isfinite(found) else value(limit)

        return answer

    def corrections(inputs: Tensor, answers: Tensor, limit: int) -> float:
        seen = list[float]()

        def rule(answer: float, guess: float) -> float:
            seen.append(abs(answer - guess))
            return answer - guess

        _passes(inputs, answers, limit, rule=rule)
        return sum(seen)

    mistakes = {
        "is the input that is always 1 missing? without it there is no threshold": (
            other(constant=())
        ),
        "the first pass has number 1, and the faultless pass itself is counted": (
            lambda *case: _passes(*case) - 1
        ),
        "one too many: the faultless pass itself is the answer": (
            lambda *case: _passes(*case) + 1
        ),
        "a score of exactly 0 means 0, not 1: compare with >": (
            other(fires=operator.ge)
        ),
        "weights change after each wrong answer, not once at the end of a pass": (
            other(together=True)
        ),
        "subtract the input where the answer should have been 0": (
            other(rule=lambda answer, guess: abs(answer - guess))
        ),
        "where a 0 came out as 1, the input has to be subtracted": (
            other(rule=lambda answer, guess: answer * (1 - guess))
        ),
        "where a 1 came out as 0, add the input; is the sign wrong?": (
            other(rule=lambda answer, guess: guess - answer)
        ),
        "right answers must leave the weights alone": (
            other(rule=lambda answer, guess: 2 * answer - 1)
        ),
        "the weights start at 0, not at 1": other(start=1.0),
        "return math.inf where it does not come to rest, not the limit": (
            never(lambda limit: limit)
        ),
        "return math.inf where it does not come to rest, not the limit plus 1": (
            never(lambda limit: limit + 1)
        ),
        "return math.inf where it does not come to rest, not 0": never(lambda _: 0),
        "return math.inf where it does not come to rest, not -1": never(lambda _: -1),
        "return math.inf where it does not come to rest, not nan": (
            never(lambda _: math.nan)
        ),
        "this counts the corrections; count passes": corrections,
    }
    ask.each(_cases(), _passes, mistakes)


def _needed(
    labels: Any, accuracies: Any, bar: float, *, last: bool = False, strict: float = 0
) -> float:
    """Return the number of labels at which a curve reaches a bar."""
    at, curve = np.log(np.asarray(labels)), np.asarray(accuracies)
    reached = np.flatnonzero(curve >= bar + strict)
    if not len(reached):
        return math.inf
    below = np.flatnonzero(curve < bar)
    i = int(reached[0])
    if last and len(below):
        i = min(int(below[-1]) + 1, len(curve) - 1)
    if i == 0:
        return float(np.exp(at[0]))
    share = (bar - curve[i - 1]) / (curve[i] - curve[i - 1])
    return float(np.exp(at[i - 1] + share * (at[i] - at[i - 1])))


@exercise(points=3)
def labels_needed(ask: Ask) -> None:
    """Ask at how many labels a curve first reaches an accuracy."""
    six = np.array([1, 2, 5, 10, 30, 100])
    rising = np.array([0.31, 0.42, 0.58, 0.66, 0.83, 0.91])
    eight = [2, 3, 4, 5, 8, 20, 50, 60]
    dip = [0.2, 0.3, 0.4, 0.5, 0.75, 0.6, 0.65, 0.9]
    questions: list[Question] = [
        ("the exercise's example", ([1, 10, 100], [0.5, 0.7, 0.9], 0.8)),
        ("a rising curve", (six, rising, 0.77)),
        ("early on the curve", (six, rising, 0.33)),
        ("a curve that dips", (eight, dip, 0.7)),
        ("a bar that is never reached", (eight, dip, 0.95)),
        ("a bar below the whole curve", (eight, dip, 0.1)),
        ("a bar reached just at a point", (eight, dip, 0.75)),
        ("a bar reached just at the end", (eight, dip, 0.9)),
        ("a level stretch", ([1, 4, 9, 60], [0.4, 0.6, 0.6, 0.8], 0.6)),
        ("one number of labels only", ([7], [0.4], 0.3)),
        ("one number of labels, not enough", ([7], [0.4], 0.5)),
    ]

    def never(value: Callable[[Any], float]) -> Callable[..., float]:
        def answer(labels: Any, accuracies: Any, bar: float) -> float:
            found = _needed(labels, accuracies, bar)
            return found if math.isfinite(found) else value(labels)

        return answer

    def neighbour(step: int) -> Callable[..., float]:
        def answer(labels: Any, accuracies: Any, bar: float) -> float:
            reached = np.flatnonzero(np.asarray(accuracies) >= bar)
            if not len(reached):
                return math.inf
            return float(labels[max(int(reached[0]) - step, 0)])

        return answer

    def linear(labels: Any, accuracies: Any, bar: float) -> float:
        found = _needed(np.exp(np.asarray(labels) / 100), accuracies, bar)
        return 100 * math.log(found) if math.isfinite(found) else found

    def middle(labels: Any, accuracies: Any, bar: float) -> float:
        return math.sqrt(
            neighbour(0)(labels, accuracies, bar)
            * neighbour(1)(labels, accuracies, bar)
        )

    def swapped(labels: Any, accuracies: Any, bar: float) -> float:
        low, high = neighbour(1), neighbour(0)
        at = low(labels, accuracies, bar), high(labels, accuracies, bar)
        return at[0] * at[1] / _needed(labels, accuracies, bar)

    mistakes = {
        "straight lines over the number of labels: take its logarithm first": linear,
        "this is the logarithm of the number: take the exponential": (
            lambda *curve: math.log(_needed(*curve))
        ),
        "this is the logarithm to base 10 of the number: 10 to this power": (
            lambda *curve: math.log10(_needed(*curve))
        ),
        "this is the next measured number: draw a line between the two points": (
            neighbour(0)
        ),
        "this is the measured number before: draw a line between the two points": (
            neighbour(1)
        ),
        "halfway between two points: how far along the line is the bar?": middle,
        "the share is taken from the wrong end of the line": swapped,
        "the curve reaches the bar earlier (np.interp needs one that rises)": (
            lambda *curve: _needed(*curve, last=True)
        ),
        "a bar that is never reached needs math.inf, not the last number": (
            never(lambda labels: labels[-1])
        ),
        "a bar that is never reached needs math.inf, not 0": never(lambda _: 0),
        "a bar that is never reached needs math.inf, not nan": never(
            lambda _: math.nan
        ),
        "a bar that is never reached needs math.inf, not -1": never(lambda _: -1),
        "a curve that equals the bar has reached it: compare with >=": (
            lambda *curve: _needed(*curve, strict=1e-12)
        ),
        "this is the accuracy there; the number of labels is asked for": (
            lambda labels, curve, bar: bar
        ),
        "this is an index of the list; the number of labels is asked for": (
            lambda labels, curve, bar: int(np.argmax(np.asarray(curve) >= bar))
        ),
        "this is rounded: a fraction of a label is an honest answer here": (
            lambda *curve: float(np.round(_needed(*curve)))
        ),
        "this is rounded up: a fraction of a label is an honest answer here": (
            lambda *curve: float(np.ceil(_needed(*curve)))
        ),
    }
    ask.each(questions, _needed, mistakes)


def _kept(values: Floats, rounds: npt.NDArray[np.int64]) -> Floats:
    """Return the values, (rates, repetitions), at the rounds that were kept."""
    found: Floats = np.take_along_axis(values, rounds[:, :, None], 2)[:, :, 0]
    return found


@exercise(points=3)
def fair_test(ask: Ask) -> None:
    """Ask for the test accuracies of an arm, selected on validation data only."""
    rng = np.random.default_rng(20270)

    def runs(rates: int, repetitions: int, rounds: int) -> tuple[Floats, ...]:
        loss = rng.uniform(0.2, 1.5, (rates, repetitions, rounds))
        return loss, *rng.uniform(0.5, 1, (2, rates, repetitions, rounds))

    def judge(
        loss: Floats,
        accuracy: Floats,
        test: Floats,
        by: Callable[..., Any] = lambda loss, accuracy, test: loss.argmin(2),
        rate: Callable[..., Any] = lambda loss, accuracy, test: accuracy[:, :2].mean(1),
    ) -> Floats:
        rounds = by(loss, accuracy, test)
        kept = [_kept(values, rounds) for values in (loss, accuracy, test)]
        found: Floats = kept[2][int(np.argmax(rate(*kept)))]
        return found

    def other(**changed: Any) -> Callable[..., Any]:
        return lambda *run: judge(*run, **changed)

    def each(loss: Floats, accuracy: Floats, test: Floats) -> Floats:
        rounds = loss.argmin(2)
        best = _kept(accuracy, rounds).argmax(0)
        found: Floats = _kept(test, rounds)[best, np.arange(len(best))]
        return found

    def over_rounds(value: Callable[[Floats], Floats]) -> Callable[..., Floats]:
        def answer(loss: Floats, accuracy: Floats, test: Floats) -> Floats:
            rate = int(np.argmax(value(accuracy[:, :2]).mean(1)))
            found: Floats = _kept(test, loss.argmin(2))[rate]
            return found

        return answer

    mistakes = {
        "tuned on the test set: the rate is chosen by test accuracy": other(
            rate=lambda loss, accuracy, test: test[:, :2].mean(1)
        ),
        "tuned on the test set: the rate has the best test mean of all repetitions": (
            other(rate=lambda loss, accuracy, test: test.mean(1))
        ),
        "tuned on the test set: the round is the one with the best test accuracy": (
            other(by=lambda loss, accuracy, test: test.argmax(2))
        ),
        "tuned on the test set: the best test accuracy of all rounds and rates": (
            lambda loss, accuracy, test: test.max((0, 2))
        ),
        "these are validation accuracies: the test data judge": (
            lambda loss, accuracy, test: judge(loss, accuracy, accuracy)
        ),
        "the last round is kept in yours: keep that of the lowest validation loss": (
            other(by=lambda loss, *_: np.full(loss.shape[:2], loss.shape[2] - 1))
        ),
        "the first round is kept in yours: keep that of the lowest validation loss": (
            other(by=lambda loss, *_: np.zeros(loss.shape[:2], dtype=int))
        ),
        "the round has the best validation accuracy; the rules take the lowest loss": (
            other(by=lambda loss, accuracy, test: accuracy.argmax(2))
        ),
        "the round has the highest loss: it must be the lowest": (
            other(by=lambda loss, *_: loss.argmax(2))
        ),
        "one round serves all repetitions: each run keeps its own": other(
            by=lambda loss, *_: np.repeat(
                loss.mean(1).argmin(1)[:, None], loss.shape[1], 1
            )
        ),
        "the rounds are those of the first rate: each run keeps its own": other(
            by=lambda loss, *_: np.repeat(loss[:1].argmin(2), len(loss), 0)
        ),
        "the rate is chosen by validation loss; the rules take the accuracy": other(
            rate=lambda loss, accuracy, test: -loss[:, :2].mean(1)
        ),
        "the rate is chosen with all repetitions: the rules take the first two": (
            other(rate=lambda loss, accuracy, test: accuracy.mean(1))
        ),
        "the rate is chosen with the first repetition only: take two": (
            other(rate=lambda loss, accuracy, test: accuracy[:, 0])
        ),
        "the rate is chosen with the second repetition only: take two": (
            other(rate=lambda loss, accuracy, test: accuracy[:, 1])
        ),
        "the rate is chosen with the last two repetitions: take the first two": (
            other(rate=lambda loss, accuracy, test: accuracy[:, -2:].mean(1))
        ),
        "the worse rate is chosen: the highest validation accuracy wins": (
            other(rate=lambda loss, accuracy, test: -accuracy[:, :2].mean(1))
        ),
        "the first rate is always taken: choose it on validation data": (
            other(rate=lambda loss, accuracy, test: np.zeros(len(loss)))
        ),
        "each repetition has a rate of its own: choose one for the arm": each,
        "the rate is judged by its last round: judge the networks that are kept": (
            over_rounds(lambda part: part[:, :, -1])
        ),
        "the rate is judged by its best round: judge the networks that are kept": (
            over_rounds(lambda part: part.max(2))
        ),
        "the rate is judged by all its rounds: judge the networks that are kept": (
            over_rounds(lambda part: part.mean(2))
        ),
        "this is the mean: return one accuracy for each repetition": (
            lambda *run: judge(*run).mean()
        ),
        "these are the tests of all rates: only the chosen one is judged": (
            lambda loss, accuracy, test: _kept(test, loss.argmin(2))
        ),
    }
    questions: list[Question] = [
        (f"{a} rates, {b} repetitions, {c} rounds", runs(a, b, c))
        for a, b, c in (
            *((6, 5, 12), (9, 4, 20), (4, 3, 6), (5, 6, 9)),
            *((2, 2, 3), (1, 4, 8), (5, 6, 1), (3, 5, 4)),
        )
    ]
    ask.each(questions, judge, mistakes)


_SHAPES = {"0.weight": (32, 64), "0.bias": (32,), "2.weight": (10, 32), "2.bias": (10,)}
_ARMS = "source", "scratch", "probe", "fine-tuned"


def _digits(seed: int) -> tuple[tuple[Any, ...], tuple[Tensor, ...]]:
    """Return a task, one label of each class, and what judges its networks."""
    digits, rng = load_digits(), np.random.default_rng(seed)
    order = rng.permutation(len(digits.target))
    images, labels = digits.images[order] / 16, torch.tensor(digits.target[order])
    smeared = 0.3 + 0.25 * (images + np.roll(images, 1, axis=2))
    clear, pale = (
        torch.tensor(x.reshape(-1, 64), dtype=torch.float32) for x in (images, smeared)
    )
    few = torch.tensor(
        [500 + int((labels[500:] == c).int().argmax()) for c in range(10)]
    )
    task = (clear[:500], labels[:500], pale[few], labels[few], seed)
    return task, (clear[900:], pale[900:], labels[900:])


def _networks(asked: str, came: Any) -> Networks:
    """Return the four networks as tensors, or raise what is wrong with their form."""
    if not isinstance(came, dict) or set(came) != set(_ARMS):
        hint = f"return a dict with the keys {', '.join(map(repr, _ARMS))}"
        raise Wrong(asked, "a dict of four networks", show(came), hint)
    found: Networks = {}
    for arm in _ARMS:
        state = came[arm]
        if not isinstance(state, dict) or set(state) != set(_SHAPES):
            hint = f"look at {arm!r}: return the network's state_dict()"
            raise Wrong(asked, f"a dict with the keys {', '.join(_SHAPES)}", "", hint)
        found[arm] = {
            k: torch.as_tensor(np.asarray(v)).float() for k, v in state.items()
        }
        for key, shape in _SHAPES.items():
            if tuple(found[arm][key].shape) != shape:
                said = f"{key} of shape {tuple(found[arm][key].shape)}"
                hint = f"look at {arm!r}: build the network as the exercise says"
                raise Wrong(asked, f"{key} of shape {shape}", said, hint)
            if not bool(found[arm][key].isfinite().all()):
                hint = f"look at {arm!r}: nan or inf; is the learning rate too large?"
                raise Wrong(asked, "finite weights", f"{key} with nan or inf", hint)
    return found


def _right(state: Mapping[str, Tensor], inputs: Tensor, labels: Tensor) -> float:
    hidden = (inputs @ state["0.weight"].T + state["0.bias"]).relu()
    logits = hidden @ state["2.weight"].T + state["2.bias"]
    return float((logits.argmax(1) == labels).double().mean())  # 0.9 is 0.9


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor], part: str = "") -> bool:
    return all(torch.equal(a[k], b[k]) for k in _SHAPES if k.startswith(part))


def _judged(
    nets: Networks, task: tuple[Any, ...], judges: tuple[Tensor, ...]
) -> Iterator[tuple[bool, str, str, str]]:
    """Yield what must hold: whether it does, what it is, what came, a hint."""
    same = {
        ("source", "fine-tuned"): "fine-tuning changed the source as well: train a copy"
        " (copy.deepcopy), for state_dict() hands out the weights themselves",
        ("source", "probe"): "the probe is the source's network: train its head, and"
        " train it in a copy (copy.deepcopy)",
        ("probe", "fine-tuned"): "the probe and the fine-tuned network are one:"
        " give each a copy (copy.deepcopy) of the source's",
    }
    for a, b in combinations(_ARMS, 2):
        hint = same.get((a, b), f"{a!r} and {b!r} are one network: is it trained anew?")
        yield not _equal(nets[a], nets[b]), f"{a} and {b} differ", "equal weights", hint
    source, scratch, probe, tuned = (nets[arm] for arm in _ARMS)
    frozen, inputs, labels = _equal(source, probe, "0."), task[2], task[3]
    hint = "the probe's body moved: give the optimiser the head's weights only"
    yield frozen, "the probe has the source's body, bit by bit", "another body", hint
    score = _right(source, judges[0], judges[2])
    hint = "the source network is hardly trained, or on other examples than its own"
    yield score >= 0.85, "0.85 on new source examples", f"{score:.3f}", hint
    hint = "fine-tuning left the body as it was: its weights must train as well"
    yield not _equal(source, tuned, "0."), "a body that moved", "the source's", hint
    for arm in _ARMS[1:]:
        score = _right(nets[arm], inputs, labels)
        hint = f"look at {arm!r}: it does not know its own labels; train for longer"
        yield score >= 0.9, "0.9 of the ten labelled examples", f"{score:.2f}", hint
    gain = _right(tuned, *judges[1:]) - _right(scratch, *judges[1:])
    origin = source["0.weight"].flatten()
    alike = {
        arm: float(torch.cosine_similarity(net["0.weight"].flatten(), origin, 0))
        for arm, net in (("scratch", scratch), ("tuned", tuned))
    }
    hint = "scratch must see the ten target examples only, and fine-tuning last"
    if alike["tuned"] < 0.5:
        hint = (
            "fine-tuning must start at the source's weights; or is its rate too high?"
        )
    elif alike["scratch"] > 0.5:
        hint = "scratch starts at the source's weights: draw new ones"
    yield gain >= 0.05, "a gain over scratch of at least 0.05", f"{gain:.3f}", hint


@exercise(points=4)
def three_arms(ask: Ask) -> None:
    """Ask for a source's network, scratch, probe and fine-tuning, trained fairly."""
    before: Networks = {}
    for seed in (20264, 20265):
        asked = f"500 source and ten target examples, seed {seed}"
        task, judges = _digits(seed)
        nets = _networks(asked, ask.call(asked, task))
        if before and all(_equal(before[arm], nets[arm]) for arm in _ARMS):
            hint = "the answer is the same for every question: is the input used?"
            raise Wrong(asked, "other networks than before", "the same ones", hint)
        for holds, expected, came, hint in _judged(nets, task, judges):
            if not holds:
                raise Wrong(asked, expected, came, hint)
        before = nets


labels_or_source = open_question(points=4)
