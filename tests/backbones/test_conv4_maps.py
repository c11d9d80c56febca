"""Conv4 with maps for an answer."""

import pytest
import torch
import torch.nn.functional as F

from kshot.backbones.conv4 import Conv4
from kshot.backbones.conv4_maps import Conv4Maps
from kshot.backbones.conv_block import ConvBlock


@pytest.mark.parametrize(
    ("height", "width", "channels", "filters", "maps"),
    [(28, 28, 1, 64, (64, 7, 7)), (84, 84, 3, 8, (8, 21, 21)), (30, 37, 1, 4, (4, 7, 9))],
)
def test_maps(height: int, width: int, channels: int, filters: int, maps: tuple[int, int, int]) -> None:
    found = Conv4Maps(channels, filters)(torch.rand(2, channels, height, width))
    assert found.shape == (2, *maps)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_equals_four_plain_blocks_of_which_two_pool() -> None:
    torch.manual_seed(0)
    network = Conv4Maps(width=6).double().eval()
    x = torch.rand(3, 1, 28, 28, dtype=torch.float64)
    y = x
    for number, block in enumerate(network.blocks):
        assert isinstance(block, ConvBlock)
        y = F.relu(block.norm(block.conv(y)))
        y = F.max_pool2d(y, 2) if number < 2 else y
    torch.testing.assert_close(network(x), y, rtol=1e-12, atol=1e-12)


def test_it_has_the_parameters_of_conv4() -> None:
    sizes = [[tuple(value.shape) for value in network.state_dict().values()] for network in (Conv4(3, 16), Conv4Maps(3, 16))]
    assert sizes[0] == sizes[1]
