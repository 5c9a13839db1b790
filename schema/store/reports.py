"""What reports and the link commands read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from schema.rows import Instance
from schema.store.dialect import as_moment, dialect_of
from schema.store.load import read_rows

MOMENTS = frozenset(
    {
        "scheduled_start",
        "held_from",
        "held_until",
        "started_at",
        "ended_at",
        "first_joined_at",
        "last_left_at",
        "updated_at",
    }
)
FLAGS = frozenset({"is_present", "is_registered", "is_final"})

Row = dict[str, Any]


def _ask(connection: Connection, query: str, parameters: tuple[Any, ...]) -> list[Row]:
    """Rows as dicts, moments aware and flags real on both databases; `?` marks a parameter."""
    text, values = dialect_of(connection).for_driver(query, parameters)
    rows = []
    for found in connection.exec_driver_sql(text, values).mappings():
        row = dict(found)
        for name in MOMENTS & row.keys():
            row[name] = as_moment(row[name])
        for name in FLAGS & row.keys():
            row[name] = None if row[name] is None else bool(row[name])
        rows.append(row)
    return rows


def find_accounts(connection: Connection, meeting_id: int) -> list[str]:
    """The accounts in which anything is known of a meeting."""
    rows = _ask(connection, "SELECT account_id FROM meeting WHERE meeting_id = ? ORDER BY account_id", (meeting_id,))
    return [row["account_id"] for row in rows]


def read_occurrence_report(
    connection: Connection, account_id: str, meeting_id: int, occurrence_id: str | None = None
) -> list[Row]:
    """View `occurrence_report` of one meeting, or of one of its occurrences, in order of time."""
    query = "SELECT * FROM occurrence_report WHERE account_id = ? AND meeting_id = ?"
    if occurrence_id is None:
        rows = _ask(connection, query, (account_id, meeting_id))
    else:
        rows = _ask(connection, f"{query} AND occurrence_id = ?", (account_id, meeting_id, occurrence_id))
    return sorted(rows, key=lambda row: (_order(row), row["occurrence_id"]))


def _order(row: Row) -> str:
    moment = row["scheduled_start"] or row["held_from"]
    return moment.isoformat() if moment else ""


def read_links(connection: Connection, meeting_id: int | None, account_id: str | None) -> list[Row]:
    """The instances of a meeting with their links; without a meeting those that need review."""
    columns = "account_id, meeting_id, uuid, topic, started_at, ended_at, occurrence_id, link_state, link_evidence"
    if meeting_id is None:
        return _ask(connection, f"SELECT {columns} FROM needs_review ORDER BY started_at DESC", ())
    return _ask(
        connection,
        f"SELECT {columns} FROM instance WHERE account_id = ? AND meeting_id = ? ORDER BY started_at",
        (account_id, meeting_id),
    )


def find_instances(connection: Connection, uuid: str) -> list[Instance]:
    """The instance with this uuid, in whichever accounts; an account is part of its key."""
    return read_rows(connection, "instance", ("uuid",), [(uuid,)])


def find_occurrence(connection: Connection, account_id: str, meeting_id: int | None, occurrence_id: str) -> Row | None:
    """One row of `occurrence`, or None."""
    rows = _ask(
        connection,
        "SELECT * FROM occurrence WHERE account_id = ? AND meeting_id = ? AND occurrence_id = ?",
        (account_id, meeting_id, occurrence_id),
    )
    return rows[0] if rows else None


def read_series(connection: Connection, only_waiting: bool, limit: int) -> list[Row]:
    """Every meeting with how many dates and instances it has and what waits, the one last heard of first."""
    of_meeting = "x.account_id = m.account_id AND x.meeting_id = m.meeting_id"
    query = (
        "SELECT account_id, meeting_id, topic, kind, "
        f"(SELECT count(*) FROM occurrence x WHERE {of_meeting}) AS occurrences, "
        f"(SELECT count(*) FROM instance x WHERE {of_meeting}) AS instances, "
        f"(SELECT count(*) FROM needs_review x WHERE {of_meeting}) AS undecided, "
        f"(SELECT count(*) FROM inbox_event x WHERE {of_meeting} AND state IN ('dead', 'unhandled', 'ignored') "
        "AND state = 'dead') AS dead, updated_at FROM meeting m"
    )
    waiting = "WHERE undecided > 0 OR dead > 0" if only_waiting else ""
    order = "ORDER BY updated_at DESC, meeting_id LIMIT ?"
    return _ask(connection, f"SELECT * FROM ({query}) AS series {waiting} {order}", (limit,))
