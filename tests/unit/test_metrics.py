from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from reference import Library
from reference import metrics as loops

from tlcourse import metrics

oracle, calibration = Library("sklearn.metrics"), Library("sklearn.calibration")
Array = npt.NDArray[np.float64]
CLOSE = {"rtol": 0, "atol": 1e-12}


def classes(seed: int, n: int = 60, c: int = 5) -> tuple[Array, Array]:
    """Return predictions and labels in which classes may be missing."""
    rng = np.random.default_rng(seed)
    there = rng.choice(c, size=rng.integers(1, c + 1), replace=False)
    labels = rng.choice(there, n)
    predictions = np.where(rng.random(n) < 0.6, labels, rng.integers(c, size=n))
    return predictions, labels


def ranking(seed: int, n: int = 50) -> tuple[Array, Array]:
    """Return scores with many ties, and labels of both classes."""
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.random(n - 2) < 0.3].astype(int)
    return np.round(rng.normal(labels, 1.5), 0 if seed % 2 else 1), labels


def probabilities(seed: int, n: int = 80, c: int = 4) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(c, 0.5), n)
    labels = np.array([rng.choice(c, p=row) for row in probs])
    return probs, labels


SEEDS = pytest.mark.parametrize("seed", range(8))


@SEEDS
def test_accuracy_and_confusion_matrix(seed: int) -> None:
    predictions, labels = classes(seed)
    expected = oracle.accuracy_score(labels, predictions)
    assert metrics.accuracy(predictions, labels) == expected
    assert loops.accuracy(predictions, labels) == expected
    matrix = metrics.confusion_matrix(predictions, labels, classes=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = oracle.confusion_matrix(labels, predictions, labels=range(5))
    assert matrix.dtype == np.int64
    assert matrix.tolist() == wanted.tolist()
    assert matrix.tolist() == loops.confusion_matrix(predictions, labels, 5)
    c = max(predictions.max(), labels.max()) + 1
    assert metrics.confusion_matrix(predictions, labels).shape == (c, c)


@SEEDS
@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
@pytest.mark.parametrize("c", [None, 5, 7])
def test_precision_recall_f1(seed: int, average: str | None, c: int | None) -> None:
    predictions, labels = classes(seed)
    found = metrics.precision_recall_f1(
        predictions,
        labels,
        average=average,  # type: ignore[arg-type]
        classes=c,
    )
    wanted = oracle.precision_recall_fscore_support(
        labels,
        predictions,
        average=average,
        labels=None if c is None else range(c),
        zero_division=0,
    )[:3]
    np.testing.assert_allclose(found, wanted, **CLOSE)


@SEEDS
def test_macro_f1_is_the_loops(seed: int) -> None:
    predictions, labels = classes(seed)
    found = metrics.precision_recall_f1(predictions, labels)
    np.testing.assert_allclose(found, loops.macro(predictions, labels), **CLOSE)


@SEEDS
def test_roc(seed: int) -> None:
    scores, labels = ranking(seed)
    found = metrics.roc_curve(scores, labels)
    for mine, wanted, looped in zip(
        found,
        oracle.roc_curve(labels, scores, drop_intermediate=False),
        loops.roc_curve(scores, labels),
        strict=True,
    ):
        np.testing.assert_allclose(mine, wanted, **CLOSE)
        np.testing.assert_allclose(mine, looped, **CLOSE)
    area = metrics.roc_auc(scores, labels)
    assert area == pytest.approx(oracle.roc_auc_score(labels, scores), abs=1e-12)
    assert area == pytest.approx(loops.roc_auc(scores, labels), abs=1e-12)
    assert area == pytest.approx(np.trapezoid(found[1], found[0]), abs=1e-12)


@SEEDS
def test_average_precision(seed: int) -> None:
    scores, labels = ranking(seed)
    found = metrics.average_precision(scores, labels)
    wanted = oracle.average_precision_score(labels, scores)
    assert found == pytest.approx(wanted, abs=1e-12)
    assert found == pytest.approx(loops.average_precision(scores, labels), abs=1e-12)


@SEEDS
def test_brier_score(seed: int) -> None:
    probs, labels = probabilities(seed)
    found = metrics.brier_score(probs, labels)
    wanted = oracle.brier_score_loss(
        labels, probs, labels=range(4), scale_by_half=False
    )
    assert found == pytest.approx(wanted, abs=1e-12)
    assert found == pytest.approx(loops.brier_score(probs, labels), abs=1e-12)
    one, events = probs[:, 0], labels == 0
    found = metrics.brier_score(one, events)
    assert found == pytest.approx(oracle.brier_score_loss(events, one), abs=1e-12)
    both = np.stack([1 - one, one], axis=1)
    assert metrics.brier_score(both, events) == pytest.approx(2 * found, abs=1e-12)


@SEEDS
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error(seed: int, bins: int) -> None:
    probs, labels = probabilities(seed)
    probs = np.round(probs[:, 0], 1)  # on the edges of the bins
    events = (labels == 0).astype(int)
    found = metrics.calibration_error(probs, events, bins=bins)
    frequency, confidence = calibration.calibration_curve(events, probs, n_bins=bins)
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    counts = np.bincount(np.searchsorted(inner, probs), minlength=bins)
    shares = counts[counts > 0] / events.size
    wanted = float(shares @ np.abs(frequency - confidence))
    assert found == pytest.approx(wanted, abs=1e-12)


@SEEDS
def test_calibration_error_is_the_loops(seed: int) -> None:
    probs, labels = probabilities(seed)
    right = (probs.argmax(axis=1) == labels).astype(int)
    wanted = loops.calibration_error(probs.max(axis=1), right, 15)
    found = metrics.calibration_error(probs, labels)
    assert found == pytest.approx(wanted, abs=1e-12)
    first = loops.calibration_error(probs[:, 0], (labels == 0).astype(int), 7)
    found = metrics.calibration_error(probs[:, 0], labels == 0, bins=7)
    assert found == pytest.approx(first, abs=1e-12)


# By hand --------------------------------------------------------------------


def test_precision_recall_f1_by_hand() -> None:
    # Class 0: tp 2, fp 1, fn 0. Class 1: tp 1, fp 0, fn 2. Class 2: tp 0, fp 1, fn 0.
    predictions, labels = [0, 0, 0, 1, 2], [0, 0, 1, 1, 1]
    precision, recall, f1 = metrics.precision_recall_f1(
        predictions, labels, average=None
    )
    np.testing.assert_allclose(precision, [2 / 3, 1, 0])
    np.testing.assert_allclose(recall, [1, 1 / 3, 0])
    np.testing.assert_allclose(f1, [4 / 5, 1 / 2, 0])
    micro = metrics.precision_recall_f1(predictions, labels, average="micro")
    np.testing.assert_allclose(micro, [3 / 5] * 3)
    weighted = metrics.precision_recall_f1(predictions, labels, average="weighted")
    np.testing.assert_allclose(weighted[2], (2 * 4 / 5 + 3 * 1 / 2) / 5)


def test_ties_by_hand() -> None:
    # Four positive-negative pairs: three ties of one half.
    scores, labels = [0.5, 0.5, 0.5, 0.2], [1, 1, 0, 0]
    assert metrics.roc_auc(scores, labels) == (0.5 + 1 + 0.5 + 1) / 4
    assert metrics.average_precision(scores, labels) == pytest.approx(2 / 3)
    assert metrics.roc_auc([1.0] * 4, labels) == 0.5
    assert metrics.average_precision([1.0] * 4, labels) == 0.5


def test_brier_and_calibration_by_hand() -> None:
    probs = [[0.8, 0.2], [0.6, 0.4]]
    assert metrics.brier_score(probs, [0, 1]) == pytest.approx(
        (2 * 0.04 + 2 * 0.36) / 2
    )
    # Confidence 0.8 and right, 0.6 and wrong, in a bin each.
    assert metrics.calibration_error(probs, [0, 1]) == pytest.approx(0.5 * 0.2 + 0.3)
    # 0 belongs to the first bin, an edge to the bin below it.
    assert metrics.calibration_error([0.0, 0.5, 1.0], [0, 1, 1], bins=2) == (
        pytest.approx((1 - 0.5) / 3)
    )


# Degenerate input -----------------------------------------------------------


def sklearn_quietly(function: Callable[..., object], *arguments: object) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments)


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_only(only: int) -> None:
    labels, scores = [only] * 3, [0.1, 0.5, 0.5]
    assert math.isnan(metrics.roc_auc(scores, labels))
    assert math.isnan(sklearn_quietly(oracle.roc_auc_score, labels, scores))  # type: ignore[arg-type]
    found = metrics.roc_curve(scores, labels)
    wanted = loops.roc_curve(scores, labels)
    for mine, looped in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mine, looped)
    assert np.isnan(found[0 if only else 1]).all()  # the rate of the class not there
    expected = sklearn_quietly(oracle.average_precision_score, labels, scores)
    assert metrics.average_precision(scores, labels) == expected == float(only)
    assert metrics.confusion_matrix(labels, labels).sum() == 3
    assert metrics.precision_recall_f1(labels, labels) == (1.0, 1.0, 1.0)
    assert metrics.brier_score([float(only)] * 3, labels) == 0.0
    assert metrics.calibration_error([float(only)] * 3, labels) == 0.0


def test_a_class_that_is_never_predicted_counts_zero() -> None:
    found = metrics.precision_recall_f1([0, 0], [0, 1], average=None)
    np.testing.assert_array_equal(found, [[0.5, 0], [1, 0], [2 / 3, 0]])


def test_all_wrong() -> None:
    for average in ("macro", "micro", "weighted"):
        found = metrics.precision_recall_f1([1, 0], [0, 1], average=average)  # type: ignore[arg-type]
        assert found == (0.0, 0.0, 0.0)


BINARY = (
    metrics.roc_auc,
    metrics.roc_curve,
    metrics.average_precision,
    metrics.brier_score,
    metrics.calibration_error,
)
COUNTS = (metrics.accuracy, metrics.confusion_matrix, metrics.precision_recall_f1)


@pytest.mark.parametrize("metric", [*BINARY, *COUNTS])
def test_messages_common_to_all(metric: Callable[..., object]) -> None:
    where = rf"^metrics\.{metric.__name__}: "
    with pytest.raises(ValueError, match=where + r".*\(n,\) with n >= 1, got shape"):
        metric([], [])
    with pytest.raises(ValueError, match=where + ".*equally many, got 2 and 1"):
        metric([0, 1], [0])
    with pytest.raises(TypeError, match="labels must be whole numbers, got float64"):
        metric([0, 1], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"labels must lie in \[0, .*\), got min -1"):
        metric([0, 1], [0, -1])
    with pytest.raises(ValueError, match=r"labels must have shape \(n,\)"):
        metric([0, 1], [[0, 1]])


@pytest.mark.parametrize("metric", BINARY)
def test_messages_of_binary_metrics(metric: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 2\), got max 2"):
        metric([0.5, 0.6], [0, 2])
    with pytest.raises(ValueError, match="must be finite, got NaN or infinity"):
        metric([0.5, np.nan], [0, 1])


@pytest.mark.parametrize("metric", COUNTS)
def test_messages_of_counts(metric: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="predictions must be whole numbers.*argmax"):
        metric([0.2, 0.8], [0, 1])
    with pytest.raises(ValueError, match="predictions must have shape"):
        metric([[1, 0], [0, 1]], [0, 1])


def test_messages_of_single_arguments() -> None:
    with pytest.raises(
        ValueError, match=r"predictions must lie in \[0, 2\), got max 2"
    ):
        metrics.confusion_matrix([2], [0], classes=2)
    with pytest.raises(ValueError, match="average must be one of macro, micro"):
        metrics.precision_recall_f1([0], [0], average="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bins must lie in"):
        metrics.calibration_error([0.5], [0], bins=0)


@pytest.mark.parametrize(
    ("probs", "message"),
    [
        ([1.5, 0.5], r"probs must lie in \[0, 1\], got values from 0\.5 to 1\.5"),
        ([-0.5, 0.5], "are these logits"),
        ([[0.5, 0.4], [1, 0]], "and each row sum to 1"),
        ([[[0.5, 0.5]], [[0.5, 0.5]]], r"probs must have shape \(n,\)"),
    ],
)
@pytest.mark.parametrize("metric", [metrics.brier_score, metrics.calibration_error])
def test_messages_about_probabilities(
    metric: Callable[..., object], probs: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric(probs, [0, 1])


def test_labels_beyond_the_columns() -> None:
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 2\), got max 2"):
        metrics.brier_score([[0.5, 0.5]], [2])


# What may be passed ---------------------------------------------------------


def test_tensors_arrays_and_lists_agree() -> None:
    scores, labels = ranking(1)
    predictions = (scores > 0).astype(int)
    for metric, first in (
        (metrics.accuracy, predictions),
        (metrics.precision_recall_f1, predictions),
        (metrics.roc_auc, scores),
        (metrics.average_precision, scores),
        (metrics.brier_score, 1 / (1 + np.exp(-scores))),
    ):
        wanted = metric(first, labels)  # type: ignore[operator]
        assert metric(first.tolist(), labels.astype(bool)) == wanted  # type: ignore[operator]
        tensor = torch.tensor(first)
        if tensor.is_floating_point():
            tensor.requires_grad_()
        assert metric(tensor, torch.tensor(labels)) == wanted  # type: ignore[operator]


def test_float32_and_bfloat16_softmax_are_probabilities() -> None:
    logits = torch.randn(500, 10, generator=torch.Generator().manual_seed(0)) * 30
    labels = logits.argmax(1)
    for dtype in (torch.float32, torch.bfloat16):
        probs = logits.to(dtype).softmax(1)
        assert 0 <= metrics.calibration_error(probs, labels) <= 1
        assert 0 <= metrics.brier_score(probs, labels) <= 2


def test_inputs_are_left_as_they_were() -> None:
    scores, labels = ranking(2)
    before = scores.copy(), labels.copy()
    for metric in (metrics.roc_curve, metrics.roc_auc, metrics.average_precision):
        metric(scores, labels)
    np.testing.assert_array_equal(before[0], scores)
    np.testing.assert_array_equal(before[1], labels)
