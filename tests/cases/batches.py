"""Batches of random tasks for the tests of learners, and what a learner answers for one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kshot.episodes.episode import EpisodeBatch
from kshot.learners.learner import Learner, encode_tasks


def unbalanced_batch(
    shape: tuple[int, ...] = (5,),
    *,
    B: int = 2,
    N: int = 4,
    S: int = 11,
    Q: int = 6,
    apart: float = 0.0,
    numbers: Sequence[int] | None = None,
    dtype: torch.dtype = torch.float64,
) -> EpisodeBatch:
    """Items of a shape whose classes have different numbers of support items, in no order.

    Args:
        shape: The shape of an item.
        B: Tasks.
        N: Classes; each has at least one support item.
        S: Support items.
        Q: Query items.
        apart: How far the means of class c and class c + 1 lie apart in each number of an item; the noise has variance 1.
        numbers: The tasks' numbers; 0, 1, … without it.
        dtype: The type of the items.
    """
    generator = torch.Generator().manual_seed(0)
    support_y = torch.stack([torch.cat([torch.arange(N), torch.randint(N, (S - N,), generator=generator)]) for _ in range(B)])
    support_y = support_y[:, torch.randperm(S, generator=generator)]
    query_y = torch.randint(N, (B, Q), generator=generator)

    def items(y: Tensor) -> Tensor:
        return torch.randn(*y.shape, *shape, generator=generator, dtype=dtype) + apart * y.view(*y.shape, *(1 for _ in shape))

    return EpisodeBatch(items(support_y), support_y, items(query_y), query_y, N, np.array(range(B) if numbers is None else numbers))


def balanced_batch(*shape: int, B: int = 2, N: int = 3, S: int = 6, Q: int = 6, first: int = 0) -> EpisodeBatch:
    """Items of a shape in float64, the classes one after the other, in tasks numbered from `first`."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(S + Q) % N
    x = torch.randn(B, S + Q, *shape, generator=generator, dtype=torch.float64)
    return EpisodeBatch(x[:, :S], y[:S].expand(B, S), x[:, S:], y[S:].expand(B, Q), N, np.arange(B) + first)


def batch_of_curves(*, dtype: torch.dtype = torch.float64) -> EpisodeBatch:
    """Sine curves, each of its own phase, with a second target that is their slope."""
    generator = torch.Generator().manual_seed(0)
    x = 4 * torch.rand(3, 19, 1, generator=generator, dtype=dtype) - 2
    phase = 3 * torch.rand(3, 1, 1, generator=generator, dtype=dtype)
    y = torch.cat([torch.sin(x + phase), torch.cos(x + phase)], -1)  # (B, S + Q, 2)
    return EpisodeBatch(x[:, :10], y[:, :10], x[:, 10:], y[:, 10:], None, np.arange(3))


def logits_of(learner: Learner, batch: EpisodeBatch) -> Tensor:
    """What a learner answers for the queries (B, Q, N): encode, adapt, predict."""
    support, query = encode_tasks(learner, batch.support_x, batch.query_x)
    return learner.predict(learner.adapt(support, batch.support_y, way=batch.way), query)


def query_loss(learner: Learner, batch: EpisodeBatch) -> float:
    """The mean loss of what a learner answers."""
    with torch.no_grad():
        return float(learner.family.loss(logits_of(learner, batch), batch.query_y).mean())
