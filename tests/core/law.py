"""THE law: any order, any repetition and any batching of the same events leaves the same tables.

A failure is cut down to the fewest events whose order matters before it is shown.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, Protocol

from joinlog.fakezoom import MIXES, generate
from schema.tables import DERIVED
from tests.core.memory import MemoryTables
from tests.projected_facts import facts_of
from tests.stories import Json
from workers.core.merge import Fact
from workers.core.projection import PROJECTIONS

Tables = Mapping[str, Sequence[Any]]
WORLDS = ("chaotic", "moved", "connections", "missing", "restarts", "unplanned", "rehearsals", "strangers")
WORLD_EVENTS = (50, 160)

_ticks = count(1)


def later() -> datetime:
    """The time by Joinlog's own clock: later with every question."""
    return datetime(2027, 1, 1, tzinfo=UTC) + timedelta(milliseconds=next(_ticks))


class Stage(Protocol):
    """Somewhere to play events."""

    def play(self, events: Sequence[Json], luck: random.Random | None = None) -> Tables:
        """The tables after these events arrived in this order; `luck` cuts batches, doubles and replays events."""


class MemoryStage:
    """Plays events on the pure decision alone."""

    def __init__(self) -> None:
        self._facts: dict[int, list[Fact]] = {}
        self._events: list[Json] = []  # kept, so that no other event gets the id of one of them

    def play(self, events: Sequence[Json], luck: random.Random | None = None) -> Tables:
        """The tables after these events arrived in this order."""
        tables = MemoryTables()
        for batch in batches(events, luck):
            self.apply(tables, batch)
        if luck is not None and luck.random() < 0.5:
            self.apply(tables, [event for event in events if luck.random() < 0.5])
        return stated(tables)

    def apply(self, tables: MemoryTables, batch: Sequence[Json]) -> None:
        """One batch of events."""
        tables.apply([fact for event in batch for fact in self._facts_of(event)], later())

    def _facts_of(self, event: Json) -> list[Fact]:
        if id(event) not in self._facts:
            self._facts[id(event)] = facts_of(event) if event["event"] in PROJECTIONS else []
            self._events.append(event)
        return self._facts[id(event)]


def stated(tables: MemoryTables) -> Tables:
    """Every derived table, without what tells when Joinlog worked rather than what Zoom stated."""
    found: dict[str, Sequence[Any]] = dict(tables.contents(DERIVED))
    # when a link was decided is the link history's business, and that follows arrival
    found["join_log"] = [line for line in tables.rows["join_log"].values() if line.kind != "link"]
    found["join_log"] = sorted(found["join_log"], key=lambda line: str(line.line_id))
    newest: dict[Any, Any] = {}
    for entry in tables.rows["link_history"].values():
        known = newest.get((entry.account_id, entry.uuid))
        if known is None or entry.decided_at > known.decided_at:
            newest[entry.account_id, entry.uuid] = entry
    found["link_history"] = sorted((*key, entry.to_occurrence_id, entry.state) for key, entry in newest.items())
    return found


def batches(events: Sequence[Json], luck: random.Random | None) -> Iterator[list[Json]]:
    """Cut events into batches, some of them delivered twice, within a batch or later."""
    if luck is None:
        yield list(events)
        return
    rest, told = list(events), []
    biggest = luck.choice((1, 2, 5, max(1, len(rest))))
    while rest:
        size = luck.randint(1, biggest)
        batch, rest = rest[:size], rest[size:]
        told += batch
        doubled = [event for event in luck.sample(told, min(2, len(told))) if luck.random() < 0.3]
        yield batch + doubled


def difference(one: Tables, other: Tables) -> str:
    """What two sets of tables do not have in common; empty when they are the same."""
    lines = []
    for table in one:
        lines += [f"- {table} {row}" for row in one[table] if row not in other[table]]
        lines += [f"+ {table} {row}" for row in other[table] if row not in one[table]]
    return "\n".join(lines)


def assert_law(stage: Stage, events: Sequence[Json], orders: Iterator[tuple[Sequence[Json], random.Random]]) -> None:
    """Every one of these orders leaves the tables that the order of time leaves in one batch."""
    expected = stage.play(events)
    for order, luck in orders:
        state = luck.getstate()
        if stage.play(order, luck) != expected:
            raise AssertionError(_explain(stage, events, order, luck, state))


def assert_law_of_every_order(stage: MemoryStage, events: Sequence[Json]) -> None:
    """Every order of these events leaves the same tables, proven set by set.

    For each set of events, and each event outside of it, the tables of the set and then the event are compared with
    those of both together in one batch. So, by induction, all n! orders are covered by n * 2**(n-1) steps, and at
    each set a larger batch and a replay are tried, too.
    """
    whole = range(1 << len(events))
    together = [[event for place, event in enumerate(events) if mask >> place & 1] for mask in whole]
    expected = [stage.play(chosen) for chosen in together]
    reached: dict[int, tuple[MemoryTables, list[Json]]] = {0: (MemoryTables(), [])}
    for mask in whole:
        tables, order = reached[mask]
        luck = random.Random(mask)
        outside = [place for place in range(len(events)) if not mask >> place & 1]
        steps = [[place] for place in outside]
        if len(outside) > 1:
            steps.append(luck.sample(outside, luck.randint(2, len(outside))))
        if order:
            steps.append(luck.sample([p for p in range(len(events)) if mask >> p & 1], luck.randint(1, len(order))))
        for step in steps:
            batch = [events[place] for place in step]
            after, then = tables.copy(), [*order, *batch]
            stage.apply(after, batch)
            target = mask | sum({1 << place for place in step})
            if stated(after) != expected[target]:
                luck = _one_by_one()
                raise AssertionError(_explain(stage, together[target], then, luck, luck.getstate()))
            reached.setdefault(target, (after, then))


def _explain(stage: Stage, events: Sequence[Json], order: Sequence[Json], luck: random.Random, state: Any) -> str:
    """The few events whose order matters, and what differs: halves are left out, then quarters, then single events."""

    def differs(kept: Sequence[Json]) -> str:
        names = {id(event) for event in kept}
        expected = stage.play([event for event in events if id(event) in names])
        shuffled = [event for event in order if id(event) in names]
        if found := difference(expected, stage.play(shuffled, _one_by_one())):
            return found
        luck.setstate(state)
        return difference(expected, stage.play(shuffled, luck))

    kept = list(order)
    found = differs(kept)
    size = len(kept) // 2
    while size:
        place = 0
        while place < len(kept):
            fewer = kept[:place] + kept[place + size :]
            if fewer and (still := differs(fewer)):
                kept, found = fewer, still
            else:
                place += size
        size //= 2
    told = "\n".join(json.dumps(event, ensure_ascii=False) for event in kept)
    return f"the order of these events matters:\n{told}\n\nin order of time (-) and in this order (+):\n{found}"


def _one_by_one() -> random.Random:
    class Single(random.Random):
        def choice(self, seq: Any) -> Any:
            return seq[0]

        def random(self) -> float:
            return 0.99

    return Single(0)


def some_orders(events: Sequence[Json], how_many: int) -> Iterator[tuple[Sequence[Json], random.Random]]:
    """Some permutations."""
    for number in range(how_many):
        luck = random.Random(number)
        yield luck.sample(list(events), len(events)), luck


@cache
def world_of(mix: str, seed: int) -> list[Json]:
    """The events of a small world: the first seed from this one on that has neither too few nor too many."""
    while True:
        start = datetime(2026, 3, 2, 8, tzinfo=UTC)
        events = [e.event for e in generate(seed, 1, MIXES[mix], start=start, audience=(2, 6)).emissions]
        if WORLD_EVENTS[0] <= len(events) <= WORLD_EVENTS[1]:
            return events
        seed += 1000


def shuffled(events: Sequence[Json], luck: random.Random, reach: int | None) -> list[Json]:
    """A random order; with a `reach`, one in which no event moves much further than that, as on a real network."""
    if reach is None:
        return luck.sample(list(events), len(events))
    late = sorted((place + luck.uniform(0, reach), place) for place in range(len(events)))
    return [events[place] for _, place in late]
