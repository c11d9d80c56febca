"""Types of plain values: does a value of TOML or JSON fit an annotation, and what does the annotation ask for? Next: `recipe`."""

import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin


def fits(hint: Any, value: Any) -> bool:
    """Whether a plain value is of the type that an annotation names."""
    if get_origin(hint) is Literal:
        return any(type(value) is type(option) and value == option for option in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return any(fits(option, value) for option in get_args(hint))
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if isinstance(value, tuple) and kinds[-1] is Ellipsis:
            return all(fits(kinds[0], part) for part in value)
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(fits, kinds, value))
    if get_origin(hint) is Mapping:
        of_keys, of_values = get_args(hint)
        return isinstance(value, Mapping) and all(fits(of_keys, key) and fits(of_values, item) for key, item in value.items())
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max  # neither nan nor inf
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def in_words(hint: Any) -> str:
    """An annotation in words, for error messages."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(option) for option in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(in_words(option) for option in get_args(hint))
    if get_origin(hint) is Mapping:
        return f"a table of names, each with {in_words(get_args(hint)[1])}"
    if get_origin(hint) is tuple:
        return "a list of whole numbers" if get_args(hint)[-1] is Ellipsis else f"a list of {len(get_args(hint))} numbers"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text in quotes"}.get(hint, str(hint))
