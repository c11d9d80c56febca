"""Types of plain values: does a value of TOML or JSON fit an annotation, which part does not, and what does the annotation ask for?

Recipes and the files that kshot reads back are checked with it: their forms are dataclasses and typed dictionaries.
"""

import sys
import types
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

LARGEST = 2**63 - 1
"""The largest whole number that PyTorch and NumPy hold."""
LARGEST_COUNT = 1_000_000
LARGEST_FLOAT = 3.4e38
"""The largest number of float32, rounded down."""

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
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    if hint in (None, types.NoneType):
        return value is None
    return isinstance(value, hint) if hint in _PLAIN else True


def misfit(hint: Any, value: Any, place: str = "") -> str:
    """Say which part of a value of JSON does not fit an annotation, and what is wanted there; empty if all of it fits.

    Args:
        hint: A typed dictionary, `dict[str, …]`, `list[…]`, `tuple[…]` (a list of that length), or a type that `fits` knows. A typed
            dictionary may have further names in the value.
        value: As JSON gives it.
        place: What the value is called, for example `record.split`.

    Example:
        >>> misfit(dict[str, list[str]], {"train": ["fox"], "test": ["owl", 3]}, "division")
        'division.test[1] must be text in quotes; found 3'
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


def count_fault(name: str, value: Any, least: int, most: int = LARGEST) -> str:
    """Say why a value is not a whole number from `least` to `most`; empty if it is one.

    Example:
        >>> count_fault("seed", -1, 0)
        'seed must be 0 or more; found -1'
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        return f"{name} must be a whole number, {least} or more; found {shortened(value)}"
    if int(value) < least:
        return f"{name} must be {least} or more; found {shortened(value)}"
    return f"{name} must be {most:,} or less; found {shortened(value)}" if int(value) > most else ""


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
