"""The columns of a table of features: rows become vectors in which every column counts the same.

    a number     (x - mean) / deviation, cut to the range that the examples have; a missing one is their median
    a category   0 or 1 for each of its words; a word that no example has is 0 for all; a missing one is a word of its own
    missing      0 or 1 beside a number column in which an example lacks the number

Cutting to the seen range keeps one far value from outvoting all other columns: with two rows per column, deviations are hardly known. A
column with one value everywhere, or none, says nothing and is left out. Columns are fitted as scikit-learn fits them, kept as plain
numbers, and applied with numpy. In: rows, as `TableFile.rows` gives them, or a `ColumnTable`. Out: `NumberColumns`. Next:
`kshot.tasks.numbers.number_encoder`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import numpy as np

from kshot.errors import DataError, SavedError
from kshot.tasks.numbers.column_table import ColumnTable, ColumnValues, mark_words, word_of, words_of
from kshot.tasks.numbers.values import plain_value
from kshot.value_types import misfit, shortened

MOST_CATEGORIES = 100
"""The most different words of a column of categories."""
_STRAYS = 0.2
"""A column with fewer words than this share among its values is one of numbers, in which the words are faults."""


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers.

    Attributes:
        name: Its name.
        fill: What a missing number counts as: the median.
        mean: Subtracted.
        scale: Divided by; > 0.
        low: The smallest number of an example.
        high: The largest one.
        indicator: Whether a missing number is marked beside it.
    """

    name: str
    fill: float
    mean: float
    scale: float
    low: float
    high: float
    indicator: bool


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories.

    Attributes:
        name: Its name.
        words: Its words, sorted; an empty text stands for a missing one.
    """

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class NumberColumns:
    """Columns that have seen the examples.

    Attributes:
        columns: The columns that are used, in the order of the vector.
        findings: What was found, in sentences: columns left out, categories, missing values.
    """

    columns: tuple[NumberColumn | CategoryColumn, ...]
    findings: tuple[str, ...]

    @property
    def features(self) -> int:
        """D, the length of a vector."""
        return sum(len(one.words) if isinstance(one, CategoryColumn) else 1 + one.indicator for one in self.columns)

    def vector(self, row: Mapping[str, object]) -> np.ndarray:
        """Return the vector of one row, float32 (D,).

        Args:
            row: Values by the names of their columns. Further columns are ignored.

        Raises:
            DataError: A column is missing, or a value is not of its kind.
        """
        found: list[float] = []
        for one in self.columns:
            if one.name not in row:
                raise _no_column(one.name, row)
            value = plain_value(row[one.name], one.name)
            if isinstance(one, CategoryColumn):
                word = word_of(value)
                found += [float(word == known) for known in one.words]
                continue
            if isinstance(value, str):
                raise _no_number(one.name, value)
            number = one.fill if value is None else min(max(value, one.low), one.high)
            found.append((number - one.mean) / one.scale)
            if one.indicator:
                found.append(float(value is None))
        return np.array(found, dtype=np.float32)

    def vectors(self, table: ColumnTable) -> tuple[np.ndarray, dict[int, DataError]]:
        """Return the vectors of many rows, as `vector` does of one.

        Args:
            table: The rows.

        Returns:
            float32 (n, D), and why a row has no vector, by its number from 0. What stands in such a row says nothing.
        """
        found = np.zeros((len(table), self.features), dtype=np.float32)
        faults: dict[int, DataError] = {}
        place = 0
        for one in self.columns:
            if one.name not in table.columns:
                return found, {**dict.fromkeys(range(len(table)), _no_column(one.name, table.columns)), **faults}
            values = table.columns[one.name]
            faults = {**values.faults, **faults}
            if isinstance(one, CategoryColumn):
                mark_words(one.words, values, found[:, place : place + len(one.words)])
                place += len(one.words)
                continue
            if values.words is not None:
                worded = np.flatnonzero(values.words >= 0).tolist()
                faults |= {row: _no_number(one.name, values[row]) for row in worded if row not in faults}
            lacking = np.isnan(values.numbers)
            numbers = np.where(lacking, one.fill, np.clip(values.numbers, one.low, one.high))
            found[:, place] = (numbers - one.mean) / one.scale
            place += 1
            if one.indicator:
                found[:, place] = lacking
                place += 1
        return found, faults

    def as_dict(self) -> dict[str, Any]:
        """Return the columns in values that JSON has."""
        numbers = [{**asdict(one), "place": place} for place, one in enumerate(self.columns) if isinstance(one, NumberColumn)]
        categories = [
            {"name": one.name, "words": list(one.words), "place": place}
            for place, one in enumerate(self.columns)
            if isinstance(one, CategoryColumn)
        ]
        return {"numbers": numbers, "categories": categories, "findings": list(self.findings)}


class _NumberRecord(TypedDict):
    name: str
    fill: float
    mean: float
    scale: float
    low: float
    high: float
    indicator: bool
    place: int


class _CategoryRecord(TypedDict):
    name: str
    words: list[str]
    place: int


class ColumnsRecord(TypedDict):
    """What `NumberColumns.as_dict` returns."""

    numbers: list[_NumberRecord]
    categories: list[_CategoryRecord]
    findings: list[str]


def columns_from_dict(record: object) -> NumberColumns:
    """Return the columns that `NumberColumns.as_dict` wrote.

    Raises:
        SavedError: The record is of another form.
    """
    if fault := misfit(ColumnsRecord, record, "columns"):
        raise SavedError(f"the columns of this model cannot be used: {fault}.")
    assert isinstance(record, dict)
    placed: dict[int, NumberColumn | CategoryColumn] = {}
    for one in record["numbers"]:
        placed[one["place"]] = NumberColumn(**{name: value for name, value in one.items() if name != "place"})
    for one in record["categories"]:
        placed[one["place"]] = CategoryColumn(one["name"], tuple(one["words"]))
    if sorted(placed) != list(range(len(record["numbers"]) + len(record["categories"]))):
        raise SavedError("the columns of this model cannot be used: two of them have one place, or a place is empty.")
    if any(isinstance(one, NumberColumn) and not one.scale > 0 for one in placed.values()):
        raise SavedError("the columns of this model cannot be used: a scale is not above 0.")
    return NumberColumns(tuple(placed[place] for place in range(len(placed))), tuple(record["findings"]))


def fit_columns(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> NumberColumns:
    """Fit the columns of the examples.

    Args:
        rows: The examples, values by the names of their columns; at least one. A `ColumnTable` is taken as it is.
        names: The columns to use, in order.

    Raises:
        DataError: A column holds dates, words among numbers, or a text of its own in almost every row; or no column is left.
    """
    table = rows if isinstance(rows, ColumnTable) else ColumnTable.of(rows, names)
    columns: list[NumberColumn | CategoryColumn] = []
    findings: list[str] = []
    for name in names:
        column, finding = _fit_one(name, table.columns[name])
        columns += [column] if column else []
        findings += [finding] if finding else []
    if not columns:
        raise DataError(f"no column of the table tells rows apart: {' '.join(findings) or 'there is none'} Give columns with numbers.")
    return NumberColumns(tuple(columns), tuple(findings))


def _fit_one(name: str, values: ColumnValues) -> tuple[NumberColumn | CategoryColumn | None, str]:
    if values.faults:
        row, fault = min(values.faults.items())
        raise DataError(f"row {row + 1}, {fault}")
    n, numbers = len(values.numbers), ~np.isnan(values.numbers)
    worded = np.flatnonzero(values.words >= 0) if values.words is not None else np.empty(0, dtype=np.int64)
    there = int(numbers.sum()) + len(worded)
    if not there:
        return None, f"Column {name!r} is empty and was left out."
    if there == n and _one_value(values, numbers):
        return None, f"Column {name!r} has the value {shortened(values[0])} everywhere and was left out."
    if not len(worded):
        lacking = n - there
        marked = f"Column {name!r} lacks {lacking:,} of {n:,} numbers; they count as its median, and are marked." if lacking else ""
        return _number_column(name, values.numbers), marked
    if len(worded) < _STRAYS * there:
        row = int(worded[0])
        raise DataError(
            f"row {row + 1}, column {name!r}: expected a number, as in most rows; found {shortened(values[row])} "
            f"({len(worded):,} such rows). Repair them, or leave them empty."
        )
    known = tuple(words_of(values))
    if len(known) > MOST_CATEGORIES or (len(known) > n / 2 and len(known) > 10):
        raise DataError(
            f"column {name!r} has {len(known):,} different texts in {n:,} rows; a category has at most {MOST_CATEGORIES}, each "
            "in some rows. Leave the column out if it names the rows; if it is what tells classes apart, give it with --text."
        )
    marked = f"; a missing one, as in {n - there:,} of {n:,} rows, counts as a word of its own" if there < n else ""
    return CategoryColumn(name, known), f"Column {name!r} is a category of {len(known) - (there < n):,} words{marked}."


def _one_value(values: ColumnValues, numbers: np.ndarray) -> bool:
    """Whether a column in which nothing is missing has one value everywhere."""
    if values.words is None:
        return word_of(float(values.numbers.min())) == word_of(float(values.numbers.max()))
    return not numbers.any() and bool((values.words == values.words[0]).all())


def _number_column(name: str, numbers: np.ndarray) -> NumberColumn:
    """Fit as scikit-learn's `SimpleImputer(strategy="median")` and `StandardScaler` do, without importing it, which takes 120 MB."""
    there = numbers[~np.isnan(numbers)]
    fill, n = float(np.median(there)), len(numbers)
    lacking = n - len(there)
    mean = (float(there.sum()) + lacking * fill) / n
    variance = (float(np.square(there - mean).sum()) + lacking * (fill - mean) ** 2) / n
    rounding = np.finfo(np.float64).eps * n
    constant = variance <= rounding * variance + (rounding * mean) ** 2  # all of it may be rounding
    scale = 1.0 if constant else float(np.sqrt(variance))
    return NumberColumn(name, fill, mean, scale, float(there.min()), float(there.max()), lacking > 0)


def _no_column(name: str, found: Iterable[str]) -> DataError:
    return DataError(f"column {name!r} is missing; found {', '.join(map(repr, found))}. Give the columns of the examples.")


def _no_number(name: str, value: object) -> DataError:
    return DataError(f"column {name!r}: expected a number; found {shortened(value)}. Repair it, or leave it empty.")
