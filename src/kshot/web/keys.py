"""API keys: who may ask, by a file that holds no key, only hashes.

A key is 256 random bits, so one round of SHA-256 is as good as many. A check compares with every hash, each in constant time, so that its
duration says nothing. The file is read again when it changes. In: a file. Out: the tenant of a key. Next: `kshot.web.routes`.
"""

import hashlib
import hmac
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

from kshot.atomic import write_json
from kshot.errors import DataError, SavedError
from kshot.regular_file import look, read_json
from kshot.short_repr import short_repr
from kshot.value_types import misfit

PREFIX = "kshot_"
_FORMAT = 1
_MOST_NAME = 200


class _Entry(TypedDict):
    id: str
    tenant: str
    sha256: str
    made: str


class _Content(TypedDict):
    format: int
    keys: list[_Entry]


@dataclass(frozen=True)
class KeyEntry:
    """A key as the file knows it.

    Attributes:
        id: Names the key, so that it can be revoked.
        tenant: Whose it is. A tenant may have several.
        sha256: Its hash.
        made: When it was made.
    """

    id: str
    tenant: str
    sha256: str
    made: str


def read_keys(file: Path) -> list[KeyEntry]:
    """Read a file of keys.

    Raises:
        SavedError: It is missing or damaged.
    """
    try:
        content = read_json(file)
    except FileNotFoundError:
        raise SavedError(f"there is no file of keys {file}. Make a key: kshot keys add {file} NAME") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise SavedError(f"{file} is no file of keys: {reason}. Make a key with kshot keys add.") from error
    if fault := misfit(_Content, content):
        raise SavedError(f"{file} is no file of keys: {fault}. Make a key with kshot keys add.")
    if content["format"] > _FORMAT:
        raise SavedError(f"{file} is of a newer kshot. Update kshot.")
    return [KeyEntry(**one) for one in content["keys"]]


def add_key(file: Path, tenant: str) -> str:
    """Make a key for a tenant, and write its hash; the file is made if it is missing, readable by its owner alone.

    Returns:
        The key. It is nowhere else.

    Raises:
        DataError: The name is empty or too long.
        SavedError: The file is damaged, or cannot be written.
    """
    if not 1 <= len(tenant.strip()) <= _MOST_NAME or not tenant.isprintable():
        raise DataError(f"the name of a tenant has 1 to {_MOST_NAME} printable characters; found {tenant!r}.")
    known = read_keys(file) if look(file, SavedError) != "nothing" else []
    key = PREFIX + secrets.token_urlsafe(32)
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    _write(file, [*known, KeyEntry(secrets.token_hex(4), tenant, _hash(key), made)])
    return key


def revoke_key(file: Path, id: str) -> KeyEntry:
    """Remove a key.

    Raises:
        DataError: There is none with this id.
        SavedError: The file is missing or damaged.
    """
    known = read_keys(file)
    gone = next((one for one in known if one.id == id), None)
    if gone is None:
        raise DataError(f"{file} has no key with the id {id!r}. kshot keys list {file} shows them.")
    _write(file, [one for one in known if one.id != id])
    return gone


class KeyRing:
    """The keys of a file, as long as a server runs.

    Args:
        file: The file.

    Raises:
        SavedError: It is missing or damaged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._state = self._stamp()
        self._keys = read_keys(file)

    def __repr__(self) -> str:
        return short_repr("KeyRing", [f"{len(self._keys)} keys"])

    def tenant(self, key: str) -> str | None:
        """Return whose key it is; None if it is nobody's."""
        self._read_again()
        asked = _hash(key)
        found = None
        for one in self._keys:
            if hmac.compare_digest(one.sha256, asked):
                found = one.tenant
        return found

    def _read_again(self) -> None:
        if (stamp := self._stamp()) == self._state:
            return
        try:
            self._keys = read_keys(self._file)
            self._state = stamp
        except SavedError:  # a file that cannot be read opens no door, and closes none that its owner has not closed
            if stamp is None:
                self._keys = []

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._file)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _write(file: Path, keys: list[KeyEntry]) -> None:
    write_json(file, {"format": _FORMAT, "keys": [asdict(one) for one in keys]})
    file.chmod(0o600)
