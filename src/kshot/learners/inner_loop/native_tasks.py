"""Small networks that take many tasks as they are, each with parameters of its own, and need no `torch.vmap`.

`torch.vmap` runs any module on many tasks, at the price of a tenth of a millisecond and more an operation of ours: a third of the time of
a step on five tasks of ten images. Linear layers, element-wise activations and the strided block do the same with one more first dimension
of items and parameters. Whether they really do is compared, like everything that runs tasks together (`plan.fault_together`).
"""

from collections.abc import Collection
from types import MethodType

import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.conv4_strided import Conv4Strided
from kshot.backbones.mlp import MLP
from kshot.backbones.strided_block import StridedBlock

_ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Tanh, nn.Identity)
_CONTAINERS = (nn.Sequential, MLP, Conv4Strided)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def takes_tasks(module: nn.Module, own: Collection[str]) -> bool:
    """Whether a module does with tasks what it does with one task, after `carry_tasks`.

    Args:
        module: Any; a subclass, which may compute otherwise, does not count as what it is a subclass of.
        own: The names of the parameters of which each task has its own: it must be all of them.
    """
    return {name for name, _ in module.named_parameters()} <= {*own} and _known(module)


def _known(module: nn.Module) -> bool:
    if any(getattr(module, hooks) for hooks in _HOOKS):
        return False
    if type(module) in _CONTAINERS or vars(type(module)).get("passes_tasks", False):
        return all(_known(part) for part in module.children())
    return type(module) in (*_ELEMENTWISE, nn.Linear, StridedBlock)


def carry_tasks(module: nn.Module) -> None:
    """Replace what linear layers compute by the same for one task or many; of a private copy of a module."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.forward = MethodType(_linear, part)  # type: ignore[method-assign]
        elif type(part) is MLP:
            part.forward = MethodType(_mlp, part)  # type: ignore[method-assign]


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """(n, …, in) → (n, …, out), or (B, n, …, in) → (B, n, …, out) with weights (B, out, in)."""
    if layer.weight.ndim == 2:
        return F.linear(x, layer.weight, layer.bias)
    between = (slice(None), *[None] * (x.ndim - 3))  # dimensions of an item, which all have the task's weights
    product = x @ layer.weight.mT[between]
    return product if layer.bias is None else product + layer.bias[between].unsqueeze(-2)


def _mlp(network: MLP, x: Tensor) -> Tensor:
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    features: Tensor = network.layers(x.flatten(first.weight.ndim - 1))
    return features
