"""`joinlog inbox`: look at the events kept. `joinlog replay`: apply some of them again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from joinlog.database import Meeting, meant_by
from joinlog.redis_server import redis_url_of
from joinlog.suggestions import Suggesting
from schema.meeting_names import MeetingName
from schema.settings import Settings, read_settings
from schema.states import EventState
from schema.store.database import Database
from schema.store.inbox_pages import (
    Choice,
    InboxLine,
    count_replayable,
    read_inbox_event,
    read_inbox_page,
    set_pending_again,
)
from workers.queue import QueueAway, connect, open_queue, ring

LINES_DEFAULT = 20
LINES_MAX = 10_000
REPLAY_BATCH_EVENTS = 1000  # on SQLite intake waits while one is written: milliseconds
SHOWN = ("id", "received_at", "state", "event_type", "meeting_id", "deliveries", "error")
STATES = click.Choice([state.value for state in EventState])
SETTLED = click.Choice([state.value for state in EventState if state is not EventState.PENDING])


@click.group(cls=Suggesting)
def inbox() -> None:
    """Show the events Joinlog accepted, and what became of them."""


@inbox.command("list")
@click.option("--state", "states", type=STATES, multiple=True, help="Only events in this state; may be repeated.")
@click.option("--type", "event_type", metavar="EVENT", help="Only events of this type, e.g. webinar.started.")
@click.option("--meeting", type=Meeting(), help="Only events about this meeting or webinar.")
@click.option("--limit", type=click.IntRange(1, LINES_MAX), default=LINES_DEFAULT, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_events(
    states: Sequence[str], event_type: str | None, meeting: MeetingName | None, limit: int, as_json: bool
) -> None:
    """List events, newest first. In a pipe the columns are separated by tabs."""
    with opened(read_settings()) as database:
        choice = Choice([EventState(state) for state in states], event_type, _number_of(database, meeting))
        with database.read() as connection:
            lines = read_inbox_page(connection, choice, limit)
    if as_json:
        for line in lines:
            click.echo(json.dumps(as_dict(line), ensure_ascii=False))
    else:
        show_lines(lines, Console())


def _number_of(database: Database, meeting: MeetingName | None) -> int | None:
    return None if meeting is None else meant_by(database, meeting).meeting_id


def show_lines(lines: Sequence[InboxLine], console: Console) -> None:
    """As a table on a terminal, as tab-separated text elsewhere."""
    rows = [[_text(getattr(line, name)) for name in SHOWN] for line in lines]
    if not console.is_terminal:
        for row in [list(SHOWN), *rows]:
            click.echo("\t".join(row))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in SHOWN:
        table.add_column(name, overflow="fold" if name == "error" else "ellipsis", no_wrap=name != "error")
    for row in rows:
        table.add_row(*row)
    console.print(table if rows else "No event fits.")


@inbox.command("show")
@click.argument("event_id", type=int, metavar="ID")
def show_event(event_id: int) -> None:
    """Show one event whole, body included. IDs are in the first column of `joinlog inbox list`."""
    with opened(read_settings()) as database, database.read() as connection:
        found = read_inbox_event(connection, event_id)
    if not found:
        raise click.ClickException(f"no event has the id {event_id}")
    for line, body in found:
        for name, value in as_dict(line).items():
            click.echo(f"{name:18} {'' if value is None else value}".rstrip())
        click.echo("")
        click.echo(_pretty(body))


@click.command()
@click.option("--state", "states", type=SETTLED, multiple=True,
              help="Events in this state; may be repeated.  [default: dead, or any with --id]")  # fmt: skip
@click.option("--id", "ids", type=int, multiple=True, metavar="ID", help="This event; may be repeated.")
@click.option("--type", "event_type", metavar="EVENT", help="Only events of this type, e.g. webinar.started.")
@click.option("--meeting", type=Meeting(), help="Only events about this meeting or webinar.")
def replay(states: Sequence[str], ids: Sequence[int], event_type: str | None, meeting: MeetingName | None) -> None:
    """Apply events again: dead ones after mending, unhandled ones after an upgrade.

    Facts are merged, so an event applied twice changes nothing. The worker does it; this only sets them pending.
    """
    wanted = [EventState(state) for state in states] or ([] if ids else [EventState.DEAD])
    settings = read_settings()
    with opened(settings) as database:
        replayed = set_all_pending(
            database, Choice(wanted, event_type, _number_of(database, meeting), ids), Console(stderr=True)
        )
    click.echo(f"{replayed} event{'' if replayed == 1 else 's'} set pending.")
    if replayed:
        click.echo(call_worker(settings))


def set_all_pending(database: Database, choice: Choice, console: Console) -> int:
    """Set every fitting event pending, in batches, each event once; returns how many."""
    with database.read() as connection:
        total = count_replayable(connection, choice)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    replayed, last_id = 0, 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("replaying", total=total)
        while True:
            with database.write() as connection:
                count, last_id = set_pending_again(connection, choice, last_id, REPLAY_BATCH_EVENTS, datetime.now(UTC))
            replayed += count
            bar.update(task, completed=replayed)
            if count < REPLAY_BATCH_EVENTS:
                return replayed


def call_worker(settings: Settings) -> str:
    """Ring for the worker; says what happens next."""
    url = redis_url_of(settings)
    later = f"The clock calls the worker within {settings.clock_seconds:g} s."
    if url is None:
        return later
    try:
        ring(open_queue(connect(url), settings.signing_keys))
    except QueueAway:
        return f"Redis does not answer. {later}"
    return "The worker applies them now."


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database for the length of a command."""
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.close()


def as_dict(line: InboxLine) -> dict[str, Any]:
    """A line with moments as ISO 8601 text."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in line._asdict().items()}


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return "" if value is None else str(value).replace("\t", " ")


def _pretty(body: str | None) -> str:
    if body is None:
        return "(the body was removed by retention)"
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body
