"""Data sets of the hub profile from files in the original formats, whole and broken."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import hashlib
import io
import pickle
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tlcourse import pretrained
from tlcourse.data import digits, hub, insects
from tlcourse.runtime import Source

PAGE = b"<!DOCTYPE html><html><body>Please sign in to the hotel network</body></html>"


class Server(ThreadingHTTPServer):
    """Serves what is in `files` and counts the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        if name not in self.server.files:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.files[name])

    def log_message(self, *args: object) -> None:
        """Keep standard error clean."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("TLCOURSE_CACHE", str(tmp_path / "cache"))
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def digits_of(n: int, side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, side, side), dtype=np.uint8)
    return pixels, np.arange(n, dtype=np.uint8) % 10


def idx(array: np.ndarray) -> bytes:
    """Pack bytes as the IDX format has them: magic number, sizes, data."""
    head = bytes([0, 0, 8, array.ndim])
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(head + sizes + array.tobytes())


def libsvm(pixels: np.ndarray, labels: np.ndarray) -> bytes:
    """Pack pictures as the LIBSVM file has them: label 1 to 10, pixels -1 to 1."""
    lines = []
    for picture, label in zip(pixels, labels, strict=True):
        values = (f"{i}:{v / 127.5 - 1:.6f}" for i, v in enumerate(picture.flat, 1))
        lines.append(f"{label + 1} {' '.join(values)} \n")
    return bz2.compress("".join(lines).encode())


def serve(server: Server, records: tuple[Source, ...], files: list[bytes]) -> tuple:
    """Serve made files under the real records' names and describe them truly."""
    made = []
    for record, content in zip(records, files, strict=True):
        name = record.url.rpartition("/")[2]
        server.files[name] = content
        made.append(
            dataclasses.replace(
                record,
                url=server.url(name),
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )
        )
    return tuple(made)


@pytest.fixture
def mnist(server: Server) -> tuple[Source, ...]:
    train, test = digits_of(60, 28, 1), digits_of(20, 28, 2)
    return serve(server, hub.MNIST_FILES, [idx(a) for a in (*train, *test)])


@pytest.fixture
def usps(server: Server) -> tuple[Source, ...]:
    train, test = digits_of(60, 16, 3), digits_of(20, 16, 4)
    return serve(server, hub.USPS_FILES, [libsvm(*train), libsvm(*test)])


def photograph(
    seed: int, kind: str = "JPEG", size: tuple[int, int] = (90, 70)
) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    mode = "L" if seed == 3 else "RGB"  # photographs may be grey
    packed = io.BytesIO()
    Image.fromarray(coarse).resize(size).convert(mode).save(packed, kind)
    return packed.getvalue()


def hymenoptera_zip(seed: int = 0) -> bytes:
    """Pack photographs as the archive has them, and what else may lie in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for part, n in (("train", 4), ("val", 2)):
            for number, name in enumerate(("bees", "ants")):
                folder = f"hymenoptera_data/{part}/{name}"
                archive.writestr(f"{folder}/", b"")
                for i in range(n):
                    content = photograph(seed + 10 * number + i)
                    ending = "jpeg" if i == 0 else "jpg"
                    archive.writestr(f"{folder}/{n - i}.{ending}", content)
        gif = photograph(99, "GIF")
        archive.writestr("hymenoptera_data/train/ants/imageNotFound.gif", gif)
        archive.writestr("__MACOSX/hymenoptera_data/train/ants/._1.jpg", b"no picture")
        archive.writestr("../outside.jpg", b"no picture")
    return packed.getvalue()


def cifar_tar(seed: int = 0, *, outside: bool = False) -> bytes:
    """Pack pictures as CIFAR-10's archive has them."""
    rng, packed = np.random.default_rng(seed), io.BytesIO()
    files: dict[str, object] = {"batches.meta": {"label_names": list("abcdefghij")}}
    for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6))):
        pixels = rng.integers(0, 256, (20, 3072), dtype=np.uint8)
        files[name] = {"data": pixels, "labels": [i % 10 for i in range(20)]}
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            data = pickle.dumps(content)
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        if outside:
            archive.addfile(tarfile.TarInfo("../../outside"), io.BytesIO())
    return packed.getvalue()


@pytest.fixture
def hymenoptera(server: Server) -> Source:
    return serve(server, (hub.HYMENOPTERA_FILE,), [hymenoptera_zip()])[0]


@pytest.fixture
def cifar10(server: Server, monkeypatch: pytest.MonkeyPatch) -> Source:
    from torchvision.datasets import cifar

    # torchvision knows the MD5 of every file inside.
    monkeypatch.setattr(cifar, "check_integrity", lambda *_: True)
    return serve(server, (hub.CIFAR10_FILE,), [cifar_tar()])[0]


def left_behind() -> list[str]:
    from tlcourse.runtime import cache_dir

    files = (p for p in cache_dir().rglob("*") if p.is_file() and p.suffix != ".lock")
    return sorted(p.name for p in files)


def test_mnist_is_read_resized_and_split(mnist: tuple[Source, ...]) -> None:
    data = hub.load_mnist(mnist, n_validation=2)
    assert (len(data.train), len(data.validation), len(data.test)) == (40, 20, 20)
    assert data.test.images.shape == (20, 1, 16, 16)
    assert data.test.labels.tolist() == [i % 10 for i in range(20)]
    pixels, _ = digits_of(20, 28, 2)
    mean = data.test.images.mean((1, 2, 3))
    torch.testing.assert_close(
        mean, torch.from_numpy(pixels / 255).float().mean((1, 2)), atol=0.03, rtol=0
    )
    assert data.sources == mnist and data.name == "MNIST"


def test_usps_is_read_as_it_is_and_split(usps: tuple[Source, ...]) -> None:
    data = hub.load_usps(usps, n_validation=1)
    assert (len(data.train), len(data.validation), len(data.test)) == (50, 10, 20)
    pixels, labels = digits_of(20, 16, 4)
    found = (data.test.images[:, 0] * 255).round().numpy().astype(int)
    assert np.abs(found - pixels).max() <= 1  # torchvision rounds down
    assert data.test.labels.tolist() == labels.tolist()
    assert data.classes == tuple("0123456789")


def test_splits_are_fixed_and_share_nothing(usps: tuple[Source, ...]) -> None:
    data, again = (hub.load_usps(usps, n_validation=1) for _ in range(2))
    assert torch.equal(data.validation.images, again.validation.images)
    pictures = torch.cat([data.train.images, data.validation.images])
    assert len(pictures.flatten(1).unique(dim=0)) == 60


def test_files_are_downloaded_once(server: Server, mnist: tuple[Source, ...]) -> None:
    hub.load_mnist(mnist, n_validation=2)
    hub.load_mnist(mnist, n_validation=2)
    assert len(server.asked) == 4
    assert left_behind() == sorted(server.files)


def wrong_but_valid_mnist() -> bytes:
    return idx(digits_of(60, 28, 9)[0])


def wrong_but_valid_usps() -> bytes:
    return libsvm(*digits_of(60, 16, 9))


def flipped(content: bytes) -> bytes:
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


BROKEN: dict[str, tuple[Callable[[bytes, bytes], bytes], type[Exception], str]] = {
    "truncated": (lambda right, _: right[:-50], ConnectionError, "broke off"),
    "corrupted": (lambda right, _: flipped(right), ValueError, "got another file"),
    "wrong but valid": (
        lambda _, other: other,
        (ValueError, ConnectionError),
        "SHA-256|bytes",
    ),
    "error page": (lambda *_: PAGE, ValueError, "got a web page"),
    "empty": (lambda *_: b"", ConnectionError, "broke off"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_mnist_file_is_refused_and_leaves_nothing(
    kind: str, server: Server, mnist: tuple[Source, ...]
) -> None:
    spoil, error, message = BROKEN[kind]
    name = "train-images-idx3-ubyte.gz"
    right = server.files[name]
    server.files[name] = spoil(right, wrong_but_valid_mnist())
    with pytest.raises(error, match=message):
        hub.load_mnist(mnist, n_validation=2)
    assert name not in left_behind()
    server.files[name] = right
    assert len(hub.load_mnist(mnist, n_validation=2).train) == 40


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_usps_file_is_refused_and_leaves_nothing(
    kind: str, server: Server, usps: tuple[Source, ...]
) -> None:
    spoil, error, message = BROKEN[kind]
    right = server.files["usps.bz2"]
    server.files["usps.bz2"] = spoil(right, wrong_but_valid_usps())
    with pytest.raises(error, match=message):
        hub.load_usps(usps, n_validation=1)
    assert "usps.bz2" not in left_behind()
    server.files["usps.bz2"] = right
    assert len(hub.load_usps(usps, n_validation=1).train) == 50


def test_hymenoptera_is_read_resized_cropped_and_split(hymenoptera: Source) -> None:
    from torchvision.models import ResNet18_Weights
    from torchvision.transforms.functional import normalize

    data = hub.load_hymenoptera(hymenoptera, n_validation=1)
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 2, 4)
    assert data.classes == insects.TARGET and data.test.labels.tolist() == [0, 0, 1, 1]
    assert data.test.images.shape == (4, 3, 224, 224)
    # The first by name, 1.jpg, was packed last; the weights' own transforms agree.
    first = Image.open(io.BytesIO(photograph(11))).convert("RGB")
    weights = ResNet18_Weights.IMAGENET1K_V1.transforms()
    torch.testing.assert_close(
        normalize(data.test.images[0], weights.mean, weights.std), weights(first)
    )
    small = hub.load_hymenoptera(hymenoptera, size=64, n_validation=1)
    assert small.train.images.shape == (6, 3, 64, 64)
    again = hub.load_hymenoptera(hymenoptera, size=64, n_validation=1)
    assert torch.equal(small.validation.images, again.validation.images)
    assert small.sources == (hymenoptera,)


def test_hymenoptera_unpacks_nothing(hymenoptera: Source, tmp_path: Path) -> None:
    hub.load_hymenoptera(hymenoptera, size=64, n_validation=1)
    assert left_behind() == ["hymenoptera_data.zip"]
    assert not list(tmp_path.rglob("*.jpg"))


def test_cifar10_is_read_and_split(cifar10: Source) -> None:
    data = hub.load_cifar10(cifar10, n_validation=2)
    assert (len(data.train), len(data.validation), len(data.test)) == (80, 20, 20)
    assert data.classes == tuple("abcdefghij")
    assert data.test.labels.tolist() == [i % 10 for i in range(20)]
    # A row holds 1,024 red, then green, then blue values, line by line.
    first = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
    expected = torch.from_numpy(first.reshape(20, 3, 32, 32)).float() / 255
    torch.testing.assert_close(data.test.images, expected)


def test_cifar10_writes_nothing_outside(
    server: Server, cifar10: Source, tmp_path: Path
) -> None:
    (record,) = serve(server, (cifar10,), [cifar_tar(outside=True)])
    with pytest.raises(tarfile.OutsideDestinationError):
        hub.load_cifar10(record)
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", ["hymenoptera", "cifar10"])
def test_broken_archive_is_refused_and_leaves_nothing(
    name: str, kind: str, server: Server, request: pytest.FixtureRequest
) -> None:
    record: Source = request.getfixturevalue(name)
    load = getattr(hub, f"load_{name}")
    other = {"hymenoptera": hymenoptera_zip, "cifar10": cifar_tar}[name](5)
    spoil, error, message = BROKEN[kind]
    file = record.url.rpartition("/")[2]
    right = server.files[file]
    server.files[file] = spoil(right, other)
    with pytest.raises(error, match=message):
        load(record, n_validation=1)
    assert left_behind() == []
    server.files[file] = right
    assert len(load(record, n_validation=1).train) in (6, 90)


def test_hub_profile_loads_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "load_hymenoptera", lambda size: size)
    assert insects.load_target("hub") == 224
    assert insects.load_target("hub", size=64, n_test=153) == 64


def test_missing_file_says_what_to_do(
    server: Server, mnist: tuple[Source, ...]
) -> None:
    del server.files["t10k-labels-idx1-ubyte.gz"]
    with pytest.raises(ConnectionError, match="HTTP 404"):
        hub.load_mnist(mnist, n_validation=2)


def test_file_altered_in_the_cache_is_fetched_again(
    server: Server, usps: tuple[Source, ...]
) -> None:
    whole = hub.load_usps(usps, n_validation=1)
    path = usps[0].fetch()
    path.write_bytes(wrong_but_valid_usps())
    again = hub.load_usps(usps, n_validation=1)
    assert server.asked.count("usps.bz2") == 2
    assert torch.equal(again.train.images, whole.train.images)


def test_hub_profile_loads_mnist_and_usps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "load_mnist", lambda: "mnist")
    monkeypatch.setattr(hub, "load_usps", lambda: "usps")
    assert digits.load_source("hub") == "mnist"
    assert digits.load_target("hub") == "usps"


def test_records_name_the_files_that_torchvision_parses() -> None:
    from torchvision.datasets import CIFAR10, MNIST, USPS

    ours = [source.url.rpartition("/")[2] for source in hub.MNIST_FILES]
    assert ours == [name for name, _ in MNIST.resources]
    assert hub.MNIST_FILES[0].url.startswith(MNIST.mirrors[0])
    assert [source.url for source in hub.USPS_FILES] == [
        USPS.split_list[part][0] for part in ("train", "test")
    ]
    assert hub.CIFAR10_FILE.url == CIFAR10.url


def test_data_page_says_what_the_records_say(root: Path) -> None:
    page = (root / "book" / "data-and-models.md").read_text(encoding="utf-8")
    archives = (hub.CIFAR10_FILE, hub.HYMENOPTERA_FILE, *pretrained.WEIGHTS.values())
    for source in (*hub.MNIST_FILES, *hub.USPS_FILES, *archives):
        file = source.url.rpartition("/")[2]
        assert f"| `{file}` | {source.size:,} | `{source.sha256}` |" in page
        assert source.url.rpartition("/")[0] in page
        assert source.licence in page
    for data in (digits.load_source("embedded"), digits.load_target("embedded")):
        sizes = (len(data.train), len(data.validation), len(data.test))
        assert "| {:,} | {:,} | {:,} |".format(*sizes) in page
        assert data.licence in page and data.citation in page
