"""Alembic's home: one file per change of the tables, applied by `joinlog migrate`."""
