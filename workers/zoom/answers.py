"""Zoom's complete answers as the bodies of events, kept in the inbox like a webhook's. Pure.

Only what is named here is kept, so no join link, start link or password ever is. The fields have the names they have in
webhooks. A long answer is several bodies; they are kept in one transaction, so that it is applied whole or not at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from schema.zoom.erasure import PSEUDONYM_ENDING

Json = dict[str, Any]
ROWS_PER_BODY_MAX = 100  # so that an answer never holds the tables for long
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)")

_MEETING_FIELDS = ("id", "host_id", "host_email", "topic", "type", "start_time", "duration", "timezone", "recurrence")
_SETTINGS = ("registration_type", "alternative_hosts", "use_pmi")
_OCCURRENCE_FIELDS = ("occurrence_id", "start_time", "duration", "status")
_REGISTRANT_FIELDS = ("id", "email", "first_name", "last_name", "create_time", "custom_questions")
_CONNECTION_FIELDS = ("id", "user_id", "registrant_id", "status", "bo_mtg_id", "customer_key")


def meeting_read(kind: str, answer: Json) -> list[Json]:
    """`GET /webinars/{id}` or `/meetings/{id}`, with previous occurrences."""
    told = _some(answer, _MEETING_FIELDS) | {"kind": kind}
    if answer.get("pmi"):
        told["pmi"] = answer["pmi"]
    if isinstance(settings := answer.get("settings"), dict) and (kept := _some(settings, _SETTINGS)):
        told["settings"] = kept
    if occurrences := _rows(answer, "occurrences"):
        told["occurrences"] = [_some(row, _OCCURRENCE_FIELDS) for row in occurrences]
    return [told]


def instances_read(kind: str, meeting_id: int, answer: Json) -> list[Json]:
    """`GET /past_webinars/{id}/instances` or `/past_meetings/{id}/instances`: every instance that ended."""
    rows = [
        _without_nothing(
            {
                "uuid": row["uuid"],
                "start_time": zoom_time(row.get("start_time")),
                "occurrence_id": row.get("occurrence_id") or None,
            }
        )
        for row in _rows(answer, f"{kind}s")
        if row.get("uuid")
    ]
    return [{"id": meeting_id, "kind": kind, "instances": sorted(rows, key=lambda row: str(row["uuid"]))}]


def registrants_read(
    kind: str, meeting_id: int, occurrence_id: str | None, listed: Mapping[str, Json], gone: Iterable[str]
) -> list[Json]:
    """One list of registrants for each status, of one occurrence or of all (None), and who is not in any of them."""
    about = _without_nothing({"id": meeting_id, "kind": kind, "occurrence_id": occurrence_id})
    bodies: list[Json] = []
    for status, answer in listed.items():
        rows = [_some(row, _REGISTRANT_FIELDS) | {"status": status} for row in _rows(answer, "registrants")]
        bodies += [about | {"registrants": part} for part in _parts(sorted(rows, key=_encoded))]
    if missing := _gone(gone):
        bodies.append(about | {"gone": missing})
    return bodies


def panelists_read(meeting_id: int, answer: Json, known: Iterable[str]) -> list[Json]:
    """`GET /webinars/{id}/panelists`, and who of those known as such (`user:`, `email:`) is not in it any more."""
    rows = [_some(row, ("id", "email")) for row in _rows(answer, "panelists")]
    here = {f"user:{row['id']}" for row in rows if "id" in row}
    here |= {f"email:{str(row['email']).strip().lower()}" for row in rows if "email" in row}
    about = {"id": meeting_id, "kind": "webinar", "panelists": sorted(rows, key=_encoded)}
    return [about | _without_nothing({"gone": _gone(set(known) - here)})]


def _gone(names: Iterable[str]) -> list[str]:
    """Who is gone from a list; of a pseudonym that cannot be told, for Zoom names it otherwise."""
    return sorted(name for name in names if not name.endswith(PSEUDONYM_ENDING))


def report_read(kind: str, meeting_id: int, uuid: str, answer: Json) -> list[Json]:
    """`GET /report/webinars/{uuid}` or `/report/meetings/{uuid}`: when it began and ended, and how many came."""
    told = {
        "id": meeting_id,
        "kind": kind,
        "uuid": uuid,
        "start_time": zoom_time(answer.get("start_time")),
        "end_time": zoom_time(answer.get("end_time")),
        "participants_count": answer.get("participants_count"),
    }
    return [_without_nothing(told)]


def absentees_read(meeting_id: int, uuid: str, answer: Json) -> list[Json]:
    """`GET /past_webinars/{uuid}/absentees`: how many; who they are follows from registrants and stays."""
    return [{"id": meeting_id, "kind": "webinar", "uuid": uuid, "absentees_count": len(_rows(answer, "registrants"))}]


def participants_read(kind: str, meeting_id: int, uuid: str, answer: Json) -> list[Json]:
    """`GET /report/webinars/{uuid}/participants` or `/report/meetings/...`: a row per connection."""
    about = {"id": meeting_id, "kind": kind, "uuid": uuid}
    rows = [_connection(row) for row in _rows(answer, "participants")]
    return [about | {"participants": part} for part in _parts(sorted(rows, key=_encoded))] or [about]


def history_read(answer: Json) -> list[Json]:
    """`GET /report/history_meetings`: every instance of the account that ended in these days."""
    rows = [
        _without_nothing(
            {
                "uuid": row["meeting_uuid"],
                "id": row.get("meeting_id"),
                "kind": str(row.get("type") or "").lower() or None,
                "topic": row.get("topic"),
                "start_time": zoom_time(row.get("start_time")),
                "end_time": zoom_time(row.get("end_time")),
                "participants_count": row.get("participants"),
            }
        )
        for row in _rows(answer, "history_meetings")
        if row.get("meeting_uuid") and row.get("meeting_id")
    ]
    return [{"instances": part} for part in _parts(sorted(rows, key=lambda row: str(row["uuid"])))]


def said(bodies: Sequence[Json]) -> str:
    """What an answer says, as a SHA-256: two answers that say the same share it."""
    return hashlib.sha256(_encoded(bodies)).hexdigest()


def event_body(event: str, account_id: str, told: Json, said_ms: int) -> bytes:
    """The body of an event; `said_ms` is since when Zoom answers this, so that the same answer is the same event."""
    payload = {"account_id": account_id, "object": told}
    return msgspec.json.encode({"event": event, "event_ts": said_ms, "payload": payload})


def zoom_time(text: object) -> str | None:
    """A time of a report, cut to its second; None where there is none. Zoom's may read `2022-03-26T08:11:387Z`."""
    found = _TIME.match(text) if isinstance(text, str) else None
    return f"{found.group(1)}Z" if found else None


def _connection(row: Json) -> Json:
    return _some(row, _CONNECTION_FIELDS) | _without_nothing(
        {
            "user_name": row.get("name"),
            "email": row.get("user_email"),
            "join_time": zoom_time(row.get("join_time")),
            "leave_time": zoom_time(row.get("leave_time")),
        }
    )


def _rows(answer: Json, name: str) -> list[Json]:
    return [row for row in answer.get(name) or () if isinstance(row, dict)]


def _some(row: Json, names: Iterable[str]) -> Json:
    return _without_nothing({name: row.get(name) for name in names})


def _without_nothing(row: Json) -> Json:
    return {name: value for name, value in row.items() if value not in (None, "", [])}


def _encoded(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _parts(rows: Sequence[Json]) -> list[list[Json]]:
    return [list(rows[start : start + ROWS_PER_BODY_MAX]) for start in range(0, len(rows), ROWS_PER_BODY_MAX)]
