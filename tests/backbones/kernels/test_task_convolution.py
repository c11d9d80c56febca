"""Convolutions of many tasks: each task's own, whichever way they are taken."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradgradcheck

from kshot.backbones.kernels import task_convolution
from kshot.backbones.kernels.task_convolution import convolution_gradients, convolve, filter_gradients

LEAD = (2, 3)


@pytest.fixture(params=["one after another", "in groups"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a CPU, and as on other devices."""
    if request.param == "in groups":
        monkeypatch.setattr(task_convolution, "task_by_task", lambda function, *of_maps: function(*of_maps))


def some(channels: int, *, innermost: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, weight, bias and G of 2×3 tasks, two images each."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*LEAD, *shape, generator=generator, dtype=torch.float64)

    x, G = normal(2, 5, 6, channels).movedim(-1, -3), normal(2, 5, 6, 4).movedim(-1, -3)
    if not innermost:
        x, G = x.contiguous(), G.contiguous()
    return x, normal(4, channels, 3, 3), normal(4), G


def each(function: object, *values: Tensor) -> Tensor:
    """The function of every task's own, one by one."""
    flat = [value.flatten(0, 1) for value in values]
    return torch.stack([function(*(value[task] for value in flat)) for task in range(6)]).unflatten(0, LEAD)  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("innermost", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_every_task_has_its_own_convolution_and_gradients(
    monkeypatch: pytest.MonkeyPatch, channels: int, innermost: bool, wide: bool
) -> None:
    monkeypatch.setattr(task_convolution, "_WIDE", wide)
    x, weight, bias, G = some(channels, innermost=innermost)
    found = convolve(x, weight, bias)
    torch.testing.assert_close(found, each(lambda x, w, b: F.conv2d(x, w, b, padding=1), x, weight, bias))
    torch.testing.assert_close(convolve(x, weight), each(lambda x, w: F.conv2d(x, w, padding=1), x, weight))
    of_x, of_weight = convolution_gradients(G, x, weight, (True, True))
    torch.testing.assert_close(of_x, each(lambda x, w, G: torch.nn.grad.conv2d_input(x.shape, w, G, padding=1), x, weight, G))
    by_task = each(lambda x, w, G: torch.nn.grad.conv2d_weight(x, w.shape, G, padding=1), x, weight, G)
    torch.testing.assert_close(of_weight, by_task)
    torch.testing.assert_close(filter_gradients(G, x, weight), by_task)


def test_what_is_not_needed_is_empty() -> None:
    x, weight, _, G = some(3, innermost=True)
    assert convolution_gradients(G, x, weight, (True, False))[1].numel() == 0
    assert convolution_gradients(G, x, weight, (False, True))[0].numel() == 0


def test_channels_stay_innermost_in_memory() -> None:
    x, weight, _, _ = some(3, innermost=True)
    if task_convolution.task_by_task.__module__ == task_convolution.__name__:  # groups are another order
        assert convolve(x, weight).flatten(0, 2).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_derivatives_of_any_order(channels: int) -> None:
    x, weight, bias, G = some(channels, innermost=True)
    few = (x[:1, :2, :1, :, :3, :4], weight[:1, :2, :2], bias[:1, :2, :2], G[:1, :2, :1, :2, :3, :4])  # two tasks, one image, two filters
    x, weight, bias, G = (value.detach().requires_grad_() for value in few)
    assert gradgradcheck(convolve, (x, weight, bias))
    assert gradgradcheck(lambda G, x, weight: convolution_gradients(G, x, weight, (True, True)), (G, x, weight))
