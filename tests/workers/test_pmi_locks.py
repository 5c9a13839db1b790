"""A batch about a personal meeting id, and one about a meeting that uses it, wait for each other on Postgres."""

from __future__ import annotations

from collections.abc import Iterable

from schema.store.database import Database
from schema.store.dialect import MEETING_BUCKETS, run
from tests.core.pmi_stories import FIRST, PMI, SINGLE, put_off, ran, said, scheduled
from tests.inbox_to_tables import take
from tests.projected_facts import facts_of
from tests.stories import Json, at
from workers.apply import apply_facts, buckets_of

HELD = "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND mode = 'ExclusiveLock'"
BOTH = {PMI % MEETING_BUCKETS, SINGLE.meeting_id % MEETING_BUCKETS}


def held_by(database: Database, events: Iterable[Json]) -> set[int]:
    """What one batch of these events holds."""
    facts = [fact for event in events for fact in facts_of(event)]
    with database.write() as connection:
        apply_facts(connection, facts, lambda: at(FIRST))
        return {row[0] for row in run(connection, HELD)}


def test_moving_a_meeting_holds_the_number_it_runs_under(postgres_database: Database) -> None:
    take(postgres_database, scheduled(SINGLE))
    moved = put_off(SINGLE, 30, FIRST, FIRST + 300)
    assert not {PMI % MEETING_BUCKETS} <= buckets_of(facts_of(moved))
    assert held_by(postgres_database, [moved]) >= BOTH


def test_an_instance_holds_the_meeting_that_others_of_its_number_were_of(postgres_database: Database) -> None:
    take(postgres_database, scheduled(SINGLE), *ran("X", FIRST, FIRST + 50))
    assert held_by(postgres_database, ran("Y", FIRST + 52, FIRST + 58)) >= BOTH


def test_an_operators_word_holds_the_number_that_its_instance_ran_under(postgres_database: Database) -> None:
    take(postgres_database, *ran("X", FIRST, FIRST + 50))
    assert held_by(postgres_database, [said("X", SINGLE.meeting_id, "single", 900)]) >= BOTH
