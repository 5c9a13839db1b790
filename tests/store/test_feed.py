"""The change feed: every change once, without a gap, in the order of commits, and enough to make a copy from."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import structlog

from schema.change import Operation, RowChange
from schema.rows import KEY_COLUMNS
from schema.store.changes import number_changes
from schema.store.database import Database
from schema.store.feed import FedChange, FeedGone, read_feed, read_head, set_notifies
from schema.tables import FED, OF_FEED
from tests.core.law import batches
from tests.core.law_stories import PEOPLE_STORIES, STORIES
from tests.inbox_to_tables import keep_events, one, read_table, select, take
from tests.stories import WEEK_MINUTES, Json, Story
from workers.drain import Drain
from workers.erase import erase_account, erase_person
from workers.rebuild import rebuild
from workers.retention import remove_changes

w = Story()
WEEKS = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES}
STORY = [
    w.created(0, WEEKS),
    w.registration(1, "created", "ann", WEEKS, status="approved", email="ann@example.com"),
    w.started(60),
    w.person(61, "joined", "1", 60, registrant_id="ann"),
    w.person(62, "joined", "2", 60),
    w.registration(63, "cancelled", "ann"),
    w.relisted(64, {"3001": 60.0 + WEEK_MINUTES}),
    w.ended(90, 60),
]


class Copy:
    """Follows the feed as a downstream system does: all it knows is what it read there."""

    def __init__(self, after: int = 0) -> None:
        self.after = after
        self.rows: dict[str, dict[tuple[Any, ...], Any]] = {}
        self.seen: list[FedChange] = []

    def follow(self, database: Database, limit: int = 1000) -> list[FedChange]:
        """Read on to the end; returns what was new."""
        begin = len(self.seen)
        while True:
            part = read_feed(database, self.after, limit)
            if part.next_after == self.after:
                return self.seen[begin:]
            assert [change.seq for change in part.changes] == list(range(self.after + 1, part.next_after + 1))
            self.after = part.next_after
            self.seen += part.changes
            for change in part.changes:
                rows = self.rows.setdefault(change.table, {})
                if change.row is None:
                    rows.pop(tuple(change.key.values()), None)
                else:
                    rows[tuple(change.key.values())] = change.row


def copy_of(database: Database) -> dict[str, Any]:
    """What a copy must be: every row of the tables that the feed tells of."""
    tables: dict[str, Any] = {}
    for table in FED:
        rows = read_table(database, table)
        for row in rows:
            for name, value in row.items():
                if isinstance(value, datetime):
                    row[name] = f"{value.astimezone(UTC).isoformat(timespec='microseconds')[:26]}Z"
        if rows:
            tables[table] = {tuple(row[name] for name in KEY_COLUMNS[table]): row for row in rows}
    return tables


def assert_equal(copy: Copy, database: Database) -> None:
    copy.follow(database)
    assert {table: rows for table, rows in copy.rows.items() if rows} == copy_of(database)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))


# --- what it tells ----------------------------------------------------------------------------------------------


def test_a_copy_made_from_it_equals_the_tables_after_every_event(database: Database) -> None:
    copy = Copy()
    for event in STORY:
        take(database, event)
        assert_equal(copy, database)
    assert {"participant", "occurrence", "link_history"} <= copy.rows.keys()


def test_a_copy_equals_the_tables_after_every_story_of_the_law(database: Database) -> None:
    """In any order, with doubled events, in one database: each story is of an account of its own."""
    copy = Copy()
    for number, events in enumerate([*STORIES.values(), *PEOPLE_STORIES.values()]):
        luck = random.Random(number)
        for batch in batches(luck.sample(events, len(events)), luck):
            keep_events(database, [_of_account(event, f"A{number}") for event in batch])
        Drain(database).step()
        copy.follow(database, limit=luck.choice((1, 7, 1000)) if number % 10 == 0 else 1000)
    assert_equal(copy, database)


def _of_account(event: Json, account_id: str) -> Json:
    return event | {"payload": event["payload"] | {"account_id": account_id}}


def test_a_row_is_told_once_in_a_batch_and_a_repeated_event_tells_nothing(database: Database) -> None:
    copy = Copy()
    take(database, *STORY)
    told = [(change.table, *change.key.values()) for change in copy.follow(database)]
    assert len(set(told)) == len(told)
    take(database, *STORY)
    assert copy.follow(database) == []


def test_stays_that_end_with_their_instance_are_told(database: Database) -> None:
    copy = Copy()
    take(database, *STORY[:-1])
    copy.follow(database)
    take(database, STORY[-1])
    stays = [change for change in copy.follow(database) if change.table == "participant"]
    assert len(stays) == 2
    assert all(change.row is not None and change.row["left_at"] is not None for change in stays)


def test_a_rebuild_tells_what_it_mends_and_not_what_it_fills_beside(database: Database) -> None:
    copy = Copy()
    take(database, *STORY)
    copy.follow(database)
    assert rebuild(database).rows_differing == 0
    assert copy.follow(database) == []
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM meeting")
    rebuild(database)
    (only,) = copy.follow(database)
    assert (only.table, only.operation) == ("meeting", Operation.UPSERT)
    assert_equal(copy, database)


def test_the_rows_of_an_erased_person_are_told_as_gone_and_those_in_their_place_after_them(database: Database) -> None:
    copy = Copy()
    take(database, *STORY)
    copy.follow(database)
    erase_person(database, "ann@example.com")
    told = [(change.table, change.operation) for change in copy.follow(database)]
    for table in ("registrant", "participant", "connection"):
        assert told.index((table, Operation.DELETE)) < told.index((table, Operation.UPSERT))
    assert_equal(copy, database)
    assert "ann@example.com" not in repr(copy.rows)


def test_a_row_whose_key_holds_the_address_is_told_as_gone_and_the_erasure_says_so(database: Database) -> None:
    """Zoom gave the registrant no id: only by the old key can a copy find the row it has to remove."""
    copy = Copy()
    take(
        database,
        *STORY[:1],
        w.registration(1, "created", "bob", WEEKS, status="approved", id=None, email="bob@example.com"),
    )
    copy.follow(database)
    assert "bob@example.com" in repr(copy.rows)
    remains = erase_person(database, "bob@example.com").remains
    assert "names 2 erased rows by an address" in str(remains)
    assert_equal(copy, database)
    assert "bob@example.com" not in repr(copy.rows)


def test_an_account_that_is_erased_is_told_too(database: Database) -> None:
    copy = Copy()
    take(database, *STORY)
    copy.follow(database)
    erase_account(database, w.account)
    assert {change.operation for change in copy.follow(database)} == {Operation.DELETE, Operation.UPSERT}
    assert_equal(copy, database)


def test_what_is_not_committed_is_not_told_and_leaves_no_gap(database: Database) -> None:
    take(database, *STORY[:2])
    with database.read() as connection:
        before = read_head(connection)
    with suppress(ZeroDivisionError), database.write() as connection:
        number_changes(connection, [RowChange("meeting", ("A", 1), Operation.DELETE)], datetime.now(UTC))
        raise ZeroDivisionError
    take(database, STORY[2])
    copy = Copy()
    copy.follow(database)
    assert [change.seq for change in copy.seen] == list(range(1, len(copy.seen) + 1))
    assert copy.after > before


# --- how far back -----------------------------------------------------------------------------------------------


def test_a_reader_from_before_the_retention_is_told_where_to_go_on(database: Database) -> None:
    take(database, *STORY)
    with database.read() as connection:
        head = read_head(connection)
    assert remove_changes(database, 30) == 0
    assert remove_changes(database, 30, datetime.now(UTC) + timedelta(days=31)) == head
    with pytest.raises(FeedGone) as gone:
        read_feed(database, head - 1)
    assert gone.value.go_on_from == head
    assert read_feed(database, head).changes == []
    take(database, w.person(95, "joined", "3", 60))
    assert read_feed(database, head).changes[0].seq == head + 1


def test_retention_takes_a_beginning_and_never_a_middle(database: Database) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for days in (0, 40, 10, 50):  # a batch that was decided early may be numbered late
        with database.write() as connection:
            number_changes(connection, [RowChange("meeting", ("A", days), Operation.DELETE)], at + timedelta(days=days))
    assert remove_changes(database, 30, at + timedelta(days=60)) == 1
    assert [row["seq"] for row in select(database, "SELECT seq FROM change ORDER BY seq")] == [2, 3, 4]
    with pytest.raises(FeedGone):  # what comes first is not what comes next
        read_feed(database, 0)
    assert [change.seq for change in read_feed(database, 1).changes] == [2, 3, 4]


def test_a_reader_ahead_of_the_feed_is_told_so(database: Database) -> None:
    """As after a restore: its numbers are of another past."""
    take(database, *STORY)
    with pytest.raises(FeedGone):
        read_feed(database, 1_000_000)


# --- order, with any number of workers --------------------------------------------------------------------------

WRITERS, BATCHES = 2, 40


def _write(database: Database, name: str, failures: list[BaseException]) -> None:
    """Batches of changes as a worker commits them, with pauses, some of them taken back."""
    luck = random.Random(name)
    try:
        for number in range(BATCHES):
            keys = [(name, number * 100 + place) for place in range(luck.randint(1, 30))]
            changes = [RowChange("meeting", key, Operation.DELETE) for key in keys]
            with suppress(ZeroDivisionError), database.write() as connection:
                time.sleep(luck.random() * 0.002)
                number_changes(connection, changes, datetime.now(UTC))
                time.sleep(luck.random() * 0.004)
                if luck.random() < 0.3:
                    raise ZeroDivisionError
    except BaseException as error:
        failures.append(error)


def test_nothing_new_appears_below_what_a_reader_saw(database: Database) -> None:
    """Two workers commit and take back; a reader that looks all the time never meets a gap, nor anything twice."""
    failures: list[BaseException] = []
    writers = [threading.Thread(target=_write, args=(database, f"w{n}", failures)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    copy = Copy()
    while any(writer.is_alive() for writer in writers):
        copy.follow(database)  # `follow` holds that each number is the last one and one
    copy.follow(database)
    assert failures == []
    told = [row["seq"] for row in select(database, "SELECT seq FROM change ORDER BY seq")]
    assert [change.seq for change in copy.seen] == told == list(range(1, len(told) + 1))
    for name in ("w0", "w1"):  # and in the order in which each worker committed
        numbers = [change.key["meeting_id"] for change in copy.seen if change.key["account_id"] == name]
        assert numbers == sorted(numbers)
        assert numbers


def test_two_workers_drain_side_by_side_and_the_copy_is_whole(postgres_url: str) -> None:
    reading = Database(postgres_url)
    events: list[Json] = []
    for meeting in range(8):
        story = Story(meeting_id=84_000_000_000 + meeting)
        events += [story.created(0, WEEKS), story.started(60, f"run-{meeting}==")]
        events += [story.person(61 + n, "joined", str(n), 60, f"run-{meeting}==") for n in range(8)]
        events += [story.ended(90, 60, f"run-{meeting}==")]
    keep_events(reading, random.Random(1).sample(events, len(events)))
    databases = [Database(postgres_url, durable=False) for _ in range(2)]
    threads = [threading.Thread(target=Drain(database, batch_events=5).drain_all) for database in databases]
    for thread in threads:
        thread.start()
    copy = Copy()
    while any(thread.is_alive() for thread in threads):
        copy.follow(reading)
    assert_equal(copy, reading)
    for database in (*databases, reading):
        database.close()


# --- NOTIFY -----------------------------------------------------------------------------------------------------


@pytest.fixture
def listener(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("LISTEN joinlog_change")
        yield connection


def test_a_batch_is_told_by_one_notify_at_most_and_by_none_unless_it_is_wanted(
    postgres_url: str, listener: psycopg.Connection[Any]
) -> None:
    database = Database(postgres_url)
    take(database, *STORY[:4])
    set_notifies(database, True)
    take(database, *STORY[4:])
    set_notifies(database, False)
    take(database, w.person(95, "joined", "3", 60))
    told = list(listener.notifies(timeout=0.2))
    assert len(told) == 1
    newest = "SELECT max(seq) AS seq FROM change WHERE changed_at < (SELECT max(changed_at) FROM change)"
    assert int(told[0].payload) == one(database, newest)["seq"]
    database.close()


def test_the_feed_is_not_told_of_itself() -> None:
    assert not set(OF_FEED) & set(FED)


def test_an_installation_that_had_rows_before_it_had_a_feed_is_read_afresh(database: Database) -> None:
    """As migration 0014 leaves it: the head stands at 1, and nothing is told of what was there."""
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE change_head SET seq = 1")
    with pytest.raises(FeedGone) as gone:
        read_feed(database, 0)
    assert gone.value.go_on_from == 1
    assert one(database, "SELECT seq FROM change_head") == {"seq": 1}
