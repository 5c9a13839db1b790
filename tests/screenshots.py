"""`make screenshots`: every page with the demo's data, in light, dark and phone size, into docs/screenshots/."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from joinlog.fakezoom import demo_world
from joinlog.fakezoom.delivery import validation_event
from tests.browser.chromium import ARGUMENTS, HOW_TO_GET, find_chromium
from tests.browser.stage import DEMO_SEED, Stage, page_paths
from tests.conftest import RedisServer
from tests.stories import Story

FOLDER = Path(__file__).parent.parent / "docs" / "screenshots"
SIZES = {
    "light": {"viewport": {"width": 1200, "height": 780}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1200, "height": 780}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
ANSWER_PIXELS_MAX = 1100  # of the page that answers the question: its names stand below a curve
ZONE = "America/New_York"
LIVE_FOR = timedelta(minutes=22)
LAST = timedelta(seconds=90)  # these events come one by one, as they do


def main() -> int:
    """Shoot every page; returns an exit code."""
    with sync_playwright() as playwright:
        chromium = find_chromium(playwright)
    if chromium is None:
        print(f"No browser to take pictures with: {HOW_TO_GET}", file=sys.stderr)
        return 1
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    target.mkdir(parents=True, exist_ok=True)
    with staged() as stage, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for size in SIZES:
            shoot(stage, browser, size, target)
        browser.close()
    return 0


@contextmanager
def staged() -> Iterator[Stage]:
    """The product with the demo's world in it, its live webinar twenty minutes old."""
    folder = Path(tempfile.mkdtemp(prefix="joinlog-shots-"))
    redis = RedisServer(folder)
    stage = Stage(folder, f"sqlite:///{folder / 'joinlog.db'}", redis.url, folder / "log")
    try:
        now = datetime.now(UTC)
        stage.post(validation_event("qgg8vlvZRS6UYooatFL8Aw", int(now.timestamp() * 1000)))
        stage.keep_world(now - LIVE_FOR, until=LIVE_FOR - LAST)
        emissions = demo_world(now - LIVE_FOR, DEMO_SEED).emissions
        stage.post(*(one.event for one in emissions if now - LAST < one.at <= now))
        stage.post(Story().event("participant_waved", 0, {"id": 1}))  # of a type Joinlog does not know
        stage.settle()
        yield stage
    finally:
        stage.close()
        redis.stop()
        shutil.rmtree(folder, ignore_errors=True)


def shoot(stage: Stage, browser: Browser, size: str, target: Path) -> None:
    """Every page in one size."""
    context = browser.new_context(**SIZES[size], timezone_id=ZONE, locale="en-GB")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(stage.link(stage.grant()))
    page.wait_for_url(f"{stage.url}/")
    paths = dict(page_paths(stage))
    paths["no-shows"] = paths["occurrence"].partition("?")[0] + "?who=no-shows"
    for name, path in paths.items():
        page.goto(f"{stage.url}{path}")
        page.wait_for_load_state("load")
        if name in ("instance", "occurrence", "no-shows"):
            page.wait_for_selector("#curve canvas")
        if name == "live":
            page.wait_for_selector("#panel time[data-local]")
        page.evaluate("document.fonts.ready")
        if name == "no-shows":
            page.set_viewport_size({"width": page.viewport_size["width"], "height": ANSWER_PIXELS_MAX})  # type: ignore[index]
        page.screenshot(path=target / f"{name}-{size}.png")
    context.close()


if __name__ == "__main__":
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    sys.exit(main())
