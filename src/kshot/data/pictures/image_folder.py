"""A user's pictures: one folder per class.

`class_folders` says which folders are classes, groups and parts of a division; `copies` what is done about copies. In: a folder
and a preprocessing. Out: a `Dataset` that holds every picture in its kept form. Next: `kshot.episodes`.
"""

import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kshot.data.cache import cache_folder
from kshot.data.class_index import ClassIndex
from kshot.data.inputs import Inputs
from kshot.data.kind import Kind
from kshot.data.pictures.class_folders import Parts, find_classes, some
from kshot.data.pictures.copies import Duplicates, check_duplicates, choose, digests, notes_of, torn_error
from kshot.data.pictures.first_look import first_look
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.data.pictures.picture_file import is_picture_name
from kshot.data.preprocess import Preprocess
from kshot.data.reading import read_each, unusable
from kshot.data.summary import summary
from kshot.errors import DataError
from kshot.passes import watched

_log = logging.getLogger(__name__)


class ImageFolder:
    """The pictures of a folder of class folders, read once.

    Hidden files are skipped. So are files whose suffix is not a picture's; `ignored` lists these.

    Args:
        root: The folder. Folders that hold pictures are classes, however deep; the folders above a class are its group.
        preprocess: Brings each picture to its kept form; all come out in one shape.
        parts: What folders named train, val and test are: see `kshot.data.pictures.class_folders.Parts`.
        duplicates: What is done about pictures that are there twice, byte for byte: see `kshot.data.pictures.copies.Duplicates`.
        n_threads: How many pictures are read at once.
        memory_limit_bytes: Above this, the kept pictures go to a file in kshot's cache folder that is mapped into memory. The system
            removes it when the process ends.
        progress: Called after each picture with the number of pictures read and the number of all pictures.

    Attributes:
        name: The path as given.
        fingerprint: SHA-256 of the sorted relative paths and the contents of the kept files; it does not depend on the preprocessing.
        index: The classes, sorted by name; items are numbered in the order of `files`.
        preprocess: The argument `preprocess`.
        files: The path of each item.
        ignored: Paths of the files that were skipped.
        copies: Pictures that were left out, each with the one that is kept in its place.
        division: The names of the classes of `train`, `val` and `test`, where the folders say so; else None.
        notes: What a user should know about the folder, in sentences.

    Raises:
        DataError: There is no such folder, it holds no classes, a class holds no pictures, the division makes no sense, a picture lies in
            two classes, or pictures cannot be read (the message counts all of them and names the first ten).
        RecipeError: There are no such `parts` or `duplicates`.

    Example:
        `ImageFolder("letters", Ink()).index.names`
    """

    def __init__(
        self,
        root: str | Path,
        preprocess: Preprocess,
        *,
        parts: Parts = "own",
        duplicates: Duplicates = "one",
        n_threads: int = 4,
        memory_limit_bytes: int = 2 * 1024**3,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        folder = Path(root)
        check_duplicates(duplicates)
        found = find_classes(folder, parts)
        everything = [path for paths in found.files.values() for path in paths]
        looked = first_look(everything, preprocess)
        if looked.unread:
            raise looked.error(root)
        digest = digests(everything, n_threads)
        chosen = choose(found.files, digest, duplicates)
        if duplicates == "one" and (torn := [paths for paths in chosen.torn if _is_readable(paths[0], preprocess)]):
            raise torn_error(torn)  # what cannot be read anyway is named below
        classes = chosen.files
        self.settings = {"parts": parts, "duplicates": duplicates}
        self.copies = chosen.copies
        self.division = None if found.division is None else _those_in(classes, found.division)
        self.notes = (*_division_notes(self.division), *notes_of(chosen, duplicates), *looked.notes())
        self.name = str(root)
        self.preprocess = preprocess
        self.files = tuple(path for paths in classes.values() for path in paths)
        self.ignored = _other_files(folder)
        if self.ignored:
            _log.info("%s: %d files are not pictures and were skipped, %s", root, len(self.ignored), some(self.ignored))
        numbers = iter(range(len(self.files)))
        items = {name: [next(numbers) for _ in paths] for name, paths in classes.items()}
        if not items:
            raise DataError(f"every picture of {root} lies in more than one class, so that none is left. Correct the folder.")
        self.index = ClassIndex.build(items, found.groups)
        stop = (lambda fault: looked.error(root, fault)) if looked.photographs else None
        self._kept = _read_all(self.files, chosen.copies, preprocess, n_threads, memory_limit_bytes, progress, stop)
        pairs = sorted((path.relative_to(folder).as_posix(), digest[path]) for path in self.files)
        whole = hashlib.sha256()
        for relative, one in pairs:
            whole.update(relative.encode("utf-8", "surrogateescape") + b"\0" + one)
        self.fingerprint = whole.hexdigest()

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return summary(self)

    def gather(self, items: np.ndarray) -> Inputs:
        """Gather the kept pictures with these numbers: uint8 (M, C, H, W), a fresh tensor on the CPU."""
        import torch  # here, because opening a folder needs none of it

        return torch.from_numpy(np.ascontiguousarray(self._kept[items]))


def _other_files(root: Path) -> tuple[Path, ...]:
    found = []
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if not name.startswith(".") and not is_picture_name(Path(name))]
    return tuple(found)


def _is_readable(path: Path, preprocess: Preprocess) -> bool:
    try:
        preprocess.read(path)
    except DataError:
        return False
    return True


def _those_in(classes: Mapping[str, object], division: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {part: tuple(name for name in names if name in classes) for part, names in division.items()}


def _division_notes(division: Mapping[str, Sequence[str]] | None) -> tuple[str, ...]:
    if division is None:
        return ()
    sizes = ", ".join(f"{len(names)} {part}" for part, names in division.items())
    drawn = "" if "val" in division else "; the validation classes are drawn from those of training"
    return (f"the folders divide the classes: {sizes}{drawn}.",)


def _read_all(
    files: Sequence[Path],
    copies: Sequence[tuple[Path, Path]],
    preprocess: Preprocess,
    n_threads: int,
    memory_limit_bytes: int,
    progress: Callable[[int, int], None] | None,
    stop: Callable[[str], DataError] | None,
) -> np.ndarray:
    """Read all pictures into their kept form, (M, C, H, W). A picture that cannot be read is named with its copies.

    With `stop`, reading ends at the first one, with the error that `stop` makes of its fault.
    """
    kept: np.ndarray | None = None
    faults: list[str] = []
    with watched("pictures read", len(files)) as done:
        for number, result in enumerate(read_each(preprocess, files, max(1, n_threads))):
            if isinstance(result, DataError):
                if stop is not None:
                    raise stop(str(result))
                faults.append(str(result))
                faults += [f"{path}: it is a copy of {twin}." for path, twin in copies if twin == files[number]]
            else:
                if kept is None:
                    kept = _room((len(files), *result.shape), result.dtype, memory_limit_bytes)
                if result.shape != kept.shape[1:]:
                    faults.append(f"{files[number]}: the preprocessing made {result.shape} of it, and {kept.shape[1:]} of others.")
                else:
                    kept[number] = result
            if progress is not None:
                progress(number + 1, len(files))
            done(1)
    if faults or kept is None:
        raise unusable(faults, len(files) + len(copies))
    return kept


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


def _open(name: str, preprocess: Preprocess, *, parts: Parts = "own", duplicates: Duplicates = "one") -> ImageFolder:
    return ImageFolder(Path(name), preprocess, parts=parts, duplicates=duplicates)


def _find_again(folder: ImageFolder) -> dict[str, str]:
    usual = {"parts": "own", "duplicates": "one"}
    return {"name": os.path.abspath(folder.name), **{key: value for key, value in folder.settings.items() if value != usual[key]}}


def _holds_pictures(path: Path) -> bool:
    return any(is_picture_name(Path(name)) for _, _, names in os.walk(path) for name in names if not name.startswith("."))


PICTURES = Kind(
    what="a folder of class folders holds pictures",
    expects="a folder with one folder of pictures per class",
    dataset=ImageFolder,
    preprocesses=(Picture, Ink),
    open=_open,
    holds=_holds_pictures,
    find_again=_find_again,
)
