"""The other pages in a real browser: deciding, refusing, connecting, and what everybody can use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from joinlog.fakezoom.delivery import validation_event
from schema.addresses import instance_url, meeting_url
from schema.store.page_links import revoke_link
from tests.browser.conftest import LIGHT, Eye
from tests.browser.stage import Stage, page_paths
from tests.stories import ACCOUNT, Story
from webhook.tokens import Role

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text()
ONLY_COLOURS = ", runOnly: ['color-contrast', 'link-in-text-block']"  # all that differs in the dark
STICKS_OUT = """(() => {
  const inside = one => one.getBoundingClientRect().right <= innerWidth + 1
  const cuts = one => getComputedStyle(one).overflowX === 'hidden' && inside(one)
  const isCut = one => !one.matches('main') && (cuts(one.parentElement) || isCut(one.parentElement))
  return [...document.querySelectorAll('main *')].filter(one => !one.closest('.scroll, .unseen, svg') && !inside(one)
    && !isCut(one)).map(one => one.outerHTML.slice(0, 120))
})()"""  # what a cell cuts off with an ellipsis does not stick out
SCROLLS = """[...document.querySelectorAll('main .scroll')].filter(one => one.scrollWidth > one.clientWidth + 1)
  .map(one => one.outerHTML.slice(0, 120))"""
STORY = Story(meeting_id=82_000_000_001)
UUID = "to/decide+run=="


@pytest.fixture(scope="module")
def told(stage: Stage) -> Stage:
    """With the demo's world, and a webinar that somebody has to decide."""
    stage.keep_world(datetime.now(UTC))
    stage.post(
        STORY.created(-5000, {"w1": 3000, "w2": 3000 + 7 * 1440}),
        STORY.started(0, UUID),
        STORY.person(1, "joined", "7", 0, UUID, email="jane.doe@example.com"),
        STORY.ended(40, 0, UUID),
        b'{"event":"webinar.started","payload":{}}',
    )
    stage.settle()
    return stage


def test_operator_decides_with_one_click_and_a_reason(told: Stage, eye: Eye) -> None:
    page = eye.enter().go(meeting_url(ACCOUNT, STORY.meeting_id))
    review = page.locator(".review")
    expect(review).to_contain_text("None was due when it started")
    review.get_by_label("Why").fill("the host told me")
    review.get_by_role("button", name="It was this one").first.click()
    page.wait_for_url("**/meeting/**decided=**")
    page.locator("#decided a").first.click()
    page.wait_for_url("**/instance/**")
    expect(page.locator("#part .answer .chip")).to_have_text("confirmed")
    expect(page.locator("#part")).to_contain_text("the host told me")
    assert told.rows(f"SELECT link_state FROM instance WHERE uuid = '{UUID}'") == [("confirmed",)]
    page.goto(f"{told.url}{meeting_url(ACCOUNT, STORY.meeting_id)}")
    expect(page.locator(".review")).to_have_count(0)
    page.goto(f"{told.url}{instance_url(ACCOUNT, UUID)}")
    page.locator("#decide select").select_option("-")
    page.locator("#decide").get_by_label("Why").fill("I was wrong")
    page.get_by_role("button", name="Decide").click()
    expect(page.locator("#part .answer .chip")).to_have_text("unscheduled")


def test_from_live_to_who_did_not_come_to_a_week_are_two_clicks(told: Stage, eye: Eye) -> None:
    meeting_id, occurrence, no_shows = told.rows(
        "SELECT meeting_id, occurrence_id, no_shows FROM occurrence_report WHERE state = 'held' AND no_shows > 10 "
        "ORDER BY scheduled_start LIMIT 1"
    )[0]
    page = eye.enter().go("/")
    card = page.locator(".run").filter(has=page.locator(f"a[href$='/{meeting_id}']"))
    card.get_by_role("link", name="all its dates").click()
    page.locator(f"a[href$='/occurrence/{occurrence}?who=no-shows']").click()
    page.wait_for_url("**/occurrence/**")
    expect(page.locator(".tabs [aria-current]")).to_have_text(f"No-shows {no_shows}")
    assert page.locator(".people tbody tr").count() == min(no_shows, 100)


def test_a_search_of_people_leaves_the_address_as_it_is(told: Stage, eye: Eye) -> None:
    (path,) = [path for name, path in page_paths(told) if name == "occurrence"]
    page = eye.enter().go(path)
    before = page.locator(".people tbody tr").count()
    name = page.locator(".people tbody th bdi").first.inner_text()
    page.get_by_label("Search names and addresses").fill(name)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_label("Search names and addresses")).to_have_value(name)
    assert 1 <= page.locator(".people tbody tr").count() < before
    assert "min_minutes=20" in page.url
    assert name.split()[0] not in page.url


def test_words_being_typed_survive_the_refresh(told: Stage, eye: Eye) -> None:
    eye.page.clock.install()
    page = eye.enter().go(meeting_url(ACCOUNT, STORY.meeting_id))
    why = page.locator(".review").get_by_label("Why")
    why.fill("half a rea")
    page.locator("h1").click()
    page.evaluate("addEventListener('htmx:configRequest', () => document.body.dataset.asked = 'yes')")
    told.post(STORY.registration(-50, "created", "late"))
    told.settle()
    page.clock.fast_forward(10_000)
    assert page.evaluate("document.body.dataset.asked") is None
    expect(why).to_have_value("half a rea")
    why.fill("")
    page.locator("h1").click()
    page.clock.fast_forward(10_000)
    registered = page.locator(".grid tbody tr", has=page.locator(".date")).last.locator("td.n").first
    expect(registered).to_have_text("1")  # nothing is typed any more: the page refreshes again


def test_viewer_is_offered_no_decision_and_refused_one(told: Stage, eye: Eye) -> None:
    page = eye.enter(Role.VIEWER).go(meeting_url(ACCOUNT, STORY.meeting_id))
    expect(page.locator(".review")).to_be_visible()
    assert page.get_by_role("button", name="It was this one").count() == 0
    page.goto(f"{told.url}{instance_url(ACCOUNT, UUID)}")
    assert page.locator("#decide").count() == 0
    expect(page.locator(".people .mail")).to_have_text("j***@e***.com")
    status = page.evaluate(
        """async (url) => (await fetch(url, {method: 'POST', body: new URLSearchParams({
        form_token: document.body.dataset.formToken, occurrence: 'w1', because: 'x'})})).status""",
        f"{instance_url(ACCOUNT, UUID)}/link",
    )
    assert status == 403
    eye.forgive("403")


def test_link_leaves_the_address_bar(stage: Stage, eye: Eye) -> None:
    token = stage.link(stage.grant()).partition("#")[2]
    asked: list[str] = []
    eye.page.on("request", lambda request: asked.append(request.url))
    eye.page.goto(f"{stage.url}/enter#{token}")
    eye.page.wait_for_url(f"{stage.url}/")
    assert not [url for url in asked if token in url.partition("#")[0]]
    seen: list[str] = []
    eye.page.on("framenavigated", lambda frame: seen.append(frame.url))
    eye.page.go_back()
    assert seen
    assert not [url for url in seen if token in url]


def test_expired_link_is_refused_and_says_what_to_do(stage: Stage, eye: Eye) -> None:
    eye.page.goto(stage.link(stage.grant(hours=-1)))
    expect(eye.page.locator("[data-refused=expired]")).to_contain_text("joinlog access grant")
    eye.forgive("401")


def test_link_called_back_ends_an_open_page(stage: Stage, eye: Eye) -> None:
    granted = stage.grant()
    eye.page.goto(stage.link(granted))
    eye.page.wait_for_url(f"{stage.url}/")
    revoke_link(stage.database, granted.link_id, datetime.now(UTC))
    expect(eye.page.locator("#gone")).to_contain_text("Your link has ended")
    eye.page.goto(stage.link(granted))
    expect(eye.page.locator("[data-refused=revoked]")).to_be_visible()
    eye.forgive("401")


def test_curve_is_drawn_and_stays_are_bars(told: Stage, eye: Eye) -> None:
    path = dict(page_paths(told))["instance"]
    page = eye.enter().go(path)
    expect(page.locator("#curve canvas")).to_be_visible()
    assert page.locator(".stays rect").count() > 20
    box = page.locator("#curve canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".u-legend .u-series").nth(1)).to_contain_text(re.compile(r"present.*\d"))


def test_grid_shows_dates_against_runnings(told: Stage, eye: Eye) -> None:
    page = eye.enter().go(_demo_meeting(told))
    states = set(page.locator(".grid .run-pill b").all_inner_texts())
    assert {"observed", "rehearsal", "unscheduled", "conflict"} <= states
    assert page.locator(".grid tbody tr").count() >= 7


def _demo_meeting(told: Stage) -> str:
    account, meeting_id = told.rows(f"SELECT account_id, meeting_id FROM meeting WHERE account_id <> '{ACCOUNT}'")[0]
    return meeting_url(account, meeting_id)


def test_inbox_finds_shows_and_replays(told: Stage, eye: Eye) -> None:
    page = eye.enter().go("/inbox")
    page.locator("label.tick", has_text="dead").click()
    page.get_by_role("button", name="Find").click()
    expect(page.locator(".events tbody tr.row")).to_have_count(1)
    expect(page.locator(".error")).to_contain_text("PayloadError")
    page.locator(".events tbody a").first.click()
    expect(page.locator(".json")).to_contain_text('"event": "webinar.started"')
    page.get_by_role("button", name="Replay").click()
    page.wait_for_load_state()
    told.settle()
    page.goto(f"{told.url}/inbox")
    page.locator("#search").fill("jane.doe@example.com")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".events tbody tr.row")).to_have_count(1)
    assert "jane" not in page.url
    page.get_by_role("button", name="Replay all dead").click()
    expect(page.locator("main")).to_contain_text("payload has no object")
    page.get_by_role("button", name="Replay it").click()
    expect(page.locator(".notice.green")).to_contain_text("1 events were set pending")
    told.settle()


def test_health_says_what_was_refused(told: Stage, eye: Eye) -> None:
    page = eye.enter().go("/health")
    expect(page.locator("#h-redis")).to_contain_text("answers")
    expect(page.locator("#h-database")).to_contain_text("SQLite")
    told.client.post("/webhook", content=b"{}", headers={"content-type": "application/json"})
    expect(page.locator("#h-refused")).to_contain_text("missing_signature")


def test_connect_ticks_itself(stage: Stage, eye: Eye) -> None:
    page = eye.enter().go("/connect")
    expect(page.locator("#endpoint")).to_have_text(f"{stage.url}/webhook")
    expect(page.locator("#step-https")).to_have_attribute("data-done", "no")
    expect(page.locator("#step-validated")).to_have_attribute("data-done", "no")
    stage.post(validation_event("qgg8vlvZRS6UYooatFL8Aw", 1_700_000_000_000))
    expect(page.locator("#step-validated")).to_have_attribute("data-done", "yes")
    expect(page.locator("#step-validated")).to_contain_text("Validated by Zoom")


WIDTHS = (360, 1280, 1920)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TABS_MAX = 400  # presses on one page; a page with more stops than that is no page to walk through

ALIKE = """() => {
  document.querySelector('#older')?.remove();  // seen, it would fetch as many rows again
  const shape = (one) => one.nodeType !== 1 ? '' :
    `${one.tagName}.${one.className.baseVal ?? one.className}[${[...one.attributes].map(a => a.name)}]`
    + `(${[...one.childNodes].map(shape)})`;
  for (const parent of document.querySelectorAll('main tbody, main ul, main ol, main dl')) {
    const met = new Map();
    for (const child of [...parent.children]) {
      const kind = shape(child);
      met.set(kind, (met.get(kind) || 0) + 1);
      if (met.get(kind) > 2) child.remove();
    }
  }
}"""
"""Leaves two rows of each shape: axe reads elements, classes and colours, and hundreds of rows are made alike."""

WALK = """() => {
  window.walked = [];
  if (window.look) removeEventListener('keydown', look, true);
  window.look = () => {  // what has the focus before the next press
    const one = document.activeElement;
    if (one === document.body) return;
    const style = getComputedStyle(one);
    const isInView = [...one.getClientRects()].some((box) => {
      const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth);
      const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight);
      if (right <= left || bottom <= top) return false;
      const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
      return there !== null && (one.contains(there) || there.contains(one));
    });
    walked.push({one, name: one.outerHTML.slice(0, 100), isInView,
      isSeen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2});
  };
  addEventListener('keydown', look, true);
  window.stops = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
    .filter((one) => one.tabIndex >= 0 && !one.disabled && one.type !== 'hidden' && one.checkVisibility()
      && getComputedStyle(one).visibility !== 'hidden' && !one.closest('dialog:not([open])'));
  return stops.length;
}"""
MISSED = """() => {
  const reached = new Set(walked.map((step) => step.one));
  return {
    missed: stops.filter((one) => !reached.has(one)).map((one) => one.outerHTML.slice(0, 100)),
    unseen: walked.filter((step) => !step.isSeen).map((step) => step.name),
    covered: walked.filter((step) => !step.isInView).map((step) => step.name),
    hasSkipped: walked.some((step) => step.one.className === 'skip'),
  };
}"""


@pytest.fixture(scope="module")
def looks(browser: Browser, told: Stage) -> Iterator[Page]:
    """A page to be looked at in every scheme and width; `bypass_csp` lets axe in, which the pages would not."""
    context = browser.new_context(**LIGHT, bypass_csp=True)
    page = context.new_page()
    page.goto(told.link(told.grant()))
    page.wait_for_url(f"{told.url}/")
    page.route("**/*", _stand_still)
    yield page
    context.close()


def _stand_still(route: Route) -> None:
    """Answer every refresh that nothing has changed: a walk through a page needs one page."""
    if "hx-request" in route.request.headers:
        route.fulfill(status=HTTPStatus.NOT_MODIFIED)
    else:
        route.continue_()


NAMES = (
    "live", "demo", "meetings", "meeting", "series", "occurrence", "instance", "inbox", "event", "health", "connect",
    "enter", "review", "missing",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_page_can_be_used_by_everybody(looks: Page, told: Stage, name: str) -> None:
    """Loaded once: nothing sticks out, axe finds nothing, the keyboard reaches everything, at each width and scheme."""
    more = {
        "enter": "/enter",
        "demo": "/demo",
        "review": meeting_url(ACCOUNT, STORY.meeting_id),
        "missing": "/no-such-page",
    }
    looks.set_viewport_size({"width": WIDTHS[0], "height": 800})
    looks.goto(f"{told.url}{(dict(page_paths(told)) | more)[name]}")
    if name in ("instance", "occurrence"):
        looks.wait_for_selector("#curve canvas")
    looks.evaluate("for (const part of document.querySelectorAll('main details')) part.open = true")
    for width in WIDTHS:
        looks.set_viewport_size({"width": width, "height": 800})
        assert looks.evaluate(STICKS_OUT) == [], width
        assert looks.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        if width == WIDTHS[0]:
            assert looks.evaluate(SCROLLS) == []
    looks.evaluate(AXE)
    looks.evaluate(ALIKE)
    for width in WIDTHS:
        looks.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            looks.emulate_media(color_scheme=scheme)
            only = ONLY_COLOURS if scheme == "dark" else ", rules: {'target-size': {enabled: true}}"
            found = looks.evaluate(f"axe.run({{resultTypes: ['violations']{only}}})")
            faults = [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in found["violations"]]
            assert faults == [], (width, scheme, faults)
    for width in WIDTHS:
        looks.set_viewport_size({"width": width, "height": 800})
        _walk(looks, width)


def _walk(page: Page, width: int) -> None:
    """Tab from the beginning through the whole page: nothing is missed, hidden, or holds whoever comes by."""
    page.evaluate("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    stops = page.evaluate(WALK)
    assert 0 < stops < TABS_MAX
    for _ in range(stops + 2):
        page.keyboard.press("Tab")
    seen = page.evaluate(MISSED)
    assert seen["missed"] == [], width
    assert seen["unseen"] == [], width
    assert seen["covered"] == [], width
    assert seen["hasSkipped"], width


def test_operator_hands_a_meeting_out_from_its_page(told: Stage, eye: Eye) -> None:
    page = eye.enter().go(meeting_url(ACCOUNT, STORY.meeting_id))
    page.locator(".handout select[name=expires]").select_option("8h")
    page.get_by_role("button", name="Make a page link").click()
    link = page.locator("#page-link").inner_text()
    assert "#" not in page.url
    guest = eye.context.browser.new_context(**LIGHT).new_page() if eye.context.browser else pytest.fail("no browser")
    guest.goto(link)
    guest.wait_for_url(f"{told.url}/")
    expect(guest.locator(".me .chip")).to_have_text("viewer")
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("h1")).to_have_text("The page link was taken back")
    expect(guest.locator("#gone")).to_contain_text("Your link has ended")
    guest.context.close()
