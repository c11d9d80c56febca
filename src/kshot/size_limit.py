"""The size of a network, counted while it is built, so that a size that no memory holds is refused before it is allocated."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kshot.errors import RecipeError

MOST_NUMBERS = 100_000_000
"""Parameters and buffers of a network that kshot builds by name: eight times a ResNet-12. Training takes about five times their memory."""
MOST_TENSORS = 100_000

_MAKING = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.eye)
_FILLING = (torch.full, torch.arange, torch.linspace)
_COPYING = (Tensor.clone, Tensor.__deepcopy__, Tensor.contiguous, Tensor.repeat)


@contextmanager
def size_limit(what: str) -> Iterator[None]:
    """Refuse to build more than `MOST_NUMBERS` within the block.

    Args:
        what: What is built, as the subject of a sentence: `backbone 'mlp'`.

    Raises:
        RecipeError: It would hold more numbers, or more tensors than `MOST_TENSORS`.
    """
    with _Count(what):
        yield


class _Count(TorchFunctionMode):
    """Counts the numbers of new tensors, before they are made."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what, self._numbers, self._tensors = what, 0, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Count what `func` would make, then call it."""
        if func in _COPYING:
            self._count(args[0].numel())
        elif func in _MAKING or func in _FILLING:
            self._count(_numbers_of(func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _count(self, numbers: int) -> None:
        self._numbers += numbers
        self._tensors += 1
        if self._numbers > MOST_NUMBERS or self._tensors > MOST_TENSORS:
            raise RecipeError(
                f"{self._what} would hold {self._numbers:,} numbers in {self._tensors:,} tensors or more; at most {MOST_NUMBERS:,} in "
                f"{MOST_TENSORS:,} are built. Make it narrower or less deep."
            )


def _numbers_of(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Return how many numbers a function of `_MAKING` or `_FILLING` makes."""
    whole = [value for value in args if isinstance(value, int) and not isinstance(value, bool)]
    if func in (torch.arange, torch.linspace):
        return max([abs(value) for value in whole], default=0)
    size = kwargs.get("size", args[0] if args else ())
    if isinstance(size, (list, tuple)):
        return math.prod(size)
    return size * size if func is torch.eye and len(whole) == 1 else math.prod(whole)
