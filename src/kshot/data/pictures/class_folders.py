"""Which folders are classes, which are groups of classes, and which are parts of a division.

    letters/fox/1.png              class "fox"
    letters/greek/alpha/1.png      class "greek/alpha" of the group "greek"
    letters/train/fox/1.png        class "fox" of the part "train"

A folder that holds pictures is a class, however deep it lies; the folders above it are its group. In: a folder. Out: the pictures of each
class, and the division that the folders make. Next: `image_folder`, and the support sets of `kshot.tasks`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kshot.data.kind import READ
from kshot.data.pictures.picture_file import is_picture_name
from kshot.errors import DataError, RecipeError, known_ones
from kshot.regular_file import look, names_in

Parts = Literal["own", "merge", "separate"]
"""What folders named train, val and test are: `own`, parts of a division; `merge`, nothing, so that their classes are pooled; `separate`,
parts of a division in which train/x and test/x are different classes."""

PART_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The part of a division by the name of its folder, in lower case."""


@dataclass(frozen=True)
class ClassFolders:
    """The classes of a folder.

    Attributes:
        files: The pictures of each class, by its name; classes and pictures are sorted.
        groups: The group of each class, by its name; None where a class lies in no group.
        division: The names of the classes of each part, `train`, `val` and `test`; None where the folders make no division.
    """

    files: Mapping[str, Sequence[Path]]
    groups: Mapping[str, str] | None = None
    division: Mapping[str, Sequence[str]] | None = None


def class_files(root: Path) -> Mapping[str, Sequence[Path]]:
    """List the pictures of each class of a folder that is not divided into parts, by class name; classes and pictures are sorted.

    Raises:
        DataError: There is no such folder, it or one below it cannot be listed, it holds no class folders, a class folder holds no pictures
            or folders beside them, or the folders are the parts of a division.
    """
    files = _found(root)
    if parts := _part_folders(files):
        one = next((folder for folder, part in parts.items() if part == "train"), next(iter(parts)))
        raise DataError(
            f"{root} is divided into {_listed_names(list(parts))}; expected class folders alone. Name one of these folders, such as "
            f"{root / one}."
        )
    return files


def find_classes(root: Path, parts: Parts = "own") -> ClassFolders:
    """Find the classes of a folder, their groups, and the division.

    Args:
        root: The folder.
        parts: What folders named train, val and test are.

    Raises:
        DataError: As `class_files` says of folders; folders beside those of parts, two folders for one part, no folder for training, or
            classes of one name in two parts.
        RecipeError: There are no such `parts`.
    """
    if parts not in get_args(Parts):
        raise RecipeError(f"there is no data.parts {parts!r}.{known_ones(parts, get_args(Parts))}")
    files = _found(root)
    folders = _part_folders(files)
    if not folders:
        return ClassFolders(files, _groups(files))
    if parts == "own" and (others := sorted({name.partition("/")[0] for name in files} - set(folders))):
        raise DataError(
            f"{root} holds the parts {_listed_names(list(folders))}, and beside them {_listed_names(others)}. Move these into a part or "
            f'elsewhere; or take no folder for a part: data.parts = "merge".'
        )
    if parts == "separate":
        return ClassFolders(files, _groups(files), _division(root, folders, {name: name for name in files}))
    short = {name: name.partition("/")[2] if name.partition("/")[0] in folders else name for name in files}
    if parts == "merge":
        pooled: dict[str, list[Path]] = {}
        for name, paths in files.items():
            pooled.setdefault(short[name], []).extend(paths)
        merged = dict(sorted(pooled.items()))
        return ClassFolders(merged, _groups(merged))
    _check_one_part_each(root, short)
    renamed = dict(sorted((short[name], paths) for name, paths in files.items()))
    return ClassFolders(renamed, _groups(renamed), _division(root, folders, short))


def _found(root: Path) -> dict[str, list[Path]]:
    """List the pictures of each class by the path of its folder below the root."""
    if (there := look(root)) != "folder":
        what = "nothing" if there == "nothing" else "a file"
        raise DataError(f"expected a folder of class folders at {root}; found {what} there. Check the path.")
    folders, files = _listed(root)
    pictures = [path for path in files if is_picture_name(path)]
    if not folders:
        if pictures:
            raise DataError(
                f"{root} holds {len(pictures)} pictures but no class folders. Put the pictures of each class into a folder "
                f"named after it, such as {root / 'fox' / pictures[0].name}."
            )
        if files:
            raise DataError(f"{root} holds no class folders and no pictures, but files such as {files[0]}. {READ}")
        raise DataError(f"{root} is empty: expected one folder per class, with pictures in it.")
    if pictures:
        raise DataError(
            f"{root} holds {len(pictures)} pictures beside its class folders ({some([path.name for path in pictures])}). "
            "Move each picture into the folder of its class, or remove it."
        )
    classes: dict[str, list[Path]] = {}
    _collect(root, folders, classes, (root.resolve(),))
    if empty := [name for name, paths in classes.items() if not paths]:
        raise DataError(
            f"{len(empty)} of {len(classes)} class folders of {root} hold no pictures: {some(empty)}. "
            f"Add pictures or remove the folders.{_other_things(root, empty)}"
        )
    return dict(sorted(classes.items()))


def _other_things(root: Path, classes: Sequence[str]) -> str:
    """Say what is read, if folders of classes hold other files."""
    others = [path for name in classes for path in _listed(root / name)[1]]
    return f" They hold other files, such as {others[0]}. {READ}" if others else ""


def _collect(root: Path, folders: Sequence[Path], classes: dict[str, list[Path]], above: tuple[Path, ...]) -> None:
    """Add the classes in some folders. `above` are the folders that hold them, without links."""
    for folder in folders:
        place = folder.resolve()
        if place in above:
            raise DataError(f"the folder {folder} is a link to a folder above it, so that its classes have no end. Remove the link.")
        below, files = _listed(folder)
        pictures = [path for path in files if is_picture_name(path)]
        if pictures and below:
            raise DataError(
                f"the class folder {folder} holds both pictures and folders ({some([path.name for path in below])}). "
                "Keep one folder per class, or groups of class folders with no pictures beside them."
            )
        if below:
            _collect(root, below, classes, (*above, place))
        else:
            classes[folder.relative_to(root).as_posix()] = pictures


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the folders and the files in a folder, sorted, without hidden ones."""
    folders: list[Path] = []
    files: list[Path] = []
    for name in names_in(folder):
        if not name.startswith("."):
            path = folder / name
            (folders if os.path.isdir(path) else files).append(path)  # a link to nothing is a file, and is named when it is read
    return folders, files


def _groups(files: Mapping[str, object]) -> dict[str, str] | None:
    if not all("/" in name for name in files):
        return None
    return {name: name.rpartition("/")[0] for name in files}


def _part_folders(files: Mapping[str, object]) -> dict[str, str]:
    """Find the folders that are parts of a division, with their parts: at least two parts, each a folder of class folders."""
    tops = dict.fromkeys(name.partition("/")[0] for name in files)
    classes = {name for name in files if "/" not in name}  # a class may be called `train`
    found = {top: PART_OF[top.lower()] for top in tops if top.lower() in PART_OF and top not in classes}
    return found if len(set(found.values())) > 1 else {}


def _check_one_part_each(root: Path, short: Mapping[str, str]) -> None:
    """Refuse a class in two parts: its pictures would be learnt from and tested on."""
    first: dict[str, str] = {}
    twice = []
    for name, its in short.items():
        if its in first:
            twice.append((its, first[its], name))
        first.setdefault(its, name)
    if twice:
        its, one, other = twice[0]
        more = f" {len(twice) - 1} more names are in two parts." if len(twice) > 1 else ""
        raise DataError(
            f"class {its!r} is in two parts of {root}: {one} and {other}.{more} kshot tests on classes that it has not learnt. To pool the "
            f'parts and divide them by class, set data.parts = "merge". If {one} and {other} are different classes, set data.parts = '
            f'"separate". Or name the folder of one part, such as {root / one.partition("/")[0]}.'
        )


def _division(root: Path, folders: Mapping[str, str], named: Mapping[str, str]) -> dict[str, list[str]]:
    """Give the names of the classes of each part; `named` holds them by the paths of their folders."""
    for part in dict.fromkeys(folders.values()):
        if len(same := [folder for folder, its in folders.items() if its == part]) > 1:
            raise DataError(f"{root} has two folders for the {part} classes, {_listed_names(same)}. Join them, or rename one.")
    if "train" not in folders.values():
        raise DataError(f"{root} holds the parts {_listed_names(list(folders))} but no folder 'train'. Add one, or rename these.")
    division: dict[str, list[str]] = {part: [] for part in ("train", "val", "test") if part in folders.values()}
    for path, name in named.items():
        if (top := path.partition("/")[0]) in folders:
            division[folders[top]].append(name)
    return {part: sorted(names) for part, names in division.items()}


def _listed_names(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names[:5]] + ([f"{len(names) - 5} more"] if len(names) > 5 else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def some(names: Sequence[object], most: int = 5) -> str:
    """List the first few names, quoted, and how many more there are."""
    shown = ", ".join(repr(str(name)) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
