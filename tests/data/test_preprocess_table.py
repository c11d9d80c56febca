"""Preprocessings by name, and the one that does nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data.as_is import AsIs
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.data.preprocess import Preprocess
from kshot.data.preprocess_table import describe, preprocess_from, preprocesses
from kshot.data.vectors import Embedded
from kshot.errors import DataError, RecipeError


@pytest.mark.parametrize("preprocess", [AsIs(), Ink(), Ink(32), Picture(), Picture(16, 1, "pad")], ids=repr)
def test_what_is_described_can_be_built_again(preprocess: Preprocess) -> None:
    assert isinstance(preprocess, Preprocess)
    assert preprocess_from(json.loads(json.dumps(describe(preprocess)))) == preprocess


def test_the_table_holds_the_preprocessings_of_all_kinds_by_their_own_names() -> None:
    assert preprocesses() == {"as_is": AsIs, "embedded": Embedded, "ink": Ink, "picture": Picture}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"name": "inc"}, r"no preprocessing 'inc'\. Did you mean 'ink'\? The known ones are as_is, embedded, ink, picture"),
        ({"name": ["ink"]}, "no preprocessing"),
        ({"name": "ink", "arguments": {"side": 3}}, r"'ink' has no argument 'side'\. Did you mean 'size'\? The known ones are size"),
        ({"name": "as_is", "arguments": {"size": 3}}, r"'as_is' has no argument 'size'\. It has none\."),
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


@pytest.mark.parametrize(
    ("thing", "dtype", "values"),
    [
        ([1.5, 2, 3], np.float32, [1.5, 2.0, 3.0]),
        ((1, 2), np.int64, [1, 2]),
        ([[1, 0.5], [0, 2]], np.float32, [[1.0, 0.5], [0.0, 2.0]]),
        (7, np.int64, 7),
        (0.1, np.float32, np.float32(0.1)),
        ([True, False], np.bool_, [True, False]),
        (np.float64(2), np.float64, 2.0),
        (np.array([1, 2], np.int16), np.int16, [1, 2]),
        (np.array([[0.5]], np.float64), np.float64, [[0.5]]),
        ([np.float32(1), np.float32(2)], np.float32, [1.0, 2.0]),
    ],
)
def test_as_is_reads_numbers_and_arrays(thing: object, dtype: type[np.generic], values: object) -> None:
    read = AsIs().read(thing)
    assert (type(read), read.dtype) == (np.ndarray, dtype)
    assert read.tolist() == np.asarray(values).tolist()


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Image.new("L", (3, 2)), "expected arrays, found a picture of 3 × 2 pixels"),
        ("x.png", r"expected numbers, found 'x\.png': .* cannot read pictures, other files or text"),
        (Path("x.png"), r"expected numbers, found 'x\.png'"),
        ({"a": 1}, r"expected an array, a number or a list of numbers; found dict\. Convert it"),
        (None, "found NoneType"),
        (["a", "b"], r"expected numbers; found values of type <U1: \['a', 'b'\]"),
        ([1, None], "expected numbers; found values of type object"),
        ([10**30], "expected numbers; found values of type object"),
        ([], r"expected numbers; found nothing: \[\]"),
        ([[1, 2], [3]], "expected rows of equal lengths"),
        ([1.0, float("nan")], "every number must be finite; found NaN or infinity"),
        (np.array([np.inf]), "every number must be finite"),
    ],
)
def test_as_is_refuses_what_is_no_number_and_says_what_it_is(thing: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        AsIs().read(thing)


def test_preprocessings_are_printed_on_one_line() -> None:
    for preprocess in (AsIs(), Ink(), Picture()):
        assert len(repr(preprocess).splitlines()) == 1
        assert eval(repr(preprocess)) == preprocess
