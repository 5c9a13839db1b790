"""An occurrence's page and its files: who came, for how long, who did not; as whom, and with ten thousand people."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from html import unescape
from typing import Any

import openpyxl
import pytest

from schema.addresses import instance_url, meeting_url, occurrence_part, occurrence_url
from schema.people import Minimum, Person, as_hms, as_percent
from schema.settings import Settings
from tests.inbox_to_tables import take
from tests.page_client import Site, Visitor, open_site
from tests.stories import ACCOUNT, WEEK_MINUTES, Json, Story, at
from webhook.pages import tail
from webhook.pages.formatting import read_occurrence, with_dates
from webhook.pages.occurrence import FILE_COLUMNS, ORDERS, TABS
from webhook.tokens import Role

FIRST = 60.0
WEEKS = {"1001": FIRST, "1002": FIRST + WEEK_MINUTES}
w = Story()
MEETING = meeting_url(ACCOUNT, w.meeting_id)
PAGE = occurrence_url(ACCOUNT, w.meeting_id, "1001")
ANN = "Ann Ünal 🎉"
FORMULA = "=cmd|'/c calc'!A1"


@pytest.fixture
def site(web_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The application on each database; it looks for commits at every request."""
    monkeypatch.setattr(tail, "LOOK_SECONDS", -1.0)
    with open_site(web_settings) as opened:
        yield opened


def signed_up(name: str, first: str, last: str = "") -> Json:
    return w.registration(
        1, "created", name, WEEKS, status="approved", first_name=first, last_name=last, email=f"{name}@example.com"
    )


def week() -> list[Json]:
    """Ann stays for 30 minutes of 60, Ben for 5, Cid does not come, somebody walks in, and a guest shows nothing."""
    people = {"1": ("ann", 30), "2": ("ben", 5)}
    stays = []
    for number, (who, minutes) in people.items():
        stays += [
            w.person(FIRST, "joined", number, FIRST, registrant_id=who),
            w.person(FIRST + minutes, "left", number, FIRST, registrant_id=who),
        ]
    return [
        w.created(0, WEEKS), signed_up("ann", ANN), signed_up("ben", FORMULA), signed_up("cid", "Cid"),
        w.started(FIRST), *stays, w.person(FIRST + 1, "joined", "3", FIRST, email="wanda@else.example"),
        w.person(FIRST + 2, "joined", "4", FIRST, user_name="<b>guest</b>"), w.ended(FIRST + 60, FIRST),
    ]  # fmt: skip


def tabs(html: str) -> dict[str, int]:
    """The counts of the tabs, by label."""
    return {
        label: int(count)
        for label, count in re.findall(r'>([A-Z][a-z-]+) <span class="count">(\d+)</span></(?:a|button)>', html)
    }


def headings(html: str) -> dict[str, tuple[str | None, str]]:
    """The headings of the table of people: how it is sorted by each, and the query of where it leads."""
    table = html.partition("of-occurrence")[2].partition("</thead>")[0]
    found = re.findall(r'<th scope="col"[^>]*?(?: aria-sort="(\w+)")?><a href="[^"?]*\?([^"]*)">(\w+)', table)
    return {label: (way or None, query) for way, query, label in found}


def names(html: str) -> list[str]:
    """The people of the table, in order."""
    return re.findall(r'<th scope="row"><a [^>]*><bdi>(.*?)</bdi>', html)


def rows_of(visitor: Visitor, query: str = "", path: str = PAGE) -> list[dict[str, Any]]:
    """The rows of the JSON file."""
    found: list[dict[str, Any]] = json.loads(visitor.get(f"{path}/people.json{query}").text)
    return found


def test_the_tabs_count_everybody_once(site: Site) -> None:
    take(site.database, *week())
    html = site.visitor().get(PAGE).text
    assert tabs(html) == {
        "Attended": 2, "No-shows": 1, "Walk-ins": 1, "Unidentified": 1, "Staff": 0, "Registered": 3, "Everybody": 5,
    }  # fmt: skip
    assert names(html) == [ANN, "=cmd|&#39;/c calc&#39;!A1"]
    assert ">0:30:00<" in html
    assert ">50 %<" in html
    assert names(site.visitor().get(f"{PAGE}?who=no-shows").text) == ["Cid"]
    assert names(site.visitor().get(f"{PAGE}?who=unidentified").text) == ["&lt;b&gt;guest&lt;/b&gt;"]


@pytest.mark.parametrize("query", ["min_minutes=10", "min_share=20", "min_minutes=10&min_share=20"])
def test_a_minimum_splits_who_attended_and_says_why(site: Site, query: str) -> None:
    take(site.database, *week())
    visitor = site.visitor()
    html = visitor.get(f"{PAGE}?{query}").text
    assert (tabs(html)["Enough"], tabs(html)["Short"]) == (1, 1)
    assert names(visitor.get(f"{PAGE}?{query}&who=enough").text) == [ANN]
    short = visitor.get(f"{PAGE}?{query}&who=short").text
    assert "0:05:00 of at least 10 min" in short or "8.3 % of at least 20 %" in short
    assert [row["is_enough"] for row in rows_of(visitor, f"?{query}&who=attended")] == [True, False]
    assert f"{query.replace('&', '&amp;')}" in re.sub(r"who=\w+&amp;", "", html)  # it stays part of every address


def test_a_search_is_posted_and_stands_in_no_address(site: Site) -> None:
    take(site.database, *week())
    visitor = site.visitor()
    html = visitor.post(f"{PAGE}?who=all", {"q": "ann@example"}).text
    assert names(html) == [ANN]
    assert not [link for link in re.findall(r'(?:href|action|hx-get)="([^"]+)"', html) if "ann" in link]
    found = visitor.post(f"{PAGE}/people.json?who=all", {"q": "ann@example"})
    assert [row["name"] for row in json.loads(found.text)] == [ANN]


def test_rows_are_sorted_as_the_address_says(site: Site) -> None:
    take(site.database, *week())
    visitor = site.visitor()
    assert [r["name"] for r in rows_of(visitor, "?who=registrants&sort=name")] == [FORMULA, ANN, "Cid"]
    assert [r["name"] for r in rows_of(visitor, "?who=registrants&sort=-name")] == ["Cid", ANN, FORMULA]
    assert [r["name"] for r in rows_of(visitor, "?who=registrants&sort=time")] == ["Cid", FORMULA, ANN]
    assert [r["name"] for r in rows_of(visitor, "?who=attended")] == [ANN, FORMULA]
    assert [r["name"] for r in rows_of(visitor, "?who=registrants&sort=-first")][-1] == "Cid"  # who never came is last


def test_a_heading_sorts_keeps_the_rest_of_the_address_and_turns_around(site: Site) -> None:
    take(site.database, *week())
    visitor = site.visitor()
    html = visitor.get(f"{PAGE}?who=registrants&min_minutes=10&min_share=20").text
    kept = "who=registrants&amp;{}min_minutes=10&amp;min_share=20"
    assert headings(html) == {
        "Name": (None, kept.format("sort=name&amp;")), "Address": (None, kept.format("sort=email&amp;")),
        "Registered": (None, kept.format("sort=registered&amp;")),
        "Time": ("descending", kept.format("sort=time&amp;")), "Share": (None, kept.format("sort=-share&amp;")),
        "Why": (None, kept.format("sort=why&amp;")), "Stays": (None, kept.format("sort=first&amp;")),
    }  # fmt: skip
    turned = headings(visitor.get(f"{PAGE}?who=registrants&sort=name").text)
    assert turned["Name"] == ("ascending", "who=registrants&amp;sort=-name")
    assert turned["Time"] == (None, "who=registrants")  # the order that needs no word
    for order in ORDERS:
        assert len(names(visitor.get(f"{PAGE}?who=all&sort={order}").text)) == 5


def test_viewers_sort_by_what_they_see(site: Site) -> None:
    take(site.database, *(signed_up(name, name) for name in ("jz", "ja")), w.created(0, WEEKS))
    path = occurrence_url(ACCOUNT, w.meeting_id, "1002")
    by_address = "?who=registrants&sort=email"
    assert [row["name"] for row in rows_of(site.visitor(), by_address, path)] == ["ja", "jz"]
    masked = [row["email"] for row in rows_of(site.visitor(Role.VIEWER), by_address, path)]
    assert masked == sorted(masked)


def test_a_search_is_kept_from_tab_to_tab_with_order_and_minimum(site: Site) -> None:
    take(site.database, *week())
    visitor = site.visitor()
    html = visitor.post(f"{PAGE}?who=attended&min_minutes=10&sort=name", {"q": "example.com"}).text
    assert names(html) == ["=cmd|&#39;/c calc&#39;!A1", ANN]
    (again,) = re.findall(r'<form method="post" id="again".*?</form>', html)
    assert 'name="q" value="example.com"' in again
    (tab,) = re.findall(r'<button class="link" form="again" formaction="([^"]+)">No-shows', html)
    assert "min_minutes=10" in tab
    assert "sort=name" in tab
    assert names(visitor.post(unescape(tab), {"q": "example.com"}).text) == ["Cid"]
    (heading,) = re.findall(r'form="again" formaction="([^"]+)">Name', html)
    assert names(visitor.post(unescape(heading), {"q": "example.com"}).text)[0] == ANN
    minimum = visitor.post(PAGE, {"q": "example.com", "who": "attended", "sort": "name", "min_minutes": "20"}).text
    assert (tabs(minimum)["Enough"], tabs(minimum)["Short"]) == (1, 1)
    assert f'data-address="{PAGE}?who=attended&amp;sort=name&amp;min_minutes=20"' in minimum


def test_viewers_see_addresses_masked_and_cannot_search_for_them(site: Site) -> None:
    take(site.database, *week())
    viewer = site.visitor(Role.VIEWER)
    for path in (f"{PAGE}?who=all", f"{PAGE}/people.csv", f"{PAGE}/people.json"):
        text = viewer.get(path).text
        assert "a***@e***.com" in text
        assert "@example.com" not in text
        assert "wanda@" not in text
    book = openpyxl.load_workbook(io.BytesIO(viewer.get(f"{PAGE}/people.xlsx").data))
    cells = [str(cell) for row in book.active.iter_rows(values_only=True) for cell in row]
    assert not [cell for cell in cells if "@example.com" in cell or "wanda@" in cell]
    assert names(viewer.post(f"{PAGE}?who=all", {"q": "wanda@else"}).text) == []


def test_the_csv_begins_with_the_mark_that_excel_looks_for_and_holds_no_formula(site: Site) -> None:
    take(site.database, *week())
    data = site.visitor().get(f"{PAGE}/people.csv?who=attended").data
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert list(rows[0]) == list(FILE_COLUMNS)
    assert [row["name"] for row in rows] == [ANN, f"'{FORMULA}"]


def test_the_workbook_has_dates_numbers_and_texts_of_their_types(site: Site) -> None:
    take(site.database, *week())
    book = openpyxl.load_workbook(io.BytesIO(site.visitor().get(f"{PAGE}/people.xlsx?who=attended").data))
    header, ann, ben = book.active.iter_rows()
    assert [cell.value for cell in header] == list(FILE_COLUMNS)
    told = dict(zip(FILE_COLUMNS, ann, strict=True))
    assert told["name"].value == ANN
    assert told["first_joined_at"].value == at(FIRST).replace(tzinfo=None)
    assert isinstance(told["first_joined_at"].value, datetime)
    assert (told["attended_seconds"].value, told["attended_share"].value, told["is_present"].value) == (
        1800,
        0.5,
        False,
    )
    formula = dict(zip(FILE_COLUMNS, ben, strict=True))["name"]
    assert (formula.value, formula.data_type) == (FORMULA, "s")


def test_the_curve_is_that_of_all_instances(site: Site) -> None:
    again = FIRST + 62
    take(
        site.database, *week(), w.started(again, "again=="),
        w.person(again + 1, "joined", "9", again, "again==", registrant_id="cid"), w.ended(again + 8, again, "again=="),
    )  # fmt: skip
    moments, present = site.visitor().get(f"{PAGE}/curve.json").get_json()
    assert (moments[0], max(present)) == (at(FIRST).timestamp(), 4)
    assert (moments[-1], present[-1]) == (at(FIRST + 70).timestamp(), 0)


def test_an_occurrence_that_is_to_come_shows_who_registered(site: Site) -> None:
    take(site.database, *week())
    html = site.visitor().get(occurrence_url(ACCOUNT, w.meeting_id, "1002")).text
    assert tabs(html)["Registered"] == 3
    assert len(names(html)) == 3


def test_a_link_to_one_meeting_shows_its_occurrences_and_no_others(site: Site) -> None:
    other = Story(meeting_id=99)
    take(site.database, *week(), other.created(0, WEEKS))
    own = site.visitor(Role.VIEWER, w.meeting_id)
    elsewhere = occurrence_url(ACCOUNT, 99, "1001")
    for end in ("", "/people.csv", "/people.xlsx", "/curve.json"):
        assert (own.get(f"{PAGE}{end}").status_code, own.get(f"{elsewhere}{end}").status_code) == (200, 403)


@pytest.mark.parametrize(
    "query", ["who=nobody&page=x", "who=short&sort=", "page=99", "page=0&min_minutes=1e9&min_share=-1"]
)
def test_nonsense_in_the_address_is_left_out(site: Site, query: str) -> None:
    take(site.database, *week())
    answer = site.visitor().get(f"{PAGE}?{query}")
    assert (answer.status_code, len(names(answer.text))) == (200, 2)


def test_an_unknown_occurrence_is_not_found(site: Site) -> None:
    take(site.database, *week())
    for part in ("4711", "~", "~AA", "~~"):
        assert site.visitor().get(f"/meeting/{ACCOUNT}/{w.meeting_id}/occurrence/{part}").status_code == 404


@pytest.mark.parametrize("occurrence_id", ["1772440000000", "single", "a/b+c==", "~x", "-"])
def test_every_occurrence_has_an_address(occurrence_id: str) -> None:
    part = occurrence_part(occurrence_id)
    assert re.fullmatch(r"[A-Za-z0-9_~-]+", part)
    assert read_occurrence(part) == occurrence_id


def test_every_date_of_a_meeting_leads_to_its_page(site: Site) -> None:
    take(site.database, *week())
    html = site.visitor().get(f"/meeting/{ACCOUNT}/{w.meeting_id}").text
    for occurrence in WEEKS:
        assert f'class="date" href="{occurrence_url(ACCOUNT, w.meeting_id, occurrence)}"' in html
    assert f'href="{PAGE}?who=no-shows"' in html


def test_every_date_leads_to_its_occurrence(site: Site) -> None:
    """From the live page, the log, the filters, the evidence and the queue of those to decide, and from Health."""
    take(site.database, *week(), w.started(FIRST + 3000, "stray"), w.ended(FIRST + 3030, FIRST + 3000, "stray"))
    visitor = site.visitor()
    leads = f'href="{PAGE}"'
    live = visitor.get("/").text
    (line,) = re.findall(r'<tr class="line" data-kind="started".*?</tr>', live, re.DOTALL)[-1:]
    assert re.search(rf'<td class="o"><a {leads}><time', line)
    assert f'class="chip-page" {leads}' in live
    evidence = visitor.get(instance_url(ACCOUNT, "stray")).text
    assert {"1001", "1002"} <= set(re.findall(rf'href="{PAGE.removesuffix("1001")}(\d+)"', evidence))
    assert leads in re.findall(r'id="review".*?</section>', visitor.get(MEETING).text, re.DOTALL)[0]
    health = visitor.get("/health").text
    (where,) = re.findall(r'id="wrong-link_undecided".*?</div>', health, re.DOTALL)
    assert f'href="{instance_url(ACCOUNT, "stray")}"' in where
    take(site.database, w.started(FIRST + WEEK_MINUTES, "next"))  # it runs: nothing has come for long
    assert f'href="{PAGE.replace("1001", "1002")}"' in visitor.get("/").text


def test_a_sentence_of_evidence_leads_to_the_dates_it_names() -> None:
    html = with_dates("they had registered for 1001, not for <b>", {"1001": at(FIRST)}, ACCOUNT, w.meeting_id)
    assert f'<a href="{PAGE}"><time' in html
    assert "</time></a>, not for &lt;b&gt;" in html


def person(seconds: float, share: float | None = None) -> Person:
    return Person("registrant:a", "a", "A", None, "attended", "", None, None, None, seconds, share, 1, False)


def test_exactly_the_minimum_is_enough() -> None:
    assert Minimum(10).is_enough(person(600)) is True
    assert Minimum(10).is_enough(person(599.999)) is False
    assert Minimum(percent=50).is_enough(person(1, 0.5)) is True
    assert Minimum(percent=50).is_enough(person(1, 0.49999)) is False
    assert Minimum(percent=50).is_enough(person(1)) is True  # while it is held nobody can tell its share
    assert Minimum().is_enough(person(1)) is None


def test_times_and_shares_are_never_rounded_up() -> None:
    assert (as_hms(59.9), as_hms(3600), as_hms(36_061)) == ("0:00:59", "1:00:00", "10:01:01")
    assert (as_percent(0.9999), as_percent(1), as_percent(0.5), as_percent(0)) == ("99.9 %", "100 %", "50 %", "0 %")


def test_every_tab_has_a_name_that_holds_in_the_address() -> None:
    assert all(re.fullmatch(r"[a-z-]+", who) for who in TABS)
