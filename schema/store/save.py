"""Saving what was decided: every row in one round trip, and its number in the change feed with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import Connection

from schema.change import Change, Operation, RowChange
from schema.rows import KEY_COLUMNS, Key, Row
from schema.store.changes import numbering
from schema.store.codec import columns_of, key_kinds, row_writer, written_columns
from schema.store.dialect import Dialect, Statement, dialect_of

MOVING: Mapping[str, tuple[str, ...]] = {
    "connection": ("joins", "leaves", "reported", "stamps"),
    "participant": ("joined_at", "left_at", "left_is_inferred", "leave_reason", "counts_from"),
}
"""The columns that change when somebody leaves or comes back. A row that exists, and in which nothing else changes, is
written by these alone, so that the other columns' indexes are left in peace."""

_ENDED = "CASE WHEN joined_at > ? THEN joined_at ELSE ? END"
_CLOSE = (
    f"UPDATE participant SET left_at = {_ENDED}, left_is_inferred = TRUE, updated_at = ? "
    "WHERE account_id = ? AND uuid = ? AND joined_at IS NOT NULL AND (left_at IS NULL OR left_is_inferred) "
    f"AND left_at {{differs}} {_ENDED} "
    "AND NOT EXISTS (SELECT 1 FROM participant later WHERE later.account_id = participant.account_id "
    "AND later.uuid = participant.uuid AND later.connection_id = participant.connection_id "
    "AND later.joined_at > participant.joined_at)"
)


def save(connection: Connection, change: Change, settled: Sequence[Statement] = (), *, is_told: bool = True) -> None:
    """Write a change, `settled` with it, and last the numbers of its rows in the feed, in one round trip.

    The drain, a replay, an erasure and an operator's decision all end here, so the feed has one place. `is_told` is
    False for tables that nobody reads.
    """
    dialect = dialect_of(connection)
    closings = [_closing(dialect, key, ended_at, change.now) for key, ended_at in sorted(change.closed.items())]
    statements = [*closings, *_statements(dialect, change), *settled]
    if is_told:
        statements += numbering(dialect, changes_of(change), change.now, change.closed)
    if statements:
        dialect.run_all(connection, statements)


def _statements(dialect: Dialect, change: Change) -> list[Statement]:
    """The statements that delete rows, and insert others or replace every column of those whose key exists."""
    statements = [
        dialect.delete_by(table, key_kinds(table), sorted(keys)) for table, keys in change.deleted.items() if keys
    ]
    for table, rows in change.written.items():
        moved = _moved(rows, change.known[table], table) if table in MOVING and table in change.known else {}
        if moved:
            statements.append(_amending(dialect, table, moved.values(), change.now))
        if len(rows) > len(moved):
            write = row_writer(table)
            values = [write(row, change.now) for key, row in rows.items() if key not in moved]
            conflict = _on_conflict(table, table in change.only_new)
            statements.append(dialect.upsert(table, written_columns(table), conflict, values))
    return statements


def changes_of(change: Change) -> Iterator[RowChange]:
    """The rows it writes and deletes, deleted ones first."""
    for table, keys in change.deleted.items():
        yield from (RowChange(table, key, Operation.DELETE) for key in sorted(keys))
    for table, rows in change.written.items():
        yield from (RowChange(table, key, Operation.UPSERT) for key in rows)


def _moved(rows: Mapping[Key, Row], known: Mapping[Key, Row], table: str) -> dict[Key, Row]:
    """Those of these rows that exist, and of which nothing changes but MOVING."""
    steady = _steady(table)
    return {
        key: row
        for key, row in rows.items()
        if (before := known.get(key)) is not None and steady(row) == steady(before)
    }


def _amending(dialect: Dialect, table: str, rows: Iterable[Row], now: datetime) -> Statement:
    kinds, keys, write = written_columns(table), key_kinds(table), row_writer(table)
    columns = {name: kinds[name] for name in (*MOVING[table], "updated_at")}
    names = list(kinds)
    picked = itemgetter(*(names.index(name) for name in (*columns, *keys)))
    return dialect.amend(table, keys, columns, [picked(write(row, now)) for row in rows])


@cache
def _steady(table: str) -> Callable[[Any], Any]:
    return attrgetter(*(name for name in columns_of(table) if name not in MOVING[table]))


@cache
def _on_conflict(table: str, keeps_existing: bool) -> str:
    """What happens to a row whose key exists."""
    key = KEY_COLUMNS[table]
    if keeps_existing:
        return f"ON CONFLICT ({', '.join(key)}) DO NOTHING"
    values = ", ".join(f"{name} = excluded.{name}" for name in written_columns(table) if name not in key)
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {values}"


def _closing(dialect: Dialect, instance: Key, ended_at: datetime, now: datetime) -> Statement:
    """End the stays nobody saw end with their instance; those that were ended so before move with its end."""
    end = dialect.parameter(ended_at)
    return Statement(_CLOSE.format(differs=dialect.differs), (end, end, dialect.parameter(now), *instance, end, end))
