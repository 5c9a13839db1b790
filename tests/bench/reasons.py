"""Why a line of the Reach table is missed, where it is known: printed under the table for those that are."""

from __future__ import annotations

from collections.abc import Iterable

REASONS: tuple[tuple[str, str], ...] = (
    (
        "intake,",
        "a request costs a hop to a thread and back, and on Postgres psycopg writes the group's arrays element by "
        "element in Python; the figure by CPU is the one that other processes on the machine do not change",
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
    ("POST to row", "answer, doorbell, wake-up and batch each wait for a core; there are two, and the load has one"),
    (
        "growth,",
        "no part of either path is known to grow with the inbox: repeat it on a quiet machine before believing it",
    ),
    (
        "storm",
        "memory is that of the modules: SQLAlchemy, SQLModel with pydantic, psycopg, Alembic, RQ; a storm adds little",
    ),
    ("page with", "answering pages and keeping events share one process and its interpreter lock"),
)


def reasons_for(missed: Iterable[str]) -> list[str]:
    """One line for each kind of line that was missed."""
    found = dict.fromkeys(reason for name in missed for prefix, reason in REASONS if name.startswith(prefix))
    return list(found)
