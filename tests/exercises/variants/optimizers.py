"""Answers to the exercises on optimizers: right ones, and wrong ones with hints.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, broken
from torch.optim import lr_scheduler

from tlcourse import optim

TUNED = {}


# Numbers and causes

NUMBERS = {
    "edge": 2.5,
    "crossing": -0.6,
    "momentum": 20.0,
    "batch": 256,
    "worth": 6.25,
    "uncorrected": 5.0,
}
CAUSES = {
    "explodes": "D",
    "freezes": "F",
    "leaps": "G",
    "hovers": "A",
    "starves": "E",
    "forgets": "B",
    "clings": "C",
}


def numbers(**changed):
    return NUMBERS | changed


def causes(**changed):
    return CAUSES | changed


# Momentum


def path(start, curvatures, lr, momentum, nesterov, steps):
    theta, buffer, rows = start, 0 * start, [start]
    for _ in range(steps):
        g = curvatures * theta
        buffer = momentum * buffer + g
        theta = theta - lr * (g + momentum * buffer if nesterov else buffer)
        rows.append(theta)
    return torch.stack(rows)


def path_loop(start, curvatures, lr, momentum, nesterov, steps):
    columns = []
    for theta, c in zip(start.tolist(), curvatures.tolist(), strict=True):
        b, column = 0.0, [theta]
        for _ in range(steps):
            g = c * theta
            b = momentum * b + g
            theta -= lr * (g + momentum * b) if nesterov else lr * b
            column.append(theta)
        columns.append(column)
    return [list(row) for row in zip(*columns, strict=True)]


def path_numpy(start, curvatures, lr, momentum, nesterov, steps):
    rows = np.zeros((steps + 1, len(start)))
    rows[0], b, c = start, np.zeros(len(start)), curvatures.double().numpy()
    for i in range(steps):
        g = c * rows[i]
        b = momentum * b + g
        rows[i + 1] = rows[i] - lr * np.where(nesterov, g + momentum * b, b)
    return rows


def path_rate_inside(start, curvatures, lr, momentum, nesterov, steps):
    """With a constant rate it may stand in the buffer, and make a velocity of it."""
    theta, v, rows = start, 0 * start, [start]
    for _ in range(steps):
        step = lr * curvatures * theta
        v = momentum * v - step
        theta = theta + (momentum * v - step if nesterov else v)
        rows.append(theta)
    return torch.stack(rows)


def path_library(start, curvatures, lr, momentum, nesterov, steps, library=torch.optim):
    theta = start.clone().requires_grad_()
    if momentum == 0:
        nesterov = False
    optimizer = library.SGD([theta], lr=lr, momentum=momentum, nesterov=nesterov)
    rows = [start]
    for _ in range(steps):
        optimizer.zero_grad()
        (curvatures * theta**2).sum().div(2).backward()
        optimizer.step()
        rows.append(theta.detach().clone())
    return torch.stack(rows)


def path_half(*given):
    """Single precision whatever came."""
    return path(*(x.float() if isinstance(x, torch.Tensor) else x for x in given))


def path_matrix(start, curvatures, lr, momentum, nesterov, steps):
    """Each weight and its buffer are moved by one matrix a step."""
    found = []
    for theta, c in zip(start.double(), curvatures.double(), strict=True):
        g = torch.tensor([c, 0.0], dtype=torch.float64)
        b = torch.tensor([0.0, momentum], dtype=torch.float64) + g
        used = g + momentum * b if nesterov else b
        one = torch.tensor([1.0, 0.0], dtype=torch.float64)
        matrix = torch.stack([one - lr * used, b])
        state = torch.stack([theta, 0 * theta])
        power = torch.linalg.matrix_power
        states = [power(matrix, i) @ state for i in range(steps + 1)]
        found.append(torch.stack(states)[:, 0])
    return torch.stack(found, dim=1)


def path_by(rule):
    """Return a walk by another rule: gradient, old buffer, momentum -> buffer, step."""

    def found(start, curvatures, lr, momentum, nesterov, steps):
        theta, buffer, rows = start, 0 * start, [start]
        for _ in range(steps):
            g = curvatures * theta
            buffer, step = rule(g, buffer, momentum, nesterov)
            theta = theta - lr * step
            rows.append(theta)
        return torch.stack(rows)

    return found


def usual(g, b, nesterov, mu):
    return b, (g + mu * b if nesterov else b)


def path_same_tensor(start, curvatures, lr, momentum, nesterov, steps):
    theta, buffer, rows = start.clone(), 0 * start, []
    rows.append(theta)
    for _ in range(steps):
        g = curvatures * theta
        buffer = momentum * buffer + g
        theta -= lr * (g + momentum * buffer if nesterov else buffer)
        rows.append(theta)
    return torch.stack(rows)


def path_in_place(start, curvatures, lr, momentum, nesterov, steps):
    buffer, rows = 0 * start, [start.clone()]
    for _ in range(steps):
        g = curvatures * start
        buffer = momentum * buffer + g
        start -= lr * (g + momentum * buffer if nesterov else buffer)
        rows.append(start.clone())
    return torch.stack(rows)


def path_look_ahead(start, curvatures, lr, momentum, nesterov, steps):
    theta, buffer, rows = start, 0 * start, [start]
    for _ in range(steps):
        place = theta - lr * momentum * buffer if nesterov else theta
        buffer = momentum * buffer + curvatures * place
        theta = theta - lr * buffer
        rows.append(theta)
    return torch.stack(rows)


def path_frozen_gradient(start, curvatures, lr, momentum, nesterov, steps):
    g, buffer, rows = curvatures * start, 0 * start, [start]
    for _ in range(steps):
        buffer = momentum * buffer + g
        step = g + momentum * buffer if nesterov else buffer
        rows.append(rows[-1] - lr * step)
    return torch.stack(rows)


# AdamW


def adamw(theta, gradients, lr, betas, eps, weight_decay):
    m, v = torch.zeros_like(theta), torch.zeros_like(theta)
    for t, g in enumerate(gradients, 1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        theta = theta - lr * (m_hat / (v_hat**0.5 + eps) + weight_decay * theta)
    return theta


def adamw_loop(theta, gradients, lr, betas, eps, weight_decay):
    found = []
    for weight, column in zip(theta.tolist(), gradients.T.tolist(), strict=True):
        m = v = 0.0
        for t, g in enumerate(column, 1):
            m += (1 - betas[0]) * (g - m)
            v += (1 - betas[1]) * (g * g - v)
            unit = m / (1 - betas[0] ** t)
            unit /= math.sqrt(v / (1 - betas[1] ** t)) + eps
            weight -= lr * (unit + weight_decay * weight)
        found.append(weight)
    return found


def adamw_numpy(theta, gradients, lr, betas, eps, weight_decay):
    theta, gradients = theta.numpy(), gradients.numpy()
    m = v = np.zeros_like(theta)
    for t in range(1, len(gradients) + 1):
        m = betas[0] * m + (1 - betas[0]) * gradients[t - 1]
        v = betas[1] * v + (1 - betas[1]) * gradients[t - 1] ** 2
        unit = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        theta = (1 - lr * weight_decay) * theta - lr * unit
    return theta


def adamw_library(theta, gradients, lr, betas, eps, decay, library=torch.optim):
    weight = theta.clone().requires_grad_()
    options = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": decay}
    optimizer = library.AdamW([weight], **options)
    for g in gradients:
        weight.grad = g.clone()
        optimizer.step()
    return weight


def adamw_averages(theta, gradients, lr, betas, eps, weight_decay):
    """The moments are weighted sums of all gradients so far."""
    for t in range(1, len(gradients) + 1):
        ages = torch.arange(t - 1, -1, -1, dtype=gradients.dtype)[:, None]
        m_hat, v_hat = (
            (beta**ages * gradients[:t] ** power).sum(0) / (beta**ages).sum()
            for power, beta in enumerate(betas, 1)
        )
        unit = m_hat / (torch.sqrt(v_hat) + eps)
        theta = theta - lr * unit - lr * weight_decay * theta
    return theta


def adamw_single(theta, gradients, *rest):
    return adamw(theta.float(), gradients.float(), *rest).tolist()


def adamw_by(
    moments=lambda m, v, g, a, b: (a * m + (1 - a) * g, b * v + (1 - b) * g**2),
    hats=lambda m, v, t, a, b: (m / (1 - a**t), v / (1 - b**t)),
    unit=lambda m, v, eps: m / (v.sqrt() + eps),
    new=lambda theta, unit, lr, decay: theta - lr * (unit + decay * theta),
    gradient=lambda g, theta, decay: g,
    first=1,
):
    """Return AdamW with another line in one place."""

    def found(theta, gradients, lr, betas, eps, weight_decay):
        m = v = torch.zeros_like(theta)
        for t, g in enumerate(gradients, first):
            m, v = moments(m, v, gradient(g, theta, weight_decay), *betas)
            m_hat, v_hat = hats(m, v, t, *betas)
            theta = new(theta, unit(m_hat, v_hat, eps), lr, weight_decay)
        return theta

    return found


def adamw_in_place(theta, gradients, *rest):
    found = adamw(theta, gradients, *rest)
    theta.copy_(found)
    return found


# Schedules


def plan(lr, milestones, gamma, epochs, batches):
    rates = [
        lr * gamma ** sum(epoch >= m for m in milestones)
        for epoch in range(epochs)
        for _ in range(batches)
    ]
    late = len([m for m in milestones if m >= epochs])
    return {"rates": rates, "worth": sum(rates) / lr, "unreached": late}


def plan_torch(
    lr, milestones, gamma, epochs, batches, *, per_batch=False, after=False, late=None
):
    """Mend the printed function, or leave some of its mistakes."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = lr_scheduler.MultiStepLR(optimizer, milestones, gamma=gamma)
    rates = []
    for _ in range(epochs):
        for _ in range(batches):
            rate = optimizer.param_groups[0]["lr"]
            optimizer.step()
            if per_batch:
                scheduler.step()
            rates.append(optimizer.param_groups[0]["lr"] if after else rate)
        if not per_batch:
            scheduler.step()
    if late is None:
        late = sum(m > epochs - 1 for m in milestones)
    return {"rates": rates, "worth": sum(rates) / lr, "unreached": late}


def plan_printed(*given):
    return plan_torch(*given, per_batch=True, after=True, late=0)


def plan_numpy(lr, milestones, gamma, epochs, batches):
    epoch = np.arange(epochs * batches) // batches
    falls = np.searchsorted(np.array(milestones, dtype=float), epoch, side="right")
    rates = lr * np.power(float(gamma), falls)
    late = np.sum(np.array(milestones, dtype=float) >= epochs)
    return {"worth": rates.sum() / lr, "rates": rates, "unreached": late}


def plan_tensor(lr, milestones, gamma, epochs, batches):
    rates = torch.full((epochs, batches), float(lr))
    for milestone in milestones:
        rates[milestone:] *= gamma
    late = torch.tensor([m >= epochs for m in milestones]).sum()
    return {"rates": rates.flatten(), "worth": rates.sum() / lr, "unreached": late}


def plan_running(lr, milestones, gamma, epochs, batches):
    rate, rates, left = lr, [], list(milestones)
    for epoch in range(epochs):
        if left and left[0] == epoch:
            rate *= gamma
            left.pop(0)
        rates.extend([rate] * batches)
    return {"rates": tuple(rates), "worth": sum(rates) / lr, "unreached": len(left)}


def plan_by(falls):
    """Return a plan in which the rate falls otherwise."""

    def found(lr, milestones, gamma, epochs, batches):
        rates = [
            lr * gamma ** falls(milestones, epoch, epoch * batches + i)
            for epoch in range(epochs)
            for i in range(batches)
        ]
        late = sum(m >= epochs for m in milestones)
        return {"rates": rates, "worth": sum(rates) / lr, "unreached": late}

    return found


def plan_with(**changed):
    """Return a plan of which one entry is computed otherwise."""

    def found(*given):
        made = plan(*given)
        return made | {key: make(made, *given) for key, make in changed.items()}

    return found


def plan_in_place(lr, milestones, *rest):
    found = plan(lr, milestones, *rest)
    milestones.clear()
    return found


# The sweep


def tuned(*given, steps=60, act=torch.tanh, kind="Adam", soft=None):
    """Train, unless it has been done: most variants train as they should."""
    key = (*(x.numpy().tobytes() for x in given[:4]), *given[4], steps, kind, act, soft)
    if key not in TUNED:
        TUNED[key] = tuned_anew(*given, steps, act, kind, soft)
    return TUNED[key]


def tuned_anew(weights, head, x, y, rates, steps, act, kind, soft):
    weights, head = (w.clone().requires_grad_() for w in (weights, head))
    groups = [
        {"params": [w], "lr": lr} for w, lr in zip((weights, head), rates, strict=True)
    ]
    optimizer = getattr(torch.optim, kind)(groups)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = act(x @ weights) @ head
        F.cross_entropy(soft(logits) if soft else logits, y).backward()
        optimizer.step()
    return weights.detach(), head.detach()


def right(weights, head, data, name):
    guesses = (torch.tanh(data[f"{name}_x"] @ weights) @ head).argmax(1)
    return (guesses == data[f"{name}_y"]).double().mean().item()


def drift_of(new, head, body, old):
    return ((new - body).norm() / body.norm()).item()


def swept(
    body,
    old,
    data,
    rates,
    floor,
    *,
    begin=lambda body, old, last: (body, torch.zeros_like(old)),
    both=lambda rate: (rate, 0.05),
    on="train",
    drift=drift_of,
    kept=lambda w, h, old, data: right(w, old, data, "source"),
    validation=lambda w, h, old, data: right(w, h, data, "validation"),
    choose=lambda made, tests, allowed: max(
        allowed, key=made["validation"].__getitem__
    ),
    **options,
):
    made, tests, last = {"drift": [], "kept": [], "validation": []}, [], (body, old)
    for rate in rates:
        start = begin(body, old, last)
        train = data[f"{on}_x"], data[f"{on}_y"]
        last = tuned(*start, *train, both(rate), **options)
        made["drift"].append(drift(*last, body, old))
        made["kept"].append(kept(*last, old, data))
        made["validation"].append(validation(*last, old, data))
        tests.append(right(*last, data, "test"))
    allowed = [i for i, k in enumerate(made["kept"]) if k >= floor] or [0]
    chosen = choose(made, tests, allowed)
    return made | {"chosen": chosen, "test": tests[chosen]}


def swept_with(**options):
    return lambda *given: swept(*given, **options)


def swept_changed(**changed):
    """Return a sweep of which one entry is computed otherwise from the others."""

    def found(*given):
        made = swept(*given)
        return made | {key: make(made, *given) for key, make in changed.items()}

    return found


def swept_double(body, old, data, rates, floor):
    data = {k: v.double() if k.endswith("x") else v for k, v in data.items()}
    return swept(body.double(), old.double(), data, rates, floor)


def swept_own(body, old, data, rates, floor):
    """With the course's Adam, one optimizer for each part, and numpy's measures."""
    made = {"drift": [], "kept": [], "validation": [], "test": []}
    for rate in rates:
        layer, head = torch.nn.Linear(8, 16, bias=False), torch.nn.Linear(16, 4, False)
        with torch.no_grad():
            layer.weight.copy_(body.T)
            head.weight.zero_()
        model = torch.nn.Sequential(layer, torch.nn.Tanh(), head)
        parts = [
            optim.Adam([layer.weight], lr=rate),
            optim.Adam(head.parameters(), 0.05),
        ]
        for _ in range(60):
            loss = F.nll_loss(model(data["train_x"]).log_softmax(1), data["train_y"])
            model.zero_grad()
            loss.backward()
            for part in parts:
                part.step()
        with torch.no_grad():
            new = layer.weight.T.numpy()
            for key in ("validation", "test"):
                found = model(data[f"{key}_x"]).argmax(1) == data[f"{key}_y"]
                made[key].append(np.float32(found.numpy().mean()))
        made["drift"].append(
            np.linalg.norm(new - body.numpy()) / np.linalg.norm(body.numpy())
        )
        logits = np.tanh(data["source_x"].numpy() @ new) @ old.numpy()
        made["kept"].append((logits.argmax(1) == data["source_y"].numpy()).mean())
    scores = np.where(np.array(made["kept"]) >= floor, made["validation"], -1)
    chosen = scores.argmax()
    return {k: np.array(v) for k, v in made.items()} | {
        "chosen": chosen,
        "test": made["test"][chosen],
    }


def swept_by_hand(body, old, data, rates, floor):
    """In numpy, with gradients and Adam written out."""

    def tune(rate):
        w = [body.double().numpy(), np.zeros(old.shape)]
        m, v = [0.0, 0.0], [0.0, 0.0]
        x, y = data["train_x"].double().numpy(), data["train_y"].numpy()
        for t in range(1, 61):
            h = np.tanh(x @ w[0])
            p = np.exp(h @ w[1])
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(len(y)), y] -= 1
            p /= len(y)
            for i, g in enumerate((x.T @ (p @ w[1].T * (1 - h * h)), h.T @ p)):
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                unit = m[i] / (1 - 0.9**t) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
                w[i] = w[i] - (rate, 0.05)[i] * unit
        return torch.tensor(w[0]).float(), torch.tensor(w[1]).float()

    nets = [tune(rate) for rate in rates]
    kept = [right(w, old, data, "source") for w, _ in nets]
    seen = [right(*net, data, "validation") for net in nets]
    chosen = max((s, i) for i, s in enumerate(seen) if kept[i] >= floor)[1]
    return {
        "test": right(*nets[chosen], data, "test"),
        "chosen": chosen,
        "validation": seen,
        "kept": kept,
        "drift": [drift_of(*net, body, old) for net in nets],
    }


def swept_tensors(*given):
    return {
        key: [torch.tensor(x) for x in v] if isinstance(v, list) else torch.tensor(v)
        for key, v in swept(*given).items()
    }


def swept_sigmoid(*given):
    """The hyperbolic tangent is a sigmoid, stretched and moved."""
    return swept(*given, act=lambda z: 2 * torch.sigmoid(2 * z) - 1)


def swept_best_test(*given):
    tests = swept(*given, choose=lambda made, tests, _: int(np.argmax(tests)))
    return swept(*given) | {"test": tests["test"]}


def swept_one(*given):
    made = swept(*given)
    return {
        key: value[made["chosen"]] if isinstance(value, list) else value
        for key, value in made.items()
    }


def swept_random(body, old, *rest):
    return swept(
        body, old, *rest, begin=lambda b, o, _: (b, 0.1 * torch.randn(o.shape))
    )


def swept_in_place(body, old, *rest):
    found = swept(body, old, *rest)
    body += 1
    return found


RIGHT = {
    "six_numbers": [
        NUMBERS,
        numbers(edge=2 / np.float32(0.8), crossing=torch.tensor(-0.6)),
        numbers(batch=16 * (0.6 / 0.15) ** 2, momentum=1 / (1 - 0.95)),
        numbers(worth=sum(0.2 ** (i // 5) for i in range(3000)), batch=np.int64(256)),
        dict(reversed(NUMBERS.items())),
        numbers(uncorrected=0.2 / math.sqrt(1 - 0.9984)),
    ],
    "which_cause": [
        CAUSES,
        {key: letter.lower() for key, letter in CAUSES.items()},
        dict(reversed(CAUSES.items())),
        {key: f" {letter} " for key, letter in CAUSES.items()},
        {key: f"{letter}\n" for key, letter in CAUSES.items()},
    ],
    "momentum_path": [
        path,
        path_loop,
        path_numpy,
        path_rate_inside,
        path_library,
        lambda *given: path_library(*given, library=optim),
        path_half,
        path_matrix,
    ],
    "adamw": [
        adamw,
        adamw_loop,
        adamw_numpy,
        adamw_library,
        lambda *given: adamw_library(*given, library=optim),
        adamw_averages,
        adamw_single,
    ],
    "rates_of_run": [
        plan,
        plan_torch,
        plan_numpy,
        plan_tensor,
        plan_running,
    ],
    "sweep": [
        swept,
        swept_double,
        swept_own,
        swept_by_hand,
        swept_tensors,
        swept_sigmoid,
    ],
}
WRONG = {
    "six_numbers": [
        (BLANK, ...),
        (BLANK, dict.fromkeys(NUMBERS, ...)),
        (BLANK, numbers(worth=None)),
        ("keep the dict's keys", {"edge": 2.5}),
        ("keep the dict's keys", tuple(NUMBERS.values())),
        ("not text", numbers(edge="2 / 0.8")),
        ("not text", numbers(edge=[2.5])),
        ("twice that", numbers(edge=1.25)),
        ("divide by it", numbers(edge=1.6)),
        ("upside down", numbers(edge=0.4)),
        ("not the smallest", numbers(edge=100)),
        ("best rate for both", numbers(edge=2 / 0.82)),
        ("this is the curvature", numbers(edge=0.8)),
        ("the sign is missing", numbers(crossing=0.6)),
        ("flattest", numbers(crossing=0.96)),
        ("rate is missing", numbers(crossing=0.2)),
        ("take it from 1", numbers(crossing=1.6)),
        ("curvature is missing", numbers(crossing=-1)),
        ("only two gradients", numbers(momentum=1.95)),
        ("without its first term", numbers(momentum=19)),
        ("not by mu", numbers(momentum=1 / 0.95)),
        ("a momentum of 0.9", numbers(momentum=10)),
        ("not with the size", numbers(batch=64)),
        ("needs a larger batch", numbers(batch=1)),
        ("multiply it by the batch", numbers(batch=16)),
        ("square it, and multiply", numbers(batch=4)),
        ("the later ones count", numbers(worth=5)),
        ("five times", numbers(worth=1.25)),
        ("not by gamma", numbers(worth=25)),
        ("without a schedule", numbers(worth=3000)),
        ("how often the rate falls", numbers(worth=600)),
        ("hats", numbers(uncorrected=1)),
        ("take the root", numbers(uncorrected=125)),
        ("0.2 of the gradient", numbers(uncorrected=0.2)),
        ("1 - beta, not beta", numbers(uncorrected=0.8 / 0.9984**0.5)),
        ("from the formula", numbers(uncorrected=3.162)),
        ("from the formula", numbers(edge=math.nan)),
    ],
    "which_cause": [
        (BLANK, ...),
        (BLANK, causes(leaps=...)),
        ("keep the dict's keys", {"leaps": "G"}),
        ("keep the dict's keys", "DFGAEBC"),
        ("one letter", causes(leaps="H")),
        ("one letter", causes(leaps="G, A")),
        ("one letter", causes(leaps=7)),
        ("loss fall first", causes(explodes="A")),
        ("far from where it was", causes(explodes="B")),
        ("size of the weights", causes(freezes="C")),
        ("grows at every step", causes(freezes="D")),
        ("the head as well", causes(freezes="E")),
        ("loss fall first", causes(leaps="A")),
        ("without a message", causes(hovers="F")),
        ("first steps only", causes(hovers="G")),
        ("far from where it was", causes(starves="B")),
        ("the head as well", causes(forgets="E")),
        ("first steps only", causes(clings="G")),
        ("loss fall first", dict.fromkeys(CAUSES, "A")),
        ("grows at every step", dict.fromkeys(CAUSES, "D")),
    ],
    "momentum_path": [
        *broken([[1.0], [0.9], [0.72]]),
        ("same for every question", lambda *_: [[1.0], [0.9], [0.72]]),
        ("this is plain momentum", lambda *a: path(*a[:4], False, a[5])),
        ("taken always", lambda *a: path(*a[:4], True, a[5])),
        (
            "this is plain momentum",
            path_by(lambda g, b, mu, n: (mu * b + g, g + mu * b if n else mu * b + g)),
        ),
        (
            "the gradient is missing",
            path_by(
                lambda g, b, mu, n: (
                    mu * b + g,
                    (mu if n else 1) * (mu * b + g),
                )
            ),
        ),
        (
            "not added to b",
            path_by(lambda g, b, mu, n: (mu * b + g, (1 + mu * n) * (mu * b + g))),
        ),
        ("other variables", path_look_ahead),
        ("no momentum", lambda *a: path(*a[:3], 0.0, *a[4:])),
        ("no momentum", path_by(lambda g, b, mu, n: usual(g, g, n, mu))),
        (
            "adds up whole gradients",
            path_by(lambda g, b, mu, n: usual(g, mu * b + (1 - mu) * g, n, mu)),
        ),
        (
            "exchanged",
            path_by(lambda g, b, mu, n: usual(g, (1 - mu) * b + g, n, mu)),
        ),
        (
            "only the old buffer",
            path_by(lambda g, b, mu, n: usual(g, mu * (b + g), n, mu)),
        ),
        (
            "multiplies the old buffer",
            path_by(lambda g, b, mu, n: usual(g, b + mu * g, n, mu)),
        ),
        ("forgets nothing", path_by(lambda g, b, mu, n: usual(g, b + g, n, mu))),
        (
            "buffer is subtracted",
            path_by(lambda g, b, mu, n: usual(g, g - mu * b, n, mu)),
        ),
        (
            "only the limit",
            path_by(lambda g, b, mu, n: usual(g, g / (1 - mu), n, mu)),
        ),
        (
            "renew it first",
            path_by(lambda g, b, mu, n: (mu * b + g, b)),
        ),
        ("uphill", lambda s, c, *a: path(s, -c, *a)),
        ("factor 1/2", lambda s, c, *a: path(s, 2 * c, *a)),
        ("half the gradient", lambda s, c, *a: path(s, c / 2, *a)),
        ("not used", lambda s, c, *a: path(s, torch.ones_like(c), *a)),
        ("compute it anew", path_frozen_gradient),
        ("counts twice", lambda s, c, lr, *a: path(s, c, lr**2, *a)),
        ("start is missing", lambda *a: path(*a)[1:]),
        ("last place is missing", lambda *a: path(*a)[:-1]),
        ("whole path", lambda *a: path(*a)[-1]),
        ("note a copy", path_same_tensor),
        ("one row for each place", lambda *a: path(*a).T),
        ("one step too many", lambda *a: path(*a[:-1], a[-1] + 1)),
        ("return the places", lambda *a: path(*a).diff(dim=0)),
        ("changes what it is given", path_in_place),
        ("nan or inf", lambda *a: path(*a) * math.nan),
        ("by hand", lambda *a: path(*a) + 0.001),
        ("numbers, not", lambda *a: str(path(*a))),
    ],
    "adamw": [
        *broken([1.0, 2.0, 3.0]),
        ("same for every question", lambda *_: [1.0, 2.0, 3.0]),
        (
            "Adam with L2",
            adamw_by(
                gradient=lambda g, theta, w: g + w * theta,
                new=lambda theta, u, lr, w: theta - lr * u,
            ),
        ),
        ("acts twice", adamw_by(gradient=lambda g, theta, w: g + w * theta)),
        ("there is no decay", lambda *a: adamw(*a[:-1], 0.0)),
        (
            "rate must multiply",
            adamw_by(new=lambda theta, u, lr, w: theta - lr * u - w * theta),
        ),
        (
            "takes the old weights",
            adamw_by(new=lambda theta, u, lr, w: (theta - lr * u) * (1 - lr * w)),
        ),
        ("sign is wrong", lambda *a: adamw(*a[:-1], -a[-1])),
        (
            "share of each weight",
            adamw_by(new=lambda theta, u, lr, w: theta - lr * (u + w)),
        ),
        ("uphill", lambda theta, g, *a: adamw(theta, -g, *a)),
        ("no bias correction", adamw_by(hats=lambda m, v, t, a, b: (m, v))),
        (
            "second moment is not corrected",
            adamw_by(hats=lambda m, v, t, a, b: (m / (1 - a**t), v)),
        ),
        (
            "first moment is not corrected",
            adamw_by(hats=lambda m, v, t, a, b: (m, v / (1 - b**t))),
        ),
        (
            "to the power t",
            adamw_by(hats=lambda m, v, t, a, b: (m / (1 - a), v / (1 - b))),
        ),
        ("t must be 1", adamw_by(first=2)),
        ("yours is 0", adamw_by(first=0)),
        (
            "divide by it",
            adamw_by(hats=lambda m, v, t, a, b: (m * (1 - a**t), v * (1 - b**t))),
        ),
        (
            "the other beta",
            adamw_by(hats=lambda m, v, t, a, b: (m / (1 - b**t), v / (1 - a**t))),
        ),
        (
            "betas are exchanged",
            lambda th, g, lr, betas, *a: adamw(th, g, lr, betas[::-1], *a),
        ),
        (
            "1 - beta are exchanged",
            adamw_by(
                lambda m, v, g, a, b: ((1 - a) * m + a * g, (1 - b) * v + b * g**2),
                lambda m, v, t, a, b: (m / (1 - a**t), v / (1 - b**t)),
            ),
        ),
        ("are sums", adamw_by(lambda m, v, g, a, b: (a * m + g, b * v + g**2))),
        (
            "the gradient's size",
            adamw_by(
                lambda m, v, g, a, b: (a * m + (1 - a) * g, b * v + (1 - b) * g.abs())
            ),
        ),
        (
            "of m: square",
            adamw_by(
                lambda m, v, g, a, b: (
                    a * m + (1 - a) * g,
                    b * v + (1 - b) * (a * m + (1 - a) * g) ** 2,
                )
            ),
        ),
        (
            "each has its own",
            adamw_by(
                lambda m, v, g, a, b: (
                    a * m + (1 - a) * g,
                    b * v + (1 - b) * g.square().mean(),
                )
            ),
        ),
        (
            "not kept from step to step",
            adamw_by(lambda m, v, g, a, b: (g, g**2), lambda m, v, t, a, b: (m, v)),
        ),
        ("outside of the root", adamw_by(unit=lambda m, v, e: m / (v + e).sqrt())),
        ("root of the second", adamw_by(unit=lambda m, v, e: m / (v + e))),
        ("eps is missing", adamw_by(unit=lambda m, v, e: m / v.sqrt())),
        ("use the argument", lambda *a: adamw(*a[:4], 1e-8, a[5])),
        ("momentum with decay", adamw_by(unit=lambda m, v, e: m)),
        ("only the first gradient", lambda th, g, *a: adamw(th, g[:1], *a)),
        ("only the last gradient", lambda th, g, *a: adamw(th, g[-1:], *a)),
        ("averaged", lambda th, g, *a: adamw(th, g.mean(0)[None], *a)),
        ("left out", lambda th, g, *a: adamw(th, g[:-1], *a)),
        ("last to the first", lambda th, g, *a: adamw(th, g.flip(0), *a)),
        ("return the weights", lambda th, *a: adamw(th, *a) - th),
        ("changes what it is given", adamw_in_place),
        ("shape", lambda *a: adamw(*a)[None]),
        ("by hand", lambda *a: adamw(*a) + 0.001),
    ],
    "rates_of_run": [
        *broken({"rates": [1.0], "worth": 1.0, "unreached": 0}),
        (
            "same for every question",
            lambda *_: {"rates": [0.8] * 12, "worth": 12.0, "unreached": 0},
        ),
        ("return a dict", lambda *a: plan(*a)["rates"]),
        ("return a dict", lambda *a: {"rates": plan(*a)["rates"]}),
        ("all three mistakes", plan_printed),
        ("always 0", plan_with(unreached=lambda *_: 0)),
        ("no milestone is counted", lambda *a: plan_torch(*a, per_batch=True, late=0)),
        ("milestone counts epochs", lambda *a: plan_torch(*a, per_batch=True)),
        (
            "unreached ones as well",
            lambda *a: plan_torch(
                *a, per_batch=True, late=sum(m >= a[3] * a[4] for m in a[1])
            ),
        ),
        (
            "two mistakes",
            lambda *a: plan_torch(*a, per_batch=True, after=True),
        ),
        ("one epoch early", plan_by(lambda m, e, s: sum(e + 1 >= x for x in m))),
        ("one epoch late", plan_by(lambda m, e, s: sum(e > x for x in m))),
        ("in every epoch", plan_by(lambda m, e, s: e)),
        (
            "falls once",
            plan_by(lambda m, e, s: sum(e - x + 1 for x in m if e >= x)),
        ),
        ("every milestone counts", plan_by(lambda m, e, s: any(e >= x for x in m))),
        ("rises again", plan_by(lambda m, e, s: e in m)),
        ("never falls", plan_by(lambda m, e, s: 0)),
        ("share that is left", lambda lr, m, g, *a: plan(lr, m, 1 - g, *a)),
        ("one for an epoch", plan_with(rates=lambda r, *a: r["rates"][:: a[4]])),
        ("for each batch", lambda *a: plan(*a[:4], 1)),
        ("are factors", plan_with(rates=lambda r, lr, *_: np.array(r["rates"]) / lr)),
        (
            "return them in one row",
            plan_with(rates=lambda r, *a: np.reshape(r["rates"], (a[3], a[4]))),
        ),
        ("divide it by the first", plan_with(worth=lambda r, *_: sum(r["rates"]))),
        (
            "mean in yours",
            plan_with(worth=lambda r, lr, *_: np.mean(r["rates"]) / lr),
        ),
        (
            "every batch is a step",
            plan_with(worth=lambda r, lr, *a: sum(r["rates"][:: a[3]]) / lr),
        ),
        ("counts all steps alike", plan_with(worth=lambda r, *_: len(r["rates"]))),
        (
            "worth less",
            plan_with(worth=lambda r, lr, *_: r["rates"].count(lr)),
        ),
        (
            "numbered from 0",
            plan_with(unreached=lambda r, *a: sum(m > a[3] for m in a[1])),
        ),
        (
            "count the others",
            plan_with(unreached=lambda r, *a: sum(m < a[3] for m in a[1])),
        ),
        (
            "how many, not which",
            plan_with(unreached=lambda r, *a: [m for m in a[1] if m >= a[3]]),
        ),
        (
            "number of batches",
            plan_with(unreached=lambda r, *a: sum(m >= a[3] * a[4] for m in a[1])),
        ),
        ("changes what it is given", plan_in_place),
        ("look at 'unreached'", plan_with(unreached=lambda r, *a: 7)),
    ],
    "sweep": [
        *broken({"drift": [0.1], "kept": [0.9]}),
        ("return a dict", lambda *a: swept(*a)["validation"]),
        ("return a dict", lambda *a: {"chosen": swept(*a)["chosen"]}),
        ("two calls differ", swept_random),
        ("its own is 0.05", swept_with(both=lambda r: (r, r))),
        ("two rates are exchanged", swept_with(both=lambda r: (0.05, r))),
        ("does not move", swept_with(both=lambda r: (0.0, 0.05))),
        ("in every run", swept_with(both=lambda r: (0.05, 0.05))),
        ("starts from the old one", swept_with(begin=lambda b, o, last: (b, o))),
        (
            "body starts at zero",
            swept_with(begin=lambda b, o, last: (0 * b, 0 * o)),
        ),
        (
            "goes on from the last",
            swept_with(begin=lambda b, o, last: (last[0], 0 * o)),
        ),
        (
            "the last one's weights",
            swept_with(
                begin=lambda b, o, last: last if last[1] is not o else (b, 0 * o)
            ),
        ),
        (
            "needs a new head",
            swept_with(
                begin=lambda b, o, last: (b, last[1] if last[1] is not o else 0 * o)
            ),
        ),
        (
            "every rate drifts far",
            swept_with(begin=lambda b, o, last: (b.flip(1), 0 * o)),
        ),
        ("plain gradient descent", swept_with(kind="SGD")),
        ("take 60", swept_with(steps=59)),
        ("take 60", swept_with(steps=61)),
        ("take 60", swept_with(steps=100)),
        ("only one step", swept_with(steps=1)),
        ("tanh is missing", swept_with(act=lambda z: z)),
        (
            "softmax applied twice",
            swept_with(soft=lambda z: z.softmax(1)),
        ),
        ("train on the validation", swept_with(on="validation")),
        ("train on the test", swept_with(on="test")),
        (
            "not divided",
            swept_with(drift=lambda w, h, b, o: (w - b).norm().item()),
        ),
        (
            "ratio of squares",
            swept_with(drift=lambda w, h, b, o: drift_of(w, h, b, o) ** 2),
        ),
        (
            "only the body",
            swept_with(
                drift=lambda w, h, b, o: (
                    torch.cat([(w - b).flatten(), (h - o).flatten()]).norm()
                    / torch.cat([b.flatten(), o.flatten()]).norm()
                ).item()
            ),
        ),
        (
            "new head: put the old",
            swept_with(kept=lambda w, h, o, d: right(w, h, d, "source")),
        ),
        (
            "take the source's rows",
            swept_with(kept=lambda w, h, o, d: right(w, o, d, "validation")),
        ),
        (
            "rows you trained on",
            swept_with(validation=lambda w, h, o, d: right(w, h, d, "train")),
        ),
        (
            "taken on the test data",
            swept_with(validation=lambda w, h, o, d: right(w, h, d, "test")),
        ),
        (
            "percentage",
            swept_changed(kept=lambda made, *_: [100 * k for k in made["kept"]]),
        ),
        (
            "floor is ignored",
            swept_with(
                choose=lambda made, tests, _: int(np.argmax(made["validation"]))
            ),
        ),
        (
            "chosen on the test data: choose",
            swept_with(
                choose=lambda made, tests, allowed: max(allowed, key=tests.__getitem__)
            ),
        ),
        (
            "and the floor ignored",
            swept_with(choose=lambda made, tests, _: int(np.argmax(tests))),
        ),
        (
            "validation decides",
            swept_with(choose=lambda made, tests, _: int(np.argmax(made["kept"]))),
        ),
        (
            "last rate that keeps",
            swept_with(choose=lambda made, tests, allowed: allowed[-1]),
        ),
        ("count from 0", swept_changed(chosen=lambda made, *_: made["chosen"] + 1)),
        ("not the rate", swept_changed(chosen=lambda made, *a: a[3][made["chosen"]])),
        ("best of all rates", swept_best_test),
        ("those of every rate", swept_one),
        ("shape ()", swept_changed(test=lambda made, *_: made["validation"])),
        (
            "on validation data",
            swept_changed(test=lambda made, *_: made["validation"][made["chosen"]]),
        ),
        ("changes what it is given", swept_in_place),
        (
            "same for every question",
            lambda *_: {
                "drift": [0.034114, 0.225096, 1.12428, 3.685564],
                "kept": [0.955, 0.9475, 0.59, 0.37],
                "validation": [0.84, 0.8925, 0.9125, 0.8575],
                "test": 0.91,
                "chosen": 1,
            },
        ),
    ],
}
