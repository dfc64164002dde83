"""Forgetting a shopper: whether it may be done now, and what every fact about them says afterwards.

The only trace of a shopper is the random id of their phone's session. Facts that carry it are written anew with a fresh
pseudonym, so that the ledger still adds up and every order still has somebody it belonged to; a payment's page key,
which was made from the session, is blotted out. Why not by throwing a key away: docs/decisions/0012.
"""

import msgspec

from cart_protocol.ids import ShopperId
from edge_agent.core import cart_record, payment
from edge_agent.core.events import BindRequested, NewId, OrderPlaced, ShopperForgotten, StoreEvent, TenderSubmitted
from edge_agent.core.folds import blotted
from edge_agent.core.refusals import ErasureRefusedError
from edge_agent.core.shop import Shop

_SENTENCES = {
    "has-cart": "You still have a cart. Please hand it back, or leave by the exit lane, first.",
    "paying": "The bank has not answered yet. Please wait until your payment is settled.",
    "unpaid": "One of your orders is only paid in part. Please pay the rest, or ask staff, first.",
    "not-left": "You have paid and not left yet. Please go through the exit lane first.",
}


def pseudonym_for(shopper: ShopperId, new_id: NewId) -> ShopperId:
    """Return a fresh name that leads nowhere, as long as the id it stands for.

    The length matters to SQLite: an entry of the same size is overwritten where it lies, and no copy stays elsewhere.
    """
    return ShopperId(("f" + new_id()[::-1])[: len(shopper)])


def forget(shop: Shop, shopper: ShopperId, pseudonym: ShopperId) -> list[StoreEvent]:
    """Let a shopper be forgotten. Nothing to do for somebody we know nothing of, e.g. because it was done before.

    Raises:
        ErasureRefusedError: reason has-cart, paying, unpaid or not-left: something is still between them and the shop.
    """
    if shopper not in shop.bindings.latest_of:
        return []
    orders = shop.orders.of_shopper(shopper)
    obstacles = (
        ("paying", any(shop.tenders.in_doubt(order.id) for order in orders)),
        ("not-left", any(token is not None and token.burned_at is None
                         for token in (shop.tokens.of_order(order.id) for order in orders))),
        ("has-cart", shop.bindings.of(shopper) is not None),
        ("unpaid", any(order.stands and not payment.is_paid(shop, order) for order in orders)),
    )  # fmt: skip
    for reason, applies in obstacles:
        if applies:
            raise ErasureRefusedError(reason, _SENTENCES[reason])
    return [ShopperForgotten(shopper=pseudonym), *cart_record.forgotten(shop, shopper)]


def streams_of(shop: Shop, shopper: ShopperId) -> list[str]:
    """Return the streams whose facts name a shopper or were made by them: sessions and orders."""
    sessions = [f"session/{binding.session}" for binding in shop.bindings.all_of(shopper)]
    return sessions + [f"order/{order.id}" for order in shop.orders.of_shopper(shopper)]


def rewritten(event: StoreEvent, shopper: ShopperId, pseudonym: ShopperId) -> StoreEvent | None:
    """Return what a fact of one of their streams says once `shopper` is forgotten; None where it stays as it is."""
    match event:
        case BindRequested() | OrderPlaced() if event.shopper == shopper:
            return msgspec.structs.replace(event, shopper=pseudonym)
        case TenderSubmitted(page_key=key) if key != blotted(key):
            return msgspec.structs.replace(event, page_key=blotted(key))
    return None
