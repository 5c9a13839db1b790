"""One of several clocks leads: it holds a row of the database for a while, and says so again before that is over."""

from __future__ import annotations

import os
import secrets
import socket

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.store.database import Database
from schema.store.leader import give_up_lead, take_lead

LEAD_SECONDS = 30.0  # how long nobody leads when the one that did is killed
RENEW_SECONDS = 10.0

log = structlog.get_logger()


class Lead:
    """Whether this process does what only one may.

    While the database does not answer, who led goes on, and so does one that was never told: what is wrong with the
    database has to be told by somebody, and every duty can be done twice.
    """

    def __init__(self, database: Database, duty: str) -> None:
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.is_held = True
        self._database = database
        self._duty = duty
        self._is_known = False

    def renew(self) -> None:
        """Take the lead or keep it, if no other one has it. Raises sqlalchemy.exc.SQLAlchemyError."""
        with self._database.write() as connection:
            is_held = take_lead(connection, self._duty, self.holder, LEAD_SECONDS)
        if is_held != self.is_held or not self._is_known:
            log.info("leads" if is_held else "follows", duty=self._duty)
        self.is_held, self._is_known = is_held, True

    def give_up(self) -> None:
        """Let another one lead at once."""
        try:
            with self._database.write() as connection:
                give_up_lead(connection, self._duty, self.holder)
        except (SQLAlchemyError, OSError):
            log.warning("lead_not_given_up", duty=self._duty, free_in_seconds=LEAD_SECONDS)
