"""Micro-batches across users, without a wait: what comes in while the network computes is the next batch.

One thread computes. In: parts, from many requests. Out: their results. Queues are bounded by `Admission`: more is refused at
the door, with the time after which to ask again. Next: `kshot.web.routes`.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

from kshot.web.answering import Part
from kshot.web.limits import Limits
from kshot.web.problems import busy

_MOST = 128
"""Items in a batch."""
_Asked = tuple[Part, asyncio.Future[Any]]


class Batcher:
    """Collects work, and has it done in batches on one thread.

    Args:
        work: Does a batch; returns a result or an exception for each part.
        seen: Told the number of items of each batch.
    """

    def __init__(self, work: Callable[[Sequence[Part]], list[Any]], seen: Callable[[int], None] = lambda items: None) -> None:
        self._work, self._seen = work, seen
        self._waiting: deque[_Asked] = deque()
        self._batches: SimpleQueue[tuple[asyncio.AbstractEventLoop, list[_Asked]] | None] = SimpleQueue()
        self._running = False
        self._thread = Thread(target=self._compute, name="network", daemon=True)
        self._thread.start()

    async def do(self, one: Part) -> Any:
        """Return the result of one part of a batch, or raise its exception."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((one, future))
        if not self._running:
            self._start(loop)
        return await future

    def close(self) -> None:
        """End the thread, after the batch that it does now."""
        self._batches.put(None)
        self._thread.join()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand the next batch to the thread, if anything waits."""
        batch = self._next()
        self._running = bool(batch)
        if batch:
            self._seen(sum(one.count for one, _ in batch))
            self._batches.put((loop, batch))

    def _compute(self) -> None:
        """Do batches, one after another. A queue and one call of the event loop cost a third of what an executor does per batch."""
        while (given := self._batches.get()) is not None:
            loop, batch = given
            try:
                results = self._work([one for one, _ in batch])
            except Exception as error:
                results = [error] * len(batch)
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(self._done, loop, batch, results)

    def _done(self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Asked], results: Sequence[Any]) -> None:
        """Begin the next batch, then tell the results: the thread computes while answers are written."""
        self._start(loop)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():  # its request was given up
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _next(self) -> list[_Asked]:
        batch: list[_Asked] = []
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
