"""What share of one core a cart's weighing, fusion and recording take at 80 conversions and 30 frames a second.

    scripts/bench cart [--minutes 10] [--seed 3] [--json]

A trip of sim/trips is recorded once on a whole cart (bench/recorded_cart.py); then each part is fed what it was fed
there, one by one, and its processor time is measured alone: the weigher its readings, the scanner its frames (what was
read in them, not the pictures), the deciding part its matters and ticks, the recorder all of it, written to a disk.
The whole cart is the same trip with event loop, polling, sensors' services and screen, on virtual time.
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from bench import recorded_cart
from cart_firmware.core.recording import (
    Converted,
    Decided,
    Entry,
    Leaned,
    Looked,
    Reading,
    Segment,
    Ticked,
    read_segment,
    restored,
)
from cart_firmware.devices.segment_ring import SegmentRing, read
from cart_firmware.services import replay
from cart_firmware.services.decide import MATTERS, Decider, Decision, Matter, TimePassed
from cart_firmware.services.recorder import Recorder
from cart_protocol.pricing.price_book import PriceBook, Prices
from sim.trips import Settings, trip
from sim.virtual_time import VirtualClock, VirtualTimeLoop

BAR_PCT = 5.0
_FLUSH = 110
"""Entries in a second."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench cart", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    shares = measure(options.minutes, options.seed)
    parts = sum(share for name, share in shares.items() if name != "whole cart")
    for name, share in shares.items():
        print(f"  {name:<12}{100 * share:>8.2f} % of one core")
    print(f"  {'parts':<12}{100 * parts:>8.2f} %   bar {BAR_PCT:.0f} %")
    if options.json:
        print(json.dumps({"bench": "cart", "parts_pct": 100 * parts, "shares": shares, "bar_pct": BAR_PCT}))
    return 0


def measure(minutes: float, seed: int) -> dict[str, float]:
    """Return each part's share of one core."""
    made = trip(seed, Settings(minutes=minutes))
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.process_time()
        recorded_cart.play(made, seed, Path(folder) / "whole")
        whole_s = time.process_time() - began_s
        bundle = read(Path(folder) / "whole")
        name = max(bundle.segments, key=lambda each: len(bundle.segments[each]))
        segment = read_segment(bundle.segments[name], name)
        prices = _prices(segment, bundle.texts)
        seconds = _seconds(segment)
        spent = {
            "weighing": _weighing(segment),
            "scanning": _scanning(segment, prices),
            "fusion": _fusion(segment, prices),
            "recording": _recording(segment, prices, Path(folder) / "again"),
        }
    return {part: spent_s / seconds for part, spent_s in spent.items()} | {"whole cart": whole_s / made.seconds}


def _prices(segment: Segment, texts: dict[str, str]) -> Prices:
    if segment.header.book is None:
        raise AssertionError("the cart was given prices")
    return Prices(msgspec.json.decode(texts[segment.header.book.book], type=PriceBook))


def _seconds(segment: Segment) -> float:
    last_us = max(each.at_us for each in segment.entries if isinstance(each, Converted))
    return (last_us - segment.header.at_us) / 1e6


def _timed(what: Callable[[], None]) -> float:
    began_s = time.process_time()
    what()
    return time.process_time() - began_s


def _weighing(segment: Segment) -> float:
    weigher, _ = restored(segment.header, "bench")
    readings = [each for each in segment.entries if isinstance(each, Converted | Leaned)]

    def run() -> None:
        for each in readings:
            if isinstance(each, Converted):
                weigher.feed(each.at_us, each.counts)
            else:
                weigher.feel(each.at_us, each.x, each.y, each.z)

    return _timed(run)


def _scanning(segment: Segment, prices: Prices) -> float:
    _, scanner = restored(segment.header, "bench")
    scanner.use(prices)
    frames = [each for each in segment.entries if isinstance(each, Looked)]

    def run() -> None:
        for each in frames:
            for _ in range(each.empty):
                scanner.feed(each.at_us, ())
            scanner.feed(each.at_us, [(symbology, payload) for symbology, payload, _ in each.found], each.day)

    return _timed(run)


def _matters(segment: Segment, prices: Prices) -> tuple[Decider, list[tuple[Matter, int, replay.Recalled]]]:
    _, scanner = restored(segment.header, "bench")
    decider = Decider(segment.header.basket, segment.header.evidence, segment.header.fusion, scanner, prices)
    found = list[tuple[Matter, int, replay.Recalled]]()
    for each in segment.entries:
        if isinstance(each, Ticked):
            found.append((TimePassed(), each.at_us, replay.Recalled((), "")))
        elif isinstance(each, Decided):
            matter = msgspec.msgpack.decode(each.matter, type=MATTERS[each.kind])
            found.append((matter, each.at_us, replay.Recalled(each.minted, each.code)))
    return decider, found


def _fusion(segment: Segment, prices: Prices) -> float:
    decider, matters = _matters(segment, prices)

    def run() -> None:
        for matter, at_us, mint in matters:
            decision = decider.decide(matter, at_us, mint)
            decider.changes(decision)
            decider.settle(decision)

    return _timed(run)


def _recording(segment: Segment, prices: Prices, folder: Path) -> float:
    decider, matters = _matters(segment, prices)
    decisions = list[Decision]()
    for matter, at_us, mint in matters:
        decisions.append(decider.decide(matter, at_us, mint))
        decider.settle(decisions[-1])
    weigher, scanner = restored(segment.header, "bench")
    loop = VirtualTimeLoop()
    recorder = Recorder(SegmentRing(folder, 1 << 30, 0), VirtualClock(loop))
    recorder.join(segment.header.weighing, weigher, scanner, decider)

    def run() -> None:
        each_decision = iter(decisions)
        for number, entry in enumerate(segment.entries):
            _note(recorder, entry, each_decision)
            if number % _FLUSH == 0:
                loop.run_until_complete(recorder.flush())
        loop.run_until_complete(recorder.flush())

    spent_s = _timed(run)
    loop.close()
    return spent_s


def _note(recorder: Recorder, entry: Entry | Reading, decisions: Iterator[Decision]) -> None:
    match entry:
        case Converted(at_us, counts):
            recorder.converted(at_us, counts)
        case Leaned(at_us, x, y, z):
            recorder.leaned(at_us, x, y, z)
        case Ticked(at_us):
            next(decisions)
            recorder.ticked(at_us)
        case Looked(at_us, empty, day, found):
            for _ in range(empty):
                recorder.looked(at_us, (), {}, day)
            recorder.looked(at_us, [(symbology, payload) for symbology, payload, _ in found], {}, day)
        case Decided(recorded=recorded):
            recorder.decided(next(decisions), recorded=recorded)
