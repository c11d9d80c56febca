"""Many tasks at once by standing them side by side as channels: the rule of `torch.vmap` for operators that treat channels apart.

B tasks' maps (M, C, H, W) become maps (M, B·C, H, W), their values of channels (C,) become (B·C,), and their convolution weights
(width, C, 3, 3) become those of B groups, (B·width, C, 3, 3). An empty tensor, which stands for something not needed, is one for all.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def along_channels(values: Tensor) -> Tensor:
    """(C,) → (C, 1, 1)."""
    return values.view(-1, 1, 1)


def over_channels(function: Any, info: Any, in_dims: Sequence[int | None], arguments: Sequence[Any]) -> tuple[Any, Any]:
    """The rule of `torch.vmap` for an `autograd.Function` whose tensors are all maps or values of channels."""
    folded = (fold(value, dim, info.batch_size) for value, dim in zip(arguments, in_dims, strict=True))
    return unfold(function.apply(*folded), info.batch_size)


def in_front(function: Any, info: Any, in_dims: Sequence[int | None], arguments: Sequence[Any]) -> tuple[Any, Any]:
    """The rule of `torch.vmap` for an `autograd.Function` that takes any number of first dimensions as they are."""

    def moved(value: Any, dim: int | None) -> Any:
        if not isinstance(value, Tensor) or value.numel() == 0:
            return value
        return value.unsqueeze(0).expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)

    results = function.apply(*(moved(value, dim) for value, dim in zip(arguments, in_dims, strict=True)))
    return results, tuple(None if result.numel() == 0 else 0 for result in results)


def fold(value: Any, dim: int | None, tasks: int) -> Any:
    """Maps or values of channels with the dimension of tasks folded into the channels; what is the same for all tasks is repeated."""
    if not isinstance(value, Tensor) or value.numel() == 0:
        return value
    together = value.unsqueeze(0).expand(tasks, *value.shape) if dim is None else value.movedim(dim, 0)
    if together.ndim == 2:
        return together.flatten()
    # (B, M, C, H, W) → (M, B·C, H, W) with channels innermost: no copy where the maps come from another operator that was folded.
    return together.permute(1, 3, 4, 0, 2).flatten(3).permute(0, 3, 1, 2)


def fold_weight(weight: Tensor, dim: int | None, tasks: int) -> Tensor:
    """Weights of a convolution (width, C, 3, 3) of each task as those of one in groups, (B·width, C, 3, 3)."""
    together = weight.unsqueeze(0).expand(tasks, *weight.shape) if dim is None else weight.movedim(dim, 0)
    return together.flatten(0, 1)


def unfold(results: Sequence[Tensor], tasks: int) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
    """Maps (M, B·C, H, W) → (M, B, C, H, W) and values (B·C,) → (B, C), with the dimension of tasks of each."""
    dims = tuple(None if result.numel() == 0 else int(result.ndim > 1) for result in results)
    return tuple(result if dim is None else split(result, dim, tasks) for result, dim in zip(results, dims, strict=True)), dims


def split(value: Tensor, dim: int, tasks: int) -> Tensor:
    """A dimension of B·C as two, of B and C."""
    return value.view(*value.shape[:dim], tasks, value.shape[dim] // tasks, *value.shape[dim + 1 :])
