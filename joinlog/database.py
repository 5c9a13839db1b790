"""What the commands share that ask the database: opening it, and finding which meeting is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from schema.logs import configure_logs
from schema.settings import ConfigurationError, read_settings
from schema.store.database import Database
from schema.store.reports import find_accounts, find_instances
from schema.zoom.envelope import MEETING_ID_MAX

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


def read_meeting_number(text: str) -> int | None:
    """A meeting's number, with or without spaces, or as Zoom's reports write it: the number and a planned start.

    `831 1000 0000` and `831100000002020-07-25 19:00:00` are both 83110000000. None for anything else, as a uuid.
    """
    found = _NUMBER.fullmatch(text.strip())
    digits = re.sub(r"[ -]", "", found.group(1)) if found else ""
    return int(digits) if digits and int(digits) <= MEETING_ID_MAX else None


_NUMBER = re.compile(r"(\d[\d -]*?)\s*(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)?")


class MeetingNumber(click.ParamType[int]):
    """MEETING on the command line, as `read_meeting_number` reads it."""

    name = "meeting"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of the meeting."""
        if isinstance(value, int):
            return value
        number = read_meeting_number(str(value))
        if number is None:
            self.fail(f"{value!r} is no number of a meeting.", param, ctx)
        return number


def meeting_of(database: Database, text: str) -> int:
    """The number of a meeting, as `read_meeting_number` reads it, or that of the instance whose uuid is given.

    Raises click.ClickException.
    """
    number = read_meeting_number(text)
    if number is not None:
        return number
    with database.read() as connection:
        found = [row.meeting_id for row in find_instances(connection, text) if row.meeting_id is not None]
    if not found:
        raise click.ClickException(f"{text} is neither the number of a meeting nor the uuid of a known instance.")
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
