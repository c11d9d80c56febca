"""Metrics of a run, written to disk while it runs: JSON lines always, TensorBoard with the extra.

A resumed run drops the lines after the state from which it resumes, so that the file reads as if the run had never stopped.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from kshot.atomic import finite_or_none, write_text
from kshot.errors import SavedError, missing_extra
from kshot.meta_train.loop import Step
from kshot.regular_file import parse_json, read_bytes

_MOST = 2**32
"""Bytes of a file of metrics: some 30 million updates."""


class Track:
    """A context manager that writes one JSON object per update to a file.

    Args:
        file: The JSON-lines file.
        since: Updates already done. Later lines in the file are dropped.
        tensorboard: A folder for TensorBoard's event files, or None.

    Raises:
        SetupError: `tensorboard` was asked for but is not installed.
        SavedError: The file cannot be read or written, now or in a later call (a full disk).
    """

    def __init__(self, file: Path, *, since: int = 0, tensorboard: Path | None = None) -> None:
        lines = _read(file).splitlines()
        kept = [line for line in lines if (update := _update_of(line)) is not None and update <= since]
        write_text(file, "".join(line + "\n" for line in kept))
        self._path = file
        with self._refused():
            self._file = file.open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard is not None:
            self._board = require_tensorboard()(str(tensorboard), purge_step=since or None)

    def write(self, step: Step) -> None:
        """Write one line. A line with a validation is flushed."""
        line: dict[str, Any] = {
            "update": step.update,
            "loss": step.loss,
            "gradient_norm": step.gradient_norm,
            "lr": step.lr,
            "seconds": round(step.seconds, 6),
        }
        if step.validation is not None:
            line |= {"validation": step.validation.mean, "interval": step.validation.interval, "best": step.best}
        with self._refused():
            self._file.write(json.dumps(finite_or_none(line), allow_nan=False) + "\n")
            if step.validation is not None:
                self._file.flush()
        if self._board is not None:
            self._board.add_scalar("training/loss", step.loss, step.update)
            self._board.add_scalar("training/lr", step.lr, step.update)
            if step.validation is not None:
                self._board.add_scalar("validation/score", step.validation.mean, step.update)

    def flush(self) -> None:
        """Flush the file to the system."""
        with self._refused():
            self._file.flush()

    def __enter__(self) -> "Track":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._board is not None:
            self._board.close()
        with suppress(OSError) if error is not None else self._refused():  # show the first error, not one that follows from it
            self._file.close()

    @contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SavedError(
                f"cannot write {self._path}: {error.strerror or error}. The last state written is whole. "
                "Free some space, then go on with --resume."
            ) from error


def _read(file: Path) -> str:
    try:
        return read_bytes(file, _MOST).decode("utf-8", errors="replace")  # a line with damaged bytes is not JSON and is dropped
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SavedError(f"cannot read {file}: {error.strerror or error}. Move it away or allow reading it.") from error


def require_tensorboard() -> Any:
    """Return the class that writes TensorBoard's event files.

    Raises:
        SetupError: `tensorboard` is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise missing_extra("tensorboard", "track", "Tracking with TensorBoard") from error
    return SummaryWriter


def _update_of(line: str) -> int | None:
    try:
        update = parse_json(line)["update"]
    except (ValueError, KeyError, TypeError):
        return None  # the process was killed while it wrote this line
    return update if type(update) is int else None
