"""3×3 convolutions and their gradients, for the maps of one task or of many tasks at once, each with its own weights.

Maps are (M, C, H, W), or (…, M, C, H, W) for many tasks, with channels innermost in memory. Weights are (…, width, C, 3, 3). On a CPU the
tasks are processed one after another: the maps of one task fit in the cache, and the library is 1.5 to 10 times as slow for one grouped
convolution with a group per task. On other devices the grouped convolution is used, so that no kernel is started per task. `in_front` is
the `torch.vmap` rule for operators that are built from these functions.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

POSITIONS = (-4, -2, -1)
"""The dimensions of maps (…, M, C, H, W) that are positions: all but those of tasks and channels."""
_FEW_PATCHES = 2**10
_MANY_CHANNELS = 16
_WIDE = torch.backends.cpu.get_cpu_capability() == "AVX512"
"""Whether the convolution library has vectors of 512 bits, which make it twice as fast as a matrix product.

This is what PyTorch says about the processor. The library decides for itself; where the two differ, the numbers are right but slower.
"""


def along_channels(values: Tensor) -> Tensor:
    """(…, C) → (…, 1, C, 1, 1)."""
    return values.unsqueeze(-2).unsqueeze(-1).unsqueeze(-1)


def in_front(function: Any, info: Any, in_dims: Sequence[int | None], arguments: Sequence[Any]) -> tuple[Any, Any]:
    """Apply the `torch.vmap` rule of an `autograd.Function` that accepts any number of first dimensions.

    An empty tensor stands for a value that is not needed; all tasks share it.
    """

    def moved(value: Any, dim: int | None) -> Any:
        if not isinstance(value, Tensor) or value.numel() == 0:
            return value
        return value.unsqueeze(0).expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)

    results = function.apply(*(moved(value, dim) for value, dim in zip(arguments, in_dims, strict=True)))
    if isinstance(results, Tensor):
        return results, 0
    return results, tuple(None if result.numel() == 0 else 0 for result in results)


def task_by_task(function: Callable[..., tuple[Tensor, ...]], *of_maps: Tensor) -> tuple[Tensor, ...]:
    """Apply a function of one task's tensors to many tasks: one after another on a CPU, all at once elsewhere.

    Args:
        function: Takes maps (M, C, H, W), weights (width, C, 3, 3) and values (C,). On devices other than a CPU, it must also accept
            further dimensions in front.
        *of_maps: Arguments of the function. The first one has the task dimensions and four more. Empty ones are passed on unchanged.
    """
    lead = of_maps[0].shape[:-4]
    if not lead or of_maps[0].device.type != "cpu":
        return function(*of_maps)
    tasks = lead.numel()
    own = [(value,) * tasks if value.numel() == 0 else value.flatten(0, len(lead) - 1).unbind() for value in of_maps]
    found = [function(*values) for values in zip(*own, strict=True)]
    return tuple(_together(values, lead) for values in zip(*found, strict=True))


def _together(values: Sequence[Tensor], lead: torch.Size) -> Tensor:
    """Join the values of the tasks and keep their memory layout, which `torch.stack` would not keep."""
    if values[0].numel() == 0:
        return values[0]
    joined = values[0] if len(values) == 1 else torch.cat(list(values))
    return joined.view(*lead, -1, *joined.shape[1:])


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute the convolution x ⋆ weight + bias, in the size of x; differentiable."""
    of_bias = x.new_empty(0) if bias is None else bias
    return task_by_task(_convolve, x, weight, of_bias)[0]


def _convolve(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor]:
    if x.ndim == 4:
        return (F.conv2d(x, weight, None if bias.numel() == 0 else bias, padding=1),)
    lead = x.shape[:-4]
    maps = F.conv2d(_as_channels(x), weight.flatten(0, -4), None if bias.numel() == 0 else bias.flatten(), padding=1, groups=lead.numel())
    return (_as_tasks(maps, lead),)


def convolution_gradients(G: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    """Return the gradients of ⟨x ⋆ weight, G⟩ for x and for weight; one that is not needed is empty. Differentiable."""
    dx, dw = task_by_task(partial(_convolution_gradients, needs=needs), G, x, weight)
    return dx, dw


def _convolution_gradients(G: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    lead = x.shape[:-4]
    values = (G, x, weight) if not lead else (_as_channels(G), _as_channels(x), weight.flatten(0, -4))
    mask = [*needs, False]
    dx, dw, _ = torch.ops.aten.convolution_backward(*values, None, [1, 1], [1, 1], [1, 1], False, [0, 0], lead.numel() if lead else 1, mask)
    empty = x.new_empty(0)
    if not lead:
        return dx if needs[0] else empty, dw if needs[1] else empty
    return _as_tasks(dx, lead) if needs[0] else empty, dw.view(weight.shape) if needs[1] else empty


def filter_gradients(G: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of ⟨x ⋆ weight, G⟩ with respect to weight; differentiable.

    For the few images of a support set, on a CPU with vectors of 256 bits and with channels innermost, it is a product with the patches of
    x. That is 1.1 to 1.6 times as fast as the convolution library, and one product for all tasks. For more images, and with vectors of 512
    bits (1000 µs for the product, 425 for the library), the library is as fast or faster.
    """
    *lead, M, C, H, W = x.shape
    innermost = x.stride(-3) == 1 == G.stride(-3)
    if x.device.type != "cpu" or _WIDE or C < _MANY_CHANNELS or M * H * W > _FEW_PATCHES or not innermost:
        return convolution_gradients(G, x, weight, (False, True))[1]
    padded = F.pad(x.flatten(0, -4).permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    windows = padded.unfold(1, 3, 1).unfold(2, 3, 1)  # (…·M, H, W, C, 3, 3)
    patches = windows.permute(0, 1, 2, 4, 5, 3).reshape(*lead, M * H * W, 9 * C)
    product = G.movedim(-3, -1).reshape(*lead, M * H * W, -1).mT @ patches  # (…, width, 9·C)
    return product.view(*lead, -1, 3, 3, C).movedim(-1, -3)


def _as_channels(maps: Tensor) -> Tensor:
    """(…, M, C, H, W) → (M, …·C, H, W): tasks side by side as channels."""
    return maps.movedim(-4, 0).flatten(1, -3)


def _as_tasks(maps: Tensor, lead: torch.Size) -> Tensor:
    """(M, …·C, H, W) → (…, M, C, H, W)."""
    return maps.view(len(maps), *lead, -1, *maps.shape[2:]).movedim(0, -4)
