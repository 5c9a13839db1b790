"""What tells people apart, who is staff, and what else Zoom says of meetings and registrants. Nothing is dropped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMNS = {
    "connection": (
        (
            "participant_id",
            sa.Text(),
            "Zoom's `id` of the participant, unless it is known to be participant_user_id",
        ),
        ("customer_key", sa.Text(), "key that an app built on Zoom's SDK gave them"),
        ("custom_keys", sa.Text(), "keys that an app gave them, JSON text: a list of [key, value], sorted"),
        ("phone_number", sa.Text(), "telephone number they called from"),
        ("bind_participant_uuid", sa.Text(), "participant_uuid of the connection that a telephone is bound to"),
        ("parent_user_id", sa.Text(), "the main room's connection of a breakout room's"),
        ("before_host", sa.Boolean(), "true when Zoom says they came before the host"),
    ),
    "participant": (
        (
            "participant_id",
            sa.Text(),
            "Zoom's `id` of the participant, unless it is known to be participant_user_id",
        ),
        ("staff_as", sa.Text(), "co-host, panelist or staff domain, where that makes them staff"),
    ),
    "meeting": (
        ("alternative_hosts", sa.Text(), "addresses of the alternative hosts, lower case, each within semicolons"),
        ("pmi", sa.BigInteger(), "the host's personal meeting id, where Zoom tells it"),
        ("uses_pmi", sa.Boolean(), "true when it runs under the host's personal meeting id"),
    ),
    "occurrence": (
        (
            "held_milliseconds",
            sa.BigInteger(),
            "how long its instances ran, overlaps once, milliseconds; null while one runs",
        ),
    ),
    "registrant": (("details", sa.Text(), "what else they told: org, job_title, phone and so on, JSON text"),),
}
COMMENTS = {
    ("connection", "zoom_user_id"): "signed-in Zoom user: participant_user_id",
    ("participant", "person_id"): (
        "who it was within the meeting: registrant:, user:, email:, key:, keys:, phone: or connection: and an id"
    ),
}
BY_MEETING = ("zoom_user_id", "participant_id", "email", "customer_key", "custom_keys", "phone_number")


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for name, kind, comment in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True, comment=comment))
    if op.get_bind().dialect.name == "postgresql":
        for (table, name), comment in COMMENTS.items():
            op.alter_column(table, name, existing_type=sa.Text(), comment=comment)
    op.drop_index("participant_email", "participant")
    for name in BY_MEETING:
        _partial_index(f"connection_{name}", ("account_id", "meeting_id", name), f"{name} IS NOT NULL")
    _partial_index("connection_participant", ("account_id", "uuid", "participant_uuid"), "participant_uuid IS NOT NULL")
    _partial_index(
        "connection_without_stay",
        ("account_id", "meeting_id", "registrant_id"),
        "joins IS NULL AND leaves IS NULL AND reported IS NULL AND registrant_id IS NOT NULL",
    )
    _partial_index("connection_before_host", ("account_id", "uuid"), "before_host")
    op.create_table(
        "staff",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column(
            "meeting_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="Zoom's number of the meeting"
        ),
        sa.Column(
            "identifier",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="who: user: and Zoom's user id, or email: and an address in lower case",
        ),
        sa.Column("source", sa.Text(), autoincrement=False, nullable=False, comment="who says so: zoom"),
        sa.Column("role", sa.Text(), nullable=True, comment="panelist or alternative host; null once they are not"),
        sa.Column(
            "stamps",
            sa.Text(),
            nullable=True,
            comment="internal: when Zoom stated each value, ms since 1970, so that late news cannot undo newer",
        ),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "meeting_id", "identifier", "source"),
    )
    op.create_index("staff_updated", "staff", ["updated_at"], unique=False)


def _partial_index(name: str, columns: tuple[str, ...], where: str) -> None:
    op.create_index(name, "connection", list(columns), sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    op.drop_table("staff")
    for name in (*BY_MEETING, "participant", "without_stay", "before_host"):
        op.drop_index(f"connection_{name}", "connection")
    where = sa.text("email IS NOT NULL")
    op.create_index(
        "participant_email", "participant", ["account_id", "meeting_id", "email"],
        sqlite_where=where, postgresql_where=where,
    )  # fmt: skip
    for table, columns in COLUMNS.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for name, _, _ in columns:
                batch_op.drop_column(name)
