"""Has anything been committed since? Answered without a look at any table."""

from __future__ import annotations

import threading

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool

from schema.store.database import Database
from schema.store.engines import make_private


class CommitMarker:
    """A text that differs after every commit of anybody to this database.

    SQLite counts commits per connection (`PRAGMA data_version`), so one connection is kept for it. Postgres' snapshot
    names the transactions in progress and the next to come: each that begins or ends changes it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    def read(self) -> str:
        """The marker of this moment. Raises sqlalchemy.exc.DBAPIError when the database does not answer."""
        marker = self._database.dialect.commit_marker()
        if not self._database.dialect.has_one_writer:
            with self._database.read() as connection:
                return str(connection.exec_driver_sql(marker).scalar_one())
        with self._lock:
            if self._connection is None:
                self._engine = create_engine(
                    self._database.url, poolclass=StaticPool, connect_args={"check_same_thread": False}
                )
                make_private(self._engine)
                self._connection = self._engine.connect()
            return str(self._connection.exec_driver_sql(marker).scalar_one())

    def close(self) -> None:
        """Give its connection back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            if self._engine is not None:
                self._engine.dispose()
            self._connection = self._engine = None
