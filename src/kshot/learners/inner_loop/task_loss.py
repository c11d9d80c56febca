"""The loss of one task as a pure function of the parameters.

In: a `Network`, a task family, the task's support or query items. Out: a loss of a `Problem`. Dropout draws from the run's seed,
the task's number and the step, so that a step that is computed again (`flat`) drops the same units. Next: the modes.
"""

from typing import Any

import torch
from torch import Tensor

from kshot.data.inputs import Inputs, map_inputs
from kshot.episodes.family import TaskFamily
from kshot.errors import DataError, RecipeError
from kshot.learners.inner_loop.network import Network, of_step
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import Loss
from kshot.learners.inner_loop.separate_losses import losses_apart


def task_loss(
    network: Network,
    family: TaskFamily,
    part: tuple[Inputs, Tensor],
    buffers: Tensors,
    *,
    per_step: bool = False,
    seed: tuple[int, str] | None = None,
    once: bool = False,
    rows: Tensor | None = None,
) -> Loss:
    """The loss of one task's items.

    Args:
        network: The module; for many tasks, everything below has a first dimension B, and so has the loss.
        family: The family whose loss is taken.
        part: Items (n, …) with labels (n,), or with real targets (n, T).
        buffers: Where running statistics start.
        per_step: Whether the buffers have a first dimension that counts steps; the step's own are then used, and returned.
        seed: (seed, what it is for) of dropout; None where nothing is drawn.
        once: Whether the loss will be differentiated once, at most; many tasks with many items are then run apart (`losses_apart`).
        rows: Which items each step takes, int64 (steps, m); steps beyond the last take its items. None: all of them.

    Returns:
        (parameters, step) → the loss, a scalar, and the buffers afterwards. It raises `RecipeError` where the family gives anything
        but one number per task.
    """
    many = network.each is not None

    def loss(parameters: Tensors, step: int) -> tuple[Tensor, Tensors]:
        x, y = part if rows is None else minibatch(part, rows.select(int(many), min(step, rows.shape[int(many)] - 1)))
        own = of_step(buffers, step, many=many) if per_step else buffers
        if network.each is not None and once and network.takes_apart(x):

            def one(number: int, values: Tensors) -> tuple[Tensor, Tensors]:
                kept = {name: value[number] for name, value in own.items()}
                outputs, after = network.one_of_many(values, kept, one_task(x, number))
                return loss_of(family, outputs, y[number]), after

            return losses_apart(one, len(y), parameters, network.each)
        outputs, after = network(parameters, own, x, seed=None if seed is None else (*seed, step))
        return (losses_of(family, outputs, y) if many else loss_of(family, outputs, y)), after

    return loss


def minibatch(part: tuple[Inputs, Tensor], rows: Tensor) -> tuple[Inputs, Tensor]:
    """Some of a task's items and their labels.

    Args:
        part: Items (n, …) and labels; or those of many tasks, (B, n, …).
        rows: Which, int64 (m,); or (B, m).
    """
    chosen = (torch.arange(len(rows), device=rows.device).unsqueeze(1), rows) if rows.ndim == 2 else (rows,)
    return map_inputs(lambda value: value[chosen], part[0]), part[1][chosen]


def loss_of(family: TaskFamily, outputs: Any, y: Tensor) -> Tensor:
    """One task's loss, a scalar, of outputs (n, N) or (n, T).

    Raises:
        RecipeError: The module gives no tensor with one row per item, or the family gives anything but one number per task.
        DataError: A label is no class, or no whole number of 64 bits.
    """
    alone = outputs.unsqueeze(0) if isinstance(outputs, Tensor) else outputs
    return losses_of(family, alone, y.unsqueeze(0)).squeeze(0)


def losses_of(family: TaskFamily, outputs: Any, y: Tensor) -> Tensor:
    """The losses (B,) of B tasks' outputs (B, n, N) or (B, n, T); errors as in `loss_of`."""
    if not isinstance(outputs, Tensor) or outputs.ndim != 3 or outputs.shape[:2] != y.shape[:2]:
        found = f"shape {tuple(outputs.shape[1:])}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise RecipeError(f"the module must give one row of outputs per item, ({y.shape[1]}, N); found {found}. Return such a tensor.")
    if not y.is_floating_point() and y.dtype != torch.int64:
        raise DataError(f"labels must be int64; found {y.dtype}. Convert them: y.long().")
    try:
        losses = family.loss(outputs, y)
    except IndexError as error:
        raise DataError(f"labels must lie between 0 and {outputs.shape[2] - 1}; found {int(y.min())} to {int(y.max())}.") from error
    if not isinstance(losses, Tensor) or not losses.is_floating_point():
        found = f"a tensor of {losses.dtype}" if isinstance(losses, Tensor) else f"a {type(losses).__name__}"
        raise RecipeError(
            f"the loss of family {family.name!r} must be a tensor of real numbers, one per task; found {found}. "
            "Compute it from the outputs."
        )
    if losses.shape != y.shape[:1]:
        raise RecipeError(
            f"the loss of family {family.name!r} must be one number per task, shape ({len(y)},) here; found {tuple(losses.shape)}. "
            "Take the mean over the task's items."
        )
    return losses


def one_task(inputs: Inputs, number: int) -> Inputs:
    """Items (n, …) of one task, of (B, n, …)."""
    return map_inputs(lambda value: value[number], inputs)
