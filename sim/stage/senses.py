"""A cart's senses on the stage, whole or short.

Whole: pixels are rendered and read, the converter's chip is clocked edge by edge. Short: codes enter where the reader's
readings leave it, and masses where the load cell's counts do; everything behind is the same, at a fraction of the time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Protocol

import msgspec
import numpy as np

from cart_firmware.devices.hx711_spi import hx711_spi
from cart_firmware.perception.hands import Hands
from cart_firmware.perception.reader import Reader
from cart_firmware.perception.reading import Reading
from cart_firmware.perception.rim import Rim
from cart_firmware.ports import Colour, Frame, FrameSource, LoadCell, Sample
from cart_firmware.services.sense import BarcodeReader, HandWatch
from cart_protocol.host.clock import Clock
from sim.goods import Unit
from sim.optics.contents import Contents
from sim.optics.label import Label, Luma, Symbology
from sim.optics.scene import Pass, Scene, View, render, render_colours, seen_at
from sim.physics.load import LoadSignal
from sim.virtual_time import VirtualTimeLoop
from sim.wires.spi import LoadCellBus

_FRAMES_PER_SECOND = 12
_WIDTH, _HEIGHT = 640, 480
_GLANCE_S, _IDLE_S = 0.2, 1.0
"""Between two frames of the short eye: with something before it, and without (a camera is missed after five)."""
_SHORT_RATE_HZ = 10
"""As the HX711 does with its RATE pin low."""
_COUNTS_PER_MG = 83_886.08 / 1e6
"""cart_firmware.config.LoadCellSettings.counts_per_kilogram."""
_NOISE_MG, _ROLLING_MG = 250, 40_000
_REACH_S = 0.25
"""Between a shopper's decision and the load's change, where no hand is drawn."""
_NOWHERE = ((0, 0), (1, 0), (1, 1), (0, 1))


class Senses(Protocol):
    """What a shopper does before a camera and on a platform, and the devices that notice."""

    rate_hz: int
    window_ms: int

    def show(self, unit: Unit, seconds: float, seed: int) -> None: ...
    def put(self, unit: Unit) -> None:
        """Put something in, from now on: it takes a moment until it rests on the platform."""

    def take(self, unit: Unit) -> None: ...
    def empty(self, units: Sequence[Unit]) -> None:
        """Take all of these out, in one go."""

    def roll(self, from_s: float, until_s: float) -> None: ...
    def load_cell(self, clock: Clock) -> LoadCell:
        """Return the converter as a program that has just started finds it."""

    def camera(self, clock: Clock) -> tuple[FrameSource, BarcodeReader]: ...
    def hands(self) -> HandWatch | None: ...


class WholeSenses:
    rate_hz = 80
    window_ms = 500

    def __init__(self, loop: VirtualTimeLoop, seed: int) -> None:
        self._loop = loop
        self._load = LoadSignal(seed=seed)
        self._contents = Contents(Random(f"{seed}/contents"))
        self._view: View = Scene(inside=self._contents.inside)
        self._dice = np.random.default_rng(seed)
        self._starts = 0

    def show(self, unit: Unit, seconds: float, seed: int) -> None:
        if not unit.code:
            self._view = self._contents.show(unit, self._loop.time(), seconds)
            return
        label = Label(payload=unit.code, symbology=Symbology(unit.symbology), name=unit.name)
        scene = Scene(label=label, inside=self._contents.inside)
        self._view = Pass(scene=scene, at_s=self._loop.time(), duration_s=seconds, seed=seed)

    def put(self, unit: Unit) -> None:
        self._view, lands_s = self._contents.put(unit, self._loop.time())
        self._load.put(lands_s, unit.mass_mg)

    def take(self, unit: Unit) -> None:
        self._view, lands_s = self._contents.take(unit, self._loop.time())
        self._load.put(lands_s, -unit.mass_mg)

    def empty(self, units: Sequence[Unit]) -> None:
        self._contents.empty()
        self._view = Scene(inside=self._contents.inside)
        self._load.put(self._loop.time() + _REACH_S, -sum(unit.mass_mg for unit in units))

    def roll(self, from_s: float, until_s: float) -> None:
        self._load.roll(from_s, until_s)

    def load_cell(self, clock: Clock) -> LoadCell:
        self._starts += 1
        bus = LoadCellBus(self._load, self._loop.time, seed=self._starts)
        return hx711_spi(bus, self.rate_hz, clock.monotonic_us)

    def camera(self, clock: Clock) -> tuple[FrameSource, BarcodeReader]:
        return _Camera(self._look, 1 / _FRAMES_PER_SECOND, clock), Reader()

    def hands(self) -> HandWatch:
        return Hands(Rim())

    def _look(self) -> tuple[Luma, Colour]:
        scene = seen_at(self._view, self._loop.time())
        luma = render(scene, _WIDTH, _HEIGHT, self._dice)
        return luma, Colour(render_colours(scene, _WIDTH, _HEIGHT), limited=True)


class ShortSenses:
    rate_hz = _SHORT_RATE_HZ
    window_ms = 800

    def __init__(self, loop: VirtualTimeLoop, seed: int) -> None:
        self._loop = loop
        self._dice = Random(f"{seed}/short senses")
        self._acts: list[tuple[float, int]] = []
        self._rolling = (0.0, 0.0)
        self._shown: tuple[float, float, Reading] | None = None
        self._picture: Luma = np.zeros((1, 1), np.uint8)
        self._looked_s = 0.0

    def show(self, unit: Unit, seconds: float, seed: int) -> None:
        del seed
        now_s = self._loop.time()
        self._shown = (now_s, now_s + seconds, _reading(unit)) if unit.code else None

    def put(self, unit: Unit) -> None:
        self._acts.append((self._loop.time() + _REACH_S, unit.mass_mg))

    def take(self, unit: Unit) -> None:
        self._acts.append((self._loop.time() + _REACH_S, -unit.mass_mg))

    def empty(self, units: Sequence[Unit]) -> None:
        self._acts.append((self._loop.time() + _REACH_S, -sum(unit.mass_mg for unit in units)))

    def roll(self, from_s: float, until_s: float) -> None:
        self._rolling = (from_s, until_s)

    def load_cell(self, clock: Clock) -> LoadCell:
        return _ShortCell(self._counts, clock)

    def camera(self, clock: Clock) -> tuple[FrameSource, BarcodeReader]:
        return _Camera(self._look, _GLANCE_S, clock), _ShortReader(self._seen)

    def hands(self) -> None:
        """Nobody watches what is not drawn."""

    def _counts(self) -> int:
        now_s = self._loop.time()
        rolling = self._rolling[0] <= now_s < self._rolling[1]
        resting = sum(mass for at_s, mass in self._acts if at_s <= now_s)
        if len(self._acts) > 1 and all(at_s <= now_s for at_s, _ in self._acts):
            self._acts = [(now_s, resting)]
        spread = _ROLLING_MG if rolling else _NOISE_MG
        return round((resting + self._dice.uniform(-spread, spread)) * _COUNTS_PER_MG)

    def _look(self) -> tuple[Luma, None] | None:
        # After a showing the eye looks on for a moment: that the pack left is seen, not inferred.
        now_s = self._loop.time()
        busy = self._shown is not None and now_s < self._shown[1] + 3 * _GLANCE_S
        if not busy and now_s - self._looked_s < _IDLE_S:
            return None
        self._looked_s = now_s
        return self._picture, None

    def _seen(self) -> tuple[Reading, ...]:
        if self._shown and self._shown[0] <= self._loop.time() < self._shown[1]:
            return (self._shown[2],)
        return ()


class _ShortCell:
    """A converter that is always right (cart_firmware.ports.LoadCell): a sample for every period."""

    rate_hz: float = _SHORT_RATE_HZ

    def __init__(self, counts: Callable[[], int], clock: Clock) -> None:
        self._counts, self._clock = counts, clock
        self._next_us = 0

    def poll(self, now_us: int) -> Sample | None:
        if now_us < self._next_us:
            return None
        self._next_us = now_us + 1_000_000 // _SHORT_RATE_HZ - 1
        return Sample(at_us=now_us, counts=self._counts())

    def close(self) -> None:
        """It is screwed to the cart."""


class _ShortReader:
    """What a reader would have found in the picture that was not taken."""

    def __init__(self, seen: Callable[[], tuple[Reading, ...]]) -> None:
        self._seen = seen

    def read(self, luma: Luma, /) -> tuple[Reading, ...]:
        del luma
        return self._seen()


class _Camera:
    """cart_firmware.ports.FrameSource over any look at the world; what was not worth a frame is None."""

    unmet = ()
    complaint = ""

    def __init__(self, look: Callable[[], tuple[Luma, Colour | None] | None], period_s: float, clock: Clock) -> None:
        self._look, self._period_s, self._clock = look, period_s, clock

    async def frames(self) -> AsyncIterator[Frame]:
        while True:
            await asyncio.sleep(self._period_s)
            seen = self._look()
            if seen is not None:
                luma, colour = seen
                yield Frame(at_us=self._clock.monotonic_us(), luma=luma, colour=colour)

    async def close(self) -> None:
        """The camera stays screwed to the cart."""


class _Symbol(msgspec.Struct, frozen=True):
    identifier: str
    digits: int


_SYMBOLS = {"EAN13": _Symbol("]E0", 13), "EAN8": _Symbol("]E4", 8), "UPCA": _Symbol("]E0", 12)}


def _reading(unit: Unit) -> Reading:
    """Return what the reader says of a unit's label: the code with the check digit that the label printer adds."""
    symbol = _SYMBOLS[unit.symbology]
    digits = unit.code if len(unit.code) == symbol.digits else unit.code + _check_digit(unit.code)
    if unit.symbology == "UPCA":
        digits = f"0{digits}"
    return Reading(digits.encode(), symbol.identifier, _NOWHERE)


def _check_digit(digits: str) -> str:
    """GS1 General Specifications, section 7.9: weights 3 and 1 from the right."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)
