"""What a server consists of, put together: store, cache, sources, threads and queues; and the flow of a request through them.

    predict   read on the readers → a micro-batch on the network's thread
    write     read on the readers → vectors in a micro-batch → learned and written on the learner's thread

The event loop itself decodes nothing, computes nothing and waits for no disk. In: checked requests. Out: predictions and replies. Next:
`kshot.web.routes`.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kshot.data.reading import cores
from kshot.errors import DataError, KshotError
from kshot.short_repr import short_repr
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.labels.suggest import Ranking
from kshot.web.answering import Answered, Answering, Ask, Encode, Part
from kshot.web.batching import Admission, Batcher
from kshot.web.cache import Cached, StateCache
from kshot.web.changes import Changes, Labelled
from kshot.web.fitted import model_of, suggestions
from kshot.web.keys import KeyRing
from kshot.web.limits import Limits
from kshot.web.metrics import Metrics
from kshot.web.model_archive import archive_of
from kshot.web.problems import Problem, busy, wrong
from kshot.web.sources.encoder_source import learnt_model
from kshot.web.sources.source import Reader, Source
from kshot.web.sources.table import Sources
from kshot.web.store.rows import Once, Reply
from kshot.web.store.store import Store
from kshot.web.things import SlowError, Thing, kind_of, thing_of
from kshot.web.wire import Example, MoreExamples, NewTask, Question, Unlabelled

Result = TypeVar("Result")
Placed = Sequence[tuple[str, Example]]
"""Examples with their places in the request, such as `classes.a[0]`."""


_QUICK_CHARACTERS, _QUICK_PIXELS = 2**16, 2**16
"""What is read on the thread of the network itself: things of at most so many characters together, pictures of at most so many pixels."""


class Service:
    """A server without its routes.

    Args:
        store: Where tasks are.
        sources: What they are made with.
        keys: The file of keys; None: everybody on this machine may ask.
        limits: How much there may be of everything.
    """

    def __init__(self, store: Store, sources: Sources, *, keys: Path | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.store, self.sources = store, sources
        self.keys = None if keys is None else KeyRing(keys)
        self.metrics = Metrics()
        self.cache = StateCache(self.limits.cache_bytes)
        self.answering = Answering(store, self.cache, sources)
        self.changes = Changes(self.answering, self.limits)
        self.admission = Admission(self.limits)
        self.batcher = Batcher(self.answering, self.metrics.batches.observe)
        self._readers = ThreadPoolExecutor(max(2, cores()), "reader")
        self._learner = ThreadPoolExecutor(1, "learner")
        self._disk = ThreadPoolExecutor(4, "disk")
        self._openers = ThreadPoolExecutor(4, "opener")
        self._opening: dict[tuple[str, str], asyncio.Future[Source]] = {}
        self.ready = False

    def __repr__(self) -> str:
        return short_repr("Service", [repr(self.store), repr(self.sources)])

    def close(self) -> None:
        """End the threads, each after what it does now, and close the store."""
        self.batcher.close()
        for pool in (self._readers, self._learner, self._disk, self._openers):
            pool.shutdown(wait=True, cancel_futures=True)
        self.store.close()

    async def disk(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Return what a function of the store returns, which is called on a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)

    async def predict(self, tenant: str, id: str, question: Question) -> Answered:
        """Answer a question.

        Raises:
            Problem: There is no such task, an input cannot be read, or the task cannot promise what is asked.
        """
        self._check_count("inputs", question.inputs)
        asked, placed = Asked(question.coverage, question.unknown), _placed("inputs", question.inputs)
        field = "coverage" if question.coverage is not None else "inputs"
        with self.admission.question(tenant, len(placed)):
            if sum(len(one.image or one.text or "") for one in question.inputs) <= _QUICK_CHARACTERS:
                try:
                    return await self._in_batch(Ask(tenant, id, asked, len(placed), partial(self._quick, placed)), field)  # type: ignore[no-any-return]
                except SlowError:
                    pass  # large pictures in small files
            reader, items = await self._read(self._of_task(tenant, id, placed))
            return await self._in_batch(Ask(tenant, id, asked, len(placed), lambda task: (reader, items)), field)  # type: ignore[no-any-return]

    async def suggest(self, tenant: str, id: str, unlabelled: Unlabelled) -> tuple[Ranking, int]:
        """Return what to label next, and the version of the task that says so. Errors are those of `predict`."""
        self._check_count("inputs", unlabelled.inputs)
        with self.admission.question(tenant, len(unlabelled.inputs)):
            reader, items = await self._read(self._of_task(tenant, id, _placed("inputs", unlabelled.inputs)))
            vectors = await self._in_batch(Encode(reader, items), "inputs")
            return await self._learn(suggestions, self.answering, tenant, id, vectors, unlabelled.count)

    async def download(self, tenant: str, id: str) -> tuple[bytes, int]:
        """Return a task as the zip of a fitted model, and its version.

        Raises:
            Problem: There is no such task, or it is no such model.
        """

        def work() -> tuple[bytes, int]:
            model, version = model_of(self.answering, tenant, id)
            return archive_of(model), version

        with self.admission.change():
            return await self._learn(work)

    async def create(self, tenant: str, task: NewTask, once: Once) -> Reply:
        """Make a task.

        Raises:
            Problem: It has no source of that name, an example cannot be read, or no task can be learned from the examples.
        """
        if task.model is not None:
            return await self._of_model(tenant, task, once)
        kind, name = ("learner", task.learner) if task.learner is not None else ("encoder", task.encoder)
        placed = [(f"classes.{label}[{place}]", one) for label, some in task.classes.items() for place, one in enumerate(some.examples)]
        labels = [label for label, some in task.classes.items() for _ in some.examples]
        if len(task.classes) < 2:
            raise wrong("classes", "2 or more classes: telling classes apart needs two", f"{len(task.classes)}")

        def read(found: Source) -> tuple[Reader, list[Any]]:
            things = _things(placed, found.takes, self.limits)
            try:
                reader = found.reader_for(things)
            except DataError as error:
                raise Problem(422, str(error), field="classes", expected="rows with the same columns", found=str(error)) from error
            return reader, _items(reader, placed, things)

        with self.admission.change():
            found = await self._opened(kind, str(name))
            reader, items = await self._read(partial(read, found))
            vectors = await self._in_batch(Encode(reader, items), "classes") if items else []
            given = Labelled(labels, vectors, {label: some.descriptions for label, some in task.classes.items()})
            return await self._learn(self.changes.create, tenant, found, reader, given, once)

    async def add(self, tenant: str, id: str, more: MoreExamples, once: Once, version: int | None) -> Reply:
        """Add examples to a task. Errors are those of `create`; a `Problem`, too, if there is no such task."""
        with self.admission.change():
            reader, items = await self._read(self._of_task(tenant, id, _placed("examples", more.examples)))
            vectors = await self._in_batch(Encode(reader, items), "examples") if items else []
            given = Labelled([more.name] * len(vectors), vectors, {more.name: more.descriptions})
            return await self._learn(self.changes.add, tenant, id, given, once, version)

    async def change(self, work: Callable[..., Reply], *arguments: Any) -> Reply:
        """Make a change that reads nothing."""
        with self.admission.change():
            return await self._learn(work, *arguments)

    async def take_model(self, tenant: str, model: Any, once: Once) -> Reply:
        """Make a task of an uploaded model.

        Raises:
            Problem: The server does not have its encoder.
        """

        def work() -> Reply:
            try:
                source = self.sources.source_of(model)
            except KshotError as error:
                raise Problem(
                    422, str(error), field="model", expected="a model whose encoder this server has", found=model.encoder.name
                ) from error
            return self.changes.take_model(tenant, source, learnt_model(model), once)

        with self.admission.change():
            return await self._learn(work)

    async def _of_model(self, tenant: str, task: NewTask, once: Once) -> Reply:
        if task.classes:
            raise wrong("classes", "left out: a fitted model has its classes", f"{len(task.classes)} classes")
        try:
            model = self.sources.model(str(task.model))
        except KshotError as error:
            raise Problem(422, str(error), field="model", expected="a name that GET /v1/learners lists", found=str(task.model)) from error
        return await self.take_model(tenant, model, once)

    def _quick(self, placed: Placed, task: Cached) -> tuple[Reader, list[Any]]:
        """Read things on the thread of the network, which saves two changes of threads, unless that would hold up others."""
        things = _things(placed, task.source.takes, self.limits, pixels=_QUICK_PIXELS)
        reader = task.source.reader_of(task.state)
        return reader, _items(reader, placed, things)

    def _of_task(self, tenant: str, id: str, placed: Placed) -> Callable[[], tuple[Reader, list[Any]]]:
        def work() -> tuple[Reader, list[Any]]:
            task = self.answering.known(tenant, id)
            reader = task.source.reader_of(task.state)
            return reader, _items(reader, placed, _things(placed, task.source.takes, self.limits))

        return work

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def _opened(self, kind: str, name: str) -> Source:
        """Return a source, opened at its first use.

        That may take minutes where an encoder must be written as a network, so whoever waits too long is told to come again. The work goes
        on, once for all who wait.
        """
        if (there := self.sources.opened(kind, name)) is not None:
            return there
        if (opening := self._opening.get((kind, name))) is None:
            opening = asyncio.get_running_loop().run_in_executor(self._openers, self.sources.source, kind, name)
            self._opening[kind, name] = opening
            opening.add_done_callback(lambda done: self._told(kind, name, done))
        try:
            async with asyncio.timeout(self.limits.opening_seconds):
                return await asyncio.shield(opening)
        except TimeoutError:
            raise busy(f"the {kind} {name!r} is being opened for the first time, which goes on.", seconds=10) from None
        except KshotError as error:
            raise Problem(
                422, str(error), field=kind, expected=f"a name that GET /v1/learners lists with the kind {kind}", found=name
            ) from error

    def _told(self, kind: str, name: str, opened: "asyncio.Future[Source]") -> None:
        self._opening.pop((kind, name), None)
        if not opened.cancelled():
            opened.exception()  # told to those who wait; the next one tries anew

    async def _in_batch(self, one: Part, field: str) -> Any:
        try:
            return await self.batcher.do(one)
        except KshotError as error:
            raise Problem(422, str(error), field=field, expected="what the task can answer", found=str(error)) from error

    async def _learn(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._learner, work, *arguments)

    def _check_count(self, field: str, inputs: Sequence[object]) -> None:
        if len(inputs) > self.limits.inputs:
            raise wrong(field, f"at most {self.limits.inputs:,} inputs per request", f"{len(inputs):,}")


def _placed(field: str, examples: Sequence[Example]) -> Placed:
    return [(f"{field}[{place}]", one) for place, one in enumerate(examples)]


def _things(placed: Placed, takes: str, limits: Limits, *, pixels: int | None = None) -> list[Thing]:
    found = []
    for place, example in placed:
        thing = thing_of(example, place, limits, pixels=pixels)
        if (kind := kind_of(thing)) != takes:
            raise wrong(place, f'{{"{takes}": …}}: that is what this task reads', f'{{"{kind}": …}}')
        found.append(thing)
    return found


def _items(reader: Reader, placed: Placed, things: Sequence[Thing]) -> list[Any]:
    items = []
    for (place, _), thing in zip(placed, things, strict=True):
        try:
            items.append(reader.read(thing))
        except DataError as error:
            raise Problem(
                422, f"{place} cannot be read: {error}", field=place, expected="a thing that can be read", found=str(error)
            ) from error
    return items
