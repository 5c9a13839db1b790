"""A thread for each endpoint: it reads the feed, makes notices and posts them in order, one after the other.

1. Look whether there is anything after what was told; if not, nothing is written.
2. Have the endpoint to oneself (several workers push to it in turn), and say how far the next part reaches: whoever
   comes after a crash makes the same notices of it, with the same ids.
3. Post each. One that is not taken stays the next one, and is tried again when its time has come.
4. Write down how far it was told.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from schema.push import PushEndpoint, endpoint_name
from schema.store.database import Database
from schema.store.feed import READ_CHANGES, FedChange, FeedGone, read_feed, read_head
from schema.store.push import let_go, note_endpoint, read_endpoint, take_endpoint
from workers.looking import LookingThread
from workers.push.notices import Notices
from workers.push.posting import Notice, Poster
from workers.push.retry import delivered, refused

LOOK_SECONDS = 0.05
STOP_SECONDS_MAX = 2.0
HELD_FOR = timedelta(seconds=40)  # without a word from whoever has it; longer than an attempt
NOTED_SECONDS = 1.0  # a worker that is killed has told so much again

log = structlog.get_logger()


class Pusher(LookingThread):
    """Tells one endpoint."""

    def __init__(
        self,
        database: Database,
        url: str,
        notices: Notices,
        poster: Poster,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__("push", self.push, _note_failure, look_seconds=LOOK_SECONDS, stop_seconds=STOP_SECONDS_MAX)
        self._database = database
        self._name = endpoint_name(url)
        self._notices = notices
        self._poster = poster
        self._now = now
        self._holder = secrets.token_hex(8)
        self._known: PushEndpoint | None = None
        self._pending: list[Notice] = []
        self._noted_at = self._hold_again_at = 0.0

    def push(self) -> int:
        """Tell what there is to tell; returns how many notices were taken."""
        told = 0
        while not self.stopping.is_set():
            endpoint = self._next()
            if endpoint is None:
                break
            taken, is_over = self._tell_part(endpoint)
            told += taken
            if not is_over:
                break
        return told

    def stop(self) -> None:
        """End after the attempt in progress, and leave the endpoint to others."""
        super().stop()
        if self._known is not None:
            self._note(self._known)
            let_go(self._database, self._name, self._holder)
        self._poster.close()

    def _next(self) -> PushEndpoint | None:
        """How the endpoint stands, if there is something to tell it now and it is ours to tell."""
        with self._database.read() as connection:
            head, stands = read_head(connection), read_endpoint(connection, self._name)
        if stands is None:
            return None
        is_ours = stands.held_by == self._holder and self._known is not None
        endpoint = self._known if is_ours and self._known is not None else stands
        is_due = endpoint.retry_at is None or endpoint.retry_at <= self._now()
        if endpoint.after == head or endpoint.off_at is not None or not is_due:
            return None
        if is_ours and time.monotonic() < self._hold_again_at:
            return endpoint
        taken = take_endpoint(self._database, self._name, self._holder, self._now(), HELD_FOR)
        self._hold_again_at = time.monotonic() + HELD_FOR.total_seconds() / 2
        if taken is None or is_ours:
            return endpoint if taken is not None else None
        if self._known is None or (self._known.after, self._known.until) != (taken.after, taken.until):
            self._pending = []  # another worker told in between, or somebody had it told again
            self._notices.forget()
        return taken

    def _tell_part(self, endpoint: PushEndpoint) -> tuple[int, bool]:
        """Tell the next part; says how many were taken, and whether all of it was."""
        if not self._pending:
            try:
                changes, until = self._read_part(endpoint)
            except FeedGone as gone:
                log.warning("push_left_out", endpoint=self._name, after=endpoint.after, go_on_from=gone.go_on_from)
                self._note(replace(endpoint, after=gone.go_on_from, until=None, error=f"left out: {gone}"))
                return 0, True
            endpoint = replace(endpoint, until=until)
            self._pending = self._notices.of(changes)
            if self._pending and not self._note(endpoint):
                return 0, False
        taken = 0
        while self._pending:
            if self.stopping.is_set():
                self._note(endpoint)
                return taken, False
            notice = self._pending[0]
            answer = self._poster.post(notice)
            if answer.error is not None:
                endpoint = refused(endpoint, answer.error, answer.status, self._now())
                log.warning("push_failed", endpoint=self._name, tries=endpoint.tries, error=answer.error)
                self._note(endpoint)
                return taken, False
            self._pending.pop(0)
            self._notices.remember(notice)
            taken += 1
            is_last_of_change = not self._pending or self._pending[0].seq > notice.seq
            endpoint = delivered(endpoint, notice.seq if is_last_of_change else endpoint.after, self._now())
            if time.monotonic() - self._noted_at > NOTED_SECONDS and not self._note(endpoint):
                return taken, False
        over = replace(endpoint, after=endpoint.until or endpoint.after, until=None)
        if taken or time.monotonic() - self._noted_at > NOTED_SECONDS:
            return taken, self._note(over)
        self._known = over
        return taken, True

    def _read_part(self, endpoint: PushEndpoint) -> tuple[Sequence[FedChange], int]:
        size = READ_CHANGES if endpoint.until is None else endpoint.until - endpoint.after
        part = read_feed(self._database, endpoint.after, max(1, size))
        return part.changes, part.next_after

    def _note(self, endpoint: PushEndpoint) -> bool:
        self._known = endpoint
        self._noted_at = time.monotonic()
        is_ours = note_endpoint(self._database, endpoint, self._holder, self._now())
        if not is_ours:
            self._pending = []
        return is_ours


def _note_failure(error: str) -> None:
    log.warning("push_not_read", error=error)
