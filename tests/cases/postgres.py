"""A PostgreSQL of its own for a test: Debian's, on loopback, as a user without privileges, in a folder that is removed."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_USERS = ("postgres", "nobody")


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def postgres() -> Iterator[str]:
    """Start a server, and yield the URL of an empty database; skip the test where there is none."""
    with postgres_server() as (url, _):
        yield url


@contextmanager
def postgres_server() -> Iterator[tuple[str, Path]]:
    """Start a server as `postgres` does; yield the URL and the folder of its data, which holds `postmaster.pid`."""
    if (bin := programs()) is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="kshot-pg-", dir="/tmp"))
    try:
        if user:
            shutil.chown(folder, user)
        folder.chmod(0o700)
        data, port = folder / "data", _free_port()
        _run([str(bin / "initdb"), "-D", str(data), "-U", "kshot", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C"], user)
        settings = f"-h 127.0.0.1 -p {port} -k {folder}"
        start = [str(bin / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start"]
        _run(start, user)
        try:
            yield f"postgresql://kshot@127.0.0.1:{port}/postgres", data
        finally:
            _run([str(bin / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> str:
    """Return the user that the server runs as, where this one may do everything, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return ""
    import pwd

    known = {one.pw_name for one in pwd.getpwall()}
    if found := next((name for name in _USERS if name in known), None):
        return found
    pytest.skip(f"PostgreSQL does not run as {getpass.getuser()}, and there is no user {' or '.join(_USERS)}")


def _run(command: list[str], user: str) -> None:
    done = subprocess.run(
        command, user=user or None, cwd="/", stdin=subprocess.DEVNULL, capture_output=command[-1] != "start", timeout=120, check=False
    )
    assert done.returncode == 0, (done.stderr or b"").decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found
