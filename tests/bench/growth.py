"""Does an event cost more when there are years of them? Keeping and draining, with empty and with full tables."""

from __future__ import annotations

import time
from contextlib import ExitStack
from time import perf_counter

from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from schema.zoom.envelope import read_envelope
from tests.bench.drain import LARGEST, PLACES, prepare
from tests.bench.drainer import events_per_second
from tests.bench.events import crowd, encode, webinars
from tests.bench.fill import fill_inbox
from tests.bench.places import DATABASES, Places, moment_of
from tests.bench.report import Report, Table, median, spread
from tests.bench.sizes import Size

GROUP = 20
RATIO_MAX = 1.25


def run(places: Places, size: Size, report: Report) -> None:
    """Databases of every size stand side by side and are measured in turn."""
    table = Table(
        "Growth: microseconds per event",
        ["database", "events there", "keep", "to empty", "drain", "to empty"],
        notes=[
            f"kept durably in groups of {GROUP}, drained in batches of {LARGEST:,}",
            "the tables are as full as those events leave them: a line each, a connection and a stay for every two",
        ],
    )
    for kind in DATABASES:
        with ExitStack() as stack:
            urls = {}
            for events in size.growth:
                urls[events] = stack.enter_context(places.temporary(kind))
                fill_inbox(urls[events], events)
            _one_database(places, kind, urls, size, table, report)
    report.tables.append(table)


def _one_database(places: Places, kind: str, urls: dict[int, str], size: Size, table: Table, report: Report) -> None:
    keeping: dict[int, list[float]] = {events: [] for events in urls}
    draining: dict[int, list[float]] = {events: [] for events in urls}
    for number in range(1 if size.rounds == 1 else size.rounds + 1):  # the first round warms the caches
        for events, url in urls.items():
            first = number * PLACES
            prepare(places, url, size.growth_events // 2, first=first)
            kept = _keep_seconds(url, size.growth_events, first)
            drained = 1 / events_per_second(url, LARGEST)
            if number or size.rounds == 1:
                keeping[events].append(kept * 1e6)
                draining[events].append(drained * 1e6)
    empty = min(urls)
    for events in urls:
        ratios = [[a / b for a, b in zip(found[events], found[empty], strict=True)] for found in (keeping, draining)]
        table.add(
            kind, f"{events:,}", spread(keeping[events]), spread(ratios[0], 2), spread(draining[events]),
            spread(ratios[1], 2),
        )  # fmt: skip
        if events == max(urls):
            for what, found in zip(("keep", "drain"), ratios, strict=True):
                report.reached(
                    f"growth, {kind}, {events:,} events, {what}", f"at most {RATIO_MAX}", f"{median(found):.2f}",
                    median(found) <= RATIO_MAX,
                )  # fmt: skip


def _keep_seconds(url: str, events: int, first: int) -> float:
    """Seconds per event of a durable intake."""
    begin_ms = int(time.time() * 1000)
    envelopes = [read_envelope(encode(event)) for event in crowd(webinars(PLACES, first), events // 2, begin_ms)]
    database = Database(url)
    with database.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    begun = perf_counter()
    for place in range(0, len(envelopes), GROUP):
        some = envelopes[place : place + GROUP]
        ids = range(begin_ms * 1000 + place, begin_ms * 1000 + place + len(some))
        keep(database, [Arrival(n, e, moment_of(n), None) for n, e in zip(ids, some, strict=True)])
    seconds = (perf_counter() - begun) / len(envelopes)
    database.close()
    return seconds
