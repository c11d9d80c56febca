"""Quarter turns: which way they go, that a class turns as one, and what cannot be turned."""

import numpy as np
import pytest
import torch

from kshot.data.class_index import ClassIndex
from kshot.episodes.augment import augmentation, quarter_turns
from kshot.episodes.draw import draw_episodes
from kshot.episodes.shape import EpisodeShape
from kshot.errors import EpisodeError


def test_turns_are_counter_clockwise_by_hand() -> None:
    image = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8)
    turned = quarter_turns(image.repeat(4, 1, 1, 1), np.array([0, 1, 2, 3], dtype=np.int16))
    assert isinstance(turned, torch.Tensor)
    assert turned.dtype == torch.uint8
    assert turned[:, 0].tolist() == [[[1, 2], [3, 4]], [[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]


def test_the_images_given_stay_as_they_are() -> None:
    images = torch.arange(8.0).reshape(2, 1, 2, 2)
    kept = images.clone()
    quarter_turns(images, np.array([1, 3], dtype=np.int16))
    assert torch.equal(images, kept)


def test_a_class_of_an_episode_turns_as_one_and_classes_turn_apart() -> None:
    index = ClassIndex.build({f"class {n}": list(range(20 * n, 20 * n + 20)) for n in range(8)})
    (drawn,) = draw_episodes(index, EpisodeShape(way=5, shot=2, query=3, augment="quarter_turns"), 1, np.arange(4000))
    assert drawn.support_changes is not None
    assert drawn.query_changes is not None
    support, query = drawn.support_changes.reshape(-1, 5, 2), drawn.query_changes.reshape(-1, 5, 3)
    turns = support[:, :, 0]  # (B, N)
    assert (support == turns[:, :, None]).all()
    assert (query == turns[:, :, None]).all()
    counts = np.bincount(turns.reshape(-1), minlength=4)
    assert len(counts) == 4
    assert ((counts - 5000) ** 2 / 5000).sum() < 20
    pairs = np.bincount(turns[:, 0] * 4 + turns[:, 1], minlength=16)  # independent between two classes of an episode
    assert ((pairs - 250) ** 2 / 250).sum() < 15 + 5 * 30**0.5


def test_augmenting_changes_the_episodes_key_but_not_how_items_are_drawn() -> None:
    index = ClassIndex.build({f"class {n}": list(range(9 * n, 9 * n + 9)) for n in range(6)})
    (plain,) = draw_episodes(index, EpisodeShape(shot=1, query=2), 1, np.arange(50))
    (turned,) = draw_episodes(index, EpisodeShape(shot=1, query=2, augment="quarter_turns"), 1, np.arange(50))
    assert (plain.support_items == turned.support_items).all()
    assert (plain.query_items == turned.query_items).all()


@pytest.mark.parametrize("found", [torch.zeros(2, 1, 4, 5), torch.zeros(2, 7), {"image": torch.zeros(2, 1, 4, 4)}])
def test_what_cannot_be_turned_is_refused(found: object) -> None:
    with pytest.raises(EpisodeError, match="turns square images"):
        quarter_turns(found, np.zeros(2, dtype=np.int16))  # type: ignore[arg-type]  # the wrong types are the point


def test_names() -> None:
    assert augmentation("none") is None
    with pytest.raises(EpisodeError, match="no augmentation 'flips'; known are none, affine, elastic, quarter_turns"):
        augmentation("flips")
