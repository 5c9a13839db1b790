"""The page links that were made; what Zoom's API lets the app of an account do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UPDATED = "when this row last changed, UTC; follow changes with WHERE updated_at >= your last look"


def upgrade() -> None:
    op.create_table(
        "page_link",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="always empty: a page link is not of one account",
        ),
        sa.Column(
            "link_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="id of the link, as `joinlog access list` and the page link itself carry it",
        ),
        sa.Column("role", sa.Text(), nullable=True, comment="viewer or operator"),
        sa.Column(
            "meeting_id",
            sa.BigInteger(),
            nullable=True,
            comment="the meeting it opens, and no other; null for all of them",
        ),
        sa.Column(
            "occurrence_id",
            sa.Text(),
            nullable=True,
            comment="the occurrence it opens, and nothing else; null for the whole meeting",
        ),
        sa.Column(
            "made_by",
            sa.Text(),
            nullable=True,
            comment="the command and the user who ran it, or the id of the operator's own page link",
        ),
        sa.Column("made_at", UtcDateTime(), nullable=True, comment="when it was made, UTC"),
        sa.Column("expires_at", UtcDateTime(), nullable=True, comment="when it ends by itself, UTC"),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id", "link_id"),
    )
    op.create_index("page_link_updated", "page_link", ["updated_at"], unique=False)
    op.create_index("page_link_expiry", "page_link", ["expires_at"], unique=False)
    op.create_table(
        "api_access",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account whose credentials are set",
        ),
        sa.Column("read_at", UtcDateTime(), nullable=True, comment="when a worker asked last, UTC"),
        sa.Column(
            "scopes",
            sa.Text(),
            nullable=True,
            comment="the scopes that are granted, a space between two; null when no token was had",
        ),
        sa.Column(
            "events",
            sa.Text(),
            nullable=True,
            comment="the events its apps are subscribed to, a space between two; null when it was not told",
        ),
        sa.Column("error", sa.Text(), nullable=True, comment="why it was not told; null when it was"),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_index("api_access_updated", "api_access", ["updated_at"], unique=False)


def downgrade() -> None:
    op.drop_index("api_access_updated", table_name="api_access")
    op.drop_table("api_access")
    op.drop_index("page_link_expiry", table_name="page_link")
    op.drop_index("page_link_updated", table_name="page_link")
    op.drop_table("page_link")
