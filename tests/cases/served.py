"""A service of kshot in a process of its own, on a free port of loopback, until the end of a block."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

import kshot.errors

SOURCE = Path(kshot.errors.__file__).resolve().parents[1]
_SECONDS = 60


@contextmanager
def served(folder: Path, *words: str | Path) -> Iterator[str]:
    """Serve with `kshot serve`.

    Args:
        folder: Where the store and the log lie.
        *words: More words of the command.

    Yields:
        The address, without a slash at its end.
    """
    log = folder / "log.jsonl"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "kshot", "serve", "--port", "0", "--store", f"sqlite:///{folder / 'tasks.db'}", *map(str, words)]
    with log.open("wb") as written:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=written)
    try:
        yield _ready(process, log)
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def _ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"kshot serves (http://\S+)", log.read_text())
        try:
            if found and httpx.get(f"{found[1]}/readyz").status_code == 200:
                return found[1]
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the service is not ready:\n{log.read_text()}")
