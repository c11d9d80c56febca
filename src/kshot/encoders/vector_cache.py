"""Vectors by encoder and content, kept between runs in the user's cache folder, the least recently used of them given up first.

One SQLite file, so that several processes may use it at once. A row is used only if its checksum is right. The cache never stands in the
way: a folder that belongs to somebody else, a full disk or a damaged file costs time, and is logged once.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from kshot.data.cache import cache_folder
from kshot.errors import SetupError

MOST_BYTES = 2**30
"""The usual size limit of the file."""
_FILE = "vectors.sqlite"
_WAIT = 2.0
"""Seconds to wait for another process that is writing."""
_FRESH = 3600.0
"""Seconds within which a vector's time of use is not written again."""
_KEPT = 0.8
"""The part of the limit that is left after giving vectors up."""
_CHECK = 8
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, used REAL NOT NULL);
CREATE INDEX IF NOT EXISTS by_use ON vectors (used);
"""
_log = logging.getLogger(__name__)


class VectorCache:
    """Vectors on disk. All methods may be called from any thread, and none of them fails.

    Args:
        folder: Where the file lies; None: the user's cache folder.
        most_bytes: Size limit of the file.
    """

    def __init__(self, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most = folder, most_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._readable = self._writable = True
        self._used: dict[bytes, float] = {}

    def __del__(self) -> None:
        self._forget()

    def get(self, fingerprint: str, content: bytes) -> np.ndarray | None:
        """Return a kept vector, float32 (D,), or None.

        Args:
            fingerprint: Of the encoder.
            content: A hash of the thing, or anything else that tells it from all others.
        """
        key = _key(fingerprint, content)
        row = self._try(lambda database: database.execute("SELECT vector, used FROM vectors WHERE key = ?", (key,)).fetchone())
        if row is None:
            return None
        data, used = row
        if len(data) < _CHECK or data[:_CHECK] != _checksum(key, data[_CHECK:]):
            return None
        if time.time() - used > _FRESH:
            with self._lock:
                self._used[key] = time.time()
        return np.frombuffer(data, np.float32, offset=_CHECK)

    def put(self, fingerprint: str, contents: Sequence[bytes], vectors: np.ndarray) -> None:
        """Keep vectors, float32 (M, D), of M contents, and give up others where there is no room."""
        now = time.time()
        rows = []
        for content, vector in zip(contents, vectors, strict=True):
            key, data = _key(fingerprint, content), np.ascontiguousarray(vector, np.float32).tobytes()
            rows.append((key, _checksum(key, data) + data, now))
        if rows and self._writable:
            self._try(lambda database: self._write(database, rows), writing=True)

    def flush(self) -> None:
        """Write down which vectors were used."""
        with self._lock:
            used = [(when, key) for key, when in self._used.items()]
            self._used.clear()
        if used and self._writable:
            self._try(lambda database: _in_one(database, "UPDATE vectors SET used = ? WHERE key = ?", used), writing=True)

    def close(self) -> None:
        """Flush, and let go of the file. The cache opens it again when it is needed."""
        self.flush()
        with self._lock:
            self._forget()

    def _write(self, database: sqlite3.Connection, rows: Sequence[tuple[bytes, bytes, float]]) -> None:
        size, pages, free = (database.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_size", "page_count", "freelist_count"))
        new = sum(len(key) + len(data) for key, data, _ in rows)
        if new > self._most:
            return
        if (pages - free) * size + new > self._most:
            _give_up(database, 1 - max(0.0, _KEPT * self._most - new) / ((pages - free) * size))
        _in_one(database, "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def _try(self, work: Callable[[sqlite3.Connection], Any], *, writing: bool = False) -> Any:
        """Do something with the file; where that fails, return None, and do not try again what cannot succeed."""
        with self._lock:
            if not self._readable:
                return None
            try:
                return work(self._opened())
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    return None  # another process is writing; the next vectors may be luckier
                if writing or self._connection is None:
                    self._writable, self._readable = False, self._connection is not None
                    _log.warning("no vectors are kept between runs: %s (%s)", error, self._place())
            except sqlite3.DatabaseError as error:
                _log.warning("the cached file %s is damaged (%s); it is made again", self._place(), error)
                self._forget()
                with suppress(OSError, SetupError):
                    self._place().unlink(missing_ok=True)
            except (OSError, SetupError) as error:
                self._writable = self._readable = False
                _log.warning("no vectors are kept between runs: %s", error)
            return None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            place = self._place()
            place.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(place, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            try:
                database.execute("PRAGMA synchronous = OFF")  # what a power cut damages is found by its checksum, or by SQLite
                if database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'by_use'").fetchone()[0] == 0:
                    database.executescript(_SCHEMA)
            except sqlite3.Error:
                database.close()
                raise
            self._connection = database
        return self._connection

    def _place(self) -> Path:
        return (self._folder or cache_folder()) / _FILE

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _key(fingerprint: str, content: bytes) -> bytes:
    return blake2b(content, digest_size=16, key=fingerprint.encode()).digest()


def _checksum(key: bytes, data: bytes) -> bytes:
    return blake2b(data, digest_size=_CHECK, key=key).digest()


def _give_up(database: sqlite3.Connection, part: float) -> None:
    """Delete this part of the vectors, those whose last use is longest ago."""
    rows = database.execute("SELECT count(*) FROM vectors").fetchone()[0]
    most = int(rows * min(1.0, part)) + 1
    database.execute("DELETE FROM vectors WHERE rowid IN (SELECT rowid FROM vectors ORDER BY used LIMIT ?)", (most,))


def _in_one(database: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Execute a statement for every row in one transaction."""
    database.execute("BEGIN IMMEDIATE")
    try:
        database.executemany(statement, rows)
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
