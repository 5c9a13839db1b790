"""What Zoom states of an instance while it runs."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from joinlog.fakezoom.connections import Connection
from joinlog.fakezoom.identifiers import connection_user_id, connection_uuid, instance_uuid
from joinlog.fakezoom.instances import Instance
from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.payloads import Emission, Json, live, live_object, zoom_time
from joinlog.fakezoom.series import Series

BREAKOUT_USER_OFFSET = 5000  # breakout connections are numbered far from the main room's
WAITERS_NEVER_ADMITTED = 0.1


def soon(rng: random.Random, at: datetime) -> datetime:
    """When Zoom states what happened at `at`: within two seconds."""
    return at + timedelta(milliseconds=rng.randrange(20, 1900))


def tell_instance(
    rng: random.Random, mix: Mix, series: Series, instance: Instance, connections: Sequence[Connection]
) -> list[Emission]:
    """Everything Zoom states of one instance, in no particular order."""
    told = live_object(series, instance.uuid, instance.started_at)
    stated: list[Emission] = []
    if instance.started_is_stated:
        stated.append(live(series, soon(rng, instance.started_at), "started", told))
    for connection in connections:
        stated += tell_connection(rng, mix, series, told, connection)
    if series.kind == "meeting":
        if rng.random() < mix.waiting_room:
            stated += tell_waiting_room(rng, series, told, connections)
        if rng.random() < mix.breakout_rooms and instance.why != "rehearsal":
            stated += tell_breakout_rooms(rng, series, told, instance, connections)
    if instance.ended_is_stated:
        more: Json = {"end_time": zoom_time(instance.ended_at)}
        if instance.is_practice:
            more["practice_session"] = True
        elif series.kind == "webinar" and rng.random() < 0.5:
            more["practice_session"] = False  # the field is optional
        stated.append(live(series, soon(rng, instance.ended_at), "ended", told, **more))
    return stated


def participant(connection: Connection) -> Json:
    """Who a connection is, as far as Zoom tells; absent and empty both mean unknown, and both occur."""
    who: Json = {
        "user_id": connection.user_id,
        "user_name": connection.name,
        "id": connection.zoom_user_id,
        "participant_user_id": connection.zoom_user_id,
        "participant_uuid": connection.participant_uuid,
        "email": connection.email,
    }
    if connection.registrant_id:
        who["registrant_id"] = connection.registrant_id
    elif int(connection.user_id) // 1024 % 2:
        who["registrant_id"] = ""
    if connection.phone_number:
        who["phone_number"] = connection.phone_number
    return who


def tell_connection(rng: random.Random, mix: Mix, series: Series, told: Json, connection: Connection) -> list[Emission]:
    """`participant_joined`, `participant_left`, and what happens between."""
    who = participant(connection)

    def say(at: datetime, what: str, **more: Any) -> Emission:
        return live(series, at, what, told, participant={**who, **more})

    joined, left = connection.joined_at, connection.left_at
    stated = [say(soon(rng, joined), "participant_joined", join_time=zoom_time(joined))]
    if connection.left_is_stated:
        more = {"leave_time": zoom_time(left), "leave_reason": connection.reason}
        stated.append(say(soon(rng, left), "participant_left", **more))
    if connection.bound_to is not None:
        at = joined + timedelta(seconds=3)
        other = connection.bound_to
        when = {"date_time" if series.kind == "meeting" else "join_time": zoom_time(at)}
        bound = {"bind_user_id": other.user_id, "bind_participant_uuid": other.participant_uuid}
        stated.append(say(soon(rng, at), "participant_bind", **bound, **when))
    if (left - joined).total_seconds() > 120 and rng.random() < mix.role_changes:
        half = joined + (left - joined) / 2
        for at, old, new in ((joined + timedelta(seconds=30), "attendee", "co-host"), (half, "co-host", "attendee")):
            more = {"date_time": zoom_time(at), "old_role": old, "new_role": new}
            stated.append(say(soon(rng, at), "participant_role_changed", **more))
    return stated


def tell_waiting_room(
    rng: random.Random, series: Series, told: Json, connections: Sequence[Connection]
) -> list[Emission]:
    """Some wait before they are let in; one more waits and never is."""
    stated: list[Emission] = []
    for connection in connections[1::2]:
        who = participant(connection)
        for what, before in (("participant_joined_waiting_room", 25), ("participant_left_waiting_room", 2)):
            at = connection.joined_at - timedelta(seconds=before)
            stated.append(live(series, soon(rng, at), what, told, participant={**who, "date_time": zoom_time(at)}))
        at = connection.joined_at - timedelta(seconds=2)
        more = {**who, "date_time": zoom_time(at)}
        stated.append(live(series, soon(rng, at), "participant_admitted", told, participant=more))
        if rng.random() < WAITERS_NEVER_ADMITTED:
            stranger = {"user_id": connection_user_id(9000 + len(stated)), "user_name": "Nobody let me in", "email": ""}
            stranger |= {"id": "", "participant_uuid": connection_uuid(rng), "date_time": zoom_time(at)}
            stated.append(live(series, soon(rng, at), "participant_joined_waiting_room", told, participant=stranger))
    return stated


def tell_breakout_rooms(
    rng: random.Random, series: Series, told: Json, instance: Instance, connections: Sequence[Connection]
) -> list[Emission]:
    """Everybody who stays long enough spends a while in one of two rooms, under another `user_id`."""
    opens = instance.started_at + (instance.ended_at - instance.started_at) / 3
    closes = instance.started_at + (instance.ended_at - instance.started_at) / 2
    rooms = [instance_uuid(rng), instance_uuid(rng)]
    stated: list[Emission] = []
    for n, connection in enumerate(connections):
        if connection.joined_at >= opens or connection.left_at <= closes or connection.phone_number:
            continue
        who = participant(connection) | {
            "user_id": connection_user_id(BREAKOUT_USER_OFFSET + n),
            "parent_user_id": connection.user_id,
            "participant_uuid": connection_uuid(rng),
        }
        room = rooms[n % 2]
        for what, at, field in (("joined", opens, "join_time"), ("left", closes, "leave_time")):
            more = {**who, field: zoom_time(at)}
            name = f"participant_{what}_breakout_room"
            stated.append(live(series, soon(rng, at), name, told, breakout_room_uuid=room, participant=more))
    return stated
