"""The inbox: every event ever accepted, its state, and the replay of dead ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple, cast

from flask import Blueprint, Response, abort, redirect, render_template, request

from schema.states import EventState
from schema.store.database import Database
from schema.store.inbox_pages import Choice, InboxLine, read_inbox_event, set_pending_again
from schema.store.inbox_search import Wanted, count_states, read_events_before
from schema.store.join_log import INT64_MAX
from webhook.access import all_meetings_only, granted, operators_only, require_meeting
from webhook.pages.filters import SEARCH_HEADER, read_search, words_of
from webhook.pages.formatting import read_account
from webhook.pages.parameters import read_number
from webhook.parts import parts

PAGE_EVENTS = 50
SCAN_EVENTS = 500
SCAN_SECONDS_MAX = 0.4
REPLAY_BATCH_EVENTS = 500  # on SQLite intake waits while one is written: milliseconds
REPLAY_SECONDS_MAX = 1.5  # per click; the page says how many are left
COLUMNS = (
    "account_id", "id", "state", "event_type", "event_ts", "meeting_id", "uuid", "received_at", "last_delivered_at",
    "processed_at", "deliveries", "tracking_id", "request_id", "error",
)  # fmt: skip

blueprint = Blueprint("inbox", __name__)


class Search(NamedTuple):
    """Which events somebody wants to see. `words` are looked for in bodies, which only operators may see."""

    wanted: Wanted
    types: tuple[str, ...]
    words: tuple[str, ...]


class Found(NamedTuple):
    """A page of events; `next` is the id older ones are below, None at the end."""

    events: list[InboxLine]
    next: int | None


def wanted_events() -> Search:
    """What this request asks for."""
    meeting_id = read_number(request.args.get("meeting", "").strip())
    own = granted().meeting_id
    if own is not None and meeting_id not in (None, own):
        require_meeting(meeting_id)
    states = tuple(state for state in EventState if state.value in request.args.getlist("state"))
    uuid = request.args.get("uuid", "").strip()
    text = read_search(request.headers.get(SEARCH_HEADER)) or request.form.get("q", "")
    return Search(
        Wanted(states, own if own is not None else meeting_id, uuid or None),
        tuple(name.strip() for name in request.args.getlist("type") if name.strip()),
        words_of(text) if granted().decides else (),
    )


@blueprint.route("/inbox", methods=["GET", "POST"])
def inbox() -> str:
    """Events, newest first; a post carries the free text of browsers without JavaScript."""
    search = wanted_events()
    before = read_number(request.args.get("before", ""))
    found = find(parts().database, search, INT64_MAX if before is None else before)
    if "HX-Request" in request.headers:
        return render_template("events.html", found=found, search=search)
    counts: dict[str, int] = {}
    if granted().meeting_id is None:  # they are those of all meetings
        with parts().database.read() as connection:
            counts = count_states(connection)
    return render_template(
        "inbox.html", found=found, search=search, counts=counts, states=list(EventState), q=request.form.get("q", "")
    )


@blueprint.get("/inbox/<account>/<int:event_id>")
def event(account: str, event_id: int) -> str:
    """One event with all its columns; its body only for operators."""
    with parts().database.read() as connection:
        found = [row for row in read_inbox_event(connection, event_id) if row[0].account_id == read_account(account)]
    if not found:
        require_meeting(-1)
        abort(404, "No such event.")
    line, body = found[0]
    require_meeting(line.meeting_id)
    return render_template("event.html", event=line, body=body if granted().decides else None)


@blueprint.post("/inbox/<account>/<int:event_id>/replay")
@operators_only
def replay_one(account: str, event_id: int) -> Response:
    """Replay one event."""
    with parts().database.read() as connection:
        found = [row for row in read_inbox_event(connection, event_id) if row[0].account_id == read_account(account)]
    if not found:
        abort(404, "No such event.")
    require_meeting(found[0][0].meeting_id)
    _set_pending(Choice(ids=[event_id]))
    return cast(Response, redirect(f"/inbox/{account}/{event_id}", 303))


@blueprint.post("/inbox/replay-dead")
@operators_only
@all_meetings_only
def replay_dead() -> Response:
    """Replay every dead event."""
    count = _set_pending(Choice(states=[EventState.DEAD]))
    return cast(Response, redirect(f"/inbox?replayed={count}", 303))


def find(database: Database, search: Search, before_id: int, limit: int = PAGE_EVENTS) -> Found:
    """The next older events that fit, as far as they are found in SCAN_SECONDS_MAX."""
    deadline = time.monotonic() + SCAN_SECONDS_MAX
    found: list[InboxLine] = []
    is_exact = not (search.types or search.words)
    step = limit if is_exact else SCAN_EVENTS
    while True:
        with database.read() as connection:
            rows = read_events_before(connection, search.wanted, before_id, step, with_body=bool(search.words))
        for line, body in rows:
            before_id = line.id
            if _fits(search, line, body):
                found.append(line)
                if len(found) == limit:
                    return Found(found, before_id)
        if len(rows) < step:
            return Found(found, None)
        if time.monotonic() > deadline:
            return Found(found, before_id)


def find_all(database: Database, search: Search) -> Iterator[InboxLine]:
    """Every event that fits, newest first, read in small transactions."""
    before_id: int | None = INT64_MAX
    while before_id is not None:
        page = find(database, search, before_id, SCAN_EVENTS)
        yield from page.events
        before_id = page.next


def _fits(search: Search, line: InboxLine, body: str | None) -> bool:
    if search.types and line.event_type not in search.types:
        return False
    if search.words:
        text = (body or "").casefold()
        return all(word in text for word in search.words)
    return True


def _set_pending(choice: Choice) -> int:
    """Set events pending in batches, for up to REPLAY_SECONDS_MAX, and ring for the worker; returns how many."""
    deadline = time.monotonic() + REPLAY_SECONDS_MAX
    total, last_id = 0, 0
    while True:
        with parts().database.write() as connection:
            count, last_id = set_pending_again(connection, choice, last_id, REPLAY_BATCH_EVENTS, datetime.now(UTC))
        total += count
        if count < REPLAY_BATCH_EVENTS or time.monotonic() > deadline:
            break
    parts().doorbell.ring()
    return total
