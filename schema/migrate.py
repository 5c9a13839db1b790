"""Bringing a database to the tables and views of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from schema.revision import applied_revision, newest_revision
from schema.store.database import Database
from schema.views import create_views, drop_views


def migrate(database: Database) -> tuple[str | None, str]:
    """Apply every migration that is missing and make the views anew, all in one transaction.

    Returns the revisions before and after; they are equal when there was nothing to do.
    """
    with database.write() as connection:
        database.dialect.hold_migrations(connection)
        before = applied_revision(connection)
        if before == newest_revision():
            return before, before
        drop_views(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        create_views(connection)
    return before, newest_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
