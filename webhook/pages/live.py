"""The live page: what runs now, and the join log under it, newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, cast

from flask import Blueprint, Response, current_app, render_template, request
from markupsafe import Markup

from schema.store.database import Database
from schema.store.join_log import Line
from schema.store.live import (
    Running,
    count_running,
    read_changes,
    read_reviews,
    read_running,
)
from webhook.access import Guard, granted
from webhook.pages.curves import curve_through, peak_of, samples, spark_path
from webhook.pages.filters import SEARCH_HEADER, Filters, read_filters, read_search
from webhook.pages.formatting import iso
from webhook.pages.fragments import Fragment, Fragments
from webhook.pages.pagination import PAGE_LINES, Reader, read_cursor
from webhook.pages.tail import LogTail
from webhook.tokens import Role

BURST_LINES_MAX = 40  # more than this at once cannot be read line by line
BURST_LINES_SHOWN = 10  # of those the newest are shown, the others counted
PAGE_LINES_MAX = 500
RUNNING_MAX = 12
REVIEWS_MAX = 5
PANEL_REST_SECONDS = 1.0
SPARK_WIDTH, SPARK_HEIGHT = 240, 40
HOUR = timedelta(hours=1)

ROWS_REMEMBERED_MAX = 4000  # about 1.5 KB each

Rows = Callable[[Role, Line], Markup]

blueprint = Blueprint("live", __name__)


class Card(NamedTuple):
    """A running instance with the curve of its last hour."""

    running: Running
    spark: str
    peak: int


def reader_of(filters: Filters) -> Reader:
    """The log as whoever looks may see it."""
    parts = current_app.extensions["joinlog"]
    return Reader(parts["database"], cast(Guard, parts["guard"]).tokens, granted().role, filters)


def wanted_filters() -> Filters:
    """The filters of this request: the URL's, the search's, and what the link is limited to."""
    search = read_search(request.headers.get(SEARCH_HEADER)) or request.form.get("q", "")
    return read_filters(request.args.to_dict(flat=False), search, granted().meeting_id)


@blueprint.route("/", methods=["GET", "POST"])
def live() -> str:
    """The page; a post carries the free text of browsers without JavaScript."""
    filters = wanted_filters()
    cursor = cast(
        LogTail, current_app.extensions["joinlog"]["tail"]
    ).cursor()  # first: what comes now must not fall between
    before = request.args.get("before")
    page = reader_of(filters).page(read_cursor(before))
    return render_template(
        "live.html",
        page=page,
        filters=filters,
        before=before,
        cursor=cursor,
        panel=panel_of(filters),
        search=request.form.get("q", ""),
        page_lines=PAGE_LINES,
    )


@blueprint.get("/lines")
def lines() -> str:
    """Older lines, as rows to put under those that are shown."""
    filters = wanted_filters()
    asked = request.args.get("limit", type=int) or PAGE_LINES
    page = reader_of(filters).page(read_cursor(request.args.get("before")), min(max(1, asked), PAGE_LINES_MAX))
    return render_template("lines.html", page=page, filters=filters)


@blueprint.get("/live")
def news() -> Response:
    """What a watching page does not have yet. 304 when there is nothing: no query then, but for the marker of commits.

    JSON: `cursor` to ask with next; `lines` newest first, each its key and its row; `rest`, what is only counted;
    `panel` when it changed; `is_whole` false when the page must load the log anew.
    """
    filters = wanted_filters()
    panel = panel_of(filters)
    tail: LogTail = current_app.extensions["joinlog"]["tail"]
    found = tail.since(request.args.get("after", ""))
    etag = f'"{found.cursor}.{panel.tag}"'
    headers = {"ETag": etag, "Cache-Control": "no-store"}
    if request.headers.get("If-None-Match") == etag and found.is_whole and not found.entries:
        return Response(status=304, headers=headers)
    reader = reader_of(filters)
    fitting = [entry for entry in found.entries if reader.admits(entry.line)]
    shown = fitting if len(fitting) <= BURST_LINES_MAX else fitting[:BURST_LINES_SHOWN]
    answer: dict[str, Any] = {
        "cursor": found.cursor,
        "is_whole": found.is_whole,
        "count": len(fitting),
        "lines": [[key_of(entry.line), row_of(entry.line)] for entry in shown],
        "rest": rest_of([entry.line for entry in fitting[len(shown) :]]),
        "panel": panel.html if request.args.get("panel") != panel.tag else None,
        "panel_tag": panel.tag,
    }
    return Response(current_app.json.dumps(answer), mimetype="application/json", headers=headers)


def key_of(line: Line) -> str:
    """What tells a row of the page from every other; also its cursor."""
    return f"{line.seq}~{line.line_id}"


def row_of(line: Line) -> Markup:
    """The row of a line, made once per role whatever the number of viewers."""
    return cast(Rows, current_app.extensions["joinlog"]["rows"])(granted().role, line)


def remembered_rows() -> Rows:
    """Rows by role and line, the last ROWS_REMEMBERED_MAX that somebody looked at."""

    @lru_cache(ROWS_REMEMBERED_MAX)
    def row(_role: Role, line: Line) -> Markup:
        return Markup(render_template("line.html", line=line))  # noqa: S704 - the template has escaped it

    return row


def rest_of(rest: Sequence[Line]) -> dict[str, Any] | None:
    """What is counted instead of shown: how many of which kind, and where to find them."""
    if not rest:
        return None
    newest = max(rest, key=lambda line: (line.seq, line.line_id))
    moments = [line.event_ts for line in rest if line.event_ts is not None]
    counted = Counter(line.kind or "other" for line in rest)
    return {
        "count": len(rest),
        "kinds": counted.most_common(),
        "before": f"{newest.seq}~{newest.line_id}~",  # greater than the newest itself: it is among what is found there
        "from": iso(min(moments)) if moments else None,
        "to": iso(max(moments)) if moments else None,
    }


def panel_of(filters: Filters) -> Fragment:
    """What runs now, made at most every PANEL_REST_SECONDS for all who look."""
    parts = current_app.extensions["joinlog"]
    fragments: Fragments = parts["fragments"]
    meetings = filters.sought_meetings
    return fragments.get(("panel", meetings), lambda: _render_panel(parts["database"], meetings), PANEL_REST_SECONDS)


def _render_panel(database: Database, meetings: Sequence[int]) -> str:
    now = datetime.now(UTC)
    with database.read() as connection:
        running = read_running(connection, meetings, RUNNING_MAX)
        cards = []
        for one in running:
            points = curve_through(read_changes(connection, one.account_id, one.uuid, now - HOUR), now)
            sampled = samples(points, now - HOUR, now)
            cards.append(Card(one, spark_path(sampled, SPARK_WIDTH, SPARK_HEIGHT), peak_of(points)))
        total = count_running(connection, meetings) if len(running) == RUNNING_MAX else len(running)
        reviews = read_reviews(connection, meetings, REVIEWS_MAX)
    return render_template(
        "panel.html", cards=cards, total=total, reviews=reviews, width=SPARK_WIDTH, height=SPARK_HEIGHT
    )
