"""Arrays kept in the user's cache folder, used only when every byte is as it was written.

A cached file is a SHA-256 and the array in NumPy's own format, and nothing else. A damaged or foreign file counts as missing; a folder
that cannot be written costs time and never changes the result.
"""

import hashlib
import io
import logging
import os
import sys
from pathlib import Path

import numpy as np

from kshot.atomic import write_bytes
from kshot.errors import SavedError, SetupError
from kshot.regular_file import read_bytes

_DIGEST = 32
_MOST = 2**33
_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Find the folder for what kshot can make again: `KSHOT_CACHE`, or `kshot` in the system's cache folder for this user.

    Raises:
        SetupError: The user has no home folder, as in some containers, and `KSHOT_CACHE` is not set.
    """
    if chosen := os.environ.get("KSHOT_CACHE"):
        return Path(chosen)
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "kshot"
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "kshot" / "cache"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kshot"
    except RuntimeError as error:  # what `Path.home` raises
        raise SetupError("this user has no home folder to keep a cache in. Name a folder for it in KSHOT_CACHE.") from error


def read_array(name: str) -> np.ndarray | None:
    """Read the cached array of that name.

    Args:
        name: A file name, which must contain everything that the array depends on.

    Returns:
        The array, or None where it is missing or damaged.
    """
    try:
        path = cache_folder() / name
        content = read_bytes(path, _MOST)
    except (OSError, SetupError):
        return None
    body = memoryview(content)[_DIGEST:]
    if hashlib.sha256(body).digest() != content[:_DIGEST]:
        _log.warning("the cached file %s is damaged; it is made again", path)
        return None
    try:
        array: np.ndarray = np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, EOFError, MemoryError, SyntaxError):  # what NumPy raises on a crafted header is not one class
        _log.warning("the cached file %s is damaged; it is made again", path)
        return None
    return array


def write_array(name: str, array: np.ndarray) -> None:
    """Keep an array under a name; a folder that cannot be written is logged and otherwise ignored."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    body = buffer.getvalue()
    try:
        write_bytes(cache_folder() / name, hashlib.sha256(body).digest() + body)
    except (SavedError, SetupError) as error:
        _log.warning("nothing is cached: %s", error)
