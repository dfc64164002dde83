"""All tenders as the read table has them; may be read beside a running agent."""

from sqlalchemy import select

from cart_protocol.money import Money
from edge_agent.core.folds import TenderState
from edge_agent.core.reconciliation import OurTender
from edge_agent.store.schema import TENDER
from edge_agent.store.status import reading

_IN_DOUBT = (TenderState.SUBMITTED, TenderState.UNKNOWN)


def read_tenders(address: str) -> list[OurTender]:
    """Return every tender ever made, oldest first.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    with reading(address) as connection:
        rows = connection.execute(select(TENDER).order_by(TENDER.c.at_ms, TENDER.c.tender)).all()
    return [
        OurTender(
            key=row.tender, reference=row.reference, captured=Money(row.captured_minor, row.currency),
            refunded=Money(row.refunded_minor, row.currency), in_doubt=row.state in _IN_DOUBT, at_ms=row.at_ms,
        )
        for row in rows
    ]  # fmt: skip
