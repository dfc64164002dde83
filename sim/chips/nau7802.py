"""The NAU7802 load-cell converter as its registers show it, on a clock that is handed in.

Facts from Nuvoton, "NAU7802 24-Bit Dual-Channel ADC": register map, power-on sequence. Noise is of the order that the
data sheet gives for gain 128; the inner calibration takes what four conversions take.
"""

import math
from collections import deque
from collections.abc import Callable
from random import Random

_PU_CTRL, _CTRL1, _CTRL2, _ADCO, _REVISION = 0x00, 0x01, 0x02, 0x12, 0x1F
_RR, _PUD, _PUA, _PUR, _CS, _CR = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_CALS = 0x04
_RATES = {0: 10, 1: 20, 2: 40, 3: 80, 7: 320}
_SUPPLY_V = (4.5, 4.2, 3.9, 3.6, 3.3, 3.0, 2.7, 2.4)
_NOISE_V = 1e-7
_SETTLING = 4


class NAU7802Chip:
    """One chip on its address, powered, in the state after power-on."""

    address = 0x2A

    def __init__(self, millivolts: Callable[[float], float], clock: Callable[[], float], *, seed: int = 1) -> None:
        self._millivolts, self._clock = millivolts, clock
        self._dice = Random(seed)
        self.converted = deque[int](maxlen=8)
        """The truth about the last conversions that were read."""
        self.jammed = False
        self.power_on()

    def power_on(self) -> None:
        """Forget all settings."""
        self._registers = bytearray(0x20)
        self._registers[_REVISION] = 0x0F
        self._started_s = math.inf
        self._read_number = 0
        self._calibrated_s = -math.inf

    def write(self, register: int, value: int) -> None:
        if register == _PU_CTRL:
            if value & _RR:
                self.power_on()
            elif value & _CS and not self._registers[_PU_CTRL] & _CS:
                self._started_s = self._clock() + (_SETTLING - 1) / self._rate_hz()
                self._read_number = 0
            value = value & ~(_PUR | _CR) | (_PUR if value & _PUD else 0)
        if register == _CTRL2 and value & _CALS:
            self._calibrated_s = self._clock() + _SETTLING / self._rate_hz()
        self._registers[register] = value

    def read(self, register: int) -> int:
        if register == _PU_CTRL:
            return self._registers[_PU_CTRL] | (_CR if self._number() > self._read_number else 0)
        if register == _CTRL2 and self._clock() >= self._calibrated_s:
            self._registers[_CTRL2] &= ~_CALS
        if register == _ADCO:
            self._convert()
        return self._registers[register]

    def _rate_hz(self) -> int:
        return _RATES.get(self._registers[_CTRL2] >> 4 & 7, 10)

    def _number(self) -> int:
        """Return how many conversions were finished since the start."""
        powered = self._registers[_PU_CTRL] & (_PUD | _PUA) == _PUD | _PUA
        elapsed_s = self._clock() - self._started_s
        return int(elapsed_s * self._rate_hz()) if powered and elapsed_s > 0 else 0

    def _convert(self) -> None:
        self._read_number = self._number()
        if not (self.jammed and self.converted):
            at_s = self._started_s + self._read_number / self._rate_hz()
            gain = 1 << (self._registers[_CTRL1] & 7)
            full_scale_v = 0.5 * _SUPPLY_V[self._registers[_CTRL1] >> 3 & 7] / gain
            volts = self._millivolts(at_s) / 1e3 + self._dice.gauss(0.0, _NOISE_V)
            share = max(-1.0, min(1.0, volts / full_scale_v))
            self.converted.append(max(-(2**23), min(2**23 - 1, round(share * 2**23))))
        self._registers[_ADCO : _ADCO + 3] = (self.converted[-1] & 0xFFFFFF).to_bytes(3, "big")
