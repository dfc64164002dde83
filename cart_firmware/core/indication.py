"""What a scale may show, and when: zero, motion, overload, in the spirit of OIML R76 for class III.

Approximate is what a cart shows unless its scale was verified: a rounded mass that says it is no legal one. Sealed for
trade shows divisions, and nothing while the load moves or is out of range. Neither makes a scale legal: an inspector
does.
"""

from enum import StrEnum

import msgspec

from cart_protocol.mass import Mass, shown

STABLE_US = 400_000
"""Rest before a weight may be stored or zero be set (Canada, C.R.C. c.1605: 0.4 s)."""
_ZERO_DIVISIONS = 4
"""Zero is held and shown to a quarter of a division (R76-1, 4.5)."""
_TRACKED_PER_S = 2
"""Zero follows half a division a second at most (R76-1, 4.5.7)."""
_ZERO_RANGE = 25
"""A twenty-fifth of Max, 4 %: beyond that the zero is no longer the scale's own (R76-1, 4.5.1)."""
_OVER_DIVISIONS = 9
"""Above Max and nine divisions nothing is shown (R76-1, 4.2.3)."""
_UNDER_DIVISIONS = 20
_ABOUT_MG = 10_000


class Shows(StrEnum):
    ZERO = "zero"
    STABLE = "stable"
    MOVING = "moving"
    OVERLOAD = "overload"
    UNDER_ZERO = "under zero"
    ZERO_LOST = "zero lost"
    """The zero has gone further than it may be followed: calibrate."""


class Indication(msgspec.Struct, frozen=True):
    state: Shows
    text: str
    """For people; dashes where nothing may be shown."""


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """How a scale is marked: its division e and its capacity Max, and whether it is sealed for trade."""

    division: Mass
    capacity: Mass
    sealed: bool

    def indicate(self, gross: Mass, zero: Mass, stable_us: int) -> Indication:
        """Return what may be shown of a load of `gross` above zero, which itself went by `zero` since calibration."""
        state = self._state(gross, zero, stable_us)
        if not self.sealed and state in {Shows.ZERO, Shows.STABLE, Shows.MOVING}:
            return Indication(state, f"≈ {shown(Mass(_rounded(gross, _ABOUT_MG)))}")
        if state in {Shows.ZERO, Shows.STABLE}:
            return Indication(state, f"{_rounded(gross, self.division) / 1_000_000:.3f} kg")
        return Indication(state, "-----")

    def tracked(self, gross: Mass, zero: Mass, stable_us: int, lasting_us: int) -> Mass:
        """Return the new zero: an empty scale at rest follows it, slowly and not too far."""
        if stable_us < STABLE_US or abs(gross) > self.division // _ZERO_DIVISIONS:
            return zero
        most = self.division * lasting_us // (_TRACKED_PER_S * 1_000_000)
        range_ = self.capacity // _ZERO_RANGE
        return Mass(max(-range_, min(range_, zero + max(-most, min(most, gross)))))

    def _state(self, gross: Mass, zero: Mass, stable_us: int) -> Shows:
        if gross > self.capacity + _OVER_DIVISIONS * self.division:
            return Shows.OVERLOAD
        if gross < -_UNDER_DIVISIONS * self.division:
            return Shows.UNDER_ZERO
        if abs(zero) >= self.capacity // _ZERO_RANGE:
            return Shows.ZERO_LOST
        if stable_us < STABLE_US:
            return Shows.MOVING
        return Shows.ZERO if abs(gross) <= self.division // _ZERO_DIVISIONS else Shows.STABLE


def _rounded(mass: Mass, to: int) -> int:
    return (mass + to // 2) // to * to
