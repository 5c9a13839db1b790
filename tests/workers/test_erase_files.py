"""After an erasure nothing of the person is in the files, and nobody else had to wait for it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schema.store.database import Database
from tests.inbox_to_tables import drain, keep_events, take
from tests.stories import ACCOUNT, Story
from tests.workers.test_erase import ANN, TRACES, traces
from workers import erase as erasing
from workers.drain import Drain
from workers.erase import erase_account, erase_person
from workers.rebuild import rebuild

w = Story()
OTHERS = 200
EMAIL = "ann@example.com"


def fill(database: Database, at_once: int = 1) -> None:
    """Ann among many others, whose rows split and merge the pages hers are on; drained after so many of them."""
    take(database, w.created(0, {"1001": 60}), w.started(60))
    for number in range(OTHERS):
        who, user = f"other{number}", str(100 + number)
        events = [
            w.registration(1, "created", who, status="approved"),
            w.person(61, "joined", user, 60, registrant_id=who, email=f"{who}@example.com"),
        ]
        if number % 20 == 0:
            later = number / 1000
            events += [
                w.registration(2 + later, "created", "ann", None, status="approved", **ANN),
                w.person(62 + later, "joined", f"ann{number}", 60, registrant_id="ann", user_name="Annabel Quill"),
                w.person(63 + later, "left", f"ann{number}", 60, registrant_id="ann", user_name="Annabel Quill"),
            ]
        keep_events(database, events)
        if number % at_once == 0:
            drain(database)
    drain(database)


def found_in_files(database: Database) -> dict[str, int]:
    """How often anything of Ann stands in each file of the database."""
    path = Path(str(database.url.database))
    files = [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]
    return {
        f"{word} in {file.name}": count
        for file in files
        if file.exists()
        for word in TRACES
        if (count := file.read_bytes().lower().count(word.encode()))
    }


@contextmanager
def under_load(database: Database) -> Iterator[None]:
    """Somebody else's events are kept and drained, and a reader looks again and again."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            number, worker = 0, Drain(database)
            while not stop.is_set():
                number += 1
                keep_events(database, [w.person(70 + number / 1000, "joined", f"9{number}", 60)])
                worker.step()
        except BaseException as error:
            failures.append(error)

    def read() -> None:
        try:
            while not stop.is_set():
                with database.read() as connection:
                    connection.exec_driver_sql("SELECT count(*) FROM participant").fetchall()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_after_an_erasure_nothing_is_left_in_the_files(sqlite_database: Database) -> None:
    fill(sqlite_database)
    assert found_in_files(sqlite_database) != {}
    assert erase_person(sqlite_database, EMAIL).remains is None
    assert found_in_files(sqlite_database) == {}


def test_nor_when_it_was_erased_under_load(sqlite_database: Database) -> None:
    fill(sqlite_database)
    with under_load(sqlite_database):
        assert erase_person(sqlite_database, EMAIL).remains is None
        assert found_in_files(sqlite_database) == {}
    drain(sqlite_database)
    assert rebuild(sqlite_database, check_only=True).examples == []


def test_nor_of_an_account(sqlite_database: Database) -> None:
    fill(sqlite_database)
    assert erase_account(sqlite_database, ACCOUNT).remains is None
    assert found_in_files(sqlite_database) == {}


def test_a_reader_who_holds_the_log_is_said(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.store.sqlite_file.TRUNCATE_SECONDS_MAX", 0.1)
    fill(sqlite_database)
    reader = sqlite3.connect(str(sqlite_database.url.database))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM registrant").fetchall()
    remains = erase_person(sqlite_database, EMAIL).remains
    assert remains is not None
    assert "A reader holds the log" in remains
    reader.close()
    assert erase_person(sqlite_database, EMAIL).remains is None
    assert found_in_files(sqlite_database) == {}


def test_on_postgres_what_may_remain_is_said(postgres_database: Database) -> None:
    fill(postgres_database, 50)
    remains = erase_person(postgres_database, EMAIL).remains
    assert remains is not None
    assert "VACUUM FULL" in remains


def test_others_write_while_somebody_is_erased(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "BATCH_BODIES", 50)
    monkeypatch.setattr(erasing, "BATCH_ROWS", 50)
    fill(database, 50)
    seen: list[int] = []

    def write(done: int, _total: int) -> None:
        keep_events(database, [w.person(80 + len(seen), "joined", f"8{done}", 60)])
        seen.append(done)

    erase_person(database, EMAIL, write)
    assert len(seen) > OTHERS / 50
    drain(database)
    assert traces(database) == []
    assert rebuild(database, check_only=True).examples == []


class Killed(Exception):
    """The process was ended in the middle."""


@pytest.mark.parametrize("after", [1, 3])
def test_an_erasure_that_was_killed_is_ended_by_the_next_one_and_a_rebuild(
    database: Database, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Each has pseudonyms of its own: the rebuild settles which of the two a row has."""
    monkeypatch.setattr(erasing, "BATCH_BODIES", 100)
    fill(database, 50)

    def kill(done: int, _total: int) -> None:
        if done >= after * 100:
            raise Killed

    with pytest.raises(Killed):
        erase_person(database, EMAIL, kill)
    assert traces(database) != []
    erase_person(database, EMAIL)
    assert traces(database) == []
    rebuild(database)
    assert traces(database) == []
    assert rebuild(database, check_only=True).examples == []
