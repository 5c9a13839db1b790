"""The thread that empties the inbox: when it is rung for, and by itself every LOOK_SECONDS_MAX.

It depends on nothing but the database: a Redis that hangs, lies or is gone delays an event by LOOK_SECONDS_MAX at most.
And no signal handler can raise into its transactions, because Python runs them in the main thread only.
"""

from __future__ import annotations

import threading

import structlog

from workers.drain import Drain
from workers.looking import LookingThread

LOOK_SECONDS_MAX = 5.0  # between two looks into the inbox, whatever Redis does

log = structlog.get_logger()


class DrainLoop(LookingThread):
    """Runs a drain in a thread of its own until it is stopped."""

    def __init__(
        self, drain: Drain, stopping: threading.Event, *, look_seconds: float = LOOK_SECONDS_MAX, name: str = "drain"
    ) -> None:
        super().__init__(name, drain.drain_all, _note_failure, look_seconds=look_seconds, stopping=stopping)


def _note_failure(error: str) -> None:
    log.error("drain_given_up", error=error)
