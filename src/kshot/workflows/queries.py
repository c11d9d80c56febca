"""The queries of a prediction: what a person names on the command line, as paths.

In: words, which are files, folders, patterns, or `-` for standard input. Out: `Query`s in the order of the words. Next:
`kshot.workflows.prediction`.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kshot.data.pictures.picture_file import is_picture_name

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Query:
    """One picture to label.

    Attributes:
        input: Its path as it was given; below a folder, the folder as it was given and the path below it.
        fault: Why there is nothing to read; empty if there may be.
    """

    input: str
    fault: str = ""


def find_queries(words: Sequence[str], lines: Iterable[str]) -> Iterator[Query]:
    """Find the pictures that words mean.

    Args:
        words: Files; folders, whose pictures are taken with those of their subfolders, in the order of their names, hidden ones left out;
            patterns with `*`, `?`, `[…]` or `**`, for shells that expand none; and `-`.
        lines: The lines of standard input, which `-` stands for: one file, folder or pattern per line. Empty lines are left out.

    Yields:
        The queries. A folder without pictures and a pattern that fits nothing are queries with a fault.
    """
    for word in words:
        if word != STANDARD_INPUT:
            yield from _meant(word)
            continue
        for line in lines:
            if path := line.rstrip("\r\n"):
                yield from _meant(path)


def _meant(word: str) -> Iterator[Query]:
    if os.path.isdir(word):
        yield from _in_folder(word)
    elif not os.path.lexists(word) and glob.has_magic(word):
        found = sorted(glob.glob(word, recursive=True))
        if not found:
            yield Query(word, f"no file fits the pattern {word}. Check the path.")
        for path in found:
            yield from _in_folder(path) if os.path.isdir(path) else [Query(path)]
    else:
        yield Query(word)


def _in_folder(folder: str) -> Iterator[Query]:
    empty = True
    for query in _below(folder, (os.path.realpath(folder),)):
        empty = False
        yield query
    if empty:
        yield Query(folder, f"the folder {folder} holds no pictures. Check the path.")


def _below(folder: str, above: tuple[str, ...]) -> Iterator[Query]:
    """Yield the pictures in a folder and below it. `above` are the folders that it lies in, without links, which may lead back."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        yield Query(folder, f"cannot list the folder {folder}: {error.strerror or error}. Allow reading it.")
        return
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            place = os.path.realpath(path)
            if place not in above:
                yield from _below(path, (*above, place))
        elif is_picture_name(Path(name)):
            yield Query(path)
