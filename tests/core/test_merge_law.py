"""The law in memory: tens of thousands of orders, doublings and cuts of the pure decision, in seconds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.core.law import (
    WORLDS,
    MemoryStage,
    assert_law,
    assert_law_of_every_order,
    difference,
    shuffled,
    some_orders,
    world_of,
)
from tests.core.law_stories import PEOPLE_STORIES, STORIES
from tests.effort import EFFORT
from workers.core import merge

SOME_ORDERS = 40 * EFFORT  # of a story with too many
WORLD_ORDERS = 80 * EFFORT


@pytest.fixture(scope="module")
def stage() -> MemoryStage:
    return MemoryStage()


@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_a_short_story_leaves_the_same_tables(name: str, stage: MemoryStage) -> None:
    assert_law_of_every_order(stage, STORIES[name])


@pytest.mark.parametrize("name", PEOPLE_STORIES)
def test_some_orders_of_a_story_of_people_leave_the_same_tables(name: str, stage: MemoryStage) -> None:
    assert_law(stage, PEOPLE_STORIES[name], some_orders(PEOPLE_STORIES[name], SOME_ORDERS))


@settings(max_examples=WORLD_ORDERS, phases=[Phase.explicit, Phase.generate])  # `assert_law` shrinks, and better
@given(
    mix=st.sampled_from(WORLDS),
    seed=st.integers(1, 12),
    reach=st.sampled_from([None, None, 3, 20]),
    luck=st.integers(0, 2**32),
)
def test_any_order_of_a_world_leaves_the_same_tables(
    stage: MemoryStage, mix: str, seed: int, reach: int | None, luck: int
) -> None:
    events = world_of(mix, seed)
    drawn = random.Random(luck)
    assert_law(stage, events, iter([(shuffled(events, drawn, reach), drawn)]))


# --- the law has teeth ------------------------------------------------------------------------------------------


def _last_writer_wins(known: Any, stated: Any) -> Any:
    return stated


def _keep_the_known(known: Any, stated: Any) -> Any:
    return known


def plant(monkeypatch: pytest.MonkeyPatch, table: str, column: str, rule: merge.Combine) -> None:
    """Make one column care about order."""
    monkeypatch.setattr(merge, "RULES", {**merge.RULES, table: {**merge.RULES[table], column: rule}})


def test_the_law_catches_a_newest_that_means_last_writer(stage: MemoryStage, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "meeting", "topic", _last_writer_wins)
    with pytest.raises(AssertionError, match="the order of these events matters"):
        assert_law_of_every_order(stage, STORIES["edits_of_other_columns"])


@pytest.mark.parametrize(
    ("table", "column", "story"),
    [
        ("instance", "ended_at", "joined_and_never_left"),
        ("connection", "joins", "left_comes_late_and_twice"),
        ("registrant", "history", "registered_cancelled_and_back"),
        ("instance", "is_practice", "rehearsal"),
    ],
)
def test_the_law_catches_a_rule_that_keeps_what_came_first(
    table: str, column: str, story: str, stage: MemoryStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, table, column, _keep_the_known)
    with pytest.raises(AssertionError, match="the order of these events matters"):
        assert_law_of_every_order(stage, STORIES[story])


def test_the_law_catches_it_in_a_world_too(stage: MemoryStage, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "instance", "first_seen_at", _keep_the_known)
    events = world_of("moved", 1)
    expected, luck = stage.play(events), random.Random(1)
    assert difference(expected, stage.play(shuffled(events, luck, None), luck))
