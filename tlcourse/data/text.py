"""Collections of short English texts: two written for the course, two public ones.

`reviews` are judgements of products and services in four domains; `tickets` are
messages to a support desk of a company with two business units. Both lie in the
package as CSV files with one text a row and its split in a column, so a split never
depends on a seed. In the hub profile `reviews` are phrases and reviews of films, SST-2
and IMDb. `book/data-and-models.md` has their cards.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tlcourse import runtime
from tlcourse._checks import check_choice, check_labels, require
from tlcourse._loaders import Batch, batches
from tlcourse.data.records import sample_rows

__all__ = ["TextSet", "TextSplit", "load_reviews", "load_tickets", "token_batches"]

_INTENTS = (
    "access",
    "billing",
    "cancellation",
    "complaint",
    "delivery",
    "fault",
    "feature_request",
    "how_to",
)

# Group -> repository, revision, column of the texts, part that is judged on.
_FILMS = {
    "imdb": (
        "stanfordnlp/imdb",
        "e6281661ce1c48d982bc483cf8a173c1bbeb5d31",
        "text",
        "test",
    ),
    "sst2": (
        "stanfordnlp/sst2",
        "8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb",
        "sentence",
        "validation",
    ),
}


@dataclass(frozen=True, eq=False)
class TextSplit:
    """Texts with their class labels; one of a data set's three parts.

    Parameters
    ----------
    texts : tuple of str
        At least one, none empty.
    labels : Tensor, shape (n,), int64
        Class indices, 0 and up.
    groups : tuple of str
        Where each text comes from: its domain or business unit.
    hard : Tensor, shape (n,), bool
        Whether its writer made it hard on purpose.

    Raises
    ------
    ValueError
        If the lengths differ or a text is empty.
    TypeError
        If the labels are not int64.

    Examples
    --------
    >>> split = TextSplit(("Good.", "Bad."), torch.tensor([1, 0]), ("a", "b"),
    ...                   torch.tensor([False, False]))
    >>> split.only("b").texts
    ('Bad.',)
    """

    texts: tuple[str, ...]
    labels: Tensor
    groups: tuple[str, ...]
    hard: Tensor

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together."""
        where = "data.TextSplit"
        lengths = [len(self.texts), len(self.groups), len(self.hard)]
        require(
            set(lengths) == {len(self.labels)} and lengths[0] > 0,
            where,
            "texts, labels, groups and hard must have one length, at least 1",
            f"{[lengths[0], len(self.labels), *lengths[1:]]}",
            "was one of them filtered alone?",
        )
        empty = [i for i, text in enumerate(self.texts) if not text.strip()]
        require(
            not empty, where, "no text may be empty", f"{empty[:5]}", "an empty row?"
        )
        check_labels(where, self.labels, len(self), torch.iinfo(torch.int64).max)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.texts)

    def only(self, group: str) -> TextSplit:
        """Return the texts of one group.

        Raises
        ------
        ValueError
            If no text belongs to `group`.
        """
        check_choice("data.TextSplit.only", "group", group, sorted(set(self.groups)))
        return self._rows([i for i, g in enumerate(self.groups) if g == group])

    def take(self, n_per_class: int, generator: torch.Generator) -> TextSplit:
        """Draw `n_per_class` texts of every class without replacement.

        Raises
        ------
        ValueError
            If `n_per_class` < 1 or a class has fewer texts.
        """
        where = "data.TextSplit.take"
        return self._rows(
            sample_rows(where, self.labels, n_per_class, generator).tolist()
        )

    def _rows(self, rows: list[int]) -> TextSplit:
        texts, groups = (
            tuple(column[i] for i in rows) for column in (self.texts, self.groups)
        )
        return TextSplit(texts, self.labels[rows], groups, self.hard[rows])


@dataclass(frozen=True, eq=False, kw_only=True)
class TextSet:
    """A collection of texts: three fixed splits, and where it comes from.

    Parameters
    ----------
    name : str
        Short name, as in the book.
    classes : tuple of str
        ``classes[i]`` names label i.
    groups : tuple of str
        The domains or business units.
    train, validation, test : TextSplit
        Parts that share no text, never a function of a notebook's seed.
    licence, citation : str
        What the data card says.
    """

    name: str
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    train: TextSplit
    validation: TextSplit
    test: TextSplit
    licence: str = "CC0 1.0"
    citation: str = "Written for this course."


def load_reviews(profile: str) -> TextSet:
    """Return short reviews, negative and positive.

    Parameters
    ----------
    profile : {"embedded", "hub"}
        "embedded": 1,600 texts written for the course, of four domains. "hub": 1,000
        phrases about films of SST-2 to train, 250 to validate, its 872 validation
        phrases to test (its test labels are not public); and as many of IMDb's reviews.

    Returns
    -------
    TextSet
        Embedded: of each domain and sentiment 120 texts to train, 30 to validate, 50
        to test; one in ten of every part is hard on purpose. Hub: the groups are
        "imdb" and "sst2", and none is marked hard.

    Raises
    ------
    ConnectionError
        In the hub profile, if a file is neither in the cache nor to be had.
    ValueError
        If the profile is unknown.

    Examples
    --------
    >>> reviews = load_reviews("embedded")
    >>> len(reviews.train), len(reviews.validation), len(reviews.test)
    (960, 240, 400)
    """
    if runtime.check_profile(profile) == "hub":
        return _films()
    return _read("reviews", "domain", "label", ("negative", "positive"))


def load_tickets() -> TextSet:
    """Return 1,120 messages to a support desk: two business units, eight intents.

    Returns
    -------
    TextSet
        Of each unit and intent 40 texts to train, 10 to validate, 20 to test; one in
        ten of every part is hard on purpose.

    Examples
    --------
    >>> tickets = load_tickets()
    >>> len(tickets.train.only("cloud")), tickets.classes[:3]
    (320, ('access', 'billing', 'cancellation'))
    """
    return _read("tickets", "unit", "intent", _INTENTS)


def token_batches(
    tokenizer: Any,
    split: TextSplit,
    *,
    batch_size: int = 32,
    max_length: int = 128,
    shuffle: bool = False,
    generator: torch.Generator | None = None,
) -> DataLoader[Batch]:
    """Turn texts into batches of token numbers, each as wide as its longest text.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerFast
        The one that belongs to the encoder; pads on the right.
    split : TextSplit
        The texts and their labels.
    batch_size : int, default 32
        Texts a batch; the last one may be shorter.
    max_length : int, default 128
        Tokens a text; what is beyond is cut off.
    shuffle : bool, default False
        Draw a new order for every pass.
    generator : torch.Generator, optional
        The only source of the order; required by `shuffle`.

    Returns
    -------
    DataLoader
        Yields token numbers and attention mask, both of shape (n, length) and int64,
        and labels of shape (n,).

    Raises
    ------
    ValueError
        If `batch_size` is below 1, or `shuffle` comes without a generator.
    """
    coded = tokenizer(
        list(split.texts),
        padding=True,
        truncation=True,
        max_length=max_length,
        return_tensors="pt",
    )
    loader = batches(
        coded["input_ids"],
        coded["attention_mask"],
        split.labels,
        batch_size=batch_size,
        shuffle=shuffle,
        generator=generator,
    )
    loader.collate_fn = _narrow
    return loader


def _narrow(batch: Batch) -> Batch:
    """Cut off the columns that are padding in every row."""
    ids, mask, labels = batch
    length = int(mask.sum(1).max())
    return ids[:, :length], mask[:, :length], labels


def _read(name: str, group: str, label: str, classes: tuple[str, ...]) -> TextSet:
    table = files("tlcourse.data") / "assets" / f"{name}.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))

    def split(part: str) -> TextSplit:
        own = [row for row in rows if row["split"] == part]
        return TextSplit(
            tuple(row["text"] for row in own),
            torch.tensor([classes.index(row[label]) for row in own]),
            tuple(row[group] for row in own),
            torch.tensor([row["hard"] != "" for row in own]),
        )

    return TextSet(
        name=name,
        classes=classes,
        groups=tuple(sorted({row[group] for row in rows})),
        train=split("train"),
        validation=split("validation"),
        test=split("test"),
    )


def _films() -> TextSet:
    """Return SST-2 and IMDb, as many texts of each, by the library `datasets`."""
    import datasets

    columns: dict[str, list[tuple[str, int, str]]] = {}
    for group, (repository, revision, column, judged) in _FILMS.items():
        try:
            found = datasets.load_dataset(
                repository,
                revision=revision,
                cache_dir=str(runtime.cache_dir() / "datasets"),
            )
        except OSError as error:  # the library's own errors are OSErrors, too
            raise ConnectionError(
                f"data.text.load_reviews: {repository} must be in the cache or to be "
                f"had, got {type(error).__name__}; connect to the network once"
            ) from error
        mixed = found["train"].shuffle(seed=0)
        for part, rows in (
            ("train", mixed.select(range(1000))),
            ("validation", mixed.select(range(1000, 1250))),
            ("test", found[judged].shuffle(seed=0).select(range(872))),
        ):
            columns.setdefault(part, []).extend(
                (row[column], row["label"], group) for row in rows
            )

    def split(part: str) -> TextSplit:
        texts, labels, groups = zip(*columns[part], strict=True)
        return TextSplit(
            texts, torch.tensor(labels), groups, torch.zeros(len(texts)).bool()
        )

    return TextSet(
        name="reviews",
        classes=("negative", "positive"),
        groups=tuple(_FILMS),
        train=split("train"),
        validation=split("validation"),
        test=split("test"),
        licence="as their authors' pages say; neither names one",
        citation="Socher et al. 2013, aclanthology D13-1170; "
        "Maas et al. 2011, aclanthology P11-1015",
    )
