"""Bringing a database to the tables and views of this version."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config

from schema.revision import OLDEST_REVISION, applied_revision, is_later, newest_revision
from schema.store.database import Database
from schema.store.leader import note_oldest_revision
from schema.views import create_views, drop_views


def migrate(database: Database) -> tuple[str | None, str]:
    """Apply every migration that is missing and make the views anew, all in one transaction.

    Returns the revisions before and after; they are equal when there was nothing to do, because this version
    or a later one did it before.
    """
    with database.write() as connection:
        database.dialect.hold_migrations(connection)
        before = applied_revision(connection)
        if before == newest_revision() or is_later(before):
            return before, before or ""
        drop_views(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        create_views(connection)
        note_oldest_revision(connection, OLDEST_REVISION, datetime.now(UTC))
    return before, newest_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
