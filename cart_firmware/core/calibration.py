"""Counts of the load cell's converter to mass: one straight line, computed exactly and rounded once."""

from fractions import Fraction

from cart_protocol.mass import Mass
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
