"""How Alembic reaches the database: on the connection that `schema.migrate` hands it."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from schema.tables import METADATA

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite changes a table by copying it
    transactional_ddl=True,
)
context.run_migrations()
