"""How a connection to each database is opened, and how a transaction begins on it."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

WRITE_WAIT_SECONDS_MAX = 2.0
"""How long a writer waits for another one; an answer to Zoom has to be out within 3 s."""

WRITE_POLL_SECONDS = 0.001
CONNECT_SECONDS_MAX = 2
LOCK_SECONDS_MAX = 1.0
"""How long a statement of the web process waits for a row that somebody holds: Zoom's deliveries wait behind it."""

SILENT_SECONDS_MAX = 20.0
"""A worker that says nothing for so long in the middle of a transaction was cut off or stopped: the server ends it, so
that others get at its meetings. The network alone would take hours to notice."""
SILENT_READER_SECONDS_MAX = 60.0
"""The same for a web process: longer than a slow reader of an export may take, and shorter than Zoom's five minutes,
after which it sends again what was in a group that was never committed."""

_DEAD_PEER = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""A server whose host lost its power says nothing: it is given up after some 10 s. Linux would wait for 15 minutes."""

READ_WAIT_MILLISECONDS = 2000
CHECKPOINT_PAGES_INTAKE = 25_000  # 100 MB: the worker checkpoints every 1,000 pages, intake only if it never does
WAL_BYTES_KEPT = 64 * 1024 * 1024  # a longer one, which a slow reader made, is cut to this when it begins anew
POOL_CONNECTIONS = 8


def open_postgres(url: URL, durable: bool, statement_seconds: float | None) -> Engine:
    """An engine for Postgres; `statement_seconds` bounds each statement, and with it each wait for a lock."""
    from schema.store.bounded_connection import bound_answers  # its driver is 10 MiB, which SQLite need not pay
    from schema.store.postgres_session import keep_settings, session_options

    settings = {"timezone": "UTC", "jit": "off"}  # compiling costs more than any query here
    if not durable:
        settings["synchronous_commit"] = "off"
        settings["idle_in_transaction_session_timeout"] = str(int(SILENT_SECONDS_MAX * 1000))
    if statement_seconds is not None:
        settings["statement_timeout"] = str(int(statement_seconds * 1000))
        settings["idle_in_transaction_session_timeout"] = str(int(SILENT_READER_SECONDS_MAX * 1000))
        settings["lock_timeout"] = str(int(min(statement_seconds, LOCK_SECONDS_MAX) * 1000))
    connect_args: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS_MAX,
        "application_name": "joinlog",
        "options": f"{url.query.get('options', '')} {session_options(settings)}".strip(),
        **_DEAD_PEER,
    }
    engine = create_engine(
        url.difference_update_query(["options"]),
        connect_args=connect_args,
        pool_pre_ping=False,
        pool_size=POOL_CONNECTIONS,
        hide_parameters=True,
    )
    bound_answers(engine, statement_seconds)
    keep_settings(engine, settings)
    return engine


def open_sqlite(url: URL, durable: bool, *, read_only: bool) -> Engine:
    """An engine for a SQLite file: writers begin by taking the write lock, readers cannot write."""
    engine = create_engine(
        url, connect_args={"timeout": 0.0, "check_same_thread": False}, pool_size=POOL_CONNECTIONS, hide_parameters=True
    )
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
        connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted or written over is gone from its page
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
