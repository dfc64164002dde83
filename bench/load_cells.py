"""The load-cell drivers where it hurts: pin accesses that are held up, and plugs pulled at any clock edge.

    scripts/bench load-cells [--reads 100000] [--json]

Held up: one pin access in a thousand takes 20 us to 3 ms longer (on SPI: the pause after one byte in a thousand), in
virtual time, at gain 128 and 64 and with both guesses about what an unfinished frame does to the chip. A read is wrong
when the chip did not convert exactly those counts at the gain asked for. Reference, in the same run: the PyPI package
`hx711` as its users call it. Plugs: pulled at every edge of a frame (every byte, on I2C) and put back after several
times; measured is from then to the next good reading, and how the cart names the fault on the console.
"""

import argparse
import json
import logging
import time
from dataclasses import replace
from typing import Any

import structlog

from bench.load_cell_rigs import RIGS, Conditions, Rig, package_class
from cart_firmware.core.calibration import Calibration
from cart_firmware.core.health import Health
from cart_firmware.core.weighing import Weigher
from cart_firmware.services.recorder import Recorder
from cart_firmware.services.sense import Scale
from cart_protocol.basket import Fault
from cart_protocol.mass import Mass
from sim.chips.hx711 import HX711Chip, PartialFrame
from sim.wires.rpi_gpio import GpioModule, Preemption, WireTime

EVERY = 1_000
RECOVERY_BAR_S = 2.0
AWAY_S = (0.001, 0.02, 0.3, 1.0)
"""How long the plug is out."""
NAMED_FROM_S = 0.3
"""What is out for less is a lost reading, counted by the cart; no hand is so quick."""
_CONDITIONS = tuple(
    Conditions(gain=gain, partial=partial, preempt_every=EVERY) for gain in (128, 64) for partial in PartialFrame
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench load-cells", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reads", type=int, default=100_000, help="of each driver under each condition")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # the package tells the root logger of each slow pulse
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    result = measure(options.reads)
    show(result)
    if options.json:
        print(json.dumps({"bench": "load-cells", **result}))
    return 0


def measure(reads: int, *, edges: int = 1) -> dict[str, Any]:
    """Return all figures. `edges`: try every so-manieth edge of a frame only."""
    held_up: list[dict[str, Any]] = []
    for name in RIGS:
        if name in ("nau7802", "hx711-iio"):
            continue  # nobody can hold up the clock of the one's bus, or of the other's pulses
        held_up += [held_up_row(name, conditions, reads) for conditions in _CONDITIONS if offers(name, conditions)]
    held_up += [package_alone(conditions, reads) for conditions in _CONDITIONS]
    plugs = [
        unplugged(name, Conditions(rate_hz=rate_hz, gain=gain), edges=edges)
        for name in RIGS
        for rate_hz in (80, 10)
        for gain in (128, 64)
        if offers(name, Conditions(gain=gain))
    ]
    return {"every": EVERY, "held_up": held_up, "unplugged": plugs}


def offers(name: str, conditions: Conditions) -> bool:
    return name != "hx711-package" or conditions.gain == 128


def held_up_row(name: str, conditions: Conditions, reads: int) -> dict[str, Any]:
    """Return what a driver made of so many attempts to read."""
    rig = RIGS[name](conditions)
    good, began = 0, time.perf_counter()
    while good + len(rig.errors) < reads:
        good += rig.step() is not None
    return {
        **_row(name, conditions), "good": good, "wrong": rig.wrong, "rejected": len(rig.errors),
        "virtual_s": round(rig.time.now_s, 1), "us_per_read": round((time.perf_counter() - began) / reads * 1e6),
    }  # fmt: skip


def package_alone(conditions: Conditions, reads: int) -> dict[str, Any]:
    """Return what the package gives to its users, who call get_raw_data."""
    virtual = WireTime()
    chip = HX711Chip(lambda _: 4.0, virtual, partial=conditions.partial, seed=conditions.seed)
    gpio = GpioModule(virtual, preemption=Preemption(conditions.preempt_every, conditions.seed))
    gpio.attach(chip, dout=5, pd_sck=6)
    hx711 = package_class(gpio, virtual)(5, 6, gain=conditions.gain)
    hx711.get_raw_data(10)
    good, wrong, attempts = 0, 0, 0
    while attempts < reads:
        attempts += 1
        counts = hx711._read()  # noqa: SLF001 - one turn of get_raw_data, which may never return
        if counts is False or counts == -1:
            continue
        true = [word for word, gain in chip.converted if gain == conditions.gain]
        good, wrong = good + (counts in true), wrong + (counts not in true)
    return {
        **_row("package alone", conditions), "good": good, "wrong": wrong, "rejected": attempts - good - wrong,
        "virtual_s": round(virtual.now_s, 1),
    }  # fmt: skip


class Console:
    """A cart's scale and health on a rig: what staff would see."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.named = rig, set[Fault]()
        self.health = Health(started_us=0)
        weigher = Weigher(
            Calibration(zero_counts=0, counts_per_kilogram=83_886.08), rate_hz=rig.cell.rate_hz, window_ms=500,
            band_mg=6_000, smallest_step_mg=12_000, level=Mass(0),
        )  # fmt: skip
        self.scale = Scale(rig.cell, weigher, self.health, self, lambda _: None, recorder=Recorder(None, self))

    def monotonic_us(self) -> int:
        return self.rig.time.microseconds()

    def wall_ms(self) -> int:
        return 0

    def synchronised(self) -> bool:
        return True

    def boot(self) -> str:
        return "bench"

    def run(self, until_s: float, *, to_reading_after_s: float | None = None) -> float | None:
        """Let time pass; return when a reading taken after the given time arrived, if one is waited for."""
        while self.rig.time.now_s < until_s:
            self.rig.sync()
            self.rig.time.take(self.scale.poll())
            self.named |= set(self.health.faults(self.monotonic_us())) - {Fault.CAMERA_SILENT, Fault.NO_PRICE_BOOK}
            turned_us = self.scale.turned_us or 0
            if to_reading_after_s is not None and turned_us > to_reading_after_s * 1e6:
                return self.rig.time.now_s
        return None


def unplugged(name: str, conditions: Conditions, *, edges: int = 1) -> dict[str, Any]:
    """Pull the plug at every edge of a frame and just after it; put it back after each of AWAY_S."""
    slowest, wrong, unnamed, tried, lost = 0.0, 0, 0, 0, 0
    names = set[str]()
    bits = RIGS[name](conditions).bits
    for edge in range(1, bits + 3, edges):
        for away_s in AWAY_S:
            rig = RIGS[name](replace(conditions, seed=edge))
            console = Console(rig)
            console.run(3.0)
            console.named.clear()
            rig.unplug_soon(edge)
            console.run(3.0 + 2.5 / conditions.rate_hz)
            rig.unplug()  # an edge after the frame did not come any more
            console.run(rig.time.now_s + away_s)
            rig.replug()
            back_s = rig.time.now_s
            rested_s = console.run(back_s + 10.0, to_reading_after_s=back_s)
            tried += 1
            lost += rested_s is None
            slowest = max(slowest, (rested_s or back_s + 10.0) - back_s)
            console.run(rig.time.now_s + 1.0)
            names |= {fault.value for fault in console.named}
            unnamed += away_s >= NAMED_FROM_S and not console.named
            wrong += rig.wrong
    return {
        **_row(name, conditions), "rate_hz": conditions.rate_hz, "tried": tried, "wrong": wrong,
        "recovered_s": round(slowest, 2), "lost": lost, "unnamed": unnamed, "named": sorted(names),
    }  # fmt: skip


def show(result: dict[str, Any]) -> None:
    print(f"One pin access in {result['every']} held up (SPI: pause after one byte)")
    print(f"  {'driver':<15} {'gain':>4} {'unfinished':<10} {'good':>8} {'rejected':>9} {'WRONG':>6}")
    for row in result["held_up"]:
        print(
            f"  {row['driver']:<15} {row['gain']:>4} {row['partial']:<10} {row['good']:>8} {row['rejected']:>9} "
            f"{row['wrong']:>6}"
        )
    print(f"Unplugged at every edge, for {', '.join(f'{away_s:g}' for away_s in AWAY_S)} s")
    print(f"(unnamed: of those that were out for {NAMED_FROM_S} s or more)")
    print(f"  {'driver':<15} {'gain':>4} {'rate':>4} {'tried':>6} {'WRONG':>6} {'unnamed':>8} {'back in':>8}  named")
    for row in result["unplugged"]:
        print(
            f"  {row['driver']:<15} {row['gain']:>4} {row['rate_hz']:>4} {row['tried']:>6} {row['wrong']:>6} "
            f"{row['unnamed']:>8} {row['recovered_s']:>6.2f} s  {', '.join(row['named'])}"
        )


def _row(name: str, conditions: Conditions) -> dict[str, Any]:
    return {"driver": name, "gain": conditions.gain, "partial": conditions.partial.value}
