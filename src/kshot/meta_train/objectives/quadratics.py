"""Random quadratics: f(θ) = ‖Wθ - y‖² with W (10, 10) and y (10,) of independent normal numbers.

Andrychowicz et al. 2016, section 3.1. θ starts near 0, at normal numbers times 0.01, as in the authors' code. There are no batches: every
step sees the same function. Next: `table`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kshot.learners.inner_loop.parameters import Tensors
from kshot.meta_train.objectives.objective import Part, generators

_SIZE = 10


@dataclass(frozen=True)
class Quadratics:
    """The distribution."""

    what: str = "quadratics ‖Wθ - y‖² of 10 numbers"
    tested: int = 64

    def draw(self, seed: int, numbers: Sequence[int], part: Part) -> "Quadratic":
        """B quadratics; arguments as in `ObjectiveKind`."""
        drawn = [torch.randn(_SIZE, _SIZE + 2, generator=each) for each in generators(seed, numbers, part, "quadratic")]
        tables = torch.stack(drawn)  # (B, 10, 12)
        return Quadratic(tables[:, :, :_SIZE], tables[:, :, _SIZE], {"theta": 0.01 * tables[:, :, _SIZE + 1]})


@dataclass(frozen=True)
class Quadratic:
    """B quadratics: `w` (B, 10, 10), `y` (B, 10), and where θ starts."""

    w: Tensor
    y: Tensor
    start: Tensors

    def loss(self, parameters: Tensors, step: int) -> Tensor:
        """f(θ), (B,), the same at every step."""
        return self.full_loss(parameters)

    def full_loss(self, parameters: Tensors) -> Tensor:
        """f(θ), (B,)."""
        return ((self.w @ parameters["theta"].unsqueeze(2)).squeeze(2) - self.y).square().sum(1)
