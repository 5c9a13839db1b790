"""Page links that were called back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from schema.store.database import Database
from schema.store.rows import as_moment, write_rows
from schema.store.statements import run


def read_revoked_links(connection: Connection) -> dict[str, datetime | None]:
    """The ids of every link called back, and when."""
    return {link_id: as_moment(at) for link_id, at in run(connection, "SELECT link_id, revoked_at FROM revoked_link")}


def revoke_link(database: Database, link_id: str, now: datetime) -> None:
    """Call a link back; its sessions end within seconds. Doing it twice changes nothing."""
    row = {"account_id": "", "link_id": link_id, "revoked_at": now, "updated_at": now}
    with database.write() as connection:
        write_rows(connection, "revoked_link", [row], keep_existing=True)
