"""Public data sets from their original files, verified before anything reads them.

torchvision knows the formats and parses them. It would also download, but it writes a
download in place and checks it by MD5 or not at all; so `runtime.Source` fetches and
verifies, and torchvision is shown finished files.
"""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tlcourse import runtime
from tlcourse.data.records import DataSet, Split
from tlcourse.runtime import Source

__all__ = [
    "CIFAR10_FILE",
    "HYMENOPTERA_FILE",
    "MNIST_FILES",
    "USPS_FILES",
    "load_cifar10",
    "load_hymenoptera",
    "load_mnist",
    "load_usps",
]

CLASSES = tuple("0123456789")
SIZE = 16  # pixels a side: the size of USPS


def _mnist(name: str, size: int, sha256: str) -> Source:
    return Source(
        name=f"MNIST {name}",
        url=f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz",
        revision="1998",
        size=size,
        sha256=sha256,
        licence="CC BY-SA 3.0",
        citation="LeCun et al. 1998, doi:10.1109/5.726791",
    )


def _usps(name: str, size: int, sha256: str) -> Source:
    return Source(
        name=f"USPS {name}",
        url="https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
        f"{name}.bz2",
        revision="LIBSVM data, multiclass",
        size=size,
        sha256=sha256,
        licence="none stated",
        citation="Hull 1994, doi:10.1109/34.291440",
    )


#: The four original files of MNIST.
MNIST_FILES = (
    _mnist(
        "train-images-idx3-ubyte",
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    _mnist(
        "train-labels-idx1-ubyte",
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    _mnist(
        "t10k-images-idx3-ubyte",
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    _mnist(
        "t10k-labels-idx1-ubyte",
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)
#: The two files of USPS, as torchvision takes them.
USPS_FILES = (
    _usps(
        "usps",
        6_579_383,
        "3771e9dd6ba685185f89867b6e249233dd74652389f263963b3b741e994b034f",
    ),
    _usps(
        "usps.t",
        1_831_726,
        "a9c0164e797d60142a50604917f0baa604f326e9a689698763793fa5d12ffc4e",
    ),
)

#: The archive of CIFAR-10.
CIFAR10_FILE = Source(
    name="CIFAR-10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    revision="2009, for Python",
    size=170_498_071,
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    licence="none stated",
    citation="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
)
#: The archive of PyTorch's tutorial.
HYMENOPTERA_FILE = Source(
    name="hymenoptera",
    url="https://download.pytorch.org/tutorial/hymenoptera_data.zip",
    revision="of the PyTorch tutorial on transfer learning",
    size=47_286_322,
    sha256="fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209",
    licence="none stated; photographs from ImageNet: research and education",
    citation="Chilamkurthy, Transfer Learning for Computer Vision Tutorial, PyTorch",
)


def load_mnist(
    files: tuple[Source, ...] = MNIST_FILES, *, n_validation: int = 500
) -> DataSet:
    """Load MNIST, 60,000 and 10,000 scanned digits, resized to 16 x 16.

    Parameters
    ----------
    files : tuple of 4 Source, optional
        The gzipped IDX files: training pictures and labels, test pictures and labels.
    n_validation : int, default=500
        Pictures of each class that are moved from the training part to validation.

    Returns
    -------
    DataSet
        Training, validation and test splits; the test part is the original one.

    Raises
    ------
    ConnectionError
        If a file is not in the cache and cannot be downloaded whole.
    ValueError
        If a file is not the one that its record describes.
    """
    from torchvision.datasets import MNIST

    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "MNIST" / "raw"  # where torchvision looks
        raw.mkdir(parents=True)
        for file in files:
            path = file.fetch()
            with gzip.open(path) as packed, (raw / path.stem).open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        parts = [MNIST(folder, train=train, download=False) for train in (True, False)]
    train, test = (_split(part.data, part.targets) for part in parts)
    return _dataset(
        "MNIST",
        train,
        test,
        n_validation,
        steps=2_200,
        sources=files,
        description="Digits by census staff and school pupils, 28 x 28, resized.",
    )


def load_usps(
    files: tuple[Source, ...] = USPS_FILES, *, n_validation: int = 50
) -> DataSet:
    """Load USPS, 7,291 and 2,007 digits cut from the ZIP codes of envelopes, 16 x 16.

    Parameters
    ----------
    files : tuple of 2 Source, optional
        The bzipped LIBSVM files: training part, test part.
    n_validation : int, default=50
        Pictures of each class that are moved from the training part to validation.

    Returns
    -------
    DataSet
        Training, validation and test splits; the test part is the original one.

    Raises
    ------
    ConnectionError
        If a file is not in the cache and cannot be downloaded whole.
    ValueError
        If a file is not the one that its record describes.

    Notes
    -----
    The file has pixels from -1 to 1 and labels from 1 to 10; torchvision turns them
    into bytes and into 0 to 9.
    """
    from torchvision.datasets import USPS

    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            path = file.fetch()
            shutil.copyfile(path, Path(folder) / path.name)
        parts = [USPS(folder, train=train, download=False) for train in (True, False)]
    train, test = (
        _split(torch.from_numpy(part.data), torch.tensor(part.targets))
        for part in parts
    )
    return _dataset(
        "USPS",
        train,
        test,
        n_validation,
        steps=1_360,
        sources=files,
        description="Digits from ZIP codes on envelopes in a US post office, 16 x 16.",
    )


def load_cifar10(file: Source = CIFAR10_FILE, *, n_validation: int = 500) -> DataSet:
    """Load CIFAR-10, 50,000 and 10,000 small photographs of ten kinds of things.

    Parameters
    ----------
    file : Source, optional
        The archive of the version for Python.
    n_validation : int, default=500
        Pictures of each class that are moved from the training part to validation.

    Returns
    -------
    DataSet
        Pictures of shape (n, 3, 32, 32); the test part is the original one.

    Raises
    ------
    ConnectionError
        If the file is not in the cache and cannot be downloaded whole.
    ValueError
        If it is not the one that its record describes.
    """
    from torchvision.datasets import CIFAR10

    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(file.fetch()) as archive:
            archive.extractall(folder, filter="data")  # nothing outside the folder
        parts = [
            CIFAR10(folder, train=train, download=False) for train in (True, False)
        ]
    train, test = (
        Split(
            torch.from_numpy(part.data).permute(0, 3, 1, 2).float() / 255,
            torch.tensor(part.targets),
        )
        for part in parts
    )
    return _dataset(
        file.name,
        train,
        test,
        n_validation,
        classes=tuple(parts[0].classes),
        steps=18_000,
        sources=(file,),
        description="Photographs of animals and vehicles, 32 x 32.",
    )


def load_hymenoptera(
    file: Source = HYMENOPTERA_FILE, *, size: int = 224, n_validation: int = 20
) -> DataSet:
    """Load "hymenoptera", 244 and 153 photographs of ants and bees.

    Parameters
    ----------
    file : Source, optional
        The archive with a folder for each part and class.
    size : int, default=224
        Pixels a side. A photograph is resized until its shorter side is 8/7 of that,
        and the middle is cut out: 256 and 224, as ImageNet's weights expect it.
    n_validation : int, default=20
        Pictures of each class that are moved from the training part to validation.

    Returns
    -------
    DataSet
        Pictures of shape (n, 3, size, size); label 0 is the ant, 1 the bee. The test
        part is the one that the archive calls "val".

    Raises
    ------
    ConnectionError
        If the file is not in the cache and cannot be downloaded whole.
    ValueError
        If it is not the one that its record describes.

    Notes
    -----
    Pictures are read from the archive, nothing is unpacked. A file among them that is
    no photograph, imageNotFound.gif, is left out.
    """
    from PIL import Image
    from torchvision.transforms import functional as pictures

    classes, parts = ("ant", "bee"), []
    with zipfile.ZipFile(file.fetch()) as archive:
        for part in ("train", "val"):
            place = re.compile(rf"hymenoptera_data/{part}/(ant|bee)s/[^/]+\.jpe?g")
            images, labels = [], []
            for found in filter(None, map(place.fullmatch, sorted(archive.namelist()))):
                image = Image.open(archive.open(found[0])).convert("RGB")
                image = pictures.center_crop(
                    pictures.resize(image, size * 8 // 7), size
                )
                images.append(pictures.to_tensor(image))
                labels.append(classes.index(found[1]))
            parts.append(Split(torch.stack(images), torch.tensor(labels)))
    train, test = parts
    return _dataset(
        file.name,
        train,
        test,
        n_validation,
        classes=classes,
        steps=640,
        sources=(file,),
        description="Photographs of ants and bees, resized and cropped.",
    )


def _split(bytes_: Tensor, labels: Tensor) -> Split:
    """Turn bytes (n, h, w) into pictures (n, 1, 16, 16) in [0, 1]."""
    images = bytes_[:, None].float() / 255
    if images.shape[2:] != (SIZE, SIZE):
        images = functional.interpolate(
            images, size=(SIZE, SIZE), mode="bilinear", antialias=True
        )
    return Split(images.clamp(0, 1), labels.long())


def _dataset(
    name: str,
    train: Split,
    test: Split,
    n_validation: int,
    *,
    classes: tuple[str, ...] = CLASSES,
    steps: int,
    sources: tuple[Source, ...],
    description: str,
) -> DataSet:
    """Take validation from the training part and complete the record."""
    rng = runtime.generator(0, name)
    validation, rest = train.divide(n_validation, rng)
    return DataSet(
        name=name,
        classes=classes,
        train=rest,
        validation=validation,
        test=test,
        steps=steps,
        licence=sources[0].licence,
        citation=sources[0].citation,
        description=description,
        sources=sources,
    )
