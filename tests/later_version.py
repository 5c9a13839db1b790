"""The tables of a version that comes after this one, and only adds to them."""

from __future__ import annotations

LATER_REVISION = "9998"
LATER_TABLES = (
    "ALTER TABLE instance ADD COLUMN of_the_next_version TEXT",
    "ALTER TABLE participant ADD COLUMN of_the_next_version TEXT",
    "CREATE TABLE of_the_next_version (account_id TEXT PRIMARY KEY)",
    "CREATE INDEX of_the_next_version_index ON inbox_event (event_ts)",
    f"UPDATE alembic_version SET version_num = '{LATER_REVISION}'",
)
