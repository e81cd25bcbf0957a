"""Losses against two oracles, torch and plain loops, and at their edges."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from reference import losses as reference
from torch import Tensor
from torch.nn import functional as F

from tlcourse import losses

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def draw(*shape: int, scale: float = 3.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, dtype=torch.float64, generator=generator)


def draw_labels(n: int, c: int, seed: int = 1) -> Tensor:
    return torch.randint(c, (n,), generator=torch.Generator().manual_seed(seed))


def value_and_gradient(
    function: Callable[[Tensor], Tensor], at: Tensor
) -> tuple[Tensor, Tensor]:
    variable = at.detach().clone().requires_grad_()
    value = function(variable)
    (gradient,) = torch.autograd.grad(value.sum(), variable)
    return value.detach(), gradient


def assert_same(
    ours: Callable[[Tensor], Tensor],
    theirs: Callable[[Tensor], Tensor],
    at: Tensor,
) -> None:
    """Check that two functions agree in value and gradient to 1e-12."""
    for mine, other in zip(
        value_and_gradient(ours, at), value_and_gradient(theirs, at), strict=True
    ):
        torch.testing.assert_close(mine, other, **TOLERANCE)


# Logits that are ordinary, large, and large with a confident mistake.
LOGITS = {
    "ordinary": draw(7, 5),
    "middling": torch.linspace(-40, 40, 40, dtype=torch.float64).reshape(8, 5),
    "large": draw(7, 5, scale=1000.0),
    "extreme": torch.tensor(
        [[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 1000.0], [1000.0] * 3],
        dtype=torch.float64,
    ),
    "zero": torch.zeros(4, 3, dtype=torch.float64),
    "one class": draw(3, 1),
}


@pytest.fixture(params=LOGITS)
def logits(request: pytest.FixtureRequest) -> Tensor:
    return LOGITS[request.param]


# --- oracle 1: torch ---------------------------------------------------------


def test_log_sum_exp_is_torchs(logits: Tensor) -> None:
    assert_same(losses.log_sum_exp, lambda z: torch.logsumexp(z, 1), logits)


def test_log_softmax_is_torchs(logits: Tensor) -> None:
    weights = draw(*logits.shape, seed=5)  # so that the gradient is not all zero
    assert_same(
        lambda z: losses.log_softmax(z) * weights,
        lambda z: torch.log_softmax(z, 1) * weights,
        logits,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_is_torchs(logits: Tensor, smoothing: float) -> None:
    labels = draw_labels(*logits.shape)
    assert_same(
        lambda z: losses.cross_entropy(z, labels, label_smoothing=smoothing),
        lambda z: F.cross_entropy(z, labels, label_smoothing=smoothing),
        logits,
    )


@pytest.mark.parametrize("name", ["hard", "soft"])
def test_binary_cross_entropy_is_torchs(logits: Tensor, name: str) -> None:
    random = torch.rand(
        logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    labels = random if name == "soft" else random.round()
    assert_same(
        lambda z: losses.binary_cross_entropy(z, labels),
        lambda z: F.binary_cross_entropy_with_logits(z, labels),
        logits,
    )


def test_mse_is_torchs(logits: Tensor) -> None:
    values = draw(*logits.shape, seed=3)
    assert_same(
        lambda x: losses.mse(x, values), lambda x: F.mse_loss(x, values), logits
    )


def test_kl_divergence_is_torchs_in_both_arguments(logits: Tensor) -> None:
    log_q = torch.log_softmax(draw(*logits.shape, seed=4), 1)

    def torchs(log_p: Tensor, log_q: Tensor) -> Tensor:
        return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)

    log_p = torch.log_softmax(logits, 1)
    assert_same(
        lambda p: losses.kl_divergence(p, log_q), lambda p: torchs(p, log_q), log_p
    )
    assert_same(
        lambda q: losses.kl_divergence(log_p, q), lambda q: torchs(log_p, q), log_q
    )


# --- oracle 2: plain loops ---------------------------------------------------


def test_log_sum_exp_is_the_loops() -> None:
    logits = LOGITS["ordinary"]
    ours = losses.log_sum_exp(logits)
    theirs = torch.tensor(reference.log_sum_exp(logits.tolist()), dtype=torch.float64)
    torch.testing.assert_close(ours, theirs, **TOLERANCE)
    log_probs = torch.tensor(
        [reference.softmax(row) for row in logits.tolist()], dtype=torch.float64
    ).log()
    torch.testing.assert_close(losses.log_softmax(logits), log_probs, **TOLERANCE)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_is_the_loops(smoothing: float) -> None:
    logits, labels = LOGITS["ordinary"], draw_labels(7, 5)
    value, gradient = value_and_gradient(
        lambda z: losses.cross_entropy(z, labels, label_smoothing=smoothing), logits
    )
    arguments = logits.tolist(), labels.tolist()
    assert value.item() == pytest.approx(
        reference.cross_entropy(*arguments, label_smoothing=smoothing), rel=1e-12
    )
    expected = reference.cross_entropy_gradient(*arguments, label_smoothing=smoothing)
    torch.testing.assert_close(
        gradient, torch.tensor(expected, dtype=torch.float64), **TOLERANCE
    )


def test_binary_cross_entropy_is_the_loops() -> None:
    logits = draw(9)
    labels = torch.tensor([0, 1, 1, 0, 1, 0.2, 0.5, 1, 0], dtype=torch.float64)
    value, gradient = value_and_gradient(
        lambda z: losses.binary_cross_entropy(z, labels), logits
    )
    arguments = logits.tolist(), labels.tolist()
    assert value.item() == pytest.approx(
        reference.binary_cross_entropy(*arguments), rel=1e-12
    )
    expected = reference.binary_cross_entropy_gradient(*arguments)
    torch.testing.assert_close(
        gradient, torch.tensor(expected, dtype=torch.float64), **TOLERANCE
    )


def test_mse_is_the_loops() -> None:
    predictions, values = draw(9), draw(9, seed=6)
    value, gradient = value_and_gradient(lambda x: losses.mse(x, values), predictions)
    arguments = predictions.tolist(), values.tolist()
    assert value.item() == pytest.approx(reference.mse(*arguments), rel=1e-12)
    torch.testing.assert_close(
        gradient,
        torch.tensor(reference.mse_gradient(*arguments), dtype=torch.float64),
        **TOLERANCE,
    )


def test_kl_divergence_is_the_loops() -> None:
    log_p, log_q = torch.log_softmax(draw(6, 4), 1), torch.log_softmax(draw(6, 4), 1)
    log_q = log_q.roll(1, 0)
    ours = losses.kl_divergence(log_p, log_q).item()
    theirs = reference.kl_divergence(log_p.exp().tolist(), log_q.exp().tolist())
    assert ours == pytest.approx(theirs, rel=1e-12)


# --- hand-worked numbers and relations ---------------------------------------


def test_the_erratas_example() -> None:
    logits, label = torch.tensor([[5.0, 2.0, -1.0]]), torch.tensor([0])
    right = losses.cross_entropy(logits, label).item()
    fed_probabilities = losses.cross_entropy(logits.softmax(1), label).item()
    assert right == pytest.approx(0.0509, abs=5e-5)
    assert fed_probabilities == pytest.approx(0.5838, abs=5e-5)


def test_cross_entropy_of_perfect_probabilities_has_a_floor() -> None:
    perfect = torch.eye(10, dtype=torch.float64)
    floor = losses.cross_entropy(perfect, torch.arange(10)).item()
    assert floor == pytest.approx(math.log(math.e + 9) - 1, rel=1e-12)


def test_cross_entropy_at_zero_logits_is_log_c() -> None:
    assert losses.cross_entropy(
        torch.zeros(3, 10, dtype=torch.float64), torch.tensor([0, 4, 9])
    ).item() == pytest.approx(math.log(10), rel=1e-12)


def test_two_classes_are_the_binary_case() -> None:
    logits, labels = draw(8, 2), draw_labels(8, 2)
    binary = losses.binary_cross_entropy(logits[:, 1] - logits[:, 0], labels)
    torch.testing.assert_close(
        losses.cross_entropy(logits, labels), binary, **TOLERANCE
    )


def test_cross_entropy_is_kl_from_one_hot() -> None:
    logits, labels = draw(8, 4), draw_labels(8, 4)
    one_hot = F.one_hot(labels, 4).double()
    divergence = losses.kl_divergence(one_hot.log(), losses.log_softmax(logits))
    torch.testing.assert_close(
        losses.cross_entropy(logits, labels), divergence, **TOLERANCE
    )


# --- edges -------------------------------------------------------------------


def test_single_precision_keeps_its_digits_far_from_zero() -> None:
    near = torch.tensor([[0.25, 0.5, 0.125]])  # exact in binary, also plus 1,000
    torch.testing.assert_close(
        losses.log_softmax(near + 1000), losses.log_softmax(near), rtol=0, atol=0
    )


def test_small_losses_are_not_rounded_away() -> None:
    sure = torch.tensor([20.0, -20.0])  # 1 + exp(-20) is 1 in single precision
    loss = losses.binary_cross_entropy(sure, torch.tensor([1, 0])).item()
    assert loss == pytest.approx(math.exp(-20), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32])
def test_binary_labels_may_be_of_any_numeric_type(dtype: torch.dtype) -> None:
    loss = losses.binary_cross_entropy(draw(3), torch.tensor([0, 1, 1]).to(dtype))
    assert loss.dtype == torch.float64
    assert (
        loss.item()
        == losses.binary_cross_entropy(draw(3), torch.tensor([0.0, 1.0, 1.0])).item()
    )


def test_a_class_ruled_out_costs_nothing_unless_it_is_right() -> None:
    logits = torch.tensor([[0.0, 0.0, -torch.inf]], dtype=torch.float64)
    value, gradient = value_and_gradient(
        lambda z: losses.cross_entropy(z, torch.tensor([0])), logits
    )
    assert value.item() == pytest.approx(math.log(2), rel=1e-12)
    torch.testing.assert_close(
        gradient, torch.tensor([[-0.5, 0.5, 0.0]], dtype=torch.float64), **TOLERANCE
    )
    assert losses.cross_entropy(logits, torch.tensor([2])).item() == math.inf


def test_kl_divergence_where_a_probability_is_zero() -> None:
    certain = torch.tensor([[0.0, -torch.inf]], dtype=torch.float64)
    even = torch.tensor([[0.5, 0.5]], dtype=torch.float64).log()
    value, gradient = value_and_gradient(
        lambda p: losses.kl_divergence(p, even), certain
    )
    assert value.item() == pytest.approx(math.log(2), rel=1e-12)
    assert torch.isfinite(gradient).all()
    assert losses.kl_divergence(certain, certain).item() == 0
    assert losses.kl_divergence(even, certain).item() == math.inf


# --- messages ----------------------------------------------------------------

TWO_BY_THREE = torch.zeros(2, 3)
EVEN = torch.full((2, 2), 0.5).log()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(
            lambda: losses.log_sum_exp(torch.zeros(3)),
            ValueError,
            r"losses.log_sum_exp: logits must have shape \(n, c\) .* got shape \(3,\)",
            id="log_sum_exp-vector",
        ),
        pytest.param(
            lambda: losses.log_softmax(torch.zeros(2, 3, dtype=torch.int64)),
            TypeError,
            "losses.log_softmax: logits must be floating point, got torch.int64",
            id="log_softmax-int",
        ),
        pytest.param(
            lambda: losses.cross_entropy(torch.zeros(0, 3), torch.zeros(0).long()),
            ValueError,
            r"losses.cross_entropy: logits must have shape .* is the batch empty",
            id="cross_entropy-empty",
        ),
        pytest.param(
            lambda: losses.cross_entropy([[0.0]], torch.tensor([0])),
            TypeError,
            "losses.cross_entropy: logits must be a torch tensor, got list",
            id="cross_entropy-list",
        ),
        pytest.param(
            lambda: losses.cross_entropy(TWO_BY_THREE, torch.eye(3)[:2]),
            TypeError,
            "labels must be an int64 tensor of class indices, got torch.float32",
            id="cross_entropy-one-hot",
        ),
        pytest.param(
            lambda: losses.cross_entropy(TWO_BY_THREE, torch.tensor([0, 1, 2])),
            ValueError,
            r"labels must have shape \(2,\), got shape \(3,\)",
            id="cross_entropy-lengths",
        ),
        pytest.param(
            lambda: losses.cross_entropy(TWO_BY_THREE, torch.tensor([0, 3])),
            ValueError,
            r"labels must lie in \[0, 3\) .* got max 3; does the new head",
            id="cross_entropy-label-too-high",
        ),
        pytest.param(
            lambda: losses.cross_entropy(TWO_BY_THREE, torch.tensor([-100, 0])),
            ValueError,
            r"labels must lie in \[0, 3\) .* got min -100",
            id="cross_entropy-label-negative",
        ),
        pytest.param(
            lambda: losses.cross_entropy(
                TWO_BY_THREE, torch.tensor([0, 1]), label_smoothing=10
            ),
            ValueError,
            r"label_smoothing must lie in \[0, 1\), got 10; is it a fraction",
            id="cross_entropy-smoothing",
        ),
        pytest.param(
            lambda: losses.cross_entropy(
                TWO_BY_THREE, torch.tensor([0, 1]), label_smoothing=1
            ),
            ValueError,
            r"label_smoothing must lie in \[0, 1\), got 1;",
            id="cross_entropy-smoothing-one",
        ),
        pytest.param(
            lambda: losses.binary_cross_entropy(torch.tensor([0, 1]), torch.zeros(2)),
            TypeError,
            "losses.binary_cross_entropy: logits must be floating point.*swapped",
            id="binary-swapped",
        ),
        pytest.param(
            lambda: losses.binary_cross_entropy(torch.zeros(2), [0, 1]),
            TypeError,
            "losses.binary_cross_entropy: labels must be a torch tensor, got list",
            id="binary-list",
        ),
        pytest.param(
            lambda: losses.binary_cross_entropy(torch.zeros(2, 1), torch.zeros(2)),
            ValueError,
            r"labels must have the shape of logits, \(2, 1\), got \(2,\)",
            id="binary-shapes",
        ),
        pytest.param(
            lambda: losses.binary_cross_entropy(torch.zeros(0), torch.zeros(0)),
            ValueError,
            "losses.binary_cross_entropy: the batch must not be empty",
            id="binary-empty",
        ),
        pytest.param(
            lambda: losses.binary_cross_entropy(torch.zeros(2), torch.tensor([-1, 1])),
            ValueError,
            r"labels must lie in \[0, 1\], got min -1, max 1; .* coded -1 and 1",
            id="binary-signs",
        ),
        pytest.param(
            lambda: losses.binary_cross_entropy(torch.zeros(2), torch.tensor([1, 7])),
            ValueError,
            r"labels must lie in \[0, 1\], got min 1, max 7; are they class indices",
            id="binary-indices",
        ),
        pytest.param(
            lambda: losses.mse(torch.zeros(3), torch.tensor([1, 2, 3])),
            TypeError,
            "losses.mse: values must be floating point, got torch.int64",
            id="mse-int",
        ),
        pytest.param(
            lambda: losses.mse(torch.tensor([1, 2]), torch.zeros(2)),
            TypeError,
            "losses.mse: predictions must be floating point",
            id="mse-predictions-int",
        ),
        pytest.param(
            lambda: losses.mse(torch.zeros(3, 1), torch.zeros(3)),
            ValueError,
            r"losses.mse: predictions must have the shape of values, \(3,\)",
            id="mse-broadcast",
        ),
        pytest.param(
            lambda: losses.mse(torch.zeros(0), torch.zeros(0)),
            ValueError,
            "losses.mse: the batch must not be empty",
            id="mse-empty",
        ),
        pytest.param(
            lambda: losses.kl_divergence(EVEN, TWO_BY_THREE),
            ValueError,
            "each row of log_probs_q must be log-prob.* sums to 3; were logits",
            id="kl-logits",
        ),
        pytest.param(
            lambda: losses.kl_divergence(EVEN.exp(), EVEN),
            ValueError,
            "each row of log_probs_p must be log-prob.* sums to 3.297",
            id="kl-probabilities",
        ),
        pytest.param(
            lambda: losses.kl_divergence(EVEN, EVEN[:1]),
            ValueError,
            r"log_probs_q must have the shape of log_probs_p, \(2, 2\), got \(1, 2\)",
            id="kl-shapes",
        ),
        pytest.param(
            lambda: losses.kl_divergence(EVEN[0], EVEN),
            ValueError,
            r"log_probs_p must have shape \(n, c\) with n, c >= 1, got shape \(2,\)",
            id="kl-vector",
        ),
        pytest.param(
            lambda: losses.kl_divergence(EVEN.long(), EVEN),
            TypeError,
            "losses.kl_divergence: log_probs_p must be floating point",
            id="kl-int",
        ),
    ],
)
def test_messages(
    call: Callable[[], Tensor], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()
