"""What each answer of Zoom's API says, as facts about rows. Pure. `workers.zoom.answers` makes the events.

A webhook's word is kept where both speak: what a report says of a connection or of an instance fills gaps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from schema.reserved import EVERY_OCCURRENCE, NO_OCCURRENCE
from schema.rows import ReportedStay, StatusEntry
from schema.zoom.payloads import (
    ObjectPart,
    ParticipantPart,
    RegistrantPart,
    read_email,
    read_identifier,
    read_moment,
    read_registrant,
    read_small_number,
    read_text,
    read_whole_number,
    to_milliseconds,
)
from workers.core.event import Event, Facts, Projection
from workers.core.merge import CLEARED, MENTION_MS, Fact
from workers.core.staff import PANELIST

WAITING = "in_waiting_room"
APPROVAL_SKEW_MS = 5000
"""A list tells when somebody signed up, not when they were approved: taken to be this much later, so that it follows
their `registration_created`, whose time may differ by a second or two."""


def instances_read(event: Event) -> Facts:
    """Every instance that ended, and Zoom's own word on the occurrence each was.

    An instance without one, that ran after one that has one, was none; before that Zoom did not tell yet.
    """
    told = event.zoom_object
    instances = told.instances or []
    named = [_start(item) for item in instances if read_identifier(item.occurrence_id)]
    told_since = min((start for start in named if start), default=None)
    for item in instances:
        uuid = read_identifier(item.uuid)
        if uuid is None:
            continue
        occurrence_id, start = read_identifier(item.occurrence_id), _start(item)
        yield from _instance(event, uuid, event.meeting_id, told.kind, item)
        if occurrence_id is None and told_since is not None and start is not None and start > told_since:
            occurrence_id = NO_OCCURRENCE
        if occurrence_id is not None:
            values = {"meeting_id": event.meeting_id, "occurrence_id": occurrence_id, "stated_at": event.at}
            yield Fact("link_statement", (event.account_id, uuid, "zoom"), values, event.at_ms)


def history_read(event: Event) -> Facts:
    """Every instance of the account in a span of days, also those nobody announced."""
    for item in event.zoom_object.instances or ():
        uuid, meeting_id = read_identifier(item.uuid), read_whole_number(item.id)
        if uuid is not None and meeting_id is not None:
            yield _mentioned_meeting(event, meeting_id, item.kind, read_text(item.topic))
            yield from _instance(event, uuid, meeting_id, item.kind, item)


def registrants_read(event: Event) -> Facts:
    """Who is registered for one occurrence or for all, and who is gone from complete lists: cancelled as of then."""
    told = event.zoom_object
    occurrence_ids = (read_identifier(told.occurrence_id) or EVERY_OCCURRENCE,)
    yield _mentioned_meeting(event, event.meeting_id, told.kind, None)
    for registrant in told.registrants or ():
        yield from _registrant(event, registrant, occurrence_ids)
    for registrant_id in filter(None, map(read_identifier, told.gone or ())):
        values = {"history": (StatusEntry(event.at_ms, "cancelled", occurrence_ids),)}
        yield Fact("registrant", (event.account_id, event.meeting_id, registrant_id), values, event.at_ms)


def participants_read(event: Event) -> Facts:
    """The report of one instance, a row per connection.

    Who waited was not there; the time in a breakout room is within the row of the main room; `duration` is in
    seconds or in minutes, depending on the report, and is never read.
    """
    told = event.zoom_object
    yield _mentioned_meeting(event, event.meeting_id, told.kind, None)
    for row in told.participants or ():
        if row.status != WAITING and not row.bo_mtg_id:
            yield from _connection(event, row)


def panelists_read(event: Event) -> Facts:
    """Who is a panelist, by user id and by address; `gone` are those a complete list does not name any more."""
    yield _mentioned_meeting(event, event.meeting_id, event.zoom_object.kind, None)
    for identifier in sorted(panelist_identifiers(event.zoom_object.panelists or ())):
        yield _panelist(event, identifier, PANELIST)
    for identifier in event.zoom_object.gone or ():
        if (name := read_identifier(identifier)) is not None:
            yield _panelist(event, name, CLEARED)


def panelist_identifiers(panelists: Iterable[RegistrantPart]) -> set[str]:
    """What panelists are known by in table `staff`."""
    found = {f"user:{name}" for one in panelists if (name := read_identifier(one.id))}
    return found | {f"email:{address}" for one in panelists if (address := read_email(one.email))}


def report_read(event: Event) -> Facts:
    """When an instance began and ended, and how many took part."""
    told = event.zoom_object
    yield _mentioned_meeting(event, event.meeting_id, told.kind, None)
    yield from _instance(event, event.uuid, event.meeting_id, told.kind, told)


def absentees_read(event: Event) -> Facts:
    """How many had registered for an instance and did not come, as Zoom itself counts them."""
    told = event.zoom_object
    values = {"reported_absentees": read_small_number(told.absentees_count)}
    yield Fact("instance", (event.account_id, event.uuid), _about(event) | values, event.at_ms)


def instance_audited(event: Event) -> Facts:
    """What webhooks told of an instance against Zoom's report, and since when that is final."""
    told = event.zoom_object
    values = _about(event) | {"final_at": read_moment(told.final_at)}
    if (audit := told.audit) is not None:
        values |= {
            "stays_both": audit.stays_both,
            "stays_webhook_only": audit.stays_webhook_only,
            "stays_report_only": audit.stays_report_only,
            "webhooks_expected": audit.webhooks_expected,
            "webhooks_lost": sum(audit.webhooks_lost.values()),
            "webhooks_lost_by_event": json.dumps(audit.webhooks_lost, sort_keys=True),
        }
    yield Fact("instance", (event.account_id, event.uuid), values, event.at_ms)


API_PROJECTIONS: Mapping[str, Projection] = {
    "zoom.instances_read": instances_read,
    "zoom.registrants_read": registrants_read,
    "zoom.participants_read": participants_read,
    "zoom.history_read": history_read,
    "zoom.report_read": report_read,
    "zoom.panelists_read": panelists_read,
    "zoom.absentees_read": absentees_read,
    "joinlog.instance_audited": instance_audited,
}


def _start(item: ObjectPart) -> Any:
    return read_moment(item.start_time)


def _mentioned_meeting(event: Event, meeting_id: int, kind: str | None, topic: str | None) -> Fact:
    return Fact("meeting", (event.account_id, meeting_id), {"kind": kind, "topic": topic}, MENTION_MS)


def _instance(event: Event, uuid: str, meeting_id: int, kind: str | None, item: ObjectPart) -> Facts:
    """When it ran. Without a start there is no sign of life, and nothing to record."""
    start, end = read_moment(item.start_time), read_moment(item.end_time)
    key = (event.account_id, uuid)
    if start is None and end is None:
        return
    values = {"meeting_id": meeting_id, "kind": kind, "reported_start": start, "first_seen_at": start or end}
    yield Fact("instance", key, values | {"ended_at": end, "topic": read_text(item.topic)}, MENTION_MS)
    if (count := read_small_number(item.participants_count)) is not None:
        yield Fact("instance", key, {"reported_participants": count}, event.at_ms)


def _about(event: Event) -> dict[str, Any]:
    """What any word about an instance says of it: that it had been seen by then."""
    return {"meeting_id": read_whole_number(event.zoom_object.id), "first_seen_at": event.at}


def _panelist(event: Event, identifier: str, role: Any) -> Fact:
    return Fact("staff", (event.account_id, event.meeting_id, identifier, "zoom"), {"role": role}, event.at_ms)


def _registrant(event: Event, registrant: RegistrantPart, occurrence_ids: tuple[str, ...]) -> Facts:
    registrant_id, told_of_them = read_registrant(registrant)
    signed_up_at = read_moment(registrant.create_time) or event.at
    signed_up_ms = to_milliseconds(signed_up_at)
    status = registrant.status or "approved"
    history = [StatusEntry(signed_up_ms, "pending", occurrence_ids)]
    if status == "approved":
        history.append(StatusEntry(signed_up_ms + APPROVAL_SKEW_MS, "approved", occurrence_ids))
    elif status == "denied":
        history.append(StatusEntry(event.at_ms, "denied", occurrence_ids))
    values = {
        **told_of_them,
        "registered_at": signed_up_at,
        "history": tuple(sorted(history)),
    }
    yield Fact("registrant", (event.account_id, event.meeting_id, registrant_id), values, event.at_ms)


def _connection(event: Event, row: ParticipantPart) -> Facts:
    """One stay of one connection. A row without a `user_id` or a time names no connection of the webhooks'."""
    connection_id = read_identifier(row.user_id)
    joined_at, left_at = read_moment(row.join_time), read_moment(row.leave_time)
    if connection_id is None or joined_at is None or left_at is None:
        return
    joined_ms = to_milliseconds(joined_at)
    values = {
        "meeting_id": event.meeting_id,
        "registrant_id": read_identifier(row.registrant_id),
        "participant_id": read_identifier(row.id),
        "customer_key": read_identifier(row.customer_key),
        "email": read_email(row.email),
        "name": read_text(row.user_name),
        "reported": (ReportedStay(joined_ms, max(joined_ms, to_milliseconds(left_at))),),
    }
    instance = (event.account_id, event.uuid)
    yield Fact("instance", instance, {"first_seen_at": joined_at}, MENTION_MS)
    yield Fact("connection", (*instance, connection_id), values, MENTION_MS)
