"""The gradient of a function of dictionaries of tensors, by PyTorch's tape.

The modes (`unrolled`, `flat`, `first_order`, `implicit`) are written on top of it, for one task or for many at once: the losses of tasks
do not depend on each other's parameters, so the gradient of their sum holds the gradient of each.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from kshot.errors import RecipeError
from kshot.learners.inner_loop.parameters import Tensors

Function = Callable[..., tuple[Tensor, Any]]
"""Dictionaries of tensors → a scalar, or one of each of many tasks (B,); and anything else that is to be handed through."""


def gradient(function: Function, *at: Tensors, again: bool) -> tuple[tuple[Tensors, ...], Tensor, Any]:
    """The gradient of a function, or of the sum of its values, with respect to every dictionary; zeros for what it does not depend on.

    Args:
        function: Takes these dictionaries.
        *at: Where; a tensor that is part of a graph stays part of it.
        again: Whether the gradient will itself be differentiated.

    Returns:
        The gradients, the value, and what the function handed through.

    Raises:
        RecipeError: The value depends on none of the tensors, or an operation cannot be differentiated.
    """
    require_tape()
    with torch.enable_grad():
        leaves = [{name: value if value.requires_grad else value.detach().requires_grad_() for name, value in part.items()} for part in at]
        flat = [value for part in leaves for value in part.values()]
        with _named_faults():
            value, rest = function(*leaves)
            if not value.requires_grad:
                raise RecipeError(NO_DEPENDENCE)
            slopes = iter(torch.autograd.grad(value.sum(), flat, create_graph=again, allow_unused=True, materialize_grads=True))
    return tuple({name: next(slopes) for name in part} for part in leaves), value if again else value.detach(), rest


def pulled_back(values: Tensors, weights: Tensors, *at: Tensors) -> tuple[Tensors, ...]:
    """The gradient of Σ ⟨values, weights⟩ with respect to every dictionary; zeros for what it does not depend on.

    Args:
        values: Parts of a graph, which stays, so that others may be pulled back through it.
        weights: Tensors in the shapes of the values.
        *at: Leaves of the graph, or other parts of it.

    Raises:
        RecipeError: An operation cannot be differentiated.
    """
    flat = [value for part in at for value in part.values()]
    parts = [name for name, value in values.items() if value.requires_grad]
    if not parts:
        return tuple({name: torch.zeros_like(value) for name, value in part.items()} for part in at)
    with _named_faults():
        found = torch.autograd.grad(
            [values[name] for name in parts],
            flat,
            [weights[name] for name in parts],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
    slopes = iter(found)
    return tuple({name: next(slopes) for name in part} for part in at)


def require_tape() -> None:
    """Refuse a place where PyTorch cannot take gradients at all.

    Raises:
        RecipeError: Inside `torch.inference_mode()`.
    """
    if torch.is_inference_mode_enabled():
        raise RecipeError("gradient steps cannot be taken inside torch.inference_mode(). Use torch.no_grad() there: adapt allows for it.")


NO_DEPENDENCE = (
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
    """Within the block, in all threads, attention is computed by operations that have second derivatives.

    PyTorch's fused kernels have none, and `nn.MultiheadAttention`'s fast path has no derivative at all. The switch belongs to the
    process, so the first block that begins sets it and the last one that ends puts it back.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _settings.enter_context(sdpa_kernel(SDPBackend.MATH))
            _settings.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
            torch.backends.mha.set_fastpath_enabled(False)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _settings.close()
