"""What every reader of tables gives: columns, and rows with a reason in place of a row that cannot be read."""

from collections.abc import Iterator

from kshot.errors import DataError

Row = dict[str, object]
"""Column name → value."""
Rows = Iterator[Row | DataError]
Start = tuple[tuple[str, ...], Rows]
"""The columns and the rows of a table that has just been opened."""

BLOCK = 1024
"""Rows that are held at a time, in forms that are read in blocks."""
MOST_BYTES = 2**44
"""Bytes of a table, which is never in memory as a whole: a ceiling for files that lie about their size."""
