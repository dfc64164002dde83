"""Whose pages a fact concerns, so that a thousand phones do not look again at every scan of one cart."""

from cart_protocol.ids import OrderId, SessionId, ShopperId, TenderId
from edge_agent.core import events as facts
from edge_agent.core.shop import Shop


def concerned(shop: Shop, event: facts.StoreEvent) -> str | None:
    """Return the cart or the shopper whose page may look different now; None where it may be anybody's.

    No phone shows lanes or incidents: those concern only who looks over the whole shop. `shop` has the fact already. A type that is not named here concerns everybody: that is only slower.
    """
    match event:
        case (
            facts.CartReported(cart=cart) | facts.CartSnapshotAdopted(cart=cart) | facts.CommandSent(cart=cart)
        ):  # fmt: skip
            return cart
        case facts.BindRequested(shopper=shopper) | facts.OrderPlaced(shopper=shopper):
            return shopper
        case (
            facts.CartBound(session=session) | facts.BindingFailed(session=session)
            | facts.BindingEnded(session=session) | facts.FreezeRequested(session=session)
            | facts.FreezeFailed(session=session)
        ):  # fmt: skip
            return _of_session(shop, session)
        case (
            facts.OrderCancelled(order=order) | facts.TenderSubmitted(order=order) | facts.TokenIssued(order=order)
            | facts.TokenBurned(order=order)
        ):  # fmt: skip
            return _of_order(shop, order)
        case (
            facts.TenderCaptured(tender=tender) | facts.TenderDeclined(tender=tender)
            | facts.TenderUnknown(tender=tender) | facts.TenderRefunded(tender=tender)
        ):  # fmt: skip
            return _of_tender(shop, tender)
        case facts.LaneChecked(lane=lane) | facts.LaneReleased(lane=lane):
            return lane
        case facts.IncidentRaised(incident=incident) | facts.IncidentResolved(incident=incident):
            return incident
    return None


def _of_session(shop: Shop, session: SessionId) -> ShopperId | None:
    binding = shop.bindings.by_session.get(session)
    return binding.shopper if binding else None


def _of_order(shop: Shop, order: OrderId) -> ShopperId | None:
    found = shop.orders.by_id.get(order)
    return found.placed.shopper if found else None


def _of_tender(shop: Shop, tender: TenderId) -> ShopperId | None:
    found = shop.tenders.by_id.get(tender)
    return _of_order(shop, found.order) if found else None
