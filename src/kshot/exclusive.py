"""An exclusive lock that a process holds while it writes, and that the system frees when the process ends.

Beside a file `x.lock` that is locked, `x.lock.json` says who holds it, for the message of the one that is refused. It is removed at the
end, and left by a crash, which does no harm. In: the file. Next: `kshot.workflows.run_lock`, `kshot.tasks.one_writer`.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from kshot.regular_file import read_json


class HeldError(Exception):
    """Another process, or another part of this one, holds the lock; the text says who."""


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Hold a lock within the block. Its folder exists.

    Args:
        file: The file that is locked. It stays: if it were removed, two processes could lock two files of one name.

    Raises:
        HeldError: Someone else holds it.
        OSError: The file cannot be made or locked.
    """
    lock, note = FileLock(file, timeout=0), file.with_name(f"{file.name}.json")
    try:
        lock.acquire()
    except Timeout:
        raise HeldError(_holder(note)) from None
    except (ValueError, NotImplementedError) as error:  # a name with NUL; a file system without locks
        raise OSError(str(error)) from error
    try:
        holder = {"process": os.getpid(), "machine": platform.node(), "started": time.strftime("%Y-%m-%d %H:%M:%S %z")}
        with suppress(OSError):  # a note for a message, which may be missing or torn: the lock does not depend on it
            note.write_text(json.dumps(holder), encoding="ascii")
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def refuse_held(file: Path) -> None:
    """Raise an error if someone holds the lock. Nothing is made where there is no lock.

    Raises:
        HeldError: Someone holds it.
        OSError: It cannot be locked.
    """
    try:
        with FileLock(file, timeout=0):
            return
    except Timeout:
        raise HeldError(_holder(file.with_name(f"{file.name}.json"))) from None


def _holder(note: Path) -> str:
    try:
        holder = read_json(note)
        return f"process {holder['process']} on {holder['machine']}, started {holder['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
