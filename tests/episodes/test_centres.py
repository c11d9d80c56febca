"""Where classes lie: means worked by hand, few items of many, and encoders that give no vectors."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from kshot.data.arrays import ArrayDataset
from kshot.data.inputs import Inputs
from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.centres import class_centres, pixel_distances
from kshot.errors import EpisodeError


def made() -> ArrayDataset:
    """Ten pictures of 1×2 grey pixels (n, 2 n); fox has the even numbers."""
    pixels = np.array([[n, 2 * n] for n in range(10)], dtype=np.uint8).reshape(10, 1, 1, 2)
    return ArrayDataset(pixels, ["fox" if n % 2 == 0 else "owl" for n in range(10)])


def raw(x: Inputs) -> Tensor:
    assert isinstance(x, Tensor)
    return x.flatten(1)


def test_means_worked_by_hand() -> None:
    data = made()
    scale = float(data.preprocess.to_input(torch.ones(1, 1, 1, 1, dtype=torch.uint8)).max())  # type: ignore[union-attr]
    counted: list[int] = []
    found = class_centres(data, data.index, progress=counted.append)
    assert data.index.names == ("fox", "owl")
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.array([[4, 8], [5, 10]]) * scale, rtol=1e-6)
    assert sum(counted) == 10
    # Two of five items at even steps: those at positions 0 and 2.
    np.testing.assert_allclose(class_centres(data, data.index, items=2), np.array([[2, 4], [3, 6]]) * scale, rtol=1e-6)
    np.testing.assert_array_equal(class_centres(data, data.index, items=50), found)
    backwards = data.index.subset(["owl", "fox"])
    np.testing.assert_array_equal(class_centres(data, backwards), found[::-1])


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made()
    whole = class_centres(data, data.index)
    monkeypatch.setattr("kshot.episodes.centres._AT_ONCE", 3)
    np.testing.assert_allclose(class_centres(data, data.index), whole, rtol=1e-12)


def test_an_encoder_s_features_are_averaged() -> None:
    data = made()
    squares = class_centres(data, data.index, encode=lambda x: raw(x).double().square())
    items = [raw(data.preprocess.to_input(data.gather(data.index.items_of(name)))).double() for name in data.index.names]
    np.testing.assert_allclose(squares, torch.stack([one.square().mean(0) for one in items]).numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("encode", "found"),
    [
        (lambda x: x, r"this encoder gives float32 \(M, 1, 1, 2\)"),
        (lambda x: {"pixels": x}, "this encoder gives a mapping"),
        (lambda x: x.flatten(1).long(), r"this encoder gives int64 \(M, 2\)"),
        (lambda x: x.flatten(1).log(), "the encoding of an item of class 'fox' is not finite"),
    ],
)
def test_encoders_that_give_no_vectors_are_refused(encode: Callable[[Inputs], Inputs], found: str) -> None:
    data = made()
    with pytest.raises(EpisodeError, match=found):
        class_centres(data, data.index, encode=encode)


class Words:
    """Items that are not one tensor of real numbers."""

    name = "words"
    fingerprint = ""
    index = made().index
    preprocess = made().preprocess

    def __init__(self, kept: Inputs) -> None:
        self.kept = kept

    def __len__(self) -> int:
        return 10

    def gather(self, items: np.ndarray) -> Inputs:
        return self.kept


class Untouched:
    """A preprocessing that changes nothing."""

    def to_input(self, kept: Inputs) -> Inputs:
        return kept


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        (torch.zeros(10, 4, dtype=torch.int64), "a tensor of int64"),
        ({"tokens": torch.zeros(10, 4), "mask": torch.zeros(10, 4)}, "a mapping of tokens, mask"),
    ],
)
def test_items_without_pixels_are_refused(kept: Inputs, found: str) -> None:
    words = Words(kept)
    words.preprocess = Untouched()  # type: ignore[assignment]
    with pytest.raises(EpisodeError, match=f"need inputs of real numbers; found {found}. Give your own distances"):
        pixel_distances(words, words.index)


@pytest.mark.slow
def test_omniglot_s_pixels_stay_the_same_for_ever(omniglot: Omniglot) -> None:
    # Near and far episodes of Omniglot are named by this table; another one would give other episodes.
    found = pixel_distances(omniglot, omniglot.split("vinyals").part("val"))
    assert found.fingerprint == PINNED


PINNED = "f88c383dd6e3058773b30e46d95aa89814b6219a836fa3af4c83ea7dcf754bb3"
