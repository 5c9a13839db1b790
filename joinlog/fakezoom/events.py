"""The events Zoom sends of a series, in the shapes it publishes.

Shapes follow the types in `@zoom/rivet` (`meetings/meetings.d.ts`). The meeting's `id` is a number in `created`,
`updated`, `deleted`, `recovered` and `registration_*`, and text in every live event.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from joinlog.fakezoom.identifiers import connection_user_id, connection_uuid, instance_uuid
from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.people import Person
from joinlog.fakezoom.series import Occurrence, Series
from joinlog.fakezoom.sessions import Connection, Instance, RoomVisit, Shown, Wait

Json = dict[str, Any]

OPERATOR = "host@example.com"
SOURCES = ("web_portal", "open_api", "other")


class Emission(NamedTuple):
    """One event at the moment Zoom states it (aware UTC, the same as `event_ts`)."""

    at: datetime
    event: Json


def zoom_time(moment: datetime) -> str:
    """A UTC moment as Zoom writes it: whole seconds and `Z`."""
    return moment.isoformat()[:19] + "Z"


def state(at: datetime, name: str, payload: Json) -> Emission:
    """The event `name`, as Zoom sends it at `at`."""
    return Emission(at, {"event": name, "event_ts": int(at.timestamp() * 1000), "payload": payload})


# --- the schedule side: `id` is a number ---------------------------------------------------------------------------


def schedule_object(series: Series, start: datetime | None) -> Json:
    """What every schedule-side event says of the meeting."""
    zoom_object: Json = {
        "uuid": series.uuid,
        "id": series.meeting_id,
        "host_id": series.host_id,
        "topic": series.topic,
        "type": series.type,
        "duration": series.duration_minutes,
        "timezone": series.timezone,
    }
    if start is not None:
        zoom_object["start_time"] = zoom_time(start)
    return zoom_object


def full_occurrences(occurrences: Sequence[Occurrence], deleted: bool = False) -> list[Json]:
    """Occurrences as `created` and `updated` list them."""
    status = "deleted" if deleted else "available"
    return [
        {
            "occurrence_id": o.occurrence_id,
            "start_time": zoom_time(o.start),
            "duration": o.duration_minutes,
            "status": status,
        }
        for o in occurrences
    ]


def brief_occurrences(occurrences: Sequence[Occurrence]) -> list[Json]:
    """Occurrences as `deleted`, `recovered` and `registration_*` list them."""
    return [{"occurrence_id": o.occurrence_id, "start_time": zoom_time(o.start)} for o in occurrences]


def created(series: Series, at: datetime) -> Emission:
    """`created`: the whole schedule, and no registration type, which Zoom does not tell here."""
    first = series.occurrences[0].start if series.occurrences else None
    zoom_object = schedule_object(series, first)
    zoom_object["join_url"] = f"https://zoom.example/{'w' if series.kind == 'webinar' else 'j'}/{series.meeting_id}"
    zoom_object["password"] = "fake"  # noqa: S105 - Joinlog must not keep it, so there must be one
    use_pmi = series.type == 4 or series.pmi is not None
    zoom_object["settings"] = {"use_pmi": use_pmi, "alternative_hosts": ";".join(series.alternative_hosts)}
    if series.pmi is not None:
        zoom_object["pmi"] = series.pmi
    if series.kind == "webinar":
        zoom_object["creation_source"] = SOURCES[series.meeting_id % 3]
    if series.recurrence is not None:
        zoom_object["occurrences"] = full_occurrences(series.occurrences)
        zoom_object["recurrence"] = series.recurrence
    return state(at, f"{series.kind}.created", operated(series, zoom_object))


def operated(series: Series, zoom_object: Json, **more: Any) -> Json:
    """A payload that names who did it."""
    return {
        "account_id": series.account_id,
        "operator": OPERATOR,
        "operator_id": series.host_id,
        **more,
        "object": zoom_object,
    }


def updated(series: Series, at: datetime, scope: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> Emission:
    """`updated`: `new` and `old` hold only what changed; `scope` is `single` (one occurrence) or `all`."""
    identity = {"id": series.meeting_id, "uuid": series.uuid}
    payload = operated(series, {**identity, **new}, scope=scope, time_stamp=int(at.timestamp() * 1000))
    payload["old_object"] = {**identity, **old}
    return state(at, f"{series.kind}.updated", payload)


def occurrences_gone_or_back(series: Series, at: datetime, what: str, occurrences: Sequence[Occurrence]) -> Emission:
    """`deleted` or `recovered` (`what`) for single occurrences."""
    zoom_object = schedule_object(series, occurrences[0].start)
    if series.is_recurring_at_fixed_times:
        zoom_object["occurrences"] = brief_occurrences(occurrences)
        return state(at, f"{series.kind}.{what}", operated(series, zoom_object, operation="single"))
    return state(at, f"{series.kind}.{what}", operated(series, zoom_object, operation="all"))


def registration(
    series: Series, at: datetime, what: str, who: Json, listed: Sequence[Occurrence], by_operator: bool
) -> Emission:
    """`registration_created|approved|denied|cancelled` (`what`); `listed` empty leaves `occurrences` out."""
    start = listed[0].start if listed else (series.occurrences[0].start if series.occurrences else series.created_at)
    zoom_object = schedule_object(series, start)
    if listed:
        zoom_object["occurrences"] = brief_occurrences(listed)
    zoom_object["registrant"] = who
    payload = operated(series, zoom_object) if by_operator else {"account_id": series.account_id, "object": zoom_object}
    return state(at, f"{series.kind}.registration_{what}", payload)


def registrant(series: Series, person: Person, registrant_id: str, status: str | None) -> Json:
    """Who registered; with a `status` also what only `registration_created` tells: link and custom questions."""
    who: Json = {
        "id": registrant_id,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "email": person.email if len(person.key) % 3 else person.email.title(),
    }
    if status is not None:
        who["status"] = status
        who["join_url"] = f"https://zoom.example/w/{series.meeting_id}?tk={registrant_id}&pwd=fake"
        who["custom_questions"] = [{"title": "Where did you hear of us?", "value": "A friend"}]
    return who


# --- the live side: `id` is text -----------------------------------------------------------------------------------


def live_object(series: Series, instance: Instance) -> Json:
    """What every live event says of the instance; `start_time` is its actual start.

    Under a personal meeting id the room's number, topic and type 4 (or 2) take the place of the meeting's.
    """
    in_room = instance.pmi is not None
    return {
        "id": str(instance.pmi or series.meeting_id),
        "uuid": instance.uuid,
        "host_id": series.host_id,
        "topic": ROOM_TOPIC if in_room else series.topic,
        "type": (2 if series.meeting_id % 2 else 4) if in_room else series.type,
        "start_time": zoom_time(instance.started_at),
        "timezone": series.timezone,
        "duration": series.duration_minutes,
    }


def live(series: Series, at: datetime, what: str, zoom_object: Json, **more: Any) -> Emission:
    """A live event `what` about the instance `zoom_object` describes, with `more` in its object."""
    return Emission(
        at,
        {
            "event": f"{series.kind}.{what}",
            "event_ts": int(at.timestamp() * 1000),
            "payload": {"account_id": series.account_id, "object": {**zoom_object, **more}},
        },
    )


BREAKOUT_USER_OFFSET = 5000  # breakout connections are numbered far from the main room's
PLACES_PER_ROOM = 20_000
ROOM_TOPIC = "Personal Meeting Room"
PLAIN_JOIN_OFFSET = 50_000
WAITERS_NEVER_ADMITTED = 0.1


def shortly_after(rng: random.Random, at: datetime) -> datetime:
    """When Zoom reports what happened at `at`: within two seconds."""
    return at + timedelta(milliseconds=rng.randrange(20, 1900))


class InstanceEvents(NamedTuple):
    """The events of an instance, and what happened in it beside its connections."""

    emissions: list[Emission]
    waits: list[Wait]
    visits: list[RoomVisit]
    co_hosts: list[Connection]  # who was made co-host, if only for a while


def instance_events(
    rng: random.Random, mix: Mix, series: Series, instance: Instance, connections: Sequence[Connection]
) -> InstanceEvents:
    """Every event of one instance, in no particular order, with the waits and room visits it reports."""
    zoom_object = live_object(series, instance)
    events: list[Emission] = []
    waits: list[Wait] = []
    visits: list[RoomVisit] = []
    if instance.started_is_sent:
        events.append(live(series, shortly_after(rng, instance.started_at), "started", zoom_object))
    co_hosts: list[Connection] = []
    for connection in connections:
        own = connection_events(rng, mix, series, zoom_object, connection)
        events += own
        if any(e.event["event"].endswith("participant_role_changed") for e in own):
            co_hosts.append(connection)
    if series.kind == "meeting":
        if rng.random() < mix.waiting_room:
            waiting, waits = waiting_room_events(rng, series, zoom_object, connections)
            events += waiting
        if rng.random() < mix.breakout_rooms and instance.why != "rehearsal":
            room_events, visits = breakout_room_events(rng, mix, series, zoom_object, instance, connections)
            events += room_events
    if instance.ended_is_sent:
        more: Json = {"end_time": zoom_time(instance.ended_at)}
        if instance.is_practice:
            more["practice_session"] = True
        elif series.kind == "webinar" and rng.random() < 0.5:
            more["practice_session"] = False  # the field is optional
        events.append(live(series, shortly_after(rng, instance.ended_at), "ended", zoom_object, **more))
    return InstanceEvents(events, waits, visits, co_hosts)


def participant(connection: Connection, shown: Shown | None = None) -> Json:
    """The `participant` object of a connection; absent and empty both mean unknown, and both occur."""
    shown = shown or connection.shows
    who: Json = {
        "user_id": connection.user_id,
        "user_name": connection.name,
        "id": shown.zoom_user_id,
        "participant_user_id": shown.participant_user_id,
        "participant_uuid": connection.participant_uuid,
        "email": shown.email,
    }
    if shown.customer_key:
        who["customer_key"] = shown.customer_key
    if shown.registrant_id:
        who["registrant_id"] = shown.registrant_id
    elif int(connection.user_id) // 1024 % 2:
        who["registrant_id"] = ""
    if connection.phone_number:
        who["phone_number"] = connection.phone_number
    return who


def connection_events(
    rng: random.Random, mix: Mix, series: Series, zoom_object: Json, connection: Connection
) -> list[Emission]:
    """The events of one connection: joined, left, bound to another one, made co-host."""
    who = participant(connection)

    def say(at: datetime, what: str, **more: Any) -> Emission:
        return live(series, at, what, zoom_object, participant={**who, **more})

    joined, left = connection.joined_at, connection.left_at
    events = [say(shortly_after(rng, joined), "participant_joined", join_time=zoom_time(joined))]
    if connection.left_is_sent:
        more = {"leave_time": zoom_time(left), "leave_reason": connection.reason}
        last = {**participant(connection, connection.shown_on_leaving), **more}
        events.append(live(series, shortly_after(rng, left), "participant_left", zoom_object, participant=last))
    if connection.bound_to is not None:
        at = connection.bound_at or joined
        other = connection.bound_to
        when = {"date_time" if series.kind == "meeting" else "join_time": zoom_time(at)}
        bound = {"bind_user_id": other.user_id, "bind_participant_uuid": other.participant_uuid}
        events.append(say(shortly_after(rng, at), "participant_bind", **bound, **when))
    if (left - joined).total_seconds() > 120 and rng.random() < mix.role_changes:
        half = joined + (left - joined) / 2
        for at, old, new in ((joined + timedelta(seconds=30), "attendee", "co-host"), (half, "co-host", "attendee")):
            more = {"date_time": zoom_time(at), "old_role": old, "new_role": new}
            events.append(say(shortly_after(rng, at), "participant_role_changed", **more))
    if connection.attendee.person.role == "co_host":
        at = joined + timedelta(seconds=20)
        more = {"date_time": zoom_time(at), "old_role": "attendee", "new_role": "co-host"}
        events.append(say(shortly_after(rng, at), "participant_role_changed", **more))
    return events


def waiting_room_events(
    rng: random.Random, series: Series, zoom_object: Json, connections: Sequence[Connection]
) -> tuple[list[Emission], list[Wait]]:
    """Every second connection waits before it is admitted; now and then a stranger waits and never is."""
    events: list[Emission] = []
    waits: list[Wait] = []
    for connection in connections[1::2]:
        who = participant(connection)
        for what, before in (("participant_joined_waiting_room", 25), ("participant_left_waiting_room", 2)):
            at = connection.joined_at - timedelta(seconds=before)
            events.append(
                live(series, shortly_after(rng, at), what, zoom_object, participant={**who, "date_time": zoom_time(at)})
            )
        at = connection.joined_at - timedelta(seconds=2)
        more = {**who, "date_time": zoom_time(at)}
        events.append(live(series, shortly_after(rng, at), "participant_admitted", zoom_object, participant=more))
        since = at - timedelta(seconds=23)
        waits.append(Wait(connection.uuid, connection, connection.user_id, connection.name, since, at))
        if rng.random() < WAITERS_NEVER_ADMITTED:
            stranger = {"user_id": connection_user_id(9000 + len(events)), "user_name": "Nobody let me in", "email": ""}
            stranger |= {"id": "", "participant_uuid": connection_uuid(rng), "date_time": zoom_time(at)}
            events.append(
                live(
                    series, shortly_after(rng, at), "participant_joined_waiting_room", zoom_object, participant=stranger
                )
            )
            name, until = str(stranger["user_name"]), at + timedelta(minutes=2)
            waits.append(Wait(connection.uuid, None, str(stranger["user_id"]), name, at, until))
    return events, waits


def breakout_room_events(
    rng: random.Random, mix: Mix, series: Series, zoom_object: Json, instance: Instance,
    connections: Sequence[Connection],
) -> tuple[list[Emission], list[RoomVisit]]:  # fmt: skip
    """Who stays long enough spends some time in one of two rooms or both, under another `user_id`.

    An instance has one of `mix.room_shapes`: `parent` names the connection by parent_user_id, `same_uuid` by
    participant_uuid, `no_parent` not at all; `plain_join` is `same_uuid` with a participant_joined of its own besides.
    """
    opens = instance.started_at + (instance.ended_at - instance.started_at) / 3
    closes = instance.started_at + (instance.ended_at - instance.started_at) / 2
    rooms = [instance_uuid(rng), instance_uuid(rng)]
    own = random.Random(f"{instance.uuid}/rooms")  # noqa: S311 - its own, so that older draws stay what they were
    shape = own.choice(mix.room_shapes)
    events: list[Emission] = []
    visits: list[RoomVisit] = []
    for n, connection in enumerate(connections):
        if connection.joined_at >= opens or connection.left_at <= closes or connection.phone_number:
            continue
        spans = [(rooms[n % 2], opens, closes)]
        fresh = connection_uuid(rng)
        if own.random() < mix.second_room:
            change = opens + (closes - opens) / 2
            spans = [(rooms[n % 2], opens, change), (rooms[1 - n % 2], change, closes)]
        for nth, (room, since, until) in enumerate(spans):
            number = BREAKOUT_USER_OFFSET + n + nth * PLACES_PER_ROOM
            who = participant(connection) | {"user_id": connection_user_id(number)}
            if shape == "parent":
                who["parent_user_id"] = connection.user_id
            if shape in ("parent", "no_parent"):
                who["participant_uuid"] = fresh if nth == 0 else connection_uuid(own)
            is_tied = shape != "no_parent"
            visits.append(RoomVisit(connection, who["user_id"], who["participant_uuid"], room, since, until, is_tied))
            for what, at, field in (("joined", since, "join_time"), ("left", until, "leave_time")):
                more = {**who, field: zoom_time(at)}
                name = f"participant_{what}_breakout_room"
                moment = shortly_after(rng, at)
                events.append(live(series, moment, name, zoom_object, breakout_room_uuid=room, participant=more))
                if shape == "plain_join":
                    more["user_id"] = connection_user_id(number + PLAIN_JOIN_OFFSET)
                    events.append(
                        live(series, shortly_after(own, at), f"participant_{what}", zoom_object, participant=more)
                    )
    return events, visits
