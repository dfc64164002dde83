"""The store's mirror of one cart: the same fold of the same events as on the cart, and where in its stream we are."""

import msgspec

from cart_protocol.basket import (
    AttentionChanged,
    Basket,
    BasketFrozen,
    CodeOffered,
    ContainerAdded,
    ContainerRemoved,
    Fault,
    ItemScanned,
    LineAdded,
    LineRemoved,
    Phase,
    ScanAbandoned,
    SessionBegan,
    SessionEnded,
    WeightExplained,
    WeightUnexplained,
    evolve,
)
from cart_protocol.ids import CartId, Epoch, Seq
from cart_protocol.messages import Recorded

_SEEN_BY_SHOPPERS = (
    ItemScanned,
    ScanAbandoned,
    LineAdded,
    LineRemoved,
    WeightUnexplained,
    WeightExplained,
    ContainerAdded,
    ContainerRemoved,
    AttentionChanged,
    BasketFrozen,
    SessionBegan,
    SessionEnded,
    CodeOffered,
)
"""Events that change what a page shows; their evidence time is what the phone's latency is measured from."""


class CartMirror(msgspec.Struct, kw_only=True):
    """What the store knows of one cart. `observed_us` is the cart's monotonic time of the newest visible change."""

    cart: CartId
    basket: Basket = msgspec.field(default_factory=Basket)
    epoch: Epoch = Epoch(0)
    seq: Seq = Seq(0)
    last_seen_ms: int = 0
    observed_us: int = 0

    def reported(self, epoch: Epoch, recorded: Recorded, at_ms: int) -> None:
        evolve(self.basket, recorded.event)
        self.epoch, self.seq, self.last_seen_ms = epoch, recorded.seq, at_ms
        if isinstance(recorded.event, _SEEN_BY_SHOPPERS):
            self.observed_us = recorded.at.monotonic_us

    def replaced(self, epoch: Epoch, seq: Seq, basket: Basket, at_ms: int) -> None:
        # The fact keeps its own basket: a mirror that shared it would change history while it goes on.
        self.basket = copy_of(basket)
        self.epoch, self.seq, self.last_seen_ms = epoch, seq, at_ms

    @property
    def in_use(self) -> bool:
        return self.basket.phase is not Phase.IDLE

    @property
    def charging(self) -> bool:
        return Fault.CHARGING in self.basket.faults

    @property
    def faulty(self) -> bool:
        return any(fault is not Fault.CHARGING for fault in self.basket.faults)


def copy_of(basket: Basket) -> Basket:
    """Return a basket that changes independently; its parts are frozen and shared."""
    return msgspec.structs.replace(
        basket,
        lines=dict(basket.lines),
        pending=dict(basket.pending),
        unexplained=dict(basket.unexplained),
        containers=dict(basket.containers),
    )
