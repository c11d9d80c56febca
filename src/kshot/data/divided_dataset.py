"""Data sets that bring their own divisions into training, validation and test, by name.

In: a `Dataset`. Out: whether it divides itself, and then its splits. Next: `kshot.data.table`, which divides other data by fractions or by
a file.
"""

from typing import Protocol, TypeGuard, runtime_checkable

from kshot.data.dataset import Dataset
from kshot.data.split import Split


@runtime_checkable
class DividedDataset(Dataset, Protocol):
    """A `Dataset` with splits of its own."""

    def split(self, name: str, *, seed: int = 0) -> Split:
        """Divide the classes.

        Args:
            name: A split that this data set knows.
            seed: Seed of splits that are drawn at random; other splits ignore it.

        Raises:
            DataError: There is no such split.
        """
        ...


def divides_itself(dataset: Dataset) -> TypeGuard[DividedDataset]:
    """Whether a data set has splits of its own."""
    return callable(getattr(dataset, "split", None))
