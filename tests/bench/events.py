"""Signed events of about 700 bytes, as many as wanted, each of them unique. Pure.

The generator must never be what is measured: events are made and signed before the clock starts, about 15 us each.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from joinlog.fakezoom import sign

SECRET = "secret-of-the-benchmarks"
STRIPE_SECRET = "whsec_c2VjcmV0LW9mLXRoZS1iZW5jaG1hcmtz"
FIRST_USER_ID = 16778240
WEEK = timedelta(days=7)
EVERY_THIRD = 3  # one person in three registered for particular occurrences, the others for all

Event = dict[str, Any]


@dataclass(frozen=True)
class Webinar:
    """A weekly webinar whose second occurrence is the one that runs now. `start` is its planned start."""

    number: int
    start: datetime

    @property
    def meeting_id(self) -> int:
        """Zoom's number of it."""
        return 81_000_000_000 + self.number

    @property
    def account_id(self) -> str:
        """One of four accounts."""
        return f"benchmarkAccount{self.number % 4:06d}"

    @property
    def uuid(self) -> str:
        """The instance that runs."""
        return f"bench/{self.number:014d}+=="

    def occurrences(self) -> list[Event]:
        """Last week's, this week's, next week's."""
        starts = [self.start + week * WEEK for week in (-1, 0, 1)]
        return [
            {"occurrence_id": str(milliseconds(at)), "start_time": zoom_time(at), "duration": 60, "status": "available"}
            for at in starts
        ]

    def zoom_object(self, meeting_id: int | str) -> Event:
        """What every event says of it."""
        return {
            "id": meeting_id,
            "uuid": self.uuid,
            "host_id": "hS7kQ2mXTn-9vRzLw0cYdg",
            "topic": "Röntgen für alle – jede Woche",
            "type": 9,
            "start_time": zoom_time(self.start),
            "timezone": "Europe/Berlin",
            "duration": 60,
        }

    def event(self, name: str, at_ms: int, zoom_object: Event) -> Event:
        """One event of it."""
        return {
            "event": f"webinar.{name}",
            "event_ts": at_ms,
            "payload": {"account_id": self.account_id, "object": zoom_object},
        }

    def created(self) -> Event:
        """The schedule, stated well before."""
        told = self.zoom_object(self.meeting_id) | {"occurrences": self.occurrences(), "recurrence": {"type": 2}}
        return self.event("created", milliseconds(self.start - 2 * WEEK), told)

    def registered(self, person: int) -> Event:
        """Somebody signed up: one in three for two particular dates, the others for all."""
        who = {
            "id": f"registrant{person:012d}",
            "first_name": "Zoë",
            "last_name": f"O’Neill {person}",
            "email": f"person{person}@example.com",
            "status": "approved",
        }
        told = self.zoom_object(self.meeting_id) | {"registrant": who}
        if person % EVERY_THIRD == 0:
            told["occurrences"] = self.occurrences()[1:]
        return self.event("registration_created", milliseconds(self.start - WEEK) + person % 60_000, told)

    def started(self, at_ms: int) -> Event:
        """The instance began."""
        return self.event("started", at_ms, self.zoom_object(str(self.meeting_id)))

    def ended(self, at_ms: int) -> Event:
        """The instance ended."""
        told = self.zoom_object(str(self.meeting_id)) | {
            "end_time": zoom_time(datetime.fromtimestamp(at_ms / 1000, UTC))
        }
        return self.event("ended", at_ms, told)

    def joined(self, person: int, at_ms: int) -> Event:
        """Somebody came in."""
        return self._presence("participant_joined", person, at_ms, {"join_time": zoom_ms(at_ms)})

    def left(self, person: int, at_ms: int) -> Event:
        """They went."""
        told = {"leave_time": zoom_ms(at_ms), "leave_reason": "left the meeting. Reason: left by themselves"}
        return self._presence("participant_left", person, at_ms, told)

    def _presence(self, name: str, person: int, at_ms: int, told: Event) -> Event:
        who = {
            "user_id": str(FIRST_USER_ID + 1024 * person),
            "user_name": "Zoë O’Neill 🎻",
            "id": "",
            "participant_user_id": "",
            "email": f"person{person}@example.com",
            "participant_uuid": f"67C1A429-1476-BE1C-7324-{person:012X}",
            "registrant_id": f"registrant{person:012d}",
            "customer_key": "",
            **told,
        }
        return self.event(name, at_ms, self.zoom_object(str(self.meeting_id)) | {"participant": who})


def milliseconds(at: datetime) -> int:
    """Since 1970."""
    return int(at.timestamp() * 1000)


def zoom_time(at: datetime) -> str:
    """As Zoom writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def zoom_ms(at_ms: int) -> str:
    """The same from milliseconds, without a datetime."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms // 1000))


def webinars(count: int, first: int = 0) -> list[Webinar]:
    """So many webinars whose time is now."""
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    return [Webinar(first + number, start) for number in range(count)]


def crowd(places: Sequence[Webinar], people: int, begin_ms: int, first: int = 0) -> Iterator[Event]:
    """Everybody joins, one millisecond after the other; then everybody leaves in the same order."""
    for what, after in (("joined", 0), ("left", people)):
        for number in range(first, first + people):
            place = places[number % len(places)]
            yield getattr(place, what)(number, begin_ms + number - first + after)


def encode(event: Event) -> bytes:
    """The bytes Zoom would send."""
    return msgspec.json.encode(event)


def zoom_request(body: bytes, *, host: str, path: str, keep_alive: bool) -> bytes:
    """A whole HTTP request, signed now."""
    signed = sign(SECRET, int(time.time()), body)
    headers = {"x-zm-trackingid": "v=2.0;clid=aw1;rid=WEB_bench", **signed}
    return _request(body, headers, host=host, path=path, keep_alive=keep_alive)


def stripe_body(number: int) -> bytes:
    """`product.updated` with about the same number of bytes; what it says is the row that is kept."""
    now = int(time.time())
    product = {
        "id": f"prod_{number:014d}", "object": "product", "active": True, "created": now, "default_price": None,
        "description": "A benchmark's product, described at some length so that the event has its bytes.",
        "images": [], "livemode": False, "marketing_features": [], "metadata": {}, "name": f"Product {number}",
        "package_dimensions": None, "shippable": None, "statement_descriptor": None, "tax_code": None,
        "type": "service", "unit_label": None, "updated": now, "url": None,
    }  # fmt: skip
    return msgspec.json.encode({
        "id": f"evt_{number:014d}", "object": "event", "api_version": "2020-08-27", "created": now,
        "data": {"object": product}, "livemode": False, "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None}, "type": "product.updated",
    })  # fmt: skip


def stripe_request(body: bytes, *, host: str, path: str, keep_alive: bool) -> bytes:
    """A whole HTTP request as Stripe signs it. https://docs.stripe.com/webhooks#verify-manually"""
    now = int(time.time())
    digest = hmac.new(STRIPE_SECRET.encode(), b"%d.%b" % (now, body), hashlib.sha256).hexdigest()
    return _request(body, {"stripe-signature": f"t={now},v1={digest}"}, host=host, path=path, keep_alive=keep_alive)


def _request(body: bytes, headers: dict[str, str], *, host: str, path: str, keep_alive: bool) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"host: {host}", "content-type: application/json; charset=utf-8"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if not keep_alive:
        lines.append("connection: close")
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body
