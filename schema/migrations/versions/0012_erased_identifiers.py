"""Who was erased, as keyed hashes, so that later answers of Zoom's API do not bring them back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.store.dialect import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UPDATED = "when this row last changed, UTC; follow changes with WHERE updated_at >= your last look"
KEY = (
    ("account_id", "empty for a person, who is erased in every account; the account that was erased whole"),
    ("kind", "email, registrant, user, connection, key or shared_key; everybody; `secret` for the key"),
    ("digest", "HMAC of the identifier; of `secret` the key itself, which was drawn here; of everybody empty"),
)
ERASED = "when, UTC; of `secret` when anybody was last erased; null while nobody was"


def upgrade() -> None:
    op.create_table(
        "erased_identifier",
        *(sa.Column(name, sa.Text(), autoincrement=False, nullable=False, comment=comment) for name, comment in KEY),
        sa.Column("erased_at", UtcDateTime(), nullable=True, comment=ERASED),
        sa.Column("updated_at", UtcDateTime(), nullable=True, comment=UPDATED),
        sa.PrimaryKeyConstraint("account_id", "kind", "digest"),
    )
    op.create_index("erased_identifier_updated", "erased_identifier", ["updated_at"], unique=False)


def downgrade() -> None:
    op.drop_index("erased_identifier_updated", table_name="erased_identifier")
    op.drop_table("erased_identifier")
