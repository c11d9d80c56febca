"""Checks for numeric settings of learners, with the same messages everywhere."""

import math
from numbers import Real
from typing import Any

from kshot.errors import RecipeError
from kshot.value_types import count_fault

MOST = 10**9
"""The largest count."""
MOST_STEPS = 10_000
"""The largest number of gradient steps or iterations for one task."""

SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127
"""The positive numbers that float32 holds with all their digits."""


def require_count(name: str, value: Any, least: int, most: int = MOST) -> None:
    """Raise an error unless the value is a whole number from `least` to `most`.

    Raises:
        RecipeError: The value is not; the message names the setting.
    """
    if fault := count_fault(name, value, least, most):
        raise RecipeError(f"{fault}.")


def require_positive(name: str, value: Any) -> None:
    """Raise an error unless the value is a positive number that float32 holds.

    Raises:
        RecipeError: The value is not; the message names the setting.
    """
    if not _is_number(value) or not 0 < value < math.inf:
        raise RecipeError(f"{name} must be a positive number; found {value!r}.")
    if not SMALLEST <= value <= LARGEST:
        raise RecipeError(f"{name} must be a positive number that float32 holds, from 1.2e-38 to 3.4e+38; found {value!r}.")


def require_no_less_than_zero(name: str, value: Any, zero: str) -> None:
    """Raise an error unless the value is a positive number that float32 holds or 0, which means `zero`.

    Raises:
        RecipeError: The value is not; the message names the setting.
    """
    if not _is_number(value) or not 0 <= value < math.inf:
        raise RecipeError(f"{name} must be 0 ({zero}) or a positive number; found {value!r}.")
    if value:
        require_positive(name, value)


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
