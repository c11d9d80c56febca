"""What is to be minimised: a batch of B functions of parameters, drawn by number.

    kind.draw(seed, numbers, part) -> objective
    objective.start -> parameters;     objective.loss(parameters, step) -> (B,)

The number of a function and the seed decide everything about it: its data, where its parameters start, and which items the batch of a
step holds. Function 17 is therefore the same in any batch and after any resume. Next: `quadratics`, `networks`, then `unroll`.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from kshot.episodes.counter_random import key_of, streams
from kshot.learners.inner_loop.parameters import Tensors

Part = Literal["train", "val", "test"]
"""Which functions are drawn: those to train on, those that choose the best state, or those held out for the final numbers."""


class Objective(Protocol):
    """B functions to minimise."""

    @property
    def start(self) -> Tensors:
        """Where the parameters start, (B, …) by name."""
        ...

    def loss(self, parameters: Tensors, step: int) -> Tensor:
        """The loss of each function on the batch of a step: (B,)."""
        ...

    def full_loss(self, parameters: Tensors) -> Tensor:
        """The loss of each function on all its data: (B,)."""
        ...


class ObjectiveKind(Protocol):
    """A distribution of functions whose parameters have one form."""

    @property
    def what(self) -> str:
        """What the functions are, in words."""
        ...

    @property
    def tested(self) -> int:
        """How many functions a test draws for each seed."""
        ...

    def draw(self, seed: int, numbers: Sequence[int], part: Part) -> Objective:
        """The functions of these numbers.

        Args:
            seed: Seed of the run.
            numbers: One number per function, 0 or more.
            part: Functions of different parts differ, and so do the classes of their data, if they have any.
        """
        ...


def generators(seed: int, numbers: Sequence[int], part: Part, kind: str) -> list[torch.Generator]:
    """One generator per function, set by (seed, number, part, kind) alone."""
    key = key_of({"objective": kind, "part": part, "seed": seed})
    words = streams(key, np.asarray(numbers, dtype=np.int64)) >> np.uint64(1)
    return [torch.Generator().manual_seed(int(word)) for word in words]
