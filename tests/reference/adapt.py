"""Distances between domains as plain loops over Python floats."""

from __future__ import annotations

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]


def squared_distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Return sum_k (a_k - b_k)^2."""
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))


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
