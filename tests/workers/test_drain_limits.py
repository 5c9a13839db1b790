"""What one event and one batch may cost: limits in bytes, facts and length, and whose fault it is beyond them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from schema.store.database import Database
from schema.store.inbox import CLAIMED_BYTES_MAX, claim
from schema.zoom.payloads import EMAIL_BYTES_MAX, IDENTIFIER_BYTES_MAX, OCCURRENCES_MAX
from tests.inbox_to_tables import drain, keep_events, one, select, take
from tests.processes import environment
from tests.stories import Json, Story
from workers import drain as draining
from workers.drain import Drain, Settled

w = Story()
LONG, LONGEST = "x" * (IDENTIFIER_BYTES_MAX + 1), "x" * IDENTIFIER_BYTES_MAX
ADDRESS = "a" * EMAIL_BYTES_MAX + "@example.com"
TOO_LONG = {
    "registrant": w.registration(1, "created", LONG, status="approved"),
    "occurrence": w.registration(1, "created", "ann", {LONG: 60.0}, status="approved"),
    "registrant's address": w.registration(1, "created", "ann", status="approved", email=ADDRESS),
    "user_id": w.person(61, "joined", LONG, 60),
    "participant_uuid": w.person(61, "joined", "1", 60, participant_uuid=LONG),
    "uuid": w.person(61, "joined", "1", 60, LONG),
    "registrant_id": w.person(61, "joined", "1", 60, registrant_id=LONG),
    "address": w.person(61, "joined", "1", 60, email=ADDRESS),
    "non-ASCII": w.person(61, "joined", "1", 60, registrant_id="é" * (IDENTIFIER_BYTES_MAX // 2 + 1)),
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_an_identifier_beyond_the_limit_is_its_events_fault_and_stops_nobody(name: str, database: Database) -> None:
    settled = take(database, w.person(60, "joined", "7", 60), TOO_LONG[name], w.person(62, "joined", "8", 60))
    assert settled == Settled(done=2, dead=1)
    error = one(database, "SELECT error FROM inbox_event WHERE state = 'dead'")["error"]
    assert "are allowed" in error
    assert "xxx" not in error


def test_identifiers_up_to_the_limit_fit_into_every_index(database: Database) -> None:
    events = [
        w.registration(1, "created", LONGEST, {LONGEST: 60.0}, status="approved", email="b" * EMAIL_BYTES_MAX),
        w.person(61, "joined", LONGEST, 60, LONGEST, registrant_id=LONGEST, participant_uuid=LONGEST),
        w.person(62, "joined", "2", 60, LONGEST, email="b" * EMAIL_BYTES_MAX),
    ]
    assert take(database, *events) == Settled(done=3)


def test_one_registration_names_so_many_dates_and_no_more(database: Database) -> None:
    allowed = w.registration(1, "created", "ann", {str(n): 60.0 + n for n in range(OCCURRENCES_MAX)}, status="approved")
    more = w.registration(2, "created", "ben", {str(n): 60.0 for n in range(OCCURRENCES_MAX + 1)}, status="approved")
    assert take(database, allowed, more) == Settled(done=1, dead=1)
    assert one(database, "SELECT count(*) AS n FROM registration") == {"n": OCCURRENCES_MAX}


@pytest.mark.parametrize("type_", [2**31, 2**63, "99999999999"])
def test_a_type_that_no_column_holds_is_as_good_as_none(type_: Any, database: Database) -> None:
    assert take(database, w.scheduled(1, "created", {"type": type_})) == Settled(done=1)
    assert one(database, "SELECT type FROM meeting") == {"type": None}


def large(number: int, size: int) -> Json:
    return w.person(61 + number, "joined", str(number), 60, user_name="n" * size)


def test_a_claim_takes_no_more_bytes_than_fit(database: Database) -> None:
    size = CLAIMED_BYTES_MAX // 5
    keep_events(database, [large(number, size) for number in range(9)])
    with database.write() as connection:
        claimed = claim(connection, 1000)
    assert len(claimed) == 4
    assert all(event.body and len(event.body) > size for event in claimed)
    assert drain(database).done == 9


def test_one_body_that_is_larger_than_a_batch_may_hold_is_taken_alone(database: Database) -> None:
    keep_events(database, [large(0, CLAIMED_BYTES_MAX + 1), large(1, 5)])
    with database.write() as connection:
        assert len(claim(connection, 1000)) == 1
    assert drain(database).done == 2


def test_a_batch_has_no_more_facts_than_fit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "FACTS_MAX", 12)
    keep_events(database, [large(number, 5) for number in range(6)])
    assert Drain(database).step().done == 3
    assert drain(database).done == 3
    assert select(database, "SELECT id FROM inbox_event WHERE state <> 'done'") == []


def test_malformed_events_are_settled_with_their_batch(database: Database) -> None:
    """Halving a batch for each of them took forty times as long."""
    malformed = [w.event("participant_joined", 61 + n, {"id": 1, "uuid": "u"}) for n in range(30)]
    keep_events(database, [*malformed, *(large(number, 5) for number in range(30))])
    begun: list[object] = []

    def note(_connection: object) -> None:
        begun.append(None)

    event.listen(Engine, "begin", note)
    try:
        assert Drain(database).step() == Settled(done=30, dead=30)
    finally:
        event.remove(Engine, "begin", note)
    assert len(begun) == 1


GROWTH_MIB_MAX = 60
LARGEST_BODIES = 100
MEASURED_WORKER = """
import sys
from schema.store.database import Database
from workers.drain import Drain

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024

database = Database(sys.argv[1])
drain, before = Drain(database), peak()
drained = drain.drain_all()
database.close()
print(drained, peak() - before)
"""


def test_a_flood_of_the_largest_bodies_costs_a_worker_little_memory(database: Database, database_url: str) -> None:
    """As one batch these alone have 94 MiB; five hundred of them once took a worker to several GiB."""
    for number in range(LARGEST_BODIES):
        keep_events(database, [large(number, 965 * 1024)])
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED_WORKER, database_url],
        env=environment(), capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    drained, growth_mebibytes = map(int, ran.stdout.splitlines()[-1].split())
    assert drained == LARGEST_BODIES
    assert growth_mebibytes < GROWTH_MIB_MAX
