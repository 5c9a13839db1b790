"""`joinlog access`: page links, the signed addresses that open the pages: granted, listed, revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from joinlog.database import Meeting, meant_by, open_database
from joinlog.suggestions import Suggesting
from schema.meeting_names import MeetingName
from schema.settings import Settings, read_settings
from schema.store.page_links import read_revoked_links, revoke_link
from webhook.tokens import LINK_HOURS_DEFAULT, AccessRefused, Pass, Role, Tokens, link_of, new_pass, read_duration

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
def grant(role: str, expires: str, meeting: MeetingName | None) -> None:
    """Print a new page link. Whoever has it sees the pages until it ends or is revoked.

    Page links are stored nowhere: note the id that is printed beside one if it may have to be revoked.
    """
    number = meeting.number if meeting is not None else None
    if meeting is not None and number is None:
        with open_database() as database:
            number = meant_by(database, meeting).meeting_id
    try:
        granted = new_pass(Role(role), read_duration(expires), datetime.now(UTC), number)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error
    settings = read_settings()
    click.echo(link_of(settings.base_url, Tokens(settings.signing_keys), granted))
    click.echo(f"{describe(granted)}. To take it back: joinlog access revoke {granted.link_id}", err=True)


@access.command("list")
def list_revoked() -> None:
    """List the page links that were revoked, and when; those that still open the pages are stored nowhere."""
    with open_database() as database, database.read() as connection:
        revoked = sorted(read_revoked_links(connection).items())
    for link_id, revoked_at in revoked:
        click.echo(f"{link_id}  {revoked_at or ''}".rstrip())


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


def make_link(settings: Settings, role: Role, lasts: timedelta) -> str:
    """A new page link. Raises ConfigurationError when there is no key to sign it with."""
    return link_of(settings.base_url, Tokens(settings.signing_keys), new_pass(role, lasts, datetime.now(UTC)))


def describe(granted: Pass) -> str:
    """A pass in words."""
    only = f" of meeting {granted.meeting_id}" if granted.meeting_id is not None else ""
    return f"For {'an' if granted.decides else 'a'} {granted.role}{only}, until {granted.expires_at:%Y-%m-%d %H:%M} UTC"
