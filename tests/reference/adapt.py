"""Distances between domains as plain loops over Python floats."""

from __future__ import annotations

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]


def squared_distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Return sum_k (a_k - b_k)^2."""
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))


def covariance(rows: Rows) -> list[list[float]]:
    """Return sum_i (x_ij - mean_j) (x_ik - mean_k) / (n - 1) for all j, k."""
    n, d = len(rows), len(rows[0])
    means = [sum(row[j] for row in rows) / n for j in range(d)]
    return [
        [
            sum((row[j] - means[j]) * (row[k] - means[k]) for row in rows) / (n - 1)
            for k in range(d)
        ]
        for j in range(d)
    ]


def coral(source: Rows, target: Rows) -> float:
    """Return sum_jk (C_s - C_t)_jk^2 / (4 d^2)."""
    first, second = covariance(source), covariance(target)
    return sum(map(squared_distance, first, second)) / (4 * len(first) ** 2)


def domain_gradient(
    rows: Rows, is_target: Sequence[int], slope: Sequence[float], weight: float
) -> list[list[float]]:
    """Return what reaches features through a reversal before a logistic loss.

    The loss is the mean of -log P(domain), with P(target) = 1 / (1 + e^-(x . slope));
    its gradient by a feature is (P(target) - is_target) slope / n, and the reversal
    multiplies that by -weight.
    """
    gradients = []
    for row, label in zip(rows, is_target, strict=True):
        score = sum(p * q for p, q in zip(row, slope, strict=True))
        wrong = 1 / (1 + math.exp(-score)) - label
        gradients.append([-weight * wrong * s / len(rows) for s in slope])
    return gradients


def median_bandwidth(source: Rows, target: Rows) -> float:
    """Return the lower median distance of two different rows of both samples."""
    both = [*source, *target]
    distances = sorted(
        math.sqrt(squared_distance(both[i], both[j]))
        for i in range(len(both))
        for j in range(i)
    )
    return distances[(len(distances) - 1) // 2]


def mmd(
    source: Rows, target: Rows, *, bandwidths: Sequence[float], unbiased: bool
) -> float:
    """Return mean k(x, x') + mean k(y, y') - 2 mean k(x, y)."""

    def mean_kernel(first: Rows, second: Rows, *, skip: bool) -> float:
        values = []
        for i, a in enumerate(first):
            for j, b in enumerate(second):
                if skip and i == j:
                    continue
                terms = [
                    math.exp(-squared_distance(a, b) / (2 * width**2))
                    for width in bandwidths
                ]
                values.append(sum(terms) / len(terms))
        return sum(values) / len(values)

    return (
        mean_kernel(source, source, skip=unbiased)
        + mean_kernel(target, target, skip=unbiased)
        - 2 * mean_kernel(source, target, skip=False)
    )


def held_out_mistakes(
    rows: Rows, is_target: Sequence[int], held_out: Sequence[int]
) -> list[int]:
    """Return the held-out rows that a logistic classifier of the others mistakes.

    Features are standardised by the training rows. The classifier minimises
    |w|^2 / 2 + sum_i c_i log(1 + e^-(+-)(w . x_i + b)), where c_i gives both domains
    half of the weight, by Newton's method.
    """
    training = [i for i in range(len(rows)) if i not in set(held_out)]
    d = len(rows[0])
    means = [sum(rows[i][j] for i in training) / len(training) for j in range(d)]
    deviations = [
        math.sqrt(sum((rows[i][j] - means[j]) ** 2 for i in training) / len(training))
        for j in range(d)
    ]
    scaled = [
        [(row[j] - means[j]) / (deviations[j] or 1.0) for j in range(d)] + [1.0]
        for row in rows
    ]
    count = [sum(is_target[i] == side for i in training) for side in (0, 1)]
    share = [len(training) / (2 * c) for c in count]
    weights = [0.0] * (d + 1)  # the last one is b, which is not penalised
    for _ in range(50):
        gradient = [*weights[:d], 0.0]
        curvature = [
            [float(j == k and j < d) for k in range(d + 1)] for j in range(d + 1)
        ]
        for i in training:
            x = scaled[i]
            p = 1 / (1 + math.exp(-sum(w * v for w, v in zip(weights, x, strict=True))))
            for j in range(d + 1):
                gradient[j] += share[is_target[i]] * (p - is_target[i]) * x[j]
                for k in range(d + 1):
                    curvature[j][k] += share[is_target[i]] * p * (1 - p) * x[j] * x[k]
        step = solve(curvature, gradient)
        weights = [w - s for w, s in zip(weights, step, strict=True)]
        if max(map(abs, step)) < 1e-12:
            break
    scores = {
        i: sum(w * v for w, v in zip(weights, scaled[i], strict=True)) for i in held_out
    }
    return [i for i in held_out if (scores[i] > 0) != bool(is_target[i])]


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve a positive definite system by Gaussian elimination."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    n = len(rows)
    for i in range(n):
        for j in range(i + 1, n):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i], strict=True)]
    solution = [0.0] * n
    for i in reversed(range(n)):
        known = sum(rows[i][j] * solution[j] for j in range(i + 1, n))
        solution[i] = (rows[i][n] - known) / rows[i][i]
    return solution
