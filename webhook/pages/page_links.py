"""Handing out a meeting or one occurrence: an operator makes a page link, sees which there are, and takes one back.

Whoever makes a link gives no more than they have: not another meeting, not a longer time, and a viewer gives nothing.
A link is in the answer to a form and nowhere else: no address, no log and no table holds it. The list knows what each
was made for, and the same link is signed from that again for whoever may have it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from flask import Blueprint, abort, render_template, request

from schema.addresses import meeting_url, occurrence_url
from schema.store.meetings import MeetingRow, read_meeting, read_occurrences
from schema.store.page_links import PageLinkRow, read_link_made, read_open_links, record_link, revoke_link
from webhook.access import granted, operators_only, require_meeting
from webhook.pages.formatting import read_account, read_occurrence
from webhook.parts import parts
from webhook.tokens import AccessRefused, Pass, Role, link_of, new_pass, read_duration

DURATIONS = {"8h": "8 hours", "1d": "a day", "7d": "a week", "30d": "30 days"}
LINKS_SHOWN_MAX = 50  # on a page; `joinlog access list` has all of them
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # so that an expired link is recognised, too

blueprint = Blueprint("page_links", __name__)


class Listed(NamedTuple):
    """A page link in the list of a page, and whether whoever looks may have it."""

    row: PageLinkRow
    is_copied: bool


def links_listed(meeting_id: int, occurrence_id: str | None = None) -> list[Listed]:
    """The page links that open a meeting now, or with an occurrence those that open it and no other, for operators."""
    own = granted()
    if not own.decides or own.occurrence_id is not None:
        return []
    with parts().database.read() as connection:
        found = read_open_links(connection, datetime.now(UTC), meeting_id, with_whole=own.meeting_id is None)
    if occurrence_id is not None:
        found = [one for one in found if one.occurrence_id in (None, occurrence_id)]
    return [Listed(one, _may_have(own, one)) for one in found[:LINKS_SHOWN_MAX]]


@blueprint.post("/meeting/<account>/<int:meeting_id>/access")
@operators_only
def grant(account: str, meeting_id: int) -> str:
    """Make a page link to one meeting, and show it."""
    require_meeting(meeting_id)
    row = _meeting(read_account(account), meeting_id)
    made, is_shorter = _made(meeting_id, None)
    return _shown(made, meeting_url(row.account_id, meeting_id), row.topic or str(meeting_id), is_shorter)


@blueprint.post("/meeting/<account>/<int:meeting_id>/occurrence/<occurrence>/access")
@operators_only
def grant_occurrence(account: str, meeting_id: int, occurrence: str) -> str:
    """Make a page link to one occurrence and nothing else, and show it."""
    require_meeting(meeting_id)
    account_id, occurrence_id = read_account(account), read_occurrence(occurrence)
    row = _meeting(account_id, meeting_id)
    with parts().database.read() as connection:
        if not read_occurrences(connection, account_id, meeting_id, [occurrence_id]):
            abort(404, "Joinlog has not heard of this occurrence.")
    made, is_shorter = _made(meeting_id, occurrence_id)
    return _shown(made, occurrence_url(account_id, meeting_id, occurrence_id), row.topic or str(meeting_id), is_shorter)


@blueprint.post("/access/show")
@operators_only
def show() -> str:
    """Show a link of the list again, to whoever could have made it."""
    row, own = _listed(request.form.get("link_id", "")), granted()
    if not row.is_open(datetime.now(UTC)):
        abort(409, "This page link opens nothing any more.")
    if not _may_have(own, row) or row.role is None or row.expires_at is None:
        abort(403, "This page link opens more than your own, or for longer.")
    made = Pass(row.link_id, Role(row.role), row.expires_at, row.meeting_id, row.occurrence_id)
    return _shown(made, _back(), None, is_shorter=False)


@blueprint.post("/access/revoke")
@operators_only
def revoke() -> str:
    """Take a page link back: one of the list, or one that is pasted."""
    if "link_id" in request.form:
        row = _listed(request.form["link_id"])
        link_id, meeting_id = row.link_id, row.meeting_id
    else:
        token = request.form.get("link", "").strip().rpartition("#")[2]
        try:
            named = parts().guard.tokens.read_link(token, LONG_AGO)
        except AccessRefused:
            abort(400, "This is no page link of this Joinlog. Paste it whole.")
        link_id, meeting_id = named.link_id, named.meeting_id
    require_meeting(meeting_id)
    revoke_link(parts().database, link_id, datetime.now(UTC))
    return render_template("page_link.html", link=None, link_id=link_id, back=_back())


def _meeting(account_id: str, meeting_id: int) -> MeetingRow:
    with parts().database.read() as connection:
        row = read_meeting(connection, account_id, meeting_id)
    return row if row is not None else abort(404, "Joinlog has not heard of this meeting.")


def _made(meeting_id: int, occurrence_id: str | None) -> tuple[Pass, bool]:
    """A new link as the form wants it, written down; whether it ends earlier than wanted."""
    now, own = datetime.now(UTC), granted()
    try:
        role, lasts = Role(request.form.get("role", "")), read_duration(request.form.get("expires", ""))
    except ValueError as error:
        abort(400, str(error))
    made = new_pass(role, min(lasts, own.expires_at - now), now, meeting_id, occurrence_id)
    row = PageLinkRow(
        made.link_id, made.role, meeting_id, occurrence_id, f"page link {own.link_id}", now, made.expires_at
    )
    record_link(parts().database, row)
    return made, now + lasts > own.expires_at


def _shown(made: Pass, back: str, opens: str | None, is_shorter: bool) -> str:
    guard = parts().guard
    return render_template(
        "page_link.html", link=link_of(guard.own_url(), guard.tokens, made), link_id=made.link_id, made=made,
        back=back, opens=opens, is_shorter=is_shorter,
    )  # fmt: skip


def _listed(link_id: str) -> PageLinkRow:
    with parts().database.read() as connection:
        row = read_link_made(connection, link_id)
    if row is None:
        abort(404, "The list does not know this page link.")
    require_meeting(row.meeting_id)
    return row


def _may_have(own: Pass, row: PageLinkRow) -> bool:
    return own.meeting_id in (None, row.meeting_id) and row.expires_at is not None and row.expires_at <= own.expires_at


def _back() -> str:
    """Where the form was: a page of a meeting, else the list of them."""
    path = request.form.get("back", "")
    return path if path.startswith("/meeting/") else "/meetings"
