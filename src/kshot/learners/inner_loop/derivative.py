"""The gradient of a function of dictionaries of tensors, in the two ways that PyTorch has: its tape, and `torch.func`.

The modes (`unrolled`, `flat`, `first_order`, `implicit`) are written once, on top of either. The tape is the quicker one for a task alone;
transforms go through `torch.vmap`, always as `vmap` over gradients. The other order, an outer gradient over `vmap`, is wrong on CPU
for native batch normalisation with batch statistics (PyTorch 2.13: 0.2 % off after one inner step, up to 24 % after five), and no
function of this folder takes it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from kshot.errors import RecipeError
from kshot.learners.inner_loop.parameters import Tensors

Function = Callable[..., tuple[Tensor, Any]]
"""Dictionaries of tensors → a scalar, and anything else that is to be handed through."""


class Gradient(Protocol):
    """Differentiates a `Function`."""

    def __call__(self, function: Function, *at: Tensors, again: bool) -> tuple[tuple[Tensors, ...], Tensor, Any]:
        """The gradient with respect to every dictionary, the value, and what the function handed through.

        Args:
            function: Of these dictionaries.
            *at: Where; a tensor that is part of a graph stays part of it.
            again: Whether the gradient will itself be differentiated.

        Raises:
            RecipeError: The value depends on none of the tensors, or an operation cannot be differentiated.
        """
        ...


def by_tape(function: Function, *at: Tensors, again: bool) -> tuple[tuple[Tensors, ...], Tensor, Any]:
    """`Gradient` by `torch.autograd`; zeros for what the value does not depend on."""
    with torch.enable_grad():
        leaves = [{name: value if value.requires_grad else value.detach().requires_grad_() for name, value in part.items()} for part in at]
        flat = [value for part in leaves for value in part.values()]
        with _named_faults():
            value, rest = function(*leaves)
            if not value.requires_grad:
                raise RecipeError(_NO_DEPENDENCE)
            slopes = iter(torch.autograd.grad(value, flat, create_graph=again, allow_unused=True, materialize_grads=True))
    return tuple({name: next(slopes) for name in part} for part in leaves), value if again else value.detach(), rest


def by_transform(function: Function, *at: Tensors, again: bool) -> tuple[tuple[Tensors, ...], Tensor, Any]:
    """`Gradient` by `torch.func`, which can be differentiated and vectorised whether `again` or not."""
    with _named_faults():
        slopes, (value, rest) = torch.func.grad_and_value(function, argnums=tuple(range(len(at))), has_aux=True)(*at)
    return slopes, value, rest


_NO_DEPENDENCE = (
    "the loss does not depend on any parameter that adapts, so there is no step to take. "
    "Adapt parameters that the outputs use; look for a detach(), an argmax or a no_grad in the module."
)


@contextmanager
def _named_faults() -> Iterator[None]:
    """What PyTorch cannot differentiate (a second time) becomes an error that says what to use instead."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        text = str(error).partition("\n")[0].rstrip(".")
        if "cudnn" in text.lower() and "rnn" in text.lower():
            cure = (
                "Use nn.LSTMCell or nn.GRUCell in a loop, or torch.backends.cudnn.flags(enabled=False) around the call; "
                "or first_order_maml."
            )
            raise RecipeError(f"cuDNN's recurrent networks cannot be differentiated here: {text}. {cure}") from error
        if "derivative for" in text and "not implemented" in text:
            raise RecipeError(
                f"an operation of the module has no second derivative in PyTorch: {text}. Use another operation, or first_order_maml."
            ) from error
        raise


_lock = threading.Lock()
_inside = 0
_settings = ExitStack()


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """Within the block, in all threads, scaled dot-product attention is computed by operations that have second derivatives.

    PyTorch's fused kernels have none. The switch belongs to the process, so the first block that begins sets it and the last one that
    ends puts it back.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _settings.enter_context(sdpa_kernel(SDPBackend.MATH))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _settings.close()
