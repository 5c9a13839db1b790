"""Page links that were revoked."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from schema.store.database import Database
from schema.store.dialect import as_moment, run


def read_revoked_links(connection: Connection) -> dict[str, datetime | None]:
    """The ids of every page link that was revoked, and when."""
    return {link_id: as_moment(at) for link_id, at in run(connection, "SELECT link_id, revoked_at FROM revoked_link")}


def revoke_link(database: Database, link_id: str, now: datetime) -> None:
    """Revoke a page link; its sessions end within seconds. Doing it twice changes nothing."""
    query = (
        "INSERT INTO revoked_link (account_id, link_id, revoked_at, updated_at) VALUES ('', ?, ?, ?) "
        "ON CONFLICT (account_id, link_id) DO NOTHING"
    )
    with database.write() as connection:
        run(connection, query, (link_id, now, now))
