"""Connections to the one database, and how a transaction begins on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from schema.alerts import Disk
from schema.settings import without_password
from schema.store.dialect import dialect_for
from schema.store.dialect import read_url as parse_url

STATEMENT_SECONDS_MAX = 2.5


class Database:
    """The database of one process. Make it after a fork, close it at the end.

    `durable` decides what a commit promises: True, that it survives a power cut (intake, which answers 2xx on it);
    False, that a power cut takes back at most whole transactions, newest first. The drain may be False, because a
    batch that is taken back leaves its events pending and is applied again.

    With `read_url`, the URL of a standby, `read` asks that one.
    """

    def __init__(
        self, url: str, *, durable: bool = True, statement_seconds: float | None = None, read_url: str | None = None
    ) -> None:
        self.url: URL = parse_url(url)
        self.shown_url = without_password(url)
        self.dialect = dialect_for(self.url)
        self._writing, self._own_reading = self.dialect.open(self.url, durable, statement_seconds)
        self._reading = self._own_reading
        if read_url is not None:
            self._reading = self.dialect.open_standby(parse_url(read_url), statement_seconds)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent moment and never blocks a writer."""
        with self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def read_newest(self) -> Iterator[Connection]:
        """The same from the database that is written to, where `read` asks a standby."""
        with self._own_reading.connect() as connection, connection.begin():
            yield connection

    def behind_seconds(self) -> float | None:
        """How far the standby is behind that `read` asks; None where it asks none.

        Raises sqlalchemy.exc.DBAPIError when it does not answer.
        """
        if self._reading is self._own_reading:
            return None
        with self.read() as connection:
            return self.dialect.behind_seconds(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: commits at the end, rolls back on any error.

        Raises OperationalError when another writer of a SQLite file does not finish in WRITE_WAIT_SECONDS_MAX.
        """
        with self._writing.begin() as connection:
            yield connection

    @contextmanager
    def write_one(self) -> Iterator[Connection]:
        """A connection on which one statement is a transaction, with one round trip where the database allows it."""
        if self.dialect.has_one_writer:
            with self.write() as connection:
                yield connection
        else:
            with self._writing.connect() as connection:
                if self.dialect.is_session_shared(connection):  # then its limits are set in a transaction only
                    with connection.begin():
                        yield connection
                else:
                    yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def scratch(self) -> Iterator[Connection]:
        """A connection of its own on which temporary tables can live over several transactions.

        On SQLite its transactions begin as readers: filling temporary tables holds nobody up.
        """
        with self._own_reading.connect() as connection:
            self.dialect.prepare_scratch(connection, True)
            try:
                yield connection
            finally:
                connection.rollback()
                self.dialect.prepare_scratch(connection, False)

    def make_durable(self) -> None:
        """Return once everything that is committed survives a crash: a drain's commits do not wait for that."""
        self.dialect.make_durable(self.url, self._writing)

    def scrub(self, words: Iterable[str]) -> str | None:
        """Take what was just erased (`words`: the addresses) out of files and logs; says what may be left, if any."""
        return self.dialect.scrub(self.url, self._writing, words)

    def log_bytes(self) -> int | None:
        """How long the log is that waits for readers to let go; None where readers hold none up."""
        return self.dialect.log_bytes(self.url)

    def disk(self) -> Disk | None:
        """The disk of the database's file; None where the file is a server's."""
        return self.dialect.disk(self.url)

    def trim_log(self) -> bool:
        """Cut that log if nobody holds it; says whether it is short."""
        return self.dialect.trim_log(self.url)

    def close(self) -> None:
        """Give every connection back to the database server."""
        for engine in {self._writing, self._own_reading, self._reading}:
            engine.dispose()
