"""Who was behind a connection, and the rows its stays make. Pure.

A person is told by an identifier, never by a name: the registrant whose link was used, else the signed-in Zoom user,
else the address, else nothing but the connection itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from schema.rows import Connection, Participant
from schema.zoom.payloads import from_milliseconds
from workers.core.sessions import Stay, pair_stays, with_reported


def person_of(connections: Sequence[Connection]) -> str:
    """The person behind connections that are known to be one person's: by the best identifier any of them has."""
    for kind, identifiers in (
        ("registrant", [c.registrant_id for c in connections if c.registrant_id]),
        ("user", [c.zoom_user_id for c in connections if c.zoom_user_id]),
        ("email", [c.email for c in connections if c.email]),
    ):
        if identifiers:
            return f"{kind}:{min(identifiers)}"
    first = min(connections, key=lambda c: (c.uuid, c.connection_id))
    return f"connection:{first.uuid}:{first.connection_id}"


def same_person_groups(connections: Sequence[Connection]) -> list[list[Connection]]:
    """Connections of one instance, grouped by what binds them: telephones to people, breakout rooms to the main room.

    `bound_to` may name the other connection by its connection_id or by its participant_uuid.
    """
    by_name: dict[str, int] = {}
    for place, row in enumerate(connections):
        by_name[row.connection_id] = place
        if row.participant_uuid:
            by_name.setdefault(row.participant_uuid, place)
    parent = list(range(len(connections)))

    def root(place: int) -> int:
        while parent[place] != place:
            place = parent[place]
        return place

    for place, row in enumerate(connections):
        other = by_name.get(row.bound_to or "")
        if other is not None:
            first, second = sorted((root(place), root(other)))
            parent[second] = first
    groups: dict[int, list[Connection]] = {}
    for place, row in enumerate(connections):
        groups.setdefault(root(place), []).append(row)
    return list(groups.values())


def stays_of(connection: Connection) -> list[Stay]:
    """The stays of a connection, in order of time."""
    stays = pair_stays(connection.joins, connection.leaves) if connection.joins or connection.leaves else []
    return with_reported(stays, connection.reported) if connection.reported else stays


def participants_of(connection: Connection, person_id: str, ended_at: datetime | None) -> list[Participant]:
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
                zoom_user_id=connection.zoom_user_id,
                participant_uuid=connection.participant_uuid,
                room_uuid=connection.room_uuid,
                email=connection.email,
                name=connection.name,
                role=connection.role,
                person_id=person_id,
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
