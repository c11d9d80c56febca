"""A client that costs little, in a process of its own: requests that are bytes already, on connections that stay open.

    open loop     requests leave at a fixed rate, whether answers have come or not; a latency counts from when its request was due
    closed loop   each connection sends its next request when its answer has come; requests per second
    in turn       one request after another, on one connection

It shares the cores with the server that it measures, so it is sockets and `select` alone. Every server is asked by this same client.
In: requests. Out: latencies in seconds, or a rate. Next: `benchmarks.service`.
"""

import json
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

_PATIENCE_SECONDS = 60


class Link:
    """A connection that stays open, with one request at a time.

    Attributes:
        began: When its request was due.
    """

    def __init__(self, port: int) -> None:
        self.began = 0.0
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""

    def fileno(self) -> int:
        """Return what `select` watches."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, request: bytes, began: float) -> None:
        """Send a request that was due at a time."""
        self.began, self._data = began, b""
        self._socket.sendall(request)

    def received(self) -> bytes | None:
        """Return the body of the answer if all of it has come.

        Raises:
            RuntimeError: The answer is a refusal, or the server has closed the connection.
        """
        more = self._socket.recv(65536)
        if not more:
            raise RuntimeError(f"the server has closed the connection after {self._data[:200]!r}")
        self._data += more
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return None
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise RuntimeError(f"the server has answered {self._data[:400]!r}")
        lower = head.lower()
        start = lower.index(b"content-length:") + len(b"content-length:")
        return body if len(body) >= int(lower[start:].partition(b"\r\n")[0]) else None

    def ask(self, request: bytes) -> bytes:
        """Send a request; return the body of its answer."""
        self.send(request, time.perf_counter())
        while (body := self.received()) is None:
            pass
        return body


def request_of(path: str, body: object, host: str) -> bytes:
    """Return a POST as bytes."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def open_loop(port: int, requests: Sequence[bytes], rate: float, connections: int = 32) -> list[float]:
    """Send each request once, `rate` of them per second; return the latencies."""
    return _elsewhere(_open_loop, port, list(requests), rate, connections)


def closed_loop(port: int, requests: Sequence[bytes], seconds: float, connections: int = 32) -> float:
    """Send requests for some seconds as fast as answers come; return the rate."""
    return len(_elsewhere(_closed_loop, port, list(requests), seconds, connections)) / seconds


def in_turn(port: int, requests: Sequence[bytes]) -> list[float]:
    """Send one request after another; return the latencies."""
    return _elsewhere(_in_turn, port, list(requests))


def _elsewhere(work: Callable[..., list[float]], *arguments: object) -> list[float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _open_loop(port: int, requests: list[bytes], rate: float, connections: int) -> list[float]:
    free = [Link(port) for _ in range(connections)]
    busy: list[Link] = []
    due: deque[tuple[float, bytes]] = deque()
    latencies: list[float] = []
    began, sent = time.perf_counter() + 0.1, 0
    while len(latencies) < len(requests):
        now = time.perf_counter()
        while sent < len(requests) and began + sent / rate <= now:
            due.append((began + sent / rate, requests[sent]))
            sent += 1
        while due and free:
            when, request = due.popleft()
            link = free.pop()
            link.send(request, when)
            busy.append(link)
        wait = max(0.0, began + sent / rate - time.perf_counter()) if sent < len(requests) else _PATIENCE_SECONDS
        for link in select.select(busy, [], [], wait)[0]:
            if link.received() is not None:
                latencies.append(time.perf_counter() - link.began)
                busy.remove(link)
                free.append(link)
    for link in free:
        link.close()
    return latencies


def _closed_loop(port: int, requests: list[bytes], seconds: float, connections: int) -> list[float]:
    links = [Link(port) for _ in range(connections)]
    latencies: list[float] = []
    sent = 0
    end = time.perf_counter() + seconds
    for link in links:
        link.send(requests[sent % len(requests)], time.perf_counter())
        sent += 1
    while (now := time.perf_counter()) < end:
        for link in select.select(links, [], [], end - now)[0]:
            if link.received() is not None:
                now = time.perf_counter()
                latencies.append(now - link.began)
                link.send(requests[sent % len(requests)], now)
                sent += 1
    for link in links:
        link.close()
    return latencies


def _in_turn(port: int, requests: list[bytes]) -> list[float]:
    link = Link(port)
    latencies = []
    for request in requests:
        began = time.perf_counter()
        link.ask(request)
        latencies.append(time.perf_counter() - began)
    link.close()
    return latencies
