"""Answers to the exercises on parameter-efficient tuning: right ones, and wrong ones.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, stub
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import Normalizer
from torch import nn
from torch.nn.functional import normalize

LETTERS = dict(
    zip(
        ("A random, B zero", "A zero, B random", "both zero", "both random"),
        "ABCD",
        strict=True,
    )
)


def letters(**changed):
    names = {name.replace(", ", "_").replace(" ", "_"): name for name in LETTERS}
    return LETTERS | {names[key]: letter for key, letter in changed.items()}


def two(full=16.0, lora=4.016):
    return {"full": full, "LoRA": lora}


def raises(*_):
    raise KeyError("weight")


def broken(value):
    """Wrong in ways that do not depend on the exercise."""
    return [
        (BLANK, ...),
        (BLANK, stub),
        ("is there a return", lambda *_: None),
        ("must be a function", value),
        ("raised an error", raises),
        ("raised an error", lambda only, *, key: value),
        ("raised an error", lambda *_: {1j}),
    ]


SAME = "same for every question"


# A layer with LoRA


def layer(x, w, b, a, up, alpha, **changed):
    change = alpha / a.shape[0] * up @ a
    return {"output": F.linear(x, w + change, b), "merged": w + change} | changed


def layer_branch(x, w, b, a, up, alpha):
    side = F.linear(F.linear(x, a), up) * (alpha / up.shape[1])
    merged = torch.addmm(w, up, a, alpha=alpha / len(a))
    return {"merged": merged, "output": F.linear(x, w, b) + side}


def layer_numpy(x, w, b, a, up, alpha):
    x, w, b, a, up = (v.numpy().astype(np.float64) for v in (x, w, b, a, up))
    merged = w + alpha / len(a) * np.einsum("pr,rd->pd", up, a)
    return {"output": np.einsum("ik,jk->ij", x, merged) + b, "merged": merged}


def layer_loop(x, w, b, a, up, alpha):
    x, w, b, a, up = (v.tolist() for v in (x, w, b, a, up))
    merged = [list(row) for row in w]
    for i, j, k in itertools.product(range(len(w)), range(len(w[0])), range(len(a))):
        merged[i][j] += alpha / len(a) * up[i][k] * a[k][j]
    output = []
    for row in x:
        sums = (sum(v * m for v, m in zip(row, line, strict=True)) for line in merged)
        output.append([total + shift for total, shift in zip(sums, b, strict=True)])
    return {"output": output, "merged": merged}


def layer_module(x, w, b, a, up, alpha):
    linear = nn.Linear(*w.T.shape, dtype=w.dtype)
    linear.weight = nn.Parameter(w + alpha / len(a) * (up @ a))
    linear.bias = nn.Parameter(b.clone())
    return {"output": linear(x), "merged": linear.weight}


def layer_outer(x, w, b, a, up, alpha):
    """Add one direction at a time, in double precision."""
    merged = w.double()
    for row, column in zip(a.double(), up.double().T, strict=True):
        merged = merged + alpha / len(a) * torch.outer(column, row)
    return {"merged": merged, "output": torch.mm(x.double(), merged.T).add(b)}


def layer_in_place(x, w, b, a, up, alpha):
    w += alpha / len(a) * up @ a
    return {"output": x @ w.T + b, "merged": w}


def scaled(scale):
    """Return the layer with another scale, which may depend on alpha, A and B."""
    return lambda x, w, b, a, up, alpha: layer(
        x, w, b, a, up, scale(alpha, a, up) * len(a)
    )


def answer(**made):
    """Return the layer with some of its answers made in another manner."""
    return lambda *v: layer(*v, **{key: make(*v) for key, make in made.items()})


# Prototypes


def unit_means(f, y):
    f = f / f.norm(dim=1, keepdim=True)
    return torch.stack([f[y == k].mean(0) for k in range(int(y.max()) + 1)])


def head(f, y, m=None, **changed):
    m = unit_means(f, y) if m is None else m
    return {"weight": 2 * m, "bias": -m.square().sum(1)} | changed


def head_one_hot(f, y):
    member = F.one_hot(y).T.to(f)  # (c, n)
    m = member @ normalize(f) / member.sum(1, keepdim=True)
    return {"bias": -torch.einsum("cd,cd->c", m, m), "weight": m + m}


def head_numpy(f, y):
    f, y = f.numpy().astype(np.float64), y.numpy()
    f /= np.linalg.norm(f, axis=1)[:, None]
    m = np.array([f[y == k].mean(axis=0) for k in np.unique(y)])
    return {"weight": 2 * m, "bias": -(np.linalg.norm(m, axis=1) ** 2)}


def head_library(f, y):
    m = NearestCentroid().fit(Normalizer().fit_transform(f), y).centroids_
    return {"weight": 2 * m, "bias": -(m * m).sum(1)}


def head_loop(f, y):
    groups = {}
    for row, label in zip(f.tolist(), y.tolist(), strict=True):
        length = math.sqrt(sum(v * v for v in row))
        groups.setdefault(label, []).append([v / length for v in row])
    means = [
        [sum(column) / len(groups[k]) for column in zip(*groups[k], strict=True)]
        for k in sorted(groups)
    ]
    weight = [[2 * v for v in row] for row in means]
    return {"weight": weight, "bias": [-sum(v * v for v in row) for row in means]}


def head_scatter(f, y):
    sums = torch.zeros(int(y.max()) + 1, f.shape[1], dtype=f.dtype)
    sums = sums.index_add(0, y, normalize(f))
    m = sums / torch.bincount(y)[:, None]
    return {"weight": 2 * m, "bias": torch.diag(-m @ m.T)}


def head_in_place(f, y):
    f /= f.norm(dim=1, keepdim=True)
    return head(f, y)


def by(centres):
    return lambda f, y: head(f, y, centres(f, y))


def means_of(f, y):
    return torch.stack([f[y == k].mean(0) for k in range(int(y.max()) + 1)])


# Pairs


def parts(f, y, diagonal=False):
    """Return the cosines of pairs of one class, and of two."""
    c, alike = normalize(f) @ normalize(f).T, y[:, None] == y
    own = torch.eye(len(y), dtype=torch.bool) & (not diagonal)
    return c[alike & ~own], c[~alike]


def pairs(f, y):
    near, far = parts(f, y)
    return ((near - 1) ** 2).mean() + (far**2).mean()


def pairs_loop(f, y):
    near, far = [], []
    for i, j in itertools.combinations(range(len(y)), 2):
        c = float(F.cosine_similarity(f[i], f[j], dim=0))
        if y[i] == y[j]:
            near.append((1 - c) ** 2)
        else:
            far.append(c * c)
    return sum(near) / len(near) + sum(far) / len(far)


def pairs_triangle(f, y):
    i, j = torch.triu_indices(len(y), len(y), 1)
    c, alike = F.cosine_similarity(f[i], f[j]), y[i] == y[j]
    return F.mse_loss(c[alike], torch.ones(alike.sum()).to(c)) + c[~alike].pow(2).mean()


def pairs_numpy(f, y):
    c, y = cosine_similarity(f.numpy().astype(np.float64)), y.numpy()
    alike, i = y[:, None] == y[None, :], np.arange(len(y))
    near = alike & (i[:, None] != i[None, :])
    return np.mean((c[near] - 1) ** 2) + np.mean(c[~alike] ** 2)


def pairs_weights(f, y):
    """Sum over all pairs with weights, the diagonal taken off."""
    c = normalize(f) @ normalize(f).T
    alike = (y[:, None] == y).to(c)
    own = torch.eye(len(y)).to(c)
    near = ((c - 1) ** 2 * (alike - own)).sum() / (alike - own).sum()
    return near + (c**2 * (1 - alike)).sum() / (1 - alike).sum()


def pairs_with_gradient(f, y):
    return pairs(f.double().requires_grad_(), y)


def pairs_in_place(f, y):
    f[:] = normalize(f)
    return pairs(f, y)


def loss(make, **how):
    return lambda f, y: make(*parts(f, y, **how))


# A thin change


def full_of(x, y):
    return torch.linalg.lstsq(x, y).solution.T


def held(matrix, rank):
    square = torch.linalg.svdvals(matrix) ** 2
    return square[:rank].sum() / square.sum()


def held_plain(matrix, rank):
    sizes = torch.linalg.svdvals(matrix)
    return sizes[:rank].sum() / sizes.sum()


def lora(
    weight,
    x,
    y,
    rank,
    alpha,
    *,
    scale=None,
    steps=300,
    rate=0.03,
    start=(1.0, 0.0),
    equal=False,
    trained="AB",
    kind=torch.optim.Adam,
    base=None,
    sign=1,
    **changed,
):
    """Train LoRA, with whatever mistake is asked for."""
    rng = torch.Generator().manual_seed(11)
    a = start[0] * torch.randn(rank, 6, generator=rng, dtype=x.dtype) / 6**0.5
    b = start[1] * torch.randn(5, rank, generator=rng, dtype=x.dtype) / rank**0.5
    a = a[:1].expand(rank, -1).clone() if equal else a
    scale, base = scale or alpha / rank, weight if base is None else base
    moving = [v for name, v in (("A", a), ("B", b)) if name in trained]
    optimizer = kind([v.requires_grad_() for v in moving], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        error = x @ (base + scale * b @ a).T - y
        (sign * (error**2).mean()).backward()
        optimizer.step()
    share = held(full_of(x, y) - weight, rank)
    found = {"weight": weight, "A": a.detach(), "B": b.detach(), "share": share}
    return found | changed


def best(weight, x, y, rank, alpha, **changed):
    """Return the best change of this rank: the inputs are white."""
    u, s, v = torch.linalg.svd(full_of(x, y) - weight)
    root = (rank / alpha * s[:rank]).sqrt()
    found = {"weight": weight, "A": root[:, None] * v[:rank], "B": u[:, :rank] * root}
    share = (s[:rank] ** 2).sum() / (s**2).sum()
    return found | {"share": share} | changed


def thin_sgd(*task):
    return lora(*task, kind=torch.optim.SGD, rate=0.05, steps=600)


def thin_other_start(*task):
    """Start B at random and A at zero: the chapter's other admitted way."""
    return lora(*task, start=(0.0, 1.0))


def thin_numpy(weight, x, y, rank, alpha):
    """Train by hand, and solve for the full change by the normal equations."""
    w, x, y = weight.numpy(), x.numpy(), y.numpy()
    rng, s, rate = np.random.default_rng(3), alpha / rank, 0.1
    a, b = rng.normal(size=(rank, 6)) / 6**0.5, np.zeros((5, rank))
    for _ in range(1500):
        error = x @ (w + s * b @ a).T - y  # (n, p)
        slope = 2 / error.size * error.T @ x  # (p, d)
        a, b = a - rate * s * b.T @ slope, b - rate * s * slope @ a.T
    full = np.linalg.solve(x.T @ x, x.T @ y).T
    square = np.linalg.svd(full - w, compute_uv=False) ** 2
    share = square[:rank].sum() / square.sum()
    return {"weight": w, "A": a, "B": b, "share": share}


def thin_lists(*task):
    return {k: v.tolist() for k, v in lora(*task, steps=300).items()}


def thin_single(weight, x, y, rank, alpha):
    return lora(
        weight.float(), x.float(), y.float(), rank, alpha, kind=torch.optim.AdamW
    )


def thin_turns(weight, x, y, rank, alpha):
    """Solve for A and B in turn, each by least squares."""
    rng, s = torch.Generator().manual_seed(5), alpha / rank
    a = torch.randn(rank, 6, generator=rng, dtype=x.dtype)
    for _ in range(60):
        b = torch.linalg.lstsq(s * x @ a.T, y - x @ weight.T).solution.T
        left = torch.linalg.pinv(s * b)  # (r, p)
        a = torch.linalg.lstsq(x, (y - x @ weight.T) @ left.T).solution.T
    share = held(full_of(x, y) - weight, rank)
    return {"weight": weight.clone(), "A": a, "B": b, "share": share.item()}


def thin_module(weight, x, y, rank, alpha):
    """Let modules and a parametrised layer hold the weights."""
    torch.manual_seed(2)
    frozen = nn.Linear(6, 5, bias=False, dtype=x.dtype).requires_grad_(False)
    frozen.weight.copy_(weight)
    down = nn.Linear(6, rank, bias=False, dtype=x.dtype)
    up = nn.Linear(rank, 5, bias=False, dtype=x.dtype)
    nn.init.zeros_(up.weight)
    adam = torch.optim.Adam([*down.parameters(), *up.parameters()], lr=0.02)
    for _ in range(500):
        adam.zero_grad()
        F.mse_loss(frozen(x) + alpha / rank * up(down(x)), y).backward()
        adam.step()
    found = {"A": down.weight, "B": up.weight, "weight": frozen.weight}
    change = torch.linalg.lstsq(x, y - x @ weight.T).solution
    return found | {"share": held(change, rank)}


def thin_in_place(weight, *task):
    found = best(weight, *task)
    weight += 1
    return found


def with_lora(**how):
    return lambda *task: lora(*task, **how)


def shared(share):
    return lambda w, x, y, r, alpha: best(
        w, x, y, r, alpha, share=share(full_of(x, y), w, r)
    )


def moved(change):
    """Return other weights in place of the frozen ones."""

    def wrong(w, x, y, r, alpha):
        found = best(w, x, y, r, alpha)
        thin = alpha / r * found["B"] @ found["A"]
        return found | {"weight": change(w, thin, full_of(x, y))}

    return wrong


EXAMPLE = {
    "weight": torch.ones(5, 6),
    "A": torch.ones(2, 6),
    "B": torch.zeros(5, 2),
    "share": 1.0,
}

RIGHT = {
    "lora_start": [
        LETTERS,
        {key: letter.lower() for key, letter in LETTERS.items()},
        dict(reversed(LETTERS.items())),
        {key: f" {letter} " for key, letter in LETTERS.items()},
        {key: f"{letter}\n" for key, letter in LETTERS.items()},
    ],
    "memory_bill": [
        two(),
        two(16, 4.016),
        two(np.float32(16), np.float64(4.016)),
        two(torch.tensor(16), torch.tensor(4.016)),
        {"LoRA": (4e9 + 16e6) / 1e9, "full": 4 * 4 * 1e9 / 1e9},
        two(lora=4.0160),
    ],
    "lora_layer": [
        layer,
        layer_branch,
        layer_numpy,
        layer_loop,
        layer_module,
        layer_outer,
    ],
    "prototype_head": [
        head,
        head_one_hot,
        head_numpy,
        head_library,
        head_loop,
        head_scatter,
    ],
    "pairs_loss": [
        pairs,
        pairs_loop,
        pairs_triangle,
        pairs_numpy,
        pairs_weights,
        pairs_with_gradient,
    ],
    "thin_change": [
        lora,
        best,
        thin_sgd,
        thin_other_start,
        thin_numpy,
        thin_lists,
        thin_single,
        thin_turns,
        thin_module,
    ],
}
WRONG = {
    "lora_start": [
        (BLANK, ...),
        (BLANK, letters(both_zero=...)),
        ("keep the dict's keys", {"both zero": "C"}),
        ("keep the dict's keys", "ABCD"),
        ("one letter", letters(both_zero="E")),
        ("one letter", letters(both_random="AB")),
        ("one letter", letters(A_zero_B_random=2)),
        ("A's gradient is made from B", letters(A_zero_B_random="A")),
        ("B's gradient is made from A", letters(A_random_B_zero="B")),
        ("both gradients are 0", letters(A_random_B_zero="C")),
        ("B A is not 0", letters(A_random_B_zero="D")),
        ("both gradients are 0", letters(A_zero_B_random="C")),
        ("B A is not 0", letters(A_zero_B_random="D")),
        ("only B moves", letters(both_zero="A")),
        ("only A moves", letters(both_zero="B")),
        ("B A is not 0", letters(both_zero="D")),
        ("only B moves", letters(both_random="A")),
        ("only A moves", letters(both_random="B")),
        ("nothing ever moves", letters(both_random="C")),
        (
            "B's gradient is made from A",
            letters(A_random_B_zero="B", A_zero_B_random="A"),
        ),
    ],
    "memory_bill": [
        (BLANK, ...),
        (BLANK, {"full": ..., "LoRA": ...}),
        (BLANK, two(lora=...)),
        ("keep the dict's keys", {"full": 16}),
        ("keep the dict's keys", (16, 4.016)),
        ("not text", two("16 GB")),
        ("not text", two(lora=[4.016])),
        ("half of it", two(8)),
        ("numbers instead of bytes", two(4)),
        ("three numbers a weight", two(12)),
        ("8 bytes", two(32)),
        ("bits", two(128)),
        ("GiB", two(14.9012)),
        ("unit is a billion", two(16e9)),
        ("five numbers", two(20)),
        ("not part of full", two(16.016)),
        ("count for LoRA", two(4.016)),
        ("from the formula", two(math.nan)),
        ("frozen weights are missing", two(lora=0.016)),
        ("gradients and averages of LoRA's", two(lora=4.004)),
        ("there are four, itself as well", two(lora=4.012)),
        ("two numbers", two(lora=4.008)),
        ("have no gradients", two(lora=8.016)),
        ("have no averages", two(lora=12.016)),
        ("neither gradients nor averages", two(lora=16.016)),
        ("training all weights", two(lora=16)),
        ("LoRA's are missing", two(lora=4)),
        ("takes 4 bytes", two(lora=1.004)),
        ("thousandth of a billion", two(lora=4.16)),
        ("GiB", two(lora=4.016e9 / 2**30)),
    ],
    "lora_layer": [
        *broken({"output": torch.zeros(3, 4), "merged": torch.zeros(4, 5)}),
        (SAME, lambda *_: {"output": torch.zeros(3, 4), "merged": torch.zeros(4, 5)}),
        ("return a dict", lambda *v: layer(*v)["output"]),
        ("return a dict", lambda *v: {"output": layer(*v)["output"]}),
        ("raised an error", lambda x, w, b, a, up, alpha: x @ a @ up),
        ("not divided by the rank", scaled(lambda alpha, a, up: alpha)),
        ("scale is missing", scaled(lambda alpha, a, up: 1)),
        ("not multiplied by alpha", scaled(lambda alpha, a, up: 1 / len(a))),
        ("multiplied by the rank", scaled(lambda alpha, a, up: alpha * len(a))),
        ("upside down", scaled(lambda alpha, a, up: len(a) / alpha)),
        ("divided by d", scaled(lambda alpha, a, up: alpha / a.shape[1])),
        ("divided by p", scaled(lambda alpha, a, up: alpha / len(up))),
        ("root of the rank", scaled(lambda alpha, a, up: alpha / len(a) ** 0.5)),
        ("squared", scaled(lambda alpha, a, up: (alpha / len(a)) ** 2)),
        ("taken off", scaled(lambda alpha, a, up: -alpha / len(a))),
        ("this is the frozen layer", scaled(lambda alpha, a, up: 0)),
        ("added twice", scaled(lambda alpha, a, up: 2 * alpha / len(a))),
        (
            "W is missing",
            lambda x, w, b, a, up, alpha: layer(x, 0 * w, b, a, up, alpha),
        ),
        (
            "on W as well",
            lambda x, w, b, a, up, alpha: layer(x, alpha / len(a) * w, b, a, up, alpha),
        ),
        (
            "bias is missing",
            lambda x, w, b, a, up, alpha: layer(x, w, 0 * b, a, up, alpha),
        ),
        (
            "bias is added twice",
            lambda x, w, b, a, up, alpha: layer(x, w, 2 * b, a, up, alpha),
        ),
        (
            "side branch is missing",
            answer(output=lambda x, w, b, *_: x @ w.T + b),
        ),
        (
            "side branch alone",
            answer(
                output=lambda x, w, b, a, up, alpha: alpha / len(a) * (x @ a.T) @ up.T
            ),
        ),
        (
            "no scale in the output",
            answer(output=lambda x, w, b, a, up, _: x @ (w + up @ a).T + b),
        ),
        (
            "on the bias and W",
            answer(
                output=lambda x, w, b, a, up, alpha: (
                    alpha / len(a) * (x @ (w + up @ a).T + b)
                )
            ),
        ),
        ("holds the frozen weights", answer(merged=lambda x, w, *_: w)),
        (
            "holds the change alone",
            answer(merged=lambda x, w, b, a, up, alpha: alpha / len(a) * up @ a),
        ),
        ("'merged' has no scale", answer(merged=lambda x, w, b, a, up, _: w + up @ a)),
        ("'merged' is transposed", answer(merged=lambda *v: layer(*v)["merged"].T)),
        ("output is transposed", answer(output=lambda *v: layer(*v)["output"].T)),
        (
            "are exchanged",
            answer(
                output=lambda *v: layer(*v)["merged"],
                merged=lambda *v: layer(*v)["output"],
            ),
        ),
        ("changes what it is given", layer_in_place),
        ("look at 'output'", answer(output=lambda *v: layer(*v)["output"] + 0.01)),
        ("nan or inf", answer(merged=lambda *v: v[1] * math.nan)),
    ],
    "prototype_head": [
        *broken({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}),
        (SAME, lambda *_: {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}),
        ("return a dict", lambda f, y: head(f, y)["weight"]),
        ("return a dict", lambda f, y: {"weights": head(f, y)["weight"]}),
        ("features are not scaled", by(means_of)),
        ("once more", by(lambda f, y: normalize(unit_means(f, y)))),
        ("the features are not", by(lambda f, y: normalize(means_of(f, y)))),
        (
            "sums came",
            by(lambda f, y: unit_means(f, y) * torch.bincount(y)[:, None]),
        ),
        (
            "its own number",
            by(lambda f, y: unit_means(f, y) * torch.bincount(y)[:, None] / len(y)),
        ),
        ("twice the means", lambda f, y: head(f, y, weight=unit_means(f, y))),
        ("wrong sign", lambda f, y: head(f, y, weight=-2 * unit_means(f, y))),
        ("far means lose", lambda f, y: head(f, y, bias=-head(f, y)["bias"])),
        (
            "not minus the length",
            lambda f, y: head(f, y, bias=-unit_means(f, y).norm(dim=1)),
        ),
        ("bias is missing", lambda f, y: head(f, y, bias=0 * head(f, y)["bias"])),
        ("half of the bias", lambda f, y: head(f, y, bias=head(f, y)["bias"] / 2)),
        ("twice the bias", lambda f, y: head(f, y, bias=2 * head(f, y)["bias"])),
        (
            "half of what was asked",
            lambda f, y: {k: v / 2 for k, v in head(f, y).items()},
        ),
        ("doubled weights", lambda f, y: head(f, y, bias=4 * head(f, y)["bias"])),
        (
            "averaged over the features",
            lambda f, y: head(f, y, bias=-unit_means(f, y).square().mean(1)),
        ),
        (
            "add up their squares",
            lambda f, y: head(f, y, bias=-unit_means(f, y).sum(1)),
        ),
        (
            "one mean for all",
            by(lambda f, y: normalize(f).mean(0).expand(int(y.max()) + 1, f.shape[1])),
        ),
        (
            "messages' order",
            by(
                lambda f, y: torch.stack(
                    [normalize(f)[y == k].mean(0) for k in dict.fromkeys(y.tolist())]
                )
            ),
        ),
        ("wrong order", by(lambda f, y: unit_means(f, y).flip(0))),
        ("transposed", lambda f, y: head(f, y, weight=2 * unit_means(f, y).T)),
        (
            "are cosines",
            lambda f, y: {
                "weight": normalize(unit_means(f, y)),
                "bias": torch.zeros(int(y.max()) + 1),
            },
        ),
        (
            "only the first message",
            by(
                lambda f, y: torch.stack(
                    [normalize(f)[y == k][0] for k in range(int(y.max()) + 1)]
                )
            ),
        ),
        (
            "median",
            by(
                lambda f, y: torch.stack(
                    [
                        normalize(f)[y == k].median(0).values
                        for k in range(int(y.max()) + 1)
                    ]
                )
            ),
        ),
        ("shape", lambda f, y: head(f, y, bias=head(f, y)["bias"][:, None])),
        ("changes what it is given", head_in_place),
    ],
    "pairs_loss": [
        *broken(0.5),
        (SAME, lambda *_: 0.5),
        (
            "leave the diagonal out",
            loss(lambda n, o: ((n - 1) ** 2).mean() + (o**2).mean(), diagonal=True),
        ),
        (
            "not scaled to length 1",
            lambda f, y: (
                (((f @ f.T - 1) ** 2)[(y[:, None] == y) & ~torch.eye(len(y)).bool()])
                .mean()
                .add((f @ f.T)[y[:, None] != y].square().mean())
            ),
        ),
        (
            "nor without the diagonal",
            lambda f, y: (
                ((f @ f.T - 1) ** 2)[y[:, None] == y].mean()
                + (f @ f.T)[y[:, None] != y].square().mean()
            ),
        ),
        ("cosine 1, not 0", loss(lambda n, o: (n**2).mean() + (o**2).mean())),
        ("cosine 1, not -1", loss(lambda n, o: ((n + 1) ** 2).mean() + (o**2).mean())),
        (
            "cosine 0, not -1",
            loss(lambda n, o: ((n - 1) ** 2).mean() + ((o + 1) ** 2).mean()),
        ),
        ("are exchanged", loss(lambda n, o: (n**2).mean() + ((o - 1) ** 2).mean())),
        ("1 - c is not squared", loss(lambda n, o: (1 - n).mean() + (o**2).mean())),
        (
            "classes are not squared",
            loss(lambda n, o: ((n - 1) ** 2).mean() + o.mean()),
        ),
        ("nothing is squared", loss(lambda n, o: (1 - n).mean() + o.mean())),
        ("absolute values", loss(lambda n, o: (1 - n).mean() + o.abs().mean())),
        (
            "negative cosines",
            loss(lambda n, o: ((n - 1) ** 2).mean() + (o.clamp_min(0) ** 2).mean()),
        ),
        ("sums over the pairs", loss(lambda n, o: ((n - 1) ** 2).sum() + (o**2).sum())),
        (
            "one mean over all pairs",
            loss(lambda n, o: torch.cat([(n - 1) ** 2, o**2]).mean()),
        ),
        (
            "mean of the two means",
            loss(lambda n, o: ((n - 1) ** 2).mean() / 2 + (o**2).mean() / 2),
        ),
        ("the others are missing", loss(lambda n, o: ((n - 1) ** 2).mean())),
        ("those of one class are missing", loss(lambda n, o: (o**2).mean())),
        ("taken off", loss(lambda n, o: ((n - 1) ** 2).mean() - (o**2).mean())),
        (
            "root of the means",
            loss(lambda n, o: ((n - 1) ** 2).mean().sqrt() + (o**2).mean().sqrt()),
        ),
        ("squared means", loss(lambda n, o: (n - 1).mean() ** 2 + o.mean() ** 2)),
        (
            "margin of 0.5",
            loss(
                lambda n, o: (
                    ((n - 1) ** 2).mean() + ((o - 0.5).clamp_min(0) ** 2).mean()
                )
            ),
        ),
        ("sign is wrong", lambda f, y: -pairs(f, y)),
        ("twice", lambda f, y: 2 * pairs(f, y)),
        ("changes what it is given", pairs_in_place),
        ("shape", lambda f, y: pairs(f, y)[None]),
        ("nan or inf", lambda f, y: pairs(f, y) * math.nan),
    ],
    "thin_change": [
        *broken(EXAMPLE),
        ("frozen weights moved", lambda *_: EXAMPLE),
        ("a dict with the keys", lambda *t: best(*t)["A"]),
        (
            "a dict with the keys",
            lambda *t: {k: v for k, v in best(*t).items() if k != "weight"},
        ),
        ("A must have shape", lambda *t: best(*t, A=best(*t)["A"].T)),
        ("B must have shape", lambda *t: best(*t, B=best(*t)["B"].T)),
        ("share must have shape", lambda *t: best(*t, share=torch.ones(1))),
        ("cannot read", lambda *t: best(*t, A="random")),
        ("nan or inf", with_lora(rate=3.0, kind=torch.optim.SGD)),
        ("merged already", moved(lambda w, thin, full: w + thin)),
        ("moved a little", moved(lambda w, thin, full: w + thin - thin + 1e-9)),
        ("weights of full", moved(lambda w, thin, full: full)),
        ("frozen weights moved", moved(lambda w, thin, full: (w + full) / 2)),
        ("B A is still 0", with_lora(start=(0.0, 0.0))),
        ("B A is still 0", with_lora(steps=0)),
        ("scale is missing in training", with_lora(scale=1.0)),
        (
            "not divided by the rank",
            lambda *t: lora(*t, scale=t[4], rate=0.01, steps=600),
        ),
        ("upside down", lambda *t: lora(*t, scale=t[3] / t[4])),
        ("wrong sign", lambda *t: lora(*t, scale=-t[4] / t[3])),
        ("only B is at its best", with_lora(trained="B")),
        ("only A is at its best", with_lora(trained="A", start=(0.0, 1.0))),
        ("lower rank", with_lora(equal=True)),
        ("side branch alone", lambda *t: lora(*t, base=0 * t[0])),
        ("loss that you descend", with_lora(sign=-1, steps=30)),
        ("descend longer", with_lora(steps=25)),
        ("that of the full weights", shared(lambda full, w, r: held(full, r))),
        ("of the frozen weights", shared(lambda full, w, r: held(w, r))),
        (
            "add their squares",
            shared(lambda full, w, r: held_plain(full - w, r)),
        ),
        ("taken off twice", shared(lambda full, w, r: held(full - 2 * w, r))),
        ("left out", shared(lambda full, w, r: 1 - held(full - w, r))),
        ("only the first direction", shared(lambda full, w, r: held(full - w, 1))),
        ("one direction too many", shared(lambda full, w, r: held(full - w, r + 1))),
        ("trained B A", shared(lambda full, w, r: 1.0)),
        ("percent", shared(lambda full, w, r: 100 * held(full - w, r))),
        ("root of the share", shared(lambda full, w, r: held(full - w, r) ** 0.5)),
        ("not of the square", shared(lambda full, w, r: r / 5)),
        ("singular values", shared(lambda full, w, r: 0.5)),
        ("changes what it is given", thin_in_place),
    ],
}
