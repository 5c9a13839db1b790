"""How a row of each table is written down, and read again: the only place where a row is not its type.

Stamps, joins, leaves and histories are JSON text in the tables; moments are text in SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Double, Integer

from schema.rows import KEY_COLUMNS, ROW_TYPES, STAMPED, Leave, PmiUse, ReportedStay, Row, StatusEntry
from schema.store.dialect import UtcDateTime
from schema.tables import TABLES

_to_json = msgspec.json.Encoder().encode
_read_leaves = msgspec.json.Decoder(tuple[Leave, ...]).decode
_read_history = msgspec.json.Decoder(tuple[StatusEntry, ...]).decode
_read_joins = msgspec.json.Decoder(tuple[int, ...]).decode
_read_reported = msgspec.json.Decoder(tuple[ReportedStay, ...]).decode
_read_pmi_uses = msgspec.json.Decoder(tuple[PmiUse, ...]).decode
_READERS: Mapping[str, Callable[[str], Any]] = {
    "joins": _read_joins,
    "leaves": _read_leaves,
    "reported": _read_reported,
    "pmi_uses": _read_pmi_uses,
    "history": lambda text: tuple(sorted(_read_history(text))),
}
NO_STAMPS: Mapping[str, int] = {}


@cache
def kinds_of(table: str) -> Mapping[str, str]:
    """The columns of a table and the kind of each: text, bigint, integer, boolean or moment."""
    return {column.name: _kind(column.type) for column in TABLES[table].columns}


@cache
def key_kinds(table: str) -> Mapping[str, str]:
    """The columns of its primary key, and the kind of each."""
    return {name: kinds_of(table)[name] for name in KEY_COLUMNS.get(table) or _primary_key(table)}


@cache
def columns_of(table: str) -> tuple[str, ...]:
    """The columns of a row, in the order of its type."""
    return ROW_TYPES[table].__struct_fields__


@cache
def selected(table: str, alias: str = "t") -> str:
    """The columns of a row as a query lists them, for `read_row`."""
    return ", ".join(f"{alias}.{name}" for name in columns_of(table))


@cache
def row_reader(table: str, moments_are_text: bool) -> Callable[[Iterable[Sequence[Any]]], list[Any]]:
    """A function from what a driver returned for `selected(table)` to rows of the table's type."""
    names = columns_of(table)
    kinds = kinds_of(table)
    made: Callable[..., Row] = ROW_TYPES[table]
    moments = [place for place, name in enumerate(names) if kinds[name] == "moment"] if moments_are_text else []
    flags = [place for place, name in enumerate(names) if kinds[name] == "boolean"] if moments_are_text else []
    coded = [(names.index(name), read) for name, read in _READERS.items() if name in names]
    stamps = names.index("stamps") if "stamps" in names else None
    if not (moments or flags or coded) and stamps is None:
        return lambda found: [made(*values) for values in found]
    stamped = [(name, names.index(name)) for name in STAMPED.get(table, ())]
    moment = datetime.fromisoformat

    def read(found: Iterable[Sequence[Any]]) -> list[Any]:
        rows = []
        for given in found:
            values = list(given)
            for place in moments:
                if values[place] is not None:
                    values[place] = moment(values[place])
            for place in flags:
                if values[place] is not None:
                    values[place] = bool(values[place])
            for place, decode in coded:
                text = values[place]
                values[place] = decode(text) if text else ()
            if stamps is not None:
                values[stamps] = _read_stamps(values[stamps], values, stamped)
            rows.append(made(*values))
        return rows

    return read


@cache
def row_writer(table: str) -> Callable[[Row, datetime], list[Any]]:
    """A function from a row and the time of its change to the values of the columns of `written_columns(table)`."""
    names = columns_of(table)
    coded = [names.index(name) for name in _READERS if name in names]
    stamps = names.index("stamps") if "stamps" in names else None
    places = {name: place for place, name in enumerate(names)}

    def write(row: Row, updated_at: datetime) -> list[Any]:
        values = list(msgspec.structs.astuple(row))
        for place in coded:
            values[place] = _to_json(values[place]).decode() if values[place] else None
        if stamps is not None:
            values[stamps] = _written_stamps(values[stamps], values, places)
        values.append(updated_at)
        return values

    return write


@cache
def written_columns(table: str) -> Mapping[str, str]:
    """The columns `row_writer` gives values for, and the kind of each."""
    kinds = kinds_of(table)
    return {name: kinds[name] for name in (*columns_of(table), "updated_at")}


def _written_stamps(stamps: Mapping[str, int], values: Sequence[Any], places: Mapping[str, int]) -> str | None:
    """One number when every value the row has was stated at the same time, else a JSON object."""
    if not stamps:
        return None
    times = set(stamps.values())
    if len(times) == 1 and all(values[places[column]] is not None for column in stamps):
        return str(times.pop())
    return _to_json(dict(sorted(stamps.items()))).decode()


def _read_stamps(written: str | None, values: Sequence[Any], stamped: Sequence[tuple[str, int]]) -> Mapping[str, int]:
    if not written:
        return NO_STAMPS
    if written.isdigit():
        stated_ms = int(written)
        return {name: stated_ms for name, place in stamped if values[place] is not None}
    stamps: dict[str, int] = msgspec.json.decode(written)
    return stamps


def _kind(column_type: object) -> str:
    if isinstance(column_type, UtcDateTime):
        return "moment"
    if isinstance(column_type, BigInteger):
        return "bigint"
    if isinstance(column_type, Integer):
        return "integer"
    if isinstance(column_type, Double):
        return "double precision"
    return "boolean" if isinstance(column_type, Boolean) else "text"


def _primary_key(table: str) -> tuple[str, ...]:
    return tuple(column.name for column in TABLES[table].primary_key)
