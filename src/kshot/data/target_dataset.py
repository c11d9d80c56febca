"""Items with real targets in place of labels: what few-shot regression learns from.

A class of such a data set is a *task*: a function, a person, a machine. In: arrays, or a formula. Out: a `TargetDataset`. Next:
`kshot.episodes`, which draws the support and query items of a task from its one class and gathers their targets.
"""

from typing import TYPE_CHECKING, Protocol, TypeGuard, runtime_checkable

import numpy as np

from kshot.data.dataset import Dataset

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class TargetDataset(Dataset, Protocol):
    """A `Dataset` whose items have real targets; each of its classes is a task."""

    def targets(self, items: np.ndarray) -> "Tensor":
        """Gather what is to be predicted.

        Args:
            items: Item numbers, int64 (M,), in any order, with repetitions.

        Returns:
            Real targets, floating (M, T), fresh on the CPU.
        """
        ...


def has_targets(dataset: Dataset) -> TypeGuard[TargetDataset]:
    """Whether the items have real targets."""
    return callable(getattr(dataset, "targets", None))
