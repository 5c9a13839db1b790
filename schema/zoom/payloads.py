"""What Zoom sends, read once: just the fields Joinlog uses, identifiers and times normalised. Pure.

The shapes follow the types Zoom publishes in the npm package `@zoom/rivet` (meetings/meetings.d.ts); what reality adds
to them is noted beside the field. Fields that are not named here are ignored.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from schema.zoom.envelope import decode_document

Number = int | float | str | None  # Zoom writes numbers as numbers in some events and as text in others
MEETING_ID_MAX = 2**63 - 1
MINUTES_MAX = 60 * 24 * 366
INTEGER_MAX = 2**31 - 1  # what a column of whole numbers holds
IDENTIFIER_BYTES_MAX = 400  # Zoom's have some 30; three of them have to fit into an index row of Postgres, 2,704 bytes
EMAIL_BYTES_MAX = 320  # RFC 3696: 64 before the @, 255 behind it
OCCURRENCES_MAX = 2000  # dates that one event names; Zoom's series have 60 at most
TEXT_CHARACTERS_MAX = 4000
LEAVE_REASON_CHARACTERS_MAX = 200
_REASON = re.compile(r"\bReason\s*:\s*(.*)\Z", re.DOTALL | re.IGNORECASE)
_UNSTORABLE_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class PayloadError(ValueError):
    """An event that does not have the shape its type promises; it will not have it next time either."""


class _Wire(msgspec.Struct, frozen=True):
    """A part of a payload as it comes over the wire."""


class ScheduledOccurrence(_Wire, frozen=True):
    """One entry of `occurrences`. `occurrence_id` looks like a time and is not one."""

    occurrence_id: int | str
    start_time: str | None = None
    duration: Number = None
    status: str | None = None


class MeetingSettings(_Wire, frozen=True):
    """`settings`: the published types show registration_type in `updated` only; it is read wherever it comes."""

    registration_type: Number = None
    alternative_hosts: Any = None  # addresses in one text, each after a semicolon or a comma
    use_pmi: Any = None


class Question(_Wire, frozen=True):
    """One entry of `custom_questions`."""

    title: str | None = None
    value: str | None = None


class RegistrantPart(_Wire, frozen=True):
    """`registrant` of `registration_*`."""

    id: int | str | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    status: str | None = None
    custom_questions: list[Question] | None = None
    create_time: str | None = None  # of the API's lists
    address: Any = None
    city: Any = None
    comments: Any = None
    country: Any = None
    industry: Any = None
    job_title: Any = None
    no_of_employees: Any = None
    org: Any = None
    phone: Any = None
    purchasing_time_frame: Any = None
    role_in_purchase_process: Any = None
    state: Any = None
    tracking_source: Any = None
    zip: Any = None


DETAILS = (
    "address", "city", "comments", "country", "industry", "job_title", "no_of_employees", "org", "phone",
    "purchasing_time_frame", "role_in_purchase_process", "state", "tracking_source", "zip",
)  # fmt: skip
"""What a registration form may ask besides names, an address and questions of its own."""


class ParticipantPart(_Wire, frozen=True):
    """`participant` of `participant_*`: one connection; a rejoin gets new user_id and participant_uuid."""

    user_id: int | str | None = None
    user_name: str | None = None
    id: int | str | None = None  # a signed-in Zoom user; empty for guests
    participant_user_id: str | None = None
    participant_uuid: str | None = None
    registrant_id: int | str | None = None
    email: str | None = None
    join_time: str | None = None
    leave_time: str | None = None
    leave_reason: str | None = None
    date_time: str | None = None
    new_role: str | None = None
    bind_user_id: int | str | None = None
    bind_participant_uuid: str | None = None
    parent_user_id: int | str | None = None  # of a breakout room's connection; optional in the types
    customer_key: int | str | None = None  # set by an app built on Zoom's SDK
    custom_keys: Any = None  # since 2026-11-16; its shape is not published: see read_custom_keys
    phone_number: int | str | None = None  # a number in the callout events
    status: str | None = None  # of the API's reports: in_meeting or in_waiting_room
    bo_mtg_id: str | None = None  # of the API's reports: a breakout room


class AuditPart(_Wire, frozen=True):
    """`audit` of `joinlog.instance_audited`: webhooks of an instance against Zoom's report of it."""

    stays_both: int
    stays_webhook_only: int
    stays_report_only: int
    webhooks_expected: int
    webhooks_lost: dict[str, int]  # by event


class ObjectPart(_Wire, frozen=True):
    """`payload.object`. In `*.updated` it holds only what changed."""

    id: int | str | None = None
    uuid: str | None = None
    host_id: str | None = None
    host_email: str | None = None  # of the API's answers
    topic: str | None = None
    type: Number = None
    start_time: str | None = None
    end_time: str | None = None
    timezone: str | None = None
    pmi: Number = None
    duration: Number = None
    practice_session: bool | None = None
    occurrence_id: int | str | None = None
    breakout_room_uuid: str | None = None
    occurrences: list[ScheduledOccurrence] | None = None
    recurrence: dict[str, Any] | None = None
    settings: MeetingSettings | None = None
    registrant: RegistrantPart | None = None
    participant: ParticipantPart | None = None
    # Joinlog's own events (`joinlog.*`): an operator's word about a link
    by: str | None = None
    because: str | None = None
    instances: list[ObjectPart] | None = None
    # What Zoom's API answered (`zoom.*`)
    kind: str | None = None
    registrants: list[RegistrantPart] | None = None
    participants: list[ParticipantPart] | None = None
    gone: list[str] | None = None
    panelists: list[RegistrantPart] | None = None
    participants_count: Number = None
    absentees_count: Number = None
    # Joinlog's own `joinlog.instance_audited`
    final_at: str | None = None
    audit: AuditPart | None = None


class PayloadPart(_Wire, frozen=True):
    """`payload`."""

    account_id: str | None = None
    operation: str | None = None
    scope: str | None = None
    time_stamp: Number = None
    deauthorization_time: str | None = None  # of `app_deauthorized`
    object: ObjectPart | None = None
    old_object: ObjectPart | None = None


class BodyPart(_Wire, frozen=True):
    """The whole body."""

    payload: PayloadPart


_decode = msgspec.json.Decoder(BodyPart, strict=False).decode


def read_payload(body: str) -> PayloadPart:
    """Read a kept body. Raises PayloadError when it is not shaped like an event, or is beyond a limit."""
    try:
        if _UNSTORABLE_ESCAPE.search(body):
            payload = msgspec.convert(decode_document(body), BodyPart, strict=False).payload
        else:
            payload = _decode(body).payload
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise PayloadError(str(error)) from error
    for part in (payload.object, payload.old_object):
        if part is not None and part.occurrences:
            _check_occurrences(part.occurrences)
    return payload


def _check_occurrences(occurrences: list[ScheduledOccurrence]) -> None:
    if len(occurrences) > OCCURRENCES_MAX:
        raise PayloadError(f"{len(occurrences)} occurrences are named; {OCCURRENCES_MAX} are allowed")
    for occurrence in occurrences:
        read_identifier(occurrence.occurrence_id)


def read_moment(text: str | None) -> datetime | None:
    """Read a time of Zoom's, `2021-07-13T21:44:51Z`; one without a zone is UTC. Raises PayloadError."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PayloadError("a time that cannot be read") from error


def read_whole_number(value: Number, most: int = MEETING_ID_MAX) -> int | None:
    """Read a number that may come as text. Raises PayloadError."""
    if value is None or value == "":
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError) as error:
        raise PayloadError("a number that cannot be read") from error
    if not 0 <= number <= most:
        raise PayloadError(f"a number that is not from 0 to {most}")
    return number


def read_minutes(value: Number) -> int | None:
    """Read a planned length, minutes; one that makes no sense is as good as none."""
    try:
        return read_whole_number(value, MINUTES_MAX)
    except PayloadError:
        return None


def read_small_number(value: Number) -> int | None:
    """Read a type or a choice; one that makes no sense is as good as none."""
    try:
        return read_whole_number(value, INTEGER_MAX)
    except PayloadError:
        return None


def read_identifier(value: int | str | None) -> str | None:
    """Read an identifier; an empty one is none. Raises PayloadError when it is longer than IDENTIFIER_BYTES_MAX."""
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else str(value)
    if len(text) * 4 > IDENTIFIER_BYTES_MAX and len(text.encode()) > IDENTIFIER_BYTES_MAX:
        raise PayloadError(f"an identifier has {len(text.encode())} bytes; {IDENTIFIER_BYTES_MAX} are allowed")
    return text


def read_text(value: int | str | None) -> str | None:
    """Read a name or a text; an empty one is none."""
    if value is None or value == "":
        return None
    return value[:TEXT_CHARACTERS_MAX] if isinstance(value, str) else str(value)


def read_email(value: str | None) -> str | None:
    """Read an address; addresses are compared in lower case. Raises PayloadError when it is too long."""
    text = value.strip().lower() if value else ""
    if len(text) * 4 > EMAIL_BYTES_MAX and len(text.encode()) > EMAIL_BYTES_MAX:
        raise PayloadError(f"an address has {len(text.encode())} bytes; {EMAIL_BYTES_MAX} are allowed")
    return text or None


def read_custom_keys(value: Any) -> str | None:
    """Read `custom_keys` as JSON text: a sorted list of [key, value]; what is not shaped like keys is none.

    Zoom has not published its shape for events. In its REST API it is a list of {key, value}. What is longer than an
    identifier may be is its SHA-256.
    """
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [(item.get("key"), item.get("value")) for item in value if isinstance(item, dict)]
    else:
        return None
    kept = sorted({(str(key), str(held)) for key, held in pairs if key and held not in (None, "")})
    text = json.dumps(kept, ensure_ascii=False)
    if len(text.encode()) > IDENTIFIER_BYTES_MAX:  # ten keys may be longer than an index takes
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return text if kept else None


def read_registrant(registrant: RegistrantPart) -> tuple[str, dict[str, Any]]:
    """Read who a registrant is, by id or else by address, and what they told. Raises PayloadError without either."""
    email = read_email(registrant.email)
    registrant_id = read_identifier(registrant.id) or (f"email:{email}" if email else None)
    if registrant_id is None:
        raise PayloadError("registrant has neither id nor email")
    questions = [{"title": q.title, "value": q.value} for q in registrant.custom_questions or ()]
    return registrant_id, {
        "email": email,
        "first_name": read_text(registrant.first_name),
        "last_name": read_text(registrant.last_name),
        "custom_questions": json.dumps(questions, ensure_ascii=False) if questions else None,
        "details": read_details(registrant),
    }


def read_details(registrant: RegistrantPart) -> str | None:
    """Read DETAILS that were told as JSON text, each under Zoom's name."""
    told = {name: detail for name in DETAILS if (detail := _read_detail(getattr(registrant, name)))}
    return json.dumps(told, ensure_ascii=False) if told else None


def _read_detail(value: Any) -> Any:
    """A text, or the parts of one (`tracking_source` has three); None for anything else."""
    if isinstance(value, dict):
        return {name: text for name, inner in value.items() if (text := _read_detail(inner))}
    return read_text(value) if isinstance(value, int | str) else None


def read_hosts(value: Any) -> str | None:
    """Read `alternative_hosts`: addresses in lower case, each within semicolons; `;` alone says that there are none."""
    if not isinstance(value, str):
        return None
    hosts = sorted({host.strip().lower() for host in value.replace(",", ";").split(";")} - {""})
    return "".join(f";{host};" for host in hosts)[:TEXT_CHARACTERS_MAX] or ";"


def read_leave_reason(text: str | None, name: str | None) -> str | None:
    """Zoom's reason for a leave, without the name it is told with: `Jill left the meeting.<br>Reason: ...`."""
    if not text:
        return None
    told = _REASON.search(text)
    if told is not None:
        return told.group(1).strip()[:LEAVE_REASON_CHARACTERS_MAX] or None
    return None if name and name in text else text[:LEAVE_REASON_CHARACTERS_MAX]


def to_milliseconds(moment: datetime) -> int:
    """A moment as whole milliseconds since 1970."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(milliseconds: int) -> datetime:
    """The moment so many milliseconds after 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
