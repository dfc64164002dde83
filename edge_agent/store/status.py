"""The books at a glance: read beside a running agent for reconciliation, and for the demo's verdict."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import create_engine, func, make_url, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from edge_agent.core.events import CartReported, decode
from edge_agent.store.database import JournalError, said
from edge_agent.store.room import JournalRoom
from edge_agent.store.schema import ENTRY, INCIDENT, POSITION, SHOP_ORDER, TENDER, TOKEN


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over everything ever recorded; money in minor units of the store's currency."""

    orders: int
    orders_paid: int
    orders_minor: int
    """Totals of the orders that are paid."""
    paid_minor: int
    """Captured less refunded, over all tenders."""
    payments_unknown: int
    cart_events: int
    duplicates: int
    """Events of one cart, epoch and seq that were committed more than once. Never anything but 0."""
    exits: int
    incidents: int
    carts: dict[str, tuple[int, int]]
    """Per cart the (epoch, seq) up to which its stream is committed."""
    journal_mb: float | None = None
    """Size of a SQLite journal's file and of its write-ahead log, and what is free on their disk."""
    log_mb: float | None = None
    disk_free_mb: float | None = None


def read_status(address: str) -> Status:
    """Return the status of the journal at `address`.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    with reading(address) as connection:
        status = _status(connection)
    room = JournalRoom(address, 0).measure()
    if room is None:
        return status
    journal, log, free = (round(size / 1_000_000, 1) for size in (room.journal, room.log, room.free))
    return msgspec.structs.replace(status, journal_mb=journal, log_mb=log, disk_free_mb=free)


@contextmanager
def reading(address: str) -> Iterator[Connection]:
    """Open the journal at `address` for somebody who only looks.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    database = make_url(address).database
    if make_url(address).get_backend_name() == "sqlite" and not (database and Path(database).exists()):
        raise JournalError(f"journal {database}: is not there; has the agent ever run?")
    engine = create_engine(address)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise JournalError(f"journal {engine.url!r}: cannot be read: {said(error)}; has the agent ever run?") from error
    finally:
        engine.dispose()


def _status(connection: Connection) -> Status:
    seen: set[tuple[str, int, int]] = set()
    reported = 0
    for (body,) in connection.execute(select(ENTRY.c.body).where(ENTRY.c.kind == CartReported.__name__)):
        event = decode(bytes(body))
        if isinstance(event, CartReported):
            reported += 1
            seen.add((event.cart, event.epoch, event.recorded.seq))
    paid = _paid_orders(connection)
    moved = select(func.coalesce(func.sum(TENDER.c.captured_minor - TENDER.c.refunded_minor), 0))
    doubtful = select(func.count()).select_from(TENDER).where(TENDER.c.state.in_(("submitted", "unknown")))
    burned = select(func.count()).select_from(TOKEN).where(TOKEN.c.burned_at.is_not(None))
    return Status(
        orders=connection.execute(select(func.count()).select_from(SHOP_ORDER)).scalar_one(),
        orders_paid=len(paid), orders_minor=sum(paid), paid_minor=int(connection.execute(moved).scalar_one()),
        payments_unknown=connection.execute(doubtful).scalar_one(), cart_events=reported,
        duplicates=reported - len(seen), exits=connection.execute(burned).scalar_one(),
        incidents=connection.execute(select(func.count()).select_from(INCIDENT)).scalar_one(),
        carts={row.cart: (row.epoch, row.seq) for row in connection.execute(select(POSITION))},
    )  # fmt: skip


def _paid_orders(connection: Connection) -> list[int]:
    """Return the total of each order whose tenders cover it."""
    covered = func.coalesce(func.sum(TENDER.c.captured_minor - TENDER.c.refunded_minor), 0)
    totals = (
        select(SHOP_ORDER.c.total_minor)
        .outerjoin(TENDER, TENDER.c.order_id == SHOP_ORDER.c.order_id)
        .where(SHOP_ORDER.c.cancelled == "")
        .group_by(SHOP_ORDER.c.order_id, SHOP_ORDER.c.total_minor)
        .having(covered >= SHOP_ORDER.c.total_minor)
    )
    return list(connection.execute(totals).scalars())
