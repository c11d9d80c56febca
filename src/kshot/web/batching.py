"""Micro-batches across users, without a wait: what comes in while the network computes is the next batch.

One thread computes. In: parts, from many requests. Out: their results. Queues are bounded by `Admission`: more is refused at
the door, with the time after which to ask again. Next: `kshot.web.routes`.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from kshot.web.answering import Part
from kshot.web.limits import Limits
from kshot.web.problems import busy

_MOST = 128
"""Items in a batch."""


class Batcher:
    """Collects work, and has it done in batches on one thread.

    Args:
        work: Does a batch; returns a result or an exception for each part.
        seen: Told the number of items of each batch.
    """

    def __init__(self, work: Callable[[Sequence[Part]], list[Any]], seen: Callable[[int], None] = lambda items: None) -> None:
        self._work, self._seen = work, seen
        self._waiting: deque[tuple[Part, asyncio.Future[Any]]] = deque()
        self._thread = ThreadPoolExecutor(1, "network")
        self._running: asyncio.Task[None] | None = None

    async def do(self, one: Part) -> Any:
        """Return the result of one part of a batch, or raise its exception."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next():
            self._seen(sum(one.count for one, _ in batch))
            try:
                results = await loop.run_in_executor(self._thread, self._work, [one for one, _ in batch])
            except Exception as error:
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():  # its request was given up
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    def _next(self) -> list[tuple[Part, asyncio.Future[Any]]]:
        batch: list[tuple[Part, asyncio.Future[Any]]] = []
        items = 0
        while self._waiting and (not batch or items + self._waiting[0][0].count <= _MOST):
            one = self._waiting.popleft()
            if not one[1].done():
                batch.append(one)
                items += one[0].count
        return batch


class Admission:
    """Counts what is being answered, and refuses more than the limits.

    Args:
        limits: The limits.

    Attributes:
        inputs: Inputs that are being answered.
        changes: Writes that are being done.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of_tenant: Counter[str] = Counter()
        self.inputs = self.changes = 0

    @contextmanager
    def question(self, tenant: str, inputs: int) -> Iterator[None]:
        """Count inputs while they are answered.

        Raises:
            Problem: There are too many.
        """
        if self._of_tenant[tenant] and self._of_tenant[tenant] + inputs > self._limits.waiting_of_tenant:
            raise busy(
                f"{self._of_tenant[tenant]:,} inputs of this key are being answered, of at most {self._limits.waiting_of_tenant:,}.",
                429,
            )
        if self.inputs and self.inputs + inputs > self._limits.waiting:
            raise busy(f"{self.inputs:,} inputs are being answered already, of at most {self._limits.waiting:,}.")
        self.inputs += inputs
        self._of_tenant[tenant] += inputs
        try:
            yield
        finally:
            self.inputs -= inputs
            self._of_tenant[tenant] -= inputs
            if not self._of_tenant[tenant]:
                del self._of_tenant[tenant]

    @contextmanager
    def change(self) -> Iterator[None]:
        """Count a write while it is done.

        Raises:
            Problem: There are too many.
        """
        if self.changes >= self._limits.changes:
            raise busy(f"{self.changes:,} changes are being made already, of at most {self._limits.changes:,}.")
        self.changes += 1
        try:
            yield
        finally:
            self.changes -= 1
