"""Backbones by name, and what a recipe may not ask of them."""

from typing import Any

import pytest
import torch

from kshot.backbones.conv4 import Conv4
from kshot.backbones.table import BACKBONES, build_backbone, fitting_arguments
from kshot.errors import RecipeError

SMALL: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "conv4": ({"channels": 1, "width": 4}, (1, 28, 28)),
    "conv4_maps": ({"channels": 1, "width": 4}, (1, 28, 28)),
    "conv4_strided": ({"channels": 1, "width": 4}, (1, 28, 28)),
    "conv_maps": ({"channels": 1, "widths": [4, 4], "depths": [1, 2]}, (1, 28, 28)),
    "flat": ({}, (1, 5, 5)),
    "mlp": ({"inputs": 6, "hidden": [4], "outputs": 3}, (6,)),
    "resnet12": ({"channels": 3, "widths": [2, 3, 4, 5]}, (3, 32, 32)),
}


@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_backbone_is_built_from_plain_values_and_embeds_items_alone(name: str) -> None:
    arguments, shape = SMALL[name]
    network = build_backbone(name, arguments).eval()
    x = torch.rand(3, *shape)
    features = network(x)
    assert features.ndim == (4 if name.endswith("_maps") else 2)
    assert len(features) == 3
    assert torch.isfinite(features).all()
    torch.testing.assert_close(features[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


def test_a_backbone_is_told_what_its_constructor_takes() -> None:
    form = {"inputs": 300, "channels": 3, "atoms": 7}
    told = {name: fitting_arguments(name, form) for name in BACKBONES}
    assert told.pop("mlp") == {"inputs": 300}
    assert told.pop("flat") == {}
    assert set(map(str, told.values())) == {"{'channels': 3}"}
    assert fitting_arguments("conv4", {}) == fitting_arguments("conf4", form) == {}  # an unknown one is refused when it is built


def test_arguments_reach_the_constructor() -> None:
    network = build_backbone("conv4", {"width": 8})
    assert isinstance(network, Conv4)
    assert network(torch.rand(1, 1, 28, 28)).shape == (1, 8)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "conv5",
            {},
            r"no backbone 'conv5'\. Did you mean 'conv4'\? The known ones are conv4, conv4_maps, conv4_strided, conv_maps, flat, mlp",
        ),
        ("conv4", {"filters": 3}, r"backbone 'conv4' has no argument 'filters'\. The known ones are channels, width"),
        ("mpl", {"inputs": 4, "outputs": 0}, r"no backbone 'mpl'\. Did you mean 'mlp'\? "),
        ("conv4", {"width": "64"}, "'conv4' cannot be built with"),
        ("conv4", {"width": 2.5}, "'conv4' cannot be built with"),
        ("conv4", {"width": True}, "backbone 'conv4': width must be at least 1; found True"),
        ("conv4", {"width": 0}, "backbone 'conv4': width must be at least 1; found 0"),
        ("conv4", {"channels": -3}, "backbone 'conv4': channels must be at least 1; found -3"),
        ("conv4_strided", {"average": 3}, "backbone 'conv4_strided': average must be true or false; found 3"),
        ("mlp", {"inputs": 4, "hidden": [8, 0]}, r"backbone 'mlp': hidden must be at least 1; found \[8, 0\]"),
        ("mlp", {}, "'mlp' cannot be built with {}: .*'inputs'"),
        ("resnet12", {"widths": [4, 4, -1, 4]}, "backbone 'resnet12': widths must be at least 1"),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_backbone(name, arguments)
