"""The questions downstream systems ask, as views."""

from __future__ import annotations

from sqlalchemy import Connection

VIEWS: dict[str, str] = {}


def create_views(connection: Connection) -> None:
    """Make every view."""
    for name, query in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")


def drop_views(connection: Connection) -> None:
    """Remove every view, those that rest on others first."""
    for name in reversed(VIEWS):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
