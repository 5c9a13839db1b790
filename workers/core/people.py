"""Who was behind a connection, and the rows its stays make. Pure.

A person is told by an identifier, never by a name: the registrant whose link was used, else the signed-in Zoom user,
else the address, else nothing but the connection itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from schema.zoom.payloads import from_milliseconds
from workers.core.sessions import Leave, Stay, pair_stays

Row = dict[str, Any]


def person_of(connections: Iterable[Row]) -> str:
    """The person behind connections that are known to be one person's: by the best identifier any of them has."""
    rows = list(connections)
    for column, prefix in (("registrant_id", "registrant"), ("zoom_user_id", "user"), ("email", "email")):
        known = sorted(row[column] for row in rows if row.get(column))
        if known:
            return f"{prefix}:{known[0]}"
    first = min(rows, key=lambda row: (row["uuid"], row["connection_id"]))
    return f"connection:{first['uuid']}:{first['connection_id']}"


def same_person_groups(connections: Sequence[Row]) -> list[list[Row]]:
    """Connections of one instance, grouped by what binds them: telephones to people, breakout rooms to the main room.

    `bound_to` may name the other connection by its connection_id or by its participant_uuid.
    """
    by_name: dict[str, int] = {}
    for place, row in enumerate(connections):
        by_name[row["connection_id"]] = place
        if row.get("participant_uuid"):
            by_name.setdefault(row["participant_uuid"], place)
    parent = list(range(len(connections)))

    def root(place: int) -> int:
        while parent[place] != place:
            place = parent[place]
        return place

    for place, row in enumerate(connections):
        other = by_name.get(row.get("bound_to") or "")
        if other is not None:
            first, second = sorted((root(place), root(other)))
            parent[second] = first
    groups: dict[int, list[Row]] = {}
    for place, row in enumerate(connections):
        groups.setdefault(root(place), []).append(row)
    return list(groups.values())


def stays_of(connection: Mapping[str, Any]) -> list[Stay]:
    """The stays of a row of `connection`."""
    joins, leaves = connection.get("joins"), connection.get("leaves")
    if not joins and not leaves:
        return []
    return pair_stays(
        msgspec.json.decode(joins or "[]"), [Leave(*leave) for leave in msgspec.json.decode(leaves or "[]")]
    )


def participant_rows(connection: Row, person_id: str, ended_at: datetime | None) -> list[Row]:
    """The rows of `participant` that follow from a row of `connection`.

    A stay without an end lasts until `ended_at`, the end of the instance, and says that this was inferred.
    """
    shared = {
        column: connection.get(column)
        for column in (
            "account_id", "uuid", "connection_id", "meeting_id", "registrant_id", "zoom_user_id", "participant_uuid",
            "room_uuid", "email", "name", "role",
        )
    }  # fmt: skip
    rows = []
    for stay in stays_of(connection):
        joined_at = None if stay.joined_ms is None else from_milliseconds(stay.joined_ms)
        left_at = None if stay.left_ms is None else from_milliseconds(stay.left_ms)
        is_inferred = stay.is_inferred
        if left_at is None and ended_at is not None and joined_at is not None:
            left_at, is_inferred = max(joined_at, ended_at), True
        rows.append(
            shared
            | {
                "person_id": person_id,
                "first_seen_at": from_milliseconds(stay.first_seen_ms),
                "joined_at": joined_at,
                "left_at": left_at,
                "left_is_inferred": is_inferred,
                "leave_reason": stay.reason,
            }
        )
    return rows


def count_once(stays: Iterable[Row]) -> list[Row]:
    """The stays of one person, each with `counts_from`: from when it adds to their time, so that nothing counts twice.

    Two devices, a rejoin before the old connection was given up, a restart that overlaps the end of what it restarts:
    a later stay adds only what earlier ones do not cover, and null when they cover all of it. A stay without an end
    covers everything after it in its own instance, and nothing in another one.
    """
    counted: list[Row] = []
    reached: datetime | None = None
    open_in: set[str] = set()
    for stay in sorted(stays, key=lambda row: (row["first_seen_at"], row["uuid"], row["connection_id"])):
        joined_at, left_at = stay["joined_at"], stay["left_at"]
        counts_from = joined_at
        if joined_at is not None:
            if reached is not None and reached > joined_at:
                counts_from = reached
            if stay["uuid"] in open_in or (left_at is not None and left_at <= counts_from):
                counts_from = None
            if left_at is None:
                open_in.add(stay["uuid"])
            elif reached is None or left_at > reached:
                reached = left_at
        counted.append(stay | {"counts_from": counts_from})
    return counted
