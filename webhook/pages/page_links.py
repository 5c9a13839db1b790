"""Handing a meeting out: an operator makes a page link to it, and takes one back.

Whoever makes a link gives no more than they have: not another meeting, not a longer time, and a viewer gives nothing.
The link is in the answer to a form and nowhere else: no address and no log holds it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, abort, render_template, request

from schema.store.meetings import read_meeting
from schema.store.page_links import revoke_link
from webhook.access import granted, operators_only, require_meeting
from webhook.pages.formatting import read_account
from webhook.parts import parts
from webhook.tokens import AccessRefused, Role, link_of, new_pass, read_duration

DURATIONS = {"8h": "8 hours", "1d": "a day", "7d": "a week", "30d": "30 days"}
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # so that an expired link is recognised, too

blueprint = Blueprint("page_links", __name__)


@blueprint.post("/meeting/<account>/<int:meeting_id>/access")
@operators_only
def grant(account: str, meeting_id: int) -> str:
    """Make a page link to one meeting, and show it."""
    require_meeting(meeting_id)
    with parts().database.read() as connection:
        row = read_meeting(connection, read_account(account), meeting_id)
    if row is None:
        abort(404, "Joinlog has not heard of this meeting.")
    now = datetime.now(UTC)
    try:
        role, lasts = Role(request.form.get("role", "")), read_duration(request.form.get("expires", ""))
    except ValueError as error:
        abort(400, str(error))
    own = granted()
    made = new_pass(role, min(lasts, own.expires_at - now), now, meeting_id)
    guard = parts().guard
    link = link_of(guard.own_url(), guard.tokens, made)
    return render_template("page_link.html", meeting=row, made=made, link=link, is_shorter=now + lasts > own.expires_at)


@blueprint.post("/access/revoke")
@operators_only
def revoke() -> str:
    """Take a page link back."""
    token = request.form.get("link", "").strip().rpartition("#")[2]
    try:
        named = parts().guard.tokens.read_link(token, LONG_AGO)
    except AccessRefused:
        abort(400, "This is no page link of this Joinlog. Paste it whole.")
    require_meeting(named.meeting_id)
    revoke_link(parts().database, named.link_id, datetime.now(UTC))
    return render_template("page_link.html", meeting=None, made=named, link=None, is_shorter=False)
