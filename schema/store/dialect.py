"""The only module that knows which database it is: everything SQLite and Postgres spell or do differently.

Statements are written once, with `?` for a parameter. A dialect turns them into its driver's, packs rows into one
parameter, sends many statements in one round trip, takes locks, and gives the few expressions that differ.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import msgspec
from sqlalchemy import REAL, Connection, DateTime, Double, Engine, Index, Text, TypeDecorator, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import Dialect as SqlalchemyDialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from schema.alerts import Disk
from schema.settings import ConfigurationError
from schema.store.engines import WAL_BYTES_KEPT, open_postgres, open_sqlite
from schema.store.sqlite_file import compact, count_in_files, truncate_wal, wal_bytes

if TYPE_CHECKING:
    import psycopg  # 10 MiB and 75 ms that a process on SQLite need not pay

ERASED_IN = (
    "inbox_event", "meeting", "staff", "occurrence", "occurrence_history", "instance", "registrant", "registration",
    "connection", "participant", "link_statement", "link_history", "join_log", "account_departure",
)  # fmt: skip
"""Tables in which an erasure rewrites rows."""

MEETING_BUCKETS = 1024
LOCK_SPACE = 0x4A4C  # "JL": keeps these advisory locks apart from anybody else's in the same database
DRAIN_LOCK = -1  # every drain shares it; a rebuild takes it alone while it swaps the tables
MIGRATION_LOCK = 0x4A4C4D  # two machines that deploy at once must not both migrate

_encode = msgspec.json.Encoder().encode
Values = Sequence[Any]
Found = list[tuple[Any, ...]]


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: timestamptz in Postgres, `2026-11-22T10:28:31.000000Z` text in SQLite, aware in Python."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: SqlalchemyDialect) -> Any:
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == Postgres.name else Text())

    def process_bind_param(self, value: datetime | None, dialect: SqlalchemyDialect) -> Any:
        return value if value is None or dialect.name == Postgres.name else utc_text(value)

    def process_result_value(self, value: Any, dialect: SqlalchemyDialect) -> datetime | None:
        return value.astimezone(UTC) if isinstance(value, datetime) else utc_moment(value)


Real: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")
"""A number with a fraction: double precision in Postgres, REAL in SQLite."""


def utc_text(moment: datetime) -> str:
    """Write a moment so that text order is time order: always UTC, always microseconds, always Z."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='microseconds')[:26]}Z"


def utc_moment(value: str | None) -> datetime | None:
    """Read what `utc_text` wrote."""
    return None if value is None else datetime.fromisoformat(value)


def as_moment(value: Any) -> datetime | None:
    """A moment as a driver returned it: Postgres' as it is, SQLite's read from its text."""
    return utc_moment(value) if isinstance(value, str) else value


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows that fulfil a condition."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


class Statement(NamedTuple):
    """One statement and its values; with `is_repeated`, `values` is a list of them and the statement runs for each."""

    query: str
    values: Any = ()
    is_repeated: bool = False


class ChangedRows(NamedTuple):
    """Changes of one table and account: the rest of each key as JSON has it, in the order they are numbered."""

    account_id: str
    table: str
    operation: str
    keys: Sequence[Values]


class Dialect(ABC):
    """What Joinlog asks of a database beyond plain SQL."""

    name: str
    has_one_writer: bool
    """Whether transactions that write come one after the other, whatever they touch."""
    differs: str
    """The comparison that takes null for a value."""
    ordered_join: str
    """A join whose left side is read first: without statistics SQLite would begin with the largest table."""
    greatest: str
    shadow_schema: str
    """Where temporary tables live; they are found before others of the same name."""
    claim_lock: str
    """What makes a claim pass by rows that another worker holds."""
    update_lock: str
    view_words: ClassVar[Mapping[str, str]]
    """What the views spell differently."""

    @abstractmethod
    def open(self, url: URL, durable: bool, statement_seconds: float | None) -> tuple[Engine, Engine]:
        """An engine to write with and one to read with."""

    @abstractmethod
    def open_standby(self, url: URL, statement_seconds: float | None) -> Engine:
        """An engine to read with from a standby. Raises ConfigurationError where there are none."""

    @abstractmethod
    def behind_seconds(self, connection: Connection) -> float | None:
        """How far a standby is behind; None for a database that is written to."""

    @abstractmethod
    def parameter(self, value: Any) -> Any:
        """A value of a row as a bare parameter of a statement."""

    @abstractmethod
    def run_all(self, connection: Connection, statements: Sequence[Statement]) -> list[Found]:
        """Run statements in order, in one round trip; returns the rows of each. Raises sqlalchemy.exc.DBAPIError."""

    @abstractmethod
    def select_by(self, columns: str, table: str, keys: Mapping[str, str], where: str = "") -> str:
        """A query for the rows of a table (as `t`) whose columns `keys` (name to kind) equal one of the packed keys.

        Its first parameter is what `pack_keys` makes; `where` is a further condition, which begins with AND.
        """

    @abstractmethod
    def pack_keys(self, keys: Mapping[str, str], wanted: Iterable[Values]) -> str:
        """Keys as the one parameter of `select_by` and `delete_by`."""

    @abstractmethod
    def upsert(self, table: str, columns: Mapping[str, str], conflict: str, rows: Sequence[Values]) -> Statement:
        """A statement that inserts rows of these columns (name to kind), with an ON CONFLICT clause."""

    @abstractmethod
    def delete_by(self, table: str, keys: Mapping[str, str], wanted: Sequence[Values]) -> Statement:
        """A statement that deletes the rows with these keys."""

    @abstractmethod
    def update_by(
        self, table: str, sets: str, keys: Mapping[str, str], wanted: Sequence[Values], values: Values, where: str = ""
    ) -> Statement:
        """A statement that sets columns (`sets`, with `?` for `values`) of the rows with these keys."""

    @abstractmethod
    def number_changes(self, groups: Sequence[ChangedRows], now: datetime, closed: Sequence[Values]) -> list[Statement]:
        """Statements that give changed rows their numbers in the feed: the last ones of their transaction.

        Whoever numbers holds the row of `change_head` until the commit, so numbers are in the order of commits.
        `closed` are instances (account_id, uuid) whose stays written at `now` are changes, too.
        """

    @abstractmethod
    def make_durable(self, url: URL, engine: Engine) -> None:
        """Have everything that is committed survive a crash: the drain's commits do not wait for that."""

    @abstractmethod
    def amend(
        self, table: str, keys: Mapping[str, str], columns: Mapping[str, str], rows: Sequence[Values]
    ) -> Statement:
        """A statement that sets these columns (name to kind) of rows that exist.

        A row of `rows` has the values of its columns, then those of its key.
        """

    @abstractmethod
    def hold_meetings(
        self, buckets: Iterable[int], meetings: Iterable[Values], instances: Iterable[Values]
    ) -> list[Statement]:
        """Hold these meetings until the transaction ends, so that two workers never merge into one row.

        A bucket is a number below MEETING_BUCKETS, that of a meeting its number modulo MEETING_BUCKETS; sorted, so
        that two workers cannot wait for each other in a ring. Held besides, as far as the tables tell them: of the
        `meetings` (account_id, meeting_id) the personal meeting ids of their hosts and the meetings whose instances
        ran under them, of the `instances` (account_id, uuid) both numbers. The statement returns all that is held.
        """

    @abstractmethod
    def hold_drains(self, connection: Connection) -> None:
        """Hold every drain until the end of this transaction, so that the tables stand still."""

    @abstractmethod
    def hold_migrations(self, connection: Connection) -> None:
        """Let one migration run at a time."""

    @abstractmethod
    def live_schema(self, connection: Connection) -> str:
        """Where the tables live that everybody sees."""

    @abstractmethod
    def make_shadow(self, connection: Connection, table: str) -> None:
        """Make an empty temporary table like this one, with its indexes."""

    @abstractmethod
    def mentions(self, columns: Sequence[str]) -> str:
        """A condition: any of these columns mentions the text of the parameter, which is in lower case."""

    @abstractmethod
    def second_of(self, column: str) -> str:
        """A moment cut to its second."""

    @abstractmethod
    def bytes_of(self, column: str) -> str:
        """How many bytes a text has, told without reading it where the database can."""

    @abstractmethod
    def commit_marker(self) -> str:
        """A query whose answer differs after every commit of anybody."""

    @abstractmethod
    def now(self, connection: Connection) -> datetime:
        """What the database's clock shows: for Postgres the server's, for SQLite this machine's."""

    @abstractmethod
    def version(self, connection: Connection) -> str:
        """The database in words."""

    @abstractmethod
    def scrub(self, url: URL, engine: Engine, words: Iterable[str]) -> str | None:
        """Take what was just erased (`words`: the addresses) out of files and logs; says what may be left, if any."""

    @abstractmethod
    def log_bytes(self, url: URL) -> int | None:
        """How long the log is that waits for readers to let go; None where readers hold none up."""

    @abstractmethod
    def trim_log(self, url: URL) -> bool:
        """Cut that log if nobody holds it; says whether it is short."""

    @abstractmethod
    def disk(self, url: URL) -> Disk | None:
        """The disk of the database's file; None where the file is a server's."""

    @abstractmethod
    def refuses_writes(self, connection: Connection) -> str | None:
        """Why nothing can be written, in words; None when that is not known."""

    @abstractmethod
    def comment_on(self, kind: str, name: str, comment: str) -> str | None:
        """A statement that says what a view or a column holds; None where comments are not kept."""

    def run(self, connection: Connection, query: str, values: Values = ()) -> Found:
        """The rows of one statement; its values are those of rows, moments included."""
        text, parameters = self.for_driver(query, values)
        found = connection.exec_driver_sql(text, parameters or None)
        return [tuple(row) for row in found] if found.returns_rows else []

    def for_driver(self, query: str, values: Values) -> tuple[str, tuple[Any, ...]]:
        """A statement and its values as the driver takes them, for SQLAlchemy to run."""
        return self.driver_query(query), tuple(self.parameter(value) for value in values)

    def driver_query(self, query: str) -> str:
        """A statement with the driver's placeholders."""
        return query

    def is_session_shared(self, connection: Connection) -> bool:
        """Whether a pooler gives the session to others after each transaction."""
        return False

    def prepare_scratch(self, connection: Connection, is_open: bool) -> None:  # noqa: B027 - most need nothing
        """Let a reading connection make temporary tables, or stop letting it."""

    def literal(self, query: str) -> str:
        """A statement without parameters, as the driver takes it literally."""
        return query


class Sqlite(Dialect):
    """SQLite: one file, one writer, moments as text."""

    name = "sqlite"
    has_one_writer = True
    differs = "IS NOT"
    ordered_join = "CROSS JOIN"
    greatest = "max"
    shadow_schema = "temp"
    claim_lock = update_lock = ""
    view_words: ClassVar[Mapping[str, str]] = {
        "then_join": "CROSS JOIN",
        "look_up": "LEFT JOIN",
        "look_up_by": "ON",
        "looked_up": "",
        "separately": "",
        "now": "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
        "for_ever": "'9999-12-31T00:00:00.000000Z'",
        "planned_end": (
            "strftime('%Y-%m-%dT%H:%M:%f000Z', o.scheduled_start, "
            "'+' || COALESCE(o.duration_minutes, 60) || ' minutes')"
        ),
        "minutes": (
            "round(COALESCE(sum((julianday(COALESCE(p.left_at, 'now')) - julianday(p.counts_from)) * 86400.0), 0) "
            "/ 60.0, 2)"
        ),
        "seconds": (
            "round(COALESCE(sum((julianday(COALESCE(p.left_at, 'now')) - julianday(p.counts_from)) * 86400.0), 0.0), 3)"
        ),
        "any_open": "max(p.joined_at IS NOT NULL AND p.left_at IS NULL)",
        "as_flag_open": "max(",
        "as_flag_close": ")",
    }

    def open(self, url: URL, durable: bool, statement_seconds: float | None) -> tuple[Engine, Engine]:
        if url.database in {None, "", ":memory:"}:
            raise ConfigurationError(
                "DATABASE_URL names no file. A database in memory cannot be shared by web and worker; "
                "use for example sqlite:///joinlog.db"
            )
        return open_sqlite(url, durable, read_only=False), open_sqlite(url, durable, read_only=True)

    def open_standby(self, url: URL, statement_seconds: float | None) -> Engine:
        raise ConfigurationError("DATABASE_READ_URL names a standby, and a SQLite file has none.", "Leave it unset.")

    def behind_seconds(self, connection: Connection) -> float | None:
        return None

    def parameter(self, value: Any) -> Any:
        return utc_text(value) if isinstance(value, datetime) else value

    def run_all(self, connection: Connection, statements: Sequence[Statement]) -> list[Found]:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        found: list[Found] = []
        for query, values, is_repeated in statements:
            with _told_as_database_error(connection, query, sqlite3.Error):
                cursor = raw.executemany(query, values) if is_repeated else raw.execute(query, values)
                found.append(cursor.fetchall())
        return found

    def select_by(self, columns: str, table: str, keys: Mapping[str, str], where: str = "") -> str:
        same = " AND ".join(f"t.{name} = json_extract(wanted.value, '$[{place}]')" for place, name in enumerate(keys))
        return f"SELECT {columns} FROM json_each(?) AS wanted CROSS JOIN {table} t WHERE {same} {where}"

    def pack_keys(self, keys: Mapping[str, str], wanted: Iterable[Values]) -> str:
        if "moment" in keys.values():
            wanted = [tuple(self.parameter(value) for value in key) for key in wanted]
        return _encode(list(wanted)).decode()

    def upsert(self, table: str, columns: Mapping[str, str], conflict: str, rows: Sequence[Values]) -> Statement:
        moments = [place for place, kind in enumerate(columns.values()) if kind == "moment"]
        values = list(_with_texts(rows, moments)) if moments else rows
        marks = ", ".join("?" * len(columns))
        return Statement(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) {conflict}", values, True)

    def delete_by(self, table: str, keys: Mapping[str, str], wanted: Sequence[Values]) -> Statement:
        same = " AND ".join(f"{name} = ?" for name in keys)
        values = [tuple(self.parameter(value) for value in key) for key in wanted]
        return Statement(f"DELETE FROM {table} WHERE {same}", values, True)

    def update_by(
        self, table: str, sets: str, keys: Mapping[str, str], wanted: Sequence[Values], values: Values, where: str = ""
    ) -> Statement:
        same = " AND ".join(f"{name} = ?" for name in keys)
        shared = tuple(self.parameter(value) for value in values)
        rows = [(*shared, *(self.parameter(value) for value in key)) for key in wanted]
        return Statement(f"UPDATE {table} SET {sets} WHERE {same} {where}", rows, True)

    def number_changes(self, groups: Sequence[ChangedRows], now: datetime, closed: Sequence[Values]) -> list[Statement]:
        moment = utc_text(now)
        insert = "INSERT INTO change (seq, changed_at, account_id, table_name, row_key, operation) "
        count = Statement("UPDATE change_head SET seq = max(seq, (SELECT COALESCE(max(c.seq), 0) FROM change c))")
        statements = [Statement("INSERT OR IGNORE INTO change_head (account_id, seq) VALUES ('', 0)")]
        for account_id, table, operation, keys in groups:  # each in one statement: it has one list to take apart
            query = "SELECT head.seq + k.key + 1, ?, ?, ?, k.value, ? FROM change_head head, json_each(?) k"
            values = (moment, account_id, table, operation, _encode(keys).decode())
            statements += [Statement(insert + query, values), count]
        if closed:
            query = (
                "SELECT head.seq + row_number() OVER (), ?, p.account_id, 'participant', "
                "json_array(p.uuid, p.connection_id, p.first_seen_at), 'upsert' FROM change_head head, json_each(?) w "
                "CROSS JOIN participant p WHERE p.account_id = json_extract(w.value, '$[0]') "
                "AND p.uuid = json_extract(w.value, '$[1]') AND p.updated_at = ?"
            )
            statements += [Statement(insert + query, (moment, _encode(closed).decode(), moment)), count]
        return statements

    def make_durable(self, url: URL, engine: Engine) -> None:
        with contextlib.suppress(FileNotFoundError), open(f"{url.database}-wal", "rb") as log:
            os.fsync(log.fileno())

    def amend(
        self, table: str, keys: Mapping[str, str], columns: Mapping[str, str], rows: Sequence[Values]
    ) -> Statement:
        moments = [place for place, kind in enumerate((*columns.values(), *keys.values())) if kind == "moment"]
        sets, same = (mark.join(f"{name} = ?" for name in names) for mark, names in ((", ", columns), (" AND ", keys)))
        return Statement(f"UPDATE {table} SET {sets} WHERE {same}", list(_with_texts(rows, moments)), True)

    def hold_meetings(
        self, buckets: Iterable[int], meetings: Iterable[Values], instances: Iterable[Values]
    ) -> list[Statement]:
        return []  # there is one writer anyway

    def hold_drains(self, connection: Connection) -> None:
        self.run(connection, "UPDATE main.alembic_version SET version_num = version_num")  # takes the write lock

    def hold_migrations(self, connection: Connection) -> None:
        return None

    def live_schema(self, connection: Connection) -> str:
        return "main"

    def make_shadow(self, connection: Connection, table: str) -> None:
        rows = self.run(
            connection,
            "SELECT type, name, sql FROM main.sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC",
            (table,),
        )
        for kind, name, made in rows:
            if kind == "table":
                self.run(connection, made.replace(f"CREATE TABLE {table}", f"CREATE TEMP TABLE {table}", 1))
            else:
                self.run(connection, made.replace(f"INDEX {name}", f"INDEX temp.{name}", 1))

    def mentions(self, columns: Sequence[str]) -> str:
        words = " || char(10) || ".join(f"coalesce({name}, '')" for name in columns)
        return f"instr(lower({words}), ?) > 0"

    def second_of(self, column: str) -> str:
        return f"substr({column}, 1, 19) || 'Z'"

    def bytes_of(self, column: str) -> str:
        return f"length(CAST({column} AS BLOB))"

    def commit_marker(self) -> str:
        return "PRAGMA data_version"  # counts commits of others, for one connection

    def now(self, connection: Connection) -> datetime:
        return datetime.now(UTC)

    def version(self, connection: Connection) -> str:
        return f"SQLite {self.run(connection, 'SELECT sqlite_version()')[0][0]}"

    def scrub(self, url: URL, engine: Engine, words: Iterable[str]) -> str | None:
        path, wanted = Path(url.database or ""), list(words)
        if not truncate_wal(path):
            return (
                f"A reader holds the log of {path.name}: what was erased stays in {path.name} and {path.name}-wal "
                "until it lets go. Close long queries, and erase again."
            )
        if not count_in_files(path, wanted) or (compact(path) and not count_in_files(path, wanted)):
            return None
        return (
            f"{path.name} still reads like the address in places: copies in free space that an older version left, or "
            f"somebody whose address contains it. To be sure, stop Joinlog and run `sqlite3 {path.name} VACUUM`."
        )

    def log_bytes(self, url: URL) -> int | None:
        return wal_bytes(Path(url.database or ""))

    def trim_log(self, url: URL) -> bool:
        path = Path(url.database or "")
        return wal_bytes(path) <= WAL_BYTES_KEPT or truncate_wal(path, 0.0)

    def disk(self, url: URL) -> Disk | None:
        usage = shutil.disk_usage(Path(url.database or "").resolve().parent)
        return Disk(usage.free, usage.total)

    def refuses_writes(self, connection: Connection) -> str | None:
        (path,) = (Path(name) for _, schema, name in self.run(connection, "PRAGMA database_list") if schema == "main")
        is_open = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        return None if is_open else f"{path.name} or its folder is read-only"

    def comment_on(self, kind: str, name: str, comment: str) -> str | None:
        return None

    def prepare_scratch(self, connection: Connection, is_open: bool) -> None:
        """SQLite's readers cannot write, not even to temporary tables, unless they are let."""
        connection.exec_driver_sql(f"PRAGMA query_only={0 if is_open else 1}")
        connection.commit()


class Postgres(Dialect):
    """Postgres 13 or later: many writers, advisory locks, rows in one JSON parameter."""

    name = "postgresql"
    has_one_writer = False
    differs = "IS DISTINCT FROM"
    ordered_join = "JOIN"
    greatest = "GREATEST"
    shadow_schema = "pg_temp"
    claim_lock = "FOR UPDATE SKIP LOCKED"
    update_lock = "FOR UPDATE"
    view_words: ClassVar[Mapping[str, str]] = {
        "then_join": "JOIN",
        # Without statistics Postgres takes a meeting for one row, and reads all of it once for each row of another one.
        "look_up": "LEFT JOIN LATERAL (SELECT * FROM",
        "look_up_by": "WHERE",
        "looked_up": "OFFSET 0) AS g ON TRUE",
        "separately": "OFFSET 0",
        "now": "now()",
        "for_ever": "timestamptz '9999-12-31 00:00:00Z'",
        "planned_end": "o.scheduled_start + COALESCE(o.duration_minutes, 60) * interval '1 minute'",
        "minutes": (
            "round((COALESCE(sum(extract(epoch FROM COALESCE(p.left_at, now()) - p.counts_from)), 0) / 60.0)::numeric, "
            "2)::double precision"
        ),
        "seconds": (
            "round(COALESCE(sum(extract(epoch FROM COALESCE(p.left_at, now()) - p.counts_from)), 0)::numeric, "
            "3)::double precision"
        ),
        "any_open": "bool_or(p.joined_at IS NOT NULL AND p.left_at IS NULL)",
        "as_flag_open": "bool_or(",
        "as_flag_close": ")",
    }
    _types: ClassVar[Mapping[str, str]] = {"moment": "timestamptz"}

    def open(self, url: URL, durable: bool, statement_seconds: float | None) -> tuple[Engine, Engine]:
        engine = open_postgres(url, durable, statement_seconds)
        return engine, engine

    def open_standby(self, url: URL, statement_seconds: float | None) -> Engine:
        if dialect_for(url) is not self:
            raise ConfigurationError("DATABASE_READ_URL must name a standby of the Postgres that DATABASE_URL names.")
        return open_postgres(url, True, statement_seconds)

    def behind_seconds(self, connection: Connection) -> float | None:
        """While it receives, what it has applied of that is all there is; else the age of what it applied last.

        https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL
        """
        query = (
            "SELECT CASE WHEN NOT pg_is_in_recovery() THEN NULL WHEN EXISTS (SELECT 1 FROM pg_stat_wal_receiver) "
            "AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0.0 "
            "ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::double precision"
        )
        ((seconds,),) = self.run(connection, query)
        return cast(float | None, seconds)

    def parameter(self, value: Any) -> Any:
        return value.astimezone(UTC) if isinstance(value, datetime) else value

    def run_all(self, connection: Connection, statements: Sequence[Statement]) -> list[Found]:
        raw = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        error = connection.dialect.loaded_dbapi.Error
        if len(statements) == 1:
            with _told_as_database_error(connection, statements[0].query, error):
                return [_rows_of(_send(raw, statements[0]))]
        with _told_as_database_error(connection, "several statements", error):
            with raw.pipeline():
                cursors = [_send(raw, statement) for statement in statements]
            if self.is_session_shared(connection):
                # After a pipeline through PgBouncer (seen with 1.18) Postgres ends no transaction in which nobody says
                # anything, until a plain statement came.
                raw.execute("SELECT 1")
            return [_rows_of(cursor) for cursor in cursors]

    def select_by(self, columns: str, table: str, keys: Mapping[str, str], where: str = "") -> str:
        source = self.recordset(keys, "wanted")
        return f"SELECT {columns} FROM {table} t JOIN {source} USING ({', '.join(keys)}) WHERE TRUE {where}"

    def pack_keys(self, keys: Mapping[str, str], wanted: Iterable[Values]) -> str:
        return self.pack(keys, wanted)

    def upsert(self, table: str, columns: Mapping[str, str], conflict: str, rows: Sequence[Values]) -> Statement:
        names = ", ".join(columns)
        query = f"INSERT INTO {table} ({names}) SELECT {names} FROM {self.recordset(columns, 'given')} {conflict}"
        return Statement(query, (self.pack(columns, rows),))

    def delete_by(self, table: str, keys: Mapping[str, str], wanted: Sequence[Values]) -> Statement:
        same = " AND ".join(f"t.{name} = gone.{name}" for name in keys)
        query = f"DELETE FROM {table} t USING {self.recordset(keys, 'gone')} WHERE {same}"
        return Statement(query, (self.pack(keys, wanted),))

    def update_by(
        self, table: str, sets: str, keys: Mapping[str, str], wanted: Sequence[Values], values: Values, where: str = ""
    ) -> Statement:
        same = " AND ".join(f"t.{name} = meant.{name}" for name in keys)
        query = f"UPDATE {table} t SET {sets} FROM {self.recordset(keys, 'meant')} WHERE {same} {where}"
        return Statement(query, (*(self.parameter(value) for value in values), self.pack(keys, wanted)))

    def recordset(self, columns: Mapping[str, str], alias: str) -> str:
        """A FROM item of these columns (name to kind), to be given what `pack` made.

        One text, written by msgspec and taken apart in Postgres, costs Python a tenth of an array per column, and the
        whole statement half the time (measured).
        """
        named = ", ".join(f"{name} {self._types.get(kind, kind)}" for name, kind in columns.items())
        return f"json_to_recordset(?) AS {alias}({named})"

    def pack(self, columns: Mapping[str, str], rows: Iterable[Values]) -> str:
        """Rows of values as the one parameter that `recordset` unpacks."""
        return _encode([dict(zip(columns, row, strict=True)) for row in rows]).decode()

    def amend(
        self, table: str, keys: Mapping[str, str], columns: Mapping[str, str], rows: Sequence[Values]
    ) -> Statement:
        given = {**columns, **keys}
        sets = ", ".join(f"{name} = given.{name}" for name in columns)
        same = " AND ".join(f"t.{name} = given.{name}" for name in keys)
        query = f"UPDATE {table} t SET {sets} FROM {self.recordset(given, 'given')} WHERE {same}"
        return Statement(query, (self.pack(given, rows),))

    def number_changes(self, groups: Sequence[ChangedRows], now: datetime, closed: Sequence[Values]) -> list[Statement]:
        count = sum(len(group.keys) for group in groups)
        found, more, also, values = "", "", "", (count, count, now, _packed_changes(groups))
        if closed:
            found = (
                "closed AS (SELECT p.account_id, json_build_array(p.uuid, p.connection_id, "
                "to_char(p.first_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))::text AS row_key "
                "FROM json_array_elements(?) w JOIN participant p ON p.account_id = w->>0 AND p.uuid = w->>1 "
                "WHERE p.updated_at = ?), "
            )
            more = "(SELECT count(*) FROM closed)"
            also = (
                f"UNION ALL SELECT head.seq - {more} + row_number() OVER (), ?::timestamptz, c.account_id, "
                "'participant', c.row_key, 'upsert' FROM closed c, head"
            )
            values = (_encode(closed).decode(), now, *values, now)  # type: ignore[assignment]
        query = (
            f"WITH {found}head AS (INSERT INTO change_head AS h (account_id, seq) "
            f"VALUES ('', ?{more and f' + {more}'}) ON CONFLICT (account_id) DO UPDATE "
            "SET seq = h.seq + excluded.seq RETURNING h.seq, h.notifies), "
            "fed AS (INSERT INTO change (seq, changed_at, account_id, table_name, row_key, operation) "
            f'SELECT head.seq{more and f" - {more}"} - ? + g.first + k.place, ?::timestamptz, g.account, g."of", '
            "k.row_key::text, g.operation FROM head, json_to_recordset(?) "
            'AS g(account text, "of" text, operation text, first bigint, keys json), '
            f"json_array_elements(g.keys) WITH ORDINALITY AS k(row_key, place) {also}) "
            "SELECT pg_notify('joinlog_change', head.seq::text) FROM head WHERE head.notifies"
        )
        return [Statement(query, values)]

    def make_durable(self, url: URL, engine: Engine) -> None:
        # A commit that waits for its own place in the log waits for all before it. The message itself says nothing.
        with engine.begin() as connection:
            self.run(connection, "SET LOCAL synchronous_commit = on")
            self.run(connection, "SELECT pg_logical_emit_message(true, 'joinlog', '')")

    def hold_meetings(
        self, buckets: Iterable[int], meetings: Iterable[Values], instances: Iterable[Values]
    ) -> list[Statement]:
        numbers, uuids = {"account_id": "text", "meeting_id": "bigint"}, {"account_id": "text", "uuid": "text"}
        named = self.recordset(numbers, "named")
        query = (
            "SELECT pg_advisory_xact_lock_shared(?, ?), (SELECT array_agg(bucket) FROM ("
            "SELECT bucket, pg_advisory_xact_lock(?, bucket)::text AS held "
            f"FROM ({self._buckets(named, uuids)}) AS wanted) AS locked WHERE held IS NOT NULL)"
        )
        packed = self.pack(numbers, meetings)
        values = (LOCK_SPACE, DRAIN_LOCK, LOCK_SPACE, sorted(set(buckets)), packed, packed, self.pack(uuids, instances))
        return [Statement(query, values)]

    def _buckets(self, named: str, uuids: Mapping[str, str]) -> str:
        """A query for what to hold, in order."""
        return (
            "SELECT unnest(?::int[]) AS bucket "
            f"UNION SELECT mod(m.pmi, {MEETING_BUCKETS})::int FROM meeting m "
            f"JOIN {named} USING (account_id, meeting_id) WHERE m.pmi IS NOT NULL "
            f"UNION SELECT mod(i.meeting_id, {MEETING_BUCKETS})::int FROM {named} JOIN instance i "
            "ON i.account_id = named.account_id AND i.ran_under = named.meeting_id "
            f"UNION SELECT mod(number, {MEETING_BUCKETS})::int FROM {self.recordset(uuids, 'ran')} "
            "JOIN instance i USING (account_id, uuid) "
            "CROSS JOIN LATERAL (VALUES (i.meeting_id), (i.ran_under)) AS numbers(number) WHERE number IS NOT NULL "
            "ORDER BY bucket"
        )

    def hold_drains(self, connection: Connection) -> None:
        self.run(connection, "SELECT pg_advisory_xact_lock(?, ?)", (LOCK_SPACE, DRAIN_LOCK))

    def hold_migrations(self, connection: Connection) -> None:
        self.run(connection, "SELECT pg_advisory_xact_lock(?)", (MIGRATION_LOCK,))

    def live_schema(self, connection: Connection) -> str:
        return str(self.run(connection, "SELECT quote_ident(current_schema())")[0][0])

    def make_shadow(self, connection: Connection, table: str) -> None:
        live = self.live_schema(connection)
        self.run(connection, f"CREATE TEMP TABLE {table} (LIKE {live}.{table} INCLUDING ALL)")

    def mentions(self, columns: Sequence[str]) -> str:
        return f"strpos(lower(concat_ws(chr(10), {', '.join(columns)})), ?) > 0"

    def second_of(self, column: str) -> str:
        return f"date_trunc('second', {column})"

    def bytes_of(self, column: str) -> str:
        return f"octet_length({column})"

    def commit_marker(self) -> str:
        return "SELECT pg_current_snapshot()"  # names the transactions in progress and the next to come

    def now(self, connection: Connection) -> datetime:
        ((moment,),) = self.run(connection, "SELECT clock_timestamp()")
        return cast(datetime, moment)

    def version(self, connection: Connection) -> str:
        return f"PostgreSQL {self.run(connection, 'SHOW server_version')[0][0]}"

    def scrub(self, url: URL, engine: Engine, words: Iterable[str]) -> str | None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in ERASED_IN:
                connection.exec_driver_sql(f"VACUUM {table}")
        return (
            "Postgres: the erased rows are vacuumed unless somebody holds an older snapshot. Their bytes may stay in "
            "free space until it is used again, and in WAL until its segments are recycled; `VACUUM FULL` rewrites "
            "the tables."
        )

    def log_bytes(self, url: URL) -> int | None:
        return None

    def trim_log(self, url: URL) -> bool:
        return True

    def disk(self, url: URL) -> Disk | None:
        return None

    def refuses_writes(self, connection: Connection) -> str | None:
        query = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')"
        ((is_standby, is_read_only),) = self.run(connection, query)
        if is_standby:
            return "The database is a standby, which is read-only"
        return "The database is read-only" if is_read_only == "on" else None

    def is_session_shared(self, connection: Connection) -> bool:
        from schema.store.postgres_session import is_pooled  # its driver is 10 MiB, which SQLite need not pay

        return is_pooled(connection)

    def prepare_scratch(self, connection: Connection, is_open: bool) -> None:
        """Temporary tables live as long as a session, which a pooler gives to others after each transaction."""
        if is_open and self.is_session_shared(connection):
            raise ConfigurationError(
                "DATABASE_URL leads through a pooler that gives a session to others after each transaction, and this "
                "command needs one of its own.",
                "Name the server itself for it: DATABASE_URL=postgresql://user@server:5432/name joinlog ...",
            )

    def comment_on(self, kind: str, name: str, comment: str) -> str | None:
        quoted = comment.replace("'", "''")
        return f"COMMENT ON {kind} {name} IS '{quoted}'"

    def driver_query(self, query: str) -> str:
        return _driver_query(query)

    def literal(self, query: str) -> str:
        return query.replace("%", "%%")  # psycopg takes a lone % for a placeholder


DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (Sqlite(), Postgres())}


def dialect_of(connection: Connection) -> Dialect:
    """The dialect a connection speaks."""
    return DIALECTS[connection.dialect.name]


def dialect_for(url: URL) -> Dialect:
    """The dialect of the database a URL names."""
    return DIALECTS[url.get_backend_name()]


def run(connection: Connection, query: str, values: Values = ()) -> Found:
    """The rows of one statement, whose parameters are written `?`. Raises sqlalchemy.exc.DBAPIError."""
    return dialect_of(connection).run(connection, query, values)


def marks(values: Values) -> str:
    """As many parameters as there are values."""
    return ", ".join("?" * len(values))


def read_url(url: str) -> URL:
    """Read any spelling of a SQLite or Postgres URL, with the driver Joinlog uses. Raises ConfigurationError."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigurationError("DATABASE_URL must look like sqlite:///joinlog.db or postgresql://user@host/name")
    named = scheme.split("+")[0]
    if named in {"postgres", Postgres.name}:
        return _with_hosts(f"postgresql+psycopg://{rest}")
    if named == Sqlite.name:
        return make_url(f"sqlite://{rest}")
    raise ConfigurationError(f"DATABASE_URL names {named!r}; Joinlog keeps its tables in sqlite or postgresql")


def _with_hosts(url: str) -> URL:
    """A URL as libpq has it, which may name several hosts: they are tried in turn.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
    """
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    if "," not in hosts:
        return make_url(url)
    return make_url(f"{scheme}://{user}{at}{slash}{path}").update_query_dict({"host": hosts.split(",")})


@cache
def _driver_query(query: str) -> str:
    return query.replace("?", "%s")


def _send(raw: psycopg.Connection[Any], statement: Statement) -> psycopg.Cursor[Any]:
    cursor = raw.cursor()
    if statement.is_repeated:
        cursor.executemany(_driver_query(statement.query), statement.values)
    else:
        cursor.execute(_driver_query(statement.query), statement.values or None)
    return cursor


def _rows_of(cursor: psycopg.Cursor[Any]) -> Found:
    return cursor.fetchall() if cursor.description is not None else []


def _packed_changes(groups: Sequence[ChangedRows]) -> str:
    """Changes as one parameter; a group says how many stand before it."""
    packed, before = [], 0
    for account_id, table, operation, keys in groups:
        packed.append({"account": account_id, "of": table, "operation": operation, "first": before, "keys": keys})
        before += len(keys)
    return _encode(packed).decode()


def _with_texts(rows: Sequence[Values], moments: Sequence[int]) -> Iterator[list[Any]]:
    """Rows with their moments as text; how one is written is remembered, for most rows of a batch share several."""
    texts: dict[datetime, str] = {}
    for row in rows:
        values = list(row)
        for place in moments:
            moment = values[place]
            if moment is not None:
                written = texts.get(moment)
                if written is None:
                    written = texts[moment] = utc_text(moment)
                values[place] = written
        yield values


@contextmanager
def _told_as_database_error(connection: Connection, query: str, errors: type[Exception]) -> Iterator[None]:
    """Raise what a driver raises as SQLAlchemy does, without the values of any row; a broken connection is given up."""
    try:
        yield
    except errors as error:
        dbapi = connection.dialect.loaded_dbapi
        is_broken = connection.dialect.is_disconnect(error, connection.connection.dbapi_connection, None)  # type: ignore[arg-type]
        if is_broken:
            connection.invalidate(error)
        raise DBAPIError.instance(
            query,
            None,
            error,
            dbapi.Error,
            hide_parameters=True,
            connection_invalidated=is_broken,
            dialect=connection.dialect,
        ) from error
