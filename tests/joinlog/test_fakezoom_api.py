"""The fake Zoom's REST API: says what its webhooks say and its truth knows, within Zoom's rules and limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from joinlog.fakezoom import MIXES, NO_FAULTS, ApiOptions, World, ZoomApi, after_the_world, generate, plan
from joinlog.fakezoom.api import HEAVY_PER_DAY, PER_SECOND, Request, Response, percent_decoded
from joinlog.fakezoom.api_endpoints import ENDPOINTS, SCOPES
from joinlog.fakezoom.mix import CALM, Mix
from joinlog.fakezoom.open_facts import OpenFacts, draw_open_facts, list_open_facts, read_open_fact
from joinlog.fakezoom.series import SINGLE
from tests.joinlog.fake_api_client import Client, encoded, encoded_once

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
MILD = {f.name: f.default for f in fields(OpenFacts)}
SERIES_PER_ACCOUNT = 12
WORLDS: dict[tuple[str, int], World] = {}


def world(mix: Mix | str = "usual", series: int = 6, seed: int = 7) -> World:
    if isinstance(mix, Mix):
        return generate(seed, series, mix, start=START, audience=(6, 12))
    if (mix, series) not in WORLDS:
        WORLDS[mix, series] = generate(seed, series, MIXES[mix], start=START, audience=(6, 12))
    return WORLDS[mix, series]


def client(w: World, facts: Mapping[str, Any] | None = None, now: datetime | None = None, **options: Any) -> Client:
    settings = ApiOptions(facts={**MILD, **(facts or {})}, **{"limits": False, **options})
    return Client(ZoomApi(w, 1, settings), now or after_the_world(w))


def path_of(kind: str, rest: str) -> str:
    return f"/{kind}s/{rest}"


def a_held(w: World, kind: str = "webinar", why: str = "held") -> Any:
    numbers = {s.meeting_id for s in w.truth.series if s.kind == kind}
    return next(i for i in w.truth.instances.values() if i.meeting_id in numbers and i.why == why)


# --- the same truth as the webhooks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mix", ["calm", "usual", "chaotic", "moved", "restarts", "rehearsals", "connections", "unplanned"]
)
def test_schedule_and_links_are_the_truths(mix: str) -> None:
    w = world(mix)
    c = client(w, {"lists_practice": True})
    for s in w.truth.series:
        told = c.read(path_of(s.kind, str(s.meeting_id)), show_previous_occurrences="true")
        assert (told["id"], told["type"], told["topic"], told["timezone"]) == (
            s.meeting_id,
            s.type,
            s.topic,
            s.timezone,
        )
        assert told["settings"].get("registration_type", 0) == s.registration_type
        known = [o for o in w.truth.occurrences if o.meeting_id == s.meeting_id and o.status != "replaced"]
        if s.type in (8, 9):
            assert {(o["occurrence_id"], o["start_time"], o["status"]) for o in told["occurrences"]} == {
                (
                    o.occurrence_id,
                    f"{o.scheduled_start:%Y-%m-%dT%H:%M:%SZ}",
                    "deleted" if o.status == "deleted" else "available",
                )
                for o in known
            }
        past = c.read(f"/past_{s.kind}s/{s.meeting_id}/instances")[f"{s.kind}s"]
        ran = [i for i in w.truth.instances.values() if i.meeting_id == s.meeting_id]
        assert [p["uuid"] for p in past] == [i.uuid for i in sorted(ran, key=lambda i: i.started_at)]
        for row in past:
            occurrence_id = w.truth.occurrence_of[row["uuid"]]
            assert row.get("occurrence_id") == (occurrence_id if s.type in (8, 9) else None)
    assert c.api.stated_links(c.now) == {
        uuid: o for uuid, o in w.truth.occurrence_of.items() if o is not None and o != uuid and o != SINGLE
    }


@pytest.mark.parametrize("mix", ["calm", "usual", "chaotic", "moved", "strangers"])
def test_registrants_of_each_occurrence_are_the_truths(mix: str) -> None:
    w = world(replace(MIXES[mix], late_registrants=0.4, cancels=0.3, needs_approval=0.2), series=8)
    c = client(w, {"deleted_occurrence": "listed"})
    keys = {p.registrant_id: p.key for p in w.truth.people.values() if p.registrant_id}
    checked = 0
    for o in w.truth.occurrences:
        s = next(s for s in w.truth.series if s.meeting_id == o.meeting_id)
        if not s.registration_type or o.status == "replaced":
            continue
        which = {"occurrence_id": o.occurrence_id} if s.type in (8, 9) else {}
        if s.type in (2, 5) and o.status == "deleted":
            continue  # the meeting itself is gone
        spans = [w.truth.instances[uuid] for uuid in o.instances]
        begun = o.scheduled_start or START
        ends = max((i.ended_at for i in spans), default=begun + timedelta(minutes=o.duration_minutes))
        rows = c.rows(path_of(s.kind, f"{s.meeting_id}/registrants"), "registrants", **which)
        in_time = {keys[r["id"]] for r in rows if datetime.fromisoformat(r["create_time"]) < ends}
        assert in_time == set(o.registered)
        assert all(w.truth.people[keys[r["id"]]].email == r["email"] for r in rows)
        checked += len(rows)
    assert checked > 50


def test_who_waits_or_was_denied_is_listed_under_that_status_only() -> None:
    w = world(replace(CALM, needs_approval=1.0, denied=0.5))
    history = w.histories[0]
    s, signup = history.series, history.signups[0]
    asked_at, answered = next(iter(signup.answered.items()))
    between = asked_at + (answered - asked_at) / 2

    def listed(now: datetime) -> dict[str, bool]:
        c = client(w, now=now)
        return {
            status: signup.registrant_id
            in {r["id"] for r in c.rows(f"/webinars/{s.meeting_id}/registrants", "registrants", status=status)}
            for status in ("approved", "pending", "denied")
        }

    assert not any(listed(asked_at - timedelta(minutes=1)).values())
    assert listed(between) == {"approved": False, "pending": True, "denied": False}
    after = listed(answered + timedelta(seconds=1))
    assert after == {"approved": signup.is_approved, "pending": False, "denied": not signup.is_approved}


@pytest.mark.parametrize("mix", ["usual", "connections", "strangers"])
def test_reports_hold_every_connection_and_registrant_ids_only_when_asked(mix: str) -> None:
    w = world(mix)
    c = client(w)
    kinds = {s.meeting_id: s.kind for s in w.truth.series}
    for i in w.truth.instances.values():
        kind = kinds[i.meeting_id]
        path = f"/report/{kind}s/{encoded(i.uuid)}/participants"
        assert all("registrant_id" not in row for row in c.rows(path, "participants"))
        rows = c.rows(path, "participants", include_fields="registrant_id")
        met = [r for r in rows if r["status"] == "in_meeting" and "bo_mtg_id" not in r]
        wanted = [x for x in w.truth.connections if x.uuid == i.uuid]
        assert sorted(
            (r["user_id"], r["name"], r["user_email"], r["registrant_id"], r["join_time"], r["leave_time"]) for r in met
        ) == sorted(
            (x.user_id, x.name, x.email, x.registrant_id, f"{x.joined_at:%FT%TZ}", f"{x.left_at:%FT%TZ}")
            for x in wanted
        )
        again = c.rows(f"/past_{kind}s/{encoded(i.uuid)}/participants", "participants")
        detail = c.read(f"/report/{kind}s/{encoded(i.uuid)}")
        assert detail["participants_count"] <= len(wanted)
        if kind == "webinar" or detail["participants_count"] > 1:
            assert again == rows
        else:
            assert again == []
        assert (detail["start_time"], detail["end_time"]) == (f"{i.started_at:%FT%TZ}", f"{i.ended_at:%FT%TZ}")
        assert detail["id"] == i.meeting_id


def test_reports_name_nobody_outside_the_account_by_id() -> None:
    w = world("connections")
    c = client(w)
    held = a_held(w)
    ids = {x.user_id: w.truth.people[x.person] for x in w.truth.connections if x.uuid == held.uuid}
    rows = c.rows(f"/report/webinars/{encoded(held.uuid)}/participants", "participants")
    shown = {ids[r["user_id"]].role for r in rows if r["id"]}
    assert shown == {"host", "panelist"}


def test_waiting_and_breakout_rooms_have_rows_of_their_own() -> None:
    w = world(replace(CALM, meetings=1.0, waiting_room=1.0, breakout_rooms=1.0, show_up=1.0))
    c = client(w)
    rows = [
        r
        for i in w.truth.instances.values()
        for r in c.rows(f"/report/meetings/{encoded(i.uuid)}/participants", "participants")
    ]
    rooms, waits = [r for r in rows if "bo_mtg_id" in r], [r for r in rows if r["status"] == "in_waiting_room"]
    assert rooms
    assert waits
    assert any(r["name"] == "Nobody let me in" for r in waits)
    visited = sum(e.event["event"].endswith("joined_breakout_room") for e in w.emissions)
    waited = sum(e.event["event"].endswith("joined_waiting_room") for e in w.emissions)
    assert (len(rooms), len(waits)) == (visited, waited)


def test_absentees_are_registrants_whose_link_nobody_used() -> None:
    w = world(replace(CALM, without_link=0.3))
    c = client(w)
    links = Counter((x.uuid, x.registrant_id) for x in w.truth.connections)
    seen = 0
    for o in w.truth.occurrences:
        for uuid in o.instances:
            rows = c.rows(f"/past_webinars/{encoded(uuid)}/absentees", "registrants", occurrence_id=o.occurrence_id)
            wanted = {
                w.truth.people[key].registrant_id
                for key in o.registered
                if not any(links[u, w.truth.people[key].registrant_id or ""] for u in o.instances)
            }
            assert {r["id"] for r in rows} == wanted
            seen += len(rows)
    assert seen > 10


def test_panelists_and_users_are_the_team() -> None:
    w = world("calm")
    c = client(w)
    for history in w.histories:
        number, team = history.series.meeting_id, history.team
        rows = c.read(f"/webinars/{number}/panelists")["panelists"]
        assert {r["email"] for r in rows} == {p.email for p in team if p.role == "panelist"}
        host = c.read(f"/users/{history.series.host_id}")
        assert host["email"] == team[0].email
    users = c.rows("/users", "users")
    assert {u["id"] for u in users} == {h.series.host_id for h in w.histories}


def test_history_lists_every_ended_instance_of_the_account_a_month_at_a_time() -> None:
    w = world("chaotic", series=SERIES_PER_ACCOUNT + 2)
    found: dict[str, int] = {}
    for account_id in ZoomApi(w).accounts:
        c = client(w)
        c.account_id = account_id
        day = START
        while day < c.now:
            until = day + timedelta(days=30)
            for row in c.rows(
                "/report/history_meetings", "history_meetings", **{"from": f"{day:%F}", "to": f"{until:%F}"}
            ):
                found[row["meeting_uuid"]] = row["meeting_id"]
            day = until + timedelta(days=1)
        assert c.get("/report/history_meetings", **{"from": "2026-03-01", "to": "2026-04-20"}).status == 400
    assert found == {i.uuid: i.meeting_id for i in w.truth.instances.values()}


def test_only_unexpired_meetings_are_listed_for_a_user() -> None:
    w = world("calm")
    history = w.histories[0]
    host, number = history.series.host_id, history.series.meeting_id
    before = client(w, now=START + timedelta(days=1))
    assert [m["id"] for m in before.rows(f"/users/{host}/webinars", "webinars")] == [number]
    assert before.rows(f"/users/{host}/meetings", "meetings") == []
    assert client(w).rows(f"/users/{host}/webinars", "webinars") == []


def test_past_and_deleted_dates_come_only_when_asked_for() -> None:
    w = world(replace(CALM, deleted=0.4))
    s = w.histories[0].series
    c = client(w)
    assert c.read(f"/webinars/{s.meeting_id}")["occurrences"] == []
    states = {o["status"] for o in c.read(f"/webinars/{s.meeting_id}", show_previous_occurrences="true")["occurrences"]}
    assert states == {"available", "deleted"}


def test_what_has_not_happened_yet_is_not_shown() -> None:
    w = world("calm")
    s = w.histories[0].series
    held = min((i for i in w.truth.instances.values() if i.meeting_id == s.meeting_id), key=lambda i: i.started_at)
    report = f"/report/webinars/{encoded(held.uuid)}/participants"
    c = client(w, now=s.created_at - timedelta(minutes=1))
    assert c.get(f"/webinars/{s.meeting_id}").status == 404
    c.now = held.started_at - timedelta(minutes=1)
    assert c.get(report).body["code"] == 3001
    assert c.read(f"/past_webinars/{s.meeting_id}/instances") == {"webinars": []}
    c.now = held.started_at + timedelta(minutes=1)
    assert (c.get(report).status, c.get(report).body["message"]) == (400, "Meeting ID is invalid or not end.")
    c.now = held.ended_at
    assert c.get(report).status == 200
    assert len(c.read(f"/past_webinars/{s.meeting_id}/instances")["webinars"]) == 1


def test_what_was_before_installation_is_in_the_api_and_in_no_delivery() -> None:
    w = world("calm")
    middle = sorted(i.ended_at for i in w.truth.instances.values())[len(w.truth.instances) // 2]
    attempts = plan(w.emissions, replace(NO_FAULTS, installed_at=middle), 1)
    delivered = {a.event["payload"]["object"]["uuid"] for a in attempts if a.event["event"].endswith(".ended")}
    c = client(w)
    listed = {
        row["uuid"] for s in w.truth.series for row in c.read(f"/past_webinars/{s.meeting_id}/instances")["webinars"]
    }
    assert listed == set(w.truth.instances)
    before = {i.uuid for i in w.truth.instances.values() if i.ended_at < middle - timedelta(seconds=2)}
    assert len(before) > 5
    assert before.isdisjoint(delivered)


def test_a_moved_occurrence_is_shown_as_it_stood() -> None:
    w = world(replace(CALM, moved=1.0, moved_gets_new_id=1.0))
    history = w.histories[0]
    slot = next(s for s in history.slots if len(s.versions) > 1)
    moment, first = slot.versions[-1][0], slot.versions[0][1]
    for now, occurrence in ((moment - timedelta(seconds=1), first), (moment, slot.now)):
        told = client(w, now=now).read(f"/webinars/{history.series.meeting_id}", show_previous_occurrences="true")
        ids = {o["occurrence_id"] for o in told["occurrences"]}
        assert occurrence.occurrence_id in ids
        assert ({first.occurrence_id, slot.now.occurrence_id} - {occurrence.occurrence_id}).isdisjoint(ids)


# --- identifiers in paths --------------------------------------------------------------------------------------------


def test_a_uuid_with_slashes_is_found_only_when_encoded_twice() -> None:
    w = world("chaotic", series=40)
    c = client(w)
    kinds = {s.meeting_id: s.kind for s in w.truth.series}
    awkward = [i for i in w.truth.instances.values() if i.uuid.startswith("/") or "//" in i.uuid]
    assert awkward
    for i in awkward:
        c.account_id, c.token = i.account_id, ""
        path = f"/report/{kinds[i.meeting_id]}s/{{}}"
        assert c.get(path.format(encoded_once(i.uuid))).status == 404
        assert c.get(path.format(encoded(i.uuid))).status == 200
    tame = next(i for i in w.truth.instances.values() if "/" in i.uuid and i not in awkward)
    c.account_id, c.token = tame.account_id, ""
    for text in (encoded_once(tame.uuid), encoded_once(encoded_once(tame.uuid))):
        assert c.get(f"/report/{kinds[tame.meeting_id]}s/{text}").status == 200


def test_percent_escapes_are_read_as_utf_8() -> None:
    assert percent_decoded("%F0%9F%9A%92%2F%252F") == "🚒/%2F"


def test_a_number_in_a_report_means_the_latest_instance() -> None:
    w = world("calm")
    s = w.histories[0].series
    last = max((i for i in w.truth.instances.values() if i.meeting_id == s.meeting_id), key=lambda i: i.started_at)
    assert client(w).read(f"/report/webinars/{s.meeting_id}")["uuid"] == last.uuid


def test_a_meeting_asked_as_a_webinar_is_told_so_and_other_accounts_do_not_exist() -> None:
    w = world("usual", series=SERIES_PER_ACCOUNT + 3)
    c = client(w)
    for s in w.truth.series:
        other = "meeting" if s.kind == "webinar" else "webinar"
        answer = c.get(path_of(other, str(s.meeting_id)))
        wanted = (400, 300) if s.account_id == c.account_id else (404, 3001)
        assert (answer.status, answer.body["code"]) == wanted
    assert c.get("/webinars/123").body["code"] == 3001
    assert c.get("/nothing/here").status == 404


def test_an_unknown_occurrence_is_refused() -> None:
    w = world("calm")
    number = w.histories[0].series.meeting_id
    answer = client(w).get(f"/webinars/{number}/registrants", occurrence_id="1")
    assert (answer.status, answer.body["code"]) == (400, 3000)
    assert client(w).get(f"/webinars/{number}/registrants", status="maybe").status == 400


# --- token, scopes, plans --------------------------------------------------------------------------------------------


def test_a_token_names_its_scopes_and_lives_an_hour() -> None:
    c = client(world("calm"))
    body = c.fetch_token().body
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
    assert set(body["scope"].split()) == set(SCOPES)
    assert c.get("/users").status == 200
    c.seconds += 3600
    assert c.get("/users").status == 401
    assert c.fetch_token().status == 200
    assert c.get("/users").status == 200
    c.api.end_tokens()
    assert c.get("/users").status == 401


@pytest.mark.parametrize("ends", [True, False])
def test_a_new_token_may_end_the_one_before(ends: bool) -> None:
    c = client(world("calm"), {"token_ends_previous": ends, "dead_token_code": 201})
    c.fetch_token()
    first = c.token
    c.fetch_token()
    assert c.get("/users").status == 200
    c.token = first
    assert c.get("/users").status == (401 if ends else 200)
    if ends:
        assert c.get("/users").body["code"] == 201


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"account_id": "nobody"}, 400, "invalid_request"),
    ],
)
def test_a_wrong_token_request_is_refused(change: dict[str, str], status: int, error: str) -> None:
    answer = client(world("calm"), {"wrong_secret_status": 401}).fetch_token(**change)
    assert (answer.status, answer.body["error"]) == (status, error)


@pytest.mark.parametrize(("status", "code"), [(400, 4711), (401, 4700)])
def test_a_missing_scope_is_named(status: int, code: int) -> None:
    facts = {"scope_error_status": status, "scope_error_code": code}
    c = client(world("calm"), facts, scopes=frozenset(SCOPES) - {"user:read:list_users:admin"})
    answer = c.get("/users")
    assert (answer.status, answer.body["code"]) == (status, code)
    assert "[user:read:list_users:admin]" in answer.body["message"]
    assert "user:read:list_users:admin" not in c.fetch_token().body["scope"].split()


def test_a_plan_without_webinars_says_so_and_the_dashboard_is_for_business() -> None:
    w = world("calm")
    held, number = a_held(w), w.histories[0].series.meeting_id
    assert client(w, has_webinar_plan=False).get(f"/webinars/{number}").body["code"] == 200
    path = f"/metrics/webinars/{encoded(held.uuid)}/participants"
    assert client(w).get(path).body["code"] == 200
    rows = client(w, plan="business").rows(path, "participants")
    wanted = {(x.participant_uuid, x.user_id) for x in w.truth.connections if x.uuid == held.uuid}
    assert {(r["participant_uuid"], r["user_id"]) for r in rows} == wanted
    assert {r["role"] for r in rows} == {"host", "panelist", "attendee"}


# --- pages -----------------------------------------------------------------------------------------------------------


def test_a_list_in_pages_is_the_whole_list_even_while_it_grows() -> None:
    w = world("connections")
    c = client(w, {"report_delay_minutes_max": 60, "early_report": "partial"})
    held = max(w.truth.instances.values(), key=lambda i: sum(x.uuid == i.uuid for x in w.truth.connections))
    kind = next(s.kind for s in w.truth.series if s.meeting_id == held.meeting_id)
    path = f"/report/{kind}s/{encoded(held.uuid)}/participants"
    first = c.read(path, page_size="2")
    assert len(first["participants"]) == 2
    assert (first["page_size"], first["total_records"] > 2) == (2, True)
    c.now += timedelta(hours=2)
    everything = [*first["participants"], *c.rows(path, "participants", page_size="2",
                                                  next_page_token=first["next_page_token"])]  # fmt: skip
    assert len(everything) == first["total_records"]
    assert everything == c.rows(path, "participants")


@pytest.mark.parametrize("status", [300, 400])
def test_a_page_token_lives_15_minutes(status: int) -> None:
    w = world("connections")
    c = client(w, {"page_expired_status": status})
    path = f"/report/webinars/{encoded(a_held(w).uuid)}/participants"
    token = c.read(path, page_size="1")["next_page_token"]
    c.seconds += 899
    assert c.get(path, page_size="1", next_page_token=token).status == 200
    c.seconds += 1
    answer = c.get(path, page_size="1", next_page_token=token)
    assert (answer.status, answer.body["code"]) == (status, 300)
    assert c.get(path, page_size="1", next_page_token="nonsense").status == status


def test_a_page_token_belongs_to_its_list() -> None:
    w = world("connections")
    c = client(w)
    one, two = [encoded(i.uuid) for i in w.truth.instances.values() if i.why == "held"][:2]
    kinds = {s.meeting_id: s.kind for s in w.truth.series}
    paths = [
        f"/report/{kinds[i.meeting_id]}s/{text}/participants"
        for text in (one, two)
        for i in w.truth.instances.values()
        if encoded(i.uuid) == text
    ]
    token = c.read(paths[0], page_size="1")["next_page_token"]
    assert c.get(paths[1], page_size="1", next_page_token=token).status == 400
    assert c.get(paths[0], page_size="1", next_page_token=token, include_fields="registrant_id").status == 400


@pytest.mark.parametrize(("wrong", "last"), [(True, "absent"), (False, "empty")])
def test_the_end_of_a_list_is_an_empty_or_absent_token_and_its_total_may_be_wrong(wrong: bool, last: str) -> None:
    c = client(world("calm"), {"total_records_wrong": wrong, "last_page_token": last})
    body = c.read("/users")
    assert (body["total_records"] == len(body["users"])) is not wrong
    assert body.get("next_page_token", "absent") == ("" if last == "empty" else "absent")
    assert body["page_size"] == 30
    assert c.read("/users", page_size="1000")["page_size"] == 300
    assert c.get("/users", page_size="many").status == 400


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan_name", list(PER_SECOND))
@pytest.mark.parametrize("shape", ["bare", "reset"])
def test_calls_beyond_a_tiers_limit_in_one_second_are_429(plan_name: str, shape: str) -> None:
    w = world("calm")
    c = client(w, {"too_many_a_second": shape}, limits=True, plan=plan_name)
    c.fetch_token()
    most = PER_SECOND[plan_name]["light"]
    path = f"/webinars/{w.histories[0].series.meeting_id}"
    answers = [c.get(path) for _ in range(most + 3)]
    assert [a.status for a in answers] == [200] * most + [429] * 3
    assert answers[0].headers["X-RateLimit-Category"] == "Light"
    assert answers[0].headers["X-RateLimit-Limit"] == str(most)
    assert answers[most - 1].headers["X-RateLimit-Remaining"] == "0"
    if shape == "bare":
        assert answers[-1].headers == {}
    else:
        assert answers[-1].headers["X-RateLimit-Reset"] == str(int(c.seconds) + 1)
    assert "Retry-After" not in answers[-1].headers
    assert c.get("/users").status == 200
    c.seconds += 1
    assert c.get(path).status == 200
    assert c.api.calls_by_tier() == {"token": 1, "light": most + 4, "medium": 1}


def test_heavy_calls_have_a_limit_by_the_day_with_an_iso_retry_after() -> None:
    w = world("calm")
    c = client(w, limits=True, heavy_per_day=3)
    path = f"/report/webinars/{encoded(a_held(w).uuid)}"
    c.seconds = datetime(2026, 5, 1, 23, 0, tzinfo=UTC).timestamp()
    assert [c.get(path).status for _ in range(4)] == [200, 200, 200, 429]
    last = c.get(path)
    assert last.headers["Retry-After"] == "2026-05-02T00:00:00Z"
    assert last.headers["X-RateLimit-Type"] == "Daily-limit"
    assert c.get("/users").status == 200
    c.seconds += 3600
    c.fetch_token()
    assert c.get(path).status == 200
    assert HEAVY_PER_DAY["business"] == 60_000


def test_other_apps_of_the_account_use_the_same_limits() -> None:
    w = world("calm")
    c = client(w, limits=True, plan="business", spent_share=0.5)
    c.fetch_token()
    assert [c.get("/users").status for _ in range(31)].count(200) == 30


# --- what is open ----------------------------------------------------------------------------------------------------


def test_the_open_facts_are_drawn_by_seed_and_every_value_occurs() -> None:
    assert draw_open_facts(5) == draw_open_facts(5)
    drawn = [draw_open_facts(seed) for seed in range(200)]
    for f in fields(OpenFacts):
        assert {getattr(d, f.name) for d in drawn} == set(f.metadata["choices"])
    assert [name for name, _, _ in list_open_facts()] == [f.name for f in fields(OpenFacts)]
    assert draw_open_facts(5, {"report_months": 6}).report_months == 6


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("lists_practice=true", ("lists_practice", True)),
        ("report_delay_minutes_max=7", ("report_delay_minutes_max", 7)),
        ("old_share=0.9", ("old_share", 0.9)),
        ("log_bodies=none", ("log_bodies", "none")),
    ],
)
def test_an_open_fact_can_be_written(text: str, wanted: tuple[str, Any]) -> None:
    assert read_open_fact(text) == wanted


@pytest.mark.parametrize("text", ["nonsense=1", "lists_practice=perhaps", "report_months=six", "log_bodies"])
def test_an_open_fact_written_wrongly_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"open fact|one of|invalid literal"):
        read_open_fact(text)


@pytest.mark.parametrize(("fact", "wanted"), [("absent", "nothing"), ("null", None), ("empty", "")])
def test_an_instance_without_an_occurrence_says_so_in_one_of_three_ways(fact: str, wanted: str | None) -> None:
    w = world(replace(CALM, rehearsals=1.0, rehearsals_unflagged=0.0, unscheduled=1.0))
    c = client(w, {"no_occurrence_id": fact, "lists_practice": True, "old_share": 0.4})
    rows = {
        row["uuid"]: row.get("occurrence_id", "nothing")
        for s in w.truth.series
        for row in c.read(f"/past_webinars/{s.meeting_id}/instances")["webinars"]
    }
    assert set(rows) == set(w.truth.instances)
    assert c.api.records.ids_since is not None
    for i in w.truth.instances.values():
        is_old = i.started_at < c.api.records.ids_since
        assert rows[i.uuid] == (wanted if is_old or i.occurrence_id is None else i.occurrence_id)
    assert any(i.started_at < c.api.records.ids_since and i.why == "held" for i in w.truth.instances.values())


def test_practice_sessions_are_listed_or_not() -> None:
    w = world(replace(CALM, rehearsals=1.0, rehearsals_unflagged=0.0))
    practices = {i.uuid for i in w.truth.instances.values() if i.is_practice}
    for fact in (True, False):
        c = client(w, {"lists_practice": fact})
        listed = {
            row["uuid"]
            for s in w.truth.series
            for row in c.read(f"/past_webinars/{s.meeting_id}/instances")["webinars"]
        }
        assert (practices <= listed) is fact
        assert practices.isdisjoint(listed) is not fact


@pytest.mark.parametrize("kind", ["missing", "empty", "partial"])
def test_a_report_is_missing_empty_or_partial_before_it_is_whole(kind: str) -> None:
    w = world("calm")
    held = a_held(w)
    c = client(w, {"report_delay_minutes_max": 60, "early_report": kind}, now=held.ended_at)
    path = f"/report/webinars/{encoded(held.uuid)}/participants"
    whole = sum(x.uuid == held.uuid for x in w.truth.connections)
    counts = []
    for minute in range(62):
        c.now = held.ended_at + timedelta(minutes=minute)
        answer = c.get(path, page_size="300")
        counts.append(len(answer.body["participants"]) if answer.status == 200 else None)
    assert counts[-1] == whole
    assert counts[0] == {"missing": None, "empty": 0, "partial": 0}[kind]
    if kind == "partial":
        seen = [n for n in counts if n is not None]
        assert seen == sorted(seen)
        assert len(set(seen)) > 3
    else:
        assert set(counts) == {counts[0], whole}


@pytest.mark.parametrize("fact", ["empty", "listed", "error"])
def test_registrants_of_a_deleted_occurrence(fact: str) -> None:
    w = world(replace(CALM, deleted=0.5, recovered=0.0))
    deleted = next(o for o in w.truth.occurrences if o.status == "deleted" and o.registered)
    answer = client(w, {"deleted_occurrence": fact}).get(
        f"/webinars/{deleted.meeting_id}/registrants", occurrence_id=deleted.occurrence_id, page_size="300"
    )
    if fact == "error":
        assert (answer.status, answer.body["code"]) == (400, 3000)
    else:
        assert (len(answer.body["registrants"]) > 0) is (fact == "listed")


def test_who_cancels_everything_stays_listed_for_what_had_begun_or_not() -> None:
    w = world(replace(CALM, cancels=1.0, cancels_some=0.0, registration_types=(1,)), series=8)
    history, signup, moment = next(
        (h, s, s.cancelled[None])
        for h in w.histories
        for s in h.signups
        if None in s.cancelled and h.slots[0].begins < s.cancelled[None] and s.registered_at < h.slots[0].begins
    )
    first, last = history.slots[0].now.occurrence_id, history.slots[-1].now.occurrence_id
    for fact in ("kept", "gone"):
        c = client(w, {"cancelled": fact}, now=moment + timedelta(seconds=1))
        listed = [
            signup.registrant_id
            in {
                r["id"]
                for r in c.rows(f"/webinars/{history.series.meeting_id}/registrants", "registrants", occurrence_id=o)
            }
            for o in (first, last)
        ]
        assert listed == [fact == "kept", False]


def test_durations_are_in_any_unit_and_times_malformed_or_with_milliseconds() -> None:
    w = world("connections")
    held = a_held(w)
    path = f"/report/webinars/{encoded(held.uuid)}/participants"
    spans = {x.user_id: (x.left_at - x.joined_at).total_seconds() for x in w.truth.connections if x.uuid == held.uuid}
    for unit, factor in (("seconds", 1), ("minutes", 60)):
        rows = client(w, {"webinar_duration_unit": unit}).rows(path, "participants")
        assert all(r["duration"] == -(-spans[r["user_id"]] // factor) for r in rows)
    rows = client(w, {"malformed_times": 1.0}).rows(path, "participants")
    assert all(len(r["join_time"]) == len("2022-03-26T08:11:387Z") for r in rows)
    rows = client(w, {"milliseconds": True}).rows(path, "participants")
    assert all(r["join_time"].endswith(".000Z") for r in rows)


def test_failover_rows_lie_within_the_row_they_double() -> None:
    w = world("connections")
    held = a_held(w)
    rows = client(w, {"failover_rows": 1.0}).rows(f"/report/webinars/{encoded(held.uuid)}/participants", "participants")
    first = {r["user_id"]: r for r in rows if not r["failover"]}
    doubled = [r for r in rows if r["failover"]]
    assert len(doubled) == len(first)
    for r in doubled:
        assert (
            first[r["user_id"]]["join_time"] <= r["join_time"] <= r["leave_time"] <= first[r["user_id"]]["leave_time"]
        )


@pytest.mark.parametrize("months", [6, 12])
def test_reports_reach_back_six_or_twelve_months_and_instances_fifteen(months: int) -> None:
    w = world("calm")
    held = a_held(w)
    c = client(w, {"report_months": months})
    path = f"/report/webinars/{encoded(held.uuid)}/participants"
    c.now = held.ended_at + timedelta(days=30 * months)
    assert c.get(path).status == 200
    c.now += timedelta(days=30)
    assert c.get(path).body["code"] == 12702
    instances = f"/past_webinars/{held.meeting_id}/instances"
    uuids = [row["uuid"] for row in c.read(instances)["webinars"]]
    assert held.uuid in uuids
    c.now = held.ended_at + timedelta(days=470)
    assert held.uuid not in [row["uuid"] for row in c.read(instances)["webinars"]]


# --- the delivery log, the subscription ------------------------------------------------------------------------------


def a_log(w: World, facts: Mapping[str, Any]) -> tuple[Client, str]:
    faults = replace(NO_FAULTS, lose=0.2)
    c = client(w, facts)
    c.api.log_plan(w.emissions, plan(w.emissions, faults, 1), faults)
    c.now = w.emissions[-1].at
    return c, "/marketplace/apps/fake-app/webhook_logs"


def test_the_delivery_log_holds_seven_days_and_what_was_lost_as_failed() -> None:
    w = world("usual")
    c, path = a_log(w, {"log_bodies": "whole", "log_names_lost": True})
    rows = c.rows(path, "webhook_logs")
    recent = [e for e in w.emissions if e.at >= c.now - timedelta(days=7)]
    assert len(rows) == len(recent)
    assert sum(r["status"] == "failed" for r in rows) == len(c.rows(path, "webhook_logs", type="failed")) > 0
    bodies = Counter(r["request_body"] for r in rows)
    assert len(bodies) == len(recent)
    assert len({r["request_id"] for r in rows}) == len(rows)
    day = f"{c.now:%F}"
    today = c.rows(path, "webhook_logs", **{"from": day, "to": day})
    assert 0 < len(today) < len(rows)
    assert all(r["date_time"].startswith(day) for r in today)
    c2, _ = a_log(w, {"log_names_lost": False})
    assert {r["status"] for r in c2.rows(path, "webhook_logs")} == {"success"}


def test_the_delivery_log_may_lack_bodies_or_be_closed() -> None:
    w = world("usual")
    c, path = a_log(w, {"log_bodies": "none"})
    assert all("request_body" not in r for r in c.rows(path, "webhook_logs"))
    c, path = a_log(w, {"log_bodies": "some"})
    kinds = Counter(
        "none" if "request_body" not in r else "whole" if r["request_body"].endswith("}}}") else "cut"
        for r in c.rows(path, "webhook_logs")
    )
    assert set(kinds) >= {"none", "cut"}
    c, path = a_log(w, {"log_is_readable": False})
    assert c.get(path).body["code"] == 200


def test_the_subscription_says_which_events_are_sent() -> None:
    w = world("usual")
    (one,) = client(w).read("/marketplace/app/event_subscription")["event_subscriptions"]
    assert set(one["events"]) == {e.event["event"] for e in w.emissions}
    (one,) = client(w, subscribed=("webinar.started",)).read("/marketplace/app/event_subscription")[
        "event_subscriptions"
    ]
    assert one["events"] == ["webinar.started"]


# --- what a test can do to it ----------------------------------------------------------------------------------------


def test_every_call_is_in_the_log_of_calls() -> None:
    w = world("calm")
    c = client(w)
    number = w.histories[0].series.meeting_id
    c.read(f"/webinars/{number}", show_previous_occurrences="true")
    token, call = c.api.calls
    assert (token.tier, token.account_id, token.status) == ("token", c.account_id, 200)
    assert (call.number, call.endpoint, call.tier, call.status) == (2, "/webinars/{}", "light", 200)
    assert (call.path, call.account_id) == (f"/v2/webinars/{number}", c.account_id)
    assert call.query == {"show_previous_occurrences": "true"}
    c.get("/webinars/1")
    assert (c.api.calls[-1].status, c.api.calls[-1].code) == (404, 3001)


def test_a_test_can_answer_for_the_api() -> None:
    c = client(world("calm"))
    c.fetch_token()

    def fail_twice(request: Request, number: int) -> Response | None:
        return Response(503, {"code": 503}) if number in (2, 3) else None

    c.api.intercept = fail_twice
    assert [c.get("/users").status for _ in range(3)] == [503, 503, 200]
    assert [call.status for call in c.api.calls] == [200, 503, 503, 200]


def test_a_share_of_calls_can_be_answered_500() -> None:
    c = client(world("calm"), server_errors=0.3)
    statuses = Counter(c.get("/users").status for _ in range(200))
    assert 30 < statuses[500] < 90
    again = client(world("calm"), server_errors=0.3)
    assert Counter(again.get("/users").status for _ in range(200)) == statuses


def test_every_endpoint_answers() -> None:
    w = world("usual", series=SERIES_PER_ACCOUNT)
    c = client(w, plan="business")
    asked = {"from": f"{START:%F}", "to": f"{START:%F}"}
    for endpoint in ENDPOINTS:
        kind = endpoint.product or "webinar"
        history = next(h for h in w.histories if h.series.kind == kind and h.instances and h.series.registration_type)
        target = str(history.series.meeting_id)
        if endpoint.path.startswith(("/report", "/metrics")) or endpoint.path.endswith(("participants", "absentees")):
            target = encoded(history.instances[0].uuid)
        if endpoint.path.startswith("/users"):
            target = history.series.host_id
        assert c.get(endpoint.path.replace("{}", target), **asked).status == 200, endpoint.path
