"""Whatever happens in whatever order: intake, drain, clock, operator, erase, replay, rebuild, against a pure model.

The model is a dict of events with their states, and the pure decision on dicts of rows. Hypothesis draws what happens,
and cuts a failure down to the fewest steps.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from schema.own_events import link_event
from schema.rows import ROW_TYPES, Row
from schema.states import EventState
from schema.store.codec import row_reader, selected
from schema.store.database import Database
from schema.store.dialect import run
from schema.store.inbox_pages import Choice, set_pending_again
from schema.store.observations import observe_database
from schema.tables import DERIVED, TABLES
from schema.zoom.envelope import read_envelope
from tests.core.law import later, stated
from tests.core.memory import MemoryTables
from tests.effort import EFFORT
from tests.inbox_to_tables import is_postgres, keep_events, select
from tests.projected_facts import facts_of
from tests.signed_requests import encode
from tests.stories import ACCOUNT, WEEK_MINUTES, Story, at
from workers.core.ignored import IGNORED
from workers.core.projection import PROJECTIONS
from workers.drain import Drain
from workers.erase import erase_person
from workers.notify.judging import Judge
from workers.rebuild import rebuild

EXAMPLES, STEPS = 10 * EFFORT, 15
ADDRESS = "ann@example.com"
w = Story()
DATES = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES}
EVENTS: Sequence[Any] = (
    w.created(0, DATES),
    w.registration(1, "created", "ann", DATES, status="approved"),
    w.registration(2, "cancelled", "ann", {"1002": DATES["1002"]}, status="cancelled"),
    w.registration(3, "created", "ben", {"1001": 60.0}, status="approved"),
    w.moved(4, {"1001": 60.0}, {"1001": 90.0}),
    w.started(60),
    w.person(61, "joined", "1", 60, registrant_id="ann", email=ADDRESS),
    w.person(62, "joined", "2", 60, registrant_id="ben"),
    w.person(70, "left", "1", 60),
    w.person(75, "joined", "3", 60, registrant_id="ann"),
    w.ended(120, 60),
    w.event("participant_jbh_waiting", 62, {}),
    w.event("of_a_later_year", 62, {}),
    w.event("participant_joined", 62, {"id": 1, "uuid": "u"}),
    b'{"event": "webinar.started", "cut off',
    link_event(ACCOUNT, w.meeting_id, "run-1==", "1002", by="ops", because="x", now=at(200)),
    link_event(ACCOUNT, w.meeting_id, "run-1==", None, by="ops", because="y", now=at(201)),
)


@dataclass
class ModelEvent:
    """An event as the model knows it."""

    body: bytes
    state: EventState
    is_applied: bool = False  # what was applied stays in the tables while it is replayed
    deliveries: int = 1


class Installation(RuleBasedStateMachine):
    """The real thing on one database, and the model beside it."""

    database: Database

    @initialize()
    def begin(self) -> None:
        """An empty database, and a worker that will keep its cursor."""
        with self.database.write() as connection:
            for table in TABLES:
                connection.exec_driver_sql(f"DELETE FROM {table}")
        self.drain = Drain(self.database, now=later)
        self.model: dict[str, ModelEvent] = {}
        self.is_erased = False

    @rule(events=st.lists(st.sampled_from(EVENTS), min_size=1, max_size=6))
    def deliver(self, events: list[Any]) -> None:
        """Intake commits a group, repeats included."""
        keep_events(self.database, events)
        for event in events:
            envelope = read_envelope(encode(event))
            known = self.model.get(envelope.idempotency_key)
            if known is not None:
                known.deliveries += 1
                continue
            state = EventState.PENDING if envelope.event_type is not None else EventState.DEAD
            self.model[envelope.idempotency_key] = ModelEvent(encode(event), state)

    @rule()
    def drain_all(self) -> None:
        """The worker that goes on empties the inbox."""
        self.drain.drain_all()
        self._settle(list(self.model.values()))

    @rule(batch=st.integers(1, 3))
    def another_worker_takes_one_batch(self, batch: int) -> None:
        """A worker that was just started settles the oldest pending events."""
        Drain(self.database, now=later, batch_events=batch).step()
        pending = "SELECT idempotency_key FROM inbox_event WHERE state = 'pending'"
        left = {row["idempotency_key"] for row in select(self.database, pending)}
        waiting = [event for event in self.model.values() if event.state is EventState.PENDING]
        settled = [event for key, event in self.model.items() if event in waiting and key not in left]
        assert len(settled) == min(batch, len(waiting))
        self._settle(settled)

    @rule(state=st.sampled_from([EventState.DONE, EventState.DEAD, EventState.UNHANDLED, EventState.IGNORED]))
    def replay(self, state: EventState) -> None:
        """An operator has events applied again."""
        with self.database.write() as connection:
            set_pending_again(connection, Choice([state], None, None, []), 0, 1000, datetime.now(UTC))
        for event in self.model.values():
            if event.state is state and read_envelope(event.body).event_type is not None:  # what is no event stays dead
                event.state = EventState.PENDING

    @rule()
    def rebuild(self) -> None:
        """The tables are computed again; there is nothing to mend."""
        assert rebuild(self.database, now=later).examples == []

    @precondition(lambda self: self.model and not self.is_erased)
    @rule()
    def erase(self) -> None:
        """Somebody is forgotten; from then on the bodies say less, and the model believes them."""
        erase_person(self.database, ADDRESS)
        self.is_erased = True
        for row in select(self.database, "SELECT idempotency_key, body FROM inbox_event"):
            assert ADDRESS not in row["body"]
            self.model[row["idempotency_key"]].body = row["body"].encode()

    @rule()
    def judge(self) -> None:
        """The clock finds what is wrong, and nothing else."""
        rung: list[None] = []
        observe = lambda: observe_database(self.database, frozenset())  # noqa: E731
        holding = Judge(self.database, observe, lambda: rung.append(None), lambda _: None, "").judge()
        is_dead = any(event.state is EventState.DEAD for event in self.model.values())
        assert ("dead_letters" in holding) is is_dead
        assert bool(rung) <= bool(holding)

    @rule()
    def compare(self) -> None:
        """Inbox and tables are what the model says."""
        self._compare()

    def teardown(self) -> None:
        """At the end everything is applied, and compared once more."""
        if hasattr(self, "model"):
            self.drain_all()
            self._compare()
            assert rebuild(self.database, check_only=True, now=later).examples == []

    @staticmethod
    def _settle(events: Sequence[ModelEvent]) -> None:
        for event in events:
            if event.state is EventState.PENDING:
                event.state = state_of(event.body)
                event.is_applied |= event.state is EventState.DONE

    def _compare(self) -> None:
        query = "SELECT idempotency_key, state, deliveries FROM inbox_event"
        found = {row.pop("idempotency_key"): tuple(row.values()) for row in select(self.database, query)}
        assert found == {key: (event.state.value, event.deliveries) for key, event in self.model.items()}
        memory = MemoryTables()
        applied = {key: event.body for key, event in self.model.items() if event.is_applied}
        memory.apply([fact for key, body in applied.items() for fact in facts_of(body, key)], later())
        assert comparable(stated(read_tables(self.database))) == comparable(stated(memory))


def state_of(body: bytes) -> EventState:
    """What becomes of an event that is tried."""
    event_type = read_envelope(body).event_type
    if event_type in PROJECTIONS:
        return EventState.DEAD if b'"uuid":"u"' in body else EventState.DONE
    if event_type is None:
        return EventState.DEAD
    return EventState.IGNORED if event_type in IGNORED else EventState.UNHANDLED


def read_tables(database: Database) -> MemoryTables:
    """The rows of a database, where the model has its own."""
    tables = MemoryTables()
    with database.read() as connection:
        for table in ROW_TYPES:
            found = run(connection, f"SELECT {selected(table)} FROM {table} t")
            rows = row_reader(table, moments_are_text=not is_postgres(database))(found)
            tables.rows[table] = {(number,): row for number, row in enumerate(rows)}
    return tables


MASKED: Mapping[str, frozenset[str]] = {"join_log": frozenset({"seq"})}
"""What says when Joinlog worked."""


def comparable(tables: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """Rows as text, in an order of their own."""
    found = {table: sorted(_as_text(row, MASKED.get(table, frozenset())) for row in tables[table]) for table in DERIVED}
    return found | {"link_history": sorted(map(repr, tables["link_history"]))}


def _as_text(row: Row, masked: frozenset[str]) -> str:
    values = {name: value for name, value in msgspec.structs.asdict(row).items() if name not in masked}
    return repr([(name, sorted(value.items()) if isinstance(value, dict) else value) for name, value in values.items()])


@pytest.fixture
def installation(tmp_path: Path, sqlite_template: Path) -> Iterator[type[Installation]]:
    """The machine on a database of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    path = tmp_path / "machine.db"
    shutil.copyfile(sqlite_template, path)
    database = Database(f"sqlite:///{path}", durable=False)
    yield type("OnSqlite", (Installation,), {"database": database})
    database.close()


def test_whatever_happens_the_tables_are_what_the_pure_model_says(installation: type[Installation]) -> None:
    run_state_machine_as_test(
        installation, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
    )
