"""Incidents: what staff should look at, raised once per matter and closed by a person."""

from cart_protocol.ids import CartId, IncidentId, LaneId, OrderId, StaffId
from edge_agent.core.events import IncidentRaised, IncidentResolved, NewId, StoreEvent
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.core.shop import Shop


def raise_once(
    shop: Shop, *, key: str, where: str, cause: str, sentence: str, new_id: NewId, evidence: tuple[str, ...] = (),
    cart: CartId | None = None, lane: LaneId | None = None, order: OrderId | None = None,
) -> list[StoreEvent]:  # fmt: skip
    """Raise an incident unless one about the same `key` is still open."""
    if shop.incidents.is_open(key):
        return []
    return [
        IncidentRaised(
            incident=IncidentId(new_id()), key=key, where=where, cause=cause, sentence=sentence, evidence=evidence,
            cart=cart, lane=lane, order=order,
        )
    ]  # fmt: skip


def resolve(shop: Shop, incident: IncidentId, staff: StaffId) -> list[StoreEvent]:
    """Close an incident; closing it again changes nothing.

    Raises:
        StaffRefusedError: there is no such incident.
    """
    found = shop.incidents.by_id.get(incident)
    if found is None:
        raise StaffRefusedError("unknown-incident", "There is no such incident.")
    return [] if found.resolved_by else [IncidentResolved(incident=incident, staff=staff)]
