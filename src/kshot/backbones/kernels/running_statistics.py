"""Updates of the running statistics of batch normalisation, as in `nn.BatchNorm2d`, for operators that normalise by themselves.

In: the buffers of a normalisation, and the statistics of a batch. They also work under `torch.vmap`, where every task has its own buffers.
"""

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow(norm: nn.modules.batchnorm._BatchNorm, mean: Tensor, var: Tensor, count: int) -> None:
    """Move the running statistics towards those of a batch. Nothing happens if there are no running statistics.

    Args:
        norm: The normalisation whose buffers move.
        mean: Mean of the batch, (C,).
        var: Biased variance of the batch (divided by `count`), (C,). The running variance follows the unbiased one.
        count: Numbers per channel in the batch.
    """
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    unbiased = var * (count / max(1, count - 1))
    for running, batch in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        batch = batch.to(running.dtype)
        if norm.momentum is None:  # the mean over all batches
            running.add_((batch - running) * norm.num_batches_tracked.to(running.dtype).reciprocal())
        elif norm.momentum == 1:  # copy exactly: blending would keep a NaN or infinity from before
            running.copy_(batch)
        else:
            running.mul_(1 - norm.momentum).add_(batch, alpha=norm.momentum)
