"""Answers to the exercises on routing tickets: right ones, and wrong ones with hints.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from exercises.variants.loss_functions import BLANK, broken
from scipy import stats
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from sklearn.metrics import f1_score, recall_score

SUMS = {"threshold": 0.88, "ratio": 12.5, "messages": 35_000}
EFFECTS = {
    "temperature": "D",
    "threshold": "C",
    "shares": "B",
    "mask": "E",
    "sizes": "A",
}


def sums(**changed):
    return SUMS | changed


def effects(**changed):
    return EFFECTS | changed


# Scores in the stream


def recalls(predicted, labels, c):
    return np.array([(predicted[labels == k] == k).mean() for k in range(c)])


def scores(predicted, labels, shares):
    counts = np.zeros((len(shares),) * 2)
    for true, found in zip(labels, predicted, strict=True):
        counts[true, found] += 1
    stream = counts / counts.sum(1, keepdims=True) * shares[:, None]
    hits = stream.diagonal()
    return {
        "accuracy": hits.sum(),
        "balanced accuracy": (hits / shares).mean(),
        "macro F1": (2 * hits / (stream.sum(0) + stream.sum(1))).mean(),
    }


def scores_sklearn(predicted, labels, shares):
    weights = (shares / np.bincount(labels, minlength=len(shares)))[labels]
    names, how = range(len(shares)), {"average": "macro", "zero_division": 0}
    return {
        "accuracy": np.average(predicted == labels, weights=weights),
        "balanced accuracy": recall_score(labels, predicted, labels=names, **how),
        "macro F1": f1_score(
            labels, predicted, labels=names, sample_weight=weights, **how
        ),
    }


def scores_loop(predicted, labels, shares):
    c, accuracy, balanced, f1 = len(shares), 0.0, 0.0, 0.0
    n = [sum(1 for y in labels if y == k) for k in range(c)]
    for k in range(c):
        pairs = list(zip(predicted.tolist(), labels.tolist(), strict=True))
        recall = sum(p == y == k for p, y in pairs) / n[k]
        share = sum(shares[y] / n[y] for p, y in pairs if p == k)
        precision = recall * shares[k] / share if share else 0.0
        both = precision + recall
        f1 += 2 * precision * recall / both / c if both else 0.0
        accuracy += shares[k] * recall
        balanced += recall / c
    return {"accuracy": accuracy, "balanced accuracy": balanced, "macro F1": f1}


def scores_torch(predicted, labels, shares):
    found = scores(predicted, labels, shares)
    return {key: torch.tensor(value) for key, value in found.items()}


def scores_single(predicted, labels, shares):
    found = scores(predicted, labels, shares.astype(np.float32))
    return {key: np.float32(value) for key, value in found.items()}


def scores_nan(predicted, labels, shares):
    counts = np.zeros((len(shares),) * 2)
    np.add.at(counts, (labels, predicted), 1)
    stream = counts / counts.sum(1, keepdims=True) * shares[:, None]
    with np.errstate(all="ignore"):
        p = stream.diagonal() / stream.sum(0)
        r = stream.diagonal() / shares
        return scores(predicted, labels, shares) | {
            "macro F1": (2 * p * r / (p + r)).mean()
        }


def scores_other(**changed):
    return lambda *t: (
        scores(*t) | {k.replace("_", " "): f(*t) for k, f in changed.items()}
    )


def f1_of(stream):
    return (2 * stream.diagonal() / (stream.sum(0) + stream.sum(1))).mean()


def confusion(predicted, labels, c):
    counts = np.zeros((c, c))
    np.add.at(counts, (labels, predicted), 1)
    return counts


def f1_weighted(predicted, labels, shares):
    counts = confusion(predicted, labels, len(shares))
    stream = counts / counts.sum(1, keepdims=True) * shares[:, None]
    return shares @ (2 * stream.diagonal() / (stream.sum(0) + stream.sum(1)))


def f1_of_means(predicted, labels, shares):
    counts = confusion(predicted, labels, len(shares))
    stream = counts / counts.sum(1, keepdims=True) * shares[:, None]
    p = (stream.diagonal() / np.maximum(stream.sum(0), 1e-12)).mean()
    r = (stream.diagonal() / shares).mean()
    return 2 * p * r / (p + r)


def f1_scaled_columns(predicted, labels, shares):
    counts = confusion(predicted, labels, len(shares))
    return f1_of(counts / np.maximum(counts.sum(0), 1) * shares)


def f1_even(predicted, labels, shares):
    counts = confusion(predicted, labels, len(shares))
    return f1_of(counts / counts.sum(1, keepdims=True))


def f1_seen_only(predicted, labels, shares):
    counts = confusion(predicted, labels, len(shares))
    stream = counts / counts.sum(1, keepdims=True) * shares[:, None]
    f1 = 2 * stream.diagonal() / (stream.sum(0) + stream.sum(1))
    return f1[stream.sum(0) > 0].mean()


def precisions(predicted, labels, shares):
    counts = confusion(predicted, labels, len(shares))
    return counts.diagonal() / np.maximum(counts.sum(0), 1)


# Known shares


def shifted(log_probs, trained, stream):
    return log_softmax(log_probs + np.log(stream / trained), axis=1)


def shifted_loop(log_probs, trained, stream):
    rows = []
    for row in log_probs.tolist():
        z = [
            v + math.log(b) - math.log(a)
            for v, a, b in zip(row, trained, stream, strict=True)
        ]
        top = max(z)
        total = top + math.log(sum(math.exp(v - top) for v in z))
        rows.append([v - total for v in z])
    return rows


def shifted_torch(log_probs, trained, stream):
    z = torch.tensor(log_probs) + torch.tensor(np.log(stream) - np.log(trained))
    return z.log_softmax(dim=1)


def shifted_lse(log_probs, trained, stream):
    z = log_probs - np.log(trained)[None] + np.log(stream)[None]
    return z - logsumexp(z, axis=1, keepdims=True)


def shifted_single(log_probs, trained, stream):
    return shifted(log_probs, trained, stream).astype(np.float32)


def shifted_probs(log_probs, trained, stream):
    probs = np.exp(log_probs) * stream / trained
    with np.errstate(all="ignore"):
        return np.log(probs / probs.sum(1, keepdims=True))


def shifted_in_place(log_probs, trained, stream):
    log_probs += np.log(stream / trained)
    return log_softmax(log_probs, axis=1)


# The cost with review


def bill(log_probs, labels, shares, read, wrong, slip):
    p, by_hand = np.exp(log_probs).max(1), read + slip * wrong
    miss = log_probs.argmax(1) != labels
    paid = np.where((1 - p) * wrong > by_hand, by_hand, miss * wrong)
    return sum(share * paid[labels == k].mean() for k, share in enumerate(shares))


def bill_loop(log_probs, labels, shares, read, wrong, slip):
    total, numbers = 0.0, np.bincount(labels)
    for row, y in zip(log_probs.tolist(), labels.tolist(), strict=True):
        if math.exp(max(row)) >= 1 - read / wrong - slip:
            paid = 0.0 if row.index(max(row)) == y else wrong
        else:
            paid = read + slip * wrong
        total += paid * shares[y] / numbers[y]
    return total


def bill_average(log_probs, labels, shares, *prices):
    weights = (shares / np.bincount(labels, minlength=len(shares)))[labels]
    return np.average(paid(log_probs, labels, *prices), weights=weights)


def bill_torch(log_probs, labels, shares, read, wrong, slip):
    top = torch.tensor(log_probs).max(dim=1)
    y, numbers = torch.tensor(labels), torch.tensor(np.bincount(labels))
    sure = top.values.exp() >= 1 - read / wrong - slip
    each = torch.where(sure, wrong * (top.indices != y), read + slip * wrong)
    return ((torch.tensor(shares) / numbers)[y] * each).sum()


def bill_log(log_probs, labels, shares, read, wrong, slip):
    least = 1 - read / wrong - slip
    sure = (
        np.ones(len(labels), bool)
        if least <= 0
        else log_probs.max(1) >= math.log(least)
    )
    each = np.where(sure, wrong * (log_probs.argmax(1) != labels), read + slip * wrong)
    return shares @ [each[labels == k].mean() for k in range(len(shares))]


def paid(log_probs, labels, read, wrong, slip, rule=None, charged=None):
    p, miss = np.exp(log_probs.max(1)), log_probs.argmax(1) != labels
    sure = p >= 1 - read / wrong - slip if rule is None else rule(p, read, wrong, slip)
    by_hand = read + (slip if charged is None else charged) * wrong
    return np.where(sure, wrong * miss, by_hand)


def weighed(each, labels, shares):
    return np.sum((shares / np.bincount(labels))[labels] * each)


def ruled(rule, charged=None):
    return lambda lp, y, pi, *prices: weighed(
        paid(lp, y, *prices, rule=rule, charged=charged), y, pi
    )


def bill_expected(lp, y, pi, r, w, e):
    p = np.exp(lp.max(1))
    return weighed(np.where(p >= 1 - r / w - e, (1 - p) * w, r + e * w), y, pi)


def bill_peeked(lp, y, pi, r, w, e):
    sure = np.exp(lp[range(len(y)), y]) >= 1 - r / w - e
    return weighed(np.where(sure, w * (lp.argmax(1) != y), r + e * w), y, pi)


def bill_read_anyway(lp, y, pi, r, w, e):
    p, miss = np.exp(lp.max(1)), lp.argmax(1) != y
    return weighed(np.where(p >= 1 - r / w - e, r + miss * w, r + e * w), y, pi)


def bill_only_misses(lp, y, pi, r, w, e):
    p, miss = np.exp(lp.max(1)), lp.argmax(1) != y
    return weighed(miss * np.where(p >= 1 - r / w - e, w, r + e * w), y, pi)


# Afresh or continued


def fit(x, y, strength, start, method="L-BFGS-B", bias=1.0):
    one_hot, kept = np.eye(len(start))[y], np.ones(x.shape[1])
    kept[-1] = bias

    def objective(flat):
        head = flat.reshape(start.shape)
        log_probs, away = log_softmax(x @ head.T, axis=1), head - start
        loss = -(log_probs * one_hot).sum() + strength / 2 * (kept * away**2).sum()
        slope = (np.exp(log_probs) - one_hot).T @ x + strength * kept * away
        return loss, slope.ravel()

    found = minimize(objective, start.ravel(), (), method, jac=True)
    return found.x.reshape(start.shape)


def fit_descent(x, y, strength, start):
    """Descend with Nesterov's momentum."""
    head, ahead, one_hot = start.copy(), start.copy(), np.eye(len(start))[y]
    steep = strength + 0.5 * np.linalg.norm(x, 2) ** 2
    momentum = (steep**0.5 - strength**0.5) / (steep**0.5 + strength**0.5)
    for _ in range(120):
        probs = np.exp(log_softmax(x @ ahead.T, axis=1))
        slope = (probs - one_hot).T @ x + strength * (ahead - start)
        before, head = head, ahead - slope / steep
        ahead = head + momentum * (head - before)
    return head


def log_loss(head, x, y):
    return -log_softmax(x @ head.T, axis=1)[range(len(y)), y].mean()


def accuracy(head, x, y):
    return ((x @ head.T).argmax(1) == y).mean()


def interval(gains, t=None, ddof=1):
    n = len(gains)
    t = stats.t.ppf(0.975, n - 1) if t is None else t
    half = t * np.std(gains, ddof=ddof) / math.sqrt(n)
    return np.array([np.mean(gains), np.mean(gains) - half, np.mean(gains) + half])


def compared(fit=fit, pick=None, gain=None, pulled=None, judged="test", whole=False):
    """Return an answer; each option changes one step of it."""

    def answer(train, validation, test, draws, head, strengths):
        parts = {"train": train, "validation": validation, "test": test}
        starts = (0 * head, head) if pulled is None else pulled(head)
        found = {}
        for name, start in zip(("probe", "continued"), starts, strict=True):
            found[name], found[name + " strengths"] = [], []
            for rows in draws:
                rows = np.arange(len(train["y"])) if whole else rows
                own = {"x": train["x"][rows], "y": train["y"][rows]}
                heads = [fit(own["x"], own["y"], s, start) for s in strengths]
                how = pick or (lambda h, p: log_loss(h, **p["validation"]))
                losses = [how(h, parts | {"train": own}) for h in heads]
                best = int(np.argmin(losses))
                found[name].append(accuracy(heads[best], **parts[judged]))
                found[name + " strengths"].append(strengths[best])
        pair = np.array(found["probe"]), np.array(found["continued"])
        found["gain"] = interval(pair[1] - pair[0]) if gain is None else gain(*pair)
        return found

    return answer


def compared_arrays(*task):
    return {k: np.array(v, dtype=np.float32) for k, v in compared()(*task).items()}


def compared_tensors(*task):
    return {k: torch.tensor(np.array(v)) for k, v in compared()(*task).items()}


def unpaired(probe, continued):
    n, mean = len(probe), continued.mean() - probe.mean()
    spread = math.sqrt((probe.var(ddof=1) + continued.var(ddof=1)) / n)
    return [mean + k * stats.t.ppf(0.975, 2 * n - 2) * spread for k in (0, -1, 1)]


def compared_in_place(train, *rest):
    found = compared()(train, *rest)
    train["x"][0] = 0
    return found


EXAMPLE = {"probe": np.zeros(4)}
RIGHT = {
    "three_sums": [
        SUMS,
        sums(threshold=1 - 0.6 / 5),
        {key: np.float32(value) for key, value in SUMS.items()},
        sums(messages=torch.tensor(35_000), ratio=1 / (1 - 0.92)),
        sums(messages=(24 * 80 + 300 * 0.6) / (0.5 - 0.44)),
        dict(reversed(SUMS.items())),
    ],
    "what_changes": [
        EFFECTS,
        {key: letter.lower() for key, letter in EFFECTS.items()},
        dict(reversed(EFFECTS.items())),
        {key: f" {letter} " for key, letter in EFFECTS.items()},
        {key: f"{letter}\n" for key, letter in EFFECTS.items()},
    ],
    "stream_scores": [scores, scores_sklearn, scores_loop, scores_torch, scores_single],
    "known_shares": [
        shifted,
        shifted_loop,
        shifted_torch,
        shifted_lse,
        shifted_single,
    ],
    "review_cost": [bill, bill_loop, bill_average, bill_torch, bill_log],
    "afresh_or_continued": [
        compared(),
        compared(fit=lambda *given: fit(*given, method="CG")),
        compared(fit=fit_descent),
        compared(fit=lambda *given: fit(*given, method="BFGS")),
        compared_arrays,
        compared_tensors,
    ],
}
WRONG = {
    "three_sums": [
        (BLANK, ...),
        (BLANK, dict.fromkeys(SUMS, ...)),
        (BLANK, sums(ratio=...)),
        ("keep the dict's keys", {"threshold": 0.88}),
        ("keep the dict's keys", (0.88, 12.5, 35_000)),
        ("not text", sums(threshold="88 %")),
        ("not text", sums(threshold=[0.88])),
        ("1 minus it", sums(threshold=0.12)),
        ("the chapter's prices", sums(threshold=0.875)),
        ("exchanged", sums(threshold=1 - 5 / 0.6)),
        ("no probability", sums(threshold=5 / 0.6)),
        ("costs WRONG only", sums(threshold=0.6 / 5.6)),
        ("not read as well", sums(threshold=5 / 5.6)),
        ("not percent", sums(threshold=88)),
        ("ignores both", sums(threshold=0.5)),
        ("from the formula", sums(threshold=math.nan)),
        ("share of errors", sums(ratio=0.08)),
        ("1 / accuracy", sums(ratio=1 / 0.92)),
        ("right routes per wrong", sums(ratio=11.5)),
        ("chapter's prices", sums(ratio=8)),
        ("vendor's accuracy decides", sums(ratio=5 / 0.6)),
        ("no ratio", sums(ratio=0.92)),
        ("labels are not", sums(messages=32_000)),
        ("hours are not", sums(messages=3_000)),
        ("not by what reading", sums(messages=4_200)),
        ("still costs", sums(messages=2100 / 0.44)),
        ("labels are counted", sums(messages=37_000)),
        ("hours are counted", sums(messages=3_400)),
        ("bill in euros", sums(messages=2_100)),
        ("chapter's number", sums(messages=20_000)),
    ],
    "what_changes": [
        (BLANK, ...),
        (BLANK, effects(mask=...)),
        ("keep the dict's keys", {"temperature": "D"}),
        ("keep the dict's keys", "DCBEA"),
        ("one letter", effects(temperature="F")),
        ("one letter", effects(temperature="C, D")),
        ("one letter", effects(temperature=4)),
        ("leaves every weight", effects(temperature="A")),
        ("to another intent", effects(temperature="B")),
        ("the probabilities themselves", effects(temperature="C")),
        ("message's own logits", effects(temperature="E")),
        ("touches no weight", effects(threshold="A")),
        ("what the model predicts", effects(threshold="B")),
        ("leaves the probabilities", effects(threshold="D")),
        ("one message at a time", effects(threshold="E")),
        ("the head stays", effects(shares="A")),
        ("number of its own", effects(shares="C")),
        ("number of its own", effects(shares="D")),
        ("one message at a time", effects(shares="E")),
        ("still the trained one", effects(mask="A")),
        ("nothing of intents", effects(mask="B")),
        ("padding is read", effects(mask="C")),
        ("changes the features", effects(mask="D")),
        ("head that does not fit", effects(sizes="B")),
        ("not at routing", effects(sizes="C")),
        ("what of the head", effects(sizes="D")),
        ("padding is not touched", effects(sizes="E")),
        ("leaves every weight", dict.fromkeys(EFFECTS, "A")),
    ],
    "stream_scores": [
        *broken(scores(np.array([0, 1]), np.array([0, 1]), np.array([0.9, 0.1])))[:7],
        ("return a dict", lambda *t: scores(*t)["accuracy"]),
        ("return a dict", lambda *t: {"accuracy": scores(*t)["accuracy"]}),
        (
            "the same for every question",
            lambda *t: dict.fromkeys(scores(*t), 0.5),
        ),
        (
            "the accuracy is the test's",
            scores_other(accuracy=lambda p, y, s: (p == y).mean()),
        ),
        (
            "balanced accuracy is the plain one",
            scores_other(balanced_accuracy=lambda p, y, s: (p == y).mean()),
        ),
        (
            "are exchanged",
            lambda *t: (
                scores(*t)
                | {
                    "accuracy": scores(*t)["balanced accuracy"],
                    "balanced accuracy": scores(*t)["accuracy"],
                }
            ),
        ),
        (
            "the shares are not used",
            scores_other(accuracy=lambda p, y, s: recalls(p, y, len(s)).mean()),
        ),
        (
            "does not weigh",
            scores_other(balanced_accuracy=lambda p, y, s: s @ recalls(p, y, len(s))),
        ),
        (
            "summed, not averaged",
            scores_other(accuracy=lambda p, y, s: (s * recalls(p, y, len(s))).mean()),
        ),
        ("this is precision", scores_other(accuracy=lambda *t: t[2] @ precisions(*t))),
        (
            "precision instead of recall",
            scores_other(balanced_accuracy=lambda *t: precisions(*t).mean()),
        ),
        ("columns are scaled", scores_other(macro_F1=f1_scaled_columns)),
        (
            "macro F1 is the test's",
            scores_other(macro_F1=lambda p, y, s: f1_of(confusion(p, y, len(s)))),
        ),
        ("even shares", scores_other(macro_F1=f1_even)),
        ("not weighted by shares", scores_other(macro_F1=f1_weighted)),
        ("for each intent first", scores_other(macro_F1=f1_of_means)),
        ("counts in the mean", scores_other(macro_F1=f1_seen_only)),
        ("factor 2", scores_other(macro_F1=lambda *t: scores(*t)["macro F1"] / 2)),
        ("micro F1", scores_other(macro_F1=lambda *t: scores(*t)["accuracy"])),
        (
            "the mean recall",
            scores_other(macro_F1=lambda *t: scores(*t)["balanced accuracy"]),
        ),
        ("not percent", lambda *t: {k: 100 * v for k, v in scores(*t).items()}),
        ("0 / 0", scores_nan),
        ("sign", scores_other(accuracy=lambda *t: -scores(*t)["accuracy"])),
        ("by hand", scores_other(accuracy=lambda *t: scores(*t)["accuracy"] + 0.01)),
    ],
    "known_shares": [
        *broken(
            shifted(
                np.log([[0.2, 0.3, 0.5]]), np.full(3, 1 / 3), np.array([0.7, 0.2, 0.1])
            )
        ),
        ("not normalised", lambda z, a, b: z + np.log(b / a)),
        ("turned round", lambda z, a, b: shifted(z, b, a)),
        ("not divided out", lambda z, a, b: shifted(z, np.ones_like(a), b)),
        (
            "only the shares of training",
            lambda z, a, b: shifted(z, a, np.ones_like(b)),
        ),
        ("divide", lambda z, a, b: shifted(z, 1 / a, b)),
        ("add its logarithm", lambda z, a, b: log_softmax(z + b / a, axis=1)),
        ("ratio that counts", lambda z, a, b: log_softmax(z + b - a, axis=1)),
        ("twice", lambda z, a, b: shifted(shifted(z, a, b), a, b)),
        ("base 2", lambda z, a, b: log_softmax(z + np.log2(b / a), axis=1)),
        ("base 10", lambda z, a, b: log_softmax(z + np.log10(b / a), axis=1)),
        ("are multiplied", lambda z, a, b: log_softmax(z * b / a, axis=1)),
        ("return their logarithms", lambda *t: np.exp(shifted(*t))),
        (
            "over the messages",
            lambda z, a, b: log_softmax(z + np.log(b / a), axis=0),
        ),
        ("nothing is corrected", lambda z, a, b: z),
        (
            "a sum of logarithms",
            lambda z, a, b: (
                (z + np.log(b / a)) / (z + np.log(b / a)).sum(1, keepdims=True)
            ),
        ),
        ("shares themselves", lambda z, a, b: np.tile(np.log(b), (len(z), 1))),
        ("only the likeliest", lambda *t: shifted(*t).argmax(1)),
        ("nan or inf", shifted_probs),
        ("changes what it is given", shifted_in_place),
        ("sign", lambda *t: -shifted(*t)),
        ("shape", lambda *t: shifted(*t)[0]),
    ],
    "review_cost": [
        *broken(0.5)[:7],
        ("the same for every question", lambda *_: 0.42),
        ("the reader errs, too", ruled(lambda p, r, w, e: p >= 1 - r / w)),
        ("not on the bill", ruled(None, charged=0.0)),
        ("neither in", ruled(lambda p, r, w, e: p >= 1 - r / w, charged=0.0)),
        ("fall, not rise", ruled(lambda p, r, w, e: p >= 1 - r / w + e)),
        ("1 minus that", ruled(lambda p, r, w, e: p >= r / w + e)),
        ("sure and unsure", ruled(lambda p, r, w, e: p < 1 - r / w - e)),
        ("everything is routed", ruled(lambda p, *_: p >= 0)),
        ("everything is read", ruled(lambda p, *_: p > 1)),
        ("ignores the prices", ruled(lambda p, *_: p >= 0.5)),
        ("the chapter's threshold", ruled(lambda p, *_: p >= 0.875)),
        (
            "log-probabilities are compared",
            ruled(lambda p, r, w, e: np.log(p) >= 1 - r / w - e),
        ),
        ("nobody knows yet", bill_peeked),
        ("what was expected", bill_expected),
        ("even where the model was right", bill_only_misses),
        ("is not read", bill_read_anyway),
        ("the test's mean", lambda lp, y, pi, *t: paid(lp, y, *t).mean()),
        (
            "divided by the number of messages",
            lambda lp, y, pi, *t: np.average(paid(lp, y, *t), weights=pi[y]),
        ),
        (
            "by each intent's number",
            lambda lp, y, pi, *t: (pi[y] * paid(lp, y, *t)).sum(),
        ),
        ("a mean, not a sum", lambda lp, y, *t: len(y) * bill(lp, y, *t)),
        ("sign", lambda *t: -bill(*t)),
        ("shape", lambda lp, y, pi, *t: paid(lp, y, *t)),
        ("by hand", lambda *t: bill(*t) + 0.01),
    ],
    "afresh_or_continued": [
        *broken(EXAMPLE)[:7],
        ("return a dict", lambda *_: EXAMPLE),
        ("return a dict", lambda *t: compared()(*t)["gain"]),
        ("chosen on the test", compared(pick=lambda h, p: log_loss(h, **p["test"]))),
        (
            "by the test accuracy",
            compared(pick=lambda h, p: -accuracy(h, **p["test"])),
        ),
        (
            "by the validation accuracy",
            compared(pick=lambda h, p: -accuracy(h, **p["validation"])),
        ),
        (
            "on the training messages",
            compared(pick=lambda h, p: log_loss(h, **p["train"])),
        ),
        (
            "the largest log loss",
            compared(pick=lambda h, p: -log_loss(h, **p["validation"])),
        ),
        ("on the training messages", compared(pick=lambda h, p: 1.0)),
        ("report the test", compared(judged="validation")),
        ("pulls to zero in both", compared(pulled=lambda h: (0 * h, 0 * h))),
        ("the probe knows", compared(pulled=lambda h: (h, h))),
        ("are exchanged", compared(pulled=lambda h: (h, 0 * h))),
        (
            "the objective sums",
            compared(fit=lambda x, y, s, w: fit(x, y, s * len(y), w)),
        ),
        ("factor 1/2", compared(fit=lambda x, y, s, w: fit(x, y, 2 * s, w))),
        ("1 / strength", compared(fit=lambda x, y, s, w: fit(x, y, 1 / s, w))),
        ("the bias", compared(fit=lambda x, y, s, w: fit(x, y, s, w, bias=0.0))),
        ("nothing is trained", compared(fit=lambda x, y, s, w: w)),
        ("draws are not used", compared(whole=True)),
        ("not the reverse", compared(gain=lambda p, c: interval(p - c))),
        ("Student's t", compared(gain=lambda p, c: interval(c - p, t=1.96))),
        ("ddof=1", compared(gain=lambda p, c: interval(c - p, ddof=0))),
        (
            "root of the number",
            compared(gain=lambda p, c: interval(c - p, t=2 * stats.t.ppf(0.975, 3))),
        ),
        ("two separate spreads", compared(gain=unpaired)),
        ("changes what it is given", compared_in_place),
        ("shape", compared(gain=lambda p, c: (c - p).mean())),
    ],
}
