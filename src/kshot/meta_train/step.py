"""One update of the meta-parameters from one batch of tasks or of labelled items.

In: what is trained, its optimiser, and rectangles of tasks. Out: the mean loss and the norm of the gradient; parameters and buffers have
changed. If a loss or the gradient is not a number, nothing changes and the error names the episodes or items. Next:
`kshot.meta_train.loop`.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kshot.errors import TrainingError
from kshot.learners.learner import Trainable
from kshot.meta_train.optimization import Optimization

_NO_GRADIENT = (
    "the loss depends on no parameter that is trained: the network detaches what it gives (detach, no_grad, item), gives constants, or all "
    "its parameters are frozen. Let gradients through it, or unfreeze a part."
)


class Batch(Protocol):
    """What an update needs to know of its tasks, items or functions; the rest is for what is trained."""

    @property
    def numbers(self) -> np.ndarray:
        """The number of each, for messages."""
        ...

    @property
    def unit(self) -> str:
        """What one is, such as `episode`, for messages."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        ...

    def __len__(self) -> int: ...


def meta_step(
    trained: Trainable,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    *,
    optimization: Optimization,
    update: int,
    updates: int,
) -> tuple[float, float]:
    """Update what is trained once.

    Args:
        trained: A learner, or a learner with its head (`Learner.for_training`), in training mode.
        optimizer: Optimiser of its parameters.
        batches: The tasks of the update. If they differ in way or shot, there is one rectangle per form, weighted by its number of tasks.
            For labelled items, there is one batch, in which each item counts like a task.
        optimization: Rate, clipping and precision.
        update: Number of this update, 0 … updates - 1.
        updates: Number of updates of the whole run.

    Returns:
        The mean loss over all tasks (or items), and the norm of the gradient before clipping.

    Raises:
        TrainingError: A loss or the gradient is not finite, or no gradient reaches a parameter. Parameters, buffers and optimiser are
            unchanged.
    """
    progress = update / updates
    total = sum(len(batch) for batch in batches)
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    gathered: list[Tensor | None] = [None] * len(parameters)
    loss = 0.0
    buffers = [(buffer, buffer.clone()) for buffer in trained.buffers()]
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=optimization.precision == "bfloat16"):
            try:
                losses = trained.meta_backward(batch, progress)
            except RuntimeError as error:
                if "does not require grad" not in str(error):
                    raise
                _put_back(buffers)
                raise TrainingError(_NO_GRADIENT) from error
        if not bool(torch.isfinite(losses).all()):
            _put_back(buffers)
            bad = [int(number) for number, good in zip(batch.numbers, torch.isfinite(losses).tolist(), strict=True) if not good]
            raise TrainingError(
                f"the loss is not a number at update {update + 1}, {batch.unit} {', '.join(map(str, bad[:5]))}. "
                "The last good state is kept. Lower the learning rate, clip gradients (training.clip_norm=1), or look at the data."
            )
        loss += float(losses.sum()) / total
        for parameter in parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:  # of nn.Embedding(sparse=True), which no optimiser here takes
                parameter.grad = parameter.grad.to_dense()
        if len(batches) > 1:
            weight = len(batch) / total
            for number, parameter in enumerate(parameters):
                if parameter.grad is not None:
                    earlier = gathered[number]
                    gathered[number] = parameter.grad * weight if earlier is None else earlier.add_(parameter.grad, alpha=weight)
    if len(batches) > 1:
        for parameter, gradient in zip(parameters, gathered, strict=True):
            parameter.grad = gradient
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if not bool(torch.isfinite(norm)):
        _put_back(buffers)
        numbers, unit = [int(number) for batch in batches for number in batch.numbers], batches[0].unit
        raise TrainingError(
            f"the gradient is not a number at update {update + 1}, {unit}s {min(numbers)} to {max(numbers)}, although the loss is. "
            "The last good state is kept. Lower the learning rate or look at the data."
        )
    if optimization.clip_norm:
        torch.nn.utils.clip_grads_with_norm_(parameters, optimization.clip_norm, norm)
    for group in optimizer.param_groups:
        group["lr"] = optimization.rate(update, updates)
    optimizer.step()
    return loss, float(norm)


def _put_back(buffers: list[tuple[Tensor, Tensor]]) -> None:
    for buffer, before in buffers:
        buffer.copy_(before)
