"""From every status stated of a registrant to their registration for each occurrence."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.rows import StatusEntry
from schema.store.database import Database
from schema.zoom.payloads import from_milliseconds
from tests.core.test_schedule import stated
from tests.inbox_to_tables import select, take
from tests.stories import WEEK_MINUTES, Json, Story
from tests.stories import ms as story_ms
from workers.core.merge import union
from workers.core.registrations import Admission, registrations_of
from workers.core.schedule import offers_of

STORY = Story()


def told(*entries: tuple[int, str, list[str]]) -> dict[str, tuple[str, int | None, int | None]]:
    """Occurrence -> status, since, until (ms), after these statuses."""
    history = sorted(StatusEntry(stated_ms, status, tuple(names)) for stated_ms, status, names in entries)
    return {
        name: (
            standing.status,
            None if standing.since is None else ms(standing.since),
            None if standing.until is None else ms(standing.until),
        )
        for name, standing in registrations_of(history).items()
    }


def ms(moment: object) -> int:
    return next(n for n in range(100) if from_milliseconds(n) == moment)


def test_one_registration_for_all_dates() -> None:
    assert told((5, "approved", ["*"])) == {"*": ("approved", 5, None)}


def test_a_registration_for_particular_dates_has_a_row_for_each() -> None:
    assert told((5, "approved", ["1", "2"])) == {"1": ("approved", 5, None), "2": ("approved", 5, None)}


def test_pending_then_approved_counts_from_the_first_day() -> None:
    assert told((5, "pending", ["1"]), (7, "approved", ["1"])) == {"1": ("approved", 5, None)}


def test_denied_ends_it() -> None:
    assert told((5, "pending", ["*"]), (7, "denied", ["*"])) == {"*": ("denied", 5, 7)}


def test_cancelled_for_one_date_leaves_the_others() -> None:
    assert told((5, "approved", ["1", "2"]), (7, "cancelled", ["2"])) == {
        "1": ("approved", 5, None),
        "2": ("cancelled", 5, 7),
    }


def test_cancelled_without_dates_ends_every_registration() -> None:
    assert told((5, "approved", ["1", "2"]), (7, "cancelled", ["*"])) == {
        "1": ("cancelled", 5, 7),
        "2": ("cancelled", 5, 7),
    }


def test_registered_for_all_and_cancelled_for_one_has_a_row_that_speaks_for_it() -> None:
    assert told((5, "approved", ["*"]), (7, "cancelled", ["2"])) == {
        "*": ("approved", 5, None),
        "2": ("cancelled", 5, 7),
    }


ONCE = Admission(registration_type=1)


def once_for_all(*entries: tuple[int, str, tuple[str, ...]]) -> dict[str, str]:
    """Occurrence -> status, where one registers once for all dates."""
    history = sorted(StatusEntry(*entry) for entry in entries)
    return {name: standing.status for name, standing in registrations_of(history, ONCE).items()}


@pytest.mark.parametrize("listed", [("*",), ("1", "2", "3")])
def test_once_for_all_and_cancelled_for_one_date_keeps_the_others(listed: tuple[str, ...]) -> None:
    found = once_for_all((5, "pending", listed), (6, "approved", ("*",)), (7, "cancelled", ("2",)))
    assert found == {"*": "approved", "2": "cancelled"}


def test_once_for_all_and_cancelled_for_all_that_was_listed_ends_it_for_all() -> None:
    assert once_for_all((5, "approved", ("1", "2")), (7, "cancelled", ("1", "2"))) == {"*": "cancelled"}


def test_cancelled_and_registered_again_counts_from_the_second_time() -> None:
    assert told((5, "approved", ["1"]), (7, "cancelled", ["1"]), (9, "approved", ["1"])) == {"1": ("approved", 9, None)}


def test_cancelled_twice_ended_the_first_time() -> None:
    assert told((5, "approved", ["1"]), (7, "cancelled", ["1"]), (9, "cancelled", ["1"])) == {"1": ("cancelled", 5, 7)}


def test_an_approval_without_dates_of_somebody_who_chose_dates_does_not_register_for_all() -> None:
    assert told((5, "pending", ["1", "2"]), (7, "approved", ["*"])) == {
        "1": ("approved", 5, None),
        "2": ("approved", 5, None),
    }


def test_a_cancellation_alone_registers_nobody() -> None:
    registered = told((7, "cancelled", ["*"]))
    assert all(since is None for _, since, _ in registered.values())


entries = st.builds(
    StatusEntry,
    st.integers(0, 20),
    st.sampled_from(["approved", "pending", "denied", "cancelled"]),
    st.sampled_from([("*",), ("1",), ("2",), ("1", "2")]),
)


@given(st.lists(entries, max_size=6), st.randoms(use_true_random=False))
def test_the_order_in_which_statuses_arrive_does_not_matter(history: list[StatusEntry], luck: random.Random) -> None:
    pieces: list[tuple[StatusEntry, ...]] = [(entry,) for entry in history]
    shuffled = pieces + pieces[:2]
    luck.shuffle(shuffled)

    def combined(parts: list[tuple[StatusEntry, ...]]) -> tuple[StatusEntry, ...]:
        whole: tuple[StatusEntry, ...] = ()
        for part in parts:
            whole = union(whole, part)
        return whole

    assert combined(shuffled) == combined(pieces)
    assert registrations_of(combined(shuffled)) == registrations_of(combined(pieces))


@given(st.lists(entries, max_size=6))
def test_a_registration_ends_only_after_it_began(history: list[StatusEntry]) -> None:
    for standing in registrations_of(sorted(history)).values():
        if standing.since is not None and standing.until is not None:
            assert standing.since <= standing.until
        if standing.status == "approved":
            assert standing.until is None


# --- what a registration admits to ------------------------------------------------------------------------------


def admission(*events: Json, registration_type: int | None = None) -> Admission:
    return Admission.of(registration_type, offers_of(stated(*events)))


WEEKS = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES, "1003": 60.0 + 2 * WEEK_MINUTES}
ANNOUNCED = STORY.created(0, WEEKS)


@pytest.mark.parametrize(
    ("known", "minute", "listed", "is_for_all"),
    [
        pytest.param(admission(ANNOUNCED), 1, ["1001", "1002", "1003"], True, id="every date on offer"),
        pytest.param(admission(ANNOUNCED), 1, ["1001", "1002"], False, id="some of them"),
        pytest.param(admission(ANNOUNCED), 70, ["1002", "1003"], True, id="every date still to come"),
        pytest.param(admission(ANNOUNCED), 70 + WEEK_MINUTES, ["1003"], False, id="the only one left tells nothing"),
        pytest.param(admission(ANNOUNCED, registration_type=2), 1, list(WEEKS), False, id="Zoom says: each by itself"),
        pytest.param(admission(ANNOUNCED, registration_type=3), 1, list(WEEKS), False, id="Zoom says: once and choose"),
        pytest.param(admission(ANNOUNCED, registration_type=1), 1, ["1002"], True, id="Zoom says: once for all"),
        pytest.param(admission(), 1, list(WEEKS), False, id="a series nobody announced"),
        pytest.param(
            admission(ANNOUNCED, STORY.moved(30, {"1003": WEEKS["1003"]}, {"1033": WEEKS["1003"] + 60})),
            40, ["1001", "1002", "1033"], True, id="every date as an edit left them",
        ),
    ],
)  # fmt: skip
def test_whether_a_registration_is_for_all(
    known: Admission, minute: float, listed: list[str], is_for_all: bool
) -> None:
    assert known.is_for_all(StatusEntry(story_ms(minute), "approved", tuple(listed))) is is_for_all


def test_who_listed_every_date_is_registered_for_what_an_edit_makes_of_them(database: Database) -> None:
    """Zoom does not say in `created` that one registration admits to all; in whatever order the two are told."""
    signed_up = STORY.registration(1, "created", "ann", WEEKS, status="approved")
    chose = STORY.registration(2, "created", "ben", {"1003": WEEKS["1003"]}, status="approved")
    moved = STORY.moved(30, {"1003": WEEKS["1003"]}, {"1033": WEEKS["1003"] + 60})
    for event in (chose, moved, signed_up, ANNOUNCED):
        take(database, event)
    found = select(database, "SELECT registrant_id, occurrence_id FROM registration ORDER BY 1, 2")
    assert [tuple(row.values()) for row in found] == [("ann", "*"), ("ben", "1003")]
    take(database, STORY.relisted(40, {"2001": WEEKS["1002"]}, settings={"registration_type": 2}))
    found = select(database, "SELECT registrant_id, occurrence_id FROM registration WHERE registrant_id = 'ann'")
    assert sorted(row["occurrence_id"] for row in found) == ["1001", "1002", "1003"]
