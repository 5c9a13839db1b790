"""`joinlog report`: who had registered, who came, who did not."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from rich.console import Console
from rich.table import Table

from joinlog.database import Meeting, account_of, meant_by, open_database
from schema.files import as_csv, as_xlsx, plain
from schema.meeting_names import MeetingName
from schema.people import WHO, Minimum, Person, as_hms, as_percent
from schema.store.meetings import read_meeting
from schema.store.people import read_people
from schema.store.reports import read_occurrence_report

Row = Mapping[str, Any]

OCCURRENCE_HEADINGS = {
    "occurrence_id": "occurrence", "scheduled_start": "scheduled (UTC)", "state": "state", "instances": "instances",
    "link_state": "link", "registrants": "registrants", "attended": "attended", "no_shows": "no-shows",
    "walk_ins": "walk-ins", "unidentified": "unidentified", "staff": "staff", "participants": "participants",
    "peak_concurrent": "peak", "attended_minutes": "person-hours",
}  # fmt: skip
PERSON_HEADINGS = {
    "name": "name", "email": "email", "standing": "standing", "attended_seconds": "time", "attended_share": "share",
    "reason": "why", "first_joined_at": "first join (UTC)", "last_left_at": "last leave (UTC)",
    "registered_since": "registered (UTC)", "connections": "connections", "person_id": "person",
}  # fmt: skip
NARROW = {  # what fits a terminal of 80 columns
    "occurrence_id": "occurrence", "scheduled_start": "scheduled (UTC)", "state": "state", "registrants": "regist",
    "attended": "attend", "no_shows": "no\nshow", "walk_ins": "walk\nins", "unidentified": "unid.",
    "attended_minutes": "hours",
}  # fmt: skip
NARROW_PERSON = {
    "name": "name", "email": "email", "standing": "standing", "attended_seconds": "time", "attended_share": "share",
}  # fmt: skip
WEEK = re.compile(r"week\s*(\d{1,4})", re.IGNORECASE)
FORMS = ("table", "csv", "json", "xlsx")


@click.command()
@click.argument("meeting", type=Meeting())
@click.option("--occurrence", help="only this one, with its people: its id, 'week 3', or its date, as 2026-11-17")
@click.option("--who", type=click.Choice(list(WHO)), help="which of its people; all of them if not given")
@click.option("--min-minutes", type=click.FloatRange(0), help="of who attended only those who were there for so long")
@click.option("--account", help="where several Zoom accounts have a meeting of this number")
@click.option("--format", "form", type=click.Choice(FORMS), default="table", show_default=True)
def report(
    meeting: MeetingName, occurrence: str | None, who: str | None, min_minutes: float | None, account: str | None,
    form: str,
) -> None:  # fmt: skip
    """Registrants, attended, no-shows and walk-ins of each occurrence of MEETING; with --occurrence its people.

    MEETING is a number, the uuid of an instance (then its occurrence), or both number and planned start.
    Who had registered for the third week and did not come: joinlog report MEETING --occurrence 'week 3' --who no-shows
    """
    names_meeting_alone = meeting.number is not None and meeting.start is None
    if occurrence is None and names_meeting_alone and (who is not None or min_minutes is not None):
        raise click.UsageError("Of which occurrence? Add --occurrence 'week 3', or its date, or its id.")
    if form == "xlsx" and sys.stdout.isatty():
        raise click.UsageError("A workbook is no text: add > FILE.xlsx.")
    with open_database() as database:
        meant = meant_by(database, meeting, account)
        number, occurrence = meant.meeting_id, meant.occurrence_id if occurrence is None else occurrence
        account = account_of(database, number, account or meant.account_id)
        with database.read() as connection:
            rows = read_occurrence_report(connection, account, number)
            known = read_meeting(connection, account, number)
            if occurrence is not None:
                rows = [_named(rows, occurrence, number, known.timezone if known else None)]
                people = read_people(connection, account, number, rows[0]["occurrence_id"])
    title = f"{number} {(known.topic if known else None) or ''}".strip()
    if occurrence is None:
        _show(rows, OCCURRENCE_HEADINGS, NARROW, title, form, {"occurrences": rows})
        return
    standings = WHO[who or "all"]
    minimum = Minimum(min_minutes)
    wanted = [
        one._asdict()
        for one in sorted(people, key=_by_time)
        if one.standing in standings and minimum.is_enough(one) is not False
    ]
    if form == "table" and who is None:
        _print_table(rows, OCCURRENCE_HEADINGS, NARROW, title)
    document = {"occurrences": rows, "people": wanted}
    _show(wanted, PERSON_HEADINGS, NARROW_PERSON, f"{len(wanted)} {who or 'people'}", form, document)


def _by_time(one: Person) -> tuple[Any, ...]:
    return -one.attended_seconds, (one.name or "").casefold(), one.person_id


def _named(rows: Sequence[dict[str, Any]], text: str, meeting: int, timezone: str | None) -> dict[str, Any]:
    """The occurrence that is meant: by its id, by its place among the dates that were not replaced, by its day."""
    found = [row for row in rows if row["occurrence_id"] == text.strip()]
    if not found and (week := WEEK.fullmatch(text.strip())):
        dates = [row for row in rows if row["status"] != "retired"]
        found = dates[int(week[1]) - 1 : int(week[1])] if int(week[1]) else []
    elif not found and (day := _day(text.strip())):
        zone = _zone(timezone)
        starts = [(row, row["scheduled_start"] or row["held_from"]) for row in rows if row["status"] != "retired"]
        found = [row for row, start in starts if start and start.astimezone(zone).date() == day]
    if len(found) == 1:
        return found[0]
    if found:
        ids = " or ".join(row["occurrence_id"] for row in found)
        raise click.ClickException(f"Meeting {meeting} has several occurrences on {text}: --occurrence {ids}.")
    raise click.ClickException(f"Meeting {meeting} has no occurrence {text}; `joinlog report {meeting}` lists them.")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _zone(timezone: str | None) -> ZoneInfo:
    """The meeting's zone, in which its people name its days; UTC where it is not known."""
    try:
        return ZoneInfo(timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _show(
    rows: Sequence[Row], headings: dict[str, str], narrow: dict[str, str], title: str, form: str, document: object
) -> None:
    if form == "json":
        click.echo(json.dumps(document, default=plain, ensure_ascii=False, indent=2))
    elif form == "csv":
        for chunk in as_csv(list(headings), ([row[name] for name in headings] for row in rows)):
            sys.stdout.write(chunk.replace("\r\n", "\n"))
    elif form == "xlsx":
        for data in as_xlsx(list(headings), ([row[name] for name in headings] for row in rows)):
            sys.stdout.buffer.write(data)
    else:
        _print_table(rows, headings, narrow, title)


def _print_table(rows: Sequence[Row], headings: dict[str, str], narrow: dict[str, str], title: str) -> None:
    """For eyes as wide as a terminal; piped with every column, a tab between two."""
    if not rows:
        click.echo(f"{printable(title)}: nothing yet." if headings is OCCURRENCE_HEADINGS else "Nobody.")
    elif sys.stdout.isatty():
        Console().print(table_of(rows, narrow, title), markup=False)
    else:
        click.echo(printable(title))
        for line in _lines(rows, headings):
            click.echo("\t".join(line))


def table_of(rows: Sequence[Row], columns: dict[str, str], title: str) -> Table:
    """A table without lines; names and addresses give way where the terminal is narrow."""
    table = Table(title=printable(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name, heading in columns.items():
        is_number = any(isinstance(row[name], (int, float)) for row in rows)
        gives_way = name in ("name", "email")
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=not gives_way, overflow="fold")
    lines = _lines(rows, columns)
    next(lines)
    for line in lines:
        table.add_row(*line)
    return table


def _lines(rows: Sequence[Row], headings: dict[str, str]) -> Iterator[list[str]]:
    yield list(headings.values())
    for row in rows:
        yield [_cell(name, row[name]) for name in headings]


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return FIGURES[name](value)
    if name in ("state", "standing"):
        return str(value).replace("_", " ")
    return printable(str(value))


FIGURES = {
    "attended_minutes": lambda minutes: f"{minutes / 60:.1f}",  # of all people together: person-hours
    "attended_seconds": as_hms,
    "attended_share": as_percent,
}


def printable(text: str) -> str:
    """Text fit for a terminal. Names are hostile input: a terminal must not obey what they hold."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
