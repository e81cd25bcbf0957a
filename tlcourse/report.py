"""Figures in one style, and the only way that a number reaches the prose."""

from __future__ import annotations

import csv
import io
import math
import numbers
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tlcourse._checks import check_choice, require
from tlcourse.evidence import mean_interval

if TYPE_CHECKING:  # half a second, which only figures need
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "calibrated",
    "check_table",
    "curve",
    "dots",
    "figure",
    "place",
    "record",
]

# The palette of Okabe & Ito (2008) without its yellow, which is lost on white,
# and a grey. Readers with any kind of colour vision can tell it apart; marker
# and dash say the same again.
_LOOKS = {
    # role: (colour, marker, dash)
    "source": ("#0072B2", "s", "--"),
    "target": ("#D55E00", "o", "-"),
    "scratch": ("#E69F00", "v", (0, (5, 1, 1, 1))),
    "probe": ("#56B4E9", "D", (0, (3, 1))),
    "fine-tuned": ("#009E73", "^", (0, (8, 1.5))),
    "joint": ("#CC79A7", "P", (0, (6, 2, 1, 2, 1, 2))),
    "baseline": ("#767676", "x", ":"),
    "highlight": ("#000000", "*", "-."),
    # Where the things compared have none of these roles, such as optimizers.
    "first": ("#0072B2", "o", "-"),
    "second": ("#D55E00", "s", "--"),
    "third": ("#009E73", "^", "-."),
    "fourth": ("#CC79A7", "D", (0, (3, 1))),
}

#: Role in a figure -> its colour, the same in every chapter.
COLOURS: Mapping[str, str] = MappingProxyType(
    {role: look[0] for role, look in _LOOKS.items()}
)

_WIDTH, _DPI, _SHOWN = 6.0, 200, 600  # inches; 1,200 pixels, shown at 600
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures agree
    "font.size": 9,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "savefig.facecolor": "white",  # legible on a dark page as well
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}

_recorded: dict[str, int | float] = {}


def figure(
    columns: int = 1, rows: int = 1, *, height: float = 3.0
) -> tuple[Figure, Any]:
    """Make a figure in the style of the course.

    Parameters
    ----------
    columns, rows : int, default=1
        How many panels, side by side and one above another.
    height : float, default=3.0
        Inches; the width is always 6.

    Returns
    -------
    fig : matplotlib.figure.Figure
        On white, at 200 dots an inch.
    axes : matplotlib.axes.Axes or numpy.ndarray of them
        One for one panel; else of shape (panels,), or (rows, columns) if both
        are above 1.

    Notes
    -----
    The style holds within these functions only: matplotlib's settings stay as
    they were.

    Examples
    --------
    >>> fig, axes = figure(columns=2)
    >>> axes.shape, float(fig.get_figwidth())
    ((2,), 6.0)
    >>> place("example-fig-empty", fig)
    """
    from matplotlib import pyplot

    with pyplot.rc_context(_STYLE):
        return pyplot.subplots(
            rows, columns, figsize=(_WIDTH, height), dpi=_DPI, layout="constrained"
        )


def curve(
    ax: Axes,
    x: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    role: str,
    label: str | None = None,
) -> None:
    """Draw the mean over seeds as a line in its 95 % interval.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    x : array_like, shape (m,)
        Positions, such as numbers of labels.
    values : array_like, shape (seeds, m) or (m,)
        One row a seed. A single row is drawn as a line without a band.
    role : str
        A key of `COLOURS`; gives colour, marker and dash.
    label : str, optional
        For the legend.

    Raises
    ------
    ValueError
        If the role is unknown, or `values` has not one column a position.

    Notes
    -----
    The band is Student's t interval (`evidence.mean_interval`), the faint points
    are the seeds. Beyond 20 positions the points are left out and the markers
    thinned, so that the line stays readable.

    Examples
    --------
    >>> fig, ax = figure()
    >>> curve(ax, [1, 2], [[0.5, 0.7], [0.6, 0.8]], role="target", label="target")
    >>> [round(float(y), 2) for y in ax.lines[0].get_ydata()]
    [0.55, 0.75]
    >>> place("example-fig-curve", fig)
    """
    colour, marker, dash = _look("report.curve", role)
    at, table = _table("report.curve", "x", x, values)  # (m,), (seeds, m)
    few = at.size <= 20
    ax.plot(
        at,
        table.mean(axis=0),
        color=colour,
        linestyle=dash,
        marker=marker,
        markevery=1 if few else at.size // 8,
        label=label,
        linewidth=_STYLE["lines.linewidth"],
        markersize=_STYLE["lines.markersize"],
    )
    if len(table) == 1:
        return
    intervals = [mean_interval(column) for column in table.T]
    ax.fill_between(
        at,
        [i.low for i in intervals],
        [i.high for i in intervals],
        color=colour,
        alpha=0.18,
        linewidth=0,
    )
    if few:
        ax.scatter(
            np.tile(at, len(table)), table.ravel(), s=5, color=colour, alpha=0.35
        )


def dots(
    ax: Axes,
    positions: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    role: str,
    label: str | None = None,
) -> None:
    """Draw one point a seed, and their mean with its 95 % interval.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    positions : array_like, shape (m,)
        One a category; shift them for methods side by side.
    values : array_like, shape (seeds, m) or (m,)
        One row a seed. A single row is drawn as points without intervals.
    role : str
        A key of `COLOURS`; gives colour and marker.
    label : str, optional
        For the legend.

    Raises
    ------
    ValueError
        If the role is unknown, or `values` has not one column a position.

    Examples
    --------
    >>> fig, ax = figure()
    >>> dots(ax, [0, 1], [[0.5, 0.7], [0.6, 0.8]], role="probe", label="probe")
    >>> ax.get_legend_handles_labels()[1]
    ['probe']
    >>> place("example-fig-dots", fig)
    """
    colour, marker, _ = _look("report.dots", role)
    at, table = _table("report.dots", "positions", positions, values)
    seeds = len(table)
    intervals = [mean_interval(column) for column in table.T]
    half = [i.high - i.mean if seeds > 1 else 0.0 for i in intervals]
    ax.errorbar(
        at,
        [i.mean for i in intervals],
        yerr=half,
        fmt=marker,
        color=colour,
        markersize=_STYLE["lines.markersize"],
        elinewidth=1.4,
        capsize=3,
        label=label,
    )
    if seeds > 1:
        # A fixed small fan, so that equal values do not hide one another.
        fan = np.linspace(-0.08, 0.08, seeds)[:, None]  # (seeds, 1)
        ax.scatter((at + fan).ravel(), table.ravel(), s=8, color=colour, alpha=0.4)


def place(key: str, fig: Figure) -> None:
    """Show a figure, keep it for ``{glue:figure}``, and close it.

    In the book the text places it with its caption, so a cell that calls this is
    tagged ``remove-output``; whoever runs the notebook sees it below the cell.

    Parameters
    ----------
    key : str
        ``"<chapter>-fig-<what>"``.
    fig : matplotlib.figure.Figure
        From `figure`.

    Raises
    ------
    ValueError
        If the key has another form.

    Examples
    --------
    >>> place("example-fig-nothing", figure()[0])
    """
    _check_key("report.place", key)
    require(
        "-fig-" in key,
        "report.place",
        'key must have the form "<chapter>-fig-<what>"',
        repr(key),
        "numbers go through report.record",
    )
    from matplotlib import pyplot

    if _in_notebook():
        from IPython.display import Image

        png = io.BytesIO()
        for ax in fig.axes:  # matplotlib gives a title its own size when it is set
            ax.title.set_fontsize(_STYLE["axes.titlesize"])
        for legend in filter(None, (ax.get_legend() for ax in fig.axes)):
            legend.get_frame().set_linewidth(0)
            for text in legend.get_texts():
                text.set_fontsize(8)
        with pyplot.rc_context(_STYLE):
            fig.savefig(png, format="png", dpi=_DPI)
        image = Image(  # type: ignore[no-untyped-call]
            png.getvalue(), format="png", width=_SHOWN
        )
        _glue(key, image, display=True)
    pyplot.close(fig)


def record(key: str, value: object) -> None:
    """Give a number a name by which the prose and the claims know it.

    Parameters
    ----------
    key : str
        ``"<chapter>-<what>"``, lower-case words joined by hyphens.
    value : int, float, or a NumPy or torch value of one element
        A finite number. Whole numbers stay whole; the rest becomes a float.

    Raises
    ------
    TypeError
        If the value is not one real number.
    ValueError
        If it is NaN or infinite, or the key has another form.

    Notes
    -----
    In a notebook the value is glued (myst-nb), and prose shows it by
    ``{glue:text}``. Elsewhere it is only remembered for `check_table`.

    Examples
    --------
    >>> record("example-accuracy", np.float64(0.5))
    """
    _check_key("report.record", key)
    number = _number(key, value)
    _recorded[key] = number
    if _in_notebook():
        _glue(key, number)


def calibrated(chapter: str, key: str) -> list[float]:
    """Return what a chapter recorded under a key, seed by seed, when calibrated.

    For a band over seeds where a single run has time for one of them.

    Parameters
    ----------
    chapter : str
        The chapter's file name without its ending, such as ``"loss-functions"``.
    key : str
        As it was given to `record`.

    Returns
    -------
    list of float
        A value a seed, in the order of the seeds. Empty where there is nothing yet:
        before the first calibration, for a new key, or without the book's files, as
        on Colab. A seed that did not record the key is left out.

    Notes
    -----
    ``calibration/<chapter>.csv``, beside ``claims.toml``, is written by ``tlcourse
    calibrate``, and says on which day, versions and processor. While it calibrates,
    a chapter still sees the values of the calibration before.

    Examples
    --------
    >>> calibrated("no-such-chapter", "no-such-chapter-accuracy")
    []
    """
    claims = _claims_file()
    path = claims and claims.parent / "calibration" / f"{chapter}.csv"
    if path is None or not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        table = (line for line in file if not line.startswith("#"))
        values = [float(row.get(key) or "nan") for row in csv.DictReader(table)]
    return [value for value in values if math.isfinite(value)]


def check_table(chapter: str, *, profile: str = "embedded") -> None:
    """Print for each claim of a chapter whether this run's value lies in its range.

    While all claims hold, the text is the same on every machine: values are
    shown only where they cannot differ (`check_digits`) or where they fail.

    Parameters
    ----------
    chapter : str
        The chapter's file name without its ending, such as ``"loss-functions"``.
    profile : str, default="embedded"
        The profile of this run; claims that are not made for it say so.

    Notes
    -----
    ``claims.toml`` is looked for in the working directory and above it, also in
    a folder ``book`` there. Without it, as on Colab, the values are printed.
    """
    mine = {k: v for k, v in _recorded.items() if k.startswith(f"{chapter}-")}
    path = _claims_file()
    if path is None:
        print("No claims.toml here, so nothing to check against. This run gave:")
        for key, value in mine.items():
            print(f"{key}  {value:.6g}")
        return
    with path.open("rb") as file:
        claims = {
            key: claim
            for key, claim in tomllib.load(file).items()
            if claim["chapter"].rpartition("/")[2] == chapter
        }
    rows = [
        (key, _range(claim), _verdict(key, claim, profile))
        for key, claim in claims.items()
    ]
    rows += [(k, "", "NOT DECLARED in claims.toml") for k in mine if k not in claims]
    wide = [max((len(row[i]) for row in rows), default=0) for i in (0, 1)]
    for key, span, verdict in rows:
        print(f"{key:<{wide[0]}}  {span:<{wide[1]}}  {verdict}".rstrip())


def _claims_file() -> Path | None:
    here = Path.cwd()
    for folder in (here, *here.parents):
        for path in (folder / "book" / "claims.toml", folder / "claims.toml"):
            if path.is_file():
                return path
    return None


def _range(claim: Mapping[str, Any]) -> str:
    return f"{claim['min']:.6g} to {claim['max']:.6g}"


def _verdict(key: str, claim: Mapping[str, Any], profile: str) -> str:
    if profile not in claim.get("profiles", ["embedded"]):
        return f"not claimed for {profile}"
    if key not in _recorded:
        return "NOT RECORDED in this run"
    value = _recorded[key]
    if not claim["min"] <= value <= claim["max"]:
        return f"OUTSIDE: {value:.6g}"
    if "check_digits" in claim:
        return f"holds: {value:.{claim['check_digits']}f}"
    return "holds"


def _look(where: str, role: str) -> tuple[str, str, Any]:
    return _LOOKS[check_choice(where, "role", role, COLOURS)]


def _table(
    where: str, name: str, x: npt.ArrayLike, values: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    at = np.asarray(x, dtype=np.float64)  # (m,)
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))  # (seeds, m)
    require(
        at.ndim == 1
        and table.ndim == 2
        and table.shape[1] == at.size
        and table.size > 0,
        where,
        f"values must have shape (seeds, {at.size}), one column for each of {name}",
        f"shape {np.shape(values)}",
        "are seeds and positions swapped?",
    )
    return at, table


def _check_key(where: str, key: str) -> None:
    require(
        re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", key) is not None,
        where,
        "key must be lower-case words joined by hyphens, the chapter's name first",
        repr(key),
        'write it like "loss-functions-floor"',
    )


def _number(key: str, value: object) -> int | float:
    where = f"report.record: the value of {key}"
    try:  # NumPy and torch values of one element
        number = value.item() if hasattr(value, "item") else value
    except (RuntimeError, ValueError):
        number = value
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise TypeError(
            f"{where} must be one number, got {type(value).__name__} {value!r:.60}; "
            "does it need a mean?"
        )
    require(
        math.isfinite(number), where, "must be finite", number, "did a run diverge?"
    )
    return int(number) if isinstance(number, numbers.Integral) else float(number)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")  # loaded by now, where cells run
    return ipython is not None and ipython.get_ipython() is not None


def _glue(key: str, value: object, *, display: bool = False) -> None:
    # What myst_nb.glue does. That loads nbformat, which takes seconds a chapter.
    from IPython.core.formatters import format_display_data
    from IPython.display import publish_display_data

    data, metadata = format_display_data(value)  # type: ignore[no-untyped-call]
    prefix = "" if display else "application/papermill.record/"
    metadata["scrapbook"] = {"name": key, "mime_prefix": prefix}
    bundle = {prefix + kind: part for kind, part in data.items()}
    publish_display_data(bundle, metadata)  # type: ignore[no-untyped-call]
