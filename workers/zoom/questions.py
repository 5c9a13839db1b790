"""One question of Zoom's API at a time: asked unless it was answered in this run, its whole answer kept as events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.exc import IntegrityError, OperationalError

from schema.store.api_calls import Task, keep_answer, read_task
from schema.store.database import Database
from schema.store.erased import ErasedMeanwhile, LeftOut, Told, leave_out
from schema.store.inbox import ID_ATTEMPTS_MAX, Arrival
from schema.zoom.envelope import read_envelope
from workers.zoom import answers
from workers.zoom.client import NotThere, Refused, TooOld
from workers.zoom.endpoints import INSTANCES_READ, MEETING_READ


@dataclass(slots=True)
class Questions:
    """The questions of one run about one account; what is missing in the end is added to `remains`.

    Several threads may ask at once; one at a time keeps what it was answered.
    """

    database: Database
    account_id: str
    begun_at: datetime
    now: Callable[[], datetime]
    remains: list[str]
    writing: threading.Lock
    _refused: set[str] = field(default_factory=set)

    def ask(self, kind: str, subject: str, ask: Callable[[], list[answers.Json]], *, is_expected: bool = False) -> bool:
        """Whether there is an answer, from now or from earlier in this run; what Zoom does not have is none.

        Without the token everything ends; without the scope or the plan for one kind of question the others go on.
        """
        task = self.last_answer(kind, subject)
        if task is not None and task.done_at >= self.begun_at:
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
            with self.writing:
                if str(error) not in self.remains:
                    self.remains.append(str(error))
            return False
        with self.writing:
            self._keep(kind, subject, bodies, task, asked_at)
        return True

    def last_answer(self, kind: str, subject: str) -> Task | None:
        """How a question was last answered."""
        return read_task(self.database, self.account_id, kind, subject)

    def _keep(
        self, kind: str, subject: str, bodies: list[answers.Json], before: Task | None, asked_at: datetime
    ) -> None:
        """Keep an answer without who was erased; one that says what the last one said is that answer again."""
        for attempt in range(1, ID_ATTEMPTS_MAX + 1):
            left, left_out = leave_out(
                self.database, self.account_id, [Told(told, told.get("uuid")) for told in bodies], self.now()
            )
            try:
                self._keep_rest(kind, subject, left, left_out, before, asked_at)
                return
            except (ErasedMeanwhile, IntegrityError, OperationalError):
                # or another process accepted an event in the same microsecond, or wrote for longer than we wait
                if attempt == ID_ATTEMPTS_MAX:
                    raise

    def _keep_rest(
        self, kind: str, subject: str, bodies: list[answers.Json], left_out: LeftOut, before: Task | None,
        asked_at: datetime,
    ) -> None:  # fmt: skip
        said = answers.said(bodies)
        task = Task(self.now(), said, int(asked_at.timestamp() * 1000), 0)
        if before is not None and before.said == said:
            task = Task(self.now(), said, before.said_ms, before.repeats + 1)
        envelopes = [read_envelope(answers.event_body(kind, self.account_id, told, task.said_ms)) for told in bodies]
        first = time.time_ns() // 1000
        arrivals = [
            Arrival(first + place, envelope, asked_at, source="api") for place, envelope in enumerate(envelopes)
        ]
        keep_answer(self.database, self.account_id, kind, subject, task, arrivals, left_out)
