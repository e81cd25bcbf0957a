"""Every dial changes what it names, leaves the rest, and is still at 0."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tlcourse import runtime
from tlcourse.data import shifts
from tlcourse.data.records import Split

LEVELS = {
    "blur": 1.5,
    "rotation": 30,
    "noise": 0.3,
    "mixture": 0.4,
    "labels": 0.5,
    "concept": 4,
}


def pictures(n: int = 200, *, seed: int = 0, side: int = 8) -> Split:
    rng = runtime.generator(seed, "pictures")
    images = torch.rand(n, 1, side, side, generator=rng)
    return Split(images, torch.arange(n) % 10)


def shifted(split: Split, kind: str, level: float, seed: int = 1) -> Split:
    rng = runtime.generator(seed, "shift")
    return shifts.shift(
        split, kind, level, generator=rng, other=pictures(len(split), seed=9)
    )


def test_there_is_a_level_here_for_every_kind() -> None:
    assert set(LEVELS) == set(shifts.KINDS)


@pytest.mark.parametrize("kind", LEVELS)
def test_level_0_changes_nothing_and_any_level_leaves_the_original(kind: str) -> None:
    split = pictures()
    images, labels = split.images.clone(), split.labels.clone()
    same = shifted(split, kind, 0)
    assert torch.equal(same.images, images) and torch.equal(same.labels, labels)
    shifted(split, kind, LEVELS[kind])
    assert torch.equal(split.images, images) and torch.equal(split.labels, labels)


@pytest.mark.parametrize("kind", LEVELS)
def test_a_shift_is_decided_by_the_generator_which_always_moves_alike(
    kind: str,
) -> None:
    split = pictures()
    first, second = (shifted(split, kind, LEVELS[kind]) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    states = []
    for level in (0, LEVELS[kind]):
        rng = runtime.generator(1, "shift")
        shifts.shift(split, kind, level, generator=rng, other=split)
        states.append(rng.get_state())
    assert torch.equal(*states)


@pytest.mark.parametrize("kind", ["blur", "rotation", "noise"])
def test_covariate_shifts_change_pictures_not_labels(kind: str) -> None:
    split = pictures()
    moved = shifted(split, kind, LEVELS[kind])
    assert torch.equal(moved.labels, split.labels)
    assert not torch.equal(moved.images, split.images)


def test_blur_is_the_gaussian_and_keeps_the_ink() -> None:
    dot = torch.zeros(1, 1, 21, 21)
    dot[0, 0, 10, 10] = 1
    blurred = shifted(Split(dot, torch.tensor([0])), "blur", 2).images[0, 0]
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    ratio = (blurred[10, 12] / blurred[10, 10]).item()
    assert ratio == pytest.approx(2.718281828 ** (-(2**2) / (2 * 2**2)), rel=1e-4)


def test_rotation_by_90_degrees_is_a_quarter_turn_counter_clockwise() -> None:
    split = pictures()
    turned = shifted(split, "rotation", 90).images
    torch.testing.assert_close(turned, split.images.rot90(1, (2, 3)), atol=1e-5, rtol=0)


def test_a_mixture_takes_pictures_with_their_labels() -> None:
    split, other = pictures(1000), pictures(1000, seed=9)
    other = Split(other.images, (other.labels + 5) % 10)
    rng = runtime.generator(1, "shift")
    mixed = shifts.shift(split, "mixture", 0.4, generator=rng, other=other)
    new = (mixed.images == other.images).flatten(1).all(1)
    assert new.float().mean().item() == pytest.approx(0.4, abs=0.06)
    assert torch.equal(mixed.labels[new], other.labels[new])
    assert torch.equal(mixed.images[~new], split.images[~new])
    rng = runtime.generator(1, "shift")
    whole = shifts.shift(split, "mixture", 1, generator=rng, other=other)
    assert torch.equal(whole.images, other.images)


def test_label_shift_thins_the_upper_classes_only() -> None:
    counts = torch.bincount(shifted(pictures(2000), "labels", 0.7).labels)
    assert counts[:5].tolist() == [200] * 5
    assert counts[5:].float().mean().item() == pytest.approx(60, abs=10)
    assert shifted(pictures(), "labels", 1).labels.max() == 4


def test_concept_shift_renames_in_a_circle() -> None:
    split = pictures()
    for level in range(1, 11):
        renamed = shifted(split, "concept", level)
        assert torch.equal(renamed.images, split.images)
        wrong = (renamed.labels != split.labels).float().mean().item()
        assert wrong == pytest.approx(level / 10 if level > 1 else 0)
        assert renamed.labels.bincount().tolist() == [20] * 10


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of blur, rotation"):
        shifted(pictures(), "weather", 1)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 50; it is the share that is"):
        shifted(pictures(), "labels", 50)
    with pytest.raises(ValueError, match=r"\[0, 10\], got 11; it is the number of cla"):
        shifted(pictures(), "concept", 11)
    rng = torch.Generator()
    with pytest.raises(ValueError, match="of 200 pictures or more, got none"):
        shifts.shift(pictures(), "mixture", 0.5, generator=rng)
    with pytest.raises(ValueError, match="of 200 pictures or more, got 20"):
        shifts.shift(pictures(), "mixture", 0.5, generator=rng, other=pictures(20))


def test_importing_does_not_load_torchvision() -> None:
    code = "import sys, tlcourse.data.shifts; print('torchvision' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "False"
