"""Who can be reached right now. A cache for displays and refusals, never journaled, never truth."""

from collections.abc import Set as AbstractSet

from cart_protocol.ids import CartId
from edge_agent.core.views import SightCart
from edge_agent.services.changes import Changes


class Presence:
    """Carts as the broker last said; without a broker nobody can be reached."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._present: set[CartId] = set()
        self.sends_records: set[CartId] = set()
        """Carts whose software can be asked for the flight recorder's records."""
        self._sight: dict[CartId, SightCart] = {}
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

    def knows(self, said: SightCart) -> None:
        """Note what a cart that is online says that it knows by sight."""
        if self._sight.get(said.cart) != said:
            self._sight[said.cart] = said
            self._changes.bump([said.cart])

    @property
    def sight(self) -> dict[CartId, SightCart]:
        """What the carts that are online know by sight; those that know nothing are missing."""
        return {cart: said for cart, said in self._sight.items() if cart in self.online and said.network}

    def broker(self, *, online: bool) -> None:
        if online != self.broker_online:
            self.broker_online = online
            self._changes.bump()
