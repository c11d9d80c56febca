"""Rows of tables that are texts: CSV, TSV, JSON Lines, and plain lines.

In: a file, or standard input. Out: columns and rows (`row.Start`). Next: `table_file`.

Texts are UTF-8, with or without a byte order mark. CSV is read strictly (RFC 4180): a quotation mark that is never closed would otherwise
swallow the rows after it without a word. Fields are separated by whichever of comma, semicolon, tab and bar cuts the first line into most
parts, since spreadsheets of many countries write semicolons; in TSV, by tabs.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from kshot.data.tables.row import MOST_BYTES, Row, Rows, Start
from kshot.errors import DataError
from kshot.printable import printable
from kshot.regular_file import UTF_16, is_utf_16, not_utf_8, opened, parse_json

LONGEST_LINE = 2**24
"""Characters of a line. The rest of a longer one is passed over, and its row is a fault."""
_SEPARATORS = ",;\t|"
_KEYS_OF = 100
"""Lines of JSON whose keys are the columns; of standard input, which may be waiting for its answers, one."""
_EMPTY_BYTES = "\0" * 16
"""A file with holes, or one that is no text; without an error, it would be read to its end, which may be far away."""


@dataclass(frozen=True)
class Source:
    """Where a text comes from: the file `name`, or a stream that messages call `name`."""

    name: str
    stream: io.BufferedReader | None = None

    def lines(self) -> Iterator[tuple[str, str]]:
        """Read the lines.

        Yields:
            A line with its end, and why it cannot be used; the latter is empty if it can.

        Raises:
            DataError: The file cannot be read, is empty, or is not UTF-8 from its first bytes on.
        """
        if self.stream is not None:
            yield from self._lines_of(self.stream)
            return
        try:
            with opened(Path(self.name), MOST_BYTES) as file:
                yield from self._lines_of(file)
        except OSError as error:
            raise DataError(f"cannot read {printable(self.name)}: {error.strerror or error}. Check the path.") from error

    def _lines_of(self, file: io.BufferedReader) -> Iterator[tuple[str, str]]:
        if is_utf_16(file.peek(2)):
            raise DataError(f"{printable(self.name)} is {UTF_16}")
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        number = 0
        try:
            while line := text.readline(LONGEST_LINE):
                number += 1
                fault = ""
                if not line.isascii():
                    fault = _not_utf8(line, number)
                self._refuse_holes(line, number)
                if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
                    fault = f"line {number} has more than {LONGEST_LINE:,} characters. Shorten it."
                    while (rest := text.readline(LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
                        self._refuse_holes(rest, number)
                yield line, fault
        finally:
            if not file.closed:
                text.detach()  # standard input is not ours to close
        if not number:
            raise DataError(f"{printable(self.name)} is empty. Check the path.")

    def _refuse_holes(self, line: str, number: int) -> None:
        if line.startswith(_EMPTY_BYTES):
            raise self.fault(f"line {number} holds {len(_EMPTY_BYTES)} and more bytes of zero in a row: this is no text. Check the file.")

    def fault(self, reason: str) -> DataError:
        """Return the error for one row."""
        return DataError(f"{printable(self.name)}: {reason}")


def _not_utf8(line: str, number: int) -> str:
    try:
        line.encode()
    except UnicodeEncodeError as error:
        return not_utf_8(number, error.start + 1, ord(line[error.start]) - 0xDC00)
    return ""


def start_csv(source: Source) -> Start:
    """Read CSV."""
    return _start_separated(source, _SEPARATORS)


def start_tsv(source: Source) -> Start:
    """Read TSV, with quotation marks as in CSV."""
    return _start_separated(source, "\t")


def start_lines(source: Source) -> Start:
    """Read one text per line, into the column `text`. An empty line is an empty text, so that the rows keep the numbers of the lines."""
    return ("text",), (source.fault(fault) if fault else {"text": line.rstrip("\r\n")} for line, fault in source.lines())


def start_json_lines(source: Source) -> Start:
    """Read one JSON object per line. A key that a line lacks is None; one that no line at the start has is not read."""
    rows = _objects(source)
    first = list(islice(rows, _KEYS_OF if source.stream is None else 1))
    columns = tuple(dict.fromkeys(key for row in first if isinstance(row, dict) for key in row))
    if not columns:
        raise next((row for row in first if isinstance(row, DataError)), source.fault("no line holds a JSON object. Check the path."))
    return columns, (row if isinstance(row, DataError) else {key: row.get(key) for key in columns} for row in chain(first, rows))


def _objects(source: Source) -> Rows:
    for number, (line, fault) in enumerate(source.lines(), 1):
        if fault:
            yield source.fault(fault)
        elif line.strip():
            yield _object(source, line, number)


def _object(source: Source, line: str, number: int) -> Row | DataError:
    try:
        value = parse_json(line, finite=False)
    except json.JSONDecodeError as error:
        reason = f"line {number} is not JSON ({error.msg} at character {error.pos + 1})"
    except ValueError as error:
        reason = f"line {number} is not usable JSON: {error}"
    else:
        if isinstance(value, dict):
            return value
        reason = f"line {number} holds no JSON object"
    whole = " A list of objects becomes one per line with: jq -c '.[]' OLD > NEW" if line.lstrip().startswith("[") else ""
    return source.fault(f"{reason}. JSON Lines has one object per line.{whole}")


def _start_separated(source: Source, separators: str) -> Start:
    lines = source.lines()
    skipped: list[tuple[str, str]] = []
    for first in lines:
        skipped.append(first)
        if first[0].strip():
            break
    separator = max(separators, key=lambda one: _n_fields(skipped[-1][0], one))
    records = _records(source, chain(skipped, lines), separator)
    header = next(records, None)
    if header is None:
        raise source.fault("it holds empty lines only. Check the path.")
    if isinstance(header, DataError):
        raise header
    columns = tuple(name.strip() or f"column {place}" for place, name in enumerate(header[1], 1))
    return columns, _named(source, records, columns, separator)


def _n_fields(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:  # told where the line is read as a record
        return 0


def _records(source: Source, lines: Iterator[tuple[str, str]], separator: str) -> Iterator[tuple[int, list[str]] | DataError]:
    """Cut lines into fields. Yields the line where a record begins and its fields, or why it cannot be read; no empty lines."""
    faults: list[str] = []

    def texts() -> Iterator[str]:
        for line, fault in lines:
            faults.extend([fault] if fault else [])
            yield line

    reader = csv.reader(texts(), delimiter=separator, strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.append(_misquoted(begin, reader.line_num, str(error)))
            fields = []
        if faults:
            yield source.fault(faults[0])
            faults.clear()
        elif fields:
            yield begin, fields


def _misquoted(begin: int, end: int, reason: str) -> str:
    where = f"line {begin}" if begin == end else f"the row of lines {begin} to {end}"
    if "limit" in reason:
        return f"{where} has a field of more than {csv.field_size_limit():,} characters, or a quotation mark that is never closed."
    return (
        f"{where} has a quotation mark that is never closed, or stands inside a quoted field ({reason}). Double each quotation mark inside "
        'a quoted field ("say ""yes"" now"), or write the table as JSON Lines.'
    )


def _named(source: Source, records: Iterator[tuple[int, list[str]] | DataError], columns: tuple[str, ...], separator: str) -> Rows:
    for record in records:
        if isinstance(record, DataError):
            yield record
        elif len(record[1]) == len(columns):
            yield dict(zip(columns, record[1], strict=True))
        else:
            mark = {"\t": "a tab"}.get(separator, f"{separator!r}")
            yield source.fault(
                f"line {record[0]} has {len(record[1])} fields, and the header names {len(columns)}. Put quotation marks around a field "
                f"that holds {mark}, or complete the line."
            )
