"""Backbones by name, for recipes and saved learners.

A new backbone is one file with a `Backbone` and one line in `BACKBONES`. The table lists classes, so that a type checker refuses a network
that does not keep its arguments.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from kshot.backbones.adapter import Adapter
from kshot.backbones.backbone import Backbone
from kshot.backbones.conv4 import Conv4
from kshot.backbones.conv4_maps import Conv4Maps
from kshot.backbones.conv4_strided import Conv4Strided
from kshot.backbones.conv_maps import ConvMaps
from kshot.backbones.efficientnet_lite import EfficientNetLite0, EfficientNetLite2
from kshot.backbones.efficientnet_lite0_late import EfficientNetLite0Late
from kshot.backbones.flat import Flat
from kshot.backbones.minilm_late import MiniLMLate
from kshot.backbones.mlp import MLP
from kshot.backbones.resnet12 import ResNet12
from kshot.construct import construct

BACKBONES: dict[str, type[Backbone]] = {
    "adapter": Adapter,
    "conv4": Conv4,
    "conv4_maps": Conv4Maps,
    "conv4_strided": Conv4Strided,
    "conv_maps": ConvMaps,
    "efficientnet_lite0": EfficientNetLite0,
    "efficientnet_lite0_late": EfficientNetLite0Late,
    "efficientnet_lite2": EfficientNetLite2,
    "flat": Flat,
    "minilm_late": MiniLMLate,
    "mlp": MLP,
    "resnet12": ResNet12,
}


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


def build_backbone(name: str, arguments: Mapping[str, Any]) -> Backbone:
    """Build the backbone of that name with these constructor arguments.

    Raises:
        RecipeError: The name or an argument is unknown, or the class refuses a value.
    """
    return construct("backbone", name, BACKBONES, arguments, {})
