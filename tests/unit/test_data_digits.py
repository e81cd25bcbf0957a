"""Digits: right shapes, the same every time, and no picture in two splits."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import Library

from tlcourse import runtime
from tlcourse.data import digits
from tlcourse.data.records import DataSet, Split

datasets, ndimage = Library("sklearn.datasets"), Library("scipy.ndimage")
FREETYPE = "2.14.3"
INK = 40.618  # mean grey level of all glyphs, 0 to 255
GLYPHS = "75e5437ac7ecbe982cf22b9d991148f10bd93997b386503a5ccb11a4f4f57ca0"
PICTURES = "61b74243d92a21cd7e2f04de8f73bebb6ff91e87441c70a4f0c0c3d9ca524e5a"
PROGRAM = """
import hashlib
from tlcourse import runtime
from tlcourse.data import digits
split = digits.render(500, generator=runtime.generator(7, "test"))
print(hashlib.sha256(split.images.numpy().tobytes()).hexdigest())
"""


@pytest.fixture(scope="module", params=["source", "target"])
def domain(request: pytest.FixtureRequest) -> DataSet:
    load = {"source": digits.load_source, "target": digits.load_target}
    return load[request.param]("embedded")


def digest_in_new_process(root: Path, threads: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": threads},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip()


def rows(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


def small_split(labels: list[int]) -> Split:
    images = torch.rand(len(labels), 1, 2, 2)
    return Split(images, torch.tensor(labels))


def test_pictures_are_in_one_size_and_range(domain: DataSet) -> None:
    for split in (domain.train, domain.validation, domain.test):
        assert split.images.shape == (len(split), 1, 16, 16)
        assert split.images.dtype == torch.float32
        assert 0.0 <= float(split.images.min()) < float(split.images.max()) <= 1.0
        assert sorted(set(split.labels.tolist())) == list(range(10))
    assert domain.classes == tuple("0123456789")


def test_no_picture_is_in_two_splits(domain: DataSet) -> None:
    parts = [domain.train, domain.validation, domain.test]
    pictures = [rows(part) for part in parts]
    assert [len(p) for p in pictures] == [len(part) for part in parts]
    assert len(set.union(*pictures)) == sum(len(part) for part in parts)


def test_source_splits_are_balanced() -> None:
    source = digits.load_source("embedded")
    for split, each in (
        (source.train, 400),
        (source.validation, 100),
        (source.test, 100),
    ):
        assert torch.bincount(split.labels).tolist() == [each] * 10


def test_target_splits_are_stratified_and_hold_every_digit() -> None:
    target = digits.load_target("embedded")
    assert torch.bincount(target.test.labels).tolist() == [60] * 10
    assert torch.bincount(target.validation.labels).tolist() == [40] * 10
    assert int(torch.bincount(target.train.labels).min()) >= 50
    together = len(target.train) + len(target.validation) + len(target.test)
    assert together == len(datasets.load_digits().target) == 1797


def test_split_is_fixed_whatever_the_global_seed_is(domain: DataSet) -> None:
    load = {"rendered digits": digits.load_source}.get(domain.name, digits.load_target)
    runtime.seed_all(123)
    before = torch.get_rng_state()
    again = load("embedded")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again.test.images, domain.test.images)
    assert torch.equal(again.train.labels, domain.train.labels)


def test_handwritten_counts_survive_the_resizing() -> None:
    bunch = datasets.load_digits()
    target = digits.load_target("embedded")
    # Bilinear doubling keeps a constant picture, and no pixel leaves its neighbours.
    flat = digits._upsample(torch.full((1, 8, 8), 12))
    assert torch.equal(flat, torch.full((1, 1, 16, 16), 0.75))
    dot = torch.zeros(1, 8, 8)
    dot[0, 3, 4] = 16
    assert digits._upsample(dot)[0, 0, 6:8, 8:10].tolist() == [[0.5625] * 2] * 2
    assert float(target.train.images.mean()) == pytest.approx(
        bunch.images.mean() / 16, abs=0.02
    )


def test_same_generator_gives_same_bytes_in_another_process(root: Path) -> None:
    here = digits.render(500, generator=runtime.generator(7, "test"))
    expected = hashlib.sha256(here.images.numpy().tobytes()).hexdigest()
    assert digest_in_new_process(root, "1") == expected
    assert digest_in_new_process(root, "2") == expected
    other = digits.render(500, generator=runtime.generator(8, "test"))
    assert not torch.equal(here.images, other.images)


def test_bytes_are_those_promised_for_this_freetype() -> None:
    from matplotlib import ft2font

    sheet = digits._glyphs()
    # Another FreeType draws the same outlines, so almost the same ink.
    assert sheet.mean(dtype=np.float64) == pytest.approx(INK, rel=0.01)
    if ft2font.__freetype_version__ == FREETYPE:
        assert hashlib.sha256(sheet.tobytes()).hexdigest() == GLYPHS
        split = digits.render(500, generator=runtime.generator(7, "test"))
        assert hashlib.sha256(split.images.numpy().tobytes()).hexdigest() == PICTURES


def test_prefix_does_not_depend_on_how_many_are_drawn_within_a_chunk() -> None:
    split = digits.render(2500, generator=runtime.generator(0, "long"))
    first = digits.render(1000, generator=runtime.generator(0, "long"))
    assert torch.equal(split.images[:1000], first.images)
    assert torch.bincount(split.labels).tolist() == [250] * 10


def test_glyphs_come_from_matplotlib_alone_and_are_all_different() -> None:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    assert all((folder / f"{name}.ttf").is_file() for name in digits.FONTS)
    sheet = digits._glyphs()
    assert sheet.shape == (21, 10, 3, 64, 64) and sheet.dtype == np.uint8
    assert len({glyph.tobytes() for glyph in sheet.reshape(-1, 64 * 64)}) > 600
    ink = sheet.sum((3, 4), dtype=np.int64)
    assert (np.diff(ink, axis=2) > 0).all()  # each stroke is broader than the last
    border = np.ones((64, 64), dtype=bool)
    border[1:-1, 1:-1] = False
    assert not sheet[..., border].any()  # `_scan` clips to an empty border


def test_scan_agrees_with_scipy_within_a_sixteenth_of_a_level() -> None:
    maps = digits._maps(20, runtime.generator(0, "maps"))
    glyph = np.arange(20) * 31 % 630
    found = digits._scan(glyph, maps)
    flat = digits._glyphs().reshape(-1, 64, 64).astype(np.float64)
    for counts, index, whole in zip(found, glyph, maps, strict=True):
        (a, b, right), (c, d, down) = whole / digits.ONE
        matrix = np.array([[d, c], [b, a]])  # scipy's order: rows, then columns
        offset = 31.5 + np.array([down, right]) - matrix @ np.array([15.5, 15.5])
        form = ndimage.affine_transform(
            flat[index], matrix, offset=offset, output_shape=(32, 32), order=1
        )
        expected = form.reshape(8, 4, 8, 4).sum((1, 3))
        assert np.abs(counts - expected).max() < 255 / 16 * 2


def test_render_is_fast() -> None:
    generator = runtime.generator(0, "speed")
    digits.render(10, generator=generator)  # fonts are read once
    start = time.process_time()
    digits.render(4000, generator=generator)
    assert time.process_time() - start < 4.0  # typically under half a second


def test_render_refuses_nothing() -> None:
    with pytest.raises(ValueError, match=r"n must be >= 1, got 0; how many pictures"):
        digits.render(0, generator=torch.Generator())


def test_render_draws_from_the_named_fonts() -> None:
    everything = digits.render(50, generator=runtime.generator(7, "test"))
    named = digits.render(
        50, generator=runtime.generator(7, "test"), fonts=digits.FONTS
    )
    assert torch.equal(everything.images, named.images)
    one = digits.render(50, generator=runtime.generator(7, "test"), fonts=["cmti10"])
    assert not torch.equal(everything.images, one.images)
    # All but the font is drawn alike: where the font was this one, so is the picture.
    rows = torch.randint(
        len(digits.FONTS), (50,), generator=runtime.generator(7, "test")
    )
    same = rows == digits.FONTS.index("cmti10")
    assert same.any() and torch.equal(everything.images[same], one.images[same])
    with pytest.raises(ValueError, match="fonts must be one of DejaVuSans,"):
        digits.render(10, generator=torch.Generator(), fonts=["Helvetica"])


@pytest.mark.parametrize("load", [digits.load_source, digits.load_target])
def test_unknown_profile_is_refused(load: object) -> None:
    with pytest.raises(ValueError, match="one of embedded, hub, got 'online'"):
        load("online")  # type: ignore[operator]


def test_take_is_stratified_without_replacement_and_repeatable(domain: DataSet) -> None:
    sample = domain.train.take(5, runtime.generator(1, "labels"))
    assert torch.bincount(sample.labels).tolist() == [5] * 10
    assert len(rows(sample)) == 50 and rows(sample) <= rows(domain.train)
    again = domain.train.take(5, runtime.generator(1, "labels"))
    assert torch.equal(sample.images, again.images)
    other = domain.train.take(5, runtime.generator(2, "labels"))
    assert not torch.equal(sample.images, other.images)


def test_tensors_are_images_and_labels_in_order() -> None:
    split = small_split([1, 0])
    assert split.tensors[0] is split.images and split.tensors[1] is split.labels


def test_divide_loses_and_doubles_nothing() -> None:
    split = small_split([0, 1, 1, 0, 2, 2, 2, 0])
    sample, rest = split.divide(1, torch.Generator().manual_seed(3))
    assert sorted(sample.labels.tolist() + rest.labels.tolist()) == sorted(
        split.labels.tolist()
    )
    assert rows(sample) | rows(rest) == rows(split)
    assert not rows(sample) & rows(rest)


def test_take_may_take_all_but_divide_leaves_something() -> None:
    split = small_split([0, 0, 1, 1])
    assert len(split.take(2, torch.Generator())) == 4
    with pytest.raises(ValueError, match="some pictures must be left"):
        split.divide(2, torch.Generator())


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (0, "n_per_class must be >= 1, got 0"),
        (3, "must have 3 examples, got 2 of class 1"),
    ],
)
def test_take_says_what_is_missing(n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_split([0, 0, 0, 1, 1]).take(n, torch.Generator())


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), [0, 1], TypeError, "float32"),
        (torch.zeros(2, 4, 4), [0, 1], ValueError, "channel axis missing"),
        (
            torch.zeros(2, 2, 4, 4),
            [0, 1],
            ValueError,
            r"\(n, 1, h, w\) or \(n, 3, h, w\)",
        ),
        (torch.zeros(0, 1, 4, 4), [], ValueError, "n >= 1"),
        (torch.full((2, 1, 4, 4), 255.0), [0, 1], ValueError, "still bytes"),
        (torch.zeros(2, 1, 4, 4), [0, 1, 2], ValueError, "same batch"),
        (torch.zeros(2, 1, 4, 4), [0, -1], ValueError, "min -1"),
    ],
)
def test_split_refuses_what_no_training_could_use(
    images: torch.Tensor, labels: list[int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Split(images, torch.tensor(labels, dtype=torch.int64))


def test_split_takes_grey_and_colour() -> None:
    for channels in (1, 3):
        split = Split(torch.zeros(4, channels, 2, 2), torch.tensor([0, 1, 0, 1]))
        sample = split.take(1, torch.Generator().manual_seed(0))
        assert sample.images.shape == (2, channels, 2, 2)


def test_data_set_refuses_parts_that_do_not_belong_together() -> None:
    def make(test: Split, classes: tuple[str, ...] = ("a", "b")) -> DataSet:
        part = small_split([0, 1])
        return DataSet(
            name="toy",
            classes=classes,
            train=part,
            validation=part,
            test=test,
            steps=1,
            licence="none",
            citation="none",
            description="two pictures",
        )

    assert make(small_split([1, 0])).sources == ()
    larger = Split(torch.zeros(2, 1, 3, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="data.DataSet toy: all splits must hold"):
        make(larger)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 1\)"):
        make(small_split([0, 1]), classes=("a",))
