"""When the load on the exit scale counts: the same valid weight twice, and a failed check only once it stays so.

Goods come onto the scale one by one; between two of them it stands still for a moment. A weight that fits the order is
believed as soon as it was read twice alike (the 8217's wire has no checksum); one that does not fit, only after nobody
changed it for a while.
"""

import msgspec

from cart_protocol.mass import Mass

PATIENCE_S = 1.5
"""How long a load that does not fit must stand unchanged: longer than laying down the next article takes."""


class Settled(msgspec.Struct, frozen=True):
    """A weight read twice alike, and for how long the load has stood within one division of it."""

    mass: Mass
    for_s: float

    @property
    def final(self) -> bool:
        return self.for_s >= PATIENCE_S


class Settling:
    """One load coming to rest on a scale of verification interval `division`."""

    def __init__(self, division: Mass) -> None:
        self._division = division
        self._last: Mass | None = None
        self._since_s = 0.0
        self._anchor = Mass(0)

    def take(self, mass: Mass | None, now_s: float) -> Settled | None:
        """Return the load if this reading confirms the one before. None and 0 (moving, empty) start afresh."""
        last, self._last = self._last, mass or None
        if self._last is None:
            return None
        if last is None or abs(self._last - self._anchor) > self._division:
            self._anchor, self._since_s = self._last, now_s
        return Settled(self._last, now_s - self._since_s) if last == self._last else None
