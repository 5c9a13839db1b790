"""A meeting: its occurrences with their instances, and the links that somebody has to decide."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, render_template, request

from schema.store.live import Review, read_reviews
from schema.store.meetings import (
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
from webhook.pages.parameters import read_moment
from webhook.parts import parts

MEETINGS_SHOWN = 50
REVIEWS_MAX = 5
GRID_FRESH_SECONDS = 3.0  # its numbers are the most expensive query of the pages

blueprint = Blueprint("meeting", __name__)


class GridRow(NamedTuple):
    """An occurrence and the instances linked to it; or one instance linked to none."""

    occurrence: OccurrenceRow | None
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
    key = ("meeting", account_id, meeting_id, who.role, own_forms)
    part = parts().fragments.get(key, lambda: _render(row, account_id, meeting_id), GRID_FRESH_SECONDS)
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


def _render(row: MeetingRow, account_id: str, meeting_id: int) -> str:
    with parts().database.read() as connection:
        occurrences = read_occurrences(connection, account_id, meeting_id)
        instances = read_instances(connection, account_id, meeting_id)
        undecided = read_contradicted(connection, account_id, meeting_id)
    return render_template(
        "meeting_part.html",
        meeting=row,
        grid=grid_of(occurrences, instances),
        link_states={one.link_state for one in instances},
        occurrence_states={one.state for one in occurrences},
        occurrences=occurrences,
        chart=chart_of(occurrences),
        reviews=[Undecided(one, read_evidence(one)) for one in reversed(instances) if one.uuid in undecided],
        starts={one.occurrence_id: one.scheduled_start for one in occurrences},
        largest=max([one.registrants + (one.walk_ins or 0) + (one.unidentified or 0) for one in occurrences] + [1]),
    )


def grid_of(occurrences: list[OccurrenceRow], instances: list[InstanceRow]) -> list[GridRow]:
    """Occurrences with their instances, and instances without one, in order of time, newest first."""
    linked: dict[str, list[InstanceRow]] = {}
    rows = list[GridRow]()
    known = {occurrence.occurrence_id for occurrence in occurrences}
    for instance in instances:
        if instance.occurrence_id in known:
            linked.setdefault(str(instance.occurrence_id), []).append(instance)
        else:
            rows.append(GridRow(None, [instance]))
    rows += [GridRow(one, linked.get(one.occurrence_id, [])) for one in occurrences]
    return sorted(rows, key=_place, reverse=True)


def _place(row: GridRow) -> float:
    if row.occurrence is not None:
        return when(row.occurrence.scheduled_start or row.occurrence.held_from)
    return when(row.instances[0].started_at)


def read_evidence(instance: InstanceRow) -> dict[str, Any]:
    """What a link rests on."""
    try:
        found = json.loads(instance.link_evidence or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
