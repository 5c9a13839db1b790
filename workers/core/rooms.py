"""Personal meeting ids: the number under which meetings run that are scheduled with `settings.use_pmi`. Pure.

Such a meeting has a number of its own, and its instances and their people come under the host's number. Here is what
follows from one row alone; `workers.core.placing` decides which meeting an instance was of.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from schema.rows import Connection, Instance, Key, Meeting
from schema.zoom.payloads import to_milliseconds

ROOM_TYPE = 4  # https://developers.zoom.us/docs/api/meetings/, field `type`: a personal meeting room

Placed = TypeVar("Placed", Instance, Connection)


def with_room(meeting: Meeting) -> Meeting:
    """The meeting with the personal meeting id that it uses, or that it used once."""
    has_used = any(use.uses_pmi for use in meeting.pmi_uses)
    room_id = meeting.pmi if has_used and meeting.pmi != meeting.meeting_id else None
    return meeting if meeting.room_id == room_id else replace(meeting, room_id=room_id)


def uses_room_at(meeting: Meeting, moment: datetime) -> bool:
    """Whether it was set to run under the personal meeting id then; before the first word about it, as that says."""
    uses = meeting.pmi_uses
    place = bisect_right(uses, to_milliseconds(moment), key=lambda use: use.stated_ms)
    return bool(uses) and uses[max(0, place - 1)].uses_pmi


def named_by_events(row: Placed) -> Key:
    """The number under which events name an instance or a connection: (account_id, number)."""
    return row.account_id, row.meeting_id if row.ran_under is None else row.ran_under


def as_placed(row: Placed, meeting_id: int | None) -> Placed:
    """The row as one of a meeting, whatever number its events name. One that names none stays so."""
    _, named = named_by_events(row)
    if named is None or meeting_id is None:
        return row
    ran_under = None if named == meeting_id else named
    if (row.meeting_id, row.ran_under) == (meeting_id, ran_under):
        return row
    return replace(row, meeting_id=meeting_id, ran_under=ran_under)
