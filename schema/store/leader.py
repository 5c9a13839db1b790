"""Which process leads, by a row that it renews; and which versions can work on the tables.

A lease and not a lock of a session: it works behind a pooler, and a process that was cut off loses it by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from schema.store.dialect import dialect_of, run


def take_lead(connection: Connection, duty: str, holder: str, seconds: float) -> bool:
    """Lead for so long, or longer if it leads already; False while another one does.

    The database's clock decides, so the clocks of the machines need not agree.
    """
    now = database_now(connection)
    query = (
        "INSERT INTO leader (account_id, duty, holder, held_until, updated_at) VALUES ('', ?, ?, ?, ?) "
        "ON CONFLICT (account_id, duty) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until, "
        "updated_at = excluded.updated_at WHERE leader.holder = excluded.holder OR leader.held_until < ? "
        "RETURNING holder"
    )
    return bool(run(connection, query, (duty, holder, now + timedelta(seconds=seconds), now, now)))


def give_up_lead(connection: Connection, duty: str, holder: str) -> None:
    """Let another one lead at once, if this one does."""
    query = "UPDATE leader SET held_until = updated_at WHERE account_id = '' AND duty = ? AND holder = ?"
    run(connection, query, (duty, holder))


def database_now(connection: Connection) -> datetime:
    """What the database's clock shows."""
    return dialect_of(connection).now(connection)


def note_oldest_revision(connection: Connection, oldest: str, now: datetime) -> None:
    """Say which revision the oldest version needs that can work on these tables."""
    query = (
        "INSERT INTO tables_version (account_id, oldest_revision, updated_at) VALUES ('', ?, ?) "
        "ON CONFLICT (account_id) DO UPDATE SET oldest_revision = excluded.oldest_revision, "
        "updated_at = excluded.updated_at"
    )
    run(connection, query, (oldest, now))
