"""Mass as integer milligrams: the load cell, the catalogue, the order and the exit scale speak the same unit."""

from typing import NewType

Mass = NewType("Mass", int)
"""Milligrams; a step is positive when something was put in."""
Variance = NewType("Variance", int)
"""Square milligrams. Variances add; standard deviations do not."""

ZERO = Mass(0)


def grams(value: float) -> Mass:
    """Return `value` grams, rounded to the nearest milligram (ties to even)."""
    return Mass(round(value * 1_000))


def kilograms(value: float) -> Mass:
    """Return `value` kilograms, rounded to the nearest milligram (ties to even)."""
    return Mass(round(value * 1_000_000))


def sigma(standard_deviation: Mass) -> Variance:
    """Return the variance that belongs to a standard deviation."""
    return Variance(standard_deviation * standard_deviation)


def shown(mass: Mass) -> str:
    """Return the mass as a person reads it: '1.250 kg' from one kilogram, '95 g' below."""
    whole_grams = round(mass / 1_000)
    if abs(whole_grams) >= 1_000:
        return f"{mass / 1_000_000:.3f} kg"
    return f"{whole_grams} g"
