"""The inbox as people look at it: its newest events, one event whole, and events set pending again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.states import EventState, states_before
from schema.store.dialect import as_moment, dialect_of, run

ODD_STATES = frozenset({EventState.DEAD, EventState.UNHANDLED, EventState.IGNORED})


class Choice(NamedTuple):
    """Which events: those that fit everything that is given. No states: those in any state."""

    states: Sequence[EventState] = ()
    event_type: str | None = None
    meeting_id: int | None = None
    ids: Sequence[int] = ()


class InboxLine(NamedTuple):
    """One event of the inbox, without its body."""

    account_id: str
    id: int
    state: str
    event_type: str | None
    event_ts: datetime | None
    meeting_id: int | None
    uuid: str | None
    received_at: datetime | None
    last_delivered_at: datetime | None
    processed_at: datetime | None
    deliveries: int
    tracking_id: str | None
    request_id: str | None
    error: str | None


_LINE = ", ".join(InboxLine._fields)
_REPLAYABLE = (
    "event_type IS NOT NULL AND body IS NOT NULL "
    f"AND state IN ({', '.join(map(repr, states_before(EventState.PENDING)))})"
)
"""A body that was no event stays dead, and one that retention removed stays what it was: there is nothing to apply."""


def read_inbox_page(connection: Connection, choice: Choice, limit: int) -> list[InboxLine]:
    """The newest events that fit, newest first."""
    condition, values = _condition(choice)
    query = f"SELECT {_LINE} FROM inbox_event WHERE {condition} ORDER BY id DESC LIMIT ?"
    return [_line(row) for row in run(connection, query, (*values, limit))]


def read_inbox_event(connection: Connection, id_: int) -> list[tuple[InboxLine, str | None]]:
    """The event with this id, and its body; in the rarest case two accounts have one with the same id."""
    rows = run(connection, f"SELECT {_LINE}, body FROM inbox_event WHERE id = ? ORDER BY account_id", (id_,))
    return [(_line(row[:-1]), row[-1]) for row in rows]


def count_replayable(connection: Connection, choice: Choice) -> int:
    """How many events `set_pending_again` would find."""
    condition, values = _condition(choice)
    query = f"SELECT count(*) FROM inbox_event WHERE {condition} AND {_REPLAYABLE}"
    return int(run(connection, query, tuple(values))[0][0])


def set_pending_again(
    connection: Connection, choice: Choice, after_id: int, limit: int, now: datetime
) -> tuple[int, int]:
    """Set the oldest `limit` fitting events after this id pending; returns how many, and the id of the last of them.

    Those that were done keep `processed_at`: their facts are in the tables, and a rebuild has to know it.
    """
    condition, values = _condition(choice)
    query = (
        "UPDATE inbox_event SET processed_at = CASE WHEN state = 'done' THEN processed_at END, "
        "state = 'pending', error = NULL, updated_at = ? "
        f"WHERE (account_id, id) IN (SELECT account_id, id FROM inbox_event WHERE id > ? AND {condition} "
        f"AND {_REPLAYABLE} ORDER BY id LIMIT ? {dialect_of(connection).update_lock}) RETURNING id"
    )
    ids = [row[0] for row in run(connection, query, (now, after_id, *values, limit))]
    return len(ids), max(ids, default=after_id)


def _condition(choice: Choice) -> tuple[str, list[Any]]:
    """States are written out, so that the partial indexes are used; everything else is a parameter."""
    conditions, values = ["1 = 1"], list[Any]()
    if choice.states:
        conditions.append(f"state IN ({', '.join(repr(EventState(state).value) for state in choice.states)})")
        if {EventState(state) for state in choice.states} <= ODD_STATES:
            conditions.append("state IN ('dead', 'unhandled', 'ignored')")  # word for word, for SQLite's partial index
    for column, value in (("event_type", choice.event_type), ("meeting_id", choice.meeting_id)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if choice.ids:
        conditions.append(f"id IN ({', '.join('?' * len(choice.ids))})")
        values += choice.ids
    return " AND ".join(conditions), values


def _line(row: Any) -> InboxLine:
    line = InboxLine(*row)
    return line._replace(
        event_ts=as_moment(line.event_ts),
        received_at=as_moment(line.received_at),
        last_delivered_at=as_moment(line.last_delivered_at),
        processed_at=as_moment(line.processed_at),
    )
