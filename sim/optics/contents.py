"""What lies in one cart's basket as its camera sees it, while a shopper puts in and takes out."""

from random import Random

from sim.goods import Unit
from sim.goods_looks import looks_of
from sim.optics.basket import RIM, Inside
from sim.optics.goods_shots import Handling, heap_mm
from sim.optics.hands import Reach
from sim.optics.scene import Reaching
from sim.optics.things import FRAME_MM, LONGEST, SHORTEST, Thing

_REACH_S = 1.6
_MOST_IN_A_HAND = 2
"""Pieces; more are put into a bag."""


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

    def show(self, unit: Unit, now_s: float, seconds: float) -> Reaching:
        """Return the view of a hand that holds something over the goods from now on, and takes it away again."""
        thing = self._thing(unit)
        reach = Reach(shows=thing, touches=(thing.x, thing.y), at_s=now_s, duration_s=seconds, seed=self._seed())
        return Reaching(lying=self._things(), reaches=(reach,))

    def empty(self) -> None:
        self._lying = ()

    def _reaching(self, before: tuple[Thing, ...], reach: Reach) -> tuple[Reaching, float]:
        return Reaching(lying=before, reaches=(reach,)), reach.lands_s

    def _things(self) -> tuple[Thing, ...]:
        return tuple(thing for _, thing in self._lying)

    def _thing(self, unit: Unit) -> Thing:
        """Return what a unit looks like from above, whatever its label says, and where this one lies."""
        looks = looks_of(unit.product)
        how = Handling(pieces=unit.pieces, bag=unit.pieces > _MOST_IN_A_HAND)
        length = min(LONGEST, max(SHORTEST, heap_mm(looks, how) / FRAME_MM))
        return Thing(
            x=self._dice.uniform(0.15, 0.85), y=self._dice.uniform(0.1, min(0.38, RIM - 0.02 - length / 2)),
            turn_deg=self._dice.uniform(-180, 180),
            length=length, width=length, seed=self._seed(), looks=looks, pieces=how.pieces, bag=how.bag,
        )  # fmt: skip

    def _seed(self) -> int:
        return self._dice.randrange(1 << 20)
