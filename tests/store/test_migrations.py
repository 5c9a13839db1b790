"""Migrations make exactly the tables of schema.tables, on both databases, once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from schema.migrate import migrate
from schema.revision import OLDEST_REVISION, VERSIONS, applied_revision, newest_revision, why_unsuitable
from schema.store.database import Database
from schema.tables import METADATA, OF_FEED, TABLES
from schema.views import VIEWS
from tests.inbox_to_tables import is_postgres, take
from tests.later_version import LATER_REVISION, LATER_TABLES
from tests.stories import Story
from workers.rebuild import rebuild


@pytest.fixture
def empty_database(empty_database_url: str) -> Iterator[Database]:
    opened = Database(empty_database_url)
    yield opened
    opened.close()


def shape_of(database: Database) -> list[Any]:
    """Everything the database has by name."""
    with database.read() as connection:
        if is_postgres(database):
            query = "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        else:
            query = "SELECT name, sql FROM sqlite_master"
        return sorted(tuple(row) for row in connection.exec_driver_sql(query))


def test_the_newest_revision_is_the_one_alembic_would_go_to() -> None:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision()]


def test_the_newest_revision_is_the_one_no_other_builds_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, words in (
        ("b.py", 'revision = "0001"\ndown_revision = None\n'),
        ("a.py", 'revision: str = "0002"\ndown_revision: str | None = "0001"\n'),
    ):
        (tmp_path / name).write_text(words)
    monkeypatch.setattr("schema.revision.VERSIONS", tmp_path)
    assert newest_revision.__wrapped__() == "0002"


def test_a_migrated_database_is_what_the_tables_say(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_every_table_and_view_is_there(database: Database) -> None:
    with database.read() as connection:
        found = inspect(connection)
        assert set(found.get_table_names()) == set(TABLES) | {"alembic_version"}
        assert set(found.get_view_names()) == set(VIEWS)
        for view in VIEWS:
            connection.exec_driver_sql(f"SELECT * FROM {view}").all()


def test_migrating_says_from_where_to_where_and_again_is_a_no_op(empty_database: Database) -> None:
    assert migrate(empty_database) == (None, newest_revision())
    shape = shape_of(empty_database)
    assert migrate(empty_database) == (newest_revision(), newest_revision())
    assert shape_of(empty_database) == shape
    with empty_database.read() as connection:
        assert applied_revision(connection) == newest_revision()


def come_later(database: Database, oldest: str) -> None:
    """Have a version after this one migrate the database, and say which versions it leaves behind."""
    with database.write() as connection:
        for statement in LATER_TABLES:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"UPDATE tables_version SET oldest_revision = '{oldest}'")


def test_this_version_goes_on_while_a_later_one_is_rolled_out(database: Database) -> None:
    come_later(database, OLDEST_REVISION)
    with database.read() as connection:
        assert why_unsuitable(connection) is None
    assert migrate(database) == (LATER_REVISION, LATER_REVISION)  # its own release command does no harm
    w = Story()
    assert take(database, w.started(60, "run=="), w.person(61, "joined", "1", 60, "run==")).done == 2
    assert rebuild(database, check_only=True).rows_differing == 0


def test_this_version_stops_where_a_later_one_took_something_away(database: Database) -> None:
    come_later(database, "9997")
    with database.read() as connection:
        why = why_unsuitable(connection)
    assert why is not None
    assert "start the new one" in why


def test_tables_of_an_earlier_version_are_not_enough(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with database.read() as connection:
        why = why_unsuitable(connection)
    assert why is not None
    assert "0001" in why


def test_two_machines_that_deploy_at_once_migrate_once(empty_database_url: str) -> None:
    gate = threading.Barrier(2)
    results: list[tuple[str | None, str]] = []
    failures: list[BaseException] = []

    def deploy() -> None:
        database = Database(empty_database_url)
        try:
            gate.wait()
            results.append(migrate(database))
        except BaseException as error:
            failures.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=deploy) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(before is None for before, _ in results) == [False, True]


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_connection: object) -> None:
        raise RuntimeError("half way")

    with monkeypatch.context() as patch:
        patch.setattr("schema.migrate.create_views", fail)
        with pytest.raises(RuntimeError, match="half way"):
            migrate(empty_database)
    assert shape_of(empty_database) == []
    assert migrate(empty_database) == (None, newest_revision())


def test_every_column_says_what_it_holds() -> None:
    silent = [
        f"{table.name}.{column.name}" for table in TABLES.values() for column in table.columns if not column.comment
    ]
    assert silent == []


def test_every_key_begins_with_the_account_and_every_other_column_may_be_null() -> None:
    for table in TABLES.values():
        keys = [column.name for column in table.primary_key]
        assert keys[0] == "account_id" or table.name in OF_FEED, table.name
        required = {c.name for c in table.columns if not c.nullable} - set(keys)
        assert required <= {"idempotency_key"}, table.name
        assert not table.foreign_keys, table.name


def test_every_table_can_be_followed_by_updated_at() -> None:
    for table in (table for name, table in TABLES.items() if name not in OF_FEED):
        assert any(next(c.name for c in index.columns) == "updated_at" for index in table.indexes), table.name
