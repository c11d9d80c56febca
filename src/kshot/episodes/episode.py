"""The two forms of a task, and the legend of the letters in all shapes.

    B  tasks in a batch          S  support items of a task, N·K when balanced
    N  way: classes of a task    Q  query items of a task, over all classes
    K  shot: support items per class    D  features of an item

`DrawnEpisodes` holds only item numbers; `EpisodeBatch` holds tensors. Both are rectangles: all their tasks have the same N, S and Q.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from kshot.data.inputs import Inputs, form_of, map_inputs
from kshot.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class DrawnEpisodes:
    """B episodes of equal way, S and Q, as item numbers.

    Attributes:
        numbers: Numbers of these episodes in the stream, int64 (B,).
        classes: Positions of the classes in the class index, int64 (B, N). The class in column n has label n.
        support_items: Item numbers, int64 (B, S).
        support_y: Labels 0 … N-1, int64 (B, S).
        query_items: Item numbers, int64 (B, Q).
        query_y: Labels, int64 (B, Q).
        support_changes: Augmentation parameters, int16 (B, S), or None without augmentation.
        query_changes: Augmentation parameters of the queries, int16 (B, Q), or None.
    """

    numbers: np.ndarray
    classes: np.ndarray
    support_items: np.ndarray
    support_y: np.ndarray
    query_items: np.ndarray
    query_y: np.ndarray
    support_changes: np.ndarray | None = None
    query_changes: np.ndarray | None = None

    def __repr__(self) -> str:
        S, Q = self.support_y.shape[1], self.query_y.shape[1]
        return short_repr("DrawnEpisodes", [f"episodes={len(self):,}", f"way={self.way}", f"support items={S}", f"query items={Q}"])

    @property
    def way(self) -> int:
        """N, the number of classes per task."""
        return int(self.classes.shape[1])

    def __len__(self) -> int:
        return int(self.numbers.shape[0])

    def rows(self, chosen: slice | np.ndarray) -> "DrawnEpisodes":
        """Return the chosen episodes as a separate rectangle."""
        return DrawnEpisodes(
            self.numbers[chosen],
            self.classes[chosen],
            self.support_items[chosen],
            self.support_y[chosen],
            self.query_items[chosen],
            self.query_y[chosen],
            None if self.support_changes is None else self.support_changes[chosen],
            None if self.query_changes is None else self.query_changes[chosen],
        )


@dataclass(frozen=True, eq=False)
class EpisodeBatch:
    """B tasks as tensors on one device.

    Attributes:
        support_x: Inputs (B, S, …), a tensor or a mapping of names to such tensors.
        support_y: Labels int64 (B, S), or real targets (B, S, T) for regression.
        query_x: Inputs (B, Q, …).
        query_y: Labels int64 (B, Q), or real targets (B, Q, T).
        way: N for classification; None for real targets.
        numbers: Numbers of these episodes in the stream, int64 (B,), for messages and for randomness that belongs to a task.
    """

    unit: ClassVar[str] = "episode"
    support_x: Inputs
    support_y: Tensor
    query_x: Inputs
    query_y: Tensor
    way: int | None
    numbers: np.ndarray

    def __repr__(self) -> str:
        named = {"support_x": self.support_x, "support_y": self.support_y, "query_x": self.query_x, "query_y": self.query_y}
        parts = [f"{name}={form_of(value)}" for name, value in named.items()]
        return short_repr("EpisodeBatch", [f"tasks={len(self)}", f"way={self.way}", *parts, f"device='{self.device}'"])

    def __len__(self) -> int:
        return int(self.support_y.shape[0])

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.support_y.device

    def items(self) -> Inputs:
        """Return some of the items, (M, …): here, all support items."""
        return map_inputs(lambda value: value.flatten(0, 1), self.support_x)
