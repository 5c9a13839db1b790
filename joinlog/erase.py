"""`joinlog erase`: take a person or an account out, and leave the counts."""

from __future__ import annotations

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from joinlog.database import open_database
from schema.settings import read_settings
from workers.erase import erase_account, erase_person


@click.command()
@click.option("--account", help="everybody in this Zoom account, and what its meetings are called")
@click.option("--person", metavar="EMAIL", help="the person behind this address, in every account")
@click.option("--yes", is_flag=True, help="do not ask")
def erase(account: str | None, person: str | None, yes: bool) -> None:
    """Remove personal data from the tables and from the bodies in the inbox; it cannot be undone.

    Counts, idempotency keys and Zoom's opaque ids stay: reports add up as before, and an event that Zoom sends
    again is still known.
    """
    if (account is None) == (person is None):
        raise click.UsageError("Give either --account ID or --person EMAIL.")
    whom = f"everybody in account {account}" if account is not None else f"the person behind {person}"
    if not yes:
        click.confirm(f"Erase {whom}? This cannot be undone.", abort=True)
    domains = read_settings().staff_domain_names
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with open_database() as database, Progress(*columns, transient=True) as progress:
        task = progress.add_task("Reading the inbox", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        erased = (
            erase_account(database, account, show, domains)
            if account is not None
            else erase_person(database, person or "", show, domains)
        )
    click.echo(f"Erased {whom} from {erased.bodies} events and {erased.rows} rows.")
    if erased.remains is not None:
        click.echo(erased.remains)
