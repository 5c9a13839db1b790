"""What a Postgres session of Joinlog is set to, also where it is not ours alone.

A connection to the server itself is set up once, as it is opened. Behind a pooler that hands a server's session to
another client after each transaction (PgBouncer's `pool_mode = transaction`) nothing set before may be relied on, and
the options of a connection are refused or dropped. There each transaction sets its own, and no statement is prepared:
https://www.pgbouncer.org/features.html. Which of the two it is, the connection itself is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, event

_MARK = "joinlog.session"  # a setting of ours: a session that has it got all of its options
_REFUSED = "unsupported startup parameter"  # what PgBouncer says to `options`
_POOLED = "joinlog_pooled"
_TAKES_WRITES = "read-write"

Kind = TypeVar("Kind", bound="psycopg.Connection[Any]")


def session_options(settings: Mapping[str, str]) -> str:
    """Settings as the `options` of a connection."""
    return " ".join(f"-c {name}={value}" for name, value in {**settings, _MARK: "1"}.items())


class Opener(Generic[Kind]):
    """Connects with the session's options, or without them where a pooler refused them once.

    Of several hosts with `target_session_attrs=read-write` it takes the one that is no standby, which it asks itself:
    libpq believes what the server said at first, and behind a pooler that is what it said to somebody else long ago,
    before the standby was promoted. The host that was found last is tried first, so that a dead one is waited for once.
    """

    def __init__(self, kind: type[Kind]) -> None:
        self._kind = kind
        self._is_refused = False
        self._found = 0

    def connect(self, arguments: list[Any], named: dict[str, Any]) -> Kind:
        """A connection. Raises psycopg.OperationalError."""
        hosts = str(named.get("host", "")).split(",")
        if len(hosts) == 1 or named.get("target_session_attrs") != _TAKES_WRITES:
            return self._connect_one(arguments, named)
        ports = str(named.get("port", "")).split(",")
        faults = []
        for place in sorted(range(len(hosts)), key=lambda place: (place - self._found) % len(hosts)):
            port = ports[place] if len(ports) == len(hosts) else ports[0]
            try:
                connection = self._connect_one(
                    arguments, {**named, "host": hosts[place], "port": port or "5432", "target_session_attrs": "any"}
                )
                if _takes_writes(connection):
                    self._found = place
                    return connection
            except psycopg.OperationalError as error:
                faults.append(f"{hosts[place]}: {error}")
            else:
                faults.append(f"{hosts[place]}: a standby")
                connection.close()
        raise psycopg.OperationalError("no host takes writes; " + "; ".join(faults))

    def _connect_one(self, arguments: list[Any], named: dict[str, Any]) -> Kind:
        bare = {name: value for name, value in named.items() if name != "options"}
        if not self._is_refused:
            try:
                return self._kind.connect(*arguments, **named)
            except psycopg.OperationalError as error:
                if _REFUSED not in str(error):
                    raise
            self._is_refused = True
        return self._kind.connect(*arguments, **bare)


def _takes_writes(connection: psycopg.Connection[Any]) -> bool:
    found = connection.execute("SELECT NOT pg_is_in_recovery()").fetchone()
    connection.rollback()
    return bool(found and found[0])


def keep_settings(engine: Engine, settings: Mapping[str, str]) -> None:
    """Have every transaction of an engine run with these settings, whoever else uses its sessions."""
    values = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())

    @event.listens_for(engine, "connect")
    def look(connection: psycopg.Connection[Any], record: Any) -> None:
        found = connection.execute(f"SELECT current_setting('{_MARK}', true)").fetchone()
        connection.rollback()
        record.info[_POOLED] = not (found and found[0])
        if record.info[_POOLED]:
            connection.prepare_threshold = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if is_pooled(connection) and not connection.connection.dbapi_connection.autocommit:  # type: ignore[union-attr]
            connection.exec_driver_sql(f"SELECT {values}")


def is_pooled(connection: Connection) -> bool:
    """Whether the server's session is ours for one transaction only."""
    return bool(connection.info.get(_POOLED))
