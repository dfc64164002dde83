"""Ways to find steps in a trip: ours, and the two that it is measured against. All see the same conversions."""

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np

from cart_firmware.config import Weighing
from cart_firmware.core.calibration import Calibration
from cart_firmware.core.weighing import Accuracy, Step, Weigher
from cart_protocol.mass import ZERO, Mass
from sim.trips import Felt, Trip
from sim.trips.signal import COUNTS_PER_GRAM

_RATE_HZ = 80
_CALIBRATED = Accuracy(Mass(700), 300)
"""As `cart-firmware calibrate` would find this platform: repeated weighings within half a gram, so the least that it
believes, and corners that are wrong by twice the one sigma of sim.trips.signal."""


class Found(msgspec.Struct, frozen=True):
    at_s: float
    mass_mg: float
    sigma_mg: float
    undone: bool = False
    """Whether the detector itself took it back."""
    undoes_s: float | None = None
    """When that was which it takes back."""
    level_mg: float = 0.0
    """What the detector held for the load after it."""


class Level(NamedTuple):
    """What the detector held for the load, and whether the load was at rest, as far as the detector knows."""

    at_s: float
    mass_mg: float
    quiet: bool = True


class Outcome(msgspec.Struct):
    found: list[Found]
    levels: list[Level]
    cpu_s: float
    suspected_s: float | None = None
    """When the detector doubted its own cell."""


def weigher(trip: Trip, *, imu: bool = True) -> Outcome:
    """Return what our weigher says, fed a reading at a time, with settings as delivered, on a calibrated platform."""
    felt, settings = trip.felt, Weighing()
    scale = Weigher(
        Calibration(zero_counts=0, counts_per_kilogram=COUNTS_PER_GRAM * 1_000), rate_hz=_RATE_HZ,
        window_ms=settings.window_ms, band_mg=settings.band_mg, smallest_step_mg=settings.smallest_step_mg, level=ZERO,
        up=felt.up_ug, accuracy=_CALIBRATED,
    )  # fmt: skip
    steps, levels, suspected_s = list[Step](), list[Level](), None
    readings = list(zip(felt.at_us.tolist(), felt.counts.tolist(), strict=True))
    leans = deque(zip(felt.imu_at_us.tolist(), felt.imu_ug.tolist(), strict=True)) if imu else deque()
    began_s, next_us = time.process_time(), 0
    for at_us, counts in readings:
        while leans and leans[0][0] <= at_us:
            moment, axes = leans.popleft()
            scale.feel(moment, *axes)
        if step := scale.feed(at_us, counts):
            steps.append(step)
        if at_us >= next_us:
            next_us += 500_000
            levels.append(Level(at_us / 1e6, float(scale.level), scale.quiet))
            if suspected_s is None and scale.suspicious:
                suspected_s = at_us / 1e6
    cpu_s = time.process_time() - began_s
    undone = {step.undoes_us for step in steps if step.undoes_us is not None}
    found = [
        Found(
            step.at_us / 1e6, step.mass, step.variance**0.5, step.at_us in undone or step.undoes_us is not None,
            None if step.undoes_us is None else step.undoes_us / 1e6, step.level,
        )
        for step in steps
    ]  # fmt: skip
    return Outcome(found, levels, cpu_s, suspected_s)


def weigher_alone(trip: Trip) -> Outcome:
    """Return what our weigher says on a cart without an accelerometer."""
    return weigher(trip, imu=False)


_THRESHOLD_G = 15.0


def median_rule(trip: Trip) -> Outcome:
    """Median of five readings at ten a second, a step beyond 15 g: what hobby carts do."""
    at_s, grams = _grams(trip.felt)
    at_s, grams = at_s[::8], grams[::8]
    began_s = time.process_time()
    medians = np.median(np.lib.stride_tricks.sliding_window_view(grams, 5), axis=1)
    base, found, levels = 0.0, list[Found](), list[Level]()
    for moment, median in zip(at_s[4:].tolist(), medians.tolist(), strict=True):
        if abs(median - base) > _THRESHOLD_G:
            found.append(Found(moment, (median - base) * 1_000, 5_000, level_mg=median * 1_000))
            base = median
        levels.append(Level(moment, base * 1_000))
    return Outcome(found, levels, time.process_time() - began_s)


_QUIET_S, _BAND_G, _QUIET_STEP_G, _BASELINE = 0.5, 6.0, 12.0, 0.02
_CANCEL_S, _CANCEL_MG = 3.0, 8_000


def quiet_rule(trip: Trip) -> Outcome:
    """Four block means of half a second within 6 g, a step beyond 12 g, pairs that undo each other within 3 s."""
    at_s, grams = _grams(trip.felt)
    began_s = time.process_time()
    length = round(_QUIET_S * _RATE_HZ)
    sums = np.concatenate([[0.0], np.cumsum(grams)])
    ends = np.arange(length, len(grams), 8)
    quarters = [(sums[ends - k * length // 4] - sums[ends - (k + 1) * length // 4]) / (length // 4) for k in range(4)]
    blocks = np.stack(quarters)
    quiet = np.ptp(blocks, axis=0) <= _BAND_G
    base, found, levels = 0.0, list[Found](), list[Level]()
    for end, mean in zip(ends[quiet].tolist(), blocks.mean(axis=0)[quiet].tolist(), strict=True):
        moment = float(at_s[end - 1])
        if abs(mean - base) > _QUIET_STEP_G:
            found.append(Found(moment, (mean - base) * 1_000, 4_000, level_mg=mean * 1_000))
            base = mean
        else:
            base += _BASELINE * (mean - base)
        levels.append(Level(moment, base * 1_000))
    return Outcome(_cancelled(found), levels, time.process_time() - began_s)


def _cancelled(found: list[Found]) -> list[Found]:
    kept: list[Found] = []
    for step in found:
        last = kept[-1] if kept else None
        pair = last and not last.undone and step.at_s - last.at_s < _CANCEL_S
        if last and pair and abs(last.mass_mg + step.mass_mg) < _CANCEL_MG:
            kept[-1] = msgspec.structs.replace(last, undone=True)
            kept.append(msgspec.structs.replace(step, undone=True, undoes_s=last.at_s))
        else:
            kept.append(step)
    return kept


def _grams(felt: Felt) -> tuple[np.ndarray, np.ndarray]:
    return felt.at_us / 1e6, felt.counts / COUNTS_PER_GRAM


DETECTORS: dict[str, Callable[[Trip], Outcome]] = {
    "median + threshold": median_rule,
    "quiet window alone": quiet_rule,
    "weigher, no accelerometer": weigher_alone,
    "weigher": weigher,
}
