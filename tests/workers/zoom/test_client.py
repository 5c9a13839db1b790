"""The client of Zoom's API against the fake: tokens, pages, limits, errors, uuids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from joinlog.fakezoom import MIXES, ApiOptions, ApiServer, Request, Response, World, generate
from schema.settings import ZoomCredentials
from workers.zoom.client import DailyLimit, NoToken, NotThere, Refused, ZoomClient, ZoomError, open_http
from workers.zoom.endpoints import HISTORY, MEETING, PARTICIPANTS, PAST_INSTANCES, REGISTRANTS, Tier
from workers.zoom.together import each

START = datetime(2026, 9, 1, tzinfo=UTC)
WORLD = generate(3, 12, MIXES["usual"], start=START)


class NoPace:
    def wait_seconds(self, account_id: str, tier: Tier) -> float:
        return 0.0


@contextmanager
def asking(
    world: World = WORLD, secret: str | None = None, **options: Any
) -> Iterator[tuple[ZoomClient, ApiServer, list[float]]]:
    """A client of a fake Zoom; what it would have slept is noted."""
    pauses: list[float] = []
    with ApiServer(world, 1, ApiOptions(**{"limits": False, **options})) as zoom, open_http() as http:
        api = zoom.api
        credentials = ZoomCredentials(api.accounts[0], api.options.client_id, secret or api.options.client_secret)
        client = ZoomClient(
            credentials, zoom.api_url, zoom.oauth_url, NoPace(), http, pauses.append,
            lambda: datetime.now(UTC).timestamp() + zoom.seconds_ahead, calls=Counter(),
        )  # fmt: skip
        yield client, zoom, pauses


def a_meeting(zoom: ApiServer, kind: str = "webinar") -> Any:
    ours = zoom.api.accounts[0]
    return next(s for s in WORLD.truth.series if s.kind == kind and s.account_id == ours)


def tokens(zoom: ApiServer) -> int:
    return zoom.api.calls_by_tier()["token"]


def nth(number: int, response: Response) -> Callable[[Request, int], Response | None]:
    return lambda _request, n: response if n == number else None


def test_one_token_serves_many_calls() -> None:
    with asking() as (client, zoom, _):
        for _ in range(5):
            client.read(MEETING["webinar"], str(a_meeting(zoom).meeting_id))
        assert tokens(zoom) == 1


def test_a_dead_token_is_dropped_and_fetched_once_more() -> None:
    with asking() as (client, zoom, _):
        number = str(a_meeting(zoom).meeting_id)
        client.read(MEETING["webinar"], number)
        zoom.api.end_tokens()
        assert client.read(MEETING["webinar"], number)["id"] == int(number)
        assert tokens(zoom) == 2


def test_threads_that_meet_a_dead_token_share_the_next_one() -> None:
    with asking(facts={"token_ends_previous": True}) as (client, zoom, _):
        number = str(a_meeting(zoom).meeting_id)
        client.read(MEETING["webinar"], number)
        zoom.api.end_tokens()
        answers: list[Any] = []
        each(range(40), lambda _: answers.append(client.read(MEETING["webinar"], number)["id"]), 8)
        assert answers == [int(number)] * 40
        assert tokens(zoom) == 2


def test_a_token_that_another_process_ended_is_no_refusal() -> None:
    with asking(facts={"token_ends_previous": True}) as (client, zoom, _):
        number = str(a_meeting(zoom).meeting_id)
        dead = Response(401, {"code": 124, "message": "Invalid access token."})
        zoom.api.intercept = lambda request, n: dead if n in (2, 4) else None  # twice in a row
        assert client.read(MEETING["webinar"], number)["id"] == int(number)


def test_a_token_is_not_used_after_its_hour() -> None:
    with asking() as (client, zoom, _):
        client.read(MEETING["webinar"], str(a_meeting(zoom).meeting_id))
        zoom.advance(timedelta(hours=1))
        client.read(MEETING["webinar"], str(a_meeting(zoom).meeting_id))
        assert [call.status for call in zoom.api.calls] == [200] * 4


@pytest.mark.parametrize("status", [400, 401])
def test_wrong_credentials_are_one_clear_line_and_not_tried_again(status: int) -> None:
    with asking(secret="wrong", facts={"wrong_secret_status": status}) as (client, zoom, pauses):
        with pytest.raises(NoToken, match="Invalid client_id or client_secret"):
            client.read(MEETING["webinar"], "1")
        assert (len(zoom.api.calls), pauses) == (1, [])


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("code", [4711, 4700])
def test_a_missing_scope_is_named(status: int, code: int) -> None:
    facts = {"scope_error_status": status, "scope_error_code": code}
    with asking(scopes=frozenset({"user:read:user:admin"}), facts=facts) as (client, zoom, _):
        with pytest.raises(Refused, match="webinar:read:webinar:admin"):
            client.read(MEETING["webinar"], str(a_meeting(zoom).meeting_id))
        assert tokens(zoom) == 1


def test_a_plan_without_webinars_is_refused() -> None:
    with asking(has_webinar_plan=False) as (client, zoom, _), pytest.raises(Refused, match="No permission"):
        client.read(MEETING["webinar"], str(a_meeting(zoom).meeting_id))


def test_a_meeting_asked_as_a_webinar_is_not_there() -> None:
    with asking() as (client, zoom, _):
        for number in ("1", str(a_meeting(zoom, "meeting").meeting_id)):
            with pytest.raises(NotThere):
                client.read(MEETING["webinar"], number)


def history_of(client: ZoomClient, zoom: ApiServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    day = START.date() - timedelta(days=30)
    while day < zoom.now.date():
        until = day + timedelta(days=29)
        found += client.read(HISTORY, meeting_type="all", **{"from": str(day), "to": str(until)})["history_meetings"]
        day = until + timedelta(days=1)
    return found


def test_every_page_of_a_list_is_read_and_every_uuid_is_found() -> None:
    with asking(facts={"report_delay_minutes_max": 0, "report_months": 12}) as (client, zoom, _):
        ours = [i for i in WORLD.truth.instances.values() if i.account_id == client.account_id]
        kinds = {s.meeting_id: s.kind for s in WORLD.truth.series}
        assert {row["meeting_uuid"] for row in history_of(client, zoom)} == {i.uuid for i in ours}
        for instance in ours:
            report = client.read(PARTICIPANTS[kinds[instance.meeting_id]], instance.uuid)
            assert "next_page_token" not in report or not report["next_page_token"]
        odd = [i.uuid for i in ours if i.uuid.startswith("/") or "//" in i.uuid]
        assert odd, "no uuid of this world has to be encoded twice"


def long_list() -> Callable[[Request, int], Response | None]:
    """Registrants in three pages; the token of the second expires the first time."""
    asked: list[str] = []

    def answer(request: Request, _: int) -> Response | None:
        if not request.path.endswith("/registrants"):
            return None
        token = request.query.get("next_page_token", "")
        asked.append(token)
        if token == "two" and asked.count("two") == 1:
            message = "The next page token is either invalid or has expired."
            return Response(400, {"code": 300, "message": message})
        following = {"": "two", "two": "three", "three": ""}[token]
        return Response(200, {"registrants": [{"id": token or "one"}], "next_page_token": following})

    return answer


def test_an_expired_page_token_begins_the_list_again() -> None:
    with asking() as (client, zoom, _):
        zoom.api.intercept = long_list()
        rows = client.read(REGISTRANTS["webinar"], "1")["registrants"]
        assert [row["id"] for row in rows] == ["one", "two", "three"]


def test_a_list_whose_page_tokens_always_expire_is_no_empty_list() -> None:
    def expired(request: Request, _: int) -> Response | None:
        if request.query.get("next_page_token"):
            return Response(300, {"code": 300, "message": "The next page token is either invalid or has expired."})
        rows = {"registrants": [{"id": "one"}], "next_page_token": "two"}
        return Response(200, rows) if request.path.endswith("/registrants") else None

    with asking() as (client, zoom, _):
        zoom.api.intercept = expired
        with pytest.raises(ZoomError, match="expired 3 times"):
            client.read(REGISTRANTS["webinar"], "1")


@pytest.mark.parametrize("status", [0, 500, 503])
def test_what_may_pass_is_tried_again_with_growing_pauses(status: int) -> None:
    with asking() as (client, zoom, pauses):
        zoom.api.intercept = lambda r, n: Response(status, {}) if r.method == "GET" and n < 5 else None
        client.read(PAST_INSTANCES["webinar"], str(a_meeting(zoom).meeting_id))
        assert [pause for pause in pauses if pause] == [1.0, 2.0, 4.0]


def test_what_does_not_pass_ends_with_an_error() -> None:
    with asking(server_errors=1.0) as (client, zoom, _), pytest.raises(ZoomError, match="HTTP 500, 6 times"):
        client.read(PAST_INSTANCES["webinar"], str(a_meeting(zoom).meeting_id))


@pytest.mark.parametrize("headers", [{}, {"X-RateLimit-Reset": "4"}, {"Retry-After": "3"}])
def test_too_many_a_second_is_tried_again(headers: dict[str, str]) -> None:
    with asking() as (client, zoom, pauses):
        if "X-RateLimit-Reset" in headers:
            headers = {"X-RateLimit-Reset": str(int(datetime.now(UTC).timestamp()) + 3)}
        zoom.api.intercept = nth(2, Response(429, {"code": 429}, headers))
        client.read(PAST_INSTANCES["webinar"], str(a_meeting(zoom).meeting_id))
        assert 0 < sum(pauses) <= 3


@pytest.mark.parametrize("headers", [{"Retry-After": "2999-01-20T00:00:00Z"}, {"X-RateLimit-Type": "Daily-limit"}])
def test_too_many_a_day_is_an_end_that_names_the_time(headers: dict[str, str]) -> None:
    with asking() as (client, zoom, pauses):
        zoom.api.intercept = nth(2, Response(429, {"code": 429}, headers))
        with pytest.raises(DailyLimit, match="00:00 UTC"):
            client.read(PAST_INSTANCES["webinar"], str(a_meeting(zoom).meeting_id))
        assert not any(pauses)
