"""`joinlog sync`: asks Zoom's API what was before, and what was missed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from joinlog.database import Meeting, meant_by, open_database
from schema.meeting_names import MeetingName
from schema.settings import ConfigurationError, Settings, ZoomCredentials, read_settings
from schema.store.api_calls import begin_run, end_run, read_meeting
from schema.store.database import Database
from schema.store.reports import find_accounts
from workers.drain import Drain, Which
from workers.zoom.client import ZoomClient, ZoomError, open_http
from workers.zoom.pace import SharedPace
from workers.zoom.sync import STATUSES, Sync, spans
from workers.zoom.together import Settling

SINCE_DEFAULT = timedelta(days=182)  # how far back reports reach for certain
RETRY_FOR_SECONDS = 10


@click.command()
@click.argument("meetings", type=Meeting(), metavar="[MEETING]...", nargs=-1)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="without MEETING: the first day, half a year ago")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="without MEETING: the last day, today")
@click.option("--dry-run", is_flag=True, help="only say how many calls it would need")
@click.pass_context
def sync(
    ctx: click.Context, meetings: Sequence[MeetingName], since: datetime | None, until: datetime | None, dry_run: bool
) -> None:
    """Ask Zoom's API about MEETING (a number, or the uuid of an instance), or about all the account held.

    A run that was killed goes on where it was. Exit code 1: something remains, and the last lines say what and why.
    """
    settings = read_settings()
    if not settings.zoom_credentials:
        raise ConfigurationError(
            "No account to ask about. Set ZOOM_ACCOUNT_ID, ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET of a server-to-server "
            "app; docs/how-to/use-the-api.md says how to make one."
        )
    last = until.date() if until else datetime.now(UTC).date()
    first = since.date() if since else last - SINCE_DEFAULT
    if first > last:
        raise click.UsageError("--since is after --until.")
    counted: Counter[str] = Counter()
    remains: list[str] = []
    with open_database(durable=False) as database:  # an answer a power cut takes back is asked for again
        numbers = [meant_by(database, name).meeting_id for name in meetings]
        if dry_run:
            click.echo(_estimate(database, settings.zoom_credentials, numbers, first, last))
            return
        for credentials in settings.zoom_credentials:
            asked = _of_account(database, settings, credentials, numbers)
            if asked or not numbers:
                _sync_account(database, settings, credentials, asked, (first, last), counted, remains)
    _print(counted)
    for line in remains:
        click.echo(f"remains: {line}", err=True)
    ctx.exit(1 if remains else 0)


def _sync_account(
    database: Database, settings: Settings, credentials: ZoomCredentials, numbers: Sequence[int],
    days: tuple[date, date], counted: Counter[str], remains: list[str],
) -> None:  # fmt: skip
    subject = " ".join(map(str, sorted(numbers))) or f"{days[0]}/{days[1]}"
    calls: Counter[str] = Counter()
    drain = Drain(
        database,
        which=Which.ANSWERS,
        retry_for_seconds=RETRY_FOR_SECONDS,
        staff_domains=settings.staff_domain_names,
    )
    with open_http() as http, _progress() as progress:
        client = ZoomClient(
            credentials, settings.zoom_api_url.rstrip("/"), settings.zoom_oauth_url,
            SharedPace(database, settings.zoom_plan, settings.zoom_rate_share), http, calls=calls,
        )  # fmt: skip
        begun_at = begin_run(database, credentials.account_id, subject, datetime.now(UTC))
        run = Sync(database, client, begun_at, Settling(drain.settle_answers))
        try:
            asked = numbers or run.held_between(*days)
            bar = progress.add_task("asking Zoom", total=len(asked))
            run.meetings(asked, lambda: progress.advance(bar))
        except ZoomError as error:
            run.remains.append(str(error))
    Drain(database, retry_for_seconds=RETRY_FOR_SECONDS, staff_domains=settings.staff_domain_names).drain_all()
    if not run.remains:
        end_run(database, credentials.account_id, subject, datetime.now(UTC))
    counted.update(run.counted)
    counted.update({f"{tier} calls": number for tier, number in calls.items()})
    remains += run.remains


def _progress() -> Progress:
    """A bar for people to watch; nothing where nobody does."""
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _of_account(
    database: Database, settings: Settings, credentials: ZoomCredentials, numbers: Sequence[int]
) -> list[int]:
    """Those of the meetings that are this account's, or whose account is not known."""
    if len(settings.zoom_credentials) == 1:
        return list(numbers)
    ours = []
    for number in numbers:
        with database.read() as connection:
            accounts = find_accounts(connection, number)
        if not accounts or credentials.account_id in accounts:
            ours.append(number)
    return ours


def _estimate(
    database: Database, accounts: Sequence[ZoomCredentials], numbers: Sequence[int], first: date, last: date
) -> str:
    """How many calls a run would need at least: by what is known now, a page for each list."""
    if not numbers:
        calls = len(list(spans(first, last))) * len(accounts)
        return f"{calls} calls tell what was held; each meeting takes 5 and more, each of its instances 1 or 2."
    calls = 0
    for account in accounts:
        for number in numbers:
            known = read_meeting(database, account.account_id, number)
            uncounted = sum(i.ended_at is None or i.reported_participants is None for i in known.instances)
            calls += 2 + len(STATUSES) * max(1, len(known.occurrence_ids)) + len(known.instances) + uncounted
    return f"At least {calls} calls, by what is known now."


def _print(counted: Counter[str]) -> None:
    table = Table()
    for heading in ("what", "how many"):
        table.add_column(heading, justify="right" if heading == "how many" else "left")
    for name in ("meetings", "instances", "links stated", "registrants", "connections", "stays added", "final"):
        table.add_row(name, str(counted[name]))
    for name in sorted(name for name in counted if name.endswith(" calls")):
        table.add_row(name, str(counted[name]))
    Console().print(table)
