"""A connection's role is the one that makes staff, if it ever had one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

BEFORE = "host, co-host or attendee, as last stated"
AFTER = "host, co-host or attendee; who was made staff for a while stays so here"


def upgrade() -> None:
    """Say so beside the columns; rows follow with the next event about them, or with a rebuild."""
    _say(AFTER, BEFORE)


def downgrade() -> None:
    """Say what was said before."""
    _say(BEFORE, AFTER)


def _say(comment: str, existing: str) -> None:
    if op.get_bind().dialect.supports_comments:
        for table in ("connection", "participant"):
            op.alter_column(
                table,
                "role",
                existing_type=sa.Text(),
                existing_nullable=True,
                comment=comment,
                existing_comment=existing,
            )
