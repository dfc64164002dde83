"""What each product weighs, learned from confirmed weighings. Pure; folded from the log like all else, so never lost.

A weighing is confirmed when the order it belongs to passed the exit lane by weight and its shopper the gate: cart,
price book and exit scale agreed. The price book's mass is worth a few weighings (its spread is the legal tolerance
where nobody measured one), so that the first ones move it a little and many move it all the way. One far out counts as
if it were not so far: a wrong pack must not drag a product along.
"""

import msgspec

from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, Variance
from cart_protocol.pricing.learned_mass import LearnedMass, LearnedMasses
from cart_protocol.pricing.price_book import Product, SoldBy

_BOOK_WEIGHS = 4
"""So many weighings the book's mass is worth ..."""
_SPREAD_WEIGHS = 8
"""... and so many its spread, which few weighings tell badly."""
_FAR = 2.5
"""Standard deviations: further out counts as this far (Huber's rule; 1.2 % of sound packs are touched)."""
_BEYOND = 6.0
"""Further out is no piece of this product, or not one: it counts nothing."""
_SHARE = 0.02
"""So near to what it should weigh is no weighing but the share of a sum (two products put down at once): of fair ones
one in sixty is passed over with them."""
_LEAST_SIGMA_MG = 500
_LEAST_SHARE = 1_000
"""A spread below a thousandth of the mass is luck."""
_ENOUGH = 5
"""Fewer weighings are not worth telling anybody."""


class Weighings(msgspec.Struct):
    """What is remembered of one product: the count, the mean, and the sum of squared deviations from it (mg)."""

    count: int
    mean: float
    squares: float


class MassModel:
    """Fold of the confirmed weighings of one store."""

    def __init__(self) -> None:
        self._known: dict[ProductId, Weighings] = {}
        self.confirmed = 0
        """How many weighings were ever learned from."""

    def learn(self, product: Product, mass: Mass) -> None:
        """Take one confirmed weighing of one piece; that of goods by the kilogram says nothing of the next."""
        if product.sold_by is not SoldBy.PIECE or product.mass <= 0 or mass <= 0:
            return
        known = self._known.get(product.id) or Weighings(0, 0.0, 0.0)
        center, variance = _next(product, known)
        sigma = variance**0.5
        off = mass - center
        if not _SHARE * sigma < abs(off) <= _BEYOND * sigma or mass == product.mass:
            return
        counted = center + max(-_FAR * sigma, min(_FAR * sigma, off))
        count = known.count + 1
        mean = known.mean + (counted - known.mean) / count
        squares = known.squares + (counted - known.mean) * (counted - mean)
        self._known[product.id] = Weighings(count, mean, squares)
        self.confirmed += 1

    def of(self, product: Product) -> LearnedMass | None:
        """Return what was learned of a product, or None while it is too little."""
        known = self._known.get(product.id)
        if known is None or known.count < _ENOUGH or product.sold_by is not SoldBy.PIECE:
            return None
        mass, variance = _next(product, known)
        return LearnedMass(
            product=product.id, mass=Mass(round(mass)), variance=Variance(round(variance)), weighings=known.count
        )

    def all(self, products: tuple[Product, ...]) -> LearnedMasses:
        """Return all that is worth telling carts of these products."""
        learned = (self.of(product) for product in products)
        return LearnedMasses(issue=self.confirmed, masses=tuple(each for each in learned if each))


def _next(product: Product, known: Weighings) -> tuple[float, float]:
    """Return mean and variance of the next piece: a normal-inverse-gamma posterior with the book as its prior."""
    worth = _BOOK_WEIGHS + known.count
    mean = (_BOOK_WEIGHS * product.mass + known.count * known.mean) / worth
    moved = _BOOK_WEIGHS * known.count / worth * (known.mean - product.mass) ** 2 if known.count else 0.0
    squares = _SPREAD_WEIGHS * product.mass_variance + known.squares + moved
    spread = squares / (_SPREAD_WEIGHS + known.count)
    least = max(_LEAST_SIGMA_MG, product.mass / _LEAST_SHARE)
    return mean, max(least**2, spread * (1 + 1 / worth))
