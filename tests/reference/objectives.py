"""Training objectives as plain loops over Python floats."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reference.losses import Row, softmax


def softened(row: Row, temperature: float) -> list[float]:
    """Return softmax(z / T)."""
    return softmax([z / temperature for z in row])


def distillation(
    student: Sequence[Row],
    teacher: Sequence[Row],
    labels: Sequence[int],
    *,
    temperature: float,
    weight: float,
) -> float:
    """Return the mean of w T^2 sum_k q_k log(q_k / p_k) - (1 - w) log p_y."""
    total = 0.0
    for s, t, label in zip(student, teacher, labels, strict=True):
        p, q = softened(s, temperature), softened(t, temperature)
        for k in range(len(p)):
            total += weight * temperature**2 * q[k] * math.log(q[k] / p[k])
        total -= (1 - weight) * math.log(softmax(s)[label])
    return total / len(labels)


def distillation_gradient(
    student: Sequence[Row],
    teacher: Sequence[Row],
    labels: Sequence[int],
    *,
    temperature: float,
    weight: float,
) -> list[list[float]]:
    """Return (w T (p - q) + (1 - w) (softmax(s) - one-hot)) / n."""
    gradient = []
    for s, t, label in zip(student, teacher, labels, strict=True):
        p, q, plain = softened(s, temperature), softened(t, temperature), softmax(s)
        line = []
        for k in range(len(p)):
            soft = weight * temperature * (p[k] - q[k])
            hard = (1 - weight) * (plain[k] - (1.0 if k == label else 0.0))
            line.append((soft + hard) / len(labels))
        gradient.append(line)
    return gradient


def l2_sp(weights: Sequence[Row], start: Sequence[Row]) -> float:
    """Return half the sum of (theta_k - theta_s_k)^2, one row a parameter."""
    total = 0.0
    for ours, theirs in zip(weights, start, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            total += (a - b) ** 2 / 2
    return total
