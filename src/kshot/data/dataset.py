"""Items and classes behind one small protocol.

In: files, arrays or another library's data set. Out: a `Dataset`: numbered items that can be gathered into tensors, and a
`ClassIndex` over them. Next: `kshot.episodes`, which works with item numbers until it gathers.
"""

from typing import Protocol, runtime_checkable

import numpy as np

from kshot.data.class_index import ClassIndex
from kshot.data.inputs import Inputs
from kshot.data.preprocess import Preprocess
from kshot.errors import DataError


@runtime_checkable
class Dataset(Protocol):
    """Numbered items in classes. The properties may be plain attributes."""

    @property
    def name(self) -> str:
        """The name in records: `omniglot`, or the path of a folder."""
        ...

    @property
    def fingerprint(self) -> str:
        """A SHA-256 in hexadecimal of the items; equal data give equal episodes."""
        ...

    @property
    def index(self) -> ClassIndex:
        """All classes."""
        ...

    @property
    def preprocess(self) -> Preprocess:
        """How items become inputs."""
        ...

    def __len__(self) -> int:
        """The number of items; they are numbered from 0."""
        ...

    def gather(self, items: np.ndarray) -> Inputs:
        """Gather the items with these numbers in their kept form (uint8 for pictures).

        Args:
            items: Item numbers, int64 (M,), in any order, with repetitions.

        Returns:
            A fresh tensor `(M, …)` on the CPU, or a mapping of such tensors; the caller owns it.
        """
        ...


@runtime_checkable
class NotedDataset(Dataset, Protocol):
    """A `Dataset` that found something in its data that a user should know."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences, such as how many copies were left out."""
        ...


def notes_on(dataset: Dataset) -> tuple[str, ...]:
    """What a user should know about the data, in sentences."""
    return dataset.notes if isinstance(dataset, NotedDataset) else ()


def require_dataset(dataset: object) -> None:
    """Raise an error unless a thing has all that a data set has.

    Raises:
        DataError: Something is missing; the message names it.
    """
    if isinstance(dataset, Dataset):
        return
    wanted = {"name": "name", "fingerprint": "fingerprint", "index": "index", "preprocess": "preprocess", "__len__": "a length"}
    missing = [word for member, word in {**wanted, "gather": "gather"}.items() if not hasattr(dataset, member)]
    raise DataError(
        f"expected a data set; found {type(dataset).__name__} without {', '.join(missing)}. Use one of kshot's, such as ArrayDataset, or "
        "give your class all members of kshot.data.dataset.Dataset."
    )
