"""What must hold for every student, teacher and start."""

from __future__ import annotations

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tlcourse import losses, objectives

LOGIT = st.floats(-50, 50)
TEMPERATURE = st.floats(0.5, 20)

# No deadline: a busy machine must not fail a test of arithmetic.
relaxed = settings(deadline=None)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Draw logits of a student and a teacher, and labels that fit them."""
    n, c = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    size = n * c
    logits = [
        torch.tensor(
            draw(st.lists(LOGIT, min_size=size, max_size=size)), dtype=torch.float64
        ).reshape(n, c)
        for _ in range(2)
    ]
    labels = draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n))
    return logits[0], logits[1], torch.tensor(labels)


@relaxed
@given(pairs(), TEMPERATURE, st.floats(0, 1))
def test_distillation_is_not_negative_and_mixes_linearly(
    case: tuple[Tensor, Tensor, Tensor], temperature: float, weight: float
) -> None:
    student, teacher, labels = case

    def loss(share: float) -> Tensor:
        return objectives.distillation(
            student, teacher, labels, temperature=temperature, weight=share
        )

    mixed = weight * loss(1.0) + (1 - weight) * loss(0.0)
    torch.testing.assert_close(loss(weight), mixed, rtol=1e-9, atol=1e-9)
    assert loss(weight).item() > -1e-9


@relaxed
@given(pairs(), TEMPERATURE)
def test_the_teachers_part_is_zero_exactly_at_the_teacher(
    case: tuple[Tensor, Tensor, Tensor], temperature: float
) -> None:
    student, teacher, _ = case
    same = objectives.distillation(teacher + 3.0, teacher, temperature=temperature)
    assert abs(same.item()) < 1e-9
    variable = teacher.clone().requires_grad_()
    objectives.distillation(variable, teacher, temperature=temperature).backward()
    assert variable.grad is not None and variable.grad.abs().max() < 1e-9


@relaxed
@given(pairs(), TEMPERATURE)
def test_at_weight_zero_only_labels_count_and_temperature_does_not(
    case: tuple[Tensor, Tensor, Tensor], temperature: float
) -> None:
    student, teacher, labels = case
    loss = objectives.distillation(
        student, teacher, labels, temperature=temperature, weight=0.0
    )
    torch.testing.assert_close(loss, losses.cross_entropy(student, labels))


@relaxed
@given(st.lists(st.floats(-100, 100), min_size=3, max_size=3), st.floats(-3, 3))
def test_l2_sp_grows_with_the_square_of_the_way(way: list[float], times: float) -> None:
    start = nn.Linear(2, 1).double()
    step = torch.tensor(way, dtype=torch.float64)

    def after(share: float) -> Tensor:
        model = copy.deepcopy(start)
        with torch.no_grad():
            model.weight += share * step[:2]
            model.bias += share * step[2:]
        return objectives.l2_sp(model, start).detach()

    assert after(0.0).item() == 0
    torch.testing.assert_close(
        after(times), times**2 * after(1.0), rtol=1e-6, atol=1e-9
    )
