"""`/metrics`: what this process counted, and how the inbox stands, for Prometheus."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest

from schema.store.database import Database
from schema.store.health import read_inbox_health, read_validations


def scrape(database: Database, now: datetime) -> tuple[bytes, str]:
    """The metrics as text, and its content type. Raises SQLAlchemyError when the database does not answer."""
    with database.read() as connection:
        inbox = read_inbox_health(connection)
        validations = read_validations(connection)
    registry = CollectorRegistry()
    waiting = (now - inbox.oldest_pending_at).total_seconds() if inbox.oldest_pending_at else 0.0
    gauges = {
        "joinlog_inbox_pending": ("Events kept and not yet in the tables", inbox.pending),
        "joinlog_inbox_dead": ("Events that fail whenever they are tried", inbox.dead),
        "joinlog_inbox_unhandled": ("Events of a type Joinlog does not know", inbox.unhandled),
        "joinlog_inbox_oldest_pending_seconds": ("For how long the oldest pending event has waited", waiting),
    }
    if inbox.last_received_at is not None:
        since = (now - inbox.last_received_at).total_seconds()
        gauges["joinlog_seconds_since_delivery"] = ("Since the last new event was accepted", since)
    if validations:
        since = (now - validations[0][1]).total_seconds()
        gauges["joinlog_seconds_since_validation"] = ("Since Zoom last validated the endpoint; every 72 h", since)
    for name, (help_text, value) in gauges.items():
        Gauge(name, help_text, registry=registry).set(value)
    return generate_latest(REGISTRY) + generate_latest(registry), CONTENT_TYPE_LATEST
