"""`joinlog alerts`: what is wrong now and who was told, and whether a message arrives."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from joinlog.database import open_database
from joinlog.redis_server import redis_url_of
from schema.alerts import Alert
from schema.settings import ConfigurationError, Settings, read_settings
from schema.store.alerts import read_alerts
from workers.notify.conditions import CONDITIONS, judge, moment
from workers.notify.observation import observe
from workers.notify.sending import send
from workers.notify.telling import Message


@click.command()
@click.option("--test", "is_test", is_flag=True, help="Send one message to every address of ALERT_URLS.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of condition, title, holds, says, mend and told_at.")
def alerts(is_test: bool, as_json: bool) -> None:
    """Every condition that somebody is told of, which hold now, and who was told. Exit code 1 when one holds."""
    settings = read_settings()
    if is_test:
        _send_test(settings)
        return
    with open_database() as database:
        with database.read() as connection:
            known = read_alerts(connection)
        holding = judge(observe(settings, database, redis_url_of(settings)), datetime.now(UTC))
    rows = [_row(place, holding, known) for place in range(len(CONDITIONS))]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        for row in rows:
            click.echo("\n".join(_lines(row)))
        if not settings.alert_targets:
            click.echo("ALERT_URLS is not set: nobody is told.")
    sys.exit(1 if holding else 0)


def _send_test(settings: Settings) -> None:
    targets = settings.alert_targets
    if not targets:
        raise ConfigurationError("ALERT_URLS is not set: there is nobody to tell.")
    error = send(targets, Message("Joinlog: a test", f"This is what an alert looks like.\n\n{settings.health_url}"))
    if error is not None:
        raise click.ClickException(f"The test was not sent: {error}.")
    click.echo(f"Sent to at least one of {len(targets)} addresses; see that it arrived at each.")


def _row(place: int, holding: Mapping[str, str], known: Mapping[str, Alert]) -> dict[str, Any]:
    condition = CONDITIONS[place]
    alert = known.get(condition.name)
    is_open = alert is not None and alert.cleared_at is None
    told_at = alert.told_at if alert is not None and is_open else None
    return {
        "condition": condition.name,
        "title": condition.title,
        "holds": condition.name in holding,
        "says": holding.get(condition.name),
        "mend": condition.mend,
        "since": moment(alert.begun_at) if alert is not None and is_open else None,
        "told_at": moment(told_at) if told_at is not None else None,
        "error": alert.error if alert is not None else None,
    }


def _lines(row: Mapping[str, Any]) -> list[str]:
    if not row["holds"]:
        return [f"ok    {row['condition']:18}  {row['title']}: no"]
    told = f"told at {row['told_at']}" if row["told_at"] else "nobody was told yet"
    if row["error"]:
        told += f"; the last attempt failed: {row['error']}"
    indent = " " * 26
    since = f" (since {row['since']}; {told})" if row["since"] else ""
    return [
        f"fail  {row['condition']:18}  {row['title']}.",
        f"{indent}{row['says']}{since}",
        f"{indent}-> {row['mend']}",
    ]
