"""What the console shows: carts, incidents and counts, at one moment. Pure."""

from collections.abc import Iterable

from cart_protocol.basket import Phase
from cart_protocol.ids import RecordId
from cart_protocol.mass import shown
from cart_protocol.money import Money, zero
from edge_agent.core import cart_record, payment
from edge_agent.core.cart_mirror import CartMirror
from edge_agent.core.folds import About, Incident
from edge_agent.core.picture import Surroundings, basket_total
from edge_agent.core.shop import Shop
from edge_agent.core.views import CartCard, Counters, IncidentCard, LaneCard, RecordCard, RecordView

MOST_INCIDENTS = 50
"""What a person can look through; older ones stand in the journal."""


def cart_cards(shop: Shop, around: Surroundings) -> tuple[CartCard, ...]:
    return tuple(_cart_card(shop, shop.carts[cart], around) for cart in sorted(shop.carts))


def incident_cards(shop: Shop, lanes: Iterable[LaneCard]) -> tuple[IncidentCard, ...]:
    """Return every open incident and the newest closed ones, newest first."""
    held = {lane.holds for lane in lanes}
    newest = list(shop.incidents.newest_first())
    shown_ones = [each for place, each in enumerate(newest) if place < MOST_INCIDENTS or not each.resolved_by]
    return tuple(_incident_card(shop, each, may_let_through=each.raised.incident in held) for each in shown_ones)


def counters(shop: Shop, *, repeated: int, gaps: int, unreadable: int, unknown_fields: int) -> Counters:
    counts = shop.counts
    return Counters(
        events_committed=counts.events_committed, events_repeated=repeated, gaps_refused=gaps, unreadable=unreadable,
        unknown_fields=unknown_fields, orders_paid=counts.orders_paid, paid=counts.sum_paid, exits=counts.exits,
        incidents=len(shop.incidents.by_id), payments_unknown=len(shop.tenders.all_in_doubt()),
    )  # fmt: skip


def _cart_card(shop: Shop, mirror: CartMirror, around: Surroundings) -> CartCard:
    basket = mirror.basket
    return CartCard(
        cart=mirror.cart, state=_state(shop, mirror, around), online=mirror.cart in around.online, code=basket.code,
        items=sum(line.quantity for line in basket.lines.values()), total=_total(shop, mirror),
        mass=shown(basket.settled), attention=_attention(mirror), faults=tuple(basket.faults),
        last_seen_ms=mirror.last_seen_ms, epoch=mirror.epoch, committed=mirror.seq,
        record=_record_card(shop, cart_record.of_cart(shop, mirror.cart)),
    )  # fmt: skip


def _state(shop: Shop, mirror: CartMirror, around: Surroundings) -> str:
    basket = mirror.basket
    states = (
        ("offline", mirror.cart not in around.online),
        ("withdrawn", basket.withdrawn),
        (_order_state(shop, mirror), basket.phase is Phase.FROZEN),
        ("shopping", mirror.in_use or shop.bindings.on_cart(mirror.cart) is not None),
        ("charging", mirror.charging),
        ("faulty", mirror.faulty),
    )
    return next((word for word, applies in states if applies), "free")


def _order_state(shop: Shop, mirror: CartMirror) -> str:
    session = mirror.basket.session
    order = shop.orders.of_session(session) if session else None
    return "paid" if order is not None and payment.is_paid(shop, order) else "paying"


def _total(shop: Shop, mirror: CartMirror) -> Money:
    lines = list(mirror.basket.lines.values())
    currency = lines[0].price.total.currency if lines else shop.books.latest.currency if shop.books.latest else "EUR"
    return basket_total(mirror.basket, currency) if lines else zero(currency)


_CALLS = {
    "help": "Shopper asks for help",
    "unexplained": "Question open for long",
    "container": "Own container too heavy",
    "doubted": "Camera saw other goods than were scanned",
}


def _attention(mirror: CartMirror) -> str:
    basket = mirror.basket
    steps = basket.unexplained.values()
    said = [_CALLS.get(basket.attention, basket.attention)] if basket.attention else []
    if steps:
        weights = ", ".join(f"{'+' if step.step > 0 else ''}{shown(step.step)}" for step in steps)
        said.append(f"Unexplained weight: {weights}")
    return ". ".join(said)


def _incident_card(shop: Shop, incident: Incident, *, may_let_through: bool) -> IncidentCard:
    raised = incident.raised
    return IncidentCard(
        incident=raised.incident, at_ms=incident.at_ms, where=raised.where, cause=raised.cause,
        sentence=raised.sentence, evidence=raised.evidence, resolved_by=incident.resolved_by,
        let_through=incident.let_through, may_let_through=may_let_through,
        record=_record_card(shop, cart_record.of_incident(shop, incident)),
    )  # fmt: skip


def _record_card(shop: Shop, about: About | None) -> RecordCard | None:
    if about is None:
        return None
    known = shop.records.about(about)
    return RecordCard(record=known.asked.record, stage=known.stage) if known else RecordCard()


def record_view(
    shop: Shop, record: RecordId, around: Surroundings, *, parts: tuple[int, int], days: int
) -> RecordView | None:
    """Return what is known of a record, None where it is not here any more."""
    known = shop.records.by_id.get(record)
    if known is None:
        return None
    asked, kept = known.asked, known.kept
    order = shop.orders.of_session(asked.session) if asked.session else None
    bound = shop.bindings.by_session.get(asked.session) if asked.session else None
    return RecordView(
        revision=around.revision, record=record, cart=asked.cart, stage=known.stage, session=asked.session,
        from_ms=asked.from_ms, until_ms=asked.until_ms, asked_by=asked.staff, asked_ms=known.asked_ms,
        order_number=order.placed.number if order else None, shopper_here=bound is not None and bound.live,
        cart_online=asked.cart in around.online, parts_here=parts[0], parts=parts[1],
        file_size=kept.size - kept.picture if kept else 0, has_picture=bool(kept and kept.picture),
        kept_ms=known.at_ms, kept_until_ms=known.at_ms + days * 86_400_000, sentence=known.sentence,
    )  # fmt: skip
