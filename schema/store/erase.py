"""Finding and rewriting what is personal, in the inbox and in the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text

from schema.store.rows import bare_value, columns_of, from_sqlite, is_postgres, key_of, moment_parameter
from schema.tables import TABLES
from schema.zoom.envelope import UNKNOWN_ACCOUNT

RETENTION_BATCH_EVENTS = 5000
ROWS_AT_ONCE_MAX = 5000

Row = dict[str, Any]


class KeptBody(NamedTuple):
    """One event's key and its body."""

    account_id: str
    id: int
    event_type: str | None
    body: str


def _select(connection: Connection, table: str, where: str, parameters: Sequence[Any]) -> list[Row]:
    query = f"SELECT {columns_of(table)} FROM {table} WHERE {where}"
    text = query.replace("?", "%s") if is_postgres(connection) else query
    names = columns_of(table).split(", ")
    found = connection.exec_driver_sql(text, tuple(parameters))
    if is_postgres(connection):
        return [dict(zip(names, row, strict=True)) for row in found]
    return [from_sqlite(table, list(row)) for row in found]


def read_by_email(connection: Connection, table: str, email: str) -> list[Row]:
    """The rows of `registrant`, `connection`, `participant` or `join_log` that show this address, in every account."""
    return _select(connection, table, "email = ?", (email,))


def read_by_column(connection: Connection, table: str, column: str, values: Iterable[str]) -> list[Row]:
    """The rows whose column (a name of the schema) is one of these values."""
    wanted = sorted(set(values))
    if not wanted:
        return []
    marks = ", ".join("?" * len(wanted))
    return _select(connection, table, f"{column} IN ({marks})", wanted)


def read_mentions(connection: Connection, table: str, text: str) -> list[Row]:
    """The rows of a table in which any column mentions a text, given in lower case; reads the whole table."""
    columns = [column.name for column in TABLES[table].columns if isinstance(column.type, Text)]
    if is_postgres(connection):
        return _select(connection, table, f"strpos(lower(concat_ws(chr(10), {', '.join(columns)})), ?) > 0", (text,))
    words = " || char(10) || ".join(f"coalesce({name}, '')" for name in columns)
    return _select(connection, table, f"instr(lower({words}), ?) > 0", (text,))


def read_by_account(connection: Connection, table: str, account_id: str) -> Iterator[list[Row]]:
    """Every row of an account, ROWS_AT_ONCE_MAX at a time in the order of the key; rows may be rewritten between."""
    keys = [column.name for column in TABLES[table].primary_key]
    ordered = f"ORDER BY {', '.join(keys)} LIMIT {ROWS_AT_ONCE_MAX}"
    rows = _select(connection, table, f"account_id = ? {ordered}", (account_id,))
    while rows:
        yield rows
        last = [bare_value(connection, value) for value in key_of(table, rows[-1])]
        after = f"({', '.join(keys)}) > ({', '.join('?' * len(keys))}) AND account_id = ? {ordered}"
        rows = _select(connection, table, after, (*last, account_id))


def read_bodies(connection: Connection, account_id: str | None, after: tuple[int, str], limit: int) -> list[KeptBody]:
    """Bodies of an account, or of all, in order of arrival after (id, account_id).

    With an account also those whose account nobody could read: dead letters.
    """
    mark = "%s" if is_postgres(connection) else "?"
    of_account = f" AND account_id IN ({mark}, '{UNKNOWN_ACCOUNT}')" if account_id is not None else ""
    query = (
        "SELECT account_id, id, event_type, body FROM inbox_event WHERE body IS NOT NULL "
        f"AND (id > {mark} OR (id = {mark} AND account_id > {mark})){of_account} ORDER BY id, account_id LIMIT {mark}"
    )
    last_id, last_account = after
    own = (account_id,) if account_id is not None else ()
    found = connection.exec_driver_sql(query, (last_id, last_id, last_account, *own, limit))
    return [KeptBody(*row) for row in found]


def count_bodies(connection: Connection, account_id: str | None) -> int:
    """How many bodies an account, or all, have."""
    if account_id is None:
        return int(connection.exec_driver_sql("SELECT count(body) FROM inbox_event").scalar_one())
    mark = "%s" if is_postgres(connection) else "?"
    query = f"SELECT count(body) FROM inbox_event WHERE account_id IN ({mark}, '{UNKNOWN_ACCOUNT}')"
    return int(connection.exec_driver_sql(query, (account_id,)).scalar_one())


def write_bodies(connection: Connection, bodies: Sequence[KeptBody], now: datetime) -> None:
    """Replace bodies. Idempotency keys stay: a delivery that comes again is still the same event."""
    if not bodies:
        return
    mark = "%s" if is_postgres(connection) else "?"
    query = (
        f"UPDATE inbox_event SET body = {mark}, tracking_id = NULL, updated_at = {mark} "
        f"WHERE account_id = {mark} AND id = {mark}"
    )
    moment = moment_parameter(connection, now)
    connection.exec_driver_sql(query, [(kept.body, moment, kept.account_id, kept.id) for kept in bodies])


def remove_old_bodies(connection: Connection, before: datetime, now: datetime) -> int:
    """Remove the bodies of settled events received before a moment, RETENTION_BATCH_EVENTS at a time; says how many."""
    mark = "%s" if is_postgres(connection) else "?"
    query = (
        f"UPDATE inbox_event SET body = NULL, updated_at = {mark} WHERE (account_id, id) IN ("
        f"SELECT account_id, id FROM inbox_event WHERE id < {mark} AND state <> 'pending' AND body IS NOT NULL "
        f"ORDER BY id LIMIT {mark})"
    )
    microseconds = int(before.timestamp() * 1_000_000)  # ids are microseconds of acceptance
    moment = moment_parameter(connection, now)
    return connection.exec_driver_sql(query, (moment, microseconds, RETENTION_BATCH_EVENTS)).rowcount


def read_departed(connection: Connection, before: datetime) -> list[str]:
    """Accounts that removed the app before a moment, were not heard of since, and were not erased since.

    Joinlog's own events (an operator's word) are not a sign of the account.
    """
    mark = "%s" if is_postgres(connection) else "?"
    query = (
        f"SELECT d.account_id FROM account_departure d WHERE d.deauthorized_at < {mark} "
        "AND (d.erased_at IS NULL OR d.erased_at < d.deauthorized_at) "
        "AND NOT EXISTS (SELECT 1 FROM inbox_event e WHERE e.account_id = d.account_id "
        "AND e.event_ts > d.deauthorized_at AND substr(e.event_type, 1, 8) <> 'joinlog.' "
        "AND e.event_type <> 'app_deauthorized')"
    )
    return [row[0] for row in connection.exec_driver_sql(query, (moment_parameter(connection, before),))]


def note_erased(connection: Connection, account_id: str, now: datetime) -> None:
    """Remember that an account was erased, if it had departed."""
    mark = "%s" if is_postgres(connection) else "?"
    query = f"UPDATE account_departure SET erased_at = {mark}, updated_at = {mark} WHERE account_id = {mark}"
    moment = moment_parameter(connection, now)
    connection.exec_driver_sql(query, (moment, moment, account_id))
