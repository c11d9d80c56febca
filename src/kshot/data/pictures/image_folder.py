"""A user's pictures: one folder per class.

    letters/fox/1.png              class "fox"
    letters/greek/alpha/1.png      class "greek/alpha" of the group "greek"

In: a folder and a preprocessing. Out: a `Dataset` that holds every picture in its kept form. Next: `kshot.episodes`.
"""

import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kshot.data.cache import cache_folder
from kshot.data.class_index import ClassIndex
from kshot.data.inputs import Inputs
from kshot.data.kind import Kind
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.data.pictures.picture_file import is_picture_name
from kshot.data.preprocess import Preprocess
from kshot.data.summary import summary
from kshot.errors import DataError

_log = logging.getLogger(__name__)
_NAMED = 10
"""How many files a message names; the others are counted."""


class ImageFolder:
    """The pictures of a folder of class folders, read once.

    Hidden files are skipped. So are files whose suffix is not a picture's; `ignored` lists these.

    Args:
        root: The folder. Its folders are the classes; where they hold only folders themselves, they are groups of classes.
        preprocess: Brings each picture to its kept form; all come out in one shape.
        n_threads: How many pictures are read at once.
        memory_limit_bytes: Above this, the kept pictures go to a file in kshot's cache folder that is mapped into memory. The system
            removes it when the process ends.
        progress: Called after each picture with the number of pictures read and the number of all pictures.

    Attributes:
        name: The path as given.
        fingerprint: SHA-256 of the sorted relative paths and the contents of the files; it does not depend on the preprocessing.
        index: The classes, sorted by name; items are numbered in the order of `files`.
        preprocess: The argument `preprocess`.
        files: The path of each item.
        ignored: Paths of the files that were skipped.

    Raises:
        DataError: There is no such folder, it holds no classes, a class holds no pictures, or pictures cannot be read (the message counts
            all of them and names the first ten).

    Example:
        `ImageFolder("letters", Ink()).index.names`
    """

    def __init__(
        self,
        root: str | Path,
        preprocess: Preprocess,
        *,
        n_threads: int = 4,
        memory_limit_bytes: int = 2 * 1024**3,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        folder = Path(root)
        classes = class_files(folder)
        self.name = str(root)
        self.preprocess = preprocess
        self.files = tuple(path for paths in classes.values() for path in paths)
        self.ignored = _other_files(folder)
        if self.ignored:
            _log.info("%s: %d files are not pictures and were skipped, %s", root, len(self.ignored), _some(self.ignored))
        numbers = iter(range(len(self.files)))
        items = {name: [next(numbers) for _ in paths] for name, paths in classes.items()}
        grouped = all("/" in name for name in classes)
        self.index = ClassIndex.build(items, {name: name.split("/")[0] for name in classes} if grouped else None)
        self._kept, digests = _read_all(self.files, preprocess, n_threads, memory_limit_bytes, progress)
        pairs = sorted((path.relative_to(folder).as_posix(), digest) for path, digest in zip(self.files, digests, strict=True))
        whole = hashlib.sha256()
        for relative, digest in pairs:
            whole.update(relative.encode("utf-8", "surrogateescape") + b"\0" + digest)
        self.fingerprint = whole.hexdigest()

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return summary(self)

    def gather(self, items: np.ndarray) -> Inputs:
        """Gather the kept pictures with these numbers: uint8 (M, C, H, W), a fresh tensor on the CPU."""
        import torch  # here, because opening a folder needs none of it

        return torch.from_numpy(np.ascontiguousarray(self._kept[items]))


def class_files(root: Path) -> Mapping[str, Sequence[Path]]:
    """List the pictures of each class of a folder of class folders, by class name; classes and pictures are sorted.

    Raises:
        DataError: There is no such folder, it cannot be listed, holds no class folders, or a class folder holds no pictures.
    """
    if not root.is_dir():
        what = "a file" if root.exists() else "nothing"
        raise DataError(f"expected a folder of class folders at {root}; found {what} there. Check the path.")
    folders, files = _listed(root)
    pictures = [path for path in files if is_picture_name(path)]
    if not folders:
        if pictures:
            raise DataError(
                f"{root} holds {len(pictures)} pictures but no class folders. Put the pictures of each class into a folder "
                f"named after it, such as {root / 'fox' / pictures[0].name}."
            )
        raise DataError(f"{root} is empty: expected one folder per class, with pictures in it.")
    if pictures:
        raise DataError(
            f"{root} holds {len(pictures)} pictures beside its class folders ({_some([path.name for path in pictures])}). "
            "Move each picture into the folder of its class, or remove it."
        )
    inner = {folder: _listed(folder) for folder in folders}
    if all(below and not any(map(is_picture_name, files)) for below, files in inner.values()):
        folders = [folder for below, _ in inner.values() for folder in below]
    classes = {folder.relative_to(root).as_posix(): _pictures_in(folder) for folder in folders}
    if empty := [name for name, paths in classes.items() if not paths]:
        raise DataError(
            f"{len(empty)} of {len(classes)} class folders of {root} hold no pictures: {_some(empty)}. Add pictures or "
            "remove the folders. (Classes may lie in groups, group/class/picture, when all of them do.)"
        )
    return dict(sorted(classes.items()))


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the folders and the files in a folder, sorted, without hidden ones."""
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        return [path for path in entries if path.is_dir()], [path for path in entries if not path.is_dir()]
    except OSError as error:
        raise DataError(f"cannot list the folder {folder}: {error.strerror or error}. Allow reading it.") from error


def _pictures_in(folder: Path) -> list[Path]:
    folders, files = _listed(folder)
    pictures = [path for path in files if is_picture_name(path)]
    if pictures and folders:
        raise DataError(
            f"the class folder {folder} holds both pictures and folders ({_some([path.name for path in folders])}). "
            "Keep one folder per class, or groups of class folders with no pictures beside them."
        )
    return pictures


def _other_files(root: Path) -> tuple[Path, ...]:
    found = []
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if not name.startswith(".") and not is_picture_name(Path(name))]
    return tuple(found)


def _read_all(
    files: Sequence[Path],
    preprocess: Preprocess,
    n_threads: int,
    memory_limit_bytes: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, list[bytes]]:
    """Read all pictures into their kept form, (M, C, H, W), and hash each file with SHA-256."""

    def read(path: Path) -> tuple[np.ndarray, bytes] | str:
        try:
            return preprocess.read(path), hashlib.sha256(path.read_bytes()).digest()
        except DataError as error:
            message = str(error)
            return message if str(path) in message else f"{path}: {message}"
        except OSError as error:
            return f"cannot read {path}: {error.strerror or error}."

    kept: np.ndarray | None = None
    digests: list[bytes] = []
    faults: list[str] = []
    pool = ThreadPoolExecutor(max(1, n_threads))
    try:
        for number, result in enumerate(pool.map(read, files)):
            if isinstance(result, str):
                faults.append(result)
            else:
                if kept is None:
                    kept = _room((len(files), *result[0].shape), result[0].dtype, memory_limit_bytes)
                if result[0].shape != kept.shape[1:]:
                    faults.append(f"{files[number]}: the preprocessing made {result[0].shape} of it, and {kept.shape[1:]} of others.")
                else:
                    kept[number] = result[0]
                    digests.append(result[1])
            if progress is not None:
                progress(number + 1, len(files))
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C, or an error in `progress`, nothing more is read
    if faults or kept is None:
        more = "" if len(faults) <= _NAMED else f"\n  and {len(faults) - _NAMED} more"
        raise DataError(
            f"{len(faults)} of {len(files)} pictures cannot be used. Replace or remove them:\n  " + "\n  ".join(faults[:_NAMED]) + more
        )
    return kept, digests


def _room(shape: tuple[int, ...], dtype: np.dtype[np.generic], memory_limit_bytes: int) -> np.ndarray:
    """Make an array to fill: in memory, or mapped from a file that has no name any more and ends with the process."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size <= memory_limit_bytes:
        return np.empty(shape, dtype)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if sys.platform == "linux":
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, not a crash when a page is touched
            else:
                file.truncate(size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise DataError(
            f"the pictures take {size:,} bytes, more than memory_limit_bytes={memory_limit_bytes:,}, and no file of that "
            f"size can be made in {folder}: {error.strerror or error}. Free some space, or name another folder in KSHOT_CACHE."
        ) from error


def _some(names: Sequence[object], most: int = 5) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _open(name: str, preprocess: Preprocess) -> ImageFolder:
    return ImageFolder(Path(name), preprocess)


PICTURES = Kind(
    what="a folder of class folders holds pictures",
    expects="a folder with one folder of pictures per class",
    dataset=ImageFolder,
    preprocesses=(Picture, Ink),
    open=_open,
    holds=Path.is_dir,
    find_again=lambda folder: {"name": os.path.abspath(folder.name)},
)
