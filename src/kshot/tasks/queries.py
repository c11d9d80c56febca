"""The queries of a prediction: what a person names on the command line, as paths, texts or rows.

In: words, which are files, folders, patterns, tables, texts, or `-` for standard input. Out: `Query`s in the order of the words. Next:
`kshot.tasks.answers`.
"""

import glob
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from kshot.data.kind import READ
from kshot.data.pictures.picture_file import is_picture_name
from kshot.data.tables.columns import find_columns
from kshot.data.tables.table_file import TableFile, is_json, is_table, open_table
from kshot.encoders.encoder import Reads
from kshot.errors import DataError
from kshot.regular_file import look

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Query:
    """One thing to label.

    Attributes:
        input: Its path as it was given; below a folder, the folder as it was given and the path below it. Of a row, its number, or
            `TABLE:NUMBER` where several words are named; of a text, the text.
        fault: Why there is nothing to read; empty if there may be.
        thing: What an encoder reads: a path, a text, or a row.
    """

    input: str | int
    fault: str = ""
    thing: Any = None


@dataclass(frozen=True)
class TableForm:
    """How a table of queries is read.

    Attributes:
        reads: What the things are.
        columns: The columns that hold them, as the model knows them from the table of its examples; empty for a folder's model.
        text: The column of the texts, as named by the user.
        path: The column of the paths, as named by the user.
        form: The form of standard input, one of `kshot.data.tables.table_file.FORMS`; None: see `queries_of`.
    """

    reads: Reads
    columns: tuple[str, ...] = ()
    text: str | None = None
    path: str | None = None
    form: str | None = None


def queries_of(words: Sequence[str], table: TableForm, stream: io.BufferedReader | None) -> Iterator[Query]:
    """Find the things that words mean to a model.

    Args:
        words: As `find_queries` takes them for photographs. Beside those, tables; for texts also texts themselves: words with a space that
            name no file. Of several words, one that cannot be read is a query with a fault.
        table: How tables are read.
        stream: Standard input, which `-` stands for: paths of pictures; texts, one per line; or a table, as JSON Lines or CSV.

    Yields:
        The queries, as they are asked for.

    Raises:
        DataError: The only word is a table that cannot be read, or that lacks columns.
    """
    alone = len(words) == 1
    for word in words:
        try:
            yield from _meant_by(word, table, stream, alone=alone)
        except DataError as error:
            if alone:
                raise
            yield Query(word, str(error))


def _meant_by(word: str, table: TableForm, stream: io.BufferedReader | None, *, alone: bool) -> Iterator[Query]:
    if word == STANDARD_INPUT and table.reads == "photographs" and table.form is None:
        yield from find_queries([word], io.TextIOWrapper(stream, errors="surrogateescape") if stream else ())
    elif word == STANDARD_INPUT or _is_table(word, table.reads):
        yield from _rows(word, table, stream, alone=alone)
    elif table.reads == "photographs":
        yield from find_queries([word], ())
    elif table.reads == "texts" and not os.path.lexists(word) and (not word or any(map(str.isspace, word))):
        yield Query(word, thing=word)
    elif (found := _fitting(word)) is not None:
        if not found:
            yield Query(word, _none_fits(word))
        for path in found:
            yield from _rows(path, table, stream, alone=False)
    elif table.reads == "texts" and not os.path.lexists(word) and not is_table(word):
        raise DataError(
            f"there is no file {word}. A text that is given as a word of the command has a space; give one without on standard input: "
            "kshot predict MODEL -"
        )
    else:
        yield from _rows(word, table, stream, alone=alone)


def files_named(words: Iterable[str]) -> Iterator[str]:
    """Yield the files and folders that words name: the words themselves, and what fits the patterns among them."""
    for word in words:
        if word != STANDARD_INPUT:
            yield from _fitting(word) or [word]


def _is_table(word: str, reads: Reads) -> bool:
    try:
        return is_table(word) and look(word) != "nothing" and not (reads == "photographs" and is_picture_name(Path(word)))
    except DataError:  # it cannot be reached, such as a long text; whoever reads it says so
        return False


def _fitting(word: str) -> list[str] | None:
    """Return the paths that fit a pattern, sorted; None for a word that is none, or is the name of a file."""
    if os.path.lexists(word) or not glob.has_magic(word):
        return None
    return [] if "\0" in word else sorted(glob.glob(word, recursive=True))


def _none_fits(word: str) -> str:
    return f"no file fits the pattern {word}. Check the path."


def _rows(word: str, form: TableForm, stream: io.BufferedReader | None, *, alone: bool) -> Iterator[Query]:
    if word == STANDARD_INPUT:
        lines = form.reads == "texts" and stream is not None and not is_json(stream)
        table = open_table(word, form=form.form or ("lines" if lines else None), stream=stream)
    else:
        table = open_table(word)
    things = _columns_of(table, form)
    take = thing_of(form.reads, things, Path() if word == STANDARD_INPUT else Path(word).parent)
    for number, row in enumerate(table.each(), 1):
        name = number if alone else f"{word}:{number}"
        if isinstance(row, DataError):
            yield Query(name, str(row))
        elif (thing := take(row)) is None:
            yield Query(name, "the text is empty." if form.reads == "texts" else f"there is no path in {things[0]!r}.")
        else:
            yield Query(name, thing=thing)


def _columns_of(table: TableFile, form: TableForm) -> tuple[str, ...]:
    """Return the columns that hold the things: those that the user names, those of the model, or those that are found."""
    named = form.text is not None or form.path is not None
    if not named and form.columns:
        missing = [name for name in form.columns if name not in table.columns]
        if not missing:
            return form.columns
        if form.reads == "numbers":
            shown = ", ".join(map(repr, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise DataError(
                f"{table.name} lacks {len(missing)} of the {len(form.columns)} columns that the model reads: {shown}. Add them, empty "
                "where a value is missing."
            )
    reads = cast("Literal['photographs', 'texts', 'numbers']", form.reads)
    return find_columns(table, reads=reads, text=form.text, path=form.path, labelled=False).things


def thing_of(reads: Reads, columns: Sequence[str], folder: Path) -> Callable[[Mapping[str, Any]], Any]:
    """Return what takes the thing out of a row: a text, the path of a picture, the features; None where there is none.

    Args:
        reads: What the things are.
        columns: The columns that hold them.
        folder: The folder of the table, to which relative paths are relative.
    """
    if reads == "numbers":
        return lambda row: {name: row[name] for name in columns}
    (column,) = columns
    if reads == "texts":
        return lambda row: None if row[column] is None or not str(row[column]).strip() else str(row[column])
    return lambda row: None if not row[column] else folder / str(row[column])


def find_queries(words: Sequence[str], lines: Iterable[str]) -> Iterator[Query]:
    """Find the pictures that words mean.

    Args:
        words: Files; folders, whose pictures are taken with those of their subfolders, in the order of their names, hidden ones left out;
            patterns with `*`, `?`, `[…]` or `**`, for shells that expand none; and `-`.
        lines: The lines of standard input, which `-` stands for: one file, folder or pattern per line. Empty lines are left out.

    Yields:
        The queries. A folder without pictures and a pattern that fits nothing are queries with a fault.
    """
    for word in words:
        if word != STANDARD_INPUT:
            yield from _meant(word)
            continue
        for line in lines:
            if path := line.rstrip("\r\n"):
                yield from _meant(path)


def _meant(word: str) -> Iterator[Query]:
    if os.path.isdir(word):
        yield from _in_folder(word)
    elif (found := _fitting(word)) is not None:
        if not found:
            yield Query(word, _none_fits(word))
        for path in found:
            yield from _in_folder(path) if os.path.isdir(path) else [Query(path, thing=path)]
    else:
        yield Query(word, thing=word)


def _in_folder(folder: str) -> Iterator[Query]:
    empty = True
    for query in _below(folder, (os.path.realpath(folder),)):
        empty = False
        yield query
    if empty:
        yield Query(folder, _no_pictures(folder))


def _no_pictures(folder: str) -> str:
    others = next((name for _, _, names in os.walk(folder) for name in sorted(names) if not name.startswith(".")), None)
    told = "" if others is None else f", but other files, such as {others}"
    return f"the folder {folder} holds no pictures{told}. Check the path.{'' if others is None else f' {READ}'}"


def _below(folder: str, above: tuple[str, ...]) -> Iterator[Query]:
    """Yield the pictures in a folder and below it. `above` are the folders that it lies in, without links, which may lead back."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        yield Query(folder, f"cannot list the folder {folder}: {error.strerror or error}. Allow reading it.")
        return
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            place = os.path.realpath(path)
            if place not in above:
                yield from _below(path, (*above, place))
        elif is_picture_name(Path(name)):
            yield Query(path, thing=path)
