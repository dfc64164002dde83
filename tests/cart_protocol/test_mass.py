"""Mass: integer milligrams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.mass import Mass, grams, kilograms, shown, sigma


def test_grams_and_kilograms_become_milligrams() -> None:
    assert grams(65.5) == 65_500
    assert kilograms(1.25) == 1_250_000
    assert grams(-3) == -3_000
    assert grams(0.1) + grams(0.2) == grams(0.3)


@given(st.integers(-(10**9), 10**9))
def test_whole_grams_are_exact(value: int) -> None:
    assert grams(value) == value * 1_000


def test_a_variance_is_a_deviation_squared() -> None:
    assert sigma(grams(1.2)) == 1_200**2
    assert sigma(Mass(-5)) == 25


@pytest.mark.parametrize(
    ("mass", "text"),
    [
        (grams(95), "95 g"),
        (Mass(499), "0 g"),
        (kilograms(1.25), "1.250 kg"),
        (kilograms(1), "1.000 kg"),
        (grams(999.4), "999 g"),
        (grams(999.7), "1.000 kg"),
        (grams(-250), "-250 g"),
        (kilograms(-2.5), "-2.500 kg"),
    ],
)
def test_people_read_grams_below_a_kilogram(mass: Mass, text: str) -> None:
    assert shown(mass) == text
