"""A shop's goods and one trolley in it, at the level of settled steps: the noise is the one that the weigher states."""

import math
import random
from collections.abc import Callable
from typing import Any

import msgspec

from bench.core import Core
from cart_firmware.core.touch import Choose, Touch
from cart_firmware.core.weighing import Step
from cart_protocol.basket import CartEvent, WeightUnexplained
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, grams, sigma
from cart_protocol.money import Money
from cart_protocol.pricing.price_book import PriceBook, Prices, Product, SoldBy, TaxClass

_PRODUCTS = 400
_CALM_G, _RESTLESS_G = 1.5, 4.0
"""One sigma of a step, as the weigher states it; one step in ten is restless."""
_LEARNED = 12
"""Weighings behind a product's mean: it is known to its spread over the root of so many."""


class Pack(msgspec.Struct, frozen=True):
    """One real piece: what it is and what it truly weighs."""

    product: Product
    mass: Mass


class Shop:
    """A catalogue, and packs off its shelves."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._true: dict[ProductId, tuple[float, float]] = {}
        products = tuple(self._product(number) for number in range(_PRODUCTS))
        book = PriceBook(
            version=1, currency="EUR", valid_from_ms=0,
            tax_classes=(TaxClass(code="food", name="Food", basis_points=700),), products=products,
        )  # fmt: skip
        self.prices = Prices(book)

    def pack(self, product: Product | None = None) -> Pack:
        product = product or self._dice.choice(self.prices.book.products)
        mean, spread = self._true[product.id]
        return Pack(product, grams(max(5.0, self._dice.gauss(mean, spread))))

    def dearer(self, than: Product) -> Pack:
        """Any product that costs more: what a thief would rather have."""
        dearer = [one for one in self.prices.book.products if one.price.minor > than.price.minor]
        return self.pack(self._dice.choice(dearer or list(self.prices.book.products)))

    def alike(self, product: Product) -> Pack | None:
        """A dearer product within 5 % of the mass."""
        near = [
            one
            for one in self.prices.book.products
            if one.price.minor > product.price.minor and abs(one.mass - product.mass) <= product.mass // 20
        ]
        return self.pack(self._dice.choice(near)) if near else None

    def _product(self, number: int) -> Product:
        net = min(6_000.0, max(15.0, self._dice.lognormvariate(math.log(350), 0.9)))
        spread = self._dice.uniform(0.25, 1.0) * _tolerable_error(net) / 2
        gross = net + self._dice.uniform(2, 8) + net * self._dice.uniform(0.0, 0.05)
        key = ProductId(f"{number:014d}")
        self._true[key] = (gross, spread)
        known = self._dice.gauss(gross, spread / math.sqrt(_LEARNED))
        return Product(
            id=key, name=f"Product {number}", sold_by=SoldBy.PIECE, price=Money(self._dice.randint(59, 1_999), "EUR"),
            tax_class="food", mass=grams(known), mass_variance=sigma(grams(spread * math.sqrt(1 + 1 / _LEARNED))),
            department="shelf",
        )  # fmt: skip


def _tolerable_error(net_g: float) -> float:
    """Directive 76/211/EEC, annex I, 2.4; 1.5 % above a kilogram."""
    for limit, share, fixed in (
        (50, 0.09, 0), (100, 0, 4.5), (200, 0.045, 0), (300, 0, 9), (500, 0.03, 0), (1_000, 0, 15),
    ):  # fmt: skip
        if net_g <= limit:
            return fixed or net_g * share
    return net_g * 0.015


class Trolley(Core):
    """One cart's core, and what truly lies in it. Everything that people do takes its time."""

    def __init__(self, shop: Shop, dice: random.Random) -> None:
        self.shop, self.dice = shop, dice
        self._level = self.asked = 0
        super().__init__(shop.prices)

    def show(self, product: Product) -> None:
        self.scan(product)
        self.wait(0.5)

    def put(self, *packs: Pack, seconds: float = 1.0) -> None:
        self.load(Mass(sum(pack.mass for pack in packs)), seconds=seconds)

    def take(self, *packs: Pack, seconds: float = 1.0) -> None:
        self.load(Mass(-sum(pack.mass for pack in packs)), seconds=seconds)

    def load(self, mass: Mass, *, seconds: float = 1.0) -> None:
        """The load changes; the weigher says so with its own noise."""
        spread = grams(_RESTLESS_G if self.dice.random() < 0.1 else _CALM_G)
        seen = Mass(mass + round(self.dice.gauss(0, spread)))
        self._level += seen
        self.step(Step(at_us=self.now_us, mass=seen, variance=sigma(spread), level=Mass(self._level)))
        self.wait(seconds)

    def lean(self) -> None:
        mass = grams(self.dice.uniform(100, 1_500))
        self.load(mass, seconds=self.dice.choice((0.5, 1.0, 1.5)))
        self.load(Mass(-mass))

    def say(self, touch: Touch) -> None:
        self.touch(touch)
        self.wait(0.5)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.now_us += 250_000
            self.tick()

    def buy(self, pack: Pack) -> None:
        """Scan, then put in, as one should."""
        self.show(pack.product)
        self.put(pack)

    def answer(self, right: Callable[[Any], bool]) -> bool:
        """Tap the tile that says what happened; False where none does."""
        for choice in self.choices():
            if right(choice.story):
                self.say(Choose(key=choice.key))
                return True
        return False

    def bill(self) -> dict[ProductId, int]:
        found = dict[ProductId, int]()
        for line in self.basket.lines.values():
            found[line.product] = found.get(line.product, 0) + line.quantity
        return found

    def tell(self, decide: Callable[..., None], *arguments: object) -> list[CartEvent]:
        events = super().tell(decide, *arguments)
        self.asked += sum(isinstance(event, WeightUnexplained) for event in events)
        return events


def filled(shop: Shop, dice: random.Random) -> tuple[Trolley, list[Pack]]:
    """Return a cart with some goods, honestly bought."""
    trolley = Trolley(shop, dice)
    packs = [shop.pack() for _ in range(dice.randint(2, 20))]
    for pack in packs:
        trolley.buy(pack)
        trolley.wait(1)
    bought = [pack for pack in packs if trolley.line_of(pack.product)]
    if trolley.is_open or len(bought) < len(packs):
        return filled(shop, dice)
    return trolley, packs
