"""The payment ledger: intents, answers, and the exit token that a paid order earns.

new -> submitted -> captured | declined | unknown; from unknown only the acquirer's answer to a query leads out. The
intent is on the disk before the acquirer is asked, and its id is the idempotency key for life: nothing is ever charged
under a second key because the first one's answer was lost (reference/payments, section 1).
"""

import re

from cart_protocol.ids import LaneId, OrderId, TenderId, TokenId
from cart_protocol.money import Money
from edge_agent.core.binding import part
from edge_agent.core.events import (
    NewId,
    StoreEvent,
    TenderCaptured,
    TenderDeclined,
    TenderSubmitted,
    TenderUnknown,
    TokenBurned,
    TokenIssued,
)
from edge_agent.core.folds import Order, Tender, TenderState, Token
from edge_agent.core.incident import raise_once
from edge_agent.core.refusals import PaymentRefusedError, TokenRefusedError
from edge_agent.core.shop import Shop

_METHOD = re.compile(r"[a-z][a-z_-]{0,31}")
"""A kind of payment is one lower-case word; which exist is the acquirer's business. No digits: no card number fits."""
RENEW_BEFORE_MS = 60_000
"""A token this close to its end is issued again, so that nobody reaches the lane with one that has just died."""
RENEW_FOR_MS = 12 * 3_600_000
"""How long after its order a token is kept fresh; later the shopper asks staff."""


def outstanding(shop: Shop, order: Order) -> Money:
    """Return what is still to be paid."""
    due = order.placed.total
    return due - shop.tenders.paid(order.id, due.currency)


def is_paid(shop: Shop, order: Order) -> bool:
    return order.stands and shop.tenders.is_paid(order.id, order.placed.total)


def submit(shop: Shop, order_id: OrderId, *, method: str, page_key: str, new_id: NewId) -> list[StoreEvent]:
    """Commit the intent to take what is outstanding. No second one while a first has no answer, nor for the same key.

    Raises:
        PaymentRefusedError: reason no-order or unknown-method.
    """
    order = shop.orders.by_id.get(order_id)
    if order is None or not order.stands:
        raise PaymentRefusedError("no-order", "There is nothing to pay. Please close your cart first.")
    if not _METHOD.fullmatch(method):
        raise PaymentRefusedError("unknown-method", "Please choose one of the ways to pay that are shown.")
    if is_paid(shop, order) or shop.tenders.in_doubt(order_id) or by_page_key(shop, order_id, page_key):
        return []
    return [
        TenderSubmitted(
            tender=TenderId(new_id()), order=order_id, amount=outstanding(shop, order), method=method, page_key=page_key
        )
    ]


def by_page_key(shop: Shop, order: OrderId, page_key: str) -> Tender | None:
    """Return the tender that a page's key began."""
    return next((tender for tender in shop.tenders.of_order(order) if tender.page_key == page_key), None)


def captured(shop: Shop, tender_id: TenderId, amount: Money, reference: str, new_id: NewId) -> list[StoreEvent]:
    """The acquirer says that it took `amount`. More than was asked is an incident; less leaves a rest to pay."""
    tender = shop.tenders.by_id[tender_id]
    if not tender.in_doubt:
        return []
    taken: list[StoreEvent] = [TenderCaptured(tender=tender_id, amount=amount, reference=reference)]
    if amount > tender.amount:
        taken += raise_once(
            shop, key=f"overcharge/{tender_id}", where="payment", cause="overcharged", order=tender.order,
            sentence="The acquirer took more than was asked. Please refund the difference.",
            evidence=(f"asked {tender.amount}", f"taken {amount}", f"reference {reference}"), new_id=new_id,
        )  # fmt: skip
    return taken


def declined(shop: Shop, tender_id: TenderId, reason: str) -> list[StoreEvent]:
    tender = shop.tenders.by_id[tender_id]
    return [TenderDeclined(tender=tender_id, reason=reason)] if tender.in_doubt else []


def unknown(shop: Shop, tender_id: TenderId, reason: str) -> list[StoreEvent]:
    """No answer came; a tender that has its answer keeps it."""
    tender = shop.tenders.by_id[tender_id]
    return [TenderUnknown(tender=tender_id, reason=reason)] if tender.state is TenderState.SUBMITTED else []


def wants_token(shop: Shop, order: Order, now_ms: int) -> bool:
    """Return whether a paid order has no token, or one that is about to expire unspent."""
    if not is_paid(shop, order):
        return False
    token = shop.tokens.of_order(order.id)
    if token is None:
        return True
    ending = token.expires_ms - now_ms <= RENEW_BEFORE_MS
    return token.burned_at is None and ending and now_ms - order.at_ms < RENEW_FOR_MS


def issue(shop: Shop, order_id: OrderId, issued: TokenIssued, now_ms: int) -> list[StoreEvent]:
    """Record a token that was signed meanwhile, unless it is not wanted (any more)."""
    order = shop.orders.by_id[order_id]
    token = shop.tokens.of_order(order_id)
    same = token is None or token.token == issued.token
    return [issued] if same and wants_token(shop, order, now_ms) else []


def usable(shop: Shop, token_id: TokenId) -> Token:
    """Return a token that may open a gate.

    Raises:
        TokenRefusedError: reason unknown, unpaid or spent.
    """
    token = shop.tokens.by_id.get(token_id)
    order = shop.orders.by_id.get(token.order) if token else None
    if token is None or order is None:
        raise TokenRefusedError("unknown", "This exit code is not known here.")
    if token.burned_at is not None:
        raise TokenRefusedError("spent", "This exit code has already been used.")
    if not is_paid(shop, order):
        raise TokenRefusedError("unpaid", "This order is not paid.")
    return token


def burn(shop: Shop, token_id: TokenId, lane: LaneId, *, now_ms: int, new_id: NewId) -> list[StoreEvent]:
    """The shopper passed the gate: spend the token and let the cart forget the shopper.

    Raises:
        TokenRefusedError: as `usable`.
    """
    token = usable(shop, token_id)
    left: list[StoreEvent] = [TokenBurned(token=token_id, order=token.order, lane=lane)]
    binding = shop.bindings.by_session.get(shop.orders.by_id[token.order].placed.session)
    if binding is not None and binding.live:
        left += part(shop, binding, "left", now_ms=now_ms, new_id=new_id)
    return left
