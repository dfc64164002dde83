"""The first journal: entries, positions, and the read tables for carts, orders, tenders, tokens and incidents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "entry",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_entry_stream", "entry", ["stream"])
    op.create_table(
        "position",
        sa.Column("cart", sa.String(32), primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "cart",
        sa.Column("cart", sa.String(32), primary_key=True),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("session", sa.String(64)),
        sa.Column("code", sa.String(16), nullable=False),
        sa.Column("faults", sa.Text, nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    _orders()
    _money_and_exit()


def _orders() -> None:
    op.create_table(
        "shop_order",
        sa.Column("order_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False, unique=True),
        sa.Column("session", sa.String(64), nullable=False),
        sa.Column("shopper", sa.String(64), nullable=False),
        sa.Column("cart", sa.String(32), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        sa.Column("settled_mg", sa.BigInteger, nullable=False),
        sa.Column("variance_mg2", sa.BigInteger, nullable=False),
        sa.Column("tags", sa.Integer, nullable=False),
        sa.Column("placed_ms", sa.BigInteger, nullable=False),
        sa.Column("cancelled", sa.String(40), nullable=False),
    )
    op.create_table(
        "order_line",
        sa.Column("order_id", sa.String(64), primary_key=True),
        sa.Column("line", sa.String(64), primary_key=True),
        sa.Column("product", sa.String(40), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("mass_mg", sa.BigInteger, nullable=False),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        sa.Column("tax_minor", sa.BigInteger, nullable=False),
        sa.Column("tax_class", sa.String(16), nullable=False),
        sa.Column("book_version", sa.Integer, nullable=False),
    )
    op.create_index("ix_order_line_product", "order_line", ["product"])


def _money_and_exit() -> None:
    op.create_table(
        "tender",
        sa.Column("tender", sa.String(64), primary_key=True),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("captured_minor", sa.BigInteger, nullable=False),
        sa.Column("refunded_minor", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reference", sa.String(80), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_tender_order_id", "tender", ["order_id"])
    op.create_table(
        "token",
        sa.Column("token", sa.String(64), primary_key=True),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("burned_at", sa.String(32)),
        sa.Column("burned_ms", sa.BigInteger),
    )
    op.create_index("ix_token_order_id", "token", ["order_id"])
    op.create_table(
        "incident",
        sa.Column("incident", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(120), nullable=False),
        sa.Column("place", sa.String(80), nullable=False),
        sa.Column("cause", sa.String(40), nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("resolved_by", sa.String(64), nullable=False),
    )
