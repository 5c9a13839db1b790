"""Running a statement of the pages on either database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from schema.store.rows import is_postgres


def run(connection: Connection, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query whose parameters are written `?` on both databases."""
    text = query.replace("?", "%s") if is_postgres(connection) else query
    return [tuple(row) for row in connection.exec_driver_sql(text, tuple(values))]


def marks(values: Sequence[Any]) -> str:
    """As many parameters as there are values."""
    return ", ".join("?" * len(values))
