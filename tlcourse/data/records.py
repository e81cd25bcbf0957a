"""The records in which every data set of the course comes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tlcourse._checks import check_labels, require
from tlcourse.runtime import Source

__all__ = ["DataSet", "Split", "sample_rows"]


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures and their class labels; one of a data set's three parts.

    Parameters
    ----------
    images : Tensor, shape (n, 1, h, w) or (n, 3, h, w), float32
        Grey pictures, 0 = background, 1 = ink; or red, green and blue.
    labels : Tensor, shape (n,), int64
        Class indices, 0 and up.

    Raises
    ------
    ValueError
        If the shapes do not fit together or a pixel lies outside [0, 1].
    TypeError
        If `images` is not float32 or `labels` not int64.

    Examples
    --------
    >>> split = Split(torch.zeros(4, 1, 2, 2), torch.tensor([0, 1, 0, 1]))
    >>> len(split)
    4
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Refuse what no training could use."""
        where = "data.Split"
        if self.images.dtype != torch.float32:
            raise TypeError(
                f"{where}: images must be float32, got {self.images.dtype}; "
                "convert with images.float() / 255"
            )
        require(
            self.images.ndim == 4
            and self.images.shape[1] in (1, 3)
            and len(self.images) > 0,
            where,
            "images must have shape (n, 1, h, w) or (n, 3, h, w) with n >= 1",
            f"shape {tuple(self.images.shape)}",
            "is the channel axis missing?",
        )
        low, high = float(self.images.min()), float(self.images.max())
        require(
            0.0 <= low and high <= 1.0,
            where,
            "pixels must lie in [0, 1]",
            f"[{low:g}, {high:g}]",
            "are they still bytes from 0 to 255?",
        )
        # Any class index >= 0 is a label here: the data set knows how many there are.
        check_labels(where, self.labels, len(self.images), torch.iinfo(torch.int64).max)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Images and labels as one batch, or what ``training.batches`` takes."""
        return self.images, self.labels

    def take(self, n_per_class: int, generator: torch.Generator) -> Split:
        """Draw a stratified sample without replacement.

        Parameters
        ----------
        n_per_class : int
            Pictures of each class.
        generator : torch.Generator
            Decides which; equal generators give equal samples.

        Returns
        -------
        Split
            `n_per_class` pictures of every class, ordered by class.

        Raises
        ------
        ValueError
            If `n_per_class` < 1 or a class has fewer pictures.

        Examples
        --------
        >>> split = Split(torch.zeros(4, 1, 2, 2), torch.tensor([0, 1, 0, 1]))
        >>> split.take(1, torch.Generator().manual_seed(0)).labels.tolist()
        [0, 1]
        """
        chosen = sample_rows("data.Split.take", self.labels, n_per_class, generator)
        return Split(self.images[chosen], self.labels[chosen])

    def divide(
        self, n_per_class: int, generator: torch.Generator
    ) -> tuple[Split, Split]:
        """Divide into a stratified sample and all the rest; no picture is in both.

        Parameters
        ----------
        n_per_class : int
            Pictures of each class in the sample.
        generator : torch.Generator
            Decides which; equal generators divide equally.

        Returns
        -------
        tuple of Split
            The sample, ordered by class, and the rest in the order it had.

        Raises
        ------
        ValueError
            If `n_per_class` < 1, a class has fewer pictures, or nothing is left.

        Examples
        --------
        >>> split = Split(torch.zeros(5, 1, 2, 2), torch.tensor([0, 1, 0, 1, 0]))
        >>> sample, rest = split.divide(1, torch.Generator().manual_seed(0))
        >>> sample.labels.tolist(), rest.labels.sort().values.tolist()
        ([0, 1], [0, 0, 1])
        """
        where = "data.Split.divide"
        chosen = sample_rows(where, self.labels, n_per_class, generator)
        require(
            len(chosen) < len(self),
            where,
            "some pictures must be left",
            f"{len(chosen)} of {len(self)} for the sample",
            "ask for fewer",
        )
        left = torch.ones(len(self), dtype=torch.bool)
        left[chosen] = False
        return (
            Split(self.images[chosen], self.labels[chosen]),
            Split(self.images[left], self.labels[left]),
        )


def sample_rows(
    where: str, labels: Tensor, n_per_class: int, generator: torch.Generator
) -> Tensor:
    """Draw the rows of a stratified sample without replacement.

    Parameters
    ----------
    where : str
        The caller's name, for the errors.
    labels : Tensor, shape (n,), int64
        Class indices.
    n_per_class : int
        Examples of each class.
    generator : torch.Generator
        Decides which; equal generators give equal samples.

    Returns
    -------
    Tensor, shape (n_per_class * classes,), int64
        Rows, ordered by class.

    Raises
    ------
    ValueError
        If `n_per_class` < 1 or a class has fewer examples.
    """
    require(
        n_per_class >= 1,
        where,
        "n_per_class must be >= 1",
        n_per_class,
        "count the examples of one class, not of all",
    )
    rows = []
    for label in sorted(set(labels.tolist())):
        members = torch.nonzero(labels == label).flatten()
        require(
            len(members) >= n_per_class,
            where,
            f"each class must have {n_per_class} examples",
            f"{len(members)} of class {label}",
            "ask for fewer, or draw from the training split",
        )
        order = torch.randperm(len(members), generator=generator)
        rows.append(members[order[:n_per_class]])
    return torch.cat(rows)


@dataclass(frozen=True, eq=False, kw_only=True)
class DataSet:
    """A data set: three splits that share no picture, and where it comes from.

    Parameters
    ----------
    name : str
        Short name, as in the book.
    classes : tuple of str
        ``classes[i]`` names label i.
    train, validation, test : Split
        Fixed parts, never a function of a notebook's seed.
    steps : int
        Training steps of 25 pictures after which a small network that sees nothing
        else reads `train` well: what a profile changes, a notebook need not know.
    licence, citation, description : str
        What the data card says.
    sources : tuple of Source, optional
        The files it is read from; empty when nothing is downloaded.

    Raises
    ------
    ValueError
        If the splits differ in picture size or a label has no class name.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    steps: int
    licence: str
    citation: str
    description: str
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        """Refuse splits that do not belong together."""
        where, parts = (
            f"data.DataSet {self.name}",
            (self.train, self.validation, self.test),
        )
        sizes = sorted({tuple(part.images.shape[1:]) for part in parts})
        require(
            len(sizes) == 1,
            where,
            "all splits must hold pictures of one size",
            sizes,
            "was one split not resized?",
        )
        for part in parts:
            check_labels(where, part.labels, len(part), len(self.classes))
