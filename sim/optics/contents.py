"""What lies in one cart's basket as its camera sees it, while a shopper puts in and takes out."""

from random import Random

from sim.goods import Unit
from sim.optics.basket import Inside, Thing
from sim.optics.hands import Reach
from sim.optics.scene import Reaching

_REACH_S = 1.6
_EDGE_OF_100_G = 0.1
"""Share of the frame's width: a pack of 100 g is some six centimetres long."""


class Contents:
    """Follows a basket. The dice decide where things come to lie, and how hands move."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._lying: tuple[tuple[Unit, Thing], ...] = ()

    @property
    def inside(self) -> Inside:
        return Inside(things=self._things())

    def put(self, unit: Unit, now_s: float) -> tuple[Reaching, float]:
        """Return the view of a hand that puts something in from now on, and when it leaves the hand."""
        before, thing = self._things(), self._thing(unit)
        self._lying = (*self._lying, (unit, thing))
        return self._reaching(before, Reach(brings=thing, at_s=now_s, duration_s=_REACH_S, seed=self._seed()))

    def take(self, unit: Unit, now_s: float) -> tuple[Reaching, float]:
        """Return the view of a hand that takes something out from now on, and when it has it in its fingers."""
        before = self._things()
        number = next(index for index, (lying, _) in enumerate(self._lying) if lying is unit)
        thing = self._lying[number][1]
        self._lying = self._lying[:number] + self._lying[number + 1 :]
        return self._reaching(before, Reach(fetches=thing, at_s=now_s, duration_s=_REACH_S, seed=self._seed()))

    def empty(self) -> None:
        self._lying = ()

    def _reaching(self, before: tuple[Thing, ...], reach: Reach) -> tuple[Reaching, float]:
        return Reaching(lying=before, reaches=(reach,)), reach.lands_s

    def _things(self) -> tuple[Thing, ...]:
        return tuple(thing for _, thing in self._lying)

    def _thing(self, unit: Unit) -> Thing:
        """Return what a unit looks like from above, the same for all of a product, and where this one lies."""
        looks = Random(unit.code)
        length = min(0.28, _EDGE_OF_100_G * (unit.mass_mg / 100_000) ** (1 / 3) * looks.uniform(0.9, 1.3))
        return Thing(
            x=self._dice.uniform(0.15, 0.85), y=self._dice.uniform(0.1, 0.38), turn_deg=self._dice.uniform(-180, 180),
            length=length, width=length * looks.uniform(0.5, 0.9), tone=looks.randint(30, 230),
            contrast=looks.randint(20, 90), seed=looks.randrange(1 << 20),
        )  # fmt: skip

    def _seed(self) -> int:
        return self._dice.randrange(1 << 20)
