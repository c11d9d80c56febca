"""A service of kshot through a real socket: in a process of its own, or in a thread of the test with limits of its own."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from kshot.web.app import build_app
from kshot.web.limits import Limits
from kshot.web.protocol import TimedProtocol
from kshot.web.service import Service
from kshot.web.sources.table import Sources
from kshot.web.store.engine import open_engine
from kshot.web.store.store import Store

PATIENCE = 60.0


@dataclass
class Process:
    """A running `kshot serve`.

    Attributes:
        url: Its address, ending with a slash.
        process: The process.
        said: What it has written to standard error so far.
    """

    url: str
    process: subprocess.Popen[str]
    said: list[str]


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    """Start `kshot serve` with its store in a folder, yield its address, without a slash at its end, and end it."""
    with serving(folder, *arguments) as found:
        yield found.url.rstrip("/")


@contextmanager
def serving(folder: Path, *arguments: str, port: int = 0) -> Iterator[Process]:
    """Start `kshot serve` as `served` does; yield the process."""
    store = [] if "--store" in arguments else ["--store", f"sqlite:///{folder / 'tasks.db'}"]
    command = [sys.executable, "-m", "kshot", "serve", *arguments, "--port", str(port), *store]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=folder, env={**os.environ})
    said: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line)
        if line.startswith("kshot serves "):
            break
    else:
        raise AssertionError(f"kshot serve has ended with {process.wait()}: {''.join(said)}")
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    reader.start()
    url = said[-1].removeprefix("kshot serves ").strip() + "/"
    try:
        wait_ready(url, process)
        yield Process(url, process, said)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(10)
        process.stderr.close()


def wait_ready(url: str, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until a server answers that it is ready."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process is None or process.poll() is None, f"the server has ended with {process and process.returncode}"
        try:
            if httpx.get(url + "readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        threading.Event().wait(0.02)
    raise AssertionError(f"the server was not ready within {PATIENCE} s")


@dataclass
class Thread:
    """A server in a thread of the test.

    Attributes:
        url: Its address, ending with a slash.
        service: What it serves.
        port: Its port.
    """

    url: str
    service: Service
    port: int


@contextmanager
def served_here(store: str, *, limits: Limits | None = None, keys: Path | None = None, saved: tuple[str, ...] = ()) -> Iterator[Thread]:
    """Serve a store from a thread of this process, through a real socket."""
    service = Service(Store(open_engine(store)), Sources(saved), keys=keys, limits=limits)
    settings: dict[str, Any] = {
        "http": TimedProtocol,
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "timeout_graceful_shutdown": 2,
    }
    server = uvicorn.Server(uvicorn.Config(build_app(service), host="127.0.0.1", port=0, **settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Thread(f"http://127.0.0.1:{port}/", service, port)
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()
