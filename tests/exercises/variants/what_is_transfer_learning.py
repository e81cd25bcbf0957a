"""Answers to the exercises on what transfer learning is, right ones and wrong ones.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, raises, stub

CASES = {"accent": "D", "parity": "B", "sound": "A", "spam": "C", "more print": "E"}


def cases(**changed):
    return CASES | {key.replace("_", " "): letter for key, letter in changed.items()}


RATIO = math.sqrt(10)


def numbers(gain=0.1, ratio=RATIO, share=25.0):
    return {"gain": gain, "ratio": ratio, "share": share}


def broken(value):
    """Wrong in ways that do not depend on the exercise."""
    return [
        (BLANK, ...),
        (BLANK, stub),
        ("is there a return", lambda *_: None),
        ("must be a function", value),
        ("raised an error", raises),
        ("raised an error", lambda only: value),
        ("raised an error", lambda *_: {1j}),
        ("same for every question", lambda *_: value),
    ]


# Rosenblatt's rule


def rest(inputs, answers, limit, *, add=1.0, fires=np.greater, late=False, start=0.0):
    x = np.array(inputs, dtype=float)
    if add is not None:
        x = np.hstack([x, np.full((len(x), 1), add)])
    w, goal = np.full(x.shape[1], start), np.array(answers, dtype=float)
    for number in range(1, limit + 1):
        errors = np.zeros(len(x))
        step = 0
        for i in range(len(x)):
            errors[i] = goal[i] - fires(w @ x[i], 0)
            step = step + errors[i] * x[i]
            if not late:
                w, step = w + step, 0
        w = w + step
        if not errors.any():
            return number
    return math.inf


def rest_lists(inputs, answers, limit):
    weights, threshold = [0.0] * inputs.shape[1], 0.0
    for number in range(limit):
        wrong = 0
        for x, answer in zip(inputs.tolist(), answers.tolist(), strict=True):
            score = sum(w * v for w, v in zip(weights, x, strict=True)) + threshold
            error = int(answer) - int(score > 0)
            weights = [w + error * v for w, v in zip(weights, x, strict=True)]
            threshold += error
            wrong += error != 0
        if wrong == 0:
            return number + 1
    return float("inf")


def rest_torch(inputs, answers, limit):
    x = torch.cat([torch.ones(len(inputs), 1), inputs], 1)  # the one comes first
    w = x[0] * 0
    for number in torch.arange(1, limit + 1):
        before = w.clone()
        for row, answer in zip(x, answers, strict=True):
            w = w + (answer - (row @ w > 0).float()) * row
        if torch.equal(before, w) and ((x @ w > 0) == answers).all():
            return number
    return torch.tensor(torch.inf)


def rest_signs(inputs, answers, limit):
    """Use answers of 1 and -1, and rows with their sign, as textbooks do."""
    sign = 2 * answers.double() - 1
    rows = F.pad(inputs.double(), (0, 1), value=1.0)
    w = torch.zeros(rows.shape[1], dtype=torch.float64)
    for number in range(1, limit + 1):
        count = 0
        for row, s in zip(rows, sign, strict=True):
            if (row @ w > 0) != (s > 0):
                w += s * row
                count += 1
        if count == 0:
            return np.int64(number)
    return np.inf


def never(value):
    def answer(inputs, answers, limit):
        found = rest(inputs, answers, limit)
        return found if math.isfinite(found) else value(limit)

    return answer


def one_sided(sign):
    def answer(inputs, answers, limit):
        x = F.pad(inputs.double(), (0, 1), value=1.0)
        w = torch.zeros(x.shape[1], dtype=torch.float64)
        for number in range(1, limit + 1):
            wrong = 0
            for row, goal in zip(x, answers.double(), strict=True):
                error = goal - (row @ w > 0).double()
                wrong += int(error != 0)
                w = w + sign(error) * row
            if not wrong:
                return number
        return math.inf

    return answer


def rest_afterwards(inputs, answers, limit):
    """Judge the weights after each pass, in place of the guesses within it."""
    x = F.pad(inputs.double(), (0, 1), value=1.0)
    w = torch.zeros(x.shape[1], dtype=torch.float64)
    for number in range(1, limit + 1):
        for row, goal in zip(x, answers.double(), strict=True):
            w = w + (goal - (row @ w > 0).double()) * row
        if ((x @ w > 0) == answers).all():
            return number
    return math.inf


def in_place(inputs, answers, limit):
    found = rest(inputs, answers, limit)
    inputs += 1
    return found


# A curve read sideways


def needed(labels, accuracies, bar):
    curve = list(accuracies)
    for i, value in enumerate(curve):
        if value >= bar:
            if i == 0:
                return labels[0]
            share = (bar - curve[i - 1]) / (value - curve[i - 1])
            return labels[i - 1] * (labels[i] / labels[i - 1]) ** share
    return math.inf


def needed_interp(labels, accuracies, bar):
    reached = np.flatnonzero(np.array(accuracies) >= bar)
    if reached.size == 0:
        return np.inf
    i = reached[0]
    if i == 0:
        return np.float64(labels[0])
    part = slice(i - 1, i + 1)
    return np.exp(np.interp(bar, accuracies[part], np.log(labels[part])))


def needed_rising(labels, accuracies, bar):
    """Make the curve rise first: a running maximum has the same first crossing."""
    top = np.maximum.accumulate(accuracies)
    if bar > top[-1]:
        return float("inf")
    i = int(np.searchsorted(top, bar))
    if i == 0:
        return float(labels[0])
    low, high = accuracies[i - 1], accuracies[i]
    at = np.log10(np.array(labels))
    return 10 ** (at[i - 1] + (bar - low) / (high - low) * (at[i] - at[i - 1]))


def needed_torch(labels, accuracies, bar):
    at = torch.as_tensor(np.array(labels, dtype=float)).log2()
    curve = torch.as_tensor(np.array(accuracies, dtype=float))
    if (curve < bar).all():
        return torch.tensor(math.inf)
    i = int((curve >= bar).int().argmax())
    if i == 0:
        return 2 ** at[0]
    share = (bar - curve[i - 1]) / (curve[i] - curve[i - 1])
    return 2 ** torch.lerp(at[i - 1], at[i], share)


def needed_torch_single(labels, accuracies, bar):
    at = torch.tensor([float(n) for n in labels]).log()
    curve = torch.tensor([float(a) for a in accuracies])
    for i in range(len(curve)):
        if curve[i] >= bar:
            if i == 0:
                return at[0].exp()
            share = (bar - curve[i - 1]) / (curve[i] - curve[i - 1])
            return (at[i - 1] + share * (at[i] - at[i - 1])).exp()
    return math.inf


def needed_single(labels, accuracies, bar):
    return np.float32(needed(labels, accuracies, bar))


def needed_linear(labels, accuracies, bar):
    i = next((i for i, a in enumerate(accuracies) if a >= bar), None)
    if i is None:
        return math.inf
    if i == 0:
        return labels[0]
    low, high = accuracies[i - 1 : i + 1]
    return labels[i - 1] + (bar - low) / (high - low) * (labels[i] - labels[i - 1])


def needed_swapped(labels, accuracies, bar):
    i = next((i for i, a in enumerate(accuracies) if a >= bar), None)
    found = needed(labels, accuracies, bar)
    return labels[i] * labels[i - 1] / found if i else found


def measured(step):
    def answer(labels, accuracies, bar):
        i = next((i for i, a in enumerate(accuracies) if a >= bar), None)
        return math.inf if i is None else labels[max(i - step, 0)]

    return answer


def unreached(value):
    def answer(labels, accuracies, bar):
        found = needed(labels, accuracies, bar)
        return found if math.isfinite(found) else value(labels)

    return answer


def needed_last(labels, accuracies, bar):
    """Take the last time that the curve comes up to the bar."""
    below = [i for i, a in enumerate(accuracies) if a < bar]
    if max(accuracies) < bar or not below:
        return needed(labels, accuracies, bar)
    i = below[-1]
    if i + 1 == len(labels):
        return math.inf
    return needed(labels[i:], accuracies[i:], bar)


def needed_strict(labels, accuracies, bar):
    return needed(labels, accuracies, bar + 1e-9)


# The rules of the race


def fair(loss, accuracy, test, *, by=None, rate=None):
    by = loss if by is None else by
    rounds = by.argmin(2)
    runs = np.arange(loss.shape[1])
    kept = [
        [part[r, runs, rounds[r]] for r in range(len(loss))]
        for part in (accuracy, test)
    ]
    values = [row[:2].mean() for row in kept[0]] if rate is None else rate(kept)
    return kept[1][int(np.argmax(values))]


def fair_loop(loss, accuracy, test):
    best, most = None, -1.0
    for r in range(loss.shape[0]):
        found, judged = [], []
        for i in range(loss.shape[1]):
            k = min(range(loss.shape[2]), key=lambda j: loss[r, i, j])  # noqa: B023
            found.append(float(test[r, i, k]))
            judged.append(float(accuracy[r, i, k]))
        if sum(judged[:2]) > most:
            best, most = found, sum(judged[:2])
    return best


def fair_torch(loss, accuracy, test):
    parts = [torch.as_tensor(part) for part in (loss, accuracy, test)]
    rounds = parts[0].argmin(2, keepdim=True)
    judged, tested = (part.gather(2, rounds).squeeze(2) for part in parts[1:])
    return tested[judged[:, :2].mean(1).argmax()]


def fair_along(loss, accuracy, test):
    at = np.expand_dims(np.argmin(loss, -1), -1)
    judged = np.take_along_axis(accuracy, at, -1)[..., 0]
    return np.take_along_axis(test, at, -1)[judged[:, :2].sum(1).argmax(), :, 0]


def fair_single(loss, accuracy, test):
    return fair(loss, accuracy, test).astype(np.float32)


def fair_list(loss, accuracy, test):
    return tuple(fair(loss, accuracy, test).tolist())


def whole(loss, accuracy, test, value):
    rate = int(np.argmax(value(accuracy[:, :2]).mean(1)))
    return [test[rate, i, loss[rate, i].argmin()] for i in range(loss.shape[1])]


def fair_each(loss, accuracy, test):
    found = []
    for i in range(loss.shape[1]):
        rounds = loss[:, i].argmin(1)
        rate = max(range(len(loss)), key=lambda r: accuracy[r, i, rounds[r]])  # noqa: B023
        found.append(test[rate, i, rounds[rate]])
    return np.array(found)


def fair_in_place(loss, accuracy, test):
    found = fair(loss, accuracy, test)
    loss.sort()
    return found


# Three arms, with numpy and gradients by hand


def fresh(rng):
    shapes = ((32, 64), 8), ((32,), 8), ((10, 32), 5.6), ((10,), 5.6)
    keys = "0.weight", "0.bias", "2.weight", "2.bias"
    made = zip(keys, shapes, strict=True)
    return {key: rng.uniform(-1, 1, shape) / scale for key, (shape, scale) in made}


def descend(net, x, y, *, parts="02", steps=150, rate=0.05, rng=None):
    net = {key: value.copy() for key, value in net.items()}
    speed = {key: 0.0 for key in net}
    x, y = np.asarray(x, dtype=float), np.asarray(y)
    for _ in range(steps):
        rows = rng.choice(len(y), min(50, len(y)), False) if rng else slice(None)
        a, goal = x[rows], np.eye(10)[y[rows]]
        hidden = np.maximum(a @ net["0.weight"].T + net["0.bias"], 0)
        logits = hidden @ net["2.weight"].T + net["2.bias"]
        p = np.exp(logits - logits.max(1, keepdims=True))
        slope = (p / p.sum(1, keepdims=True) - goal) / len(a)  # (n, c)
        below = slope @ net["2.weight"] * (hidden > 0)
        found = {"2.weight": slope.T @ hidden, "2.bias": slope.sum(0)}
        found |= {"0.weight": below.T @ a, "0.bias": below.sum(0)}
        for key in net:
            if key[0] in parts:
                speed[key] = 0.8 * speed[key] - rate * found[key]
                net[key] += speed[key]
    return net


def arms(sx, sy, x, y, seed, **changed):
    """Train what has to be trained, with some arms made in another manner."""
    rng = np.random.default_rng(seed)
    source, scratch = descend(fresh(rng), sx, sy, steps=250, rate=0.2), fresh(rng)
    found = {"source": source, "scratch": descend(scratch, x, y)}
    found["probe"] = descend(source, x, y, parts="2")
    found["fine-tuned"] = descend(source, x, y)
    for key, make in changed.items():
        found[key.replace("_", "-")] = make(found, sx, sy, x, y)
    return found


def other(**changed):
    return lambda *task: arms(*task, **changed)


def arms_tensors(*task):
    return {
        a: {k: torch.tensor(v) for k, v in n.items()} for a, n in arms(*task).items()
    }


def arms_lists(*task):
    return {a: {k: v.tolist() for k, v in n.items()} for a, n in arms(*task).items()}


def arms_single(*task):
    found = arms(*task).items()
    return {a: {k: np.float32(v) for k, v in n.items()} for a, n in found}


def arms_batches(sx, sy, x, y, seed):
    rng = np.random.default_rng([seed, 1])
    source = descend(fresh(rng), sx, sy, steps=400, rate=0.1, rng=rng)
    return arms(sx, sy, x, y, seed) | {
        "source": source,
        "probe": descend(source, x, y, parts="2", steps=80, rng=rng),
        "fine-tuned": descend(source, x, y, steps=80, rng=rng),
    }


def torch_arms(sx, sy, x, y, seed, *, copied=True, steps=120, rate=0.1):
    """Train in torch; without copies the source's weights move on with the others."""
    torch.manual_seed(seed)

    def new():
        body, head = torch.nn.Linear(64, 32), torch.nn.Linear(32, 10)
        return torch.nn.Sequential(body, torch.nn.ReLU(), head)

    def train(model, part, a, b):
        speeds = [torch.zeros_like(weight) for weight in part.parameters()]
        for _ in range(steps):
            part.zero_grad()
            F.cross_entropy(model(a), b).backward()
            with torch.no_grad():
                for weight, speed in zip(part.parameters(), speeds, strict=True):
                    weight += speed.mul_(0.9).sub_(weight.grad, alpha=rate)
        return model

    take = copy.deepcopy if copied else (lambda model: model)
    source = new()
    train(source, source, sx, sy)
    scratch = new()
    train(scratch, scratch, x, y)
    probe = copy.deepcopy(source)
    train(probe, probe[2], x, y)
    tuned = take(source)
    train(tuned, tuned, x, y)
    found = {"source": source, "scratch": scratch, "probe": probe, "fine-tuned": tuned}
    return {arm: model.state_dict() for arm, model in found.items()}


def uncopied(*task):
    return torch_arms(*task, copied=False)


MEMORY = {}


def memorised(*task):
    if not MEMORY:
        MEMORY.update(arms(*task))
    return dict(MEMORY)


RIGHT = {
    "what_differs": [
        CASES,
        {key: letter.lower() for key, letter in CASES.items()},
        dict(reversed(CASES.items())),
        {key: f" {letter} " for key, letter in CASES.items()},
        {key: f"{letter}\n" for key, letter in CASES.items()},
    ],
    "three_numbers": [
        numbers(),
        numbers(0.8 - 0.7, 3.16, 2000 / 80),
        numbers(np.float32(0.1), np.exp(np.log(10) / 2), np.int64(25)),
        numbers(torch.tensor(0.1), torch.tensor(10.0).sqrt(), torch.tensor(25)),
        {"share": 25, "ratio": 3.1623, "gain": 0.1},
    ],
    "passes_to_rest": [
        rest,
        rest_lists,
        rest_torch,
        rest_signs,
        one_sided(lambda e: e),
    ],
    "labels_needed": [
        needed,
        needed_interp,
        needed_rising,
        needed_torch,
        needed_torch_single,
        needed_single,
    ],
    "fair_test": [fair, fair_loop, fair_torch, fair_along, fair_single, fair_list],
    "three_arms": [
        arms,
        arms_tensors,
        arms_lists,
        arms_single,
        arms_batches,
        torch_arms,
    ],
}
WRONG = {
    "what_differs": [
        (BLANK, ...),
        (BLANK, cases(accent=...)),
        ("keep the dict's keys", {"accent": "A"}),
        ("keep the dict's keys", "ABCDE"),
        ("one letter", cases(accent="F")),
        ("one letter", cases(accent="P(X)")),
        ("one letter", cases(accent=1)),
        ("same on both sides", cases(accent="B")),
        ("recordings of speech", cases(accent="A")),
        ("whoever says it", cases(accent="C")),
        ("sound otherwise", cases(accent="E")),
        ("occur equally often", cases(parity="D")),
        ("pictures of one size", cases(parity="A")),
        ("labels themselves", cases(parity="C")),
        ("another one", cases(parity="E")),
        ("no common space", cases(sound="D")),
        ("labels on both sides", cases(sound="B")),
        ("what kind of thing", cases(sound="C")),
        ("cannot even take", cases(sound="E")),
        ("same ones", cases(spam="D")),
        ("which mails get them", cases(spam="B")),
        ("both sides are mails", cases(spam="A")),
        ("another label", cases(spam="E")),
        ("one program", cases(more_print="D")),
        ("the ten digits", cases(more_print="B")),
        ("pictures of one size", cases(more_print="A")),
        ("question is the same", cases(more_print="C")),
        ("same on both sides", dict.fromkeys(CASES, "B")),
    ],
    "three_numbers": [
        (BLANK, ...),
        (BLANK, numbers(share=...)),
        ("keep the dict's keys", {"gain": 0.1}),
        ("keep the dict's keys", (0.1, RATIO, 25)),
        ("not text", numbers(gain="0.1")),
        ("not text", numbers(gain=[0.1])),
        ("one label of each class", numbers(gain=0.2)),
        ("a hundred labels", numbers(gain=0.02)),
        ("sign is wrong", numbers(gain=-0.1)),
        ("relative to scratch", numbers(gain=1 / 7)),
        ("mean gain", numbers(gain=0.107)),
        ("fractions", numbers(gain=10)),
        ("over its logarithm", numbers(ratio=5.5)),
        ("between two columns", numbers(ratio=10)),
        ("upside down", numbers(ratio=0.316)),
        ("divide by those of fine-tuning", numbers(ratio=31.62)),
        ("ratio of accuracies", numbers(ratio=8 / 7)),
        ("difference of labels", numbers(ratio=21.62)),
        ("take the exponential", numbers(ratio=1.151)),
        ("accuracy of 0.70", numbers(ratio=4.64)),
        ("other batches", numbers(share=6.25)),
        ("not a quarter", numbers(share=1.5625)),
        ("not by those from scratch", numbers(share=2000 / 140)),
        ("not by those of fine-tuning", numbers(share=2000 / 60)),
        ("upside down", numbers(share=0.04)),
        ("steps saved", numbers(share=80)),
        ("subtract those", numbers(share=10)),
        ("from the formula", numbers(share=math.nan)),
    ],
    "passes_to_rest": [
        *broken(99),
        ("always 1 missing", lambda *case: rest(*case, add=None)),
        ("first pass has number 1", lambda *case: rest(*case) - 1),
        ("faultless pass itself is counted", rest_afterwards),
        ("one too many", lambda *case: rest(*case) + 1),
        ("means 0, not 1", lambda *case: rest(*case, fires=np.greater_equal)),
        ("after each wrong answer", lambda *case: rest(*case, late=True)),
        ("subtract the input", one_sided(abs)),
        ("add the input", one_sided(lambda e: e.clamp(max=0))),
        ("has to be subtracted", one_sided(lambda e: e.clamp(min=0))),
        ("is the sign wrong", one_sided(lambda e: -e)),
        ("start at 0", lambda *case: rest(*case, start=1.0)),
        ("not the limit", never(lambda limit: limit)),
        ("limit plus 1", never(lambda limit: limit + 1)),
        ("not 0", never(lambda _: 0)),
        ("not -1", never(lambda _: -1)),
        ("changes what it is given", in_place),
        ("must have shape", lambda *case: [rest(*case)]),
    ],
    "labels_needed": [
        *broken(10**1.5),
        ("take its logarithm", needed_linear),
        ("take the exponential", lambda *c: math.log(needed(*c))),
        ("10 to this power", lambda *c: math.log10(needed(*c))),
        ("next measured number", measured(0)),
        ("number before", measured(1)),
        ("halfway", lambda *c: math.sqrt(measured(0)(*c) * measured(1)(*c))),
        ("wrong end", needed_swapped),
        ("bar earlier", needed_last),
        (
            "np.interp",
            lambda n, a, bar: np.exp(np.interp(bar, np.array(a), np.log(n))),
        ),
        ("not the last number", unreached(lambda labels: labels[-1])),
        ("not 0", unreached(lambda _: 0)),
        ("not nan", unreached(lambda _: math.nan)),
        ("not -1", unreached(lambda _: -1)),
        ("compare with >=", needed_strict),
        ("is asked for", lambda n, a, bar: bar),
        ("index of the list", lambda n, a, bar: int(np.argmax(np.array(a) >= bar))),
        ("rounded:", lambda *c: np.round(needed(*c))),
        ("rounded up", lambda *c: np.ceil(needed(*c))),
        ("twice", lambda *c: 2 * needed(*c)),
    ],
    "fair_test": [
        *broken([0.7] * 5),
        (
            "rate is chosen by test accuracy",
            lambda *r: fair(*r, rate=lambda kept: [row[:2].mean() for row in kept[1]]),
        ),
        (
            "test mean of all",
            lambda *r: fair(*r, rate=lambda kept: [row.mean() for row in kept[1]]),
        ),
        ("best test accuracy", lambda loss, a, t: fair(loss, a, t, by=-t)),
        ("of all rounds and rates", lambda loss, a, t: t.max((0, 2))),
        ("validation accuracies", lambda loss, a, t: fair(loss, a, a)),
        (
            "last round",
            lambda loss, a, t: fair(
                loss, a, t, by=-np.broadcast_to(np.arange(loss.shape[2]), loss.shape)
            ),
        ),
        (
            "first round",
            lambda loss, a, t: fair(loss, a, t, by=np.zeros_like(loss)),
        ),
        ("lowest loss", lambda loss, a, t: fair(loss, a, t, by=-a)),
        ("must be the lowest", lambda loss, a, t: fair(loss, a, t, by=-loss)),
        (
            "one round serves",
            lambda loss, a, t: fair(
                loss, a, t, by=np.broadcast_to(loss.mean(1, keepdims=True), loss.shape)
            ),
        ),
        (
            "all repetitions",
            lambda *r: fair(*r, rate=lambda kept: [row.mean() for row in kept[0]]),
        ),
        (
            "first repetition only",
            lambda *r: fair(*r, rate=lambda kept: [row[0] for row in kept[0]]),
        ),
        (
            "highest validation accuracy wins",
            lambda *r: fair(*r, rate=lambda kept: [-row[:2].mean() for row in kept[0]]),
        ),
        ("first rate", lambda *r: fair(*r, rate=lambda kept: [1, *[0] * 8])),
        ("rate of its own", fair_each),
        ("its last round", lambda *r: whole(*r, lambda part: part[:, :, -1])),
        ("its best round", lambda *r: whole(*r, lambda part: part.max(2))),
        ("all its rounds", lambda *r: whole(*r, lambda part: part.mean(2))),
        ("this is the mean", lambda *r: fair(*r).mean()),
        ("changes what it is given", fair_in_place),
        ("must have shape", lambda *r: fair(*r)[:2]),
    ],
    "three_arms": [
        *broken({"source": torch.zeros(2)})[:-1],
        ("return a dict", lambda *_: {"source": torch.zeros(2)}),
        ("return a dict", lambda *t: list(arms(*t).values())),
        ("state_dict", lambda *t: {k: list(v.values()) for k, v in arms(*t).items()}),
        (
            "as the exercise says",
            other(probe=lambda f, *_: {k: v.T for k, v in f["probe"].items()}),
        ),
        (
            "nan or inf",
            other(scratch=lambda f, *_: {k: v / 0 for k, v in f["scratch"].items()}),
        ),
        ("changed the source as well", uncopied),
        ("changed the source as well", other(source=lambda f, *_: f["fine-tuned"])),
        ("train its head", other(probe=lambda f, *_: f["source"])),
        ("are one", other(probe=lambda f, *_: f["fine-tuned"])),
        ("is it trained anew", other(scratch=lambda f, *_: f["source"])),
        (
            "probe's body moved",
            other(probe=lambda f, sx, sy, x, y: descend(f["source"], x, y, steps=60)),
        ),
        (
            "left the body",
            other(
                fine_tuned=lambda f, sx, sy, x, y: descend(
                    f["source"], x, y, parts="2", steps=90
                )
            ),
        ),
        (
            "hardly trained",
            lambda sx, sy, x, y, seed: arms(x, y, x, y, seed),
        ),
        (
            "'probe': it does not know",
            other(
                probe=lambda f, sx, sy, x, y: descend(
                    f["source"], x, y, parts="2", steps=1, rate=-1
                )
            ),
        ),
        (
            "'scratch': it does not know",
            other(
                scratch=lambda f, sx, sy, x, y: descend(
                    fresh(np.random.default_rng(1)), x, y, steps=2
                )
            ),
        ),
        (
            "must start at the source's",
            other(
                fine_tuned=lambda f, sx, sy, x, y: descend(
                    fresh(np.random.default_rng(2)), x, y
                )
            ),
        ),
        (
            "draw new ones",
            other(
                scratch=lambda f, sx, sy, x, y: descend(f["source"], x, y, steps=130)
            ),
        ),
        (
            "ten target examples only",
            other(
                scratch=lambda f, sx, sy, x, y: descend(
                    descend(
                        fresh(np.random.default_rng(3)), sx, sy, steps=250, rate=0.2
                    ),
                    x,
                    y,
                )
            ),
        ),
        ("same for every question", memorised),
    ],
}
