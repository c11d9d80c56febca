"""B tasks as tensors, for the inner loop. In: an `EpisodeBatch` that was checked. Out: `Tasks`. Next: `assignment`."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kshot.data.inputs import Inputs, map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.learners.inner_loop.parameters import Tensors


class Tasks(NamedTuple):
    """B tasks; the first dimension of everything counts them.

    Attributes:
        support_x: Items (B, S, …).
        support_y: Labels (B, S), or real targets (B, S, T).
        query_x: Items (B, Q, …).
        query_y: Their labels or targets.
        buffers: Where each task's running statistics start, (B, …) by name.
        number: The number of each task in its stream, int64 (B,).
        rows: Which support items each step takes, int64 (B, steps, m); steps beyond the last take its items. None: all of them.
    """

    support_x: Inputs
    support_y: Tensor
    query_x: Inputs
    query_y: Tensor
    buffers: Tensors
    number: Tensor
    rows: Tensor | None = None

    def some(self, chosen: int | slice) -> "Tasks":
        """Several tasks; or one of them, without its first dimension."""
        cut: Callable[[Tensor], Tensor] = lambda value: value[chosen]  # noqa: E731
        x, q, b = (map_inputs(cut, part) for part in (self.support_x, self.query_x, self.buffers))
        rows = None if self.rows is None else cut(self.rows)
        return Tasks(x, cut(self.support_y), q, cut(self.query_y), dict(b), cut(self.number), rows)

    def with_items(self, change: Callable[[Tensor], Tensor]) -> "Tasks":
        """The same tasks, with support and query items changed one by one."""
        return self._replace(support_x=map_inputs(change, self.support_x), query_x=map_inputs(change, self.query_x))


def tasks_of(batch: EpisodeBatch, buffers: Tensors, rows: Tensor | None = None) -> Tasks:
    """The tasks of a batch, each starting from the same buffers."""
    B, number = len(batch), torch.from_numpy(batch.numbers).to(batch.device)
    each = {name: value.expand(B, *value.shape) for name, value in buffers.items()}
    return Tasks(_plain(batch.support_x), batch.support_y, _plain(batch.query_x), batch.query_y, each, number, rows)


def _plain(inputs: Inputs) -> Inputs:
    """Turn a mapping into a dictionary, which `torch.vmap` takes apart."""
    return inputs if isinstance(inputs, Tensor) else dict(inputs)
