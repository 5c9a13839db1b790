"""Connect ticks itself, and a demo says what it is and what Joinlog is for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from joinlog.fakezoom import demo_world
from schema.settings import fingerprint
from schema.store.health import note_validation
from tests.conftest import settings_for
from tests.inbox_to_tables import take
from tests.page_client import TOKENS, Site, open_site
from tests.signed_requests import SECRET
from tests.stories import Story
from webhook.intake import REFUSED_AT, BodyFault
from webhook.pages import connect, tail
from webhook.pages.connect import CAUSES
from webhook.signature import Refusal
from webhook.tokens import Role, new_pass
from workers.zoom.endpoints import ENDPOINTS

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NO_REDIS = "redis://127.0.0.1:1/0"
STORY = Story()


@pytest.fixture
def site(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The application; it looks for what changed at every request."""
    monkeypatch.setattr(tail, "LOOK_SECONDS", -1.0)
    monkeypatch.setattr(connect, "FRESH_SECONDS", 0.0)
    with open_site(settings_for(sqlite_url, NO_REDIS)) as opened:
        REFUSED_AT.clear()
        yield opened


def done(site: Site, step: str) -> str:
    """Whether a step of the list is done."""
    found = re.search(rf'id="step-{step}" data-done="(\w+)"', site.visitor().get("/connect").text)
    assert found is not None
    return found[1]


def test_a_validation_with_an_older_secret_is_no_tick(site: Site) -> None:
    note_validation(site.database, fingerprint(b"the secret before this one"), NOW)
    assert done(site, "validated") == "no"
    note_validation(site.database, fingerprint(SECRET.encode()), NOW)
    assert done(site, "validated") == "yes"


def test_each_event_is_ticked_once_it_has_come(site: Site) -> None:
    assert done(site, "events") == "no"
    take(site.database, STORY.started(0))
    text = site.visitor().get("/connect").text
    assert re.search(r'class="needed seen" data-event="webinar.started"', text)
    assert re.search(r'class="needed" data-event="webinar.ended"', text)
    assert done(site, "events") == "yes"


def test_the_last_refusal_is_told_with_its_cause(site: Site) -> None:
    assert done(site, "refused") == "yes"
    site.stranger().client.post("/webhook", data=b"{}", headers={"Content-Type": "application/json"})
    assert done(site, "refused") == "no"
    text = site.visitor().get("/connect").text
    assert "missing_signature" in text
    assert CAUSES["missing_signature"].partition(":")[0] in text


def test_every_reason_to_refuse_has_a_cause_in_words() -> None:
    assert CAUSES.keys() == {*map(str, Refusal), *map(str, BodyFault), "method", "content_type"}


def test_https_and_the_api_are_ticked_by_the_settings(sqlite_url: str) -> None:
    more = {"public_url": "https://a.example", "zoom_account_id": "A", "zoom_client_id": "B", "zoom_client_secret": "C"}
    with open_site(settings_for(sqlite_url, NO_REDIS)) as site:
        assert (done(site, "https"), done(site, "api")) == ("no", "no")
        text = site.visitor().get("/connect").text
        assert all(one.scope in text for one in ENDPOINTS)
    with open_site(settings_for(sqlite_url, NO_REDIS, **more)) as site:
        token = TOKENS.sign_link(new_pass(Role.VIEWER, timedelta(hours=1), datetime.now(UTC)))
        text = site.stranger().get("/connect", Authorization=f"Bearer {token}").text
        assert re.findall(r'id="step-(https|api)" data-done="yes"', text) == ["https"]  # nobody has asked Zoom yet
        assert "https://a.example/webhook" in text


def test_what_has_not_changed_is_answered_with_nothing(site: Site) -> None:
    visitor = site.visitor()
    first = visitor.get("/connect", HX_Request="true")
    tag = first.headers["ETag"]
    assert visitor.get("/connect", HX_Request="true", If_None_Match=tag).status_code == 304
    site.stranger().client.post("/webhook", data=b"{}", headers={"Content-Type": "application/json"})
    assert visitor.get("/connect", HX_Request="true", If_None_Match=tag).status_code == 200


# --- the demo -----------------------------------------------------------------------------------------------------


def test_without_a_demo_no_page_speaks_of_one(site: Site) -> None:
    assert "demo" not in site.visitor().get("/").text
    assert site.visitor().get("/demo").status_code == 404


def test_every_page_of_a_demo_says_so_and_how_to_leave_it(sqlite_url: str) -> None:
    with open_site(settings_for(sqlite_url, NO_REDIS, joinlog_demo=True)) as site:
        for path in ("/", "/meetings", "/inbox", "/health", "/connect", "/demo", "/enter", "/no-such-page"):
            text = site.visitor().get(path).text
            assert "This is a demo:" in text, path
            assert "ZOOM_WEBHOOK_SECRET_TOKEN=… make run" in text, path


def test_the_demo_shows_where_start_time_alone_is_wrong(sqlite_url: str) -> None:
    now = datetime.now(UTC)
    world = demo_world(now, seed=7)
    with open_site(settings_for(sqlite_url, NO_REDIS, joinlog_demo=True)) as site:
        take(site.database, *(one.event for one in world.emissions if one.at <= now + timedelta(minutes=2)))
        text = site.visitor().get("/demo").text
    rows = {uuid: bool(marked) for marked, uuid in re.findall(r'<tr( class="differs")? data-uuid="([^"]+)"', text)}
    assert len(rows) == 7
    wrong = [world.truth.instances[uuid].why for uuid, is_marked in rows.items() if is_marked]
    assert sorted(wrong) == ["held", "rehearsal", "unscheduled"]  # `held`: the third week, a week late
    assert "registered for" in text
    assert "No webhook told of this week" not in text
