"""The change feed, written: every changed row gets a number, in the transaction that changes it.

Numbers are without a gap and in the order of commits: they are taken by the last statement of a transaction, under a
lock that the commit releases (the row of `change_head`; SQLite's write lock). ARCHITECTURE.md, "The change feed".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from schema.change import Operation, RowChange
from schema.rows import Key
from schema.store.codec import key_kinds
from schema.store.dialect import ChangedRows, Dialect, Statement, dialect_of, utc_text


def numbering(
    dialect: Dialect, changes: Iterable[RowChange], now: datetime, closed: Collection[Key] = ()
) -> list[Statement]:
    """Statements that number these changes, in this order within a table; they must be the last of their transaction.

    `closed` are instances (account_id, uuid) whose stays a statement ended at `now`: those rows are changes, too.
    """
    groups: dict[tuple[str, str, str], list[Sequence[object]]] = {}
    for table, key, operation in changes:
        if table != "participant" or operation is Operation.DELETE or key[:2] not in closed:
            groups.setdefault((str(key[0]), table, str(operation)), []).append(key[1:])
    moments = {table: _moments(table) for _, table, _ in groups}
    packed = [
        ChangedRows(*named, [_as_json(key, moments[named[1]]) for key in keys] if moments[named[1]] else keys)
        for named, keys in groups.items()
    ]
    return dialect.number_changes(packed, now, sorted(closed)) if packed or closed else []


def number_changes(connection: Connection, changes: Iterable[RowChange], now: datetime) -> None:
    """Number these changes, at the end of the transaction that made them."""
    dialect = dialect_of(connection)
    dialect.run_all(connection, numbering(dialect, changes, now))


def _moments(table: str) -> list[int]:
    """Which parts of a key, after account_id, are moments."""
    return [place for place, kind in enumerate(list(key_kinds(table).values())[1:]) if kind == "moment"]


def _as_json(key: Sequence[object], moments: Collection[int]) -> list[object]:
    return [
        utc_text(part) if place in moments and isinstance(part, datetime) else part for place, part in enumerate(key)
    ]
