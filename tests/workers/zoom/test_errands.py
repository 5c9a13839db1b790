"""What a worker asks Zoom's API by itself: planned from the tables, taken one by one, tried again, final in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from joinlog.fakezoom import MIXES, ApiOptions, ApiServer, Response, World, generate
from joinlog.fakezoom.api import LogEntry
from schema.settings import ZoomCredentials
from schema.store.database import Database
from tests.inbox_to_tables import drain, keep_events, one, read_table, select
from workers.drain import Drain, Which
from workers.zoom.client import ZoomClient, open_http
from workers.zoom.errands import LEASE, Errands, pause
from workers.zoom.together import Settling

START = datetime(2026, 9, 1, tzinfo=UTC)
OPEN = {"report_delay_minutes_max": 0, "report_months": 12, "cancelled": "kept", "deleted_occurrence": "listed"}
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
APP = "app-of-the-webhook"


class NoPace:
    def wait_seconds(self, account_id: str, tier: object) -> float:
        return 0.0


def a_world(mix: str = "calm", seed: int = 1) -> World:
    return generate(seed, 1, MIXES[mix], start=START)


@contextmanager
def a_worker(database: Database, world: World, **facts: Any) -> Iterator[tuple[Errands, ApiServer]]:
    """The errands of a worker about the first account of a world, on the world's clock."""
    options = ApiOptions(limits=False, facts=OPEN | facts)
    with ApiServer(world, 1, options) as zoom, open_http() as http:
        credentials = ZoomCredentials(zoom.api.accounts[0], options.client_id, options.client_secret, APP)
        client = ZoomClient(
            credentials, zoom.api_url, zoom.oauth_url, NoPace(), http, lambda _: None, lambda: zoom.now.timestamp()
        )
        answers = Drain(database, which=Which.ANSWERS)
        yield Errands(database, [client], answers.settle_answers, now=lambda: zoom.now), zoom


def last_end(world: World) -> datetime:
    return max(instance.ended_at for history in world.histories for instance in history.instances)


def webhooks(world: World, *but: str) -> list[dict[str, Any]]:
    return [e.event for e in world.emissions if not e.event["event"].endswith(but or ("nothing",))]


def errands_of(database: Database) -> dict[str, dict[str, Any]]:
    return {row["kind"]: row for row in read_table(database, "api_errand") if row["kind"] != "look"}


def asked(zoom: ApiServer, endpoint: str) -> int:
    return sum(call.endpoint.endswith(endpoint) for call in zoom.api.calls)


def test_a_record_is_read_until_two_readings_agree_and_then_it_is_final(sqlite_database: Database) -> None:
    world = a_world()
    keep_events(sqlite_database, webhooks(world))
    drain(sqlite_database)
    with a_worker(sqlite_database, world) as (errands, zoom):
        for after in (14 * MINUTE, 16 * MINUTE, 61 * MINUTE, 25 * HOUR, 49 * HOUR):
            zoom.now = last_end(world) + after
            errands.look()
            drain(sqlite_database)
            if after == 14 * MINUTE:
                assert asked(zoom, "/report/webinars/{}/participants") < len(world.truth.instances)
    lately = [row for row in read_table(sqlite_database, "instance") if row["ended_at"] > last_end(world) - 5 * DAY]
    assert lately
    for row in lately:
        assert row["final_at"] is not None
        assert (row["stays_webhook_only"], row["stays_report_only"], row["webhooks_lost"]) == (0, 0, 0)
        assert row["reported_participants"] is not None
    assert errands_of(sqlite_database)["ended"]["due_at"] is None
    report = select(sqlite_database, "SELECT is_final FROM occurrence_report WHERE instances > 0 ORDER BY held_from")
    assert [bool(row["is_final"]) for row in report][-1]


def test_a_series_whose_schedule_no_event_told_is_asked_about_at_once(sqlite_database: Database) -> None:
    world = a_world()
    first = next(e.event for e in world.emissions if e.event["event"] == "webinar.started")
    keep_events(sqlite_database, [first])
    drain(sqlite_database)
    with a_worker(sqlite_database, world) as (errands, zoom):
        zoom.now = last_end(world)
        errands.look()
        asked_once = asked(zoom, "/webinars/{}")
        errands.look()
        assert asked(zoom, "/webinars/{}") == asked_once == 1
    assert one(sqlite_database, "SELECT count(*) AS n FROM occurrence WHERE scheduled_start IS NOT NULL")["n"] > 1


def test_what_the_last_days_held_is_asked_every_night(sqlite_database: Database) -> None:
    world = a_world()
    with a_worker(sqlite_database, world) as (errands, zoom):
        zoom.now = last_end(world) + HOUR
        errands.look()
        assert read_table(sqlite_database, "instance")  # nobody announced it
        before = asked(zoom, "/report/history_meetings")
        zoom.now += HOUR
        errands.look()
        assert asked(zoom, "/report/history_meetings") == before
        zoom.now += DAY
        errands.look()
        assert asked(zoom, "/report/history_meetings") > before


def test_an_errand_that_fails_is_tried_again_after_growing_pauses(sqlite_database: Database) -> None:
    world = a_world()
    with a_worker(sqlite_database, world) as (errands, zoom):
        zoom.api.intercept = lambda request, _: Response(500, {}) if "history" in request.path else None
        begun = zoom.now
        errands.look()
        row = errands_of(sqlite_database)["history"]
        assert (row["due_at"], row["tries"]) == (begun + pause(1), 1)
        assert "HTTP 500" in row["error"]
        zoom.now += pause(1)
        errands.look()
        assert errands_of(sqlite_database)["history"]["due_at"] == zoom.now + pause(2)
        zoom.api.intercept = None
        zoom.now += pause(2)
        errands.look()
        assert errands_of(sqlite_database)["history"]["error"] is None


def test_an_errand_waits_for_the_day_that_zoom_names(sqlite_database: Database) -> None:
    until = "2027-01-20T00:00:00Z"
    with a_worker(sqlite_database, a_world()) as (errands, zoom):
        zoom.api.intercept = lambda request, _: (
            Response(429, {"code": 429}, {"Retry-After": until}) if "history" in request.path else None
        )
        errands.look()
    assert errands_of(sqlite_database)["history"]["due_at"] == datetime.fromisoformat(until)


class Killed(BaseException):
    """What ends a worker at once."""


def test_an_errand_is_one_workers_at_a_time_and_a_killed_workers_goes_on(sqlite_database: Database) -> None:
    world = a_world()
    keep_events(sqlite_database, webhooks(world))
    drain(sqlite_database)
    with a_worker(sqlite_database, world) as (errands, zoom), a_worker(sqlite_database, world) as (other, others_zoom):
        others_zoom.now = zoom.now = last_end(world) + 20 * MINUTE
        other.look()  # what is asked at the start of a worker
        zoom.now = others_zoom.now = last_end(world) + 2 * HOUR
        lists = "/past_webinars/{}/instances"
        before, reports = asked(others_zoom, lists), "/report/webinars/{}/participants"
        read = asked(others_zoom, reports)

        def die() -> None:
            other.look()
            raise Killed

        errands._settling = Settling(die)  # right after the first complete answer
        with pytest.raises(Killed):
            errands.look()
        assert asked(zoom, lists) == 1
        assert (asked(others_zoom, lists), asked(others_zoom, reports)) == (before, read)  # it was taken
        zoom.now = others_zoom.now = zoom.now + LEASE + MINUTE
        assert other.look() > 0
        assert asked(others_zoom, lists) == before  # and that answer was complete
    drain(sqlite_database)
    last = max(read_table(sqlite_database, "instance"), key=lambda row: row["ended_at"])
    assert last["final_at"] is not None


@pytest.mark.parametrize("bodies", ["whole", "some", "none"])
def test_after_an_outage_the_delivery_log_gives_what_never_arrived(sqlite_database: Database, bodies: str) -> None:
    world = a_world()
    told = webhooks(world)
    keep_events(sqlite_database, told[: len(told) // 2])
    drain(sqlite_database)
    with a_worker(sqlite_database, world, log_is_readable=True, log_bodies=bodies) as (errands, zoom):
        zoom.api.log += [
            LogEntry(zoom.now - HOUR, event, "" if n % 2 else "connection_timeout", 0, f"request-{n}", f"trace-{n}")
            for n, event in enumerate(told)
        ]
        errands.look()
        assert asked(zoom, "/webhook_logs") == 0
        zoom.now += HOUR  # nobody looked
        errands.look()
        assert asked(zoom, "/webhook_logs") > 0
    kept = {row["source"]: row["n"] for row in select(sqlite_database, SOURCES)}
    assert kept["webhook"] == len(told) // 2
    missing = len(told) - len(told) // 2
    assert kept.get("zoom_log", 0) == missing if bodies == "whole" else kept.get("zoom_log", 0) < missing
    doubled = select(sqlite_database, "SELECT 1 AS n FROM inbox_event WHERE source = 'zoom_log' AND deliveries > 1")
    assert doubled == []


SOURCES = "SELECT source, count(*) AS n FROM inbox_event GROUP BY source"


def test_without_credentials_nothing_is_asked_and_nothing_written(sqlite_database: Database) -> None:
    errands = Errands(sqlite_database, [], lambda: None)
    errands.start()
    errands.stop()
    assert read_table(sqlite_database, "api_errand") == []
