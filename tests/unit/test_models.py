"""Models as body and head: shapes, where the weights come from, and misuse."""

import copy
import math

import pytest
import torch
from torch import nn

from tlcourse import models


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def same(left, right):
    left, right = left.state_dict(), right.state_dict()
    return left.keys() == right.keys() and all(
        torch.equal(left[k], right[k]) for k in left
    )


@pytest.mark.parametrize(("channels", "size", "classes"), [(1, 16, 10), (3, 32, 2)])
def test_small_cnn_maps_images_to_features_to_logits(channels, size, classes):
    model = models.small_cnn(
        classes, in_channels=channels, image_size=size, generator=seeded()
    )
    images = torch.rand(5, channels, size, size)
    assert model.training
    assert model.body(images).shape == (5, model.feature_dim)
    assert model(images).shape == (5, classes)
    torch.testing.assert_close(model(images), model.head(model.body(images)))


def test_small_cnn_has_running_statistics_for_freezing_to_keep():
    body = models.small_cnn(10, generator=seeded()).body
    assert sum(isinstance(m, nn.BatchNorm2d) for m in body) == 2


def test_small_cnn_is_as_small_as_its_documentation_says():
    model = models.small_cnn(10, generator=seeded())
    assert round(sum(p.numel() for p in model.parameters()), -3) == 38_000


def test_weights_come_from_the_generator_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = models.small_cnn(10, generator=seeded(0))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(first, models.small_cnn(10, generator=seeded(0)))
    assert not same(first, models.small_cnn(10, generator=seeded(1)))


def test_weights_have_the_documented_variance():
    model = models.small_cnn(10, generator=seeded())
    layer = next(m for m in model.body if isinstance(m, nn.Linear))
    assert layer.weight.var().item() == pytest.approx(2 / layer.in_features, rel=0.05)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert module.bias.abs().max() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_classes": 1}, r"num_classes must lie in \[2, inf\), got 1; does the"),
        ({"in_channels": 0}, r"in_channels must lie in \[1, inf\), got 0"),
        ({"image_size": 18}, "multiple of 4, got 18; both convolutions halve"),
        ({"image_size": 0}, "multiple of 4, got 0"),
    ],
)
def test_small_cnn_refuses(settings, message):
    settings = {"num_classes": 10, "generator": seeded(), **settings}
    with pytest.raises(ValueError, match="models.small_cnn: .*" + message):
        models.small_cnn(settings.pop("num_classes"), **settings)


def test_replace_head_keeps_the_body_and_draws_the_head_from_the_generator():
    model = models.small_cnn(10, generator=seeded()).double().eval()
    kept = {k: v.clone() for k, v in model.body.state_dict().items()}
    state = torch.get_rng_state()
    returned = models.replace_head(model, 3, generator=seeded(7))
    assert returned is model
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, kept[k]) for k, v in model.body.state_dict().items())
    assert (model.head.in_features, model.head.out_features) == (64, 3)
    assert model.head.weight.dtype == torch.float64
    assert not model.head.training
    assert all(p.requires_grad for p in model.head.parameters())
    again = models.replace_head(model.train(), 3, generator=seeded(7)).head
    assert again.training
    assert again.weight.std().item() == pytest.approx(math.sqrt(2 / 64), rel=0.2)
    assert torch.equal(again.weight, returned.head.weight)


def test_replace_head_draws_another_head_from_another_seed():
    model = models.small_cnn(10, generator=seeded())
    first = models.replace_head(model, 10, generator=seeded(1)).head.weight
    second = models.replace_head(model, 10, generator=seeded(2)).head.weight
    assert not torch.equal(first, second)


def test_replace_head_refuses_another_model_and_one_class():
    with pytest.raises(
        TypeError, match="1 x 1 convolution, got Linear; wrap its parts"
    ):
        models.replace_head(nn.Linear(2, 2), 3, generator=seeded())
    model = models.small_cnn(10, generator=seeded())
    with pytest.raises(ValueError, match="models.replace_head: num_classes must lie"):
        models.replace_head(model, 1, generator=seeded())


def weightless(name, **settings):
    """Build a model of torchvision on the meta device: shapes, no numbers, no memory.

    RegNet computes its widths with tensors, so `torch.device("meta")` is not enough.
    """
    import accelerate
    import torchvision

    if name in ("googlenet", "inception_v3"):
        settings["init_weights"] = False  # the other value takes a minute, and warns
    with accelerate.init_empty_weights():
        model = torchvision.models.get_model(name, weights=None, **settings)
    return model.to("meta").eval()


def heads_of(model):
    """Return what `replace_head` must change, by names written down by hand."""
    name = type(model).__name__
    single = {
        "classifier.6": ("AlexNet", "VGG"),
        "classifier.5": ("MaxVit",),
        "classifier.3": ("MobileNetV3",),
        "classifier.2": ("ConvNeXt",),
        "classifier.1": ("EfficientNet", "MNASNet", "MobileNetV2", "SqueezeNet"),
        "classifier": ("DenseNet",),
        "fc": ("RegNet", "ResNet", "ShuffleNetV2", "GoogLeNet", "Inception3"),
        "head": ("SwinTransformer",),
        "heads.head": ("VisionTransformer",),
    }
    (head,) = [key for key, names in single.items() if name in names]
    others = {"GoogLeNet": ["aux1.fc2", "aux2.fc2"], "Inception3": ["AuxLogits.fc"]}
    return [head, *others.get(name, [])]


def test_replace_head_covers_every_classifier_of_torchvision(subtests):
    import torchvision  # here, so that collecting the tests does not wait for it

    names = torchvision.models.list_models(module=torchvision.models)
    assert len(names) >= 80
    for name in names:
        with subtests.test(name):
            check_replaced_head(name)


def check_replaced_head(name):
    model = weightless(name)
    before = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    heads = heads_of(model)
    assert models.replace_head(model, 7, generator=seeded()) is model
    after = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert after.keys() == before.keys()
    changed = {key for key in after if after[key] != before[key]}
    assert {key.rpartition(".")[0] for key in changed} == set(heads)
    assert all(after[key] == (7, *before[key][1:]) for key in changed)
    side = 299 if name == "inception_v3" else 224
    images = torch.empty(2, 3, side, side, device="meta")
    assert model(images).shape == (2, 7)
    if len(heads) > 1:  # auxiliary heads answer in training only
        assert [tuple(x.shape) for x in model.train()(images)] == [(2, 7)] * len(heads)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "alexnet"])
def test_replace_head_of_torchvision_draws_from_the_generator_alone(name):
    import torchvision

    model = torchvision.models.get_model(name, weights=None).eval()
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    models.replace_head(model, 3, generator=seeded(7))
    assert torch.equal(torch.get_rng_state(), state)
    head = heads_of(model)[0]
    for key, value in model.state_dict().items():
        if key.rpartition(".")[0] != head:
            assert torch.equal(value, kept[key]), key
    layer = model.get_submodule(head)
    assert not layer.training and layer.bias.abs().max() == 0
    assert layer.weight.var().item() == pytest.approx(2 / layer.weight[0].numel(), 0.2)
    twin = models.replace_head(copy.deepcopy(model), 3, generator=seeded(7))
    assert torch.equal(twin.get_submodule(head).weight, layer.weight)


def test_replace_head_keeps_a_head_without_bias_without_one():
    model = models.replace_head(weightless("maxvit_t"), 7, generator=seeded())
    assert model.classifier[5].bias is None


def test_replace_head_tells_transformers_about_the_classes():
    import transformers

    config = transformers.BertConfig(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        num_labels=1,
    )
    model = transformers.BertForSequenceClassification(config)
    words = torch.ones(2, 3, dtype=torch.long)
    assert model(words, labels=torch.tensor([0.0, 1.0])).logits.shape == (2, 1)
    assert model.config.problem_type == "regression"  # as transformers concluded
    models.replace_head(model, 5, generator=seeded())
    answer = model(words, labels=torch.tensor([0, 4]))
    assert answer.logits.shape == (2, 5)
    expected = nn.functional.cross_entropy(answer.logits, torch.tensor([0, 4]))
    torch.testing.assert_close(answer.loss, expected)
    assert model.config.num_labels == model.num_labels == len(model.config.id2label)


@pytest.mark.parametrize(
    ("family", "head"),
    [
        ("Albert", "classifier"),
        ("Bart", "classification_head.out_proj"),
        ("Bert", "classifier"),
        ("Deberta", "classifier"),
        ("DistilBert", "classifier"),
        ("Electra", "classifier.out_proj"),
        ("Funnel", "classifier.linear_out"),
        ("GPT2", "score"),
        ("ModernBert", "classifier"),
        ("Roberta", "classifier.out_proj"),
        ("T5", "classification_head.out_proj"),
        ("XLM", "sequence_summary.summary"),
        ("XLNet", "logits_proj"),
    ],
)
def test_replace_head_covers_sequence_classification_of_transformers(family, head):
    import transformers

    kind = getattr(transformers, f"{family}ForSequenceClassification")
    with torch.device("meta"):
        model = kind(kind.config_class())
    before = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    models.replace_head(model, 7, generator=seeded())
    after = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    changed = {key.rpartition(".")[0] for key in after if after[key] != before[key]}
    assert changed == {head}
    assert model.get_submodule(head).weight.shape[0] == model.config.num_labels == 7


def test_replace_head_takes_a_plain_sequence_and_refuses_the_rest():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    models.replace_head(model, 9, generator=seeded())
    assert model(torch.zeros(1, 4)).shape == (1, 9)
    import torchvision

    segmentation = torchvision.models.get_model(
        "lraspp_mobilenet_v3_large", weights=None, weights_backbone=None
    )
    for other in (
        nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)),  # ends in something else
        nn.ModuleDict({"last": nn.Linear(2, 2)}),  # no name says that it is the head
        nn.Identity(),
        segmentation.backbone,
    ):
        with pytest.raises(TypeError, match=f"got {type(other).__name__}; wrap"):
            models.replace_head(other, 3, generator=seeded())
    with pytest.raises(ValueError, match=r"num_classes must lie in \[2, inf\), got 1"):
        models.replace_head(model, 1, generator=seeded())


def test_body_head_refuses_parts_that_do_not_fit():
    with pytest.raises(ValueError, match="must take feature_dim = 4 .* in_features 5"):
        models.BodyHead(nn.Flatten(), nn.Linear(5, 2), feature_dim=4)
    with pytest.raises(ValueError, match=r"feature_dim must lie in \[1, inf\), got 0"):
        models.BodyHead(nn.Flatten(), nn.Identity(), feature_dim=0)
    model = models.BodyHead(nn.Flatten(), nn.Linear(4, 2), feature_dim=4)
    with pytest.raises(ValueError, match=r"shape \(n, 4\), got shape \(3, 9\); does"):
        model(torch.zeros(3, 1, 3, 3))
    model = models.BodyHead(nn.Identity(), nn.Linear(4, 2), feature_dim=4)
    with pytest.raises(ValueError, match=r"got shape \(3, 1, 4\); does the body end"):
        model(torch.zeros(3, 1, 4))


def test_redraw_keeps_the_structure_and_nothing_else():
    model = models.small_cnn(10, generator=seeded())
    model(torch.rand(8, 1, 16, 16))  # moves the running statistics
    fresh = models.redraw(model, generator=seeded(1))
    assert str(fresh) == str(model)
    weights = zip(fresh.state_dict().items(), model.state_dict().values(), strict=True)
    for (name, new), old in weights:
        # Scale and shift of batch normalisation start at 1 and 0 in any network.
        assert new.shape == old.shape
        assert "weight" not in name or new.std() == 0 or not torch.equal(new, old)
    assert fresh.body[1].num_batches_tracked == 0
    assert fresh.body[1].running_mean.abs().sum() == 0


def test_redraw_depends_on_its_generator_alone():
    trained, other = (models.small_cnn(10, generator=seeded(k)) for k in (0, 1))
    state = torch.get_rng_state()
    first = models.redraw(trained, generator=seeded(7))
    torch.manual_seed(99)
    assert same(first, models.redraw(other, generator=seeded(7)))
    assert not same(first, models.redraw(other, generator=seeded(8)))
    assert same(trained, models.small_cnn(10, generator=seeded(0)))
    torch.set_rng_state(state)
    models.redraw(trained, generator=seeded(7))
    assert torch.equal(torch.get_rng_state(), state)


def test_redraw_refuses_what_it_would_copy():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

    with pytest.raises(ValueError, match=r"reset_parameters, got none in 1 \(Scale\)"):
        models.redraw(nn.Sequential(nn.Linear(2, 2), Scale()), generator=seeded())


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "vit_b_32"])
def test_body_and_head_takes_a_classifier_apart_without_copying(name):
    import torchvision

    model = torchvision.models.get_model(name, weights=None).eval()
    images = torch.rand(2, 3, 224, 224, generator=seeded())
    weights = {id(p) for p in model.parameters()}
    with torch.no_grad():
        expected = model(images)
        parts = models.body_and_head(model)
        assert torch.equal(parts(images), expected)
        assert parts.body(images).shape == (2, parts.feature_dim)
    assert parts.body is model
    assert not any(module.training for module in parts.modules())
    assert {id(p) for p in parts.parameters()} == weights
    assert len(list(parts.head.parameters())) == 2
    assert models.replace_head(parts, 5, generator=seeded()) is parts
    assert parts(images).shape == (2, 5)


def test_body_and_head_keeps_the_mode():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4, 3))
    parts = models.body_and_head(model.train())
    assert all(module.training for module in parts.modules())
    assert isinstance(model[2], nn.Identity)


@pytest.mark.parametrize(
    ("name", "came"),
    [("squeezenet1_1", "Conv2d in SqueezeNet"), ("googlenet", "several in GoogLeNet")],
)
def test_body_and_head_refuses_other_heads_and_changes_nothing(name, came):
    model = weightless(name)
    before = str(model)
    with pytest.raises(TypeError, match=f"must be one linear layer .*, got {came}; re"):
        models.body_and_head(model)
    assert str(model) == before
    slim = weightless("googlenet", aux_logits=False)
    assert models.body_and_head(slim).feature_dim == 1024


def test_body_and_head_refuses_models_that_return_no_tensor():
    import transformers

    with torch.device("meta"):
        model = transformers.GPT2ForSequenceClassification(transformers.GPT2Config())
    with pytest.raises(TypeError, match="returns the logits, got Linear in GPT2For"):
        models.body_and_head(model)
