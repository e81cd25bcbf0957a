"""What the variants of all chapters share: answers that are wrong anywhere.

Those of loss functions stand alone: a test hands them in as a submission.
"""

from __future__ import annotations

BLANK = "not been done yet"


def raises(*_):
    raise KeyError("labels")


def stub(*_):
    raise NotImplementedError("write this function")


def broken(value):
    """Wrong in ways that do not depend on the exercise."""
    return [
        (BLANK, ...),
        (BLANK, stub),
        ("is there a return", lambda *_: None),
        ("must be a function", value),
        ("raised an error", raises),
        ("raised an error", lambda only: value),
        ("raised an error", lambda *_: {1j}),
    ]
