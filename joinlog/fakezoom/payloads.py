"""Events as Zoom states them.

Shapes follow the types Zoom publishes in `@zoom/rivet` (`meetings/meetings.d.ts`). The meeting's `id` is a number in
`created`, `updated`, `deleted`, `recovered` and `registration_*`, and text in everything live.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from joinlog.fakezoom.people import Person
from joinlog.fakezoom.series import Occurrence, Series

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
    """The event `name` stated at `at`."""
    return Emission(at, {"event": name, "event_ts": int(at.timestamp() * 1000), "payload": payload})


# --- the schedule side: `id` is a number ---------------------------------------------------------------------------


def schedule_object(series: Series, start: datetime | None) -> Json:
    """What every schedule-side event says of the meeting."""
    told: Json = {
        "uuid": series.uuid,
        "id": series.meeting_id,
        "host_id": series.host_id,
        "topic": series.topic,
        "type": series.type,
        "duration": series.duration_minutes,
        "timezone": series.timezone,
    }
    if start is not None:
        told["start_time"] = zoom_time(start)
    return told


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
    told = schedule_object(series, first)
    told["join_url"] = f"https://zoom.example/{'w' if series.kind == 'webinar' else 'j'}/{series.meeting_id}"
    told["password"] = "fake"  # noqa: S105 - Joinlog must not keep it, so there must be one
    told["settings"] = {"use_pmi": series.type == 4, "alternative_hosts": ""}
    if series.kind == "webinar":
        told["creation_source"] = SOURCES[series.meeting_id % 3]
    if series.recurrence is not None:
        told["occurrences"] = full_occurrences(series.occurrences)
        told["recurrence"] = series.recurrence
    return state(at, f"{series.kind}.created", operated(series, told))


def operated(series: Series, told: Json, **more: Any) -> Json:
    """A payload that names who did it."""
    return {
        "account_id": series.account_id,
        "operator": OPERATOR,
        "operator_id": series.host_id,
        **more,
        "object": told,
    }


def updated(series: Series, at: datetime, scope: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> Emission:
    """`updated`: `new` and `old` hold only what changed; `scope` is `single` (one occurrence) or `all`."""
    identity = {"id": series.meeting_id, "uuid": series.uuid}
    payload = operated(series, {**identity, **new}, scope=scope, time_stamp=int(at.timestamp() * 1000))
    payload["old_object"] = {**identity, **old}
    return state(at, f"{series.kind}.updated", payload)


def occurrences_gone_or_back(series: Series, at: datetime, what: str, occurrences: Sequence[Occurrence]) -> Emission:
    """`deleted` or `recovered` (`what`) for single occurrences."""
    told = schedule_object(series, occurrences[0].start)
    if series.is_recurring_at_fixed_times:
        told["occurrences"] = brief_occurrences(occurrences)
        return state(at, f"{series.kind}.{what}", operated(series, told, operation="single"))
    return state(at, f"{series.kind}.{what}", operated(series, told, operation="all"))


def registration(
    series: Series, at: datetime, what: str, who: Json, listed: Sequence[Occurrence], by_operator: bool
) -> Emission:
    """`registration_created|approved|denied|cancelled` (`what`); `listed` empty leaves `occurrences` out."""
    start = listed[0].start if listed else (series.occurrences[0].start if series.occurrences else series.created_at)
    told = schedule_object(series, start)
    if listed:
        told["occurrences"] = brief_occurrences(listed)
    told["registrant"] = who
    payload = operated(series, told) if by_operator else {"account_id": series.account_id, "object": told}
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


def live_object(series: Series, uuid: str, started_at: datetime) -> Json:
    """What every live event says of the instance; `start_time` is its actual start."""
    return {
        "id": str(series.meeting_id),
        "uuid": uuid,
        "host_id": series.host_id,
        "topic": series.topic,
        "type": series.type,
        "start_time": zoom_time(started_at),
        "timezone": series.timezone,
        "duration": series.duration_minutes,
    }


def live(series: Series, at: datetime, what: str, told: Json, **more: Any) -> Emission:
    """A live event `what` about the instance `told` describes, with `more` in its object."""
    return Emission(
        at,
        {
            "event": f"{series.kind}.{what}",
            "event_ts": int(at.timestamp() * 1000),
            "payload": {"account_id": series.account_id, "object": {**told, **more}},
        },
    )
