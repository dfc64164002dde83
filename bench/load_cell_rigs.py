"""Every load-cell driver on its chip, in virtual time: for the contract tests and for `scripts/bench load-cells`."""

import contextlib
import importlib.util
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

from cart_firmware.devices.hx711 import PULSES
from cart_firmware.devices.hx711_bitbang import hx711_bitbang
from cart_firmware.devices.hx711_iio import Hx711Iio, Outcome
from cart_firmware.devices.hx711_package import hx711_package
from cart_firmware.devices.hx711_spi import hx711_spi
from cart_firmware.devices.nau7802 import Nau7802
from cart_firmware.ports import LoadCell, LoadCellError, Sample, SilentError
from sim.chips.hx711 import HX711Chip, PartialFrame
from sim.chips.nau7802 import NAU7802Chip
from sim.wires.hx711_kernel import KernelDriver
from sim.wires.i2c import RegisterBus
from sim.wires.rpi_gpio import GpioModule, Preemption, WireTime
from sim.wires.spi import LoadCellBus

DOUT, PD_SCK = 5, 6
MILLIVOLTS = 4.0
"""20 kg on a 50 kg cell of 2 mV/V at 5 V."""


@dataclass
class Conditions:
    """What a rig is tried under."""

    rate_hz: Literal[10, 80] = 80
    gain: int = 128
    partial: PartialFrame = PartialFrame.RELOAD
    preempt_every: int = 0
    """One of so many pin accesses is held up; on SPI, the pause after one of so many bytes."""
    seed: int = 1
    strapped_hz: Literal[10, 80] | None = None
    """What RATE is really strapped for, where that is another."""


@dataclass
class Bridge:
    """A strain-gauge bridge that shows what it is told to."""

    value: float = MILLIVOLTS

    def millivolts(self, _: float = 0.0, /) -> float:
        return self.value


class Plug(HX711Chip):
    """A chip whose plug comes out at a clock edge that is told in advance."""

    unplug_in: int | None = None

    def pd_sck(self, level: int) -> None:
        edge = level != self._level
        super().pd_sck(level)
        if edge and self.unplug_in is not None:
            self.unplug_in -= 1
            if self.unplug_in <= 0:
                self.unplug_in = None
                self.unplug()


@dataclass
class Rig:
    """A driver, its chip, and the time they share."""

    name: str
    cell: LoadCell
    time: WireTime
    bridge: Bridge
    truth: Callable[[], list[int]]
    """Counts of the last conversions that were right: of the gain the driver was asked for."""
    unplug: Callable[[], None]
    replug: Callable[[], None]
    unplug_soon: Callable[[int], None]
    """Pull the plug after so many more clock edges (I2C: bytes)."""
    jam: Callable[[], None]
    bits: int
    """How many edges or bytes a reading has."""
    sync: Callable[[], None] = lambda: None
    gpio: GpioModule | None = None
    errors: list[LoadCellError] = field(default_factory=list)
    wrong: int = 0

    def step(self) -> Sample | None:
        """Poll once, as the service does, and let half a conversion pass. A sample that is not true is counted."""
        self.sync()
        sample = None
        try:
            sample = self.cell.poll(self.time.microseconds())
        except LoadCellError as error:
            self.errors.append(error)
        if sample is not None and sample.counts not in self.truth():
            self.wrong += 1
        self.time.take(0.5 / self.cell.rate_hz)
        return sample

    def run(self, seconds: float) -> list[Sample]:
        end_s, samples = self.time.now_s + seconds, []
        while self.time.now_s < end_s:
            if sample := self.step():
                samples.append(sample)
        return samples

    def named(self) -> set[str]:
        return {type(error).__name__ for error in self.errors}


def spi(conditions: Conditions) -> Rig:
    time, bridge, dice = WireTime(), Bridge(), Random(conditions.seed)
    every = conditions.preempt_every

    def gap() -> float:
        return 20e-6 * 150 ** dice.random() if every and dice.random() < 1 / every else 0.0

    bus = LoadCellBus(
        bridge, time, rate_hz=conditions.strapped_hz or conditions.rate_hz, seed=conditions.seed, gap=gap,
        partial=conditions.partial, chip=Plug,
    )  # fmt: skip

    def sync() -> None:
        time.now_s = max(time.now_s, bus.now_s)

    def clock() -> int:
        return int(max(time.now_s, bus.now_s) * 1e6)

    cell = hx711_spi(bus, conditions.rate_hz, clock, gain=conditions.gain)
    return _hx711_rig("hx711-spi", cell, time, bridge, bus.chip, conditions, sync=sync)


def bitbang(conditions: Conditions) -> Rig:
    time, bridge, chip, gpio = _on_pins(conditions)
    cell = hx711_bitbang(gpio, DOUT, PD_SCK, conditions.rate_hz, time.microseconds, gain=conditions.gain)
    return _hx711_rig("hx711-bitbang", cell, time, bridge, chip, conditions, gpio=gpio)


def package(conditions: Conditions) -> Rig:
    time, bridge, chip, gpio = _on_pins(conditions)
    cell = hx711_package(
        package_class(gpio, time), DOUT, PD_SCK, conditions.rate_hz, time.microseconds,
        cleanup=lambda: gpio.cleanup([DOUT, PD_SCK]),
    )  # fmt: skip
    return _hx711_rig("hx711-package", cell, time, bridge, chip, conditions, gpio=gpio)


def iio(conditions: Conditions) -> Rig:
    time, kernel, bridge = WireTime(), WireTime(), Bridge()
    chip = _chip(bridge, kernel, conditions)
    readings = KernelReadings(KernelDriver(chip, PULSES[conditions.gain]), kernel, time)
    return _hx711_rig("hx711-iio", Hx711Iio(readings, conditions.rate_hz), time, bridge, chip, conditions)


def nau7802(conditions: Conditions) -> Rig:
    time, bridge = WireTime(), Bridge()
    chip = NAU7802Chip(bridge.millivolts, time, seed=conditions.seed)
    bus = RegisterBus(chip)
    cell = Nau7802(bus, conditions.rate_hz, time.microseconds, gain=conditions.gain)
    return Rig(
        "nau7802", cell, time, bridge, lambda: list(chip.converted), bus.unplug, bus.replug,
        lambda count: setattr(bus, "bytes_left", count), lambda: setattr(chip, "jammed", True), bits=9,
    )  # fmt: skip


RIGS: dict[str, Callable[[Conditions], Rig]] = {
    "hx711-spi": spi,
    "hx711-bitbang": bitbang,
    "hx711-package": package,
    "hx711-iio": iio,
    "nau7802": nau7802,
}


class KernelReadings:
    """What the reading thread would have found by now (hx711_iio.Readings), without a thread."""

    def __init__(self, driver: KernelDriver, kernel: WireTime, now: WireTime) -> None:
        self._driver, self._kernel, self._now = driver, kernel, now
        self._reading = driver.reading()
        self._outcomes = deque[tuple[int, Outcome]](maxlen=16)

    def take(self) -> tuple[int, Outcome] | None:
        while self._kernel.now_s <= self._now.now_s:
            self._turn()
        return self._outcomes.popleft() if self._outcomes else None

    def close(self) -> None:
        self._reading.close()

    def _turn(self) -> None:
        try:
            self._kernel.take(next(self._reading))
        except StopIteration as ended:
            self._outcomes.append((self._kernel.microseconds(), ended.value - 0x800000))
            self._reading = self._driver.reading()
        except OSError as error:
            self._outcomes.append((self._kernel.microseconds(), SilentError(str(error))))
            self._kernel.take(0.1)
            self._reading = self._driver.reading()


def package_class(gpio: Any, time: WireTime) -> type[Any]:
    """Return the class of the installed PyPI package `hx711`, bound to simulated pins and to their time."""
    found = importlib.util.find_spec("hx711")
    if found is None or found.loader is None:
        raise RuntimeError("the package hx711 is not installed; run scripts/setup test")
    module = importlib.util.module_from_spec(found)
    with _importable(gpio):
        found.loader.exec_module(module)
    module.time = SimpleNamespace(sleep=time.take, perf_counter=time)  # type: ignore[attr-defined]
    chip_class: type[Any] = module.HX711
    return chip_class


@contextlib.contextmanager
def _importable(gpio: Any) -> Any:
    """Let `import RPi.GPIO as GPIO` find the simulated pins for a moment."""
    kept = {name: sys.modules.get(name) for name in ("RPi", "RPi.GPIO")}
    parent = ModuleType("RPi")
    parent.GPIO = gpio  # type: ignore[attr-defined]
    sys.modules["RPi"], sys.modules["RPi.GPIO"] = parent, gpio
    try:
        yield
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _on_pins(conditions: Conditions) -> tuple[WireTime, Bridge, Plug, GpioModule]:
    time, bridge = WireTime(), Bridge()
    chip = _chip(bridge, time, conditions)
    gpio = GpioModule(time, preemption=Preemption(conditions.preempt_every, conditions.seed))
    gpio.attach(chip, dout=DOUT, pd_sck=PD_SCK)
    return time, bridge, chip, gpio


def _chip(bridge: Bridge, time: WireTime, conditions: Conditions) -> Plug:
    return Plug(
        bridge.millivolts, time, rate_hz=conditions.strapped_hz or conditions.rate_hz, seed=conditions.seed,
        partial=conditions.partial,
    )  # fmt: skip


def _hx711_rig(
    name: str,
    cell: LoadCell,
    time: WireTime,
    bridge: Bridge,
    chip: HX711Chip,
    conditions: Conditions,
    *,
    sync: Callable[[], None] = lambda: None,
    gpio: GpioModule | None = None,
) -> Rig:
    return Rig(
        name, cell, time, bridge,
        lambda: [counts for counts, gain in chip.converted if gain == conditions.gain],
        chip.unplug, chip.replug, lambda count: setattr(chip, "unplug_in", count),
        lambda: setattr(chip, "jammed", True), bits=2 * PULSES[conditions.gain], sync=sync, gpio=gpio,
    )  # fmt: skip
