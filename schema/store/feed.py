"""The change feed, read: changes in their order, each with the row as it stands now."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from schema.change import Operation
from schema.rows import KEY_COLUMNS
from schema.store.codec import key_kinds, kinds_of
from schema.store.database import Database
from schema.store.dialect import as_moment, dialect_of, run, utc_text
from schema.tables import FED

READ_CHANGES = 1000  # changes that are read, with their rows, in one transaction
RETENTION_BATCH_CHANGES = 5000  # changes that one transaction of the retention looks at

_encode = msgspec.json.Encoder().encode


class FeedGone(Exception):
    """What follows `after` is not kept any more: read the tables afresh, then go on after `go_on_from`."""

    def __init__(self, go_on_from: int) -> None:
        super().__init__(f"read the tables afresh, then go on after {go_on_from}")
        self.go_on_from = go_on_from


class FedChange(NamedTuple):
    """A change; `key` is the primary key by column. Without a `row` there is none any more, whatever happened."""

    seq: int
    table: str
    key: Mapping[str, Any]
    operation: str
    row: Mapping[str, Any] | None
    meeting_id: int | None = None  # None where no row tells it any more

    def as_line(self) -> bytes:
        """It as a line of JSON, for readers of /feed."""
        return (
            _encode(
                {"seq": self.seq, "table": self.table, "key": self.key, "operation": self.operation, "row": self.row}
            )
            + b"\n"
        )

    def is_of(self, meeting_id: int | None) -> bool:
        """Whether a reader of one meeting, or of all, is told. What is gone with its meeting is told to everybody."""
        return meeting_id is None or self.meeting_id in (meeting_id, None)


class FeedPart(NamedTuple):
    """Changes in their order, and the number after which to go on: that of the last one that was looked at."""

    changes: Sequence[FedChange]
    next_after: int


def read_head(connection: Connection) -> int:
    """The last number that was given."""
    ((seq,),) = run(connection, "SELECT COALESCE(max(seq), 0) FROM change_head")
    return int(seq)


def read_oldest(connection: Connection) -> int:
    """The first number that is kept; the next to come when none is."""
    ((seq,),) = run(connection, "SELECT min(seq) FROM change")
    return int(seq) if seq is not None else read_head(connection) + 1


def read_feed(
    database: Database,
    after: int,
    limit: int = READ_CHANGES,
    tables: Collection[str] = FED,
    meeting_id: int | None = None,
) -> FeedPart:
    """The changes after a number, of some tables, of one meeting or all; READ_CHANGES are looked at, at most.

    Everything it returns survives a crash of the database, so no number is ever given to something else later.
    Raises FeedGone.
    """
    with database.read() as connection:
        rows = _changes_after(connection, after, min(limit, READ_CHANGES))
        wanted = [(*row[:3], json.loads(row[3]), row[4]) for row in rows if row[2] in tables]
        found = _rows_of(connection, wanted)
        changes = [_change(row, found) for row in wanted]
        meetings = _meetings_of(connection, changes)
    if rows:
        database.make_durable()
    told = [change._replace(meeting_id=meetings[change.seq]) for change in changes]
    return FeedPart([change for change in told if change.is_of(meeting_id)], rows[-1][0] if rows else after)


def _changes_after(connection: Connection, after: int, limit: int) -> list[tuple[Any, ...]]:
    """The next changes: since there are no gaps, a first one that is not the next says that some are gone."""
    rows = run(
        connection,
        "SELECT seq, account_id, table_name, row_key, operation FROM change WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    )
    if rows and rows[0][0] == after + 1:
        return rows
    head = read_head(connection)
    if rows or after > head:
        raise FeedGone(head)
    if after < head:  # committed since we looked, or gone
        again = run(connection, "SELECT min(seq) FROM change WHERE seq > ?", (after,))
        if again[0][0] != after + 1:
            raise FeedGone(head)
    return []


def _rows_of(connection: Connection, changes: Iterable[tuple[Any, ...]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows these changes name that are there now, by table and key."""
    keys: dict[str, dict[tuple[Any, ...], None]] = {}
    for _, account_id, table, key, operation in changes:
        if operation == Operation.UPSERT:
            keys.setdefault(table, {})[account_id, *key] = None
    found = {}
    dialect = dialect_of(connection)
    for table, wanted in keys.items():
        kinds, names = kinds_of(table), KEY_COLUMNS[table]
        columns = ", ".join(f"t.{name}" for name in kinds)
        given = [_with_moments(table, key) for key in wanted]
        query = dialect.select_by(columns, table, key_kinds(table))
        for values in run(connection, query, (dialect.pack_keys(key_kinds(table), given),)):
            row = {name: _plain(kind, value) for (name, kind), value in zip(kinds.items(), values, strict=True)}
            found[table, *(row[name] for name in names)] = row
    return found


def _change(change: tuple[Any, ...], found: Mapping[tuple[Any, ...], dict[str, Any]]) -> FedChange:
    seq, account_id, table, key, operation = change
    row = found.get((table, account_id, *key)) if operation == Operation.UPSERT else None
    return FedChange(seq, table, dict(zip(KEY_COLUMNS[table], (account_id, *key), strict=True)), operation, row)


def _meetings_of(connection: Connection, changes: Sequence[FedChange]) -> dict[int, int | None]:
    """The meeting each change is about; None where no row tells it any more."""
    told = {change.seq: (change.row or change.key).get("meeting_id") for change in changes}
    uuids = {change.key["uuid"] for change in changes if told[change.seq] is None and "uuid" in change.key}
    if uuids:
        query = dialect_of(connection).select_by("t.uuid, t.meeting_id", "instance", {"uuid": "text"})
        packed = dialect_of(connection).pack_keys({"uuid": "text"}, [(uuid,) for uuid in sorted(uuids)])
        meetings = dict(tuple(row) for row in run(connection, query, (packed,)))
        told |= {
            change.seq: meetings.get(change.key["uuid"])
            for change in changes
            if told[change.seq] is None and "uuid" in change.key
        }
    return told


def _with_moments(table: str, key: Sequence[Any]) -> tuple[Any, ...]:
    kinds = key_kinds(table).values()
    return tuple(as_moment(part) if kind == "moment" else part for part, kind in zip(key, kinds, strict=True))


def _plain(kind: str, value: Any) -> Any:
    """A value as JSON has it, the same from both databases."""
    if kind == "moment" and value is not None:
        return utc_text(value) if isinstance(value, datetime) else value
    return bool(value) if kind == "boolean" and value is not None else value


def remove_old_changes(connection: Connection, before: datetime) -> int:
    """Remove the oldest changes, as far as they are from before a moment; RETENTION_BATCH_CHANGES are looked at.

    Only ever a beginning of the feed goes: what stays has no gap.
    """
    oldest = f"SELECT seq, changed_at FROM change ORDER BY seq LIMIT {RETENTION_BATCH_CHANGES}"
    query = (
        f"DELETE FROM change WHERE seq <= (SELECT COALESCE(min(CASE WHEN changed_at >= ? THEN seq - 1 END), max(seq)) "
        f"FROM ({oldest}) AS oldest) RETURNING seq"
    )
    return len(run(connection, query, (before,)))


def set_notifies(database: Database, is_on: bool) -> None:
    """Have each batch told by NOTIFY, or not: whoever changes rows obeys."""
    with database.read() as connection:
        stands = run(connection, "SELECT notifies FROM change_head")
    if not stands or bool(stands[0][0]) != is_on:
        with database.write() as connection:
            run(
                connection,
                "INSERT INTO change_head (account_id, seq, notifies) VALUES ('', 0, ?) "
                "ON CONFLICT (account_id) DO UPDATE SET notifies = excluded.notifies",
                (is_on,),
            )
