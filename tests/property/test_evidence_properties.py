from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlcourse import evidence

numbers = st.floats(-100, 100)
several = st.lists(numbers, min_size=2, max_size=12)
flags = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)


def close(value: object) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@given(several, numbers, st.floats(-10, 10))
def test_mean_interval_moves_with_the_values(
    values: list[float], shift: float, scale: float
) -> None:
    found = evidence.mean_interval(values)
    moved = evidence.mean_interval([scale * v + shift for v in values])
    ends = sorted((scale * found.low + shift, scale * found.high + shift))
    assert moved.mean == close(scale * found.mean + shift)
    assert [moved.low, moved.high] == pytest.approx(ends, rel=1e-6, abs=1e-6)


@given(several)
def test_more_confidence_is_wider(values: list[float]) -> None:
    narrow = evidence.mean_interval(values, confidence=0.8)
    wide = evidence.mean_interval(values, confidence=0.99)
    assert wide.low <= narrow.low <= narrow.mean <= narrow.high <= wide.high


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12))
def test_paired_difference_changes_sign(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    one = evidence.paired_difference(first, second)
    other = evidence.paired_difference(second, first)
    assert (one.mean, one.low, one.high) == (-other.mean, -other.high, -other.low)
    assert one.excludes_zero == other.excludes_zero


@given(st.integers(1, 400), st.data())
def test_wilson_is_symmetric_and_contains_the_share(
    trials: int, data: st.DataObject
) -> None:
    successes = data.draw(st.integers(0, trials))
    found = evidence.wilson_interval(successes, trials)
    mirror = evidence.wilson_interval(trials - successes, trials)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0
    assert (found.low, found.high) == close((1 - mirror.high, 1 - mirror.low))


@given(flags)
def test_mcnemar_is_symmetric_and_blind_to_agreement(
    pairs: list[tuple[bool, bool]],
) -> None:
    first, second = [p[0] for p in pairs], [p[1] for p in pairs]
    p = evidence.mcnemar(first, second)
    assert 0 < p <= 1
    assert evidence.mcnemar(second, first) == close(p)
    assert evidence.mcnemar([*first, True, False], [*second, True, False]) == p


curves = st.lists(st.floats(0, 1), min_size=2, max_size=8)


@given(curves, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_is_never_reached_earlier(
    values: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    steps = range(len(values))
    assert evidence.steps_to_threshold(
        steps, values, low
    ) <= evidence.steps_to_threshold(steps, values, high)


@given(curves, curves, st.floats(0, 1), st.floats(0.5, 1000))
def test_label_efficiency_turns_over_and_has_no_unit(
    first: list[float], second: list[float], level: float, unit: float
) -> None:
    m = min(len(first), len(second))
    first, second = first[:m], second[:m]
    labels = 2.0 ** np.arange(m)
    ratio = evidence.label_efficiency(labels, first, second, level)
    turned = evidence.label_efficiency(labels, second, first, level)
    other_unit = evidence.label_efficiency(unit * labels, first, second, level)
    if math.isnan(ratio):
        assert math.isnan(turned)
    else:
        assert other_unit == close(ratio)
        assert turned == close(1 / ratio if ratio else math.inf)
    assert evidence.label_efficiency(labels, first, first, level) in (
        close(1.0),
        pytest.approx(math.nan, nan_ok=True),
    )
