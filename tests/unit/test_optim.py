"""tlcourse.optim against torch.optim, against plain loops, and against misuse."""

import copy
import inspect
import io
import itertools
import pickle

import pytest
import torch
from reference import optim as reference
from torch import nn
from torch.optim import lr_scheduler

from tlcourse import optim

STEPS = 100
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}

SGD_OPTIONS = [
    {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
    for momentum, dampening, nesterov in itertools.product(
        (0.0, 0.5, 0.9), (0.0, 0.3), (False, True)
    )
    if not nesterov or (momentum > 0 and dampening == 0)
]
ADAM_OPTIONS = [
    {"betas": betas, "eps": eps, "amsgrad": amsgrad}
    for betas, eps, amsgrad in itertools.product(
        ((0.9, 0.999), (0.0, 0.9), (0.5, 0.99)), (1e-8, 1e-3), (False, True)
    )
]
GRID = [
    (name, {**options, "weight_decay": decay})
    for name, grid in (("SGD", SGD_OPTIONS), ("Adam", ADAM_OPTIONS))
    for options in grid
    for decay in (0.0, 0.1)
] + [
    ("AdamW", {**options, "weight_decay": decay})
    for options in ADAM_OPTIONS
    for decay in (0.0, 0.1)
]
EVERY = ["SGD", "Adam", "AdamW"]
# One setting of each that uses all of its state.
BUSY = [
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"amsgrad": True, "weight_decay": 0.1}),
]


def curvature():
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    return root @ root.T / 4 + 0.1 * torch.eye(4, dtype=torch.float64)


def start():
    return torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)


def path(optimizer, theta, steps=STEPS, first=1):
    """Minimise a bowl whose floor tilts from step to step; a non-constant gradient."""
    bowl, visited = curvature(), []
    for t in range(first, first + steps):
        optimizer.zero_grad()
        tilt = torch.tensor([t % 3 - 1, t % 2, 0, 1], dtype=torch.float64)
        (theta @ bowl @ theta / 2 + theta @ tilt).backward()
        optimizer.step()
        visited.append(theta.detach().clone())
    return torch.stack(visited)  # (steps, 4)


def plain_gradient(theta, t):
    bowl = curvature().tolist()
    tilt = [t % 3 - 1, t % 2, 0, 1]
    return [
        sum(bowl[j][k] * theta[k] for k in range(4)) + tilt[j] for j in range(len(tilt))
    ]


def run(library, name, options, lr=0.05):
    theta = start().requires_grad_()
    return path(getattr(library, name)([theta], lr=lr, **options), theta)


@pytest.mark.parametrize(("name", "options"), GRID)
def test_equals_torch_over_100_steps(name, options):
    ours = run(optim, name, options)
    torch.testing.assert_close(ours, run(torch.optim, name, options), **TOLERANCE)
    assert ours.isfinite().all() and not torch.equal(ours[0], ours[-1])


@pytest.mark.parametrize(("name", "options"), GRID)
def test_equals_the_plain_loop_over_100_steps(name, options):
    options = dict(options)
    if name == "SGD":
        plain = reference.sgd(start().tolist(), plain_gradient, STEPS, 0.05, **options)
    else:
        options["decoupled"] = name == "AdamW"
        plain = reference.adam(start().tolist(), plain_gradient, STEPS, 0.05, **options)
    options.pop("decoupled", None)
    expected = torch.tensor(plain[1:], dtype=torch.float64)
    torch.testing.assert_close(run(optim, name, options), expected, **TOLERANCE)


@pytest.mark.parametrize(("name", "options"), BUSY)
def test_equals_torch_on_a_network(name, options):
    """Several tensors of several shapes, through layers, on drawn mini-batches."""

    def weights(library):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
        optimizer = getattr(library, name)(model.parameters(), lr=0.01, **options)
        for _ in range(STEPS):
            x = torch.randn(8, 5, dtype=torch.float64)  # (n, d)
            labels = torch.randint(3, (8,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), labels).backward()
            optimizer.step()
        return [p.detach() for p in model.parameters()]

    for ours, theirs in zip(weights(optim), weights(torch.optim), strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)


@pytest.mark.parametrize("name", EVERY)
def test_signature_has_torch_defaults(name):
    ours = inspect.signature(getattr(optim, name)).parameters
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    for option, parameter in ours.items():
        if option not in ("params", "lr"):
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
            assert parameter.default == theirs[option].default
    assert ours["lr"].default is inspect.Parameter.empty


@pytest.mark.parametrize(("name", "options"), BUSY)
def test_parameter_without_gradient_is_left_alone(name, options):
    """Without a gradient for 5 steps: no decay, no state; then as torch does it."""

    def ends(library):
        used, late = start().requires_grad_(), start().requires_grad_()
        optimizer = getattr(library, name)([used, late], lr=0.05, **options)
        for t in range(20):
            optimizer.zero_grad()
            loss = (used**2).sum()
            if t >= 5:
                loss = loss + (late**2).sum()
            loss.backward()
            optimizer.step()
            if t == 4:
                assert torch.equal(late.detach(), start())
                assert late not in optimizer.state
        return torch.stack([used, late]).detach()

    torch.testing.assert_close(ends(optim), ends(torch.optim), **TOLERANCE)


@pytest.mark.parametrize(("name", "options"), BUSY)
def test_groups_have_rates_of_their_own(name, options):
    def ends(library):
        body, head = start().requires_grad_(), start().requires_grad_()
        groups = [{"params": [body], "lr": 1e-3, "name": "body"}, {"params": head}]
        optimizer = getattr(library, name)(groups, lr=0.1, **options)
        assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 0.1]
        for _ in range(30):
            optimizer.zero_grad()
            ((body * head) ** 2).sum().backward()
            optimizer.step()
        return torch.stack([body, head]).detach()

    ours = ends(optim)
    torch.testing.assert_close(ours, ends(torch.optim), **TOLERANCE)
    assert (ours[0] - start()).abs().max() < (ours[1] - start()).abs().max()


@pytest.mark.parametrize(("name", "options"), BUSY)
def test_group_of_rate_zero_stays(name, options):
    still, moving = start().requires_grad_(), start().requires_grad_()
    groups = [{"params": [still], "lr": 0.0}, {"params": [moving]}]
    optimizer = getattr(optim, name)(groups, lr=0.1, **options)
    (still * moving).sum().backward()
    optimizer.step()
    assert torch.equal(still.detach(), start())
    assert not torch.equal(moving.detach(), start())


@pytest.mark.parametrize(("name", "options"), BUSY)
def test_state_dict_resumes_exactly(name, options):
    make = getattr(optim, name)
    theta = start().requires_grad_()
    unbroken = path(make([theta], lr=0.05, **options), theta, steps=60)

    theta = start().requires_grad_()
    optimizer = make([theta], lr=0.05, **options)
    path(optimizer, theta, steps=25)
    file = io.BytesIO()
    torch.save({"theta": theta.detach(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    resumed = saved["theta"].requires_grad_()
    optimizer = make([resumed], lr=123.0)  # the options come from the file, too
    optimizer.load_state_dict(saved["optimizer"])
    rest = path(optimizer, resumed, steps=35, first=26)
    assert torch.equal(rest, unbroken[25:])


@pytest.mark.parametrize(("name", "options"), BUSY)
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))]
)
def test_copy_goes_on_alike_and_apart(name, options, copied):
    theta = start().requires_grad_()
    optimizer = getattr(optim, name)([theta], lr=0.05, **options)
    path(optimizer, theta, steps=3)
    twin_optimizer, twin = copied((optimizer, theta))
    ahead = path(optimizer, theta, steps=3, first=4)
    assert torch.equal(path(twin_optimizer, twin, steps=3, first=4), ahead)
    with pytest.raises(ValueError, match=rf"optim\.{name}: lr must lie"):
        twin_optimizer.add_param_group({"params": [start()], "lr": -1.0})


def test_state_is_open_to_view():
    theta = start().requires_grad_()

    def keys(optimizer):
        path(optimizer, theta, steps=2)
        state = optimizer.state[theta]
        for value in state.values():
            assert isinstance(value, int) or value.shape == theta.shape
        return list(state)

    assert keys(optim.SGD([theta], 0.1)) == []
    assert keys(optim.SGD([theta], 0.1, momentum=0.5)) == ["momentum"]
    moments = ["steps", "first_moment", "second_moment"]
    assert keys(optim.Adam([theta], 0.1)) == moments
    assert keys(optim.AdamW([theta], 0.1, amsgrad=True)) == [
        *moments,
        "largest_second_moment",
    ]


@pytest.mark.parametrize(("name", "options"), BUSY)
def test_gradient_is_not_changed(name, options):
    theta = start().requires_grad_()
    theta.grad = torch.ones_like(theta)
    optimizer = getattr(optim, name)([theta], lr=0.1, **options)
    for _ in range(3):
        optimizer.step()
    assert torch.equal(theta.grad, torch.ones_like(theta))
    assert theta.requires_grad and theta.grad_fn is None


@pytest.mark.parametrize(("name", "options"), BUSY)
@pytest.mark.parametrize(
    "make_schedule",
    [
        lambda o: lr_scheduler.StepLR(o, step_size=7, gamma=0.1),
        lambda o: lr_scheduler.MultiStepLR(o, milestones=[3, 9]),
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=30),
        lambda o: lr_scheduler.LambdaLR(o, lambda t: (t + 1) / 30),
        lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=30),
    ],
)
def test_works_with_torch_schedules(name, options, make_schedule):
    def ends(library):
        theta = start().requires_grad_()
        optimizer = getattr(library, name)([theta], lr=0.05, **options)
        schedule = make_schedule(optimizer)
        visited = []
        for t in range(30):
            visited.append(path(optimizer, theta, steps=1, first=t))
            schedule.step()
        return torch.cat(visited)

    torch.testing.assert_close(ends(optim), ends(torch.optim), **TOLERANCE)


@pytest.mark.parametrize("name", EVERY)
def test_closure_is_called_with_gradients_on(name):
    theta = start().requires_grad_()
    optimizer = getattr(optim, name)([theta], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (theta**2).sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == (start() ** 2).sum().item()
    assert not torch.equal(theta.detach(), start())
    assert optimizer.step() is None


def test_adamw_decay_is_not_scaled_by_the_gradient():
    """L2 in Adam shrinks a weight with large gradients less; AdamW all alike."""

    def shrinkage(optimizer_class):
        ends = []
        for decay in (0.0, 0.1):
            theta = torch.ones(2, dtype=torch.float64, requires_grad=True)
            optimizer = optimizer_class([theta], lr=0.01, weight_decay=decay)
            for t in range(50):
                sign = (-1.0) ** t
                theta.grad = torch.tensor([0.01, 100.0], dtype=torch.float64) * sign
                optimizer.step()
            ends.append(theta.detach().clone())
        return (ends[0] - ends[1]).tolist()

    small, large = shrinkage(optim.AdamW)
    assert small == pytest.approx(large, rel=1e-6)
    small, large = shrinkage(optim.Adam)
    assert small > 100 * large > 0


# Misuse ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -0.1}, ValueError, r"lr must lie in \[0, inf\), got -0.1"),
        ({"lr": float("nan")}, ValueError, r"lr must lie in \[0, inf\), got nan"),
        ({"lr": float("inf")}, ValueError, r"lr must lie in \[0, inf\), got inf"),
        ({"lr": "0.1"}, TypeError, r"lr must be a number, got str"),
        ({"lr": 1, "weight_decay": -1}, ValueError, r"weight_decay must lie in \[0,"),
    ],
)
def test_common_options_out_of_range(name, options, error, message):
    with pytest.raises(error, match=rf"optim\.{name}: {message}"):
        getattr(optim, name)([start().requires_grad_()], **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"momentum": 1.0}, ValueError, r"momentum must lie in \[0, 1\), got 1.0"),
        ({"momentum": -0.1}, ValueError, r"momentum must lie in \[0, 1\)"),
        ({"momentum": None}, TypeError, "momentum must be a number, got NoneType"),
        ({"dampening": 1.5}, ValueError, r"dampening must lie in \[0, 1\], got 1.5"),
        (
            {"nesterov": True},
            ValueError,
            r"nesterov needs momentum > 0 and dampening = 0, got momentum 0 and",
        ),
        (
            {"nesterov": True, "momentum": 0.9, "dampening": 0.5},
            ValueError,
            "nesterov needs .* got momentum 0.9 and dampening 0.5",
        ),
    ],
)
def test_sgd_options_out_of_range(options, error, message):
    with pytest.raises(error, match=rf"optim\.SGD: {message}"):
        optim.SGD([start().requires_grad_()], lr=0.1, **options)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"betas": (1.0, 0.9)}, ValueError, r"beta1 must lie in \[0, 1\), got 1.0"),
        ({"betas": (0.9, -0.1)}, ValueError, r"beta2 must lie in \[0, 1\), got -0.1"),
        ({"betas": (0.9, "a")}, TypeError, "beta2 must be a number, got str"),
        ({"betas": 0.9}, ValueError, "betas must be two numbers, got 0.9"),
        ({"betas": (0.9,)}, ValueError, r"betas must be two numbers, got \(0.9,\)"),
        ({"eps": -1e-8}, ValueError, r"eps must lie in \[0, inf\), got -1e-08"),
    ],
)
def test_adam_options_out_of_range(name, options, error, message):
    with pytest.raises(error, match=rf"optim\.{name}: {message}"):
        getattr(optim, name)([start().requires_grad_()], lr=0.1, **options)


@pytest.mark.parametrize("name", EVERY)
def test_parameters_of_the_wrong_kind(name):
    make = getattr(optim, name)
    with pytest.raises(ValueError, match="at least one tensor, got none; is every"):
        make([], lr=0.1)
    with pytest.raises(TypeError, match=r"got Linear; did you mean model\.parameters"):
        make(nn.Linear(2, 2), lr=0.1)
    with pytest.raises(TypeError, match="list of tensors or of groups, got Tensor"):
        make(start().requires_grad_(), lr=0.1)


@pytest.mark.parametrize("name", EVERY)
def test_groups_are_checked(name):
    make, theta = getattr(optim, name), start().requires_grad_()
    with pytest.raises(ValueError, match="may set .*lr.*, got learning_rate; is it"):
        make([{"params": [theta], "learning_rate": 1e-4}], lr=0.1)
    with pytest.raises(ValueError, match=r"lr must lie in \[0, inf\), got -1"):
        make([{"params": [theta], "lr": -1}], lr=0.1)
    optimizer = make([theta], lr=0.1)
    with pytest.raises(ValueError, match="weight_decay must lie"):
        optimizer.add_param_group({"params": [start()], "weight_decay": -1})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("name", EVERY)
def test_sparse_gradient_is_refused(name):
    embedding = nn.Embedding(4, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    optimizer = getattr(optim, name)(embedding.parameters(), lr=0.1)
    with pytest.raises(TypeError, match="must be dense, got a sparse one; was the emb"):
        optimizer.step()
