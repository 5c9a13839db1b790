"""The change feed over HTTP: who may follow it, what they get, and waiting for what is new."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from schema.settings import Settings
from schema.store.feed import read_head
from schema.tables import FED
from tests.doors import ServedDoor
from tests.inbox_to_tables import drain, keep_events, read_table, take
from tests.page_client import TOKENS, Site, open_site
from tests.signed_requests import Reply
from tests.stories import WEEK_MINUTES, Story
from webhook.tokens import Role, new_pass
from workers.retention import remove_changes

w, other = Story(), Story(meeting_id=84_000_000_001)
WEEKS = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES}
STORY = [
    w.created(0, WEEKS), w.registration(1, "created", "ann", status="approved", email="ann@example.com"), w.started(60),
    w.person(61, "joined", "1", 60, registrant_id="ann"), w.person(70, "left", "1", 60),
]  # fmt: skip
OTHERS = [other.created(0, WEEKS), other.started(60, "run-2=="), other.person(61, "joined", "1", 60, "run-2==")]


@pytest.fixture
def site(web_settings: Settings) -> Iterator[Site]:
    with open_site(web_settings) as opened:
        yield opened


def lines(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.data.splitlines()]


def test_a_reader_gets_each_change_with_the_row_as_it_stands_now(site: Site) -> None:
    take(site.database, *STORY)
    answer = site.visitor(Role.READER).client.get("/feed?after=0")
    assert answer.content_type == "application/x-ndjson; charset=utf-8"
    told = lines(answer)
    assert [change["seq"] for change in told] == list(range(1, len(told) + 1))
    assert answer.headers["Joinlog-Next"] == str(len(told))
    (registrant,) = [change for change in told if change["table"] == "registrant"]
    (row,) = read_table(site.database, "registrant")
    assert registrant["key"] == {name: row[name] for name in ("account_id", "meeting_id", "registrant_id")}
    assert registrant["row"]["email"] == "ann@example.com"
    assert registrant["row"].keys() == row.keys()


def test_pages_of_any_size_are_the_same_feed(site: Site) -> None:
    take(site.database, *STORY)
    client = site.visitor(Role.READER).client
    whole, after, pages = lines(client.get("/feed")), 0, []
    while found := lines(answer := client.get(f"/feed?after={after}&limit=3")):
        pages += found
        after = int(answer.headers["Joinlog-Next"])
    assert pages == whole


def test_who_may_follow_it(site: Site) -> None:
    for role, status in ((Role.READER, 200), (Role.OPERATOR, 200), (Role.VIEWER, 403)):
        assert site.visitor(role).client.get("/feed").status_code == status
    assert site.stranger().client.get("/feed").status_code == 401


def test_only_the_tables_that_are_asked_for(site: Site) -> None:
    take(site.database, *STORY)
    client = site.visitor(Role.READER).client
    answer = client.get("/feed?tables=instance,meeting")
    assert {change["table"] for change in lines(answer)} == {"instance", "meeting"}
    with site.database.read() as connection:
        assert answer.headers["Joinlog-Next"] == str(read_head(connection))
    assert client.get("/feed?tables=inbox_event").status_code == 400


def test_a_link_to_one_meeting_tells_of_no_other(site: Site) -> None:
    take(site.database, *STORY, *OTHERS)
    told = lines(site.visitor(Role.READER, meeting_id=w.meeting_id).client.get("/feed"))
    assert {change["table"] for change in told} >= {"meeting", "participant", "instance", "connection", "join_log"}
    assert str(other.meeting_id) not in json.dumps(told)
    assert "run-2==" not in json.dumps(told)


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=10001", "wait=31", "after=99999999999999999999"])
def test_nonsense_is_refused(site: Site, query: str) -> None:
    assert site.visitor(Role.READER).client.get(f"/feed?{query}").status_code == 400


def test_a_reader_from_before_the_retention_is_told_where_to_go_on(site: Site) -> None:
    take(site.database, *STORY)
    remove_changes(site.database, 30, datetime.now(UTC) + timedelta(days=31))
    answer = site.visitor(Role.READER).client.get("/feed?after=3")
    assert answer.status_code == 410
    with site.database.read() as connection:
        assert answer.get_json()["go_on_from"] == read_head(connection)


# --- waiting, through the server --------------------------------------------------------------------------------


def ask(door: ServedDoor, meeting_id: int | None = None, **query: Any) -> Reply:
    granted = new_pass(Role.READER, timedelta(hours=1), datetime.now(UTC), meeting_id)
    headers = {"authorization": f"Bearer {TOKENS.sign_link(granted)}"}
    return door.send(b"", headers, method="GET", path=f"/feed?{urlencode(query)}")


class Asking(threading.Thread):
    """A reader who waits for an answer, and asks again after an empty one, as readers do."""

    def __init__(self, door: ServedDoor, meeting_id: int | None = None, **query: Any) -> None:
        super().__init__()
        self._ask = door, meeting_id, query
        self.reply: Reply | None = None
        self.start()

    def run(self) -> None:
        door, meeting_id, query = self._ask
        for _ in range(3):
            self.reply = ask(door, meeting_id, wait=9, **query)
            if self.reply.body or self.reply.status != 200:
                return
            query["after"] = self.reply.headers["joinlog-next"]

    def answer(self) -> list[dict[str, Any]]:
        self.join()
        assert self.reply is not None
        assert self.reply.status == 200
        assert int(self.reply.headers["content-length"]) == len(self.reply.body)
        return [json.loads(line) for line in self.reply.body.splitlines()]


def test_who_waits_is_told_as_soon_as_something_is_new(served: ServedDoor) -> None:
    take(served.database, *STORY[:2])
    after = len(ask(served).body.splitlines())
    readers = [Asking(served, after=after) for _ in range(12)]  # more than there are threads
    assert ask(served, after=0).status == 200  # and a thread is free for others
    only = Asking(served, after=after, tables="instance")
    of_meeting = Asking(served, other.meeting_id, after=after)
    take(served.database, *OTHERS)
    for reader in readers:
        assert [change["seq"] for change in reader.answer()][:1] == [after + 1]
    assert {change["table"] for change in only.answer()} == {"instance"}
    assert {change["row"]["meeting_id"] for change in of_meeting.answer() if change["row"]} == {other.meeting_id}


def test_who_waits_for_one_meeting_goes_on_waiting_while_others_have_news(served: ServedDoor) -> None:
    reader = Asking(served, w.meeting_id, after=0)
    take(served.database, *OTHERS)
    take(served.database, *STORY[:1])
    told = reader.answer()
    assert told
    assert str(other.meeting_id) not in json.dumps(told)


def test_a_wait_ends_empty_with_the_number_it_began_with(served: ServedDoor) -> None:
    take(served.database, *STORY)
    after = len(ask(served).body.splitlines())
    reply = ask(served, after=after, wait=1)
    assert (reply.status, reply.body, reply.headers["joinlog-next"]) == (200, b"", str(after))


def test_what_is_drained_is_what_is_told(served: ServedDoor) -> None:
    keep_events(served.database, STORY)
    reader = Asking(served, after=0)
    drain(served.database)
    assert {change["table"] for change in reader.answer()} <= set(FED)
