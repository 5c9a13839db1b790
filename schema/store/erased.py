"""Who was erased, as keyed hashes, so that what Zoom's API tells later does not bring them back.

The key is random and stands in the same table: it is as old as the hashes, goes into the same backups, and a changed
`SECRET_KEY`, after which nobody could be told again, does not end it. Whoever has the database can try an address, and
learns no more than that it was erased.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.store.codec import key_kinds, kinds_of
from schema.store.database import Database
from schema.store.dialect import Dialect, Statement, as_moment, dialect_of, run
from schema.zoom.erased import EVERYBODY, Identifier, Leaving, digest, identifiers_in

_TABLE = "erased_identifier"
_SECRET = "secret"  # noqa: S105 - the name of a kind of row
_OF_A_PERSON = ""
_NOTE = (
    "ON CONFLICT (account_id, kind, digest) DO UPDATE SET erased_at = excluded.erased_at, "
    "updated_at = excluded.updated_at"
)


class Erasures(NamedTuple):
    """The key of the hashes, and when anybody was last erased: None while nobody was."""

    key: bytes
    last_at: datetime | None


class Told(NamedTuple):
    """A document of Zoom's, the instance it is about, and when it was told if it does not say so itself."""

    document: Any
    uuid: str | None
    told_at: datetime | None = None


class ErasedMeanwhile(Exception):
    """Somebody was erased since it was looked who was: look again."""


class LeftOut(NamedTuple):
    """What an answer was left without, and as of which erasures; `learned` are further identifiers of those people."""

    erasures: Erasures
    learned: Mapping[Identifier, datetime]

    def hold(self, connection: Connection) -> None:
        """Raise ErasedMeanwhile if anybody was erased since; until the end of this transaction nobody can be."""
        if _erasures(connection, dialect_of(connection).update_lock) != self.erasures:
            raise ErasedMeanwhile

    def noting(self, dialect: Dialect, now: datetime) -> list[Statement]:
        """The statement that remembers what was learned, if anything was."""
        return [_noting(dialect, self.erasures.key, self.learned, now)] if self.learned else []


def leave_out(
    database: Database, account_id: str, documents: Sequence[Told], now: datetime
) -> tuple[list[Any], LeftOut]:
    """These documents of one account without who was erased; None for one that is about nobody else."""
    erasures = read_erasures(database, now)
    if erasures.last_at is None:
        return [told.document for told in documents], LeftOut(erasures, {})
    shown = {one for told in documents for one in identifiers_in(told.document, told.uuid)}
    with database.read() as connection:
        erased, everybody_at = _erased_among(connection, erasures.key, shown, account_id)
    leaving = Leaving(erased, everybody_at)
    left = [leaving.left_of(told.document, told.uuid, told.told_at) for told in documents]
    return left, LeftOut(erasures, leaving.learned)


def read_erasures(database: Database, now: datetime) -> Erasures:
    """Whether anybody was erased, and by which key they are told; draws it when there is none."""
    with database.read() as connection:
        found = _erasures(connection)
    if found is not None:
        return found
    with database.write() as connection:
        return _drawn(connection, now)


def _erased_among(
    connection: Connection, key: bytes, identifiers: Iterable[Identifier], account_id: str
) -> tuple[Mapping[Identifier, datetime], datetime | None]:
    """Those of these identifiers that were erased, and when; and when everybody in the account was, if ever."""
    dialect, kinds = dialect_of(connection), key_kinds(_TABLE)
    meant = {(_OF_A_PERSON, one[0], digest(key, one)): one for one in identifiers}
    wanted = [*meant, (account_id, EVERYBODY, "")]
    query = dialect.select_by("t.account_id, t.kind, t.digest, t.erased_at", _TABLE, kinds)
    erased: dict[Identifier, datetime] = {}
    everybody_at = None
    for *told, moment in dialect.run(connection, query, (dialect.pack_keys(kinds, wanted),)):
        at, found = as_moment(moment), meant.get((told[0], told[1], told[2]))
        if at is not None and found is not None:
            erased[found] = at
        elif told[1] == EVERYBODY:
            everybody_at = at
    return erased, everybody_at


def note_erased_identifiers(database: Database, identifiers: Collection[Identifier], now: datetime) -> None:
    """Remember a person by these identifiers, before they are taken out."""
    with database.write() as connection:
        key = _drawn(connection, now).key
        _note(connection, _noting(dialect_of(connection), key, dict.fromkeys(identifiers, now), now), now)


def note_erased_account(database: Database, account_id: str, now: datetime) -> None:
    """Remember that everybody in an account is erased, before they are taken out."""
    with database.write() as connection:
        _drawn(connection, now)
        _note(connection, _upsert(dialect_of(connection), [(account_id, EVERYBODY, "", now, now)]), now)


def _noting(dialect: Dialect, key: bytes, identifiers: Mapping[Identifier, datetime], now: datetime) -> Statement:
    rows = [(_OF_A_PERSON, one[0], digest(key, one), at, now) for one, at in sorted(identifiers.items())]
    return _upsert(dialect, rows)


def _note(connection: Connection, statement: Statement, now: datetime) -> None:
    run(connection, f"UPDATE {_TABLE} SET erased_at = ?, updated_at = ? WHERE kind = '{_SECRET}'", (now, now))
    dialect_of(connection).run_all(connection, [statement])


def _drawn(connection: Connection, now: datetime) -> Erasures:
    """The key; a new one when there is none."""
    if (found := _erasures(connection)) is not None:
        return found
    dialect_of(connection).hold_drains(connection)  # two processes that draw at once draw one, this once
    found = _erasures(connection)
    if found is None:
        row = (_OF_A_PERSON, _SECRET, secrets.token_hex(32), None, now)
        dialect_of(connection).run_all(connection, [_upsert(dialect_of(connection), [row])])
        found = _erasures(connection)
    assert found is not None
    return found


def _erasures(connection: Connection, lock: str = "") -> Erasures | None:
    query = f"SELECT digest, erased_at FROM {_TABLE} WHERE account_id = '' AND kind = '{_SECRET}' {lock}"
    found = run(connection, query)
    return Erasures(bytes.fromhex(found[0][0]), as_moment(found[0][1])) if found else None


def _upsert(dialect: Dialect, rows: Sequence[tuple[str, str, str, datetime | None, datetime]]) -> Statement:
    return dialect.upsert(_TABLE, kinds_of(_TABLE), _NOTE, rows)
