"""The block is convolution → normalisation → ReLU → pooling, in whatever order and layout it is computed."""

import pytest
import torch
import torch.nn.functional as F

from kshot.backbones.conv_block import ConvBlock, pixels_last


def plain_order(block: ConvBlock, x: torch.Tensor) -> torch.Tensor:
    """As the papers write it."""
    return F.max_pool2d(F.relu(block.norm(block.conv(x))), 2)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_relu_after_pooling_equals_the_plain_order(training: bool, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours = ConvBlock(2, 6).double().train(training)
    plain = ConvBlock(2, 6).double().train(training)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(5, 2, *size, dtype=torch.float64)
    x_ours, x_plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    y_ours, y_plain = ours(x_ours), plain_order(plain, x_plain)
    assert y_ours.shape == (5, 6, size[0] // 2, size[1] // 2)
    assert torch.equal(y_ours, y_plain)
    weight = torch.randn_like(y_ours)
    (y_ours * weight).sum().backward()
    (y_plain * weight).sum().backward()
    assert x_ours.grad is not None
    assert x_plain.grad is not None
    assert torch.equal(x_ours.grad, x_plain.grad)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.equal(a.grad, b.grad)


def test_without_pooling_the_block_keeps_the_size() -> None:
    block = ConvBlock(1, 3, pool=False).eval()
    x = torch.randn(2, 1, 5, 7)
    assert torch.equal(block(x), F.relu(block.norm(block.conv(x))))
    assert block(x).shape == (2, 3, 5, 7)


@pytest.mark.parametrize("C", [1, 3])
def test_pixels_last_has_channels_innermost(C: int) -> None:
    H, W = 6, 5
    whole = torch.randn(4, 3, H, W)
    for x in (
        torch.randn(4, C, H, W),
        whole[:, :C],
        torch.randn(4, C, W, H).mT,
        torch.randn(9, C, H, W)[1::2],
        torch.randn(4, C, H, W).to(memory_format=torch.channels_last),
    ):
        moved = pixels_last(x)
        assert torch.equal(moved, x)
        assert moved.stride() == (H * W * C, 1, W * C, C)
        assert moved.is_contiguous(memory_format=torch.channels_last)
    assert torch.empty(2, C, H, W).is_contiguous()


def test_one_channel_is_not_copied() -> None:
    x = torch.randn(4, 1, 6, 5)
    assert pixels_last(x).data_ptr() == x.data_ptr()
    assert pixels_last(x[1:]).data_ptr() == x[1:].data_ptr()


@pytest.mark.parametrize("C", [1, 3])
def test_the_layout_survives_a_block(C: int) -> None:
    y = ConvBlock(C, 4).to(memory_format=torch.channels_last)(pixels_last(torch.randn(2, C, 8, 8)))  # type: ignore[call-overload]
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("C", [1, 3])
def test_gradients_go_through_pixels_last(C: int) -> None:
    x = torch.randn(2, C, 3, 4, requires_grad=True)
    weight = torch.randn(2, C, 3, 4)
    (pixels_last(x) * weight).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, weight)
