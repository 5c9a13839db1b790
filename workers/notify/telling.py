"""When somebody is told of a condition: once when it begins, again after a day, once when it is over. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from schema.alerts import Alert, Place
from workers.notify.conditions import BY_NAME, moment

HEALTH_PATH = "/health"
AGAIN_AFTER = timedelta(days=1)
OVER_AFTER = timedelta(minutes=5)
"""What holds again within that time was never over: a lag that sways around its limit is told of once."""

SENDING_MAX = timedelta(minutes=2)
"""A worker that began to send and never said how it went was killed, or could not: then it is another one's turn."""


class Occasion(StrEnum):
    """Why somebody is told."""

    BEGUN = "begun"
    GOES_ON = "goes on"
    OVER = "over"


@dataclass(frozen=True)
class Message:
    """What is sent."""

    title: str
    body: str


def is_over(alert: Alert, now: datetime) -> bool:
    """Whether a condition has not held for long enough."""
    return alert.cleared_at is not None and now - alert.cleared_at >= OVER_AFTER


def advance(known: Mapping[str, Alert], holding: Mapping[str, str], now: datetime) -> Iterator[Alert]:
    """The rows that change because these conditions hold now, with what they say, and the others do not."""
    for name, says in holding.items():
        alert = known.get(name)
        if alert is None or is_over(alert, now):
            yield Alert(name, now, says)
        elif alert.cleared_at is not None or alert.says != says:
            yield replace(alert, cleared_at=None, says=says)
    for name, alert in known.items():
        if name not in holding and alert.cleared_at is None:
            yield replace(alert, cleared_at=now)


def due(alert: Alert, now: datetime) -> Occasion | None:
    """Why somebody is to be told now; None when there is nothing to tell, or somebody is at it."""
    condition = BY_NAME.get(alert.condition)
    if condition is None or (alert.sending_until is not None and now < alert.sending_until):
        return None
    if alert.cleared_at is not None:
        is_open = alert.told_at is not None and alert.over_told_at is None
        return Occasion.OVER if is_open and is_over(alert, now) else None
    if alert.told_at is None:
        return Occasion.BEGUN if now - alert.begun_at >= condition.patience else None
    return Occasion.GOES_ON if now - alert.told_at >= AGAIN_AFTER else None


def sending(alert: Alert, now: datetime) -> Alert:
    """The row while a worker sends."""
    return replace(alert, sending_until=now + SENDING_MAX)


def sent(alert: Alert, occasion: Occasion, now: datetime) -> Alert:
    """The row once somebody was told."""
    done = replace(alert, sending_until=None, error=None)
    if occasion is Occasion.OVER:
        return replace(done, over_told_at=now)
    return replace(done, told_at=now, told=alert.told + 1)


def not_sent(alert: Alert, error: str) -> Alert:
    """The row once nobody could be told: it is tried again when `sending_until` is over."""
    return replace(alert, error=error)


def message(alert: Alert, occasion: Occasion, health_url: str, places: Sequence[Place] = ()) -> Message:
    """The text: what is wrong, since when, where, and what to do about it."""
    condition = BY_NAME[alert.condition]
    if occasion is Occasion.OVER:
        assert alert.cleared_at is not None
        lasted = f"It began at {moment(alert.begun_at)} and was over at {moment(alert.cleared_at)}."
        return Message(f"Joinlog: over: {condition.title}", f"{lasted}\n\n{health_url}")
    again = f"\n\nIt began at {moment(alert.begun_at)} and goes on." if occasion is Occasion.GOES_ON else ""
    site = health_url.removesuffix(HEALTH_PATH)
    where = "".join(f"\n{moment(one.at) if one.at else one.uuid}: {site}{one.path}" for one in places)
    return Message(
        f"Joinlog: {condition.title}",
        f"{alert.says}{again}{where}\n\nWhat to do: {condition.mend}\n\n{health_url}",
    )
