"""The inner update rule as a value: how one inner step changes the parameters of a task.

    init(parameters) -> state
    update(gradients, state, parameters, step, losses) -> (parameters, state)

the form that optax gives to gradient transformations. Both are pure functions of tensors: nothing is kept on the rule, so the same rule
serves any number of tasks and threads, and every outer gradient can go through it. Parameters, gradients and state have a first dimension B
that counts tasks. What a rule learns itself, such as inner rates, is `learnt`; all tasks have it in common.

Next: `descent`, the rule made of a rate and a direction; a learned rule implements the same protocol.
"""

from typing import Protocol

from torch import Tensor

from kshot.learners.inner_loop.parameters import Tensors


class UpdateRule(Protocol):
    """One inner step, as a value."""

    @property
    def learnt(self) -> Tensors:
        """The rule's own meta-parameters by name, without a dimension of tasks; the outer gradient reaches them. Often empty."""
        ...

    @property
    def cure(self) -> str:
        """What to do where steps diverge, as a sentence for an error message."""
        ...

    def init(self, parameters: Tensors) -> Tensors:
        """The state before the first step: tensors (B, …) by name; empty for a rule that remembers nothing."""
        ...

    def update(
        self, gradients: Tensors, state: Tensors, parameters: Tensors, step: int | Tensor, losses: Tensor | None = None
    ) -> tuple[Tensors, Tensors]:
        """The parameters and the state after a step.

        Args:
            gradients: Gradients of the support loss by parameter name, (B, …).
            state: The state from `init`, or from the step before.
            parameters: The parameters that the gradients belong to.
            step: How many steps were taken before, counting from 0.
            losses: The losses (B,) that the gradients are of. The inner loop always gives them; only rules that look at them need them.
        """
        ...

    def with_learnt(self, learnt: Tensors) -> "UpdateRule":
        """The same rule with other values of `learnt`, such as the same numbers as part of a graph."""
        ...

    def words(self) -> str:
        """The rule in words, for error messages."""
        ...
