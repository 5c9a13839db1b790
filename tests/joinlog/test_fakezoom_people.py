"""The fake Zoom's people: standings, confirmed by an independent reading of its events; rooms, staff, personal ids."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from joinlog.fakezoom import EVERY_MIX, PEOPLE_MIXES, ApiOptions, Truth, World, ZoomApi, after_the_world, generate
from joinlog.fakezoom.mix import CALM
from joinlog.fakezoom.open_facts import OpenFacts
from joinlog.fakezoom.truth import StandingTruth
from tests.joinlog.fake_api_client import Client, encoded

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
MILD = {f.name: f.default for f in fields(OpenFacts)}
STRONG = ("user", "email", "key", "phone", "registrant")
CROWD = 6
Node = tuple[str, ...]


def world(name: str, series: int = 8, seed: int = 7) -> World:
    return generate(seed, series, EVERY_MIX[name], start=START, audience=(16, 24))


class Reading:
    """What the events of one meeting say, read without any knowledge of how they were made.

    Nodes are connections, `("at", uuid, user_id)`, and identifiers; an event joins the nodes that it names together.
    """

    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        self.leader: dict[Node, Node] = {}
        self.connections: set[Node] = set()
        self.registrants: set[str] = set()
        self.shown: dict[Node, set[Node]] = defaultdict(set)
        told = list(events)
        for event in told:
            registrant = event["payload"]["object"].get("registrant")
            if registrant is not None:
                self.registrants.add(registrant["id"])
                self.join(("registrant", registrant["id"]), ("email", registrant["email"].lower()))
        for event in told:
            o = event["payload"]["object"]
            if "participant" in o and "waiting_room" not in event["event"] and "admitted" not in event["event"]:
                self.take(o["uuid"], o["participant"])

    def take(self, uuid: str, p: dict[str, Any]) -> None:
        me = ("at", uuid, p["user_id"])
        self.connections.add(me)
        named: list[Node] = [("uuid", uuid, p.get("participant_uuid", ""))]
        named += [("user", p.get(key) or "") for key in ("id", "participant_user_id")]
        named += [("email", p.get("email", "").lower()), ("key", p.get("customer_key", ""))]
        named += [("phone", p.get("phone_number", ""))]
        if p.get("registrant_id") in self.registrants:
            named.append(("registrant", p["registrant_id"]))
        if p.get("bind_user_id"):
            named.append(("at", uuid, p["bind_user_id"]))
        if p.get("parent_user_id"):
            named.append(("at", uuid, p["parent_user_id"]))
        for node in named:
            if node[-1]:
                self.join(me, node)
                self.shown[me].add(node)

    def find(self, node: Node) -> Node:
        while self.leader.get(node, node) != node:
            node = self.leader[node]
        return node

    def join(self, one: Node, two: Node) -> None:
        first, second = sorted((self.find(one), self.find(two)))
        self.leader[first] = self.leader[second] = first

    def component(self, node: Node) -> set[Node]:
        root = self.find(node)
        return {other for other in {*self.leader, node} if self.find(other) == root}


def readings(w: World) -> dict[int, Reading]:
    """By the number of the meeting; what ran under a personal meeting id counts for the scheduled meeting."""
    scheduled = {s.pmi: s.meeting_id for s in w.truth.series if s.pmi is not None}
    events: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for e in w.emissions:
        number = int(e.event["payload"]["object"]["id"])
        events[scheduled.get(number, number)].append(e.event)
    return {number: Reading(told) for number, told in events.items()}


def judge(truth: Truth, s: StandingTruth, reading: Reading, uuids: set[str], registered: set[str]) -> str | None:
    """The standing that the reading gives; None where it holds two registrants or a crowd to be one person."""
    registrant_id = truth.people[s.person].registrant_id
    mine = [("at", c.uuid, c.user_id) for c in truth.connections if c.person == s.person and c.uuid in uuids]
    starts: list[Node] = [("registrant", registrant_id)] if registrant_id and s.person in registered else list(mine)
    found: set[str] = set()
    for start in starts:
        nodes = reading.component(start)
        people = {n[1] for n in nodes if n[0] == "registrant"}
        here = Counter(n[1] for n in nodes if n[0] == "at" and n[1] in uuids)
        if len(people) > 1 or max(here.values(), default=0) >= CROWD:
            return None
        if s.person in registered:
            found.add("attended" if here else "no_show")
        else:
            found.add("walk_in" if any(n[0] in STRONG for n in nodes) else "unidentified")
    return "walk_in" if "walk_in" in found else found.pop()


@pytest.mark.parametrize("name", ["usual", "chaotic", "connections", "strangers", *PEOPLE_MIXES])
def test_standings_that_webhooks_show_are_what_their_events_say(name: str) -> None:
    w = world(name)
    read, checked = readings(w), Counter[str]()
    occurrences = {(o.meeting_id, o.occurrence_id): o for o in w.truth.occurrences if o.status != "replaced"}
    scheduled = {s.pmi: s.meeting_id for s in w.truth.series if s.pmi is not None}
    for s in w.truth.standings:
        if s.standing_by != "webhook" or s.standing in ("staff", "registered"):
            continue
        o = occurrences[s.meeting_id, s.occurrence_id]
        reading = read[scheduled.get(s.meeting_id, s.meeting_id)]
        said = judge(w.truth, s, reading, set(o.instances), set(o.registered))
        if said is not None:
            assert said == s.standing, s
            checked[said] += 1
    assert checked.total() > 0.5 * sum(s.standing not in ("staff", "registered") for s in w.truth.standings)


@pytest.mark.parametrize("name", EVERY_MIX)
def test_everybody_who_registered_or_came_has_one_standing(name: str) -> None:
    w = world(name, series=5)
    found = Counter((s.meeting_id, s.occurrence_id, s.person) for s in w.truth.standings)
    wanted = {
        (o.meeting_id, o.occurrence_id, person)
        for o in w.truth.occurrences
        if o.status != "replaced"
        for person in {*o.registered, *o.registered_under_old_id, *o.attendees}
    }
    assert set(found) == wanted
    assert set(found.values()) <= {1}
    assert Truth.from_json(w.truth.to_json()) == w.truth


@pytest.mark.parametrize("name", ["connections", "people", "rooms"])
def test_seconds_are_counted_once_over_devices_rejoins_and_restarts(name: str) -> None:
    w = world(name, series=4)
    uuids = {(o.meeting_id, o.occurrence_id): set(o.instances) for o in w.truth.occurrences}
    for s in w.truth.standings:
        seconds: set[int] = set()
        for c in w.truth.connections:
            if c.person == s.person and c.uuid in uuids[s.meeting_id, s.occurrence_id]:
                seconds.update(range(int(c.joined_at.timestamp()), int(c.left_at.timestamp())))
        assert s.attended_seconds == len(seconds)


def test_what_cannot_be_known_is_said_so() -> None:
    nothing = replace(CALM, without_link=1.0)
    w = generate(7, 8, nothing, start=START, audience=(16, 24))
    shown = {(c.uuid, c.person): bool(c.email or c.registrant_id) for c in w.truth.connections}
    uuids = {(o.meeting_id, o.occurrence_id): o.instances for o in w.truth.occurrences}
    for s in w.truth.standings:
        if s.standing == "attended":
            shows = any(shown.get((uuid, s.person)) for uuid in uuids[s.meeting_id, s.occurrence_id])
            assert s.standing_by == ("webhook" if shows else "never")
    w = generate(7, 4, replace(CALM, left_missing=1.0), start=START, audience=(16, 24))
    assert {s.seconds_by for s in w.truth.standings if s.standing == "attended"} == {"webhook", "never"}


def test_a_bound_telephone_is_its_persons() -> None:
    w = generate(7, 4, replace(CALM, phone=1.0), start=START, audience=(16, 24))
    assert any(c.phone_number for c in w.truth.connections)
    assert {s.seconds_by for s in w.truth.standings if s.standing == "attended"} == {"webhook"}


def test_two_registrants_of_one_account_are_two_who_attended() -> None:
    w = generate(7, 4, replace(CALM, shared_accounts=1.0, show_up=1.0), start=START, audience=(16, 24))
    owners = defaultdict(set)
    for c in w.truth.connections:
        if c.registrant_id:
            owners[c.zoom_user_id].add(c.person)
    pairs = [people for people in owners.values() if len(people) > 1]
    assert pairs
    standings = {(s.person, s.standing_by) for s in w.truth.standings if s.standing == "attended"}
    assert all((person, "webhook") in standings for people in pairs for person in people)


def test_guests_at_a_kiosk_are_unidentified() -> None:
    w = generate(7, 4, replace(CALM, walk_ins=1.0, kiosks=1.0, walk_in_email=1.0), start=START, audience=(16, 24))
    at_kiosk = {(c.uuid, c.person) for c in w.truth.connections if c.email.startswith("kiosk+")}
    assert at_kiosk
    of = w.truth.occurrence_of
    standings = {(s.occurrence_id, s.person): s for s in w.truth.standings}
    for uuid, person in at_kiosk:
        s = standings[str(of[uuid]), person]
        assert (s.standing, s.standing_by) == ("unidentified", "webhook")


def test_staff_are_staff_unless_they_registered() -> None:
    w = world("staff", series=12)
    by_role: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for s in w.truth.standings:
        by_role[w.truth.people[s.person].role].add((s.standing, s.standing_by))
    assert by_role["host"] >= {("staff", "webhook"), ("staff", "api"), ("attended", "webhook")}
    assert by_role["co_host"] == {("staff", "webhook")}
    assert by_role["alternative_host"] >= {("staff", "api"), ("attended", "webhook")}
    assert by_role["panelist"] == {("staff", "api"), ("staff", "webhook")}  # some were made co-host for a while
    assert ("staff", "webhook") in by_role["guest"]


# --- rooms -----------------------------------------------------------------------------------------------------------


def test_breakout_rooms_occur_in_every_reported_shape() -> None:
    w = world("rooms", series=10)
    main = {(c.uuid, c.participant_uuid) for c in w.truth.connections}
    users = {(c.uuid, c.user_id) for c in w.truth.connections}
    shapes: Counter[tuple[bool, bool]] = Counter()
    extra_joins = {
        (o["uuid"], o["participant"]["user_id"])
        for e in w.emissions
        if e.event["event"].endswith(".participant_joined")
        for o in [e.event["payload"]["object"]]
    } - users
    for e in w.emissions:
        if e.event["event"].endswith("participant_joined_breakout_room"):
            o = e.event["payload"]["object"]
            p = o["participant"]
            assert (o["uuid"], p["user_id"]) not in users
            shapes["parent_user_id" in p, (o["uuid"], p["participant_uuid"]) in main] += 1
    assert set(shapes) == {(True, False), (False, True), (False, False)}
    assert extra_joins


def test_visits_lie_within_the_connection_they_belong_to() -> None:
    w = world("rooms", series=4)
    connections = {(c.uuid, c.user_id): c for c in w.truth.connections}
    assert w.truth.visits
    for v in w.truth.visits:
        c = connections[v.uuid, v.main_user_id]
        assert c.person == v.person
        assert c.joined_at <= v.joined_at < v.left_at <= c.left_at


# --- personal meeting ids --------------------------------------------------------------------------------------------


def test_a_personal_room_runs_scheduled_meetings_and_ones_of_its_own() -> None:
    w = world("personal_room", series=12)
    rooms = {s.pmi: s for s in w.truth.series if s.pmi is not None}
    assert rooms
    ran = [i for i in w.truth.instances.values() if i.ran_under in rooms]
    scheduled = [i for i in ran if i.why in ("held", "restart")]
    ad_hoc = [i for i in ran if i.why == "unscheduled"]
    assert scheduled
    assert ad_hoc
    assert all(i.meeting_id == rooms[i.ran_under].meeting_id != i.ran_under for i in scheduled)
    assert all(i.meeting_id == i.ran_under and i.occurrence_id == i.uuid for i in ad_hoc)
    live = {
        o["uuid"]: o
        for e in w.emissions
        if e.event["event"].endswith((".started", ".participant_joined"))
        for o in [e.event["payload"]["object"]]
    }
    for i in ran:
        assert (live[i.uuid]["id"], live[i.uuid]["topic"]) == (str(i.ran_under), "Personal Meeting Room")
    created = {o["id"]: o for e in w.emissions if e.event["event"] == "meeting.created"
               for o in [e.event["payload"]["object"]]}  # fmt: skip
    assert all(created[s.meeting_id]["pmi"] == s.pmi for s in rooms.values())


def test_the_api_lists_what_ran_under_a_personal_meeting_id_there() -> None:
    w = world("personal_room", series=12)
    c = Client(ZoomApi(w, 1, ApiOptions(facts=MILD, limits=False)), after_the_world(w))
    for s in w.truth.series:
        if s.pmi is None:
            continue
        told = c.read(f"/meetings/{s.meeting_id}")
        assert (told["settings"]["use_pmi"], told["pmi"]) == (True, s.pmi)
        assert c.read(f"/meetings/{s.pmi}")["type"] == 4
        listed = {row["uuid"] for row in c.read(f"/past_meetings/{s.pmi}/instances")["meetings"]}
        assert listed == {i.uuid for i in w.truth.instances.values() if i.ran_under == s.pmi}
        assert c.read(f"/past_meetings/{s.meeting_id}/instances")["meetings"] == []
        for uuid in listed:
            assert c.read(f"/report/meetings/{encoded(uuid)}")["id"] == s.pmi
    assert {u.get("pmi") for u in c.rows("/users", "users")} >= {s.pmi for s in w.truth.series if s.pmi}


def test_reports_name_customer_keys_and_alternative_hosts_are_told() -> None:
    w = world("people", series=4)
    c = Client(ZoomApi(w, 1, ApiOptions(facts=MILD, limits=False)), after_the_world(w))
    keys = {x.customer_key for x in w.truth.connections if x.customer_key}
    seen = {
        row.get("customer_key", "")
        for uuid in w.truth.instances
        for row in c.rows(f"/report/webinars/{encoded(uuid)}/participants", "participants")
    }
    assert seen == keys | {""}
    w = world("staff", series=12)
    c = Client(ZoomApi(w, 1, ApiOptions(facts=MILD, limits=False)), after_the_world(w))
    told = {
        c.read(f"/{s.kind}s/{s.meeting_id}")["settings"]["alternative_hosts"] for s in w.truth.series
    }  # fmt: skip
    assert told - {""} == {p.email for p in w.truth.people.values() if p.role == "alternative_host"}


def test_a_world_of_people_is_the_same_twice_and_in_parts() -> None:
    whole = generate(3, 4, EVERY_MIX["everybody"], start=START)
    parts = [generate(3, 2, EVERY_MIX["everybody"], start=START, first=n) for n in (0, 2)]
    assert sorted(map(repr, whole.emissions)) == sorted(repr(e) for p in parts for e in p.emissions)
    again = generate(3, 4, EVERY_MIX["everybody"], start=START)
    assert again.truth.to_json() == whole.truth.to_json()
    assert min(i.ended_at - i.started_at for i in whole.truth.instances.values()) > timedelta(0)
