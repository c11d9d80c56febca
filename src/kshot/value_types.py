"""Types of plain values: does a value of TOML or JSON fit an annotation, which part does not, and what does the annotation ask for?

Recipes and the files that kshot reads back are checked with it: their forms are dataclasses and typed dictionaries.
"""

import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

LARGEST = 2**63 - 1
"""The largest whole number that PyTorch and NumPy hold."""
LARGEST_COUNT = 1_000_000
LARGEST_FLOAT = 3.4e38
"""The largest number of float32, rounded down."""


def fits(hint: Any, value: Any) -> bool:
    """Whether a plain value is of the type that an annotation names."""
    if hint is Any:
        return True
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
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    return isinstance(value, types.NoneType if hint is None else get_origin(hint) or hint)


def misfit(hint: Any, value: Any, place: str = "") -> str:
    """Say which part of a value of JSON does not fit an annotation, and what is wanted there; empty if all of it fits.

    Args:
        hint: A typed dictionary, `dict[str, …]`, `list[…]`, `tuple[…]` (a list of that length), or a type that `fits` knows. A typed
            dictionary may have further names in the value.
        value: As JSON gives it.
        place: What the value is called, for example `record.split`.

    Example:
        >>> misfit(dict[str, list[str]], {"train": ["fox"], "test": ["owl", 3]}, "division")
        'division.test[1] must be text; found 3'
    """
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if value is None and types.NoneType in options:
        return ""
    options = tuple(option for option in options if option is not types.NoneType)
    if len(options) > 1 or not _has_parts(options[0]):
        fitting = any(fits(option, value) for option in options)
        return "" if fitting else f"{place or 'it'} must be {' or '.join(map(in_words, options))}; found {shortened(value)}"
    kind = options[0]
    if is_typeddict(kind):
        if not isinstance(value, dict):
            return f"{place or 'it'} must be a table; found {shortened(value)}"
        if missing := [name for name in kind.__annotations__ if name in kind.__required_keys__ and name not in value]:
            return f"{', '.join(_inside(place, name) for name in missing)} is missing"
        parts = [(part, value[name], _inside(place, name)) for name, part in get_type_hints(kind).items() if name in value]
    elif get_origin(kind) is dict:
        if not isinstance(value, dict):
            return f"{place or 'it'} must be a table; found {shortened(value)}"
        parts = [(get_args(kind)[1], item, _inside(place, name)) for name, item in value.items()]
    else:
        kinds = get_args(kind)
        exact = get_origin(kind) is tuple
        if not isinstance(value, (list, tuple)) or (exact and len(value) != len(kinds)):
            return f"{place or 'it'} must be {in_words(kind)}; found {shortened(value)}"
        parts = [(kinds[number] if exact else kinds[0], item, f"{place}[{number}]") for number, item in enumerate(value)]
    return next(filter(None, (misfit(*part) for part in parts)), "")


def out_of_range(value: Any, place: str = "") -> str:
    """Name the first number in plain values that a setting cannot have; empty if there is none.

    Whole numbers have at most `LARGEST_COUNT`, so that nothing is counted to without end. Other numbers are finite as float32, the type of
    parameters.

    Example:
        >>> out_of_range({"hidden": [64, 10**12]})
        'hidden[1] must be from -1,000,000 to 1,000,000; found 1000000000000'
    """
    if isinstance(value, Mapping):
        return next(filter(None, (out_of_range(item, _inside(place, str(name))) for name, item in value.items())), "")
    if isinstance(value, (list, tuple)):
        return next(filter(None, (out_of_range(item, f"{place}[{number}]") for number, item in enumerate(value))), "")
    if isinstance(value, int) and abs(value) > LARGEST_COUNT:
        return f"{place} must be from {-LARGEST_COUNT:,} to {LARGEST_COUNT:,}; found {shortened(value)}"
    if isinstance(value, float) and not abs(value) <= LARGEST_FLOAT:
        return f"{place} must be a finite number of at most {LARGEST_FLOAT:.3g}; found {value}"
    return ""


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
    if get_origin(hint) is list:
        return "a list"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text in quotes", dict: "a table"}
    return words.get(get_origin(hint) or hint, str(hint))


def shortened(value: Any, most: int = 80) -> str:
    """Write a value for an error message, however long it is."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return f"a whole number of about {value.bit_length() * 0.30103:,.0f} digits"
    return text if len(text) <= most else f"{text[:most]}…"


def _has_parts(hint: Any) -> bool:
    return is_typeddict(hint) or get_origin(hint) in (dict, list) or (get_origin(hint) is tuple and get_args(hint)[-1] is not Ellipsis)


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
