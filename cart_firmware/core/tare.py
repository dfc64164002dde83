"""Bags and containers of the shopper's own: what they weigh is not goods, as long as they lie in the cart.

A container is known by its mass. One that leaves takes its tare with it: otherwise its mass in goods would be free.
"""

import msgspec

from cart_protocol.mass import Mass, Variance

_SIGMAS = 3


class Container(msgspec.Struct, frozen=True):
    mass: Mass
    variance: Variance


class Tares(msgspec.Struct):
    """The containers in the cart. `most` is what one may weigh: more than that is goods in a bag."""

    most: Mass
    inside: list[Container] = []

    @property
    def total(self) -> Mass:
        return Mass(sum(container.mass for container in self.inside))

    @property
    def variance(self) -> Variance:
        return Variance(sum(container.variance for container in self.inside))

    def put(self, mass: Mass, variance: Variance) -> bool:
        """Take what was just put in for a container; False, and nothing changes, where it is too heavy for one."""
        if not 0 < mass <= self.most:
            return False
        self.inside.append(Container(mass, variance))
        return True

    def taken(self, mass: Mass, variance: Variance) -> Container | None:
        """Return the container that just left with a step of -`mass`, the most alike; None where it was none."""
        alike = [
            container
            for container in self.inside
            if (container.mass - mass) ** 2 <= _SIGMAS**2 * (container.variance + variance)
        ]
        if not alike:
            return None
        found = min(alike, key=lambda container: abs(container.mass - mass))
        self.inside.remove(found)
        return found

    def net(self, level: Mass) -> Mass:
        """Return the goods of a load; below zero when a container left unseen."""
        return Mass(level - self.total)
