"""The rows of a table of numbers, kept by column: 8 bytes for a number, 4 for a word, however the file was written.

Rows are taken one by one, as a reader of tables gives them, and turned into arrays some thousand at a time, so that a million rows are
never in memory as rows. A value that is neither a number nor a word is kept as the reason, and told when somebody uses its column. In:
rows. Out: a `ColumnTable`, which is a sequence of rows as well. Next: `kshot.tasks.numbers.columns`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np

from kshot.errors import DataError
from kshot.tasks.numbers.values import plain_value

_AT_ONCE = 4096
"""Rows that wait to be turned into arrays."""
_REMEMBERED = 10_000
"""Texts of a column whose meaning is remembered."""
_LARGEST = 3.4e38
_PLAIN = {str, float, int, bool}


@dataclass(frozen=True, eq=False)
class ColumnValues:
    """The values of one column in n rows.

    Attributes:
        numbers: float64 (n,); NaN where there is no number.
        words: Places in `vocabulary`, int32 (n,), -1 where there is no word; None: there is none in any row.
        vocabulary: The words.
        faults: Why a value cannot be used, by its row, from 0.
    """

    numbers: np.ndarray
    words: np.ndarray | None
    vocabulary: tuple[str, ...]
    faults: Mapping[int, DataError]

    def __getitem__(self, row: int) -> float | str | None:
        """Return the value in a row; None where it is missing, or cannot be used."""
        if self.words is not None and self.words[row] >= 0:
            return self.vocabulary[int(self.words[row])]
        number = float(self.numbers[row])
        return None if number != number else number

    def take(self, rows: np.ndarray) -> "ColumnValues":
        """Return the values in some rows."""
        faults = {}
        if self.faults:
            faults = {place: self.faults[row] for place, row in enumerate(rows.tolist()) if row in self.faults}
        return ColumnValues(self.numbers[rows], None if self.words is None else self.words[rows], self.vocabulary, faults)


class ColumnTable(Sequence[dict[str, float | str | None]]):
    """Rows by column.

    Attributes:
        columns: The values by the names of the columns.
    """

    def __init__(self, columns: Mapping[str, ColumnValues], rows: int) -> None:
        self.columns, self._rows = columns, rows

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, object]], names: Sequence[str]) -> "ColumnTable":
        """Take the values of these columns from rows. A row without one of them lacks the value."""
        builder = ColumnBuilder(names)
        for row in rows:
            builder.append(row)
        return builder.table()

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, row: int) -> dict[str, float | str | None]: ...

    @overload
    def __getitem__(self, row: slice) -> "ColumnTable": ...

    def __getitem__(self, row: int | slice) -> "dict[str, float | str | None] | ColumnTable":
        """Return one row, values by the names of the columns; or some rows."""
        if isinstance(row, slice):
            return self.take(np.arange(self._rows)[row])
        if not -self._rows <= row < self._rows:
            raise IndexError(row)
        return {name: values[row] for name, values in self.columns.items()}

    def take(self, rows: Sequence[int] | np.ndarray) -> "ColumnTable":
        """Return some rows."""
        places = np.asarray(rows, dtype=np.int64)
        return ColumnTable({name: values.take(places) for name, values in self.columns.items()}, len(places))


@dataclass(eq=False)
class _Growing:
    """A column while rows come. Its arrays have room for more; room that was never written takes no memory."""

    numbers: np.ndarray = field(default_factory=lambda: np.empty(_AT_ONCE))
    words: np.ndarray | None = None
    places: dict[str, int] = field(default_factory=dict)
    meanings: dict[str, float | str | None] = field(default_factory=dict)
    faults: dict[int, DataError] = field(default_factory=dict)

    def extend(self, values: list[object], name: str, start: int) -> None:
        end = start + len(values)
        self.numbers = _with_room(self.numbers, start, end)
        if self.words is not None:
            self.words = _with_room(self.words, start, end)
            self.words[start:end] = -1
        if (found := _as_numbers(values)) is not None:
            self.numbers[start:end] = found
            return
        self.numbers[start:end] = np.nan
        for row, value in enumerate(values, start):
            try:
                known = self._meaning(value, name)
            except DataError as error:
                self.faults[row] = error
                continue
            if isinstance(known, str):
                if self.words is None:
                    self.words = np.empty(len(self.numbers), dtype=np.int32)
                    self.words[:end] = -1
                self.words[row] = self.places.setdefault(known, len(self.places))
            elif known is not None:
                self.numbers[row] = known

    def _meaning(self, value: object, name: str) -> float | str | None:
        if not isinstance(value, str):
            return plain_value(value, name)
        if value not in self.meanings:
            if len(self.meanings) >= _REMEMBERED:
                return plain_value(value, name)
            self.meanings[value] = plain_value(value, name)
        return self.meanings[value]

    def finished(self, rows: int) -> ColumnValues:
        words = None if self.words is None else self.words[:rows]
        return ColumnValues(self.numbers[:rows], words, tuple(self.places), self.faults)


def _with_room(array: np.ndarray, used: int, wanted: int) -> np.ndarray:
    """Return an array of at least the wanted length, with what is used of it."""
    if wanted <= len(array):
        return array
    larger = np.empty(max(2 * len(array), wanted), dtype=array.dtype)
    larger[:used] = array[:used]
    return larger


class ColumnBuilder:
    """Takes rows one by one.

    Args:
        names: The columns that are kept.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = {name: _Growing() for name in names}
        self._waiting: list[Mapping[str, object]] = []
        self._rows = 0

    def append(self, row: Mapping[str, object]) -> None:
        """Take a row. A row without one of the columns lacks the value."""
        self._waiting.append(row)
        if len(self._waiting) >= _AT_ONCE:
            self._turn()

    def table(self) -> ColumnTable:
        """Return all rows. No more can be taken."""
        self._turn()
        return ColumnTable({name: one.finished(self._rows) for name, one in self._columns.items()}, self._rows)

    def _turn(self) -> None:
        for name, column in self._columns.items():
            column.extend([row.get(name) for row in self._waiting], name, self._rows)
        self._rows += len(self._waiting)
        self._waiting.clear()


def _as_numbers(values: list[object]) -> np.ndarray | None:
    """Return values as float64 where all are numbers, or texts that say numbers; else None."""
    if not set(map(type, values)) <= _PLAIN:
        return None
    try:
        numbers = np.fromiter(map(float, values), np.float64, len(values))  # type: ignore[arg-type]  # texts, numbers, truth values
    except (ValueError, OverflowError):
        return None
    return None if (np.abs(numbers) > _LARGEST).any() else numbers


def words_of(values: ColumnValues) -> Iterator[str]:
    """Yield the different values of a column as words, sorted; an empty text stands for a missing one."""
    found = set(values.vocabulary)
    numbers = values.numbers[~np.isnan(values.numbers)]
    found.update(map(word_of, np.unique(numbers).tolist()))
    there = len(numbers) + (0 if values.words is None else int((values.words >= 0).sum()))
    if there < len(values.numbers):
        found.add("")
    yield from sorted(found)


def mark_words(words: Sequence[str], values: ColumnValues, found: np.ndarray) -> None:
    """Set the 1 of each row in the column of its word, (n, number of words); a word that is not among them has none."""
    place = {word: number for number, word in enumerate(words)}
    rows, lacking = np.arange(len(found)), np.isnan(values.numbers)
    if values.words is not None:
        known = np.array([place.get(word, -1) for word in values.vocabulary], dtype=np.int64)
        worded = values.words >= 0
        at = np.where(worded, known[values.words], -1)
        found[rows[at >= 0], at[at >= 0]] = 1
        lacking &= ~worded
    for number in np.unique(values.numbers[~np.isnan(values.numbers)]).tolist():
        if (at_one := place.get(word_of(number))) is not None:
            found[values.numbers == number, at_one] = 1
    if "" in place:
        found[lacking, place[""]] = 1


def word_of(value: float | str | None) -> str:
    """Return a value of a category as its word: 3 and 3.0 are one word, a missing one is empty."""
    return "" if value is None else value if isinstance(value, str) else f"{value:.12g}"


def row_in_words(row: Mapping[str, object], most: int) -> str:
    """Write the first values of a row for people to read: `age 3, colour red`."""
    values = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in list(row.items())[:most]}
    return ", ".join(name if value is None else f"{name} {value}" for name, value in values.items())
