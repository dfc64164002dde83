"""A look-alike of the module RPi.GPIO whose pins lead to HX711 chips, edge by edge, on a time that accesses pass.

Each access costs time, and a hand on the scheduler may hold it up: before the pin moves or after, as preemption does.
"""

from collections.abc import Callable
from random import Random

from sim.chips.hx711 import HX711Chip


class WireTime:
    """Seconds that move only when something takes them."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def microseconds(self) -> int:
        return int(self.now_s * 1e6)

    def take(self, seconds: float) -> None:
        self.now_s += seconds


class Preemption:
    """Holds up one access in `every` for 20 us to 3 ms, evenly spread over the magnitudes; `every` 0 holds up none.

    Chance and lengths are chosen as in reference/hardware, section 5; they were not measured on a Raspberry Pi.
    """

    def __init__(self, every: int, seed: int) -> None:
        self._share = 1 / every if every else 0.0
        self._dice = Random(f"{seed}/preemption")
        self.times = 0

    def seconds(self) -> tuple[float, float]:
        """Return what is lost before the pin moves, and after."""
        if self._dice.random() >= self._share:
            return 0.0, 0.0
        self.times += 1
        lost_s = 20e-6 * 150 ** self._dice.random()
        return (lost_s, 0.0) if self._dice.random() < 0.5 else (0.0, lost_s)


class GpioModule:
    """What RPi.GPIO offers, as far as HX711 drivers use it. An input that nothing drives is where it is pulled to."""

    BCM, BOARD, OUT, IN, LOW, HIGH = 11, 10, 0, 1, 0, 1
    PUD_OFF, PUD_DOWN, PUD_UP = 20, 21, 22

    def __init__(self, time: WireTime, *, access_s: float = 2e-6, preemption: Preemption | None = None) -> None:
        self._time, self.access_s = time, access_s
        self._preemption = preemption or Preemption(0, 0)
        self._clocks: dict[int, Callable[[int], None]] = {}
        self._data: dict[int, Callable[[], int]] = {}
        self._levels: dict[int, int] = {}
        self._directions: dict[int, int] = {}

    def attach(self, chip: HX711Chip, *, dout: int, pd_sck: int) -> None:
        """Solder a chip to two pins, by their BCM numbers."""
        self._clocks[pd_sck], self._data[dout] = chip.pd_sck, chip.dout

    def setmode(self, mode: int) -> None:
        if mode != self.BCM:
            raise ValueError("pins are known here by their BCM numbers only")

    def setwarnings(self, on: bool) -> None:
        """Nothing here warns."""

    def setup(self, channel: int, direction: int, pull_up_down: int = PUD_OFF, initial: int | None = None) -> None:
        self._directions[channel] = direction
        self._levels[channel] = 1 if pull_up_down == self.PUD_UP else 0
        if initial is not None:
            self.output(channel, initial)

    def output(self, channel: int, value: int) -> None:
        if self._directions.get(channel) != self.OUT:
            raise RuntimeError("The GPIO channel has not been set up as an OUTPUT")
        after_s = self._begin()
        self._levels[channel] = level = 1 if value else 0
        if clock := self._clocks.get(channel):
            clock(level)
        self._time.now_s += after_s

    def input(self, channel: int) -> int:
        if channel not in self._directions:
            raise RuntimeError("You must setup() the GPIO channel first")
        after_s = self._begin()
        level = data() if (data := self._data.get(channel)) else self._levels[channel]
        self._time.now_s += after_s
        return level

    def cleanup(self, channels: int | list[int] | None = None) -> None:
        chosen = list(self._directions) if channels is None else channels if isinstance(channels, list) else [channels]
        for channel in chosen:
            self._directions.pop(channel, None)

    def _begin(self) -> float:
        before_s, after_s = self._preemption.seconds()
        self._time.now_s += self.access_s + before_s
        return after_s
