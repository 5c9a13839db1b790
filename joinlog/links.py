"""`joinlog links`, `link-set`, `link-clear`, `link-stated`: what links rest on, and a person's word about them."""

from __future__ import annotations

import getpass
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any, TextIO

import click
from rich.console import Console
from rich.table import Table

from joinlog.database import Meeting, account_of, meant_by, open_database
from schema.accuracy import Accuracy
from schema.meeting_names import MeetingName
from schema.own_events import link_event
from schema.rows import Instance
from schema.settings import read_settings
from schema.store.audit import read_accuracy
from schema.store.database import Database
from schema.store.inbox import keep_own_event
from schema.store.reports import find_instances, find_occurrence, read_links
from workers.drain import Drain
from workers.zoom.answers import event_body, instances_read
from workers.zoom.endpoints import INSTANCES_READ

Row = dict[str, Any]


@click.command()
@click.argument("meeting", type=Meeting(), required=False)
@click.option("--account", help="where several Zoom accounts have a meeting of this number")
@click.option("--json", "as_json", is_flag=True, help="with the whole evidence")
@click.option("--accuracy", is_flag=True, help="instead: how good links were, where Zoom stated them later")
def links(meeting: MeetingName | None, account: str | None, as_json: bool, accuracy: bool) -> None:
    """The instances of MEETING and which occurrence each was; without MEETING those that need a decision.

    Of a uuid only that instance.
    """
    with open_database() as database:
        if accuracy:
            with database.read() as connection:
                _print_accuracy(read_accuracy(connection), as_json)
            return
        meant = meant_by(database, meeting, account) if meeting is not None else None
        if meant is not None:
            account = account_of(database, meant.meeting_id, account or meant.account_id)
        with database.read() as connection:
            rows = read_links(connection, meant.meeting_id if meant else None, account if meant else None)
        if meant is not None and meant.uuid is not None:
            rows = [row for row in rows if row["uuid"] == meant.uuid]
    for row in rows:
        row["link_evidence"] = json.loads(row["link_evidence"] or "{}")
    if as_json:
        click.echo(json.dumps(rows, default=_as_text, ensure_ascii=False, indent=2))
    elif rows:
        _print_links(rows)
    else:
        click.echo("No link needs a decision." if meant is None else f"Meeting {meant.meeting_id} has not run yet.")


@click.command("link-set")
@click.argument("uuid")
@click.argument("occurrence")
@click.option("--by", default=getpass.getuser, show_default="your login", help="who decides")
@click.option("--because", required=True, help="the reason, for those who read it later")
@click.option("--account", help="where several Zoom accounts know this uuid")
@click.option("--force", is_flag=True, help="also for an occurrence Joinlog has never heard of")
@click.option(
    "--meeting", type=Meeting(), help="whose occurrence, where it ran under another number: a personal meeting id"
)
def link_set(
    uuid: str, occurrence: str, by: str, because: str, account: str | None, force: bool, meeting: MeetingName | None
) -> None:
    """Decide that instance UUID was OCCURRENCE. It outranks all other evidence, Zoom's included."""
    with open_database() as database:
        instance = _instance(database, uuid, account)
        number = instance.meeting_id if meeting is None else meant_by(database, meeting, account).meeting_id
        with database.read() as connection:
            known = find_occurrence(connection, instance.account_id, number, occurrence)
        is_itself = occurrence == uuid and number == instance.ran_under  # nobody's date, under a personal meeting id
        if known is None and not is_itself and not force:
            raise click.ClickException(
                f"Meeting {number} has no occurrence {occurrence}. "
                f"`joinlog report {number}` lists them; --force decides for it all the same."
            )
        _say(database, instance, number, occurrence, by, because)


@click.command("link-clear")
@click.argument("uuid")
@click.option("--by", default=getpass.getuser, show_default="your login", help="who takes it back")
@click.option("--because", required=True, help="the reason")
@click.option("--account", help="where several Zoom accounts know this uuid")
def link_clear(uuid: str, by: str, because: str, account: str | None) -> None:
    """Take a decision about instance UUID back; the evidence decides again."""
    with open_database() as database:
        instance = _instance(database, uuid, account)
        _say(database, instance, instance.meeting_id, None, by, because)


@click.command("link-stated")
@click.argument("meeting", type=Meeting())
@click.argument("file", type=click.File("r"), default="-")
@click.option("--account", help="where several Zoom accounts have a meeting of this number")
def link_stated(meeting: MeetingName, file: TextIO, account: str | None) -> None:
    """Record Zoom's own word: the JSON of GET /past_webinars/MEETING/instances (or meetings), from FILE or stdin."""
    try:
        document = json.load(file)
        kind = "webinar" if "webinars" in document else "meeting"
        instances = document[f"{kind}s"]
        stated = [item for item in instances if item.get("uuid") and item.get("occurrence_id")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise click.ClickException(
            'This is not that answer of Zoom: it has a list `webinars` or `meetings` of {"uuid", "occurrence_id"}.'
        ) from error
    with open_database() as database:
        meant = meant_by(database, meeting, account)
        account = account_of(database, meant.meeting_id, account or meant.account_id)
        (told,) = instances_read(kind, meant.meeting_id, document)
        _record(database, event_body(INSTANCES_READ, account, told, int(time.time() * 1000)))
        click.echo(f"Zoom names the occurrence of {len(stated)} of {len(instances)} instances.")
        with database.read() as connection:
            rows = read_links(connection, meant.meeting_id, account)
    for row in rows:
        row["link_evidence"] = json.loads(row["link_evidence"] or "{}")
    _print_links(rows)


def _instance(database: Database, uuid: str, account: str | None) -> Instance:
    with database.read() as connection:
        found = [row for row in find_instances(connection, uuid) if account in (None, row.account_id)]
    if not found:
        raise click.ClickException(f"No instance {uuid} is known. `joinlog links MEETING` lists a meeting's.")
    if len(found) > 1:
        names = " or ".join(row.account_id for row in found)
        raise click.ClickException(f"Several accounts know this uuid: add --account {names}.")
    return found[0]


def _say(
    database: Database, instance: Instance, meeting: int | None, occurrence: str | None, by: str, because: str
) -> None:
    body = link_event(
        instance.account_id, meeting, instance.uuid, occurrence,
        by=by, because=because, now=datetime.now(UTC),
    )  # fmt: skip
    _record(database, body)
    with database.read() as connection:
        after = find_instances(connection, instance.uuid)
    for row in after:
        if row.account_id == instance.account_id:
            click.echo(f"{row.uuid}: {row.link_state} {row.occurrence_id or 'no occurrence'}")


def _record(database: Database, body: bytes) -> None:
    """Keep a statement as an event and bring it to the tables at once; other workers may do so at the same time."""
    keep_own_event(database, body)
    Drain(database, retry_for_seconds=10, staff_domains=read_settings().staff_domain_names).drain_all()


def _print_accuracy(found: list[Accuracy], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([one._asdict() | {"bound": one.bound} for one in found], indent=2))
        return
    for one in found:
        click.echo(f"{one.state}: {one.says}.")
    if not found:
        click.echo("Zoom has stated no link yet that Joinlog had said something about before.")


def _as_text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _print_links(rows: list[Row]) -> None:
    table = Table()
    for heading in ("meeting", "started (UTC)", "instance", "link", "occurrence", "why", "candidates"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        evidence = row["link_evidence"]
        candidates = ", ".join(
            f"{item['occurrence_id']} ({item.get('votes', 0)} votes)" for item in evidence.get("candidates", ())
        )
        started = f"{row['started_at']:%Y-%m-%d %H:%M}" if row["started_at"] else "-"
        why = evidence.get("reason") or evidence.get("rule") or "-"
        table.add_row(
            str(row["meeting_id"]),
            started,
            row["uuid"],
            row["link_state"],
            row["occurrence_id"] or "-",
            why,
            candidates,
        )
    Console(width=None if sys.stdout.isatty() else 220).print(table, markup=False)
