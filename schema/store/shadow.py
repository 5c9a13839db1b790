"""A second set of the derived tables on one connection, which a rebuild fills beside the live ones.

They are temporary tables of the same names: both databases look there first, so the very statements of the drain
write into them, nobody else sees them, and they are gone when the connection is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.change import Operation, RowChange
from schema.log_kinds import LogKind
from schema.rows import KEY_COLUMNS, Key
from schema.store.codec import key_kinds
from schema.store.database import Database
from schema.store.dialect import as_moment, dialect_of, run
from schema.store.inbox import CLAIMED, Claimed, claimed_from
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
                dialect_of(connection).make_shadow(connection, table)
        try:
            yield connection
        finally:
            if connection.in_transaction():
                connection.rollback()
            with connection.begin():
                for table in SHADOWED:
                    run(connection, f"DROP TABLE {_shadow(connection)}.{table}")


def read_settled(connection: Connection, after: tuple[str, int], limit: int, since: datetime | None) -> list[Claimed]:
    """Events whose facts are in the tables, in order of arrival after (account_id, id); with `since` recent ones."""
    recent = "" if since is None else " AND e.processed_at >= ?"
    query = (
        f"SELECT {', '.join(f'e.{name}' for name in CLAIMED)} FROM inbox_event e WHERE {_IN_TABLES}{recent} "
        "AND (e.id > ? OR (e.id = ? AND e.account_id > ?)) ORDER BY e.id, e.account_id LIMIT ?"
    )
    account_id, id_ = after
    parameters = () if since is None else (since,)
    return claimed_from(run(connection, query, (*parameters, id_, id_, account_id, limit)))


def count_settled(connection: Connection) -> tuple[int, int]:
    """How many events have their facts in the tables, and how many of those have no body any more."""
    query = f"SELECT count(*), count(*) - count(body) FROM inbox_event e WHERE {_IN_TABLES}"
    ((total, empty),) = run(connection, query)
    return int(total), int(empty)


def stop_drains(connection: Connection) -> None:
    """Hold every drain until the end of this transaction, so that the tables stand still."""
    dialect_of(connection).hold_drains(connection)


def take_over_links(connection: Connection) -> None:
    """Decisions of the past stay in the log as they were made; those made during the rebuild are not news."""
    live, shadow = _live(connection), _shadow(connection)
    columns, decided = _columns("join_log"), f"kind = '{LogKind.LINK}'"
    run(connection, f"DELETE FROM {shadow}.join_log WHERE {decided}")
    run(
        connection,
        f"INSERT INTO {shadow}.join_log ({columns}) SELECT {columns} FROM {live}.join_log WHERE {decided}",
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
            found = run(connection, query)
            total += len(found)
            shown += [Difference(table, kind, tuple(row)) for row in found[: max(0, limit - len(shown))]]
    return total, shown


def swap(connection: Connection, now: datetime) -> list[RowChange]:
    """Make the live tables equal to the shadow ones, touching only rows that differ; returns those that did.

    Links that change get their entry in the link history.
    """
    live, shadow, differs = _live(connection), _shadow(connection), dialect_of(connection).differs
    decided = run(
        connection,
        f"INSERT INTO {live}.link_history (account_id, uuid, decided_at, meeting_id, from_occurrence_id, "
        f"to_occurrence_id, state, evidence, updated_at) SELECT one.account_id, one.uuid, ?, one.meeting_id, "
        f"two.occurrence_id, one.occurrence_id, one.link_state, one.link_evidence, ? FROM {shadow}.instance one "
        f"LEFT JOIN {live}.instance two ON {_same_key('instance')} WHERE two.uuid IS NULL "
        f"OR one.occurrence_id {differs} two.occurrence_id OR one.link_state {differs} two.link_state "
        "RETURNING account_id, uuid, decided_at",
        (now, now),
    )
    changes = [RowChange("link_history", _key("link_history", row), Operation.UPSERT) for row in decided]
    for table in DERIVED:
        keys = KEY_COLUMNS[table]
        returned = f"RETURNING {', '.join(keys)}"
        gone = run(
            connection, f"DELETE FROM {live}.{table} AS one WHERE NOT EXISTS ({_twin(shadow, table)}) {returned}"
        )
        changes += [RowChange(table, _key(table, row), Operation.DELETE) for row in gone]
        kept_apart = KEPT_APART.get(table, frozenset())
        names = [column.name for column in TABLES[table].columns if column.name not in kept_apart]
        values = ", ".join("? AS updated_at" if name == "updated_at" else f"one.{name}" for name in names)
        updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
        written = run(
            connection,
            f"INSERT INTO {live}.{table} ({', '.join(names)}) SELECT {values} FROM {shadow}.{table} one "
            f"LEFT JOIN {live}.{table} two ON {_same_key(table)} "
            f"WHERE two.{keys[0]} IS NULL OR {_other_values(connection, table)} "
            f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates} {returned}",
            (now,),
        )
        changes += [RowChange(table, _key(table, row), Operation.UPSERT) for row in written]
    return changes


def _key(table: str, values: Sequence[Any]) -> Key:
    """A key as the database returned it."""
    kinds = key_kinds(table)
    return tuple(
        as_moment(value) if kind == "moment" else value for value, kind in zip(values, kinds.values(), strict=True)
    )


def _live(connection: Connection) -> str:
    return dialect_of(connection).live_schema(connection)


def _shadow(connection: Connection) -> str:
    return dialect_of(connection).shadow_schema


def _columns(table: str) -> str:
    return ", ".join(column.name for column in TABLES[table].columns)


def _same_key(table: str) -> str:
    return " AND ".join(f"two.{column.name} = one.{column.name}" for column in TABLES[table].primary_key)


def _twin(schema: str, table: str) -> str:
    return f"SELECT 1 FROM {schema}.{table} two WHERE {_same_key(table)}"


def _other_values(connection: Connection, table: str) -> str:
    skipped = NOT_COMPARED | KEPT_APART.get(table, frozenset())
    keys = {column.name for column in TABLES[table].primary_key}
    names = [c.name for c in TABLES[table].columns if c.name not in skipped and c.name not in keys]
    differs = dialect_of(connection).differs
    return "(" + (" OR ".join(f"one.{name} {differs} two.{name}" for name in names) or "FALSE") + ")"
