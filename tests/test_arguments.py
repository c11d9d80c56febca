"""Constructors keep their plain arguments by themselves, through copies and pickles, whatever the class looks like."""

import copy
import inspect
import pickle
from collections.abc import Callable
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from torch import nn

from kshot.arguments import KeepsArguments, names_of_arguments


class Net(KeepsArguments, nn.Module):
    def __init__(self, width: int, depths: Any = (1, 2), *, rate: float = 0.5, backbone: nn.Module | None = None) -> None:
        super().__init__()
        self.width = width


class Narrow(Net):
    def __init__(self, factor: int = 3) -> None:
        super().__init__(factor * 2, rate=0.1)


class Named(Narrow):
    pass


class Loose(KeepsArguments):
    def __init__(self, one: int, *more: int, judge: Callable[[int], int] = abs, **rest: int) -> None: ...


class Nothing(KeepsArguments):
    pass


def test_given_arguments_and_defaults_are_kept_as_json_holds_them() -> None:
    assert Net(4).arguments == {"width": 4, "depths": [1, 2], "rate": 0.5}
    assert Net(4, rate=2, depths=[3]).arguments == {"width": 4, "depths": [3], "rate": 2}
    assert list(Net(depths=(), width=4).arguments) == ["width", "depths", "rate"]  # the constructor's order
    assert Nothing().arguments == {}


def test_a_subclass_keeps_what_its_own_constructor_was_given() -> None:
    assert Narrow(5).arguments == {"factor": 5}
    assert Named().arguments == {"factor": 3}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        ("x", "x"),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (Fraction(1, 2), 0.5),
        (range(3), [0, 1, 2]),
        (MappingProxyType({"a": (1, {"b": [2]})}), {"a": [1, {"b": [2]}]}),
    ],
)
def test_plain_values_are_copied_in_the_types_of_json(value: object, kept: object) -> None:
    found = Net(1, value).arguments["depths"]
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize("value", [nn.ReLU(), [abs], {1: 2}, b"x", {"a": object()}, np.zeros(2)])
def test_what_is_no_plain_value_is_left_out(value: object) -> None:
    assert Net(1, value).arguments == {"width": 1, "rate": 0.5}


def test_open_parameters_are_left_out_and_can_be_told_from_the_names() -> None:
    assert Loose(1, 2, 3, four=4).arguments == {"one": 1}
    assert names_of_arguments(Loose) == ("one", "more", "judge", "rest")
    assert names_of_arguments(Net) == ("width", "depths", "rate")


def test_what_is_kept_does_not_change_with_what_was_given() -> None:
    depths = [1, 2]
    net = Net(4, depths)
    depths.append(3)
    assert net.arguments["depths"] == [1, 2]
    with pytest.raises(TypeError):
        net.arguments["width"] = 5  # type: ignore[index]
    with pytest.raises(AttributeError):
        net.arguments = {}  # type: ignore[misc]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_keep_the_arguments_of_their_original(copied: Callable[[Net], Net]) -> None:
    again = copied(Net(4, rate=3.0))
    assert again.arguments == {"width": 4, "depths": [1, 2], "rate": 3.0}
    assert again.width == 4


def test_a_wrong_call_is_refused_by_the_constructor_in_its_own_words() -> None:
    with pytest.raises(TypeError, match=r"Net\.__init__\(\) got an unexpected keyword argument 'depth'"):
        Net(4, depth=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'width'"):
        Net()  # type: ignore[call-arg]


def test_the_signature_of_a_class_is_that_of_its_constructor() -> None:
    assert list(inspect.signature(Net).parameters) == ["width", "depths", "rate", "backbone"]
    assert list(inspect.signature(Named).parameters) == ["factor"]
