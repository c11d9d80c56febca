"""The learners inside the package, and functions that find a learner by name or folder."""

from importlib import resources
from pathlib import Path

from kshot.errors import SavedError, did_you_mean
from kshot.learners.learner import Learner
from kshot.learners.untrained import UNTRAINED
from kshot.saved.folder import RECORD, Saved, load_folder


def shipped() -> list[str]:
    """Return the names of the learners inside the package, sorted."""
    return sorted(path.name for path in _shelf().iterdir() if (path / RECORD).is_file())


def find(source: str | Path) -> Path:
    """Return the folder of a saved learner.

    Args:
        source: A folder, or the name of a shipped learner. If there is a folder of that name, it is used, so a path is never ambiguous.

    Raises:
        SavedError: There is neither such a folder nor such a learner.
    """
    folder = Path(source)
    if folder.is_dir():
        inner = folder / "learner"
        return inner if not (folder / RECORD).exists() and (inner / RECORD).exists() else folder
    if str(source) in shipped():
        return _shelf() / str(source)
    if str(source) in UNTRAINED:
        raise SavedError(
            f"{source} needs no training and is not saved. Give its name to kshot evaluate, compare or inspect, which add data."
        )
    raise SavedError(
        f"there is no saved learner {str(source)!r}: no such folder.{did_you_mean(str(source), shipped())} "
        f"The shipped learners are {', '.join(shipped()) or 'none'}."
    )


def open_saved(source: str | Path, into: Learner | None = None) -> Saved:
    """Return a saved learner with its preprocessing and record.

    Args:
        source: The folder of a learner, the folder of a run, or the name of a shipped learner.
        into: A learner to fill. None builds the saved one.

    Raises:
        SavedError: The learner cannot be found or read, or does not fit.
    """
    return load_folder(find(source), into)


def load(source: str | Path, into: Learner | None = None) -> Learner:
    """Return a saved learner in evaluation mode.

    Args:
        source: The folder of a learner, the folder of a run, or the name of a shipped learner.
        into: Your own learner to fill, checked name by name. None builds the saved one.

    Raises:
        SavedError: The learner cannot be found or read, or does not fit.
    """
    return open_saved(source, into).learner


def _shelf() -> Path:
    # kshot is installed as plain files (its data is memory-mapped and read by other libraries), so every resource is a path.
    return Path(str(resources.files("kshot.saved"))) / "shipped"
