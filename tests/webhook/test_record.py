"""Zoom's own record on the pages: the audit of an instance, and how good links were that Zoom stated later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from joinlog.command import main
from schema.addresses import instance_url, occurrence_url
from schema.store.audit import Record
from schema.store.database import Database
from tests.conftest import settings_for
from tests.core import pmi_stories
from tests.inbox_to_tables import select, take
from tests.page_client import Site, open_site
from tests.stories import ACCOUNT, WEEK_MINUTES, Json, Story, at, ms
from webhook.pages.record import record_says

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
    page = site.visitor().get(occurrence_url(ACCOUNT, w.meeting_id, "1001")).text
    (said,) = re.findall(r'<section class="card" id="record".*?</section>', page, re.DOTALL)
    assert re.search(r"Final since <time[^>]*>09 Mar 2026 10:00<", said)
    assert "4 of 5 stays were missing from webhooks" in said
    assert "9 of 12 webhooks never came: <code>webinar.participant_left</code> 5" in said


def record(uuid: str = "one", **values: Any) -> Record:
    """An instance that ended and of which nothing was read."""
    empty: dict[str, Any] = dict.fromkeys(Record._fields) | {"uuid": uuid, "started_at": at(0), "ended_at": at(60)}
    return Record(**(empty | values))


def why_not(*records: Record, has_credentials: bool = True, is_whole: bool = True) -> str:
    """Why an occurrence is not final, without the times that stand in it."""
    says = record_says(records, has_credentials, is_whole)
    assert says is not None
    assert says.final_at is None
    return re.sub(r" <time.*?</time>", "", str(says.why_not))


def test_an_occurrence_says_in_a_sentence_why_it_is_not_final() -> None:
    due: dict[str, Any] = {"due_at": at(90)}
    read: dict[str, Any] = {"read_at": at(80)}
    assert why_not(record(ended_at=None)).startswith("Zoom has not said that it ended")
    assert "no credentials of its API are set" in why_not(record(), has_credentials=False)
    assert why_not(record(**due)) == "Zoom's own record has not been read yet. It is read next."
    assert "joinlog sync" in why_not(record())
    assert "two readings of it, far enough apart, say the same. It is read next." in why_not(record(**read, **due))
    assert "It is not read again by itself" in why_not(record(**read))
    failed = record(**due, error="the scope report:read is missing")
    assert why_not(failed) == (
        "The last try to read Zoom&#39;s own record failed: the scope report:read is missing. It is read next."
        .replace("&#39;", "'")
    )  # fmt: skip
    assert "report:read" not in why_not(failed, is_whole=False)
    assert "<b>" not in why_not(record(error="<b>"))
    assert why_not(record("one", final_at=at(99)), record("two", **due)).startswith("1 of its 2 instances: ")
    both = record_says([record("one", final_at=at(99)), record("two", final_at=at(95))], True, True)
    assert both is not None
    assert (both.final_at, both.why_not) == (at(99), None)
    assert record_says([], True, True) is None
