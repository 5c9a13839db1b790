"""Every list of the pages as CSV and as JSON: all rows that fit the filters, streamed, however many.

Rows are made while they are sent, when the request is over: who may see what is decided before, and handed to them as
values.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import chain
from typing import cast

from flask import Blueprint, Response, abort, request

from schema.files import BYTE_ORDER_MARK, Rows, as_csv, as_json, as_xlsx
from schema.store.instances import read_stay_rows
from schema.store.meetings import (
    AttendanceRow,
    InstanceRow,
    MeetingRow,
    OccurrenceRow,
    RegistrantRow,
    read_attendance,
    read_instances,
    read_meetings,
    read_occurrences,
    read_registrants,
)
from webhook.access import granted, operators_only, require_meeting
from webhook.pages.formatting import email_for, read_account
from webhook.pages.inbox import COLUMNS as EVENT_COLUMNS
from webhook.pages.inbox import find_all, wanted_events
from webhook.pages.instance import found_instance
from webhook.pages.live import reader_of, wanted_filters
from webhook.parts import parts
from webhook.tokens import Role

EXPORTS_MAX = 4  # at the same moment: each holds one of webhook.wsgi.STREAMS_MAX threads
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
MEETINGS_AT_ONCE = 500
LINE_COLUMNS = (
    "event_ts", "kind", "account_id", "meeting_id", "topic", "uuid", "occurrence_id", "scheduled_start", "name",
    "email", "detail",
)  # fmt: skip
STAY_COLUMNS = (
    "person_id", "name", "email", "role", "registrant_id", "connection_id", "room_uuid", "joined_at", "left_at",
    "left_is_inferred", "leave_reason", "counts_from",
)  # fmt: skip

PRIVATE_KINDS = frozenset({"key", "keys", "phone"})
CHARACTERS_SHOWN = 2  # of what is private, to whoever is no operator: enough to tell two of a list apart

blueprint = Blueprint("exports", __name__)
_running = threading.BoundedSemaphore(EXPORTS_MAX)


@blueprint.route("/lines.<any(csv, json):form>", methods=["GET", "POST"])
def lines(form: str) -> Response:
    """The join log; a post carries free text, which must not be in a URL."""
    reader, role = reader_of(wanted_filters()), granted().role
    shown = (line._replace(email=email_for(role, line.email)) for line in reader.all())
    return export("join-log", form, LINE_COLUMNS, (tuple(getattr(line, c) for c in LINE_COLUMNS) for line in shown))


@blueprint.get("/meetings.<any(csv, json):form>")
def meetings(form: str) -> Response:
    """Every meeting."""
    only, database = granted().meeting_id, parts().database

    def rows() -> Iterator[MeetingRow]:
        before: datetime | None = None
        while True:
            with database.read() as connection:
                found = read_meetings(connection, before, MEETINGS_AT_ONCE, only)
            yield from found
            if len(found) < MEETINGS_AT_ONCE:
                return
            before = found[-1].updated_at

    return export("meetings", form, MeetingRow._fields, rows())


@blueprint.get("/meeting/<account>/<int:meeting_id>/occurrences.<any(csv, json):form>")
def occurrences(account: str, meeting_id: int, form: str) -> Response:
    """The occurrences of a meeting with their numbers."""
    require_meeting(meeting_id)
    with parts().database.read() as connection:
        rows = read_occurrences(connection, read_account(account), meeting_id)
    return export(f"occurrences-{meeting_id}", form, OccurrenceRow._fields, rows)


@blueprint.get("/meeting/<account>/<int:meeting_id>/instances.<any(csv, json):form>")
def instances(account: str, meeting_id: int, form: str) -> Response:
    """The instances of a meeting with their links."""
    require_meeting(meeting_id)
    with parts().database.read() as connection:
        rows = read_instances(connection, read_account(account), meeting_id)
    return export(f"instances-{meeting_id}", form, InstanceRow._fields, rows)


@blueprint.get("/meeting/<account>/<int:meeting_id>/attendance.<any(csv, json):form>")
def attendance(account: str, meeting_id: int, form: str) -> Response:
    """Who came to an occurrence (`?occurrence=`), or to each."""
    require_meeting(meeting_id)
    with parts().database.read() as connection:
        rows = read_attendance(connection, read_account(account), meeting_id, request.args.get("occurrence"))
    role = granted().role
    shown = (row._replace(email=email_for(role, row.email), person_id=person_for(role, row.person_id)) for row in rows)
    return export(f"attendance-{meeting_id}", form, AttendanceRow._fields, shown)


@blueprint.get("/meeting/<account>/<int:meeting_id>/registrants.<any(csv, json):form>")
@operators_only
def registrants(account: str, meeting_id: int, form: str) -> Response:
    """Everybody who signed up, with what their form asked."""
    require_meeting(meeting_id)
    with parts().database.read() as connection:
        rows = read_registrants(connection, read_account(account), meeting_id)
    return export(f"registrants-{meeting_id}", form, RegistrantRow._fields, rows)


@blueprint.get("/instance/<account>/<part>/people.<any(csv, json):form>")
def people(account: str, part: str, form: str) -> Response:
    """Every stay in an instance."""
    instance = found_instance(account, part)
    with parts().database.read() as connection:
        rows = read_stay_rows(connection, instance.account_id, instance.uuid)
    role = granted().role
    shown = (row._replace(email=email_for(role, row.email), person_id=person_for(role, row.person_id)) for row in rows)
    return export("people", form, STAY_COLUMNS, (tuple(getattr(row, c) for c in STAY_COLUMNS) for row in shown))


@blueprint.route("/inbox.<any(csv, json):form>", methods=["GET", "POST"])
@operators_only
def events(form: str) -> Response:
    """The inbox, without bodies."""
    found = find_all(parts().database, wanted_events())
    return export("inbox", form, EVENT_COLUMNS, (tuple(getattr(e, c) for c in EVENT_COLUMNS) for e in found))


def export(name: str, form: str, columns: Sequence[str], rows: Rows, *, for_excel: bool = False) -> Response:
    """Stream rows; the first of them are read before this returns. Answers 503 when EXPORTS_MAX are running.

    `for_excel`: a CSV begins with the mark by which Excel knows that it is UTF-8.
    """
    if form not in CONTENT_TYPES:
        abort(404)
    if not _running.acquire(blocking=False):
        abort(503, "Other exports are running. Try again in a moment.")
    chunks = _written(form, columns, rows, BYTE_ORDER_MARK if for_excel else "")
    with ExitStack() as place:
        place.callback(_running.release)
        first = next(chunks)  # what fails here can still be answered with an error page
        leave = place.pop_all().close
    body = cast("Iterator[bytes]", chain([first], chunks))  # of texts for CSV and JSON: Flask takes both
    response = Response(body, content_type=CONTENT_TYPES[form])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    response.call_on_close(leave)
    return response


def _written(form: str, columns: Sequence[str], rows: Rows, mark: str) -> Iterator[str] | Iterator[bytes]:
    if form == "xlsx":
        return as_xlsx(columns, rows)
    return as_csv(columns, rows, mark) if form == "csv" else as_json(columns, rows)


def person_for(role: Role, person_id: str | None) -> str | None:
    """A person's identifier; where it is an address, a key or a telephone number, as this role may see it."""
    kind, separator, rest = (person_id or "").partition(":")
    if separator and kind == "email":
        return f"email:{email_for(role, rest)}"
    if separator and kind in PRIVATE_KINDS and role is not Role.OPERATOR:
        return f"{kind}:…{rest[-CHARACTERS_SHOWN:]}"
    return person_id
