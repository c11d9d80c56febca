"""Atomic writes: a file is written whole or not at all.

A reader sees either the old file or the new one, never a part of one, even if the writer is killed or the disk is full. The bytes go to a
temporary file in the same folder and are flushed to the disk. Then one rename gives the file its name.
"""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kshot.errors import SavedError
from kshot.regular_file import DEEPEST


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, and replace what is there in one step.

    Args:
        path: The file to write. Its folder is made if missing.
        data: The whole content.

    Raises:
        SavedError: The folder or the disk refused it (full, read-only). What was at `path` before is untouched.
    """
    handle = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False)  # noqa: SIM115
        with handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(handle.name, 0o666 & ~_umask())
        os.replace(handle.name, path)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        if handle is not None:
            _forget(handle.name)
        kept = "; the earlier file is untouched" if os.path.exists(path) else ""  # False, never an error, where nobody may look
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise SavedError(
            f"cannot write {path} ({len(data):,} bytes): {reason}{kept}. "
            "Free some space or choose another folder, then run the same command again."
        ) from error
    except BaseException:  # for example Ctrl-C: remove the unfinished file, then raise again
        if handle is not None:
            _forget(handle.name)
        raise
    _flush_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    r"""Write text in UTF-8 with `write_bytes`.

    A byte of a file name that is not UTF-8 is a lone surrogate in Python. It is written as `\udce9`, which JSON reads back as it was.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON: objects indented, lists of plain values on one line.

    Raises:
        ValueError: The value is not JSON (as of `json_text`). Nothing has been written.
        SavedError: As of `write_bytes`.
    """
    write_text(path, json_text(value) + "\n")


def json_text(value: Any) -> str:
    """Return readable JSON.

    Args:
        value: Tables, lists, texts, numbers, true, false and None.

    Raises:
        ValueError: A part of it is not JSON: it is NaN, infinite, of another type or nested more than `DEEPEST` deep. The message names the
            part.
    """
    if fault := _not_json(value, "", DEEPEST):
        raise ValueError(fault)
    return _readable(value, "")


def finite_or_none(value: Any) -> Any:
    """Return a value of plain parts with None, JSON's `null`, in place of each number that is NaN or infinite."""
    if isinstance(value, Mapping):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _not_json(value: Any, place: str, levels: int) -> str:
    """Name the first part of a value that JSON does not have, or that is more levels deep; empty if there is none."""
    if not levels:
        return f"{place[:40]}… is nested more than {DEEPEST} deep, or holds itself"
    if isinstance(value, Mapping):
        if odd := next((key for key in value if not isinstance(key, (str, int))), None):
            return f"{place or 'the value'} has the name {odd!r}, but JSON has texts as names"
        return next(filter(None, (_not_json(item, f"{place}.{key}" if place else str(key), levels - 1) for key, item in value.items())), "")
    if isinstance(value, (list, tuple)):
        return next(filter(None, (_not_json(item, f"{place}[{number}]", levels - 1) for number, item in enumerate(value))), "")
    if isinstance(value, float) and not math.isfinite(value):
        return f"{place or 'the value'} is {value}, which JSON does not have"
    if value is None or isinstance(value, (str, int, float)):
        return ""
    return f"{place or 'the value'} is of type {type(value).__name__}, which JSON does not have"


def _readable(value: Any, margin: str) -> str:
    inner = margin + "  "
    if isinstance(value, Mapping) and value:
        lines = (f"{inner}{json.dumps(str(key), ensure_ascii=False)}: {_readable(item, inner)}" for key, item in value.items())
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value):
        return "[\n" + ",\n".join(f"{inner}{_readable(item, inner)}" for item in value) + f"\n{margin}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _forget(unfinished: str) -> None:
    with suppress(OSError):  # the first error is told, not one that follows from it
        os.unlink(unfinished)


def _umask() -> int:
    # tempfile makes files that only their owner can read, but a saved learner is an ordinary file. Reading the mask needs setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    # The rename must reach the disk, too. Systems where a folder cannot be opened have nothing to flush.
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
