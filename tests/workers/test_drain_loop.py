"""The thread that empties the inbox: rung for, by itself, and never where a signal could raise."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from schema.store.database import Database
from tests.inbox_to_tables import keep_events, select
from tests.signed_requests import read_payload_file
from tests.waiting import wait_until
from workers.drain import Drain
from workers.drain_loop import DrainLoop


def done(database: Database) -> int:
    return len(select(database, "SELECT id FROM inbox_event WHERE state = 'done'"))


@pytest.fixture
def loops(database: Database) -> Iterator[list[DrainLoop]]:
    made: list[DrainLoop] = []
    yield made
    for loop in made:
        loop.stop()


def test_it_looks_when_it_begins_and_when_it_is_rung_for(database: Database, loops: list[DrainLoop]) -> None:
    keep_events(database, [read_payload_file("webinar.started")])
    loops.append(DrainLoop(Drain(database), threading.Event(), look_seconds=3600))
    loops[0].start()
    wait_until(lambda: done(database) == 1, "the first look")
    keep_events(database, [read_payload_file("webinar.ended")])
    loops[0].ring()
    wait_until(lambda: done(database) == 2, "the look it was rung for")


def test_it_looks_by_itself_when_nobody_rings(database: Database, loops: list[DrainLoop]) -> None:
    loops.append(DrainLoop(Drain(database), threading.Event(), look_seconds=0.05))
    loops[0].start()
    keep_events(database, [read_payload_file("webinar.started")])
    wait_until(lambda: done(database) == 1, "a look of its own")


def test_it_outlives_a_database_that_is_away(database: Database, loops: list[DrainLoop]) -> None:
    class Away(Drain):
        failures = 2

        def drain_all(self) -> int:
            if self.failures:
                self.failures -= 1
                raise OSError("away")
            return super().drain_all()

    keep_events(database, [read_payload_file("webinar.started")])
    loops.append(DrainLoop(Away(database), threading.Event(), look_seconds=0.01))
    loops[0].start()
    wait_until(lambda: done(database) == 1, "the look after it")
