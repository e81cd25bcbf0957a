"""Answers on distillation and multi-task training: right ones, and wrong ones.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, broken
from scipy.special import log_softmax, logsumexp
from torch import nn

from tlcourse import objectives

NAMES = ("temperature", "features", "second task", "heap", "ablation")
LETTERS = dict(zip(NAMES, "CDEFA", strict=True))
RATIO = 0.9 / 64 / 0.1
SHARE = RATIO / (1 + RATIO)


def letters(name, letter):
    return LETTERS | {name: letter}


def two(alpha, share):
    return {"alpha": alpha, "share": share}


# Answers and labels


def price(s, t, y, T, w, *, factor=None, soft=None, hard=None, shares=None):
    """Return the right loss, or one in which a part is made in another way."""
    s, t = s.double(), t.double()
    p, q = (s / T).log_softmax(1), (t / T).log_softmax(1)
    value = kl(p, q) if soft is None else soft(s, t, T)
    labels = F.cross_entropy(s, y) if hard is None else hard(s, t, y, T)
    ours, theirs = (w, 1 - w) if shares is None else shares(w)
    return ours * (T**2 if factor is None else factor(T)) * value + theirs * labels


def kl(p, q):
    return (q.exp() * (q - p)).sum(1).mean()


def price_loop(student, teacher, labels, T, w):
    total = 0.0
    rows = student.tolist(), teacher.tolist(), labels.tolist()
    for s, t, y in zip(*rows, strict=True):
        p, q = log_softmax(np.array(s) / T), log_softmax(np.array(t) / T)
        soft = sum(math.exp(b) * (b - a) for a, b in zip(p, q, strict=True))
        total += w * T * T * soft + (1 - w) * (logsumexp(s) - s[y])
    return total / len(student)


def price_numpy(student, teacher, labels, T, w):
    s, t = student.numpy(), teacher.numpy()
    p, q = log_softmax(s / T, axis=1), log_softmax(t / T, axis=1)
    soft = (np.exp(q) * (q - p)).sum(1)
    hard = -log_softmax(s, axis=1)[np.arange(len(s)), labels.numpy()]
    return np.mean(w * T**2 * soft + (1 - w) * hard)


def price_torch(s, t, y, T, w):
    p, q = F.log_softmax(s / T, dim=1), F.log_softmax(t / T, dim=1)
    soft = F.kl_div(p, q, reduction="batchmean", log_target=True)
    return w * T * T * soft + (1 - w) * F.cross_entropy(s, y)


def price_probabilities(s, t, y, T, w):
    """Give F.kl_div the teacher's probabilities, of which some are 0."""
    soft = F.kl_div((s / T).log_softmax(1), (t / T).softmax(1), reduction="sum")
    return w * T**2 * soft / len(s) + (1 - w) * F.cross_entropy(s, y)


def price_entropy(s, t, y, T, w):
    """Take cross-entropy with the answers, less the teacher's own entropy."""
    q = torch.softmax(t / T, 1)
    cross = F.cross_entropy(s / T, q)
    entropy = torch.special.entr(q).sum(1).mean()
    return (w * T**2 * (cross - entropy) + (1 - w) * F.cross_entropy(s, y)).item()


def price_single(s, t, y, T, w):
    return price_torch(s.float(), t.float(), y, T, w)


def price_package(s, t, y, T, w):
    free = s.clone().requires_grad_()
    return objectives.distillation(free, t, y, temperature=T, weight=w)


def price_naive(s, t, y, T, w):
    p, q = (s / T).softmax(1), (t / T).softmax(1)
    soft = (q * (q / p).log()).sum(1).mean()
    return w * T**2 * soft + (1 - w) * F.cross_entropy(s, y)


def price_in_place(s, t, y, T, w):
    t /= T
    return price(s, T * t, y, T, w)


def other(**parts):
    return lambda *task: price(*task, **parts)


def softened(make, student=lambda T: T, teacher=lambda T: T):
    return other(
        soft=lambda s, t, T: make(
            (s / student(T)).log_softmax(1), (t / teacher(T)).log_softmax(1)
        )
    )


def one(T):
    return 1.0


def kl_div_mean(s, t, y, T, w):
    p, q = (s / T).log_softmax(1), (t / T).log_softmax(1)
    soft = F.kl_div(p, q, reduction="none", log_target=True).mean()
    return w * T**2 * soft + (1 - w) * F.cross_entropy(s, y)


def kl_div_probabilities(s, t, y, T, w):
    soft = F.kl_div((s / T).softmax(1), (t / T).softmax(1), reduction="batchmean")
    return w * T**2 * soft + (1 - w) * F.cross_entropy(s, y)


def each_price(s, t, y, T, w):
    rows = zip(s, t, y, strict=True)
    return torch.stack([price(a[None], b[None], c[None], T, w) for a, b, c in rows])


# The loop


def linear(state):
    model = nn.Linear(5, 3)
    model.load_state_dict(state)
    return model


def descend(model, x, y, rate=0.5, reduction="mean", **options):
    sgd = torch.optim.SGD(model.parameters(), lr=rate, **options)
    sgd.zero_grad()
    F.cross_entropy(model(x), y, reduction=reduction).backward()
    sgd.step()


def steps(state, parts, **options):
    model = linear(state)
    for part in parts:
        descend(model, *part, **options)
    return model.state_dict()


def planned(plan, **options):
    return lambda state, n, a, b, x, y: steps(state, plan(n, (a, b), (x, y)), **options)


def in_turn(n, other, own):
    return n * [other] + n * [own]


loop = planned(in_turn)


def loop_two(state, epochs, *tensors):
    source, target = linear(state), linear(state)
    for _ in range(epochs):
        descend(source, *tensors[:2])
    target.load_state_dict(copy.deepcopy(source.state_dict()))
    for _ in range(epochs):
        descend(target, *tensors[2:])
    return {k: v.tolist() for k, v in target.state_dict().items()}


def loop_autograd(state, epochs, a, b, x, y):
    made = {k: v.double() for k, v in state.items()}
    for inputs, labels in in_turn(epochs, (a.double(), b), (x.double(), y)):
        free = {k: v.requires_grad_() for k, v in made.items()}
        loss = F.cross_entropy(F.linear(inputs, free["weight"], free["bias"]), labels)
        slopes = torch.autograd.grad(loss, [free["weight"], free["bias"]])
        made = {
            k: (free[k] - 0.5 * g).detach()
            for k, g in zip(("weight", "bias"), slopes, strict=True)
        }
    return made


def loop_numpy(state, epochs, *tensors):
    w, b = state["weight"].numpy(), state["bias"].numpy()
    pairs = tensors[:2], tensors[2:]
    for pair in pairs:
        x, hot = pair[0].numpy(), np.eye(3)[pair[1].numpy()]
        for _ in range(epochs):
            wrong = (np.exp(log_softmax(x @ w.T + b, axis=1)) - hot) / len(x)
            w, b = w - 0.5 * wrong.T @ x, b - 0.5 * wrong.sum(0)
    return {"bias": b, "weight": w}


def loop_one_optimizer(state, epochs, a, b, x, y):
    model = nn.Linear(5, 3)
    model.load_state_dict(state)
    sgd = torch.optim.SGD(model.parameters(), lr=0.5)
    for epoch in range(2 * epochs):
        inputs, labels = (a, b) if epoch < epochs else (x, y)
        loss = nn.CrossEntropyLoss()(model(inputs), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    return model.state_dict()


def loop_printed(state, epochs, a, b, x, y):
    source, target = linear(state), linear(state)
    for _ in range(epochs):
        descend(source, a, b)
        target.load_state_dict(source.state_dict())
        descend(target, x, y)
    return target.state_dict()


def loop_once(state, epochs, a, b, x, y):
    """Hand over in the first epoch, within the loop."""
    source, target = linear(state), linear(state)
    for epoch in range(epochs):
        descend(source, a, b)
        if epoch == 0:
            target.load_state_dict(source.state_dict())
        descend(target, x, y)
    return target.state_dict()


def loop_shared(state, epochs, a, b, x, y):
    source = target = linear(state)
    for _ in range(epochs):
        descend(source, a, b)
        descend(target, x, y)
    return target.state_dict()


def loop_never(state, epochs, a, b, x, y):
    source, target = linear(state), linear(state)
    for _ in range(epochs):
        descend(source, a, b)
        descend(target, x, y)
    return target.state_dict()


def loop_late(state, epochs, a, b, x, y):
    source, target = linear(state), linear(state)
    for _ in range(epochs):
        descend(source, a, b)
        descend(target, x, y)
    target.load_state_dict(source.state_dict())
    return target.state_dict()


def loop_heap(state, epochs, a, b, x, y):
    return steps(state, epochs * [(torch.cat([a, x]), torch.cat([b, y]))])


def loop_mean(state, epochs, a, b, x, y):
    first, second = steps(state, epochs * [(a, b)]), steps(state, epochs * [(x, y)])
    return {k: (first[k] + second[k]) / 2 for k in state}


def loop_in_place(state, *task):
    made = loop(state, *task)
    for k, v in made.items():
        state[k].copy_(v)
    return state


# Two tasks


def terms(body, head, other_head, x, y, z, marks, questions="mean"):
    first = F.cross_entropy((x @ body).tanh() @ head, y)
    logits = (z @ body).tanh() @ other_head
    if questions == "softmax":
        each = marks / marks.sum(1, keepdim=True).clamp_min(1)
        return first, F.cross_entropy(logits, each)
    second = F.binary_cross_entropy_with_logits(logits, marks, reduction="sum")
    sizes = {"mean": marks.numel(), "rows": len(marks), "sum": 1}
    return first, second / sizes[questions]


def shared(*task, change=None, slopes=None, angle=None, questions="mean", **more):
    """Return the right answer, or one in which a part is made in another way."""
    weight, nets = task[7], [t.detach().clone().requires_grad_() for t in task[:3]]
    pair = terms(*nets, *task[3:7], questions=questions)
    grads = [
        torch.autograd.grad(v, nets, retain_graph=True, materialize_grads=True)
        for v in pair
    ]
    first, second = grads[0][0], grads[1][0]
    a, b = change(weight) if change else (1, weight)
    c, d = slopes(weight) if slopes else (a, b)
    cosine = F.cosine_similarity(first.flatten(), second.flatten(), dim=0)
    found = {
        "loss": a * pair[0] + b * pair[1],
        "gradient": c * first + d * second,
        "cosine": angle(first, second, grads) if angle else cosine,
    }
    return found | {k: make(found[k]) for k, make in more.items()}


def shared_backward(body, head, other_head, x, y, z, marks, weight):
    """Let backward() fill the gradients, one loss after the other."""
    free, found = body.clone().requires_grad_(), []
    for k in (0, 1):
        free.grad = None
        terms(free, head, other_head, x, y, z, marks)[k].backward()
        found.append(free.grad.clone().flatten())
    first, second = terms(body, head, other_head, x, y, z, marks)
    return {
        "cosine": found[0] @ found[1] / found[0].norm() / found[1].norm(),
        "gradient": (found[0] + weight * found[1]).reshape(body.shape),
        "loss": (first + weight * second).item(),
    }


def shared_numpy(*task):
    """Derive everything by hand, and return lists."""
    arrays = [t.numpy().astype(float) for t in task[:7]]
    body, head, other, x, y, z, marks = arrays
    u, v = np.tanh(x @ body), np.tanh(z @ body)
    log_p = log_softmax(u @ head, axis=1)
    hot = np.eye(head.shape[1])[y.astype(int)]
    p = 1 / (1 + np.exp(-(v @ other)))
    second = -(marks * np.log(p) + (1 - marks) * np.log(1 - p)).mean()
    wrong = (np.exp(log_p) - hot) / len(x)
    slope = x.T @ (wrong @ head.T * (1 - u**2))
    other_slope = z.T @ ((p - marks) / marks.size @ other.T * (1 - v**2))
    lengths = np.linalg.norm(slope) * np.linalg.norm(other_slope)
    return {
        "loss": -(hot * log_p).sum() / len(x) + task[7] * second,
        "gradient": (slope + task[7] * other_slope).tolist(),
        "cosine": (slope * other_slope).sum() / lengths,
    }


def shared_func(*task):
    def loss(body, k):
        return terms(body, *task[1:7])[k]

    first, second = (torch.func.grad(loss)(task[0], k) for k in (0, 1))
    return {
        "loss": loss(task[0], 0) + task[7] * loss(task[0], 1),
        "gradient": torch.func.grad(lambda b: loss(b, 0) + task[7] * loss(b, 1))(
            task[0]
        ),
        "cosine": torch.cosine_similarity(first.view(-1), second.view(-1), dim=0),
    }


def shared_single(*task):
    given = [t.float() if t.is_floating_point() else t for t in task[:7]]
    return {k: v.detach().numpy() for k, v in shared(*given, task[7]).items()}


def changed(**parts):
    return lambda *task: shared(*task, **parts)


def shared_heap(*task):
    n, m = len(task[4]), len(task[6])
    return shared(*task, change=lambda w: (n / (n + m), w * m / (n + m)))


def heads_too(first, second, grads):
    whole = [torch.cat([g.flatten() for g in each]) for each in grads]
    return F.cosine_similarity(*whole, dim=0)


def with_sum(*task):
    found = shared(*task)
    first = shared(*task, slopes=lambda w: (1, 0))["gradient"]
    whole = found["gradient"].flatten()
    return found | {"cosine": F.cosine_similarity(whole, first.flatten(), dim=0)}


def cosine_of(a, b):
    return F.cosine_similarity(a.flatten(), b.flatten(), dim=0)


def shared_in_place(*task):
    found = shared(*task)
    task[0].zero_()
    return found


# Two students


def plan():
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))


DONE = {}


def learn(cost, x, told, *, seed=0, count=80, start=None):
    """Train a network, or return a copy of the one that was trained so before."""
    key = cost.__qualname__, *(t.numpy().tobytes() for t in (x, told)), seed, count
    if start is not None or key not in DONE:
        torch.manual_seed(seed)
        model = plan() if start is None else copy.deepcopy(start)
        adam = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(count):
            adam.zero_grad()
            cost(model(x), told).backward()
            adam.step()
        if start is not None:
            return model
        DONE[key] = model
    return copy.deepcopy(DONE[key])


def soft(z, answers, T=4):
    p, q = (z / T).log_softmax(1), (answers / T).log_softmax(1)
    return T**2 * F.kl_div(p, q, reduction="batchmean", log_target=True)


def sharp(z, answers):
    return soft(z, answers, 1)


def distance(z, answers):
    return F.mse_loss(z, answers)


def right(model, x, y):
    return (model(x).argmax(1) == y).double().mean().item()


def better(models, x, y):
    return max(models, key=lambda name: right(models[name], x, y))


def delivered(models, keep):
    return {k: dict(m.state_dict()) for k, m in models.items()} | {"keep": keep}


def both(x, y, pool, answers, cost=soft):
    taught = learn(cost, pool, answers)
    return {"alone": learn(F.cross_entropy, x, y), "taught": taught}


def students(x, y, pool, answers, vx, vy, cost=soft):
    models = both(x, y, pool, answers, cost)
    return delivered(models, better(models, vx, vy))


def students_sharp(*task):
    return students(*task, cost=sharp)


def students_distance(*task):
    return students(*task, cost=distance)


def students_sgd(x, y, pool, answers, vx, vy):
    def descend(x, cost):
        model = plan()
        sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(150):
            sgd.zero_grad()
            cost(model(x)).backward()
            sgd.step()
        return model.eval()

    torch.manual_seed(5)
    models = {"taught": descend(pool, lambda z: soft(z, answers, 2))}
    torch.manual_seed(6)
    models["alone"] = descend(x, lambda z: F.cross_entropy(z, y))
    return delivered(models, better(models, vx, vy))


def students_batches(x, y, pool, answers, vx, vy):
    rng, taught = torch.Generator().manual_seed(2), plan()
    alone = learn(F.cross_entropy, x, y, seed=3)
    for p, a in zip(alone.parameters(), taught.parameters(), strict=True):
        a.data = 0.3 * torch.randn(p.shape, generator=rng)
    adam = torch.optim.Adam(taught.parameters(), lr=0.01)
    for _ in range(12):
        for rows in torch.randperm(400, generator=rng).split(50):
            adam.zero_grad()
            soft(taught(pool[rows]), answers[rows]).backward()
            adam.step()
    models = {"alone": alone, "taught": taught}
    return delivered(models, better(models, vx, vy))


def students_double(*task):
    made = students(*task)
    return {
        k: v if k == "keep" else {name: w.double().numpy() for name, w in v.items()}
        for k, v in made.items()
    }


def kept(choose):
    """Return the right students, of which another is kept."""

    def answer(x, y, pool, answers, vx, vy):
        models = both(x, y, pool, answers)
        return delivered(models, choose(models, x, y, pool, answers, vx, vy))

    return answer


def instead(name, make):
    """Return the right answer but for one network."""

    def answer(x, y, pool, answers, vx, vy):
        models = both(x, y, pool, answers)
        models |= {name: make(models, x, y, pool, answers, vx, vy)}
        return delivered(models, better(models, vx, vy))

    return answer


def unseeded(x, y, pool, answers, vx, vy):
    seed = int(torch.seed() % 1000)
    models = both(x, y, pool, answers)
    models["taught"] = learn(soft, pool, answers, seed=seed)
    return delivered(models, better(models, vx, vy))


def aliased(x, y, pool, answers, vx, vy):
    model = learn(F.cross_entropy, x, y)
    state = model.state_dict()
    return {"alone": state, "taught": state, "keep": "alone"}


def with_labels(models, x, y, pool, answers, vx, vy):
    return learn(F.cross_entropy, x, y, start=models["taught"], count=10)


def from_taught(models, x, y, *_):
    return learn(F.cross_entropy, x, y, start=models["taught"], count=60)


def students_in_place(x, y, pool, answers, vx, vy):
    made = students(x, y, pool, answers, vx, vy)
    answers /= 4
    return made


SOME = torch.ones(3)
LOSS = torch.tensor(0.1308)

RIGHT = {
    "diagnoses": [
        LETTERS,
        {key: letter.lower() for key, letter in LETTERS.items()},
        dict(reversed(LETTERS.items())),
        {key: f" {letter}" for key, letter in LETTERS.items()},
        {key: f"{letter}\n" for key, letter in LETTERS.items()},
    ],
    "two_weights": [
        two(120, SHARE),
        two(120.0, 0.1233),
        two(np.float32(120), np.float64(SHARE)),
        two(torch.tensor(6000 / 50), torch.tensor(SHARE)),
        {"share": 0.9 / (0.9 + 0.1 * 64), "alpha": 119.9},
    ],
    "distillation_loss": [
        price,
        price_loop,
        price_numpy,
        price_torch,
        price_probabilities,
        price_entropy,
        price_single,
        price_package,
    ],
    "no_step_lost": [
        loop,
        loop_two,
        loop_autograd,
        loop_numpy,
        loop_one_optimizer,
    ],
    "shared_body": [
        shared,
        shared_backward,
        shared_numpy,
        shared_func,
        shared_single,
    ],
    "two_students": [
        students,
        students_sharp,
        students_distance,
        students_sgd,
        students_batches,
        students_double,
    ],
}
WRONG = {
    "diagnoses": [
        (BLANK, ...),
        (BLANK, letters("heap", ...)),
        ("keep the dict's keys", {"heap": "F"}),
        ("keep the dict's keys", "CDEFA"),
        ("one letter", letters("heap", "G")),
        ("one letter", letters("heap", "EF")),
        ("one letter", letters("heap", 6)),
        ("same at both temperatures", letters("temperature", "B")),
        ("not features", letters("temperature", "D")),
        ("what shrinks", letters("temperature", "F")),
        ("computed from", letters("features", "B")),
        ("no temperature here", letters("features", "C")),
        ("nothing was left out", letters("second task", "A")),
        ("mean of its own", letters("second task", "F")),
        ("no teacher here", letters("second task", "B")),
        ("count in the heap", letters("heap", "B")),
        ("no angle", letters("heap", "E")),
        ("though it is not", letters("ablation", "B")),
        ("no gradient", letters("ablation", "E")),
        ("no two losses", letters("ablation", "F")),
        ("nothing was left out", dict.fromkeys(LETTERS, "A")),
    ],
    "two_weights": [
        (BLANK, ...),
        (BLANK, two(120, ...)),
        ("keep the dict's keys", {"alpha": 120}),
        ("keep the dict's keys", (120, SHARE)),
        ("not text", two("6000/50", SHARE)),
        ("not text", two([120], SHARE)),
        ("turn it round", two(1 / 120, SHARE)),
        ("source's share", two(6000 / 6050, SHARE)),
        ("number of target pictures", two(50, SHARE)),
        ("whole heap", two(121, SHARE)),
        ("not each domain", two(1, SHARE)),
        ("not those of a batch", two(6000, SHARE)),
        ("from the formula", two(-120, SHARE)),
        ("over the labels'", two(120, RATIO)),
        ("0.9 over the square", two(120, 0.9 / 64)),
        ("square of the temperature is missing, not", two(120, 0.9 / 8)),
        ("square of the temperature that is missing", two(120, 0.1125 / 0.2125)),
        ("1 over the temperature", two(120, 1 / 8)),
        ("nothing has changed", two(120, 0.9)),
        ("labels' share", two(120, 1 - SHARE)),
        ("lighter, not heavier", two(120, 57.6 / 57.7)),
        ("0.9 times the square", two(120, 57.6)),
        ("from the formula", two(120, math.nan)),
    ],
    "distillation_loss": [
        *broken(LOSS),
        ("same for every question", lambda *_: LOSS),
        ("T² is missing", other(factor=one)),
        ("it must be its square", other(factor=lambda T: T)),
        ("divided by T²", other(factor=lambda T: T**-2)),
        (
            "belongs to the answers' only",
            lambda s, t, y, T, w: T**2 * price(s, t, y, T, w, factor=one),
        ),
        ("KL(p || q)", softened(lambda p, q: kl(q, p))),
        ("only the teacher is softened", softened(kl, student=one)),
        ("only the student is softened", softened(kl, teacher=one)),
        ("nobody is softened", softened(kl, one, one)),
        ("multiplied by T: divide", softened(kl, lambda T: 1 / T, lambda T: 1 / T)),
        (
            "labels' term is softened",
            other(hard=lambda s, t, y, T: F.cross_entropy(s / T, y)),
        ),
        (
            "the weight belongs to the answers",
            lambda s, t, y, T, w: price(s, t, y, T, 1 - w),
        ),
        ("labels' term has weight 1", other(shares=lambda w: (w, 1))),
        ("answers' term has weight 1", other(shares=lambda w: (1, 1 - w))),
        ("weight is not used", other(shares=lambda w: (1, 1))),
        ("labels' term is missing", other(shares=lambda w: (w, 0))),
        ("answers' term is missing", other(shares=lambda w: (0, 1 - w))),
        ("batchmean", kl_div_mean),
        ("wants the student's log-probabilities", kl_div_probabilities),
        ("sum over the batch", lambda s, *t: len(s) * price(s, *t)),
        ("one price for each", each_price),
        (
            "subtract the teacher's entropy",
            softened(lambda p, q: -(q.exp() * p).sum(1).mean()),
        ),
        (
            "take all of its answer",
            other(soft=lambda s, t, T: F.cross_entropy(s / T, t.argmax(1))),
        ),
        ("mean squared error", other(soft=lambda s, t, T: F.mse_loss(s, t))),
        (
            "over the batch: normalise",
            other(
                soft=lambda s, t, T: kl((s / T).log_softmax(0), (t / T).log_softmax(0))
            ),
        ),
        (
            "twice to the teacher",
            other(
                soft=lambda s, t, T: kl(
                    (s / T).log_softmax(1), (t.softmax(1) / T).log_softmax(1)
                )
            ),
        ),
        ("student and teacher", lambda s, t, y, T, w: price(t, s, y, T, w)),
        (
            "that learns",
            other(hard=lambda s, t, y, T: F.cross_entropy(t, y)),
        ),
        (
            "count from 0",
            lambda s, t, y, T, w: price(s, t, (y - 1) % s.shape[1], T, w),
        ),
        ("base 2", lambda *task: price(*task) / math.log(2)),
        ("only the first", lambda s, t, y, T, w: price(s[:1], t[:1], y[:1], T, w)),
        ("nan or inf", price_naive),
        ("changes what it is given", price_in_place),
        ("sign is wrong", lambda *task: -price(*task)),
        ("numbers, not", lambda *task: str(price(*task))),
        ("by hand", lambda *task: price(*task) + 0.01),
    ],
    "no_step_lost": [
        *broken({"weight": SOME}),
        ("still overwrites", loop_printed),
        ("after the first step", loop_once),
        ("take turns in one model", loop_shared),
        ("or never", loop_never),
        ("handed over at the end", loop_late),
        ("own examples come first", planned(lambda n, a, x: n * [x] + n * [a])),
        ("own examples first", planned(lambda n, a, x: n * [x, a])),
        ("one epoch only", planned(lambda n, a, x: [a, x])),
        ("nothing is trained", lambda state, *_: state),
        ("one heap", loop_heap),
        ("mean of two models", loop_mean),
        (
            "own examples is missing",
            planned(lambda n, a, x: n * [a] + (n - 1) * [x]),
        ),
        (
            "other domain is missing",
            planned(lambda n, a, x: (n - 1) * [a] + n * [x]),
        ),
        ("too many on the own", planned(lambda n, a, x: n * [a] + (n + 1) * [x])),
        ("too many on the other", planned(lambda n, a, x: (n + 1) * [a] + n * [x])),
        ("none on the other", planned(lambda n, a, x: 2 * n * [x])),
        ("none on the own", planned(lambda n, a, x: 2 * n * [a])),
        ("rate is another", planned(in_turn, rate=0.1)),
        ("takes the mean", planned(in_turn, reduction="sum")),
        ("climbed", planned(in_turn, maximize=True)),
        ("bias is missing", lambda *t: {"weight": loop(*t)["weight"]}),
        ("changes what it is given", loop_in_place),
        ("return a dict", lambda *t: loop(*t)["weight"]),
        ("look at", lambda *t: {k: v + 0.5 for k, v in loop(*t).items()}),
    ],
    "shared_body": [
        *broken({"loss": SOME}),
        ("missing in loss and gradient", changed(change=lambda w: (1, 1))),
        ("belongs to the second", changed(change=lambda w: (w, 1))),
        ("its weight is 1", changed(change=lambda w: (1 - w, w))),
        ("1 plus the weight", changed(change=lambda w: (1 / (1 + w), w / (1 + w)))),
        ("not a mean", changed(change=lambda w: (0.5, w / 2))),
        ("squared", changed(change=lambda w: (1, w * w))),
        ("mean over all questions", changed(questions="sum")),
        ("pictures and questions", changed(questions="rows")),
        ("one softmax", changed(questions="softmax")),
        ("one mean", shared_heap),
        ("first task's gradient alone", changed(slopes=lambda w: (1, 0))),
        ("second task's gradient alone", changed(slopes=lambda w: (0, w))),
        ("missing in the gradient", changed(slopes=lambda w: (1, 1))),
        (
            "first task's loss alone",
            changed(change=lambda w: (1, 0), slopes=lambda w: (1, w)),
        ),
        (
            "missing in the loss",
            changed(change=lambda w: (1, 1), slopes=lambda w: (1, w)),
        ),
        ("heads' gradients", changed(angle=heads_too)),
        ("inner product", changed(angle=lambda a, b, _: (a * b).sum())),
        (
            "of each row",
            changed(angle=lambda a, b, _: F.cosine_similarity(a, b)),
        ),
        (
            "mean of the rows'",
            changed(angle=lambda a, b, _: F.cosine_similarity(a, b).mean()),
        ),
        ("whole gradient with", with_sum),
        (
            "in degrees",
            changed(angle=lambda a, b, _: cosine_of(a, b).acos() * 180 / math.pi),
        ),
        ("in radians", changed(angle=lambda a, b, _: cosine_of(a, b).acos())),
        ("sign is turned", changed(angle=lambda a, b, _: -cosine_of(a, b))),
        ("1 minus the cosine", changed(angle=lambda a, b, _: 1 - cosine_of(a, b))),
        ("absolute value", changed(angle=lambda a, b, _: cosine_of(a, b).abs())),
        ("is turned: it has", changed(gradient=lambda g: g.T)),
        ("is flattened", changed(gradient=lambda g: g.flatten())),
        ("return a dict", lambda *t: shared(*t)["loss"]),
        ("return a dict", lambda *t: {"loss": shared(*t)["loss"]}),
        ("look at 'loss'", changed(loss=lambda x: x + 0.1)),
        ("look at 'cosine'", changed(cosine=lambda x: 0 * x + 0.5)),
        ("changes what it is given", shared_in_place),
    ],
    "two_students": [
        *broken({"keep": "alone"}),
        ("keep these three keys", lambda *t: {"keep": students(*t)["keep"]}),
        ("keep these three keys", lambda *t: list(students(*t).values())),
        ("must be the state_dict", lambda *t: students(*t) | {"alone": SOME}),
        (
            "must be the state_dict",
            instead("taught", lambda *_: nn.Sequential(nn.Linear(20, 4))),
        ),
        ("one of two names", lambda *t: students(*t) | {"keep": "Taught"}),
        ("one of two names", lambda *t: students(*t) | {"keep": True}),
        ("train 'alone'", instead("alone", lambda *_: plan())),
        ("under two names", instead("alone", lambda models, *_: models["taught"])),
        ("train 'taught'", instead("taught", lambda *_: plan())),
        (
            "stay beside the pictures",
            instead(
                "taught", lambda m, x, y, pool, a, *_: learn(soft, pool, a.flip(0))
            ),
        ),
        (
            "train 'taught'",
            instead(
                "taught", lambda m, x, y, pool, a, *_: learn(soft, pool, a, count=3)
            ),
        ),
        ("one network under two names", aliased),
        ("too good for a few labels", instead("alone", from_taught)),
        ("fix each seed", unseeded),
        (
            "'alone' uses the teacher",
            instead(
                "alone",
                lambda m, x, y, pool, a, *_: learn(
                    F.cross_entropy, x, y, seed=int(a[0, 0] > a[1, 0]) + int(a.sum())
                ),
            ),
        ),
        ("'taught' uses labels", instead("taught", with_labels)),
        (
            "trained on validation",
            instead(
                "taught",
                lambda m, x, y, pool, a, vx, vy: learn(
                    F.cross_entropy, vx, vy, start=m["taught"], count=3
                ),
            ),
        ),
        ("worse one on validation", kept(lambda *_: "taught")),
        ("or is never chosen", kept(lambda *_: "alone")),
        ("or is never chosen", kept(lambda models, x, y, *_: better(models, x, y))),
        (
            "worse one on validation",
            kept(lambda m, x, y, pool, a, *_: better(m, pool, a.argmax(1))),
        ),
        (
            "worse one on validation",
            kept(
                lambda m, x, y, pool, a, vx, vy: min(
                    m, key=lambda k: right(m[k], x, y) - 2 * right(m[k], vx, vy)
                )
            ),
        ),
        ("changes what it is given", students_in_place),
    ],
}
