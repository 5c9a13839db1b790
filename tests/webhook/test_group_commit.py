"""Group commit: nobody is answered before their event is committed, and nobody waits longer than Zoom does."""

from __future__ import annotations

import asyncio
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
from tests.event_loops import run_in_own_thread
from tests.inbox_to_tables import one, select
from tests.signed_requests import encode, read_payload_file
from tests.waiting import wait_until
from webhook import group_commit
from webhook.group_commit import CommitFailed, Delivery, GroupCommitter

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ANSWER_SECONDS_MAX = 3.0  # then Zoom has gone


class Committer:
    """A group committer, and one of the two ways to wait for it: a thread each, or a coroutine on an event loop."""

    def __init__(self, grouped: GroupCommitter, way: str) -> None:
        self.grouped = grouped
        self._is_async = way == "event loop"

    def commit(self, committed: Envelope) -> None:
        """Return once it is committed. Raises CommitFailed."""
        delivery = Delivery(committed, NOW)
        if self._is_async:
            run_in_own_thread(self.grouped.commit_async(delivery))
        else:
            self.grouped.commit(delivery)


MakeCommitter = Callable[..., Committer]


@pytest.fixture(params=["thread", "event loop"])
def make_committer(request: pytest.FixtureRequest) -> Iterator[MakeCommitter]:
    """Makes committers, and closes them before the database they commit to."""
    made: list[GroupCommitter] = []

    def make(database: Database, when_committed: Callable[[], None] = lambda: None) -> Committer:
        made.append(GroupCommitter(database, when_committed=when_committed))
        return Committer(made[-1], str(request.param))

    yield make
    for grouped in made:
        grouped.close()


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
        patch.setattr(group_commit, "keep", slowly)
        yield may_go, sizes


def test_each_request_is_answered_only_after_its_event_is_committed(
    database: Database, make_committer: MakeCommitter
) -> None:
    committer = make_committer(database)

    def keep_and_look(number: int) -> None:
        kept = envelope(number)
        committer.commit(kept)
        assert is_kept(database, kept)

    raised = all_at_once([lambda n=number: keep_and_look(n) for number in range(40)])  # type: ignore[misc]
    assert raised == [None] * 40
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 40}


def test_requests_that_wait_at_the_same_moment_share_one_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch, make_committer: MakeCommitter
) -> None:
    committer = make_committer(database)
    with slow_store(monkeypatch) as (may_go, sizes):
        threads = [threading.Thread(target=committer.commit, args=(envelope(n),)) for n in range(12)]
        threads[0].start()
        wait_until(lambda: sizes == [1], "the first request to lead")
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: committer.grouped.waiting == 11, "eleven more to wait")
        may_go.set()
        for thread in threads:
            thread.join()
    assert sizes == [1, 11]
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 12}


def test_a_request_that_is_alone_commits_alone_and_rings(
    sqlite_database: Database, make_committer: MakeCommitter
) -> None:
    rings: list[int] = []
    committer = make_committer(sqlite_database, lambda: rings.append(1))
    for number in range(3):
        committer.commit(envelope(number))
    wait_until(lambda: len(rings) == 3, "a ring for each")


def test_nobody_rings_for_what_was_not_kept(tmp_path: Any, make_committer: MakeCommitter) -> None:
    rings: list[int] = []
    database = Database(f"sqlite:///{tmp_path}/nowhere/joinlog.db")
    with pytest.raises(CommitFailed):
        make_committer(database, lambda: rings.append(1)).commit(envelope(1))
    assert rings == []
    database.close()


def test_the_same_event_many_times_in_one_group_is_one_row_with_all_its_deliveries(
    database: Database, monkeypatch: pytest.MonkeyPatch, make_committer: MakeCommitter
) -> None:
    committer = make_committer(database)
    with slow_store(monkeypatch) as (may_go, sizes):
        threads = [threading.Thread(target=committer.commit, args=(envelope(n // 4),)) for n in range(9)]
        threads[0].start()
        wait_until(lambda: sizes == [1], "the first request to lead")
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: committer.grouped.waiting == 8, "the others to wait")
        may_go.set()
        for thread in threads:
            thread.join()
    rows = select(database, "SELECT deliveries FROM inbox_event ORDER BY idempotency_key")
    assert [row["deliveries"] for row in rows] == [4, 4, 1]


def test_one_event_the_database_refuses_does_not_take_its_neighbours_with_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, make_committer: MakeCommitter
) -> None:
    committer = make_committer(database)
    events = [poisoned(n) if n == 3 else envelope(n) for n in range(8)]
    with slow_store(monkeypatch) as (may_go, sizes):
        raised: list[BaseException | None] = []
        everybody = threading.Thread(
            target=lambda: raised.extend(
                all_at_once([lambda e=event: committer.commit(e) for event in events])  # type: ignore[misc]
            )
        )
        everybody.start()
        wait_until(lambda: bool(sizes) and committer.grouped.waiting + sizes[0] == 8, "all eight to wait")
        may_go.set()
        everybody.join()
    assert [type(error) for error in raised] == [CommitFailed if n == 3 else type(None) for n in range(8)]
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 7}
    assert all(is_kept(database, events[n]) for n in range(8) if n != 3)


STOPPED_AT = datetime(2026, 11, 22, tzinfo=UTC)
STOPPED_ID = int(STOPPED_AT.timestamp()) * 1_000_000


class StoppedClock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: Any = None) -> StoppedClock:
        """Always the same moment."""
        return cls.fromtimestamp(STOPPED_AT.timestamp(), tz)


def ids_in(database: Database) -> list[int]:
    return [row["id"] for row in select(database, "SELECT id FROM inbox_event ORDER BY id")]


def test_an_id_that_another_process_took_is_replaced_by_the_next_one(
    database: Database, monkeypatch: pytest.MonkeyPatch, make_committer: MakeCommitter
) -> None:
    keep(database, [Arrival(STOPPED_ID + n, envelope(n), NOW, None) for n in range(2)])
    monkeypatch.setattr(group_commit, "datetime", StoppedClock)
    make_committer(database).commit(envelope(2))
    assert ids_in(database) == [STOPPED_ID, STOPPED_ID + 1, STOPPED_ID + 2]


def test_ids_of_one_process_never_repeat_even_when_the_clock_stands_still(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, make_committer: MakeCommitter
) -> None:
    monkeypatch.setattr(group_commit, "datetime", StoppedClock)
    committer = make_committer(sqlite_database)
    for number in range(5):
        committer.commit(envelope(number))
    assert ids_in(sqlite_database) == list(range(STOPPED_ID, STOPPED_ID + 5))


def test_of_many_coroutines_on_one_event_loop_each_hears_of_its_own_commit(sqlite_database: Database) -> None:
    committer = GroupCommitter(sqlite_database, when_committed=lambda: None)
    events = [poisoned(n) if n == 3 else envelope(n) for n in range(8)]

    async def commit_all() -> list[BaseException | None]:
        return await asyncio.gather(
            *(committer.commit_async(Delivery(event, NOW)) for event in events), return_exceptions=True
        )

    raised = run_in_own_thread(commit_all())
    committer.close()
    assert [type(error) for error in raised] == [CommitFailed if n == 3 else type(None) for n in range(8)]
    assert one(sqlite_database, "SELECT count(*) AS n FROM inbox_event") == {"n": 7}


# --- the store is away ------------------------------------------------------------------------------------------


def not_kept_within(committer: Committer, number: int) -> float:
    """How long a request waited to hear that its event was not kept, seconds."""
    began = time.monotonic()
    with pytest.raises(CommitFailed):
        committer.commit(envelope(number))
    return time.monotonic() - began


def test_a_database_that_refuses_connections_is_not_kept_at_once(make_committer: MakeCommitter) -> None:
    database = Database("postgresql://postgres@127.0.0.1:1/nothing")
    assert not_kept_within(make_committer(database), 1) < ANSWER_SECONDS_MAX
    database.close()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield int(listener.getsockname()[1])


def answered_late(committer: Committer, is_leading: Callable[[], object]) -> list[float]:
    """Two requests, the second while the first one leads: how long each waited, seconds."""
    waits: list[float] = []
    first = threading.Thread(target=lambda: waits.append(not_kept_within(committer, 1)))
    first.start()
    wait_until(is_leading, "the first request to lead")
    second = threading.Thread(target=lambda: waits.append(not_kept_within(committer, 2)))
    second.start()
    for thread in (first, second):
        thread.join()
    assert len(waits) == 2
    return waits


def test_a_database_that_never_answers_is_not_kept_before_zoom_has_gone(
    silent_port: int, make_committer: MakeCommitter
) -> None:
    database = Database(f"postgresql://postgres@127.0.0.1:{silent_port}/nothing")
    committer = make_committer(database)
    waits = answered_late(committer, lambda: committer.grouped.committing and not committer.grouped.waiting)
    assert max(waits) < ANSWER_SECONDS_MAX
    database.close()


def test_a_writer_that_holds_a_sqlite_file_is_answered_before_zoom_has_gone(
    sqlite_database: Database, make_committer: MakeCommitter
) -> None:
    committer = make_committer(sqlite_database)
    other = sqlite3.connect(str(sqlite_database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        waits = answered_late(committer, lambda: committer.grouped.committing and not committer.grouped.waiting)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert max(waits) < ANSWER_SECONDS_MAX
    # What was answered 503 may still be kept, if its commit was on the way: Zoom sends it again, and it is one event.
    kept = one(sqlite_database, "SELECT count(*) AS n FROM inbox_event")["n"]
    assert kept <= 1


def test_a_lock_that_somebody_holds_on_postgres_is_answered_before_zoom_has_gone(
    postgres_database: Database, make_committer: MakeCommitter
) -> None:
    committer = make_committer(postgres_database)
    with postgres_database.write() as other:
        other.exec_driver_sql("LOCK TABLE inbox_event IN ACCESS EXCLUSIVE MODE")
        waits = answered_late(committer, lambda: committer.grouped.committing and not committer.grouped.waiting)
    assert max(waits) < ANSWER_SECONDS_MAX


def test_a_repeat_of_an_event_that_a_dead_worker_holds_does_not_hold_up_the_others(
    postgres_database: Database, make_committer: MakeCommitter
) -> None:
    committer = make_committer(postgres_database)
    committer.commit(envelope(1))
    with postgres_database.write() as dead_worker:
        dead_worker.exec_driver_sql("SELECT id FROM inbox_event FOR UPDATE")
        committer.commit(envelope(1))
        committer.commit(envelope(2))
    assert one(postgres_database, "SELECT count(*) AS n, sum(deliveries) AS of FROM inbox_event") == {"n": 2, "of": 2}


def test_after_an_outage_the_next_event_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch, make_committer: MakeCommitter
) -> None:
    committer = make_committer(database)
    with monkeypatch.context() as patch:

        def away(*_: object) -> None:
            raise OperationalError("keep", None, Exception("away"))

        patch.setattr(group_commit, "keep", away)
        with pytest.raises(CommitFailed):
            committer.commit(envelope(1))
    committer.commit(envelope(2))
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 1}


def test_after_a_failure_nobody_expected_the_next_event_is_kept(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, make_committer: MakeCommitter
) -> None:
    committer = make_committer(sqlite_database)
    with monkeypatch.context() as patch:

        def overflow(*_: object) -> None:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")  # sqlite3's, and no DBAPIError

        patch.setattr(group_commit, "keep", overflow)
        with pytest.raises(CommitFailed):
            committer.commit(envelope(1))
    committer.commit(envelope(2))
    assert is_kept(sqlite_database, envelope(2))
