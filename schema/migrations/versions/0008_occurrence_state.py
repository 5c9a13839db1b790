"""What became of an occurrence: a column of view occurrence_report. Every migration makes the views anew."""

from __future__ import annotations

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing but the views."""


def downgrade() -> None:
    """Nothing but the views."""
