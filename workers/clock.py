"""What `joinlog clock` does: rings the doorbell every minute, and does what has to be done from time to time.

Any number may run: each rings, and the one that leads does the rest.

It makes lost rings harmless, so it relies on nothing else: not on what RQ knows of workers and their jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.logs import configure_logs
from schema.settings import Settings
from schema.signals import Signals
from schema.store.database import Database
from workers.leading import RENEW_SECONDS, Lead
from workers.metrics import DUTIES, LAST_TICK, Publisher
from workers.notify.judging import Judge
from workers.notify.observation import observe
from workers.notify.sending import send
from workers.queue import ASK_JOB, call_teller, connect, leave_heartbeat, open_queue, require_redis, ring
from workers.retention import erase_departed, remove_bodies, remove_changes, trim_log

HOUR_SECONDS = 3600.0
LOG_SECONDS = 10.0
JUDGE_SECONDS = 30.0
HEARTBEAT_SECONDS = 10.0
HEARTBEATS_MISSED_MAX = 3  # then Redis removes the last one
HEARTBEAT_GRACE_MILLISECONDS = 2000
RETRY_SECONDS = 60.0  # after a failure, for a duty that is due less often

log = structlog.get_logger()


class Duty(NamedTuple):
    """Something to do every so often, at start first. It may fail with an error of the database, of the queue or of a
    file; then it is tried again after RETRY_SECONDS at the latest."""

    name: str
    every_seconds: float
    run: Callable[[], object]
    by_all: bool = False  # by each of several clocks, and not by the one that leads only


def run_clock(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigurationError without REDIS_URL."""
    configure_logs(settings, "clock")
    queue = open_queue(connect(require_redis(settings)), settings.signing_keys)
    database = Database(settings.database_url)
    lead = Lead(database, "clock")
    judge = Judge(
        database,
        partial(observe, settings, database, settings.redis_url),
        partial(call_teller, queue) if settings.alert_targets else lambda: None,
        partial(send, settings.alert_targets),
        settings.health_url,
    )
    ask = Duty("errands", settings.clock_seconds, partial(ring, queue, ASK_JOB))
    asking = [ask] if settings.zoom_credentials else []
    clock = Clock(
        [
            Duty("lead", RENEW_SECONDS, lead.renew, by_all=True),
            *ringing(partial(ring, queue), partial(leave_heartbeat, queue), settings.clock_seconds),
            Duty("retention", HOUR_SECONDS, lambda: remove_bodies(database, settings.body_retention_days)),
            Duty("feed", HOUR_SECONDS, lambda: remove_changes(database, settings.feed_retention_days)),
            Duty("judge", JUDGE_SECONDS, judge.judge),
            Duty("log", LOG_SECONDS, lambda: trim_log(database)),
            *asking,
            Duty(
                "departures",
                HOUR_SECONDS,
                lambda: erase_departed(
                    database, settings.deauthorized_grace_days, staff_domains=settings.staff_domain_names
                ),
            ),
        ],
        leads=lambda: lead.is_held,
    )
    metrics = Publisher(database, "clock")
    metrics.start()
    with Signals() as signals:
        log.info("clock_started", every_seconds=settings.clock_seconds)
        while not signals.wait(clock.tick()):
            pass
    lead.give_up()
    metrics.stop()
    database.close()
    log.info("clock_stopped")


class Clock:
    """Does each duty when it is due; one that fails does not stop the others.

    Of several clocks one leads (`leads`); the others do only what each clock does, and look whether they lead now.
    """

    def __init__(
        self,
        duties: Sequence[Duty],
        *,
        leads: Callable[[], bool] = lambda: True,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._duties = duties
        self._leads = leads
        self._now_seconds = now_seconds
        self._due = [now_seconds()] * len(duties)
        self._failing: set[str] = set()

    def tick(self) -> float:
        """Do what is due; returns the seconds until something is due again."""
        LAST_TICK.set_to_current_time()
        for place, duty in enumerate(self._duties):
            if self._due[place] <= self._now_seconds() and self._does(duty):
                is_done = self._do(duty)
                pause = duty.every_seconds if is_done else min(duty.every_seconds, RETRY_SECONDS)
                self._due[place] = self._now_seconds() + pause
        due = [due for due, duty in zip(self._due, self._duties, strict=True) if self._does(duty)]
        return max(0.0, min(due) - self._now_seconds())

    def _does(self, duty: Duty) -> bool:
        return duty.by_all or self._leads()

    def _do(self, duty: Duty) -> bool:
        try:
            duty.run()
        except (SQLAlchemyError, OSError) as error:
            if duty.name not in self._failing:  # once per outage
                log.warning("duty_failed", duty=duty.name, error=type(error).__name__)
            self._failing.add(duty.name)
            DUTIES.labels(duty=duty.name, outcome="failed").inc()
            return False
        else:
            if duty.name in self._failing:
                log.info("duty_back", duty=duty.name)
            self._failing.discard(duty.name)
            DUTIES.labels(duty=duty.name, outcome="done").inc()
            return True


def ringing(ring: Callable[[], object], leave_heartbeat: Callable[[int], object], every_seconds: float) -> list[Duty]:
    """Two duties: to ring, and to write down that this clock is alive; `leave_heartbeat` takes its expiry, ms."""
    beat_seconds = min(every_seconds, HEARTBEAT_SECONDS)
    expires_milliseconds = int(HEARTBEATS_MISSED_MAX * beat_seconds * 1000) + HEARTBEAT_GRACE_MILLISECONDS
    return [
        Duty("ring", every_seconds, ring, by_all=True),
        Duty("heartbeat", beat_seconds, lambda: leave_heartbeat(expires_milliseconds), by_all=True),
    ]
