"""The change feed: every changed row, numbered in the order of commits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "change",
        sa.Column(
            "seq",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="number of the change; nothing new ever appears below one that somebody has seen",
        ),
        sa.Column("changed_at", UtcDateTime(), nullable=True, comment="when the change was decided, UTC"),
        sa.Column(
            "account_id",
            sa.Text(),
            nullable=True,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column("table_name", sa.Text(), nullable=True, comment="table of the row that changed"),
        sa.Column(
            "row_key",
            sa.Text(),
            nullable=True,
            comment="its key after account_id, in the order of the table's key, JSON text of a list",
        ),
        sa.Column(
            "operation",
            sa.Text(),
            nullable=True,
            comment="upsert: it is there now, new or changed; delete: it is gone",
        ),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "change_head",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="always empty: the feed is of the whole installation",
        ),
        sa.Column("seq", sa.BigInteger(), nullable=True, comment="the last number that was given"),
        sa.Column(
            "notifies", sa.Boolean(), nullable=True, comment="true when each batch is told by NOTIFY, on Postgres"
        ),
        sa.PrimaryKeyConstraint("account_id"),
    )
    # What is in the tables already is told by no change: whoever follows from 0 is told to read the tables first.
    op.execute(
        "INSERT INTO change_head (account_id, seq) "
        "SELECT '', CASE WHEN EXISTS (SELECT 1 FROM inbox_event) THEN 1 ELSE 0 END"
    )


def downgrade() -> None:
    op.drop_table("change_head")
    op.drop_table("change")
