"""What must hold for every pair of samples."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tlcourse import adapt, runtime

VALUE = st.floats(-100, 100)
WIDTHS = st.lists(st.floats(0.1, 50), min_size=1, max_size=3)

# No deadline: a busy machine must not fail a test of arithmetic.
relaxed = settings(deadline=None)


@st.composite
def samples(draw: st.DrawFn, least: int = 2) -> tuple[Tensor, Tensor]:
    """Draw two float64 samples with equal feature counts."""
    d = draw(st.integers(1, 4))
    pair = []
    for _ in range(2):
        n = draw(st.integers(least, 6))
        numbers = draw(st.lists(VALUE, min_size=n * d, max_size=n * d))
        pair.append(torch.tensor(numbers, dtype=torch.float64).reshape(n, d))
    return pair[0], pair[1]


@relaxed
@given(samples(), VALUE)
def test_coral_is_blind_to_means_and_order_and_zero_on_equal_covariances(
    pair: tuple[Tensor, Tensor], shift: float
) -> None:
    x, y = pair
    value = adapt.coral(x, y)
    assert value >= 0
    torch.testing.assert_close(value, adapt.coral(y, x), rtol=1e-12, atol=0)
    moved = adapt.coral(x.flip(0) + shift, shift - y)  # a mirror keeps a covariance
    torch.testing.assert_close(moved, value, rtol=1e-8, atol=1e-8)
    assert abs(adapt.coral(x, shift - x).item()) < 1e-15


@relaxed
@given(samples(), st.floats(0.1, 10))
def test_coral_grows_with_the_fourth_power_of_the_unit(
    pair: tuple[Tensor, Tensor], scale: float
) -> None:
    x, y = pair
    expected = scale**4 * adapt.coral(x, y)
    torch.testing.assert_close(
        adapt.coral(scale * x, scale * y), expected, rtol=1e-9, atol=1e-9
    )


@relaxed
@given(samples(), st.floats(0, 100))
def test_reverse_gradient_is_the_identity_forward_and_minus_weight_backward(
    pair: tuple[Tensor, Tensor], weight: float
) -> None:
    x, y = pair[0].requires_grad_(), pair[1][:1]
    same = adapt.reverse_gradient(x, weight)
    assert torch.equal(same, x)
    (slope,) = torch.autograd.grad((same * y).sum(), x)
    torch.testing.assert_close(slope, -weight * y.expand_as(x), rtol=0, atol=0)


@relaxed
@given(samples(), WIDTHS)
def test_biased_mmd_is_zero_on_identical_sets_in_any_order(
    pair: tuple[Tensor, Tensor], widths: list[float]
) -> None:
    x, _ = pair
    assert abs(adapt.mmd(x, x, bandwidths=widths).item()) < 1e-14
    assert abs(adapt.mmd(x, x.flip(0), bandwidths=widths).item()) < 1e-14


@relaxed
@given(samples(), WIDTHS, st.booleans())
def test_mmd_is_symmetric(
    pair: tuple[Tensor, Tensor], widths: list[float], unbiased: bool
) -> None:
    x, y = pair
    forth = adapt.mmd(x, y, bandwidths=widths, unbiased=unbiased)
    back = adapt.mmd(y, x, bandwidths=widths, unbiased=unbiased)
    torch.testing.assert_close(forth, back, rtol=0, atol=1e-14)


@relaxed
@given(samples(), WIDTHS)
def test_biased_mmd_lies_between_0_and_2_and_above_the_unbiased(
    pair: tuple[Tensor, Tensor], widths: list[float]
) -> None:
    x, y = pair
    biased = adapt.mmd(x, y, bandwidths=widths).item()
    assert -1e-14 < biased <= 2
    unbiased = adapt.mmd(x, y, bandwidths=widths, unbiased=True).item()
    assert unbiased <= biased + 1e-14


@relaxed
@given(samples(), WIDTHS, VALUE)
def test_mmd_is_unmoved_by_a_common_shift_and_a_mirror(
    pair: tuple[Tensor, Tensor], widths: list[float], shift: float
) -> None:
    x, y = pair
    before = adapt.mmd(x, y, bandwidths=widths)
    after = adapt.mmd(shift - x, shift - y, bandwidths=widths)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-9)


@relaxed
@given(samples(), st.floats(0.1, 10))
def test_mmd_with_median_bandwidths_has_no_unit(
    pair: tuple[Tensor, Tensor], scale: float
) -> None:
    x, y = pair
    x = x + 1000 * torch.arange(len(x))[:, None]  # no two rows coincide
    y = y - 1000 * torch.arange(1, len(y) + 1)[:, None]
    torch.testing.assert_close(
        adapt.mmd(scale * x, scale * y), adapt.mmd(x, y), rtol=0, atol=1e-9
    )


@settings(deadline=None, max_examples=25)
@given(samples(least=3), st.integers(0, 100))
def test_proxy_a_distance_lies_between_minus_2_and_2_whatever_comes(
    pair: tuple[Tensor, Tensor], seed: int
) -> None:
    x, y = pair
    value = adapt.proxy_a_distance(
        x, y, generator=runtime.generator(seed, "folds"), folds=3
    )
    assert -2 <= value <= 2
