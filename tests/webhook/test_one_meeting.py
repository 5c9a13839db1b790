"""A link for one meeting: nothing that another meeting does changes anything that it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest

from schema.addresses import instance_url
from schema.settings import Settings
from tests.inbox_to_tables import one, take
from tests.page_client import Site, Visitor, open_site
from tests.stories import ACCOUNT, Json, Story
from webhook.pages import tail
from webhook.pages.live import RUNNING_MAX
from webhook.tokens import Role

OWN, OTHER = Story(), Story(meeting_id=99)


@pytest.fixture
def site(web_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The application on each database; it looks for commits at every request."""
    monkeypatch.setattr(tail, "LOOK_SECONDS", -1.0)
    with open_site(web_settings) as opened:
        yield opened


def told(story: Story, first: int, instances: int, *, is_over: bool = False) -> list[Json]:
    """A meeting with everything that pages count: instances, people, dead and unhandled events."""
    events = [story.created(-90, {"w1": 0, "w2": 10080})]
    for number in range(first, first + instances):
        uuid = f"run-{number}=="
        events += [story.started(number, uuid), story.person(number, "joined", str(number), number, uuid)]
        if is_over:  # what still runs looks different a second later
            events.append(story.ended(number + 1, number, uuid))
    named = {"id": story.meeting_id, "uuid": f"odd-{first}"}
    dead = story.event("participant_joined", 5000 + first, named)
    return [*events, dead, story.event("unheard_of", 6000 + first, named)]


def shown(visitor: Visitor, paths: list[str]) -> dict[str, tuple[int, str]]:
    """What each path answers, without what differs each time: form tokens, and where to go on in the live log."""
    found = {}
    for path in paths:
        answer = visitor.get(path)
        text = re.sub(r'(data-form-token|name="form_token" value)="[^"]+"', "", answer.text)
        text = re.sub(r'data-cursor="[^"]+"|"cursor": ?"[^"]+"', "", text)
        found[path] = (answer.status_code, text)
    return found


def paths_of(site: Site, own_event: int, other_event: int) -> list[str]:
    """Every page and export, for the own meeting and for the other one."""
    found = []
    for story, uuid, event_id in ((OWN, "run-1==", own_event), (OTHER, "run-100==", other_event)):
        part = instance_url(ACCOUNT, uuid).rpartition("/")[2]
        values = {"account": ACCOUNT, "meeting_id": str(story.meeting_id), "part": part, "event_id": str(event_id)}
        values |= {"form": "json", "filename": "joinlog.css", "occurrence": "w1"}
        for rule in site.app.url_map.iter_rules():
            if "GET" in (rule.methods or ()) and rule.endpoint not in ("webhook", "health.readyz"):
                path = re.sub(r"<(?:[^>]*:)?(\w+)>", partial(_value, values), rule.rule)
                found += [path, f"{path}?meeting={story.meeting_id}", f"{path}?occurrence={story.meeting_id}/w1"]
    return list(dict.fromkeys(found))


def _value(values: dict[str, str], name: re.Match[str]) -> str:
    return values[name[1]]


@pytest.mark.parametrize("role", Role)
def test_what_another_meeting_does_changes_nothing_that_is_shown(site: Site, role: Role) -> None:
    take(site.database, *told(OWN, 1, 2, is_over=True))
    own_event = one(site.database, "SELECT max(id) AS id FROM inbox_event")["id"]
    visitor = site.visitor(role, OWN.meeting_id)
    paths = paths_of(site, own_event, own_event + 50)
    before = shown(visitor, paths)
    assert {status for status, _ in before.values()} == {200, 403}
    assert len([path for path, (status, _) in before.items() if status == 200]) > 30
    take(site.database, *told(OTHER, 100, RUNNING_MAX + 1))
    after = shown(visitor, paths)
    assert [path for path in paths if after[path] != before[path]] == []


def test_the_inbox_counts_all_meetings_to_whoever_may_see_them_all(site: Site) -> None:
    take(site.database, *told(OWN, 1, 1), *told(OTHER, 100, 1))
    for meeting_id, told_count in ((None, True), (OWN.meeting_id, False)):
        text = re.sub(r"<[^>]+>", "", site.visitor(Role.VIEWER, meeting_id).get("/inbox").text)
        assert ("dead 2" in text) is told_count


def test_only_its_own_instances_are_counted_as_running(site: Site) -> None:
    take(site.database, *told(OWN, 1, RUNNING_MAX + 3), *told(OTHER, 100, 7))
    assert "and 3 more running" in site.visitor(Role.VIEWER, OWN.meeting_id).get("/").text


def test_where_to_go_on_in_the_live_log_does_not_count_lines(site: Site) -> None:
    visitor = site.visitor(Role.VIEWER, OWN.meeting_id)
    before = visitor.get("/live").get_json()["cursor"]
    take(site.database, *told(OTHER, 100, 3))
    after = visitor.get(f"/live?after={before}").get_json()
    assert (after["is_whole"], after["count"]) == (True, 0)
    epoch, place = before.split(".")
    assert after["cursor"].startswith(f"{epoch}.")
    assert int(after["cursor"].split(".")[1]) - int(place) > 1000  # microseconds, and not the lines of others
