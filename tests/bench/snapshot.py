"""Does a reader who holds a snapshot slow the drain? So many events are settled while one does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from schema.store.database import Database
from tests.bench.drain import LARGEST, PLACES, prepare
from tests.bench.events import crowd, webinars
from tests.bench.fill import settle_under_a_snapshot
from tests.bench.places import POSTGRES, Places
from tests.bench.report import Report, Table
from tests.bench.sizes import Size
from workers.drain import Drain, pause_seconds

RATIO_MIN = 0.9
CATCH_UP_EVENTS = 200


def run(places: Places, size: Size, report: Report) -> None:
    """The drain's rate before and after, by one worker that goes on; on Postgres, which keeps what the reader sees."""
    events = size.growth_events
    table = Table(
        "A held snapshot, Postgres: events per second of the drain",
        ["settled while it is held", "at first", "afterwards", "afterwards to at first"],
        notes=[
            f"{events:,} events are drained by one worker with a new snapshot, and {events:,} more at the end",
            "in between events are settled by plain SQL, 10,000 at once, as if they had come at 1,000 a second",
            "then a few events take the worker's cursor behind them, as it would be had the worker settled them itself",
        ],
    )
    with places.temporary(POSTGRES) as url:
        prepare(places, url, 4 * events)
        database = Database(url, durable=False)
        drain = Drain(database, batch_events=LARGEST)
        _rate(places, url, drain, events, 0)  # warms the caches
        with _held_snapshot(url):
            first = _rate(places, url, drain, events, events)
            settle_under_a_snapshot(url, size.snapshot_events)
            _rate(places, url, drain, CATCH_UP_EVENTS, 2 * events)
            last = _rate(places, url, drain, events, 3 * events)
        database.close()
    table.add(f"{size.snapshot_events:,}", f"{first:,.0f}", f"{last:,.0f}", f"{last / first:.2f}")
    report.tables.append(table)
    if size.rounds > 1:
        report.reached(
            f"drain under a snapshot held for {size.snapshot_events:,} events", f"at least {RATIO_MIN}",
            f"{last / first:.2f}", last / first >= RATIO_MIN,
        )  # fmt: skip


def _rate(places: Places, url: str, drain: Drain, events: int, first: int) -> float:
    """Events per second of people who were not there before, counted from `first`."""
    places.keep(url, crowd(webinars(PLACES), events // 2, int(time.time() * 1000), first=first))
    begun, total = time.monotonic(), 0
    while total < events:
        settled = drain.step()
        total += settled.total
        time.sleep(pause_seconds(settled.total, LARGEST))
    return total / (time.monotonic() - begun)


@contextmanager
def _held_snapshot(url: str) -> Iterator[None]:
    """A reader in REPEATABLE READ, as a dump or a BI tool is."""
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM inbox_event")
        yield
        reader.rollback()
