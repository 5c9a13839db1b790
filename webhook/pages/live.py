"""The live page: the instances that run now, and under them the join log, newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, cast

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request
from markupsafe import Markup

from schema.addresses import occurrence_url
from schema.log_kinds import LOG_KINDS
from schema.meeting_names import read_searched_meeting
from schema.store.database import Database
from schema.store.join_log import Cursor, Line, read_lines_before
from schema.store.live import (
    Running,
    count_running,
    read_changes,
    read_reviews,
    read_running,
)
from schema.store.named_meetings import find_named
from schema.store.reports import find_accounts
from webhook.access import granted
from webhook.pages.curves import curve_through, peak_of, samples, spark_path
from webhook.pages.facets import facets_of
from webhook.pages.filters import SEARCH_HEADER, Filters, read_filters, read_search
from webhook.pages.formatting import iso, searched_text, token_of
from webhook.pages.fragments import Fragment
from webhook.pages.pagination import PAGE_LINES, Reader, read_cursor
from webhook.parts import parts
from webhook.tokens import Role

BURST_LINES_MAX = 40  # nobody can read more than this at once line by line
BURST_LINES_SHOWN = 10  # then only the newest are shown, and the others counted
PAGE_LINES_MAX = 500
RUNNING_MAX = 12
REVIEWS_MAX = 5
PANEL_FRESH_SECONDS = 1.0
FACET_LINES = 3000  # the newest ones, in which the values of the filters are counted
FACETS_FRESH_SECONDS = 5.0
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
    """A reader of the log that shows what the one who sent this request may see."""
    return Reader(parts().database, parts().guard.tokens, granted().role, filters)


def wanted_filters() -> Filters:
    """The filters of this request: the URL's, the search's, and what the link is limited to."""
    search = read_search(request.headers.get(SEARCH_HEADER)) or request.form.get("q", "")
    wanted, own = request.args.to_dict(flat=False), granted().meeting_id
    if (name := read_searched_meeting(search)) is not None:
        with parts().database.read() as connection:
            found = {
                one.meeting_id for one in find_named(connection, name) if find_accounts(connection, one.meeting_id)
            }
        if found and own in (None, *found):
            return read_filters({**wanted, "meeting": [str(number) for number in sorted(found)]}, "", own)
    return read_filters(wanted, search, own)


@blueprint.route("/", methods=["GET", "POST"])
def live() -> str | Response:
    """The page; a post carries the free text of browsers without JavaScript."""
    if (only := granted().occurrence_id) is not None:
        return _to_its_page(granted().meeting_id, only)
    filters = wanted_filters()
    cursor = parts().tail.cursor()  # first, so that no line falls between it and the page
    before = request.args.get("before")
    page = reader_of(filters).page(read_cursor(before))
    return render_template(
        "live.html",
        page=page,
        filters=filters,
        before=before,
        cursor=cursor,
        panel=panel_of(filters),
        facets=facets_shown(filters),
        search=request.form.get("q", ""),
        page_lines=PAGE_LINES,
    )


def _to_its_page(meeting_id: int | None, occurrence_id: str) -> Response:
    """Lead whoever has a link for one occurrence to its page."""
    if meeting_id is None:
        abort(404)
    with parts().database.read() as connection:
        accounts = find_accounts(connection, meeting_id)
    if not accounts:
        abort(404, "Joinlog has not heard of this meeting.")
    return cast(Response, redirect(occurrence_url(accounts[0], meeting_id, occurrence_id)))


@blueprint.get("/lines")
def lines() -> str:
    """Older lines, as rows to append to those that are shown."""
    filters = wanted_filters()
    asked = request.args.get("limit", type=int) or PAGE_LINES
    page = reader_of(filters).page(read_cursor(request.args.get("before")), min(max(1, asked), PAGE_LINES_MAX))
    return render_template("lines.html", page=page, filters=filters)


@blueprint.get("/live")
def new_lines() -> Response:
    """What an open page does not show yet. 304 when that is nothing; then only the marker of commits was read.

    JSON: `cursor` for the next request; `lines` newest first, each with its key and its row; `rest`, a summary of the
    lines that are left out; `panel` when it changed; `is_whole` false when the page has to load the log anew.
    """
    filters = wanted_filters()
    panel = panel_of(filters)
    found = parts().tail.since(request.args.get("after", ""))
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
        "rest": summarise([entry.line for entry in fitting[len(shown) :]]),
        "panel": panel.html if request.args.get("panel") != panel.tag else None,
        "panel_tag": panel.tag,
    }
    return Response(current_app.json.dumps(answer), mimetype="application/json", headers=headers)


def key_of(line: Line) -> str:
    """The key of a line on the page, and its cursor."""
    return f"{line.seq}~{line.line_id}"


def row_of(line: Line) -> Markup:
    """The row of a line, rendered once per role for all viewers."""
    return parts().rows(granted().role, line)


def remembered_rows() -> Rows:
    """A function that renders rows and remembers the last ROWS_REMEMBERED_MAX of them, by role and line."""

    @lru_cache(ROWS_REMEMBERED_MAX)
    def row(_role: Role, line: Line) -> Markup:
        return Markup(render_template("line.html", line=line))  # noqa: S704 - the template has escaped it

    return row


def summarise(rest: Sequence[Line]) -> dict[str, Any] | None:
    """A summary of lines that are not shown: how many of which kind, by its label, and the cursor that finds them."""
    if not rest:
        return None
    newest = max(rest, key=lambda line: (line.seq, line.line_id))
    moments = [line.event_ts for line in rest if line.event_ts is not None]
    counted = Counter(_label(line) for line in rest)
    return {
        "count": len(rest),
        "kinds": counted.most_common(),
        "before": f"{newest.seq}~{newest.line_id}~",  # greater than the newest itself: it is among what is found there
        "from": iso(min(moments)) if moments else None,
        "to": iso(max(moments)) if moments else None,
    }


def _label(line: Line) -> str:
    kind = LOG_KINDS.get(line.kind or "")
    return kind.label if kind else line.kind or "other"


def panel_of(filters: Filters) -> Fragment:
    """The instances that run now, rendered at most every PANEL_FRESH_SECONDS for all viewers."""
    meetings = filters.sought_meetings
    database = parts().database
    return parts().fragments.get(("panel", meetings), lambda: _render_panel(database, meetings), PANEL_FRESH_SECONDS)


def facets_shown(filters: Filters) -> str:
    """The values of each filter, as links with counts; counted at most every FACETS_FRESH_SECONDS for a role."""
    role, own = granted().role, granted().meeting_id
    if filters.words:  # what somebody searches for is kept nowhere
        return _render_facets(role, own, filters)
    key = ("facets", role, own, filters)
    return parts().fragments.get(key, lambda: _render_facets(role, own, filters), FACETS_FRESH_SECONDS).html


def _render_facets(role: Role, own: int | None, filters: Filters) -> str:
    tokens = parts().guard.tokens
    with parts().database.read() as connection:
        lines = read_lines_before(connection, Cursor(), FACET_LINES, () if own is None else (own,))

    def admits(wanted: Filters, line: Line) -> bool:
        return wanted.admits(line, lambda one: token_of(tokens, one), lambda one: searched_text(role, one))

    return render_template("facets.html", facets=facets_of(lines, filters, admits), looked_at=FACET_LINES)


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
