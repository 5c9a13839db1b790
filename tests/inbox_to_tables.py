"""Events into the inbox and tables out of it, without HTTP: what the tests of the drain are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import Connection

from schema.store.codec import kinds_of
from schema.store.database import Database
from schema.store.dialect import as_moment, dialect_of, run
from schema.store.inbox import Arrival, keep
from schema.tables import TABLES
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
    kinds = kinds_of(table)
    with database.read() as connection:
        found = run(connection, f"SELECT {', '.join(kinds)} FROM {table}")
    rows = [
        {name: _value(kind, value) for (name, kind), value in zip(kinds.items(), values, strict=True)}
        for values in found
    ]
    return sorted(rows, key=lambda row: repr(list(row.values())))


def is_postgres(database: Database) -> bool:
    """Whether a test runs on Postgres; otherwise it is SQLite."""
    return database.dialect.name == "postgresql"


def insert_rows(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    """Insert rows as they are written down, or replace those whose key exists; one statement."""
    dialect, kinds = dialect_of(connection), kinds_of(table)
    keys = [column.name for column in TABLES[table].primary_key]
    others = ", ".join(f"{name} = excluded.{name}" for name in kinds if name not in keys)
    values = [[row.get(name) for name in kinds] for row in rows]
    conflict = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {others}"
    dialect.run_all(connection, [dialect.upsert(table, kinds, conflict, values)])


def _value(kind: str, value: Any) -> Any:
    if kind == "moment":
        return as_moment(value)
    return bool(value) if kind == "boolean" and value is not None else value


def select(database: Database, query: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """What plain SQL sees; `?` marks a parameter on both databases."""
    with database.read() as connection:
        text, values = dialect_of(connection).for_driver(query, parameters)
        return [dict(row._mapping) for row in connection.exec_driver_sql(text, values)]


def one(database: Database, query: str, parameters: Sequence[Any] = ()) -> Row:
    """The one row a query finds."""
    rows = select(database, query, parameters)
    assert len(rows) == 1, f"{len(rows)} rows for {query}"
    return rows[0]
