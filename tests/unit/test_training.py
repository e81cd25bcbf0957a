"""The loop: against a hand-written one, its promises, and misuse."""

import copy
import importlib.util
import math
import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from tlcourse import models, optim, runtime, training
from tlcourse._process import OneProcess, placed


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def small(classes=10, seed=0):
    return models.small_cnn(classes, generator=seeded(seed))


def data(n=72, classes=10, seed=0):
    labels = torch.randint(classes, (n,), generator=seeded(seed))
    images = torch.rand(n, 1, 16, 16, generator=seeded(seed))
    return images + labels[:, None, None, None] / classes, labels


def loader(n=72, classes=10, seed=0, **settings):
    return training.batches(*data(n, classes, seed), **settings)


def sgd(model, lr=0.05, **settings):
    return torch.optim.SGD(model.parameters(), lr=lr, **settings)


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(left, right):
    return left.keys() == right.keys() and all(left[k].equal(right[k]) for k in left)


def broken(**changes):
    """Return the arguments of a short run, some of them changed."""
    model = changes.pop("model", None) or small()
    return {
        "model": model,
        "train": loader(),
        "optimizer": sgd(model),
        "epochs": 2,
        **changes,
    }


# ---- what fit does


@pytest.mark.parametrize("name", ["torch", "tlcourse"])
def test_fit_is_the_hand_written_loop(name):
    source = optim.SGD if name == "tlcourse" else torch.optim.SGD
    ours, theirs = small(), small()
    shuffled = {"batch_size": 16, "shuffle": True}
    history = training.fit(
        ours,
        loader(**shuffled, generator=seeded()),
        optimizer=source(ours.parameters(), lr=0.05, momentum=0.9),
        epochs=3,
    )
    optimizer = source(theirs.parameters(), lr=0.05, momentum=0.9)
    theirs_loader, losses = loader(**shuffled, generator=seeded()), []
    theirs.train()
    for _ in range(3):
        for images, labels in theirs_loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(theirs(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert same(state(ours), state(theirs))
    assert history.losses == losses
    assert history.rates == [0.05] * 15
    assert [row["epoch"] for row in history.epochs] == [1, 2, 3]


def test_an_epochs_loss_weighs_every_example_alike():
    """E 0.34: a mean of batch means is biased by a short last batch."""
    history = training.fit(**broken(train=loader(40, batch_size=32)))  # 32 and 8
    first, second = history.losses[:2]
    assert history.epochs[0]["loss"] == pytest.approx((32 * first + 8 * second) / 40)
    assert history.epochs[0]["loss"] != pytest.approx((first + second) / 2)


def test_a_method_brings_a_step_and_its_scalars_reach_the_history():
    def step(model, batch):
        results = training.classification_step(model, batch)
        penalty = 0.1 * sum(p.square().sum() for p in model.head.parameters())
        return {**results, "loss": results["loss"] + penalty, "penalty": penalty}

    history = training.fit(**broken(step=step, train=loader(64)))
    penalties = history.column("penalty")
    assert len(penalties) == 2
    assert 0 < penalties[1] < penalties[0] < history.epochs[0]["loss"]
    assert "logits" not in history.epochs[0]


def test_column_lists_the_names_it_knows():
    history = training.fit(**broken())
    assert history.column("rate") == [0.05, 0.05]
    with pytest.raises(ValueError, match="one of epoch, loss, rate, .* got 'accuracy'"):
        history.column("accuracy")


def test_seconds_add_up():
    history = training.fit(**broken())
    assert history.seconds == pytest.approx(sum(history.column("seconds")))
    assert history.seconds > 0


def test_fit_trains_a_model_that_it_finds_in_evaluation_mode():
    """E 0.40: a pretrained model comes in evaluation mode, without dropout."""
    model = small().eval()
    model.head.train()
    modes = [m.training for m in model.modules()]
    mean = model.body[1].running_mean.clone()
    training.fit(**broken(model=model))
    assert not model.body[1].running_mean.equal(mean)
    assert [m.training for m in model.modules()] == modes


def test_validation_does_not_switch_training_off():
    """E 1.23: an evaluation that leaves eval() behind ends dropout for good."""
    seen = []

    def step(model, batch):
        seen.append(model.training)
        return training.classification_step(model, batch)

    training.fit(**broken(step=step, validation=loader(seed=1), epochs=3))
    assert seen == [True] * 9


def test_validation_changes_nothing_but_the_history():
    plain, judged = small(), small()
    training.fit(**broken(model=plain))
    validation = loader(seed=1, batch_size=16)
    history = training.fit(**broken(model=judged, validation=validation))
    assert same(state(plain), state(judged))
    found = training.evaluate(judged, validation)
    assert history.epochs[-1]["validation_loss"] == found.loss
    assert history.epochs[-1]["validation_accuracy"] == found.accuracy


def noisy(patience, epochs=30):
    """Fit random labels: the validation loss must rise sooner or later."""
    model = small()
    images, _ = data(48)
    labels = torch.randint(10, (48,), generator=seeded(5))
    history = training.fit(
        model,
        training.batches(images[:24], labels[:24], batch_size=8),
        optimizer=torch.optim.Adam(model.parameters(), lr=3e-3),
        epochs=epochs,
        validation=training.batches(images[24:], labels[24:]),
        patience=patience,
    )
    loss = training.evaluate(model, training.batches(images[24:], labels[24:])).loss
    return history, loss


def test_early_stopping_returns_to_the_best_weights():
    """E 1.25: the figure reported is of the weights that are kept."""
    history, loss = noisy(patience=3)
    losses = history.column("validation_loss")
    assert len(losses) == history.best_epoch + 3 < 30
    assert losses[history.best_epoch - 1] == min(losses) < losses[-1]
    assert loss == min(losses)


def test_patience_for_the_whole_run_only_returns_to_the_best_weights():
    history, loss = noisy(patience=12, epochs=12)
    losses = history.column("validation_loss")
    assert len(losses) == 12
    assert loss == min(losses) < losses[-1]


def test_without_patience_the_last_weights_stay():
    history, loss = noisy(patience=None, epochs=12)
    losses = history.column("validation_loss")
    assert loss == losses[-1] > min(losses) == losses[history.best_epoch - 1]


def test_fit_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    training.fit(**broken(validation=loader(seed=1), train=[data(16)] * 2))
    training.fit(**broken(train=loader(shuffle=True, generator=seeded())))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_progress_bar_goes_to_standard_output(capsys):
    training.fit(**broken(progress=True))
    printed = capsys.readouterr()
    assert "6/6" in printed.out
    assert printed.err == ""
    training.fit(**broken())
    assert capsys.readouterr() == ("", "")


def test_batches_go_to_where_the_model_is():
    process = OneProcess("here", small().to("meta"), "float32")
    assert [t.device.type for t in placed(data(4), process)] == ["meta", "meta"]


# ---- precision


def test_automatic_precision_computes_in_bfloat16(monkeypatch):
    monkeypatch.setattr(
        runtime, "autocast", lambda: torch.autocast("cpu", dtype=torch.bfloat16)
    )
    types, formats = set(), set()

    def step(model, batch):
        results = training.classification_step(model, batch)
        types.add(results["logits"].dtype)
        formats.add(batch[0].is_contiguous(memory_format=torch.channels_last))
        return results

    model = small()
    images = torch.rand(32, 1, 16, 16).expand(-1, 1, -1, -1)
    history = training.fit(
        **broken(model=model, step=step, precision="auto", epochs=4),
        validation=[(images, torch.zeros(32, dtype=torch.int64))],
    )
    assert types == {torch.bfloat16}
    assert formats == {True}
    assert model.body[3].weight.is_contiguous(memory_format=torch.channels_last)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert history.losses[-1] < history.losses[0]
    found = training.evaluate(model, loader(), precision="auto")
    exact = training.evaluate(model, loader())
    assert found.logits.dtype == torch.float32
    assert found.loss != exact.loss
    assert found.loss == pytest.approx(exact.loss, rel=0.05)


def test_automatic_precision_is_float32_without_the_units(monkeypatch):
    monkeypatch.setattr(runtime, "_has_bf16_units", lambda: False)
    left, right = small(), small()
    training.fit(**broken(model=left, precision="auto"))
    training.fit(**broken(model=right))
    assert same(state(left), state(right))


# ---- schedules


def rates(name, epochs=4, steps=2, **settings):
    model = small()
    optimizer = torch.optim.SGD(
        [
            {"params": model.body.parameters(), "lr": 0.1},
            {"params": model.head.parameters(), "lr": 1e-3},
        ]
    )
    plan = training.schedule(optimizer, name, **settings)
    history = training.fit(
        model,
        [data(8)] * steps,
        optimizer=optimizer,
        epochs=epochs,
        schedule=plan,
        step=lambda model, batch: {
            **training.classification_step(model, batch),
            "of the head": torch.tensor(optimizer.param_groups[1]["lr"]),
        },
    )
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 1e-3]
    ratio = [r / 0.1 for r in history.rates[steps - 1 :: steps]]
    if settings["unit"] == "epoch":  # all groups by one factor
        expected = [1e-3 * r for r in ratio]
        assert history.column("of the head") == pytest.approx(expected)
    return [rate / 0.1 for rate in history.rates]


def test_schedules_follow_their_table():
    assert rates("step", unit="epoch", every=2, gamma=0.5) == pytest.approx(
        [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]
    )
    assert rates("step", unit="step", every=2, gamma=0.5) == pytest.approx(
        [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    )
    assert rates("milestones", unit="epoch", milestones=[1, 3], gamma=0.1) == (
        pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])
    )
    assert rates("exponential", unit="step", gamma=0.9) == pytest.approx(
        [0.9**t for t in range(8)]
    )
    assert rates("linear", unit="step") == pytest.approx([1 - t / 8 for t in range(8)])
    assert rates("cosine", unit="epoch") == pytest.approx(
        [(1 + math.cos(math.pi * t / 4)) / 2 for t in (0, 0, 1, 1, 2, 2, 3, 3)]
    )
    assert rates("linear", unit="step", warmup=3) == pytest.approx(
        [0.25, 0.5, 0.75, 1.0, 0.8, 0.6, 0.4, 0.2]
    )


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("step", lambda o: torch.optim.lr_scheduler.StepLR(o, 3, gamma=0.5)),
        (
            "milestones",
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 5], gamma=0.5),
        ),
        ("exponential", lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5)),
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 8)),
    ],
)
def test_schedules_equal_torchs(name, theirs):
    options = {
        "step": {"every": 3, "gamma": 0.5},
        "milestones": {"milestones": [2, 5], "gamma": 0.5},
        "exponential": {"gamma": 0.5},
        "cosine": {},
    }[name]
    optimizer = sgd(small(), lr=1.0)
    plan = training.schedule(optimizer, name, unit="epoch", **options).plan(1, 8)
    scheduler, expected = theirs(optimizer), []
    for _ in range(8):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert plan == pytest.approx(expected)


def test_a_schedule_has_no_default_unit():
    """E 1.17: nobody counts steps by accident."""
    with pytest.raises(TypeError, match="unit"):
        training.schedule(sgd(small()), "step", every=7, gamma=0.1)


@pytest.mark.parametrize(
    ("epochs", "options", "message"),
    [
        # E 1.17: StepLR(7) called once a batch
        (
            20,
            {"name": "step", "unit": "step", "every": 7, "gamma": 0.1},
            "must leave a rate to learn with .* does it count steps where epochs",
        ),
        # E 1.18: the second milestone is the end of the run
        (
            50,
            {
                "name": "milestones",
                "unit": "epoch",
                "milestones": [30, 50],
                "gamma": 0.1,
            },
            r"must act inside the run of 50 epochs of 3 steps, between epoch 0 and 50",
        ),
        (
            5,
            {"name": "step", "unit": "epoch", "every": 7, "gamma": 0.1},
            r"must act .* got Schedule\(name='step', unit='epoch'.* is epoch the right",
        ),
        (2, {"name": "linear", "unit": "epoch", "warmup": 2}, "must act inside"),
        (1, {"name": "cosine", "unit": "epoch"}, "must act inside the run of 1 epochs"),
        (
            100,
            {"name": "exponential", "unit": "step", "gamma": 0.9},
            r"must leave a rate .* on average 9\.\de-09 of it in the second half",
        ),
    ],
)
def test_fit_refuses_a_schedule_that_makes_no_sense_in_the_run(
    epochs, options, message
):
    run = broken(epochs=epochs)
    before = state(run["model"])
    name = options.pop("name")
    plan = training.schedule(run["optimizer"], name, **options)
    with pytest.raises(ValueError, match="training.fit: the schedule " + message):
        training.fit(**run, schedule=plan)
    assert same(state(run["model"]), before)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stairs", {}, "name must be one of step, milestones, .* got 'stairs'"),
        ("cosine", {"unit": "batch"}, "unit must be one of step, epoch, got 'batch'"),
        ("step", {"gamma": 0.1}, "'step' takes every and gamma, got gamma; the table"),
        ("cosine", {"gamma": 0.1}, "'cosine' takes at most warmup, got gamma"),
        ("exponential", {}, "'exponential' takes gamma, got no option"),
        ("exponential", {"gamma": 1.0}, r"gamma must lie in \(0, 1\), got 1.0"),
        ("step", {"every": 0, "gamma": 0.1}, r"every must lie in \[1, inf\), got 0"),
        ("linear", {"warmup": 0}, r"warmup must lie in \[1, inf\), got 0"),
        ("milestones", {"milestones": [3, 2], "gamma": 0.1}, r"rising .* got \[3, 2\]"),
        ("milestones", {"milestones": [], "gamma": 0.1}, r"rising numbers, got \[\]"),
    ],
)
def test_schedule_refuses(name, options, message):
    options = {"unit": "epoch", **options}
    with pytest.raises(ValueError, match="training.schedule: .*" + message):
        training.schedule(sgd(small()), name, **options)


def test_rates_come_back_even_after_an_error():
    run = broken(epochs=4, train=[data(8), (torch.full((8, 1, 16, 16), math.nan), 0)])
    run["train"][1] = (run["train"][1][0], data(8)[1])
    plan = training.schedule(run["optimizer"], "linear", unit="step")
    with pytest.raises(ValueError, match="must stay finite"):
        training.fit(**run, schedule=plan)
    assert run["optimizer"].param_groups[0]["lr"] == 0.05


# ---- what fit refuses


def frozen():
    return small().requires_grad_(False)


def test_fit_refuses_a_model_with_nothing_to_train():
    model = frozen()
    with pytest.raises(ValueError, match="must have something .* 12 parameters, all"):
        training.fit(**broken(model=model))


def test_fit_refuses_the_optimizer_of_another_model():
    with pytest.raises(ValueError, match="hold some of the 12 .* none of them; was it"):
        training.fit(**broken(optimizer=sgd(small())))


def test_fit_refuses_an_optimizer_made_before_the_head_was_replaced():
    run = broken()
    models.replace_head(run["model"], 10, generator=seeded())
    with pytest.raises(ValueError, match="2 others, while 2 are missing; was a layer"):
        training.fit(**run)


def test_fit_takes_an_optimizer_of_the_head_alone():
    run = broken()
    body = [p.clone() for p in run["model"].body.parameters()]
    run["optimizer"] = sgd(run["model"].head)
    training.fit(**run)
    moved = zip(run["model"].body.parameters(), body, strict=True)
    assert all(torch.equal(p, before) for p, before in moved)


def test_fit_refuses_a_diverging_loss():
    model = small()
    with pytest.raises(
        ValueError,
        match=r"loss must stay finite, got (nan|inf) at step \d+, learning rate 1e\+10",
    ):
        training.fit(**broken(model=model, optimizer=sgd(model, lr=1e10), epochs=20))
    assert model.training


def test_fit_refuses_a_validation_loss_that_is_not_a_number():
    validation = [(torch.full((2, 1, 16, 16), math.nan), torch.zeros(2).long())]
    with pytest.raises(ValueError, match="validation loss must .* got nan at epoch 1"):
        training.fit(**broken(validation=validation))


@pytest.mark.parametrize("which", ["train", "validation"])
def test_fit_refuses_an_empty_loader(which):
    with pytest.raises(ValueError, match=f"fit: {which} must hold at least one batch"):
        training.fit(**broken(**{which: []}))


def test_fit_refuses_a_loader_without_a_length():
    with pytest.raises(TypeError, match="train must be a loader .* got generator"):
        training.fit(**broken(train=(batch for batch in loader())))


def test_fit_refuses_labels_out_of_range_and_a_head_too_narrow():
    images, labels = data(8)
    labels[3] = 10
    message = r"\[0, 10\) for logits of shape \(8, 10\), got max 10; does the new head"
    with pytest.raises(ValueError, match=message):
        training.fit(**broken(train=[(images, labels)]))
    labels[3] = -100  # which torch would leave out without a word
    with pytest.raises(ValueError, match="got min -100"):
        training.fit(**broken(train=[(images, labels)]))
    with pytest.raises(ValueError, match=r"\[0, 3\) for logits of shape \(32, 3\)"):
        training.fit(**broken(model=small(classes=3)))


def test_fit_refuses_labels_that_are_not_indices_and_logits_without_classes():
    images, labels = data(8)
    with pytest.raises(TypeError, match="must be an int64 tensor .* got torch.float32"):
        training.fit(**broken(train=[(images, labels.float())]))
    model = nn.Sequential(nn.Flatten(0), nn.Linear(2048, 1))
    with pytest.raises(ValueError, match=r"logits must have shape \(n, c\)"):
        training.fit(**broken(model=model, train=[(images, labels)]))


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda loss: None, TypeError, "got NoneType; is a return missing"),
        (lambda loss: {"cost": loss}, TypeError, r"got \['cost'\]"),
        (lambda loss: {"loss": loss.item()}, TypeError, r"got \['loss'\]"),
        (lambda loss: {"loss": loss[None]}, ValueError, r"got shape \(1,\)"),
        (lambda loss: {"loss": loss.detach()}, ValueError, "requires_grad False"),
    ],
)
def test_fit_refuses_a_step_without_a_loss(result, error, message):
    def step(model, batch):
        return result(training.classification_step(model, batch)["loss"])

    with pytest.raises(error, match="training.fit: the .*" + message):
        training.fit(**broken(step=step))


def test_fit_refuses_a_batch_that_is_no_tuple():
    images, labels = data(8)
    with pytest.raises(TypeError, match="must be a tuple of tensors, got dict; make"):
        training.fit(**broken(train=[{"images": images, "labels": labels}]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, r"epochs must lie in \[1, inf\), got 0"),
        ({"patience": 2}, "patience must come with validation, got none"),
        ({"precision": "bf16"}, "precision must be one of float32, auto, got 'bf16'"),
    ],
)
def test_fit_refuses_settings(changes, message):
    with pytest.raises(ValueError, match="training.fit: " + message):
        training.fit(**broken(**changes))


def test_fit_refuses_no_patience():
    with pytest.raises(ValueError, match=r"patience must lie in \[1, inf\), got 0"):
        training.fit(**broken(patience=0, validation=loader()))


def test_fit_refuses_the_schedule_of_another_optimizer():
    plan = training.schedule(sgd(small()), "cosine", unit="step")
    with pytest.raises(ValueError, match="for the optimizer of the run, got one for"):
        training.fit(**broken(schedule=plan))


# ---- batches


def test_batches_cut_without_losing_or_mixing():
    x = torch.arange(10)
    pairs = list(training.batches(x, x + 100, batch_size=4))
    assert [len(a) for a, _ in pairs] == [4, 4, 2]
    assert torch.cat([a for a, _ in pairs]).equal(x)
    assert all(b.equal(a + 100) for a, b in pairs)


def test_batches_shuffle_anew_in_every_pass_and_alike_from_one_seed():
    def passes(seed):
        cut = training.batches(torch.arange(50), shuffle=True, generator=seeded(seed))
        return [torch.cat([x for (x,) in cut]).tolist() for _ in range(2)]

    first, second = passes(0)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert passes(0) == [first, second]
    assert passes(1) != [first, second]


@pytest.mark.parametrize(
    ("tensors", "settings", "message"),
    [
        ([torch.zeros(3), torch.zeros(4)], {}, r"one length, .* \[\(3,\), \(4,\)\]"),
        ([torch.zeros(0)], {}, "at least 1"),
        ([], {}, r"one length, at least 1, got \[\]"),
        ([torch.zeros(3)], {"batch_size": 0}, r"batch_size must lie in \[1, inf\)"),
        ([torch.zeros(3)], {"shuffle": True}, "shuffle must come with a generator"),
    ],
)
def test_batches_refuse(tensors, settings, message):
    with pytest.raises(ValueError, match="training.batches: .*" + message):
        training.batches(*tensors, **settings)


# ---- evaluate


def test_evaluate_is_the_formula_over_all_examples():
    model = small()
    images, labels = data(40)
    found = training.evaluate(
        model, training.batches(images, labels, batch_size=32)
    )  # E 0.34
    model.eval()
    with torch.no_grad():
        logits = model(images)
    torch.testing.assert_close(found.logits, logits)
    assert found.labels.equal(labels)
    expected = functional.cross_entropy(logits.double(), labels).item()
    assert found.loss == pytest.approx(expected, rel=1e-6)
    assert found.accuracy == (logits.argmax(1) == labels).double().mean().item()
    assert not found.logits.requires_grad


def test_evaluate_changes_nothing():
    """E 0.32 and E 1.23: no statistics learned from the test, modes as they were."""
    model = small()
    model.body[1].eval()
    modes, before = [m.training for m in model.modules()], state(model)
    training.evaluate(model, loader())
    assert [m.training for m in model.modules()] == modes
    assert same(state(model), before)
    with pytest.raises(ValueError, match="labels must lie in"):
        training.evaluate(model, [(data(8)[0], torch.full((8,), 10))])
    assert [m.training for m in model.modules()] == modes


def test_evaluate_refuses_an_empty_loader():
    with pytest.raises(
        ValueError, match="training.evaluate: loader must hold at least"
    ):
        training.evaluate(small(), [])


def test_a_step_takes_several_inputs():
    class Sum(nn.Module):
        def forward(self, left, right):
            return left + right

    x = torch.tensor([[1.0, 0.0]])
    batch = (x, x, torch.tensor([0]))
    assert training.evaluate(Sum(), [batch]).loss == pytest.approx(
        math.log(1 + math.exp(-2))
    )


# ---- features


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("cached", [False, True])
def test_features_come_from_evaluation_mode_without_gradients(cached, cache):
    model = small()
    before = state(model)
    found = training.extract_features(model.body, loader(batch_size=7), cached=cached)
    assert same(state(model), before)
    assert model.body.training
    assert not found.requires_grad
    model.eval()
    torch.testing.assert_close(found, model.body(data()[0]).detach())
    nn.Linear(64, 2)(found).sum().backward()  # usable for training a head


def test_cached_features_are_read_and_not_computed_again(cache, monkeypatch):
    body = small().body
    found = training.extract_features(body, loader(batch_size=8), cached=True)
    assert len(list(cache.rglob("features.pt"))) == 1
    calls = []
    body.register_forward_hook(lambda *_: calls.append(1))
    again = training.extract_features(body, loader(batch_size=8), cached=True)
    assert again.equal(found)
    assert len(calls) == 1  # the first batch stands for the code


@pytest.mark.parametrize("change", ["weights", "statistics", "images", "order", "code"])
def test_cached_features_are_computed_again_for_another(change, cache):
    body, (images, labels) = small().body, data()
    training.extract_features(body, training.batches(images, labels), cached=True)
    if change == "weights":
        body[0].weight.data[0, 0, 0, 0] += 1e-3
    elif change == "statistics":
        body[1].running_mean[0] += 1e-3
    elif change == "images":
        images[-1, 0, 0, 0] += 1e-3
    elif change == "order":
        images = images.flip(0)
    else:
        body[2] = nn.LeakyReLU()
    train = training.batches(images, labels)
    found = training.extract_features(body, train, cached=True)
    assert found.equal(training.extract_features(body, train))
    assert len(list(cache.rglob("features.pt"))) == 2


def test_cached_features_see_a_weight_that_the_first_batch_does_not(cache):
    body = nn.Linear(2, 2, bias=False)
    train = [(torch.zeros(1, 2),), (torch.ones(1, 2),)]
    training.extract_features(body, train, cached=True)
    body.weight.data += 1
    found = training.extract_features(body, train, cached=True)
    assert found.equal(training.extract_features(body, train))


def test_features_of_unlabelled_inputs():
    images = torch.rand(5, 1, 2, 2)
    features = training.extract_features(nn.Flatten(), training.batches(images))
    assert features.equal(images.flatten(1))


def test_features_refuse_a_shuffled_loader():
    shuffled = loader(shuffle=True, generator=seeded())
    with pytest.raises(ValueError, match="keep the order .* one that shuffles; make"):
        training.extract_features(small().body, shuffled)


def test_features_refuse_maps_and_nothing():
    with pytest.raises(ValueError, match=r"\(n, d\), got shape \(4, 1, 16, 16\)"):
        training.extract_features(nn.Identity(), [data(4)])
    with pytest.raises(ValueError, match="extract_features: loader must hold at least"):
        training.extract_features(nn.Identity(), [])


# ---- several processes


LAUNCHED = """
import sys, torch
from accelerate import Accelerator
from torch import nn
from tlcourse import training

def main(folder, batch_size):
    accelerator = Accelerator(cpu=True)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 5, generator=generator)
    y = torch.randint(3, (120,), generator=generator)
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    history = training.fit(
        model,
        training.batches(x, y, batch_size=batch_size),
        optimizer=optimizer,
        epochs=4,
        schedule=training.schedule(optimizer, "cosine", unit="step"),
        validation=training.batches(x[:30], y[:30]),
        patience=4,
        checkpoint=f"{folder}/run.ckpt",
        accelerator=accelerator,
    )
    torch.save(
        {"state": model.state_dict(), "loss": history.column("validation_loss")},
        f"{folder}/{accelerator.num_processes}-{accelerator.process_index}.pt",
    )

main(sys.argv[1], int(sys.argv[2]))
"""


@pytest.fixture
def launch(tmp_path, root):
    script = tmp_path / "launched.py"
    script.write_text(LAUNCHED)

    path = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]

    def run(folder, processes, batch_size):
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "accelerate.commands.launch"]
        command += ["--num_processes", str(processes), "--num_machines", "1"]
        command += ["--mixed_precision", "no", "--dynamo_backend", "no"]
        command += ["--main_process_port", "0"]
        command += ["--multi_gpu"] if processes > 1 else ["--cpu"]
        subprocess.run(
            [*command, str(script), str(folder), str(batch_size)],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=300,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )
        files = sorted(folder.glob(f"{processes}-*.pt"))
        return [torch.load(file, weights_only=True) for file in files]

    return run


@pytest.mark.skipif(
    sys.platform == "win32", reason="torchrun has no rendezvous there without libuv"
)
def test_two_processes_train_as_one_on_batches_twice_as_large(tmp_path, launch):
    (alone,) = launch(tmp_path / "one", 1, 40)
    first, second = launch(tmp_path / "two", 2, 20)
    assert same(first["state"], second["state"])
    assert first["loss"] == second["loss"]
    for key, value in alone["state"].items():
        torch.testing.assert_close(first["state"][key], value)
    assert first["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    # A second launch finds the run finished, in both processes.
    again = launch(tmp_path / "two", 2, 20)
    assert all(same(each["state"], first["state"]) for each in again)


def test_accelerate_decides_on_precision_and_accumulation():
    class Accumulating:
        gradient_accumulation_steps = 2

    with pytest.raises(ValueError, match=r"without accumulation, got \('float32', 2\)"):
        training.fit(**broken(accelerator=Accumulating()))
    Accumulating.gradient_accumulation_steps = 1
    with pytest.raises(ValueError, match=r"got \('auto', 1\); give mixed_precision"):
        training.fit(**broken(accelerator=Accumulating(), precision="auto"))


# ---- speed


def test_fit_costs_little_beside_a_bare_loop(root):
    """The benchmark's bound is 5 %; this one leaves room for a busy machine."""
    path = root / "benchmarks" / "fit_overhead.py"
    spec = importlib.util.spec_from_file_location("fit_overhead", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    # Other programs can only add to a ratio for a while: the least of three counts.
    ratio = min(benchmark.measure(pairs=5)[0] for _ in range(3))
    assert 0.5 < ratio < 1.25


def test_a_history_can_be_copied():
    history = training.fit(**broken())
    assert copy.deepcopy(history) == history
