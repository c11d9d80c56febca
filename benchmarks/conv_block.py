"""Time the block's operator against the same block of stock operations, in a Conv4-64 on 28×28 images, taking turns in one run.

    python -m benchmarks.conv_block

- training: forward + backward of 300 images, batch statistics;
- evaluation: forward of 512 images, running statistics, no gradients;
- second order: one inner gradient step on 5 support images with `create_graph`, then the gradient through it of the loss of 75 queries.

Marks, by the median of paired turns with the default allocator: training ≤ 0.65, evaluation ≤ 0.65. Second order has no mark, because its
75 queries are almost only convolution. Both networks' gradients are compared before anything is timed. The last column is the floor: FLOPs
of the convolutions divided by the rate that a convolution of the second block's size reaches on this machine.
"""

import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import ratio, take_turns
from kshot.allocator import keep_freed_memory
from kshot.backbones.conv4 import Conv4
from kshot.backbones.conv_block import ConvBlock, pixels_last

MARKS = {"training": 0.65, "evaluation": 0.65}
TURNS = {"training": 9, "evaluation": 9, "second order": 21}


class StockBlock(nn.Module):
    """The stock modules of a block, called one after another."""

    def __init__(self, block: ConvBlock) -> None:
        super().__init__()
        self.conv, self.norm = block.conv, block.norm

    def forward(self, x: Tensor) -> Tensor:
        """Turn images into maps of half the side."""
        return F.relu(F.max_pool2d(self.norm(self.conv(x)), 2))


class StockConv4(nn.Module):
    """A Conv4 of stock modules, with the same parameters under the same names."""

    def __init__(self, network: Conv4) -> None:
        super().__init__()
        self.blocks = nn.Sequential()
        for block in network.blocks:
            assert isinstance(block, ConvBlock)
            self.blocks.append(StockBlock(block))

    def forward(self, x: Tensor) -> Tensor:
        """Embed images."""
        maps: Tensor = self.blocks(pixels_last(x))
        return maps.flatten(1)


def training(network: nn.Module) -> Callable[[], list[Tensor]]:
    network.train()
    x, y = torch.rand(300, 1, 28, 28), torch.arange(300) % 64

    def step() -> list[Tensor]:
        return list(torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters())))

    return step


def evaluation(network: nn.Module) -> Callable[[], list[Tensor]]:
    network.eval()
    x = torch.rand(512, 1, 28, 28)

    def forward() -> list[Tensor]:
        with torch.no_grad():
            return [network(x)]

    return forward


def second_order(network: nn.Module) -> Callable[[], list[Tensor]]:
    network.train()
    support, query = torch.rand(5, 1, 28, 28), torch.rand(75, 1, 28, 28)
    parameters: dict[str, Tensor] = dict(network.named_parameters())

    def meta_gradient() -> list[Tensor]:
        loss = F.cross_entropy(functional_call(network, parameters, (support,)), torch.arange(5))
        steps = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
        fast = {name: p - 0.4 * s for (name, p), s in zip(parameters.items(), steps, strict=True)}
        loss = F.cross_entropy(functional_call(network, fast, (query,)), torch.arange(75) % 5)
        return list(torch.autograd.grad(loss, list(parameters.values())))

    return meta_gradient


CASES = {"training": training, "evaluation": evaluation, "second order": second_order}


def networks(dtype: torch.dtype) -> tuple[StockConv4, Conv4]:
    """Return the same network twice."""
    torch.manual_seed(0)
    ours, theirs = Conv4().to(dtype), Conv4().to(dtype)
    theirs.load_state_dict(ours.state_dict())
    return StockConv4(theirs), ours


def largest_difference() -> float:
    """Return the largest difference between both gradients in float64, relative to each tensor's largest entry, over all cases."""
    torch.set_default_dtype(torch.float64)
    differences = []
    for prepare in CASES.values():
        found = []
        for network in networks(torch.float64):
            torch.manual_seed(1)
            found.append(prepare(network)())
        largest = max(float(theirs.abs().max()) for theirs in found[0])
        differences += [float((a - b).abs().max()) / largest for a, b in zip(*found, strict=True)]
    torch.set_default_dtype(torch.float32)
    return max(differences)


def rate() -> float:
    """Return the FLOPs per second of a 64 → 64 convolution of 300 maps of 14×14."""
    x, weight = pixels_last(torch.rand(300, 64, 14, 14)), torch.rand(64, 64, 3, 3).to(memory_format=torch.channels_last)
    timing = take_turns({"convolution": lambda: F.conv2d(x, weight, padding=1)}, turns=7)["convolution"]
    return 300 * 14 * 14 * 64 * 64 * 9 * 2 / timing.least


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    difference = largest_difference()
    print(f"the block's operator against stock operations, Conv4-64, {torch.get_num_threads()} threads")
    print(f"  largest difference in float64: {difference:.1e}  (mark 1e-8)")
    good = difference < 1e-8
    print(f"  {'allocator':<10}{'case':<14}{'stock ms: min':>14}{'median':>8}{'ours ms: min':>14}{'median':>8}{'ratio':>7}{'floor ms':>10}")
    for allocator in ("default", "tuned"):
        if allocator == "tuned" and not keep_freed_memory():
            print("  tuned     not available: this machine has no glibc")
            break
        for name, prepare in CASES.items():
            stock, ours = (prepare(network) for network in networks(torch.float32))
            counter = FlopCounterMode(display=False)
            with counter:
                stock()
            timings = take_turns({"stock": stock, "ours": ours}, turns=TURNS[name], warmup=2)
            times = ratio(timings["ours"], timings["stock"])
            if allocator == "default":
                good &= times <= MARKS.get(name, 1.0)
            shown = [1e3 * t for timing in timings.values() for t in (timing.least, timing.median)]
            floor = 1e3 * counter.get_total_flops() / rate()
            print(
                f"  {allocator:<10}{name:<14}{shown[0]:>14.1f}{shown[1]:>8.1f}{shown[2]:>14.1f}{shown[3]:>8.1f}{times:>7.2f}{floor:>10.1f}"
            )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
