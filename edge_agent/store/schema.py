"""The journal's tables. `entry` is the truth; READ_TABLES are projected from it, `lease` says who may write.

`cart_record` holds bytes that an entry only names.

Text has no length here and numbers are 64 bits wide: PostgreSQL would refuse what is longer, for ever, and with it the
agent that was told it by a cart.

A change here needs a revision in migrations/versions; a test holds the two against each other.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

HEAD = "0003"
"""The newest revision in migrations/versions: what a database must be at to be opened without Alembic."""

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s",
    }
)

ENTRY = Table(
    "entry", METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False, server_default="0"),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("stream", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index(None, "stream"),
)  # fmt: skip
"""Every fact, in order. The writer numbers the entries itself: a second writer collides and must stop. `partition` is 0
and `fence` 0 where one agent has the store to itself; else the carts' partition, and the writer's lease."""

POSITION = Table(
    "position", METADATA,
    Column("cart", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)  # fmt: skip
"""How far each cart's stream is committed; moves in the transaction that commits the events."""

CART = Table(
    "cart", METADATA,
    Column("cart", Text, primary_key=True),
    Column("phase", Text, nullable=False),
    Column("session", Text),
    Column("code", Text, nullable=False),
    Column("faults", Text, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)  # fmt: skip

SHOP_ORDER = Table(
    "shop_order", METADATA,
    Column("order_id", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("session", Text, nullable=False),
    Column("shopper", Text, nullable=False),
    Column("cart", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("settled_mg", BigInteger, nullable=False),
    Column("variance_mg2", BigInteger, nullable=False),
    Column("tags", BigInteger, nullable=False),
    Column("placed_ms", BigInteger, nullable=False),
    Column("cancelled", Text, nullable=False),
)  # fmt: skip

ORDER_LINE = Table(
    "order_line", METADATA,
    Column("order_id", Text, primary_key=True),
    Column("line", Text, primary_key=True),
    Column("product", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("mass_mg", BigInteger, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("tax_minor", BigInteger, nullable=False),
    Column("tax_class", Text, nullable=False),
    Column("book_version", BigInteger, nullable=False),
    Index(None, "product"),
)  # fmt: skip

TENDER = Table(
    "tender", METADATA,
    Column("tender", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("captured_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "order_id"),
)  # fmt: skip

TOKEN = Table(
    "token", METADATA,
    Column("token", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("burned_at", Text),
    Column("burned_ms", BigInteger),
    Index(None, "order_id"),
)  # fmt: skip

INCIDENT = Table(
    "incident", METADATA,
    Column("incident", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("resolved_by", Text, nullable=False),
)  # fmt: skip

LEASE = Table(
    "lease", METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("owner", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    Column("expires", DateTime(timezone=True), nullable=False),
)  # fmt: skip
"""Who writes a partition, up to when by the database's clock, and under which fence: it grows with every new owner."""

CART_RECORD = Table(
    "cart_record", METADATA,
    Column("record", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)  # fmt: skip
"""What carts sent of their flight recorders, in parts as they came. The entries say which there are and their SHA-256;
the bytes stand nowhere else."""

READ_TABLES = (POSITION, CART, SHOP_ORDER, ORDER_LINE, TENDER, TOKEN, INCIDENT)
"""What can be made anew from the entries."""
