"""One run per folder: an exclusive lock that a process holds while its run lives, and that the system frees when the process ends.

In: the folder of a run, whose file `.lock` is locked. Next: `kshot.workflows.experiment`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kshot.errors import SavedError
from kshot.exclusive import HeldError, exclusive, refuse_held
from kshot.meta_train.same_run import differences
from kshot.meta_train.state_file import STATE, read_state
from kshot.regular_file import look

LOCK, HOLDER = ".lock", ".lock.json"


@contextmanager
def locked(folder: Path, updates: int, identity: dict[str, Any]) -> Iterator[None]:
    """Hold the lock of a run's folder within the block. The folder is made if missing.

    Args:
        folder: The folder.
        updates: Updates of the run so far.
        identity: What the run does, as it is saved with a state.

    Raises:
        SavedError: Another process, or another run of this one, holds it, or has written another state since this one was prepared; or
            the folder cannot be written.
    """
    with ExitStack() as until_done:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            until_done.enter_context(exclusive(folder / LOCK))
        except HeldError as holder:
            raise _refusal(folder, holder) from None
        except (OSError, ValueError) as error:  # ValueError: a name with NUL
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise SavedError(f"cannot lock the folder {folder}: {reason}. Choose another --out.") from error
        _refuse_overtaken(folder, updates, identity)
        yield


def refuse_locked(folder: Path) -> None:
    """Refuse a folder in which a run is alive. Nothing is made in a folder without a lock.

    Raises:
        SavedError: A run holds the lock of the folder.
    """
    if look(folder / LOCK, SavedError) != "file":
        return
    try:
        refuse_held(folder / LOCK)
    except HeldError as holder:
        raise _refusal(folder, holder) from None
    except OSError:  # a folder that cannot be written: `locked` will say so
        return


def _refuse_overtaken(folder: Path, updates: int, identity: dict[str, Any]) -> None:
    if look(folder / STATE, SavedError) == "nothing":
        return
    there, _ = read_state(folder / STATE)
    if there["update"] != updates or differences(there["recipe"], identity):
        raise SavedError(f"another run has written into {folder} since this one was prepared. Give the same command again.")


def _refusal(folder: Path, holder: HeldError) -> SavedError:
    return SavedError(f"a run is writing into {folder}: {holder}. Wait for its end, stop it, or choose another --out.")
