"""The live page in a real browser: what arrives, what is held, what is counted, what is filtered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Eye, eventually, now_minutes
from tests.browser.stage import Stage
from tests.signed_requests import Event
from tests.stories import Story

ROWS_MAX = 400
_numbers = count(1)

# Each test plays with a webinar of its own, and looks at it through a filter.


class Show:
    """A webinar that runs now."""

    def __init__(self, stage: Stage) -> None:
        self.number = 81_000_000_000 + next(_numbers)
        self.story = Story(meeting_id=self.number)
        self.uuid = f"run-{self.number}=="
        self.stage = stage
        self.began = now_minutes(-1)
        stage.post(self.story.created(self.began - 9000, {"w1": self.began}), self.story.started(self.began, self.uuid))
        stage.settle()

    @property
    def path(self) -> str:
        return f"/?meeting={self.number}"

    def joined(self, user: str, name: str | None = None, **more: str) -> Event:
        """Somebody comes now."""
        return self.story.person(
            now_minutes(), "joined", user, self.began, self.uuid, **({"user_name": name} if name else {}), **more
        )

    def left(self, user: str) -> Event:
        """Somebody goes now."""
        return self.story.person(now_minutes(), "left", user, self.began, self.uuid, leave_reason="left the meeting.")


@pytest.fixture
def show(stage: Stage) -> Iterator[Show]:
    """A webinar that runs now, until the test is over."""
    running = Show(stage)
    yield running
    stage.post(running.story.ended(now_minutes(), running.began, running.uuid))


@pytest.fixture
def live(eye: Eye, show: Show) -> Page:
    """The live page of that webinar, which has taken its first look."""
    page = eye.enter().go(show.path)
    expect(page.locator("tr.line", has_text="started")).to_be_visible()
    return page


COUNTED = """document.querySelectorAll('tr.line[data-kind=joined]').length
  + [...document.querySelectorAll('tr.burst')].reduce((sum, row) => sum + Number(row.dataset.count), 0)"""
"""How many joined lines the page shows, and how many it counts."""


def test_a_line_appears_when_its_event_comes(live: Page, show: Show) -> None:
    """How soon, `python -m tests.bench small viewers` measures."""
    for user in ("first", "second", "third"):
        show.stage.post(show.joined(user))
        live.locator("tr.line", has_text=f"Name {user}").wait_for()
    expect(live.locator("tr.line").first).to_contain_text("Name third")
    expect(live.locator(".run .big dd")).to_have_text("3")
    show.stage.post(show.left("first"))
    expect(live.locator("tr.line").first).to_contain_text("left the meeting.")
    expect(live.locator(".run .big dd")).to_have_text("2")


def test_rows_stay_the_same_elements_when_new_ones_come(live: Page, show: Show) -> None:
    live.evaluate("document.querySelector('tr.line').marked = true")
    show.stage.post(show.joined("one"))
    live.locator("tr.line", has_text="Name one").wait_for()
    assert live.evaluate("[...document.querySelectorAll('tr.line')].filter(row => row.marked).length") == 1


def test_pause_holds_and_counts(live: Page, show: Show) -> None:
    live.keyboard.press("p")
    expect(live.locator("#pulse")).to_have_text("paused")
    show.stage.post(show.joined("a"), show.joined("b"), show.joined("c"))
    expect(live.locator("#news")).to_have_text("↑ 3 new")
    assert live.locator("tr.line", has_text="Name a").count() == 0
    live.locator("#news").click()
    for user in "abc":
        expect(live.locator("tr.line", has_text=f"Name {user}")).to_be_visible()
    expect(live.locator("#news")).to_be_hidden()
    expect(live.locator("#pulse")).to_have_text("live")


def test_reading_further_down_is_not_moved(live: Page, show: Show) -> None:
    show.stage.keep([show.joined(f"early{n}") for n in range(60)])
    show.stage.settle()
    live.reload()
    row = live.locator("tr.line", has_text="Name early20")
    live.evaluate("window.scrollTo(0, 900)")
    expect(live.locator("#pulse")).to_have_text("held while you read")
    before = row.evaluate("row => row.getBoundingClientRect().top")
    show.stage.post(*(show.joined(f"late{n}") for n in range(5)))
    expect(live.locator("#news")).to_have_text("↑ 5 new")
    assert row.evaluate("row => row.getBoundingClientRect().top") == pytest.approx(before, abs=1)
    live.keyboard.press("g")
    live.keyboard.press("l")
    expect(live.locator("tr.line", has_text="Name late")).to_have_count(5)
    assert live.evaluate("window.scrollY") == 0


def test_focus_stays_on_the_line_somebody_chose(live: Page, show: Show) -> None:
    show.stage.post(show.joined("one"), show.joined("two"))
    expect(live.locator("tr.line", has_text="Name two")).to_be_visible()
    live.keyboard.press("j")
    live.keyboard.press("j")
    chosen = live.evaluate("document.activeElement.dataset.key")
    assert chosen
    show.stage.post(show.joined("three"))
    expect(live.locator("#news")).to_have_text("↑ 1 new")
    assert live.evaluate("document.activeElement.dataset.key") == chosen
    live.keyboard.press("k")
    assert live.evaluate("document.activeElement.dataset.key") != chosen
    live.keyboard.press("o")
    live.wait_for_url("**/instance/**")


def test_a_burst_is_readable_and_none_is_lost(live: Page, show: Show) -> None:
    show.stage.keep([show.joined(f"u{n}") for n in range(350)])
    eventually(live, COUNTED, 350)
    assert live.locator("tr.burst").count() >= 1
    assert live.locator("#lines tr").count() <= ROWS_MAX
    expect(live.locator(".run .big dd")).to_have_text("350")
    burst = live.locator("tr.burst").first
    counted = int(burst.get_attribute("data-count") or 0)
    rows = live.locator("tr.line[data-kind=joined]").count()
    burst.locator("button").click()
    expect(live.locator("tr.line[data-kind=joined]")).to_have_count(rows + counted)
    assert live.evaluate(COUNTED) == 350


def test_held_burst_is_counted_too(live: Page, show: Show) -> None:
    live.keyboard.press("p")
    show.stage.keep([show.joined(f"u{n}") for n in range(300)])
    expect(live.locator("#news")).to_have_text("↑ 300 new")
    live.keyboard.press("g")
    live.keyboard.press("l")
    eventually(live, COUNTED, 300)


def test_values_filter_and_filters_live_in_the_url(live: Page, show: Show, eye: Eye) -> None:
    show.stage.post(show.joined("ann", email="ann@example.com"), show.joined("bob"), show.left("ann"))
    expect(live.locator("tr.line", has_text="Name ann")).to_have_count(2)
    live.locator("tr.line", has_text="Name ann").first.locator(".w a").click()
    live.wait_for_url("**person=*")
    expect(live.locator("tr.line")).to_have_count(2)
    expect(live.locator(".filters .on", has_text="person")).to_contain_text("Name ann")
    assert "ann" not in live.url
    live.locator("tr.line .chip", has_text="joined").click()
    live.wait_for_url("**kind=joined*")
    assert f"meeting={show.number}" in live.url
    expect(live.locator("tr.line")).to_have_count(1)
    other = eye.context.new_page()
    other.goto(live.url)  # a view can be shared
    expect(other.locator("tr.line")).to_have_count(1)
    show.stage.post(show.joined("bob"), show.joined("ann"))  # what comes is filtered, too
    expect(live.locator("tr.line")).to_have_count(2)
    live.locator(".filters .on", has_text="person").click()
    expect(live.locator("tr.line", has_text="Name bob")).to_have_count(2)


def test_search_never_leaves_the_browser_in_a_url(live: Page, show: Show) -> None:
    asked: list[str] = []
    live.on("request", lambda request: asked.append(request.url))
    show.stage.post(show.joined("x1", "Grace Hopper"), show.joined("x2", "Ada Lovelace"), show.joined("x3", "Ágnes Ő"))
    expect(live.locator("tr.line", has_text="Ada")).to_be_visible()
    live.keyboard.press("/")
    live.keyboard.type("hopper")
    expect(live.locator("tr.line")).to_have_count(1)
    assert live.url.endswith("#q=hopper")
    show.stage.post(show.joined("x4", "Ada Again"), show.joined("x5", "Ben Hopper"))
    expect(live.locator("tr.line")).to_have_count(2)
    live.locator("#search").fill("ÁGNES")
    expect(live.locator("tr.line")).to_have_count(1)
    live.reload()
    expect(live.locator("tr.line")).to_have_count(1)
    expect(live.locator("#search")).to_have_value("ÁGNES")
    assert not [url for url in asked if "hopper" in url.partition("#")[0].lower() or "gnes" in url.partition("#")[0]]


def test_older_lines_come_without_an_end(live: Page, show: Show) -> None:
    show.stage.keep([show.joined(f"u{n}") for n in range(250)])
    show.stage.settle()
    live.reload()
    expect(live.locator("tr.line")).to_have_count(100)
    bottom = "(window.scrollTo(0, document.body.scrollHeight), document.querySelectorAll('tr.line').length)"
    total = show.stage.count(f"SELECT count(*) FROM join_log WHERE meeting_id = {show.number}")
    assert total > 250
    eventually(live, bottom, total)
    keys = live.eval_on_selector_all("tr.line", "rows => rows.map(row => row.dataset.key)")
    assert len(set(keys)) == total
    expect(live.locator("#older")).to_contain_text("The log begins here.")


def test_old_event_replayed_late_still_appears(live: Page, show: Show) -> None:
    event = show.joined("late")
    broken = {**event, "payload": {**event["payload"], "object": None}}
    show.stage.post(broken)
    show.stage.settle()
    show.stage.post(show.joined("newer"))
    live.locator("tr.line", has_text="Name newer").wait_for()
    with show.stage.database.write() as connection:  # mended by hand, and replayed: its line has an old number
        connection.exec_driver_sql(
            "UPDATE inbox_event SET body = ?, state = 'pending' "
            "WHERE state = 'dead' AND event_type = 'webinar.participant_joined' AND uuid IS NULL",
            (json.dumps(event),),
        )
    show.stage.post(show.joined("newest"))
    live.locator("tr.line", has_text="Name late").wait_for()


def test_hidden_script_in_a_name_does_nothing(live: Page, show: Show, eye: Eye) -> None:
    nasty = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'>"
    show.stage.post(show.joined("nasty", nasty, leave_reason=nasty), show.story.retitled(now_minutes(), nasty))
    expect(live.locator("tr.line", has_text="<script>alert(2)</script>").first).to_be_visible()
    assert live.locator("main img, main script").count() == 0
    eye.go(f"/meeting/{show.story.account}/{show.number}")
    expect(live.locator("h1")).to_contain_text("<script>")
    assert eye.faults == []


def test_times_are_in_the_readers_zone_with_utc_at_hand(live: Page, show: Show) -> None:
    show.stage.post(show.joined("one"))
    moment = live.locator("tr.line", has_text="Name one").locator("time").first
    utc = (moment.get_attribute("title") or "").split()[3]
    shown = moment.inner_text()
    assert moment.locator("xpath=..").locator(".utc").inner_text() == f"{utc} UTC"
    assert int(shown[:2]) == (int(utc[:2]) + 1) % 24  # Berlin in winter
    assert shown[2:] == utc[2:]


def test_unchanged_page_is_answered_with_nothing(live: Page, show: Show) -> None:
    statuses: list[int] = []
    live.on("response", lambda answer: statuses.append(answer.status) if "/live?" in answer.url else None)
    with live.expect_response(lambda answer: "/live?" in answer.url and answer.status == 304):
        pass
    show.stage.post(show.joined("one"))
    live.locator("tr.line", has_text="Name one").wait_for()
    assert 200 in statuses


def test_help_lists_the_keys_and_gives_the_focus_back(live: Page) -> None:
    live.keyboard.press("?")
    expect(live.locator("#help")).to_be_visible()
    live.keyboard.press("Escape")
    expect(live.locator("#help")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 1920])
def test_nothing_sticks_out(live: Page, width: int) -> None:
    live.set_viewport_size({"width": width, "height": 800})
    assert live.evaluate("document.documentElement.scrollWidth") <= width


def test_server_that_goes_away_is_said_and_comes_back(live: Page, show: Show, eye: Eye) -> None:
    eye.context.unroute_all()
    eye.context.route("**/live?*", lambda route: route.abort())
    expect(live.locator("#gone")).to_be_visible(timeout=10_000)
    expect(live.locator("#pulse")).to_have_text("no answer")
    eye.context.unroute_all()
    show.stage.post(show.joined("back"))
    live.locator("tr.line", has_text="Name back").wait_for()
    expect(live.locator("#gone")).to_be_hidden()
    eye.forgive("ERR_FAILED")
