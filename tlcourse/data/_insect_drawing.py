"""The drawing of arthropods from distances to shapes, for many pictures at once.

Every picture is cut into blocks of 8 x 8 pixels, and a shape is worked out only in the
blocks that it may touch. The result must be the same bytes on every machine. So
whatever reaches a pixel is made of whole numbers and of + - * / and square roots of
floats, each of which IEEE 754 rounds in one way only, one element at a time: no sum
over an axis, whose order a processor chooses, and no sine or power of a library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tlcourse.data._insect_parts import ANATOMY, GROUNDS, PALETTES, PARTS, Part

__all__ = ["BLOCK", "STYLES", "Sheet"]

Array = npt.NDArray[Any]

BLOCK = 8  # pixels a side
FIXED = {
    "night": (0.06, 0.05, 0.06),
    "red": (0.55, 0.12, 0.08),
    "clear": (0.86, 0.89, 0.92),
    "veins": (0.50, 0.49, 0.46),
}
STRIPES = {"second": "body", "body": "second", "clear": "veins"}
SINE = (-1 / 39916800, 1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1)  # the Taylor series


class Style(NamedTuple):
    """How a sheet is drawn."""

    phrase: str  # for captions
    paper: tuple[float, float, float] | None  # natural ground if none
    rim: float  # width of outlines in 64ths of the picture
    ink: tuple[float, float, float]  # of the outlines
    hatched: bool  # bodies are filled with strokes, not with colour
    dome: float  # how strongly light models a body
    decay: float  # which share of the factors blur and noise reaches the picture


STYLES = {
    "photo": Style("a photograph", None, 0, (0, 0, 0), False, 0.55, 1),
    "ink": Style(
        "an ink sketch", (0.95, 0.94, 0.90), 0.5, (0.10, 0.10, 0.16), True, 0.4, 0.3
    ),
    "plate": Style(
        "a museum plate", (0.93, 0.89, 0.78), 0.3, (0.20, 0.14, 0.10), False, 0.3, 0.3
    ),
}


def turn(degrees: Array | float) -> tuple[Array, Array]:
    """Return cosine and sine, from sums and products alone (error below 1e-7)."""
    t = np.stack([np.add(degrees, 90), np.add(degrees, 0)]) / 360
    t = t - np.rint(t)  # -1/2 to 1/2 of a turn
    x = np.where(np.abs(t) > 0.25, np.copysign(0.5, t) - t, t) * 6.283185307179586
    cosine, sine = x * np.polyval(SINE, x * x)  # Horner's rule, nothing else
    return cosine, sine


def scatter(*keys: Array | int) -> Array:
    """Hash whole numbers to 32 bits, broadcasting; the largest array comes last."""
    mixed: Array = np.full(1, 0x9E3779B9, dtype=np.uint32)
    for key in keys:
        mixed = mixed ^ np.asarray(key, dtype=np.uint32)
        for bits, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
            mixed = (mixed ^ mixed >> bits) * factor
    return mixed


def patches(grain: Array, rows: int, columns: int, size: int) -> Array:
    """Draw a smooth random field with so many cells: (m, size, size) in [0, 1)."""
    dice = scatter(grain, rows, columns, np.arange((rows + 1) * (columns + 1))) >> 16
    field = dice.astype(np.float32).reshape(-1, rows + 1, columns + 1) / 65536
    for axis, cells, shape in ((1, rows, (-1, 1)), (2, columns, (-1,))):
        at = (np.arange(size) * 2 + 1) * cells / (2 * size)
        part = (at - np.floor(at)).astype(np.float32).reshape(shape)
        left, right = (field.take(at.astype(int) + k, axis) for k in (0, 1))
        field = left + (right - left) * (part * part * (3 - 2 * part))
    return field


class Sheet:
    """A few pictures of one species while they are drawn.

    Planes have the shape (blocks, pixels of a block); a factor has one value a picture.
    """

    def __init__(
        self, species: str, f: Mapping[str, Array], style: str, size: int
    ) -> None:
        self.species, self.f, self.size, self.style = species, f, size, STYLES[style]
        self.grain = f["grain"].astype(np.uint32)[:, None]  # (m, 1)
        self.m, self.across = len(self.grain), size // BLOCK
        self.owner = np.repeat(np.arange(self.m), self.across**2)  # of each block
        grids = [
            np.meshgrid(*[(np.arange(k, dtype=np.float32) * 2 + 1 - k) / k] * 2)
            for k in (size, self.across)
        ]  # x and y from -1 to 1
        fine = [self.blocks(np.tile(axis, (self.m, 1, 1))) for axis in grids[0]]
        coarse = [np.tile(axis.reshape(-1, 1), (self.m, 1)) for axis in grids[1]]
        cos, sin = self.heading = turn(f["heading"])
        right, down = turn(f["light"] - 90)
        self.light = (
            0.66 * (right * sin - down * cos),
            0.66 * (right * cos + down * sin),
        )
        self.places = [(*at, *self.body(*at)) for at in (fine, coarse)]  # x, y, u, v
        self.px = f["scale"] * (size / 2)  # pixels in half a body
        self.corner = 0.75 * BLOCK + 1 + size / 64  # pixels: half a block, an outline
        # On the body that is further where the body leans away, bends or walks.
        wider = (1 + np.abs(f["gait"])) * (1 + 2 * np.abs(f["bend"])) / f["squash"]
        self.reach = wider * self.corner / self.px
        self.parts = np.zeros((len(self.owner), BLOCK * BLOCK), dtype=np.uint8)
        self.canvas = self.nature() if self.style.paper is None else self.sheet()

    def blocks(self, plane: Array) -> Array:
        """Cut (m, h, w) into blocks: (blocks, pixels)."""
        cut = plane.reshape(self.m, self.across, BLOCK, self.across, BLOCK)
        return cut.transpose(0, 1, 3, 2, 4).reshape(-1, BLOCK * BLOCK)

    def whole(self, plane: Array) -> Array:
        """Put blocks together again: (m, h, w)."""
        cut = plane.reshape(self.m, self.across, self.across, BLOCK, BLOCK)
        return cut.transpose(0, 1, 3, 2, 4).reshape(self.m, self.size, self.size)

    def each(self, *values: Array | float, rows: Array | None = None) -> Array:
        """Give some blocks the values of their pictures: (values, blocks, 1)."""
        table = np.array([v + np.zeros(self.m) for v in values], dtype=np.float32)
        return table.take(self.owner if rows is None else self.owner[rows], 1)[
            ..., None
        ]

    def body(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Turn places in the picture into places u, v on the body."""
        f, (cos, sin) = self.f, self.heading
        wide, tall = f["scale"], f["scale"] * f["squash"]  # it leans away from us
        x0, y0, bend, side, ux, uy, vx, vy = self.each(
            *(f["x"], f["y"], f["bend"], 1 - 2 * f["mirror"]),
            *(sin / wide, -cos / tall, cos / wide, sin / tall),
        )
        u, v = (x - x0) * ux + (y - y0) * uy, (x - x0) * vx + (y - y0) * vy
        return u, (v + bend * (u * u - 0.3)) * side

    def texture(self, rows: int, columns: int) -> Array:
        """Draw a smooth random field in blocks."""
        return self.blocks(patches(self.grain, rows, columns, self.size))

    def sheet(self) -> Array:
        """Paint old paper, with a frame unless it is for a sketch."""
        mottled = 0.08 * self.texture(5, 5) + 0.04 * self.texture(24, 24)
        far = np.maximum(*np.abs(self.places[0][:2]))
        rule = np.clip(1 - np.abs(far - 0.93) * (self.size / 2), 0, 1)
        tint = np.array(self.style.paper, dtype=np.float32)[:, None, None]
        shade = 1 - rule * (0 if self.style.hatched else 0.6)
        paper: Array = (tint - mottled) * shade
        return paper

    def nature(self) -> Array:
        """Paint the ground, with blades and pebbles, and the shadow on it."""
        chosen = self.f["ground"].astype(int)
        low, high, share = (
            np.array([g[k] for g in GROUNDS])[chosen].T for k in (1, 2, 3)
        )
        large, small, streaks = self.each(*share)
        t = large * self.texture(5, 5) + small * self.texture(24, 24)
        t += streaks * self.texture(30, 3)
        self.canvas = self.each(*low) + self.each(*(high - low)) * t
        for k in range(int(np.ceil(self.f["clutter"].max()))):
            self.clutter(k)
        ahead, right, shadow = self.each(*self.light, self.f["shadow"])
        p, q = self.places[0][2] + 0.12 * ahead, self.places[0][3] + 0.12 * right
        self.canvas *= 1 - shadow * np.clip(1 - p * p - 4 * q * q, 0, 1)
        return self.canvas

    def clutter(self, k: int) -> None:
        """Lay down one blade of grass or one pebble."""
        dice = scatter(self.grain, 7, k, np.arange(8)) / 4294967296
        x, y, way, long, wide, tint, dark, kind = dice.T
        blade, (cos, sin) = kind < 0.6, turn(way * 360)
        half = np.where(blade, 0.4 + 0.8 * long, 0.02 + 0.1 * long)
        radius = np.where(blade, 0.015 + 0.05 * wide, 0.05 + 0.12 * wide)
        x, y = 2.2 * x - 1.1, 2.2 * y - 1.1
        ends = (x - half * cos, y - half * sin), (x + half * cos, y + half * sin)
        radii = radius, radius * np.where(blade, 0.5, 1)
        shown = np.where(self.f["clutter"] > k, self.corner / (self.size / 2), -np.inf)
        rows = self.near(self.capsule(self.places[1], ends, radii), shown)
        d = self.capsule([axis[rows] for axis in self.places[0][:2]], ends, radii, rows)
        green, brown = np.array([[0.30, 0.45, 0.14], [0.42, 0.32, 0.20]])[..., None]
        colour = (green + (brown - green) * tint) * (0.5 + 0.9 * dark)
        slope, *rgb = self.each(0.3 / radius, *colour, rows=rows)
        cover = np.clip(0.5 - d * (self.size / 2), 0, 1)
        self.lay(rows, cover, [(0.8 - d * slope) * c for c in rgb])

    def near(self, distance: Array, reach: Array) -> Array:
        """Find the blocks whose centres lie within reach of a shape."""
        return np.flatnonzero(distance < self.each(reach)[0])

    def capsule(
        self, places: Any, ends: Any, radii: Any, rows: Array | None = None
    ) -> Array:
        """Return the distance from a line with round ends, outside > 0."""
        u, v = places[:2]
        (u0, v0), (u1, v1) = ends
        eu, ev = u1 - u0, v1 - v0
        ku, kv = eu / (eu * eu + ev * ev), ev / (eu * eu + ev * ev)
        u0, v0, eu, ev, ku, kv, k0, r, taper = self.each(
            *(u0, v0, eu, ev, ku, kv, u0 * ku + v0 * kv, radii[0], radii[1] - radii[0]),
            rows=rows,
        )
        t = np.clip(u * ku + v * kv - k0, 0, 1)
        du, dv = u - t * eu - u0, v - t * ev - v0
        far: Array = np.sqrt(du * du + dv * dv) - t * taper - r
        return far

    def lay(self, rows: Array, cover: Array, colour: list[Array]) -> None:
        """Lay a colour over some blocks."""
        for plane, c in zip(self.canvas, colour, strict=True):
            under = plane[rows]
            plane[rows] = under + cover * (c - under)

    def colour(self, role: str, rows: Array) -> list[Array]:
        """Return red, green and blue of a role, in some blocks."""
        table = np.array([entry[1:] for entry in PALETTES[self.species]])
        body, second = table[self.f["palette"].astype(int)].transpose(1, 2, 0)
        known = {"body": body, "second": second, "dark": body * 0.55}
        rgb = known[role] if role in known else np.array(FIXED[role])[:, None]
        if self.style.paper is None:
            low, high = (np.array([g[k] for g in GROUNDS]) for k in (1, 2))
            mean = ((low + high) / 2)[self.f["ground"].astype(int)].T
            rgb = rgb + (mean - rgb) * self.f["camouflage"]
        return list(self.each(*rgb, rows=rows))

    def paint(
        self, part: Part, rows: Array, d: Array, colour: list[Array], shade: Any
    ) -> None:
        """Lay one part over the canvas, d being the distance from its edge."""
        d = d * self.each(self.px, rows=rows)[0]  # in pixels
        cover, ink = np.clip(0.5 - d, 0, 1), self.style.ink
        self.parts[rows] = np.where(
            cover < 0.5, self.parts[rows], 1 + PARTS.index(part.name)
        )
        colour = [c * shade for c in colour]
        if self.style.hatched:  # darker bodies have broader strokes
            t = (self.places[0][0][rows] + self.places[0][1][rows]) * 9
            tone = (colour[0] + colour[1] + colour[2]) * 0.9
            fill = np.clip((tone + 0.1 - 2 * np.abs(t - np.rint(t))) * 4, 0, 1)
            colour = [i + fill * (0.94 - i) for i in ink]
        cover = cover * part.opacity
        if self.style.rim:
            width = self.style.rim * max(self.size / 64, 1)
            rim = np.clip(width + 0.5 - np.abs(d), 0, 1)
            cover = np.maximum(cover, rim)
            colour = [c + rim * (i - c) for c, i in zip(colour, ink, strict=True)]
        self.lay(rows, cover, colour)

    def pose(self, part: Part, k: int = 0) -> tuple[Array, Array]:
        """Return cosine and sine of the angle by which the pose turns a part."""
        name = part.name if part.name in ("legs", "wings") else "antennae"
        share = 0.4 if part.name in ("claws", "tail") else 1
        return turn(self.f[name] * (-share if k % 2 else share))

    def limb(self, part: Part) -> None:
        """Draw a part made of lines between joints."""
        moves = part.name in ("legs", "antennae", "claws", "tail")
        free = part.name in ("legs", "antennae")
        segments = []
        for k, path in enumerate(part.paths):
            pu, pv = part.pivot or path[0]
            # Legs turn in different directions, parts around one pivot together.
            cos, sin = (
                self.pose(part, k * (part.pivot is None)) if moves else (1.0, 0.0)
            )
            reach = self.f["reach"] if free else 1.0
            at = [((a - pu) * reach, (b - pv) * reach) for a, b in path]
            at = [(pu + a * cos - b * sin, pv + a * sin + b * cos) for a, b in at]
            # Nothing is thinner than a pixel, or it would be seen only in places.
            r = [
                np.maximum(w, 0.5 / self.px)
                for w in np.linspace(*part.radii, len(path))
            ]
            segments += [(at[j : j + 2], r[j : j + 2]) for j in range(len(path) - 1)]

        def distance(u: Array, v: Array, rows: Array | None = None) -> Array:
            slant = self.f["gait"] if part.name == "legs" else 0
            u, v = u + self.each(slant, rows=rows)[0] * v, np.abs(v) if part.twin else v
            best = self.capsule((u, v), *segments[0], rows)
            for segment in segments[1:]:
                best = np.minimum(best, self.capsule((u, v), *segment, rows))
            return best

        rows = self.near(distance(*self.places[1][2:]), self.reach)
        d = distance(self.places[0][2][rows], self.places[0][3][rows], rows)
        shade = 0.75 - d * (0.4 / max(part.radii))
        self.paint(part, rows, d, self.colour(part.colour, rows), shade)

    def oval(self, part: Part) -> None:
        """Draw an ellipse, an egg or a flat spot."""
        (a, b), (cos, sin) = part.radii, turn(part.turn)
        u0, v0 = np.array(part.paths[0][0])
        if part.pivot is not None:
            (pu, pv), (c, s) = part.pivot, self.pose(part)
            u0, v0 = u0 - pu, v0 - pv
            u0, v0 = pu + u0 * c - v0 * s, pv + u0 * s + v0 * c
            cos, sin = cos * c - sin * s, sin * c + cos * s
        along, across = (u0 * cos + v0 * sin) / a, (v0 * cos - u0 * sin) / b

        def axes(u: Array, v: Array, rows: Array | None = None) -> tuple[Array, ...]:
            v = np.abs(v) if part.twin else v
            pu, pv, p0, qu, qv, q0 = self.each(
                *(cos / a, sin / a, along, -sin / b, cos / b, across), rows=rows
            )
            p, q = u * pu + v * pv - p0, u * qu + v * qv - q0
            q = q * (1 + part.egg * p)
            slope = np.sqrt(p * p / (a * a) + q * q / (b * b))
            return p, q, (p * p + q * q - 1) / (2 * slope + 1e-3)  # to first order

        rows = self.near(axes(*self.places[1][2:])[2], self.reach + part.fuzz)
        p, q, d = axes(self.places[0][2][rows], self.places[0][3][rows], rows)
        if part.fuzz:
            d = d + (self.texture(48, 48)[rows] - 0.5) * (2 * part.fuzz)
        shade: Any = 1
        if part.shape.startswith("oval"):  # lit like a dome
            side = 0 if part.twin else self.light[1] * (1 - 2 * self.f["mirror"])
            ahead, right = self.each(self.light[0], side, rows=rows)
            lit = np.sqrt(np.maximum(1 - p * p - q * q, 0)) * 0.75
            lit = np.maximum(lit + p * ahead + q * right, 0)
            shine = lit * lit * lit * lit
            shade = 1 + self.style.dome * (lit + 0.25 * shine * shine - 0.75)
        colour, (count, share) = self.colour(part.colour, rows), part.stripes
        if count:
            t = p * (count / 2)
            wave = (share - 2 * np.abs(t - np.rint(t))) * (30 / count)
            band, other = (
                np.clip(wave + 0.5, 0, 1),
                self.colour(STRIPES[part.colour], rows),
            )
            colour = [c + band * (o - c) for c, o in zip(colour, other, strict=True)]
        self.paint(part, rows, d, colour, shade)

    def draw(self) -> tuple[Array, Array]:
        """Return the pictures (m, 3, h, w) and the maps of their parts (m, h, w)."""
        for part in ANATOMY[self.species]:
            self.limb(part) if part.shape.startswith("limb") else self.oval(part)
        planes = np.stack([self.whole(plane) for plane in self.canvas], 1)
        if self.style.paper is None:
            planes *= self.f["gain"].astype(np.float32)[:, None, None, None]
        return self.expose(self.blur(planes)), self.whole(self.parts)

    def blur(self, planes: Array) -> Array:
        """Mix each pixel with its neighbours, in place: (m, 3, h, w)."""
        k = max(1, self.size // 64)
        deviation = self.f["blur"] * (self.style.decay * self.size / 64)
        # Two passes add up to the variance 2 w (1 + 4) k^2.
        w = np.minimum(deviation * deviation / (10 * k * k), 1 / 3).astype(np.float32)
        for step in (k, 2 * k):
            for view in (planes, planes.swapaxes(2, 3)):  # across, then down
                flow = w[:, None, None, None] * (view[..., step:] - view[..., :-step])
                view[..., :-step] += flow
                view[..., step:] -= flow
        return planes

    def expose(self, planes: Array) -> Array:
        """Add noise and round to bytes."""
        dice = scatter(self.grain, 5, np.arange(self.size * self.size))
        dice = dice.reshape(-1, self.size, self.size)
        most = (self.f["noise"] * self.style.decay / 255).astype(np.float32)
        for c in range(3):  # each channel has grain of its own and some in common
            grains = (dice >> 8 * c & 255) + (dice >> 24)
            planes[:, c] += most[:, None, None] * (grains.astype(np.float32) - 255)
        return (np.clip(planes, 0, 1) * 255 + 0.5).astype(np.uint8)
