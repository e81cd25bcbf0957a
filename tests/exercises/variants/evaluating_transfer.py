"""Answers to the exercises on evaluating a transfer: right ones, wrong ones, hints.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, raises, stub
from scipy import special, stats
from sklearn import metrics as sk
from torch import nn

from tlcourse import evidence, metrics


def example_only(value):
    """Answer the first question rightly, and everything else as well with it."""
    return lambda *_: value


def broken(value):
    """Wrong in ways that do not depend on the exercise; `value` is a dict."""
    return [
        (BLANK, ...),
        (BLANK, stub),
        ("is there a return", lambda *_: None),
        ("must be a function", value),
        ("raised an error", raises),
        ("raised an error", lambda only, two, three, four, five: value),
        ("raised an error", lambda *_: {1j}),
        ("return a dict with the keys", lambda *_: [*value.values()]),
        ("return a dict with the keys", lambda *_: dict([*value.items()][1:])),
        ("nan or inf", lambda *_: dict.fromkeys(value, math.nan)),
        ("same for every question", example_only(value)),
        ("same for every question", lambda *_: dict.fromkeys(value, 0.123)),
        ("return numbers", lambda *_: {k: str(v) for k, v in value.items()}),
    ]


def but(right, **changed):
    """Return a function that answers like `right`, some values made otherwise."""
    return lambda *given: (
        right(*given)
        | {key.replace("_", " "): make(*given) for key, make in changed.items()}
    )


# Five numbers

FIVE = {
    "accuracy": 0.97,
    "AUC": 0.5,
    "macro F1": 0.492386,
    "p": 0.109375,
    "castings": 752.9536,
}


def five(**changed):
    return FIVE | {key.replace("_", " "): value for key, value in changed.items()}


# What is missing

LETTERS = dict(
    zip(
        (
            "product photos",
            "best epoch",
            "one duel",
            "fraud",
            "sorted list",
            "old network",
        ),
        "DAFCEB",
        strict=True,
    )
)


def letters(**changed):
    return LETTERS | {key.replace("_", " "): value for key, value in changed.items()}


# F1


def f1_each(table, beta=2.0):
    right, both = np.diag(table), table.sum(0) + table.sum(1)
    return np.where(both > 0, beta * right / np.where(both > 0, both, 1), 0.0)


def f1_vector(table):
    each, actual = f1_each(table), table.sum(1)
    micro = np.diag(table).sum() / table.sum()
    weighted = np.average(each, weights=actual)
    return {"macro": np.mean(each), "micro": micro, "weighted": weighted}


def f1_loop(table):
    rows = table.tolist()
    total = sum(map(sum, rows))
    f1, hits = [], 0
    for k, row in enumerate(rows):
        tp, fn = row[k], sum(row) - row[k]
        fp = sum(other[k] for other in rows) - tp
        f1.append(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0)
        hits += tp
    weighted = sum(f * sum(row) / total for f, row in zip(f1, rows, strict=True))
    return {"macro": sum(f1) / len(f1), "micro": hits / total, "weighted": weighted}


def f1_harmonic(table):
    with np.errstate(all="ignore"):
        precision = np.nan_to_num(np.diag(table) / table.sum(0))
        recall = np.nan_to_num(np.diag(table) / table.sum(1))
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
    share = table.sum(1) / table.sum()
    p = r = np.trace(table) / table.sum()
    micro = 2 * p * r / (p + r) if p + r else 0.0
    return {"weighted": (f1 * share).sum(), "micro": micro, "macro": f1.mean()}


def f1_sklearn(table):
    labels, guesses = np.indices(table.shape).reshape(2, -1).repeat(table.ravel(), 1)
    known = {"labels": range(len(table)), "zero_division": 0}
    return {
        kind: sk.f1_score(labels, guesses, average=kind, **known)
        for kind in ("macro", "micro", "weighted")
    }


def f1_single(table):
    t = torch.tensor(table, dtype=torch.float32)
    f1 = 2 * t.diag() / (t.sum(0) + t.sum(1)).clamp_min(1)
    weighted = (f1 * t.sum(1)).sum() / t.sum()
    return {"macro": f1.mean(), "micro": t.trace() / t.sum(), "weighted": weighted}


def f1_fractions(table):
    n = int(table.sum())
    both = [int(x) for x in table.sum(0) + table.sum(1)]
    f1 = [
        Fraction(2 * int(t), b) if b else 0
        for t, b in zip(table.diagonal(), both, strict=True)
    ]
    weighted = sum(f * int(a) for f, a in zip(f1, table.sum(1), strict=True)) / n
    found = sum(f1) / Fraction(len(f1)), Fraction(int(table.trace()), n), weighted
    return dict(zip(("macro", "micro", "weighted"), map(float, found), strict=True))


def f1_nan(table):
    with np.errstate(all="ignore"):
        precision, recall = np.diag(table) / table.sum(0), np.diag(table) / table.sum(1)
        f1 = 2 / (1 / precision + 1 / recall)
    weighted = f1 @ table.sum(1) / table.sum()
    micro = np.trace(table) / table.sum()
    return {"macro": f1.mean(), "micro": micro, "weighted": weighted}


def f1_late(table):
    return {key: np.nan_to_num(value) for key, value in f1_nan(table).items()}


def f1_all_of(each):
    def found(table):
        with np.errstate(all="ignore"):
            f1 = np.nan_to_num(each(np.diag(table), table.sum(0), table.sum(1)))
            one = each(np.trace(table), table.sum(), table.sum())
        weighted = f1 @ table.sum(1) / table.sum()
        return {"macro": f1.mean(), "micro": one, "weighted": weighted}

    return found


def f1_of_means(table):
    p = np.nan_to_num(np.diag(table) / np.maximum(table.sum(0), 1)).mean()
    r = np.nan_to_num(np.diag(table) / np.maximum(table.sum(1), 1)).mean()
    return 2 * p * r / (p + r)


def f1_in_place(table):
    found = f1_vector(table)
    table //= 2
    return found


# A test loop


def network():
    body = nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU()
    return nn.Sequential(*body, nn.Linear(16, 3))


def answered(state, inputs, size, training=False):
    net = network()
    net.load_state_dict(state)
    net.train(training)
    with torch.no_grad():
        return torch.cat([net(part) for part in inputs.split(size)])


def told(logits, labels):
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    return {"accuracy": accuracy, "loss": F.cross_entropy(logits, labels).item()}


def loop_careful(state, inputs, labels, size):
    return told(answered(state, inputs, size), labels)


def loop_whole(state, inputs, labels, size):
    return told(answered(state, inputs, len(inputs)), labels)


def loop_weighted(state, inputs, labels, size):
    logits = answered(state, inputs, size).split(size)
    parts = [told(*pair) for pair in zip(logits, labels.split(size), strict=True)]
    shares = [len(part) / len(labels) for part in logits]
    return {
        key: sum(s * p[key] for s, p in zip(shares, parts, strict=True))
        for key in ("accuracy", "loss")
    }


def loop_numpy(state, inputs, labels, size):
    s = {name: value.numpy().astype(np.float64) for name, value in state.items()}
    x = inputs.numpy() @ s["0.weight"].T + s["0.bias"]
    x = (x - s["1.running_mean"]) / np.sqrt(s["1.running_var"] + 1e-5)
    x = np.maximum(x * s["1.weight"] + s["1.bias"], 0)
    z = x @ s["3.weight"].T + s["3.bias"]
    y = labels.numpy()
    price = special.logsumexp(z, axis=1) - z[np.arange(len(y)), y]
    return {"accuracy": np.mean(z.argmax(1) == y), "loss": price.mean()}


def loop_double(state, inputs, labels, size):
    net = network()
    net.load_state_dict(state)
    net.double().eval().requires_grad_(False)
    hits, price = 0, 0.0
    for i in range(0, len(inputs), size):
        logits = net(inputs[i : i + size].double())
        hits += int((logits.argmax(1) == labels[i : i + size]).sum())
        price += F.cross_entropy(logits, labels[i : i + size], reduction="sum")
    return {"accuracy": torch.tensor(hits / len(inputs)), "loss": price / len(inputs)}


def loop_functional(state, inputs, labels, size):
    net = network().eval()
    each = [torch.func.functional_call(net, state, x[None])[0] for x in inputs]
    return told(torch.stack(each).detach(), labels)


def loop_of(combine, training=False, learned=False):
    def found(state, inputs, labels, size):
        if learned:
            net = network()
            net.load_state_dict(state)
            for part in inputs.split(size):
                net(part)
            state = net.state_dict()
        logits = answered(state, inputs, size, training).split(size)
        pairs = [*zip(logits, labels.split(size), strict=True)]
        hits = [(z.argmax(1) == y).float() for z, y in pairs]
        prices = [F.cross_entropy(z, y, reduction="none") for z, y in pairs]
        return {"accuracy": combine(hits, size), "loss": combine(prices, size)}

    return found


def pooled(values, size):
    return torch.cat(values).mean().item()


def batch_means(values, size):
    return np.mean([v.mean().item() for v in values])


def full_only(values, size):
    return pooled([v for v in values if len(v) == size] or values, size)


def as_full(values, size):
    return torch.cat(values).sum().item() / (size * len(values))


def loop_forgets_state(state, inputs, labels, size):
    torch.manual_seed(0)
    return told(answered(network().state_dict(), inputs, size), labels)


def loop_in_place(state, inputs, labels, size):
    found = loop_careful(state, inputs, labels, size)
    state["1.running_mean"] += 1
    return found


# Runs


def interval(half):
    def found(a, b):
        gain, wide = np.mean(a - b), half(a, b)
        upset = np.mean((b[:, None] > a) + 0.5 * (b[:, None] == a))
        return {"gain": gain, "low": gain - wide, "high": gain + wide, "upset": upset}

    return found


def factor(n, share=0.975):
    return stats.t.ppf(share, n)


def error(a, b, ddof=1):
    return np.std(a - b, ddof=ddof) / math.sqrt(len(a))


compared = interval(lambda a, b: factor(len(a) - 1) * error(a, b))


def runs_evidence(a, b):
    found, n = evidence.paired_difference(a, b), len(a)
    auc = metrics.roc_auc([*b, *a], [1] * n + [0] * n)
    return {"gain": found.mean, "low": found.low, "high": found.high, "upset": auc}


def runs_loop(first, second):
    a, b = first.tolist(), second.tolist()
    d = [x - y for x, y in zip(a, b, strict=True)]
    n, mean = len(d), sum(d) / len(d)
    s = math.sqrt(sum((x - mean) ** 2 for x in d) / (n - 1))
    half = factor(n - 1) * s / math.sqrt(n)
    won = sum(1 if y > x else 0.5 if y == x else 0 for x in a for y in b)
    return {
        "gain": mean,
        "low": mean - half,
        "high": mean + half,
        "upset": won / n**2,
    }


def runs_scipy(a, b):
    low, high = stats.ttest_rel(a, b).confidence_interval()
    u = stats.mannwhitneyu(b, a).statistic
    upset = u / (len(a) * len(b))
    return {"upset": upset, "high": high, "low": low, "gain": a.mean() - b.mean()}


def runs_torch(first, second):
    a, b = torch.tensor(first), torch.tensor(second)
    d = a - b
    half = factor(len(d) - 1) * d.std() / len(d) ** 0.5
    ahead = torch.sign(b[:, None] - a).mean() / 2 + 0.5
    low, high = d.mean() - half, d.mean() + half
    return {"gain": d.mean(), "low": low, "high": high, "upset": ahead}


def runs_single(first, second):
    return compared(first.astype(np.float32), second.astype(np.float32))


def runs_product(a, b):
    duels = [(y > x) + (y == x) / 2 for x, y in itertools.product(a, b)]
    low, high = stats.t.interval(0.95, len(a) - 1, np.mean(a - b), stats.sem(a - b))
    return {"gain": (a - b).mean(), "low": low, "high": high, "upset": np.mean(duels)}


def runs_sorted(a, b):
    """Sort both: the pairs are lost, which the interval shows."""
    return compared(np.sort(a), np.sort(b))


def runs_in_place(first, second):
    first -= second
    return compared(first + second, second)


# A fair report


def descend(w, part, rate, steps, factor=1.0):
    hot = np.eye(w.shape[1])[part["y"]]
    for _ in range(steps):
        wrong = special.softmax(part["x"] @ w, axis=1) - hot
        w = w - factor * rate * part["x"].T @ wrong / len(hot)
    return w


def right(w, part):
    return np.mean((part["x"] @ w).argmax(1) == part["y"])


def arm(w, p, rates, steps, judge="validation", on="train", factor=1.0):
    ends = [descend(w, p[on], r, steps, factor) for r in rates]
    best = int(np.argmax([right(e, p[judge]) for e in ends]))
    return rates[best], ends[best]


def report(start, p, tuned, scratch):
    return {
        "rate fine-tuned": tuned[0],
        "rate scratch": scratch[0],
        "gain": right(tuned[1], p["test"]) - right(scratch[1], p["test"]),
        "forgotten": right(start, p["old"]) - right(tuned[1], p["old"]),
    }


def fair(s, p, rates, n, **habits):
    arms = (arm(w, p, rates, n, **habits) for w in (s, 0 * s))
    return report(s, p, *arms)


def fair_with(**habits):
    return lambda *task: fair(*task, **habits)


def fair_loop(start, parts, rates, steps):
    """Keep the best so far instead of a list."""
    arms = []
    for begin in (start, np.zeros(start.shape)):
        best = -1.0
        for rate in rates:
            end = descend(begin, parts["train"], rate, steps)
            score = right(end, parts["validation"])
            if score > best:
                best, chosen = score, (rate, end)
        arms.append(chosen)
    return report(start, parts, *arms)


def fair_reversed(start, parts, rates, steps):
    """Try the rates from the highest down: none are equally good."""
    return fair(start, parts, rates[::-1], steps)


def fair_autograd(start, parts, rates, steps, dtype=torch.float64):
    """Descend with torch."""
    data = {
        name: (torch.tensor(p["x"], dtype=dtype), torch.tensor(p["y"]))
        for name, p in parts.items()
    }

    def accuracy(w, name):
        x, y = data[name]
        return ((x @ w).argmax(1) == y).double().mean().item()

    arms = []
    for begin in (torch.tensor(start, dtype=dtype), torch.zeros(12, 3, dtype=dtype)):
        ends = []
        for rate in rates:
            w = begin.clone().requires_grad_()
            sgd = torch.optim.SGD([w], lr=rate)
            for _ in range(steps):
                sgd.zero_grad()
                F.cross_entropy(data["train"][0] @ w, data["train"][1]).backward()
                sgd.step()
            ends.append(w.detach())
        scores = [accuracy(w, "validation") for w in ends]
        best = scores.index(max(scores))
        arms.append((rates[best], ends[best]))
    (rate, tuned), (other, scratch) = arms
    return {
        "gain": accuracy(tuned, "test") - accuracy(scratch, "test"),
        "forgotten": accuracy(torch.tensor(start, dtype=dtype), "old")
        - accuracy(tuned, "old"),
        "rate scratch": other,
        "rate fine-tuned": rate,
    }


def fair_single(*task):
    return fair_autograd(*task, dtype=torch.float32)


def fair_scipy(start, parts, rates, steps):
    """Number the gradient: one row at a time, then their mean."""

    def end(w, rate):
        for _ in range(steps):
            rows = zip(parts["train"]["x"], parts["train"]["y"], strict=True)
            slopes = [
                np.outer(x, special.softmax(x @ w) - (np.arange(3) == y))
                for x, y in rows
            ]
            w = w - rate * np.mean(slopes, axis=0)
        return w

    found = []
    for begin in (start, 0 * start):
        ends = {r: end(begin, r) for r in rates}
        best = max(ends, key=lambda r: right(ends[r], parts["validation"]))
        found.append((best, ends[best]))
    return {k: np.float32(v) for k, v in report(start, parts, *found).items()}


def fair_fixed(tuned=None, scratch=None):
    def found(s, p, rates, n):
        arms = []
        for w, k in ((s, tuned), (0 * s, scratch)):
            chosen = arm(w, p, rates, n)
            if k is not None:
                chosen = rates[k], descend(w, p["train"], rates[k], n)
            arms.append(chosen)
        return report(s, p, *arms)

    return found


def fair_shared(leader):
    def found(s, p, rates, n):
        rate = arm((s, 0 * s)[leader], p, rates, n)[0]
        return report(
            s, p, *((rate, descend(w, p["train"], rate, n)) for w in (s, 0 * s))
        )

    return found


def fair_joined(s, p, rates, n):
    both = {k: np.concatenate([p["train"][k], p["validation"][k]]) for k in "xy"}
    found = [arm(w, p, rates, n)[0] for w in (s, 0 * s)]
    arms = zip((s, 0 * s), found, strict=True)
    return report(s, p, *((r, descend(w, both, r, n)) for w, r in arms))


def fair_scratch_from_source(s, p, rates, n):
    return report(s, p, arm(s, p, rates, n), arm(s, p, rates, n))


def measured(key, value):
    """Return the report with one number computed from both arms' weights."""

    def found(s, p, rates, n):
        tuned, scratch = (arm(w, p, rates, n)[1] for w in (s, 0 * s))
        return fair(s, p, rates, n) | {key: value(s, p, tuned, scratch)}

    return found


def gain(value):
    return measured("gain", value)


def lost(value):
    return measured("forgotten", value)


def fair_in_place(start, parts, rates, steps):
    found = fair(start, parts, rates, steps)
    rates.sort(reverse=True)
    return found


RIGHT = {
    "five_numbers": [
        FIVE,
        five(castings=753, p=0.1094, macro_F1=0.4924),
        five(castings=np.int64(753), AUC=np.float32(0.5)),
        five(p=stats.binomtest(8, 10).pvalue, accuracy=Fraction(97, 100)),
        five(accuracy=torch.tensor(388 / 400), macro_F1=388 / 788),
        dict(reversed(FIVE.items())),
    ],
    "what_is_missing": [
        LETTERS,
        {key: letter.lower() for key, letter in LETTERS.items()},
        dict(reversed(LETTERS.items())),
        {key: f" {letter} " for key, letter in LETTERS.items()},
        {key: f"{letter}\n" for key, letter in LETTERS.items()},
    ],
    "f1_averages": [
        f1_vector,
        f1_loop,
        f1_harmonic,
        f1_sklearn,
        f1_single,
        f1_fractions,
    ],
    "careful_loop": [
        loop_careful,
        loop_whole,
        loop_weighted,
        loop_numpy,
        loop_double,
        loop_functional,
    ],
    "compare_runs": [
        compared,
        runs_evidence,
        runs_loop,
        runs_scipy,
        runs_torch,
        runs_single,
        runs_product,
    ],
    "fair_report": [
        fair,
        fair_loop,
        fair_reversed,
        fair_autograd,
        fair_single,
        fair_scipy,
    ],
}
WRONG = {
    "five_numbers": [
        (BLANK, ...),
        (BLANK, dict.fromkeys(FIVE, ...)),
        (BLANK, five(p=...)),
        ("keep the dict's keys", {"accuracy": 0.97}),
        ("keep the dict's keys", tuple(FIVE.values())),
        ("not text", five(accuracy="97 %")),
        ("not text", five(AUC=[0.5])),
        ("not half and half", five(accuracy=0.5)),
        ("share of cracked", five(accuracy=0.03)),
        ("not percent", five(accuracy=97)),
        ("divide by 400", five(accuracy=388)),
        ("twelve cracked", five(accuracy=1)),
        ("looks at pairs", five(AUC=0.97)),
        ("not 0", five(AUC=0)),
        ("not 1", five(AUC=1)),
        ("both classes occur", five(AUC=math.nan)),
        ("average precision starts", five(AUC=0.03)),
        ("F1 of sound alone", five(macro_F1=0.98477)),
        ("F1 of cracked alone", five(macro_F1=0)),
        ("micro F1", five(macro_F1=0.97)),
        ("weighted F1", five(macro_F1=0.95523)),
        ("mean recall", five(macro_F1=0.5)),
        ("half of the accuracy", five(macro_F1=0.485)),
        ("one-sided", five(p=0.0547)),
        ("itself belongs to it", five(p=0.0215)),
        ("more uneven ones count", five(p=0.0879)),
        ("more uneven ones and both", five(p=0.0439)),
        ("chi-square approximation", five(p=0.0578)),
        ("continuity", five(p=0.1138)),
        ("1 - p", five(p=0.8906)),
        ("from the formula", five(p=0.05)),
        ("use 1.96", five(castings=784)),
        ("half-width, not the whole", five(castings=3012)),
        ("z must be squared", five(castings=384.16)),
        ("half-width must be squared", five(castings=7.53)),
        ("not p", five(castings=37648)),
        ("blind program", five(castings=1118)),
        ("round up", five(castings=752)),
        ("square it", five(castings=27.44)),
    ],
    "what_is_missing": [
        (BLANK, ...),
        (BLANK, letters(fraud=...)),
        ("keep the dict's keys", {"fraud": "C"}),
        ("keep the dict's keys", "DAFCEB"),
        ("one letter", letters(fraud="G")),
        ("one letter", letters(fraud="C, F")),
        ("one letter", letters(fraud=3)),
        ("nothing was chosen on them", letters(product_photos="A")),
        ("what was forgotten", letters(product_photos="B")),
        ("equally frequent", letters(product_photos="C")),
        ("ten runs already", letters(product_photos="F")),
        ("elected the epoch", letters(best_epoch="D")),
        ("elected the epoch", letters(best_epoch="F")),
        ("a wrong mode", letters(best_epoch="E")),
        ("how many runs", letters(one_duel="A")),
        ("counts pictures", letters(one_duel="C")),
        ("a third does not say", letters(one_duel="D")),
        ("always answering no", letters(fraud="F")),
        ("always answering no", letters(fraud="D")),
        ("answer no every time", letters(fraud="A")),
        ("neighbours", letters(sorted_list="A")),
        ("in any order", letters(sorted_list="C")),
        ("neighbours", letters(sorted_list="F")),
        ("not what was lost", letters(old_network="D")),
        ("about the old ones", letters(old_network="A")),
        ("nothing was chosen on them", dict.fromkeys(LETTERS, "A")),
    ],
    "f1_averages": [
        *broken({"macro": 0.805387, "micro": 0.8, "weighted": 0.80404}),
        ("macro precision", but(f1_vector, macro=f1_of_means)),
        (
            "occurs nowhere",
            but(f1_vector, macro=lambda t: f1_each(t)[t.sum(0) + t.sum(1) > 0].mean()),
        ),
        (
            "never true counts",
            but(f1_vector, macro=lambda t: f1_each(t)[t.sum(1) > 0].mean()),
        ),
        (
            "never answered counts",
            but(f1_vector, macro=lambda t: f1_each(t)[t.sum(0) > 0].mean()),
        ),
        ("0/0 came out", f1_nan),
        ("after the mean", f1_late),
        (
            "a row's sum",
            but(f1_vector, weighted=lambda t: f1_each(t) @ t.sum(0) / t.sum()),
        ),
        (
            "number of all pictures",
            but(f1_vector, weighted=lambda t: f1_each(t) @ t.sum(1) / len(t)),
        ),
        ("all classes first", but(f1_vector, micro=lambda t: f1_each(t).mean())),
        (
            "look at 'micro': hits count twice",
            but(f1_vector, micro=lambda t: t.trace() / (2 * t.sum() - t.trace())),
        ),
        ("hits count twice", f1_all_of(lambda r, g, a: r / (g + a - r))),
        ("factor 2", f1_all_of(lambda r, g, a: r / (g + a))),
        ("these are precisions", f1_all_of(lambda r, g, a: r / g)),
        ("these are recalls", f1_all_of(lambda r, g, a: r / a)),
        ("plain mean", f1_all_of(lambda r, g, a: (r / g + r / a) / 2)),
        ("geometric", f1_all_of(lambda r, g, a: r / np.sqrt(g * a))),
        (
            "all three are micro",
            lambda t: dict.fromkeys(f1_vector(t), t.trace() / t.sum()),
        ),
        (
            "exchanged",
            but(
                f1_vector,
                macro=lambda t: f1_vector(t)["weighted"],
                weighted=lambda t: f1_vector(t)["macro"],
            ),
        ),
        ("percentages", lambda t: {k: 100 * v for k, v in f1_vector(t).items()}),
        ("look at 'macro'", but(f1_vector, macro=f1_each)),
        ("changes what it is given", f1_in_place),
    ],
    "careful_loop": [
        *broken({"accuracy": 0.875, "loss": 0.302514}),
        ("two mistakes at once", loop_of(batch_means, training=True)),
        ("eval() is missing", loop_of(pooled, training=True)),
        (
            "one large batch",
            lambda s, x, y, n: told(answered(s, x, len(x), True), y),
        ),
        ("counts the last batch too much", loop_of(batch_means)),
        (
            "look at 'loss': a mean of batch means",
            but(loop_careful, loss=lambda *a: loop_of(batch_means)(*a)["loss"]),
        ),
        (
            "look at 'accuracy': a mean of batch means",
            but(loop_careful, accuracy=lambda *a: loop_of(batch_means)(*a)["accuracy"]),
        ),
        ("learned from the test", loop_of(pooled, learned=True)),
        ("too late", loop_of(batch_means, learned=True)),
        ("is left out", loop_of(full_only)),
        ("left out, and eval()", loop_of(full_only, training=True)),
        ("as a full one", loop_of(as_full)),
        ("as a full one, and eval()", loop_of(as_full, training=True)),
        ("these are sums", loop_of(lambda v, size: torch.cat(v).sum().item())),
        ("only the last batch", loop_of(lambda v, size: v[-1].mean().item())),
        ("only the first batch", loop_of(lambda v, size: v[0].mean().item())),
        (
            "softmax applied twice",
            but(
                loop_careful,
                loss=lambda s, x, y, n: F.cross_entropy(
                    answered(s, x, n).softmax(1), y
                ),
            ),
        ),
        (
            "share of mistakes",
            but(loop_careful, accuracy=lambda *a: 1 - loop_careful(*a)["accuracy"]),
        ),
        (
            "not percent",
            but(loop_careful, accuracy=lambda *a: 100 * loop_careful(*a)["accuracy"]),
        ),
        (
            "number of hits",
            but(
                loop_careful,
                accuracy=lambda s, x, y, n: (
                    len(y) * loop_careful(s, x, y, n)["accuracy"]
                ),
            ),
        ),
        ("sign is wrong", but(loop_careful, loss=lambda *a: -loop_careful(*a)["loss"])),
        ("by hand", loop_forgets_state),
        ("changes what it is given", loop_in_place),
    ],
    "compare_runs": [
        *broken({"gain": 0.042, "low": 0.015081, "high": 0.068919, "upset": 0.28}),
        (
            "unpaired",
            interval(
                lambda a, b: (
                    factor(len(a) - 1)
                    * math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))
                )
            ),
        ),
        (
            "n - 1 degrees of freedom",
            interval(
                lambda a, b: (
                    factor(2 * len(a) - 2)
                    * math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))
                )
            ),
        ),
        (
            "first method's own",
            interval(lambda a, b: factor(len(a) - 1) * error(a, 0 * a)),
        ),
        ("use Student's factor", interval(lambda a, b: 1.96 * error(a, b))),
        (
            "has divisor n - 1",
            interval(lambda a, b: factor(len(a) - 1) * error(a, b, ddof=0)),
        ),
        (
            "1.96 is for many runs, and",
            interval(lambda a, b: 1.96 * error(a, b, ddof=0)),
        ),
        (
            "root of n",
            interval(lambda a, b: factor(len(a) - 1) * np.std(a - b, ddof=1)),
        ),
        (
            "it is the root of n",
            interval(lambda a, b: factor(len(a) - 1) * np.std(a - b, ddof=1) / len(a)),
        ),
        (
            "take one of the two",
            interval(
                lambda a, b: (
                    factor(len(a) - 1) * np.std(a - b, ddof=1) / math.sqrt(len(a) - 1)
                )
            ),
        ),
        ("not n", interval(lambda a, b: factor(len(a)) * error(a, b))),
        (
            "2.5 % on each side",
            interval(lambda a, b: factor(len(a) - 1, 0.95) * error(a, b)),
        ),
        ("factor is missing", interval(error)),
        ("2.78 is for five", interval(lambda a, b: 2.7764 * error(a, b))),
        (
            "low and high are exchanged",
            but(
                compared,
                low=lambda a, b: compared(a, b)["high"],
                high=lambda a, b: compared(a, b)["low"],
            ),
        ),
        (
            "distances",
            but(
                compared,
                low=lambda a, b: -factor(len(a) - 1) * error(a, b),
                high=lambda a, b: factor(len(a) - 1) * error(a, b),
            ),
        ),
        (
            "the worst and the best pair",
            but(compared, low=lambda a, b: min(a - b), high=lambda a, b: max(a - b)),
        ),
        (
            "turned round",
            but(
                lambda a, b: compared(b, a), upset=lambda a, b: compared(a, b)["upset"]
            ),
        ),
        ("methods are exchanged", lambda a, b: compared(b, a)),
        ("keep its sign", but(compared, gain=lambda a, b: abs(np.mean(a - b)))),
        ("best runs", but(compared, gain=lambda a, b: max(a) - max(b))),
        ("not their median", but(compared, gain=lambda a, b: np.median(a - b))),
        (
            "the first is ahead",
            but(compared, upset=lambda a, b: compared(b, a)["upset"]),
        ),
        (
            "not pairs only",
            but(compared, upset=lambda a, b: np.mean((b > a) + (b == a) / 2)),
        ),
        ("not pairs only", but(compared, upset=lambda a, b: np.mean(b > a))),
        (
            "one half, not 0",
            but(compared, upset=lambda a, b: np.mean(b[:, None] > a)),
        ),
        (
            "one half, not 1",
            but(compared, upset=lambda a, b: np.mean(b[:, None] >= a)),
        ),
        (
            "n times n",
            but(
                compared,
                upset=lambda a, b: ((b[:, None] > a) + (b[:, None] == a) / 2).sum(),
            ),
        ),
        ("look at 'low'", runs_sorted),
        ("changes what it is given", runs_in_place),
    ],
    "fair_report": [
        *broken(
            {
                "rate fine-tuned": 0.1,
                "rate scratch": 1.0,
                "gain": 0.1525,
                "forgotten": 0.0325,
            }
        ),
        ("chosen on the test", fair_with(judge="test")),
        ("chosen on the training rows", fair_with(judge="train")),
        ("chosen on the old task", fair_with(judge="old")),
        ("chosen for fine-tuning", fair_shared(0)),
        ("chosen for scratch", fair_shared(1)),
        ("let it choose as well", fair_fixed(scratch=0)),
        ("let it choose as well", fair_fixed(scratch=1)),
        ("let it choose as well", fair_fixed(scratch=2)),
        ("choose on validation", fair_fixed(1, 1)),
        ("start at zero", fair_scratch_from_source),
        ("they are there to choose", fair_with(on="validation")),
        ("once more on training and validation", fair_joined),
        (
            "divide by their number",
            lambda s, p, r, n: fair(s, p, r, n, factor=len(p["train"]["y"])),
        ),
        ("n times c", fair_with(factor=1 / 3)),
        ("one step too many", lambda s, p, r, n: fair(s, p, r, n + 1)),
        ("one step too few", lambda s, p, r, n: fair(s, p, r, n - 1)),
        ("a single step", lambda s, p, r, n: fair(s, p, r, 1)),
        (
            "rates are exchanged",
            lambda *t: (
                fair(*t)
                | dict(
                    zip(
                        ("rate scratch", "rate fine-tuned"),
                        fair(*t).values(),
                        strict=False,
                    )
                )
            ),
        ),
        (
            "report the test",
            gain(
                lambda s, p, a, b: right(a, p["validation"]) - right(b, p["validation"])
            ),
        ),
        (
            "another task's figure",
            gain(lambda s, p, a, b: right(a, p["test"]) - right(s, p["old"])),
        ),
        (
            "compare with scratch",
            gain(lambda s, p, a, b: right(a, p["test"]) - right(s, p["test"])),
        ),
        ("subtract that of scratch", gain(lambda s, p, a, b: right(a, p["test"]))),
        (
            "turn it round",
            gain(lambda s, p, a, b: right(b, p["test"]) - right(a, p["test"])),
        ),
        ("keep its sign", lambda *t: fair(*t) | {"gain": abs(fair(*t)["gain"])}),
        ("cut it off", lambda *t: fair(*t) | {"gain": max(fair(*t)["gain"], 0)}),
        (
            "of rates not chosen",
            lambda *t: fair(*t) | {"gain": fair(*t, judge="test")["gain"]},
        ),
        (
            "measure it on the old task",
            lost(lambda s, p, a, b: right(s, p["test"]) - right(a, p["test"])),
        ),
        (
            "so that a loss is positive",
            lost(lambda s, p, a, b: right(a, p["old"]) - right(s, p["old"])),
        ),
        (
            "nothing to forget",
            lost(lambda s, p, a, b: right(s, p["old"]) - right(b, p["old"])),
        ),
        (
            "never knew the old task",
            lost(lambda s, p, a, b: right(b, p["old"]) - right(a, p["old"])),
        ),
        (
            "cannot be subtracted",
            lost(lambda s, p, a, b: right(s, p["old"]) - right(a, p["test"])),
        ),
        ("this is what is left", lost(lambda s, p, a, b: right(a, p["old"]))),
        ("changes what it is given", fair_in_place),
    ],
}
