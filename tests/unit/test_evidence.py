from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from reference import Library
from reference import metrics as loops

from tlcourse import evidence, metrics
from tlcourse.evidence import Interval

stats = Library("scipy.stats")
SEEDS = pytest.mark.parametrize("seed", range(6))


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Interval -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.3, True),
        (-0.3, -0.1, True),
        (-0.1, 0.1, False),
        (0.0, 0.1, False),
        (-0.1, 0.0, False),
        (math.nan, math.nan, False),
    ],
)
def test_excludes_zero(low: float, high: float, expected: bool) -> None:
    assert Interval((low + high) / 2, low, high, 5).excludes_zero is expected


def test_interval_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Interval(0, 0, 0, 1).mean = 1  # type: ignore[misc]


# Over seeds -----------------------------------------------------------------


@SEEDS
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_mean_interval_is_scipys(seed: int, confidence: float) -> None:
    values = np.random.default_rng(seed).normal(3, 2, 4 + seed)
    found = evidence.mean_interval(values, confidence=confidence)
    wanted = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert found.n == values.size
    assert found.mean == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert (found.low, found.high) == pytest.approx(
        (wanted.low, wanted.high), abs=1e-12
    )


@SEEDS
def test_paired_difference_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 5 + seed))
    found = evidence.paired_difference(torch.tensor(first), list(second))
    wanted = stats.ttest_rel(first, second)
    low, high = wanted.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert found.excludes_zero == (wanted.pvalue < 0.05)


def test_mean_interval_by_hand() -> None:
    # Mean 3, standard deviation 1, four values; t for 3 degrees of freedom: 3.182446.
    values = [3 - math.sqrt(1.5), 3, 3, 3 + math.sqrt(1.5)]
    found = evidence.mean_interval(values)
    assert found.high == pytest.approx(3 + 3.182446305 / 2, abs=1e-8)
    assert found.low == pytest.approx(3 - 3.182446305 / 2, abs=1e-8)


def test_one_seed_has_a_mean_and_no_interval() -> None:
    found = evidence.mean_interval([0.5])
    assert (found.mean, found.n) == (0.5, 1)
    assert math.isnan(found.low) and math.isnan(found.high)
    assert not found.excludes_zero


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert evidence.mean_interval([2.0, 2.0, 2.0]) == Interval(2.0, 2.0, 2.0, 3)


def test_the_interval_covers_as_often_as_it_says() -> None:
    values = np.random.default_rng(0).normal(size=(2000, 5))
    covered = [
        found.low <= 0 <= found.high for found in map(evidence.mean_interval, values)
    ]
    assert evidence.wilson_interval(sum(covered), 2000).low < 0.95
    assert evidence.wilson_interval(sum(covered), 2000).high > 0.95


def test_pairing_takes_the_common_part_out() -> None:
    common = np.random.default_rng(0).normal(0, 10, 5)
    found = evidence.paired_difference(common + [0.9, 1, 1, 1, 1.1], common)
    assert found.excludes_zero
    assert found.mean == pytest.approx(1)


# On one test set ------------------------------------------------------------


@SEEDS
def test_bootstrap_is_the_loops(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=12)
    found = evidence.bootstrap_interval(
        np.mean, values, generator=draws(seed), resamples=41, confidence=0.9
    )
    generator = draws(seed)
    chosen = [torch.randint(12, (12,), generator=generator).tolist() for _ in range(41)]
    looped = loops.bootstrap_draws(lambda x: sum(x) / len(x), values, chosen)
    # The 5 % and 95 % quantiles of 41 sorted values are the third from each end.
    assert (found.low, found.high) == pytest.approx((looped[2], looped[-3]), abs=1e-12)
    assert found.mean == pytest.approx(values.mean(), abs=1e-12)


def test_bootstrap_is_scipys_within_its_noise() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=200)
    scores = rng.normal(labels, 1.0)
    wanted = stats.bootstrap(
        (scores, labels),
        lambda s, y: metrics.roc_auc(s, y.astype(int)),
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        rng=1,
    ).confidence_interval
    found = evidence.bootstrap_interval(
        metrics.roc_auc, torch.tensor(scores), labels, generator=draws()
    )
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.01)
    assert found.mean == metrics.roc_auc(scores, labels)
    assert found.n == 200


def test_paired_bootstrap_of_two_models_is_scipys_within_its_noise() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 300)) < [[0.85], [0.8]]
    wanted = stats.bootstrap(
        (first, second),
        lambda a, b: a.mean() - b.mean(),
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        rng=1,
    ).confidence_interval
    found = evidence.bootstrap_interval(
        lambda a, b: a.mean() - b.mean(), torch.tensor(first), second, generator=draws()
    )
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.01)
    assert found.mean == pytest.approx(first.mean() - second.mean(), abs=1e-12)


def test_bootstrap_keeps_examples_together() -> None:
    rows = np.arange(20)

    def apart(first: object, second: object, third: object) -> float:
        same = np.array_equal(first, second) and np.array_equal(first, third[:, 0])  # type: ignore[index]
        return float(same)

    found = evidence.bootstrap_interval(
        apart,
        rows,
        torch.tensor(rows),
        np.stack([rows, rows], axis=1),
        generator=draws(),
        resamples=10,
    )
    assert (found.low, found.high) == (1.0, 1.0)


def test_bootstrap_is_the_same_for_the_same_generator() -> None:
    first, second, third = (
        evidence.bootstrap_interval(
            np.mean, range(10), generator=draws(s), resamples=50
        )
        for s in (1, 1, 2)
    )
    assert first == second != third


def test_bootstrap_leaves_out_draws_without_a_value() -> None:
    # Of 2 examples a draw holds one class only half of the time: AUC is NaN there.
    found = evidence.bootstrap_interval(
        metrics.roc_auc, [0.1, 0.9], [0, 1], generator=draws(), resamples=100
    )
    assert (found.low, found.high) == (1.0, 1.0)


@SEEDS
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_is_scipys(seed: int, confidence: float) -> None:
    rng = np.random.default_rng(seed)
    trials = rng.integers(1, 50)
    for successes in {0, trials, rng.integers(trials + 1)}:
        found = evidence.wilson_interval(successes, trials, confidence=confidence)
        test = stats.binomtest(int(successes), int(trials))
        wanted = test.proportion_ci(confidence, method="wilson")
        assert (found.low, found.high) == pytest.approx(
            (wanted.low, wanted.high), abs=1e-12
        )
        assert 0 <= found.low <= found.mean <= found.high <= 1


def test_wilson_by_hand() -> None:
    # With z^2 = 4 and n = 4, at 2 of 4: 1/2 +- sqrt(1/4 / 4 + 4 / 64) * 2 / 2.
    confidence = 2 * stats.norm.cdf(2) - 1
    found = evidence.wilson_interval(2, 4, confidence=float(confidence))
    assert found.high - 0.5 == pytest.approx(math.sqrt(1 / 16 + 1 / 16), abs=1e-12)


@SEEDS
def test_mcnemar_is_scipys_and_the_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.random((2, 40)) < [[0.8], [0.6]]
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    found = evidence.mcnemar(first, torch.tensor(second))
    assert found == pytest.approx(stats.binomtest(b, b + c).pvalue, abs=1e-12)
    assert found == pytest.approx(loops.mcnemar(first, second), abs=1e-12)


def test_mcnemar_by_hand() -> None:
    # 3 to 1: 2 * (1 + 4) / 16.
    assert evidence.mcnemar([1, 1, 1, 0, 1], [0, 0, 0, 1, 1]) == pytest.approx(10 / 16)
    assert evidence.mcnemar([1, 0], [1, 0]) == 1.0
    assert evidence.mcnemar([], []) == 1.0


# Transfer -------------------------------------------------------------------


def test_steps_to_threshold() -> None:
    steps, values = [0, 5, 10, 20], [0.1, 0.6, 0.5, 0.9]
    assert evidence.steps_to_threshold(steps, values, 0.1) == 0.0
    assert evidence.steps_to_threshold(steps, values, 0.55) == 5.0  # falls again
    assert evidence.steps_to_threshold(steps, torch.tensor(values), 0.61) == 20.0
    assert evidence.steps_to_threshold(steps, values, 0.95) == math.inf


@SEEDS
def test_label_efficiency_is_the_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.cumsum(rng.integers(1, 20, 6))
    transfer, scratch = np.cumsum(rng.random((2, 6)), axis=1) / 6
    level = min(transfer[-1], scratch[-1]) * 0.9
    found = evidence.label_efficiency(labels, transfer, scratch, level)
    wanted = loops.labels_needed(labels, scratch, level) / loops.labels_needed(
        labels, transfer, level
    )
    assert found == pytest.approx(wanted, rel=1e-12)


def test_label_efficiency_by_hand() -> None:
    # Transfer reaches 0.8 at 10 labels, scratch half-way from 10 to 1,000: at 100.
    labels, transfer, scratch = [1, 10, 1000], [0.6, 0.8, 0.9], [0.2, 0.7, 0.9]
    found = evidence.label_efficiency(labels, transfer, scratch, 0.8)
    assert found == pytest.approx(10)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0.1, 1.0),  # both start above it: equal first numbers
        (0.5, 10.0),  # transfer starts at it, scratch needs the second number
        (0.8, math.inf),  # only transfer gets there
        (0.95, math.nan),  # neither does
    ],
)
def test_label_efficiency_at_the_ends(level: float, expected: float) -> None:
    found = evidence.label_efficiency([1, 10], [0.5, 0.9], [0.3, 0.5], level)
    assert found == pytest.approx(expected, nan_ok=True)
    if expected == math.inf:
        assert evidence.label_efficiency([1, 10], [0.3, 0.5], [0.5, 0.9], level) == 0.0


# Messages -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evidence.mean_interval([]), "values must hold a seed or more, got 0"),
        (lambda: evidence.mean_interval([1, np.nan]), "values must be finite"),
        (lambda: evidence.mean_interval([[1.0]]), r"values must have shape \(n,\)"),
        (lambda: evidence.mean_interval([1], confidence=1), "confidence must lie in"),
        (
            lambda: evidence.paired_difference([1, 2], [1]),
            "first and second must be equally many, got 2 and 1; did a run fail",
        ),
        (lambda: evidence.paired_difference([1], [1]), "two or more, got 1; use more"),
        (
            lambda: evidence.bootstrap_interval(np.mean, generator=draws()),
            r"data must be given, one row an example each, got \[\] rows",
        ),
        (
            lambda: evidence.bootstrap_interval(np.mean, [], generator=draws()),
            r"got \[0\] rows",
        ),
        (
            lambda: evidence.bootstrap_interval(max, [1], [1, 2], generator=draws()),
            r"got \[1, 2\] rows; are they from the same split",
        ),
        (
            lambda: evidence.bootstrap_interval(
                np.mean, [1], generator=draws(), resamples=0
            ),
            "resamples must lie in",
        ),
        (
            lambda: evidence.bootstrap_interval(
                lambda x: math.nan, [1], generator=draws(), resamples=3
            ),
            "statistic must be a number, got NaN; is a class missing",
        ),
        (lambda: evidence.wilson_interval(0, 0), "trials must lie in .* got 0"),
        (lambda: evidence.wilson_interval(3, 2), r"successes must lie in \[0, 2\]"),
        (lambda: evidence.wilson_interval(-1, 2), r"successes must lie in \[0, 2\]"),
        (lambda: evidence.mcnemar([1], [1, 0]), "must be equally many, got 1 and 2"),
        (lambda: evidence.mcnemar([2], [1]), "values must be 0 or 1, got others"),
        (
            lambda: evidence.steps_to_threshold([0, 1], [0.1], 0.5),
            "steps and values must be equally many, got 2 and 1",
        ),
        (
            lambda: evidence.steps_to_threshold([1, 1], [0.1, 0.2], 0.5),
            r"steps must rise .* got \[1\.0, 1\.0\]; sort the curve first",
        ),
        (lambda: evidence.steps_to_threshold([], [], 0.5), "steps must rise"),
        (
            lambda: evidence.label_efficiency([0, 1], [0, 1], [0, 1], 0.5),
            r"labels must be positive, got 0\.0; leave zero labels out",
        ),
        (
            lambda: evidence.label_efficiency([1, 2], [0, 1], [0], 0.5),
            "labels and scratch must be equally many",
        ),
    ],
)
def test_messages(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^evidence\.\w+: .*{message}"):
        call()  # type: ignore[operator]


def test_a_share_is_not_a_count() -> None:
    with pytest.raises(TypeError, match="successes must be a whole number, got float"):
        evidence.wilson_interval(0.5, 10)  # type: ignore[arg-type]
