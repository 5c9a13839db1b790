"""What Zoom's own record proves: when an instance is final, what webhooks missed, how good links were; errands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UPDATED = "when this row last changed, UTC; follow changes with WHERE updated_at >= your last look"
SOURCE_BEFORE = "webhook, api or joinlog; null for those kept before there was anything but webhooks"
SOURCE_AFTER = "webhook, api, zoom_log or joinlog; null for those kept before there was anything but webhooks"
ROLE_BEFORE = "panelist or alternative host; null once they are not"
ROLE_AFTER = "host, alternative host or panelist; null once they are not"
COLUMNS = (
    (
        "instance",
        "final_at",
        UtcDateTime(),
        "since when Zoom's record of it is final: two readings of its report agreed, UTC; null before",
    ),
    ("instance", "reported_participants", sa.Integer(), "how many took part, as Zoom's API counts them"),
    (
        "instance",
        "reported_absentees",
        sa.Integer(),
        "how many had registered and did not come, as Zoom's API says",
    ),
    (
        "instance",
        "stays_both",
        sa.Integer(),
        "stays that webhooks and Zoom's report tell, when it was last audited",
    ),
    ("instance", "stays_webhook_only", sa.Integer(), "stays that only webhooks tell, when it was last audited"),
    ("instance", "stays_report_only", sa.Integer(), "stays that only Zoom's report tells, when it was last audited"),
    ("instance", "webhooks_expected", sa.Integer(), "webhooks there should have been, when it was last audited"),
    ("instance", "webhooks_lost", sa.Integer(), "how many of them never came"),
    ("instance", "webhooks_lost_by_event", sa.Text(), "the same by event, JSON text"),
    ("link_history", "from_state", sa.Text(), "link_state before; null at the first decision"),
    (
        "link_history",
        "stated_occurrence_id",
        sa.Text(),
        "what Zoom stated, where this is the first decision that knew it; `none` for no occurrence",
    ),
    ("api_task", "repeats", sa.Integer(), "how often Zoom has answered the same since"),
)


def upgrade() -> None:
    for table, name, kind, comment in COLUMNS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column(name, kind, nullable=True, comment=comment))
    op.create_index(
        "instance_lossy",
        "instance",
        ["final_at"],
        unique=False,
        sqlite_where=sa.text("webhooks_lost > 0"),
        postgresql_where=sa.text("webhooks_lost > 0"),
    )
    op.create_index(
        "link_history_stated",
        "link_history",
        ["from_state"],
        unique=False,
        sqlite_where=sa.text("stated_occurrence_id IS NOT NULL"),
        postgresql_where=sa.text("stated_occurrence_id IS NOT NULL"),
    )
    _say("inbox_event", "source", SOURCE_AFTER, SOURCE_BEFORE)
    _say("staff", "role", ROLE_AFTER, ROLE_BEFORE)
    op.create_table(
        "api_errand",
        sa.Column(
            "account_id", sa.Text(), autoincrement=False, nullable=False, comment="Zoom account that is asked about"
        ),
        sa.Column(
            "kind",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="series, ended, history or delivery_log; `look` for when somebody last looked",
        ),
        sa.Column(
            "subject",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="number of the meeting, days, or id of the app",
        ),
        sa.Column(
            "due_at", UtcDateTime(), nullable=True, comment="when to ask, UTC; null when there is nothing left to ask"
        ),
        sa.Column("taken_until", UtcDateTime(), nullable=True, comment="a worker is at it, and has until then, UTC"),
        sa.Column(
            "begun_at",
            UtcDateTime(),
            nullable=True,
            comment="since when it is tried; answers since then are not asked for again",
        ),
        sa.Column("tries", sa.Integer(), nullable=True, comment="how often it was tried since then"),
        sa.Column(
            "error", sa.Text(), nullable=True, comment="what is missing, as the last try found; null when nothing is"
        ),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id", "kind", "subject"),
    )
    op.create_index(
        "api_errand_due",
        "api_errand",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index("api_errand_updated", "api_errand", ["updated_at"], unique=False)


def downgrade() -> None:
    op.drop_index("api_errand_updated", "api_errand")
    op.drop_index("api_errand_due", "api_errand")
    op.drop_table("api_errand")
    _say("staff", "role", ROLE_BEFORE, ROLE_AFTER)
    _say("inbox_event", "source", SOURCE_BEFORE, SOURCE_AFTER)
    op.drop_index("link_history_stated", "link_history")
    op.drop_index("instance_lossy", "instance")
    for table, name, _, _ in reversed(COLUMNS):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column(name)


def _say(table: str, column: str, comment: str, existing: str) -> None:
    if op.get_bind().dialect.supports_comments:
        op.alter_column(
            table, column, existing_type=sa.Text(), existing_nullable=True, comment=comment, existing_comment=existing
        )
