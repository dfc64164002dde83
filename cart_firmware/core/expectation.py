"""What a scanned product should weigh, and how surely: from its label first, from the price book otherwise."""

import msgspec

from cart_protocol.basket import PendingScan
from cart_protocol.mass import Mass, Variance
from cart_protocol.money import divide_half_up
from cart_protocol.pricing.price_book import Prices, Product, SoldBy

_MILLIGRAMS_PER_KILOGRAM = 1_000_000
_PACKAGING_SIGMA = 8_000
"""Milligrams. A label says the net mass; tray and film come on top (guess: up to about 20 g)."""
_LABEL_PARTS = 100
"""A labelled pack dries and drips: a sigma of one part in a hundred (guess)."""


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
    if product is None:
        return ANY
    if product.sold_by is SoldBy.PIECE:
        return Expectation(product.mass, product.mass_variance) if product.mass > 0 else ANY
    if pending.marked is not None and product.price.minor > 0:
        return _from_price(pending.marked.minor, product)
    return ANY


def _labelled(net: Mass) -> Expectation:
    return Expectation(net, Variance(_PACKAGING_SIGMA**2 + (net // _LABEL_PARTS) ** 2))


def _from_price(marked_minor: int, product: Product) -> Expectation:
    """Return the mass that makes the printed price; half a minor unit of rounding makes it uncertain."""
    net = Mass(divide_half_up(marked_minor * _MILLIGRAMS_PER_KILOGRAM, product.price.minor))
    rounding = _MILLIGRAMS_PER_KILOGRAM // (2 * product.price.minor)
    labelled = _labelled(net)
    return Expectation(net, Variance(labelled.variance + rounding**2))
