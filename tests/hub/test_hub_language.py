"""The hub profile's texts and encoder: run with ``pytest -m hub``."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from tlcourse import pretrained, runtime, training
from tlcourse.data import text

pytestmark = pytest.mark.hub


def test_films_are_whole() -> None:
    films = text.load_reviews("hub")
    for split, size in ((films.train, 1000), (films.validation, 250)):
        assert Counter(split.groups) == {"imdb": size, "sst2": size}
    # All 872 phrases of SST-2's validation part are judged: 428 negative ones.
    assert torch.bincount(films.test.only("sst2").labels).tolist() == [428, 444]


def test_bert_base_reads() -> None:
    tokenizer, model = pretrained.encoder(
        "hub", 2, generator=runtime.generator(0, "head")
    )
    assert model.feature_dim == 768
    split = text.load_reviews("hub").validation.only("sst2")
    loader = text.token_batches(tokenizer, split)
    assert training.extract_features(model.body, loader).shape == (250, 768)
