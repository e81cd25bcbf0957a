"""Models as a body and a head: what is transferred, and what the task replaces."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from tlcourse._checks import check_range, require

__all__ = [
    "BodyHead",
    "MeanPooled",
    "Normalise",
    "body_and_head",
    "redraw",
    "replace_head",
    "small_cnn",
]


_AnyModule = TypeVar("_AnyModule", bound=nn.Module)

_CAUSE = "does the data have two classes?"
_HEADS = ("classifier", "fc", "head", "heads")  # what torchvision calls its heads
_AUX = ("AuxLogits.", "aux1.", "aux2.")  # those of Inception and GoogLeNet


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


class MeanPooled(nn.Module):
    r"""A text encoder whose features are the mean of its tokens' vectors.

    .. math:: f = \frac{\sum_t m_t h_t}{\sum_t m_t}

    Parameters
    ----------
    network : nn.Module
        A model of transformers, called with ``input_ids`` and ``attention_mask``; its
        result has a ``last_hidden_state`` h of shape (n, length, d).

    Raises
    ------
    ValueError
        From ``forward``, if a row of the mask holds no token.

    Notes
    -----
    Padding, where the attention mask m is 0, is left out: it would draw the features
    of short texts towards whatever the network says about padding. All-MiniLM-L6-v2
    was trained with this mean (Reimers and Gurevych 2019, arXiv:1908.10084).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return features of shape (n, d)."""
        found = self.network(input_ids=input_ids, attention_mask=attention_mask)
        weights = attention_mask.unsqueeze(2).to(found.last_hidden_state.dtype)
        count = weights.sum(1)  # (n, 1)
        require(
            bool(count.gt(0).all()),
            "models.MeanPooled",
            "each row of the attention mask must hold a token",
            f"{int(count.eq(0).sum())} rows without",
            "was the mask left out, or turned round?",
        )
        features: Tensor = (found.last_hidden_state * weights).sum(1) / count
        return features


class Normalise(nn.Module):
    """Subtract a mean from each channel of pictures and divide by a deviation.

    As the first layer of a pre-trained network it keeps the numbers that the weights
    were trained with: such a network takes pixels in [0, 1] and cannot be fed wrongly.

    Parameters
    ----------
    mean, std : sequence of float
        One number a channel; the deviations above 0.

    Raises
    ------
    ValueError
        If a deviation is not above 0, or there are not as many as means.

    Examples
    --------
    >>> Normalise([0.5], [0.25])(torch.ones(1, 1, 1, 1)).item()
    2.0
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        require(
            len(mean) == len(std) and min(std, default=0) > 0,
            "models.Normalise",
            "std must hold a number above 0 for each channel of mean",
            f"mean {list(mean)} and std {list(std)}",
            "is a channel constant in all pictures?",
        )
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])  # (c, 1, 1)
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Return pictures (n, c, h, w) in the network's units."""
        return (images - self.mean) / self.std

    def reset_parameters(self) -> None:
        """Leave everything as it is: what belongs to the data is not learned."""


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
    check_range(where, "num_classes", num_classes, 2, cause=_CAUSE)
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
    return BodyHead(body, _linear(64, num_classes, generator=generator), feature_dim=64)


def replace_head(
    model: _AnyModule, num_classes: int, *, generator: torch.Generator
) -> _AnyModule:
    """Give a classifier a new last layer with freshly drawn weights.

    Parameters
    ----------
    model : nn.Module
        Changed in place, all but its head left as it is: a `BodyHead`, any classifier
        of torchvision (auxiliary heads are replaced as well), any
        ``ForSequenceClassification`` of transformers (its configuration is told), or
        an ``nn.Sequential`` that ends in a linear layer or a 1 x 1 convolution.
    num_classes : int
        The number of classes c of the new task, at least 2.
    generator : torch.Generator
        The only source of the new weights.

    Returns
    -------
    nn.Module
        `model` itself. The new head is on the old one's device, trainable, and in the
        model's mode. An optimizer made before the call still holds the old head.

    Raises
    ------
    TypeError
        If the model is none of these, so that its head cannot be told from its body.
    ValueError
        If `num_classes` is below 2.

    Notes
    -----
    A new head is of the old one's kind, a linear layer or a convolution, with a bias
    if that had one; a `BodyHead` always gets a linear layer. Weights as in `small_cnn`.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = replace_head(small_cnn(10, generator=generator), 3, generator=generator)
    >>> model.head
    Linear(in_features=64, out_features=3, bias=True)
    """
    where = "models.replace_head"
    check_range(where, "num_classes", num_classes, 2, cause=_CAUSE)
    if isinstance(model, BodyHead):
        like = next(model.parameters(), torch.empty(0))
        head = _linear(model.feature_dim, num_classes, generator=generator)
        model.head = head.to(like.device, like.dtype).train(model.training)
        return model
    for name, old in _heads(where, model).items():
        with torch.random.fork_rng(devices=[]):
            new = (
                nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
                if isinstance(old, nn.Linear)
                else nn.Conv2d(
                    old.in_channels, num_classes, 1, bias=old.bias is not None
                )
            )
        _draw(new, generator)
        new = new.to(old.weight.device, old.weight.dtype).train(model.training)
        model.set_submodule(name, new)
    for name in {"num_classes", "num_labels"} & vars(model).keys():
        setattr(model, name, num_classes)
    config = getattr(model, "config", None)
    if config is not None:  # transformers' losses ask it; id2label follows by itself
        config.num_labels, config.problem_type = num_classes, None
    return model


def body_and_head(model: nn.Module) -> BodyHead:
    """Take a classifier apart: all but its last linear layer, and that layer.

    Parameters
    ----------
    model : nn.Module
        A classifier of torchvision whose last layer is linear, or an
        ``nn.Sequential``. It becomes the body, in place: an ``nn.Identity`` stands
        where the last layer was.

    Returns
    -------
    BodyHead
        With the same modules, not copies, in the mode they were in:
        ``head(body(x))`` is what ``model(x)`` was.

    Raises
    ------
    TypeError
        If the head is not one linear layer, as in SqueezeNet, in a network with
        auxiliary heads, or in a model of transformers, which returns no tensor.

    Examples
    --------
    >>> model = body_and_head(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)))
    >>> model.body, model.feature_dim
    (Sequential(
      (0): Flatten(start_dim=1, end_dim=-1)
      (1): Identity()
    ), 4)
    """
    where = "models.body_and_head"
    (name, head), *others = _heads(where, model).items()
    if others or hasattr(model, "config") or not isinstance(head, nn.Linear):
        raise TypeError(
            f"{where}: the head must be one linear layer that returns the logits, got "
            f"{'several' if others else type(head).__name__} in "
            f"{type(model).__name__}; replace_head takes it as it is, and "
            "aux_logits=False builds Inception and GoogLeNet without auxiliary heads"
        )
    model.set_submodule(name, nn.Identity().train(head.training))
    parts = BodyHead(model, head, feature_dim=head.in_features)
    parts.training = model.training
    return parts


def _heads(where: str, model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return name -> layer of those that give logits: the head, then auxiliary ones.

    All that is known here registers layers in the order of the forward pass, so that
    a head is the last layer with weights; what may do otherwise is refused.
    """
    base = getattr(model, "base_model", None)  # the body in models of transformers
    body = set() if base is None or base is model else set(base.modules())
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if layer not in body and next(layer.parameters(recurse=False), None) is not None
    }
    last = [[n for n in layers if n.startswith(part)][-1:] for part in ("", *_AUX)]
    heads = {
        name: layer
        for name in sum(last, [])
        if isinstance(layer := layers[name], nn.Linear)
        or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1))
    }
    if not heads or (
        base is None  # and so no model of transformers, and
        and not isinstance(model, nn.Sequential)
        and next(iter(heads)).split(".")[0] not in _HEADS
    ):
        raise TypeError(
            f"{where}: model must be a BodyHead, a classifier of torchvision or "
            "transformers, or an nn.Sequential, and end in a linear layer or a 1 x 1 "
            f"convolution, got {type(model).__name__}; wrap its parts with "
            "models.BodyHead"
        )
    return heads


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
    features: int, num_classes: int, *, generator: torch.Generator
) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        head = nn.Linear(features, num_classes)
    _draw(head, generator)
    return head


def _draw(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
