"""Episodes that are given instead of drawn are checked against the classes."""

import numpy as np
import pytest

from kshot.data.class_index import ClassIndex
from kshot.episodes.identity import episodes_hash
from kshot.episodes.listed import listed_episodes
from kshot.errors import DataError, EpisodeError

INDEX = ClassIndex.build({"fox": [0, 2], "owl": [1, 3], "cat": [5, 6]})
CLASSES = [["owl", "fox"], ["cat", "owl"]]
SUPPORT, QUERY = np.array([[1, 0], [5, 1]]), np.array([[2, 3], [3, 6]])
LABELS, ANSWERS = np.array([[0, 1], [0, 1]]), np.array([[1, 0], [1, 0]])


def test_given_episodes_are_the_same_as_drawn_ones_in_form() -> None:
    drawn = listed_episodes(INDEX, CLASSES, SUPPORT, LABELS, QUERY, ANSWERS)
    assert drawn.way == 2
    assert drawn.numbers.tolist() == [0, 1]
    assert drawn.classes.tolist() == [[1, 0], [2, 1]]
    assert len(episodes_hash("data", [drawn])) == 64


@pytest.mark.parametrize("part", ["support", "query"])
@pytest.mark.parametrize("item", [2, 4, -1, 99])
def test_an_item_of_another_class_is_named(part: str, item: int) -> None:
    support, query = SUPPORT.copy(), QUERY.copy()
    (support if part == "support" else query)[1, 0] = item
    with pytest.raises(EpisodeError, match=rf"label of {part} item 0 of episode 1 \(item number {item}\) says class '(cat|owl)'"):
        listed_episodes(INDEX, CLASSES, support, LABELS, query, ANSWERS)


def test_a_class_without_support_is_named() -> None:
    with pytest.raises(EpisodeError, match="class 'fox' of episode 0 has no support item"):
        listed_episodes(
            INDEX, CLASSES, np.array([[1, 3], [5, 1]]), np.array([[0, 0], [0, 1]]), np.array([[2, 2], [3, 6]]), np.array([[1, 1], [1, 0]])
        )


def test_an_item_shared_by_support_and_query_is_named() -> None:
    with pytest.raises(EpisodeError, match="item 1 is both support and query of episode 0"):
        listed_episodes(INDEX, CLASSES, SUPPORT, LABELS, np.array([[2, 1], [3, 6]]), ANSWERS)


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(DataError, match="there is no class 'dog'"):
        listed_episodes(INDEX, [["dog", "fox"], ["cat", "owl"]], SUPPORT, LABELS, QUERY, ANSWERS)
