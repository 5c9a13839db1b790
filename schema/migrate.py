"""Bringing a database to the tables and views of this version, and telling whether it is there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from schema.store.database import Database
from schema.views import create_views, drop_views

_MIGRATION_LOCK = 0x4A4C4D  # two machines that deploy at once must not both migrate


def migrate(database: Database) -> tuple[str | None, str]:
    """Apply every migration that is missing and make the views anew, all in one transaction.

    Returns the revisions before and after; they are equal when there was nothing to do.
    """
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        before = applied_revision(connection)
        if before == newest_revision():
            return before, before
        drop_views(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        create_views(connection)
    return before, newest_revision()


def applied_revision(connection: Connection) -> str | None:
    """The revision a database is at; None when Joinlog never migrated it."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def newest_revision() -> str:
    """The revision this version of Joinlog needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError("schema/migrations/versions is empty")
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
