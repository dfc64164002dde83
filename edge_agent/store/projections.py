"""Read tables from facts, in the transaction that commits them. Reports and people with SQL read these; we never do."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, insert, update

from cart_protocol.basket import (
    Basket,
    BasketFrozen,
    BasketThawed,
    CodeOffered,
    FaultsChanged,
    Phase,
    SessionBegan,
    SessionEnded,
    Withdrawn,
)
from cart_protocol.ids import CartId
from edge_agent.core import events as facts
from edge_agent.store.schema import CART, INCIDENT, ORDER_LINE, SHOP_ORDER, TENDER, TOKEN

_Project = Callable[[Connection, Any, int], None]


class ProjectionError(RuntimeError):
    """A fact does not fit the tables, e.g. a token burned twice: memory and disk disagree, and we must not go on."""


def project(connection: Connection, event: facts.StoreEvent, at_ms: int) -> None:
    """Bring the read tables up to date with one fact."""
    projection = PROJECTIONS.get(type(event))
    if projection is not None:
        projection(connection, event, at_ms)


def _cart_reported(connection: Connection, event: facts.CartReported, at_ms: int) -> None:
    match event.recorded.event:
        case CodeOffered(code=code):
            changed: dict[str, Any] = {"code": code}
        case SessionBegan(session=session):
            changed = {"phase": Phase.SHOPPING, "session": session, "code": ""}
        case SessionEnded():
            changed = {"phase": Phase.IDLE, "session": None}
        case BasketFrozen():
            changed = {"phase": Phase.FROZEN}
        case BasketThawed():
            changed = {"phase": Phase.SHOPPING}
        case FaultsChanged(faults=faults):
            changed = {"faults": " ".join(faults)}
        case Withdrawn(withdrawn=withdrawn):
            changed = {"withdrawn": withdrawn}
        case _:
            return  # what is in the basket stands in the entries; the order brings it to order_line
    _put_cart(connection, event.cart, {**changed, "at_ms": at_ms})


def _snapshot(connection: Connection, event: facts.CartSnapshotAdopted, at_ms: int) -> None:
    _put_cart(connection, event.cart, {**_cart_row(event.basket), "at_ms": at_ms})


def _cart_row(basket: Basket) -> dict[str, Any]:
    return {
        "phase": basket.phase, "session": basket.session, "code": basket.code, "faults": " ".join(basket.faults),
        "withdrawn": basket.withdrawn,
    }  # fmt: skip


def _put_cart(connection: Connection, cart: CartId, changed: Mapping[str, Any]) -> None:
    put(connection, CART, {"cart": cart}, changed, absent=_cart_row(Basket()))


def _order(connection: Connection, event: facts.OrderPlaced, at_ms: int) -> None:
    connection.execute(insert(SHOP_ORDER).values(
        order_id=event.order, number=event.number, sequence=event.sequence, session=event.session,
        shopper=event.shopper, cart=event.cart, currency=event.total.currency, total_minor=event.total.minor,
        settled_mg=event.settled, variance_mg2=event.variance, tags=event.tags, placed_ms=at_ms, cancelled="",
    ))  # fmt: skip
    connection.execute(insert(ORDER_LINE), [
        {"order_id": event.order, "line": line.line, "product": line.product, "name": line.name,
         "quantity": line.quantity, "mass_mg": line.mass, "total_minor": line.price.total.minor,
         "tax_minor": line.price.tax.minor, "tax_class": line.price.tax_class, "book_version": line.price.book_version}
        for line in event.lines
    ])  # fmt: skip


def _cancelled(connection: Connection, event: facts.OrderCancelled, _at_ms: int) -> None:
    statement = update(SHOP_ORDER).where(SHOP_ORDER.c.order_id == event.order).values(cancelled=event.reason)
    connection.execute(statement)


def _submitted(connection: Connection, event: facts.TenderSubmitted, at_ms: int) -> None:
    connection.execute(insert(TENDER).values(
        tender=event.tender, order_id=event.order, method=event.method, currency=event.amount.currency,
        amount_minor=event.amount.minor, captured_minor=0, refunded_minor=0, state="submitted", reason="",
        reference="", at_ms=at_ms,
    ))  # fmt: skip


def _captured(connection: Connection, event: facts.TenderCaptured, _at_ms: int) -> None:
    _set_tender(
        connection, event.tender, state="captured", captured_minor=event.amount.minor, reference=event.reference
    )


def _declined(connection: Connection, event: facts.TenderDeclined, _at_ms: int) -> None:
    _set_tender(connection, event.tender, state="declined", reason=event.reason)


def _unknown(connection: Connection, event: facts.TenderUnknown, _at_ms: int) -> None:
    _set_tender(connection, event.tender, state="unknown", reason=event.reason)


def _refunded(connection: Connection, event: facts.TenderRefunded, _at_ms: int) -> None:
    _set_tender(connection, event.tender, refunded_minor=TENDER.c.refunded_minor + event.amount.minor)


def _set_tender(connection: Connection, tender: str, **values: object) -> None:
    connection.execute(update(TENDER).where(TENDER.c.tender == tender).values(**values))


def _issued(connection: Connection, event: facts.TokenIssued, _at_ms: int) -> None:
    values = {"order_id": event.order, "expires_ms": event.expires_ms}
    put(connection, TOKEN, {"token": event.token}, values)


def _burned(connection: Connection, event: facts.TokenBurned, at_ms: int) -> None:
    fresh = update(TOKEN).where(TOKEN.c.token == event.token, TOKEN.c.burned_at.is_(None))
    result = connection.execute(fresh.values(burned_at=event.lane, burned_ms=at_ms))
    if result.rowcount != 1:
        raise ProjectionError(
            f"exit token {event.token} is unknown or spent already; it cannot be burned at {event.lane}"
        )


def _raised(connection: Connection, event: facts.IncidentRaised, at_ms: int) -> None:
    connection.execute(insert(INCIDENT).values(
        incident=event.incident, key=event.key, place=event.where, cause=event.cause, sentence=event.sentence,
        at_ms=at_ms, resolved_by="",
    ))  # fmt: skip


def _resolved(connection: Connection, event: facts.IncidentResolved, _at_ms: int) -> None:
    statement = update(INCIDENT).where(INCIDENT.c.incident == event.incident).values(resolved_by=event.staff)
    connection.execute(statement)


def put(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any],
        absent: Mapping[str, Any] | None = None) -> None:  # fmt: skip
    """Set `values` in the row of `key`, inserting it (with `absent` for the other columns) where there is none.

    Written without any database's own upsert; there is one writer, so nobody comes between the two statements.
    """
    condition = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*condition).values(**values)).rowcount == 0:
        connection.execute(insert(table).values({**(absent or {}), **key, **values}))


PROJECTIONS: dict[type, _Project] = {
    facts.CartReported: _cart_reported,
    facts.CartSnapshotAdopted: _snapshot,
    facts.OrderPlaced: _order,
    facts.OrderCancelled: _cancelled,
    facts.TenderSubmitted: _submitted,
    facts.TenderCaptured: _captured,
    facts.TenderDeclined: _declined,
    facts.TenderUnknown: _unknown,
    facts.TenderRefunded: _refunded,
    facts.TokenIssued: _issued,
    facts.TokenBurned: _burned,
    facts.IncidentRaised: _raised,
    facts.IncidentResolved: _resolved,
}
