"""Process metrics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "process_metric",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="always empty: a process is not of one account",
        ),
        sa.Column("process", sa.Text(), autoincrement=False, nullable=False, comment="worker or clock"),
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False, comment="the metric, as Prometheus knows it"),
        sa.Column("labels", sa.Text(), autoincrement=False, nullable=False, comment="its labels, JSON text"),
        sa.Column("kind", sa.Text(), nullable=True, comment="counter or gauge"),
        sa.Column("help", sa.Text(), nullable=True, comment="what it tells"),
        sa.Column(
            "value",
            sa.Double().with_variant(sa.REAL(), "sqlite"),
            nullable=True,
            comment="of a counter the sum since the table was made; of a gauge the newest value",
        ),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "process", "name", "labels"),
    )
    with op.batch_alter_table("process_metric", schema=None) as batch_op:
        batch_op.create_index("process_metric_updated", ["updated_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("process_metric", schema=None) as batch_op:
        batch_op.drop_index("process_metric_updated")

    op.drop_table("process_metric")
