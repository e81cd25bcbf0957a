"""What must hold for every input of a loss."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tlcourse import losses

LOGIT = st.floats(-1000, 1000)
SMOOTHING = st.sampled_from([0.0, 0.1, 0.5])

# No deadline: a busy machine must not fail a test of arithmetic.
relaxed = settings(deadline=None)


@st.composite
def matrices(draw: st.DrawFn, elements: st.SearchStrategy[float] = LOGIT) -> Tensor:
    """Draw an (n, c) float64 matrix."""
    n, c = draw(st.integers(1, 5)), draw(st.integers(2, 6))
    numbers = draw(st.lists(elements, min_size=n * c, max_size=n * c))
    return torch.tensor(numbers, dtype=torch.float64).reshape(n, c)


@st.composite
def classified(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draw logits and labels that fit them."""
    logits = draw(matrices())
    n, c = logits.shape
    labels = draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n))
    return logits, torch.tensor(labels)


@relaxed
@given(classified(), SMOOTHING)
def test_cross_entropy_is_finite_and_not_negative(
    case: tuple[Tensor, Tensor], smoothing: float
) -> None:
    logits, labels = case
    loss = losses.cross_entropy(logits, labels, label_smoothing=smoothing).item()
    assert 0 <= loss < math.inf


@relaxed
@given(classified(), st.floats(-1000, 1000), SMOOTHING)
def test_a_constant_added_to_the_logits_changes_nothing(
    case: tuple[Tensor, Tensor], constant: float, smoothing: float
) -> None:
    logits, labels = case
    before = losses.cross_entropy(logits, labels, label_smoothing=smoothing)
    after = losses.cross_entropy(logits + constant, labels, label_smoothing=smoothing)
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)


@relaxed
@given(classified(), SMOOTHING)
def test_the_cross_entropy_gradient_sums_to_zero_in_each_row(
    case: tuple[Tensor, Tensor], smoothing: float
) -> None:
    logits, labels = case
    logits.requires_grad_()
    losses.cross_entropy(logits, labels, label_smoothing=smoothing).backward()
    assert logits.grad is not None
    torch.testing.assert_close(
        logits.grad.sum(1), torch.zeros(len(labels), dtype=torch.float64)
    )


@relaxed
@given(classified())
def test_each_example_of_a_batch_counts_the_same(case: tuple[Tensor, Tensor]) -> None:
    logits, labels = case
    one_by_one = [
        losses.cross_entropy(logits[i : i + 1], labels[i : i + 1])
        for i in range(len(labels))
    ]
    torch.testing.assert_close(
        losses.cross_entropy(logits, labels), torch.stack(one_by_one).mean()
    )


@relaxed
@given(matrices())
def test_log_softmax_is_a_distribution_in_the_order_of_the_logits(
    logits: Tensor,
) -> None:
    log_probs = losses.log_softmax(logits)
    assert (log_probs <= 0).all()
    torch.testing.assert_close(
        log_probs.exp().sum(1), torch.ones(len(logits), dtype=torch.float64)
    )
    rows = torch.arange(len(logits))
    assert (log_probs[rows, logits.argmax(1)] == log_probs.amax(1)).all()


@relaxed
@given(matrices())
def test_log_sum_exp_lies_between_the_maximum_and_it_plus_log_c(logits: Tensor) -> None:
    excess = losses.log_sum_exp(logits) - logits.amax(1)
    assert (excess >= 0).all()
    assert (excess <= math.log(logits.shape[1]) + 1e-9).all()


@relaxed
@given(st.lists(st.tuples(LOGIT, st.floats(0, 1)), min_size=1, max_size=8))
def test_binary_cross_entropy_is_symmetric_finite_and_not_negative(
    pairs: list[tuple[float, float]],
) -> None:
    logits, labels = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    loss = losses.binary_cross_entropy(logits, labels)
    assert 0 <= loss.item() < math.inf
    torch.testing.assert_close(losses.binary_cross_entropy(-logits, 1 - labels), loss)


@relaxed
@given(matrices(), st.floats(-100, 100))
def test_mse_of_a_shift_is_its_square(values: Tensor, shift: float) -> None:
    loss = losses.mse(values + shift, values).item()
    assert math.isclose(loss, shift**2, rel_tol=1e-6, abs_tol=1e-9)


@relaxed
@given(matrices(st.floats(-20, 20)), st.integers(0, 5))
def test_kl_is_zero_on_itself_and_never_negative(logits: Tensor, places: int) -> None:
    log_p = losses.log_softmax(logits)
    log_q = losses.log_softmax(logits.roll(places, dims=1))
    assert losses.kl_divergence(log_p, log_p).item() == 0
    divergence = losses.kl_divergence(log_p, log_q).item()
    assert divergence >= -1e-12  # the sum of terms of both signs is rounded
    # Pinsker's inequality: far apart in total variation means far apart in KL.
    distance = (log_p.exp() - log_q.exp()).abs().sum(1)
    assert divergence >= 0.5 * distance.square().mean().item() - 1e-12
