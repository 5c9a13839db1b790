"""An occurrence: who had registered, who came and for how long, who did not; the same rows as files.

What is asked for stands in the address, but for the search: it is often a name or an address, and is posted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, current_app, render_template, request
from sqlalchemy import Connection

from schema.addresses import meeting_url, occurrence_url
from schema.people import WHO, Minimum, Person
from schema.store.audit import read_records
from schema.store.meetings import InstanceRow, OccurrenceRow, read_instances, read_meeting, read_occurrences
from schema.store.people import PersonStay, read_people, read_presence, read_stays_of
from webhook.access import granted, require_occurrence
from webhook.pages.curves import curve_of, share
from webhook.pages.exports import export, person_for
from webhook.pages.filters import SEARCH_CHARACTERS_MAX, words_of
from webhook.pages.formatting import email_for, fragment_answer, person_token, read_account, read_occurrence
from webhook.pages.page_links import DURATIONS, links_listed
from webhook.pages.record import record_says
from webhook.parts import parts
from webhook.tokens import Role

PEOPLE_SHOWN = 100  # on one page
BARS_MAX = 20  # of one person; who came more often is shown by the first of them
PART_FRESH_SECONDS = 2.0
TABS = {
    "attended": "Attended",
    "no-shows": "No-shows",
    "walk-ins": "Walk-ins",
    "unidentified": "Unidentified",
    "staff": "Staff",
    "registrants": "Registered",
    "all": "Everybody",
}
ENOUGH, SHORT = "enough", "short"  # the two parts of who attended, once a minimum is asked for
COLUMNS = {  # what rows are sorted by, and which end comes first when a heading is clicked
    "name": ("Name", "A first", "Z first"),
    "email": ("Address", "A first", "Z first"),
    "registered": ("Registered", "earliest first", "latest first"),
    "-time": ("Time", "longest first", "shortest first"),
    "-share": ("Share", "most first", "least first"),
    "why": ("Why", "A first", "Z first"),
    "first": ("Stays", "who came first", "who came last"),
}
ORDER = "-time"  # unless the address says otherwise
FILE_COLUMNS = (*Person._fields, "is_enough", "shortfall")

blueprint = Blueprint("occurrence", __name__)


class Heading(NamedTuple):
    """A column's heading: where it leads, and how the rows are sorted by it now, as `aria-sort` says it."""

    label: str
    query: str
    sorted: str | None


def turned(order: str) -> str:
    """The other way round."""
    return order[1:] if order.startswith("-") else f"-{order}"


ORDERS = {
    named: f"{label}: {words}"
    for order, (label, *both) in COLUMNS.items()
    for named, words in zip((order, turned(order)), both, strict=True)
}


class Asked(NamedTuple):
    """What an address asks for: which people, in which order, how long they must have been there, which page."""

    who: str
    order: str
    minimum: Minimum
    page: int

    def headings(self) -> list[Heading]:
        """The columns; the one that the rows are sorted by leads to the other way round."""
        found = []
        for order, (label, *_) in COLUMNS.items():
            is_own = self.order in (order, turned(order))
            leads_to = turned(self.order) if is_own else order
            way = ("descending" if self.order.startswith("-") else "ascending") if is_own else None
            found.append(Heading(label, self.query(sort=None if leads_to == ORDER else leads_to), way))
        return found

    def query(self, **changed: Any) -> str:
        """The address's query with some of it changed; the first page unless another is named."""
        values = {
            "who": self.who,
            "sort": None if self.order == ORDER else self.order,
            "min_minutes": _plain_number(self.minimum.minutes),
            "min_share": _plain_number(self.minimum.percent),
            "page": None,
            **changed,
        }
        return urlencode({name: value for name, value in values.items() if value is not None})


class Row(NamedTuple):
    """A person as the page shows them."""

    person: Person
    token: str
    bars: list[tuple[float, float, bool]]  # where it begins and how long it is, percent; whether it goes on
    shortfall: str | None
    is_enough: bool | None


def read_asked(values: Any) -> Asked:
    """What a query asks for; what makes no sense is left out."""
    minimum = Minimum(_number(values.get("min_minutes")), _number(values.get("min_share")))
    known = {*TABS, *((ENOUGH, SHORT) if minimum.is_set else ())}
    who, order, page = values.get("who", ""), values.get("sort", ""), values.get("page", "")
    return Asked(
        who if who in known else "",
        order if order in ORDERS else ORDER,
        minimum,
        int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )


def chosen(people: Sequence[Person], asked: Asked, words: Sequence[str], role: Role) -> list[Person]:
    """The people who are asked for, in the order that is asked for."""
    if asked.who in (ENOUGH, SHORT):
        found = [one for one in people if asked.minimum.is_enough(one) is (asked.who == ENOUGH)]
    else:
        found = [one for one in people if one.standing in WHO[asked.who]]
    if words:
        found = [one for one in found if _fits(one, words, role)]
    return in_order(found, asked.order, role)


def in_order(people: Sequence[Person], order: str, role: Role) -> list[Person]:
    """These people as an order of ORDERS has them; whoever has no such value comes last, equals by name."""
    column = order.removeprefix("-")
    by_name = sorted(people, key=lambda one: (one.name is None, (one.name or "").casefold(), one.person_id))
    valued = [(_value(one, column, role), one) for one in by_name]
    known = sorted((pair for pair in valued if pair[0] is not None), key=itemgetter(0), reverse=order.startswith("-"))
    return [one for _, one in known] + [one for value, one in valued if value is None]


@blueprint.route("/meeting/<account>/<int:meeting_id>/occurrence/<occurrence>", methods=["GET", "POST"])
def page(account: str, meeting_id: int, occurrence: str) -> str | Response:
    """The page; a post carries the search."""
    account_id, occurrence_id = read_account(account), read_occurrence(occurrence)
    require_occurrence(meeting_id, occurrence_id)
    search = request.form.get("q", "")[:SEARCH_CHARACTERS_MAX].strip()
    with parts().database.read() as connection:
        meeting = read_meeting(connection, account_id, meeting_id)
        row = _found(connection, account_id, meeting_id, occurrence_id)
    asked = read_asked(request.args.to_dict() | request.form.to_dict())
    if not asked.who:
        asked = asked._replace(who="attended" if row.instances else "registrants")
    if search:
        html, tag = _render(row, account_id, meeting_id, asked, search), ""
    else:
        of_one = granted().occurrence_id is not None  # its page leads nowhere else
        key = ("occurrence", account_id, meeting_id, occurrence_id, granted().role, of_one, asked)
        shown = parts().fragments.get(key, lambda: _render(row, account_id, meeting_id, asked, ""), PART_FRESH_SECONDS)
        if "HX-Request" in request.headers:
            return fragment_answer(shown)
        html, tag = shown.html, shown.tag
    url = occurrence_url(account_id, meeting_id, occurrence_id)
    return render_template(
        "occurrence.html", meeting=meeting, meeting_id=meeting_id, occurrence=row, html=html, tag=tag, url=url,
        meeting_address=meeting_url(account_id, meeting_id), asked=asked, search=search, orders=ORDERS,
        durations=DURATIONS, page_links=links_listed(meeting_id, occurrence_id),
        starts={occurrence_id: row.scheduled_start},
    )  # fmt: skip


@blueprint.get("/meeting/<account>/<int:meeting_id>/occurrence/<occurrence>/curve.json")
def curve(account: str, meeting_id: int, occurrence: str) -> Response:
    """How many were present over all instances: two lists for the chart, seconds since 1970 and people from then on."""
    account_id, occurrence_id = read_account(account), read_occurrence(occurrence)
    require_occurrence(meeting_id, occurrence_id)
    with parts().database.read() as connection:
        row = _found(connection, account_id, meeting_id, occurrence_id)
        uuids = [one.uuid for one in _instances(connection, account_id, meeting_id, occurrence_id)]
        points = curve_of(read_presence(connection, account_id, uuids), row.held_until or datetime.now(UTC))
    return cast(Response, current_app.json.response([[p.at.timestamp() for p in points], [p.present for p in points]]))


@blueprint.route(
    "/meeting/<account>/<int:meeting_id>/occurrence/<occurrence>/people.<any(csv, json, xlsx):form>",
    methods=["GET", "POST"],
)
def people_file(account: str, meeting_id: int, occurrence: str, form: str) -> Response:
    """Just the rows that the page shows, all pages of them; a post carries the search."""
    account_id, occurrence_id = read_account(account), read_occurrence(occurrence)
    require_occurrence(meeting_id, occurrence_id)
    asked, role = read_asked(request.args), granted().role
    with parts().database.read() as connection:
        _found(connection, account_id, meeting_id, occurrence_id)
        people = read_people(connection, account_id, meeting_id, occurrence_id)
    rows = chosen(people, asked if asked.who else asked._replace(who="all"), words_of(request.form.get("q", "")), role)
    name = f"people-{meeting_id}-{asked.who or 'all'}"
    return export(name, form, FILE_COLUMNS, file_rows(rows, asked.minimum, role), for_excel=True)


def file_rows(people: Sequence[Person], minimum: Minimum, role: Role) -> Iterator[tuple[Any, ...]]:
    """The rows of a file, as somebody may see them."""
    for one in people:
        enough = minimum.is_enough(one)
        shortfall = minimum.shortfall(one) if enough is False else None
        masked = one._replace(person_id=person_for(role, one.person_id) or "", email=email_for(role, one.email) or None)
        yield (*masked, enough, shortfall)


def _found(connection: Connection, account_id: str, meeting_id: int, occurrence_id: str) -> OccurrenceRow:
    rows = read_occurrences(connection, account_id, meeting_id, [occurrence_id])
    return rows[0] if rows else abort(404, "Joinlog has not heard of this occurrence.")


def _instances(connection: Connection, account_id: str, meeting_id: int, occurrence_id: str) -> list[InstanceRow]:
    found = read_instances(connection, account_id, meeting_id)
    return [one for one in found if one.occurrence_id == occurrence_id]


def _render(row: OccurrenceRow, account_id: str, meeting_id: int, asked: Asked, search: str) -> str:
    role, now = granted().role, datetime.now(UTC)
    with parts().database.read() as connection:
        instances = _instances(connection, account_id, meeting_id, row.occurrence_id)
        uuids = [one.uuid for one in instances]
        people = read_people(connection, account_id, meeting_id, row.occurrence_id)
        records = read_records(connection, account_id, meeting_id, row.occurrence_id)
        wanted = chosen(people, asked, words_of(search), role)
        pages = max(1, -(-len(wanted) // PEOPLE_SHOWN))
        number = min(max(1, asked.page), pages)
        shown = wanted[(number - 1) * PEOPLE_SHOWN : number * PEOPLE_SHOWN]
        stays: dict[str, list[PersonStay]] = {}
        for stay in read_stays_of(connection, account_id, uuids, [one.person_id for one in shown]):
            stays.setdefault(stay.person_id, []).append(stay)
    has_credentials = account_id in {one.account_id for one in parts().settings.zoom_credentials}
    begin, end = row.held_from or now, row.held_until or now
    tokens = parts().guard.tokens
    return render_template(
        "occurrence_part.html",
        occurrence=row,
        url=occurrence_url(account_id, meeting_id, row.occurrence_id),
        account_id=account_id,
        instances=instances,
        record=record_says(records, has_credentials, role is Role.OPERATOR),
        asked=asked,
        search=search,
        tabs=tabs_of(people, asked),
        rows=[
            Row(
                one,
                person_token(tokens, account_id, meeting_id, one.person_id),
                [_bar(stay, begin, end) for stay in stays.get(one.person_id, ())[:BARS_MAX]],
                asked.minimum.shortfall(one) if asked.minimum.is_enough(one) is False else None,
                asked.minimum.is_enough(one),
            )
            for one in shown
        ],
        total=len(wanted),
        number=number,
        pages=pages,
    )


def tabs_of(people: Sequence[Person], asked: Asked) -> list[tuple[str, str, int]]:
    """Name in the address, label and count of each part of the people."""
    found = [(who, label, sum(one.standing in WHO[who] for one in people)) for who, label in TABS.items()]
    if asked.minimum.is_set:
        enough = [asked.minimum.is_enough(one) for one in people]
        found[1:1] = [(ENOUGH, "Enough", enough.count(True)), (SHORT, "Short", enough.count(False))]
    return found


def _bar(stay: PersonStay, begin: datetime, end: datetime) -> tuple[float, float, bool]:
    left = stay.left_at or end
    x = share(begin, end, stay.joined_at or left)
    return round(x, 1), max(0.4, round(share(begin, end, left) - x, 1)), stay.left_at is None


def _value(one: Person, column: str, role: Role) -> Any:
    """What a column sorts somebody by, of what this role may see; None where they have nothing of the kind."""
    if column == "name":
        return one.name.casefold() if one.name else None
    if column == "email":
        return email_for(role, one.email) or None
    if column == "why":
        return one.reason
    if column in ("first", "registered"):
        return one.first_joined_at if column == "first" else one.registered_since
    return one.attended_share if column == "share" else one.attended_seconds


def _fits(one: Person, words: Sequence[str], role: Role) -> bool:
    text = f"{one.name or ''} {email_for(role, one.email)}".casefold()
    return all(word in text for word in words)


def _number(text: str | None) -> float | None:
    whole, _, part = (text or "").partition(".")
    digits = whole + part
    if not (digits.isascii() and digits.isdigit() and whole and len(digits) <= 8):
        return None
    return float(f"{whole}.{part or '0'}")


def _plain_number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"
