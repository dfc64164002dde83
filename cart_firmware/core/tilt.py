"""What a slope takes from the load: an accelerometer says how far gravity leans from where it is on level floor.

The length of what it feels along the cart's upright would be a poor witness: one thousandth of gravity wrong there is
one thousandth of the load, 20 g of 20 kg. Across the upright the same error is multiplied by the slope: on three
degrees it costs a twentieth of that. So a cheap part is good enough, mounted as it may be, once it was read on level
floor. Where it is not good enough (it sways, or gravity is not what it feels), nothing is corrected.
"""

import math
from collections import deque
from collections.abc import Sequence

import msgspec

Axes = tuple[int, int, int]
"""x, y and z in millionths of gravity."""
LEVEL: Axes = (0, 0, 1_000_000)
"""Felt on level floor by a part that is mounted perfectly."""
_WINDOW_US = 400_000
"""As long as a load must rest: nothing from before the cart stood."""
_FEWEST = 4
STEADIEST_UG = 12_000
"""Standard deviation of the readings, all axes together: more is a cart that is pushed."""
GRAVITY_UG = (900_000, 1_100_000)
_BIAS_UG = 4_000
"""How wrong an axis of a cheap accelerometer stays after mounting (MPU-6050 data sheet: 50 mg before calibration; a few
after `up` was measured on level floor). Our guess."""

_NO_GOODS_UG = 15_000_000
_HARM_UG, _STOPS = 15_000_000, 2
"""What one stop counts at most, and how many of them end the trust: tried on simulated trips with parts bent by 1.5 and
5 degrees, where two lost no honest one."""


class Lean(msgspec.Struct, frozen=True):
    """How the cart stands: which share of its weight presses on the platform, and how uncertain that is (one sigma)."""

    cosine: float
    sigma: float


class Tilt:
    """Told each reading in millionths of gravity; `lean` is known while the cart stands."""

    def __init__(self, up: Axes) -> None:
        """Take what was felt on level floor; its length does not matter."""
        length = math.hypot(*up)
        self._up = tuple(axis / length for axis in up)
        self._felt = deque[tuple[int, int, int, int]]()
        self._harm_ug = 0
        self.trusted = True
        """Whether correcting makes the scale steadier. Where it does not, the part was bent since it was calibrated."""

    def feel(self, at_us: int, x: int, y: int, z: int) -> None:
        self._felt.append((at_us, x, y, z))
        while not 0 <= at_us - self._felt[0][0] <= _WINDOW_US:
            self._felt.popleft()

    def hears(self, now_us: int) -> bool:
        """Return whether there is an accelerometer that speaks."""
        return self.trusted and bool(self._felt) and now_us - self._felt[-1][0] <= _WINDOW_US

    def rolled(self, raw_ug: int, upright_ug: int) -> None:
        """Compare by how much the scale changed from one stop to the next, as it is and corrected."""
        if min(abs(raw_ug), abs(upright_ug)) > _NO_GOODS_UG:
            return
        harm_ug = abs(upright_ug) - abs(raw_ug)
        self._harm_ug = max(0, self._harm_ug + max(-_HARM_UG, min(_HARM_UG, harm_ug)))
        self.trusted = self.trusted and self._harm_ug < _STOPS * _HARM_UG

    def lean(self, now_us: int) -> Lean | None:
        """Return how the cart stood just now; None when that cannot be said well enough."""
        recent = [reading[1:] for reading in self._felt if 0 <= now_us - reading[0] <= _WINDOW_US]
        if not self.trusted or len(recent) < _FEWEST:
            return None
        mean = [sum(axis) / len(recent) for axis in zip(*recent, strict=True)]
        scatter = sum([(felt - middle) ** 2 for reading in recent for felt, middle in zip(reading, mean, strict=True)])
        scatter /= len(recent)
        gravity = math.hypot(*mean)
        if scatter**0.5 > STEADIEST_UG or not GRAVITY_UG[0] <= gravity <= GRAVITY_UG[1]:
            return None
        across = math.hypot(*_cross(mean, self._up)) / gravity
        wrong = (_BIAS_UG**2 + scatter / (3 * len(recent))) ** 0.5 / 1e6
        return Lean((1 - across**2) ** 0.5, across * wrong + wrong**2 / 2)


def _cross(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    (a, b, c), (x, y, z) = one, other
    return b * z - c * y, c * x - a * z, a * y - b * x
