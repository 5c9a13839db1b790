"""An instance: who was present and when, how many over time, its events, and the decision about its link."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from flask import Blueprint, Response, abort, current_app, redirect, render_template, request
from sqlalchemy import Connection

from schema.addresses import instance_url, meeting_url, uuid_part
from schema.own_events import link_event
from schema.store.audit import read_audit
from schema.store.inbox_search import Wanted, read_events_before
from schema.store.instances import StayRow, by_person, read_link_history, read_stay_rows
from schema.store.join_log import INT64_MAX
from schema.store.live import read_stays
from schema.store.meetings import (
    Date,
    InstanceRow,
    OccurrenceRow,
    OtherDate,
    read_dates,
    read_instance,
    read_occurrences,
    read_other_dates,
)
from schema.zoom.envelope import read_envelope
from webhook.access import granted, operators_only, require_meeting
from webhook.group_commit import Delivery
from webhook.pages.curves import curve_of, peak_of, share
from webhook.pages.formatting import fragment_answer, person_token, read_account, read_uuid
from webhook.pages.meeting import read_evidence
from webhook.parts import parts

PEOPLE_SHOWN = 300
EVENTS_SHOWN = 50
HISTORY_SHOWN = 20
REASON_CHARACTERS_MAX = 500
NAME_CHARACTERS_MAX = 80
PART_FRESH_SECONDS = 2.0
WITHDRAW = "-"  # the occurrence a form names to withdraw an operator's decision

blueprint = Blueprint("instance", __name__)


class Bar(NamedTuple):
    """A stay as a bar: where it begins and how long it is, percent of the instance."""

    x: float
    width: float
    stay: StayRow


class Person(NamedTuple):
    """A person who was in the instance, with a bar for each stay."""

    token: str
    name: str | None
    email: str | None
    role: str | None
    is_registered: bool
    is_present: bool
    minutes: float
    bars: list[Bar]


@blueprint.get("/instance/<account>/<part>")
def instance(account: str, part: str) -> str | Response:
    """One instance."""
    row = found_instance(account, part)
    key = ("instance", row.account_id, row.uuid, granted().role)
    shown = parts().fragments.get(key, lambda: _render(row), PART_FRESH_SECONDS)
    if "HX-Request" in request.headers:
        return fragment_answer(shown)
    with parts().database.read() as connection:
        dates = _dates(connection, row) if granted().decides else []
        others = _other_dates(connection, row) if granted().decides else []
    return render_template("instance.html", instance=row, part=shown, occurrences=dates, others=others)


@blueprint.get("/instance/<account>/<part>/curve.json")
def curve(account: str, part: str) -> Response:
    """How many were present, as two lists for the chart: seconds since 1970, and people from then on."""
    row = found_instance(account, part)
    with parts().database.read() as connection:
        points = curve_of(read_stays(connection, row.account_id, row.uuid), row.ended_at or datetime.now(UTC))
    return cast(Response, current_app.json.response([[p.at.timestamp() for p in points], [p.present for p in points]]))


@blueprint.post("/instance/<account>/<part>/link")
@operators_only
def decide(account: str, part: str) -> Response:
    """Keep an operator's decision which occurrence it was, or its withdrawal, as an event like Zoom's."""
    row = found_instance(account, part)
    occurrence_id, because = request.form.get("occurrence", ""), request.form.get("because", "").strip()
    name = request.form.get("by", "").strip()[:NAME_CHARACTERS_MAX]
    if not because or len(because) > REASON_CHARACTERS_MAX:
        abort(400, f"Say why, in at most {REASON_CHARACTERS_MAX} characters: whoever reads it later will want to know.")
    meeting_id = row.meeting_id
    if occurrence_id != WITHDRAW:
        with parts().database.read() as connection:
            others = {f"{one.meeting_id}:{one.occurrence_id}": one for one in _other_dates(connection, row)}
            if occurrence_id in others:
                meeting_id, occurrence_id = others[occurrence_id].meeting_id, others[occurrence_id].occurrence_id
            elif occurrence_id not in {date.occurrence_id for date in _dates(connection, row)}:
                abort(400, "The meeting has no such occurrence.")
    now = datetime.now(UTC)
    link = f"link {granted().link_id}"
    body = link_event(
        row.account_id,
        meeting_id,
        row.uuid,
        None if occurrence_id == WITHDRAW else occurrence_id,
        f"{name} ({link})" if name else link,
        because,
        now,
    )
    parts().committer.commit(Delivery(read_envelope(body), now))
    if occurrence_id == WITHDRAW or meeting_id is None or meeting_id != row.meeting_id:
        return cast(Response, redirect(instance_url(row.account_id, row.uuid), 303))
    queue = f"{meeting_url(row.account_id, row.meeting_id)}?decided={uuid_part(row.uuid)}#review"
    return cast(Response, redirect(queue, 303))


def found_instance(account: str, part: str) -> InstanceRow:
    """The instance a path names; 404 when there is none, 403 when the link is for another meeting."""
    with parts().database.read() as connection:
        row = read_instance(connection, read_account(account), read_uuid(part))
    if row is None:
        require_meeting(-1)  # a link for one meeting must not tell which instances of others exist
        abort(404, "Joinlog has not heard of this instance.")
    require_meeting(row.meeting_id)
    return row


def _dates(connection: Connection, row: InstanceRow) -> list[Date]:
    return [] if row.meeting_id is None else read_dates(connection, row.account_id, row.meeting_id)


def _other_dates(connection: Connection, row: InstanceRow) -> list[OtherDate]:
    """What it may have been of other meetings; a page link for one meeting does not tell of them."""
    return [] if granted().meeting_id is not None else read_other_dates(connection, row)


def _occurrence(connection: Connection, row: InstanceRow) -> OccurrenceRow | None:
    if row.meeting_id is None or row.occurrence_id is None:
        return None
    found = read_occurrences(connection, row.account_id, row.meeting_id, [row.occurrence_id])
    return found[0] if found else None


def _render(row: InstanceRow) -> str:
    now = datetime.now(UTC)
    with parts().database.read() as connection:
        stays = read_stay_rows(connection, row.account_id, row.uuid)
        points = curve_of(read_stays(connection, row.account_id, row.uuid), row.ended_at or now)
        occurrence = _occurrence(connection, row)
        dates = _dates(connection, row)
        link_history = read_link_history(connection, row.account_id, row.uuid, HISTORY_SHOWN)
        wanted = Wanted(uuid=row.uuid, account_id=row.account_id)
        events = read_events_before(connection, wanted, INT64_MAX, EVENTS_SHOWN + 1)
        audit = read_audit(connection, row.account_id, row.uuid) if row.ended_at else None
    people = people_of(row, stays, now)
    return render_template(
        "instance_part.html",
        instance=row,
        occurrence=occurrence,
        starts={date.occurrence_id: date.scheduled_start for date in dates},
        evidence=read_evidence(row),
        people=people[:PEOPLE_SHOWN],
        people_total=len(people),
        present=sum(1 for one in people if one.is_present),
        peak=peak_of(points),
        link_history=link_history,
        audit=audit,
        lost=json.loads(audit.webhooks_lost_by_event or "{}") if audit else {},
        events=[event for event, _ in events[:EVENTS_SHOWN]],
        has_more_events=len(events) > EVENTS_SHOWN,
    )


def people_of(row: InstanceRow, stays: list[StayRow], now: datetime) -> list[Person]:
    """Who was present, in the order of their first join; minutes in which their stays overlap count once."""
    tokens = parts().guard.tokens
    begin = min([s.joined_at for s in stays if s.joined_at] + ([row.started_at] if row.started_at else []), default=now)
    end = max([row.ended_at or now, *(s.left_at for s in stays if s.left_at)])
    found = []
    for person_id, own in by_person(stays):
        spent = sum(((s.left_at or now) - s.counts_from for s in own if s.counts_from), timedelta())
        found.append(
            Person(
                token=person_token(tokens, row.account_id, row.meeting_id, person_id),
                name=_last([s.name for s in own]),
                email=_last([s.email for s in own]),
                role=_last([s.role for s in own]),
                is_registered=person_id.startswith("registrant:"),
                is_present=any(s.joined_at is not None and s.left_at is None for s in own),
                minutes=spent.total_seconds() / 60,
                bars=[_bar(s, begin, end) for s in own],
            )
        )
    return found


def _bar(stay: StayRow, begin: datetime, end: datetime) -> Bar:
    left = stay.left_at or end
    x = share(begin, end, stay.joined_at or left)
    return Bar(x, max(0.4, round(share(begin, end, left) - x, 3)), stay)


def _last(values: list[Any]) -> Any:
    return next((value for value in reversed(values) if value), None)
