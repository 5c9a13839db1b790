"""Connect: a checklist that ticks itself, from the address Zoom posts to up to each event that has come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from flask import Blueprint, Response, render_template, request

from schema.alerts import Observed
from schema.store.api_access import ApiAccess, read_access
from schema.store.health import last_validation, read_validations
from schema.store.inbox_search import read_last_received, read_types_received
from schema.store.observations import UNKNOWN_SECRET, read_refused
from webhook.access import all_meetings_only
from webhook.intake import REFUSED_AT, WEBHOOK_PATH
from webhook.pages.formatting import fragment_answer
from webhook.parts import parts
from workers.core.projection import PROJECTIONS
from workers.notify.conditions import BY_NAME
from workers.zoom.endpoints import ENDPOINTS, EVENT_SUBSCRIPTION

NOT_SENT = ("joinlog.", "zoom.")  # our own events, and answers of Zoom's API: nobody subscribes to those
GROUP_LABELS = {"webinar": "Webinars", "meeting": "Meetings", "": "The app itself"}
NEEDED = (
    "started", "ended", "participant_joined", "participant_left", "created", "updated", "deleted",
    "registration_created", "registration_approved", "registration_cancelled", "registration_denied",
)  # fmt: skip
EVENTS_LOOKED_AT = 5000  # the newest ones; the page is asked for every second
FRESH_SECONDS = 1.0
REFUSAL_SECONDS = 10  # a flood of refusals changes the page no more often than that
SCOPES = sorted({one.scope for one in (*ENDPOINTS, EVENT_SUBSCRIPTION)})
CAUSES = {
    "missing_signature": "it carried no signature, so Zoom did not send it: a browser, a scanner, or a proxy that "
    "drops the headers x-zm-*",
    "missing_timestamp": "it carried no time: a proxy may drop the header x-zm-request-timestamp",
    "malformed_signature": "its signature is none of Zoom's: Zoom did not send it",
    "malformed_timestamp": "its time is none of Zoom's: Zoom did not send it",
    "stale_timestamp": "it was signed too long ago: is the clock of this machine right?",
    "future_timestamp": "it was signed in the future: is the clock of this machine right?",
    "unknown_secret": "it was signed with a secret token that is not set here: copy the app's Secret Token again, set "
    "ZOOM_WEBHOOK_SECRET_TOKEN, and restart. Zoom sends it again for 85 minutes",
    "unsafe_plain_token": "the text to be encrypted is none of Zoom's: Zoom did not send it",
    "method": "it was no POST: somebody opened the address in a browser",
    "content_type": "it was no JSON: Zoom did not send it",
    "too_large": "it was larger than 1 MiB: Zoom did not send it",
    "too_slow": "its body came too slowly: a proxy or the network is slow; Zoom sends it again",
    "incomplete": "its body ended early: a proxy or the network broke it off; Zoom sends it again",
    "no_room": "too many large bodies came at once; Zoom sends it again",
}

blueprint = Blueprint("connect", __name__)


class LastRefusal(NamedTuple):
    """The last request to the endpoint that was refused by this process, and what that means."""

    at: datetime
    reason: str
    cause: str


class ApiStanding(NamedTuple):
    """What Zoom's API lets the app of one account do, as a worker found it last; None where nobody has asked yet."""

    account_id: str
    access: ApiAccess | None

    @property
    def is_done(self) -> bool:
        """Whether nothing is missing."""
        return self.access is not None and self.access.error is None and all(map(self.has_scope, SCOPES))

    def has_scope(self, name: str) -> bool | None:
        """Whether a scope is granted; None when that is not known."""
        return None if self.access is None or self.access.scopes is None else name in self.access.scopes


@blueprint.get("/connect")
@all_meetings_only
def connect() -> str | Response:
    """The page; its list is made again when something was committed or refused, for all who look."""
    own_url, refusal = parts().guard.own_url(), last_refusal()
    last = None if refusal is None else (refusal.reason, int(refusal.at.timestamp() / REFUSAL_SECONDS))
    shown = parts().fragments.get(("connect", own_url, last), lambda: _render(own_url, refusal), FRESH_SECONDS)
    if "HX-Request" in request.headers:
        return fragment_answer(shown)
    return render_template("connect.html", part=shown)


def _render(own_url: str, refusal: LastRefusal | None) -> str:
    settings = parts().settings
    secrets = settings.secret_fingerprints
    with parts().database.read() as connection:
        validations = read_validations(connection)
        last = read_last_received(connection)
        seen = read_types_received(connection, EVENTS_LOOKED_AT)
        refused = read_refused(connection)
        known = read_access(connection)
    condition = BY_NAME[UNKNOWN_SECRET]
    told = [known[one.account_id] for one in settings.zoom_credentials if one.account_id in known]
    events = [one.events for one in told if one.events is not None]
    return render_template(
        "connect_part.html",
        validated_at=last_validation(validations, secrets),
        is_of_another_secret=any(name not in secrets for name, _ in validations),
        refused=condition.judge(Observed(secrets=secrets, unknown_secret=refused), datetime.now(UTC)),
        refused_condition=condition,
        last_received_at=last,
        endpoint=f"{own_url}{WEBHOOK_PATH}",
        is_https=own_url.startswith("https://"),
        is_loopback=settings.is_loopback,
        groups=groups_of(PROJECTIONS),
        needed=NEEDED,
        seen=seen,
        looked_at=EVENTS_LOOKED_AT,
        not_subscribed=_not_subscribed(events) if events else None,
        refusal=refusal,
        apis=[ApiStanding(one.account_id, known.get(one.account_id)) for one in settings.zoom_credentials],
        scopes=SCOPES,
    )


def _not_subscribed(events: Iterable[frozenset[str]]) -> frozenset[str]:
    """The events of the list that the apps of all accounts together are not subscribed to."""
    wanted = {name for _, names in groups_of(PROJECTIONS) for name in names}
    return frozenset(wanted.difference(*events))


def last_refusal() -> LastRefusal | None:
    """The last refusal of this process; None when there was none."""
    samples = [sample for metric in REFUSED_AT.collect() for sample in metric.samples]
    if not samples:
        return None
    newest = max(samples, key=lambda sample: sample.value)
    reason = newest.labels["reason"]
    return LastRefusal(datetime.fromtimestamp(newest.value, UTC), reason, CAUSES.get(reason, reason))


def groups_of(event_types: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The event types to subscribe to, grouped by what they are about."""
    grouped: dict[str, list[str]] = {name: [] for name in GROUP_LABELS}
    for event_type in event_types:
        if not event_type.startswith(NOT_SENT):
            grouped[event_type.partition(".")[0] if "." in event_type else ""].append(event_type)
    return [(GROUP_LABELS[name], types) for name, types in grouped.items()]
