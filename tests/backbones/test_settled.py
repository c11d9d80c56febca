"""A settled network answers as the one that it was made of."""

import pytest
import torch
from torch import nn

from kshot.backbones.conv4 import Conv4
from kshot.backbones.conv_block import ConvBlock
from kshot.backbones.settled import settled


def block(pool: bool = True) -> ConvBlock:
    made = ConvBlock(1, 1, pool=pool)
    with torch.no_grad():
        made.conv.weight.zero_()
        made.conv.weight[0, 0, 1, 1] = 3.0
        assert made.conv.bias is not None
        assert made.norm.running_mean is not None
        assert made.norm.running_var is not None
        made.conv.bias.fill_(1.0)
        made.norm.running_mean.fill_(4.0)
        made.norm.running_var.fill_(4.0 - made.norm.eps)
        made.norm.weight.fill_(2.0)
        made.norm.bias.fill_(0.5)
    return made.eval()


def test_a_block_worked_by_hand() -> None:
    """x → 3x + 1 → (· - 4) / 2 · 2 + 0.5 = 3x - 2.5, the largest of four, and nothing below zero."""
    x = torch.tensor([[[[0.0, 1.0], [2.0, -1.0]]]])
    assert settled(nn.Sequential(block()))(x).tolist() == [[[[3.5]]]]
    assert settled(nn.Sequential(block(pool=False)))(x).tolist() == [[[[0.0, 0.5], [3.5, 0.0]]]]


def test_it_answers_as_the_network_and_leaves_it_alone() -> None:
    torch.manual_seed(1)
    network = Conv4()
    for _ in range(3):
        network(2 * torch.rand(8, 1, 28, 28) + 1)  # running statistics of its own
    network.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    made = settled(network)
    x = torch.rand(5, 1, 28, 28)
    assert torch.allclose(made(x), network(x), atol=1e-5)
    assert made(x).abs().max() > 0.1
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert all(one.requires_grad for one in network.parameters())
    assert not any(one.requires_grad for one in made.parameters())
    assert sum(isinstance(part, ConvBlock) for part in made.modules()) == 0


@pytest.mark.parametrize("network", [nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 4), nn.ReLU())])
def test_other_networks_are_copied(network: nn.Module) -> None:
    x = torch.rand(2, 3)
    assert torch.equal(settled(network)(x), network(x))
    assert settled(network) is not network


def test_a_block_without_running_statistics_stays_as_it_is() -> None:
    one = ConvBlock(1, 2)
    one.norm = nn.BatchNorm2d(2, track_running_stats=False)
    made = settled(nn.Sequential(one))
    assert isinstance(made[0], ConvBlock)
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(made(x), nn.Sequential(one).eval()(x))
