"""What the checks share: ask, compare, find the likely mistake, answer with a result.

A check asks questions through `Ask`; the first wrong answer ends it. The likely
mistake is found by computing what well-known mistakes would have returned for the same
question. So such a hint is no guess: the numbers are equal.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tlcourse.checks._calls import call, decode

__all__ = ["Ask", "Result", "Wrong", "digest", "exercise", "open_question"]

Arguments: TypeAlias = Sequence[Any]
Reference: TypeAlias = Callable[..., Any]

BLANK = "this exercise has not been done yet: replace the stub by your own"
_NOT_FINITE = "nan or inf: which step overflows, or takes the logarithm of 0?"
_GENERAL: Mapping[str, Callable[[Any], Any]] = {
    "the sign is wrong: yours is minus what was expected": lambda x: -x,
    "yours is twice what was expected": lambda x: 2 * x,
    "yours is half of what was expected": lambda x: x / 2,
}


@dataclass(frozen=True)
class Result:
    """What a check found; a notebook shows it as text.

    Attributes
    ----------
    exercise : str
        Name of the exercise.
    passed : bool
        Whether every question was answered rightly.
    points, out_of : int
        What it earns: all or nothing.
    asked, expected, came, hint : str
        Of the first wrong answer; empty when the exercise is passed.
    """

    exercise: str
    passed: bool
    points: int
    out_of: int
    asked: str = ""
    expected: str = ""
    came: str = ""
    hint: str = ""

    def __repr__(self) -> str:
        """Return a few lines, for a notebook and for a feedback file."""
        state = "passed" if self.passed else "not yet"
        lines = [f"{self.exercise}: {state} ({self.points} of {self.out_of} points)"]
        for name in ("asked", "expected", "came", "hint"):
            if getattr(self, name):
                lines.append(f"  {name + ':':10}{getattr(self, name)}")
        return "\n".join(lines)


class Wrong(Exception):
    """An answer is wrong: what was asked, expected, what came, and a hint."""


class Ask:
    """Asks one answer, a function or a value, and raises `Wrong`.

    Parameters
    ----------
    answer : object
        What the learner made. A function in another process has a method `call_there`.
    """

    def __init__(self, answer: object) -> None:
        self.answer = answer
        if answer is ... or answer is None:
            raise Wrong("", "", "nothing", BLANK)

    def call(self, asked: str, arguments: Arguments) -> Any:
        """Return what the function returns, or raise what is wrong with it."""
        there = getattr(self.answer, "call_there", None)
        if there is None and not callable(self.answer):
            came = type(self.answer).__name__
            hint = "the answer must be a function: give its name, without brackets"
            raise Wrong(asked, "a function", came, hint)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = there(arguments) if there else call(self.answer, arguments)  # type: ignore[arg-type]
        if "error" in found:
            came = f"{found['error']}: {found['said']}"
            hint = "your function raised an error; call it with such input yourself"
            stub = found["error"] == "NotImplementedError"
            raise Wrong(asked, "an answer", came, BLANK if stub else hint)
        if found["changed"]:
            hint = "your function changes what it is given: work on a copy of it"
            raise Wrong(asked, "arguments left alone", "a changed argument", hint)
        value = decode(found["value"])
        if value is None or value is ...:
            hint = BLANK if value is ... else "is there a return at the end?"
            raise Wrong(asked, "an answer", "nothing", hint)
        return value

    def each(
        self,
        inputs: Iterable[tuple[str, Arguments]],
        reference: Reference,
        mistakes: Mapping[str, Reference],
        symptoms: Mapping[str, Callable[..., bool]] | None = None,
        *,
        tolerance: float = 1e-5,
    ) -> None:
        """Ask one question for each input, and compare with the reference.

        Parameters
        ----------
        inputs : iterable of (str, arguments)
            What is special about a question, and what the function is called with.
        reference : callable
            Gives the right answer to the same arguments.
        mistakes : mapping of str to callable
            Hint -> a function that makes this mistake.
        symptoms : mapping of str to callable, optional
            Hint -> whether a wrong answer, followed by the arguments, shows this.
        tolerance : float, default=1e-5
            Largest difference, beside 1 or the largest expected number.
        """
        questions = list(inputs)
        for asked, arguments in questions:
            asked = f"{asked}: {', '.join(map(show, arguments))}"
            expected, came = reference(*arguments), self.call(asked, arguments)
            if same(came, expected, tolerance):
                continue
            tried = [(arguments, came), *self._again(questions[:4])]
            hint = _mistake(tried, reference, mistakes, tolerance)
            for sign, shows in (symptoms or {}).items():
                with contextlib.suppress(Exception):  # it may be of any form
                    hint = hint or sign * shows(came, *arguments)
            if not hint:
                hint = _general(came, expected, [c for _, c in tried[1:]], tolerance)
            raise Wrong(asked, show(expected), show(came), hint)

    def _again(
        self, questions: Sequence[tuple[str, Arguments]]
    ) -> Iterator[tuple[Arguments, Any]]:
        for asked, arguments in questions:
            with contextlib.suppress(Wrong):
                yield arguments, self.call(asked, arguments)

    def numbers(
        self,
        expected: Mapping[str, float],
        mistakes: Mapping[str, Mapping[str, float]],
        *,
        tolerance: float = 2e-3,
    ) -> None:
        """Compare a dict of numbers; the right ones are never shown.

        Parameters
        ----------
        expected : mapping of str to float
            The right numbers.
        mistakes : mapping of str to mapping of str to float
            Key -> hint -> the number that this mistake gives.
        tolerance : float, default=2e-3
            Largest difference, beside 1 or the expected number.
        """
        given = self._entries(expected)
        for key, right in expected.items():
            asked, came = f"the number {key!r}", given[key]
            if np.shape(came) or isinstance(came, str) or _array(came) is None:
                raise Wrong(asked, "one number", show(came), "write a number, not text")
            if not same(came, right, tolerance):
                found = {hint: _constant(x) for hint, x in mistakes[key].items()}
                hint = _mistake([((), came)], _constant(right), found, tolerance)
                hint = hint or "compute it again from the formula of the chapter"
                raise Wrong(asked, "another number", show(came), hint)

    def choices(
        self, right: Mapping[str, str], options: str, hints: Mapping[str, str]
    ) -> None:
        """Compare a dict of choices with hashes of the right ones.

        Parameters
        ----------
        right : mapping of str to str
            Key -> `digest` of key and right choice.
        options : str
            The letters that may be chosen.
        hints : mapping of str to str
            `digest` of key and a wrong choice -> hint.
        """
        given = self._entries(right)
        for key, hashed in right.items():
            asked, came = f"the choice for {key!r}", given[key]
            choice = came.strip().upper() if isinstance(came, str) else ""
            if len(choice) != 1 or choice not in options:
                must = f"one of the letters {', '.join(options)}"
                raise Wrong(asked, must, show(came), "choose one letter for each")
            found = digest(key, choice)
            if found != hashed:
                hint = hints.get(found, "read the table of the chapter again")
                raise Wrong(asked, "another letter", choice, hint)

    def _entries(self, keys: Iterable[str]) -> dict[Any, Any]:
        names = ", ".join(map(repr, keys))
        if not isinstance(self.answer, dict) or set(self.answer) != set(keys):
            came = (
                sorted(map(str, self.answer)) if isinstance(self.answer, dict) else ""
            )
            must = f"a dict with the keys {names}"
            raise Wrong(
                "", must, str(came or show(self.answer)), "keep the dict's keys"
            )
        if any(value is ... or value is None for value in self.answer.values()):
            raise Wrong("", f"a value for each of {names}", "a blank", BLANK)
        return self.answer


def exercise(points: int) -> Callable[[Callable[[Ask], None]], Callable[..., Result]]:
    """Make a check, which takes an `Ask`, into one that takes an answer."""

    def decorate(check: Callable[[Ask], None]) -> Callable[..., Result]:
        name = check.__name__

        @functools.wraps(check)
        def judge(answer: object) -> Result:
            try:
                check(Ask(answer))
            except Wrong as wrong:
                return Result(name, False, 0, points, *map(str, wrong.args))
            except Exception as error:  # an answer may have any form
                said = f"{type(error).__name__}: {error}"[:300]
                hint = "the answer has a form that this check cannot read"
                return Result(name, False, 0, points, "", "", said, hint)
            return Result(name, True, points, points)

        judge.points = points  # type: ignore[attr-defined]
        del judge.__wrapped__  # its signature is another
        return judge

    return decorate


def digest(key: str, choice: str) -> str:
    """Return what a check keeps in place of a right choice."""
    return hashlib.sha256(f"tlcourse {key} {choice}".encode()).hexdigest()[:12]


def same(came: Any, expected: Any, tolerance: float) -> bool:
    """Return whether two answers have one shape and, nearly, the same numbers."""
    if isinstance(expected, dict):
        fits = isinstance(came, dict) and came.keys() == expected.keys()
        return fits and all(same(came[k], expected[k], tolerance) for k in expected)
    right, found = _array(expected), _array(came)
    if right is None or found is None or right.shape != found.shape:
        return False
    scale = max(1.0, float(np.abs(right[np.isfinite(right)]).max(initial=0)))
    return np.allclose(found, right, rtol=0, atol=tolerance * scale, equal_nan=True)


def show(value: Any) -> str:
    """Return a short text for a value: numbers, or type and shape where it is large."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {show(v)}" for k, v in value.items()) + "}"
    array = _array(value)
    if array is None or isinstance(value, str):
        return repr(value)[:100]
    if array.size > 8:
        kind = str(getattr(value, "dtype", type(value).__name__)).removeprefix("torch.")
        return f"{kind} of shape {array.shape}"
    text = np.array2string(array, precision=6, separator=", ", floatmode="maxprec")
    return text.replace("\n", "").replace(".]", "]").replace(".,", ",").rstrip(".")


def _array(value: Any) -> npt.NDArray[np.float64] | None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().to(torch.float64).numpy()
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None


def _constant(value: float) -> Reference:
    return lambda: value


def _mistake(
    tried: Sequence[tuple[Arguments, Any]],
    reference: Reference,
    mistakes: Mapping[str, Reference],
    tolerance: float,
) -> str:
    """Return the mistake that explains the first answer and most of the others."""
    best, most = "", 0
    for hint, wrong in mistakes.items():
        with np.errstate(all="ignore"):
            values = [wrong(*arguments) for arguments, _ in tried]
        fits = [same(t[1], v, tolerance) for t, v in zip(tried, values, strict=True)]
        right = same(reference(*tried[0][0]), values[0], tolerance)
        if fits[0] and not right and sum(fits) > most:
            best, most = hint, sum(fits)
    return best


def _general(came: Any, expected: Any, others: list[Any], tolerance: float) -> str:
    """Return what can be said of a wrong answer without knowing the exercise."""
    if isinstance(expected, dict):
        if not isinstance(came, dict) or came.keys() != expected.keys():
            return f"return a dict with the keys {', '.join(map(repr, expected))}"
        wrong = next(k for k in expected if not same(came[k], expected[k], tolerance))
        others = [o[wrong] for o in others if isinstance(o, dict) and wrong in o]
        said = _general(came[wrong], expected[wrong], others, tolerance)
        return f"look at {wrong!r}: {said}"
    right, found = _array(expected), _array(came)
    assert right is not None
    if found is None or isinstance(came, str | dict):
        return f"return numbers, not a value of type {type(came).__name__}"
    if found.size and not np.isfinite(found).any():
        return _NOT_FINITE
    if len(others) > 1 and all(same(o, came, 0.0) for o in others):
        return "the answer is the same for every question: is the input used?"
    if right.shape != found.shape:
        return f"the answer must have shape {right.shape}, yours has {found.shape}"
    if not np.isfinite(found).all():
        return _NOT_FINITE
    for hint, wrong_by in _GENERAL.items():
        if same(found, wrong_by(right), tolerance):
            return hint
    return "work this question out by hand and compare each step"


def open_question(points: int) -> Callable[[object], str]:
    """Return what stands in place of a check where a person reads the answer."""

    def judge(answer: object = None) -> str:
        """Say that a person grades this question."""
        return f"a person grades this question ({points} points)"

    judge.points = points  # type: ignore[attr-defined]
    return judge
