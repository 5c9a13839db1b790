"""What each event says, as facts about rows. Pure: one function per kind of event, one table that names them all.

A new event type is one function (or one row here), one file in tests/payloads, one row in docs/reference/events.md and,
when the columns are new, one rule in `workers.core.merge`; a test fails when one of them is missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from schema.log_kinds import LogKind
from schema.reserved import EVERY_OCCURRENCE, SINGLE_OCCURRENCE
from schema.rows import Leave, PmiUse, StatusEntry
from schema.zoom.payloads import (
    MeetingSettings,
    Number,
    ObjectPart,
    ParticipantPart,
    PayloadError,
    RegistrantPart,
    ScheduledOccurrence,
    from_milliseconds,
    read_custom_keys,
    read_email,
    read_hosts,
    read_identifier,
    read_leave_reason,
    read_minutes,
    read_moment,
    read_registrant,
    read_small_number,
    read_text,
    read_whole_number,
    to_milliseconds,
)
from workers.core.event import Event, Facts, Projection
from workers.core.merge import CLEARED, MENTION_MS, Fact
from workers.core.projection_api import API_PROJECTIONS
from workers.core.schedule import SINGLE_SESSION_TYPES

MENTIONS_REMEMBERED_MAX = 1024
NO_SETTINGS = MeetingSettings()


# --- the schedule -----------------------------------------------------------------------------------------------


def meeting_created(event: Event) -> Facts:
    """The series as it was made, with every date it has."""
    yield _meeting(event, event.at_ms, kind=event.kind)
    yield from _listed(event, event.at_ms, event.zoom_object.occurrences)
    yield from _single_session(event, event.at_ms)
    yield _line(event, LogKind.SCHEDULED)


def meeting_read(event: Event) -> Facts:
    """The series as `GET /webinars/{id}` or `/meetings/{id}` tells it, with every date it has or had."""
    told = event.zoom_object
    is_listed = bool(told.occurrences)
    length = {"duration_minutes": read_minutes(told.duration)} if is_listed else {}
    yield _meeting(event, event.at_ms, of_one_date=is_listed, kind=told.kind or "meeting", **length)
    yield from _listed(event, event.at_ms, told.occurrences)
    yield from _single_session(event, event.at_ms)
    if (address := read_email(told.host_email)) is not None:
        key = (event.account_id, event.meeting_id, f"email:{address}", "zoom")
        yield Fact("staff", key, {"role": "host"}, event.at_ms)


def meeting_updated(event: Event) -> Facts:
    """Only what changed: of one date (scope `single`), or of the series, which may bring new dates with new ids."""
    at_ms = read_whole_number(event.payload.time_stamp) or event.at_ms
    occurrences = event.zoom_object.occurrences
    if event.payload.scope == "all":
        yield _meeting(event, at_ms, kind=event.kind)
        yield from _listed(event, at_ms, occurrences)
        yield from _single_session(event, at_ms)
    else:  # where the scope is missing, dates that are not named must not be taken for cancelled
        is_of_one_date = event.payload.scope == "single" or bool(occurrences)
        is_of_session = not occurrences and event.zoom_object.occurrence_id is None
        more = _session_values(event) if is_of_one_date and is_of_session else {}
        yield _meeting(event, at_ms, of_one_date=is_of_one_date, kind=event.kind, **more)
        old = event.payload.old_object.occurrences if event.payload.old_object else None
        yield from _changed(event, at_ms, occurrences, old)
        if is_of_session:
            yield from _single_session(event, at_ms)
    yield _line(event, LogKind.RESCHEDULED)


def meeting_deleted(event: Event) -> Facts:
    """One date, where the event names dates and does not say `all`; else the series."""
    if _is_about_single_dates(event):
        yield _meeting(event, event.at_ms, of_one_date=True, kind=event.kind)
        yield from _statements(event, event.at_ms, "deleted", event.zoom_object.occurrences)
    else:
        yield _meeting(event, event.at_ms, kind=event.kind, deleted_at=event.at)
        yield _statement(event, event.at_ms, "deleted", EVERY_OCCURRENCE)
    yield _line(event, LogKind.DELETED)


def meeting_recovered(event: Event) -> Facts:
    """Takes a deletion back."""
    if _is_about_single_dates(event):
        yield _meeting(event, event.at_ms, of_one_date=True, kind=event.kind)
        yield from _statements(event, event.at_ms, "recovered", event.zoom_object.occurrences)
    else:
        yield _meeting(event, event.at_ms, kind=event.kind, deleted_at=CLEARED)
        yield _statement(event, event.at_ms, "recovered", EVERY_OCCURRENCE)
    yield _line(event, LogKind.RECOVERED)


def converted_to_meeting(event: Event) -> Facts:
    """The id stays, kind and type change."""
    yield _meeting(event, event.at_ms, kind="meeting")
    yield _line(event, LogKind.CONVERTED, detail="to a meeting")


def converted_to_webinar(event: Event) -> Facts:
    """The id stays, kind and type change."""
    yield _meeting(event, event.at_ms, kind="webinar")
    yield _line(event, LogKind.CONVERTED, detail="to a webinar")


# --- who signed up ----------------------------------------------------------------------------------------------


def registration_created(event: Event) -> Facts:
    """Somebody signed up; `status` says whether a host has yet to approve."""
    status = (event.zoom_object.registrant or RegistrantPart()).status
    yield from _registration(event, "pending" if status == "pending" else "approved", LogKind.REGISTERED)


def registration_approved(event: Event) -> Facts:
    """A host let them in."""
    yield from _registration(event, "approved", LogKind.APPROVED)


def registration_denied(event: Event) -> Facts:
    """A host did not let them in."""
    yield from _registration(event, "denied", LogKind.DENIED)


def registration_cancelled(event: Event) -> Facts:
    """For the dates it names, or for all."""
    yield from _registration(event, "cancelled", LogKind.CANCELLED)


# --- what ran ---------------------------------------------------------------------------------------------------


def instance_started(event: Event) -> Facts:
    """The uuid is on record the moment it starts.

    `event_ts` counts, not `start_time`: whether that is the actual or the planned start of a webinar is not settled.
    """
    yield _live_meeting(event, event.at_ms)
    yield from _instance(event, observed_start=event.at, first_seen_at=event.at)
    yield from _stated_link(event)
    yield _line(event, LogKind.STARTED, uuid=event.uuid)


def instance_ended(event: Event) -> Facts:
    """A practice session is one only if no `ended` of this uuid says otherwise."""
    ended_at = read_moment(event.zoom_object.end_time) or event.at
    yield _live_meeting(event, MENTION_MS)
    yield from _instance(
        event, first_seen_at=ended_at, ended_at=ended_at, is_practice=bool(event.zoom_object.practice_session)
    )
    yield from _stated_link(event)
    yield _line(event, LogKind.ENDED, uuid=event.uuid)


# --- who came ---------------------------------------------------------------------------------------------------


def participant_joined(event: Event) -> Facts:
    """One connection came."""
    participant = _participant(event)
    joined_at = read_moment(participant.join_time) or read_moment(participant.date_time) or event.at
    return _presence(event, participant, LogKind.JOINED, joined_at, {"joins": (to_milliseconds(joined_at),)})


def participant_left(event: Event) -> Facts:
    """One connection went."""
    participant = _participant(event)
    left_at = read_moment(participant.leave_time) or event.at
    reason = read_leave_reason(participant.leave_reason, participant.user_name)
    leaves = (Leave(to_milliseconds(left_at), reason or ""),)
    return _presence(event, participant, LogKind.LEFT, left_at, {"leaves": leaves}, reason)


def participant_bound(event: Event) -> Facts:
    """A telephone turned out to be the same person as another connection."""
    participant = _participant(event)
    other = (
        read_identifier(participant.bind_user_id)
        or read_identifier(participant.bind_participant_uuid)
        or read_identifier(participant.parent_user_id)
    )
    return _presence(event, participant, LogKind.BOUND, event.at, {"bound_to": other})


def participant_waited(event: Event) -> Facts:
    """Somebody waited for the host or was let in: no presence, but it may name whom `joined` does not."""
    participant = event.zoom_object.participant or ParticipantPart()
    connection_id = read_identifier(participant.user_id) or read_identifier(participant.participant_uuid)
    if connection_id is not None:
        yield from _waiting(event, participant, connection_id, {})


def participant_came_before_host(event: Event) -> Facts:
    """Somebody came before the host. It names no connection, and whether a `joined` follows is not settled."""
    participant = event.zoom_object.participant or ParticipantPart()
    who = read_identifier(participant.registrant_id) or read_identifier(participant.id) or event.key
    connection_id = read_identifier(participant.user_id) or read_identifier(participant.participant_uuid)
    yield from _waiting(event, participant, connection_id or f"before host: {who}", {"before_host": True})


def participant_role_changed(event: Event) -> Facts:
    """Somebody became host, co-host or attendee."""
    participant = _participant(event)
    role = read_text(participant.new_role)
    return _presence(event, participant, LogKind.ROLE, event.at, {"role": role}, role)


# --- the account, and Joinlog's own events ----------------------------------------------------------------------


def app_deauthorized(event: Event) -> Facts:
    """The account removed the app; its data is erased when the grace period is over."""
    at = read_moment(event.payload.deauthorization_time) or event.at
    yield Fact("account_departure", (event.account_id,), {"deauthorized_at": at}, event.at_ms)


def link_set(event: Event) -> Facts:
    """An operator said which occurrence an instance was. Kept in the inbox like Zoom's events, so rebuild knows it."""
    occurrence_id = read_identifier(event.zoom_object.occurrence_id)
    if occurrence_id is None:
        raise PayloadError("payload.object has no occurrence_id")
    yield _operator_word(event, occurrence_id)


def link_cleared(event: Event) -> Facts:
    """An operator took that word back."""
    yield _operator_word(event, CLEARED)


def past_instances_stated(event: Event) -> Facts:
    """What `joinlog link-stated` kept before it kept `zoom.instances_read`; inboxes still hold some."""
    for stated in event.zoom_object.instances or ():
        occurrence_id = read_identifier(stated.occurrence_id)
        if stated.uuid and occurrence_id is not None:
            values = {"meeting_id": event.meeting_id, "occurrence_id": occurrence_id, "stated_at": event.at}
            yield Fact("link_statement", (event.account_id, stated.uuid, "zoom"), values, event.at_ms)


PROJECTIONS: Mapping[str, Projection] = {
    **{
        f"{kind}.{name}": projection
        for kind in ("webinar", "meeting")
        for name, projection in {
            "created": meeting_created,
            "updated": meeting_updated,
            "deleted": meeting_deleted,
            "permanently_deleted": meeting_deleted,
            "recovered": meeting_recovered,
            "registration_created": registration_created,
            "registration_approved": registration_approved,
            "registration_denied": registration_denied,
            "registration_cancelled": registration_cancelled,
            "started": instance_started,
            "ended": instance_ended,
            "participant_joined": participant_joined,
            "participant_left": participant_left,
            "participant_bind": participant_bound,
            "participant_role_changed": participant_role_changed,
        }.items()
    },
    **{
        f"meeting.participant_{name}": participant_waited
        for name in (
            "joined_waiting_room",
            "left_waiting_room",
            "put_in_waiting_room",
            "admitted",
            "jbh_waiting",
            "jbh_waiting_left",
        )
    },
    "meeting.participant_jbh_joined": participant_came_before_host,
    "meeting.participant_joined_breakout_room": participant_joined,
    "meeting.participant_left_breakout_room": participant_left,
    "meeting.converted_to_webinar": converted_to_webinar,
    "webinar.converted_to_meeting": converted_to_meeting,
    "app_deauthorized": app_deauthorized,
    "joinlog.link_set": link_set,
    "joinlog.link_cleared": link_cleared,
    "joinlog.past_instances_stated": past_instances_stated,
    "zoom.meeting_read": meeting_read,
    **API_PROJECTIONS,
}
"""The whole system at a glance: event type -> the facts it states."""


# --- the parts they share ---------------------------------------------------------------------------------------


def _meeting(event: Event, stated_ms: int, *, kind: str, of_one_date: bool = False, **values: Any) -> Fact:
    """What an event says about the series; its start and length only where it speaks of the series itself."""
    told, settings = event.zoom_object, event.zoom_object.settings or NO_SETTINGS
    uses_pmi = settings.use_pmi if isinstance(settings.use_pmi, bool) else None
    values |= {
        "kind": kind,
        "type": read_small_number(told.type),
        "topic": read_text(told.topic),
        "host_id": read_identifier(told.host_id),
        "timezone": read_text(told.timezone),
        "registration_type": read_small_number(settings.registration_type),
        "alternative_hosts": read_hosts(settings.alternative_hosts),
        "pmi": read_whole_number(told.pmi),
        "uses_pmi": uses_pmi,
        "pmi_uses": None if uses_pmi is None else (PmiUse(stated_ms, uses_pmi),),
        "recurrence": json.dumps(told.recurrence, sort_keys=True) if told.recurrence else None,
    }
    if not of_one_date:
        values["duration_minutes"] = read_minutes(told.duration)
        values["scheduled_start"] = read_moment(told.start_time)
    return Fact("meeting", (event.account_id, event.meeting_id), values, stated_ms)


def _live_meeting(event: Event, stated_ms: int) -> Fact:
    """What a live event says about its meeting. Its `start_time` may be the instance's, so it is not the plan's."""
    told = event.zoom_object
    values = _live_values(event.kind, told.type, told.topic, told.host_id, told.timezone, told.duration)
    return Fact("meeting", (event.account_id, event.meeting_id), values, stated_ms)


@lru_cache(MENTIONS_REMEMBERED_MAX)
def _live_values(
    kind: str, type_: Number, topic: str | None, host_id: str | None, timezone: str | None, duration: Number
) -> dict[str, Any]:
    """One dict for the same words, however many events say them; nobody changes it."""
    return {
        "kind": kind,
        "type": read_small_number(type_),
        "topic": read_text(topic),
        "host_id": read_identifier(host_id),
        "timezone": read_text(timezone),
        "duration_minutes": read_minutes(duration),
    }


def _is_about_single_dates(event: Event) -> bool:
    return bool(event.zoom_object.occurrences) and event.payload.operation != "all"


def _listed(event: Event, at_ms: int, occurrences: list[ScheduledOccurrence] | None) -> Facts:
    """The whole list of dates: what it leaves out is no longer planned."""
    if occurrences:
        yield _statement(event, at_ms, "listed", EVERY_OCCURRENCE)
        yield from _statements(event, at_ms, "listed", occurrences)


def _session_values(event: Event) -> dict[str, Any]:
    """What an edit of "one date" that names none says of the meeting: its only session, where it has just one."""
    told = event.zoom_object
    values: dict[str, Any] = {"scheduled_start": read_moment(told.start_time)}
    if read_small_number(told.type) in SINGLE_SESSION_TYPES:
        values["duration_minutes"] = read_minutes(told.duration)
    return values


def _single_session(event: Event, at_ms: int) -> Facts:
    """The date of a meeting that has just one session. It is only looked at where the type says so (5, 2)."""
    told = event.zoom_object
    if told.start_time and not told.occurrences:
        yield _statement(
            event, at_ms, "changed", SINGLE_OCCURRENCE,
            ScheduledOccurrence(SINGLE_OCCURRENCE, told.start_time, told.duration),
        )  # fmt: skip


def _changed(
    event: Event, at_ms: int, occurrences: list[ScheduledOccurrence] | None, old: list[ScheduledOccurrence] | None
) -> Facts:
    """One date was moved or lengthened; a new id for it retires the old one."""
    named = occurrences or []
    if event.zoom_object.occurrence_id is not None and not named:
        named = [
            ScheduledOccurrence(
                event.zoom_object.occurrence_id, event.zoom_object.start_time, event.zoom_object.duration, None
            )
        ]
    yield from _statements(event, at_ms, "changed", named)
    kept = {str(occurrence.occurrence_id) for occurrence in named}
    if kept:
        replaced = [occurrence for occurrence in old or () if str(occurrence.occurrence_id) not in kept]
        yield from _statements(event, at_ms, "replaced", replaced)
    for occurrence in old or ():
        if (start := read_moment(occurrence.start_time)) is not None:
            yield _mention(event, str(occurrence.occurrence_id), start, from_milliseconds(at_ms - 1))


def _statements(event: Event, at_ms: int, source: str, occurrences: list[ScheduledOccurrence] | None) -> Facts:
    for occurrence in occurrences or ():
        occurrence_id = read_identifier(occurrence.occurrence_id)
        if occurrence_id is not None:
            yield _statement(event, at_ms, source, occurrence_id, occurrence)


def _statement(
    event: Event, at_ms: int, source: str, occurrence_id: str, occurrence: ScheduledOccurrence | None = None
) -> Fact:
    at = from_milliseconds(at_ms)
    values: dict[str, Any] = {"source": source, "stated_at": at}
    if occurrence is not None:
        values |= {
            "scheduled_start": read_moment(occurrence.start_time),
            "duration_minutes": read_minutes(occurrence.duration),
            "status": read_text(occurrence.status),
        }
    key = (event.account_id, event.meeting_id, occurrence_id, event.key)
    return Fact("occurrence_history", key, values, at_ms)


def _registration(event: Event, status: str, kind: LogKind) -> Facts:
    told = event.zoom_object
    registrant = told.registrant
    if registrant is None:
        raise PayloadError("payload.object has no registrant")
    registrant_id, told_of_them = read_registrant(registrant)
    occurrence_ids = sorted({str(occurrence.occurrence_id) for occurrence in told.occurrences or ()})
    values = {
        **told_of_them,
        "registered_at": event.at if kind is LogKind.REGISTERED else None,
        "history": (StatusEntry(event.at_ms, status, tuple(occurrence_ids) or (EVERY_OCCURRENCE,)),),
    }
    yield _meeting(event, MENTION_MS, kind=event.kind)
    yield Fact("registrant", (event.account_id, event.meeting_id, registrant_id), values, event.at_ms)
    yield from _mentions(event)
    name = " ".join(part for part in (registrant.first_name, registrant.last_name) if part)
    yield _line(event, kind, registrant_id=registrant_id, name=name or None, email=told_of_them["email"],
                occurrence_id=occurrence_ids[0] if len(occurrence_ids) == 1 else None)  # fmt: skip


def _mentions(event: Event) -> Facts:
    """Dates a registration mentions: all Joinlog may know of a webinar that is older than itself.

    However often the same date is mentioned, it is one row.
    """
    for occurrence in event.zoom_object.occurrences or ():
        if (start := read_moment(occurrence.start_time)) is not None:
            yield _mention(event, str(occurrence.occurrence_id), start, event.at)


def _mention(event: Event, occurrence_id: str, start: datetime, at: datetime) -> Fact:
    key = (event.account_id, event.meeting_id, occurrence_id, f"mentioned:{start:%Y%m%dT%H%M%SZ}")
    values = {"source": "mentioned", "stated_at": at, "scheduled_start": start}
    return Fact("occurrence_history", key, values, event.at_ms)


def _instance(event: Event, **values: Any) -> Facts:
    """What a `started` or `ended` says about the instance."""
    yield _mentioned_instance(event, event.at_ms)
    yield Fact("instance", (event.account_id, event.uuid), values, event.at_ms)


def _mentioned_instance(event: Event, stated_ms: int) -> Fact:
    told = event.zoom_object
    values = _instance_values(
        event.kind,
        told.id,
        told.type,
        told.topic,
        told.host_id,
        told.duration,
        told.start_time,
    )
    return Fact("instance", (event.account_id, event.uuid), values, stated_ms)


@lru_cache(MENTIONS_REMEMBERED_MAX)
def _instance_values(
    kind: str,
    meeting_id: int | str | None,
    type_: Number,
    topic: str | None,
    host_id: str | None,
    duration: Number,
    start_time: str | None,
) -> dict[str, Any]:
    """One dict for the same words, however many events say them; nobody changes it."""
    return {
        "meeting_id": read_whole_number(meeting_id),
        "kind": kind,
        "type": read_small_number(type_),
        "topic": read_text(topic),
        "host_id": read_identifier(host_id),
        "duration_minutes": read_minutes(duration),
        "stated_start": read_moment(start_time),
    }


def _stated_link(event: Event) -> Facts:
    """Zoom's own word, should a live event ever carry the occurrence beside the uuid."""
    occurrence_id = read_identifier(event.zoom_object.occurrence_id)
    if occurrence_id is not None:
        values = {"meeting_id": event.meeting_id, "occurrence_id": occurrence_id, "stated_at": event.at}
        yield Fact("link_statement", (event.account_id, event.uuid, "zoom"), values, event.at_ms)


def _operator_word(event: Event, occurrence_id: Any) -> Fact:
    values = {
        "meeting_id": read_whole_number(event.zoom_object.id),
        "occurrence_id": occurrence_id,
        "stated_by": read_text(event.zoom_object.by),
        "because": read_text(event.zoom_object.because),
        "stated_at": event.at,
    }
    return Fact("link_statement", (event.account_id, event.uuid, "operator"), values, event.at_ms)


def _participant(event: Event) -> ParticipantPart:
    if event.zoom_object.participant is None:
        raise PayloadError("payload.object has no participant")
    return event.zoom_object.participant


def _connection_id(participant: ParticipantPart) -> str:
    connection_id = read_identifier(participant.user_id) or read_identifier(participant.participant_uuid)
    if connection_id is None:
        raise PayloadError("participant has neither user_id nor participant_uuid")
    return connection_id


def _shown(told: ObjectPart, participant: ParticipantPart) -> dict[str, Any]:
    """Everything a connection shows of who it is."""
    user_id, participant_id = read_identifier(participant.participant_user_id), read_identifier(participant.id)
    parent_user_id = read_identifier(participant.parent_user_id)
    return {
        "meeting_id": read_whole_number(told.id),
        "participant_uuid": read_identifier(participant.participant_uuid),
        "registrant_id": read_identifier(participant.registrant_id),
        "zoom_user_id": user_id,
        "participant_id": None if participant_id == user_id else participant_id,
        "customer_key": read_identifier(participant.customer_key),
        "custom_keys": read_custom_keys(participant.custom_keys),
        "phone_number": read_identifier(participant.phone_number),
        "bind_participant_uuid": read_identifier(participant.bind_participant_uuid),
        "parent_user_id": parent_user_id,
        "email": read_email(participant.email),
        "name": read_text(participant.user_name),
        "room_uuid": read_identifier(told.breakout_room_uuid),
        "bound_to": parent_user_id,
    }


def _waiting(event: Event, participant: ParticipantPart, connection_id: str, more: Mapping[str, Any]) -> Facts:
    """Who a connection was before it joined; what it shows once it has joined outweighs that."""
    uuid = read_identifier(event.zoom_object.uuid)
    if uuid is not None:
        values = {**_shown(event.zoom_object, participant), **more}
        yield Fact("connection", (event.account_id, uuid, connection_id), values, MENTION_MS)


def _presence(
    event: Event,
    participant: ParticipantPart,
    kind: LogKind,
    seen_at: datetime,
    more: Mapping[str, Any],
    detail: str | None = None,
) -> Facts:
    """One connection to one instance, and its line; a breakout room's connection belongs to the one in the main room.

    Nine of ten events are of this kind, so what they share is read once.
    """
    told, uuid, connection_id = event.zoom_object, event.uuid, _connection_id(participant)
    values = _shown(told, participant)
    meeting_id, registrant_id = values["meeting_id"], values["registrant_id"]
    values |= more
    if meeting_id is not None:
        yield _live_meeting(event, MENTION_MS)
    instance = (event.account_id, uuid)
    yield _mentioned_instance(event, event.at_ms)
    yield Fact("instance", instance, {"first_seen_at": seen_at}, event.at_ms)
    yield Fact("connection", (*instance, connection_id), values, event.at_ms)
    if told.occurrence_id is not None:
        yield from _stated_link(event)
    line = {
        "seq": event.seq,
        "event_ts": event.at,
        "kind": kind.value,
        "meeting_id": meeting_id,
        "uuid": uuid,
        "registrant_id": registrant_id,
        "connection_id": connection_id,
        "name": values["name"],
        "email": values["email"],
        "detail": detail,
    }
    yield Fact("join_log", (event.account_id, event.key), line, event.at_ms)


def _line(event: Event, kind: LogKind, **values: Any) -> Fact:
    """The event's line in the live join log."""
    values |= {
        "seq": event.seq,
        "event_ts": event.at,
        "kind": kind.value,
        "meeting_id": read_whole_number(event.zoom_object.id),
    }
    return Fact("join_log", (event.account_id, event.key), values, event.at_ms)
