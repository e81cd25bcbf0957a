"""What `training.fit` costs beside the bare loop that it replaces.

Both train the same small network on the same 100 batches, in one process and in turns
(bare, fit, fit, bare), so that a slow moment of the machine falls on both; the median
of the paired ratios is steady where single times are not. Times are those of the
processor: waiting for another program is nobody's cost.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch.nn import functional

from tlcourse import models, runtime, training

STEPS, BATCH = 100, 32


def seconds_bare() -> float:
    """Time a loop with nothing in it but training."""
    model, optimizer, loader = setup()
    started = time.process_time()
    model.train()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    return time.process_time() - started


def seconds_fit() -> float:
    """Time `fit` on the same work."""
    model, optimizer, loader = setup()
    started = time.process_time()
    training.fit(model, loader, optimizer=optimizer, epochs=1)
    return time.process_time() - started


def setup() -> tuple[models.BodyHead, torch.optim.Optimizer, training.Loader]:
    """Build the same model, optimizer and batches every time."""
    generator = runtime.generator(0, "benchmark")
    model = models.small_cnn(10, generator=generator)
    images = torch.rand(STEPS * BATCH, 1, 16, 16, generator=generator)
    labels = torch.randint(10, (len(images),), generator=generator)
    loader = training.batches(
        images, labels, batch_size=BATCH, shuffle=True, generator=generator
    )
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), loader


def measure(pairs: int) -> tuple[float, float]:
    """Return the median ratio of `fit` to the bare loop, and its steps a second."""
    seconds_bare(), seconds_fit()  # the first steps of a process load libraries
    ratios, rates = [], []
    for _ in range(pairs):
        bare, fit = seconds_bare(), seconds_fit()
        fit, bare = fit + seconds_fit(), bare + seconds_bare()
        ratios.append(fit / bare)
        rates.append(2 * STEPS / fit)
    return statistics.median(ratios), statistics.median(rates)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=25)
    torch.set_num_threads(1)
    pairs = parser.parse_args().pairs
    ratio, rate = measure(pairs)
    print(f"fit / bare loop, {STEPS} steps of {BATCH}: {ratio:.3f} (median of {pairs})")
    print(f"fit: {rate:.0f} steps a second on one thread")
