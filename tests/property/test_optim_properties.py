"""What holds for every gradient, not only for the examples."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tlcourse import optim

SIZE = st.floats(1e-3, 1e3)
NUMBER = st.floats(-100, 100).filter(lambda x: abs(x) > 1e-3)
GRADIENTS = st.lists(
    st.lists(NUMBER, min_size=3, max_size=3), min_size=1, max_size=12
)  # (steps, d)
RATE = st.floats(1e-4, 1.0)
NAMES = st.sampled_from(["SGD", "Adam", "AdamW"])
START = [1.0, -2.0, 3.0]
# No deadline: the first optimizer of a process makes torch import for seconds.
relaxed = settings(deadline=None)


def follow(optimizer_class, gradients, theta=START, **options):
    """Feed given gradients to an optimizer and return where the parameter ends."""
    parameter = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_class([parameter], **options)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return parameter.detach()


def close(actual, expected, **tolerance):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    tolerance = {"rtol": 1e-9, "atol": 1e-9, **tolerance}
    torch.testing.assert_close(actual, expected, **tolerance)


@relaxed
@given(GRADIENTS, RATE)
def test_plain_sgd_ends_at_start_minus_the_sum(gradients, lr):
    total = torch.tensor(gradients, dtype=torch.float64).sum(0)
    end = follow(optim.SGD, gradients, lr=lr)
    close(end, torch.tensor(START, dtype=torch.float64) - lr * total)


@relaxed
@given(st.lists(NUMBER, min_size=3, max_size=3), RATE, st.floats(0.1, 0.95))
def test_momentum_on_a_constant_gradient_is_a_geometric_series(gradient, lr, momentum):
    """b_t = g (1 + mu + ... + mu^(t-1)): the step grows towards g / (1 - mu)."""
    steps = 10
    end = follow(optim.SGD, [gradient] * steps, lr=lr, momentum=momentum)
    share = sum((1 - momentum**t) / (1 - momentum) for t in range(1, steps + 1))
    expected = [x - lr * share * g for x, g in zip(START, gradient, strict=True)]
    close(end, expected)


@relaxed
@given(st.lists(NUMBER, min_size=3, max_size=3), RATE)
def test_first_step_of_adam_has_length_lr_in_every_element(gradient, lr):
    end = follow(optim.Adam, [gradient], lr=lr, eps=0.0)
    expected = [
        x - lr * math.copysign(1, g) for x, g in zip(START, gradient, strict=True)
    ]
    close(end, expected)


@relaxed
@given(GRADIENTS, RATE, SIZE)
def test_adam_is_blind_to_the_size_of_the_gradients(gradients, lr, size):
    scaled = [[size * g for g in gradient] for gradient in gradients]
    end = follow(optim.Adam, gradients, lr=lr, eps=0.0)
    close(follow(optim.Adam, scaled, lr=lr, eps=0.0), end)


@relaxed
@given(GRADIENTS, RATE)
def test_adam_moves_no_further_than_its_bound(gradients, lr):
    """|m| <= sqrt(v) (1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2)), by Cauchy-Schwarz."""
    beta1, beta2 = 0.9, 0.999
    bound = (1 - beta1) / math.sqrt((1 - beta2) * (1 - beta1**2 / beta2))
    before = torch.tensor(START, dtype=torch.float64)
    for t in range(1, len(gradients) + 1):
        after = follow(optim.Adam, gradients[:t], lr=lr, betas=(beta1, beta2))
        start_up = math.sqrt(1 - beta2**t) / (1 - beta1**t)
        assert (after - before).abs().max() <= lr * bound * start_up * (1 + 1e-9)
        before = after


@relaxed
@given(GRADIENTS, RATE)
def test_adam_and_adamw_agree_without_decay(gradients, lr):
    with_w = follow(optim.AdamW, gradients, lr=lr, weight_decay=0.0)
    assert torch.equal(follow(optim.Adam, gradients, lr=lr), with_w)


@relaxed
@given(GRADIENTS, st.floats(1e-4, 0.5), st.floats(0, 1))
def test_adamw_on_zero_gradients_only_decays(gradients, lr, decay):
    zeros = [[0.0] * 3 for _ in gradients]
    end = follow(optim.AdamW, zeros, lr=lr, weight_decay=decay)
    kept = (1 - lr * decay) ** len(gradients)
    close(end, [kept * x for x in START])


@relaxed
@given(NAMES, GRADIENTS, RATE, st.permutations([0, 1, 2]))
def test_elements_do_not_mix(name, gradients, lr, order):
    """Permuting the elements permutes the end: each goes its own way."""
    make = getattr(optim, name)
    end = follow(make, gradients, lr=lr)
    permuted = [[gradient[j] for j in order] for gradient in gradients]
    moved = follow(make, permuted, [START[j] for j in order], lr=lr)
    assert torch.equal(moved, end[order])


@relaxed
@given(GRADIENTS, RATE)
def test_sgd_turns_with_the_coordinates(gradients, lr):
    """Rotating the gradients rotates the steps of SGD, whatever its momentum."""
    third = math.cos(1.0), math.sin(1.0)
    turn = torch.tensor(
        [[third[0], -third[1], 0.0], [third[1], third[0], 0.0], [0.0, 0.0, 1.0]],
        dtype=torch.float64,
    )
    turned = (torch.tensor(gradients, dtype=torch.float64) @ turn.T).tolist()
    start = torch.tensor(START, dtype=torch.float64)
    end = follow(optim.SGD, gradients, lr=lr, momentum=0.9)
    moved = follow(optim.SGD, turned, (turn @ start).tolist(), lr=lr, momentum=0.9)
    close(moved, turn @ end, atol=1e-8)


def test_adam_does_not_turn_with_the_coordinates():
    """Along an axis the first step has length lr, along a diagonal lr sqrt(2)."""
    axis = follow(optim.Adam, [[1.0, 0.0, 0.0]], [0.0] * 3, lr=0.1, eps=1e-12)
    diagonal = follow(optim.Adam, [[1.0, 1.0, 0.0]], [0.0] * 3, lr=0.1, eps=1e-12)
    close(axis.norm(), 0.1)
    close(diagonal.norm(), 0.1 * math.sqrt(2))


@relaxed
@given(NAMES, GRADIENTS)
def test_rate_zero_moves_nothing(name, gradients):
    end = follow(getattr(optim, name), gradients, lr=0.0)
    assert end.tolist() == START
