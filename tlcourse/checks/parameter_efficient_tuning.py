"""Checks of the exercises of the chapter on parameter-efficient tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tlcourse.checks._asking import Ask, Wrong, digest, exercise, open_question, same

__all__ = [
    "lora_layer",
    "lora_start",
    "memory_bill",
    "ninth_intent",
    "pairs_loss",
    "prototype_head",
    "thin_change",
]


@exercise(points=2)
def lora_start(ask: Ask) -> None:
    """Ask what four ways to start LoRA make of the first step."""
    right = {
        "A random, B zero": "73d73810b214",
        "A zero, B random": "e82f0becd45b",
        "both zero": "465715f78eaa",
        "both random": "2b0c30acc3f5",
    }
    says = {
        "A": "only B moves where B is 0 and A is not: A's gradient is made from B",
        "B": "only A moves where A is 0 and B is not: B's gradient is made from A",
        "C": "nothing ever moves only where both gradients are 0",
        "D": "the network is another at once only where B A is not 0",
    }
    hints = {digest(key, x): hint for key in right for x, hint in says.items()}
    ask.choices(right, "ABCD", hints)


@exercise(points=2)
def memory_bill(ask: Ask) -> None:
    """Ask what training a network of a billion weights holds, full and with LoRA."""
    full = {
        "half of it: a weight, its gradient and two averages are four numbers": 8.0,
        "the weights alone, or numbers instead of bytes: four numbers of 4 bytes": 4.0,
        "three numbers a weight: itself, its gradient and AdamW's two averages": 12.0,
        "this is the count for 8 bytes a number: float32 takes 4": 32.0,
        "these are bits: a byte has 8": 128.0,
        "these are GiB: a billion bytes was asked for": 16e9 / 2**30,
        "the unit is a billion bytes": 16e9,
        "five numbers a weight: there are four": 20.0,
        "LoRA's weights are not part of full fine-tuning": 16.016,
        "this is the count for LoRA: all weights are trained here": 4.016,
    }
    lora = {
        "the frozen weights are missing: they are held all the same": 0.016,
        "gradients and averages of LoRA's weights are missing": 4.004,
        "three numbers for each of LoRA's weights: there are four, itself as well": (
            4.012
        ),
        "two numbers for each of LoRA's weights: there are four": 4.008,
        "frozen weights have no gradients": 8.016,
        "frozen weights have no averages": 12.016,
        "frozen weights have neither gradients nor averages": 16.016,
        "this is the count for training all weights: most are frozen here": 16.0,
        "the frozen weights alone: LoRA's are missing": 4.0,
        "these are numbers held; each of them takes 4 bytes": 1.004,
        "a million is a thousandth of a billion": 4.16,
        "these are GiB: a billion bytes was asked for": 4.016e9 / 2**30,
        "the unit is a billion bytes": 4.016e9,
    }
    expected = {"full": 16.0, "LoRA": 4.016}
    ask.numbers(expected, {"full": full, "LoRA": lora}, tolerance=2e-4)


def _layers() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield x, W, b, A, B and alpha; r differs from alpha, d from p."""
    rng = torch.Generator().manual_seed(20262)
    for asked, n, d, p, r, alpha in (
        ("rank 2", 3, 5, 4, 2, 8.0),
        ("rank 1", 2, 3, 6, 1, 0.5),
        ("a square layer", 4, 4, 4, 2, 3.0),
        ("a square layer of full rank", 2, 3, 3, 3, 12.0),
        ("alpha equal to the rank", 5, 6, 3, 2, 2.0),
        ("rank 8", 2, 16, 12, 8, 16.0),
    ):
        shapes = (n, d), (p, d), (p,), (r, d), (p, r)
        drawn = (torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes)
        x, weight, bias, a, b = drawn
        yield asked, (x, weight, bias, a, b, alpha)
    yield "B at zero, as at the start", (x, weight, bias, a, 0 * b, alpha)
    single = (value.float() for value in (x, weight, bias, a, b))
    yield "single precision", (*single, alpha)


@exercise(points=3)
def lora_layer(ask: Ask) -> None:
    """Ask for the output of a layer with LoRA, and for its merged weights."""
    Change = Callable[[Tensor, Tensor, Tensor, float], Tensor]

    def made(change: Change, bias: float = 1.0) -> Callable[..., Any]:
        def layer(
            x: Tensor, w: Tensor, b: Tensor, a: Tensor, up: Tensor, alpha: float
        ) -> dict[str, Tensor]:
            merged = w.double() + change(a.double(), up.double(), w.double(), alpha)
            return {
                "output": x.double() @ merged.T + bias * b.double(),
                "merged": merged,
            }

        return layer

    def scaled(factor: Callable[[float, Tensor], float]) -> Callable[..., Any]:
        return made(lambda a, b, w, alpha: factor(alpha, a) * b @ a)

    def right(a: Tensor, b: Tensor, w: Tensor, alpha: float) -> Tensor:
        return alpha / len(a) * b @ a

    reference = made(right)

    def after(change: Callable[[dict[str, Tensor]], Any]) -> Callable[..., Any]:
        return lambda *layer: change(reference(*layer))

    def output(make: Callable[..., Tensor]) -> Callable[..., Any]:
        return lambda *layer: reference(*layer) | {"output": make(*layer)}

    def merged(make: Callable[..., Tensor]) -> Callable[..., Any]:
        return lambda *layer: reference(*layer) | {"merged": make(*layer)}

    def without(x: Tensor, w: Tensor, b: Tensor, *_: Any) -> Tensor:
        return x @ w.T + b

    mistakes: dict[str, Callable[..., Any]] = {
        "alpha is not divided by the rank": scaled(lambda alpha, a: alpha),
        "the scale is missing: s is alpha / r": scaled(lambda alpha, a: 1.0),
        "divided by the rank, but not multiplied by alpha": scaled(
            lambda alpha, a: 1 / len(a)
        ),
        "multiplied by the rank: s is alpha / r": scaled(
            lambda alpha, a: alpha * len(a)
        ),
        "s is upside down: it is alpha / r": scaled(lambda alpha, a: len(a) / alpha),
        "divided by d, the number of inputs: divide by the rank": scaled(
            lambda alpha, a: alpha / a.shape[1]
        ),
        "divided by p, the number of outputs: the rank is the length of A": made(
            lambda a, b, w, alpha: alpha / len(b) * b @ a
        ),
        "divided by the root of the rank: divide by the rank": scaled(
            lambda alpha, a: alpha / len(a) ** 0.5
        ),
        "the scale is squared": scaled(lambda alpha, a: (alpha / len(a)) ** 2),
        "the change is taken off: add it": scaled(lambda alpha, a: -alpha / len(a)),
        "the change is missing: this is the frozen layer": scaled(lambda alpha, a: 0.0),
        "the change is added twice": scaled(lambda alpha, a: 2 * alpha / len(a)),
        "W is missing: add the change to it": made(
            lambda a, b, w, alpha: right(a, b, w, alpha) - w
        ),
        "the scale is on W as well": made(
            lambda a, b, w, alpha: alpha / len(a) * (w + b @ a) - w
        ),
        "the bias is missing": made(right, 0.0),
        "the bias is added twice": made(right, 2.0),
        "the output is that of the frozen layer: the side branch is missing": output(
            without
        ),
        "the output is the side branch alone: add that of the frozen layer": output(
            lambda x, w, b, a, up, alpha: alpha / len(a) * x @ a.T @ up.T
        ),
        "the side branch has no scale in the output": output(
            lambda x, w, b, a, up, alpha: x @ w.T + b + x @ a.T @ up.T
        ),
        "the scale is on the bias and W in the output": output(
            lambda x, w, b, a, up, alpha: alpha / len(a) * (x @ (w + up @ a).T + b)
        ),
        "'merged' holds the frozen weights: add the change": merged(lambda x, w, *_: w),
        "'merged' holds the change alone: add W": merged(
            lambda x, w, b, a, up, alpha: alpha / len(a) * up @ a
        ),
        "'merged' has no scale": merged(lambda x, w, b, a, up, alpha: w + up @ a),
        "'merged' is transposed: it has the shape of W": after(
            lambda r: r | {"merged": r["merged"].T}
        ),
        "the output is transposed: its shape is (n, p)": after(
            lambda r: r | {"output": r["output"].T}
        ),
        "output and merged weights are exchanged": after(
            lambda r: {"output": r["merged"], "merged": r["output"]}
        ),
    }
    ask.each(_layers(), reference, mistakes)


def _features() -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield features with class labels, at least two classes and one pair of one."""
    rng = torch.Generator().manual_seed(20263)
    for asked, labels, d in (
        ("four messages", [0, 1, 0, 1], 3),
        ("three classes of different size", [2, 0, 1, 1, 2, 1, 1], 4),
        ("a single pair of one class", [0, 1, 2, 2], 5),
        ("a class with one message", [1, 1, 1, 0], 2),
        ("many messages", [i * i % 5 % 4 for i in range(40)], 8),
    ):
        shape = len(labels), d
        f = 2 * torch.randn(shape, generator=rng, dtype=torch.float64) + 0.5
        yield asked, (f, torch.tensor(labels))
    yield "single precision", (f.float(), torch.tensor(labels))
    f = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]]).double()
    yield "a perfect arrangement", (f, torch.tensor([0, 0, 1]))


@exercise(points=3)
def pairs_loss(ask: Ask) -> None:
    """Ask for the contrastive loss over all pairs of a batch."""

    def loss(
        near: Callable[[Tensor], Tensor] = lambda c: (c - 1) ** 2,
        far: Callable[[Tensor], Tensor] = lambda c: c**2,
        itself: bool = False,
        scale: bool = True,
        mix: Callable[[Tensor, Tensor], Tensor] = lambda a, b: a.mean() + b.mean(),
    ) -> Callable[..., Tensor]:
        def value(f: Tensor, y: Tensor) -> Tensor:
            f = normalize(f.double()) if scale else f.double()
            cosine, alike = f @ f.T, y[:, None] == y
            together = alike | False if itself else alike & ~torch.eye(len(y)).bool()
            return mix(near(cosine[together]), far(cosine[~alike]))

        return value

    mistakes: dict[str, Callable[..., Any]] = {
        "each message is paired with itself: leave the diagonal out": loss(itself=True),
        "the features are not scaled to length 1: cosines are needed": loss(
            scale=False
        ),
        "neither scaled to length 1 nor without the diagonal": loss(
            scale=False, itself=True
        ),
        "pairs of one class should have cosine 1, not 0": loss(near=lambda c: c**2),
        "pairs of one class should have cosine 1, not -1": loss(
            near=lambda c: (c + 1) ** 2
        ),
        "pairs of different classes should have cosine 0, not -1": loss(
            far=lambda c: (c + 1) ** 2
        ),
        "the two kinds of pairs are exchanged": loss(
            near=lambda c: c**2, far=lambda c: (c - 1) ** 2
        ),
        "1 - c is not squared": loss(near=lambda c: 1 - c),
        "the cosines of different classes are not squared": loss(far=lambda c: c),
        "nothing is squared": loss(near=lambda c: 1 - c, far=lambda c: c),
        "absolute values: squares were asked for": loss(
            near=lambda c: (c - 1).abs(), far=lambda c: c.abs()
        ),
        "negative cosines of different classes cost as well": loss(
            far=lambda c: c.clamp_min(0) ** 2
        ),
        "sums over the pairs: take the mean of each kind": loss(
            mix=lambda a, b: a.sum() + b.sum()
        ),
        "one mean over all pairs: take the mean of each kind, and add them": loss(
            mix=lambda a, b: torch.cat([a, b]).mean()
        ),
        "the mean of the two means: add them": loss(
            mix=lambda a, b: (a.mean() + b.mean()) / 2
        ),
        "only pairs of one class: the others are missing": loss(
            mix=lambda a, b: a.mean()
        ),
        "only pairs of different classes: those of one class are missing": loss(
            mix=lambda a, b: b.mean()
        ),
        "the second mean is taken off: add it": loss(
            mix=lambda a, b: a.mean() - b.mean()
        ),
        "the root of the means came: leave the squares": loss(
            mix=lambda a, b: a.mean().sqrt() + b.mean().sqrt()
        ),
        "squared means: take the means of squares": loss(
            near=lambda c: 1 - c,
            far=lambda c: c,
            mix=lambda a, b: a.mean() ** 2 + b.mean() ** 2,
        ),
    }

    def margin(least: float) -> Callable[..., Tensor]:
        return loss(far=lambda c: (c - least).clamp_min(0) ** 2)

    for least in (0.2, 0.5):
        mistakes[f"a margin of {least} that was not asked for"] = margin(least)
    ask.each(_features(), loss(), mistakes)


@exercise(points=2)
def prototype_head(ask: Ask) -> None:
    """Ask for the linear head that class means are."""

    def means(f: Tensor, y: Tensor, scale: bool = True) -> Tensor:
        f = normalize(f.double()) if scale else f.double()
        return torch.stack([f[y == k].mean(0) for k in range(int(y.max()) + 1)])

    def head(
        centres: Callable[[Tensor, Tensor], Tensor] = means,
        by: float = 2.0,
        square: Callable[[Tensor], Tensor] = lambda m: -(m**2).sum(1),
    ) -> Callable[..., Any]:
        def made(f: Tensor, y: Tensor) -> dict[str, Tensor]:
            m = centres(f, y)
            return {"weight": by * m, "bias": square(m)}

        return made

    def sums(f: Tensor, y: Tensor) -> Tensor:
        return means(f, y) * torch.bincount(y)[:, None]

    reference = head()

    def after(change: Callable[[dict[str, Tensor]], Any]) -> Callable[..., Any]:
        return lambda f, y: change(reference(f, y))

    mistakes: dict[str, Callable[..., Any]] = {
        "the features are not scaled to length 1": head(
            lambda f, y: means(f, y, False)
        ),
        "the means are scaled to length 1 once more": head(
            lambda f, y: normalize(means(f, y))
        ),
        "the means are scaled to length 1, the features are not": head(
            lambda f, y: normalize(means(f, y, False))
        ),
        "sums came: take the mean of each class": head(sums),
        "divided by all messages: each class has its own number": head(
            lambda f, y: sums(f, y) / len(y)
        ),
        "the weights are twice the means": head(by=1.0),
        "the weights have the wrong sign": head(by=-2.0),
        "the bias has the wrong sign: far means lose": head(
            square=lambda m: (m**2).sum(1)
        ),
        "the bias is minus the squared length, not minus the length": head(
            square=lambda m: -m.norm(dim=1)
        ),
        "the bias is missing": head(square=lambda m: 0 * m[:, 0]),
        "half of the bias: with weights of twice the mean it is whole": head(
            square=lambda m: -(m**2).sum(1) / 2
        ),
        "twice the bias: only the weights are doubled": head(
            square=lambda m: -2 * (m**2).sum(1)
        ),
        "this scores half of what was asked: weights 2 m, bias -m m": head(
            by=1.0, square=lambda m: -(m**2).sum(1) / 2
        ),
        "the bias is made of the doubled weights: use the means": head(
            square=lambda m: -4 * (m**2).sum(1)
        ),
        "the square is averaged over the features: add them up": head(
            square=lambda m: -(m**2).mean(1)
        ),
        "the bias adds up the means: add up their squares": head(
            square=lambda m: -m.sum(1)
        ),
        "one mean for all classes came": head(
            lambda f, y: means(f, 0 * y).expand(int(y.max()) + 1, -1)
        ),
        "the classes stand in the wrong order": after(
            lambda r: {k: v.flip(0) for k, v in r.items()}
        ),
        "the rows are in the messages' order: row k belongs to class k": (
            lambda f, y: {
                k: v[list(dict.fromkeys(y.tolist()))]
                for k, v in reference(f, y).items()
            }
        ),
        "these logits are cosines: the chapter's head measures distances": head(
            lambda f, y: normalize(means(f, y)), 1.0, lambda m: 0 * m[:, 0]
        ),
        "the weights are transposed: their shape is (c, d)": after(
            lambda r: r | {"weight": r["weight"].T}
        ),
        "only the first message of a class counts: take the mean": head(
            lambda f, y: torch.stack(
                [normalize(f[y == k][:1].double())[0] for k in range(int(y.max()) + 1)]
            )
        ),
        "the median of a class: take the mean": head(
            lambda f, y: torch.stack(
                [
                    normalize(f[y == k].double()).median(0).values
                    for k in range(int(y.max()) + 1)
                ]
            )
        ),
    }
    ask.each(_features(), reference, mistakes)


def _tasks() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield W, inputs, targets, rank and alpha; inputs are white."""
    rng = np.random.default_rng(20264)
    for asked, sizes, rank, alpha in (
        ("a change of two directions, rank 2", (3.0, 1.5), 2, 4.0),
        ("a change of four directions, rank 1", (3.0, 2.0, 1.5, 1.0), 1, 1.0),
        ("a change of four directions, rank 3", (3.0, 2.0, 1.5, 0.7), 3, 6.0),
    ):
        x = np.linalg.qr(rng.standard_normal((40, 6)))[0] * 40**0.5
        u, v = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (5, 6))
        weight = rng.standard_normal((5, 6)).astype(np.float32).astype(np.float64)
        change = sum(s * np.outer(u[:, i], v[i]) for i, s in enumerate(sizes))
        y = x @ (weight + change).T + 0.1 * rng.standard_normal((40, 5))
        yield asked, (*(torch.tensor(a) for a in (weight, x, y)), rank, alpha)


def _held(matrix: Tensor, rank: int, power: int = 2) -> float:
    values = torch.linalg.svdvals(matrix) ** power
    return float(values[:rank].sum() / values.sum())


@exercise(points=4)
def thin_change(ask: Ask) -> None:
    """Ask for a change learned by LoRA, and for how thin the full one is."""
    for asked, task in _tasks():
        weight, x, y, rank, alpha = task
        shapes = {"weight": (5, 6), "A": (rank, 6), "B": (5, rank), "share": ()}
        came = ask.call(asked, task)
        if not isinstance(came, dict) or came.keys() != shapes.keys():
            must = f"a dict with the keys {', '.join(shapes)}"
            raise Wrong(asked, must, type(came).__name__, f"return {must}")
        found = {k: torch.as_tensor(np.asarray(v, float)) for k, v in came.items()}
        for key, shape in shapes.items():
            if found[key].shape != shape:
                hint = f"{key} must have shape {shape}"
                raise Wrong(asked, hint, str(tuple(found[key].shape)), hint)
            if not found[key].isfinite().all():
                hint = "nan or inf: is the rate too high?"
                raise Wrong(asked, "finite numbers", key, hint)
        full: Tensor = torch.linalg.lstsq(x, y).solution.T
        _judge_frozen(asked, found, weight, full, alpha / rank)

        def loss(
            change: Tensor, w: Tensor = weight, x: Tensor = x, y: Tensor = y
        ) -> Tensor:
            return ((x @ (w + change).T - y) ** 2).mean()

        best = float(loss(_cut(full - weight, rank)))
        got, enough = loss(alpha / rank * found["B"] @ found["A"]), 1.05 * best + 0.005
        if got > enough:
            said = f"a mean squared error of {got:.4f}"
            hint = _why_high(found, loss, enough, alpha / rank, alpha)
            if same(alpha / rank * found["B"] @ found["A"], _cut(full, rank), 0.02):
                hint = "the side branch alone was fitted: it is added to W x"
            raise Wrong(asked, f"one below {enough:.4f}", said, hint)
        share, right = float(found["share"]), _held(full - weight, rank)
        if abs(share - right) > 0.01:
            wrong = {
                "these are the trained B A: take the change of full fine-tuning": 1.0,
                "the share is that of the full weights: take off the frozen ones": (
                    _held(full, rank)
                ),
                "the share is that of the frozen weights: take the change": _held(
                    weight, rank
                ),
                "W was taken off twice": _held(full - 2 * weight, rank),
                "singular values are added: add their squares": _held(
                    full - weight, rank, 1
                ),
                "this is the share that is left out": 1 - right,
                "only the first direction counts in yours": _held(full - weight, 1),
                "one direction too many": _held(full - weight, rank + 1),
                "one direction too few": _held(full - weight, rank - 1),
                "the share is in percent: a fraction was asked for": 100 * right,
                "this is the root of the share": right**0.5,
                "this is the share of the directions, not of the square": rank / 5,
            }
            hints = (h for h, value in wrong.items() if same(share, value, 0.005))
            hint = next(hints, "compute full - weight, and its singular values")
            raise Wrong(asked, f"a share of {right:.3f}", f"{share:.3f}", hint)


def _cut(matrix: Tensor, rank: int) -> Tensor:
    u, s, v = torch.linalg.svd(matrix)
    cut: Tensor = u[:, :rank] * s[:rank] @ v[:rank]
    return cut


def _judge_frozen(
    asked: str, found: dict[str, Tensor], weight: Tensor, full: Tensor, scale: float
) -> None:
    came = found["weight"]
    if torch.equal(came, weight):
        return
    hint = "the frozen weights moved: only A and B may be trained"
    if torch.allclose(came, weight, atol=1e-5):
        hint = "'weight' moved a little: return the very numbers that came"
    elif torch.allclose(came, weight + scale * found["B"] @ found["A"], atol=1e-4):
        hint = "'weight' is merged already: return the frozen weights as they are"
    elif torch.allclose(came, full, atol=0.02):
        hint = "'weight' holds the weights of full: return those of LoRA, frozen"
    raise Wrong(asked, "W, bit for bit", "other weights", hint)


def _why_high(
    found: dict[str, Tensor],
    loss: Callable[[Tensor], Tensor],
    enough: float,
    scale: float,
    alpha: float,
) -> str:
    a, b = (found[key].requires_grad_() for key in "AB")
    thin, frozen = (b @ a).detach(), torch.zeros(5, 6, dtype=a.dtype)
    if not thin.any():
        return "B A is still 0: start A at random and B at zero, and train both"
    scales = {
        "the scale is missing in training: the layer adds alpha / rank times B A": 1.0,
        "alpha is not divided by the rank in training": alpha,
        "s is upside down in training: it is alpha / rank": 1 / scale,
        "the change has the wrong sign: W + s B A": -scale,
    }
    for hint, wrong in scales.items():
        if loss(wrong * thin) <= enough:
            return hint
    by_a, by_b = (
        float(slope.norm())
        for slope in torch.autograd.grad(loss(scale * b @ a), (a, b))
    )
    if by_b < 0.02 * by_a:
        return "only B is at its best: A must be trained as well"
    if by_a < 0.02 * by_b:
        return "only A is at its best: B must be trained as well"
    sizes = torch.linalg.svdvals(thin)
    if len(a) > 1 and sizes[len(a) - 1] < 1e-6 * sizes[0]:
        return "B A has a lower rank than it may have: start each row of A otherwise"
    if loss(scale * thin) >= loss(frozen):
        return "no better than the frozen layer: is it the loss that you descend?"
    return "better than the frozen layer, but not there: descend longer"


ninth_intent = open_question(points=4)
