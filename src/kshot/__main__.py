"""The start of the command `kshot` and of `python -m kshot`: what must be in order before anything else is imported."""

import os

from kshot.interruption import leave_at_once, on_interrupt


def main() -> None:
    """Run the command, and end the process with its exit code."""
    on_interrupt(leave_at_once)  # imports take a moment, in which Ctrl-C would print a traceback
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed (`2>&-`): the next file to be opened, say a state, would be taken for the missing stream
            os.open(os.devnull, os.O_RDWR)
    from kshot.cli import main as run

    run()


if __name__ == "__main__":
    main()
