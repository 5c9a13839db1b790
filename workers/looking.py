"""A thread that looks when it is rung for, and by itself every so often: the drains, what is told, what is asked.

It begins with a look, since a ring may have been lost. No signal handler can raise into it, because Python runs them in
the main thread only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError


class LookingThread:
    """Calls `look` again and again until it is stopped; a database that is away is noted, and looked for again.

    `stopping` may be shared: whoever sets it ends the thread after the look in progress. `stop` waits for that look for
    `stop_seconds` at most, without it as long as it takes.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], object],
        note_failure: Callable[[str], object],
        *,
        look_seconds: float,
        stop_seconds: float | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        self._look = look
        self._note_failure = note_failure
        self._look_seconds = look_seconds
        self._stop_seconds = stop_seconds
        self.stopping = stopping or threading.Event()
        self._rung = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin with a look."""
        self._thread.start()

    def ring(self) -> None:
        """Have a look now; one that has begun may have missed what was just committed, so another one follows."""
        self._rung.set()

    def stop(self) -> None:
        """End after the look in progress."""
        self.stopping.set()
        self._rung.set()
        if self._thread.is_alive():
            self._thread.join(self._stop_seconds)

    def _run(self) -> None:
        while not self.stopping.is_set():
            self._rung.clear()
            try:
                self._look()
            except (SQLAlchemyError, OSError) as error:
                self._note_failure(type(error).__name__)
            self._rung.wait(self._look_seconds)
