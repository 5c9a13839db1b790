"""The worker's part: a thread that asks Zoom's API by itself, when it is rung for and every LOOK_SECONDS.

1. Look into the tables for what has to be asked, and write it down as errands.
2. Take the errands that are due, several at once. A worker that is killed leaves its errand to the next one, which
   asks nothing again that was answered; one that fails is tried again after a growing pause.

It runs beside the drain, in a thread and with connections of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

import structlog

from schema.settings import Settings
from schema.store.audit import read_losses
from schema.store.database import Database
from schema.store.errands import (
    EndedInstance,
    Errand,
    ended_instances,
    ended_of_meeting,
    finish,
    last_look,
    note_look,
    plan,
    postpone,
    take_due,
    unknown_series,
    when_planned,
)
from schema.store.observations import read_refused_at
from workers.looking import LookingThread
from workers.zoom.client import DailyLimit, Refused, ZoomClient, ZoomError, open_http
from workers.zoom.delivery_log import recover
from workers.zoom.pace import SharedPace
from workers.zoom.readings import READ_FOR, next_reading
from workers.zoom.sync import Sync
from workers.zoom.together import CALLERS_MAX, Settling, each

LOOK_SECONDS = 5.0
STOP_SECONDS_MAX = 3.0  # for calls under way; one that takes longer is given up, and asked again by the next worker
ERRANDS_AT_ONCE = 4  # so many threads, and each of them has its share of CALLERS_MAX
LEASE = timedelta(minutes=15)
PAUSE_FIRST = timedelta(minutes=1)
PAUSE_MAX = timedelta(hours=6)
TRIES_MAX = 12  # some two days
LOOK_BACK = READ_FOR + timedelta(days=1)
OVERLAP = timedelta(minutes=1)  # of two looks: a slow commit may come late
OUTAGE_MIN = timedelta(minutes=5)  # in which nobody could look; then Zoom's delivery log is read
NOTE_LOOK_EVERY = timedelta(minutes=1)
NIGHTLY = time(3, tzinfo=UTC)
NIGHTLY_DAYS = timedelta(days=2)

log = structlog.get_logger()


class Kind(StrEnum):
    """What an errand asks; its subject is beside it."""

    SERIES = "series"  # the schedule of a meeting, by its number
    ENDED = "ended"  # the record of the instances of a meeting that ended
    HISTORY = "history"  # what the account held in the last days
    DELIVERY_LOG = "delivery_log"  # what Zoom could not deliver, by the id of the app


class Errands(LookingThread):
    """Asks about the accounts whose credentials are given. `settle` brings answers to the tables."""

    def __init__(
        self,
        database: Database,
        clients: Sequence[ZoomClient],
        settle: Callable[[], object],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__("errands", self.look, _note_failure, look_seconds=LOOK_SECONDS, stop_seconds=STOP_SECONDS_MAX)
        self._database = database
        self._clients: Mapping[str, ZoomClient] = {client.account_id: client for client in clients}
        self._settling = Settling(settle)
        self._now = now
        self._looked_at: datetime | None = None
        self._refused_at: datetime | None = None

    def start(self) -> None:
        """Begin with a look; nothing where there is no account to ask about."""
        if self._clients:
            super().start()

    def look(self) -> int:
        """Plan, and run what is due; returns how many errands were run."""
        self.plan()
        ran = 0
        while (now_ran := each(self._due(), self._try, ERRANDS_AT_ONCE)) > 0:  # one may have planned another
            ran += now_ran
        return ran

    def _due(self) -> Iterator[Errand]:
        """The errands that are due, each taken when it is asked for."""
        while not self.stopping.is_set():
            now = self._now()
            errand = take_due(self._database, list(self._clients), now, now + LEASE)
            if errand is None:
                return
            yield errand

    def plan(self) -> None:
        """Write down what has to be asked, as the tables tell it."""
        now = self._now()
        since = now - LOOK_BACK if self._looked_at is None else self._looked_at - OVERLAP
        accounts = list(self._clients)
        with self._database.read() as connection:
            series = unknown_series(connection, accounts, since)
            ended = ended_instances(connection, accounts, now - LOOK_BACK, since)
            nightly = [a for a in accounts if when_planned(connection, a, Kind.HISTORY, "nightly") is None]
            looked_at = last_look(connection)
            refused_at = read_refused_at(connection)
        for account_id, meeting_id in series:
            plan(self._database, account_id, Kind.SERIES, str(meeting_id), now, now)
        for instance in ended:
            due_at = _next_try(instance)
            if due_at is not None:
                plan(self._database, instance.account_id, Kind.ENDED, str(instance.meeting_id), due_at, now)
        for account_id in nightly:
            plan(self._database, account_id, Kind.HISTORY, "nightly", now, now)
        is_back = looked_at is not None and now - looked_at > OUTAGE_MIN
        if is_back or (refused_at is not None and (self._refused_at is None or refused_at > self._refused_at)):
            self.read_delivery_logs()
        self._refused_at = refused_at or self._refused_at
        if looked_at is None or now - looked_at > NOTE_LOOK_EVERY:
            note_look(self._database, now)
        self._looked_at = now

    def read_delivery_logs(self) -> None:
        """Have Zoom's delivery logs read: something may not have reached us."""
        for client in self._clients.values():
            self._plan_delivery_log(client)

    def _plan_delivery_log(self, client: ZoomClient) -> None:
        if (app_id := client.credentials.app_id) is not None:
            now = self._now()
            plan(self._database, client.account_id, Kind.DELIVERY_LOG, app_id, now, now)

    def _try(self, errand: Errand) -> None:
        """Run one errand, and note how that went."""
        client = self._clients[errand.account_id]
        try:
            due_at, remains = self._run_errand(errand, client)
        except ZoomError as error:
            due_at = error.until if isinstance(error, DailyLimit) else self._now() + pause(errand.tries)
            log.warning("errand_failed", kind=errand.kind, tries=errand.tries, error=str(error))
            is_hopeless = isinstance(error, Refused) and not error.is_about_token
            if errand.tries < TRIES_MAX and not is_hopeless:
                postpone(self._database, errand, due_at, str(error), self._now())
            else:
                finish(self._database, errand, self._when_next(errand), str(error), self._now())
        else:
            log.info("errand_done", kind=errand.kind, calls=sum((client.calls or {}).values()), remains=len(remains))
            finish(self._database, errand, due_at, "; ".join(remains) or None, self._now())

    def _run_errand(self, errand: Errand, client: ZoomClient) -> tuple[datetime | None, Sequence[str]]:
        """Ask; returns when it is due again, and what remains."""
        run = Sync(
            self._database, client, errand.begun_at, self._settling, self._now, CALLERS_MAX // ERRANDS_AT_ONCE
        )  # fmt: skip
        if errand.kind == Kind.SERIES:
            run.series(int(errand.subject))
        elif errand.kind == Kind.ENDED:
            self._read_records(errand, client, run)
        elif errand.kind == Kind.HISTORY:
            today = self._now().date()
            run.history(today - NIGHTLY_DAYS, today)
        elif errand.kind == Kind.DELIVERY_LOG:
            recovered = recover(self._database, client, errand.subject, self._now())
            log.info("delivery_log_read", recovered=recovered)
        return self._when_next(errand), run.remains

    def _read_records(self, errand: Errand, client: ZoomClient, run: Sync) -> None:
        """The record of the instances that are due; where webhooks were lost, what Zoom's delivery log has of them."""
        meeting_id, now = int(errand.subject), self._now()
        due = {
            instance.uuid
            for instance in self._ended(errand)
            if (reading := next_reading(instance.ended_at, instance.read_at)) is not None and reading <= now
        }
        if not due:
            return
        run.after_end(meeting_id, due)
        with self._database.read() as connection:
            if read_losses(connection, errand.account_id, due):
                self._plan_delivery_log(client)

    def _when_next(self, errand: Errand) -> datetime | None:
        if errand.kind == Kind.HISTORY:
            return datetime.combine(self._now().date() + timedelta(days=1), NIGHTLY)
        if errand.kind != Kind.ENDED:
            return None
        moments = [_next_try(instance) for instance in self._ended(errand)]
        return min((moment for moment in moments if moment is not None), default=None)

    def _ended(self, errand: Errand) -> Sequence[EndedInstance]:
        with self._database.read() as connection:
            return ended_of_meeting(connection, errand.account_id, int(errand.subject), self._now() - LOOK_BACK)


def _note_failure(error: str) -> None:
    log.warning("errands_not_read", error=error)


def pause(tries: int) -> timedelta:
    """How long to wait after so many tries failed: 1, 2, 4, ... minutes, 6 hours at most."""
    return min(PAUSE_FIRST * (1 << min(tries - 1, 10)), PAUSE_MAX)


def _next_try(instance: EndedInstance) -> datetime | None:
    """When to read an instance's record next; a report that was not there yet is not asked for at once again."""
    tried = [moment for moment in (instance.read_at, instance.tried_at) if moment is not None]
    return next_reading(instance.ended_at, max(tried, default=None))


def open_clients(settings: Settings, database: Database) -> list[ZoomClient]:
    """A client for each account whose credentials are set."""
    pace = SharedPace(database, settings.zoom_plan, settings.zoom_rate_share)
    return [
        ZoomClient(credentials, settings.zoom_api_url.rstrip("/"), settings.zoom_oauth_url, pace, open_http())
        for credentials in settings.zoom_credentials
    ]
