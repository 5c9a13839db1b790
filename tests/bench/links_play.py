"""A portion of the simulated world, through the product's real path: envelope, inbox, drain, table `instance`."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import structlog

from joinlog.fakezoom import EVERY_MIX, NO_FAULTS, Attempt, Faults, Truth, generate, plan
from schema.migrate import migrate
from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from schema.zoom.envelope import read_envelope
from workers.drain import Drain

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday; series are scheduled from here up to eight months ahead
AUDIENCE = (12, 40)  # people who register for a series, fewest and most
EVENTS_PER_DRAIN = 1000  # kept, then drained, and so on: links are decided again and again, as in life
RETRIES_SECONDS = 85 * 60.0  # how late Zoom's last retry can be
DELIVERIES: Mapping[str, Faults] = {
    "clean": NO_FAULTS,
    "usual": Faults(),
    "retried": Faults(duplicates=0.2, reorder_seconds=RETRIES_SECONDS, late_left=0.2),
    "lossy": Faults(duplicates=0.1, lose_started=0.1, late_left=0.1),
}


@dataclass(frozen=True, slots=True)
class Portion:
    """Series `first` to `first + series - 1` of a mix under a seed, delivered with the faults of that name."""

    mix: str
    seed: int
    first: int
    series: int
    delivery: str


@dataclass(frozen=True, slots=True)
class Found:
    """What Joinlog says of an instance in the end: the link, its state and reason, and whether it learnt of its end."""

    occurrence_id: str | None
    state: str
    reason: str
    has_end: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """What Joinlog says of a person and an occurrence."""

    standing: str
    reason: str


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a portion: the truth, Joinlog's links by uuid, and the dates it knew the planned start of.

    `people` are the registrants by meeting, occurrence and registrant id.
    """

    truth: Truth
    found: Mapping[str, Found]
    dates_known: frozenset[tuple[int, str]]
    events: int
    people: Mapping[tuple[int, str, str], Person] = field(default_factory=dict)


def play_portion(portion: Portion, template: Path) -> Played:
    """Invent it, deliver it into a database of its own (a copy of `template`, migrated), and read the links back."""
    world = generate(
        portion.seed, portion.series, EVERY_MIX[portion.mix], start=START, audience=AUDIENCE, first=portion.first
    )
    attempts = plan(world.emissions, DELIVERIES[portion.delivery], portion.seed)
    with tempfile.TemporaryDirectory(prefix="joinlog-links-") as folder:
        path = Path(folder) / "joinlog.db"
        shutil.copyfile(template, path)
        database = Database(f"sqlite:///{path}")
        try:
            _deliver(database, attempts)
            links, dates, people = _read_links(database), _read_dates(database), _read_people(database)
            return Played(world.truth, links, dates, len(attempts), people)
        finally:
            database.close()


def make_template(folder: Path) -> Path:
    """A migrated, empty database file, to be copied."""
    path = folder / "template.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


def be_quiet() -> None:
    """Let the drain log nothing below an error; a line per batch would drown the progress."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _deliver(database: Database, attempts: Sequence[Attempt]) -> None:
    drain, ids = Drain(database), count(1)
    for first in range(0, len(attempts), EVENTS_PER_DRAIN):
        batch = attempts[first : first + EVENTS_PER_DRAIN]
        keep(database, [Arrival(next(ids), read_envelope(a.body()), a.at, a.tracking_id) for a in batch])
        drain.drain_all()
    for state, error, number in _select(database, "SELECT state, error, count(*) FROM inbox_event GROUP BY 1, 2"):
        assert state in ("done", "ignored", "unhandled"), f"{number} simulated events are {state}: {error}"


def _read_links(database: Database) -> dict[str, Found]:
    return {
        uuid: Found(occurrence_id, state, json.loads(evidence).get("reason", ""), ended_at is not None)
        for uuid, occurrence_id, state, evidence, ended_at in _select(
            database, "SELECT uuid, occurrence_id, link_state, link_evidence, ended_at FROM instance"
        )
    }


def _read_dates(database: Database) -> frozenset[tuple[int, str]]:
    rows = _select(database, "SELECT meeting_id, occurrence_id FROM occurrence WHERE scheduled_start IS NOT NULL")
    return frozenset((meeting_id, occurrence_id) for meeting_id, occurrence_id in rows)


def _read_people(database: Database) -> dict[tuple[int, str, str], Person]:
    query = (
        "SELECT meeting_id, occurrence_id, registrant_id, standing, reason FROM occurrence_person "
        "WHERE registrant_id IS NOT NULL"
    )
    return {(row[0], row[1], row[2]): Person(row[3], row[4]) for row in _select(database, query)}


def _select(database: Database, query: str) -> Iterator[Any]:
    with database.read() as connection:
        yield from connection.exec_driver_sql(query).fetchall()
