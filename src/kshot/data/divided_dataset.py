"""Data sets that bring their own divisions into training, validation and test, by name, and those that come divided.

In: a `Dataset`. Out: whether it divides itself, and then its splits; or the one division that it came with. Next: `kshot.data.table`, which
divides other data by fractions or by a file.
"""

from collections.abc import Mapping, Sequence
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


@runtime_checkable
class PartedDataset(Dataset, Protocol):
    """A `Dataset` that may come divided, as a folder with folders named train, val and test does."""

    @property
    def division(self) -> Mapping[str, Sequence[str]] | None:
        """The names of the classes of `train`, `val` and `test`, as far as there are such parts; None where it is not divided."""
        ...


def own_division(dataset: Dataset) -> Mapping[str, Sequence[str]] | None:
    """The division that a data set came with; None where there is none."""
    return dataset.division if isinstance(dataset, PartedDataset) else None
