"""HX711 load-cell ADC on an SPI bus: MOSI is wired to PD_SCK, MISO to DOUT, the clock line stays open.

The SPI hardware makes the pulses, so no scheduler can stretch one beyond the 60 us at which the chip powers down
(HX711 datasheet, AVIA, "Serial Interface" and "Reset and Power-Down Input"). Each pulse is the two bits '10'; MOSI
rests low, so pauses between bytes are harmless. The chip must be alone on its bus.
"""

from enum import Enum, auto
from typing import Protocol

from cart_firmware.ports import FrameError, Sample, SaturatedError, SilentError

SPI_HERTZ = 1_000_000
"""Half a bit pair: PD_SCK is high for 1 us (datasheet: 0.2 to 50 us)."""
READY_TEST = bytes([0x00])
"""Eight clocks with PD_SCK low: DOUT low throughout means that a conversion waits."""
FRAME = bytes.fromhex("aaaaaaaaaaaa80")
"""25 pulses: 24 data bits, and one more that selects channel A at gain 128 for the next conversion."""
POWER_CYCLE = bytes([0xFF] * 10 + [0x00])
"""PD_SCK high for 80 us (datasheet: more than 60 us powers down), then low: reset, channel A, gain 128."""

_SETTLING_CONVERSIONS = 4
"""Datasheet, "Electrical Characteristics": settling time 50 ms at 80 per second, 400 ms at 10 per second."""
_SILENT_CONVERSIONS = 10
_HIGHEST, _LOWEST = 0x7FFFFF, -0x800000
"""Datasheet: the output saturates at these codes when the input leaves the 24-bit range."""


class SpiBus(Protocol):
    """A full-duplex SPI bus, as spidev.SpiDev: returns one byte read for each byte written."""

    def xfer2(self, data: list[int], /) -> list[int]: ...
    def close(self) -> None: ...


class _State(Enum):
    UNKNOWN = auto()
    """Power-cycle before anything else is believed."""
    SETTLING = auto()
    STALE = auto()
    """Settled; the first conversion after a reset is thrown away."""
    CONVERTING = auto()


class Hx711Spi:
    """A load cell behind an HX711. `poll` it at least as often as it converts; fulfils ports.LoadCell."""

    def __init__(self, bus: SpiBus, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._bus = bus
        self._conversion_us = round(1_000_000 / rate_hz)
        self._state = _State.UNKNOWN
        self._since_us = 0
        """While settling, when that began; afterwards, when the chip last had a conversion for us."""

    def poll(self, now_us: int) -> Sample | None:
        """Return the new conversion, or None while there is none: before the chip settled, or between two conversions.

        Raises:
            FrameError: the 25th bit was not 1: clock edges were lost or added. The chip was power-cycled.
            SaturatedError: the conversion is at its end; the chip goes on.
            SilentError: no conversion came in ten conversion times. The chip was power-cycled.
        """
        if self._state is _State.UNKNOWN:
            self._power_cycle(now_us)
            return None
        if self._state is _State.SETTLING:
            if now_us - self._since_us < _SETTLING_CONVERSIONS * self._conversion_us:
                return None
            self._state, self._since_us = _State.STALE, now_us
        if any(self._bus.xfer2(list(READY_TEST))):
            self._mind_silence(now_us)
            return None
        return self._conversion(now_us)

    def close(self) -> None:
        self._bus.close()

    def _conversion(self, now_us: int) -> Sample | None:
        counts, extra = decode(bytes(self._bus.xfer2(list(FRAME))))
        self._since_us = now_us
        if not extra:
            self._power_cycle(now_us)
            raise FrameError(
                f"HX711: bit 25 after {counts & 0xFFFFFF:#08x} was 0, must be 1; clock edges went astray, or DOUT is "
                "held low; the chip was power-cycled; check the wires, and that nothing else is on this SPI bus"
            )
        if self._state is _State.STALE:
            self._state = _State.CONVERTING
            return None
        if counts in (_HIGHEST, _LOWEST):
            raise SaturatedError(
                f"HX711: code {counts & 0xFFFFFF:#08x} is the end of its range; overload, or a broken bridge wire"
            )
        return Sample(at_us=now_us, counts=counts)

    def _mind_silence(self, now_us: int) -> None:
        silent_us = now_us - self._since_us
        if silent_us >= _SILENT_CONVERSIONS * self._conversion_us:
            self._power_cycle(now_us)
            raise SilentError(
                f"HX711: no conversion for {silent_us / 1_000:.0f} ms at {self.rate_hz:g} per second; "
                "the chip was power-cycled; check its supply and the DOUT wire"
            )

    def _power_cycle(self, now_us: int) -> None:
        self._bus.xfer2(list(POWER_CYCLE))
        self._state, self._since_us = _State.SETTLING, now_us


def decode(answer: bytes) -> tuple[int, bool]:
    """Return the signed counts in the answer to FRAME, and whether the 25th bit was 1 as it must be.

    DOUT changes after a pulse rises and holds until the next, so each bit is taken in the pulse's low half. One bit of
    check sees a missed edge only when the last data bit is 0; the rest are outliers to whoever looks for quiet windows.
    """
    halves = int.from_bytes(answer) >> (len(answer) * 8 - 50)
    word = 0
    for pulse in range(25):
        word = word << 1 | halves >> (2 * (24 - pulse)) & 1
    code = word >> 1
    return code - ((code & 0x800000) << 1), bool(word & 1)
