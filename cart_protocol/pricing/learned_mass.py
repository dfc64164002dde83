"""What a store learned of the masses of its products. Pushed to carts beside the price book, signed likewise.

The price book says what a piece should weigh; the shop's own scales know better after some pieces. Carts and lane use
the learned mass in place of the book's.
"""

from collections.abc import Iterable

import msgspec

from cart_protocol.ids import ProductId
from cart_protocol.mass import Mass, Variance


class LearnedMass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One piece of a product, as `weighings` confirmed ones had it: the next is `mass`, give or take `variance`."""

    product: ProductId
    mass: Mass
    variance: Variance
    weighings: int


class LearnedMasses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="learned-masses"):
    """All that is worth saying. `issue` grows with what was learned; a cart never goes back to a smaller one."""

    issue: int
    masses: tuple[LearnedMass, ...]

    def by_product(self) -> dict[ProductId, LearnedMass]:
        return by_product(self.masses)


NOTHING_LEARNED = LearnedMasses(issue=0, masses=())


def by_product(masses: Iterable[LearnedMass]) -> dict[ProductId, LearnedMass]:
    return {learned.product: learned for learned in masses}
