"""`joinlog access`: page links, the signed addresses that open the pages: granted, listed, revoked."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.table import Table

from joinlog.database import Meeting, meant_by, open_database
from joinlog.report import printable
from joinlog.suggestions import Suggesting
from schema.meeting_names import MeetingName
from schema.settings import Settings, read_settings
from schema.store.database import Database
from schema.store.page_links import PageLinkRow, read_links_made, record_link, revoke_link
from schema.store.reports import find_accounts, find_occurrence
from webhook.tokens import LINK_HOURS_DEFAULT, AccessRefused, Pass, Role, Tokens, link_of, new_pass, read_duration

COLUMNS = ("id", "state", "role", "opens", "until", "made by", "made", "revoked")
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # so that an expired link can be revoked, too


@click.group(cls=Suggesting)
def access() -> None:
    """Page links: signed addresses that open the pages, for a role, a time and perhaps one meeting."""


@access.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.VIEWER.value, show_default=True,
              help="Viewers see, addresses masked; operators see all, decide, replay, hand out links.")  # fmt: skip
@click.option("--expires", default=f"{LINK_HOURS_DEFAULT}h", show_default=True, metavar="DURATION",
              help="How long it opens the pages: 90m, 8h, 30d.")  # fmt: skip
@click.option("--meeting", type=Meeting(), help="Opens this meeting or webinar only.")
@click.option("--occurrence", metavar="ID", help="Opens this date of it only, and nothing else.")
def grant(role: str, expires: str, meeting: MeetingName | None, occurrence: str | None) -> None:
    """Print a new page link. Whoever has it sees the pages until it ends or is revoked.

    It is stored nowhere; `joinlog access list` knows its id, for whom it is, and until when.
    """
    if occurrence is not None and meeting is None:
        raise click.UsageError("--occurrence needs --meeting: which one is it a date of?")
    try:
        lasts = read_duration(expires)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error
    settings = read_settings()
    tokens = Tokens(settings.signing_keys)
    with open_database() as database:
        number = meeting.number or meant_by(database, meeting).meeting_id if meeting is not None else None
        granted = new_pass(Role(role), lasts, datetime.now(UTC), number, occurrence)
        if occurrence is not None and not _is_known(database, number, occurrence):
            raise click.ClickException(f"Meeting {number} has no occurrence {occurrence}: see joinlog report {number}.")
        record_link(database, made_row(granted, f"joinlog access grant, {getpass.getuser()}"))
    click.echo(link_of(settings.base_url, tokens, granted))
    click.echo(f"{describe(granted)}. To take it back: joinlog access revoke {granted.link_id}", err=True)


@access.command("list")
@click.option("--all", "with_ended", is_flag=True, help="Also those that have ended.")
def list_links(with_ended: bool) -> None:
    """List the page links that open the pages now and those that were revoked, never what opens a page.

    Links made by versions before this list are in it only once they are revoked.
    """
    now = datetime.now(UTC)
    with open_database() as database, database.read() as connection:
        rows = read_links_made(connection)
    shown = [one for one in rows if with_ended or one.is_revoked or one.is_open(now)]
    if not shown:
        click.echo("No page link opens the pages now.", err=True)
    elif sys.stdout.isatty():
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in COLUMNS:
            table.add_column(heading, no_wrap=heading == "id", overflow="fold")
        for one in shown:
            table.add_row(*_cells(one, now))
        Console().print(table, markup=False)
    else:
        for one in shown:
            click.echo("\t".join(_cells(one, now)))


@access.command()
@click.argument("link", metavar="LINK")
def revoke(link: str) -> None:
    """End a page link before its time: LINK is its id, or the page link itself. Cookies made from it end, too."""
    settings = read_settings()
    link_id = link.strip()
    if "#" in link_id or "." in link_id:
        try:
            link_id = Tokens(settings.signing_keys).read_link(link_id.rpartition("#")[2], LONG_AGO).link_id
        except AccessRefused as error:
            raise click.ClickException("This is no page link of this installation.") from error
    with open_database() as database:
        revoke_link(database, link_id, datetime.now(UTC))
    click.echo(f"Page link {link_id} opens nothing any more.")


def make_link(settings: Settings, role: Role, lasts: timedelta, made_by: str) -> str:
    """A new page link, written down in the list. Raises ConfigurationError when there is no key to sign it with."""
    granted = new_pass(role, lasts, datetime.now(UTC))
    link = link_of(settings.base_url, Tokens(settings.signing_keys), granted)
    database = Database(settings.database_url)
    try:
        record_link(database, made_row(granted, made_by))
    finally:
        database.close()
    return link


def made_row(granted: Pass, made_by: str) -> PageLinkRow:
    """A pass as the list of page links keeps it."""
    return PageLinkRow(
        granted.link_id, granted.role, granted.meeting_id, granted.occurrence_id, made_by, datetime.now(UTC),
        granted.expires_at,
    )  # fmt: skip


def describe(granted: Pass) -> str:
    """A pass in words."""
    only = f" of {_opened(granted.meeting_id, granted.occurrence_id)}" if granted.meeting_id is not None else ""
    return f"For {'an' if granted.decides else 'a'} {granted.role}{only}, until {granted.expires_at:%Y-%m-%d %H:%M} UTC"


def _opened(meeting_id: int | None, occurrence_id: str | None) -> str:
    if occurrence_id is not None:
        return f"occurrence {occurrence_id} of meeting {meeting_id}"
    return f"meeting {meeting_id}" if meeting_id is not None else "all meetings"


def _is_known(database: Database, meeting_id: int | None, occurrence_id: str) -> bool:
    if meeting_id is None:
        return False
    with database.read() as connection:
        accounts = find_accounts(connection, meeting_id)
        return any(find_occurrence(connection, one, meeting_id, occurrence_id) for one in accounts)


def _cells(one: PageLinkRow, now: datetime) -> tuple[str, ...]:
    state = "revoked" if one.is_revoked else "open" if one.is_open(now) else "ended"
    is_known = one.role is not None
    return (
        one.link_id, state, one.role or "?", _opened(one.meeting_id, one.occurrence_id) if is_known else "?",
        _minute(one.expires_at), printable(one.made_by or "?"), _minute(one.made_at), _minute(one.revoked_at),
    )  # fmt: skip


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment is not None else ""
