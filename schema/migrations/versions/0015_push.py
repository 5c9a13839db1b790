"""Who is pushed to, and how far each was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "push_endpoint",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="always empty: an endpoint is told of the whole installation",
        ),
        sa.Column(
            "endpoint",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="first 12 hex digits of the SHA-256 of its address",
        ),
        sa.Column(
            "address", sa.Text(), nullable=True, comment="scheme and host of its address; the rest may carry a token"
        ),
        sa.Column("after", sa.BigInteger(), nullable=True, comment="number of the change up to which it has been told"),
        sa.Column(
            "until",
            sa.BigInteger(),
            nullable=True,
            comment="number up to which what it is told next reaches; null when that is not fixed",
        ),
        sa.Column(
            "tries", sa.Integer(), nullable=True, comment="how often in a row it did not take the notice that is next"
        ),
        sa.Column("retry_at", UtcDateTime(), nullable=True, comment="when that is tried again, UTC"),
        sa.Column(
            "off_at",
            UtcDateTime(),
            nullable=True,
            comment="since when nothing is sent any more, UTC; null while it is on",
        ),
        sa.Column("error", sa.Text(), nullable=True, comment="what went wrong the last time; null when nothing did"),
        sa.Column("delivered", sa.Integer(), nullable=True, comment="notices it took"),
        sa.Column("failed", sa.Integer(), nullable=True, comment="attempts that failed"),
        sa.Column("delivered_at", UtcDateTime(), nullable=True, comment="when it last took one, UTC"),
        sa.Column("held_by", sa.Text(), nullable=True, comment="the worker that tells it"),
        sa.Column("held_until", UtcDateTime(), nullable=True, comment="until when that worker has it to itself, UTC"),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "endpoint"),
    )
    op.create_index("push_endpoint_updated", "push_endpoint", ["updated_at"], unique=False)


def downgrade() -> None:
    op.drop_table("push_endpoint")
