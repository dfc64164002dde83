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
    op.create_table(
        "lease",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )
