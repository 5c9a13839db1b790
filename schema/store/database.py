"""Connections to the one database, SQLite or Postgres, and how a transaction begins on each."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from schema.settings import ConfigurationError, normalise_database_url, without_password
from schema.store.bounded_connection import bound_answers

WRITE_WAIT_SECONDS_MAX = 2.0
"""How long a writer waits for another one; an answer to Zoom has to be out within 3 s."""

WRITE_POLL_SECONDS = 0.001
CONNECT_SECONDS_MAX = 2
STATEMENT_SECONDS_MAX = 2.5
READ_WAIT_MILLISECONDS = 2000
CHECKPOINT_PAGES_INTAKE = 25_000  # 100 MB: the worker checkpoints every 1,000 pages, intake only if it never does


class Database:
    """The database of one process. Make it after a fork, close it at the end.

    `durable` decides what a commit promises: True, that it survives a power cut (intake, which answers 2xx on it);
    False, that a power cut takes back at most whole transactions, newest first. The drain may be False, because a
    batch that is taken back leaves its events pending and is applied again.
    """

    def __init__(self, url: str, *, durable: bool = True, statement_seconds: float | None = None) -> None:
        self.url: URL = make_url(normalise_database_url(url))
        self.shown_url = without_password(url)
        self.is_postgres = self.url.get_backend_name() == "postgresql"
        if self.is_postgres:
            self._writing = self._reading = _postgres_engine(self.url, durable, statement_seconds)
        else:
            if self.url.database in {None, "", ":memory:"}:
                raise ConfigurationError(
                    "DATABASE_URL names no file. A database in memory cannot be shared by web and worker; "
                    "use for example sqlite:///joinlog.db"
                )
            self._writing = _sqlite_engine(self.url, durable, read_only=False)
            self._reading = _sqlite_engine(self.url, durable, read_only=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent moment and never blocks a writer."""
        with self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: commits at the end, rolls back on any error.

        Raises OperationalError when another writer of a SQLite file does not finish in WRITE_WAIT_SECONDS_MAX.
        """
        with self._writing.begin() as connection:
            yield connection

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """A connection on which every statement is its own transaction (Postgres)."""
        with self._writing.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection

    @contextmanager
    def scratch(self) -> Iterator[Connection]:
        """A connection of its own on which temporary tables can live over several transactions.

        On SQLite its transactions begin as readers: filling temporary tables holds nobody up.
        """
        with self._reading.connect() as connection:
            if not self.is_postgres:
                connection.exec_driver_sql("PRAGMA query_only=0")
                connection.commit()
            try:
                yield connection
            finally:
                connection.rollback()
                if not self.is_postgres:
                    connection.exec_driver_sql("PRAGMA query_only=1")
                    connection.commit()

    def close(self) -> None:
        """Give every connection back to the database server."""
        self._writing.dispose()
        self._reading.dispose()


def is_infrastructure_failure(error: BaseException) -> bool:
    """Tell a failure of the database itself, worth trying again, from one of the data, which will fail again."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, (OSError, PoolTimeoutError))
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    if _lacks_what_a_migration_brings(error):
        return True
    if not isinstance(error, OperationalError):
        return False
    code = getattr(error.orig, "sqlite_errorname", "")
    return not code.startswith(("SQLITE_CORRUPT", "SQLITE_TOOBIG", "SQLITE_ERROR"))


def _lacks_what_a_migration_brings(error: DBAPIError) -> bool:
    """A worker of this version that meets tables of another one has to wait, not to bury every event."""
    missing = ("no such table", "no such column", "has no column named")
    undefined = ("42P01", "42703")  # undefined_table, undefined_column
    return getattr(error.orig, "sqlstate", None) in undefined or any(text in str(error.orig) for text in missing)


def _postgres_engine(url: URL, durable: bool, statement_seconds: float | None) -> Engine:
    options = ["-c timezone=UTC", "-c jit=off"]  # compiling costs more than any query here
    if not durable:
        options.append("-c synchronous_commit=off")
    if statement_seconds is not None:
        milliseconds = int(statement_seconds * 1000)
        options.append(f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}")
    connect_args: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS_MAX,
        "application_name": "joinlog",
        "options": " ".join([url.query.get("options", ""), *options]).strip(),  # type: ignore[list-item]
        "keepalives_idle": 30,
    }
    engine = create_engine(
        url.difference_update_query(["options"]), connect_args=connect_args, pool_pre_ping=False, pool_size=8
    )
    if statement_seconds is not None:
        bound_answers(engine, statement_seconds)
    return engine


def _sqlite_engine(url: URL, durable: bool, *, read_only: bool) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 0.0, "check_same_thread": False}, pool_size=8)
    make_private(engine)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin and end where Joinlog says, not where a driver guesses
        connection.execute(f"PRAGMA busy_timeout={READ_WAIT_MILLISECONDS if read_only else 0}")
        if read_only:
            connection.execute("PRAGMA query_only=1")
            return
        begin_by(connection, time.monotonic() + WRITE_WAIT_SECONDS_MAX, "PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        if durable:
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES_INTAKE}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if read_only:
            connection.exec_driver_sql("BEGIN")
        else:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            try:
                begin_by(raw, time.monotonic() + WRITE_WAIT_SECONDS_MAX, "BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise OperationalError("BEGIN IMMEDIATE", None, error) from error

    return engine


def make_private(engine: Engine) -> None:
    """Have a SQLite file that is not there yet made readable by its owner only; its WAL and index follow its mode."""

    @event.listens_for(engine, "do_connect")
    def make_file(*_: object) -> None:
        path = (engine.url.database or "").removeprefix("file:")
        with suppress(OSError):  # it exists, or SQLite is going to say why it cannot
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def begin_by(connection: sqlite3.Connection, deadline: float, statement: str) -> None:
    """Take SQLite's write lock, looking again every millisecond: its own waiting backs off up to 100 ms."""
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if time.monotonic() >= deadline:
                raise
            time.sleep(WRITE_POLL_SECONDS)
