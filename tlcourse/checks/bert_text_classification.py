"""Checks of the exercises of the chapter on BERT for text classification."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from tlcourse.checks._asking import Ask, digest, exercise, open_question

__all__ = [
    "attention",
    "next_year",
    "pooled",
    "silent_mistakes",
    "sixty_four_labels",
    "token_bill",
    "word_rival",
]

Mistakes: TypeAlias = dict[str, Callable[..., Any]]


@exercise(points=2)
def silent_mistakes(ask: Ask) -> None:
    """Ask which mistake of a listing each symptom points to."""
    right = {
        "coins": "6d9b257094f6",
        "alone or in a batch": "57a2f7e55eb7",
        "slow": "b2e95699fa44",
        "asked twice": "358424ef1763",
        "last class": "c7c87e543f1a",
        "loss": "54f3c3477932",
    }
    shows = {
        "A": "measured on training texts, any network looks too good; no more",
        "B": "without a mask, a text's answer depends on how far it is padded",
        "C": "padding, mask and all, changes no answer; it has another price",
        "D": "dropout is drawn anew for each question, the same text's as well",
        "E": "what came last is remembered best: look at where the errors fall",
        "F": "too high a rate shows in training, before any text is answered",
    }
    hints = {digest(key, x): hint for key in right for x, hint in shows.items()}
    ask.choices(right, "ABCDEF", hints)


@exercise(points=2)
def next_year(ask: Ask) -> None:
    """Ask for an error rate behind an average, and for the average of other texts."""
    rest = (0.20 - 0.12 * 0.50) / 0.88
    hard = 0.30 * 0.50
    error = hard + 0.70 * rest
    of_rest = {
        "this is the rest's part of all texts: divide by the rest's share": 0.14,
        "divided by the share of hard texts: divide by the rest's share": 0.14 / 0.12,
        "this is the accuracy on the rest; its error rate was asked for": 1 - rest,
        "this is the error rate of all texts, the hard ones among them": 0.20,
        "this is the accuracy on all texts": 0.80,
        "weigh the hard texts' error rate by their share, 0.12": 0.20 - 0.50,
        "weigh the hard texts' error rate by their share before you take it off": (
            (0.20 - 0.50) / 0.88
        ),
        "the hard texts' errors are not taken off": 0.20 / 0.88,
        "0.12 is the share of hard texts; wrong are half of them": 0.08 / 0.88,
    }
    of_all = {
        "this is the error rate; the accuracy was asked for": error,
        "the mixture is another, so the average moves as well": 0.80,
        "this is the error rate of last year": 0.20,
        "the rest's error rate is higher than 0.14, which is its part of all": (
            1 - hard - 0.70 * 0.14
        ),
        "the rest is no longer 0.88 of the texts, and its rate is not 0.20": (
            1 - hard - 0.14
        ),
        "weigh the rest's error rate by its share, 0.70": 1 - hard - rest,
        "the shares are exchanged: 0.30 are hard": 1 - 0.35 - 0.30 * rest,
        "only the hard texts' errors are counted": 1 - hard,
        "only the rest's errors are counted": 1 - 0.70 * rest,
        "all texts cannot be hard: 0.30 of them are": 0.50,
        "the mean of two rates without their shares": 1 - (0.50 + rest) / 2,
    }
    expected = {"rest": rest, "accuracy": 1 - error}
    ask.numbers(expected, {"rest": of_rest, "accuracy": of_all}, tolerance=1e-3)


def _attended(scores: Tensor, mask: Tensor, values: Tensor) -> Tensor:
    kept = scores.masked_fill(mask[:, None] == 0, -math.inf)
    return kept.softmax(2) @ values


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / math.sqrt(q.shape[2])


def _heads() -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    """Yield queries, keys, values and masks; what stands in the padding is large."""
    rng = torch.Generator().manual_seed(20261)

    def head(
        mask: Sequence[Sequence[int]], d: int, scale: float = 1.0
    ) -> tuple[Tensor, ...]:
        ones = torch.tensor(mask)
        shape = 3, *ones.shape, d
        q, k, v = scale * torch.randn(shape, generator=rng, dtype=torch.float64)
        return q, k, torch.where(ones[:, :, None] == 1, v, 5 * v), ones

    yield "two texts, one of them padded", head([[1, 1, 1, 1], [1, 1, 0, 0]], 3)
    yield "no padding", head([[1] * 5, [1] * 5], 4)
    yield "three texts", head([[1] * 6, [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]], 2)
    yield "a single token, padded", head([[1, 0, 0]], 5)
    yield "padding in front", head([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]], 8)
    *vectors, mask = head([[1, 1, 0], [1, 1, 1]], 4)
    yield "single precision", (*(x.float() for x in vectors), mask)
    q, k, v, mask = head([[1, 1, 1, 0], [1, 0, 0, 0]], 4, 50.0)
    yield "products of some thousands", (q, k, v / 50, mask)


@exercise(points=4)
def attention(ask: Ask) -> None:
    """Ask for one head of self-attention that leaves the padding out."""

    def reference(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        return _attended(_scores(q, k), mask, v)

    def scored(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Any]:
        return lambda q, k, v, m: _attended(change(q, k), m, v)

    def plain(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Any]:
        return lambda q, k, v, m: change(_scores(q, k), m[:, None]) @ v

    def weighed(dim: int, low: float = -1e9) -> Callable[..., Any]:
        return plain(lambda s, m: s.masked_fill(m == 0, low).softmax(dim))

    def hard(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        best = _scores(q, k).masked_fill(mask[:, None] == 0, -math.inf).argmax(2)
        return torch.stack([v[i, row] for i, row in enumerate(best)])

    mistakes: Mistakes = {
        "the mask is not used: the padding gets weight": plain(
            lambda s, m: s.softmax(2)
        ),
        "the mask comes after the softmax: the weights no longer sum to 1": plain(
            lambda s, m: s.softmax(2) * m
        ),
        "masked scores become 0, and e to the power 0 is 1: make them -inf": plain(
            lambda s, m: (s * m).softmax(2)
        ),
        "the mask is added as 1 and 0: add its logarithm, 0 and minus infinity": plain(
            lambda s, m: (s + m).softmax(2)
        ),
        "the mask is the wrong way round: 1 stands for a token": (
            lambda q, k, v, m: _attended(_scores(q, k), 1 - m, v)
        ),
        "the mask hides rows: it must hide keys, the columns of the scores": (
            lambda q, k, v, m: _scores(q, k).softmax(2) * m[:, :, None] @ v
        ),
        "rows of padding are set to 0: they are computed like all others": (
            lambda q, k, v, m: reference(q, k, v, m) * m[:, :, None]
        ),
        "the root is missing: divide the products by the root of d_h": scored(
            lambda q, k: q @ k.mT
        ),
        "divided by d_h: it must be its root": scored(
            lambda q, k: q @ k.mT / q.shape[2]
        ),
        "multiplied by the root of d_h: divide by it": scored(
            lambda q, k: q @ k.mT * math.sqrt(q.shape[2])
        ),
        "the root of t, the number of tokens: it must be that of d_h": scored(
            lambda q, k: q @ k.mT / math.sqrt(q.shape[1])
        ),
        "queries and keys are exchanged": scored(lambda q, k: _scores(k, q)),
        "queries with queries: the keys are not used": scored(
            lambda q, k: _scores(q, q)
        ),
        "keys with keys: the queries are not used": scored(lambda q, k: _scores(k, k)),
        "the softmax runs over the queries: it must run over the keys": weighed(1),
        "the softmax runs down the columns: it must run over the keys": weighed(
            1, -math.inf
        ),
        "the softmax runs over the texts: it must run over the keys": weighed(0),
        "the scores are not made into weights: the softmax is missing": plain(
            lambda s, m: s * m
        ),
        "all tokens count alike: the scores are not used": plain(
            lambda s, m: m / m.sum(2, keepdim=True) + 0 * s
        ),
        "only the best token counts: take a softmax, not the maximum": hard,
        "the weights came: mix the values with them": (
            lambda q, k, v, m: _attended(
                _scores(q, k), m, torch.eye(m.shape[1]).to(q).expand(len(m), -1, -1)
            )
        ),
        "the keys are mixed: mix the values": (
            lambda q, k, v, m: _attended(_scores(q, k), m, k)
        ),
        "the queries are mixed: mix the values": (
            lambda q, k, v, m: _attended(_scores(q, k), m, q)
        ),
        "no token sees a later one: in BERT each sees all": plain(
            lambda s, m: (
                s.masked_fill(m == 0, -math.inf)
                .masked_fill(torch.ones_like(s).triu(1) > 0, -math.inf)
                .softmax(2)
            )
        ),
        "one vector a text came: each token has one of its own": (
            lambda q, k, v, m: reference(q, k, v, m).mean(1)
        ),
    }
    for size in (1, 10, 100, 1000):
        mistakes[f"{size} is taken off masked scores: it must be infinity"] = (
            lambda q, k, v, m, size=size: (
                (_scores(q, k) - size * (1 - m[:, None])).softmax(2) @ v
            )
        )
    ask.each(_heads(), reference, mistakes)


def _mean(h: Tensor, weights: Tensor) -> Tensor:
    w = weights.to(h)[:, :, None]
    return (h * w).sum(1) / w.sum(1)


def _last(h: Tensor, m: Tensor) -> Tensor:
    places = torch.arange(m.shape[1]) * m
    return h[torch.arange(len(h)), places.argmax(1)]


@exercise(points=2)
def pooled(ask: Ask) -> None:
    """Ask for the mean of a text's token vectors, without the padding."""

    def inner(m: Tensor) -> Tensor:
        """Return the mask without the first and the last token."""
        counted = m.cumsum(1)
        ends = (counted == 1) | (counted == m.sum(1, keepdim=True))
        return torch.where(ends, 0, m)

    mistakes: Mistakes = {
        "the mask is not used: the padding counts": lambda h, m: h.mean(1),
        "divided by the width: divide by the number of the text's tokens": (
            lambda h, m: (h * m[:, :, None]).mean(1)
        ),
        "the padding is in the sum: multiply the vectors by the mask": (
            lambda h, m: h.sum(1) / m.sum(1, keepdim=True)
        ),
        "the sum came: divide by the number of the text's tokens": (
            lambda h, m: (h * m[:, :, None]).sum(1)
        ),
        "the plain sum came: leave the padding out, and divide": lambda h, m: h.sum(1),
        "this is the vector of [CLS]: take the mean": lambda h, m: h[:, 0],
        "this is the vector in the last place: take the mean": lambda h, m: h[:, -1],
        "this is the vector of the last token: take the mean": _last,
        "divided by the tokens of the whole batch: each text has its own number": (
            lambda h, m: (h * m[:, :, None]).sum(1) / m.sum()
        ),
        "divided by the batch's mean length: each text has its own number": (
            lambda h, m: (h * m[:, :, None]).sum(1) / m.sum(1).double().mean()
        ),
        "one vector for the whole batch came: each text has its own": (
            lambda h, m: h[m == 1].mean(0)
        ),
        "the mean runs over the texts: it must run over the tokens": (
            lambda h, m: h.mean(0)
        ),
        "the mean runs over the features: it must run over the tokens": (
            lambda h, m: h.mean(2)
        ),
        "the mask is the wrong way round: 1 stands for a token": (
            lambda h, m: _mean(h, 1 - m)
        ),
        "[CLS] is left out: the mask says which tokens count": (
            lambda h, m: _mean(h, torch.cat([0 * m[:, :1], m[:, 1:]], 1))
        ),
        "[CLS] and [SEP] are left out: the mask says which tokens count": (
            lambda h, m: _mean(h, inner(m))
        ),
        "the maximum over the width: take the mean over the tokens": (
            lambda h, m: h.amax(1)
        ),
        "the maximum over the tokens: take their mean": (
            lambda h, m: h.masked_fill(m[:, :, None] == 0, -math.inf).amax(1)
        ),
        "divided by one token too many": (
            lambda h, m: (h * m[:, :, None]).sum(1) / (m.sum(1, keepdim=True) + 1)
        ),
        "divided by one token too few": (
            lambda h, m: (h * m[:, :, None]).sum(1) / (m.sum(1, keepdim=True) - 1)
        ),
        "the vectors are scaled to length 1, which was not asked for": (
            lambda h, m: torch.nn.functional.normalize(_mean(h, m))
        ),
    }
    inputs = [(name, (values, m)) for name, (*_, values, m) in _heads()]
    ask.each(inputs, _mean, mistakes)


def _tokens(lengths: Sequence[int], size: int) -> int:
    batches = (lengths[i : i + size] for i in range(0, len(lengths), size))
    return sum(len(batch) * max(batch) for batch in batches)


@exercise(points=2)
def token_bill(ask: Ask) -> None:
    """Ask how many tokens go through a network, for three ways to pad."""

    def reference(lengths: list[int], size: int) -> dict[str, float]:
        return {
            "corpus": len(lengths) * max(lengths),
            "batch": _tokens(lengths, size),
            "sorted": _tokens(sorted(lengths), size),
        }

    def changed(**change: Callable[..., Any]) -> Callable[..., Any]:
        def wrong(lengths: list[int], size: int) -> dict[str, float]:
            made = {key: make(lengths, size) for key, make in change.items()}
            return reference(lengths, size) | made

        return wrong

    def both(count: Callable[[Sequence[int], int], Any]) -> Callable[..., Any]:
        return changed(batch=count, sorted=lambda x, size: count(sorted(x), size))

    def each(price: Callable[[Sequence[int], int], Any]) -> Callable[..., Any]:
        return both(
            lambda x, n: sum(price(x[i : i + n], n) for i in range(0, len(x), n))
        )

    def every(change: Callable[[float, list[int]], float]) -> Callable[..., Any]:
        return lambda x, n: {k: change(v, x) for k, v in reference(x, n).items()}

    mistakes: Mistakes = {
        "the last batch is dropped: it may be smaller, but it counts": each(
            lambda b, n: len(b) * max(b) * (len(b) == n)
        ),
        "the last batch counts as a full one: it holds what is left": each(
            lambda b, n: n * max(b)
        ),
        "each batch counts its longest text once: all its texts are that wide": each(
            lambda b, n: max(b)
        ),
        "batches as wide as their mean: the longest text sets the width": each(
            lambda b, n: sum(b)
        ),
        "batches as wide as their shortest text: the longest sets the width": each(
            lambda b, n: len(b) * min(b)
        ),
        "batches as wide as their last text: the longest sets the width": each(
            lambda b, n: len(b) * b[-1]
        ),
        "batches as wide as their first text: the longest sets the width": each(
            lambda b, n: len(b) * b[0]
        ),
        "only the first batch is counted": both(lambda x, n: _tokens(x[:n], n)),
        "sorted from the longest: start with the shortest": changed(
            sorted=lambda x, n: _tokens(sorted(x)[::-1], n)
        ),
        "nothing is sorted: texts of like length must stand side by side": changed(
            sorted=_tokens
        ),
        "sorted in both: 'batch' takes the texts as they come": changed(
            batch=lambda x, n: _tokens(sorted(x), n)
        ),
        "'batch' and 'sorted' are exchanged": changed(
            batch=lambda x, n: _tokens(sorted(x), n), sorted=_tokens
        ),
        "the corpus is as wide as its longest text, not as its tokens are many": (
            changed(corpus=lambda x, n: sum(x))
        ),
        "this is the corpus's width: each text is that wide": changed(
            corpus=lambda x, n: max(x)
        ),
        "the corpus counts a batch as one text": changed(
            corpus=lambda x, n: math.ceil(len(x) / n) * max(x)
        ),
        "the corpus's last batch counts as a full one": changed(
            corpus=lambda x, n: math.ceil(len(x) / n) * n * max(x)
        ),
        "the corpus's last batch is dropped": changed(
            corpus=lambda x, n: len(x) // n * n * max(x)
        ),
        "this is the padding alone: count the texts' own tokens as well": every(
            lambda v, x: v - sum(x)
        ),
        "these are multiples of the texts' own tokens: count tokens": every(
            lambda v, x: v / sum(x)
        ),
        "these are tokens for each text: count those of all": every(
            lambda v, x: v / len(x)
        ),
    }
    rng = np.random.default_rng(20261)
    inputs: list[tuple[str, tuple[Any, ...]]] = [
        ("seven texts", ([12, 5, 31, 8, 9, 20, 6], 2)),
        ("batches of three", (rng.integers(4, 60, 10).tolist(), 3)),
        ("one long text", ([7, 9, 512, 8, 10, 6, 11, 5, 9], 4)),
        ("one batch is enough", ([4, 9, 6], 16)),
        ("batches of one", (rng.integers(4, 60, 5).tolist(), 1)),
        ("texts of one length", ([10] * 6, 4)),
        ("a hundred texts", (rng.integers(4, 60, 100).tolist(), 16)),
    ]
    ask.each(inputs, reference, mistakes)


_Rows: TypeAlias = dict[tuple[int, float], tuple[float, float, float]]
_GRID = [(words, c) for words in (1, 2) for c in (0.1, 1.0, 10.0)]


@functools.cache
def _scored(task: tuple[Any, ...], way: str = "", least: int = 1) -> _Rows:
    """Return the accuracies on training, validation and test texts of each setting."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts, labels = task[::2], task[1::2]
    known = {"all": sum(texts, ()), "two": texts[0] + texts[1]}.get(way, texts[0])
    found = {}
    for words, c in _GRID:
        span = (min(least, words), words) if least < 3 else (words, words)
        count = CountVectorizer(ngram_range=span)
        if way != "counts":
            count = TfidfVectorizer(sublinear_tf=way != "raw", ngram_range=span)
        count.fit(known)
        used = 2 if way == "refit" else 1
        model = LogisticRegression(C=c, max_iter=3000)
        model.fit(count.transform(sum(texts[:used], ())), sum(labels[:used], ()))
        score = [
            model.score(count.transform(x), y)
            for x, y in zip(texts, labels, strict=True)
        ]
        found[words, c] = score[0], score[1], score[2]
    return found


def _opinions(n: int, rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """Return short reviews; some deny what they say, and some labels are wrong."""
    things = "kettle book app soup pan tale screen bread lid plot menu rice".split()
    cues = [["bad", "dull", "slow", "cold"], ["good", "fine", "quick", "fresh"]]
    texts, labels = [], []
    for _ in range(n):
        label, denied = int(rng.integers(2)), rng.random() < 0.4
        cue = cues[label ^ denied][rng.integers(4)]
        a, b = rng.choice(things, 2, replace=False)
        said = (
            f"not {cue}" if denied else f"{rng.choice(['very', 'so', 'quite'])} {cue}"
        )
        texts.append(f"the {a} was {said} and the {b} was there")
        labels.append(label ^ int(rng.random() < 0.15))
    return texts, labels


@exercise(points=4)
def word_rival(ask: Ask) -> None:
    """Ask for a word count that is chosen on validation and tested once."""

    def chosen(
        by: int = 1, way: str = "", least: int = 1, grid: Any = _GRID, judge: Any = max
    ) -> Callable[..., dict[str, float]]:
        def make(*lists: Sequence[Any]) -> dict[str, float]:
            rows = _scored(
                tuple(map(tuple, lists)), "" if way == "late" else way, least
            )
            if way == "late":
                again = _scored(tuple(map(tuple, lists)), "refit")
                best = max(_GRID, key=lambda s: rows[s][1])
                return told(best, (*rows[best][:2], again[best][2]))
            best = judge(grid, key=lambda s: rows[s][by])
            return told(best, rows[best])

        return make

    def told(best: tuple[int, float], row: Sequence[float]) -> dict[str, float]:
        return {"words": best[0], "C": best[1], "validation": row[1], "test": row[2]}

    def after(change: Callable[[dict[str, float]], Any]) -> Callable[..., Any]:
        return lambda *lists: change(reference(*lists))

    def last(grid: Any, key: Callable[..., float]) -> Any:
        return max(reversed(grid), key=key)

    def first(grid: Any, key: Callable[..., float]) -> Any:
        return grid[0]

    def end(grid: Any, key: Callable[..., float]) -> Any:
        return grid[-1]

    reference = chosen()
    mistakes: Mistakes = {
        "chosen on the test texts: choose on validation, and test once": chosen(2),
        "chosen on the training texts: choose on validation": chosen(0),
        "words of validation and test texts are counted: fit on training alone": (
            chosen(way="all")
        ),
        "words of validation texts are counted: fit on training texts alone": (
            chosen(way="two")
        ),
        "trained on training and validation texts before the choice": (
            chosen(way="refit")
        ),
        "trained again with the validation texts, which was not asked for": (
            chosen(way="late")
        ),
        "single words only: try pairs as well": chosen(grid=_GRID[:3]),
        "always pairs: try single words as well": chosen(grid=_GRID[3:]),
        "pairs without the single words: ngram_range=(1, 2)": chosen(least=3),
        "C is never chosen: it stays at 1": chosen(grid=_GRID[1::3]),
        "C = 0.1 is not tried": chosen(grid=[s for s in _GRID if s[1] > 0.5]),
        "C = 10 is not tried": chosen(grid=[s for s in _GRID if s[1] < 5]),
        "the worst is chosen, not the best": chosen(judge=min),
        "of equals you take the last: take the first": chosen(judge=last),
        "nothing is chosen: this is always the first setting": chosen(judge=first),
        "nothing is chosen: this is always the last setting": chosen(judge=end),
        "sublinear_tf=True is missing": chosen(way="raw"),
        "plain counts: weigh rare words more, with TfidfVectorizer": chosen(
            way="counts"
        ),
        "validation and test are exchanged": after(
            lambda r: r | {"validation": r["test"], "test": r["validation"]}
        ),
        "'test' holds the validation accuracy": after(
            lambda r: r | {"test": r["validation"]}
        ),
        "these are error rates: accuracies were asked for": after(
            lambda r: r | {k: 1 - r[k] for k in ("validation", "test")}
        ),
        "these are percentages: an accuracy lies between 0 and 1": after(
            lambda r: r | {k: 100 * r[k] for k in ("validation", "test")}
        ),
    }
    ask.each(_word_tasks(), reference, mistakes)


def _word_tasks() -> Iterator[tuple[str, tuple[Any, ...]]]:
    for seed in (12, 0, 6):
        rng = np.random.default_rng(seed)
        parts = [part for n in (40, 20, 30) for part in _opinions(n, rng)]
        yield "40, 20 and 30 short texts", tuple(parts)


sixty_four_labels = open_question(points=4)
