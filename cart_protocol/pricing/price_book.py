"""The price book: what every product is called, costs and weighs. The store signs it; carts price from their copy."""

import datetime as dt
from enum import StrEnum

import msgspec

from cart_protocol.gs1.restricted import RestrictedPattern
from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, Variance
from cart_protocol.money import Money
from cart_protocol.pricing.learned_mass import NOTHING_LEARNED, LearnedMass, LearnedMasses

__all__ = [
    "Nutrition",
    "PriceBook",
    "Prices",
    "Product",
    "Provenance",
    "Recall",
    "RestrictedPattern",
    "SerialRange",
    "SoldBy",
    "TaxClass",
    "UnknownProductError",
]


class SoldBy(StrEnum):
    """How a price is meant."""

    PIECE = "piece"
    KILOGRAM = "kilogram"


class TaxClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rate in basis points (700 = 7 %), contained in the shelf price."""

    code: str
    name: str
    basis_points: int


class Nutrition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per 100 g or 100 ml (EU 1169/2011, annex XV): energy in kilojoule, the rest in milligrams."""

    energy_kj: int
    fat_mg: int
    saturates_mg: int
    carbohydrate_mg: int
    sugars_mg: int
    protein_mg: int
    salt_mg: int


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it comes from and who checked it."""

    origin: str
    producer: str
    inspected_by: str = ""
    note: str = ""


class Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One article. `price` is per piece or per kilogram, tax included; `mass` is the mean gross mass of one piece.

    `mass` and `mass_variance` describe one piece as put into a cart, packaging included; both are 0 for goods sold by
    the kilogram, whose mass is what the scale says. What is not used is not written, as in PriceBook.
    """

    id: ProductId
    name: str
    sold_by: SoldBy
    price: Money
    tax_class: str
    mass: Mass
    mass_variance: Variance
    department: str
    tagged: bool = False
    """Carries an EAS tag that the lane must deactivate."""
    nutrition: Nutrition | None = None
    provenance: Provenance | None = None
    allergens: tuple[str, ...] = ()
    picture: str = ""
    """Name of its picture (cart_protocol.product_picture); empty where there is none."""
    sight: str = ""
    """How the network that carts are shipped with calls what it looks like, as `Granny-Smith`; may be shared."""


class SerialRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Serial numbers from `first` to `last`, both included."""

    first: str
    last: str


class Recall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Packs of one product that must not be sold any more: those to which all that is given here applies.

    With neither lots nor serials nor dates it is every pack.
    """

    product: ProductId
    reason: str
    """For staff."""
    lots: tuple[str, ...] = ()
    serials: tuple[SerialRange, ...] = ()
    dated_from: dt.date | None = None
    """First use-by or best-before date that is meant."""
    dated_to: dt.date | None = None
    """Last one."""
    only_if_certain: bool = False
    """Sell packs whose code does not say what this recall asks for: somebody has sorted out the others by hand."""


class PriceBook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One version of all prices of one store. Versions only grow; a cart never goes back to a smaller one.

    What is not used is not written, so that a cart of an earlier version can read it.
    """

    version: int
    currency: str
    valid_from_ms: int
    tax_classes: tuple[TaxClass, ...]
    products: tuple[Product, ...]
    restricted_patterns: tuple[RestrictedPattern, ...] = ()
    recalls: tuple[Recall, ...] = ()
    refuse_past_best_before: bool = False
    """Whether packs past their best-before or sell-by date are refused, as those past their use-by date always are."""


class UnknownProductError(LookupError):
    """The price book has no such product."""


class Prices:
    """A price book opened for looking things up, with what was learned since; immutable.

    `book` is as it was signed; a product that is looked up has its learned mass, where there is one.
    """

    def __init__(self, book: PriceBook, learned: LearnedMasses = NOTHING_LEARNED) -> None:
        self.book = book
        self.learned = learned
        self.tax = {tax_class.code: tax_class for tax_class in book.tax_classes}
        masses = learned.by_product()
        self._products = {product.id: _with_learned(product, masses.get(product.id)) for product in book.products}
        self._recalls: dict[ProductId, list[Recall]] = {}
        self._by_sight: dict[str, list[ProductId]] = {}
        for product in book.products:
            if product.sight:
                self._by_sight.setdefault(product.sight, []).append(product.id)
        for recall in book.recalls:
            self._recalls.setdefault(recall.product, []).append(recall)

    @property
    def version(self) -> int:
        return self.book.version

    @property
    def currency(self) -> str:
        return self.book.currency

    def find(self, product: ProductId) -> Product | None:
        """Return the product, or None where this version of the book does not list it."""
        return self._products.get(product)

    @property
    def valid_from(self) -> dt.date:
        """The day of the book (UTC): no clock that says an earlier one is right."""
        return dt.datetime.fromtimestamp(self.book.valid_from_ms // 1_000, dt.UTC).date()

    def named_by_sight(self, name: str) -> list[ProductId]:
        """Return the products that look like what is shipped under this name; several may share one."""
        return self._by_sight.get(name, [])

    def recalls_of(self, product: ProductId) -> list[Recall]:
        return self._recalls.get(product, [])

    def __getitem__(self, product: ProductId) -> Product:
        found = self._products.get(product)
        if found is None:
            raise UnknownProductError(f"product {product} is not in price book version {self.version}")
        return found


def _with_learned(product: Product, learned: LearnedMass | None) -> Product:
    if learned is None or product.sold_by is not SoldBy.PIECE:
        return product
    return msgspec.structs.replace(product, mass=learned.mass, mass_variance=learned.variance)
