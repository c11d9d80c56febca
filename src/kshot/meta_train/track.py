"""Metrics of a run, on disk as it goes: JSON lines always, TensorBoard with the extra.

A resumed run drops the lines past the state it resumes from, so that the file reads as if the run had never stopped.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from kshot.atomic import write_text
from kshot.errors import SavedError, missing_extra
from kshot.meta_train.loop import Step


class Track:
    """Writes one JSON object an update to a file; a context manager.

    Args:
        file: The JSON-lines file.
        since: Updates done already; later lines in the file are dropped.
        tensorboard: A folder for TensorBoard's event files, or None.

    Raises:
        SetupError: `tensorboard` was asked for and is not installed.
        SavedError: The file cannot be read or written, now or in any call later (a full disk).
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
        """One line; flushed when it holds a validation."""
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
            self._file.write(json.dumps(line) + "\n")
            if step.validation is not None:
                self._file.flush()
        if self._board is not None:
            self._board.add_scalar("training/loss", step.loss, step.update)
            self._board.add_scalar("training/lr", step.lr, step.update)
            if step.validation is not None:
                self._board.add_scalar("validation/score", step.validation.mean, step.update)

    def flush(self) -> None:
        """Hand what was written to the system."""
        with self._refused():
            self._file.flush()

    def __enter__(self) -> "Track":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._board is not None:
            self._board.close()
        with suppress(OSError) if error is not None else self._refused():  # the first error is the one to show
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
        return file.read_text(encoding="utf-8", errors="replace")  # a line with damaged bytes is no JSON, and is dropped
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SavedError(f"cannot read {file}: {error.strerror or error}. Move it away or allow reading it.") from error


def require_tensorboard() -> Any:
    """The class that writes TensorBoard's event files.

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
        return int(json.loads(line)["update"])
    except (ValueError, KeyError, TypeError):
        return None  # a line cut off by a kill
