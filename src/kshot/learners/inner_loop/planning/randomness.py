"""Whether a forward pass draws random numbers: then tasks run in turn, each from a seed of its own.

Every operation is looked at as it runs, so that `F.dropout` and a user's own noise count as well as stock modules, and what other threads
of the process draw does not. Next: `plan`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kshot.seeding import seeded


def draws(run: Callable[[], object]) -> bool:
    """Whether an operation of `run` draws from PyTorch's generators; it runs once, without gradients, and the generators are put back."""
    with torch.no_grad(), seeded(0, "inner_loop/randomness"), _Watch() as watch:
        run()
    return bool(watch.drawn)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.drawn = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.drawn = self.drawn or torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))
