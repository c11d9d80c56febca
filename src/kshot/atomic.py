"""Write a file whole or not at all.

A reader sees either the old file or the new one, never a part, whatever kills the writer or fills the disk: the bytes go to a
temporary file in the same folder, are flushed to the disk, and take the name in one rename.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kshot.errors import SavedError


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`, replacing what is there in one step.

    Args:
        path: The file to write; its folder is made when it is missing.
        data: The whole content.

    Raises:
        SavedError: The folder or the disk refused it (full, read-only). What stood at `path` before is untouched.
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
    except BaseException:  # Ctrl-C between two lines: leave no unfinished file, then pass it on
        if handle is not None:
            Path(handle.name).unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """`write_text` of JSON to read: objects indented, lists of plain values on one line; refuses NaN, which is not JSON."""
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
    # tempfile makes files that only their owner can read; a saved learner is an ordinary file. The mask can be read only by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    # The rename itself must reach the disk too. Systems where a folder cannot be opened have nothing to flush.
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
