"""Answers to the exercises on concepts and theory: right ones, and wrong ones.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from exercises.variants._common import BLANK, broken
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import cross_val_predict, train_test_split

SHIFTS = dict(zip(("wording", "children", "churn"), "AAB", strict=True))
SHIFTS |= {"scratches": "C", "urgency": "D"}


def shifts(**changed):
    return SHIFTS | changed


def terms(distance=1.8, total=1.04, least=0.1):
    return {"distance": distance, "sum": total, "at least": least}


# The proof on a sample


def proof(ys, hs, bs, yt, ht, bt, **changed):
    found = {
        "source": (hs != ys).mean(),
        "target": (ht != yt).mean(),
        "joint": (bs != ys).mean() + (bt != yt).mean(),
        "bracket": (ht != bt).mean() - (hs != bs).mean(),
    }
    return found | {k: make(ys, hs, bs, yt, ht, bt) for k, make in changed.items()}


def proof_loop(ys, hs, bs, yt, ht, bt):
    def share(first, second):
        unlike = 0
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            unlike += a != b
        return unlike / len(first)

    return {
        "bracket": share(ht, bt) - share(hs, bs),
        "joint": share(bs, ys) + share(bt, yt),
        "source": share(hs, ys),
        "target": share(ht, yt),
    }


def proof_torch(*given):
    ys, hs, bs, yt, ht, bt = map(torch.as_tensor, given)
    return {
        "source": (hs != ys).float().mean(),
        "target": (ht != yt).float().mean(),
        "joint": (bs != ys).double().mean() + (bt != yt).double().mean(),
        "bracket": (ht != bt).float().mean() - (hs != bs).float().mean(),
    }


def proof_agree(ys, hs, bs, yt, ht, bt):
    return {
        "source": 1 - np.mean(hs == ys),
        "target": 1 - np.mean(ht == yt),
        "joint": 2 - np.mean(bs == ys) - np.mean(bt == yt),
        "bracket": np.mean(hs == bs) - np.mean(ht == bt),
    }


def proof_counts(ys, hs, bs, yt, ht, bt):
    n, m = ys.size, yt.size
    return {
        "source": np.count_nonzero(hs - ys) / n,
        "target": np.count_nonzero(ht - yt) / m,
        "joint": np.count_nonzero(bs - ys) / n + np.count_nonzero(bt - yt) / m,
        "bracket": np.count_nonzero(ht - bt) / m - np.count_nonzero(hs - bs) / n,
    }


def proof_single(*given):
    return {key: np.float32(value) for key, value in proof(*given).items()}


def other(**changed):
    return lambda *given: proof(*given, **changed)


def times(factor):
    return lambda *given: {k: factor * v for k, v in proof(*given).items()}


def sums(ys, hs, bs, yt, ht, bt):
    return {
        "source": (hs != ys).sum(),
        "target": (ht != yt).sum(),
        "joint": (bs != ys).sum() + (bt != yt).sum(),
        "bracket": (ht != bt).sum() - (hs != bs).sum(),
    }


def agreement(ys, hs, bs, yt, ht, bt):
    return {
        "source": (hs == ys).mean(),
        "target": (ht == yt).mean(),
        "joint": (bs == ys).mean() + (bt == yt).mean(),
        "bracket": (ht == bt).mean() - (hs == bs).mean(),
    }


def proof_in_place(*given):
    found = proof(*given)
    given[1].sort()
    given[4][:] = 0
    return found


# Maximum mean discrepancy


def squared(a, b):
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return ((a[:, None] - b[None]) ** 2).sum(-1)


def gauss(a, b, width):
    return np.exp(-squared(a, b) / (2 * width**2))


def within(k):
    return k[~np.eye(len(k), dtype=bool)].mean()


def disc(x, y, width, *, kernel=gauss, own=within, cross=2.0, parts=(1, 1)):
    inside = parts[0] * own(kernel(x, x, width)) + parts[1] * own(kernel(y, y, width))
    return inside - cross * kernel(x, y, width).mean()


def disc_loop(x, y, width):
    def k(a, b):
        gap = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        return math.exp(-gap / (2 * width * width))

    x, y = x.tolist(), y.tolist()
    parts = []
    for rows in (x, y):
        pairs = [(a, b) for i, a in enumerate(rows) for b in rows[:i]]
        parts.append(sum(k(a, b) for a, b in pairs) / len(pairs))
    cross = [k(a, b) for a in x for b in y]
    return sum(parts) - 2 * sum(cross) / len(cross)


def disc_torch(x, y, width):
    x, y = (torch.as_tensor(part).double() for part in (x, y))
    both = torch.cat([x, y])
    k = torch.exp(-(torch.cdist(both, both) ** 2) / (2 * width**2))
    n = len(x)
    k.fill_diagonal_(0)
    own = (
        part.sum() / (len(part) * (len(part) - 1)) for part in (k[:n, :n], k[n:, n:])
    )
    return sum(own) - 2 * k[:n, n:].mean()


def disc_dot(x, y, width):
    def k(a, b):
        a, b = a.astype(np.float64), b.astype(np.float64)
        gap = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        return np.exp(-np.maximum(gap, 0) / (2 * width**2))

    n, m = len(x), len(y)
    first = (k(x, x).sum() - n) / n / (n - 1)
    return first + (k(y, y).sum() - m) / m / (m - 1) - 2 * k(x, y).sum() / n / m


def disc_single(x, y, width):
    """Compute in single precision, with torch's own distances."""
    x, y = (torch.as_tensor(part).float() for part in (x, y))

    def own(a):
        k = torch.exp(-(torch.pdist(a) ** 2) / (2 * width**2))
        return k.mean()

    cross = torch.exp(-(torch.cdist(x, y) ** 2) / (2 * width**2)).mean()
    return own(x) + own(y) - 2 * cross


def disc_steps(x, y, width):
    """Sum row by row."""
    total = 0.0
    for a in (x, y):
        rows = [np.exp(-((a - row) ** 2).sum(1) / (2 * width**2)).sum() for row in a]
        total += (sum(rows) - len(a)) / (len(a) * (len(a) - 1))
    cross = [np.exp(-((y - row) ** 2).sum(1) / (2 * width**2)).mean() for row in x]
    return float(total - 2 * np.mean(cross))


def kerneled(power):
    return lambda *given: disc(*given, kernel=lambda a, b, w: np.exp(-power(a, b, w)))


def disc_in_place(x, y, width):
    found = disc(x, y, width)
    x -= 1
    return found


# Can they be told apart?


def rows_of_both(source, target, seed):
    rng, n = np.random.default_rng(seed), min(len(source), len(target))
    x = [rows[rng.permutation(len(rows))[:n]] for rows in (source, target)]
    return np.concatenate(x), np.repeat([0, 1], n)


def formula(wrong):
    return 2 * (1 - 2 * wrong)


def proxy_half(source, target, seed, turn=formula, balanced=True, judged="new"):
    x, y = (
        np.concatenate([source, target]),
        np.repeat([0, 1], [len(source), len(target)]),
    )
    if balanced:
        x, y = rows_of_both(source, target, seed)
    parts = train_test_split(x, y, test_size=0.4, random_state=seed, stratify=y)
    if judged == "old":
        parts = [x, x, y, y]
    if judged == "shuffled":
        y = np.random.default_rng(seed).permutation(y)
        parts = train_test_split(x, y, test_size=0.4, random_state=seed)
    model = LogisticRegression(max_iter=1000).fit(parts[0], parts[2])
    return turn(1 - model.score(parts[1], parts[3]))


def proxy_thirty(source, target, seed):
    """Keep as few rows for the judgement as the exercise allows."""
    x, y = rows_of_both(source, target, seed)
    parts = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=y)
    model = LogisticRegression(max_iter=1000).fit(parts[0], parts[2])
    return formula(1 - model.score(parts[1], parts[3]))


def proxy_clipped(source, target, seed):
    """Report no distance below 0."""
    return max(0.0, proxy_thirty(source, target, seed + 7))


def proxy_folds(source, target, seed):
    x, y = rows_of_both(source, target, seed)
    guess = cross_val_predict(RidgeClassifier(), x, y, cv=5)
    return formula((guess != y).mean())


def proxy_lda(source, target, seed):
    x, y = rows_of_both(source, target, seed)
    guess = cross_val_predict(LinearDiscriminantAnalysis(), x, y, cv=10)
    return torch.tensor(formula(float((guess != y).mean())))


def proxy_weighted(source, target, seed):
    """Keep all rows; weigh the domains, and take the mean of their two errors."""
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(rows) for rows in (source, target)]
    cut = [int(0.6 * len(rows)) for rows in parts]
    x = np.concatenate([rows[:k] for rows, k in zip(parts, cut, strict=True)])
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(x, np.repeat([0, 1], cut))
    new = [rows[k:] for rows, k in zip(parts, cut, strict=True)]
    wrong = (model.predict(new[0]).mean() + 1 - model.predict(new[1]).mean()) / 2
    return np.float32(formula(wrong))


def proxy_by_hand(source, target, seed):
    """Descend the logistic loss by hand, in five folds."""
    x, y = rows_of_both(source, target, seed)
    x = np.hstack([x, np.ones((len(x), 1))])
    wrong, fold = 0, np.tile(np.arange(len(x) // 2) % 5, 2)
    for k in range(5):
        w, train = np.zeros(x.shape[1]), fold != k
        for _ in range(100):
            p = 1 / (1 + np.exp(-np.clip(x[train] @ w, -30, 30)))
            w -= 0.3 * x[train].T @ (p - y[train]) / train.sum()
        wrong += ((x[~train] @ w > 0) != y[~train]).sum()
    return formula(wrong / len(x))


def proxy_unshuffled(source, target, seed):
    x, y = rows_of_both(source, target, seed)
    cut = len(x) // 2 + 20  # the rows to judge all come from the target
    model = LogisticRegression(max_iter=1000).fit(x[:cut], y[:cut])
    wrong = (model.predict(x[cut:]) != y[cut:]).mean()
    return formula(min(wrong, 0.6))


def turned(turn):
    return lambda *given: proxy_half(*given, turn=turn)


def proxy_in_place(source, target, seed):
    found = proxy_half(source, target, seed)
    source -= source.mean()
    return found


# Aligned and useless


def two_sides(n, a, b, seed, *, labels="inside", draw=None):
    rng = np.random.default_rng(seed)
    u, v = rng.random((2, n)) if draw is None else draw(rng, n)
    ahead = a < b
    ys, yt = (u > 0.5, v < 0.5) if ahead else (u < 0.5, v > 0.5)
    if labels == "outside":
        ys, yt = ~ys, ~yt
    return {
        "source_inputs": a + u,
        "source_labels": ys.astype(int),
        "target_inputs": b + v,
        "target_labels": yt.astype(int),
    }


def sides_torch(n, a, b, seed):
    rng = torch.Generator().manual_seed(seed)
    u, v = torch.rand(2, n, generator=rng, dtype=torch.float64)
    sign = 1 if a < b else -1
    return {
        "source_inputs": a + u,
        "source_labels": sign * (u - 0.5) > 0,
        "target_inputs": b + v,
        "target_labels": sign * (v - 0.5) < 0,
    }


def sides_lists(*given):
    return {key: value.tolist() for key, value in two_sides(*given).items()}


def sides_single(*given):
    return {key: np.float32(value) for key, value in two_sides(*given).items()}


def sides_middle(n, a, b, seed):
    """Say 1 where the distance to the middle of everything is small."""
    rng = np.random.default_rng([seed, 5])
    x, z = rng.uniform(a, a + 1, n), rng.uniform(b, b + 1, n)
    middle, reach = (a + b + 1) / 2, abs(a - b) / 2
    near = [abs(part - middle) < reach for part in (x, z)]
    names = "source_inputs", "target_inputs", "source_labels", "target_labels"
    return dict(zip(names, (x, z, *near), strict=True))


def sides_outside(*given):
    return two_sides(*given, labels="outside")


def sides(**changed):
    names = {"xs": "source_inputs", "ys": "source_labels"}
    names |= {"xt": "target_inputs", "yt": "target_labels"}

    def answer(*given):
        found = two_sides(*given)
        return found | {names[k]: make(found, *given) for k, make in changed.items()}

    return answer


def chapter_only(n, a, b, seed):
    """Answer as the chapter does, wherever the intervals lie."""
    return two_sides(n, -1.0, 1.0, seed)


def sides_unordered(n, a, b, seed):
    """Never ask which side comes first: the interval may have label 0 as well."""
    u, v = np.random.default_rng(seed).random((2, n))
    found = two_sides(n, a, b, seed, draw=lambda *_: (u, v))
    return found | {"source_labels": u > 0.5, "target_labels": v < 0.5}


def two_rules(n, a, b, seed):
    """Turn the labels against each other by two rules that no interval unites."""
    u, v = np.random.default_rng(seed).random((2, n))
    found = two_sides(n, a, b, seed, draw=lambda *_: (u, v))
    middle = abs(u - 0.5) < 0.25, abs(v - 0.5) > 0.25
    return found | dict(zip(("source_labels", "target_labels"), middle, strict=True))


def unseeded(n, a, b, seed):
    return two_sides(n, a, b, 0)


RIGHT = {
    "which_shift": [
        SHIFTS,
        {key: letter.lower() for key, letter in SHIFTS.items()},
        dict(reversed(SHIFTS.items())),
        {key: f" {letter} " for key, letter in SHIFTS.items()},
        {key: f"{letter}\n" for key, letter in SHIFTS.items()},
    ],
    "the_terms": [
        terms(),
        terms(2 * (1 - 0.1), 0.02 + 0.9 + 0.12, 0.12 - 0.02),
        terms(np.float32(1.8), np.float64(1.04), np.float32(0.1)),
        terms(torch.tensor(1.8), torch.tensor(1.04), torch.tensor(0.1)),
        {"at least": 0.1, "sum": 1.04, "distance": 1.8},
    ],
    "proof_terms": [
        proof,
        proof_loop,
        proof_torch,
        proof_agree,
        proof_counts,
        proof_single,
    ],
    "mmd": [disc, disc_loop, disc_torch, disc_dot, disc_single, disc_steps],
    "proxy_distance": [
        proxy_half,
        proxy_folds,
        proxy_lda,
        proxy_weighted,
        proxy_by_hand,
        proxy_thirty,
        proxy_clipped,
    ],
    "misleading": [
        two_sides,
        sides_torch,
        sides_lists,
        sides_single,
        sides_middle,
        sides_outside,
        sides_unordered,
    ],
}
WRONG = {
    "which_shift": [
        (BLANK, ...),
        (BLANK, shifts(churn=...)),
        ("keep the dict's keys", {"churn": "B"}),
        ("keep the dict's keys", "AABCD"),
        ("one letter", shifts(churn="E")),
        ("one letter", shifts(churn="A, B")),
        ("one letter", shifts(churn=2)),
        ("as many mails", shifts(wording="B")),
        ("other mails occur", shifts(wording="C")),
        ("before and after", shifts(wording="D")),
        ("as frequent as before", shifts(children="B")),
        ("in the same way", shifts(children="C")),
        ("to choose from", shifts(children="D")),
        ("only because", shifts(churn="A")),
        ("as they always did", shifts(churn="C")),
        ("in both years", shifts(churn="D")),
        ("labels that change", shifts(scratches="A")),
        ("by a new rule", shifts(scratches="B")),
        ("the same two", shifts(scratches="D")),
        ("what is asked", shifts(urgency="A")),
        ("are other labels", shifts(urgency="B")),
        ("or new labels", shifts(urgency="C")),
    ],
    "the_terms": [
        (BLANK, ...),
        (BLANK, terms(least=...)),
        ("keep the dict's keys", {"distance": 1.8}),
        ("keep the dict's keys", (1.8, 1.04, 0.1)),
        ("not text", terms("1.8")),
        ("not text", terms([1.8])),
        ("twice that", terms(0.9)),
        ("accuracy of the domain", terms(0.95)),
        ("error of the domain", terms(0.05)),
        ("twice the accuracy", terms(1.9)),
        ("where the error belongs", terms(-1.8)),
        ("five of a hundred", terms(0)),
        ("half of it", terms(total=1.94)),
        ("joint error is missing", terms(total=0.92)),
        ("source error is missing", terms(total=1.02)),
        ("distance is missing", terms(total=0.14)),
        ("not their mean", terms(total=0.98)),
        ("sums both sides", terms(total=1.01)),
        ("says nothing", terms(total=1)),
        ("take the source error", terms(least=0.12)),
        ("subtract it", terms(least=0.14)),
        ("upper bound", terms(least=1.04)),
        ("0 is ruled out", terms(least=0)),
        ("of the other head", terms(least=0.09)),
        ("sign is wrong", terms(least=-0.1)),
        ("from the formula", terms(least=math.nan)),
    ],
    "proof_terms": [
        *broken({"source": 0.1}),
        ("return a dict", lambda *given: list(proof(*given).values())),
        ("return a dict", lambda *given: {"source": proof(*given)["source"]}),
        ("same for every question", lambda *_: proof(*[np.arange(3)] * 6)),
        ("these are counts", sums),
        ("shares of agreement", agreement),
        ("percent", times(100)),
        (
            "yours compares h with h*",
            other(source=lambda ys, h, b, *g: (h != b).mean()),
        ),
        ("target minus source", other(bracket=lambda *g: -proof(*g)["bracket"])),
        ("absolute value", other(bracket=lambda *g: abs(proof(*g)["bracket"]))),
        (
            "compares h with the labels",
            other(
                bracket=lambda ys, hs, bs, yt, ht, bt: (
                    (ht != yt).mean() - (hs != ys).mean()
                )
            ),
        ),
        (
            "compares h* with the labels",
            other(
                bracket=lambda ys, hs, bs, yt, ht, bt: (
                    (bt != yt).mean() - (bs != ys).mean()
                )
            ),
        ),
        (
            "yours is a sum",
            other(
                bracket=lambda ys, hs, bs, yt, ht, bt: (
                    (ht != bt).mean() + (hs != bs).mean()
                )
            ),
        ),
        ("one half", other(bracket=lambda *g: proof(*g)["bracket"] / 2)),
        ("twice the bracket", other(bracket=lambda *g: 2 * proof(*g)["bracket"])),
        (
            "target only",
            other(bracket=lambda ys, hs, bs, yt, ht, bt: (ht != bt).mean()),
        ),
        ("yours is the mean", other(joint=lambda *g: proof(*g)["joint"] / 2)),
        (
            "pools all",
            other(
                joint=lambda ys, hs, bs, yt, ht, bt: np.append(
                    bs != ys, bt != yt
                ).mean()
            ),
        ),
        (
            "that of h*; yours is that of h",
            other(
                joint=lambda ys, hs, bs, yt, ht, bt: (
                    (hs != ys).mean() + (ht != yt).mean()
                )
            ),
        ),
        (
            "needs the target",
            other(joint=lambda ys, hs, bs, yt, ht, bt: (bs != ys).mean()),
        ),
        (
            "needs the source",
            other(joint=lambda ys, hs, bs, yt, ht, bt: (bt != yt).mean()),
        ),
        (
            "source error is that of h",
            other(source=lambda ys, hs, bs, yt, ht, bt: (bs != ys).mean()),
        ),
        (
            "target error is that of h",
            other(target=lambda ys, hs, bs, yt, ht, bt: (bt != yt).mean()),
        ),
        ("source and target are exchanged", lambda *g: proof(*g[3:], *g[:3])),
        (
            "h and h* are exchanged",
            lambda ys, hs, bs, yt, ht, bt: proof(ys, bs, hs, yt, bt, ht),
        ),
        ("changes what it is given", proof_in_place),
    ],
    "mmd": [
        *broken(0.1),
        ("same for every question", lambda *_: 0.1),
        (
            "leave the diagonal out",
            lambda *given: disc(*given, own=lambda k: k.mean()),
        ),
        (
            "n squared",
            lambda *given: disc(*given, own=lambda k: (k.sum() - len(k)) / k.size),
        ),
        ("each pair once", lambda *given: disc(*given, own=lambda k: within(k) / 2)),
        (
            "after taking it out",
            lambda *given: disc(
                *given, own=lambda k: k.sum() / (len(k) * (len(k) - 1))
            ),
        ),
        ("counts twice", lambda *given: disc(*given, cross=1)),
        ("subtract it", lambda *given: disc(*given, cross=-2)),
        ("between the samples is missing", lambda *given: disc(*given, cross=0)),
        ("within the target", lambda *given: disc(*given, parts=(1, 0))),
        ("within the source", lambda *given: disc(*given, parts=(0, 1))),
        ("halved", lambda *given: disc(*given) / 2),
        (
            "squared in the kernel",
            kerneled(lambda a, b, w: squared(a, b) ** 0.5 / (2 * w**2)),
        ),
        ("2 of 2 sigma^2", kerneled(lambda a, b, w: squared(a, b) / w**2)),
        ("width must be squared", kerneled(lambda a, b, w: squared(a, b) / (2 * w))),
        ("width multiplies", kerneled(lambda a, b, w: w * squared(a, b))),
        ("width is not used", kerneled(lambda a, b, w: squared(a, b) / 2)),
        (
            "mean over features",
            kerneled(lambda a, b, w: squared(a, b) / a.shape[1] / (2 * w**2)),
        ),
        ("squared one is asked", lambda *given: max(disc(*given), 0) ** 0.5),
        ("negative estimate", lambda *given: max(disc(*given), 0)),
        ("without a kernel", lambda x, y, w: ((x.mean(0) - y.mean(0)) ** 2).sum()),
        ("changes what it is given", disc_in_place),
        ("sign is wrong", lambda *given: -disc(*given)),
    ],
    "proxy_distance": [
        *broken(1.4),
        ("return one number", lambda *given: [proxy_half(*given)]),
        ("return one number", lambda *given: str(proxy_half(*given))),
        ("nan or inf", lambda *given: math.nan),
        ("larger domain", lambda *given: proxy_half(*given, balanced=False)),
        ("has learned", lambda *given: proxy_half(*given, judged="old")),
        ("shuffle the rows", lambda *given: proxy_half(*given, judged="shuffled")),
        ("shuffle the rows", proxy_unshuffled),
        ("is the accuracy", turned(lambda wrong: 1 - wrong)),
        ("is the error", turned(lambda wrong: wrong)),
        ("distance is twice that", turned(lambda wrong: 1 - 2 * wrong)),
        ("sign is wrong", turned(lambda wrong: 2 * (2 * wrong - 1))),
        ("twice the accuracy", turned(lambda wrong: 2 * (1 - wrong))),
        ("this is 4", turned(lambda wrong: 4 * (1 - 2 * wrong))),
        ("twice the error", turned(lambda wrong: 2 * wrong)),
        ("has learned", lambda *_: 1.37),
        ("told apart", lambda *_: 0.0),
        ("changes what it is given", proxy_in_place),
    ],
    "misleading": [
        *broken({"source_inputs": [0.0]}),
        ("return a dict", lambda *given: list(two_sides(*given).values())),
        ("return a dict", lambda *given: {"source": two_sides(*given)}),
        ("must have shape", sides(ys=lambda f, *_: f["source_labels"][:-1])),
        ("must have shape", sides(xt=lambda f, *_: f["target_inputs"][:, None])),
        ("must be 0 or 1", sides(ys=lambda f, *_: 2 * f["source_labels"] - 1)),
        ("look at the source: its inputs", chapter_only),
        ("fill its own interval", sides(xt=lambda f, *_: f["source_inputs"])),
        (
            "fill its own interval",
            sides(xs=lambda f, n, a, b, s: f["source_inputs"] - a),
        ),
        (
            "fill its own interval",
            sides(xs=lambda f, n, a, b, s: a + (f["source_inputs"] - a) ** 3),
        ),
        ("about half", sides(ys=lambda f, *_: 0 * f["source_labels"])),
        (
            "about half",
            sides(yt=lambda f, n, a, b, s: (f["target_inputs"] - b > 0.9).astype(int)),
        ),
        ("must be opposite", sides(yt=lambda f, *_: 1 - f["target_labels"])),
        (
            "labels shuffled",
            sides(
                ys=lambda f, n, a, b, s: np.random.default_rng(s).permutation(
                    f["source_labels"]
                )
            ),
        ),
        (
            "must be opposite",
            sides(
                yt=lambda f, n, a, b, s: np.random.default_rng(s).permutation(
                    f["target_labels"]
                )
            ),
        ),
        (
            "must be opposite",
            sides(yt=lambda f, n, a, b, s: (f["target_inputs"] - b > 0.3).astype(int)),
        ),
        ("where must its ends lie", two_rules),
        ("draw with the seed", unseeded),
    ],
}
