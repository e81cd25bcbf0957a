"""Answers to the exercises on fine-tuning ResNet18: right ones, and wrong ones.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, broken


def memorised(make):
    """Answer the first question rightly, and give the same to all others."""
    kept = []

    def found(*given):
        kept.append(kept[0] if kept else make(*given))
        return kept[0]

    return found


# What changed, and what it costs

LETTERS = {
    "convolution's weights": "S",
    "normalisation's scale and offset": "S",
    "running mean and variance": "C",
    "head's weights": "C",
    "cure": "I",
}
CONV, SCALE, RUNNING, HEAD, CURE = LETTERS
COSTS = {"full": 120.0, "top": 30.0, "stored": 43.0, "layer-wise": 16.0}

# Grad-CAM


def heat(maps, slopes, masks):
    found = torch.einsum("nm,nmhw->nhw", slopes.mean((2, 3)), maps).clamp_min(0)
    return {"heat": found, "inside": share(found, masks)}


def share(found, masks):
    whole = found.sum((1, 2))
    return torch.nan_to_num((found * masks).sum((1, 2)) / whole)


def heat_loop(maps, slopes, masks):
    n, m, h, w = maps.shape
    found, inside = torch.zeros(n, h, w, dtype=torch.float64), []
    for i in range(n):
        for k in range(m):
            found[i] += slopes[i, k].mean() * maps[i, k]
        found[i][found[i] < 0] = 0
        whole = found[i].sum().item()
        inside.append(found[i][masks[i]].sum().item() / whole if whole else 0.0)
    return {"inside": inside, "heat": found}


def heat_numpy(maps, slopes, masks):
    a, s, on = maps.numpy(), slopes.numpy(), masks.numpy()
    found = np.maximum((s.mean(axis=(2, 3), keepdims=True) * a).sum(axis=1), 0)
    whole = found.sum(axis=(1, 2))
    inside = (found * on).sum(axis=(1, 2)) / np.where(whole > 0, whole, 1)
    return {"heat": found, "inside": inside}


def heat_single(maps, slopes, masks):
    return heat(maps.float(), slopes.float(), masks)


def heat_lists(*given):
    return {key: value.tolist() for key, value in heat(*given).items()}


def mapped(make):
    def found(maps, slopes, masks):
        made = make(maps, slopes)
        return {"heat": made, "inside": share(made, masks)}

    return found


def inside(make):
    def found(maps, slopes, masks):
        right = heat(maps, slopes, masks)
        return right | {"inside": make(right["heat"], masks)}

    return found


def alpha(slopes):
    return slopes.mean((2, 3), keepdim=True)


def heat_scaled(maps, slopes, masks):
    found = heat(maps, slopes, masks)
    top = found["heat"].amax((1, 2), keepdim=True)
    return found | {"heat": found["heat"] / top.clamp_min(1e-9)}


def heat_in_place(maps, slopes, masks):
    maps *= alpha(slopes)
    return {
        "heat": maps.sum(1).relu(),
        "inside": share(maps.sum(1).relu(), masks),
    }


# Batch normalisation


def wide(v):
    return v[None, :, None, None]


def norm(x, state, training, **changed):
    mean, var = state["running_mean"], state["running_var"]
    found = {"running_mean": mean, "running_var": var}
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        n = x.numel() / x.shape[1]
        for key, new in (("running_mean", mean), ("running_var", var * n / (n - 1))):
            found[key] = found[key] + 0.1 * (new - found[key])
    z = (x - wide(mean)) * torch.rsqrt(wide(var) + 1e-5)
    found["output"] = z * wide(state["weight"]) + wide(state["bias"])
    return found | {key: make(found) for key, make in changed.items()}


def norm_torch(x, state, training):
    state = {key: value.clone() for key, value in state.items()}
    means = state["running_mean"], state["running_var"]
    z = F.batch_norm(x, *means, state["weight"], state["bias"], training, 0.1, 1e-5)
    return {"output": z, "running_mean": means[0], "running_var": means[1]}


def norm_layer(x, state, training):
    layer = torch.nn.BatchNorm2d(x.shape[1]).to(x.dtype).train(training)
    layer.load_state_dict(layer.state_dict() | state)
    z = layer(x)
    kept = layer.state_dict()
    return {"output": z} | {k: kept[k] for k in ("running_mean", "running_var")}


def norm_numpy(x, state, training):
    x, s = x.numpy(), {k: v.numpy() for k, v in state.items()}
    mean, var = s["running_mean"], s["running_var"]
    kept = mean, var
    if training:
        mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        last = x.var(axis=(0, 2, 3), ddof=1)
        kept = 0.9 * kept[0] + 0.1 * mean, 0.9 * kept[1] + 0.1 * last
    z = (x.transpose(0, 2, 3, 1) - mean) / np.sqrt(var + 1e-5)
    z = (z * s["weight"] + s["bias"]).transpose(0, 3, 1, 2)
    return {"output": z, "running_mean": kept[0], "running_var": kept[1]}


def norm_loop(x, state, training):
    found = norm(x, state, training)
    z = torch.empty_like(x)
    for c in range(x.shape[1]):
        mean, var = state["running_mean"][c], state["running_var"][c]
        if training:
            mean, var = x[:, c].mean(), x[:, c].var(correction=0)
        z[:, c] = (x[:, c] - mean) / (var + 1e-5) ** 0.5
        z[:, c] = z[:, c] * state["weight"][c] + state["bias"][c]
    return found | {"output": z}


def norm_moments(x, state, training):
    """Take the variance as the mean square minus the squared mean."""
    found = norm(x, state, training)
    if training:
        mean = x.mean((0, 2, 3))
        var = (x * x).mean((0, 2, 3)) - mean**2
        z = (x - wide(mean)) / (wide(var) + 1e-5) ** 0.5
        found["output"] = z * wide(state["weight"]) + wide(state["bias"])
    return found


def norm_single(x, state, training):
    return norm(x.float(), {k: v.float() for k, v in state.items()}, training)


def norm_updated(x, state, training):
    """Move the averages first, and then use them."""
    found = norm(x, state, training)
    moved = {k: found[k] for k in ("running_mean", "running_var")}
    return found | {"output": norm(x, state | moved, False)["output"]}


def averaged(step=0.1, correction=1, mode=lambda training: training):
    """Return the layer with other running averages."""

    def found(x, state, training):
        out = norm(x, state, training)
        new = {
            "running_mean": x.mean((0, 2, 3)),
            "running_var": x.var((0, 2, 3), correction=correction),
        }
        by = step if mode(training) else 0.0
        return out | {k: (1 - by) * state[k] + by * v for k, v in new.items()}

    return found


def normed(form, axes=(0, 2, 3), correction=0):
    """Return the layer with another output in training mode."""

    def found(x, state, training):
        out = norm(x, state, training)
        mean, var = wide(state["running_mean"]), wide(state["running_var"])
        if training:
            mean = x.mean(axes, keepdim=True)
            var = x.var(axes, correction=correction, keepdim=True)
        z = form(x - mean, var)
        return out | {"output": z * wide(state["weight"]) + wide(state["bias"])}

    return found


def usual(x, var):
    return x / (var + 1e-5).sqrt()


def norm_in_place(x, state, training):
    found = norm(x, state, training)
    state["running_mean"] += 0.1
    return found


# A cut and rates


def tuned(
    stages,
    x,
    y,
    cut,
    rate,
    decay,
    steps,
    factor=lambda k, j, d: d ** (k - j),
    trained=lambda j, cut, k: j > cut,
    loss=F.cross_entropy,
    act=torch.relu,
    last=lambda z: z,
):
    k, ws = len(stages), [w.clone().requires_grad_() for w in stages.values()]
    for _ in range(steps):
        z = x
        for w in ws[:-1]:
            z = act(z @ w)
        loss(last(z @ ws[-1]), y).backward()
        with torch.no_grad():
            for j, w in enumerate(ws, 1):
                if trained(j, cut, k):
                    w -= rate * factor(k, j, decay) * w.grad
                w.grad = None
    return {j: w.detach() for j, w in enumerate(ws, 1)}


def tuned_sgd(stages, x, y, cut, rate, decay, steps):
    """Freeze by requires_grad, and write the rates as groups of an optimizer."""
    k, ws = len(stages), {j: w.clone() for j, w in stages.items()}
    groups = [
        {"params": [ws[j].requires_grad_()], "lr": rate * decay ** (k - j)}
        for j in range(cut + 1, k + 1)
    ]
    sgd = torch.optim.SGD(groups)
    for _ in range(steps):
        z = x @ ws[1]
        for j in range(2, k + 1):
            z = F.relu(z) @ ws[j]
        sgd.zero_grad()
        F.cross_entropy(z, y).backward()
        sgd.step()
    return ws


def tuned_module(stages, x, y, cut, rate, decay, steps):
    """Build linear layers, whose weights are transposed."""
    k, layers = len(stages), []
    for w in stages.values():
        layer = torch.nn.Linear(*w.shape, bias=False, dtype=w.dtype)
        layer.weight.data = w.T.clone()
        layers += [layer, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    for _ in range(steps):
        net.zero_grad()
        F.cross_entropy(net(x), y).backward()
        for j in range(cut + 1, k + 1):
            weight = net[2 * (j - 1)].weight
            weight.data -= rate * decay ** (k - j) * weight.grad
    return {j: net[2 * (j - 1)].weight.T for j in range(1, k + 1)}


def tuned_numpy(stages, x, y, cut, rate, decay, steps):
    """Go backward by hand."""
    ws, k = [w.numpy().copy() for w in stages.values()], len(stages)
    x, one_hot = x.numpy(), np.eye(stages[k].shape[1])[y.numpy()]
    for _ in range(steps):
        acts = [x]
        for w in ws[:-1]:
            acts.append(np.maximum(acts[-1] @ w, 0))
        z = acts[-1] @ ws[-1]
        p = np.exp(z - z.max(axis=1, keepdims=True))
        back, slopes = (p / p.sum(axis=1, keepdims=True) - one_hot) / len(x), []
        for j in reversed(range(k)):
            slopes.insert(0, acts[j].T @ back)
            back = (back @ ws[j].T) * (acts[j] > 0)
        for j in range(cut, k):
            ws[j] -= rate * decay ** (k - 1 - j) * slopes[j]
    return dict(enumerate(ws, 1))


def tuned_stored(stages, x, y, cut, rate, decay, steps):
    """Compute once what the frozen stages make of the inputs."""
    for j in range(1, cut + 1):
        x = (x @ stages[j]).relu()
    above = {j - cut: w for j, w in stages.items() if j > cut}
    found = tuned(above, x, y, 0, rate, decay, steps)
    return stages | {j + cut: w for j, w in found.items()}


def tuned_single(stages, x, *given):
    return tuned({j: w.float() for j, w in stages.items()}, x.float(), *given)


def tuned_lists(*given):
    return {j: w.tolist() for j, w in tuned(*given).items()}


def another(more=0, **changed):
    return lambda s, x, y, c, r, d, n: tuned(s, x, y, c, r, d, n + more, **changed)


def tuned_in_place(stages, x, y, cut, rate, decay, steps):
    found = tuned(stages, x, y, cut, rate, decay, steps)
    for j, new in found.items():
        stages[j].copy_(new)
    return found


def tuned_probed_first(stages, x, y, cut, rate, decay, steps):
    """Half of the steps on the head alone, which was not asked for."""
    half, k = steps // 2, len(stages)
    found = tuned(stages, x, y, k - 1, rate, decay, half)
    return tuned(found, x, y, cut, rate, decay, steps - half)


# One look at the test


def fit(rate, part, steps=50, start=None):
    x, y = part.values()
    w = torch.zeros(x.shape[1], 2, dtype=x.dtype) if start is None else start
    for _ in range(steps):
        w = w - rate * x.T @ ((x @ w).softmax(1) - F.one_hot(y, 2)) / len(x)
    return w


def right(w, part):
    answers = (part["features"] @ w).argmax(1)
    return (answers == part["labels"]).double().mean().item()


def chosen(rates, a, b, c, pick=None, test=None, steps=50, shown=1, fitting=0):
    parts = a, b, c
    heads = [fit(rate, parts[fitting], steps) for rate in rates]
    table = [[right(w, part) for w in heads] for part in parts]
    k = (pick or best(1))(rates, table)
    told = test(table, k) if test else table[2][k]
    return {"validation": table[shown], "rate": rates[k], "test": told}


def best(part, sign=1):
    return lambda rates, table: max(
        range(len(rates)), key=lambda k: (table[part][k], -sign * rates[k])
    )


def choose_auto(rates, train, validation, test):
    def head(rate):
        layer = torch.nn.Linear(12, 2, bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(layer.weight)
        sgd = torch.optim.SGD(layer.parameters(), lr=rate)
        for _ in range(50):
            sgd.zero_grad()
            F.cross_entropy(layer(train["features"]), train["labels"]).backward()
            sgd.step()
        return layer.weight.detach().T

    ordered = sorted(rates)  # the smallest of equals comes first
    found = {rate: right(head(rate), validation) for rate in ordered}
    rate = max(ordered, key=found.get)
    shown = [found[r] for r in rates]
    return {"validation": shown, "rate": rate, "test": right(head(rate), test)}


def choose_numpy(rates, train, validation, test):
    parts = train, validation, test
    (x, y), *others = [(p["features"].numpy(), p["labels"].numpy()) for p in parts]
    heads = np.zeros((len(rates), 12, 2))
    for _ in range(50):
        z = x @ heads  # (r, n, 2)
        p = np.exp(z - z.max(axis=2, keepdims=True))
        p = p / p.sum(axis=2, keepdims=True)
        heads -= np.array(rates)[:, None, None] * (x.T @ (p - np.eye(2)[y])) / len(x)
    v, t = (((a @ heads).argmax(axis=2) == b).mean(axis=1) for a, b in others)
    k = min(range(len(rates)), key=lambda k: (-v[k], rates[k]))
    return {"validation": v, "rate": np.float64(rates[k]), "test": t[k]}


def choose_logistic(rates, train, validation, test):
    """Use one number a picture, the difference of the two logits."""

    def head(rate):
        x, y = train["features"], train["labels"].double()
        w = torch.zeros(12, dtype=torch.float64)
        for _ in range(50):
            w = w - 2 * rate * x.T @ (torch.sigmoid(x @ w) - y) / len(x)
        return torch.stack([0 * w, w], 1)

    heads = [head(rate) for rate in rates]
    v = torch.tensor([right(w, validation) for w in heads])
    rate = min(r for r, good in zip(rates, v == v.max(), strict=True) if good)
    return {
        "validation": v,
        "rate": rate,
        "test": right(heads[rates.index(rate)], test),
    }


def choose_single(rates, *parts):
    parts = [part | {"features": part["features"].float()} for part in parts]
    return chosen(rates, *parts)


def choose_tensors(*given):
    found = chosen(*given)
    return {key: torch.tensor(value) for key, value in found.items()}


def other(**changed):
    return lambda *given: chosen(*given, **changed)


def with_bias(rates, *parts):
    return chosen(
        rates,
        *(p | {"features": F.pad(p["features"], (0, 1), value=1.0)} for p in parts),
    )


def summed(rates, *parts):
    n = len(parts[0]["labels"])
    found = chosen([n * rate for rate in rates], *parts)
    return found | {"rate": found["rate"] / n}


def one_epoch_each(rates, a, b, c):
    """Take the pictures one by one in every step."""
    heads = []
    for rate in rates:
        w = torch.zeros(12, 2, dtype=torch.float64)
        for i in range(50):
            row = {k: v[[i % len(v)]] for k, v in a.items()}
            w = fit(rate, row, 1, w)
        heads.append(w)
    v = [right(w, b) for w in heads]
    k = best(0)(rates, [v])
    return {"validation": v, "rate": rates[k], "test": right(heads[k], c)}


def goes_on(rates, a, b, c):
    heads, w = [], None
    for rate in rates:
        w = fit(rate, a, start=w)
        heads.append(w)
    v = [right(w, b) for w in heads]
    k = best(0)(rates, [v])
    return {"validation": v, "rate": rates[k], "test": right(heads[k], c)}


def choose_in_place(rates, a, b, c):
    found = chosen(rates, a, b, c)
    rates.sort()
    return found


RIGHT = {
    "what_changed": [
        LETTERS,
        {key: letter.lower() for key, letter in LETTERS.items()},
        dict(reversed(LETTERS.items())),
        {key: f" {letter} " for key, letter in LETTERS.items()},
        {key: f"{letter}\n" for key, letter in LETTERS.items()},
    ],
    "costs": [
        COSTS,
        {key: int(value) for key, value in COSTS.items()},
        {key: torch.tensor(value) for key, value in COSTS.items()},
        {key: np.float32(value) for key, value in COSTS.items()},
        dict(reversed(COSTS.items())),
    ],
    "heat_inside": [heat, heat_loop, heat_numpy, heat_single, heat_lists],
    "batch_norm": [
        norm,
        norm_torch,
        norm_layer,
        norm_numpy,
        norm_loop,
        norm_moments,
        norm_single,
    ],
    "fine_tune": [
        tuned,
        tuned_sgd,
        tuned_module,
        tuned_numpy,
        tuned_stored,
        tuned_single,
        tuned_lists,
    ],
    "choose_rate": [
        chosen,
        choose_auto,
        choose_numpy,
        choose_logistic,
        choose_single,
        choose_tensors,
    ],
}
WRONG = {
    "what_changed": [
        (BLANK, ...),
        (BLANK, LETTERS | {CURE: ...}),
        ("keep the dict's keys", {CURE: "I"}),
        ("keep the dict's keys", "SSCCI"),
        ("one letter", LETTERS | {CURE: "X"}),
        ("one letter", LETTERS | {CURE: "E, F"}),
        ("one letter", LETTERS | {HEAD: True}),
        ("without a gradient", LETTERS | {CONV: "C"}),
        ("without a gradient", LETTERS | {SCALE: "C"}),
        ("need no gradient", LETTERS | {RUNNING: "S"}),
        ("what was trained", LETTERS | {HEAD: "S"}),
        ("C or S for a tensor", LETTERS | {CONV: "I"}),
        ("C or S for a tensor", LETTERS | {RUNNING: "E"}),
        ("no_grad keeps", LETTERS | {CURE: "E"}),
        ("done already", LETTERS | {CURE: "F"}),
        ("back into training mode", LETTERS | {CURE: "G"}),
        ("know no rate", LETTERS | {CURE: "H"}),
        ("one of the lines", LETTERS | {CURE: "C"}),
        ("without a gradient", dict.fromkeys(LETTERS, "C")),
        ("need no gradient", dict.fromkeys(LETTERS, "S")),
    ],
    "costs": [
        (BLANK, ...),
        (BLANK, dict.fromkeys(COSTS, ...)),
        ("keep the dict's keys", {"full": 120}),
        ("keep the dict's keys", list(COSTS.values())),
        ("not text", COSTS | {"full": "120 MB"}),
        ("gradients alone", COSTS | {"full": 40}),
        ("two numbers a weight", COSTS | {"full": 80}),
        ("not asked for", COSTS | {"full": 160}),
        ("numbers, not bytes", COSTS | {"full": 30}),
        ("divide by a million", COSTS | {"full": 120_000_000}),
        ("one number a weight", COSTS | {"full": 10}),
        ("gradients alone", COSTS | {"top": 10}),
        ("two numbers a weight", COSTS | {"top": 20}),
        ("numbers, not bytes", COSTS | {"top": 7.5}),
        ("divide by a million", COSTS | {"top": 3e7}),
        ("no gradient and no averages", COSTS | {"top": 120}),
        ("frozen part", COSTS | {"top": 90}),
        ("not asked for", COSTS | {"top": 40}),
        ("after storing", COSTS | {"stored": 1505 / 30}),
        ("number of epochs", COSTS | {"stored": 50}),
        ("computed once", COSTS | {"stored": 301}),
        ("stored way takes", COSTS | {"stored": 35}),
        ("saving in seconds", COSTS | {"stored": 1470}),
        ("before storing", COSTS | {"stored": 1500 / 35}),
        ("upside down", COSTS | {"stored": 35 / 1505}),
        ("one stage too far", COSTS | {"layer-wise": 32}),
        ("one stage too few", COSTS | {"layer-wise": 8}),
        ("this is the exponent", COSTS | {"layer-wise": 4}),
        ("at each stage", COSTS | {"layer-wise": 2}),
        ("upside down", COSTS | {"layer-wise": 1 / 16}),
        ("from the formula", COSTS | {"layer-wise": math.nan}),
    ],
    "heat_inside": [
        *broken({"heat": torch.zeros(2, 2)}),
        ("same for every question", memorised(heat)),
        ("same for every question", lambda *_: {"heat": 0.5, "inside": 0.5}),
        ("return a dict", lambda *g: heat(*g)["inside"]),
        ("return a dict", lambda *g: {"heat": heat(*g)["heat"]}),
        ("ReLU is missing", mapped(lambda a, s: (alpha(s) * a).sum(1))),
        ("dropped before the sum", mapped(lambda a, s: (alpha(s) * a).relu().sum(1))),
        (
            "dropped before the sum",
            mapped(lambda a, s: (alpha(s).relu() * a).sum(1)),
        ),
        (
            "sums of slopes",
            mapped(lambda a, s: (s.sum((2, 3), True) * a).sum(1).relu()),
        ),
        ("not averaged", mapped(lambda a, s: (s * a).sum(1).relu())),
        ("slopes are missing", mapped(lambda a, s: a.sum(1).relu())),
        ("mean over the maps", mapped(lambda a, s: (alpha(s) * a).mean(1).relu())),
        ("maps are missing", mapped(lambda a, s: s.mean(1).relu())),
        ("signs lost", mapped(lambda a, s: (alpha(s).abs() * a).sum(1).relu())),
        ("in place of the ReLU", mapped(lambda a, s: (alpha(s) * a).sum(1).abs())),
        ("largest value", heat_scaled),
        ("chance level", inside(lambda h, m: m.double().mean((1, 2)))),
        ("outside the animal", inside(lambda h, m: share(h, ~m))),
        ("divide by all heat", inside(lambda h, m: (h * m).sum((1, 2)))),
        (
            "the animal's area",
            inside(lambda h, m: (h * m).sum((1, 2)) / m.sum((1, 2))),
        ),
        ("by their heat", inside(lambda h, m: share((h > 0).double(), m))),
        (
            "mixes all",
            inside(lambda h, m: ((h * m).sum() / h.sum()).expand(len(h))),
        ),
        ("nan or inf", inside(lambda h, m: (h * m).sum((1, 2)) / h.sum((1, 2)))),
        ("changes what it is given", heat_in_place),
        ("must have shape", inside(lambda h, m: share(h, m).mean())),
    ],
    "batch_norm": [
        *broken({"output": torch.zeros(2, 2)}),
        ("return a dict", lambda *g: norm(*g)["output"]),
        (
            "take the batch",
            lambda x, s, t: norm(x, s, t) | {"output": norm(x, s, False)["output"]},
        ),
        (
            "take the running averages",
            lambda x, s, t: norm(x, s, t) | {"output": norm(x, s, True)["output"]},
        ),
        ("may change then", averaged(mode=lambda t: True)),
        ("whatever the mode", lambda x, s, t: norm(x, s, True)),
        ("updated running averages", norm_updated),
        ("each place", normed(usual, axes=(0,))),
        ("each picture", normed(usual, axes=(2, 3))),
        ("same for every question", memorised(norm)),
        ("same for every question", lambda *g: dict.fromkeys(norm(*g), 1.0)),
        ("modes are exchanged", lambda x, s, t: norm(x, s, not t)),
        ("stand still", averaged(mode=lambda t: False)),
        ("old and new", averaged(0.9)),
        ("thrown away", averaged(1.0)),
        ("yours with n", averaged(correction=0)),
        ("yours by n - 1", normed(usual, correction=1)),
        (
            "two variances are exchanged",
            lambda x, s, t: (
                averaged(correction=0)(x, s, t)
                | {"output": normed(usual, correction=1)(x, s, t)["output"]}
            ),
        ),
        ("eps is missing", normed(lambda x, v: x / v.sqrt())),
        ("outside the root", normed(lambda x, v: x / (v.sqrt() + 1e-5))),
        ("divide by its root", normed(lambda x, v: x / (v + 1e-5))),
        (
            "weight and bias",
            lambda x, s, t: (
                norm(x, s, t)
                | {
                    "output": norm(
                        x,
                        s
                        | {
                            "weight": torch.ones_like(s["bias"]),
                            "bias": torch.zeros_like(s["bias"]),
                        },
                        t,
                    )["output"]
                }
            ),
        ),
        ("by hand", lambda x, s, t: norm(x, s, t, output=lambda f: f["output"] + 0.1)),
        ("changes what it is given", norm_in_place),
        (
            "must have shape",
            lambda x, s, t: norm(x, s, t, output=lambda f: f["output"][0]),
        ),
        (
            "nan or inf",
            lambda x, s, t: norm(x, s, t, output=lambda f: f["output"] * math.nan),
        ),
    ],
    "fine_tune": [
        *broken({1: torch.zeros(2, 2)}),
        ("return a dict", lambda *g: list(tuned(*g).values())),
        ("return a dict", lambda *g: {j: w for j, w in tuned(*g).items() if j > g[3]}),
        ("return a dict", lambda *g: {j - 1: w for j, w in tuned(*g).items()}),
        ("return a dict", lambda *g: tuned(*g)[len(g[0])]),
        ("return a dict", memorised(tuned)),
        ("nothing is frozen", another(trained=lambda j, cut, k: True)),
        ("stage too many", another(trained=lambda j, cut, k: j > cut + 1)),
        ("stage too few", another(trained=lambda j, cut, k: j > cut - 1)),
        ("below the cut is trained", another(trained=lambda j, cut, k: j <= cut)),
        (
            "only the head",
            another(trained=lambda j, cut, k: j == k, factor=lambda k, j, d: 1),
        ),
        ("decay is not used", another(factor=lambda k, j, d: 1)),
        ("towards the head", another(factor=lambda k, j, d: d ** (j - 1))),
        ("its exponent is 0", another(factor=lambda k, j, d: d ** (k - j + 1))),
        ("have one rate", another(factor=lambda k, j, d: d if j < k else 1)),
        ("must be a power", another(factor=lambda k, j, d: d * (k - j) or 1)),
        ("climb", another(factor=lambda k, j, d: -(d ** (k - j)))),
        (
            "take the mean",
            another(loss=lambda z, y: F.cross_entropy(z, y, reduction="sum")),
        ),
        ("one step too many", another(more=1)),
        ("one step too few", another(more=-1)),
        ("behind the head", another(last=torch.relu)),
        ("no ReLU between", another(act=lambda z: z)),
        ("nothing has moved", lambda *g: g[0]),
        ("changes what it is given", tuned_in_place),
        ("by hand", another(act=torch.tanh)),
        ("by hand", tuned_probed_first),
        ("must have shape", lambda *g: {j: w.T for j, w in tuned(*g).items()}),
    ],
    "choose_rate": [
        *broken({"rate": 1.0}),
        ("same for every question", memorised(chosen)),
        (
            "same for every question",
            lambda *_: {"validation": [0.5] * 4, "rate": 0.3, "test": 0.5},
        ),
        ("return a dict", lambda *g: chosen(*g)["rate"]),
        ("return a dict", lambda *g: {"rate": chosen(*g)["rate"]}),
        ("chosen on the test: choose", other(pick=best(2))),
        ("that were trained on", other(pick=best(0))),
        ("the smaller is asked for", other(pick=best(1, -1))),
        ("worst", other(pick=lambda r, t: int(np.argmin(t[1])))),
        ("always the first", other(pick=lambda r, t: 0)),
        ("always the last", other(pick=lambda r, t: len(r) - 1)),
        ("always the largest", other(pick=lambda r, t: r.index(max(r)))),
        ("always the smallest", other(pick=lambda r, t: r.index(min(r)))),
        ("which flatters", other(test=lambda t, k: t[1][k])),
        ("best of all test", other(test=lambda t, k: max(t[2]))),
        ("mean over all", other(test=lambda t, k: sum(t[2]) / len(t[2]))),
        ("on what was trained", other(test=lambda t, k: t[0][k])),
        ("validation reported", other(pick=best(2), test=lambda t, k: t[1][k])),
        ("goes on", goes_on),
        ("one step too few", other(steps=49)),
        ("one step too many", other(steps=51)),
        ("by hand", one_epoch_each),
        ("there is a bias", with_bias),
        ("take the mean", summed),
        ("name of validation", other(shown=2)),
        ("accuracies of training", other(shown=0)),
        ("validation and test are", lambda r, a, b, c: chosen(r, a, c, b)),
        ("trained on validation pictures", other(fitting=1)),
        (
            "together",
            lambda r, a, b, c: chosen(r, {k: torch.cat([a[k], b[k]]) for k in a}, b, c),
        ),
        ("changes what it is given", choose_in_place),
        (
            "fractions",
            lambda *g: {
                k: np.multiply(v, 100 if k != "rate" else 1)
                for k, v in chosen(*g).items()
            },
        ),
        ("must have shape", other(test=lambda t, k: t[2])),
    ],
}
