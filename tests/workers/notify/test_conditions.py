"""What holds, judged from values; one row of the table here for each condition there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from schema.alerts import Disk, Observed, RefusedDeliveries
from workers.notify.conditions import BY_NAME, CONDITIONS, judge

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SET = frozenset({"aaaaaaaaaaaa"})
GIB = 1024**3
WELL = Observed(
    secrets=SET,
    unknown_secret=RefusedDeliveries(NOW - timedelta(hours=3), NOW - timedelta(hours=2), 7, SET),
    validated_at=NOW - timedelta(hours=75),
    pending=3,
    oldest_pending_at=NOW - timedelta(seconds=59),
    running_since=NOW - timedelta(hours=2),
    last_received_at=NOW - timedelta(minutes=80),
    skew_seconds=-20.0,
    skew_at=NOW,
    disk=Disk(10 * GIB, 1000 * GIB),
)


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def refused(minutes: float, last: float = 0, secrets: frozenset[str] = SET) -> Observed:
    return replace(WELL, unknown_secret=RefusedDeliveries(minutes_ago(minutes), minutes_ago(last), 12, secrets))


WRONG = {
    "unknown_secret": (refused(30), "12 deliveries were refused since 2026-11-22 11:30 UTC", "until 2026-11-22 12:55"),
    "validation_overdue": (replace(WELL, validated_at=NOW - timedelta(hours=77)), "2026-11-19 07:00 UTC", "six"),
    "pending_lag": (replace(WELL, oldest_pending_at=minutes_ago(2)), "3 events are kept", "11:58 UTC"),
    "dead_letters": (replace(WELL, dead=1), "1 event could not be applied", ""),
    "link_undecided": (replace(WELL, reviews=2), "2 instances wait", ""),
    "no_delivery": (replace(WELL, last_received_at=minutes_ago(91)), "runs since 2026-11-22 10:00", "10:29 UTC"),
    "webhooks_lost": (replace(WELL, lossy=2), "2 instances", "1%"),
    "push_off": (
        replace(WELL, pushes_off=2, pushes_off_since=NOW),
        "2 endpoints of PUSH_URLS are switched off",
        "11-22 12:00 UTC",
    ),
    "database": (replace(WELL, disk=Disk(2 * GIB, 100 * GIB)), "2,147 MB left", ""),
    "redis_silent": (replace(WELL, redis_fault="TimeoutError"), "TimeoutError", "up to 5 s later"),
    "clock_skew": (replace(WELL, skew_seconds=-31.0), "31 s behind Zoom's", ""),
}


def test_all_is_well() -> None:
    assert judge(WELL, NOW) == {}
    assert judge(Observed(), NOW) == {}


def test_every_condition_is_here() -> None:
    assert list(WRONG) == [condition.name for condition in CONDITIONS]


@pytest.mark.parametrize("name", WRONG)
def test_a_condition_says_what_is_wrong_and_what_to_do(name: str) -> None:
    observed, *words = WRONG[name]
    holding = judge(observed, NOW)
    assert list(holding) == [name]
    assert [word for word in words if word not in holding[name]] == []
    assert len(BY_NAME[name].mend) > 20


def test_once_zoom_gave_up_the_first_delivery_that_is_said() -> None:
    assert "Zoom gave up the first at 2026-11-22 11:25 UTC" in judge(refused(120), NOW)["unknown_secret"]


def test_what_zoom_would_have_tried_again_by_now_is_over() -> None:
    assert "unknown_secret" in judge(refused(120, last=64), NOW)
    assert "unknown_secret" not in judge(refused(120, last=66), NOW)


def test_once_another_secret_is_set_what_was_refused_before_is_over() -> None:
    assert "unknown_secret" not in judge(refused(30, secrets=frozenset({"bbbbbbbbbbbb"})), NOW)
    unset = replace(refused(30), secrets=frozenset())  # a clock that was not given the secret still tells
    assert "unknown_secret" in judge(unset, NOW)


def test_an_instance_whose_end_never_came_does_not_run_for_ever() -> None:
    observed = replace(WELL, running_since=NOW - timedelta(hours=25), last_received_at=NOW - timedelta(hours=20))
    assert "no_delivery" not in judge(observed, NOW)


@pytest.mark.parametrize(
    ("free", "total", "holds"),
    [(GIB // 8, GIB, True), (6 * GIB, 1000 * GIB, False), (GIB, 10 * GIB, False), (GIB, 100 * GIB, True)],
)
def test_a_disk_is_nearly_full_by_bytes_and_share(free: int, total: int, holds: bool) -> None:
    assert ("database" in judge(replace(WELL, disk=Disk(free, total)), NOW)) is holds


def test_an_old_skew_is_no_skew() -> None:
    assert judge(replace(WELL, skew_seconds=500.0, skew_at=minutes_ago(61)), NOW) == {}
