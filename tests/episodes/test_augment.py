"""Quarter turns: which way they go, that a class turns as one, and what cannot be turned."""

import numpy as np
import pytest
import torch

from kshot.data.class_index import ClassIndex
from kshot.episodes.augment import AUGMENTATIONS, augmentation, mirror, of_classes, quarter_turns
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
    with pytest.raises(EpisodeError, match=r"no augmentation 'flips'\. The known ones are none, affine, elastic, mirror, quarter_turns"):
        augmentation("flips")
    for name in ("affine+mirror", "mirror+quarter_turns", "mirror+affine+elastic", "affine+affine"):
        with pytest.raises(EpisodeError, match=r"one of mirror, quarter_turns, then one of affine, elastic; found '"):
            augmentation(name)
    with pytest.raises(EpisodeError, match="no augmentation 'flips'"):
        augmentation("mirror+flips")


def test_what_belongs_to_the_classes_is_kept_for_validation() -> None:
    expected = {"none": "none", "affine": "none", "mirror": "mirror", "quarter_turns+elastic": "quarter_turns"}
    assert {name: of_classes(name) for name in expected} == expected


def test_mirrors_by_hand() -> None:
    image = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8).repeat(2, 1, 1, 1)
    mirrored = mirror(image, np.array([0, 1], dtype=np.int16))
    assert isinstance(mirrored, torch.Tensor)
    assert mirrored[:, 0].tolist() == [[[1, 2], [3, 4]], [[2, 1], [4, 3]]]
    with pytest.raises(EpisodeError, match="mirrors images"):
        mirror(torch.zeros(2, 3), np.zeros(2, dtype=np.int16))


@pytest.mark.parametrize("first", ["mirror", "quarter_turns"])
@pytest.mark.parametrize("second", ["affine", "elastic"])
def test_two_together_are_the_one_then_the_other(first: str, second: str) -> None:
    of_class, of_item, both = AUGMENTATIONS[first], AUGMENTATIONS[second], augmentation(f"{first}+{second}")
    assert both is not None
    k = of_class.kinds
    index = ClassIndex.build({f"class {n}": list(range(9 * n, 9 * n + 9)) for n in range(6)})
    (drawn,) = draw_episodes(index, EpisodeShape(way=5, shot=2, query=3, augment=f"{first}+{second}"), 1, np.arange(400))
    assert drawn.support_changes is not None
    assert drawn.query_changes is not None
    kinds = both.made(drawn.support_changes).reshape(-1, 5, 2)
    assert (kinds == kinds[:, :, :1]).all()  # a class changes as one
    assert (both.made(drawn.query_changes).reshape(-1, 5, 3) == kinds[:, :, :1]).all()
    assert sorted(np.unique(kinds)) == list(range(k))
    numbers = (drawn.support_changes.astype(int) + 2**15) // k
    assert len(np.unique(numbers)) > 0.9 * numbers.size * (1 - numbers.size * k / 2**17)  # items vary on their own
    chosen = drawn.support_changes[0, :4]
    images = torch.rand(4, 1, 8, 8)
    expected = of_item.apply(of_class.apply(images, both.made(chosen).astype(np.int16)), numbers[0, :4].astype(np.uint16).view(np.int16))
    found = both.apply(images, chosen)
    assert isinstance(found, torch.Tensor)
    assert isinstance(expected, torch.Tensor)
    assert torch.equal(found, expected)


def test_the_kind_of_one_augmentation_alone() -> None:
    numbers = np.array([0, 3, 1], dtype=np.int16)
    assert AUGMENTATIONS["quarter_turns"].made(numbers).tolist() == [0, 3, 1]
    assert AUGMENTATIONS["affine"].made(numbers).tolist() == [0, 0, 0]


@pytest.mark.parametrize("augment", ["mirror", "quarter_turns", "mirror+elastic"])
def test_within_a_group_all_classes_change_alike(augment: str) -> None:
    rule = augmentation(augment)
    assert rule is not None
    names = {f"{group}/{n}": list(range(90 * g + 9 * n, 90 * g + 9 * n + 9)) for g, group in enumerate("ab") for n in range(10)}
    index = ClassIndex.build(names, {name: name[0] for name in names})
    for within in (True, False):
        shape = EpisodeShape(way=5, shot=2, query=3, within_groups=within, augment=augment)
        (drawn,) = draw_episodes(index, shape, 1, np.arange(400))
        assert drawn.support_changes is not None
        assert drawn.query_changes is not None
        kinds = np.concatenate([rule.made(drawn.support_changes), rule.made(drawn.query_changes)], axis=1)  # (400, 25)
        assert (kinds == kinds[:, :1]).all() == within
        shares = np.bincount(kinds[:, 0], minlength=rule.kinds) / 400
        assert np.abs(shares - 1 / rule.kinds).max() < 0.11
