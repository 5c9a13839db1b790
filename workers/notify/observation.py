"""Looking at an installation, for whoever judges it: the database, its disk, and Redis."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from schema.alerts import Observed
from schema.settings import Settings
from schema.store.database import Database
from schema.store.failures import describe
from schema.store.observations import observe_database
from workers.queue import read_queue_health


def observe(settings: Settings, database: Database, redis_url: str | None) -> Observed:
    """What conditions are judged by. Never raises for a store that does not answer: that is one of them."""
    try:
        observed = observe_database(database, settings.secret_fingerprints)
    except (SQLAlchemyError, OSError) as error:
        observed = Observed(settings.secret_fingerprints, database_fault=f"The database fails ({describe(error)})")
    if redis_url is None:
        return observed
    return replace(observed, redis_fault=read_queue_health(redis_url, settings.signing_keys).error)
