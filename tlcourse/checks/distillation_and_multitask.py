"""Checks of the exercises on distillation, multi-task and joint training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.checks._asking import Ask, Wrong, exercise, open_question, show

__all__ = [
    "diagnoses",
    "distillation_loss",
    "no_step_lost",
    "shared_body",
    "stand_ins",
    "two_students",
    "two_weights",
]

State: TypeAlias = dict[str, Tensor]


@exercise(points=2)
def diagnoses(ask: Ask) -> None:
    """Ask which answer belongs to which report of a colleague."""
    right = {
        "temperature": "186f4fd00647",
        "features": "ee4f4273aead",
        "second task": "ac4fe0bc41a5",
        "heap": "972d8158f4e2",
        "ablation": "ab1c1c16bf56",
    }
    heat = "what shrinks as T rises?"
    made = "what is a feature computed from?"
    near = "how far ahead, and on what, does a gradient see?"
    lost = "how much does a target picture count in the heap?"
    idle = "when does a step look useless though it is not?"
    hints = {
        "a6c2b5ff46a0": f"nothing was left out; {heat}",
        "15cbef5e1f76": f"the teacher is the same at both temperatures; {heat}",
        "a518b21e335b": f"answers were used, not features; {heat}",
        "31dcdcea62e5": f"no angle was measured; {heat}",
        "32c7dd5e9f46": f"there is one domain here; {heat}",
        "bb149a5da1b1": f"nothing was left out; {made}",
        "daff75d4bc5e": f"the teacher may be good; {made}",
        "1bfd40168c38": f"there is no temperature here; {made}",
        "ec5f489048a4": f"no angle was measured; {made}",
        "2a2121b2603f": f"there is one domain here; {made}",
        "4685abb60939": f"nothing was left out; {near}",
        "8cfe51ad7bb8": f"there is no teacher here; {near}",
        "ac12bd1b6697": f"there is no temperature here; {near}",
        "86682ffa631f": f"no features are passed on; {near}",
        "3ba3e3d3db5c": f"each task has a mean of its own; {near}",
        "c6fecb78bfe5": f"nothing was left out; {lost}",
        "3ecf3e2fb5aa": f"there is no teacher here; {lost}",
        "8215f8a321fa": f"there is no temperature here; {lost}",
        "9b515c569718": f"no features are passed on; {lost}",
        "d961203caa7e": f"no angle was measured; {lost}",
        "910760bd59b4": f"no teacher is named; {idle}",
        "a8fd56a059d3": f"there is no temperature here; {idle}",
        "9f55c6a61ed0": f"no features are passed on; {idle}",
        "335f5e794330": f"no gradient was measured; {idle}",
        "a39b88f2f923": f"no two losses are added; {idle}",
    }
    ask.choices(right, "ABCDEF", hints)


@exercise(points=2)
def two_weights(ask: Ask) -> None:
    """Ask for the weights that a heap, and a missing square, stand for."""
    wrong_way = "this is the target's weight beside the source's 1: turn it round"
    alpha = {
        wrong_way: 50 / 6000,
        "this is the source's share of the heap; the target's mean loss has weight 1": (
            6000 / 6050
        ),
        "compare source with target pictures, not the whole heap with them": 6050 / 50,
        "compare the numbers of pictures, not those of a batch or an epoch": 6000,
        "the heap counts each picture alike, not each domain": 1,
        "this is the number of target pictures": 50,
        "the numbers themselves decide, not their logarithm": math.log(120),
        "the numbers themselves decide, not their root": math.sqrt(120),
    }
    light = 0.9 / 64  # what is left of the teacher's term
    right = light / (light + 0.1)
    share = {
        "this is the teacher's term over the labels': the two weights must add to 1": (
            light / 0.1
        ),
        "this is 0.9 over the square: the two weights must add to 1": light,
        "the square of the temperature is missing, not the temperature: and the two "
        "weights must add to 1": 0.9 / 8,
        "it is the square of the temperature that is missing": 0.1125 / 0.2125,
        "nothing has changed here: without the square the teacher is lighter": 0.9,
        "this is the labels' share: the teacher's was asked for": 1 - right,
        "without the square the teacher is lighter, not heavier": 57.6 / 57.7,
        "divide the teacher's term: this is 0.9 times the square": 57.6,
        "divide 0.9 by the square, and 0.1 not": 0.1 / 64,
        "the labels' weight is divided here: it is the teacher's term that fades": (
            0.9 / (0.9 + 0.1 / 64)
        ),
        "this is 1 over the square: the teacher had 0.9 of the loss": 1 / 64,
        "the ratio of the two is 9, not 1: start from 0.9 and 0.1": 1 / 65,
        "1 over the temperature: take its square, and start from 0.9 and 0.1": 1 / 8,
    }
    expected = {"alpha": 120.0, "share": right}
    ask.numbers(expected, {"alpha": alpha, "share": share}, tolerance=1e-3)


def _answered() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield logits of a student and a teacher, labels, temperature and weight."""
    rng = torch.Generator().manual_seed(20270)

    def batch(n: int, c: int) -> tuple[Tensor, Tensor, Tensor]:
        draw = torch.randn(2, n, c, generator=rng, dtype=torch.float64)
        return draw[0], 3 * draw[1] + 0.5, torch.randint(c, (n,), generator=rng)

    example = torch.zeros(1, 2).double(), torch.tensor([[3.0, 1.0]]).double().log()
    yield "the exercise's example", (*example, torch.tensor([1]), 1.0, 1.0)
    yield "a random batch", (*batch(6, 4), 4.0, 0.9)
    yield "a temperature of 20", (*batch(5, 3), 20.0, 0.5)
    yield "a temperature below 1", (*batch(7, 5), 0.5, 0.3)
    yield "labels alone", (*batch(4, 6), 3.0, 0.0)
    yield "answers alone", (*batch(9, 3), 3.0, 1.0)
    student, teacher, labels = batch(8, 10)
    yield "single precision", (student.float(), teacher.float(), labels, 2.0, 0.7)
    huge = torch.tensor([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 0.0]]).double()
    yield "logits of 1,000", (huge, huge.flip(0), torch.tensor([0, 2]), 2.0, 0.5)
    yield "a large batch", (*batch(200, 8), 6.0, 0.8)


def _kl(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the divergence of each example from log-probabilities."""
    return (teacher.exp() * (teacher - student)).sum(1)


@exercise(points=3)
def distillation_loss(ask: Ask) -> None:
    """Ask for the mean price of the teacher's answers and the labels."""

    def price(
        soft: Callable[[Tensor, Tensor, float], Tensor] = (
            lambda s, t, T: _kl((s / T).log_softmax(1), (t / T).log_softmax(1))
        ),
        hard: Callable[[Tensor, Tensor, float], Tensor] = (
            lambda s, y, T: F.cross_entropy(s, y, reduction="none")
        ),
        factor: Callable[[float], float] = lambda T: T**2,
        shares: Callable[[float], tuple[float, float]] = lambda w: (w, 1 - w),
        reduce: Callable[[Tensor], Tensor] = torch.mean,
    ) -> Callable[..., Tensor]:
        def found(s: Tensor, t: Tensor, y: Tensor, T: float, w: float) -> Tensor:
            s, t, (ours, theirs) = s.double(), t.double(), shares(w)
            return reduce(ours * factor(T) * soft(s, t, T) + theirs * hard(s, y, T))

        return found

    def soft(
        make: Callable[[Tensor, Tensor], Tensor],
        student: Callable[[float], float] = lambda T: T,
        teacher: Callable[[float], float] = lambda T: T,
    ) -> Callable[..., Tensor]:
        return price(
            lambda s, t, T: make(
                (s / student(T)).log_softmax(1), (t / teacher(T)).log_softmax(1)
            )
        )

    def both_squared(s: Tensor, t: Tensor, y: Tensor, T: float, w: float) -> Tensor:
        return T**2 * price(factor=lambda T: 1)(s, t, y, T, w)

    one = lambda T: 1.0  # noqa: E731
    mistakes: dict[str, Callable[..., Any]] = {
        "the factor T² is missing: the answers' term fades with the temperature": (
            price(factor=one)
        ),
        "the factor is T: it must be its square": price(factor=lambda T: T),
        "divided by T²: multiply by it": price(factor=lambda T: T**-2),
        "T² multiplies the labels' term as well: it belongs to the answers' only": (
            both_squared
        ),
        "KL(p || q): exchange the two, the teacher's q comes first": soft(
            lambda s, t: _kl(t, s)
        ),
        "only the teacher is softened: divide the student's logits by T too": soft(
            _kl, student=one
        ),
        "only the student is softened: divide the teacher's logits by T too": soft(
            _kl, teacher=one
        ),
        "nobody is softened: divide both sides' logits by T": soft(_kl, one, one),
        "the logits are multiplied by T: divide them": soft(
            _kl, lambda T: 1 / T, lambda T: 1 / T
        ),
        "the labels' term is softened: it takes the logits as they are": price(
            hard=lambda s, y, T: F.cross_entropy(s / T, y, reduction="none")
        ),
        "the weight belongs to the answers, 1 minus the weight to the labels": price(
            shares=lambda w: (1 - w, w)
        ),
        "the labels' term has weight 1: give it 1 minus the weight": price(
            shares=lambda w: (w, 1)
        ),
        "the answers' term has weight 1: multiply it by the weight": price(
            shares=lambda w: (1, 1 - w)
        ),
        "the weight is not used: both terms count fully": price(
            shares=lambda w: (1, 1)
        ),
        "the labels' term is missing": price(shares=lambda w: (w, 0)),
        "the answers' term is missing": price(shares=lambda w: (0, 1 - w)),
        "the answers' mean is over n times c: F.kl_div wants reduction='batchmean'": (
            price(
                lambda s, t, T: (
                    _kl((s / T).log_softmax(1), (t / T).log_softmax(1)) / s.shape[1]
                )
            )
        ),
        "the sum over the batch: divide by the number of examples": price(
            reduce=torch.sum
        ),
        "one price for each example came: take the mean over the batch": price(
            reduce=lambda x: x
        ),
        "this is cross-entropy with the answers: subtract the teacher's entropy": soft(
            lambda s, t: -(t.exp() * s).sum(1)
        ),
        "the teacher's likeliest class is taken as a label: take all of its answer": (
            price(lambda s, t, T: F.cross_entropy(s / T, t.argmax(1), reduction="none"))
        ),
        "this is the squared distance of the logits": price(
            lambda s, t, T: (s - t).square().sum(1)
        ),
        "this is the mean squared error of the logits": price(
            lambda s, t, T: (s - t).square().mean(1)
        ),
        "this is the squared distance of the probabilities": soft(
            lambda s, t: (s.exp() - t.exp()).square().sum(1)
        ),
        "F.kl_div wants the student's log-probabilities, not its probabilities": soft(
            lambda s, t: _kl(s.exp(), t)
        ),
        "softmax over the batch: normalise over the classes, dim=1": price(
            lambda s, t, T: _kl((s / T).log_softmax(0), (t / T).log_softmax(0))
        ),
        "softmax applied twice to the teacher: its logits go into one only": price(
            lambda s, t, T: _kl(
                (s / T).log_softmax(1), (t.softmax(1) / T).log_softmax(1)
            )
        ),
        "softmax applied twice: the temperature divides logits, not probabilities": (
            price(
                lambda s, t, T: _kl(
                    (s.softmax(1) / T).log_softmax(1), (t.softmax(1) / T).log_softmax(1)
                )
            )
        ),
        "student and teacher are exchanged": (
            lambda s, t, y, T, w: price()(t, s, y, T, w)
        ),
        "the labels are compared with the teacher: it is the student that learns": (
            lambda s, t, y, T, w: price(hard=lambda _, y, T: _hard(t, y))(s, t, y, T, w)
        ),
        "class indices count from 0": (
            lambda s, t, y, T, w: price()(s, t, (y - 1) % s.shape[1], T, w)
        ),
        "the loss is in nats: take the natural logarithm, not that to base 2": price(
            reduce=lambda x: x.mean() / math.log(2)
        ),
        "only the first example counts: take the mean over the batch": price(
            reduce=lambda x: x[0]
        ),
    }
    ask.each(_answered(), price(), mistakes, tolerance=1e-4)


def _hard(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.double(), labels, reduction="none")


def _descended(
    state: State,
    *parts: tuple[Tensor, Tensor],
    rate: float = 0.5,
    sign: float = 1.0,
    mean: bool = True,
) -> State:
    """Return a linear classifier after a step on each part, from the formula."""
    weight, bias = state["weight"].double(), state["bias"].double()
    for x, y in parts:
        wrong = (x.double() @ weight.T + bias).softmax(1) - F.one_hot(y, len(bias))
        wrong = sign * rate * wrong / (len(x) if mean else 1)
        weight, bias = weight - wrong.T @ x.double(), bias - wrong.sum(0)
    return {"weight": weight, "bias": bias}


def _loops() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield a state, a number of epochs, examples of a domain between, and own ones."""
    rng = torch.Generator().manual_seed(20271)
    for asked, epochs, n, m in (
        ("4 epochs", 4, 12, 6),
        ("one epoch", 1, 8, 5),
        ("7 epochs, more own examples", 7, 5, 20),
        ("2 epochs", 2, 9, 9),
    ):
        weight, bias = torch.randn(3, 5, generator=rng), torch.randn(3, generator=rng)
        x, own = torch.randn(n, 5, generator=rng), 1 + torch.randn(m, 5, generator=rng)
        labels = (torch.randint(3, (k,), generator=rng) for k in (n, m))
        other_y, y = labels
        yield asked, ({"weight": weight, "bias": bias}, epochs, x, other_y, own, y)


@exercise(points=2)
def no_step_lost(ask: Ask) -> None:
    """Ask for the document's loop without the step that undoes others."""

    def ran(
        plan: Callable[[int, Any, Any], list[Any]], **options: Any
    ) -> Callable[..., State]:
        return lambda state, n, a, b, x, y: _descended(
            state, *plan(n, (a, b), (x, y)), **options
        )

    def in_turn(n: int, other: Any, own: Any) -> list[Any]:
        return [other] * n + [own] * n

    def heap(n: int, other: Any, own: Any) -> list[Any]:
        both = tuple(map(torch.cat, zip(other, own, strict=True)))
        return [both] * n

    def only(entry: str) -> Callable[..., State]:
        def made(state: State, *task: Any) -> State:
            return {entry: ran(in_turn)(state, *task)[entry]}

        return made

    def between(state: State, n: int, a: Tensor, b: Tensor, *own: Any) -> State:
        both = _descended(state, *[(a, b)] * n), _descended(state, *[own] * n)
        return {k: (both[0][k] + both[1][k]) / 2 for k in state}

    mistakes = {
        "the hand-over still overwrites: of the steps on the own examples the last "
        "is left": ran(lambda n, a, x: [a] * n + [x]),
        "handed over after the first step of adapting: adapt in all epochs first": (
            ran(lambda n, a, x: [a] + [x] * n)
        ),
        "handed over before anything was adapted, or never: the other domain's steps "
        "left no trace": ran(lambda n, a, x: [x] * n),
        "handed over at the end: it overwrites every step on the own examples": ran(
            lambda n, a, x: [a] * n
        ),
        "the own examples come first: adapt, hand over, then optimise": ran(
            lambda n, a, x: [x] * n + [a] * n
        ),
        "the two take turns in one model: adapt in all epochs, then hand over": ran(
            lambda n, a, x: [a, x] * n
        ),
        "the two take turns in one model, the own examples first": ran(
            lambda n, a, x: [x, a] * n
        ),
        "one epoch only: make as many steps as asked": ran(lambda n, a, x: [a, x]),
        "nothing is trained: these are the given weights": ran(lambda n, a, x: []),
        "one heap of all examples: the two domains come one after the other": ran(heap),
        "one step on the own examples is missing": ran(
            lambda n, a, x: in_turn(n, a, x)[:-1]
        ),
        "one step on the other domain is missing": ran(
            lambda n, a, x: in_turn(n, a, x)[1:]
        ),
        "one step too many on the own examples": ran(
            lambda n, a, x: [*in_turn(n, a, x), x]
        ),
        "one step too many on the other domain": ran(
            lambda n, a, x: [a, *in_turn(n, a, x)]
        ),
        "twice as many steps on the own examples, none on the other domain": ran(
            lambda n, a, x: [x] * (2 * n)
        ),
        "twice as many steps on the other domain, none on the own examples": ran(
            lambda n, a, x: [a] * (2 * n)
        ),
        "this is the mean of two models: hand the weights over instead": between,
        "the rate is another than that of descend": ran(in_turn, rate=0.1),
        "the loss is a sum in yours: descend takes the mean": ran(in_turn, mean=False),
        "the loss is climbed: step against its gradient": ran(in_turn, sign=-1.0),
        "the bias is missing: return the whole state dict": only("weight"),
        "the weight is missing: return the whole state dict": only("bias"),
    }
    ask.each(_loops(), ran(in_turn), mistakes, tolerance=1e-4)


class _Tasks(NamedTuple):
    """A body with two heads, examples of two tasks, and the second one's weight."""

    body: Tensor
    head: Tensor
    other_head: Tensor
    x: Tensor
    labels: Tensor
    other_x: Tensor
    marks: Tensor
    weight: float

    def losses(self, questions: str = "mean") -> tuple[Tensor, Tensor]:
        """Return the two losses, of which the second may be reduced otherwise."""
        first, other = self.logits()
        if questions == "softmax":
            share = self.marks.double() / self.marks.sum(1, keepdim=True).clamp_min(1)
            return F.cross_entropy(first, self.labels), F.cross_entropy(other, share)
        second = F.binary_cross_entropy_with_logits(
            other, self.marks.double(), reduction="none"
        )
        second = second.sum(1).mean() if questions == "rows" else second.mean()
        second = second * self.marks.numel() if questions == "sum" else second
        return F.cross_entropy(first, self.labels), second

    def logits(self) -> tuple[Tensor, Tensor]:
        first = (self.x @ self.body).tanh() @ self.head
        return first, (self.other_x @ self.body).tanh() @ self.other_head


def _shared() -> Iterator[tuple[str, tuple[Any, ...]]]:
    rng = torch.Generator().manual_seed(20272)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    for asked, n, m, weight in (
        ("ten examples and eight others", 10, 8, 5.0),
        ("a large weight", 6, 30, 20.0),
        ("a silent second task", 12, 4, 0.0),
        ("a light second task, in single precision", 7, 7, 0.3),
        ("one example of each task", 1, 1, 2.0),
    ):
        d, h, c, k = (5, 4, 3, 6) if n > 6 else (3, 2, 4, 2)
        nets = draw(d, h), draw(h, c), 2 * draw(h, k) - 0.5
        labels = torch.randint(c, (n,), generator=rng)
        x, other, marks = draw(n, d), draw(m, d), (draw(m, k) > -0.5).double()
        dtype = torch.float32 if "single" in asked else torch.float64
        task = *nets, x, labels, other, marks, weight
        yield asked, tuple(_cast(task, dtype))


def _cast(task: Sequence[Any], dtype: torch.dtype) -> list[Any]:
    """Return what a task consists of, its real numbers in a given precision."""
    real = (isinstance(t, Tensor) and t.is_floating_point() for t in task)
    return [t.to(dtype) if turn else t for t, turn in zip(task, real, strict=True)]


@exercise(points=3)
def shared_body(ask: Ask) -> None:
    """Ask for a weighted loss, its slope on the shared body, and a cosine."""

    def made(
        change: Callable[[float], tuple[float, float]] = lambda w: (1, w),
        questions: str = "mean",
        slopes: Callable[[float], tuple[float, float]] | None = None,
        angle: Callable[..., Tensor] = lambda a, b, _: (
            a.flatten() @ b.flatten() / (a.norm() * b.norm())
        ),
        wide: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> Callable[..., dict[str, Tensor]]:
        def found(*given: Any) -> dict[str, Tensor]:
            task = _Tasks(*_cast(given, torch.float64))
            nets = [t.detach().requires_grad_() for t in task[:3]]
            task = task._replace(body=nets[0], head=nets[1], other_head=nets[2])
            with torch.enable_grad():
                pair = task.losses(questions)
                each = [
                    torch.autograd.grad(
                        loss, nets, retain_graph=True, materialize_grads=True
                    )
                    for loss in pair
                ]
            (first, *_), (second, *_) = each
            a, b = change(task.weight)
            c, d = (slopes or change)(task.weight)
            return {
                "loss": (a * pair[0] + b * pair[1]).detach(),
                "gradient": wide(c * first + d * second),
                "cosine": angle(first, second, each),
            }

        return found

    def heads_too(a: Tensor, b: Tensor, each: list[Any]) -> Tensor:
        whole = [torch.cat([g.flatten() for g in grads]) for grads in each]
        return F.cosine_similarity(whole[0], whole[1], dim=0)

    def plain(a: Tensor, b: Tensor, each: object) -> Tensor:
        return F.cosine_similarity(a.flatten(), b.flatten(), dim=0)

    def heap(*given: Any) -> dict[str, Tensor]:
        n, m = len(given[3]), len(given[5])

        def shares(w: float) -> tuple[float, float]:
            return n / (n + m), w * m / (n + m)

        return made(shares)(*given)

    mistakes: dict[str, Callable[..., Any]] = {
        "the weight is missing in loss and gradient": made(lambda w: (1, 1)),
        "the weight belongs to the second task": made(lambda w: (w, 1)),
        "1 minus the weight for the first task: its weight is 1": made(
            lambda w: (1 - w, w)
        ),
        "divided by 1 plus the weight: the first task's weight is 1": made(
            lambda w: (1 / (1 + w), w / (1 + w))
        ),
        "half of the sum: the objective is a sum, not a mean": made(
            lambda w: (0.5, w / 2)
        ),
        "the weight is squared": made(lambda w: (1, w * w)),
        "the second task's loss is a sum: take the mean over all questions": made(
            questions="sum"
        ),
        "the second task's loss is a sum over its questions: take the mean over "
        "pictures and questions": made(questions="rows"),
        "one softmax over the marks: each is a yes-or-no question of its own": made(
            questions="softmax"
        ),
        "all examples in one mean: each task has a mean of its own": heap,
        "the first task's gradient alone: the weighted second one is missing": made(
            slopes=lambda w: (1, 0)
        ),
        "the second task's gradient alone: the first one is missing": made(
            slopes=lambda w: (0, w)
        ),
        "the weight is missing in the gradient": made(slopes=lambda w: (1, 1)),
        "the first task's loss alone": made(lambda w: (1, 0), slopes=lambda w: (1, w)),
        "the weight is missing in the loss": made(
            lambda w: (1, 1), slopes=lambda w: (1, w)
        ),
        "the heads' gradients are in the cosine: it is about the shared body": made(
            angle=heads_too
        ),
        "this is the inner product: divide it by both lengths": made(
            angle=lambda a, b, _: (a * b).sum()
        ),
        "the cosine is taken of each row: flatten the gradients first": made(
            angle=lambda a, b, _: F.cosine_similarity(a, b, dim=1)
        ),
        "a mean of the rows' cosines: flatten the gradients first": made(
            angle=lambda a, b, _: F.cosine_similarity(a, b, dim=1).mean()
        ),
        "a mean of the columns' cosines: flatten the gradients first": made(
            angle=lambda a, b, _: F.cosine_similarity(a, b, dim=0).mean()
        ),
        "a mean over columns is in the cosine: flatten the gradients first": made(
            angle=lambda a, b, _: F.cosine_similarity(a, b, dim=0)
        ),
        "this is the angle in degrees: its cosine was asked for": made(
            angle=lambda a, b, e: plain(a, b, e).acos().rad2deg()
        ),
        "this is the angle in radians: its cosine was asked for": made(
            angle=lambda a, b, e: plain(a, b, e).acos()
        ),
        "the cosine's sign is turned": made(angle=lambda a, b, e: -plain(a, b, e)),
        "this is 1 minus the cosine": made(angle=lambda a, b, e: 1 - plain(a, b, e)),
        "the cosine's absolute value: keep its sign": made(
            angle=lambda a, b, e: plain(a, b, e).abs()
        ),
        "the gradient is turned: it has the body's shape": made(
            wide=lambda x: x.T.contiguous()
        ),
        "the gradient is flattened: it has the body's shape": made(
            wide=lambda x: x.flatten()
        ),
    }

    def with_sum(came: Any, *task: Any) -> bool:
        whole, first = (made(slopes=s)(*task) for s in (None, lambda w: (1, 0)))
        angle = F.cosine_similarity(
            whole["gradient"].flatten(), first["gradient"].flatten(), dim=0
        )
        return abs(float(came["cosine"]) - float(angle)) < 1e-4

    symptoms = {
        "the cosine compares the whole gradient with the first task's: compare the "
        "second task's alone": with_sum
    }
    ask.each(_shared(), made(), mistakes, symptoms, tolerance=1e-4)


def _plan() -> nn.Sequential:
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))


class _World(NamedTuple):
    """What students get, two teachers' answers, and what is kept for the test."""

    few: tuple[Tensor, Tensor]
    pool: Tensor
    validation: tuple[Tensor, Tensor]
    told: dict[str, Tensor]
    test: tuple[Tensor, Tensor]
    said: dict[str, Tensor]  # the teachers' likeliest classes in the test


def _world(seed: int) -> _World:
    """Return four quadrants of a plane in 20 dimensions; one teacher's is turned."""
    rng = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(20, 20, generator=rng))[0][:, :2]  # (20, 2)
    corners = torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])

    def draw(n: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(n, 20, generator=rng)
        place = x @ axes  # (n, 2): its quadrant is the class
        labels = 2 * (place[:, 0] > 0).long() + (place[:, 1] > 0).long()
        return x + 0.3 * place.sign() @ axes.T, labels

    def answers(x: Tensor, angle: float, noise: float) -> Tensor:
        sin, cos = math.sin(angle), math.cos(angle)
        turned = x @ axes @ torch.tensor([[cos, -sin], [sin, cos]])
        said: Tensor = 2 * turned @ corners.T
        return said + noise * torch.randn(len(x), 4, generator=rng)

    x, y = draw(400)
    rows = torch.cat([(y == k).nonzero()[:3, 0] for k in range(4)])
    pool, validation, test = draw(400)[0], draw(200), draw(1000)
    angles = {"good": 0.2, "weak": 1.2}
    told = {k: answers(pool, angle, 1.0) for k, angle in angles.items()}
    said = {k: answers(test[0], angle, 0.0).argmax(1) for k, angle in angles.items()}
    return _World((x[rows], y[rows]), pool, validation, told, test, said)


_BOTH = ("alone", "taught")
_TOLD = "a teacher that knows these pictures"


class _Students(NamedTuple):
    """What came: two networks, and which of them is delivered."""

    alone: nn.Sequential
    taught: nn.Sequential
    keep: str


def _students(ask: Ask, asked: str, given: tuple[Tensor, ...]) -> _Students:
    came = ask.call(asked, given)
    must, models = "a dict with the keys 'alone', 'taught' and 'keep'", {}
    if not isinstance(came, dict) or set(came) != {*_BOTH, "keep"}:
        raise Wrong(asked, must, show(came)[:200], "keep these three keys")
    for name in _BOTH:
        models[name] = _plan()
        try:
            models[name].load_state_dict(
                {k: torch.as_tensor(v) for k, v in came[name].items()}
            )
        except Exception as error:
            hint = f"{name!r} must be the state_dict() of a network of plan()"
            raise Wrong(asked, "a state dict", str(error)[:200], hint) from None
    if came["keep"] not in _BOTH:
        must, hint = "'alone' or 'taught' under 'keep'", "'keep' is one of two names"
        raise Wrong(asked, must, show(came["keep"]), hint)
    return _Students(**models, keep=came["keep"])


def _right(model: nn.Sequential, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((model(x).argmax(1) == y).double().mean())


@exercise(points=4)
def two_students(ask: Ask) -> None:
    """Ask for a student of labels, one of answers, and a choice between them."""
    for seed in (20273, 20274):
        world = _world(seed)
        given = (*world.few, world.pool, world.told["good"], *world.validation)
        first = _students(ask, _TOLD, given)
        _judge_good(world, first)
        asked = "another teacher: it has never seen these pictures"
        weak = (*given[:3], world.told["weak"], *given[4:])
        second = _students(ask, asked, weak)
        questions = _unmoved(given, weak) if seed == 20273 else iter(())
        for about, names, hint, changed in questions:
            again = second if changed is weak else _students(ask, about, changed)
            for name in names:
                x = world.test[0]
                with torch.no_grad():
                    moved = getattr(again, name)(x) - getattr(first, name)(x)
                if moved.abs().max() > 1e-3:
                    must = f"the same network {name!r} as before"
                    hint = hint.replace("NAME", repr(name))
                    raise Wrong(about, must, "another network", hint)
        _judge_keep(_TOLD, world, first)
        follows = _right(second.taught, world.test[0], world.said["weak"])
        if follows < 0.7:
            hint = "'taught' must follow its teacher, even one that you would not hire"
            must = "'taught' says what its teacher says in 0.7 of new pictures"
            raise Wrong(asked, must, f"{follows:.2f}", hint)
        _judge_keep(asked, world, second)


def _unmoved(
    given: tuple[Tensor, ...], weak: tuple[Tensor, ...]
) -> Iterator[tuple[str, tuple[str, ...], str, tuple[Tensor, ...]]]:
    """Yield questions that must leave a network as it was."""
    hint = (
        "look at NAME: fix each seed within the function, a result must be repeatable"
    )
    yield "the same arguments once more", _BOTH, hint, given
    hint = "'alone' uses the teacher: it sees the few labelled pictures and no more"
    yield "another teacher's answers", _BOTH[:1], hint, weak
    hint = "'taught' uses labels: it learns from the teacher's answers alone"
    changed = (given[0], (given[1] + 1) % 4, *given[2:])
    yield "other labels of the few pictures", _BOTH[1:], hint, changed
    hint = "NAME is trained on validation pictures: they choose, and nothing else"
    changed = (*given[:4], -given[4], (given[5] + 1) % 4)
    yield "other validation pictures", _BOTH, hint, changed


def _judge_good(world: _World, came: _Students) -> None:
    """Raise `Wrong` where a student has not learned what it could."""
    pair = zip(came.alone.parameters(), came.taught.parameters(), strict=True)
    if all(torch.equal(ours, theirs) for ours, theirs in pair):
        hint = "one network under two names: give each student a plan() of its own"
        raise Wrong(_TOLD, "two networks", "equal ones", hint)
    fitted = _right(came.alone, *world.few)
    if fitted < 0.9:
        hint = "train 'alone' on the few labelled pictures, and longer"
        must = "'alone' right in 0.9 of the labelled pictures"
        raise Wrong(_TOLD, must, f"{fitted:.2f}", hint)
    alone, taught = (_right(m, *world.test) for m in (came.alone, came.taught))
    said = f"alone {alone:.2f}, taught {taught:.2f}"
    if taught < 0.85:
        hint = "train 'taught' on all unlabelled pictures, and longer; and do the "
        hint += "answers stay beside the pictures that they belong to?"
        must = "'taught' right in 0.85 of new pictures"
        raise Wrong(_TOLD, must, said, hint)
    if taught - alone < 0.1:
        hint = "'alone' is too good for a few labels: what else did it see?"
        raise Wrong(_TOLD, "a gain of 0.1 over 'alone'", said, hint)


def _judge_keep(asked: str, world: _World, came: _Students) -> None:
    """Raise `Wrong` if the student kept is the worse one on validation pictures."""
    right = {name: _right(getattr(came, name), *world.validation) for name in _BOTH}
    if right[came.keep] < max(right.values()):
        said = ", ".join(f"{name} {value:.2f}" for name, value in right.items())
        hint = "the worse one on validation pictures is kept: compare the two there"
        fitted = {k: _right(getattr(came, k), *world.few) for k in _BOTH}
        if fitted[came.keep] == max(fitted.values()):
            hint = "'keep' fits the pictures that 'alone' was trained on, or is never "
            hint += "chosen: compare the two on validation pictures"
        must = "the better one on validation pictures"
        raise Wrong(asked, must, f"{came.keep!r} kept; {said}", hint)


stand_ins = open_question(points=4)
