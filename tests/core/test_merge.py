"""How facts combine: each rule does not care about order or repetition, and every stated column has a rule."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.rows import KEY_COLUMNS, STAMPED, Meeting
from schema.tables import TABLES
from tests.projected_facts import facts_of
from tests.signed_requests import payload_files, read_payload_file
from tests.stories import Story
from workers.core.merge import CLEARED, NEWEST, RULES, Fact, merge_facts

COMBINED = [(t, c) for t, rules in RULES.items() for c, rule in rules.items() if rule is not NEWEST]
UNIONS = {("connection", "joins"), ("connection", "leaves"), ("registrant", "history")}

collections = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["", "a", "é"])), max_size=4).map(
    lambda items: tuple(sorted(set(items)))
)


def values_of(table: str, column: str) -> st.SearchStrategy[Any]:
    """Values of the kind the column holds."""
    if (table, column) in UNIONS:
        return collections
    kind = str(TABLES[table].columns[column].type).lower()
    if "bool" in kind:
        return st.booleans()
    if "int" in kind:
        return st.integers(0, 2**62)
    return st.datetimes() if column.endswith(("_at", "_ts", "start")) else st.text(max_size=5)


@pytest.mark.parametrize(("table", "column"), COMBINED)
def test_a_rule_is_commutative_associative_and_idempotent(table: str, column: str) -> None:
    rule = RULES[table][column]
    assert rule is not None
    values = values_of(table, column)

    @given(values, values, values)
    def law(one: Any, two: Any, three: Any) -> None:
        assert rule(one, two) == rule(two, one)
        assert rule(rule(one, two), three) == rule(one, rule(two, three))
        assert rule(one, one) == one

    law()


# --- newest -----------------------------------------------------------------------------------------------------

newest_facts = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.fixed_dictionaries(
            {},
            optional={
                "topic": st.none() | st.sampled_from(["a", "b", "c"]),
                "timezone": st.sampled_from(["x", "y"]),
                "duration_minutes": st.integers(1, 3),
                "deleted_at": st.sampled_from([CLEARED, "2026", "2027"]),
            },
        ),
    ).map(lambda told: Fact("meeting", ("a", 1), told[1], told[0])),
    max_size=7,
)


def merged(facts: list[Fact], cut: int | None = None) -> Meeting | None:
    """What the facts leave, in one batch, or in two."""
    first = merge_facts(facts[:cut] if cut is not None else facts, {})
    if cut is not None:
        second = merge_facts(facts[cut:], first)
        first = {"meeting": first.get("meeting", {}) | second.get("meeting", {})}
    row: Meeting | None = first.get("meeting", {}).get(("a", 1))
    return row


@given(newest_facts, st.integers(0, 7), st.randoms(use_true_random=False))
def test_newest_facts_leave_the_same_row_in_any_order_repeated_and_over_any_batches(
    facts: list[Fact], cut: int, luck: random.Random
) -> None:
    expected = merged(facts)
    again = facts + [fact for fact in facts if luck.random() < 0.4]
    luck.shuffle(again)
    assert merged(again, min(cut, len(again))) == expected


def fact(stated_ms: int, **values: Any) -> Fact:
    return Fact("meeting", ("a", 1), values, stated_ms)


def row_of(*facts: Fact) -> Meeting:
    row = merged(list(facts))
    assert row is not None
    return row


def test_a_late_update_does_not_undo_a_newer_one_column_by_column() -> None:
    row = row_of(fact(5, topic="new"), fact(3, topic="old", timezone="UTC"))
    assert (row.topic, row.timezone) == ("new", "UTC")


def test_equal_times_are_settled_by_the_greater_value() -> None:
    assert row_of(fact(5, topic="a"), fact(5, topic="b")).topic == "b"
    assert row_of(fact(5, topic="b"), fact(5, topic="a")).topic == "b"


def test_a_passing_mention_fills_a_gap_and_never_wins() -> None:
    assert row_of(fact(0, topic="mention")).topic == "mention"
    assert row_of(fact(1, topic="stated"), fact(0, topic="mention")).topic == "stated"
    assert row_of(fact(0, topic="z"), fact(1, topic="stated")).topic == "stated"


def test_what_is_cleared_stays_cleared_until_it_is_stated_later() -> None:
    assert row_of(fact(5, deleted_at="x"), fact(6, deleted_at=CLEARED)).deleted_at is None
    assert row_of(fact(6, deleted_at=CLEARED), fact(5, deleted_at="x")).deleted_at is None
    assert row_of(fact(6, deleted_at=CLEARED), fact(7, deleted_at="x")).deleted_at == "x"


def test_what_a_fact_does_not_state_stays() -> None:
    assert row_of(fact(1, topic="kept"), fact(9, topic=None, timezone="UTC")).topic == "kept"


def test_merging_does_not_change_the_rows_it_was_given() -> None:
    stamps = {"topic": 1}
    known = {"meeting": {("a", 1): Meeting("a", 1, topic="old", stamps=stamps)}}
    merge_facts([fact(5, topic="new", timezone="UTC")], known)
    assert known["meeting"]["a", 1] == Meeting("a", 1, topic="old", stamps={"topic": 1})
    assert stamps == {"topic": 1}


# --- the declarations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", RULES)
def test_every_rule_is_about_a_column_that_exists(table: str) -> None:
    assert set(RULES[table]) <= {column.name for column in TABLES[table].columns}
    assert list(KEY_COLUMNS[table]) == [column.name for column in TABLES[table].primary_key]
    assert not set(RULES[table]) & set(KEY_COLUMNS[table])


@pytest.mark.parametrize("name", payload_files())
def test_every_column_a_projection_states_has_a_rule(name: str) -> None:
    for stated in facts_of(read_payload_file(name)):
        assert set(stated.values) <= set(RULES[stated.table]), stated
        assert len(stated.key) == len(KEY_COLUMNS[stated.table])


def test_every_column_that_newest_decides_is_stamped_and_no_other() -> None:
    newest = {t: {c for c, rule in rules.items() if rule is NEWEST} for t, rules in RULES.items()}
    assert {table: set(columns) for table, columns in STAMPED.items()} == {t: c for t, c in newest.items() if c}


def test_odd_events_state_nothing_without_a_rule_either() -> None:
    story = Story("meeting", 8)
    for event in (
        story.changed(1, {"recurrence": {"type": 1}, "settings": {"registration_type": "2"}}, {}, "all"),
        story.live(2, "started", "u", 2, occurrence_id=5),
        story.person(3, "joined", "1", room="r", parent_user_id="2", bind_user_id="3"),
        story.registration(4, "created", "a", {"1": 60}, custom_questions=[{"title": None, "value": None}]),
    ):
        for stated in facts_of(event):
            assert set(stated.values) <= set(RULES[stated.table]), stated
