"""Values of JSON against annotations: what fits, and which part does not."""

from typing import Any, Literal, NotRequired, TypedDict

import pytest

from kshot.value_types import fits, misfit, out_of_range, shortened


class Inner(TypedDict):
    name: str
    arguments: dict[str, Any]
    note: NotRequired[int]


class Outer(TypedDict, total=False):
    part: Inner | None
    sizes: tuple[int, int] | None
    lists: dict[str, list[str]]
    score: float | None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, ""),
        ({"part": None, "sizes": None, "score": None, "more": object}, ""),
        ({"part": {"name": "x", "arguments": {"any": [1]}}, "sizes": [1, 2], "lists": {"a": []}, "score": 3}, ""),
        ([], "it must be a table; found []"),
        ({"part": 3}, "part must be a table; found 3"),
        ({"part": {"name": "x"}}, "part.arguments is missing"),
        ({"part": {}}, "part.name, part.arguments is missing"),
        ({"part": {"name": 3, "arguments": {}}}, "part.name must be text in quotes; found 3"),
        ({"part": {"name": "x", "arguments": {}, "note": "y"}}, "part.note must be a whole number; found 'y'"),
        ({"sizes": [1]}, "sizes must be a list of 2 numbers; found [1]"),
        ({"sizes": [1, "2"]}, "sizes[1] must be a whole number; found '2'"),
        ({"sizes": [1, True]}, "sizes[1] must be a whole number; found True"),
        ({"lists": {"a": "fox"}}, "lists.a must be a list of texts in quotes; found 'fox'"),
        ({"lists": {"a": ["fox", None]}}, "lists.a[1] must be text in quotes; found None"),
        ({"score": "1"}, "score must be a number; found '1'"),
        ({"score": float("inf")}, "score must be a number; found inf"),
    ],
)
def test_the_first_part_that_does_not_fit_is_named(value: Any, message: str) -> None:
    assert misfit(Outer, value) == message


def test_whole_numbers_and_numbers_have_ends() -> None:
    assert fits(int, 2**63 - 1)
    assert not fits(int, 2**63)
    assert fits(float, 10**300)
    assert not fits(float, 10**400)
    assert not fits(Literal[1, 2], 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"width": 64, "hidden": [8, 8], "rate": 1e38, "name": "x", "on": True, "none": None}, ""),
        ({"width": 10**7}, "width must be from -1,000,000 to 1,000,000; found 10000000"),
        ({"hidden": [8, -(10**400)]}, "hidden[1] must be from -1,000,000 to 1,000,000; found -1000"),
        ({"rate": 1e39}, "rate must be a finite number of at most 3.4e+38; found 1e+39"),
        ({"deep": {"rate": float("nan")}}, "deep.rate must be a finite number"),
    ],
)
def test_a_setting_out_of_range_is_named(value: Any, message: str) -> None:
    assert out_of_range(value).startswith(message)
    assert bool(out_of_range(value)) == bool(message)


def test_a_long_value_is_shortened() -> None:
    assert shortened("x" * 500) == "'" + "x" * 79 + "…"
    assert shortened(10**9000) == "a whole number of about 9,000 digits"
