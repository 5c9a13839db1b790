"""The clock: rings the doorbell every minute, and does what has to be done from time to time.

It makes lost rings harmless, so it relies on nothing else: not on what RQ believes of workers and their jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog
from redis.exceptions import RedisError
from rq import Queue
from sqlalchemy.exc import SQLAlchemyError

from workers.queue import leave_heartbeat, ring

HEARTBEAT_SECONDS = 10.0
HEARTBEATS_MISSED_MAX = 3  # then the key is gone
RETRY_SECONDS = 60.0  # after a failure, for a duty that is due less often
HEARTBEAT_GRACE_MILLISECONDS = 2000

log = structlog.get_logger()


class Duty(NamedTuple):
    """Something to do every so often, at start first. It may fail with an error of the database, of Redis or of a file;
    then it is tried again after RETRY_SECONDS at the latest."""

    name: str
    every_seconds: float
    run: Callable[[], object]


class Clock:
    """Does each duty when it is due; a failing one keeps no other from being done."""

    def __init__(self, duties: Sequence[Duty], *, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._duties = duties
        self._now_seconds = now_seconds
        self._due = [now_seconds()] * len(duties)
        self._failing: set[str] = set()

    def tick(self) -> float:
        """Do what is due; returns the seconds until something is due again."""
        for place, duty in enumerate(self._duties):
            if self._due[place] <= self._now_seconds():
                is_done = self._do(duty)
                pause = duty.every_seconds if is_done else min(duty.every_seconds, RETRY_SECONDS)
                self._due[place] = self._now_seconds() + pause
        return max(0.0, min(self._due) - self._now_seconds())

    def _do(self, duty: Duty) -> bool:
        try:
            duty.run()
        except (SQLAlchemyError, OSError, RedisError) as error:
            if duty.name not in self._failing:  # once per outage
                log.warning("duty_failed", duty=duty.name, error=type(error).__name__)
            self._failing.add(duty.name)
            return False
        else:
            if duty.name in self._failing:
                log.info("duty_back", duty=duty.name)
            self._failing.discard(duty.name)
            return True


def ringing(queue: Queue, every_seconds: float) -> list[Duty]:
    """The duty to ring, and the one to leave a sign in Redis that a clock is alive."""
    sign_seconds = min(every_seconds, HEARTBEAT_SECONDS)
    gone_milliseconds = int(HEARTBEATS_MISSED_MAX * sign_seconds * 1000) + HEARTBEAT_GRACE_MILLISECONDS

    def sign() -> None:
        leave_heartbeat(queue, gone_milliseconds)

    return [Duty("ring", every_seconds, lambda: ring(queue)), Duty("heartbeat", sign_seconds, sign)]
