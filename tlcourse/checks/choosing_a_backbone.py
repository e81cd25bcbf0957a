"""Checks of the exercises of the chapter on choosing a backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from tlcourse.checks._asking import Ask, Wrong, exercise, open_question, show

__all__ = [
    "choose",
    "first_layer",
    "for_keras",
    "regret",
    "replace_head",
    "unknown_weights",
    "which_price",
]

Array: TypeAlias = np.ndarray[Any, Any]
Mistakes: TypeAlias = dict[str, Callable[..., Any]]
State: TypeAlias = dict[str, Tensor]


@exercise(points=2)
def which_price(ask: Ask) -> None:
    """Ask which price, or what else, matters in which situation."""
    right = {
        "telephone": "960a41d07e16",
        "download": "908b9e80d75d",
        "batch": "717c09666e90",
        "half the side": "85045aff7a70",
        "twin": "6d3af058404f",
    }
    hints = {
        "eb55256e3b43": (
            "parameters are stored once; the wait comes from what is done a picture"
        ),
        "ca519d262a06": (
            "activation memory is kept for a backward pass; nothing is trained here"
        ),
        "b5eb42b74186": (
            "what it has learned decides how good it is, not how long it takes"
        ),
        "80335c111b51": (
            "operations are paid at every picture, not when the file is sent"
        ),
        "8bec68022229": "activation memory is not in the file",
        "66b0ccd0cb23": (
            "what it has learned changes the numbers in the file, not how many"
        ),
        "155ca0f419d7": "the parameters are the same for every size of the batch",
        "e8a05a3fb7e9": "operations take time, not memory",
        "e1471942ed48": "what it has learned needs no more memory for larger batches",
        "06cc9bff7d79": "half the side is a quarter of the operations",
        "eaccce0ee868": "half the side is a quarter of the activation memory",
        "17582d6f03e5": (
            "trained weights may do worse on smaller pictures; one price is asked"
        ),
        "878f5824d530": "the twins have equally many parameters",
        "7b6a7cd8594c": "the twins do the same operations",
        "ad54f1d8ef05": "the twins keep the same memory",
    }
    ask.choices(right, "ABCD", hints)


@exercise(points=2)
def first_layer(ask: Ask) -> None:
    """Ask for the three prices of ResNet18's first layer."""
    weights, places = 49 * 3 * 64, 112 * 112
    parameters = {
        "this layer has no bias": weights + 64.0,
        "the kernel has 7 times 7 places, not 7": 7 * 3 * 64.0,
        "each of the 64 channels has weights for all three colours": 49 * 64.0,
        "64 channels come out: each has weights of its own": 49 * 3.0,
        "64 channels come out: multiply by 64, and there is no bias": 49 * 3 + 1.0,
        "parameters do not depend on the size of the picture": weights * places,
        "the kernel is 7 by 7 here, not 3 by 3": 9 * 3 * 64.0,
        "these are bytes: count the weights": 4.0 * weights,
        "weights are not operations: count each once": 2.0 * weights,
    }
    right = 2.0 * weights * places
    operations = {
        "a multiplication and an addition are two operations": right / 2,
        "stride 2: the result has 112 by 112 places": 4 * right,
        "stride 2 halves both sides: 112 by 112, not 112 by 224": 2 * right,
        "each place of the result pays: multiply by 112 times 112": 2.0 * weights,
        "multiply by both sides of the result": 2.0 * weights * 112,
        "the kernel has 7 times 7 places, not 7": right / 7,
        "each of the 64 channels reads all three colours": right / 3,
        "64 channels come out: multiply by 64": right / 64,
        "without padding there would be 109 by 109 places; here there are 112": (
            2.0 * weights * 109**2
        ),
        "these are the operations of a kernel of 3 by 3": right * 9 / 49,
        "there is no bias to add": right + 64 * places,
    }
    memory = 4.0 * 64 * places
    kept = {
        "each number takes four bytes": memory / 4,
        "float32 takes four bytes, not two": memory / 2,
        "float32 takes four bytes, not eight": 2 * memory,
        "stride 2: the result has 112 by 112 places": 4 * memory,
        "64 channels come out, not three": memory * 3 / 64,
        "multiply by 64 channels": memory / 64,
        "multiply by both sides of the result": 4.0 * 64 * 112,
        "the result is wanted, not the weights": 4.0 * weights,
        "this is the picture that goes in": 4.0 * 3 * 224**2,
        "bytes are wanted, not KiB": memory / 2**10,
        "bytes are wanted, not MiB": memory / 2**20,
        "bytes are wanted, not megabytes": memory / 1e6,
        "four bytes a number, not 32: float32 counts bits": 8 * memory,
    }
    expected = {"parameters": float(weights), "operations": right, "bytes": memory}
    mistakes = {"parameters": parameters, "operations": operations, "bytes": kept}
    ask.numbers(expected, mistakes)


def _column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(3, 1, 1)


_MEAN, _STD = _column(0.485, 0.456, 0.406), _column(0.229, 0.224, 0.225)
_BLUE_FIRST = _column(103.9, 116.8, 123.7)


def _normalised() -> Iterator[tuple[str, tuple[Tensor]]]:
    """Yield pictures as torchvision's weights want them."""
    rng = torch.Generator().manual_seed(20262)

    def pictures(n: int, h: int, w: int) -> Tensor:
        return torch.rand(n, 3, h, w, generator=rng, dtype=torch.float64)

    def ready(images: Tensor) -> tuple[Tensor]:
        return ((images - _MEAN) / _STD,)

    yield "one orange pixel", ready(_column(1, 128 / 255, 0)[None])
    yield "a random picture", ready(pictures(1, 2, 3))
    yield "four pictures of 3 x 5", ready(pictures(4, 3, 5))
    (images,) = ready(pictures(2, 4, 4))
    yield "single precision", (images.float(),)
    yield "three pictures of 3 x 3", ready(pictures(3, 3, 3))
    yield "black and white pictures", ready(pictures(5, 6, 6).round())


@exercise(points=3)
def for_keras(ask: Ask) -> None:
    """Ask for pictures as the weights of Keras' VGG16 want them."""

    def plain(x: Tensor) -> Tensor:
        return x.double() * _STD + _MEAN

    def last(x: Tensor) -> Tensor:
        return x.movedim(1, 3)

    def reference(x: Tensor) -> Tensor:
        return last(255 * plain(x).flip(1) - _BLUE_FIRST)

    mistakes: Mistakes = {
        "the colours come first: Keras wants them last, (n, h, w, 3)": (
            lambda x: reference(x).movedim(3, 1)
        ),
        "red comes first: exchange the colours, for the means fit blue first": (
            lambda x: last(255 * plain(x) - _BLUE_FIRST)
        ),
        "red comes first: the colours must be exchanged": (
            lambda x: last(255 * plain(x) - _BLUE_FIRST.flip(0))
        ),
        "the means are in the wrong order: 103.9 belongs to blue": (
            lambda x: last(255 * plain(x).flip(1) - _BLUE_FIRST.flip(0))
        ),
        "torchvision's normalisation is still in: undo it first": (
            lambda x: last(255 * x.double().flip(1) - _BLUE_FIRST)
        ),
        "torchvision's normalisation is still in, and values are not up to 255": (
            lambda x: last(x.double().flip(1) - _BLUE_FIRST)
        ),
        "only the colours were exchanged: undo the normalisation and subtract means": (
            lambda x: last(x.double().flip(1))
        ),
        "values reach 1 only: multiply by 255 before the means go off": (
            lambda x: last(plain(x).flip(1) - _BLUE_FIRST)
        ),
        "the means go off before the factor 255: multiply first": (
            lambda x: last(255 * (plain(x).flip(1) - _BLUE_FIRST))
        ),
        "the means are not subtracted": lambda x: last(255 * plain(x).flip(1)),
        "neither 255 nor the means: these are plain pixels, blue first": (
            lambda x: last(plain(x).flip(1))
        ),
        "the means are added: subtract them": (
            lambda x: last(255 * plain(x).flip(1) + _BLUE_FIRST)
        ),
        "nothing is divided: only the means go off": (
            lambda x: last((255 * plain(x).flip(1) - _BLUE_FIRST) / _STD.flip(0))
        ),
        "divided by 255 times the deviations: nothing is divided": (
            lambda x: last((255 * plain(x).flip(1) - _BLUE_FIRST) / _STD.flip(0) / 255)
        ),
        "the deviations are not undone: multiply by them before adding the means": (
            lambda x: last(255 * (x.double() + _MEAN).flip(1) - _BLUE_FIRST)
        ),
        "torchvision's means are not added back": (
            lambda x: last(255 * (x.double() * _STD).flip(1) - _BLUE_FIRST)
        ),
        "added the means before multiplying by the deviations: the other order": (
            lambda x: last(255 * ((x.double() + _MEAN) * _STD).flip(1) - _BLUE_FIRST)
        ),
        "the colours were exchanged before torchvision's normalisation was undone": (
            lambda x: last(255 * plain(x.flip(1)) - _BLUE_FIRST)
        ),
        "the picture is mirrored: exchange the colours, not the columns": (
            lambda x: last(255 * plain(x).flip(3) - _BLUE_FIRST)
        ),
        "height and width are exchanged: move the colours, leave the rest in order": (
            lambda x: reference(x).transpose(1, 2)
        ),
        "127.5 is no mean of these weights: take the three numbers": (
            lambda x: last(255 * plain(x).flip(1) - 127.5)
        ),
        "reshaped, not moved: the colours are mixed up with the places": (
            lambda x: (255 * plain(x).flip(1) - _BLUE_FIRST).reshape(last(x).shape)
        ),
        "cut off at 0: negative values are right here": lambda x: reference(x).clamp(0),
        "the pixels were rounded to whole numbers: leave them as they are": (
            lambda x: last((255 * plain(x)).round().flip(1) - _BLUE_FIRST)
        ),
        "the pixels were cut off to whole numbers: leave them as they are": (
            lambda x: last((255 * plain(x) + 1e-4).floor().flip(1) - _BLUE_FIRST)
        ),
    }
    ask.each(_normalised(), reference, mistakes, tolerance=5e-4)


def _networks() -> Iterator[tuple[str, tuple[State, int, int]]]:
    """Yield weights whose heads have other names and forms."""
    rng = torch.Generator().manual_seed(20263)

    def state(**shapes: tuple[int, ...]) -> State:
        return {
            name.replace("__", "."): torch.randn(shape, generator=rng)
            for name, shape in shapes.items()
        }

    body = {"conv__weight": (12, 3, 3, 3), "norm__weight": (12,), "norm__bias": (12,)}
    fc = {"fc__weight": (10, 12), "fc__bias": (10,)}
    yield "a head called fc", (state(**body, **fc), 10, 2)
    other = {"classifier__1__weight": (10, 12), "classifier__1__bias": (10,)}
    yield "another name", (state(**body, **other), 10, 3)
    wide = {"classifier__1__weight": (10, 12, 1, 1), "classifier__1__bias": (10,)}
    yield "a convolution as head", (state(**body, **wide), 10, 2)
    extra = {"aux__fc__weight": (10, 4), "aux__fc__bias": (10,)}
    yield "two heads", (state(**body, **extra, **fc), 10, 4)
    yield "a head without bias", (state(**body, classifier__weight=(10, 12)), 10, 2)
    yield "more classes than before", (state(**body, **fc), 10, 15)
    deep = {"mix__weight": (12, 10), "mix__bias": (12,), "head__weight": (10, 12)}
    yield "a layer of the body that reads ten numbers", (state(**body, **deep), 10, 2)
    first = {"head__weight": (7, 12), "head__bias": (7,)}
    yield "the head stands first, with 7 classes", (state(**first, **body), 7, 2)


@exercise(points=3)
def replace_head(ask: Ask) -> None:
    """Ask for weights whose heads, whatever their names, have been replaced."""

    def heads(state: State, old: int) -> list[str]:
        found = [n for n, x in state.items() if x.ndim > 1 and len(x) == old]
        return [n.removesuffix(".weight") for n in found]

    def made(
        state: State,
        old: int,
        new: int,
        *,
        keep: Callable[[str, State], bool] = lambda head, state: True,
        parts: tuple[str, ...] = ("weight", "bias"),
        value: Callable[..., Tensor] = torch.zeros,
    ) -> State:
        found = dict(state)
        for head in heads(state, old):
            for name in (f"{head}.{part}" for part in parts):
                if name in state and keep(head, state):
                    found[name] = value(new, *state[name].shape[1:])
        return found

    def outputs(head: str, state: State) -> int:
        return len(state[f"{head}.weight"])

    def having(**how: Any) -> Callable[..., Any]:
        return lambda state, old, new: made(state, old, new, **how)

    def without(state: State, old: int, new: int) -> State:
        dropped = tuple(heads(state, old))
        return {n: x for n, x in state.items() if not n.startswith(dropped)}

    def ending(state: State) -> str:
        return [n for n, x in state.items() if x.ndim > 1][-1].removesuffix(".weight")

    mistakes: Mistakes = {
        "nothing was replaced: look for the layers with `old` outputs": (
            lambda state, old, new: state
        ),
        "`old` is not used: heads have not always ten outputs": (
            lambda state, old, new: made(state, 10, new)
        ),
        "only a head called fc is found: look at the shapes, not at the names": (
            having(keep=lambda head, state: head == "fc")
        ),
        "only names that end in fc are found: look at the shapes": (
            having(keep=lambda head, state: head.endswith("fc"))
        ),
        "only names with classifier are found: look at the shapes": (
            having(keep=lambda head, state: "classifier" in head)
        ),
        "names other than fc and classifier are missed: look at the shapes": (
            having(keep=lambda head, state: "fc" in head or "classifier" in head)
        ),
        "only linear heads are found: a head may be a convolution": (
            having(keep=lambda head, state: state[f"{head}.weight"].ndim == 2)
        ),
        "only the last layer with weights is replaced: auxiliary heads go as well": (
            having(keep=lambda head, state: head == ending(state))
        ),
        "only the first head was replaced": (
            having(
                keep=lambda head, state: head == heads(state, outputs(head, state))[0]
            )
        ),
        "heads without bias are missed": (
            having(keep=lambda head, state: f"{head}.bias" in state)
        ),
        "the bias has the old classes still": having(parts=("weight",)),
        "only the bias is new: the weight has the old classes still": (
            having(parts=("bias",))
        ),
        "the new weights must be 0, yours are 1": having(value=torch.ones),
        "the old heads are gone, but there are no new ones": without,
        "the head has the old number of classes still, with weights of 0": (
            lambda state, old, new: made(state, old, old)
        ),
        "the new head has two outputs whatever is asked: it must have `new`": (
            lambda state, old, new: made(state, old, 2)
        ),
        "the body is 0 as well: leave it as it is": lambda state, old, new: {
            n: 0 * x for n, x in made(state, old, new).items()
        },
        "the first rows of the old head are kept: old classes are not new ones": (
            lambda state, old, new: {
                n: x[:new] if len(x) == old and n not in ("mix.weight",) else x
                for n, x in state.items()
            }
        ),
        "a new head reads as many numbers as the old one: shape (new, ...)": (
            lambda state, old, new: {
                n: torch.zeros(x.shape[1], new) if x.ndim == 2 and len(x) == old else x
                for n, x in made(state, old, new, parts=("bias",)).items()
            }
        ),
        "a convolution became a linear layer: keep its other dimensions": (
            lambda state, old, new: {
                n: x.flatten(1) if n.removesuffix(".weight") in heads(state, old) else x
                for n, x in made(state, old, new).items()
            }
        ),
        "there is a bias where there was none": lambda state, old, new: {
            **made(state, old, new),
            **{f"{head}.bias": torch.zeros(new) for head in heads(state, old)},
        },
        "a layer that only reads `old` numbers was replaced: it belongs to the body": (
            lambda state, old, new: {
                n: 0 * x[:, :1].repeat(1, new) if n == "mix.weight" else x
                for n, x in made(state, old, new).items()
            }
        ),
        "names that are not a head's are missing: return the whole dict": (
            lambda state, old, new: {
                n: x
                for n, x in made(state, old, new).items()
                if n.startswith(tuple(heads(state, old)))
            }
        ),
    }
    symptoms = {
        "a new layer hangs under a name that the network lacks, and never runs": (
            lambda came, state, old, new: set(came) > set(state)
        ),
        "the old head is gone, and a layer under another name is no head here": (
            lambda came, state, old, new: bool(set(came) - set(state))
        ),
    }
    ask.each(_networks(), made, mistakes, symptoms)


def _draws() -> Iterator[tuple[str, tuple[Array, Array, Array]]]:
    """Yield which pictures candidates got right, and draws of validation pictures."""
    rng = np.random.default_rng(20284)

    def hits(skill: list[float], n: int) -> Array:
        return rng.random((len(skill), n)) < np.array(skill)[:, None]

    def rows(draws: int, size: int, n: int) -> Array:
        return np.stack([rng.permutation(n)[:size] for _ in range(draws)])

    skill = [0.6, 0.9, 0.75, 0.8]
    for asked, draws, size in (
        ("draws of four", 30, 4),
        ("draws of three", 41, 3),
        ("draws of one", 26, 1),
        ("draws of five", 35, 5),
        ("large draws", 30, 9),
    ):
        alike = hits([0.6, 0.7, 0.65, 0.7], 30)
        yield asked, (alike, hits(skill, 60 + draws), rows(draws, size, 11))
    yield "one draw", (hits(skill, 40), hits(skill, 50), rows(1, 4, 40))
    same = np.tile(hits([0.5], 20), (3, 1)), hits([0.9, 0.5, 0.7], 50), rows(9, 6, 20)
    yield "nothing but ties", same
    yield "one candidate", (hits([0.5], 20), hits([0.5], 20), rows(8, 4, 20))


@exercise(points=2)
def regret(ask: Ask) -> None:
    """Ask what choosing by few validation pictures costs."""

    def scores(validation: Array, rows: Array) -> Array:
        found: Array = validation[:, rows].mean(2)  # (m, draws)
        return found

    def each(v: Array, t: Array, rows: Array) -> Array:
        found: Array = t.mean(1).max() - t.mean(1)[scores(v, rows).argmax(0)]
        return found

    def reference(v: Array, t: Array, rows: Array) -> float:
        return float(each(v, t, rows).mean())

    mistakes: Mistakes = {
        "one regret for each draw came: take the mean": each,
        "the sum over the draws: take the mean": lambda *g: each(*g).sum(),
        "only the first draw counts: take the mean over all": lambda *g: each(*g)[0],
        "only the last draw counts: take the mean over all": lambda *g: each(*g)[-1],
        "the largest regret: take the mean": lambda *g: each(*g).max(),
        "the median: take the mean": lambda *g: np.median(each(*g)),
        "the share of draws with a wrong choice: how much it costs is asked": (
            lambda *g: (each(*g) > 0).mean()
        ),
        "in percent: accuracies are fractions": lambda *g: 100 * each(*g).mean(),
        "chosen on the test pictures: then there is no regret": lambda *g: 0.0,
        "chosen by all validation pictures: use those of each draw": (
            lambda v, t, r: t.mean(1).max() - t.mean(1)[v.mean(1).argmax()]
        ),
        "chosen once, by the mean over the draws: each draw makes its own choice": (
            lambda v, t, r: t.mean(1).max() - t.mean(1)[scores(v, r).mean(1).argmax()]
        ),
        "the regret is measured on the validation pictures: take the test": (
            lambda v, t, r: reference(v, v, r)
        ),
        "validation minus test of the winner: that is how much its score flatters": (
            lambda v, t, r: (
                scores(v, r).max(0).mean() - t.mean(1)[scores(v, r).argmax(0)].mean()
            )
        ),
        "best minus mean of all candidates: this is the regret of choosing by lot": (
            lambda v, t, r: t.mean(1).max() - t.mean()
        ),
        "best minus worst candidate: this is the largest possible regret": (
            lambda v, t, r: np.ptp(t.mean(1))
        ),
        "the worst on the draw is chosen: take the best": (
            lambda v, t, r: (t.mean(1).max() - t.mean(1)[scores(v, r).argmin(0)]).mean()
        ),
        "with ties the last is taken: take the first": lambda v, t, r: reference(
            v[::-1], t[::-1], r
        ),
        "this is the accuracy of the chosen one: subtract it from the best": (
            lambda v, t, r: t.mean(1)[scores(v, r).argmax(0)].mean()
        ),
        "this is the best accuracy: subtract that of the chosen one": (
            lambda v, t, r: t.mean(1).max()
        ),
        "divided by the best accuracy: the difference is asked": (
            lambda v, t, r: reference(v, t, r) / t.mean(1).max()
        ),
        "divided by the draws less one: the mean divides by their number": (
            lambda v, t, r: each(v, t, r).sum() / max(len(r) - 1, 1)
        ),
        "validation and test are exchanged": (
            lambda v, t, r: reference(t, v, r % t.shape[1])
        ),
    }

    def by_lot(came: Any, v: Array, t: Array, rows: Array) -> bool:
        """Return whether other ways to break ties could give this regret."""
        best, tests = scores(v, rows) == scores(v, rows).max(0), t.mean(1)[:, None]
        most = (tests.max() - np.where(best, tests, 2.0).min(0)).mean()
        least = (tests.max() - np.where(best, tests, -1.0).max(0)).mean()
        steps = float(came) * len(rows) * t.shape[1]  # all accuracies are shares
        between = least - 1e-9 <= float(came) <= most + 1e-9
        return bool(between and abs(steps - round(steps)) < 1e-3)

    symptoms = {
        "with ties another is taken, or one by lot: take the first of them": by_lot
    }
    ask.each(_draws(), reference, mistakes, symptoms)


def _candidates() -> Iterator[tuple[str, tuple[Any, ...], Array]]:
    """Yield features of candidates, and the hidden labels of the test pictures.

    One candidate has so many numbers, without a meaning, that a head learns the
    labelled pictures by heart. Each question gives them other names. The numbers of
    labelled and of validation pictures are primes: a share tells of which it is one.
    """
    rng = np.random.default_rng(20302)
    for asked, n, letters in (
        ("41 labelled pictures", 41, "CDAB"),
        ("61 labelled pictures", 61, "DCBA"),
    ):
        labels = rng.permutation(np.arange(n + 479) % 2)
        features = {}
        for letter, skill in zip(letters, (1.3, 2.2, 7.0), strict=False):
            x = rng.standard_normal((len(labels), 4))
            x[:, 0] += skill * (labels - 0.5)
            turned = np.linalg.qr(rng.standard_normal((4, 4))).Q
            features[letter] = x @ turned * 10 ** ((skill - 1.3) / 3)
        features[letters[3]] = rng.standard_normal((len(labels), 300))
        rows = np.split(rng.permutation(len(labels)), [n, n + 179])
        shown = labels.copy()
        shown[rows[2]] = -1
        yield asked, (dict(sorted(features.items())), shown, *rows), labels[rows[2]]


def _probe(x: Array, y: Array, fit: Array, asked: Array) -> Array:
    """Return the answers of a linear head to features."""
    from sklearn import linear_model, pipeline, preprocessing

    logistic = linear_model.LogisticRegression(C=1.0, max_iter=1000)
    head = pipeline.make_pipeline(preprocessing.StandardScaler(), logistic)
    found: Array = head.fit(x[fit], y[fit]).predict(asked)
    return found


@exercise(points=4)
def choose(ask: Ask) -> None:
    """Ask for a backbone chosen by validation, and for its answers on the test."""
    for asked, given, hidden in _candidates():
        _judge(asked, given, hidden, ask.call(asked, given))


def _judge(asked: str, given: tuple[Any, ...], hidden: Array, came: Any) -> None:
    """Raise what is wrong with a choice."""

    def demand(true: bool, must: str, got: Any, hint: str) -> None:
        if not true:
            raise Wrong(asked, must, got if isinstance(got, str) else show(got), hint)

    features, labels, labelled, validation, test = given
    keys = "a dict with the keys 'validation', 'chosen', 'answers'"
    fits = isinstance(came, dict) and set(came) == {"validation", "chosen", "answers"}
    demand(fits, keys, came, f"return {keys}")
    said, chosen = came["validation"], came["chosen"]
    must = "a dict with an accuracy for each candidate"
    fits = isinstance(said, dict) and set(said) == set(features)
    demand(fits, must, said, f"'validation': {must}")
    own = np.array([float(said[name]) for name in features])
    inside = bool(((own >= 0) & (own <= 1)).all())
    demand(inside, "fractions", own, "accuracies are fractions between 0 and 1")
    answers = np.asarray(came["answers"], dtype=np.float64)
    got, must = f"shape {answers.shape}", f"shape {test.shape}"
    hint = "'answers' must be one class for each test picture"
    demand(answers.shape == test.shape, must, got, hint)
    hint = (
        "-1 is no class: are test pictures in the fit, or is yours the sign of a score?"
    )
    demand(-1.0 not in answers, "0 or 1", "an answer of -1", hint)
    hint = "the classes are 0 and 1: no score or probability is wanted"
    demand(set(answers) <= {0.0, 1.0}, "0 or 1", got, hint)

    def accuracies(fit: Array, rows: Array) -> Array:
        found = [_probe(x, labels, fit, x[rows]) for x in features.values()]
        return np.array([(f == labels[rows]).mean() for f in found])

    def shares(rows: Array) -> bool:
        return bool(np.allclose(own * len(rows), np.rint(own * len(rows)), atol=1e-3))

    right = accuracies(labelled, validation)
    misjudged = shares(labelled) and not shares(validation)
    if misjudged or np.abs(own - right).max() >= 0.3:
        both = np.concatenate([labelled, validation])
        near = {
            "these are accuracies on the labelled pictures: take the validation ones": (
                accuracies(labelled, labelled)
            ),
            "the validation pictures were in the fit: fit on the labelled ones only": (
                accuracies(both, validation)
            ),
            "the head was fitted on the validation pictures that judge it": (
                accuracies(validation, validation)
            ),
            "fitted on validation, judged on labelled pictures: the other way round": (
                accuracies(validation, labelled)
            ),
            "these are shares of errors, not of right answers": 1 - right,
        }
        apart = {hint: float(np.abs(own - x).max()) for hint, x in near.items()}
        hint = min(apart, key=lambda key: apart[key])
        if apart[hint] > 0.1 and misjudged:
            hint = "these are shares of the labelled pictures: judge on validation"
        elif apart[hint] > 0.1:
            hint = "a linear head, fitted on standardised labelled pictures, has others"
        demand(False, "other accuracies", own.round(3), hint)
    names = list(features)
    fits = isinstance(chosen, str) and chosen in names
    demand(fits, f"one of {names}", show(chosen), "'chosen' must be a candidate's name")
    hint = "choose the candidate with the highest validation accuracy"
    if said[chosen] == own.min():
        hint = "the lowest validation accuracy was chosen: take the highest"
    trained = accuracies(labelled, labelled)
    if trained[names.index(chosen)] == trained.max():
        hint = "chosen by the labelled pictures, which it has learned by heart"
    demand(said[chosen] == own.max(), "another candidate", chosen, hint)
    found = (answers == hidden).mean()
    hint = "the answers are hardly right: are they in the order of the test rows?"
    for name in names:
        if name == chosen:
            continue
        x, shown = features[name], features[chosen][test]
        if (_probe(x, labels, labelled, x[test]) == answers).mean() > 0.95:
            hint = f"these look like the answers of {name!r}, not of the chosen one"
        if x.shape[1] == shown.shape[1] and (
            (_probe(x, labels, labelled, shown) == answers).mean() > 0.95
        ):
            hint = f"the head of {name!r} answered: does each candidate keep its own?"
    hint = "worse than guessing: are the classes exchanged?" if found < 0.2 else hint
    must = "a test accuracy of 0.9 or more"
    demand(bool(found >= 0.9), must, f"{found:.3f}", hint)


unknown_weights = open_question(points=4)
