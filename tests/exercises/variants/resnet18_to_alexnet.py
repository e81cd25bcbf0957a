"""Answers to the exercises from ResNet18 to AlexNet: right ones, wrong ones with hints.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from exercises.variants._common import BLANK, broken
from scipy.special import log_softmax
from torch import nn

torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # its first call takes seconds
SYMPTOMS = "company", "standstill", "second epoch", "no better", "fresh pictures"
LETTERS = dict(zip(SYMPTOMS, "ABCDE", strict=True))


def letters(name, letter):
    return LETTERS | {name: letter}


def two(batch, epoch):
    return {"call a batch": batch, "call an epoch": epoch}


# Copies


def merged(weight, copies):
    return weight.view(len(weight), -1, copies).sum(2)


def merged_loop(weight, copies):
    rows = weight.tolist()
    starts = range(0, len(rows[0]), copies)
    return [[sum(row[i : i + copies]) for i in starts] for row in rows]


def merged_numpy(weight, copies):
    starts = np.arange(0, weight.shape[1], copies)
    return np.add.reduceat(weight.numpy(), starts, axis=1)


def merged_slices(weight, copies):
    return sum(weight[:, k::copies] for k in range(copies))


def merged_matrix(weight, copies):
    """Send what each channel's copies look like through the layer."""
    channels = weight.shape[1] // copies
    spread = torch.eye(channels, dtype=weight.dtype).repeat_interleave(copies, dim=1)
    return F.linear(spread, weight).T


def merged_pool(weight, copies):
    return copies * F.avg_pool1d(weight.double()[:, None], copies)[:, 0]


def columns(weight, copies):
    return weight.view(len(weight), copies, -1)


def without(weight, copies, first, end):
    return weight.view(len(weight), -1, copies)[:, :, first:end].sum(2)


def merged_in_place(weight, copies):
    found = merged(weight, copies)
    weight.zero_()
    return found


# Features


def new_body():
    convolution = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
    return nn.Sequential(*convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def loaded(state):
    net = new_body()
    net.load_state_dict({k.removeprefix("body."): v for k, v in state.items()})
    return net.requires_grad_(False)


def features(state, images, size, *, train=False, change=lambda x: x, late=False):
    net = loaded(state).train(train or late)
    parts = change(images).split(size)
    found = [net(part) for part in parts]
    if late:
        net.eval()
        found = [net(part) for part in parts]
    return {"features": torch.cat(found), "running_mean": net[1].running_mean}


def features_whole(state, images, size):
    with torch.no_grad():
        found = loaded(state).eval()(images)
    return {"features": found, "running_mean": state["body.1.running_mean"]}


def features_double(state, images, size):
    net = loaded(state).double().eval()
    found = [net(image[None].double()).tolist()[0] for image in images]
    return {"features": found, "running_mean": net[1].running_mean.tolist()}


def features_wrapped(state, images, size):
    whole = nn.ModuleDict({"body": new_body()}).eval()
    whole.load_state_dict(state)
    net = whole["body"]
    found = np.concatenate([net(p).detach().numpy() for p in images.split(size)])
    return {"running_mean": net[1].running_mean.numpy(), "features": found}


def features_by_hand(state, images, size):
    s = {k.removeprefix("body."): v for k, v in state.items()}
    maps = F.conv2d(images, s["0.weight"], s["0.bias"])
    mean, scale = (
        s["1.running_mean"],
        s["1.weight"] / (s["1.running_var"] + 1e-5) ** 0.5,
    )
    maps = (maps - mean.view(4, 1, 1)) * scale.view(4, 1, 1)
    maps = (maps + s["1.bias"].view(4, 1, 1)).relu()
    return {"features": maps.mean((2, 3)), "running_mean": mean}


def features_random(state, images, size):
    net = new_body().eval()
    net.load_state_dict(state, strict=False)
    return {"features": net(images), "running_mean": net[1].running_mean}


def still(state, images, size):
    net = loaded(state)
    net[1].momentum = 0.0
    found = torch.cat([net(part) for part in images.split(size)])
    return {"features": found, "running_mean": net[1].running_mean}


def altered(**how):
    return lambda *given: features(*given, **how)


def but(key, change):
    def answer(state, images, size):
        found = features(state, images, size)
        return found | {key: change(found[key], size)}

    return answer


def features_in_place(state, images, size):
    found = features(state, images, size)
    images.mul_(2).sub_(1)
    return found


# Distillation


def distance(student, teacher, temperature, mine=None, its=None):
    log_p = (teacher / (its or temperature)).log_softmax(1)
    log_q = (student / (mine or temperature)).log_softmax(1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(1).mean()


def distance_loop(student, teacher, temperature):
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        log_p = log_softmax(np.array(t) / temperature)
        log_q = log_softmax(np.array(s) / temperature)
        total += sum(math.exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True))
    return temperature * temperature * total / len(student)


def distance_numpy(student, teacher, temperature):
    p, q = (log_softmax(x.numpy() / temperature, axis=1) for x in (teacher, student))
    return np.mean(np.sum(np.exp(p) * (p - q), axis=1)) * temperature**2


def distance_torch(student, teacher, temperature):
    p, q = ((x / temperature).log_softmax(1) for x in (teacher, student))
    kl = F.kl_div(q, p, reduction="batchmean", log_target=True)
    return kl * temperature**2


def distance_crossed(student, teacher, temperature):
    p = (teacher.double() / temperature).softmax(1)
    cross = F.cross_entropy(student.double() / temperature, p)
    own = -torch.special.xlogy(p, p).sum(1).mean()
    return temperature**2 * (cross - own)


def crossed(student, teacher, temperature):
    p = (teacher / temperature).softmax(1)
    return temperature**2 * F.cross_entropy(student / temperature, p)


def distance_naive(student, teacher, temperature):
    p, q = ((x / temperature).softmax(1) for x in (teacher, student))
    return temperature**2 * (p * (p / q).log()).sum(1).mean()


def distance_cut(student, teacher, temperature):
    p, q = ((x / temperature).softmax(1) for x in (teacher, student))
    p, q = p.clamp_min(1e-8), q.clamp_min(1e-8)
    return temperature**2 * (p * (p / q).log()).sum(1).mean()


def over_the_batch(s, t, k):
    p, q = (t / k).log_softmax(0), (s / k).log_softmax(0)
    return k**2 * (p.exp() * (p - q)).sum(1).mean()


# The listing


def classifier(features):
    first = nn.Dropout(), nn.Linear(features, 64), nn.ReLU()
    return nn.Sequential(*first, nn.Dropout(), nn.Linear(64, 2))


def listing(x, y, vx, vy, tx, **bug):
    torch.manual_seed(1)
    model = classifier(x.shape[1])
    adam = torch.optim.Adam(model.parameters(), lr=bug.get("rate", 0.01))
    scheduler = torch.optim.lr_scheduler.StepLR(adam, bug.get("every", 10), gamma=0.1)
    rates, modes, scores, kept = [], [], [], []
    for epoch in range(30):
        if epoch == 0 or "off" not in bug:
            model.train("never" not in bug)
        modes.append(model.training)
        rates.append(scheduler.get_last_lr()[0])
        for rows in torch.randperm(len(x)).split(20):
            adam.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            adam.step()
            if "often" in bug:
                scheduler.step()
        if not {"often", "constant"} & set(bug):
            scheduler.step()
        if "noted late" in bug:
            rates[-1] = scheduler.get_last_lr()[0]
        model.eval()
        scores.append((model(vx).argmax(1) == vy).double().mean().item())
        kept.append(copy.deepcopy(model.state_dict()))
    pick = bug.get("pick", np.argmax)
    epoch = int(pick(scores))
    if "last" not in bug:
        model.load_state_dict(kept[epoch])
    model.train("dropout" in bug)
    return {
        "rates": rates,
        "modes": modes,
        "validation": scores,
        "epoch": epoch,
        "validation_logits": model(vx).detach(),
        "test_logits": model(tx).detach(),
    }


def listing_numpy(*given):
    found = listing(*given)
    return {k: np.asarray(v, dtype=np.float64) for k, v in found.items()}


def listing_lists(*given):
    found = listing(*given)
    ends = {k: found[k].tolist() for k in ("validation_logits", "test_logits")}
    return dict(reversed((found | ends).items()))


def listing_last_of_best(*given):
    return listing(*given, pick=lambda s: len(s) - 1 - int(np.argmax(s[::-1])))


def listing_lambda(x, y, vx, vy, tx):
    """Set the rate by hand, sample with replacement, in double precision."""
    x, vx, tx = x.double(), vx.double(), tx.double()
    torch.manual_seed(2)
    model, best = classifier(x.shape[1]).double(), -1.0
    adam = torch.optim.Adam(model.parameters())
    found = {"rates": [], "modes": [], "validation": []}
    for epoch in range(30):
        adam.param_groups[0]["lr"] = rate = 10.0 ** -(2 + epoch // 10)
        found["rates"].append(rate)
        found["modes"].append(int(model.train().training))
        for _ in range(len(x) // 20):
            rows = torch.randint(len(x), (20,))
            loss = F.cross_entropy(model(x[rows]), y[rows])
            adam.zero_grad()
            loss.backward()
            adam.step()
        logits = model.eval()(vx).detach()
        score = float((logits.argmax(1) == vy).double().mean())
        found["validation"].append(score)
        if score > best:
            best, end = score, {"epoch": epoch, "validation_logits": logits}
            end["test_logits"] = model(tx).detach()
    return found | end


def bugged(**bug):
    return lambda *given: listing(*given, **bug)


def then(change):
    def answer(*given):
        found = listing(*given)
        return found | change(found)

    return answer


def shuffled_labels(x, y, vx, vy, tx):
    found = listing(x, y, vx, vy, tx)
    return found | {"test_logits": torch.zeros(len(tx), 2)}


RIGHT = {
    "which_bug": [
        LETTERS,
        {key: letter.lower() for key, letter in LETTERS.items()},
        dict(reversed(LETTERS.items())),
        {key: f" {letter} " for key, letter in LETTERS.items()},
        {key: f"{letter}\n" for key, letter in LETTERS.items()},
    ],
    "two_sums": [
        two(10, 3750),
        two(10.0, 3750.0),
        two(np.float32(10), np.int64(3750)),
        two(torch.tensor(10.0), torch.tensor(3750)),
        two(
            sum(0.5 ** (k // 5) for k in range(8000)),
            sum(0.5 ** (k // 2000) for k in range(8000)),
        ),
    ],
    "merge_copies": [
        merged,
        merged_loop,
        merged_numpy,
        merged_slices,
        merged_matrix,
        merged_pool,
    ],
    "frozen_features": [
        features,
        features_whole,
        features_double,
        features_wrapped,
        features_by_hand,
    ],
    "distillation": [
        distance,
        distance_loop,
        distance_numpy,
        distance_torch,
        distance_crossed,
    ],
    "mended_listing": [
        listing,
        listing_numpy,
        listing_lists,
        listing_last_of_best,
        listing_lambda,
    ],
}
WRONG = {
    "which_bug": [
        (BLANK, ...),
        (BLANK, letters("company", ...)),
        ("keep the dict's keys", {"company": "A"}),
        ("keep the dict's keys", "ABCDE"),
        ("one letter", letters("company", "G")),
        ("one letter", letters("company", "AB")),
        ("one letter", letters("company", 1)),
        ("no rate", letters("company", "B")),
        ("whatever the size", letters("company", "C")),
        ("for both sizes", letters("company", "D")),
        ("features themselves", letters("company", "E")),
        ("batches of any size", letters("company", "F")),
        ("the training of a head", letters("standstill", "A")),
        ("falls faster", letters("standstill", "C")),
        ("still be trained", letters("standstill", "D")),
        ("cannot slow", letters("standstill", "E")),
        ("not more after ten", letters("standstill", "F")),
        ("stand still", letters("second epoch", "B")),
        ("changes no loss", letters("second epoch", "E")),
        ("in the first epoch", letters("second epoch", "F")),
        ("in any mode", letters("no better", "A")),
        ("differ from new ones", letters("no better", "F")),
        ("by selection", letters("fresh pictures", "C")),
        ("on both sets", letters("fresh pictures", "F")),
        ("no rate", dict.fromkeys(LETTERS, "B")),
    ],
    "two_sums": [
        (BLANK, ...),
        (BLANK, two(10, ...)),
        ("keep the dict's keys", (10, 3750)),
        ("keep the dict's keys", {"call a batch": 10}),
        ("not text", two("10", 3750)),
        ("not text", two([10], 3750)),
        ("multiply the geometric series", two(2, 3750)),
        ("number of steps", two(8000, 3750)),
        ("first plateau alone", two(5, 3750)),
        ("the series goes on", two(9.375, 3750)),
        ("one call an epoch", two(3750, 3750)),
        ("plays no part", two(4000, 3750)),
        ("counts fully", two(7.5, 3750)),
        ("chapter's sum", two(7.7778, 3750)),
        ("gamma 0.1", two(5.5556, 3750)),
        ("from the formula", two(11, 3750)),
        ("from the formula", two(math.nan, 3750)),
        ("four plateaus", two(10, 4000)),
        ("multiply by 400", two(10, 9.375)),
        ("number of steps", two(10, 8000)),
        ("a call a batch", two(10, 10)),
        ("multiply by 5", two(10, 750)),
        ("five plateaus", two(10, 3875)),
        ("three plateaus", two(10, 3500)),
        ("not half", two(10, 1875)),
        ("gamma 0.1", two(10, 2222)),
    ],
    "merge_copies": [
        *broken(torch.tensor([[6.0, 15.0]])),
        ("same for every question", lambda *_: torch.tensor([[6.0, 15.0]])),
        ("nan or inf", lambda w, k: merged(w, k) * math.nan),
        ("mean of the copies", lambda w, k: merged(w, k) / k),
        ("first copy", lambda w, k: w[:, ::k]),
        ("last copy", lambda w, k: w[:, k - 1 :: k]),
        ("side by side", lambda w, k: columns(w, k).sum(1)),
        ("lie apart", lambda w, k: columns(w, k).mean(1)),
        ("first columns", lambda w, k: w[:, : w.shape[1] // k]),
        ("largest", lambda w, k: w.view(len(w), -1, k).amax(2)),
        ("keep their signs", lambda w, k: merged(w.abs(), k)),
        ("squared", lambda w, k: merged(w**2, k)),
        ("product", lambda w, k: w.view(len(w), -1, k).prod(2)),
        ("exchanged", lambda w, k: merged(w, k).T),
        ("all channels", lambda w, k: w.sum(1)),
        ("last copy of each channel is left out", lambda w, k: without(w, k, 0, -1)),
        ("first copy of each channel is left out", lambda w, k: without(w, k, 1, None)),
        ("own weights", lambda w, k: merged(w, k).sum(0)),
        ("after adding", lambda w, k: merged(w, k) * k),
        ("root", lambda w, k: merged(w, k) / k**0.5),
        ("nothing is merged", lambda w, k: w.clone()),
        ("sign is wrong", lambda w, k: -merged(w, k)),
        ("changes what it is given", merged_in_place),
        ("shape", lambda w, k: merged(w, k)[..., None]),
    ],
    "frozen_features": [
        *broken({"features": torch.zeros(12, 4)})[:6],
        ("return a dict", lambda *given: features(*given)["features"]),
        ("return a dict", lambda *given: {"features": features(*given)["features"]}),
        ("call eval() first", altered(train=True)),
        ("0 to 1", altered(change=lambda x: 2 * x - 1)),
        ("two bugs", altered(train=True, change=lambda x: 2 * x - 1)),
        ("too late", altered(late=True)),
        ("two passes", altered(late=True, change=lambda x: 2 * x - 1)),
        ("stand still", still),
        ("no weight was loaded", features_random),
        ("divided by 255", altered(change=lambda x: x / 255)),
        ("multiplied by 255", altered(change=lambda x: x * 255)),
        ("by itself", altered(change=lambda x: x - x.mean((1, 2, 3), keepdim=True))),
        ("mean of all pictures", altered(change=lambda x: x - x.mean())),
        ("colours", altered(change=lambda x: x.flip(1))),
        ("only the first batch", but("features", lambda x, size: x[:size])),
        ("only the last batch", but("features", lambda x, size: x.split(size)[-1])),
        ("not full", but("features", lambda x, size: x[: len(x) // size * size])),
        ("exchanged", but("features", lambda x, size: x.T)),
        ("one row for each", but("features", lambda x, size: x.mean(0))),
        ("new network", but("running_mean", lambda x, size: 0 * x)),
        ("look at 'features'", but("features", lambda x, size: x.flip(0))),
        ("nan or inf", but("features", lambda x, size: x * math.nan)),
        ("changes what it is given", features_in_place),
    ],
    "distillation": [
        *broken(torch.tensor(1.6313)),
        ("same for every question", lambda *_: 1.6313),
        ("squared is missing", lambda s, t, k: distance(s, t, k) / k**2),
        ("factor is T:", lambda s, t, k: distance(s, t, k) / k),
        ("divided by T squared", lambda s, t, k: distance(s, t, k) / k**4),
        ("exchanged", lambda s, t, k: distance(t, s, k)),
        ("number of pictures", lambda s, t, k: distance(s, t, k) * len(s)),
        ("n times c numbers", lambda s, t, k: distance(s, t, k) / s.shape[1]),
        ("n times c, and", lambda s, t, k: distance(s, t, k) / s.shape[1] / k**2),
        ("only the first", lambda s, t, k: distance(s[:1], t[:1], k)),
        ("this is cross-entropy", crossed),
        ("without T squared", lambda s, t, k: crossed(s, t, k) / k**2),
        ("multiplies", lambda s, t, k: distance(k * s, k * t, k, 1, 1)),
        ("not used in the softmax", lambda s, t, k: distance(s, t, k, 1, 1)),
        ("not used at all", lambda s, t, k: distance(s, t, 1)),
        ("student's logits are not", lambda s, t, k: distance(s, t, k, mine=1)),
        ("teacher's logits are not", lambda s, t, k: distance(s, t, k, its=1)),
        ("softmax over the batch", over_the_batch),
        ("twice", lambda s, t, k: distance(s.softmax(1), t.softmax(1), k)),
        ("likeliest class", lambda s, t, k: F.cross_entropy(s, t.argmax(1))),
        ("error of the logits", lambda s, t, k: F.mse_loss(s, t)),
        ("base 2", lambda s, t, k: distance(s, t, k) / math.log(2)),
        (
            "both directions",
            lambda s, t, k: (distance(s, t, k) + distance(t, s, k)) / 2,
        ),
        ("sign is wrong", lambda s, t, k: -distance(s, t, k)),
        ("nan or inf", distance_naive),
        ("cut off", distance_cut),
    ],
    "mended_listing": [
        *broken({"rates": [0.01] * 30})[:6],
        ("return a dict", lambda *given: {"rates": [0.01] * 30}),
        ("return a dict", lambda *given: [0.01] * 30),
        ("once a batch", bugged(often=1)),
        ("note the rate that was used", bugged(**{"noted late": 1})),
        ("never falls", bugged(constant=1)),
        ("start at 0.01", bugged(rate=0.001)),
        ("in every epoch", bugged(every=1)),
        ("twice an epoch", bugged(every=5)),
        ("a tenth, then", bugged(every=7)),
        ("dropout is off", bugged(off=1)),
        ("train() must be called", bugged(never=1)),
        ("dropout is on", bugged(dropout=1)),
        ("load the chosen ones", bugged(last=1)),
        ("the last epoch", bugged(pick=lambda s: 29)),
        ("lowest", bugged(pick=np.argmin)),
        ("highest validation", bugged(pick=lambda s: np.argsort(s)[15])),
        ("count from 0", then(lambda found: {"epoch": found["epoch"] + 1})),
        ("whole number", then(lambda found: {"epoch": found["epoch"] + 0.5})),
        (
            "fractions",
            then(lambda found: {"validation": [100 * s for s in found["validation"]]}),
        ),
        ("shape", then(lambda found: {"modes": found["modes"][:29]})),
        ("shape", then(lambda found: {"test_logits": found["test_logits"][:, 0]})),
        (
            "exchanged",
            then(lambda found: {"test_logits": found["test_logits"].flip(1)}),
        ),
        ("hardly learned", shuffled_labels),
        (
            "do not have the accuracy",
            then(lambda found: {"validation_logits": -found["validation_logits"]}),
        ),
    ],
}
