"""The time of each query a report or a page makes, with a large installation's rows behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter

from sqlalchemy import Connection

from schema.states import EventState
from schema.store import inbox_search, instances, join_log, live, meetings, people, reports
from schema.store.database import Database
from tests.bench.fill import ACCOUNT, BIG_MEETING, WEEKS, fill_reports, occurrence_of, uuid_of
from tests.bench.places import DATABASES, Places
from tests.bench.report import Report, Table, median, ms
from tests.bench.sizes import Size

LINES = 100
NEWEST = join_log.Cursor()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def questions() -> dict[str, Callable[[Connection], object]]:
    """What is asked, in the words of who asks it."""
    big, last = occurrence_of(0), uuid_of(BIG_MEETING, WEEKS - 1)
    return {
        "report: one occurrence, the largest": lambda c: reports.read_occurrence_report(c, ACCOUNT, BIG_MEETING, big),
        "report: that occurrence, person by person": lambda c: people.read_people(c, ACCOUNT, BIG_MEETING, big),
        f"report: a series of {WEEKS} occurrences": lambda c: reports.read_occurrence_report(c, ACCOUNT, BIG_MEETING),
        "live: what runs now": lambda c: live.read_running(c, (), 50),
        "live: one meeting that runs": lambda c: live.read_running(c, (BIG_MEETING,), 50),
        "live: links to decide": lambda c: live.read_reviews(c, (), 50),
        "live: curve of the last hour": lambda c: live.read_changes(c, ACCOUNT, last, LONG_AGO),
        "log: newest lines": lambda c: join_log.read_lines_before(c, NEWEST, LINES),
        "log: newest lines of a meeting": lambda c: join_log.read_lines_before(c, NEWEST, LINES, (BIG_MEETING,)),
        "log: newest lines of a kind": lambda c: join_log.read_lines_before(c, NEWEST, LINES, (), ("ended",)),
        "log: the last batch": lambda c: join_log.count_by_batch(c, datetime.now(UTC)),
        "meeting: its occurrences": lambda c: meetings.read_occurrences(c, ACCOUNT, BIG_MEETING),
        "meeting: its instances": lambda c: meetings.read_instances(c, ACCOUNT, BIG_MEETING),
        "instance: everybody in the largest": lambda c: instances.read_stay_rows(c, ACCOUNT, uuid_of(BIG_MEETING, 0)),
        "inbox: states": inbox_search.count_states,
        "inbox: dead events": lambda c: inbox_search.read_events_before(
            c, inbox_search.Wanted((EventState.DEAD,)), join_log.INT64_MAX, LINES
        ),
    }


def run(places: Places, size: Size, report: Report) -> None:
    """Every question, on both databases."""
    table = Table(
        f"Reports and pages: milliseconds, {size.people:,} participants, {size.crowd:,} in the largest occurrence",
        ["question", *DATABASES],
        notes=["the median of repeated runs after one that warms the cache; rows are read to the last"],
    )
    cells: dict[str, list[str]] = {name: [] for name in questions()}
    for kind in DATABASES:
        with places.temporary(kind) as url:
            fill_reports(url, size.people, size.crowd)
            database = Database(url)
            for name, ask in questions().items():
                cells[name].append(_time(database, ask, size.rounds))
            database.close()
    for name, found in cells.items():
        table.add(name, *found)
    report.tables.append(table)


def _time(database: Database, ask: Callable[[Connection], object], rounds: int) -> str:
    times = []
    for number in range(rounds + 1):
        with database.read() as connection:
            begun = perf_counter()
            ask(connection)
            if number or rounds == 1:
                times.append(perf_counter() - begun)
    return ms(median(times))
