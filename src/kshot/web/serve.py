"""Running the server: one process, or several that end with their parent; and a log of one JSON object per line on standard error.

In: settings. Out: nothing; it returns when the server has ended. Next: `kshot.serve_commands`.
"""

import atexit
import ipaddress
import json
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from kshot.data.reading import cores
from kshot.errors import RecipeError, SetupError
from kshot.web.store.engine import DEFAULT, open_engine

_SETTINGS = "KSHOT_SERVE"
_GRACE_SECONDS = 20
_SWITCH_SECONDS = 0.001
"""After so long, the thread that computes lets the event loop run; Python's own interval would be seen in every answer."""


@dataclass(frozen=True)
class Settings:
    """What a server is started with.

    Attributes:
        saved: Saved learners and fitted models; none: the shipped learners.
        store: URL of the database.
        host: Name or address of the interface.
        port: Its port; 0: a free one.
        workers: How many processes.
        keys: The file of keys.
        log: Whether every request is logged.
    """

    saved: tuple[str, ...] = ()
    store: str = DEFAULT
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    keys: str | None = None
    log: bool = True


def serve(settings: Settings) -> None:
    """Serve until a signal ends it.

    Raises:
        RecipeError: The settings contradict each other.
        SavedError: A learner, a model, the keys or the store cannot be used.
        SetupError: The port is taken, or a package is missing.
    """
    import uvicorn

    check(settings)
    listener = _listening(settings.host, settings.port)
    try:
        open_engine(settings.store).dispose()
        if settings.keys is not None:
            from kshot.web.keys import read_keys

            read_keys(Path(settings.keys))
        _more_files()
        _log(settings)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(f"kshot serves http://{shown}:{port}", file=sys.stderr, flush=True)
        os.environ[_SETTINGS] = json.dumps(asdict(settings))
        config = _config(settings)
        if settings.workers == 1:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            from uvicorn.supervisors import Multiprocess

            with tempfile.TemporaryDirectory(prefix="kshot-metrics-") as folder:
                os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
                Multiprocess(config, sockets=[listener]).run()
    finally:
        listener.close()


def check(settings: Settings) -> None:
    """Refuse settings that contradict each other.

    Raises:
        RecipeError: They do.
    """
    if not 0 <= settings.port <= 65535:
        raise RecipeError(f"--port is from 0 to 65535; found {settings.port}.")
    if not 1 <= settings.workers <= 256:
        raise RecipeError(f"--workers is from 1 to 256; found {settings.workers}.")
    if settings.keys is None and not _is_loopback(settings.host):
        raise RecipeError(
            f"--host {settings.host} would serve other machines, and without --keys everybody could read and delete everything. Make a key "
            "with kshot keys add, and name its file: --keys FILE."
        )


def worker_app() -> Any:
    """Build the application in a worker, from the settings that its parent has left in the environment."""
    from kshot.web.app import build_app
    from kshot.web.service import Service
    from kshot.web.sources.table import Sources
    from kshot.web.store.store import Store

    settings = Settings(**json.loads(os.environ[_SETTINGS]))
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Half of the cores compute, shared by the workers; the others are for HTTP and for reading. Read when PyTorch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // 2 // settings.workers)))
    _log(settings)
    if settings.workers > 1:
        _end_with_parent()
    keys = None if settings.keys is None else Path(settings.keys)
    return build_app(Service(Store(open_engine(settings.store)), Sources(settings.saved), keys=keys))


def _config(settings: Settings) -> Any:
    import uvicorn

    from kshot.web.protocol import KEPT_ALIVE_SECONDS, TimedProtocol

    return uvicorn.Config(
        "kshot.web.serve:worker_app",
        factory=True,
        workers=settings.workers,
        http=TimedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEPT_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_worker_healthcheck=60,
        backlog=2048,
        h11_max_incomplete_event_size=32 * 1024,
    )


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise SetupError(f"cannot listen at {host}, port {port}: {error.strerror or error}. Choose another --host or --port.") from error
    listener.set_inheritable(True)
    return listener


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _more_files() -> None:
    """Allow as many open connections as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _log(settings: Settings) -> None:
    # As the manual of logging advises for speed: no line says from which thread, process or place it comes.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = _Lines()
    handler.setFormatter(_OneObject())
    for name in ("kshot.web", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if settings.log else logging.WARNING)


class _Lines(logging.Handler):
    """Writes lines to standard error from a thread of its own, some at a time: a request does not wait for the reader of the log."""

    def __init__(self) -> None:
        super().__init__()
        self._records: SimpleQueue[logging.LogRecord] = SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()
        atexit.register(self._flush)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record until it is written."""
        self._records.put(record)

    def _write(self) -> None:
        while True:
            time.sleep(0.1)
            self._flush()

    def _flush(self) -> None:
        lines = [self.format(self._records.get()) for _ in range(self._records.qsize())]
        if lines:
            with suppress(OSError, ValueError):  # nobody reads the log any more
                sys.stderr.write("".join(f"{line}\n" for line in lines))
                sys.stderr.flush()


class _OneObject(logging.Formatter):
    """Each message as one JSON object with its time and level. What kshot itself says is one already."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        told = message if record.name == "kshot.web" else json.dumps({"event": "server", "message": message})
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f'{{"time": "{moment}.{int(record.msecs):03d}Z", "level": "{record.levelname.lower()}", {told[1:]}'


def _end_with_parent() -> None:
    """End this worker if its parent is killed, so that none is left behind."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
