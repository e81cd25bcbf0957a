"""Pre-trained networks: one that the course trains itself, and those of torchvision."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlcourse import _checkpoints, runtime, training
from tlcourse._checks import check_choice
from tlcourse.data import _insect_drawing, _insect_parts, insects
from tlcourse.models import BodyHead, Normalise, body_and_head
from tlcourse.runtime import Source

__all__ = ["WEIGHTS", "card", "imagenet", "resnet18"]

# Chosen by the accuracy on the validation pictures of the source species, within 180
# seconds on two cores without bfloat16 units; the target species were not looked at.
_RECIPE: dict[str, Any] = {
    "epochs": 3,
    "half_size_epochs": 1,  # the first ones, at a quarter of the cost
    "batch_size": 32,
    "rate": 1e-3,
    "weight_decay": 0.05,
    "seed": 0,
}


def _weights(name: str, file: str, size: int, sha256: str, citation: str) -> Source:
    return Source(
        name=f"{name}, ImageNet weights",
        url=f"https://download.pytorch.org/models/{file}",
        revision="IMAGENET1K_V1",
        size=size,
        sha256=sha256,
        licence="BSD-3-Clause (torchvision); ImageNet: research and education",
        citation=citation,
    )


#: Name of an architecture -> the file of its ImageNet weights.
WEIGHTS = {
    "alexnet": _weights(
        "AlexNet",
        "alexnet-owt-7be5be79.pth",
        244_408_911,
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "Krizhevsky 2014, arXiv:1404.5997",
    ),
    "resnet18": _weights(
        "ResNet18",
        "resnet18-f37072fd.pth",
        46_830_571,
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        "He et al. 2016, arXiv:1512.03385",
    ),
    "vgg16": _weights(
        "VGG16",
        "vgg16-397923af.pth",
        553_433_881,
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "Simonyan and Zisserman 2015, arXiv:1409.1556",
    ),
}


def resnet18(profile: str, *, progress: bool = False) -> BodyHead:
    """Return torchvision's ResNet18, pre-trained on the source of the profile.

    Parameters
    ----------
    profile : {"embedded", "hub"}
        "embedded": trained here on the ten source species of `data.insects`, once,
        in a few minutes on two cores, then kept in the cache. "hub":
        torchvision's weights for ImageNet's 1,000 classes.
    progress : bool, default False
        Show a progress bar on standard output while it trains.

    Returns
    -------
    BodyHead
        In evaluation mode, from pixels in [0, 1] to logits by way of 512 features.
        ``body.pixels`` is the `models.Normalise` that belongs to the weights,
        ``body.network`` torchvision's module without its last layer. The same
        structure with fresh weights is ``models.redraw(resnet18(profile), ...)``.

    Raises
    ------
    ConnectionError
        In the hub profile, if the file is neither in the cache nor to be had whole.
    ValueError
        If the profile is unknown, or the file is broken.
    """
    if runtime.check_profile(profile) == "hub":
        return imagenet("resnet18")
    state, about = _trained(progress)
    model = _network("resnet18", len(about["classes"]), [0.0] * 3, [1.0] * 3)
    model.load_state_dict(state)
    return body_and_head(model.eval())


def imagenet(name: str) -> BodyHead:
    """Return a network with torchvision's weights for ImageNet; hub profile only.

    Parameters
    ----------
    name : {"alexnet", "resnet18", "vgg16"}
        A key of `WEIGHTS`.

    Returns
    -------
    BodyHead
        As `resnet18` returns it, with 1,000 classes. The weights were trained on
        photographs resized to 256 pixels and cropped to 224.

    Raises
    ------
    ConnectionError
        If the file is neither in the cache nor to be had whole.
    ValueError
        If the name is unknown, or the file is not the one that its record describes.
    """
    import torchvision

    check_choice("pretrained.imagenet", "name", name, WEIGHTS)
    presets = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].transforms()
    model = _network(name, 1000, presets.mean, presets.std)
    file = WEIGHTS[name].fetch()
    model[1].load_state_dict(torch.load(file, weights_only=True))
    return body_and_head(model.eval())


def card(profile: str) -> dict[str, Any]:
    """Return what is known about the weights of `resnet18`.

    Parameters
    ----------
    profile : {"embedded", "hub"}
        "embedded" trains the network if that has not been done.

    Returns
    -------
    dict
        "embedded": "recipe", "classes", "train", "validation_accuracy",
        "test_accuracy" (both on the source species), "seconds", "versions" and
        "sha256" (of the weights). "hub": the fields of the `Source`.

    Raises
    ------
    ValueError
        If the profile is unknown, or the file is broken.
    """
    if runtime.check_profile(profile) == "hub":
        return dict(vars(WEIGHTS["resnet18"]))
    return _trained(progress=False)[1]


def _network(
    name: str, classes: int, mean: Sequence[float], std: Sequence[float]
) -> nn.Sequential:
    import torchvision

    model = nn.Sequential()
    model.pixels = Normalise(mean, std)
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global state
        torch.manual_seed(_RECIPE["seed"])
        model.network = torchvision.models.get_model(
            name, weights=None, num_classes=classes
        )
    return model


def _trained(progress: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights trained here and their card, sure to be whole."""
    import torchvision
    from safetensors import SafetensorError, safe_open

    about: dict[str, Any] = {
        "recipe": _RECIPE,
        "versions": {
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    }
    path = runtime.artefact(
        "resnet18-insects.safetensors",
        json.dumps(
            [
                about,
                # What the pictures show, how they are drawn, what is done with them.
                _checkpoints.fingerprint(
                    (split, insects.members("source", split).values)
                    for split in insects.PER_SPECIES
                ),
                *(
                    inspect.getsource(code)
                    for code in (_insect_drawing, _insect_parts, _network, _train)
                ),
            ]
        ),
        lambda file: _train(file, about, progress),
    )
    with (
        contextlib.suppress(SafetensorError, KeyError, TypeError, ValueError),
        safe_open(path, framework="pt") as file,
    ):
        state = {name: file.get_tensor(name) for name in file.keys()}
        about = json.loads(file.metadata()["card"])
        if _checkpoints.fingerprint(sorted(state.items())) == about["sha256"]:
            return state, about
    raise ValueError(
        "pretrained.resnet18: the weights must be as they were written, got "
        f"{path} with bytes missing or altered; delete it to train them anew"
    )


def _train(path: Path, about: dict[str, Any], progress: bool) -> None:
    """Train ResNet18 on the ten source species and write weights and card to `path`."""
    from safetensors.torch import save_file

    started, seed = time.perf_counter(), _RECIPE["seed"]
    threads = torch.get_num_threads()
    data = insects.load_source("embedded")
    images = data.train.images
    mean, std = images.mean((0, 2, 3)).tolist(), images.std((0, 2, 3)).tolist()
    model = _network("resnet18", len(data.classes), mean, std)
    loader = training.batches(
        *data.train.tensors,
        batch_size=_RECIPE["batch_size"],
        shuffle=True,
        generator=runtime.generator(seed, "pretrained", "order"),
    )
    # Both only save time: a sixth of each step on two cores.
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=_RECIPE["rate"],
        weight_decay=_RECIPE["weight_decay"],
        fused=True,
    )
    rng, taken = runtime.generator(seed, "pretrained", "coins"), itertools.count()

    def step(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        pictures, labels = batch
        coins = torch.rand(3, len(pictures), 1, 1, 1, generator=rng) < 0.5
        pictures = torch.where(coins[0], pictures.flip(2), pictures)
        pictures = torch.where(coins[1], pictures.flip(3), pictures)
        pictures = torch.where(coins[2], pictures.mT, pictures)
        if next(taken) < _RECIPE["half_size_epochs"] * len(loader):
            pictures = nn.functional.avg_pool2d(pictures, 2)
        return training.classification_step(model, (pictures, labels))

    torch.set_num_threads(max(threads, os.cpu_count() or 1))  # others wait for this
    try:
        training.fit(
            model,
            loader,
            optimizer=optimizer,
            epochs=_RECIPE["epochs"],
            step=step,
            schedule=training.schedule(
                optimizer, "cosine", unit="step", warmup=len(loader) // 2
            ),
            precision="auto",
            progress=progress,
        )
    finally:
        torch.set_num_threads(threads)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    about = {
        **about,
        "classes": data.classes,
        "train": len(images),
        **{
            f"{name}_accuracy": training.evaluate(
                model, training.batches(*split.tensors, batch_size=100)
            ).accuracy
            for name, split in (("validation", data.validation), ("test", data.test))
        },
        "seconds": round(time.perf_counter() - started, 1),
        "sha256": _checkpoints.fingerprint(sorted(state.items())),
    }
    save_file(state, path, metadata={"card": json.dumps(about)})
