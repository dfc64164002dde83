"""NAU7802 load-cell converter on I2C: a bridge converter with a real bus, a supply for the cell, and its own checks.

Each reading is framed by two looks at the control registers: a chip that lost power has forgotten them, and an
unplugged one reads all ones. Source: Nuvoton, "NAU7802 24-Bit Dual-Channel ADC", register map and power-on sequence.
"""

from enum import Enum, auto

from cart_firmware.devices.converter import MicrosecondClock, Plausibility
from cart_firmware.devices.i2c import I2cBus
from cart_firmware.ports import FrameError, Sample, SilentError, StuckError, WrongGainError

ADDRESS = 0x2A
"""Fixed by the part."""
PU_CTRL, CTRL1, CTRL2, ADCO, ADC, PGA_POWER = 0x00, 0x01, 0x02, 0x12, 0x15, 0x1C

RESET, POWER_DIGITAL, POWER_ANALOG, POWERED_UP, START, READY, INTERNAL_SUPPLY = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x80
"""Bits of PU_CTRL: RR, PUD, PUA, PUR, CS, CR, AVDDS."""
CALIBRATE, CALIBRATION_FAILED = 0x04, 0x08
"""Bits of CTRL2: CALS, CAL_ERR."""
_SUPPLY_3V0 = 0b101 << 3
"""VLDO in CTRL1: 3.0 V for the cell, which leaves the regulator its drop from the Pi's 3.3 V."""
_GAINS = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4, 32: 5, 64: 6, 128: 7}
RATES = {10: 0, 20: 1, 40: 2, 80: 3, 320: 7}
"""Conversions per second: CRS in CTRL2."""
_CHOPPER_OFF = 0x30
"""REG_CHPS in register 0x15, as the power-on sequence asks."""
_PGA_CAPACITOR = 0x80
"""PGA_CAP_EN in register 0x1C: the capacitor across input 2 smooths input 1 (power-on sequence)."""
_RUNNING = POWER_DIGITAL | POWER_ANALOG | POWERED_UP | START | INTERNAL_SUPPLY

_HIGHEST, _LOWEST = 0x7FFFFF, -0x800000
_WARM_UP_US = 300_000
"""For the regulator and the reference, before the inner calibration; our own choice, as is the next."""
_CALIBRATION_US = 1_000_000
_SILENT = 10.0
_FIRST = 6
"""Conversions after the start of which the filter settles: four, and some tolerance."""


class _State(Enum):
    UNKNOWN = auto()
    WARMING = auto()
    CALIBRATING = auto()
    CONVERTING = auto()


class Nau7802:
    """A load cell behind a NAU7802; fulfils ports.LoadCell. Settings are written anew after every failure."""

    def __init__(self, bus: I2cBus, rate_hz: int, clock: MicrosecondClock, *, gain: int = 128) -> None:
        self.rate_hz: float = rate_hz
        self._bus, self._clock = bus, clock
        self._conversion_us = 1_000_000 / rate_hz
        self._ctrl1 = _SUPPLY_3V0 | _GAINS[gain]
        self._ctrl2 = RATES[rate_hz] << 4
        self._plausibility = Plausibility("NAU7802", lowest=_LOWEST, highest=_HIGHEST)
        self._state = _State.UNKNOWN
        self._since_us = 0
        self._dropped = 0

    def poll(self, now_us: int) -> Sample | None:
        """Return the conversion that waits, or None while there is none.

        Raises:
            SilentError: the chip does not answer on the bus, or converts no more.
            WrongGainError: it lost its settings, so it lost power.
            FrameError: it was lost during the reading, or its own calibration failed.
            SaturatedError, StuckError: as for any converter.
        """
        try:
            return self._turn(now_us)
        except (SilentError, WrongGainError, FrameError, StuckError):
            self._forget()
            raise
        except OSError as error:
            self._forget()
            raise SilentError(
                f"NAU7802: no answer at address {ADDRESS:#04x}: {error}; check its four wires, and i2cdetect -y 1"
            ) from error

    def close(self) -> None:
        self._bus.close()

    def _turn(self, now_us: int) -> Sample | None:
        match self._state:
            case _State.UNKNOWN:
                self._power_up(now_us)
            case _State.WARMING:
                if now_us - self._since_us >= _WARM_UP_US:
                    self._write(CTRL2, self._ctrl2 | CALIBRATE)
                    self._enter(_State.CALIBRATING, now_us)
            case _State.CALIBRATING:
                self._mind_calibration(now_us)
            case _State.CONVERTING:
                return self._conversion(now_us)
        return None

    def _power_up(self, now_us: int) -> None:
        self._write(PU_CTRL, RESET)
        self._write(PU_CTRL, POWER_DIGITAL)
        self._write(CTRL1, self._ctrl1)
        self._write(CTRL2, self._ctrl2)
        self._write(ADC, _CHOPPER_OFF)
        self._write(PGA_POWER, _PGA_CAPACITOR)
        self._write(PU_CTRL, POWER_DIGITAL | POWER_ANALOG | INTERNAL_SUPPLY | START)
        self._enter(_State.WARMING, now_us)

    def _mind_calibration(self, now_us: int) -> None:
        state = self._bus.read_byte_data(ADDRESS, CTRL2)
        if state & CALIBRATION_FAILED:
            raise FrameError("NAU7802: its inner offset calibration failed (CAL_ERR); check the cell's wires")
        if not state & CALIBRATE:
            self._dropped = 0
            self._enter(_State.CONVERTING, now_us)
        elif now_us - self._since_us > _CALIBRATION_US:
            raise SilentError("NAU7802: its inner calibration did not end in a second; check its supply")

    def _conversion(self, now_us: int) -> Sample | None:
        if not self._control() & READY:
            silent_us = now_us - self._since_us
            if silent_us >= _SILENT * self._conversion_us:
                raise SilentError(
                    f"NAU7802: no conversion for {silent_us / 1_000:.0f} ms at {self.rate_hz:g} per second; its "
                    "settings are written anew; check its supply"
                )
            return None
        code = int.from_bytes(bytes(self._bus.read_i2c_block_data(ADDRESS, ADCO, 3)))
        self._control()
        self._since_us = now_us
        if self._dropped < _FIRST:
            self._dropped += 1
            return None
        counts = code - ((code & 0x800000) << 1)
        return Sample(now_us, counts, self._plausibility.judge(counts))

    def _control(self) -> int:
        """Return PU_CTRL, having compared it and the other settings with what we wrote."""
        power, ctrl1, ctrl2 = self._bus.read_i2c_block_data(ADDRESS, PU_CTRL, 3)
        if (power, ctrl1, ctrl2) == (0xFF, 0xFF, 0xFF):
            raise SilentError("NAU7802: all registers read 0xff: unplugged while it answered; check its four wires")
        if power & ~READY != _RUNNING or (ctrl1, ctrl2) != (self._ctrl1, self._ctrl2):
            raise WrongGainError(
                f"NAU7802: settings are {power:#04x} {ctrl1:#04x} {ctrl2:#04x}, expected {_RUNNING:#04x} "
                f"{self._ctrl1:#04x} {self._ctrl2:#04x}: it lost power for a moment; they are written anew; check its "
                "supply and the plugs"
            )
        return power

    def _enter(self, state: _State, now_us: int) -> None:
        self._state, self._since_us = state, now_us

    def _forget(self) -> None:
        self._state = _State.UNKNOWN
        self._plausibility.forget()

    def _write(self, register: int, value: int) -> None:
        self._bus.write_byte_data(ADDRESS, register, value)
