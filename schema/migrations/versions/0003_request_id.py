"""The id by which Zoom's delivery log names a delivery."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("inbox_event", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "request_id",
                sa.Text(),
                nullable=True,
                comment="x-zm-request-id of the first delivery, as Zoom's own delivery log names it",
            )
        )


def downgrade() -> None:
    with op.batch_alter_table("inbox_event", schema=None) as batch_op:
        batch_op.drop_column("request_id")
