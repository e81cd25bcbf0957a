"""The hub profile's digits, from the network: run with ``pytest -m hub``."""

from __future__ import annotations

import pytest
import torch

from tlcourse.data import digits

pytestmark = pytest.mark.hub


def test_mnist_is_whole() -> None:
    data = digits.load_source("hub")
    assert (len(data.train), len(data.validation), len(data.test)) == (
        55000,
        5000,
        10000,
    )
    # Digits of each class in MNIST's two parts, as its page has always listed them.
    whole = torch.bincount(data.train.labels) + torch.bincount(data.validation.labels)
    assert whole.tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_usps_is_whole() -> None:
    data = digits.load_target("hub")
    assert (len(data.train), len(data.validation), len(data.test)) == (6791, 500, 2007)
    whole = torch.bincount(data.train.labels) + torch.bincount(data.validation.labels)
    assert whole.tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert data.test.images.shape == (2007, 1, 16, 16)
