"""The inbox as the pages show it: page by page, newest first, by state, meeting or instance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.states import EventState
from schema.store.dialect import as_moment, run
from schema.store.inbox_pages import InboxLine

_LINE = ", ".join(InboxLine._fields)


class Wanted(NamedTuple):
    """Which events; empty fields admit everything."""

    states: tuple[EventState, ...] = ()
    meeting_id: int | None = None
    uuid: str | None = None
    account_id: str | None = None


def read_events_before(
    connection: Connection, wanted: Wanted, before_id: int, limit: int, *, with_body: bool = False
) -> list[tuple[InboxLine, str | None]]:
    """The newest events older than this id, newest first.

    By uuid or meeting through their indexes; else by state, through the partial index of that state; else all.
    """
    conditions, values = ["id < ?"], list[Any]([before_id])
    for column, value in (("uuid", wanted.uuid), ("meeting_id", wanted.meeting_id), ("account_id", wanted.account_id)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    body = ", body" if with_body else ", NULL"
    if len(wanted.states) <= 1 or wanted.uuid is not None or wanted.meeting_id is not None:
        if wanted.states:
            conditions.append(_in_states(wanted.states))
        query = f"SELECT {_LINE}{body} FROM inbox_event WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"
        return [_event(row) for row in run(connection, query, (*values, limit))]
    found = [
        event
        for state in wanted.states
        for event in read_events_before(
            connection, wanted._replace(states=(state,)), before_id, limit, with_body=with_body
        )
    ]
    return sorted(found, key=lambda event: event[0].id, reverse=True)[:limit]


def count_states(connection: Connection) -> dict[str, int]:
    """How many events are pending, dead, unhandled or ignored, through the partial indexes; not how many are done."""
    counted = {state.value: 0 for state in EventState if state is not EventState.DONE}
    query = f"SELECT 'pending', count(*) FROM inbox_event WHERE state = 'pending' UNION ALL \
SELECT state, count(*) FROM inbox_event WHERE {_ODD} GROUP BY state"
    return counted | {state: int(count) for state, count in run(connection, query)}


def read_last_received(connection: Connection) -> datetime | None:
    """When the newest event was first received."""
    rows = run(connection, "SELECT received_at FROM inbox_event ORDER BY id DESC LIMIT 1")
    return as_moment(rows[0][0]) if rows else None


def count_types(connection: Connection, newest: int, meeting_id: int | None = None) -> list[tuple[str, int]]:
    """The types of the newest events (of one meeting) and how many of them each has, most first."""
    condition, values = ("WHERE meeting_id = ?", (meeting_id, newest)) if meeting_id is not None else ("", (newest,))
    query = (
        f"SELECT event_type, count(*) FROM (SELECT event_type FROM inbox_event {condition} ORDER BY id DESC LIMIT ?) "
        "AS newest WHERE event_type IS NOT NULL GROUP BY event_type ORDER BY count(*) DESC, event_type"
    )
    return [(name, int(count)) for name, count in run(connection, query, values)]


def read_types_received(connection: Connection, newest: int) -> set[str]:
    """The types among the newest events that Zoom delivered; of ten million events it reads no more than of these."""
    query = (
        "SELECT DISTINCT event_type FROM "
        "(SELECT event_type, source FROM inbox_event ORDER BY id DESC LIMIT ?) AS newest "
        "WHERE event_type IS NOT NULL AND (source IS NULL OR source = 'webhook')"
    )
    return {row[0] for row in run(connection, query, (newest,))}


_ODD = "state IN ('dead', 'unhandled', 'ignored')"
"""The condition of index inbox_event_odd, word for word: SQLite proves nothing weaker."""


def _in_states(states: Sequence[EventState]) -> str:
    """A condition that reaches the partial index where one state is asked for."""
    names = [EventState(state).value for state in states]
    if names == [EventState.PENDING.value]:
        return "state = 'pending'"
    condition = f"state IN ({', '.join(map(repr, names))})"
    return condition if {"pending", "done"} & set(names) else f"{condition} AND {_ODD}"


def _event(row: tuple[Any, ...]) -> tuple[InboxLine, str | None]:
    line = InboxLine(*row[:-1])
    return (
        line._replace(
            event_ts=as_moment(line.event_ts),
            received_at=as_moment(line.received_at),
            last_delivered_at=as_moment(line.last_delivered_at),
            processed_at=as_moment(line.processed_at),
        ),
        row[-1],
    )
