"""`joinlog meetings`: every series, and what waits there for somebody."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from joinlog.database import open_database
from joinlog.report import printable
from schema.store.reports import read_series

LIMIT_DEFAULT = 50
TOPIC_CHARACTERS_MAX = 30  # the rest of the row has 50, on a terminal of 80


@click.command()
@click.option("--waiting", is_flag=True, help="only those where something waits")
@click.option("--limit", type=click.IntRange(1), default=LIMIT_DEFAULT, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="a JSON list")
def meetings(waiting: bool, limit: int, as_json: bool) -> None:
    """List the meetings and webinars, the one something was heard of last first, and what waits for a decision.

    Links to decide: `joinlog links MEETING`. Dead events: `joinlog inbox list --state dead --meeting MEETING`.
    """
    with open_database() as database, database.read() as connection:
        rows = read_series(connection, waiting, limit)
    if as_json:
        click.echo(json.dumps(rows, default=lambda moment: moment.isoformat(), ensure_ascii=False, indent=2))
    elif not rows:
        click.echo("Nothing waits." if waiting else "No meeting is known yet. `joinlog inbox list` shows what came.")
    elif sys.stdout.isatty():
        _print_table(rows)
    else:
        for row in rows:
            click.echo("\t".join(_cells(row)))


def _cells(row: dict[str, Any]) -> list[str]:
    waits = [f"{row[name]} {word}" for name, word in (("undecided", "to decide"), ("dead", "dead")) if row[name]]
    return [
        str(row["meeting_id"]),
        printable(row["topic"] or "Untitled")[:TOPIC_CHARACTERS_MAX],
        str(row["occurrences"]),
        str(row["instances"]),
        ", ".join(waits) or "-",
    ]


def _print_table(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("meeting", "topic", "dates", "ran", "waits"):
        table.add_column(
            heading, justify="right" if heading in ("dates", "ran") else "left", no_wrap=heading != "topic"
        )
    for row in rows:
        table.add_row(*_cells(row))
    Console().print(table, markup=False)
