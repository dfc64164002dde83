"""Pricing of lines and of a basket. Pure and integral: cart and store compute the same cents from the same book."""

from collections.abc import Iterable

import msgspec

from cart_protocol.mass import Mass
from cart_protocol.money import Money, divide_half_up, zero
from cart_protocol.pricing.price_book import Prices, Product, SoldBy

_MILLIGRAMS_PER_KILOGRAM = 1_000_000
_BASIS = 10_000


class LinePrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What one line costs, rounded once: `total` includes `tax`."""

    unit: Money
    sold_by: SoldBy
    total: Money
    tax: Money
    tax_class: str
    book_version: int


class TaxLine(msgspec.Struct, frozen=True, kw_only=True):
    """The tax contained in all lines of one class."""

    tax_class: str
    name: str
    basis_points: int
    gross: Money
    tax: Money


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of a basket and the tax it contains, per rate in the order of the book."""

    total: Money
    tax: Money
    by_rate: tuple[TaxLine, ...]


class NotPriceableError(ValueError):
    """A line lacks what its price needs: a by-weight line without a mass, or a count below one."""


def price_line(
    prices: Prices, product: Product, *, quantity: int = 1, mass: Mass | None = None, marked: Money | None = None
) -> LinePrice:
    """Return the price of `quantity` pieces, or of `mass` for goods sold by the kilogram.

    `marked` is a price printed on the pack itself (an in-store price label); it replaces the computed total. Rounded
    once per line, half up.

    Raises:
        NotPriceableError: a by-weight line has no positive mass, or the quantity is below one.
    """
    if quantity < 1:
        raise NotPriceableError(f"{product.name} needs a quantity of at least 1, not {quantity}")
    if marked is not None:
        total = marked * quantity
    elif product.sold_by is SoldBy.KILOGRAM:
        if mass is None or mass <= 0:
            raise NotPriceableError(f"{product.name} is sold by the kilogram and needs a mass above zero, not {mass}")
        total = Money(divide_half_up(product.price.minor * mass, _MILLIGRAMS_PER_KILOGRAM), product.price.currency)
    else:
        total = product.price * quantity
    rate = prices.tax[product.tax_class].basis_points
    return LinePrice(
        unit=product.price,
        sold_by=product.sold_by,
        total=total,
        tax=contained_tax(total, rate),
        tax_class=product.tax_class,
        book_version=prices.version,
    )


def contained_tax(gross: Money, basis_points: int) -> Money:
    """Return the tax contained in a tax-inclusive amount: gross x rate / (1 + rate), half up."""
    return Money(divide_half_up(gross.minor * basis_points, _BASIS + basis_points), gross.currency)


def price_basket(prices: Prices, lines: Iterable[LinePrice]) -> Totals:
    """Return the totals of `lines`. Tax per rate is the sum over its lines, so the receipt adds up line by line."""
    total, tax = zero(prices.currency), zero(prices.currency)
    gross_by, tax_by = dict[str, Money](), dict[str, Money]()
    for line in lines:
        total, tax = total + line.total, tax + line.tax
        gross_by[line.tax_class] = gross_by.get(line.tax_class, zero(prices.currency)) + line.total
        tax_by[line.tax_class] = tax_by.get(line.tax_class, zero(prices.currency)) + line.tax
    by_rate = tuple(
        TaxLine(tax_class=code, name=rate.name, basis_points=rate.basis_points, gross=gross_by[code], tax=tax_by[code])
        for code, rate in prices.tax.items()
        if code in gross_by
    )
    return Totals(total=total, tax=tax, by_rate=by_rate)
