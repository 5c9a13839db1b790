"""The tables downstream systems read. Each column says what it holds, in which unit; Postgres shows it as a comment.

Every primary key begins with `account_id`, so that accounts can be erased whole and the tables can be distributed.
There are no foreign keys and every column outside a key may be null: Zoom sends children before parents.
A change here is a migration and a CHANGELOG line; `schema/README.md` is the contract and a test holds it to this.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, MetaData, Table, Text
from sqlmodel import Field, SQLModel

from schema.store.dialect import Real, UtcDateTime, partial_index


def _key(comment: str, sa_type: Any = Text) -> Any:
    return Field(
        primary_key=True, nullable=False, sa_type=sa_type, sa_column_kwargs={"comment": comment, "autoincrement": False}
    )


def _column(comment: str, sa_type: Any = Text) -> Any:
    return Field(default=None, nullable=True, sa_type=sa_type, sa_column_kwargs={"comment": comment})


ACCOUNT = "Zoom account that owns the meeting; empty when the body did not say"
UPDATED = "when this row last changed, UTC; follow changes with WHERE updated_at >= your last look"
STAMPS = "internal: when Zoom stated each value, ms since 1970, so that late news cannot undo newer"
HISTORY = "internal: every status stated and when, ms since 1970; status, since and until follow from it"


class InboxEvent(SQLModel, table=True):
    """Every event ever accepted, with its body: the truth from which all other tables can be rebuilt."""

    __tablename__ = "inbox_event"
    account_id: str = _key(ACCOUNT)
    id: int = _key("microseconds since 1970 at acceptance, made unique: arrival order", BigInteger)
    idempotency_key: str = Field(
        nullable=False,
        sa_type=Text,
        sa_column_kwargs={"comment": "hash of account, type, time and payload; two deliveries of one event share it"},
    )
    event_type: str | None = _column(
        "Zoom's name of the event, e.g. webinar.started; null when the body was unreadable"
    )
    event_ts: datetime | None = _column("when it happened, as Zoom says, UTC", UtcDateTime)
    meeting_id: int | None = _column("number of the meeting it is about", BigInteger)
    uuid: str | None = _column("uuid of the instance it is about")
    received_at: datetime | None = _column("when its first delivery was accepted, UTC", UtcDateTime)
    last_delivered_at: datetime | None = _column("when its last delivery was accepted, UTC", UtcDateTime)
    processed_at: datetime | None = _column("when it reached the tables or was given its last state, UTC", UtcDateTime)
    deliveries: int | None = _column("accepted deliveries, repeats included", Integer)
    tracking_id: str | None = _column("x-zm-trackingid of the first delivery, for Zoom's support")
    state: str | None = _column("pending, done, ignored, unhandled or dead")
    error: str | None = _column("why it is dead")
    body: str | None = _column("the signed body as text, without credentials; null once retention removed it")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    request_id: str | None = _column("x-zm-request-id of the first delivery, as Zoom's own delivery log names it")
    source: str | None = _column(
        "webhook, api, zoom_log or joinlog; null for those kept before there was anything but webhooks"
    )
    __table_args__ = (
        Index("inbox_event_key", "account_id", "idempotency_key", unique=True),
        partial_index("inbox_event_pending", "id", where="state = 'pending'"),
        partial_index("inbox_event_odd", "state", "id", where="state IN ('dead', 'unhandled', 'ignored')"),
        Index("inbox_event_arrival", "id"),
        Index("inbox_event_meeting", "meeting_id", "id"),
        Index("inbox_event_uuid", "uuid", "id"),
        Index("inbox_event_updated", "updated_at"),
    )


class Meeting(SQLModel, table=True):
    """The series Zoom numbers with `id`; a webinar is a meeting whose kind is webinar."""

    __tablename__ = "meeting"
    account_id: str = _key(ACCOUNT)
    meeting_id: int = _key("Zoom's number of the meeting", BigInteger)
    kind: str | None = _column("webinar or meeting")
    type: int | None = _column("Zoom's type: webinar 5, 6, 9; meeting 1, 2, 3, 4, 7, 8", Integer)
    topic: str | None = _column("title as last stated")
    host_id: str | None = _column("Zoom user who owns it")
    timezone: str | None = _column("IANA zone in which it was scheduled")
    scheduled_start: datetime | None = _column("start of the single session (types 5, 2), UTC", UtcDateTime)
    duration_minutes: int | None = _column("planned length, minutes", Integer)
    recurrence: str | None = _column("Zoom's recurrence rule, JSON text")
    registration_type: int | None = _column("1 once for all, 2 each occurrence, 3 once and choose", Integer)
    deleted_at: datetime | None = _column("when the series was deleted, UTC; null again once recovered", UtcDateTime)
    stamps: str | None = _column(STAMPS)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    alternative_hosts: str | None = _column("addresses of the alternative hosts, lower case, each within semicolons")
    pmi: int | None = _column("the host's personal meeting id, where Zoom tells it", BigInteger)
    uses_pmi: bool | None = _column("true when it runs under the host's personal meeting id", Boolean)
    pmi_uses: str | None = _column("internal: every statement whether it does and when, JSON text, ms since 1970")
    room_id: int | None = _column("the personal meeting id its instances run or ran under; null for none", BigInteger)
    __table_args__ = (
        partial_index("meeting_room", "account_id", "room_id", where="room_id IS NOT NULL"),
        Index("meeting_updated", "updated_at"),
    )


class Occurrence(SQLModel, table=True):
    """One scheduled date, as the schedule stands now; `occurrence_history` tells how it stood at any moment."""

    __tablename__ = "occurrence"
    account_id: str = _key(ACCOUNT)
    meeting_id: int = _key("Zoom's number of the meeting", BigInteger)
    occurrence_id: str = _key("Zoom's occurrence_id; `single` for types 5, 2; the instance's uuid for types 6, 3, 1, 4")
    scheduled_start: datetime | None = _column("planned start, UTC; null when there is no fixed time", UtcDateTime)
    duration_minutes: int | None = _column("planned length, minutes", Integer)
    status: str | None = _column(
        "available, deleted, retired (an edit of the series replaced it) or unknown (a link names it, Zoom never did)"
    )
    original_start: datetime | None = _column("planned start as first stated, UTC", UtcDateTime)
    moves: int | None = _column("how often its planned start was changed", Integer)
    instances: int | None = _column("how many instances are linked to it", Integer)
    held_from: datetime | None = _column("start of its first instance, UTC; null when it was not held", UtcDateTime)
    held_until: datetime | None = _column("end of its last instance, UTC; null while one runs", UtcDateTime)
    link_state: str | None = _column("least certain link_state among its instances")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    held_milliseconds: int | None = _column(
        "how long its instances ran, overlaps once, milliseconds; null while one runs", BigInteger
    )
    __table_args__ = (Index("occurrence_updated", "updated_at"),)


class OccurrenceHistory(SQLModel, table=True):
    """What Zoom stated about the schedule, one row per statement and occurrence; never changed afterwards."""

    __tablename__ = "occurrence_history"
    account_id: str = _key(ACCOUNT)
    meeting_id: int = _key("Zoom's number of the meeting", BigInteger)
    occurrence_id: str = _key("the occurrence it is about; `*` when the statement lists the whole series")
    statement_id: str = _key("idempotency key of the event; for mentions in registrations the value they mention")
    source: str | None = _column("listed, changed, replaced, deleted, recovered or mentioned")
    stated_at: datetime | None = _column("when Zoom stated it first, UTC", UtcDateTime)
    scheduled_start: datetime | None = _column("planned start it gives, UTC", UtcDateTime)
    duration_minutes: int | None = _column("planned length it gives, minutes", Integer)
    status: str | None = _column("status it gives")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("occurrence_history_updated", "updated_at"),)


class Instance(SQLModel, table=True):
    """One actual running, on record the moment it starts, and the occurrence it turned out to be."""

    __tablename__ = "instance"
    account_id: str = _key(ACCOUNT)
    uuid: str = _key("Zoom's uuid of this running, base64")
    meeting_id: int | None = _column("Zoom's number of the meeting", BigInteger)
    kind: str | None = _column("webinar or meeting")
    type: int | None = _column("Zoom's type of the meeting when it ran", Integer)
    topic: str | None = _column("title when it ran")
    host_id: str | None = _column("Zoom user who owns it")
    duration_minutes: int | None = _column("planned length when it ran, minutes", Integer)
    started_at: datetime | None = _column("actual start, UTC", UtcDateTime)
    started_is_inferred: bool | None = _column(
        "true when no `started` arrived and the first sign of life counts", Boolean
    )
    ended_at: datetime | None = _column("actual end, UTC; null while it runs", UtcDateTime)
    is_practice: bool | None = _column("true when Zoom says it was a practice session", Boolean)
    occurrence_id: str | None = _column("the occurrence it was; null when that cannot be said, see link_state")
    link_state: str | None = _column("confirmed, observed, inferred, conflict, ambiguous, unscheduled or rehearsal")
    link_evidence: str | None = _column("what the link rests on, JSON text with the candidates")
    observed_start: datetime | None = _column("internal: time of its `started` event, UTC", UtcDateTime)
    stated_start: datetime | None = _column("internal: `start_time` of its live events, UTC", UtcDateTime)
    first_seen_at: datetime | None = _column("internal: earliest sign of life, UTC", UtcDateTime)
    stamps: str | None = _column(STAMPS)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    reported_start: datetime | None = _column("internal: start as Zoom's API states it, UTC", UtcDateTime)
    final_at: datetime | None = _column(
        "since when Zoom's record of it is final: two readings of its report agreed, UTC; null before", UtcDateTime
    )
    reported_participants: int | None = _column("how many took part, as Zoom's API counts them", Integer)
    reported_absentees: int | None = _column("how many had registered and did not come, as Zoom's API says", Integer)
    stays_both: int | None = _column("stays that webhooks and Zoom's report tell, when it was last audited", Integer)
    stays_webhook_only: int | None = _column("stays that only webhooks tell, when it was last audited", Integer)
    stays_report_only: int | None = _column("stays that only Zoom's report tells, when it was last audited", Integer)
    webhooks_expected: int | None = _column("webhooks there should have been, when it was last audited", Integer)
    webhooks_lost: int | None = _column("how many of them never came", Integer)
    webhooks_lost_by_event: str | None = _column("the same by event, JSON text")
    ran_under: int | None = _column(
        "the personal meeting id its events named, where it was an occurrence of another meeting",
        BigInteger,
    )
    __table_args__ = (
        partial_index("instance_ran_under", "account_id", "ran_under", where="ran_under IS NOT NULL"),
        Index("instance_meeting", "account_id", "meeting_id", "occurrence_id"),
        Index("instance_updated", "updated_at"),
        partial_index("instance_live", "started_at", where="ended_at IS NULL"),
        partial_index("instance_lossy", "final_at", where="webhooks_lost > 0"),
        partial_index("instance_review", "link_state", where="link_state IN ('conflict', 'ambiguous', 'unscheduled')"),
    )


class Registrant(SQLModel, table=True):
    """A person who signed up for a meeting."""

    __tablename__ = "registrant"
    account_id: str = _key(ACCOUNT)
    meeting_id: int = _key("Zoom's number of the meeting", BigInteger)
    registrant_id: str = _key("Zoom's id of the registrant; `email:` and the address where Zoom gave none")
    email: str | None = _column("address they signed up with, lower case")
    first_name: str | None = _column("first name")
    last_name: str | None = _column("last name")
    status: str | None = _column("approved, pending, denied or cancelled, as last stated")
    registered_at: datetime | None = _column("when they first signed up, UTC", UtcDateTime)
    custom_questions: str | None = _column("their answers, JSON text: a list of title and value")
    history: str | None = _column(HISTORY)
    stamps: str | None = _column(STAMPS)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    details: str | None = _column("what else they told: org, job_title, phone and so on, JSON text")
    __table_args__ = (
        partial_index("registrant_email", "account_id", "meeting_id", "email", where="email IS NOT NULL"),
        Index("registrant_updated", "updated_at"),
    )


class Registration(SQLModel, table=True):
    """That person's registration for one occurrence, or for all of them."""

    __tablename__ = "registration"
    account_id: str = _key(ACCOUNT)
    meeting_id: int = _key("Zoom's number of the meeting", BigInteger)
    registrant_id: str = _key("the registrant")
    occurrence_id: str = _key("the occurrence; `*` for all")
    status: str | None = _column("approved, pending, denied or cancelled")
    since: datetime | None = _column("registered since, UTC", UtcDateTime)
    until: datetime | None = _column("cancelled or denied at, UTC; null while it stands", UtcDateTime)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (
        # account_id last: where there are no statistics yet, this must not look as good as the key for one registrant
        Index("registration_occurrence", "meeting_id", "occurrence_id", "account_id", "registrant_id"),
        Index("registration_updated", "updated_at"),
    )


class Connection(SQLModel, table=True):
    """Everything Zoom said of one connection to an instance; `participant` follows from it."""

    __tablename__ = "connection"
    account_id: str = _key(ACCOUNT)
    uuid: str = _key("the instance")
    connection_id: str = _key("Zoom's user_id within the instance, else participant_uuid")
    meeting_id: int | None = _column("Zoom's number of the meeting", BigInteger)
    joins: str | None = _column("internal: every stated join, JSON text of ms since 1970")
    leaves: str | None = _column("internal: every stated leave and its reason, JSON text, ms since 1970")
    participant_uuid: str | None = _column("Zoom's uuid of this connection")
    bound_to: str | None = _column(
        "connection of the same person: of a telephone, or the main room's of a breakout room"
    )
    room_uuid: str | None = _column("breakout room")
    registrant_id: str | None = _column("the registrant whose link was used")
    zoom_user_id: str | None = _column("signed-in Zoom user: participant_user_id")
    email: str | None = _column("address, lower case, where Zoom shows it")
    name: str | None = _column("name shown, as last stated; never identifies anybody")
    role: str | None = _column("host, co-host or attendee; who was made staff for a while stays so here")
    stamps: str | None = _column(STAMPS)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    reported: str | None = _column("internal: every stay of Zoom's report, JSON text of pairs, ms since 1970")
    participant_id: str | None = _column("Zoom's `id` of the participant, unless it is known to be participant_user_id")
    customer_key: str | None = _column("key that an app built on Zoom's SDK gave them")
    custom_keys: str | None = _column("keys that an app gave them, JSON text: a list of [key, value], sorted")
    phone_number: str | None = _column("telephone number they called from")
    bind_participant_uuid: str | None = _column("participant_uuid of the connection that a telephone is bound to")
    parent_user_id: str | None = _column("the main room's connection of a breakout room's")
    before_host: bool | None = _column("true when Zoom says they came before the host", Boolean)
    ran_under: int | None = _column("as in table instance; null where meeting_id is what its events named", BigInteger)
    __table_args__ = (
        partial_index("connection_before_host", "account_id", "uuid", where="before_host"),
        partial_index("connection_bound", "account_id", "uuid", where="bound_to IS NOT NULL"),
        partial_index(
            "connection_registrant", "account_id", "uuid", "registrant_id", where="registrant_id IS NOT NULL"
        ),
        partial_index(
            "connection_participant", "account_id", "uuid", "participant_uuid", where="participant_uuid IS NOT NULL"
        ),
        *(
            partial_index(f"connection_{name}", "account_id", "meeting_id", name, where=f"{name} IS NOT NULL")
            for name in ("zoom_user_id", "participant_id", "email", "customer_key", "custom_keys", "phone_number")
        ),
        partial_index(
            "connection_without_stay",
            "account_id",
            "meeting_id",
            "registrant_id",
            where="joins IS NULL AND leaves IS NULL AND reported IS NULL AND registrant_id IS NOT NULL",
        ),
        Index("connection_updated", "updated_at"),
    )


class Participant(SQLModel, table=True):
    """One stay of one connection: joined, left."""

    __tablename__ = "participant"
    account_id: str = _key(ACCOUNT)
    uuid: str = _key("the instance")
    connection_id: str = _key("Zoom's user_id within the instance, else participant_uuid")
    first_seen_at: datetime = _key("joined_at, or left_at where no join was ever reported, UTC", UtcDateTime)
    meeting_id: int | None = _column("Zoom's number of the meeting", BigInteger)
    joined_at: datetime | None = _column("start of the stay, UTC; null when only its end was reported", UtcDateTime)
    left_at: datetime | None = _column("end of the stay, UTC; null while it lasts", UtcDateTime)
    left_is_inferred: bool | None = _column("true when no leave was reported and the instance's end counts", Boolean)
    leave_reason: str | None = _column("Zoom's words for why")
    registrant_id: str | None = _column("the registrant whose link was used")
    zoom_user_id: str | None = _column("signed-in Zoom user")
    participant_uuid: str | None = _column("Zoom's uuid of this connection")
    room_uuid: str | None = _column("breakout room this stay was in; null for the main room")
    email: str | None = _column("address, lower case, where Zoom shows it")
    name: str | None = _column("name shown; never identifies anybody")
    role: str | None = _column("host, co-host or attendee; who was made staff for a while stays so here")
    person_id: str | None = _column(
        "who it was within the meeting: registrant:, user:, email:, key:, keys:, phone: or connection: and an id"
    )
    counts_from: datetime | None = _column(
        "when the stay begins to add to the person's time, UTC; null when their other stays cover it", UtcDateTime
    )
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    participant_id: str | None = _column("Zoom's `id` of the participant, unless it is known to be participant_user_id")
    staff_as: str | None = _column("co-host, panelist or staff domain, where that makes them staff")
    __table_args__ = (
        Index("participant_person", "account_id", "meeting_id", "person_id", "left_at"),
        partial_index(
            "participant_registrant", "account_id", "meeting_id", "registrant_id", where="registrant_id IS NOT NULL"
        ),
        Index("participant_updated", "updated_at"),
    )


class Staff(SQLModel, table=True):
    """Who runs a meeting, as Zoom's API tells; co-hosts and hosts by their ids are known without it."""

    __tablename__ = "staff"
    account_id: str = _key(ACCOUNT)
    meeting_id: int = _key("Zoom's number of the meeting", BigInteger)
    identifier: str = _key("who: user: and Zoom's user id, or email: and an address in lower case")
    source: str = _key("who says so: zoom")
    role: str | None = _column("host, alternative host or panelist; null once they are not")
    stamps: str | None = _column(STAMPS)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("staff_updated", "updated_at"),)


class LinkStatement(SQLModel, table=True):
    """Which occurrence an instance was, as an operator or Zoom said; the newest word of each counts."""

    __tablename__ = "link_statement"
    account_id: str = _key(ACCOUNT)
    uuid: str = _key("the instance")
    source: str = _key("operator or zoom")
    meeting_id: int | None = _column("Zoom's number of the meeting", BigInteger)
    occurrence_id: str | None = _column("the occurrence they named; null once an operator took the word back")
    stated_by: str | None = _column("who decided")
    because: str | None = _column("the reason they gave")
    stated_at: datetime | None = _column("when, UTC", UtcDateTime)
    stamps: str | None = _column(STAMPS)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (
        Index("link_statement_meeting", "account_id", "meeting_id"),
        Index("link_statement_updated", "updated_at"),
    )


class LinkHistory(SQLModel, table=True):
    """Every decision about a link, and every change of one."""

    __tablename__ = "link_history"
    account_id: str = _key(ACCOUNT)
    uuid: str = _key("the instance")
    decided_at: datetime = _key("when Joinlog decided, UTC", UtcDateTime)
    meeting_id: int | None = _column("Zoom's number of the meeting", BigInteger)
    from_occurrence_id: str | None = _column("occurrence before; null at the first decision or when there was none")
    to_occurrence_id: str | None = _column("occurrence after; null when it cannot be said")
    state: str | None = _column("link_state after")
    evidence: str | None = _column("what the decision rests on, JSON text")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    from_state: str | None = _column("link_state before; null at the first decision")
    stated_occurrence_id: str | None = _column(
        "what Zoom stated, where this is the first decision that knew it; `none` for no occurrence"
    )
    __table_args__ = (
        Index("link_history_meeting", "account_id", "meeting_id", "decided_at"),
        partial_index("link_history_stated", "from_state", where="stated_occurrence_id IS NOT NULL"),
        Index("link_history_updated", "updated_at"),
    )


class JoinLog(SQLModel, table=True):
    """The live join log: one line per event people care about, and one per link decision."""

    __tablename__ = "join_log"
    account_id: str = _key(ACCOUNT)
    line_id: str = _key("idempotency key of the event; `link:` and a number for a link decision")
    seq: int | None = _column("order in which lines reached the log; newest is greatest", BigInteger)
    event_ts: datetime | None = _column("when it happened, UTC", UtcDateTime)
    kind: str | None = _column("joined, left, started, ended, registered, cancelled, link, ...")
    meeting_id: int | None = _column("Zoom's number of the meeting", BigInteger)
    uuid: str | None = _column("the instance")
    occurrence_id: str | None = _column("the occurrence the line itself names; for live events ask the instance")
    registrant_id: str | None = _column("the registrant")
    connection_id: str | None = _column("the connection")
    name: str | None = _column("name shown")
    email: str | None = _column("address, lower case, where Zoom shows it")
    detail: str | None = _column("what else the line says, e.g. a leave reason or a link state")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (
        Index("join_log_seq", "seq"),
        Index("join_log_meeting", "meeting_id", "seq"),
        Index("join_log_kind", "kind", "seq"),
        Index("join_log_updated", "updated_at"),
    )


class EndpointValidation(SQLModel, table=True):
    """Zoom's checks of the endpoint: they belong to a secret, not to an account, and are never kept in the inbox."""

    __tablename__ = "endpoint_validation"
    account_id: str = _key("always empty: a validation does not name an account")
    secret_fingerprint: str = _key("first 12 hex digits of the SHA-256 of the secret token that verified it")
    validated_at: datetime | None = _column("when Zoom's last url_validation was answered, UTC", UtcDateTime)
    validations: int | None = _column("how many were answered", Integer)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("endpoint_validation_updated", "updated_at"),)


class AccountDeparture(SQLModel, table=True):
    """Accounts that removed the app; they are erased once the grace period is over."""

    __tablename__ = "account_departure"
    account_id: str = _key(ACCOUNT)
    deauthorized_at: datetime | None = _column("when the account removed the app, UTC", UtcDateTime)
    erased_at: datetime | None = _column("when its personal data was erased, UTC", UtcDateTime)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("account_departure_updated", "updated_at"),)


class RevokedLink(SQLModel, table=True):
    """Page links that were revoked before they expired."""

    __tablename__ = "revoked_link"
    account_id: str = _key("always empty: a page link is not of one account")
    link_id: str = _key("id of the link, as `joinlog access list` and the page link itself carry it")
    revoked_at: datetime | None = _column("when, UTC", UtcDateTime)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("revoked_link_updated", "updated_at"),)


class PageLink(SQLModel, table=True):
    """Page links that were made, without what opens a page; those in revoked_link open nothing any more."""

    __tablename__ = "page_link"
    account_id: str = _key("always empty: a page link is not of one account")
    link_id: str = _key("id of the link, as `joinlog access list` and the page link itself carry it")
    role: str | None = _column("viewer or operator")
    meeting_id: int | None = _column("the meeting it opens, and no other; null for all of them", BigInteger)
    occurrence_id: str | None = _column("the occurrence it opens, and nothing else; null for the whole meeting")
    made_by: str | None = _column("the command and the user who ran it, or the id of the operator's own page link")
    made_at: datetime | None = _column("when it was made, UTC", UtcDateTime)
    expires_at: datetime | None = _column("when it ends by itself, UTC", UtcDateTime)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("page_link_updated", "updated_at"), Index("page_link_expiry", "expires_at"))


class ApiAccess(SQLModel, table=True):
    """What Zoom's API lets the app of each account do, as a worker found it last."""

    __tablename__ = "api_access"
    account_id: str = _key("Zoom account whose credentials are set")
    read_at: datetime | None = _column("when a worker asked last, UTC", UtcDateTime)
    scopes: str | None = _column("the scopes that are granted, a space between two; null when no token was had")
    events: str | None = _column(
        "the events its apps are subscribed to, a space between two; null when it was not told"
    )
    error: str | None = _column("why it was not told; null when it was")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("api_access_updated", "updated_at"),)


class ProcessMetric(SQLModel, table=True):
    """What workers and clocks counted, for `/metrics` of the web process; several of one kind add up in one row."""

    __tablename__ = "process_metric"
    account_id: str = _key("always empty: a process is not of one account")
    process: str = _key("worker or clock")
    name: str = _key("the metric, as Prometheus knows it")
    labels: str = _key("its labels, JSON text")
    kind: str | None = _column("counter or gauge")
    help: str | None = _column("what it tells")
    value: float | None = _column("of a counter the sum since the table was made; of a gauge the newest value", Real)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("process_metric_updated", "updated_at"),)


class Leader(SQLModel, table=True):
    """Which of several processes does what only one may, and until when, unless it says so again."""

    __tablename__ = "leader"
    account_id: str = _key("always empty: a process is not of one account")
    duty: str = _key("what one process does for all: clock")
    holder: str | None = _column("the process that does it: host, process id and a random part")
    held_until: datetime | None = _column("when others may take over, UTC, by the database's clock", UtcDateTime)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("leader_updated", "updated_at"),)


class TablesVersion(SQLModel, table=True):
    """Which versions of Joinlog can work on these tables, for those that were there before them."""

    __tablename__ = "tables_version"
    account_id: str = _key("always empty: tables are not of one account")
    oldest_revision: str | None = _column("versions that need an earlier revision than this cannot use these tables")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("tables_version_updated", "updated_at"),)


class ApiPace(SQLModel, table=True):
    """How far the calls to Zoom's API are spent, so that all processes together stay below an account's limits."""

    __tablename__ = "api_pace"
    account_id: str = _key("Zoom account whose limits these are")
    tier: str = _key("light, medium or heavy, as Zoom labels its endpoints")
    next_ms: int | None = _column("when the next call may be made, ms since 1970", BigInteger)
    day: str | None = _column("the day, UTC, whose calls are counted")
    calls: int | None = _column("calls made on that day", Integer)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("api_pace_updated", "updated_at"),)


class ApiTask(SQLModel, table=True):
    """What Zoom's API was asked, and when it answered completely: a killed `joinlog sync` goes on from here."""

    __tablename__ = "api_task"
    account_id: str = _key("Zoom account that is asked about")
    kind: str = _key("event its answer is kept as; `sync` for a whole run")
    subject: str = _key("meeting, instance or days it is about; what a run was asked for")
    done_at: datetime | None = _column(
        "when it was last answered completely; null while a run goes on, UTC", UtcDateTime
    )
    begun_at: datetime | None = _column("when a run began, UTC", UtcDateTime)
    said: str | None = _column("SHA-256 of the last answer")
    said_ms: int | None = _column("since when Zoom answers that, ms since 1970", BigInteger)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    repeats: int | None = _column("how often Zoom has answered the same since", Integer)
    __table_args__ = (Index("api_task_updated", "updated_at"),)


class ApiErrand(SQLModel, table=True):
    """What a worker is to ask Zoom's API by itself, and when; found again here whatever becomes of Redis."""

    __tablename__ = "api_errand"
    account_id: str = _key("Zoom account that is asked about")
    kind: str = _key("series, ended, history or delivery_log; `look` for when somebody last looked")
    subject: str = _key("number of the meeting, days, or id of the app")
    due_at: datetime | None = _column("when to ask, UTC; null when there is nothing left to ask", UtcDateTime)
    taken_until: datetime | None = _column("a worker is at it, and has until then, UTC", UtcDateTime)
    begun_at: datetime | None = _column(
        "since when it is tried; answers since then are not asked for again", UtcDateTime
    )
    tries: int | None = _column("how often it was tried since then", Integer)
    error: str | None = _column("what is missing, as the last try found; null when nothing is")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (
        partial_index("api_errand_due", "due_at", where="due_at IS NOT NULL"),
        Index("api_errand_updated", "updated_at"),
    )


class ErasedIdentifier(SQLModel, table=True):
    """Who was erased, as keyed hashes: what Zoom's API tells of them later is left out before it is kept."""

    __tablename__ = "erased_identifier"
    account_id: str = _key("empty for a person, who is erased in every account; the account that was erased whole")
    kind: str = _key("email, registrant, user, connection, key or shared_key; everybody; `secret` for the key")
    digest: str = _key("HMAC of the identifier; of `secret` the key itself, which was drawn here; of everybody empty")
    erased_at: datetime | None = _column(
        "when, UTC; of `secret` when anybody was last erased; null while nobody was", UtcDateTime
    )
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("erased_identifier_updated", "updated_at"),)


class EndpointObservation(SQLModel, table=True):
    """What web processes and the clock noticed of the endpoint, for whoever judges whether something is wrong."""

    __tablename__ = "endpoint_observation"
    account_id: str = _key("always empty: what is refused does not name an account")
    kind: str = _key("unknown_secret, clock_skew, or judged: the clock looked at every condition")
    first_at: datetime | None = _column("the first of this episode, UTC", UtcDateTime)
    last_at: datetime | None = _column("the last one, UTC", UtcDateTime)
    deliveries: int | None = _column("how many in this episode", Integer)
    seconds: float | None = _column("of clock_skew: how far our clock is ahead of Zoom's", Real)
    secrets: str | None = _column("of unknown_secret: fingerprints of the secrets that were set, sorted, by commas")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("endpoint_observation_updated", "updated_at"),)


class AlertState(SQLModel, table=True):
    """How each condition stands, and who was told: so that a restart tells nobody twice."""

    __tablename__ = "alert"
    account_id: str = _key("always empty: a condition is of the whole installation")
    condition: str = _key("its name, as `joinlog alerts` lists it")
    begun_at: datetime | None = _column("since when it holds, or held, UTC", UtcDateTime)
    says: str | None = _column("what is wrong, in words")
    cleared_at: datetime | None = _column("since when it does not hold, UTC; null while it does", UtcDateTime)
    told_at: datetime | None = _column("when somebody was last told that it holds, UTC", UtcDateTime)
    told: int | None = _column("how often", Integer)
    over_told_at: datetime | None = _column("when somebody was told that it is over, UTC", UtcDateTime)
    sending_until: datetime | None = _column("until when the worker that sends has it to itself, UTC", UtcDateTime)
    error: str | None = _column("why nobody could be told the last time")
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("alert_updated", "updated_at"),)


class ChangeFeed(SQLModel, table=True):
    """The change feed: every change of a row of the other tables, numbered without a gap in the order of commits."""

    __tablename__ = "change"
    seq: int = _key("number of the change; nothing new ever appears below one that somebody has seen", BigInteger)
    changed_at: datetime | None = _column("when the change was decided, UTC", UtcDateTime)
    account_id: str | None = _column(ACCOUNT)
    table_name: str | None = _column("table of the row that changed")
    row_key: str | None = _column("its key after account_id, in the order of the table's key, JSON text of a list")
    operation: str | None = _column("upsert: it is there now, new or changed; delete: it is gone")
    __table_args__ = ({"sqlite_with_rowid": False},)


class ChangeHead(SQLModel, table=True):
    """The last number of the change feed. Whoever numbers changes holds this row until the commit."""

    __tablename__ = "change_head"
    account_id: str = _key("always empty: the feed is of the whole installation")
    seq: int | None = _column("the last number that was given", BigInteger)
    notifies: bool | None = _column("true when each batch is told by NOTIFY, on Postgres", Boolean)


class PushEndpointRow(SQLModel, table=True):
    """How far each address of PUSH_URLS has been told, and how it answers."""

    __tablename__ = "push_endpoint"
    account_id: str = _key("always empty: an endpoint is told of the whole installation")
    endpoint: str = _key("first 12 hex digits of the SHA-256 of its address")
    address: str | None = _column("scheme and host of its address; the rest may carry a token")
    after: int | None = _column("number of the change up to which it has been told", BigInteger)
    until: int | None = _column(
        "number up to which what it is told next reaches; null when that is not fixed", BigInteger
    )
    tries: int | None = _column("how often in a row it did not take the notice that is next", Integer)
    retry_at: datetime | None = _column("when that is tried again, UTC", UtcDateTime)
    off_at: datetime | None = _column("since when nothing is sent any more, UTC; null while it is on", UtcDateTime)
    error: str | None = _column("what went wrong the last time; null when nothing did")
    delivered: int | None = _column("notices it took", Integer)
    failed: int | None = _column("attempts that failed", Integer)
    delivered_at: datetime | None = _column("when it last took one, UTC", UtcDateTime)
    held_by: str | None = _column("the worker that tells it")
    held_until: datetime | None = _column("until when that worker has it to itself, UTC", UtcDateTime)
    updated_at: datetime | None = _column(UPDATED, UtcDateTime)
    __table_args__ = (Index("push_endpoint_updated", "updated_at"),)


METADATA: MetaData = SQLModel.metadata
TABLES: dict[str, Table] = dict(METADATA.tables)

DERIVED = (
    "meeting", "occurrence", "occurrence_history", "instance", "registrant", "registration", "connection",
    "participant", "staff", "link_statement", "join_log", "account_departure",
)  # fmt: skip
"""Tables that `joinlog rebuild` recomputes from the inbox. `link_history` is only ever added to."""

FED = (*DERIVED, "link_history")
"""Tables whose changes the feed tells."""

OF_FEED = ("change", "change_head")
"""The feed itself: its numbers are of the whole installation, and its order is theirs."""
