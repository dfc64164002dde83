"""Trips of sim/trips on a cart that records, and each record replayed: does replay decide what the cart decided?

    scripts/bench replay [--trips 1000] [--minutes 10] [--seed 1] [--json]

The cart is whole but for steel, light and the store (bench/recorded_cart.py); its record is the files it left.
"""

import argparse
import concurrent.futures
import json
import logging
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import structlog

from bench import recorded_cart
from cart_firmware.devices.segment_ring import read
from cart_firmware.services.replay import replay
from sim.trips import Settings, trip


class Played(msgspec.Struct):
    """What came of some trips; adds up."""

    trips: int = 0
    hours: float = 0.0
    decisions: int = 0
    ticks: int = 0
    readings: int = 0
    lines: int = 0
    bytes: int = 0
    play_s: float = 0.0
    replay_s: float = 0.0
    differences: list[str] = []

    def add(self, other: "Played") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trips", type=int, default=1_000)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each trip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args(arguments)
    began_s = time.perf_counter()
    found = measure(options.trips, options.minutes, options.seed, processes=options.processes)
    seconds = time.perf_counter() - began_s
    show(found, seconds)
    if options.json:
        figures = msgspec.to_builtins(found) | {"seconds": seconds, "bytes_per_hour": found.bytes / found.hours}
        print(json.dumps({"bench": "replay", "seed": options.seed} | figures))
    return 1 if found.differences else 0


def measure(trips: int, minutes: float, seed: int, *, processes: int = 1) -> Played:
    """Return the sum of `trips` trips that this seed makes."""
    found = Played()
    jobs = [(seed * 1_000_003 + number, minutes) for number in range(trips)]
    if processes == 1:
        for job in jobs:
            found.add(one(*job))
        return found
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for number, each in enumerate(pool.map(one, *zip(*jobs, strict=True)), 1):
            found.add(each)
            if number % 20 == 0:
                print(f"{number}/{trips} trips, {len(found.differences)} differences", file=sys.stderr, flush=True)
    return found


def one(seed: int, minutes: float) -> Played:
    """Record and replay one trip."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    made = trip(seed, Settings(minutes=minutes))
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "recording"
        began_s = time.process_time()
        basket = recorded_cart.play(made, seed, recording)
        play_s = time.process_time() - began_s
        size = sum(path.stat().st_size for path in recording.glob("segment-*"))
        began_s = time.process_time()
        found = replay(read(recording))
    return Played(
        trips=1, hours=made.seconds / 3_600, decisions=found.decisions, ticks=found.ticks, readings=found.readings,
        lines=len(basket.lines), bytes=size, play_s=play_s, replay_s=time.process_time() - began_s,
        differences=[f"{seed}: {each.part} at {each.at_us}: {each.cart} / {each.replay}" for each in found.differences],
    )  # fmt: skip


def show(found: Played, seconds: float) -> None:
    print(f"{found.trips} trips, {found.hours:.1f} hours of carts, {found.lines} lines in baskets at their end")
    print(f"  {'decisions replayed':<24}{found.decisions:>12,}")
    print(f"  {'ticks without one':<24}{found.ticks:>12,}")
    print(f"  {'conversions weighed':<24}{found.readings:>12,}")
    print(f"  {'differences':<24}{len(found.differences):>12}   must be 0")
    print(f"  {'bytes an hour':<24}{found.bytes / found.hours:>12,.0f}")
    print(f"  {'seconds':<24}{seconds:>12.0f}   processor: {found.play_s:.0f} recorded, {found.replay_s:.0f} replayed")
    for difference in found.differences[:20]:
        print(f"  {difference}")
