"""Adapted tasks in memory, bounded by bytes: what was used longest ago goes first.

An entry says which version it is of. Whoever answers with it compares that with the store first, so an entry may be old and never wrong.
In: adapted states. Out: the same. Next: `kshot.web.answering`.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from kshot.short_repr import short_repr
from kshot.web.sources.source import Source


@dataclass(frozen=True, eq=False)
class Cached:
    """A task in memory.

    Attributes:
        tenant: Whose it is.
        version: Of which version it is.
        source: What it was made with.
        state: Its adapted state.
    """

    tenant: str
    version: int
    source: Source
    state: Any

    def __repr__(self) -> str:
        return short_repr("Cached", [f"version={self.version}", repr(self.state)])


class StateCache:
    """Tasks in memory.

    Args:
        most: Bytes that they may take together. A single task that is larger is kept alone.

    Attributes:
        bytes: What they take now.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[str, tuple[Cached, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    def __repr__(self) -> str:
        return short_repr("StateCache", [f"{len(self._held)} tasks", f"{self.bytes} of {self._most} bytes"])

    def __len__(self) -> int:
        return len(self._held)

    def get(self, id: str) -> Cached | None:
        """Return a task, if it is here."""
        with self._lock:
            if (found := self._held.get(id)) is None:
                return None
            self._held.move_to_end(id)
            return found[0]

    def put(self, id: str, cached: Cached) -> None:
        """Keep a task, unless a later version of it is here."""
        size = int(cached.state.bytes) + 500
        with self._lock:
            if (there := self._held.get(id)) is not None:
                if there[0].version > cached.version:
                    return
                self._drop(id)
            self._held[id] = (cached, size)
            self.bytes += size
            while self.bytes > self._most and len(self._held) > 1:
                self._drop(next(iter(self._held)))

    def drop(self, id: str) -> None:
        """Forget a task."""
        with self._lock:
            if id in self._held:
                self._drop(id)

    def _drop(self, id: str) -> None:
        self.bytes -= self._held.pop(id)[1]
