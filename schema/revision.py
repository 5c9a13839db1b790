"""Which migrations a database has, and whether this version can work on it.

Told without Alembic, whose modules weigh 10 MiB.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect

OLDEST_REVISION = "0017"
"""Versions that need an earlier one cannot work on the tables of this version: a release that takes something out of
them raises it to the revision of the first version that no longer reads or writes it."""

VERSIONS = Path(__file__).parent / "migrations" / "versions"

_STATED = re.compile(r'^(revision|down_revision)(?:: [^=]+)? = (?:"([^"]+)"|None)$', re.MULTILINE)


def applied_revision(connection: Connection) -> str | None:
    """The revision a database is at; None when Joinlog never migrated it."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def why_unsuitable(connection: Connection) -> str | None:
    """Why this version cannot work on the tables of a database; None when it can.

    Tables of a later version are no hindrance: a release only adds to them, unless it says which versions it leaves
    behind. So the processes of the old version go on while an upgrade runs.
    """
    applied, needed = applied_revision(connection), newest_revision()
    if applied == needed:
        return None
    if applied is None or applied < needed:
        return f"the database is at {applied or 'none'}, this version needs {needed}"
    oldest: str | None = connection.exec_driver_sql("SELECT oldest_revision FROM tables_version").scalar()
    if oldest is not None and oldest <= needed:
        return None
    return f"the database is at {applied}, which a version that knows {needed} cannot use any more: start the new one"


def is_later(applied: str | None) -> bool:
    """Whether a version later than this one migrated the database."""
    return applied is not None and applied > newest_revision()


@cache
def newest_revision() -> str:
    """The revision this version of Joinlog needs: the one that no other builds on."""
    stated = [dict(_STATED.findall(path.read_text(encoding="utf-8"))) for path in sorted(VERSIONS.glob("*.py"))]
    heads: set[str] = {known["revision"] for known in stated} - {known["down_revision"] for known in stated}
    if len(heads) != 1:
        raise RuntimeError(f"schema/migrations/versions has {len(heads)} heads, and needs one")
    return heads.pop()
