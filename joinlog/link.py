"""`joinlog link`: prints a link to the pages; calls one back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from joinlog.database import open_database
from schema.settings import Settings, read_settings
from schema.store.page_links import read_revoked_links, revoke_link
from webhook.tokens import LINK_HOURS_DEFAULT, AccessRefused, Pass, Role, Tokens, new_pass, read_duration

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # so that an expired link can be called back, too


@click.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.VIEWER.value, show_default=True,
              help="Viewers see, addresses masked; operators see all, decide and replay.")  # fmt: skip
@click.option("--expires", default=f"{LINK_HOURS_DEFAULT}h", show_default=True, metavar="DURATION",
              help="How long it opens the pages: 90m, 8h, 30d.")  # fmt: skip
@click.option("--meeting", type=click.IntRange(1), metavar="ID", help="Opens this meeting or webinar only.")
@click.option("--revoke", metavar="LINK_ID", help="Call a link back, by its id or the link itself; prints no new one.")
@click.option("--list", "lists", is_flag=True, help="List the links that were called back; prints no new one.")
def link(role: str, expires: str, meeting: int | None, revoke: str | None, lists: bool) -> None:
    """Print a signed link to the pages. Whoever has it sees them until it ends or is called back.

    Links are not stored anywhere: note the id that is printed beside one if it may have to be called back.
    """
    settings = read_settings()
    if revoke is not None:
        click.echo(f"Link {call_back(settings, revoke)} opens nothing any more.")
    elif lists:
        for link_id, revoked_at in revoked():
            click.echo(f"{link_id}  {revoked_at or ''}".rstrip())
    else:
        try:
            granted = new_pass(Role(role), read_duration(expires), datetime.now(UTC), meeting)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--expires") from error
        click.echo(link_of(settings, granted))
        click.echo(f"{describe(granted)}. To call it back: joinlog link --revoke {granted.link_id}", err=True)


def make_link(settings: Settings, role: Role, lasts: timedelta, meeting_id: int | None = None) -> str:
    """A new link. Raises ConfigurationError when there is no key to sign it with."""
    return link_of(settings, new_pass(role, lasts, datetime.now(UTC), meeting_id))


def link_of(settings: Settings, granted: Pass) -> str:
    """The link of a pass: the token stands behind `#`, which browsers send to nobody."""
    return f"{settings.base_url}/enter#{Tokens(settings.signing_keys).sign_link(granted)}"


def describe(granted: Pass) -> str:
    """A pass in words."""
    only = f" of meeting {granted.meeting_id}" if granted.meeting_id is not None else ""
    return f"For a {granted.role}{only}, until {granted.expires_at:%Y-%m-%d %H:%M} UTC"


def call_back(settings: Settings, named: str) -> str:
    """Call a link back; returns its id. A link that has expired is called back all the same."""
    link_id = named.strip()
    if "#" in link_id or "." in link_id:
        try:
            link_id = Tokens(settings.signing_keys).read_link(link_id.rpartition("#")[2], LONG_AGO).link_id
        except AccessRefused as error:
            raise click.ClickException("This is no link of this installation.") from error
    with open_database() as database:
        revoke_link(database, link_id, datetime.now(UTC))
    return link_id


def revoked() -> list[tuple[str, datetime | None]]:
    """The links that were called back, and when."""
    with open_database() as database, database.read() as connection:
        return sorted(read_revoked_links(connection).items())
