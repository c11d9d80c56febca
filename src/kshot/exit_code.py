"""How the command ends: its exit code, and what is said of an error.

In: the command. Out: 0 for success; 2 for wrong use or bad input, with one message; 1 for a bug in kshot, with a traceback; 130 for Ctrl-C;
141 where nobody reads the output any more. Next: `kshot.cli`.
"""

import errno
import io
import os
import sys
from typing import Any

import typer

from kshot.errors import KshotError
from kshot.interruption import STOPPED, caused_by, ignore_interrupts, interrupted, on_interrupt, raise_once

_UNREAD = 141  # what a shell reports of a program that a closed pipe has ended: 128 + SIGPIPE

# UsageError of click, or of typer's own copy of it (from 0.26 on), which is not public under its name.
_WrongUse: type[Any] = typer.BadParameter.__mro__[1]


def run_to_end(app: typer.Typer) -> None:
    """Run the command, and end the process with its exit code."""
    import kshot.terminal  # noqa: F401  # while Ctrl-C still leaves at once

    on_interrupt(raise_once)
    try:
        code = exit_code_of(app)
    except BrokenPipeError:  # while a message was written
        code = _UNREAD
    code = _flushed(code)
    ignore_interrupts()
    sys.exit(code)


def _flushed(code: int) -> int:
    """Write what is left of the output, and return the exit code. Python, which would try again at its end, finds nothing to do."""
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            if descriptor == 1:
                code = _UNREAD if isinstance(error, BrokenPipeError) else code or _unwritten(error)
    return code


def _unwritten(error: Exception) -> int:
    from kshot.terminal import complain

    complain(f"cannot write the output: {error}. What the command has saved is whole.")
    return 2


def _refused(error: OSError) -> str:
    """Say in words which path or stream the system refused; empty if the error names none, which is a bug in kshot."""
    try:
        os.getcwd()
    except OSError:
        return "the working directory does not exist any more. Change to another folder."
    reason = error.strerror or error
    if error.filename is not None:
        return f"cannot use {os.fsdecode(error.filename)}: {reason}. Check the path and its permissions."
    full = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
    return f"cannot write the output: {reason}. What the command has saved is whole." if error.errno in full else ""


def exit_code_of(app: typer.Typer) -> int:
    """Run the command, and return its exit code."""
    from kshot.printable import printable_lines
    from kshot.terminal import complain, say

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a character that the stream does not have is no reason to fail
    try:
        result = app(standalone_mode=False)
        if result == STOPPED and interrupted():  # typer has turned the interrupt into this code
            say("Stopped.")
        return result if isinstance(result, int) else 0
    except typer.Exit as leave:
        return int(leave.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        say("Stopped.")
        return STOPPED
    except (SystemExit, ImportError) as error:  # of rich and click, for a broken pipe; of an import that Ctrl-C broke
        if caused_by(error, BrokenPipeError):
            return _UNREAD
        if caused_by(error, KeyboardInterrupt):
            say("Stopped.")
            return STOPPED
        raise
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            return _UNREAD
        if words := _refused(error):
            complain(words)
            return 2
        raise
    except _WrongUse as wrong:
        wrong.message = printable_lines(wrong.message)
        wrong.show()
        return 2
    except KshotError as error:
        complain(str(error))
        return 2
