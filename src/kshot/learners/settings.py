"""Settings of learners that are numbers, checked in the same words everywhere."""

import math
from numbers import Integral, Real
from typing import Any

from kshot.errors import RecipeError


def require_count(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number, or less than the least.

    Raises:
        RecipeError: It names the setting.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise RecipeError(f"{name} must be a whole number, {least} or more; found {value!r}.")
    if value < least:
        raise RecipeError(f"{name} must be {least} or more; found {value}.")


def require_positive(name: str, value: Any) -> None:
    """Refuse what is no positive, finite number.

    Raises:
        RecipeError: It names the setting.
    """
    if not _is_number(value) or not 0 < value < math.inf:
        raise RecipeError(f"{name} must be a positive number; found {value!r}.")


def require_no_less_than_zero(name: str, value: Any, zero: str) -> None:
    """Refuse what is neither a positive, finite number nor 0, which means `zero`.

    Raises:
        RecipeError: It names the setting.
    """
    if not _is_number(value) or not 0 <= value < math.inf:
        raise RecipeError(f"{name} must be 0 ({zero}) or a positive number; found {value!r}.")


def require_part(name: str, value: Any) -> None:
    """Refuse what is no part of a whole, from 0 to 1.

    Raises:
        RecipeError: It names the setting.
    """
    if not _is_number(value) or not 0 <= value <= 1:
        raise RecipeError(f"{name} is a part of training, from 0 to 1; found {value!r}.")


def require_part_below_one(name: str, value: Any) -> None:
    """Refuse what is no number from 0 up to, but not including, 1.

    Raises:
        RecipeError: It names the setting.
    """
    if not _is_number(value) or not 0 <= value < 1:
        raise RecipeError(f"{name} must be a number from 0 up to, but not including, 1; found {value!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
