"""A wrong secret cannot be missed: what is refused reaches the table, Health, Connect and /metrics, with its remedy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy.exc import OperationalError

from schema.alerts import Observed
from schema.settings import Settings, fingerprint
from schema.store.database import Database
from schema.store.health import note_validation
from schema.store.observations import observe_database
from tests.page_client import Site, Visitor, open_site
from tests.signed_requests import SECRET, Door, encode, read_payload_file, signed_headers
from tests.waiting import wait_until
from webhook.pages import health, tail
from webhook.parts import parts_of
from webhook.watch import SKEW_DELIVERIES, EndpointWatch
from workers.notify.conditions import REFUSED_QUIET

SET = frozenset({fingerprint(SECRET.encode())})
ROTATED = "the-secret-it-was-rotated-to"


@pytest.fixture
def site(web_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The application on each database; it looks for commits at every request."""
    monkeypatch.setattr(tail, "LOOK_SECONDS", -1.0)
    monkeypatch.setattr(health, "HEALTH_FRESH_SECONDS", -1.0)
    with open_site(web_settings) as opened:
        yield opened


def observed(database: Database) -> Observed:
    return observe_database(database, SET)


def test_a_wrong_secret_is_on_every_page_with_its_remedy(site: Site, web_settings: Settings) -> None:
    note_validation(site.database, fingerprint(b"the-one-before"), datetime.now(UTC))
    operator = site.visitor()
    connect = operator.get("/connect").text
    assert 'id="step-validated" data-done="no"' in connect
    assert "only with another one" in connect
    assert 'id="refused"' not in connect
    assert 'id="wrong-nothing"' in operator.get("/health").text

    door, event = Door(site.app.wsgi_app), read_payload_file("webinar.started")
    assert {door.post(event, secret=ROTATED).status for _ in range(3)} == {503}
    watch_of(site).close()
    refused = observed(site.database).unknown_secret
    assert refused is not None
    assert (refused.deliveries, refused.secrets) == (3, SET)
    for page in ("/connect", "/health"):
        wait_until(partial(says, operator, page, "3 deliveries were refused since"), page)
        text = operator.get(page).text
        assert "ZOOM_WEBHOOK_SECRET_TOKEN" in text
    assert "which is not set now" in operator.get("/health").text
    metrics = operator.get("/metrics").text
    assert 'joinlog_condition{condition="unknown_secret"} 1.0' in metrics
    assert 'joinlog_condition{condition="dead_letters"} 0.0' in metrics

    note_validation(site.database, fingerprint(SECRET.encode()), datetime.now(UTC))
    wait_until(lambda: 'id="step-validated" data-done="yes"' in operator.get("/connect").text, "the page says so")


def says(visitor: Visitor, page: str, text: str) -> bool:
    return text in visitor.get(page).text


def watch_of(site: Site) -> EndpointWatch:
    return parts_of(site.app).watch


def test_nothing_but_an_unknown_secret_is_noted(site: Site) -> None:
    door, body = Door(site.app.wsgi_app), encode(read_payload_file("webinar.started"))
    old = int(time.time()) - 86_400
    assert door.send(body, {"content-type": "application/json"}).status == 401
    assert door.send(body, signed_headers(body, secret=ROTATED, timestamp=old)).status == 401
    assert door.post(body).status == 204
    watch_of(site).close()
    assert observed(site.database).unknown_secret is None


def test_deliveries_so_old_that_they_are_refused_still_tell_that_the_clock_is_wrong(site: Site) -> None:
    door, body = Door(site.app.wsgi_app), encode(read_payload_file("webinar.started"))

    def send_old(secret: str) -> None:
        for _ in range(SKEW_DELIVERIES):
            headers = signed_headers(body, secret=secret, timestamp=int(time.time()) - 86_400)
            assert door.send(body, headers).status == 401

    def skew() -> float | None:
        return observed(site.database).skew_seconds

    send_old(ROTATED)
    watch_of(site).note()
    assert skew() is None
    send_old(SECRET)
    wait_until(lambda: skew() is not None, "the skew to be noted")  # by the watch's own thread
    assert abs((skew() or 0) - 86_400) < 60


def test_one_delivery_that_zoom_repeats_does_not_skew_the_clock(database: Database) -> None:
    watch = EndpointWatch(database, SET, REFUSED_QUIET)
    now = time.time()
    for ahead in (300.0, 1200.0, 0.4, 300.0, 3600.0):
        watch.note_skew(ahead, now)
    watch.note()
    watch.close()
    assert observed(database).skew_seconds == 0.4


def test_refused_deliveries_of_two_processes_add_up_and_begin_anew_after_a_quiet_time(database: Database) -> None:
    start = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def refuse(minutes: float, deliveries: int, secrets: frozenset[str] = SET) -> tuple[datetime, int]:
        watch = EndpointWatch(database, secrets, REFUSED_QUIET)
        for _ in range(deliveries):
            watch.note_unknown_secret((start + timedelta(minutes=minutes)).timestamp())
        watch.close()
        refused = observed(database).unknown_secret
        assert refused is not None
        return refused.first_at, refused.deliveries

    assert refuse(0, 2) == (start, 2)
    assert refuse(60, 3) == (start, 5)
    assert refuse(200, 1) == (start + timedelta(minutes=200), 1)
    assert refuse(201, 1, frozenset({"another"})) == (start + timedelta(minutes=201), 1)


def test_what_could_not_be_noted_is_noted_the_next_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[object] = []

    def refuse(*_: object) -> None:
        tries.append(None)
        raise OperationalError("INSERT", {}, Exception("away"))

    watch = EndpointWatch(database, SET, REFUSED_QUIET, note_seconds=3600)
    with monkeypatch.context() as patch:
        patch.setattr("webhook.watch.note_refused", refuse)
        watch.note_unknown_secret(time.time())
        wait_until(lambda: bool(tries), "the watch to try")
        watch.note_unknown_secret(time.time())
        with pytest.raises(OperationalError):
            watch.note()
    watch.close()
    refused = observed(database).unknown_secret
    assert refused is not None
    assert refused.deliveries == 2
