"""What the commands share that ask the database: opening it, and finding which meeting is meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from schema.logs import configure_logs
from schema.meeting_names import FORMS, MeetingName, read_meeting_name
from schema.settings import ConfigurationError, read_settings
from schema.store.database import Database
from schema.store.named_meetings import NamedMeeting, find_named
from schema.store.reports import find_accounts

DEMO_FILE = Path("demo.db")  # the demo's tables: never those of what is real
DEMO_DATABASE_URL = f"sqlite:///{DEMO_FILE}"


@contextmanager
def open_database(*, durable: bool = True) -> Iterator[Database]:
    """The database of the environment, migrated; closed at the end."""
    from schema.revision import applied_revision, is_later, why_unsuitable

    settings = read_settings()
    configure_logs(settings.model_copy(update={"log_level": "warning"}), "command")
    database = Database(settings.database_url, durable=durable)
    try:
        with database.read() as connection:
            applied, unsuitable = applied_revision(connection), why_unsuitable(connection)
        if applied is None and settings.database_url != DEMO_DATABASE_URL and DEMO_FILE.exists():
            raise ConfigurationError(
                f"The database {database.shown_url} is empty; a demo has played in this folder.",
                f"To ask about that one: export DATABASE_URL={DEMO_DATABASE_URL}",
            )
        if unsuitable is not None:
            raise ConfigurationError(
                f"{unsuitable.capitalize()} ({database.shown_url}).",
                "" if is_later(applied) else "Run `joinlog migrate`.",
            )
        yield database
    finally:
        database.close()


class Meeting(click.ParamType[MeetingName]):
    """MEETING on the command line, in any of the forms that `schema.meeting_names` reads."""

    name = "meeting"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> MeetingName:
        """How the meeting is named; `meant_by` says which one that is."""
        if isinstance(value, MeetingName):
            return value
        name = read_meeting_name(str(value))
        if name is None:
            self.fail(f"{str(value)!r} names no meeting. {FORMS}", param, ctx)
        return name


def meant_by(database: Database, name: MeetingName, account_id: str | None = None) -> NamedMeeting:
    """The meeting that is meant; of a uuid with its instance, of a planned start with its occurrence.

    Raises click.ClickException.
    """
    with database.read() as connection:
        found = find_named(connection, name, account_id)
    if not found:
        raise click.ClickException(
            f"{name.text} is neither the number of a meeting nor the uuid of an instance that Joinlog knows. "
            f"{FORMS} `joinlog meetings` lists them."
        )
    if len({one.account_id for one in found}) > 1:
        names = " or ".join(str(one.account_id) for one in found)
        raise click.ClickException(f"Several accounts know this uuid: add --account {names}.")
    if name.start is not None and found[0].occurrence_id is None:
        with database.read() as connection:
            is_known = bool(find_accounts(connection, found[0].meeting_id))
        if is_known:
            click.echo(f"Nothing was planned for {name.start} in meeting {found[0].meeting_id}.", err=True)
    return found[0]


def account_of(database: Database, meeting_id: int, account_id: str | None) -> str:
    """The account whose meeting is meant. Raises click.ClickException when there is none or more than one."""
    with database.read() as connection:
        accounts = find_accounts(connection, meeting_id)
    if account_id is not None:
        if account_id not in accounts:
            raise click.ClickException(f"Nothing is known of meeting {meeting_id} in account {account_id}.")
        return account_id
    if not accounts:
        raise click.ClickException(f"Nothing is known of meeting {meeting_id}. `joinlog inbox list` shows what came.")
    if len(accounts) > 1:
        raise click.ClickException(
            f"Several accounts have a meeting {meeting_id}: add --account {' or '.join(accounts)}."
        )
    return accounts[0]
