"""Answers to the exercises on choosing a backbone: right ones, wrong ones with hints.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from exercises.variants._common import BLANK, stub
from sklearn import discriminant_analysis, linear_model, pipeline, preprocessing, svm

PRICES = dict(
    zip(
        ("telephone", "download", "batch", "half the side", "twin"),
        "BACAD",
        strict=True,
    )
)
P, OPS, M = 9408, 236027904, 3211264


def price(name, letter):
    return PRICES | {name: letter}


def three(parameters=P, operations=OPS, memory=M):
    return {"parameters": parameters, "operations": operations, "bytes": memory}


def raises(*_):
    raise KeyError("fc")


def broken(value):
    """Wrong in ways that do not depend on the exercise."""
    return [
        (BLANK, ...),
        (BLANK, stub),
        ("is there a return", lambda *_: None),
        ("must be a function", value),
        ("raised an error", raises),
        ("raised an error", lambda one, two, three, four: value),
        ("raised an error", lambda *_: {1j}),
    ]


# Pictures

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(3, 1, 1)
BLUE = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64)


def plain(images):
    return images * STD + MEAN


def keras(images):
    return (255 * plain(images)).flip(1).movedim(1, 3) - BLUE


def keras_numpy(images):
    x = images.numpy().transpose(0, 2, 3, 1)
    x = x * np.array([0.229, 0.224, 0.225]) + np.array([0.485, 0.456, 0.406])
    return 255 * x[..., ::-1] - np.array([103.939, 116.779, 123.68])


def keras_loop(images):
    x, means = plain(images).mul(255).tolist(), BLUE.tolist()
    n, h, w = len(x), len(x[0][0]), len(x[0][0][0])
    return [
        [
            [[x[i][2 - k][a][b] - means[k] for k in range(3)] for b in range(w)]
            for a in range(h)
        ]
        for i in range(n)
    ]


def keras_float(images):
    red, green, blue = plain(images.float()).float().unbind(1)
    return torch.stack([blue, green, red], 3) * 255 - BLUE.float()


def keras_scaled(images):
    scale, shift = 255 * STD.flip(0), 255 * MEAN.flip(0) - BLUE.view(3, 1, 1)
    return (images.flip(1) * scale + shift).permute(0, 2, 3, 1)


def last(images):
    return images.movedim(1, 3)


def keras_whole(how):
    return lambda x: last(getattr(255 * plain(x) + 1e-4, how)().flip(1)) - BLUE


def keras_in_place(images):
    images *= STD
    images += MEAN
    return 255 * last(images.flip(1)) - BLUE


# Heads


def heads(state, old):
    return [
        n[: -len(".weight")] for n, x in state.items() if x.ndim > 1 and len(x) == old
    ]


def head(state, old, new):
    found = dict(state)
    for name in heads(state, old):
        for key in (f"{name}.weight", f"{name}.bias"):
            if key in state:
                found[key] = torch.zeros(new, *state[key].shape[1:])
    return found


def head_comprehension(state, old, new):
    mine = heads(state, old)
    return {
        n: x.new_zeros(new, *x.shape[1:]) if n.rpartition(".")[0] in mine else x
        for n, x in state.items()
    }


def head_numpy(state, old, new):
    return {n: x.numpy().astype(np.float64) for n, x in head(state, old, new).items()}


def head_lists(state, old, new):
    return {n: x.tolist() for n, x in reversed(head(state, old, new).items())}


def head_single_rows(state, old, new):
    found = {n: x.clone() for n, x in state.items()}
    for n, x in state.items():
        if n.endswith(".weight") and x.ndim >= 2 and x.shape[0] == old:
            found[n] = torch.stack([torch.zeros_like(x[0])] * new)
            bias = n.replace(".weight", ".bias")
            if bias in found:
                found[bias] = torch.stack([torch.zeros(())] * new)
    return found


def limited(keep, parts=("weight", "bias"), value=torch.zeros):
    def answer(state, old, new):
        found = dict(state)
        for name in filter(keep, heads(state, old)):
            for key in (f"{name}.{part}" for part in parts):
                if key in state:
                    found[key] = value(new, *state[key].shape[1:])
        return found

    return answer


def linear_only(state, old, new):
    return limited(lambda n: state[f"{n}.weight"].ndim == 2)(state, old, new)


def with_bias_only(state, old, new):
    return limited(lambda n: f"{n}.bias" in state)(state, old, new)


def last_only(state, old, new):
    weights = [n for n, x in state.items() if x.ndim > 1]
    return limited(lambda n: f"{n}.weight" == weights[-1])(state, old, new)


def first_only(state, old, new):
    return limited(lambda n: n == heads(state, old)[0])(state, old, new)


def one_only(state, old, new):
    return limited(lambda n: n == heads(state, old)[-1])(state, old, new)


def flattened(state, old, new):
    found = head(state, old, new)
    for name in heads(state, old):
        found[f"{name}.weight"] = found[f"{name}.weight"].flatten(1)
    return found


def more_biases(state, old, new):
    return head(state, old, new) | {
        f"{name}.bias": torch.zeros(new) for name in heads(state, old)
    }


def reading(state, old, new):
    found = head(state, old, new)
    if "mix.weight" in found:
        found["mix.weight"] = torch.zeros(12, new)
    return found


def hung_under_fc(state, old, new):
    """Do what Python allows: write to a name, whether the network has it or not."""
    fc = {"fc.weight": torch.zeros(new, 12), "fc.bias": torch.zeros(new)}
    return state | fc


def renamed(state, old, new):
    found = {n.replace("classifier.1", "fc"): x for n, x in state.items()}
    return found | head(found, old, new)


def head_in_place(state, old, new):
    state.update(head(state, old, new))
    return state


# Regret


def chosen(v, rows):
    return v[:, rows].mean(2).argmax(0)


def regret(v, t, rows):
    return (t.mean(1).max() - t.mean(1)[chosen(v, rows)]).mean()


def regret_loop(v, t, rows):
    tests, total = [sum(x) / len(x) for x in t.tolist()], 0.0
    for row in rows.tolist():
        counts = [sum(bool(x[i]) for i in row) for x in v]
        total += max(tests) - tests[counts.index(max(counts))]
    return total / len(rows)


def regret_torch(v, t, rows):
    v, t = torch.from_numpy(v).double(), torch.from_numpy(t).double().mean(1)
    scores = v[:, torch.from_numpy(rows)].sum(2)
    best = [int((s == s.max()).nonzero()[0, 0]) for s in scores.T]
    return t.max() - t[best].mean()


def regret_take(v, t, rows):
    scores = np.take(v, rows, axis=1).sum(axis=-1)
    return np.float32(t.mean(1).max() - t.mean(1)[np.argmax(scores, axis=0)].mean())


def regret_counts(v, t, rows):
    n = t.shape[1]
    wins = np.bincount(chosen(v, rows), minlength=len(t)) / len(rows)
    return float((t.sum(1).max() - wins @ t.sum(1)) / n)


def by_lot(v, t, rows):
    """Break ties as the chapter does."""
    rng = np.random.default_rng(len(rows))
    scores = v[:, rows].mean(2) + 1e-6 * rng.random((len(v), len(rows)))
    return (t.mean(1).max() - t.mean(1)[scores.argmax(0)]).mean()


def each(v, t, rows):
    return t.mean(1).max() - t.mean(1)[chosen(v, rows)]


def regret_in_place(v, t, rows):
    found = regret(v, t, rows)
    rows.sort(axis=1)
    rows[:] = 0
    return found


# Choice


def fitted(x, y, rows, c=1.0):
    scaler = preprocessing.StandardScaler().fit(x[rows])
    model = linear_model.LogisticRegression(C=c, max_iter=2000)
    model.fit(scaler.transform(x[rows]), y[rows])
    return lambda z: model.predict(scaler.transform(z))


def choose(features, y, labelled, validation, test, fit=fitted, **how):
    rows = how.get("rows", lambda a, b, c: a)(labelled, validation, test)
    judge = how.get("judge", lambda a, b: b)(labelled, validation)
    models = {n: fit(x, y, rows) for n, x in features.items()}
    said = {
        n: float((models[n](x[judge]) == y[judge]).mean()) for n, x in features.items()
    }
    by = how.get("by", lambda said, models: said)(said, models)
    name = max(by, key=by.get)
    answers = models[name](features[name][test])
    return {"validation": said, "chosen": name, "answers": answers}


def fitted_weakly(x, y, rows):
    return fitted(x, y, rows, c=0.1)


def fitted_lda(x, y, rows):
    model = discriminant_analysis.LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage="auto"
    )
    return model.fit(x[rows], y[rows]).predict


def fitted_ridge(x, y, rows):
    mean, std = x[rows].mean(0), x[rows].std(0)
    z = np.c_[(x[rows] - mean) / std, np.ones(len(rows))]
    weights = np.linalg.solve(z.T @ z + 5 * np.eye(z.shape[1]), z.T @ (2 * y[rows] - 1))
    return lambda a: (np.c_[(a - mean) / std, np.ones(len(a))] @ weights > 0).astype(
        int
    )


def fitted_torch(x, y, rows):
    mean, std = x[rows].mean(0), x[rows].std(0)
    z = torch.tensor((x[rows] - mean) / std, dtype=torch.float32)
    weights, bias = torch.zeros(z.shape[1]), torch.zeros(())
    for _ in range(200):
        error = (z @ weights + bias).sigmoid() - torch.tensor(y[rows])
        weights -= 0.5 * (error @ z / len(z) + 0.01 * weights)
        bias -= 0.5 * error.mean()
    return lambda a: (((a - mean) / std) @ weights.numpy() + bias.item() > 0).astype(
        int
    )


def fitted_by(make, *steps):
    """Return a way to fit with other heads of scikit-learn."""

    def fit(x, y, rows):
        return (
            pipeline.make_pipeline(*(step() for step in steps), make())
            .fit(x[rows], y[rows])
            .predict
        )

    return fit


def choose_rounded(*given):
    found = choose(*given)
    said = {n: round(a, 2) for n, a in found["validation"].items()}
    return found | {"validation": said}


def choose_refitted(features, y, labelled, validation, test):
    """Fit the chosen head once more, with the validation pictures as well."""
    found = choose(features, y, labelled, validation, test)
    x, rows = features[found["chosen"]], np.concatenate([labelled, validation])
    return found | {"answers": fitted(x, y, rows)(x[test])}


def choose_with_one_head(features, y, labelled, validation, test):
    """Fit one object again and again, so that all names lead to the last fit."""
    scaler, models = preprocessing.StandardScaler(), {}
    one = pipeline.make_pipeline(scaler, linear_model.LogisticRegression())
    found = choose(features, y, labelled, validation, test)
    for n, x in features.items():
        models[n] = one.fit(x[labelled], y[labelled])
    answers = models[found["chosen"]].predict(features[found["chosen"]][test])
    return found | {"answers": answers}


def choose_plain(*given):
    found = choose(*given)
    return found | {"answers": [float(a) for a in found["answers"]]}


def but(**how):
    return lambda *given: choose(*given, **how)


def then(change):
    def answer(*given):
        found = choose(*given)
        return found | change(found, *given)

    return answer


def by_heart(features, y, labelled, validation, test):
    wide = max(features, key=lambda n: features[n].shape[1])
    return choose(
        features, y, labelled, validation, test, by=lambda said, models: {wide: 1}
    )


def another(found, features, y, labelled, validation, test):
    said = sorted(found["validation"], key=found["validation"].get)
    x = features[said[-2]]
    return {"answers": fitted(x, y, labelled)(x[test])}


def second(said, models):
    return {sorted(said, key=said.get)[-2]: 1}


RIGHT = {
    "which_price": [
        PRICES,
        {key: letter.lower() for key, letter in PRICES.items()},
        dict(reversed(PRICES.items())),
        {key: f" {letter} " for key, letter in PRICES.items()},
        {key: f"{letter}\n" for key, letter in PRICES.items()},
    ],
    "first_layer": [
        three(),
        three(9408.0, 2.36e8, 3.211e6),
        three(np.int64(P), np.float64(OPS), np.float32(M)),
        three(torch.tensor(P), torch.tensor(OPS), torch.tensor(float(M))),
        {"bytes": 4 * 64 * 112**2, "operations": 2 * P * 112**2, "parameters": P},
    ],
    "for_keras": [keras, keras_numpy, keras_loop, keras_float, keras_scaled],
    "replace_head": [
        head,
        head_comprehension,
        head_numpy,
        head_lists,
        head_single_rows,
    ],
    "regret": [regret, regret_loop, regret_torch, regret_take, regret_counts],
    "choose": [
        choose,
        choose_plain,
        but(fit=fitted_weakly),
        but(fit=fitted_lda),
        but(fit=fitted_ridge),
        but(fit=fitted_torch),
        but(fit=fitted_by(linear_model.LogisticRegression)),
        but(fit=fitted_by(linear_model.RidgeClassifier)),
        but(fit=fitted_by(svm.LinearSVC, preprocessing.StandardScaler)),
        choose_rounded,
        choose_refitted,
    ],
}
WRONG = {
    "which_price": [
        (BLANK, ...),
        (BLANK, price("twin", ...)),
        ("keep the dict's keys", {"twin": "D"}),
        ("keep the dict's keys", "BACAD"),
        ("one letter", price("twin", "E")),
        ("one letter", price("twin", "A or D")),
        ("one letter", price("twin", 4)),
        ("stored once", price("telephone", "A")),
        ("nothing is trained", price("telephone", "C")),
        ("how long", price("telephone", "D")),
        ("at every picture", price("download", "B")),
        ("not in the file", price("download", "C")),
        ("not how many", price("download", "D")),
        ("every size of the batch", price("batch", "A")),
        ("take time", price("batch", "B")),
        ("larger batches", price("batch", "D")),
        ("quarter of the operations", price("half the side", "B")),
        ("quarter of the activation", price("half the side", "C")),
        ("one price is asked", price("half the side", "D")),
        ("equally many", price("twin", "A")),
        ("same operations", price("twin", "B")),
        ("same memory", price("twin", "C")),
        ("stored once", dict.fromkeys(PRICES, "A")),
    ],
    "first_layer": [
        (BLANK, ...),
        (BLANK, three(memory=...)),
        ("keep the dict's keys", (P, OPS, M)),
        ("keep the dict's keys", {"parameters": P}),
        ("not text", three("9408")),
        ("not text", three([P])),
        ("no bias", three(P + 64)),
        ("7 times 7", three(7 * 3 * 64)),
        ("all three colours", three(49 * 64)),
        ("weights of its own", three(147)),
        ("size of the picture", three(P * 112**2)),
        ("not 3 by 3", three(1728)),
        ("these are bytes", three(4 * P)),
        ("two operations", three(operations=OPS / 2)),
        ("stride 2:", three(operations=4 * OPS)),
        ("both sides", three(operations=2 * OPS)),
        ("each place", three(operations=2 * P)),
        ("three colours", three(operations=OPS / 3)),
        ("multiply by 64", three(operations=OPS / 64)),
        ("padding", three(operations=2 * P * 109**2)),
        ("no bias to add", three(operations=OPS + 64 * 112**2)),
        ("four bytes", three(memory=M / 4)),
        ("not two", three(memory=M / 2)),
        ("stride 2", three(memory=4 * M)),
        ("not the weights", three(memory=4 * P)),
        ("goes in", three(memory=4 * 3 * 224**2)),
        ("MiB", three(memory=M / 2**20)),
        ("from the formula", three(memory=1e6)),
        ("from the formula", three(math.nan)),
    ],
    "for_keras": [
        *broken(torch.tensor([[[[-103.9, 11.2, 131.3]]]])),
        ("same for every question", lambda x: torch.full((1, 1, 1, 3), 11.2)),
        ("nan or inf", lambda x: keras(x) * math.nan),
        ("come first", lambda x: keras(x).movedim(3, 1)),
        ("for the means fit", lambda x: last(255 * plain(x)) - BLUE),
        ("must be exchanged", lambda x: keras(x).flip(3)),
        (
            "wrong order",
            lambda x: last(255 * plain(x)).flip(3) - BLUE.flip(0),
        ),
        ("undo it first", lambda x: 255 * last(x.flip(1)) - BLUE),
        ("not up to 255", lambda x: last(x.flip(1)) - BLUE),
        ("only the colours", lambda x: last(x.flip(1))),
        ("reach 1 only", lambda x: last(plain(x).flip(1)) - BLUE),
        ("multiply first", lambda x: 255 * (last(plain(x).flip(1)) - BLUE)),
        ("means are not subtracted", lambda x: keras(x) + BLUE),
        ("plain pixels", lambda x: last(plain(x).flip(1))),
        ("are added: subtract", lambda x: keras(x) + 2 * BLUE),
        ("only the means go off", lambda x: keras(x) / STD.flip(0).view(3)),
        ("deviations are not undone", lambda x: 255 * last((x + MEAN).flip(1)) - BLUE),
        ("not added back", lambda x: 255 * last((x * STD).flip(1)) - BLUE),
        ("the other order", lambda x: 255 * last(((x + MEAN) * STD).flip(1)) - BLUE),
        ("was undone", lambda x: 255 * last(plain(x.flip(1))) - BLUE),
        ("mirrored", lambda x: 255 * last(plain(x).flip(3)) - BLUE),
        ("height and width", lambda x: keras(x).transpose(1, 2)),
        ("127.5", lambda x: 255 * last(plain(x).flip(1)) - 127.5),
        (
            "mixed up with the places",
            lambda x: keras(x).movedim(3, 1).reshape(keras(x).shape),
        ),
        ("cut off at 0", lambda x: keras(x).clamp(0)),
        ("rounded to whole", keras_whole("round")),
        ("cut off to whole", keras_whole("floor")),
        ("changes what it is given", keras_in_place),
    ],
    "replace_head": [
        *broken({"fc.weight": torch.zeros(2, 12)}),
        ("return a dict", lambda *_: {"fc.weight": torch.zeros(2, 12)}),
        ("nothing was replaced", lambda state, old, new: state),
        ("called fc", limited(lambda n: n == "fc")),
        ("names other than", limited(lambda n: "fc" in n or "classifier" in n)),
        ("with classifier", limited(lambda n: "classifier" in n)),
        ("may be a convolution", linear_only),
        ("only the last layer", last_only),
        ("auxiliary heads", one_only),
        ("first head", first_only),
        ("without bias", with_bias_only),
        ("bias has the old", limited(bool, parts=("weight",))),
        ("only the bias is new", limited(bool, parts=("bias",))),
        ("yours are 1", limited(bool, value=torch.ones)),
        ("old number", lambda state, old, new: head(state, old, old)),
        (
            "body is 0",
            lambda *g: {n: 0 * x for n, x in head(*g).items()},
        ),
        (
            "first rows",
            lambda state, old, new: {
                n: x[:new] if len(x) == old else x for n, x in state.items()
            },
        ),
        (
            "as many numbers",
            lambda state, old, new: {
                n: x.T if n[:-7] in heads(state, old) else x
                for n, x in head(state, old, new).items()
            },
        ),
        ("became a linear layer", flattened),
        ("where there was none", more_biases),
        ("only reads", reading),
        (
            "there are no new ones",
            lambda state, old, new: {
                n: x
                for n, x in state.items()
                if n.rpartition(".")[0] not in heads(state, old)
            },
        ),
        (
            "return the whole dict",
            lambda state, old, new: {
                n: x
                for n, x in head(state, old, new).items()
                if n.rpartition(".")[0] in heads(state, old)
            },
        ),
        ("never runs", hung_under_fc),
        ("is no head here", renamed),
        ("`old` is not used", lambda state, old, new: head(state, 10, new)),
        ("two outputs whatever", lambda state, old, new: head(state, old, 2)),
        ("changes what it is given", head_in_place),
    ],
    "regret": [
        *broken(0.1),
        ("same for every question", lambda *_: 0.123),
        ("nan or inf", lambda *_: math.nan),
        ("one regret for each", each),
        ("the sum over", lambda *g: each(*g).sum()),
        ("only the first draw", lambda *g: each(*g)[0]),
        ("only the last draw", lambda *g: each(*g)[-1]),
        ("largest regret", lambda *g: each(*g).max()),
        ("median", lambda *g: np.median(each(*g))),
        ("share of draws", lambda *g: (each(*g) > 0).mean()),
        ("in percent", lambda *g: 100 * regret(*g)),
        ("on the test pictures", lambda *_: 0.0),
        (
            "those of each draw",
            lambda v, t, r: t.mean(1).max() - t.mean(1)[v.mean(1).argmax()],
        ),
        (
            "own choice",
            lambda v, t, r: t.mean(1).max() - t.mean(1)[v[:, r].mean((1, 2)).argmax()],
        ),
        ("on the validation pictures", lambda v, t, r: regret(v, v, r)),
        (
            "flatters",
            lambda v, t, r: (
                v[:, r].mean(2).max(0).mean() - t.mean(1)[chosen(v, r)].mean()
            ),
        ),
        ("by lot", lambda v, t, r: t.mean(1).max() - t.mean()),
        ("largest possible", lambda v, t, r: np.ptp(t.mean(1))),
        ("the worst on the draw", lambda v, t, r: each(~v, t, r).mean()),
        ("with ties", lambda v, t, r: regret(v[::-1], t[::-1], r)),
        ("one by lot", by_lot),
        ("accuracy of the chosen", lambda v, t, r: t.mean(1)[chosen(v, r)].mean()),
        ("this is the best", lambda v, t, r: t.mean(1).max()),
        ("divided by the best", lambda v, t, r: regret(v, t, r) / t.mean(1).max()),
        ("less one", lambda v, t, r: each(v, t, r).sum() / max(len(r) - 1, 1)),
        ("sign is wrong", lambda *g: -regret(*g)),
        ("changes what it is given", regret_in_place),
    ],
    "choose": [
        *broken({"chosen": "A"})[:4],
        ("raised an error", raises),
        ("return a dict", lambda *_: "A"),
        ("return a dict", lambda *_: {"chosen": "A"}),
        (
            "for each candidate",
            then(lambda found, *_: {"validation": {"A": 0.9}}),
        ),
        (
            "between 0 and 1",
            then(
                lambda found, *_: {
                    "validation": {n: 100 * a for n, a in found["validation"].items()}
                }
            ),
        ),
        ("test pictures in the fit", but(rows=lambda *all: np.concatenate(all))),
        (
            "test pictures in the fit",
            then(lambda f, *_: {"answers": 2 * f["answers"] - 1}),
        ),
        ("take the validation ones", but(judge=lambda a, b: a)),
        ("in the fit", but(rows=lambda a, b, c: np.concatenate([a, b]))),
        ("that judge it", but(rows=lambda a, b, c: b)),
        (
            "other way round",
            but(rows=lambda a, b, c: b, judge=lambda a, b: a),
        ),
        (
            "other way round",
            but(fit=fitted_lda, rows=lambda a, b, c: b, judge=lambda a, b: a),
        ),
        (
            "shares of errors",
            then(
                lambda found, *_: {
                    "validation": {n: 1 - a for n, a in found["validation"].items()}
                }
            ),
        ),
        (
            "standardised labelled",
            then(
                lambda found, *_: {
                    "validation": dict.fromkeys(found["validation"], 0.6)
                }
            ),
        ),
        ("candidate's name", then(lambda found, *_: {"chosen": 0})),
        ("candidate's name", then(lambda found, *_: {"chosen": "ResNet18"})),
        ("learned by heart", by_heart),
        ("highest validation", but(by=second)),
        ("learned by heart", then(lambda found, *_: {"chosen": "A"})),
        ("one class for each", then(lambda found, *_: {"answers": [0, 1]})),
        (
            "0 and 1",
            then(lambda found, *_: {"answers": found["answers"] + 1}),
        ),
        (
            "0 and 1",
            then(lambda found, *_: {"answers": found["answers"] * 0.7}),
        ),
        ("exchanged", then(lambda found, *_: {"answers": 1 - found["answers"]})),
        ("not of the chosen", then(another)),
        ("keep its own", choose_with_one_head),
        (
            "order of the test",
            then(lambda found, *_: {"answers": np.sort(found["answers"])}),
        ),
        (
            "order of the test",
            then(lambda found, *_: {"answers": 0 * found["answers"]}),
        ),
    ],
}
