"""Group commit: nobody is answered before their event is committed, and nobody waits longer than Zoom does."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from schema.zoom.envelope import Envelope, read_envelope
from tests.inbox_to_tables import one, select
from tests.signed_requests import encode, read_payload_file
from tests.waiting import wait_until
from webhook import group_commit as keeper_module
from webhook.group_commit import CommitFailed, GroupCommitter

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ANSWER_SECONDS_MAX = 3.0  # then Zoom has gone


Keepers = Callable[..., GroupCommitter]


@pytest.fixture
def keepers() -> Iterator[Keepers]:
    """Makes keepers, and closes them before the database they keep in."""
    made: list[GroupCommitter] = []

    def make(*arguments: Any, **more: Any) -> GroupCommitter:
        made.append(GroupCommitter(*arguments, **more))
        return made[-1]

    yield make
    for keeper in made:
        keeper.close()


def envelope(number: int) -> Envelope:
    event = read_payload_file("webinar.started")
    return read_envelope(encode(event | {"event_ts": 1772107200000 + number}))


def poisoned(number: int) -> Envelope:
    """An event no database takes."""
    return msgspec.structs.replace(envelope(number), idempotency_key=None)


def is_kept(database: Database, kept: Envelope) -> bool:
    found = select(database, "SELECT 1 AS n FROM inbox_event WHERE idempotency_key = ?", [kept.idempotency_key])
    return len(found) == 1


def all_at_once(jobs: Sequence[Callable[[], None]]) -> list[BaseException | None]:
    """Run these at the same moment; returns what each of them raised."""
    raised: list[BaseException | None] = [None] * len(jobs)

    def run(place: int, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            raised[place] = error

    threads = [threading.Thread(target=run, args=(place, job)) for place, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@contextmanager
def slow_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[int]]]:
    """The first commit waits until the event is set; the list says how many events each transaction had."""
    may_go, sizes = threading.Event(), list[int]()

    def slowly(database: Database, arrivals: Sequence[Arrival]) -> None:
        sizes.append(len(arrivals))
        assert may_go.wait(20)
        keep(database, arrivals)

    with monkeypatch.context() as patch:
        patch.setattr(keeper_module, "keep", slowly)
        yield may_go, sizes


def waiting_in(keeper: GroupCommitter) -> int:
    return len(keeper._queue)


def test_each_request_is_answered_only_after_its_event_is_committed(database: Database, keepers: Keepers) -> None:
    keeper = keepers(database, when_kept=lambda: None)

    def keep_and_look(number: int) -> None:
        kept = envelope(number)
        keeper.keep(kept, NOW)
        assert is_kept(database, kept)

    raised = all_at_once([lambda n=number: keep_and_look(n) for number in range(40)])  # type: ignore[misc]
    assert raised == [None] * 40
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 40}


def test_requests_that_wait_at_the_same_moment_share_one_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch, keepers: Keepers
) -> None:
    keeper = keepers(database, when_kept=lambda: None)
    with slow_store(monkeypatch) as (may_go, sizes):
        threads = [threading.Thread(target=keeper.keep, args=(envelope(n), NOW)) for n in range(12)]
        threads[0].start()
        wait_until(lambda: sizes == [1], "the first request to lead")
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: waiting_in(keeper) == 11, "eleven more to wait")
        may_go.set()
        for thread in threads:
            thread.join()
    assert sizes == [1, 11]
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 12}


def test_a_request_that_is_alone_commits_alone_and_rings(sqlite_database: Database, keepers: Keepers) -> None:
    rings: list[int] = []
    keeper = keepers(sqlite_database, when_kept=lambda: rings.append(1))
    for number in range(3):
        keeper.keep(envelope(number), NOW)
    assert len(rings) == 3


def test_nobody_rings_for_what_was_not_kept(tmp_path: Any, keepers: Keepers) -> None:
    rings: list[int] = []
    database = Database(f"sqlite:///{tmp_path}/nowhere/joinlog.db")
    with pytest.raises(CommitFailed):
        keepers(database, when_kept=lambda: rings.append(1)).keep(envelope(1), NOW)
    assert rings == []
    database.close()


def test_the_same_event_many_times_in_one_group_is_one_row_with_all_its_deliveries(
    database: Database, monkeypatch: pytest.MonkeyPatch, keepers: Keepers
) -> None:
    keeper = keepers(database, when_kept=lambda: None)
    with slow_store(monkeypatch) as (may_go, sizes):
        threads = [threading.Thread(target=keeper.keep, args=(envelope(n // 4), NOW)) for n in range(9)]
        threads[0].start()
        wait_until(lambda: sizes == [1], "the first request to lead")
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: waiting_in(keeper) == 8, "the others to wait")
        may_go.set()
        for thread in threads:
            thread.join()
    rows = select(database, "SELECT deliveries FROM inbox_event ORDER BY idempotency_key")
    assert [row["deliveries"] for row in rows] == [4, 4, 1]


def test_one_event_the_database_refuses_does_not_take_its_neighbours_with_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, keepers: Keepers
) -> None:
    keeper = keepers(database, when_kept=lambda: None)
    events = [poisoned(n) if n == 3 else envelope(n) for n in range(8)]
    with slow_store(monkeypatch) as (may_go, sizes):
        raised: list[BaseException | None] = []
        everybody = threading.Thread(
            target=lambda: raised.extend(
                all_at_once([lambda e=event: keeper.keep(e, NOW) for event in events])  # type: ignore[misc]
            )
        )
        everybody.start()
        wait_until(lambda: bool(sizes) and waiting_in(keeper) + sizes[0] == 8, "all eight to be in the keeper")
        may_go.set()
        everybody.join()
    assert [type(error) for error in raised] == [CommitFailed if n == 3 else type(None) for n in range(8)]
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 7}
    assert all(is_kept(database, events[n]) for n in range(8) if n != 3)


def test_an_id_that_another_process_took_is_replaced_by_the_next_one(database: Database, keepers: Keepers) -> None:
    taken = int(datetime.now(UTC).timestamp() * 1_000_000) + 10**12
    keep(database, [Arrival(taken, envelope(1), NOW, None), Arrival(taken + 1, envelope(2), NOW, None)])
    keeper = keepers(database, when_kept=lambda: None)
    keeper._last_id = taken - 1
    keeper.keep(envelope(3), NOW)
    assert select(database, "SELECT id FROM inbox_event ORDER BY id") == [
        {"id": taken}, {"id": taken + 1}, {"id": taken + 2},
    ]  # fmt: skip


def test_ids_of_one_process_never_repeat_even_when_the_clock_stands_still(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, keepers: Keepers
) -> None:
    class StoppedClock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> StoppedClock:
            return cls(2026, 11, 22, tzinfo=tz)

    monkeypatch.setattr(keeper_module, "datetime", StoppedClock)
    keeper = keepers(sqlite_database, when_kept=lambda: None)
    for number in range(5):
        keeper.keep(envelope(number), NOW)
    ids = [row["id"] for row in select(sqlite_database, "SELECT id FROM inbox_event ORDER BY id")]
    assert ids == list(range(ids[0], ids[0] + 5))


# --- the store is away ------------------------------------------------------------------------------------------


def not_kept_within(keeper: GroupCommitter, number: int) -> float:
    """How long a request waited to hear that its event was not kept, seconds."""
    began = time.monotonic()
    with pytest.raises(CommitFailed):
        keeper.keep(envelope(number), NOW)
    return time.monotonic() - began


def test_a_database_that_refuses_connections_is_not_kept_at_once(keepers: Keepers) -> None:
    database = Database("postgresql://postgres@127.0.0.1:1/nothing")
    assert not_kept_within(keepers(database, when_kept=lambda: None), 1) < ANSWER_SECONDS_MAX
    database.close()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield int(listener.getsockname()[1])


def answered_late(keeper: GroupCommitter, is_leading: Callable[[], object]) -> list[float]:
    """Two requests, the second while the first one leads: how long each waited, seconds."""
    waits: list[float] = []
    first = threading.Thread(target=lambda: waits.append(not_kept_within(keeper, 1)))
    first.start()
    wait_until(is_leading, "the first request to lead")
    second = threading.Thread(target=lambda: waits.append(not_kept_within(keeper, 2)))
    second.start()
    for thread in (first, second):
        thread.join()
    assert len(waits) == 2
    return waits


def test_a_database_that_never_answers_is_not_kept_before_zoom_has_gone(silent_port: int, keepers: Keepers) -> None:
    database = Database(f"postgresql://postgres@127.0.0.1:{silent_port}/nothing")
    keeper = keepers(database, when_kept=lambda: None)
    waits = answered_late(keeper, lambda: keeper._committing and not keeper._queue)
    assert max(waits) < ANSWER_SECONDS_MAX
    database.close()


def test_a_writer_that_holds_a_sqlite_file_is_answered_before_zoom_has_gone(
    sqlite_database: Database, keepers: Keepers
) -> None:
    keeper = keepers(sqlite_database, when_kept=lambda: None)
    other = sqlite3.connect(str(sqlite_database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        waits = answered_late(keeper, lambda: keeper._committing and not keeper._queue)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert max(waits) < ANSWER_SECONDS_MAX
    # What was answered 503 may still be kept, if its commit was on the way: Zoom sends it again, and it is one event.
    kept = one(sqlite_database, "SELECT count(*) AS n FROM inbox_event")["n"]
    assert kept <= 1


def test_a_lock_that_somebody_holds_on_postgres_is_answered_before_zoom_has_gone(
    postgres_database: Database, keepers: Keepers
) -> None:
    keeper = keepers(postgres_database, when_kept=lambda: None)
    with postgres_database.write() as other:
        other.exec_driver_sql("LOCK TABLE inbox_event IN ACCESS EXCLUSIVE MODE")
        waits = answered_late(keeper, lambda: keeper._committing and not keeper._queue)
    assert max(waits) < ANSWER_SECONDS_MAX


def test_after_an_outage_the_next_event_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch, keepers: Keepers
) -> None:
    keeper = keepers(database, when_kept=lambda: None)
    with monkeypatch.context() as patch:

        def away(*_: object) -> None:
            raise OperationalError("keep", None, Exception("away"))

        patch.setattr(keeper_module, "keep", away)
        with pytest.raises(CommitFailed):
            keeper.keep(envelope(1), NOW)
    keeper.keep(envelope(2), NOW)
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 1}


def test_after_a_failure_nobody_expected_the_next_event_is_kept(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, keepers: Keepers
) -> None:
    keeper = keepers(sqlite_database, when_kept=lambda: None)
    with monkeypatch.context() as patch:

        def overflow(*_: object) -> None:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")  # sqlite3's, and no DBAPIError

        patch.setattr(keeper_module, "keep", overflow)
        with pytest.raises(CommitFailed):
            keeper.keep(envelope(1), NOW)
    keeper.keep(envelope(2), NOW)
    assert is_kept(sqlite_database, envelope(2))
