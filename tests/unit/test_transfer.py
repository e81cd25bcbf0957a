"""Freezing that holds, copying that never stays silent, and rates by part."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

from tlcourse import models, optim, training, transfer


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(classes=10, seed=0):
    return models.small_cnn(classes, generator=seeded(seed))


def data(n=64, seed=0):
    images = 3 * torch.randn(n, 1, 16, 16, generator=seeded(seed)) + 5
    return images, torch.randint(10, (n,), generator=seeded(seed))


def snapshot(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def unchanged(module, before):
    return all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def by_hand(model, optimizer, steps=5):
    """Train as a learner would write it, with model.train() before every step."""
    images, labels = data()
    for _ in range(steps):
        model.train()
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


def by_fit(model, optimizer):
    loader = training.batches(*data(), batch_size=16, shuffle=True, generator=seeded())
    training.fit(model, loader, optimizer=optimizer, epochs=3)


OPTIMIZERS = {
    "torch SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "torch AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1),
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1),
}


@pytest.mark.parametrize("train", [by_hand, by_fit])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_is_frozen(train, name):
    model = small()
    transfer.freeze(model.body)
    body, head = snapshot(model.body), snapshot(model.head)
    train(model, OPTIMIZERS[name](model.parameters()))
    assert unchanged(model.body, body)
    assert not unchanged(model.head, head)


def test_requires_grad_alone_would_not_freeze():
    model = small()
    model.body.requires_grad_(False)
    body = snapshot(model.body)
    by_hand(model, torch.optim.SGD(model.parameters(), lr=0.1))
    moved = [k for k, v in model.body.state_dict().items() if not v.equal(body[k])]
    assert {k.split(".")[1] for k in moved} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_of_a_frozen_model_is_frozen_and_independent(copied):
    original = small()
    transfer.freeze(original.body)
    twin = copied(original)
    body = snapshot(twin.body)
    by_hand(twin, torch.optim.SGD(twin.parameters(), lr=0.1))
    assert unchanged(twin.body, body)
    transfer.unfreeze(twin.body)
    assert all(m.training for m in twin.train().modules())
    assert not any(m.training for m in original.train().body.modules())


def test_each_part_of_a_frozen_module_stays_frozen_when_called_itself():
    model = small()
    transfer.freeze(model.body)
    for part in model.modules():
        part.train()
    assert not any(m.training for m in model.body.modules())
    assert model.head.training
    assert model.training
    assert not model.eval().training


def test_freezing_drops_gradients_that_an_optimizer_would_still_apply():
    model = small()
    images, labels = data()
    functional.cross_entropy(model(images), labels).backward()
    transfer.freeze(model.body)
    body = snapshot(model.body)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert unchanged(model.body, body)


def test_a_frozen_dropout_drops_nothing():
    frozen = transfer.freeze(nn.Sequential(nn.Dropout(0.5)))
    x = torch.ones(100)
    assert torch.equal(nn.Sequential(frozen).train()(x), x)


def test_one_layer_can_be_thawed():
    model = small()
    transfer.freeze(model.body)
    last = model.body[7]
    assert transfer.unfreeze(last) is last
    before = snapshot(model.body)
    by_hand(model, torch.optim.SGD(model.parameters(), lr=0.1))
    moved = {k for k, v in model.body.state_dict().items() if not v.equal(before[k])}
    assert moved == {"7.weight", "7.bias"}
    assert [m.training for m in model.body] == [False] * 7 + [True, False]


def test_unfreezing_undoes_freezing():
    model = small()
    twin = copy.deepcopy(model)
    transfer.unfreeze(transfer.freeze(model.body))
    for each in (model, twin):
        by_hand(each, torch.optim.SGD(each.parameters(), lr=0.1))
    assert unchanged(model, snapshot(twin))


def test_copy_layers_copies_what_agrees_and_reports_the_rest():
    source, target = small(10, seed=1), small(3, seed=2)
    by_hand(source, torch.optim.SGD(source.parameters(), lr=0.1))
    head = snapshot(target.head)
    report = transfer.copy_layers(source, target)
    assert unchanged(target.body, snapshot(source.body))  # running statistics too
    assert unchanged(target.head, head)
    assert list(report.copied) == [f"body.{i}" for i in (0, 1, 3, 4, 7)]
    assert report.copied["body.0"] == ((16, 1, 3, 3), (16,))
    assert report.skipped == {
        "head": "(10, 64), (10,) in the source, (3, 64), (3,) in the target"
    }
    assert str(report).splitlines()[0] == "copied   body.0: (16, 1, 3, 3), (16,)"
    assert str(report).splitlines()[-1] == "skipped  head: " + report.skipped["head"]


def test_copies_share_no_memory_with_the_source():
    source, target = small(seed=1), small(seed=2)
    transfer.copy_layers(source, target)
    before = snapshot(source)
    by_hand(target, torch.optim.SGD(target.parameters(), lr=0.1))
    assert unchanged(source, before)


def test_copy_layers_copies_frozen_layers_too():
    source, target = small(seed=1), small(seed=2)
    transfer.freeze(target.body)
    transfer.copy_layers(source, target)
    assert unchanged(target, snapshot(source))
    assert not any(p.requires_grad for p in target.body.parameters())


def test_a_layer_goes_over_whole_or_not_at_all():
    source = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(2, 2))
    target = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(2, 2))  # same bias shapes
    bias = target[0].bias.detach().clone()
    report = transfer.copy_layers(source, target)
    assert list(report.copied) == ["1"]
    assert torch.equal(target[0].bias, bias)


def test_copy_layers_names_what_is_missing_on_either_side():
    source = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    target = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2))
    assert transfer.copy_layers(source, target).skipped == {
        "0": "(2, 2), (2,) in the source, (2, 2) in the target",
        "2": "(2, 2), (2,) in the source, missing in the target",
    }
    report = transfer.copy_layers(target, source)
    assert report.skipped["2"] == "missing in the source, (2, 2), (2,) in the target"


def test_copy_layers_copies_only_what_is_asked_for():
    source, target = small(seed=1), small(seed=2)
    head, late = snapshot(target.head), snapshot(target.body[7])
    report = transfer.copy_layers(source, target, only=["body.0", "body.1"])
    assert list(report.copied) == ["body.0", "body.1"]
    assert set(report.skipped.values()) == {"not asked for"}
    assert unchanged(target.head, head)
    assert unchanged(target.body[7], late)
    assert not any(
        name.startswith("body")
        for name in transfer.copy_layers(source, target, only=["head"]).copied
    )


def test_copying_a_model_without_children_names_it():
    report = transfer.copy_layers(nn.Linear(2, 3), nn.Linear(2, 3))
    assert str(report) == "copied   (model): (3, 2), (3,)"


def test_copy_layers_refuses_to_copy_nothing():
    source, target = small(), nn.Sequential(*small().body)
    strict = target.load_state_dict(source.state_dict(), strict=False)
    assert strict.missing_keys  # torch says nothing of it unless asked
    message = r"(?s)at least one layer must agree .* none:\nskipped .*name their layers"
    with pytest.raises(ValueError, match=message):
        transfer.copy_layers(source, target)


@pytest.mark.parametrize("wanted", ["bdy", "body.2", "bod"])
def test_copy_layers_refuses_a_name_that_is_no_layer(wanted):
    with pytest.raises(
        ValueError, match=f"only must name .* body.0, .* got '{wanted}'"
    ):
        transfer.copy_layers(small(), small(), only=["head", wanted])


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, optim.SGD, optim.AdamW])
def test_parameter_groups_hold_everything_once(optimizer):
    model = small()
    transfer.freeze(model.body[0])
    groups = transfer.parameter_groups(model, lr_body=0.01, lr_head=0.1)
    made = optimizer(groups, lr=1.0)
    assert [g["lr"] for g in made.param_groups] == [0.01, 0.1]
    held = [id(p) for g in made.param_groups for p in g["params"]]
    assert held == [id(p) for p in model.parameters()]


def test_parameter_groups_move_the_body_as_much_less_as_they_say():
    model = small()
    body, head = model.body[0].bias, model.head.bias
    groups = transfer.parameter_groups(model, lr_body=0.001, lr_head=0.1)
    optimizer = torch.optim.SGD(groups)
    before = body.detach().clone(), head.detach().clone()
    by_hand(model, optimizer, steps=1)
    for parameter, start, rate in zip((body, head), before, (0.001, 0.1), strict=True):
        torch.testing.assert_close(parameter.detach(), start - rate * parameter.grad)


@pytest.mark.parametrize(("body", "head"), [(0, 0.1), (0.1, -1)])
def test_parameter_groups_refuse_a_rate_of_nothing(body, head):
    name = "lr_head" if body else "lr_body"
    with pytest.raises(ValueError, match=f"parameter_groups: {name} must lie in"):
        transfer.parameter_groups(small(), lr_body=body, lr_head=head)
