"""The losses of many tasks, one task after another: each task's graph is made, differentiated and dropped before the next one's.

For the queries, whose gradient is wanted once: a second derivative is an error. A task's many items then stay in the cache from the forward
to the backward pass, and the graphs of the tasks are never held together.
"""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.inner_loop.derivative import NO_DEPENDENCE
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import detached

OneLoss = Callable[[int, Tensors], tuple[Tensor, Tensors]]
"""(number of the task, its own parameters) → its loss, a scalar, and its buffers afterwards."""


def losses_apart(one: OneLoss, tasks: int, parameters: Tensors, each: Collection[str]) -> tuple[Tensor, Tensors]:
    """Losses (B,), differentiable once with respect to the parameters, and buffers (B, …), which are not.

    Args:
        one: Gives a task's loss.
        tasks: B.
        parameters: By name; (B, …) where each task has its own.
        each: The names of these.

    Raises:
        RecipeError: A task's loss depends on none of the parameters that want a gradient; or, later, a second derivative is asked for.
    """
    after: list[Tensors] = []

    def run(number: int, values: Tensors) -> Tensor:
        loss, buffers = one(number, values)
        after.append(detached(buffers))
        return loss

    names, wanted = list(parameters), torch.is_grad_enabled()
    losses: Tensor = _LossesApart.apply(run, tasks, names, [name in each for name in names], wanted, *parameters.values())  # type: ignore[no-untyped-call]
    return losses, {name: torch.stack([buffers[name] for buffers in after]) for name in after[0]}


class _LossesApart(torch.autograd.Function):
    """Parameters → losses (B,); the gradient of each is found on the way."""

    @staticmethod
    def forward(
        ctx: Any, run: Callable[[int, Tensors], Tensor], tasks: int, names: list[str], own: list[bool], wanted: bool, *values: Tensor
    ) -> Tensor:
        needs = [wanted and need for need in ctx.needs_input_grad[5:]]
        losses, slopes = [], []
        for number in range(tasks):
            with torch.set_grad_enabled(any(needs)):
                leaves = [
                    (value[number] if is_own else value).detach().requires_grad_(need)
                    for value, is_own, need in zip(values, own, needs, strict=True)
                ]
                loss = run(number, dict(zip(names, leaves, strict=True)))
            losses.append(loss.detach())
            if any(needs):
                if not loss.requires_grad:
                    raise RecipeError(NO_DEPENDENCE)
                asked = [leaf for leaf, need in zip(leaves, needs, strict=True) if need]
                slopes.append(torch.autograd.grad(loss, asked, allow_unused=True, materialize_grads=True))
        ctx.needs, ctx.own = needs, own
        ctx.save_for_backward(*(torch.stack(slope) for slope in zip(*slopes, strict=True)))
        return torch.stack(losses)

    @staticmethod
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # a second derivative is wanted, and would be that of constants
            raise RecipeError(
                "this mode differentiates the query loss twice, which it cannot where tasks with many query items are run apart. Use "
                "tasks='in_turn'."
            )
        slopes = iter(ctx.saved_tensors)
        found: list[Tensor | None] = [None] * 5
        for need, is_own in zip(ctx.needs, ctx.own, strict=True):
            if not need:
                found.append(None)
                continue
            slope = next(slopes)
            along = weights.view(-1, *[1] * (slope.ndim - 1))
            found.append(slope * along if is_own else (slope * along).sum(0))
        return tuple(found)
