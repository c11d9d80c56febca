"""Pictures that a folder holds more than once, byte for byte.

A copy in the support set and its twin among the queries make a task easier than it is, and a copy in another class makes it unfair. In:
the pictures of each class, and the SHA-256 of each. Out: what is kept, and which copies were left out. Next: `image_folder`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kshot.data.pictures.picture_file import MOST_BYTES
from kshot.errors import DataError, RecipeError, known_ones
from kshot.passes import watched
from kshot.regular_file import opened

Duplicates = Literal["one", "keep", "drop"]
"""What is done about copies: `one` keeps one of each set in a class, and refuses copies in two classes; `drop` leaves the latter out,
all of them; `keep` keeps everything."""


@dataclass(frozen=True)
class Chosen:
    """What is kept of the pictures of a folder.

    Attributes:
        files: The pictures that are kept, of each class; a class of which nothing is kept is not there.
        copies: The pictures that were left out, each with the one that is kept in its place.
        torn: Sets of copies that lie in several classes: the first picture of each class. With `drop` all of them were left out.
    """

    files: Mapping[str, Sequence[Path]]
    copies: tuple[tuple[Path, Path], ...]
    torn: tuple[tuple[Path, ...], ...]


def check_duplicates(duplicates: str) -> None:
    """Refuse a word that is not one of `Duplicates`.

    Raises:
        RecipeError: It is none.
    """
    if duplicates not in get_args(Duplicates):
        raise RecipeError(f"there is no data.duplicates {duplicates!r}.{known_ones(duplicates, get_args(Duplicates))}")


def digests(files: Sequence[Path], n_threads: int = 4) -> dict[Path, bytes]:
    """Hash each file with SHA-256; one that cannot be opened has no hash, and is named when it is read."""

    def digest(path: Path) -> bytes | None:
        try:
            with opened(path, MOST_BYTES) as file:
                return hashlib.file_digest(file, "sha256").digest()
        except OSError:
            return None

    found = {}
    with ThreadPoolExecutor(max(1, n_threads)) as pool, watched("pictures compared", len(files)) as done:
        for path, one in zip(files, pool.map(digest, files), strict=True):
            if one is not None:
                found[path] = one
            done(1)
    return found


def choose(files: Mapping[str, Sequence[Path]], digest: Mapping[Path, bytes], duplicates: Duplicates) -> Chosen:
    """Choose what is kept.

    Args:
        files: The pictures of each class, in order; the first of a set of copies is kept.
        digest: The SHA-256 of each file; a file without one is kept.
        duplicates: What is done about copies.
    """
    first_of: dict[bytes, dict[str, Path]] = {}  # by class
    for name, paths in files.items():
        for path in paths:
            if path in digest:
                first_of.setdefault(digest[path], {}).setdefault(name, path)
    torn = {key: tuple(first.values()) for key, first in first_of.items() if len(first) > 1}
    if duplicates == "keep":
        return Chosen(files, (), tuple(torn.values()))
    kept: dict[str, list[Path]] = {}
    copies = []
    for name, paths in files.items():
        for path in paths:
            key = digest.get(path)
            twin = path if key is None else first_of[key][name]
            if key in torn and duplicates == "drop":
                continue
            if twin == path:
                kept.setdefault(name, []).append(path)
            else:
                copies.append((path, twin))
    return Chosen(kept, tuple(copies), tuple(torn.values()))


def torn_error(torn: Sequence[Sequence[Path]]) -> DataError:
    """Say which pictures lie in two classes, and what to do."""
    one, other = torn[0][:2]
    more = f" {len(torn) - 1} more pictures lie in two classes." if len(torn) > 1 else ""
    return DataError(
        f"the same picture lies in two classes, byte for byte: {one} and {other}.{more} Remove it from one of them; or leave out all "
        f'such pictures with data.duplicates = "drop", or keep them with data.duplicates = "keep".'
    )


def notes_of(chosen: Chosen, duplicates: Duplicates) -> tuple[str, ...]:
    """Say what was left out, and what was kept although it lies in two classes."""
    notes = []
    if copies := chosen.copies:
        notes.append(
            f"{_are_copies(copies)}, byte for byte, and left out, such as {copies[0][0]} (a copy of {copies[0][1]}). "
            f'To keep copies, set data.duplicates = "keep".'
        )
    if torn := chosen.torn:
        done = "left out" if duplicates == "drop" else "kept"
        notes.append(f"{_lie(torn)} in more than one class, byte for byte, and {done}, such as {torn[0][0]} and {torn[0][1]}.")
    return tuple(notes)


def support_notes(files: Mapping[str, Sequence[Path]]) -> tuple[str, ...]:
    """Say which pictures of a support set are there twice: all of them count, so that a picture is worth two, or speaks for two classes.

    Args:
        files: The pictures of each class.
    """
    chosen = choose(files, digests([path for paths in files.values() for path in paths]), "one")
    notes = []
    if torn := chosen.torn:
        notes.append(
            f"{_lie(torn)} in more than one class of the support set, byte for byte, such as {torn[0][0]} and {torn[0][1]}. Remove one."
        )
    if copies := chosen.copies:
        count = "counts" if len(copies) == 1 else "count"
        notes.append(f"{_are_copies(copies)} and {count} twice, such as {copies[0][0]} (a copy of {copies[0][1]}).")
    return tuple(notes)


def _are_copies(copies: Sequence[object]) -> str:
    if len(copies) == 1:
        return "1 picture is a copy of another one of its class"
    return f"{len(copies):,} pictures are copies of others of their class"


def _lie(torn: Sequence[object]) -> str:
    return "1 picture lies" if len(torn) == 1 else f"{len(torn):,} pictures lie"
