"""How far apart two domains are, and what brings their features together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tlcourse._checks import check_float, check_range, require

__all__ = ["coral", "mmd", "proxy_a_distance", "reverse_gradient"]


def coral(source: Tensor, target: Tensor) -> Tensor:
    r"""Squared distance between two feature covariances (Deep CORAL).

    .. math:: \ell = \frac{1}{4 d^2} \lVert C_s - C_t \rVert_F^2, \qquad
        C = \frac{1}{n - 1} \sum_i (x_i - \bar x)(x_i - \bar x)^\top

    Parameters
    ----------
    source : Tensor, shape (n_s, d), float
        Source-domain features, n_s >= 2.
    target : Tensor, shape (n_t, d), float
        Target-domain features; n_t may differ from n_s.

    Returns
    -------
    Tensor, shape ()
        Loss >= 0; 0 when the covariances agree, whatever the means. It grows with the
        fourth power of the features' unit. Gradients reach both sides.

    Raises
    ------
    TypeError
        If a sample is not a floating-point tensor.
    ValueError
        If the samples are not matrices with equal feature counts, or one has fewer
        than 2 rows.

    Notes
    -----
    Unbiased covariances (divisor n - 1); the loss is nevertheless above 0 on average
    for two samples of one distribution, since it squares their errors. Source: Sun &
    Saenko 2016, arXiv:1607.01719, equations 1 to 3.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    >>> coral(x, 2 * x).item()  # 4 entries, each 2 - 8, squared, over 4 * 2^2
    9.0
    """
    _check_samples("adapt.coral", source, target, 2)

    def covariance(x: Tensor) -> Tensor:
        centred = x - x.mean(0)  # (n, d)
        return centred.T @ centred / (len(x) - 1)  # (d, d)

    d = source.shape[1]
    return (covariance(source) - covariance(target)).square().sum() / (4 * d * d)


def mmd(
    source: Tensor,
    target: Tensor,
    *,
    bandwidths: Sequence[float] | None = None,
    unbiased: bool = False,
) -> Tensor:
    r"""Squared maximum mean discrepancy with Gaussian kernels.

    .. math:: \mathrm{MMD}^2 = \overline{k(x, x')} + \overline{k(y, y')}
        - 2\, \overline{k(x, y)}, \qquad
        k(a, b) = \frac{1}{B} \sum_{j=1}^{B} e^{-\lVert a - b \rVert^2 / 2 \sigma_j^2}

    Parameters
    ----------
    source : Tensor, shape (n_s, d), float
        Rows :math:`x` from the source domain.
    target : Tensor, shape (n_t, d), float
        Rows :math:`y` from the target domain; n_t may differ from n_s.
    bandwidths : sequence of float, optional
        The :math:`\sigma_j`, in the unit of the features, each > 0. Without it, half,
        once and twice the median distance between two different rows of both samples
        together (the lower median where their number is even).
    unbiased : bool, default=False
        The bars are means over all pairs of rows, a row with itself included. True
        leaves those out in the first two.

    Returns
    -------
    Tensor, shape ()
        Biased: in [0, 2], 0 for equal samples, and for unequal samples of one
        distribution still above 0, by about (1 / n_s + 1 / n_t) times one minus the
        mean kernel value. Unbiased: has the squared discrepancy as its mean, so it is
        often negative where that is 0. Gradients reach both sides; median bandwidths
        count as constants.

    Raises
    ------
    TypeError
        If a sample is not a floating-point tensor.
    ValueError
        If the samples are not matrices with equal feature counts, hold too few rows
        (1 each; 2 each when unbiased), a bandwidth is not positive, or the median
        distance is 0.

    Notes
    -----
    Averaging kernels keeps the scale, whatever their number. Time and memory grow
    with (n_s + n_t)^2. Source: Gretton et al. 2012, JMLR 13:723-773, Lemma 6 and
    what follows it; the median bandwidth is the heuristic of the same paper.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [0.0]])
    >>> mmd(x, x + 2, bandwidths=[1.0]).item()  # 1 + 1 - 2 exp(-2)
    1.7293294668197632
    >>> mmd(x, x, bandwidths=[1.0]).item()
    0.0
    """
    where = "adapt.mmd"
    rows = 2 if unbiased else 1
    _check_samples(where, source, target, rows)
    n_s, n_t = len(source), len(target)
    both = torch.cat([source, target])  # (n_s + n_t, d)
    # From differences, not from scalar products: no digits are lost far from 0.
    distances = torch.cdist(both, both, compute_mode="donot_use_mm_for_euclid_dist")
    if bandwidths is None:
        i, j = torch.triu_indices(len(both), len(both), offset=1)
        median = distances.detach()[i, j].median().item()
        bandwidths = [median / 2, median, median * 2]
        cause = "over half the pairs coincide: are features dead? else pass bandwidths"
    else:
        cause = "a bandwidth is a distance between rows that still counts as near"
    require(
        len(bandwidths) > 0 and all(b > 0 for b in bandwidths),
        where,
        "bandwidths must be one or more, all > 0",
        list(bandwidths),
        cause,
    )
    squared = distances.square()
    kernel = torch.stack([(squared / (-2 * b * b)).exp() for b in bandwidths]).mean(0)
    within_s, within_t = kernel[:n_s, :n_s], kernel[n_s:, n_s:]
    across = kernel[:n_s, n_s:].mean()
    if not unbiased:
        return within_s.mean() + within_t.mean() - 2 * across
    # The diagonal is a row with itself, whose kernel value is 1.
    mean_s = (within_s.sum() - n_s) / (n_s * (n_s - 1))
    mean_t = (within_t.sum() - n_t) / (n_t * (n_t - 1))
    return mean_s + mean_t - 2 * across


def proxy_a_distance(
    source: Tensor, target: Tensor, *, generator: torch.Generator, folds: int = 5
) -> float:
    r"""Distance between domains from how well a linear classifier tells them apart.

    .. math:: \hat d_A = 2\, (1 - 2 \hat\varepsilon), \qquad
        \hat\varepsilon = \tfrac12 (\hat\varepsilon_s + \hat\varepsilon_t)

    Parameters
    ----------
    source : Tensor, shape (n_s, d), float
        Rows from the source domain.
    target : Tensor, shape (n_t, d), float
        Rows from the target domain; n_t may differ from n_s.
    generator : torch.Generator
        Deals the rows to the folds.
    folds : int, default=5
        Each part in turn is judged by a classifier trained on the others, so every
        row is judged once, by a classifier that has not seen it.

    Returns
    -------
    float
        At most 2, where no row is mistaken; 0 where the classifier does no better
        than a coin. It is not cut off at 0: between equal domains it lies below on
        average, since the rows that a fold holds out of one domain are missing among
        those that the classifier saw. The held-out error is (2 - value) / 4. No
        gradient.

    Raises
    ------
    TypeError
        If a sample is not a floating-point tensor.
    ValueError
        If the samples are not matrices with equal feature counts, `folds` < 2, or a
        sample has fewer rows than there are folds.

    Notes
    -----
    The classifier is scikit-learn's logistic regression (L2 with C = 1) on
    standardised features, domains weighted equally; both are fitted within the
    training folds. What is biased: the A-distance of the linear classifiers is
    2 (1 - 2 min error), and a classifier trained on part of a sample, by a smooth
    loss, is not the best one, so the mean of this estimate lies below it. The error
    on the training rows would err the other way: with d >= n_s + n_t - 1 it says 2
    even for equal domains. Source: Ganin et al. 2016, arXiv:1505.07818, section 3.2,
    after Ben-David et al. 2006 (Analysis of representations for domain adaptation).

    Examples
    --------
    >>> x = torch.linspace(0, 1, 10).reshape(-1, 1)
    >>> proxy_a_distance(x, x + 5, generator=torch.Generator().manual_seed(0))
    2.0
    """
    where = "adapt.proxy_a_distance"
    require(folds >= 2, where, "folds must be >= 2", folds, "is it a number of parts?")
    _check_samples(where, source, target, folds)
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = torch.cat([source, target]).detach().cpu().double().numpy()
    is_target = torch.arange(len(features)).numpy() >= len(source)
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    guesses = cross_val_predict(
        make_pipeline(
            StandardScaler(),
            LogisticRegression(class_weight="balanced", solver="newton-cholesky"),
        ),
        features,
        is_target,
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
    )
    wrong = guesses != is_target
    error = (wrong[~is_target].mean() + wrong[is_target].mean()) / 2
    return float(2 * (1 - 2 * error))


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    r"""Return the input as it is; backward, turn its gradient round (DANN).

    .. math:: R(x) = x, \qquad \frac{\partial R}{\partial x} := -\lambda I

    Parameters
    ----------
    x : Tensor, float
        Features, of any shape.
    weight : float
        The factor :math:`\lambda` >= 0. At 0 nothing passes back.

    Returns
    -------
    Tensor, shape of `x`
        A copy of `x`. What descends a loss behind it makes `x` climb it.

    Raises
    ------
    TypeError
        If `x` is not a floating-point tensor.
    ValueError
        If `weight` is negative or not finite.

    Notes
    -----
    Between body and domain classifier: the classifier learns to tell the domains
    apart, the body to prevent it, in one backward pass. Source: Ganin & Lempitsky
    2015, arXiv:1409.7495, equations 6 and 7.

    Examples
    --------
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> y = reverse_gradient(x, 0.5)
    >>> y.item(), torch.autograd.grad((y * y).sum(), x)[0].item()  # -0.5 * 2 * 3
    (3.0, -3.0)
    """
    where = "adapt.reverse_gradient"
    check_float(where, "x", x)
    cause = "the sign is turned already"
    check_range(where, "weight", weight, 0, high_open=True, cause=cause)
    turned: Tensor = _Reversal.apply(x, weight)
    return turned


class _Reversal(torch.autograd.Function):
    """Identity forward, minus `weight` times the gradient backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.clone()  # a layer behind that works in place leaves x alone

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None


def _check_samples(where: str, source: Tensor, target: Tensor, rows: int) -> None:
    for name, sample in (("source", source), ("target", target)):
        check_float(where, name, sample)
        require(
            sample.ndim == 2 and sample.shape[1] > 0,
            where,
            f"{name} must have shape (n, d) with d >= 1",
            f"shape {tuple(sample.shape)}",
            "pictures need flatten(1)",
        )
        require(
            len(sample) >= rows,
            where,
            f"{name} must have {rows} rows or more",
            len(sample),
            "did a filter leave too little?",
        )
    require(
        source.shape[1] == target.shape[1],
        where,
        "source and target must have equal feature counts",
        f"{source.shape[1]} and {target.shape[1]}",
        "do both come from the same body?",
    )
