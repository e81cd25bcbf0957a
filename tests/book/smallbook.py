"""A small book with two tiny chapters, into which the tests plant defects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tlcourse import runner
from tlcourse.book import Book

# What the real book asks of its theme must not undo what a build asks of it.
REAL = yaml.safe_load((Path(__file__).parents[2] / "_config.yml").read_text())["sphinx"]
CONFIG = {
    "title": "A small book",
    "only_build_toc_files": True,
    "exclude_patterns": [".*", "**/.*", "_build", "tlcourse"],
    "execute": {"execute_notebooks": "force", "timeout": 180},
    "sphinx": {
        "recursive_update": REAL["recursive_update"],
        "extra_extensions": ["tlcourse.sphinx_ext"],
        "config": {
            "nb_execution_raise_on_error": True,
            "html_theme_options": REAL["config"]["html_theme_options"],
        },
    },
}
PAGES = ["part/alpha", "part/beta", "reproducibility", "run-times", "source-map"]
CLAIM = """
[{0}-value]  # a comment that must stay
chapter = "part/{0}"
sentence = "The value of {0} is a half."
metric = "accuracy"
min = 0.4
max = 0.6
"""
TERMS = """# Source map

```{source-map} 000
```

```{glossary}
value
  A number.
```
"""
INVENTORY = """
[planned]
"part/gamma" = "Gamma (not written yet)"

[row."000-1"]
section = "1 A"
names = "`alpha` & <more>"
where = ["part/alpha#the-value", "run-times", "part/gamma"]
"""
OPENING = """# {1}

## The value

It is {{glue:text}}`{0}-value:.2f`.

A **value** (值) is a number; so is another *value* (值), and **no** such.
"""
FIGURE = """```{{glue:figure}} {0}-fig-line
:name: {0}-line
:alt: A rising line.

It rises.
```"""


def code(*lines: str, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": f"cell-{abs(hash(lines))}",
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": "\n".join(lines),
    }


def text(source: str) -> dict[str, Any]:
    return {
        "cell_type": "markdown",
        "id": f"text-{abs(hash(source))}",
        "metadata": {},
        "source": source,
    }


def printed(lines: str) -> dict[str, Any]:
    return {"name": "stdout", "output_type": "stream", "text": lines}


def chapter(name: str) -> dict[str, Any]:
    cells = [
        text(OPENING.format(name, name.title())),
        code('PROFILE = "embedded"', "SEED = 0", tags=("parameters",)),
        code("from tlcourse import report", "value = 0.5 + SEED / 1000"),
        code(f'report.record("{name}-value", value)', tags=("remove-cell",)),
        code(
            "fig, ax = report.figure()",
            "ax.plot([0, 1])",
            f'report.place("{name}-fig-line", fig)',
            tags=("remove-cell",),
        ),
        text(FIGURE.format(name)),
        code(
            f'report.check_table("{name}")', tags=("keep_output", "nbval-check-output")
        ),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


class SmallBook:
    """The folder of a small book, with what a test needs to change it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.claims = root / "book" / "claims.toml"
        self.beta = root / "book" / "part" / "beta.ipynb"
        self.page = root / "book" / "intro.md"
        self.inventory = root / "book" / "inventory.toml"

    def write(self, path: Path, notebook: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(notebook, indent=1))

    def cells(self, change: Callable[[list[dict[str, Any]]], object]) -> None:
        """Change the cells of the chapter beta."""
        notebook = json.loads(self.beta.read_text())
        change(notebook["cells"])
        self.write(self.beta, notebook)

    def insert(self, *lines: str) -> None:
        """Plant a cell before the check cell of beta."""
        self.cells(lambda cells: cells.insert(-1, code(*lines)))

    def alone(self, *lines: str) -> None:
        """Let beta consist of its parameters, a planted cell and a check cell."""
        check = code("print('checked')", tags=("keep_output", "nbval-check-output"))
        check.update(execution_count=3, outputs=[printed("checked\n")])
        self.cells(
            lambda cells: cells.__setitem__(slice(2, None), [code(*lines), check])
        )

    def replace(self, path: Path, old: str, new: str) -> None:
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))

    def book(self, **settings: Any) -> Book:
        return Book(self.root, **settings)

    def build(self, *, site: bool = False, **settings: Any) -> runner.Report:
        return runner.build(self.book(**settings), site=site)

    def environment(self) -> dict[str, str]:
        """Return an environment in which other processes find the package."""
        return self.book().environment()

    def store_check_outputs(self) -> None:
        """Keep what the check cells print, as an author does."""
        for name in ("alpha", "beta"):
            report = runner.run(self.book(), name, {}, store=True)
            assert report.defects == []
