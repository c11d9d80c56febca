"""Which column of a table is what: the label, the text, the path of a picture, the features.

In: a `TableFile`, and the names that a user gives. Out: `Columns`. Next: `kshot.tasks`.

A column is named by the user or found by its name: the first name of a role (`label`, `text`, `path`) before the others in its list. What
two columns claim, or none does, is asked about and not guessed. One thing is concluded: of two columns, the one that is not the label is
the text, if most of its values are several words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kshot.data.tables.table_file import TableFile
from kshot.errors import DataError, did_you_mean
from kshot.printable import printable
from kshot.value_types import shortened

Reads = Literal["photographs", "texts", "numbers"]

LABELS = ("label", "labels", "class", "classes", "category", "intent", "target", "species", "y")
TEXTS = ("text", "texts", "sentence", "utterance", "message", "query", "question", "content", "review", "comment", "seq.in")
PATHS = ("path", "paths", "file", "filename", "file_name", "filepath", "image", "image_path", "picture", "photo", "photograph")
"""Names by which a column is found, in lower case; spaces around a name do not count."""
_NAMED = 12
"""How many columns a message names."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are.

    Attributes:
        reads: What the things are: `photographs`, `texts` or `numbers`.
        things: The column of the paths or of the texts; of numbers, the columns of the features, in order.
        label: The column of the labels; empty if the table has none, or none was asked for.
        unused: The other columns.
    """

    reads: Reads
    things: tuple[str, ...]
    label: str
    unused: tuple[str, ...] = ()


def find_columns(
    table: TableFile,
    *,
    reads: Reads | None = None,
    label: str | None = None,
    text: str | None = None,
    path: str | None = None,
    labelled: bool = True,
) -> Columns:
    """Say which column is what.

    Args:
        table: The table.
        reads: What the things are, if it is known, as for a model that answers. If not, a column of texts or paths says it, and a table
            without one holds numbers.
        label: The column of the labels, as named by the user.
        text: The column of the texts, as named by the user.
        path: The column of the paths, as named by the user.
        labelled: Whether labels are needed. If not, a column of labels is found where there is one, and may be missing.

    Raises:
        DataError: A column is named that the table does not have; or none, or more than one, fits. The message names the columns and the
            flag.
    """
    if text is not None and path is not None:
        raise DataError("--text and --path name two columns to read, and one is read. Leave one of them out.")
    for flag, name in (("--label", label), ("--text", text), ("--path", path)):
        if name is not None and name not in table.columns:
            raise _no_column(table, flag, name)
    if reads is None:
        reads = "texts" if text is not None else "photographs" if path is not None else None
    label = label if label is not None else _found(table, "--label", LABELS, table.columns, needed=labelled)
    others = tuple(name for name in table.columns if name != label)
    worded = others if reads else tuple(name for name in others if not _is_numeric(table, name))
    if text is None and path is None:
        text = _found(table, "--text", TEXTS, worded) if reads in (None, "texts") else None
        path = _found(table, "--path", PATHS, worded) if reads in (None, "photographs") else None
    if text and path:
        raise DataError(
            f"{printable(table.name)} has a column of texts, {printable(text)!r}, and a column of paths, {printable(path)!r}. Name the one "
            f"to read: --text {printable(text)} or --path {printable(path)}."
        )
    if (
        not text
        and not path
        and len(others) == 1
        and (reads in ("texts", "photographs") or (reads is None and _is_prose(table, others[0])))
    ):
        text, path = (None, others[0]) if reads == "photographs" else (others[0], None)
    reads = reads or ("texts" if text else "photographs" if path else "numbers")
    thing = {"texts": text, "photographs": path, "numbers": None}[reads]
    if reads != "numbers" and not thing:
        what, flag = ("texts", "--text") if reads == "texts" else ("paths", "--path")
        raise _none_found(table, what, flag, TEXTS if reads == "texts" else PATHS, others)
    if not label and len(table.columns) == 2 and thing and labelled:
        label = next(name for name in table.columns if name != thing)
    if labelled and not label:
        raise _none_found(table, "labels", "--label", LABELS, tuple(name for name in table.columns if name != thing))
    things = (thing,) if thing else tuple(name for name in table.columns if name != label)
    if not things:
        raise DataError(f"{printable(table.name)} has the column {printable(label)!r} alone, and nothing to read beside it. Add columns.")
    return Columns(reads, things, label or "", tuple(name for name in table.columns if name not in things and name != label))


def _found(table: TableFile, flag: str, names: Sequence[str], columns: Sequence[str], *, needed: bool = True) -> str | None:
    """Return the column that bears the first of the names, or else the only one that bears another of them.

    Raises:
        DataError: Several bear another of them, and one is needed.
    """
    plain = {column: column.strip().lower() for column in columns}
    fitting = [column for column in columns if plain[column] == names[0]] or [column for column in columns if plain[column] in names]
    if len(fitting) > 1 and needed:
        raise DataError(
            f"{printable(table.name)}: the columns {_listed(fitting)} may each be what {flag} names. Name one: {flag} "
            f"{printable(fitting[0])}"
        )
    return fitting[0] if len(fitting) == 1 else None


def _is_numeric(table: TableFile, column: str) -> bool:
    """Whether every value of a column that is there is a number, and one is there."""
    values = [row[column] for row in table.head() if isinstance(row, dict)]
    there = [value for value in values if value is not None and not (isinstance(value, str) and not value.strip())]
    return bool(there) and all(not isinstance(value, str) or _is_number(value) for value in there)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_prose(table: TableFile, column: str) -> bool:
    """Whether most values of a column are several words."""
    values = [row[column] for row in table.head() if isinstance(row, dict)]
    return 2 * sum(isinstance(value, str) and len(value.split()) > 1 for value in values) > len(values)


def _no_column(table: TableFile, flag: str, name: str) -> DataError:
    return DataError(
        f"{printable(table.name)} has no column {printable(name)!r}, which {flag} names.{did_you_mean(name, table.columns)} Its columns "
        f"are {_listed(table.columns)}."
    )


def _none_found(table: TableFile, what: str, flag: str, names: Sequence[str], candidates: Sequence[str]) -> DataError:
    return DataError(
        f"{printable(table.name)}: which column holds the {what}? None is called {', '.join(names[:-1])} or {names[-1]}. "
        f"Name it: {flag} COLUMN, with one of {_listed(candidates)}. If these are data, add a line of names before the first row."
    )


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(shortened(printable(name)) for name in columns[:_NAMED])
    return f"{shown} and {len(columns) - _NAMED} more" if len(columns) > _NAMED else shown
