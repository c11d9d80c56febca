"""Backbones by name, and what a recipe may not ask of them."""

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.backbone import Backbone
from kshot.backbones.conv4 import Conv4
from kshot.backbones.table import BACKBONES, build_backbone, fitting_arguments
from kshot.errors import RecipeError
from kshot.learners.metric.protonet import ProtoNet
from kshot.saved.folder import load_folder, save

FORM = {"inputs": 48, "channels": 3}
"""What a constructor is told of the items, if it takes it: images (3, 32, 32), or vectors of 48 numbers."""
SMALL: dict[str, dict[str, Any]] = {
    "conv4": {"width": 4},
    "conv4_maps": {"width": 4},
    "conv4_strided": {"width": 4},
    "conv_maps": {"widths": [4, 4], "depths": [1, 2]},
    "mlp": {"hidden": [4], "outputs": 3},
    "resnet12": {"widths": [2, 3, 4, 5]},
}
"""Small networks, where the usual one is large. A new backbone needs no entry."""
SHAPES = {"efficientnet_lite0_late": (112, 4, 4), "minilm_late": (5, 384)}
"""Of an item, for a backbone that takes what one encoder gives."""


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_backbone_is_built_from_plain_values_and_embeds_items_alone(name: str) -> None:
    told = fitting_arguments(name, FORM)
    network = build_backbone(name, {**told, **SMALL.get(name, {})}).eval()
    x = torch.rand(3, FORM["inputs"]) if "inputs" in told else torch.rand(3, *SHAPES.get(name, (FORM["channels"], 32, 32)))
    features = network(x)
    assert features.ndim == (4 if name.endswith("_maps") else 2)
    assert len(features) == 3
    assert torch.isfinite(features).all()
    torch.testing.assert_close(features[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_backbone_is_built_again_from_the_arguments_that_it_kept(name: str) -> None:
    network = build_backbone(name, {**fitting_arguments(name, FORM), **SMALL.get(name, {})})
    assert set(network.arguments) == set(signature(BACKBONES[name]).parameters)
    again = build_backbone(name, network.arguments)
    assert again.arguments == network.arguments
    assert {key: value.shape for key, value in again.state_dict().items()} == {key: v.shape for key, v in network.state_dict().items()}


def test_a_backbone_is_told_what_its_constructor_takes() -> None:
    form = {"inputs": 300, "channels": 3, "atoms": 7}
    assert fitting_arguments("mlp", form) == {"inputs": 300}
    assert fitting_arguments("resnet12", form) == {"channels": 3}
    assert fitting_arguments("conv4", {}) == fitting_arguments("conf4", form) == {}  # an unknown one is refused when it is built


def test_arguments_reach_the_constructor() -> None:
    network = build_backbone("conv4", {"width": 8})
    assert isinstance(network, Conv4)
    assert network(torch.rand(1, 1, 28, 28)).shape == (1, 8)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("conv5", {}, r"no backbone 'conv5'\. Did you mean 'conv4'\? The known ones are .*conv4, conv4_maps, conv4_strided"),
        ("conv4", {"filters": 3}, r"backbone 'conv4' has no argument 'filters'\. The known ones are channels, width"),
        ("mpl", {"inputs": 4, "outputs": 0}, r"no backbone 'mpl'\. Did you mean 'mlp'\? "),
        ("conv4", {"width": "big"}, "backbone 'conv4': width must be a whole number; found 'big'"),
        ("conv4", {"width": 2.5}, "backbone 'conv4': width must be a whole number; found 2.5"),
        ("conv4", {"width": True}, "backbone 'conv4': width must be a whole number; found True"),
        ("conv4", {"width": [4]}, r"backbone 'conv4': width must be a whole number; found \[4\]"),
        ("conv4", {"width": 0}, "backbone 'conv4': width must be at least 1; found 0"),
        ("conv4", {"channels": -3}, "backbone 'conv4': channels must be at least 1; found -3"),
        ("conv4_strided", {"average": 3}, "backbone 'conv4_strided': average must be true or false; found 3"),
        ("mlp", {"inputs": 4, "hidden": [8, 0]}, r"backbone 'mlp': hidden must be at least 1; found \[8, 0\]"),
        ("mlp", {"inputs": 4, "hidden": 8}, "backbone 'mlp': hidden must be a list of whole numbers; found 8"),
        ("mlp", {"inputs": 4, "outputs": -1}, "backbone 'mlp': outputs must be at least 0; found -1"),
        (
            "conv_maps",
            {"widths": [4]},
            "widths and depths need one number per stage each; found 1 widths and 4 depths",
        ),
        ("mlp", {}, "'mlp' cannot be built with {}: .*'inputs'"),
        ("resnet12", {"widths": [4, 4, -1, 4]}, "backbone 'resnet12': widths must be at least 1"),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_backbone(name, arguments)


class Dropping(Backbone):
    """A backbone as a new developer writes it."""

    def __init__(self, inputs: int, *, bias: bool = True, dropout: float = 0.5, skip: int = 0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 4, bias=bias), nn.Dropout(dropout))
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


def test_a_new_backbone_takes_any_legal_value_and_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(BACKBONES, "dropping", Dropping)
    network = build_backbone("dropping", {"inputs": 6, "bias": False, "dropout": 0, "skip": 0})
    assert network.arguments == {"inputs": 6, "bias": False, "dropout": 0, "skip": 0}
    with pytest.raises(RecipeError, match="backbone 'dropping': bias must be true or false; found 0"):
        build_backbone("dropping", {"inputs": 6, "bias": 0})
    with pytest.raises(RecipeError, match=r"'dropping' cannot be built with \{'inputs': -6\}: Trying to create tensor with negative"):
        build_backbone("dropping", {"inputs": -6})
    save(tmp_path, ProtoNet(network))
    again = load_folder(tmp_path).learner.get_submodule("backbone")
    assert isinstance(again, Dropping)
    assert again.arguments == network.arguments
