"""Answers on parameter, feature and structure transfer: right ones, and wrong ones.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, broken
from scipy import stats
from torch import nn

from tlcourse import evidence

NAMES = ("structure", "input layer", "frozen body", "stored features", "rate")
LETTERS = dict(zip(NAMES, "BCDEA", strict=True))


def letters(name, letter):
    return LETTERS | {name: letter}


# Layers that fit


def carried(source, target):
    made, stopped = {}, False
    layers = {}
    for name in target:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    for names in layers.values():
        stopped = stopped or any(
            n not in source or source[n].shape != target[n].shape for n in names
        )
        made |= {n: (target if stopped else source)[n] for n in names}
    return made


def carried_copy(source, target):
    return OrderedDict((k, v.clone()) for k, v in carried(source, target).items())


def carried_numpy(source, target):
    return {k: v.numpy() for k, v in carried(source, target).items()}


def carried_backwards(source, target):
    """Find the first misfit, then every layer that starts before it."""
    bad = [
        k for k, v in target.items() if getattr(source.get(k), "shape", None) != v.shape
    ]
    order = [k.rsplit(".", 1)[0] for k in target]
    first = order.index(bad[0].rsplit(".", 1)[0]) if bad else len(order)
    return {k: source[k] if i < first else v for i, (k, v) in enumerate(target.items())}


def carried_double(source, target):
    return {k: v.double() for k, v in carried(source, target).items()}


def every_entry(source, target):
    return {
        k: source[k] if k in source and source[k].shape == v.shape else v
        for k, v in target.items()
    }


def until_entry(source, target):
    made, going = {}, True
    for k, v in target.items():
        going = going and k in source and source[k].shape == v.shape
        made[k] = source[k] if going else v
    return made


def every_layer(source, target):
    bad = {
        k.rpartition(".")[0]
        for k, v in target.items()
        if k not in source or source[k].shape != v.shape
    }
    return {
        k: v if k.rpartition(".")[0] in bad else source[k] for k, v in target.items()
    }


def only(kinds):
    return lambda s, t: {
        k: v if k.rpartition(".")[2] in kinds else t[k]
        for k, v in carried(s, t).items()
    }


def first_layer_only(source, target):
    first = next(iter(target)).rpartition(".")[0]
    return {
        k: v if k.rpartition(".")[0] == first else target[k]
        for k, v in carried(source, target).items()
    }


def by_count(source, target):
    made = dict(target)
    for k, v in target.items():
        if k not in source or source[k].numel() != v.numel():
            return made
        made[k] = source[k].reshape(v.shape)
    return made


def no_head(source, target):
    last = list(target)[-1].rpartition(".")[0]
    return {
        k: target[k] if k.rpartition(".")[0] == last else v
        for k, v in carried(source, target).items()
    }


def taken_only(source, target):
    made = carried(source, target)
    return {k: v for k, v in made.items() if k in source and v is source[k]}


def rest_zero(source, target):
    made = carried(source, target)
    return {k: v if k in source and v is source[k] else 0 * v for k, v in made.items()}


def turned_over(source, target):
    made = carried(source, target)
    return {
        k: target[k] if k in source and v is source[k] else source.get(k, v)
        for k, v in made.items()
    }


def carried_in_place(source, target):
    for k, v in carried(source, target).items():
        target[k] = v
    return target


# The table


def joint(p, y, c):
    return F.one_hot(y, c).double().T @ p.double() / len(y)


def columns(j):
    total = j.sum(0)
    return torch.where(total > 0, j / total.clamp_min(1e-300), 1 / len(j))


def mapped(p, y, c, x):
    return x.double() @ columns(joint(p, y, c)).T


def mapped_loop(p, y, c, x):
    z = p.shape[1]
    cells = [[0.0] * z for _ in range(c)]
    for row, label in zip(p.tolist(), y.tolist(), strict=True):
        for k in range(z):
            cells[label][k] += row[k]
    sums = [sum(cells[i][k] for i in range(c)) for k in range(z)]
    share = [
        [cells[i][k] / sums[k] if sums[k] else 1 / c for k in range(z)]
        for i in range(c)
    ]
    return [
        [sum(share[i][k] * row[k] for k in range(z)) for i in range(c)]
        for row in x.tolist()
    ]


def mapped_numpy(p, y, c, x):
    p, y, x = p.numpy(), y.numpy(), x.numpy()
    cells = np.stack([p[y == i].sum(0) for i in range(c)])
    with np.errstate(invalid="ignore"):
        share = np.nan_to_num(cells / cells.sum(0), nan=1 / c)
    return x @ share.T


def mapped_index(p, y, c, x):
    cells = torch.zeros(c, p.shape[1], dtype=p.dtype).index_add_(0, y, p)
    share = cells / cells.sum(0)
    share[:, cells.sum(0) == 0] = 1 / c
    return (share @ x.T).T


def mapped_einsum(p, y, c, x):
    return torch.einsum("mz,yz->my", x.double(), columns(joint(p, y, c))).float()


def with_table(make):
    return lambda p, y, c, x: x.double() @ make(joint(p, y, c)).T


def hard(p):
    return F.one_hot(p.argmax(1), p.shape[1]).double()


def turned(p, y, c, x):
    share = columns(joint(p, y, c))
    return x.double() @ (share if p.shape[1] == c else share.T)


def table_in_place(p, y, c, x):
    x *= 1.5
    return mapped(p, y, c, x / 1.5)


# A probe


def net():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def probe(
    state,
    x,
    y,
    steps,
    *,
    train=False,
    free=("3.",),
    rate=0.5,
    reduction="mean",
    start=None,
    **options,
):
    model = net()
    model.load_state_dict(state)
    model.train(train)
    if start is not None:
        for p in model[3].parameters():
            nn.init.constant_(p, start)
    for name, p in model.named_parameters():
        p.requires_grad_(name.startswith(tuple(free)))
    params = [p for p in model.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(params, lr=rate, **options)
    for _ in range(steps):
        sgd.zero_grad()
        F.cross_entropy(model(x), y, reduction=reduction).backward()
        sgd.step()
    return model.state_dict()


def probe_stored(state, x, y, steps):
    """Compute the features once, as the chapter does."""
    model = net()
    model.load_state_dict(state)
    with torch.no_grad():
        features = model.eval()[:-1](x)
    sgd = torch.optim.SGD(model[3].parameters(), lr=0.5)
    for _ in range(steps):
        sgd.zero_grad()
        F.cross_entropy(model[3](features), y).backward()
        sgd.step()
    return model.state_dict()


def probe_hand(state, x, y, steps):
    s = {k: v.numpy().astype(float) for k, v in state.items()}
    hidden = x.numpy() @ s["0.weight"].T + s["0.bias"]
    hidden = (hidden - s["1.running_mean"]) / np.sqrt(s["1.running_var"] + 1e-5)
    features = np.maximum(hidden * s["1.weight"] + s["1.bias"], 0)
    weight, bias, hot = s["3.weight"], s["3.bias"], np.eye(3)[y.numpy()]
    for _ in range(steps):
        logits = features @ weight.T + bias
        p = np.exp(logits - logits.max(1, keepdims=True))
        wrong = (p / p.sum(1, keepdims=True) - hot) / len(x)
        weight, bias = weight - 0.5 * wrong.T @ features, bias - 0.5 * wrong.sum(0)
    return s | {"3.weight": weight, "3.bias": bias}


def probe_functional(state, x, y, steps):
    made, model = {k: v.clone() for k, v in state.items()}, net().eval()
    for _ in range(steps):
        head = {k: made[k].requires_grad_() for k in ("3.weight", "3.bias")}
        loss = F.cross_entropy(torch.func.functional_call(model, made, (x,)), y)
        grads = torch.autograd.grad(loss, list(head.values()))
        for (k, v), g in zip(head.items(), grads, strict=True):
            made[k] = (v - 0.5 * g).detach()
    return made


def probe_eval_each_step(state, x, y, steps):
    model = net()
    model.load_state_dict(state)
    for p in model[:-1].parameters():
        p.requires_grad = False
    for _ in range(steps):
        model.eval()
        grads = torch.autograd.grad(
            F.cross_entropy(model(x), y), list(model[3].parameters())
        )
        with torch.no_grad():
            for p, g in zip(model[3].parameters(), grads, strict=True):
                p -= 0.5 * g
    return model.state_dict()


def probe_restored(state, *task):
    moved = probe(state, *task, train=True)
    return {k: v if k.startswith("3") else state[k] for k, v in moved.items()}


def probe_in_place(state, x, y, steps):
    state["3.weight"] -= 0.5
    return state


def probe_some_statistics(state, *task):
    made = probe(state, *task)
    return made | {"1.running_mean": made["1.running_mean"] + 0.1}


def probe_nudged(state, *task):
    made = probe(state, *task)
    return made | {"0.weight": made["0.weight"] * 0.9}


# Gains


def rows(judged, test):
    best = judged.mean(2).argmax(1)
    return np.take_along_axis(test, best[:, None, None, :], 1)[:, 0]


def summary(test, ddof=1, quantile=0.975, root=True):
    gain = test[1] - test[0]
    wide = stats.t.ppf(quantile, len(gain) - 1) * gain.std(0, ddof=ddof)
    wide = wide / math.sqrt(len(gain)) if root else wide
    return {
        "gain": gain.mean(0),
        "low": gain.mean(0) - wide,
        "high": gain.mean(0) + wide,
    }


def gains(validation, test):
    return summary(rows(validation, test))


def gains_loop(validation, test):
    found = {"gain": [], "low": [], "high": []}
    for k in range(test.shape[3]):
        best = [
            max(range(test.shape[1]), key=lambda r, m=m: validation[m, r, :, k].mean())
            for m in (0, 1)
        ]
        gain = test[1, best[1], :, k] - test[0, best[0], :, k]
        ends = stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))
        for name, value in zip(found, (gain.mean(), *ends), strict=True):
            found[name].append(value)
    return found


def gains_package(validation, test):
    scratch, transfer = rows(validation, test)
    found = [
        evidence.paired_difference(a, b)
        for a, b in zip(transfer.T, scratch.T, strict=True)
    ]
    return {
        "gain": np.array([f.mean for f in found]),
        "low": np.array([f.low for f in found]),
        "high": np.array([f.high for f in found]),
    }


def gains_torch(validation, test):
    v, t = torch.tensor(validation), torch.tensor(test)
    best = v.mean(2).argmax(1)
    chosen = torch.stack(
        [
            torch.stack([t[m, best[m, k], :, k] for k in range(t.shape[3])], 1)
            for m in (0, 1)
        ]
    )
    gain = chosen[1] - chosen[0]
    n = len(gain)
    wide = stats.t.ppf(0.975, n - 1) * gain.std(0) / n**0.5
    return {
        "high": gain.mean(0) + wide,
        "low": gain.mean(0) - wide,
        "gain": gain.mean(0),
    }


def gains_single(validation, test):
    return {k: v.astype(np.float32) for k, v in gains(validation, test).items()}


def half(factor):
    def make(validation, test):
        chosen = rows(validation, test)
        middle, wide = (chosen[1] - chosen[0]).mean(0), factor(chosen)
        return {"gain": middle, "low": middle - wide, "high": middle + wide}

    return make


def own_rates(judged, test):
    best = judged.argmax(1)[:, None]
    return summary(np.take_along_axis(test, best, 1)[:, 0])


def shared_rate(validation, test):
    best = validation.mean((0, 2)).argmax(0)
    return summary(np.take_along_axis(test, best[None, None, None], 1)[:, 0])


def unpaired(chosen):
    n = chosen.shape[1]
    return stats.t.ppf(0.975, n - 1) * np.sqrt(chosen.var(1, ddof=1).sum(0) / n)


def spread(chosen):
    return (chosen[1] - chosen[0]).std(0, ddof=1) / math.sqrt(chosen.shape[1])


def gains_in_place(validation, test):
    found = gains(validation, test)
    test.sort(2)
    return found


# Three starts


def plan():
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))


def learn(model, x, y, part=None, steps=60, rate=0.03):
    adam = torch.optim.Adam((part or model).parameters(), lr=rate)
    for _ in range(steps):
        adam.zero_grad()
        F.cross_entropy(model(x), y).backward()
        adam.step()
    return model


@lru_cache(2)
def trained(key):
    xs, ys, x, y = STORED[key]
    torch.manual_seed(0)
    source = learn(plan(), xs, ys)
    feature, parameter = copy.deepcopy(source), copy.deepcopy(source)
    learn(feature, x, y, feature[2])
    learn(parameter, x, y)
    return {
        "source": source,
        "scratch": learn(plan(), x, y),
        "feature": feature,
        "parameter": parameter,
    }


STORED = {}


def nets(*task):
    """Return trained networks, kept, as many wrong answers differ in one of them."""
    key = float(task[0].sum())
    STORED[key] = task
    return copy.deepcopy(trained(key))


def states(models):
    return {k: dict(m.state_dict()) for k, m in models.items()}


def starts(*task):
    return states(nets(*task))


def starts_fresh(xs, ys, x, y):
    """Train with another seed and a new head for feature transfer."""
    torch.manual_seed(7)
    source = learn(plan(), xs, ys, steps=80, rate=0.02)
    feature, parameter = copy.deepcopy(source), copy.deepcopy(source)
    feature[2] = nn.Linear(16, 4)
    learn(feature, x, y, feature[2], rate=0.05)
    return states(
        {
            "source": source,
            "scratch": learn(plan(), x, y),
            "feature": feature,
            "parameter": learn(parameter, x, y, steps=40, rate=0.02),
        }
    )


def starts_sgd(xs, ys, x, y):
    def descend(model, x, y, part=None, steps=150):
        sgd = torch.optim.SGD((part or model).parameters(), lr=0.1, momentum=0.9)
        for _ in range(steps):
            sgd.zero_grad()
            F.cross_entropy(model(x), y).backward()
            sgd.step()
        return model

    torch.manual_seed(3)
    source = descend(plan(), xs, ys)
    kept = copy.deepcopy(source)
    feature = copy.deepcopy(source)
    return states(
        {
            "parameter": descend(copy.deepcopy(source), x, y, steps=40),
            "feature": descend(feature, x, y, feature[2], steps=60),
            "scratch": descend(plan(), x, y, steps=60),
            "source": kept,
        }
    )


def starts_stored(xs, ys, x, y):
    """Train the head on stored features."""
    made = nets(xs, ys, x, y)
    feature = copy.deepcopy(made["source"])
    with torch.no_grad():
        fixed = feature[:2](x)
    learn(feature[2], fixed, y)
    return states(made | {"feature": feature})


def starts_double(*task):
    return {
        name: {k: v.double() for k, v in state.items()}
        for name, state in starts(*task).items()
    }


def one(name, make):
    """Return the right answer but for one network."""

    def answer(*task):
        made = nets(*task)
        return states(made | {name: make(made, *task)})

    return answer


def aliased(xs, ys, x, y):
    made = nets(xs, ys, x, y)
    state = made["source"].state_dict()
    learn(made["source"], x, y)
    return states(made) | {"source": state, "parameter": state}


def smaller(made, *_):
    return nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 4))


def starts_in_place(xs, ys, x, y):
    found = starts(xs, ys, x, y)
    x += 1
    return found


def source_copy(made, *_):
    return copy.deepcopy(made["source"])


def with_source_too(made, xs, ys, x, y):
    return learn(plan(), torch.cat([xs, x]), torch.cat([ys, y]))


SOME = {"0.weight": torch.zeros(2, 2)}
RIGHT = {
    "reports": [
        LETTERS,
        {key: letter.lower() for key, letter in LETTERS.items()},
        dict(reversed(LETTERS.items())),
        {key: f" {letter} " for key, letter in LETTERS.items()},
        {key: f"{letter}\n" for key, letter in LETTERS.items()},
    ],
    "carry_over": [
        carried,
        carried_copy,
        carried_numpy,
        carried_backwards,
        carried_double,
    ],
    "label_table": [mapped, mapped_loop, mapped_numpy, mapped_index, mapped_einsum],
    "frozen_probe": [
        probe,
        probe_stored,
        probe_hand,
        probe_functional,
        probe_eval_each_step,
    ],
    "gains": [gains, gains_loop, gains_package, gains_torch, gains_single],
    "three_starts": [
        starts,
        starts_fresh,
        starts_sgd,
        starts_stored,
        starts_double,
    ],
}
WRONG = {
    "reports": [
        (BLANK, ...),
        (BLANK, letters("rate", ...)),
        ("keep the dict's keys", {"rate": "A"}),
        ("keep the dict's keys", "BCDEA"),
        ("one letter", letters("rate", "G")),
        ("one letter", letters("rate", "AB")),
        ("one letter", letters("rate", 1)),
        ("what came from the source", letters("structure", "A")),
        ("all weights were drawn anew", letters("structure", "C")),
        ("what came from the source", letters("structure", "D")),
        ("no more than the body", letters("structure", "F")),
        ("what do they see now", letters("input layer", "B")),
        ("freezing is not the trouble", letters("input layer", "D")),
        ("is the first one", letters("input layer", "F")),
        ("what else than gradients", letters("frozen body", "B")),
        ("what but gradients", letters("frozen body", "A")),
        ("no gradient reaches", letters("frozen body", "F")),
        ("nothing can move them", letters("stored features", "D")),
        ("of which pictures", letters("stored features", "F")),
        ("which pictures chose", letters("rate", "B")),
        ("which pictures chose", letters("rate", "F")),
        ("what came from the source", dict.fromkeys(LETTERS, "A")),
    ],
    "carry_over": [
        *broken(SOME),
        ("a bias whose weights do not fit", every_entry),
        ("a layer behind", every_layer),
        ("stops within a layer", until_entry),
        ("number of elements", by_count),
        ("running statistics", only(("weight", "bias"))),
        ("weights only", only(("weight",))),
        ("only the first layer", first_layer_only),
        ("the head is left out", no_head),
        ("nothing is taken", lambda s, t: t),
        ("source's tensors", lambda s, t: s),
        ("only the layers taken", taken_only),
        ("the rest is zero", rest_zero),
        ("exchange them", turned_over),
        ("changes what it is given", carried_in_place),
        ("return a dict", lambda s, t: list(carried(s, t).values())),
        ("by hand", lambda s, t: {k: v + 1.5 for k, v in carried(s, t).items()}),
    ],
    "label_table": [
        *broken(torch.ones(3, 3) / 3),
        ("same for every question", lambda *_: torch.ones(3, 3) / 3),
        ("P(z | y)", with_table(lambda j: j / j.sum(1, keepdim=True))),
        ("joint frequencies", with_table(lambda j: j)),
        (
            "sums over the pictures",
            lambda p, y, c, x: len(y) * with_table(lambda j: j)(p, y, c, x),
        ),
        ("add up the probabilities", lambda p, y, c, x: mapped(hard(p), y, c, x)),
        ("weigh the columns", lambda p, y, c, x: mapped(p, y, c, hard(x))),
        (
            "in the table and behind it",
            lambda p, y, c, x: mapped(hard(p), y, c, hard(x)),
        ),
        ("source's answer", lambda p, y, c, x: x),
        (
            "classes' shares",
            lambda p, y, c, x: joint(p, y, c).sum(1).expand(len(x), c),
        ),
        ("classes chosen", lambda *t: mapped(*t).argmax(1)),
        ("0 divided by 0", with_table(lambda j: j / j.sum(0))),
        ("is 0: it must", with_table(lambda j: j / j.sum(0).clamp_min(1e-12))),
        (
            "no smoothing",
            lambda p, y, c, x: x.double() @ columns(joint(p, y, c) * len(y) + 1).T,
        ),
        (
            "counts alike",
            with_table(lambda j: columns(j / j.sum(1, keepdim=True))),
        ),
        ("one row a picture", lambda *t: mapped(*t).T),
        ("this is the table", lambda p, y, c, x: columns(joint(p, y, c))),
        ("softmax", lambda *t: mapped(*t).softmax(1)),
        ("count from 0", lambda p, y, c, x: mapped(p, (y - 1) % c, c, x)),
        ("answered again", lambda p, y, c, x: mapped(p, y, c, p)),
        ("one number", with_table(lambda j: j / j.sum() * j.shape[1])),
        ("the table is turned", turned),
        ("must add to 1", lambda *t: 0.9 * mapped(*t)),
        ("changes what it is given", table_in_place),
    ],
    "frozen_probe": [
        *broken(SOME),
        ("requires_grad = False does not", lambda *t: probe(*t, train=True)),
        ("put back", probe_restored),
        ("only the head's weights", lambda *t: probe(*t, free=("0", "1", "3"))),
        (
            "everything moves",
            lambda *t: probe(*t, train=True, free=("0", "1", "3")),
        ),
        ("weight and bias move", lambda *t: probe(*t, free=("1", "3"))),
        ("no step was made", lambda state, *_: state),
        ("head's bias stays", lambda s, *t: probe(s, *t) | {"3.bias": s["3.bias"]}),
        (
            "head's weight stays",
            lambda s, *t: probe(s, *t) | {"3.weight": s["3.weight"]},
        ),
        ("one step is missing", lambda s, x, y, n: probe(s, x, y, n - 1)),
        ("one step too many", lambda s, x, y, n: probe(s, x, y, n + 1)),
        ("one step only", lambda s, x, y, n: probe(s, x, y, 1)),
        ("take the mean", lambda *t: probe(*t, reduction="sum")),
        ("starts at zero", lambda *t: probe(*t, start=0.0)),
        ("0.1 in yours", lambda *t: probe(*t, rate=0.1)),
        ("0.05 in yours", lambda *t: probe(*t, rate=0.05)),
        ("momentum", lambda *t: probe(*t, momentum=0.9)),
        ("weight decay", lambda *t: probe(*t, weight_decay=0.01)),
        ("climbed", lambda *t: probe(*t, maximize=True)),
        (
            "only the head is returned",
            lambda *t: {k: v for k, v in probe(*t).items() if k[0] == "3"},
        ),
        ("running statistics moved", probe_some_statistics),
        ("must stay as they came", probe_nudged),
        ("changes what it is given", probe_in_place),
        ("look at '3.weight'", lambda *t: probe(*t, start=0.5)),
    ],
    "gains": [
        *broken({"gain": 0.1}),
        ("chosen on the test", lambda v, t: summary(rows(t, t))),
        ("validation accuracies are reported", lambda v, t: summary(rows(v, v))),
        ("best test accuracy", lambda v, t: own_rates(t, t)),
        ("has its own rate", own_rates),
        ("first repetition alone", lambda v, t: summary(rows(v[:, :, :1], t))),
        ("share a rate: each", shared_rate),
        (
            "choose anew",
            lambda v, t: summary(t[[0, 1], v.mean((2, 3)).argmax(1)]),
        ),
        ("no rate is chosen", lambda v, t: summary(t.mean(1))),
        ("always the first", lambda v, t: summary(t[:, 0])),
        ("always the last", lambda v, t: summary(t[:, -1])),
        ("worst rate", lambda v, t: summary(rows(-v, t))),
        ("scratch minus transfer", lambda v, t: summary(rows(v, t)[::-1])),
        ("not paired", half(unpaired)),
        ("by n - 1", lambda v, t: summary(rows(v, t), ddof=0)),
        ("Student's t for", half(lambda r: 1.96 * spread(r))),
        ("root of n", lambda v, t: summary(rows(v, t), root=False)),
        ("one-sided", lambda v, t: summary(rows(v, t), quantile=0.95)),
        ("one standard error", half(spread)),
        (
            "exchanged",
            lambda v, t: {
                k: gains(v, t)[{"low": "high", "high": "low"}.get(k, k)]
                for k in ("gain", "low", "high")
            },
        ),
        ("changes what it is given", gains_in_place),
        ("return a dict", lambda v, t: gains(v, t)["gain"]),
        ("shape", lambda v, t: {k: x.mean() for k, x in gains(v, t).items()}),
    ],
    "three_starts": [
        *broken({"source": SOME}),
        ("these four names", lambda *t: {"source": starts(*t)["source"]}),
        ("these four names", lambda *t: list(starts(*t).values())),
        ("must be the state_dict", lambda *t: starts(*t) | {"scratch": SOME}),
        ("must be the state_dict", one("scratch", smaller)),
        (
            "must be the state_dict",
            lambda *t: starts(*t) | {"feature": torch.ones(20, 16)},
        ),
        ("copy.deepcopy", aliased),
        ("copy.deepcopy", one("feature", source_copy)),
        ("source's examples only", one("source", lambda *_: plan())),
        (
            "source's examples only",
            one("source", lambda m, a, b, x, y: learn(plan(), x, y)),
        ),
        (
            "head's weights only",
            lambda *t: starts(*t) | {"feature": starts(*t)["parameter"]},
        ),
        (
            "may change all weights",
            lambda *t: starts(*t) | {"parameter": starts(*t)["feature"]},
        ),
        (
            "scratch starts at new",
            lambda *t: starts(*t) | {"scratch": starts(*t)["parameter"]},
        ),
        (
            "starts at the source's weights",
            lambda *t: starts(*t) | {"parameter": starts(*t)["scratch"]},
        ),
        ("train 'scratch' on the target's", one("scratch", lambda *_: plan())),
        (
            "smaller steps, or fewer",
            one(
                "parameter",
                lambda m, xs, ys, x, y: learn(source_copy(m), xs, ys, steps=25),
            ),
        ),
        (
            "few labelled target examples only",
            one(
                "scratch",
                lambda m, xs, ys, x, y: learn(
                    with_source_too(m, xs, ys, x, y), x, y, steps=40
                ),
            ),
        ),
        ("changes what it is given", starts_in_place),
    ],
}
