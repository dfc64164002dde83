"""Whether the platform is quiet, from one conversion at a time: four blocks of a window whose means agree.

Two kinds of quiet. Calm: nothing but the converter's own noise, which is learned; that is believed at once. Restless: a
little more than that for more than a second, as beside a compressor; a hand that rests on the basket sways more than
either.
"""

from collections import deque
from enum import StrEnum

import msgspec

from cart_firmware.core.calibration import Calibration
from cart_protocol.mass import Mass

_BLOCKS = 4
_SLICE_US = 25_000
"""The window slides by a slice: what a step may be late beyond the window."""
_SHAKE_BANDS = 3.0
"""Greatest deviation of single readings, in bands: rolling shakes more, the last ringing after a put-down less."""
_RANGE_OF_BLOCKS = 2.06
"""Mean range of four normal deviates, in standard deviations."""
_CALM = 5.0
"""How many times its usual range the blocks of a calm window may differ."""
_CALM_LEAST_MG = 1_500.0
_CALM_SHAKE = 3.0
_CALM_SHAKE_LEAST_MG = 6_000.0
_RESTLESS_US = 1_200_000
_FORGETTING = 1.0005
"""The learned noise rises again by this factor with each quiet window, so that one lucky window is not for ever."""
_JOLT_BANDS = 6.0
"""How far a reading is from the line through the two before it, in bands: what wheels make of any floor, and a slow
hand never."""
_ROLLED_US = 800_000
"""So long wheels jolt on end; goods that are dropped ring for half a second."""
_CALMS = 3
"""A slice without a jolt undoes as many with one."""


class Quiet(StrEnum):
    CALM = "calm"
    RESTLESS = "restless"
    MOVING = "moving"


class Window(msgspec.Struct, frozen=True):
    """The newest window: its mean load, and how far its blocks differ."""

    mass: Mass
    spread: Mass


class _Slice(msgspec.Struct, frozen=True):
    readings: int
    counts: int
    squares: int


class QuietWindow:
    """Fed one reading at a time; `quiet` says what the newest window was."""

    def __init__(self, calibration: Calibration, *, rate_hz: float, window_ms: int, band_mg: int) -> None:
        per_block = max(1, round(rate_hz * window_ms / 1_000 / _BLOCKS))
        self._per_slice = max(1, min(per_block, round(rate_hz * _SLICE_US / 1e6)))
        self._per_block = max(1, per_block // self._per_slice)
        self._slices = deque[_Slice](maxlen=_BLOCKS * self._per_block)
        self.slice_us = round(self._per_slice * 1e6 / rate_hz)
        self._calibration = calibration
        self._mg_per_count = calibration.span(1_000_000) / 1_000_000
        self._band = float(band_mg)
        self._noise_mg: float | None = None
        self._readings, self._counts, self._squares = 0, 0, 0
        self._restless_us = 0
        self.quiet_us = 0
        """How long it has been quiet without a break."""
        self._lowest = self._highest = 0.0
        self._last: int | None = None
        self._rise = self._jolt = 0
        self._jolted_us = 0
        self.quiet = Quiet.MOVING
        self.rolled = False
        """Whether the platform shook as a rolling cart does, since `settled` was called."""

    def feed(self, counts: int) -> Window | None:
        """Take one conversion; return the window at the end of a slice when there is a whole one."""
        if self._last is not None:
            rise = counts - self._last
            self._jolt = max(self._jolt, abs(rise - self._rise))
            self._rise = rise
        self._last = counts
        self._readings += 1
        self._counts += counts
        self._squares += counts * counts
        if self._readings < self._per_slice:
            return None
        self._slices.append(_Slice(self._readings, self._counts, self._squares))
        self._feel_jolt()
        self._readings, self._counts, self._squares = 0, 0, 0
        if len(self._slices) < (self._slices.maxlen or 0):
            self.quiet = Quiet.MOVING
            return None
        return self._judge()

    def clear(self) -> None:
        """Begin anew: what was read so far does not belong to what comes."""
        self._slices.clear()
        self._readings, self._counts, self._squares = 0, 0, 0
        self._restless_us = self._jolted_us = self.quiet_us = 0
        self._last, self._rise, self._jolt = None, 0, 0
        self.quiet = Quiet.MOVING

    def settled(self) -> None:
        """Forget that the cart rolled: where it stands now is known."""
        self.rolled, self._jolted_us = False, 0

    def _judge(self) -> Window:
        slices = self._slices
        readings = self._per_slice * len(slices)
        counts = sum([part.counts for part in slices])
        squares = sum([part.squares for part in slices])
        shake = max(0.0, squares / readings - (counts / readings) ** 2) ** 0.5 * self._mg_per_count
        if shake > _SHAKE_BANDS * self._band:
            self.quiet, self._restless_us, self.quiet_us = Quiet.MOVING, 0, 0
            return Window(Mass(0), Mass(0))
        spread = self._spread()
        self.quiet = self._kind(spread, shake, counts / readings * self._mg_per_count)
        self.quiet_us = 0 if self.quiet is Quiet.MOVING else self.quiet_us + self.slice_us
        return Window(self._calibration.mass(counts, readings), Mass(round(spread)))

    def _feel_jolt(self) -> None:
        jolted = self._jolt * self._mg_per_count > _JOLT_BANDS * self._band
        self._jolt = 0
        self._jolted_us = max(0, self._jolted_us + (1 if jolted else -_CALMS) * self.slice_us)
        self.rolled = self.rolled or self._jolted_us >= _ROLLED_US

    def _spread(self) -> float:
        sums = [part.counts for part in self._slices]
        if self._per_block > 1:
            width = self._per_block
            sums = [sum(sums[first : first + width]) for first in range(0, len(sums), width)]
        return (max(sums) - min(sums)) / (self._per_slice * self._per_block) * self._mg_per_count

    def _kind(self, spread: float, shake: float, mean_mg: float) -> Quiet:
        if spread > self._band:
            self._restless_us = 0
            return Quiet.MOVING
        noise = self._learn(shake)
        usual = noise * _RANGE_OF_BLOCKS / (self._per_slice * self._per_block) ** 0.5
        # What went before a restless second may have been a hand that came to rest: all of it must agree.
        if not self._restless_us or max(self._highest, mean_mg) - min(self._lowest, mean_mg) > self._band:
            self._restless_us, self._lowest, self._highest = 0, mean_mg, mean_mg
        self._restless_us += self.slice_us
        self._lowest, self._highest = min(self._lowest, mean_mg), max(self._highest, mean_mg)
        if spread <= max(_CALM_LEAST_MG, _CALM * usual) and shake <= max(_CALM_SHAKE_LEAST_MG, _CALM_SHAKE * noise):
            return Quiet.CALM
        return Quiet.RESTLESS if self._restless_us >= _RESTLESS_US else Quiet.MOVING

    def _learn(self, shake: float) -> float:
        noise = self._noise_mg
        self._noise_mg = shake if noise is None else min(noise * _FORGETTING, shake)
        return max(self._noise_mg, shake if noise is None else 0.0)


REMEMBERED = (_Slice, Quiet)
"""What a window holds, for a recording (cart_firmware.core.remembered)."""
