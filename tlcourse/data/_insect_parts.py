"""What the drawn arthropods are made of: anatomy, colours and grounds, as tables.

An animal lies in its own plane, measured in hundredths of half a body: u runs from the
tail, about -100, to the head, and v to the right. Grasshopper and mantis are seen from
the side, so there v runs down to the feet. A line of `_TABLE` is one part, and later
parts lie on top of earlier ones::

    part, limb(s), colour, thickness at both ends, joints of a path | joints | ...
    part, oval(s) or spot(s), colour, centre, half axes, options

A spot is a flat oval. A plural is drawn on both sides of the line v = 0.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ANATOMY", "GROUNDS", "PALETTES", "PARTS", "Part"]

Point = tuple[float, float]
Colour = tuple[float, float, float]  # red, green, blue

# The values 1, 2, ... of a map of parts.
PARTS = (
    *("legs", "wings", "antennae", "claws", "tail"),
    *("abdomen", "thorax", "head", "eyes", "shell"),
)

_TABLE = """
beetle: black 1a1a1f 4c4c4c, brown 5c3017 804c33, green 1f5c2e 4c8033,
    red-brown 752614 4c1a1a
legs limbs dark 6,3 35,25 50,60 78,72 | 10,30 5,68 -20,88 | -20,30 -42,62 -85,72
antennae limbs dark 2.5,4 60,18 72,40 90,48
claws limbs body 7.5,3 66,12 88,30 108,22 114,6
abdomen oval dark -35,0 62,38 egg=-10
shell oval body -33,0 60,40 egg=-12
shell limb night 1.4,1.4 22,0 -90,0
thorax oval body 32,0 20,37
head oval body 56,0 16,24
eyes spots night 60,20 5,5

butterfly: orange e67a1a f2e6bf, blue 4073d9 d9e6f2, yellow edd44c d95926,
    white e6e3d6 736e66
antennae limbs night 2,4 50,4 78,18 100,30
wings spots second -31,33.5 50,36 turn=146 egg=-25 pivot=10,5
wings spots body -25,30 43,30 turn=146 egg=-30 pivot=10,5
wings spots night 43.5,52.5 51,36 turn=68 egg=-40 pivot=25,5
wings spots body 39,44.5 42,28 turn=68 egg=-40 pivot=25,5
wings spots second 50,72 8,8 pivot=25,5
wings spots night -42,42 9,9 pivot=10,5
abdomen oval dark -20,0 38,7
thorax oval dark 25,0 18,9 fuzz=3
head oval night 46,0 7,8

spider: brown 664526 ccb88c, black 1f1c1c bf1f14, grey 6b6966 d9d6cc,
    yellow b29433 402b14
legs limbs dark 5.5,2 30,12 66,42 90,40 112,30 | 20,16 45,62 62,82 72,98
    | 10,16 4,62 -12,84 -25,98 | 2,12 -36,55 -78,66 -108,62
claws limbs dark 4,3 36,8 50,14 58,6
abdomen oval body -40,0 40,33 egg=-15 fuzz=3
abdomen spot second -30,0 24,7
abdomen spot second -30,0 6,20
thorax oval dark 17,0 25,20 egg=15
eyes spots night 34,6 4,4

dragonfly: blue 337abf 40668c, red bf2e1f 80261a, green 478c38 336666,
    brown 6b4724 a68c40
legs limbs dark 2.5,1.8 50,8 72,20 88,16
wings spots clear 21,58 53,14 turn=100 egg=-30 stripes=14,25 opacity=60 pivot=30,6
wings spots clear 54,59 54,12 turn=81 egg=-30 stripes=14,25 opacity=60 pivot=46,6
wings spots night 57,100 5,2.5 turn=81 pivot=46,6
abdomen oval body -36,0 70,6.5 egg=10 stripes=8,30
thorax oval body 40,0 24,14
head oval dark 68,0 9,12
eyes ovals second 70,10 10,10

ladybird: red cc2114 0f0d0f, orange e6731a 0f0d0f, yellow ebc733 0f0d0f,
    brown 8c381a 0f0d0f
legs limbs night 5,3.5 30,40 45,66 60,70 | 0,50 0,74 -8,86 | -30,45 -45,68 -62,76
antennae limbs night 3,4 70,10 84,22 88,30
head oval night 64,0 16,20
thorax oval night 48,0 20,36
thorax spots clear 55,24 8,8
shell oval body -15,0 63,56 egg=-5
shell limb night 2,2 46,0 -78,0
shell spot night 40,0 10,10
shell spots night 16,30 12,12
shell spots night -20,20 11,11
shell spots night -45,30 9,9

grasshopper: green 5c942e 99ad4c, brown 7a5930 a8854c, yellow b8a840 8c8033,
    grey 7a756b a69985
antennae limb dark 2,1.2 86,-16 100,-40 120,-60
legs limb body 5,3 40,10 62,30 60,55 72,58 | 20,12 26,36 14,55 24,58
abdomen oval second -30,4 62,14 turn=4 egg=-20 stripes=9,35
wings spot dark -32,-6 72,10 turn=3
thorax oval body 45,-2 26,19
head oval body 74,-2 13,21 turn=14
eyes spot night 78,-10 6,6
legs limb body 14,5 10,6 -30,-26 -58,-50
legs limb dark 5,3.5 -58,-50 -62,52 -80,58 pivot=10,6

fly: black 242429 616166, green 29734c 3d855c, blue 263d7a 40578c,
    brown 5c4024 856640
legs limbs night 4,2.5 40,18 62,44 86,42 | 20,22 16,58 -4,78 | 5,18 -30,50 -72,60
abdomen oval body -30,0 40,28 egg=-20 stripes=4,30
thorax oval second 26,0 30,27
thorax limbs night 1.8,1.8 50,8 6,8
wings spots clear -21,41 55,21 turn=158 egg=-30 stripes=6,22 opacity=55 pivot=30,20
head oval dark 64,0 14,22
eyes ovals red 66,18 15,14
antennae limbs night 2,1.5 76,3 86,6

scorpion: black 211f21 474038, brown 6b4221 996b38, yellow cca34c 946b2e,
    red-brown 80331a ad5c2e
legs limbs dark 4.5,2.2 38,14 50,40 60,60 | 26,16 28,50 26,72
    | 14,16 4,50 -8,74 | 2,14 -20,44 -42,66
claws limbs body 5,6 46,12 58,42 82,40
claws ovals body 92,40 15,10 pivot=46,12
claws limbs body 4.5,2 98,46 116,44 122,36 | 98,34 110,28 120,31 pivot=46,12
abdomen oval body -10,0 42,22 egg=-20 stripes=7,25
thorax oval body 36,0 20,19
eyes spots night 40,4 3,3
tail limb body 10,7.5 -48,0 -75,6 -95,26 -98,52 -80,70
tail limb dark 8.5,1.5 -80,70 -64,74 -50,64 pivot=-48,0

mantis: green 6ba83d a8bd61, brown 856138 b28f5c, yellow c2b252 9e8a3d,
    grey 857d73 ada18f
legs limb dark 3.5,2.2 -15,10 10,6 -15,79 | -23,8 -34,-29 -102,29
legs limb body 4,2.5 -12,14 15,18 0,88 | -22,10 -31,-14 -80,42
antennae limb dark 1.8,1.2 89,-22 114,-29 133,-22 | 92,-19 115,-15 130,-1
abdomen oval second -59,-2 50,15 turn=16 stripes=7,30
wings spot body -51,-8 54,13 turn=16 egg=8
thorax limb body 12,8 -16,7 26,-1 65,-13
claws limb dark 6,5 56,-9 52,26 93,31
claws limb body 7,3.5 57,-6 44,28 97,8 63,23
head oval body 78,-15 10,16 turn=80 egg=-30
eyes spot night 78,-24 6,6

crab: red c23b1f eb9e73, orange db7a33 f2c78c, brown 805733 bd996b,
    green 576b42 9e9e6b
legs limbs body 7.5,2 15,50 34,84 20,108 | 2,54 10,92 -12,112
    | -12,52 -16,90 -42,102 | -24,45 -42,76 -70,78
claws limbs body 8,9 26,42 42,72 60,66
claws ovals body 74,54 20,14 turn=-28 pivot=26,42
claws limbs second 7,2.5 84,56 102,40 106,26 | 76,42 88,26 100,20 pivot=26,42
eyes limbs night 3,5 32,14 46,17
shell oval body 0,0 38,60 egg=-25
shell spots dark 12,30 5,5
shell spots dark -8,20 5,5

ant: black 1c1a1a 423b33, brown 57301a 80522e, red-brown 85331a 4c1f14,
    yellow b88033 855724
legs limbs dark 4.2,2.2 30,8 52,42 82,60 | 16,8 18,50 -6,84 | 2,8 -26,46 -74,74
antennae limbs dark 2.6,3 72,8 80,40 116,30
claws limbs dark 3.5,2 78,10 92,8 94,2
abdomen oval body -60,0 36,25 egg=-25 stripes=5,20
thorax oval body -17,0 7,7.5
thorax oval body 14,0 26,13 egg=-20
head oval body 60,0 21,20 egg=20
eyes spots night 62,16 3.5,3.5

bee: yellow 2e1f12 db9e24, brown 3d2614 a8753d, black 1f1c1c 9e9480,
    orange 42210f d96b1f
legs limbs dark 4.5,3 44,20 62,42 80,44 | 28,24 20,52 2,66 | 12,20 -22,42 -60,50
antennae limbs dark 2.2,2.6 76,6 86,26 108,24
abdomen oval body -42,0 52,31 egg=-22 stripes=5,45 fuzz=5
thorax oval second 30,0 28,28 fuzz=12
wings spots clear -10,36 38,15 turn=148 egg=-30 stripes=4,20 opacity=55 pivot=22,16
wings spots clear 7,55 46,19 turn=126 egg=-30 stripes=5,20 opacity=55 pivot=34,18
head oval body 66,0 14,23
eyes ovals night 68,17 12,7 turn=10
"""


class Part(NamedTuple):
    """One line of the table; lengths are in half bodies."""

    name: str
    shape: str
    colour: str
    radii: Point  # of a limb at its first joint and its last, of an oval along its axis
    paths: list[list[Point]]  # an oval has one point, its centre
    turn: float  # degrees from the head's direction outwards to the axis of an oval
    egg: float  # > 0: narrower at the end where the axis points
    stripes: Point  # how many bands across, which share of them is in another colour
    fuzz: float  # how far hair frays the edge
    opacity: float
    pivot: Point | None  # what a pose turns the part around, if not its first joint

    @property
    def twin(self) -> bool:
        """Whether it is drawn on both sides."""
        return self.shape.endswith("s")


def _pair(text: str, unit: float = 100) -> Point:
    first, second = (float(number) / unit for number in text.split(","))
    return first, second


def _rgb(text: str) -> Colour:
    red, green, blue = (byte / 255 for byte in bytes.fromhex(text))
    return red, green, blue


def _part(line: str) -> Part:
    """Read one line of the table."""
    options = dict(word.split("=") for word in line.split() if "=" in word)
    name, shape, colour, *rest = (word for word in line.split() if "=" not in word)
    if not shape.startswith("limb"):
        rest = rest[1::-1]  # an oval's centre comes before its half axes
    count, share = _pair(options.get("stripes", "0,0"))
    return Part(
        *(name, shape, colour, _pair(rest[0])),
        [[_pair(at) for at in path.split()] for path in " ".join(rest[1:]).split("|")],
        turn=float(options.get("turn", 0)),
        egg=float(options.get("egg", 0)) / 100,
        stripes=(100 * count, share),
        fuzz=float(options.get("fuzz", 0)) / 100,
        opacity=float(options.get("opacity", 100)) / 100,
        pivot=_pair(options["pivot"]) if "pivot" in options else None,
    )


ANATOMY: dict[str, list[Part]] = {}
PALETTES: dict[str, list[tuple[str, Colour, Colour]]] = {}  # word, body, second colour
for _block in _TABLE.replace("\n    ", " ").strip().split("\n\n"):
    _head, *_lines = _block.splitlines()
    _name, _colours = _head.split(": ")
    _triples = (triple.split() for triple in _colours.split(", "))
    PALETTES[_name] = [(word, _rgb(a), _rgb(b)) for word, a, b in _triples]
    ANATOMY[_name] = [_part(line) for line in _lines]

# Where a picture is taken: a word, two colours between which the ground varies, and
# which shares of the variation are in large patches, in small ones and in streaks.
GROUNDS = [
    ("soil", _rgb("38261a"), _rgb("7a5c3d"), (0.4, 0.6, 0.0)),
    ("sand", _rgb("a88f66"), _rgb("dbc79e"), (0.5, 0.5, 0.0)),
    ("a leaf", _rgb("29571a"), _rgb("6b9938"), (0.5, 0.1, 0.4)),
    ("bark", _rgb("33241a"), _rgb("947557"), (0.2, 0.2, 0.6)),
    ("stone", _rgb("5c5c5c"), _rgb("ada89e"), (0.6, 0.4, 0.0)),
    ("a petal", _rgb("b86185"), _rgb("f0bdc7"), (0.7, 0.0, 0.3)),
]
