"""Maps for learners: what is read, and what is refused."""

import pytest
import torch

from kshot.errors import RecipeError
from kshot.learners.heads.feature_maps import maps_of


def test_maps_stay_and_vectors_become_maps_of_one_place() -> None:
    maps, vectors = torch.rand(2, 5, 3, 4), torch.rand(2, 5)
    assert maps_of(maps, 5, "It", 2) is maps
    assert torch.equal(maps_of(vectors, 5, "It", 2), vectors.view(2, 5, 1, 1))


@pytest.mark.parametrize(("shape", "item"), [((2, 4, 3, 3), r"\(4, 3, 3\)"), ((2, 4), r"\(4,\)")])
def test_features_of_another_form_are_refused(shape: tuple[int, ...], item: str) -> None:
    expected = rf"It was built with features=5 and expects \(5, H, W\) or \(5,\) per item; its backbone gives {item} per item. Set features"
    with pytest.raises(RecipeError, match=expected):
        maps_of(torch.zeros(shape), 5, "It", 2)


@pytest.mark.parametrize(
    ("shape", "said"), [((2, 5, 3), r"\(M, 5, 3\)"), ((2, 5, 1, 1, 1), r"\(M, 5, 1, 1, 1\)"), ((3, 5), r"\(3, 5\) for M = 2")]
)
def test_what_is_neither_maps_nor_vectors_is_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(
        RecipeError, match=rf"It needs a backbone that gives maps \(M, C, H, W\) or vectors \(M, C\); this one gives {said}\. "
    ):
        maps_of(torch.zeros(shape), 5, "It", 2)
