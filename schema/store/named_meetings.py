"""Which meeting somebody named, and which of its instances and occurrences, where the name says that."""

from __future__ import annotations

from datetime import datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection

from schema.meeting_names import MeetingName
from schema.store.dialect import as_moment, run


class NamedMeeting(NamedTuple):
    """A meeting that was named. `account_id` is None where the name alone does not tell the account."""

    meeting_id: int
    account_id: str | None = None
    uuid: str | None = None
    occurrence_id: str | None = None


def find_named(connection: Connection, name: MeetingName, account_id: str | None = None) -> list[NamedMeeting]:
    """The meetings a name may mean: one for a number; of a uuid those of each account that knows it."""
    if name.number is None:
        query = "SELECT account_id, meeting_id, occurrence_id FROM instance WHERE uuid = ? AND meeting_id IS NOT NULL"
        return [
            NamedMeeting(meeting_id, account, name.uuid, occurrence_id)
            for account, meeting_id, occurrence_id in run(connection, f"{query} ORDER BY account_id", (name.uuid,))
            if account_id in (None, account)
        ]
    return [NamedMeeting(name.number, occurrence_id=_planned(connection, name.number, name.start, account_id))]


def _planned(connection: Connection, number: int, start: datetime | None, account_id: str | None) -> str | None:
    """The one occurrence that was planned for this time, in the meeting's zone; of a day alone any time of it."""
    if start is None:
        return None
    query = (
        "SELECT o.account_id, o.occurrence_id, o.scheduled_start, m.timezone FROM occurrence o JOIN meeting m "
        "ON m.account_id = o.account_id AND m.meeting_id = o.meeting_id "
        "WHERE o.meeting_id = ? AND o.scheduled_start IS NOT NULL AND (o.status IS NULL OR o.status <> 'retired')"
    )
    found = []
    for account, occurrence_id, moment, timezone in run(connection, query, (number,)):
        planned = as_moment(moment)
        if planned is None or account_id not in (None, account):
            continue
        local = planned.astimezone(_zone(timezone)).replace(tzinfo=None)
        if local == start or (start.time() == time() and local.date() == start.date()):
            found.append(occurrence_id)
    return found[0] if len(found) == 1 else None


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
