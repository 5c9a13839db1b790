"""The processes of Joinlog, as hosting services and `joinlog up` start them: web, worker, clock, and migrate.

Each is put together in its own package; only the one that is started is imported.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import partial

import click

from schema.logs import configure_logs
from schema.settings import read_settings
from schema.signals import Signals

HONCHO_WAIT_SECONDS = 3600.0


@click.command()
def web() -> None:
    """Take Zoom's events in and show the pages, on HOST and PORT."""
    from webhook.app import run_web

    run_web(read_settings())


@click.command()
def worker() -> None:
    """Bring accepted events into the tables. Several may run at once."""
    from workers.main import run_worker

    run_worker(read_settings())


@click.command()
def clock() -> None:
    """Ring the doorbell every CLOCK_SECONDS, and do what is due from time to time. Of several one leads."""
    from workers.clock import run_clock

    run_clock(read_settings())


@click.command()
def migrate() -> None:
    """Bring the database to the tables of this version. Safe to run at any time, by several machines at once."""
    from schema.migrate import migrate as apply_migrations
    from schema.store.database import Database

    settings = read_settings()
    configure_logs(settings, "migrate")
    database = Database(settings.database_url)
    try:
        before, after = apply_migrations(database)
    finally:
        database.close()
    what = f"is at {after} already" if before == after else f"went from {before or 'nothing'} to {after}"
    click.echo(f"{database.shown_url} {what}")
    if os.environ.get("HONCHO_PROCESS_NAME", "").startswith("release"):
        # `honcho start` runs the release of the Procfile beside the others, and stops them all when one ends.
        click.echo("waiting beside the other processes of honcho")
        with Signals() as signals:
            while not signals.wait(HONCHO_WAIT_SECONDS):
                pass


@click.command("play-demo", hidden=True)
@click.option("--url", required=True)
def play_demo(url: str) -> None:
    """Play the fake Zoom of the demo until stopped; `joinlog up` starts this."""
    from joinlog import fakezoom
    from joinlog.demo import ask_zoom
    from workers.main import stop_on_signals

    settings = read_settings()
    configure_logs(settings, "demo")
    secret = settings.zoom_webhook_secret_token
    assert secret is not None
    stop = threading.Event()
    stop_on_signals(stop)
    try:
        fakezoom.play_demo(url, secret.get_secret_value(), stop, on_world=partial(ask_zoom, settings, stop))
    except fakezoom.EndpointError as error:
        click.echo(f"demo: {error}", err=True)
        sys.exit(1)
