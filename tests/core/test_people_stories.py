"""Who it was, from signed POSTs to the report: every story in several orders, on both databases, and rebuilt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from schema.states import REASONS, PersonStanding
from schema.store.database import Database
from tests.conftest import DATABASES
from tests.inbox_to_tables import insert_rows, select, take
from tests.played_stories import ORDERS, Played, module_database, played
from tests.stories import ACCOUNT, HOST, WEEK_MINUTES, Json, Story

FIRST, SECOND = 60.0, 60.0 + WEEK_MINUTES
END = FIRST + 60
WEEKS = {"1001": FIRST, "1002": SECOND}
m = Story("meeting", 8)
Person = tuple[str, str, float]  # standing, reason, minutes
DOMAINS = frozenset({"staff.example"})


@dataclass
class Told:
    """What happens in the first week, and who was there, by person_id."""

    events: Sequence[Json]
    people: dict[str, Person]


def signed_up(name: str, minute: float = 1, **more: Any) -> Json:
    """Somebody registers for the first week."""
    return m.registration(minute, "created", name, {"1001": FIRST}, status="approved", **more)


def stay(user: str, come: float, go: float, **who: Any) -> list[Json]:
    """One connection; times in minutes after the start of the first week."""
    return [m.person(FIRST + come, "joined", user, FIRST, **who), m.person(FIRST + go, "left", user, FIRST, **who)]


def room(user: str, come: float, go: float, name: str, **who: Any) -> list[Json]:
    """The same in a breakout room."""
    return [
        m.person(FIRST + come, "joined_breakout_room", user, FIRST, room=name, **who),
        m.person(FIRST + go, "left_breakout_room", user, FIRST, room=name, **who),
    ]


FOR_IT, GUEST, NOBODY = "registered for it", ("walk_in", "never registered"), ("unidentified", "no identifier")

STORIES: dict[str, Told] = {
    "signed in, then again without the link": Told(
        [signed_up("ann"), *stay("1", 1, 10, registrant_id="ann", participant_user_id="u"),
         *stay("2", 20, 30, participant_user_id="u")],
        {"registrant:ann": ("attended", FOR_IT, 19)},
    ),
    "signed in, then as a guest with the same address": Told(
        [*stay("1", 1, 10, participant_user_id="u", email="gus@x.example"), *stay("2", 20, 30, email="Gus@X.example")],
        {"user:u": (*GUEST, 19)},
    ),
    "two ids in the first event, one of them in the second": Told(
        [*stay("1", 1, 10, id="a", participant_user_id="b"), *stay("2", 20, 30, id="a", participant_user_id="")],
        {"user:b": (*GUEST, 19)},
    ),
    "two ids in the first event, the other one in the second": Told(
        [*stay("1", 1, 10, id="a", participant_user_id="b"), *stay("2", 20, 30, participant_user_id="b")],
        {"user:b": (*GUEST, 19)},
    ),
    "an SDK guest who comes back": Told(
        [*stay("1", 1, 10, customer_key="k"), *stay("2", 20, 30, customer_key="k")], {"key:k": (*GUEST, 19)}
    ),
    "custom keys, as a list and as a dict": Told(
        [*stay("1", 1, 10, custom_keys=[{"key": "crm", "value": "7"}]), *stay("2", 20, 30, custom_keys={"crm": 7})],
        {'keys:[["crm", "7"]]': (*GUEST, 19)},
    ),
    "a caller who comes back": Told(
        [*stay("1", 1, 10, phone_number="+49301234"), *stay("2", 20, 30, phone_number="+49301234")],
        {"phone:+49301234": (*GUEST, 19)},
    ),
    "the host with their own id as registrant_id, who had registered by address": Told(
        [signed_up("hal"),
         *stay("1", 1, 10, registrant_id=HOST, id=HOST, participant_user_id=HOST, email="hal@example.com")],
        {"registrant:hal": ("attended", "known by address", 9)},
    ),
    "two guests with one name": Told(
        [*stay("1", 1, 10, user_name="Kim"), *stay("2", 2, 11, user_name="Kim")],
        {"connection:run-1==:1": (*NOBODY, 9), "connection:run-1==:2": (*NOBODY, 9)},
    ),
    "a room connector without any identifier": Told(
        stay("1", 1, 10, participant_uuid=""), {"connection:run-1==:1": (*NOBODY, 9)}
    ),
    "two registrants on one account": Told(
        [signed_up("ann"), signed_up("ben"), *stay("1", 1, 10, registrant_id="ann", participant_user_id="u"),
         *stay("2", 1, 20, registrant_id="ben", participant_user_id="u"), *stay("3", 30, 35, participant_user_id="u")],
        {"registrant:ann": ("attended", FOR_IT, 9), "registrant:ben": ("attended", FOR_IT, 19),
         "user:u": (*GUEST, 5)},
    ),
    "an account that a whole room uses": Told(
        [event for n in range(6) for event in stay(f"{n}", 1, 10, participant_user_id="room")],
        {f"connection:run-1==:{n}": (*NOBODY, 9) for n in range(6)},
    ),
    "six times in a row is one person": Told(
        [event for n in range(6) for event in stay(f"{n}", n, n + 1, participant_user_id="u")],
        {"user:u": (*GUEST, 6)},
    ),
    "a telephone bound at the end": Told(
        [signed_up("ann"), *stay("1", 1, 10, registrant_id="ann"), *stay("2", 5, 20),
         m.person(FIRST + 19, "bind", "2", FIRST, bind_participant_uuid="P-1")],
        {"registrant:ann": ("attended", FOR_IT, 19)},
    ),
    "a registration after they left, but before the end": Told(
        [*stay("1", 1, 10, registrant_id="ann"), signed_up("ann", FIRST + 20)],
        {"registrant:ann": ("attended", FOR_IT, 9)},
    ),
    "an address seen only on leaving": Told(
        [signed_up("ann"), m.person(FIRST + 1, "joined", "1", FIRST),
         m.person(FIRST + 10, "left", "1", FIRST, email="ann@example.com")],
        {"registrant:ann": ("attended", "known by address", 9)},
    ),
    "rooms with their parent": Told(
        [*stay("1", 0, 10), *room("2", 10, 20, "r1", participant_uuid="P-1", parent_user_id="1"),
         *room("3", 20, 30, "r2", participant_uuid="P-1", parent_user_id="1"), *stay("1", 30, 60)],
        {"connection:run-1==:1": (*NOBODY, 60)},
    ),
    "rooms with a participant_uuid and no parent": Told(
        [*stay("1", 0, 10), *room("2", 10, 20, "r1", participant_uuid="P-1"),
         *room("3", 20, 30, "r2", participant_uuid="P-1"), *stay("1", 30, 60)],
        {"connection:run-1==:1": (*NOBODY, 60)},
    ),
    "rooms with a parent and no participant_uuid": Told(
        [*stay("1", 0, 10), *room("2", 10, 20, "r1", participant_uuid="", parent_user_id=1),
         *room("3", 20, 30, "r2", participant_uuid="", parent_user_id=1), *stay("1", 30, 60)],
        {"connection:run-1==:1": (*NOBODY, 60)},
    ),
    "a plain join with another user_id on entering each room": Told(
        [*stay("1", 0, 10), *room("2", 10, 20, "r1", participant_uuid="P-1"),
         *stay("4", 10, 20, participant_uuid="P-1"),
         *room("3", 20, 30, "r2", participant_uuid="P-1"), *stay("5", 20, 30, participant_uuid="P-1"),
         *stay("6", 30, 60, participant_uuid="P-1")],
        {"connection:run-1==:1": (*NOBODY, 60)},
    ),
    "the main room is kept while they are in a room": Told(
        [signed_up("ann"), *stay("1", 0, 60, registrant_id="ann"), *room("2", 10, 30, "r1", participant_uuid="P-1")],
        {"registrant:ann": ("attended", FOR_IT, 60)},
    ),
    "the host": Told(stay("1", 0, 60, participant_user_id=HOST), {f"user:{HOST}": ("staff", "host", 60)}),
    "the host in the other id": Told(
        stay("1", 0, 60, id=HOST, participant_user_id="zz"), {"user:zz": ("staff", "host", 60)}
    ),
    "the host who registered": Told(
        [signed_up("hal"), *stay("1", 0, 60, registrant_id="hal", participant_user_id=HOST)],
        {"registrant:hal": ("attended", FOR_IT, 60)},
    ),
    "a guest who was co-host for a while": Told(
        [*stay("1", 0, 60, email="cleo@x.example"),
         m.person(FIRST + 5, "role_changed", "1", FIRST, new_role="co-host"),
         m.person(FIRST + 9, "role_changed", "1", FIRST, new_role="attendee")],
        {"email:cleo@x.example": ("staff", "co-host", 60)},
    ),
    "a co-host": Told(
        [*stay("1", 0, 60, email="cleo@x.example"),
         m.person(FIRST + 5, "role_changed", "1", FIRST, new_role="co-host")],
        {"email:cleo@x.example": ("staff", "co-host", 60)},
    ),
    "an alternative host": Told(
        [m.changed(3, {"settings": {"alternative_hosts": "Al@x.example;bo@x.example"}}, {}, "all"),
         *stay("1", 0, 60, email="al@x.example")],
        {"email:al@x.example": ("staff", "alternative host", 60)},
    ),
    "somebody of a staff domain": Told(
        stay("1", 0, 60, email="sam@Staff.example"), {"email:sam@staff.example": ("staff", "staff domain", 60)}
    ),
    "every reason of a registrant": Told(
        [
            signed_up("all"), m.registration(1, "created", "any", status="approved"), signed_up("late", END + 5),
            m.registration(1, "created", "other", {"1002": SECOND}, status="approved"), signed_up("gone"),
            m.registration(5, "cancelled", "gone"),
            m.registration(1, "created", "wait", {"1001": FIRST}, status="pending"),
            m.registration(1, "denied", "no", {"1001": FIRST}), signed_up("absent"),
            m.registration(1, "created", "lazy", status="approved"),
            *(event for n, name in enumerate(("all", "any", "late", "other", "gone", "wait", "no"))
              for event in stay(f"{n}", 1, 2, registrant_id=name)),
        ],
        {
            "registrant:all": ("attended", FOR_IT, 1), "registrant:any": ("attended", "registered for all", 1),
            "registrant:late": ("walk_in", "registered after it ended", 1),
            "registrant:other": ("walk_in", "registered for another occurrence", 1),
            "registrant:gone": ("walk_in", "cancelled before it started", 1),
            "registrant:wait": ("walk_in", "not approved yet", 1), "registrant:no": ("walk_in", "denied", 1),
            "registrant:absent": ("no_show", FOR_IT, 0), "registrant:lazy": ("no_show", "registered for all", 0),
        },
    ),
    "known by another identifier": Told(
        [signed_up("ann"), *stay("1", 0, 1, registrant_id="ann", participant_user_id="u"),
         m.started(SECOND, "run-2=="), m.ended(SECOND + 60, SECOND, "run-2==")],
        {"registrant:ann": ("attended", FOR_IT, 1)},
    ),
}  # fmt: skip


def events_of(told: Told) -> list[Json]:
    """A story within the week it is about."""
    return [m.created(0, WEEKS), m.started(FIRST), *told.events, m.ended(END, FIRST)]


@pytest.fixture(scope="module", params=DATABASES)
def stories(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Every story, in every order, in one database."""
    for url in module_database(request, tmp_path_factory):
        with played(url, {name: events_of(told) for name, told in STORIES.items()}, DOMAINS) as stage:
            yield stage


@pytest.mark.parametrize("name", STORIES)
def test_the_report_says_who_it_was(name: str, stories: Played) -> None:
    for order in ORDERS:
        assert people_of(stories.database, stories.of(name, order)) == STORIES[name].people, order
        assert_sums(stories.database, stories.of(name, order))


def test_a_rebuild_finds_the_same_people(stories: Played) -> None:
    assert stories.rows_not_as_rebuilt() == []


def test_a_panelist_whom_zooms_api_names_is_staff(database: Database) -> None:
    take(database, *events_of(Told(stay("1", 0, 60, email="pam@x.example"), {})))
    named = {"identifier": "email:pam@x.example", "source": "zoom", "role": "panelist"}
    with database.write() as connection:
        insert_rows(connection, "staff", [named | {"account_id": ACCOUNT, "meeting_id": m.meeting_id}])
    assert people_of(database) == {"email:pam@x.example": ("staff", "panelist", 60)}
    assert_sums(database)


def people_of(database: Database, account_id: str = ACCOUNT, occurrence: str = "1001") -> dict[str, Person]:
    """The rows of the view, by person."""
    query = "SELECT * FROM occurrence_person WHERE account_id = ? AND occurrence_id = ?"
    rows = select(database, query, (account_id, occurrence))
    assert len({row["person_id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["reason"] in REASONS[PersonStanding(row["standing"])], row
        share = row["attended_share"]
        assert share is None or share == pytest.approx(min(1.0, row["attended_seconds"] / 3600)), row
    return {row["person_id"]: (row["standing"], row["reason"], row["attended_seconds"] / 60) for row in rows}


def assert_sums(database: Database, account_id: str = ACCOUNT) -> None:
    """The sums over people are what `occurrence_report` says."""
    for report in select(database, "SELECT * FROM occurrence_report WHERE account_id = ?", (account_id,)):
        key = (report["account_id"], report["meeting_id"], report["occurrence_id"])
        rows = select(
            database,
            "SELECT * FROM occurrence_person WHERE account_id = ? AND meeting_id = ? AND occurrence_id = ?", key,
        )  # fmt: skip
        count = Counter(row["standing"] for row in rows)
        if not report["instances"]:
            assert report["registrants"] == count["registered"] == count.total()
            continue
        assert (report["attended"], report["no_shows"]) == (count["attended"], count["no_show"])
        assert (report["walk_ins"], report["unidentified"]) == (count["walk_in"], count["unidentified"])
        assert report["staff"] == count["staff"]
        assert report["registrants"] == report["attended"] + report["no_shows"]
        assert report["participants"] == report["attended"] + report["walk_ins"] + report["unidentified"]
        seconds = sum(row["attended_seconds"] for row in rows)
        assert report["attended_minutes"] == pytest.approx(seconds / 60, abs=0.006)


def test_every_reason_is_shown_by_a_story() -> None:
    shown = {(standing, reason) for told in STORIES.values() for standing, reason, _ in told.people.values()}
    wanted = {(standing, reason) for standing, reasons in REASONS.items() for reason in reasons}
    assert {pair for pair in wanted if pair[0] != PersonStanding.REGISTERED} - shown == {
        ("attended", "known by another identifier"),  # takes two occurrences: below
        ("staff", "panelist"),
    }


def test_an_account_known_from_one_week_tells_who_it_was_in_the_next(database: Database) -> None:
    second = {"uuid": "run-2==", "participant_user_id": "u"}
    take(
        database, m.created(0, WEEKS), m.registration(1, "created", "ann", WEEKS, status="approved"),
        m.started(FIRST), m.ended(END, FIRST),
        *stay("1", 0, 1, registrant_id="ann", participant_user_id="u"), m.started(SECOND, "run-2=="),
        m.person(SECOND + 1, "joined", "9", SECOND, **second), m.person(SECOND + 3, "left", "9", SECOND, **second),
        m.ended(SECOND + 60, SECOND, "run-2=="),
    )  # fmt: skip
    assert people_of(database, occurrence="1002") == {"registrant:ann": ("attended", "known by another identifier", 2)}
    assert_sums(database)


def test_before_it_was_held_there_are_registrants_and_nobody_else(database: Database) -> None:
    take(database, m.created(0, WEEKS), signed_up("ann"), m.registration(2, "created", "ben", status="approved"))
    assert people_of(database) == {
        "registrant:ann": ("registered", "registered for it", 0),
        "registrant:ben": ("registered", "registered for all", 0),
    }
    assert_sums(database)
    rows = select(database, "SELECT * FROM occurrence_person WHERE occurrence_id = '1001' ORDER BY person_id")
    assert [(row["registrant_id"], row["name"], row["email"]) for row in rows] == [
        ("ann", "ann X", "ann@example.com"), ("ben", "ben X", "ben@example.com")
    ]  # fmt: skip
    assert [row["attended_share"] for row in rows] == [None, None]


def test_while_it_runs_there_is_no_share(database: Database) -> None:
    take(
        database, m.created(0, WEEKS), m.started(FIRST), m.person(FIRST + 1, "joined", "1", FIRST, email="g@x.example")
    )
    (row,) = select(database, "SELECT * FROM occurrence_person WHERE occurrence_id = '1001'")
    assert (row["attended_share"], bool(row["is_present"]), row["last_left_at"]) == (None, True, None)
