"""Learning-rate schedules as closed formulas, checked against the run they act in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from tlcourse._checks import check_choice, check_range, require

__all__ = ["Schedule", "schedule"]

# What each schedule must be told; the last two may be told a warm-up.
_NEEDED = {
    "step": {"every", "gamma"},
    "milestones": {"milestones", "gamma"},
    "exponential": {"gamma"},
    "cosine": set(),
    "linear": set(),
}

# Below this mean factor, the second half of a run would move no weight visibly.
_NOTHING = 1e-3


@dataclass(frozen=True)
class Schedule:
    """A factor on every learning rate of an optimizer, as `schedule` describes it.

    The factor is a function of the units done, so that there is no counter that a
    call too many could advance.
    """

    optimizer: torch.optim.Optimizer = field(repr=False)
    name: str
    unit: str
    options: dict[str, Any]

    def factor(self, done: int, length: int) -> float:
        """Return the factor after `done` of `length` units."""
        gamma, warmup = self.options.get("gamma", 1.0), self.options.get("warmup", 0)
        if self.name == "step":
            return float(gamma ** (done // self.options["every"]))
        if self.name == "milestones":
            return float(gamma ** sum(m <= done for m in self.options["milestones"]))
        if self.name == "exponential":
            return float(gamma**done)
        if done < warmup:
            return float((done + 1) / (warmup + 1))
        part = (done - warmup) / (length - warmup)
        if self.name == "linear":
            return float(1 - part)
        return float(0.5 * (1 + math.cos(math.pi * part)))

    def plan(self, steps: int, epochs: int) -> list[float]:
        """Return the factor of every step of a run, once it is sure to make sense.

        Parameters
        ----------
        steps, epochs : int
            Steps an epoch and epochs of the run.

        Returns
        -------
        list of float
            One factor a step.

        Raises
        ------
        ValueError
            If the schedule or one of its milestones would never act in the run, or
            if it would shrink the rate to nothing.
        """
        where = "training.fit"
        length = epochs * steps if self.unit == "step" else epochs
        run = f"inside the run of {epochs} epochs of {steps} steps"
        times = [*self.options.get("milestones", ()), self.options.get("warmup", 1)]
        factors = [self.factor(done, length) for done in range(length)]
        require(
            all(0 < t < length for t in times) and len(set(factors)) > 1,
            where,
            f"the schedule must act {run}, between {self.unit} 0 and {length}",
            self,
            f"is {self.unit} the right unit?",
        )
        late = factors[length // 2 :]
        require(
            sum(late) / len(late) >= _NOTHING,
            where,
            f"the schedule must leave a rate to learn with {run}",
            f"{self}, on average {sum(late) / len(late):.1e} of it in the second half",
            "does it count steps where epochs are meant?",
        )
        if self.unit == "step":
            return factors
        return [factor for factor in factors for _ in range(steps)]


def schedule(
    optimizer: torch.optim.Optimizer,
    name: str,
    *,
    unit: Literal["step", "epoch"],
    gamma: float | None = None,
    every: int | None = None,
    milestones: Sequence[int] | None = None,
    warmup: int | None = None,
) -> Schedule:
    r"""Name a learning-rate schedule and the unit it counts.

    With t the units done, T those of the run and w the warm-up, the rates of all
    groups are multiplied by

    ============= ============================================= ==================
    name          factor                                        options
    ============= ============================================= ==================
    "step"        ``gamma ** (t // every)``                     every, gamma
    "milestones"  ``gamma ** (milestones passed)``              milestones, gamma
    "exponential" ``gamma ** t``                                gamma
    "cosine"      ``(1 + cos(pi (t - w) / (T - w))) / 2``       warmup (optional)
    "linear"      ``1 - (t - w) / (T - w)``                     warmup (optional)
    ============= ============================================= ==================

    and by ``(t + 1) / (w + 1)`` during a warm-up.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        The optimizer of the run.
    name : str
        A name of the table.
    unit : {"step", "epoch"}
        What `every`, `milestones`, `warmup` and t count. There is no default: a
        schedule meant for epochs that counts batches is the commonest way to lose
        the learning rate.
    gamma : float, optional
        Factor of each decrease, in (0, 1).
    every : int, optional
        Units between two decreases.
    milestones : sequence of int, optional
        Units after which the rate decreases, rising.
    warmup : int, optional
        Units during which the rate rises to its full value.

    Returns
    -------
    Schedule
        For ``fit(..., schedule=...)``, which refuses it if it would never act in
        that run or would leave less than a thousandth of the rate, on average, to
        the second half. After the run the rates are those from before.

    Raises
    ------
    ValueError
        If a name is unknown, an option missing, superfluous or out of range.

    Notes
    -----
    Source of the cosine: Loshchilov & Hutter 2017, arXiv:1608.03983.

    Examples
    --------
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> schedule(optimizer, "step", unit="epoch", every=2, gamma=0.5).plan(1, 5)
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    where = "training.schedule"
    check_choice(where, "name", name, _NEEDED)
    check_choice(where, "unit", unit, ("step", "epoch"))
    given: dict[str, Any] = {
        "gamma": gamma,
        "every": every,
        "milestones": None if milestones is None else list(milestones),
        "warmup": warmup,
    }
    options = {key: value for key, value in given.items() if value is not None}
    needed = _NEEDED[name]
    require(
        needed <= set(options) <= (needed or {"warmup"}),
        where,
        f"{name!r} takes {' and '.join(sorted(needed)) or 'at most warmup'}",
        ", ".join(options) or "no option",
        "the table in its documentation shows each schedule's options",
    )
    for key, value in options.items():
        if key == "gamma":
            check_range(where, key, value, 0, 1, low_open=True, high_open=True)
        elif key != "milestones":
            check_range(where, key, value, 1)
        else:
            require(
                value == sorted(set(value)) and len(value) > 0,
                where,
                "milestones must be rising numbers",
                value,
                f"they count {unit}s from the start of the run",
            )
    return Schedule(optimizer, name, unit, options)
