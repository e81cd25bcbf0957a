"""Answers to the exercises on deploying: right ones, and wrong ones with hints.

RIGHT: exercise -> answers that must pass. WRONG: exercise -> (part of hint, answer).
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from typing import Annotated

import numpy as np
import torch
from exercises.variants.loss_functions import BLANK, broken
from pydantic import BaseModel, StringConstraints, ValidationError
from safetensors import numpy as safetensors_numpy
from safetensors import torch as safetensors_torch

from tlcourse import adapt

NOTICED = dict(zip(("bit", "payload", "batch", "footer", "rule"), "ECBDA", strict=True))
ALARMS = 1500 * (1 - 0.98**4)
NUMBERS = {"megabytes": 92, "false alarms": ALARMS, "misrouted": 17.5}


def noticed(**changed):
    return NOTICED | changed


def numbers(**changed):
    return NUMBERS | {key.replace("_", " "): value for key, value in changed.items()}


def without_numbers(value):
    """Wrong in ways that do not depend on the exercise, but for nan and constants."""
    return broken(value)[:7]


def other(answer, **changed):
    """Return an answer with some of its entries changed."""
    return lambda *given: (
        answer(*given) | {key: f(*given) for key, f in changed.items()}
    )


# A layer in eight bits


def eight_bits(rows, steps=127, top=None, cut=np.rint):
    top = np.abs(rows).max(1, keepdims=True) if top is None else top(rows)
    scales = np.where(top == 0, 1, top / steps)
    return cut(rows / scales), scales


def layer(inputs, weight, of_inputs=None, of_weight=None, logits=None):
    texts, s = eight_bits(inputs, **of_inputs or {})
    whole, t = eight_bits(weight, **of_weight or {})
    found = texts @ whole.T * s * t.T if logits is None else logits(texts, s, whole, t)
    return {"whole": whole, "scales": t[:, 0], "logits": found}


def layer_loop(inputs, weight):
    def row(values):
        scale = max(abs(v) for v in values) / 127 or 1.0
        return [round(v / scale) for v in values], scale

    texts = [row(values) for values in inputs.tolist()]
    rows = [row(values) for values in weight.tolist()]
    logits = [
        [sum(a * b for a, b in zip(x, w, strict=True)) * s * t for w, t in rows]
        for x, s in texts
    ]
    whole, scales = zip(*rows, strict=True)
    return {"whole": list(whole), "scales": scales, "logits": logits}


def layer_torch(inputs, weight):
    def rows(values):
        scales = values.abs().amax(1) / 127
        scales[scales == 0] = 1
        return (values / scales[:, None]).round().to(torch.int8), scales

    (x, s), (w, t) = map(rows, (torch.tensor(inputs), torch.tensor(weight)))
    logits = (x.int() @ w.int().T) * torch.outer(s, t)
    return {"whole": w, "scales": t, "logits": logits}


def layer_single(inputs, weight):
    found = layer(inputs.astype(np.float32), weight.astype(np.float32))
    return {key: value.astype(np.float32) for key, value in found.items()}


def layer_restored(inputs, weight):
    (x, s), (w, t) = eight_bits(inputs), eight_bits(weight)
    return {
        "logits": np.einsum("ni,ci->nc", x * s, w * t),
        "scales": t.ravel().tolist(),
        "whole": w.astype(np.int8),
    }


def layer_weight(rows):
    whole, scales = eight_bits(rows)
    return whole * scales


def everywhere(**how):
    return lambda inputs, weight: layer(inputs, weight, how, how)


def largest(rows):
    return np.full((len(rows), 1), np.abs(rows).max())


def combined(logits):
    return lambda inputs, weight: layer(inputs, weight, logits=logits)


def layer_columns(inputs, weight):
    (x, s), (w, t) = eight_bits(inputs), eight_bits(weight.T)
    return {"whole": w.T, "scales": t[:, 0], "logits": x @ (w * t) * s}


def layer_wrapped(kind):
    return combined(
        lambda x, s, w, t: (x.astype(kind) @ w.astype(kind).T).astype(float) * s * t.T
    )


def layer_zero(inputs, weight):
    with np.errstate(all="ignore"):
        scales = np.abs(weight).max(1, keepdims=True) / 127
        return layer(inputs, weight) | {
            "whole": np.rint(weight / scales),
            "scales": scales[:, 0],
        }


def layer_scalar(inputs, weight):
    return layer(inputs, weight, None, {"top": largest}) | {
        "scales": np.abs(weight).max() / 127
    }


def layer_in_place(inputs, weight):
    found = layer(inputs, weight)
    weight /= found["scales"][:, None]
    return found


# A published file

KINDS = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def is_published(content, digest):
    return hashlib.sha256(content.tobytes()).hexdigest() == digest


def tensors(content, start=None, kinds=KINDS, shaped=None, skipped=("__metadata__",)):
    content = content.tobytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    start = 8 + length if start is None else start(length)
    found = {}
    for name, own in header.items():
        if name in skipped:
            continue
        if "dtype" not in own:
            found[name] = np.zeros(1)
            continue
        a, b = own["data_offsets"]
        values = np.frombuffer(content[start + a : start + b], kinds[own["dtype"]])
        found[name] = (
            values.reshape(own["shape"]) if shaped is None else shaped(values, own)
        )
    return found


def opened(trusted=is_published, **how):
    def answer(content, digest):
        return tensors(content, **how) if trusted(content, digest) else {}

    return answer


def opened_package(content, digest):
    raw = bytes(content)
    if hashlib.sha256(raw).hexdigest() != digest:
        return {}
    return safetensors_numpy.load(raw)


def opened_torch(content, digest):
    raw = content.tobytes()
    same = hashlib.sha256(raw).hexdigest() == digest
    return safetensors_torch.load(raw) if same else {}


def opened_double(content, digest):
    found = opened()(content, digest)
    return {name: values.astype(np.float64) for name, values in found.items()}


def opened_lists(content, digest):
    found = opened()(content, digest)
    return {name: found[name].tolist() for name in sorted(found)}


def opened_views(content, digest):
    if hashlib.sha256(content).hexdigest() != digest.lower():
        return {}
    length = int(content[:8].view("<u8")[0])
    header = json.loads(bytes(content[8 : 8 + length]).decode())
    numbers = content[8 + length :]
    return {
        name: np.ndarray(
            own["shape"], KINDS[own["dtype"]], numbers[slice(*own["data_offsets"])]
        )
        for name, own in header.items()
        if name != "__metadata__"
    }


def opened_in_order(content, digest):
    """Read tensor after tensor, as the header names them."""
    if not is_published(content, digest):
        return {}
    raw, found = content.tobytes(), {}
    (length,) = struct.unpack("<Q", raw[:8])
    at = 8 + length
    for name, own in json.loads(raw[8:at]).items():
        if name != "__metadata__":
            kind = np.dtype(KINDS[own["dtype"]])
            n = math.prod(own["shape"])
            found[name] = np.frombuffer(raw, kind, n, at).reshape(own["shape"])
            at += n * kind.itemsize
    return found


def hashed(what, how=hashlib.sha256):
    """Hash something else than the whole file."""
    return opened(lambda content, digest: how(what(content)).hexdigest() == digest)


def header_end(content):
    return 8 + int.from_bytes(content[:8].tobytes(), "little")


# The door


class Ticket(BaseModel, extra="forbid"):
    text: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)
    ]


def door_pydantic(pieces, limit):
    body = b"".join(map(bytes, pieces))
    if len(body) > limit:
        return 413
    if body.decode("utf-8", "ignore").encode() != body:
        return 400
    try:
        Ticket.model_validate_json(body)
    except ValidationError:
        return 422
    return 200


def door(
    pieces,
    limit,
    *,
    too_large=lambda body, limit: len(body) > limit,
    statuses=(413, 400, 422),
    errors="strict",
    caught=(ValueError, RecursionError),
    object_only=True,
    fields=True,
    any_type=False,
    stripped=True,
    length=len,
    longest=4000,
    halves=True,
    long_status=422,
    join=b"".join,
    raw_first=True,
):
    """Answer rightly; each option changes one step."""
    large, no_code, no_ticket = statuses
    body = join([piece.tobytes() for piece in pieces])
    if raw_first and too_large(body, limit):
        return large
    try:
        decoded = body.decode("utf-8", errors)
    except UnicodeDecodeError:
        return no_code
    if not raw_first and too_large(body, limit):
        return large
    try:
        ticket = json.loads(decoded)
    except caught:
        return no_ticket
    if not isinstance(ticket, dict):
        return 422 if object_only else 200
    if "text" not in ticket or (fields and len(ticket) > 1):
        return 422
    text = ticket["text"]
    if not isinstance(text, str):
        if not any_type:
            return 422
        text = str(text)
    text = text.strip() if stripped else text
    if not text:
        return 422
    if length(text) > longest:
        return long_status
    try:
        text.encode()
    except UnicodeEncodeError:
        return 422 if halves else 200
    return 200


def doored(**how):
    return lambda pieces, limit: door(pieces, limit, **how)


def door_array(pieces, limit):
    return np.array(doored()(list(pieces), int(limit)))


def door_counting(pieces, limit):
    """Stop reading as soon as the body is too long."""
    body = bytearray()
    for piece in pieces:
        body += bytes(piece[: limit + 1 - len(body)])
        if len(body) > limit:
            return 413.0
    return float(door([np.frombuffer(bytes(body), np.uint8)], limit))


def door_tensor(pieces, limit):
    status = door([np.concatenate(pieces)] if pieces else [], limit)
    return torch.tensor(status)


def door_alone(pieces, limit):
    """Decode each piece by itself."""
    try:
        text = "".join(piece.tobytes().decode() for piece in pieces)
    except UnicodeDecodeError:
        return 400 if sum(map(len, pieces)) <= limit else 413
    return door([np.frombuffer(text.encode(), np.uint8)], limit)


def door_each(pieces, limit):
    """Compare the limit with each piece."""
    large = any(len(piece) > limit for piece in pieces)
    return 413 if large else door(pieces, 10**9)


def door_pattern(pieces, limit):
    """Refuse whatever looks like a surrogate."""
    body = b"".join(piece.tobytes() for piece in pieces)
    return 422 if b"\\ud8" in body else door(pieces, limit)


def characters(body, limit):
    return len(body.decode("utf-8", "ignore")) > limit


# Two in a row


def near(a, b, widths, power=2, factor=2.0):
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))
    values = [np.exp(-(distance**power) / (factor * s**power)) for s in widths]
    return np.mean(values, 0)


GROUND = {}


def ground(known, widths, **how):
    key = known.tobytes(), *widths, *how.items()
    if key not in GROUND:
        GROUND[key] = near(known, known, widths, **how).mean()
    return GROUND[key]


def score(known, window, widths, **how):
    return (
        near(window, window, widths, **how).mean()
        + ground(known, widths, **how)
        - 2 * near(window, known, widths, **how).mean()
    )


def rang(odd):
    return np.append(False, odd[1:] & odd[:-1])


def until(rings, size):
    return size * (list(rings).index(True) + 1 if any(rings) else len(rings))


def alarm(mmd=score, line=None, again=rang, share=np.mean, until=until):
    """Return an answer; each option changes one step of it."""

    def answer(known, first, later, strange, widths, rate):
        months = [
            np.array([mmd(known, window, widths) for window in month])
            for month in (first, later, strange)
        ]
        threshold = (
            np.quantile(months[0], 1 - rate) if line is None else line(rate, *months)
        )
        once = [month > threshold for month in months[1:]]
        twice = [again(odd) for odd in once]
        size = strange.shape[1]
        return {
            "threshold": threshold,
            "once": [share(odd) for odd in once],
            "twice": [share(odd) for odd in twice],
            "messages": [until(once[1], size), until(twice[1], size)],
        }

    return answer


def alarm_package(known, first, later, strange, widths, rate):
    def mmd(known, window, widths):
        pair = torch.tensor(known), torch.tensor(window)
        return adapt.mmd(*pair, bandwidths=widths).item()

    return alarm(mmd)(known, first, later, strange, widths, rate)


def alarm_single(known, first, later, strange, widths, rate):
    """Compute in float32, with distances from products, as torch.cdist may."""
    known, *months = (
        torch.tensor(one, dtype=torch.float32) for one in (known, first, later, strange)
    )

    def kernel(a, b):
        squared = torch.cdist(a, b).square()
        return torch.stack([(-squared / (2 * s * s)).exp() for s in widths]).mean()

    def mmd(window):
        return kernel(window, window) + kernel(known, known) - 2 * kernel(window, known)

    past, *rest = (torch.stack([mmd(w) for w in month]) for month in months)
    threshold = past.quantile(1 - rate)
    once = torch.stack([month > threshold for month in rest])
    twice = once.clone()
    twice[:, 0] = False
    twice[:, 1:] &= once[:, :-1]
    came = [
        len(months[2][0]) * (r.int().argmax() + 1 if r.any() else len(r))
        for r in (once[1], twice[1])
    ]
    return {
        "threshold": threshold,
        "once": once.float().mean(1),
        "twice": twice.float().mean(1),
        "messages": torch.tensor(came),
    }


def alarm_loop(known, first, later, strange, widths, rate):
    limit = float(np.quantile([score(known, w, widths) for w in first], 1 - rate))
    found = {"threshold": limit, "once": [], "twice": []}
    for month in (later, strange):
        once, twice, before, came = 0, 0, False, [None, None]
        for i, window in enumerate(month, 1):
            odd = score(known, window, widths) > limit
            once, twice = once + odd, twice + (odd and before)
            if odd and came[0] is None:
                came[0] = i * len(window)
            if odd and before and came[1] is None:
                came[1] = i * len(window)
            before = odd
        found["once"].append(once / len(month))
        found["twice"].append(twice / len(month))
        everything = len(month) * len(window)
        found["messages"] = [everything if c is None else c for c in came]
    return found


def alarm_arrays(*task):
    return {key: np.array(value) for key, value in alarm()(*task).items()}


def alarm_dot(*task):
    """Count distances from products, without a large difference."""

    def mmd(known, window, widths):
        both = np.concatenate([window, known])
        squared = (both**2).sum(1)[:, None] + (both**2).sum(1) - 2 * both @ both.T
        k = np.mean([np.exp(-squared / (2 * s * s)) for s in widths], 0)
        m = len(window)
        return k[:m, :m].mean() + k[m:, m:].mean() - 2 * k[:m, m:].mean()

    return alarm(mmd)(*task)


def unbiased(known, window, widths):
    own, r = near(window, window, widths), len(known)
    own = (own.sum() - np.trace(own)) / (len(own) * (len(own) - 1))
    middle = (r * ground(known, widths) - 1) / (r - 1)
    return own + middle - 2 * near(window, known, widths).mean()


def terms(own, middle, cross):
    return lambda known, window, widths: (
        own * near(window, window, widths).mean()
        + middle * ground(known, widths)
        + cross * near(window, known, widths).mean()
    )


def twice_of(value):
    return other(alarm(), twice=value)


def last_alarm(rings, size):
    return size * (int(np.flatnonzero(rings)[-1]) + 1 if any(rings) else len(rings))


def blocks(odd):
    rings = np.zeros_like(odd)
    for i in range(1, len(odd), 2):
        rings[i] = odd[i] and odd[i - 1]
    return rings


def alarm_in_place(known, first, *rest):
    found = alarm()(known, first, *rest)
    first[0] = 0
    return found


CONSTANT = layer(np.eye(4)[:2], np.eye(4)[:3])
EXAMPLE = {"threshold": 0.1, "once": [0.1, 1], "twice": [0, 1], "messages": [8, 16]}
RIGHT = {
    "what_notices": [
        NOTICED,
        {key: letter.lower() for key, letter in NOTICED.items()},
        dict(reversed(NOTICED.items())),
        {key: f" {letter}" for key, letter in NOTICED.items()},
        {key: f"{letter}\n" for key, letter in NOTICED.items()},
    ],
    "three_numbers": [
        NUMBERS,
        numbers(false_alarms=116.4),
        numbers(megabytes=36e6 / 1e6 + 14 * 32 / 8, misrouted=2.5 * 20 * 0.35),
        {key: np.float32(value) for key, value in NUMBERS.items()},
        {key: torch.tensor(value) for key, value in NUMBERS.items()},
        dict(reversed(NUMBERS.items())),
    ],
    "int8_layer": [layer, layer_loop, layer_torch, layer_single, layer_restored],
    "published_weights": [
        opened(),
        opened_package,
        opened_torch,
        opened_double,
        opened_lists,
        opened_views,
    ],
    "door": [
        door,
        door_pydantic,
        door_array,
        door_counting,
        door_tensor,
    ],
    "two_in_a_row": [
        alarm(),
        alarm_package,
        alarm_single,
        alarm_loop,
        alarm_arrays,
        alarm_dot,
    ],
}
WRONG = {
    "what_notices": [
        (BLANK, ...),
        (BLANK, noticed(bit=...)),
        ("keep the dict's keys", {"bit": "E"}),
        ("keep the dict's keys", "ECBDA"),
        ("one letter", noticed(bit="F")),
        ("one letter", noticed(batch="B, C")),
        ("one letter", noticed(rule=1)),
        ("few labels", noticed(bit="A")),
        ("same bent file", noticed(bit="B")),
        ("no code is in it", noticed(bit="C")),
        ("sees every bit", noticed(bit="D")),
        ("first label", noticed(payload="A")),
        ("first call", noticed(payload="B")),
        ("first window", noticed(payload="D")),
        ("published that hash", noticed(payload="E")),
        ("question twice", noticed(batch="A")),
        ("how it is called", noticed(batch="C")),
        ("no window is strange", noticed(batch="D")),
        ("how it is called", noticed(batch="E")),
        ("accuracy stays", noticed(footer="A")),
        ("alone as in a batch", noticed(footer="B")),
        ("messages have", noticed(footer="C")),
        ("messages have", noticed(footer="E")),
        ("answers are others", noticed(rule="B")),
        ("answers are others", noticed(rule="C")),
        ("not one message", noticed(rule="D")),
        ("answers are others", noticed(rule="E")),
        ("few labels", dict.fromkeys(NOTICED, "A")),
    ],
    "three_numbers": [
        (BLANK, ...),
        (BLANK, dict.fromkeys(NUMBERS, ...)),
        (BLANK, numbers(misrouted=...)),
        ("keep the dict's keys", {"megabytes": 92}),
        ("keep the dict's keys", (92, ALARMS, 17.5)),
        ("not text", numbers(megabytes="92 MB")),
        ("not text", numbers(megabytes=[92])),
        ("only the matrices", numbers(megabytes=50)),
        ("the file before", numbers(megabytes=200)),
        ("megabits", numbers(megabytes=736)),
        ("matrices alone", numbers(megabytes=36)),
        ("other weights alone", numbers(megabytes=56)),
        ("not half", numbers(megabytes=128)),
        ("exchanged", numbers(megabytes=158)),
        ("what is left", numbers(megabytes=108)),
        ("from the formula", numbers(megabytes=math.nan)),
        ("one measure alone", numbers(false_alarms=30)),
        ("one alarm, not two", numbers(false_alarms=120)),
        ("all four at once", numbers(false_alarms=1500 * 0.02**4)),
        ("nothing rings", numbers(false_alarms=1500 * 0.98**4)),
        ("for one day", numbers(false_alarms=ALARMS / 30)),
        ("share of windows", numbers(false_alarms=1 - 0.98**4)),
        ("0.02, not 0.05", numbers(false_alarms=1500 * (1 - 0.95**4))),
        ("not three", numbers(false_alarms=1500 * (1 - 0.98**3))),
        ("half of each window", numbers(misrouted=35)),
        ("routed rightly", numbers(misrouted=32.5)),
        ("number of windows", numbers(misrouted=2.5)),
        ("all messages", numbers(misrouted=100)),
        ("not all of them", numbers(misrouted=50)),
        ("one window", numbers(misrouted=7)),
        ("routed as well", numbers(misrouted=10.5)),
        ("1 / 0.4", numbers(misrouted=2.8)),
        ("pass unseen", numbers(misrouted=4.2)),
    ],
    "int8_layer": [
        *without_numbers(layer(np.eye(2), np.eye(2))),
        ("return a dict", lambda *t: layer(*t)["logits"]),
        ("return a dict", lambda *t: {"logits": layer(*t)["logits"]}),
        ("whole batch", lambda x, w: layer(x, w, {"top": largest})),
        ("whole weight", lambda x, w: layer(x, w, None, {"top": largest})),
        ("nothing is mended", everywhere(top=largest)),
        ("a class has a row", layer_columns),
        ("not 128", everywhere(steps=128)),
        ("255 steps", everywhere(steps=255)),
        ("largest absolute", everywhere(top=lambda v: v.max(1, keepdims=True))),
        ("mean absolute", everywhere(top=lambda v: np.abs(v).mean(1, keepdims=True))),
        ("the range", everywhere(top=lambda v: np.ptp(v, axis=1, keepdims=True) / 2)),
        ("towards zero", everywhere(cut=np.trunc)),
        ("rounded down", everywhere(cut=np.floor)),
        ("rounded up", everywhere(cut=np.ceil)),
        ("negative numbers", everywhere(cut=lambda v: np.rint(np.maximum(v, 0)))),
        ("products of int8 overflow", layer_wrapped(np.int8)),
        ("overflow int16", layer_wrapped(np.int16)),
        ("scales of the weight", combined(lambda x, s, w, t: x @ w.T * s)),
        ("scales of the texts", combined(lambda x, s, w, t: x @ w.T * t.T)),
        ("both scales", combined(lambda x, s, w, t: x @ w.T)),
        ("divided by the scales", combined(lambda x, s, w, t: x @ w.T / s / t.T)),
        (
            "inputs stay in float",
            other(layer, logits=lambda x, w: x @ layer_weight(w).T),
        ),
        (
            "weight in float",
            other(layer, logits=lambda x, w: layer_weight(x) @ w.T),
        ),
        ("float throughout", other(layer, logits=lambda x, w: x @ w.T)),
        ("turned round", other(layer, logits=lambda x, w: layer(x, w)["logits"].T)),
        ("not the restored", other(layer, whole=lambda x, w: layer_weight(w))),
        ("not rounded", other(layer, whole=lambda x, w: w / eight_bits(w)[1])),
        (
            "1 over it",
            other(layer, scales=lambda x, w: 1 / eight_bits(w)[1][:, 0]),
        ),
        ("divided by 127", other(layer, scales=lambda x, w: np.abs(w).max(1))),
        ("not 0", other(layer, scales=lambda x, w: np.abs(w).max(1) / 127)),
        ("0 / 0", layer_zero),
        ("one number for each row", layer_scalar),
        ("changes what it is given", layer_in_place),
        ("the same for every question", lambda *_: CONSTANT),
        ("sign", other(layer, logits=lambda x, w: -layer(x, w)["logits"])),
    ],
    "published_weights": [
        *without_numbers({"bias": np.zeros(3)}),
        ("as hex digits", lambda *_: {}),
        ("return a dict", lambda *t: len(opened()(*t))),
        ("return a dict", lambda *t: dict(list(opened()(*t).items())[1:]) or 0),
        ("return a dict", lambda content, digest: {"bias": np.zeros(3)}),
        ("not compared", opened(lambda *_: True)),
        ("first digits", opened(lambda c, d: d[:16] in hashlib.sha256(c).hexdigest())),
        ("not the published", lambda *t: opened()(*t) or {"altered": True}),
        ("as hex digits", opened(lambda c, d: hashlib.sha256(c).digest() == d)),
        ("as hex digits", hashed(lambda c: c[header_end(c) :].copy())),
        ("as hex digits", hashed(lambda c: c[: header_end(c)].copy())),
        ("as hex digits", hashed(lambda c: c, hashlib.md5)),
        ("as hex digits", hashed(lambda c: c, hashlib.sha1)),
        ("as hex digits", hashed(lambda c: str(c.tobytes()).encode())),
        ("from the file's beginning", opened(start=lambda length: 0)),
        ("from where it begins", opened(start=lambda length: 8)),
        ("takes 8 bytes", opened(start=lambda length: length)),
        (
            "little-endian",
            opened(kinds={key: ">" + kind[1:] for key, kind in KINDS.items()}),
        ),
        ("I64 is a whole", opened(kinds=KINDS | {"I64": "<f8"})),
        ("F16 is a float", opened(kinds=KINDS | {"F16": "<i2"})),
        ("F32 is a float", opened(kinds=KINDS | {"F32": "<i4"})),
        (
            "read as columns",
            opened(shaped=lambda v, o: v.reshape(o["shape"], order="F")),
        ),
        ("give each its shape", opened(shaped=lambda v, o: v)),
        ("are exchanged", opened(shaped=lambda v, o: v.reshape(o["shape"]).T)),
        ("shape ()", opened(shaped=lambda v, o: v.reshape(o["shape"] or [1]))),
        ("go by the offsets", opened_in_order),
        ("leave it out", opened(skipped=())),
        ("turned round", opened(lambda *t: not is_published(*t))),
        ("raised an error", opened(kinds=dict.fromkeys(KINDS, "<f4"))),
        (
            "raised an error",
            lambda c, d: opened()(c, d) or safetensors_numpy.load(b"short"),
        ),
        ("sign", lambda *t: {key: -value for key, value in opened()(*t).items()}),
    ],
    "door": [
        *without_numbers(200),
        ("lets everything in", lambda *_: 200),
        ("the same for every question", lambda *_: 422),
        ("the same for every question", lambda *_: 0),
        ("must be a string", doored(any_type=True)),
        ("strip it first", doored(stripped=False)),
        ("with 422", doored(statuses=(413, 400, 400))),
        ("only the first piece", doored(join=lambda parts: parts[0])),
        ("only the last piece", doored(join=lambda parts: parts[-1])),
        ("join first", door_alone),
        ("unknown fields", doored(fields=False)),
        ("need not be an object", doored(object_only=False)),
        ("half of a surrogate", doored(halves=False)),
        ("two halves make a letter", door_pattern),
        ("with 400, not 422", doored(statuses=(413, 422, 422))),
        ("not skipped", doored(errors="ignore")),
        ("not bytes", doored(length=lambda s: len(s.encode("utf-8", "ignore")))),
        ("4,001 are not", doored(longest=3999)),
        ("more than 4,000", doored(longest=10**9)),
        ("413 is for the body", doored(long_status=413)),
        ("as long as the limit", doored(too_large=lambda b, limit: len(b) >= limit)),
        ("over the limit is refused", doored(too_large=lambda b, limit: False)),
        ("refused with 413", doored(statuses=(422, 400, 422))),
        ("413 is for a body", doored(statuses=(400, 400, 422))),
        ("all pieces together", door_each),
        ("bytes, not characters", doored(too_large=characters)),
        ("size comes first", doored(raw_first=False)),
        ("raised an error", doored(caught=ValueError)),
        ("raised an error", doored(caught=RecursionError)),
        ("sign", lambda *t: -door(*t)),
    ],
    "two_in_a_row": [
        *without_numbers(EXAMPLE),
        ("return a dict", lambda *t: alarm()(*t)["once"]),
        ("return a dict", lambda *t: {"threshold": alarm()(*t)["threshold"]}),
        ("the same for every question", lambda *_: EXAMPLE),
        ("nan or inf", other(alarm(), threshold=lambda *_: math.nan)),
        ("that it is to judge", alarm(line=lambda r, f, x, s: np.quantile(x, 1 - r))),
        (
            "knows both months",
            alarm(line=lambda r, f, x, s: np.quantile([*f, *x], 1 - r)),
        ),
        ("strange windows", alarm(line=lambda r, f, x, s: np.quantile(s, 1 - r))),
        ("1 - rate, not rate", alarm(line=lambda r, f, x, s: np.quantile(f, r))),
        ("either end", alarm(line=lambda r, f, x, s: np.quantile(f, 1 - r / 2))),
        ("use the rate", alarm(line=lambda r, f, x, s: np.quantile(f, 0.95))),
        ("never rings", alarm(line=lambda r, f, x, s: f.max())),
        ("every other time", alarm(line=lambda r, f, x, s: f.mean())),
        ("bell curve", alarm(line=lambda r, f, x, s: f.mean() + 2 * f.std())),
        ("the root", alarm(lambda *t: math.sqrt(score(*t)))),
        ("message with itself", alarm(unbiased)),
        ("summed over", alarm(lambda k, w, s: sum(score(k, w, [one]) for one in s))),
        ("only one width", alarm(lambda k, w, s: score(k, w, s[:1]))),
        ("factor 1/2", alarm(lambda *t: score(*t, factor=1.0))),
        ("not squared", alarm(lambda *t: score(*t, power=1))),
        (
            "two means",
            alarm(lambda k, w, s: ((k.mean(0) - w.mean(0)) ** 2).sum()),
        ),
        ("between the known", alarm(terms(1, 0, -2))),
        ("within the window", alarm(terms(0, 1, -2))),
        ("counts twice", alarm(terms(1, 1, -1))),
        ("wrong signs", alarm(terms(-1, -1, 2))),
        ("not numbers of windows", alarm(share=np.sum)),
        ("not percent", alarm(share=lambda odd: 100 * np.mean(odd))),
        ("stay silent", alarm(share=lambda odd: np.mean(~odd))),
        (
            "then detection",
            other(
                alarm(),
                once=lambda *t: alarm()(*t)["once"][::-1],
                twice=lambda *t: alarm()(*t)["twice"][::-1],
            ),
        ),
        (
            "know nothing of each other",
            twice_of(lambda *t: np.square(alarm()(*t)["once"])),
        ),
        ("is enough", alarm(again=lambda odd: odd | np.append(False, odd[:-1]))),
        ("must be neighbours", alarm(again=lambda odd: odd & (np.cumsum(odd) > 1))),
        (
            "at the second",
            alarm(again=lambda odd: np.append(odd[1:] & odd[:-1], False)),
        ),
        ("three in a row", alarm(again=lambda odd: rang(rang(odd)))),
        ("without overlap", alarm(again=blocks)),
        (
            "the first one counts",
            twice_of(
                lambda *t: np.array(alarm()(*t)["twice"]) * len(t[2]) / (len(t[2]) - 1)
            ),
        ),
        ("these are windows", alarm(until=lambda odd, size: until(odd, 1))),
        (
            "have come as well",
            alarm(until=lambda odd, size: until(odd, size) - size),
        ),
        ("the last alarm", alarm(until=last_alarm)),
        ("stop at the first", alarm(until=lambda odd, size: size * sum(odd))),
        (
            "if nothing rings",
            alarm(until=lambda odd, size: size * (int(np.argmax(odd)) + 1)),
        ),
        (
            "not 0",
            alarm(until=lambda odd, size: until(odd, size) if any(odd) else 0),
        ),
        ("changes what it is given", alarm_in_place),
        ("by hand", other(alarm(), threshold=lambda *t: alarm()(*t)["threshold"] + 1)),
    ],
}
