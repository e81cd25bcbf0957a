"""Answers to the exercises on domain adaptation: right ones, and wrong ones.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, broken
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tlcourse import adapt

# Shares and methods

SHARES = {"helped": 0.6, "harmed": -0.2, "needed": 0.74, "averaged": 0.425}
LETTERS = {
    "AdaBN": "B",
    "Deep CORAL": "F",
    "DANN": "D",
    "information maximisation": "E",
    "pseudo-labels": "A",
    "neighbour labels": "C",
}


def letters(**changed):
    names = {name.replace(" ", "_").replace("-", "_"): name for name in LETTERS}
    return LETTERS | {names[key]: letter for key, letter in changed.items()}


# Deep CORAL


def coral(s, t):
    gap = torch.cov(s.T).reshape(s.shape[1], -1) - torch.cov(t.T).reshape(
        t.shape[1], -1
    )
    return gap.square().sum() / (4 * s.shape[1] ** 2)


def coral_loop(s, t):
    def covariance(x):
        x, n, d = x.tolist(), len(x), x.shape[1]
        mean = [sum(row[j] for row in x) / n for j in range(d)]
        return [
            [
                sum((r[j] - mean[j]) * (r[k] - mean[k]) for r in x) / (n - 1)
                for k in range(d)
            ]
            for j in range(d)
        ]

    a, b, d = covariance(s), covariance(t), s.shape[1]
    total = sum((a[j][k] - b[j][k]) ** 2 for j in range(d) for k in range(d))
    return total / (4 * d**2)


def coral_numpy(s, t):
    a, b = (np.atleast_2d(np.cov(x.numpy(), rowvar=False)) for x in (s, t))
    return np.linalg.norm(a - b) ** 2 / (4 * len(a) ** 2)


def coral_einsum(s, t):
    s, t = s.double() - s.double().mean(0), t.double() - t.double().mean(0)
    a = torch.einsum("nj,nk->jk", s, s) / (len(s) - 1)
    b = torch.einsum("nj,nk->jk", t, t) / (len(t) - 1)
    return F.mse_loss(a, b) / 4


def raw(x):
    return x.T @ x / (len(x) - 1)


def centred(x):
    return x - x.mean(0)


def cov(x):
    return raw(centred(x))


def priced(price, covariance=cov):
    """Return a penalty with another price of the difference."""
    return lambda s, t: price(covariance(s) - covariance(t), s.shape[1])


def common(s, t):
    middle = torch.cat([s, t]).mean(0)
    return priced(usual, raw)(s - middle, t - middle)


def usual(c, d):
    return c.square().sum() / (4 * d**2)


def coral_in_place(s, t):
    s -= s.mean(0)
    return coral(s, t)


# The reversal


def back(x, y, a, weight, **changed):
    wrong = (torch.sigmoid(x @ a) - y) / len(x)
    return {
        "features": -weight * wrong[:, None] * a,
        "slope": wrong @ x,
    } | changed


def back_loop(x, y, a, weight):
    rows, total = [], [0.0] * len(a)
    for row, label in zip(x.tolist(), y.tolist(), strict=True):
        score = sum(u * v for u, v in zip(row, a.tolist(), strict=True))
        wrong = (1 + math.tanh(score / 2)) / 2 - label
        rows.append([-weight * wrong * v / len(x) for v in a.tolist()])
        total = [c + wrong * u / len(x) for c, u in zip(total, row, strict=True)]
    return {"features": rows, "slope": total}


def back_numpy(x, y, a, weight):
    x, y, a = (part.numpy().astype(np.float64) for part in (x, y, a))
    wrong = (0.5 * (1 + np.tanh(x @ a / 2)) - y) / len(x)
    return {"features": -weight * np.outer(wrong, a), "slope": x.T @ wrong}


def back_auto(x, y, a, weight, turn=adapt.reverse_gradient):
    x, a = x.clone().requires_grad_(), a.clone().requires_grad_()
    F.binary_cross_entropy_with_logits(turn(x, weight) @ a, y).backward()
    return {"features": x.grad, "slope": a.grad}


def back_rounded(x, y, a, weight):
    x, a = x.clone().requires_grad_(), a.clone().requires_grad_()
    said = torch.sigmoid(adapt.reverse_gradient(x, weight) @ a)
    F.binary_cross_entropy(said, y).backward()
    return {"features": x.grad, "slope": a.grad}


class Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.weight * grad, None


def back_function(*game):
    return back_auto(*game, turn=Turn.apply)


def back_in_place(x, y, a, weight):
    found = back(x, y, a, weight)
    a.mul_(-weight)
    return found


def scaled(features=lambda w: -w, slope=lambda w: 1.0, n=len):
    """Return the two gradients with other factors."""

    def found(x, y, a, weight):
        wrong = (torch.sigmoid(x @ a) - y) / n(x)
        return {
            "features": features(weight) * wrong[:, None] * a,
            "slope": slope(weight) * (wrong @ x),
        }

    return found


def sloped(slope):
    """Return the two gradients with another slope of the loss."""

    def found(x, y, a, weight):
        wrong = slope(torch.sigmoid(x @ a), y) / len(x)
        return {"features": -weight * wrong[:, None] * a, "slope": wrong @ x}

    return found


# Class frequencies


def confusion(g, y, c):
    return np.array([[np.mean(g[y == k] == j) for k in range(c)] for j in range(c)])


def seen(t, c):
    return np.bincount(t, minlength=c) / len(t)


def tidy(p):
    p = np.maximum(p, 0)
    return p / p.sum()


def bare(g, y, t, c):
    return np.linalg.solve(confusion(g, y, c), seen(t, c))


def frequencies(g, y, t, c):
    return tidy(bare(g, y, t, c))


def frequencies_torch(g, y, t, c):
    g, y, t = (torch.from_numpy(part) for part in (g, y, t))
    table = torch.zeros(c, c, dtype=torch.float64)
    table.index_put_((g, y), torch.tensor(1.0).double(), accumulate=True)
    q = torch.bincount(t, minlength=c).double() / len(t)
    p = torch.linalg.solve(table / table.sum(0), q).clamp_min(0)
    return p / p.sum()


def frequencies_ratio(g, y, t, c):
    """Solve for the ratios of target to source, as the paper does."""
    joint = confusion(g, y, c) * seen(y, c)
    return tidy(np.linalg.inv(joint) @ seen(t, c) * seen(y, c))


def frequencies_lstsq(g, y, t, c):
    p = np.linalg.lstsq(confusion(g, y, c), seen(t, c), rcond=None)[0]
    return tidy(p).tolist()


def frequencies_single(g, y, t, c):
    return frequencies(g, y, t, c).astype(np.float32)


def by_guess(g, y, c):
    joint = confusion(g, y, c) * seen(y, c)
    return joint / np.maximum(joint.sum(1, keepdims=True), 1e-12)


def frequencies_in_place(g, y, t, c):
    found = frequencies(g, y, t, c)
    y.sort()
    return found


# Three models


def guesses(x, y, asked):
    return LogisticRegression(max_iter=1000).fit(x, y).predict(asked)


def standard(x, of):
    return (x - of.mean(0)) / of.std(0)


def three(sx, sy, pool, hidden, tx, fit=guesses, **changed):
    found = {
        "source only": fit(sx, sy, tx),
        "adapted": fit(standard(sx, sx), sy, standard(tx, pool)),
        "oracle": fit(standard(pool, pool), hidden, standard(tx, pool)),
    }
    return found | {k.replace("_", " "): v for k, v in changed.items()}


def by(classifier):
    def fit(x, y, asked):
        return classifier().fit(x, y).predict(asked)

    return lambda *given: three(*given, fit=fit)


def three_back(sx, sy, pool, hidden, tx):
    """Bring the target to the source, and leave the source alone."""
    home = standard(tx, pool) * sx.std(0) + sx.mean(0)
    return {
        "source only": guesses(sx, sy, tx),
        "adapted": guesses(sx, sy, home).tolist(),
        "oracle": guesses(pool, hidden, tx).tolist(),
    }


def three_torch(sx, sy, pool, hidden, tx):
    """Train a small network with batch normalisation, and re-estimate that."""
    data = [torch.from_numpy(x) for x in (sx, sy, pool, hidden, tx)]
    sx, sy, pool, hidden, tx = (x.float() if x.is_floating_point() else x for x in data)

    def fit(x, y):
        torch.manual_seed(0)
        norm = torch.nn.BatchNorm1d(8, momentum=None)
        net = torch.nn.Sequential(norm, torch.nn.Linear(8, 4))
        for _ in range(30):
            net.zero_grad()
            F.cross_entropy(net(x), y).backward()
            with torch.no_grad():
                [part.sub_(part.grad) for part in net.parameters()]
        return net

    net = fit(sx, sy)
    found = {"source only": net.eval()(tx).argmax(1)}
    net[0].reset_running_stats()
    net.train()(pool)
    found["adapted"] = net.eval()(tx).argmax(1)
    found["oracle"] = fit(pool, hidden).eval()(tx).argmax(1)
    return found


def three_centres(sx, sy, pool, hidden, tx):
    """Go by the nearest mean of a class, with loops."""

    def fit(x, y, asked):
        centres = [x[y == k].mean(0) for k in range(4)]
        return [
            min(range(4), key=lambda k: ((row - centres[k]) ** 2).sum())
            for row in asked
        ]

    return three(sx, sy, pool, hidden, tx, fit=fit)


def other(**change):
    """Return `three` with some of its answers made in another manner."""
    return lambda *g: three(*g, **{k: make(*g) for k, make in change.items()})


def unseeded(sx, sy, pool, hidden, tx):
    some = np.random.default_rng().permutation(len(pool))[:12]
    return three(sx, sy, pool, hidden, tx, oracle=guesses(pool[some], hidden[some], tx))


def three_in_place(sx, sy, pool, hidden, tx):
    found = three(sx, sy, pool, hidden, tx)
    tx -= pool.mean(0)
    return found


def one_domain(sx, sy, pool, hidden, tx):
    """Standardise both domains together."""
    both = np.concatenate([sx, pool])
    return guesses(standard(sx, both), sy, standard(tx, both))


HOME = {"adapted": np.zeros(3)}
RIGHT = {
    "shares": [
        SHARES,
        {key: np.float32(value) for key, value in SHARES.items()},
        {key: torch.tensor(value) for key, value in SHARES.items()},
        dict(reversed(SHARES.items())),
        SHARES | {"helped": 21 / 35, "harmed": -7 / 35, "averaged": (0.6 + 0.25) / 2},
    ],
    "which_method": [
        LETTERS,
        {key: letter.lower() for key, letter in LETTERS.items()},
        dict(reversed(LETTERS.items())),
        {key: f" {letter} " for key, letter in LETTERS.items()},
        {key: f"{letter}\n" for key, letter in LETTERS.items()},
    ],
    "coral": [coral, coral_loop, coral_numpy, coral_einsum, adapt.coral],
    "reversed_gradient": [back, back_loop, back_numpy, back_auto, back_function],
    "class_frequencies": [
        frequencies,
        frequencies_torch,
        frequencies_ratio,
        frequencies_lstsq,
        frequencies_single,
    ],
    "three_models": [
        three,
        by(LinearDiscriminantAnalysis),
        by(KNeighborsClassifier),
        by(lambda: make_pipeline(StandardScaler(), RidgeClassifier())),
        three_back,
        three_torch,
        three_centres,
    ],
}
WRONG = {
    "shares": [
        (BLANK, ...),
        (BLANK, dict.fromkeys(SHARES, ...)),
        (BLANK, SHARES | {"averaged": ...}),
        ("keep the dict's keys", {"helped": 0.6}),
        ("keep the dict's keys", 0.6),
        ("not text", SHARES | {"helped": "60 %"}),
        ("this is the gain", SHARES | {"helped": 0.21}),
        ("source only's accuracy", SHARES | {"helped": 0.35}),
        ("oracle's accuracy", SHARES | {"helped": 0.81 / 0.95}),
        ("that is left", SHARES | {"helped": 0.4}),
        ("not at an accuracy of 1", SHARES | {"helped": 0.525}),
        ("not a percentage", SHARES | {"helped": 60}),
        ("sign is wrong", SHARES | {"harmed": 0.2}),
        ("this is the change", SHARES | {"harmed": -0.07}),
        ("harm must be seen", SHARES | {"harmed": 0}),
        ("share that is left", SHARES | {"harmed": 1.2}),
        ("add source only's", SHARES | {"needed": 0.14}),
        ("start at source only", SHARES | {"needed": 0.38}),
        ("40 % of the gap", SHARES | {"needed": 0.84}),
        ("counted up", SHARES | {"needed": 0.81}),
        ("each seed's own", SHARES | {"averaged": 0.26 / 0.55}),
        ("first seed", SHARES | {"averaged": 0.6}),
        ("number of seeds", SHARES | {"averaged": 0.85}),
        ("mean gain", SHARES | {"averaged": 0.13}),
        ("from the formula", SHARES | {"averaged": math.nan}),
    ],
    "which_method": [
        (BLANK, ...),
        (BLANK, letters(DANN=...)),
        ("keep the dict's keys", {"DANN": "D"}),
        ("keep the dict's keys", "BFDEAC"),
        ("one letter", letters(DANN="G")),
        ("one letter", letters(DANN="AB")),
        ("one letter", letters(AdaBN=2)),
        ("needs guesses", letters(AdaBN="A")),
        ("covariances and on nothing", letters(AdaBN="F")),
        ("no training step", letters(Deep_CORAL="B")),
        ("domain classifier", letters(Deep_CORAL="D")),
        ("penalty on the answers", letters(DANN="E")),
        ("covariances", letters(DANN="F")),
        ("needs guesses", letters(information_maximisation="A")),
        ("neighbours", letters(information_maximisation="C")),
        ("neighbours", letters(pseudo_labels="C")),
        ("answers", letters(pseudo_labels="E")),
        ("needs guesses", letters(neighbour_labels="A")),
        ("domain classifier", letters(neighbour_labels="D")),
        ("needs guesses", dict.fromkeys(LETTERS, "A")),
    ],
    "coral": [
        *broken(9.0),
        ("same for every question", lambda *_: 9.0),
        ("nan or inf", lambda s, t: coral(s, t) * math.nan),
        (
            "divides by n - 1",
            priced(usual, lambda x: centred(x).T @ centred(x) / len(x)),
        ),
        ("are not centred", priced(usual, raw)),
        ("not centred, and", priced(usual, lambda x: x.T @ x / len(x))),
        ("common mean", common),
        ("4 d^2) is missing", priced(lambda c, d: c.square().sum())),
        ("the 4 is missing", priced(lambda c, d: c.square().sum() / d**2)),
        ("d must be squared", priced(lambda c, d: c.square().sum() / (4 * d))),
        ("d^2 is missing", priced(lambda c, d: c.square().sum() / 4)),
        ("once more", priced(lambda c, d: c.square().mean() / (4 * d**2))),
        ("only the d", priced(lambda c, d: c.square().sum() / (4 * d) ** 2)),
        ("norm is not squared", priced(lambda c, d: c.norm() / (4 * d**2))),
        ("only made positive", priced(lambda c, d: c.abs().sum() / (4 * d**2))),
        ("the sum is squared", priced(lambda c, d: c.sum() ** 2 / (4 * d**2))),
        ("only the variances", priced(lambda c, d: usual(c.diagonal(), d))),
        (
            "correlations",
            priced(
                usual, lambda x: torch.corrcoef(x.T).reshape(x.shape[1], x.shape[1])
            ),
        ),
        ("does not see", lambda s, t: (s.mean(0) - t.mean(0)).square().sum()),
        (
            "leave them out",
            lambda s, t: coral(s, t) + (s.mean(0) - t.mean(0)).square().sum(),
        ),
        ("take their difference", lambda s, t: usual(cov(s) + cov(t), s.shape[1])),
        ("sign is wrong", lambda s, t: -coral(s, t)),
        ("twice", lambda s, t: 2 * coral(s, t)),
        ("must have shape", lambda s, t: (cov(s) - cov(t)).square()),
        ("changes what it is given", coral_in_place),
    ],
    "reversed_gradient": [
        *broken({"features": torch.zeros(2, 2)}),
        ("return a dict", lambda *g: back(*g)["features"]),
        ("return a dict", lambda *g: {"features": back(*g)["features"]}),
        ("sign must change", scaled(lambda w: w)),
        ("neither turned nor weighted", scaled(lambda w: 1)),
        ("weight is missing", scaled(lambda w: -1)),
        ("turned as well", scaled(slope=lambda w: -w)),
        ("must descend", scaled(slope=lambda w: -1)),
        ("the full gradient", scaled(slope=lambda w: w)),
        ("in place of the body", scaled(lambda w: 1, lambda w: -w)),
        ("there is no reversal", scaled(lambda w: w, lambda w: w)),
        ("divide by the number of rows", scaled(n=lambda x: 1)),
        ("n times d", scaled(n=lambda x: x.numel())),
        ("n - 1", scaled(n=lambda x: max(len(x) - 1, 1))),
        ("stands for the target", lambda x, y, a, w: back(x, 1 - y, a, w)),
        ("not subtracted", sloped(lambda p, y: p)),
        ("y - p", sloped(lambda p, y: y - p)),
        ("squared error's", sloped(lambda p, y: 2 * (p - y) * p * (1 - p))),
        ("rounded to 0 or 1", back_rounded),
        ("it cancels", sloped(lambda p, y: (p - y) * p * (1 - p))),
        ("weight is squared", scaled(lambda w: -w * w)),
        (
            "multiplies by it",
            lambda x, y, a, w: back(
                x,
                y,
                a,
                w,
                features=(torch.sigmoid(x @ a) - y)[:, None].expand_as(x)
                * (-w / len(x)),
            ),
        ),
        (
            "sigmoid is missing",
            lambda x, y, a, w: {
                "features": -w * (x @ a - y)[:, None] * a / len(x),
                "slope": (x @ a - y) @ x / len(x),
            },
        ),
        ("changes what it is given", back_in_place),
        (
            "must have shape",
            lambda x, y, a, w: back(x, y, a, w, features=back(x, y, a, w)["slope"]),
        ),
        ("nan or inf", lambda *g: back(*g, slope=g[2] * math.nan)),
    ],
    "class_frequencies": [
        *broken(np.full(2, 0.5)),
        ("undo the confusions", lambda g, y, t, c: seen(t, c)),
        ("source's frequencies", lambda g, y, t, c: seen(y, c)),
        ("guesses on the source", lambda g, y, t, c: seen(g, c)),
        ("should not be assumed", lambda g, y, t, c: np.full(c, 1 / c)),
        ("below 0 is left", bare),
        ("not divided by the sum", lambda *g: np.maximum(bare(*g), 0)),
        ("is dropped", lambda *g: np.abs(bare(*g)) / np.abs(bare(*g)).sum()),
        (
            "these are ratios of",
            lambda g, y, t, c: frequencies(g, y, t, c) / seen(y, c),
        ),
        (
            "made to sum to 1",
            lambda g, y, t, c: tidy(bare(g, y, t, c) / seen(y, c)),
        ),
        (
            "transposed",
            lambda g, y, t, c: tidy(np.linalg.solve(confusion(g, y, c).T, seen(t, c))),
        ),
        ("exchanged", lambda g, y, t, c: frequencies(y, g, t, c)),
        (
            "divided by its own",
            lambda g, y, t, c: tidy(np.linalg.pinv(by_guess(g, y, c)) @ seen(t, c)),
        ),
        ("solve the system", lambda g, y, t, c: confusion(g, y, c) @ seen(t, c)),
        ("that share shifts too", lambda g, y, t, c: by_guess(g, y, c).T @ seen(t, c)),
        (
            "only the right guesses",
            lambda g, y, t, c: tidy(seen(t, c) / np.diag(confusion(g, y, c))),
        ),
        ("numbers of pictures", lambda g, y, t, c: len(t) * frequencies(g, y, t, c)),
        ("percentages", lambda *g: 100 * frequencies(*g)),
        ("softmax", lambda *g: np.exp(bare(*g)) / np.exp(bare(*g)).sum()),
        ("must have shape", lambda g, y, t, c: confusion(g, y, c)),
        ("by hand", lambda g, y, t, c: frequencies(g[1:], y[:-1], t, c)),
        ("changes what it is given", frequencies_in_place),
    ],
    "three_models": [
        *broken(HOME),
        ("these three keys", lambda *g: HOME),
        ("these three keys", lambda *g: three(*g)["oracle"]),
        ("one class index for each row", other(oracle=lambda *g: g[3][:5])),
        ("class indices are numbers", other(oracle=lambda *g: ["ant"] * len(g[4]))),
        ("must be repeatable", unseeded),
        ("changes what it is given", three_in_place),
        (
            "'adapted' depends on the other rows",
            other(
                adapted=lambda sx, sy, p, h, tx: guesses(
                    standard(sx, sx), sy, standard(tx, tx)
                )
            ),
        ),
        (
            "'oracle' depends on the other rows",
            other(
                oracle=lambda sx, sy, p, h, tx: guesses(
                    standard(p, p), h, standard(tx, tx)
                )
            ),
        ),
        (
            "'adapted' uses hidden",
            other(adapted=lambda sx, sy, p, h, tx: guesses(p, h, tx)),
        ),
        (
            "'adapted' uses hidden",
            other(
                adapted=lambda sx, sy, p, h, tx: guesses(
                    np.concatenate([sx, p]), np.concatenate([sy, h]), tx
                )
            ),
        ),
        (
            "'source only' uses hidden",
            lambda *g: three(*g, source_only=three(*g)["oracle"]),
        ),
        (
            "'source only' uses the pool",
            lambda *g: three(*g, source_only=three(*g)["adapted"]),
        ),
        (
            "'source only' uses the pool",
            lambda *g: three(
                *g,
                source_only=three(*g)["adapted"],
                adapted=three(*g)["source only"],
            ),
        ),
        (
            "'oracle' uses the source",
            other(
                oracle=lambda sx, sy, p, h, tx: guesses(
                    np.concatenate([sx, p]), np.concatenate([sy, h]), tx
                )
            ),
        ),
        (
            "'oracle' uses the source",
            lambda *g: three(*g, oracle=three(*g)["adapted"]),
        ),
        (
            "fails on the source itself",
            other(source_only=lambda *g: np.zeros(len(g[4]), int)),
        ),
        (
            "fails on the source itself",
            other(source_only=lambda *g: (guesses(g[0], g[1], g[4]) + 1) % 4),
        ),
        (
            "'oracle' is too often wrong",
            other(oracle=lambda *g: np.zeros(len(g[4]), int)),
        ),
        (
            "answers like 'source only'",
            lambda *g: three(*g, adapted=three(*g)["source only"]),
        ),
        ("brought to the same scale", other(adapted=one_domain)),
        (
            "closes too little",
            other(
                adapted=lambda sx, sy, p, h, tx: guesses(
                    sx - sx.mean(0), sy, tx - p.mean(0)
                )
            ),
        ),
        (
            "does harm",
            other(adapted=lambda *g: (three(*g)["adapted"] + 1) % 4),
        ),
    ],
}
