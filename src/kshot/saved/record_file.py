"""`learner.json`, the record of a saved learner: its form, and reading it.

In: the folder of a saved learner. Out: its content, of which every part that kshot reads has been checked. Next: `kshot.saved.folder`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from kshot.errors import SavedError
from kshot.meta_train.state_file import STATE
from kshot.regular_file import look, read_json
from kshot.value_types import misfit

FORMAT = 1
RECORD = "learner.json"


class Part(TypedDict):
    """A learner, a backbone or a preprocessing by its name in a table."""

    name: str
    arguments: dict[str, Any]


class Tensors(TypedDict):
    """The file of tensors."""

    file: str
    sha256: str
    shapes: NotRequired[dict[str, str]]
    stored_as: NotRequired[str]


class Facts(TypedDict, total=False):
    """What kshot takes apart of what a training wrote down. A user may add more, under other names."""

    division: dict[str, list[str]] | None
    test_sizes: tuple[int, int] | None
    classes_seen: dict[str, list[str]]


Content = TypedDict(
    "Content",
    {
        "format": int,
        "learner": Part | None,
        "backbone": Part | None,
        "family": str,
        "class": str,
        "preprocess": Any,
        "tensors": Tensors,
        "record": Facts,
    },
)


def read_record(folder: Path) -> dict[str, Any]:
    """Read `learner.json` of a saved learner, and check its format and its form.

    Raises:
        SavedError: The file is missing, damaged or newer than this kshot.
    """
    file = folder / RECORD
    if look(folder, SavedError) != "folder":
        raise SavedError(f"there is no folder {folder}. Give the folder of a saved learner, or the name of a shipped one.")
    try:
        content = read_json(file)
    except FileNotFoundError:
        if look(folder / STATE, SavedError) == "file":
            raise SavedError(
                f"{folder} is a run whose training is not finished: it has no learner yet. Continue it with kshot train … --resume."
            ) from None
        raise SavedError(f"{folder} is not a saved learner: it has no {RECORD}. Give the folder of a run or of a saved learner.") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise SavedError(f"{file} is damaged: {reason}. Save or copy the learner again.") from error
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is not int:
        raise SavedError(f"{file} is not the record of a saved learner: it has no format. Give the folder of a saved learner.")
    if version > FORMAT:
        raise SavedError(f"{folder} has format {version}; this kshot reads up to {FORMAT}. Install a newer kshot.")
    if version < 1:
        raise SavedError(f"{file} is damaged: formats are 1 and more; found {version}. Save or copy the learner again.")
    if fault := misfit(Content, content):
        raise SavedError(f"{file} is damaged: {fault}. Save or copy the learner again.")
    checked: dict[str, Any] = content
    return checked


def check_facts(record: Mapping[str, Any]) -> None:
    """Refuse a record whose facts kshot could not read back.

    Raises:
        SavedError: The record is no mapping, or a fact has another form than `Facts` says.
    """
    if not isinstance(record, Mapping):
        raise SavedError(f"the record must be a mapping of names to facts; found {type(record).__name__}.")
    if fault := misfit(Facts, dict(record), "record"):
        raise SavedError(f"the record cannot be saved: {fault}. kshot reads this name itself: correct it, or use another name.")
