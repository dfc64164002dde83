"""The HX711 load-cell converter as its two wires show it: PD_SCK in, DOUT out, on a clock that is handed in.

No threads and no byte frames: the chip is a function of the edges it saw and of the clock. Constants are from Avia
Semiconductor, "HX711 24-Bit ADC for Weigh Scales", pages 3 to 5. What the datasheet leaves open (a frame that is broken
off and never finished) is an argument, so that a driver can be tried against both guesses.
"""

import math
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from random import Random
from typing import Literal

_FULL_SCALE_V = 20e-3
"""At gain 128 and 5 V; twice and four times that at gain 64 and 32."""
_NOISE_V: dict[int, float] = {10: 50e-9, 80: 90e-9}
"""Input noise, rms, typical, gain 128."""
_SETTLING_S: dict[int, float] = {10: 0.400, 80: 0.050}
"""After reset, power-up or a change of input or gain."""
_POWER_DOWN_S = 60e-6
"""PD_SCK high for longer than this powers the chip down; the next fall resets it."""
_HIGHEST = 2**23 - 1
_LOWEST = -(2**23)
_DATA_PULSES = 24
_MOST_PULSES = 27
_REMEMBERED = 8


class PartialFrame(StrEnum):
    """What a frame of fewer than 25 pulses does when the next conversion is due (undocumented)."""

    RELOAD = "reload"
    """The shift register takes the new conversion and starts afresh."""
    STUCK = "stuck"
    """The chip stays in the middle of the frame until it is reset."""


class HX711Chip:
    """One chip, powered, PD_SCK low, in its first settling time.

    Args:
        millivolts: the bridge's differential voltage at a time of `clock`, in mV; channel B is not connected (0 mV).
        clock: seconds; never goes backwards.
        rate_hz: 10 or 80, as the RATE pin is strapped.
        seed: of the converter's noise.
        supply_v: AVDD; the full scale follows it.
        partial: what an unfinished frame does.
    """

    def __init__(
        self,
        millivolts: Callable[[float], float],
        clock: Callable[[], float],
        *,
        rate_hz: Literal[10, 80] = 80,
        seed: int = 1,
        supply_v: float = 5.0,
        partial: PartialFrame = PartialFrame.RELOAD,
    ) -> None:
        self._millivolts = millivolts
        self._clock = clock
        self._period_s = 1 / rate_hz
        self._settling_s = _SETTLING_S[rate_hz]
        self._noise_v = _NOISE_V[rate_hz]
        self._full_scale_v = _FULL_SCALE_V * supply_v / 5.0
        self._partial = partial
        self._dice = Random(seed)
        self._level = 0
        self._rose_at = 0.0
        self._connected = True
        self.resets = -1
        """Resets since power-up."""
        self.converted = deque[tuple[int, int]](maxlen=_REMEMBERED)
        """The truth about the last conversions that were begun to be read: counts and gain."""
        self.jammed = False
        """Whether its modulator hangs: every conversion gives the word of the last."""
        self._reset(clock())

    # ── the wires ────────────────────────────────────────────────────────────────────────────────────────────────

    def pd_sck(self, level: int) -> None:
        """Set the clock line to 0 or 1; setting the level it has does nothing."""
        if level == self._level:
            return
        self._level = level
        if not self._connected:
            return
        now = self._clock()
        if level:
            self._advance(now)
            self._rose_at = now
            self._pulse()
        elif now - self._rose_at > _POWER_DOWN_S:
            self._reset(now)

    def dout(self) -> int:
        """Return the data line: low says that a conversion waits; then the bits; a lost chip leaves it pulled up."""
        if not self._connected:
            return 1
        now = self._clock()
        if self._level and now - self._rose_at > _POWER_DOWN_S:
            return 1
        self._advance(now)
        if self._pulses:
            return self._word >> (_DATA_PULSES - self._pulses) & 1 if self._pulses <= _DATA_PULSES else 1
        return 0 if self._ready else 1

    def silent_until(self) -> float:
        """Return until when DOUT stays high as long as PD_SCK stays low; a bus may skip sampling it until then."""
        if not self._connected:
            return math.inf
        if self._level or self._ready or 0 < self._pulses < _DATA_PULSES + 1:
            return -math.inf
        return self._next

    # ── the bench ────────────────────────────────────────────────────────────────────────────────────────────────

    def unplug(self) -> None:
        """Take the chip off the wires: DOUT is pulled up and edges are lost. May be repeated."""
        self._connected = False

    def replug(self) -> None:
        """Put it back: it powers up. May be repeated."""
        if not self._connected:
            self._connected = True
            self._reset(self._clock())

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _reset(self, now: float) -> None:
        self._gain = 128
        self._selected = _DATA_PULSES + 1
        self._pulses = 0
        self._ready = False
        self._word = 0
        self._converted_at = now
        self._next = now + self._settling_s
        self.resets += 1

    def _advance(self, now: float) -> None:
        """Catch up with the conversions that finished since the wires were last touched."""
        if now < self._next:
            return
        if self._pulses > _DATA_PULSES:
            selected, self._pulses = min(self._pulses, _MOST_PULSES), 0
            if selected != self._selected:
                self._select(selected)
                if now < self._next:
                    return
        elif self._pulses and self._partial is PartialFrame.RELOAD:
            self._pulses = 0
        finished = math.floor((now - self._next) / self._period_s)
        self._converted_at = self._next + finished * self._period_s
        self._next = self._converted_at + self._period_s
        if not self._pulses:
            self._ready = True

    def _select(self, pulses: int) -> None:
        """Switch input and gain: the conversion in progress is lost and the filter settles anew."""
        self._selected = pulses
        self._gain = {25: 128, 26: 32, 27: 64}[pulses]
        self._ready = False
        self._next += self._settling_s

    def _pulse(self) -> None:
        if not self._ready and not self._pulses:
            return
        if not self._pulses:
            if not self.jammed or not self.converted:
                self._word = self._convert()
            self.converted.append((self._word - ((self._word & 0x800000) << 1), self._gain))
        self._pulses += 1
        if self._pulses > _DATA_PULSES:
            self._ready = False

    def _convert(self) -> int:
        channel_b = self._gain == 32
        volts = 0.0 if channel_b else self._millivolts(self._converted_at) / 1e3
        volts += self._dice.gauss(0.0, self._noise_v)
        share = volts / (self._full_scale_v * 128 / self._gain)
        counts = _HIGHEST if share >= 1 else _LOWEST if share <= -1 else round(share * 2**23)
        return min(_HIGHEST, max(_LOWEST, counts)) & 0xFFFFFF
