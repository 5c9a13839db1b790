"""Who was behind a connection: by identifier, never by name."""

from __future__ import annotations

from typing import Any

import pytest

from schema.rows import Connection, Leave, Participant
from tests.stories import at
from workers.core.people import count_once, participants_of, person_of, same_person_groups


def connection(number: str, **more: Any) -> Connection:
    return Connection("a", "u", number, **{"name": "Same Name"} | more)


@pytest.mark.parametrize(
    ("known", "person"),
    [
        ({"registrant_id": "r", "zoom_user_id": "z", "email": "e"}, "registrant:r"),
        ({"zoom_user_id": "z", "email": "e"}, "user:z"),
        ({"email": "e"}, "email:e"),
        ({}, "connection:u:1"),
    ],
)
def test_the_best_identifier_tells_the_person(known: dict[str, str], person: str) -> None:
    assert person_of([connection("1", **known)]) == person


def test_two_guests_with_one_name_are_two_people() -> None:
    groups = same_person_groups([connection("1"), connection("2")])
    assert len({person_of(group) for group in groups}) == 2


def test_one_registrant_on_two_devices_is_one_person() -> None:
    rows = [connection("1", registrant_id="r"), connection("2", registrant_id="r")]
    assert {person_of(group) for group in same_person_groups(rows)} == {"registrant:r"}


@pytest.mark.parametrize("named", ["1", "P-1"])
def test_a_telephone_is_bound_to_the_other_connection_by_either_of_its_names(named: str) -> None:
    rows = [connection("1", registrant_id="r", participant_uuid="P-1"), connection("2", bound_to=named)]
    (group,) = same_person_groups(rows)
    assert person_of(group) == "registrant:r"


def test_bonds_make_chains_in_whatever_order_they_come() -> None:
    rows = [connection("1", email="e"), connection("2", bound_to="1"), connection("3", bound_to="2"), connection("4")]
    for order in (rows, rows[::-1], [rows[2], rows[0], rows[3], rows[1]]):
        groups = same_person_groups(order)
        assert sorted(sorted(row.connection_id for row in group) for group in groups) == [["1", "2", "3"], ["4"]]
        assert {person_of(group) for group in groups} == {"email:e", "connection:u:4"}


def test_a_bond_to_nobody_and_to_oneself_binds_nobody() -> None:
    assert len(same_person_groups([connection("1", bound_to="9"), connection("2", bound_to="2")])) == 2


def test_a_circle_of_bonds_is_one_person() -> None:
    assert len(same_person_groups([connection("1", bound_to="2"), connection("2", bound_to="1")])) == 1


# --- stays as rows ----------------------------------------------------------------------------------------------


def ms_of(minutes: float) -> int:
    return int(at(minutes).timestamp() * 1000)


def rows_of(joins: list[float], leaves: list[tuple[float, str]], ended: float | None) -> list[Participant]:
    row = connection(
        "1",
        joins=tuple(ms_of(minute) for minute in joins),
        leaves=tuple(Leave(ms_of(minute), reason) for minute, reason in leaves),
    )
    return participants_of(row, "connection:u:1", None if ended is None else at(ended))


def test_a_stay_nobody_ended_ends_with_the_instance_and_says_so() -> None:
    (row,) = rows_of([1], [], 30)
    assert (row.joined_at, row.left_at, row.left_is_inferred) == (at(1), at(30), True)


def test_a_stay_in_an_instance_that_never_ended_is_still_open() -> None:
    (row,) = rows_of([1], [], None)
    assert (row.left_at, row.left_is_inferred) == (None, False)


def test_a_join_after_the_end_is_no_negative_stay() -> None:
    (row,) = rows_of([40], [], 30)
    assert row.left_at == at(40)


def test_a_leave_nobody_joined_for_is_kept_with_its_start_unknown() -> None:
    (row,) = rows_of([], [(9, "bye")], 30)
    assert (row.first_seen_at, row.joined_at, row.left_at) == (at(9), None, at(9))
    assert row.leave_reason == "bye"


# --- time that counts once --------------------------------------------------------------------------------------


def stay(joined: float | None, left: float | None, uuid: str = "u", number: str = "1") -> Participant:
    first = joined if joined is not None else left
    assert first is not None
    return Participant(
        "a",
        uuid,
        number,
        at(first),
        joined_at=None if joined is None else at(joined),
        left_at=None if left is None else at(left),
    )


def minutes_of(*stays: Participant) -> float:
    """How many minutes these stays of one person add up to."""
    minutes: float = sum(
        (row.left_at - row.counts_from).total_seconds() / 60
        for row in count_once(stays)
        if row.counts_from is not None and row.left_at is not None
    )
    return minutes


@pytest.mark.parametrize(
    ("stays", "minutes"),
    [
        ([stay(0, 10)], 10),
        ([stay(0, 10), stay(20, 30)], 20),
        ([stay(0, 10), stay(5, 15, number="2")], 15),
        ([stay(0, 30), stay(5, 15, number="2")], 30),
        ([stay(0, 30), stay(5, 15, number="2"), stay(10, 40, number="3")], 40),
        ([stay(0, 10), stay(10, 20, uuid="v")], 20),
        ([stay(0, 10), stay(8, 20, uuid="v")], 20),
        ([stay(None, 10)], 0),
        ([stay(None, 10), stay(5, 20, number="2")], 15),
        ([stay(0, 10), stay(0, 10, number="2")], 10),
    ],
)
def test_attended_time_is_the_union_of_the_stays(stays: list[Participant], minutes: float) -> None:
    assert minutes_of(*stays) == minutes
    assert minutes_of(*reversed(stays)) == minutes


def test_an_open_stay_covers_what_comes_after_it_in_its_own_instance_only() -> None:
    rows = {row.connection_id: row for row in count_once([stay(0, None), stay(5, 9, number="2")])}
    assert rows["2"].counts_from is None
    rows = {row.connection_id: row for row in count_once([stay(0, None), stay(5, 9, uuid="v", number="2")])}
    assert rows["2"].counts_from == at(5)
