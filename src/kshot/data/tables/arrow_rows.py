"""Rows of Parquet files, and of data sets that Hugging Face's library `datasets` has saved on disk. Both are read with pyarrow.

In: a path. Out: columns and rows (`row.Start`). Next: `table_file`.

Hugging Face's library writes the names of classes beside the table (`ClassLabel`) and numbers into it. The names are given here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kshot.data.tables.row import BLOCK, MOST_BYTES, Rows, Start
from kshot.errors import DataError, missing_extra
from kshot.printable import printable
from kshot.regular_file import look, opened, parse_json, read_json

_METADATA = b"huggingface"
"""The key of a schema under which the library writes what the columns are."""


def start_parquet(path: str) -> Start:
    """Open a Parquet file."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise missing_extra("pyarrow", "tables", "a Parquet file") from error

    def blocks() -> Iterator[Any]:
        try:
            with opened(Path(path), MOST_BYTES) as file:
                table = ParquetFile(file)
                yield table.schema_arrow
                yield from table.iter_batches(batch_size=BLOCK)
        except (ArrowException, OSError) as error:
            raise _damaged(path, "a Parquet file", error) from error

    return _started(blocks())


def start_data_set(path: str) -> Start:
    """Open the folder of a data set."""
    folder = Path(path)
    if look(folder / "dataset_dict.json") == "file":
        parts = [name for name in _read(folder / "dataset_dict.json").get("splits", []) if isinstance(name, str)]
        places = " or ".join(printable(folder / name) for name in parts)
        raise DataError(f"{printable(path)} holds the parts {printable(', '.join(parts))} of a data set. Name one of them: {places}.")
    if look(folder / "dataset_info.json") != "file":
        raise DataError(
            f"{printable(path)} is a folder and not a table. A folder is a table where Hugging Face's `save_to_disk` has written it, with "
            "a file dataset_info.json."
        )
    state = _read(folder / "state.json")
    files = [entry.get("filename") for entry in state.get("_data_files") or [] if isinstance(entry, dict)]
    names = [name for name in files if isinstance(name, str) and Path(name).name == name]
    if not names or len(names) < len(files):
        raise DataError(f"{printable(folder / 'state.json')} names no files of the data set. Save it again with `save_to_disk`.")
    if state.get("_indices_data_files"):
        raise DataError(f"{printable(path)} is a selection of rows. Save it with a newer version of `datasets`, which writes the rows.")
    try:
        from pyarrow import ArrowException
        from pyarrow.ipc import open_stream
    except ImportError as error:
        raise missing_extra("pyarrow", "tables", "a data set of Hugging Face") from error

    def blocks() -> Iterator[Any]:
        schema = None
        for name in names:
            try:
                with opened(folder / name, MOST_BYTES) as file, open_stream(file) as stream:
                    if schema is None:
                        schema = stream.schema
                        yield schema
                    for batch in stream:
                        yield from (batch.slice(start, BLOCK) for start in range(0, batch.num_rows, BLOCK))
            except (ArrowException, OSError) as error:
                raise _damaged(folder / name, "an Arrow file of a data set", error) from error

    return _started(blocks())


def _started(blocks: Iterator[Any]) -> Start:
    schema = next(blocks)
    return tuple(str(name) for name in schema.names), _rows(blocks, _class_names(schema.metadata))


def _values(block: Any) -> Rows:
    """Give the rows of a block. Python's dates and times hold less than Arrow's: a row with one beyond them is a fault."""
    try:
        yield from block.to_pylist()
    except (OverflowError, ValueError) as error:
        if block.num_rows == 1:
            reason = printable(str(error))
            yield DataError(f"a date or a time is beyond those of Python ({reason}). Write it as text or as a number.")
        else:
            for number in range(block.num_rows):
                yield from _values(block.slice(number, 1))


def _rows(blocks: Iterator[Any], names: Mapping[str, list[str]]) -> Rows:
    number = 0
    for block in blocks:
        for row in _values(block):
            number += 1
            if isinstance(row, DataError):
                yield DataError(f"row {number}: {row}")
                continue
            for column, known in names.items():
                place = row.get(column)
                if isinstance(place, int):
                    row[column] = known[place] if 0 <= place < len(known) else None  # -1 stands for a class that is not told
            yield row


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Find the columns of class numbers, and the names of their classes."""
    try:
        features = parse_json((metadata or {})[_METADATA].decode())["info"]["features"]
        found = {name: feature["names"] for name, feature in features.items() if isinstance(feature, dict) and "names" in feature}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
    return {name: known for name, known in found.items() if isinstance(known, list) and all(isinstance(one, str) for one in known)}


def _read(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, "a file of a data set", error) from error
    if not isinstance(value, dict):
        raise _damaged(path, "a file of a data set", ValueError("it is no JSON object"))
    return value


def _damaged(path: object, what: str, error: Exception) -> DataError:
    reason = (getattr(error, "strerror", None) or str(error)).splitlines() or [type(error).__name__]
    return DataError(f"cannot read {printable(path)} as {what}: {printable(reason[0])}. Check the file, or write it again.")
