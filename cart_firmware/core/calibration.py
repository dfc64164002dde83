"""Counts of the load cell's converter to mass: a straight line, computed exactly, rounded once; and how it is found."""

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction

import msgspec
import numpy as np

from cart_firmware.core.cross_check import places
from cart_firmware.core.tilt import GRAVITY_UG, STEADIEST_UG, Axes
from cart_protocol.mass import Mass, shown
from cart_protocol.money import divide_half_up

_MILLIGRAMS_PER_KILOGRAM = 1_000_000


class CalibrationError(ValueError):
    """A slope that no load cell can have."""


class Calibration:
    """`zero_counts` of the empty platform and the slope found with a known mass."""

    def __init__(self, *, zero_counts: int, counts_per_kilogram: float) -> None:
        """Take the slope as the decimal number that stands in the configuration; a negative one is a turned cell.

        Raises:
            CalibrationError: the slope is zero or not a number.
        """
        try:
            slope = Fraction(str(counts_per_kilogram))
        except ValueError as error:
            raise CalibrationError(
                f"counts_per_kilogram is {counts_per_kilogram}; calibrate with a known mass"
            ) from error
        if slope == 0:
            raise CalibrationError("counts_per_kilogram is 0; calibrate with a known mass")
        self._zero = zero_counts
        self._up = slope.denominator * (1 if slope > 0 else -1) * _MILLIGRAMS_PER_KILOGRAM
        self._down = abs(slope.numerator)

    def mass(self, total_counts: int, samples: int = 1) -> Mass:
        """Return the mean load on the platform of `samples` readings that add up to `total_counts`."""
        return Mass(divide_half_up((total_counts - self._zero * samples) * self._up, self._down * samples))

    def span(self, counts: float) -> Mass:
        """Return the mass that belongs to a difference of `counts`, without sign: for spreads, not for goods."""
        return Mass(round(abs(counts) * abs(self._up) / self._down))


# ── calibrating ──────────────────────────────────────────────────────────────────────────────────────────────────────


class RefusedError(CalibrationError):
    """What was weighed cannot become a calibration; the text says what was seen and what to do."""


_LEAST_REPEAT = Mass(700)
"""Simulated trips, goods put anywhere and lifted again: 0.65 g, one sigma."""


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """A load that lay still: mean counts of each cell, and how far single readings of the sum scatter (one sigma)."""

    parts: tuple[float, ...]
    sigma: float

    def total(self, trims: Sequence[float]) -> float:
        return sum(part * trim for part, trim in zip(self.parts, trims, strict=True))


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a calibration must keep; all in milligrams. Our own choice: a cart's scale is not verified by law."""

    unrest: Mass = Mass(3_000)
    """Greatest range of the block means of one rest."""
    linearity: Mass = Mass(5_000)
    """Greatest error of a known mass, and 0.1 % of it more."""
    corner: Mass = Mass(10_000)
    """Greatest difference between the same mass in the middle and in a corner."""
    repeatability: Mass = Mass(5_000)
    """Greatest difference between the same mass put on several times."""
    zero_return: Mass = Mass(5_000)
    """What the empty platform may have moved after the masses were on it."""


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """All that was weighed: known masses, in milligrams, with what they did to the cells."""

    zero: Rest
    span: tuple[tuple[Mass, Rest], ...]
    zero_after: Rest
    corner_mass: Mass = Mass(0)
    corners: tuple[Rest, ...] = ()
    """Of `corner_mass` in each corner, in the order of the cells: from front left, clockwise."""
    repeated: tuple[tuple[Rest, Rest], ...] = ()
    """The first of the masses, several times: empty, and with it."""


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a certificate says; masses in milligrams."""

    noise: Mass
    """One sigma of a single reading."""
    errors: tuple[tuple[Mass, Mass], ...]
    """Each known mass, and by how much the line misses it."""
    zero_return: Mass
    corner_mass: Mass
    corners: tuple[Mass, ...]
    """By how much the mass weighs more in each corner than it is."""
    repeatability: Mass
    """Difference between the heaviest and the lightest of the same."""

    @property
    def repeat(self) -> Mass:
        """One sigma of weighing the same twice, on the safe side, as few weighings tell little; 0: none were made."""
        return Mass(max(_LEAST_REPEAT, self.repeatability)) if self.repeatability else Mass(0)

    @property
    def place_ppm(self) -> int:
        """One sigma of what the place does, in millionths of a mass: goods lie between middle and worst corner."""
        if not self.corners or not self.corner_mass:
            return 0
        return max(map(abs, self.corners)) * 1_000_000 // (2 * self.corner_mass)


class CalibrationRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calibration as it is kept: what the cart loads, of which cell it is, and how good it was."""

    v: int = 1
    cart: str
    devices: tuple[str, ...]
    rate_hz: int
    gain: int
    made_at: str
    """UTC, ISO 8601."""
    made_by: str
    zero_counts: int
    counts_per_kilogram: float
    trims: tuple[float, ...]
    zeros: tuple[int, ...]
    up: Axes | None = None
    """What the accelerometer read on level floor; None where there was none."""
    figures: Figures
    limits: Limits


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the arithmetic found, before it is dated and signed."""

    zero_counts: int
    counts_per_kilogram: float
    trims: tuple[float, ...]
    zeros: tuple[int, ...]
    figures: Figures


def upright(readings: Sequence[Axes]) -> Axes:
    """Return what an accelerometer reads on level floor, from readings of a cart that stands there.

    Raises:
        RefusedError: the cart did not stand still, or what was felt is not gravity.
    """
    axes = list(zip(*readings, strict=True))
    x, y, z = (round(statistics.fmean(axis)) for axis in axes)
    sway = max(statistics.pstdev(axis) for axis in axes)
    if sway > STEADIEST_UG:
        raise RefusedError(
            f"the accelerometer sways by {sway / 1_000:.1f} thousandths of gravity, at most "
            f"{STEADIEST_UG / 1_000:.0f} are taken; let go of the cart, and brake it"
        )
    gravity = math.hypot(x, y, z)
    if not GRAVITY_UG[0] <= gravity <= GRAVITY_UG[1]:
        raise RefusedError(
            f"the accelerometer feels {gravity / 1e6:.2f} times gravity on a cart that stands, expected 0.9 to 1.1; it "
            "is broken, or another part than 'imu.device' says"
        )
    return x, y, z


def rest(readings: Sequence[tuple[int, ...]], *, counts_per_kilogram: float, limits: Limits) -> Rest:
    """Return what readings of all cells, in a row, say of a load that lies still.

    Raises:
        RefusedError: it did not lie still. `counts_per_kilogram` need only be roughly right.
    """
    sums = [sum(parts) for parts in readings]
    quarter = max(1, len(sums) // 4)
    blocks = [statistics.fmean(sums[first : first + quarter]) for first in range(0, 4 * quarter, quarter)]
    unrest = _milligrams(max(blocks) - min(blocks), counts_per_kilogram)
    if unrest > limits.unrest:
        raise RefusedError(
            f"the load does not rest: it moved by {shown(unrest)}, at most {shown(limits.unrest)} is taken; "
            "let go of the cart, brake it, and keep away from fans and doors"
        )
    parts = tuple(statistics.fmean(cell) for cell in zip(*readings, strict=True))
    return Rest(parts=parts, sigma=statistics.pstdev(sums))


def calibrated(weighed: Weighed, limits: Limits) -> Outcome:
    """Return the calibration that follows from what was weighed.

    Raises:
        RefusedError: it cannot stand; the text says why and what to do.
    """
    trims = _trims(weighed)
    zero = weighed.zero.total(trims)
    points = [(mass, load.total(trims) - zero) for mass, load in weighed.span]
    slope = sum(mass * counts for mass, counts in points) / sum(mass * mass for mass, _ in points)
    if slope == 0 or abs(points[0][1]) < _LEAST_SIGMAS * max(weighed.zero.sigma, 1.0):
        raise RefusedError(
            f"{shown(points[0][0])} changed the counts by {points[0][1]:.0f}, no more than the noise; put the mass on, "
            "and look whether the platform lies on the cell"
        )

    def excess(mass: Mass, change: float) -> Mass:
        return Mass(round(change / slope) - mass)

    errors = tuple((mass, excess(mass, counts)) for mass, counts in points)
    repeats = [excess(points[0][0], load.total(trims) - empty.total(trims)) for empty, load in weighed.repeated]
    figures = Figures(
        noise=Mass(round(abs(weighed.zero.sigma / slope))),
        errors=errors,
        zero_return=Mass(round((weighed.zero_after.total(trims) - zero) / slope)),
        corner_mass=weighed.corner_mass,
        corners=tuple(excess(weighed.corner_mass, corner.total(trims) - zero) for corner in weighed.corners),
        repeatability=Mass(max(repeats) - min(repeats)) if repeats else Mass(0),
    )
    _judge(figures, limits)
    return Outcome(
        zero_counts=round(zero),
        counts_per_kilogram=round(slope * _MILLIGRAMS_PER_KILOGRAM, 3),
        trims=trims if len(trims) > 1 else (),
        zeros=tuple(round(part * trim) for part, trim in zip(weighed.zero.parts, trims, strict=True))
        if len(trims) > 1
        else (),
        figures=figures,
    )


def compare(outcome: Outcome, last_counts_per_kilogram: float) -> None:
    """Compare with the slope of the same cell's last calibration.

    Raises:
        RefusedError: a cell does not change that much; a mass is not what it was said to be.
    """
    ratio = outcome.counts_per_kilogram / last_counts_per_kilogram
    if abs(ratio - 1) > _SLOPE_CHANGE:
        raise RefusedError(
            f"the cell gives {ratio:.1%} of the counts per kilogram that it gave at the last calibration; a mass is "
            "not what it was said to be, or this is another cell: then say --new-cell"
        )


_LEAST_SIGMAS = 20.0
_SLOPE_CHANGE = 0.02
_SINGULAR = 0.05
"""Directions in which the corners say less than this share of what they say at best are left as they were: a rigid
plate on four springs tells nothing about its warp."""


def _trims(weighed: Weighed) -> tuple[float, ...]:
    """Return the factor of each cell with which the corners weigh most alike; their mean is one."""
    cells = len(weighed.zero.parts)
    if cells == 1 or len(weighed.corners) < cells:
        return (1.0,) * cells
    changes = np.array([corner.parts for corner in weighed.corners]) - np.array(weighed.zero.parts)
    wanted = np.full(len(changes), changes.sum(axis=1).mean())
    correction, *_ = np.linalg.lstsq(changes, wanted - changes.sum(axis=1), rcond=_SINGULAR)
    return tuple(round(float(1 + factor), 6) for factor in correction)


def _judge(figures: Figures, limits: Limits) -> None:
    worst, error = max(figures.errors, key=lambda point: abs(point[1]) / point[0])
    if any(abs(miss) > limits.linearity + mass // 1_000 for mass, miss in figures.errors):
        raise RefusedError(
            f"the masses do not lie on one line: {shown(worst)} weighs {shown(Mass(worst + error))} by the others; one "
            "of them is not what it was said to be, or something touches the platform"
        )
    if abs(figures.zero_return) > limits.zero_return:
        raise RefusedError(
            f"the empty platform weighs {shown(figures.zero_return)} after the masses, at most "
            f"{shown(limits.zero_return)} is taken; something touches it, or the cell is not warm yet: wait ten minutes"
        )
    if figures.corners and max(map(abs, figures.corners)) > limits.corner:
        place = max(range(len(figures.corners)), key=lambda corner: abs(figures.corners[corner]))
        where = places(len(figures.corners))[place]
        raise RefusedError(
            f"corners differ: {where}, {shown(figures.corner_mass)} weighs {_signed(figures.corners[place])} too much, "
            f"at most {shown(limits.corner)} is taken; level the cart, and look for what touches the platform there"
        )
    if figures.repeatability > limits.repeatability:
        raise RefusedError(
            f"the same mass weighs {shown(figures.repeatability)} more or less each time, at most "
            f"{shown(limits.repeatability)} is taken; look for friction, loose screws and a cable that pulls"
        )


def _signed(mass: Mass) -> str:
    return f"{'-' if mass < 0 else '+'}{shown(Mass(abs(mass)))}"


def _milligrams(counts: float, counts_per_kilogram: float) -> Mass:
    return Mass(round(abs(counts / counts_per_kilogram) * _MILLIGRAMS_PER_KILOGRAM))
