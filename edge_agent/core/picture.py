"""What the phone shows: a picture of the shop for one shopper. Pure; the console's is in core.console_picture."""

import msgspec

from cart_protocol.basket import Basket, Line
from cart_protocol.ids import CartId, ShopperId
from cart_protocol.mass import Mass
from cart_protocol.money import Money, total, zero
from cart_protocol.pricing.line import LinePrice, price_basket
from cart_protocol.pricing.price_book import Nutrition, Prices, Product, SoldBy
from edge_agent.core import binding as binding_rules
from edge_agent.core import order as order_rules
from edge_agent.core import payment
from edge_agent.core.events import OrderLine
from edge_agent.core.folds import Binding, Order, Stage, TenderState
from edge_agent.core.shop import Shop
from edge_agent.core.views import LineView, PendingView, PhonePhase, PhoneView, TaxView

_DECLINED = {
    "declined": "Your card was declined. Please try another way to pay.",
    "insufficient-funds": "There is not enough money on this card. Please try another way to pay.",
    "partial": "Only part of the sum was taken. Please pay the rest.",
}
_PARTED = {
    "timed-out": "Your cart was handed back because nothing happened for a while.",
    "withdrawn": "The store took this cart out of service. Please take another one.",
    "cart-reset": "This cart had to start afresh. Please take another one, or ask staff.",
}


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture needs beside the shop: things that are true only now."""

    store: str
    revision: int
    now_ms: int
    online: frozenset[CartId]


def phone(shop: Shop, shopper: ShopperId, around: Surroundings) -> PhoneView:
    """Return what this shopper sees now."""
    binding = shop.bindings.latest_of.get(shopper)
    if binding is None:
        return PhoneView(revision=around.revision, phase=PhonePhase.UNBOUND, store=around.store)
    order = shop.orders.of_session(binding.session)
    phase = _phase(shop, binding, order)
    view = PhoneView(
        revision=around.revision, phase=phase, store=around.store, problem=_problem(shop, binding, order, phase)
    )
    if phase is PhonePhase.UNBOUND:
        return view
    mirror = shop.mirror(binding.cart)
    view = msgspec.structs.replace(
        view, cart=binding.cart, cart_online=binding.cart in around.online, observed_us=mirror.observed_us
    )
    if order is not None:
        return _with_order(shop, view, order, around.now_ms)
    if mirror.basket.session != binding.session:
        return view
    return _with_basket(shop, view, mirror.basket)


def line_view(line: Line | OrderLine, prices: Prices | None, price: LinePrice) -> LineView:
    """Return a line as shoppers read it, with what the price book knows of the product."""
    product = prices.find(line.product) if prices else None
    charged = line.marked_mass if isinstance(line, Line) and line.marked_mass is not None else line.mass
    by_weight = price.sold_by is SoldBy.KILOGRAM
    return LineView(
        line=line.line, name=line.name, quantity=line.quantity, total=price.total,
        amount=_kilograms(charged) if by_weight else f"{line.quantity} x",
        unit=f"{price.unit} / kg" if by_weight else f"{price.unit} each",
        origin=_origin(product), nutrition=nutrition_words(product.nutrition) if product and product.nutrition else "",
        allergens=", ".join(product.allergens) if product else "",
    )  # fmt: skip


def nutrition_words(nutrition: Nutrition) -> str:
    """Return the declaration per 100 g or ml in the order of EU 1169/2011, annex XV."""
    grams = (
        ("fat", nutrition.fat_mg), ("saturates", nutrition.saturates_mg), ("carbohydrate", nutrition.carbohydrate_mg),
        ("sugars", nutrition.sugars_mg), ("protein", nutrition.protein_mg), ("salt", nutrition.salt_mg),
    )  # fmt: skip
    parts = [f"{nutrition.energy_kj} kJ", *(f"{name} {mg / 1_000:g} g" for name, mg in grams)]
    return "per 100 g: " + ", ".join(parts)


def attention(basket: Basket) -> str:
    """Return what the cart wants from its shopper, the most urgent first."""
    steps = [step.step for step in basket.unexplained.values()]
    if any(step > 0 for step in steps):
        return "Something was put in without a scan: please take it out, or scan it."
    if steps:
        return "Something was taken out that the cart did not recognise: please see the cart's screen."
    return ""


def _phase(shop: Shop, binding: Binding, order: Order | None) -> PhonePhase:
    if order is not None:
        return _order_phase(shop, order)
    if binding.stage is Stage.REQUESTED:
        return PhonePhase.BINDING
    if not binding.live:
        return PhonePhase.UNBOUND
    return PhonePhase.CLOSING if binding.freezing is not None else PhonePhase.SHOPPING


def _order_phase(shop: Shop, order: Order) -> PhonePhase:
    token = shop.tokens.of_order(order.id)
    if token is not None and token.burned_at is not None:
        return PhonePhase.GOODBYE
    if payment.is_paid(shop, order):
        return PhonePhase.PAYING if token is None else PhonePhase.PAID
    return PhonePhase.TO_PAY if shop.tenders.in_doubt(order.id) is None else PhonePhase.PAYING


def _problem(shop: Shop, binding: Binding, order: Order | None, phase: PhonePhase) -> str:
    match phase:
        case PhonePhase.UNBOUND if binding.stage is Stage.FAILED and binding.reason != "handed-back":
            return binding_rules.refusal(binding.reason).sentence
        case PhonePhase.UNBOUND:
            return _PARTED.get(binding.reason, "")
        case PhonePhase.SHOPPING if binding.freeze_problem:
            return order_rules.sentence(binding.freeze_problem)
        case PhonePhase.PAYING if order is not None:
            tender = shop.tenders.in_doubt(order.id)
            unclear = tender is not None and tender.state is TenderState.UNKNOWN
            return "The bank has not answered yet. Please wait: you are not charged twice." if unclear else ""
        case PhonePhase.TO_PAY if order is not None:
            return _pay_problem(shop, order)
    return ""


def _pay_problem(shop: Shop, order: Order) -> str:
    tenders = shop.tenders.of_order(order.id)
    if not tenders:
        return ""
    last = tenders[-1]
    return declined_sentence(last.reason if last.state is TenderState.DECLINED else "partial")


def declined_sentence(reason: str) -> str:
    """Return what the shopper reads when a tender was declined."""
    return _DECLINED.get(reason, _DECLINED["declined"])


def _with_order(shop: Shop, view: PhoneView, order: Order, now_ms: int) -> PhoneView:
    placed, token = order.placed, shop.tokens.of_order(order.id)
    fresh = token is not None and token.burned_at is None and token.expires_ms > now_ms
    return msgspec.structs.replace(
        view,
        lines=tuple(line_view(line, shop.books.version(line.price.book_version), line.price) for line in placed.lines),
        total=placed.total, taxes=tuple(TaxView(name=t.name, gross=t.gross, tax=t.tax) for t in placed.taxes),
        order_number=placed.number, order_id=placed.order, paid=shop.tenders.paid(order.id, placed.total.currency),
        exit_token=token.text if token and fresh else None, exit_token_expires_ms=token.expires_ms if token else 0,
    )  # fmt: skip


def _with_basket(shop: Shop, view: PhoneView, basket: Basket) -> PhoneView:
    lines, prices = list(basket.lines.values()), shop.books.latest
    currency = prices.currency if prices else (lines[0].price.total.currency if lines else "")
    taxed = price_basket(prices, [ln.price for ln in lines if ln.price.total.currency == currency]) if prices else None
    return msgspec.structs.replace(
        view,
        lines=tuple(line_view(line, shop.books.version(line.price.book_version), line.price) for line in lines),
        pending=tuple(PendingView(scan=scan.scan, name=scan.name) for scan in basket.pending.values()),
        attention=attention(basket),
        total=taxed.total if taxed else basket_total(basket, currency) if currency else None,
        taxes=tuple(TaxView(name=tax.name, gross=tax.gross, tax=tax.tax) for tax in taxed.by_rate) if taxed else (),
    )  # fmt: skip


def basket_total(basket: Basket, currency: str) -> Money:
    """Return the sum of the lines in `currency`."""
    amounts = [price.total for price in basket.line_prices() if price.total.currency == currency]
    return total(amounts, currency) if amounts else zero(currency)


def _kilograms(mass: Mass) -> str:
    return f"{mass / 1_000_000:.3f} kg"


def _origin(product: Product | None) -> str:
    if product is None or product.provenance is None:
        return ""
    known = product.provenance
    inspected = f"inspected by {known.inspected_by}" if known.inspected_by else ""
    return ", ".join(part for part in (known.origin, known.producer, inspected, known.note) if part)
