"""Which of a store's partitions a fact belongs to, where several agents share the carts (docs/decisions).

A cart's partition follows from its id alone. Everything that is not a cart's own (a session, an order, a tender) was
begun by a fact that names the cart, and follows it.
"""

import zlib
from typing import Any

from cart_protocol.ids import CartId, IncidentId, OrderId, SessionId, TenderId
from edge_agent.core import events as facts
from edge_agent.core.events import StoreEvent


def partition_of(cart: CartId, partitions: int) -> int:
    """Return the partition of a cart, 0 up to `partitions` - 1; the same on every machine and in every release.

    CRC-32 (ISO 3309, as in zlib) of the id: Python's own hash differs from process to process.
    """
    return zlib.crc32(cart.encode()) % partitions


class Routes:
    """Sends each fact to its partition. Learns from the facts themselves, so it must see every one of them, in order.

    Args:
        partitions: how many there are.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._sessions: dict[SessionId, int] = {}
        self._orders: dict[OrderId, int] = {}
        self._tenders: dict[TenderId, int] = {}
        self._incidents: dict[IncidentId, int] = {}

    def place(self, event: StoreEvent, home: int) -> int:
        """Return where a fact belongs; `home` for what is nobody's, e.g. an incident at a lane. Learns from it."""
        match event:
            case facts.BindRequested(session=session, cart=cart):
                self._sessions[session] = found = partition_of(cart, self._partitions)
            case facts.OrderPlaced(order=order, cart=cart):
                self._orders[order] = found = partition_of(cart, self._partitions)
            case facts.TenderSubmitted(tender=tender, order=order):
                self._tenders[tender] = found = self._orders.get(order, home)
            case facts.IncidentRaised(incident=incident):
                self._incidents[incident] = found = self._of(event, home)
            case _:
                found = self._of(event, home)
        return found

    def learn(self, event: StoreEvent, partition: int) -> None:
        """Remember where a fact of the log stands."""
        match event:
            case facts.BindRequested(session=session):
                self._sessions[session] = partition
            case facts.OrderPlaced(order=order):
                self._orders[order] = partition
            case facts.TenderSubmitted(tender=tender):
                self._tenders[tender] = partition
            case facts.IncidentRaised(incident=incident):
                self._incidents[incident] = partition

    def _of(self, event: StoreEvent, home: int) -> int:
        cart: CartId | None = getattr(event, "cart", None)
        if cart is not None:
            return partition_of(cart, self._partitions)
        known: dict[Any, int]
        for field, known in (
            ("order", self._orders), ("tender", self._tenders), ("session", self._sessions),
            ("incident", self._incidents),
        ):  # fmt: skip
            named: Any = getattr(event, field, None)
            found = known.get(named)
            if found is not None:
                return found
        return home
