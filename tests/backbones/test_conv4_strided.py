"""The strided network has the size and the numbers that it says."""

import pytest
import torch
import torch.nn.functional as F

from kshot.backbones.conv4_strided import Conv4Strided
from kshot.backbones.strided_block import StridedBlock


def test_64_filters_on_one_channel_have_111936_parameters() -> None:
    # 640 + 3 · 36,928 of the convolutions, 4 · 128 of the normalisations.
    assert sum(parameter.numel() for parameter in Conv4Strided().parameters()) == 640 + 3 * 36_928 + 4 * 128


@pytest.mark.parametrize(("size", "channels", "width", "D"), [(28, 1, 64, 256), (84, 3, 8, 288), (16, 1, 4, 4), (17, 1, 4, 16)])
def test_features(size: int, channels: int, width: int, D: int) -> None:
    features = Conv4Strided(channels, width)(torch.rand(2, channels, size, size))
    assert features.shape == (2, D)
    assert features.dtype == torch.float32


def test_equals_four_plain_blocks() -> None:
    torch.manual_seed(0)
    network = Conv4Strided(width=6).double()
    x = torch.rand(3, 1, 28, 28, dtype=torch.float64)
    y = x
    for block in network.blocks:
        assert isinstance(block, StridedBlock)
        conv, norm = block.conv, block.norm
        z = F.conv2d(F.pad(y, (1, 1, 1, 1)), conv.weight, conv.bias)[:, :, ::2, ::2]
        mean, var = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), unbiased=False, keepdim=True)
        y = F.relu((z - mean) / (var + norm.eps).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None])
    torch.testing.assert_close(network(x), y.flatten(1), rtol=1e-12, atol=1e-12)


def test_the_feature_order_does_not_depend_on_the_layout_of_the_input() -> None:
    network = Conv4Strided(3, 4).eval()
    x = torch.rand(2, 3, 40, 48)
    torch.testing.assert_close(network(x), network(x.to(memory_format=torch.channels_last)))


def test_the_average_is_the_mean_over_places() -> None:
    torch.manual_seed(0)
    network, averaged = Conv4Strided(1, 4), Conv4Strided(1, 4, average=True)
    averaged.load_state_dict(network.state_dict())
    x = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(averaged(x), network(x).reshape(3, 4, 2, 2).mean((2, 3)))
