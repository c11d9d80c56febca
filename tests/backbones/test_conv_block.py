"""The block module is convolution → batch normalisation → ReLU → pooling, in its numbers, its running statistics and its state."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kshot.backbones.conv_block import ConvBlock, pixels_last

pytestmark = pytest.mark.usefixtures("many_or_few_images")


def plain_order(block: ConvBlock, x: torch.Tensor) -> torch.Tensor:
    """As the papers write it, by stock modules."""
    y = F.relu(block.norm(block.conv(x)))
    return F.max_pool2d(y, 2) if block.pool else y


def two_blocks(channels: int, width: int, *, pool: bool = True) -> tuple[ConvBlock, ConvBlock]:
    """The same block twice, with scales of both signs and running statistics that are not those of a new one."""
    torch.manual_seed(0)
    ours, plain = (ConvBlock(channels, width, pool=pool).double() for _ in range(2))
    with torch.no_grad():
        for tensor in (ours.norm.weight, ours.norm.bias, ours.norm.running_mean):
            assert tensor is not None
            tensor.normal_()
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def test_the_state_has_the_names_and_shapes_of_the_two_modules() -> None:
    shapes = {name: tuple(value.shape) for name, value in ConvBlock(2, 6).state_dict().items()}
    assert shapes == {
        "conv.weight": (6, 2, 3, 3),
        "conv.bias": (6,),
        "norm.weight": (6,),
        "norm.bias": (6,),
        "norm.running_mean": (6,),
        "norm.running_var": (6,),
        "norm.num_batches_tracked": (),
    }


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("of_x", [True, False])
def test_the_block_equals_the_plain_order(training: bool, size: tuple[int, int], channels: int, pool: bool, of_x: bool) -> None:
    ours, plain = (block.train(training) for block in two_blocks(channels, 6, pool=pool))
    x = torch.randn(5, channels, *size, dtype=torch.float64)
    x_ours, x_plain = x.clone().requires_grad_(of_x), x.clone().requires_grad_(of_x)
    y_ours, y_plain = ours(x_ours), plain_order(plain, x_plain)
    torch.testing.assert_close(y_ours, y_plain, rtol=1e-11, atol=1e-11)
    weight = torch.randn_like(y_ours)
    (y_ours * weight).sum().backward()
    (y_plain * weight).sum().backward()
    for a, b in zip((*ours.parameters(), x_ours), (*plain.parameters(), x_plain), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9)
    for (name, a), (_, b) in zip(ours.named_buffers(), plain.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12, msg=name)


@pytest.mark.parametrize("momentum", [0.1, 0.3, None])
@pytest.mark.parametrize("channels", [1, 5])
def test_running_statistics_over_several_batches(channels: int, momentum: float | None) -> None:
    ours, plain = two_blocks(channels, 4)
    ours.norm.momentum = plain.norm.momentum = momentum  # type: ignore[assignment]  # torch documents None: the plain mean
    for M in (2, 5, 3):
        x = torch.randn(M, channels, 7, 7, dtype=torch.float64)
        with torch.no_grad():
            ours(x)
            plain_order(plain, x)
    for a, b in zip(ours.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert int(ours.norm.num_batches_tracked or 0) == 3
    x = torch.randn(2, channels, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(ours.eval()(x), plain_order(plain.eval(), x), rtol=1e-11, atol=1e-11)


def test_evaluation_leaves_the_running_statistics_alone() -> None:
    block = ConvBlock(1, 4).eval()
    before = pickle.dumps(block.state_dict())
    block(torch.randn(3, 1, 8, 8))
    assert pickle.dumps(block.state_dict()) == before


@pytest.mark.parametrize("training", [True, False])
def test_without_running_statistics_the_batch_s_own_are_used(training: bool) -> None:
    ours, plain = two_blocks(5, 4)
    for block in (ours, plain):
        norm = nn.BatchNorm2d(4, track_running_stats=False).double()
        norm.load_state_dict({"weight": block.norm.weight, "bias": block.norm.bias})
        block.norm = norm
        block.train(training)
    x = torch.randn(3, 5, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), plain_order(plain, x), rtol=1e-11, atol=1e-11)


def test_only_the_normalisation_in_evaluation() -> None:
    # A usual way to fine-tune: the network trains, its running statistics stay.
    ours, plain = two_blocks(5, 4)
    ours.norm.eval()
    plain.norm.eval()
    x = torch.randn(3, 5, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), plain_order(plain, x), rtol=1e-11, atol=1e-11)
    assert int(ours.norm.num_batches_tracked or 0) == 0


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("channels", [1, 5])
def test_autocast(training: bool, channels: int) -> None:
    ours, plain = (block.float().train(training) for block in two_blocks(channels, 6))
    x = torch.randn(4, channels, 9, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y_ours, y_plain = ours(x), plain_order(plain, x)
    assert y_ours.dtype == y_plain.dtype == torch.bfloat16
    torch.testing.assert_close(y_ours, y_plain, rtol=2e-2, atol=2e-2)
    y_ours.float().square().sum().backward()
    y_plain.float().square().sum().backward()
    for name, a in ours.named_parameters():
        b = plain.get_parameter(name)
        assert a.grad is not None
        assert b.grad is not None
        if training and name == "conv.bias":  # zero but for rounding
            continue
        assert (a.grad - b.grad).norm() < 0.05 * b.grad.norm(), name
    for a, b in zip(ours.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
def test_the_dtype_of_the_module_is_that_of_the_answer_and_of_its_state(dtype: torch.dtype, training: bool) -> None:
    block = ConvBlock(1, 4).double().to(dtype).train(training)
    y = block(torch.randn(3, 1, 6, 6, dtype=dtype))
    assert y.dtype == dtype
    y.float().sum().backward()
    assert {value.dtype for value in (*block.parameters(), *block.buffers()) if value.is_floating_point()} == {dtype}
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in block.parameters())


@pytest.mark.slow
def test_many_images_go_through_in_parts() -> None:
    # 64 filters on 28×28: ten images a part, the last part short.
    ours, plain = two_blocks(1, 64)
    x = pixels_last(torch.rand(33, 1, 28, 28, dtype=torch.float64))
    for training in (True, False):
        y_ours, y_plain = ours.train(training)(x), plain_order(plain.train(training), x)
        torch.testing.assert_close(y_ours, y_plain, rtol=1e-10, atol=1e-10)
        assert y_ours.is_contiguous(memory_format=torch.channels_last)
        weight = torch.randn_like(y_plain)
        found = torch.autograd.grad(y_ours, list(ours.parameters()), weight)
        expected = torch.autograd.grad(y_plain, list(plain.parameters()), weight)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)
        if not training:
            with torch.no_grad():
                assert torch.equal(ours(x), y_ours)


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
