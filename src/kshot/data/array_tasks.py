"""Few-shot regression from arrays: inputs, real targets, and which task each item belongs to.

Each group is one task: a person, a machine, a place. In: arrays. Out: a `TargetDataset`. Next: `kshot.episodes`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from kshot.data.arrays import Array, ArrayDataset, check_finite, tensor_of
from kshot.data.inputs import Inputs
from kshot.data.preprocess import Preprocess
from kshot.data.summary import summary
from kshot.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


class ArrayTasks:
    """Items given as arrays, each with real targets and the group that it belongs to.

    Args:
        x: Inputs `(M, …)`, or a mapping of names to such arrays of equal first dimension.
        y: Real targets `(M,)` or `(M, T)`; kept as float32, or float64 where they are.
        groups: M labels, whole numbers or text: the group of each item. The items of one group are one task.
        name: The name in records.
        preprocess: How items become inputs. By default they are inputs already.

    Attributes:
        name: The argument `name`.
        fingerprint: SHA-256 of inputs, targets and groups.
        index: The groups, sorted; split them like classes (`kshot.data.split`), so that no person is in two parts.
        preprocess: The argument `preprocess`.

    Raises:
        DataError: Lengths differ, there are no items, or a number is not finite.

    Example:
        >>> people = ArrayTasks(np.eye(4, dtype=np.float32), [1.0, 2.0, 3.0, 4.0], ["ann", "bob", "bob", "ann"])
        >>> people.index.names, people.targets(people.index.items_of("bob")).tolist()
        (('ann', 'bob'), [[2.0], [3.0]])
    """

    def __init__(
        self,
        x: Array | Mapping[str, Array],
        y: Array | Iterable[float],
        groups: Iterable[object],
        *,
        name: str = "tasks",
        preprocess: Preprocess | None = None,
    ) -> None:
        import torch

        for what, values in (("y", y), ("groups", groups)):
            if not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
                raise DataError(f"{what} must hold one entry per item; found a {type(values).__name__}. Give a list or an array.")
        self._items = ArrayDataset(x, groups, name=name, preprocess=preprocess)
        try:
            targets = tensor_of(y if isinstance(y, torch.Tensor | np.ndarray) else np.asarray(list(y)), "y")
        except ValueError as error:
            raise DataError(f"y must hold the same number of targets for each item; found rows of different lengths ({error}).") from error
        if targets.is_complex() or targets.dtype == torch.bool:
            raise DataError(f"targets are real numbers; found {str(targets.dtype).removeprefix('torch.')}. Convert them to floats.")
        if targets.shape[0] != len(self._items) or targets.ndim > 2 or targets.numel() == 0:
            raise DataError(
                f"y must hold one target, or one row of targets, per item: ({len(self._items)},) or ({len(self._items)}, T); "
                f"found {tuple(targets.shape)}. Check that x, y and groups belong together."
            )
        targets = targets if targets.dtype == torch.float64 else targets.float()
        check_finite(targets, "y")
        self._targets = targets.reshape(len(targets), -1)
        self.name, self.index, self.preprocess = name, self._items.index, self._items.preprocess
        digest = hashlib.sha256(f"{self._items.fingerprint}\0{targets.dtype}\0{tuple(self._targets.shape)}\0".encode())
        digest.update(self._targets.contiguous().numpy().tobytes())
        self.fingerprint = digest.hexdigest()

    def __repr__(self) -> str:
        return summary(self)

    def __len__(self) -> int:
        return len(self._items)

    def gather(self, items: np.ndarray) -> Inputs:
        """Gather the items with these numbers `(M, …)`: fresh on the CPU, in their own dtype."""
        return self._items.gather(items)

    def targets(self, items: np.ndarray) -> "Tensor":
        """Gather their targets (M, T): fresh on the CPU."""
        import torch

        return self._targets.index_select(0, torch.from_numpy(np.ascontiguousarray(items, dtype=np.int64)))
