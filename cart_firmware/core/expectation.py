"""What a product should weigh, and how surely: from its label, or from the price book.

A line in the cart is known twice: as its product, and as the scale saw it come.
"""

import msgspec

from cart_protocol.basket import Line, PendingScan
from cart_protocol.mass import Mass, Variance
from cart_protocol.money import Money, divide_half_up
from cart_protocol.pricing.price_book import Prices, Product, SoldBy

_MILLIGRAMS_PER_KILOGRAM = 1_000_000
_PACKAGING_SIGMA = 8_000
"""Milligrams. A label says the net mass; tray and film come on top (guess: up to about 20 g)."""
_LABEL_PARTS = 100
"""A labelled pack dries and drips: a sigma of one part in a hundred (guess)."""
_READING = Variance(2_500**2)
"""Of the mass that a line was found to have when it came (weighing: 1.5 g calm, 4 g restless)."""


class Expectation(msgspec.Struct, frozen=True):
    """`mass` is None where any mass will do: loose goods without a label, products never weighed."""

    mass: Mass | None
    variance: Variance


ANY = Expectation(None, Variance(0))


def expectation_of(pending: PendingScan, prices: Prices | None) -> Expectation:
    """Return what the product of a pending scan should weigh; anything, if the book does not know it any more."""
    if pending.marked_mass is not None:
        return _labelled(pending.marked_mass)
    product = prices.find(pending.product) if prices else None
    return expected_of(product, pending.marked)


def expected_of(product: Product | None, marked: Money | None = None) -> Expectation:
    """Return what one piece of a product should weigh, with the price `marked` on it, if there is one."""
    if product is None:
        return ANY
    if product.sold_by is SoldBy.PIECE:
        return Expectation(product.mass, product.mass_variance) if product.mass > 0 else ANY
    if marked is not None and product.price.minor > 0:
        return _from_price(marked.minor, product)
    return ANY


def weight_of(line: Line, prices: Prices | None, reading: Variance | None = None) -> Expectation:
    """Return what a line weighs by now: the scale's word when it came, and what its product should weigh, by precision.

    `reading` is the variance of that word, where it is remembered. A line that came with others has only its share of
    what the scale saw.
    """
    reading = reading or _READING
    product = prices.find(line.product) if prices else None
    known = expected_of(product) if line.marked is None and line.marked_mass is None else ANY
    if known.mass is None or line.quantity != 1 or known.variance <= 0:
        return Expectation(line.mass, reading)
    weighed, learned = 1 / reading, 1 / known.variance
    mass = (line.mass * weighed + known.mass * learned) / (weighed + learned)
    return Expectation(Mass(round(mass)), Variance(round(1 / (weighed + learned))))


def _labelled(net: Mass) -> Expectation:
    return Expectation(net, Variance(_PACKAGING_SIGMA**2 + (net // _LABEL_PARTS) ** 2))


def _from_price(marked_minor: int, product: Product) -> Expectation:
    """Return the mass that makes the printed price; half a minor unit of rounding makes it uncertain."""
    net = Mass(divide_half_up(marked_minor * _MILLIGRAMS_PER_KILOGRAM, product.price.minor))
    rounding = _MILLIGRAMS_PER_KILOGRAM // (2 * product.price.minor)
    labelled = _labelled(net)
    return Expectation(net, Variance(labelled.variance + rounding**2))
