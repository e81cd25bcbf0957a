"""Checkpoints: a run that is killed ends as one that never was, or says why not."""

import io
import os
import random
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from tlcourse import _checkpoints, models, optim, training

EPOCHS, STEPS = 6, 5


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def build(seed=0, lr=0.01, optimizer=torch.optim.Adam, epochs=EPOCHS, **changes):
    """Return a run with something of everything that a checkpoint must hold."""
    torch.manual_seed(seed)  # dropout draws from the global state
    model = models.small_cnn(10, generator=seeded(seed))
    model.head = nn.Sequential(nn.Dropout(0.5), model.head)
    images = torch.rand(40, 1, 16, 16, generator=seeded(1))
    labels = torch.randint(10, (40,), generator=seeded(2))
    made = optimizer(model.parameters(), lr=lr)
    return {
        "model": model,
        "train": training.batches(
            images, labels, batch_size=8, shuffle=True, generator=seeded(seed)
        ),
        "optimizer": made,
        "epochs": epochs,
        "schedule": training.schedule(made, "cosine", unit="step"),
        "validation": training.batches(images[:9], labels[:9], batch_size=4),
        "patience": epochs,
        **changes,
    }


def interrupted(after):
    """Return a step that fails when it is called for the `after`-th time."""
    calls = 0

    def classification_step(model, batch):
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return training.classification_step(model, batch)

    classification_step.__qualname__ = "classification_step"
    return classification_step


def outcome(run, history):
    """Return all that a run leaves behind, but for times."""
    rows = [{k: v for k, v in r.items() if k != "seconds"} for r in history.epochs]
    return {
        "model": {k: v.clone() for k, v in run["model"].state_dict().items()},
        "optimizer": run["optimizer"].state_dict(),
        "history": (rows, history.losses, history.rates, history.best_epoch),
        "random": [torch.get_rng_state(), run["train"].generator.get_state()],
        "checked": run["validation"].generator.get_state(),
    }


def assert_equal(left, right):
    torch.testing.assert_close(left, right, rtol=0, atol=0)


@pytest.mark.parametrize(
    "optimizer", [torch.optim.Adam, optim.Adam, optim.SGD, torch.optim.SGD]
)
@pytest.mark.parametrize("after", [0, 1, STEPS, STEPS + 1, 3 * STEPS - 1, 6 * STEPS])
def test_an_interrupted_run_ends_as_if_it_never_was(optimizer, after, tmp_path):
    whole = build(optimizer=optimizer)
    expected = outcome(whole, training.fit(**whole))
    path = tmp_path / "new folder" / "run.ckpt"
    run = build(optimizer=optimizer, step=interrupted(after), checkpoint=path)
    if after < EPOCHS * STEPS:
        with pytest.raises(KeyboardInterrupt):
            training.fit(**run)
    else:
        training.fit(**run)
    torch.manual_seed(99)  # whatever happened in between
    again = build(optimizer=optimizer, checkpoint=path)
    assert_equal(outcome(again, training.fit(**again)), expected)


def test_a_run_may_be_interrupted_again_and_again(tmp_path):
    whole = build()
    expected = outcome(whole, training.fit(**whole))
    path, attempts = tmp_path / "run.ckpt", 0
    while True:  # each attempt finishes one epoch and a half
        attempts += 1
        run = build(step=interrupted(STEPS + 3), checkpoint=path)
        try:
            history = training.fit(**run)
            break
        except KeyboardInterrupt:
            continue
    assert attempts == EPOCHS
    assert_equal(outcome(run, history), expected)


def test_early_stopping_goes_on_counting(tmp_path):
    def noisy(**changes):
        return build(epochs=40, patience=4, lr=0.05, **changes)

    whole = noisy()
    history = training.fit(**whole)
    expected, stopped = outcome(whole, history), len(history.epochs)
    assert stopped == history.best_epoch + 4 < 40
    for epoch in (stopped - 3, stopped - 1, stopped):
        path = tmp_path / f"{epoch}.ckpt"
        run = noisy(step=interrupted(epoch * STEPS), checkpoint=path)
        try:
            training.fit(**run)
        except KeyboardInterrupt:
            assert epoch < stopped
        again = noisy(checkpoint=path)
        assert_equal(outcome(again, training.fit(**again)), expected)


def test_a_finished_run_is_not_run_again(tmp_path):
    run = build(checkpoint=tmp_path / "run.ckpt")
    history = training.fit(**run)
    again = build(checkpoint=tmp_path / "run.ckpt", step=interrupted(0))
    assert training.fit(**again) == history
    assert_equal(again["model"].state_dict(), run["model"].state_dict())


def test_a_checkpoint_changes_nothing(tmp_path):
    plain = build()
    expected = outcome(plain, training.fit(**plain))
    kept = build(checkpoint=str(tmp_path / "run.ckpt"))
    assert_equal(outcome(kept, training.fit(**kept)), expected)
    assert os.listdir(tmp_path) == ["run.ckpt"]


# ---- killed for real


SCRIPT = """
import sys, torch
torch.set_num_threads(1)
sys.path[:0] = {paths!r}
from test_training_resume import LONG, build
from tlcourse import training

training.fit(**build(epochs=2))  # the first steps of a process load libraries
print("ready", flush=True)
run = build(epochs=LONG, checkpoint=sys.argv[1])
losses = training.fit(**run).losses
torch.save({{"model": run["model"].state_dict(), "losses": losses}}, sys.argv[2])
"""
LONG = 100


@pytest.fixture
def start(root, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(SCRIPT.format(paths=[str(root), str(root / "tests" / "unit")]))

    def started(checkpoint, result):
        process = subprocess.Popen(
            [sys.executable, str(script), str(checkpoint), str(result)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout.readline().strip() == b"ready"
        return process

    return started


def test_a_killed_run_ends_as_if_it_never_was(start, tmp_path):
    process = start(tmp_path / "whole.ckpt", tmp_path / "whole.pt")
    began = time.perf_counter()
    process.communicate()
    seconds = time.perf_counter() - began
    assert process.returncode == 0

    moments, checkpoint, epochs = random.Random(0), tmp_path / "killed.ckpt", []
    for _ in range(3):
        process = start(checkpoint, tmp_path / "killed.pt")
        time.sleep(moments.uniform(0.05, 0.3) * seconds)
        process.kill()  # SIGKILL: no handler, no finally, no flush
        process.communicate()
        if checkpoint.exists():
            _, _, data = checkpoint.read_bytes().partition(b"\n")
            history = torch.load(io.BytesIO(data), weights_only=True)["history"]
            epochs.append(len(history["epochs"]))
    assert any(0 < done < LONG for done in epochs), "no kill came in the run"
    assert epochs == sorted(epochs)
    process = start(checkpoint, tmp_path / "killed.pt")
    process.communicate()
    assert process.returncode == 0
    assert_equal(
        torch.load(tmp_path / "killed.pt", weights_only=True),
        torch.load(tmp_path / "whole.pt", weights_only=True),
    )


def test_a_crash_while_writing_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    _checkpoints.save(path, {"settings": {}, "epoch": 1})

    def full(*_):
        raise OSError("no space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(OSError, match="no space left"):
                _checkpoints.save(path, {"settings": {}, "epoch": 2})
        assert _checkpoints.load(path, {})["epoch"] == 1
        assert os.listdir(tmp_path) == ["run.ckpt"]


def test_what_a_killed_writer_left_is_not_trusted(tmp_path):
    path = tmp_path / "run.ckpt"
    (tmp_path / ".run.ckpt.unfinished").write_bytes(b"half a checkpoint")
    run = build(checkpoint=path)
    training.fit(**run)
    assert os.listdir(tmp_path) == ["run.ckpt"]


# ---- damaged and foreign files


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "run.ckpt"
    training.fit(**build(checkpoint=path, epochs=2))
    return path


def refused(path, message, error=ValueError, **changes):
    run = build(checkpoint=path, **{"epochs": 2, **changes})
    before = {k: v.clone() for k, v in run["model"].state_dict().items()}
    with pytest.raises(error, match="training.fit: .*" + message):
        training.fit(**run)
    assert_equal(run["model"].state_dict(), before)


def test_a_truncated_checkpoint_is_refused(checkpoint):
    data = checkpoint.read_bytes()
    for length in (len(data) - 1, len(data) // 2, 200):
        checkpoint.write_bytes(data[:length])
        refused(checkpoint, "must be whole, got .*run.ckpt with bytes missing or")


def test_a_flipped_bit_is_found(checkpoint):
    data = bytearray(checkpoint.read_bytes())
    data[-len(data) // 3] ^= 1
    checkpoint.write_bytes(data)
    refused(checkpoint, "bytes missing or altered; delete .* to start anew, or give")


@pytest.mark.parametrize("content", [b"", b"\n", b"<!DOCTYPE html>\n<html>", "torch"])
def test_a_file_of_something_else_is_refused(content, tmp_path):
    path = tmp_path / "run.ckpt"
    if content == "torch":
        torch.save({"model": {}}, path)
    else:
        path.write_bytes(content)
    refused(path, "a file that training.fit wrote, got .* with another beginning")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"epochs": 3}, "epochs 2, got 3"),
        ({"patience": 1}, "patience 2, got 1"),
        ({"precision": "auto"}, "precision float32, got auto"),
        ({"schedule": None}, r"schedule Schedule\(name='cosine', .*, got None"),
        ({"lr": 0.02}, r"optimizer Adam .*'lr': 0.01.*, got Adam .*'lr': 0.02"),
        ({"optimizer": torch.optim.SGD}, "optimizer Adam .*, got SGD"),
        ({"step": lambda model, batch: {}}, "step classification_step, got .*lambda"),
        ({"seed": 3}, r"seeds \[0, \d+\], got \[3, \d+\]; build model, optimizer and"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(checkpoint, changes, key):
    refused(checkpoint, "must be of this very run, written with " + key, **changes)


def test_a_checkpoint_of_other_weights_or_batches_is_refused(checkpoint):
    run = build(checkpoint=checkpoint, epochs=2)
    with torch.no_grad():
        run["model"].body[0].weight[0, 0, 0, 0] += 1e-6
    with pytest.raises(ValueError, match="initial weights [0-9a-f]{16}, got "):
        training.fit(**run)
    run = build(checkpoint=checkpoint, epochs=2)
    with pytest.raises(ValueError, match="batches 5, got 2;"):
        training.fit(**{**run, "train": list(run["train"])[:2]})


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_checkpoint_runs_no_code(tmp_path):
    path, mark = tmp_path / "run.ckpt", tmp_path / "mark"
    _checkpoints.save(path, {"settings": {}, "model": Malicious(mark)})
    with pytest.raises(Exception, match="[Ww]eights"):
        training.fit(**build(checkpoint=path))
    assert not mark.exists()


def test_the_fingerprint_sees_names_shapes_types_and_bytes():
    base = [("a", torch.zeros(2, 3)), ("b", torch.tensor(1))]
    changed = [
        [("a", torch.zeros(3, 2)), base[1]],
        [("a", torch.zeros(2, 3, dtype=torch.int32)), base[1]],
        [("c", base[0][1]), base[1]],
        [base[0], ("b", torch.tensor(2))],
        [base[1], base[0]],
        base[:1],
    ]
    prints = [_checkpoints.fingerprint(each) for each in [base, *changed]]
    assert len(set(prints)) == len(prints)
    strided = torch.zeros(3, 2).t()
    assert _checkpoints.fingerprint([("a", strided), base[1]]) == prints[0]
