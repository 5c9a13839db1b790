"""The worker's part: a thread that sends what is due, when it is rung for and by itself every LOOK_SECONDS.

A message is sent, and then noted as sent. A worker that is killed in between leaves it to the next one, which sends it
again: told twice is the one thing that can go wrong, and only then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from schema.alerts import Alert
from schema.store.alerts import change_alerts_of, read_alerts
from schema.store.database import Database
from schema.store.observations import read_places
from workers.looking import LookingThread
from workers.notify.telling import Message, Occasion, due, message, not_sent, sending, sent

LOOK_SECONDS = 30.0  # Redis may be what somebody has to be told of
STOP_SECONDS_MAX = 5.0  # for a message that is being sent when the worker is asked to stop

log = structlog.get_logger()


class Teller(LookingThread):
    """Sends what is due. `send` returns why nobody could be reached, None when somebody was."""

    def __init__(
        self,
        database: Database,
        send: Callable[[Message], str | None],
        health_url: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__("teller", self.tell, _note_failure, look_seconds=LOOK_SECONDS, stop_seconds=STOP_SECONDS_MAX)
        self._database = database
        self._send = send
        self._health_url = health_url
        self._now = now

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
        with self._database.read() as connection:
            places = [] if occasion is Occasion.OVER else read_places(connection, name, now)
        error = self._send(message(alert, occasion, self._health_url, places))

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


def _note_failure(error: str) -> None:
    log.warning("alerts_not_read", error=error)
