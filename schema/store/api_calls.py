"""Pace and progress of the calls to Zoom's API.

The pace is kept in the database, not in Redis: every process that asks has the database, `joinlog sync` needs nothing
else, and at half of Zoom's limits it is at most fifteen small writes a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from schema.store.codec import kinds_of
from schema.store.database import Database
from schema.store.dialect import as_moment, run
from schema.store.erased import LeftOut
from schema.store.inbox import Arrival, keeping


def take_call(database: Database, account_id: str, tier: str, interval_ms: int, now: datetime) -> tuple[int, int]:
    """Take the next call of a tier: (ms since 1970 at which it may be made, calls of that tier today)."""
    now_ms, day = int(now.timestamp() * 1000), f"{now:%Y-%m-%d}"
    greatest = database.dialect.greatest
    query = (
        "INSERT INTO api_pace (account_id, tier, next_ms, day, calls, updated_at) VALUES (?, ?, ?, ?, 1, ?) "
        "ON CONFLICT (account_id, tier) DO UPDATE SET "
        f"next_ms = {greatest}(api_pace.next_ms + {int(interval_ms)}, excluded.next_ms), "
        "calls = CASE WHEN api_pace.day = excluded.day THEN api_pace.calls + 1 ELSE 1 END, "
        "day = excluded.day, updated_at = excluded.updated_at RETURNING next_ms, calls"
    )
    with database.write() as connection:
        ((next_ms, calls),) = run(connection, query, (account_id, tier, now_ms + interval_ms, day, now))
    return next_ms - interval_ms, calls


def begin_run(database: Database, account_id: str, subject: str, now: datetime) -> datetime:
    """When the run for this began: a moment of the past where one did not come to its end."""
    query = (
        "INSERT INTO api_task (account_id, kind, subject, begun_at, updated_at) VALUES (?, 'sync', ?, ?, ?) "
        "ON CONFLICT (account_id, kind, subject) DO UPDATE SET "
        "begun_at = CASE WHEN api_task.done_at IS NULL THEN api_task.begun_at ELSE excluded.begun_at END, "
        "done_at = NULL, updated_at = excluded.updated_at RETURNING begun_at"
    )
    with database.write() as connection:
        begun_at = as_moment(run(connection, query, (account_id, subject, now, now))[0][0])
    assert begun_at is not None
    return begun_at


def end_run(database: Database, account_id: str, subject: str, now: datetime) -> None:
    """Note that a run came to its end: the next one asks everything anew."""
    with database.write() as connection:
        run(
            connection,
            "UPDATE api_task SET done_at = ?, updated_at = ? WHERE account_id = ? AND kind = 'sync' AND subject = ?",
            (now, now, account_id, subject),
        )


class Task(NamedTuple):
    """One question, as it was last answered completely."""

    done_at: datetime
    said: str  # SHA-256 of that answer
    said_ms: int  # since when Zoom says so, ms since 1970
    repeats: int  # how often it has said the same since


def read_task(database: Database, account_id: str, kind: str, subject: str) -> Task | None:
    """How a question was last answered; None if it never was."""
    query = (
        "SELECT done_at, said, said_ms, repeats FROM api_task WHERE account_id = ? AND kind = ? AND subject = ? "
        "AND done_at IS NOT NULL"
    )
    with database.read() as connection:
        for done_at, said, said_ms, repeats in run(connection, query, (account_id, kind, subject)):
            if (moment := as_moment(done_at)) is not None:
                return Task(moment, said or "", said_ms or 0, repeats or 0)
    return None


def keep_answer(
    database: Database, account_id: str, kind: str, subject: str, task: Task, arrivals: Sequence[Arrival],
    left_out: LeftOut,
) -> None:  # fmt: skip
    """Keep an answer, all its parts, and that it was complete: in one transaction.

    Raises ErasedMeanwhile when somebody was erased since it was looked who has to be left out.
    """
    kinds = kinds_of("api_task")
    names = ("account_id", "kind", "subject", "done_at", "said", "said_ms", "repeats", "updated_at")
    conflict = "ON CONFLICT (account_id, kind, subject) DO UPDATE SET " + ", ".join(
        f"{name} = excluded.{name}" for name in names[3:]
    )
    row = (account_id, kind, subject, *task, task.done_at)
    statements = [database.dialect.upsert("api_task", {name: kinds[name] for name in names}, conflict, [row])]
    if arrivals:
        statements.insert(0, keeping(database.dialect, arrivals))
    with database.write() as connection:
        left_out.hold(connection)
        database.dialect.run_all(connection, [*statements, *left_out.noting(database.dialect, task.done_at)])


def keep_without(database: Database, arrivals: Sequence[Arrival], left_out: LeftOut, now: datetime) -> None:
    """Keep events of Zoom's delivery log, which somebody was left out of. Raises ErasedMeanwhile as `keep_answer`."""
    with database.write() as connection:
        left_out.hold(connection)
        dialect = database.dialect
        dialect.run_all(connection, [keeping(dialect, arrivals), *left_out.noting(dialect, now)])


class KnownInstance(NamedTuple):
    """What is known of an instance that bears on what to ask about it."""

    uuid: str
    ended_at: datetime | None
    final_at: datetime | None
    reported_participants: int | None
    occurrence_id: str | None
    ran_under: int | None  # the number its events name, where that is another one's


class KnownMeeting(NamedTuple):
    """What is known of a meeting that bears on what to ask about it."""

    kind: str | None
    registration_type: int | None
    occurrence_ids: tuple[str, ...]  # those Zoom named, deleted and retired ones left out
    instances: tuple[KnownInstance, ...]


def read_meeting(database: Database, account_id: str, meeting_id: int) -> KnownMeeting:
    """What the tables know of a meeting."""
    about = (account_id, meeting_id)
    with database.read() as connection:
        told = run(
            connection, "SELECT kind, registration_type FROM meeting WHERE account_id = ? AND meeting_id = ?", about
        )
        dates = run(
            connection,
            "SELECT occurrence_id FROM occurrence WHERE account_id = ? AND meeting_id = ? AND status = 'available' "
            "AND scheduled_start IS NOT NULL ORDER BY scheduled_start",
            about,
        )
        ran = run(
            connection,
            "SELECT uuid, ended_at, final_at, reported_participants, occurrence_id, ran_under FROM instance "
            "WHERE account_id = ? AND meeting_id = ? ORDER BY uuid",
            about,
        )
    kind, registration_type = told[0] if told else (None, None)
    ids = tuple(row[0] for row in dates if row[0].isdigit())
    instances = tuple(KnownInstance(uuid, as_moment(end), as_moment(final), *rest) for uuid, end, final, *rest in ran)
    return KnownMeeting(kind, registration_type, ids, instances)


def read_meetings_held(database: Database, account_id: str, since: datetime, until: datetime) -> list[int]:
    """The meetings of an account that ran between two moments."""
    query = (
        "SELECT DISTINCT meeting_id FROM instance WHERE account_id = ? AND started_at >= ? AND started_at < ? "
        "AND meeting_id IS NOT NULL ORDER BY meeting_id"
    )
    with database.read() as connection:
        return [row[0] for row in run(connection, query, (account_id, since, until))]


def read_standing(
    database: Database, account_id: str, meeting_id: int, occurrence_id: str, before: datetime
) -> set[str]:
    """The registrants that stand registered for an occurrence, or for all (`*`), since before a moment."""
    query = (
        "SELECT registrant_id FROM registration WHERE account_id = ? AND meeting_id = ? AND occurrence_id = ? "
        "AND until IS NULL AND since < ?"
    )
    with database.read() as connection:
        return {row[0] for row in run(connection, query, (account_id, meeting_id, occurrence_id, before))}


def read_panelists(database: Database, account_id: str, meeting_id: int) -> set[str]:
    """What the panelists of a webinar are known by, as Zoom last told."""
    query = (
        "SELECT identifier FROM staff WHERE account_id = ? AND meeting_id = ? AND source = 'zoom' AND role = 'panelist'"
    )
    with database.read() as connection:
        return {row[0] for row in run(connection, query, (account_id, meeting_id))}
