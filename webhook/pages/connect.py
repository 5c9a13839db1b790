"""Connect: the URL to paste into the Zoom app, the events to subscribe to, and whether Zoom validated the endpoint."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Blueprint, render_template, request

from schema.store.health import read_validations
from schema.store.inbox_search import read_last_received
from webhook.access import all_meetings_only
from webhook.intake import WEBHOOK_PATH
from webhook.parts import parts
from workers.core.projection import PROJECTIONS

NOT_SENT = ("joinlog.", "zoom.")  # our own events, and answers of Zoom's API: nobody subscribes to those
GROUP_LABELS = {"webinar": "Webinars", "meeting": "Meetings", "": "The app itself"}
NEEDED = (
    "started", "ended", "participant_joined", "participant_left", "created", "updated", "deleted",
    "registration_created", "registration_approved", "registration_cancelled", "registration_denied",
)  # fmt: skip

blueprint = Blueprint("connect", __name__)


@blueprint.get("/connect")
@all_meetings_only
def connect() -> str:
    """The page; htmx asks again for the part that says whether Zoom validated."""
    settings = parts().settings
    with parts().database.read() as connection:
        validations = read_validations(connection)
        last = read_last_received(connection)
    known = {
        "validated_at": validations[0][1] if validations else None,
        "last_received_at": last,
        "endpoint": f"{parts().guard.own_url()}{WEBHOOK_PATH}",
        "is_loopback": settings.is_loopback,
    }
    if "HX-Request" in request.headers:
        return render_template("connect_part.html", **known)
    return render_template("connect.html", groups=groups_of(PROJECTIONS), needed=NEEDED, **known)


def groups_of(event_types: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The event types to subscribe to, grouped by what they are about."""
    grouped: dict[str, list[str]] = {name: [] for name in GROUP_LABELS}
    for event_type in event_types:
        if not event_type.startswith(NOT_SENT):
            grouped[event_type.partition(".")[0] if "." in event_type else ""].append(event_type)
    return [(GROUP_LABELS[name], types) for name, types in grouped.items()]
