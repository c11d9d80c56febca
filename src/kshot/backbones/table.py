"""Backbones by name, for recipes and saved learners.

Each backbone keeps the plain values that its constructor was given as `arguments`. A saved learner is rebuilt from them.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from torch import nn

from kshot.backbones.conv4 import Conv4
from kshot.backbones.conv4_maps import Conv4Maps
from kshot.backbones.conv4_strided import Conv4Strided
from kshot.backbones.conv_maps import ConvMaps
from kshot.backbones.flat import Flat
from kshot.backbones.mlp import MLP
from kshot.backbones.resnet12 import ResNet12
from kshot.construct import construct
from kshot.errors import RecipeError

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "conv4": Conv4,
    "conv4_maps": Conv4Maps,
    "conv4_strided": Conv4Strided,
    "conv_maps": ConvMaps,
    "flat": Flat,
    "mlp": MLP,
    "resnet12": ResNet12,
}
SWITCHES = {("conv4_strided", "average")}
"""(backbone, argument) pairs whose value is true or false."""


def fitting_arguments(name: str, form: Mapping[str, int]) -> dict[str, int]:
    """Choose what a backbone is told of the form of the items: the arguments of its constructor that the form names.

    Args:
        name: The backbone. Nothing is chosen for an unknown one, which building refuses.
        form: What is known of an item, under the names of arguments: `channels`, `inputs`.

    Example:
        >>> fitting_arguments("mlp", {"inputs": 300, "channels": 3}), fitting_arguments("conv4", {"inputs": 300, "channels": 3})
        ({'inputs': 300}, {'channels': 3})
    """
    taken = signature(BACKBONES[name]).parameters if name in BACKBONES else ()
    return {argument: form[argument] for argument in taken if argument in form}


def build_backbone(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build the backbone of that name with these constructor arguments.

    Raises:
        RecipeError: The name or an argument is unknown, a count is not positive, or a switch is neither true nor false.
    """
    for argument, value in (
        arguments.items() if name in BACKBONES else ()
    ):  # every whole number among these arguments is a count, except for switches
        if (name, argument, value) == ("mlp", "outputs", 0) and not isinstance(value, bool):
            continue  # zero outputs: the network has no last layer
        if (name, argument) in SWITCHES:
            if not isinstance(value, bool):
                raise RecipeError(f"backbone {name!r}: {argument} must be true or false; found {value!r}.")
            continue
        for count in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(count, bool) or (isinstance(count, int) and count < 1):
                raise RecipeError(f"backbone {name!r}: {argument} must be at least 1; found {value!r}.")
    return construct("backbone", name, BACKBONES, arguments, {})
