"""The losses again, as plain loops over Python floats: slow, naive, easy to read.

Each function is the formula of its docstring in `tlcourse.losses`, written down
without the rearrangements that keep large logits safe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Row = Sequence[float]


def softmax(row: Row) -> list[float]:
    """Return exp(z_k) / sum_j exp(z_j)."""
    total = sum(math.exp(z) for z in row)
    return [math.exp(z) / total for z in row]


def log_sum_exp(logits: Sequence[Row]) -> list[float]:
    """Return log(sum_k exp(z_k)) for each row."""
    return [math.log(sum(math.exp(z) for z in row)) for row in logits]


def cross_entropy(
    logits: Sequence[Row], labels: Sequence[int], *, label_smoothing: float
) -> float:
    """Return the mean of -sum_k [(1 - eps) 1(k = y) + eps / c] log p_k."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        for k, probability in enumerate(softmax(row)):
            share = label_smoothing / len(row)
            if k == label:
                share += 1 - label_smoothing
            total -= share * math.log(probability)
    return total / len(labels)


def cross_entropy_gradient(
    logits: Sequence[Row], labels: Sequence[int], *, label_smoothing: float
) -> list[list[float]]:
    """Return (softmax - smoothed one-hot) / n."""
    gradient = []
    for row, label in zip(logits, labels, strict=True):
        line = []
        for k, probability in enumerate(softmax(row)):
            share = label_smoothing / len(row)
            if k == label:
                share += 1 - label_smoothing
            line.append((probability - share) / len(labels))
        gradient.append(line)
    return gradient


def binary_cross_entropy(logits: Row, labels: Row) -> float:
    """Return the mean of -[y log s(z) + (1 - y) log(1 - s(z))]."""
    total = 0.0
    for z, y in zip(logits, labels, strict=True):
        probability = 1 / (1 + math.exp(-z))
        total -= y * math.log(probability) + (1 - y) * math.log(1 - probability)
    return total / len(logits)


def binary_cross_entropy_gradient(logits: Row, labels: Row) -> list[float]:
    """Return (s(z) - y) / n."""
    return [
        (1 / (1 + math.exp(-z)) - y) / len(logits)
        for z, y in zip(logits, labels, strict=True)
    ]


def mse(predictions: Row, values: Row) -> float:
    """Return the mean of (prediction - value)^2."""
    pairs = zip(predictions, values, strict=True)
    return sum((a - b) ** 2 for a, b in pairs) / len(predictions)


def mse_gradient(predictions: Row, values: Row) -> list[float]:
    """Return 2 (prediction - value) / n."""
    pairs = zip(predictions, values, strict=True)
    return [2 * (a - b) / len(predictions) for a, b in pairs]


def kl_divergence(probs_p: Sequence[Row], probs_q: Sequence[Row]) -> float:
    """Return the mean over rows of sum_k p_k log(p_k / q_k), with 0 log 0 = 0."""
    total = 0.0
    for row_p, row_q in zip(probs_p, probs_q, strict=True):
        for p, q in zip(row_p, row_q, strict=True):
            if p > 0:
                total += p * math.log(p / q)
    return total / len(probs_p)
