"""Changes of tasks: read what came, learn, write; and learn again if another writer was faster.

Nothing is changed in memory. A change is a new row, written in one transaction with its examples and its reply. In: checked requests. Out:
`Reply`s. Called on the thread that learns. Next: `kshot.web.routes`.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kshot.errors import KshotError
from kshot.short_repr import short_repr
from kshot.web.answering import Answering, support_of
from kshot.web.cache import Cached
from kshot.web.limits import Limits
from kshot.web.problems import Problem, busy, no_task, wrong
from kshot.web.sources.source import Learnt, Reader, Source, Support, Vector
from kshot.web.store.arrays import to_bytes
from kshot.web.store.rows import ExampleRow, Once, Reply, StaleError, TaskRow, Write, new_id

_TRIES = 8
"""How often a change is made again because another writer was faster."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Examples with their vectors, and descriptions.

    Attributes:
        classes: The class of each example.
        vectors: The vector of each.
        descriptions: Sentences by class; a class with neither is named here, too.
    """

    classes: Sequence[str]
    vectors: Sequence[Vector]
    descriptions: Mapping[str, Sequence[str]]

    def __repr__(self) -> str:
        return short_repr("Labelled", [f"{len(self.vectors)} examples", f"{len(self.descriptions)} classes"])


Edit = Callable[[TaskRow, list[ExampleRow]], tuple[dict[str, list[str]], list[ExampleRow], Write, int]]
"""A stored task → the descriptions of its classes, its examples, what comes and goes, and the number of the next example."""


class Changes:
    """Makes changes.

    Args:
        answering: Store, cache and sources.
        limits: How much a task may have.
    """

    def __init__(self, answering: Answering, limits: Limits) -> None:
        self._answering, self._limits = answering, limits
        self._store, self._cache = answering.store, answering.cache

    def __repr__(self) -> str:
        return short_repr("Changes", [repr(self._store)])

    def create(self, tenant: str, source: Source, reader: Reader, given: Labelled, once: Once) -> Reply:
        """Make a task.

        Raises:
            Problem: It cannot be learned, or not be written.
        """
        classes = tuple(sorted(given.descriptions))
        place = {name: number for number, name in enumerate(classes)}
        names = [f"e{number}" for number in range(1, len(given.vectors) + 1)]
        described = {name: list(some) for name, some in given.descriptions.items()}
        support = Support(classes, [place[name] for name in given.classes], given.vectors, names, described)
        learnt = self._learnt(source, reader, support)
        rows = [
            ExampleRow(number, name, to_bytes(vector))
            for number, (name, vector) in enumerate(zip(given.classes, given.vectors, strict=True), 1)
        ]
        return self._created(tenant, source, learnt, described, rows, once)

    def take_model(self, tenant: str, source: Source, learnt: Learnt, once: Once) -> Reply:
        """Make a task of a fitted model."""
        model = learnt.state.model  # type: ignore[attr-defined]  # it is a `ModelTask`
        rows = [
            ExampleRow(number, model.classes[label], to_bytes({"x": vector}))
            for number, (label, vector) in enumerate(zip(model.labels.tolist(), model.vectors, strict=True), 1)
        ]
        if len(rows) > self._limits.examples or len(model.classes) > self._limits.classes:
            raise wrong(
                "model",
                f"a model of at most {self._limits.classes:,} classes and {self._limits.examples:,} examples",
                f"{len(model.classes):,} classes and {len(rows):,} examples",
            )
        described = {name: list(model.descriptions.get(name, ())) for name in model.classes}
        return self._created(tenant, source, learnt, described, rows, once)

    def add(self, tenant: str, id: str, given: Labelled, once: Once, version: int | None) -> Reply:
        """Add examples, and descriptions, of one class."""
        name = next(iter(given.descriptions))

        def edit(row: TaskRow, examples: list[ExampleRow]) -> tuple[dict[str, list[str]], list[ExampleRow], Write, int]:
            described = {one: list(row.record["descriptions"].get(one, ())) for one in row.record["classes"]}
            described.setdefault(name, [])
            described[name] += [one for one in given.descriptions[name] if one not in described[name]]
            first = row.next_example
            new = [ExampleRow(first + place, name, to_bytes(vector)) for place, vector in enumerate(given.vectors)]
            if not new and described.get(name) == row.record["descriptions"].get(name):
                raise wrong("examples", "examples or descriptions that the class does not have yet", "none")
            self._check(described, len(examples) + len(new))
            return described, [*examples, *new], Write(added=new), first + len(new)

        return self._changed(tenant, id, edit, once, version)

    def remove_example(self, tenant: str, id: str, number: int, once: Once, version: int | None) -> Reply:
        """Take an example away."""

        def edit(row: TaskRow, examples: list[ExampleRow]) -> tuple[dict[str, list[str]], list[ExampleRow], Write, int]:
            gone = next((one for one in examples if one.number == number), None)
            if gone is None:
                raise Problem(
                    404,
                    f"the task has no example 'e{number}'. GET the task for the ids of its examples.",
                    field="example",
                    expected="the id of an example",
                    found=f"e{number}",
                )
            described = {one: list(row.record["descriptions"].get(one, ())) for one in row.record["classes"]}
            kept = [one for one in examples if one.number != number]
            if not any(one.name == gone.name for one in kept) and not described[gone.name]:
                raise Problem(
                    409,
                    f"'e{number}' is the last example of class {gone.name!r}, and nothing describes the class. Remove the class instead.",
                    field="example",
                    expected="a class with another example, or a description",
                    found="the last one",
                )
            return described, kept, Write(removed=[number]), row.next_example

        return self._changed(tenant, id, edit, once, version)

    def remove_class(self, tenant: str, id: str, name: str, once: Once, version: int | None) -> Reply:
        """Take a class away, with its examples."""

        def edit(row: TaskRow, examples: list[ExampleRow]) -> tuple[dict[str, list[str]], list[ExampleRow], Write, int]:
            classes = row.record["classes"]
            if name not in classes:
                raise Problem(
                    404, f"the task has no class {name!r}.", field="class", expected=f"one of {', '.join(classes[:10])}", found=name
                )
            if len(classes) == 2:
                raise Problem(
                    409,
                    f"class {name!r} cannot be removed: a task tells at least 2 classes apart. Add another first, or delete the task.",
                    field="class",
                    expected="a task of 3 or more classes",
                    found="2",
                )
            described = {one: list(row.record["descriptions"].get(one, ())) for one in classes if one != name}
            gone = [one.number for one in examples if one.name == name]
            return described, [one for one in examples if one.name != name], Write(removed=gone), row.next_example

        return self._changed(tenant, id, edit, once, version)

    def delete(self, tenant: str, id: str, once: Once, version: int | None) -> Reply:
        """Delete a task."""
        try:
            reply = self._store.delete(tenant, id, version, once, Reply(204, "", ""))
        except StaleError:
            there = self._store.versions([id]).get(id)
            raise no_task() if there is None or there[0] != tenant else _changed_meanwhile(version, there[1]) from None
        self._cache.drop(id)
        return reply

    def _created(
        self, tenant: str, source: Source, learnt: Learnt, described: dict[str, list[str]], rows: list[ExampleRow], once: Once
    ) -> Reply:
        now = time.time()
        row = TaskRow(
            new_id(),
            tenant,
            source.kind,
            source.name,
            source.fingerprint,
            1,
            now,
            now,
            len(rows) + 1,
            _record(described, rows, learnt),
            to_bytes(learnt.arrays),
        )
        reply = self._store.create(row, rows, once, _reply(row, 201), self._limits.tasks)
        self._cache.put(row.id, Cached(tenant, 1, source, learnt.state))
        return reply

    def _changed(self, tenant: str, id: str, edit: Edit, once: Once, version: int | None) -> Reply:
        for _ in range(_TRIES):
            if (both := self._store.task_and_examples(tenant, id)) is None:
                raise no_task()
            row, examples = both
            if version is not None and row.version != version:
                if (known := self._store.reply(once)) is not None:  # this very change has been made
                    return known
                raise _changed_meanwhile(version, row.version)
            source: Source = self._answering.source_of(row)
            described, kept, write, following = edit(row, examples)
            record = {**row.record, "classes": sorted(described), "descriptions": described}
            earlier = self._answering.known(tenant, id).state
            support = replace(support_of(replace(row, record=record), kept), earlier=earlier)
            reader = source.reader_of(earlier)
            learnt = self._learnt(source, reader, support)
            new = replace(
                row,
                version=row.version + 1,
                changed=time.time(),
                next_example=following,
                record=_record(described, kept, learnt),
                state=to_bytes(learnt.arrays),
            )
            try:
                reply = self._store.change(new, write, once, _reply(new, 200))
            except StaleError:
                continue
            self._cache.put(id, Cached(tenant, new.version, source, learnt.state))
            return reply
        raise busy("other changes of this task came first, again and again.")

    def _learnt(self, source: Source, reader: Reader, support: Support) -> Learnt:
        if len(support.classes) < 2:
            raise wrong("classes", "2 or more classes: telling classes apart needs two", f"{len(support.classes)}")
        try:
            return source.adapt(support, reader)
        except KshotError as error:
            raise Problem(
                422, str(error), field="classes", expected="examples from which a task can be learned", found=str(error)
            ) from error

    def _check(self, described: Mapping[str, object], examples: int) -> None:
        if len(described) > self._limits.classes:
            raise wrong("class", f"a class of a task of at most {self._limits.classes:,} classes", f"{len(described):,}")
        if examples > self._limits.examples:
            raise wrong("examples", f"at most {self._limits.examples:,} examples per task", f"{examples:,}")


def summary(row: TaskRow) -> dict[str, Any]:
    """Return a task without its examples, as the wire format has it."""
    record = row.record
    return {
        "id": row.id,
        "version": row.version,
        row.kind: row.source,
        "classes": record["counts"],
        "created": moment(row.created),
        "changed": moment(row.changed),
        "notes": record["notes"],
    }


def moment(seconds: float) -> str:
    """Return a time as RFC 3339 has it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def etag_of(version: int) -> str:
    """Return the ETag of a version of a task."""
    return f'"{version}"'


def _record(described: Mapping[str, list[str]], rows: Sequence[ExampleRow], learnt: Learnt) -> dict[str, Any]:
    counts = Counter(one.name for one in rows)
    return {
        "classes": sorted(described),
        "descriptions": dict(described),
        "counts": {name: counts[name] for name in sorted(described)},
        "estimate": learnt.estimate,
        "notes": list(learnt.state.notes),
        "source": dict(learnt.record),
    }


def _reply(row: TaskRow, status: int) -> Reply:
    return Reply(status, etag_of(row.version), json.dumps(summary(row)))


def _changed_meanwhile(wanted: int | None, found: int) -> Problem:
    return Problem(
        412,
        f"the task has changed: If-Match names version {wanted}, and it has {found}. GET it again, and decide anew.",
        field="If-Match",
        expected=etag_of(found),
        found=etag_of(wanted or 0),
    )
