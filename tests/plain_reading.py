"""What an event of Zoom's says, read from its JSON by hand: the other opinion that projections are compared with.

Nothing here comes from the code under test but its reserved names, so that one misunderstanding is not on both sides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from schema.reserved import EVERY_OCCURRENCE, SINGLE_OCCURRENCE

Json = dict[str, Any]
SERIES = {"created", "updated", "converted_to_meeting", "converted_to_webinar"}
ENDED_OR_BACK = {"deleted": "deleted", "permanently_deleted": "deleted", "recovered": "recovered"}
WAITING = {
    f"participant_{name}"
    for name in (
        "joined_waiting_room", "left_waiting_room", "put_in_waiting_room", "admitted", "jbh_joined", "jbh_waiting",
        "jbh_waiting_left",
    )
}  # fmt: skip
"""Events that tell who somebody is, and not that they were there."""
ABOUT_A_REGISTRANT = (
    "address", "city", "comments", "country", "industry", "job_title", "no_of_employees", "org", "phone",
    "purchasing_time_frame", "role_in_purchase_process", "state", "tracking_source", "zip",
)  # fmt: skip
ROLES_OF_TIME = {"joined": "join_time", "left": "leave_time"}


class Said(NamedTuple):
    """What a body says about one row: its table, its key without the account, and columns; None where it is silent."""

    table: str
    key: tuple[Any, ...]
    columns: Json


class Occurrence(NamedTuple):
    """One date that a body names; its length and status where it tells them."""

    occurrence_id: str
    start: datetime | None
    minutes: int | None
    status: str | None


class PlainReading:
    """One body, read by hand. `arrived_at` stands in where it has no time of its own."""

    def __init__(self, body: Json, arrived_at: datetime) -> None:
        self.event: str = body["event"]
        self.payload: Json = body["payload"]
        self.zoom_object: Json = self.payload.get("object") or {}
        self.account_id: str = self.payload.get("account_id") or ""
        self.event_ts_ms = time_ms(body.get("event_ts", self.payload.get("event_ts")))
        self.at = arrived_at if self.event_ts_ms is None else moment_of(self.event_ts_ms)
        self.kind, _, self.name = self.event.partition(".")

    @property
    def meeting_id(self) -> int | None:
        """The meeting's number, whether it came as a number or as text."""
        return number_or_none(self.zoom_object.get("id"))

    @property
    def is_about_dates(self) -> bool:
        """Whether the event speaks of some dates and not of the series."""
        names_dates = bool(self.zoom_object.get("occurrences"))
        if self.name == "updated":
            return bool(self.payload.get("scope", "single" if names_dates else "all") == "single")
        return self.name in ENDED_OR_BACK and names_dates and self.payload.get("operation") != "all"

    def says(self) -> Iterator[Said]:
        """Every row the body says something about."""
        if self.event == "app_deauthorized":
            departed = moment(self.payload.get("deauthorization_time")) or self.at
            yield Said("account_departure", (), {"deauthorized_at": departed})
        if self.name in WAITING:
            yield from self._waited()
            return
        if self.meeting_id is not None:
            yield Said("meeting", (self.meeting_id,), self._meeting())
        if self.name in {"started", "ended"} or self.name.startswith("participant_"):
            yield Said("instance", (self.zoom_object["uuid"],), self._instance())
        if self.name.startswith("participant_"):
            yield self._connection()
        if self.name.startswith("registration_"):
            yield self._registrant()

    def dates(self) -> set[Occurrence]:
        """Every date the body states as planned, moved or called off, under Joinlog's names where it has none."""
        named = {
            Occurrence(str(date["occurrence_id"]), moment(date.get("start_time")), date.get("duration"),
                       text(date.get("status")))
            for date in self.zoom_object.get("occurrences") or ()
        }  # fmt: skip
        start, minutes = moment(self.zoom_object.get("start_time")), number_or_none(self.zoom_object.get("duration"))
        if self.name in {"created", "updated"} and start and not named:
            return {Occurrence(SINGLE_OCCURRENCE, start, minutes, None)}
        if self.name in ENDED_OR_BACK and not self.is_about_dates:
            return {Occurrence(EVERY_OCCURRENCE, None, None, None)}
        return named

    def former_dates(self) -> set[str]:
        """The occurrence ids that only the former state names."""
        former = (self.payload.get("old_object") or {}).get("occurrences") or ()
        return {str(date["occurrence_id"]) for date in former}

    def replaced_dates(self) -> set[str]:
        """The occurrence ids that gave way to others, when some dates were changed."""
        named = {date.occurrence_id for date in self.dates()}
        return self.former_dates() - named if self.name == "updated" and self.is_about_dates else set()

    def _meeting(self) -> Json:
        told = self.zoom_object
        kind = {"converted_to_meeting": "meeting", "converted_to_webinar": "webinar"}.get(self.name, self.kind)
        columns = {"kind": kind, "type": told.get("type")}
        columns |= {name: text(told.get(name)) for name in ("topic", "host_id", "timezone")}
        if not self.is_about_dates:
            columns["duration_minutes"] = told.get("duration")
        if self.name in SERIES | set(ENDED_OR_BACK) and not self.is_about_dates:
            columns["scheduled_start"] = moment(told.get("start_time"))
            columns["recurrence"] = told.get("recurrence")
            columns["registration_type"] = (told.get("settings") or {}).get("registration_type")
        if ENDED_OR_BACK.get(self.name) == "deleted" and not self.is_about_dates:
            columns["deleted_at"] = self.at
        return columns

    def _instance(self) -> Json:
        told = self.zoom_object
        columns = {"meeting_id": self.meeting_id, "kind": self.kind, "type": told.get("type")}
        columns |= {"topic": text(told.get("topic")), "host_id": text(told.get("host_id"))}
        columns |= {"duration_minutes": told.get("duration"), "stated_start": moment(told.get("start_time"))}
        if self.name == "started":
            columns["observed_start"] = self.at
        if self.name == "ended":
            columns["ended_at"] = moment(told.get("end_time")) or self.at
            columns["is_practice"] = told.get("practice_session", False)
        return columns

    def _connection(self) -> Said:
        person = self.zoom_object["participant"]
        what = self.name.split("_")[1]
        when = moment(person.get(ROLES_OF_TIME.get(what, ""))) or moment(person.get("date_time")) or self.at
        columns: Json = {
            "meeting_id": self.meeting_id,
            "participant_uuid": text(person.get("participant_uuid")),
            "registrant_id": text(person.get("registrant_id")),
            "zoom_user_id": text(person.get("participant_user_id")),
            "participant_id": self._other_id(person),
            "customer_key": text(person.get("customer_key")),
            "phone_number": text(person.get("phone_number")),
            "bind_participant_uuid": text(person.get("bind_participant_uuid")),
            "parent_user_id": text(person.get("parent_user_id")),
            "email": text(person.get("email")),
            "name": text(person.get("user_name")),
            "room_uuid": text(self.zoom_object.get("breakout_room_uuid")),
            "bound_to": text(person.get("bind_user_id")) or text(person.get("parent_user_id")),
            "role": text(person.get("new_role")),
            "joins": [ms_of(when)] if what == "joined" else None,
            "leaves": [[ms_of(when), leave_reason(person)]] if what == "left" else None,
        }
        connection_id = text(person.get("user_id")) or text(person.get("participant_uuid"))
        return Said("connection", (self.zoom_object["uuid"], connection_id), columns)

    def _waited(self) -> Iterator[Said]:
        person = self.zoom_object["participant"]
        names = [text(person.get(name)) for name in ("user_id", "participant_uuid")]
        connection_id = names[0] or names[1]
        if self.name == "participant_jbh_joined" and connection_id is None:
            who = text(person.get("registrant_id")) or text(person.get("id"))
            if who is None:
                return  # then its place is by the event itself
            connection_id = f"before host: {who}"
        if connection_id is not None:
            columns: Json = {
                name: text(person.get(name))
                for name in ("participant_uuid", "registrant_id", "customer_key", "phone_number", "email")
            }
            columns |= {"meeting_id": self.meeting_id, "name": text(person.get("user_name"))}
            columns |= {"zoom_user_id": text(person.get("participant_user_id")), "joins": None, "leaves": None}
            columns["participant_id"] = self._other_id(person)
            columns["before_host"] = True if self.name == "participant_jbh_joined" else None
            yield Said("connection", (self.zoom_object["uuid"], connection_id), columns)

    @staticmethod
    def _other_id(person: Json) -> str | None:
        return text(person.get("id")) if person.get("id") != person.get("participant_user_id") else None

    def _registrant(self) -> Said:
        person = self.zoom_object["registrant"]
        standing = self.name.removeprefix("registration_")
        ids = sorted(str(date["occurrence_id"]) for date in self.zoom_object.get("occurrences") or ())
        history = [ms_of(self.at), "approved" if standing == "created" else standing, ids or [EVERY_OCCURRENCE]]
        columns: Json = {name: text(person.get(name)) for name in ("email", "first_name", "last_name")}
        columns |= {"custom_questions": person.get("custom_questions") or None, "history": [history]}
        details = {name: person[name] for name in ABOUT_A_REGISTRANT if person.get(name)}
        columns["details"] = details or None
        columns["registered_at"] = self.at if standing == "created" else None
        return Said("registrant", (self.meeting_id, person["id"]), columns)


def text(value: object) -> str | None:
    """A text; an empty one says nothing."""
    return str(value) if value not in (None, "") else None


def time_ms(value: object) -> int | None:
    """`event_ts`: a number, a number as text, or a moment written out."""
    if isinstance(value, str) and "-" in value:
        return ms_of(datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC))
    return number_or_none(value)


def number_or_none(value: object) -> int | None:
    """A number, also where it comes as text."""
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else None


def moment(value: object) -> datetime | None:
    """`2021-07-13T21:44:51Z`, with or without a fraction."""
    if not value:
        return None
    shape = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in str(value) else "%Y-%m-%dT%H:%M:%SZ"
    return datetime.strptime(str(value), shape).replace(tzinfo=UTC)


def moment_of(milliseconds: int) -> datetime:
    """The moment so many milliseconds after 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def ms_of(at: datetime) -> int:
    """A moment in milliseconds after 1970."""
    return round(at.timestamp() * 1000)


def leave_reason(person: Json) -> str:
    """What stands behind `Reason:`, or nothing."""
    return str(person.get("leave_reason") or "").partition("Reason")[2].lstrip(" :")


def decoded(value: object) -> object:
    """A column as JSON would hold it: text that is JSON is read, tuples are lists."""
    if isinstance(value, tuple):
        return [decoded(inner) for inner in value]
    return json.loads(value) if isinstance(value, str) and value[:1] in {"[", "{"} else value
