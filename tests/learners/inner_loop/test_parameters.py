"""Which parameters adapt: by name, by the last layers, tied weights once; and what is refused."""

import pytest
import torch
from torch import nn

from kshot.errors import RecipeError
from kshot.learners.inner_loop.parameters import Adapt, divide_parameters


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("adapt", "expected"),
    [
        (None, {"0.weight", "0.bias", "1.weight", "1.bias", "2.0.weight", "2.0.bias", "3.weight", "3.bias"}),
        (1, {"3.weight", "3.bias"}),
        (2, {"2.0.weight", "2.0.bias", "3.weight", "3.bias"}),
        ("2", {"2.0.weight", "2.0.bias"}),
        (["3.bias", "0"], {"0.weight", "0.bias", "3.bias"}),
    ],
)
def test_parameters_are_chosen(adapt: Adapt, expected: set[str]) -> None:
    module = network()
    parts = divide_parameters(module, adapt)
    assert set(parts.adapting) == expected
    assert set(parts.adapting) | set(parts.shared) == set(dict(module.named_parameters()))
    assert not set(parts.adapting) & set(parts.shared)


def test_a_prefix_is_a_whole_name() -> None:
    module = nn.ModuleDict({"head": nn.Linear(1, 1), "head2": nn.Linear(1, 1)})
    assert set(divide_parameters(module, "head").adapting) == {"head.weight", "head.bias"}


def test_a_tied_weight_adapts_once_whichever_name_is_given() -> None:
    module = nn.ModuleDict({"embed": nn.Embedding(5, 3), "decode": nn.Linear(3, 5, bias=False)})
    module["decode"].weight = module["embed"].weight
    assert list(divide_parameters(module).adapting) == ["embed.weight"]
    assert list(divide_parameters(module, "decode").adapting) == ["embed.weight"]


def test_a_frozen_backbone_is_left_out_of_both_parts() -> None:
    module = network()
    module[0].requires_grad_(False)
    parts = divide_parameters(module, 1)
    assert not {"0.weight", "0.bias"} & {*parts.adapting, *parts.shared}


def frozen() -> nn.Module:
    return network().requires_grad_(False)


def on_two_devices() -> nn.Module:
    module = network()
    module[3].to("meta")
    return module


@pytest.mark.parametrize(
    ("module", "adapt", "message"),
    [
        (nn.ReLU(), None, r"nothing adapts: of 0 parameters of ReLU, 0 are trainable.*Name layers"),
        (frozen(), None, "nothing adapts: of 8 parameters of Sequential, 0 are trainable"),
        (frozen(), "3", "'3.bias' shall adapt, but is frozen"),
        (network(), [], r"nothing adapts.*adapt=\[\] chooses none"),
        (network(), "last", "no parameter is named 'last'.*layers are 0, 1, 2.0, 3"),
        (network(), 0, "the last 1 to 4 layers can adapt; found adapt=0"),
        (network(), 5, "the last 1 to 4 layers can adapt; found adapt=5"),
        (on_two_devices(), None, r"one device; found '0.weight' on cpu and '3.weight' on meta. Move the module"),
    ],
)
def test_what_makes_no_sense_is_refused(module: nn.Module, adapt: Adapt, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        divide_parameters(module, adapt)


def test_numbers_that_are_not_floating_are_refused() -> None:
    module = network()
    module[3].weight = nn.Parameter(torch.zeros(2, 3, dtype=torch.complex64))
    with pytest.raises(RecipeError, match=r"'3.weight' shall adapt, but is torch.complex64; gradient steps need floating numbers"):
        divide_parameters(module)


def test_integer_parameters_do_not_adapt_and_are_named_when_asked_for() -> None:
    module = network()
    module[3].weight = nn.Parameter(torch.zeros(2, 3, dtype=torch.int64), requires_grad=False)
    assert "3.weight" not in divide_parameters(module).adapting
    with pytest.raises(RecipeError, match=r"'3.weight' shall adapt, but is torch.int64"):
        divide_parameters(module, "3")
