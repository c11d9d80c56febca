"""Preprocessings by name, and the one that does nothing."""

import json

import pytest
import torch
from PIL import Image

from kshot.data.as_is import AsIs
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.data.preprocess import Preprocess
from kshot.data.preprocess_table import PREPROCESSES, describe, preprocess_from
from kshot.errors import DataError, RecipeError


@pytest.mark.parametrize("preprocess", [AsIs(), Ink(), Ink(32), Picture(), Picture(16, 1, "pad")], ids=repr)
def test_what_is_described_can_be_built_again(preprocess: Preprocess) -> None:
    assert isinstance(preprocess, Preprocess)
    assert preprocess_from(json.loads(json.dumps(describe(preprocess)))) == preprocess


def test_the_table_names_each_by_its_own_name() -> None:
    assert {name: cls.name for name, cls in PREPROCESSES.items()} == {name: name for name in PREPROCESSES}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"name": "inc"}, "no preprocessing 'inc'; known are as_is, ink, picture"),
        ({"name": ["ink"]}, "no preprocessing"),
        ({"name": "ink", "arguments": {"side": 3}}, "'ink' has no argument 'side'; known are size"),
        ({"name": "as_is", "arguments": {"size": 3}}, "'as_is' has no argument 'size'; known are none"),
        ({"name": "ink", "arguments": [28]}, "arguments of preprocessing 'ink' are names with values"),
        ({"name": "picture", "arguments": {"size": -1}}, "size of 'picture' is a positive whole number"),
        ({"arguments": {}}, "described by a name and arguments"),
        ({"name": "ink", "size": 28}, "described by a name and arguments"),
        ("ink", "described by a name and arguments"),
    ],
)
def test_errors_list_what_is_known(description: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        preprocess_from(description)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64, torch.int32])
def test_as_is_keeps_types(dtype: torch.dtype) -> None:
    x = torch.tensor([[1, 2]], dtype=dtype)
    kept = AsIs().to_input({"tokens": x})
    assert not isinstance(kept, torch.Tensor)
    assert kept["tokens"] is x


def test_as_is_makes_numbers_of_bytes() -> None:
    assert torch.equal(AsIs().to_input(torch.tensor([0, 255], dtype=torch.uint8)), torch.tensor([0.0, 1.0]))  # type: ignore[arg-type]  # a tensor in, a tensor out
    assert torch.equal(AsIs().to_input(torch.tensor([False, True])), torch.tensor([0.0, 1.0]))  # type: ignore[arg-type]  # likewise


def test_as_is_reads_no_pictures() -> None:
    with pytest.raises(DataError, match="expected arrays, found a picture of 3 × 2 pixels"):
        AsIs().picture(Image.new("L", (3, 2)))
