"""Insects: the same bytes everywhere, known factors, parts that fit the pictures."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from tlcourse import runtime
from tlcourse.data import _insect_drawing as drawing
from tlcourse.data import insects
from tlcourse.data.insects import Insects, Pictures
from tlcourse.data.records import DataSet, Split

HASHES = {
    "photo": "672d030ea3b7958ea1f9b98ea5a35be0e90e96baf49a8a130a53a7ad53e3de10",
    "ink": "515e732676066be93b78e1629596b2c41bf3b0024765a6a7a530d8d84be70b7f",
    "plate": "72563c5ee7866b561e970b1ff7c13c2827d54811430fdff73c6dc2033e2d945e",
}
PROGRAM = """
import hashlib
from tlcourse import runtime
from tlcourse.data import insects
some = insects.draw(insects.SPECIES * 4, generator=runtime.generator(7, "test"))
for style in insects.STYLES:
    pictures = insects.render(some, style=style)
    pair = pictures.images.numpy().tobytes() + pictures.parts.numpy().tobytes()
    print(style, hashlib.sha256(pair).hexdigest())
"""


@cache
def some(difficulty: float = 0.5) -> Insects:
    rng = runtime.generator(7, "test")
    return insects.draw(insects.SPECIES * 4, difficulty=difficulty, generator=rng)


def one(species: str, **factors: float) -> Insects:
    insect = insects.draw([species], difficulty=0, generator=torch.Generator())
    for name, value in factors.items():
        insect = insect.change(name, value)
    return insect


def middle(pictures: Pictures, part: str) -> tuple[float, float]:
    """Return the mean x and y of a part of the only picture, in pixels."""
    y, x = torch.nonzero(pictures.part(part)[0], as_tuple=True)
    return float(x.double().mean()), float(y.double().mean())


def rows(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


@pytest.fixture(scope="module")
def target() -> DataSet:
    return insects.load_target("embedded")


@pytest.fixture(scope="module")
def figures(root: Path) -> ModuleType:
    path = root / "book" / "figures" / "draw_insects.py"
    spec = importlib.util.spec_from_file_location("draw_insects", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The same bytes


def hashes(root: Path, **environment: str) -> dict[str, str]:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in answer.stdout.splitlines())


def test_the_same_seed_gives_the_same_bytes(root: Path) -> None:
    assert hashes(root, OMP_NUM_THREADS="2") == HASHES


def test_bytes_do_not_depend_on_the_instructions_of_the_processor(root: Path) -> None:
    from numpy._core import _multiarray_umath as core

    # All that this numpy would choose by processor, so that only its baseline is left.
    chosen = " ".join(core.__cpu_dispatch__)
    assert hashes(root, NPY_DISABLE_CPU_FEATURES=chosen) == HASHES


def test_nothing_of_a_shape_lies_outside_the_blocks_in_which_it_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for difficulty in (0.5, 1.0):
        blocks = [insects.render(some(difficulty), style=s) for s in insects.STYLES]
        with monkeypatch.context() as patch:
            patch.setattr(drawing, "BLOCK", 64)  # one block a picture: nothing is left
            whole = [insects.render(some(difficulty), style=s) for s in insects.STYLES]
        for a, b in zip(blocks, whole, strict=True):
            assert torch.equal(a.images, b.images) and torch.equal(a.parts, b.parts)


def test_a_picture_does_not_depend_on_its_neighbours() -> None:
    alone = insects.render(some().take([17]))
    among = insects.render(some())
    assert torch.equal(alone.images[0], among.images[17])
    assert torch.equal(alone.parts[0], among.parts[17])


def test_cosine_and_sine_agree_with_those_of_the_library() -> None:
    degrees = np.linspace(-720, 720, 2881)
    cosine, sine = drawing.turn(degrees)
    assert np.abs(cosine - np.cos(np.deg2rad(degrees))).max() < 1e-7
    assert np.abs(sine - np.sin(np.deg2rad(degrees))).max() < 1e-7


def test_scattered_numbers_look_random() -> None:
    dice = drawing.scatter(np.arange(4)[:, None], 3, np.arange(50_000))
    assert len(np.unique(dice)) > 199_990  # of 200,000; chance would double five
    for bit in range(32):
        assert abs(float((dice >> bit & 1).mean()) - 0.5) < 0.006  # five sigma
    assert abs(np.corrcoef(dice[:, :-1].ravel(), dice[:, 1:].ravel())[0, 1]) < 0.012


# Splits


def test_target_has_the_sizes_of_hymenoptera(target: DataSet) -> None:
    assert target.classes == ("ant", "bee")
    assert torch.bincount(target.train.labels).tolist() == [123, 121]
    assert torch.bincount(target.validation.labels).tolist() == [200, 200]
    assert torch.bincount(target.test.labels).tolist() == [500, 500]
    assert torch.bincount(target.test.labels[:153]).tolist() == [70, 83]
    assert target.train.images.shape == (244, 3, 64, 64)


def test_the_small_test_split_is_the_beginning_of_the_large_one(
    target: DataSet,
) -> None:
    small = insects.load_target("embedded", n_test=153)
    assert torch.equal(small.test.images, target.test.images[:153])
    assert torch.equal(small.train.images, target.train.images)


def test_no_picture_is_in_two_splits(target: DataSet) -> None:
    parts = (target.train, target.validation, target.test)
    assert len(set.union(*map(rows, parts))) == sum(map(len, parts)) == 1644
    seen = torch.cat(
        [
            insects.members(domain, split).values
            for domain in ("source", "target")
            for split in insects.PER_SPECIES
        ]
    )
    assert len(torch.unique(seen, dim=0)) == len(seen) == 6644


def test_source_is_balanced_and_holds_neither_ant_nor_bee() -> None:
    for split, each in insects.PER_SPECIES.items():
        insect = insects.members("source", split)
        assert torch.bincount(insect.labels).tolist() == [each] * 10
        assert torch.equal(insect.species, insect.labels)
    assert not {"ant", "bee"} & set(insects.SOURCE)
    assert insects.TARGET == ("ant", "bee")


def test_source_loads_at_another_size_and_in_another_style(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        insects, "PER_SPECIES", {"train": 2, "validation": 1, "test": 1}
    )
    source = insects.load_source("embedded", style="ink", size=32)
    assert source.train.images.shape == (20, 3, 32, 32)
    assert source.classes == insects.SOURCE
    assert source.test.labels.tolist() == list(range(10))


def test_splits_are_fixed_whatever_the_global_seed_is(target: DataSet) -> None:
    runtime.seed_all(123)
    before = torch.get_rng_state()
    again = insects.load_target("embedded", n_test=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again.train.images, target.train.images)


def test_members_are_what_the_splits_show(target: DataSet) -> None:
    chosen = insects.members("target", "validation").take([0, 5, 399])
    pictures = insects.render(chosen)
    assert torch.equal(pictures.images, target.validation.images[[0, 5, 399]])
    assert chosen.labels.tolist() == [0, 1, 1]


# Factors


def test_difficulty_stretches_the_same_draws() -> None:
    easy, usual, hard = (some(d).values for d in (0.0, 0.5, 1.0))
    free = [k for k, name in enumerate(insects.FACTORS) if name not in insects.CHOICES]
    rest = torch.tensor([f[0] for f in insects.FACTORS.values()], dtype=torch.float64)
    assert torch.equal(easy[:, free], rest[free].expand(48, -1))
    torch.testing.assert_close(usual, (easy + hard) / 2)
    for name, (_, low, high) in insects.FACTORS.items():
        column = some(1.0).factor(name)
        assert low <= float(column.min()) < float(column.max()) <= high
        assert float(column.max() - column.min()) > 0.6 * (high - low - 1)


def test_a_longer_list_begins_like_a_shorter_one() -> None:
    rng = runtime.generator(7, "test")
    short = insects.draw(insects.SPECIES[:5], generator=rng)
    assert torch.equal(short.values, some().values[:5])


@pytest.mark.parametrize("name", insects.FACTORS)
def test_each_factor_changes_the_picture(name: str) -> None:
    rest, low, high = insects.FACTORS[name]
    insect = one("bee", clutter=5, gait=0.1)
    before = insects.render(insect.change(name, rest))
    last = high - 1 if name in insects.CHOICES else high
    after = insects.render(insect.change(name, low if last == rest else last))
    if name == "heading":  # once around
        after = insects.render(insect.change(name, 90))
    assert not torch.equal(before.images, after.images)
    body = {"heading", "x", "y", "scale", "squash", "bend", "gait", "legs", "wings"}
    moved = name in body | {"antennae", "reach"}
    if name not in {"mirror", "grain"}:  # grain frays the hair of a bee
        assert moved or torch.equal(before.parts, after.parts)
    assert not (moved and torch.equal(before.parts, after.parts))


def test_a_change_leaves_the_other_factors_and_the_original() -> None:
    insect = some()
    before = insect.values.clone()
    changed = insect.change("ground", 2)
    assert torch.equal(insect.values, before)
    assert set(changed.factor("ground").tolist()) == {2.0}
    others = [k for k, name in enumerate(insects.FACTORS) if name != "ground"]
    assert torch.equal(changed.values[:, others], before[:, others])


def test_heading_place_and_mirror_are_what_they_say() -> None:
    up = insects.render(one("ant"))
    y = [middle(up, part)[1] for part in ("head", "thorax", "abdomen")]
    assert y == sorted(y) and y[0] < 20 < 40 < y[2]
    right = insects.render(one("ant", heading=90))
    x = [middle(right, part)[0] for part in ("abdomen", "thorax", "head")]
    assert x == sorted(x) and x[0] < 24 < 40 < x[2]
    # An eighth of the picture to the right, a quarter down: 4 and 8 pixels of 64.
    for part in ("head", "thorax"):
        before = middle(up, part)
        after = middle(insects.render(one("ant", x=0.125, y=0.25)), part)
        assert after == pytest.approx((before[0] + 4, before[1] + 8))
    grass = insects.render(one("grasshopper", mirror=0)).parts
    assert torch.equal(
        insects.render(one("grasshopper", mirror=1)).parts, grass.flip(2)
    )
    assert not torch.equal(grass, grass.flip(2))


def test_a_spot_has_the_area_of_a_circle() -> None:
    size, scale = 512, 0.9
    pictures = insects.render(one("ladybird", scale=scale), size=size)
    # The white patches of the thorax are hidden by nothing; count them by colour.
    white = pictures.images[0].amin(0) > 0.75
    seen = white & pictures.part("thorax")[0]
    circle = math.pi * (0.08 * scale * size / 2) ** 2
    assert int(seen.sum()) == pytest.approx(2 * circle, rel=0.1)


def test_a_limb_agrees_with_a_loop_over_points_of_its_line() -> None:
    f = {
        name: np.array([float(rest)]) for name, (rest, _, _) in insects.FACTORS.items()
    }
    sheet = drawing.Sheet("ant", f, "plate", 64)
    u, v = (axis[:, :7].astype(np.float64) for axis in sheet.places[0][:2])
    ends, radii = ((-0.3, 0.1), (0.5, -0.4)), (0.2, 0.05)
    places = [axis.astype(np.float32) for axis in (u, v)]
    found = sheet.capsule(places, ends, radii)
    far = np.full(u.shape, np.inf)
    for share in np.linspace(0, 1, 2001):
        a, b = (e0 + (e1 - e0) * share for e0, e1 in zip(*ends, strict=True))
        nearest = np.hypot(u - a, v - b)
        far = np.where(nearest < far, nearest, far)
    # The radius is that of the nearest point, found here from the distances alone.
    base = far - found
    assert base.min() > 0.05 - 1e-3 and base.max() < 0.2 + 1e-3
    assert base[far.argmin() // 7, far.argmin() % 7] == pytest.approx(0.125, abs=0.08)


# Parts and styles


@pytest.mark.parametrize("style", insects.STYLES)
def test_what_the_mask_leaves_out_is_the_ground(style: str) -> None:
    animals = some(0.0).change("shadow", 0).change("blur", 0)
    pictures = insects.render(animals, style=style)
    ground = insects.render(animals.change("x", 10), style=style)
    assert not bool(ground.mask.any())
    differs = (pictures.images != ground.images).any(1)
    # Outlines lie around the mask; a pointed tail is too thin for it at its very tip.
    near = functional.max_pool2d(pictures.mask[:, None].float(), 9, 1, 4)[:, 0] > 0
    assert not bool((differs & ~near).any())
    hidden = (differs & pictures.mask).sum() / pictures.mask.sum()
    assert float(hidden) > 0.93


def test_parts_make_up_the_mask_and_share_no_pixel() -> None:
    pictures = insects.render(some())
    parts = torch.stack([pictures.part(name) for name in insects.PARTS]).int()
    assert torch.equal(parts.sum(0), pictures.mask.int())
    assert 0.03 < float(pictures.mask.float().mean()) < 0.4


@pytest.mark.parametrize("species", insects.SPECIES)
def test_every_species_has_the_parts_that_it_has(species: str) -> None:
    pictures = insects.render(one(species), size=128)
    seen = {name for name in insects.PARTS if bool(pictures.part(name).any())}
    winged = {"butterfly", "dragonfly", "grasshopper", "fly", "mantis", "bee"}
    assert ("wings" in seen) == (species in winged)
    assert ("tail" in seen) == (species == "scorpion")
    assert ("shell" in seen) == (species in {"beetle", "ladybird", "crab"})
    assert "legs" in seen or species == "butterfly"
    assert ("antennae" in seen) == (
        species not in {"spider", "scorpion", "crab", "dragonfly"}
    )


def test_one_insect_has_the_same_parts_in_every_style() -> None:
    photo, ink, plate = (insects.render(some(), style=s) for s in insects.STYLES)
    assert torch.equal(photo.parts, ink.parts)
    assert torch.equal(photo.parts, plate.parts)
    assert not torch.equal(photo.images, plate.images)
    # The sketch has next to no colour, the plate and the photograph have.
    chroma = [float((p.images.amax(1) - p.images.amin(1)).mean()) for p in (ink, photo)]
    assert chroma[0] < 0.07 < 0.12 < chroma[1]


def test_size_changes_the_resolution_and_not_the_scene() -> None:
    clear = some().change("noise", 0).change("blur", 1)
    small, large = (insects.render(clear, size=size) for size in (64, 128))
    averaged = functional.avg_pool2d(large.images, 2)
    assert float((averaged - small.images).abs().mean()) < 0.01
    same = large.mask[:, ::2, ::2] == small.mask
    assert float(same.float().mean()) > 0.95


def test_blur_smooths_and_keeps_the_brightness() -> None:
    insect = some(0.0).change("noise", 0)
    sharp, soft = (insects.render(insect.change("blur", b)).images for b in (0, 1.8))
    assert float((sharp.mean() - soft.mean()).abs()) < 0.002
    rough = [float((x[..., 1:] - x[..., :-1]).abs().mean()) for x in (sharp, soft)]
    assert rough[1] < 0.7 * rough[0]


def test_noise_is_as_large_as_it_says() -> None:
    plain = some(0.0).change("ground", 4).change("x", 10).change("clutter", 0)
    clean, noisy = (insects.render(plain.change("noise", v)).images for v in (0, 0.2))
    error = (noisy - clean).double()
    assert float(error.abs().max()) <= 0.2 + 1 / 255
    # The sum of two uniform numbers of width 0.2 each.
    assert float(error.std()) == pytest.approx(0.2 / math.sqrt(6), rel=0.02)
    assert abs(float(error.mean())) < 0.001


# Captions


def test_captions_say_what_the_factors_are() -> None:
    insect = one("ant", heading=-90, scale=0.5, palette=2, ground=3)
    assert insect.captions() == [
        "a photograph of a small red-brown ant on bark, facing left"
    ]
    assert insect.captions("plate") == [
        "a museum plate of a small red-brown ant, facing left"
    ]
    assert insect.captions("ink") == ["an ink sketch of a small ant, facing left"]
    orange = one("crab", heading=179, palette=1, ground=5, scale=0.9)
    assert orange.captions() == [
        "a photograph of a large orange crab on a petal, facing down"
    ]
    assert one("ant").captions("ink") == ["an ink sketch of an ant, facing up"]


def test_every_caption_names_its_species_and_colour() -> None:
    for k, caption in enumerate(some().captions()):
        name = insects.SPECIES[int(some().species[k])]
        colour = insects.PALETTES[name][int(some().factor("palette")[k])][0]
        assert f"{colour} {name} on " in caption
        assert re.search(r"facing (up|right|down|left)$", caption)


# What the book shows


def test_figures_of_the_book_are_the_present_drawings(
    root: Path, figures: ModuleType
) -> None:
    folder = root / "book" / "figures"
    names = set()
    for name, image in figures.figures():
        with Image.open(folder / name) as stored:
            pixels = np.asarray(stored.convert("RGB"), dtype=np.float64) / 255
        drawn = image.permute(1, 2, 0).double().numpy()
        assert pixels.shape == drawn.shape, name
        # The files have 256 colours, the drawings more.
        assert np.abs(pixels - drawn).mean() < 0.03, f"{name}: run draw_insects.py"
        names.add(name)
    assert {path.name for path in folder.glob("insect*.png")} == names
    assert sum((folder / name).stat().st_size for name in names) < 1_000_000


def test_the_quiz_has_the_right_answers(root: Path, figures: ModuleType) -> None:
    text = (root / "book" / "insect-quiz.md").read_text(encoding="utf-8")
    answers = re.findall(r"```\{dropdown\} Answer (\d+)\n\*\*(.+?)\.\*\*", text)
    told = [caption[len("a photograph of ") :] for caption in figures.quiz().captions()]
    expected = [(str(k), c[0].upper() + c[1:]) for k, c in enumerate(told, 1)]
    assert answers == expected
    assert [f"insect-quiz-{k:02}.png" for k in range(1, 13)] == re.findall(
        r"insect-quiz-\d+\.png", text
    )


def test_the_card_shows_every_species_with_a_description(root: Path) -> None:
    text = (root / "book" / "data-and-models.md").read_text(encoding="utf-8")
    for species in insects.SPECIES:
        shown = re.search(
            rf"figures/insects-{species}\.png\n:alt: (.+)\n", text, re.MULTILINE
        )
        assert shown is not None and species[:2] in shown.group(1).lower()
    for name in insects.FACTORS:
        assert f"`{name}`" in text
    for domain, title in (("source", "ten species"), ("target", "ant and bee")):
        sizes = [len(insects.members(domain, s)) for s in insects.PER_SPECIES]
        row = "| {:,} | {:,} | {:,} |".format(*sizes)
        assert f"| {domain}, {title} {row}" in text


def test_the_card_names_licence_and_citation(root: Path, target: DataSet) -> None:
    text = (root / "book" / "data-and-models.md").read_text(encoding="utf-8")
    assert f"**Terms.** {target.licence}. Cite as: {target.citation}." in text


# Errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: insects.draw([], generator=torch.Generator()),
            r"insects.draw: species must not be empty, got none; one name a picture",
        ),
        (
            lambda: insects.draw(["wasp"], generator=torch.Generator()),
            r"species must be one of beetle, .*, bee, got 'wasp'",
        ),
        (
            lambda: insects.draw(["ant"], difficulty=2, generator=torch.Generator()),
            r"difficulty must lie in \[0, 1\], got 2; it is a share",
        ),
        (
            lambda: one("ant").factor("colour"),
            r"Insects.factor: name must be one of heading, .*, got 'colour'",
        ),
        (
            lambda: one("ant").change("colour", 1),
            r"Insects.change: name must be one of heading, .*, got 'colour'",
        ),
        (
            lambda: one("ant").change("scale", 2),
            r"scale must lie in \[0.36, 0.96\], got 2; see insects.FACTORS",
        ),
        (
            lambda: one("ant").change("palette", 4),
            r"palette must lie in \[0, 3\], got 4; see insects.FACTORS",
        ),
        (
            lambda: one("ant").captions("oil"),
            r"Insects.captions: style must be one of photo, ink, plate, got 'oil'",
        ),
        (
            lambda: insects.render(one("ant")).part("nose"),
            r"Pictures.part: name must be one of legs, .*, got 'nose'",
        ),
        (
            lambda: insects.render(one("ant"), style="oil"),
            r"insects.render: style must be one of photo, ink, plate, got 'oil'",
        ),
        (
            lambda: insects.render(one("ant"), size=60),
            r"size must be a multiple of 8 from 16 to 512, got 60; the drawing is",
        ),
        (
            lambda: insects.render(one("ant"), size=8),
            r"size must be a multiple of 8 from 16 to 512, got 8",
        ),
        (
            lambda: insects.members("both", "train"),
            r"insects.members: domain must be one of source, target, got 'both'",
        ),
        (
            lambda: insects.members("source", "dev"),
            r"split must be one of train, validation, test, got 'dev'",
        ),
        (
            lambda: insects.load_source("hub"),
            r"load_source: profile must be embedded, got 'hub'; the source of the hub",
        ),
        (
            lambda: insects.load_target("hub", style="ink"),
            r"load_target: style must be photo in hub, got 'ink'; real ants come",
        ),
        (
            lambda: insects.load_target("online"),
            r"one of embedded, hub, got 'online'",
        ),
        (
            lambda: insects.load_target("embedded", n_test=2000),
            r"n_test must lie in \[1, 1000\], got 2000; the test split has 1,000",
        ),
    ],
)
def test_errors_say_what_to_do(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
