"""Answers of Zoom's API: where events come from, stays and starts as reports state them, pace and tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPDATED = "when this row last changed, UTC; follow changes with WHERE updated_at >= your last look"
COLUMNS = (
    (
        "inbox_event",
        "source",
        sa.Text(),
        "webhook, api or joinlog; null for those kept before there was anything but webhooks",
    ),
    ("instance", "reported_start", UtcDateTime(), "internal: start as Zoom's API states it, UTC"),
    ("connection", "reported", sa.Text(), "internal: every stay of Zoom's report, JSON text of pairs, ms since 1970"),
)


def upgrade() -> None:
    for table, name, kind, comment in COLUMNS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column(name, kind, nullable=True, comment=comment))
    op.create_table(
        "api_pace",
        sa.Column(
            "account_id", sa.Text(), autoincrement=False, nullable=False, comment="Zoom account whose limits these are"
        ),
        sa.Column(
            "tier",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="light, medium or heavy, as Zoom labels its endpoints",
        ),
        sa.Column("next_ms", sa.BigInteger(), nullable=True, comment="when the next call may be made, ms since 1970"),
        sa.Column("day", sa.Text(), nullable=True, comment="the day, UTC, whose calls are counted"),
        sa.Column("calls", sa.Integer(), nullable=True, comment="calls made on that day"),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id", "tier"),
    )
    op.create_index("api_pace_updated", "api_pace", ["updated_at"], unique=False)
    op.create_table(
        "api_task",
        sa.Column(
            "account_id", sa.Text(), autoincrement=False, nullable=False, comment="Zoom account that is asked about"
        ),
        sa.Column(
            "kind",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="event its answer is kept as; `sync` for a whole run",
        ),
        sa.Column(
            "subject",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="meeting, instance or days it is about; what a run was asked for",
        ),
        sa.Column(
            "done_at",
            UtcDateTime(),
            nullable=True,
            comment="when it was last answered completely; null while a run goes on, UTC",
        ),
        sa.Column("begun_at", UtcDateTime(), nullable=True, comment="when a run began, UTC"),
        sa.Column("said", sa.Text(), nullable=True, comment="SHA-256 of the last answer"),
        sa.Column("said_ms", sa.BigInteger(), nullable=True, comment="since when Zoom answers that, ms since 1970"),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id", "kind", "subject"),
    )
    op.create_index("api_task_updated", "api_task", ["updated_at"], unique=False)


def downgrade() -> None:
    op.drop_index("api_task_updated", "api_task")
    op.drop_table("api_task")
    op.drop_index("api_pace_updated", "api_pace")
    op.drop_table("api_pace")
    for table, name, _, _ in reversed(COLUMNS):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column(name)
