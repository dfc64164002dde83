"""A shop of eight products, and what happens at one cart in it: used by the tests of the cart's core."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

from cart_firmware.core import fusion, session
from cart_firmware.core.decision import Context, Draft, Evidence, Passed, Sighted, Way
from cart_firmware.core.scanning import Refused, Shown, identify
from cart_firmware.core.tiles import Tile, tiles
from cart_firmware.core.touch import Choose, Touch, touched
from cart_firmware.core.weighing import Step
from cart_protocol.basket import Basket, CartEvent, evolve
from cart_protocol.gs1.check_digit import check_digit
from cart_protocol.gs1.gtin import gtin_of
from cart_protocol.ids import CommandId, LineId, ProductId, SessionId
from cart_protocol.mass import Mass, Variance, grams, sigma
from cart_protocol.messages import BeginSession, Command, Instruction
from cart_protocol.money import Money
from cart_protocol.pricing.price_book import PriceBook, Prices, Product, RestrictedPattern, SoldBy, TaxClass


def with_check_digit(digits: str) -> str:
    return digits + check_digit(digits)


MILK, PASTA, JAM, WINE, GUM, TEA = (with_check_digit(f"40012340000{number}") for number in range(6))
CHEESE, APPLES = "plu:00321", "plu:00777"
CHEESE_LABEL = with_check_digit("280032100482")
"""482 g of cheese, printed by the shop's own scale."""
APPLES_LABEL = with_check_digit("290077700299")
"""Apples for 2.99."""
LOOSE = with_check_digit("400123400009")
"""Nuts by the kilogram, weighed by the cart."""
SESSION = SessionId("s1")
CODE = "7K3M9Q"
SECOND = 1_000_000
NOISE = Variance(16_000_000)


def _piece(code: str, name: str, cents: int, mass: float, deviation: float, *, tagged: bool = False) -> Product:
    return Product(
        id=ProductId(gtin_of(code)), name=name, sold_by=SoldBy.PIECE, price=Money(cents, "EUR"), tax_class="food",
        mass=grams(mass), mass_variance=sigma(grams(deviation)), department="shelf", tagged=tagged,
    )  # fmt: skip


def _loose(key: str, name: str, cents: int) -> Product:
    return Product(
        id=ProductId(key), name=name, sold_by=SoldBy.KILOGRAM, price=Money(cents, "EUR"), tax_class="food",
        mass=Mass(0), mass_variance=Variance(0), department="fresh",
    )  # fmt: skip


BOOK = PriceBook(
    version=3, currency="EUR", valid_from_ms=0,
    tax_classes=(TaxClass(code="food", name="Food", basis_points=700),),
    products=(
        _piece(MILK, "Milk", 129, 1_032, 4), _piece(PASTA, "Pasta", 99, 506, 3), _piece(JAM, "Jam", 249, 640, 4),
        _piece(WINE, "Wine", 899, 1_260, 8, tagged=True), _piece(GUM, "Gum", 79, 30, 1),
        _piece(TEA, "Tea", 219, 112, 2),
        _loose(CHEESE, "Cheese", 1_990), _loose(APPLES, "Apples", 299), _loose(gtin_of(LOOSE), "Nuts", 1_250),
    ),
    restricted_patterns=(RestrictedPattern(prefix="28", kind="mass"), RestrictedPattern(prefix="29", kind="price")),
)  # fmt: skip
PRICES = Prices(BOOK)
MASSES = {product.id: product.mass for product in BOOK.products}


class Trip:
    """One cart from its first event on. Whatever it decides is applied, and all its events are kept."""

    def __init__(self, prices: Prices | None = PRICES) -> None:
        self.prices = prices
        self.basket, self.evidence = Basket(), Evidence()
        self.events: list[CartEvent] = []
        self.now_us = 0
        self._numbers = itertools.count(1)
        self.tell(session.started)

    @classmethod
    def begun(cls) -> "Trip":
        trip = cls()
        trip.weighed_level(0)
        trip.command(BeginSession(session=SESSION, code=CODE))
        trip.events.clear()
        return trip

    def tell(self, decide: Callable[..., None], *arguments: object) -> list[CartEvent]:
        draft = Draft(self.basket, self.evidence)
        decide(draft, *arguments, self.context())
        self.basket, self.evidence = draft.basket, draft.evidence
        self.events += draft.events
        return draft.events

    def context(self) -> Context:
        return Context(prices=self.prices, mint=lambda: f"id-{next(self._numbers)}", now_us=self.now_us, code=CODE)

    def scan(self, code: str, symbology: str = "]E0") -> list[CartEvent]:
        seen: Shown | Refused = identify(self.now_us, (symbology, code.encode()), self.prices)
        return self.tell(fusion.scan_seen, seen)

    def put(self, mass_g: float) -> list[CartEvent]:
        """The load changes by so many grams, as the weigher reports it; negative takes out."""
        mass = grams(mass_g)
        level = Mass(self.evidence.level + mass)
        step = Step(at_us=self.now_us, mass=mass, variance=NOISE, level=level)
        held = fusion.hold(self.evidence, self.basket.phase, step)
        return self.tell(fusion.step_seen, held)

    def weighed_level(self, level: int, *, quiet: bool = True) -> list[CartEvent]:
        return self.tell(partial(fusion.load_reported, quiet=quiet), Mass(level), NOISE)

    def wait(self, seconds: float) -> list[CartEvent]:
        """Time passes in ticks of a quarter of a second."""
        events = list[CartEvent]()
        for _ in range(round(seconds * 4)):
            self.now_us += SECOND // 4
            events += self.tell(fusion.time_passed)
        return events

    def command(self, instruction: Instruction, name: str = "") -> list[CartEvent]:
        order = Command(id=CommandId(name or f"c-{next(self._numbers)}"), expires_ms=0, instruction=instruction)
        return self.tell(session.carry_out, order)

    def touch(self, touch: Touch) -> list[CartEvent]:
        return self.tell(touched, touch)

    def sees(
        self, *products: tuple[str, float], others: float = 0.0, hand: Way = Way.UNSEEN, ago_s: float = 0.0
    ) -> list[CartEvent]:
        """A camera over the rim, and a recogniser, say something of the change that comes next, or that waits.

        `products` are codes with the logarithm of how much better the picture fits them than goods at large; `ago_s`
        tells how much later than the hand was gone.
        """
        named = tuple((ProductId(code if ":" in code else gtin_of(code)), ratio) for code, ratio in products)
        until_us = self.now_us - round(ago_s * SECOND)
        passed = self.tell(fusion.passage_seen, Passed(until_us - SECOND // 2, until_us, hand))
        return passed + self.tell(fusion.goods_sighted, Sighted(until_us - SECOND // 2, until_us, named, others))

    @property
    def tiles(self) -> tuple[Tile, ...]:
        draft = Draft(self.basket, self.evidence)
        return tiles(fusion.choices(draft, self.context()), self.basket, self.prices)

    def choose(self, what: str) -> list[CartEvent]:
        """Tap the tile that says so."""
        (tile,) = (tile for tile in self.tiles if tile.what == what)
        return self.touch(Choose(key=tile.key))

    def line(self, name: str) -> LineId:
        return next(line.line for line in reversed(self.basket.lines.values()) if line.name == name)

    @property
    def names(self) -> list[str]:
        return [line.name for line in self.basket.lines.values()]

    @property
    def total(self) -> int:
        return sum(line.price.total.minor for line in self.basket.lines.values())


def kinds(events: Sequence[CartEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def folded(events: Sequence[CartEvent]) -> Basket:
    basket = Basket()
    for event in events:
        evolve(basket, event)
    return basket
