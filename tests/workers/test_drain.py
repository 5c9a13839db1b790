"""The drain: every event exactly once, whatever fails, whoever else is draining."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from schema.states import TRANSITIONS, EventState
from schema.store.database import Database
from schema.store.inbox import claim, claim_again, settling
from tests.inbox_to_tables import drain, is_postgres, keep_events, one, read_table, select, take
from tests.signed_requests import PAYLOADS, read_payload_file
from tests.stories import WEEK_MINUTES, Json, Story
from tests.waiting import wait_until
from workers import drain as drain_module
from workers.apply import apply_facts
from workers.drain import Drain, Settled

story = Story()
POISON = (PAYLOADS / "odd" / "participant_without_ids.json").read_bytes()


def crowd(size: int) -> list[Json]:
    """So many people who come to one instance, and go."""
    joined = [story.person(60 + n / 100, "joined", str(n), 60) for n in range(size // 2)]
    left = [story.person(90 + n / 100, "left", str(n), 60) for n in range(size - size // 2)]
    return joined + left


def states(database: Database) -> Counter[str]:
    return Counter(row["state"] for row in select(database, "SELECT state FROM inbox_event"))


def derived(database: Database) -> dict[str, Any]:
    return {
        table: [
            {name: value for name, value in row.items() if name not in {"updated_at", "seq"}}
            for row in read_table(database, table)
            if row.get("kind") != "link"
        ]
        for table in ("meeting", "instance", "connection", "participant", "join_log", "occurrence_history")
    }


# --- states -----------------------------------------------------------------------------------------------------


def test_projected_ignored_and_unknown_events_end_in_their_states(database: Database) -> None:
    sharing = (PAYLOADS / "odd" / "sharing_started.json").read_bytes()
    unknown = (PAYLOADS / "odd" / "unknown_type.json").read_bytes()
    settled = take(database, read_payload_file("webinar.started"), sharing, unknown, b"not json")
    assert settled == Settled(done=1, ignored=1, unhandled=1, dead=0)
    assert states(database) == {"done": 1, "ignored": 1, "unhandled": 1, "dead": 1}
    assert select(database, "SELECT id FROM inbox_event WHERE processed_at IS NULL") == []


def test_an_empty_inbox_is_no_work(database: Database) -> None:
    assert Drain(database).step() == Settled()
    assert Drain(database).drain_all() == 0


def test_every_end_of_pending_is_a_transition_with_a_reason() -> None:
    ends = {after for (before, after) in TRANSITIONS if before is EventState.PENDING}
    assert ends == set(EventState) - {EventState.PENDING}
    assert all(TRANSITIONS.values())


@pytest.mark.parametrize("state", [state for state in EventState if state is not EventState.PENDING])
def test_what_is_settled_stays_settled_until_it_is_replayed(database: Database, state: EventState) -> None:
    """A worker that was thought to have failed must not make dead what another one brought to the tables."""
    take(database, read_payload_file("webinar.started"))
    with database.write() as connection:
        keys = [tuple(row) for row in connection.exec_driver_sql("SELECT account_id, id FROM inbox_event")]
        late = settling(database.dialect, keys, state, datetime.now(UTC), "too late")
        database.dialect.run_all(connection, [late])
    assert one(database, "SELECT state, error FROM inbox_event") == {"state": "done", "error": None}


# --- poison -----------------------------------------------------------------------------------------------------


def test_one_poison_event_among_five_hundred_is_dead_and_its_neighbours_are_done(database: Database) -> None:
    events: list[Any] = list(crowd(499))
    events.insert(317, POISON)
    keep_events(database, events)
    settled = Drain(database).step()
    assert settled == Settled(done=499, dead=1)
    assert states(database) == {"done": 499, "dead": 1}
    dead = one(database, "SELECT event_type, error, processed_at FROM inbox_event WHERE state = 'dead'")
    assert dead["error"] == "PayloadError: participant has neither user_id nor participant_uuid"
    assert dead["processed_at"] is not None
    assert one(database, "SELECT count(*) AS n FROM participant") == {"n": 250}
    assert one(database, "SELECT count(*) AS n FROM join_log WHERE kind <> 'link'") == {"n": 499}


def test_an_event_that_fails_in_the_middle_of_being_applied_leaves_nothing_of_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fails_on_the_third(connection: Any, events: Any, *more: Any) -> None:
        apply_facts(connection, events, *more)
        if any(fact.table == "connection" and fact.key[2] == "2" for fact in events):
            raise ZeroDivisionError("a bug\nwith a second line")

    monkeypatch.setattr(drain_module, "apply_facts", fails_on_the_third)
    keep_events(database, [story.person(60, "joined", str(n), 60) for n in range(5)])
    with capture_logs() as lines:
        assert Drain(database).step() == Settled(done=4, dead=1)
    error = one(database, "SELECT error FROM inbox_event WHERE state = 'dead'")["error"]
    assert re.fullmatch(r"ZeroDivisionError in tests\.workers\.test_drain, line \d+", error)
    names = {row["connection_id"] for row in select(database, "SELECT connection_id FROM participant")}
    assert names == {"0", "1", "3", "4"}
    dead = [line for line in lines if line["event"] == "event_dead"]
    assert len(dead) == 1
    assert "Name" not in str(lines)


def test_a_dead_event_can_be_replayed_once_it_is_mended(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:

        def broken(*_: Any) -> None:
            raise KeyError("a bug")

        patch.setattr(drain_module, "apply_facts", broken)
        assert take(database, read_payload_file("webinar.started")) == Settled(dead=1)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE inbox_event SET state = 'pending'")
    assert drain(database) == Settled(done=1)
    assert one(database, "SELECT state, error FROM inbox_event") == {"state": "done", "error": None}
    assert one(database, "SELECT count(*) AS n FROM instance") == {"n": 1}


def test_replaying_everything_changes_nothing(database: Database) -> None:
    take(database, *crowd(40), story.created(0, {"1": 60.0, "2": 60.0 + WEEK_MINUTES}), story.started(60))
    before = derived(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE inbox_event SET state = 'pending'")
    assert drain(database, batch_events=7).done == 42
    assert derived(database) == before


# --- killed, and the database away ------------------------------------------------------------------------------


class Killed(BaseException):
    """What kill -9 leaves of a transaction: nothing."""


def test_a_drain_that_dies_before_its_commit_has_applied_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_events(database, crowd(10))
    with monkeypatch.context() as patch:

        def die(*_: Any, **__: Any) -> None:
            raise Killed

        patch.setattr(drain_module, "settling", die)
        with pytest.raises(Killed):
            Drain(database).step()
    assert states(database) == {"pending": 10}
    assert select(database, "SELECT * FROM participant") == []
    assert drain(database).done == 10
    assert one(database, "SELECT count(*) AS n FROM participant") == {"n": 5}


def failing(times: int) -> Callable[..., Any]:
    """The database is away so many times."""
    left = [times]

    def apply(*arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OperationalError("INSERT", None, OSError("gone"))
        return apply_facts(*arguments)

    return apply


def test_a_database_that_comes_back_finds_every_event_pending_and_none_dead(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "RETRY_FIRST_SECONDS", 0.001)
    monkeypatch.setattr(drain_module, "RETRY_SECONDS_MAX", 0.002)
    monkeypatch.setattr(drain_module, "apply_facts", failing(4))
    keep_events(database, crowd(20))
    with capture_logs() as lines:
        assert Drain(database, batch_events=8).drain_all() == 20
    assert states(database) == {"done": 20}
    assert [line["event"] for line in lines if line["event"] != "batch_drained"] == ["database_away"]


def test_a_database_that_stays_away_ends_the_job_and_leaves_the_events_pending(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "apply_facts", failing(10**6))
    keep_events(database, crowd(20))
    with pytest.raises(OperationalError):
        Drain(database, retry_for_seconds=0.0).drain_all()
    assert states(database) == {"pending": 20}


def test_a_failure_of_the_database_while_a_batch_is_halved_buries_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [0]

    def poisoned_then_away(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            raise ValueError("data")
        if calls[0] == 3:
            raise OperationalError("INSERT", None, OSError("gone"))
        return apply_facts(*arguments)

    monkeypatch.setattr(drain_module, "apply_facts", poisoned_then_away)
    keep_events(database, crowd(8))
    with pytest.raises(OperationalError):
        Drain(database).step()
    assert states(database) == {"done": 4, "pending": 4}
    assert drain(database).done == 4


def test_a_worker_that_is_told_to_stop_ends_after_the_batch_it_is_in(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = threading.Event()

    def told_to_stop(*arguments: Any) -> Any:
        stopping.set()
        return apply_facts(*arguments)

    monkeypatch.setattr(drain_module, "apply_facts", told_to_stop)
    keep_events(database, crowd(20))
    assert Drain(database, batch_events=5, stopping=stopping).drain_all() == 5
    assert states(database) == {"done": 5, "pending": 15}


# --- several workers --------------------------------------------------------------------------------------------


def test_on_postgres_a_worker_passes_by_what_another_one_holds(postgres_database: Database) -> None:
    keep_events(postgres_database, crowd(6))
    with postgres_database.write() as first, postgres_database.write() as second:
        mine, theirs = claim(first, 4), claim(second, 4)
        assert [len(mine), len(theirs)] == [4, 2]
        assert not {event.id for event in mine} & {event.id for event in theirs}
        assert claim_again(second, [(event.account_id, event.id) for event in mine]) == []


def test_events_are_claimed_oldest_first_and_settled_ones_not_again(database: Database) -> None:
    keep_events(database, crowd(6))
    with database.write() as connection:
        claimed = claim(connection, 3)
        assert [event.id for event in claimed] == sorted(event.id for event in claimed)
        keys = [(event.account_id, event.id) for event in claimed]
        done = settling(database.dialect, keys[:2], EventState.DONE, claimed[0].received_at)
        database.dialect.run_all(connection, [done])
        assert [event.id for event in claim_again(connection, keys)] == [claimed[2].id]
        assert claimed[2].id == claim(connection, 1)[0].id


def test_workers_in_one_process_apply_every_event_exactly_once(
    database: Database, database_url: str, sqlite_url: str, postgres_url: str
) -> None:
    events = [*crowd(120), story.created(0, {"1": 60.0}), story.started(60), story.ended(200, 60)]
    keep_events(database, events)
    drained: list[int] = []
    failures: list[BaseException] = []
    gate = threading.Barrier(3)

    def work() -> None:
        own = Database(database_url)
        try:
            gate.wait()
            drained.append(Drain(own, batch_events=5).drain_all())
        except BaseException as error:
            failures.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(drained) == len(events)
    assert states(database) == {"done": len(events)}
    other = Database(sqlite_url if is_postgres(database) else postgres_url)
    take(other, *events)
    assert derived(database) == derived(other)
    other.close()


def test_the_diary_ends_with_the_decision_that_stands_however_workers_overlap(postgres_database: Database) -> None:
    """One worker has read what it decides from and is slow; another one must not decide in between."""
    take(postgres_database, story.started(60))
    word = {"id": story.meeting_id, "uuid": "run-1==", "occurrence_id": "2", "by": "mara", "because": "told"}
    payload = {"account_id": story.account, "object": word}
    keep_events(postgres_database, [{"event": "joinlog.link_set", "event_ts": 1772450000000, "payload": payload}])
    keep_events(postgres_database, [story.created(0, {"1": 60.0, "2": 60.0 + WEEK_MINUTES})])
    has_looked, may_go = threading.Event(), threading.Event()

    def early() -> datetime:
        looked_at = datetime.now(UTC)
        has_looked.set()
        assert may_go.wait(20)
        return looked_at

    first = threading.Thread(target=Drain(postgres_database, batch_events=1, now=early).step)
    first.start()
    assert has_looked.wait(20)
    second = threading.Thread(target=Drain(postgres_database, batch_events=1).step)
    second.start()
    wait_until(lambda: _waits_for_a_lock(postgres_database), "the second worker to wait for the meeting")
    may_go.set()
    for worker in (first, second):
        worker.join()
    assert states(postgres_database) == {"done": 3}
    stands = one(postgres_database, "SELECT occurrence_id, link_state FROM instance")
    assert stands == {"occurrence_id": "2", "link_state": "confirmed"}
    last = select(
        postgres_database, "SELECT to_occurrence_id, state FROM link_history ORDER BY decided_at DESC LIMIT 1"
    )
    assert last == [{"to_occurrence_id": "2", "state": "confirmed"}]


def _waits_for_a_lock(database: Database) -> bool:
    waiting = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return int(one(database, waiting)["n"]) > 0


WORKER = """
import sys
from schema.store.database import Database
from workers.drain import Drain
sys.stdin.readline()
database = Database(sys.argv[1])
print("drained", Drain(database, batch_events=20).drain_all())
database.close()
"""


def test_worker_processes_apply_every_event_exactly_once(database: Database, database_url: str) -> None:
    events = crowd(600)
    keep_events(database, events)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, database_url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for _ in range(2)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    said = [worker.communicate(timeout=60)[0].splitlines()[-1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(int(line.removeprefix("drained ")) for line in said) == 600
    assert states(database) == {"done": 600}
    assert one(database, "SELECT count(*) AS n FROM join_log WHERE kind <> 'link'") == {"n": 600}
    assert one(database, "SELECT count(*) AS n FROM participant WHERE joined_at < left_at") == {"n": 300}


def test_a_batch_never_logs_a_name_an_address_or_a_body(database: Database) -> None:
    with capture_logs() as lines:
        take(database, read_payload_file("webinar.registration_created"), POISON)
    assert {line["event"] for line in lines} == {"batch_drained", "event_dead"}
    assert not any(word in str(lines) for word in ("Zoë", "example.com", "payload.object", "Nobody"))
