"""All dates of a meeting together: the chart, the curves, and who came to which, as page and as files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import openpyxl
import pytest

from schema.settings import Settings
from tests.inbox_to_tables import take
from tests.page_client import Site, open_site
from tests.stories import ACCOUNT, WEEK_MINUTES, Json, Story
from webhook.pages import tail
from webhook.tokens import Role

FIRST = 60.0
SECOND = FIRST + WEEK_MINUTES
WEEKS = {"1001": FIRST, "1002": SECOND}
w = Story()
MEETING = f"/meeting/{ACCOUNT}/{w.meeting_id}"


@pytest.fixture
def site(web_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The application on each database; it looks for commits at every request."""
    monkeypatch.setattr(tail, "LOOK_SECONDS", -1.0)
    with open_site(web_settings) as opened:
        yield opened


def two_weeks() -> list[Json]:
    """Ann comes to both weeks, Ben to the first, Cid to none."""
    events = [w.created(0, WEEKS)]
    for name in ("ann", "ben", "cid"):
        events.append(w.registration(1, "created", name, WEEKS, status="approved", first_name=name, last_name=""))
    for uuid, begin, came in (("one==", FIRST, ("ann", "ben")), ("two==", SECOND, ("ann",))):
        events.append(w.started(begin, uuid))
        for number, name in enumerate(came):
            events.append(w.person(begin, "joined", str(number), begin, uuid, registrant_id=name))
            events.append(w.person(begin + 10 + number, "left", str(number), begin, uuid, registrant_id=name))
        events.append(w.ended(begin + 30, begin, uuid))
    return events


def test_returning_people_stand_first_with_their_time_in_each(site: Site) -> None:
    take(site.database, *two_weeks())
    html = site.visitor().get(f"{MEETING}/series").text
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r'<tr class="row".*?</tr>', html, re.DOTALL)]
    assert rows == [
        ["ann", "ann@example.com", "2", "0:10:00", "0:10:00"],
        ["ben", "ben@example.com", "1", "0:11:00", "no-show"],
        ["cid", "cid@example.com", "0", "no-show", "no-show"],
    ]


def test_the_matrix_as_files_holds_seconds(site: Site) -> None:
    take(site.database, *two_weeks())
    visitor = site.visitor()
    header, *rows = csv.reader(io.StringIO(visitor.get(f"{MEETING}/matrix.csv").data.decode("utf-8-sig")))
    assert header[:5] == ["person_id", "name", "email", "came", "seconds"]
    assert [name[-6:] for name in header[5:]] == ["(1001)", "(1002)"]
    assert [row[3:] for row in rows] == [
        ["2", "1200.0", "600.0", "600.0"], ["1", "660.0", "660.0", "0.0"], ["0", "0.0", "0.0", "0.0"],
    ]  # fmt: skip
    book = openpyxl.load_workbook(io.BytesIO(visitor.get(f"{MEETING}/matrix.xlsx").data))
    assert [row[3:] for row in list(book.active.iter_rows(values_only=True))[1:]] == [
        (2, 1200, 600, 600), (1, 660, 660, 0), (0, 0, 0, 0),
    ]  # fmt: skip


def test_curves_begin_at_the_start_of_each_date(site: Site) -> None:
    take(site.database, *two_weeks())
    rows = list(csv.reader(io.StringIO(site.visitor().get(f"{MEETING}/curves.csv").data.decode("utf-8-sig"))))[1:]
    present = {key: [int(row[4]) for row in rows if row[0] == key] for key in WEEKS}
    assert [len(values) for values in present.values()] == [30, 30]
    assert (present["1001"][0], present["1001"][9], present["1001"][10], present["1001"][11]) == (2, 2, 2, 1)
    assert (max(present["1002"]), present["1002"][-1]) == (1, 0)


def test_the_chart_says_its_numbers_in_words(site: Site) -> None:
    take(site.database, *two_weeks())
    html = site.visitor().get(MEETING).text
    assert "2 attended (66.7 %), 1 no-shows, 0 walk-ins." in html
    assert "1 attended (33.3 %), 2 no-shows, 0 walk-ins." in html


def test_viewers_see_addresses_masked(site: Site) -> None:
    take(site.database, *two_weeks())
    viewer = site.visitor(Role.VIEWER)
    for path in ("series", "matrix.csv", "matrix.json"):
        text = viewer.get(f"{MEETING}/{path}").text
        assert "a***@e***.com" in text
        assert "@example.com" not in text


def test_a_link_to_another_meeting_shows_nothing_of_it(site: Site) -> None:
    take(site.database, *two_weeks())
    other = site.visitor(Role.OPERATOR, 99)
    for path in ("series", "matrix.xlsx", "curves.csv"):
        assert other.get(f"{MEETING}/{path}").status_code == 403


def test_a_meeting_nobody_came_to_has_a_page_all_the_same(site: Site) -> None:
    take(site.database, w.created(0, WEEKS))
    assert "None of its dates was held yet" in site.visitor().get(f"{MEETING}/series").text
    assert site.visitor().get(f"/meeting/{ACCOUNT}/4711/series").status_code == 404
