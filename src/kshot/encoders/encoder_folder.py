"""An encoder in a folder: what the files are called, how they are checked, and where an encoder that was made once is kept.

    encoder.json       a description: its kind, name, fingerprint, and what its kind needs
    encoder.onnx       the graph
    encoder.*          more files that its kind needs

The same files lie in the user's cache folder, one folder per fingerprint, and in a model that is complete in itself.
"""

import logging
import os
from collections.abc import Callable, Mapping
from hashlib import file_digest, sha256
from io import BufferedReader
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, TypedDict
from weakref import finalize

from kshot.atomic import json_text, write_bytes
from kshot.data.cache import cache_folder
from kshot.errors import SavedError, SetupError
from kshot.printable import printable
from kshot.regular_file import look, opened, read_bytes, read_json
from kshot.value_types import misfit

DESCRIPTION, GRAPH = "encoder.json", "encoder.onnx"
MOST_BYTES = 2**35
"""Bytes of a file of weights."""
_MOST_IN_FOLDER = 2**31
"""Bytes of a file in the folder of an encoder: protobuf, the form of a graph, holds no more."""
_log = logging.getLogger(__name__)
_digests: dict[tuple[int, ...], str] = {}


def kept_folder(key: str, make: Callable[[], Mapping[str, bytes]]) -> "tuple[Path, TemporaryFolder | None]":
    """Find the folder of an encoder that was made before, or make it and keep it in the user's cache folder.

    Args:
        key: A file name that tells the encoder from all others, such as its fingerprint.
        make: Returns the files by name, `encoder.json` among them.

    Returns:
        The folder; and, where nothing can be kept, what holds the temporary folder.
    """
    try:
        folder: Path | None = cache_folder() / "encoders" / key
    except SetupError:
        folder = None
    if folder is not None and _is_whole(folder):
        return folder, None
    files = make()
    if folder is not None:
        try:
            write_files(folder, files)
        except SavedError as error:
            _log.warning("the encoder is not kept, and will be made again the next time: %s", str(error))
        else:
            return folder, None
    temporary = TemporaryFolder(files)
    return temporary.path, temporary


class TemporaryFolder:
    """The files of an encoder that is not kept. They lie there as long as somebody holds the object.

    Attributes:
        path: The folder.

    Raises:
        SavedError: The disk refused them.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.path = Path(mkdtemp(prefix="kshot-encoder-"))
        self._end = finalize(self, rmtree, self.path, ignore_errors=True)
        write_files(self.path, files)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of an encoder, the description last: where it lies, the others are whole.

    Raises:
        SavedError: The folder or the disk refused it.
    """
    for name in sorted(files, key=lambda name: name == DESCRIPTION):
        write_bytes(folder / name, files[name])


def described(description: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of an encoder with its description, to which the SHA-256 of each file is added as `digests`."""
    digests = {name: sha256(content).hexdigest() for name, content in files.items()}
    return {**files, DESCRIPTION: (json_text({**description, "digests": digests}) + "\n").encode()}


def read_description(folder: Path, form: Any, kind: str) -> Any:
    """Read `encoder.json`, and check it and every file that it names.

    Args:
        folder: The folder of the encoder.
        form: The typed dictionary that describes it; it has `kind: str` and `digests: dict[str, str]`.
        kind: The value of its `kind`.

    Returns:
        The description, as `form` says.

    Raises:
        SavedError: Something is missing, damaged, or of another kind.
    """
    path = folder / DESCRIPTION
    found = _json(path)
    if fault := misfit(form, found, "encoder"):
        raise damaged(path, fault)
    if found["kind"] != kind:
        raise damaged(path, f"encoder.kind must be {kind!r}; found {found['kind']!r}")
    for name, digest in found["digests"].items():
        if Path(name).name != name or not name.startswith("encoder."):
            raise damaged(path, f"encoder.digests names {name!r}, which is no file of an encoder")
        try:
            with opened(folder / name, _MOST_IN_FOLDER) as file:
                whole = _sha256(file) == digest
        except OSError as error:
            raise damaged(folder / name, error.strerror or error) from error
        if not whole:
            raise damaged(folder / name, "its SHA-256 is not the one in encoder.json")
    return found


def _sha256(file: BufferedReader) -> str:
    """Return the digest of a file. One that this process has read before, and that has not been written since, is not read again."""
    about = os.fstat(file.fileno())
    key = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    if key not in _digests:
        _digests[key] = file_digest(file, "sha256").hexdigest()
    return _digests[key]


def kind_of(folder: Path) -> str:
    """Return the kind of the encoder in a folder.

    Raises:
        SavedError: There is none, or its description is damaged.
    """
    found = _json(folder / DESCRIPTION)
    kind = found.get("kind") if isinstance(found, dict) else None
    if not isinstance(kind, str):
        raise damaged(folder / DESCRIPTION, "encoder.kind must be text in quotes")
    return kind


def files_in(folder: Path, description: Mapping[str, Any]) -> dict[str, bytes]:
    """Read all files of an encoder.

    Raises:
        SavedError: One cannot be read.
    """
    names = (*description["digests"], DESCRIPTION)
    try:
        return {name: read_bytes(folder / name, _MOST_IN_FOLDER) for name in names}
    except OSError as error:
        raise damaged(folder, error.strerror or error) from error


def damaged(path: Path, reason: object) -> SavedError:
    """Return the error for a part of an encoder that cannot be used."""
    return SavedError(f"cannot use {printable(path)}: {reason}. Make the encoder again, or copy its folder again.")


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise damaged(path, getattr(error, "strerror", None) or error) from error


def _is_whole(folder: Path) -> bool:
    """Whether a cached encoder is as it was written. One that is not is made again."""
    if look(folder / DESCRIPTION, SavedError) != "file":
        return False
    try:
        read_description(folder, _Written, kind_of(folder))
    except SavedError as error:
        _log.warning("%s It is made again.", error)
        return False
    return True


class _Written(TypedDict):
    kind: str
    digests: dict[str, str]
