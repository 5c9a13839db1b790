"""Who was behind a connection: by identifier, never by name."""

from __future__ import annotations

from typing import Any

import pytest

from schema.rows import Connection, Leave, Participant
from tests.stories import at
from workers.core.people import SIMULTANEOUS_MAX, Registrants, people_of
from workers.core.stays import count_once, participants_of


def connection(number: str, **more: Any) -> Connection:
    shown: dict[str, Any] = {"meeting_id": 1, "name": "Same Name"} | more
    return Connection("a", "u", number, **shown)


R = ("a", 1, "r")
S = ("a", 1, "s")
NOBODY = Registrants((), {})


def people(*rows: Connection, named: Any = (), addresses: Any = None) -> dict[str, str]:
    """Who is behind these connections of one instance, by connection_id; the same in whatever order they come."""
    registrants = Registrants(named, {("a", 1, email): ids for email, ids in (addresses or {}).items()})
    found = people_of(rows, registrants)
    assert people_of(rows[::-1], registrants) == found
    return {key[2]: person for key, person in found.items()}


@pytest.mark.parametrize(
    ("known", "person"),
    [
        ({"registrant_id": "r", "zoom_user_id": "z", "email": "e"}, "registrant:r"),
        ({"zoom_user_id": "z", "email": "e"}, "user:z"),
        ({"participant_id": "y", "zoom_user_id": "z"}, "user:z"),
        ({"email": "e", "customer_key": "k"}, "email:e"),
        ({"customer_key": "k", "phone_number": "1"}, "key:k"),
        ({"custom_keys": "[]", "phone_number": "1"}, "keys:[]"),
        ({"phone_number": "1"}, "phone:1"),
        ({"participant_uuid": "P"}, "connection:u:1"),
        ({}, "connection:u:1"),
    ],
)
def test_the_strongest_identifier_tells_the_person(known: dict[str, str], person: str) -> None:
    assert people(connection("1", **known), named={R}) == {"1": person}


def test_two_guests_with_one_name_are_two_people() -> None:
    assert len(set(people(connection("1"), connection("2")).values())) == 2


@pytest.mark.parametrize(
    "shown", [{"zoom_user_id": "x"}, {"email": "x"}, {"customer_key": "x"}, {"custom_keys": "x"}, {"phone_number": "x"}]
)
def test_any_identifier_in_common_makes_one_person(shown: dict[str, str]) -> None:
    found = people(connection("1", **shown), connection("2", registrant_id="r", **shown), named={R})
    assert set(found.values()) == {"registrant:r"}


def test_a_user_id_is_the_same_in_either_field() -> None:
    found = people(connection("1", zoom_user_id="b", participant_id="a"), connection("2", zoom_user_id="a"))
    assert set(found.values()) == {"user:b"}


def test_an_address_of_a_registrant_is_that_registrant() -> None:
    assert people(connection("1", email="e"), named={R}, addresses={"e": {"r"}}) == {"1": "registrant:r"}


def test_an_address_of_two_registrants_is_neither() -> None:
    assert people(connection("1", email="e"), named={R, S}, addresses={"e": {"r", "s"}}) == {"1": "email:e"}


def test_a_registrant_id_that_is_the_own_user_id_is_none() -> None:
    host = connection("1", registrant_id="h", zoom_user_id="h", email="e")
    assert people(host) == {"1": "user:h"}
    assert people(host, named={R}, addresses={"e": {"r"}}) == {"1": "registrant:r"}


def test_a_registrant_id_that_nobody_registered_joins_and_is_weaker_than_what_else_is_known() -> None:
    rows = connection("1", registrant_id="r"), connection("2", registrant_id="r", email="e")
    assert people(*rows) == {"1": "email:e", "2": "email:e"}
    assert people(*rows, named={R}) == {"1": "registrant:r", "2": "registrant:r"}
    assert people(rows[0]) == {"1": "registrant:r"}


# --- two registrants --------------------------------------------------------------------------------------------


def test_two_registrants_on_one_account_keep_what_only_they_showed() -> None:
    rows = (
        connection("1", registrant_id="r", zoom_user_id="u", phone_number="1"),
        connection("2", registrant_id="s", zoom_user_id="u"),
        connection("3", zoom_user_id="u"), connection("4", phone_number="1"),
    )  # fmt: skip
    found = people(*rows, named={R, S})
    assert found == {"1": "registrant:r", "2": "registrant:s", "3": "user:u", "4": "registrant:r"}


def test_who_shows_something_of_two_registrants_is_neither() -> None:
    rows = (
        connection("1", registrant_id="r", zoom_user_id="u"), connection("2", zoom_user_id="u", phone_number="1"),
        connection("3", registrant_id="s", phone_number="1"), connection("4", zoom_user_id="u"),
    )  # fmt: skip
    found = people(*rows, named={R, S})
    assert found == {"1": "registrant:r", "2": "user:u", "3": "registrant:s", "4": "registrant:r"}


# --- within an instance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bound",
    [{"bound_to": "1"}, {"bound_to": "P-1"}, {"bind_participant_uuid": "P-1"}, {"parent_user_id": "1"},
     {"participant_uuid": "P-1"}],
)  # fmt: skip
def test_what_is_bound_to_a_connection_is_the_same_person(bound: dict[str, str]) -> None:
    found = people(connection("1", registrant_id="r", participant_uuid="P-1"), connection("2", **bound), named={R})
    assert set(found.values()) == {"registrant:r"}


def test_the_same_participant_uuid_in_another_instance_is_another_connection() -> None:
    rows = connection("1", participant_uuid="P"), Connection("a", "v", "1", 1, participant_uuid="P")
    assert len(set(people_of(rows, NOBODY).values())) == 2


def test_bonds_make_chains() -> None:
    rows = connection("1", email="e"), connection("2", bound_to="1"), connection("3", bound_to="2"), connection("4")
    assert people(*rows) == {"1": "email:e", "2": "email:e", "3": "email:e", "4": "connection:u:4"}


def test_a_bond_to_nobody_and_to_oneself_binds_nobody() -> None:
    assert len(set(people(connection("1", bound_to="9"), connection("2", bound_to="2")).values())) == 2


def test_a_circle_of_bonds_is_one_person() -> None:
    assert len(set(people(connection("1", bound_to="2"), connection("2", bound_to="1")).values())) == 1


# --- too many at once -------------------------------------------------------------------------------------------


def crowd(size: int, **more: Any) -> list[Connection]:
    return [connection(f"{n}", **{"zoom_user_id": "room", "joins": (n,)} | more) for n in range(size)]


def test_an_identifier_that_too_many_show_at_once_is_none() -> None:
    assert set(people(*crowd(SIMULTANEOUS_MAX)).values()) == {"user:room"}
    found = people(*crowd(SIMULTANEOUS_MAX + 1))
    assert set(found.values()) == {f"connection:u:{n}" for n in range(SIMULTANEOUS_MAX + 1)}


def test_who_rejoins_often_is_still_one_person() -> None:
    rows = [connection(f"{n}", zoom_user_id="z", joins=(n,), leaves=(Leave(n + 1, ""),)) for n in range(20)]
    assert set(people(*rows).values()) == {"user:z"}


def test_rooms_of_one_device_are_one_device() -> None:
    rows = crowd(SIMULTANEOUS_MAX + 1, participant_uuid="P")
    assert set(people(*rows).values()) == {"user:room"}


def test_those_who_came_by_a_registrants_link_do_not_count_as_too_many() -> None:
    rows = crowd(SIMULTANEOUS_MAX + 1, registrant_id="r")
    assert set(people(*rows, connection("x", zoom_user_id="room"), named={R}).values()) == {"registrant:r"}


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
