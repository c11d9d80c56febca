"""Checks for numeric settings of learners, with the same messages everywhere."""

import math
from numbers import Integral, Real
from typing import Any

from kshot.errors import RecipeError


def require_count(name: str, value: Any, least: int) -> None:
    """Raise an error unless the value is a whole number of at least `least`.

    Raises:
        RecipeError: The value is not; the message names the setting.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise RecipeError(f"{name} must be a whole number, {least} or more; found {value!r}.")
    if value < least:
        raise RecipeError(f"{name} must be {least} or more; found {value}.")


def require_positive(name: str, value: Any) -> None:
    """Raise an error unless the value is a positive, finite number.

    Raises:
        RecipeError: The value is not; the message names the setting.
    """
    if not _is_number(value) or not 0 < value < math.inf:
        raise RecipeError(f"{name} must be a positive number; found {value!r}.")


def require_no_less_than_zero(name: str, value: Any, zero: str) -> None:
    """Raise an error unless the value is a positive, finite number or 0, which means `zero`.

    Raises:
        RecipeError: The value is not; the message names the setting.
    """
    if not _is_number(value) or not 0 <= value < math.inf:
        raise RecipeError(f"{name} must be 0 ({zero}) or a positive number; found {value!r}.")


def require_part(name: str, value: Any) -> None:
    """Raise an error unless the value is a fraction from 0 to 1.

    Raises:
        RecipeError: The value is not; the message names the setting.
    """
    if not _is_number(value) or not 0 <= value <= 1:
        raise RecipeError(f"{name} must be a fraction of training, from 0 to 1; found {value!r}.")


def require_part_below_one(name: str, value: Any) -> None:
    """Raise an error unless the value is a number from 0 up to, but not including, 1.

    Raises:
        RecipeError: The value is not; the message names the setting.
    """
    if not _is_number(value) or not 0 <= value < 1:
        raise RecipeError(f"{name} must be a number from 0 up to, but not including, 1; found {value!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
