"""Directions: what an inner optimiser makes of a gradient before the inner rate scales it.

    sgd         d_t = g_t
    momentum    v_t = μ v_{t-1} + g_t,                          d_t = v_t                       (Polyak 1964, as in `torch.optim.SGD`)
    rmsprop     s_t = ρ s_{t-1} + (1 - ρ) g_t²,                 d_t = g_t / (√s_t + ε)          (Tieleman and Hinton 2012)
    adam        m_t = β1 m_{t-1} + (1 - β1) g_t,  s_t = β2 s_{t-1} + (1 - β2) g_t²,
                d_t = m_t / (1 - β1^t) / (√(s_t / (1 - β2^t)) + ε)                              (Kingma and Ba, ICLR 2015, arXiv 1412.6980)

with the formulas of `torch.optim`. All are differentiable any number of times. √ has no finite slope at 0, and s_t is exactly 0 where a
gradient is; there the slope of √ is taken as 0, which gives d_t its true derivative 1 / ε. Every slot is a decaying sum, so what a
task adds to a slot does not depend on what the slot held before.

In: the gradient of one parameter, its slots, the number of steps before. Out: the direction and the slots after. Next: `descent`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kshot.learners.settings import require_part_below_one, require_positive

Slots = Mapping[str, Tensor]
"""What is remembered of one parameter, by slot; each in the parameter's shape."""


class Direction(Protocol):
    """A direction by one of the formulas above."""

    @property
    def decays(self) -> Mapping[str, float]:
        """Its slots, and the factor by which a step shrinks what each held before."""
        ...

    def turn(self, gradient: Tensor, slots: Slots, step: int | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """d_t and the slots after step `step`, counting from 0; tensors in the shape of the gradient."""
        ...


@dataclass(frozen=True)
class GradientDescent:
    """The gradient itself; it remembers nothing."""

    @property
    def decays(self) -> Mapping[str, float]:
        """No slots."""
        return {}

    def turn(self, gradient: Tensor, slots: Slots, step: int | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """d_t = g_t."""
        return gradient, {}


@dataclass(frozen=True)
class Momentum:
    """A decaying sum of gradients.

    Attributes:
        momentum: μ, 0 ≤ μ < 1.
    """

    momentum: float = 0.9

    def __post_init__(self) -> None:
        require_part_below_one("the momentum of an inner optimiser", self.momentum)

    @property
    def decays(self) -> Mapping[str, float]:
        """The sum of gradients, `velocity`."""
        return {"velocity": self.momentum}

    def turn(self, gradient: Tensor, slots: Slots, step: int | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """d_t = v_t."""
        velocity = torch.add(gradient, slots["velocity"], alpha=self.momentum)
        return velocity, {"velocity": velocity}


@dataclass(frozen=True)
class RMSprop:
    """The gradient over the root of a running mean of its square.

    Attributes:
        decay: ρ, 0 ≤ ρ < 1.
        epsilon: ε > 0.
    """

    decay: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        require_part_below_one("the decay of RMSprop", self.decay)
        require_positive("the epsilon of RMSprop", self.epsilon)

    @property
    def decays(self) -> Mapping[str, float]:
        """The running mean of squared gradients, `squares`."""
        return {"squares": self.decay}

    def turn(self, gradient: Tensor, slots: Slots, step: int | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """d_t = g_t / (√s_t + ε)."""
        squares = torch.addcmul(self.decay * slots["squares"], gradient, gradient, value=1 - self.decay)
        return gradient / (root(squares) + self.epsilon), {"squares": squares}


@dataclass(frozen=True)
class Adam:
    """A running mean of gradients over the root of one of their squares, both corrected for starting at 0.

    Attributes:
        beta1: β1, 0 ≤ β1 < 1; with 0, as in Reptile, the direction is of the last gradient alone, and there is one slot less.
        beta2: β2, 0 ≤ β2 < 1.
        epsilon: ε > 0.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        require_part_below_one("the beta1 of Adam", self.beta1)
        require_part_below_one("the beta2 of Adam", self.beta2)
        require_positive("the epsilon of Adam", self.epsilon)

    @property
    def decays(self) -> Mapping[str, float]:
        """The running means of gradients, `means` (where β1 > 0), and of their squares, `squares`."""
        return {"means": self.beta1, "squares": self.beta2} if self.beta1 else {"squares": self.beta2}

    def turn(self, gradient: Tensor, slots: Slots, step: int | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """d_t as above."""
        squares = torch.addcmul(self.beta2 * slots["squares"], gradient, gradient, value=1 - self.beta2)
        after = {"squares": squares}
        mean = gradient
        if self.beta1:
            after["means"] = torch.lerp(gradient, slots["means"], self.beta1)
            mean = after["means"] / filled(self.beta1, step)
        return mean / (root(squares) / filled(self.beta2, step) ** 0.5 + self.epsilon), after


DIRECTIONS: dict[str, Callable[..., Direction]] = {
    "sgd": GradientDescent,
    "momentum": Momentum,
    "rmsprop": RMSprop,
    "adam": Adam,
}
"""Directions by the name that recipes use."""


def filled(decay: float, step: int | Tensor) -> float | Tensor:
    """1 - decay^(step + 1): how much of a running mean that started at 0 has been filled after step `step`."""
    if isinstance(step, Tensor) and step.device.type != "mps":
        step = step.double()  # 0.999^t of many steps is 1 to the last digit of float32
    return 1 - decay ** (step + 1)


def root(x: Tensor) -> Tensor:
    """√x of numbers ≥ 0, whose slope at 0 is taken as 0."""
    if not x.requires_grad:
        return x.sqrt()
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)
