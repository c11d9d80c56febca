"""Types of plain values: does a value of TOML or JSON fit an annotation, and what does the annotation ask for?

Next: `kshot.construct`, which checks the arguments of a constructor, and `kshot.workflows.recipe`, which checks the settings of a recipe.
"""

import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

_PLAIN = (int, float, bool, str)
_SEVERAL = {int: "whole numbers", float: "numbers", bool: "values true or false", str: "texts in quotes"}


def fits(hint: Any, value: Any) -> bool:
    """Whether a plain value is of the type that an annotation names. An annotation that names no type of plain values fits every value."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(type(value) is type(option) and value == option for option in parts)
    if origin in (Union, types.UnionType):
        return any(fits(option, value) for option in parts)
    if origin is tuple:
        if parts[-1] is Ellipsis:
            return fits(list[parts[0]], value)  # type: ignore[valid-type]  # an annotation is a value here
        return isinstance(value, (list, tuple)) and len(value) == len(parts) and all(map(fits, parts, value))
    if origin in (list, Sequence):
        return isinstance(value, (list, tuple)) and all(fits(parts[0], part) for part in value)
    if origin in (dict, Mapping):
        of_names, of_values = parts
        return isinstance(value, Mapping) and all(fits(of_names, name) and fits(of_values, part) for name, part in value.items())
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max  # neither nan nor inf
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (None, types.NoneType):
        return value is None
    return isinstance(value, hint) if hint in _PLAIN else True


def in_words(hint: Any) -> str:
    """An annotation in words, for error messages."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(repr(option) for option in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(option) for option in parts if option not in (None, types.NoneType))  # TOML has no such value
    if origin is tuple and parts[-1] is not Ellipsis:
        return f"a list of {len(parts)} numbers"
    if origin in (tuple, list, Sequence):
        return f"a list of {_SEVERAL.get(parts[0], 'values')}"
    if origin in (dict, Mapping):
        return f"a table of names, each with {in_words(parts[1])}" if parts[1] in _PLAIN else "a table of settings"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text in quotes"}.get(hint, str(hint))
