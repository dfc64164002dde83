"""Whose pages a fact concerns, so that a thousand phones do not look again at every scan of one cart."""

from collections.abc import Callable
from typing import Any

from edge_agent.core import events as facts
from edge_agent.core.shop import Shop


def concerned(shop: Shop, event: facts.StoreEvent) -> str | None:
    """Return the cart or the shopper whose page may look different now; None where it may be anybody's.

    No phone shows lanes or incidents: those concern only who looks over the whole shop. `shop` has the fact already.
    """
    whose = _WHOSE.get(type(event))
    return whose(shop, event) if whose else None


def _cart(_: Shop, event: Any) -> str:  # noqa: ANN401 - the table says which
    return str(event.cart)


def _shopper(_: Shop, event: Any) -> str:  # noqa: ANN401
    return str(event.shopper)


def _of_session(shop: Shop, event: Any) -> str | None:  # noqa: ANN401
    binding = shop.bindings.by_session.get(event.session)
    return binding.shopper if binding else None


def _of_order(shop: Shop, event: Any) -> str | None:  # noqa: ANN401
    order = shop.orders.by_id.get(event.order)
    return order.placed.shopper if order else None


def _of_tender(shop: Shop, event: Any) -> str | None:  # noqa: ANN401
    tender = shop.tenders.by_id.get(event.tender)
    return _of_order(shop, tender) if tender else None


def _no_phone(_: Shop, event: facts.StoreEvent) -> str:
    return type(event).__name__


_Whose = Callable[[Shop, Any], str | None]
_WHOSE: dict[type, _Whose] = {
    **dict.fromkeys((facts.CartReported, facts.CartSnapshotAdopted, facts.CommandSent), _cart),
    **dict.fromkeys((facts.BindRequested, facts.OrderPlaced), _shopper),
    **dict.fromkeys((facts.CartBound, facts.BindingFailed, facts.BindingEnded), _of_session),
    **dict.fromkeys((facts.FreezeRequested, facts.FreezeFailed), _of_session),
    **dict.fromkeys((facts.OrderCancelled, facts.TokenIssued, facts.TokenBurned), _of_order),
    facts.TenderSubmitted: _of_order,
    **dict.fromkeys((facts.TenderCaptured, facts.TenderDeclined), _of_tender),
    **dict.fromkeys((facts.TenderUnknown, facts.TenderRefunded), _of_tender),
    **dict.fromkeys((facts.LaneChecked, facts.LaneReleased), _no_phone),
    **dict.fromkeys((facts.IncidentRaised, facts.IncidentResolved), _no_phone),
    **dict.fromkeys((facts.LessonAsked, facts.LessonTaken, facts.LessonFailed, facts.LessonSetAside), _no_phone),
    facts.SightChanged: _no_phone,
    **dict.fromkeys((facts.RecordAsked, facts.RecordKept, facts.RecordFailed, facts.RecordDropped), _no_phone),
}
"""A type that is missing here concerns everybody: that is only slower. ShopperForgotten is, since it names nobody; and
with it goes the memory of whom earlier facts concerned."""
