"""What can be wrong, each with what to do about it. Pure: what was observed in, which conditions hold out.

A new condition is one row in CONDITIONS: alerts, the Health page, `joinlog doctor` and `/metrics` all read them here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schema.alerts import LOSSY_KNOWN_FOR, LOST_SHARE_MAX, Observed

ZOOM_RETRIES_FOR = timedelta(minutes=85)
"""After 5, 20 and 60 minutes more; https://developers.zoom.us/docs/api/webhooks/ ("Unsuccessful delivery")"""

REFUSED_QUIET = timedelta(minutes=65)
"""Zoom's longest pause between two attempts is 60 minutes: nothing refused for longer means that nothing is."""

VALIDATION_LATE = timedelta(hours=76)  # Zoom validates every 72 hours, same page, "Revalidation"
LAG_MAX = timedelta(seconds=60)
SILENCE_MAX = timedelta(minutes=90)
"""Between two events while an instance runs; in a small meeting nobody may come or go for an hour."""

RUNNING_MAX = timedelta(hours=24)  # an instance whose end never came does not run for ever
SKEW_SECONDS_MAX = 30.0
SKEW_KNOWN_FOR = timedelta(hours=1)
DISK_FREE_BYTES_MIN = 256 * 1024 * 1024
DISK_FREE_BYTES_WANTED = 5 * 1024**3
DISK_FREE_SHARE_MIN = 0.05  # on a large disk five in a hundred are plenty, so both must be missing


@dataclass(frozen=True)
class Condition:
    """Something that can be wrong. `judge` says what is, or None; it is told once that holds for `patience`."""

    name: str
    title: str
    mend: str
    judge: Callable[[Observed, datetime], str | None]
    patience: timedelta = timedelta()


def judge(observed: Observed, now: datetime) -> dict[str, str]:
    """The conditions that hold, by name, each with what it says of them."""
    said = {condition.name: condition.judge(observed, now) for condition in CONDITIONS}
    return {name: says for name, says in said.items() if says is not None}


def moment(at: datetime) -> str:
    """A time as texts give it."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def _unknown_secret(observed: Observed, now: datetime) -> str | None:
    refused = observed.unknown_secret
    if refused is None or now - refused.last_at > REFUSED_QUIET:
        return None
    if observed.secrets and refused.secrets != observed.secrets:
        return None  # another one was set since; were it wrong as well, its own deliveries would be refused
    until = refused.first_at + ZOOM_RETRIES_FOR
    retried = (
        f"Zoom tries the first of them again until {moment(until)}, then that event is lost."
        if now < until
        else f"Zoom gave up the first at {moment(until)}; what was refused in the last 85 minutes can still be saved."
    )
    said = counted(refused.deliveries, "delivery was", "deliveries were")
    return f"{said} refused since {moment(refused.first_at)}, the last at {moment(refused.last_at)}. {retried}"


def _validation_overdue(observed: Observed, now: datetime) -> str | None:
    if observed.validated_at is None or now - observed.validated_at <= VALIDATION_LATE:
        return None
    return (
        f"Zoom last validated the endpoint at {moment(observed.validated_at)}. It does so every 72 hours, and disables "
        "the subscription after six failures in a row: no event comes then."
    )


def _pending_lag(observed: Observed, now: datetime) -> str | None:
    oldest = observed.oldest_pending_at
    if oldest is None or now - oldest <= LAG_MAX:
        return None
    waiting = counted(observed.pending, "event is", "events are")
    return f"{waiting} kept and not in the tables, the oldest since {moment(oldest)}."


def _dead_letters(observed: Observed, now: datetime) -> str | None:
    return f"{counted(observed.dead, 'event', 'events')} could not be applied." if observed.dead else None


def _link_undecided(observed: Observed, now: datetime) -> str | None:
    if not observed.reviews:
        return None
    waiting = counted(observed.reviews, "instance waits", "instances wait")
    return f"{waiting} for a person to decide which occurrence it was."


def _no_delivery(observed: Observed, now: datetime) -> str | None:
    since, last = observed.running_since, observed.last_received_at
    if since is None or last is None or now - since > RUNNING_MAX or now - last <= SILENCE_MAX:
        return None
    return f"An instance runs since {moment(since)}, and nothing has arrived since {moment(last)}."


def _database(observed: Observed, now: datetime) -> str | None:
    if observed.database_fault is not None:
        return f"{observed.database_fault}. Deliveries are answered 503, and Zoom tries them again for 85 minutes."
    disk = observed.disk
    if disk is None:
        return None
    is_scarce = disk.free_bytes < min(DISK_FREE_BYTES_WANTED, DISK_FREE_SHARE_MIN * disk.total_bytes)
    if disk.free_bytes >= DISK_FREE_BYTES_MIN and not is_scarce:
        return None
    return (
        f"The disk of the database has {disk.free_bytes // 1_000_000:,} MB left of {disk.total_bytes // 1_000_000:,}."
    )


def _redis_silent(observed: Observed, now: datetime) -> str | None:
    if observed.redis_fault is None:
        return None
    return f"Redis does not answer ({observed.redis_fault}). Events are kept and applied all the same, up to 5 s later."


def _clock_skew(observed: Observed, now: datetime) -> str | None:
    skew, at = observed.skew_seconds, observed.skew_at
    if skew is None or at is None or now - at > SKEW_KNOWN_FOR or abs(skew) <= SKEW_SECONDS_MAX:
        return None
    return f"The clock of this machine is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} Zoom's."


def _webhooks_lost(observed: Observed, now: datetime) -> str | None:
    if not observed.lossy:
        return None
    lost = counted(observed.lossy, "instance", "instances")
    return (
        f"{lost} of the last {LOSSY_KNOWN_FOR.days} days lost more than {LOST_SHARE_MAX:.0%} of their webhooks, by "
        "Zoom's own report. What the report tells has been filled in."
    )


def _push_off(observed: Observed, now: datetime) -> str | None:
    if not observed.pushes_off:
        return None
    since = f" since {moment(observed.pushes_off_since)}" if observed.pushes_off_since else ""
    endpoints = counted(observed.pushes_off, "endpoint of PUSH_URLS is", "endpoints of PUSH_URLS are")
    return f"{endpoints} switched off{since}: nothing sent there was taken for two days."


CONDITIONS: Sequence[Condition] = (
    Condition(
        "unknown_secret",
        "Zoom's deliveries are refused: they are signed with a secret that is not set here",
        "Copy the Secret Token of the app in the Zoom Marketplace into ZOOM_WEBHOOK_SECRET_TOKEN, with a comma beside "
        "the one that is there, and restart. If nobody changed it in Zoom, somebody forges deliveries: none was kept.",
        _unknown_secret,
    ),
    Condition(
        "validation_overdue",
        "Zoom's validation of the endpoint is overdue",
        "Open the app's event subscription in the Zoom Marketplace, enable it if it is disabled, press Validate and "
        "save. If that fails, Zoom cannot reach the address that the Connect page shows.",
        _validation_overdue,
    ),
    Condition(
        "pending_lag",
        "Events wait to be applied",
        "See that `joinlog worker` runs, and look at its log.",
        _pending_lag,
    ),
    Condition(
        "dead_letters",
        "Events could not be applied",
        "`joinlog inbox list --state dead` says why; `joinlog replay` applies them again after mending.",
        _dead_letters,
    ),
    Condition(
        "link_undecided",
        "A link needs a decision",
        "Open the meeting's page, or `joinlog links`, and choose the occurrence.",
        _link_undecided,
        timedelta(minutes=15),  # what is missing often comes with the next events
    ),
    Condition(
        "no_delivery",
        "Nothing arrives while an instance runs",
        "See in the Zoom Marketplace that the app is installed and its event subscription enabled, and in Zoom's "
        "delivery log what was answered. The Connect page shows the address Zoom has to reach.",
        _no_delivery,
    ),
    Condition(
        "webhooks_lost",
        "Webhooks never came",
        "`joinlog audit` lists the instances and the events. See in Zoom's delivery log what was answered to them, and "
        "whether the app is subscribed to them: `joinlog doctor` compares.",
        _webhooks_lost,
    ),
    Condition(
        "push_off",
        "An endpoint is not pushed to any more",
        "`joinlog push list` says what it answered; `joinlog push test` tries it, and `joinlog push resume` goes on "
        "from where it stood.",
        _push_off,
    ),
    Condition(
        "database",
        "The database is full, nearly full, or takes no writes",
        "Make room on its disk, or start it, or make it writable; `joinlog doctor` looks closer.",
        _database,
    ),
    Condition(
        "redis_silent",
        "Redis is silent",
        "Start Redis, or correct REDIS_URL.",
        _redis_silent,
        timedelta(minutes=2),  # a restart is not worth a message
    ),
    Condition(
        "clock_skew",
        "The clock of this machine is wrong",
        "Switch on time synchronisation (chrony, systemd-timesyncd). Beyond SIGNATURE_TOLERANCE_SECONDS deliveries are "
        "refused as too old, and lost.",
        _clock_skew,
        timedelta(minutes=10),  # attempts that Zoom repeats may carry their first time
    ),
)
"""Most urgent first."""

BY_NAME: Mapping[str, Condition] = {condition.name: condition for condition in CONDITIONS}
