"""Zoom's own record on the pages: the audit of an instance, and how good links were that Zoom stated later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from joinlog.command import main
from schema.store.database import Database
from tests.conftest import settings_for
from tests.core import pmi_stories
from tests.inbox_to_tables import select, take
from tests.page_client import Site, open_site
from tests.stories import ACCOUNT, WEEK_MINUTES, Json, Story, ms
from webhook.pages.formatting import instance_url

NO_REDIS = "redis://127.0.0.1:1/0"
w = Story()
FIRST, SECOND = 60.0, 60.0 + WEEK_MINUTES


@pytest.fixture
def site(sqlite_database: Database) -> Iterator[Site]:
    with open_site(settings_for(f"sqlite:///{sqlite_database.url.database}", NO_REDIS)) as opened:
        yield opened


def event(name: str, minute: float, **told: object) -> Json:
    payload = {"account_id": w.account, "object": {"id": w.meeting_id, "kind": "webinar", **told}}
    return {"event": name, "event_ts": ms(minute), "payload": payload}


def stated(minute: float, **occurrences: str) -> Json:
    """Zoom's list of past instances."""
    names = {"one": "run-1==", "two": "run-2=="}
    instances = [{"uuid": names[name], "occurrence_id": occurrence} for name, occurrence in occurrences.items()]
    return event("zoom.instances_read", minute, instances=instances)


RAN = [
    w.created(0, {"1001": FIRST, "1002": SECOND}),
    w.started(FIRST),
    w.person(FIRST + 1, "joined", "1", FIRST),
    w.ended(FIRST + 60, FIRST),
    w.started(SECOND, "run-2=="),
    w.ended(SECOND + 60, SECOND, "run-2=="),
]


def test_what_was_said_before_zoom_stated_it_is_counted_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    take(site.database, *RAN)
    take(site.database, stated(SECOND + 80, one="1001"))
    take(site.database, stated(SECOND + 90, one="1001", two="1001"))
    said = select(
        site.database,
        "SELECT uuid, from_state, from_occurrence_id, stated_occurrence_id FROM link_history "
        "WHERE stated_occurrence_id IS NOT NULL ORDER BY uuid",
    )
    assert [tuple(row.values()) for row in said] == [
        ("run-1==", "inferred", "1001", "1001"),
        ("run-2==", "inferred", "1002", "1001"),
    ]
    words = "of 2 links later stated by Zoom, 1 was wrong; with 95 % confidence fewer than 97.5% are"
    visitor = site.visitor()
    assert words in visitor.get("/health").text
    metrics = visitor.get("/metrics").text
    assert 'joinlog_links_stated{state="inferred"} 2.0' in metrics
    assert 'joinlog_links_stated_wrong{state="inferred"} 1.0' in metrics
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{site.database.url.database}")
    assert CliRunner().invoke(main, ["links", "--accuracy"]).output == f"inferred: {words}.\n"


def test_a_page_says_under_which_number_it_ran_and_gives_it_to_another_meeting(site: Site) -> None:
    take(site.database, pmi_stories.scheduled(pmi_stories.SINGLE), *pmi_stories.ran("X", FIRST + 300, FIRST + 330))
    visitor, url = site.visitor(), instance_url(ACCOUNT, "X")
    choice = f"{pmi_stories.SINGLE.meeting_id}:single"
    assert visitor.post(f"{url}/link", {"occurrence": choice, "because": "it began late"}).status_code == 303
    take(site.database)
    assert f"personal meeting id {pmi_stories.PMI}" in visitor.get(url).text
    assert select(site.database, "SELECT meeting_id, occurrence_id FROM instance") == [
        {"meeting_id": pmi_stories.SINGLE.meeting_id, "occurrence_id": "single"}
    ]


def test_an_operators_word_is_counted_by_itself(site: Site) -> None:
    words = {"uuid": "run-1==", "occurrence_id": "1002", "by": "mara", "because": "she said so"}
    take(site.database, *RAN, event("joinlog.link_set", FIRST + 70, **words))
    take(site.database, stated(SECOND + 80, one="1001"))
    assert "operator" in site.visitor().get("/health").text


def test_a_page_says_what_webhooks_missed_and_since_when_that_is_final(site: Site) -> None:
    audit = {
        "stays_both": 1, "stays_webhook_only": 0, "stays_report_only": 4, "webhooks_expected": 12,
        "webhooks_lost": {"webinar.participant_joined": 4, "webinar.participant_left": 5},
    }  # fmt: skip
    take(site.database, *RAN)
    told = {"uuid": "run-1==", "audit": audit, "final_at": "2026-03-09T10:00:00+00:00"}
    take(site.database, event("joinlog.instance_audited", SECOND + 99, **told))
    text = site.visitor().get(instance_url(ACCOUNT, "run-1==")).text
    assert "own record" not in site.visitor().get(instance_url(ACCOUNT, "run-2==")).text
    assert "9 of 12 webhooks never came" in text
    assert "webinar.participant_left 5" in text
    assert "final since" in text
