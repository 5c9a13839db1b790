"""The pushers of a worker, as its settings want them."""

from __future__ import annotations

from datetime import UTC, datetime

from schema.settings import ConfigurationError, Settings
from schema.store.database import Database
from schema.store.push import begin_endpoints
from workers.push.notices import NOTICES, Notices
from workers.push.posting import Poster
from workers.push.pusher import Pusher


def wanted_events(settings: Settings) -> frozenset[str]:
    """The notices that are told. Raises ConfigurationError for one there is not."""
    unknown = settings.push_event_names - NOTICES.keys()
    if unknown:
        raise ConfigurationError(f"PUSH_EVENTS names {', '.join(sorted(unknown))}. There are {', '.join(NOTICES)}.")
    return settings.push_event_names or frozenset(NOTICES)


def make_pushers(settings: Settings, database: Database) -> list[Pusher]:
    """One for each address. Raises ConfigurationError when they could not be told."""
    secrets, events = settings.push_secrets, wanted_events(settings)
    return [
        Pusher(
            database,
            url,
            Notices(database, events, is_personal=settings.push_personal_data),
            Poster(url, secrets),
        )
        for url in settings.push_targets
    ]


def start_pushers(settings: Settings, database: Database, pushers: list[Pusher]) -> None:
    """Begin to tell; whoever is new is told what happens from now on, and who is not set any more is forgotten."""
    begin_endpoints(database, settings.push_targets, datetime.now(UTC))
    for pusher in pushers:
        pusher.start()
