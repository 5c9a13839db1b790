"""`joinlog tail`: the join log in a terminal or a pipe, with the filters of the page."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import click

from joinlog.database import Meeting, meant_by, open_database
from joinlog.report import printable
from joinlog.tail_changes import show_changes
from schema.log_kinds import LOG_KINDS
from schema.meeting_names import MeetingName
from schema.settings import read_settings
from schema.store.commit_marker import CommitMarker
from schema.store.database import Database
from schema.store.join_log import Cursor, Line
from webhook.pages.exports import LINE_COLUMNS
from webhook.pages.filters import read_filters
from webhook.pages.pagination import Reader
from webhook.pages.tail import Changes, LogTail
from webhook.tokens import Role, Tokens

LINES_DEFAULT = 20
LINES_MAX = 5000
LOOK_SECONDS = 0.5


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what arrives, until Ctrl-C.")
@click.option("--lines", "-n", type=click.IntRange(0, LINES_MAX), default=LINES_DEFAULT, show_default=True)
@click.option("--meeting", type=Meeting(), multiple=True, help="Only this meeting; may be repeated.")
@click.option("--occurrence", multiple=True, metavar="MEETING/ID", help="Only this occurrence; may be repeated.")
@click.option("--kind", type=click.Choice(list(LOG_KINDS)), multiple=True, help="Only this kind; may be repeated.")
@click.option(
    "--person", multiple=True, metavar="TOKEN", help="Only this person, as an address of the page names them."
)
@click.option("--search", default="", help="Only lines with all of these words.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object per line, with the columns of the page's export."
)
@click.option("--changes", is_flag=True, help="Instead: the change feed, one JSON object per changed row.")
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="With --changes: everything after this number.")
def tail(
    follow: bool, lines: int, meeting: Sequence[MeetingName], occurrence: Sequence[str], kind: Sequence[str],
    person: Sequence[str], search: str, as_json: bool, changes: bool, after: int | None,
) -> None:  # fmt: skip
    """Show the newest lines of the join log, the newest last, in the order in which they arrived.

    In a pipe the columns are separated by tabs.
    """
    if changes:
        if meeting or occurrence or kind or person or search:
            raise click.UsageError("The change feed has no filters: leave them out, or --changes.")
        with open_database() as database:
            show_changes(database, after, lines, follow=follow)
        return
    if after is not None:
        raise click.UsageError("--after is a number of the change feed: give --changes, too.")
    with open_database() as database:
        meetings = [str(meant_by(database, one).meeting_id) for one in meeting]
        wanted = {"meeting": meetings, "occurrence": occurrence, "kind": kind, "person": person}
        filters = read_filters(wanted, search)
        reader = Reader(database, Tokens(read_settings().signing_keys), Role.OPERATOR, filters)
        show = _show_json if as_json else _show_line
        if not follow:
            show(reversed(reader.page(Cursor(), lines).lines if lines else []))
            return
        _follow(database, reader, lines, show)


def _follow(database: Database, reader: Reader, lines: int, show: Callable[[Iterable[Line]], None]) -> None:
    """Show the newest lines, then what arrives, until somebody ends this process."""
    marker = CommitMarker(database)
    arriving = LogTail(database, Changes(marker))
    cursor = arriving.cursor()  # first, so that no line falls between it and the page
    pause = threading.Event()
    try:
        show(reversed(reader.page(Cursor(), lines).lines if lines else []))
        while not pause.wait(LOOK_SECONDS):
            found = arriving.since(cursor)
            cursor = found.cursor
            if not found.is_whole:
                click.echo("Too much came at once: some lines are left out here.", err=True)
            show(entry.line for entry in reversed(found.entries) if reader.admits(entry.line))
    except KeyboardInterrupt:
        return
    finally:
        marker.close()


def _show_json(found: Iterable[Line]) -> None:
    for line in found:
        values = {name: getattr(line, name) for name in LINE_COLUMNS}
        click.echo(json.dumps(values, default=_as_text, ensure_ascii=False))


def _show_line(found: Iterable[Line]) -> None:
    is_terminal = sys.stdout.isatty()
    for line in found:
        kind = LOG_KINDS.get(line.kind or "")
        cells = [
            f"{line.event_ts:%Y-%m-%d %H:%M:%S}" if line.event_ts else "-",
            kind.label if kind else line.kind or "-",
            _who(line),
            line.topic or str(line.meeting_id or ""),
            f"{line.scheduled_start:%Y-%m-%d %H:%M}" if line.scheduled_start else line.occurrence_id or "",
        ]
        shown = [printable(cell) for cell in cells]
        if is_terminal:
            click.echo(f"{shown[0]}  {shown[1]:11}  {'  '.join(cell for cell in shown[2:] if cell)}".rstrip())
        else:
            click.echo("\t".join(shown))


def _who(line: Line) -> str:
    about = line.name or ("unnamed" if line.person_id else "")
    about = f"{about} <{line.email}>".strip() if line.email else about
    return " ".join(part for part in (about, line.detail) if part)


def _as_text(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
