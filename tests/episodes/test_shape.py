"""Shapes refuse what makes no sense, and one shape has one spelling."""

import pytest

from kshot.episodes.shape import EpisodeShape
from kshot.errors import EpisodeError


def test_a_number_is_a_range_of_one() -> None:
    shape = EpisodeShape(way=5, shot=(1, 3), query=15)
    assert (shape.way_range, shape.shot_range, shape.query_range) == ((5, 5), (1, 3), (15, 15))


def test_one_shape_has_one_spelling() -> None:
    assert EpisodeShape(way=(5, 5), shot=[1, 3]) == EpisodeShape(way=5, shot=(1, 3))  # type: ignore[arg-type]  # as TOML gives it
    assert EpisodeShape(way=(5, 5)).as_dict() == EpisodeShape(way=5).as_dict()
    assert hash(EpisodeShape(shot=[1, 3])) == hash(EpisodeShape(shot=(1, 3)))  # type: ignore[arg-type]


def test_as_dict_is_plain_json() -> None:
    assert EpisodeShape(way=(2, 4), replacement=True, augment="quarter_turns").as_dict() == {
        "way": [2, 4], "shot": 1, "query": 15, "balanced": True, "within_groups": False, "replacement": True,
        "augment": "quarter_turns",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"way": 0}, "way must be at least 2; found 0"),
        ({"way": (1, 5)}, r"way must be at least 2, the smaller value first; found \(1, 5\)"),
        ({"shot": 0}, "shot must be at least 1; found 0"),
        ({"query": -3}, "query must be at least 1; found -3"),
        ({"shot": (5, 1)}, r"shot must be at least 1, the smaller value first; found \(5, 1\)"),
        ({"shot": (0, 5)}, r"shot must be at least 1, the smaller value first; found \(0, 5\)"),
        ({"shot": 1.5}, r"shot must be a whole number or a pair of whole numbers \(smallest, largest\); found 1\.5"),
        ({"shot": True}, "shot must be a whole number .*found True"),
        ({"way": (2, 3, 4)}, r"way must be .*found \(2, 3, 4\)"),
        ({"way": "5"}, "way must be .*found '5'"),
        ({"balanced": 1}, "balanced must be True or False; found 1"),
        ({"within_groups": object()}, "within_groups must be True or False; found <object"),
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(EpisodeError, match=message):
        EpisodeShape(**values)  # type: ignore[arg-type]  # the wrong types are the point
