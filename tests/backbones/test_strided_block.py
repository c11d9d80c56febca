"""The strided block: values, running statistics and derivatives of a plain convolution, normalisation and ReLU."""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from kshot.backbones.kernels.patches import patches
from kshot.backbones.kernels.strided_operator import strided_block
from kshot.backbones.strided_block import StridedBlock

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # of PyTorch's own forward mode


def plain(block: StridedBlock) -> nn.Sequential:
    """The same parameters and buffers in stock modules."""
    norm = nn.BatchNorm2d(block.norm.num_features).to(block.conv.weight.dtype)
    norm.load_state_dict(block.norm.state_dict())
    return nn.Sequential(block.conv, norm, nn.ReLU())


def lively(block: StridedBlock) -> StridedBlock:
    """With parameters of every sign."""
    with torch.no_grad():
        for value in block.parameters():
            value.normal_()
    return block


@pytest.mark.parametrize(("C", "H", "W"), [(1, 28, 28), (3, 7, 5), (6, 1, 2), (2, 4, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_equals_stock_modules_and_moves_their_statistics(C: int, H: int, W: int, training: bool) -> None:
    torch.manual_seed(C)
    block = lively(StridedBlock(C, 4)).double().train(training)
    stock = plain(block).train(training)
    for _ in range(2):
        x = torch.randn(3, C, H, W, dtype=torch.float64)
        torch.testing.assert_close(block(x), stock(x), rtol=1e-12, atol=1e-12)
    for name, value in stock[1].named_buffers():
        torch.testing.assert_close(block.norm.get_buffer(name), value, rtol=1e-12, atol=1e-12)


def test_without_running_statistics_the_batch_s_own_are_used() -> None:
    block = lively(StridedBlock(2, 3)).double().eval()
    x = torch.randn(4, 2, 6, 6, dtype=torch.float64)
    expected = block.train()(x)
    block.norm.running_mean = block.norm.running_var = block.norm.num_batches_tracked = None
    torch.testing.assert_close(block.eval()(x), expected, rtol=0, atol=0)


def test_half_precision_is_that_of_stock_modules() -> None:
    block = StridedBlock(2, 3)
    x = torch.randn(4, 2, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(block(x), plain(block)(x))


def arguments() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    shapes = (2, 2, 5, 4), (3, 2, 3, 3), (3,), (3,), (3,)
    return tuple(torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes)


@pytest.mark.slow
def test_first_and_second_derivatives_are_those_of_finite_differences() -> None:
    def block(*values: Tensor) -> Tensor:
        return strided_block(*values)[0]

    given = arguments()
    kept = strided_block(*given)[0].detach()
    assert 0.2 < float((kept > 0).double().mean()) < 0.8  # both sides of ReLU are there
    assert gradcheck(block, given, check_forward_ad=True)
    assert gradgradcheck(block, given)


@pytest.mark.slow
def test_patches_and_their_transpose() -> None:
    x = torch.randn(2, 5, 4, 3, dtype=torch.float64, requires_grad=True)
    rows = patches(x)
    assert rows.shape == (2 * 3 * 2, 27)
    seen = rows.view(2, 3, 2, 3, 3, 3)
    assert torch.equal(seen[1, 1, 1, 0, 2], x[1, 1, 3])  # rows 1 to 3 and columns 1 to 3 of the image
    assert not seen[:, 0, :, 0].any()  # the row above the image
    assert gradcheck(patches, (x,), check_forward_ad=True)
    assert gradgradcheck(patches, (x,))


def test_one_position_alone_has_no_variance() -> None:
    with pytest.raises(ValueError, match=r"at least 2 positions in all; found x of shape \(1, 2, 2, 1\)"):
        StridedBlock(2, 3)(torch.rand(1, 2, 2, 1))
