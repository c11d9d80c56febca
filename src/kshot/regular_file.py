"""Reading files: the one reader of all rooms. It opens regular files only, and reads no more than a ceiling.

A named pipe waits for a writer for ever, a device has no end, and a sparse file says that it is larger than memory. Each is an `OSError`
here, whose `strerror` says what was found; a caller reports it like a missing permission. `look` says what is at a path, and does not
mistake a path that cannot be reached for one where nothing is. `kshot.atomic` writes.
"""

import codecs
import errno
import io
import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from kshot.errors import DataError, KshotError

MOST_TEXT = 64 * 2**20
"""Bytes of a text or JSON file. The record of the complete Omniglot has less than one hundredth of it."""
DEEPEST = 100
"""Tables and lists inside each other. kshot's own files have at most ten; Python's functions fail at about a thousand."""
_PIECE = 2**20

Found = Literal["file", "folder", "other", "nothing"]


def look(path: str | Path, error: type[KshotError] = DataError) -> Found:
    """Say what is at a path: a regular `file`, a `folder`, `other` (a named pipe, a socket, a device), or `nothing`.

    Args:
        path: Any path; an empty text is none, and nothing is there.
        error: The class of the error.

    Raises:
        KshotError: The path cannot be reached: no permission, a name that is too long, a NUL character.
    """
    try:
        mode = _status(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "nothing"
    except OSError as refused:
        raise error(f"cannot reach {path}: {refused.strerror or refused}. Check the path and its permissions.") from refused
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def names_in(folder: Path, error: type[KshotError] = DataError) -> list[str]:
    """List the names in a folder, sorted; none where there is no folder.

    Raises:
        KshotError: The folder cannot be reached or listed.
    """
    if look(folder, error) != "folder":
        return []
    try:
        return sorted(os.listdir(folder))
    except OSError as refused:
        raise error(f"cannot list the folder {folder}: {refused.strerror or refused}. Allow reading it, or name another.") from refused


@contextmanager
def opened(path: Path, most: int) -> Iterator[io.BufferedReader]:
    """Open a regular file for reading.

    Args:
        path: The file, or a link to it.
        most: Bytes that it may have.

    Raises:
        OSError: There is no such file, it cannot be read, it is not a regular file, or it is larger.
    """
    status = _status(path)
    _require_regular(path, status, most)  # before it is opened: opening a device may already do something
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        _require_regular(path, os.fstat(file.fileno()), most)  # it may have been replaced in between
        yield file


def read_bytes(path: Path, most: int) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises:
        OSError: As of `opened`.
    """
    with opened(path, most) as file:
        data = file.read(os.fstat(file.fileno()).st_size + 1)  # `read` allocates all that it is asked for
        while len(data) <= most and (more := file.read(_PIECE)):
            data += more
    if len(data) > most:  # it has grown, or its system does not know its size
        raise _too_large(path, len(data), most)
    return data


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """Read a text in UTF-8, with or without a byte order mark.

    Raises:
        OSError: As of `opened`.
        ValueError: It is not UTF-8; the message says where, and what to do.
    """
    data = read_bytes(path, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        where = not_utf_8(data.count(b"\n", 0, start) + 1, len(data[start : error.start].decode("utf-8-sig")) + 1, data[error.start])
        raise ValueError(f"it is {UTF_16}" if is_utf_16(data) else where) from None


UTF_16 = "UTF-16. Save it as UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW"
"""What is said of a text in UTF-16, after `is`."""


def is_utf_16(start: bytes) -> bool:
    """Whether a text that starts with these bytes has the byte order mark of UTF-16."""
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def not_utf_8(line: int, character: int, byte: int) -> str:
    """Say that a byte is not UTF-8, and what to do; line and character are counted from 1."""
    return (
        f"line {line} is not UTF-8: byte 0x{byte:02x} at character {character}. Save the file as UTF-8; if it is Western European, "
        "for example: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
    )


def read_json(path: Path, most: int = MOST_TEXT) -> Any:
    """Read a JSON file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: As of `opened`.
        ValueError: It is not UTF-8 or not JSON (as of `parse_json`).
    """
    return parse_json(read_text(path, most))


def parse_json(text: str, *, finite: bool = True) -> Any:
    """Return the value of a JSON text.

    Args:
        text: The text.
        finite: Whether all numbers are finite, as JSON says. If not, NaN and Infinity are read as Python writes them.

    Raises:
        ValueError: It is not JSON, holds a number that is not finite, or is nested more than `DEEPEST` deep.
    """
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite) if finite else json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} deep") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for one in level if isinstance(one, (dict, list)) for inner in (one.values() if isinstance(one, dict) else one)]
        if not level:
            return value
    raise ValueError(f"it is nested more than {DEEPEST} deep")


def _status(path: str | Path) -> os.stat_result:
    try:
        return os.stat(path)
    except ValueError as error:  # a NUL character, or a character that the system's names cannot have
        raise OSError(errno.EINVAL, f"a path cannot have this name ({error})", str(path)) from error


def _require_regular(path: Path, status: os.stat_result, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
        what = kinds.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {what}, not a regular file", str(path))
    if status.st_size > most:
        raise _too_large(path, status.st_size, most)


def _too_large(path: Path, size: int, most: int) -> OSError:
    return OSError(errno.EFBIG, f"it has {size:,} bytes, and at most {most:,} are read", str(path))


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number
