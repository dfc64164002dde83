"""The cart's reader on the stream of a camera, against pyzbar's defaults on the same frames.

    scripts/bench frame [--frames 240] [--seed 1] [--json]

Both see every frame, one after the other in turned order, in one process and on one thread. The reader is the cart's
own, quick and with a clock, new for each scene; it knows the frames before, pyzbar knows nothing and needs to. A frame
is late when it took more than 1.2 times the reader's deadline. Of a late frame, `late_cpu` says whether the reader was
at work for so long, or whether the machine gave the processor to others.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import msgspec
import numpy as np
from pyzbar import pyzbar

from bench.frame_scenes import FRAMES_PER_SECOND, NOISE, SCENES, Frames, Picture
from cart_firmware.perception.reader import DEADLINE_S, Reader

SIZES = ((640, 480), (1280, 720))
LATE = 1.2
"""Times the deadline."""
IDLE_BAR = 20.0
"""Times faster than pyzbar that an idle frame of 640x480 is to be."""


class Times(msgspec.Struct):
    """What one engine took on each frame, in milliseconds, and on how many it read something."""

    wall: list[float] = []
    cpu: list[float] = []
    read: int = 0

    def ask(self, engine: Callable[[Picture], Any], luma: Picture) -> None:
        began, busy = time.perf_counter(), time.thread_time()
        found = engine(luma)
        self.cpu.append((time.thread_time() - busy) * 1e3)
        self.wall.append((time.perf_counter() - began) * 1e3)
        self.read += bool(found)

    def figures(self) -> dict[str, float]:
        return {
            "median_ms": round(statistics.median(self.wall), 3),
            "p95_ms": round(float(np.percentile(self.wall, 95)), 3),
            "max_ms": round(max(self.wall), 2),
            "read": self.read,
        }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench frame", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=240, help="of each scene in each size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    with _without_complaints():
        result = measure(options.frames, options.seed)
    show(result)
    if options.json:
        print(json.dumps({"bench": "frame", **result}))
    return 0


def measure(frames: int, seed: int) -> dict[str, Any]:
    _warm()
    rows = [
        {"size": f"{width}x{height}", "scene": scene, **compare(make(width, height, frames, seed), DEADLINE_S)}
        for width, height in SIZES
        for scene, make in SCENES.items()
    ]
    return {"frames": frames, "seed": seed, "deadline_ms": DEADLINE_S * 1e3, "rows": rows}


def compare(frames: Frames, deadline_s: float) -> dict[str, Any]:
    """Return the figures of both on these frames, and how many were late."""
    reader = Reader(deadline_s=deadline_s, now=time.perf_counter)
    engines: tuple[tuple[Times, Callable[[Picture], Any]], ...] = ((Times(), reader.read), (Times(), pyzbar.decode))
    for number, luma in enumerate(frames):
        for times, engine in engines[:: -1 if number % 2 else 1]:
            times.ask(engine, luma)
    ours, peer = engines[0][0], engines[1][0]
    late_ms = deadline_s * 1e3 * LATE
    late = [cpu > late_ms for wall, cpu in zip(ours.wall, ours.cpu, strict=True) if wall > late_ms]
    return {
        "ours": ours.figures(),
        "pyzbar": peer.figures(),
        "ratio": _ratio(peer.figures()["median_ms"], ours.figures()["median_ms"]),
        "ratio_p95": _ratio(peer.figures()["p95_ms"], ours.figures()["p95_ms"]),
        "late": len(late),
        "late_cpu": sum(late),
        "late_share": round(len(late) / len(ours.wall), 4),
    }


def show(result: dict[str, Any]) -> None:
    print(
        f"{result['frames']} frames of each, {FRAMES_PER_SECOND} a second, noise {NOISE}; "
        f"late: above {result['deadline_ms'] * LATE:g} ms"
    )
    print(f"{'':24} {'ours':>28} {'pyzbar':>28} {'faster':>13}")
    print(
        f"{'size':<10}{'scene':<13} "
        + f"{'median':>8} {'p95':>8} {'read':>10} " * 2
        + f"{'median':>7} {'p95':>6}  late"
    )
    for row in result["rows"]:
        print(
            f"{row['size']:<10}{row['scene']:<13} "
            + "".join(f"{row[who]['median_ms']:>8.2f} {row[who]['p95_ms']:>8.2f} {row[who]['read']:>10} "
                      for who in ("ours", "pyzbar"))
            + f"{row['ratio']:>6.1f}x {row['ratio_p95']:>5.1f}x  "
            + (f"{row['late']} ({row['late_cpu']} of them at work)" if row["late"] else "none")
            + f", longest {row['ours']['max_ms']:.1f} ms"
        )  # fmt: skip
    idle = [row["ratio"] for row in result["rows"] if row["size"] == "640x480" and row["scene"] != "busy"]
    print(f"idle frame of 640x480: {min(idle):.1f} times faster at least; the bar is {IDLE_BAR:g}")


@contextmanager
def _without_complaints() -> Iterator[None]:
    """Keep libzbar's assertions about half-seen DataBars off the terminal: they are many, and written by C."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _warm() -> None:
    """Have both libraries loaded: that is no frame's time."""
    grain = np.random.default_rng(0).integers(0, 255, (480, 640)).astype(np.uint8)
    Reader(patient=True).read(grain)
    pyzbar.decode(grain)


def _ratio(reference: float, ours: float) -> float:
    return round(reference / max(ours, 1e-6), 2)
