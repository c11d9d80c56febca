"""Tasks and an independent inner loop for the tests of this folder."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases.batches import balanced_batch
from kshot.episodes.episode import EpisodeBatch

Forward = Callable[[dict[str, Tensor], Tensor], Tensor]


def plain_loop(
    forward: Forward,
    parameters: dict[str, Tensor],
    adapting: list[str],
    batch: EpisodeBatch,
    rate: Callable[[str, int], Tensor | float],
    steps: int,
) -> Tensor:
    """The mean query loss after gradient steps, with its whole graph: PyTorch's tape and nothing of kshot's."""
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    losses = []
    for b in range(len(batch)):
        fast = dict(parameters)
        for t in range(steps):
            loss = F.cross_entropy(forward(fast, batch.support_x[b]), batch.support_y[b])
            slopes = torch.autograd.grad(loss, [fast[name] for name in adapting], create_graph=True)
            fast |= {name: fast[name] - rate(name, t) * slope for name, slope in zip(adapting, slopes, strict=True)}
        losses.append(F.cross_entropy(forward(fast, batch.query_x[b]), batch.query_y[b]))
    return torch.stack(losses).mean()


def blocks_by_hand(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    """Two blocks of convolution, batch normalisation written out, ReLU, pooling, and a linear head."""
    for number in (0, 1):
        name = f"blocks.{number}"
        z = F.conv2d(x, parameters[f"{name}.conv.weight"], parameters[f"{name}.conv.bias"], padding=1)
        mean = z.mean((0, 2, 3), keepdim=True)
        var = (z - mean).square().mean((0, 2, 3), keepdim=True)
        gamma, beta = (parameters[f"{name}.norm.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
        x = F.max_pool2d(F.relu((z - mean) / (var + 1e-5).sqrt() * gamma + beta), 2)
    return x.flatten(1) @ parameters["head.weight"].T + parameters["head.bias"]


class StockBlock(nn.Module):
    """The block of stock modules."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)


class Blocks(nn.Module):
    """Two blocks of a kind, and a head: what `blocks_by_hand` computes, of images (M, 1, 8, 8)."""

    def __init__(self, block: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(block(1, 4), block(4, 4))
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(x).flatten(1))
        return logits


def distance(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest difference, relative to the largest value of all."""
    assert found.keys() == expected.keys()
    largest = max(float(value.detach().abs().max()) for value in expected.values())
    return max(float((found[name] - value).detach().abs().max()) for name, value in expected.items()) / largest


@pytest.fixture
def loops() -> SimpleNamespace:
    """The functions above, and the tasks that the tests of this folder take."""
    return SimpleNamespace(
        tasks=partial(balanced_batch, B=3, Q=9, first=40),
        plain=plain_loop,
        by_hand=blocks_by_hand,
        Blocks=Blocks,
        StockBlock=StockBlock,
        distance=distance,
    )
