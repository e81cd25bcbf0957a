"""How many pictures of insects one core draws in a second.

The best of several rounds is printed for each style: other programs can only slow a
round down. Times are those of the processor.
"""

from __future__ import annotations

import argparse
import time

import torch

from tlcourse import runtime
from tlcourse.data import insects

EACH = 64  # pictures of a species


def rate(style: str, size: int, rounds: int) -> float:
    """Return the pictures a second of the best round."""
    rng = runtime.generator(0, "benchmark")
    some = insects.draw(insects.SPECIES * EACH, generator=rng)
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        insects.render(some, style=style, size=size)
        best = min(best, time.process_time() - started)
    return len(some) / best


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64)
    torch.set_num_threads(1)
    options = parser.parse_args()
    for style in insects.STYLES:
        found = rate(style, options.size, options.rounds)
        print(
            f"{style}, {options.size} x {options.size}: {found:.0f} pictures a second"
        )
