"""The story Joinlog was made for, told from signed POSTs to the report.

A weekly webinar of five occurrences, 26 registrants, seven instances (a rehearsal, and a host who drops and starts
again), and fifteen people who came, some of whom never registered. Every number below was worked out by hand.
"""

from __future__ import annotations

import csv
import json
import logging
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from flask import Flask

from joinlog.command import main
from schema.store.database import Database
from schema.store.people import read_people
from schema.store.reports import read_occurrence_report
from tests.conftest import SIGNING_KEY, settings_for
from tests.inbox_to_tables import drain, one, read_table
from tests.signed_requests import encode, signed_headers
from tests.stories import WEEK_MINUTES, Json, Story, at
from webhook.app import create_app
from webhook.parts import parts_of

NO_REDIS = "redis://127.0.0.1:1/0"  # the doorbell may fail; here the drain is called by hand
w = Story()
STARTS = [120.0 + week * WEEK_MINUTES for week in range(5)]
IDS = [f"17724{week}00000000"[:13] for week in range(5)]
ALL = dict(zip(IDS, STARTS, strict=True))
HOST = {"participant_user_id": "hS7kQ2mXTn-9vRzLw0cYdg", "email": "host@corp.example"}
GINA = {"email": "gina@elsewhere.example"}
UWE = {"participant_user_id": "u-uwe", "email": ""}
NAMELESS: Json = {}


class Expected(NamedTuple):
    """One row of the report, worked out by hand."""

    instances: int
    registrants: int
    attended: int
    no_shows: int
    walk_ins: int
    unidentified: int
    staff: int
    participants: int
    peak_concurrent: int
    attended_minutes: float


REPORT = [
    # 12 for all dates, 6 for weeks 1 and 3, ria (24) and rob (25). Came: r01 r02 r03 r13 r14 of them; the host, Gina
    # and r19, who chose week 2 only; and a guest nobody can tell.
    Expected(1, 20, 5, 15, 2, 1, 1, 8, 8, 370.0),
    # 12, 4 for week 2 only, r24; r25 had cancelled this date and came all the same. Two instances.
    Expected(2, 17, 4, 13, 1, 0, 1, 5, 5, 231.0),
    # 12, 6, r23 who signed up between weeks 2 and 3, r24, r25.
    Expected(1, 21, 6, 15, 2, 0, 1, 8, 7, 370.0),
    # 12, r23, r25; r24 had cancelled and came.
    Expected(1, 14, 3, 11, 1, 0, 1, 4, 4, 200.0),
    Expected(1, 14, 4, 10, 1, 0, 1, 5, 5, 260.0),
]
CAME = {
    "registrant:r01", "registrant:r02", "registrant:r03", "registrant:r04", "registrant:r05", "registrant:r13",
    "registrant:r14", "registrant:r19", "registrant:r23", "registrant:r24", "registrant:r25",
    "user:hS7kQ2mXTn-9vRzLw0cYdg", "email:gina@elsewhere.example", "user:u-uwe",
    "connection:week-1==:108",
}  # fmt: skip


def in_hours(row: Expected) -> Expected:
    """As the table shows it: person-hours with one digit."""
    return row._replace(attended_minutes=float(f"{row.attended_minutes / 60:.1f}"))


def registrations() -> list[Json]:
    """26 people sign up; r26 is never approved."""

    def chosen(*weeks: int) -> dict[str, float]:
        return {IDS[week - 1]: STARTS[week - 1] for week in weeks}

    def up(number: int, minute: float, dates: dict[str, float], status: str = "approved") -> Json:
        return w.registration(minute, "created", f"r{number:02}", dates, status=status)

    return [
        *(up(number, number, ALL) for number in range(1, 13)),
        *(up(number, number, chosen(1, 3)) for number in range(13, 19)),
        *(up(number, number, chosen(2)) for number in range(19, 23)),
        up(23, STARTS[1] + 1440, ALL),
        up(24, 24, ALL),
        w.registration(STARTS[2] + 1440, "cancelled", "r24"),
        up(25, 25, ALL),
        w.registration(40, "cancelled", "r25", chosen(2)),
        up(26, 26, ALL, status="pending"),
    ]


def _stay(
    base: float, began: float, uuid: str, user: int, come: float, go: float | None, who: Json, name: str = ""
) -> list[Json]:
    """One connection, in minutes after the planned start; `go` None: nobody ever told that it left."""
    more = {"user_name": name or "Someone", **who}
    events = [w.person(base + come, "joined", str(user), base + began, uuid, **more)]
    return events if go is None else [*events, w.person(base + go, "left", str(user), base + began, uuid, **more)]


def _link(number: int) -> Json:
    return {"registrant_id": f"r{number:02}"}


def _running(base: float, uuid: str, start: float, end: float, stays: Sequence[tuple[Any, ...]]) -> list[Json]:
    events = [w.started(base + start, uuid)]
    for user, come, go, who in stays:
        events += _stay(base, start, uuid, user, come, go, who)
    return [*events, w.ended(base + end, base + start, uuid)]


def story() -> list[Json]:
    """Everything Zoom says, in order of weeks."""
    one, two, three, four, five = STARTS
    rehearsal = [
        w.started(one - 90, "rehearsal=="), *_stay(one - 90, 0, "rehearsal==", 90, 1, 25, HOST),
        *_stay(one - 90, 0, "rehearsal==", 91, 2, 20, _link(1)),
        w.ended(one - 60, one - 90, "rehearsal==", practice_session=True),
    ]  # fmt: skip
    week_1 = _running(one, "week-1==", -5, 60, [
        (100, -5, 60, HOST), (101, 0, 60, _link(1)), (102, 0, 20, _link(2)), (109, 25, 60, _link(2)),
        (103, 5, 45, _link(3)), (104, 0, None, _link(13)), (105, 10, 30, _link(14)), (106, 0, 10, _link(19)),
        (107, 1, 51, GINA), (108, 2, 12, NAMELESS),
    ])  # fmt: skip
    week_2 = [
        *_running(two, "week-2a==", -3, 20, [
            (200, -3, 20, HOST), (201, 0, 26, _link(1)),  # killed: its `left` tells of a time after the rejoin below
            (202, 1, 20, _link(19)), (203, 2, 12, _link(24)),
        ]),
        *_running(two, "week-2b==", 25, 60, [
            (210, 25, 60, HOST), (211, 25, 60, _link(1)), (212, 26, 60, _link(19)), (213, 30, 60, _link(3)),
            (214, 30, 50, _link(25)),
        ]),
    ]  # fmt: skip
    week_3 = _running(three, "week-3==", -5, 60, [
        (300, -5, 60, HOST), (301, 0, 60, _link(1)), (302, 0, 30, _link(13)), (303, 10, 60, _link(23)),
        (304, 0, 60, _link(24)), (305, 20, 40, _link(25)), (306, 15, 60, {"email": "r04@example.com"}),
        (307, 0, 10, GINA), (308, 30, 60, UWE),
    ])  # fmt: skip
    week_4 = [
        *_running(four, "week-4==", -5, 60, [
            (400, -5, 60, HOST), (401, 0, 60, _link(1)), (402, 0, 40, _link(5)), (403, 20, 60, _link(5)),
            (405, 0, 15, _link(24)),
        ]),
        w.person(four + 30, "left", "404", four - 5, "week-4==", **_link(23)),  # its `joined` was lost
    ]  # fmt: skip
    week_5 = [
        *_running(five, "week-5==", -5, 60, [
            (500, -5, 60, HOST), (501, 0, 60, _link(2)), (502, 0, 30, _link(4)), (503, 30, 60, _link(5)),
            (504, 5, 15, _link(25)), (505, 10, 20, NAMELESS), (506, 0, 60, UWE),
        ]),
        w.person(five + 11, "bind", "505", five - 5, "week-5==", bind_user_id="504"),  # r25's telephone
    ]  # fmt: skip
    return [w.created(0, ALL), *registrations(), *rehearsal, *week_1, *week_2, *week_3, *week_4, *week_5]


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    """The web process, on either database."""
    made = create_app(settings_for(database_url, NO_REDIS))
    yield made
    parts_of(made).close()
    logging.getLogger().handlers.clear()


@pytest.fixture
def database(app: Flask) -> Database:
    """The database of that process."""
    return parts_of(app).database


def post(app: Flask, events: Sequence[Json]) -> None:
    """Deliver events as Zoom does."""
    with app.test_client() as client:
        for event in events:
            body = encode(event)
            assert client.post("/webhook", data=body, headers=signed_headers(body)).status_code == 204


def found(database: Database) -> list[Expected]:
    """The report, in order of the weeks."""
    with database.read() as connection:
        rows = read_occurrence_report(connection, w.account, w.meeting_id)
    assert [row["occurrence_id"] for row in rows] == IDS
    return [Expected(**{name: row[name] for name in Expected._fields}) for row in rows]


def test_the_story_is_the_one_that_was_asked_for() -> None:
    told = story()
    names = [event["event"] for event in told]
    assert (names.count("webinar.registration_created"), names.count("webinar.started"), len(CAME)) == (26, 7, 15)
    assert all(row.attended + row.no_shows == row.registrants for row in REPORT)
    assert all(row.attended + row.walk_ins + row.unidentified == row.participants for row in REPORT)


def test_from_signed_posts_to_the_report(app: Flask, database: Database) -> None:
    post(app, story())
    drain(database)
    assert found(database) == REPORT
    assert {row["person_id"] for row in read_table(database, "participant")} == CAME
    assert one(database, "SELECT count(*) AS n FROM registrant") == {"n": 26}
    links = {row["uuid"]: (row["occurrence_id"], row["link_state"]) for row in read_table(database, "instance")}
    assert links.pop("rehearsal==") == (None, "rehearsal")
    assert {uuid: occurrence for uuid, (occurrence, _) in links.items()} == {
        "week-1==": IDS[0], "week-2a==": IDS[1], "week-2b==": IDS[1], "week-3==": IDS[2], "week-4==": IDS[3],
        "week-5==": IDS[4],
    }  # fmt: skip


def test_who_came_to_the_second_week_and_for_how_long(app: Flask, database: Database) -> None:
    post(app, story())
    drain(database)
    with database.read() as connection:
        people = read_people(connection, w.account, w.meeting_id, IDS[1])
    came = {
        one.person_id: (one.attended_seconds / 60, one.connections, one.standing)
        for one in people
        if one.attended_seconds
    }
    assert came == {
        f"user:{HOST['participant_user_id']}": (58.0, 2, "staff"),
        "registrant:r01": (60.0, 2, "attended"),
        "registrant:r19": (53.0, 2, "attended"),
        "registrant:r24": (10.0, 1, "attended"),
        "registrant:r03": (30.0, 1, "attended"),
        "registrant:r25": (20.0, 1, "walk_in"),
    }
    assert min(one.first_joined_at for one in people if one.first_joined_at) == at(STARTS[1]) - timedelta(minutes=3)


@pytest.mark.parametrize("seed", [1, 2])
def test_in_any_order_and_repeated(app: Flask, database: Database, seed: int) -> None:
    luck = random.Random(seed)
    told = story()
    told += luck.sample(told, len(told) // 3)
    luck.shuffle(told)
    while told:
        batch, told = told[: (size := luck.choice((1, 7, 40)))], told[size:]
        post(app, batch)
        drain(database, batch_events=luck.choice((1, 5, 1000)))
    assert found(database) == REPORT
    assert {row["person_id"] for row in read_table(database, "participant")} == CAME


def test_the_report_command_prints_these_numbers(
    app: Flask, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(app, story())
    drain(database)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)

    def printed(form: str) -> str:
        ended = CliRunner().invoke(main, ["report", str(w.meeting_id), "--format", form])
        assert ended.exit_code == 0, ended.output
        return ended.output

    document = json.loads(printed("json"))["occurrences"]
    assert [Expected(**{name: row[name] for name in Expected._fields}) for row in document] == REPORT
    lines = list(csv.DictReader(printed("csv").splitlines()))
    assert [[float(line[name]) for name in Expected._fields] for line in lines] == [
        [*map(float, row)] for row in REPORT
    ]
    shown = [line.split("\t") for line in printed("table").splitlines() if IDS[0][:5] in line]
    assert [row[0] for row in shown] == IDS
    assert [[float(cell) for cell in row[-len(Expected._fields) + 1 :]] for row in shown] == [
        [float(number) for name, number in in_hours(row)._asdict().items() if name != "instances"] for row in REPORT
    ]
    assert [int(row[3]) for row in shown] == [row.instances for row in REPORT]
