"""Whoever listens is told of every changed row once, in the transaction that changes it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection

from schema.change import Operation, RowChange
from schema.store.codec import key_kinds
from schema.store.database import Database
from schema.tables import DERIVED
from tests.inbox_to_tables import keep_events, read_table, select, take
from tests.stories import WEEK_MINUTES, Story
from workers.drain import Drain
from workers.rebuild import rebuild

w = Story()
WEEKS = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES}
STORY = [
    w.created(0, WEEKS),
    w.registration(1, "created", "ann", WEEKS, status="approved"),
    w.started(60),
    w.person(61, "joined", "1", 60, registrant_id="ann"),
    w.person(62, "joined", "2", 60),
    w.registration(63, "cancelled", "ann"),
    w.relisted(64, {"3001": 60.0 + WEEK_MINUTES}),
    w.ended(90, 60),
]


class Mirror:
    """Follows changes as a downstream system would: it knows which keys there are."""

    def __init__(self) -> None:
        self.keys: dict[str, set[tuple[object, ...]]] = {}
        self.batches: list[list[RowChange]] = []

    def note(self, _connection: Connection, changes: Sequence[RowChange]) -> None:
        """Follow."""
        self.batches.append(list(changes))
        for table, key, operation in changes:
            keys = self.keys.setdefault(table, set())
            keys.discard(key) if operation is Operation.DELETE else keys.add(key)


@pytest.fixture
def mirror(database: Database) -> Mirror:
    made = Mirror()
    database.changes.listen(made.note)
    return made


def keys_in(database: Database, table: str) -> set[tuple[object, ...]]:
    return {tuple(row[name] for name in key_kinds(table)) for row in read_table(database, table)}


def test_a_listener_knows_every_row_there_is(database: Database, mirror: Mirror) -> None:
    for event in STORY:
        take(database, event)
    for table in (*DERIVED, "link_history"):
        assert mirror.keys.get(table, set()) == keys_in(database, table), table


def test_a_row_is_named_once_in_a_transaction(database: Database, mirror: Mirror) -> None:
    take(database, *STORY)
    take(database, *STORY)
    assert mirror.batches
    for changes in mirror.batches:
        assert len(set(changes)) == len(changes)
        assert len({(table, key) for table, key, _ in changes}) == len(changes)


def test_a_rebuild_hands_over_what_it_mends_and_not_what_it_fills_beside(database: Database, mirror: Mirror) -> None:
    take(database, *STORY)
    mirror.batches.clear()
    assert rebuild(database).rows_differing == 0
    assert mirror.batches == []
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM meeting")
    rebuild(database)
    ((only,),) = mirror.batches
    assert (only.table, only.operation) == ("meeting", Operation.UPSERT)


def test_what_a_listener_cannot_take_is_not_committed(database: Database) -> None:
    def refuse(_connection: Connection, _changes: Sequence[RowChange]) -> None:
        raise KeyboardInterrupt

    database.changes.listen(refuse)
    keep_events(database, STORY)
    with pytest.raises(KeyboardInterrupt):
        Drain(database).step()
    assert select(database, "SELECT * FROM meeting") == []
