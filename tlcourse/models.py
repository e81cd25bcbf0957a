"""Models as a body and a head: what is transferred, and what the task replaces."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from tlcourse._checks import check_range, require

__all__ = ["BodyHead", "redraw", "replace_head", "small_cnn"]


_AnyModule = TypeVar("_AnyModule", bound=nn.Module)


class BodyHead(nn.Module):
    """A network in two parts: ``head(body(x))``.

    The body turns inputs into features, the head turns features into logits. Most
    methods of the course are one sentence about the two: keep the body and replace
    the head, train the head alone, train the body at a smaller rate.

    Parameters
    ----------
    body : nn.Module
        Maps a batch of inputs to features of shape (n, d).
    head : nn.Module
        Maps features of shape (n, d) to logits of shape (n, c).
    feature_dim : int
        The number of features d.

    Raises
    ------
    ValueError
        If `feature_dim` is below 1, or a linear head expects another number of
        features; from ``forward`` if the body returns another shape than (n, d).

    Notes
    -----
    The modules are kept, not copied. Gradients reach both parts.

    Examples
    --------
    >>> model = BodyHead(nn.Flatten(), nn.Linear(4, 3), feature_dim=4)
    >>> model(torch.zeros(5, 1, 2, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(self, body: nn.Module, head: nn.Module, *, feature_dim: int) -> None:
        super().__init__()
        check_range("models.BodyHead", "feature_dim", feature_dim, 1)
        if isinstance(head, nn.Linear):
            require(
                head.in_features == feature_dim,
                "models.BodyHead",
                f"a linear head must take feature_dim = {feature_dim} features",
                f"in_features {head.in_features}",
                "was the head made for another body?",
            )
        self.body = body
        self.head = head
        self.feature_dim = feature_dim

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the logits of a batch, shape (n, c)."""
        features: Tensor = self.body(*inputs)  # (n, d)
        require(
            features.ndim == 2 and features.shape[1] == self.feature_dim,
            "models.BodyHead",
            f"the body must return features of shape (n, {self.feature_dim})",
            f"shape {tuple(features.shape)}",
            "does the body end in Flatten, and have the images the right size?",
        )
        logits: Tensor = self.head(features)  # (n, c)
        return logits


def small_cnn(
    num_classes: int,
    *,
    in_channels: int = 1,
    image_size: int = 16,
    generator: torch.Generator,
) -> BodyHead:
    """Build the small convolutional network of the digits chapters.

    Two convolutions of stride 2, each with batch normalisation and ReLU, then a
    linear layer to 64 features; the head is one linear layer. 38,000 weights at
    16 x 16: a training step on 32 images takes under 2 ms on one core.

    Parameters
    ----------
    num_classes : int
        The number of classes c, at least 2.
    in_channels : int, default 1
        Colour channels of the images.
    image_size : int, default 16
        Height and width of the images, a multiple of 4.
    generator : torch.Generator
        The only source of the initial weights; the global random state is left
        alone.

    Returns
    -------
    BodyHead
        A model in training mode, from images of shape (n, in_channels, image_size,
        image_size) to logits of shape (n, c), with ``feature_dim`` 64.

    Raises
    ------
    ValueError
        If `num_classes` is below 2, `in_channels` below 1, or `image_size` not a
        positive multiple of 4.

    Notes
    -----
    Weights are drawn from a normal distribution of variance 2 / fan-in, biases are
    0. Source: He et al. 2015, arXiv:1502.01852.

    Examples
    --------
    >>> model = small_cnn(10, generator=torch.Generator().manual_seed(0))
    >>> model.body(torch.zeros(2, 1, 16, 16)).shape
    torch.Size([2, 64])
    """
    where = "models.small_cnn"
    check_range(where, "in_channels", in_channels, 1)
    require(
        image_size > 0 and image_size % 4 == 0,
        where,
        "image_size must be a positive multiple of 4",
        image_size,
        "both convolutions halve the image; resize it first",
    )
    with torch.random.fork_rng(devices=[]):  # layers draw weights as they are built
        body = nn.Sequential(
            nn.Conv2d(in_channels, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * (image_size // 4) ** 2, 64),
            nn.ReLU(),
        )
    for layer in body:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _draw(layer, generator)
    return BodyHead(
        body, _linear(where, 64, num_classes, generator=generator), feature_dim=64
    )


def replace_head(
    model: BodyHead, num_classes: int, *, generator: torch.Generator
) -> BodyHead:
    """Give a model a new linear head with freshly drawn weights.

    Parameters
    ----------
    model : BodyHead
        The model to change, in place; its body is left as it is.
    num_classes : int
        The number of classes c of the new task, at least 2.
    generator : torch.Generator
        The only source of the new weights.

    Returns
    -------
    BodyHead
        `model` itself. The new head is on the body's device, trainable, and in the
        model's mode. An optimizer made before the call still holds the old head.

    Raises
    ------
    TypeError
        If `model` has no body and head.
    ValueError
        If `num_classes` is below 2.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = replace_head(small_cnn(10, generator=generator), 3, generator=generator)
    >>> model.head
    Linear(in_features=64, out_features=3, bias=True)
    """
    where = "models.replace_head"
    if not isinstance(model, BodyHead):
        raise TypeError(
            f"{where}: model must be a BodyHead, got {type(model).__name__}; "
            "wrap its parts with models.BodyHead"
        )
    head = _linear(where, model.feature_dim, num_classes, generator=generator)
    like = next(model.parameters(), None)
    if like is not None:
        head = head.to(like.device, like.dtype)
    model.head = head.train(model.training)
    return model


def redraw(model: _AnyModule, *, generator: torch.Generator) -> _AnyModule:
    """Copy the structure of a module and nothing that it has learned.

    Parameters
    ----------
    model : nn.Module
        A model or one of its layers; left as it is.
    generator : torch.Generator
        The only source of the new weights; the global random state is left alone.

    Returns
    -------
    nn.Module
        A copy whose layers were set to new initial weights and statistics by their
        own ``reset_parameters``: torch's default initialisation.

    Raises
    ------
    ValueError
        If a layer has weights or buffers but no ``reset_parameters``: they would go
        over to the copy unnoticed.

    Examples
    --------
    >>> layer = nn.Linear(2, 2)
    >>> twin = redraw(layer, generator=torch.Generator().manual_seed(0))
    >>> twin.weight.shape == layer.weight.shape, torch.equal(twin.weight, layer.weight)
    (True, False)
    """
    fresh = copy.deepcopy(model)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, layer in fresh.named_modules():
            own = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
            reset = getattr(layer, "reset_parameters", None)
            require(
                not own or reset is not None,
                "models.redraw",
                "every layer with weights or buffers must have reset_parameters",
                f"none in {name or 'the module'} ({type(layer).__name__})",
                "give the layer one, or build the model anew",
            )
            if reset is not None:
                reset()
    return fresh


def _linear(
    where: str, features: int, num_classes: int, *, generator: torch.Generator
) -> nn.Linear:
    check_range(
        where, "num_classes", num_classes, 2, cause="does the data have two classes?"
    )
    with torch.random.fork_rng(devices=[]):
        head = nn.Linear(features, num_classes)
    _draw(head, generator)
    return head


def _draw(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
