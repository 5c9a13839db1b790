"""A connection to Postgres that waits for an answer only so long, whatever has become of the server.

`statement_timeout` is the server's to keep: one that stands still (stopped, swapped out, behind a network that drops
packets) keeps none, and its kernel goes on acknowledging what is sent. So the client looks at the clock, too.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event

from schema.store.postgres_session import Opener

GRACE_SECONDS = 0.3  # for the server's own limit to come first, which says more and costs no connection

Result = TypeVar("Result")


class BoundedConnection(psycopg.Connection[Any]):
    """Waits `answer_seconds_max` for each answer; then the connection is closed, for nobody knows what it would say."""

    answer_seconds_max: float | None = None

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        """Wait for the server. Raises psycopg.OperationalError when it does not answer in time."""
        try:
            return super().wait(gen, interval, self.answer_seconds_max if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:  # it still owes an answer
                self.pgconn.finish()
            raise


def bound_answers(engine: Engine, statement_seconds: float | None) -> None:
    """Have every connection of an engine wait a little longer for an answer than a statement may take, if it may not
    take for ever."""
    opener = Opener(BoundedConnection)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, arguments: list[Any], named: dict[str, Any]) -> BoundedConnection:
        connection = opener.connect(arguments, named)
        if statement_seconds is not None:
            connection.answer_seconds_max = statement_seconds + GRACE_SECONDS
        return connection
