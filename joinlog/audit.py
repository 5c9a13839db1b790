"""`joinlog audit`: what webhooks told of instances against Zoom's own record of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.table import Table

from joinlog.database import Meeting, account_of, meant_by, open_database
from schema.meeting_names import MeetingName
from schema.store.audit import Audited, read_audits, read_lossy

SHOWN_FOR = timedelta(days=90)


@click.command()
@click.argument("meeting", type=Meeting(), required=False)
@click.option("--account", help="where several Zoom accounts have a meeting of this number")
@click.option("--json", "as_json", is_flag=True, help="every figure, as a JSON list")
def audit(meeting: MeetingName | None, account: str | None, as_json: bool) -> None:
    """Compare webhooks with Zoom's record, for each instance of MEETING; of a uuid for that one.

    Without MEETING: the instances of the last 90 days of which webhooks were lost. The figures are those of the last
    reading of Zoom's API, by a worker or `joinlog sync`.
    """
    with open_database() as database:
        if meeting is None:
            with database.read() as connection:
                found = read_lossy(connection, 0.0, datetime.now(UTC) - SHOWN_FOR)
        else:
            meant = meant_by(database, meeting, account)
            account_id = account_of(database, meant.meeting_id, account or meant.account_id)
            with database.read() as connection:
                found = read_audits(connection, account_id, meant.meeting_id)
            found = [row for row in found if meant.uuid in (None, row.uuid)]
    if as_json:
        click.echo(json.dumps([_as_json(row) for row in found], ensure_ascii=False, indent=2))
    elif found:
        _print(found)
    else:
        click.echo("No webhook of the last 90 days is known to be lost." if meeting is None else "It has not run yet.")


def _as_json(row: Audited) -> dict[str, object]:
    times = {
        name: value.isoformat() for name in ("started_at", "final_at") if (value := getattr(row, name)) is not None
    }
    return row._asdict() | times | {"webhooks_lost_by_event": json.loads(row.webhooks_lost_by_event or "{}")}


def _print(found: Sequence[Audited]) -> None:
    table = Table()
    for heading in (
        "meeting", "started (UTC)", "instance", "final since (UTC)", "stays by both", "webhook only", "report only",
        "webhooks lost", "people (Zoom's)", "absent (Zoom's)",
    ):  # fmt: skip
        table.add_column(heading, overflow="fold")
    for row in found:
        lost = json.loads(row.webhooks_lost_by_event or "{}")
        table.add_row(
            str(row.meeting_id or "-"),
            _moment(row.started_at),
            row.uuid,
            _moment(row.final_at, "not yet"),
            *(_number(value) for value in (row.stays_both, row.stays_webhook_only, row.stays_report_only)),
            ", ".join(f"{event} {count}" for event, count in lost.items()) or _number(row.webhooks_lost),
            f"{row.participants} ({_number(row.reported_participants)})",
            f"{_number(row.absentees)} ({_number(row.reported_absentees)})",
        )
    Console(width=None if sys.stdout.isatty() else 220).print(table, markup=False)


def _moment(at: datetime | None, missing: str = "-") -> str:
    return missing if at is None else f"{at:%Y-%m-%d %H:%M}"


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)
