"""Short stories of one webinar or meeting, event by event, for tests that play them in every order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

ACCOUNT = "AcCoUnT0123456789abcde"
HOST = "hS7kQ2mXTn-9vRzLw0cYdg"
ZERO = datetime(2026, 3, 2, 8, tzinfo=UTC)
WEEK_MINUTES = 7 * 24 * 60
Json = dict[str, Any]


def at(minutes: float) -> datetime:
    """A moment of the story: minutes after its zero."""
    return ZERO + timedelta(minutes=minutes)


def ms(minutes: float) -> int:
    """The same, in ms since 1970."""
    return int(at(minutes).timestamp() * 1000)


def zoom(minutes: float) -> str:
    """The same, as Zoom writes it."""
    return at(minutes).isoformat()[:19] + "Z"


class Story:
    """Writes the events of one series; every time is in minutes after the story's zero."""

    def __init__(
        self, kind: str = "webinar", type_: int = 9, meeting_id: int = 84512345678, account: str = ACCOUNT
    ) -> None:
        self.kind, self.type, self.meeting_id, self.account = kind, type_, meeting_id, account

    def event(self, name: str, minutes: float, told: Json, **payload: Any) -> Json:
        """Any event about this series."""
        return {
            "event": f"{self.kind}.{name}",
            "event_ts": ms(minutes),
            "payload": {"account_id": self.account, **payload, "object": told},
        }

    def scheduled(self, minutes: float, name: str, told: Json, **payload: Any) -> Json:
        """A schedule-side event: `id` is a number."""
        body = {"id": self.meeting_id, "uuid": "schedule==", "host_id": HOST, "topic": "Weekly", "type": self.type}
        return self.event(name, minutes, body | {"duration": 60, "timezone": "UTC"} | told, **payload)

    @staticmethod
    def dates(dates: dict[str, float], **more: Any) -> list[Json]:
        """`occurrences`: id -> planned start."""
        return [{"occurrence_id": name, "start_time": zoom(start), **more} for name, start in dates.items()]

    def created(self, minutes: float, dates: dict[str, float]) -> Json:
        """The series with these dates."""
        occurrences = self.dates(dates, duration=60, status="available")
        start = zoom(min(dates.values())) if dates else None
        told: Json = {"start_time": start} if start else {}
        if self.type in (8, 9):
            told["occurrences"] = occurrences
        return self.scheduled(minutes, "created", told)

    def changed(self, minutes: float, new: Json, old: Json, scope: str) -> Json:
        """`updated`: only what changed."""
        name = {"id": self.meeting_id}
        return self.event(
            "updated", minutes, name | new, scope=scope, time_stamp=ms(minutes), old_object=name | old
        )  # fmt: skip

    def moved(self, minutes: float, old: dict[str, float], new: dict[str, float]) -> Json:
        """One date, to another time, perhaps under another id."""
        told, was = self.dates(new, duration=60, status="available"), self.dates(old, duration=60, status="available")
        return self.changed(minutes, {"occurrences": told}, {"occurrences": was}, "single")

    def relisted(self, minutes: float, dates: dict[str, float], **more: Any) -> Json:
        """The whole series edited: every date anew."""
        told = {"occurrences": self.dates(dates, duration=60, status="available"), **more}
        return self.changed(minutes, told, {}, "all")

    def retitled(self, minutes: float, topic: str, **more: Any) -> Json:
        """Only the topic."""
        return self.changed(minutes, {"topic": topic, **more}, {"topic": "Weekly"}, "all")

    def deleted(self, minutes: float, dates: dict[str, float] | None = None, name: str = "deleted") -> Json:
        """These dates, or the series."""
        if dates is None:
            return self.scheduled(minutes, name, {}, operation="all")
        return self.scheduled(minutes, name, {"occurrences": self.dates(dates)}, operation="single")

    def recovered(self, minutes: float, dates: dict[str, float] | None = None) -> Json:
        """The deletion taken back."""
        return self.deleted(minutes, dates, "recovered")

    def registration(
        self, minutes: float, what: str, who: str, dates: dict[str, float] | None = None, **more: Any
    ) -> Json:
        """`registration_created` and so on; `who` becomes id, name and address."""
        registrant = {"id": who, "first_name": who, "last_name": "X", "email": f"{who}@Example.com", **more}
        told: Json = {"registrant": registrant}
        if dates is not None:
            told["occurrences"] = self.dates(dates)
        return self.scheduled(minutes, f"registration_{what}", told)

    def live(self, minutes: float, name: str, uuid: str, began: float, **more: Any) -> Json:
        """A live event: `id` is text."""
        told = {"id": str(self.meeting_id), "uuid": uuid, "host_id": HOST, "topic": "Weekly", "type": self.type}
        told |= {"start_time": zoom(began), "timezone": "UTC", "duration": 60}
        return self.event(name, minutes, told | more)

    def started(self, minutes: float, uuid: str = "run-1==") -> Json:
        """An instance."""
        return self.live(minutes, "started", uuid, minutes)

    def ended(self, minutes: float, began: float, uuid: str = "run-1==", **more: Any) -> Json:
        """Its end."""
        return self.live(minutes, "ended", uuid, began, end_time=zoom(minutes), **more)

    def person(
        self, minutes: float, what: str, user: str, began: float = 0.0, uuid: str = "run-1==", **more: Any
    ) -> Json:
        """`participant_joined`, `participant_left` and so on of the connection `user`."""
        field = {"joined": "join_time", "left": "leave_time"}.get(what.split("_")[0], "date_time")
        who = {"user_id": user, "user_name": f"Name {user}", "id": "", "email": "", "participant_uuid": f"P-{user}"}
        room = {"breakout_room_uuid": more.pop("room")} if "room" in more else {}
        name = f"participant_{what}"
        return self.live(minutes, name, uuid, began, participant=who | {field: zoom(minutes)} | more, **room)
