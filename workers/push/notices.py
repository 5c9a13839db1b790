"""Which notices a part of the change feed makes. What is there is read; what it means is decided from values.

A notice is about something that happened, and its id follows from that: the same however often it is told.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from schema.change import Operation
from schema.states import LinkState
from schema.store.database import Database
from schema.store.feed import FedChange
from schema.store.instances import read_occurrence_of
from schema.store.reports import read_occurrence_report
from workers.push.posting import Notice

STARTED, LINKED, ENDED = "instance.started", "instance.linked", "instance.ended"
DECIDE, REPORT = "link.needs_decision", "occurrence.report"
REGISTRANT, ERASED = "registrant.changed", "person.erased"
NOTICES: Mapping[str, str] = {
    STARTED: "an instance runs; again when its start turns out to be another",
    LINKED: "which occurrence an instance was, by which state and evidence; again when that changes",
    ENDED: "an instance is over; again when its end turns out to be another",
    DECIDE: "a person has to decide which occurrence an instance was; with the candidates",
    REPORT: "the figures of an occurrence that is over; again when they change; is_final says that they will not",
    REGISTRANT: "somebody registered, or their registration changed",
    ERASED: "somebody was erased: remove what you keep of these registrants and connections",
}
"""Every type of notice, and what it tells."""

UNDECIDED = frozenset({LinkState.CONFLICT, LinkState.AMBIGUOUS, LinkState.UNSCHEDULED})
OF_PEOPLE = ("email", "first_name", "last_name")
OPERATORS = ("by", "because")
FIGURES = (
    "account_id", "meeting_id", "occurrence_id", "scheduled_start", "state", "instances", "held_from", "held_until",
    "registrants", "attended", "no_shows", "walk_ins", "unidentified", "participants", "staff", "peak_concurrent",
    "attended_minutes", "is_final",
)  # fmt: skip
EMAIL_ID = "email:"
REMEMBERED_MAX = 20_000  # then all is forgotten: what is told again has the id it had

Occurrence = tuple[str, int, str]
Rows = Mapping[str, Any]


class Notices:
    """Derives notices for one endpoint, and remembers what was told, so that only what changed is told again."""

    def __init__(self, database: Database, events: frozenset[str], *, is_personal: bool) -> None:
        self._database = database
        self._events = events
        self._is_personal = is_personal
        self._told: dict[Any, str] = {}

    def of(self, changes: Iterable[FedChange]) -> list[Notice]:
        """The notices of a part of the feed, in its order. Raises SQLAlchemyError."""
        told = list(changes)
        found = [*self._instances(told), *self._links(told), *self._people(told)]
        if REPORT in self._events:
            found += self._reports(told)
        return sorted((notice for notice in found if notice.type in self._events), key=lambda notice: notice.seq)

    def remember(self, notice: Notice) -> None:
        """It was told."""
        if notice.remembered is not None:
            if len(self._told) >= REMEMBERED_MAX:
                self._told.clear()
            self._told[notice.remembered[0]] = notice.remembered[1]

    def forget(self) -> None:
        """Tell everything again: somebody else told in between, or it is to be told again."""
        self._told.clear()

    def _instances(self, changes: Iterable[FedChange]) -> Iterator[Notice]:
        for change in _last_of(changes, "instance"):
            row = change.row or {}
            about = {name: row.get(name) for name in ("account_id", "meeting_id", "uuid", "started_at", "ended_at")}
            for type_, moment in ((STARTED, row.get("started_at")), (ENDED, row.get("ended_at"))):
                key = (type_, row.get("account_id"), row.get("uuid"))
                if moment is not None and self._told.get(key) != moment:
                    yield _notice(type_, (*key[1:], moment), change.seq, about, (key, moment))

    def _links(self, changes: Iterable[FedChange]) -> Iterator[Notice]:
        for change in changes:
            if change.table != "link_history" or change.row is None:
                continue
            row = change.row
            evidence = json.loads(row["evidence"] or "{}")
            if not self._is_personal and isinstance(said := evidence.get("operator"), dict):
                evidence["operator"] = {name: value for name, value in said.items() if name not in OPERATORS}
            about = {name: row[name] for name in ("account_id", "meeting_id", "uuid", "decided_at", "state")}
            about |= {"occurrence_id": row["to_occurrence_id"], "evidence": evidence}
            type_ = DECIDE if row["state"] in UNDECIDED else LINKED
            yield _notice(type_, (row["account_id"], row["uuid"], row["decided_at"]), change.seq, about)

    def _people(self, changes: list[FedChange]) -> Iterator[Notice]:
        gone: dict[tuple[str, int | None], dict[str, Any]] = {}
        for change in changes:
            if change.table in ("registrant", "connection") and change.operation == Operation.DELETE:
                about = gone.setdefault(
                    (change.key["account_id"], change.meeting_id), {"registrants": [], "connections": []}
                )
                about["seq"] = change.seq
                if change.table == "registrant":
                    about["registrants"].append(self._shown_id(change.key["registrant_id"]))
                else:
                    about["connections"].append([change.key["uuid"], change.key["connection_id"]])
        for (account_id, meeting_id), about in gone.items():
            seq = about.pop("seq")
            about |= {"account_id": account_id, "meeting_id": meeting_id}
            yield _notice(ERASED, (seq, account_id, meeting_id), seq, about)
        for change in _last_of(changes, "registrant"):
            if change.row is not None:
                names = ("account_id", "meeting_id", "registrant_id", "status", "registered_at")
                about = {name: change.row[name] for name in (*names, *(OF_PEOPLE if self._is_personal else ()))}
                about["registrant_id"] = self._shown_id(about["registrant_id"])
                yield _notice(REGISTRANT, (change.seq,), change.seq, about)

    def _shown_id(self, registrant_id: str) -> str:
        """A registrant's id; where it is an address, what may be told of it."""
        if self._is_personal or not registrant_id.startswith(EMAIL_ID):
            return registrant_id
        return EMAIL_ID + hashlib.sha256(registrant_id.removeprefix(EMAIL_ID).encode()).hexdigest()

    def _reports(self, changes: Iterable[FedChange]) -> Iterator[Notice]:
        touched: dict[Occurrence, int] = {}
        uuids: dict[tuple[str, str], int] = {}
        for change in changes:
            row = change.row or change.key
            account_id = row["account_id"]
            if change.table in ("occurrence", "instance", "registration") and row.get("occurrence_id") not in (
                None,
                "*",
            ):
                touched[account_id, row["meeting_id"], row["occurrence_id"]] = change.seq
            elif change.table == "participant":
                uuids[account_id, row["uuid"]] = change.seq
        with self._database.read() as connection:
            for (account_id, uuid), seq in uuids.items():
                for meeting_id, occurrence_id in read_occurrence_of(connection, account_id, uuid):
                    key = (account_id, meeting_id, occurrence_id)
                    touched[key] = max(seq, touched.get(key, 0))
            for key, seq in touched.items():
                for row in read_occurrence_report(connection, *key):
                    figures = {name: row[name] for name in FIGURES}
                    text = _text(figures)
                    if row["held_until"] is not None and self._told.get((REPORT, key)) != text:
                        yield _notice(REPORT, (seq, *key), seq, figures, ((REPORT, key), text))


def _last_of(changes: Iterable[FedChange], table: str) -> list[FedChange]:
    """The last change of each row of a table that is there."""
    last = {
        tuple(change.key.values()): change for change in changes if change.table == table and change.row is not None
    }
    return list(last.values())


def _notice(
    type_: str, about: tuple[Any, ...], seq: int, data: Rows, remembered: tuple[Any, str] | None = None
) -> Notice:
    name = hashlib.sha256(_text([type_, *about]).encode()).hexdigest()[:32]
    return Notice(f"msg_{name}", type_, seq, _text({"type": type_, "seq": seq, "data": data}), remembered)


def _text(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
