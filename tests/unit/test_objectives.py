"""Objectives against loops, torch, hand-worked numbers, and their gradients."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from reference import objectives as reference
from torch import Tensor, nn
from torch.nn import functional as F

from tlcourse import models, objectives, runtime, training

CLOSE = {"rtol": 1e-10, "atol": 1e-10}
SETTINGS = [(1.0, 0.3), (4.0, 0.9), (0.5, 1.0), (20.0, 0.0)]  # temperature, weight


def problem(seed: int) -> tuple[Tensor, Tensor, Tensor, float, float]:
    """Draw logits of student and teacher, labels, a temperature and a weight."""
    generator = runtime.generator(seed, "problem")

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    n, c = pick(1, 9), pick(2, 12)
    scale = 10.0 ** pick(-1, 2)
    student, teacher = scale * torch.randn(
        2, n, c, dtype=torch.float64, generator=generator
    )
    labels = torch.randint(c, (n,), generator=generator)
    temperature, weight = torch.rand(2, generator=generator).double().tolist()
    return student, teacher, labels, 0.5 + 20 * temperature, weight


# --- distillation -------------------------------------------------------------


@pytest.mark.parametrize("seed", range(50))
def test_distillation_is_torchs_in_value_and_gradient(seed: int) -> None:
    student, teacher, labels, temperature, weight = problem(seed)
    ours, theirs = student.clone().requires_grad_(), student.clone().requires_grad_()
    mine = objectives.distillation(
        ours, teacher, labels, temperature=temperature, weight=weight
    )
    soft = F.kl_div(
        F.log_softmax(theirs / temperature, 1),
        F.softmax(teacher / temperature, 1),
        reduction="batchmean",
    )
    other = weight * temperature**2 * soft
    other = other + (1 - weight) * F.cross_entropy(theirs, labels)
    torch.testing.assert_close(mine, other, **CLOSE)
    mine.backward()
    other.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, **CLOSE)


@pytest.mark.parametrize(("temperature", "weight"), SETTINGS)
@pytest.mark.parametrize("seed", range(3))
def test_distillation_is_the_loops(
    seed: int, temperature: float, weight: float
) -> None:
    student, teacher, labels, *_ = problem(seed)
    variable = (student / 10).requires_grad_()
    loss = objectives.distillation(
        variable, teacher / 10, labels, temperature=temperature, weight=weight
    )
    rows = (variable / 1).tolist(), (teacher / 10).tolist(), labels.tolist()
    settings = {"temperature": temperature, "weight": weight}
    assert loss.item() == pytest.approx(
        reference.distillation(*rows, **settings), abs=1e-12
    )
    loss.backward()
    expected = reference.distillation_gradient(*rows, **settings)
    assert variable.grad is not None
    torch.testing.assert_close(
        variable.grad, torch.tensor(expected, dtype=torch.float64), **CLOSE
    )


def test_distillation_worked_by_hand() -> None:
    # The student is undecided, p = (1/2, 1/2) at any temperature; the teacher's
    # logits (2 log 3, 0) give q = (3/4, 1/4) at T = 2, so that KL = 3/4 log 3/2 +
    # 1/4 log 1/2. T^2 = 4, and a quarter of the weight is the teacher's, which cancel;
    # three quarters are the cross-entropy's, log 2.
    student = torch.zeros(1, 2, dtype=torch.float64)
    teacher = torch.tensor([[2 * math.log(3), 0.0]], dtype=torch.float64)
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    loss = objectives.distillation(
        student, teacher, torch.tensor([1]), temperature=2.0, weight=0.25
    )
    assert loss.item() == pytest.approx(kl + 0.75 * math.log(2), abs=1e-14)


@pytest.mark.parametrize(("temperature", "weight"), SETTINGS)
def test_distillation_passes_gradcheck(temperature: float, weight: float) -> None:
    student, teacher, labels, *_ = problem(0)
    student = (student / 10).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: objectives.distillation(
            s, teacher, labels, temperature=temperature, weight=weight
        ),
        (student,),
    )


def test_distillation_without_labels_is_the_teachers_part() -> None:
    student, teacher, labels, temperature, _ = problem(4)
    alone = objectives.distillation(student, teacher, temperature=temperature)
    whole = objectives.distillation(
        student, teacher, labels, temperature=temperature, weight=1.0
    )
    torch.testing.assert_close(alone, whole, rtol=0, atol=0)


def test_distillation_sends_no_gradient_to_the_teacher() -> None:
    student, teacher, *_ = problem(1)
    teacher.requires_grad_()
    loss = objectives.distillation(student.requires_grad_(), teacher, temperature=2.0)
    loss.backward()
    assert teacher.grad is None and student.grad is not None


def test_the_gradient_of_a_hot_student_is_that_of_matching_logits() -> None:
    # Hinton et al.: for T far above the logits, and logits of mean 0, the gradient of
    # T^2 KL tends to (s - t) / (n c), whatever T.
    student, teacher, *_ = problem(2)
    student, teacher = (z - z.mean(1, keepdim=True) for z in (student, teacher))
    n, c = student.shape
    variable = student.clone().requires_grad_()
    loss = objectives.distillation(variable, teacher, temperature=1e5)
    loss.backward()
    torch.testing.assert_close(
        variable.grad, (student - teacher) / (n * c), rtol=1e-3, atol=1e-5
    )


def test_distillation_allows_a_teacher_that_rules_classes_out() -> None:
    teacher = torch.tensor([[0.0, 0.0, -math.inf]])
    student = torch.zeros(1, 3, requires_grad=True)
    loss = objectives.distillation(student, teacher, temperature=3.0)
    assert loss.item() == pytest.approx(9 * math.log(1.5), rel=1e-6)
    loss.backward()
    assert student.grad is not None and student.grad.isfinite().all()


def test_distillation_refuses_what_makes_no_sense() -> None:
    s, t = torch.zeros(2, 3), torch.zeros(2, 3)
    labels = torch.tensor([0, 2])
    with pytest.raises(ValueError, match=r"objectives\.distillation: teacher_logits"):
        objectives.distillation(s, t[:1], temperature=1.0)
    with pytest.raises(TypeError, match="logits must be floating point"):
        objectives.distillation(s, t.long(), temperature=1.0)
    for wrong in (0.0, -1.0):
        with pytest.raises(ValueError, match=r"temperature must lie in \(0, inf"):
            objectives.distillation(s, t, temperature=wrong)
    with pytest.raises(ValueError, match=r"weight must lie in \[0, 1\].*share"):
        objectives.distillation(s, t, labels, temperature=1.0, weight=1.5)
    with pytest.raises(ValueError, match="weight must be 1 without labels, got 0.5"):
        objectives.distillation(s, t, temperature=1.0, weight=0.5)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\)"):
        objectives.distillation(s, t, labels + 1, temperature=1.0, weight=0.5)


# --- l2_sp --------------------------------------------------------------------


def pair(seed: int) -> tuple[nn.Module, nn.Module]:
    """Draw two networks of one plan, in float64."""
    twins = [
        models.small_cnn(3, image_size=4, generator=runtime.generator(seed, name))
        for name in ("model", "start")
    ]
    return twins[0].double(), twins[1].double()


@pytest.mark.parametrize("seed", range(50))
def test_l2_sp_is_torchs_in_value_and_gradient(seed: int) -> None:
    model, start = pair(seed)
    loss = objectives.l2_sp(model, start)
    flat = nn.utils.parameters_to_vector(model.parameters()).detach().requires_grad_()
    origin = nn.utils.parameters_to_vector(start.parameters()).detach()
    other = F.mse_loss(flat, origin, reduction="sum") / 2
    torch.testing.assert_close(loss, other, **CLOSE)
    loss.backward()
    other.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    torch.testing.assert_close(torch.cat([g.flatten() for g in grads]), flat.grad)
    assert all(p.grad is None for p in start.parameters())


def test_l2_sp_is_the_loops() -> None:
    model, start = pair(7)
    rows = [
        [p.flatten().tolist() for p in part.parameters()] for part in (model, start)
    ]
    assert objectives.l2_sp(model, start).item() == pytest.approx(
        reference.l2_sp(*rows), rel=1e-12
    )


def test_l2_sp_worked_by_hand() -> None:
    # Weights (1, 5) and bias 0 against (1, 2) and 4: (0 + 9 + 16) / 2.
    model, start = nn.Linear(2, 1), nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 5.0]]))
        start.weight.copy_(torch.tensor([[1.0, 2.0]]))
        model.bias.fill_(0.0)
        start.bias.fill_(4.0)
    assert objectives.l2_sp(model, start).item() == 12.5


def test_l2_sp_passes_gradcheck() -> None:
    start = nn.Linear(3, 2).double()

    class Distance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Linear(3, 2).double()

        def forward(self) -> Tensor:
            return objectives.l2_sp(self.model, start)

    distance = Distance()

    def at(*weights: Tensor) -> Tensor:
        names = [name for name, _ in distance.named_parameters()]
        given = dict(zip(names, weights, strict=True))
        loss: Tensor = torch.func.functional_call(distance, given, ())
        return loss

    inputs = tuple(p.detach().clone().requires_grad_() for p in distance.parameters())
    assert torch.autograd.gradcheck(at, inputs)


def test_l2_sp_alone_is_weight_decay_towards_the_start() -> None:
    model, start = pair(3)
    before = [p.detach().clone() for p in model.parameters()]
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    (0.5 * objectives.l2_sp(model, start)).backward()
    sgd.step()
    for now, then, origin in zip(
        model.parameters(), before, start.parameters(), strict=True
    ):
        expected = then - 0.1 * 0.5 * (then - origin)
        torch.testing.assert_close(now.detach(), expected.detach(), **CLOSE)


def test_l2_sp_refuses_strangers_and_itself() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 4))
    with pytest.raises(ValueError, match=r"differing: 1\.bias, 1\.weight; is the head"):
        objectives.l2_sp(model, other)
    with pytest.raises(ValueError, match="one or more, got differing: none at all"):
        objectives.l2_sp(nn.ReLU(), nn.ReLU())
    with pytest.raises(ValueError, match=r"weights of its own.*0\.weight.*deepcopy"):
        objectives.l2_sp(model, model)


# --- both in the loop ---------------------------------------------------------


def test_both_serve_as_steps_of_the_training_loop() -> None:
    generator = runtime.generator(0, "data")
    x, y = torch.rand(24, 1, 4, 4, generator=generator), torch.arange(24) % 3
    student = models.small_cnn(3, image_size=4, generator=generator)
    start = copy.deepcopy(student)
    answers = torch.randn(24, 3, generator=generator)

    def step(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        images, taught, labels = batch
        loss = objectives.distillation(
            model(images), taught, labels, temperature=2.0, weight=0.5
        )
        pull = objectives.l2_sp(model, start)
        return {"loss": loss + 1e-3 * pull, "pull": pull}

    adam = torch.optim.Adam(student.parameters(), lr=1e-3)
    history = training.fit(
        student, [(x, answers, y)], optimizer=adam, epochs=20, step=step
    )
    assert history.losses[-1] < history.losses[0]
    assert 0 == history.column("pull")[0] < history.column("pull")[-1]
