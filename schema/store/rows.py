"""Reading and writing many rows of one table in one round trip, on either database.

A row is a dict of column name to value: text, int, bool, aware datetime or None. Statements are made once per table
and dialect from `schema.tables`, so there is no object per row and no SQL compiled on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Boolean, Connection, Integer

from schema.tables import TABLES, UtcDateTime, utc_moment, utc_text

Row = dict[str, Any]
Key = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode


class _Shape(NamedTuple):
    """What a table looks like: its columns, its key, and the places of those that need translating in SQLite."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    postgres_types: Mapping[str, str]
    moments: tuple[int, ...]
    moment_names: frozenset[str]
    flags: tuple[int, ...]


@cache
def _shape(table: str) -> _Shape:
    columns = TABLES[table].columns
    return _Shape(
        columns=tuple(column.name for column in columns),
        key=tuple(column.name for column in TABLES[table].primary_key),
        postgres_types={column.name: _postgres_type(column.type) for column in columns},
        moments=tuple(place for place, column in enumerate(columns) if isinstance(column.type, UtcDateTime)),
        moment_names=frozenset(column.name for column in columns if isinstance(column.type, UtcDateTime)),
        flags=tuple(place for place, column in enumerate(columns) if isinstance(column.type, Boolean)),
    )


def _postgres_type(column_type: object) -> str:
    if isinstance(column_type, UtcDateTime):
        return "timestamptz"
    if isinstance(column_type, BigInteger):
        return "bigint"
    if isinstance(column_type, Integer):
        return "integer"
    return "boolean" if isinstance(column_type, Boolean) else "text"


def key_of(table: str, row: Mapping[str, Any]) -> Key:
    """The primary key of a row, in the order of the table's key."""
    return _key_getter(table)(row)


@cache
def _key_getter(table: str) -> Callable[[Mapping[str, Any]], Key]:
    names = _shape(table).key
    if len(names) == 1:
        return lambda row: (row[names[0]],)
    return itemgetter(*names)


def is_postgres(connection: Connection) -> bool:
    """Which of the two dialects a connection speaks."""
    return connection.dialect.name == "postgresql"


def read_rows(connection: Connection, table: str, keys: Iterable[Key], by: Sequence[str] = ()) -> list[Row]:
    """Read the rows whose columns `by` (the primary key unless told) equal one of `keys`; one round trip."""
    wanted = list(keys)
    if not wanted:
        return []
    shape = _shape(table)
    names = tuple(by) or shape.key
    if is_postgres(connection):
        found = connection.exec_driver_sql(_postgres_read(table, names), (packed(names, wanted),))
        return [dict(zip(shape.columns, values, strict=True)) for values in found.fetchall()]
    if any(name in shape.moment_names for name in names):
        wanted = [tuple(_sqlite_value(value) for value in key) for key in wanted]
    values = _encode(wanted).decode()
    found = connection.exec_driver_sql(_sqlite_read(table, names), (values,))
    return [from_sqlite(table, row) for row in found.fetchall()]


def write_rows(connection: Connection, table: str, rows: Sequence[Row], *, keep_existing: bool = False) -> None:
    """Insert rows, or replace every column of those whose key exists; one round trip.

    With `keep_existing` a row whose key exists stays as it is. Columns a row does not name become null.
    """
    if not rows:
        return
    shape = _shape(table)
    if is_postgres(connection):
        connection.exec_driver_sql(_postgres_write(table, keep_existing), (_encode(rows).decode(),))
        return
    texts: dict[datetime, str] = {}
    values = [_to_sqlite(shape, row, texts) for row in rows]
    connection.exec_driver_sql(_sqlite_write(table, keep_existing), values)


def delete_rows(connection: Connection, table: str, keys: Sequence[Key]) -> None:
    """Delete the rows with these primary keys; one round trip."""
    if not keys:
        return
    names = _shape(table).key
    if is_postgres(connection):
        connection.exec_driver_sql(_postgres_delete(table), (packed(names, keys),))
        return
    condition = " AND ".join(f"{name} = ?" for name in names)
    connection.exec_driver_sql(
        f"DELETE FROM {table} WHERE {condition}",
        [tuple(_sqlite_value(value) for value in key) for key in keys],
    )


def from_sqlite(table: str, values: Sequence[Any]) -> Row:
    """Turn SQLite's values of a whole row into Joinlog's: aware moments, real booleans."""
    shape = _shape(table)
    translated = list(values)
    for place in shape.moments:
        if translated[place] is not None:
            translated[place] = datetime.fromisoformat(translated[place])
    for place in shape.flags:
        if translated[place] is not None:
            translated[place] = bool(translated[place])
    return dict(zip(shape.columns, translated, strict=True))


def _to_sqlite(shape: _Shape, row: Row, texts: dict[datetime, str]) -> tuple[Any, ...]:
    """`texts` remembers how moments are written: most rows of a batch share several."""
    values = [row.get(name) for name in shape.columns]
    for place in shape.moments:
        moment = values[place]
        if moment is not None:
            text = texts.get(moment)
            if text is None:
                text = texts[moment] = utc_text(moment)
            values[place] = text
    return tuple(values)


def _sqlite_value(value: Any) -> Any:
    return utc_text(value) if isinstance(value, datetime) else value


def columns_of(table: str, alias: str = "") -> str:
    """The columns of a table, comma-separated, as `read_rows` returns them."""
    dot = f"{alias}." if alias else ""
    return ", ".join(dot + name for name in _shape(table).columns)


def moment_parameter(connection: Connection, moment: datetime) -> Any:
    """A moment as a bare parameter of a driver-level statement."""
    return moment.astimezone(UTC) if is_postgres(connection) else utc_text(moment)


def bare_value(connection: Connection, value: Any) -> Any:
    """Any value of a row as a bare parameter of a driver-level statement."""
    return moment_parameter(connection, value) if isinstance(value, datetime) else value


def as_moment(value: Any) -> datetime | None:
    """A moment as a driver returned it: Postgres' as it is, SQLite's read from its text."""
    return utc_moment(value) if isinstance(value, str) else value


def packed(names: Iterable[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows of values as the one parameter that `recordset` unpacks in Postgres."""
    return _encode([dict(zip(names, row, strict=True)) for row in rows]).decode()


def recordset(columns: Mapping[str, str], alias: str) -> str:
    """A FROM item of these columns (name to type), to be given what `packed` made.

    One text, written by msgspec and taken apart in Postgres, costs Python a tenth of an array per column, and the
    whole statement half the time (measured).
    """
    return f"json_to_recordset(%s) AS {alias}({', '.join(f'{name} {kind}' for name, kind in columns.items())})"


def _recordset_of(table: str, names: Iterable[str], alias: str) -> str:
    types = _shape(table).postgres_types
    return recordset({name: types[name] for name in names}, alias)


@cache
def _postgres_read(table: str, names: tuple[str, ...]) -> str:
    wanted = _recordset_of(table, names, "wanted")
    return f"SELECT {columns_of(table, 't')} FROM {table} t JOIN {wanted} USING ({', '.join(names)})"


@cache
def _sqlite_read(table: str, names: tuple[str, ...]) -> str:
    condition = " AND ".join(f"t.{name} = json_extract(wanted.value, '$[{place}]')" for place, name in enumerate(names))
    return f"SELECT {columns_of(table, 't')} FROM json_each(?) AS wanted CROSS JOIN {table} t WHERE {condition}"


def _on_conflict(table: str, keep_existing: bool) -> str:
    shape = _shape(table)
    values = ", ".join(f"{name} = excluded.{name}" for name in shape.columns if name not in shape.key)
    action = "NOTHING" if keep_existing else f"UPDATE SET {values}"
    return f"ON CONFLICT ({', '.join(shape.key)}) DO {action}"


@cache
def _postgres_write(table: str, keep_existing: bool) -> str:
    columns = _shape(table).columns
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) "
        f"SELECT * FROM {_recordset_of(table, columns, 'given')} {_on_conflict(table, keep_existing)}"
    )


@cache
def _sqlite_write(table: str, keep_existing: bool) -> str:
    shape = _shape(table)
    marks = ", ".join("?" * len(shape.columns))
    return f"INSERT INTO {table} ({', '.join(shape.columns)}) VALUES ({marks}) {_on_conflict(table, keep_existing)}"


@cache
def _postgres_delete(table: str) -> str:
    names = _shape(table).key
    condition = " AND ".join(f"t.{name} = gone.{name}" for name in names)
    return f"DELETE FROM {table} t USING {_recordset_of(table, names, 'gone')} WHERE {condition}"
