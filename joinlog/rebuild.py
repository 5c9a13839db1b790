"""`joinlog rebuild`: the tables again, from the inbox."""

from __future__ import annotations

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from joinlog.database import open_database
from schema.gc_tuning import collect_rarely
from schema.settings import read_settings
from workers.rebuild import BodiesMissing, Rebuilt
from workers.rebuild import rebuild as rebuild_tables


@click.command()
@click.option("--check", is_flag=True, help="only compare; exit code 1 when anything differs")
def rebuild(check: bool) -> None:
    """Recompute every derived table from the inbox beside the live ones, and swap them in one transaction.

    Rows that are right already are not touched. On SQLite the swap holds the one writer up, about a second for each
    200,000 rows; Zoom sends again what it could not deliver meanwhile.
    """
    collect_rarely()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with open_database(durable=False) as database, Progress(*columns, transient=True) as progress:
        task = progress.add_task("Applying events", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        try:
            domains = read_settings().staff_domain_names
            rebuilt = rebuild_tables(database, check_only=check, on_progress=show, staff_domains=domains)
        except BodiesMissing as error:
            raise click.ClickException(
                f"{error.missing} events have no body any more (BODY_RETENTION_DAYS). Rebuilding would lose what they "
                "said, so nothing was done. The live tables go on as they are."
            ) from error
    _say(rebuilt, check)
    if check and rebuilt.rows_differing:
        raise SystemExit(1)


def _say(rebuilt: Rebuilt, check: bool) -> None:
    for difference in rebuilt.examples:
        key = ", ".join(str(part) for part in difference.key)
        click.echo(f"{difference.kind:>9}  {difference.table}  {key}")
    if rebuilt.rows_differing > len(rebuilt.examples):
        click.echo(f"          ... and {rebuilt.rows_differing - len(rebuilt.examples)} more")
    if not rebuilt.rows_differing:
        click.echo(f"{rebuilt.events} events; the tables are what the inbox says.")
    else:
        verb = "differ" if check else "differed and were put right"
        click.echo(f"{rebuilt.events} events; {rebuilt.rows_differing} rows {verb}.")
