"""Whose fault a failure is: each class is provoked on a real server, and no text holds a value."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from schema.store.database import Database
from schema.store.failures import SQLITE_CODES, SQLSTATES, Fault, describe, is_infrastructure_failure

SECRET_VALUE = "jill@example.com"


def ask(query: str, *values: object) -> Callable[[Connection], object]:
    return lambda connection: connection.exec_driver_sql(query, tuple(values) or None)


def index_row_too_large(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE wide (name text)")
    connection.exec_driver_sql("CREATE INDEX wide_name ON wide (name)")
    connection.exec_driver_sql(
        "INSERT INTO wide SELECT string_agg(md5(n::text || %s), '') FROM generate_series(1, 200) n", (SECRET_VALUE,)
    )


def another_came_first(connection: Connection) -> None:
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    connection.exec_driver_sql("SELECT * FROM meeting")
    with psycopg.connect(connection.engine.url.render_as_string(False).replace("+psycopg", "")) as other:
        other.execute("UPDATE meeting SET topic = 'theirs'")
    connection.exec_driver_sql("UPDATE meeting SET topic = 'ours'")


def not_allowed(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE ROLE joinlog_nobody")
    connection.exec_driver_sql("SET LOCAL ROLE joinlog_nobody")
    connection.exec_driver_sql("SELECT * FROM meeting")


def no_room(connection: Connection) -> None:
    connection.exec_driver_sql("SET LOCAL temp_file_limit = '64kB'")
    connection.exec_driver_sql("SET LOCAL work_mem = '64kB'")
    connection.exec_driver_sql("SELECT md5(n::text) FROM generate_series(1, 50000) n ORDER BY 1")


def raised(sqlstate: str) -> Callable[[Connection], object]:
    """What no test can make a server suffer, in the server's own words."""
    return ask(f"DO $$ BEGIN RAISE EXCEPTION '{SECRET_VALUE}' USING ERRCODE = '{sqlstate}'; END $$")


PROVOKED: dict[str, Callable[[Connection], object]] = {
    "08": raised("08006"),
    "28": raised("28000"),
    "3D": ask("SELECT pg_database_size('not_there')"),
    "40": another_came_first,
    "42501": not_allowed,
    "53": no_room,
    "58": ask("SELECT pg_read_file('not_there')"),
    "XX": raised("XX000"),
    "22": ask("SELECT %s::text::int", SECRET_VALUE),
    "23": ask("INSERT INTO meeting (account_id, meeting_id) VALUES ('a', 1), ('a', 1)"),
    "25": lambda c: (c.exec_driver_sql("SET TRANSACTION READ ONLY"), c.exec_driver_sql("DELETE FROM meeting")),
    "42P01": ask("SELECT * FROM not_there"),
    "42703": ask("SELECT not_there FROM meeting"),
    "54": index_row_too_large,
    "55": lambda c: (
        c.exec_driver_sql("SET LOCAL lock_timeout = 1"), c.exec_driver_sql("LOCK TABLE meeting IN EXCLUSIVE MODE")
    ),
    "57": lambda c: (c.exec_driver_sql("SET LOCAL statement_timeout = 1"), c.exec_driver_sql("SELECT pg_sleep(9)")),
}  # fmt: skip


@pytest.mark.parametrize("sqlstate", PROVOKED)
def test_a_failure_of_each_class_is_told_as_the_table_says(sqlstate: str, postgres_database: Database) -> None:
    with postgres_database.write() as holder:
        if sqlstate == "40":
            holder.exec_driver_sql("INSERT INTO meeting (account_id, meeting_id) VALUES ('a', 1)")
            holder.exec_driver_sql("COMMIT")
        if sqlstate == "55":
            holder.exec_driver_sql("LOCK TABLE meeting IN EXCLUSIVE MODE")
        with pytest.raises(DBAPIError) as failed, postgres_database.write() as connection:
            PROVOKED[sqlstate](connection)
    found = getattr(failed.value.orig, "sqlstate", "")
    assert found.startswith(sqlstate)
    assert is_infrastructure_failure(failed.value) is (SQLSTATES[sqlstate][0] is Fault.DATABASE)
    assert found in describe(failed.value)
    assert SECRET_VALUE not in describe(failed.value)


def test_every_class_is_provoked() -> None:
    assert set(PROVOKED) == set(SQLSTATES)


@pytest.mark.parametrize("change", [{"database": "not_there"}, {"username": "nobody_here"}])
def test_a_server_that_does_not_let_us_in_is_not_the_datas_fault(change: dict[str, str], postgres_url: str) -> None:
    url = make_url(postgres_url).set(**change)  # type: ignore[arg-type]
    database = Database(url.render_as_string(False))
    with pytest.raises(DBAPIError) as failed, database.read():
        pass
    assert is_infrastructure_failure(failed.value)
    database.close()


def test_every_class_has_a_reason() -> None:
    assert all(reason for _, reason in (*SQLSTATES.values(), *SQLITE_CODES.values()))


def test_a_text_that_sqlite_does_not_hold_is_the_datas_fault(sqlite_database: Database) -> None:
    with pytest.raises(DBAPIError) as failed, sqlite_database.write() as connection:
        connection.exec_driver_sql("SELECT zeroblob(3000000000)")
    assert not is_infrastructure_failure(failed.value)


def test_a_file_that_is_no_database_is_not_the_datas_fault(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database, only text" * 1000)
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises((DBAPIError, sqlite3.DatabaseError)) as failed, database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM meeting")
    assert isinstance(failed.value, DBAPIError)
    assert is_infrastructure_failure(failed.value)
    database.close()


def test_a_failure_of_our_own_is_told_by_its_place_and_without_its_words() -> None:
    with pytest.raises(KeyError) as failed:
        raise KeyError(SECRET_VALUE)
    assert describe(failed.value).startswith("KeyError in tests.store.test_failures, line ")
