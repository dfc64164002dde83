"""Records of carts' flight recorders in the store: who may have which, and when they go again. Pure."""

from collections.abc import Iterator

from cart_protocol.ids import CartId, IncidentId, RecordId, SessionId, ShopperId, StaffId
from cart_protocol.messages import LATEST_MS, RecordPart
from edge_agent.core.events import NewId, RecordAsked, RecordDropped, RecordFailed, RecordKept, StoreEvent
from edge_agent.core.folds import About, CartRecord, Incident, RecordStage
from edge_agent.core.refusals import StaffRefusedError
from edge_agent.core.shop import Shop

BEFORE_MS, AFTER_MS = 600_000, 120_000
"""What is asked for about an alarm that belongs to no order: the cart's time around it."""
OPEN_MS = 86_400_000
"""How long a cart that is away is waited for."""
_MOST_OPEN = 20
_DAY_MS = 86_400_000


# ── asking ──


def of_cart(shop: Shop, cart: CartId) -> About | None:
    """Return what a record of this cart would be of: its shopper's session, or the last one's. None before any."""
    bound = shop.bindings.latest_on.get(cart)
    return _of_session(cart, bound.session) if bound else None


def of_incident(shop: Shop, incident: Incident) -> About | None:
    """Return what a record about an alarm would be of: its order's session, or the cart's time. None without a cart."""
    raised = incident.raised
    order = shop.orders.by_id.get(raised.order) if raised.order else None
    if order is not None:
        return _of_session(order.placed.cart, order.placed.session)
    if raised.cart is None:
        return None
    return raised.cart, None, max(0, incident.at_ms - BEFORE_MS), incident.at_ms + AFTER_MS


def ask_cart(shop: Shop, cart: CartId, staff: StaffId, new_id: NewId) -> list[StoreEvent]:
    """Ask a cart for the record of its newest session; nothing to do where that is here or on its way.

    Raises:
        StaffRefusedError: reason unknown-cart, no-session, forgotten or too-many.
    """
    if cart not in shop.carts:
        raise StaffRefusedError("unknown-cart", "There is no such cart.")
    about = of_cart(shop, cart)
    if about is None:
        raise StaffRefusedError("no-session", "Nobody has used this cart yet.")
    return _unless_there(shop, about, staff, new_id)


def ask_about(shop: Shop, incident_id: IncidentId, staff: StaffId, new_id: NewId) -> list[StoreEvent]:
    """Ask the cart of an alarm for its record; nothing to do where that is here or on its way.

    Raises:
        StaffRefusedError: reason unknown-incident, no-cart, forgotten or too-many.
    """
    incident = shop.incidents.by_id.get(incident_id)
    if incident is None:
        raise StaffRefusedError("unknown-incident", "There is no such alarm.")
    about = of_incident(shop, incident)
    if about is None:
        raise StaffRefusedError("no-cart", "This alarm is about no cart.")
    return _unless_there(shop, about, staff, new_id)


def ask_again(shop: Shop, record: RecordId, staff: StaffId, new_id: NewId) -> list[StoreEvent]:
    """Ask for the same once more: the session went on, or it failed. What is here stays until the new one is.

    Raises:
        StaffRefusedError: reason unknown-record, forgotten or too-many.
    """
    known = shop.records.by_id.get(record)
    if known is None:
        raise StaffRefusedError("unknown-record", "This record is not here any more.")
    newest = shop.records.about(known.about)
    if newest is not None and newest.stage is RecordStage.ASKED:
        return []
    return _ask(shop, known.about, staff, new_id)


def _of_session(cart: CartId, session: SessionId) -> About:
    return cart, session, 0, LATEST_MS


def _unless_there(shop: Shop, about: About, staff: StaffId, new_id: NewId) -> list[StoreEvent]:
    known = shop.records.about(about)
    return [] if known and known.stage is not RecordStage.FAILED else _ask(shop, about, staff, new_id)


def _ask(shop: Shop, about: About, staff: StaffId, new_id: NewId) -> list[StoreEvent]:
    cart, session, from_ms, until_ms = about
    if session and _is_forgotten(shop, session):
        raise StaffRefusedError("forgotten", "This shopper asked to be forgotten: no record of them may be fetched.")
    if len(shop.records.of_stage(RecordStage.ASKED)) >= _MOST_OPEN:
        raise StaffRefusedError("too-many", f"{_MOST_OPEN} records are on their way already. Please try again later.")
    record = RecordId(new_id())
    return [
        RecordAsked(record=record, cart=cart, staff=staff, session=session, from_ms=from_ms, until_ms=until_ms),
        *(_dropped(each, "replaced") for each in _others(shop, about) if each.stage is RecordStage.FAILED),
    ]


# ── what becomes of it ──


def keep(shop: Shop, record: RecordId, first: RecordPart, *, most: int) -> list[StoreEvent]:
    """Keep a record that arrived whole, and let go what it replaces and the oldest that have no room beside it.

    Nothing to do where nobody waits for it any more. Where it tells of somebody forgotten it is not kept.
    """
    known = shop.records.by_id.get(record)
    if known is None or known.stage is not RecordStage.ASKED:
        return []
    if any(_is_forgotten(shop, session) for session in first.sessions):
        sentence = "A shopper of that time asked to be forgotten: the record was not kept."
        return fail(shop, record, "forgotten", sentence)
    replaced = [each for each in _others(shop, known.about) if each is not known]
    kept = [each for each in shop.records.of_stage(RecordStage.KEPT) if each not in replaced]
    return [
        RecordKept(
            record=record, cart=known.asked.cart, size=first.size, picture=first.picture, sha256=first.sha256,
            sessions=first.sessions,
        ),
        *(_dropped(each, "replaced") for each in replaced),
        *(_dropped(each, "room") for each in _too_many(kept, most - first.size)),
    ]  # fmt: skip


def fail(shop: Shop, record: RecordId, reason: str, sentence: str) -> list[StoreEvent]:
    """There will be no record; nothing to do where nobody waits for it any more."""
    known = shop.records.by_id.get(record)
    if known is None or known.stage is not RecordStage.ASKED:
        return []
    return [RecordFailed(record=record, cart=known.asked.cart, reason=reason, sentence=sentence)]


def expired(shop: Shop, *, days: int, now_ms: int) -> list[StoreEvent]:
    """Let go what has been here for so many days, and give up waiting for carts that stay away."""
    gone = [
        each
        for each in shop.records.by_id.values()
        if each.stage is not RecordStage.ASKED and now_ms - each.at_ms >= days * _DAY_MS
    ]
    late = [each for each in shop.records.of_stage(RecordStage.ASKED) if now_ms - each.asked_ms >= OPEN_MS]
    return [
        *(_dropped(each, "expired") for each in gone),
        *(event for each in late for event in fail(shop, each.asked.record, "offline", _AWAY)),
    ]


def forgotten(shop: Shop, shopper: ShopperId) -> list[StoreEvent]:
    """Let go every record that tells of a shopper; one that is on its way is not waited for."""
    theirs = {binding.session for binding in shop.bindings.all_of(shopper)}
    return [_dropped(each, "forgotten") for each in shop.records.by_id.values() if theirs & set(each.sessions)]


_AWAY = "The cart has not been connected for a day. Ask again when it is back."


def _is_forgotten(shop: Shop, session: SessionId) -> bool:
    binding = shop.bindings.by_session.get(session)
    return binding is not None and binding.shopper in shop.forgotten


def _others(shop: Shop, about: About) -> list[CartRecord]:
    return [each for each in shop.records.by_id.values() if each.about == about]


def _too_many(kept: list[CartRecord], most: int) -> Iterator[CartRecord]:
    """Yield the oldest of these until the others take no more than `most` bytes."""
    total = sum(each.kept.size for each in kept if each.kept)
    for each in kept:
        if total <= most:
            return
        total -= each.kept.size if each.kept else 0
        yield each


def _dropped(record: CartRecord, reason: str) -> RecordDropped:
    return RecordDropped(record=record.asked.record, cart=record.asked.cart, reason=reason)
