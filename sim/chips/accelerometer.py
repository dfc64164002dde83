"""Two accelerometers as their registers show them: MPU-6050 and LSM6DSO, at +-2 g.

Facts: InvenSense, "MPU-6000 and MPU-6050 Register Map and Descriptions"; ST, "LSM6DSO" data sheet. A part that sleeps
or is powered down shows zeros.
"""

import struct
from collections.abc import Callable
from random import Random

Felt = Callable[[], tuple[float, float, float]]
"""Acceleration along the part's axes, in g."""
_NOISE_G = 0.002
"""Of a cheap part; reference/hardware, section 2."""


class _Accelerometer:
    address: int
    registers: bytearray
    scale: int
    """Counts per g."""
    layout: str
    axes: int

    def __init__(self, felt: Felt, *, seed: int = 1) -> None:
        self._felt, self._dice = felt, Random(seed)
        self.power_on()

    def read(self, register: int) -> int:
        if register == self.axes:
            counts = [0, 0, 0]
            if self._awake():
                counts = [round((g + self._dice.gauss(0, _NOISE_G)) * self.scale) for g in self._felt()]
            limited = [max(-32768, min(32767, count)) for count in counts]
            self.registers[self.axes : self.axes + 6] = struct.pack(self.layout, *limited)
        return self.registers[register]

    def write(self, register: int, value: int) -> None:
        self.registers[register] = value

    def power_on(self) -> None:
        """Forget all settings."""
        raise NotImplementedError

    def _awake(self) -> bool:
        raise NotImplementedError


class MPU6050(_Accelerometer):
    address, scale, layout, axes = 0x68, 16_384, ">3h", 0x3B

    def power_on(self) -> None:
        self.registers = bytearray(0x80)
        self.registers[0x75] = 0x68
        self.registers[0x6B] = 0x40  # asleep

    def _awake(self) -> bool:
        return not self.registers[0x6B] & 0x40


class LSM6DSO(_Accelerometer):
    address, scale, layout, axes = 0x6A, 16_393, "<3h", 0x28

    def power_on(self) -> None:
        self.registers = bytearray(0x80)
        self.registers[0x0F] = 0x6C
        self.registers[0x12] = 0x04

    def _awake(self) -> bool:
        return self.registers[0x10] >> 4 != 0
