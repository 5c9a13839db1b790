"""The rows of `participant` that follow from a connection, and what each adds to its person's time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from msgspec.structs import replace

from schema.rows import Connection, Participant
from schema.zoom.payloads import from_milliseconds
from workers.core.sessions import Stay, pair_stays, with_reported
from workers.core.staff import staff_as


def stays_of(connection: Connection) -> list[Stay]:
    """The stays of a connection, in order of time."""
    stays = pair_stays(connection.joins, connection.leaves) if connection.joins or connection.leaves else []
    return with_reported(stays, connection.reported) if connection.reported else stays


def participants_of(
    connection: Connection, person_id: str, ended_at: datetime | None, staff_domains: Collection[str] = ()
) -> list[Participant]:
    """The rows of `participant` that follow from a row of `connection`.

    A stay without an end lasts until `ended_at`, the end of the instance, and says that this was inferred.
    """
    rows = []
    for stay in stays_of(connection):
        joined_at = None if stay.joined_ms is None else from_milliseconds(stay.joined_ms)
        left_at = None if stay.left_ms is None else from_milliseconds(stay.left_ms)
        is_inferred = stay.is_inferred
        if left_at is None and ended_at is not None and joined_at is not None:
            left_at, is_inferred = max(joined_at, ended_at), True
        rows.append(
            Participant(
                account_id=connection.account_id,
                uuid=connection.uuid,
                connection_id=connection.connection_id,
                first_seen_at=from_milliseconds(stay.first_seen_ms),
                meeting_id=connection.meeting_id,
                joined_at=joined_at,
                left_at=left_at,
                left_is_inferred=is_inferred,
                leave_reason=stay.reason,
                registrant_id=connection.registrant_id,
                zoom_user_id=connection.zoom_user_id or connection.participant_id,
                participant_uuid=connection.participant_uuid,
                room_uuid=connection.room_uuid,
                email=connection.email,
                name=connection.name,
                role=connection.role,
                person_id=person_id,
                participant_id=connection.participant_id,
                staff_as=staff_as(connection, staff_domains),
            )
        )
    return rows


def count_once(stays: Iterable[Participant]) -> list[Participant]:
    """The stays of one person, each with `counts_from`: from when it adds to their time, so that nothing counts twice.

    Two devices, a rejoin before the old connection was given up, a restart that overlaps the end of what it restarts:
    a later stay adds only what earlier ones do not cover, and null when they cover all of it. A stay without an end
    covers everything after it in its own instance, and nothing in another one.
    """
    counted: list[Participant] = []
    reached: datetime | None = None
    open_in: set[str] = set()
    for stay in sorted(stays, key=lambda row: (row.first_seen_at, row.uuid, row.connection_id)):
        counts_from = stay.joined_at
        if counts_from is not None:
            if reached is not None and reached > counts_from:
                counts_from = reached
            if stay.left_at is None:
                if stay.uuid in open_in:
                    counts_from = None
                open_in.add(stay.uuid)
            else:
                if stay.uuid in open_in or stay.left_at <= counts_from:
                    counts_from = None
                if reached is None or stay.left_at > reached:
                    reached = stay.left_at
        counted.append(stay if stay.counts_from == counts_from else replace(stay, counts_from=counts_from))
    return counted
