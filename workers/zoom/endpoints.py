"""The endpoints of Zoom's REST API that Joinlog asks: one row each. Pure.

https://developers.zoom.us/docs/api/. A new endpoint is a row here and, where its answers are kept, a function in
`workers.zoom.answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Tier(StrEnum):
    """Zoom's label for what a call costs: https://developers.zoom.us/docs/api/rate-limits/."""

    LIGHT = "light"
    MEDIUM = "medium"
    HEAVY = "heavy"


PER_SECOND: Mapping[str, Mapping[Tier, int]] = {
    "free": {Tier.LIGHT: 4, Tier.MEDIUM: 2, Tier.HEAVY: 1},
    "pro": {Tier.LIGHT: 30, Tier.MEDIUM: 20, Tier.HEAVY: 10},
    "business": {Tier.LIGHT: 80, Tier.MEDIUM: 60, Tier.HEAVY: 40},
}
"""Calls an account may make in a second, all its apps together, by plan."""

HEAVY_PER_DAY: Mapping[str, int] = {"free": 6_000, "pro": 30_000, "business": 60_000}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row: `{}` in the path stands for an id or uuid, `rows` names the list it answers (None: a document)."""

    path: str
    tier: Tier
    scope: str
    rows: str | None = None
    is_paged: bool = False
    becomes: str | None = None  # the event its answers are kept as


MEETING_READ = "zoom.meeting_read"
INSTANCES_READ = "zoom.instances_read"
REGISTRANTS_READ = "zoom.registrants_read"
PARTICIPANTS_READ = "zoom.participants_read"
HISTORY_READ = "zoom.history_read"
REPORT_READ = "zoom.report_read"
ABSENTEES_READ = "zoom.absentees_read"
PANELISTS_READ = "zoom.panelists_read"

MEETING: Mapping[str, Endpoint] = {
    "webinar": Endpoint("/webinars/{}", Tier.LIGHT, "webinar:read:webinar:admin", becomes=MEETING_READ),
    "meeting": Endpoint("/meetings/{}", Tier.LIGHT, "meeting:read:meeting:admin", becomes=MEETING_READ),
}
PAST_INSTANCES: Mapping[str, Endpoint] = {
    "webinar": Endpoint(
        "/past_webinars/{}/instances", Tier.LIGHT, "webinar:read:list_past_instances:admin", "webinars",
        becomes=INSTANCES_READ,
    ),
    "meeting": Endpoint(
        "/past_meetings/{}/instances", Tier.MEDIUM, "meeting:read:list_past_instances:admin", "meetings",
        becomes=INSTANCES_READ,
    ),
}  # fmt: skip
REGISTRANTS: Mapping[str, Endpoint] = {
    kind: Endpoint(
        f"/{kind}s/{{}}/registrants", Tier.MEDIUM, f"{kind}:read:list_registrants:admin", "registrants", True,
        REGISTRANTS_READ,
    )
    for kind in ("webinar", "meeting")
}  # fmt: skip
PARTICIPANTS: Mapping[str, Endpoint] = {
    kind: Endpoint(
        f"/report/{kind}s/{{}}/participants", Tier.HEAVY, f"report:read:list_{kind}_participants:admin",
        "participants", True, PARTICIPANTS_READ,
    )
    for kind in ("webinar", "meeting")
}  # fmt: skip
REPORT: Mapping[str, Endpoint] = {
    kind: Endpoint(f"/report/{kind}s/{{}}", Tier.HEAVY, f"report:read:{kind}:admin", becomes=REPORT_READ)
    for kind in ("webinar", "meeting")
}
HISTORY = Endpoint(
    "/report/history_meetings", Tier.HEAVY, "report:read:list_history_meetings:admin", "history_meetings", True,
    HISTORY_READ,
)  # fmt: skip

PANELISTS = Endpoint(
    "/webinars/{}/panelists", Tier.MEDIUM, "webinar:read:list_panelists:admin", "panelists", becomes=PANELISTS_READ
)
ABSENTEES = Endpoint(
    "/past_webinars/{}/absentees", Tier.MEDIUM, "webinar:read:list_absentees:admin", "registrants", True,
    ABSENTEES_READ,
)  # fmt: skip
WEBHOOK_LOGS = Endpoint(
    "/marketplace/apps/{}/webhook_logs", Tier.MEDIUM, "marketplace_app:read", "webhook_logs", is_paged=True
)
EVENT_SUBSCRIPTION = Endpoint(
    "/marketplace/app/event_subscription", Tier.LIGHT, "marketplace:read:list_event_subscriptions:admin"
)

ENDPOINTS: tuple[Endpoint, ...] = (
    *MEETING.values(), *PAST_INSTANCES.values(), *REGISTRANTS.values(), *PARTICIPANTS.values(), *REPORT.values(),
    HISTORY, PANELISTS, ABSENTEES,
)  # fmt: skip
"""Those whose answers become rows: the scopes a server-to-server app needs are theirs.

WEBHOOK_LOGS and EVENT_SUBSCRIPTION tell of the webhook itself; Joinlog does without them.
"""
