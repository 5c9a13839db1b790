"""Committed inbox -> projected, linked, settled: events per second, beside a textbook worker and a bare bulk insert.

The events are joins and leaves of people in ten webinars that run, whose schedules and registrations are known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from redis import Redis
from rq import Queue

from schema.states import EventState
from schema.store.database import Database
from schema.store.inbox import settling
from schema.tables import DERIVED
from tests.bench.drainer import events_per_second
from tests.bench.events import Event, crowd, webinars
from tests.bench.places import DATABASES, Places
from tests.bench.processes import settings
from tests.bench.report import Report, Table, median, spread
from tests.bench.sizes import Size
from tests.bench.textbook import handle
from tests.inbox_to_tables import insert_rows, read_table
from tests.processes import environment
from workers.drain import Drain

PLACES = 10
BULK_EVENTS = 1000
LARGEST = 1000


def run(places: Places, size: Size, report: Report) -> None:
    """Both databases, every batch size, one and two workers, and the references."""
    table = Table(
        "Drain: events per second",
        ["database", "batch", "one worker", "two workers"],
        notes=["half of the events are joins, then the same people leave; ten webinars, everybody registered"],
    )
    beside = Table(
        "Drain: beside", ["database", "reference", "events/s", "Joinlog, one worker, batches of 1,000, is that times"],
        notes=[
            "the textbook writes three rows and the event's state in one commit per event, and links nothing",
            "the bare bulk insert writes the final rows of every table the drain wrote, once each, in as many "
            "transactions of the same durability, and settles the events; it reads and decides nothing",
        ],
    )  # fmt: skip
    for kind in DATABASES:
        _one_database(places, kind, size, report, table, beside)
    report.tables += [table, beside]


def _one_database(places: Places, kind: str, size: Size, report: Report, table: Table, beside: Table) -> None:
    most = max(events for _, events in size.batches)
    with loaded(places, kind, most) as url:
        found: dict[tuple[int, int], list[float]] = {}
        bulk: list[float] = []
        textbook: dict[str, list[float]] = {"forking": [], "simple": []}
        drained = places.copy(url)
        events_per_second(drained, LARGEST)
        for _ in range(size.rounds):
            for batch, events in size.batches:
                for workers in (1, 2):
                    with copied(places, url) as copy:
                        figure = events_per_second(copy, batch, events, workers)
                        found.setdefault((batch, workers), []).append(figure)
            with copied(places, url) as copy:
                bulk.append(_bulk_per_second(drained, copy))
            for name, jobs in zip(textbook, size.textbook_jobs, strict=True):
                with copied(places, url) as copy:
                    textbook[name].append(_textbook_per_second(places, copy, name, jobs))
        places.drop(drained)
    for batch, _ in size.batches:
        table.add(kind, f"{batch:,}", spread(found[batch, 1]), spread(found[batch, 2]))
    own = found[LARGEST, 1]
    for what, figures, wanted in (
        ("default RQ worker, a fork, a job and a commit per event", textbook["forking"], 500),
        ("SimpleWorker, a job and a commit per event", textbook["simple"], 100),
        ("bare bulk insert of the same rows", bulk, 0.3),
    ):
        ratios = [mine / other for mine, other in zip(own, figures, strict=True)]
        digits = 2 if wanted < 1 else 0
        beside.add(kind, what, spread(figures, 1), spread(ratios, digits))
        ratio = median(ratios)
        report.reached(f"drain, {kind}, to {what}", f"{wanted}", f"{ratio:,.{digits}f}", ratio >= wanted)


@contextmanager
def loaded(places: Places, kind: str, events: int) -> Iterator[str]:
    """A database that knows the webinars and the people, with so many pending events."""
    with places.temporary(kind) as url:
        prepare(places, url, events // 2)
        places.keep(url, crowd(webinars(PLACES), events // 2, int(time.time() * 1000)))
        yield url


def prepare(places: Places, url: str, people: int, webinars_count: int = PLACES, first: int = 0) -> None:
    """Schedules, registrations and starts, settled."""
    places.keep(url, _before(people, webinars_count, first))
    database = Database(url, durable=False)
    drain = Drain(database, batch_events=LARGEST)
    while (settled := drain.step()).total:
        assert not settled.dead
    database.close()


def _before(people: int, webinars_count: int, first: int) -> Iterator[Event]:
    known = webinars(webinars_count, first)
    yield from (webinar.created() for webinar in known)
    yield from (known[person % len(known)].registered(person) for person in range(people))
    yield from (webinar.started(int(time.time() * 1000)) for webinar in known)


@contextmanager
def copied(places: Places, url: str) -> Iterator[str]:
    """A copy that is gone afterwards."""
    copy = places.copy(url)
    try:
        yield copy
    finally:
        places.drop(copy)


def _bulk_per_second(drained_url: str, url: str) -> float:
    """Write the rows the drain left behind into the database it began with."""
    drained, database = Database(drained_url), Database(url, durable=False)
    before = {table: {_identity(row) for row in read_table(database, table)} for table in DERIVED}
    rows = {t: [row for row in read_table(drained, t) if _identity(row) not in before[t]] for t in DERIVED}
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT account_id, id FROM inbox_event WHERE state = 'pending'")
        keys: list[tuple[str, int]] = [(row[0], row[1]) for row in found]
    steps = max(1, len(keys) // BULK_EVENTS)
    now = next(iter(rows["participant"]))["updated_at"]
    slices = [{table: share(found, steps, n) for table, found in rows.items()} for n in range(steps)]
    begun = time.perf_counter()
    for number, part in enumerate(slices):
        with database.write() as connection:
            for table, some in part.items():
                insert_rows(connection, table, some)
            settled = settling(database.dialect, share(keys, steps, number), EventState.DONE, now)
            database.dialect.run_all(connection, [settled])
    rate = len(keys) / (time.perf_counter() - begun)
    for opened in (drained, database):
        opened.close()
    return rate


def share(items: list[Any], parts: int, number: int) -> list[Any]:
    """The items of one part."""
    borders = [len(items) * n // parts for n in range(parts + 1)]
    begin, end = list(pairwise(borders))[number]
    return items[begin:end]


def _identity(row: dict[str, Any]) -> str:
    return repr(row)


def _textbook_per_second(places: Places, url: str, name: str, jobs: int) -> float:
    """Enqueue so many events, and let a worker of the given kind work them."""
    database = Database(url)
    with database.read() as connection:
        wanted = connection.exec_driver_sql(
            f"SELECT account_id, id, body FROM inbox_event WHERE state = 'pending' ORDER BY id LIMIT {jobs}"
        ).fetchall()
    database.close()
    connection_to_redis = Redis.from_url(places.redis.url)
    queue = Queue(f"textbook-{name}", connection=connection_to_redis)
    queue.delete(delete_jobs=True)
    for account_id, id_, body in wanted:
        queue.enqueue(handle, json.loads(body), account_id, id_)
    found = subprocess.run(
        [sys.executable, "-m", "tests.bench.textbook", name, queue.name],
        env=environment(**settings(url, places.redis.url)), stdout=subprocess.PIPE, check=True, timeout=300,
    )  # fmt: skip
    seconds = float(found.stdout.split()[-1])
    failed = queue.failed_job_registry.count
    connection_to_redis.close()
    assert not failed, f"{failed} textbook jobs failed"
    return len(wanted) / seconds
