"""Answers to the exercises on BERT for text classification, right and wrong.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, stub
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline

LETTERS = dict(
    zip(
        ("coins", "alone or in a batch", "asked twice", "slow", "last class", "loss"),
        "ABDCEF",
        strict=True,
    )
)
REST = 0.14 / 0.88


def letters(**changed):
    names = {name.replace(" ", "_"): name for name in LETTERS}
    return LETTERS | {names[key]: letter for key, letter in changed.items()}


def two(rest=REST, accuracy=1 - 0.15 - 0.7 * REST):
    return {"rest": rest, "accuracy": accuracy}


def raises(*_):
    raise KeyError("mask")


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
        ("same for every question", lambda *_: value),
    ]


# Pooling


def pool(h, m):
    return (h * m[:, :, None]).sum(1) / m.sum(1, keepdim=True)


def pool_loop(h, m):
    rows = []
    for text, ones in zip(h.tolist(), m.tolist(), strict=True):
        kept = [x for x, one in zip(text, ones, strict=True) if one]
        rows.append([sum(column) / len(kept) for column in zip(*kept, strict=True)])
    return rows


def pool_numpy(h, m):
    h, m = h.numpy(), m.numpy()
    return np.array([x[one == 1].mean(0) for x, one in zip(h, m, strict=True)])


def pool_einsum(h, m):
    return torch.einsum("ijk,ij->ik", h, m.to(h) / m.sum(1, keepdim=True))


def pool_nan(h, m):
    return h.masked_fill(m[:, :, None] == 0, math.nan).nanmean(1)


def pool_in_place(h, m):
    h *= m[:, :, None]
    return h.sum(1) / m.sum(1, keepdim=True)


# Padding


def dynamic(lengths, size):
    batches = (lengths[i : i + size] for i in range(0, len(lengths), size))
    return sum(len(b) * max(b) for b in batches)


def bill(lengths, size, **changed):
    found = {"corpus": len(lengths) * max(lengths), "batch": dynamic(lengths, size)}
    return found | {"sorted": dynamic(sorted(lengths), size)} | changed


def bill_numpy(lengths, size):
    def batched(x):
        full = np.full(math.ceil(len(x) / size) * size, -1)
        full[: len(x)] = x
        table = full.reshape(-1, size)
        return (table.max(1) * (table >= 0).sum(1)).sum()

    x = np.array(lengths)
    return {
        "corpus": x.size * x.max(),
        "batch": batched(x),
        "sorted": batched(np.sort(x)),
    }


def bill_torch(lengths, size):
    x = torch.tensor(lengths)
    ways = {"batch": x, "sorted": x.sort().values}
    found = {k: sum(b.max() * len(b) for b in v.split(size)) for k, v in ways.items()}
    return found | {"corpus": x.max() * len(x)}


def bill_loop(lengths, size):
    def count(order):
        total, widest, held = 0, 0, 0
        for length in order:
            widest, held = max(widest, length), held + 1
            if held == size:
                total, widest, held = total + widest * held, 0, 0
        return total + widest * held

    longest = max(lengths)
    everything = sum(longest for _ in lengths)
    return {
        "sorted": count(sorted(lengths)),
        "batch": count(lengths),
        "corpus": everything,
    }


def bill_floats(lengths, size):
    return {k: float(v) for k, v in bill(lengths, size).items()}


def bill_in_place(lengths, size):
    found = bill(lengths, size)
    lengths.sort()
    return found


def priced(price):
    """Return a bill whose batches are counted by another price."""

    def wrong(lengths, size):
        def count(x):
            return sum(price(x[i : i + size], size) for i in range(0, len(x), size))

        return bill(lengths, size, batch=count(lengths), sorted=count(sorted(lengths)))

    return wrong


def every(change):
    return lambda x, n: {k: change(v, x) for k, v in bill(x, n).items()}


# Attention


def score(q, k):
    return q @ k.mT / math.sqrt(q.shape[2])


def attend(q, k, v, m):
    return F.softmax(score(q, k).masked_fill(~m.bool()[:, None], -torch.inf), 2) @ v


def attend_library(q, k, v, m):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=m[:, None].bool())


def attend_log(q, k, v, m):
    return (score(q, k) + m[:, None].to(q).log()).softmax(2) @ v


def attend_loop(q, k, v, m):
    found = torch.zeros_like(v)
    for i, ones in enumerate(m):
        real = [j for j, one in enumerate(ones.tolist()) if one]
        for t in range(len(ones)):
            s = [float(q[i, t] @ k[i, j]) / q.shape[2] ** 0.5 for j in real]
            e = [math.exp(x - max(s)) for x in s]
            found[i, t] = sum(
                w / sum(e) * v[i, j] for w, j in zip(e, real, strict=True)
            )
    return found


def attend_numpy(q, k, v, m):
    q, k, v = (x.numpy().astype(np.float64) for x in (q, k, v))
    s = np.einsum("nid,njd->nij", q, k) / np.sqrt(q.shape[2])
    s = np.where(m.numpy()[:, None] == 1, s, -np.inf)
    e = np.exp(s - s.max(2, keepdims=True))
    return e / e.sum(2, keepdims=True) @ v


def attend_large(q, k, v, m):
    return (score(q, k) - 1e9 * (1 - m[:, None])).softmax(2) @ v


def attend_naive(q, k, v, m):
    a = score(q, k).exp() * m[:, None]
    return a / a.sum(2, keepdim=True) @ v


def attend_in_place(q, k, v, m):
    q /= math.sqrt(q.shape[2])
    return attend(q * math.sqrt(q.shape[2]), k, v, m)


def mixed(change):
    return lambda q, k, v, m: change(score(q, k), m[:, None]) @ v


# The rival

GRID = list(itertools.product((1, 2), (0.1, 1, 10)))


def table(a, ya, v, yv, b, yb, *, first=1, known=None, vector=TfidfVectorizer, **how):
    """Return each setting's accuracies on training, validation and test texts."""
    how = ({"sublinear_tf": True} if vector is TfidfVectorizer else {}) | how
    found = {}
    for words, c in GRID:
        count = vector(ngram_range=(min(first, words), words), **how).fit(known or a)
        model = LogisticRegression(C=c, max_iter=3000).fit(count.transform(a), ya)
        parts = ((a, ya), (v, yv), (b, yb))
        found[words, c] = [model.score(count.transform(x), y) for x, y in parts]
    return found


def told(best, row):
    return {"words": best[0], "C": best[1], "validation": row[1], "test": row[2]}


def rival(*task, by=1, grid=GRID, **how):
    rows = table(*task, **how)
    best = max(grid, key=lambda setting: rows[setting][by])
    return told(best, rows[best])


def rival_pipeline(a, ya, v, yv, b, yb):
    found = []
    for words, c in GRID:
        count = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, words))
        model = make_pipeline(count, LogisticRegression(C=c, max_iter=3000))
        found.append((model.fit(a, ya).score(v, yv), words, c, model))
    top = max(score for score, *_ in found)
    chosen = next(row for row in found if row[0] == top)
    test = accuracy_score(yb, chosen[3].predict(b))
    return dict(zip(("validation", "words", "C"), chosen[:3], strict=True)) | {
        "test": test
    }


def rival_dense(a, ya, v, yv, b, yb):
    best, most = {}, -1.0
    for words in (1, 2):
        count = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, words))
        xa, xv, xb = count.fit_transform(a), count.transform(v), count.transform(b)
        for c in (0.1, 1.0, 10.0):
            model = LogisticRegression(C=c, max_iter=3000)
            model.fit(xa.toarray(), np.array(ya))
            share = np.mean(model.predict(xv.toarray()) == np.array(yv))
            if share > most:
                test = np.mean(model.predict(xb.toarray()) == np.array(yb))
                most = share
                best = {"words": words, "C": c, "validation": share, "test": test}
    return best


def rival_tensors(*task):
    return {k: torch.tensor(v) for k, v in rival(*task).items()}


def rival_sorted(*task):
    rows = table(*task)
    best = sorted(GRID, key=lambda s: (-rows[s][1], s))[0]
    return told(best, rows[best])


def rival_worst(*task):
    rows = table(*task)
    best = min(GRID, key=lambda s: rows[s][1])
    return told(best, rows[best])


def rival_late(*task):
    best = rival(*task)
    a, ya, v, yv, b, yb = task
    count = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, best["words"]))
    model = LogisticRegression(C=best["C"], max_iter=3000)
    model.fit(count.fit_transform([*a, *v]), [*ya, *yv])
    return best | {"test": model.score(count.transform(b), yb)}


def rival_in_place(a, ya, *task):
    found = rival(a, ya, *task)
    ya.reverse()
    return found


def changed(change):
    return lambda *task: change(rival(*task))


EXAMPLE = {"words": 2, "C": 10, "validation": 0.55, "test": 0.53}

RIGHT = {
    "silent_mistakes": [
        LETTERS,
        {key: letter.lower() for key, letter in LETTERS.items()},
        dict(reversed(LETTERS.items())),
        {key: f" {letter} " for key, letter in LETTERS.items()},
        {key: f"{letter}\n" for key, letter in LETTERS.items()},
    ],
    "next_year": [
        two(),
        two(0.159, 0.739),
        two(np.float64(REST), np.float32(0.7386)),
        two(torch.tensor(REST), torch.tensor(0.7386)),
        {"accuracy": 0.5 * 0.3 + (1 - REST) * 0.7, "rest": 1 - (0.8 - 0.06) / 0.88},
    ],
    "pooled": [pool, pool_loop, pool_numpy, pool_einsum, pool_nan],
    "token_bill": [bill, bill_numpy, bill_torch, bill_loop, bill_floats],
    "attention": [
        attend,
        attend_library,
        attend_log,
        attend_loop,
        attend_numpy,
        attend_large,
    ],
    "word_rival": [rival, rival_pipeline, rival_dense, rival_tensors, rival_sorted],
}
WRONG = {
    "silent_mistakes": [
        (BLANK, ...),
        (BLANK, letters(coins=...)),
        ("keep the dict's keys", {"coins": "A"}),
        ("keep the dict's keys", "ABDCEF"),
        ("one letter", letters(coins="G")),
        ("one letter", letters(loss="AF")),
        ("one letter", letters(slow=3)),
        ("how far it is padded", letters(coins="B")),
        ("rate shows", letters(coins="F")),
        ("drawn anew", letters(alone_or_in_a_batch="D")),
        ("another price", letters(alone_or_in_a_batch="C")),
        ("how far it is padded", letters(asked_twice="B")),
        ("remembered best", letters(asked_twice="E")),
        ("how far it is padded", letters(slow="B")),
        ("drawn anew", letters(slow="D")),
        ("too good", letters(last_class="A")),
        ("rate shows", letters(last_class="F")),
        ("remembered best", letters(loss="E")),
        ("drawn anew", letters(loss="D")),
        ("how far it is padded", dict.fromkeys(LETTERS, "B")),
    ],
    "next_year": [
        (BLANK, ...),
        (BLANK, {"rest": ..., "accuracy": ...}),
        (BLANK, two(accuracy=...)),
        ("keep the dict's keys", {"rest": REST}),
        ("keep the dict's keys", (REST, 0.74)),
        ("not text", two("16 %")),
        ("not text", two([REST])),
        ("divide by the rest's share", two(0.14)),
        ("accuracy on the rest", two(1 - REST)),
        ("error rate of all texts", two(0.2)),
        ("accuracy on all", two(0.8)),
        ("are not taken off", two(0.2 / 0.88)),
        ("wrong are half", two(0.08 / 0.88)),
        ("from the formula", two(0.3)),
        ("this is the error rate", two(accuracy=0.15 + 0.7 * REST)),
        ("moves as well", two(accuracy=0.8)),
        ("part of all", two(accuracy=1 - 0.15 - 0.7 * 0.14)),
        ("no longer 0.88", two(accuracy=1 - 0.15 - 0.14)),
        ("by its share, 0.70", two(accuracy=1 - 0.15 - REST)),
        ("exchanged", two(accuracy=1 - 0.35 - 0.3 * REST)),
        ("only the hard", two(accuracy=0.85)),
        ("only the rest's", two(accuracy=1 - 0.7 * REST)),
        ("without their shares", two(accuracy=1 - (0.5 + REST) / 2)),
        ("from the formula", two(accuracy=math.nan)),
    ],
    "pooled": [
        *broken(torch.zeros(2, 3)),
        ("the padding counts", lambda h, m: h.mean(1)),
        ("divided by the width", lambda h, m: (h * m[:, :, None]).mean(1)),
        ("the padding is in the sum", lambda h, m: h.sum(1) / m.sum(1)[:, None]),
        ("the sum came", lambda h, m: (h * m[:, :, None]).sum(1)),
        ("[CLS]: take", lambda h, m: h[:, 0]),
        ("the last place", lambda h, m: h[:, -1]),
        ("whole batch", lambda h, m: (h * m[:, :, None]).sum(1) / m.sum()),
        (
            "batch's mean",
            lambda h, m: pool(h, m) * m.sum(1)[:, None] / m.sum() * len(m),
        ),
        ("each text has its own", lambda h, m: h[m == 1].mean(0)),
        ("over the texts", lambda h, m: h.mean(0)),
        ("over the features", lambda h, m: h.mean(2)),
        ("wrong way round", lambda h, m: pool(h, 1 - m)),
        ("[CLS] is left out", lambda h, m: pool(h[:, 1:], m[:, 1:])),
        ("maximum", lambda h, m: h.amax(1)),
        ("too many", lambda h, m: (h * m[:, :, None]).sum(1) / (1 + m.sum(1)[:, None])),
        ("length 1", lambda h, m: F.normalize(pool(h, m))),
        ("sign is wrong", lambda h, m: -pool(h, m)),
        ("twice", lambda h, m: 2 * pool(h, m)),
        ("changes what it is given", pool_in_place),
        ("shape", lambda h, m: pool(h, m)[:, None]),
    ],
    "token_bill": [
        *broken({"corpus": 217, "batch": 122, "sorted": 121}),
        ("return a dict", lambda x, n: {"corpus": len(x) * max(x)}),
        ("return a dict", lambda x, n: list(bill(x, n).values())),
        ("is dropped", priced(lambda b, n: len(b) * max(b) * (len(b) == n))),
        ("counts as a full one", priced(lambda b, n: n * max(b))),
        ("its longest text once", priced(lambda b, n: max(b))),
        ("their mean", priced(lambda b, n: sum(b))),
        ("their shortest", priced(lambda b, n: len(b) * min(b))),
        ("their last", priced(lambda b, n: len(b) * b[-1])),
        ("their first", priced(lambda b, n: len(b) * b[0])),
        (
            "only the first batch",
            lambda x, n: bill(
                x, n, batch=dynamic(x[:n], n), sorted=dynamic(sorted(x)[:n], n)
            ),
        ),
        (
            "start with the shortest",
            lambda x, n: bill(x, n, sorted=dynamic(sorted(x)[::-1], n)),
        ),
        ("nothing is sorted", lambda x, n: bill(x, n, sorted=dynamic(x, n))),
        ("as they come", lambda x, n: bill(sorted(x), n)),
        (
            "exchanged",
            lambda x, n: bill(sorted(x), n) | {"sorted": dynamic(x, n)},
        ),
        ("as its tokens are many", lambda x, n: bill(x, n, corpus=sum(x))),
        ("corpus's width", lambda x, n: bill(x, n, corpus=max(x))),
        (
            "a batch as one text",
            lambda x, n: bill(x, n, corpus=math.ceil(len(x) / n) * max(x)),
        ),
        ("padding alone", every(lambda v, x: v - sum(x))),
        ("multiples", every(lambda v, x: v / sum(x))),
        ("for each text", every(lambda v, x: v / len(x))),
        ("changes what it is given", bill_in_place),
    ],
    "attention": [
        *broken(torch.zeros(2, 4, 3)),
        ("mask is not used", mixed(lambda s, m: s.softmax(2))),
        ("after the softmax", mixed(lambda s, m: s.softmax(2) * m)),
        ("e to the power 0", mixed(lambda s, m: (s * m).softmax(2))),
        ("added as 1 and 0", mixed(lambda s, m: (s + m).softmax(2))),
        ("wrong way round", lambda q, k, v, m: attend(q, k, v, 1 - m)),
        ("hides rows", lambda q, k, v, m: score(q, k).softmax(2) * m[:, :, None] @ v),
        ("rows of padding", lambda q, k, v, m: attend(q, k, v, m) * m[:, :, None]),
        ("root is missing", lambda q, k, v, m: attend(q * q.shape[2] ** 0.5, k, v, m)),
        ("divided by d", lambda q, k, v, m: attend(q / q.shape[2] ** 0.5, k, v, m)),
        ("multiplied", lambda q, k, v, m: attend(q * q.shape[2], k, v, m)),
        (
            "the root of t",
            lambda q, k, v, m: attend(q * (q.shape[2] / q.shape[1]) ** 0.5, k, v, m),
        ),
        ("exchanged", lambda q, k, v, m: attend(k, q, v, m)),
        ("keys are not used", lambda q, k, v, m: attend(q, q, v, m)),
        ("queries are not used", lambda q, k, v, m: attend(k, k, v, m)),
        (
            "over the queries",
            mixed(lambda s, m: s.masked_fill(m == 0, -1e9).softmax(1)),
        ),
        ("softmax is missing", mixed(lambda s, m: s * m)),
        ("scores are not used", lambda q, k, v, m: attend(0 * q, k, v, m)),
        ("only the best", lambda q, k, v, m: attend(1e6 * q, k, v, m)),
        ("keys are mixed", lambda q, k, v, m: attend(q, k, k, m)),
        ("queries are mixed", lambda q, k, v, m: attend(q, k, q, m)),
        ("must be infinity", mixed(lambda s, m: (s - 10 * (1 - m)).softmax(2))),
        ("one vector a text", lambda q, k, v, m: attend(q, k, v, m).mean(1)),
        ("nan or inf", attend_naive),
        ("changes what it is given", attend_in_place),
        ("twice", lambda q, k, v, m: 2 * attend(q, k, v, m)),
    ],
    "word_rival": [
        *broken(EXAMPLE),
        ("return a dict", lambda *t: {"test": rival(*t)["test"]}),
        ("chosen on the test texts", lambda *t: rival(*t, by=2)),
        ("chosen on the training", lambda *t: rival(*t, by=0)),
        (
            "fit on training alone",
            lambda *t: rival(*t, known=[*t[0], *t[2], *t[4]]),
        ),
        ("fit on training texts", lambda *t: rival(*t, known=[*t[0], *t[2]])),
        ("trained again", rival_late),
        ("try pairs as well", lambda *t: rival(*t, grid=GRID[:3])),
        ("try single words as well", lambda *t: rival(*t, grid=GRID[3:])),
        ("without the single words", lambda *t: rival(*t, first=2)),
        ("stays at 1", lambda *t: rival(*t, grid=GRID[1::3])),
        ("C = 10", lambda *t: rival(*t, grid=[s for s in GRID if s[1] < 5])),
        ("the worst", rival_worst),
        ("take the first", lambda *t: rival(*t, grid=GRID[::-1])),
        ("always the first", lambda *t: rival(*t, grid=GRID[:1])),
        ("always the last", lambda *t: rival(*t, grid=GRID[-1:])),
        ("sublinear_tf", lambda *t: rival(*t, sublinear_tf=False)),
        ("plain counts", lambda *t: rival(*t, vector=CountVectorizer)),
        (
            "exchanged",
            changed(lambda r: r | {"test": r["validation"], "validation": r["test"]}),
        ),
        ("validation accuracy", changed(lambda r: r | {"test": r["validation"]})),
        (
            "percentages",
            changed(lambda r: r | {k: 100 * r[k] for k in ("test", "validation")}),
        ),
        (
            "error rates",
            changed(lambda r: r | {k: 1 - r[k] for k in ("test", "validation")}),
        ),
        ("changes what it is given", rival_in_place),
    ],
}
