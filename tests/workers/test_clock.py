"""The clock does what is due, and goes on when something fails."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from tests.conftest import SIGNING_KEY
from workers.clock import Clock, Duty, ringing
from workers.queue import QueueAway, connect, last_heartbeat, leave_heartbeat, open_queue, ring


def test_each_duty_is_done_at_once_and_then_when_it_is_due() -> None:
    now = [100.0]
    done: list[str] = []
    duties = [Duty("fast", 1, lambda: done.append("fast")), Duty("slow", 10, lambda: done.append("slow"))]
    clock = Clock(duties, now_seconds=lambda: now[0])
    assert clock.tick() == 1
    assert done == ["fast", "slow"]
    now[0] += 1
    assert clock.tick() == 1
    assert done == ["fast", "slow", "fast"]


@pytest.mark.parametrize(
    "error",
    [OSError(), QueueAway(), OperationalError("", None, Exception())],
    ids=lambda e: type(e).__name__,
)
def test_a_failing_duty_stops_no_other_and_is_tried_again(error: Exception) -> None:
    now = [0.0]
    done: list[float] = []
    failures = [error]

    def fail_once() -> None:
        if failures:
            raise failures.pop()
        done.append(-1)

    clock = Clock(
        [Duty("fails", 5, fail_once), Duty("works", 5, lambda: done.append(now[0]))], now_seconds=lambda: now[0]
    )
    clock.tick()
    now[0] = 5.0
    clock.tick()
    assert done == [0.0, -1, 5.0]


def test_an_outage_is_logged_once_and_so_is_its_end() -> None:
    outcomes = iter([OSError(), OSError(), None, None, OSError()])

    def run() -> None:
        if (error := next(outcomes)) is not None:
            raise error

    clock = Clock([Duty("duty", 0, run)])
    with capture_logs() as lines:
        for _ in range(5):
            clock.tick()
    assert [line["event"] for line in lines] == ["duty_failed", "duty_back", "duty_failed"]


def test_a_rare_duty_that_failed_is_tried_again_within_a_minute() -> None:
    def fail() -> None:
        raise OSError

    assert Clock([Duty("daily", 86_400, fail)], now_seconds=lambda: 0.0).tick() == 60


def test_ringing_says_that_the_clock_is_alive_and_that_expires(redis_url: str) -> None:
    queue = open_queue(connect(redis_url), [SIGNING_KEY.encode()])
    assert last_heartbeat(queue) is None
    Clock(ringing(partial(ring, queue), partial(leave_heartbeat, queue), 60)).tick()
    assert queue.count == 1
    assert last_heartbeat(queue) is not None
    assert 0 < queue.connection.pttl("joinlog:clock") <= 32_000
    queue.connection.close()
