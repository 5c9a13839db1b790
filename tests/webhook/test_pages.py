"""The pages without a browser: what they read, what they keep for everybody, what they hand out as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from schema.addresses import instance_url, uuid_part
from schema.files import without_formula
from schema.settings import Settings
from schema.store.commit_marker import CommitMarker
from schema.store.database import Database
from schema.store.join_log import Cursor
from schema.store.live import Stay, read_changes
from schema.tables import TABLES
from tests.inbox_to_tables import drain, keep_events, one, take
from tests.page_client import TOKENS, Site, Visitor, open_site
from tests.signed_requests import Event
from tests.stories import ACCOUNT, Story, at
from webhook.pages import exports, tail
from webhook.pages.curves import POINTS_MAX, curve_of, peak_of, samples
from webhook.pages.exports import EXPORTS_MAX
from webhook.pages.filters import Filters, Occurrence, read_filters, read_search
from webhook.pages.formatting import read_uuid
from webhook.pages.fragments import Fragments
from webhook.pages.pagination import PAGE_LINES, Reader, read_cursor
from webhook.pages.tail import Changes, LogTail
from webhook.tokens import Role
from workers.drain import Drain

STORY = Story()
UUID = "run-1=="
MEETING = f"/meeting/{ACCOUNT}/{STORY.meeting_id}"


def came(number: int, minute: float = 1, **more: Any) -> Event:
    """Somebody joins."""
    return STORY.person(minute, "joined", str(number), **more)


@pytest.fixture
def site(web_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The application on each database; it looks for commits at every request."""
    monkeypatch.setattr(tail, "LOOK_SECONDS", -1.0)
    with open_site(web_settings) as opened:
        yield opened


# --- curves -------------------------------------------------------------------------------------------------------


def test_curve_has_a_point_per_change_and_ends_now() -> None:
    stays = [Stay(at(0), at(10)), Stay(at(5), None), Stay(at(5), at(10))]
    assert curve_of(stays, at(20)) == [(at(0), 1), (at(5), 3), (at(10), 1), (at(20), 1)]
    assert peak_of(curve_of(stays, at(20))) == 3
    assert curve_of([], at(0)) == []
    assert peak_of([]) == 0


def test_curve_of_a_crowd_is_thinned_out() -> None:
    stays = [Stay(at(n / 100), at(1000)) for n in range(10_000)]
    assert len(curve_of(stays, at(2000))) <= POINTS_MAX + 1


def test_samples_show_the_most_in_each_part() -> None:
    points = curve_of([Stay(at(-30), at(2)), Stay(at(1), at(1.5))], at(10))
    assert samples(points, at(0), at(10), 5) == [2, 1, 0, 0, 0]


# --- filters ------------------------------------------------------------------------------------------------------


def test_filters_survive_the_url() -> None:
    values = {"meeting": ["7", "x", "7"], "kind": ["left", "joined", "nonsense"], "occurrence": ["7/a/b=", "b", "/"],
              "person": ["tok"]}  # fmt: skip
    filters = read_filters(values, "Grace  HOPPER")
    assert filters == Filters((7,), (Occurrence(7, "a/b="),), ("joined", "left"), ("tok",), ("grace", "hopper"))
    assert filters.query() == "meeting=7&occurrence=7%2Fa%2Fb%3D&kind=joined&kind=left&person=tok"
    assert "grace" not in filters.query()


def test_link_for_one_meeting_overrides_the_url() -> None:
    assert read_filters({"meeting": ["7"]}, only_meeting=9).meetings == (9,)


def test_search_header_carries_any_alphabet() -> None:
    assert read_search("%C3%81gnes%20%F0%9F%9A%92") == "Ágnes 🚒"
    assert read_search(None) == ""
    assert len(read_search("x" * 5000)) == 200


@pytest.mark.parametrize("uuid", ["a/b+c==", "/leading//", "żółć", "=", "x" * 200])
def test_uuids_survive_a_path(uuid: str) -> None:
    assert read_uuid(uuid_part(uuid)) == uuid


# --- the log, page by page ------------------------------------------------------------------------------------------


def test_pages_lead_to_the_beginning_without_gap_or_repeat(database: Database) -> None:
    take(database, *(came(n) for n in range(260)), STORY.started(0))
    reader = Reader(database, TOKENS, Role.OPERATOR, Filters())
    cursor: Cursor | None = Cursor()
    keys: list[tuple[int, str]] = []
    pages = 0
    while cursor is not None:
        page = reader.page(cursor)
        keys += [(line.seq, line.line_id) for line in page.lines]
        cursor = page.next
        pages += 1
    total = one(database, "SELECT count(*) AS n FROM join_log")["n"]
    assert len(keys) == len(set(keys)) == total > 260
    assert keys == sorted(keys, reverse=True)
    assert pages == -(-total // PAGE_LINES)
    assert len(list(reader.all())) == total


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), 9), (Filters(kinds=("joined",)), 3), (Filters(kinds=("joined", "left")), 4),
        (Filters(meetings=(STORY.meeting_id,)), 8), (Filters(meetings=(99,)), 1), (Filters(meetings=(1,)), 0),
        (Filters(meetings=(STORY.meeting_id, 99)), 9), (Filters(meetings=(99,), kinds=("joined",)), 0),
        (Filters(occurrences=(Occurrence(STORY.meeting_id, "w1"),)), 7),
        (Filters(occurrences=(Occurrence(99, "w1"),)), 0), (Filters(words=("ann", "jo")), 2),
        (Filters(words=("ann", "nobody")), 0),
        (Filters(people=(TOKENS.person(ACCOUNT, STORY.meeting_id, "email:ann@example.com"),)), 2),
        (Filters(people=("nobody",)), 0), (Filters(kinds=("joined",), words=("weekly",)), 3),
    ],
)  # fmt: skip
def test_filters_are_and_across_and_or_within(database: Database, filters: Filters, expected: int) -> None:
    ann: dict[str, Any] = {"email": "ann@example.com", "user_name": "Ann Jo"}
    take(
        database,
        STORY.created(-90, {"w1": 0}), STORY.started(0), came(1, **ann), came(2), came(3),
        STORY.person(2, "left", "1", **ann), STORY.ended(50, 0), Story(meeting_id=99).retitled(0, "Other"),
    )  # fmt: skip
    found = list(Reader(database, TOKENS, Role.OPERATOR, filters).all())
    assert len(found) == expected, [(line.kind, line.occurrence_id, line.name) for line in found]


def test_rare_matches_are_searched_for_in_time_not_for_ever(database: Database) -> None:
    take(database, *(came(n) for n in range(50)))
    page = Reader(database, TOKENS, Role.OPERATOR, Filters(words=("nobody",))).page(Cursor(), seconds_max=0)
    assert page.lines == []
    assert page.looked_at >= 50


@pytest.mark.parametrize("text", ["", "x", "12", "12~", "-1~a", "99999999999999999999~a", "é~"])
def test_any_cursor_is_read(text: str) -> None:
    assert read_cursor(text).seq >= 0


# --- news -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(database: Database) -> Iterator[LogTail]:
    """The tail of a log in which something is already."""
    take(database, STORY.started(0))
    marker = CommitMarker(database)
    yield LogTail(database, Changes(marker, now_seconds=iter(range(10**6)).__next__), lines_max=50)
    marker.close()


def names(news: tail.News) -> list[str | None]:
    return [entry.line.name for entry in news.entries if entry.line.kind == "joined"]


def test_news_is_what_came_since(database: Database, watched: LogTail) -> None:
    cursor = watched.cursor()
    assert watched.since(cursor) == (cursor, [], True)
    take(database, came(1), came(2))
    news = watched.since(cursor)
    assert names(news) == ["Name 2", "Name 1"]
    assert watched.since(news.cursor).entries == []
    take(database, came(3))
    assert names(watched.since(news.cursor)) == ["Name 3"]
    assert names(watched.since(cursor)) == ["Name 3", "Name 2", "Name 1"]


def test_line_with_an_old_number_is_news(database: Database, watched: LogTail) -> None:
    keep_events(database, [came(1)])
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE inbox_event SET state = 'dead' WHERE state = 'pending'")
    cursor = watched.cursor()
    take(database, came(2))
    assert names(watched.since(cursor)) == ["Name 2"]
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE inbox_event SET state = 'pending' WHERE state = 'dead'")
    drain(database)
    assert names(watched.since(cursor)) == ["Name 1", "Name 2"]


def test_batch_that_commits_late_is_news(database: Database, watched: LogTail) -> None:
    cursor = watched.cursor()
    take(database, came(1))
    assert names(watched.since(cursor)) == ["Name 1"]
    keep_events(database, [came(2)])
    past = datetime.now(UTC) - timedelta(seconds=3)  # another worker, which took its time
    Drain(database, now=lambda: past).drain_all()
    assert names(watched.since(cursor)) == ["Name 2", "Name 1"]


def test_two_batches_of_the_same_microsecond_are_both_news(database: Database, watched: LogTail) -> None:
    cursor = watched.cursor()
    same = datetime.now(UTC)
    for number in (1, 2):
        keep_events(database, [came(number)])
        Drain(database, now=lambda: same).drain_all()
        assert names(watched.since(cursor))[0] == f"Name {number}"
    assert len(names(watched.since(cursor))) == 2


def test_more_than_the_tail_holds_is_said(database: Database, watched: LogTail) -> None:
    cursor = watched.cursor()
    take(database, *(came(n) for n in range(51)))
    assert watched.since(cursor).is_whole is False
    assert watched.since("nonsense").is_whole is False
    cursor = watched.cursor()
    for part in range(3):
        take(database, *(came(100 + 20 * part + n) for n in range(20)))
        watched.cursor()
    assert watched.since(cursor).is_whole is False  # it slid out of the tail


def test_marker_changes_with_every_commit_and_only_then(database: Database) -> None:
    marker = CommitMarker(database)
    before = marker.read()
    assert marker.read() == before
    keep_events(database, [came(1)])
    after = marker.read()
    assert after != before
    assert marker.read() == after
    marker.close()


def test_fragment_is_made_once_until_something_is_committed(database: Database) -> None:
    clock = [0.0]
    marker = CommitMarker(database)
    fragments = Fragments(Changes(marker, lambda: clock[0]), lambda: clock[0])
    made: list[str] = []

    def render() -> str:
        made.append(f"<p>{len(made)}")
        return made[-1]

    first = fragments.get("a", render, fresh_seconds=2)
    clock[0] = 1
    assert fragments.get("a", render, fresh_seconds=2) is first
    keep_events(database, [came(1)])
    clock[0] = 1.5
    assert fragments.get("a", render, fresh_seconds=2) is first  # it rests
    clock[0] = 3
    assert fragments.get("a", render, fresh_seconds=2) != first
    clock[0] = 100  # nothing was committed, but curves move on
    fragments.get("a", render, fresh_seconds=2)
    assert len(made) == 3
    marker.close()


def news_of(visitor: Visitor, path: str = "/live?after=", **headers: str) -> tuple[int, dict[str, Any], str]:
    """Status, what was told, and its tag."""
    answer = visitor.get(path, **headers)
    return answer.status_code, answer.get_json(silent=True) or {}, answer.headers.get("ETag", "")


def test_unchanged_page_costs_no_query_on_tables(site: Site) -> None:
    take(site.database, STORY.started(0), came(1))
    visitor = site.visitor()
    _, told, _ = news_of(visitor)
    path = f"/live?after={told['cursor']}&panel={told['panel_tag']}"
    _, _, etag = news_of(visitor, path)
    asked: list[str] = []
    engine = site.database._reading
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: asked.append(statement))
    status, _, _ = news_of(visitor, path, If_None_Match=etag)
    assert status == 304
    on_tables = [text for text in asked if any(name in text for name in TABLES) and "revoked_link" not in text]
    assert on_tables == []


def test_one_small_query_per_refresh_whatever_the_number_of_viewers(site: Site) -> None:
    take(site.database, STORY.started(0))
    visitors = [site.visitor() for _ in range(3)]
    cursors = [news_of(visitor)[1]["cursor"] for visitor in visitors]
    take(site.database, came(1))
    asked: list[str] = []

    def note(_connection: object, _cursor: object, text: str, *_: object) -> None:
        asked.append(text)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        for visitor, cursor in zip(visitors, cursors, strict=True):
            assert news_of(visitor, f"/live?after={cursor}")[1]["count"] == 1
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len([text for text in asked if "FROM join_log" in text]) == 2  # which batches, and their lines


def test_burst_is_counted_by_kind(site: Site) -> None:
    take(site.database, STORY.started(0))
    visitor = site.visitor()
    cursor = news_of(visitor)[1]["cursor"]
    take(site.database, *(came(n) for n in range(100)), *(STORY.person(2, "left", str(n)) for n in range(30)))
    _, told, _ = news_of(visitor, f"/live?after={cursor}")
    assert told["count"] == 130
    lines, rest = told["lines"], told["rest"]
    assert len(lines) + rest["count"] == 130
    assert sum(count for _, count in rest["kinds"]) == rest["count"]
    found = visitor.get(f"/lines?before={rest['before']}&limit={rest['count']}").text
    assert found.count('class="line"') == rest["count"]


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(value: str) -> None:
    assert without_formula(value) == f"'{value}"


@pytest.mark.parametrize("value", ["a=1", "", 5, -5, 1.5, None, True])
def test_other_cells_are_as_they_are(value: object) -> None:
    assert without_formula(value) == value


def told_site(site: Site) -> Site:
    evil = '=HYPERLINK("http://x")'
    take(
        site.database,
        STORY.created(-90, {"w1": 0, "w2": 10080}), STORY.started(0), came(1, user_name=evil, email="ann@example.com"),
        came(2, user_name="Zoë Unique"), STORY.person(5, "left", "1"), STORY.registration(-60, "created", "r1"),
        STORY.ended(50, 0),
    )  # fmt: skip
    return site


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("/lines", 8), ("/lines?kind=joined", 2), ("/meetings", 1), (f"{MEETING}/occurrences", 2),
        (f"{MEETING}/instances", 1), (f"{MEETING}/attendance", 2), (f"{MEETING}/attendance?occurrence=w1", 2),
        (f"{MEETING}/attendance?occurrence=w2", 0), (f"{MEETING}/registrants", 1),
        (f"{instance_url(ACCOUNT, UUID)}/people", 2), ("/inbox", 7), ("/inbox?state=dead", 0),
    ],
)  # fmt: skip
def test_every_table_is_the_same_as_csv_and_json(site: Site, path: str, rows: int) -> None:
    visitor = told_site(site).visitor()
    base, _, query = path.partition("?")
    as_csv = visitor.get(f"{base}.csv?{query}")
    as_json = visitor.get(f"{base}.json?{query}")
    assert as_csv.headers["Content-Disposition"].startswith("attachment")
    table = list(csv.DictReader(io.StringIO(as_csv.text)))
    objects = json.loads(as_json.text)
    assert len(table) == len(objects) == rows
    for cells, values in zip(table, objects, strict=True):
        assert list(cells) == list(values)
        for name, value in values.items():
            assert cells[name].removeprefix("'") == ("" if value is None else str(value))
    assert not [cell for cells in table for cell in cells.values() if cell.startswith("=")]


def test_free_text_reaches_a_file_in_a_form_only(site: Site) -> None:
    visitor = told_site(site).visitor()
    text = visitor.post("/lines.csv", {"q": "UNIQUE zoë"}).text
    assert len(list(csv.DictReader(io.StringIO(text)))) == 1
    assert len(list(csv.DictReader(io.StringIO(visitor.get("/lines.csv?q=2").text)))) == 8


def test_exports_leave_threads_to_intake(site: Site) -> None:
    visitor = site.visitor()
    held = [exports._running.acquire(blocking=False) for _ in range(EXPORTS_MAX)]
    try:
        assert visitor.get("/lines.csv").status_code == 503
    finally:
        for _ in held:
            exports._running.release()
    for _ in range(2 * EXPORTS_MAX):
        assert visitor.get("/lines.csv").status_code == 200


# --- pages ----------------------------------------------------------------------------------------------------------


PATHS = ("/", "/meetings", MEETING, instance_url(ACCOUNT, UUID), "/inbox", "/health", "/connect", "/metrics")


@pytest.mark.parametrize("path", ["/", "/meetings", "/inbox", "/health", "/connect", "/metrics"])
def test_empty_pages_say_what_to_do(site: Site, path: str) -> None:
    answer = site.visitor().get(path)
    assert answer.status_code == 200
    assert path in ("/health", "/metrics") or "/connect" in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_pages_of_a_told_story(site: Site, path: str) -> None:
    for role in Role:
        assert told_site(site).visitor(role).get(path).status_code == 200


def test_what_is_not_there_is_404(site: Site) -> None:
    visitor = site.visitor()
    for path in (f"{MEETING}9", instance_url(ACCOUNT, "no"), "/instance/a/%20", "/inbox/a/1", "/nothing", "/lines.xml"):
        assert visitor.get(path).status_code == 404, path


def test_dead_events_are_replayed_each_once(site: Site) -> None:
    broken = [{"event": "webinar.started", "event_ts": n, "payload": {"account_id": ACCOUNT}} for n in range(1, 4)]
    take(site.database, *broken)
    visitor = site.visitor()
    assert "3 dead" in visitor.get("/inbox").text
    assert visitor.post("/inbox/replay-dead", {"confirm": "yes"}).headers["Location"] == "/inbox?replayed=3"
    assert one(site.database, "SELECT count(*) AS n FROM inbox_event WHERE state = 'pending'") == {"n": 3}
    drain(site.database)
    newest = one(site.database, "SELECT max(id) AS id FROM inbox_event")["id"]
    assert visitor.post(f"/inbox/{ACCOUNT}/{newest}/replay").status_code == 303
    assert one(site.database, "SELECT count(*) AS n FROM inbox_event WHERE state = 'pending'") == {"n": 1}


def test_database_that_is_away_is_said_kindly(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = site.visitor()

    def fail() -> None:
        raise OperationalError("SELECT 1", None, Exception("password=geheim"))

    monkeypatch.setattr(site.database, "read", fail)
    answer = visitor.get("/meetings")
    assert answer.status_code == 503
    assert "geheim" not in answer.text


def test_changes_by_the_second_are_the_stays_added_up(database: Database) -> None:
    """The live page's curve is made from these, and has to end at the number that are there."""
    began = 60.0
    take(
        database, STORY.started(began), STORY.person(61, "joined", "1", began), STORY.person(61, "joined", "2", began),
        STORY.person(62, "joined", "3", began), STORY.person(65, "left", "2", began),
    )  # fmt: skip
    with database.read() as connection:
        changes = read_changes(connection, ACCOUNT, "run-1==", at(0))
        later = read_changes(connection, ACCOUNT, "run-1==", at(66))
    assert changes == {at(61): 2, at(62): 1, at(65): -1}
    assert sum(later.values()) == 2
