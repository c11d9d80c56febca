"""The outermost layer: every request gets an id, a limit, a deadline, a count and a line in the log; every error becomes a problem.

The log is one JSON object per line, and holds nothing that a user has sent: no path, no body, no key; a route, a status and a duration. In:
ASGI. Out: ASGI. Next: `kshot.web.app`, which wraps its routes with this.
"""

import asyncio
import json
import logging
import random
import re
import sys
import time
import traceback
from collections.abc import Collection

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kshot.web.limits import Limits
from kshot.web.metrics import Metrics
from kshot.web.problems import Problem, answer_of, busy

LOG = logging.getLogger("kshot.web")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_LINE = '{"event": "request", "request": "%s", "method": "%s", "route": "%s", "status": %d, "ms": %.2f}'
"""The line of a request: nothing in it needs to be quoted. The thread that writes the log puts it together."""
Headers = dict[bytes, bytes]
_MOST_BODIES = 8
"""How many bodies of the largest size may be on their way at once."""


class Edge:
    """The outermost layer.

    Args:
        app: What is inside.
        limits: The limits.
        metrics: What is counted.
        local: Whether only this machine is served, without keys: names of other machines in `Host` are then refused, so that no web page
            elsewhere can ask through a user's browser.
    """

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, *, local: bool) -> None:
        self._app, self._limits, self._metrics, self._local = app, limits, metrics, local
        self._body_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers: Headers = dict(scope["headers"])
        given = _text(headers, b"x-request-id")
        request_id = given if _ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *_ALWAYS]
            await send(message)

        body = _Body(receive, self._limits)
        problem: Problem | None = None
        try:
            self._check(headers)
            async with asyncio.timeout(self._limits.request_seconds):
                with self._room(headers):
                    await self._app(scope, body, sending)
        except ClientDisconnect:
            status = status or 499
        except Problem as error:
            problem = error
        except TimeoutError:
            problem = busy(f"the answer was not ready within {self._limits.request_seconds:g} s.")
        except Exception:
            LOG.error(json.dumps({"event": "bug", "request": request_id, "trace": _places()}))
            problem = Problem(500, "the service has a bug here; its log says more under the id of this request.")
        if problem is not None and not status:
            await answer_of(problem, {"Connection": "close"} if not body.whole else {})(scope, receive, sending)
        route = str(scope.get("route_path") or getattr(scope.get("route"), "path", "none"))
        seconds = time.perf_counter() - began
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.answered(method, route, status, seconds)
        if LOG.isEnabledFor(logging.INFO):
            LOG.info(_LINE, request_id, method, route, status, 1000 * seconds)

    def _check(self, headers: Headers) -> None:
        if self._local:
            host, origin = _text(headers, b"host"), _text(headers, b"origin")
            if not _LOCAL.fullmatch(host):
                raise Problem(
                    421,
                    "without keys, this machine alone is served. Start the server with --keys to serve others.",
                    field="Host",
                    expected="localhost or 127.0.0.1",
                    found=host,
                )
            if origin and origin.partition("://")[2].lower() != host.lower():
                raise Problem(
                    403,
                    "a page of another site asks. Use the page of this server.",
                    field="Origin",
                    expected=f"http://{host}",
                    found=origin,
                )
        length = _text(headers, b"content-length")
        if length.isdecimal() and int(length) > self._limits.body_bytes:
            raise _too_large(self._limits, f"{int(length[:18]):,} bytes")

    def _room(self, headers: Headers) -> "_Room":
        length = _text(headers, b"content-length")
        chunked = b"transfer-encoding" in headers
        size = self._limits.body_bytes if chunked else int(length) if length.isdecimal() else 0
        if self._body_bytes and self._body_bytes + size > _MOST_BODIES * self._limits.body_bytes:
            raise busy("too many large requests are on their way.")
        return _Room(self, size)

    def taken(self, size: int) -> None:
        """Count bytes of bodies that are on their way."""
        self._body_bytes += size


class _Room:
    def __init__(self, edge: Edge, size: int) -> None:
        self._edge, self._size = edge, size

    def __enter__(self) -> None:
        self._edge.taken(self._size)

    def __exit__(self, *error: object) -> None:
        self._edge.taken(-self._size)


class _Body:
    """Receives the body of a request, and no more of it than the limit, no slower than the limit.

    Attributes:
        whole: Whether its end has come.
    """

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self._bytes = 0
        self._end: float | None = None
        self.whole = False

    async def __call__(self) -> Message:
        if self.whole:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._end = self._end or now + self._limits.body_seconds
        try:
            async with asyncio.timeout_at(self._end):
                message = await self._receive()
        except TimeoutError:
            raise Problem(
                408,
                f"the body of the request did not come within {self._limits.body_seconds:g} s. Send it again, faster.",
                field="body",
                expected=f"all of it within {self._limits.body_seconds:g} s",
                found=f"{self._bytes:,} bytes",
            ) from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            if self._bytes > self._limits.body_bytes:
                raise _too_large(self._limits, f"more than {self._limits.body_bytes:,} bytes")
            self.whole = not message.get("more_body", False)
        return message


_METHODS: Collection[str] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ALWAYS: list[tuple[bytes, bytes]] = [(b"x-content-type-options", b"nosniff")]


def _text(headers: Headers, name: bytes) -> str:
    """Return the value of a header, or the empty text."""
    return headers.get(name, b"").decode("latin-1")


def _too_large(limits: Limits, found: str) -> Problem:
    return Problem(
        413,
        f"the body of a request may have {limits.body_bytes:,} bytes; found {found}. Send less at once.",
        field="body",
        expected=f"at most {limits.body_bytes:,} bytes",
        found=found,
    )


def _places() -> list[str]:
    """Return where a bug is, without the message of the exception, which may hold what a user has sent."""
    kind, _, trace = sys.exc_info()
    return [kind.__name__ if kind else "", *[f"{place.filename}:{place.lineno} {place.name}" for place in traceback.extract_tb(trace)]]
