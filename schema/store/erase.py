"""Finding and rewriting what is personal, in the inbox and in the tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text

from schema.change import Change
from schema.rows import KEY_COLUMNS, Key, Row, key_of
from schema.store.changes import number_changes
from schema.store.codec import row_reader, selected
from schema.store.dialect import Statement, dialect_of, marks, run
from schema.store.save import changes_of, save
from schema.tables import TABLES
from schema.zoom.envelope import UNKNOWN_ACCOUNT

RETENTION_BATCH_EVENTS = 1000


class KeptBody(NamedTuple):
    """One event's key and its body."""

    account_id: str
    id: int
    event_type: str | None
    body: str


def _select(connection: Connection, table: str, where: str, values: Sequence[Any]) -> list[Any]:
    found = run(connection, f"SELECT {selected(table)} FROM {table} t WHERE {where}", values)
    return row_reader(table, dialect_of(connection).has_one_writer)(found)


def read_by_email(connection: Connection, table: str, email: str) -> list[Any]:
    """The rows of `registrant`, `connection`, `participant` or `join_log` that show this address, in every account."""
    return _select(connection, table, "email = ?", (email,))


def read_by_column(connection: Connection, table: str, column: str, values: Iterable[str]) -> list[Any]:
    """The rows whose column (a name of the schema) is one of these values."""
    wanted = sorted(set(values))
    if not wanted:
        return []
    return _select(connection, table, f"{column} IN ({marks(wanted)})", wanted)


def read_mentions(connection: Connection, table: str, text: str) -> list[Any]:
    """The rows of a table in which any column mentions a text, given in lower case; reads the whole table."""
    columns = [column.name for column in TABLES[table].columns if isinstance(column.type, Text)]
    return _select(connection, table, dialect_of(connection).mentions(columns), (text,))


def read_by_account(connection: Connection, table: str, account_id: str, after: Key | None, limit: int) -> list[Any]:
    """The next rows of an account in the order of the key, after one of them."""
    keys = KEY_COLUMNS[table]
    ordered = f"ORDER BY {', '.join(keys)} LIMIT {limit}"
    if after is None:
        return _select(connection, table, f"account_id = ? {ordered}", (account_id,))
    behind = f"({', '.join(keys)}) > ({marks(after)}) AND account_id = ? {ordered}"
    return _select(connection, table, behind, (*after, account_id))


def read_bodies(connection: Connection, account_id: str | None, after: tuple[int, str], limit: int) -> list[KeptBody]:
    """Bodies of an account, or of all, in order of arrival after (id, account_id).

    With an account also those whose account nobody could read: dead letters.
    """
    of_account = f" AND account_id IN (?, '{UNKNOWN_ACCOUNT}')" if account_id is not None else ""
    query = (
        "SELECT account_id, id, event_type, body FROM inbox_event WHERE body IS NOT NULL "
        f"AND (id > ? OR (id = ? AND account_id > ?)){of_account} ORDER BY id, account_id LIMIT ?"
    )
    last_id, last_account = after
    own = (account_id,) if account_id is not None else ()
    found = run(connection, query, (last_id, last_id, last_account, *own, limit))
    return [KeptBody(*row) for row in found]


def count_bodies(connection: Connection, account_id: str | None) -> int:
    """How many bodies an account, or all, have."""
    if account_id is None:
        return int(run(connection, "SELECT count(body) FROM inbox_event")[0][0])
    query = f"SELECT count(body) FROM inbox_event WHERE account_id IN (?, '{UNKNOWN_ACCOUNT}')"
    return int(run(connection, query, (account_id,))[0][0])


def write_bodies(connection: Connection, bodies: Sequence[KeptBody], now: datetime) -> None:
    """Replace bodies. Idempotency keys stay: a delivery that comes again is still the same event."""
    if not bodies:
        return
    dialect = dialect_of(connection)
    query = (
        "UPDATE inbox_event SET body = ?, tracking_id = NULL, request_id = NULL, updated_at = ? "
        "WHERE account_id = ? AND id = ?"
    )
    moment = dialect.parameter(now)
    values = [(kept.body, moment, kept.account_id, kept.id) for kept in bodies]
    dialect.run_all(connection, [Statement(query, values, is_repeated=True)])


def rewrite(
    connection: Connection, table: str, rows: Sequence[tuple[Row, Row]], now: datetime, *, is_theirs: bool
) -> None:
    """Replace rows by others, which may have other keys.

    The feed tells that rows about somebody (`is_theirs`) are gone before it tells of those that take their place, so
    that whoever derived something from them learns of it, too.
    """
    written = {key_of(table, after): after for _, after in rows}
    before = {key_of(table, row) for row, _ in rows}
    change = Change(now, {table: written}, deleted={table: frozenset(before - written.keys())})
    save(connection, change, is_told=False)
    gone = replace(change, deleted={table: frozenset(before)}) if is_theirs else change
    number_changes(connection, changes_of(gone), now)


def count_told_addresses(connection: Connection, after: int) -> int:
    """How many rows that are gone the feed names by an address, in changes after a number."""
    query = "SELECT count(*) FROM change WHERE seq > ? AND operation = 'delete' AND row_key LIKE ?"
    return int(run(connection, query, (after, '%"email:%'))[0][0])


def remove_old_bodies(connection: Connection, before: datetime, now: datetime) -> int:
    """Remove the bodies of settled events received before a moment, RETENTION_BATCH_EVENTS at a time; says how many."""
    query = (
        "UPDATE inbox_event SET body = NULL, updated_at = ? WHERE (account_id, id) IN ("
        "SELECT account_id, id FROM inbox_event WHERE id < ? AND state <> 'pending' AND body IS NOT NULL "
        "ORDER BY id LIMIT ?) RETURNING id"
    )
    microseconds = int(before.timestamp() * 1_000_000)  # ids are microseconds of acceptance
    return len(run(connection, query, (now, microseconds, RETENTION_BATCH_EVENTS)))


def read_departed(connection: Connection, before: datetime) -> list[str]:
    """Accounts that removed the app before a moment, were not heard of since, and were not erased since.

    Joinlog's own events, and what Zoom's API answered when Joinlog asked, are not a sign of the account.
    """
    query = (
        "SELECT d.account_id FROM account_departure d WHERE d.deauthorized_at < ? "
        "AND (d.erased_at IS NULL OR d.erased_at < d.deauthorized_at) "
        "AND NOT EXISTS (SELECT 1 FROM inbox_event e WHERE e.account_id = d.account_id "
        "AND e.event_ts > d.deauthorized_at AND substr(e.event_type, 1, 8) <> 'joinlog.' "
        "AND substr(e.event_type, 1, 5) <> 'zoom.' "
        "AND e.event_type <> 'app_deauthorized')"
    )
    return [row[0] for row in run(connection, query, (before,))]


def note_erased(connection: Connection, account_id: str, now: datetime) -> None:
    """Remember that an account was erased, if it had departed."""
    query = "UPDATE account_departure SET erased_at = ?, updated_at = ? WHERE account_id = ?"
    run(connection, query, (now, now, account_id))
