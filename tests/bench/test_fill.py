"""The filling of the benchmarks at the numbers of its largest run, without its size."""

from __future__ import annotations

from schema.store.database import Database
from tests.bench.fill import fill_inbox
from tests.inbox_to_tables import select

FAR = 9_999_000
"""Beyond where a difference in thousandths left four bytes."""


def test_the_last_events_of_ten_million_are_filled_in(database: Database, database_url: str) -> None:
    fill_inbox(database_url, FAR + 1000, first=FAR)
    assert select(database, "SELECT count(*) AS n FROM inbox_event") == [{"n": 1000}]
    assert select(database, "SELECT count(*) AS n FROM participant") == [{"n": 500}]
    spans = "SELECT (SELECT max(joined_at) FROM participant) <= (SELECT max(event_ts) FROM inbox_event) AS it_is"
    assert [bool(row["it_is"]) for row in select(database, spans)] == [True]
