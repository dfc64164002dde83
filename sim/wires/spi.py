"""An SPI bus with an HX711 on it, for the cart's load-cell device: MOSI is PD_SCK, MISO is DOUT.

`sim.wires.spi:connect?socket=…&cart=…` stands where a spidev bus would. The chip runs in the firmware's process,
clocked by the very bits that the driver sends, at `max_speed_hz`; bus time runs on from the clock that is handed in.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

from cart_protocol.host.clock import HostClock
from sim.chips.hx711 import HX711Chip, PartialFrame
from sim.physics.load import LoadSignal
from sim.wires import notices
from sim.wires.visitor import Visitor

_FIRST_LOAD_S = 2.0
_RATES: dict[str, Literal[10, 80]] = {"10": 10, "80": 80}


class Bridge(Protocol):
    """A strain-gauge bridge."""

    def millivolts(self, time_s: float, /) -> float: ...


class LoadCellBus:
    """What spidev.SpiDev offers a driver, as far as an HX711 needs it: mode 0, most significant bit first.

    Args:
        load: the platform behind the bridge, in seconds of `clock`.
        clock: seconds; the chip's time, when the bus is idle.
        rate_hz: as the chip's RATE pin is strapped.
        seed: of the chip's noise.
        gap: seconds that the bus rests after a byte, as a driver without DMA does.
        partial: what the chip does with an unfinished frame.
    """

    def __init__(
        self,
        load: Bridge,
        clock: Callable[[], float],
        *,
        rate_hz: Literal[10, 80] = 80,
        seed: int = 1,
        gap: Callable[[], float] | None = None,
        partial: PartialFrame = PartialFrame.RELOAD,
        chip: type[HX711Chip] = HX711Chip,
    ) -> None:
        self.max_speed_hz = 1_000_000
        self.mode = 0
        self._clock, self._gap = clock, gap
        self.now_s = clock()
        """The bus's own time, which transfers pass; what comes next begins at the clock's, if that is later."""
        self.chip = chip(load.millivolts, self._bus_time, rate_hz=rate_hz, seed=seed, partial=partial)

    def xfer2(self, data: list[int]) -> list[int]:
        """Clock bytes out on PD_SCK and return what DOUT said meanwhile."""
        self.now_s = max(self.now_s, self._clock())
        bit_s = 1 / self.max_speed_hz
        read = []
        for value in data:
            read.append(self._byte(value, bit_s))
            if self._gap is not None:
                self.now_s += self._gap()
        return read

    def close(self) -> None:
        """Let go of the bus. May be repeated."""

    def _byte(self, value: int, bit_s: float) -> int:
        chip = self.chip
        if not value and chip.silent_until() > self.now_s + 8 * bit_s:
            self.now_s += 8 * bit_s
            return 0xFF
        half = bit_s / 2
        read = 0
        for shift in range(7, -1, -1):
            chip.pd_sck(value >> shift & 1)
            self.now_s += half
            read = read << 1 | chip.dout()
            self.now_s += half
        return read

    def _bus_time(self) -> float:
        return self.now_s


class StreetBus:
    """The same bus, with the platform that the live world tells of."""

    def __init__(self, socket: str, cart: str, *, rate_hz: Literal[10, 80], seed: int) -> None:
        clock = HostClock()
        self._load = LoadSignal(seed)
        self._bus = LoadCellBus(self._load, lambda: clock.monotonic_us() / 1e6, rate_hz=rate_hz, seed=seed)
        self._bus.chip.unplug()
        self._heard: deque[notices.FromWorld] = deque()
        self._arrived = threading.Event()
        self._visitor = Visitor(socket, notices.Hello("load", cart), self._hear)
        self._arrived.wait(_FIRST_LOAD_S)

    @property
    def max_speed_hz(self) -> int:
        return self._bus.max_speed_hz

    @max_speed_hz.setter
    def max_speed_hz(self, hertz: int) -> None:
        self._bus.max_speed_hz = hertz

    @property
    def mode(self) -> int:
        return self._bus.mode

    @mode.setter
    def mode(self, mode: int) -> None:
        self._bus.mode = mode

    def xfer2(self, data: list[int]) -> list[int]:
        """Clock bytes out on PD_SCK and return what DOUT said meanwhile."""
        if self._heard:
            self._take_in()
        return self._bus.xfer2(data)

    def close(self) -> None:
        """Leave the street. May be repeated."""
        self._visitor.close()

    def _hear(self, notice: notices.FromWorld) -> None:
        self._heard.append(notice)
        self._arrived.set()

    def _take_in(self) -> None:
        """Apply what the street said: here and not in its thread, so that a frame sees one platform."""
        while self._heard:
            notice = self._heard.popleft()
            match notice:
                case notices.Load():
                    self._load.replace(notice.acts)
                    (self._bus.chip.replug if notice.plugged else self._bus.chip.unplug)()
                case notices.MoreLoad():
                    for act in notice.acts:
                        self._load.apply(act)
                case _:
                    pass


def connect(socket: str, cart: str, rate_hz: str = "80", seed: str = "1") -> StreetBus:
    """Return the SPI bus on which the load cell of `cart` answers.

    Until the street has told the load for the first time the chip has no power (DOUT stays high): a platform that
    is not known must not look empty. Waits at most two seconds for that. When the street goes away the last load
    stays, and the bus keeps working.
    """
    if rate_hz not in _RATES:
        raise ValueError(f"rate_hz={rate_hz!r}: an HX711 is strapped for {' or '.join(_RATES)} conversions per second")
    return StreetBus(socket, cart, rate_hz=_RATES[rate_hz], seed=int(seed))
