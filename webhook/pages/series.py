"""All dates of a meeting together: how attendance went, curves laid over each other, and who came to which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, render_template, request

from schema.addresses import meeting_url
from schema.people import Person
from schema.states import PersonStanding
from schema.store.meetings import OccurrenceRow, read_instances, read_meeting, read_occurrences
from schema.store.people import read_people, read_presence
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
CAME = frozenset({PersonStanding.ATTENDED, PersonStanding.WALK_IN, PersonStanding.UNIDENTIFIED, PersonStanding.STAFF})

blueprint = Blueprint("series", __name__)


class MatrixRow(NamedTuple):
    """A person, and what they were to each occurrence."""

    newest: Person
    came: int
    seconds: float
    at: Mapping[str, Person]


class Curve(NamedTuple):
    """The people present in an occurrence, minute by minute since it began."""

    occurrence: OccurrenceRow
    present: list[int]

    def points(self, minutes: int, most: int) -> str:
        """A line in CURVE_WIDTH by CURVE_HEIGHT, of `minutes` and `most` people in all."""
        return " ".join(
            f"{minute / max(1, minutes) * CURVE_WIDTH:.0f},{CURVE_HEIGHT - value / max(1, most) * CURVE_HEIGHT:.0f}"
            for minute, value in enumerate(self.present)
        )


def matrix_of(people: Iterable[tuple[str, Person]]) -> list[MatrixRow]:
    """One row per person, from the people of each occurrence in order of time; who came most often first."""
    grouped: dict[str, dict[str, Person]] = {}
    for occurrence_id, person in people:
        grouped.setdefault(person.person_id, {})[occurrence_id] = person
    rows = []
    for at in grouped.values():
        own = list(at.values())
        came = [one for one in own if one.standing in CAME]
        rows.append(MatrixRow(own[-1], len(came), sum(one.attended_seconds for one in came), at))
    return sorted(rows, key=lambda row: (-row.came, -row.seconds, row.newest.name or "", row.newest.person_id))


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
    dates = [one for one in _occurrences(account_id, meeting_id) if one.instances]
    rows = matrix_of(_people(account_id, meeting_id, dates))
    columns = ("person_id", "name", "email", "came", "seconds", *(_heading(one) for one in dates))

    def cells() -> Iterator[tuple[Any, ...]]:
        for row in rows:
            one = row.newest
            stays = [
                row.at[date.occurrence_id].attended_seconds if date.occurrence_id in row.at else None for date in dates
            ]
            yield person_for(role, one.person_id), one.name, email_for(role, one.email), row.came, row.seconds, *stays

    return export(f"matrix-{meeting_id}", form, columns, cells(), for_excel=True)


@blueprint.get("/meeting/<account>/<int:meeting_id>/curves.<any(csv, json, xlsx):form>")
def curves_file(account: str, meeting_id: int, form: str) -> Response:
    """People present in each occurrence, minute by minute since it began."""
    account_id = _asked_for(account, meeting_id)
    found = _curves(account_id, meeting_id, [one for one in _occurrences(account_id, meeting_id) if one.instances])
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


def _occurrences(account_id: str, meeting_id: int) -> list[OccurrenceRow]:
    with parts().database.read() as connection:
        return read_occurrences(connection, account_id, meeting_id)


def _people(account_id: str, meeting_id: int, dates: Sequence[OccurrenceRow]) -> Iterator[tuple[str, Person]]:
    for one in dates:  # one at a time: a statement for all of them could take too long
        with parts().database.read() as connection:
            found = read_people(connection, account_id, meeting_id, one.occurrence_id)
        yield from ((one.occurrence_id, person) for person in found)


def _curves(account_id: str, meeting_id: int, dates: Sequence[OccurrenceRow]) -> list[Curve]:
    now = datetime.now(UTC)
    found = []
    with parts().database.read() as connection:
        instances = read_instances(connection, account_id, meeting_id)
        for one in dates:
            uuids = [instance.uuid for instance in instances if instance.occurrence_id == one.occurrence_id]
            begin, end = one.held_from or now, one.held_until or now
            points = curve_of(read_presence(connection, account_id, uuids), end)
            minutes = max(1, int((end - begin) / timedelta(minutes=1)))
            found.append(Curve(one, samples(points, begin, begin + timedelta(minutes=minutes), minutes)))
    return found


def _render(account_id: str, meeting_id: int, number: int) -> str:
    held = [one for one in _occurrences(account_id, meeting_id) if one.instances]
    dates, role = held[-DATES_SHOWN:], granted().role
    rows = matrix_of(_people(account_id, meeting_id, dates))
    curves = _curves(account_id, meeting_id, dates)
    tokens = parts().guard.tokens
    pages = max(1, -(-len(rows) // PEOPLE_SHOWN))
    number = min(number, pages)
    shown = rows[(number - 1) * PEOPLE_SHOWN : number * PEOPLE_SHOWN]
    return render_template(
        "series_part.html",
        account_id=account_id, meeting_id=meeting_id, role=role, dates=dates, held=len(held), curves=curves,
        rows=[(row, person_token(tokens, account_id, meeting_id, row.newest.person_id)) for row in shown],
        total=len(rows), number=number, pages=pages, width=CURVE_WIDTH, height=CURVE_HEIGHT,
        minutes=max((len(one.present) for one in curves), default=1) - 1,
        most=max((max(one.present) for one in curves), default=1),
    )  # fmt: skip


def _heading(one: OccurrenceRow) -> str:
    start = one.scheduled_start or one.held_from
    return f"{start:%Y-%m-%d %H:%M} UTC ({one.occurrence_id})" if start else one.occurrence_id
