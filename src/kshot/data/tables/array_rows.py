"""Rows of NumPy's files: `.npy` and `.npz`.

In: a path. Out: columns and rows (`row.Start`). Next: `table_file`.

An array of one axis is a column. One of two axes has a column for each place of the second: `column 1`, `column 2`, … of an `.npy` file;
`x 1`, `x 2`, … of the array `x` in an `.npz` file. The fields of a structured array are columns under their own names. No pickle is opened.
"""

import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from kshot.data.tables.row import BLOCK, Rows, Start
from kshot.errors import DataError
from kshot.printable import printable
from kshot.regular_file import look

MOST_IN_MEMORY = 2**32
"""Bytes of the arrays in an `.npz` file, which are unpacked into memory. An `.npy` file is mapped and may be larger."""


def start_npy(path: str) -> Start:
    """Open an `.npy` file."""
    array = _loaded(path, "r", lambda found: found)
    if not isinstance(array, np.ndarray):
        raise DataError(f"{printable(path)} holds several arrays. Give it a name that ends in .npz.")
    return _start(path, {"column": array})


def start_npz(path: str) -> Start:
    """Open an `.npz` file. Its arrays have one row per thing, and so one length."""
    return _start(path, read_npz(path))


def read_npz(path: str) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz` file, by name.

    Raises:
        DataError: It is no such file, it is damaged, it holds a pickle, or it unpacks to more than `MOST_IN_MEMORY` bytes.
    """
    _require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    if size > MOST_IN_MEMORY:
        raise DataError(
            f"{printable(path)} unpacks to {size:,} bytes; at most {MOST_IN_MEMORY:,} are read. Save one array as .npy instead."
        )
    arrays: dict[str, np.ndarray] = _loaded(path, None, lambda found: {name: _array(path, found, name) for name in found.files})
    return arrays


def _array(path: str, archive: Any, name: str) -> np.ndarray:
    array = archive[name]
    if not isinstance(array, np.ndarray):
        raise DataError(f"{printable(path)} holds the file {printable(name)}, which is no array. Write it again with numpy.savez.")
    return array


def _start(path: str, arrays: dict[str, np.ndarray]) -> Start:
    pieces: list[tuple[list[str], np.ndarray]] = []
    arrays = {name: array for name, array in arrays.items() if array.ndim or len(arrays) == 1}  # a single value says something of all rows
    for name, array in arrays.items():
        if array.ndim == 1 and array.dtype.names:
            pieces += [([field], array[field]) for field in array.dtype.names]
        elif array.ndim == 1:
            pieces.append(([name], array))
        elif array.ndim == 2:
            pieces.append(([f"{name} {place}" for place in range(1, array.shape[1] + 1)], array))
        else:
            raise DataError(
                f"{printable(path)}: the array {printable(name)} has the shape {array.shape}. A table has one row per thing, and "
                "one or two axes. Reshape it."
            )
    lengths = {len(array) for _, array in pieces}
    if len(lengths) != 1:
        counts = ", ".join(f"{printable(name)} has {len(array):,}" for name, array in arrays.items())
        raise DataError(f"{printable(path)}: its arrays need one length, the number of rows. Found: {counts or 'no array'}.")
    return tuple(name for names, _ in pieces for name in names), _rows(pieces, lengths.pop())


def _rows(pieces: list[tuple[list[str], np.ndarray]], length: int) -> Rows:
    names = [name for of_one, _ in pieces for name in of_one]
    for start in range(0, length, BLOCK):
        blocks = [np.asarray(array[start : start + BLOCK]) for _, array in pieces]
        columns = [column.tolist() for block in blocks for column in ([block] if block.ndim == 1 else block.T)]
        yield from (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _loaded(path: str, mapped: Any, taken: Callable[[Any], Any]) -> Any:
    """Load a file, and take its arrays while it is open."""
    _require_file(path)
    try:
        with np.errstate(all="ignore"):  # a forged shape overflows, and is refused all the same
            found = np.load(path, mmap_mode=mapped, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return taken(found)
            with found:
                return taken(found)
    except DataError:
        raise
    except (ValueError, EOFError, OSError, MemoryError, SyntaxError, TypeError, zipfile.BadZipFile) as error:  # not one class
        raise _damaged(path, error) from error


def _require_file(path: str) -> None:
    if look(path) != "file":
        raise _damaged(path, OSError("it is not a regular file"))


def _damaged(path: str, error: Exception) -> DataError:
    reason = (getattr(error, "strerror", None) or str(error)).splitlines() or [type(error).__name__]
    if "pickle" in reason[0]:
        reason = ["it holds Python objects, and kshot opens no pickles; save numbers or texts (dtype float32 or str)"]
    return DataError(f"cannot read {printable(path)} as an array of NumPy: {printable(reason[0])}. Check the file, or write it again.")
