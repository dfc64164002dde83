"""What an accelerometer says of the floor's slope, mounted as it may be, and when it is not believed."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_firmware.core.tilt import Axes, Lean, Tilt

QUIET_UG = 2_000
"""Noise of a reading of a cheap part."""


def leaning(degrees: float, towards: float, askew: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float, float]:
    """Return gravity along the axes of a part that is mounted `askew` (degrees), on a floor that leans."""
    lean, roll, pitch = math.radians(degrees), math.radians(askew[0]), math.radians(askew[1])
    x, y, z = math.sin(lean) * math.cos(towards), math.sin(lean) * math.sin(towards), math.cos(lean)
    y, z = y * math.cos(roll) - z * math.sin(roll), y * math.sin(roll) + z * math.cos(roll)
    return x * math.cos(pitch) + z * math.sin(pitch), y, z * math.cos(pitch) - x * math.sin(pitch)


def in_ug(felt: tuple[float, float, float]) -> Axes:
    x, y, z = (round(axis * 1e6) for axis in felt)
    return x, y, z


def lean_of(
    felt: tuple[float, float, float], up: tuple[float, float, float], noise_ug: float = QUIET_UG, share: float = 1.0
) -> Lean | None:
    tilt, dice = Tilt(in_ug(up)), Random(5)
    for tick in range(10):
        x, y, z = (round(axis * share * 1e6 + dice.gauss(0, noise_ug)) for axis in felt)
        tilt.feel(tick * 50_000, x, y, z)
    return tilt.lean(460_000)


@given(st.floats(0, 4), st.floats(0, 6.28), st.tuples(st.floats(-10, 10), st.floats(-10, 10)))
def test_the_share_of_the_weight_is_the_cosine_of_the_slope_however_the_part_is_mounted(
    degrees: float, towards: float, askew: tuple[float, float]
) -> None:
    lean = lean_of(leaning(degrees, towards, askew), leaning(0, 0, askew))
    assert lean is not None
    wrong = abs(lean.cosine - math.cos(math.radians(degrees)))
    assert wrong <= 1.5e-4  # 3 g of 20 kg; uncorrected it would be 49 g on four degrees
    assert wrong <= 3 * lean.sigma + 1e-6


def test_the_steeper_the_less_certain() -> None:
    level, steep = lean_of(leaning(0, 0), (0, 0, 1)), lean_of(leaning(3, 0), (0, 0, 1))
    assert level is not None
    assert steep is not None
    assert level.sigma < 5e-5 < steep.sigma < 5e-4


@pytest.mark.parametrize(("noise_ug", "share"), [(40_000, 1.0), (QUIET_UG, 0.8), (QUIET_UG, 1.2), (QUIET_UG, 0.0)])
def test_a_part_that_sways_or_does_not_feel_gravity_is_not_believed(noise_ug: float, share: float) -> None:
    assert lean_of(leaning(2, 1), (0, 0, 1), noise_ug, share) is None


def test_a_part_that_fell_silent_says_nothing() -> None:
    tilt = Tilt((0, 0, 1_000_000))
    for tick in range(10):
        tilt.feel(tick * 50_000, 0, 0, 1_000_000)
    assert tilt.hears(500_000)
    assert tilt.lean(2_000_000) is None
    assert not tilt.hears(2_000_000)
