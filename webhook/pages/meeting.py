"""A meeting: its occurrences with their instances, and the links that somebody has to decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, render_template, request

from schema.store.live import Review, read_reviews
from schema.store.meetings import (
    Date,
    InstanceRow,
    MeetingRow,
    OccurrenceRow,
    read_contradicted,
    read_dates,
    read_instances,
    read_meeting,
    read_meetings,
    read_occurrences,
    when,
)
from webhook.access import granted, require_meeting
from webhook.pages.charts import chart_of
from webhook.pages.formatting import fragment_answer, read_account
from webhook.pages.page_links import DURATIONS, links_listed
from webhook.pages.parameters import read_moment, read_number
from webhook.parts import parts

MEETINGS_SHOWN = 50
ROWS_SHOWN = 20  # on a page: the numbers of each cost up to 40 ms where thousands came
REVIEWS_MAX = 5  # of other meetings
REVIEWS_SHOWN = 20  # of this one; the others follow once these are decided
GRID_FRESH_SECONDS = 3.0  # its numbers are the most expensive query of the pages

blueprint = Blueprint("meeting", __name__)


class GridRow(NamedTuple):
    """An occurrence and the instances linked to it; or one instance linked to none."""

    occurrence: OccurrenceRow | None
    instances: list[InstanceRow]


class Placed(NamedTuple):
    """An occurrence and the instances linked to it, or one instance linked to none, at its place in time."""

    at: float
    date: Date | None
    instances: list[InstanceRow]


class Undecided(NamedTuple):
    """An instance whose link a person should decide, with the evidence."""

    instance: InstanceRow
    evidence: dict[str, Any]


@blueprint.get("/meetings")
def meetings() -> str:
    """Every meeting, the one that changed last first."""
    before = read_moment(request.args.get("before"))
    with parts().database.read() as connection:
        found = read_meetings(connection, before, MEETINGS_SHOWN + 1, granted().meeting_id)
    older = found[MEETINGS_SHOWN - 1].updated_at if len(found) > MEETINGS_SHOWN else None
    return render_template("meetings.html", meetings=found[:MEETINGS_SHOWN], older=older)


@blueprint.get("/meeting/<account>/<int:meeting_id>")
def meeting(account: str, meeting_id: int) -> str | Response:
    """One meeting."""
    require_meeting(meeting_id)
    account_id = read_account(account)
    with parts().database.read() as connection:
        row = read_meeting(connection, account_id, meeting_id)
    if row is None:
        abort(404, "Joinlog has not heard of this meeting.")
    who = granted()
    own_forms = who if who.decides else None  # a form carries the token of one session, and only operators have forms
    number = read_number(request.args.get("page", ""))
    key = ("meeting", account_id, meeting_id, who.role, own_forms, number)
    part = parts().fragments.get(key, lambda: _render(row, account_id, meeting_id, number), GRID_FRESH_SECONDS)
    if "HX-Request" in request.headers:
        return fragment_answer(part)
    decided = request.args.get("decided")
    with parts().database.read() as connection:
        dates = read_dates(connection, account_id, meeting_id) if who.decides else []
    return render_template(
        "meeting.html", meeting=row, part=part, durations=DURATIONS, decided=decided,
        page_links=links_listed(meeting_id), starts={one.occurrence_id: one.scheduled_start for one in dates},
        elsewhere=_reviews_elsewhere(meeting_id) if decided and who.meeting_id is None else [],
    )  # fmt: skip


def _reviews_elsewhere(meeting_id: int) -> list[Review]:
    """The other meetings with links to decide, for whoever goes through all of them."""
    with parts().database.read() as connection:
        return [one for one in read_reviews(connection, (), REVIEWS_MAX + 1) if one.meeting_id != meeting_id]


def _render(row: MeetingRow, account_id: str, meeting_id: int, asked: int | None) -> str:
    now = datetime.now(UTC)
    with parts().database.read() as connection:
        dates = read_dates(connection, account_id, meeting_id)
        instances = read_instances(connection, account_id, meeting_id)
        placed = placed_of(dates, instances)
        pages = max(1, -(-len(placed) // ROWS_SHOWN))
        number = min(max(1, asked if asked is not None else page_of_now(placed, now)), pages)
        shown = placed[(number - 1) * ROWS_SHOWN : number * ROWS_SHOWN]
        wanted = [one.date.occurrence_id for one in shown if one.date is not None]
        occurrences = read_occurrences(connection, account_id, meeting_id, wanted)
        undecided = read_contradicted(connection, account_id, meeting_id)
    numbers = {one.occurrence_id: one for one in occurrences}
    waiting = [one for one in reversed(instances) if one.uuid in undecided]
    return render_template(
        "meeting_part.html",
        meeting=row,
        grid=[
            GridRow(numbers[one.date.occurrence_id] if one.date else None, one.instances)
            for one in shown
            if one.date is None or one.date.occurrence_id in numbers
        ],
        number=number,
        pages=pages,
        rows=len(placed),
        more_reviews=max(0, len(waiting) - REVIEWS_SHOWN),
        link_states={one.link_state for row in shown for one in row.instances},
        occurrence_states={one.state for one in occurrences},
        occurrences=occurrences,
        chart=chart_of(occurrences),
        reviews=[Undecided(one, read_evidence(one)) for one in waiting[:REVIEWS_SHOWN]],
        starts={one.occurrence_id: one.scheduled_start for one in dates},
        largest=max([one.registrants + (one.walk_ins or 0) + (one.unidentified or 0) for one in occurrences] + [1]),
    )


def placed_of(dates: Sequence[Date], instances: Sequence[InstanceRow]) -> list[Placed]:
    """Occurrences with their instances, and instances without one, in order of time, newest first."""
    known = {date.occurrence_id for date in dates}
    linked: dict[str, list[InstanceRow]] = {}
    rows = list[Placed]()
    for instance in instances:
        if instance.occurrence_id in known:
            linked.setdefault(str(instance.occurrence_id), []).append(instance)
        else:
            rows.append(Placed(when(instance.started_at), None, [instance]))
    rows += [
        Placed(when(one.scheduled_start or one.held_from), one, linked.get(one.occurrence_id, [])) for one in dates
    ]
    return sorted(rows, key=lambda row: row.at, reverse=True)


def page_of_now(placed: Sequence[Placed], now: datetime) -> int:
    """The page on which the newest row stands that has begun: what is to come does not hide what was."""
    for place, row in enumerate(placed):
        if row.instances or row.at <= now.timestamp():
            return place // ROWS_SHOWN + 1
    return 1


def read_evidence(instance: InstanceRow) -> dict[str, Any]:
    """What a link rests on."""
    try:
        found = json.loads(instance.link_evidence or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
