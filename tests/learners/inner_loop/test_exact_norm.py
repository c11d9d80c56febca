"""Batch normalisation written out equals PyTorch's own, in numbers, derivatives and running statistics."""

import copy

import pytest
import torch
from torch import nn

from kshot.learners.inner_loop.exact_norm import write_out


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm1d, (6, 3, 5)), (nn.BatchNorm2d, (4, 3, 5, 2)), (nn.BatchNorm3d, (4, 3, 2, 3, 2))],
)
def test_the_same_as_native(
    kind: type[nn.BatchNorm2d], shape: tuple[int, ...], track: bool, affine: bool, momentum: float, training: bool
) -> None:
    torch.manual_seed(0)
    native = kind(3, momentum=momentum, affine=affine, track_running_stats=track).double().train(training)
    for value in native.parameters():
        nn.init.normal_(value)
    written = copy.deepcopy(native)
    write_out(written)
    for number in range(3):
        x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(number)).requires_grad_()
        weights = torch.randn(*shape, dtype=torch.float64)
        found, expected = (
            torch.autograd.grad((norm(x) * weights).tanh().sum(), [x, *norm.parameters()], create_graph=True) for norm in (written, native)
        )
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs)
        second = (torch.autograd.grad(slopes[0].square().sum(), x)[0] for slopes in (found, expected))
        torch.testing.assert_close(*second)
        for name, value in native.named_buffers():
            torch.testing.assert_close(written.get_buffer(name), value)


def test_one_value_a_channel_is_the_same_error() -> None:
    norm = nn.BatchNorm1d(3)
    write_out(norm)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        norm(torch.zeros(1, 3))
