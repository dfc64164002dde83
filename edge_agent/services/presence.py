"""Who can be reached right now. A cache for displays and refusals, never journaled, never truth."""

from collections.abc import Set as AbstractSet

from cart_protocol.ids import CartId
from edge_agent.services.changes import Changes


class Presence:
    """Carts as the broker last said; without a broker nobody can be reached."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._present: set[CartId] = set()
        self.sends_records: set[CartId] = set()
        """Carts whose software can be asked for the flight recorder's records."""
        self.broker_online = False

    @property
    def online(self) -> AbstractSet[CartId]:
        return self._present if self.broker_online else frozenset()

    def said(self, cart: CartId, *, online: bool) -> None:
        if online == (cart in self._present):
            return
        if online:
            self._present.add(cart)
        else:
            self._present.discard(cart)
        self._changes.bump([cart])

    def can(self, cart: CartId, *, send_records: bool) -> None:
        """Note what a cart that is online says of its software."""
        if send_records:
            self.sends_records.add(cart)
        else:
            self.sends_records.discard(cart)

    def broker(self, *, online: bool) -> None:
        if online != self.broker_online:
            self.broker_online = online
            self._changes.bump()
