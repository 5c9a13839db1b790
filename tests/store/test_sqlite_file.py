"""SQLite's write-ahead log: cut once nobody holds it, and long only while somebody does."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schema.store import sqlite_file
from schema.store.database import Database
from tests.inbox_to_tables import keep_events
from tests.stories import Story
from workers.retention import trim_log

w = Story()


@pytest.fixture
def path(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("schema.store.dialect.WAL_BYTES_KEPT", 100_000)
    monkeypatch.setattr("workers.retention.WAL_BYTES_WARN", 100_000)
    return Path(str(sqlite_database.url.database))


def grow(database: Database) -> None:
    for number in range(40):
        keep_events(database, [w.started(number, f"run-{number}==")])


def test_a_reader_lets_the_log_grow_and_it_is_said_and_cut_when_it_is_gone(
    sqlite_database: Database, path: Path
) -> None:
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM inbox_event").fetchall()
    grow(sqlite_database)
    with capture_logs() as logs:
        assert not trim_log(sqlite_database)
    assert [line["event"] for line in logs] == ["reader_holds_log"]
    assert sqlite_file.wal_bytes(path) > 100_000
    reader.close()
    with capture_logs() as logs:
        assert trim_log(sqlite_database)
    assert logs == []
    assert sqlite_file.wal_bytes(path) == 0


def test_a_log_of_ordinary_length_is_left_alone(sqlite_database: Database, path: Path) -> None:
    keep_events(sqlite_database, [w.started(1)])
    length = sqlite_file.wal_bytes(path)
    assert 0 < length <= 100_000
    assert trim_log(sqlite_database)
    assert sqlite_file.wal_bytes(path) == length


def test_postgres_has_no_such_log(postgres_database: Database) -> None:
    assert postgres_database.log_bytes() is None
    assert trim_log(postgres_database)


def test_words_are_counted_in_any_case_and_across_the_borders_of_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "CHUNK_BYTES", 7)
    file = tmp_path / "some.db"
    file.write_bytes(b"..ann@example.com....ANN@example.com..bob@example.com")
    assert sqlite_file.count_in_files(file, ["ann@example.com"]) == 2
    assert sqlite_file.count_in_files(file, []) == 0
