"""Incidents: what staff should look at, raised once per matter and closed by a person."""

from collections.abc import Iterable

import msgspec

from cart_protocol.basket import ScanRefused
from cart_protocol.ids import CartId, IncidentId, LaneId, OrderId, StaffId
from cart_protocol.pricing.fit_for_sale import Unfit
from edge_agent.core.events import IncidentRaised, IncidentResolved, NewId, StoreEvent
from edge_agent.core.folds import Incident
from edge_agent.core.lane_sequence import LaneState
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.core.shop import Shop
from edge_agent.core.views import LaneCard

ITSELF = StaffId("itself")
"""Who resolves an alarm about something that is over: 'resolved by itself'."""
_LOW_ON = {
    "outbox": "This cart has been without a connection for so long that its memory is filling up. "
    "Please bring it to where it has one; when it is full it takes no more products.",
    "disk": "This cart's own disk is filling up. Please have it looked at; when it is full it takes no more products.",
}

_UNFIT = {
    Unfit.EXPIRED: "It is past its use-by date. Please take it from the shopper and look for more of it on the shelf.",
    Unfit.PAST_BEST_BEFORE: "It is past its date. Please take it from the shopper and look for more on the shelf.",
    Unfit.RECALLED: "It is recalled{reason}. Please take it from the shopper and look for more of it on the shelf.",
}
_LONGEST_NAME = 60


def raise_once(
    shop: Shop, *, key: str, where: str, cause: str, sentence: str, new_id: NewId, evidence: tuple[str, ...] = (),
    cart: CartId | None = None, lane: LaneId | None = None, order: OrderId | None = None,
) -> list[StoreEvent]:  # fmt: skip
    """Raise an incident unless one about the same `key` is still open."""
    if shop.incidents.is_open(key):
        return []
    raised = about(key=key, where=where, cause=cause, sentence=sentence, new_id=new_id, evidence=evidence)
    return [msgspec.structs.replace(raised, cart=cart, lane=lane, order=order)]


def about(
    *, key: str, where: str, cause: str, sentence: str, new_id: NewId, evidence: tuple[str, ...] = ()
) -> IncidentRaised:
    """Return a new incident about the matter `key`."""
    return IncidentRaised(
        incident=IncidentId(new_id()), key=key, where=where, cause=cause, sentence=sentence, evidence=evidence
    )


def low_on_key(cart: CartId) -> str:
    """Return the matter of a cart that runs out of room."""
    return f"low-on/{cart}"


def cart_low_on(shop: Shop, cart: CartId, low_on: tuple[str, ...], new_id: NewId) -> list[StoreEvent]:
    """Raise an alarm about a cart that says what it runs out of; one that says nothing ends it."""
    key = low_on_key(cart)
    opened = shop.incidents.open_about(key)
    if not low_on:
        return [] if opened is None else [IncidentResolved(incident=opened, staff=ITSELF)]
    sentence = _LOW_ON.get(low_on[0], "This cart runs out of room. Please have it looked at.")
    return raise_once(
        shop, key=key, where=f"cart {cart}", cause="cart-low-on-room", sentence=sentence, new_id=new_id, cart=cart,
        evidence=tuple(f"low on {what[:20]}" for what in low_on[:8]),
    )  # fmt: skip


def unfit_goods(shop: Shop, cart: CartId, refused: ScanRefused, new_id: NewId) -> list[StoreEvent]:
    """Raise an alarm about a pack that a cart refused because it must not be sold; one for each cart and reason."""
    reason = Unfit(refused.reason) if refused.reason in _UNFIT else None
    if reason is None:
        return []
    why = f": {told}" if (told := _recall_of(shop, refused.name)) else ""
    return raise_once(
        shop, key=f"unfit/{cart}/{reason}", where=f"cart {cart}", cause=f"{reason}-goods", cart=cart, new_id=new_id,
        sentence=f"{refused.name[:_LONGEST_NAME]} was shown to cart {cart}. " + _UNFIT[reason].format(reason=why),
    )  # fmt: skip


def _recall_of(shop: Shop, name: str) -> str:
    """Return the reason of the recall that a cart meant, as far as its product's name tells."""
    prices = shop.books.latest
    for recall in prices.book.recalls if prices else ():
        product = prices.find(recall.product) if prices else None
        if product and product.name == name:
            return recall.reason
    return ""


def resolve(shop: Shop, incident: IncidentId, staff: StaffId) -> list[StoreEvent]:
    """Close an incident; closing it again changes nothing.

    Raises:
        StaffRefusedError: there is no such incident.
    """
    found = _find(shop, incident)
    return [] if found.resolved_by else [IncidentResolved(incident=incident, staff=staff)]


_SCAN_AGAIN = "This order no longer waits at the lane. Please ask the shopper to scan the exit code again."
_BLOCKED: dict[str, str] = {
    LaneState.FAILED: "A device of this lane does not answer. Please ask the shopper to scan again at another lane.",
    LaneState.TAG_ALARM: (
        "There are goods with a live tag at this lane. Please see to them and resolve that alarm; "
        "then the shopper scans the exit code again."
    ),
}


def let_through(shop: Shop, incident: IncidentId, staff: StaffId, lanes: Iterable[LaneCard]) -> list[StoreEvent]:
    """Close a weight alarm by letting its shopper go with the goods; asking again changes nothing.

    Raises:
        StaffRefusedError: unknown-incident, or not-at-lane: the order no longer waits at a lane (`lanes` as they are
            now), because the shopper scanned again, a live tag was seen, a device failed or the agent was restarted.
    """
    found = _find(shop, incident)
    if found.let_through:
        return []
    lane = next((lane for lane in lanes if lane.lane == found.raised.lane), None)
    if lane is None or lane.holds != incident:
        blocked_by = lane.state if lane and lane.holds is None and not found.resolved_by else ""
        raise StaffRefusedError("not-at-lane", _BLOCKED.get(blocked_by, _SCAN_AGAIN))
    return [IncidentResolved(incident=incident, staff=staff, let_through=True)]


def _find(shop: Shop, incident: IncidentId) -> Incident:
    found = shop.incidents.by_id.get(incident)
    if found is None:
        raise StaffRefusedError("unknown-incident", "There is no such incident.")
    return found
