"""`joinlog push`: who is pushed to and how they stand; trying them, going on, and telling again."""

from __future__ import annotations

import json
import secrets
import sys
from datetime import UTC, datetime

import click

from joinlog.database import open_database
from schema.push import PushEndpoint, endpoint_name
from schema.settings import read_settings
from schema.store import push as store
from schema.store.database import Database
from workers.push.posting import Notice, Poster

TEST = "joinlog.test"


@click.group()
def push() -> None:
    """Endpoints of PUSH_URLS: how they stand, and what can be done."""


@push.command("list")
@click.option("--json", "as_json", is_flag=True, help="as a JSON list")
def list_(as_json: bool) -> None:
    """How far each endpoint has been told, and how it answers. Exit code 1 when one is switched off."""
    now = datetime.now(UTC)
    with open_database() as database, database.read() as connection:
        found = store.read_push_health(connection)
    rows = [
        {
            "endpoint": one.endpoint.endpoint, "address": one.endpoint.address, "state": _state(one.endpoint),
            "behind": one.behind, "lag_seconds": round(one.lag_seconds(now), 1), "delivered": one.endpoint.delivered,
            "failed": one.endpoint.failed, "error": one.endpoint.error,
        }
        for one in found
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    for row in () if as_json else rows:
        error = f"; the last time: {row['error']}" if row["error"] else ""
        click.echo(
            f"{row['endpoint']}  {row['address']}  {row['state']}, {row['behind']} changes behind, "
            f"{row['delivered']} notices taken, {row['failed']} attempts failed{error}"
        )
    if not rows and not as_json:
        click.echo("Nobody is pushed to: PUSH_URLS is not set, or no worker has run since.")
    sys.exit(1 if any(one.endpoint.off_at for one in found) else 0)


@push.command()
def test() -> None:
    """Send each endpoint a notice of type joinlog.test, signed, at once. Exit code 1 when one does not take it."""
    settings = read_settings()
    is_well = True
    for url in settings.push_targets:
        body = json.dumps({"type": TEST, "data": {"sent_at": datetime.now(UTC).isoformat()}})
        poster = Poster(url, settings.push_secrets)
        answer = poster.post(Notice(f"msg_{secrets.token_hex(16)}", TEST, 0, body))
        poster.close()
        click.echo(f"{endpoint_name(url)}  {store.shown_address(url)}  {answer.error or 'took it'}")
        is_well = is_well and answer.error is None
    if not settings.push_targets:
        raise click.ClickException("PUSH_URLS is not set.")
    sys.exit(0 if is_well else 1)


@push.command()
@click.argument("endpoint", required=False)
def resume(endpoint: str | None) -> None:
    """Go on with ENDPOINT (or all) from where it stood, at once."""
    now = datetime.now(UTC)
    with open_database() as database:
        for name in _named(database, endpoint):
            with database.write() as connection:
                store.resume(connection, name, now)
            click.echo(f"{name} goes on.")


@push.command()
@click.argument("endpoint", required=False)
@click.option(
    "--since", required=True, type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]),
    help="2026-11-22T10:00:00+01:00; without a zone it is UTC.",
)  # fmt: skip
def replay(endpoint: str | None, since: datetime) -> None:
    """Tell ENDPOINT (or all) again what changed since a moment, with the ids it had."""
    moment = since.astimezone(UTC) if since.tzinfo else since.replace(tzinfo=UTC)
    with open_database() as database:
        for name in _named(database, endpoint):
            with database.write() as connection:
                after = store.replay(connection, name, moment, datetime.now(UTC))
            click.echo(f"{name} is told again what came after change {after}.")


def _named(database: Database, endpoint: str | None) -> list[str]:
    with database.read() as connection:
        known = [one.endpoint for one in store.read_endpoints(connection)]
    if endpoint is None:
        return known
    if endpoint not in known:
        raise click.ClickException(f"No endpoint {endpoint} is known. `joinlog push list` lists them.")
    return [endpoint]


def _state(endpoint: PushEndpoint) -> str:
    if endpoint.off_at is not None:
        return "switched off"
    return "tried again" if endpoint.tries else "well"
