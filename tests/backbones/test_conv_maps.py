"""Convolution blocks with maps for an answer."""

import pytest
import torch
import torch.nn.functional as F

from kshot.backbones.conv_block import ConvBlock
from kshot.backbones.conv_maps import ConvMaps
from kshot.errors import RecipeError


@pytest.mark.parametrize(
    ("widths", "depths", "size", "maps"),
    [([4, 6, 8, 8], [1, 1, 2, 2], 56, (8, 7, 7)), ([5], [1], 9, (5, 9, 9)), ([3, 4], [2, 1], 15, (4, 7, 7))],
)
def test_maps(widths: list[int], depths: list[int], size: int, maps: tuple[int, int, int]) -> None:
    found = ConvMaps(1, widths, depths)(torch.rand(2, 1, size, size))
    assert found.shape == (2, *maps)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_the_last_block_of_each_stage_but_the_last_pools() -> None:
    torch.manual_seed(0)
    network = ConvMaps(1, [3, 4, 5], [2, 1, 2]).double().eval()
    x = torch.rand(3, 1, 20, 20, dtype=torch.float64)
    y = x
    for block, pool in zip(network.blocks, [False, True, True, False, False], strict=True):
        assert isinstance(block, ConvBlock)
        y = F.relu(block.norm(block.conv(y)))
        y = F.max_pool2d(y, 2) if pool else y
    torch.testing.assert_close(network(x), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("widths", "depths"), [([3, 4], [1]), ([], [])])
def test_each_stage_needs_both_numbers(widths: list[int], depths: list[int]) -> None:
    with pytest.raises(RecipeError, match="one number per stage each; found"):
        ConvMaps(1, widths, depths)
