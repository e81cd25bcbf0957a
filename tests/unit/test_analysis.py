"""Grad-CAM against the formula written out, and the share of heat on a mask."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tlcourse import analysis, models, transfer


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    )


def by_hand(model: nn.Sequential, depth: int, images: Tensor, labels: Tensor) -> Tensor:
    """Return the formula of the docstring, one picture at a time."""
    heats = []
    for image, label in zip(images, labels.tolist(), strict=True):
        maps = model[: depth + 1](image[None]).detach().clone().requires_grad_()
        # A copy: the ReLU after a layer would overwrite the leaf in place.
        logit = model[depth + 1 :](maps.clone())[0, label]
        (slope,) = torch.autograd.grad(logit, maps)
        heat = torch.zeros(maps.shape[2:], dtype=maps.dtype)
        for k in range(maps.shape[1]):
            heat += slope[0, k].mean() * maps[0, k].detach()
        heats.append(heat.clamp(min=0))
    return functional.interpolate(
        torch.stack(heats)[:, None], size=images.shape[2:], mode="bilinear"
    )[:, 0]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_grad_cam_is_the_formula(depth: int) -> None:
    model = small().double().eval()
    images, labels = torch.rand(6, 3, 8, 12).double(), torch.tensor([0, 1, 2, 0, 1, 2])
    heat = analysis.grad_cam(model, images, labels, layer=model[depth])
    assert heat.shape == (6, 8, 12) and not heat.requires_grad
    assert heat.min() >= 0 and heat.max() > 0
    torch.testing.assert_close(heat, by_hand(model, depth, images, labels))


def test_grad_cam_finds_the_place_that_decides() -> None:
    # Class 1 is the brightness of the left half: all heat lies where it is bright.
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(16, 2))
    nn.init.ones_(model[0].weight), nn.init.zeros_(model[0].bias)
    halves = torch.zeros(2, 4, 4)
    halves[0, :, 2:], halves[1, :, :2] = 1, 1
    model[2].weight.data = halves.flatten(1)
    image = torch.zeros(1, 1, 4, 4)
    image[..., 1:3, 0] = 1
    heat = analysis.grad_cam(model, image, torch.tensor([1]), layer=model[0])
    assert analysis.inside(heat, image[:, 0] > 0).item() == pytest.approx(1)


def test_grad_cam_leaves_the_model_as_it_was_and_explains_frozen_ones() -> None:
    model = small().train()
    transfer.freeze(model[0])
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(model.state_dict())
    images, labels = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
    first = analysis.grad_cam(model, images, labels, layer=model[3])
    assert [module.training for module in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters()) and not images.requires_grad
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    transfer.freeze(model)
    again = analysis.grad_cam(model, images, labels, layer=model[3])
    torch.testing.assert_close(again, first)
    assert first.max() > 0
    with torch.no_grad():
        torch.testing.assert_close(
            analysis.grad_cam(model, images, labels, layer=model[3]), first
        )


def test_grad_cam_takes_a_body_and_head_of_torchvision() -> None:
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None, num_classes=3)
    model = models.body_and_head(network)
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 2])
    heat = analysis.grad_cam(model, images, labels, layer=model.body.layer4)
    assert heat.shape == (2, 64, 64) and heat.min() >= 0


def test_grad_cam_refuses() -> None:
    model, images = small(), torch.rand(2, 3, 8, 8)
    with pytest.raises(ValueError, match="part of the model, got Conv2d; name it by"):
        analysis.grad_cam(model, images, torch.tensor([0, 1]), layer=small()[0])
    with pytest.raises(ValueError, match=r"grad_cam: labels must lie in \[0, 3\) .* 7"):
        analysis.grad_cam(model, images, torch.tensor([0, 7]), layer=model[0])
    with pytest.raises(TypeError, match="labels must be an int64 tensor"):
        analysis.grad_cam(model, images, torch.tensor([0.0, 1.0]), layer=model[0])


def test_inside_is_a_share() -> None:
    heat = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 5.0], [5.0, 5.0]]])
    mask = torch.tensor([[[1, 0], [0, 1]], [[1, 1], [0, 1]]]).bool()
    assert analysis.inside(heat, mask).tolist() == [0.5, 0.75]
    assert analysis.inside(heat, ~mask).tolist() == [0.5, 0.25]
    nothing = torch.zeros(1, 2, 2)
    assert analysis.inside(nothing, mask[1:]).tolist() == [0.75]
    assert analysis.inside(heat[:1], torch.zeros(1, 2, 2).bool()).tolist() == [0]


def test_inside_refuses() -> None:
    heat = torch.ones(1, 2, 2)
    with pytest.raises(ValueError, match="mask must have the shape of heat, "):
        analysis.inside(heat, torch.ones(2, 2).bool())
    with pytest.raises(ValueError, match="heat must be at least 0, got -1.0; heat"):
        analysis.inside(-heat, torch.ones(1, 2, 2).bool())
