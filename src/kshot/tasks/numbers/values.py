"""One value of a table: a number, a word, or missing. In: what a file gives, text or typed. Out: a float, a text, or None."""

import math
import re
from datetime import date, time
from numbers import Real
from typing import Any

import numpy as np

from kshot.errors import DataError
from kshot.value_types import shortened

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-", "<na>"})
"""Texts that say that a value is missing, in lower case and without spaces around them."""
_TRUE, _FALSE = frozenset({"true", "yes"}), frozenset({"false", "no"})
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}:\d{2}(:\d{2})?")


def plain_value(value: object, column: str) -> float | str | None:
    """Return a value as a number, as text, or as None where it is missing.

    `true`, `yes`, `false` and `no` are 1 and 0. A text that Python reads as a number is one.

    Args:
        value: What a file gives.
        column: Name of the column, for the message.

    Raises:
        DataError: It is infinite, a date or a time, or no single value.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_ | Real | np.number) and not isinstance(value, np.complexfloating):
        return None if math.isnan(number := _float(value)) else _finite(number, column)
    if isinstance(value, date | time | np.datetime64):
        raise _no_date(value, column)
    if not isinstance(value, str):
        raise DataError(f"column {column!r}: expected a number or a text; found {shortened(value)}. Give one value per column and row.")
    text = value.strip()
    word = text.lower()
    if word in MISSING:
        return None
    if word in _TRUE or word in _FALSE:
        return float(word in _TRUE)
    try:
        number = float(text)
    except ValueError:
        if _DATE.fullmatch(text):
            raise _no_date(text, column) from None
        return text
    return None if math.isnan(number) else _finite(number, column)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf


def _finite(number: float, column: str) -> float:
    if abs(number) > 3.4e38:
        raise DataError(f"column {column!r}: expected a finite number that float32 holds; found {number}. Repair it, or leave it empty.")
    return number


def _no_date(value: object, column: str) -> DataError:
    return DataError(
        f"column {column!r}: dates and times are not understood; found {shortened(value)}. Give them as numbers, such as days since a "
        "day of your choice, the month, or the hour; or leave the column out."
    )
