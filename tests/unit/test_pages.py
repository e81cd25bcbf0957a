"""The pages of reference: the source map, the bibliography and the package's page."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from docutils.nodes import make_id
from unit.test_package import FLOORS, modules

from tlcourse.book import Book

INVENTORY = Path(__file__).parents[2] / "book" / "inventory.toml"
ROWS = {"000": 29, "001": 16, "002": 14, "003": 20, "004": 11}  # of the inventory
CODE = re.compile(r"^(`{3,}|:{3,}).*?^\1", re.M | re.S)


def text(page: Path) -> str:
    """Return the text of a page or a chapter."""
    content = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return content
    cells = [c for c in json.loads(content)["cells"] if c["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def pages(root: Path) -> dict[str, str]:
    """Return the name of each page in the contents -> its text."""
    listed = re.findall(
        r"(?:file|root): book/(\S+)", (root / "_toc.yml").read_text("utf-8")
    )
    paths = {n: root / "book" / f"{n}.ipynb" for n in listed}
    return {
        n: text(p if p.is_file() else p.with_suffix(".md")) for n, p in paths.items()
    }


def headings(page: str) -> list[str]:
    """Return the addresses of a page's headings, as Sphinx makes them."""
    found = re.findall(r"^#+ (.+)$", CODE.sub("", page), re.M)
    return [make_id(heading.replace("'", "")) for heading in found]


def problems(inventory: dict[str, Any], book: dict[str, str]) -> list[str]:
    """Return what is wrong with the map from rows to headings."""
    planned, found = inventory["planned"], []
    addresses = {name: headings(page) for name, page in book.items()}
    for chapter in planned:
        if chapter in book:
            found.append(
                f"{chapter} is there and still on the list of planned chapters"
            )
        if not any(chapter in row["where"] for row in inventory["row"].values()):
            found.append(f"{chapter} is planned for no row")
    for key, row in inventory["row"].items():
        if not row["where"]:
            found.append(f"{key} has no place")
        for place in row["where"]:
            page, _, anchor = place.partition("#")
            if place in planned:
                continue
            if page not in book:
                found.append(f"{key}: no page {page}")
            elif not anchor and "/" in page:
                found.append(f"{key}: which heading of {page}?")
            elif anchor and addresses[page].count(anchor) != 1:
                found.append(f"{key}: no heading {place}")
    counted = {d: sum(k.startswith(d) for k in inventory["row"]) for d in ROWS}
    return found + [f"rows of {d}" for d in ROWS if counted[d] != ROWS[d]]


@pytest.fixture(scope="module")
def inventory() -> dict[str, Any]:
    return tomllib.loads(INVENTORY.read_text(encoding="utf-8"))


def test_every_row_of_the_inventory_has_a_place(
    inventory: dict[str, Any], root: Path
) -> None:
    assert problems(inventory, pages(root)) == []


def test_the_source_map_shows_every_document(root: Path) -> None:
    shown = re.findall(r"^```\{source-map\} (\d+)$", pages(root)["source-map"], re.M)
    assert shown == list(ROWS)


def write(chapter: str) -> Callable[[dict[str, Any], dict[str, str]], object]:
    return lambda _, book: book.update({chapter: "# A chapter\n\n## A section\n"})


def place(where: list[str]) -> Callable[[dict[str, Any], dict[str, str]], object]:
    return lambda found, _: found["row"]["000-1.1"].update(where=where)


def unlist(found: dict[str, Any], book: dict[str, str]) -> None:
    del found["planned"]["frontier/choosing-a-source"]
    write("frontier/choosing-a-source")(found, book)


def rename(_: dict[str, Any], book: dict[str, str]) -> None:
    chapter = "foundations/optimizers"
    book[chapter] = book[chapter].replace("## Adam: every", "## Adam: each")


def again(_: dict[str, Any], book: dict[str, str]) -> None:
    book["foundations/optimizers"] += "\n## Adam: every weight in its own unit\n"


PLANTED = {
    "000-1.1 has no place": place([]),
    "000-1.1: no page overview/nowhere": place(["overview/nowhere#x"]),
    "000-1.1: no heading faq#nowhere": place(["faq#nowhere"]),
    "000-1.1: which heading of foundations/optimizers?": place(
        ["foundations/optimizers"]
    ),
    "no heading foundations/optimizers#adam-every-weight-in-its-own-unit": rename,
    ": no heading foundations/optimizers#adam-every": again,
    "frontier/choosing-a-source is there and still on the list": write(
        "frontier/choosing-a-source"
    ),
    "000-7.1: which heading of frontier/choosing-a-source?": unlist,
    "frontier/dreams is planned for no row": lambda found, _: found["planned"].update(
        {"frontier/dreams": "Dreams (not written yet)"}
    ),
    "rows of 004": lambda found, _: found["row"].pop("004-why"),
}


@pytest.mark.parametrize("message", PLANTED)
def test_a_hole_in_the_source_map_is_seen(
    message: str, inventory: dict[str, Any], root: Path
) -> None:
    changed, book = copy.deepcopy(inventory), pages(root)
    PLANTED[message](changed, book)
    assert any(message in problem for problem in problems(changed, book))


def test_headings_are_found_outside_code_and_boxes() -> None:
    page = "# A `b` c\n```python\n# no\n```\n:::{note}\n## nor\n:::\n### It's (d)\n"
    assert headings(page) == ["a-b-c", "its-d"]


def entries(bib: str) -> dict[str, str]:
    """Return the key of each entry of a BibTeX file -> its fields."""
    return dict(re.findall(r"^@\w+\{([^,]+),(.*?)^\}", bib, re.M | re.S))


def uncited(bib: str, texts: Iterable[str]) -> set[str]:
    """Return the keys that no text cites."""
    found = re.findall(r"\{cite:\w+\}`([^`]+)`", "\n".join(texts))
    return set(entries(bib)) - {k.strip() for keys in found for k in keys.split(",")}


def test_every_entry_is_cited_once_declared_and_can_be_found(root: Path) -> None:
    bib = (root / "book" / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([^,]+),", bib, re.M)
    assert len(keys) == len(set(keys)) == len(entries(bib))
    texts = pages(root)
    del texts["bibliography"]  # it lists what the others cite
    assert uncited(bib, texts.values()) == set()
    address = re.compile(r"^\s*(doi|eprint|url|isbn)\s*=", re.M)
    assert [k for k, fields in entries(bib).items() if not address.search(fields)] == []


def test_an_entry_that_nobody_cites_is_seen() -> None:
    bib = "@misc{a,\n  title = {A},\n}\n@misc{b,\n  title = {B},\n}\n@misc{c,\n}\n"
    assert uncited(bib, ["see {cite:p}`a, b`"]) == {"c"}


def described(page: str) -> list[str]:
    return re.findall(r"^\.\. automodule:: tlcourse\.(\S+)$", page, re.M)


def public(root: Path) -> set[str]:
    names = {n for n in modules(root) if not n.startswith("_") and "._" not in n}
    # What a check asks is told by the exercise.
    names = {n for n in names if not n.startswith("checks.")}
    return {n for n in names if getattr(import_module(f"tlcourse.{n}"), "__all__", [])}


def test_the_package_page_has_every_module_from_the_ground_up(root: Path) -> None:
    found = described(pages(root)["api"])
    assert len(found) == len(set(found)) and set(found) == public(root)
    floors = [FLOORS[name.split(".")[0]] for name in found]
    assert floors == sorted(floors)


def test_the_package_page_has_every_public_name(root: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["sphinx"][
        "config"
    ]
    chosen = ("autodoc", "napoleon", "python", "nitpick", "default_role", "add_module")
    config = {k: v for k, v in settings.items() if k.startswith(chosen)}
    config["extensions"] = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
    lines = [f"{key} = {value!r}" for key, value in config.items()]
    (tmp_path / "conf.py").write_text("\n".join([*lines, "root_doc = 'api'"]))
    (tmp_path / "api.md").write_text(pages(root)["api"], encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going"]
    done = subprocess.run(
        [*command, str(tmp_path), str(tmp_path / "html")],
        env=Book(root).environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "html" / "api.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'id="tlcourse\.([\w.]+)"', html))
    for name in public(root):
        for key in import_module(f"tlcourse.{name}").__all__:
            assert f"{name}.{key}" in shown
    assert " at 0x" not in html and str(root) not in html  # of one machine
    assert len(html) < 1_500_000


def test_a_module_that_the_package_page_lacks_is_seen(root: Path) -> None:
    page = pages(root)["api"].replace(".. automodule:: tlcourse.adapt\n", "")
    assert public(root) - set(described(page)) == {"adapt"}
