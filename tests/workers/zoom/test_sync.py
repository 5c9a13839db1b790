"""What Zoom's API tells, from the fake to the tables: alone, beside the webhooks, and where they were lost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from joinlog.fakezoom import MIXES, ApiOptions, ApiServer, Request, Response, World, generate
from schema.settings import ZoomCredentials
from schema.store.api_calls import begin_run, end_run
from schema.store.database import Database
from tests.inbox_to_tables import drain, is_postgres, keep_events, read_table, select
from workers.drain import Drain
from workers.zoom.client import ZoomClient, open_http
from workers.zoom.sync import Sync
from workers.zoom.together import Settling

START = datetime(2026, 9, 1, tzinfo=UTC)
OPEN = {"report_delay_minutes_max": 0, "report_months": 12, "cancelled": "kept", "deleted_occurrence": "listed"}
CREDENTIAL_WORDS = ("join_url", "start_url", "fake-secret", "fake-token", "pwd=fake", "zak=")


class NoPace:
    def wait_seconds(self, account_id: str, tier: object) -> float:
        return 0.0


def sync(database: Database, zoom: ApiServer, meetings: Sequence[int] | None = None) -> Sync:
    """One whole run about every account of the world, or the part of it until it was killed."""
    last = None
    for account_id in zoom.api.accounts:
        with open_http() as http:
            credentials = ZoomCredentials(account_id, zoom.api.options.client_id, zoom.api.options.client_secret)
            client = ZoomClient(
                credentials, zoom.api_url, zoom.oauth_url, NoPace(), http, lambda _: None, calls=Counter()
            )
            begun_at = min(begin_run(database, account_id, "all", datetime.now(UTC)), zoom.now)
            last = run = Sync(database, client, begun_at, Settling(Drain(database).settle_answers), lambda: zoom.now)
            since = START.date() - timedelta(days=40)
            run.meetings(meetings or run.held_between(since, zoom.now.date()))
            if not run.remains:
                end_run(database, account_id, "all", datetime.now(UTC))
    drain(database)
    assert last is not None
    return last


def world_of(mix: str, seed: int) -> World:
    return generate(seed, 4, MIXES[mix], start=START)


def stays(database: Database) -> dict[tuple[str, str], set[tuple[datetime, datetime]]]:
    found: dict[tuple[str, str], set[tuple[datetime, datetime]]] = {}
    for row in read_table(database, "participant"):
        if row["room_uuid"] is not None:
            continue  # visits to breakout rooms are within the stay in the main room
        found.setdefault((row["uuid"], row["connection_id"]), set()).add((row["joined_at"], row["left_at"]))
    return found


def true_stays(world: World) -> set[tuple[str, str]]:
    return {(c.uuid, c.user_id) for c in world.truth.connections}


def stated_are_linked(database: Database, zoom: ApiServer) -> None:
    links = {row["uuid"]: (row["occurrence_id"], row["link_state"]) for row in read_table(database, "instance")}
    for uuid, occurrence_id in zoom.api.stated_links(zoom.now).items():
        assert links[uuid] == (occurrence_id, "confirmed")


@pytest.mark.parametrize("mix", ["usual", "restarts", "moved", "connections"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_api_alone_knows_every_instance_link_and_connection(database: Database, mix: str, seed: int) -> None:
    world = world_of(mix, seed)
    with ApiServer(world, seed, ApiOptions(limits=False, facts=OPEN)) as zoom:
        run = sync(database, zoom)
        assert run.remains == []
        assert {row["uuid"] for row in read_table(database, "instance")} == set(world.truth.instances)
        assert set(stays(database)) == true_stays(world)
        stated_are_linked(database, zoom)


@pytest.mark.parametrize("lost", [0.0, 0.2])
@pytest.mark.parametrize("seed", [1, 2])
def test_webhooks_and_the_api_together_double_nothing(database: Database, seed: int, lost: float) -> None:
    world = world_of("usual", seed)
    luck = random.Random(seed)
    keep_events(database, [e.event for e in world.emissions if luck.random() >= lost])
    drain(database)
    with ApiServer(world, seed, ApiOptions(limits=False, facts=OPEN)) as zoom:
        assert sync(database, zoom).remains == []
        kept = stays(database)
        assert set(kept) == true_stays(world)
        assert all(len(times) == 1 for times in kept.values())
        stated_are_linked(database, zoom)


def test_no_credential_of_an_answer_is_kept_or_logged(database: Database, capfd: pytest.CaptureFixture[str]) -> None:
    world = world_of("usual", 3)
    with ApiServer(world, 3, ApiOptions(limits=False, facts=OPEN)) as zoom:
        sync(database, zoom)
    if database.url.database and not is_postgres(database):
        files = b"".join(path.read_bytes() for path in Path(database.url.database).parent.glob("*.db*"))
        assert [word for word in CREDENTIAL_WORDS if word.encode() in files] == []
    said = "".join(capfd.readouterr())
    assert [word for word in CREDENTIAL_WORDS if word in said] == []
    bodies = "\n".join(row["body"] for row in select(database, "SELECT body FROM inbox_event"))
    assert "zoom.participants_read" in bodies
    assert [word for word in CREDENTIAL_WORDS if word in bodies] == []
    assert {row["source"] for row in select(database, "SELECT DISTINCT source FROM inbox_event")} == {"api", "joinlog"}


def test_the_same_answers_again_are_no_new_events(database: Database) -> None:
    world = world_of("calm", 1)
    with ApiServer(world, 1, ApiOptions(limits=False, facts=OPEN)) as zoom:
        sync(database, zoom)
        zoom.now += timedelta(hours=1)
        sync(database, zoom)  # which says the same, so that what it reads is final
        before = select(database, "SELECT idempotency_key FROM inbox_event ORDER BY idempotency_key")
        zoom.now += timedelta(minutes=1)
        sync(database, zoom)
        assert select(database, "SELECT idempotency_key FROM inbox_event ORDER BY idempotency_key") == before


@pytest.mark.parametrize("call", [2, 4, 7, 12, 20])
def test_a_run_that_was_killed_asks_nothing_again_that_was_complete(database: Database, call: int) -> None:
    world = generate(1, 2, MIXES["calm"], start=START)
    with ApiServer(world, 1, ApiOptions(limits=False, facts=OPEN)) as zoom:
        zoom.api.intercept = lambda r, n: Response(400, {"code": 200, "message": "killed"}) if n >= call else None
        sync(database, zoom)
        zoom.api.intercept = None
        answered = {(c.path, str(c.query)) for c in zoom.api.calls if c.status == 200 and c.tier != "token"}
        done = len(zoom.api.calls)
        assert sync(database, zoom).remains == []
        again = {(c.path, str(c.query)) for c in zoom.api.calls[done:] if c.tier != "token"}
        repeated = {path for path, _ in answered & again}
        assert all(path.endswith("/registrants") for path in repeated)  # three lists are one answer
        assert set(stays(database)) == true_stays(world)


def test_the_numbers_of_a_registrant_who_is_gone_from_a_complete_list_fall(database: Database) -> None:
    world = generate(2, 1, MIXES["calm"], start=START)
    number = world.truth.series[0].meeting_id
    with ApiServer(world, 2, ApiOptions(limits=False, facts=OPEN)) as zoom:
        sync(database, zoom, [number])
        before = [row for row in read_table(database, "registration") if row["until"] is None]
        gone = before[0]["registrant_id"]

        def without(request: Request, _: int) -> Response | None:
            if not request.path.endswith("/registrants"):
                return None
            zoom.api.intercept = None
            answer = zoom.api.answer(request, zoom.now, datetime.now(UTC).timestamp())
            zoom.api.intercept = without
            rows = [row for row in answer.body["registrants"] if row["id"] != gone]
            return Response(200, answer.body | {"registrants": rows})

        zoom.api.intercept = without
        zoom.now += timedelta(hours=1)
        sync(database, zoom, [number])
        after = [row for row in read_table(database, "registration") if row["until"] is None]
        assert {row["registrant_id"] for row in before} - {row["registrant_id"] for row in after} == {gone}


def test_a_failed_call_is_no_empty_answer(database: Database) -> None:
    world = generate(2, 1, MIXES["calm"], start=START)
    with ApiServer(world, 2, ApiOptions(limits=False, facts=OPEN)) as zoom:
        sync(database, zoom)
        standing = read_table(database, "registration")
        zoom.now += timedelta(hours=1)
        refused: dict[str, Any] = {"code": 4711, "message": "does not contain scopes"}
        zoom.api.intercept = lambda r, _: Response(400, refused) if r.path.endswith("/registrants") else None
        run = sync(database, zoom)
        assert any("list_registrants" in line for line in run.remains)
        assert read_table(database, "registration") == standing
