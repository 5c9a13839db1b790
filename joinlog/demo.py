"""The week of the demo that no webhook told: Zoom's API is asked about it, as `joinlog sync` does."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from joinlog.fakezoom import ApiOptions, ApiServer, World, unheard_week
from schema.settings import Settings, ZoomCredentials
from schema.store.api_calls import begin_run, end_run
from schema.store.database import Database
from workers.drain import Drain
from workers.zoom.client import ZoomClient, ZoomError, open_http
from workers.zoom.pace import SharedPace
from workers.zoom.sync import Sync
from workers.zoom.together import Settling

RETRY_FOR_SECONDS = 10.0
FACTS = {"report_delay_minutes_max": 0, "report_months": 12, "cancelled": "kept", "deleted_occurrence": "listed"}

log = structlog.get_logger()


def ask_zoom(settings: Settings, stop: threading.Event, world: World) -> None:
    """Begin to ask a fake of Zoom's API about the first week; what it answers comes beside the webhooks."""
    threading.Thread(target=_ask, args=(settings, stop, world), name="sync", daemon=True).start()


def _ask(settings: Settings, stop: threading.Event, world: World) -> None:
    options = ApiOptions(limits=False, facts=FACTS)
    series = world.histories[0].series
    database = Database(settings.database_url, durable=False)
    calls: Counter[str] = Counter()
    try:
        with (
            ApiServer(unheard_week(world), options=options, clock=lambda: datetime.now(UTC)) as zoom,
            open_http() as http,
        ):
            credentials = ZoomCredentials(series.account_id, options.client_id, options.client_secret)
            pace = SharedPace(database, "business", 1.0)
            client = ZoomClient(credentials, zoom.api_url, zoom.oauth_url, pace, http, calls=calls)
            subject = str(series.meeting_id)
            begun_at = begin_run(database, series.account_id, subject, datetime.now(UTC))
            drain = Drain(database, stopping=stop, retry_for_seconds=RETRY_FOR_SECONDS)
            Sync(database, client, begun_at, Settling(drain.drain_all)).meeting(series.meeting_id)
            end_run(database, series.account_id, subject, datetime.now(UTC))
    except (ZoomError, SQLAlchemyError, OSError) as error:
        if not stop.is_set():
            log.warning("demo_not_asked", error=type(error).__name__)
    finally:
        database.close()
