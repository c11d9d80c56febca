"""Running statistics of batch normalisation after a batch, as `nn.BatchNorm2d` moves them, for operators that compute their own.

In: a normalisation's buffers, and a batch's statistics. Also under `torch.vmap`, where every task has buffers of its own.
"""

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow(norm: nn.modules.batchnorm._BatchNorm, mean: Tensor, var: Tensor, count: int) -> None:
    """Move the running statistics towards a batch's; nothing happens where none are kept.

    Args:
        norm: Whose buffers move.
        mean: Of the batch, (C,).
        var: Of the batch, with 1 / count, (C,); the running variance follows the unbiased one.
        count: Numbers per channel in the batch.
    """
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    unbiased = var * (count / max(1, count - 1))
    for running, batch in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        batch = batch.to(running.dtype)
        if norm.momentum is None:  # the mean over all batches
            running.add_((batch - running) * norm.num_batches_tracked.reciprocal().to(running.dtype))
        elif norm.momentum == 1:  # exactly those of this batch, whatever was there before
            running.copy_(batch)
        else:
            running.mul_(1 - norm.momentum).add_(batch, alpha=norm.momentum)
