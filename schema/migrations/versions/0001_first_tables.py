"""First tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_departure",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column("deauthorized_at", UtcDateTime(), nullable=True, comment="when the account removed the app, UTC"),
        sa.Column("erased_at", UtcDateTime(), nullable=True, comment="when its personal data was erased, UTC"),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id"),
    )
    with op.batch_alter_table("account_departure", schema=None) as batch_op:
        batch_op.create_index("account_departure_updated", ["updated_at"], unique=False)

    op.create_table(
        "connection",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column("uuid", sa.Text(), autoincrement=False, nullable=False, comment="the instance"),
        sa.Column(
            "connection_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom's user_id within the instance, else participant_uuid",
        ),
        sa.Column("meeting_id", sa.BigInteger(), nullable=True, comment="Zoom's number of the meeting"),
        sa.Column("joins", sa.Text(), nullable=True, comment="internal: every stated join, JSON text of ms since 1970"),
        sa.Column(
            "leaves",
            sa.Text(),
            nullable=True,
            comment="internal: every stated leave and its reason, JSON text, ms since 1970",
        ),
        sa.Column("participant_uuid", sa.Text(), nullable=True, comment="Zoom's uuid of this connection"),
        sa.Column(
            "bound_to",
            sa.Text(),
            nullable=True,
            comment="connection of the same person: of a telephone, or the main room's of a breakout room",
        ),
        sa.Column("room_uuid", sa.Text(), nullable=True, comment="breakout room"),
        sa.Column("registrant_id", sa.Text(), nullable=True, comment="the registrant whose link was used"),
        sa.Column("zoom_user_id", sa.Text(), nullable=True, comment="signed-in Zoom user"),
        sa.Column("email", sa.Text(), nullable=True, comment="address, lower case, where Zoom shows it"),
        sa.Column("name", sa.Text(), nullable=True, comment="name shown, as last stated; never identifies anybody"),
        sa.Column("role", sa.Text(), nullable=True, comment="host, co-host or attendee, as last stated"),
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
        sa.PrimaryKeyConstraint("account_id", "uuid", "connection_id"),
    )
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.create_index(
            "connection_bound",
            ["account_id", "uuid"],
            unique=False,
            sqlite_where=sa.text("bound_to IS NOT NULL"),
            postgresql_where=sa.text("bound_to IS NOT NULL"),
        )
        batch_op.create_index(
            "connection_registrant",
            ["account_id", "uuid", "registrant_id"],
            unique=False,
            sqlite_where=sa.text("registrant_id IS NOT NULL"),
            postgresql_where=sa.text("registrant_id IS NOT NULL"),
        )
        batch_op.create_index("connection_updated", ["updated_at"], unique=False)

    op.create_table(
        "endpoint_validation",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="always empty: a validation does not name an account",
        ),
        sa.Column(
            "secret_fingerprint",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="first 12 hex digits of the SHA-256 of the secret token that verified it",
        ),
        sa.Column(
            "validated_at", UtcDateTime(), nullable=True, comment="when Zoom's last url_validation was answered, UTC"
        ),
        sa.Column("validations", sa.Integer(), nullable=True, comment="how many were answered"),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "secret_fingerprint"),
    )
    with op.batch_alter_table("endpoint_validation", schema=None) as batch_op:
        batch_op.create_index("endpoint_validation_updated", ["updated_at"], unique=False)

    op.create_table(
        "inbox_event",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column(
            "id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="microseconds since 1970 at acceptance, made unique: arrival order",
        ),
        sa.Column(
            "idempotency_key",
            sa.Text(),
            nullable=False,
            comment="hash of account, type, time and payload; two deliveries of one event share it",
        ),
        sa.Column(
            "event_type",
            sa.Text(),
            nullable=True,
            comment="Zoom's name of the event, e.g. webinar.started; null when the body was unreadable",
        ),
        sa.Column("event_ts", UtcDateTime(), nullable=True, comment="when it happened, as Zoom says, UTC"),
        sa.Column("meeting_id", sa.BigInteger(), nullable=True, comment="number of the meeting it is about"),
        sa.Column("uuid", sa.Text(), nullable=True, comment="uuid of the instance it is about"),
        sa.Column("received_at", UtcDateTime(), nullable=True, comment="when its first delivery was accepted, UTC"),
        sa.Column(
            "last_delivered_at", UtcDateTime(), nullable=True, comment="when its last delivery was accepted, UTC"
        ),
        sa.Column(
            "processed_at",
            UtcDateTime(),
            nullable=True,
            comment="when it reached the tables or was given its last state, UTC",
        ),
        sa.Column("deliveries", sa.Integer(), nullable=True, comment="accepted deliveries, repeats included"),
        sa.Column(
            "tracking_id", sa.Text(), nullable=True, comment="x-zm-trackingid of the first delivery, for Zoom's support"
        ),
        sa.Column("state", sa.Text(), nullable=True, comment="pending, done, ignored, unhandled or dead"),
        sa.Column("error", sa.Text(), nullable=True, comment="why it is dead"),
        sa.Column(
            "body",
            sa.Text(),
            nullable=True,
            comment="the signed body as text, without credentials; null once retention removed it",
        ),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "id"),
    )
    with op.batch_alter_table("inbox_event", schema=None) as batch_op:
        batch_op.create_index("inbox_event_arrival", ["id"], unique=False)
        batch_op.create_index("inbox_event_key", ["account_id", "idempotency_key"], unique=True)
        batch_op.create_index("inbox_event_meeting", ["meeting_id", "id"], unique=False)
        batch_op.create_index(
            "inbox_event_odd",
            ["state", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('dead', 'unhandled', 'ignored')"),
            postgresql_where=sa.text("state IN ('dead', 'unhandled', 'ignored')"),
        )
        batch_op.create_index(
            "inbox_event_pending",
            ["id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index("inbox_event_updated", ["updated_at"], unique=False)
        batch_op.create_index("inbox_event_uuid", ["uuid", "id"], unique=False)

    op.create_table(
        "instance",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column(
            "uuid", sa.Text(), autoincrement=False, nullable=False, comment="Zoom's uuid of this running, base64"
        ),
        sa.Column("meeting_id", sa.BigInteger(), nullable=True, comment="Zoom's number of the meeting"),
        sa.Column("kind", sa.Text(), nullable=True, comment="webinar or meeting"),
        sa.Column("type", sa.Integer(), nullable=True, comment="Zoom's type of the meeting when it ran"),
        sa.Column("topic", sa.Text(), nullable=True, comment="title when it ran"),
        sa.Column("host_id", sa.Text(), nullable=True, comment="Zoom user who owns it"),
        sa.Column("duration_minutes", sa.Integer(), nullable=True, comment="planned length when it ran, minutes"),
        sa.Column("started_at", UtcDateTime(), nullable=True, comment="actual start, UTC"),
        sa.Column(
            "started_is_inferred",
            sa.Boolean(),
            nullable=True,
            comment="true when no `started` arrived and the first sign of life counts",
        ),
        sa.Column("ended_at", UtcDateTime(), nullable=True, comment="actual end, UTC; null while it runs"),
        sa.Column("is_practice", sa.Boolean(), nullable=True, comment="true when Zoom says it was a practice session"),
        sa.Column(
            "occurrence_id",
            sa.Text(),
            nullable=True,
            comment="the occurrence it was; null when that cannot be said, see link_state",
        ),
        sa.Column(
            "link_state",
            sa.Text(),
            nullable=True,
            comment="confirmed, observed, inferred, conflict, ambiguous, unscheduled or rehearsal",
        ),
        sa.Column(
            "link_evidence", sa.Text(), nullable=True, comment="what the link rests on, JSON text with the candidates"
        ),
        sa.Column("observed_start", UtcDateTime(), nullable=True, comment="internal: time of its `started` event, UTC"),
        sa.Column(
            "stated_start", UtcDateTime(), nullable=True, comment="internal: `start_time` of its live events, UTC"
        ),
        sa.Column("first_seen_at", UtcDateTime(), nullable=True, comment="internal: earliest sign of life, UTC"),
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
        sa.PrimaryKeyConstraint("account_id", "uuid"),
    )
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.create_index(
            "instance_live",
            ["started_at"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index("instance_meeting", ["account_id", "meeting_id", "occurrence_id"], unique=False)
        batch_op.create_index(
            "instance_review",
            ["link_state"],
            unique=False,
            sqlite_where=sa.text("link_state IN ('conflict', 'ambiguous', 'unscheduled')"),
            postgresql_where=sa.text("link_state IN ('conflict', 'ambiguous', 'unscheduled')"),
        )
        batch_op.create_index("instance_updated", ["updated_at"], unique=False)

    op.create_table(
        "join_log",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column(
            "line_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="idempotency key of the event; `link:` and a number for a link decision",
        ),
        sa.Column(
            "seq", sa.BigInteger(), nullable=True, comment="order in which lines reached the log; newest is greatest"
        ),
        sa.Column("event_ts", UtcDateTime(), nullable=True, comment="when it happened, UTC"),
        sa.Column(
            "kind", sa.Text(), nullable=True, comment="joined, left, started, ended, registered, cancelled, link, ..."
        ),
        sa.Column("meeting_id", sa.BigInteger(), nullable=True, comment="Zoom's number of the meeting"),
        sa.Column("uuid", sa.Text(), nullable=True, comment="the instance"),
        sa.Column(
            "occurrence_id",
            sa.Text(),
            nullable=True,
            comment="the occurrence the line itself names; for live events ask the instance",
        ),
        sa.Column("registrant_id", sa.Text(), nullable=True, comment="the registrant"),
        sa.Column("connection_id", sa.Text(), nullable=True, comment="the connection"),
        sa.Column("name", sa.Text(), nullable=True, comment="name shown"),
        sa.Column("email", sa.Text(), nullable=True, comment="address, lower case, where Zoom shows it"),
        sa.Column(
            "detail", sa.Text(), nullable=True, comment="what else the line says, e.g. a leave reason or a link state"
        ),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "line_id"),
    )
    with op.batch_alter_table("join_log", schema=None) as batch_op:
        batch_op.create_index("join_log_kind", ["kind", "seq"], unique=False)
        batch_op.create_index("join_log_meeting", ["meeting_id", "seq"], unique=False)
        batch_op.create_index("join_log_seq", ["seq"], unique=False)
        batch_op.create_index("join_log_updated", ["updated_at"], unique=False)

    op.create_table(
        "link_history",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column("uuid", sa.Text(), autoincrement=False, nullable=False, comment="the instance"),
        sa.Column(
            "decided_at", UtcDateTime(), autoincrement=False, nullable=False, comment="when Joinlog decided, UTC"
        ),
        sa.Column("meeting_id", sa.BigInteger(), nullable=True, comment="Zoom's number of the meeting"),
        sa.Column(
            "from_occurrence_id",
            sa.Text(),
            nullable=True,
            comment="occurrence before; null at the first decision or when there was none",
        ),
        sa.Column(
            "to_occurrence_id", sa.Text(), nullable=True, comment="occurrence after; null when it cannot be said"
        ),
        sa.Column("state", sa.Text(), nullable=True, comment="link_state after"),
        sa.Column("evidence", sa.Text(), nullable=True, comment="what the decision rests on, JSON text"),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "uuid", "decided_at"),
    )
    with op.batch_alter_table("link_history", schema=None) as batch_op:
        batch_op.create_index("link_history_meeting", ["account_id", "meeting_id", "decided_at"], unique=False)
        batch_op.create_index("link_history_updated", ["updated_at"], unique=False)

    op.create_table(
        "link_statement",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column("uuid", sa.Text(), autoincrement=False, nullable=False, comment="the instance"),
        sa.Column("source", sa.Text(), autoincrement=False, nullable=False, comment="operator or zoom"),
        sa.Column("meeting_id", sa.BigInteger(), nullable=True, comment="Zoom's number of the meeting"),
        sa.Column(
            "occurrence_id",
            sa.Text(),
            nullable=True,
            comment="the occurrence they named; null once an operator took the word back",
        ),
        sa.Column("stated_by", sa.Text(), nullable=True, comment="who decided"),
        sa.Column("because", sa.Text(), nullable=True, comment="the reason they gave"),
        sa.Column("stated_at", UtcDateTime(), nullable=True, comment="when, UTC"),
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
        sa.PrimaryKeyConstraint("account_id", "uuid", "source"),
    )
    with op.batch_alter_table("link_statement", schema=None) as batch_op:
        batch_op.create_index("link_statement_meeting", ["account_id", "meeting_id"], unique=False)
        batch_op.create_index("link_statement_updated", ["updated_at"], unique=False)

    op.create_table(
        "meeting",
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
        sa.Column("kind", sa.Text(), nullable=True, comment="webinar or meeting"),
        sa.Column(
            "type", sa.Integer(), nullable=True, comment="Zoom's type: webinar 5, 6, 9; meeting 1, 2, 3, 4, 7, 8"
        ),
        sa.Column("topic", sa.Text(), nullable=True, comment="title as last stated"),
        sa.Column("host_id", sa.Text(), nullable=True, comment="Zoom user who owns it"),
        sa.Column("timezone", sa.Text(), nullable=True, comment="IANA zone in which it was scheduled"),
        sa.Column(
            "scheduled_start", UtcDateTime(), nullable=True, comment="start of the single session (types 5, 2), UTC"
        ),
        sa.Column("duration_minutes", sa.Integer(), nullable=True, comment="planned length, minutes"),
        sa.Column("recurrence", sa.Text(), nullable=True, comment="Zoom's recurrence rule, JSON text"),
        sa.Column(
            "registration_type",
            sa.Integer(),
            nullable=True,
            comment="1 once for all, 2 each occurrence, 3 once and choose",
        ),
        sa.Column(
            "deleted_at",
            UtcDateTime(),
            nullable=True,
            comment="when the series was deleted, UTC; null again once recovered",
        ),
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
        sa.PrimaryKeyConstraint("account_id", "meeting_id"),
    )
    with op.batch_alter_table("meeting", schema=None) as batch_op:
        batch_op.create_index("meeting_updated", ["updated_at"], unique=False)

    op.create_table(
        "occurrence",
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
            "occurrence_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom's occurrence_id; `single` for types 5, 2; the instance's uuid for types 6, 3, 1, 4",
        ),
        sa.Column(
            "scheduled_start",
            UtcDateTime(),
            nullable=True,
            comment="planned start, UTC; null when there is no fixed time",
        ),
        sa.Column("duration_minutes", sa.Integer(), nullable=True, comment="planned length, minutes"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=True,
            comment="available, deleted, retired (an edit of the series replaced it) or unknown (a link names it, Zoom never did)",
        ),
        sa.Column("original_start", UtcDateTime(), nullable=True, comment="planned start as first stated, UTC"),
        sa.Column("moves", sa.Integer(), nullable=True, comment="how often its planned start was changed"),
        sa.Column("instances", sa.Integer(), nullable=True, comment="how many instances are linked to it"),
        sa.Column(
            "held_from",
            UtcDateTime(),
            nullable=True,
            comment="start of its first instance, UTC; null when it was not held",
        ),
        sa.Column(
            "held_until", UtcDateTime(), nullable=True, comment="end of its last instance, UTC; null while one runs"
        ),
        sa.Column("link_state", sa.Text(), nullable=True, comment="least certain link_state among its instances"),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "meeting_id", "occurrence_id"),
    )
    with op.batch_alter_table("occurrence", schema=None) as batch_op:
        batch_op.create_index("occurrence_updated", ["updated_at"], unique=False)

    op.create_table(
        "occurrence_history",
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
            "occurrence_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="the occurrence it is about; `*` when the statement lists the whole series",
        ),
        sa.Column(
            "statement_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="idempotency key of the event; for mentions in registrations the value they mention",
        ),
        sa.Column(
            "source", sa.Text(), nullable=True, comment="listed, changed, replaced, deleted, recovered or mentioned"
        ),
        sa.Column("stated_at", UtcDateTime(), nullable=True, comment="when Zoom stated it first, UTC"),
        sa.Column("scheduled_start", UtcDateTime(), nullable=True, comment="planned start it gives, UTC"),
        sa.Column("duration_minutes", sa.Integer(), nullable=True, comment="planned length it gives, minutes"),
        sa.Column("status", sa.Text(), nullable=True, comment="status it gives"),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "meeting_id", "occurrence_id", "statement_id"),
    )
    with op.batch_alter_table("occurrence_history", schema=None) as batch_op:
        batch_op.create_index("occurrence_history_updated", ["updated_at"], unique=False)

    op.create_table(
        "participant",
        sa.Column(
            "account_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom account that owns the meeting; empty when the body did not say",
        ),
        sa.Column("uuid", sa.Text(), autoincrement=False, nullable=False, comment="the instance"),
        sa.Column(
            "connection_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom's user_id within the instance, else participant_uuid",
        ),
        sa.Column(
            "first_seen_at",
            UtcDateTime(),
            autoincrement=False,
            nullable=False,
            comment="joined_at, or left_at where no join was ever reported, UTC",
        ),
        sa.Column("meeting_id", sa.BigInteger(), nullable=True, comment="Zoom's number of the meeting"),
        sa.Column(
            "joined_at",
            UtcDateTime(),
            nullable=True,
            comment="start of the stay, UTC; null when only its end was reported",
        ),
        sa.Column("left_at", UtcDateTime(), nullable=True, comment="end of the stay, UTC; null while it lasts"),
        sa.Column(
            "left_is_inferred",
            sa.Boolean(),
            nullable=True,
            comment="true when no leave was reported and the instance's end counts",
        ),
        sa.Column("leave_reason", sa.Text(), nullable=True, comment="Zoom's words for why"),
        sa.Column("registrant_id", sa.Text(), nullable=True, comment="the registrant whose link was used"),
        sa.Column("zoom_user_id", sa.Text(), nullable=True, comment="signed-in Zoom user"),
        sa.Column("participant_uuid", sa.Text(), nullable=True, comment="Zoom's uuid of this connection"),
        sa.Column(
            "room_uuid", sa.Text(), nullable=True, comment="breakout room this stay was in; null for the main room"
        ),
        sa.Column("email", sa.Text(), nullable=True, comment="address, lower case, where Zoom shows it"),
        sa.Column("name", sa.Text(), nullable=True, comment="name shown; never identifies anybody"),
        sa.Column("role", sa.Text(), nullable=True, comment="host, co-host or attendee, as last stated"),
        sa.Column(
            "person_id",
            sa.Text(),
            nullable=True,
            comment="who it was within the meeting: registrant:, user:, email: or connection: and an id",
        ),
        sa.Column(
            "counts_from",
            UtcDateTime(),
            nullable=True,
            comment="when the stay begins to add to the person's time, UTC; null when their other stays cover it",
        ),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "uuid", "connection_id", "first_seen_at"),
    )
    with op.batch_alter_table("participant", schema=None) as batch_op:
        batch_op.create_index(
            "participant_email",
            ["account_id", "meeting_id", "email"],
            unique=False,
            sqlite_where=sa.text("email IS NOT NULL"),
            postgresql_where=sa.text("email IS NOT NULL"),
        )
        batch_op.create_index("participant_person", ["account_id", "meeting_id", "person_id", "left_at"], unique=False)
        batch_op.create_index("participant_registrant", ["account_id", "meeting_id", "registrant_id"], unique=False)
        batch_op.create_index("participant_updated", ["updated_at"], unique=False)

    op.create_table(
        "registrant",
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
            "registrant_id",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="Zoom's id of the registrant; `email:` and the address where Zoom gave none",
        ),
        sa.Column("email", sa.Text(), nullable=True, comment="address they signed up with, lower case"),
        sa.Column("first_name", sa.Text(), nullable=True, comment="first name"),
        sa.Column("last_name", sa.Text(), nullable=True, comment="last name"),
        sa.Column("status", sa.Text(), nullable=True, comment="approved, pending, denied or cancelled, as last stated"),
        sa.Column("registered_at", UtcDateTime(), nullable=True, comment="when they first signed up, UTC"),
        sa.Column(
            "custom_questions", sa.Text(), nullable=True, comment="their answers, JSON text: a list of title and value"
        ),
        sa.Column(
            "history",
            sa.Text(),
            nullable=True,
            comment="internal: every status stated and when, ms since 1970; status, since and until follow from it",
        ),
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
        sa.PrimaryKeyConstraint("account_id", "meeting_id", "registrant_id"),
    )
    with op.batch_alter_table("registrant", schema=None) as batch_op:
        batch_op.create_index("registrant_email", ["account_id", "meeting_id", "email"], unique=False)
        batch_op.create_index("registrant_updated", ["updated_at"], unique=False)

    op.create_table(
        "registration",
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
        sa.Column("registrant_id", sa.Text(), autoincrement=False, nullable=False, comment="the registrant"),
        sa.Column(
            "occurrence_id", sa.Text(), autoincrement=False, nullable=False, comment="the occurrence; `*` for all"
        ),
        sa.Column("status", sa.Text(), nullable=True, comment="approved, pending, denied or cancelled"),
        sa.Column("since", UtcDateTime(), nullable=True, comment="registered since, UTC"),
        sa.Column("until", UtcDateTime(), nullable=True, comment="cancelled or denied at, UTC; null while it stands"),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "meeting_id", "registrant_id", "occurrence_id"),
    )
    with op.batch_alter_table("registration", schema=None) as batch_op:
        batch_op.create_index("registration_occurrence", ["meeting_id", "occurrence_id", "account_id"], unique=False)
        batch_op.create_index("registration_updated", ["updated_at"], unique=False)

    op.create_table(
        "revoked_link",
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
            comment="id of the link, as `joinlog link --list` and the link itself carry it",
        ),
        sa.Column("revoked_at", UtcDateTime(), nullable=True, comment="when, UTC"),
        sa.Column(
            "updated_at",
            UtcDateTime(),
            nullable=True,
            comment="when this row last changed, UTC; follow changes with WHERE updated_at >= your last look",
        ),
        sa.PrimaryKeyConstraint("account_id", "link_id"),
    )
    with op.batch_alter_table("revoked_link", schema=None) as batch_op:
        batch_op.create_index("revoked_link_updated", ["updated_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("revoked_link", schema=None) as batch_op:
        batch_op.drop_index("revoked_link_updated")

    op.drop_table("revoked_link")
    with op.batch_alter_table("registration", schema=None) as batch_op:
        batch_op.drop_index("registration_updated")
        batch_op.drop_index("registration_occurrence")

    op.drop_table("registration")
    with op.batch_alter_table("registrant", schema=None) as batch_op:
        batch_op.drop_index("registrant_updated")
        batch_op.drop_index("registrant_email")

    op.drop_table("registrant")
    with op.batch_alter_table("participant", schema=None) as batch_op:
        batch_op.drop_index("participant_updated")
        batch_op.drop_index("participant_registrant")
        batch_op.drop_index("participant_person")
        batch_op.drop_index(
            "participant_email",
            sqlite_where=sa.text("email IS NOT NULL"),
            postgresql_where=sa.text("email IS NOT NULL"),
        )

    op.drop_table("participant")
    with op.batch_alter_table("occurrence_history", schema=None) as batch_op:
        batch_op.drop_index("occurrence_history_updated")

    op.drop_table("occurrence_history")
    with op.batch_alter_table("occurrence", schema=None) as batch_op:
        batch_op.drop_index("occurrence_updated")

    op.drop_table("occurrence")
    with op.batch_alter_table("meeting", schema=None) as batch_op:
        batch_op.drop_index("meeting_updated")

    op.drop_table("meeting")
    with op.batch_alter_table("link_statement", schema=None) as batch_op:
        batch_op.drop_index("link_statement_updated")
        batch_op.drop_index("link_statement_meeting")

    op.drop_table("link_statement")
    with op.batch_alter_table("link_history", schema=None) as batch_op:
        batch_op.drop_index("link_history_updated")
        batch_op.drop_index("link_history_meeting")

    op.drop_table("link_history")
    with op.batch_alter_table("join_log", schema=None) as batch_op:
        batch_op.drop_index("join_log_updated")
        batch_op.drop_index("join_log_seq")
        batch_op.drop_index("join_log_meeting")
        batch_op.drop_index("join_log_kind")

    op.drop_table("join_log")
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.drop_index("instance_updated")
        batch_op.drop_index(
            "instance_review",
            sqlite_where=sa.text("link_state IN ('conflict', 'ambiguous', 'unscheduled')"),
            postgresql_where=sa.text("link_state IN ('conflict', 'ambiguous', 'unscheduled')"),
        )
        batch_op.drop_index("instance_meeting")
        batch_op.drop_index(
            "instance_live", sqlite_where=sa.text("ended_at IS NULL"), postgresql_where=sa.text("ended_at IS NULL")
        )

    op.drop_table("instance")
    with op.batch_alter_table("inbox_event", schema=None) as batch_op:
        batch_op.drop_index("inbox_event_uuid")
        batch_op.drop_index("inbox_event_updated")
        batch_op.drop_index(
            "inbox_event_pending",
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.drop_index(
            "inbox_event_odd",
            sqlite_where=sa.text("state IN ('dead', 'unhandled', 'ignored')"),
            postgresql_where=sa.text("state IN ('dead', 'unhandled', 'ignored')"),
        )
        batch_op.drop_index("inbox_event_meeting")
        batch_op.drop_index("inbox_event_key")
        batch_op.drop_index("inbox_event_arrival")

    op.drop_table("inbox_event")
    with op.batch_alter_table("endpoint_validation", schema=None) as batch_op:
        batch_op.drop_index("endpoint_validation_updated")

    op.drop_table("endpoint_validation")
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.drop_index("connection_updated")
        batch_op.drop_index(
            "connection_registrant",
            sqlite_where=sa.text("registrant_id IS NOT NULL"),
            postgresql_where=sa.text("registrant_id IS NOT NULL"),
        )
        batch_op.drop_index(
            "connection_bound",
            sqlite_where=sa.text("bound_to IS NOT NULL"),
            postgresql_where=sa.text("bound_to IS NOT NULL"),
        )

    op.drop_table("connection")
    with op.batch_alter_table("account_departure", schema=None) as batch_op:
        batch_op.drop_index("account_departure_updated")

    op.drop_table("account_departure")
