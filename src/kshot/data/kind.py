"""What kshot must know of one kind of data to train on it by name: how it is opened, read, divided, and found again.

In: the functions and words of one kind, next to its data set. Out: a `Kind`, one line of `kshot.data.table`. Next: the table finds the kind
of a recipe's `data.name`, and `kshot.workflows.build` opens it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from kshot.construct import check_values
from kshot.data.dataset import Dataset
from kshot.data.preprocess import Preprocess
from kshot.errors import DataError, KshotError, RecipeError, did_you_mean
from kshot.value_types import out_of_range, shortened

AUTO = "auto"
READ = (
    "Files are read as pictures: PNG, JPEG, WebP, GIF, TIFF, BMP and the like. Sound is not read. Texts and tables (CSV) are labelled by "
    "models of their own, which kshot fit makes; in Python, kshot.ArrayDataset takes arrays of numbers."
)
"""What kinds of files are read and which are not, for messages."""
MOST_PIXELS = 1024
"""The longest side of a picture that a network reads."""


def form_of_item(dataset: Dataset) -> dict[str, int]:
    """Describe one item as a network reads it.

    Returns:
        `inputs`, how many numbers an item holds, and `channels`, the first of three dimensions. Nothing for items that are mappings.
    """
    x = dataset.preprocess.to_input(dataset.gather(dataset.index.items[:1]))  # (1, …)
    if isinstance(x, Mapping):
        return {}
    form = {"inputs": int(x[0].numel())}
    return {**form, "channels": int(x.shape[1])} if x.ndim == 4 else form


@dataclass(frozen=True)
class Kind:
    """One kind of data.

    Attributes:
        what: The kind as the beginning of a sentence: `omniglot is ink on paper`.
        expects: What `data.name` must be, for messages: `the word omniglot`, `a folder with one folder of pictures per class`.
        dataset: The class of what is opened.
        preprocesses: The preprocessings that it takes. The first is what `data.preprocess = "auto"` means.
        open: Opens it: `open(name, preprocess, **settings)`. Its keyword-only parameters are settings of a recipe's `[data]`.
        words: Values of `data.name` that mean this kind and are no path.
        holds: Whether an existing path is of this kind. The first kind of the table that says yes opens it; a saved learner tries its own
            kind first, and then kinds that take its preprocessing. Look at what the path holds: every folder is of no kind.
        splits: The names of its own splits, the usual one first; empty where classes are divided by fractions or by a file. A data set with
            splits of its own has a method `split` (`kshot.data.divided_dataset`).
        find_again: The `[data]` settings with which `kshot evaluate` opens a data set again; None where it cannot.
        groups_are_tasks: Whether classes of different groups are never in one task, because their items have nothing in common.
        form: The form of an item, as arguments that a backbone's constructor may have: `channels`, `inputs`.
    """

    what: str
    expects: str
    dataset: type[Dataset]
    preprocesses: tuple[type[Preprocess], ...]
    open: Callable[..., Dataset]
    words: tuple[str, ...] = ()
    holds: Callable[[Path], bool] = lambda path: False
    splits: tuple[str, ...] = ()
    find_again: Callable[[Any], Mapping[str, Any] | None] = lambda dataset: None
    groups_are_tasks: bool = False
    form: Callable[[Dataset], Mapping[str, int]] = form_of_item

    def open_settings(self) -> tuple[str, ...]:
        """Name the settings of `[data]` that `open` takes."""
        return tuple(name for name, one in signature(self.open).parameters.items() if one.kind is Parameter.KEYWORD_ONLY)

    def settings(self) -> tuple[str, ...]:
        """Name the settings of `[data]` that this kind uses: those of `open`, and the fields of its preprocessings."""
        own = [name for preprocess in self.preprocesses for name in field_names(preprocess)]
        return tuple(dict.fromkeys([*self.open_settings(), *own]))

    def make_preprocess(self, name: str, settings: Mapping[str, Any]) -> Preprocess:
        """Build the preprocessing that a recipe asks for.

        Args:
            name: `auto`, or the name of one of `preprocesses`.
            settings: Values for its fields; other settings are ignored.

        Raises:
            RecipeError: The kind takes no preprocessing of that name, or a value makes no sense.
        """
        known = {preprocess.name: preprocess for preprocess in self.preprocesses}
        if name not in (AUTO, *known):
            raise RecipeError(
                f"{self.what}; it takes no preprocessing {name!r}.{did_you_mean(name, [AUTO, *known])} "
                f"Set data.preprocess to one of {', '.join(map(repr, [AUTO, *known]))}."
            )
        chosen = self.preprocesses[0] if name == AUTO else known[name]
        return build_preprocess(chosen, {field: settings[field] for field in field_names(chosen) if field in settings}, "data.")

    def check_preprocess(self, preprocess: Preprocess) -> None:
        """Refuse a preprocessing, such as a saved learner's, that is for another kind of data.

        Raises:
            DataError: It is none of `preprocesses`.
        """
        if not isinstance(preprocess, self.preprocesses):
            raise DataError(f"{self.what}; this learner reads {preprocess!r}. Give it data of its own kind.")


def build_preprocess(kind: type[Preprocess], arguments: Mapping[str, Any], where: str = "") -> Preprocess:
    """Build a preprocessing from plain values.

    Raises:
        RecipeError: A value has another type than its field, or is out of range; the size of a picture is above `MOST_PIXELS`.
    """
    build: Callable[..., Preprocess] = kind
    size = arguments.get("size", 0)
    if isinstance(size, int) and size > MOST_PIXELS:
        raise RecipeError(f"size of {kind.name!r} must be at most {MOST_PIXELS:,} pixels; found {shortened(size)}.")
    if fault := out_of_range(arguments):
        raise RecipeError(f"preprocessing {kind.name!r}: {fault}.")
    check_values(where or f"preprocessing {kind.name!r}: ", build, arguments)
    try:
        return build(**arguments)
    except KshotError:
        raise
    except (TypeError, ValueError) as error:
        raise RecipeError(f"preprocessing {kind.name!r} cannot be made with {dict(arguments)}: {error}.") from error


def field_names(preprocess: Any) -> tuple[str, ...]:
    """Name the fields of a preprocessing's class, which are its arguments."""
    return tuple(field.name for field in fields(preprocess)) if is_dataclass(preprocess) else ()
