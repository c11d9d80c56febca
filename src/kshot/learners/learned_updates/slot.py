"""One parameter tensor in one step of a learned optimiser, as the rules take steps in place. Next: the rules."""

from dataclasses import dataclass

from torch import Tensor

from kshot.learners.inner_loop.parameters import Tensors


@dataclass(frozen=True)
class Slot:
    """One parameter tensor in one step, flat, float32.

    Attributes:
        parameter: Its values, (n,).
        target: What the step is added to, (n,); often the same memory.
        gradient: (n,).
        state: The rule's state of this tensor without a dimension of tasks. It is changed in place.
        step: How many steps it has taken before.
        rate: Multiplies the step.
        dimensions: How many dimensions the parameter has.
    """

    parameter: Tensor
    target: Tensor
    gradient: Tensor
    state: Tensors
    step: int
    rate: float
    dimensions: int
