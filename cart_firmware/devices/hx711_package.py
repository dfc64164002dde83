"""HX711 through the PyPI package `hx711` (Marco Roose, 1.1.2): for carts that were built around it.

Never the default. What is known to be wrong with it, read in its source, and how it is fenced off here:

- `get_raw_data` loops for ever when the chip is unplugged, and throws the values 0 and -1 away: it is never called; one
  `_read` at a time is, and only when a conversion waits.
- After a pulse of 60 us it gives up in mid-frame and goes on from there: we power-cycle.
- A slow 25th pulse makes it read six values within its own reading: that is turned into an error.
- After a reset it does not know its gain: only channel A at gain 128 is offered, which a reset selects as well.
- It never looks at the bits after the data: hx711.Hx711 asks that the next conversion comes on time.
- Its constructor reads twice and sleeps for a second: that is left out. A power cycle still takes 20 ms, with the
  program standing still.
"""

from collections.abc import Callable
from typing import Any, Protocol

from cart_firmware.devices.converter import MicrosecondClock
from cart_firmware.devices.hx711 import Hx711
from cart_firmware.ports import FrameError, SlowClockError

_AT_THE_END = 0x7FFFFF


class Package(Protocol):
    """What we use of hx711.HX711; private names, but of a version that has been the last since 2018."""

    def _ready(self) -> bool: ...
    def _read(self, max_tries: int) -> "int | bool": ...
    def power_down(self) -> bool: ...
    def power_up(self) -> bool: ...


class _SlowLastPulse(Exception):  # noqa: N818 - it only leaves the package's own reading
    """The package wants to read again because its last pulse was slow."""


class PackageWire:
    """hx711.Wire over the package's class, of which `open_chip` makes one."""

    def __init__(self, chip_class: type[Any], dout: int, pd_sck: int, cleanup: Callable[[], None]) -> None:
        self._chip: Package = _fenced(chip_class)(dout, pd_sck, gain=128, channel="A")
        self._cleanup = cleanup

    def ready(self) -> bool:
        return bool(self._chip._ready())  # noqa: SLF001 - its public reading never returns when the chip is gone

    def frame(self) -> int:
        chip: Any = self._chip
        chip.whole = False
        try:
            counts = chip._read(max_tries=1)  # noqa: SLF001
        except _SlowLastPulse as error:
            raise SlowClockError(
                "HX711 package: the 25th pulse took 60 us or more; the chip was power-cycled; wire it to SPI"
            ) from error
        if counts is False and not chip.whole:
            raise SlowClockError(
                "HX711 package: a pulse took 60 us or more, or DOUT rose in between; the chip was power-cycled; "
                "where this is frequent, wire it to SPI"
            )
        if self.ready():
            raise FrameError("HX711 package: DOUT was low right after a frame; the chip was power-cycled; check wires")
        return _AT_THE_END if counts is False else int(counts)

    def power_cycle(self) -> None:
        self._chip.power_down()
        self._chip.power_up()

    def close(self) -> None:
        self._cleanup()


def hx711_package(
    chip_class: type[Any],
    dout: int,
    pd_sck: int,
    rate_hz: float,
    clock: MicrosecondClock,
    *,
    cleanup: Callable[[], None],
) -> Hx711:
    """Return the load cell behind the package's class `hx711.HX711`."""
    return Hx711(PackageWire(chip_class, dout, pd_sck, cleanup), rate_hz, clock)


def _fenced(chip_class: type[Any]) -> type[Any]:
    """Return the package's class, with the doors closed through which it does more than a single reading."""

    class Fenced(chip_class):  # type: ignore[misc]  # the package ships no types
        whole = False
        """Whether all 24 bits were read: only then are the pulses after them made."""

        def _set_channel_gain(self, num: int) -> bool:
            self.whole = True
            return bool(super()._set_channel_gain(num))

        def _apply_setting(self) -> bool:
            return True

        def get_raw_data(self, times: int = 5) -> list[int]:
            raise _SlowLastPulse(times)

    return Fenced
