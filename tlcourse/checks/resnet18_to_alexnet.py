"""Checks of the exercises of the chapter from ResNet18 to AlexNet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.checks._asking import Ask, Wrong, exercise, open_question, same, show

__all__ = [
    "distillation",
    "frozen_features",
    "mended_listing",
    "merge_copies",
    "two_sums",
    "which_bug",
    "which_network",
]

Mistakes: TypeAlias = dict[str, Callable[..., Any]]


@exercise(points=2)
def which_bug(ask: Ask) -> None:
    """Ask which silent bug belongs to which symptom."""
    right = {
        "company": "d9ad3d19dc38",
        "standstill": "32f9948898f2",
        "second epoch": "3db3c48488ec",
        "no better": "0ca45f91e995",
        "fresh pictures": "9e9236a796eb",
    }
    hints = {
        "a6f3a07bffc7": (
            "no rate plays a part: nothing is trained between the two measurements"
        ),
        "ce65d1703dea": (
            "dropout changes answers at random, whatever the size of the batch"
        ),
        "f834bc45b4a9": "random weights would give the same features for both sizes",
        "abbf9cf268b6": "no epoch is chosen here: the features themselves differ",
        "2fd847931f08": "wrong pixels are wrong in the same way in batches of any size",
        "ca3731aa2aa2": (
            "batch normalisation in training mode does not stop the training of a head"
        ),
        "ce299d9c352e": (
            "without dropout the training loss falls faster, not more slowly"
        ),
        "a332a84f3aa5": "a network with random weights can still be trained",
        "e8cef5744370": (
            "choosing an epoch comes after training and cannot slow it down"
        ),
        "d0d5919a589c": (
            "wrong pixels harm from the first step on, and not more after ten"
        ),
        "a280dde4bb77": (
            "batch normalisation in training mode would act in the first epoch already"
        ),
        "bdb50a650eab": "a dying rate makes the loss stand still, not fall faster",
        "e91ac94ec0a4": "random weights would be there in the first epoch already",
        "e1b4115a596a": "choosing an epoch changes no loss",
        "0d36bb4733b6": "wrong pixels would be there in the first epoch already",
        "e99fc40d62aa": (
            "a body that was copied would see better than a new one in any mode"
        ),
        "293341768763": "the features are read before any rate plays a part",
        "778d0f785bc4": (
            "dropout belongs to training; here only copied weights are used"
        ),
        "9c45bc466cf5": "no epoch is chosen here",
        "66569f6ed481": (
            "wrong pixels harm, but trained weights would still differ from new ones"
        ),
        "e4018ecab12b": (
            "the number of epochs plays no part in the mode of a frozen body"
        ),
        "117542ff5882": "with a dead rate more epochs change nothing",
        "0d6f8adf8930": (
            "overfitting lowers both accuracies; here one is too high by selection"
        ),
        "bf903f6270cb": "random weights lower the accuracy on both sets of pictures",
        "53d12091cd72": "wrong pixels lower the accuracy on both sets of pictures",
    }
    ask.choices(right, "ABCDEF", hints)


@exercise(points=2)
def two_sums(ask: Ask) -> None:
    """Ask for the sum of all rates, with a call a batch and with a call an epoch."""
    plateaus = 1 + 0.5 + 0.25 + 0.125
    batch = {
        "each plateau lasts five calls: multiply the geometric series by 5": 2.0,
        "the rate falls: this is the number of steps": 8000.0,
        "this is the first plateau alone: the later ones count as well": 5.0,
        "there are 8,000 calls, not twenty: the series goes on": 5 * plateaus,
        "this is the sum with one call an epoch": 2000 * plateaus,
        "with a call a batch the length of an epoch plays no part": 4000.0,
        "1 / (1 - gamma) is 2, not 1.5: the first plateau counts fully": 7.5,
        "divide by 1 - gamma once: 5 / 0.5": 20.0,
        "this is gamma 0.1 of the chapter; here it is 0.5": 5 / 0.9,
        "this is the chapter's sum, with steps of seven and gamma 0.1": 7 / 0.9,
        "the sum is wanted in units of the first rate": 0.0,
    }
    epoch = {
        "twenty epochs hold four plateaus: the series stops there": 4000.0,
        "each epoch has 400 steps at its rate: multiply by 400": 5 * plateaus,
        "the rate falls: this is the number of steps": 8000.0,
        "this is the sum with a call a batch": 10.0,
        "each plateau lasts five epochs: multiply by 5": 400 * plateaus,
        "five plateaus: twenty epochs hold four": 2000 * (plateaus + 0.0625),
        "three plateaus: twenty epochs hold four": 2000 * (plateaus - 0.125),
        "this is the first plateau alone: the later ones count as well": 2000.0,
        "the first plateau has the first rate itself, not half of it": 1000 * plateaus,
        "this is gamma 0.1 of the chapter; here it is 0.5": 2000 * 1.111,
        "this is the mean rate: sum over the steps": plateaus / 4,
    }
    expected = {"call a batch": 10.0, "call an epoch": 2000 * plateaus}
    ask.numbers(expected, {"call a batch": batch, "call an epoch": epoch})


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(20261)


def _weights() -> Iterator[tuple[str, tuple[Tensor, int]]]:
    """Yield layers that read copies."""
    rng = _generator()

    def layer(m: int, channels: int, copies: int) -> tuple[Tensor, int]:
        shape = m, channels * copies
        return torch.randn(shape, generator=rng, dtype=torch.float64), copies

    yield "two channels, three copies of each", layer(1, 2, 3)
    yield "a random layer", layer(4, 3, 36)
    yield "as many channels as copies", layer(3, 5, 5)
    weight, copies = layer(6, 4, 9)
    yield "single precision", (weight.float(), copies)
    yield "no copies", layer(5, 7, 1)
    yield "one channel", layer(5, 1, 4)
    yield "a large layer", layer(128, 64, 36)


@exercise(points=2)
def merge_copies(ask: Ask) -> None:
    """Ask for the weights of a layer that reads each copied number once."""

    def parts(weight: Tensor, copies: int) -> Tensor:
        return weight.double().reshape(len(weight), -1, copies)

    def reference(weight: Tensor, copies: int) -> Tensor:
        return parts(weight, copies).sum(2)

    def other(weight: Tensor, copies: int) -> Tensor:
        return weight.double().reshape(len(weight), copies, -1)

    mistakes: Mistakes = {
        "the mean of the copies: their weights add up": (
            lambda w, k: parts(w, k).mean(2)
        ),
        "only the weight of the first copy: all of them are read": (
            lambda w, k: parts(w, k)[:, :, 0]
        ),
        "only the weight of the last copy: all of them are read": (
            lambda w, k: parts(w, k)[:, :, -1]
        ),
        "the copies of a channel lie side by side: split as (m, channels, copies)": (
            lambda w, k: other(w, k).sum(1)
        ),
        "these are means of columns that lie apart: copies lie side by side, add": (
            lambda w, k: other(w, k).mean(1)
        ),
        "only the first columns came: add the weights of all copies": (
            lambda w, k: w[:, : w.shape[1] // k]
        ),
        "the largest weight of the copies: they add up": (
            lambda w, k: parts(w, k).amax(2)
        ),
        "absolute weights are added: keep their signs": (
            lambda w, k: parts(w, k).abs().sum(2)
        ),
        "squared weights are added: the copies are read one by one": (
            lambda w, k: parts(w, k).square().sum(2)
        ),
        "the product of the copies' weights: they add up": (
            lambda w, k: parts(w, k).prod(2)
        ),
        "rows and columns are exchanged: return shape (m, channels)": (
            lambda w, k: reference(w, k).T
        ),
        "all channels are added up: keep one weight for each channel": (
            lambda w, k: w.double().sum(1)
        ),
        "the last copy of each channel is left out": (
            lambda w, k: parts(w, k)[:, :, :-1].sum(2)
        ),
        "the first copy of each channel is left out": (
            lambda w, k: parts(w, k)[:, :, 1:].sum(2)
        ),
        "added over the rows: every output keeps its own weights": (
            lambda w, k: reference(w, k).sum(0)
        ),
        "multiplied by the copies after adding: the sum is enough": (
            lambda w, k: reference(w, k) * k
        ),
        "divided by the copies twice: the sum is enough": (
            lambda w, k: reference(w, k) / k**2
        ),
        "divided by the root of the copies: the sum is enough": (
            lambda w, k: reference(w, k) / k**0.5
        ),
        "nothing is merged: the weights came back as they were": lambda w, k: w,
    }
    ask.each(_weights(), reference, mistakes)


def _extract(
    state: dict[str, Tensor],
    images: Tensor,
    size: int,
    *,
    training: bool = False,
    change: Callable[[Tensor], Tensor] = torch.clone,
    momentum: float = 0.1,
    before: bool = False,
) -> dict[str, Tensor]:
    """Extract features rightly, or as a mistake would."""
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    norm = nn.BatchNorm2d(4, momentum=momentum)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU(), *pooled).double()
    net.load_state_dict({k.removeprefix("body."): v for k, v in state.items()})
    with torch.no_grad():
        x = change(images.double())
        parts = [x[i : i + size] for i in range(0, len(x), size)]
        if before:  # the statistics move, then evaluation mode comes too late
            _ = [net(part) for part in parts]
        net.train(training)
        found = torch.cat([net(part) for part in parts])
    return {
        "features": found,
        "running_mean": net.state_dict()["1.running_mean"].clone(),
    }


def _albums() -> Iterator[tuple[str, tuple[dict[str, Tensor], Tensor, int]]]:
    """Yield weights, pictures of two kinds, and a size of batches."""
    rng = _generator()
    for asked, n, size, ordered in (
        ("twelve pictures in mixed batches of 4", 12, 4, False),
        ("twelve pictures sorted by class, batches of 4", 12, 4, True),
        ("a last batch of one picture", 9, 4, False),
        ("one batch of all", 6, 6, False),
        ("batches of one", 3, 1, True),
        ("one picture, a size of 10", 1, 10, False),
    ):
        state = {
            "body.0.weight": torch.randn(4, 3, 3, 3, generator=rng) / 2,
            "body.0.bias": torch.randn(4, generator=rng),
            "body.1.weight": 1 + torch.rand(4, generator=rng),
            "body.1.bias": 0.5 + torch.rand(4, generator=rng),
            "body.1.running_mean": torch.randn(4, generator=rng),
            "body.1.running_var": 0.5 + torch.rand(4, generator=rng),
            "body.1.num_batches_tracked": torch.tensor(100),
        }
        images = torch.rand(n, 3, 8, 8, generator=rng) / 2
        kinds = torch.arange(n) * 2 // n if ordered else torch.arange(n) % 2
        images += kinds[:, None, None, None] / 2
        yield asked, (state, images, size)


_MODE = "training mode: batch normalisation uses the batch; call eval() first"
_PIXELS = "these weights expect pixels from 0 to 1: leave the pictures as they are"


@exercise(points=3)
def frozen_features(ask: Ask) -> None:
    """Ask for the features of a frozen body, whatever the batches."""

    def made(**how: Any) -> Callable[..., Any]:
        return lambda *given: _extract(*given, **how)

    def scaled(x: Tensor) -> Tensor:
        return 2 * x - 1

    def only(change: Callable[[Tensor, int], Tensor]) -> Callable[..., Any]:
        return lambda state, images, size: {
            **(found := _extract(state, images, size)),
            "features": change(found["features"], size),
        }

    def averages(change: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: {**_extract(*given), "running_mean": change(*given)}

    def differs(came: Any, *given: Any) -> bool:
        again = ask.call("the same once more", given)
        return not same(again["features"], came["features"], 1e-7)

    mistakes: Mistakes = {
        _MODE: made(training=True),
        f"two bugs are left: {_MODE}; and {_PIXELS}": (
            made(training=True, change=scaled)
        ),
        _PIXELS: made(change=scaled),
        "eval() comes too late: a pass in training mode has moved the averages": (
            made(before=True)
        ),
        f"two passes, the first in training mode, and {_PIXELS}": (
            made(before=True, change=scaled)
        ),
        "the averages stand still, but each batch is normalised by itself: eval()": (
            made(training=True, momentum=0.0)
        ),
        "the pictures are divided by 255: their pixels lie between 0 and 1 already": (
            made(change=lambda x: x / 255)
        ),
        "the pictures are multiplied by 255: these weights expect 0 to 1": (
            made(change=lambda x: 255 * x)
        ),
        "each picture is normalised by itself here: leave the pixels as they are": (
            made(change=lambda x: x - x.mean((1, 2, 3), keepdim=True))
        ),
        "the mean of all pictures is subtracted: leave the pixels as they are": (
            made(change=lambda x: x - x.mean())
        ),
        "the colours are in the wrong order": made(change=lambda x: x.flip(1)),
        "only the first batch came: join the features of all": (
            only(lambda x, size: x[:size])
        ),
        "only the last batch came: join the features of all": (
            only(lambda x, size: x[(len(x) - 1) // size * size :])
        ),
        "the last batch is missing where it is not full": (
            only(lambda x, size: x[: len(x) // size * size])
        ),
        "rows and columns of the features are exchanged": only(lambda x, _: x.T),
        "the mean over the pictures came: keep one row for each": (
            only(lambda x, _: x.mean(0))
        ),
        "running_mean is that of a new network: return the loaded one's": (
            averages(lambda *_: torch.zeros(4))
        ),
        "this is the running variance: return the running mean": (
            averages(lambda state, *_: state["body.1.running_var"])
        ),
        "the features are right, but the averages have moved": (
            averages(lambda *given: _extract(*given, training=True)["running_mean"])
        ),
    }
    symptoms = {
        "other features at each call: no weight was loaded; the names in `state` "
        "begin with 'body.', and strict=False hides it": differs,
    }
    ask.each(_albums(), _extract, mistakes, symptoms)


def _answers() -> Iterator[tuple[str, tuple[Tensor, Tensor, float]]]:
    """Yield logits of a student and of a teacher, and a temperature."""
    rng = _generator()

    def pair(n: int, c: int, scale: float = 2.0) -> tuple[Tensor, Tensor]:
        both = scale * torch.randn(2, n, c, generator=rng, dtype=torch.float64)
        return both[0], both[1]

    def exact(*rows: list[float]) -> Tensor:
        return torch.tensor(rows, dtype=torch.float64)

    yield "one picture", (exact([1.0, 0.0]), exact([0.0, 3.0]), 2.0)
    yield "a random batch", (*pair(6, 4), 3.0)
    yield "a temperature of 1", (*pair(5, 3), 1.0)
    student, teacher = pair(7, 2)
    yield "single precision", (student.float(), teacher.float(), 4.0)
    yield "a temperature below 1", (*pair(3, 5), 0.5)
    yield "a student that agrees", (teacher, teacher.clone(), 2.0)
    yield "a large batch", (*pair(200, 10), 2.0)
    huge = exact([1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 0.0])
    yield "logits of 1,000 and -1,000", (huge.flip(0), huge, 2.0)


@exercise(points=3)
def distillation(ask: Ask) -> None:
    """Ask for the distance between a student's answers and a teacher's."""

    def divergence(log_q: Tensor, log_p: Tensor) -> Tensor:
        return (log_q.exp() * (log_q - log_p)).sum(1)

    def soft(
        s: Tensor, t: Tensor, mine: float, its: float, dim: int = 1
    ) -> tuple[Tensor, Tensor]:
        return (t.double() / its).log_softmax(dim), (s.double() / mine).log_softmax(dim)

    def reference(s: Tensor, t: Tensor, temperature: float) -> Tensor:
        both = soft(s, t, temperature, temperature)
        return temperature**2 * divergence(*both).mean()

    def crossed(s: Tensor, t: Tensor, k: float) -> Tensor:
        log_q, log_p = soft(s, t, k, k)
        return -(k**2) * (log_q.exp() * log_p).sum(1).mean()

    def cut(low: float) -> Callable[..., Any]:
        def price(s: Tensor, t: Tensor, k: float) -> Tensor:
            q, p = (x.exp().clamp_min(low) for x in soft(s, t, k, k))
            return k**2 * (q * (q / p).log()).sum(1).mean()

        return price

    mistakes: Mistakes = {
        "the factor T squared is missing": lambda s, t, k: reference(s, t, k) / k**2,
        "the factor is T: it must be T squared": lambda s, t, k: reference(s, t, k) / k,
        "divided by T squared: multiply by it": lambda s, t, k: (
            reference(s, t, k) / k**4
        ),
        "student and teacher are exchanged: q is the teacher's and stands in front": (
            lambda s, t, k: reference(t, s, k)
        ),
        "the sum over the batch: divide by the number of pictures": (
            lambda s, t, k: reference(s, t, k) * len(s)
        ),
        "the mean over n times c numbers: divide by the number of pictures": (
            lambda s, t, k: reference(s, t, k) / s.shape[1]
        ),
        "n times c, and no T squared: divide by the pictures, multiply by T squared": (
            lambda s, t, k: reference(s, t, k) / s.shape[1] / k**2
        ),
        "one number for each picture came: take the mean over the batch": (
            lambda s, t, k: k**2 * divergence(*soft(s, t, k, k))
        ),
        "only the first picture counts: take the mean over the batch": (
            lambda s, t, k: reference(s[:1], t[:1], k)
        ),
        "this is cross-entropy: q log q of the teacher must be in the sum": crossed,
        "cross-entropy without T squared: write q log(q / p) and the factor": (
            lambda s, t, k: crossed(s, t, k) / k**2
        ),
        "the temperature multiplies the logits: divide by it": (
            lambda s, t, k: k**2 * divergence(*soft(s, t, 1 / k, 1 / k)).mean()
        ),
        "the temperature is not used in the softmax": (
            lambda s, t, k: k**2 * divergence(*soft(s, t, 1, 1)).mean()
        ),
        "the temperature is not used at all": lambda s, t, k: reference(s, t, 1),
        "the student's logits are not softened": (
            lambda s, t, k: k**2 * divergence(*soft(s, t, 1, k)).mean()
        ),
        "the teacher's logits are not softened": (
            lambda s, t, k: k**2 * divergence(*soft(s, t, k, 1)).mean()
        ),
        "softmax over the batch: normalise over the classes, dim=1": (
            lambda s, t, k: k**2 * divergence(*soft(s, t, k, k, 0)).sum() / len(s)
        ),
        "softmax applied twice": (
            lambda s, t, k: reference(s.double().softmax(1), t.double().softmax(1), k)
        ),
        "the teacher's likeliest class as a label: its whole answer is to be met": (
            lambda s, t, k: F.cross_entropy(s.double(), t.argmax(1))
        ),
        "this is the squared error of the logits": (
            lambda s, t, k: F.mse_loss(s.double(), t.double())
        ),
        "this is the squared error of the probabilities": (
            lambda s, t, k: (
                torch.stack(soft(s, t, k, k)).exp().diff(dim=0).square().mean()
            )
        ),
        "in base 2: take the natural logarithm": (
            lambda s, t, k: reference(s, t, k) / np.log(2)
        ),
        "the mean of both directions: only that with q in front is wanted": (
            lambda s, t, k: (reference(s, t, k) + reference(t, s, k)) / 2
        ),
    }
    for power in (6, 7, 8, 9, 10, 12, 15):
        key = f"probabilities are cut off at 1e-{power}: use log_softmax instead"
        mistakes[key] = cut(10.0**-power)
    ask.each(_answers(), reference, mistakes)


_EPOCHS, _BATCH = 30, 20


def _tasks() -> Iterator[tuple[str, tuple[Tensor, ...], Tensor]]:
    """Yield features and labels, and the hidden labels of the test.

    Every row of validation and test occurs twice, so that dropout shows. Some labels
    for training are wrong, so that the last epoch is not the best.
    """
    rng = _generator()
    for asked, n in (("80 labelled rows", 80), ("120 labelled rows", 120)):
        labels = [torch.arange(k) % 2 for k in (n, 200, 300)]
        way = F.normalize(torch.randn(24, generator=rng), dim=0)
        rows = [
            torch.randn(len(y), 24, generator=rng) + 4.5 * (y[:, None] - 0.5) * way
            for y in labels
        ]
        wrong = torch.rand(n, generator=rng) < 0.25
        given = labels[0] ^ wrong.long()
        x = [rows[0], *(part.repeat(2, 1) for part in rows[1:])]
        yield asked, (x[0], given, x[1], labels[1].repeat(2), x[2]), labels[2].repeat(2)


def _plan(steps: int, every: int = 10) -> dict[str, np.ndarray[Any, Any]]:
    """Return the rates of each epoch: the right ones, and those of mistakes."""
    k = np.arange(_EPOCHS)

    def rates(calls: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return 0.01 * 0.1 ** (calls // every)

    return {
        "": rates(k),
        "the scheduler is called once a batch: call it once an epoch": rates(k * steps),
        "the rates are noted at the end of an epoch of calls a batch: call it once "
        "an epoch": rates((k + 1) * steps),
        "the last rate before it falls again: with a call a batch, at an epoch's end": (
            rates((k + 1) * steps - 1)
        ),
        "the rates are noted after the scheduler's call: note the rate that was used": (
            rates(k + 1)
        ),
        "the rate never falls: is the scheduler called?": 0.01 + 0 * k,
        "the rates are a tenth of the right ones: start at 0.01": rates(k) / 10,
        "the rate falls in every epoch: StepLR waits for step_size calls": (
            0.01 * 0.1**k
        ),
        "the scheduler is called twice an epoch": rates(2 * k),
    }


def _right(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())


_SHAPES = ("rates", "modes", "validation", "validation_logits", "test_logits")


@exercise(points=4)
def mended_listing(ask: Ask) -> None:
    """Ask for a training whose rates, modes and choice are as they should be."""
    for asked, given, hidden in _tasks():
        came = ask.call(asked, given)
        _judge(asked, given, hidden, came)


def _judge(asked: str, given: tuple[Tensor, ...], hidden: Tensor, came: Any) -> None:
    """Raise what is wrong with a training."""

    def demand(true: bool, must: str, got: Any, hint: str) -> None:
        if not true:
            raise Wrong(asked, must, got if isinstance(got, str) else show(got), hint)

    keys = {*_SHAPES, "epoch"}
    names = f"a dict with the keys {', '.join(map(repr, (*_SHAPES, 'epoch')))}"
    demand(isinstance(came, dict) and set(came) == keys, names, came, f"return {names}")
    counts = [(_EPOCHS,)] * 3 + [(len(given[2]), 2), (len(given[4]), 2)]
    found = {k: torch.as_tensor(np.asarray(came[k], dtype=np.float64)) for k in _SHAPES}
    for key, shape in zip(_SHAPES, counts, strict=True):
        got = f"{key!r} of shape {tuple(found[key].shape)}"
        demand(found[key].shape == shape, f"{shape}", got, f"look at the shape: {key}")
        demand(bool(found[key].isfinite().all()), "finite numbers", got, "nan or inf")
    plan = _plan(len(given[0]) // _BATCH)
    close = [h for h, r in plan.items() if np.allclose(found["rates"], r, rtol=1e-3)]
    hint = (close or ["0.01 in the first ten epochs, then a tenth, then a hundredth"])[
        0
    ]
    demand("" in close, "other rates", found["rates"][::5], hint)
    modes, scores = found["modes"].bool(), found["validation"]
    off = "dropout is off from the second epoch on: call train() in each epoch"
    hint = off if modes[0] else "train() must be called before the steps of each epoch"
    demand(bool(modes.all()), "training mode in each epoch", modes[:5].tolist(), hint)
    hint = "accuracies are fractions between 0 and 1"
    inside = bool(((scores >= 0) & (scores <= 1)).all())
    demand(inside, "fractions", scores[::5], hint)
    for key in _SHAPES[3:]:
        first, second = found[key].chunk(2)
        hint = "equal rows get unequal logits: dropout is on; call eval() before"
        equal = torch.allclose(first, second, atol=1e-4)
        demand(equal, "equal logits for equal rows", key, hint)
    epoch, best = came["epoch"], float(scores.max())
    hint = "'epoch' must be a whole number from 0 to 29"
    whole = not np.shape(epoch) and float(epoch) in range(_EPOCHS)
    demand(whole, hint, show(epoch), hint)
    said, own = float(scores[int(epoch)]), _right(found["validation_logits"], given[3])
    before = float(scores[max(int(epoch) - 1, 0)])
    hint = "the epoch with the lowest accuracy: take the highest"
    if said > float(scores.min()) or said == best:
        hint = "take the epoch with the highest validation accuracy"
    hint = "epochs count from 0 here" if before == best else hint
    hint = "the last epoch: take the best by validation" if epoch == 29 else hint
    demand(said == best, "an epoch of the highest accuracy", show(epoch), hint)
    hint = "the validation logits do not have the accuracy that you note for the epoch"
    if abs(own - float(scores[-1])) < 1e-6:
        hint = (
            "these are the last epoch's weights: load the chosen ones again; "
            "state_dict() holds the tensors that training goes on changing, so copy it"
        )
    demand(abs(own - best) < 1e-6, f"accuracy {best:.4f}", f"{own:.4f}", hint)
    tested = _right(found["test_logits"], hidden)
    hint = "the classifier has hardly learned: are rows and labels in one order?"
    if tested < 0.35:
        hint = "worse than guessing: are the classes exchanged, or the sign?"
    demand(tested >= 0.7, "a test accuracy of 0.7 or more", f"{tested:.3f}", hint)


which_network = open_question(points=4)
