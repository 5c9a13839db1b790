"""What operators do on the pages: hand a meeting out, decide one link after the other, replay what is dead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from schema.addresses import instance_url, meeting_url, occurrence_url, uuid_part
from schema.store.page_links import read_links_made, read_revoked_links
from tests.conftest import settings_for
from tests.inbox_to_tables import drain, one, select, take
from tests.page_client import TOKENS, Site, Visitor, open_site
from tests.stories import ACCOUNT, Story
from webhook import access
from webhook.tokens import Role

STORY, OTHER = Story(), Story(meeting_id=99)
MEETING, ELSEWHERE = meeting_url(ACCOUNT, STORY.meeting_id), meeting_url(ACCOUNT, OTHER.meeting_id)
GRANT = {"role": "viewer", "expires": "1d"}


@pytest.fixture(autouse=True)
def _notice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "REVOCATION_SECONDS_MAX", -1.0)


@pytest.fixture
def site(sqlite_url: str) -> Iterator[Site]:
    """The application, with three instances nobody can place, in two meetings, and three dead events."""
    with open_site(settings_for(sqlite_url, "redis://127.0.0.1:1/0")) as opened:
        for story in (STORY, OTHER):
            take(
                opened.database,
                story.created(-5000, {"w1": 3000, "w2": 3000 + 7 * 1440}),
                story.started(0, f"{story.meeting_id}-a"),
            )
        take(
            opened.database,
            STORY.started(1000, "b"),
            *(STORY.event("participant_joined", n, {"id": STORY.meeting_id, "uuid": f"odd-{n}"}) for n in range(3)),
        )
        yield opened


# --- page links ---------------------------------------------------------------------------------------------------


def date_page(occurrence_id: str) -> str:
    """The page of a date."""
    return occurrence_url(ACCOUNT, STORY.meeting_id, occurrence_id)


def made(visitor: Visitor, page: str = MEETING, **more: str) -> str:
    """The page link that the form of a page makes."""
    answer = visitor.post(f"{page}/access", GRANT | more)
    assert answer.status_code == 200, answer.text
    found = re.search(r'id="page-link"[^>]*>([^<]+)<', answer.text)
    assert found is not None
    return found[1]


def test_an_operator_hands_a_meeting_out_and_takes_it_back(site: Site) -> None:
    operator = site.visitor(hours=100)
    assert 'value="operator"' in operator.get(MEETING).text
    link = made(operator)
    granted = TOKENS.read_link(link.rpartition("#")[2], datetime.now(UTC))
    assert (granted.role, granted.meeting_id) == (Role.VIEWER, STORY.meeting_id)
    assert timedelta(hours=23) < granted.expires_at - datetime.now(UTC) <= timedelta(days=1)
    guest = site.stranger()
    assert guest.enter(link).status_code == 303
    assert (guest.get(MEETING).status_code, guest.get(ELSEWHERE).status_code) == (200, 403)
    assert operator.post("/access/revoke", {"link": link}).status_code == 200
    with site.database.read() as connection:
        assert list(read_revoked_links(connection)) == [granted.link_id]
    assert guest.get(MEETING).status_code == 401


def test_nobody_gives_more_than_they_have(site: Site) -> None:
    link = made(site.visitor(hours=2), expires="30d", role="operator")
    assert TOKENS.read_link(link.rpartition("#")[2], datetime.now(UTC)).expires_at - datetime.now(UTC) <= timedelta(
        hours=2
    )
    of_one = site.visitor(Role.OPERATOR, STORY.meeting_id)
    assert of_one.post(f"{ELSEWHERE}/access", GRANT).status_code == 403
    foreign = TOKENS.sign_link(site.visitor(Role.VIEWER, OTHER.meeting_id).granted or pytest.fail("no pass"))
    assert of_one.post("/access/revoke", {"link": foreign}).status_code == 403
    viewer = site.visitor(Role.VIEWER)
    assert "handout" not in viewer.get(MEETING).text
    assert viewer.post(f"{MEETING}/access", GRANT).status_code == 403
    assert viewer.post("/access/revoke", {"link": link}).status_code == 403


@pytest.mark.parametrize("form", [{"role": "owner"}, {"expires": "soon"}, {"expires": "999d"}, {"role": ""}])
def test_what_makes_no_sense_makes_no_link(site: Site, form: dict[str, str]) -> None:
    assert site.visitor().post(f"{MEETING}/access", GRANT | form).status_code == 400


def test_the_list_knows_what_was_made_and_nothing_that_opens_a_page(site: Site) -> None:
    operator = site.visitor(hours=100)
    link = made(operator)
    token = link.rpartition("#")[2]
    with site.database.read() as connection:
        (row,) = read_links_made(connection)
    granted = TOKENS.read_link(token, datetime.now(UTC))
    assert operator.granted is not None
    assert (row.link_id, row.role, row.expires_at) == granted[:3]
    assert (row.meeting_id, row.occurrence_id) == (STORY.meeting_id, None)
    assert row.made_by == f"page link {operator.granted.link_id}"
    for page in (MEETING, date_page("w1")):
        text = operator.get(page).text
        assert f'data-link-id="{row.link_id}"' in text
        assert token not in text
        assert token.rpartition(".")[2] not in text
    signature = token.rpartition(".")[2]
    held = select(site.database, "SELECT * FROM page_link")
    assert all(signature not in str(value) for value in held[0].values())
    assert row.link_id not in operator.get(ELSEWHERE).text
    assert row.link_id not in site.visitor(Role.VIEWER).get(MEETING).text


def test_a_link_of_the_list_is_copied_again_and_taken_back(site: Site) -> None:
    operator = site.visitor(hours=100)
    link = made(operator)
    link_id = TOKENS.read_link(link.rpartition("#")[2], datetime.now(UTC)).link_id
    again = operator.post("/access/show", {"link_id": link_id, "back": MEETING})
    assert re.findall(r'id="page-link"[^>]*>([^<]+)<', again.text) == [link]
    assert site.visitor(Role.VIEWER).post("/access/show", {"link_id": link_id}).status_code == 403
    assert site.visitor(Role.OPERATOR, OTHER.meeting_id).post("/access/show", {"link_id": link_id}).status_code == 403
    assert site.visitor(hours=1).post("/access/show", {"link_id": link_id}).status_code == 403  # it lasts longer
    assert operator.post("/access/show", {"link_id": "unknown"}).status_code == 404
    foreign = site.visitor(Role.OPERATOR, OTHER.meeting_id)
    assert foreign.post("/access/revoke", {"link_id": link_id}).status_code == 403
    taken = operator.post("/access/revoke", {"link_id": link_id, "back": MEETING})
    assert f'href="{MEETING}"' in taken.text
    assert site.stranger().enter(link).status_code == 401
    assert f'data-link-id="{link_id}"' not in operator.get(MEETING).text
    assert operator.post("/access/show", {"link_id": link_id}).status_code == 409


def test_the_way_back_leads_nowhere_else(site: Site) -> None:
    operator = site.visitor()
    link = made(operator)
    for back in ("https://evil.example/meeting/", "//evil.example", "javascript:alert(1)", ""):
        assert "evil" not in operator.post("/access/revoke", {"link": link, "back": back}).text
        assert "javascript:" not in operator.post("/access/revoke", {"link": link, "back": back}).text


def test_a_link_to_one_date_opens_that_and_nothing_else(site: Site) -> None:
    operator = site.visitor()
    page = date_page("w1")
    assert 'value="operator"' in operator.get(page).text
    link = made(operator, page)
    guest = site.stranger()
    assert guest.enter(link).status_code == 303
    assert guest.get("/").headers["Location"] == page
    seen = guest.get(page)
    assert (seen.status_code, guest.get(f"{page}/people.csv").status_code) == (200, 200)
    leads_to = {url for url in re.findall(r'href="(/[^"?#]*)', seen.text) if not url.startswith("/static/")}
    assert leads_to <= {"/", page, f"{page}/people.csv", f"{page}/people.xlsx", f"{page}/people.json"}
    for path in (date_page("w2"), f"{date_page('w2')}/people.csv", MEETING, f"{MEETING}/series", "/lines", "/live",
                 "/meetings", "/inbox", "/health", "/metrics", instance_url(ACCOUNT, "b")):  # fmt: skip
        assert guest.get(path).status_code == 403, path
    assert operator.post(f"{ELSEWHERE}/occurrence/w9/access", GRANT).status_code == 404


def test_what_is_no_link_cannot_be_taken_back(site: Site) -> None:
    for link in ("", "x", "https://evil.example/enter#a.b"):
        assert site.visitor().post("/access/revoke", {"link": link}).status_code == 400


# --- one decision after the other ---------------------------------------------------------------------------------


def test_after_a_decision_one_is_back_in_the_queue_of_those_that_remain(site: Site) -> None:
    operator = site.visitor()
    decided = operator.post(f"{instance_url(ACCOUNT, 'b')}/link", {"occurrence": "w1", "because": "x"})
    assert decided.headers["Location"] == f"{MEETING}?decided={uuid_part('b')}#review"
    drain(site.database)
    text = operator.get(decided.headers["Location"]).text
    assert f'id="decide-{uuid_part(f"{STORY.meeting_id}-a")}"' in text
    assert f'id="decide-{uuid_part("b")}"' not in text
    assert f'href="{ELSEWHERE}#review"' in text
    limited = site.visitor(Role.OPERATOR, STORY.meeting_id)
    assert ELSEWHERE not in limited.get(f"{MEETING}?decided={uuid_part('b')}").text


# --- dead events ----------------------------------------------------------------------------------------------------


def states(site: Site) -> list[str]:
    return [
        row["state"]
        for row in select(site.database, "SELECT state FROM inbox_event WHERE uuid LIKE 'odd-%' ORDER BY uuid")
    ]


def test_several_dead_events_are_replayed_at_once_after_a_look_at_what_would_change(site: Site) -> None:
    mended = select(
        site.database, "SELECT account_id, id FROM inbox_event WHERE uuid IN ('odd-0', 'odd-1') ORDER BY uuid"
    )
    ann = {"user_id": "7", "user_name": "Ann", "join_time": "2026-03-02T09:00:00Z"}
    body = json.dumps(
        STORY.event("participant_joined", 5, {"id": STORY.meeting_id, "uuid": "odd-0", "participant": ann})
    )
    with site.database.write() as connection:
        connection.exec_driver_sql("UPDATE inbox_event SET body = ? WHERE uuid = 'odd-0'", (body,))
    operator = site.visitor()
    page = operator.get("/inbox?state=dead").text
    values = [f"{row['account_id']}/{row['id']}" for row in mended]
    assert all(f'name="event" form="replay" value="{value}"' in page for value in values)
    shown = operator.post("/inbox/replay", {"event": values}).text
    assert "Replay 2 events?" in shown
    assert states(site) == ["dead", "dead", "dead"]  # nothing has happened yet
    assert re.search(r"1 × connection", shown)
    assert "nothing: payload.object has no participant" in shown
    done = operator.post("/inbox/replay", {"event": values, "confirm": "yes"})
    assert done.headers["Location"] == "/inbox?replayed=2"
    assert states(site) == ["pending", "pending", "dead"]


def test_all_dead_events_are_looked_at_before_they_are_replayed(site: Site) -> None:
    operator = site.visitor()
    assert "Replay 3 events?" in operator.post("/inbox/replay-dead").text
    assert states(site) == ["dead"] * 3
    assert operator.post("/inbox/replay-dead", {"confirm": "yes"}).headers["Location"] == "/inbox?replayed=3"


def test_only_operators_replay_and_only_of_their_meeting(site: Site) -> None:
    row = one(site.database, "SELECT account_id, id FROM inbox_event WHERE uuid = 'odd-0'")
    chosen = {"event": f"{row['account_id']}/{row['id']}", "confirm": "yes"}
    assert site.visitor(Role.VIEWER).post("/inbox/replay", chosen).status_code == 403
    assert 'name="event"' not in site.visitor(Role.VIEWER).get("/inbox?state=dead").text
    assert site.visitor(Role.OPERATOR, OTHER.meeting_id).post("/inbox/replay", chosen).status_code == 403
    assert site.visitor().post("/inbox/replay", {"event": ["x", "a/b", ""]}).status_code == 400
    assert states(site) == ["dead"] * 3
    assert site.visitor(Role.OPERATOR, STORY.meeting_id).post("/inbox/replay", chosen).status_code == 303


# --- facets -------------------------------------------------------------------------------------------------------


def facet(text: str, name: str) -> dict[str, int]:
    """The values of a filter and their counts."""
    found = re.findall(rf'href="/\?{name}=([^"]+)" data-filter[^>]*><bdi>.*?</bdi> <b>(\d+)</b>', text)
    return {value: int(count) for value, count in found}


def test_every_filter_shows_its_values_with_counts(site: Site) -> None:
    whole = site.visitor().get("/").text
    assert facet(whole, "kind")["started"] == 3
    assert facet(whole, "meeting").keys() == {str(STORY.meeting_id), "99"}
    narrowed = site.visitor().get("/?meeting=99").text
    assert facet(narrowed, "kind")["started"] == 1  # counted among the lines that fit the other filters
    assert facet(narrowed, "meeting").keys() == {str(STORY.meeting_id), "99"}  # the others can still be chosen
    limited = site.visitor(Role.VIEWER, STORY.meeting_id).get("/").text
    assert facet(limited, "meeting").keys() == {str(STORY.meeting_id)}


def test_the_inbox_counts_event_types(site: Site) -> None:
    text = site.visitor().get("/inbox").text
    assert dict(re.findall(r'href="/inbox\?type=([^"]+)">[^<]+<b>(\d+)</b>', text))["webinar.started"] == "3"
