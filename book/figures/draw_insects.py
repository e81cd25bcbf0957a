"""Draw the pictures of insects that the book's pages show.

Run it after a change to `tlcourse.data.insects`; a test tells when it is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image

from tlcourse import runtime
from tlcourse.data import insects

COLUMNS, QUIZ_SIZE = 5, 128
QUIZ = (
    *("fly", "ant", "scorpion", "dragonfly", "bee", "mantis"),
    *("spider", "grasshopper", "beetle", "crab", "butterfly", "ladybird"),
)


def contact_sheets() -> Iterator[tuple[str, torch.Tensor]]:
    """Give each species' name and its sheet: styles in rows, insects in columns."""
    for species in insects.SPECIES:
        rng = runtime.generator(0, "insects", "sheet", species)
        some = insects.draw([species] * COLUMNS, generator=rng)
        rows = [insects.render(some, style=s).images for s in insects.STYLES]
        sheet = torch.stack(rows)  # (styles, columns, 3, h, w)
        yield species, sheet.permute(2, 0, 3, 1, 4).reshape(3, len(rows) * 64, -1)


def quiz() -> insects.Insects:
    """Return the insects that the quiz asks for."""
    return insects.draw(QUIZ, generator=runtime.generator(0, "insects", "quiz"))


def figures() -> Iterator[tuple[str, torch.Tensor]]:
    """Give the name of each file and the picture in it: (3, h, w)."""
    for species, sheet in contact_sheets():
        yield f"insects-{species}.png", sheet
    for number, image in enumerate(insects.render(quiz(), size=QUIZ_SIZE).images, 1):
        yield f"insect-quiz-{number:02}.png", image


def main() -> None:
    """Write the files beside this one, with 256 colours each to keep them small."""
    for name, image in figures():
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        picture = Image.fromarray(pixels).quantize(256, kmeans=1)
        picture.save(Path(__file__).with_name(name), optimize=True)


if __name__ == "__main__":
    main()
