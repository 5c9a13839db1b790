"""Which clock leads, and which versions can work on these tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

UPDATED = "when this row last changed, UTC; follow changes with WHERE updated_at >= your last look"


def upgrade() -> None:
    op.create_table(
        "leader",
        sa.Column("account_id", sa.Text(), nullable=False, comment="always empty: a process is not of one account"),
        sa.Column("duty", sa.Text(), nullable=False, comment="what one process does for all: clock"),
        sa.Column(
            "holder", sa.Text(), nullable=True, comment="the process that does it: host, process id and a random part"
        ),
        sa.Column(
            "held_until",
            UtcDateTime(),
            nullable=True,
            comment="when others may take over, UTC, by the database's clock",
        ),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id", "duty"),
    )
    op.create_index("leader_updated", "leader", ["updated_at"])
    op.create_table(
        "tables_version",
        sa.Column("account_id", sa.Text(), nullable=False, comment="always empty: tables are not of one account"),
        sa.Column(
            "oldest_revision",
            sa.Text(),
            nullable=True,
            comment="versions that need an earlier revision than this cannot use these tables",
        ),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_index("tables_version_updated", "tables_version", ["updated_at"])


def downgrade() -> None:
    op.drop_table("tables_version")
    op.drop_table("leader")
