"""The columns of a table of features: rows become vectors in which every column counts the same.

    a number     (x - mean) / deviation, cut to the range that the examples have; a missing one is their median
    a category   0 or 1 for each of its words; a word that no example has is 0 for all; a missing one is a word of its own
    missing      0 or 1 beside a number column in which an example lacks the number

Cutting to the seen range keeps one far value from outvoting all other columns: with two rows per column, deviations are hardly known. A
column with one value everywhere, or none, says nothing and is left out. Columns are fitted with scikit-learn, kept as plain numbers, and
applied with numpy. In: rows, as `TableFile.rows` gives them. Out: `NumberColumns`. Next: `kshot.tasks.numbers.number_encoder`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import numpy as np

from kshot.errors import DataError, SavedError, missing_extra
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
                raise DataError(f"column {one.name!r} is missing; found {', '.join(map(repr, row))}. Give the columns of the examples.")
            value = plain_value(row[one.name], one.name)
            if isinstance(one, CategoryColumn):
                word = _word(value)
                found += [float(word == known) for known in one.words]
                continue
            if isinstance(value, str):
                raise DataError(f"column {one.name!r}: expected a number; found {shortened(value)}. Repair it, or leave it empty.")
            number = one.fill if value is None else min(max(value, one.low), one.high)
            found.append((number - one.mean) / one.scale)
            if one.indicator:
                found.append(float(value is None))
        return np.array(found, dtype=np.float32)

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
        rows: The examples, values by the names of their columns; at least one.
        names: The columns to use, in order.

    Raises:
        DataError: A column holds dates, words among numbers, or a text of its own in almost every row; or no column is left.
        SetupError: scikit-learn is not installed.
    """
    columns: list[NumberColumn | CategoryColumn] = []
    findings: list[str] = []
    for name in names:
        values = []
        for number, row in enumerate(rows, 1):
            try:
                values.append(plain_value(row.get(name), name))
            except DataError as error:
                raise DataError(f"row {number}, {error}") from None
        column, finding = _fit_one(name, values)
        columns += [column] if column else []
        findings += [finding] if finding else []
    if not columns:
        raise DataError(f"no column of the table tells rows apart: {' '.join(findings) or 'there is none'} Give columns with numbers.")
    return NumberColumns(tuple(columns), tuple(findings))


def _fit_one(name: str, values: list[float | str | None]) -> tuple[NumberColumn | CategoryColumn | None, str]:
    there = [value for value in values if value is not None]
    lacking = len(values) - len(there)
    words = [number for number, value in enumerate(values, 1) if isinstance(value, str)]
    if not there:
        return None, f"Column {name!r} is empty and was left out."
    if len(set(map(_word, values))) == 1:
        return None, f"Column {name!r} has the value {shortened(there[0])} everywhere and was left out."
    if not words:
        marked = (
            f"Column {name!r} lacks {lacking:,} of {len(values):,} numbers; they count as its median, and are marked." if lacking else ""
        )
        return _number_column(name, values), marked
    if len(words) < _STRAYS * len(there):
        stray = values[words[0] - 1]
        raise DataError(
            f"row {words[0]}, column {name!r}: expected a number, as in most rows; found {shortened(stray)} "
            f"({len(words):,} such rows). Repair them, or leave them empty."
        )
    known = sorted(set(map(_word, values)))
    if len(known) > MOST_CATEGORIES or (len(known) > len(values) / 2 and len(known) > 10):
        raise DataError(
            f"column {name!r} has {len(known):,} different texts in {len(values):,} rows; a category has at most {MOST_CATEGORIES}, each "
            "in some rows. Leave the column out if it names the rows; if it is what tells classes apart, give it with --text."
        )
    marked = f"; a missing one, as in {lacking:,} of {len(values):,} rows, counts as a word of its own" if lacking else ""
    return _category_column(name, values), f"Column {name!r} is a category of {len(known) - bool(lacking):,} words{marked}."


def _number_column(name: str, values: list[float | str | None]) -> NumberColumn:
    SimpleImputer, StandardScaler, _ = _scikit_learn()
    table = np.array([np.nan if value is None else value for value in values], dtype=np.float64)[:, None]
    lacks = bool(np.isnan(table).any())
    imputer = SimpleImputer(strategy="median").fit(table)
    scaler = StandardScaler().fit(imputer.transform(table))
    ends = float(np.nanmin(table)), float(np.nanmax(table))
    scale = float(scaler.scale_[0])
    return NumberColumn(name, float(imputer.statistics_[0]), float(scaler.mean_[0]), scale, *ends, lacks)


def _category_column(name: str, values: list[float | str | None]) -> CategoryColumn:
    _, _, OneHotEncoder = _scikit_learn()
    encoder = OneHotEncoder(handle_unknown="ignore").fit(np.array(list(map(_word, values)), dtype=object)[:, None])
    return CategoryColumn(name, tuple(map(str, encoder.categories_[0])))


def _word(value: float | str | None) -> str:
    """Return a value of a category as its word: 3 and 3.0 are one word, a missing one is empty."""
    return "" if value is None else value if isinstance(value, str) else f"{value:.12g}"


def _scikit_learn() -> tuple[Any, Any, Any]:
    try:
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import OneHotEncoder, StandardScaler
    except ImportError:
        raise missing_extra("scikit-learn", "tables", "Fitting the columns of a table") from None
    return SimpleImputer, StandardScaler, OneHotEncoder
