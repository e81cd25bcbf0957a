from __future__ import annotations

import base64
import math
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tlcourse import evidence, report

ROOT = Path(report.__file__).parents[1]


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(report, "_recorded", {})
    yield
    if "matplotlib.pyplot" in sys.modules:  # imported by figures only
        sys.modules["matplotlib.pyplot"].close("all")


# record ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (np.int64(3), 3),
        (torch.tensor(3), 3),
        (0.5, 0.5),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.array([0.5]), 0.5),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (torch.tensor([[0.5]], dtype=torch.bfloat16), 0.5),
        (Fraction(1, 2), 0.5),
    ],
)
def test_record_keeps_a_plain_number(value: object, expected: float) -> None:
    report.record("chapter-value", value)
    found = report._recorded["chapter-value"]
    assert found == expected
    assert type(found) is type(expected)
    assert f"{found:.2f}" == f"{expected:.2f}"  # what the prose does with it


@pytest.mark.parametrize(
    "value",
    [
        "0.5",
        None,
        True,
        np.bool_(True),
        torch.tensor(True),
        1j,
        Decimal("0.5"),
        [0.5],
        np.zeros(2),
        torch.zeros(2),
        torch.zeros(0),
    ],
)
def test_record_refuses_what_is_not_one_number(value: object) -> None:
    message = r"^report\.record: the value of chapter-value must be one number, got "
    with pytest.raises(TypeError, match=message):
        report.record("chapter-value", value)
    assert report._recorded == {}


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -np.float64(math.inf), torch.tensor(math.nan)]
)
def test_record_refuses_nan_and_infinity(value: object) -> None:
    message = "the value of chapter-value: must be finite, got .*; did a run diverge"
    with pytest.raises(ValueError, match=message):
        report.record("chapter-value", value)


@pytest.mark.parametrize(
    "key",
    ["", "accuracy", "Chapter-a", "chapter_a", "chapter-", "1-a", "a--b", "a-b c"],
)
def test_keys_begin_with_the_chapter(key: str) -> None:
    message = "key must be lower-case words joined by hyphens, the chapter's name first"
    with pytest.raises(ValueError, match=rf"^report\.record: {message}"):
        report.record(key, 1)
    with pytest.raises(ValueError, match=rf"^report\.place: {message}"):
        report.place(key, report.figure()[0])


# Figures --------------------------------------------------------------------


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_fixed_roles_and_show_on_white() -> None:
    for role in ("source", "target", "scratch", "probe", "fine-tuned", "joint",
                 "baseline", "highlight"):  # fmt: skip
        assert role in report.COLOURS
    for role, colour in report.COLOURS.items():
        assert 1.05 / (luminance(colour) + 0.05) > 2.2, role
    with pytest.raises(TypeError):
        report.COLOURS["source"] = "#000000"  # type: ignore[index]


def test_roles_of_one_figure_differ_in_colour_marker_and_dash() -> None:
    methods, others = list(report._LOOKS)[:8], list(report._LOOKS)[8:]
    for group in (methods, others):
        for part in zip(*(report._LOOKS[role] for role in group), strict=True):
            assert len({str(item) for item in part}) == len(group)


def test_figures_leave_matplotlibs_settings_alone() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    fig, axes = report.figure(columns=2, rows=2, height=4)
    report.curve(axes[0, 0], [1, 2], np.eye(2), role="source", label="a")
    report.dots(axes[1, 1], [1, 2], np.eye(2), role="source")
    report.place("chapter-fig-a", fig)
    assert dict(mpl.rcParams) == before
    assert axes.shape == (2, 2)
    assert fig.get_size_inches().tolist() == [6.0, 4.0]
    assert not mpl.pyplot.get_fignums()


def test_one_panel_is_one_axes() -> None:
    fig, ax = report.figure()
    assert type(ax).__name__ == "Axes"
    assert fig.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    assert ax.xaxis.label.get_fontname() == "DejaVu Sans"


def test_curve_shows_mean_interval_and_seeds() -> None:
    fig, ax = report.figure()
    values = np.random.default_rng(0).normal(size=(5, 3))
    report.curve(ax, [1, 2, 4], values, role="fine-tuned", label="fine-tuned")
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_ydata(), values.mean(axis=0))
    assert line.get_color() == report.COLOURS["fine-tuned"]
    band, points = ax.collections
    corners = band.get_paths()[0].vertices
    for x, column in zip((1, 2, 4), values.T, strict=True):
        interval = evidence.mean_interval(column)
        at = corners[corners[:, 0] == x, 1]
        assert at.min() == pytest.approx(interval.low)
        assert at.max() == pytest.approx(interval.high)
    assert len(points.get_offsets()) == 15
    assert ax.get_legend_handles_labels()[1] == ["fine-tuned"]


@pytest.mark.parametrize("values", [np.arange(3), np.arange(3)[None]])
def test_curve_of_one_seed_has_no_band(values: np.ndarray) -> None:
    fig, ax = report.figure()
    report.curve(ax, range(3), values, role="baseline")
    assert len(ax.lines) == 1 and not ax.collections


def test_long_curves_have_fewer_markers_and_no_points() -> None:
    fig, ax = report.figure()
    report.curve(ax, range(100), np.zeros((2, 100)), role="first")
    assert len(ax.collections) == 1
    assert ax.lines[0].get_markevery() == 12


def test_dots_show_each_seed_and_the_interval() -> None:
    fig, ax = report.figure()
    values = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    report.dots(ax, [0, 1], values, role="probe", label="probe")
    bars, points = ax.collections
    for segment, column in zip(bars.get_segments(), values.T, strict=True):
        interval = evidence.mean_interval(column)
        np.testing.assert_allclose(segment[:, 1], [interval.low, interval.high])
    offsets = points.get_offsets()
    np.testing.assert_allclose(sorted(offsets[:, 1]), sorted(values.ravel()))
    assert abs(offsets[:, 0] - np.tile([0, 1], 3)).max() < 0.1
    report.dots(ax, [0, 1], [1.0, 2.0], role="source")  # one seed: no error bar


@pytest.mark.parametrize("draw", [report.curve, report.dots])
def test_messages_of_drawing(draw: object) -> None:
    fig, ax = report.figure()
    where = rf"^report\.{draw.__name__}: "  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=where + "role must be one of source, target"):
        draw(ax, [1], [[1]], role="blue")  # type: ignore[operator]
    for values in (np.zeros((2, 4)), np.zeros((1, 2, 3)), np.zeros((0, 3))):
        with pytest.raises(
            ValueError, match=where + r"values must have shape \(seeds, 3"
        ):
            draw(ax, [1, 2, 3], values, role="source")  # type: ignore[operator]


def test_place_wants_fig_in_the_key() -> None:
    fig, _ = report.figure()
    with pytest.raises(ValueError, match='the form "<chapter>-fig-<what>", got'):
        report.place("chapter-curve", fig)


# The check table ------------------------------------------------------------

CLAIMS = """
[digits-gain]
chapter = "part/digits"
min = 0.05
max = 0.9
[digits-floor]
chapter = "part/digits"
min = 1.4611
max = 1.4612
check_digits = 3
profiles = ["embedded", "hub"]
[other-thing]
chapter = "part/other"
min = 0
max = 1
"""
HOLDS = """\
digits-gain   0.05 to 0.9       holds
digits-floor  1.4611 to 1.4612  holds: 1.461
"""


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "book" / "part").mkdir(parents=True)
    (tmp_path / "book" / "claims.toml").write_text(CLAIMS)
    monkeypatch.chdir(tmp_path / "book" / "part")
    return tmp_path


def table(capsys: pytest.CaptureFixture[str], profile: str = "embedded") -> str:
    report.check_table("digits", profile=profile)
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


@pytest.mark.parametrize("gain", [0.05, 0.31234, 0.9])
def test_table_is_the_same_while_claims_hold(
    gain: float, book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.record("digits-floor", 1.46115 + gain / 1e5)
    report.record("digits-gain", gain)
    report.record("other-thing", 7)
    assert table(capsys) == HOLDS


@pytest.mark.parametrize("folder", [".", "book", "book/part"])
def test_claims_are_found_from_below(
    folder: str,
    book: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(book / folder)
    report.record("digits-gain", 0.5)
    report.record("digits-floor", 1.46115)
    assert table(capsys) == HOLDS


def test_calibrated_reads_what_calibration_wrote(book: Path) -> None:
    from tlcourse import claims

    assert report.calibrated("digits", "digits-gain") == []  # before the first one
    runs = {
        0: {"digits-gain": 0.25, "digits-floor": 1},
        1: {"digits-gain": -1e-3},
        2: {"digits-gain": 0.75, "digits-floor": 3},
    }
    machine = {"processor": "one, with a comma", "torch": "2"}
    claims.calibrate(book / "book" / "claims.toml", "part/digits", runs, machine)
    assert report.calibrated("digits", "digits-gain") == [0.25, -1e-3, 0.75]
    assert report.calibrated("digits", "digits-floor") == [1.0, 3.0]
    assert report.calibrated("digits", "digits-new") == []  # a claim added since
    assert report.calibrated("other", "digits-gain") == []


def test_calibrated_leaves_out_what_is_no_number(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (book / "book" / "calibration").mkdir()
    path = book / "book" / "calibration" / "digits.csv"
    path.write_text("# date: x\nseed,digits-gain\n0,nan\n1,inf\n2,\n3,0.5\n4\n")
    assert report.calibrated("digits", "digits-gain") == [0.5]
    path.write_text("")
    assert report.calibrated("digits", "digits-gain") == []
    monkeypatch.setattr(report, "_claims_file", lambda: None)  # as on Colab
    assert report.calibrated("digits", "digits-gain") == []


def test_table_shows_what_is_wrong(
    book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.record("digits-gain", -0.012345678)
    report.record("digits-new", 1)
    assert table(capsys).splitlines() == [
        "digits-gain   0.05 to 0.9       OUTSIDE: -0.0123457",
        "digits-floor  1.4611 to 1.4612  NOT RECORDED in this run",
        "digits-new                      NOT DECLARED in claims.toml",
    ]


def test_table_of_another_profile(
    book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.record("digits-gain", 0.01)
    report.record("digits-floor", 1.46115)
    assert table(capsys, "hub").splitlines() == [
        "digits-gain   0.05 to 0.9       not claimed for hub",
        "digits-floor  1.4611 to 1.4612  holds: 1.461",
    ]


def test_a_cell_that_runs_again_replaces_its_value(
    book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.record("digits-floor", 1.46115)
    report.record("digits-gain", 7)
    report.record("digits-gain", 0.5)
    assert table(capsys) == HOLDS


def test_without_claims_the_values_are_shown(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report, "_claims_file", lambda: None)
    report.record("digits-gain", 0.123456789)
    report.record("digits-seeds", 5)
    assert table(capsys).splitlines() == [
        "No claims.toml here, so nothing to check against. This run gave:",
        "digits-gain  0.123457",
        "digits-seeds  5",
    ]


def test_claims_file_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    assert report._claims_file() is None


# In a notebook --------------------------------------------------------------

CELL = """
import numpy as np, torch
from tlcourse import report
report.record("trial-float", np.float64(0.125))
report.record("trial-int", torch.tensor(7))
fig, axes = report.figure(columns=2, height=2.5)
report.curve(axes[0], [1, 2], np.ones((5, 2)), role="target", label="target")
axes[0].legend()
report.dots(axes[1], [1, 2], np.ones((5, 2)), role="probe")
report.place("trial-fig-both", fig)
import sys
assert "nbformat" not in sys.modules, "seconds of import for each chapter"
"""
# The same values by our function and by the one that it stands for.
PAIRS = """
from myst_nb import glue
for put in (report._glue, glue):
    put("trial-float", 0.125, display=False)
    put("trial-shown", 7, display=True)
"""


def test_glue_in_a_kernel() -> None:
    import nbformat
    from nbclient import NotebookClient

    cells = [nbformat.v4.new_code_cell(code) for code in (CELL, PAIRS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    }
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(
        env=environment
    )
    outputs = notebook.cells[0].outputs
    # Numbers are glued unseen, the figure is shown once; nothing printed or warned.
    assert [output.output_type for output in outputs] == ["display_data"] * 3
    prefix = "application/papermill.record/"
    for output in outputs[:2]:
        assert all(kind.startswith(prefix) for kind in output.data)
    names = [output.metadata["scrapbook"]["name"] for output in outputs]
    assert names == ["trial-float", "trial-int", "trial-fig-both"]
    texts = [output.data[prefix + "text/plain"] for output in outputs[:2]]
    assert texts == ["0.125", "7"]
    png = base64.b64decode(outputs[2].data["image/png"])
    assert struct.unpack(">II", png[16:24]) == (1200, 500)
    assert outputs[2].metadata["image/png"]["width"] == 600
    assert len(pairs := notebook.cells[1].outputs) == 4
    assert pairs[:2] == pairs[2:]


def test_import_is_quiet_and_light() -> None:
    script = (
        "import sys, tlcourse.report\n"
        "heavy = {'torchvision', 'transformers', 'sklearn', 'accelerate', 'sphinx',"
        " 'torch._dynamo', 'myst_nb.ext.glue', 'nbclient'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("\n", "")
