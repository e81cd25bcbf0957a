"""What formulas are compared with: plain loops, a module each, and other libraries."""

from __future__ import annotations

import importlib
from typing import Any


class Library:
    """Another library's module, imported at its first use: collecting need not wait."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest asks every object of a test module
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)
