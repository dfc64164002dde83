"""What a cart's report means for the shop. The report is always recorded: the cart knows best what happened to it."""

from cart_protocol.basket import (
    BasketFrozen,
    CommandRefused,
    Phase,
    Position,
    ScanRefused,
    SessionBegan,
    SessionEnded,
)
from cart_protocol.ids import CartId, CommandId, Epoch, SessionId
from cart_protocol.messages import Recorded, Snapshot
from edge_agent.core.binding import may_cancel, parted
from edge_agent.core.events import (
    BindingFailed,
    CartBound,
    CartReported,
    CartSnapshotAdopted,
    FreezeFailed,
    NewId,
    OrderCancelled,
    StoreEvent,
)
from edge_agent.core.folds import Binding, Stage
from edge_agent.core.incident import unfit_goods
from edge_agent.core.order import place
from edge_agent.core.shop import Shop


def reported(shop: Shop, cart: CartId, epoch: Epoch, recorded: Recorded, new_id: NewId) -> list[StoreEvent]:
    """Record a cart's next event and what follows from it."""
    follows: list[StoreEvent] = []
    match recorded.event:
        case SessionBegan(session=session):
            follows = _began(shop, cart, session)
        case SessionEnded(session=session, reason=reason):
            follows = _over(shop, cart, session, reason)
        case BasketFrozen(settled=settled, variance=variance):
            at = Position(epoch=epoch, seq=recorded.seq)
            if binding := _awaiting_order(shop, cart):
                basket = shop.mirror(cart).basket
                follows = place(shop, binding, basket, at=at, settled=settled, variance=variance, new_id=new_id)
        case CommandRefused(command=command, reason=reason):
            follows = _refused(shop, cart, command, reason)
        case ScanRefused():
            follows = unfit_goods(shop, cart, recorded.event, new_id)
    return [CartReported(cart=cart, epoch=epoch, recorded=recorded), *follows]


def replaced(shop: Shop, cart: CartId, snapshot: Snapshot, new_id: NewId) -> list[StoreEvent]:
    """Adopt a cart's whole basket, and what follows from the difference."""
    adopted = CartSnapshotAdopted(cart=cart, position=snapshot.position, basket=snapshot.basket)
    binding = shop.bindings.on_cart(cart)
    basket = snapshot.basket
    if binding is None:
        return [adopted]
    if basket.session != binding.session:
        # A cart that lost its memory does not know its shopper; one that has not begun yet may still do so.
        return [adopted] if binding.stage is Stage.REQUESTED else [adopted, *parted(shop, binding, "cart-reset")]
    follows: list[StoreEvent] = [adopted]
    if binding.stage is Stage.REQUESTED:
        follows.append(CartBound(session=binding.session))
    order = shop.orders.of_session(binding.session)
    if basket.phase is Phase.FROZEN and order is None:
        follows += place(
            shop, binding, basket, at=snapshot.position, settled=basket.settled, variance=basket.variance, new_id=new_id
        )
    elif basket.phase is Phase.SHOPPING and order is not None and may_cancel(shop, binding.session):
        follows.append(OrderCancelled(order=order.id, reason="cart-reset"))
    return follows


def _began(shop: Shop, cart: CartId, session: SessionId) -> list[StoreEvent]:
    """A session nobody waits for any more is not bound; binding.overdue calls the cart back."""
    binding = shop.bindings.on_cart(cart)
    if binding is None:
        return []
    if binding.session == session:
        return [CartBound(session=session)] if binding.stage is Stage.REQUESTED else []
    return [] if binding.stage is Stage.REQUESTED else parted(shop, binding, "cart-reset")


def _over(shop: Shop, cart: CartId, session: SessionId, reason: str) -> list[StoreEvent]:
    binding = shop.bindings.on_cart(cart)
    if binding is None or binding.session != session:
        return []
    if binding.stage is Stage.REQUESTED:
        return [BindingFailed(session=session, reason=reason)]
    return parted(shop, binding, reason)


def _refused(shop: Shop, cart: CartId, command: CommandId, reason: str) -> list[StoreEvent]:
    binding = shop.bindings.on_cart(cart)
    if binding is None:
        return []
    if binding.stage is Stage.REQUESTED and binding.command == command:
        return [BindingFailed(session=binding.session, reason=reason)]
    if binding.freezing == command:
        return [FreezeFailed(session=binding.session, command=command, reason=reason)]
    return []


def _awaiting_order(shop: Shop, cart: CartId) -> Binding | None:
    """Return the cart's binding if it has no order yet. A freeze counts even when its asking had been given up."""
    binding = shop.bindings.on_cart(cart)
    if binding is None or binding.stage is not Stage.BOUND or shop.mirror(cart).basket.session != binding.session:
        return None
    return binding if shop.orders.of_session(binding.session) is None else None
