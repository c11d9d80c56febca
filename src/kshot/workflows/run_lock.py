"""One run per folder: an exclusive lock that a process holds while its run lives, and that the system frees when the process ends.

    .lock         what is locked; it stays, because removing it would let two processes lock two files of one name
    .lock.json    who holds it, for the message of the one that is refused; removed at the end, and left by a crash, which does no harm

In: the folder of a run. Next: `kshot.workflows.experiment`.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kshot.errors import SavedError
from kshot.meta_train.same_run import differences
from kshot.meta_train.state_file import STATE, read_state
from kshot.regular_file import look, read_json

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
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise _refusal(folder) from None
    except (OSError, ValueError, NotImplementedError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise SavedError(f"cannot lock the folder {folder}: {reason}. Choose another --out.") from error
    try:
        _refuse_overtaken(folder, updates, identity)
        holder = {"process": os.getpid(), "machine": platform.node(), "started": time.strftime("%Y-%m-%d %H:%M:%S %z")}
        with suppress(OSError):  # a note for a message, which may be missing or torn: the lock does not depend on it
            (folder / HOLDER).write_text(json.dumps(holder), encoding="ascii")
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def refuse_locked(folder: Path) -> None:
    """Refuse a folder in which a run is alive. Nothing is made in a folder without a lock.

    Raises:
        SavedError: A run holds the lock of the folder.
    """
    if look(folder / LOCK, SavedError) != "file":
        return
    try:
        with FileLock(folder / LOCK, timeout=0):
            return
    except Timeout:
        raise _refusal(folder) from None
    except OSError:  # a folder that cannot be written: `locked` will say so
        return


def _refuse_overtaken(folder: Path, updates: int, identity: dict[str, Any]) -> None:
    if look(folder / STATE, SavedError) == "nothing":
        return
    there, _ = read_state(folder / STATE)
    if there["update"] != updates or differences(there["recipe"], identity):
        raise SavedError(f"another run has written into {folder} since this one was prepared. Give the same command again.")


def _refusal(folder: Path) -> SavedError:
    try:
        holder = read_json(folder / HOLDER)
        who = f"process {holder['process']} on {holder['machine']}, started {holder['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return SavedError(f"a run is writing into {folder}: {who}. Wait for its end, stop it, or choose another --out.")
