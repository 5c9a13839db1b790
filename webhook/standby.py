"""How far the standby is behind from which the pages are read, so that a page can say it."""

from __future__ import annotations

import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from schema.store.database import Database

LOOK_SECONDS = 1.0


class Standby:
    """Asks the standby at most every LOOK_SECONDS, however many pages are made."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._seconds: float | None = None

    def behind_seconds(self) -> float | None:
        """How far it is behind; None where the pages are read from the database itself."""
        with self._lock:
            if time.monotonic() - self._looked_at > LOOK_SECONDS:
                try:
                    self._seconds = self._database.behind_seconds()
                except (SQLAlchemyError, OSError):
                    self._seconds = None  # the page itself says that the database does not answer
                self._looked_at = time.monotonic()
            return self._seconds
