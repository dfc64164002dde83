"""From a frozen basket to an order: asked for by the shopper, placed by the cart's freeze, priced by the store too."""

from collections.abc import Collection

from cart_protocol.basket import Basket, Line, Position
from cart_protocol.gs1.check_digit import order_number
from cart_protocol.ids import CartId, CommandId, OrderId, SessionId, ShopperId
from cart_protocol.mass import ZERO, Mass, Variance
from cart_protocol.messages import Freeze, Thaw
from cart_protocol.money import total
from cart_protocol.pricing.line import LinePrice, NotPriceableError, price_basket, price_line
from cart_protocol.pricing.price_book import SoldBy
from edge_agent.core import incident
from edge_agent.core.binding import ANSWER_MS, may_cancel
from edge_agent.core.command import command
from edge_agent.core.events import (
    CommandSent,
    FreezeFailed,
    FreezeRequested,
    NewId,
    OrderCancelled,
    OrderLine,
    OrderPlaced,
    OrderTax,
    StoreEvent,
)
from edge_agent.core.folds import Binding, Books, Stage
from edge_agent.core.partition import partition_of
from edge_agent.core.refusals import OrderRefusedError
from edge_agent.core.shop import Shop

_SENTENCES = {
    "no-cart": "You have no cart. Please scan a cart's code first.",
    "offline": "The cart cannot be reached right now. Please wait a moment and try again.",
    "no-answer": "The cart did not answer. Please try again.",
    "empty": "The cart is empty.",
    "pending": "Something was scanned but is not in the cart yet. Please put it in, or wait a moment.",
    "unexplained": "Something is in the cart that was not scanned. Please see the cart's screen.",
    "paying": "A payment is under way. Please wait for its answer.",
    "paid": "This cart is paid for. Please leave by the exit lane.",
}


def refusal(reason: str) -> OrderRefusedError:
    return OrderRefusedError(reason, sentence(reason))


def sentence(reason: str) -> str:
    """Return what the shopper reads for a reason; a word that a newer cart invented gets a general sentence."""
    return _SENTENCES.get(reason, "The cart cannot be closed right now. Please see the cart's screen.")


def freeze(
    shop: Shop, shopper: ShopperId, *, online: Collection[CartId], now_ms: int, new_id: NewId
) -> list[StoreEvent]:
    """Ask the shopper's cart to close its basket. Nothing to do where an order stands or the cart was asked already.

    Raises:
        OrderRefusedError: reason no-cart, offline, empty, pending or unexplained.
    """
    binding = _bound(shop, shopper)
    if shop.orders.of_session(binding.session) is not None or binding.freezing is not None:
        return []
    basket = shop.mirror(binding.cart).basket
    obstacles = (
        ("offline", binding.cart not in online),
        ("unexplained", bool(basket.unexplained)),
        ("pending", bool(basket.pending)),
        ("empty", not basket.lines),
    )
    for reason, applies in obstacles:
        if applies:
            raise refusal(reason)
    asked = CommandId(new_id())
    instruction = Freeze(session=binding.session)
    return [
        FreezeRequested(session=binding.session, command=asked),
        CommandSent(command=asked, cart=binding.cart, instruction=instruction, expires_ms=now_ms + ANSWER_MS),
    ]


def thaw(shop: Shop, shopper: ShopperId, *, now_ms: int, new_id: NewId) -> list[StoreEvent]:
    """Keep shopping: the unpaid order is void and the cart opens again. Nothing to do where no order stands.

    Raises:
        OrderRefusedError: reason no-cart, paying or paid.
    """
    binding = _bound(shop, shopper)
    order = shop.orders.of_session(binding.session)
    if order is None:
        return []
    if not may_cancel(shop, binding.session):
        raise refusal("paying" if shop.tenders.in_doubt(order.id) else "paid")
    return [
        OrderCancelled(order=order.id, reason="kept-shopping"),
        command(binding.cart, Thaw(session=binding.session), now_ms=now_ms, new_id=new_id),
    ]


def no_answer(shop: Shop, session: SessionId) -> list[StoreEvent]:
    """The shopper has waited long enough for the freeze."""
    binding = shop.bindings.by_session[session]
    if binding.freezing is None:
        return []
    return [FreezeFailed(session=session, command=binding.freezing, reason="no-answer")]


def place(
    shop: Shop, binding: Binding, basket: Basket, *, at: Position, settled: Mass, variance: Variance, new_id: NewId
) -> list[StoreEvent]:
    """Make the order of a basket that froze at `at`: exactly its lines, priced by the store's own copy of the book.

    Where the store's price and the cart's differ, an incident is raised and the shopper pays the lower one.
    """
    if not basket.lines:
        # The last line left between the asking and the freezing; the cart is thawed by binding.overdue.
        asked = binding.freezing or CommandId("")
        return [FreezeFailed(session=binding.session, command=asked, reason="empty")]
    if len({line.price.total.currency for line in basket.lines.values()}) > 1:
        return _cannot_price(shop, binding, new_id)
    priced = [(line, own_price(shop.books, line)) for line in basket.lines.values()]
    lines = tuple(_order_line(shop, line, _lower(line.price, ours)) for line, ours in priced)
    sequence = shop.orders.next_sequence(partition_of(binding.cart, shop.partitions))
    placed = OrderPlaced(
        order=OrderId(new_id()), number=order_number(sequence), sequence=sequence, session=binding.session,
        shopper=binding.shopper, cart=binding.cart, frozen_at=at, lines=lines,
        total=total([line.price.total for line in lines], lines[0].price.total.currency),
        taxes=_taxes(shop.books, lines), settled=settled, variance=variance,
        tags=sum(line.quantity for line in lines if line.tagged),
    )  # fmt: skip
    differing = [(line, ours) for line, ours in priced if ours is None or ours.total != line.price.total]
    return [placed, *_disagreement(shop, placed, differing, new_id)]


def own_price(books: Books, line: Line) -> LinePrice | None:
    """Return what the store's book of that version says a line costs; None where it cannot say."""
    prices = books.version(line.price.book_version)
    product = prices.find(line.product) if prices else None
    if prices is None or product is None:
        return None
    mass = line.marked_mass if line.marked_mass is not None else line.mass
    try:
        price = price_line(prices, product, quantity=line.quantity, mass=mass, marked=line.marked)
    except NotPriceableError:
        return None
    return price if price.total.currency == line.price.total.currency else None


def _bound(shop: Shop, shopper: ShopperId) -> Binding:
    binding = shop.bindings.of(shopper)
    if binding is None or binding.stage is not Stage.BOUND:
        raise refusal("no-cart")
    return binding


def _cannot_price(shop: Shop, binding: Binding, new_id: NewId) -> list[StoreEvent]:
    """A basket in two currencies has no total; nobody is charged anything for it."""
    failed = FreezeFailed(session=binding.session, command=binding.freezing or CommandId(""), reason="not-priceable")
    incidents = incident.raise_once(
        shop, key=f"currencies/{binding.session}", where=f"cart {binding.cart}", cause="not-priceable",
        sentence=f"Cart {binding.cart} reports prices in two currencies. Please help the shopper.",
        cart=binding.cart, new_id=new_id,
    )  # fmt: skip
    return [failed, *incidents]


def _lower(cart: LinePrice, ours: LinePrice | None) -> LinePrice:
    return ours if ours is not None and ours.total <= cart.total else cart


def _order_line(shop: Shop, line: Line, price: LinePrice) -> OrderLine:
    nominal, nominal_variance = _nominal(shop, line)
    return OrderLine(
        line=line.line, product=line.product, name=line.name, quantity=line.quantity, mass=line.mass, nominal=nominal,
        nominal_variance=nominal_variance, price=price, tagged=line.tagged,
    )  # fmt: skip


def _nominal(shop: Shop, line: Line) -> tuple[Mass, Variance]:
    """Return what a line should weigh, as was learned or as the catalogue says; otherwise what the cart weighed."""
    prices = shop.books.version(line.price.book_version) or shop.books.latest
    product = prices.find(line.product) if prices else None
    if product is None or product.sold_by is SoldBy.KILOGRAM or product.mass == ZERO:
        return line.mass, Variance(0)
    known = shop.masses.of(product)
    mass, variance = (known.mass, known.variance) if known else (product.mass, product.mass_variance)
    return Mass(mass * line.quantity), Variance(variance * line.quantity)


def _taxes(books: Books, lines: tuple[OrderLine, ...]) -> tuple[OrderTax, ...]:
    prices = books.latest
    if prices is None:
        return ()
    known = [line.price for line in lines if line.price.total.currency == prices.currency]
    return tuple(
        OrderTax(name=tax.name, basis_points=tax.basis_points, gross=tax.gross, tax=tax.tax)
        for tax in price_basket(prices, known).by_rate
    )


def _disagreement(
    shop: Shop, placed: OrderPlaced, differing: list[tuple[Line, LinePrice | None]], new_id: NewId
) -> list[StoreEvent]:
    if not differing:
        return []
    evidence = tuple(_evidence(line, ours) for line, ours in differing)
    return incident.raise_once(
        shop, key=f"price/{placed.order}", where=f"cart {placed.cart}", cause="price-disagreement",
        sentence=f"Order {placed.number}: cart and store disagree on a price. The lower one was charged.",
        evidence=evidence, cart=placed.cart, order=placed.order, new_id=new_id,
    )  # fmt: skip


def _evidence(line: Line, ours: LinePrice | None) -> str:
    store = str(ours.total) if ours is not None else "no price"
    return f"{line.name}: cart {line.price.total}, store {store} (book {line.price.book_version})"
