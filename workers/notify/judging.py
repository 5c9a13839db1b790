"""The clock's part: judge every condition, write down how each stands, and ring for a worker if somebody is to be told.

While the database takes no writes there is no table to write to, and no worker can know what was told: then the clock
tells by itself, once a day as long as it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.alerts import Alert, Observed
from schema.store.alerts import change_alerts
from schema.store.database import Database
from schema.store.failures import describe
from schema.store.observations import note_judged
from workers.notify.conditions import judge
from workers.notify.telling import AGAIN_AFTER, Message, Occasion, advance, due, message, sent

DATABASE = "database"

log = structlog.get_logger()


class Judge:
    """Judges when it is called. `ring` is called when a worker has something to send, `tell` sends by itself."""

    def __init__(
        self,
        database: Database,
        observe: Callable[[], Observed],
        ring: Callable[[], object],
        tell: Callable[[Message], str | None],
        health_url: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._observe = observe
        self._ring = ring
        self._tell = tell
        self._health_url = health_url
        self._now = now
        self._told_by_itself: Alert | None = None

    def judge(self) -> dict[str, str]:
        """The conditions that hold, with what each says. Raises SQLAlchemyError while the database takes no writes."""
        now = self._now()
        observed = self._observe()
        holding = judge(observed, now)
        try:
            is_due = self._write(holding, now)
        except (SQLAlchemyError, OSError) as error:
            fault = observed.database_fault or f"The database takes no writes ({describe(error)})"
            self._tell_by_itself(judge(Observed(database_fault=fault), now)[DATABASE], now)
            raise
        self._told_by_itself = None
        if is_due:
            self._ring()
        return holding

    def _write(self, holding: Mapping[str, str], now: datetime) -> bool:
        """Whether a worker is to tell somebody."""

        def change(known: Mapping[str, Alert]) -> list[Alert]:
            told = {DATABASE: self._told_by_itself} if self._told_by_itself is not None else {}
            before = {**known, **told}
            changed = {alert.condition: alert for alert in advance(before, holding, now)}
            after.update({**before, **changed})
            return list({**told, **changed}.values())

        after: dict[str, Alert] = {}
        with self._database.write() as connection:
            note_judged(connection, now)
            change_alerts(connection, change, now)
        return any(due(alert, now) for alert in after.values())

    def _tell_by_itself(self, says: str, now: datetime) -> None:
        alert = self._told_by_itself or Alert(DATABASE, now, says)
        if alert.told_at is not None and now - alert.told_at < AGAIN_AFTER:
            return
        error = self._tell(message(alert, Occasion.BEGUN, self._health_url))
        if error is None:
            self._told_by_itself = sent(alert, Occasion.BEGUN, now)
        else:
            log.warning("alert_not_sent", condition=DATABASE, error=error)
