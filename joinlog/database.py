"""What the commands share that ask the database: opening it, and finding which meeting is meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from schema.logs import configure_logs
from schema.settings import ConfigurationError, read_settings
from schema.store.database import Database
from schema.store.reports import find_accounts


@contextmanager
def open_database(*, durable: bool = True) -> Iterator[Database]:
    """The database of the environment, migrated; closed at the end."""
    from schema.revision import applied_revision, newest_revision

    settings = read_settings()
    configure_logs(settings.model_copy(update={"log_level": "warning"}), "command")
    database = Database(settings.database_url, durable=durable)
    try:
        with database.read() as connection:
            applied = applied_revision(connection)
        if applied != newest_revision():
            raise ConfigurationError(
                f"The database {database.shown_url} is at revision {applied or 'none'}, this version needs "
                f"{newest_revision()}. Run `joinlog migrate`."
            )
        yield database
    finally:
        database.close()


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
