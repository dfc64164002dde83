"""HX711 on an SPI bus: MOSI is wired to PD_SCK, MISO to DOUT, the clock line stays open.

The SPI hardware makes the pulses, so no scheduler can stretch one beyond the 60 us at which the chip powers down
(HX711 datasheet, AVIA, "Serial Interface" and "Reset and Power-Down Input"). Each pulse is the two bits '10'; MOSI
rests low, so pauses between bytes are harmless. The chip must be alone on its bus.
"""

from typing import Protocol

from cart_firmware.devices.converter import MicrosecondClock
from cart_firmware.devices.hx711 import PULSES, Hx711, checked
from cart_firmware.ports import FrameError

SPI_HERTZ = 1_000_000
"""Half a bit pair: PD_SCK is high for 1 us (datasheet: 0.2 to 50 us)."""
READY_TEST = bytes([0x00])
"""Eight clocks with PD_SCK low: DOUT low throughout means that a conversion waits."""
FRAMES = {
    25: bytes.fromhex("aaaaaaaaaaaa80"),
    26: bytes.fromhex("aaaaaaaaaaaaa0"),
    27: bytes.fromhex("aaaaaaaaaaaaa8"),
}
"""By number of pulses: 24 data bits, and one to three more that select the gain of the next conversion."""
POWER_CYCLE = bytes([0xFF] * 10 + [0x00])
"""PD_SCK high for 80 us (datasheet: more than 60 us powers down), then low: reset, channel A, gain 128."""


class SpiBus(Protocol):
    """A full-duplex SPI bus, as spidev.SpiDev: returns one byte read for each byte written."""

    def xfer2(self, data: list[int], /) -> list[int]: ...
    def close(self) -> None: ...


class SpiWire:
    """hx711.Wire over an SPI bus; frames have `pulses` pulses."""

    def __init__(self, bus: SpiBus, pulses: int) -> None:
        self._bus, self._pulses, self._frame = bus, pulses, list(FRAMES[pulses])

    def ready(self) -> bool:
        return not any(self._bus.xfer2(list(READY_TEST)))

    def frame(self) -> int:
        counts = decode(bytes(self._bus.xfer2(self._frame)), self._pulses)
        if self._bus.xfer2(list(READY_TEST)) != [0xFF]:
            raise FrameError(
                "HX711: DOUT was low right after a frame, must be high until the next conversion; clock edges went "
                "astray, or it was unplugged; the chip was power-cycled; check the wires"
            )
        return counts

    def power_cycle(self) -> None:
        self._bus.xfer2(list(POWER_CYCLE))

    def close(self) -> None:
        self._bus.close()


def hx711_spi(bus: SpiBus, rate_hz: float, clock: MicrosecondClock, *, gain: int = 128) -> Hx711:
    """Return the load cell behind an HX711 on `bus`, which must run at SPI_HERTZ in mode 0."""
    return Hx711(SpiWire(bus, PULSES[gain]), rate_hz, clock, gain=gain)


def decode(answer: bytes, pulses: int) -> int:
    """Return the signed counts in the answer to a frame.

    DOUT changes within 0.1 us after a pulse rises and holds until the next (datasheet, T2), so the two halves of each
    pulse say the same bit.

    Raises:
        FrameError: they do not, or the bits after the data are not all 1.
    """
    halves = int.from_bytes(answer) >> (len(answer) * 8 - 2 * pulses)
    word = 0
    for place in range(2 * (pulses - 1), -1, -2):
        first, second = halves >> (place + 1) & 1, halves >> place & 1
        if first != second:
            raise FrameError(
                f"HX711: bit {pulses - place // 2} changed within its pulse in {answer.hex()}; noise on the wires, or "
                "another part on this SPI bus; the chip was power-cycled; shorten the wires"
            )
        word = word << 1 | second
    return checked(word, pulses)
