"""Reading, writing and telling failures apart, the same on both databases."""

from __future__ import annotations

import sqlite3
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from schema.change import Change
from schema.known import BY_CONNECTION
from schema.rows import (
    KEY_COLUMNS,
    ROW_TYPES,
    STAMPED,
    Leave,
    Participant,
    PmiUse,
    ReportedStay,
    Row,
    StatusEntry,
    key_of,
)
from schema.settings import ConfigurationError
from schema.store.codec import kinds_of
from schema.store.commit_marker import CommitMarker
from schema.store.database import Database
from schema.store.dialect import read_url, utc_moment, utc_text
from schema.store.failures import is_infrastructure_failure
from schema.store.feed import read_feed
from schema.store.load import read_rows
from schema.store.save import save
from schema.tables import TABLES
from tests.inbox_to_tables import read_table, select

NOW = datetime(2026, 11, 22, 10, 28, 31, 123456, tzinfo=UTC)


def participant(**more: Any) -> Participant:
    values: dict[str, Any] = {"account_id": "a", "uuid": "u", "connection_id": "1", "first_seen_at": NOW}
    return Participant(**values | more)


def write(connection: Connection, *rows: Participant, only_new: bool = False) -> None:
    written = {"participant": {key_of("participant", row): row for row in rows}}
    save(connection, Change(NOW, written, frozenset(written) if only_new else frozenset()))


def read(connection: Connection, by: tuple[str, ...], *keys: tuple[Any, ...]) -> list[Participant]:
    return read_rows(connection, "participant", by, keys)


# --- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_a_new_sqlite_file_its_wal_and_its_index_are_for_their_owner_only(tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "new.db"
    database = Database(f"sqlite:///{prefix}{path}{'?uri=true' if prefix else ''}")
    try:
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE one (id INTEGER)")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        database.close()
    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


def test_whoever_looks_first_makes_the_sqlite_file_as_private(tmp_path: Path) -> None:
    for number, look in enumerate((_read_one, _read_marker)):
        database = Database(f"sqlite:///{tmp_path}/{number}.db")
        look(database)
        database.close()
        assert stat.S_IMODE((tmp_path / f"{number}.db").stat().st_mode) == 0o600


def _read_one(database: Database) -> None:
    with database.read() as connection:
        connection.exec_driver_sql("SELECT 1")


def _read_marker(database: Database) -> None:
    marker = CommitMarker(database)
    marker.read()
    marker.close()


def test_a_sqlite_file_that_its_owner_opened_to_a_group_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    path.touch()
    path.chmod(0o640)
    database = Database(f"sqlite:///{path}")
    _read_one(database)
    database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


# --- rows -------------------------------------------------------------------------------------------------------


def test_a_row_is_read_as_it_was_written(database: Database) -> None:
    row = participant(name="Zoë 🎻 ' \" \\ % {}", left_is_inferred=False, left_at=NOW, meeting_id=2**53 + 1)
    with database.write() as connection:
        write(connection, row)
    with database.read() as connection:
        assert read(connection, KEY_COLUMNS["participant"], key_of("participant", row)) == [row]


def sample(table: str, is_uniform: bool) -> Row:
    """A row of a table with something in every column."""
    row_type = ROW_TYPES[table]
    values: dict[str, Any] = {
        "text": "Zoë ? % 🎻", "bigint": 2**53 + 1, "integer": 7, "boolean": True, "moment": NOW,
    }  # fmt: skip
    kinds = kinds_of(table)
    columns = {name: values[kinds[name]] for name in row_type.__struct_fields__}
    coded = {
        "joins": (1, 5), "leaves": (Leave(2, ""), Leave(9, "é")),
        "reported": (ReportedStay(1, 5),),
        "pmi_uses": (PmiUse(1, True), PmiUse(3, False)),
        "history": (StatusEntry(1, "approved", ("*",)), StatusEntry(3, "denied", ("1", "2"))),
        "stamps": {name: 5 if is_uniform else place for place, name in enumerate(STAMPED.get(table, ()))},
    }  # fmt: skip
    return row_type(**columns | {name: value for name, value in coded.items() if name in columns})


def in_json(part: object) -> object:
    return utc_text(part) if isinstance(part, datetime) else part


@pytest.mark.parametrize("is_uniform", [True, False])
@pytest.mark.parametrize("table", ROW_TYPES)
def test_a_row_of_every_table_is_read_as_it_was_written(database: Database, table: str, is_uniform: bool) -> None:
    row = sample(table, is_uniform)
    key = key_of(table, row)
    with database.write() as connection:
        save(connection, Change(NOW, {table: {key: row}}))
        assert read_rows(connection, table, KEY_COLUMNS[table], [key]) == [row]
        save(connection, Change(NOW, deleted={table: frozenset([key])}))
        assert read_rows(connection, table, KEY_COLUMNS[table], [key]) == []
    assert [(told.operation, *told.key.values()) for told in read_feed(database, 0).changes] == [
        (operation, *(in_json(part) for part in key)) for operation in ("upsert", "delete")
    ]


@pytest.mark.parametrize("more", [{"left_at": NOW}, {"left_at": NOW, "person_id": "email:x@example.com"}])
def test_a_row_that_was_read_is_written_whole_whichever_of_its_columns_change(
    database: Database, more: dict[str, Any]
) -> None:
    before, others = participant(person_id="user:1", joined_at=NOW), participant(connection_id="2", person_id="user:2")
    after = msgspec.structs.replace(before, **more)
    with database.write() as connection:
        write(connection, before, others)
        known, written = ({key_of("participant", row): row} for row in (before, after))
        change = Change(NOW + timedelta(seconds=1), {"participant": written}, known={"participant": known})
        save(connection, change)
        found = read(connection, BY_CONNECTION, ("a", "u", "1"), ("a", "u", "2"))
    assert sorted(found, key=lambda row: row.connection_id) == [after, others]
    moments = select(database, "SELECT updated_at FROM participant ORDER BY connection_id")
    assert len({str(row["updated_at"]) for row in moments}) == 2


def test_the_type_of_a_row_has_the_columns_of_its_table() -> None:
    for table, row_type in ROW_TYPES.items():
        assert {*row_type.__struct_fields__, "updated_at"} == {column.name for column in TABLES[table].columns}, table
        assert list(KEY_COLUMNS[table]) == [column.name for column in TABLES[table].primary_key], table


def test_writing_a_row_again_replaces_it_unless_it_is_to_stay(database: Database) -> None:
    with database.write() as connection:
        write(connection, participant(name="one"), participant(connection_id="2", name="two"))
        write(connection, participant(name="new", email="e"))
        write(connection, participant(connection_id="2", name="no"), only_new=True)
    assert [(row["name"], row["email"]) for row in read_table(database, "participant")] == [
        ("new", "e"), ("two", None),
    ]  # fmt: skip


def test_rows_are_read_and_deleted_by_many_keys_at_once(database: Database) -> None:
    rows = [participant(connection_id=str(n), meeting_id=n % 3) for n in range(500)]
    with database.write() as connection:
        write(connection, *rows)
        assert len(read(connection, ("account_id", "uuid"), ("a", "u"))) == 500
        assert len(read(connection, ("account_id", "meeting_id"), ("a", 0), ("a", 2))) == 333
        gone = frozenset(key_of("participant", row) for row in rows[:499])
        save(connection, Change(NOW, deleted={"participant": gone}))
        assert [row.connection_id for row in read(connection, ("uuid",), ("u",))] == ["499"]
        assert read(connection, ("uuid",)) == []


def test_stays_nobody_saw_end_are_ended_with_their_instance_and_named(database: Database) -> None:
    stays = [
        participant(joined_at=NOW),
        participant(joined_at=NOW, connection_id="2", left_at=NOW, left_is_inferred=False),
        participant(joined_at=NOW, connection_id="3", uuid="other"),
    ]
    later = NOW + timedelta(minutes=5)
    closing = Change(NOW, closed={("a", "u"): later})
    with database.write() as connection:
        write(connection, *stays)
        save(connection, replace(closing, now=later))
        save(connection, replace(closing, now=later + timedelta(minutes=5)))
    ends = {row["connection_id"]: row["left_at"] for row in read_table(database, "participant")}
    assert ends == {"1": later, "2": NOW, "3": None}
    assert [told.key["connection_id"] for told in read_feed(database, 0).changes] == ["1", "2", "3", "1"]


def test_null_never_equals_a_key(database: Database) -> None:
    with database.write() as connection:
        write(connection, participant())
        assert read(connection, ("account_id", "meeting_id"), ("a", None)) == []


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001
def test_a_moment_survives_its_text_and_text_order_is_time_order(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert utc_moment(utc_text(aware)) == aware
    assert len(utc_text(aware)) == len("2026-11-22T10:28:31.000000Z")
    later = aware + timedelta(microseconds=1)
    assert utc_text(aware) < utc_text(later)
    assert utc_text(aware.astimezone(timezone(timedelta(hours=9)))) == utc_text(aware)


# --- transactions -----------------------------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as connection:  # noqa: PT012
        write(connection, participant())
        raise RuntimeError
    assert read_table(database, "participant") == []


def test_a_reader_sees_nothing_of_a_transaction_in_progress_and_is_not_blocked(database: Database) -> None:
    with database.write() as connection:
        write(connection, participant())
        assert select(database, "SELECT * FROM participant") == []
    assert len(select(database, "SELECT * FROM participant")) == 1


def test_a_reader_of_sqlite_cannot_write(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM participant")


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
def test_intake_survives_a_power_cut_and_the_drain_need_not(durable: bool, synchronous: int, sqlite_url: str) -> None:
    database = Database(sqlite_url, durable=durable)
    with database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == synchronous
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    database.close()


@pytest.mark.parametrize(("durable", "synchronous"), [(True, "on"), (False, "off")])
def test_the_same_on_postgres(durable: bool, synchronous: str, postgres_url: str) -> None:
    database = Database(postgres_url, durable=durable, statement_seconds=1.5)
    with database.write() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == synchronous
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "1500ms"
        assert connection.exec_driver_sql("SHOW timezone").scalar() == "UTC"
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="memory"):
        Database(url)


def test_the_url_that_is_shown_has_no_password() -> None:
    database = Database("postgresql://u:hush@127.0.0.1/db")
    assert "hush" not in database.shown_url
    assert "hush" not in str(database.url)
    database.close()


# --- whose fault is it ------------------------------------------------------------------------------------------


def wrapped(kind: type[DBAPIError], orig: BaseException, *, lost: bool = False) -> DBAPIError:
    return kind("SELECT", None, orig, connection_invalidated=lost)


@pytest.mark.parametrize(
    ("error", "is_infrastructure"),
    [
        (OSError("disk"), True),
        (ValueError("data"), False),
        (wrapped(IntegrityError, sqlite3.IntegrityError()), False),
        (wrapped(ProgrammingError, psycopg.ProgrammingError()), False),
        (wrapped(DBAPIError, psycopg.DataError()), False),
        (wrapped(InterfaceError, psycopg.InterfaceError()), True),
        (wrapped(OperationalError, psycopg.OperationalError()), True),
        (wrapped(DBAPIError, psycopg.Error(), lost=True), True),
    ],
)
def test_failures_of_the_database_are_told_from_those_of_the_data(
    error: BaseException, is_infrastructure: bool
) -> None:
    assert is_infrastructure_failure(error) is is_infrastructure


def sqlite_failure(path: Path, *statements: str) -> OperationalError:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        with pytest.raises(sqlite3.OperationalError) as failed:  # noqa: PT012
            for statement in statements:
                connection.execute(statement)
    finally:
        connection.close()
    return OperationalError("x", None, failed.value)


def test_a_locked_sqlite_file_is_infrastructure_and_bad_sql_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert is_infrastructure_failure(sqlite_failure(path, "BEGIN IMMEDIATE"))
    holder.execute("ROLLBACK")
    holder.close()
    assert not is_infrastructure_failure(sqlite_failure(path, "SELEC 1"))


def test_a_full_disk_is_infrastructure(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    full = sqlite_failure(
        path, "CREATE TABLE t (x)", "PRAGMA max_page_count = 2", "INSERT INTO t VALUES (zeroblob(100000))"
    )
    assert is_infrastructure_failure(full)


def test_a_postgres_that_is_shutting_down_or_out_of_time_is_infrastructure(postgres_database: Database) -> None:
    with pytest.raises(DBAPIError) as timed_out, postgres_database.write() as connection:  # noqa: PT012
        connection.exec_driver_sql("SET LOCAL statement_timeout = 1")
        connection.exec_driver_sql("SELECT pg_sleep(20)")
    assert is_infrastructure_failure(timed_out.value)
    with pytest.raises(DBAPIError) as killed, postgres_database.write() as connection:  # noqa: PT012
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        select(postgres_database, "SELECT pg_terminate_backend(?)", [pid])
        connection.exec_driver_sql("SELECT 1")
    assert is_infrastructure_failure(killed.value)


def test_what_postgres_cannot_store_is_the_datas_fault(postgres_database: Database) -> None:
    with pytest.raises(DBAPIError) as refused, postgres_database.write() as connection:
        write(connection, participant(name="nul \x00"))
    assert not is_infrastructure_failure(refused.value)


def test_a_deadlock_on_postgres_is_tried_again(postgres_database: Database) -> None:
    error = OperationalError("x", None, psycopg.errors.DeadlockDetected())
    assert is_infrastructure_failure(error)


# --- the database's URL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_any_spelling_of_postgres_is_understood(scheme: str) -> None:
    assert (
        read_url(f"{scheme}://u:p@host/db?x=1").render_as_string(hide_password=False)
        == "postgresql+psycopg://u:p@host/db?x=1"
    )


def test_a_sqlite_url_names_a_file() -> None:
    assert read_url("sqlite:////var/joinlog.db").render_as_string() == "sqlite:////var/joinlog.db"


@pytest.mark.parametrize("url", ["mysql://u:hush@host/db", "joinlog.db", "", "http://x:hush@y"])
def test_another_database_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_url(url)
    assert "hush" not in str(refused.value)
    assert "DATABASE_URL" in str(refused.value)
