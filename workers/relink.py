"""Linking, brought to the tables: what the evidence is, for the instances whose evidence changed, and what changed.

The decision itself is pure and lives in `workers.linking`. It is paid once per touched instance and batch, never per
participant, and not at all for meetings a batch does not touch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from schema.store.rows import delete_rows, key_of, read_rows, write_rows
from schema.store.tables import InstanceKey, read_instances_of, read_votes
from workers.linking import Decision, MeetingFacts, RunInstance, Voter, Word, link_instances
from workers.merge import Key, Row, decode_stamps
from workers.schedule import NO_SCHEDULE_TYPES, occurrence_rows, read_statements

MeetingKey = tuple[str, int]
BY_MEETING = ("account_id", "meeting_id")
BY_INSTANCE = ("account_id", "uuid")
Tables = Mapping[str, Mapping[Key, Row]]


@dataclass(frozen=True)
class Touched:
    """What a batch changed that links may rest on, by key."""

    instances: set[Key]
    meetings: set[Key]
    registrants: Sequence[tuple[str, int, str]]


def relink(connection: Connection, touched: Touched, merged: Tables, now: datetime) -> dict[Key, Row]:
    """Decide again where the evidence changed; returns the rows of `instance` whose link is not what it was."""
    seen_in = read_instances_of(connection, touched.registrants) if touched.registrants else []
    if not (touched.instances or touched.meetings or seen_in):
        return {}
    instances = _read_instances(connection, touched, seen_in, merged)
    meetings = _read_meetings(connection, instances, touched)
    _write_occurrences(connection, meetings, instances, touched, now)
    decisions = _decide(connection, instances, meetings)
    return _write_decisions(connection, instances, decisions, now)


@dataclass
class _Meeting:
    """A meeting with everything Zoom stated about its schedule."""

    row: Row
    facts: MeetingFacts


def _read_instances(
    connection: Connection, touched: Touched, seen_in: Iterable[InstanceKey], merged: Tables
) -> dict[Key, Row]:
    """The rows to decide: as merged in this batch where they are, else as kept."""
    own = merged.get("instance", {})
    wanted = {*touched.instances, *seen_in}
    rows = read_rows(connection, "instance", sorted(wanted - own.keys()))
    rows += read_rows(connection, "instance", sorted(touched.meetings), by=BY_MEETING)
    found = {key_of("instance", row): row | {"stamps": decode_stamps("instance", row)} for row in rows}
    for key, row in own.items():
        if key in wanted or (row["account_id"], row.get("meeting_id")) in touched.meetings:
            found[key] = row
    return found


def _read_meetings(connection: Connection, instances: Mapping[Key, Row], touched: Touched) -> dict[Key, _Meeting]:
    wanted = sorted(
        {(row["account_id"], row["meeting_id"]) for row in instances.values() if row.get("meeting_id") is not None}
        | {(str(key[0]), int(key[1])) for key in touched.meetings}
    )
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
    connection: Connection,
    meetings: Mapping[Key, _Meeting],
    instances: Mapping[Key, Row],
    touched: Touched,
    now: datetime,
) -> None:
    """The rows of `occurrence` that follow from the schedule, where it or the instances of the meeting changed."""
    running = {(row["account_id"], row.get("meeting_id")) for key, row in instances.items() if key in touched.instances}
    wanted = sorted(key for key in meetings if key in touched.meetings or key in running)
    existing: dict[Key, dict[Key, Row]] = {key: {} for key in wanted}
    for row in read_rows(connection, "occurrence", wanted, by=BY_MEETING):
        existing[row["account_id"], row["meeting_id"]][key_of("occurrence", row)] = row
    ran = _all_instances(
        connection, [key for key in wanted if meetings[key].row.get("type") in NO_SCHEDULE_TYPES], instances
    )
    written: list[Row] = []
    gone: list[Key] = []
    for key in wanted:
        meeting = meetings[key]
        rows = occurrence_rows(key[0], meeting.row, meeting.facts.statements, ran.get(key, ()))
        after = {key_of("occurrence", row): row for row in rows}
        for row_key, row in after.items():
            before = existing[key].get(row_key)
            if before is None or any(before[column] != value for column, value in row.items()):
                written.append(row | {"updated_at": now})
        gone += existing[key].keys() - after.keys()
    delete_rows(connection, "occurrence", gone)
    write_rows(connection, "occurrence", written)


def _all_instances(connection: Connection, meetings: Sequence[Key], current: Mapping[Key, Row]) -> dict[Key, list[Row]]:
    """Every instance of these meetings, by meeting, as merged in this batch where they are."""
    rows = {key_of("instance", row): row for row in read_rows(connection, "instance", meetings, by=BY_MEETING)}
    wanted = set(meetings)
    rows |= {key: row for key, row in current.items() if (row["account_id"], row.get("meeting_id")) in wanted}
    by_meeting: dict[Key, list[Row]] = {}
    for row in rows.values():
        by_meeting.setdefault((row["account_id"], row["meeting_id"]), []).append(row)
    return by_meeting


def _decide(
    connection: Connection, instances: Mapping[Key, Row], meetings: Mapping[Key, _Meeting]
) -> dict[Key, Decision]:
    """The decision for each of these instances, by key."""
    words = read_rows(connection, "link_statement", sorted(instances), by=BY_INSTANCE)
    said: dict[str, dict[Key, Word]] = {"operator": {}, "zoom": {}}
    for word in words:
        if word["occurrence_id"] is not None:
            said[word["source"]][word["account_id"], word["uuid"]] = _word(word)
    voters = _read_voters(connection, instances)
    by_meeting: dict[Key, list[Key]] = {}
    for key, row in instances.items():
        by_meeting.setdefault((row["account_id"], row.get("meeting_id")), []).append(key)
    decisions: dict[Key, Decision] = {}
    for meeting_key, keys in by_meeting.items():
        meeting = meetings.get(meeting_key)
        decided = link_instances(
            [_run(instances[key]) for key in keys],
            meeting.facts if meeting else MeetingFacts(),
            {key[1]: voters[key] for key in keys},
            {key[1]: said["operator"][key] for key in keys if key in said["operator"]},
            {key[1]: said["zoom"][key] for key in keys if key in said["zoom"]},
        )
        decisions |= {key: decided[key[1]] for key in keys}
    return decisions


def _read_voters(connection: Connection, instances: Mapping[Key, Row]) -> dict[Key, list[Voter]]:
    """The people in each instance whose registration names occurrences and stood when the instance started."""
    named: dict[Key, dict[str, set[str]]] = {key: {} for key in instances}
    for vote in read_votes(connection, [(key[0], key[1]) for key in sorted(instances)]):
        key = (vote.account_id, vote.uuid)
        started_at = instances[key].get("started_at")
        if vote.until is None or started_at is None or vote.until > started_at:
            named[key].setdefault(vote.registrant_id, set()).add(vote.occurrence_id)
    return {key: [Voter(name, frozenset(ids)) for name, ids in people.items()] for key, people in named.items()}


def _write_decisions(
    connection: Connection, instances: Mapping[Key, Row], decisions: Mapping[Key, Decision], now: datetime
) -> dict[Key, Row]:
    """Enter what changed into the diary and the join log; returns the rows of `instance` to be written."""
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
        "kind": "link",
        "meeting_id": row.get("meeting_id"),
        "uuid": key[1],
        "occurrence_id": link["occurrence_id"],
        "detail": link["link_state"],
        "updated_at": now,
    }


def _run(row: Row) -> RunInstance:
    return RunInstance(
        uuid=row["uuid"],
        started_at=row["started_at"],
        ended_at=row.get("ended_at"),
        is_practice=bool(row.get("is_practice")),
        type=row.get("type"),
        duration_minutes=row.get("duration_minutes"),
    )


def _word(row: Row) -> Word:
    return Word(row["occurrence_id"], row["stated_at"], row.get("stated_by"), row.get("because"))
