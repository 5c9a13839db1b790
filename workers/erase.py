"""Erasing a person or an account: from the bodies in the inbox, and from the tables, in the same words.

Names, addresses and answers go. Rows, counts, idempotency keys and Zoom's opaque ids stay: reports add up as before,
an event that Zoom sends again is still known, and `joinlog rebuild` gives the erased tables.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import asdict
from sqlalchemy import Connection

from schema.known import BY_CONNECTION, BY_PERSON
from schema.rows import KEY_COLUMNS, Key, Row, key_of
from schema.store.database import Database
from schema.store.erase import (
    KeptBody,
    count_bodies,
    count_told_addresses,
    note_erased,
    read_bodies,
    read_by_account,
    read_by_column,
    read_by_email,
    read_mentions,
    rewrite,
    write_bodies,
)
from schema.store.erased import note_erased_account, note_erased_identifiers
from schema.store.feed import read_head
from schema.store.load import read_rows
from schema.store.shadow import stop_drains
from schema.tables import DERIVED
from schema.zoom.envelope import decode_document
from schema.zoom.erased import CONNECTION, EMAIL, OWN_KEY, REGISTRANT, SHARED_KEY, USER, Identifier
from schema.zoom.erasure import (
    ERASED,
    KEYS,
    STAFF_PSEUDONYMS,
    Subject,
    forget,
    forget_custom_keys,
    forget_key,
    pseudonym,
    without_addresses,
)
from schema.zoom.payloads import read_hosts
from workers.core.projection import PROJECTIONS
from workers.core.staff import DOMAIN

BATCH_BODIES = 500
BATCH_ROWS = 500
PAUSE_SECONDS = 0.005  # between two transactions: on SQLite intake writes in this gap

Progress = Callable[[int, int], None]

PERSONAL = {
    "registrant": ("first_name", "last_name", "custom_questions", "details"),
    "connection": ("name",),
    "participant": ("name",),
    "join_log": ("name",),
}
"""Columns that hold what a person is called or answered; `email` and `person_id` besides."""

OPAQUE = KEYS | {
    "account_id", "uuid", "connection_id", "person_id", "registrant_id", "statement_id", "line_id", "identifier",
}  # fmt: skip
"""Columns whose words are identifiers; an address in one stands after WITHOUT_ID."""

USER_IDS = ("zoom_user_id", "participant_id")
KEY_PREFIXES: Mapping[str, Callable[..., str]] = {
    "key": forget_key, "phone": forget_key, "keys": forget_custom_keys,
}  # fmt: skip
"""What begins the person_id that rests on such an identifier, and how that is forgotten."""

WITHOUT_ID = "email:"
"""What begins the id of a registrant, or of a person, whom Zoom gave none."""

LEFT_OUT = ("last_name", "custom_questions", "details")  # an erased body does not have them at all

OF_ACCOUNT = {"meeting": ("topic",), "instance": ("topic",)}

REWRITTEN = (*DERIVED, "link_history")
"""Tables in whose words somebody's address may stand."""


@dataclass(frozen=True)
class Erased:
    """How many bodies and rows were rewritten, and what of them may be left in files beyond our reach."""

    bodies: int
    rows: int
    remains: str | None = None


def erase_person(
    database: Database,
    email: str,
    on_progress: Progress = lambda _done, _total: None,
    staff_domains: Collection[str] = (),
) -> Erased:
    """Erase the person behind an address, in every account."""
    with database.read() as connection:
        told = read_head(connection)
        subject, own_keys = _identify(connection, email.strip().lower(), frozenset(staff_domains))
    note_erased_identifiers(database, _identifiers_of(subject, own_keys), datetime.now(UTC))
    bodies = _erase_bodies(database, None, subject, on_progress)
    rows = 0
    for table in REWRITTEN:
        with database.read() as connection:
            theirs = _rows_of(connection, table, subject) if table in PERSONAL else {}
            mentions = _mentions_of(connection, table, subject)
        rows += _erase_rows(database, table, list(theirs), subject, is_theirs=True)
        others = sorted(mentions.keys() - theirs.keys())
        rows += _erase_rows(database, table, others, subject, is_theirs=False)
    return Erased(bodies, rows, _what_remains(database, {*subject.emails, *subject.keys}, told))


def erase_account(
    database: Database,
    account_id: str,
    on_progress: Progress = lambda _done, _total: None,
    staff_domains: Collection[str] = (),
) -> Erased:
    """Erase everybody in an account, and what its meetings are called.

    Dead letters whose account cannot be read go when they mention the account.
    """
    note_erased_account(database, account_id, datetime.now(UTC))
    subject = Subject(secrets.token_bytes(32), is_everybody=True, staff_domains=frozenset(staff_domains))
    bodies = _erase_bodies(database, account_id, subject, on_progress)
    with database.read() as connection:
        told = read_head(connection)
    rows = 0
    for table in REWRITTEN:
        after: Key | None = None
        while True:
            with database.write() as connection:
                stop_drains(connection)
                batch = read_by_account(connection, table, account_id, after, BATCH_ROWS)
                rows += _rewrite(connection, table, batch, subject, is_theirs=True)
            if not batch:
                break
            after = key_of(table, batch[-1])
            time.sleep(PAUSE_SECONDS)
    with database.write() as connection:
        note_erased(connection, account_id, datetime.now(UTC))
    return Erased(bodies, rows, _what_remains(database, (), told))


def _what_remains(database: Database, words: Iterable[str], told: int) -> str | None:
    """What may be left in files, and in the feed since a number."""
    with database.read() as connection:
        named = count_told_addresses(connection, told)
    remains = database.scrub(words)
    if not named:
        return remains
    says = (
        f"The change feed names {named} erased rows by an address, since Zoom had given no id: so that downstream "
        "systems can erase them, too, it does until FEED_RETENTION_DAYS are over."
    )
    return f"{says} {remains}" if remains else says


def _identify(connection: Connection, email: str, staff_domains: frozenset[str]) -> tuple[Subject, set[str]]:
    """Everything Zoom called the person behind an address, and every connection of theirs, bound ones included.

    And which of the subject's keys are nobody else's.
    """
    registrants = read_by_email(connection, "registrant", email)
    connections = read_by_email(connection, "connection", email)
    registrant_ids = {row.registrant_id for row in (*registrants, *connections) if row.registrant_id}
    connections += read_by_column(connection, "connection", "registrant_id", registrant_ids)
    connections = _of_one_person(connection, connections)
    user_ids: set[str] = set()
    own_keys: set[str] = set()
    for columns in (USER_IDS, *((name,) for name in sorted(KEYS))):
        found, own = _also_shown_by(connection, connections, columns)
        connections += found
        if columns is USER_IDS:
            user_ids = own
        else:
            own_keys |= own
    connections = _of_one_person(connection, connections)
    subject = Subject(
        salt=secrets.token_bytes(32),
        emails=frozenset({email} | {row.email for row in connections if row.email}),
        registrant_ids=frozenset(name for name in registrant_ids if not name.startswith(WITHOUT_ID)),
        user_ids=frozenset(user_ids),
        connections=frozenset((row.uuid, row.connection_id) for row in connections),
        keys=frozenset(_values(connections, KEYS)),
        staff_domains=staff_domains,
    )
    return subject, own_keys


def _identifiers_of(subject: Subject, own_keys: set[str]) -> set[Identifier]:
    """What a later answer of Zoom's API may name them by."""
    found = {(EMAIL, address) for address in subject.emails}
    found |= {(REGISTRANT, name) for name in subject.registrant_ids}
    found |= {(USER, name) for name in subject.user_ids}
    found |= {(CONNECTION, f"{uuid} {name}") for uuid, name in subject.connections}
    return found | {(OWN_KEY if key in own_keys else SHARED_KEY, key) for key in subject.keys}


def _values(connections: Iterable[Any], columns: Iterable[str]) -> set[str]:
    return {value for row in connections for name in columns if (value := getattr(row, name)) is not None}


def _people_behind(connection: Connection, connections: Iterable[Any]) -> dict[Key, Key]:
    """The person of each connection that has stays, within its meeting."""
    keys = sorted({key_of("connection", row) for row in connections})
    stays: list[Any] = read_rows(connection, "participant", BY_CONNECTION, keys)
    return {
        (row.account_id, row.uuid, row.connection_id): (row.account_id, row.meeting_id, row.person_id)
        for row in stays
        if row.meeting_id
    }


def _of_one_person(connection: Connection, connections: Sequence[Any]) -> list[Any]:
    """These connections, and the others of the people behind them."""
    people = sorted(set(_people_behind(connection, connections).values()))
    stays: list[Any] = read_rows(connection, "participant", BY_PERSON, people)
    known = {key_of("connection", row): row for row in connections}
    others = {(row.account_id, row.uuid, row.connection_id) for row in stays} - known.keys()
    found: list[Any] = read_rows(connection, "connection", BY_CONNECTION, sorted(others))
    return [*known.values(), *found]


def _also_shown_by(
    connection: Connection, connections: Sequence[Any], columns: Sequence[str]
) -> tuple[list[Any], set[str]]:
    """Connections of any meeting that show identifiers that are theirs alone, and these.

    One that somebody else shows, too, in one of their meetings is not theirs alone: a shared account.
    """
    people = set(_people_behind(connection, connections).values())
    meetings = {person[:2] for person in people}
    found: list[Any] = []
    for name in columns:
        found += read_by_column(connection, "connection", name, _values(connections, columns))
    behind = _people_behind(connection, found)
    shared: set[str] = set()
    for row in found:
        person = behind.get(key_of("connection", row))
        if person is not None and person[:2] in meetings and person not in people:
            shared |= _values([row], columns)
    own = _values(connections, columns) - shared
    return [row for row in found if not _values([row], columns) & shared], own


def _erase_bodies(database: Database, account_id: str | None, subject: Subject, on_progress: Progress) -> int:
    """Rewrite bodies in slices: other writers have their turn between two transactions."""
    with database.read() as connection:
        total = count_bodies(connection, account_id)
    done, erased, after = 0, 0, (0, "")
    while True:
        with database.write() as connection:
            batch = read_bodies(connection, account_id, after, BATCH_BODIES)
            rewritten = [kept for kept in (_forgotten(kept, subject, account_id) for kept in batch) if kept is not None]
            write_bodies(connection, rewritten, datetime.now(UTC))
        done, erased = done + len(batch), erased + len(rewritten)
        on_progress(done, max(total, done))
        if len(batch) < BATCH_BODIES:  # not "until there is none": under load there is always a new one
            return erased
        after = (batch[-1].id, batch[-1].account_id)
        time.sleep(PAUSE_SECONDS)


def _forgotten(kept: KeptBody, subject: Subject, account_id: str | None) -> KeptBody | None:
    """The body without what is personal; None when there was nothing in it."""
    if account_id is not None and kept.account_id != account_id and account_id not in kept.body:
        return None
    try:
        document = decode_document(kept.body)
    except (ValueError, RecursionError):  # a dead letter: nothing in it can be told apart, so nothing of it stays
        text = json.dumps({"erased": True})
        is_about = kept.body != text and (subject.is_everybody or subject.is_in(kept.body))
        return kept._replace(body=text) if is_about else None
    forgotten = forget(document, subject, is_projected=kept.event_type in PROJECTIONS)
    return None if forgotten == document else kept._replace(body=msgspec.json.encode(forgotten).decode())


def _rows_of(connection: Connection, table: str, subject: Subject) -> dict[Key, Any]:
    """The rows of a table that are about the subject."""
    found = [row for email in sorted(subject.emails) for row in read_by_email(connection, table, email)]
    found += read_by_column(connection, table, "registrant_id", subject.registrant_ids)
    if table != "registrant":
        uuids = {uuid for uuid, _ in subject.connections}
        rows = read_by_column(connection, table, "uuid", uuids)
        found += [row for row in rows if (row.uuid, row.connection_id) in subject.connections]
    return {key_of(table, row): row for row in found}


def _erase_rows(database: Database, table: str, keys: Sequence[Key], subject: Subject, *, is_theirs: bool) -> int:
    """Rewrite the rows with these keys in slices, each as it is when its turn comes; says how many changed."""
    rows = 0
    for place in range(0, len(keys), BATCH_ROWS):
        with database.write() as connection:
            stop_drains(connection)
            found = read_rows(connection, table, KEY_COLUMNS[table], keys[place : place + BATCH_ROWS])
            rows += _rewrite(connection, table, found, subject, is_theirs=is_theirs)
        time.sleep(PAUSE_SECONDS)
    return rows


def _mentions_of(connection: Connection, table: str, subject: Subject) -> dict[Key, Any]:
    """The rows of a table that name an address or a key of the subject, whomever they are about."""
    found = [row for email in sorted(subject.emails) for row in read_mentions(connection, table, email)]
    if table == "connection":
        for name in sorted(KEYS):
            found += read_by_column(connection, table, name, subject.keys)
    if table == "participant":
        ids = [f"{prefix}:{key}" for prefix in KEY_PREFIXES for key in subject.keys]
        found += read_by_column(connection, table, "person_id", ids)
    return {key_of(table, row): row for row in found}


def _rewrite(connection: Connection, table: str, rows: Sequence[Row], subject: Subject, *, is_theirs: bool) -> int:
    """Write rows as they would be had Zoom sent the erased bodies; says how many changed."""
    changed = [(row, after) for row in rows if (after := _erased(table, row, subject, is_theirs=is_theirs)) != row]
    rewrite(connection, table, changed, datetime.now(UTC), is_theirs=is_theirs)
    return len(changed)


def _erased(table: str, row: Row, subject: Subject, *, is_theirs: bool) -> Row:
    before = asdict(row)
    after = {
        name: without_addresses(value, subject) if isinstance(value, str) and name not in OPAQUE else value
        for name, value in before.items()
    }
    if table == "connection":
        after["leaves"] = tuple(
            leave._replace(reason=without_addresses(leave.reason, subject)) for leave in before["leaves"]
        )
    if is_theirs:
        for column in (*PERSONAL.get(table, ()), *(OF_ACCOUNT.get(table, ()) if subject.is_everybody else ())):
            if before.get(column) is not None:
                after[column] = None if column in LEFT_OUT else ERASED
        if table == "registrant":
            after |= _without_parts(before, after)
        if before.get("email"):
            after["email"] = pseudonym(before["email"], subject)
    if table == "connection":
        for column in KEYS:
            if (value := before[column]) is not None:
                forgotten = forget_custom_keys if column == "custom_keys" else forget_key
                after[column] = forgotten(value, subject, is_theirs=is_theirs)
    if table == "participant" and after["staff_as"] == DOMAIN and after["email"] != before["email"]:
        after["staff_as"] = DOMAIN if after["email"].endswith(f"@{STAFF_PSEUDONYMS}") else None
    if table == "meeting" and after["alternative_hosts"] is not None:
        after["alternative_hosts"] = read_hosts(after["alternative_hosts"])
    for column in ("person_id", "registrant_id", "identifier"):
        if isinstance(before.get(column), str):
            after[column] = _identifier(before[column], subject, is_theirs=is_theirs)
    return type(row)(**after)


def _identifier(value: str, subject: Subject, *, is_theirs: bool) -> str:
    """An identifier of ours, with a pseudonym for the address or key in it."""
    kind, _, key = value.partition(":")
    if kind in KEY_PREFIXES:
        return f"{kind}:{KEY_PREFIXES[kind](key, subject, is_theirs=is_theirs)}"
    prefix, found, address = value.rpartition(WITHOUT_ID)
    if found and (is_theirs or address in subject.emails):
        return f"{prefix}{WITHOUT_ID}{pseudonym(address, subject)}"
    return value


def _without_parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The name of a registrant whose last name and answers Zoom would not have stated."""
    stamps = dict(before["stamps"])
    first_name = after["first_name"]
    if before["last_name"] is not None and first_name is None:
        first_name, stamps["first_name"] = ERASED, stamps["last_name"]
    for column in LEFT_OUT:
        stamps.pop(column, None)
    return {"first_name": first_name, "stamps": stamps}
