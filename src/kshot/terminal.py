"""Output on the terminal: messages in plain words, progress bars, lines and JSON of results.

Bars and messages go to standard error, results to standard output, so that output can be piped. All text passes `kshot.printable`, and
none is read as markup. Next: `kshot.tables`.
"""

import json
import logging
import signal
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from kshot.atomic import finite_or_none
from kshot.interruption import leave_at_once
from kshot.printable import printable, printable_lines
from kshot.short_repr import per_cent

if TYPE_CHECKING:
    from kshot.meta_train.loop import Step

Loudness = Literal["quiet", "usual", "verbose"]
_loudness: Loudness = "usual"

_BOUNCE_SECONDS = 0.2
"""Two signals within this time are one Ctrl-C, which a terminal and a script around the command may both deliver."""


class _Messages:
    """Standard error, as far as anybody listens. A closed pipe or a full disk under it loses a message and never work."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Write a message, or drop it."""
        stream = self._stream()
        try:
            if stream is not None:
                stream.write(text)
                stream.flush()
        except (OSError, ValueError, RuntimeError):  # broken or full; closed; in the middle of a write that a signal interrupted
            pass
        return len(text)

    def flush(self) -> None:
        """Do nothing: each write is flushed."""

    def isatty(self) -> bool:
        """Whether a person sees the messages as they come."""
        stream = self._stream()
        return stream is not None and not stream.closed and stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of standard error."""
        stream = self._stream()
        if stream is None:
            raise OSError("there is no standard error")
        return stream.fileno()

    @staticmethod
    def _stream() -> IO[str] | None:
        # A live display puts a proxy in place of sys.stderr, which would print here again.
        stream = sys.stderr
        return stream.rich_proxied_file if isinstance(stream, FileProxy) else stream


_WIDEST = 120
"""Longer lines of sentences are hard to read, however wide the window is."""

out = Console(highlight=False)
err = Console(stderr=True, highlight=False, file=cast("IO[str]", _Messages()))


def set_loudness(loudness: Loudness) -> None:
    """Choose what standard error gets: errors alone; messages and bars too; or the package's log as well."""
    global _loudness
    _loudness = loudness
    log = logging.getLogger("kshot")
    for handler in [one for one in log.handlers if isinstance(one, _Log)]:
        log.removeHandler(handler)
    if loudness == "verbose":
        log.addHandler(_Log())
    if not (pillow := logging.getLogger("PIL")).handlers:  # without one, Python prints what Pillow says of a damaged picture
        pillow.addHandler(logging.NullHandler())
    log.setLevel(logging.DEBUG if loudness == "verbose" else logging.NOTSET)


def say(text: str) -> None:
    """Print a message for the person at the terminal."""
    if _loudness != "quiet":
        err.print(Text(printable_lines(text)), soft_wrap=True)


def complain(text: str) -> None:
    """Print an error in plain words."""
    err.print(Text.assemble(("Error: ", "bold red"), printable_lines(text)), soft_wrap=True)


def print_text(*parts: tuple[str, str]) -> None:
    """Print one line of a result on standard output, of texts with their styles. It is not wrapped in narrow windows and pipes."""
    out.print(Text.assemble(*((printable(text), style) for text, style in parts)), soft_wrap=True)


def print_line(text: str, style: str = "") -> None:
    """Print one line of a result on standard output."""
    print_text((text, style))


def print_wrapped(text: str, style: str = "") -> None:
    """Print a sentence of a result on standard output, in lines that fit the terminal."""
    out.print(Text(wrapped(printable(text), out.width), style), soft_wrap=True)


def wrapped(text: str, width: int) -> str:
    """Break a line at spaces, so that its lines have at most `width` columns, at most 120; further lines are indented by two spaces.

    A word longer than a line, such as a path or a hash, stays whole.
    """
    start = len(text) - len(text.lstrip(" "))
    return textwrap.fill(
        text,
        max(20, min(width, _WIDEST)),
        subsequent_indent=" " * (start + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_json(value: Mapping[str, Any]) -> None:
    """Print strict JSON on one line, in ASCII, which every stream can carry: `null` in place of what is not a finite number."""
    print(json.dumps(finite_or_none(value), allow_nan=False))


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Make the first Ctrl-C within the block only ask to stop. The second one ends the process at once.

    Yields:
        A function that says whether stopping was asked for.
    """
    asked: float | None = None

    def first(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked is not None:
            if time.monotonic() - asked > _BOUNCE_SECONDS:
                leave_at_once(number, frame)
            return
        asked = time.monotonic()
        say("Stopping after this update; the state will be saved. Press Ctrl-C again to stop at once.")

    before = signal.signal(signal.SIGINT, first)
    try:
        yield lambda: asked is not None
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def counting(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar over things.

    Args:
        what: What is counted, in the plural.
        total: How many there are; None if nobody knows.

    Yields:
        A function to call with the number of things done since the last call.
    """
    with _bar(_DESCRIPTION, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)


class TrainingBar:
    """A context manager that shows a training bar: loss, validation ± interval, episodes or items per second, time left.

    The loss is the mean over the last 50 updates. If standard error is not a terminal (a log file), each validation is a line instead.

    Args:
        updates: Number of updates of the whole run.
        done: Updates done before.
        tasks: Episodes or items per update.
        validation_episodes: Episodes per validation.
        what: The units of an update, `episodes` or `items`.
        chance: Accuracy of guessing in a validation episode; None for other scores.
    """

    def __init__(
        self, updates: int, done: int, tasks: int, validation_episodes: int, what: str = "episodes", chance: float | None = None
    ) -> None:
        self._chance = "" if chance is None else f", chance {per_cent(chance)} %"
        self._progress = _bar(
            _DESCRIPTION,
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("training", total=updates, completed=done, words="")
        self._tasks, self._updates, self._validation_episodes, self._what = tasks, updates, validation_episodes, what
        self._losses: deque[float] = deque(maxlen=50)
        self._rate: float | None = None
        self._checked = 0
        self._score = ""
        self._began = time.perf_counter()

    def __enter__(self) -> "TrainingBar":
        self._progress.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._progress.stop()

    def step(self, step: "Step") -> None:
        """Show an update."""
        self._losses.append(step.loss)
        loss = sum(self._losses) / len(self._losses)
        rate = self._tasks / max(step.seconds, 1e-9)
        self._rate = rate if self._rate is None else 0.9 * self._rate + 0.1 * rate
        if step.validation is not None:
            self._checked = 0
            mark = " (best)" if step.best else ""
            reached = score(step.validation.mean, step.validation.interval, step.validation.higher_is_better)
            self._score = f"validation {reached}{self._chance}{mark}"
            if not err.is_terminal:
                elapsed = time.perf_counter() - self._began
                done = f"update {step.update}/{self._updates}  loss {loss:.4f}"
                say(f"{done}  {self._score}  {self._rate:.1f} {self._what}/s  {elapsed:.0f} s")
        words = f"loss {loss:.4f}  {self._score}  {self._rate:.1f} {self._what}/s"
        self._progress.update(self._task, completed=step.update, description="training", words=words)

    def validating(self, more: int) -> None:
        """Show the progress of validation."""
        self._checked += more
        self._progress.update(self._task, description=f"validating {self._checked}/{self._validation_episodes}")


def score(mean: float, interval: float, fraction: bool = True) -> str:
    """Return a score with its interval as text; a fraction is given in per cent."""
    return f"{100 * mean:.2f} ± {100 * interval:.2f} %" if fraction else f"{mean:.4g} ± {interval:.2g}"


_DESCRIPTION = TextColumn("{task.description}", markup=False)


def _bar(*columns: Any) -> Progress:
    # What is printed on standard output while a bar is shown stays there: a pipe gets all of it.
    shown = err.is_terminal and _loudness != "quiet"
    return Progress(*columns, console=err, transient=False, disable=not shown, redirect_stdout=False, redirect_stderr=False)


class _Log(logging.Handler):
    """Prints the package's log as messages."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.name}: {record.getMessage()}")
