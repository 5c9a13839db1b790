"""The worker's part: a thread that sends what is due, when it is rung for and by itself every LOOK_SECONDS.

A message is sent, and then noted as sent. A worker that is killed in between leaves it to the next one, which sends it
again: told twice is the one thing that can go wrong, and only then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.alerts import Alert
from schema.store.alerts import change_alerts_of, read_alerts
from schema.store.database import Database
from workers.notify.telling import Message, Occasion, due, message, not_sent, sending, sent

LOOK_SECONDS = 30.0  # Redis may be what somebody has to be told of
STOP_SECONDS_MAX = 5.0  # for a message that is being sent when the worker is asked to stop

log = structlog.get_logger()


class Teller:
    """Sends what is due. `send` returns why nobody could be reached, None when somebody was."""

    def __init__(
        self,
        database: Database,
        send: Callable[[Message], str | None],
        health_url: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._send = send
        self._health_url = health_url
        self._now = now
        self._stopping = threading.Event()
        self._rung = threading.Event()
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)

    def start(self) -> None:
        """Begin with a look."""
        self._thread.start()

    def ring(self) -> None:
        """Have a look now."""
        self._rung.set()

    def stop(self) -> None:
        """Send no more."""
        self._stopping.set()
        self._rung.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS_MAX)

    def tell(self) -> int:
        """Send what is due; returns how many messages somebody received."""
        with self._database.read() as connection:
            known = read_alerts(connection)
        return sum(self._tell(name) for name, alert in known.items() if due(alert, self._now()) is not None)

    def _tell(self, name: str) -> bool:
        """Take one alert, send it, and note how that went."""
        now = self._now()
        taken: list[tuple[Alert, Occasion]] = []

        def take(known: Mapping[str, Alert]) -> list[Alert]:
            occasion = due(known[name], now) if name in known else None
            if occasion is None:
                return []
            taken.append((known[name], occasion))
            return [sending(known[name], now)]

        change_alerts_of(self._database, take, now)
        if not taken:
            return False
        alert, occasion = taken[-1]
        error = self._send(message(alert, occasion, self._health_url))

        def note(known: Mapping[str, Alert]) -> list[Alert]:
            current = known.get(name)
            if current is None or current.begun_at != alert.begun_at:
                return []  # it is another time by now
            return [sent(current, occasion, self._now()) if error is None else not_sent(current, error)]

        change_alerts_of(self._database, note, self._now())
        if error is not None:
            log.warning("alert_not_sent", condition=name, error=error)
        else:
            log.info("alert_sent", condition=name, occasion=str(occasion))
        return error is None

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._rung.clear()
            try:
                self.tell()
            except (SQLAlchemyError, OSError) as error:
                log.warning("alerts_not_read", error=type(error).__name__)
            self._rung.wait(LOOK_SECONDS)
