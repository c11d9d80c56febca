"""Values are checked against the annotations of a constructor or a function, before it is called."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pytest

from kshot.construct import check_values, construct
from kshot.errors import ContractError, RecipeError

if TYPE_CHECKING:
    from nowhere import Missing


class Made:
    def __init__(
        self,
        count: int = 1,
        rate: float = 0.1,
        flag: bool = False,
        word: str = "a",
        one_of: Literal["a", "b"] = "a",
        counts: Sequence[int] = (),
        pair: tuple[int, int] = (1, 2),
        by_name: Mapping[str, float] | None = None,
        settings: str | Mapping[str, Any] = "a",
        free: Any = None,
        bare=None,  # type: ignore[no-untyped-def]
    ) -> None:
        if count > 9:
            raise ValueError("count is large")
        if count == 9:
            raise RecipeError("nine is taken.")


class Hidden:
    def __init__(self, thing: "Missing" = None, count: int = 1) -> None: ...


TABLE: dict[str, Any] = {"made": Made, "hidden": Hidden}


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 0, "rate": 0, "flag": True, "word": "", "one_of": "b"},
        {"counts": [1, 2], "pair": [1, 2], "by_name": {"head.*": 1}, "settings": {"name": "adam", "beta1": 0.0}},
        {"counts": (), "by_name": None, "settings": "adam", "free": object(), "bare": object()},
    ],
)
def test_legal_values_pass(arguments: dict[str, Any]) -> None:
    assert isinstance(construct("thing", "made", TABLE, arguments, {}), Made)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": "big"}, "thing 'made': count must be a whole number; found 'big'"),
        ({"count": 1.5}, "thing 'made': count must be a whole number; found 1.5"),
        ({"count": True}, "thing 'made': count must be a whole number; found True"),
        ({"rate": "big"}, "thing 'made': rate must be a number; found 'big'"),
        ({"rate": float("nan")}, "thing 'made': rate must be a number; found nan"),
        ({"flag": 1}, "thing 'made': flag must be true or false; found 1"),
        ({"word": 3}, "thing 'made': word must be text in quotes; found 3"),
        ({"one_of": "c"}, "thing 'made': one_of must be one of 'a', 'b'; found 'c'"),
        ({"counts": 3}, "thing 'made': counts must be a list of whole numbers; found 3"),
        ({"counts": [1, 2.5]}, r"thing 'made': counts must be a list of whole numbers; found \[1, 2\.5\]"),
        ({"pair": [1]}, r"thing 'made': pair must be a list of 2 numbers; found \[1\]"),
        ({"by_name": 3}, "thing 'made': by_name must be a table of names, each with a number; found 3"),
        ({"settings": 3}, "thing 'made': settings must be text in quotes or a table of settings; found 3"),
        ({"other": 3}, "thing 'made' has no argument .other.. The known ones are count, rate"),
        ({"count": 10}, r"thing 'made' cannot be built with \{'count': 10\}: count is large\."),
        ({"count": 9}, r"^thing 'made': nine is taken\.$"),
    ],
)
def test_other_values_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        construct("thing", "made", TABLE, arguments, {})


def test_a_constructor_that_does_not_take_what_it_is_given_is_named() -> None:
    with pytest.raises(ContractError, match="its constructor takes no backbone and no family; found the parameters count, rate, flag"):
        construct("thing", "made", TABLE, {}, {"backbone": None, "family": None})


def test_annotations_for_type_checkers_alone_are_not_checked() -> None:
    assert isinstance(construct("thing", "hidden", TABLE, {"thing": 3}, {}), Hidden)


def test_a_function_is_checked_as_a_class_is() -> None:
    def open_rows(name: str, *, label: str = "class", columns: int = 4) -> None: ...

    check_values("data.", open_rows, {"label": "species", "columns": 3, "other": 1})
    with pytest.raises(RecipeError, match=r"^data\.label must be text in quotes; found 3\.$"):
        check_values("data.", open_rows, {"label": 3})
