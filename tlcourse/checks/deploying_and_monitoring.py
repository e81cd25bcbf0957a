"""Checks of the exercises of the chapter on deploying and monitoring."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tlcourse.checks._asking import Ask, exercise, open_question

__all__ = [
    "door",
    "int8_layer",
    "published_weights",
    "thirty_labels",
    "three_numbers",
    "two_in_a_row",
    "what_notices",
]

Array: TypeAlias = npt.NDArray[Any]
Questions: TypeAlias = Iterator[tuple[str, tuple[Any, ...]]]


@exercise(points=2)
def what_notices(ask: Ask) -> None:
    """Ask which check notices which fault of a service."""
    right = {
        "bit": "dfa9129ed1f4",
        "payload": "67c21699340f",
        "batch": "e8a05a3fb7e9",
        "footer": "1c7a439929c9",
        "rule": "94578b559591",
    }
    hints = {
        "8242c540c146": "a few labels cannot see one bit of millions of bytes",
        "7ee33ac3120f": "both calls read the same bent file",
        "eb56ccedc47f": "the file is safetensors, and no code is in it",
        "ece080dac69c": "one bit need not move a window: what sees every bit?",
        "7a97e91a6f9c": "too late: the code has run long before the first label",
        "f3721db699f5": "too late: the code has run before the first call",
        "db2320c643df": "too late: the code has run before the first window",
        "62cdae81317d": "the stranger has published that hash: it is the right file",
        "155ca0f419d7": "labels judge an answer; nobody asks the same question twice",
        "717c09666e90": "the file is what it should be; look at how it is called",
        "e1471942ed48": "the messages are the usual ones, so no window is strange",
        "f059180666c1": "the file is what it should be; look at how it is called",
        "e01e39827462": "the accuracy stays, so the labels look as they always did",
        "c1f62ae6336e": "each message is changed, alone as in a batch",
        "1c2c268d32ba": "the file has not changed; the messages have",
        "894e9511525f": "the file has not changed; the messages have",
        "b1e7bd2ad550": "the model answers as before; the right answers are others",
        "3faeea183c3b": "the model answers as before; the right answers are others",
        "84d35cb89a68": "not one message changes, so a monitor of inputs sees nothing",
        "2779712b9409": "the model answers as before; the right answers are others",
    }
    ask.choices(right, "ABCDE", hints)


@exercise(points=2)
def three_numbers(ask: Ask) -> None:
    """Ask for the size of a file, false alarms in a month, and messages gone wrong."""
    once = 1 - 0.98**4
    megabytes = {
        "only the matrices become int8: the other weights keep four bytes": 50.0,
        "this is the file before: a matrix's weight shrinks to one byte": 200.0,
        "these are megabits: a byte has eight bits": 736.0,
        "these are the matrices alone: the other weights are in the file as well": 36.0,
        "these are the other weights alone: the matrices are in the file as well": 56.0,
        "int8 is one byte, a quarter of float32, not half": 128.0,
        "the two kinds are exchanged: the matrices are what shrinks": 158.0,
        "this is what is saved: what is left?": 108.0,
    }
    alarms = {
        "this is one measure alone: any of the four may ring": 30.0,
        "a window in which two measures ring is one alarm, not two": 120.0,
        "this is for all four at once: any one of them is enough": 1500 * 0.02**4,
        "these are the windows in which nothing rings": 1500 * 0.98**4,
        "this is for one day": 50 * once,
        "this is the share of windows; how many are that in a month?": once,
        "each measure's rate is 0.02, not 0.05": 1500 * (1 - 0.95**4),
        "four measures, not three": 1500 * (1 - 0.98**3),
    }
    misrouted = {
        "only half of each window comes from the other unit": 35.0,
        "these are the messages that are routed rightly": 32.5,
        "this is the number of windows: how many messages go wrong in them?": 2.5,
        "these are all messages that came: which of them go wrong?": 100.0,
        "these are the other unit's messages: not all of them go wrong": 50.0,
        "this is one window: on average, more than one passes": 7.0,
        "the window that rings has been routed as well": 10.5,
        "0.4 windows: if 4 in 10 ring, 1 / 0.4 pass until one does": 2.8,
        "only 60 % of the windows pass unseen; how many are that on average?": 4.2,
    }
    expected = {"megabytes": 92.0, "false alarms": 1500 * once, "misrouted": 17.5}
    mistakes = {
        "megabytes": megabytes,
        "false alarms": alarms,
        "misrouted": misrouted,
    }
    ask.numbers(expected, mistakes)


def _layers() -> Questions:
    """Yield inputs and weights whose whole numbers are no matter of rounding noise."""
    rng = np.random.default_rng(20265)

    def rows(n: int, d: int) -> Array:
        values = rng.integers(-100, 101, (n, d)) + rng.uniform(-0.4, 0.4, (n, d))
        values[range(n), rng.integers(d, size=n)] = rng.choice([-127, 127], n)
        return np.asarray(values * rng.uniform(0.01, 0.05, (n, 1)))

    yield "2 texts, 4 features, 3 classes", (rows(2, 4), rows(3, 4))
    yield "a loud text among 5", (rows(5, 6) * [[1], [1], [30], [1], [1]], rows(4, 6))
    yield "one text", (rows(1, 6), rows(4, 6) * [[1], [40], [1], [0.1]])
    yield "384 features, 8 classes", (rows(3, 384), rows(8, 384))
    yield "as many texts as features and classes", (rows(5, 5), rows(5, 5))
    blank = rows(3, 6) * [[1], [0], [1]], rows(4, 6) * [[1], [1], [0], [1]]
    yield "a text and a row of the weight are zero", blank


def _eight_bits(
    values: Array,
    *,
    top: Callable[[Array], Any] = lambda v: np.abs(v).max(1, keepdims=True),
    cut: Callable[[Array], Array] = np.rint,
    steps: int = 127,
) -> tuple[Array, Array]:
    scales = np.asarray(top(values) / steps)
    scales = np.where(scales == 0, 1, scales)
    return cut(values / scales), scales


def _layer(
    inputs: Array,
    weight: Array,
    of_inputs: Mapping[str, Any] | None = None,
    of_weight: Mapping[str, Any] | None = None,
    logits: Callable[..., Any] = lambda a, q, s, t: q @ a.T * s.T * t,
) -> dict[str, Any]:
    """Return what is asked for; a mistake changes one of the last three."""
    texts, s = _eight_bits(inputs, **of_inputs or {})
    whole, t = _eight_bits(weight, **of_weight or {})
    found = logits(whole, texts, t, s)
    return {"whole": whole, "scales": t[:, 0], "logits": found}


@exercise(points=3)
def int8_layer(ask: Ask) -> None:
    """Ask for a layer in eight bits whose answers do not depend on the batch."""

    def both(**how: Any) -> Callable[..., Any]:
        return lambda x, w: _layer(x, w, how, how)

    def combined(logits: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, w: _layer(x, w, logits=logits)

    def wrapped(bits: int) -> Callable[..., Any]:
        half = 2 ** (bits - 1)
        return combined(
            lambda a, q, s, t: ((q @ a.T + half) % (2 * half) - half) * s.T * t
        )

    def columns(x: Array, w: Array) -> dict[str, Any]:
        whole, scales = _eight_bits(w.T)
        texts, s = _eight_bits(x)
        logits = texts @ (whole * scales) * s
        return {"whole": whole.T, "scales": scales[:, 0], "logits": logits}

    def instead(key: str, value: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, w: (found := _layer(x, w)) | {key: value(x, w, found)}

    one = {"top": lambda v: np.full((len(v), 1), np.abs(v).max())}
    mistakes = {
        "one scale for the whole batch: a text's answer depends on its neighbours": (
            lambda x, w: _layer(x, w, one)
        ),
        "one scale for the whole weight: each row gets its own": (
            lambda x, w: _layer(x, w, None, one)
        ),
        "nothing is mended: one scale for the batch, and one for the weight": (
            both(**one)
        ),
        "a scale for each column of the weight: a class has a row": columns,
        "127 steps on either side, not 128": both(steps=128),
        "255 steps on either side: whole numbers go from -127 to 127": both(steps=255),
        "the largest value instead of the largest absolute value": both(
            top=lambda v: v.max(1, keepdims=True)
        ),
        "the mean absolute value sets the scale in yours: take the largest": both(
            top=lambda v: np.abs(v).mean(1, keepdims=True)
        ),
        "the range from lowest to highest sets the scale: take the largest size": both(
            top=lambda v: (v.max(1, keepdims=True) - v.min(1, keepdims=True)) / 2
        ),
        "cut off towards zero: round to the nearest whole number": both(cut=np.trunc),
        "rounded down: round to the nearest whole number": both(cut=np.floor),
        "rounded up: round to the nearest whole number": both(cut=np.ceil),
        "negative numbers are lost: whole numbers go from -127 to 127": both(
            cut=lambda v: np.rint(v).clip(0)
        ),
        "products of int8 overflow: multiply and add in int32": wrapped(8),
        "sums of products overflow int16: add in int32": wrapped(16),
        "the logits lack the scales of the weight": combined(
            lambda a, q, s, t: q @ a.T * t
        ),
        "the logits lack the scales of the texts": combined(
            lambda a, q, s, t: q @ a.T * s.T
        ),
        "the logits lack both scales": combined(lambda a, q, s, t: q @ a.T),
        "divided by the scales: multiply by them": combined(
            lambda a, q, s, t: q @ a.T / s.T / t
        ),
        "the inputs stay in float: quantise them as well": instead(
            "logits", lambda x, w, found: x @ found["whole"].T * found["scales"]
        ),
        "the logits use the weight in float: use its whole numbers": instead(
            "logits", lambda x, w, found: _restored(x) @ w.T
        ),
        "these logits are in float throughout": instead(
            "logits", lambda x, w, found: x @ w.T
        ),
        "logits have a row for each text: yours are turned round": instead(
            "logits", lambda x, w, found: found["logits"].T
        ),
        "whole numbers are asked for, not the restored weight": instead(
            "whole", lambda x, w, found: found["whole"] * found["scales"][:, None]
        ),
        "not rounded: whole numbers are asked for": instead(
            "whole", lambda x, w, found: w / found["scales"][:, None]
        ),
        "the scale is the size of a step: yours is 1 over it": instead(
            "scales", lambda x, w, found: 1 / found["scales"]
        ),
        "the scale is the largest size divided by 127": instead(
            "scales", lambda x, w, found: 127 * found["scales"]
        ),
        "a row of zeros gets scale 1, not 0": instead(
            "scales", lambda x, w, found: np.abs(w).max(1) / 127
        ),
    }
    symptoms = {
        "0 / 0: a row of zeros gets scale 1": lambda came, *_: (
            not all(np.isfinite(np.asarray(value)).all() for value in came.values())
        ),
        "'scales' has one number for each row of the weight": lambda came, x, w: (
            np.size(came["scales"]) != len(w)
        ),
    }
    ask.each(_layers(), _layer, mistakes, symptoms)


def _restored(values: Array) -> Array:
    whole, scales = _eight_bits(values)
    return whole * scales


_KINDS = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def _file(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Write a safetensors file whose header has another order than its numbers."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    data, kinds = b"", {np.dtype(dtype): kind for kind, dtype in _KINDS.items()}
    for name, values in tensors.items():
        ends = [len(data), len(data) + values.nbytes]
        own = {"dtype": kinds[values.dtype], "shape": values.shape}
        header[name] = own | {"data_offsets": ends}
        data += values.tobytes()
    text = json.dumps(dict(reversed(header.items()))).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def _files() -> Questions:
    rng = np.random.default_rng(20266)

    def whole(content: bytes) -> tuple[Array, str]:
        return np.frombuffer(content, np.uint8), hashlib.sha256(content).hexdigest()

    def bent(content: bytes, at: int) -> Array:
        array = np.frombuffer(content, np.uint8).copy()
        array[at] ^= 1
        return array

    head = rng.standard_normal((3, 4)).astype("<f4")
    bias = rng.standard_normal(3).astype("<f4")
    small = whole(first := _file({"head.weight": head}, {}))
    notes = {"classes": "access,billing,other"}
    large = whole(second := _file({"weight": head, "bias": bias}, notes))
    mixed = {"half": rng.standard_normal((2, 2, 3)).astype("<f2")}
    mixed["steps"] = np.array(1234567, dtype="<i8")
    yield "one tensor", small
    yield "two tensors and a note", large
    yield "the last bit is flipped", (bent(first, -1), small[1])
    yield "F16 and I64, one without dimensions", whole(_file(mixed, {}))
    yield (
        "the first digits of the hash are right",
        (
            small[0],
            small[1][:16] + large[1][16:],
        ),
    )
    yield (
        "a bit of the note is flipped",
        (
            bent(second, second.index(b"billing")),
            large[1],
        ),
    )
    yield "cut short by 8 bytes", (large[0][:-8], large[1])
    yield "another file, which is whole", (small[0], large[1])


def _published(content: Array, digest: str) -> bool:
    return hashlib.sha256(content.tobytes()).hexdigest() == digest


def _weights(
    content: Array,
    digest: str,
    *,
    trusted: Callable[[Array, str], bool] = _published,
    base: Callable[[int], int] = lambda length: 8 + length,
    kind: Callable[[str], str] = lambda dtype: dtype,
    shaped: Callable[[Array, Any], Array] = lambda values, shape: values.reshape(shape),
    in_order: bool = False,
) -> dict[str, Array]:
    """Return the tensors; a mistake changes one of the last five."""
    raw, found, at = content.tobytes(), dict[str, Array](), 0
    if not trusted(content, digest):
        return {}
    length = int.from_bytes(raw[:8], "little")
    for name, own in json.loads(raw[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        low, high = own["data_offsets"]
        size = high - low
        if in_order:
            low, at = at, at + size
        part = raw[base(length) + low : base(length) + low + size]
        if len(part) < size:
            return {}  # the file was cut
        values = np.frombuffer(part, kind(_KINDS[own["dtype"]]))
        found[name] = shaped(values, own["shape"])
    return found


@exercise(points=2)
def published_weights(ask: Ask) -> None:
    """Ask for the tensors of a file, if it is the one that was published."""

    def changed(**how: Any) -> Callable[..., Any]:
        return lambda content, digest: _weights(content, digest, **how)

    mistakes: dict[str, Callable[..., Any]] = {
        "{} for the published file: hash all its bytes with SHA-256, as hex digits": (
            lambda *_: {}
        ),
        "the hash is not compared: an altered file opens without complaint": changed(
            trusted=lambda *_: True
        ),
        "only the first digits of the hash are compared: compare all 64": changed(
            trusted=lambda content, digest: (
                hashlib.sha256(content.tobytes()).hexdigest()[:8] == digest[:8]
            )
        ),
        "turned round: the tensors come if the hash is right": changed(
            trusted=lambda *pair: not _published(*pair)
        ),
        "offsets count from where the header ends, not from the file's beginning": (
            changed(base=lambda length: 0)
        ),
        "offsets count from where the header ends, not from where it begins": (
            changed(base=lambda length: 8)
        ),
        "the length itself takes 8 bytes: the numbers begin after 8 + length": (
            changed(base=lambda length: length)
        ),
        "the numbers are little-endian: the lowest byte comes first": changed(
            kind=lambda dtype: dtype.replace("<", ">")
        ),
        "I64 is a whole number, no float": changed(
            kind=lambda dtype: dtype.replace("i8", "f8")
        ),
        "F16 is a float, no whole number": changed(
            kind=lambda dtype: dtype.replace("f2", "i2")
        ),
        "F32 is a float, no whole number": changed(
            kind=lambda dtype: dtype.replace("f4", "i4")
        ),
        "rows are stored one after the other: yours are read as columns": changed(
            shaped=lambda values, shape: values.reshape(shape, order="F")
        ),
        "the tensors are flat: give each its shape": changed(
            shaped=lambda values, shape: values
        ),
        "rows and columns are exchanged": changed(
            shaped=lambda values, shape: values.reshape(shape).T
        ),
        "a tensor without dimensions has shape (), not (1,)": changed(
            shaped=lambda values, shape: values.reshape(shape or [1])
        ),
        "the header's order is not that of the numbers: go by the offsets": changed(
            in_order=True
        ),
    }
    symptoms = {
        "the key '__metadata__' holds notes, no tensor: leave it out": (
            lambda came, *_: "__metadata__" in came
        ),
        "this file is not the published one: return {}": (
            lambda came, *pair: len(came) > 0 and not _published(*pair)
        ),
    }
    ask.each(_files(), _weights, mistakes, symptoms)


def _bodies() -> Questions:
    """Yield requests, cut into pieces."""

    def sent(body: str | bytes, *cuts: int, limit: int = 16_384) -> tuple[Any, ...]:
        raw = body.encode() if isinstance(body, str) else body
        ends = [0, *cuts, len(raw)]
        parts = [raw[a:b] for a, b in zip(ends, ends[1:], strict=False)]
        return [np.frombuffer(part, np.uint8) for part in parts], limit

    def text(value: str) -> str:
        return '{"text": "' + value + '"}'

    hello = text("I cannot log in.")
    for body in (hello, '{"text": 5}', text("   "), "{text"):
        yield body, sent(body)
    yield "two pieces, the first one blank", sent(" " + hello, 1)
    yield "two pieces, the second one blank", sent(hello + " ", len(hello))
    yield "three pieces", sent(hello, 5, 9)
    yield "a letter of two bytes, cut in the middle", sent(text("na\xefve"), 13)
    for body in (
        '{"text": "Hi", "admin": true}',
        '{"txt": "Hello"}',
        '{"text": null}',
        '{"text": NaN}',
        '["text"]',
        '"text"',
        "null",
        text(r"\ud83d"),
    ):
        yield body, sent(body)
    yield "a whole emoji", sent(text(r"\ud83d\ude00"))
    yield "an empty body", sent("")
    yield "Latin-1 in place of UTF-8", sent(text("na\xefve").encode("latin-1"))
    yield "3,000 characters of two bytes", sent(text("\xe9" * 3000))
    yield "4,000 characters", sent(text("x" * 4000))
    yield "4,000 characters and blanks around", sent(text("  " + "x" * 4000 + " "))
    yield "4,001 characters", sent(text("x" * 4001))
    size = len(hello)
    yield "just as long as the limit", sent(hello, limit=size)
    yield "one byte over the limit", sent(hello, limit=size - 1)
    yield "over the limit in two pieces", sent(hello, 15, limit=size - 1)
    euro = text("\u20ac 5?")
    yield "over the limit in bytes only", sent(euro, limit=len(euro))
    yield "over the limit and no UTF-8", sent(b"\xff" * 40, limit=30)
    yield "brackets in brackets, 16,000 deep", sent('{"text": ' + "[" * 16_000)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8", "ignore"))
    except (ValueError, RecursionError):
        return ...


def _text(body: bytes) -> Any:
    value = _json(body)
    return value.get("text") if isinstance(value, dict) else ...


def _halved(text: object) -> bool:
    return isinstance(text, str) and text.encode("utf-8", "ignore").decode() != text


def _words(text: object) -> str:
    return text.strip() if isinstance(text, str) else "no text"


_RULES: Mapping[str, tuple[int, Callable[[bytes, int], bool]]] = {
    "size": (413, lambda body, limit: len(body) > limit),
    "code": (400, lambda body, _: body.decode("utf-8", "ignore").encode() != body),
    "json": (422, lambda body, _: _json(body) is ...),
    "object": (422, lambda body, _: not isinstance(_json(body), dict)),
    "more": (422, lambda body, _: len(set(_json(body)) - {"text"}) > 0),
    "string": (422, lambda body, _: not isinstance(_text(body), str)),
    "blank": (422, lambda body, _: not _words(_text(body))),
    "long": (422, lambda body, _: len(_words(_text(body))) > 4000),
    "half": (422, lambda body, _: _halved(_text(body))),
}


def _status(
    pieces: Sequence[Array],
    limit: int,
    *,
    rules: Mapping[str, Any] = _RULES,
    joined: Callable[[list[bytes]], bytes] = b"".join,
) -> int:
    """Return the status; a mistake changes one of the last two."""
    body = joined([piece.tobytes() for piece in pieces])
    for status, refuses in rules.values():
        if refuses(body, limit):
            return int(status)
    return 200


@exercise(points=3)
def door(ask: Ask) -> None:
    """Ask for the status with which a guarded service answers a body."""

    def without(*names: str) -> Callable[..., Any]:
        kept = {name: rule for name, rule in _RULES.items() if name not in names}
        return lambda *given: _status(*given, rules=kept)

    def changed(name: str, status: int, refuses: Any = None) -> Callable[..., Any]:
        rules = {**_RULES, name: (status, refuses or _RULES[name][1])}
        return lambda *given: _status(*given, rules=rules)

    def spoiled(pieces: Sequence[Array], limit: int) -> int:
        alone = [_status([piece], 10**9) for piece in pieces]
        return 400 if 400 in alone else _status(pieces, limit)

    def largest(pieces: Sequence[Array], limit: int) -> int:
        fits = max(map(len, pieces)) <= limit
        return _status(pieces, 10**9 if fits else limit)

    first = dict(sorted(_RULES.items(), key=lambda rule: rule[0] != "code"))
    mistakes: dict[str, Callable[..., Any]] = {
        "this lets everything in: each rule of the list refuses something": (
            lambda *_: 200
        ),
        "the size comes first: 413 for whatever is too long": (
            lambda *given: _status(*given, rules=first)
        ),
        "each piece is decoded alone: a letter may be cut in two, so join first": (
            spoiled
        ),
        "the limit holds for all pieces together": largest,
        "the limit counts bytes, not characters": changed(
            "size", 413, lambda body, limit: len(body.decode("utf-8", "ignore")) > limit
        ),
        "a text must be a string": without("string"),
        "a text of blanks only is refused: strip it first": without("blank"),
        "what is no JSON is refused with 422": changed("json", 400),
        "what is no JSON is refused": without("json", "object", "more", "string"),
        "only the first piece is read: join all of them": (
            lambda *given: _status(*given, joined=lambda parts: parts[0])
        ),
        "only the last piece is read: join all of them": (
            lambda *given: _status(*given, joined=lambda parts: parts[-1])
        ),
        "unknown fields are refused": without("more"),
        "JSON need not be an object: a list or a string is refused": (
            without("object", "more", "string")
        ),
        "half of a surrogate pair is no text: can it be encoded as UTF-8?": (
            without("half")
        ),
        "every surrogate is refused in yours; two halves make a letter": changed(
            "half", 422, lambda body, _: b"\\ud83d" in body
        ),
        "bytes that are no UTF-8 are refused with 400, not 422": changed("code", 422),
        "bytes that are no UTF-8 are refused, not skipped": without("code"),
        "count characters, not bytes: up to 4,000 of them": changed(
            "long",
            422,
            lambda body, _: len(_words(_text(body)).encode("utf-8", "ignore")) > 4000,
        ),
        "4,000 characters are let in, 4,001 are not": changed(
            "long", 422, lambda body, _: len(_words(_text(body))) >= 4000
        ),
        "blanks around a text do not count: strip it first": changed(
            "long", 422, lambda body, _: len(str(_text(body))) > 4000
        ),
        "a text of more than 4,000 characters is refused": without("long"),
        "a text that is too long is refused with 422; 413 is for the body": changed(
            "long", 413
        ),
        "a body as long as the limit is let in": changed(
            "size", 413, lambda body, limit: len(body) >= limit
        ),
        "a body over the limit is refused": without("size"),
        "a body over the limit is refused with 413": changed("size", 422),
        "413 is for a body over the limit, 400 for bytes that are no UTF-8": changed(
            "size", 400
        ),
    }
    ask.each(_bodies(), _status, mistakes)


def _months() -> Questions:
    """Yield windows in the order of time, with a season and then another unit."""
    for asked, seed, n, shift, rate in (
        ("40 windows of 8, every second message from elsewhere", 28, 40, 1.6, 0.08),
        ("40 windows of 8 in a strong season", 18, 40, 1.6, 0.12),
        ("12 windows of 8, hardly a change", 22, 12, 0.3, 0.05),
    ):
        rng = np.random.default_rng(20267 + seed)

        def month(n: int, shift: float = 0.0, rng: Any = rng) -> Array:
            season = np.zeros((n, 1, 4))
            for i in range(1, n):
                season[i] = 0.85 * season[i - 1] + 0.35 * rng.standard_normal(4)
            found = season + rng.standard_normal((n, 8, 4))
            found[:, ::2] += shift
            return np.asarray(found)

        known, widths = rng.standard_normal((50, 4)), [0.8, 1.6, 3.2]
        yield asked, (known, month(60), month(n), month(n, shift), widths, rate)


_MEANS: dict[tuple[Any, ...], list[Array]] = {}


def _means(
    known: Array, windows: Array, widths: Sequence[float], power: int = 2
) -> list[Array]:
    """Return the mean kernel value of three kinds of pairs, computed once."""
    key = known.tobytes(), windows.tobytes(), *widths, power

    def mean(a: Array, b: Array) -> Array:
        apart = np.linalg.norm(a[..., :, None, :] - b[..., None, :, :], axis=-1)
        values = [np.exp(-(apart**power) / (2 * s**power)) for s in widths]
        return np.asarray(np.mean(values, 0).mean((-2, -1)))

    if key not in _MEANS:
        pairs = (windows, windows), (known, known), (windows, known)
        _MEANS[key] = [mean(*pair) for pair in pairs]
    return _MEANS[key]


def _mmd(known: Array, windows: Array, widths: Sequence[float]) -> Array:
    """Return one number for each window."""
    own, ground, cross = _means(known, windows, widths)
    return np.asarray(own + ground - 2 * cross)


def _until(rings: Array, size: int) -> int:
    return int(size * (rings.argmax() + 1 if rings.any() else len(rings)))


def _alarm(
    known: Array,
    first: Array,
    later: Array,
    strange: Array,
    widths: Sequence[float],
    rate: float,
    *,
    mmd: Callable[..., Array] = _mmd,
    line: Callable[..., Any] = lambda scores, rate: np.quantile(scores[0], 1 - rate),
    again: Callable[[Array], Array] = lambda rings: np.r_[
        False, rings[1:] & rings[:-1]
    ],
    share: Callable[[Array], Any] = np.mean,
    until: Callable[[Array, int], Any] = _until,
) -> dict[str, Any]:
    """Return what is asked for; a mistake changes one of the last five."""
    scores = [mmd(known, windows, widths) for windows in (first, later, strange)]
    threshold = line(scores, rate)
    once = [one > threshold for one in scores[1:]]
    twice = [again(rings) for rings in once]
    return {
        "threshold": threshold,
        "once": np.array([share(rings) for rings in once]),
        "twice": np.array([share(rings) for rings in twice]),
        "messages": np.array([until(r[1], strange.shape[1]) for r in (once, twice)]),
    }


@exercise(points=4)
def two_in_a_row(ask: Ask) -> None:
    """Ask what an alarm promises and keeps, if one window rings or two must."""

    def changed(**how: Any) -> Callable[..., Any]:
        return lambda *task: _alarm(*task, **how)

    def other(own: float = 1, ground: float = 1, cross: float = 2) -> Any:
        def mmd(*given: Any) -> Array:
            a, b, c = _means(*given)
            return np.asarray(own * a + ground * b - cross * c)

        return changed(mmd=mmd)

    def unbiased(known: Array, windows: Array, widths: Sequence[float]) -> Array:
        own, ground, cross = _means(known, windows, widths)
        m, r = windows.shape[1], len(known)
        own, ground = (m * own - 1) / (m - 1), (r * ground - 1) / (r - 1)
        return np.asarray(own + ground - 2 * cross)

    def centres(known: Array, windows: Array, widths: Sequence[float]) -> Array:
        return np.asarray(((windows.mean(1) - known.mean(0)) ** 2).sum(1))

    def bell(known: Array, windows: Array, widths: Sequence[float]) -> Array:
        return _mmd(known, windows, [s / math.sqrt(2) for s in widths])

    def sharp(known: Array, windows: Array, widths: Sequence[float]) -> Array:
        own, ground, cross = _means(known, windows, widths, 1)
        return np.asarray(own + ground - 2 * cross)

    def instead(key: str, value: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *task: (found := _alarm(*task)) | {key: value(found)}

    mistakes: dict[str, Callable[..., Any]] = {
        "the threshold is set on the windows that it is to judge: use the first": (
            changed(line=lambda z, rate: np.quantile(z[1], 1 - rate))
        ),
        "the threshold knows both months: the later one is to test it": (
            changed(line=lambda z, rate: np.quantile(np.r_[z[0], z[1]], 1 - rate))
        ),
        "the threshold is set on the strange windows: nobody knows these before": (
            changed(line=lambda z, rate: np.quantile(z[2], 1 - rate))
        ),
        "the quantile is 1 - rate, not rate: an alarm is for large values": (
            changed(line=lambda z, rate: np.quantile(z[0], rate))
        ),
        "half of the rate at either end: only large values ring": changed(
            line=lambda z, rate: np.quantile(z[0], 1 - rate / 2)
        ),
        "0.95 is the chapter's price: use the rate": changed(
            line=lambda z, rate: np.quantile(z[0], 0.95)
        ),
        "the largest value of the first month never rings: use the quantile": changed(
            line=lambda z, rate: z[0].max()
        ),
        "the mean of the first month rings every other time: use the quantile": (
            changed(line=lambda z, rate: z[0].mean())
        ),
        "mean and two standard deviations belong to a bell curve: use the quantile": (
            changed(line=lambda z, rate: z[0].mean() + 2 * z[0].std())
        ),
        "this is MMD, the root; the square is asked for": changed(
            mmd=lambda *given: np.sqrt(_mmd(*given))
        ),
        "pairs of a message with itself are left out: the chapter keeps them": (
            changed(mmd=unbiased)
        ),
        "the kernels are summed over the widths: take their mean": changed(
            mmd=lambda known, w, widths: len(widths) * _mmd(known, w, widths)
        ),
        "only one width is used: take the mean over all": changed(
            mmd=lambda known, w, widths: _mmd(known, w, widths[:1])
        ),
        "the exponent lacks a factor 1/2": changed(mmd=bell),
        "the distance is not squared": changed(mmd=sharp),
        "the distance of two means is not MMD": changed(mmd=centres),
        "the middle term, between the known texts, is missing": other(ground=0),
        "the term within the window is missing": other(own=0),
        "the term between window and known texts counts twice": other(cross=1),
        "the terms have wrong signs": other(-1, -1, -2),
        "rates are asked for, not numbers of windows": changed(share=np.sum),
        "rates are fractions in [0, 1], not percent": changed(
            share=lambda rings: 100 * rings.mean()
        ),
        "these are the windows that stay silent": changed(
            share=lambda rings: 1 - rings.mean()
        ),
        "false alarms come first, then detection": lambda *task: (
            (found := _alarm(*task))
            | {key: found[key][::-1] for key in ("once", "twice")}
        ),
        "squared rates hold for windows that know nothing of each other; count": (
            instead("twice", lambda found: found["once"] ** 2)
        ),
        "one of two windows is enough in yours: both must exceed": changed(
            again=lambda rings: rings | np.r_[False, rings[:-1]]
        ),
        "two windows anywhere are enough in yours: they must be neighbours": changed(
            again=lambda rings: rings & (rings.cumsum() > 1)
        ),
        "it rings at the second of the two, not at the first": changed(
            again=lambda rings: np.r_[rings[1:] & rings[:-1], False]
        ),
        "three in a row are asked for in yours": changed(
            again=lambda rings: (
                rings & np.r_[False, rings[:-1]] & np.r_[[False] * 2, rings[:-2]]
            )
        ),
        "neighbours are paired without overlap: look back from every window": changed(
            again=lambda rings: (
                rings & np.r_[False, rings[:-1]] & (np.arange(len(rings)) % 2 == 1)
            )
        ),
        "divide by all windows: the first one counts, though it cannot ring": (
            lambda *t: (
                (found := _alarm(*t))
                | {"twice": found["twice"] * len(t[2]) / (len(t[2]) - 1)}
            )
        ),
        "these are windows: how many messages are that?": changed(
            until=lambda rings, size: _until(rings, 1)
        ),
        "the messages of the window that rings have come as well": changed(
            until=lambda rings, size: _until(rings, size) - size
        ),
        "the messages until the last alarm: stop at the first": changed(
            until=lambda rings, size: size * (len(rings) - rings[::-1].argmax())
        ),
        "the messages of all windows that ring: stop at the first": changed(
            until=lambda rings, size: size * rings.sum()
        ),
        "if nothing rings, all messages of the month have come": changed(
            until=lambda rings, size: _until(rings, size) if rings.any() else size
        ),
        "if nothing rings, all messages of the month have come: not 0": changed(
            until=lambda rings, size: _until(rings, size) if rings.any() else 0
        ),
    }
    ask.each(_months(), _alarm, mistakes)


thirty_labels = open_question(points=4)
