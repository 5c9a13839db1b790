"""`joinlog report`: who had registered, who came, who did not."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from joinlog.database import MeetingNumber, account_of, open_database
from schema.store.reports import read_occurrence_report, read_people

Row = dict[str, Any]

OCCURRENCE_HEADINGS = {
    "occurrence_id": "occurrence", "scheduled_start": "scheduled (UTC)", "state": "state", "instances": "instances",
    "link_state": "link", "registrants": "registrants", "attended": "attended", "no_shows": "no-shows",
    "walk_ins": "walk-ins", "unidentified": "unidentified", "staff": "staff", "participants": "participants",
    "peak_concurrent": "peak", "attended_minutes": "person-hours",
}  # fmt: skip
PERSON_HEADINGS = {
    "name": "name", "email": "email", "standing": "standing", "reason": "why", "person_id": "person",
    "first_joined_at": "first join (UTC)", "last_left_at": "last leave (UTC)", "attended_seconds": "seconds",
    "attended_share": "share", "connections": "connections",
}  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@click.command()
@click.argument("meeting", type=MeetingNumber())
@click.option("--occurrence", help="only this one, person by person: who registered and who came")
@click.option("--account", help="where several Zoom accounts have a meeting of this number")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def report(meeting: int, occurrence: str | None, account: str | None, form: str) -> None:
    """Registrants, attended, no-shows and walk-ins of each occurrence of MEETING.

    With --occurrence also the people, one row each; the csv then holds only those.
    """
    with open_database() as database:
        account = account_of(database, meeting, account)
        with database.read() as connection:
            occurrences = read_occurrence_report(connection, account, meeting, occurrence)
            people = read_people(connection, account, meeting, occurrence) if occurrence else []
    if occurrence and not occurrences:
        raise click.ClickException(
            f"Meeting {meeting} has no occurrence {occurrence}; `joinlog report {meeting}` lists them."
        )
    if form == "json":
        _print_json({"occurrences": occurrences, **({"people": people} if occurrence else {})})
    elif form == "csv":
        _print_csv(people if occurrence else occurrences, PERSON_HEADINGS if occurrence else OCCURRENCE_HEADINGS)
    else:
        title = occurrences[0]["topic"] if occurrences else None
        _print_table([_in_hours(row) for row in occurrences], OCCURRENCE_HEADINGS, f"{meeting} {title or ''}".strip())
        if occurrence:
            _print_table(people, PERSON_HEADINGS, "Person by person")


def _print_json(document: object) -> None:
    click.echo(json.dumps(document, default=_as_text, ensure_ascii=False, indent=2))


def _print_csv(rows: Sequence[Row], columns: dict[str, str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([safe_cell(_as_text(row[name])) for name in columns] for row in rows)


def _print_table(rows: Sequence[Row], columns: dict[str, str], title: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table(title=title, title_justify="left")
    for name, heading in columns.items():
        table.add_column(heading, justify="right" if _is_number(rows, name) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in columns))
    if rows:
        console.print(table, markup=False)
    else:
        console.print(f"{title}: nothing yet.", markup=False)


def _in_hours(row: Row) -> Row:
    """An occurrence with the minutes of all people together as person-hours, as its heading in the table says."""
    minutes = row["attended_minutes"]
    return row if minutes is None else {**row, "attended_minutes": f"{minutes / 60:.1f}"}


def _is_number(rows: Sequence[Row], name: str) -> bool:
    return name == "attended_minutes" or any(
        isinstance(row[name], (int, float)) and not isinstance(row[name], bool) for row in rows
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return printable(str(value))


def printable(text: str) -> str:
    """Text fit for a terminal. Names are hostile input: a terminal must not obey what they hold."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _as_text(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
