"""Events into the inbox and tables out of it, without HTTP: what the tests of the drain are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from schema.store.rows import columns_of, from_sqlite
from schema.zoom.envelope import read_envelope
from tests.signed_requests import Event, encode
from workers.drain import Drain, Settled

_ids = count(1_900_000_000_000_000)
RECEIVED_AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)

Row = dict[str, Any]


def keep_events(database: Database, events: Iterable[Event | bytes]) -> None:
    """Commit these events to the inbox in one transaction, as intake does, in this order."""
    arrivals = [Arrival(next(_ids), read_envelope(encode(event)), RECEIVED_AT, None) for event in events]
    if arrivals:
        keep(database, arrivals)


def drain(database: Database, *, batch_events: int = 1000) -> Settled:
    """Settle everything that is pending."""
    worker = Drain(database, batch_events=batch_events)
    total = Settled()
    while (settled := worker.step()).total:
        total = total.plus(settled)
    return total


def take(database: Database, *events: Event | bytes) -> Settled:
    """Keep events and drain them."""
    keep_events(database, events)
    return drain(database)


def read_table(database: Database, table: str) -> list[Row]:
    """Every row of a table, moments aware and flags real, in order of its columns."""
    with database.read() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(f"SELECT {columns_of(table)} FROM {table}")]
    names = columns_of(table).split(", ")
    if database.is_postgres:
        rows = [dict(zip(names, values, strict=True)) for values in found]
    else:
        rows = [from_sqlite(table, values) for values in found]
    return sorted(rows, key=lambda row: repr([row[name] for name in names]))


def select(database: Database, query: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """What plain SQL sees; `?` marks a parameter on both databases."""
    with database.read() as connection:
        text = query.replace("?", "%s") if database.is_postgres else query
        return [dict(row._mapping) for row in connection.exec_driver_sql(text, tuple(parameters))]


def one(database: Database, query: str, parameters: Sequence[Any] = ()) -> Row:
    """The one row a query finds."""
    rows = select(database, query, parameters)
    assert len(rows) == 1, f"{len(rows)} rows for {query}"
    return rows[0]
