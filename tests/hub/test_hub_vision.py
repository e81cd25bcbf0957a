"""The hub profile's photographs and weights: run with ``pytest -m hub``."""

from __future__ import annotations

import pytest
import torch

from tlcourse import pretrained, training
from tlcourse.data import hub, insects

pytestmark = pytest.mark.hub


def test_hymenoptera_is_whole() -> None:
    data = insects.load_target("hub")
    assert (len(data.train), len(data.validation), len(data.test)) == (204, 40, 153)
    whole = torch.bincount(data.train.labels) + torch.bincount(data.validation.labels)
    assert whole.tolist() == [123, 121]
    assert torch.bincount(data.test.labels).tolist() == [70, 83]


def test_cifar10_is_whole() -> None:
    data = hub.load_cifar10()
    assert (len(data.train), len(data.validation), len(data.test)) == (
        45000,
        5000,
        10000,
    )
    assert data.classes[:3] == ("airplane", "automobile", "bird")
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10


@pytest.mark.parametrize("name", pretrained.WEIGHTS)
def test_imagenet_weights_know_ants_and_bees(name: str) -> None:
    data = insects.load_target("hub")
    loader = training.batches(*data.test.tensors)
    answers = training.evaluate(pretrained.imagenet(name), loader).logits
    # Class 310 of ImageNet is the ant, 309 the bee.
    right = (answers[:, 309] > answers[:, 310]) == data.test.labels.bool()
    assert right.float().mean() > 0.9
