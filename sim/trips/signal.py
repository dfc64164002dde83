"""From the script to what the sensors felt: counts of the load cell, and the accelerometer's three axes."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from sim.trips.story import Manner, Phase, Placed, Settings, Story, Touch

Floats = NDArray[np.float64]

COUNTS_PER_GRAM = 83.88608
"""50 kg cell, 2 mV/V, gain 128 (HX711 data sheet: full scale +-20 mV at 5 V)."""
DEAD_G = 2_000.0
"""Basket and platform: tared, but shaken and tilted with the goods."""
IMU_HZ = 20
_VIBRATION_HZ = (4.3, 7.1, 11.7, 17.9, 23.3, 31.0)
_VIBRATION_SHARE, _ROUGHNESS = 0.035, 0.02
_RING_HZ, _RING_DECAY_S, _RING_S = 9.0, 0.12, 1.8
_RING_MOST_G = 900.0
_CREEP = ((0.00010, 60.0), (0.00015, 900.0))
"""Share of the load and time constant: together 12 g of 50 kg in half an hour (OIML R60, class C3)."""
_WARMING_G_PER_MIN = 1.0
"""Zero of the cell where it goes from the entrance to the chilled aisle: 0.02 % of 50 kg for 10 K, some K a minute at
most. Our guess: three overlaid waves of this slope together."""
_ECCENTRIC = 0.0003
"""Of a thing's mass, one standard deviation, by where it lies."""
_IMU_OFFSET_G = 0.03
"""Of each axis as it comes from the maker, one standard deviation (MPU-6050 data sheet: 50 mg at most)."""
_PUSH_G = 0.04
"""Accelerations along the floor while it rolls, one standard deviation."""


class Felt(msgspec.Struct, frozen=True):
    """All that a cart is told: conversions as they came, lost ones left out, and the accelerometer."""

    at_us: NDArray[np.int64]
    counts: NDArray[np.int64]
    imu_at_us: NDArray[np.int64]
    imu_ug: NDArray[np.int64]
    """x, y, z in millionths of gravity, one row for each moment."""
    up_ug: tuple[int, int, int]
    """What it felt on level floor before the trip."""


def felt(story: Story, seed: int, settings: Settings) -> Felt:
    """Return what the sensors of the trip felt; the same for the same seed."""
    dice = np.random.default_rng([seed, 0x7EA5])
    time_s = np.arange(round(story.seconds * settings.rate_hz)) / settings.rate_hz
    slope = _slope(time_s, story.phases)
    load = np.zeros_like(time_s)
    extra = np.zeros_like(time_s)
    for placed in story.placed:
        _place(time_s, load, extra, placed, dice)
    for touch in story.touches:
        _touch(time_s, extra, touch, dice)
    for shock in story.shocks:
        _ring(time_s, extra, shock.at_s, shock.size_g, dice)
    shaking = _shaking(time_s, story.phases, dice)
    grams = (load + DEAD_G) * np.cos(slope) * (1 + shaking) - DEAD_G + extra
    if settings.drift:
        grams += _drift(time_s, load, dice)
    grams += settings.runs_away_g_per_min / 60 * time_s
    grams += dice.normal(0, settings.noise_g, len(time_s))
    kept = _kept(len(time_s), settings.lost, dice)
    counts = np.rint(grams * COUNTS_PER_GRAM).astype(np.int64)
    at_us = np.rint(time_s * 1e6).astype(np.int64)
    imu_at_us, imu_ug, up_ug = _imu(time_s, slope, shaking, settings, dice)
    return Felt(at_us[kept], counts[kept], imu_at_us, imu_ug, up_ug)


def _slope(time_s: Floats, phases: list[Phase]) -> Floats:
    """The floor changes its slope while the cart rolls, within a second or two."""
    moments, values = [0.0], [0.0]
    for phase in phases:
        if phase.rolls:
            middle_s = (phase.from_s + phase.until_s) / 2
            moments += [middle_s - 0.75, middle_s + 0.75]
            values += [values[-1], math.radians(phase.slope_deg)]
    return np.interp(time_s, moments, values)


def _span(time_s: Floats, from_s: float, until_s: float) -> slice:
    first, last = np.searchsorted(time_s, (from_s, until_s))
    return slice(int(first), int(last))


def _ring(time_s: Floats, extra: Floats, at_s: float, size_g: float, dice: np.random.Generator) -> None:
    span = _span(time_s, at_s, at_s + _RING_S)
    age = time_s[span] - at_s
    hertz = _RING_HZ * dice.uniform(0.9, 1.1)
    extra[span] += size_g * np.exp(-age / _RING_DECAY_S) * np.sin(2 * math.pi * hertz * age)


def _place(time_s: Floats, load: Floats, extra: Floats, placed: Placed, dice: np.random.Generator) -> None:
    """Goods arrive or leave, from the first touch to the hand that lets go, and what comes after."""
    mass = placed.mass_g * (1 + dice.normal(0, _ECCENTRIC))
    arriving = _span(time_s, placed.began_s, placed.at_s)
    load[arriving.stop :] += mass
    if arriving.stop > arriving.start:
        share = np.linspace(0, 1, arriving.stop - arriving.start, endpoint=False)
        uneven = 0.12 * np.sin(2 * math.pi * dice.uniform(1.5, 3.5) * (time_s[arriving] - placed.began_s))
        load[arriving] += mass * np.clip(share + uneven * share * (1 - share) * 4, 0, 1.2)
    softness = {Manner.DROP: 1.0, Manner.ROUND: 0.6}.get(placed.manner, 0.15)
    size = min(_RING_MOST_G, 0.8 * abs(mass) + 60) * softness
    _ring(time_s, extra, placed.at_s, math.copysign(size, mass), dice)
    if placed.manner is Manner.ROUND:
        size_g, hertz, decay_s = dice.uniform(0.05, 0.25) * mass, dice.uniform(0.7, 2.0), dice.uniform(0.3, 0.9)
        _sway(time_s, extra, placed.at_s, size_g=size_g, hertz=hertz, decay_s=decay_s)
        _ring(time_s, extra, placed.at_s + dice.uniform(0.3, 1.2), 0.3 * size, dice)
    if placed.manner is Manner.HANGING:
        size_g, hertz, decay_s = dice.uniform(0.02, 0.06) * mass, dice.uniform(1.6, 2.4), dice.uniform(0.4, 1.2)
        _sway(time_s, extra, placed.at_s, size_g=size_g, hertz=hertz, decay_s=decay_s)


def _sway(time_s: Floats, extra: Floats, at_s: float, *, size_g: float, hertz: float, decay_s: float) -> None:
    span = _span(time_s, at_s, at_s + 8 * decay_s)
    age = time_s[span] - at_s
    extra[span] += size_g * np.exp(-age / decay_s) * np.sin(2 * math.pi * hertz * age)


def _touch(time_s: Floats, extra: Floats, touch: Touch, dice: np.random.Generator) -> None:
    span = _span(time_s, touch.from_s, touch.until_s)
    age, left = time_s[span] - touch.from_s, touch.until_s - time_s[span]
    rise = np.minimum(1.0, np.minimum(age, left) / 0.12)
    sway = sum(
        np.sin(2 * math.pi * dice.uniform(low, high) * age + dice.uniform(0, 6.28))
        for low, high in ((0.3, 1), (1, 3), (6, 11))
    )
    extra[span] += touch.force_g * rise * (1 + touch.tremor * sway / 1.2)


def _shaking(time_s: Floats, phases: list[Phase], dice: np.random.Generator) -> Floats:
    """Vertical acceleration of the rolling cart as a share of gravity."""
    shaking = np.zeros_like(time_s)
    for phase in phases:
        if not phase.rolls:
            continue
        span = _span(time_s, phase.from_s, phase.until_s)
        age = time_s[span] - phase.from_s
        for hertz in _VIBRATION_HZ:
            angle = dice.uniform(0, 2 * math.pi)
            shaking[span] += (
                _VIBRATION_SHARE * np.sin(2 * math.pi * hertz * age + angle) * (1 + 0.5 * np.sin(0.7 * age + angle))
            )
        shaking[span] += dice.normal(0, _ROUGHNESS, len(age))
    return shaking


def _drift(time_s: Floats, load: Floats, dice: np.random.Generator) -> Floats:
    drift = np.zeros_like(time_s)
    for _ in range(3):
        period_s = dice.uniform(300, 1_800)
        size = _WARMING_G_PER_MIN / 3 * period_s / 60 / (2 * math.pi)
        drift += size * np.sin(2 * math.pi * time_s / period_s + dice.uniform(0, 2 * math.pi))
    drift -= drift[0]
    step = 8
    for share, constant_s in _CREEP:
        blend = step * (time_s[1] - time_s[0]) / constant_s
        follows, at = np.zeros(len(load[::step])), 0.0
        for place, value in enumerate(load[::step].tolist()):
            at += (value - at) * blend
            follows[place] = at
        drift += share * np.interp(time_s, time_s[::step], follows)
    return drift


def _kept(conversions: int, lost: float, dice: np.random.Generator) -> NDArray[np.bool_]:
    """Lose single conversions, and now and then a whole burst."""
    kept = dice.random(conversions) >= lost
    for first in np.flatnonzero(dice.random(conversions) < lost / 25):
        kept[first : first + int(dice.integers(4, 30))] = False
    return kept


def _imu(
    time_s: Floats, slope: Floats, shaking: Floats, settings: Settings, dice: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int, int]]:
    every = max(1, round(settings.rate_hz / IMU_HZ))
    at, leaning, shaken = time_s[::every], slope[::every], shaking[::every]
    pushed = np.where(shaken != 0, dice.normal(0, _PUSH_G, len(at)), 0.0)
    axes = np.stack([np.sin(leaning) + pushed, np.where(shaken != 0, dice.normal(0, _PUSH_G, len(at)), 0.0),
                     np.cos(leaning) * (1 + shaken)], axis=1)  # fmt: skip
    roll, pitch = dice.normal(0, math.radians(settings.imu_askew_deg), 2).tolist()
    mounted = _turned(roll, pitch, dice.uniform(0, 2 * math.pi))
    at_calibration = dice.normal(0, _IMU_OFFSET_G, 3)
    axes = axes @ mounted.T + at_calibration + dice.normal(0, settings.imu_bias_g, 3)
    axes += dice.normal(0, settings.imu_noise_g, axes.shape)
    x, y, z = np.rint((mounted @ (0, 0, 1) + at_calibration) * 1e6).astype(int).tolist()
    return np.rint(at * 1e6).astype(np.int64), np.rint(axes * 1e6).astype(np.int64), (x, y, z)


def _turned(roll: float, pitch: float, yaw: float) -> Floats:
    """Return the rotation from the cart's axes to those of a part mounted askew."""
    rotation = np.eye(3)
    for angle, (one, other) in ((roll, (1, 2)), (pitch, (2, 0)), (yaw, (0, 1))):
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = math.cos(angle)
        turn[one, other], turn[other, one] = -math.sin(angle), math.sin(angle)
        rotation = turn @ rotation
    return rotation
