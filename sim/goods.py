"""Goods: what stands on the shelves. Each unit has its own true mass, its own label and, if tagged, a live tag."""

import random

import msgspec

from cart_protocol.ids import ProductId
from cart_protocol.pricing.price_book import PriceBook, Product, RestrictedPattern, SoldBy
from sim.goods_looks import LOOSE

_LOOSE_GRAMS = (120, 1_400)
"""A bag of loose produce: what one shopper takes."""
_LABEL_ERROR_MG = 900
"""A counter scale prints whole grams; the bag itself and the division make up the rest (standard deviation)."""


class Unit(msgspec.Struct, kw_only=True):
    """One thing on a shelf. The tag changes; the rest does not."""

    product: Product
    mass_mg: int
    """True mass: what gravity sees."""
    symbology: str
    """Of its label, as sim.optics.label.Symbology has it; empty where it bears none."""
    code: str
    """Digits without the check digit; the label printer adds that. Empty where it bears no label."""
    tag_live: bool
    pieces: int = 1
    """Loose goods in one hand or bag."""
    said: str = ""
    """What its label calls it, where that is another product's."""
    photograph: str | None = None
    """A real photograph of such a pack, shown to cameras in place of a rendered label."""

    @property
    def name(self) -> str:
        return self.product.name


class Shelves:
    """All products of one shop. Whoever takes something brings the dice that decide what, and what it really weighs.

    So a shopper's goods depend on the shopper alone, not on who else happened to be faster.
    """

    def __init__(self, book: PriceBook) -> None:
        common = [pattern for pattern in book.restricted_patterns if not pattern.layout]
        self._mass_pattern = next((pattern for pattern in common if pattern.kind == "mass"), None)
        self.products = [product for product in book.products if self._bears_label(product)]
        """What a cart can scan: packs, and loose goods that the counter's scale gives a label."""
        self.loose = [product for product in book.products if product.id in LOOSE]
        """What can be taken from its crate as it is."""
        self.by_sight = [product for product in self.loose if LOOSE[product.id].by_sight]
        """Of those, what no label says."""
        self.tagged = [product for product in self.products if product.tagged]
        if not self.products or not self.tagged:
            raise ValueError(
                "the price book has no products, or none that carries an EAS tag: nothing to play shop with"
            )

    def pick(self, dice: random.Random) -> Unit:
        """Take any product off its shelf."""
        return self.take(dice.choice(self.products), dice)

    def pick_tagged(self, dice: random.Random) -> Unit:
        """Take something worth stealing."""
        return self.take(dice.choice(self.tagged), dice)

    def take(self, product: Product, dice: random.Random) -> Unit:
        if product.sold_by is SoldBy.KILOGRAM:
            return self._weighed_bag(product, dice)
        spread = product.mass_variance**0.5
        mass = max(1_000, round(dice.gauss(product.mass, spread)))
        symbology, code = label_of(product.id)
        return Unit(product=product, mass_mg=mass, symbology=symbology, code=code, tag_live=product.tagged)

    def take_loose(self, product: Product, dice: random.Random, pieces: int | None = None) -> Unit:
        """Take loose goods from their crate, without any label: so many pieces, or as many as people take at once.

        Goods by the piece come one at a time: each is a line's unit.

        Raises:
            KeyError: this product is not sold loose.
        """
        piece = LOOSE[product.id].piece
        if pieces is None:
            pieces = 1 if product.sold_by is SoldBy.PIECE else dice.randint(1, piece.most)
        mass = sum(max(1_000, round(1_000 * dice.gauss(piece.grams, piece.spread))) for _ in range(pieces))
        return Unit(product=product, mass_mg=mass, symbology="", code="", tag_live=product.tagged, pieces=pieces)

    def switched(self, dice: random.Random) -> Unit:
        """Take dear loose goods, with the label that the counter's scale printed for them under a cheaper number."""
        labels = [product for product in self.loose if product not in self.by_sight]
        while True:
            goods, label = dice.choice(self.loose), dice.choice(labels)
            if goods.sold_by is label.sold_by and 2 * label.price.minor <= goods.price.minor:
                break
        unit = self.take_loose(goods, dice)
        printed = self._weighed_bag(label, dice, round(unit.mass_mg / 1_000))
        return msgspec.structs.replace(unit, symbology=printed.symbology, code=printed.code, said=label.name)

    def _weighed_bag(self, product: Product, dice: random.Random, grams: int | None = None) -> Unit:
        """Loose goods get their label at the counter scale: in-store EAN-13 with the net mass in grams."""
        pattern = self._mass_pattern
        if pattern is None:
            raise ValueError(
                f"{product.name} is sold by the kilogram, but the price book has no mass pattern for labels"
            )
        grams = grams or dice.randint(*_LOOSE_GRAMS)
        mass = max(1_000, round(dice.gauss(grams * 1_000, _LABEL_ERROR_MG)))
        return Unit(
            product=product,
            mass_mg=mass,
            symbology="EAN13",
            code=_in_store(pattern, product.id, grams),
            tag_live=product.tagged,
        )

    def _bears_label(self, product: Product) -> bool:
        if product.id in LOOSE and LOOSE[product.id].by_sight:
            return False
        return product.sold_by is SoldBy.PIECE or self._mass_pattern is not None


def label_of(product: ProductId) -> tuple[str, str]:
    """Return the symbology that a manufacturer prints for a GTIN-14, and the digits before the check digit."""
    digits = str(product)
    if digits.startswith("000000"):
        return "EAN8", digits[6:13]
    if digits.startswith("00"):
        return "UPCA", digits[2:13]
    return "EAN13", digits[1:13]


def _in_store(pattern: RestrictedPattern, product: ProductId, value: int) -> str:
    item = str(product).removeprefix("plu:")
    return f"{pattern.prefix}{item:0>5}{value:05d}"
