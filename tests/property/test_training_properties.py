"""What holds for every freezing, schedule, batch size and moment of interruption."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tlcourse import models, optim, training, transfer

# No deadline: the first step of a process loads libraries for seconds.
few = settings(deadline=None, max_examples=25)
many = settings(deadline=None)
SEEDS = st.integers(0, 2**31 - 1)
OPTIMIZERS = [
    lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1),
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1),
]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def data(n, seed, classes=3):
    labels = torch.randint(classes, (n,), generator=seeded(seed))
    return torch.randn(n, 1, 8, 8, generator=seeded(seed)) + 2, labels


def build(seed):
    return models.small_cnn(3, image_size=8, generator=seeded(seed))


def state(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


@few
@given(
    st.sets(st.integers(0, 8), min_size=1),
    st.integers(1, 4),
    st.sampled_from(OPTIMIZERS),
    st.booleans(),
    SEEDS,
)
def test_frozen_layers_never_move_and_the_others_may(
    layers, epochs, optimizer, copied, seed
):
    model = build(seed)
    for index in layers:
        transfer.freeze(model.body[index])
    if copied:
        model = copy.deepcopy(model)
    before = [state(layer) for layer in model.body]
    head = model.head.weight.detach().clone()
    loader = training.batches(*data(24, seed), shuffle=True, generator=seeded(seed))
    training.fit(model, loader, optimizer=optimizer(model.parameters()), epochs=epochs)
    for index, layer in enumerate(model.body):
        kept = all(v.equal(before[index][k]) for k, v in layer.state_dict().items())
        assert kept or index not in layers
    assert not model.head.weight.equal(head)
    assert all(model.body[i].training != (i in layers) for i in range(9))


@few
@given(st.integers(1, 30), st.integers(1, 40), SEEDS)
def test_evaluation_does_not_depend_on_the_batch_size(n, size, seed):
    model = build(seed)
    whole = training.evaluate(model, [data(n, seed)])
    cut = training.evaluate(model, training.batches(*data(n, seed), batch_size=size))
    assert cut.loss == pytest.approx(whole.loss, rel=1e-5)
    assert cut.labels.equal(whole.labels)
    torch.testing.assert_close(cut.logits, whole.logits)


@many
@given(st.integers(1, 50), st.integers(1, 60), st.booleans(), SEEDS)
def test_every_pass_shows_every_example_once(n, size, shuffle, seed):
    x = torch.arange(n)
    loader = training.batches(
        x, x, batch_size=size, shuffle=shuffle, generator=seeded(seed)
    )
    for _ in range(2):
        seen = list(loader)
        assert all(a.equal(b) for a, b in seen)
        assert len(seen) == len(loader) == -(-n // size)
        assert torch.cat([a for a, _ in seen]).sort().values.equal(x)


@st.composite
def schedules(draw):
    """Draw the name and options of a schedule, and the length of a run."""
    epochs, steps = draw(st.integers(2, 12)), draw(st.integers(1, 12))
    unit = draw(st.sampled_from(["step", "epoch"]))
    length = epochs * steps if unit == "step" else epochs
    gamma = draw(st.floats(0.01, 0.99))
    inside = st.integers(1, length - 1)
    name, options = draw(
        st.sampled_from(
            [
                ("step", {"every": draw(inside), "gamma": gamma}),
                (
                    "milestones",
                    {"milestones": sorted(draw(st.sets(inside, min_size=1)))}
                    | {"gamma": gamma},
                ),
                ("exponential", {"gamma": gamma}),
                ("cosine", {}),
                ("linear", {}),
                ("cosine", {"warmup": draw(inside)}),
                ("linear", {"warmup": draw(inside)}),
            ]
        )
    )
    return name, {**options, "unit": unit}, steps, epochs


@many
@given(schedules())
def test_a_schedule_that_fit_takes_acts_and_leaves_a_rate(drawn):
    name, options, steps, epochs = drawn
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    plan = training.schedule(optimizer, name, **options)
    try:
        factors = plan.plan(steps, epochs)
    except ValueError as error:
        assert "must leave a rate" in str(error)
        return
    assert len(factors) == steps * epochs
    assert all(0 < factor <= 1 for factor in factors)
    assert len(set(factors)) > 1
    warmup = options.get("warmup", 0) * (steps if options["unit"] == "epoch" else 1)
    falling = factors[warmup:]
    assert all(b <= a for a, b in itertools.pairwise(falling))
    assert all(a <= b for a, b in itertools.pairwise(factors[:warmup]))
    assert falling[0] == 1.0


@few
@given(st.integers(0, 12), SEEDS)
def test_a_run_resumes_exactly_from_wherever_it_stopped(tmp_path_factory, stop, seed):
    path = tmp_path_factory.mktemp("runs") / "run.ckpt"

    def run(after, **changes):
        calls = itertools.count()

        def classification_step(model, batch):
            if next(calls) == after:
                raise KeyboardInterrupt
            return training.classification_step(model, batch)

        torch.manual_seed(seed)
        model = build(seed)
        model.head = nn.Sequential(nn.Dropout(), model.head)
        loader = training.batches(
            *data(24, seed), batch_size=8, shuffle=True, generator=seeded(seed)
        )
        optimizer = torch.optim.Adam(model.parameters())
        training.fit(
            model,
            loader,
            optimizer=optimizer,
            epochs=4,
            step=classification_step,
            **changes,
        )
        return state(model)

    expected = run(None)
    try:
        run(stop, checkpoint=path)
    except KeyboardInterrupt:
        assert stop < 12
    found = run(None, checkpoint=path)
    assert all(found[k].equal(v) for k, v in expected.items())


@few
@given(SEEDS, SEEDS)
def test_copying_twice_is_copying_once(one, two):
    source, target = build(one), build(two)
    first = transfer.copy_layers(source, target)
    once = state(target)
    assert transfer.copy_layers(source, target) == first
    assert all(v.equal(once[k]) for k, v in target.state_dict().items())
    assert first.skipped == {}
    images, _ = data(4, one)
    assert source.eval()(images).equal(target.eval()(images))


@few
@given(SEEDS, st.integers(2, 12))
def test_weights_depend_on_the_generator_and_nothing_else(seed, classes):
    def weights():
        model = build(seed)
        models.replace_head(model, classes, generator=seeded(seed))
        return state(model)

    first = weights()
    torch.rand(7)  # another global state
    assert all(v.equal(first[k]) for k, v in weights().items())
