"""How good predictions are, counted from the formulas.

Predictions, scores and labels may be tensors, arrays or sequences; the sums run
in float64. Where a ratio has nothing to divide by, the value is scikit-learn's
(named in each Notes section), without its warning. Empty input is an error.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tlcourse._checks import check_choice, check_range, require, to_array

__all__ = [
    "accuracy",
    "average_precision",
    "brier_score",
    "calibration_error",
    "confusion_matrix",
    "precision_recall_f1",
    "roc_auc",
    "roc_curve",
]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


def accuracy(predictions: object, labels: object) -> float:
    """Share of predictions that are right.

    Parameters
    ----------
    predictions, labels : array_like, shape (n,), int
        Class indices, n >= 1.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    TypeError
        If either holds something other than whole numbers.
    ValueError
        If there are none, or the lengths differ.

    Examples
    --------
    >>> accuracy([0, 1, 2, 2], [0, 1, 1, 2])
    0.75
    """
    found, truth = _classes("metrics.accuracy", predictions, labels)
    return float((found == truth).mean())


def confusion_matrix(
    predictions: object, labels: object, *, classes: int | None = None
) -> _Ints:
    """Count how often each class was taken for each.

    Parameters
    ----------
    predictions, labels : array_like, shape (n,), int
        Class indices, n >= 1.
    classes : int, optional
        c; by default the highest index that occurs, plus 1.

    Returns
    -------
    ndarray, shape (c, c), int64
        Row: the true class. Column: the predicted one.

    Raises
    ------
    TypeError
        If either holds something other than whole numbers.
    ValueError
        If there are none, the lengths differ, or an index lies outside [0, c).

    Examples
    --------
    >>> confusion_matrix([0, 1, 1], [0, 0, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    found, truth = _classes("metrics.confusion_matrix", predictions, labels, classes)
    c = classes or int(max(found.max(), truth.max())) + 1
    return np.bincount(truth * c + found, minlength=c * c).reshape(c, c)  # (c, c)


def precision_recall_f1(
    predictions: object,
    labels: object,
    *,
    average: Literal["macro", "micro", "weighted"] | None = "macro",
    classes: int | None = None,
) -> tuple[float, float, float] | tuple[_Floats, _Floats, _Floats]:
    r"""Precision, recall and their harmonic mean.

    .. math::
        P_k = \frac{\mathrm{tp}_k}{\mathrm{tp}_k + \mathrm{fp}_k}, \quad
        R_k = \frac{\mathrm{tp}_k}{\mathrm{tp}_k + \mathrm{fn}_k}, \quad
        F_k = \frac{2\,\mathrm{tp}_k}
        {2\,\mathrm{tp}_k + \mathrm{fp}_k + \mathrm{fn}_k}

    Parameters
    ----------
    predictions, labels : array_like, shape (n,), int
        Class indices, n >= 1.
    average : {"macro", "micro", "weighted"} or None, default="macro"
        The plain mean over classes; the formula on counts summed over classes;
        the mean weighted by how often each class is the true one; or no mean.
    classes : int, optional
        c: all of 0 to c - 1 enter the mean. By default the classes that occur in
        labels or predictions do.

    Returns
    -------
    precision, recall, f1 : float, or ndarray of shape (c,) if `average` is None
        In [0, 1].

    Raises
    ------
    TypeError
        If either holds something other than whole numbers.
    ValueError
        If there are none, the lengths differ, an index lies outside [0, c), or
        `average` has another name.

    Notes
    -----
    A ratio 0 / 0 counts as 0: the precision of a class never predicted, the
    recall of a class that never occurs, the F1 of one that is neither. Macro F1 is
    the mean of the classes' F1, not the F1 of the mean precision and recall.

    Examples
    --------
    >>> precision_recall_f1([1, 1, 1, 0], [1, 1, 0, 0], average=None)[1].tolist()
    [0.5, 1.0]
    """
    where = "metrics.precision_recall_f1"
    if average is not None:
        check_choice(where, "average", average, ("macro", "micro", "weighted"))
    found, truth = _classes(where, predictions, labels, classes)
    matrix = confusion_matrix(found, truth, classes=classes)  # (c, c)
    right = matrix.diagonal()  # (c,) true positives
    predicted, actual = matrix.sum(axis=0), matrix.sum(axis=1)  # (c,) each
    if classes is None:
        occur = predicted + actual > 0
        right, predicted, actual = right[occur], predicted[occur], actual[occur]
    if average == "micro":
        right, predicted, actual = right.sum(), predicted.sum(), actual.sum()
    rows = np.stack(
        [
            _ratio(right, predicted),
            _ratio(right, actual),
            _ratio(2 * right, predicted + actual),
        ]
    )  # (3, c), or (3,) for micro
    if average is None:
        return rows[0], rows[1], rows[2]
    if average == "macro":
        rows = rows.mean(axis=1)
    elif average == "weighted":
        rows = rows @ actual / actual.sum()
    return float(rows[0]), float(rows[1]), float(rows[2])


def roc_curve(scores: object, labels: object) -> tuple[_Floats, _Floats, _Floats]:
    """Rates of false and true alarms at every threshold.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Higher means more likely class 1; any finite scale, n >= 1.
    labels : array_like, shape (n,), int or bool
        0 or 1.

    Returns
    -------
    false_positive_rate, true_positive_rate : ndarray, shape (m + 1,)
        Shares of the negatives and of the positives with score >= threshold,
        rising from 0 to 1.
    thresholds : ndarray, shape (m + 1,)
        Infinity, then the m different scores, falling. Equal scores are one step.

    Raises
    ------
    TypeError
        If labels are not whole numbers.
    ValueError
        If there are none, lengths differ, a label is not 0 or 1, or a score is
        not finite.

    Notes
    -----
    Without negatives the false-positive rate is NaN throughout, without
    positives the true-positive rate.

    Examples
    --------
    >>> false, true, thresholds = roc_curve([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0])
    >>> false.tolist(), true.tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    score, truth = _binary("metrics.roc_curve", scores, labels)
    thresholds, true, false = _alarms(score, truth)  # (m,) each
    rates = [
        np.concatenate([[0.0], counts]) / counts[-1]
        if counts[-1]
        else np.full(counts.size + 1, np.nan)
        for counts in (false, true)
    ]
    return rates[0], rates[1], np.concatenate([[np.inf], thresholds])


def roc_auc(scores: object, labels: object) -> float:
    r"""Chance that a positive scores above a negative; a tie counts one half.

    .. math::
        P(s^+ > s^-) + \tfrac12 P(s^+ = s^-) =
        \frac{\sum_{i: y_i = 1} r_i - n^+ (n^+ + 1) / 2}{n^+ n^-}

    Parameters
    ----------
    scores : array_like, shape (n,)
        Higher means more likely class 1; any finite scale, n >= 1.
    labels : array_like, shape (n,), int or bool
        0 or 1.

    Returns
    -------
    float
        In [0, 1]: 0.5 is chance. NaN if only one class occurs: no pair to rank.

    Raises
    ------
    TypeError
        If labels are not whole numbers.
    ValueError
        If there are none, lengths differ, a label is not 0 or 1, or a score is
        not finite.

    Notes
    -----
    r is the rank, the mean rank among equals. It equals the area under
    `roc_curve`. Source: Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747.

    Examples
    --------
    >>> roc_auc([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0])  # 3 pairs of 4, and a tie
    0.875
    """
    score, truth = _binary("metrics.roc_auc", scores, labels)
    positives = int(truth.sum())
    negatives = truth.size - positives
    if not positives or not negatives:
        return float("nan")
    from scipy import stats

    ranks = stats.rankdata(score)  # (n,) mean rank among equals
    above = float(ranks[truth == 1].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def average_precision(scores: object, labels: object) -> float:
    r"""Precision averaged over the steps of recall.

    .. math:: \sum_i (R_i - R_{i-1}) \, P_i

    Parameters
    ----------
    scores : array_like, shape (n,)
        Higher means more likely class 1; any finite scale, n >= 1.
    labels : array_like, shape (n,), int or bool
        0 or 1.

    Returns
    -------
    float
        In [0, 1]; chance is the share of positives. 0 if there is none.

    Raises
    ------
    TypeError
        If labels are not whole numbers.
    ValueError
        If there are none, lengths differ, a label is not 0 or 1, or a score is
        not finite.

    Notes
    -----
    i runs over the different scores from the highest down; nothing is
    interpolated between them.

    Examples
    --------
    >>> average_precision([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])  # 1/2 + 1/2 * 2/3
    0.8333333333333333
    """
    score, truth = _binary("metrics.average_precision", scores, labels)
    _, true, false = _alarms(score, truth)  # (m,) each
    if not true[-1]:
        return 0.0
    steps = np.diff(true, prepend=0) / true[-1]  # (m,)
    return float(steps @ (true / (true + false)))


def brier_score(probs: object, labels: object) -> float:
    r"""Mean squared distance between probabilities and what happened.

    .. math::
        \frac1n \sum_i (p_i - y_i)^2 \quad\text{or}\quad
        \frac1n \sum_i \sum_k (p_{ik} - [y_i = k])^2

    Parameters
    ----------
    probs : array_like, shape (n,) or (n, c)
        Probability of class 1, or of each class; n >= 1.
    labels : array_like, shape (n,), int or bool
        0 or 1, or class indices.

    Returns
    -------
    float
        In [0, 1] for shape (n,), in [0, 2] for shape (n, c); 0 is perfect.

    Raises
    ------
    TypeError
        If labels are not whole numbers.
    ValueError
        If there are none, lengths differ, a label lies outside [0, c), or the
        values are not probabilities.

    Notes
    -----
    Two columns give twice the value of the second column alone. Source: Brier
    1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples
    --------
    >>> brier_score([1.0, 0.5], [1, 0])  # (0 + 0.25) / 2
    0.125
    """
    chances, truth = _probabilities("metrics.brier_score", probs, labels)
    if chances.ndim == 1:
        return float(((chances - truth) ** 2).mean())
    happened = np.eye(chances.shape[1])[truth]  # (n, c)
    return float(((chances - happened) ** 2).sum(axis=1).mean())


def calibration_error(probs: object, labels: object, *, bins: int = 15) -> float:
    r"""Mean gap between confidence and frequency (expected calibration error).

    .. math:: \sum_b \frac{n_b}{n}
        \left| \mathrm{freq}_b - \mathrm{conf}_b \right|

    Parameters
    ----------
    probs : array_like, shape (n,) or (n, c)
        Probability of class 1, held against how often class 1 is true; or of
        each class, of which the highest is held against how often it is right.
    labels : array_like, shape (n,), int or bool
        0 or 1, or class indices.
    bins : int, default=15
        Equally wide parts of [0, 1]; part b is ((b - 1) / bins, b / bins], the
        first one with its left end.

    Returns
    -------
    float
        In [0, 1]. An empty bin adds nothing.

    Raises
    ------
    TypeError
        If labels are not whole numbers.
    ValueError
        If there are none, lengths differ, a label lies outside [0, c), the
        values are not probabilities, or bins < 1.

    Notes
    -----
    freq and conf are means over the n_b examples of bin b. Biased upwards on few
    examples a bin. Source: Guo et al. 2017, arXiv:1706.04599.

    Examples
    --------
    >>> calibration_error([0.75, 0.75, 0.75, 0.75], [1, 1, 0, 0])
    0.25
    """
    where = "metrics.calibration_error"
    check_range(where, "bins", bins, 1)
    chances, truth = _probabilities(where, probs, labels)
    if chances.ndim == 2:
        truth = (chances.argmax(axis=1) == truth).astype(np.int64)  # (n,) right or not
        chances = chances.max(axis=1)  # (n,)
    inner_edges = np.linspace(0, 1, bins + 1)[1:-1]
    part = np.searchsorted(inner_edges, chances)  # (n,) bin of each example
    gaps = np.bincount(part, weights=truth - chances, minlength=bins)  # n_b (f - c)
    return float(np.abs(gaps).sum() / truth.size)


def _ratio(above: object, below: object) -> _Floats:
    """Divide counts; 0 / 0 is 0."""
    numerator, denominator = np.asarray(above, float), np.asarray(below, float)
    quotient = np.zeros_like(numerator)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _alarms(score: _Floats, truth: _Ints) -> tuple[_Floats, _Ints, _Ints]:
    """Different scores, falling, with the positives and negatives at or above."""
    order = np.argsort(-score, kind="stable")
    score, truth = score[order], truth[order]
    last = np.append(np.flatnonzero(np.diff(score)), score.size - 1)  # of equals
    true = np.cumsum(truth)[last]
    return score[last], true, last + 1 - true


def _indices(where: str, name: str, values: object) -> _Ints:
    """Return class indices as an int64 array, refusing an empty one."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    require(
        array.ndim == 1 and array.size > 0,
        where,
        f"{name} must have shape (n,) with n >= 1",
        f"shape {array.shape}",
        "is the split empty, or the class still one-hot?",
    )
    if array.dtype.kind not in "biu":
        raise TypeError(
            f"{where}: {name} must be whole numbers, got {array.dtype}; "
            "are these logits? Take argmax(1) first"
        )
    return array.astype(np.int64)


def _classes(
    where: str, predictions: object, labels: object, classes: int | None = None
) -> tuple[_Ints, _Ints]:
    found = _indices(where, "predictions", predictions)
    truth = _indices(where, "labels", labels)
    _same_length(where, "predictions", found.size, truth.size)
    for name, values in (("predictions", found), ("labels", truth)):
        _in_range(where, name, values, classes)
    return found, truth


def _binary(where: str, scores: object, labels: object) -> tuple[_Floats, _Ints]:
    truth = _indices(where, "labels", labels)
    _in_range(where, "labels", truth, 2)
    score = to_array(where, "scores", scores)
    _same_length(where, "scores", score.size, truth.size)
    return score, truth


def _probabilities(where: str, probs: object, labels: object) -> tuple[_Floats, _Ints]:
    truth = _indices(where, "labels", labels)
    several = np.ndim(probs) == 2  # type: ignore[arg-type]
    chances = to_array(where, "probs", probs, axes="(n, c)" if several else "(n,)")
    _same_length(where, "probs", len(chances), truth.size)
    _in_range(where, "labels", truth, chances.shape[1] if several else 2)
    # Softmax in float32 or bfloat16 keeps to 1 up to its rounding only.
    require(
        bool((chances >= 0).all() and (chances <= 1 + 1e-6).all())
        and (not several or bool(np.allclose(chances.sum(axis=1), 1, atol=1e-2))),
        where,
        "probs must lie in [0, 1]" + (" and each row sum to 1" if several else ""),
        f"values from {chances.min():.3g} to {chances.max():.3g}",
        "are these logits?",
    )
    return chances, truth


def _same_length(where: str, name: str, came: int, n: int) -> None:
    require(
        came == n,
        where,
        f"{name} and labels must be equally many",
        f"{came} and {n}",
        "are they from the same split?",
    )


def _in_range(where: str, name: str, values: _Ints, classes: int | None) -> None:
    low, high = int(values.min()), int(values.max())
    require(
        low >= 0 and (classes is None or high < classes),
        where,
        f"{name} must lie in [0, {'c' if classes is None else classes})",
        f"min {low}" if low < 0 else f"max {high}",
        "are these class indices?",
    )
