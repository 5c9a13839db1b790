"""What is noticed of the endpoint, and who was told of which condition."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import Real, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UPDATED = "when this row last changed, UTC; follow changes with WHERE updated_at >= your last look"


def upgrade() -> None:
    op.create_table(
        "endpoint_observation",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="always empty: what is refused does not name an account",
        ),
        sa.Column(
            "kind",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="unknown_secret, clock_skew, or judged: the clock looked at every condition",
        ),
        sa.Column("first_at", UtcDateTime(), nullable=True, comment="the first of this episode, UTC"),
        sa.Column("last_at", UtcDateTime(), nullable=True, comment="the last one, UTC"),
        sa.Column("deliveries", sa.Integer(), nullable=True, comment="how many in this episode"),
        sa.Column("seconds", Real, nullable=True, comment="of clock_skew: how far our clock is ahead of Zoom's"),
        sa.Column(
            "secrets",
            sa.Text(),
            nullable=True,
            comment="of unknown_secret: fingerprints of the secrets that were set, sorted, by commas",
        ),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id", "kind"),
    )
    op.create_index("endpoint_observation_updated", "endpoint_observation", ["updated_at"], unique=False)
    op.create_table(
        "alert",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="always empty: a condition is of the whole installation",
        ),
        sa.Column(
            "condition",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="its name, as `joinlog alerts` lists it",
        ),
        sa.Column("begun_at", UtcDateTime(), nullable=True, comment="since when it holds, or held, UTC"),
        sa.Column("says", sa.Text(), nullable=True, comment="what is wrong, in words"),
        sa.Column(
            "cleared_at", UtcDateTime(), nullable=True, comment="since when it does not hold, UTC; null while it does"
        ),
        sa.Column("told_at", UtcDateTime(), nullable=True, comment="when somebody was last told that it holds, UTC"),
        sa.Column("told", sa.Integer(), nullable=True, comment="how often"),
        sa.Column("over_told_at", UtcDateTime(), nullable=True, comment="when somebody was told that it is over, UTC"),
        sa.Column(
            "sending_until",
            UtcDateTime(),
            nullable=True,
            comment="until when the worker that sends has it to itself, UTC",
        ),
        sa.Column("error", sa.Text(), nullable=True, comment="why nobody could be told the last time"),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id", "condition"),
    )
    op.create_index("alert_updated", "alert", ["updated_at"], unique=False)


def downgrade() -> None:
    op.drop_index("alert_updated", "alert")
    op.drop_table("alert")
    op.drop_index("endpoint_observation_updated", "endpoint_observation")
    op.drop_table("endpoint_observation")
