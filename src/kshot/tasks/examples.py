"""The labelled examples of a user, found: a folder of class folders, or a table of paths, texts or numbers.

In: a path, and what the user says about it. Out: `Examples`, with notes on what was left out and why. Next: `kshot.tasks.fit`.

Nothing is decoded or embedded here. Left out are examples without a label, empty texts, and copies: pictures equal byte for byte and equal
texts of one class, which would be tested on themselves. Equal things in two classes are kept and named.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kshot.data.pictures.class_folders import class_files
from kshot.data.reading import in_order
from kshot.data.tables.columns import find_columns
from kshot.data.tables.labels import SEPARATOR, alike, label_name, label_set
from kshot.data.tables.table_file import is_table, open_table
from kshot.encoders.embed import content_key
from kshot.encoders.encoder import Reads
from kshot.errors import DataError, RecipeError
from kshot.passes import watched
from kshot.regular_file import look
from kshot.tasks.numbers.column_table import ColumnBuilder, ColumnTable
from kshot.tasks.numbers.label_kind import find_label_kind
from kshot.tasks.numbers.values import MISSING
from kshot.tasks.queries import TableForm, queries_of, thing_of
from kshot.value_types import shortened

_NAMED = 3
_DEEPEST = 1000
MOST_LABEL = 1000
"""Characters of the name of a class in a table."""


@dataclass(frozen=True)
class Asked:
    """What a user says about the examples.

    Attributes:
        label: The column of the labels.
        text: The column of the texts.
        path: The column of the paths.
        depth: How many parts of a folder's path name the class; None: all of them.
        classes: Whether labels that are numbers are names of classes, however many they are.
        reads: What the things are, if it is known.
        regression: Whether the labels are a quantity.
        multi_label: Whether a thing may have several labels, or none: a list, or a text with `SEPARATOR`. They are then one label of
            `Examples`, joined again with `SEPARATOR`.
        known: The columns of a model's own table, as `Model.columns`, which count where the user names none and the table has them.
    """

    label: str | None = None
    text: str | None = None
    path: str | None = None
    depth: int | None = None
    classes: bool = False
    reads: Reads | None = None
    regression: bool = False
    multi_label: bool = False
    known: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled examples.

    Attributes:
        reads: What the things are.
        things: Paths of pictures, texts, or rows: column → value, as a `ColumnTable`.
        labels: The class of each, by its name.
        names: What each is called: its path, or the number of its row as text.
        columns: The columns of the table, as `Model.columns`; empty for a folder.
        notes: What the user should know, in sentences.
    """

    reads: Reads
    things: Sequence[Any]
    labels: Sequence[str]
    names: Sequence[str]
    columns: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> dict[str, int]:
        """How many examples each class has; classes are sorted."""
        return dict(sorted(Counter(self.labels).items()))

    def called(self, number: int) -> str:
        """Return what messages call an example: its path, its text, or the number of its row."""
        name = self.names[number]
        if name.isdecimal() and (self.columns or self.reads != "photographs"):
            return f"row {name}"
        return shortened(name) if self.reads == "texts" else name

    def keeping(self, kept: Sequence[int], *notes: str) -> "Examples":
        """Return the examples of these numbers, with further notes."""
        labels, names = ([values[number] for number in kept] for values in (self.labels, self.names))
        rows = self.things
        things = rows.take(kept) if isinstance(rows, ColumnTable) else [rows[number] for number in kept]
        return replace(self, things=things, labels=labels, names=names, notes=(*self.notes, *notes))


def find_examples(source: str | Path, asked: Asked | None = None) -> Examples:
    """Find labelled examples.

    Args:
        source: A folder of class folders, or a table.
        asked: What the user says about it.

    Raises:
        DataError: There are none, or it is not clear which column is what; the message says what to do.
        RecipeError: A flag does not go with the source.
        SetupError: A table needs a package that is not installed.
    """
    asked = asked or Asked()
    table = is_table(str(source)) or look(source) != "folder"
    if asked.regression:
        return _quantity(str(source), asked, table=table)
    return without_copies(_in_table(str(source), asked) if table else _in_folder(Path(source), asked))


def of_one_class(name: str, sources: Sequence[str], reads: Reads, columns: Mapping[str, Any]) -> Examples:
    """Find examples that all belong to one class: pictures and folders of pictures, or tables, whose labels do not count.

    Raises:
        DataError: There are none.
    """
    things: list[Any] = []
    names = []
    for query in queries_of(sources, TableForm(reads, tuple(columns.get("things", ()))), None):
        if query.fault:
            raise DataError(f"an example of {name!r} cannot be read: {query.fault}")
        things.append(Path(query.thing) if reads == "photographs" else query.thing)
        names.append(str(query.input))
    if not things:
        raise DataError(f"there is no example of {name!r} in {', '.join(sources)}. Name a picture, a folder, or a table.")
    found = ColumnTable.of(things, columns["things"]) if reads == "numbers" else things
    return without_copies(Examples(reads, found, [name] * len(things), names, columns))


def without_copies(examples: Examples) -> Examples:
    """Leave out all but the first of equal pictures or texts of one class, and name labels and things that are suspicious."""
    notes = [
        f"the labels {' and '.join(map(repr, group))} differ by case or spaces only, and are taken as {len(group)} classes. If they are "
        "one class, write them alike."
        for group in alike(examples.labels)
    ]
    if examples.reads == "numbers":
        return replace(examples, notes=(*examples.notes, *notes))
    first: dict[bytes, dict[str, int]] = {}
    kept, copies = [], []
    for number, key in enumerate(_keys(examples)):
        known = first.setdefault(key, {}) if key else {}
        twin = known.setdefault(examples.labels[number], number)
        if twin == number:
            kept.append(number)
        else:
            copies.append((number, twin))
    what, are = ("picture", "byte for byte") if examples.reads != "texts" else ("text", "word for word")
    if copies:
        copied = "a copy of another one of its class" if len(copies) == 1 else "copies of others of their class"
        which = " and ".join(examples.called(number) for number in copies[0])
        notes.append(f"{_counted(len(copies), what)} left out: {copied}, {are}, such as {which}.")
    if torn := [list(known.values()) for known in first.values() if len(known) > 1]:
        one, other = torn[0][:2]
        which = " and ".join(f"{examples.called(number)} in {examples.labels[number]!r}" for number in (one, other))
        notes.append(f"{_counted(len(torn), what)} in more than one class, {are}, such as {which}. Correct the labels.")
    return examples.keeping(kept, *notes)


def _keys(examples: Examples) -> Iterator[bytes]:
    what = "texts" if examples.reads == "texts" else "pictures"
    with watched(f"{what} compared", len(examples)) as done:
        for key in map(content_key, examples.things) if examples.reads == "texts" else in_order(content_key, examples.things):
            yield key
            done(1)


def _in_folder(root: Path, asked: Asked) -> Examples:
    if asked.multi_label:
        raise DataError(
            f"--multi-label reads a table with a column of labels, and {root} is a folder, in which a picture has one class. Write a table "
            "of paths and labels."
        )
    if typed := [f"--{flag}" for flag in ("label", "text", "path") if getattr(asked, flag) is not None]:
        raise DataError(f"{', '.join(typed)} names a column of a table, and {root} is a folder of class folders. Leave it out.")
    if asked.depth is not None and not 1 <= asked.depth <= _DEEPEST:
        raise DataError(f"--depth must be 1 to {_DEEPEST}, the number of folders that name a class; found {shortened(asked.depth)}.")
    things: list[Path] = []
    labels: list[str] = []
    for folder, paths in class_files(root).items():
        name = folder if asked.depth is None else "/".join(folder.split("/")[: asked.depth])
        things += paths
        labels += [name] * len(paths)
    return Examples("photographs", things, labels, [str(path) for path in things])


def _quantity(source: str, asked: Asked, *, table: bool) -> Examples:
    """Find rows with a quantity, whose labels are its values as text."""
    if asked.classes:
        raise RecipeError("--classes takes numbers as names of classes, and --regression as a quantity. Leave one of them out.")
    if not table or asked.text is not None or asked.path is not None:
        what = f"{source} is a folder" if not table else f"--{'text' if asked.text is not None else 'path'} names things of another kind"
        raise RecipeError(f"--regression predicts a quantity from a table of numbers, and {what}. Leave --regression out to learn classes.")
    return _in_table(source, replace(asked, reads="numbers"))


def _in_table(source: str, asked: Asked) -> Examples:
    if asked.depth is not None:
        raise DataError(f"--depth says how many folders name a class, and {source} is a table. Leave it out.")
    table = open_table(source)
    columns = find_columns(table, reads=asked.reads, **_named(asked, table.columns))  # type: ignore[arg-type]
    take = thing_of(columns.reads, columns.things, Path(source).parent)
    rows = ColumnBuilder(columns.things)
    things: list[Any] = []
    labels, names = [], []
    left_out: dict[str, list[int]] = {}
    unlabelled = "no label" + (f" (an empty list, or {SEPARATOR!r}, says that none fits)" if asked.multi_label else "")
    for number, row in enumerate(table.each(), 1):
        if isinstance(row, DataError):
            raise row
        label, none = _label(row[columns.label], asked, number)
        if asked.regression and label.lower() in MISSING:
            label = ""
        if len(label) > MOST_LABEL:
            raise DataError(
                f"row {number}: {columns.label!r} holds a label of {len(label):,} characters; the name of a class has at most "
                f"{MOST_LABEL:,}. Name the column of the labels: --label COLUMN."
            )
        if not label and not none:
            left_out.setdefault(unlabelled, []).append(number)
            continue
        if columns.reads == "numbers":
            rows.append(row)
        elif (thing := take(row)) is None:
            left_out.setdefault("an empty text" if columns.reads == "texts" else "no path", []).append(number)
            continue
        else:
            things.append(thing)
        labels.append(label if asked.regression else sys.intern(label))  # one object for all labels of a class
        names.append(str(number))
    if not labels:
        raise DataError(f"{source} has no row with a label in {columns.label!r} and something to read. Check the file.")
    notes = tuple(
        f"{_counted(len(rows), 'row')} left out, with {why}: {'row' if len(rows) == 1 else 'rows'} {_some(rows)}."
        for why, rows in left_out.items()
    )
    kind = find_label_kind(
        labels, columns.label, "regression" if asked.regression else "classes" if asked.classes or asked.multi_label else None, names
    )
    notes = (*notes, *filter(None, [kind.finding]))
    found = {"things": list(columns.things), "label": columns.label}
    return Examples(columns.reads, rows.table() if columns.reads == "numbers" else things, labels, names, found, notes)


def _label(value: object, asked: Asked, number: int) -> tuple[str, bool]:
    """Return the label of a row, empty where it is missing; and whether it says that the thing belongs to no class."""
    if asked.multi_label:
        try:
            names = label_set(value)
        except DataError as error:
            raise DataError(f"row {number}: {error}") from error
        return SEPARATOR.join(names or ()), names == ()
    if isinstance(value, list):
        raise DataError(
            f"row {number}: the label is a list, {shortened(str(value))}. If a thing may have several labels, add --multi-label."
        )
    return label_name(value), False


def _named(asked: Asked, columns: Sequence[str]) -> dict[str, str | None]:
    """Return the columns of labels, texts and paths that are named: by the user, or by the model where the table has them."""
    label, text, path = asked.label, asked.text, asked.path
    if label is None and asked.known.get("label") in columns:
        label = asked.known["label"]
    things = [name for name in asked.known.get("things", ()) if name in columns]
    if text is None and path is None and len(things) == 1:
        text, path = (things[0] if asked.reads == reads else None for reads in ("texts", "photographs"))
    return {"label": label, "text": text, "path": path}


def _counted(count: int, what: str) -> str:
    return f"1 {what} is" if count == 1 else f"{count:,} {what}s are"


def _some(rows: Sequence[int]) -> str:
    shown = ", ".join(map(str, rows[:_NAMED]))
    return shown if len(rows) <= _NAMED else f"{shown} and {len(rows) - _NAMED:,} more"
