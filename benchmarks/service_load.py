"""A client that costs little, in a process of its own: requests that are bytes already, on connections that stay open.

    open loop     requests leave at a fixed rate, whether answers have come or not; a latency counts from when its request was due
    closed loop   each connection sends its next request when its answer has come; requests per second

In: requests. Out: latencies in seconds, or a rate. Next: `benchmarks.service`.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


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
    found = _elsewhere(_closed_loop, port, list(requests), seconds, connections)
    return len(found) / seconds


def _elsewhere(work: object, *arguments: object) -> list[float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, work, *arguments).result()


def _run(work: object, *arguments: object) -> list[float]:
    return asyncio.run(work(*arguments))  # type: ignore[operator]


async def _open_loop(port: int, requests: list[bytes], rate: float, connections: int) -> list[float]:
    streams: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(connections):
        streams.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    began = time.perf_counter() + 0.1
    latencies: list[float] = []

    async def one(place: int, request: bytes) -> None:
        due = began + place / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        stream = await streams.get()
        await _exchange(stream, request)
        streams.put_nowait(stream)
        latencies.append(time.perf_counter() - due)

    await asyncio.gather(*(one(place, request) for place, request in enumerate(requests)))
    return latencies


async def _closed_loop(port: int, requests: list[bytes], seconds: float, connections: int) -> list[float]:
    end = time.perf_counter() + seconds
    latencies: list[float] = []

    async def one(first: int) -> None:
        stream = await asyncio.open_connection("127.0.0.1", port)
        place = first
        while (now := time.perf_counter()) < end:
            await _exchange(stream, requests[place % len(requests)])
            place += connections
            latencies.append(time.perf_counter() - now)
        stream[1].close()

    await asyncio.gather(*map(one, range(connections)))
    return latencies


async def _exchange(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> bytes:
    reader, writer = stream
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head[:20]:
        raise RuntimeError(f"the server has answered {head[:200]!r}")
    lower = head.lower()
    start = lower.index(b"content-length:") + len(b"content-length:")
    return await reader.readexactly(int(lower[start : lower.index(b"\r\n", start)]))
