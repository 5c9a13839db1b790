"""Whose fault a failure is: one table of SQLSTATE classes and of SQLite's result codes, and a reason beside each.

A failure of the database itself is worth trying again, and no event's fault. A failure of the data will fail again.
https://www.postgresql.org/docs/current/errcodes-appendix.html, https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class CameFirst(Exception):
    """Another transaction changed what has to be held, before it was held: nothing is written, try again."""


class Fault(StrEnum):
    """Whose fault a failure is."""

    DATABASE = "database"  # it is away, busy, full or of another version: try again, the events stay pending
    DATA = "data"  # what was to be written cannot be: the event that brought it is dead


SQLSTATES: Mapping[str, tuple[Fault, str]] = {
    "08": (Fault.DATABASE, "the connection is gone"),
    "25": (Fault.DATABASE, "the server takes no writes, as a standby, or the transaction ended"),
    "28": (Fault.DATABASE, "the server does not let us in"),
    "3D": (Fault.DATABASE, "the database is not there"),
    "40": (Fault.DATABASE, "another transaction came first: a deadlock, or a conflict"),
    "42501": (Fault.DATABASE, "we may not do this"),
    "42P01": (Fault.DATABASE, "a table is missing: tables of another version"),
    "42703": (Fault.DATABASE, "a column is missing: tables of another version"),
    "53": (Fault.DATABASE, "the server has no room, no memory or no connection left"),
    "55": (Fault.DATABASE, "something is locked or in use"),
    "57": (Fault.DATABASE, "the server is stopping, or ended the statement"),
    "58": (Fault.DATABASE, "the server's system failed"),
    "XX": (Fault.DATABASE, "the server is broken"),
    "22": (Fault.DATA, "a value is not what its column holds"),
    "23": (Fault.DATA, "a rule of the table forbids it"),
    "54": (Fault.DATA, "it is larger than the server's limits, an index row for one"),
}
"""By SQLSTATE, or by its first two characters, its class. What is not named here is the data's fault."""

SQLITE_CODES: Mapping[str, tuple[Fault, str]] = {
    "SQLITE_BUSY": (Fault.DATABASE, "another writer is at work"),
    "SQLITE_LOCKED": (Fault.DATABASE, "another statement holds the table"),
    "SQLITE_FULL": (Fault.DATABASE, "the disk is full"),
    "SQLITE_IOERR": (Fault.DATABASE, "the disk failed"),
    "SQLITE_CANTOPEN": (Fault.DATABASE, "the file cannot be opened"),
    "SQLITE_READONLY": (Fault.DATABASE, "the file cannot be written"),
    "SQLITE_PERM": (Fault.DATABASE, "we may not do this"),
    "SQLITE_AUTH": (Fault.DATABASE, "we may not do this"),
    "SQLITE_NOMEM": (Fault.DATABASE, "there is no memory left"),
    "SQLITE_INTERRUPT": (Fault.DATABASE, "the statement was ended"),
    "SQLITE_PROTOCOL": (Fault.DATABASE, "locking failed"),
    "SQLITE_SCHEMA": (Fault.DATABASE, "the tables changed meanwhile"),
    "SQLITE_NOTADB": (Fault.DATABASE, "the file is no database"),
    "SQLITE_CORRUPT": (Fault.DATABASE, "the file is broken"),
    "SQLITE_TOOBIG": (Fault.DATA, "a text is larger than SQLite holds"),
    "SQLITE_CONSTRAINT": (Fault.DATA, "a rule of the table forbids it"),
    "SQLITE_MISMATCH": (Fault.DATA, "a value is not what its column holds"),
    "SQLITE_RANGE": (Fault.DATA, "a statement is wrong"),
    "SQLITE_ERROR": (Fault.DATA, "a statement is wrong, unless it misses what a migration brings"),
}
"""By the result code, or the longest one it begins with. What is not named here is the database's fault."""

_OF_ANOTHER_VERSION = ("no such table", "no such column", "has no column named")


def is_infrastructure_failure(error: BaseException) -> bool:
    """Tell a failure of the database itself, worth trying again, from one of the data, which will fail again."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, (CameFirst, OSError, PoolTimeoutError))
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    if any(text in str(error.orig) for text in _OF_ANOTHER_VERSION):
        return True  # a worker of this version that meets tables of another one has to wait
    if (sqlstate := getattr(error.orig, "sqlstate", None)) is not None:
        fault, _ = SQLSTATES.get(sqlstate) or SQLSTATES.get(sqlstate[:2]) or (Fault.DATA, "")
        return fault is Fault.DATABASE
    if code := getattr(error.orig, "sqlite_errorname", ""):
        known = [name for name in SQLITE_CODES if code == name or code.startswith(f"{name}_")]
        return not known or SQLITE_CODES[max(known, key=len)][0] is Fault.DATABASE
    return isinstance(error, OperationalError)


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a row was held by somebody else for too long; Postgres only, where a writer waits for rows."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == "55P03"


def describe(error: BaseException) -> str:
    """A failure in words fit for a log and a table: never a value of a row, which a driver's own text may hold."""
    name = type(error).__name__
    if isinstance(error, DBAPIError):
        code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
        return f"{name}: {type(error.orig).__name__} {code or ''}".rstrip()
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = "" if frame is None else f" in {frame.tb_frame.f_globals.get('__name__')}, line {frame.tb_lineno}"
    return f"{name}{where}"
