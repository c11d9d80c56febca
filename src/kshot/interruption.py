"""Ctrl-C, from the first moment of the command to its last: a plain end with exit code 130, never a traceback.

This module imports nothing but what Python has loaded anyway, so that `kshot.__main__` can use it before everything else. Nothing is lost
by leaving at once: every file is written whole or not at all (`kshot.atomic`). Next: `kshot.terminal` and `kshot.exit_code`.
"""

import os
import signal
from types import FrameType

STOPPED = 130
_SHOW_CURSOR = b"\x1b[?25h"


def leave_at_once(number: int, frame: FrameType | None) -> None:
    """End the process without running anything else: a destructor or an import could catch or lose a `KeyboardInterrupt`."""
    try:
        if os.isatty(2):
            os.write(2, _SHOW_CURSOR)  # a progress bar hides it
        os.write(2, b"Stopped.\n")
    except OSError:
        pass  # nobody listens
    os._exit(STOPPED)


def raise_once(number: int, frame: FrameType | None) -> None:
    """Raise `KeyboardInterrupt`. The next Ctrl-C, while things are tidied up, leaves at once."""
    signal.signal(signal.SIGINT, leave_at_once)
    raise KeyboardInterrupt


def interrupted() -> bool:
    """Whether `raise_once` has raised."""
    return signal.getsignal(signal.SIGINT) is leave_at_once


def on_interrupt(handler: "signal._HANDLER") -> None:
    """Set what Ctrl-C does, except in a process that was started to ignore it, such as one in the background of a script."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C: the command is done, and Python, while it ends, would die of the signal in place of giving the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error is of a kind, or was raised while one of that kind was handled, as an import that Ctrl-C breaks."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__ or seen.__context__
    return seen is not None
