"""The database: its tables are those of the migrations, and another one is refused."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from kshot.errors import RecipeError, SavedError, SetupError
from kshot.web.store.engine import open_engine, revision_here
from kshot.web.store.tables import METADATA


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'tasks.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "kshot_version", "compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == revision_here()
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")]
        assert settings == ["wal", 2, 1]  # 2: FULL
    engine.dispose()
    open_engine(f"sqlite:///{tmp_path / 'tasks.db'}").dispose()  # nothing to do


def test_a_store_of_a_newer_kshot_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tasks.db"
    open_engine(f"sqlite:///{file}").dispose()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE kshot_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SavedError, match="of a newer kshot"):
        open_engine(f"sqlite:///{file}")


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("tasks.db", RecipeError, "sqlite:///FILE or postgresql"),
        ("oracle://h/n", RecipeError, "found 'oracle'"),
        ("sqlite://", RecipeError, "needs a file"),
        ("sqlite:////no/such/folder/tasks.db", SetupError, "cannot be opened"),
    ],
)
def test_a_url_that_cannot_be_opened(url: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        open_engine(url)
