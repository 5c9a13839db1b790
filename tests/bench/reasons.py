"""Why a line of the Reach table is missed, where it is known: printed under the table for those that are."""

from __future__ import annotations

from collections.abc import Iterable

REASONS: tuple[tuple[str, str], ...] = (
    (
        "intake,",
        "Joinlog commits durably what (a) throws away, on the same core: a hop to the thread that commits and back, "
        "and on Postgres the server's own work for the rows and its log",
    ),
    (
        "herd of",
        "the last of the herd waits for all the others: its time is the herd divided by the saturating rate",
    ),
    ("p99 at half", "a commit waits for the disk, and whoever comes meanwhile for the next one"),
    (
        "drain,",
        "projecting, merging and linking in Python take most of an event's time; a batch is worth as much more than "
        "a job per event as a job costs",
    ),
    (
        "POST to row",
        "on Postgres a batch is some twenty statements whether it has one event or a hundred, half of them reads by "
        "key: 5-6 ms of 9 for one event; answer, doorbell and wake-up take the rest",
    ),
    (
        "growth,",
        "no part of either path is known to grow with the inbox: repeat it on a quiet machine before believing it",
    ),
    (
        "storm",
        "memory is that of the modules, SQLAlchemy, SQLModel with pydantic, Flask, RQ, and 9 MiB of psycopg where the "
        "database is Postgres; a storm adds little",
    ),
    (
        "page with",
        "answering pages and keeping events share one process and its interpreter lock, and here two cores with the "
        "storm's and the viewers' own programs: p50 is as without viewers, one answer in a hundred meets a page",
    ),
)


def reasons_for(missed: Iterable[str]) -> list[str]:
    """One line for each kind of line that was missed."""
    found = dict.fromkeys(reason for name in missed for prefix, reason in REASONS if name.startswith(prefix))
    return list(found)
