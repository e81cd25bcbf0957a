"""How sure a result is: intervals, paired comparisons and measures of transfer."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tlcourse._checks import check_range, require, to_array

__all__ = [
    "Interval",
    "bootstrap_interval",
    "label_efficiency",
    "mcnemar",
    "mean_interval",
    "paired_difference",
    "steps_to_threshold",
    "wilson_interval",
]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate and the range that the data leave open.

    Attributes
    ----------
    mean, low, high : float
        The estimate and the ends of its interval; the ends are NaN where the
        data cannot give one (a single seed).
    n : int
        How many values it rests on.

    Examples
    --------
    >>> Interval(0.2, 0.1, 0.3, 5).excludes_zero
    True
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; False where the ends are NaN."""
        return self.low > 0 or self.high < 0


def mean_interval(values: object, *, confidence: float = 0.95) -> Interval:
    r"""Mean over seeds with Student's t interval.

    .. math:: \bar x \pm t_{n-1} \, s / \sqrt n

    Parameters
    ----------
    values : array_like, shape (n,)
        One value a seed, finite, n >= 1.
    confidence : float, default=0.95
        Share of such intervals that cover the true mean.

    Returns
    -------
    Interval
        The ends are NaN for n = 1: one seed says nothing about the spread.

    Raises
    ------
    ValueError
        If there is no value, or one is not finite, or `values` has two axes.

    Notes
    -----
    s has divisor n - 1, and the t quantile n - 1 degrees of freedom. Exact where
    the values are normal. Source: Student 1908, doi:10.1093/biomet/6.1.1.

    Examples
    --------
    >>> mean_interval([1.0, 2.0, 3.0]).mean
    2.0
    >>> round(mean_interval([1.0, 2.0, 3.0]).high, 3)  # 2 + 4.303 / sqrt(3)
    4.484
    """
    where = "evidence.mean_interval"
    x = to_array(where, "values", values)  # (n,)
    _check_confidence(where, confidence)
    require(x.size > 0, where, "values must hold a seed or more", 0, "did a run fail?")
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, math.nan, math.nan, 1)
    from scipy import special  # loads in a fraction of the time of scipy.stats

    quantile = float(special.stdtrit(x.size - 1, (1 + confidence) / 2))
    half = quantile * float(x.std(ddof=1)) / math.sqrt(x.size)
    return Interval(mean, mean - half, mean + half, x.size)


def paired_difference(
    first: object, second: object, *, confidence: float = 0.95
) -> Interval:
    """Mean of `first` minus `second` over the same seeds, with its t interval.

    Pairing takes out what both share in a seed (the draw of the data, the order
    of the batches), so the interval is about the methods alone.

    Parameters
    ----------
    first, second : array_like, shape (n,)
        One value a seed, in the same order of seeds, n >= 2.
    confidence : float, default=0.95
        Share of such intervals that cover the true difference.

    Returns
    -------
    Interval
        Of the differences; ``excludes_zero`` tells whether they settle the sign.

    Raises
    ------
    ValueError
        If the lengths differ, there is one pair only, or a value is not finite.

    Notes
    -----
    The t interval of the n differences, divisor n - 1: see `mean_interval`.
    Of final accuracies with transfer and from scratch it is the transfer gain, of
    accuracies before the first step the jump-start (Taylor & Stone 2009).

    Examples
    --------
    >>> paired_difference([0.9, 0.8, 0.7], [0.8, 0.6, 0.4]).excludes_zero
    False
    """
    where = "evidence.paired_difference"
    a = to_array(where, "first", first)  # (n,)
    b = to_array(where, "second", second)  # (n,)
    _check_pairs(where, "first and second", a.size, b.size)
    require(a.size > 1, where, "pairs must be two or more", a.size, "use more seeds")
    return mean_interval(a - b, confidence=confidence)


def bootstrap_interval(
    statistic: Callable[..., float],
    *data: object,
    generator: torch.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of any statistic of one test set.

    The examples are drawn anew, with replacement, and the statistic is computed
    on each draw. All of `data` are drawn together, so that an example keeps its
    score, its label and what another model said of it: a difference of two models
    on the same examples is a paired bootstrap.

    Parameters
    ----------
    statistic : callable
        ``statistic(*data)`` gives one number, such as ``metrics.roc_auc``.
    *data : array_like, shape (n, ...)
        One row an example, n >= 1; handed on as arrays.
    generator : torch.Generator
        Draws the examples.
    resamples : int, default=2000
        How many draws.
    confidence : float, default=0.95
        Share between the two quantiles.

    Returns
    -------
    Interval
        The statistic of the data themselves, and the quantiles of the draws. A
        draw on which the statistic is NaN (AUC with one class) is left out.

    Raises
    ------
    ValueError
        If there are no data, the lengths differ, `resamples` < 1, or the
        statistic is NaN on every draw.

    Notes
    -----
    Too narrow below some 30 examples. Source: Efron 1979,
    doi:10.1214/aos/1176344552.

    Examples
    --------
    >>> draws = torch.Generator().manual_seed(0)
    >>> right = [1, 1, 1, 0] * 25
    >>> found = bootstrap_interval(np.mean, right, generator=draws)
    >>> found.mean, bool(0.6 < found.low < 0.7 < 0.8 < found.high < 0.9)
    (0.75, True)
    """
    where = "evidence.bootstrap_interval"
    _check_confidence(where, confidence)
    check_range(where, "resamples", resamples, 1)
    columns = [_rows(values) for values in data]
    sizes = {len(column) for column in columns}
    require(
        len(sizes) == 1 and 0 not in sizes,
        where,
        "data must be given, one row an example each",
        f"{sorted(sizes)} rows",
        "are they from the same split?",
    )
    (n,) = sizes
    draws = np.empty(resamples)
    for i in range(resamples):
        chosen = torch.randint(n, (n,), generator=generator).numpy()  # (n,)
        draws[i] = statistic(*(column[chosen] for column in columns))
    draws = draws[~np.isnan(draws)]
    require(
        draws.size > 0,
        where,
        "statistic must be a number",
        "NaN",
        "is a class missing?",
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(statistic(*columns)), float(low), float(high), n)


def wilson_interval(
    successes: int, trials: int, *, confidence: float = 0.95
) -> Interval:
    r"""Wilson's interval for a share, such as an accuracy on n test examples.

    .. math:: \frac{\hat p + z^2 / 2n}{1 + z^2 / n} \pm \frac{z}{1 + z^2 / n}
        \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}}

    Parameters
    ----------
    successes, trials : int
        0 <= successes <= trials and trials >= 1.
    confidence : float, default=0.95
        Share of such intervals that cover the true share, about.

    Returns
    -------
    Interval
        Within [0, 1] and of some width even at 0 or all successes.

    Raises
    ------
    TypeError
        If a count is not a whole number.
    ValueError
        If the counts are not as above.

    Notes
    -----
    z is the normal quantile; no continuity correction. Source: Wilson 1927,
    doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> found = wilson_interval(9, 10)
    >>> round(found.low, 3), round(found.high, 3)
    (0.596, 0.982)
    """
    where = "evidence.wilson_interval"
    _check_confidence(where, confidence)
    successes = _count(where, "successes", successes)
    trials = _count(where, "trials", trials)
    check_range(where, "trials", trials, 1, cause="is the split empty?")
    check_range(where, "successes", successes, 0, trials, cause="is it a count?")
    from scipy import stats

    p = successes / trials
    z2 = float(stats.norm.ppf((1 + confidence) / 2)) ** 2 / trials  # z^2 / n
    centre = (p + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (p * (1 - p) + z2 / 4)) / (1 + z2)
    # At 0 and at all successes the formula gives 0 and 1; rounding may miss them.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(p, low, high, trials)


def mcnemar(first_right: object, second_right: object) -> float:
    """Test by McNemar whether two models differ on the same examples.

    Only examples that one model gets right and the other wrong can tell. If the
    models were equally good, each such example would fall to either by a coin.

    Parameters
    ----------
    first_right, second_right : array_like, shape (n,), bool
        Whether each model is right on each example.

    Returns
    -------
    float
        Two-sided exact p-value in (0, 1]; 1 if the models never differ.

    Raises
    ------
    ValueError
        If the lengths differ or a value is not 0 or 1.

    Notes
    -----
    The exact binomial form, not the chi-square approximation. Source: McNemar
    1947, doi:10.1007/BF02295996.

    Examples
    --------
    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])  # 5 to 0: 2 / 2^5
    0.0625
    """
    where = "evidence.mcnemar"
    a = to_array(where, "first_right", first_right)  # (n,)
    b = to_array(where, "second_right", second_right)  # (n,)
    _check_pairs(where, "first_right and second_right", a.size, b.size)
    require(
        bool(np.isin([*a, *b], (0, 1)).all()),
        where,
        "values must be 0 or 1",
        "others",
        "compare predictions with labels first",
    )
    first_only, second_only = int((a > b).sum()), int((b > a).sum())
    if first_only + second_only == 0:
        return 1.0
    from scipy import stats

    return float(stats.binomtest(first_only, first_only + second_only).pvalue)


def steps_to_threshold(steps: object, values: object, threshold: float) -> float:
    """First step at which a learning curve reaches a threshold.

    Parameters
    ----------
    steps : array_like, shape (m,)
        When the curve was measured (steps, epochs or seconds), rising, m >= 1.
    values : array_like, shape (m,)
        What was measured; higher is better.
    threshold : float
        The value to reach.

    Returns
    -------
    float
        The step of the first value >= threshold, even if the curve falls below it
        again later; infinity if there is none.

    Raises
    ------
    ValueError
        If the lengths differ, `steps` does not rise, or a value is not finite.

    Notes
    -----
    Nothing is interpolated: between two measurements nobody looked. Source: time
    to threshold in Taylor & Stone 2009, jmlr.org/papers/v10/taylor09a.html.

    Examples
    --------
    >>> steps_to_threshold([0, 10, 20], [0.1, 0.6, 0.9], 0.5)
    10.0
    """
    where = "evidence.steps_to_threshold"
    at, curve = _curve(where, "steps", steps, "values", values)
    reached = np.flatnonzero(curve >= threshold)
    return float(at[reached[0]]) if reached.size else math.inf


def label_efficiency(
    labels: object, transfer: object, scratch: object, accuracy: float
) -> float:
    """How many times as many labels training from scratch needs.

    Parameters
    ----------
    labels : array_like, shape (m,)
        Numbers of labels, positive and rising, m >= 1.
    transfer, scratch : array_like, shape (m,)
        Accuracy with so many labels, with and without transfer.
    accuracy : float
        The accuracy at which labels are compared.

    Returns
    -------
    float
        Labels needed from scratch divided by labels needed with transfer, so above
        1 where transfer saves labels. Infinity if only transfer gets there, 0 if
        only scratch does, NaN if neither.

    Raises
    ------
    ValueError
        If the lengths differ, `labels` is not positive and rising, or a value is
        not finite.

    Notes
    -----
    The number needed is where the curve first reaches the accuracy, on straight
    lines between its points over the logarithm of the number. A curve that starts
    at the accuracy or above counts as its first number: the true one is lower.

    Examples
    --------
    >>> found = label_efficiency([1, 10, 100], [0.5, 0.7, 0.9], [0.3, 0.5, 0.7], 0.7)
    >>> round(found, 12)  # 100 labels from scratch, 10 with transfer
    10.0
    """
    where = "evidence.label_efficiency"
    at, with_transfer = _curve(where, "labels", labels, "transfer", transfer)
    _, without = _curve(where, "labels", labels, "scratch", scratch)
    require(at[0] > 0, where, "labels must be positive", at[0], "leave zero labels out")
    needed_scratch = _log_labels(np.log(at), without, accuracy)
    needed_transfer = _log_labels(np.log(at), with_transfer, accuracy)
    return float(np.exp(needed_scratch - needed_transfer))


def _log_labels(log_at: _Floats, curve: _Floats, accuracy: float) -> float:
    reached = np.flatnonzero(curve >= accuracy)
    if not reached.size:
        return math.inf
    i = int(reached[0])
    if i == 0:
        return float(log_at[0])
    share = (accuracy - curve[i - 1]) / (curve[i] - curve[i - 1])
    return float(log_at[i - 1] + share * (log_at[i] - log_at[i - 1]))


def _curve(
    where: str, x_name: str, x: object, name: str, values: object
) -> tuple[_Floats, _Floats]:
    at = to_array(where, x_name, x)  # (m,)
    curve = to_array(where, name, values)  # (m,)
    _check_pairs(where, f"{x_name} and {name}", at.size, curve.size)
    require(
        at.size > 0 and bool((np.diff(at) > 0).all()),
        where,
        f"{x_name} must rise from one measurement to the next",
        at.tolist(),
        "sort the curve first",
    )
    return at, curve


def _rows(values: object) -> npt.NDArray[Any]:
    if isinstance(values, torch.Tensor):
        return np.asarray(values.detach().cpu())
    return np.asarray(values)


def _count(where: str, name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise TypeError(
            f"{where}: {name} must be a whole number, got {type(value).__name__}; "
            "is it a share already?"
        ) from error


def _check_confidence(where: str, confidence: float) -> None:
    check_range(where, "confidence", confidence, 0, 1, low_open=True, high_open=True)


def _check_pairs(where: str, names: str, first: int, second: int) -> None:
    require(
        first == second,
        where,
        f"{names} must be equally many",
        f"{first} and {second}",
        "did a run fail?",
    )
