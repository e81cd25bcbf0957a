"""Pictures of arthropods, drawn here, so that everything about each one is known.

Ten species are the source domain; ant and bee, held out, are the target. `draw`
decides the factors of each picture: species, pose, colour, ground, light, blur and so
on. `render` turns factors into pictures in one of three styles and decides nothing:
the same insects in another style or size differ in nothing else.

The same seed gives the same bytes on every machine: factors come from whole random
numbers, and only operations that IEEE 754 rounds in one way lead from them to a pixel
(see `tlcourse.data._insect_drawing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tlcourse import runtime
from tlcourse._checks import check_choice, check_range, require
from tlcourse.data import hub
from tlcourse.data._insect_drawing import BLOCK, STYLES, Sheet
from tlcourse.data._insect_parts import ANATOMY, GROUNDS, PALETTES, PARTS
from tlcourse.data.records import DataSet, Split
from tlcourse.runtime import check_profile

__all__ = [
    "Insects",
    "Pictures",
    "draw",
    "load_source",
    "load_target",
    "members",
    "render",
]

SPECIES = tuple(ANATOMY)
SOURCE, TARGET = SPECIES[:10], SPECIES[10:]
# Each factor: its value at difficulty 0 and its range at difficulty 1. In between, both
# ends of the range move in a straight line away from the value.
FACTORS = {
    "heading": (0, -360, 360),  # degrees, clockwise from the top of the picture
    "x": (0, -0.4, 0.4),  # of the body's middle; the picture reaches from -1 to 1
    "y": (0, -0.4, 0.4),  # downwards
    "scale": (0.76, 0.36, 0.96),  # half the body's length, of half the picture
    "squash": (1, 0.6, 1),  # 1 seen from straight above, less where it leans away
    "bend": (0, -0.3, 0.3),  # of the body, to one side
    "gait": (0, -0.6, 0.6),  # how far the legs of one side are ahead
    "legs": (0, -36, 36),  # degrees by which they are turned around the first joint
    "wings": (0, -40, 40),
    "antennae": (0, -44, 44),
    "reach": (1, 0.7, 1.3),  # length of legs and antennae, of the usual
    "light": (-45, -225, 135),  # degrees, where it comes from; 0 is the top
    "gain": (1, 0.6, 1.4),  # brightness of the picture
    "shadow": (0.3, 0, 0.7),  # its depth
    "camouflage": (0, 0, 0.8),  # how far the body takes the colour of the ground
    "clutter": (0, 0, 16),  # how many blades and pebbles lie behind the animal
    "blur": (0, 0, 1.8),  # standard deviation in 64ths of the picture's side
    "noise": (0.01, 0, 0.2),  # largest error of a pixel
    "mirror": (0, 0, 2),  # 1: left and right are exchanged
    "palette": (0, 0, 4),  # which of the species' colours
    "ground": (0, 0, 6),  # which of six
    "grain": (0, 0, 65536),  # which texture, clutter and noise
}
CHOICES = ("mirror", "palette", "ground", "grain")  # whole numbers below the last
ANYWHERE = ("x", "y")  # an animal may even be moved out of the picture
PIXELS = 32 * 64 * 64  # drawn at a time: more, and the processor's cache is too small
PER_SPECIES = {"train": 400, "validation": 50, "test": 50}  # pictures of the source


@dataclass(frozen=True, eq=False)
class Insects:
    """What is to be seen in n pictures, whatever their style and size.

    Parameters
    ----------
    species : Tensor, shape (n,), int64
        Index into `SPECIES`.
    values : Tensor, shape (n, len(FACTORS)), float64
        The factors in the order of `FACTORS`, which says what each one means.

    Examples
    --------
    >>> insects = draw(["bee", "crab"], generator=torch.Generator().manual_seed(0))
    >>> len(insects), insects.labels.tolist(), insects.factor("scale").shape
    (2, [1, 9], torch.Size([2]))
    """

    species: Tensor
    values: Tensor

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.species)

    @property
    def labels(self) -> Tensor:
        """Class indices within the domain of each species, (n,), int64."""
        return self.species % len(SOURCE)

    def factor(self, name: str) -> Tensor:
        """Return one factor of every picture: (n,), float64.

        Parameters
        ----------
        name : str
            A key of `FACTORS`.

        Returns
        -------
        Tensor, shape (n,)
            In the units that `FACTORS` names.

        Raises
        ------
        ValueError
            If there is no such factor.
        """
        check_choice("data.insects.Insects.factor", "name", name, FACTORS)
        return self.values[:, list(FACTORS).index(name)]

    def change(self, name: str, value: float) -> Insects:
        """Set one factor of every picture and leave the others: an intervention.

        Parameters
        ----------
        name : str
            A key of `FACTORS`.
        value : float
            Within the factor's range at difficulty 1; x and y may be any number. A
            choice is a whole number.

        Returns
        -------
        Insects
            As many as before.

        Raises
        ------
        ValueError
            If there is no such factor, or the value lies outside its range.
        """
        where = "data.insects.Insects.change"
        column = list(FACTORS).index(check_choice(where, "name", name, FACTORS))
        _, low, high = FACTORS[name]
        if name not in ANYWHERE:
            last = high - 1 if name in CHOICES else high
            check_range(where, name, value, low, last, cause="see insects.FACTORS")
        values = self.values.clone()
        values[:, column] = int(value) if name in CHOICES else value
        return Insects(self.species, values)

    def take(self, rows: Sequence[int] | Tensor) -> Insects:
        """Return some of the insects, by their indices or by a mask.

        Parameters
        ----------
        rows : sequence of int or Tensor
            What may index a tensor's first axis.

        Returns
        -------
        Insects
            In the order of `rows`.
        """
        at = torch.as_tensor(rows)
        return Insects(self.species[at], self.values[at])

    def captions(self, style: str = "photo") -> list[str]:
        """Say in words what a picture in that style shows, and nothing else.

        Parameters
        ----------
        style : str, default "photo"
            A key of `STYLES`. An ink sketch has no colour and only a photograph has
            a ground, so only they mention them.

        Returns
        -------
        list of str
            One sentence a picture, without a full stop.

        Raises
        ------
        ValueError
            If the style is unknown.

        Examples
        --------
        >>> ant = draw(["ant"], generator=torch.Generator().manual_seed(0))
        >>> ant = ant.change("heading", 90).change("scale", 0.7).change("palette", 0)
        >>> ant.captions("plate")
        ['a museum plate of a black ant, facing right']
        """
        check_choice("data.insects.Insects.captions", "style", style, STYLES)
        names = ("heading", "scale", "palette", "ground")
        factors = [self.factor(name).tolist() for name in names]
        told = []
        for index, heading, scale, palette, ground in zip(
            self.species.tolist(), *factors, strict=True
        ):
            words = [SPECIES[index]]
            if style != "ink":
                words.insert(0, PALETTES[SPECIES[index]][int(palette)][0])
            if not 0.64 <= scale <= 0.8:
                words.insert(0, "small" if scale < 0.64 else "large")
            article = "an" if words[0][0] in "aeiou" else "a"
            place = f" on {GROUNDS[int(ground)][0]}" if style == "photo" else ""
            way = ("up", "right", "down", "left")[int((heading + 45) // 90) % 4]
            what = f"{article} {' '.join(words)}{place}, facing {way}"
            told.append(f"{STYLES[style].phrase} of {what}")
        return told


@dataclass(frozen=True, eq=False)
class Pictures:
    """What `render` draws: pictures, and which part of an animal each pixel shows.

    Parameters
    ----------
    images : Tensor, shape (n, 3, h, w), float32
        Red, green and blue in [0, 1], whole 255ths.
    parts : Tensor, shape (n, h, w), uint8
        0 where the ground is seen; k where most of the pixel is the part
        ``PARTS[k - 1]``, the uppermost one where several overlap.
    """

    images: Tensor
    parts: Tensor

    @property
    def mask(self) -> Tensor:
        """Where the animal is, (n, h, w), bool."""
        return self.parts > 0

    def part(self, name: str) -> Tensor:
        """Return where one part is seen: (n, h, w), bool.

        Parameters
        ----------
        name : str
            One of `PARTS`; a species need not have it.

        Returns
        -------
        Tensor, shape (n, h, w), bool
            Within `mask`; two parts never share a pixel.

        Raises
        ------
        ValueError
            If the part is unknown.
        """
        check_choice("data.insects.Pictures.part", "name", name, PARTS)
        return self.parts == PARTS.index(name) + 1


def draw(
    species: Sequence[str], *, difficulty: float = 0.5, generator: torch.Generator
) -> Insects:
    """Draw the factors of some pictures.

    Parameters
    ----------
    species : sequence of str
        What each picture is to show, from `SPECIES`.
    difficulty : float, default 0.5
        How far the factors vary: at 0 all animals of a species are alike but for
        colour, ground and grain; at 1 some are hard to name. The default was chosen by
        looking at pictures, before any network saw one.
    generator : torch.Generator
        Decides everything else. A longer list begins like a shorter one, and another
        difficulty stretches the same draws.

    Returns
    -------
    Insects
        One a name.

    Raises
    ------
    ValueError
        If no species is given, one is unknown, or `difficulty` lies outside [0, 1].

    Examples
    --------
    >>> draw(["ant"] * 3, generator=torch.Generator().manual_seed(0)).species
    tensor([10, 10, 10])
    """
    where = "data.insects.draw"
    cause = "one name a picture is needed"
    require(len(species) > 0, where, "species must not be empty", "none", cause)
    for name in species:
        check_choice(where, "species", name, SPECIES)
    check_range(where, "difficulty", difficulty, 0, 1, cause="it is a share")
    dice = torch.randint(65536, (len(species), len(FACTORS)), generator=generator)
    columns = []
    for (name, (rest, low, high)), column in zip(FACTORS.items(), dice.T, strict=True):
        share = column.double() / 65536
        if name in CHOICES:
            columns.append((share * high).floor())
        else:
            columns.append(rest + difficulty * (low + (high - low) * share - rest))
    index = torch.tensor([SPECIES.index(name) for name in species])
    return Insects(index, torch.stack(columns, 1))


def render(insects: Insects, *, style: str = "photo", size: int = 64) -> Pictures:
    """Draw pictures from their factors, the same bytes on every machine.

    Parameters
    ----------
    insects : Insects
        What to draw.
    style : {"photo", "ink", "plate"}, default "photo"
        A photograph on natural ground; an ink sketch, where darker bodies have
        broader strokes; a coloured plate of a museum. Shapes, and so the parts, are
        the same in all three.
    size : int, default 64
        Pixels a side, a multiple of 8 from 16 to 512.

    Returns
    -------
    Pictures
        In the order of `insects`.

    Raises
    ------
    ValueError
        If the style is unknown or the size is none of those.

    Notes
    -----
    A shape is an implicit function of the place, its edge one pixel wide. Nothing is
    drawn twice at another resolution: 128 pixels show the scene of 64, sharper, with
    finer noise.

    Examples
    --------
    >>> insects = draw(["ant", "bee"], generator=torch.Generator().manual_seed(0))
    >>> render(insects, style="ink").images.shape
    torch.Size([2, 3, 64, 64])
    """
    where = "data.insects.render"
    check_choice(where, "style", style, STYLES)
    must = f"size must be a multiple of {BLOCK} from 16 to 512"
    known = size in range(16, 513, BLOCK)
    require(known, where, must, size, "the drawing is made in blocks")
    images = np.empty((len(insects), 3, size, size), dtype=np.uint8)
    parts = np.empty((len(insects), size, size), dtype=np.uint8)
    index, values = insects.species.numpy(), insects.values.numpy()
    step = max(1, PIXELS // (size * size))
    for kind in sorted(set(index.tolist())):
        rows = np.flatnonzero(index == kind)
        for start in range(0, len(rows), step):
            at = rows[start : start + step]
            factors = dict(zip(FACTORS, values[at].T, strict=True))
            images[at], parts[at] = Sheet(SPECIES[kind], factors, style, size).draw()
    shares = images / np.float32(255)
    return Pictures(torch.from_numpy(shares), torch.from_numpy(parts))


def members(domain: str, split: str) -> Insects:
    """Return what a fixed split shows, to know it or to render it in another style.

    Parameters
    ----------
    domain : {"source", "target"}
        Ten species, or ant and bee.
    split : {"train", "validation", "test"}
        The source has 400, 50 and 50 pictures of each species. The target has 244,
        400 and 1,000 pictures; in the training split and among the first 153 of the
        test split there are as many ants and bees as in the photographs of the
        "hymenoptera" data: 123 and 121, 70 and 83.

    Returns
    -------
    Insects
        The same every time, at the default difficulty.

    Raises
    ------
    ValueError
        If the domain or the split is unknown.
    """
    where = "data.insects.members"
    check_choice(where, "domain", domain, ("source", "target"))
    check_choice(where, "split", split, PER_SPECIES)
    pair = list(TARGET)
    species = {
        "train": pair * 121 + ["ant"] * 2,
        "validation": pair * 200,
        "test": pair * 70 + ["bee"] * 13 + pair * 417 + ["ant"] * 13,
    }[split]
    if domain == "source":
        species = list(SOURCE) * PER_SPECIES[split]
    return draw(species, generator=runtime.generator(0, "insects", domain, split))


def load_source(profile: str, *, style: str = "photo", size: int = 64) -> DataSet:
    """Load the source domain: ten species of arthropods.

    Parameters
    ----------
    profile : {"embedded"}
        Draws 4,000, 500 and 500 pictures, the same every time. The hub profile has no
        source pictures: there the weights trained on ImageNet stand for them.
    style, size
        As in `render`.

    Returns
    -------
    DataSet
        Pictures of shape (n, 3, size, size); ``classes`` are `SOURCE`.

    Raises
    ------
    ValueError
        If the profile, the style or the size is unknown.
    """
    require(
        check_profile(profile) == "embedded",
        "data.insects.load_source",
        "profile must be embedded",
        repr(profile),
        "the source of the hub profile is ImageNet, too large to load: only its "
        "weights are, by pretrained.resnet18",
    )
    return _load("source", style, size)


def load_target(
    profile: str, *, style: str = "photo", size: int | None = None, n_test: int = 1000
) -> DataSet:
    """Load the target domain: ants and bees.

    Parameters
    ----------
    profile : {"embedded", "hub"}
        "embedded" draws 244, 400 and 1,000 pictures, the same every time. "hub" loads
        204, 40 and 153 photographs, `hub.load_hymenoptera`.
    style : str, default "photo"
        As in `render`; photographs are always photographs.
    size : int, optional
        Pixels a side; 64 for drawings and 224 for photographs if None.
    n_test : int, default 1000
        How many of the drawn pictures of the test split; the first 153 are as many as
        the "hymenoptera" photographs have.

    Returns
    -------
    DataSet
        Pictures of shape (n, 3, size, size); label 0 is the ant, 1 the bee.

    Raises
    ------
    ConnectionError
        In the hub profile, if the archive is neither in the cache nor to be had whole.
    ValueError
        If the profile, the style or the size is unknown, or the test split has not so
        many pictures.
    """
    where = "data.insects.load_target"
    check_range(where, "n_test", n_test, 1, 1000, cause="the test split has 1,000")
    if check_profile(profile) == "embedded":
        return _load("target", style, size or 64, n_test)
    cause = "real ants come neither in ink nor on a plate"
    require(style == "photo", where, "style must be photo in hub", repr(style), cause)
    return hub.load_hymenoptera(size=size or 224)


def _load(domain: str, style: str, size: int, n_test: int = 1000) -> DataSet:
    """Render the three fixed splits of a domain."""
    parts = []
    for split in PER_SPECIES:
        insects = members(domain, split)
        if split == "test":
            insects = insects.take(range(len(insects))[:n_test])
        images = render(insects, style=style, size=size).images
        parts.append(Split(images, insects.labels))
    return DataSet(
        name=f"insects, {domain}, {style}",
        classes=SOURCE if domain == "source" else TARGET,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        steps=640,
        licence="CC0 1.0 (the pictures); BSD-3-Clause (the program)",
        citation="This course",
        description="Drawn arthropods whose factors and parts are known.",
    )
