"""Loss functions from their formulas, in nats, averaged over the batch.

The classification losses take *logits*, the raw numbers of the last layer, because
the logarithm of a softmax can be computed safely from logits and from nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlcourse._checks import (
    check_float,
    check_labels,
    check_logits,
    check_range,
    check_same_shape,
    require,
)

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "kl_divergence",
    "log_softmax",
    "log_sum_exp",
    "mse",
]


def log_sum_exp(logits: Tensor) -> Tensor:
    r"""Logarithm of the summed exponentials of each row, without overflow.

    .. math:: \mathrm{lse}(z) = m + \log \sum_k e^{z_k - m}, \qquad m = \max_k z_k

    Parameters
    ----------
    logits : Tensor, shape (n, c), float
        Any finite values; a row may also hold ``-inf`` for a class that is ruled out,
        though not for all classes.

    Returns
    -------
    Tensor, shape (n,)
        One value a row, natural logarithm. Its gradient is the softmax of the row.

    Raises
    ------
    TypeError
        If `logits` is not a floating-point tensor.
    ValueError
        If `logits` is not a non-empty matrix.

    Notes
    -----
    The largest exponent is 0, so the sum lies in [1, c] and nothing overflows.
    Source: Blanchard, Higham & Higham 2021, doi:10.1093/imanum/draa038.

    Examples
    --------
    >>> log_sum_exp(torch.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    tensor([6.9315e-01, 1.0000e+03])
    """
    check_logits("losses.log_sum_exp", logits)
    # The shift cancels, so no gradient has to flow through it.
    largest = logits.detach().amax(dim=1, keepdim=True)  # (n, 1)
    return largest.squeeze(1) + (logits - largest).exp().sum(dim=1).log()  # (n,)


def log_softmax(logits: Tensor) -> Tensor:
    r"""Logarithm of the softmax of each row, without overflow.

    .. math:: \log p_k = z_k - \mathrm{lse}(z)

    Parameters
    ----------
    logits : Tensor, shape (n, c), float
        As in `log_sum_exp`.

    Returns
    -------
    Tensor, shape (n, c)
        Log-probabilities: each is <= 0 and the exponentials of a row sum to 1.

    Raises
    ------
    TypeError
        If `logits` is not a floating-point tensor.
    ValueError
        If `logits` is not a non-empty matrix.

    Notes
    -----
    The row's maximum is subtracted before `log_sum_exp` is: in single precision,
    logits near 1,000 then lose no digits of their differences. Source: as there.

    Examples
    --------
    >>> log_softmax(torch.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    tensor([[-6.9315e-01, -6.9315e-01],
            [ 0.0000e+00, -1.0000e+03]])
    """
    check_logits("losses.log_softmax", logits)
    shifted = logits - logits.detach().amax(dim=1, keepdim=True)  # (n, c)
    return shifted - log_sum_exp(shifted).unsqueeze(1)


def cross_entropy(
    logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0
) -> Tensor:
    r"""Mean negative log-probability of the right class, from logits.

    .. math:: \ell = -\frac{1}{n} \sum_{i=1}^{n} \sum_{k=1}^{c}
        \Bigl[(1 - \varepsilon)\, 1_{k = y_i} + \frac{\varepsilon}{c}\Bigr] \log p_{ik},
        \qquad p_i = \mathrm{softmax}(z_i)

    Parameters
    ----------
    logits : Tensor, shape (n, c), float
        Finite raw scores, not probabilities.
    labels : Tensor, shape (n,), int64
        Class indices in [0, c).
    label_smoothing : float, default=0.0
        The weight :math:`\varepsilon` in [0, 1) that is taken from the right class
        and spread over all c classes.

    Returns
    -------
    Tensor, shape ()
        Mean over the batch, in nats, >= 0. The gradient with respect to the logits is
        (softmax - smoothed one-hot) / n.

    Raises
    ------
    TypeError
        If `logits` is not floating point, `labels` not int64, or `label_smoothing`
        not a number.
    ValueError
        If shapes do not fit, a label or `label_smoothing` is out of range.

    Notes
    -----
    Negative log-likelihood of a categorical model. Source: Bishop 2006, equation
    4.108; label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.

    Examples
    --------
    >>> logits = torch.tensor([[0.0, 0.0], [1000.0, 0.0]])
    >>> cross_entropy(logits, torch.tensor([1, 0])).item()  # (log 2 + 0) / 2
    0.3465735912322998
    """
    where = "losses.cross_entropy"
    check_logits(where, logits)
    n, c = logits.shape
    check_labels(where, labels, n, c)
    check_range(
        where,
        "label_smoothing",
        label_smoothing,
        0,
        1,
        high_open=True,
        cause="is it a fraction, not a percentage?",
    )
    log_probs = log_softmax(logits)  # (n, c)
    right = log_probs.gather(1, labels.unsqueeze(1)).squeeze(1)  # (n,)
    if label_smoothing == 0:
        return -right.mean()  # so that a class ruled out by -inf gives no 0 * inf
    return -((1 - label_smoothing) * right + label_smoothing * log_probs.mean(1)).mean()


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Mean negative log-likelihood of yes-or-no labels, from logits.

    .. math:: \ell = -\frac{1}{N} \sum_i \bigl[ y_i \log \sigma(z_i)
        + (1 - y_i) \log (1 - \sigma(z_i)) \bigr]

    Parameters
    ----------
    logits : Tensor, any shape with N >= 1 elements, float
        Finite log-odds of "yes", one an element; not probabilities.
    labels : Tensor, the shape of `logits`, numeric or bool
        1 for yes, 0 for no; a value between them is a soft label.

    Returns
    -------
    Tensor, shape ()
        Mean over all elements, in nats, >= 0. The gradient with respect to the logits
        is (sigmoid - labels) / N.

    Raises
    ------
    TypeError
        If `logits` is not a floating-point tensor or `labels` not a tensor.
    ValueError
        If the shapes differ, the batch is empty or a label lies outside [0, 1].

    Notes
    -----
    Both logarithms are computed as :math:`-\log(1 + e^{\mp z})`, exact in both tails.
    Negative log-likelihood of a Bernoulli model. Source: Bishop 2006, equation 4.90.

    Examples
    --------
    >>> logits = torch.tensor([0.0, 1000.0])
    >>> binary_cross_entropy(logits, torch.tensor([1, 1])).item()  # (log 2 + 0) / 2
    0.3465735912322998
    """
    where = "losses.binary_cross_entropy"
    check_float(where, "logits", logits)
    if not isinstance(labels, Tensor):
        raise TypeError(
            f"{where}: labels must be a torch tensor, got {type(labels).__name__}; "
            "convert it with torch.as_tensor"
        )
    check_same_shape(where, "labels", labels, "logits", logits)
    _check_not_empty(where, logits)
    low, high = labels.min().item(), labels.max().item()
    require(
        0 <= low and high <= 1,
        where,
        "labels must lie in [0, 1]",
        f"min {low}, max {high}",
        "are they class indices for cross_entropy, or coded -1 and 1?",
    )
    yes = labels.to(logits.dtype)
    zero = torch.zeros_like(logits)
    minus_log_yes = torch.logaddexp(zero, -logits)  # -log sigmoid(z)
    minus_log_no = torch.logaddexp(zero, logits)  # -log(1 - sigmoid(z))
    return (yes * minus_log_yes + (1 - yes) * minus_log_no).mean()


def mse(predictions: Tensor, values: Tensor) -> Tensor:
    r"""Mean squared error.

    .. math:: \ell = \frac{1}{N} \sum_i (\hat{y}_i - y_i)^2

    Parameters
    ----------
    predictions : Tensor, any shape with N >= 1 elements, float
        What the model says.
    values : Tensor, the shape of `predictions`, float
        What was observed. Nothing is broadcast: (n, 1) against (n,) is an error.

    Returns
    -------
    Tensor, shape ()
        Mean over all N elements, >= 0. The gradient with respect to the predictions
        is 2 (predictions - values) / N.

    Raises
    ------
    TypeError
        If an argument is not a floating-point tensor.
    ValueError
        If the shapes differ or are empty.

    Notes
    -----
    Negative log-likelihood of a Gaussian with fixed variance, up to scale and shift.
    Source: Bishop 2006, section 3.1.1.

    Examples
    --------
    >>> mse(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])).item()  # (0 + 4) / 2
    2.0
    """
    where = "losses.mse"
    check_float(where, "predictions", predictions)
    check_float(where, "values", values)
    check_same_shape(where, "predictions", predictions, "values", values)
    _check_not_empty(where, predictions)
    return (predictions - values).square().mean()


def kl_divergence(log_probs_p: Tensor, log_probs_q: Tensor) -> Tensor:
    r"""Mean Kullback-Leibler divergence of q from p.

    .. math:: \mathrm{KL}(p \,\|\, q) = \frac{1}{n} \sum_{i=1}^{n} \sum_{k=1}^{c}
        p_{ik} (\log p_{ik} - \log q_{ik}), \qquad 0 \log 0 = 0

    Parameters
    ----------
    log_probs_p : Tensor, shape (n, c), float
        Log-probabilities of the reference: labels, or a teacher. ``-inf`` is allowed.
    log_probs_q : Tensor, shape (n, c), float
        Log-probabilities of the model, for example from `log_softmax`.

    Returns
    -------
    Tensor, shape ()
        Mean over the batch, in nats, >= 0; 0 when p equals q, infinite when q rules
        out what p does not. Gradients reach both arguments.

    Raises
    ------
    TypeError
        If an argument is not a floating-point tensor.
    ValueError
        If the shapes differ, are not (n, c), or the rows are not log-probabilities.

    Notes
    -----
    Argument order as in KL(p || q), the reverse of ``torch.nn.functional.kl_div``.
    Source: Kullback & Leibler 1951, doi:10.1214/aoms/1177729694.

    Examples
    --------
    >>> p = torch.tensor([[0.5, 0.5]]).log()
    >>> q = torch.tensor([[0.25, 0.75]]).log()
    >>> round(kl_divergence(p, q).item(), 4)  # log(4 / 3) / 2
    0.1438
    """
    where = "losses.kl_divergence"
    _check_log_probs(where, "log_probs_p", log_probs_p)
    _check_log_probs(where, "log_probs_q", log_probs_q)
    check_same_shape(where, "log_probs_q", log_probs_q, "log_probs_p", log_probs_p)
    log_ratio = (log_probs_p - log_probs_q).masked_fill(log_probs_p == -torch.inf, 0.0)
    return (log_probs_p.exp() * log_ratio).sum(dim=1).mean()


def _check_not_empty(where: str, values: Tensor) -> None:
    require(
        values.numel() > 0,
        where,
        "the batch must not be empty",
        f"shape {tuple(values.shape)}",
        "did a filter or a split leave nothing?",
    )


def _check_log_probs(where: str, name: str, log_probs: Tensor) -> None:
    check_float(where, name, log_probs)
    require(
        log_probs.ndim == 2 and min(log_probs.shape) > 0,
        where,
        f"{name} must have shape (n, c) with n, c >= 1",
        f"shape {tuple(log_probs.shape)}",
        "is the batch empty or the class axis missing?",
    )
    sums = log_probs.detach().exp().sum(dim=1)
    farthest = sums[(sums - 1).abs().argmax()].item()
    require(
        abs(farthest - 1) < 0.01,  # loose enough for bfloat16
        where,
        f"each row of {name} must be log-probabilities, whose exponentials sum to 1",
        f"a row that sums to {farthest:.4g}",
        "were logits or probabilities passed? apply losses.log_softmax to logits",
    )
