"""Instances that ran under a personal meeting id belong to the meeting that was scheduled with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

COLUMNS = {
    "meeting": (
        ("pmi_uses", sa.Text(), "internal: every statement whether it does and when, JSON text, ms since 1970"),
        ("room_id", sa.BigInteger(), "the personal meeting id its instances run or ran under; null for none"),
    ),
    "instance": (
        (
            "ran_under",
            sa.BigInteger(),
            "the personal meeting id its events named, where it was an occurrence of another meeting",
        ),
    ),
    "connection": (
        ("ran_under", sa.BigInteger(), "as in table instance; null where meeting_id is what its events named"),
    ),
}
INDEXES = {"meeting_room": ("meeting", "room_id"), "instance_ran_under": ("instance", "ran_under")}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for name, kind, comment in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True, comment=comment))
    for name, (table, column) in INDEXES.items():
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, table, ["account_id", column], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, (table, _) in INDEXES.items():
        op.drop_index(name, table_name=table)
    for table, columns in COLUMNS.items():
        for name, _, _ in columns:
            op.drop_column(table, name)
