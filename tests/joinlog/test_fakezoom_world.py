"""The fake Zoom's worlds: one seed, one world; a truth that agrees with what is stated; every knob does something."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import gcd
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joinlog.fakezoom import EVERY_MIX, MIXES, Mix, Truth, World, generate
from joinlog.fakezoom.identifiers import NUMBER_STRIDE, NUMBERS_LONG, NUMBERS_SHORT, meeting_number
from joinlog.fakezoom.mix import CALM, USUAL, turn_knob
from joinlog.fakezoom.truth import ConnectionTruth

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
LIVE = re.compile(r"^(webinar|meeting)\.(started|ended|participant_.*)$")


def world(mix: Mix, series: int = 12, seed: int = 7) -> World:
    return generate(seed, series, mix, start=START, audience=(8, 16))


def told(w: World, ending: str) -> list[dict[str, Any]]:
    """The objects of the events whose type ends so."""
    return [e.event["payload"]["object"] for e in w.emissions if e.event["event"].endswith(ending)]


def test_a_seed_gives_the_same_world_twice() -> None:
    one, two = world(MIXES["chaotic"]), world(MIXES["chaotic"])
    assert one.emissions == two.emissions
    assert one.truth.to_json() == two.truth.to_json()


def test_the_worlds_that_benchmarks_rest_on_stay_what_they_are() -> None:
    """New knobs draw from generators of their own. A change of this digest makes all measured figures incomparable."""
    digest = hashlib.sha256()
    for mix in MIXES.values():
        w = generate(4, 4, mix, start=START, audience=(4, 8))
        digest.update(json.dumps([(str(e.at), e.event) for e in w.emissions]).encode())
    assert digest.hexdigest()[:16] == "1e3540f0b5c3d8f6"


def test_another_seed_gives_another_world() -> None:
    assert world(USUAL, seed=1).emissions != world(USUAL, seed=2).emissions


def test_a_world_can_be_made_in_parts() -> None:
    whole = generate(3, 6, USUAL, start=START)
    parts = [generate(3, 2, USUAL, start=START, first=n) for n in (0, 2, 4)]
    key: Callable[[Any], str] = repr
    assert sorted(whole.emissions, key=key) == sorted((e for p in parts for e in p.emissions), key=key)


def test_the_truth_survives_json() -> None:
    truth = world(MIXES["chaotic"]).truth
    assert Truth.from_json(truth.to_json()) == truth


@pytest.mark.parametrize("name", EVERY_MIX)
def test_truth_and_emissions_agree(name: str) -> None:
    w = world(EVERY_MIX[name])
    assert [e.at for e in w.emissions] == sorted(e.at for e in w.emissions)
    live = [e.event["payload"]["object"] for e in w.emissions if LIVE.match(e.event["event"])]
    assert {o["uuid"] for o in live} <= set(w.truth.occurrence_of)
    joined = {(o["uuid"], o["participant"]["participant_uuid"]) for o in told(w, ".participant_joined")}
    assert joined == {(c.uuid, c.participant_uuid) for c in w.truth.connections}
    came = {(c.uuid, c.person) for c in w.truth.connections}
    for occurrence in w.truth.occurrences:
        for person in occurrence.attendees:
            assert any((uuid, person) in came for uuid in occurrence.instances)
        assert set(occurrence.attendees) | set(occurrence.registered) <= set(w.truth.people)
        assert all(w.truth.occurrence_of[uuid] == occurrence.occurrence_id for uuid in occurrence.instances)
    linked = {uuid for uuid, occurrence_id in w.truth.occurrence_of.items() if occurrence_id is not None}
    assert linked == {uuid for occurrence in w.truth.occurrences for uuid in occurrence.instances}


@pytest.mark.parametrize("name", EVERY_MIX)
def test_who_is_registered_can_be_told_from_the_events_alone(name: str) -> None:
    """An independent reading of the registration events gives the truth's `registered`, occurrence by occurrence."""
    w = world(replace(EVERY_MIX[name], late_registrants=0.4, cancels=0.3, needs_approval=0.2), series=15)
    chose_all = {s.meeting_id for s in w.truth.series if s.registration_type == 1}
    keys = {p.registrant_id: p.key for p in w.truth.people.values() if p.registrant_id}
    since: dict[tuple[int, str, str], datetime] = {}
    cancelled: list[tuple[int, str, str, datetime]] = []
    approved = set()
    for e in w.emissions:
        told_object = e.event["payload"]["object"]
        if "registrant" not in told_object:
            continue
        number, who = told_object["id"], told_object["registrant"]["id"]
        ids = [o["occurrence_id"] for o in told_object.get("occurrences", ())]
        if e.event["event"].endswith("_cancelled"):
            cancelled += [(number, who, occurrence_id, e.at) for occurrence_id in ids or ["*"]]
            continue
        if e.event["event"].endswith("_approved") or told_object["registrant"].get("status") == "approved":
            approved.add((number, who))
        for occurrence_id in ["*"] if number in chose_all or not ids else ids:
            since.setdefault((number, who, occurrence_id), e.at)
    for o in w.truth.occurrences:
        if o.status == "replaced":
            continue
        spans = [w.truth.instances[uuid] for uuid in o.instances]
        scheduled = o.scheduled_start or START
        begins = min((i.started_at for i in spans), default=scheduled)
        ends = max((i.ended_at for i in spans), default=scheduled + timedelta(minutes=o.duration_minutes))
        gone = {
            who
            for number, who, occurrence_id, at in cancelled
            if number == o.meeting_id and occurrence_id in ("*", o.occurrence_id) and at < begins
        }
        counted = {
            keys[who]
            for (number, who, occurrence_id), at in since.items()
            if number == o.meeting_id and occurrence_id in ("*", o.occurrence_id) and at < ends
            if (number, who) in approved and who not in gone
        }
        assert counted == set(o.registered)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_connections_lie_within_their_instance_and_instances_never_overlap(seed: int) -> None:
    truth = world(MIXES["chaotic"], series=2, seed=seed).truth
    for c in truth.connections:
        instance = truth.instances[c.uuid]
        assert instance.started_at <= c.joined_at <= c.left_at <= instance.ended_at  # Zoom tells whole seconds
    by_meeting: dict[int, list[tuple[datetime, datetime]]] = {}
    for i in truth.instances.values():
        by_meeting.setdefault(i.meeting_id, []).append((i.started_at, i.ended_at))
    for spans in by_meeting.values():
        spans.sort()
        assert all(one[1] < two[0] for one, two in pairwise(spans))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_occurrence_ids_are_never_used_twice_in_a_series(seed: int) -> None:
    truth = world(replace(MIXES["chaotic"], patterns=("several_a_day",)), series=2, seed=seed).truth
    ids = Counter((o.meeting_id, o.occurrence_id) for o in truth.occurrences)
    assert set(ids.values()) <= {1}


def test_ids_are_numbers_on_the_schedule_side_and_text_when_live() -> None:
    w = world(MIXES["chaotic"])
    for e in w.emissions:
        wanted = str if LIVE.match(e.event["event"]) else int
        told_id = e.event["payload"]["object"]["id"]
        assert type(told_id) is wanted
        assert int(told_id) > 2**31
        assert e.event["event_ts"] == int(e.at.timestamp() * 1000)


def test_meeting_numbers_are_never_used_twice() -> None:
    assert gcd(NUMBER_STRIDE, NUMBERS_LONG) == gcd(NUMBER_STRIDE, NUMBERS_SHORT) == 1
    numbers = {meeting_number(7, index) for index in range(5000)}
    assert len(numbers) == 5000
    assert {len(str(n)) for n in numbers} == {10, 11}
    assert min(numbers) > 2**31


def test_live_events_never_name_an_occurrence() -> None:
    for e in world(MIXES["chaotic"]).emissions:
        if LIVE.match(e.event["event"]):
            assert "occurrence" not in repr(e.event)


def test_uuids_are_awkward_and_names_hostile() -> None:
    w = world(MIXES["chaotic"], series=40)
    uuids = list(w.truth.instances)
    assert any(u.startswith("/") for u in uuids)
    assert any("//" in u for u in uuids)
    names = {p.name for p in w.truth.people.values()}
    assert any("<img" in n for n in names)
    assert any("🚒" in n for n in names)
    assert max(map(len, names)) > 200


def test_a_registration_names_its_occurrences_only_where_zoom_would() -> None:
    for number in (1, 2, 3):
        w = world(replace(CALM, registration_types=(number,), lists_occurrences=0.0))
        listed = [len(o.get("occurrences", ())) for o in told(w, "registration_created")]
        assert (max(listed) == 0) if number == 1 else (min(listed) >= 1)
        if number == 2:
            assert set(listed) == {1}
    assert all("registration_type" not in repr(o) for o in told(world(USUAL), ".created"))


# --- each knob, turned up, gives its situation ---------------------------------------------------------------------


def rejoined_before_left(w: World) -> bool:
    lefts = {c.participant_uuid: c for c in w.truth.connections}
    later = [(c.uuid, c.person, c.joined_at) for c in w.truth.connections]
    return any(
        uuid == c.uuid and person == c.person and c.joined_at < joined < c.left_at
        for c in lefts.values()
        for uuid, person, joined in later
    )


def lateness_minutes(w: World) -> list[float]:
    due = {(o.meeting_id, o.occurrence_id): o.scheduled_start for o in w.truth.occurrences if o.scheduled_start}
    return [
        (i.started_at - due[i.meeting_id, i.occurrence_id]).total_seconds() / 60
        for i in w.truth.instances.values()
        if i.why == "held" and i.occurrence_id is not None
    ]


def overlong(w: World) -> bool:
    due = {(o.meeting_id, o.occurrence_id): o for o in w.truth.occurrences}
    for i in w.truth.instances.values():
        o = due.get((i.meeting_id, i.occurrence_id or ""))
        if o is not None and o.scheduled_start is not None:
            planned_end = o.scheduled_start + timedelta(minutes=o.duration_minutes)
            if i.ended_at - planned_end > timedelta(minutes=10):
                return True
    return False


def attended_without_registering(w: World, role: str) -> bool:
    return any(
        w.truth.people[p].role == role
        for o in w.truth.occurrences
        for p in set(o.attendees) - set(o.registered) - set(o.registered_under_old_id)
    )


def simultaneous(w: World) -> bool:
    spans = [(c.uuid, c.person, c.joined_at, c.left_at) for c in w.truth.connections]
    return any(
        one[:2] == two[:2] and one[2] < two[2] and (one[3] - two[2]).total_seconds() > 120
        for one in spans
        for two in spans
    )


def offsets(w: World) -> bool:
    zone = {s.meeting_id: ZoneInfo(s.timezone) for s in w.truth.series}
    seen: dict[int, set[timedelta | None]] = {}
    for o in w.truth.occurrences:
        assert o.scheduled_start is not None
        seen.setdefault(o.meeting_id, set()).add(o.scheduled_start.astimezone(zone[o.meeting_id]).utcoffset())
    return all(len(s) == 2 for s in seen.values())


def whys(w: World) -> Counter[str]:
    return Counter(i.why for i in w.truth.instances.values())


def statuses(w: World) -> Counter[str]:
    return Counter(o.status for o in w.truth.occurrences)


def types(w: World) -> set[int]:
    return {s.type for s in w.truth.series}


def missing(w: World, ending: str) -> bool:
    return {o["uuid"] for o in told(w, ending)} != set(w.truth.instances)


def shown(w: World) -> set[tuple[bool, bool]]:
    """Of registrants: (showed the registrant id, showed an address)."""
    return {
        (bool(c.registrant_id), bool(c.email)) for c in w.truth.connections if w.truth.people[c.person].registrant_id
    }


IDENTIFIERS = ("id", "participant_user_id", "email", "registrant_id")


def participants(w: World, ending: str) -> list[dict[str, Any]]:
    return [o["participant"] for o in told(w, f"participant{ending}")]


def guests(w: World) -> list[ConnectionTruth]:
    found = [c for c in w.truth.connections if w.truth.people[c.person].role == "guest"]
    assert found
    return found


def person_of(w: World, o: dict[str, Any]) -> str:
    return {(c.uuid, c.user_id): c.person for c in w.truth.connections}[o["uuid"], o["participant"]["user_id"]]


def by_person_and_uuid(w: World) -> list[list[ConnectionTruth]]:
    groups: dict[tuple[str, str], list[ConnectionTruth]] = {}
    for c in w.truth.connections:
        groups.setdefault((c.uuid, c.person), []).append(c)
    assert max(map(len, groups.values())) > 1
    return list(groups.values())


def late_binds(w: World) -> bool:
    binds = [e for e in w.emissions if e.event["event"].endswith("participant_bind")]
    lefts = {(c.uuid, c.user_id): c.left_at for c in w.truth.connections}
    return bool(binds) and all(
        (lefts[o["uuid"], o["participant"]["user_id"]] - e.at).total_seconds() < 6
        for e in binds
        for o in [e.event["payload"]["object"]]
    )


SITUATIONS: dict[str, tuple[dict[str, Any], Callable[[World], bool]]] = {
    "meetings": ({"meetings": 1.0}, lambda w: types(w) == {8}),
    "single": ({"single": 1.0, "meetings": 0.5}, lambda w: types(w) == {5, 2}
               and {o.occurrence_id for o in w.truth.occurrences} == {"single"}),
    "no_fixed_time": ({"no_fixed_time": 1.0, "meetings": 0.6}, lambda w: types(w) >= {6, 3}
                      and all(uuid == o for uuid, o in w.truth.occurrence_of.items())),
    "patterns": ({"patterns": ("several_a_day",)}, lambda w: len(
        {o.scheduled_start.date() for o in w.truth.occurrences if o.scheduled_start}) < len(w.truth.occurrences)),
    "occurrences_min": ({"occurrences_min": 9, "occurrences_max": 9},
                        lambda w: len(w.truth.occurrences) == 9 * len(w.truth.series)),
    "occurrences_max": ({"occurrences_min": 2, "occurrences_max": 2},
                        lambda w: len(w.truth.occurrences) == 2 * len(w.truth.series)),
    "crosses_dst": ({"crosses_dst": 1.0}, offsets),
    "created_missing": ({"created_missing": 1.0}, lambda w: not told(w, "webinar.created")),
    "uuid_is_next": ({"uuid_is_next": 1.0}, lambda w: all(
        o["uuid"] in w.truth.instances for o in told(w, "webinar.created"))),
    "registration_types": ({"registration_types": (0,)}, lambda w: not told(w, "registration_created")),
    "states_registration_type": ({"states_registration_type": 1.0}, lambda w: len(
        [o for o in told(w, ".updated") if o.get("settings", {}).get("registration_type")]) == len(w.truth.series)),
    "lists_occurrences": ({"lists_occurrences": 1.0, "registration_types": (1,)}, lambda w: all(
        o.get("occurrences") for o in told(w, "registration_created"))),
    "late_registrants": ({"late_registrants": 1.0}, lambda w: any(
        e.event["event"].endswith("registration_created") and e.at > i.ended_at for e in w.emissions
        for i in w.truth.instances.values() if str(i.meeting_id) in repr(e.event))),
    "needs_approval": ({"needs_approval": 1.0, "denied": 0.0}, lambda w: len(told(w, "registration_approved"))
                       == len(told(w, "registration_created")) and not told(w, "registration_denied")),
    "denied": ({"needs_approval": 1.0, "denied": 1.0}, lambda w: bool(told(w, "registration_denied"))
               and not any(o.registered for o in w.truth.occurrences)),
    "cancels": ({"cancels": 1.0, "cancels_some": 0.0}, lambda w: all(
        "occurrences" not in o for o in told(w, "registration_cancelled"))),
    "cancels_some": ({"cancels": 1.0, "cancels_some": 1.0}, lambda w: all(
        len(o["occurrences"]) == 1 for o in told(w, "registration_cancelled"))),
    "moved": ({"moved": 1.0, "moved_gets_new_id": 0.0}, lambda w: not statuses(w)["replaced"] and any(
        o.scheduled_start and o.occurrence_id != str(int(o.scheduled_start.timestamp()) * 1000)
        for o in w.truth.occurrences)),
    "moved_gets_new_id": ({"moved": 1.0, "moved_gets_new_id": 1.0}, lambda w: statuses(w)["replaced"] > 0),
    "deleted": ({"deleted": 1.0, "recovered": 0.0}, lambda w: statuses(w)["held"] == 0 and bool(told(w, ".deleted"))),
    "recovered": ({"deleted": 1.0, "recovered": 1.0}, lambda w: statuses(w)["held"] > 0
                  and bool(told(w, ".recovered"))),
    "series_edited": ({"series_edited": 1.0}, lambda w: any(o.registered_under_old_id for o in w.truth.occurrences)
                      and any(0 < len(o.get("occurrences", ())) < 4 for o in told(w, ".updated"))),
    "skipped": ({"skipped": 1.0}, lambda w: not w.truth.instances and statuses(w)["skipped"] > 0),
    "informal_move": ({"informal_move": 1.0}, lambda w: min(lateness_minutes(w)) > 23 * 60),
    "early": ({"early": 0.0}, lambda w: min(lateness_minutes(w)) >= 0),
    "early_minutes_max": ({"early": 1.0, "early_minutes_max": 50.0}, lambda w: min(lateness_minutes(w)) < -20),
    "very_early": ({"very_early": 1.0}, lambda w: min(lateness_minutes(w)) < -45),
    "late_minutes_max": ({"early": 0.0, "late_minutes_max": 45.0}, lambda w: max(lateness_minutes(w)) > 20),
    "very_late": ({"very_late": 1.0}, lambda w: max(lateness_minutes(w)) > 60),
    "overruns": ({"overruns": 1.0}, overlong),
    "overrun_minutes_max": ({"overruns": 1.0, "overrun_minutes_max": 0.0}, lambda w: not overlong(w)),
    "restarts": ({"restarts": 0.9}, lambda w: whys(w)["restart"] > 10
                 and any(len(o.instances) > 1 for o in w.truth.occurrences)),
    "restart_gap_seconds_max": ({"restarts": 0.9, "restart_gap_seconds_max": 6.0}, lambda w: whys(w)["restart"] > 0),
    "rehearsals": ({"rehearsals": 1.0, "rehearsals_unflagged": 0.0}, lambda w: whys(w)["rehearsal"] > 0
                   and any(o.get("practice_session") for o in told(w, ".ended"))),
    "rehearsals_unflagged": ({"rehearsals": 1.0, "rehearsals_unflagged": 1.0}, lambda w: whys(w)["rehearsal"] > 0
                             and not any(o.get("practice_session") for o in told(w, ".ended"))),
    "single_rehearsals_unflagged": (
        {"single": 1.0, "rehearsals": 1.0, "single_rehearsals_unflagged": 1.0},
        lambda w: any(i.why == "rehearsal" and not i.is_practice for i in w.truth.instances.values())),
    "unscheduled": ({"unscheduled": 1.0}, lambda w: whys(w)["unscheduled"] > 0),
    "started_missing": ({"started_missing": 1.0}, lambda w: not told(w, ".started")),
    "ended_missing": ({"ended_missing": 0.5}, lambda w: missing(w, ".ended")),
    "show_up": ({"show_up": 1.0}, lambda w: sum(len(o.attendees) for o in w.truth.occurrences)
                > sum(len(o.registered) for o in w.truth.occurrences)),
    "without_link": ({"without_link": 1.0}, lambda w: shown(w) == {(False, True), (False, False)}),
    "wrong_door": ({"wrong_door": 1.0}, lambda w: attended_without_registering(w, "registrant")),
    "walk_ins": ({"walk_ins": 0.5}, lambda w: attended_without_registering(w, "guest")),
    "walk_in_email": ({"walk_ins": 1.0, "walk_in_email": 0.0}, lambda w: not any(
        c.email for c in w.truth.connections if w.truth.people[c.person].role == "guest")),
    "two_devices": ({"two_devices": 1.0}, simultaneous),
    "rejoins": ({"rejoins": 1.0}, lambda w: max(Counter((c.uuid, c.person) for c in w.truth.connections).values()) > 1),
    "killed": ({"killed": 1.0}, rejoined_before_left),
    "phone": ({"phone": 1.0}, lambda w: bool(told(w, ".participant_bind"))),
    "left_missing": ({"left_missing": 1.0}, lambda w: not told(w, ".participant_left")),
    "role_changes": ({"role_changes": 1.0}, lambda w: bool(told(w, ".participant_role_changed"))),
    "breakout_rooms": ({"breakout_rooms": 1.0, "meetings": 1.0}, lambda w: {
        "parent_user_id" in o["participant"] for o in told(w, "joined_breakout_room")} == {True}),
    "waiting_room": ({"waiting_room": 1.0, "meetings": 1.0}, lambda w: bool(told(w, "joined_waiting_room"))
                     and bool(told(w, "admitted"))),
    "strange_names": ({"strange_names": 1.0}, lambda w: any("<" in p.name for p in w.truth.people.values())),
    "shared_names": ({"shared_names": 1.0}, lambda w: max(
        Counter(p.name for p in w.truth.people.values()).values()) > 5),
    "two_ids": ({"two_ids": 1.0}, lambda w: all(
        p["id"] != p["participant_user_id"] for p in participants(w, "_joined") if p["id"])),
    "id_missing_later": ({"id_missing_later": 1.0}, lambda w: all(
        sum(bool(p.get(k)) for k in IDENTIFIERS) < 4 for p in participants(w, "_left"))),
    "sdk_users": ({"walk_ins": 1.0, "sdk_users": 1.0}, lambda w: all(
        c.customer_key and not c.email and not c.zoom_user_id for c in guests(w))
        and any(p.get("customer_key") for p in participants(w, "_joined"))),
    "callers": ({"walk_ins": 1.0, "callers": 1.0}, lambda w: all(c.phone_number and not c.email for c in guests(w))
                and not told(w, ".participant_bind")),
    "late_bind": ({"phone": 1.0, "late_bind": 1.0}, late_binds),
    "rejoin_without_link": ({"rejoins": 1.0, "rejoin_without_link": 1.0}, lambda w: all(
        sum(bool(c.registrant_id) for c in same) <= 1 for same in by_person_and_uuid(w))),
    "shared_accounts": ({"shared_accounts": 1.0}, lambda w: 2 in Counter(
        account for account, _ in {(c.zoom_user_id, c.person) for c in w.truth.connections if c.registrant_id}
    ).values()),
    "kiosks": ({"walk_ins": 1.0, "kiosks": 1.0}, lambda w: max(Counter(
        (c.uuid, c.email) for c in guests(w) if c.email).values()) >= 6),
    "host_by_id": ({"host_by_id": 1.0}, lambda w: all(
        any(p["id"] == o["host_id"] for p in [o["participant"]]) or w.truth.people[
            person_of(w, o)].role != "host" for o in told(w, "participant_joined"))),
    "host_as_registrant": ({"host_as_registrant": 1.0}, lambda w: all(
        c.registrant_id == c.zoom_user_id for c in w.truth.connections if w.truth.people[c.person].role == "host")),
    "alternative_hosts": ({"alternative_hosts": 1.0}, lambda w: {
        o["settings"]["alternative_hosts"] for o in told(w, ".created")} == {
        p.email for p in w.truth.people.values() if p.role == "alternative_host"}),
    "co_hosts": ({"co_hosts": 1.0}, lambda w: {
        w.truth.people[person_of(w, o)].role for o in told(w, "role_changed")} == {"co_host"}),
    "staff_register": ({"staff_register": 1.0}, lambda w: all(
        p.registrant_id for p in w.truth.people.values() if p.role == "host")),
    "room_shapes": ({"meetings": 1.0, "breakout_rooms": 1.0, "room_shapes": ("same_uuid",)}, lambda w: all(
        "parent_user_id" not in p and (o["uuid"], p["participant_uuid"]) in {
            (c.uuid, c.participant_uuid) for c in w.truth.connections}
        for o in told(w, "joined_breakout_room") for p in [o["participant"]])),
    "second_room": ({"meetings": 1.0, "breakout_rooms": 1.0, "second_room": 1.0}, lambda w: set(Counter(
        (v.uuid, v.main_user_id) for v in w.truth.visits).values()) == {2}),
    "pmi": ({"meetings": 1.0, "pmi": 1.0}, lambda w: {o["id"] for o in told(w, ".started")} == {
        str(s.pmi) for s in w.truth.series if s.pmi} and {o["type"] for o in told(w, ".started")} <= {2, 4}
        and all(o["settings"]["use_pmi"] and o["pmi"] != o["id"] for o in told(w, ".created"))),
}  # fmt: skip


def test_every_knob_has_a_situation() -> None:
    assert set(SITUATIONS) == {f.name for f in fields(Mix)}


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_knob_gives_its_situation(name: str) -> None:
    knobs, happens = SITUATIONS[name]
    assert happens(world(replace(CALM, **knobs)))


def test_a_calm_mix_has_no_surprises() -> None:
    w = world(CALM)
    assert set(whys(w)) == {"held"}
    assert set(statuses(w)) == {"held"}
    assert len(w.truth.connections) == len({(c.uuid, c.person) for c in w.truth.connections})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nothing", "1"),
        ("moved", "2"),
        ("moved", "often"),
        ("moved", "-1"),
        ("patterns", "monthly"),
        ("registration_types", "4"),
    ],
)
def test_a_knob_turned_wrongly_says_so(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"knob|share|convert|knows"):
        turn_knob(USUAL, name, text)
    assert turn_knob(USUAL, "registration_types", "1,2").registration_types == (1, 2)
