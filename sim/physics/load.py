"""What the cart's platform feels: goods put down and lifted, hands, rolling over the floor, and a bridge that drifts.

A load is a list of acts in absolute seconds of the world's clock; the signal is a function of the acts, the time and a
seed, so every process that knows the acts sees the same platform. Shapes and sizes follow the cart trips in
reference/sketches/cart_motion (settling ring at 9 Hz, vibration from 4 to 31 Hz, joints in the floor).
"""

import bisect
import math
from collections.abc import Iterable, Sequence
from random import Random

import msgspec

_DEAD_MG = 2_000_000
"""Basket and platform: not weighed (the cell's zero is at the empty basket), but shaken."""
_RING_HZ = 9.0
_RING_DECAY_S = 0.12
_RING_SHARE = 0.8
_RING_LEAST_MG = 60_000
_RING_MOST_MG = 900_000
_RING_OVER_S = 1.5
"""After 12 time constants the ring is below a ten-thousandth."""
_VIBRATION_HZ = (4.3, 7.1, 11.7, 17.9, 23.3, 31.0)
_VIBRATION_SHARE = 0.035
_JOINTS_PER_S = 0.25
_LEAN_RISE_S = 0.12
_TREMOR_HZ = 2.7
_TREMOR_SHARE = 0.04
_DRIFT_MG = 1_500.0
_DRIFT_PERIOD_S = 900.0
_TWO_PI = 2 * math.pi


class Put(msgspec.Struct, frozen=True, tag="put"):
    """Goods come down on the platform (positive) or leave it (negative)."""

    at_s: float
    mass_mg: int


class Lean(msgspec.Struct, frozen=True, tag="lean"):
    """A hand rests on the basket; negative when it lifts."""

    at_s: float
    until_s: float
    mass_mg: int


class Roll(msgspec.Struct, frozen=True, tag="roll"):
    """The cart rolls."""

    at_s: float
    until_s: float


LoadAct = Put | Lean | Roll


class Cell(msgspec.Struct, frozen=True):
    """A strain-gauge load cell and its excitation."""

    capacity_mg: int = 50_000_000
    sensitivity_mv_per_v: float = 2.0
    excitation_v: float = 5.0

    def millivolts(self, mass_mg: float) -> float:
        return mass_mg / self.capacity_mg * self.sensitivity_mv_per_v * self.excitation_v


class _Ring(msgspec.Struct, frozen=True):
    at_s: float
    size_mg: float
    hertz: float

    def at(self, time_s: float) -> float:
        age = time_s - self.at_s
        if not 0 <= age < _RING_OVER_S:
            return 0.0
        return self.size_mg * math.exp(-age / _RING_DECAY_S) * math.sin(_TWO_PI * self.hertz * age)


class _Rolling(msgspec.Struct, frozen=True):
    at_s: float
    until_s: float
    phases: tuple[float, ...]
    joints: tuple[_Ring, ...]

    def at(self, time_s: float, shaken_mg: float) -> float:
        joints = sum(joint.at(time_s) for joint in self.joints)
        if not self.at_s <= time_s < self.until_s:
            return joints
        swell = time_s - self.at_s
        share = sum(
            math.sin(_TWO_PI * hertz * swell + phase) * (1 + 0.5 * math.sin(0.7 * swell + phase))
            for hertz, phase in zip(_VIBRATION_HZ, self.phases, strict=True)
        )
        return joints + shaken_mg * _VIBRATION_SHARE * share


class LoadSignal:
    """The force on the platform over time, in milligrams; the same for the same seed and acts in any order."""

    def __init__(self, seed: int = 1, acts: Iterable[LoadAct] = (), cell: Cell | None = None) -> None:
        self._seed = seed
        self._cell = cell or Cell()
        self._drift_phase = Random(f"{seed}/drift").random() * _TWO_PI
        self.replace(acts)

    def put(self, at_s: float, mass_mg: int) -> None:
        """Put goods down; they ring for about half a second."""
        self.apply(Put(at_s, mass_mg))

    def take(self, at_s: float, mass_mg: int) -> None:
        """Lift goods of `mass_mg` off."""
        self.apply(Put(at_s, -mass_mg))

    def lean(self, at_s: float, until_s: float, mass_mg: int) -> None:
        self.apply(Lean(at_s, until_s, mass_mg))

    def roll(self, from_s: float, until_s: float) -> None:
        self.apply(Roll(from_s, until_s))

    def replace(self, acts: Iterable[LoadAct]) -> None:
        """Forget every act and take these."""
        self._put_at: list[float] = []
        self._rings: list[_Ring] = []
        self._steps: list[int] = []
        self._sums: list[int] = [0]
        self._leans: list[Lean] = []
        self._rolls: list[_Rolling] = []
        for act in acts:
            self.apply(act)

    def apply(self, act: LoadAct) -> None:
        """Add one act; its time may lie before or after those already known."""
        match act:
            case Put():
                self._insert(act)
            case Lean():
                self._leans.append(act)
            case Roll():
                self._rolls.append(self._rolling(act))

    def resting_mg(self, time_s: float) -> int:
        """Return the goods on the platform, without anything that shakes, leans or drifts."""
        return self._sums[bisect.bisect_right(self._put_at, time_s)]

    def milligrams(self, time_s: float) -> float:
        """Return what the platform feels at `time_s`."""
        known = bisect.bisect_right(self._put_at, time_s)
        resting = self._sums[known]
        felt = resting + self._ringing(known, time_s)
        for lean in self._leans:
            felt += _pressure(lean, time_s)
        for rolling in self._rolls:
            if rolling.at_s <= time_s < rolling.until_s + _RING_OVER_S:
                felt += rolling.at(time_s, resting + _DEAD_MG)
        return felt + _DRIFT_MG * math.sin(_TWO_PI * time_s / _DRIFT_PERIOD_S + self._drift_phase)

    def millivolts(self, time_s: float) -> float:
        """Return the bridge's voltage at `time_s`, in mV."""
        return self._cell.millivolts(self.milligrams(time_s))

    def _insert(self, act: Put) -> None:
        place = bisect.bisect_right(self._put_at, act.at_s)
        self._put_at.insert(place, act.at_s)
        self._steps.insert(place, act.mass_mg)
        size = math.copysign(min(_RING_MOST_MG, _RING_SHARE * abs(act.mass_mg) + _RING_LEAST_MG), act.mass_mg)
        hertz = _RING_HZ * Random(f"{self._seed}/{act.at_s}").uniform(0.9, 1.1)
        self._rings.insert(place, _Ring(act.at_s, size if act.mass_mg else 0.0, hertz))
        del self._sums[place + 1 :]
        for step in self._steps[place:]:
            self._sums.append(self._sums[-1] + step)

    def _ringing(self, known: int, time_s: float) -> float:
        total = 0.0
        while known and time_s - self._put_at[known - 1] < _RING_OVER_S:
            known -= 1
            total += self._rings[known].at(time_s)
        return total

    def _rolling(self, act: Roll) -> _Rolling:
        dice = Random(f"{self._seed}/{act.at_s}/floor")
        phases = tuple(dice.random() * _TWO_PI for _ in _VIBRATION_HZ)
        joints = []
        at_s = act.at_s + dice.expovariate(_JOINTS_PER_S)
        while at_s < act.until_s:
            joints.append(_Ring(at_s, dice.uniform(100_000, 900_000), _RING_HZ))
            at_s += dice.expovariate(_JOINTS_PER_S)
        return _Rolling(act.at_s, act.until_s, phases, tuple(joints))


def compacted(acts: Sequence[LoadAct], before_s: float) -> list[LoadAct]:
    """Return fewer acts with the same platform from `before_s` on: goods at rest by then become one."""
    past = before_s - _RING_OVER_S
    old = [act for act in acts if isinstance(act, Put) and act.at_s < past]
    recent: list[LoadAct] = [act for act in acts if (act.at_s if isinstance(act, Put) else act.until_s) >= past]
    if not old:
        return recent
    return [Put(max(act.at_s for act in old), sum(act.mass_mg for act in old)), *recent]


def _pressure(lean: Lean, time_s: float) -> float:
    if not lean.at_s <= time_s < lean.until_s:
        return 0.0
    rise = min(1.0, (time_s - lean.at_s) / _LEAN_RISE_S, (lean.until_s - time_s) / _LEAN_RISE_S)
    return lean.mass_mg * rise * (1 + _TREMOR_SHARE * math.sin(_TWO_PI * _TREMOR_HZ * (time_s - lean.at_s)))
