"""The protocol of uvicorn, with a deadline for the header of each request: a client that says nothing, or one byte a minute, is let go.

Head and body of an answer are sent together, in one call of the system, which is a tenth of the work of a small answer.

In: a connection. Out: requests. Next: `kshot.web.serve` names it to uvicorn.
"""

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kshot.web.limits import Limits

if TYPE_CHECKING or find_spec("httptools") is None:
    from uvicorn.protocols.http.h11_impl import H11Protocol as Protocol
else:  # it is quicker
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Protocol

KEPT_ALIVE_SECONDS = 30
"""How long a connection without a request is kept."""
_HEADER_SECONDS = Limits().header_seconds


class TimedProtocol(Protocol):
    """A connection that is closed if a header does not come in time."""

    _expecting: asyncio.TimerHandle

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first header."""
        super().connection_made(transport)
        self.transport = _HeadWithBody(transport)  # type: ignore[assignment]  # it does what a transport does
        self._expecting = self.loop.call_later(_HEADER_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._expecting.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Send an answer without a body, which is that to HEAD, and begin to wait for the next header."""
        if isinstance(self.transport, _HeadWithBody):
            self.transport.flush()
        super().on_response_complete()
        self._expecting.cancel()
        self._expecting = self.loop.call_later(KEPT_ALIVE_SECONDS + _HEADER_SECONDS, self._late)

    def _late(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()


class _HeadWithBody:
    """A transport that keeps the head of an answer until its body comes."""

    def __init__(self, transport: Any) -> None:
        self._transport, self._head = transport, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send what was kept and this, or keep this."""
        if not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        self._transport.write(self._head + data if self._head else data)
        self._head = b""

    def flush(self) -> None:
        """Send what was kept."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Send what was kept, and close the connection."""
        self.flush()
        self._transport.close()
