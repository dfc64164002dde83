"""Delivery without loss: everything a cart recorded is committed by its store exactly once, in order. No I/O here.

One `Exchange` stands at each end of the wire; the shell feeds it what happened and carries out the effects it returns,
in their order. The wire may lose, repeat, delay and reorder; either end may die at any instant and come back with what
it had stored: the cart its outbox, the store its committed position.

The cart alone keeps a timer, because the cart alone has something to lose. It sends from the first unacknowledged
event on, at most a window ahead. When no answer comes in time it does not repeat blindly: it asks with a Birth where
the store stands and goes on from there, so that a slow store receives questions and not the same events again.
"""

from enum import Enum

from cart_protocol.basket import Position
from cart_protocol.exchange.cart_end import CART_TABLE, CartEnd, CartState
from cart_protocol.exchange.effects import (
    Adopt,
    Counts,
    Deliver,
    Effect,
    ExchangeError,
    LocalProtocolError,
    OutboxFullError,
    PruneThrough,
    Send,
    SendEvents,
    SendSnapshot,
)
from cart_protocol.exchange.store_end import StoreEnd
from cart_protocol.messages import Message

__all__ = [
    "CART_TABLE",
    "Adopt",
    "CartState",
    "Counts",
    "Deliver",
    "Effect",
    "Exchange",
    "ExchangeError",
    "LocalProtocolError",
    "OutboxFullError",
    "PruneThrough",
    "Role",
    "Send",
    "SendEvents",
    "SendSnapshot",
]


class Role(Enum):
    CART = "cart"
    STORE = "store"


class Exchange:
    """One end of the exchange between one cart and its store.

    `position` is the last event that is durable on this side: recorded (CART) or committed (STORE; epoch 0, seq 0 if
    this cart was never heard of). `acknowledged` (CART) is how far the outbox was pruned. All times are microseconds of
    one monotonic clock of the caller's.
    """

    def __init__(
        self, role: Role, position: Position, *, acknowledged: int = 0, software: str = "", window: int = 256
    ) -> None:
        self.role = role
        self.counts = Counts()
        self._cart = CartEnd(position, acknowledged, software, window, self.counts) if role is Role.CART else None
        self._store = StoreEnd(position, self.counts) if role is Role.STORE else None

    def connected(self, now_us: int) -> list[Effect]:
        """The link is up. The cart announces itself; the store's StoreBirth is the business of its service."""
        return self._cart.connected(now_us) if self._cart else []

    def disconnected(self) -> None:
        if self._cart:
            self._cart.disconnected()

    def recorded(self, seq: int, now_us: int) -> list[Effect]:
        """CART: the outbox durably holds everything up to `seq`. Raises LocalProtocolError if that goes back."""
        return self._of_cart().recorded(seq, now_us)

    def committed(self, position: Position, now_us: int) -> list[Effect]:
        """STORE: what was delivered or adopted up to `position` is durable; one call may cover several deliveries.

        Raises:
            LocalProtocolError: `position` was not delivered.
        """
        del now_us  # the store keeps no timer; the argument keeps the two roles alike
        return self._of_store().committed(position)

    def receive(self, message: Message, now_us: int) -> list[Effect]:
        """Take a message from the other side; any content is survived.

        Raises:
            LocalProtocolError: this type of message does not travel towards this role.
        """
        if self._cart:
            return self._cart.receive(message, now_us)
        return self._of_store().receive(message)

    def tick(self, now_us: int) -> list[Effect]:
        """Call at or after next_deadline_us(); harmless at any other time."""
        return self._cart.tick(now_us) if self._cart else []

    def next_deadline_us(self) -> int | None:
        return self._cart.timer.deadline_us if self._cart else None

    @property
    def acknowledged(self) -> int:
        """CART: the last event that the store has committed."""
        return self._of_cart().acknowledged

    @property
    def state(self) -> CartState:
        """CART: for displays."""
        return self._of_cart().state

    @property
    def accepted(self) -> Position:
        """STORE: the last event delivered, committed or not."""
        return self._of_store().accepted

    @property
    def repeated(self) -> int:
        return self.counts.repeated

    @property
    def gaps(self) -> int:
        return self.counts.gaps

    def _of_cart(self) -> CartEnd:
        if self._cart is None:
            raise LocalProtocolError("only the CART role records, is acknowledged and has a state")
        return self._cart

    def _of_store(self) -> StoreEnd:
        if self._store is None:
            raise LocalProtocolError("only the STORE role accepts and commits")
        return self._store
