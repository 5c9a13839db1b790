"""Emptying the inbox: claim, apply and settle in one transaction, until nothing is pending.

1. Claim a batch of pending events, oldest first; other workers pass it by.
2. Apply it to the tables and settle it, and commit both at once: kill -9 anywhere loses and doubles nothing.
3. An event whose own projection fails is dead, with the batch. A batch that fails otherwise because of its data is
   halved until the event that fails is alone: that one is dead.
4. A failure of the database leaves everything pending, and is tried again after a growing pause.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import Connection
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential_jitter,
)

from schema.states import EventState
from schema.store.database import Database
from schema.store.dialect import Dialect, Statement
from schema.store.failures import describe, is_infrastructure_failure
from schema.store.inbox import ANSWERS, NOT_ANSWERS, Claimed, answers_wait, claim, claim_again, claim_recent, settling
from schema.zoom.envelope import SHORT_TEXT_CHARACTERS_MAX
from schema.zoom.payloads import PayloadError
from workers.apply import apply_facts, project
from workers.core.ignored import why_ignored
from workers.core.merge import Fact
from workers.core.projection import PROJECTIONS
from workers.cursor import Cursor, Look
from workers.metrics import RETRIES, count_batch

BATCH_EVENTS_MAX = 1000
ANSWERS_MAX = 2  # answers of Zoom's API that one batch takes; each holds up to a hundred people
FACTS_MAX = 20_000  # of one transaction: what is beyond stays pending for the next
RETRY_FIRST_SECONDS = 0.2
RETRY_SECONDS_MAX = 10.0
RETRY_FOR_SECONDS = 300.0  # then the job gives up; the events stay pending, and the clock rings again
PAUSE_SECONDS = 0.002  # between two batches: on SQLite intake writes in this gap
SETTLE_SECONDS_MAX = 120.0  # for answers that another worker is at
GATHER_SECONDS_MAX = 0.02  # a steady stream gathers to batches that are worth their twenty statements

log = structlog.get_logger()


class Settled(NamedTuple):
    """How many events of a batch got which state."""

    done: int = 0
    ignored: int = 0
    unhandled: int = 0
    dead: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)

    def plus(self, other: Settled) -> Settled:
        """Both together."""
        return Settled(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass
class Batch:
    """Claimed events by what becomes of them, and the facts of those that are projected."""

    facts: list[Fact] = field(default_factory=list)
    handled: list[Claimed] = field(default_factory=list)
    ignored: list[Claimed] = field(default_factory=list)
    unhandled: list[Claimed] = field(default_factory=list)
    dead: dict[str, list[Claimed]] = field(default_factory=dict)

    def settled(self) -> list[tuple[EventState, list[Claimed]]]:
        """The events that do not fail, by their next state."""
        return [
            (EventState.DONE, self.handled),
            (EventState.IGNORED, self.ignored),
            (EventState.UNHANDLED, self.unhandled),
        ]

    def counts(self) -> Settled:
        """How many of each."""
        dead = sum(len(events) for events in self.dead.values())
        return Settled(len(self.handled), len(self.ignored), len(self.unhandled), dead)


def read_batch(claimed: Sequence[Claimed]) -> Batch:
    """Project claimed events, until there are FACTS_MAX facts; one whose own projection fails is dead."""
    batch = Batch()
    for event in claimed:
        if len(batch.facts) >= FACTS_MAX:
            break
        if event.event_type and why_ignored(event.event_type):
            batch.ignored.append(event)
        elif event.event_type not in PROJECTIONS:
            batch.unhandled.append(event)
        else:
            try:
                batch.facts += project(event)
                batch.handled.append(event)
            except PayloadError as error:
                reason = f"PayloadError: {error}"[:SHORT_TEXT_CHARACTERS_MAX]
                batch.dead.setdefault(reason, []).append(event)
    return batch


class Which(StrEnum):
    """Which events a drain settles. A worker has one for each of the last two: an answer of Zoom's API can be large,
    and nobody who watches a join log waits for it."""

    ALL = "all"
    LIVE = "live"  # all but answers of Zoom's API
    ANSWERS = "answers"  # only those, in small batches


_OF = {Which.ALL: "", Which.LIVE: NOT_ANSWERS, Which.ANSWERS: ANSWERS}


class Drain:
    """The drain of one worker process. `stopping`, when set, ends it after the batch in progress."""

    def __init__(
        self,
        database: Database,
        *,
        which: Which = Which.ALL,
        batch_events: int = BATCH_EVENTS_MAX,
        stopping: threading.Event | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        retry_for_seconds: float = RETRY_FOR_SECONDS,
        staff_domains: Collection[str] = (),
    ) -> None:
        self._database = database
        self._which = which
        self._batch_events = min(batch_events, ANSWERS_MAX) if which is Which.ANSWERS else batch_events
        self._stopping = stopping or threading.Event()
        self._now = now
        self._retry_for_seconds = retry_for_seconds
        self._cursor = Cursor()
        self._staff_domains = staff_domains

    def drain_all(self) -> int:
        """Settle pending events until there are none; returns how many. Raises when the database stays away."""
        total = 0
        while not self._stopping.is_set():
            settled = self._patiently(self.step)
            if settled.total == 0:
                break
            total += settled.total
            is_of_answers = self._which is Which.ANSWERS
            self._stopping.wait(
                GATHER_SECONDS_MAX if is_of_answers else pause_seconds(settled.total, self._batch_events)
            )
        return total

    def settle_answers(self) -> None:
        """Return once every answer of Zoom's API that was kept before is in the tables, by whichever worker."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while not self._stopping.is_set() and time.monotonic() < deadline:
            self.drain_all()
            with self._database.read() as connection:
                if not answers_wait(connection):
                    return
            self._stopping.wait(GATHER_SECONDS_MAX)

    def step(self) -> Settled:
        """Claim, apply and settle one batch; says what became of it, nothing when there was no work."""
        started = time.perf_counter()
        settled = Settled()
        look: Look | None = self._cursor.next_look()
        while look is not None and not settled.total:
            settled = self._settle_found_by(look)
            look = self._cursor.look_further(look)
        if settled.total:
            seconds = time.perf_counter() - started
            count_batch(settled._asdict(), seconds)
            log.info("batch_drained", **settled._asdict(), milliseconds=round(seconds * 1000, 1))
        return settled

    def _settle_found_by(self, look: Look) -> Settled:
        """Settle the oldest pending events that one look finds, and go on behind them next time."""
        claimed: list[Claimed] = []

        def take(connection: Connection) -> list[Claimed]:
            with self._cursor.looking(look):
                if look is Look.RECENT:
                    since = self._now() - self._cursor.recent()
                    claimed[:] = claim_recent(connection, self._batch_events, since, _OF[self._which])
                else:
                    after = self._cursor.after if look is Look.AFTER else 0
                    claimed[:] = claim(connection, self._batch_events, after, _OF[self._which])
            return list(claimed)

        settled = self._settle_batch(take)
        if claimed:
            is_whole = settled.total == len(claimed)  # FACTS_MAX leaves the rest of a batch pending
            self._cursor.settled(look, claimed[-1 if is_whole else 0].id)
        return settled

    def _settle_batch(self, take: Callable[[Connection], list[Claimed]]) -> Settled:
        claimed: list[Claimed] = []
        failure: Exception
        try:
            with self._database.write() as connection:
                claimed = take(connection)
                return self._apply(connection, claimed)
        except Exception as error:  # the one place: whatever an event can do wrong ends here
            if is_infrastructure_failure(error) or not claimed:
                raise
            failure = error
        return self._isolate(claimed, failure)

    def _apply(self, connection: Connection, claimed: Sequence[Claimed]) -> Settled:
        """Bring claimed events into the tables and settle them; what is beyond FACTS_MAX stays pending."""
        batch = read_batch(claimed)

        def settle(dialect: Dialect, now: datetime) -> list[Statement]:
            settled = [settling(dialect, _keys(events), state, now) for state, events in batch.settled() if events]
            return settled + [
                settling(dialect, _keys(events), EventState.DEAD, now, reason) for reason, events in batch.dead.items()
            ]

        if batch.facts:
            apply_facts(connection, batch.facts, self._now, settle, self._staff_domains)
        elif claimed:
            dialect = self._database.dialect
            dialect.run_all(connection, settle(dialect, self._now()))
        for events in batch.dead.values():
            for event in events:
                log.warning("event_dead", id=event.id, event_type=event.event_type, error=PayloadError.__name__)
        return batch.counts()

    def _isolate(self, claimed: Sequence[Claimed], failure: Exception) -> Settled:
        """Try a batch that failed in halves, so that only the event that fails alone is dead."""
        if len(claimed) == 1:
            return self._mark_dead(claimed[0], failure)
        middle = len(claimed) // 2
        settled = Settled()
        for half in (claimed[:middle], claimed[middle:]):
            settled = settled.plus(self._settle_batch(partial(claim_again, keys=_keys(half))))
        return settled

    def _mark_dead(self, claimed: Claimed, failure: Exception) -> Settled:
        """Give an event its last state in a transaction of its own, which the failure cannot roll back."""
        text = describe(failure)[:SHORT_TEXT_CHARACTERS_MAX]
        with self._database.write() as connection:
            dialect = self._database.dialect
            dialect.run_all(connection, [settling(dialect, _keys([claimed]), EventState.DEAD, self._now(), text)])
        log.warning("event_dead", id=claimed.id, event_type=claimed.event_type, error=type(failure).__name__)
        return Settled(dead=1)

    def _patiently(self, step: Callable[[], Settled]) -> Settled:
        """Try a step again while the database is away, with growing pauses."""
        retrying = Retrying(
            retry=retry_if_exception(is_infrastructure_failure),
            wait=wait_exponential_jitter(multiplier=RETRY_FIRST_SECONDS, max=RETRY_SECONDS_MAX),
            stop=stop_after_delay(self._retry_for_seconds) | stop_when_event_set(self._stopping),
            sleep=sleep_using_event(self._stopping),
            before_sleep=_note_outage,
            reraise=True,
        )
        return retrying(step)


def pause_seconds(events: int, batch_events: int) -> float:
    """How long to wait after a batch of so many events of so many at most.

    A full batch has more behind it. Otherwise the next is waited for the longer the more came together in this one:
    an event that comes alone hardly waits.
    """
    return PAUSE_SECONDS if events >= batch_events else min(GATHER_SECONDS_MAX, events * PAUSE_SECONDS)


def _note_outage(state: RetryCallState) -> None:
    RETRIES.inc()
    error = state.outcome.exception() if state.outcome else None
    if state.attempt_number == 1:  # once per outage
        log.warning("database_away", error=type(error).__name__)


def _keys(events: Sequence[Claimed]) -> list[tuple[str, int]]:
    return [(event.account_id, event.id) for event in events]
