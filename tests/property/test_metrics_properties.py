from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import metrics as loops

from tlcourse import metrics

Pairs = list[tuple[float, int]]

# Few different scores make ties; halves are exact under every step below.
ranked = st.lists(
    st.tuples(st.integers(-4, 4).map(lambda i: i / 2), st.integers(0, 1)),
    min_size=1,
    max_size=30,
)
counted = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40
)
likely = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40
)


def columns(pairs: list[tuple[float, int]]) -> tuple[list[float], list[int]]:
    return [p[0] for p in pairs], [p[1] for p in pairs]


def close(value: float) -> object:
    return pytest.approx(value, abs=1e-12, nan_ok=True)


@given(ranked)
def test_auc_counts_pairs(pairs: Pairs) -> None:
    scores, labels = columns(pairs)
    area = metrics.roc_auc(scores, labels)
    assert area == close(loops.roc_auc(scores, labels))
    assert math.isnan(area) == (len(set(labels)) == 1)


@given(ranked)
def test_auc_of_the_opposite_is_its_complement(pairs: Pairs) -> None:
    scores, labels = columns(pairs)
    area = metrics.roc_auc(scores, labels)
    assert metrics.roc_auc([-s for s in scores], labels) == close(1 - area)
    assert metrics.roc_auc(scores, [1 - y for y in labels]) == close(1 - area)


@given(ranked)
def test_ranking_metrics_see_the_order_only(pairs: Pairs) -> None:
    scores, labels = columns(pairs)
    bent = [math.exp(s) - 7 for s in scores]
    assert metrics.roc_auc(bent, labels) == close(metrics.roc_auc(scores, labels))
    assert metrics.average_precision(bent, labels) == close(
        metrics.average_precision(scores, labels)
    )


@given(ranked, st.randoms(use_true_random=False))
def test_the_order_of_examples_is_of_no_matter(pairs: Pairs, random: object) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for metric in (metrics.roc_auc, metrics.average_precision):
        assert metric(*columns(shuffled)) == close(metric(*columns(pairs)))


@given(ranked)
def test_the_area_under_the_curve_is_the_auc(pairs: Pairs) -> None:
    scores, labels = columns(pairs)
    false, true, thresholds = metrics.roc_curve(scores, labels)
    assert np.trapezoid(true, false) == close(metrics.roc_auc(scores, labels))
    assert len(thresholds) == len(set(scores)) + 1
    assert (np.diff(thresholds) < 0).all()
    for rates in (false, true):
        if not np.isnan(rates).any():
            assert rates[0] == 0 and rates[-1] == 1
            assert (np.diff(rates) >= 0).all()


@given(ranked)
def test_average_precision_is_the_loops(pairs: Pairs) -> None:
    scores, labels = columns(pairs)
    found = metrics.average_precision(scores, labels)
    assert found == close(loops.average_precision(scores, labels))
    assert 0 <= found <= 1 + 1e-12


@given(counted)
def test_counts_agree_with_each_other(pairs: list[tuple[int, int]]) -> None:
    predictions, labels = (list(column) for column in zip(*pairs, strict=True))
    share = metrics.accuracy(predictions, labels)
    matrix = metrics.confusion_matrix(predictions, labels)
    assert matrix.sum() == len(pairs)
    assert matrix.trace() / len(pairs) == close(share)
    transposed = metrics.confusion_matrix(labels, predictions)
    assert matrix.T.tolist() == transposed.tolist()
    micro = metrics.precision_recall_f1(predictions, labels, average="micro")
    assert micro == close((share,) * 3)  # type: ignore[arg-type]
    weighted = metrics.precision_recall_f1(predictions, labels, average="weighted")
    assert weighted[1] == close(share)


@given(counted)
def test_precision_and_recall_change_places(pairs: list[tuple[int, int]]) -> None:
    predictions, labels = (list(column) for column in zip(*pairs, strict=True))
    precision, recall, f1 = metrics.precision_recall_f1(predictions, labels)
    assert metrics.precision_recall_f1(labels, predictions) == close(
        (recall, precision, f1)  # type: ignore[arg-type]
    )
    assert [precision, recall, f1] == close(loops.macro(predictions, labels))  # type: ignore[arg-type]


@given(likely)
def test_probability_scores_stay_in_range(pairs: Pairs) -> None:
    probs, labels = columns(pairs)
    assert 0 <= metrics.brier_score(probs, labels) <= 1
    assert 0 <= metrics.calibration_error(probs, labels) <= 1


@given(likely, st.integers(1, 20))
def test_calibration_error_in_one_bin_is_the_least(pairs: Pairs, bins: int) -> None:
    probs, labels = columns(pairs)
    whole = metrics.calibration_error(probs, labels, bins=1)
    assert whole == close(abs(sum(labels) - sum(probs)) / len(labels))
    assert metrics.calibration_error(probs, labels, bins=bins) >= whole - 1e-12


@given(likely)
def test_the_base_rate_has_the_least_brier_score_of_constants(pairs: Pairs) -> None:
    probs, labels = columns(pairs)
    rate = sum(labels) / len(labels)
    constant = metrics.brier_score([rate] * len(labels), labels)
    assert constant == close(rate * (1 - rate))
    other = metrics.brier_score([probs[0]] * len(labels), labels)
    assert constant <= other + 1e-12
