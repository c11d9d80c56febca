"""Standard input, if there is one to read from.

A process may be started without it (`<&-`, a window without a console), and a caller of the command in Python may have closed it. In: none.
Out: bytes for tables, lines for paths.
"""

import io
import sys
from collections.abc import Iterator

from kshot.errors import DataError

UNREADABLE = "standard input cannot be read here. Name a file."


def standard_input() -> io.BufferedReader | None:
    """Return standard input as bytes; None if there is none, or it is closed."""
    found: io.BufferedReader | None = getattr(sys.stdin, "buffer", None)
    return None if found is None or found.closed else found


def standard_lines() -> Iterator[str]:
    """Yield the lines of standard input, with their ends.

    Raises:
        DataError: There is none, or it is closed.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise DataError(UNREADABLE)
    yield from sys.stdin
