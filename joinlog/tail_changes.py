"""`joinlog tail --changes`: the change feed in a terminal or a pipe."""

from __future__ import annotations

import threading

import click

from schema.store.database import Database
from schema.store.feed import FeedGone, read_feed, read_head, read_oldest

LOOK_SECONDS = 0.2


def show_changes(database: Database, after: int | None, lines: int, *, follow: bool) -> None:
    """Show the changes after a number, or the newest so many; with `follow` go on until somebody ends this process."""
    if after is None:
        with database.read() as connection:
            after = max(read_head(connection) - lines, read_oldest(connection) - 1)
    pause = threading.Event()
    try:
        while True:
            part = read_feed(database, after)
            for change in part.changes:
                click.echo(change.as_line(), nl=False)
            is_end, after = part.next_after == after, part.next_after
            if is_end and (not follow or pause.wait(LOOK_SECONDS)):
                return
    except FeedGone as gone:
        raise click.ClickException(f"Changes after {after} are not kept: {gone}.") from None
    except KeyboardInterrupt:
        return
