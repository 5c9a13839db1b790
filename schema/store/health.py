"""What tells whether Joinlog is well: reachability, migrations, the inbox's lag, Zoom's last validation."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.store.database import Database
from schema.store.dialect import as_moment, dialect_of, run

_NOTE_VALIDATION = (
    "INSERT INTO endpoint_validation (account_id, secret_fingerprint, validated_at, validations, updated_at) "
    "VALUES ('', ?, ?, 1, ?) ON CONFLICT (account_id, secret_fingerprint) DO UPDATE SET "
    "validated_at = excluded.validated_at, validations = endpoint_validation.validations + 1, "
    "updated_at = excluded.updated_at"
)


class InboxHealth(NamedTuple):
    """How the inbox stands."""

    pending: int
    oldest_pending_at: datetime | None
    dead: int
    unhandled: int
    last_received_at: datetime | None


def note_validation(database: Database, fingerprint: str, now: datetime) -> None:
    """Remember that Zoom validated the endpoint with the secret of this fingerprint."""
    with database.write() as connection:
        run(connection, _NOTE_VALIDATION, (fingerprint, now, now))


def read_validations(connection: Connection) -> list[tuple[str, datetime]]:
    """The secrets (by fingerprint) with which Zoom validated the endpoint, and when last; newest first."""
    rows = run(
        connection, "SELECT secret_fingerprint, validated_at FROM endpoint_validation ORDER BY validated_at DESC"
    )
    return [(name, _known(as_moment(at))) for name, at in rows]


def read_inbox_health(connection: Connection) -> InboxHealth:
    """How many events wait, since when, and how many are dead or of an unknown type. Four small indexed looks."""
    pending, oldest = _one(
        connection,
        "SELECT (SELECT count(*) FROM inbox_event WHERE state = 'pending'), "
        "(SELECT received_at FROM inbox_event WHERE state = 'pending' ORDER BY id LIMIT 1)",
    )
    found = run(
        connection,
        "SELECT state, count(*) FROM inbox_event WHERE state IN ('dead', 'unhandled', 'ignored') "
        "AND state <> 'ignored' GROUP BY state",  # SQLite uses a partial index where its condition stands word for word
    )
    counts = {state: int(count) for state, count in found}
    (last,) = _one(connection, "SELECT (SELECT received_at FROM inbox_event ORDER BY id DESC LIMIT 1)")
    return InboxHealth(
        int(pending), as_moment(oldest), counts.get("dead", 0), counts.get("unhandled", 0), as_moment(last)
    )


def count_only_before_host(connection: Connection) -> int:
    """How many instances people came to before the host, of which nobody's joining was reported."""
    query = (
        "SELECT count(*) FROM (SELECT DISTINCT c.account_id, c.uuid FROM connection c WHERE c.before_host "
        "AND NOT EXISTS (SELECT 1 FROM connection j WHERE j.account_id = c.account_id AND j.uuid = c.uuid "
        "AND (j.joins IS NOT NULL OR j.reported IS NOT NULL))) AS only_before"
    )
    (count,) = _one(connection, query)
    return int(count)


def last_validation(validations: Iterable[tuple[str, datetime]], secrets: Collection[str]) -> datetime | None:
    """When Zoom last validated the endpoint with one of these secrets, which are named by fingerprint."""
    return max((at for name, at in validations if name in secrets), default=None)


def server_version(connection: Connection) -> str:
    """The database in words."""
    return dialect_of(connection).version(connection)


def _one(connection: Connection, query: str) -> Any:
    (row,) = run(connection, query)
    return row


def _known(moment: datetime | None) -> datetime:
    assert moment is not None
    return moment
