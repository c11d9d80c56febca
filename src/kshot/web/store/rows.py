"""Rows as they are read and written: tasks, examples, and the replies to writes. Next: `kshot.web.store.store`."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kshot.short_repr import short_repr


class StaleError(Exception):
    """Another writer has changed the task, or it is gone."""


@dataclass(frozen=True, eq=False)
class TaskRow:
    """A task as it is stored. Attributes are the columns of `TASKS`; `record` is JSON, and `state` the arrays as bytes."""

    id: str
    tenant: str
    kind: str
    source: str
    fingerprint: str
    version: int
    created: float
    changed: float
    next_example: int
    record: Mapping[str, Any]
    state: bytes = b""

    def __repr__(self) -> str:
        """Return the id, the version and what it is made with."""
        return short_repr("TaskRow", [repr(self.id), f"version={self.version}", f"{self.kind}={self.source!r}", f"{len(self.state)} bytes"])


@dataclass(frozen=True, eq=False)
class ExampleRow:
    """An example as it is stored."""

    number: int
    name: str
    vector: bytes


@dataclass(frozen=True)
class Reply:
    """What a write is answered.

    Attributes:
        status: The code.
        etag: The ETag.
        body: JSON.
    """

    status: int
    etag: str
    body: str


@dataclass(frozen=True)
class Once:
    """The Idempotency-Key of a write; without a key, nothing is remembered.

    Attributes:
        tenant: Whose it is.
        key: The key.
        digest: Of the request.
    """

    tenant: str
    key: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Write:
    """The examples that come and go with a change of a task."""

    added: Sequence[ExampleRow] = ()
    removed: Sequence[int] = field(default_factory=tuple)


def new_id() -> str:
    """Return the id of a new task: 128 random bits."""
    return secrets.token_urlsafe(16)
