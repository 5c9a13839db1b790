"""The endpoints of Zoom's REST API: path, scope, tier, and what each answers from the records at a moment. Pure.

https://developers.zoom.us/docs/api/; what nobody outside Zoom knows is an open fact (`open_facts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec

from joinlog.fakezoom.api_records import (
    Held,
    Records,
    ReportEntry,
    chance,
    registrations_of,
)
from joinlog.fakezoom.events import ROOM_TOPIC, Json, full_occurrences, zoom_time
from joinlog.fakezoom.history import SeriesHistory
from joinlog.fakezoom.people import STAFF, Person
from joinlog.fakezoom.series import SINGLE, Signup, Slot

LIGHT, MEDIUM, HEAVY = "light", "medium", "heavy"
HISTORY_SPAN_MAX = timedelta(days=31)
LOG_KEPT = timedelta(days=7)
REGISTRANT_STATUSES = ("approved", "pending", "denied")
INVALID_MEETING = "Meeting ID is invalid or not end."


class ApiError(Exception):
    """An answer that is no answer: HTTP status, Zoom's code and message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One try of a delivery, as Zoom's delivery log keeps it; `failure` is empty when the endpoint took it."""

    at: datetime
    event: Mapping[str, Any]
    failure: str
    retry: int
    request_id: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Question:
    """One authorised call: whose, about what (`target` is the decoded id or uuid in the path), and when."""

    records: Records
    account_id: str
    target: str
    query: Mapping[str, str]
    now: datetime
    log: Sequence[LogEntry] = ()
    subscribed: Sequence[str] = ()
    webhook_url: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that is answered in pages: `items` as they stand now, each written by `to_row` when its page is asked."""

    key: str
    items: Sequence[Any]
    to_row: Callable[[Any], Json]
    extra: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the API. `{}` in the path stands for the target; `product` is `webinar`, `meeting` or empty."""

    path: str
    scope: str
    tier: str
    answer: Callable[[Question], Json | Listing]
    product: str = ""
    business_only: bool = False


# --- meetings, webinars, users -------------------------------------------------------------------------------------


def meeting(q: Question, kind: str) -> Json:
    """`GET /webinars/{id}`, `/meetings/{id}`: the schedule as it stands; past and deleted dates only when asked."""
    if kind == "meeting" and q.target.isdigit() and (q.account_id, int(q.target)) in q.records.rooms:
        return personal_room(q.records.rooms[q.account_id, int(q.target)], int(q.target))
    history = find_meeting(q, kind)
    series, slots = history.series, history.slots
    told = summary(history, q.now)
    told |= {
        "agenda": "",
        "host_email": history.team[0].email,
        "start_url": f"https://zoom.example/s/{series.meeting_id}?zak=fake",
        "password": "fake",
        "settings": {
            "approval_type": 0 if series.registration_type else 2,
            "use_pmi": series.pmi is not None or series.type == 4,
            "alternative_hosts": ";".join(series.alternative_hosts),
            **({"registration_type": series.registration_type} if series.registration_type else {}),
        },
    }
    if series.is_recurring_at_fixed_times:
        with_past = q.query.get("show_previous_occurrences", "false") == "true"
        told["recurrence"] = series.recurrence
        told["occurrences"] = [
            full_occurrences([slot.at(q.now)], slot.is_deleted_at(q.now))[0]
            for slot in sorted(slots, key=lambda slot: slot.at(q.now).start)
            if with_past or (slot.at(q.now).end >= q.now and not slot.is_deleted_at(q.now))
        ]
    return told


def personal_room(history: SeriesHistory, number: int) -> Json:
    """A host's personal meeting room, as `GET /meetings/{pmi}` tells it."""
    series = history.series
    return {
        "id": number,
        "host_id": series.host_id,
        "topic": ROOM_TOPIC,
        "type": 4,
        "timezone": series.timezone,
        "pmi": number,
        "join_url": f"https://zoom.example/j/{number}?pwd=fake",
        "settings": {"use_pmi": True, "approval_type": 2, "alternative_hosts": ""},
    }


def summary(history: SeriesHistory, now: datetime) -> Json:
    """What every list says of a meeting."""
    series = history.series
    left = [s.at(now) for s in history.slots if not s.is_deleted_at(now)]
    coming = [o for o in left if o.end >= now] or left
    told: Json = {
        "uuid": series.uuid,
        "id": series.meeting_id,
        "host_id": series.host_id,
        "topic": series.topic,
        "type": series.type,
        "duration": series.duration_minutes,
        "timezone": series.timezone,
        "created_at": zoom_time(series.created_at),
        "join_url": f"https://zoom.example/{'w' if series.kind == 'webinar' else 'j'}/{series.meeting_id}?pwd=fake",
    }
    if series.pmi is not None:
        told["pmi"] = series.pmi
    if coming:
        told["start_time"] = zoom_time(min(o.start for o in coming))
    return told


def find_meeting(q: Question, kind: str) -> SeriesHistory:
    """The series a number in the path names; `ApiError` if there is none of this kind at this moment."""
    history = q.records.meetings.get((q.account_id, int(q.target))) if q.target.isdigit() else None
    if history is None or history.series.created_at > q.now or is_gone(history, q.now):
        raise ApiError(404, 3001, f"{kind.capitalize()} does not exist: {q.target}.")
    if history.series.kind != kind:
        raise ApiError(400, 300, f"Can not access {kind} info, {q.target}.")
    return history


def is_gone(history: SeriesHistory, now: datetime) -> bool:
    """Whether a meeting of one session was deleted, and so the meeting itself."""
    return any(slot.at(now).occurrence_id == SINGLE and slot.is_deleted_at(now) for slot in history.slots)


def users(q: Question) -> Listing:
    """`GET /users`: the hosts of the account."""
    rows = [(i, *known) for i, known in q.records.users(q.account_id).items() if known[1] <= q.now]
    return Listing("users", rows, lambda row: user_row(*row))


def user(q: Question) -> Json:
    """`GET /users/{id}`."""
    found = q.records.users(q.account_id).get(q.target)
    if found is None:
        raise ApiError(404, 1001, f"User does not exist: {q.target}.")
    return user_row(q.target, *found)


def user_row(user_id: str, person: Person, since: datetime, pmi: int | None) -> Json:
    """One Zoom user."""
    return {
        "id": user_id,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "display_name": person.name,
        "email": person.email,
        "type": 2,
        "status": "active",
        "created_at": zoom_time(since),
        **({"pmi": pmi} if pmi is not None else {}),
    }


def users_meetings(q: Question, kind: str) -> Listing:
    """`GET /users/{id}/webinars`, `/users/{id}/meetings`: unexpired ones only."""
    if q.target not in q.records.users(q.account_id):
        raise ApiError(404, 1001, f"User does not exist: {q.target}.")
    found = [
        history
        for history in q.records.by_account[q.account_id]
        if history.series.host_id == q.target
        and history.series.kind == kind
        and history.series.created_at <= q.now
        and is_unexpired(history, q.now)
    ]
    return Listing(f"{kind}s", found, lambda history: summary(history, q.now))


def is_unexpired(history: SeriesHistory, now: datetime) -> bool:
    """Whether an occurrence is still to come, or the meeting has no schedule that could expire."""
    if not history.slots:
        return history.series.type in (6, 3)
    return any(slot.at(now).end >= now and not slot.is_deleted_at(now) for slot in history.slots)


# --- instances -----------------------------------------------------------------------------------------------------


def past_instances(q: Question, kind: str) -> Json:
    """`GET /past_webinars/{id}/instances`, `/past_meetings/{id}/instances`: ended ones, not paged."""
    known = q.records.meetings.get((q.account_id, int(q.target))) if q.target.isdigit() else None
    found = [h for h in held_under(q) if h.history.series.kind == kind]
    if not found and (known is None or known.series.kind != kind or known.series.created_at > q.now):
        raise ApiError(404, 3001, f"{kind.capitalize()} does not exist: {q.target}.")
    return {f"{kind}s": [instance_row(q.records, held) for held in found]}


def held_under(q: Question) -> list[Held]:
    """The past instances of a meeting number."""
    return q.records.past_instances(q.account_id, int(q.target), q.now) if q.target.isdigit() else []


def instance_row(records: Records, held: Held) -> Json:
    """One past instance, with Zoom's word on the occurrence.

    https://developers.zoom.us/changelog/meetings/september-14-2026
    """
    row: Json = {"uuid": held.instance.uuid, "start_time": zoom_time(held.instance.started_at)}
    occurrence_id = records.stated_occurrence_id(held)
    if occurrence_id is not None:
        row["occurrence_id"] = occurrence_id
    elif records.facts.no_occurrence_id != "absent":
        row["occurrence_id"] = None if records.facts.no_occurrence_id == "null" else ""
    return row


def find_held(q: Question, kind: str) -> Held:
    """The instance a uuid names, or the latest one of a meeting number; `ApiError` while it runs or if it is none."""
    if q.target.isdigit():
        past = [h for h in held_under(q) if h.history.series.kind == kind]
        if not past:
            raise ApiError(404, 3001, INVALID_MEETING)
        return past[-1]
    held = q.records.held.get(q.target)
    is_ours = held is not None and held.history.series.account_id == q.account_id
    if held is None or not is_ours or held.history.series.kind != kind or held.instance.started_at > q.now:
        raise ApiError(404, 3001, f"Meeting does not exist: {q.target}.")
    if held.instance.ended_at > q.now:
        raise ApiError(400, 3001, INVALID_MEETING)
    return held


def find_reported(q: Question, kind: str) -> Held:
    """The instance of a report; `ApiError` when it is too old or there is no report yet."""
    held = find_held(q, kind)
    if q.now - held.instance.ended_at > timedelta(days=30.5 * q.records.facts.report_months):
        raise ApiError(400, 12702, "Can not access meeting a year ago.")
    if q.records.report_state(held, q.now)[0] == "missing":
        raise ApiError(404, 3001, f"Meeting does not exist: {q.target}.")
    return held


# --- registrants, panelists, absentees -----------------------------------------------------------------------------


def registrants(q: Question, kind: str) -> Listing:
    """`GET /webinars/{id}/registrants`, `/meetings/{id}/registrants`: one occurrence and one status at a time."""
    history = find_meeting(q, kind)
    if not history.series.registration_type:
        raise ApiError(404, 404, f"Registration has not been enabled for this {kind}: {q.target}.")
    status = q.query.get("status") or "approved"
    if status not in REGISTRANT_STATUSES:
        raise ApiError(400, 300, f"Invalid status: {status}.")
    occurrence_id = q.query.get("occurrence_id") or None
    slot = find_slot(q, history, occurrence_id) if occurrence_id else only_slot(history)
    facts = q.records.facts
    rows = registrations_of(history, slot, occurrence_id, q.now, facts)
    if slot is not None and slot.is_deleted_at(q.now) and occurrence_id:
        if facts.deleted_occurrence == "error":
            raise ApiError(400, 3000, "Invalid occurrence_id.")
        rows = rows if facts.deleted_occurrence == "listed" else []
    chosen = [row for row in rows if row[1] == status]
    return Listing("registrants", chosen, lambda row: registrant_row(history, *row))


def find_slot(q: Question, history: SeriesHistory, occurrence_id: str) -> Slot:
    """The planned session that has this id now; `ApiError` if none has."""
    for slot in history.slots:
        if slot.at(q.now).occurrence_id == occurrence_id != SINGLE:
            return slot
    raise ApiError(400, 3000, "Invalid occurrence_id.")


def only_slot(history: SeriesHistory) -> Slot | None:
    """The session of a meeting that has one."""
    return None if history.series.is_recurring_at_fixed_times or not history.slots else history.slots[0]


def registrant_row(history: SeriesHistory, moment: datetime, status: str, signup: Signup) -> Json:
    """One registrant; `join_url` is a credential that nobody should keep."""
    person, series = signup.person, history.series
    return {
        "id": signup.registrant_id,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "email": person.email,
        "address": "",
        "city": "",
        "country": "",
        "zip": "",
        "state": "",
        "phone": "",
        "industry": "",
        "org": "",
        "job_title": "",
        "purchasing_time_frame": "",
        "role_in_purchase_process": "",
        "no_of_employees": "",
        "comments": "",
        "custom_questions": [{"title": "Where did you hear of us?", "value": "A friend"}],
        "status": status,
        "create_time": zoom_time(moment),
        "join_url": f"https://zoom.example/w/{series.meeting_id}?tk={signup.registrant_id}&pwd=fake",
    }


def panelists(q: Question) -> Json:
    """`GET /webinars/{id}/panelists`: not paged."""
    history = find_meeting(q, "webinar")
    rows = [
        {
            "id": person.user_id or person.key,
            "name": person.name,
            "email": person.email,
            "join_url": f"https://zoom.example/w/{history.series.meeting_id}?tk=panelist&pwd=fake",
        }
        for person in history.team
        if person.role == "panelist"
    ]
    return {"total_records": len(rows), "panelists": rows}


def absentees(q: Question) -> Listing:
    """`GET /past_webinars/{uuid}/absentees`: who registered for it and whose join link nobody used."""
    held = find_held(q, "webinar")
    history, slot = held.history, held.instance.slot
    occurrence_id = q.query.get("occurrence_id") or None
    if occurrence_id:
        slot = find_slot(q, history, occurrence_id)
    if slot is None and history.slots:
        return Listing("registrants", [], lambda row: registrant_row(history, *row))
    uuids = slot.uuids if slot is not None else [held.instance.uuid]
    came = {
        c.registrant_id
        for uuid in uuids
        for c in q.records.held[uuid].connections
        if q.records.held[uuid].instance.ended_at <= q.now
    }
    asked = slot.at(q.now).occurrence_id if slot is not None else None
    rows = [
        row
        for row in registrations_of(history, slot, asked, q.now, q.records.facts)
        if row[1] == "approved" and row[0] < held.instance.ended_at and row[2].registrant_id not in came
    ]
    return Listing("registrants", rows, lambda row: registrant_row(history, *row))


# --- reports -------------------------------------------------------------------------------------------------------


def report_participants(q: Question, kind: str) -> Listing:
    """`GET /report/webinars/{uuid}/participants`, `/report/meetings/...`: a row per connection, wait and room visit."""
    held = find_reported(q, kind)
    names = "registrant_id" in (q.query.get("include_fields") or "").split(",")
    return Listing(
        "participants", q.records.visible_entries(held, q.now), lambda entry: report_row(q.records, held, entry, names)
    )


def past_participants(q: Question, kind: str) -> Listing:
    """`GET /past_webinars/{uuid}/participants`, `/past_meetings/...`; empty for one participant alone."""
    held = find_reported(q, kind)
    entries = q.records.visible_entries(held, q.now)
    if kind == "meeting" and held.participants_count < 2:
        entries = ()
    return Listing("participants", entries, lambda entry: report_row(q.records, held, entry, with_registrant=True))


def report_row(records: Records, held: Held, entry: ReportEntry, with_registrant: bool) -> Json:
    """One row; `id` is blank for people outside the account, and `duration` is in whatever unit."""
    connection, facts = entry.connection, records.facts
    seconds = int((entry.left_at - entry.joined_at).total_seconds())
    in_minutes = held.history.series.kind == "webinar" and facts.webinar_duration_unit == "minutes"
    is_ours = connection is not None and connection.attendee.person.role in STAFF
    row: Json = {
        "id": connection.zoom_user_id if connection is not None and is_ours else "",
        "user_id": entry.user_id,
        "name": entry.name,
        "user_email": connection.email if connection is not None else "",
        "join_time": report_time(records, entry.joined_at, entry.user_id, "join"),
        "leave_time": report_time(records, entry.left_at, entry.user_id, "leave"),
        "duration": -(-seconds // 60) if in_minutes else seconds,
        "status": entry.status,
        "failover": entry.is_failover,
    }
    if with_registrant:
        row["registrant_id"] = connection.registrant_id if connection is not None else ""
    if connection is not None and connection.shows.customer_key:
        row["customer_key"] = connection.shows.customer_key
    if entry.room_uuid:
        row["bo_mtg_id"] = entry.room_uuid
    return row


def report_time(records: Records, at: datetime, *row: str) -> str:
    """A time as reports write it: now and then with three digits of seconds, which is no time in any standard."""
    facts = records.facts
    if facts.malformed_times and chance(records.seed, at, *row) < facts.malformed_times:
        return f"{at.isoformat()[:19]}7Z"
    return f"{at.isoformat()[:19]}.000Z" if facts.milliseconds else zoom_time(at)


def report_detail(q: Question, kind: str) -> Json:
    """`GET /report/webinars/{uuid}`, `/report/meetings/{uuid}`: the detail report."""
    held = find_reported(q, kind)
    series, instance = held.history.series, held.instance
    return {
        "uuid": instance.uuid,
        "id": held.meeting_id,
        "topic": series.topic if instance.pmi is None else ROOM_TOPIC,
        "type": series.type if instance.pmi is None else 4,
        "user_name": held.history.team[0].name,
        "user_email": held.history.team[0].email,
        "start_time": report_time(q.records, instance.started_at, instance.uuid, "start"),
        "end_time": report_time(q.records, instance.ended_at, instance.uuid, "end"),
        "duration": -(-int((instance.ended_at - instance.started_at).total_seconds()) // 60),
        "total_minutes": sum(int((c.left_at - c.joined_at).total_seconds()) for c in held.connections) // 60,
        "participants_count": held.participants_count,
    }


def history_meetings(q: Question) -> Listing:
    """`GET /report/history_meetings`: every ended instance of the account that started between two days, inclusive."""
    since, until = read_day(q, "from"), read_day(q, "to") + timedelta(days=1)
    if not since < until <= since + HISTORY_SPAN_MAX + timedelta(days=1):
        raise ApiError(400, 300, "The date range must be within one month.")
    reaches = q.now - timedelta(days=30.5 * q.records.facts.report_months)
    found = [
        held
        for held in q.records.started_between(q.account_id, max(since, reaches), until)
        if q.records.report_state(held, q.now)[0] in ("partial", "whole")
    ]
    wanted = q.query.get("meeting_type") or "all"
    if wanted in ("meeting", "webinar"):
        found = [held for held in found if held.history.series.kind == wanted]
    return Listing("history_meetings", found, lambda held: history_row(q.records, held))


def history_row(records: Records, held: Held) -> Json:
    """One instance of the account."""
    series, instance = held.history.series, held.instance
    return {
        "meeting_uuid": instance.uuid,
        "meeting_id": held.meeting_id,
        "type": series.kind.capitalize(),
        "topic": series.topic if instance.pmi is None else ROOM_TOPIC,
        "host_display_name": held.history.team[0].name,
        "host_email": held.history.team[0].email,
        "start_time": report_time(records, instance.started_at, instance.uuid, "start"),
        "end_time": report_time(records, instance.ended_at, instance.uuid, "end"),
        "duration": -(-int((instance.ended_at - instance.started_at).total_seconds()) // 60),
        "participants": held.participants_count,
        "create_time": zoom_time(series.created_at),
    }


def read_day(q: Question, name: str) -> datetime:
    """A day of the query as the midnight (UTC) it begins with; `ApiError` if it is none."""
    try:
        return datetime.combine(date.fromisoformat(q.query.get(name, "")), time(), tzinfo=UTC)
    except ValueError as failure:
        raise ApiError(400, 300, f"The value of {name} is not a date.") from failure


def dashboard_participants(q: Question, kind: str) -> Listing:
    """`GET /metrics/webinars/{uuid}/participants`, `/metrics/meetings/...`: the dashboard, for business plans."""
    held = find_reported(q, kind)
    entries = [e for e in q.records.visible_entries(held, q.now) if e.connection is not None and not e.is_failover]
    return Listing("participants", entries, lambda entry: dashboard_row(q.records, held, entry))


def dashboard_row(records: Records, held: Held, entry: ReportEntry) -> Json:
    """One row of the dashboard: alone in naming `participant_uuid`, role and leave reason."""
    assert entry.connection is not None
    role = entry.connection.attendee.person.role
    row = report_row(records, held, entry, with_registrant=True)
    row.pop("user_email")
    return row | {
        "user_name": row.pop("name"),
        "email": entry.connection.email,
        "participant_uuid": entry.participant_uuid,
        "role": {"host": "host", "panelist": "panelist"}.get(role, "attendee"),
        "leave_reason": entry.connection.reason,
    }


# --- webhooks ------------------------------------------------------------------------------------------------------


def webhook_logs(q: Question) -> Listing:
    """`GET /marketplace/apps/{appId}/webhook_logs`: the deliveries of the last seven days, newest last."""
    if not q.records.facts.log_is_readable:
        raise ApiError(400, 200, "No permission: this app may not read webhook logs.")
    since = max(read_moment(q, "from") or q.now - LOG_KEPT, q.now - LOG_KEPT)
    until = min(read_moment(q, "to", is_end=True) or q.now, q.now)
    kind, retry = q.query.get("type") or "", q.query.get("retry_num") or ""
    found = [
        entry
        for entry in q.log
        if since <= entry.at <= until
        and entry.event["payload"]["account_id"] == q.account_id
        and (not kind or kind == entry.event["event"] or kind == ("failed" if entry.failure else "success"))
        and (not retry or int(retry) == entry.retry)
    ]
    found.sort(key=lambda entry: (entry.at, entry.request_id, entry.retry))
    return Listing("webhook_logs", found, lambda entry: log_row(q.records, entry))


def log_row(records: Records, entry: LogEntry) -> Json:
    """One try of a delivery; the event as text, where the log holds it."""
    row: Json = {
        "event": entry.event["event"],
        "status": "failed" if entry.failure else "success",
        "failed_reason_type": entry.failure,
        "retry_num": entry.retry,
        "request_id": entry.request_id,
        "trace_id": entry.trace_id,
        "date_time": zoom_time(entry.at),
    }
    body = msgspec.json.encode(entry.event).decode()
    kept = records.facts.log_bodies
    third = int(3 * chance(records.seed, entry.request_id, "body"))
    if kept == "whole" or (kept == "some" and third == 0):
        row["request_body"] = body
    elif kept == "some" and third == 1:
        row["request_body"] = body[: len(body) // 2]
    return row


def read_moment(q: Question, name: str, is_end: bool = False) -> datetime | None:
    """A day or a moment of the query; None when it is not given, `ApiError` if it is neither."""
    text = q.query.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as failure:
        raise ApiError(400, 300, f"The value of {name} is not a date.") from failure
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return moment + timedelta(days=1) if is_end and len(text) == 10 else moment


def event_subscription(q: Question) -> Json:
    """`GET /marketplace/app/event_subscription`: which events the app is subscribed to."""
    one = {
        "event_subscription_id": "fakeSubscription",
        "event_subscription_name": "Joinlog",
        "events": list(q.subscribed),
        "event_webhook_url": q.webhook_url,
    }
    return {"event_subscriptions": [one]}


# --- the table -----------------------------------------------------------------------------------------------------


def _for_kinds(
    answer: Callable[[Question, str], Json | Listing], rows: Sequence[tuple[str, str, str, str]], **more: Any
) -> list[Endpoint]:
    """One endpoint for webinars and one for meetings: (kind, path, scope, tier) each."""

    def bind(kind: str) -> Callable[[Question], Json | Listing]:
        return lambda q: answer(q, kind)

    return [Endpoint(path, scope, tier, bind(kind), kind, **more) for kind, path, scope, tier in rows]


W, M = "webinar", "meeting"
ENDPOINTS: Sequence[Endpoint] = (
    *_for_kinds(meeting, [(W, "/webinars/{}", "webinar:read:webinar:admin", LIGHT),
                          (M, "/meetings/{}", "meeting:read:meeting:admin", LIGHT)]),
    *_for_kinds(past_instances, [
        (W, "/past_webinars/{}/instances", "webinar:read:list_past_instances:admin", LIGHT),
        (M, "/past_meetings/{}/instances", "meeting:read:list_past_instances:admin", MEDIUM)]),
    *_for_kinds(registrants, [
        (W, "/webinars/{}/registrants", "webinar:read:list_registrants:admin", MEDIUM),
        (M, "/meetings/{}/registrants", "meeting:read:list_registrants:admin", MEDIUM)]),
    Endpoint("/webinars/{}/panelists", "webinar:read:list_panelists:admin", MEDIUM, panelists, W),
    *_for_kinds(report_participants, [
        (W, "/report/webinars/{}/participants", "report:read:list_webinar_participants:admin", HEAVY),
        (M, "/report/meetings/{}/participants", "report:read:list_meeting_participants:admin", HEAVY)]),
    *_for_kinds(past_participants, [
        (W, "/past_webinars/{}/participants", "webinar:read:list_past_participants:admin", MEDIUM),
        (M, "/past_meetings/{}/participants", "meeting:read:list_past_participants:admin", MEDIUM)]),
    *_for_kinds(report_detail, [(W, "/report/webinars/{}", "report:read:webinar:admin", HEAVY),
                                (M, "/report/meetings/{}", "report:read:meeting:admin", HEAVY)]),
    Endpoint("/past_webinars/{}/absentees", "webinar:read:list_absentees:admin", MEDIUM, absentees, W),
    Endpoint("/report/history_meetings", "report:read:list_history_meetings:admin", HEAVY, history_meetings),
    Endpoint("/users", "user:read:list_users:admin", MEDIUM, users),
    Endpoint("/users/{}", "user:read:user:admin", LIGHT, user),
    *_for_kinds(users_meetings, [(W, "/users/{}/webinars", "webinar:read:list_webinars:admin", MEDIUM),
                                 (M, "/users/{}/meetings", "meeting:read:list_meetings:admin", MEDIUM)]),
    *_for_kinds(dashboard_participants, [
        (W, "/metrics/webinars/{}/participants", "dashboard:read:list_webinar_participants:admin", HEAVY),
        (M, "/metrics/meetings/{}/participants", "dashboard:read:list_meeting_participants:admin", HEAVY),
    ], business_only=True),
    Endpoint("/marketplace/apps/{}/webhook_logs", "marketplace_app:read", MEDIUM, webhook_logs),
    Endpoint("/marketplace/app/event_subscription", "marketplace:read:list_event_subscriptions:admin", LIGHT,
             event_subscription),
)  # fmt: skip
SCOPES = tuple(sorted({endpoint.scope for endpoint in ENDPOINTS}))
