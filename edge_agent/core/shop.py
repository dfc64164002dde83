"""The shop as it is now: the fold of all facts. `evolve` applies what was decided and never decides.

Deciding is done by the functions of binding, order, payment, report and incident, which read a Shop and return events.
Each part of the state has its own small fold (`core.folds`); a fact goes to every part that its type concerns.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from cart_protocol.ids import CartId, OrderId, ShopperId
from edge_agent.core import events as facts
from edge_agent.core.cart_mirror import CartMirror
from edge_agent.core.events import Fact
from edge_agent.core.folds import (
    Bindings,
    Books,
    Commands,
    Counts,
    Incidents,
    Orders,
    Records,
    Tenders,
    Tokens,
    blotted,
)
from edge_agent.core.mass_model import MassModel
from edge_agent.core.sight_book import SightBook


class Shop:
    """All state of one store, or of the partitions of it that one agent looks after.

    Args:
        partitions: into how many the store's carts are divided.
    """

    def __init__(self, partitions: int = 1) -> None:
        self.partitions = partitions
        self.carts: dict[CartId, CartMirror] = {}
        self.bindings = Bindings()
        self.orders = Orders(partitions)
        self.tenders = Tenders()
        self.tokens = Tokens()
        self.incidents = Incidents()
        self.commands = Commands()
        self.records = Records()
        self.sight = SightBook()
        self.forgotten: set[ShopperId] = set()
        """Pseudonyms of those who were."""
        self.books = Books()
        self.counts = Counts()
        self.masses = MassModel()
        self.weighed: set[OrderId] = set()
        """Orders that passed a lane by weight and have not left yet."""

    def evolve(self, fact: Fact) -> None:
        """Apply one fact. Total: every fact applies to every shop."""
        for apply in _APPLY[type(fact.event)]:
            apply(self, fact.event, fact.at_ms)

    def rename(self, shopper: ShopperId, pseudonym: ShopperId) -> None:
        """Become the fold of the facts as they stand once `shopper` is forgotten (core.erasure.rewritten)."""
        self.bindings.renamed(shopper, pseudonym)
        for order in self.orders.of_shopper(shopper):
            order.placed = msgspec.structs.replace(order.placed, shopper=pseudonym)
            for tender in self.tenders.of_order(order.id):
                tender.page_key = blotted(tender.page_key)

    def mirror(self, cart: CartId) -> CartMirror:
        """Return the mirror of a cart; a cart not heard of yet has an empty one."""
        found = self.carts.get(cart)
        if found is None:
            found = self.carts[cart] = CartMirror(cart=cart)
        return found


def _cart_reported(shop: Shop, event: facts.CartReported, at_ms: int) -> None:
    shop.mirror(event.cart).reported(event.epoch, event.recorded, at_ms)
    shop.commands.answered(event.cart, event.recorded.event)
    shop.bindings.touched(event.cart, at_ms)
    shop.counts.events_committed += 1


def _snapshot_adopted(shop: Shop, event: facts.CartSnapshotAdopted, at_ms: int) -> None:
    shop.mirror(event.cart).replaced(event.position.epoch, event.position.seq, event.basket, at_ms)
    shop.bindings.touched(event.cart, at_ms)
    shop.counts.snapshots += 1


def _placed(shop: Shop, event: facts.OrderPlaced, at_ms: int) -> None:
    shop.orders.placed(event, at_ms)
    shop.bindings.closed(event.session)
    _count_paid(shop, event.order)


def _tender_moved(shop: Shop, event: facts.TenderCaptured | facts.TenderDeclined, _at_ms: int) -> None:
    _count_paid(shop, shop.tenders.by_id[event.tender].order)


def _count_paid(shop: Shop, order_id: OrderId) -> None:
    """An order becomes paid by its sums; the moment is noticed here so that it is counted once."""
    order = shop.orders.by_id[order_id]
    if not order.counted and shop.tenders.is_paid(order_id, order.placed.total):
        order.counted = True
        shop.counts.paid(order.placed.total)


def _exited(shop: Shop, event: facts.TokenBurned, at_ms: int) -> None:
    shop.counts.exits += 1
    order = shop.tokens.by_id[event.token].order
    _learn(shop, order)
    shop.orders.left(order, at_ms)


def _learn(shop: Shop, order_id: OrderId) -> None:
    """Learn from the lines of an order that passed the lane by weight and left."""
    if order_id not in shop.weighed:
        return
    shop.weighed.discard(order_id)
    prices = shop.books.latest
    for line in shop.orders.by_id[order_id].placed.lines:
        product = prices.find(line.product) if prices else None
        if product is not None and line.quantity == 1:
            shop.masses.learn(product, line.mass)


def _checked(shop: Shop, event: facts.LaneChecked, _at_ms: int) -> None:
    """Note an order whose weight is right, until it leaves or is found to be otherwise."""
    if event.order is not None:
        (shop.weighed.add if event.verdict == facts.PASSED else shop.weighed.discard)(event.order)


_Apply = Callable[[Shop, Any, int], None]
_APPLY: dict[type, tuple[_Apply, ...]] = {
    facts.CartReported: (_cart_reported,),
    facts.CartSnapshotAdopted: (_snapshot_adopted,),
    facts.CommandSent: (lambda shop, event, at_ms: shop.commands.sent(event, at_ms),),
    facts.PriceBookAdopted: (lambda shop, event, _: shop.books.adopted(event),),
    facts.BindRequested: (lambda shop, event, at_ms: shop.bindings.requested(event, at_ms),),
    facts.CartBound: (lambda shop, event, at_ms: shop.bindings.bound(event, at_ms),),
    facts.BindingFailed: (lambda shop, event, _: shop.bindings.failed(event),),
    facts.BindingEnded: (lambda shop, event, _: shop.bindings.ended(event),),
    facts.FreezeRequested: (lambda shop, event, at_ms: shop.bindings.freezing(event, at_ms),),
    facts.FreezeFailed: (lambda shop, event, _: shop.bindings.freeze_failed(event),),
    facts.OrderPlaced: (_placed,),
    facts.OrderCancelled: (lambda shop, event, _: shop.orders.cancelled(event),),
    facts.TenderSubmitted: (lambda shop, event, at_ms: shop.tenders.submitted(event, at_ms),),
    facts.TenderCaptured: (lambda shop, event, _: shop.tenders.captured(event), _tender_moved),
    facts.TenderDeclined: (lambda shop, event, _: shop.tenders.declined(event), _tender_moved),
    facts.TenderUnknown: (lambda shop, event, _: shop.tenders.unknown(event),),
    facts.TenderRefunded: (lambda shop, event, _: shop.tenders.refunded(event),),
    facts.TokenIssued: (lambda shop, event, _: shop.tokens.issued(event),),
    facts.TokenBurned: (lambda shop, event, at_ms: shop.tokens.burned(event, at_ms), _exited),
    facts.LaneChecked: (_checked,),
    facts.LaneReleased: (),
    facts.IncidentRaised: (lambda shop, event, at_ms: shop.incidents.raised(event, at_ms),),
    facts.IncidentResolved: (lambda shop, event, _: shop.incidents.resolved(event),),
    facts.RecordAsked: (lambda shop, event, at_ms: shop.records.was_asked(event, at_ms),),
    facts.RecordKept: (lambda shop, event, at_ms: shop.records.was_kept(event, at_ms),),
    facts.RecordFailed: (lambda shop, event, at_ms: shop.records.has_failed(event, at_ms),),
    facts.RecordDropped: (lambda shop, event, _: shop.records.was_dropped(event),),
    facts.LessonAsked: (lambda shop, event, at_ms: shop.sight.asked(event, at_ms),),
    facts.LessonTaken: (lambda shop, event, at_ms: shop.sight.taken(event, at_ms),),
    facts.LessonFailed: (lambda shop, event, at_ms: shop.sight.failed(event, at_ms),),
    facts.LessonSetAside: (lambda shop, event, _: shop.sight.set_aside(event),),
    facts.SightChanged: (lambda shop, event, at_ms: shop.sight.changed(event, at_ms),),
    # Earlier facts are not what they were: see Shop.rename.
    facts.ShopperForgotten: (lambda shop, event, _: shop.forgotten.add(event.shopper),),
}
"""Which folds a fact goes to. A test holds it against StoreEvent, so that no type is missing."""
