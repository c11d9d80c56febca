"""Conv4 has the size that papers report."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, vmap

from kshot.backbones.conv4 import Conv4


def test_64_filters_on_one_channel_have_111936_parameters() -> None:
    # 640 + 3 · 36,928 of the convolutions, 4 · 128 of the normalisations.
    assert sum(parameter.numel() for parameter in Conv4().parameters()) == 640 + 3 * 36_928 + 4 * 128 == 111_936


@pytest.mark.parametrize(("size", "channels", "width", "D"), [(28, 1, 64, 64), (84, 3, 64, 1600), (28, 1, 32, 32), (32, 3, 8, 32)])
def test_features(size: int, channels: int, width: int, D: int) -> None:
    features = Conv4(channels, width)(torch.rand(2, channels, size, size))
    assert features.shape == (2, D)
    assert features.dtype == torch.float32


def test_equals_four_plain_blocks() -> None:
    torch.manual_seed(0)
    network = Conv4(width=8).double().eval()
    x = torch.rand(3, 1, 28, 28, dtype=torch.float64)
    y = x
    for block in network.blocks:
        y = F.max_pool2d(F.relu(block.norm(block.conv(y))), 2)
    torch.testing.assert_close(network(x), y.flatten(1), rtol=1e-12, atol=1e-12)


def test_the_feature_order_does_not_depend_on_the_layout_of_the_input() -> None:
    network = Conv4(3, 4).eval()
    x = torch.rand(2, 3, 40, 48)
    torch.testing.assert_close(network(x), network(x.to(memory_format=torch.channels_last)))


def test_many_copies_of_the_parameters_at_once() -> None:
    # Differentiable inner loops call a network with fast weights of many tasks.
    network = Conv4(width=4).eval()
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    x = torch.rand(3, 2, 1, 28, 28)
    copies = {name: torch.stack([value.detach()] * 3) for name, value in state.items()}
    together = vmap(lambda values, items: functional_call(network, values, (items,)))(copies, x)
    torch.testing.assert_close(together, torch.stack([network(items) for items in x]))


def test_images_that_are_too_small_are_named() -> None:
    with pytest.raises(ValueError, match=r"maps of 1×1 cannot be pooled by 2\. Give larger images"):
        Conv4(width=4)(torch.rand(2, 1, 8, 8))
