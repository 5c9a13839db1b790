"""Which migrations a database has, and which this version needs: told without Alembic, whose modules weigh 10 MiB."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect

VERSIONS = Path(__file__).parent / "migrations" / "versions"

_STATED = re.compile(r'^(revision|down_revision)(?:: [^=]+)? = (?:"([^"]+)"|None)$', re.MULTILINE)


def applied_revision(connection: Connection) -> str | None:
    """The revision a database is at; None when Joinlog never migrated it."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


@cache
def newest_revision() -> str:
    """The revision this version of Joinlog needs: the one that no other builds on."""
    stated = [dict(_STATED.findall(path.read_text(encoding="utf-8"))) for path in sorted(VERSIONS.glob("*.py"))]
    heads: set[str] = {known["revision"] for known in stated} - {known["down_revision"] for known in stated}
    if len(heads) != 1:
        raise RuntimeError(f"schema/migrations/versions has {len(heads)} heads, and needs one")
    return heads.pop()
