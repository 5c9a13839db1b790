"""The fake Zoom's API over HTTP: what a real client sees on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from joinlog.fakezoom import MIXES, NO_FAULTS, ApiOptions, ApiServer, Response, Try, World, generate, plan
from joinlog.fakezoom.open_facts import OpenFacts
from tests.joinlog.fake_api_client import encoded

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
MILD = {f.name: f.default for f in fields(OpenFacts)}
WORLD = generate(7, 4, MIXES["calm"], start=START, audience=(6, 12))


@contextmanager
def served(world: World = WORLD, **options: Any) -> Iterator[tuple[ApiServer, httpx2.Client]]:
    with ApiServer(world, 1, ApiOptions(facts=MILD, **options)) as zoom, httpx2.Client(trust_env=False) as http:
        yield zoom, http


def authorize(zoom: ApiServer, http: httpx2.Client) -> None:
    asked = {"grant_type": "account_credentials", "account_id": zoom.api.accounts[0]}
    pair = (zoom.api.options.client_id, zoom.api.options.client_secret)
    body = http.post(zoom.oauth_url, data=asked, auth=pair).json()
    http.headers["authorization"] = f"Bearer {body['access_token']}"


@pytest.mark.parametrize("place", ["data", "params"])
def test_a_token_is_given_for_a_form_or_a_query(place: str) -> None:
    with served() as (zoom, http):
        asked = {"grant_type": "account_credentials", "account_id": zoom.api.accounts[0]}
        answer = http.request("POST", zoom.oauth_url, auth=("fake-client", "fake-secret"), **{place: asked})  # type: ignore[arg-type]
        assert answer.status_code == 200
        assert answer.json()["api_url"] == zoom.url
        assert http.post(zoom.oauth_url, data=asked, auth=("fake-client", "no")).status_code == 400


def test_lists_are_read_in_pages_over_one_connection() -> None:
    held = max(WORLD.truth.instances.values(), key=lambda i: sum(c.uuid == i.uuid for c in WORLD.truth.connections))
    wanted = {c.user_id for c in WORLD.truth.connections if c.uuid == held.uuid}
    with served(limits=False) as (zoom, http):
        authorize(zoom, http)
        url, query, seen = f"{zoom.api_url}/report/webinars/{encoded(held.uuid)}/participants", {"page_size": "2"}, []
        while True:
            body = http.get(url, params=query).json()
            seen += [row["user_id"] for row in body["participants"]]
            if not body["next_page_token"]:
                break
            query["next_page_token"] = body["next_page_token"]
        assert set(seen) == wanted
        assert len(zoom.api.calls) == 1 + -(-len(wanted) // 2)


def test_a_429_has_its_headers_on_the_wire() -> None:
    with served(heavy_per_day=0) as (zoom, http):
        authorize(zoom, http)
        uuid = next(iter(WORLD.truth.instances))
        answer = http.get(f"{zoom.api_url}/report/webinars/{encoded(uuid)}")
        assert answer.status_code == 429
        assert datetime.fromisoformat(answer.headers["retry-after"]) > datetime.now(UTC)


def test_the_worlds_time_and_the_callers_clock_can_be_moved() -> None:
    number = WORLD.histories[0].series.meeting_id
    with served(limits=False) as (zoom, http):
        authorize(zoom, http)
        zoom.now = START - timedelta(days=1)
        assert http.get(f"{zoom.api_url}/webinars/{number}").status_code == 404
        zoom.advance(timedelta(days=2))
        assert http.get(f"{zoom.api_url}/webinars/{number}").status_code == 401
        authorize(zoom, http)
        assert http.get(f"{zoom.api_url}/webinars/{number}").status_code == 200


def test_a_connection_can_break_without_an_answer() -> None:
    with served() as (zoom, http):
        authorize(zoom, http)
        zoom.api.intercept = lambda request, number: Response(0, {}) if number == 2 else None
        with pytest.raises(httpx2.RemoteProtocolError):
            http.get(f"{zoom.api_url}/users")
        assert http.get(f"{zoom.api_url}/users").status_code == 200


def test_the_delivery_log_says_what_became_of_each_try() -> None:
    with served(limits=False) as (zoom, http):
        authorize(zoom, http)
        ours = [e for e in WORLD.emissions if e.event["payload"]["account_id"] == zoom.api.accounts[0]]
        first = plan(ours, NO_FAULTS, 1)[0]
        zoom.now = first.at + timedelta(minutes=30)
        zoom.log_try(Try(first, 0, first.at, 503, "answered 503"))
        zoom.log_try(Try(first, 1, first.at + timedelta(minutes=5), 204, ""))
        url = f"{zoom.api_url}/marketplace/apps/fake-app/webhook_logs"
        rows = http.get(url).json()["webhook_logs"]
        assert [(r["status"], r["retry_num"], r["failed_reason_type"]) for r in rows] == [
            ("failed", 0, "answered 503"),
            ("success", 1, ""),
        ]
        assert [r["request_id"] for r in rows] == [first.request_id(0), first.request_id(1)]
        assert len(http.get(url, params={"retry_num": "1"}).json()["webhook_logs"]) == 1


def test_it_is_for_this_machine_only_and_gone_afterwards() -> None:
    with served() as (zoom, http):
        assert zoom.url.startswith("http://127.0.0.1:")
        assert http.get(f"{zoom.api_url}/users").status_code == 401
    with httpx2.Client(trust_env=False) as http, pytest.raises(httpx2.ConnectError):
        http.get(f"{zoom.api_url}/users")
