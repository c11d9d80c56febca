"""The optimisers that people made, as update rules with one rate to choose: what a learned optimiser is set against.

SGD, momentum, RMSprop and Adam are the directions of `kshot.learners.inner_loop.directions`, with PyTorch's other settings. AdamW
(Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101) is Adam that also shrinks the parameters, θ ← θ - rate · 0.01 θ, before each step.
Next: `loss_curves`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.directions import Adam, Momentum, RMSprop
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.update_rule import UpdateRule

RATES = tuple(round(base * 10.0**power, 6) for power in range(-4, 1) for base in (1.0, 3.0))
"""The rates from which the best one is chosen: 0.0001, 0.0003, …, 1, 3."""


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay.

    Attributes:
        rate: α, > 0.
        decay: λ of θ ← θ - αλθ.
    """

    rate: float
    decay: float = 0.01
    learnt: Tensors = field(default_factory=dict)
    cure: str = "Lower the rate."

    def init(self, parameters: Tensors) -> Tensors:
        """The state of Adam."""
        return Descent(self.rate, Adam()).init(parameters)

    def update(
        self, gradients: Tensors, state: Tensors, parameters: Tensors, step: int | Tensor, losses: Tensor | None = None
    ) -> tuple[Tensors, Tensors]:
        """The parameters and the state after a step; arguments as in `UpdateRule`."""
        shrunk = {name: value * (1 - self.rate * self.decay) for name, value in parameters.items()}
        return Descent(self.rate, Adam()).update(gradients, state, shrunk, step)

    def with_learnt(self, learnt: Tensors) -> "AdamW":
        """The same; it learns nothing."""
        return replace(self, learnt=learnt)

    def words(self) -> str:
        """Such as `adamw at an inner rate of 0.01`."""
        return f"adamw at an inner rate of {self.rate:g}"


HAND_MADE: Mapping[str, Callable[[float], UpdateRule]] = {
    "sgd": lambda rate: Descent(rate),
    "momentum": lambda rate: Descent(rate, Momentum()),
    "rmsprop": lambda rate: Descent(rate, RMSprop()),
    "adam": lambda rate: Descent(rate, Adam()),
    "adamw": AdamW,
}
"""Name → the rule at a rate."""
