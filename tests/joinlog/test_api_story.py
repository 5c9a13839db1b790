"""The question this project began with, by the API alone: 5 dates, 7 uuids, 26 registrants, 15 participants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from joinlog.command import main
from joinlog.fakezoom import MIXES, ApiOptions, ApiServer, Request, Response, generate
from schema.store.database import Database
from tests.conftest import SIGNING_KEY
from tests.inbox_to_tables import select

MEETING = 83110000000
FIRST = datetime(2026, 9, 21, 19, tzinfo=UTC)
DATES = [FIRST + timedelta(weeks=week) for week in range(5)]
IDS = [str(int(date.timestamp() * 1000)) for date in DATES]
CAME = (range(1, 9), range(5, 13), range(9, 16), range(1, 4), range(15, 16))  # 15 people over the five weeks
Rows = dict[str, list[dict[str, Any]]]


def zoom(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def ran(week: int, minute: int, minutes: int) -> tuple[datetime, datetime]:
    return DATES[week] + timedelta(minutes=minute), DATES[week] + timedelta(minutes=minute + minutes)


INSTANCES: Mapping[str, tuple[int | None, datetime, datetime]] = {  # the occurrence, the start and the end of each
    **{f"/week{week}//uuid==": (week, *ran(week, -2, 62)) for week in (0, 1, 3, 4)},
    "week2before": (2, *ran(2, -2, 20)),  # it broke off
    "week2after": (2, *ran(2, 19, 40)),
    "rehearsal": (None, *ran(1, -300, 30)),
}


def participants(uuid: str) -> Rows:
    week, start, end = INSTANCES[uuid]
    people = range(16, 17) if week is None else CAME[week]
    return {
        "participants": [
            {"user_id": f"{16778240 + n}", "name": f"Person {n}", "user_email": f"p{n}@example.com",
             "registrant_id": f"r{n:02}", "join_time": zoom(start), "leave_time": zoom(end), "status": "in_meeting"}
            for n in people
        ]
    }  # fmt: skip


def answer(request: Request, _number: int) -> Response | None:
    """What Zoom answers about the webinar."""
    path = unquote(unquote(request.path)).removeprefix("/v2")
    registrants = [
        {"id": f"r{n:02}", "email": f"p{n}@example.com", "first_name": "Person", "last_name": str(n),
         "create_time": "2026-09-01T10:00:00Z", "join_url": "https://zoom.example/w/secret"}
        for n in range(1, 27)
    ]  # fmt: skip
    if request.method != "GET":
        return None
    if path == f"/webinars/{MEETING}":
        dates = [
            {"occurrence_id": i, "start_time": zoom(d), "duration": 60, "status": "available"}
            for i, d in zip(IDS, DATES, strict=True)
        ]
        told = {"id": MEETING, "type": 9, "topic": "Weekly", "settings": {"registration_type": 1}, "occurrences": dates}
        return Response(200, told)
    if path == f"/past_webinars/{MEETING}/instances":
        held = [
            {"uuid": uuid, "start_time": zoom(start)} | ({} if which is None else {"occurrence_id": IDS[which]})
            for uuid, (which, start, _) in INSTANCES.items()
        ]
        return Response(200, {"webinars": held})
    if path == f"/webinars/{MEETING}/registrants":
        return Response(200, {"registrants": registrants if request.query["status"] == "approved" else []})
    if path == f"/webinars/{MEETING}/panelists":
        return Response(200, {"panelists": []})
    for uuid, (_week, start, end) in INSTANCES.items():
        if path == f"/report/webinars/{uuid}/participants":
            return Response(200, participants(uuid))
        if path == f"/report/webinars/{uuid}":
            count = len(participants(uuid)["participants"])
            return Response(200, {"start_time": zoom(start), "end_time": zoom(end), "participants_count": count})
        if path == f"/past_webinars/{uuid}/absentees":
            return Response(200, {"registrants": []})
    return None


def test_who_was_registered_came_and_did_not_for_each_date(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = generate(1, 1, MIXES["calm"], start=FIRST)
    with ApiServer(world, 1, ApiOptions(limits=False)) as fake:
        fake.api.intercept = answer
        settings = {
            "ZOOM_ACCOUNT_ID": fake.api.accounts[0], "ZOOM_CLIENT_ID": "fake-client",
            "ZOOM_CLIENT_SECRET": fake.api.options.client_secret, "ZOOM_API_URL": fake.api_url,
            "ZOOM_OAUTH_URL": fake.oauth_url, "ZOOM_PLAN": "business", "ZOOM_RATE_SHARE": "1",
            "DATABASE_URL": f"sqlite:///{sqlite_database.url.database}", "SECRET_KEY": SIGNING_KEY,
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        for _ in range(2):  # the second one agrees with the first, which makes the record final
            synced = CliRunner().invoke(main, ["sync", f"{MEETING} 2026-09-21 19:00:00".replace(" ", "", 1)])
            assert synced.exit_code == 0, synced.output
    printed = CliRunner().invoke(main, ["report", str(MEETING), "--format", "json"])
    rows = json.loads(printed.output)["occurrences"]
    assert [row["occurrence_id"] for row in rows] == IDS
    for week, row in enumerate(rows):
        assert (row["registrants"], row["attended"], row["no_shows"]) == (26, len(CAME[week]), 26 - len(CAME[week]))
        assert (row["link_state"], row["is_final"], row["instances"]) == ("confirmed", True, 2 if week == 2 else 1)
    people = select(
        sqlite_database,
        "SELECT occurrence_id, standing, registrant_id FROM occurrence_person WHERE standing <> 'no_show'",
    )
    assert {(row["occurrence_id"], row["registrant_id"]) for row in people} == {
        (IDS[week], f"r{n:02}") for week, came in enumerate(CAME) for n in came
    }
    audited = CliRunner().invoke(main, ["audit", str(MEETING), "--json"])
    assert {row["uuid"]: row["stays_report_only"] for row in json.loads(audited.output)} == {
        uuid: len(participants(uuid)["participants"]) for uuid in INSTANCES
    }
    bodies = " ".join(row["body"] for row in select(sqlite_database, "SELECT body FROM inbox_event"))
    assert "secret" not in bodies
