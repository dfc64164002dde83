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
    _widen()
    op.create_table(
        "lease",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )


def _widen() -> None:
    """PostgreSQL holds a column to its length; what carts, shoppers and acquirers say has none that we could know."""
    for table, names in _TEXTS.items():
        with op.batch_alter_table(table) as batch:
            for name in names:
                batch.alter_column(name, type_=sa.Text)
    for table, names in {"shop_order": ("tags",), "order_line": ("quantity", "book_version")}.items():
        with op.batch_alter_table(table) as batch:
            for name in names:
                batch.alter_column(name, type_=sa.BigInteger)


_TEXTS = {
    "entry": ("stream", "kind"),
    "position": ("cart",),
    "cart": ("cart", "phase", "session", "code"),
    "shop_order": ("order_id", "number", "session", "shopper", "cart", "currency", "cancelled"),
    "order_line": ("order_id", "line", "product", "tax_class"),
    "tender": ("tender", "order_id", "method", "currency", "state", "reference"),
    "token": ("token", "order_id", "burned_at"),
    "incident": ("incident", "key", "place", "cause", "resolved_by"),
}
