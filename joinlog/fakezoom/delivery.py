"""What is delivered, when, and as which bytes: copies, order, losses, signatures. Pure: a seed gives one plan."""

import hashlib
import hmac
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joinlog.fakezoom.events import Emission
from joinlog.fakezoom.identifiers import request_id, tracking_id
from joinlog.fakezoom.open_facts import draw_open_facts
from joinlog.fakezoom.truth import LostEvent


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong between Zoom and the endpoint; probabilities from 0 to 1, times in seconds of Zoom's time."""

    duplicates: float = 0.05  # the same event again, from an overlapping subscription
    duplicate_delay_seconds_max: float = 8.0
    reorder_seconds: float = 3.0  # each delivery is late by up to this much
    lose: float = 0.0  # any event is never delivered, and never tried again
    lose_started: float = 0.0  # a `started` is never delivered
    late_left: float = 0.02  # a `left` is delivered 60-90 s late
    escapes: float = 0.5  # bodies that write non-ASCII as \uXXXX; the rest are raw UTF-8
    reserialised: float = 0.3  # retries whose JSON has its keys in another order
    fresh_timestamp: float | None = None  # retries signed anew; None: all or none, by seed
    fresh_request_id: float | None = None  # retries with a new x-zm-request-id; None: all or none, by seed
    installed_at: datetime | None = None  # what Zoom states before this moment (aware) is never delivered
    off: tuple[tuple[datetime, datetime], ...] = ()  # spans in which the webhook is switched off: nothing is delivered


USUAL_FAULTS = Faults()
NO_FAULTS = Faults(duplicates=0, reorder_seconds=0, late_left=0, escapes=0, reserialised=0, fresh_timestamp=1)
LATE_LEFT_SECONDS = (60.0, 90.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One event to deliver: `number` orders the plan, `emission` says which event, `copy` 0 is the original."""

    number: int
    at: datetime
    emission: int
    copy: int
    event: Mapping[str, Any]
    tracking_id: str
    is_escaped: bool
    retry_reorders_keys: bool
    retry_is_signed_anew: bool
    retry_renews_request_id: bool = False

    def body(self, retry: int = 0) -> bytes:
        """The JSON of the first attempt, or of a retry."""
        return serialise(self.event, self.is_escaped, reorders_keys=bool(retry) and self.retry_reorders_keys)

    def request_id(self, retry: int = 0) -> str:
        """The `x-zm-request-id` of the first attempt, or of a retry: `6009d653_d487_445d_8406_42b654974899`."""
        return request_id(f"{self.tracking_id}/{retry if self.retry_renews_request_id else 0}")


def plan(emissions: Sequence[Emission], faults: Faults, seed: int) -> list[Attempt]:
    """Every delivery of every event that is not lost, in the order in which the endpoint is first called."""
    rng = random.Random(f"{seed}/delivery")  # noqa: S311 - invents, guards nothing
    request_rng = random.Random(f"{seed}/request ids")  # noqa: S311 - its own, so that older draws stay what they were
    facts = draw_open_facts(seed)
    fresh_timestamp, fresh_request_id = faults.fresh_timestamp, faults.fresh_request_id
    if fresh_timestamp is None:
        fresh_timestamp = float(facts.retry_renews_timestamp)
    if fresh_request_id is None:
        fresh_request_id = float(facts.retry_renews_request_id)
    due: list[tuple[datetime, int, int]] = []
    for n, emission in enumerate(emissions):
        name = emission.event["event"]
        if rng.random() < faults.lose or (name.endswith(".started") and rng.random() < faults.lose_started):
            continue
        if why_not_delivered(emission.at, faults):
            continue
        at = emission.at + timedelta(seconds=rng.uniform(0, faults.reorder_seconds))
        if name.endswith(".participant_left") and rng.random() < faults.late_left:
            at += timedelta(seconds=rng.uniform(*LATE_LEFT_SECONDS))
        due.append((at, n, 0))
        if rng.random() < faults.duplicates:
            due.append((at + timedelta(seconds=rng.uniform(0.1, faults.duplicate_delay_seconds_max)), n, 1))
    due.sort(key=lambda item: item[0])
    return [
        Attempt(
            number=number,
            at=at,
            emission=n,
            copy=copy,
            event=emissions[n].event,
            tracking_id=tracking_id(rng),
            is_escaped=rng.random() < faults.escapes,
            retry_reorders_keys=rng.random() < faults.reserialised,
            retry_is_signed_anew=rng.random() < fresh_timestamp,
            retry_renews_request_id=request_rng.random() < fresh_request_id,
        )
        for number, (at, n, copy) in enumerate(due)
    ]


def why_not_delivered(at: datetime, faults: Faults) -> str:
    """Why nothing that Zoom states at a moment is delivered: `before installation`, `switched off`, or empty."""
    if faults.installed_at is not None and at < faults.installed_at:
        return "before installation"
    return "switched off" if any(since <= at < until for since, until in faults.off) else ""


def lost_events(
    emissions: Sequence[Emission], attempts: Sequence[Attempt], faults: Faults, failed: Mapping[int, str]
) -> list[LostEvent]:
    """Every event that never arrived, and why; `failed` are those whose every delivery failed (`Stats.lost`)."""
    planned = {a.emission for a in attempts}
    lost: list[LostEvent] = []
    for n, emission in enumerate(emissions):
        why = failed.get(n, "") if n in planned else why_not_delivered(emission.at, faults) or "never sent"
        if why:
            zoom_object = emission.event["payload"]["object"]
            name, meeting_id = emission.event["event"], int(zoom_object["id"])
            lost.append(LostEvent(n, name, emission.at, meeting_id, zoom_object["uuid"], why))
    return lost


def serialise(event: Mapping[str, Any], is_escaped: bool, reorders_keys: bool = False) -> bytes:
    r"""An event as compact JSON: non-ASCII as `\uXXXX` or as UTF-8, keys as stated or reversed at every level."""
    ordered = reverse_keys(event) if reorders_keys else event
    return json.dumps(ordered, ensure_ascii=is_escaped, separators=(",", ":")).encode()


def reverse_keys(value: Any) -> Any:
    """The same JSON value with the keys of every object in reverse."""
    if isinstance(value, Mapping):
        return {key: reverse_keys(value[key]) for key in reversed(list(value))}
    if isinstance(value, list):
        return [reverse_keys(item) for item in value]
    return value


def sign(secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Zoom's signature headers over the raw bytes; `timestamp` in epoch seconds.

    https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events
    """
    message = b"v0:%d:%b" % (timestamp, body)
    digest = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return {"x-zm-signature": f"v0={digest}", "x-zm-request-timestamp": str(timestamp)}


def validation_event(plain_token: str, event_ts: int) -> dict[str, Any]:
    """`endpoint.url_validation`; `event_ts` in epoch milliseconds."""
    return {"event": "endpoint.url_validation", "event_ts": event_ts, "payload": {"plainToken": plain_token}}


def expected_token(secret: str, plain_token: str) -> str:
    """The `encryptedToken` an endpoint must answer."""
    return hmac.new(secret.encode(), plain_token.encode(), hashlib.sha256).hexdigest()
