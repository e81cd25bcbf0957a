"""The texts written for the course: what the cards promise, and the records."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tlcourse import pretrained, runtime
from tlcourse.data import text
from tlcourse.data.text import TextSet, TextSplit

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module", params=["reviews", "tickets"])
def collection(request: pytest.FixtureRequest) -> TextSet:
    if request.param == "reviews":
        return text.load_reviews("embedded")
    return text.load_tickets()


def parts(collection: TextSet) -> list[TextSplit]:
    return [getattr(collection, part) for part in PARTS]


def texts(collection: TextSet) -> list[str]:
    return [t for part in parts(collection) for t in part.texts]


def grams(line: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9']+", line.lower())
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)} or {tuple(words)}


def similarities(lines: list[str]) -> Iterator[tuple[float, str, str]]:
    """Yield the Jaccard similarity of the word 3-grams of pairs that share one."""
    seen = [grams(line) for line in lines]
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, own in enumerate(seen):
        shared = Counter(j for gram in own for j in places[gram])
        for j, count in shared.items():
            yield count / len(own | seen[j]), lines[i], lines[j]
        for gram in own:
            places[gram].append(i)


def test_near_duplicates_are_seen() -> None:
    line = "the lid of the kettle came off in my hand"
    found = dict.fromkeys(round(s, 2) for s, *_ in similarities([line, line, "x y z"]))
    assert list(found) == [1.0]


def test_no_two_texts_are_nearly_the_same(collection: TextSet) -> None:
    worst = max(similarities(texts(collection)), default=(0.0, "", ""))
    assert worst[0] < 0.5, worst


def test_parts_are_balanced_over_groups_and_classes() -> None:
    expected = {
        "reviews": (text.load_reviews("embedded"), (120, 30, 50), 4 * 2),
        "tickets": (text.load_tickets(), (40, 10, 20), 2 * 8),
    }
    for collection, sizes, cells in expected.values():
        for part, size in zip(parts(collection), sizes, strict=True):
            counts = Counter(zip(part.groups, part.labels.tolist(), strict=True))
            assert len(counts) == cells and set(counts.values()) == {size}
            assert 0.06 <= part.hard.double().mean() <= 0.14


def test_texts_have_the_promised_form(collection: TextSet) -> None:
    least, most = {"reviews": (8, 45), "tickets": (10, 70)}[collection.name]
    for line in texts(collection):
        assert least <= len(line.split()) <= most, line
        assert line == " ".join(line.split()), line
        assert not re.search(r"https?:|www\.|\w@\w|\d{7}", line), line


def test_word_counts_alone_read_them_neither_well_nor_badly() -> None:
    reviews = text.load_reviews("embedded")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    model.fit(reviews.train.texts, reviews.train.labels)
    assert 0.70 <= model.score(reviews.test.texts, reviews.test.labels) <= 0.90


def test_a_sample_is_stratified_and_belongs_to_its_generator() -> None:
    train = text.load_tickets().train.only("devices")
    first, again = (train.take(3, runtime.generator(0, "sample")) for _ in range(2))
    assert first.texts == again.texts and len(set(first.texts)) == 24
    assert torch.bincount(first.labels).tolist() == [3] * 8
    assert set(first.groups) == {"devices"}


GOOD = (("One.", "Two."), torch.tensor([0, 1]), ("a", "b"), torch.zeros(2).bool())


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, ("One.",), r"must have one length, at least 1, got \[1, 2, 2, 2\]; was"),
        (2, ("a",), r"must have one length, at least 1, got \[2, 2, 1, 2\]; was"),
        (0, ("One.", " "), r"no text may be empty, got \[1\]; an empty row\?"),
        (1, torch.tensor([0, -1]), "labels must lie in"),
    ],
)
def test_parts_that_do_not_belong_together(
    place: int, value: object, message: str
) -> None:
    fields = [*GOOD[:place], value, *GOOD[place + 1 :]]
    with pytest.raises(ValueError, match=f"data.TextSplit: .*{message}"):
        TextSplit(*fields)  # type: ignore[arg-type]


def test_an_unknown_group_and_too_large_a_sample() -> None:
    split = TextSplit(*GOOD)
    with pytest.raises(
        ValueError, match=r"TextSplit.only: group must be one of .*a, b"
    ):
        split.only("c")
    with pytest.raises(ValueError, match="TextSplit.take: each class must have 2"):
        split.take(2, runtime.generator(0, "sample"))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        pretrained.encoder_folder("embedded"), local_files_only=True
    )


def test_a_batch_is_as_wide_as_its_longest_text(tokenizer: Any) -> None:
    train = text.load_tickets().train
    alone = [tokenizer(line)["input_ids"] for line in train.texts]
    place = 0
    for ids, mask, labels in text.token_batches(tokenizer, train, batch_size=50):
        own = alone[place : place + len(ids)]
        assert ids.shape == mask.shape == (len(own), max(map(len, own)))
        for row, held, expected in zip(ids, mask.bool(), own, strict=True):
            assert row[held].tolist() == expected
            assert not row[~held].any()  # 0 is the padding token of BERT
        assert torch.equal(labels, train.labels[place : place + len(own)])
        place += len(own)
    assert place == len(train)


def test_token_batches_are_shuffled_by_their_generator_and_cut(tokenizer: Any) -> None:
    train = text.load_tickets().train

    def first(seed: int) -> list[int]:
        loader = text.token_batches(
            tokenizer,
            train,
            max_length=12,
            shuffle=True,
            generator=runtime.generator(seed, "order"),
        )
        ids, mask, _ = next(iter(loader))
        assert ids.shape == (32, 12) and mask.all()
        return ids.flatten().tolist()

    assert first(0) == first(0) != first(1)
    with pytest.raises(ValueError, match="shuffle must come with a generator"):
        text.token_batches(tokenizer, train, shuffle=True)


def test_films_are_taken_from_fixed_revisions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets

    asked = []

    def load(name: str, *, revision: str, cache_dir: str) -> dict[str, Any]:
        asked.append((name, len(revision)))
        column = "text" if name.endswith("imdb") else "sentence"
        judged = "test" if name.endswith("imdb") else "validation"

        def table(part: str, size: int) -> Any:
            lines = [f"{name} {part} {i}" for i in range(size)]
            return datasets.Dataset.from_dict(
                {column: lines, "label": [i % 2 for i in range(size)]}
            )

        return {"train": table("train", 1300), judged: table(judged, 900)}

    monkeypatch.setattr(datasets, "load_dataset", load)
    films, again = text.load_reviews("hub"), text.load_reviews("hub")
    assert asked[:2] == [("stanfordnlp/imdb", 40), ("stanfordnlp/sst2", 40)]
    for part, size in zip(PARTS, (1000, 250, 872), strict=True):
        split = getattr(films, part)
        assert split.texts == getattr(again, part).texts
        assert Counter(split.groups) == {"imdb": size, "sst2": size}
        for line, label, group in zip(
            split.texts, split.labels.tolist(), split.groups, strict=True
        ):
            name, origin, number = line.split()
            assert name.endswith(group) and label == int(number) % 2
            assert (origin == "train") == (part != "test")
    assert len(set(texts(films))) == 2 * (1000 + 250 + 872)


def test_films_without_a_network_and_an_unknown_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import datasets
    import huggingface_hub

    monkeypatch.setenv("TLCOURSE_CACHE", str(tmp_path))
    # Spares the libraries' waiting for a network that may come back.
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"stanfordnlp/imdb must be in the cache"):
        text.load_reviews("hub")
    with pytest.raises(ValueError, match="profile"):
        text.load_reviews("web")
