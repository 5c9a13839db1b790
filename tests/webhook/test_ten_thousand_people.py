"""Pages and files of a meeting with ten thousand registrants: bounded pages, whole files. How fast: `make bench`."""

from __future__ import annotations

import csv
import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from schema.addresses import instance_url, meeting_url, occurrence_url
from schema.store.database import Database
from schema.store.meetings import Date
from tests.conftest import settings_for
from tests.inbox_to_tables import insert_rows, take
from tests.page_client import Site, Visitor, open_site
from tests.stories import ACCOUNT, WEEK_MINUTES, Story, at
from webhook.pages.meeting import ROWS_SHOWN, page_of_now, placed_of
from webhook.pages.occurrence import FILE_COLUMNS, PEOPLE_SHOWN
from webhook.tokens import Role

CROWD = 10_000
HELD, DATES = 3, 50
PAGE_BYTES_MAX = 200 * 1024
FIRST = 60.0
w = Story()
WEEKS = {f"{1001 + n}": FIRST + n * WEEK_MINUTES for n in range(DATES)}
MEETING = meeting_url(ACCOUNT, w.meeting_id)
PAGE = occurrence_url(ACCOUNT, w.meeting_id, "1001")


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Site]:
    """A series of 50 dates, three of which were held with half of ten thousand registrants; one of those still runs."""
    path = tmp_path_factory.mktemp("crowd") / "joinlog.db"
    shutil.copyfile(sqlite_template, path)
    with open_site(settings_for(f"sqlite:///{path}", "redis://127.0.0.1:1/0")) as opened:
        fill(opened.database)
        yield opened


def fill(database: Database) -> None:
    """The rows of CROWD registrants, and of the stays of half of them in each date that was held."""
    take(database, w.created(0, WEEKS))
    begins = list(WEEKS.values())[:HELD]
    for number, begin in enumerate(begins, 1):
        take(database, w.started(begin, f"run-{number}=="))
        if number < HELD:
            take(database, w.ended(begin + 60, begin, f"run-{number}=="))
    key = {"account_id": ACCOUNT, "meeting_id": w.meeting_id}
    registrants, registrations, stays = [], [], []
    for number in range(CROWD):
        who = {**key, "registrant_id": f"r{number}"}
        email = f"someone.{number}@long-company-name.example"
        registrants.append({**who, "email": email, "first_name": "Maximiliane", "last_name": f"Ünal-Nguyễn {number}"})
        registrations.append({**who, "occurrence_id": "*", "status": "approved", "since": at(0)})
        for run, begin in enumerate(begins, 1):
            if (number + run) % 2:
                came = {"joined_at": at(begin), "counts_from": at(begin), "first_seen_at": at(begin)}
                left = at(begin + 30) if run < HELD else None
                stay = {"uuid": f"run-{run}==", "connection_id": f"{number}", "person_id": f"registrant:r{number}"}
                stays.append({**who, **came, **stay, "left_at": left, "email": email})
    with database.write() as connection:
        insert_rows(connection, "registrant", registrants)
        insert_rows(connection, "registration", registrations)
        insert_rows(connection, "participant", stays)


@pytest.fixture(scope="module")
def visitor(crowded: Site) -> Visitor:
    return crowded.visitor()


def names(html: str) -> list[str]:
    """The people of a table, in order."""
    return re.findall(r'<th scope="row"><a [^>]*><bdi>(.*?)</bdi>', html)


PATHS = (
    "/", "/meetings", MEETING, f"{MEETING}?page=1", f"{MEETING}/series", f"{MEETING}/series?page=100", PAGE,
    f"{PAGE}?who=all&page=50", f"{PAGE}?who=no-shows&min_minutes=5&sort=name",
    occurrence_url(ACCOUNT, w.meeting_id, "1003"), occurrence_url(ACCOUNT, w.meeting_id, "1050"),
    instance_url(ACCOUNT, "run-1=="), instance_url(ACCOUNT, "run-3=="), f"{PAGE}/curve.json",
    f"{instance_url(ACCOUNT, 'run-3==')}/curve.json", "/inbox", "/health", "/connect",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_page_is_larger_than_200_kib(visitor: Visitor, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status_code == 200
    assert len(answer.data) < PAGE_BYTES_MAX


def test_people_stand_on_pages(visitor: Visitor) -> None:
    for query in ("?who=all&page=50", "?who=no-shows&min_minutes=5"):
        html = visitor.get(f"{PAGE}{query}").text
        assert len(names(html)) == PEOPLE_SHOWN
    assert f'No-shows <span class="count">{CROWD // 2}</span>' in html
    last = visitor.get(f"{MEETING}/series?page=100").text
    assert len(names(last)) == PEOPLE_SHOWN
    assert "page 100 of 100" in last


def test_a_meeting_with_many_dates_has_pages_with_numbers(visitor: Visitor) -> None:
    assert f"page 1 of 3, {DATES} rows" in visitor.get(f"{MEETING}?page=1").text
    found = [set(re.findall(r'id="o-([^"]+)"', visitor.get(f"{MEETING}?page={n}").text)) for n in (1, 2, 3)]
    assert [len(page) for page in found] == [ROWS_SHOWN, ROWS_SHOWN, DATES - 2 * ROWS_SHOWN]
    assert len(set.union(*found)) == DATES


def test_what_is_to_come_does_not_hide_what_was() -> None:
    dates = [Date(str(n), at(n), "available") for n in range(50)]
    placed = placed_of(dates, [])
    assert placed[0].date == dates[-1]
    assert [page_of_now(placed, at(now)) for now in (60, 49, 30, 29, 9.5, -1)] == [1, 1, 1, 2, 3, 1]
    assert page_of_now([], at(0)) == 1


def test_ten_thousand_people_are_whole_in_files(visitor: Visitor) -> None:
    book = openpyxl.load_workbook(io.BytesIO(visitor.get(f"{PAGE}/people.xlsx").data), read_only=True)
    header, *rows = book.active.iter_rows(values_only=True)
    assert header == FILE_COLUMNS
    assert len(rows) == CROWD
    kinds = {name: {type(row[place]) for row in rows} for place, name in enumerate(FILE_COLUMNS)}
    assert (kinds["registered_since"], kinds["name"], kinds["is_present"]) == ({datetime}, {str}, {bool})
    assert kinds["first_joined_at"] == {datetime, type(None)}
    assert kinds["attended_seconds"] <= {int, float}
    text = visitor.get(f"{PAGE}/people.csv").data.decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == CROWD
    assert {line["email"] for line in lines} == {row[FILE_COLUMNS.index("email")] for row in rows}
    assert {datetime.fromisoformat(line["registered_since"]) for line in lines} == {at(0)}


def test_viewers_files_are_as_whole_and_masked(crowded: Site) -> None:
    viewer = crowded.visitor(Role.VIEWER)
    lines = list(csv.DictReader(io.StringIO(viewer.get(f"{PAGE}/people.csv").data.decode("utf-8-sig"))))
    assert [line["email"] for line in lines] == ["s***@l***.example"] * CROWD
    with zipfile.ZipFile(io.BytesIO(viewer.get(f"{PAGE}/people.xlsx").data)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml")
    assert sheet.count(b"s***@l***.example") == CROWD
    assert b"long-company-name" not in sheet


def test_the_matrix_of_ten_thousand_people_is_whole(visitor: Visitor) -> None:
    rows = list(csv.reader(io.StringIO(visitor.get(f"{MEETING}/matrix.csv").data.decode("utf-8-sig"))))[1:]
    assert len(rows) == CROWD
    assert [row[3] for row in (rows[0], rows[-1])] == ["2", "1"]
