"""What one kind of data says about itself."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from kshot.data.array_tasks import ArrayTasks
from kshot.data.arrays import ArrayDataset
from kshot.data.as_is import AsIs
from kshot.data.kind import Kind, form_of_item
from kshot.data.pictures.image_folder import PICTURES
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.omniglot import OMNIGLOT
from kshot.data.pictures.picture import Picture
from kshot.data.preprocess import Preprocess
from kshot.data.sinusoids import SINUSOIDS
from kshot.errors import DataError, RecipeError


def test_the_form_of_an_item_is_that_which_a_network_reads() -> None:
    one = ["a", "b"]
    assert form_of_item(ArrayDataset(np.zeros((2, 7), np.float32), one)) == {"inputs": 7}
    assert form_of_item(ArrayDataset(np.zeros((2, 3, 4, 5), np.uint8), one)) == {"inputs": 60, "channels": 3}
    assert form_of_item(ArrayDataset({"a": np.zeros((2, 7), np.float32)}, one)) == {}
    assert form_of_item(ArrayTasks(np.zeros((2, 2), np.float32), [0.0, 1.0], one)) == {"inputs": 2}
    assert form_of_item(ArrayDataset(np.zeros(2, np.float32), one)) == {"inputs": 1}


def test_settings_are_those_of_opening_and_of_the_preprocessings() -> None:
    assert OMNIGLOT.settings() == ("rotations", "size", "zoom", "levels")
    assert PICTURES.settings() == ("parts", "duplicates", "size", "channels", "fit", "levels", "zoom")
    assert SINUSOIDS.settings() == ()
    assert (OMNIGLOT.open_settings(), PICTURES.open_settings()) == (("rotations",), ("parts", "duplicates"))


def test_the_first_preprocessing_is_the_usual_one() -> None:
    settings = {"size": 20, "channels": 1, "zoom": 0.5, "rotations": "none"}
    assert PICTURES.make_preprocess("auto", settings) == PICTURES.make_preprocess("picture", settings) == Picture(20, 1)
    assert PICTURES.make_preprocess("ink", settings) == OMNIGLOT.make_preprocess("auto", settings) == Ink(20, 0.5)
    assert SINUSOIDS.make_preprocess("auto", settings) == AsIs()
    with pytest.raises(
        RecipeError, match=r"holds pictures; it takes no preprocessing 'pictur'\. Did you mean 'picture'\? .*'picture', 'ink'"
    ):
        PICTURES.make_preprocess("pictur", {})
    with pytest.raises(RecipeError, match="size of 'ink' is a positive whole number"):
        OMNIGLOT.make_preprocess("auto", {"size": -1})


@pytest.mark.parametrize(
    ("kind", "preprocess", "message"),
    [
        (OMNIGLOT, Picture(), "omniglot is ink on paper; this learner reads Picture"),
        (SINUSOIDS, Ink(), "the sinusoids are plain numbers; this learner reads Ink"),
        (PICTURES, AsIs(), r"a folder of class folders holds pictures; this learner reads AsIs\(\)"),
    ],
)
def test_a_preprocessing_of_another_kind_is_refused(kind: Kind, preprocess: Preprocess, message: str) -> None:
    with pytest.raises(DataError, match=message):
        kind.check_preprocess(preprocess)


def test_what_a_kind_leaves_out() -> None:
    def open_rows(name: str, preprocess: Preprocess, *, fit: Literal["a", "b"] = "a", length: int = 3) -> ArrayDataset:
        raise NotImplementedError

    kind = Kind(what="rows", expects="the word 'rows'", dataset=ArrayDataset, preprocesses=(AsIs,), open=open_rows)
    assert kind.settings() == ("fit", "length")
    assert not kind.holds(Path("."))
    assert kind.find_again(None) is None
