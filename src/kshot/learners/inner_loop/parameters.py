"""Which parameters of a module adapt to a task, and which only learn from all tasks.

In: a stock module. Out: its trainable parameters by name, in two dictionaries. A weight that is tied (one tensor under several names)
has one name here, its first, and so adapts once; `torch.func.functional_call` puts it in all its places. Next: `task_loss`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kshot.errors import RecipeError
from kshot.learners.backbone_form import require_shapes

Tensors = dict[str, Tensor]
Adapt = int | str | Sequence[str] | None
"""None: all trainable parameters. n: those of the last n layers. A prefix or several: the modules or parameters of that name."""


class Parameters(NamedTuple):
    """A module's trainable parameters by name; together they are all of them.

    Attributes:
        adapting: Changed by the inner steps, from the values that they have here.
        shared: The same for all tasks; the outer gradient reaches them nevertheless.
    """

    adapting: Tensors
    shared: Tensors


def divide_parameters(module: nn.Module, adapt: Adapt = None) -> Parameters:
    """Divide a module's trainable parameters.

    Args:
        module: Any. Parameters that need no gradient (a frozen backbone) are in neither part.
        adapt: Which adapt. A layer is a module that holds parameters itself; layers are in the order in which they were registered.

    Raises:
        RecipeError: Nothing adapts; a name is unknown or frozen; parameters are on two devices, or are no floating numbers.
    """
    named: Tensors = dict(module.named_parameters())
    require_shapes(named.items())
    _check_devices(named)
    trainable = {name: value for name, value in named.items() if value.requires_grad}
    chosen = set(trainable) if adapt is None else _chosen(module, named, adapt)
    for name in sorted(chosen | set(trainable)):
        if not named[name].is_floating_point():
            what = "shall adapt, but is" if name in chosen else "is"
            raise RecipeError(f"{name!r} {what} {named[name].dtype}; gradient steps need floating numbers. Convert it, or freeze it.")
    if frozen := sorted(chosen - set(trainable)):
        raise RecipeError(f"{frozen[0]!r} shall adapt, but is frozen (requires_grad=False). Unfreeze it, or adapt others.")
    if not chosen:
        raise RecipeError(
            f"nothing adapts: of {len(named)} parameters of {type(module).__name__}, {len(trainable)} are trainable and "
            f"adapt={adapt!r} chooses none. Name layers that have trainable parameters."
        )
    adapting = {name: value for name, value in trainable.items() if name in chosen}
    return Parameters(adapting, {name: value for name, value in trainable.items() if name not in chosen})


def for_each(values: Tensors, tasks: int) -> Tensors:
    """The same numbers for each task, with a first dimension of tasks; each task's in the memory layout of the original."""
    if tasks == 1:
        return {name: value.detach().unsqueeze(0) for name, value in values.items()}
    repeated = {}
    for name, value in values.items():
        dense = torch.empty_like(value)  # of a view with gaps, an order without them
        strides = (max(1, value.numel()), *dense.stride())
        repeated[name] = value.new_empty(0).new_empty_strided((tasks, *value.shape), strides).copy_(value.detach())
    return repeated


def copied(values: Tensors) -> Tensors:
    """The same numbers, without a graph, in memory of their own: what a forward pass does to them does not reach the module."""
    return {name: value.detach().clone() for name, value in values.items()}


def inner(a: Tensors, b: Tensors) -> Tensor:
    """Σ a b over all tensors (B, …) of each task: (B,)."""
    products = [value * b[name] for name, value in a.items()]
    return torch.stack([value.reshape(len(value), -1).sum(1) for value in products]).sum(0)


def times(factor: Tensor, values: Tensors) -> Tensors:
    """One number per task (B,) times all tensors (B, …)."""
    return {name: value * factor.view((*factor.shape, *[1] * (value.ndim - factor.ndim))) for name, value in values.items()}


def _check_devices(named: Tensors) -> None:
    first: dict[str, str] = {}
    for name, value in named.items():
        first.setdefault(str(value.device), name)
    if len(first) > 1:
        places = " and ".join(f"{name!r} on {device}" for device, name in first.items())
        raise RecipeError(f"all parameters must be on one device; found {places}. Move the module to one: module.to(device).")


def _chosen(module: nn.Module, named: Tensors, adapt: int | str | Sequence[str]) -> set[str]:
    """The names that `adapt` means, tied weights under their first name."""
    layers = [(path, layer) for path, layer in module.named_modules() if any(value is not None for value in layer._parameters.values())]
    first_name = {id(value): name for name, value in named.items()}
    if isinstance(adapt, int):
        if not 1 <= adapt <= len(layers):
            raise RecipeError(f"the last 1 to {len(layers)} layers can adapt; found adapt={adapt}. Choose a number in between.")
        return {first_name[id(value)] for _, layer in layers[-adapt:] for value in layer.parameters(recurse=False) if value.requires_grad}
    every_name = dict(module.named_parameters(remove_duplicate=False))
    chosen: set[str] = set()
    for prefix in [adapt] if isinstance(adapt, str) else adapt:
        found = {first_name[id(value)] for name, value in every_name.items() if f"{name}.".startswith(f"{prefix.rstrip('.')}.")}
        if not found:
            known = ", ".join(path for path, _ in layers if path) or ", ".join(named)
            raise RecipeError(f"no parameter is named {prefix!r} or lies inside a module of that name; layers are {known}.")
        chosen |= found
    return chosen
