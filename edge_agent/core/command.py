"""What the store tells carts to do. A command is a fact first; it goes on the wire after the commit, until answered."""

from cart_protocol.ids import CartId, CommandId, StaffId
from cart_protocol.messages import ExplainWeight, Instruction, SetWithdrawn
from edge_agent.core.events import CommandSent, NewId, StoreEvent
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.core.shop import Shop

COMMAND_LIFE_MS = 60_000
"""How long a command that nobody waits for is worth carrying out (the topic table lets it live as long)."""


def command(
    cart: CartId, instruction: Instruction, *, now_ms: int, new_id: NewId, staff: StaffId | None = None
) -> CommandSent:
    return CommandSent(
        command=CommandId(new_id()),
        cart=cart,
        instruction=instruction,
        expires_ms=now_ms + COMMAND_LIFE_MS,
        staff=staff,
    )


def set_withdrawn(
    shop: Shop, cart: CartId, staff: StaffId, *, withdrawn: bool, now_ms: int, new_id: NewId
) -> list[StoreEvent]:
    """Take a cart out of service, or put it back; nothing to do where it is so already.

    Raises:
        StaffRefusedError: reason unknown-cart or in-use (a shopper has it; they must part first).
    """
    mirror = shop.carts.get(cart)
    if mirror is None:
        raise StaffRefusedError("unknown-cart", "There is no such cart.")
    if mirror.basket.withdrawn == withdrawn:
        return []
    if withdrawn and (mirror.in_use or shop.bindings.on_cart(cart) is not None):
        raise StaffRefusedError("in-use", "A shopper is using this cart. It can be withdrawn when it is handed back.")
    return [command(cart, SetWithdrawn(withdrawn=withdrawn), now_ms=now_ms, new_id=new_id, staff=staff)]


def explain_weight(shop: Shop, cart: CartId, staff: StaffId, *, now_ms: int, new_id: NewId) -> list[StoreEvent]:
    """Staff looked into the cart: its unexplained weight is in order. Nothing to do where there is none to see to.

    Raises:
        StaffRefusedError: reason unknown-cart or not-in-use.
    """
    mirror = shop.carts.get(cart)
    if mirror is None:
        raise StaffRefusedError("unknown-cart", "There is no such cart.")
    session = mirror.basket.session
    if session is None:
        raise StaffRefusedError("not-in-use", "Nobody is using this cart.")
    if not mirror.basket.unexplained and not mirror.basket.attention:
        return []
    return [command(cart, ExplainWeight(session=session), now_ms=now_ms, new_id=new_id, staff=staff)]
