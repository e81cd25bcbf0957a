"""Domain distances against loops, scikit-learn, hand-worked and exact values."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from reference import Library
from reference import adapt as reference
from torch import Tensor

from tlcourse import adapt, runtime

pairwise = Library("sklearn.metrics.pairwise")
selection = Library("sklearn.model_selection")


def draw(n: int, d: int, *, seed: int, shift: float = 0.0) -> Tensor:
    generator = runtime.generator(seed, "test")
    return torch.randn(n, d, dtype=torch.float64, generator=generator) + shift


X, Y = draw(7, 3, seed=0), draw(5, 3, seed=1, shift=0.7)


def problem(seed: int) -> tuple[Tensor, Tensor]:
    """Return a random pair of samples of random sizes, shift and scale."""
    generator = runtime.generator(seed, "problem")
    sizes = torch.randint(6, 13, (2,), generator=generator).tolist()
    d = int(torch.randint(1, 4, (), generator=generator))
    scale = float(torch.rand((), generator=generator)) * 3 + 0.1
    x, y = (draw(n, d, seed=10 * seed + i) for i, n in enumerate(sizes))
    return x, scale * y + 0.5


FIFTY = range(100, 150)


# --- coral --------------------------------------------------------------------


@pytest.mark.parametrize("seed", FIFTY)
def test_coral_is_the_loops_and_numpys_covariances(seed: int) -> None:
    x, y = problem(seed)
    ours = adapt.coral(x, y).item()
    assert ours == pytest.approx(reference.coral(x.tolist(), y.tolist()), abs=1e-9)
    gap = np.atleast_2d(np.cov(x.numpy().T) - np.cov(y.numpy().T))
    frobenius = np.linalg.norm(gap) ** 2 / (4 * x.shape[1] ** 2)
    assert ours == pytest.approx(float(frobenius), abs=1e-9)


def test_coral_of_points_worked_by_hand() -> None:
    # Covariances [[1/2, 0], [0, 2]] (n - 1 = 1, centred rows +-(1/2, 0) + ... ): from
    # {(0, 0), (1, 0)} it is [[1/2, 0], [0, 0]], from {(0, 0), (0, 2)} [[0, 0], [0, 2]].
    # Their difference squared is 1/4 + 4, over 4 * 2^2.
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([[0.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    assert adapt.coral(x, y).item() == pytest.approx((0.25 + 4) / 16, abs=1e-15)


def test_coral_is_what_it_documents_and_nothing_of_the_means() -> None:
    # A well-known library documents this formula, adds a difference of means to it
    # and leaves out the 4: its value changes with a shift, and it is four times this.
    far = adapt.coral(X + 1000, Y)
    torch.testing.assert_close(far, adapt.coral(X, Y), rtol=1e-9, atol=1e-9)
    gap = torch.cov(X.T) - torch.cov(Y.T)
    assert adapt.coral(X, Y).item() == pytest.approx(
        gap.square().sum().item() / 36, abs=1e-12
    )


def test_coral_gradients_reach_both_sides() -> None:
    x, y = X.clone().requires_grad_(), Y.clone().requires_grad_()
    assert torch.autograd.gradcheck(adapt.coral, (x, y))
    assert torch.autograd.gradgradcheck(adapt.coral, (x, y))
    same = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(adapt.coral(same, X), same)
    assert slope.abs().max() == 0  # no NaN of a norm at its lowest point


def test_coral_in_float32_is_close_and_keeps_its_type() -> None:
    single = adapt.coral(X.float(), Y.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), adapt.coral(X, Y), rtol=1e-4, atol=1e-6)


def test_coral_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(TypeError, match=r"adapt\.coral: target must be floating point"):
        adapt.coral(X, Y.long())
    with pytest.raises(ValueError, match="source must have 2 rows or more, got 1"):
        adapt.coral(X[:1], Y)
    with pytest.raises(ValueError, match="equal feature counts, got 3 and 2"):
        adapt.coral(X, Y[:, :2])
    with pytest.raises(ValueError, match=r"source must have shape \(n, d\).*flatten"):
        adapt.coral(X.reshape(7, 3, 1), Y)


# --- reverse_gradient ---------------------------------------------------------


def by_detaching(x: Tensor, weight: float) -> Tensor:
    """Turn a gradient round without a layer of its own: equal values, another slope."""
    return x.detach() - weight * (x - x.detach())


@pytest.mark.parametrize("seed", FIFTY)
def test_reverse_gradient_is_the_loops_and_a_detached_copy(seed: int) -> None:
    x, y = problem(seed)
    both = torch.cat([x, y]).requires_grad_()
    is_target = (torch.arange(len(both)) >= len(x)).double()
    slope = draw(both.shape[1], 1, seed=seed)
    weight = seed / 100
    found = []
    for reverse in (adapt.reverse_gradient, by_detaching):
        scores = (reverse(both, weight) @ slope).flatten()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, is_target)
        found.append(torch.autograd.grad(loss, both)[0])
    loops = reference.domain_gradient(
        both.tolist(), is_target.int().tolist(), slope.flatten().tolist(), weight
    )
    for other in (found[1], torch.tensor(loops, dtype=torch.float64)):
        torch.testing.assert_close(found[0], other, rtol=0, atol=1e-12)


def test_reverse_gradient_worked_by_hand() -> None:
    # d (x^2 + 3 x) / dx at 2 is 7; the weight 1/2 makes it -3.5.
    x = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    y = adapt.reverse_gradient(x, 0.5)
    assert y.item() == 2.0
    (slope,) = torch.autograd.grad((y * y + 3 * y).sum(), x)
    assert slope.item() == -3.5


def test_reverse_gradient_is_minus_weight_times_what_gradcheck_measures() -> None:
    x = X.clone().requires_grad_()

    def loss(values: Tensor) -> Tensor:
        return values.sin().square().sum()

    assert torch.autograd.gradcheck(loss, (x,))
    (plain,) = torch.autograd.grad(loss(x), x)
    (turned,) = torch.autograd.grad(loss(adapt.reverse_gradient(x, 0.3)), x)
    torch.testing.assert_close(turned, -0.3 * plain, rtol=0, atol=1e-15)
    # Turned twice it is the plain one again, and there gradcheck agrees outright.
    assert torch.autograd.gradcheck(
        lambda v: loss(adapt.reverse_gradient(adapt.reverse_gradient(v, 1), 1)), (x,)
    )
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda v: loss(adapt.reverse_gradient(v, 1)), (x,))


def test_reverse_gradient_sends_nothing_back_at_0_and_works_without_gradients() -> None:
    x = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(adapt.reverse_gradient(x, 0).sum(), x)
    assert slope.abs().max() == 0
    with torch.no_grad():
        assert torch.equal(adapt.reverse_gradient(x, 1.0), X)
    assert not adapt.reverse_gradient(X, 1.0).requires_grad
    infinite = torch.tensor([math.inf, math.nan])
    torch.testing.assert_close(
        adapt.reverse_gradient(infinite, 1.0), infinite, equal_nan=True
    )


def test_reverse_gradient_leaves_its_input_alone_under_layers_that_work_in_place() -> (
    None
):
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    features = x * 1
    torch.nn.functional.relu(
        adapt.reverse_gradient(features, 2.0), inplace=True
    ).sum().backward()
    assert features.tolist() == [-1.0, 2.0]
    assert x.grad is not None and x.grad.tolist() == [0.0, -2.0]


def test_reverse_gradient_trains_a_classifier_and_blinds_the_features() -> None:
    # One step down the one loss: the classifier alone would gain, the features lose.
    slope = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([1.0, -1.0], dtype=torch.float64, requires_grad=True)
    domain = torch.tensor([1.0, 0.0], dtype=torch.float64)

    def loss(features: Tensor, by: Tensor) -> Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(
            features * by, domain
        )

    before = loss(adapt.reverse_gradient(x, 1.0), slope)
    before.backward()
    assert x.grad is not None and slope.grad is not None
    assert loss(x, slope - 0.1 * slope.grad) < before
    assert loss(x - 0.1 * x.grad, slope) > before


def test_reverse_gradient_refuses_what_it_cannot_turn() -> None:
    with pytest.raises(TypeError, match=r"adapt\.reverse_gradient: x must be floating"):
        adapt.reverse_gradient(torch.tensor([1]), 1.0)
    for wrong in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="weight must lie in.*turned already"):
            adapt.reverse_gradient(X, wrong)
    with pytest.raises(TypeError, match="weight must be a number"):
        adapt.reverse_gradient(X, "1")  # type: ignore[arg-type]


# --- mmd ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", FIFTY)
def test_mmd_is_the_loops_and_scikit_learns_kernels_on_fifty(seed: int) -> None:
    x, y = problem(seed)
    for unbiased in (False, True):
        ours = adapt.mmd(x, y, bandwidths=[0.7], unbiased=unbiased).item()
        loops = reference.mmd(
            x.tolist(), y.tolist(), bandwidths=[0.7], unbiased=unbiased
        )
        assert ours == pytest.approx(loops, abs=1e-12)
        gamma = 1 / (2 * 0.7**2)
        within = [pairwise.rbf_kernel(z, gamma=gamma) for z in (x, y)]
        if unbiased:
            for kernel in within:
                np.fill_diagonal(kernel, 0)
        pairs = [len(k) * (len(k) - 1) if unbiased else k.size for k in within]
        across = pairwise.rbf_kernel(x, y, gamma=gamma).mean()
        kernels = sum(k.sum() / n for k, n in zip(within, pairs, strict=True))
        assert ours == pytest.approx(kernels - 2 * across, abs=1e-9)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("bandwidths", [[1.0], [0.3, 1.0, 4.0]])
def test_mmd_is_the_loops(bandwidths: list[float], unbiased: bool) -> None:
    ours = adapt.mmd(X, Y, bandwidths=bandwidths, unbiased=unbiased).item()
    loops = reference.mmd(
        X.tolist(), Y.tolist(), bandwidths=bandwidths, unbiased=unbiased
    )
    assert ours == pytest.approx(loops, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_mmd_is_scikit_learns_kernels(shift: float) -> None:
    x, y = draw(40, 6, seed=2), draw(30, 6, seed=3, shift=0.5)
    expected = 0.0
    for width in (0.5, 2.0):
        gamma = 1 / (2 * width**2)
        k = [
            pairwise.rbf_kernel(a, b, gamma=gamma).mean()
            for a, b in ((x, x), (y, y), (x, y))
        ]
        expected += (k[0] + k[1] - 2 * k[2]) / 2
    # Far from the origin as well: nothing may cancel.
    ours = adapt.mmd(x + shift, y + shift, bandwidths=[0.5, 2.0]).item()
    assert ours == pytest.approx(expected, abs=1e-10 if shift == 0 else 1e-7)


def test_mmd_of_points_worked_by_hand() -> None:
    # x = {0, 1}, y = {2}, one bandwidth 1, with e(d) = exp(-d^2 / 2):
    # within x: (2 + 2 e(1)) / 4; within y: 1; across: (e(2) + e(1)) / 2.
    e1, e2 = math.exp(-0.5), math.exp(-2.0)
    biased = (2 + 2 * e1) / 4 + 1 - (e2 + e1)
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0]])
    ours = adapt.mmd(x.double(), y.double(), bandwidths=[1.0]).item()
    assert ours == pytest.approx(biased, abs=1e-14)
    # Unbiased, y = {2, 2}: e(1) + 1 - (e(2) + e(1)) = 1 - e(2).
    y = torch.tensor([[2.0], [2.0]])
    ours = adapt.mmd(x.double(), y.double(), bandwidths=[1.0], unbiased=True).item()
    assert ours == pytest.approx(1 - e2, abs=1e-14)


def test_the_default_bandwidths_come_from_the_median_distance() -> None:
    median = reference.median_bandwidth(X.tolist(), Y.tolist())
    named = adapt.mmd(X, Y, bandwidths=[median / 2, median, 2 * median])
    torch.testing.assert_close(adapt.mmd(X, Y), named, rtol=1e-12, atol=1e-12)


def test_unbiased_mmd_is_zero_on_average_where_biased_is_not() -> None:
    draws = [(draw(20, 2, seed=s), draw(20, 2, seed=-1 - s)) for s in range(200)]
    unbiased = [adapt.mmd(x, y, bandwidths=[1], unbiased=True).item() for x, y in draws]
    biased = [adapt.mmd(x, y, bandwidths=[1]).item() for x, y in draws]
    spread = statistics.stdev(unbiased) / math.sqrt(len(draws))
    assert abs(statistics.fmean(unbiased)) < 4 * spread
    # The offset that the docstring states, with E k = 1 / 3 for this kernel.
    offset = (1 / 20 + 1 / 20) * (1 - 1 / 3)
    assert statistics.fmean(biased) == pytest.approx(offset, abs=4 * spread)


def test_mmd_meets_the_closed_form_of_two_gaussians() -> None:
    # k of bandwidth 1 between N(0, 1) and N(m, 1): sqrt(1 / 3) exp(-m^2 / 6).
    m = 1.5
    exact = 2 * math.sqrt(1 / 3) * (1 - math.exp(-(m**2) / 6))
    x, y = draw(2000, 1, seed=4), draw(2000, 1, seed=5, shift=m)
    ours = adapt.mmd(x, y, bandwidths=[1.0], unbiased=True).item()
    assert ours == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("unbiased", [False, True])
def test_mmd_gradients_reach_both_sides(unbiased: bool) -> None:
    x, y = X.clone().requires_grad_(), Y.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: adapt.mmd(a, b, bandwidths=[0.5, 2.0], unbiased=unbiased), (x, y)
    )


def test_mmd_gradients_are_finite_where_rows_coincide_and_pull_together() -> None:
    x = torch.zeros(3, 2, requires_grad=True)
    y = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    adapt.mmd(x, y, bandwidths=[1.0]).backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert (x.grad[:, 0] < 0).all()  # descent moves x towards y


def test_mmd_in_float32_is_close_and_keeps_its_type() -> None:
    single = adapt.mmd(X.float(), Y.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), adapt.mmd(X, Y), rtol=1e-5, atol=1e-6)


def test_mmd_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(TypeError, match=r"adapt\.mmd: source must be floating point"):
        adapt.mmd(torch.tensor([[1]]), Y)
    with pytest.raises(ValueError, match=r"target must have shape \(n, d\).*flatten"):
        adapt.mmd(X, Y[0])
    with pytest.raises(ValueError, match="equal feature counts, got 3 and 2"):
        adapt.mmd(X, Y[:, :2])
    with pytest.raises(ValueError, match="target must have 2 rows or more, got 1"):
        adapt.mmd(X, Y[:1], unbiased=True)
    with pytest.raises(ValueError, match="source must have 1 rows or more, got 0"):
        adapt.mmd(X[:0], Y)
    for wrong in ([], [0.0], [1.0, -1.0], [math.nan]):
        with pytest.raises(ValueError, match="bandwidths must be one or more, all > 0"):
            adapt.mmd(X, Y, bandwidths=wrong)
    with pytest.raises(ValueError, match="are features dead"):
        adapt.mmd(torch.zeros(4, 2), torch.zeros(4, 2))


# --- proxy_a_distance ---------------------------------------------------------


def distance(x: Tensor, y: Tensor, seed: int = 0, folds: int = 5) -> float:
    generator = runtime.generator(seed, "folds")
    return adapt.proxy_a_distance(x, y, generator=generator, folds=folds)


@pytest.mark.parametrize("seed", FIFTY)
def test_proxy_a_distance_is_newtons_method_on_the_same_folds(seed: int) -> None:
    x, y = problem(seed)
    rows = torch.cat([x, y]).tolist()
    is_target = [0] * len(x) + [1] * len(y)
    deal = int(torch.randint(2**31 - 1, (), generator=runtime.generator(seed, "folds")))
    folds = selection.StratifiedKFold(3, shuffle=True, random_state=deal)
    mistakes: list[int] = []
    for _, held_out in folds.split(rows, is_target):
        mistakes += reference.held_out_mistakes(rows, is_target, held_out.tolist())
    late = sum(i >= len(x) for i in mistakes)
    error = ((len(mistakes) - late) / len(x) + late / len(y)) / 2
    expected = 2 * (1 - 2 * error)
    assert distance(x, y, seed=seed, folds=3) == pytest.approx(expected, abs=1e-6)


def test_proxy_a_distance_of_points_worked_by_hand() -> None:
    # Source at 0, target at 1 but for 1 row in 10, which lies at 0: whatever the
    # fold, a classifier splits in between and mistakes that row alone. The error is
    # (0 + 1/10) / 2 and the distance 2 (1 - 2 / 20) = 1.8.
    x, y = torch.zeros(20, 1), torch.ones(10, 1)
    y[3] = 0
    assert distance(x, y) == pytest.approx(1.8, abs=1e-12)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0, 4.0])
def test_proxy_a_distance_meets_the_exact_one_of_two_gaussians(shift: float) -> None:
    # The best rule cuts halfway: its error is the normal tail at -shift / 2.
    error = statistics.NormalDist().cdf(-shift / 2)
    x, y = draw(4000, 1, seed=6), draw(4000, 1, seed=7, shift=shift)
    assert distance(x, y) == pytest.approx(2 * (1 - 2 * error), abs=0.06)


def test_proxy_a_distance_is_about_zero_on_one_domain_and_not_cut_off() -> None:
    values = [
        distance(draw(100, 5, seed=s), draw(100, 5, seed=-1 - s)) for s in range(20)
    ]
    assert abs(statistics.fmean(values)) < 0.1
    assert min(values) < 0 < max(values)


def test_proxy_a_distance_is_held_out() -> None:
    # With more features than rows a classifier fits any labels; held out, it cannot.
    x, y = draw(20, 100, seed=8), draw(20, 100, seed=9)
    assert distance(x, y) < 1.0


def test_proxy_a_distance_weighs_unequal_samples_equally() -> None:
    x, y = draw(3000, 1, seed=10), draw(300, 1, seed=11, shift=1.0)
    error = statistics.NormalDist().cdf(-0.5)
    # Unweighted, "always source" has the error 1 / 11 and the distance would be 1.6.
    assert distance(x, y) == pytest.approx(2 * (1 - 2 * error), abs=0.12)


def test_proxy_a_distance_is_scale_free_seeded_and_without_gradient() -> None:
    x, y = draw(60, 3, seed=12), draw(60, 3, seed=13, shift=0.5)
    scale = torch.tensor([1e-4, 1.0, 1e4], dtype=torch.float64)
    assert distance(x, y) == distance(x * scale, y * scale) == distance(x, y)
    assert len({distance(x, y, seed=s) for s in range(8)}) > 1
    assert distance(x.requires_grad_(), y, folds=2) <= 2


def test_proxy_a_distance_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(ValueError, match="folds must be >= 2, got 1"):
        distance(X, Y, folds=1)
    with pytest.raises(ValueError, match="target must have 6 rows or more, got 5"):
        distance(X, Y, folds=6)
    with pytest.raises(TypeError, match="target must be floating point"):
        distance(X, Y.long())
    with pytest.raises(ValueError, match=r"source must have shape \(n, d\)"):
        distance(X.reshape(7, 3, 1), Y)
