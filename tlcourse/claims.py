"""Claims: what `book/claims.toml` declares against what a notebook recorded.

A claim is one number of the book: a key, a sentence, a range and the basis of the
range. Chapters record values with `tlcourse.report.record`; this module reads them
back from the outputs of an executed notebook. It reads the outputs itself, because
myst-nb's own reader lets the second of two values under one key win.

Nothing here executes a notebook or imports torch, so reading claims costs nothing.
"""

from __future__ import annotations

import csv
import datetime
import io
import math
import os
import re
import statistics
import tomllib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = [
    "Claim",
    "Defect",
    "calibrate",
    "check",
    "read",
    "recorded",
    "replace_file",
    "verdict",
]

FILE = "book/claims.toml"
# A range does not reach beyond what is possible; a difference is no accuracy.
_ACCURACY = re.compile(r"((test|validation|training) )?accuracy( on the \w+)?")


@dataclass(frozen=True)
class Defect:
    """One reason why the book is not good: where it is, and what is wrong there."""

    where: str
    cause: str

    def __str__(self) -> str:
        """Return the line that the command prints."""
        return f"{self.where}: {self.cause}"


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, str_min_length=1
    )


class _Basis(_Table):
    mean: float
    sd: float
    lowest: float
    highest: float
    seeds: int
    date: datetime.date


class Claim(_Table):
    """One well-formed table of `book/claims.toml`; CONTRIBUTING tells of the fields."""

    key: str
    chapter: str
    sentence: str
    metric: str
    min: float
    max: float
    check_digits: int | None = None
    fixed: bool = False
    profiles: list[Literal["embedded", "hub"]] = ["embedded"]
    basis: _Basis | None = None


def read(
    path: Path, chapters: Container[str] | None = None
) -> tuple[dict[str, Claim], list[Defect]]:
    """Read the claims and say what is wrong with the file.

    Parameters
    ----------
    path : Path
        The file `claims.toml`.
    chapters : container of str, optional
        The chapters of the book. When given, a claim must name one of them.

    Returns
    -------
    claims : dict of str to Claim
        The well-formed claims under their keys, in the order of the file.
    defects : list of Defect
        One for each malformed entry or field.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, tomllib.TOMLDecodeError) as error:
        return {}, [Defect(FILE, f"must be a file in TOML: {error}")]
    claims, defects = {}, []
    for key, table in tables.items():
        try:
            fields = {**table, "key": key} if isinstance(table, dict) else table
            claim = Claim.model_validate(fields)
            causes = list(_inconsistent(claim, chapters))
        except ValidationError as error:
            found = error.errors()
            causes = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found]
        if not causes:
            claims[key] = claim
        defects += [Defect(FILE, f"claim {key!r}: {cause}") for cause in causes]
    return claims, defects


def _inconsistent(claim: Claim, chapters: Container[str] | None) -> Iterator[str]:
    stem = claim.chapter.rpartition("/")[2]
    if chapters is not None and claim.chapter not in chapters:
        yield f"its chapter {claim.chapter!r} is not listed in _toc.yml"
    if not claim.key.startswith(f"{stem}-"):
        yield f"its key must start with '{stem}-', its chapter"
    if claim.min > claim.max:
        yield f"its min {claim.min:g} is above its max {claim.max:g}"


def recorded(notebook: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
    """Read the recorded values back from an executed notebook.

    Parameters
    ----------
    notebook : mapping
        The notebook as parsed from its file.

    Returns
    -------
    values : dict of str to float
        Value of each key; figures are left out, for they are no claims.
    causes : list of str
        What is wrong: a key recorded twice, or something that is no number.
    """
    values: dict[str, float] = {}
    causes: list[str] = []
    seen: set[str] = set()
    cells = (c for c in notebook["cells"] if c["cell_type"] == "code")
    outputs = [output for cell in cells for output in cell["outputs"]]
    for output in (o for o in outputs if "scrapbook" in o.get("metadata", {})):
        glued = output["metadata"]["scrapbook"]
        key, prefix = glued["name"], glued.get("mime_prefix", "")
        data = {k.removeprefix(prefix): v for k, v in output["data"].items()}
        if key in seen:
            causes.append(f"{key!r} is recorded twice; every key is recorded once")
        elif not any(kind.startswith("image/") for kind in data):
            text = "".join(data.get("text/plain", ""))
            try:
                values[key] = float(text)
            except ValueError:
                causes.append(f"{key!r} is glued as {text[:40]!r}, which is no number")
        seen.add(key)
    return values, causes


def verdict(claim: Claim, value: float | None, profile: str = "embedded") -> str:
    """Say in one or two words whether `value` fulfils `claim`.

    Examples
    --------
    >>> claim = Claim(key="a-b", chapter="p/a", sentence="It is small.",
    ...               metric="nats", min=0.0, max=1.0)
    >>> verdict(claim, 0.5), verdict(claim, 2), verdict(claim, None)
    ('holds', 'above', 'not recorded')
    """
    if value is None:
        return "not recorded"
    if not math.isfinite(value):
        return "not finite"
    if profile not in claim.profiles:
        return f"no range for {profile}"
    return "below" if value < claim.min else "above" if value > claim.max else "holds"


def check(
    claims: Mapping[str, Claim],
    chapter: str,
    values: Mapping[str, float],
    profile: str = "embedded",
) -> list[Defect]:
    """Compare the values that a chapter recorded with its claims.

    Parameters
    ----------
    claims : mapping of str to Claim
        All claims of the book; those of other chapters are left alone.
    chapter : str
        The chapter, such as ``"foundations/optimizers"``.
    values : mapping of str to float
        What its notebook recorded.
    profile : str, default="embedded"
        The profile it ran under; a range holds for the profiles its claim names.

    Returns
    -------
    list of Defect
        Empty when every claim is recorded and holds and nothing else is recorded.
    """
    own = {k: c for k, c in claims.items() if c.chapter == chapter}
    causes = []
    for key, claim in own.items():
        value = values.get(key, math.nan)
        found = verdict(claim, values.get(key), profile)
        if found == "not recorded":
            causes.append(f"claim {key!r} is declared but not recorded by the notebook")
        elif found in ("not finite", "below", "above"):
            span = f"{claim.min:g} to {claim.max:g} ({claim.metric})"
            causes.append(f"claim {key!r} is {value:.6g}, {found}: its range is {span}")
    for key in values.keys() - own.keys():
        causes.append(f"{key!r} is recorded ({values[key]:.6g}) but not declared")
    return [Defect(chapter, cause) for cause in causes]


def calibrate(
    path: Path,
    chapter: str,
    runs: Mapping[int, Mapping[str, float]],
    machine: Mapping[str, str],
) -> list[Defect]:
    """Write what runs over several seeds found: the basis and range of each claim.

    The range is the lowest and highest seed and a margin of two standard deviations,
    and at least a thousandth of the mean, for rounding differs between machines. It
    is rounded outwards to two digits of the margin. `fixed` claims keep their range.
    Comments and order of the file stay, and a rename keeps it whole.

    Parameters
    ----------
    path : Path
        The file `claims.toml`; `calibration/<stem>.csv` is written beside it.
    chapter : str
        The chapter that ran.
    runs : mapping of int to mapping
        Seed -> the recorded values, at least two seeds.
    machine : mapping of str to str
        Versions and processor, for the header of the CSV file.

    Returns
    -------
    list of Defect
        Keys that are recorded but not declared, or declared but not recorded, and
        `fixed` ranges that a seed left. They do not prevent the writing.
    """
    today, stem = datetime.date.today(), chapter.rpartition("/")[2]
    keys = sorted(set().union(*runs.values()))
    table = io.StringIO()
    for name, text in {"date": today.isoformat(), **machine}.items():
        table.write(f"# {name}: {text}\n")
    rows = [[seed, *(run.get(key) for key in keys)] for seed, run in runs.items()]
    csv.writer(table, lineterminator="\n").writerows([["seed", *keys], *rows])
    replace_file(path.parent / "calibration" / f"{stem}.csv", table.getvalue())
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    own = {k: t for k, t in document.items() if t.get("chapter") == chapter}
    causes = [f"{k!r} is recorded but not declared" for k in keys if k not in own]
    for key, entry in own.items():
        found = [run[key] for run in runs.values() if key in run]
        if len(found) < len(runs):
            causes.append(f"claim {key!r} is not recorded by every seed")
            continue
        basis = _basis(found, today)
        low, high = entry.get("min", math.nan), entry.get("max", math.nan)
        if not entry.get("fixed", False):
            entry["min"], entry["max"] = _range(basis, entry.get("metric", ""))
        elif not low <= min(found) <= max(found) <= high:
            came = f"{min(found):.6g} to {max(found):.6g}"
            fixed = f"is fixed to {low:g} to {high:g}, seeds gave {came}"
            causes.append(f"claim {key!r} {fixed}")
        _set_basis(entry, basis)
    replace_file(path, tomlkit.dumps(document))
    return [Defect(chapter, cause) for cause in causes]


def _set_basis(entry: tomlkit.items.Table, basis: Mapping[str, Any]) -> None:
    """Set the table `basis`; a new one goes before what leads to the next claim."""
    body, rest = entry.value.body, list[Any]()
    if "basis" not in entry:
        while body and body[-1][0] is None:  # blank lines and comments
            rest.append(body.pop()[1])
        entry["basis"] = {}
    entry["basis"].update(basis)
    for item in reversed(rest):
        entry["basis"].add(item)


def _basis(found: list[float], today: datetime.date) -> dict[str, Any]:
    numbers = {"mean": statistics.fmean(found), "sd": statistics.stdev(found)}
    numbers |= {"lowest": min(found), "highest": max(found)}
    rounded = {name: float(f"{number:.6g}") for name, number in numbers.items()}
    return {**rounded, "seeds": len(found), "date": today}


def _range(basis: Mapping[str, Any], metric: str) -> tuple[float, float]:
    margin = max(2 * basis["sd"], 1e-3 * abs(basis["mean"]), 1e-9)
    digits = 1 - math.floor(math.log10(margin))
    step = 10.0**-digits
    # the inner rounding: 49949.999999 is 49950, in which a float cannot be trusted
    low = math.floor(round((basis["lowest"] - margin) / step, 6)) * step
    high = math.ceil(round((basis["highest"] + margin) / step, 6)) * step
    least, most = (0, 1) if _ACCURACY.fullmatch(metric) else (-math.inf, math.inf)
    return max(round(low, digits), least), min(round(high, digits), most)


def replace_file(path: Path, text: str) -> None:
    """Write `text` to `path` so that a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
