"""Tasks that are learned together are of one size, and there are some."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.errors import DataError


def check_rectangle(batch: EpisodeBatch) -> None:
    """Refuse a batch whose tasks are not all of one size.

    Raises:
        DataError: It names the part.
    """
    check_items("support", batch.support_x, batch.support_y)
    check_items("query", batch.query_x, batch.query_y)
    tasks = len(batch.support_y)
    if len(batch.query_y) != tasks:
        raise DataError(
            f"a batch must have queries for each task; found support sets of {tasks} tasks and queries of {len(batch.query_y)}."
        )
    if not isinstance(batch.numbers, np.ndarray) or batch.numbers.shape != (tasks,) or batch.numbers.dtype.kind not in "iu":
        shape = getattr(batch.numbers, "shape", None)
        found = f"a {type(batch.numbers).__name__}" if shape is None else f"shape {tuple(shape)} of {batch.numbers.dtype}"
        raise DataError(f"numbers must be whole numbers, one a task, a NumPy array of shape ({tasks},); found {found}.")


def check_items(part: str, x: Inputs, y: Tensor) -> None:
    """Refuse items and labels of tasks that do not belong together.

    Args:
        part: What they are called: support or query.
        x: Items (B, n, …).
        y: Labels (B, n), or real targets (B, n, T).

    Raises:
        DataError: They are no tensors, of different sizes, or there are none.
    """
    if not isinstance(y, Tensor) or y.ndim < 2:
        found = f"shape {tuple(y.shape)}" if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise DataError(f"{part}_y must be a tensor with a row a task, (B, n) or (B, n, T); found {found}.")
    for key, value in _named(x).items():
        plain = isinstance(value, Tensor) and not value.is_nested
        if not plain or tuple(value.shape[:2]) != tuple(y.shape[:2]):
            kind = "nested tensor" if isinstance(value, Tensor) else type(value).__name__
            begins = f"begins with {tuple(value.shape[:2])}" if plain else f"is a {kind}"
            raise DataError(
                f"all tasks of a batch must have one size: {part}_y is {tuple(y.shape)} for {len(y)} tasks, and {part}_x "
                f"({key}) {begins}. Put tasks of another size into a batch of their own."
            )
    if 0 in y.shape[:2]:
        raise DataError(f"{part}_y is {tuple(y.shape)}: there must be a task, and each must have an item.")


def check_queries(tasks: int, x: Inputs) -> None:
    """Refuse queries (B, Q, …) of other tasks than those that were adapted to.

    Raises:
        DataError: There are more of them, or fewer.
    """
    for key, value in _named(x).items():
        if not isinstance(value, Tensor) or value.ndim < 2 or len(value) != tasks:
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise DataError(f"queries must be (B, Q, …) of the {tasks} tasks that were adapted to; found {found} ({key}).")


def _named(x: Any) -> Mapping[str, Any]:
    return x if isinstance(x, Mapping) else {"x": x}
