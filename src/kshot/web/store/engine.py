"""Opening a database: SQLite in WAL mode, or PostgreSQL by its URL; and bringing its tables to this version.

What was answered must survive the end of the process and of the machine, so SQLite flushes each commit (`synchronous=FULL`), as PostgreSQL
does by itself. In: a URL or a path. Out: an `Engine`. Next: `kshot.web.store.store`.
"""

import sqlite3
from importlib import resources
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from kshot.errors import RecipeError, SavedError, SetupError
from kshot.printable import printable
from kshot.web.store.tables import METADATA

DEFAULT = "sqlite:///kshot-tasks.db"
WRITES = "writes"
"""Option of a connection whose transaction will write: SQLite then takes the lock at its beginning, and waits for it."""
_LOCK = 0x6B73686F74  # of PostgreSQL, while tables are brought to this version
_WAIT_SECONDS = 20


def open_engine(url: str) -> Engine:
    """Open a database, and bring its tables to this version.

    Args:
        url: `sqlite:///FILE`, or `postgresql://USER@HOST/NAME`.

    Raises:
        RecipeError: It is no such URL.
        SavedError: The database is of a newer kshot, or not one of kshot.
        SetupError: It cannot be opened, or its driver is not installed.
    """
    try:
        place = make_url(url)
    except ArgumentError:
        raise RecipeError(f"--store is sqlite:///FILE or postgresql://USER@HOST/NAME; found {printable(url)!r}.") from None
    if place.drivername in ("postgresql", "postgres"):
        place = place.set(drivername="postgresql+psycopg")
    if place.drivername not in ("sqlite", "postgresql+psycopg"):
        raise RecipeError(f"--store is sqlite:///FILE or postgresql://USER@HOST/NAME; found {printable(place.drivername)!r}.")
    try:
        engine = _sqlite(place) if place.drivername == "sqlite" else create_engine(place, pool_size=8, max_overflow=8, pool_pre_ping=True)
        with engine.execution_options(**{WRITES: True}).begin() as connection:
            _migrate(connection)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise SetupError(f"the store needs a driver that is not installed ({error}). Install it with: pip install 'kshot[web]'") from error
    except (OperationalError, sqlite3.Error, DBAPIError) as error:
        where = place.render_as_string(hide_password=True)
        raise SetupError(
            f"the store {printable(where)} cannot be opened: {printable(_reason(error))}. Check the URL and its permissions."
        ) from error
    except CommandError as error:
        raise SavedError(f"the store is of a newer kshot: {printable(str(error))}. Update kshot.") from error
    return engine


def driver_connection(engine: Engine) -> Any:
    """Return a connection of the driver itself, with the settings of all others. It belongs to the caller, who closes it."""
    pooled = engine.raw_connection()
    connection = pooled.driver_connection
    pooled.detach()
    return connection


def revision_here() -> str:
    """Return the version of the tables that this kshot makes."""
    head = _scripts()[1].get_current_head()
    assert head is not None
    return head


def _sqlite(place: Any) -> Engine:
    if not place.database or place.database == ":memory:":
        raise RecipeError("--store needs a file, such as sqlite:///tasks.db: what is kept in memory alone is lost at the end.")
    engine = create_engine(place, connect_args={"timeout": _WAIT_SECONDS, "check_same_thread": False}, pool_size=8, max_overflow=8)

    def connected(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # transactions begin where this module says so
        for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
            connection.execute(f"PRAGMA {setting}")

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine


def _scripts() -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(Path(str(resources.files("kshot.web.store"))) / "migrations"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config, scripts = _scripts()

    def steps(revision: Any, context: Any) -> Any:
        return scripts._upgrade_revs("head", revision)

    with EnvironmentContext(config, scripts, fn=steps, as_sql=False) as environment:
        environment.configure(connection=connection, target_metadata=METADATA, version_table="kshot_version", transactional_ddl=False)
        environment.run_migrations()


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0]
