"""All dates of a meeting together: how attendance went, curves laid over each other, and who came to which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, render_template, request

from schema.addresses import meeting_url
from schema.store.matrix import (
    REGISTRANT,
    Came,
    Signed,
    Total,
    read_came,
    read_registered,
    read_signed,
    read_totals,
)
from schema.store.meetings import Date, read_dates, read_instances, read_meeting
from schema.store.people import read_presence
from webhook.access import granted, require_meeting
from webhook.pages.curves import curve_of, samples
from webhook.pages.exports import export, person_for
from webhook.pages.formatting import email_for, person_token, read_account
from webhook.pages.parameters import read_number
from webhook.parts import parts

DATES_SHOWN = 12  # newest ones, as columns of the page's matrix and as curves; the files hold all
PEOPLE_SHOWN = 100
FRESH_SECONDS = 10.0
CURVE_WIDTH, CURVE_HEIGHT = 600, 160
CURVE_POINTS_MAX = 300  # of one curve on the page, which is not much wider; the files hold every minute
CURVE_MINUTES_MAX = 24 * 60  # an instance whose end never came does not run for ever

blueprint = Blueprint("series", __name__)


class MatrixRow(NamedTuple):
    """A person, and for how many seconds they were in each occurrence; None where they had registered and did not."""

    person_id: str
    name: str | None
    email: str | None
    came: int
    seconds: float
    at: Mapping[str, float | None]


class Curve(NamedTuple):
    """The people present in an occurrence, minute by minute since it began."""

    occurrence: Date
    present: list[int]

    def points(self, minutes: int, most: int) -> str:
        """A line in CURVE_WIDTH by CURVE_HEIGHT, of `minutes` and `most` people in all: the most of each step."""
        step = -(-len(self.present) // CURVE_POINTS_MAX)
        steps = [(at, max(self.present[at : at + step])) for at in range(0, len(self.present), step)]
        return " ".join(
            f"{minute / max(1, minutes) * CURVE_WIDTH:.0f},{CURVE_HEIGHT - value / max(1, most) * CURVE_HEIGHT:.0f}"
            for minute, value in steps
        )


def matrix_of(
    totals: Iterable[Total],
    came: Iterable[Came],
    registered: Iterable[tuple[str, str]],
    signed: Mapping[str, Signed],
) -> list[MatrixRow]:
    """One row per person, in the order of the totals; a name they registered with outweighs one they showed."""
    cells: dict[str, dict[str, float | None]] = {}
    shown: dict[str, Came] = {}
    for registrant_id, occurrence_id in registered:
        cells.setdefault(f"{REGISTRANT}{registrant_id}", {})[occurrence_id] = None
    for one in came:
        cells.setdefault(one.person_id, {})[one.occurrence_id] = one.seconds
        shown[one.person_id] = one
    rows = []
    for total in totals:
        own = signed.get(total.person_id.removeprefix(REGISTRANT)) if total.person_id.startswith(REGISTRANT) else None
        beside = shown.get(total.person_id)
        name = (own.name if own else None) or (beside.name if beside else None)
        email = (own.email if own else None) or (beside.email if beside else None)
        rows.append(MatrixRow(total.person_id, name, email, total.came, total.seconds, cells.get(total.person_id, {})))
    return rows


@blueprint.get("/meeting/<account>/<int:meeting_id>/series")
def page(account: str, meeting_id: int) -> str:
    """The page."""
    account_id = _asked_for(account, meeting_id)
    with parts().database.read() as connection:
        meeting = read_meeting(connection, account_id, meeting_id)
    number = max(1, read_number(request.args.get("page", "")) or 1)
    key = ("series", account_id, meeting_id, granted().role, number)
    shown = parts().fragments.get(key, lambda: _render(account_id, meeting_id, number), FRESH_SECONDS)
    return render_template(
        "series.html",
        meeting=meeting,
        meeting_id=meeting_id,
        html=shown.html,
        address=meeting_url(account_id, meeting_id),
    )


@blueprint.get("/meeting/<account>/<int:meeting_id>/matrix.<any(csv, json, xlsx):form>")
def matrix_file(account: str, meeting_id: int, form: str) -> Response:
    """Who came to which: seconds of each person in each date; 0 for no-shows, nothing for who had not registered."""
    account_id, role = _asked_for(account, meeting_id), granted().role
    dates = _held(account_id, meeting_id)
    ids = [one.occurrence_id for one in dates]
    columns = ("person_id", "name", "email", "came", "seconds", *(_heading(one) for one in dates))
    with parts().database.read() as connection:
        totals = read_totals(connection, account_id, meeting_id, ids)
    rows = _rows(account_id, meeting_id, ids, totals, all_of_them=True)

    def cells() -> Iterator[tuple[Any, ...]]:
        for row in rows:
            stays = [row.at[name] or 0.0 if name in row.at else None for name in ids]
            yield person_for(role, row.person_id), row.name, email_for(role, row.email), row.came, row.seconds, *stays

    return export(f"matrix-{meeting_id}", form, columns, cells(), for_excel=True)


@blueprint.get("/meeting/<account>/<int:meeting_id>/curves.<any(csv, json, xlsx):form>")
def curves_file(account: str, meeting_id: int, form: str) -> Response:
    """People present in each occurrence, minute by minute since it began."""
    account_id = _asked_for(account, meeting_id)
    found = _curves(account_id, meeting_id, _held(account_id, meeting_id))
    rows = (
        (one.occurrence.occurrence_id, one.occurrence.scheduled_start, one.occurrence.held_from, minute, present)
        for one in found
        for minute, present in enumerate(one.present)
    )
    columns = ("occurrence_id", "scheduled_start", "held_from", "minute", "present")
    return export(f"curves-{meeting_id}", form, columns, rows, for_excel=True)


def _asked_for(account: str, meeting_id: int) -> str:
    """The account, once this meeting may be seen; 404 when nothing is known of it."""
    require_meeting(meeting_id)
    account_id = read_account(account)
    with parts().database.read() as connection:
        if read_meeting(connection, account_id, meeting_id) is None:
            abort(404, "Joinlog has not heard of this meeting.")
    return account_id


def _held(account_id: str, meeting_id: int) -> list[Date]:
    with parts().database.read() as connection:
        return [one for one in read_dates(connection, account_id, meeting_id) if one.instances]


def _rows(
    account_id: str, meeting_id: int, dates: Sequence[str], totals: Sequence[Total], *, all_of_them: bool = False
) -> list[MatrixRow]:
    """The rows of these people, who are `all_of_them` or a page of them."""
    people = None if all_of_them else [one.person_id for one in totals]
    registrants = (
        None if people is None else [one.removeprefix(REGISTRANT) for one in people if one.startswith(REGISTRANT)]
    )
    of = (account_id, meeting_id)
    with parts().database.read() as connection:
        return matrix_of(
            totals,
            read_came(connection, *of, dates, people),
            read_registered(connection, *of, dates, registrants),
            read_signed(connection, *of, registrants),
        )


def _curves(account_id: str, meeting_id: int, dates: Sequence[Date]) -> list[Curve]:
    now = datetime.now(UTC)
    found = []
    with parts().database.read() as connection:
        instances = read_instances(connection, account_id, meeting_id)
        for one in dates:
            uuids = [instance.uuid for instance in instances if instance.occurrence_id == one.occurrence_id]
            begin, end = one.held_from or now, one.held_until or now
            points = curve_of(read_presence(connection, account_id, uuids), end)
            minutes = min(CURVE_MINUTES_MAX, max(1, int((end - begin) / timedelta(minutes=1))))
            found.append(Curve(one, samples(points, begin, begin + timedelta(minutes=minutes), minutes)))
    return found


def _render(account_id: str, meeting_id: int, number: int) -> str:
    held = _held(account_id, meeting_id)
    dates, role = held[-DATES_SHOWN:], granted().role
    ids = [one.occurrence_id for one in dates]
    with parts().database.read() as connection:
        totals = read_totals(connection, account_id, meeting_id, ids)
    curves = _curves(account_id, meeting_id, dates)
    tokens = parts().guard.tokens
    pages = max(1, -(-len(totals) // PEOPLE_SHOWN))
    number = min(number, pages)
    shown = _rows(account_id, meeting_id, ids, totals[(number - 1) * PEOPLE_SHOWN : number * PEOPLE_SHOWN])
    return render_template(
        "series_part.html",
        account_id=account_id, meeting_id=meeting_id, role=role, dates=dates, held=len(held), curves=curves,
        rows=[(row, person_token(tokens, account_id, meeting_id, row.person_id)) for row in shown],
        total=len(totals), number=number, pages=pages, width=CURVE_WIDTH, height=CURVE_HEIGHT,
        minutes=max((len(one.present) for one in curves), default=1) - 1,
        most=max((max(one.present) for one in curves), default=1),
    )  # fmt: skip


def _heading(one: Date) -> str:
    start = one.scheduled_start or one.held_from
    return f"{start:%Y-%m-%d %H:%M} UTC ({one.occurrence_id})" if start else one.occurrence_id
