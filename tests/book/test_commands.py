"""run and calibrate with real kernels."""

from __future__ import annotations

import csv
import json
from typing import Any

from book.smallbook import SmallBook
from typer.testing import CliRunner

from tlcourse import claims, cli, runner


def call(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, arguments)


def test_run_checks_another_seed_and_reports_another_experiment(
    small: SmallBook,
) -> None:
    root = ["--root", str(small.root)]
    seed = call("run", "beta", "-p", "SEED", "90", *root)
    assert seed.exit_code == 0, seed.output
    assert "0.59" in seed.output and "holds" in seed.output
    outside = call("run", "beta", "-p", "SEED", "300", *root)
    assert outside.exit_code == 1
    assert "defect part/beta: claim 'beta-value' is 0.8, above" in outside.output
    small.replace(small.beta, '\\"embedded\\"', '\\"embedded\\"\\nGAIN = 0.0')
    small.replace(small.beta, "SEED / 1000", "GAIN")
    other = call("run", "beta", "-p", "GAIN", "0.4", *root)
    assert other.exit_code == 0, other.output
    assert "0.9" in other.output and "above" in other.output


def test_run_stores_the_output_of_the_check_cell_alone(small: SmallBook) -> None:
    small.insert("print('not kept')")
    small.cells(lambda cells: cells[-1].update(execution_count=None, outputs=[]))
    before = small.beta.read_text()
    small.replace(small.claims, "max = 0.6", "max = 0.4")
    failed = call("run", "beta", "--store", "--root", str(small.root))
    assert failed.exit_code == 1 and "above: its range is" in failed.output
    assert small.beta.read_text() == before
    small.replace(small.claims, "max = 0.4", "max = 0.7")
    stored = call("run", "beta", "--store", "--root", str(small.root))
    assert stored.exit_code == 0, stored.output
    cells = json.loads(small.beta.read_text())["cells"]
    kept = [c["outputs"] for c in cells if c["cell_type"] == "code"]
    assert not any(kept[:-1])
    assert "0.4 to 0.7" in "".join(kept[-1][0]["text"])
    assert all(defect.where == "part/alpha" for defect in small.build().defects)


def test_calibrate_measures_ranges_and_then_the_book_holds(small: SmallBook) -> None:
    small.replace(small.claims, "min = 0.4", "min = 0.8")  # calibrate may mend this
    small.replace(small.claims, "max = 0.6", "max = 0.9")
    report = runner.calibrate(small.book(), ["beta"], 3)
    assert report.defects == []
    assert report.values == {"beta-value": 0.501}
    beta = claims.read(small.claims)[0]["beta-value"]
    assert (beta.min, beta.max) == (0.498, 0.504)
    assert beta.basis and beta.basis.seeds == 3
    lines = (small.claims.parent / "calibration" / "beta.csv").read_text().splitlines()
    for name in ("date", "python", "torch", "numpy", "scikit-learn", "processor"):
        assert any(line.startswith(f"# {name}: ") for line in lines)
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [row["beta-value"] for row in rows] == ["0.5", "0.501", "0.502"]
    alpha = claims.read(small.claims)[0]["alpha-value"]
    assert alpha.basis is None and alpha.min == 0.8


def test_calibrate_writes_nothing_when_a_seed_fails(small: SmallBook) -> None:
    small.alone("if SEED == 1:", "    raise OSError('no luck')")
    before = small.claims.read_text()
    report = runner.calibrate(small.book(), ["beta"], 2)
    told = [str(defect) for defect in report.defects]
    assert len(told) == 2
    assert told[0].startswith("part/beta SEED=1: code cell 2 (`if SEED == 1:`) raised")
    assert told[1] == "part/beta: nothing is written, because a seed failed"
    assert small.claims.read_text() == before
    assert not (small.claims.parent / "calibration").exists()
