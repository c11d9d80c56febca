"""A micro-batch: what several users ask of their tasks, answered together.

    versions of all tasks in one query → states from the cache, or read again → one pass of each network → one product per learner

Called on one thread, with what has come in while the last batch was answered. In: `Ask`s. Out: for each, its predictions and the version
that answered; or the error. Next: `kshot.web.batching` calls it.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kshot.errors import DataError, KshotError
from kshot.short_repr import short_repr
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.prediction import Prediction
from kshot.web.cache import Cached, StateCache
from kshot.web.problems import Problem, no_task
from kshot.web.sources.source import Reader, Support, Vector, Wanted
from kshot.web.sources.table import Sources
from kshot.web.store.arrays import from_bytes
from kshot.web.store.rows import ExampleRow, TaskRow
from kshot.web.store.store import Store

_AT_ONCE = 64
"""Items in one pass of a network."""


@dataclass(frozen=True, eq=False)
class Encode:
    """Items to be turned into vectors.

    Attributes:
        reader: What has read them.
        items: The items.
    """

    reader: Reader
    items: Sequence[Any]

    def __repr__(self) -> str:
        return short_repr("Encode", [f"{len(self.items)} items"])

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.items)


@dataclass(frozen=True, eq=False)
class Ask:
    """Things about which a task is asked.

    Attributes:
        tenant: Who asks.
        id: The task.
        asked: The coverage of sets and the rate of false alarms.
        count: How many things there are.
        read: Reads them for the task; called by the batch, so it is quick, or has been done already.
    """

    tenant: str
    id: str
    asked: Asked
    count: int
    read: Callable[[Cached], tuple[Reader, Sequence[Any]]]

    def __repr__(self) -> str:
        return short_repr("Ask", [f"{self.count} things"])


Part = Encode | Ask
"""A part of a batch."""


@dataclass(frozen=True, eq=False)
class Answered:
    """The answer to an `Ask`.

    Attributes:
        predictions: One per item.
        version: Of the task that answered.
        state: The task that answered.
    """

    predictions: Sequence[Prediction]
    version: int
    state: Any

    def __repr__(self) -> str:
        return short_repr("Answered", [f"{len(self.predictions)} predictions", f"version={self.version}"])


class Answering:
    """Answers micro-batches.

    Args:
        store: Where tasks are.
        cache: Those in memory.
        sources: What they are made with.
    """

    def __init__(self, store: Store, cache: StateCache, sources: Sources) -> None:
        self.store, self.cache, self.sources = store, cache, sources

    def __repr__(self) -> str:
        return short_repr("Answering", [repr(self.store), repr(self.cache)])

    def known(self, tenant: str, id: str) -> Cached:
        """Return a task, perhaps of an earlier version.

        Raises:
            Problem: The tenant has no such task, or what it was made with is not here any more.
        """
        found = self.cache.get(id)
        if found is None:
            return self.load(tenant, id)
        if found.tenant != tenant:
            raise no_task()
        return found

    def load(self, tenant: str, id: str) -> Cached:
        """Read a task from the store. Errors are those of `known`."""
        if (row := self.store.task(tenant, id)) is None:
            self.cache.drop(id)
            raise no_task()
        source = self.source_of(row)
        record = {**row.record["source"], "classes": row.record["classes"]}
        state = source.restore(record, from_bytes(row.state))
        if state is None:
            if (both := self.store.task_and_examples(tenant, id)) is None:
                raise no_task()
            row, examples = both
            support = support_of(row, examples)
            state = source.adapt(support, source.reader_for([])).state
        found = Cached(tenant, row.version, source, state)
        self.cache.put(id, found)
        return found

    def source_of(self, row: TaskRow) -> Any:
        """Return what a task was made with.

        Raises:
            Problem: It is not here any more, or has changed.
        """
        try:
            source = self.sources.source(row.kind, row.source)
        except KshotError as error:
            raise Problem(
                409, f"the task was made with the {row.kind} {row.source!r}: {error}", field="task", expected=row.source
            ) from error
        if source.fingerprint != row.fingerprint:
            raise Problem(
                409,
                f"the {row.kind} {row.source!r} has changed since the task was made, so its vectors mean nothing. Make the task again.",
                field="task",
                expected=row.fingerprint,
                found=source.fingerprint,
            )
        return source

    def __call__(self, batch: Sequence[Part]) -> list[list[Vector] | Answered | Exception]:
        """Answer a batch: vectors for each `Encode`, an `Answered` for each `Ask`, an error where there is none."""
        results: list[Any] = [None] * len(batch)
        tasks = self._tasks(batch, results)
        vectors = _vectors(_read(batch, tasks, results), results)
        by_source: dict[int, list[int]] = defaultdict(list)
        for place, found in vectors.items():
            if place in tasks:
                by_source[id(tasks[place].source)].append(place)
            else:
                results[place] = found
        for places in by_source.values():
            wanted = [Wanted(tasks[place].state, vectors[place], batch[place].asked) for place in places]  # type: ignore[union-attr]  # an `Ask`
            try:
                answers = tasks[places[0]].source.answer(wanted)
            except KshotError as error:
                answers = [error] * len(places)
            for place, some in zip(places, answers, strict=True):
                task = tasks[place]
                results[place] = some if isinstance(some, KshotError) else Answered(some, task.version, task.state)
        return results

    def _tasks(self, batch: Sequence[Part], results: list[Any]) -> dict[int, Cached]:
        """Return the task of each `Ask`, of the version that the store has now."""
        asks = [(place, one) for place, one in enumerate(batch) if isinstance(one, Ask)]
        versions = self.store.versions({one.id for _, one in asks}) if asks else {}
        found: dict[int, Cached] = {}
        for place, one in asks:
            task = self.cache.get(one.id)
            if task is not None and versions.get(one.id) == (one.tenant, task.version) and task.tenant == one.tenant:
                found[place] = task
                continue
            try:
                found[place] = self.load(one.tenant, one.id)
            except (Problem, KshotError) as error:
                results[place] = error
        return found


def _read(batch: Sequence[Part], tasks: Mapping[int, Cached], results: list[Any]) -> dict[int, Encode]:
    """Return what is to be encoded for each part that has no result yet."""
    found: dict[int, Encode] = {}
    for place, one in enumerate(batch):
        if results[place] is not None:
            continue
        if isinstance(one, Encode):
            found[place] = one
            continue
        try:
            found[place] = Encode(*one.read(tasks[place]))
        except Exception as error:  # of this part alone: the others go on
            results[place] = error
    return found


def _vectors(parts: Mapping[int, Encode], results: list[Any]) -> dict[int, list[Vector]]:
    """Return the vectors of each part: one pass for all parts of one reader."""
    found: dict[int, list[Vector]] = {}
    by_reader: dict[Reader, list[int]] = defaultdict(list)
    for place, one in parts.items():
        by_reader[one.reader].append(place)
    for reader, places in by_reader.items():
        items = [item for place in places for item in parts[place].items]
        try:
            vectors = _encoded(reader.vectors, items)
            for place in places:
                count = parts[place].count
                found[place], vectors = vectors[:count], vectors[count:]
        except DataError:  # one of them has another shape, or gives no finite numbers: each alone
            for place in places:
                try:
                    found[place] = _encoded(reader.vectors, parts[place].items)
                except DataError as error:
                    results[place] = error
    return found


def support_of(row: TaskRow, examples: Sequence[ExampleRow]) -> Support:
    """Return what a stored task was learned from."""
    classes = tuple(row.record["classes"])
    place = {name: number for number, name in enumerate(classes)}
    return Support(
        classes,
        [place[one.name] for one in examples],
        [from_bytes(one.vector) for one in examples],
        [f"e{one.number}" for one in examples],
        row.record["descriptions"],
    )


def _encoded(vectors: Callable[[Sequence[Any]], list[Vector]], items: Sequence[Any]) -> list[Vector]:
    return [vector for start in range(0, len(items), _AT_ONCE) for vector in vectors(items[start : start + _AT_ONCE])]
