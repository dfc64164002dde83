"""Hands over the rim of a cart's basket: what they bring, what they take, and how they move."""

import math
from random import Random

import msgspec

from sim.optics.basket import FOOT, Arm, Inside, Place, grip
from sim.optics.things import Thing

_GONE = FOOT + 0.35
"""Where a palm is out of view, with what it holds."""
_EXPOSURE_S = 0.002


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """One arm reaches in from `at_s` for `duration_s`: puts down what it brings, takes up what it fetches.

    With neither it rummages: `touches` is where, and `nudges` how far a thing there is moved.
    """

    at_s: float
    duration_s: float
    seed: int
    brings: Thing | None = None
    """As it will lie."""
    fetches: Thing | None = None
    """As it lies."""
    touches: Place = (0.5, 0.3)
    shows: Thing | None = None
    """What is carried in and out again."""
    width: float = 0.13
    sleeve: int = 70
    skin: int = 165
    shade: float = 0.0
    elbow: float | None = None
    """x of the elbow, where it is not left to the dice."""
    exposure_s: float = _EXPOSURE_S

    @property
    def lands_s(self) -> float:
        """When what it brings leaves the hand, or what it fetches is in it."""
        motion = _Motion(self)
        return self.at_s + (motion.released_s if self.brings else motion.grasped_s)

    def things(self, lying: tuple[Thing, ...], time_s: float) -> tuple[Thing, ...]:
        """Return what lies in the basket at that time, of what lay there before."""
        motion = _Motion(self)
        since = time_s - self.at_s
        if self.brings and since >= motion.released_s:
            lying = (*lying, self.brings)
        if self.fetches and since >= motion.grasped_s:
            lying = tuple(thing for thing in lying if thing != self.fetches)
        return lying

    def arm(self, time_s: float) -> Arm | None:
        """Return the arm at that time, or None while it is out of view."""
        since = time_s - self.at_s
        return _Motion(self).at(since) if 0 <= since < self.duration_s else None


class _Motion:
    """How one arm moves: towards each place with the smooth start and end of a person's, a moment's stay, and out."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        dice = Random(reach.seed)
        self._elbow = (dice.uniform(0.15, 0.85) if reach.elbow is None else reach.elbow, FOOT + 0.55)
        stops = [self._palm_at(thing) for thing in (reach.brings, reach.fetches) if thing] or [reach.touches]
        away = (self._elbow[0] + dice.uniform(-0.1, 0.1), _GONE)
        self._places = [away, *stops, away]
        stays = [dice.uniform(0.6, 1.4) * 0.25 for _ in stops]
        moves = [1.0, *[0.8] * (len(stops) - 1), 1.0]
        total = sum(moves) + sum(stays)
        self._legs = list[tuple[float, float, Place, Place]]()
        at = 0.0
        ends = list[float]()
        for number, move in enumerate(moves):
            took = move / total * reach.duration_s
            self._legs.append((at, at + took, self._places[number], self._places[number + 1]))
            at += took
            if number < len(stays):
                stayed = stays[number] / total * reach.duration_s
                self._legs.append((at, at + stayed, self._places[number + 1], self._places[number + 1]))
                ends.append(at + stayed / 2)
                at += stayed
        self.released_s = ends[0]
        self.grasped_s = ends[-1]
        self._tremble = dice.uniform(0, math.tau)
        self._bend = dice.uniform(-0.05, 0.05)

    def at(self, since_s: float) -> Arm:
        reach = self._reach
        palm = self._palm(since_s)
        before = self._palm(since_s - reach.exposure_s)
        return Arm(
            elbow=(self._elbow[0], self._elbow[1] + 0.4 * (palm[1] - _GONE)), palm=palm, width=reach.width,
            sleeve=reach.sleeve, skin=reach.skin, seed=reach.seed, carried=self._carried(since_s), shade=reach.shade,
            smear=(palm[0] - before[0], palm[1] - before[1]),
        )  # fmt: skip

    def _carried(self, since_s: float) -> Thing | None:
        reach = self._reach
        if reach.shows:
            return reach.shows
        if reach.brings and since_s < self.released_s:
            return self._as_held(reach.brings)
        if reach.fetches and since_s >= self.grasped_s:
            return self._as_held(reach.fetches)
        return None

    def _as_held(self, thing: Thing) -> Thing:
        """Return a thing turned as it lies, relative to the arm that is over it."""
        palm = self._palm_at(thing)
        elbow_y = self._elbow[1] + 0.4 * (palm[1] - _GONE)
        turn = math.degrees(math.atan2(palm[1] - elbow_y, palm[0] - self._elbow[0]))
        return msgspec.structs.replace(thing, turn_deg=thing.turn_deg - turn)

    def _palm_at(self, thing: Thing) -> Place:
        """Return where the palm is while its fingers hold a thing that lies there."""
        dx, dy = thing.x - self._elbow[0], thing.y - (self._elbow[1] - 0.4)
        length = math.hypot(dx, dy)
        reach = grip(self._reach.width, thing)
        return thing.x - reach * dx / length, thing.y - reach * dy / length

    def _palm(self, since_s: float) -> Place:
        for begins, ends, here, there in self._legs:
            if since_s < ends:
                share = min(1.0, max(0.0, (since_s - begins) / (ends - begins)))
                done = share**3 * (10 - 15 * share + 6 * share * share)  # least jerk (Flash and Hogan, 1985)
                bend = self._bend * math.sin(math.pi * share) if here != there else 0.0
                swing = 0.003 * math.sin(40 * since_s + self._tremble)
                return here[0] + (there[0] - here[0]) * done + bend + swing, here[1] + (there[1] - here[1]) * done
        return self._places[-1]


def seen(lying: tuple[Thing, ...], reaches: tuple[Reach, ...], time_s: float) -> Inside:
    """Return what is in view at a time, of what lay in the basket before any of these arms came."""
    for reach in reaches:
        lying = reach.things(lying, time_s)
    arms = tuple(arm for reach in reaches if (arm := reach.arm(time_s)) is not None)
    return Inside(things=lying, arms=arms)
