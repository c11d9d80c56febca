"""A user's table, whatever its form: its columns, and its rows one after the other.

In: a path, or standard input. Out: a `TableFile`. Next: `columns`, which says which column is what; then `kshot.tasks`.

Rows are read as they are asked for, so that a table may be larger than memory. A row that cannot be read is one fault and hides no other
row. `text_rows` reads CSV, TSV, JSON Lines and plain lines; `arrow_rows` Parquet files and data sets of Hugging Face; `array_rows` NumPy's
files.
"""

import codecs
import io
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

from kshot.data.tables.array_rows import start_npy, start_npz
from kshot.data.tables.arrow_rows import start_data_set, start_parquet
from kshot.data.tables.row import Rows, Start
from kshot.data.tables.text_rows import Source, start_csv, start_json_lines, start_lines, start_tsv
from kshot.errors import DataError, known_ones
from kshot.printable import printable
from kshot.regular_file import look
from kshot.standard_input import UNREADABLE

STANDARD_INPUT = "-"
HEAD = 100
"""Rows at the start of a table that `TableFile.head` gives, for whoever has to know what the columns hold."""
MOST_NAME = 1000
"""Characters of the name of a column."""

_TEXTS: dict[str, Callable[[Source], Start]] = {"csv": start_csv, "tsv": start_tsv, "jsonl": start_json_lines, "lines": start_lines}
_OTHERS: dict[str, Callable[[str], Start]] = {
    "parquet": start_parquet,
    "npy": start_npy,
    "npz": start_npz,
    "datasets": start_data_set,
}
FORMS = (*_TEXTS, *_OTHERS)
"""Forms of tables. `lines` is one text per line, in a column called `text`; `datasets` is a folder of Hugging Face's library."""
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "lines",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".npy": "npy",
    ".npz": "npz",
}
"""The end of a file's name, in lower case → its form."""
_WAYS_OUT = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "Save the sheet as CSV (UTF-8)."),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip"), "Unpack it."),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), "kshot opens no pickles, which can run any program. Write it as CSV or Parquet."),
    **dict.fromkeys((".arrow", ".feather"), "Name the folder that `save_to_disk` wrote, or write the table as Parquet."),
}


class TableFile:
    """A table whose rows are read one after the other.

    Attributes:
        name: Its path as it was given, or `standard input`.
        form: One of `FORMS`.
        columns: The names of its columns, in order.
    """

    def __init__(self, name: str, form: str, start: Callable[[], Start], *, once: bool = False) -> None:
        """Open a table.

        Args:
            name: What messages call it.
            form: One of `FORMS`.
            start: Opens it, and gives its columns and its rows. Called again for each further pass.
            once: Whether it can be read only once, as standard input.

        Raises:
            DataError: It has no column, or two columns of the same name.
        """
        self.name, self.form, self._start, self._once = name, form, start, once
        self.columns, self._rows = start()
        self._head: tuple[dict[str, object] | DataError, ...] | None = None
        self._taken = False
        if not self.columns:
            raise DataError(f"{printable(name)} has no columns. Check the file.")
        if (longest := max(map(len, self.columns))) > MOST_NAME:
            raise DataError(
                f"{printable(name)} has a column with a name of {longest:,} characters; at most {MOST_NAME:,} are read. If these are data, "
                "add a line of names before the first row."
            )
        twice = [column for column, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise DataError(f"{printable(name)}: more than one column is called {printable(twice[0])!r}. Give each a name of its own.")

    def __repr__(self) -> str:
        return f"TableFile({self.name!r}, {self.form}, {len(self.columns)} columns)"

    def head(self) -> tuple[dict[str, object] | DataError, ...]:
        """Return the first 100 rows, or all if there are fewer, in the form of `each`. Of standard input, `each` gives them again."""
        if self._head is None:
            rows = self._rows if self._once else self._opened_again()
            self._head = tuple(islice(rows, HEAD))
            self._rows = chain(self._head, rows)
        return self._head

    def rows(self) -> Iterator[dict[str, object]]:
        """Read the rows.

        Yields:
            Column name → value, for each of `columns`. In CSV, TSV and lines every value is a text; other forms have numbers too, and None
            where a value is missing.

        Raises:
            DataError: A row cannot be read, the table is gone or has changed, or standard input is read a second time.
        """
        for row in self.each():
            if isinstance(row, DataError):
                raise row
            yield row

    def each(self) -> Rows:
        """Read the rows, with an error, not raised, in place of a row that cannot be read.

        Raises:
            DataError: The table is gone or has changed, or standard input is read a second time.
        """
        if not self._once:
            return self._opened_again()
        if self._taken:
            raise DataError(f"{self.name} can be read only once. Save it to a file and name that.")
        self._taken = True
        return self._rows

    def _opened_again(self) -> Rows:
        columns, rows = self._start()
        if columns != self.columns:
            raise DataError(f"{printable(self.name)} has changed while it was read. Read it again.")
        return rows


def is_table(path: str) -> bool:
    """Whether a path is a table by its name, or a folder that Hugging Face's library wrote."""
    if look(path) == "folder":
        return any(look(Path(path) / name) == "file" for name in ("dataset_info.json", "dataset_dict.json"))
    return Path(path).suffix.lower() in SUFFIXES


def open_table(path: str, *, form: str | None = None, stream: io.BufferedReader | None = None) -> TableFile:
    """Open a table.

    Args:
        path: A file; the folder of a Hugging Face data set, as `save_to_disk` writes it; or `-` for standard input.
        form: One of `FORMS`. If it is not given, the end of the file's name says it; standard input is JSON Lines if it begins with a
            brace, and CSV if not.
        stream: Standard input, needed for `-`. It is read once, no further than rows are asked for.

    Raises:
        DataError: There is no such table, its form is not known, it is empty or damaged, or two columns have the same name.
        SetupError: It is a Parquet file or a data set, and pyarrow is not installed.
    """
    if form not in (None, *FORMS):
        raise DataError(f"{form!r} is no form of a table.{known_ones(form, FORMS)}")
    if path == STANDARD_INPUT:
        return _open_stream(form, stream)
    form = form or _form_of(path)
    if form in _TEXTS:
        return TableFile(path, form, lambda: _TEXTS[form](Source(path)))
    return TableFile(path, form, lambda: _OTHERS[form](path))


def is_json(stream: io.BufferedReader) -> bool:
    """Whether a stream begins with a brace, after a byte order mark or without one. Nothing is taken from it."""
    return stream.peek(4).removeprefix(codecs.BOM_UTF8)[:1] == b"{"


def _open_stream(form: str | None, stream: io.BufferedReader | None) -> TableFile:
    name = "standard input"
    if stream is None:
        raise DataError(UNREADABLE)
    if form is None:
        form = "jsonl" if is_json(stream) else "csv"
    if form not in _TEXTS:
        raise DataError(f"standard input is read as {', '.join(_TEXTS)}, and {form} was asked for. Save it to a file and name that.")
    return TableFile(name, form, lambda: _TEXTS[form](Source(name, stream)), once=True)


def _form_of(path: str) -> str:
    match look(path):
        case "nothing":
            raise DataError(f"there is no table at {printable(path)}. Check the path.")
        case "folder":
            return "datasets"
    suffix = Path(path).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    advice = _WAYS_OUT.get(suffix, f"Name a file that ends in {', '.join(SUFFIXES)}.")
    raise DataError(f"{printable(path)} is not a table that can be read: its name ends in {suffix or 'nothing'!r}. {advice}")
