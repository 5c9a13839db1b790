"""`/metrics`, for Prometheus, which sends its page link as a bearer token."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response

from schema.alerts import Observed
from webhook.access import all_meetings_only
from webhook.metrics import scrape
from webhook.parts import parts
from workers.notify.observation import observe

blueprint = Blueprint("metrics_page", __name__)


@blueprint.get("/metrics")
@all_meetings_only
def metrics() -> Response:
    """What all processes counted; also where a process serves no pages."""
    text, kind = scrape(parts().database, observe_here, datetime.now(UTC))
    return Response(text, content_type=kind)


def observe_here() -> Observed:
    """What is observed of this installation, from this process."""
    return observe(parts().settings, parts().database, parts().settings.redis_url)
