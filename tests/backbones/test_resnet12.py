"""ResNet-12 next to a plain version of its blocks."""

import pytest
import torch
import torch.nn.functional as F

from kshot.backbones.resnet12 import ResidualBlock, ResNet12


@pytest.mark.slow
def test_the_whole_network_has_the_size_of_the_paper_s() -> None:
    widths, channels = (64, 160, 320, 640), (3, 64, 160, 320)
    expected = sum(9 * c * w + 2 * 9 * w * w + c * w + 4 * 2 * w for c, w in zip(channels, widths, strict=True))
    assert sum(parameter.numel() for parameter in ResNet12().parameters()) == expected == 12_424_320


def test_a_block_equals_the_plain_order() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(2, 5).double()
    x = torch.randn(3, 2, 9, 8, dtype=torch.float64)
    y = F.leaky_relu(block.norm1(block.conv1(x)), 0.1)
    y = F.leaky_relu(block.norm2(block.conv2(y)), 0.1)
    y = block.norm3(block.conv3(y)) + block.shortcut_norm(block.shortcut(x))
    assert torch.equal(block(x), F.max_pool2d(F.leaky_relu(y, 0.1), 2))


def test_features_have_the_last_width_for_any_image_size() -> None:
    network = ResNet12(channels=1, widths=(4, 5, 6, 7)).eval()
    for size in ((16, 16), (28, 28), (40, 33)):
        assert network(torch.rand(2, 1, *size)).shape == (2, 7)


def test_one_channel_and_three_run_in_the_fast_layout() -> None:
    for channels in (1, 3):
        network = ResNet12(channels, widths=(4, 4, 4, 4)).eval()
        assert network.blocks(torch.rand(2, channels, 32, 32).to(memory_format=torch.channels_last)).shape == (2, 4, 2, 2)
        assert network.blocks[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
