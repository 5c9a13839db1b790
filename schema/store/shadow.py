"""A second set of the derived tables on one connection, which a rebuild fills beside the live ones.

They are temporary tables of the same names: both databases look there first, so the very statements of the drain
write into them, nobody else sees them, and they are gone when the connection is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.log_kinds import LogKind
from schema.store.database import Database
from schema.store.inbox import DRAIN_LOCK, LOCK_SPACE, Claimed, claimed_from
from schema.store.rows import is_postgres, moment_parameter
from schema.tables import DERIVED, TABLES

SHADOWED = (*DERIVED, "link_history")
NOT_COMPARED = frozenset({"updated_at"})
KEPT_APART = {"account_departure": frozenset({"erased_at"})}  # says what was done here, not what Zoom said
DIFFERENCES_SHOWN_MAX = 20

_IN_TABLES = "(e.state = 'done' OR (e.state = 'pending' AND e.processed_at IS NOT NULL))"
"""Events whose facts are in the tables; one that is pending once more is applied once more, and changes nothing."""


class Difference(NamedTuple):
    """A row that is not what the inbox says it is; `kind` is missing, extra or different."""

    table: str
    kind: str
    key: tuple[Any, ...]


@contextmanager
def shadow_tables(database: Database) -> Iterator[Connection]:
    """A connection on which the derived tables are empty ones of its own."""
    with database.scratch() as connection:
        with connection.begin():
            for table in SHADOWED:
                _make(connection, table)
        try:
            yield connection
        finally:
            if connection.in_transaction():
                connection.rollback()
            with connection.begin():
                for table in SHADOWED:
                    connection.exec_driver_sql(f"DROP TABLE {_shadow(connection)}.{table}")


def _make(connection: Connection, table: str) -> None:
    live = _live(connection)
    if is_postgres(connection):
        connection.exec_driver_sql(f"CREATE TEMP TABLE {table} (LIKE {live}.{table} INCLUDING ALL)")
        return
    rows = connection.exec_driver_sql(
        "SELECT type, name, sql FROM main.sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC",
        (table,),
    ).all()
    for kind, name, sql in rows:
        made = (
            sql.replace(f"CREATE TABLE {table}", f"CREATE TEMP TABLE {table}", 1)
            if kind == "table"
            else sql.replace(f"INDEX {name}", f"INDEX temp.{name}", 1)
        )
        connection.exec_driver_sql(made)


def read_settled(connection: Connection, after: tuple[str, int], limit: int, since: datetime | None) -> list[Claimed]:
    """Events whose facts are in the tables, in order of arrival after (account_id, id); with `since` recent ones."""
    mark = "%s" if is_postgres(connection) else "?"
    recent = "" if since is None else f" AND e.processed_at >= {mark}"
    query = (
        "SELECT e.account_id, e.id, e.idempotency_key, e.event_type, e.event_ts, e.received_at, e.body "
        f"FROM inbox_event e WHERE {_IN_TABLES}{recent} AND (e.id > {mark} OR (e.id = {mark} AND "
        f"e.account_id > {mark})) ORDER BY e.id, e.account_id LIMIT {mark}"
    )
    parameters = () if since is None else (moment_parameter(connection, since),)
    account_id, id_ = after
    return claimed_from(connection.exec_driver_sql(query, (*parameters, id_, id_, account_id, limit)))


def count_settled(connection: Connection) -> tuple[int, int]:
    """How many events have their facts in the tables, and how many of those have no body any more."""
    total, empty = connection.exec_driver_sql(
        f"SELECT count(*), count(*) - count(body) FROM inbox_event e WHERE {_IN_TABLES}"
    ).one()
    return int(total), int(empty)


def stop_drains(connection: Connection) -> None:
    """Hold every drain until the end of this transaction, so that the tables stand still."""
    if is_postgres(connection):
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK_SPACE, DRAIN_LOCK))
    else:
        connection.exec_driver_sql("UPDATE main.alembic_version SET version_num = version_num")  # the write lock


def take_over_links(connection: Connection) -> None:
    """Decisions of the past stay in the log as they were made; those made during the rebuild are not news."""
    live, shadow = _live(connection), _shadow(connection)
    columns = _columns("join_log")
    connection.exec_driver_sql(f"DELETE FROM {shadow}.join_log WHERE kind = '{LogKind.LINK}'")
    connection.exec_driver_sql(
        f"INSERT INTO {shadow}.join_log ({columns}) SELECT {columns} FROM {live}.join_log WHERE kind = '{LogKind.LINK}'"
    )


def differences(connection: Connection, limit: int = DIFFERENCES_SHOWN_MAX) -> tuple[int, list[Difference]]:
    """How many rows differ between the live and the shadow tables, and the first of them."""
    live, shadow = _live(connection), _shadow(connection)
    total = 0
    shown: list[Difference] = []
    for table in DERIVED:
        key = ", ".join(f"one.{column.name}" for column in TABLES[table].primary_key)
        for kind, query in (
            ("missing", f"SELECT {key} FROM {shadow}.{table} one WHERE NOT EXISTS ({_twin(live, table)})"),
            ("extra", f"SELECT {key} FROM {live}.{table} one WHERE NOT EXISTS ({_twin(shadow, table)})"),
            (
                "different",
                f"SELECT {key} FROM {shadow}.{table} one JOIN {live}.{table} two ON {_same_key(table)} "
                f"WHERE {_other_values(connection, table)}",
            ),
        ):
            found = connection.exec_driver_sql(query).all()
            total += len(found)
            shown += [Difference(table, kind, tuple(row)) for row in found[: max(0, limit - len(shown))]]
    return total, shown


def swap(connection: Connection, now: datetime) -> int:
    """Make the live tables equal to the shadow ones, touching only rows that differ; returns how many did.

    Links that change get their line in the diary.
    """
    live, shadow = _live(connection), _shadow(connection)
    mark = "%s" if is_postgres(connection) else "?"
    moment = moment_parameter(connection, now)
    connection.exec_driver_sql(
        f"INSERT INTO {live}.link_history (account_id, uuid, decided_at, meeting_id, from_occurrence_id, "
        f"to_occurrence_id, state, evidence, updated_at) SELECT one.account_id, one.uuid, {mark}, one.meeting_id, "
        f"two.occurrence_id, one.occurrence_id, one.link_state, one.link_evidence, {mark} FROM {shadow}.instance one "
        f"LEFT JOIN {live}.instance two ON {_same_key('instance')} WHERE two.uuid IS NULL "
        f"OR one.occurrence_id {_differs(connection)} two.occurrence_id OR one.link_state {_differs(connection)} "
        "two.link_state",
        (moment, moment),
    )
    changed = 0
    for table in DERIVED:
        changed += connection.exec_driver_sql(
            f"DELETE FROM {live}.{table} AS one WHERE NOT EXISTS ({_twin(shadow, table)})"
        ).rowcount
        kept_apart = KEPT_APART.get(table, frozenset())
        names = [column.name for column in TABLES[table].columns if column.name not in kept_apart]
        keys = [column.name for column in TABLES[table].primary_key]
        values = ", ".join(f"{mark} AS updated_at" if name == "updated_at" else f"one.{name}" for name in names)
        updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
        changed += connection.exec_driver_sql(
            f"INSERT INTO {live}.{table} ({', '.join(names)}) SELECT {values} FROM {shadow}.{table} one "
            f"LEFT JOIN {live}.{table} two ON {_same_key(table)} "
            f"WHERE two.{keys[0]} IS NULL OR {_other_values(connection, table)} "
            f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates}",
            (moment,),
        ).rowcount
    return changed


def _live(connection: Connection) -> str:
    if not is_postgres(connection):
        return "main"
    return str(connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())


def _shadow(connection: Connection) -> str:
    return "pg_temp" if is_postgres(connection) else "temp"


def _columns(table: str) -> str:
    return ", ".join(column.name for column in TABLES[table].columns)


def _same_key(table: str) -> str:
    return " AND ".join(f"two.{column.name} = one.{column.name}" for column in TABLES[table].primary_key)


def _twin(schema: str, table: str) -> str:
    return f"SELECT 1 FROM {schema}.{table} two WHERE {_same_key(table)}"


def _differs(connection: Connection) -> str:
    return "IS DISTINCT FROM" if is_postgres(connection) else "IS NOT"


def _other_values(connection: Connection, table: str) -> str:
    skipped = NOT_COMPARED | KEPT_APART.get(table, frozenset())
    keys = {column.name for column in TABLES[table].primary_key}
    names = [c.name for c in TABLES[table].columns if c.name not in skipped and c.name not in keys]
    return "(" + (" OR ".join(f"one.{name} {_differs(connection)} two.{name}" for name in names) or "FALSE") + ")"
