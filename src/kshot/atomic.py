"""Atomic writes: a file is written whole or not at all.

A reader sees either the old file or the new one, never a part of one, even if the writer is killed or the disk is full. The bytes go to a
temporary file in the same folder and are flushed to the disk. Then one rename gives the file its name.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kshot.errors import SavedError


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
    except OSError as error:
        if handle is not None:
            Path(handle.name).unlink(missing_ok=True)
        kept = "; the earlier file is untouched" if path.exists() else ""
        raise SavedError(
            f"cannot write {path} ({len(data):,} bytes): {error.strerror or error}{kept}. "
            "Free some space or choose another folder, then run the same command again."
        ) from error
    except BaseException:  # for example Ctrl-C: remove the unfinished file, then raise again
        if handle is not None:
            Path(handle.name).unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 with `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON: objects indented, lists of plain values on one line. NaN raises a `ValueError` because it is not JSON."""
    write_text(path, _readable(value, "") + "\n")


def _readable(value: Any, margin: str) -> str:
    inner = margin + "  "
    if isinstance(value, Mapping) and value:
        lines = (f"{inner}{json.dumps(str(key), ensure_ascii=False)}: {_readable(item, inner)}" for key, item in value.items())
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value):
        return "[\n" + ",\n".join(f"{inner}{_readable(item, inner)}" for item in value) + f"\n{margin}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


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
