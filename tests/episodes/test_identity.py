"""The hash of an episode set: pinned, the same however episodes are batched, another one when anything changes."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from kshot.data.class_index import ClassIndex
from kshot.episodes.draw import draw_episodes, episode_key
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.identity import episodes_hash
from kshot.episodes.shape import EpisodeShape

INDEX = ClassIndex.build({"fox": [0, 1, 2, 3], "owl": [4, 5, 6, 7], "elk": [8, 9, 10, 11]})
RANGES = EpisodeShape(way=(2, 3), shot=(1, 2), query=(1, 2))
TURNED = EpisodeShape(way=2, shot=1, query=2, augment="quarter_turns")


def draw(shape: EpisodeShape, numbers: range | list[int], seed: int = 0) -> list[DrawnEpisodes]:
    return draw_episodes(INDEX, shape, episode_key("data", "train", shape, seed), np.array(numbers))


def test_worked_by_hand() -> None:
    one = DrawnEpisodes(
        numbers=np.array([3]),
        classes=np.array([[7, 5]]),
        support_items=np.array([[70, 50]]),
        support_y=np.array([[0, 1]]),
        query_items=np.array([[71]]),
        query_y=np.array([[0]]),
    )
    # Fingerprint; then number, way, S, Q, how many kinds of augmentation parameters, classes, support items and labels,
    # query items and labels as little-endian int64.
    row = b"".join(value.to_bytes(8, "little") for value in [3, 2, 2, 1, 0, 7, 5, 70, 50, 0, 1, 71, 0])
    assert episodes_hash("data", [one]) == hashlib.sha256(b"data" + row).hexdigest()


def test_one_small_case_stays_as_it_is_for_ever() -> None:
    # Published results name their test by this hash.
    assert episodes_hash("data", draw(EpisodeShape(way=2, shot=1, query=2), range(3))) == PINNED


PINNED = "742c2ff528d711e08484736382d34b2842bef8feb8ba6cc6b459fe3925227f72"


@pytest.mark.parametrize("shape", [EpisodeShape(way=2, shot=1, query=2), RANGES, TURNED])
def test_batching_and_order_do_not_matter(shape: EpisodeShape) -> None:
    whole = episodes_hash("data", draw(shape, range(40)))
    assert whole == episodes_hash("data", [drawn for number in reversed(range(40)) for drawn in draw(shape, [number])])
    ranks = [drawn for rank in (2, 0, 1) for drawn in draw(shape, range(rank, 40, 3))]
    assert whole == episodes_hash("data", ranks)
    assert whole == episodes_hash("data", [part for d in draw(shape, range(40)) for part in (d.rows(slice(1, None)), d.rows(slice(0, 1)))])


def test_anything_that_changes_changes_the_hash() -> None:
    (drawn,) = draw(TURNED, range(5))
    hashes = {
        episodes_hash("data", [drawn]),
        episodes_hash("other", [drawn]),
        episodes_hash("data", draw(TURNED, range(6))),
        episodes_hash("data", draw(TURNED, range(1, 6))),
        episodes_hash("data", draw(TURNED, range(5), seed=1)),
        episodes_hash("data", []),
        episodes_hash("data", [replace(drawn, support_changes=None, query_changes=None)]),
    }
    fields = ("numbers", "classes", "support_items", "support_y", "query_items", "query_y", "support_changes", "query_changes")
    for name in fields:
        changed = getattr(drawn, name).copy()
        changed[-1, ...] += 1
        hashes.add(episodes_hash("data", [replace(drawn, **{name: changed})]))
    assert len(hashes) == 7 + len(fields)


def test_the_dtype_of_the_indices_does_not_matter() -> None:
    (drawn,) = draw(TURNED, range(5))
    narrow = replace(drawn, support_items=drawn.support_items.astype(np.int32), numbers=drawn.numbers.astype(">i8"))
    assert episodes_hash("data", [narrow]) == episodes_hash("data", [drawn])
