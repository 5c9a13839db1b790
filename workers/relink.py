"""Linking, brought to the tables: what the evidence is, for the instances whose evidence changed, and what changed.

The decision itself is pure and lives in `workers.core.linking`. It is paid once per touched instance and batch, never
per participant, and not at all for meetings a batch does not touch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from schema.log_kinds import LogKind
from schema.store.rows import delete_rows, key_of, read_rows, write_rows
from schema.store.tables import Vote, read_instances_of, read_votes
from workers.core.linking import Decision, MeetingFacts, RanInstance, Seen, Voter, Word, link_instances
from workers.core.merge import Key, Row, decode_stamps
from workers.core.schedule import occurrence_rows, read_statements

MeetingKey = tuple[str, int]
BY_MEETING = ("account_id", "meeting_id")
BY_INSTANCE = ("account_id", "uuid")
NEIGHBOUR_MAX = timedelta(days=4)  # instances further apart than this do not bear on each other's links
Tables = Mapping[str, Mapping[Key, Row]]


@dataclass(frozen=True)
class Touched:
    """What a batch changed that links may rest on, by key."""

    runs: set[Key]  # instances that began, ended or turned out to be something else; they bear on their neighbours
    instances: set[Key]  # instances in which new people were seen, or about which somebody said something
    meetings: set[Key]  # meetings whose schedule changed
    registrants: Sequence[tuple[str, int, str]]  # people whose registration changed


def relink(connection: Connection, touched: Touched, merged: Tables, now: datetime) -> dict[Key, Row]:
    """Decide again where the evidence changed; returns the rows of `instance` whose link is not what it was."""
    seen_in = read_instances_of(connection, touched.registrants) if touched.registrants else []
    wanted = {*touched.runs, *touched.instances, *seen_in}
    if not (wanted or touched.meetings):
        return {}
    instances = _read_instances(connection, wanted, touched.meetings, merged.get("instance", {}))
    meetings = _read_meetings(connection, instances, touched.meetings)
    concerned = _concerned(instances, wanted, touched)
    decisions = _decide(connection, concerned, instances, meetings)
    decided = _write_decisions(connection, instances, decisions, now)
    _write_occurrences(connection, meetings, {**instances, **decided}, now)
    return decided


@dataclass
class _Meeting:
    """A meeting with everything Zoom stated about its schedule."""

    row: Row
    facts: MeetingFacts


def _read_instances(
    connection: Connection, wanted: set[Key], meetings: set[Key], own: Mapping[Key, Row]
) -> dict[Key, Row]:
    """Every instance of the meetings concerned: as merged in this batch where they are, else as kept."""
    found = {key_of("instance", row): row for row in read_rows(connection, "instance", sorted(wanted - own.keys()))}
    found |= own
    concerned = {
        *meetings,
        *((found[key]["account_id"], found[key].get("meeting_id")) for key in wanted & found.keys()),
    }
    for row in read_rows(connection, "instance", concerned, by=BY_MEETING):
        found.setdefault(key_of("instance", row), row)
    return {
        key: row if key in own else row | {"stamps": decode_stamps("instance", row)}
        for key, row in found.items()
        if key in wanted or (row["account_id"], row.get("meeting_id")) in concerned
    }


def _concerned(instances: Mapping[Key, Row], wanted: set[Key], touched: Touched) -> set[Key]:
    """The instances to decide: those touched, those of a touched schedule, and those that ran about the same time."""
    beside: set[Key] = set()
    for run in touched.runs:
        row = instances[run]
        beside |= {
            key
            for key, other in instances.items()
            if (other["account_id"], other.get("meeting_id")) == (row["account_id"], row.get("meeting_id"))
            and abs(other["started_at"] - row["started_at"]) <= NEIGHBOUR_MAX
        }
    planned = {key for key, row in instances.items() if (row["account_id"], row.get("meeting_id")) in touched.meetings}
    return (wanted & instances.keys()) | beside | planned


def _read_meetings(connection: Connection, instances: Mapping[Key, Row], touched: set[Key]) -> dict[Key, _Meeting]:
    named = {(row["account_id"], row["meeting_id"]) for row in instances.values() if row.get("meeting_id") is not None}
    wanted = sorted({*named, *touched})
    statements: dict[Key, list[Row]] = {}
    for row in read_rows(connection, "occurrence_history", wanted, by=BY_MEETING):
        statements.setdefault((row["account_id"], row["meeting_id"]), []).append(row)
    rows = {key_of("meeting", row): row for row in read_rows(connection, "meeting", wanted)}
    meetings = {}
    for key in wanted:
        row = rows.get(key, {"account_id": key[0], "meeting_id": key[1]})
        meetings[key] = _Meeting(
            row,
            MeetingFacts(
                type=row.get("type"),
                duration_minutes=row.get("duration_minutes"),
                registration_type=row.get("registration_type"),
                statements=read_statements(statements.get(key, ())),
            ),
        )
    return meetings


def _write_occurrences(
    connection: Connection, meetings: Mapping[Key, _Meeting], instances: Mapping[Key, Row], now: datetime
) -> None:
    """The rows of `occurrence` that follow from the schedule and from the instances linked to it."""
    existing: dict[Key, dict[Key, Row]] = {key: {} for key in meetings}
    for row in read_rows(connection, "occurrence", meetings, by=BY_MEETING):
        existing[row["account_id"], row["meeting_id"]][key_of("occurrence", row)] = row
    by_meeting = _by_meeting(instances)
    written: list[Row] = []
    gone: list[Key] = []
    for key, meeting in meetings.items():
        ran = [instances[instance] for instance in by_meeting.get(key, ())]
        rows = occurrence_rows(key[0], meeting.row, meeting.facts.statements, ran)
        after = {key_of("occurrence", row): row for row in rows}
        for row_key, row in after.items():
            before = existing[key].get(row_key)
            if before is None or any(before[column] != value for column, value in row.items()):
                written.append(row | {"updated_at": now})
        gone += existing[key].keys() - after.keys()
    delete_rows(connection, "occurrence", gone)
    write_rows(connection, "occurrence", written)


def _by_meeting(instances: Mapping[Key, Row]) -> dict[Key, list[Key]]:
    by_meeting: dict[Key, list[Key]] = {}
    for key, row in instances.items():
        by_meeting.setdefault((row["account_id"], row.get("meeting_id")), []).append(key)
    return by_meeting


def _decide(
    connection: Connection, concerned: set[Key], instances: Mapping[Key, Row], meetings: Mapping[Key, _Meeting]
) -> dict[Key, Decision]:
    """The decision for each instance concerned, by key."""
    said: dict[str, dict[Key, Word]] = {"operator": {}, "zoom": {}}
    for word in read_rows(connection, "link_statement", sorted(concerned), by=BY_INSTANCE):
        if word["occurrence_id"] is not None:
            said[word["source"]][word["account_id"], word["uuid"]] = _word(word)
    seen = _read_seen(connection, {key: instances[key] for key in sorted(concerned)})
    decisions: dict[Key, Decision] = {}
    for meeting_key, keys in _by_meeting(instances).items():
        runs = {key: _run(instances[key]) for key in keys}
        meeting = meetings.get(meeting_key)
        facts = replace(meeting.facts, instances=tuple(runs.values())) if meeting else MeetingFacts()
        here = [key for key in keys if key in concerned]
        decided = link_instances(
            [runs[key] for key in here],
            facts,
            {key[1]: seen[key] for key in here},
            {key[1]: said["operator"][key] for key in here if key in said["operator"]},
            {key[1]: said["zoom"][key] for key in here if key in said["zoom"]},
        )
        decisions |= {key: decided[key[1]] for key in here}
    return decisions


def _read_seen(connection: Connection, instances: Mapping[Key, Row]) -> dict[Key, Seen]:
    """The registrants in each instance, and what the registrations that stood when it started name."""
    asked = read_votes(connection, [(key[0], key[1]) for key in instances])
    return {
        key: Seen(votes.registrants, _voters(votes.named, instances[key]["started_at"])) for key, votes in asked.items()
    }


def _voters(votes: Iterable[Vote], started_at: datetime) -> list[Voter]:
    """The people of these votes, with what stood when the instance started."""
    by_person: dict[str, list[Vote]] = {}
    for vote in votes:
        standing = by_person.setdefault(vote.registrant_id, [])
        if vote.until is None or vote.until > started_at:
            standing.append(vote)
    return [
        Voter(
            registrant_id,
            frozenset(vote.occurrence_id for vote in standing),
            min((vote.since for vote in standing if vote.since is not None), default=None),
        )
        for registrant_id, standing in by_person.items()
    ]


def _write_decisions(
    connection: Connection, instances: Mapping[Key, Row], decisions: Mapping[Key, Decision], now: datetime
) -> dict[Key, Row]:
    """Enter what changed into the link history and the join log; returns the rows of `instance` to be written."""
    rows: dict[Key, Row] = {}
    diary: list[Row] = []
    lines: list[Row] = []
    for key, decision in decisions.items():
        row = instances[key]
        evidence = msgspec.json.encode(decision.evidence, order="sorted").decode()
        link = {"occurrence_id": decision.occurrence_id, "link_state": decision.state.value, "link_evidence": evidence}
        before = {column: row.get(column) for column in link}
        if before == link:
            continue
        rows[key] = row | link
        if (before["occurrence_id"], before["link_state"]) != (link["occurrence_id"], link["link_state"]):
            diary.append(_diary_row(key, row, before, link, now))
            lines.append(_line_row(key, row, link, now, len(lines)))
    write_rows(connection, "link_history", diary)
    write_rows(connection, "join_log", lines)
    return rows


def _diary_row(key: Key, row: Row, before: Row, link: Row, now: datetime) -> Row:
    return {
        "account_id": key[0],
        "uuid": key[1],
        "decided_at": now,
        "meeting_id": row.get("meeting_id"),
        "from_occurrence_id": before["occurrence_id"],
        "to_occurrence_id": link["occurrence_id"],
        "state": link["link_state"],
        "evidence": link["link_evidence"],
        "updated_at": now,
    }


def _line_row(key: Key, row: Row, link: Row, now: datetime, place: int) -> Row:
    microseconds = int(now.timestamp() * 1_000_000)
    return {
        "account_id": key[0],
        "line_id": f"link:{key[1]}:{microseconds}",
        "seq": microseconds + place,
        "event_ts": now,
        "kind": LogKind.LINK.value,
        "meeting_id": row.get("meeting_id"),
        "uuid": key[1],
        "occurrence_id": link["occurrence_id"],
        "detail": link["link_state"],
        "updated_at": now,
    }


def _run(row: Row) -> RanInstance:
    return RanInstance(
        uuid=row["uuid"],
        started_at=row["started_at"],
        ended_at=row.get("ended_at"),
        is_practice=bool(row.get("is_practice")),
        type=row.get("type"),
        duration_minutes=row.get("duration_minutes"),
    )


def _word(row: Row) -> Word:
    return Word(row["occurrence_id"], row["stated_at"], row.get("stated_by"), row.get("because"))
