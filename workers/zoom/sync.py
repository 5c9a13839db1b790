"""Asks Zoom about meetings, and keeps every complete answer as events; in one run nothing is asked twice.

What to ask next is read from the tables, so that a run that was killed goes on where it was.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError

from schema.reserved import EVERY_OCCURRENCE
from schema.store.api_calls import keep_answer, read_meeting, read_meetings_held, read_standing, read_task
from schema.store.database import Database
from schema.store.inbox import ID_ATTEMPTS_MAX, Arrival
from schema.zoom.envelope import read_envelope
from workers.core.registrations import ONCE_FOR_ALL
from workers.zoom import answers
from workers.zoom.client import NotThere, Refused, TooOld, ZoomClient
from workers.zoom.endpoints import (
    HISTORY,
    HISTORY_READ,
    INSTANCES_READ,
    MEETING,
    MEETING_READ,
    PARTICIPANTS,
    PARTICIPANTS_READ,
    PAST_INSTANCES,
    REGISTRANTS,
    REGISTRANTS_READ,
    REPORT,
)

HISTORY_SPAN = timedelta(days=30)  # Zoom tells a month at a time
GROWS_FOR = timedelta(hours=1)  # a report read sooner after the end may lack people
STATUSES = ("approved", "pending", "denied")
KINDS = ("webinar", "meeting")


@dataclass(slots=True)
class Sync:
    """One run about one account. `settle` brings what was kept to the tables; `now` is the time."""

    database: Database
    client: ZoomClient
    begun_at: datetime
    settle: Callable[[], object]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    counted: Counter[str] = field(default_factory=Counter)
    remains: list[str] = field(default_factory=list)
    _refused: set[str] = field(default_factory=set)

    def held_between(self, since: date, until: date) -> list[int]:
        """The meetings the account held from one day to another, inclusive. Raises ZoomError."""
        for first, last in spans(since, until):
            self._ask(HISTORY_READ, f"{first}/{last}", lambda f=first, t=last: self._history(f, t))  # type: ignore[misc]
        self.settle()
        begin = datetime(since.year, since.month, since.day, tzinfo=UTC)
        end = datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(days=1)
        return read_meetings_held(self.database, self.client.account_id, begin, end)

    def meeting(self, meeting_id: int) -> None:
        """Everything about one meeting. Raises Refused without a token, DailyLimit, and ZoomError for no answer."""
        kind = read_meeting(self.database, self.client.account_id, meeting_id).kind
        for tried in (kind,) if kind else KINDS:
            asked = self._ask(MEETING_READ, str(meeting_id), lambda k=tried: self._series(k, meeting_id))  # type: ignore[misc]
            listed = self._ask(INSTANCES_READ, str(meeting_id), lambda k=tried: self._instances(k, meeting_id))  # type: ignore[misc]
            if asked or listed:
                kind = tried
                break
        if kind is None:
            self.remains.append(f"meeting {meeting_id}: Zoom knows no webinar and no meeting of this number")
            return
        self.settle()
        known = read_meeting(self.database, self.client.account_id, meeting_id)
        for_all = known.registration_type == ONCE_FOR_ALL or not known.occurrence_ids
        for occurrence_id in (None,) if for_all else known.occurrence_ids:
            subject = f"{meeting_id}/{occurrence_id or EVERY_OCCURRENCE}"
            self._ask(REGISTRANTS_READ, subject, lambda o=occurrence_id: self._registrants(kind, meeting_id, o))  # type: ignore[misc]
        for uuid, _, ended_at in known.instances:
            self._participants(kind, meeting_id, uuid, ended_at)
        self.settle()
        self.counted["meetings"] += 1

    # --- what is asked: each returns the bodies of one complete answer

    def _history(self, first: date, last: date) -> list[answers.Json]:
        answer = self.client.read(HISTORY, meeting_type="all", **{"from": str(first), "to": str(last)})
        return answers.history_read(answer)

    def _series(self, kind: str, meeting_id: int) -> list[answers.Json]:
        answer = self.client.read(MEETING[kind], str(meeting_id), show_previous_occurrences="true")
        return answers.meeting_read(kind, answer)

    def _instances(self, kind: str, meeting_id: int) -> list[answers.Json]:
        bodies = answers.instances_read(kind, meeting_id, self.client.read(PAST_INSTANCES[kind], str(meeting_id)))
        for row in bodies[0]["instances"]:
            self.counted["instances"] += 1
            self.counted["links stated"] += "occurrence_id" in row
        return bodies

    def _registrants(self, kind: str, meeting_id: int, occurrence_id: str | None) -> list[answers.Json]:
        begun_at = self.now()
        which = {"occurrence_id": occurrence_id} if occurrence_id else {}
        listed = {
            status: self.client.read(REGISTRANTS[kind], str(meeting_id), status=status, **which) for status in STATUSES
        }
        here = {str(row.get("id")) for answer in listed.values() for row in answer.get("registrants") or ()}
        about = occurrence_id or EVERY_OCCURRENCE
        standing = read_standing(self.database, self.client.account_id, meeting_id, about, begun_at)
        self.counted["registrants"] += len(here)
        return answers.registrants_read(kind, meeting_id, occurrence_id, listed, standing - here)

    def _participants(self, kind: str, meeting_id: int, uuid: str, ended_at: datetime | None) -> None:
        def report() -> list[answers.Json]:
            told = self.client.read(REPORT[kind], uuid) if ended_at is None else {}
            answer = self.client.read(PARTICIPANTS[kind], uuid)
            self.counted["connections"] += len(answer.get("participants") or ())
            return answers.participants_read(kind, meeting_id, uuid, told, answer)

        is_read = self._ask(PARTICIPANTS_READ, uuid, report, is_expected=True)
        if is_read and ended_at is not None and self.now() - ended_at < GROWS_FOR:
            self.remains.append(f"instance {uuid}: ended within the hour, its report may still grow")

    # --- asking and keeping

    def _ask(
        self, kind: str, subject: str, ask: Callable[[], list[answers.Json]], *, is_expected: bool = False
    ) -> bool:
        """Whether there is an answer, from now or from earlier in this run; what Zoom does not have is none.

        Without the token everything ends; without the scope or the plan for one kind of question the others go on.
        """
        task = read_task(self.database, self.client.account_id, kind, subject)
        if task is not None and task[0] is not None and task[0] >= self.begun_at:
            return True
        if kind in self._refused:
            return False
        asked_at = self.now()
        try:
            bodies = ask()
        except TooOld:
            return False
        except NotThere as error:
            if is_expected:
                self.remains.append(f"{subject}: {error}")
            return False
        except Refused as error:
            if error.is_about_token:
                raise
            if kind not in (MEETING_READ, INSTANCES_READ):
                self._refused.add(kind)
            if str(error) not in self.remains:
                self.remains.append(str(error))
            return False
        self._keep(kind, subject, bodies, task, asked_at)
        return True

    def _keep(self, kind: str, subject: str, bodies: list[answers.Json], task: Any, asked_at: datetime) -> None:
        """Keep an answer; one that says what the last one said is that answer again."""
        said = answers.said(bodies)
        said_ms = task[2] if task is not None and task[1] == said else int(asked_at.timestamp() * 1000)
        envelopes = [read_envelope(answers.event_body(kind, self.client.account_id, told, said_ms)) for told in bodies]
        for attempt in range(1, ID_ATTEMPTS_MAX + 1):
            first = time.time_ns() // 1000
            arrivals = [
                Arrival(first + place, envelope, asked_at, source="api") for place, envelope in enumerate(envelopes)
            ]
            try:
                keep_answer(self.database, self.client.account_id, kind, subject, said, said_ms, arrivals, self.now())
                return
            except IntegrityError:  # another process accepted an event in the same microsecond
                if attempt == ID_ATTEMPTS_MAX:
                    raise


def spans(since: date, until: date) -> Iterator[tuple[date, date]]:
    """Days as Zoom tells them: spans of at most a month, both ends inclusive."""
    first = since
    while first <= until:
        last = min(first + HISTORY_SPAN, until)
        yield first, last
        first = last + timedelta(days=1)
