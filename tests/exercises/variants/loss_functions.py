"""Answers to the exercises on loss functions: right ones, and wrong ones with hints.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import logsumexp

E, C = math.e, 100
BLANK = "not been done yet"


def two(guessing, floor):
    return {"guessing": guessing, "floor": floor}


GUESS, FLOOR = math.log(C), math.log(1 + 99 / E)
LETTERS = dict(
    zip(
        ("fine-tuning", "feature transfer", "structure transfer", "joint training"),
        "BDEA",
        strict=True,
    )
) | {"L2-SP": "C"}


def letters(**changed):
    names = {name.replace(" ", "_").replace("-", "_"): name for name in LETTERS}
    return LETTERS | {names[key]: letter for key, letter in changed.items()}


def log_p(z, y):
    return z.log_softmax(1)[torch.arange(len(y)), y]


def one_hot(z, y):
    return torch.eye(z.shape[1], dtype=z.dtype)[y]


def example_only(value):
    """Answer the notebook's example rightly, and everything else as well with it."""
    return lambda *_: value


# Cross-entropy


def ce_loop(logits, labels):
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        top = max(row)
        lse = top + math.log(sum(math.exp(z - top) for z in row))
        total += lse - row[label]
    return total / len(labels)


def ce_numpy(logits, labels):
    z, y = logits.numpy(), labels.numpy()
    return (logsumexp(z, axis=1) - z[np.arange(len(y)), y]).mean()


def ce_einsum(logits, labels):
    z = logits.to(torch.float64)
    return -torch.einsum("nc,nc->", one_hot(z, labels), z.log_softmax(1)) / len(z)


def ce_with_gradient(logits, labels):
    return F.nll_loss(logits.clone().requires_grad_().log_softmax(1), labels)


def ce_naive(logits, labels):
    p = logits.exp() / logits.exp().sum(1, keepdim=True)
    return -p[torch.arange(len(labels)), labels].log().mean()


def ce_clipped(logits, labels):
    p = logits.softmax(1)[torch.arange(len(labels)), labels]
    return -(p.clamp_min(1e-9)).log().mean()


def ce_in_place(logits, labels):
    logits -= logits.amax(1, keepdim=True)
    return F.cross_entropy(logits, labels)


def raises(*_):
    raise KeyError("labels")


def stub(*_):
    raise NotImplementedError("write this function")


def broken(value):
    """Wrong in ways that do not depend on the exercise."""
    return [
        (BLANK, ...),
        (BLANK, stub),
        ("is there a return", lambda *_: None),
        ("must be a function", value),
        ("raised an error", raises),
        ("raised an error", lambda only: value),
        ("raised an error", lambda *_: {1j}),
        ("nan or inf", lambda *a: a[0].sum() * math.nan),
        ("same for every question", example_only(value)),
    ]


# Gradients


def grad(z, y):
    return (z.double().softmax(1) - one_hot(z.double(), y)) / len(y)


def grad_loop(logits, labels):
    rows = []
    for z, label in zip(logits.tolist(), labels.tolist(), strict=True):
        exps = [math.exp(v - max(z)) for v in z]
        share = [e / sum(exps) for e in exps]
        share[label] -= 1
        rows.append([s / len(labels) for s in share])
    return rows


def grad_index(logits, labels):
    found = logits.softmax(1)
    found[range(len(labels)), labels] -= 1
    return found / len(labels)


def grad_numpy(logits, labels):
    z = logits.numpy() - logits.numpy().max(1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return (p - np.eye(z.shape[1])[labels.numpy()]) / len(z)


def grad_auto(logits, labels):
    free = logits.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(free, labels), free)[0]


def grad_naive(logits, labels):
    probs = logits.exp() / logits.exp().sum(1, keepdim=True)
    return (probs - one_hot(logits, labels)) / len(labels)


def grad_in_place(logits, labels):
    logits.softmax(1)
    logits[0] = 0
    return grad(logits, labels)


# Focal loss


def focal(z, y, gamma):
    lp = log_p(z.double(), y)
    return -((1 - lp.exp()) ** gamma * lp).mean()


def focal_loop(logits, labels, gamma):
    prices = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        lp = row[label] - float(logsumexp(row))
        prices.append(-((1 - math.exp(lp)) ** gamma) * lp)
    return sum(prices) / len(prices)


def focal_numpy(logits, labels, gamma):
    z = logits.numpy().astype(np.float64)
    lp = z[np.arange(len(z)), labels.numpy()] - logsumexp(z, axis=1)
    return np.mean(-((1 - np.exp(lp)) ** gamma) * lp)


def focal_one_hot(logits, labels, gamma):
    lp = (logits.log_softmax(1) * F.one_hot(labels, logits.shape[1])).sum(1)
    return (-torch.pow(1 - torch.exp(lp), gamma) * lp).mean()


def focal_weight(logits, labels, gamma):
    price = F.cross_entropy(logits, labels, reduction="none")
    return ((1 - torch.exp(-price)) ** gamma * price).mean()


def focal_naive(logits, labels, gamma):
    p = logits.softmax(1)[torch.arange(len(labels)), labels]
    return -((1 - p) ** gamma * p.log()).mean()


# Three ways


def solved(x, y):
    return torch.linalg.pinv(x) @ y


def joint(x, y, xs, ys, target, source):
    left = target * x.T @ x / len(x) + source * xs.T @ xs / len(xs)
    right = target * x.T @ y / len(x) + source * xs.T @ ys / len(xs)
    return torch.linalg.lstsq(left, right[:, None]).solution[:, 0]


def ways(x, y, xs, ys, alpha, **changed):
    start = solved(xs, ys)
    found = {
        "scratch": solved(x, y),
        "fine-tuned": start + solved(x, y - x @ start),
        "joint": joint(x, y, xs, ys, 1.0, alpha),
    }
    return found | {k.replace("_", "-"): v for k, v in changed.items()}


def ways_descent(x, y, xs, ys, alpha, steps=400):
    def slope(w, a, b):
        return 2 * a.T @ (a @ w - b) / len(a)

    def run(w, *parts):
        for _ in range(steps):
            w = w - 0.1 / (1 + alpha) * sum(c * slope(w, a, b) for c, a, b in parts)
        return w

    zero = torch.zeros(x.shape[1], dtype=x.dtype)
    start = run(zero, (1, xs, ys))
    return {
        "scratch": run(zero, (1, x, y)),
        "fine-tuned": run(start, (1, x, y)),
        "joint": run(zero, (1, x, y), (alpha, xs, ys)),
    }


def ways_numpy(*task):
    return {k: v.numpy() for k, v in ways(*task).items()}


def ways_lists(*task):
    return {k: v.tolist() for k, v in ways(*task).items()}


def ways_single(x, y, xs, ys, alpha):
    return ways(x.float(), y.float(), xs.float(), ys.float(), alpha)


def ways_stacked(x, y, xs, ys, alpha):
    """Solve the joint problem as one least-squares problem of stacked rows."""
    a, b = 1 / math.sqrt(len(x)), math.sqrt(alpha / len(xs))
    stacked = torch.cat([a * x, b * xs])
    return ways(x, y, xs, ys, alpha, joint=solved(stacked, torch.cat([a * y, b * ys])))


def other(**change):
    """Return `ways` with some of its answers made in another manner."""
    return lambda *t: ways(*t, **{k: make(*t) for k, make in change.items()})


def ways_in_place(x, y, xs, ys, alpha):
    found = ways(x, y, xs, ys, alpha)
    y.zero_()
    return found


RIGHT = {
    "two_numbers": [
        two(GUESS, FLOOR),
        two(4.605, 3.624),
        two(np.float32(GUESS), np.log(1 + 99 / np.e)),
        two(torch.tensor(C).log(), torch.tensor(FLOOR)),
        {"floor": 3.62, "guessing": -math.log(1 / C)},
    ],
    "what_is_minimised": [
        LETTERS,
        {key: letter.lower() for key, letter in LETTERS.items()},
        dict(reversed(LETTERS.items())),
        {key: f" {letter} " for key, letter in LETTERS.items()},
        {key: f"{letter}\n" for key, letter in LETTERS.items()},
    ],
    "cross_entropy": [ce_loop, ce_numpy, ce_einsum, ce_with_gradient, F.cross_entropy],
    "cross_entropy_gradient": [grad, grad_loop, grad_index, grad_numpy, grad_auto],
    "focal_loss": [focal, focal_loop, focal_numpy, focal_one_hot, focal_weight],
    "three_ways": [
        ways,
        ways_descent,
        ways_numpy,
        ways_lists,
        ways_single,
        ways_stacked,
    ],
}
WRONG = {
    "two_numbers": [
        (BLANK, ...),
        (BLANK, {"guessing": ..., "floor": ...}),
        (BLANK, two(GUESS, ...)),
        ("keep the dict's keys", {"guessing": GUESS}),
        ("keep the dict's keys", (GUESS, FLOOR)),
        ("not text", two("log 100", FLOOR)),
        ("not text", two([GUESS], FLOOR)),
        ("base 10", two(2, FLOOR)),
        ("base 2", two(math.log2(C), FLOOR)),
        ("probability of a guess", two(0.01, FLOOR)),
        ("ten classes", two(math.log(10), FLOOR)),
        ("sign", two(-GUESS, FLOOR)),
        ("not log 99", two(math.log(99), FLOOR)),
        ("from the formula", two(4.7, FLOOR)),
        ("c - 1 wrong classes", two(GUESS, math.log(1 + C / E))),
        ("ten classes", two(GUESS, math.log(1 + 9 / E))),
        ("1 and 0, as logits", two(GUESS, GUESS)),
        ("probability of the right class", two(GUESS, E / (E + 99))),
        ("e to the power 0", two(GUESS, math.log(1 + 99 * E))),
        ("logarithm is missing", two(GUESS, 1 + 99 / E)),
        ("right class itself", two(GUESS, math.log(99 / E))),
        ("never lets the loss reach 0", two(GUESS, 0)),
        ("what she measured", two(GUESS, 3.7)),
        ("from the formula", two(GUESS, math.nan)),
    ],
    "what_is_minimised": [
        (BLANK, ...),
        (BLANK, letters(L2_SP=...)),
        ("keep the dict's keys", {"fine-tuning": "B"}),
        ("keep the dict's keys", "BDEAC"),
        ("one letter", letters(fine_tuning="F")),
        ("one letter", letters(fine_tuning="B, C")),
        ("one letter", letters(fine_tuning=2)),
        ("target's loss alone", letters(fine_tuning="A")),
        ("nothing ties", letters(fine_tuning="C")),
        ("moves all weights", letters(fine_tuning="D")),
        ("starts at the source's", letters(fine_tuning="E")),
        ("no data of the source", letters(feature_transfer="A")),
        ("stays as it is", letters(feature_transfer="B")),
        ("not only held back", letters(feature_transfer="C")),
        ("comes from the source", letters(feature_transfer="E")),
        ("loss alone", letters(structure_transfer="A")),
        ("no weights", letters(structure_transfer="B")),
        ("learned anew", letters(structure_transfer="D")),
        ("keeps the source's loss", letters(joint_training="B")),
        ("joint training uses", letters(joint_training="C")),
        ("only its weights", letters(L2_SP="A")),
        ("holds on to", letters(L2_SP="E")),
        ("target's loss alone", dict.fromkeys(LETTERS, "A")),
    ],
    "cross_entropy": [
        *broken(-log_p(torch.tensor([[5.0, 2.0, -1.0]]), torch.tensor([0])).mean()),
        ("divide by the number of examples", lambda z, y: -log_p(z, y).sum()),
        ("take the mean over the batch", lambda z, y: -log_p(z, y)),
        ("softmax applied twice", lambda z, y: F.cross_entropy(z.softmax(1), y)),
        ("sign is wrong", lambda z, y: log_p(z, y).mean()),
        ("base 2", lambda z, y: -log_p(z, y).mean() / math.log(2)),
        ("base 10", lambda z, y: -log_p(z, y).mean() / math.log(10)),
        ("n times c", lambda z, y: -(one_hot(z, y) * z.log_softmax(1)).mean()),
        ("every class counts", lambda z, y: -z.log_softmax(1).mean()),
        ("cut off", ce_clipped),
        ("nan or inf", ce_naive),
        ("changes what it is given", ce_in_place),
        ("count from 0", lambda z, y: F.cross_entropy(z, (y - 1) % z.shape[1])),
        ("count from 0", lambda z, y: F.cross_entropy(z, (y + 1) % z.shape[1])),
        ("over the classes", lambda z, y: F.nll_loss(z.log_softmax(0), y)),
        ("likeliest class", lambda z, y: -z.log_softmax(1).amax(1).mean()),
        ("only the first example", lambda z, y: -log_p(z, y)[0]),
        ("n - 1", lambda z, y: -log_p(z, y).sum() / max(len(y) - 1, 1)),
        ("log-sum-exp is missing", lambda z, y: -z[range(len(y)), y].mean()),
        (
            "maximum instead",
            lambda z, y: (z.amax(1) - z[range(len(y)), y]).mean(),
        ),
        ("no logarithm", lambda z, y: 1 - log_p(z, y).exp().mean()),
        ("squared error", lambda z, y: F.mse_loss(z.softmax(1), one_hot(z, y))),
        (
            "binary cross-entropy",
            lambda z, y: F.binary_cross_entropy_with_logits(z, one_hot(z, y)),
        ),
        ("smoothed", lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1)),
        ("inside the logarithm", lambda z, y: -log_p(z, y).exp().mean().log()),
        ("twice what was expected", lambda z, y: 2 * F.cross_entropy(z, y)),
        ("by hand", lambda z, y: F.cross_entropy(z, y) + 0.01),
        ("numbers, not", lambda z, y: str(F.cross_entropy(z, y))),
    ],
    "cross_entropy_gradient": [
        *broken(grad(torch.tensor([[5.0, 2.0, -1.0]]), torch.tensor([0]))),
        ("divide by the number of examples", lambda z, y: len(y) * grad(z, y)),
        ("n times c", lambda z, y: grad(z, y) / z.shape[1]),
        ("not subtracted", lambda z, y: z.softmax(1) / len(y)),
        ("sign is wrong", lambda z, y: -grad(z, y)),
        ("softmax applied twice", lambda z, y: grad(z.softmax(1), y)),
        ("logits minus labels", lambda z, y: (z - one_hot(z, y)) / len(y)),
        ("over the classes", lambda z, y: (z.softmax(0) - one_hot(z, y)) / len(y)),
        ("sigmoid", lambda z, y: (z.sigmoid() - one_hot(z, y)) / len(y)),
        ("count from 0", lambda z, y: grad(z, (y + 1) % z.shape[1])),
        ("only the right class", lambda z, y: grad(z, y) * one_hot(z, y)),
        ("only the wrong", lambda z, y: grad(z, y) * (1 - one_hot(z, y))),
        ("summed over the batch", lambda z, y: grad(z, y).sum(0)),
        ("every row", lambda z, y: grad(z, y).sum(1)),
        ("exchanged", lambda z, y: grad(z, y).T),
        ("the loss itself", lambda z, y: F.cross_entropy(z, y)),
        (
            "for the probabilities",
            lambda z, y: -one_hot(z, y) / z.softmax(1) / len(y),
        ),
        ("changes what it is given", grad_in_place),
        ("nan or inf", grad_naive),
        ("twice", lambda z, y: 2 * grad(z, y)),
    ],
    "focal_loss": [
        *broken(focal(torch.tensor([[5.0, 2.0, -1.0]]), torch.tensor([0]), 2)),
        ("gamma is not used", lambda z, y, g: F.cross_entropy(z, y)),
        (
            "must be 1 - p",
            lambda z, y, g: -(log_p(z, y).exp() ** g * log_p(z, y)).mean(),
        ),
        (
            "must be a power",
            lambda z, y, g: -(g * (1 - log_p(z, y).exp()) * log_p(z, y)).mean(),
        ),
        ("gamma - 1", lambda z, y, g: focal(z, y, g - 1)),
        ("gamma + 1", lambda z, y, g: focal(z, y, g + 1)),
        ("always 2", lambda z, y, g: focal(z, y, 2)),
        ("multiply it by", lambda z, y, g: ((1 - log_p(z, y).exp()) ** g).mean()),
        (
            "weight each example",
            lambda z, y, g: -((1 - log_p(z, y).mean().exp()) ** g) * log_p(z, y).mean(),
        ),
        ("0.25", lambda z, y, g: 0.25 * focal(z, y, g)),
        ("sign is wrong", lambda z, y, g: -focal(z, y, g)),
        ("divide by the number", lambda z, y, g: len(y) * focal(z, y, g)),
        ("softmax applied twice", lambda z, y, g: focal(z.softmax(1), y, g)),
        ("count from 0", lambda z, y, g: focal(z, (y - 1) % z.shape[1], g)),
        ("base 2", lambda z, y, g: focal(z, y, g) / math.log(2)),
        ("nan or inf", focal_naive),
        ("only the first", lambda z, y, g: focal(z[:1], y[:1], g)),
    ],
    "three_ways": [
        *broken({"scratch": torch.zeros(6)})[:-2],
        ("return a dict", lambda *t: {"scratch": ways(*t)["scratch"]}),
        ("return a dict", lambda *t: ways(*t)["scratch"]),
        ("starts from zero", other(fine_tuned=lambda x, y, *_: solved(x, y))),
        ("no step was made", other(fine_tuned=lambda x, y, a, b, _: solved(a, b))),
        ("must start at zero", other(scratch=lambda *t: ways(*t)["fine-tuned"])),
        (
            "exchanged",
            other(
                scratch=lambda *t: ways(*t)["fine-tuned"],
                fine_tuned=lambda *t: ways(*t)["scratch"],
            ),
        ),
        ("without alpha", other(joint=lambda *t: joint(*t[:4], 1, 1))),
        ("belongs to the source's", other(joint=lambda *t: joint(*t[:4], t[4], 1))),
        (
            "mean of each task",
            other(joint=lambda *t: joint(*t[:4], len(t[0]), t[4] * len(t[2]))),
        ),
        (
            "mean of two solutions",
            other(joint=lambda *t: (solved(*t[:2]) + solved(*t[2:4])) / 2),
        ),
        ("must stay in", other(joint=lambda *t: ways(*t)["fine-tuned"])),
        ("target's loss is missing", other(joint=lambda *t: solved(*t[2:4]))),
        ("alpha is squared", other(joint=lambda *t: joint(*t[:4], 1, t[4] ** 2))),
        ("all three", lambda *t: dict.fromkeys(ways(*t), solved(*t[:2]))),
        ("exchanged", lambda x, y, a, b, alpha: ways(a, b, x, y, alpha)),
        ("descend longer", lambda *t: ways_descent(*t, steps=10)),
        ("changes what it is given", ways_in_place),
        ("shape", other(joint=lambda *t: ways(*t)["joint"][:, None])),
        ("descend longer", lambda *t: dict.fromkeys(ways(*t), torch.ones(6))),
    ],
}
