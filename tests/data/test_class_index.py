"""Class → items, by hand, and everything that is refused."""

import numpy as np
import pytest

from kshot.data.class_index import ClassIndex
from kshot.errors import DataError


def test_by_hand() -> None:
    index = ClassIndex.build({"fox": [4, 0], "owl": [1, 2, 3]}, {"fox": "ground", "owl": "air"})
    assert index.names == ("fox", "owl")
    assert index.items.tolist() == [4, 0, 1, 2, 3]
    assert index.starts.tolist() == [0, 2]
    assert index.sizes.tolist() == [2, 3]
    assert index.groups == ("ground", "air")
    assert index.items_of("owl").tolist() == [1, 2, 3]
    assert index.position("owl") == 1
    assert len(index) == 2


def test_a_subset_keeps_the_order_asked_for() -> None:
    index = ClassIndex.build({"a": [0], "b": [1, 2], "c": [3]}, {"a": "x", "b": "y", "c": "x"})
    part = index.subset(["c", "b"])
    assert part.names == ("c", "b")
    assert part.items.tolist() == [3, 1, 2]
    assert part.starts.tolist() == [0, 1]
    assert part.groups == ("x", "y")


def test_labels_of_any_one_type_become_sorted_classes() -> None:
    assert ClassIndex.from_labels([10, 2, 10]).names == ("2", "10")
    index = ClassIndex.from_labels(["b", "a", "b"])
    assert index.names == ("a", "b")
    assert index.items_of("b").tolist() == [0, 2]
    assert ClassIndex.from_labels(np.array([1, 0, 1])).names == ("0", "1")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassIndex.build({}), "at least one class, found none"),
        (lambda: ClassIndex.build({"fox": [], "owl": [1]}), "class 'fox' has no items"),
        (lambda: ClassIndex.build({"fox": 3}), r"class 'fox' has an array of int64 and shape \(\)"),
        (
            lambda: ClassIndex.build({"fox": [0], "owl": [[1, 2]]}),
            r"class 'owl' has an array of int64 and shape \(1, 2\)",
        ),
        (lambda: ClassIndex.build({"fox": [0.5]}), "whole numbers, 0 or more, in one dimension; class 'fox' has an array of float64"),
        (lambda: ClassIndex.build({"fox": [[1], [2, 3]]}), "class 'fox' has an array of object"),
        (lambda: ClassIndex.build({"fox": [0, -1]}), "0 or more, in one dimension; class 'fox' has -1"),
        (lambda: ClassIndex.build({"fox": [0]}, {"owl": "air"}), "every class needs a group; 'fox' has none"),
        (lambda: ClassIndex.build({"fox": [0]}).items_of("cat"), "no class 'cat' among the 1 classes"),
        (lambda: ClassIndex.build({"fox": [0]}).subset(["fox", "cat"]), "1 of 2 wanted classes are not in the data: 'cat'"),
        (lambda: ClassIndex.build({"fox": [0]}).subset(["fox", "fox"]), "each class may be named once; 'fox'"),
        (lambda: ClassIndex.build({"fox": [0, 1], "owl": [2, 1]}), "item 1 occurs 2 times, in 'fox', 'owl'"),
        (lambda: ClassIndex.build({"fox": [3, 3]}), "item 3 occurs 2 times, in 'fox', 'fox'"),
        (lambda: ClassIndex.from_labels([1, "1"]), "two different labels have the same name"),
    ],
)
def test_what_is_refused(make: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()  # type: ignore[operator]


def test_groups_have_numbers_in_the_order_of_their_names() -> None:
    index = ClassIndex.build({"a": [0], "b": [1], "c": [2]}, {"a": "owls", "b": "foxes", "c": "owls"})
    names, numbers = index.grouping
    assert names == ("foxes", "owls")
    assert numbers.tolist() == [1, 0, 1]
    assert index.subset(["b"]).grouping[0] == ("foxes",)
    names, numbers = ClassIndex.build({"a": [0]}).grouping
    assert names == ()
    assert numbers.shape == (0,)
