"""The learners inside the package, and functions that find a learner by name or folder."""

from importlib import resources
from pathlib import Path
from typing import Literal, overload

from kshot.errors import SavedError, did_you_mean
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.learners.learner import Learner
from kshot.learners.untrained import UNTRAINED
from kshot.regular_file import look, names_in
from kshot.saved.folder import Saved, load_folder
from kshot.saved.optimizer_file import FILE, load_optimizer
from kshot.saved.record_file import RECORD


def shipped() -> list[str]:
    """Return the names of the learners inside the package, sorted."""
    return [name for name in names_in(_shelf(), SavedError) if look(_shelf() / name / RECORD, SavedError) == "file"]


def shipped_optimizers() -> list[str]:
    """Return the names of the learned optimisers inside the package, sorted."""
    return [name for name in names_in(_shelf(), SavedError) if look(_shelf() / name / FILE, SavedError) == "file"]


def find(source: str | Path) -> Path:
    """Return the folder of a saved learner.

    Args:
        source: A folder, or the name of a shipped learner. If there is a folder of that name, it is used, so a path is never ambiguous.

    Raises:
        SavedError: There is neither such a folder nor such a learner, or it holds a learned optimiser.
    """
    refuse_optimizer(source)
    folder = Path(source)
    if look(folder, SavedError) == "folder":
        inner = folder / "learner"
        in_run = look(folder / RECORD, SavedError) == "nothing" and look(inner / RECORD, SavedError) != "nothing"
        return inner if in_run else folder
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


def refuse_optimizer(source: str | Path) -> None:
    """Say what a learned optimiser is, where something else is wanted.

    Raises:
        SavedError: The source is one.
    """
    if find_optimizer(source) is not None:
        raise SavedError(
            f"{source} is a learned optimiser, not a learner: it answers no queries, but trains a model of yours in place of Adam. Use it "
            f"with kshot.load({str(source)!r}).optimizer(model.parameters()). kshot show describes it, and kshot evaluate sets it against "
            "hand-made optimisers."
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


def find_optimizer(source: str | Path) -> Path | None:
    """Return the folder of a learned optimiser, or None where `source` is something else.

    Args:
        source: The folder of a learned optimiser, the folder of its run, or the name of a shipped one. A folder comes first.
    """
    folder = Path(source)
    places = [folder, folder / "optimizer"] if look(folder, SavedError) == "folder" else [_shelf() / str(source)]
    return next((place for place in places if look(place / FILE, SavedError) == "file"), None)


@overload
def load(  # type: ignore[overload-overlap]  # the shipped name is also a str, for which the other signature says what most folders hold
    source: Literal["learned-optimizer"], into: None = None
) -> LearnedOptimizer: ...


@overload
def load(source: str | Path, into: Learner | None = None) -> Learner: ...


def load(source: str | Path, into: Learner | None = None) -> Learner | LearnedOptimizer:
    """Return a saved learner in evaluation mode, or a saved learned optimiser.

    Args:
        source: The folder of a learner, the folder of a run, or the name of a shipped learner. Where it is that of a learned optimiser,
            a `LearnedOptimizer` is returned; type checkers know so only of the shipped one.
        into: Your own learner to fill, checked name by name. None builds the saved one.

    Raises:
        SavedError: The learner cannot be found or read, or does not fit.
    """
    if into is None and (folder := find_optimizer(source)) is not None:
        return load_optimizer(folder).optimizer
    return open_saved(source, into).learner


def _shelf() -> Path:
    # kshot is installed as plain files (its data is memory-mapped and read by other libraries), so every resource is a path.
    return Path(str(resources.files("kshot.saved"))) / "shipped"
