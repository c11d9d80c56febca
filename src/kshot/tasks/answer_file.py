"""A file of answers: a table (CSV) or one JSON object per line (JSONL), by the suffix of its name.

In: answers. Out: the file, line by line, so that what is answered is kept if the rest never is. Next: the person's own programs.
"""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kshot.atomic import finite_or_none
from kshot.errors import RecipeError, SavedError
from kshot.regular_file import look
from kshot.tasks.answers import Answered, row

SUFFIXES = (".csv", ".jsonl")


def check_answer_file(path: Path, inputs: Iterable[str] = ()) -> None:
    """Check before the long work that answers can be written to a path.

    Args:
        path: The path.
        inputs: The files that are read meanwhile.

    Raises:
        RecipeError: It has neither suffix, is one of the inputs, is something else than a file, or lies in no folder.
    """
    found = look(path, RecipeError)
    if path.suffix.lower() not in SUFFIXES or found in ("folder", "other"):
        raise RecipeError(f"--out must name a .csv or .jsonl file to write, for example answers.csv; found {path}. Choose another name.")
    if not os.path.isdir(path.parent):
        raise RecipeError(f"--out {path}: there is no folder {path.parent}. Make it, or choose another name.")
    if found == "file" and any(os.path.isfile(name) and os.path.samefile(name, path) for name in inputs):
        raise RecipeError(f"--out {path} is a file to be labelled, and the answers would take its place. Choose another name.")


@contextmanager
def answer_file(path: Path, columns: Sequence[str], *, probabilities: bool = False) -> Iterator[Callable[[Answered], None]]:
    """Open a file of answers; what is there before is replaced.

    Args:
        path: As `check_answer_file` wants it.
        columns: The columns of the table.
        probabilities: Whether to write the probability of every class.

    Yields:
        A function that writes an answer.

    Raises:
        SavedError: The system refuses to write the file.
    """
    try:
        # A byte of a file name that is not UTF-8 is written as \udce9.
        file = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise _refused(path, error) from error
    table = csv.DictWriter(file, columns, restval="")
    as_table = path.suffix.lower() == ".csv"

    def write(answer: Answered) -> None:
        plain = answer.as_dict(probabilities=probabilities)
        try:
            if as_table:
                table.writerow(row(plain))
            else:
                print(json.dumps(finite_or_none(plain), allow_nan=False), file=file)
        except OSError as error:
            raise _refused(path, error) from error

    try:
        if as_table:
            table.writeheader()
        yield write
    finally:
        try:
            file.close()
        except OSError as error:  # a full disk is told at the last moment
            raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> SavedError:
    return SavedError(f"cannot write {path}: {error.strerror or error}. Free some space, or choose another name.")
