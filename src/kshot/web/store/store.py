"""Reading and writing tasks: each write is one transaction, which holds the examples, the adapted state and the reply together.

A writer says which version it has read. If another one was faster, nothing is written and `StaleError` is raised, so that no half of a
change is ever seen. In: an `Engine`. Out: rows. Next: `kshot.web.changes`, `kshot.web.answering`.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError

from kshot.short_repr import short_repr
from kshot.web.problems import Problem, busy
from kshot.web.store.engine import WRITES, driver_connection
from kshot.web.store.rows import ExampleRow, Once, Reply, StaleError, TaskRow, Write
from kshot.web.store.tables import EXAMPLES, REPLIES, TASKS

REPLY_SECONDS = 24 * 3600
"""How long a reply is kept."""
_AT_ONCE = 200
_COLUMNS = [column.name for column in TASKS.c]
_TASK = f"SELECT {', '.join(_COLUMNS)} FROM tasks WHERE id = ? AND tenant = ?"


class Store:
    """Tasks in a database.

    Args:
        engine: From `kshot.web.store.engine.open_engine`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**{WRITES: True})
        # Two reads of one transaction see one state: in SQLite always, in PostgreSQL on request.
        sqlite = engine.dialect.name == "sqlite"
        self._snapshot = engine if sqlite else engine.execution_options(isolation_level="REPEATABLE READ")
        self._quick: sqlite3.Connection | None = driver_connection(engine) if sqlite else None
        self._one_asks = Lock()
        self._versions = select(TASKS.c.id, TASKS.c.tenant, TASKS.c.version).where(TASKS.c.id.in_(bindparam("ids", expanding=True)))

    def __repr__(self) -> str:
        return short_repr("Store", [self._engine.url.render_as_string(hide_password=True)])

    def close(self) -> None:
        """Close the connections."""
        if self._quick is not None:
            self._quick.close()
        self._engine.dispose()

    def ready(self) -> bool:
        """Whether the database answers."""
        try:
            with self._engine.connect() as connection:
                return connection.execute(select(1)).scalar() == 1
        except (OperationalError, InterfaceError):
            return False

    def versions(self, ids: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Return tenant and version of the tasks that there are, by id."""
        wanted, found = list(ids), {}
        if self._quick is not None:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                rows = self._asked(self._quick, f"SELECT id, tenant, version FROM tasks WHERE id IN ({','.join('?' * len(some))})", some)
                found.update({id: (tenant, version) for id, tenant, version in rows})
            return found
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                for row in connection.execute(self._versions, {"ids": wanted[start : start + _AT_ONCE]}):
                    found[row.id] = (row.tenant, row.version)
        return found

    def task(self, tenant: str, id: str) -> TaskRow | None:
        """Return a task of a tenant."""
        if self._quick is not None:
            rows = self._asked(self._quick, _TASK, [id, tenant])
            return _row(dict(zip(_COLUMNS, rows[0], strict=True))) if rows else None
        with self._engine.connect() as connection:
            return _task(connection, tenant, id)

    def task_and_examples(self, tenant: str, id: str) -> tuple[TaskRow, list[ExampleRow]] | None:
        """Return a task of a tenant and its examples, of one and the same version, in the order in which they came."""
        with self._snapshot.connect() as connection:
            if (row := _task(connection, tenant, id)) is None:
                return None
            found = connection.execute(select(EXAMPLES).where(EXAMPLES.c.task == id).order_by(EXAMPLES.c.number))
            return row, [ExampleRow(one.number, one._mapping["class"], one.vector) for one in found]

    def examples(self, tenant: str, id: str) -> tuple[TaskRow, list[tuple[int, str]]] | None:
        """Return a task of a tenant without its state, and number and class of its examples."""
        with self._snapshot.connect() as connection:
            if (row := _task(connection, tenant, id)) is None:
                return None
            wanted = select(EXAMPLES.c.number, EXAMPLES.c["class"]).where(EXAMPLES.c.task == id).order_by(EXAMPLES.c.number)
            return row, [(number, name) for number, name in connection.execute(wanted)]

    def page(self, tenant: str, after: tuple[float, str] | None, most: int) -> list[TaskRow]:
        """Return tasks of a tenant, without their states, the newest first.

        Args:
            tenant: The tenant.
            after: When the last one of the page before was created, and its id.
            most: How many at most.
        """
        columns = [column for column in TASKS.c if column.name != "state"]
        wanted = select(*columns).where(TASKS.c.tenant == tenant).order_by(TASKS.c.created.desc(), TASKS.c.id.desc()).limit(most)
        if after is not None:
            created, id = after
            wanted = wanted.where((TASKS.c.created < created) | ((TASKS.c.created == created) & (TASKS.c.id < id)))
        with self._engine.connect() as connection:
            return [_row(one._mapping) for one in connection.execute(wanted)]

    def reply(self, once: Once) -> Reply | None:
        """Return what a write with this key was answered.

        Raises:
            Problem: The key was used for another request.
        """
        if not once.key:
            return None
        with self._engine.connect() as connection:
            return _reply(connection, once)

    def create(self, row: TaskRow, examples: Sequence[ExampleRow], once: Once, reply: Reply, most: int) -> Reply:
        """Write a new task.

        Args:
            row: The task.
            examples: Its examples.
            once: The key of the write.
            reply: What is answered.
            most: Tasks that a tenant may have.

        Returns:
            The reply; if a write with this key was answered meanwhile, that one.

        Raises:
            Problem: The tenant has too many tasks, the key was used for another request, or the store cannot be written now.
        """

        def work(connection: Connection) -> None:
            count = connection.execute(select(func.count()).select_from(TASKS).where(TASKS.c.tenant == row.tenant)).scalar() or 0
            if count >= most:
                raise Problem(
                    409,
                    f"a tenant may have {most:,} tasks; found {count:,}. Delete some first.",
                    field="task",
                    expected=f"fewer than {most:,} tasks",
                    found=f"{count:,}",
                )
            connection.execute(insert(TASKS), [_values(row)])
            _insert(connection, row.id, examples)

        return self._write(once, reply, work)

    def change(self, row: TaskRow, write: Write, once: Once, reply: Reply) -> Reply:
        """Write a changed task.

        Args:
            row: The task, with the version after that which was read.
            write: The examples that come and go.
            once: The key of the write.
            reply: What is answered.

        Raises:
            StaleError: Another writer was faster.
            Problem: As of `create`.
        """

        def work(connection: Connection) -> None:
            values = {name: value for name, value in _values(row).items() if name not in ("id", "tenant", "created")}
            wanted = (
                update(TASKS).where(TASKS.c.id == row.id, TASKS.c.tenant == row.tenant, TASKS.c.version == row.version - 1).values(values)
            )
            if connection.execute(wanted).rowcount != 1:
                raise StaleError
            for start in range(0, len(write.removed), _AT_ONCE):
                gone = write.removed[start : start + _AT_ONCE]
                connection.execute(delete(EXAMPLES).where(EXAMPLES.c.task == row.id, EXAMPLES.c.number.in_(gone)))
            _insert(connection, row.id, write.added)

        return self._write(once, reply, work)

    def delete(self, tenant: str, id: str, version: int | None, once: Once, reply: Reply) -> Reply:
        """Delete a task.

        Args:
            tenant: Whose it is.
            id: Its id.
            version: The version that it must have; None: any.
            once: The key of the write.
            reply: What is answered.

        Raises:
            StaleError: There is none, or it has another version.
            Problem: As of `create`.
        """

        def work(connection: Connection) -> None:
            wanted = delete(TASKS).where(TASKS.c.id == id, TASKS.c.tenant == tenant)
            wanted = wanted if version is None else wanted.where(TASKS.c.version == version)
            if connection.execute(wanted).rowcount != 1:
                raise StaleError

        return self._write(once, reply, work)

    def _asked(self, quick: sqlite3.Connection, query: str, values: list[str]) -> list[Any]:
        """Ask SQLite on a connection of its own, before each prediction: what SQLAlchemy does around it takes ten times as long."""
        try:
            with self._one_asks:
                return quick.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            raise busy("the store cannot be read now.") from error

    def _write(self, once: Once, reply: Reply, work: Callable[[Connection], None]) -> Reply:
        try:
            with self._writing.begin() as connection:
                if once.key:
                    if (known := _reply(connection, once)) is not None:
                        return known
                    now = time.time()
                    connection.execute(delete(REPLIES).where(REPLIES.c.created < now - REPLY_SECONDS))
                    connection.execute(
                        insert(REPLIES),
                        [
                            {
                                "tenant": once.tenant,
                                "key": once.key,
                                "digest": once.digest,
                                "status": reply.status,
                                "etag": reply.etag,
                                "body": reply.body,
                                "created": now,
                            }
                        ],
                    )
                work(connection)
        except IntegrityError:
            if once.key and (known := self.reply(once)) is not None:
                return known  # another request with this key was faster
            raise
        except (OperationalError, InterfaceError) as error:
            raise busy("the store cannot be written now.") from error
        return reply


def _task(connection: Connection, tenant: str, id: str) -> TaskRow | None:
    found = connection.execute(select(TASKS).where(TASKS.c.id == id, TASKS.c.tenant == tenant)).first()
    return None if found is None else _row(found._mapping)


def _row(values: Mapping[Any, Any]) -> TaskRow:
    return TaskRow(**{**values, "record": json.loads(values["record"])})


def _values(row: TaskRow) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in TASKS.c} | {"record": json.dumps(row.record)}


def _insert(connection: Connection, id: str, examples: Sequence[ExampleRow]) -> None:
    if examples:
        connection.execute(
            insert(EXAMPLES), [{"task": id, "number": one.number, "class": one.name, "vector": one.vector} for one in examples]
        )


def _reply(connection: Connection, once: Once) -> Reply | None:
    found = connection.execute(select(REPLIES).where(REPLIES.c.tenant == once.tenant, REPLIES.c.key == once.key)).first()
    if found is None:
        return None
    if found.digest != once.digest:
        raise Problem(
            422,
            "this Idempotency-Key was used for another request. Use a new key for each write.",
            field="Idempotency-Key",
            expected="a key that is new, or the same request as before",
            found="another request",
        )
    return Reply(found.status, found.etag, found.body)
