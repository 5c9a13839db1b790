"""The thread that empties the inbox: when it is rung for, and by itself every LOOK_SECONDS_MAX.

It depends on nothing but the database: a Redis that hangs, lies or is gone delays an event by LOOK_SECONDS_MAX at most.
And no signal handler can raise into its transactions, because Python runs them in the main thread only.
"""

from __future__ import annotations

import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from workers.drain import Drain

LOOK_SECONDS_MAX = 5.0  # between two looks into the inbox, whatever Redis does

log = structlog.get_logger()


class DrainLoop:
    """Runs a drain in a thread of its own until it is stopped."""

    def __init__(
        self, drain: Drain, stopping: threading.Event, *, look_seconds: float = LOOK_SECONDS_MAX, name: str = "drain"
    ) -> None:
        self._drain = drain
        self._stopping = stopping
        self._look_seconds = look_seconds
        self._rung = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin with a look: a ring may have been lost with Redis."""
        self._thread.start()

    def ring(self) -> None:
        """Have the inbox looked into; a look that has begun may have missed what was just committed, so one follows."""
        self._rung.set()

    def stop(self) -> None:
        """End after the batch in progress."""
        self._stopping.set()
        self._rung.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._rung.clear()
            try:
                self._drain.drain_all()
            except (SQLAlchemyError, OSError) as error:
                log.error("drain_given_up", error=type(error).__name__)
            self._rung.wait(self._look_seconds)
