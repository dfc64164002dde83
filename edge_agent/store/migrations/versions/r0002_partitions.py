"""Several writers side by side: each partition numbers its own entries, written under a lease."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # On SQLite this copies the log once: a primary key cannot be changed in place there.
    with op.batch_alter_table("entry") as entry:
        entry.add_column(sa.Column("partition", sa.Integer, nullable=False, server_default="0"))
        entry.add_column(sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"))
        entry.drop_constraint("pk_entry", type_="primary")
        entry.create_primary_key("pk_entry", ["partition", "number"])
    # PostgreSQL holds a column to its length: what payment accepts must fit, and acquirers' references have no bound.
    with op.batch_alter_table("tender") as tender:
        tender.alter_column("method", type_=sa.String(32), existing_type=sa.String(16), existing_nullable=False)
        tender.alter_column("reference", type_=sa.Text, existing_type=sa.String(80), existing_nullable=False)
    op.create_table(
        "lease",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )
