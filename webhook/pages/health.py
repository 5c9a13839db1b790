"""Health: what waits in the inbox, when Zoom last posted, what was refused, whether database and Redis answer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from flask import Blueprint, Response, render_template, request
from sqlalchemy.exc import SQLAlchemyError

from schema.accuracy import Accuracy
from schema.alerts import Alert, Observed, Place
from schema.store.alerts import read_alerts
from schema.store.audit import read_accuracy
from schema.store.health import InboxHealth, count_only_before_host, read_inbox_health, read_validations, server_version
from schema.store.observations import read_places
from schema.store.push import PushHealth, read_push_health
from webhook.access import all_meetings_only
from webhook.health import what_is_missing
from webhook.intake import ACCEPTED, NOT_KEPT, REFUSED
from webhook.pages.formatting import fragment_answer
from webhook.pages.metrics import observe_here
from webhook.parts import parts
from workers.notify.conditions import BY_NAME, Condition, judge
from workers.queue import read_queue_health

VALIDATION_EVERY = timedelta(hours=72)
LAG_SECONDS_GOOD = 10.0
HEALTH_FRESH_SECONDS = 1.0

blueprint = Blueprint("health_page", __name__)


class Validation(NamedTuple):
    """When Zoom last validated the endpoint with a secret, and when it is due to do so again."""

    fingerprint: str
    at: datetime
    due_at: datetime
    is_late: bool
    is_set: bool  # the secret is one that is set now


class Wrong(NamedTuple):
    """A condition that holds, and who was told."""

    condition: Condition
    says: str
    alert: Alert | None
    places: list[Place]  # the newest instances it is about


@blueprint.get("/health")
@all_meetings_only
def health() -> str | Response:
    """The page."""
    part = parts().fragments.get("health", _render, HEALTH_FRESH_SECONDS, HEALTH_FRESH_SECONDS)
    if "HX-Request" in request.headers:
        return fragment_answer(part)
    return render_template("health.html", part=part)


def _render() -> str:
    now = datetime.now(UTC)
    database, settings = parts().database, parts().settings
    inbox: InboxHealth | None = None
    before_host, accuracy = 0, list[Accuracy]()
    pushes = list[PushHealth]()
    version, validations, missing = "", list[Validation](), what_is_missing(database)
    alerts: dict[str, Alert] = {}
    try:
        with database.read() as connection:
            inbox = read_inbox_health(connection)
            validations = validations_of(read_validations(connection), settings.secret_fingerprints, now)
            alerts = read_alerts(connection)
            version = server_version(connection)
            before_host = count_only_before_host(connection)
            accuracy = read_accuracy(connection)
            pushes = read_push_health(connection)
    except (SQLAlchemyError, OSError) as error:
        missing = missing or f"database: {type(error).__name__}"
    observed = Observed(database_fault=missing) if missing else observe_here()
    holding = judge(observed, now)
    places = {} if missing else _places(holding, now)
    lag = (now - inbox.oldest_pending_at).total_seconds() if inbox and inbox.oldest_pending_at else 0.0
    return render_template(
        "health_part.html",
        inbox=inbox,
        lag_seconds=lag,
        lag_is_good=lag < LAG_SECONDS_GOOD,
        database=database.shown_url,
        version=version,
        missing=missing,
        wrong=[Wrong(BY_NAME[name], says, alerts.get(name), places.get(name, [])) for name, says in holding.items()],
        is_somebody_told=bool(settings.alert_targets),
        validations=validations,
        before_host=before_host,
        accuracy=accuracy,
        pushes=pushes,
        now=now,
        queue=read_queue_health(settings.redis_url or "", settings.signing_keys),
        refused=refused_by_reason(),
        accepted=_total(ACCEPTED),
        not_kept=_total(NOT_KEPT),
    )


def _places(holding: Iterable[str], now: datetime) -> dict[str, list[Place]]:
    with parts().database.read() as connection:
        return {name: read_places(connection, name, now) for name in holding}


def validations_of(known: list[tuple[str, datetime]], secrets: frozenset[str], now: datetime) -> list[Validation]:
    """The last validation with each secret that was ever set, and when the next one is due; those set now first."""
    found = [
        Validation(name, at, at + VALIDATION_EVERY, at + VALIDATION_EVERY < now, name in secrets) for name, at in known
    ]
    return sorted(found, key=lambda validation: not validation.is_set)


def refused_by_reason() -> list[tuple[str, int]]:
    """Deliveries this process refused since it started, by reason, most first."""
    counted = {
        sample.labels["reason"]: int(sample.value)
        for metric in REFUSED.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _total(counter: Any) -> int:
    return int(
        sum(sample.value for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total"))
    )
