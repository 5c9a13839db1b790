"""A page link is called so, and its command is `joinlog access`: the comment of a column, which SQLite does not keep."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BEFORE = "id of the link, as `joinlog link --list` and the link itself carry it"
AFTER = "id of the link, as `joinlog access list` and the page link itself carry it"


def upgrade() -> None:
    _say(AFTER, BEFORE)


def downgrade() -> None:
    _say(BEFORE, AFTER)


def _say(comment: str, existing: str) -> None:
    if op.get_bind().dialect.supports_comments:
        op.alter_column(
            "revoked_link", "link_id", existing_type=sa.Text(), existing_nullable=False,
            comment=comment, existing_comment=existing,
        )  # fmt: skip
