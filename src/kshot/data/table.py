"""Kinds of data by name: how each is opened, read, divided and found again.

A new kind is one folder or file with its data set and its `Kind`, and one line in `KINDS`. In: what a recipe says about its data, as plain
values. Out: a `Source` to open, the division of its classes, the form of its items. Next: `kshot.workflows.build`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kshot.construct import check_values
from kshot.data.dataset import Dataset
from kshot.data.divided_dataset import divides_itself, own_division
from kshot.data.kind import AUTO, READ, Kind, form_of_item
from kshot.data.pictures.image_folder import PICTURES
from kshot.data.pictures.omniglot import OMNIGLOT
from kshot.data.preprocess import Preprocess
from kshot.data.sinusoids import SINUSOIDS
from kshot.data.split import Split, divide_by_file, divide_by_fraction, divide_by_parts
from kshot.data.tables.synthetic_tables import TABLES
from kshot.data.vectors import VECTORS
from kshot.errors import DataError, RecipeError, did_you_mean, known_ones
from kshot.regular_file import look

KINDS: dict[str, Kind] = {
    "omniglot": OMNIGLOT,
    "sinusoids": SINUSOIDS,
    "tables": TABLES,
    "vectors": VECTORS,
    "pictures": PICTURES,
}
FRACTIONS = "fractions"


@dataclass(frozen=True)
class Source:
    """A data set that can be opened; equal sources are the same items, read in the same way.

    Attributes:
        kind: A name in `KINDS`.
        name: A word, or a path.
        preprocess: How its items are read.
        settings: What else `Kind.open` is told.
    """

    kind: str
    name: str
    preprocess: Preprocess
    settings: tuple[tuple[str, Any], ...] = ()

    def open(self) -> Dataset:
        """Open the data set.

        Raises:
            DataError: It is missing, or holds items that cannot be used.
        """
        return KINDS[self.kind].open(self.name, self.preprocess, **dict(self.settings))


def source_of(
    name: str, kind: str = AUTO, *, preprocess: str | Preprocess = AUTO, settings: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> Source:
    """Find out what a recipe's words mean, without opening anything.

    Args:
        name: A word of a kind, or a path.
        kind: A name in `KINDS`, or `auto`.
        preprocess: The name of a preprocessing, `auto`, or one that a saved learner brings.
        settings: Settings that any kind may use; those that this kind does not use are ignored.
        own: Settings that belong to this kind.

    Raises:
        RecipeError: There is no such kind, `name` is not of it, or a setting is not one of its own or makes no sense.
        DataError: There is no such data, or the learner does not read this kind.
    """
    found = find_kind(name, kind)
    chosen = KINDS[found]
    if foreign := [key for key in own or {} if key not in chosen.settings()]:
        raise RecipeError(
            f"{chosen.what}; it has no setting data.{foreign[0]}.{did_you_mean(foreign[0], chosen.settings())} "
            f"Its settings are {', '.join(chosen.settings()) or 'none'}."
        )
    given = {**settings, **(own or {})}
    check_values("data.", chosen.open, {key: given[key] for key in chosen.open_settings() if key in given})
    if isinstance(preprocess, str):
        preprocess = chosen.make_preprocess(preprocess, given)
    else:
        chosen.check_preprocess(preprocess)
    return Source(found, name, preprocess, tuple((key, given[key]) for key in chosen.open_settings() if key in given))


def find_kind(name: str, kind: str = AUTO) -> str:
    """Name the kind of some data.

    Args:
        name: A word of a kind, or a path.
        kind: A name in `KINDS`, or `auto`: the kind whose word it is, or else the first that holds such a path.

    Raises:
        RecipeError: There is no such kind, or `name` is not of it.
        DataError: There is no such data.
    """
    if kind != AUTO:
        if kind not in KINDS:
            raise RecipeError(f"there is no kind of data {kind!r}.{known_ones(kind, [AUTO, *KINDS])}")
        if KINDS[kind].words and name not in KINDS[kind].words:
            raise RecipeError(f"data.kind={kind!r} needs {KINDS[kind].expects} as data.name; found {name!r}.")
        return kind
    if not name:
        raise DataError("no data are named. Give --data and a folder with one folder of pictures per class; or --set data.name=omniglot.")
    for known, one in KINDS.items():
        if name in one.words:
            return known
    found = look(name)
    for known, one in KINDS.items():
        if found != "nothing" and one.holds(Path(name)):
            return known
    what = {"nothing": "nothing", "folder": "a folder", "file": "a file", "other": "neither a file nor a folder"}[found]
    raise DataError(
        f"there is no data {name!r}: found {what} there.{did_you_mean(name, words()) if found == 'nothing' else ''} "
        f"Expected one of: {'; '.join(one.expects for one in KINDS.values())}. Check the name"
        + ("." if os.path.isabs(name) else f"; a relative path is searched in {os.getcwd()}.")
        + (f" {READ}" if found != "nothing" else "")
    )


def find_kind_for(name: str, preprocess: Preprocess | None, own: str | None) -> str:
    """Name the kind of some data that a saved learner is asked about.

    A word is of its kind. A path is of the learner's own kind if that holds it; or else of the first kind that holds it and takes the
    learner's preprocessing; or else of the first kind that holds it.

    Args:
        name: A word of a kind, or a path.
        preprocess: How the learner's inputs are made; None if it does not say.
        own: The kind of data that it was trained on; None if it does not say.

    Raises:
        DataError: There is no such data.
    """
    holding = [] if name in words() or look(name) == "nothing" else [known for known, one in KINDS.items() if one.holds(Path(name))]
    reading = [known for known in holding if preprocess is None or isinstance(preprocess, KINDS[known].preprocesses)]
    if own in holding:
        return own
    return next(iter(reading or holding), None) or find_kind(name)


def whole_path(name: str, kind: str = AUTO) -> str:
    """Return a `data.name` as an absolute path if it is one relative to the working directory; a word, and what is not there, unchanged.

    Args:
        name: A word of a kind, or a path.
        kind: A name in `KINDS`, or `auto`.
    """
    known = KINDS[kind].words if kind in KINDS else words()
    return name if name in known or look(name) == "nothing" else os.path.abspath(name)


def words() -> tuple[str, ...]:
    """List the values of `data.name` that are no paths."""
    return tuple(word for kind in KINDS.values() for word in kind.words)


def same_name(one: str, other: str) -> bool:
    """Whether two values of `data.name` mean the same data: the same word, or the same place."""
    if one == other or one in words() or other in words():
        return one == other
    try:
        return os.path.realpath(one) == os.path.realpath(other)
    except (OSError, ValueError):  # no working directory any more; a NUL character
        return False


def usual_split(kind: str) -> str:
    """Name the split that a kind of data has where nobody asks for another."""
    return KINDS[kind].splits[0] if KINDS[kind].splits else FRACTIONS


def divide(dataset: Dataset, split: str, *, fractions: tuple[float, float, float], seed: int) -> Split:
    """Divide the classes of a data set into training, validation and test.

    Args:
        dataset: Divides itself, or is divided here.
        split: One of its own splits; for other data `fractions`, or a JSON file of class names. The split of another kind counts as
            `fractions`, because a recipe that says nothing says `vinyals`. Data that came divided stay so, unless a file is named.
        fractions: Shares of train, val and test.
        seed: Seed of what is drawn at random.

    Raises:
        DataError: The split is unknown, or there are too few classes.
    """
    if divides_itself(dataset):
        return dataset.split(split, seed=seed)
    if split.endswith(".json"):
        return divide_by_file(dataset.index, Path(split))
    if split != FRACTIONS and not any(split in kind.splits for kind in KINDS.values()):
        raise DataError(f"the classes of {dataset.name} are divided by data.split='fractions' or a .json file; found {split!r}.")
    if (parts := own_division(dataset)) is not None:
        return divide_by_parts(dataset.index, parts, fractions, seed)
    return divide_by_fraction(dataset.index, fractions, seed)


def kind_of(dataset: Dataset) -> Kind | None:
    """Find the kind of an open data set; None for one that no kind opens, such as arrays."""
    return next((kind for kind in KINDS.values() if type(dataset) is kind.dataset), None)


def item_form(dataset: Dataset) -> Mapping[str, int]:
    """Describe an item of a data set, as arguments that a backbone's constructor may have."""
    kind = kind_of(dataset)
    return form_of_item(dataset) if kind is None else kind.form(dataset)


def found_again(dataset: Dataset, split: str) -> dict[str, Any] | None:
    """The `[data]` settings with which `kshot evaluate` opens a data set again; None where it cannot.

    Args:
        dataset: Open.
        split: The name of its division, for data with splits of their own.
    """
    kind = kind_of(dataset)
    settings = None if kind is None else kind.find_again(dataset)
    if kind is None or settings is None:
        return None
    return {"name": settings["name"], "split": split if kind.splits else FRACTIONS, **settings}
