"""One unused cart to one shopper, one-to-one both ways.

Asking: BindRequested -> the cart's own SessionBegan (CartBound), its refusal or its silence (BindingFailed).
Parting: the cart's SessionEnded, the shopper's hand-back, the gate, or a long silence (BindingEnded). A cart that still
serves a session the store knows to be over is told to end it, again and again, until it does (`overdue`).
"""

import re
from collections.abc import Collection

from cart_protocol.basket import Phase
from cart_protocol.ids import CartId, CommandId, SessionId, ShopperId
from cart_protocol.messages import BeginSession, EndSession, Thaw
from edge_agent.core.cart_mirror import CartMirror
from edge_agent.core.command import command
from edge_agent.core.events import (
    BindingEnded,
    BindingFailed,
    BindRequested,
    CommandSent,
    FreezeFailed,
    NewId,
    OrderCancelled,
    StoreEvent,
)
from edge_agent.core.folds import Binding, Stage
from edge_agent.core.refusals import BindRefusedError, OrderRefusedError
from edge_agent.core.shop import Shop

ANSWER_MS = 5_000
"""How long a cart may take to answer a shopper who waits at it."""

_CART_CODE = re.compile(r"(?P<cart>[a-z0-9][a-z0-9-]{0,31})-(?P<code>[0-9a-z]{4,12})")
_LOOK_ALIKES = str.maketrans("iluo", "11v0")
"""What people type for Crockford's base 32, whose letters leave out I, L, O and U (see cart_protocol.host.clock)."""

_SENTENCES = {
    "unknown-code": "This code is not known. Please scan the code that the cart shows now.",
    "has-cart": "You already have a cart. Please hand it back first.",
    "busy": "Somebody else is using this cart. Please take another one.",
    "offline": "This cart cannot be reached right now. Please take another one.",
    "withdrawn": "This cart is out of service. Please take another one.",
    "charging": "This cart is charging. Please take another one.",
    "faulty": "This cart has a fault. Please take another one.",
    "no-room": "The store cannot take new shoppers with a cart right now. Please ask our staff.",
    "no-answer": "The cart did not answer. Please try again or take another one.",
}


def refusal(reason: str) -> BindRefusedError:
    """Return the refusal for a machine word; a word that a newer cart invented gets a general sentence."""
    return BindRefusedError(
        reason, _SENTENCES.get(reason, "This cart cannot be used right now. Please take another one.")
    )


def parse(text: str) -> tuple[CartId, str]:
    """Take 'c1-7K3M9Q' apart into cart and code, or refuse. Case, blanks and look-alike letters are forgiven."""
    found = _CART_CODE.fullmatch("".join(text.split()).lower())
    if found is None:
        raise refusal("unknown-code")
    return CartId(found["cart"]), found["code"].translate(_LOOK_ALIKES).upper()


def request(
    shop: Shop, shopper: ShopperId, text: str, *, online: Collection[CartId], now_ms: int, new_id: NewId
) -> list[StoreEvent]:
    """Ask a cart for a shopper. The same shopper with the same code again is the same request and changes nothing.

    Raises:
        BindRefusedError: reason unknown-code, has-cart, busy, offline, withdrawn, charging or faulty.
    """
    cart, code = parse(text)
    present = shop.bindings.of(shopper)
    if present is not None:
        if (present.cart, present.code) == (cart, code):
            return []
        raise refusal("has-cart")
    mirror = shop.carts.get(cart)
    if mirror is None:
        raise refusal("unknown-code")
    if (obstacle := _obstacle(shop, mirror, online)) or mirror.basket.code != code:
        raise refusal(obstacle or "unknown-code")
    session, command = SessionId(new_id()), CommandId(new_id())
    expires_ms = now_ms + ANSWER_MS
    begin = BeginSession(session=session, code=code)
    return [
        BindRequested(session=session, shopper=shopper, cart=cart, code=code, command=command, expires_ms=expires_ms),
        CommandSent(command=command, cart=cart, instruction=begin, expires_ms=expires_ms),
    ]


def give_up(shop: Shop, session: SessionId) -> list[StoreEvent]:
    """The shopper has waited long enough: free both, if the cart has not answered by now."""
    binding = shop.bindings.by_session[session]
    return [BindingFailed(session=session, reason="no-answer")] if binding.stage is Stage.REQUESTED else []


def hand_back(shop: Shop, shopper: ShopperId, *, now_ms: int, new_id: NewId) -> list[StoreEvent]:
    """Part a shopper from the cart; nothing to do without one.

    Raises:
        OrderRefusedError: reason 'paid' or 'paying': goods that are paid for leave by the exit lane.
    """
    binding = shop.bindings.of(shopper)
    if binding is None:
        return []
    if binding.stage is Stage.REQUESTED:
        return [BindingFailed(session=binding.session, reason="handed-back")]
    if not may_cancel(shop, binding.session):
        raise OrderRefusedError("paid", "You have paid, or are paying, for this cart: please leave by the exit lane.")
    return part(shop, binding, "handed-back", now_ms=now_ms, new_id=new_id)


def part(shop: Shop, binding: Binding, reason: str, *, now_ms: int, new_id: NewId) -> list[StoreEvent]:
    """End a binding from the store's side and tell the cart."""
    end = EndSession(session=binding.session, reason=reason)
    return [*parted(shop, binding, reason), command(binding.cart, end, now_ms=now_ms, new_id=new_id)]


def parted(shop: Shop, binding: Binding, reason: str) -> list[StoreEvent]:
    """End a binding that the cart has ended; an order of it that nobody has begun to pay is void."""
    ended: list[StoreEvent] = [BindingEnded(session=binding.session, reason=reason)]
    order = shop.orders.of_session(binding.session)
    if order is not None and may_cancel(shop, binding.session):
        ended.append(OrderCancelled(order=order.id, reason=reason))
    return ended


def may_cancel(shop: Shop, session: SessionId) -> bool:
    """Return whether nothing of this session's order is paid or being paid."""
    order = shop.orders.of_session(session)
    if order is None:
        return True
    due = order.placed.total
    untouched = shop.tenders.paid(order.id, due.currency).minor == 0 and shop.tenders.in_doubt(order.id) is None
    return untouched and not shop.tenders.is_paid(order.id, due)


def overdue(shop: Shop, *, idle_ms: int, online: Collection[CartId], now_ms: int, new_id: NewId) -> list[StoreEvent]:
    """Return what time alone brings about: unanswered requests fail, silent sessions end, strays are called back."""
    due: list[StoreEvent] = []
    for binding in shop.bindings.live():
        due += _overdue_binding(shop, binding, idle_ms=idle_ms, now_ms=now_ms, new_id=new_id)
    for mirror in shop.carts.values():
        if mirror.cart in online:
            due += _call_back(shop, mirror, now_ms=now_ms, new_id=new_id)
    return due


def _overdue_binding(shop: Shop, binding: Binding, *, idle_ms: int, now_ms: int, new_id: NewId) -> list[StoreEvent]:
    if binding.stage is Stage.REQUESTED:
        return give_up(shop, binding.session) if now_ms >= binding.expires_ms else []
    if now_ms - binding.touched_ms >= idle_ms and may_cancel(shop, binding.session):
        return part(shop, binding, "timed-out", now_ms=now_ms, new_id=new_id)
    if binding.freezing is not None and now_ms - binding.freeze_asked_ms >= ANSWER_MS:
        return [FreezeFailed(session=binding.session, command=binding.freezing, reason="no-answer")]
    return []


def _call_back(shop: Shop, mirror: CartMirror, *, now_ms: int, new_id: NewId) -> list[StoreEvent]:
    """Correct a cart that missed a command: a session that is over must end, a basket without an order must thaw."""
    session = mirror.basket.session
    if session is None:
        return []
    binding = shop.bindings.by_session.get(session)
    if binding is None or not binding.live:
        if shop.commands.is_open(mirror.cart, EndSession, now_ms):
            return []
        reason = binding.reason if binding is not None and binding.stage is Stage.ENDED else "timed-out"
        return [command(mirror.cart, EndSession(session=session, reason=reason), now_ms=now_ms, new_id=new_id)]
    frozen_for_nothing = mirror.basket.phase is Phase.FROZEN and shop.orders.of_session(session) is None
    if frozen_for_nothing and not shop.commands.is_open(mirror.cart, Thaw, now_ms):
        return [command(mirror.cart, Thaw(session=session), now_ms=now_ms, new_id=new_id)]
    return []


def _obstacle(shop: Shop, mirror: CartMirror, online: Collection[CartId]) -> str:
    """Return why a cart cannot be had by anybody now, or ''."""
    obstacles = (
        ("busy", shop.bindings.on_cart(mirror.cart) is not None or mirror.in_use),
        ("offline", mirror.cart not in online),
        ("withdrawn", mirror.basket.withdrawn),
        ("charging", mirror.charging),
        ("faulty", mirror.faulty),
    )
    return next((word for word, applies in obstacles if applies), "")
