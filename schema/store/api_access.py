"""What Zoom's API lets the app of each account do, as a worker found it last."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from schema.store.database import Database
from schema.store.dialect import as_moment, run


class ApiAccess(NamedTuple):
    """One answer: the granted scopes, the subscribed events, and why one of them was not told."""

    account_id: str
    read_at: datetime | None
    scopes: frozenset[str] | None
    events: frozenset[str] | None
    error: str | None


def save_access(database: Database, access: ApiAccess) -> None:
    """Keep the last answer about an account."""
    query = (
        "INSERT INTO api_access (account_id, read_at, scopes, events, error, updated_at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (account_id) DO UPDATE SET read_at = excluded.read_at, scopes = excluded.scopes, "
        "events = excluded.events, error = excluded.error, updated_at = excluded.updated_at"
    )
    values = (_text(access.scopes), _text(access.events), access.error, access.read_at)
    with database.write() as connection:
        run(connection, query, (access.account_id, access.read_at, *values))


def read_access(connection: Connection) -> dict[str, ApiAccess]:
    """The last answer about each account."""
    rows = run(connection, "SELECT account_id, read_at, scopes, events, error FROM api_access")
    return {row[0]: ApiAccess(row[0], as_moment(row[1]), _names(row[2]), _names(row[3]), row[4]) for row in rows}


def _text(names: frozenset[str] | None) -> str | None:
    return None if names is None else " ".join(sorted(names))


def _names(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(text.split())
