"""Digits in two domains: a large source and a small target.

Offline, the source is printed digits drawn from the fonts that come with matplotlib,
the target scikit-learn's real handwritten digits. With the ``hub`` profile they are
MNIST and USPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tlcourse import runtime
from tlcourse._checks import check_choice, require
from tlcourse.data import hub
from tlcourse.data.records import DataSet, Split
from tlcourse.runtime import check_profile

__all__ = ["load_source", "load_target", "render"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

CLASSES = tuple("0123456789")
SIZE = 16  # pixels a side of every picture, both domains
FONTS = (
    *(f"DejaVuSans{s}" for s in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{s}" for s in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{s}" for s in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{s}" for s in ("", "Bol", "Italic", "BolIta")),
    *("cmr10", "cmb10", "cmss10", "cmtt10", "cmti10"),
)
STROKES = 3  # each glyph as drawn, thicker, thicker still
CANVAS = 64  # pixels a side on which a glyph is drawn
FORM = 32  # pixels a side of the form that is "scanned"
GRID = 8  # cells a side that the scan counts, as in the handwritten data
FIXED = 12  # bits after the point in the fixed-point geometry
ONE = 1 << FIXED
CHUNK = 1000  # pictures rendered at a time, which bounds the memory


@cache
def _glyphs() -> npt.NDArray[np.uint8]:
    """Draw every digit of every font, centred: (fonts, digits, strokes, 64, 64)."""
    import matplotlib
    from matplotlib.ft2font import FT2Font, LoadFlags

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    sheet = np.zeros((len(FONTS), 10, STROKES, CANVAS, CANVAS), dtype=np.uint8)
    for row, name in enumerate(FONTS):
        font = FT2Font(str(folder / f"{name}.ttf"))
        font.set_size(60, 72)
        for digit in range(10):
            # No hinting: the outline itself, not one fitted to a pixel raster.
            font.set_text(str(digit), 0.0, flags=LoadFlags.NO_HINTING)
            font.draw_glyphs_to_bitmap(antialiased=True)
            bitmap = np.asarray(font.get_image())
            h, w = bitmap.shape
            top, left = (CANVAS - h) // 2, (CANVAS - w) // 2
            plain = np.zeros((CANVAS, CANVAS), dtype=np.uint8)
            plain[top : top + h, left : left + w] = bitmap
            for stroke in range(STROKES):
                sheet[row, digit, stroke] = plain
                # A pixel takes the ink of its darkest neighbour: a broader pen.
                steps = ((0, 0), (0, 1), (0, -1), (1, 1), (-1, 1))
                plain = np.max([np.roll(plain, step, axis) for step, axis in steps], 0)
    sheet.setflags(write=False)
    return sheet


def _maps(n: int, rng: torch.Generator) -> IntArray:
    """Draw n affine maps from form to canvas, fixed point: (n, 2, 3)."""

    def between(low: float, high: float, steps: int) -> FloatArray:
        drawn = torch.randint(steps + 1, (n,), generator=rng).numpy()
        return low + (high - low) * drawn / steps

    angle, shear = np.deg2rad(between(-15, 15, 30)), between(-0.25, 0.25, 256)
    # Canvas pixels under one pixel of the form: more of them, a smaller digit.
    wide, tall = between(1.25, 1.75, 256), between(1.375, 1.75, 256)
    right, down = between(-2, 2, 256), between(-2, 2, 256)
    rows = (
        (wide * np.cos(angle), wide * (np.sin(angle) + shear), right),
        (-tall * np.sin(angle), tall * np.cos(angle), down),
    )
    # Whole numbers from here on: no later step depends on the processor.
    maps: IntArray = np.rint(np.array(rows) * ONE).astype(np.int64).transpose(2, 0, 1)
    return maps


def _scan(glyph: IntArray, maps: IntArray) -> IntArray:
    """Put n glyphs of the sheet on 32 x 32 forms, count ink in cells: (n, 8, 8)."""
    n = len(glyph)
    centre = np.arange(FORM, dtype=np.int64) * ONE - (FORM - 1) * ONE // 2
    y, x = (axis.ravel() for axis in np.meshgrid(centre, centre, indexing="ij"))
    at = (maps[:, :, :1] * x + maps[:, :, 1:2] * y >> FIXED) + maps[:, :, 2:]
    # Outside the canvas there is no ink: clip to its empty border.
    at = (at + (CANVAS - 1) * ONE // 2).clip(0, (CANVAS - 2) * ONE)  # (n, 2, 1024)
    cell, part = at >> FIXED, at % ONE >> FIXED - 8  # bilinear weights of 8 bits
    sheet = _glyphs().reshape(-1)
    corner = (glyph[:, None] * CANVAS + cell[:, 1]) * CANVAS + cell[:, 0]
    right, low = part[:, 0], part[:, 1]
    upper = sheet[corner] * (256 - right) + sheet[corner + 1] * right
    corner += CANVAS
    lower = sheet[corner] * (256 - right) + sheet[corner + 1] * right
    form = upper * (256 - low) + lower * low >> 16  # (n, 1024), 0 to 255
    block = FORM // GRID
    counts: IntArray = form.reshape(n, GRID, block, GRID, block).sum((2, 4))
    return counts  # (n, 8, 8), 0 to 16 * 255


def _upsample(grid: Tensor) -> Tensor:
    """Resize counts from 0 to 16 in (n, 8, 8) to pictures (n, 1, 16, 16) in [0, 1]."""
    images = functional.interpolate(
        grid.float()[:, None] / 16, size=(SIZE, SIZE), mode="bilinear"
    )
    return images.clamp(0, 1)


def render(
    n: int, *, generator: torch.Generator, fonts: Sequence[str] = FONTS
) -> Split:
    """Draw n printed digits, each in another font, size, angle, place and ink.

    A digit is drawn from a font's outline, turned by up to 15 degrees, sheared,
    scaled and shifted on a 32 x 32 form, and then "scanned" as the handwritten
    digits were: ink is counted in 8 x 8 cells, from 0 to 16, and the counts are
    resized to 16 x 16. Both domains so have the same resolution and differ in
    how a digit is written.

    Parameters
    ----------
    n : int
        Number of pictures; the ten labels come in turn, so they are balanced.
    generator : torch.Generator
        Decides everything else.
    fonts : sequence of str
        Which of the fonts in `FONTS` to draw from, all 21 unless told.

    Returns
    -------
    Split
        Pictures of shape (n, 1, 16, 16).

    Raises
    ------
    ValueError
        If `n` < 1, or a font is none of `FONTS`.

    Notes
    -----
    All arithmetic after the font's outline is drawn is on whole numbers. The same
    generator state gives the same bytes on every machine whose matplotlib draws the
    same glyphs, which those with the same FreeType inside do.

    Examples
    --------
    >>> split = render(20, generator=torch.Generator().manual_seed(0))
    >>> split.images.shape, split.labels[:10].tolist()
    (torch.Size([20, 1, 16, 16]), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    require(n >= 1, "data.digits.render", "n must be >= 1", n, "how many pictures?")
    for name in fonts:
        check_choice("data.digits.render", "fonts", name, FONTS)
    rows = np.array([FONTS.index(name) for name in fonts])
    labels = torch.arange(n) % 10
    chunks = []
    for start in range(0, n, CHUNK):
        digit = labels[start : start + CHUNK].numpy()
        m = len(digit)
        font = rows[torch.randint(len(rows), (m,), generator=generator).numpy()]
        stroke = torch.randint(STROKES, (m,), generator=generator).numpy()
        glyph = (font * 10 + digit) * STROKES + stroke
        counts = _scan(glyph, _maps(m, generator))
        ink = torch.randint(192, 257, (m, 1, 1), generator=generator).numpy()
        noise = torch.randint(-255, 256, counts.shape, generator=generator).numpy()
        # Half a level is added before dividing by 255, so that counts are rounded.
        level = ((counts * ink >> 8) + noise + 127) // 255
        chunks.append(torch.from_numpy(level.clip(0, 16)))
    return Split(_upsample(torch.cat(chunks)), labels)


def load_source(profile: str) -> DataSet:
    """Load the source domain: rendered digits, or MNIST.

    Parameters
    ----------
    profile : {"embedded", "hub"}
        ``embedded`` draws 4,000, 1,000 and 1,000 digits (see `render`) with a fixed
        seed; ``hub`` downloads and verifies MNIST once (see `data.hub`).

    Returns
    -------
    DataSet
        Pictures of 16 x 16, ten classes.

    Raises
    ------
    ValueError
        If `profile` is unknown.
    """
    if check_profile(profile) == "hub":
        return hub.load_mnist()
    train, validation, test = (
        render(n, generator=runtime.generator(0, "rendered", part))
        for part, n in (("train", 4000), ("validation", 1000), ("test", 1000))
    )
    return DataSet(
        name="rendered digits",
        classes=CLASSES,
        train=train,
        validation=validation,
        test=test,
        steps=320,
        licence="BSD-3-Clause (the program); the fonts' own licences allow rendering",
        citation="This course; fonts: DejaVu, STIX and BaKoMa Computer Modern",
        description="Printed digits drawn from the 21 fonts that matplotlib brings.",
    )


def load_target(profile: str) -> DataSet:
    """Load the target domain: handwritten digits, or USPS.

    Parameters
    ----------
    profile : {"embedded", "hub"}
        ``embedded`` reads the 1,797 digits that scikit-learn brings; ``hub``
        downloads and verifies USPS once (see `data.hub`).

    Returns
    -------
    DataSet
        Pictures of 16 x 16, ten classes. The handwritten digits are split at random
        within each class: 60 of each for the test, 40 for validation, the rest to
        train. Both sides of the split hold digits by the same 13 writers.

    Raises
    ------
    ValueError
        If `profile` is unknown.
    """
    if check_profile(profile) == "hub":
        return hub.load_usps()
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = _upsample(torch.from_numpy(bunch.images))
    everything = Split(images, torch.from_numpy(bunch.target).long())
    rng = runtime.generator(0, "handwritten")
    test, rest = everything.divide(60, rng)
    validation, train = rest.divide(40, rng)
    return DataSet(
        name="handwritten digits",
        classes=CLASSES,
        train=train,
        validation=validation,
        test=test,
        steps=640,
        licence="CC BY 4.0",
        citation="Alpaydin and Kaynak 1998, doi:10.24432/C50P49",
        description="Digits by 13 writers: the test part of the UCI set, 8 x 8 cells.",
    )
