"""`/healthz`: the process answers. `/readyz`: it can keep events, or what it lacks."""

from __future__ import annotations

from flask import Blueprint, Response
from sqlalchemy.exc import SQLAlchemyError

from schema.revision import why_unsuitable
from schema.settings import WEBHOOK
from schema.store.database import Database
from webhook.parts import parts

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """200, always: the process answers. It asks no database."""
    return _text("ok\n")


@blueprint.get("/readyz")
def readyz() -> Response:
    """200 when the database is reachable and migrated, else 503 and which of the two it is not. Redis may be down.

    A process that serves pages only is ready while the standby is that it reads from.
    """
    missing = what_is_missing(parts().database, writes=WEBHOOK in parts().settings.served)
    return _text("ready\n") if missing is None else _text(f"{missing}\n", 503)


def what_is_missing(database: Database, *, writes: bool = True) -> str | None:
    """Why this process cannot keep events, or without `writes` show what was kept; None when it can."""
    try:
        with database.read_newest() if writes else database.read() as connection:
            unsuitable = why_unsuitable(connection)
    except (SQLAlchemyError, OSError) as error:
        return f"database: not reachable ({type(error).__name__})"
    return f"migrations: {unsuitable}" if unsuitable else None


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status=status, mimetype="text/plain", headers={"Cache-Control": "no-store"})
