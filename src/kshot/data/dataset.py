"""Items and classes behind one small protocol.

In: files, arrays or another library's data set. Out: a `Dataset`: numbered items that can be gathered into tensors, and a
`ClassIndex` over them. Next: `kshot.episodes`, which touches numbers only until it gathers.
"""

from typing import Protocol, runtime_checkable

import numpy as np

from kshot.data.class_index import ClassIndex
from kshot.data.inputs import Inputs
from kshot.data.preprocess import Preprocess


@runtime_checkable
class Dataset(Protocol):
    """Numbered items in classes. The properties may be plain attributes."""

    @property
    def name(self) -> str:
        """What records call it: `omniglot`, or the path of a folder."""
        ...

    @property
    def fingerprint(self) -> str:
        """A SHA-256 in hexadecimal of what the items are; equal data, equal episodes."""
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
        """How many items there are; they are numbered from 0."""
        ...

    def gather(self, items: np.ndarray) -> Inputs:
        """The kept form (uint8 for pictures) of the items with these numbers.

        Args:
            items: Item numbers, int64 (M,), in any order, with repetitions.

        Returns:
            A fresh tensor `(M, …)` on the CPU, or a mapping of such tensors; the caller owns it.
        """
        ...
